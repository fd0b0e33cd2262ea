"""What is done on a GPU, with PyTorch's and NVIDIA's parts replaced by fakes: no GPU was there when this was written."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch

from harness.benchmarking.energy import NoMeter, meters_for
from harness.benchmarking.memory import peak_memory
from harness.runtime.hardware import describe
from harness.runtime.timing import DEFAULT_BATCHES, stopwatch

GPU = torch.device("cuda", 0)


@dataclass
class Properties:
    """As torch.cuda.get_device_properties gives them."""

    name: str = "NVIDIA Fake 9000"
    uuid: str = "12345678-aaaa-bbbb-cccc-1234567890ab"
    total_memory: int = 80 * 2**30
    major: int = 9
    minor: int = 0


@pytest.fixture
def _properties(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: Properties())


@pytest.mark.usefixtures("_properties")
def test_a_gpu_is_metered_by_its_uuid_and_the_processor_beside_it(nvml: Callable[..., list[str]]) -> None:
    asked = nvml(500, 1_000, 91_000)  # once on opening, then start and read
    processor, gpu = meters_for(GPU)
    assert processor.covers.startswith("CPU")
    gpu.start()
    reading = gpu.read()
    assert asked == ["GPU-12345678-aaaa-bbbb-cccc-1234567890ab"]
    assert (reading.joules.value, reading.metered, reading.covers) == (90.0, True, "GPU: NVIDIA Fake 9000")


@pytest.mark.usefixtures("_properties")
def test_without_nvidia_s_package_the_gpu_has_no_joules_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)  # importing it now raises ImportError
    gpu = meters_for(GPU)[1]
    assert isinstance(gpu, NoMeter)
    assert gpu.read().reason == "the Python package nvidia-ml-py is not installed"


def test_calls_are_timed_by_events_and_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    happened: list[str] = []

    class Event:
        def __init__(self, enable_timing: bool) -> None:
            assert enable_timing
            self.at = 0

        def record(self, stream: str) -> None:
            assert stream == "stream of cuda:0"
            self.at = len(happened)
            happened.append("event")

        def elapsed_time(self, end: Event) -> float:
            assert end.at > self.at
            return 12.5  # milliseconds

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: f"stream of {device}")
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: happened.append("synchronise"))
    assert stopwatch(GPU)(lambda: happened.append("call")) == 0.0125
    assert happened == ["event", "call", "event", "synchronise"]
    assert max(DEFAULT_BATCHES["cuda"]) > max(DEFAULT_BATCHES["cpu"])


def test_peak_memory_is_the_allocator_s(monkeypatch: pytest.MonkeyPatch) -> None:
    happened: list[str] = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: happened.append("synchronise"))
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: happened.append("reset"))
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 100)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 700)
    peak = peak_memory(lambda: happened.append("run"), GPU)
    assert (peak.bytes, peak.before) == (700, 100)
    assert happened == ["synchronise", "reset", "run", "synchronise"]


@pytest.mark.usefixtures("_properties")
def test_the_protocol_names_the_gpu() -> None:
    words = describe(GPU)
    assert (words["gpu"], words["gpu_memory_bytes"], words["gpu_compute_capability"]) == (
        "NVIDIA Fake 9000",
        80 * 2**30,
        "9.0",
    )
