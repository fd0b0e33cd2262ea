"""Models in the Hub's layout, of transformers or of timm: `hf:ORG/NAME[@REVISION]`, `timm:NAME`, or a local folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from harness.errors import ExitCode, HarnessError, MissingInputError, UsageError, unknown_name
from harness.labels.outputs import SEVERAL, check_label2id, names_by_output
from harness.models.preprocessing import from_hub_processor, from_timm
from harness.models.specs import BuiltModel, Checkpoint, CheckpointFiles, ModelSpec
from harness.models.tensors import damaged, explaining, load_strictly, read_config, read_tensors
from harness.parsing.answers import STRANGE_ANSWER, STRANGE_REMEDY

if TYPE_CHECKING:
    import torch

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?(@[\w./-]+)?")
_PATTERNS = ["config.json", "preprocessor_config.json", "*.safetensors", "*.safetensors.index.json"]
_BIN_PATTERNS = ["pytorch_model*.bin", "pytorch_model.bin.index.json"]
_EXPECTED = "Expected: config.json, preprocessor_config.json, and model.safetensors or pytorch_model.bin."


class _HubLayout(Checkpoint):
    """A folder in the Hub's layout."""

    def build(self, spec: ModelSpec, found: CheckpointFiles) -> BuiltModel:
        config = read_config(found.folder / "config.json")
        if "auto_map" in config:
            raise HarnessError(
                f"{spec.reference} needs code from its own repository (auto_map in config.json), which harness never runs.",
                remedy="Use a checkpoint whose architecture is part of transformers or timm.",
                exit_code=ExitCode.MISSING,
            )
        build = _build_timm if "pretrained_cfg" in config or "architecture" in config else _build_transformers
        with explaining(found.folder):
            return build(found, config)

    def stated_names(self, found: CheckpointFiles) -> tuple[list[str], str | None] | None:
        config = read_config(found.folder / "config.json")
        with explaining(found.folder):
            if names := config.get("id2label"):
                return names_by_output({int(key): str(value) for key, value in names.items()}, len(names))
            names = config.get("label_names") or (config.get("pretrained_cfg") or {}).get("label_names")
            return (list(names), None) if names else None


class FolderCheckpoint(_HubLayout):
    """A local folder in the Hub's layout."""

    kind: Literal["folder"] = "folder"
    path: Path

    def locate(self, spec: ModelSpec, *, offline: bool) -> CheckpointFiles:
        return _files(self.path, revision=None)


class HubCheckpoint(_HubLayout):
    """A repository on the Hugging Face Hub."""

    kind: Literal["hub"] = "hub"
    repo: str
    revision: str | None = None

    def locate(self, spec: ModelSpec, *, offline: bool) -> CheckpointFiles:
        folder = _snapshot(self.repo, self.revision, offline)
        return _files(folder, revision=folder.name)


def resolve_hub(rest: str, prefix: str = "hf") -> ModelSpec:
    """The model of `hf:ORG/NAME[@REVISION]`. Raises HarnessError: malformed."""
    if not HUB_ID.fullmatch(rest):
        message = f"'{prefix}:{rest}' is not {prefix}:ORG/NAME[@REVISION]."
        raise UsageError(message, remedy="Example: hf:facebook/regnet-y-040@main")
    repo, _, revision = rest.partition("@")
    if prefix == "timm":
        repo = f"timm/{repo}"
    checkpoint = HubCheckpoint(repo=repo, revision=revision or None)
    return ModelSpec(name=repo.replace("/", "--"), reference=f"{prefix}:{rest}", title=repo, checkpoint=checkpoint)


def resolve_timm(rest: str) -> ModelSpec:
    """The model of `timm:NAME.TAG`, which is the repository of that name in timm's organisation.

    Raises HarnessError: an architecture without the tag of its weights.
    """
    if "." not in rest:
        remedy = f"Add the tag of the weights, e.g. timm:{rest}.in1k; the names are listed by timm.list_pretrained()."
        raise UsageError(f"'timm:{rest}' names an architecture, not a checkpoint.", remedy=remedy)
    return resolve_hub(rest, "timm")


def resolve_folder(path: Path) -> ModelSpec:
    """The model in a folder. Raises HarnessError: it has no config.json."""
    if not (path / "config.json").is_file():
        message = f"The folder {path} holds no config.json, so it is no model in the Hub's layout."
        remedy = _EXPECTED
        if (path / "adapter_config.json").is_file():
            remedy = "It holds an adapter: merge it with its base model (peft: merge_and_unload), and save the whole."
        elif inside := sorted(path.glob("*/config.json")):
            remedy = f"A model is in {', '.join(str(file.parent) for file in inside[:3])}: give that folder."
        raise HarnessError(message, remedy=remedy, exit_code=ExitCode.MISSING)
    folder = path.resolve()
    return ModelSpec(name=folder.name, reference=str(path), title=folder.name, checkpoint=FolderCheckpoint(path=folder))


def _snapshot(repo: str, revision: str | None, offline: bool) -> Path:
    """The folder of a repository's files in the Hub's cache, downloaded unless offline."""
    import httpx2
    from huggingface_hub import errors, snapshot_download

    def download(patterns: list[str]) -> Path:
        return Path(snapshot_download(repo, revision=revision, allow_patterns=patterns, local_files_only=offline))

    where = f"{repo}@{revision}" if revision else repo
    try:
        folder = download(_PATTERNS)
        return folder if any(folder.glob("*.safetensors")) else download(_PATTERNS + _BIN_PATTERNS)
    except OSError as error:
        why = f"The weights of {where} could not be fetched: {type(error).__name__}."
        remedy = "Check the network and the free disk space, then repeat the command: it resumes."
        if isinstance(error, errors.GatedRepoError):
            why = f"{where} on the Hub is gated, and this account has no access to it."
            remedy = f"Accept its terms on its page ({repo}), set HF_TOKEN, and repeat the command."
        elif isinstance(error, errors.RevisionNotFoundError):
            why, remedy = f"The Hub has no revision {revision} of {repo}.", "Check the name of the revision."
        elif isinstance(error, errors.RepositoryNotFoundError):
            why = f"The Hub has no model {repo}, or it is private and no token with access is set."
            remedy = "Check the spelling; for a private model set HF_TOKEN."
        elif isinstance(error, errors.LocalEntryNotFoundError):
            reached = "this run is offline" if offline else "the Hub can't be reached"
            why = f"The weights of {where} are not on this machine, and {reached}."
            remedy = f"With network, run once: hf download {repo}, or give a local folder: --model FOLDER."
        elif isinstance(error, errors.HfHubHTTPError):
            status = error.response.status_code if error.response is not None else "no status"
            why, remedy = f"The Hub answered HTTP {status} for {where}.", "Try again later, or give a local folder."
        raise MissingInputError(why, remedy=remedy) from error
    except (*STRANGE_ANSWER, httpx2.HTTPError) as error:
        why = f"The weights of {where} could not be fetched: what answers is no Hub ({type(error).__name__})."
        raise MissingInputError(why, remedy=STRANGE_REMEDY) from error


def _files(folder: Path, revision: str | None) -> CheckpointFiles:
    weights = _weights(folder)
    if not (folder / "config.json").is_file() or not weights:
        missing = "config.json" if weights else "model.safetensors or pytorch_model.bin"
        raise MissingInputError(f"{folder} is no model in the Hub's layout: {missing} is missing.", remedy=_EXPECTED)
    configs = [path for name in ("config.json", "preprocessor_config.json") if (path := folder / name).is_file()]
    return CheckpointFiles(folder, (*configs, *weights), revision)


def _weights(folder: Path) -> list[Path]:
    """The files that transformers and timm take: that of the usual name or its shards, and another one only where it is alone."""
    for stem, suffix in (("model", "safetensors"), ("pytorch_model", "bin")):
        if (whole := folder / f"{stem}.{suffix}").is_file():
            return [whole]
        if shards := sorted(folder.glob(f"{stem}-*-of-*.{suffix}")):
            return shards
    others = sorted(folder.glob("*.safetensors"))
    return others if len(others) == 1 else []


def _build_timm(found: CheckpointFiles, config: dict[str, Any]) -> BuiltModel:
    import timm

    pretrained = config.get("pretrained_cfg") or config
    outputs = int(config.get("num_classes") or pretrained.get("num_classes") or 0)
    name = str(config.get("architecture", ""))
    if not timm.is_model(name):
        raise unknown_name("timm architecture", name, timm.list_models(), where=str(found.folder / "config.json"))
    arguments = (config.get("model_args") or {}) | {"num_classes": outputs}  # timm itself records the number there too
    core = timm.create_model(name, pretrained=False, **arguments)
    state: dict[str, torch.Tensor] = {}
    for file in found.weights:
        # transformers saves timm's networks inside one of its own.
        state |= {name.removeprefix("timm_model."): tensor for name, tensor in read_tensors(file).items()}
    load_strictly(core, state, found.weights[0])
    labels = config.get("label_names") or pretrained.get("label_names")
    preprocessing = from_timm(pretrained, "the checkpoint's config.json")
    declared = _timm_label_space(str(pretrained.get("tag") or ""), outputs)
    names = list(labels) if labels else None
    return BuiltModel(core, "timm", name, outputs, preprocessing, names, declared=declared)


def _timm_label_space(tag: str, outputs: int) -> tuple[str, str] | None:
    """The order that timm documents for the heads it trained or converted (timm/data/imagenet_info.py)."""
    spaces = {("in1k", 1000): "imagenet-1k", ("in22k", 21841): "imagenet-22k"}
    space = spaces.get((tag.rsplit("_", 1)[-1], outputs))
    proof = f"timm documents this order for checkpoints tagged {tag} with {outputs:,} outputs"
    return (space, proof) if space is not None else None


def _build_transformers(found: CheckpointFiles, config: dict[str, Any]) -> BuiltModel:
    import torch
    import transformers

    processor = found.folder / "preprocessor_config.json"
    if not processor.is_file():
        message = f"{found.folder} has no preprocessor_config.json, so how images become inputs is not stated."
        remedy = "Add the file the model was published with; class defaults can differ from it."
        raise HarnessError(message, remedy=remedy, exit_code=ExitCode.MISSING)
    preprocessing = from_hub_processor(read_config(processor), "the checkpoint's preprocessor_config.json")
    core, info = transformers.AutoModelForImageClassification.from_pretrained(
        found.folder,
        local_files_only=True,
        trust_remote_code=False,
        dtype=torch.float32,  # also of weights that are stored in half precision, as timm's networks have it
        ignore_mismatched_sizes=True,  # they are reported below, by name; the library's error says less
        output_loading_info=True,
    )
    absent, other = sorted(info["missing_keys"]), sorted(info["mismatched_keys"])
    if absent or other:
        faults = absent + [f"{name} is {tuple(is_)}, config.json needs {tuple(needed)}" for name, is_, needed in other]
        why = f"{len(absent)} tensors of the architecture are missing and {len(other)} have another shape"
        remedy = "Take config.json and weights of one revision; in config.json, id2label has to name every output."
        raise damaged(found.folder, f"{why} ({'; '.join(faults[:3])})", remedy)
    outputs = int(core.config.num_labels)
    names, note = None, None
    if config.get("id2label"):
        id2label = {int(key): str(value) for key, value in config["id2label"].items()}
        names, note = names_by_output(id2label, outputs)
        check_label2id(id2label, config.get("label2id") or {})
    several = core.config.problem_type == "multi_label_classification"
    remark = SEVERAL if several else ""
    return BuiltModel(core, "transformers", type(core).__name__, outputs, preprocessing, names, note, remark)
