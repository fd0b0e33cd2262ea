"""From stored predictions to evidence: which metrics a benchmark gets, under which names, with which n, N and protocol.

Reads predictions only, never a model. `METRIC_GROUPS` is the table behind a suite's `metrics:`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from harness.data.annotations import real_labels
from harness.data.catalog import CLEAN_CROPS, Benchmark
from harness.evidence import CODE, Evidence, EvidenceClass, EvidenceKey, Fingerprints, Interval
from harness.labels.outputs import OutputLabels
from harness.labels.projections import CLOSED, OPEN, LabelSpaceProjection, descendant_outputs
from harness.labels.spaces import LABEL_SPACES, label_space
from harness.metrics.accuracy import accuracy, is_correct, is_in_sets, top1, top1_real, top5
from harness.metrics.calibration import calibration
from harness.metrics.corruption import CorruptionErrors, corruption_scores
from harness.metrics.robustness import accuracy_drop, baselines, effective_robustness
from harness.metrics.types import BoolArray, Estimate, LabelSpacePredictions, MetricUnavailable

REFERENCE = "imagenet-val"
"""The benchmark that shifted sets are compared with."""

_UNITS = {
    "top1": "%",
    "top5": "%",
    "nll": "nats",
    "ece": "%",
    "mean-confidence": "%",
    "accuracy-drop": "points",
    "effective-robustness": "points",
    "ce": "%",
    "relative-ce": "%",
    "mce": "%",
    "relative-mce": "%",
    "mean-error": "%",
}


@dataclass(frozen=True, eq=False)
class Scored:
    """The predictions of one condition, unreadable images left out."""

    benchmark: Benchmark
    condition: str | None
    sample_ids: Sequence[str]
    predictions: Mapping[str, LabelSpacePredictions]
    """As stored: a label of -1 means that the sample's class is not in the readout's space."""
    projections: Mapping[str, LabelSpaceProjection]
    """The maps behind the predictions; empty for imported predictions."""
    outputs: OutputLabels | None
    """What the model's outputs stand for; None for imported predictions."""
    weights: str | None
    data: str
    """Fingerprint of the samples."""
    protocol: Mapping[str, Any]
    command: str
    unreadable: int = 0
    variant: str = ""
    """What sets this protocol apart from the default one in evidence keys, e.g. `bf16` or `no-jpeg`."""

    table: pd.DataFrame | None = None
    """The benchmark's own annotations, indexed by sample id; None where it comes with none. `classes` holds the right
    classes of each sample where there may be several."""

    @property
    def prefix(self) -> str:
        """First part of the evidence keys."""
        return self.benchmark.name if self.condition is None else f"{self.benchmark.name}/{self.condition}"

    @cached_property
    def closed(self) -> LabelSpacePredictions:
        """The benchmark's own label space; classes that the model has no output for count as wrong."""
        return without_missing_classes(self.predictions[CLOSED])

    def correct(self, k: int = 1) -> BoolArray:
        """Whether one of the k best classes is right (n,), by the benchmark's own labels.

        Raises:
            MetricUnavailable: fewer than k classes were stored a sample (imports), or several classes may be right and the
                table that names them is not here.
        """
        if not self.benchmark.label_sets:
            return is_correct(self.closed, k)
        if self.table is None:
            raise MetricUnavailable(f"The table of {self.benchmark.name}, which names the right classes, is not here.")
        return is_in_sets(self.closed, self.table["classes"].loc[list(self.sample_ids)].tolist(), k)

    @cached_property
    def annotations(self) -> str | None:
        """SHA-256 of the sets of right classes; None where a label says what is right."""
        if self.table is None or not self.benchmark.label_sets:
            return None
        rows = self.table["classes"].loc[list(self.sample_ids)]
        return hashlib.sha256("".join(sorted(f"{i} {classes}\n" for i, classes in rows.items())).encode()).hexdigest()

    def in_space(self, name: str) -> LabelSpacePredictions:
        """The samples whose class belongs to the readout's space, which must be a subset of the benchmark's."""
        readout = self.predictions[name]
        return without_missing_classes(readout.take(readout.label >= 0))


def without_missing_classes(readout: LabelSpacePredictions) -> LabelSpacePredictions:
    """Mark samples whose class the model has no output for: their label becomes -1, so they count as wrong."""
    if readout.target_logit is None:
        return readout
    return replace(readout, label=np.where(np.isnan(readout.target_logit), -1, readout.label).astype(np.int32))


@dataclass(frozen=True)
class ScoredMetric:
    """One metric of one condition before it becomes evidence."""

    scored: Scored
    key: str
    estimate: Estimate | MetricUnavailable
    published: int | None
    """Samples the published benchmark has for this metric."""
    protocol: Mapping[str, Any]
    reason: str | None = None


Conditions = Mapping[str, Scored]
"""Scored conditions by their evidence prefix."""


def _attempt(metric: Callable[..., Estimate], *inputs: Any) -> Estimate | MetricUnavailable:
    """The metric's estimate, or why it can't be had."""
    try:
        return metric(*inputs)
    except MetricUnavailable as unavailable:
        return unavailable


def _pair(
    scored: Scored, readout: LabelSpacePredictions, where: str, variant: str, published: int | None, reading: str
) -> Iterator[ScoredMetric]:
    """Top-1 and top-5 of one readout."""
    suffix = f":{variant}" if variant else ""
    notes = {"reading": reading}
    for name, metric in (("top1", top1), ("top5", top5)):
        estimate = _attempt(metric, readout)
        yield ScoredMetric(scored, f"{where}.{name}{suffix}", estimate, published, notes)


def accuracy_group(conditions: Conditions, wanted: frozenset[str]) -> Iterator[ScoredMetric]:
    """Accuracy in every label space the protocol asks for.

    Plain `top1`: logits restricted to the benchmark's classes. `:restricted-K`, where the model lacks some of the
    classes: only images of the K it has. `:open`: among all outputs, right if it is the class itself;
    `:open-descendants`: right if it is the class or below it in WordNet.
    """
    for scored in conditions.values():
        size = scored.benchmark.size
        space = label_space(scored.benchmark.label_space)
        missing = scored.projections[CLOSED].missing if CLOSED in scored.projections else 0
        present = len(space) - missing
        if scored.benchmark.label_sets:
            yield from _set_accuracy(scored, present)
            continue
        reading = f"argmax over the {present:,} outputs for the benchmark's {len(space):,} classes"
        if missing:
            reading += f"; images of the {missing} class(es) without an output count as wrong"
        if scored.condition is not None:  # a corruption cell: one number each, there are many
            estimate = _attempt(top1, scored.closed)
            yield ScoredMetric(scored, f"{scored.prefix}.top1", estimate, size, {"reading": reading})
            continue
        yield from _pair(scored, scored.closed, scored.prefix, "", size, reading)
        if missing:
            kept = scored.closed.take(scored.closed.label >= 0)
            reading = f"argmax over {present:,} outputs, on images of these {present:,} classes"
            published = _share(scored.benchmark, present)
            yield from _pair(scored, kept, scored.prefix, f"restricted-{present}", published, reading)
        if OPEN in scored.predictions:
            yield from _open_accuracy(scored, size)
        for name in LABEL_SPACES:
            if name in scored.predictions and name in wanted:
                count = len(label_space(name))
                reading = f"images of the {count} classes of {name}, argmax over these classes"
                where = f"{scored.prefix}@{name}"
                yield from _pair(scored, scored.in_space(name), where, "", _share(scored.benchmark, count), reading)


def _set_accuracy(scored: Scored, present: int) -> Iterator[ScoredMetric]:
    """Top-1 and top-5 where a sample may have several right classes."""
    notes = {
        "reading": f"best of {present:,} outputs, right if it is one of the classes that the image's own table names"
    }
    for name, k in (("top1", 1), ("top5", 5)):
        estimate = _attempt(lambda k: accuracy(scored.correct(k)), k)
        yield ScoredMetric(scored, f"{scored.prefix}.{name}", estimate, scored.benchmark.size, notes)


def _open_accuracy(scored: Scored, size: int) -> Iterator[ScoredMetric]:
    readout = scored.predictions[OPEN]
    outputs = scored.outputs
    width = len(outputs) if outputs is not None else 0
    exact = f"argmax over all {width:,} outputs, right if it is the class itself"
    yield from _pair(scored, readout, scored.prefix, "open", size, exact)
    if outputs is None:
        return
    below = descendant_outputs(outputs, label_space(scored.benchmark.label_space))
    if all(len(found) <= 1 for found in below):
        return
    sets = [below[label] for label in scored.predictions[CLOSED].label]
    reading = {"reading": f"argmax over all {width:,} outputs, right if it is the class or below it in WordNet 3.0"}
    for name, k in (("top1", 1), ("top5", 5)):
        estimate = _attempt(accuracy, is_in_sets(readout, sets, k))
        yield ScoredMetric(scored, f"{scored.prefix}.{name}:open-descendants", estimate, size, reading)


def real_group(conditions: Conditions, benchmark: Benchmark) -> Iterator[ScoredMetric]:
    """Accuracy against ReaL's label sets, from the predictions of the benchmark it is scored from."""
    scored = conditions.get(benchmark.scored_from or "")
    if scored is None:
        return
    sets = real_labels()
    known = [sets.get(sample_id) for sample_id in scored.sample_ids]
    joined = sum(found is not None for found in known)
    published = sum(len(found) > 0 for found in sets.values())
    notes = {"reading": "right if the prediction is in the image's ReaL label set; images with an empty set left out"}
    key = f"{benchmark.name}.top1"
    if joined < len(known):
        first = next(i for i, found in zip(scored.sample_ids, known, strict=True) if found is None)
        why = MetricUnavailable(f"{len(known) - joined} sample ids have no ReaL entry, first {first}.")
        yield ScoredMetric(scored, key, why, published, notes)
        return
    estimate = _attempt(top1_real, scored.predictions[CLOSED], [found or () for found in known])
    yield ScoredMetric(scored, key, estimate, published, notes)


_SCORED_FROM_OTHERS: dict[str, Callable[[Conditions, Benchmark], Iterator[ScoredMetric]]] = {
    "imagenet-real": real_group
}


def calibration_group(conditions: Conditions, wanted: frozenset[str]) -> Iterator[ScoredMetric]:
    """NLL, Brier, ECE and mean confidence on each condition without corruption, in the benchmark's label space."""
    for scored in conditions.values():
        if scored.condition is not None or scored.benchmark.label_sets:
            continue
        notes = {"reading": "softmax over the benchmark's classes"}
        try:
            found: Mapping[str, Estimate | MetricUnavailable] = calibration(scored.closed)
        except MetricUnavailable as unavailable:
            found = dict.fromkeys(("nll", "brier", "ece", "mean-confidence"), unavailable)
        for name, estimate in found.items():
            yield ScoredMetric(scored, f"{scored.prefix}.{name}", estimate, scored.benchmark.size, notes)


def shift_group(conditions: Conditions, wanted: frozenset[str]) -> Iterator[ScoredMetric]:
    """Drop from imagenet-val, on the same classes; accuracy above the line of published models where there is one."""
    reference = conditions.get(REFERENCE)
    if reference is None:
        return
    for scored in conditions.values():
        name = scored.benchmark.name
        if scored is reference or scored.condition is not None or scored.benchmark.same_images_as == REFERENCE:
            continue
        if scored.benchmark.label_sets:  # one label there, any of several here: no drop between the two
            continue
        if not set(label_space(scored.benchmark.label_space).synsets) <= set(label_space("imagenet-1k").synsets):
            continue
        space = scored.benchmark.label_space
        same = reference.closed if space == "imagenet-1k" else reference.in_space(space)
        against = REFERENCE if space == "imagenet-1k" else f"{REFERENCE}@{space}"
        published = scored.benchmark.size + (_share(reference.benchmark, len(label_space(space))) or 0)
        notes = {"reading": f"{against}.top1 minus {name}.top1; n counts both sets"}
        drop = _attempt(accuracy_drop, is_correct(same), is_correct(scored.closed))
        yield ScoredMetric(scored, f"{name}.accuracy-drop", drop, published, notes)
        baseline = baselines().get(name)
        if baseline is None:
            continue
        notes = {"reading": f"{name}.top1 minus the fitted line of published models at {against}.top1"}
        above = _attempt(_above_baseline, name, same, scored.closed)
        outside = None
        if isinstance(above, Estimate) and not baseline.covers(top1(same).value):
            outside = "extrapolated: no published model of the fit has a clean accuracy like this one"
        yield ScoredMetric(scored, f"{name}.effective-robustness", above, published, notes, outside)


def corruption_group(conditions: Conditions, wanted: frozenset[str]) -> Iterator[ScoredMetric]:
    """Corruption errors of each benchmark with corruptions, over the base images that all its cells have in common."""
    by_benchmark: dict[str, list[Scored]] = {}
    for scored in conditions.values():
        if scored.condition is not None:
            by_benchmark.setdefault(scored.benchmark.name, []).append(scored)
    for name, cells in by_benchmark.items():
        benchmark = cells[0].benchmark
        axes = benchmark.corruptions
        corrupted = [scored for scored in cells if "/" in (scored.condition or "")]
        if axes is None or not corrupted:
            continue
        correct = {_cell(scored): _correct_by_id(scored) for scored in corrupted}
        common = [i for i in corrupted[0].sample_ids if all(i in known for known in correct.values())]
        source = conditions.get(f"{name}/{CLEAN_CROPS}") or _clean_crops_of(benchmark, conditions)
        clean = _correct_by_id(source) if source is not None else {}
        combined = pooled(corrupted)
        try:
            errors = CorruptionErrors(
                {cell: np.array([known[i] for i in common], dtype=bool) for cell, known in correct.items()},
                clean=np.array([clean[i] for i in common]) if all(i in clean for i in common) else None,
            )
        except MetricUnavailable as unavailable:
            yield ScoredMetric(combined, f"{name}.mean-error", unavailable, benchmark.size, {})
            continue
        for found in corruption_scores(errors, axes.scored, axes.extra):
            if isinstance(found.estimate, Estimate):  # what lacks cells is pending as the plan says, once
                key = f"{name}{found.key}"
                if key.endswith(":cells-run"):  # another selection of cells is another number
                    key += f"-{hashlib.sha256(repr(sorted(correct)).encode()).hexdigest()[:6]}"
                notes = {"reading": found.reading}
                if "relative" in found.key and source is not None:
                    notes["clean"] = source.prefix
                yield ScoredMetric(combined, key, found.estimate, benchmark.size, notes)


def pooled(cells: Sequence[Scored]) -> Scored:
    """The provenance of a score over many cells: all their samples, all their predictions, no cell's own settings."""
    digest = hashlib.sha256("\n".join(sorted(f"{cell.prefix} {cell.data}" for cell in cells)).encode())
    stored = hashlib.sha256("\n".join(sorted(str(cell.protocol.get("predictions")) for cell in cells)).encode())
    shared = {key: value for key, value in cells[0].protocol.items() if key != "generated"}
    if generated := cells[0].protocol.get("generated"):
        shared["generated"] = {k: v for k, v in generated.items() if k not in ("corruption", "severity")}
    return replace(
        cells[0],
        data=digest.hexdigest(),
        protocol={**shared, "predictions": stored.hexdigest()[:16], "cells": len(cells)},
        unreadable=max(cell.unreadable for cell in cells),
    )


def _cell(scored: Scored) -> tuple[str, int]:
    name, _, severity = (scored.condition or "").partition("/")
    return name, int(severity)


def _correct_by_id(scored: Scored) -> dict[str, bool]:
    return dict(zip(scored.sample_ids, is_correct(scored.closed).tolist(), strict=True))


def _clean_crops_of(benchmark: Benchmark, conditions: Conditions) -> Scored | None:
    """Where to read the clean accuracy beside corrupted images: the same crops if they were run, else, for official files
    only, the images."""
    crops = (
        scored
        for scored in conditions.values()
        if scored.condition == CLEAN_CROPS and scored.benchmark.generated_from == benchmark.same_images_as
    )
    return next(crops, None if benchmark.generated_from else conditions.get(REFERENCE))


def _above_baseline(benchmark: str, reference: LabelSpacePredictions, shifted: LabelSpacePredictions) -> Estimate:
    return effective_robustness(benchmark, top1(reference), top1(shifted))


METRIC_GROUPS: dict[str, Callable[[Conditions, frozenset[str]], Iterator[ScoredMetric]]] = {
    "accuracy": accuracy_group,
    "calibration": calibration_group,
    "shift": shift_group,
    "corruption": corruption_group,
}


def _share(benchmark: Benchmark, classes: int) -> int | None:
    """Published number of images in `classes` classes of a benchmark with equally many in each; None otherwise."""
    per_class, rest = divmod(benchmark.size, len(label_space(benchmark.label_space)))
    return None if rest else per_class * classes


def score(conditions: Conditions, metrics: Sequence[str], scored_from_others: Sequence[Benchmark]) -> list[Evidence]:
    """All evidence of a suite's metrics on the conditions that have predictions.

    Args:
        conditions: by evidence prefix.
        metrics: names in `METRIC_GROUPS`.
        scored_from_others: benchmarks without images of their own, such as ReaL.
    """
    spaces = frozenset(scored.benchmark.label_space for scored in conditions.values())
    scored = [metric for name in metrics for metric in METRIC_GROUPS[name](conditions, spaces)]
    if "accuracy" in metrics:
        for benchmark in scored_from_others:
            scored += _SCORED_FROM_OTHERS[benchmark.name](conditions, benchmark)
    return [to_evidence(metric) for metric in scored]


def with_variant(key: str, variant: str) -> str:
    """An evidence key for another protocol than the default one."""
    return str(EvidenceKey.parse(key).with_variant(variant))


def to_evidence(metric: ScoredMetric) -> Evidence:
    """A metric as a ledger entry: measured, or pending with the reason where the metric can't be had."""
    scored = metric.scored
    common: dict[str, Any] = {
        "key": with_variant(metric.key, scored.variant),
        "fingerprints": Fingerprints(
            weights=scored.weights, data=scored.data, code=CODE, annotations=scored.annotations
        ),
        "protocol": {**scored.protocol, **metric.protocol},
        "command": scored.command,
        "N": metric.published,
    }
    if isinstance(metric.estimate, MetricUnavailable):
        return Evidence(**common, class_=EvidenceClass.PENDING, reason=metric.estimate.reason)
    estimate = metric.estimate
    interval = None
    if estimate.low is not None and estimate.high is not None:
        interval = Interval(low=estimate.low, high=estimate.high, level=estimate.level, method=estimate.method)
    unreadable = f"{scored.unreadable} unreadable image(s) left out" if scored.unreadable else None
    reasons = [why for why in (metric.reason, unreadable, None if interval else estimate.method) if why]
    return Evidence(
        **common,
        class_=EvidenceClass.MEASURED,
        value=estimate.value,
        unit=_UNITS.get(EvidenceKey.parse(metric.key).metric),
        interval=interval,
        n=estimate.n,
        reason="; ".join(reasons) or None,
    )


def pending(benchmark: Benchmark, metrics: Sequence[str], why: str, command: str, variant: str = "") -> list[Evidence]:
    """Evidence that can be measured but has not been here.

    Args:
        metrics: ends of the keys, such as `.top1` or `/fog/3.top1`.
    """
    return [
        Evidence(
            key=with_variant(f"{benchmark.name}{metric}", variant),
            class_=EvidenceClass.PENDING,
            reason=why,
            command=command,
            N=benchmark.size,
        )
        for metric in metrics
    ]
