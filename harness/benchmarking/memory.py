"""Peak memory of a run: the process's resident memory on a CPU, the allocator's on a GPU.

On Linux the kernel keeps the highest resident size of a process (VmHWM) and resets it on request, so a peak belongs
to the run that was measured and not to whatever came before. Where it can't be reset there is no number: the
lifetime peak would blame this run for earlier ones.
"""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

_PROCESS = Path("/proc/self")
_RESET_PEAK = "5"  # proc(5), /proc/pid/clear_refs: resets the peak resident set size


@dataclass(frozen=True)
class PeakMemory:
    """Highest memory during a run."""

    bytes: int | None
    before: int | None
    """The same measure just before the run: interpreter, libraries and weights."""
    what: str
    """What was measured, for the protocol."""
    reason: str | None = None
    """Why there is no number."""


def peak_memory(run: Callable[[], object], device: torch.device) -> PeakMemory:
    """Highest memory while `run` runs: resident memory of this process, or allocated memory on a CUDA device."""
    return _on_cuda(run, device) if device.type == "cuda" else _of_process(run, _PROCESS)


def _of_process(run: Callable[[], object], process: Path) -> PeakMemory:
    what = (
        "resident memory of the process (VmHWM, reset before the run, unused memory given back first), interpreter, "
        "libraries and weights included"
    )
    _give_back_unused()
    try:
        (process / "clear_refs").write_text(_RESET_PEAK, encoding="ascii")
        before = _status_bytes(process, "VmRSS")
        run()
        return PeakMemory(_status_bytes(process, "VmHWM"), before, what)
    except OSError as error:
        reason = f"the peak resident size can't be reset here ({process / 'clear_refs'}: {error.strerror})"
        return PeakMemory(None, None, what, reason)


def _give_back_unused() -> None:
    """Hand memory that nothing uses back to the system: else what ran before counts as this run's. glibc only."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _status_bytes(process: Path, field: str) -> int:
    """A field of /proc/self/status, which the kernel gives in kB (of 1024 bytes)."""
    for line in (process / "status").read_text(encoding="ascii").splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * 1024
    raise OSError(0, f"no {field} in {process / 'status'}")


def _on_cuda(run: Callable[[], object], device: torch.device) -> PeakMemory:
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    run()
    torch.cuda.synchronize(device)
    what = "memory that PyTorch's allocator had given out on the GPU, weights included, CUDA context left out"
    return PeakMemory(torch.cuda.max_memory_allocated(device), before, what)
