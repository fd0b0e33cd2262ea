"""From a model spec to a loaded model: find the files, build, load the tensors, prove the labels, fingerprint.

Safety: tensors come from safetensors or from `torch.load(weights_only=True)`; code inside a repository is never run.
A checkpoint that lacks a tensor of its architecture is refused, since libraries would fill it with random numbers.
What was learnt about a checkpoint (`ModelIdentity`) is cached by the files' size and modification time, so that a
run whose predictions are all stored needs no torch at all.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel

from harness.errors import ExitCode, HarnessError, MissingInputError, UsageError
from harness.files import read_kept, write_text
from harness.labels.outputs import OutputLabels, UnprovenLabelsError, declared_outputs, prove_outputs
from harness.labels.spaces import OWN
from harness.models.preprocessing import Preprocessing
from harness.models.specs import BuiltModel, CheckpointFiles, ModelSpec
from harness.settings import AS_STATED, InputChange, Labels, Settings

if TYPE_CHECKING:
    import torch

_IDENTITY_VERSION = 3


class ModelIdentity(BaseModel, extra="forbid", frozen=True):
    """What is known of a model once it has been loaded."""

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
    stated: Preprocessing | None = None
    """The preprocessing that the checkpoint states, where the user's differs."""
    label_space: str
    label_proof: str
    classes: tuple[str | None, ...] | None
    """One an output where the label space is custom or the model's own; None where its name says it all."""

    def output_labels(self) -> OutputLabels:
        """What each output stands for."""
        if self.classes is not None:
            return OutputLabels(self.label_space, self.classes, self.label_proof)
        return declared_outputs(self.label_space, self.outputs, proof=self.label_proof)


@dataclass(frozen=True)
class LoadedModel:
    """A model that can run: normalised float32 images (N, 3, H, W) in, logits (N, outputs) out."""

    identity: ModelIdentity
    module: torch.nn.Module


@dataclass(frozen=True)
class ModelState:
    """What is here of a model."""

    spec: ModelSpec
    files: CheckpointFiles | None
    identity: ModelIdentity | None
    """Known where the checkpoint has been loaded before."""
    missing: HarnessError | None
    loaded: LoadedModel | None = None
    """Where the model is in memory already, as a module of the user's own is."""

    @property
    def runnable(self) -> bool:
        return self.files is not None or self.loaded is not None

    def outputs(self, chosen: Labels) -> OutputLabels | None:
        """What each output stands for: as it was found when the weights were loaded, else as the user or the configuration says;
        None where only the weights tell.

        Raises HarnessError: names that prove nothing.
        """
        if self.identity is not None or self.files is None:
            return self.identity.output_labels() if self.identity is not None else None
        if chosen is not None:
            return None if isinstance(chosen, str) else declared_outputs(chosen, len(chosen), proof="")
        stated = self.spec.checkpoint.stated_names(self.files)
        return prove_outputs(*stated) if stated is not None else None


def find_model(spec: ModelSpec, settings: Settings, *, fetch: bool) -> ModelState:
    """Locate a model's checkpoint, from the network only where `fetch` is set and the settings allow it."""
    try:
        files = spec.checkpoint.locate(spec, offline=settings.offline or not fetch)
    except MissingInputError as error:
        return ModelState(spec, None, None, error)
    cache, change = settings.home / "identities", settings.input_change
    identity = known_identity(spec, files, label_space=settings.labels, cache=cache, change=change)
    return ModelState(spec, files, identity, None)


def weights_in_folder(spec: ModelSpec, cache: Path) -> str | None:
    """The fingerprint of the weights that lie in a model's folder now; None of another model, or one that can't be loaded."""
    if spec.checkpoint.kind != "folder":
        return None
    try:
        files = spec.checkpoint.locate(spec, offline=True)
        if known := known_identity(spec, files, label_space=None, cache=cache):
            return known.weights
        from harness.models.wrapping import weights_fingerprint

        with _quiet_libraries():
            return weights_fingerprint(spec.checkpoint.build(spec, files).core.state_dict())
    except HarnessError:  # nothing was measured of it either
        return None


def load(state: ModelState, settings: Settings) -> LoadedModel:
    """The model of a state that is runnable: the one in memory, or loaded from its files as `load_model` does."""
    if state.loaded is not None:
        return state.loaded
    assert state.files is not None
    cache, change = settings.home / "identities", settings.input_change
    return load_model(state.spec, state.files, label_space=settings.labels, cache=cache, change=change)


def _identity_path(
    spec: ModelSpec, found: CheckpointFiles, label_space: Labels, cache: Path, change: InputChange
) -> Path:
    versions = [importlib.metadata.version(name) for name in ("torch", "timm", "transformers")]
    key = json.dumps([_IDENTITY_VERSION, spec.reference, label_space, change, found.stamp(), found.revision, versions])
    return cache / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"


def known_identity(
    spec: ModelSpec, found: CheckpointFiles, *, label_space: Labels, cache: Path, change: InputChange = AS_STATED
) -> ModelIdentity | None:
    """What an earlier load of the same files found out, or None. Imports no torch."""
    path = _identity_path(spec, found, label_space, cache, change)
    return read_kept(path, ModelIdentity.model_validate_json, again="the model is loaded again")


def load_model(
    spec: ModelSpec, found: CheckpointFiles, *, label_space: Labels, cache: Path, change: InputChange = AS_STATED
) -> LoadedModel:
    """Build the model, load its tensors, prove its labels; remember its identity under `cache`.

    The outputs are what the user says (`label_space`), or for None what the checkpoint proves; images are preprocessed as it
    states, but for what `change` says.

    Raises HarnessError: a damaged or incomplete checkpoint, unstated preprocessing, labels that can't be proven, or an input
    size that the network can't take.
    """
    with _quiet_libraries():
        built = spec.checkpoint.build(spec, found)
    labels = _labels(spec, built, label_space)
    labels = replace(labels, proof=labels.proof + built.remark)
    loaded = identified(spec, built, labels, size=found.size(), revision=found.revision)
    if change != AS_STATED:
        loaded = _with_input(loaded, built.preprocessing.changed(*change))
    _check_input(loaded)
    write_text(
        _identity_path(spec, found, label_space, cache, change), loaded.identity.model_dump_json(indent=1) + "\n"
    )
    return loaded


def identified(
    spec: ModelSpec, built: BuiltModel, labels: OutputLabels, *, size: int, revision: str | None = None
) -> LoadedModel:
    """A built network, ready to run, with all that is known of it; `size` is in bytes, `revision` a commit on the Hub."""
    import torch

    from harness.models.wrapping import LogitsOnly, weights_fingerprint

    identity = ModelIdentity(
        name=spec.name,
        reference=spec.reference,
        title=spec.title,
        revision=revision,
        library=built.library,
        architecture=built.architecture,
        weights=weights_fingerprint(built.core.state_dict()),
        checkpoint_bytes=size,
        parameters=sum(p.numel() for p in built.core.parameters()),
        outputs=len(labels),
        convolutional=any(isinstance(part, torch.nn.Conv2d) for part in built.core.modules()),
        preprocessing=_plain(built.preprocessing),
        preprocessing_origin=built.preprocessing.origin,
        label_space=labels.space,
        label_proof=labels.proof,
        classes=labels.classes if labels.space.startswith(("custom", OWN)) else None,
    )
    is_binary = (built.outputs, len(labels)) == (1, 2)
    return LoadedModel(identity, LogitsOnly(built.core, is_binary=is_binary).eval())


def _plain(preprocessing: Preprocessing) -> Preprocessing:
    """Without what says nothing about pixels."""
    return preprocessing.model_copy(update={"origin": "", "crop_pct": None})


def _with_input(loaded: LoadedModel, preprocessing: Preprocessing) -> LoadedModel:
    update = {"preprocessing": _plain(preprocessing), "stated": loaded.identity.preprocessing}
    return replace(loaded, identity=loaded.identity.model_copy(update=update))


def _check_input(loaded: LoadedModel) -> None:
    """Raises UsageError: the network can't take the images that its preprocessing makes."""
    import torch

    identity = loaded.identity
    height, width = identity.preprocessing.crop
    try:
        with torch.no_grad():
            loaded.module(torch.zeros(1, 3, height, width, dtype=next(loaded.module.parameters()).dtype))
    except (RuntimeError, ValueError, AssertionError) as error:
        message = f"{identity.title} can't take images of {width}×{height} pixels: {' '.join(str(error).split())[:200]}"
        remedy = "Leave --img-size out, or choose a size that its architecture allows."
        if identity.stated is None:
            remedy = f"Mend the size in {identity.preprocessing_origin}, or give the right one with --img-size."
        raise UsageError(message, remedy=remedy) from error


def build_architecture(spec: ModelSpec, *, seed: int = 0) -> torch.nn.Module:
    """The model's architecture with random weights, for what needs no checkpoint (parameters, MACs, speed).

    Returns a module from normalised images (N, 3, H, W) to logits (N, outputs).

    Raises HarnessError: the registry states no architecture for this model.
    """
    import torch

    from harness.models.wrapping import LogitsOnly

    if spec.architecture is None:
        message = f"The architecture of {spec.reference} is known from its checkpoint only."
        remedy = "Fetch the checkpoint, or use a model of the registry (harness list models)."
        raise HarnessError(message, remedy=remedy, exit_code=ExitCode.MISSING)
    torch.manual_seed(seed)
    with _quiet_libraries():
        return LogitsOnly(spec.architecture.build()).eval()


def _labels(spec: ModelSpec, built: BuiltModel, chosen: Labels) -> OutputLabels:
    """What each output stands for: as the user says, else as the checkpoint's names prove, else as documented."""
    if chosen is not None:
        return declared_outputs(chosen, built.outputs, proof="named by the user (--labels)")
    space, proof = built.declared or (None, "")
    if spec.label_space is not None:
        space, proof = spec.label_space, f"documented: {spec.because}"
    if built.names is not None:
        try:
            return prove_outputs(built.names, built.note)
        except UnprovenLabelsError as error:
            if space is None:
                raise
            proof += f"; the checkpoint's own label names don't prove it ({error.message})"
    if space is None:
        raise UnprovenLabelsError(f"The checkpoint of {spec.reference} carries no label names.")
    return declared_outputs(space, built.outputs, proof=proof)


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
