"""Running a network as an ExecutionConfig says: the same arithmetic for predictions and benchmarks.

What decides a digit is set here around every call and put back afterwards, since a library's defaults differ: PyTorch
lets GPUs round float32 products of convolutions to TF32 unless it is told not to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from harness.errors import HarnessError
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


@dataclass
class Network:
    """A model ready to run on encoded images' pixels."""

    forward: Forward
    preprocessing: Preprocessing
    config: ExecutionConfig
    outputs: int
    most_images: int = field(init=False)
    """That are run at once: the batch size, or what fits into memory where that has turned out not to."""
    _whole_batch: Forward | None = field(default=None, init=False, repr=False)
    """How a GPU runs so many images, once there was a batch: a graph, where the module can be captured."""

    def __post_init__(self) -> None:
        self.most_images = self.config.batch_size

    @classmethod
    def of(cls, loaded: LoadedModel, config: ExecutionConfig) -> Network:
        """A loaded model as `config` says; its module is moved and laid out in place."""
        identity = loaded.identity
        return cls(prepare(loaded.module, config), identity.preprocessing, config, identity.outputs)

    def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
        """
        A batch that the device's memory can't hold runs in halves, and so do those after it.

        Args:
            pixels: uint8 (N, 3, H, W), on the CPU.

        Returns:
            float32 (N, outputs), on the network's device; it may still be at work on them.

        Raises:
            HarnessError: a single image does not fit into memory.
        """
        if len(pixels) <= self.most_images:
            try:
                return self._run(pixels)
            except torch.OutOfMemoryError as error:
                if self.most_images == 1:
                    raise HarnessError(
                        f"{self.config.device} has no memory for one image: {str(error).splitlines()[0]}",
                        remedy="Free its memory of other programs, or use another --device.",
                    ) from error
            # Outside of `except`, since the error keeps what the failed call had allocated.
            self.most_images, self._whole_batch = -(-self.most_images // 2), None
            if self.config.device_type == "cuda":
                torch.cuda.empty_cache()
        return torch.cat([self(part) for part in pixels.split(self.most_images)])

    def _run(self, pixels: torch.Tensor) -> torch.Tensor:
        count, on_gpu = len(pixels), self.config.device_type == "cuda"
        there = to_device(pixels, torch.device(self.config.device))
        if on_gpu or self.config.compiled:  # for another number, kernels would be chosen or compiled anew
            there = functional.pad(there, (0, 0, 0, 0, 0, 0, 0, self.most_images - count))
        if not on_gpu or self.config.compiled:
            return self._each_kernel(there)[:count]
        if self._whole_batch is None:
            self._whole_batch = as_run(self._each_kernel, there)
        return self._whole_batch(there)[:count]

    def _each_kernel(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.forward(self.preprocessing.normalise(pixels))


def as_run(forward: Forward, images: torch.Tensor) -> Forward:
    """`forward` as whole batches like `images` run it: by a CUDA graph where they are on a GPU and it can be captured."""
    if images.device.type != "cuda":
        return forward
    try:
        forward(images)
        return captured(forward, images)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError:
        return forward


def captured(call: Callable[[torch.Tensor], torch.Tensor], example: torch.Tensor) -> Forward:
    """`call` as a CUDA graph for inputs of one shape, pinned or on the device; what it returns is the caller's own.

    Raises:
        RuntimeError: it does something that can't be captured.
    """
    graph, held = torch.cuda.CUDAGraph(), torch.empty_like(example)
    held.copy_(example)
    with torch.cuda.device(example.device), torch.cuda.graph(graph, capture_error_mode="thread_local"):
        result = call(held)

    def replay(values: torch.Tensor) -> torch.Tensor:
        held.copy_(values, non_blocking=True)
        graph.replay()
        with torch.inference_mode():
            return result.clone()

    return replay


def to_device(values: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Values from the CPU on a device; on CUDA from pinned memory, so that the copy is not waited for."""
    if device.type != "cuda":
        return values.to(device)
    return (values if values.is_pinned() else values.pin_memory()).to(device, non_blocking=True)


@contextmanager
def pinned(memory: np.ndarray) -> Iterator[None]:
    """Inside, CUDA copies straight from this memory, also where it is shared with other processes.

    It is given back before the memory can go: CUDA would otherwise read the old pages for whatever lies there next.
    """
    runtime = torch.cuda.cudart()
    torch.cuda.check_error(runtime.cudaHostRegister(memory.ctypes.data, memory.nbytes, 0))
    try:
        yield
    finally:
        torch.cuda.synchronize()
        torch.cuda.check_error(runtime.cudaHostUnregister(memory.ctypes.data))


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
