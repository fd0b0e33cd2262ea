"""How fast a network runs here: latency of single images and throughput over batch sizes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from harness.runtime.network import Forward
from harness.runtime.timing import Budget, Timings, measure_throughput, quantile_measurement, stopwatch, time_calls

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


def sweep_batches(forward: Forward, images: torch.Tensor, budget: Budget, sizes: Sequence[int]) -> Sweep:
    """Throughput over rising batch sizes, then the best one again to the full budget.

    The sweep ends early when two batch sizes in a row bring less than the best so far, when a single call at the
    next batch size would take longer than one size's time, or when memory runs out.

    Args:
        forward: the prepared network.
        images: (N, C, H, W); repeated or cut to each batch size.
        budget: for the best batch size; the others get a tenth of its time and a wider interval.
        sizes: rising batch sizes.
    """
    relative, calls = max(0.1, budget.relative), min(3, budget.minimum_calls)
    quick = Budget(relative=relative, limit_s=budget.limit_s / 10, minimum_calls=calls, warm_up_calls=1)
    points: list[Timings] = []
    ended_by: SweepEnd = "all batch sizes measured"
    for size in sizes:
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
