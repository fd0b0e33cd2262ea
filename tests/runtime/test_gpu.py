"""On a GPU: fp32 is float32, tf32 is what its name says, and pixels arrive as they left."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from harness.runtime.choosing import candidates, choose
from harness.runtime.execution import ExecutionConfig
from harness.runtime.network import Network, pinned, prepare, tf32_products
from harness.settings import Settings

pytestmark = pytest.mark.gpu


@pytest.fixture
def module() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 64, 3), nn.ReLU(), nn.Conv2d(64, 64, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 12)
    )


def error_on_gpu(module: nn.Module, config: ExecutionConfig) -> float:
    """Largest difference from float64 on the processor, as a share of the largest logit."""
    images = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        exact = deepcopy(module).double()(images.double())
    logits = prepare(deepcopy(module), config)(images.to("cuda"))
    return float((logits.cpu().double() - exact).abs().max() / exact.abs().max())


@pytest.mark.parametrize("memory_format", ["contiguous", "channels_last"])
def test_fp32_is_float32_whatever_the_process_allows(module: nn.Module, memory_format: str) -> None:
    # float32 has 24 bits (6e-8), TF32 has 11 (5e-4): sums of a few hundred products keep well apart.
    with tf32_products(True):
        assert error_on_gpu(module, ExecutionConfig("cuda", memory_format=memory_format)) < 1e-5
    if torch.cuda.get_device_capability() >= (8, 0):
        with tf32_products(False):
            assert error_on_gpu(module, ExecutionConfig("cuda", "tf32", memory_format)) > 1e-5


def test_pixels_arrive_as_they_left(module: nn.Module, network_of: Callable[..., Network]) -> None:
    pixels = torch.randint(0, 256, (8, 8, 8, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
    expected = network_of(module)(pixels)
    torch.testing.assert_close(network_of(module, device="cuda")(pixels).cpu(), expected, rtol=1e-4, atol=1e-5)


def test_every_way_to_run_is_tried(module: nn.Module) -> None:
    settings = Settings(home=Path(), device="cuda", precision="auto", layout="auto")
    allowed = [config for config in candidates(settings, convolutional=True) if not config.compiled]
    choice = choose(module, torch.randn(8, 3, 32, 32, device="cuda"), allowed, description="noise")
    assert len(choice.trials) == 4
    assert choice.chosen.rejected is None


def test_a_graph_gives_the_bits_of_the_same_kernels_launched_one_by_one(
    module: nn.Module, network_of: Callable[..., Network]
) -> None:
    batches = [torch.randint(0, 256, (count, 3, 8, 8), dtype=torch.uint8) for count in (8, 8, 5, 8)]
    for precision in ("fp32", "bf16"):
        network = network_of(module, device="cuda", batch_size=8, precision=precision)
        whole = [functional.pad(batch, (0,) * 7 + (8 - len(batch),)) for batch in batches]
        one_by_one = [network._each_kernel(batch.to("cuda")).cpu() for batch in whole]
        answers = [network(batch) for batch in batches]  # read only when all are under way
        assert network._whole_batch != network._each_kernel
        for answer, expected in zip(answers, one_by_one, strict=True):
            assert torch.equal(answer.cpu(), expected[: len(answer)])


def test_a_module_that_looks_at_a_value_runs_without_a_graph(network_of: Callable[..., Network]) -> None:
    class Looks(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images.mean((2, 3)) * (2.0 if images.sum().item() > 0 else 1.0)

    network = network_of(Looks(), 3, device="cuda", batch_size=4)
    pixels = torch.randint(0, 256, (4, 3, 8, 8), dtype=torch.uint8)
    first, second = network(pixels).cpu(), network(pixels).cpu()
    assert network._whole_batch == network._each_kernel
    assert torch.equal(first, second)


def test_memory_that_processes_write_is_read_as_it_is() -> None:
    """Twice, since what CUDA kept of the first memory would show in the second."""
    for value in (3, 200):
        shared = np.frombuffer(mmap.mmap(-1, 2**22), np.uint8)
        with pinned(shared):
            shared[:] = value
            on_gpu = torch.from_numpy(shared).to("cuda", non_blocking=True)
            assert torch.from_numpy(shared).is_pinned()
            assert bool((on_gpu == value).all())
        assert not torch.from_numpy(shared).is_pinned()


def test_a_batch_beyond_the_memory_runs_in_halves_and_so_do_those_after_it(
    module: nn.Module, network_of: Callable[..., Network]
) -> None:
    pixels = torch.randint(0, 256, (256, 3, 64, 64), dtype=torch.uint8)
    expected = network_of(module, device="cuda", batch_size=256)(pixels).cpu()
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info()
    network = network_of(module, device="cuda", batch_size=256)
    taken = torch.empty(free - 300 * 2**20, dtype=torch.uint8, device="cuda")  # a batch's activations take 500 MB
    answers = [network(pixels).cpu() for _ in range(2)]
    del taken
    assert network.most_images < 256
    for answer in answers:
        torch.testing.assert_close(answer, expected, rtol=1e-4, atol=1e-5)
