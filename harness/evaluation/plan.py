"""Suite × model × data on this machine: what will run, what is stored already, what is missing and how to get it.

A plan loads no weights and downloads nothing unless it is told to fetch; what is missing stays a fact in the plan, so
that a run does what it can and the rest becomes pending evidence.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from harness.data.catalog import CLEAN_CROPS, Benchmark, get_benchmark
from harness.data.local import LocalDataset, open_dataset
from harness.data.locations import Location, available_conditions, locate
from harness.errors import HarnessError, MissingInputError
from harness.evaluation.suites import Suite, SuiteBenchmark
from harness.labels.projections import LabelSpaceProjection, label_space_projections
from harness.metrics.corruption import widest_mce_half_width
from harness.models.loading import ModelIdentity, ModelState, find_model
from harness.models.specs import ModelSpec
from harness.progress import Reporter
from harness.runtime.decoding import GeneratedCell, default_workers
from harness.settings import Settings
from harness.store.predictions import PredictionKey, PredictionStore

CLEAN = "clean"
"""Name in the store of the one condition of a benchmark without corruptions."""
DECODER = "Pillow"
JPEG_QUALITY = 85
"""Of the official ImageNet-C files."""


@dataclass(frozen=True)
class Condition:
    """One cell that is run as a unit."""

    benchmark: Benchmark
    name: str | None
    """`corruption/severity`, or None where the benchmark is one condition."""
    location: Location | None = None
    missing: HarnessError | None = None
    """Why it can't run."""
    images: int | None = None
    """Images this run would use; None before the copy has been opened."""
    stored: int | None = None
    """Of these, already predicted; None while the weights' fingerprint is not known."""
    notes: tuple[str, ...] = ()
    samples: pd.DataFrame | None = field(default=None, repr=False, compare=False)
    """The images this run would use, where the cells of one benchmark share them."""

    @property
    def title(self) -> str:
        """`imagenet-val` or `imagenet-c/fog/3`: the prefix of its evidence keys."""
        return self.benchmark.name if self.name is None else f"{self.benchmark.name}/{self.name}"

    @property
    def images_benchmark(self) -> Benchmark:
        """The benchmark whose files are read: another one where the corruptions are generated."""
        return get_benchmark(self.benchmark.generated_from) if self.benchmark.generated_from else self.benchmark

    @property
    def to_fetch(self) -> bool:
        """Whether its images would have to come from the Hub first."""
        return self.location is not None and self.location.found == "hub"


@dataclass(frozen=True)
class Plan:
    """All of a run before it runs."""

    suite: Suite
    model: ModelState
    conditions: tuple[Condition, ...]
    scored: tuple[Benchmark, ...]
    """Benchmarks that are scored from another one's predictions."""
    settings: Settings = field(repr=False)

    @property
    def runnable(self) -> tuple[Condition, ...]:
        return tuple(c for c in self.conditions if c.missing is None) if self.model.runnable else ()

    def to_dict(self) -> dict[str, Any]:
        """For `--format json`."""
        identity = self.model.identity
        return {
            "suite": self.suite.name,
            "model": {
                "reference": self.model.spec.reference,
                "here": self.model.runnable,
                "missing": str(self.model.missing) if self.model.missing else None,
                "weights": identity.weights if identity else None,
                "preprocessing": identity.preprocessing.model_dump(mode="json") if identity else None,
            },
            "conditions": [
                {
                    "condition": c.title,
                    "images": c.images,
                    "published_images": c.benchmark.size,
                    "stored": c.stored,
                    "location": str(c.location) if c.location else None,
                    "download": c.to_fetch,
                    "missing": str(c.missing) if c.missing else None,
                    "notes": list(c.notes),
                }
                for c in self.conditions
            ],
            "scored": [benchmark.name for benchmark in self.scored],
            "measurements": list(self.suite.measurements),
            "slicings": [list(names) for names in self.suite.slicings],
        }


def make_plan(
    spec: ModelSpec, suite: Suite, settings: Settings, reporter: Reporter, *, fetch_weights: bool, fetch_data: bool
) -> Plan:
    """Find model and data for a suite.

    Args:
        fetch_weights: whether the checkpoint may be downloaded.
        fetch_data: whether data on the Hub may be opened, which downloads it.
    """
    model = find_model(spec, settings, fetch=fetch_weights)
    found: dict[str, list[Condition]] = {}
    scored: list[Benchmark] = []

    def find(entry: SuiteBenchmark) -> list[Condition]:
        benchmark = get_benchmark(entry.name)
        return _conditions(benchmark, entry.conditions(benchmark), model, settings, reporter, fetch_data)

    for entry in suite.benchmarks:
        benchmark = get_benchmark(entry.name)
        if benchmark.scored_from is not None:
            scored.append(benchmark)
            if benchmark.scored_from not in found:
                found[benchmark.scored_from] = find(SuiteBenchmark(name=benchmark.scored_from))
            continue
        conditions = find(entry)
        if entry.fallback is not None and all(c.missing is not None for c in conditions):
            instead = find(entry.model_copy(update={"name": entry.fallback, "fallback": None}))
            if any(c.missing is None for c in instead):
                conditions = instead
            elif (images := get_benchmark(entry.fallback).generated_from) is not None:
                conditions = [replace(c, missing=_or_generated(c.missing, images)) for c in conditions]
        found[conditions[0].benchmark.name] = conditions
        if entry.fallback is not None and any(c.missing is None for c in found.get(entry.name, ())):
            # Official files hold corrupted images only; the same crops without corruption are the stand-in's.
            crops = get_benchmark(entry.fallback)
            clean = _conditions(crops, (CLEAN_CROPS,), model, settings, reporter, fetch_data)
            found.setdefault(crops.name, clean)
    return Plan(suite, model, tuple(c for group in found.values() for c in group), tuple(scored), settings)


def _or_generated(missing: HarnessError | None, images: str) -> HarnessError | None:
    """What is missing, with the easier way to get it."""
    if not isinstance(missing, MissingInputError):
        return missing
    easier = f"It is generated from {images} where that is here: --data {images}=DIR is enough."
    return MissingInputError(missing.message, remedy=f"{easier} For the official files: {missing.remedy}")


def _conditions(
    benchmark: Benchmark,
    names: tuple[str | None, ...],
    model: ModelState,
    settings: Settings,
    reporter: Reporter,
    fetch: bool,
) -> list[Condition]:
    images = get_benchmark(benchmark.generated_from) if benchmark.generated_from else benchmark
    try:
        location = locate(
            images,
            given=settings.data.get(images.name),
            data_home=settings.data_home,
            offline=settings.offline,
        )
    except MissingInputError as error:
        return [Condition(benchmark, name, missing=error) for name in names]
    if location.found == "hub" and not fetch:
        return [Condition(benchmark, name, location) for name in names]
    found = []
    if benchmark.generated_from:
        # All cells have the same base images, which are opened once.
        opened = _opened(Condition(benchmark, names[0], location), model, settings, reporter)
        return [opened if name == names[0] else _as_cell(opened, name, model, settings, reporter) for name in names]
    here = available_conditions(benchmark, location)
    for name in names:
        if name is not None and location.path is not None and name not in here:
            absent = MissingInputError(f"{benchmark.name}: {location} has no folder {name}.", remedy=benchmark.get)
            found.append(Condition(benchmark, name, location, missing=absent))
            continue
        found.append(_opened(Condition(benchmark, name, location), model, settings, reporter))
    return found


def _opened(condition: Condition, model: ModelState, settings: Settings, reporter: Reporter) -> Condition:
    try:
        copy = open_condition(condition, settings, reporter)
    except HarnessError as error:  # one bad copy leaves the others to run
        return replace(condition, missing=error)
    samples = chosen_samples(condition, copy, settings)
    stored = _count_stored(condition, samples, model, settings, reporter)
    shared = samples if condition.benchmark.generated_from else None
    return replace(condition, images=len(samples), stored=stored, notes=tuple(copy.notes), samples=shared)


def _as_cell(
    opened: Condition, name: str | None, model: ModelState, settings: Settings, reporter: Reporter
) -> Condition:
    """Another cell of a generated benchmark whose base images are open already."""
    cell = replace(opened, name=name)
    if opened.samples is None:
        return cell
    return replace(cell, stored=_count_stored(cell, opened.samples, model, settings, reporter))


def _count_stored(
    condition: Condition, samples: pd.DataFrame, model: ModelState, settings: Settings, reporter: Reporter
) -> int | None:
    if model.identity is None:
        return None
    specs = condition_projections(condition, model.identity)
    store = PredictionStore(settings.home, reporter.note)
    _, found = stored_under(store, model.identity, condition, specs, settings)
    return sum(row in found for row in sample_keys(samples))


def sample_keys(samples: pd.DataFrame) -> Iterator[tuple[str, str, int]]:
    """(sample id, digest, label) of each sample: what its stored row is found by."""
    return zip(samples["sample_id"], samples["digest"], samples["label"], strict=True)


def chosen_samples(condition: Condition, copy: LocalDataset, settings: Settings) -> pd.DataFrame:
    """The samples of a copy that a run uses: the first ones of the condition's order, as many as the settings say."""
    return copy.samples.iloc[: settings.images_of(corrupted=condition.benchmark.corruptions is not None)]


def open_condition(condition: Condition, settings: Settings, reporter: Reporter) -> LocalDataset:
    """The samples of a located condition, in its order; fingerprints each image the first time."""
    assert condition.location is not None
    images = condition.images_benchmark
    with reporter.progress(f"Fingerprinting {images.name}", images.size) as advance:
        reached = 0

        def moved(done: int, total: int) -> None:
            nonlocal reached
            advance(done - reached)
            reached = done

        return open_dataset(
            images,
            condition.location,
            condition=condition.name if images is condition.benchmark else None,
            cache=settings.home / "data",
            progress=moved,
        )


def condition_projections(condition: Condition, identity: ModelIdentity) -> list[LabelSpaceProjection]:
    """The label spaces in which a model's logits are read on this condition."""
    return label_space_projections(
        identity.output_labels(), condition.benchmark.label_space, with_subsets=condition.benchmark.clean
    )


def protocol(
    condition: Condition,
    identity: ModelIdentity,
    specs: list[LabelSpaceProjection],
    settings: Settings,
    *,
    logits: bool,
) -> dict[str, Any]:
    """Everything but weights and samples that decides a condition's predictions."""
    cell = generated_cell(condition, settings)
    return {
        "preprocessing": identity.preprocessing.model_dump(mode="json"),
        "decoder": DECODER,
        "input": condition.benchmark.input,
        "precision": settings.precision,
        "projections": {spec.name: spec.fingerprint for spec in specs},
        "logits": logits,
        **({"generated": cell.protocol()} if cell is not None else {}),
    }


def generated_cell(condition: Condition, settings: Settings) -> GeneratedCell | None:
    """The cell to generate, or None where images are read as they are."""
    if condition.benchmark.generated_from is None or condition.name is None:
        return None
    quality = JPEG_QUALITY if settings.corruption_jpeg else None
    return GeneratedCell.parse(condition.name, seed=settings.corruption_seed, jpeg_quality=quality)


def prediction_key(
    condition: Condition,
    identity: ModelIdentity,
    specs: list[LabelSpaceProjection],
    settings: Settings,
    *,
    logits: bool,
) -> PredictionKey:
    """Under what a condition's predictions are stored."""
    return PredictionKey(
        identity.weights,
        condition.benchmark.name,
        condition.name or CLEAN,
        protocol(condition, identity, specs, settings, logits=logits),
    )


def stored_under(
    store: PredictionStore,
    identity: ModelIdentity,
    condition: Condition,
    specs: list[LabelSpaceProjection],
    settings: Settings,
) -> tuple[PredictionKey, set[tuple[str, str, int]]]:
    """The key to use and what is stored under it; predictions kept with all logits serve a run that needs none."""
    with_logits = prediction_key(condition, identity, specs, settings, logits=True)
    if settings.keep_logits:
        return with_logits, store.stored(with_logits)
    plain = prediction_key(condition, identity, specs, settings, logits=False)
    rows, more = store.stored(plain), store.stored(with_logits)
    return (with_logits, more) if len(more) > len(rows) else (plain, rows)


# --- what a run would cost -----------------------------------------------------------------------------------------

_PROBE_SECONDS = 4.0
_BYTES_A_ROW = 130
"""Measured size of a stored row with one readout, compressed."""


@dataclass(frozen=True)
class Estimate:
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
    measuring_seconds: float = 0.0
    """Time limits of what is measured of the model itself, all together; single slow calls come on top."""

    @property
    def seconds(self) -> float | None:
        """Time for all; on a CPU the forward pass and the corruptions share its cores."""
        if self.images_per_second is None:
            return None
        forward = self.images / self.images_per_second
        corruption = self.generated * (self.corruption_seconds or 0.0) / self.workers
        return forward + corruption if self.probed_on == "cpu" else max(forward, corruption)

    @property
    def mce_half_width(self) -> float | None:
        """How far the interval of mCE reaches to either side at most, in points."""
        return widest_mce_half_width(self.base_images) if self.base_images else None

    @property
    def time_text(self) -> str:
        """For people: `about 12 min at 68.1 images/s (cpu)`."""
        if self.images == 0:
            return "nothing to compute"
        seconds = self.seconds
        if seconds is None:
            return f"unknown ({self.probed_on})"
        amount = (
            f"{seconds:.0f} s"
            if seconds < 90
            else f"{seconds / 60:.0f} min"
            if seconds < 5400
            else f"{seconds / 3600:.1f} h"
        )
        parts = [f"forward pass {self.images_per_second:.1f} images/s on {self.probed_on}"]
        if self.corruption_seconds is not None:
            parts.append(f"corruption {1000 * self.corruption_seconds:.1f} ms an image and core")
        return f"about {amount} ({', '.join(parts)}; decoding comes on top)"

    @property
    def disk_text(self) -> str:
        """Megabytes, rounded up."""
        return f"{max(1, round(self.bytes / 1e6)):,} MB" if self.bytes else "0 MB"

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"seconds": self.seconds, "mce_half_width": self.mce_half_width}


def estimate(plan: Plan, reporter: Reporter, *, probe: bool) -> Estimate:
    """How many images a plan would compute, and how long that takes by a short timed probe of the model.

    Args:
        probe: load the model and time a few batches; without it the time is unknown.
    """
    images = unknown = generated = 0
    cells: list[GeneratedCell] = []
    base_images: list[int] = []
    for condition in plan.conditions:
        if condition.missing is not None:
            continue
        corrupted = condition.benchmark.corruptions is not None
        count = condition.images
        if count is None:
            unknown += 1
            count = min(
                condition.benchmark.size, plan.settings.images_of(corrupted=corrupted) or condition.benchmark.size
            )
        if corrupted:
            base_images.append(count)
        todo = count - (condition.stored or 0)
        images += todo
        cell = generated_cell(condition, plan.settings)
        if cell is not None and todo:
            generated += todo
            cells.append(cell)
    rate, where = None, "no timed probe was asked for"
    if not plan.model.runnable:
        where = "the weights are not here"
    elif probe and images:
        rate, where = _timed_probe(plan.model, plan.settings, reporter)
    return Estimate(
        images=images,
        unknown=unknown,
        images_per_second=rate,
        probed_on=where,
        bytes=images * _BYTES_A_ROW,
        generated=generated,
        corruption_seconds=_timed_corruptions(cells) if probe and cells else None,
        workers=plan.settings.workers or default_workers(),
        base_images=max(base_images, default=None),
        measuring_seconds=_measuring_seconds(plan),
    )


_SPANS = {"latency": 1.0, "throughput": 2.0, "decoding": 2.0, "energy": 1.0}
"""How often each measurement takes its time limit: a throughput is a sweep over batch sizes and its best one again."""
_CHOICE_SECONDS = 20.0


def _measuring_seconds(plan: Plan) -> float:
    """What the suite's measurements take at most, but for calls longer than their limit."""
    named = plan.suite.measurements
    limits = sum(spans for name, spans in _SPANS.items() if name in named) * plan.settings.measure_seconds
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


def _timed_probe(model: ModelState, settings: Settings, reporter: Reporter) -> tuple[float, str]:
    """Images per second of the forward pass on random pixels, and the device."""
    import torch

    from harness.models.loading import load_model
    from harness.runtime.execution import fixed_config
    from harness.runtime.network import Network

    assert model.files is not None
    reporter.note("Timing a few batches")
    cache = settings.home / "identities"
    loaded = load_model(model.spec, model.files, label_space=settings.labels, cache=cache)
    network = Network.of(loaded, fixed_config(settings, convolutional=loaded.identity.convolutional))
    height, width = loaded.identity.preprocessing.crop
    pixels = torch.randint(0, 256, (min(settings.batch_size, 16), 3, height, width), dtype=torch.uint8)
    network(pixels).cpu()
    start, done = time.perf_counter(), 0
    while time.perf_counter() - start < _PROBE_SECONDS:
        network(pixels).cpu()
        done += len(pixels)
    return done / (time.perf_counter() - start), network.config.device
