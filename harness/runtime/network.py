"""Running a network as an ExecutionConfig says: the same arithmetic for predictions and benchmarks.

What decides a digit is set here around every call and put back afterwards, since a library's defaults differ: PyTorch
lets GPUs round float32 products of convolutions to TF32 unless it is told not to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from harness.models.loading import LoadedModel
from harness.models.preprocessing import Preprocessing
from harness.runtime.execution import ExecutionConfig

Forward = Callable[[torch.Tensor], torch.Tensor]
"""Normalised float32 (N, C, H, W) on the network's device -> float32 logits (N, classes) there."""

_AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}
_MEMORY_FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


def prepare(module: nn.Module, config: ExecutionConfig) -> Forward:
    """A function that runs the network as `config` says, in evaluation mode and without gradients.

    The module is moved to its device and laid out in memory in place; its weights keep their values.
    """
    memory_format = _MEMORY_FORMATS[config.memory_format]
    module.to(device=config.device, memory_format=memory_format).eval()  # type: ignore[call-overload]
    run = torch.compile(module) if config.compiled else module
    dtype = _AUTOCAST.get(config.precision)

    def forward(images: torch.Tensor) -> torch.Tensor:
        with (
            torch.inference_mode(),
            tf32_products(config.precision == "tf32"),
            torch.autocast(config.device_type, dtype=dtype, enabled=dtype is not None),
        ):
            return run(images.contiguous(memory_format=memory_format)).float()

    return forward


@dataclass(frozen=True)
class Network:
    """A model ready to run on encoded images' pixels."""

    forward: Forward
    preprocessing: Preprocessing
    config: ExecutionConfig
    outputs: int

    @classmethod
    def of(cls, loaded: LoadedModel, config: ExecutionConfig) -> Network:
        """A loaded model as `config` says; its module is moved and laid out in place."""
        identity = loaded.identity
        return cls(prepare(loaded.module, config), identity.preprocessing, config, identity.outputs)

    def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
        """
        Args:
            pixels: uint8 (N, 3, H, W), on the CPU.

        Returns:
            float32 (N, outputs), on the network's device.
        """
        count = len(pixels)
        if self.config.compiled and count < self.config.batch_size:  # else it is compiled again for another shape
            black = pixels.new_zeros(self.config.batch_size - count, *pixels.shape[1:])
            pixels = torch.cat([pixels, black])
        images = self.preprocessing.normalise(to_device(pixels, torch.device(self.config.device)))
        return self.forward(images)[:count]


def to_device(pixels: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Pixels from the CPU on a device; on CUDA through pinned memory, so that the copy is not waited for."""
    return pixels.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else pixels.to(device)


@contextmanager
def tf32_products(allowed: bool) -> Iterator[None]:
    """Whether CUDA may round float32 products to TF32 inside; the process's own choice again afterwards.

    By PyTorch's older switches: torch.compile reads them, and refuses to where only the newer ones were set.
    """
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = allowed
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before
