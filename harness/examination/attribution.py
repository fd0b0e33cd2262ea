"""Attribution maps: what each part of an image adds to a class's logit, computed by captum and read on a grid of cells.

All methods are read on one grid, so that removing cells by one map or another, or at random, changes an image in the same
way, and only the order tells maps apart. All that compare an image with its absence take the image's mean colour for that.
Images are worked on one at a time and in chunks of a fixed size: no option on batches changes a digit.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from harness.errors import HarnessError, MissingInputError

GRID = 14
"""Cells to a side; of 16 pixels where the input has 224."""
CHUNK = 16
"""Images that go through the network at once."""
INTEGRATION_STEPS = 32

Attribution = Callable[[nn.Module, torch.Tensor, int], torch.Tensor]
"""Model from pixels to logits, pixels float32 (1, 3, H, W) and class -> attributions (1, channels, height, width)."""


class NotApplicableError(Exception):
    """A method can't be used on this kind of network; the message says why, as a sentence for the ledger."""


def mean_colour(pixels: torch.Tensor) -> torch.Tensor:
    """Images (N, 3, H, W) without any content: each channel is the image's mean."""
    return pixels.mean((2, 3), keepdim=True).expand_as(pixels)


def integrated_gradients(model: nn.Module, pixels: torch.Tensor, target: int) -> torch.Tensor:
    """Sundararajan et al. 2017, arXiv:1703.01365, from the image's mean colour."""
    return _captum().IntegratedGradients(model).attribute(
        pixels, mean_colour(pixels), target=target, n_steps=INTEGRATION_STEPS, internal_batch_size=CHUNK
    )  # fmt: skip


def gradient_x_input(model: nn.Module, pixels: torch.Tensor, target: int) -> torch.Tensor:
    """Shrikumar et al. 2016, arXiv:1605.01713, of the difference from the image's mean colour."""
    base = mean_colour(pixels)
    return _captum().InputXGradient(lambda change: model(base + change)).attribute(pixels - base, target=target)


def grad_cam(model: nn.Module, pixels: torch.Tensor, target: int) -> torch.Tensor:
    """Selvaraju et al. 2017, arXiv:1610.02391, on the last convolutional stage; signed, so that all cells have a rank.

    Raises:
        NotApplicableError: the network has no convolutional stage.
    """
    return _captum().LayerGradCam(model, last_stage(model, pixels)).attribute(pixels, target=target)


def occlusion(model: nn.Module, pixels: torch.Tensor, target: int) -> torch.Tensor:
    """Zeiler and Fergus 2014, arXiv:1311.2901: squares of two by two cells, moved by one cell."""
    height, width = cell_size(pixels)
    with torch.no_grad():
        return _captum().Occlusion(model).attribute(
            pixels,
            (3, 2 * height, 2 * width),
            (3, height, width),
            mean_colour(pixels),
            target=target,
            perturbations_per_eval=CHUNK,
        )  # fmt: skip


ATTRIBUTIONS: dict[str, Attribution] = {
    "integrated-gradients": integrated_gradients,
    "gradient-x-input": gradient_x_input,
    "grad-cam": grad_cam,
    "occlusion": occlusion,
}
"""By the name in a suite."""


def _captum() -> Any:
    """Raises MissingInputError: captum is not installed."""
    try:
        import captum.attr
    except ImportError as error:
        raise MissingInputError(
            f"Attributions are computed by captum, which is not installed here ({error}).",
            remedy="Run: pip install 'harness-cards[examination]', then repeat the command.",
        ) from error
    return captum.attr


def grid_of(pixels: torch.Tensor) -> tuple[int, int]:
    """Rows and columns of cells; fewer than `GRID` where an image has fewer pixels."""
    return min(GRID, pixels.shape[2]), min(GRID, pixels.shape[3])


def cell_size(pixels: torch.Tensor) -> tuple[int, int]:
    """Height and width of a cell in pixels, rounded up."""
    rows, columns = grid_of(pixels)
    return -(-pixels.shape[2] // rows), -(-pixels.shape[3] // columns)


def cell_map(method: Attribution, model: nn.Module, pixels: torch.Tensor, target: int) -> torch.Tensor:
    """A method's map of one image, float32 (rows, columns) on the CPU, scaled so that its largest magnitude is 1.

    Raises:
        HarnessError: captum is missing, or an attribution is not finite.
        NotApplicableError: the method can't be used on this kind of network.
    """
    with warnings.catch_warnings():  # captum's: that it sets requires_grad on inputs and hooks on modules
        warnings.simplefilter("ignore", UserWarning)
        found = method(model, pixels, target).detach().float().sum(1, keepdim=True)
    if not bool(found.isfinite().all()):
        raise HarnessError(
            "An attribution is not finite.", remedy="Look for damaged weights, or for a gradient that overflows."
        )
    grid = grid_of(pixels)
    if found.shape[2] < grid[0] or found.shape[3] < grid[1]:
        found = functional.interpolate(found, grid, mode="bilinear", align_corners=False)
    cells = functional.adaptive_avg_pool2d(found, grid)[0, 0].cpu()
    largest = cells.abs().max()
    return cells / largest if largest > 0 else cells


def last_stage(model: nn.Module, pixels: torch.Tensor) -> nn.Module:
    """The last module whose output is laid out as that of the last convolution: the end of the last convolutional stage.

    Raises:
        NotApplicableError: there is no convolution, or only one that cuts the image into patches for what is none.
    """
    images: list[tuple[nn.Module, tuple[int, ...]]] = []

    def note(module: nn.Module, inputs: object, output: object) -> None:
        if isinstance(output, torch.Tensor) and output.dim() == 4 and min(output.shape[2:]) > 1:
            images.append((module, tuple(output.shape[2:])))

    hooks = [module.register_forward_hook(note) for module in model.modules()]
    try:
        with torch.no_grad():
            model(pixels)
    finally:
        for hook in hooks:
            hook.remove()
    convolutions = [(module, size) for module, size in images if isinstance(module, nn.Conv2d)]
    if convolutions:
        last = [module for module, size in images if size == convolutions[-1][1]][-1]
        if len(convolutions) > 1 or last is not convolutions[0][0]:
            return last
    raise NotApplicableError("The network has no convolutional stage whose channels could be weighed.")


@contextmanager
def randomised(model: nn.Module, share: float, size: tuple[int, int]) -> Iterator[None]:
    """The model with the weights of its last layers shuffled, each tensor's among themselves; as it was again afterwards.

    Shuffled weights keep their distribution, which redrawn ones would not. Batch normalisation between shuffled layers
    takes new statistics, from noise, without which the signal would vanish or overflow. After Adebayo et al. 2018,
    "Sanity Checks for Saliency Maps", arXiv:1810.03292, section 3.1, the cascade from the output down.

    Args:
        share: of the layers with weights, from the output; at least one layer, 1.0 for all.
        size: height and width of the input.
    """
    layers = [module for module in model.modules() if next(module.parameters(recurse=False), None) is not None]
    chosen = layers[-max(1, round(share * len(layers))) :]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    generator = torch.Generator().manual_seed(0)
    try:
        with torch.no_grad():
            for layer in chosen:
                for weights in layer.parameters(recurse=False):
                    order = torch.randperm(weights.numel(), generator=generator).to(weights.device)
                    weights.copy_(weights.flatten()[order].view_as(weights))
            norms = [layer for layer in chosen if isinstance(layer, _BatchNorm) and layer.track_running_stats]
            if norms:
                _renew_statistics(model, norms, size, generator)
        yield
    finally:
        model.load_state_dict(before)


def _renew_statistics(
    model: nn.Module, norms: Sequence[Any], size: tuple[int, int], generator: torch.Generator
) -> None:
    """Give batch normalisations the mean and variance that they see on noise as smooth as cells are large."""
    device = next(model.parameters()).device
    noise = torch.rand((CHUNK, 3, GRID, GRID), generator=generator).to(device)
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # then the statistics are those of the one batch
        norm.train()
    model(functional.interpolate(noise, size, mode="bilinear"))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()
