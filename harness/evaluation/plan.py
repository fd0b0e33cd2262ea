"""Suite × model × data on this machine: what will run, what is stored already, what is missing and how to get it.

A plan loads no weights and downloads nothing unless it is told to fetch; what is missing stays a fact in the plan, so
that a run does what it can and the rest becomes pending evidence. Each data set is opened once, here, and stays open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from harness.data.annotations import robustbench_images, with_labels
from harness.data.catalog import CLEAN_CROPS, Benchmark, get_benchmark
from harness.data.local import LocalDataset, open_dataset
from harness.data.locations import Location, available_conditions, locate
from harness.errors import HarnessError, MissingInputError
from harness.evaluation.provenance import RunProvenance
from harness.evaluation.suites import Suite, SuiteBenchmark
from harness.labels.outputs import UnprovenLabelsError
from harness.labels.projections import LabelSpaceProjection, label_space_projections
from harness.labels.spaces import enumerated
from harness.models.loading import ModelIdentity, ModelState, find_model
from harness.models.specs import ModelSpec
from harness.progress import Reporter
from harness.runtime.decoding import GeneratedCell
from harness.runtime.execution import ExecutionConfig, fixed_config
from harness.settings import Settings
from harness.store.predictions import PredictionKey, PredictionStore

CLEAN = "clean"
"""Name in the store of the one condition of a benchmark without corruptions."""
DECODER = "Pillow"
JPEG_QUALITY = 85
"""Of the official ImageNet-C files."""

Confirm = Callable[[str], bool]
"""Asks a person a yes-or-no question."""


@dataclass(frozen=True)
class Condition:
    """One cell that is run as a unit."""

    benchmark: Benchmark
    name: str | None
    """`corruption/severity`, or None where the benchmark is one condition."""
    location: Location | None = None
    missing: HarnessError | None = None
    """Why it can't run."""
    dataset: LocalDataset | None = field(default=None, repr=False, compare=False)
    """Its images; cells that are generated from the same images share them. None before it has been opened."""
    images: int | None = None
    """Images this run would use, the first ones of the data set's order; None before it has been opened."""
    stored: int | None = None
    """Of these, already predicted; None while the weights' fingerprint is not known."""
    is_sample: bool = False
    """Whether its images are a random sample for `--until`."""

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
        """Whether its images have to come from the Hub first."""
        on_hub = self.location is not None and self.location.found == "hub"
        return on_hub and self.dataset is None and self.missing is None

    @property
    def opened(self) -> LocalDataset:
        """Its images, which have been opened."""
        assert self.dataset is not None
        return self.dataset

    @property
    def samples(self) -> pd.DataFrame:
        """The samples this run would use: sample_id, label, digest."""
        return self.opened.samples.iloc[: self.images]

    def published_images(self, settings: Settings) -> int:
        """Images it would have, by the published size of its benchmark and the limits that were asked for."""
        return settings.images_of(self.benchmark.size, corrupted=self.benchmark.corruptions is not None)

    @property
    def notes(self) -> list[str]:
        return self.dataset.notes if self.dataset is not None else []


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

    @property
    def provenance(self) -> RunProvenance:
        """What was asked for, as far as it decides a number."""
        used = [condition.images_benchmark.name for condition in self.conditions]
        used += [benchmark.name for benchmark in self.scored if benchmark.path is not None]
        return RunProvenance.of(self.model.spec, self.suite, self.settings, used)

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
                    "download": c.location is not None and c.location.found == "hub",
                    "missing": str(c.missing) if c.missing else None,
                    "notes": c.notes,
                }
                for c in self.conditions
            ],
            "scored": [benchmark.name for benchmark in self.scored],
            "measurements": list(self.suite.measurements),
            "slicings": [list(names) for names in self.suite.slicings],
        }


def make_plan(
    model: ModelState, suite: Suite, settings: Settings, reporter: Reporter, *, fetch: Confirm | None = None
) -> Plan:
    """Find the data for a suite and open it.

    Args:
        fetch: asked once whether data sets may be downloaded from the Hub; those that may not are missing. Without it
            nothing is asked or downloaded, and what is on the Hub stays unopened.
    """
    found: dict[str, list[Condition]] = {}
    scored: list[Benchmark] = []
    for entry in suite.benchmarks:
        benchmark = suite.benchmark(entry.name)
        if benchmark.classes_from is not None:
            try:
                labels, unknown = model.outputs(settings.labels), _unknown_classes(benchmark, model)
            except HarnessError as error:
                labels, unknown = None, error
            if labels is None:
                found[benchmark.name] = [Condition(benchmark, None, missing=unknown)]
                continue
            benchmark = benchmark.with_classes_of(labels)
        if benchmark.is_own:
            found[benchmark.name] = _at_one_place(benchmark, (None,), settings)
            continue
        if benchmark.scored_from is not None:
            scored.append(with_labels(benchmark, settings))
            source = SuiteBenchmark(name=benchmark.scored_from)
            found.setdefault(benchmark.scored_from, _located(source, settings))
            continue
        conditions = _located(entry, settings)
        if entry.fallback is not None and all(c.missing is not None for c in conditions):
            instead = _located(entry.model_copy(update={"name": entry.fallback}), settings)
            if any(c.missing is None for c in instead):
                conditions = instead
            elif (images := get_benchmark(entry.fallback).generated_from) is not None:
                conditions = [replace(c, missing=_or_generated(c.missing, images)) for c in conditions]
        found[conditions[0].benchmark.name] = conditions
        if entry.fallback is not None and any(c.missing is None for c in found.get(entry.name, ())):
            # Official files hold corrupted images only; the same crops without corruption are the fallback's.
            crops = get_benchmark(entry.fallback)
            if crops.corruptions is not None:
                found.setdefault(crops.name, _at_one_place(crops, (CLEAN_CROPS,), settings))
    conditions = [condition for group in found.values() for condition in group]
    if fetch is not None:
        conditions = _asked(conditions, fetch if model.runnable or settings.yes else lambda question: False)
    opened = _opened(conditions, settings, reporter, fetch=fetch is not None)
    if suite.attacks is not None:
        most = settings.attack_images or suite.attacks.images
        opened = [attacked_part(condition, most) for condition in opened]
    return Plan(suite, model, tuple(opened), tuple(scored), settings)


def attacked_part(condition: Condition, images: int) -> Condition:
    """A condition of which the images to be attacked are left: those of RobustBench's list first, where they are here."""
    if condition.dataset is None:
        return condition
    ids = condition.dataset.samples["sample_id"].tolist()
    order = sorted(range(len(ids)), key=lambda at: ids[at] not in robustbench_images())
    most = min(images, condition.images or images)
    return replace(condition, dataset=condition.dataset.take(order[:most]), images=min(most, len(ids)))


def _unknown_classes(benchmark: Benchmark, model: ModelState) -> HarnessError:
    if model.missing is not None:
        return model.missing
    message = f"The classes of {benchmark.name} are the model's, which has not been loaded yet."
    return MissingInputError(message, remedy="Run it: from then on they are known.")


def _located(entry: SuiteBenchmark, settings: Settings) -> list[Condition]:
    benchmark = get_benchmark(entry.name)
    names = entry.conditions(benchmark)
    if settings.until is not None and benchmark.corruptions is not None:  # what is reported apart is not sampled
        names = tuple(name for name in names if name and name.partition("/")[0] not in benchmark.corruptions.extra)
    return _at_one_place(benchmark, names, settings)


def _at_one_place(benchmark: Benchmark, names: tuple[str | None, ...], settings: Settings) -> list[Condition]:
    images = get_benchmark(benchmark.generated_from) if benchmark.generated_from else benchmark
    try:
        location = locate(
            images, given=settings.data.get(images.name), data_home=settings.data_home, offline=settings.offline
        )
    except MissingInputError as error:
        return [Condition(benchmark, name, missing=error) for name in names]
    if location.found == "hub" or benchmark.generated_from:
        return [Condition(benchmark, name, location) for name in names]
    here = available_conditions(benchmark, location)

    def missing(name: str | None) -> MissingInputError | None:
        if name is None or location.path is None or name in here:
            return None
        return MissingInputError(f"{benchmark.name}: {location} has no folder {name}.", remedy=benchmark.get)

    return [Condition(benchmark, name, location, missing=missing(name)) for name in names]


def _or_generated(missing: HarnessError | None, images: str) -> HarnessError | None:
    """What is missing, with the easier way to get it."""
    if not isinstance(missing, MissingInputError):
        return missing
    easier = f"It is generated from {images} where that is here: --data {images}=DIR is enough."
    return MissingInputError(missing.message, remedy=f"{easier} For the official files: {missing.remedy}")


def _asked(conditions: list[Condition], fetch: Confirm) -> list[Condition]:
    """The conditions after a person was asked about downloads: what nobody agreed to is missing."""
    names = sorted({c.benchmark.name for c in conditions if c.to_fetch})
    if not names or fetch(f"Download {', '.join(names)} from the Hub?"):
        return conditions

    def refused(condition: Condition) -> Condition:
        where = f"it can be downloaded from the Hub ({condition.location})"
        remedy = f"Repeat the command with --yes to download it. {condition.benchmark.get}"
        message = f"{condition.benchmark.name} is not on this machine; {where}."
        return replace(condition, missing=MissingInputError(message, remedy=remedy))

    return [refused(condition) if condition.to_fetch else condition for condition in conditions]


def _opened(conditions: list[Condition], settings: Settings, reporter: Reporter, *, fetch: bool) -> list[Condition]:
    """The conditions with their images; one bad data set leaves the others to run."""
    shared: dict[str, LocalDataset | HarnessError] = {}

    def open_one(condition: Condition) -> Condition:
        if condition.missing is not None or (condition.to_fetch and not fetch):
            return condition
        place = condition.images_benchmark.name if condition.benchmark.generated_from else condition.title
        if place not in shared:
            try:
                shared[place] = open_condition(condition, settings, reporter)
            except HarnessError as error:
                shared[place] = error
        dataset = shared[place]
        if isinstance(dataset, HarnessError):
            return replace(condition, missing=dataset)
        images = settings.images_of(len(dataset), corrupted=condition.benchmark.corruptions is not None)
        if condition.benchmark.is_own:  # its size is known now
            condition = replace(condition, benchmark=dataset.benchmark)
        return replace(condition, dataset=dataset, images=images)

    return [open_one(condition) for condition in conditions]


def open_condition(condition: Condition, settings: Settings, reporter: Reporter) -> LocalDataset:
    """The samples of a located condition, in its order; fingerprints each image the first time."""
    assert condition.location is not None
    images = condition.images_benchmark
    name, cache = condition.name if images is condition.benchmark else None, settings.home / "data"
    with reporter.progress(f"Fingerprinting {images.name}", images.size) as advance:
        return open_dataset(images, condition.location, condition=name, cache=cache, progress=advance)


# --- what is stored ------------------------------------------------------------------------------------------------


def sample_keys(samples: pd.DataFrame) -> Iterator[tuple[str, str, int]]:
    """(sample id, digest, label) of each sample: what its stored row is found by."""
    return zip(samples["sample_id"], samples["digest"], samples["label"], strict=True)


def dry_plan(spec: ModelSpec, suite: Suite, settings: Settings, reporter: Reporter) -> Plan:
    """What a run would do, with the predictions that are stored already counted where the weights are known; nothing is
    fetched or loaded."""
    plan = make_plan(find_model(spec, settings, fetch=False), suite, settings, reporter)
    identity = plan.model.identity
    if identity is None:
        return plan
    config = fixed_config(settings, convolutional=identity.convolutional)
    store = PredictionStore(settings.home, reporter.note)

    def counted(condition: Condition) -> Condition:
        if condition.dataset is None:
            return condition
        projections = condition_projections(condition, identity)
        _, found = stored_under(store, identity, condition, projections, config, settings)
        return replace(condition, stored=sum(row in found for row in sample_keys(condition.samples)))

    return replace(plan, conditions=tuple(counted(condition) for condition in plan.conditions))


def condition_projections(condition: Condition, identity: ModelIdentity) -> list[LabelSpaceProjection]:
    """The label spaces in which a model's logits are read on this condition."""
    benchmark = condition.benchmark
    projections = label_space_projections(
        identity.output_labels(),
        benchmark.space,
        with_subsets=benchmark.clean and not benchmark.is_own,
        through=benchmark.label_map,
    )
    if benchmark.outliers:  # no image shows a class
        return [replace(each, label_map=np.full_like(each.label_map, -1)) for each in projections]
    missing = [
        benchmark.space.classes[index] for index in np.flatnonzero(projections[0].columns[: len(benchmark.space)] < 0)
    ]
    if missing and benchmark.is_own:
        message = (
            f"{benchmark.name} has {len(missing):,} classes that the model has no output for: {enumerated(missing)}."
        )
        raise UnprovenLabelsError(message)
    return projections


def generated_cell(condition: Condition, settings: Settings) -> GeneratedCell | None:
    """The cell to generate, or None where images are read as they are."""
    if condition.benchmark.generated_from is None or condition.name is None:
        return None
    quality = JPEG_QUALITY if settings.corruption_jpeg else None
    return GeneratedCell.parse(condition.name, seed=settings.corruption_seed, jpeg_quality=quality)


def stored_under(
    store: PredictionStore,
    identity: ModelIdentity,
    condition: Condition,
    projections: list[LabelSpaceProjection],
    config: ExecutionConfig,
    settings: Settings,
) -> tuple[PredictionKey, set[tuple[str, str, int]]]:
    """The key of a condition's predictions, everything but the samples that decides them, and what is stored under it.

    Predictions kept with all logits serve a run that needs none.
    """
    cell, benchmark = generated_cell(condition, settings), condition.benchmark

    def key(logits: bool) -> PredictionKey:
        protocol = {
            "preprocessing": identity.preprocessing.model_dump(mode="json"),
            "decoder": DECODER,
            "input": benchmark.input,
            "execution": config.protocol(),
            "projections": {projection.name: projection.fingerprint for projection in projections},
            "logits": logits,
            **({"classes": benchmark.space.fingerprint} if benchmark.is_own else {}),
            **({"generated": cell.protocol()} if cell is not None else {}),
        }
        return PredictionKey(identity.weights, benchmark.name, condition.name or CLEAN, protocol)

    with_logits, plain = key(True), key(False)
    more = store.stored(with_logits)
    if settings.save_logits:
        return with_logits, more
    rows = store.stored(plain)
    return (with_logits, more) if len(more) > len(rows) else (plain, rows)
