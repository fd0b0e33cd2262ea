"""What a model is before it is loaded, and what every model source gives: found files, then a built network.

A model source is a subclass of `Checkpoint` in a module of its own under `sources/`, with a line in the registry.
Nothing here imports torch.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from harness.models.preprocessing import Preprocessing

if TYPE_CHECKING:
    import torch


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


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

    @property
    def weights(self) -> list[Path]:
        """The files that hold tensors."""
        return [file for file in self.files if file.suffix != ".json"]

    def size(self) -> int:
        """Bytes of the weight files."""
        return sum(file.stat().st_size for file in self.weights)


@dataclass(frozen=True)
class BuiltModel:
    """A network with its tensors, before its labels are proven."""

    core: torch.nn.Module
    """Whose state dict and parameters are the model's."""
    library: str
    architecture: str
    outputs: int
    preprocessing: Preprocessing
    names: list[str] | None = None
    """The label names that the checkpoint carries, one an output."""
    note: str | None = None
    """What a reader of a proof by these names should know."""
    remark: str = ""
    """What a reader of its predictions must know, after the proof of its labels."""
    declared: tuple[str, str] | None = None
    """(label space, source) where the library documents the order of the outputs."""


class Checkpoint(_Strict):
    """Where a model's weights are, and how they are found and loaded."""

    kind: str

    @abstractmethod
    def locate(self, spec: ModelSpec, *, offline: bool) -> CheckpointFiles:
        """Find, and unless offline fetch, the files.

        Raises MissingInputError: not here and not to be had: says why and what to do.
        """

    @abstractmethod
    def build(self, spec: ModelSpec, found: CheckpointFiles) -> BuiltModel:
        """Build the network and load its tensors.

        Raises HarnessError: a damaged or incomplete checkpoint, or preprocessing that is not stated.
        """

    def stated_names(self, found: CheckpointFiles) -> tuple[list[str], str | None] | None:
        """What its configuration calls the outputs, and what a reader of that should know; None where only the weights tell.

        Raises HarnessError: a damaged configuration, or one with too few names.
        """
        return None


class Architecture(_Strict):
    """What can be built without weights."""

    library: Literal["transformers", "timm"]
    class_: str = Field(alias="class")
    config: dict[str, Any] = {}
    outputs: int
    source: str

    def build(self) -> torch.nn.Module:
        """The network with random weights."""
        if self.library == "timm":
            import timm

            return timm.create_model(self.class_, pretrained=False, num_classes=self.outputs)
        import transformers

        fields = dict(self.config)
        config = transformers.AutoConfig.for_model(fields.pop("model_type"), num_labels=self.outputs, **fields)
        return getattr(transformers, self.class_)(config)


class ModelSpec(_Strict):
    """A model as asked for, before anything is loaded."""

    name: str
    """Short name, safe as a file name."""
    reference: str
    """What gives this model again on another machine, e.g. `hf:facebook/regnet-y-040`."""
    title: str
    checkpoint: Checkpoint
    architecture: Architecture | None = None
    preprocessing: Preprocessing | None = None
    """Of the registry; what the checkpoint itself states takes precedence."""
    label_space: str | None = None
    because: str | None = None
    """Source for the label space."""
