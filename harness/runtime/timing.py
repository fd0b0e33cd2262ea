"""How fast a network runs here: timed calls, until their interval is narrow enough.

A timing is a list of timed calls. The first calls are thrown away (allocation, kernel choice, compilation),
then calls are repeated until the 95 % interval is narrower than a stated share of the value, or until a time limit;
which of the two ended it is part of the result. On a GPU a call is timed by CUDA events and waited for.

Intervals: quantiles by order statistics, which assume nothing about the distribution; means by Student's t. Both
take calls as independent, which calls on a shared machine are not quite: read them as repeatability here and now.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from scipy import stats

from harness.metrics.intervals import LEVEL, student_t
from harness.runtime.network import Forward

Stopwatch = Callable[[Callable[[], object]], float]
WARM_UP_SHARE = 0.25
"""Of the time limit: where calls are slow, fewer than the wanted warm-up calls are made, but one at least."""


@dataclass(frozen=True)
class Budget:
    """When a measurement is good enough, and when it ends anyway."""

    relative: float = 0.03
    """Wanted width of the interval as a share of the value."""
    limit_s: float = 60.0
    """Seconds of timed calls after which the measurement ends with the interval it has."""
    minimum_calls: int = 10
    warm_up_calls: int = 3


@dataclass(frozen=True)
class Measurement:
    """A measured number with its interval, in the unit that its owner names."""

    value: float
    low: float | None
    high: float | None
    """None where so few calls allow no interval at this level."""
    method: str

    @property
    def relative_width(self) -> float:
        """Width of the interval as a share of the value; infinite without an interval."""
        if self.low is None or self.high is None:
            return math.inf
        return (self.high - self.low) / self.value


@dataclass(frozen=True)
class Timings:
    """The timed calls of one measurement, in the order they were made."""

    seconds: tuple[float, ...]
    images_per_call: int
    warm_up_calls: int
    ended_by: Literal["interval", "time limit"]

    @property
    def images_run(self) -> int:
        """Images of all calls, warm-up included."""
        return (len(self.seconds) + self.warm_up_calls) * self.images_per_call

    @property
    def throughput(self) -> Measurement:
        """Images per second: images over mean seconds, the interval from the mean's."""
        mean, images = mean_measurement(self.seconds), self.images_per_call
        low = None if mean.high is None else images / mean.high
        high = None if mean.low is None or mean.low <= 0 else images / mean.low
        return Measurement(images / mean.value, low, high, mean.method)


def quantile_measurement(seconds: Sequence[float], quantile: float) -> Measurement:
    """A quantile with its distribution-free interval from two order statistics.

    The interval runs from the l-th to the u-th smallest of n values, l and u from the binomial distribution of how
    many values lie below the quantile (Conover, Practical Nonparametric Statistics, 3rd ed., §3.2). Where n is too
    small for such u or l, as for p99 with less than about 370 values, there is no interval.
    """
    ordered = np.sort(np.asarray(seconds, dtype=np.float64))
    n = len(ordered)
    tail = (1 - LEVEL) / 2
    lower = int(stats.binom.ppf(tail, n, quantile))
    upper = int(stats.binom.ppf(1 - tail, n, quantile)) + 1
    known = lower >= 1 and upper <= n
    low, high = (float(ordered[lower - 1]), float(ordered[upper - 1])) if known else (None, None)
    return Measurement(float(np.quantile(ordered, quantile)), low, high, f"order statistics, n = {n} calls")


def mean_measurement(values: Sequence[float]) -> Measurement:
    """The mean with Student's t interval; no interval for a single value."""
    method = f"Student's t, n = {len(values)}"
    if len(values) == 1:
        return Measurement(values[0], None, None, method)
    mean, half = student_t(values)
    return Measurement(mean, mean - half, mean + half, method)


def stopwatch(device: torch.device) -> Stopwatch:
    """How calls are timed on a device: a function that makes a call, waits for its end and returns seconds."""

    def by_events(call: Callable[[], object]) -> float:
        stream = torch.cuda.current_stream(device)
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record(stream)
        call()
        end.record(stream)
        torch.cuda.synchronize(device)
        return start.elapsed_time(end) / 1000

    def by_clock(call: Callable[[], object]) -> float:
        if device.type == "mps":
            torch.mps.synchronize()
        start = time.perf_counter()
        call()
        if device.type == "mps":
            torch.mps.synchronize()
        return time.perf_counter() - start

    return by_events if device.type == "cuda" else by_clock


def time_calls(
    call: Callable[[], object],
    *,
    images_per_call: int,
    watch: Stopwatch,
    budget: Budget,
    watched: Callable[[Sequence[float]], Measurement] = mean_measurement,
) -> Timings:
    """Time `call` until the interval of `watched` is narrow enough or the time limit is reached.

    Args:
        call: one step, e.g. a forward pass over a batch, or decoding and a forward pass.
        images_per_call: images that one call handles.
        watch: from `stopwatch(device)`.
        watched: whose relative width decides: the mean, or a quantile.
    """
    warmed, warming = 0, 0.0
    while warmed < budget.warm_up_calls and warming < WARM_UP_SHARE * budget.limit_s:
        warming += watch(call)
        warmed += 1
    # The interval is looked at rarely, since looking often stops at lucky moments.
    seconds: list[float] = []
    spent, next_check = 0.0, float(budget.minimum_calls)
    while True:
        seconds.append(watch(call))
        spent += seconds[-1]
        if len(seconds) >= int(next_check):
            next_check *= 1.5
            if watched(seconds).relative_width < budget.relative:
                return Timings(tuple(seconds), images_per_call, warmed, "interval")
        if spent >= budget.limit_s:
            return Timings(tuple(seconds), images_per_call, warmed, "time limit")


def measure_throughput(forward: Forward, images: torch.Tensor, budget: Budget) -> Timings:
    """Seconds per batch for `images`, (N, C, H, W), on the device."""
    watch = stopwatch(images.device)
    return time_calls(lambda: forward(images), images_per_call=len(images), watch=watch, budget=budget)


# --- latency and throughput -----------------------------------------------------------------------------------------

SweepEnd = Literal[
    "all batch sizes measured", "throughput fell", "out of memory", "time limit", "best batch size of the forward pass"
]

DEFAULT_BATCHES = {"cpu": (1, 2, 4, 8, 16, 32, 64), "cuda": (1, 4, 16, 64, 128, 256, 512, 1024)}
"""Batch sizes of a sweep by device type; any other device sweeps like a CPU."""


@dataclass(frozen=True)
class Sweep:
    """Throughput over batch sizes."""

    points: tuple[Timings, ...]
    """One a batch size, quickly measured."""
    best: Timings
    """The batch size with the highest throughput, measured to the full budget."""
    ended_by: SweepEnd


def measure_latency(call: Callable[[], object], device: torch.device, budget: Budget) -> Timings:
    """Seconds per image at batch 1, until the median's interval is narrow enough.

    Args:
        call: one image through the network.
    """
    return time_calls(
        call,
        images_per_call=1,
        watch=stopwatch(device),
        budget=budget,
        watched=lambda seconds: quantile_measurement(seconds, 0.5),
    )


def sweep_batches(forward: Forward, images: torch.Tensor, budget: Budget, sizes: Sequence[int] = ()) -> Sweep:
    """Throughput over rising batch sizes, then the best one again to the full budget.

    The sweep ends early when two batch sizes in a row bring less than the best so far, when a single call at the
    next batch size would take longer than one size's time, or when memory runs out.

    Args:
        forward: the prepared network.
        images: (N, C, H, W); repeated or cut to each batch size.
        budget: for the best batch size; the others get a tenth of its time and a wider interval.
        sizes: rising batch sizes; `DEFAULT_BATCHES` without any.
    """
    relative, calls = max(0.1, budget.relative), min(3, budget.minimum_calls)
    quick = Budget(relative=relative, limit_s=budget.limit_s / 10, minimum_calls=calls, warm_up_calls=1)
    points: list[Timings] = []
    ended_by: SweepEnd = "all batch sizes measured"
    for size in sizes or DEFAULT_BATCHES.get(images.device.type, DEFAULT_BATCHES["cpu"]):
        if points and size / points[-1].throughput.value > quick.limit_s:
            ended_by = "time limit"
            break
        try:
            points.append(measure_throughput(forward, batch_of(images, size), quick))
        except torch.OutOfMemoryError:
            if not points:
                raise
            ended_by = "out of memory"
            break
        best = max(range(len(points)), key=lambda i: points[i].throughput.value)
        if len(points) - 1 - best >= 2:
            ended_by = "throughput fell"
            break
    batch = batch_of(images, points[best].images_per_call)
    return Sweep(tuple(points), measure_throughput(forward, batch, budget), ended_by)


def batch_of(images: torch.Tensor, size: int) -> torch.Tensor:
    """`size` images, repeating them as often as needed, in the same memory layout."""
    index = torch.arange(size, device=images.device) % len(images)
    channels_last = images.is_contiguous(memory_format=torch.channels_last) and not images.is_contiguous()
    layout = torch.channels_last if channels_last else torch.contiguous_format
    return images[index].contiguous(memory_format=layout)
