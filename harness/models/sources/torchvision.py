"""Models published with torchvision: `torchvision:NAME[@WEIGHTS]`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from harness.errors import MissingInputError, require_known
from harness.models.preprocessing import from_torchvision
from harness.models.specs import BuiltModel, Checkpoint, CheckpointFiles, ModelSpec
from harness.models.tensors import load_strictly, read_tensors


class TorchvisionCheckpoint(Checkpoint):
    """Weights published with torchvision."""

    kind: Literal["torchvision"] = "torchvision"
    name: str
    weights: str | None = None

    def locate(self, spec: ModelSpec, *, offline: bool) -> CheckpointFiles:
        import torch

        url = self._published().url
        file = Path(torch.hub.get_dir()) / "checkpoints" / Path(url).name
        if not file.is_file() and offline:
            message = f"The weights of {spec.reference} are not on this machine, and this run is offline."
            remedy = f"With network, run once without --offline; they are kept in {file.parent}."
            raise MissingInputError(message, remedy=remedy)
        if not file.is_file():
            try:
                torch.hub.load_state_dict_from_url(url, check_hash=True, weights_only=True, progress=False)
            except (OSError, RuntimeError) as error:
                message = f"The weights of {spec.reference} could not be fetched ({type(error).__name__})."
                remedy = f"Check the network, or put the file {file.name} into {file.parent}."
                raise MissingInputError(message, remedy=remedy) from error
        return CheckpointFiles(file.parent, (file,))

    def build(self, spec: ModelSpec, found: CheckpointFiles) -> BuiltModel:
        import torchvision

        weights = self._published()
        names = list(weights.meta["categories"])
        (file,) = found.files
        core = torchvision.models.get_model(self.name, weights=None, num_classes=len(names))
        load_strictly(core, read_tensors(file), file)
        preprocessing = from_torchvision(weights.transforms(), f"torchvision {weights}")
        return BuiltModel(core, "torchvision", self.name, len(names), preprocessing, names)

    def _published(self) -> Any:
        """Torchvision's own record of the weights, an untyped enumeration."""
        import torchvision

        known = torchvision.models.list_models(module=torchvision.models)
        require_known("torchvision model", self.name, known)
        options = torchvision.models.get_model_weights(self.name)
        if self.weights is None:
            return options.DEFAULT
        require_known(f"weights of {self.name}", self.weights, options.__members__)
        return options[self.weights]


def resolve_torchvision(rest: str) -> ModelSpec:
    """The model of `torchvision:NAME[@WEIGHTS]`."""
    name, _, weights = rest.partition("@")
    return ModelSpec(
        name=f"torchvision--{name}" + (f"--{weights}" if weights else ""),
        reference=f"torchvision:{rest}",
        title=f"torchvision {rest}",
        checkpoint=TorchvisionCheckpoint(name=name, weights=weights or None),
    )
