"""Running a network as a config says: the same answers in every memory format, and no arithmetic but the one asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from harness.errors import HarnessError
from harness.runtime.execution import ExecutionConfig, fixed_config, resolve_device
from harness.runtime.network import Network, prepare, tf32_products
from harness.settings import Settings

PLAIN = ExecutionConfig()


@pytest.fixture
def module() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(6, 3, 12, 12, generator=torch.Generator().manual_seed(1))


def tf32_now() -> tuple[bool, bool]:
    return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32


def test_memory_formats_give_the_same_logits(module: nn.Module, images: torch.Tensor) -> None:
    expected = prepare(module, PLAIN)(images)
    got = prepare(module, ExecutionConfig(memory_format="channels_last"))(images)
    assert module[0].weight.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_reduced_precision_returns_float32_near_the_reference(
    module: nn.Module, images: torch.Tensor, precision: str
) -> None:
    expected = prepare(module, PLAIN)(images)
    got = prepare(module, ExecutionConfig(precision=precision))(images)
    assert got.dtype == torch.float32
    assert module[0].weight.dtype == torch.float32
    torch.testing.assert_close(got, expected, atol=0.02, rtol=0)
    assert not torch.equal(got, expected)


def test_networks_are_evaluated_without_gradients(module: nn.Module, images: torch.Tensor) -> None:
    module.train()
    logits = prepare(module, PLAIN)(images)
    assert not module.training
    assert not logits.requires_grad


class Asked(nn.Module):
    """Notes what PyTorch is allowed while it runs."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.seen = tf32_now()
        return images.mean((2, 3))


@pytest.mark.parametrize("own_choice", [True, False])
def test_fp32_forbids_tf32_while_it_runs_and_puts_the_process_s_own_choice_back(
    images: torch.Tensor, own_choice: bool
) -> None:
    network = Asked()
    with tf32_products(own_choice):
        prepare(network, PLAIN)(images)
        assert tf32_now() == (own_choice, own_choice)
    assert network.seen == (False, False)
    with tf32_products(True):
        assert tf32_now() == (True, True)


def test_the_choice_of_the_process_survives_an_error(images: torch.Tensor) -> None:
    before = tf32_now()
    with pytest.raises(RuntimeError):
        prepare(nn.Linear(7, 2), PLAIN)(images)
    assert tf32_now() == before


def test_tf32_is_not_claimed_where_there_is_none() -> None:
    with pytest.raises(HarnessError, match="Only CUDA devices have tf32; this run is on cpu"):
        fixed_config(Settings(home=Path(), device="cpu", precision="tf32"), convolutional=True)
    assert ExecutionConfig(device="cuda:1", precision="tf32").label == "tf32, contiguous, eager"


def test_unknown_names_get_the_nearest() -> None:
    with pytest.raises(HarnessError, match="bf16"):
        ExecutionConfig(precision="bf61")
    with pytest.raises(HarnessError, match="channels_last"):
        ExecutionConfig(memory_format="channels-last")


@pytest.mark.parametrize(
    ("device", "said"),
    [("cuda:99", "There is no device cuda:99 here"), ("mps", "There is no device mps here"), ("tpv", "is no device")],
)
def test_a_device_that_is_not_here_is_said_not_to_be(monkeypatch: pytest.MonkeyPatch, device: str, said: str) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(HarnessError, match=said):
        resolve_device(device)


def test_what_decides_digits_is_the_protocol() -> None:
    config = ExecutionConfig("cuda:1", "bf16", "channels_last", compiled=True, batch_size=7, workers=3)
    assert config.protocol() == {"precision": "bf16", "layout": "channels_last", "compiled": True, "device": "cuda"}


class Small(torch.nn.Module):
    """Has memory for `most` images at a time."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most, self.seen = most, list[int]()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.seen.append(len(images))
        if len(images) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return images.mean((2, 3))


def test_a_batch_that_does_not_fit_into_memory_runs_in_halves(network_of: Callable[..., Network]) -> None:
    pixels = torch.randint(0, 256, (11, 3, 8, 8), dtype=torch.uint8)
    module = Small(3)
    network = network_of(module, 3, batch_size=11)
    expected = network_of(Small(11), 3, batch_size=11)(pixels)
    torch.testing.assert_close(network(pixels), expected)
    assert module.seen == [11, 6, 3, 3, 3, 2]  # 11 and 6 don't fit; what is left of the eleven goes in threes
    module.seen.clear()
    network(pixels)
    assert module.seen == [3, 3, 3, 2], "what was learnt is kept"


def test_no_memory_for_one_image_is_an_error_and_not_a_traceback(network_of: Callable[..., Network]) -> None:
    with pytest.raises(HarnessError, match="cpu has no memory for one image: CUDA out of memory"):
        network_of(Small(0), 3)(torch.zeros(2, 3, 8, 8, dtype=torch.uint8))
