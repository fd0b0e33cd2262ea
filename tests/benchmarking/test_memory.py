"""Peak memory of the process: a known allocation shows up, earlier ones don't."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from harness.benchmarking.memory import _of_process, _status_bytes, peak_memory

CPU = torch.device("cpu")
MIB = 2**20


def allocate(mib: int) -> None:
    np.ones(mib * MIB // 8)  # written to, so that it is resident


@pytest.fixture
def _resettable() -> None:
    if peak_memory(lambda: None, CPU).bytes is None:
        pytest.skip("this system can't reset a process's peak resident size")


@pytest.mark.usefixtures("_resettable")
def test_an_allocation_shows_up() -> None:
    got = peak_memory(lambda: allocate(64), CPU)
    assert 60 * MIB < got.bytes - got.before < 80 * MIB


@pytest.mark.usefixtures("_resettable")
def test_what_came_before_does_not_count() -> None:
    allocate(128)
    got = peak_memory(lambda: allocate(8), CPU)
    assert got.bytes - got.before < 64 * MIB


@pytest.mark.usefixtures("_resettable")
def test_memory_that_nothing_uses_any_more_does_not_count() -> None:
    """Small blocks below one that lives stay with the process when they are freed, until they are given back."""
    blocks = [torch.ones(8 * 1024) for _ in range(6000)]  # 6,000 × 32 KiB
    living = [torch.ones(8 * 1024)]
    held = _status_bytes(Path("/proc/self"), "VmRSS")
    del blocks
    got = peak_memory(lambda: living[0].sum(), CPU)
    assert held - got.bytes > 100 * MIB


def test_recorded_status(tmp_path: Path) -> None:
    (tmp_path / "status").write_text("Name:\tpython\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n")
    got = _of_process(lambda: None, tmp_path)
    assert (got.bytes, got.before, got.reason) == (2 * MIB, MIB, None)
    assert (tmp_path / "clear_refs").read_text() == "5"


def test_without_a_reset_there_is_no_number(tmp_path: Path) -> None:
    got = _of_process(lambda: None, tmp_path / "absent")
    assert got.bytes is None
    assert "can't be reset" in got.reason
