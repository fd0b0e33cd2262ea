"""Latency, throughput and sweeps over batch sizes, which stop where they should."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from harness.runtime.timing import (
    Budget,
    batch_of,
    measure_latency,
    measure_throughput,
    quantile_measurement,
    sweep_batches,
)


def test_batches_repeat_images_and_keep_the_layout() -> None:
    images = torch.arange(2.0).reshape(2, 1, 1, 1).expand(2, 3, 4, 4).contiguous(memory_format=torch.channels_last)
    batch = batch_of(images, 5)
    assert batch[:, 0, 0, 0].tolist() == [0, 1, 0, 1, 0]
    assert batch.is_contiguous(memory_format=torch.channels_last)
    assert batch_of(images.contiguous(), 1).is_contiguous()


QUICK = Budget(relative=0.5, limit_s=0.05, minimum_calls=2, warm_up_calls=1)


def test_real_forward_passes() -> None:
    images = torch.zeros(2, 3, 8, 8)
    forward = torch.nn.Flatten()
    latency = measure_latency(lambda: forward(images[:1]), images.device, QUICK)
    assert latency.images_per_call == 1
    p50, p99 = (quantile_measurement(latency.seconds, quantile).value for quantile in (0.5, 0.99))
    assert p99 >= p50 > 0
    assert measure_throughput(forward, images, QUICK).images_per_call == 2


class Machine:
    """A network whose seconds per image are as told, by batch size; remembers the batches it saw."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seconds_per_image: dict[int, float]) -> None:
        self.seconds_per_image = seconds_per_image
        self.last = 0
        monkeypatch.setattr("harness.runtime.timing.stopwatch", lambda device: self.watch)

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        self.last = len(images)
        if self.last not in self.seconds_per_image:
            raise torch.OutOfMemoryError(f"no memory for {self.last} images")
        return images

    def watch(self, call: Callable[[], object]) -> float:
        call()
        return self.last * self.seconds_per_image[self.last]


def test_sweep_finds_the_best_batch_and_stops_when_throughput_falls(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, {1: 0.5, 2: 0.25, 4: 0.2, 8: 0.3, 16: 0.4, 32: 0.1})
    got = sweep_batches(machine, torch.zeros(1, 3, 2, 2), Budget(limit_s=900), [1, 2, 4, 8, 16, 32])
    assert [p.images_per_call for p in got.points] == [1, 2, 4, 8, 16]
    assert got.ended_by == "throughput fell"
    assert got.best.images_per_call == 4
    assert got.best.throughput.value == pytest.approx(5.0)


def test_sweep_stops_where_memory_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, {1: 0.5, 2: 0.25})
    got = sweep_batches(machine, torch.zeros(1, 3, 2, 2), Budget(limit_s=900), [1, 2, 4])
    assert got.ended_by == "out of memory"
    assert got.best.images_per_call == 2


def test_sweep_does_not_begin_a_batch_that_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    # A tenth of 60 s for each batch size: four images at 2 s an image would take 8 s.
    machine = Machine(monkeypatch, {1: 3.0, 2: 2.0, 4: 2.0})
    got = sweep_batches(machine, torch.zeros(1, 3, 2, 2), Budget(limit_s=60), [1, 2, 4])
    assert [p.images_per_call for p in got.points] == [1, 2]
    assert got.ended_by == "time limit"


def test_no_memory_for_one_image_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(torch.OutOfMemoryError):
        sweep_batches(Machine(monkeypatch, {}), torch.zeros(1, 3, 2, 2), QUICK, [1])
