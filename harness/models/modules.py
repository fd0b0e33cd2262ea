"""A model source of another kind: a `torch.nn.Module` of the user's own, handed over in memory."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NoReturn

from harness.errors import HarnessError, MissingInputError
from harness.files import check_name
from harness.labels.outputs import OutputLabels, UnprovenLabelsError, declared_outputs
from harness.labels.spaces import LABEL_SPACES
from harness.models.loading import LoadedModel, ModelState, identified
from harness.models.preprocessing import Preprocessing
from harness.models.specs import BuiltModel, Checkpoint, CheckpointFiles, ModelSpec

if TYPE_CHECKING:
    import torch

_LIBRARIES = ("timm", "torchvision", "transformers")
_LABELS = (
    f"Give labels as the name of a label space ({', '.join(LABEL_SPACES)}), or as a list with the class of each output: "
    "a synset such as n01440764, or a name of your own."
)


class ModuleCheckpoint(Checkpoint):
    """Weights in the memory of the program that called harness: another program can't find them."""

    kind: Literal["module"] = "module"
    class_name: str

    def locate(self, spec: ModelSpec, *, offline: bool) -> CheckpointFiles:
        remedy = "Hand the module over in Python: harness.evaluate(module, SUITE, preprocessing=…, labels=…)."
        raise MissingInputError(f"{spec.title} is a {self.class_name} in the memory of another program.", remedy=remedy)

    def build(self, spec: ModelSpec, found: CheckpointFiles) -> NoReturn:
        raise AssertionError("its files can't be located")


def from_module(
    module: torch.nn.Module, preprocessing: Preprocessing, labels: str | Sequence[str], name: str | None = None
) -> LoadedModel:
    """A network of one's own, ready to be evaluated like a published one.

    The network is copied: it is evaluated as it is now, in float32, and the one given stays as it is. The store knows a
    model by its weights and not by its code, so one whose code changes while its weights don't needs a store of its
    own (HARNESS_HOME).

    Args:
        module: takes normalised float images (N, 3, H, W) and returns logits (N, outputs), or a record that holds
            them as `.logits`.
        preprocessing: how an image becomes its input.
        labels: what its outputs stand for, in their order: the name of a label space such as "imagenet-1k", or a list
            of synsets or of class names, ImageNet's or your own, one an output.
        name: what to call the model, in reports and as a file name; the class's name where it is None.

    Raises:
        HarnessError: weights that are not there yet, outputs that are no logits, labels that don't fit the outputs,
            a name that can't be a file name.

    >>> import torch
    >>> from harness.models.preprocessing import Preprocessing
    >>> pixels = Preprocessing(resize=36, crop=32, interpolation="bilinear", mean=(0.5,) * 3, std=(0.25,) * 3)
    >>> network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 200))
    >>> model = from_module(network, pixels, "imagenet-a-200", name="linear")
    >>> model.identity.outputs, model.identity.label_space
    (200, 'imagenet-a-200')
    """
    name = type(module).__name__ if name is None else name
    check_name(name)
    _check_weights(module)
    core = copy.deepcopy(module).cpu().eval()
    outputs = _count_outputs(core, preprocessing)
    package = type(module).__module__.partition(".")[0]
    library = package if package in _LIBRARIES else "pytorch"
    preprocessing = preprocessing.model_copy(update={"origin": preprocessing.origin or "given with the module"})
    built = BuiltModel(core, library, type(module).__name__, outputs, preprocessing)
    size = sum(tensor.numel() * tensor.element_size() for tensor in core.state_dict().values())
    loaded = identified(_spec(name, built.architecture), built, _labels(labels, built.outputs), size=size)
    loaded.module.float()
    return loaded


def module_state(loaded: LoadedModel) -> ModelState:
    """What a plan needs of a model that `from_module` made."""
    return ModelState(_spec(loaded.identity.name, loaded.identity.architecture), None, loaded.identity, None, loaded)


def _spec(name: str, class_name: str) -> ModelSpec:
    checkpoint = ModuleCheckpoint(class_name=class_name)
    return ModelSpec(name=name, reference=f"MODULE/{name}", title=name, checkpoint=checkpoint)


def _check_weights(module: torch.nn.Module) -> None:
    from torch.nn.parameter import is_lazy

    tensors = [*module.named_parameters(), *module.named_buffers()]
    empty = [name for name, tensor in tensors if tensor.is_meta or is_lazy(tensor)]
    if empty:
        raise HarnessError(
            f"{len(empty)} of the module's {len(tensors)} tensors have no values yet (on the meta device, or lazy): "
            f"{', '.join(empty[:3])}{' …' if len(empty) > 3 else ''}.",
            remedy="Load its weights first.",
        )
    if not tensors:
        raise HarnessError("The module has no weights, so its predictions can't be told from another's.")


def _count_outputs(core: torch.nn.Module, preprocessing: Preprocessing) -> int:
    """The length of the logits, from a forward pass of one image."""
    import torch

    dtype = next((p.dtype for p in core.parameters() if p.is_floating_point()), torch.float32)
    image = torch.zeros(1, 3, *preprocessing.crop, dtype=dtype)
    try:
        with torch.no_grad():
            output = core(image)
    except Exception as error:
        error.add_note(f"The module was tried on one image, a {dtype} tensor of shape {tuple(image.shape)}.")
        raise
    logits = getattr(output, "logits", output)
    if not isinstance(logits, torch.Tensor) or logits.ndim != 2 or len(logits) != 1:
        what = f"a tensor of shape {tuple(logits.shape)}" if isinstance(logits, torch.Tensor) else type(logits).__name__
        message = f"For one image the module returns {what}, not logits of shape (1, outputs)."
        raise HarnessError(message, remedy="Wrap it in a module that returns the logits alone.")
    return logits.shape[1]


def _labels(labels: str | Sequence[str], outputs: int) -> OutputLabels:
    try:
        return declared_outputs(labels, outputs, proof="named by the user (labels=)")
    except UnprovenLabelsError as error:
        raise HarnessError(error.message, remedy=_LABELS) from error
