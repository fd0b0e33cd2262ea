"""Running until a number is precise enough: which passes, in which order, when to stop, and the evidence.

A benchmark that has the number is not run in full. Each of its cells (one for a benchmark without corruptions) goes through the
images in an order that the sample ids decide, and a look after every few blocks tells whether the interval has come down to the
target; `harness.metrics.sampling` says why looking costs nothing. Passes are stored as any other predictions: what was run before,
for whatever reason, is not run again, and the same command goes on where it stopped. The first target is remembered with the
store, since the share of the error probability that it has must not depend on what was seen.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from harness.corruptions.names import IMAGENET_C
from harness.data.catalog import CLEAN_CROPS, Benchmark, get_benchmark
from harness.errors import HarnessError, UsageError
from harness.evaluation.plan import Condition, Plan, condition_projections, sample_keys, stored_under
from harness.evaluation.scoring import Scored, ScoredMetric, pooled, to_evidence
from harness.evaluation.suites import Suite
from harness.evidence import Evidence, EvidenceKey
from harness.files import write_text
from harness.metrics.corruption import Cell, SampledErrors, corruption_scores
from harness.metrics.intervals import LEVEL
from harness.metrics.sampling import (
    ConfidenceSequence,
    Draws,
    Passes,
    SamplingDesign,
    counted,
    expected_errors,
    fixed_n_half_width,
    mce_weights,
    passes,
    quantile_groups,
)
from harness.metrics.types import Estimate, IntArray
from harness.models.loading import ModelIdentity
from harness.progress import Reporter
from harness.runtime.execution import fixed_config
from harness.settings import Target
from harness.store.predictions import PredictionStore

if TYPE_CHECKING:
    from harness.evaluation.predicting import Load, Predicted

VARIANT = "sampled"
"""Of evidence keys: estimated from a sample of the passes."""
METHOD = "empirical-Bernstein confidence sequence, valid at every look"
_FIXED = "normal, for a fixed number of passes"
_BY_PRODUCT = "by-product of passes that were shared out for another number"
_CLEAN_ERROR = 0.25
"""Expected of a model whose error is published nowhere, on images without corruption."""
_LOOKS = 16
"""A look at least whenever this share of the expected passes has been made."""


@dataclass(frozen=True, eq=False)
class SampledBenchmark:
    """A benchmark that is run until its number is precise enough."""

    benchmark: Benchmark
    conditions: tuple[Condition, ...]
    """With all images; the clean crops, where they are among them, are the last."""
    metric: str
    """`mce`, `mean-error` or `top1`."""
    target: float
    """Half width in points."""

    @cached_property
    def cells(self) -> list[Cell]:
        """Corruption and severity of each condition; ("", 0) without."""
        return [_cell(condition) for condition in self.conditions]

    @cached_property
    def design(self) -> SamplingDesign:
        errors, deviations = expected_errors()
        known = all(cell in errors for cell in self.cells if cell[1])
        default = (0.5, 0.5) if any(severity for _, severity in self.cells) and not known else (_CLEAN_ERROR, 0.43)
        weights = self.weights
        return SamplingDesign.of(
            [weights.get(cell, 0.0) for cell in self.cells],
            [errors.get(cell, default[0]) for cell in self.cells],
            [deviations.get(cell, default[1]) for cell in self.cells],
            self.conditions[0].images or self.benchmark.size,
        )

    @property
    def weights(self) -> Mapping[Cell, float]:
        """What an error of all images in a cell adds to the number, in points."""
        if self.metric == "mce":
            return mce_weights()
        cells = [cell for cell in self.cells if cell[1]] or self.cells
        return dict.fromkeys(cells, 100 / len(cells))

    @property
    def all_passes(self) -> int:
        """Passes of all the images here in all conditions."""
        return self.design.images * len(self.conditions)

    @cached_property
    def orders(self) -> list[IntArray]:
        """For each condition the positions of its images, in the order in which they are run."""
        numbers = {id(c.dataset): _numbers(c.opened.samples["sample_id"].tolist()) for c in self.conditions}
        return [
            np.argsort(_mixed(numbers[id(c.dataset)] ^ _number(c.name or "")), kind="stable") for c in self.conditions
        ]

    def after(self, blocks: int) -> list[Condition]:
        """The conditions with the images of the first blocks, in their order."""
        counts = blocks * self.design.per_block
        return [
            replace(condition, dataset=condition.opened.take(order[:count].tolist()), images=count, is_sample=True)
            for condition, order, count in zip(self.conditions, self.orders, counts.tolist(), strict=True)
        ]

    def sequence(self, first_target: float, *, known: bool) -> ConfidenceSequence:
        return ConfidenceSequence.of(self.design, first_target, known=known)

    def is_known(self, plan: Plan) -> bool:
        """Whether the plan runs the same images without corruption in full."""
        whole = (c for c in plan.runnable if c.dataset is not None and c.images == len(c.dataset))
        return self.metric != "top1" and any(c.title == self.benchmark.same_images_as for c in whole)

    def passes_needed(self, *, known: bool) -> int:
        """Passes that the target is expected to take.

        Args:
            known: whether the predictions of the same images without corruption are.

        Raises:
            HarnessError: more than there are; says which half width can be reached.
        """
        needed = self.sequence(self.target, known=known).passes_to(self.design)
        if needed is not None:
            return needed
        n = np.array([self.design.most_blocks * self.design.block])
        reach = self.target
        while self.sequence(reach, known=known).passes_to(self.design) is None:
            reach *= 1.05
        raise UsageError(
            f"--until {self.metric}:{self.target:g} can't be met with the {self.design.images:,} images of "
            f"{self.benchmark.name} that are here: the most a sample may take, {int(n[0]):,} passes, reach "
            f"± {reach:.2g} points.",
            remedy=f"Give --until {self.metric}:{_rounded_up(reach):g}, or leave it out: all cells are then run on all images.",
        )


def _rounded_up(points: float) -> float:
    return float(np.ceil(points * 10) / 10)


def _cell(condition: Condition) -> Cell:
    corruption, slash, severity = (condition.name or "").partition("/")
    return (corruption, int(severity)) if slash else ("", 0)


def _number(text: str) -> np.uint64:
    return np.uint64(int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little"))


def _numbers(texts: Sequence[str]) -> np.ndarray:
    return np.array([_number(text) for text in texts], dtype=np.uint64)


def _mixed(numbers: np.ndarray) -> np.ndarray:
    """Numbers that look random, one to one: the finaliser of SplitMix64 (Steele, Lea & Flood 2014)."""
    with np.errstate(over="ignore"):
        z = numbers + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(z ^ (z >> np.uint64(31)))


# --- what is sampled ------------------------------------------------------------------------------------------------


def is_sampled(benchmark: Benchmark, target: Target | None) -> bool:
    """Whether a run with this target samples a benchmark instead of running it in full."""
    return target is not None and (benchmark.corruptions is None) == (target.metric == "top1")


def check_target(suite: Suite, target: Target | None) -> None:
    """Refuse a target that a suite has no number for, before anything is opened.

    Raises:
        HarnessError: no benchmark has the number, one would be run in full beside it that is large, or cells are left out.
    """
    if target is None:
        return
    entries = {entry.name: entry for entry in suite.benchmarks}
    corrupted = [name for name in entries if suite.benchmark(name).corruptions is not None]
    if target.metric == "top1":
        if corrupted:
            raise UsageError(
                f"--until {target} would run all cells of {corrupted[0]} in full beside it.",
                remedy="Give --until mce:POINTS or mean-error:POINTS, or a suite without corruptions.",
            )
        if not entries:
            raise UsageError(
                f"The suite {suite.name} has no images, so nothing can be sampled.", remedy="Leave out --until."
            )
        return
    scales = [{cell.partition("/")[0] for cell in _scored_cells(suite.benchmark(name))} for name in corrupted]
    if not scales or (target.metric == "mce" and set(IMAGENET_C) not in scales):
        raise UsageError(
            f"The suite {suite.name} has no {target.metric}.",
            remedy="It can be sampled for top1: --until top1:POINTS."
            if not scales
            else "Give --until mean-error:POINTS.",
        )
    for name in corrupted:
        benchmark = suite.benchmark(name)
        absent = set(_scored_cells(benchmark)) - set(entries[name].conditions(benchmark))
        if absent:
            raise UsageError(
                f"--until {target} is about all scored cells of {name}, and the suite {suite.name} leaves out {len(absent)} of "
                f"them, such as {min(absent)}.",
                remedy="Leave out --until, or take a suite with all cells.",
            )


def _scored_cells(benchmark: Benchmark) -> list[str]:
    axes = benchmark.corruptions
    return [f"{name}/{severity}" for name in axes.scored for severity in axes.severities] if axes else []


def all_or_nothing(plan: Plan) -> Plan:
    """A plan in which a benchmark that is to be sampled is missing where one of its conditions is."""
    gone = {
        c.benchmark.name: c.missing
        for c in plan.conditions
        if c.missing and is_sampled(c.benchmark, plan.settings.until)
    }
    return replace(
        plan,
        conditions=tuple(
            replace(c, missing=c.missing or gone[c.benchmark.name]) if c.benchmark.name in gone else c
            for c in plan.conditions
        ),
    )


def sampled_benchmarks(plan: Plan) -> list[SampledBenchmark]:
    """The benchmarks of a plan that are run until they are precise enough, as far as their images are here.

    Raises:
        HarnessError: the cells hold different images.
    """
    target = plan.settings.until
    if target is None:
        return []
    chosen = [c for c in plan.conditions if is_sampled(c.benchmark, target) and c.missing is None]
    with_cells = {c.benchmark.name for c in chosen if c.name != CLEAN_CROPS}
    found = []
    for _, members in groupby(chosen, key=lambda c: c.benchmark.name):
        conditions = [c for c in members if c.name != CLEAN_CROPS]
        if not conditions:  # crops beside official files
            continue
        benchmark = conditions[0].benchmark
        crops = [c for c in chosen if c.name == CLEAN_CROPS and c.benchmark.same_images_as == benchmark.same_images_as]
        crops = [c for c in crops if c.benchmark is benchmark] or [
            c for c in crops if c.benchmark.name not in with_cells
        ]
        metric = target.metric
        if metric == "mce" and not set(mce_weights()) <= {_cell(c) for c in conditions}:
            metric = "mean-error"  # no errors of AlexNet to divide by
        found.append(SampledBenchmark(benchmark, (*conditions, *crops), metric, target.points))
        _check_same_images(found[-1])
    return found


def _check_same_images(sampled: SampledBenchmark) -> None:
    first, *others = sampled.conditions
    ids = None
    for condition in others:
        if condition.dataset is first.dataset:  # or neither has been fetched
            continue
        ids = set(first.opened.samples["sample_id"]) if ids is None else ids
        if set(condition.opened.samples["sample_id"]) != ids:
            raise HarnessError(
                f"{condition.title} has other images than {first.title}, and a sample needs the same ones in every cell.",
                remedy="Complete the copy, or leave out --until.",
            )


# --- running --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Look:
    """What is known after some blocks."""

    passes: Passes
    value: float
    half_width: float
    variance: float
    """Of a pass's contribution, as seen."""


@dataclass(eq=False)
class _Course:
    """A benchmark on its way to the target."""

    sampled: SampledBenchmark
    sequence: ConfidenceSequence
    clean: Condition | None
    blocks: int
    known: tuple[IntArray, IntArray] | None = None
    """Group of each image, and the groups' sizes, by the clean predictions."""
    look: Look | None = None
    done: bool = False
    scored: list[Scored] = field(default_factory=list)

    def take(self, scored: Mapping[str, Scored]) -> None:
        """Look at what there is, and decide how far to go until the next look."""
        parts = [scored.get(condition.title) for condition in self.sampled.conditions]
        if any(part is None for part in parts):  # one failed, which is told already
            self.done = True
            return
        self.scored = [part for part in parts if part is not None]
        if self.known is None and self.clean is not None and self.clean.title in scored:
            self.known = _by_clean_predictions(scored[self.clean.title], self.sampled)
        self.look = look(self.sampled, self.sequence, self.scored, self.known)
        design, most = self.sampled.design, self.sampled.design.most_blocks
        if self.look.half_width <= self.sampled.target or self.blocks >= most:
            self.done = True
            return
        wanted = replace(self.sequence, target=self.sampled.target)
        ahead = wanted.passes_to(design, self.look.variance) or most * design.block
        step = max(1, ahead // design.block // _LOOKS)
        self.blocks = min(most, max(self.blocks + 1, min(ahead // design.block, self.blocks + step)))


def look(
    sampled: SampledBenchmark,
    sequence: ConfidenceSequence,
    scored: Sequence[Scored],
    known: tuple[IntArray, IntArray] | None,
) -> Look:
    """The estimate and its half width from the predictions of whole blocks.

    Raises:
        HarnessError: an image can't be read.
    """
    wrong = []
    for part in scored:
        if part.unreadable:
            raise HarnessError(
                f"{part.prefix}: {part.unreadable} image(s) of the sample can't be read, and a sample needs all of its images.",
                remedy="Repair the copy of the data set, then repeat the command.",
            )
        wrong.append(~part.correct())
    groups, sizes = None, None
    if known is not None:
        groups = [known[0][order[: len(w)]] for order, w in zip(sampled.orders, wrong, strict=True)]
        sizes = known[1]
    made = passes(Draws.of(sampled.design, wrong, groups, sizes))
    n, total, squares = made.looks()
    variance = float(squares[-1] / counted(sampled.design, n[-1:])[0])
    return Look(made, float(total[-1]), float(sequence.half_width(n[-1:], squares[-1:])[0]), variance)


def predict_until(
    plan: Plan, identity: ModelIdentity, load_once: Load, reporter: Reporter
) -> tuple[Predicted, list[Evidence]]:
    """Run a plan with a target: what is not sampled in full, the rest until it is precise enough.

    Returns the predictions, and the evidence of what was sampled.

    Raises:
        HarnessError: a target that can't be met with the images here; the sanity gate.
    """
    from harness.evaluation.predicting import predict_conditions

    target = plan.settings.until
    assert target is not None
    courses = [_started(sampled, plan, identity, reporter) for sampled in sampled_benchmarks(plan)]
    others = [c for c in plan.conditions if not is_sampled(c.benchmark, target)]
    waiting = [c for c in plan.conditions if is_sampled(c.benchmark, target) and c.missing is not None]
    beside = {course.clean.title: course.clean for course in courses if course.clean is not None}
    beside = {title: clean for title, clean in beside.items() if title not in {c.title for c in others}}
    while True:
        drawn = [condition for course in courses for condition in course.sampled.after(course.blocks)]
        step = replace(plan, conditions=(*others, *beside.values(), *drawn, *waiting))
        predicted = predict_conditions(step, identity, load_once, reporter)
        for course in courses:
            if not course.done:
                course.take(predicted.scored)
                _tell(course, reporter)
        if all(course.done for course in courses):
            break
        if predicted.energy is not None:
            predicted.energy.leave()
    evidence = [item for course in courses if course.look is not None for item in _evidence(course)]
    own = tuple(c for c in predicted.plan.conditions if c.title not in beside)
    return replace(predicted, plan=replace(predicted.plan, conditions=own)), evidence


def _started(sampled: SampledBenchmark, plan: Plan, identity: ModelIdentity, reporter: Reporter) -> _Course:
    clean = _clean_images(sampled, plan, identity, reporter)
    needed = sampled.passes_needed(known=clean is not None)
    first = first_target(plan.settings.home, identity.weights, sampled, clean is not None)
    blocks = max(1, needed // sampled.design.block // _LOOKS)
    reporter.note(
        f"{sampled.benchmark.name}: {sampled.metric} to ± {sampled.target:g} points takes about {needed:,} passes of "
        f"{sampled.all_passes:,}"
    )
    return _Course(sampled, sampled.sequence(first, known=clean is not None), clean, blocks)


def _tell(course: _Course, reporter: Reporter) -> None:
    found, sampled = course.look, course.sampled
    if found is None:
        return
    n = course.sampled.design.block * found.passes.draws.blocks
    short = "" if not course.done or found.half_width <= sampled.target else ": no more passes can be drawn"
    value = 100 - found.value if sampled.metric == "top1" else found.value
    reporter.note(
        f"{sampled.benchmark.name}: {sampled.metric} {value:.2f} ± {found.half_width:.2f} after {n:,} passes{short}"
    )


def _clean_images(
    sampled: SampledBenchmark, plan: Plan, identity: ModelIdentity, reporter: Reporter
) -> Condition | None:
    """The same images without corruption, where the model's predictions of all of them are stored or made in this run."""
    source = sampled.benchmark.same_images_as
    if source is None or sampled.metric == "top1":
        return None
    for condition in plan.runnable:
        if condition.title == source and condition.images == len(condition.opened):
            return condition
    if sampled.benchmark.generated_from != source:
        return None
    whole = sampled.conditions[0]
    clean = Condition(get_benchmark(source), None, whole.location, dataset=whole.dataset, images=len(whole.opened))
    config = fixed_config(plan.settings, convolutional=identity.convolutional)
    store = PredictionStore(plan.settings.home, reporter.note)
    projections = condition_projections(clean, identity)
    _, stored = stored_under(store, identity, clean, projections, config, plan.settings)
    return clean if all(row in stored for row in sample_keys(clean.samples)) else None


def _by_clean_predictions(clean: Scored, sampled: SampledBenchmark) -> tuple[IntArray, IntArray] | None:
    """Images sorted into groups by the log-odds of their class without corruption; None for predictions without logits."""
    predictions = clean.closed
    if predictions.target_logit is None or predictions.logsumexp is None:
        return None
    chance = np.minimum(predictions.target_logit.astype(np.float64) - predictions.logsumexp, -1e-9)
    odds = pd.Series(chance - np.log(-np.expm1(chance)), index=list(clean.sample_ids))
    return quantile_groups(odds.reindex(sampled.conditions[0].opened.samples["sample_id"]).to_numpy())


def first_target(home: Path, weights: str, sampled: SampledBenchmark, known: bool) -> float:
    """The target with which these weights' sample was begun, which is remembered from then on."""
    made_for = [weights, sampled.benchmark.name, sampled.metric, sampled.design.images, known]
    digest = hashlib.sha256(json.dumps(made_for).encode()).hexdigest()[:16]
    path = home / "targets" / f"{digest}.json"
    try:
        return float(json.loads(path.read_text(encoding="utf-8"))["target"])
    except FileNotFoundError:
        write_text(path, json.dumps({"target": sampled.target, "of": made_for}) + "\n")
        return sampled.target
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise HarnessError(
            f"{path} can't be read: {error}.",
            remedy="It holds the target a sample was begun with. Delete it; the bound is then the one of a new sample.",
        ) from error


# --- evidence -------------------------------------------------------------------------------------------------------


def _evidence(course: _Course) -> Iterator[Evidence]:
    """The number with its confidence sequence, and what else the same passes say with intervals for a fixed n."""
    sampled, found = course.sampled, course.look
    assert found is not None
    benchmark = sampled.benchmark
    n, total, squares = (float(column[-1]) for column in found.passes.looks())
    combined = pooled(course.scored) if len(course.scored) > 1 else course.scored[0]
    target_key = EvidenceKey(benchmark.name, sampled.metric)

    def metric(key: EvidenceKey, estimate: Estimate, reading: str, reason: str | None, **more: Any) -> Evidence:
        cells = [c for c in sampled.conditions if key.condition is None or _is_part(c, key.condition)]
        sampling = {
            "passes": int(n),
            "cells": len(sampled.conditions),
            "images": sampled.design.images,
            "for": f"{sampled.metric}:{course.sequence.target:g}",
            "clean_predictions": course.clean.title if course.known is not None and course.clean is not None else None,
            **more,
        }
        found = ScoredMetric(
            combined,
            key.with_variant(VARIANT),
            estimate,
            benchmark.size * len(cells),
            {"reading": reading, "sampling": sampling},
            reason,
        )
        return to_evidence(found)

    most = np.inf if sampled.metric == "mce" else 100.0
    value = float(np.clip(100 - total if sampled.metric == "top1" else total, 0, most))

    def around(half_width: float) -> tuple[float, float]:
        low, high = np.clip((value - half_width, value + half_width), 0, most)
        return float(low), float(high)

    low, high = around(float(fixed_n_half_width(n, squares)))
    bounds = {"low": low, "high": high, "level": LEVEL, "method": _FIXED}
    estimate = Estimate(value, *around(found.half_width), LEVEL, METHOD, int(n), "confidence-sequence")
    reading = f"estimated from {int(n):,} passes of {sampled.all_passes:,}"
    missed = f"no more passes can be drawn; the target was ± {sampled.target:g}"
    missed_by = None if found.half_width <= sampled.target else missed
    yield metric(target_key, estimate, reading, missed_by, fixed_n_interval=bounds)
    if benchmark.corruptions is None:
        return
    errors = SampledErrors(sampled.cells, *found.passes.cells())
    for score in corruption_scores(errors, benchmark.corruptions.scored):
        key = EvidenceKey.parse(f"{benchmark.name}{score.key}")
        if isinstance(score.estimate, Estimate) and key != target_key:
            yield metric(key, score.estimate, f"{score.reading}; estimated", _BY_PRODUCT)
    for condition in sampled.conditions:
        if condition.benchmark is benchmark:
            key = EvidenceKey(benchmark.name, "top1", condition.name)
            yield metric(key, errors.accuracy(_cell(condition)), "top-1; estimated", _BY_PRODUCT)


def _is_part(condition: Condition, of: str) -> bool:
    """Whether a condition is this cell, or one of this corruption's cells."""
    return condition.name == of or (condition.name or "").startswith(f"{of}/")
