"""A linear classifier on small images, for which smallest perturbations are known, and images of its three classes."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from harness.labels.projections import CLOSED, LabelSpaceProjection
from harness.models.modules import from_module
from harness.models.preprocessing import Preprocessing
from harness.runtime.execution import ExecutionConfig
from harness.runtime.gradients import PixelModel, differentiable

SIDE = 8
CLASSES = ("ant", "bee", "cat")
PREPROCESSING = Preprocessing(resize=SIDE, crop=SIDE, interpolation="bilinear", mean=(0.5,) * 3, std=(0.5,) * 3)
IMAGES = 12


@pytest.fixture
def linear() -> nn.Module:
    """Logits are linear in the pixels."""
    torch.manual_seed(3)
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE * SIDE, len(CLASSES)))


@pytest.fixture
def pixels() -> torch.Tensor:
    """uint8 images around mid-grey, so that no perturbation of these tests reaches black or white."""
    return torch.randint(100, 156, (IMAGES, 3, SIDE, SIDE), generator=torch.Generator().manual_seed(1)).to(torch.uint8)


@pytest.fixture
def labels(linear: nn.Module, pixels: torch.Tensor) -> list[int]:
    """What the linear model says; for the last two images something else."""
    found = linear(pixels / 127.5 - 1).argmax(1)
    found[-2:] = (found[-2:] + 1) % len(CLASSES)
    return [int(label) for label in found]


def opened(module: nn.Module) -> AbstractContextManager[PixelModel]:
    """A module as attacks see it."""
    classes = np.arange(len(CLASSES))
    projection = LabelSpaceProjection(CLOSED, classes, classes, "")
    return differentiable(from_module(module, PREPROCESSING, CLASSES), projection, ExecutionConfig())


@pytest.fixture
def folder(tmp_path: Path, pixels: torch.Tensor, labels: list[int]) -> Path:
    """The images as a data set of one's own."""
    for at, (image, label) in enumerate(zip(pixels, labels, strict=True)):
        path = tmp_path / "insects" / CLASSES[label] / f"{at}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(path)
    return tmp_path / "insects"


class Steps(nn.Module):
    """A network that sees pixels in eight steps, whose gradient is 0 everywhere."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.network(torch.round(images * 8) / 8)
