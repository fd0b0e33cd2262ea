"""What a run would cost: images, time by a short timed probe, disk, and how wide mCE's interval gets."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from harness.evaluation.plan import Plan, generated_cell
from harness.evaluation.until import is_sampled, sampled_benchmarks
from harness.metrics.corruption import widest_mce_half_width
from harness.models.loading import ModelState
from harness.progress import Reporter
from harness.runtime.decoding import GeneratedCell, default_workers
from harness.runtime.tasks import MOST_IMAGES, TASK_SECONDS
from harness.settings import Settings

_PROBE_SECONDS = 4.0
_BYTES_A_ROW = 130
"""Measured size of a stored row with predictions in one label space, compressed."""


@dataclass(frozen=True)
class SampleEstimate:
    """A benchmark that is run until its number is precise enough."""

    benchmark: str
    metric: str
    half_width: float
    """The target, in points."""
    passes: int
    """Expected."""
    all_passes: int
    """Of the benchmark in full."""

    def __str__(self) -> str:
        fewer = self.all_passes / self.passes
        return (
            f"{self.benchmark}: {self.metric} to ± {self.half_width:g} points takes about {self.passes:,} passes instead of "
            f"{self.all_passes:,} ({fewer:.0f} times fewer)"
        )


@dataclass(frozen=True)
class CostEstimate:
    """What running a plan would take on this machine."""

    images: int
    """Images without a stored prediction, where their number is known."""
    unknown: int
    """Conditions whose images are not here to be counted; their published sizes are in `images`."""
    images_per_second: float | None
    """Of the forward pass."""
    probed_on: str
    """Device of the probe, or why there was none."""
    bytes: int
    generated: int
    """Of the images, those that are corrupted first."""
    corruption_seconds: float | None
    """One core's time for one corrupted image, the mean over the planned cells; None where nothing is generated."""
    workers: int
    base_images: int | None
    """Base images in every corruption cell, the most any benchmark has; None without corruptions."""
    missing_images: int = 0
    """Of conditions that can't run yet, by their published sizes; not in `images`."""
    nodes: Mapping[str, int] = field(default_factory=lambda: {"this machine": 1})
    """Workers by machine."""
    speed: float = 1.0
    """How many times the probe's images per second all workers run together."""
    joules_per_image: tuple[float, float, float] | None = None
    """Low, value and high, from the probe's meters: of the forward pass alone; None where no meter tells."""
    samples: tuple[SampleEstimate, ...] = ()
    """What is run until it is precise enough; `images` holds their passes, those stored already among them."""
    measuring_seconds: float = 0.0
    """Time limits of what is measured of the model itself, all together; single slow calls come on top."""
    attacked: int = 0
    """Images that are attacked, which no probe times."""

    @property
    def seconds(self) -> float | None:
        """Time for all; on a CPU the forward pass and the corruptions share its cores."""
        if self.images_per_second is None:
            return None
        forward = self.images / self.images_per_second / self.speed
        corruption = self.generated * (self.corruption_seconds or 0.0) / self.workers / self.speed
        return forward + corruption if self.probed_on == "cpu" else max(forward, corruption)

    @property
    def tasks(self) -> int | None:
        """What is handed to workers at a time, where there are several."""
        count = sum(self.nodes.values())
        if count == 1 or self.images_per_second is None:
            return None
        return math.ceil(self.images / min(TASK_SECONDS * self.images_per_second * self.speed / count, MOST_IMAGES))

    @property
    def missing_time_text(self) -> str:
        """For people: how long the missing conditions would take in forward passes, where a probe was timed."""
        if self.images_per_second is None:
            return ""
        return f", about {self.missing_images / self.images_per_second / self.speed / 3600:.1f} h of forward passes"

    @property
    def work_text(self) -> str:
        """For people: tasks, where they run, and the energy of the forward passes."""
        count, parts = sum(self.nodes.values()), []
        if count > 1:
            where = ", ".join(f"{number} on {node}" for node, number in self.nodes.items())
            tasks = f"{self.tasks:,} tasks for " if self.tasks is not None else ""
            parts.append(f"{tasks}{count} workers: {where}. Their speed is taken to be this machine's.")
        if self.joules_per_image is not None and self.images:
            low, value, high = (kilojoules_text(self.images * joules / 1000) for joules in self.joules_per_image)
            parts.append(f"Energy of the forward passes: about {value} ({low} to {high}).")
        return " ".join(parts)

    @property
    def mce_half_width(self) -> float | None:
        """How far the interval of mCE reaches to either side at most, in points."""
        return widest_mce_half_width(self.base_images) if self.base_images else None

    @property
    def time_text(self) -> str:
        """For people: `about 12 min at 68.1 images/s (cpu)`."""
        attacks = f"attacks on {self.attacked:,} images"
        if self.images == 0:
            return f"unknown ({attacks})" if self.attacked else "nothing to compute"
        seconds = self.seconds
        if seconds is None:
            return f"unknown ({self.probed_on})"
        minutes = f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
        amount = f"{seconds:.0f} s" if seconds < 90 else minutes
        parts = [f"forward pass {self.images_per_second:.1f} images/s on {self.probed_on}"]
        if self.corruption_seconds is not None:
            parts.append(f"corruption {1000 * self.corruption_seconds:.1f} ms an image and core")
        on_top = f"decoding and {attacks} come on top" if self.attacked else "decoding comes on top"
        return f"about {amount} ({', '.join(parts)}; {on_top})"

    @property
    def disk_text(self) -> str:
        """Megabytes, rounded up."""
        return f"{max(1, round(self.bytes / 1e6)):,} MB" if self.bytes else "0 MB"

    def to_dict(self) -> dict[str, Any]:
        derived = {"seconds": self.seconds, "tasks": self.tasks, "mce_half_width": self.mce_half_width}
        return asdict(self) | derived


def kilojoules_text(kilojoules: float) -> str:
    """For people: `3.4 MJ`."""
    if kilojoules >= 1000:
        return f"{kilojoules / 1000:,.1f} MJ"
    return f"{kilojoules:.0f} kJ" if kilojoules >= 10 else f"{kilojoules:.2g} kJ"


def estimate(plan: Plan, reporter: Reporter, *, probe: bool) -> CostEstimate:
    """How many images a plan would compute, and how long that takes by a short timed probe of the model.

    Args:
        probe: load the model and time a few batches; without it the time is unknown.
    """
    images = unknown = generated = 0
    cells: list[GeneratedCell] = []
    base_images: list[int] = []
    samples = []
    for sampled in sampled_benchmarks(plan):
        needed = sampled.passes_needed(known=sampled.is_known(plan))
        name, metric = sampled.benchmark.name, sampled.metric
        samples.append(SampleEstimate(name, metric, sampled.target, needed, sampled.all_passes))
        found = [generated_cell(condition, plan.settings) for condition in sampled.conditions]
        cells += [cell for cell in found if cell is not None]
        images += needed
        generated += needed if any(found) else 0
    until = plan.settings.until
    for condition in (c for c in plan.conditions if c.missing is None and not is_sampled(c.benchmark, until)):
        corrupted = condition.benchmark.corruptions is not None
        count = condition.images
        if count is None:
            unknown += 1
            count = condition.published_images(plan.settings)
        if corrupted:
            base_images.append(count)
        todo = count - (condition.stored or 0)
        images += todo
        cell = generated_cell(condition, plan.settings)
        if cell is not None and todo:
            generated += todo
            cells.append(cell)
    missing = [c for c in plan.conditions if c.missing is not None and not is_sampled(c.benchmark, until)]
    missing_images = sum(condition.published_images(plan.settings) for condition in missing)
    rate, where, joules = None, "no timed probe was asked for", None
    if not plan.model.runnable:
        where = "the weights are not here"
    elif probe and (images or missing_images):
        rate, where, joules = _timed_probe(plan.model, plan.settings, reporter)
    nodes, speed = _workers(plan.settings, reporter)
    return CostEstimate(
        images=images,
        unknown=unknown,
        missing_images=missing_images,
        nodes=nodes,
        speed=speed,
        joules_per_image=joules,
        images_per_second=rate,
        probed_on=where,
        bytes=images * _BYTES_A_ROW,
        generated=generated,
        corruption_seconds=_timed_corruptions(cells) if probe and cells else None,
        workers=plan.settings.workers or default_workers(),
        base_images=max(base_images, default=None),
        samples=tuple(samples),
        measuring_seconds=_measuring_seconds(plan),
        attacked=sum(c.images or 0 for c in plan.runnable) if plan.suite.attacks is not None else 0,
    )


_SPANS = {"latency": 1.0, "throughput": 2.0, "decoding": 2.0, "energy": 1.0}
"""How often each measurement takes its time limit: a throughput is a sweep over batch sizes and its best one again."""
_CHOICE_SECONDS = 20.0


def _measuring_seconds(plan: Plan) -> float:
    """What the suite's measurements take at most, but for calls longer than their limit."""
    named = plan.suite.measurements
    limits = sum(spans for name, spans in _SPANS.items() if name in named) * plan.settings.seconds
    return limits + (_CHOICE_SECONDS if limits or "execution" in named else 0.0)


def _timed_corruptions(cells: list[GeneratedCell]) -> float:
    """One core's seconds for one corrupted image, the mean over the cells; the second of two rounds counts, since the
    first one compiles."""
    crop = np.random.default_rng(0).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    seconds = 0.0
    for _ in range(2):
        start = time.perf_counter()
        for cell in cells:
            cell.apply(crop, "probe")
        seconds = time.perf_counter() - start
    return seconds / len(cells)


def _workers(settings: Settings, reporter: Reporter) -> tuple[dict[str, int], float]:
    """Workers by machine, and how many times as fast as the probe they are together.

    Processors count by their cores, which several workers of a machine share.
    """
    if settings.executor == "ray":
        from harness.runtime.ray_executor import cluster_workers

        return cluster_workers(settings.device, reporter.note)
    devices = settings.device.split(",")
    return {"this machine": len(devices)}, 1.0 if devices[0] == "cpu" else float(len(devices))


def _timed_probe(
    model: ModelState, settings: Settings, reporter: Reporter
) -> tuple[float, str, tuple[float, float, float] | None]:
    """Images per second of the forward pass on random pixels, the device, and joules an image."""
    import torch

    from harness.benchmarking.energy import EnergyUse, meters_for
    from harness.models.loading import load
    from harness.runtime.execution import fixed_config
    from harness.runtime.network import Network

    reporter.note("Timing a few batches")
    loaded = load(model, settings)
    local = replace(settings, device="auto") if settings.executor == "ray" else settings
    config = fixed_config(local, convolutional=loaded.identity.convolutional)
    network = Network.of(loaded, config)
    height, width = loaded.identity.preprocessing.crop
    pixels = torch.randint(0, 256, (min(settings.batch_size, 16), 3, height, width), dtype=torch.uint8)
    network(pixels).cpu()
    meters = meters_for(torch.device(config.device))
    for meter in meters:
        meter.start()
    start, done = time.perf_counter(), 0
    while time.perf_counter() - start < _PROBE_SECONDS:
        network(pixels).cpu()
        done += len(pixels)
    rate, joules = done / (time.perf_counter() - start), EnergyUse(done, tuple(m.read() for m in meters)).joules
    each = (joules.low / done, joules.value / done, joules.high / done) if joules is not None else None
    return rate, config.device, each
