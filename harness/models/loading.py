"""From a model spec to a loaded model: find the files, build, load the tensors, prove the labels, fingerprint.

Safety: tensors come from safetensors or from `torch.load(weights_only=True)`; code inside a repository is never run.
A checkpoint that lacks a tensor of its architecture is refused, since libraries would fill it with random numbers.
What was learnt about a checkpoint (`ModelIdentity`) is cached by the files' size and modification time, so that a
run whose predictions are all stored needs no torch at all.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import pickle
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from harness.errors import ExitCode, HarnessError, MissingInputError, unknown_name
from harness.files import write_text
from harness.labels.projections import (
    OutputLabels,
    UnprovenLabelsError,
    declared_outputs,
    names_by_output,
    prove_outputs,
)
from harness.models.fingerprints import weights_fingerprint
from harness.models.preprocessing import Preprocessing, from_hub_processor, from_timm, from_torchvision
from harness.models.registry import (
    Architecture,
    FolderCheckpoint,
    HubCheckpoint,
    ModelSpec,
    PackageCheckpoint,
    TorchvisionCheckpoint,
)
from harness.settings import Settings

if TYPE_CHECKING:
    import torch

_HUB_PATTERNS = ["config.json", "preprocessor_config.json", "*.safetensors", "*.safetensors.index.json"]
_HUB_BIN_PATTERNS = ["pytorch_model*.bin", "pytorch_model.bin.index.json"]
_IDENTITY_VERSION = 2


@dataclass(frozen=True)
class CheckpointFiles:
    """The files of a checkpoint on this machine."""

    folder: Path
    files: tuple[Path, ...]
    revision: str | None = None
    """Commit on the Hub, where it came from there."""

    def stamp(self) -> list[tuple[str, int, int]]:
        """Name, size and modification time of each file: changes when a file does."""
        stats = [(file, file.stat()) for file in self.files]
        return [(str(file), stat.st_size, stat.st_mtime_ns) for file, stat in stats]

    def size(self) -> int:
        """Bytes of the weight files."""
        return sum(file.stat().st_size for file in self.files if file.suffix != ".json")


class ModelIdentity(BaseModel):
    """What is known of a model once it has been loaded."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    reference: str
    title: str
    revision: str | None
    library: str
    architecture: str
    weights: str
    """SHA-256 over the tensors."""
    checkpoint_bytes: int
    parameters: int
    outputs: int
    convolutional: bool
    """Whether it has two-dimensional convolutions, which decides the default memory format."""
    preprocessing: Preprocessing
    preprocessing_origin: str
    label_space: str
    label_proof: str
    synsets: tuple[str | None, ...] | None
    """One an output where the label space is custom; None where its name says it all."""

    def output_labels(self) -> OutputLabels:
        """What each output stands for."""
        if self.synsets is not None:
            return OutputLabels(self.label_space, self.synsets, self.label_proof)
        return declared_outputs(self.label_space, self.outputs, proof=self.label_proof)


@dataclass(frozen=True)
class LoadedModel:
    """A model that can run: normalised float32 images (N, 3, H, W) in, logits (N, outputs) out."""

    identity: ModelIdentity
    module: torch.nn.Module


@dataclass(frozen=True)
class _Built:
    """What a library's loader hands over before labels are proven."""

    core: torch.nn.Module
    module: torch.nn.Module
    library: str
    architecture: str
    outputs: int
    preprocessing: Preprocessing
    names: list[str] | None
    note: str | None
    declared: tuple[str, str] | None
    """(label space, source) where the library documents the order of the outputs."""


# --- finding files -------------------------------------------------------------------------------------------------


def locate_checkpoint(spec: ModelSpec, *, offline: bool) -> CheckpointFiles:
    """Find, and unless offline fetch, the files of a checkpoint.

    Raises:
        MissingInputError: not here and not to be had: says why and what to do.
    """
    return _LOCATORS[type(spec.checkpoint)](spec, spec.checkpoint, offline)


def _locate_package(spec: ModelSpec, checkpoint: PackageCheckpoint, offline: bool) -> CheckpointFiles:
    found = importlib.util.find_spec(checkpoint.package)
    if found is None or found.origin is None:
        raise MissingInputError(
            f"The weights of {spec.name} are in the package {checkpoint.package}, which is not installed.",
            remedy=f"Run: {checkpoint.install}",
        )
    folder = Path(found.origin).parent
    hits = tuple(sorted(folder.glob(checkpoint.file)))
    if len(hits) != 1:
        raise MissingInputError(
            f"The package {checkpoint.package} holds {len(hits)} files {checkpoint.file}, expected one.",
            remedy=f"Install it again: {checkpoint.install}",
        )
    return CheckpointFiles(folder, hits)


def _locate_folder(spec: ModelSpec, checkpoint: FolderCheckpoint, offline: bool) -> CheckpointFiles:
    return _hub_layout(checkpoint.path, revision=None)


def _locate_hub(spec: ModelSpec, checkpoint: HubCheckpoint, offline: bool) -> CheckpointFiles:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    where = f"{checkpoint.repo}@{checkpoint.revision}" if checkpoint.revision else checkpoint.repo

    def download(patterns: list[str]) -> Path:
        return Path(
            snapshot_download(
                checkpoint.repo, revision=checkpoint.revision, allow_patterns=patterns, local_files_only=offline
            )
        )

    try:
        folder = download(_HUB_PATTERNS)
        if not any(folder.glob("*.safetensors")):
            folder = download(_HUB_PATTERNS + _HUB_BIN_PATTERNS)
    except GatedRepoError as error:
        raise MissingInputError(
            f"{where} on the Hub is gated, and this account has no access to it.",
            remedy=f"Accept its terms on its page ({checkpoint.repo}), set HF_TOKEN, and repeat the command.",
        ) from error
    except RevisionNotFoundError as error:
        raise MissingInputError(
            f"The Hub has no revision {checkpoint.revision} of {checkpoint.repo}.",
            remedy="Check the name of the revision.",
        ) from error
    except RepositoryNotFoundError as error:
        raise MissingInputError(
            f"The Hub has no model {checkpoint.repo}, or it is private and no token with access is set.",
            remedy="Check the spelling; for a private model set HF_TOKEN.",
        ) from error
    except LocalEntryNotFoundError as error:
        why = "this run is offline" if offline else "the Hub can't be reached"
        raise MissingInputError(
            f"The weights of {where} are not on this machine, and {why}.",
            remedy=f"With network, run once: hf download {checkpoint.repo}, or give a local folder: --model FOLDER.",
        ) from error
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else "no status"
        raise MissingInputError(
            f"The Hub answered HTTP {status} for {where}.", remedy="Try again later, or give a local folder."
        ) from error
    except OSError as error:
        raise MissingInputError(
            f"The weights of {where} could not be fetched: {type(error).__name__}.",
            remedy="Check the network and the free disk space, then repeat the command: it resumes.",
        ) from error
    return _hub_layout(folder, revision=folder.name)


def _hub_layout(folder: Path, revision: str | None) -> CheckpointFiles:
    weights = sorted(folder.glob("*.safetensors")) or sorted(folder.glob("pytorch_model*.bin"))
    if not (folder / "config.json").is_file() or not weights:
        missing = "config.json" if weights else "model.safetensors or pytorch_model.bin"
        raise MissingInputError(
            f"{folder} is no model in the Hub's layout: {missing} is missing.",
            remedy="Expected: config.json, preprocessor_config.json, and model.safetensors or pytorch_model.bin.",
        )
    configs = [path for name in ("config.json", "preprocessor_config.json") if (path := folder / name).is_file()]
    return CheckpointFiles(folder, (*configs, *weights), revision)


def _locate_torchvision(spec: ModelSpec, checkpoint: TorchvisionCheckpoint, offline: bool) -> CheckpointFiles:
    import torch

    weights = _torchvision_weights(checkpoint)
    file = Path(torch.hub.get_dir()) / "checkpoints" / Path(weights.url).name
    if not file.is_file():
        if offline:
            raise MissingInputError(
                f"The weights of {spec.reference} are not on this machine, and this run is offline.",
                remedy=f"With network, run once without --offline; they are kept in {file.parent}.",
            )
        try:
            torch.hub.load_state_dict_from_url(weights.url, check_hash=True, weights_only=True, progress=False)
        except (OSError, RuntimeError) as error:
            raise MissingInputError(
                f"The weights of {spec.reference} could not be fetched ({type(error).__name__}).",
                remedy=f"Check the network, or put the file {file.name} into {file.parent}.",
            ) from error
    return CheckpointFiles(file.parent, (file,))


_LOCATORS: dict[type, Callable[..., CheckpointFiles]] = {
    PackageCheckpoint: _locate_package,
    FolderCheckpoint: _locate_folder,
    HubCheckpoint: _locate_hub,
    TorchvisionCheckpoint: _locate_torchvision,
}


# --- identity without loading --------------------------------------------------------------------------------------


def _identity_path(spec: ModelSpec, found: CheckpointFiles, label_space: str | None, cache: Path) -> Path:
    versions = [importlib.metadata.version(name) for name in ("torch", "timm", "transformers")]
    key = json.dumps([_IDENTITY_VERSION, spec.reference, label_space, found.stamp(), found.revision, versions])
    return cache / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"


def known_identity(
    spec: ModelSpec, found: CheckpointFiles, *, label_space: str | None, cache: Path
) -> ModelIdentity | None:
    """What an earlier load of the same files found out, or None. Imports no torch."""
    path = _identity_path(spec, found, label_space, cache)
    try:
        return ModelIdentity.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):  # absent, or a format of another version: the model is loaded again
        return None


# --- loading -------------------------------------------------------------------------------------------------------


def load_model(spec: ModelSpec, found: CheckpointFiles, *, label_space: str | None, cache: Path) -> LoadedModel:
    """Build the model, load its tensors, prove its labels; remember its identity under `cache`.

    Args:
        label_space: what the user says the outputs are, or None to prove it from the checkpoint.

    Raises:
        HarnessError: a damaged or incomplete checkpoint, preprocessing that is not stated, labels that can't be
            proven.
    """
    import torch

    with _quiet_libraries():
        built = _BUILDERS[type(spec.checkpoint)](spec, spec.checkpoint, found)
    labels = _labels(spec, built, label_space)
    module = built.module.eval()
    identity = ModelIdentity(
        name=spec.name,
        reference=spec.reference,
        title=spec.title,
        revision=found.revision,
        library=built.library,
        architecture=built.architecture,
        weights=weights_fingerprint(built.core.state_dict()),
        checkpoint_bytes=found.size(),
        parameters=sum(p.numel() for p in built.core.parameters()),
        outputs=built.outputs,
        convolutional=any(isinstance(part, torch.nn.Conv2d) for part in module.modules()),
        preprocessing=built.preprocessing.model_copy(update={"origin": ""}),
        preprocessing_origin=built.preprocessing.origin,
        label_space=labels.space,
        label_proof=labels.proof,
        synsets=labels.synsets if labels.space.startswith("custom") else None,
    )
    write_text(_identity_path(spec, found, label_space, cache), identity.model_dump_json(indent=1) + "\n")
    return LoadedModel(identity, module)


def build_architecture(spec: ModelSpec, *, seed: int = 0) -> torch.nn.Module:
    """The model's architecture with random weights, for what needs no checkpoint (parameters, MACs, speed).

    Returns:
        A module from normalised images (N, 3, H, W) to logits (N, outputs).

    Raises:
        HarnessError: the registry states no architecture for this model.
    """
    import torch

    from harness.models.wrapping import LogitsOnly

    if spec.architecture is None:
        raise HarnessError(
            f"The architecture of {spec.reference} is known from its checkpoint only.",
            remedy="Fetch the checkpoint, or use a model of the registry (harness list models).",
            exit_code=ExitCode.MISSING,
        )
    torch.manual_seed(seed)
    with _quiet_libraries():
        return LogitsOnly(_build_core(spec.architecture)).eval()


def _build_core(architecture: Architecture) -> torch.nn.Module:
    if architecture.library == "timm":
        import timm

        return timm.create_model(architecture.class_, pretrained=False, num_classes=architecture.outputs)
    import transformers

    fields = dict(architecture.config)
    config = transformers.AutoConfig.for_model(fields.pop("model_type"), num_labels=architecture.outputs, **fields)
    return getattr(transformers, architecture.class_)(config)


def _build_package(spec: ModelSpec, checkpoint: PackageCheckpoint, found: CheckpointFiles) -> _Built:
    assert spec.architecture is not None
    assert spec.preprocessing is not None
    core = _build_core(spec.architecture)
    state = _read_tensors(found.files[-1])
    if checkpoint.tensors == "by-order":
        state = _in_order(state, core.state_dict(), found.files[-1])
    _load_strictly(core, state, found.files[-1])
    return _Built(
        core=core,
        module=core,
        library=spec.architecture.library,
        architecture=spec.architecture.class_,
        outputs=spec.architecture.outputs,
        preprocessing=spec.preprocessing.model_copy(update={"origin": f"registry ({spec.architecture.source})"}),
        names=None,
        note=None,
        declared=None,
    )


def _build_hub(spec: ModelSpec, checkpoint: HubCheckpoint | FolderCheckpoint, found: CheckpointFiles) -> _Built:
    config = _read_json(found.folder / "config.json")
    if "auto_map" in config:
        raise HarnessError(
            f"{spec.reference} needs code from its own repository (auto_map in config.json), which harness never runs.",
            remedy="Use a checkpoint whose architecture is part of transformers or timm.",
            exit_code=ExitCode.MISSING,
        )
    if "pretrained_cfg" in config or "architecture" in config:
        return _build_timm_folder(spec, found, config)
    return _build_transformers_folder(spec, found, config)


def _build_timm_folder(spec: ModelSpec, found: CheckpointFiles, config: dict[str, Any]) -> _Built:
    import timm

    pretrained = config.get("pretrained_cfg") or config
    outputs = int(config.get("num_classes") or pretrained.get("num_classes") or 0)
    name = str(config.get("architecture", ""))
    if not timm.is_model(name):
        raise unknown_name("timm architecture", name, timm.list_models(), where=str(found.folder / "config.json"))
    core = timm.create_model(name, pretrained=False, num_classes=outputs, **config.get("model_args", {}))
    weights = [file for file in found.files if file.suffix != ".json"]
    state: dict[str, torch.Tensor] = {}
    for file in weights:
        state |= _read_tensors(file)
    _load_strictly(core, state, weights[0])
    labels = config.get("label_names") or pretrained.get("label_names")
    tag = str(pretrained.get("tag") or "")
    return _Built(
        core=core,
        module=core,
        library="timm",
        architecture=name,
        outputs=outputs,
        preprocessing=from_timm(pretrained, "the checkpoint's config.json"),
        names=list(labels) if labels else None,
        note=None,
        declared=_timm_label_space(tag, outputs),
    )


def _timm_label_space(tag: str, outputs: int) -> tuple[str, str] | None:
    """The order that timm documents for the heads it trained or converted (timm/data/imagenet_info.py)."""
    spaces = {("in1k", 1000): "imagenet-1k", ("in22k", 21841): "imagenet-22k"}
    space = spaces.get((tag.rsplit("_", 1)[-1], outputs))
    if space is None:
        return None
    return space, f"timm documents this order for checkpoints tagged {tag} with {outputs:,} outputs"


def _build_transformers_folder(spec: ModelSpec, found: CheckpointFiles, config: dict[str, Any]) -> _Built:
    import transformers

    from harness.models.wrapping import LogitsOnly

    processor = found.folder / "preprocessor_config.json"
    if not processor.is_file():
        raise HarnessError(
            f"{found.folder} has no preprocessor_config.json, so how images become inputs is not stated.",
            remedy="Add the file the model was published with; class defaults can differ from it.",
            exit_code=ExitCode.MISSING,
        )
    preprocessing = from_hub_processor(_read_json(processor), "the checkpoint's preprocessor_config.json")
    try:
        core, info = transformers.AutoModelForImageClassification.from_pretrained(
            found.folder,
            local_files_only=True,
            trust_remote_code=False,
            ignore_mismatched_sizes=True,  # they are reported below, by name; the library's error says less
            output_loading_info=True,
        )
    except _unreadable() as error:
        raise _damaged(found.folder, _why_unreadable(error)) from error
    absent = sorted(info["missing_keys"])
    mismatched = [
        f"{name} is {tuple(given)}, config.json needs {tuple(needed)}"
        for name, given, needed in sorted(info["mismatched_keys"])
    ]
    if absent or mismatched:
        raise _damaged(
            found.folder,
            f"{len(absent)} tensors of the architecture are missing and {len(mismatched)} have another shape "
            f"({'; '.join((absent + mismatched)[:3])})",
        )
    outputs = int(core.config.num_labels)
    names, note = None, None
    if config.get("id2label"):
        names, note = names_by_output({int(key): str(value) for key, value in config["id2label"].items()}, outputs)
    return _Built(
        core=core,
        module=LogitsOnly(core),
        library="transformers",
        architecture=type(core).__name__,
        outputs=outputs,
        preprocessing=preprocessing,
        names=names,
        note=note,
        declared=None,
    )


def _build_torchvision(spec: ModelSpec, checkpoint: TorchvisionCheckpoint, found: CheckpointFiles) -> _Built:
    import torchvision

    weights = _torchvision_weights(checkpoint)
    core = torchvision.models.get_model(checkpoint.name, weights=None, num_classes=len(weights.meta["categories"]))
    _load_strictly(core, _read_tensors(found.files[-1]), found.files[-1])
    return _Built(
        core=core,
        module=core,
        library="torchvision",
        architecture=checkpoint.name,
        outputs=len(weights.meta["categories"]),
        preprocessing=from_torchvision(weights.transforms(), f"torchvision {weights}"),
        names=list(weights.meta["categories"]),
        note=None,
        declared=None,
    )


_BUILDERS: dict[type, Callable[..., _Built]] = {
    PackageCheckpoint: _build_package,
    FolderCheckpoint: _build_hub,
    HubCheckpoint: _build_hub,
    TorchvisionCheckpoint: _build_torchvision,
}


def _torchvision_weights(checkpoint: TorchvisionCheckpoint) -> Any:
    import torchvision

    if checkpoint.name not in torchvision.models.list_models(module=torchvision.models):
        raise unknown_name(
            "torchvision model", checkpoint.name, torchvision.models.list_models(module=torchvision.models)
        )
    options = torchvision.models.get_model_weights(checkpoint.name)
    if checkpoint.weights is None:
        return options.DEFAULT
    if checkpoint.weights not in options.__members__:
        raise unknown_name(f"weights of {checkpoint.name}", checkpoint.weights, options.__members__)
    return options[checkpoint.weights]


def _labels(spec: ModelSpec, built: _Built, chosen: str | None) -> OutputLabels:
    """What each output stands for: as the user says, else as the checkpoint's names prove, else as documented."""
    if chosen is not None:
        return declared_outputs(chosen, built.outputs, proof="named by the user (--labels)")
    declared = built.declared
    if spec.label_space is not None:
        declared = spec.label_space, f"documented: {spec.because}"
    if built.names is not None:
        try:
            return prove_outputs(built.names, built.note)
        except UnprovenLabelsError as error:
            if declared is None:
                raise
            proof = f"{declared[1]}; the checkpoint's own label names don't prove it ({error.message})"
            return declared_outputs(declared[0], built.outputs, proof=proof)
    if declared is None:
        raise UnprovenLabelsError(f"The checkpoint of {spec.reference} carries no label names.")
    return declared_outputs(declared[0], built.outputs, proof=declared[1])


def _read_tensors(file: Path) -> dict[str, torch.Tensor]:
    """A state dict from safetensors, or from a pickle that may hold tensors only."""
    import safetensors.torch
    import torch

    try:
        if file.suffix == ".safetensors":
            return safetensors.torch.load_file(file)
        state = torch.load(file, map_location="cpu", weights_only=True)
    except _unreadable() as error:
        raise _damaged(file, _why_unreadable(error)) from error
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise _damaged(file, "it holds something other than named tensors")
    return state


def _unreadable() -> tuple[type[Exception], ...]:
    """What the readers of checkpoints raise on files that are damaged or hold more than tensors."""
    import safetensors

    readers = safetensors.SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, OSError
    return *readers, ValueError, KeyError, TypeError


def _why_unreadable(error: Exception) -> str:
    """An error of those readers as a phrase."""
    if isinstance(error, pickle.UnpicklingError):  # torch's own text advises to run what is inside
        return "its pickle is damaged or holds something other than tensors, which harness never runs"
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _in_order(state: dict[str, torch.Tensor], target: dict[str, torch.Tensor], file: Path) -> dict[str, torch.Tensor]:
    """Match tensors to an architecture by order, comparing every shape."""
    if len(state) != len(target):
        raise _damaged(file, f"it holds {len(state)} tensors, the architecture has {len(target)}")
    matched = {}
    for (given, tensor), (name, slot) in zip(state.items(), target.items(), strict=True):
        if tensor.shape != slot.shape:
            raise _damaged(file, f"{given} has shape {tuple(tensor.shape)}, {name} needs {tuple(slot.shape)}")
        matched[name] = tensor
    return matched


def _load_strictly(core: torch.nn.Module, state: dict[str, torch.Tensor], file: Path) -> None:
    try:
        core.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise _damaged(file, " ".join(str(error).split())[:300]) from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _damaged(path, str(error)) from error
    if not isinstance(data, dict):
        raise _damaged(path, "it is not a JSON object")
    return data


def _damaged(path: Path, why: str) -> HarnessError:
    return HarnessError(
        f"The checkpoint {path} can't be used: {why}.",
        remedy="Fetch it again, or use another revision.",
        exit_code=ExitCode.MISSING,
    )


@contextmanager
def _quiet_libraries() -> Iterator[None]:
    """Keep the libraries' own chatter off the terminal while a model is built; what matters is checked above."""
    from transformers.utils import logging

    before, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()


@dataclass(frozen=True)
class ModelState:
    """What is here of a model."""

    spec: ModelSpec
    files: CheckpointFiles | None
    identity: ModelIdentity | None
    """Known where the checkpoint has been loaded before."""
    missing: HarnessError | None

    @property
    def runnable(self) -> bool:
        return self.files is not None


def find_model(spec: ModelSpec, settings: Settings, *, fetch: bool) -> ModelState:
    """Locate a model's checkpoint, from the network only where `fetch` is set and the settings allow it."""
    try:
        files = locate_checkpoint(spec, offline=settings.offline or not fetch)
    except MissingInputError as error:
        return ModelState(spec, None, None, error)
    cache = settings.home / "identities"
    return ModelState(spec, files, known_identity(spec, files, label_space=settings.labels, cache=cache), None)
