"""How a network is run: one record for predictions and benchmarks, and what it is where nothing is timed."""

from __future__ import annotations

from dataclasses import dataclass

from harness.errors import MissingInputError, UsageError, require_known
from harness.runtime.decoding import default_workers
from harness.settings import AUTO, PRECISIONS, Settings

MEMORY_FORMATS = ("contiguous", "channels_last")


@dataclass(frozen=True)
class ExecutionConfig:
    """Where and how a network runs.

    >>> ExecutionConfig(precision="bf16", memory_format="channels_last").label
    'bf16, channels_last, eager'

    Raises:
        HarnessError: an unknown precision or memory format, or tf32 on a device that has none.
    """

    device: str = "cpu"
    """cpu, cuda, cuda:N or mps."""
    precision: str = "fp32"
    """fp32, tf32 (float32 whose products a GPU rounds to 10 bits), bf16 or fp16 (by autocast)."""
    memory_format: str = "contiguous"
    """contiguous or channels_last."""
    compiled: bool = False
    batch_size: int = 32
    workers: int = 1
    """Decoding threads, or processes beside a GPU."""

    def __post_init__(self) -> None:
        require_known("precision", self.precision, PRECISIONS)
        require_known("layout", self.memory_format, MEMORY_FORMATS)
        if self.precision == "tf32" and self.device_type != "cuda":
            raise UsageError(
                f"Only CUDA devices have tf32; this run is on {self.device}.",
                remedy="Use --precision fp32, or bf16 where it is faster here.",
            )

    @property
    def device_type(self) -> str:
        """cpu, cuda or mps: the device without its number."""
        return self.device.partition(":")[0]

    @property
    def label(self) -> str:
        """For tables."""
        return f"{self.precision}, {self.memory_format}, {'compiled' if self.compiled else 'eager'}"

    def protocol(self) -> dict[str, str | bool]:
        """What of it decides digits: part of the key of predictions and of the protocol of what was measured."""
        return {
            "precision": self.precision,
            "layout": self.memory_format,
            "compiled": self.compiled,
            "device": self.device_type,
        }


def fixed_config(settings: Settings, *, convolutional: bool, device: str | None = None) -> ExecutionConfig:
    """What the settings say without any timing: `auto` counts as the default.

    The default is fp32, not compiled, and channels_last where the network has convolutions.

    Args:
        device: the kind of device of a cluster; without it the settings', of several the first.

    Raises:
        HarnessError: there is no such device, or it lacks the precision.
    """
    layout = settings.layout
    if layout is None or layout == AUTO:
        layout = "channels_last" if convolutional else "contiguous"
    device = device or resolve_device(settings.device.split(",")[0])
    return ExecutionConfig(
        device=device,
        precision="fp32" if settings.precision == AUTO else settings.precision,
        memory_format=layout,
        compiled=settings.compiled,
        batch_size=settings.batch_size,
        workers=settings.workers or default_workers(device.partition(":")[0]),
    )


def resolve_device(name: str) -> str:
    """The torch device that `auto`, `cpu`, `cuda`, `cuda:N` or `mps` means here.

    Raises:
        HarnessError: no such device on this machine.
    """
    if name == "cpu":
        return name
    import torch

    if name == AUTO:
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"'{name}' is no device.", remedy="Use auto, cpu, cuda, cuda:N or mps.") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise MissingInputError(
            f"There is no device {name} here: {torch.cuda.device_count()} GPUs are visible.",
            remedy="Use --device cpu, or look at CUDA_VISIBLE_DEVICES and `harness doctor`.",
        )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise MissingInputError("There is no device mps here: PyTorch finds no Apple GPU.", remedy="Use --device cpu.")
    return name
