"""Small networks of which is known where they look."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np
import pytest
import torch
from torch import nn

from harness.examination.examine import examine_image
from harness.labels.projections import CLOSED, LabelSpaceProjection
from harness.metrics.attribution import ImageMaps
from harness.models.modules import from_module
from harness.models.preprocessing import Preprocessing
from harness.runtime.execution import ExecutionConfig
from harness.runtime.gradients import PixelModel, differentiable

SIDE = 28
PREPROCESSING = Preprocessing(resize=SIDE, crop=SIDE, interpolation="bilinear", mean=(0.5,) * 3, std=(0.25,) * 3)
NAMES = ("nothing", "red")
PROJECTION = LabelSpaceProjection(CLOSED, np.arange(2), np.arange(2), "as they are")
PATCH = (18, 4)
"""Row and column of the upper left corner of a red patch of four by four pixels: cells 9 and 10 down, 2 and 3 across."""


def red_detector() -> nn.Module:
    """Says "red" the more, the more pixels are redder than a threshold; two convolutional layers."""
    network = nn.Sequential(
        nn.Conv2d(3, 2, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(2, 2, 1, bias=False),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(2, 2, bias=False),
    )
    with torch.no_grad():
        network[0].weight.zero_()
        network[0].bias.copy_(torch.tensor([-1.0, 0.0]))
        network[0].weight[:, :, 1, 1] = torch.tensor([[2.0, -1.0, -1.0], [0.1, 0.1, 0.1]])
        network[2].weight.copy_(torch.eye(2)[..., None, None])
        network[6].weight.copy_(torch.tensor([[0.0, 0.5], [200.0, 0.0]]))
    return network


def pixel_model(network: nn.Module) -> AbstractContextManager[PixelModel]:
    return differentiable(from_module(network, PREPROCESSING, NAMES), PROJECTION, ExecutionConfig())


@pytest.fixture
def photograph() -> np.ndarray:
    """Grey noise with the red patch, uint8 (28, 28, 3)."""
    grey = np.random.default_rng(0).integers(90, 166, (SIDE, SIDE, 1), dtype=np.uint8).repeat(3, axis=2)
    row, column = PATCH
    grey[row : row + 4, column : column + 4] = (230, 40, 40)
    return grey


@pytest.fixture
def pixels(photograph: np.ndarray) -> torch.Tensor:
    """The photograph as float32 (1, 3, 28, 28) in [0, 1]."""
    return torch.from_numpy(photograph).permute(2, 0, 1)[None] / 255


@pytest.fixture
def examined(photograph: np.ndarray) -> Callable[..., ImageMaps]:
    """What is found on the photograph under any sample id, taken for red."""
    image = torch.from_numpy(photograph).permute(2, 0, 1)

    def examine(
        model: PixelModel, name: str, methods: list[str], *, label: int = 1, checked: bool = False
    ) -> ImageMaps:
        return examine_image(model, image, (name, f"sha of {name}", label), 1, methods, checked=checked)

    return examine
