"""A model as a function of pixels: the logits of the network that predicts, exact gradients, nothing changed afterwards."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from harness.errors import HarnessError
from harness.labels.projections import CLOSED, LabelSpaceProjection
from harness.models.modules import from_module
from harness.models.preprocessing import Preprocessing
from harness.runtime.execution import ExecutionConfig
from harness.runtime.gradients import differentiable
from harness.runtime.network import Network

SIDE = 8
PREPROCESSING = Preprocessing(resize=SIDE, crop=SIDE, interpolation="bilinear", mean=(0.5, 0.4, 0.3), std=(0.2,) * 3)
NAMES = ("first", "second", "third")
PROJECTION = LabelSpaceProjection(CLOSED, np.array([2, -1, 0]), np.arange(3), "the third output, none, the first")


def pixels_of(count: int) -> torch.Tensor:
    return torch.randint(256, (count, 3, SIDE, SIDE), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def test_logits_are_those_of_the_network_that_predicts_read_in_the_benchmark_s_classes() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))
    loaded, config = from_module(network, PREPROCESSING, NAMES), ExecutionConfig(memory_format="channels_last")
    pixels = pixels_of(5)
    expected = Network.of(loaded, config)(pixels)
    with differentiable(loaded, PROJECTION, config) as model:
        logits = model(pixels / 255)
        one_by_one = torch.cat([model(one[None] / 255) for one in pixels])
    torch.testing.assert_close(logits[:, [0, 2]], expected[:, [2, 0]])
    assert bool((logits[:, 1] == -torch.inf).all())
    torch.testing.assert_close(one_by_one, logits)
    assert all(parameter.requires_grad for parameter in loaded.module.parameters())


def test_the_gradient_of_a_linear_model_is_its_weights_divided_by_the_standard_deviation() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE * SIDE, 3))
    loaded = from_module(network, PREPROCESSING, NAMES)
    with differentiable(loaded, PROJECTION, ExecutionConfig()) as model:
        pixels = (pixels_of(1) / 255).requires_grad_()
        (gradient,) = torch.autograd.grad(model(pixels)[0, 2], pixels)
    assert network[1].weight.grad is None
    torch.testing.assert_close(gradient.flatten(), network[1].weight[0].detach() / 0.2)


class Detached(nn.Module):
    """Leaves PyTorch on the way, as a network exported to another runtime does."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(images.detach().numpy().mean((2, 3))) * self.weight


def test_a_model_without_gradients_is_refused() -> None:
    loaded = from_module(Detached(), PREPROCESSING, NAMES)
    with (
        pytest.raises(HarnessError, match="has no gradients of its logits by its pixels"),
        differentiable(loaded, PROJECTION, ExecutionConfig()),
    ):
        pass
