"""Models whose weights are a state dict inside an installed Python package; the registry states everything else."""

from __future__ import annotations

from typing import Literal

from harness.errors import MissingInputError
from harness.labels.spaces import installed_folder
from harness.models.specs import BuiltModel, Checkpoint, CheckpointFiles, ModelSpec
from harness.models.tensors import in_order, load_strictly, read_tensors


class PackageCheckpoint(Checkpoint):
    """A state dict inside an installed Python package."""

    kind: Literal["package"] = "package"
    package: str
    file: str
    """Path inside the package, may hold a `*`."""
    install: str
    licence: str
    tensors: Literal["by-name", "by-order"]
    """Whether tensors are matched to the architecture by name, or in order with every shape compared."""

    def locate(self, spec: ModelSpec, *, offline: bool) -> CheckpointFiles:
        folder = installed_folder(self.package)
        if folder is None:
            message = f"The weights of {spec.name} are in the package {self.package}, which is not installed."
            raise MissingInputError(message, remedy=f"Run: {self.install}")
        hits = tuple(sorted(folder.glob(self.file)))
        if len(hits) != 1:
            message = f"The package {self.package} holds {len(hits)} files {self.file}, expected one."
            raise MissingInputError(message, remedy=f"Install it again: {self.install}")
        return CheckpointFiles(folder, hits)

    def build(self, spec: ModelSpec, found: CheckpointFiles) -> BuiltModel:
        assert spec.architecture is not None
        assert spec.preprocessing is not None
        (file,) = found.files
        architecture, core = spec.architecture, spec.architecture.build()
        state = read_tensors(file)
        if self.tensors == "by-order":
            state = in_order(state, core.state_dict(), file)
        load_strictly(core, state, file)
        preprocessing = spec.preprocessing.model_copy(update={"origin": f"registry ({architecture.source})"})
        return BuiltModel(core, architecture.library, architecture.class_, architecture.outputs, preprocessing)
