"""A model as a differentiable function of the pixels that it sees: what attacks and attributions work on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import nn

from harness.errors import HarnessError
from harness.labels.projections import LabelSpaceProjection
from harness.models.loading import LoadedModel
from harness.models.preprocessing import Preprocessing
from harness.runtime.engine import DeviceProjection
from harness.runtime.execution import ExecutionConfig
from harness.runtime.network import tf32_products


class PixelModel(nn.Module):
    """From pixels to the logits of a benchmark's classes, with the normalisation inside."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, module: nn.Module, preprocessing: Preprocessing, projection: DeviceProjection) -> None:
        super().__init__()
        self.module = module
        self.projection = projection
        for name in ("mean", "std"):
            statistic = torch.tensor(getattr(preprocessing, name), dtype=torch.float32).view(3, 1, 1)
            self.register_buffer(name, statistic)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """
        Args:
            pixels: float32 (N, 3, H, W) in [0, 1], resized and cropped, in the model's order of channels.

        Returns:
            float32 (N, classes); -inf where the model has no output for a class.
        """
        return self.projection.scores(self.module((pixels - self.mean) / self.std))


@contextmanager
def differentiable(
    loaded: LoadedModel, projection: LabelSpaceProjection, config: ExecutionConfig
) -> Iterator[PixelModel]:
    """A loaded model whose logits can be differentiated by its pixels, inside this block.

    It runs in float32 without TF32, forwards and backwards, in evaluation mode, so that an image's values don't depend on
    the others of its batch. Its weights ask for no gradients meanwhile.

    Args:
        projection: the benchmark's classes among the model's outputs.
        config: where it runs and its memory format; it is moved there in place. Its precision is not used.

    Raises:
        HarnessError: the model has no gradients: an exported or quantised one, or one that leaves PyTorch on the way.
    """
    config = replace(config, precision="fp32", compiled=False)
    memory_format = torch.channels_last if config.memory_format == "channels_last" else torch.contiguous_format
    preprocessing = loaded.identity.preprocessing
    target = DeviceProjection.of(projection, config.device)
    model = PixelModel(loaded.module, preprocessing, target).to(device=config.device, memory_format=memory_format)  # type: ignore[call-overload]
    asking = [parameter for parameter in model.parameters() if parameter.requires_grad]
    with tf32_products(False):
        try:
            model.eval().requires_grad_(False)
            _check_gradients(model, loaded, torch.full((1, 3, *preprocessing.crop), 0.5, device=config.device))
            yield model
        finally:
            for parameter in asking:
                parameter.requires_grad_(True)


def _check_gradients(model: PixelModel, loaded: LoadedModel, pixels: torch.Tensor) -> None:
    try:
        with torch.enable_grad():
            logits = model(pixels.requires_grad_())
            (gradient,) = torch.autograd.grad(logits[logits.isfinite()].sum(), pixels)
    except RuntimeError as error:  # PyTorch's word for whatever can't be differentiated
        raise HarnessError(
            f"{loaded.identity.title} has no gradients of its logits by its pixels: {str(error).splitlines()[0]}",
            remedy="Attacks and attributions need the network in PyTorch and in floating point; load the checkpoint that the "
            "exported or quantised one was made from.",
        ) from error
    if not bool(gradient.isfinite().all()):
        raise HarnessError(
            f"{loaded.identity.title} has gradients that are not finite on a grey image.",
            remedy="Look for damaged weights, or for an operation whose gradient is undefined.",
        )
