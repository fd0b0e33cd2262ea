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
from functools import cache, cached_property
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from typing_extensions import TypedDict  # pydantic needs it until Python 3.12

from harness.corruptions.names import IMAGENET_C
from harness.data.catalog import CLEAN_CROPS, Benchmark, get_benchmark
from harness.errors import HarnessError, UsageError
from harness.evaluation.plan import Condition, Plan, condition_projections, make_plan, sample_keys, stored_under
from harness.evaluation.scoring import Scored, pooled
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
from harness.models.loading import LoadedModel, ModelIdentity, ModelState, find_model, load
from harness.models.specs import ModelSpec
from harness.parsing.files import AbsentError, MalformedError
from harness.parsing.json import read_json
from harness.progress import Reporter
from harness.runtime.execution import fixed_config
from harness.settings import Settings, Target, parse_target
from harness.store.predictions import PredictionStore

if TYPE_CHECKING:
    from harness.evaluation.predicting import Load, Predicted

VARIANT = "sampled"
"""Of evidence keys: estimated from a sample of the passes."""
METHOD = "empirical-Bernstein confidence sequence, valid at every look"
_FIXED = "normal, for a fixed number of passes"
_BY_PRODUCT = "by-product of a sample for another number, with an interval for a fixed number of passes"
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
        needed = ConfidenceSequence.of(self.design, self.target, known=known).passes_to(self.design)
        if needed is not None:
            return needed
        n = np.array([self.design.most_blocks * self.design.block])
        reach = self.target
        while ConfidenceSequence.of(self.design, reach, known=known).passes_to(self.design) is None:
            reach *= 1.05
        raise UsageError(
            f"--until {self.metric}:{self.target:g} can't be met with the {self.design.images:,} images of "
            f"{self.benchmark.name} that are here: the most a sample may take, {int(n[0]):,} passes, reach "
            f"± {reach:.2g} points.",
            remedy=f"Give --until {self.metric}:{np.ceil(reach * 10) / 10:g}, or leave it out: all cells are then run on all "
            "images.",
        )


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
    if suite.attacks is not None:
        raise UsageError(
            f"The suite {suite.name} attacks a set of images, which --until {target} would change.",
            remedy="Leave it out; --attack-images N says how many images are attacked.",
        )
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
        remedy = "Give --until mean-error:POINTS." if scales else "It can be sampled for top1: --until top1:POINTS."
        raise UsageError(f"The suite {suite.name} has no {target.metric}.", remedy=remedy)
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
class _Runner:
    """A model on its way: a plan that is run again and again, each time with more images of what is sampled."""

    plan: Plan
    identity: ModelIdentity
    load_once: Load
    reporter: Reporter

    @cached_property
    def sampled(self) -> list[SampledBenchmark]:
        return sampled_benchmarks(self.plan)

    @cached_property
    def clean(self) -> list[Condition | None]:
        """For each sampled benchmark the same images without corruption, where the predictions of all of them are had."""
        return [_clean_images(sampled, self) for sampled in self.sampled]

    def predict(self, blocks: Sequence[int]) -> Predicted:
        """What is not sampled, in full; of each sampled benchmark so many blocks."""
        from harness.evaluation.predicting import predict_conditions  # loads torch

        until = self.plan.settings.until
        drawn = [c for sampled, n in zip(self.sampled, blocks, strict=True) for c in sampled.after(n)]
        whole = {c.title: c for c in (*self.plan.conditions, *self.clean) if c and not is_sampled(c.benchmark, until)}
        waiting = [c for c in self.plan.conditions if is_sampled(c.benchmark, until) and c.missing is not None]
        step = replace(self.plan, conditions=(*whole.values(), *drawn, *waiting))
        return predict_conditions(step, self.identity, self.load_once, self.reporter)


@dataclass(eq=False)
class _Course:
    """A benchmark on its way to its end: one model until it is precise enough, or two until it is settled who is better."""

    sampled: tuple[SampledBenchmark, ...]
    """The same benchmark for each model."""
    clean: tuple[Condition | None, ...]
    sequence: ConfidenceSequence
    blocks: int
    passes: Passes | None = None
    """Of one model, or of the first minus the other."""
    value: float = 0.0
    """In points: the sum of errors, or the difference."""
    half_width: float = np.inf
    done: bool = False
    scored: list[Scored] = field(default_factory=list)
    """Of the last model."""
    is_known: bool = False
    """Whether clean predictions take part."""

    @property
    def target(self) -> float:
        return self.sampled[0].target

    @property
    def outcome(self) -> str | None:
        """What is settled: `reached`; of two models `first`, `other`, or `margin` where they differ by less; None for nothing."""
        if len(self.sampled) == 1:
            return "reached" if self.half_width <= self.target else None
        if abs(self.value) > self.half_width:
            return "first" if self.value < 0 else "other"  # the one with fewer errors
        return "margin" if abs(self.value) + self.half_width < self.target else None

    def take(self, scored: Sequence[Mapping[str, Scored]]) -> None:
        """Look at what there is, and decide how far to go until the next look.

        Args:
            scored: of each model, by condition.

        Raises:
            HarnessError: an image can't be read.
        """
        made = [self._passes_of(which, conditions) for which, conditions in enumerate(scored)]
        found = [one for one in made if one is not None]
        if len(found) < len(made):  # a condition failed, which is told already
            self.done = True
            return
        self.passes = found[0] if len(found) == 1 else found[0].minus(found[1])
        n, total, squares = self.passes.looks()
        self.value, self.half_width = float(total[-1]), float(self.sequence.half_width(n[-1:], squares[-1:])[0])
        design = self.sampled[0].design
        if self.outcome is not None or self.blocks >= design.most_blocks:
            self.done = True
            return
        variance = float(squares[-1] / counted(design, n[-1:])[0])
        ahead = replace(self.sequence, target=self.target).passes_to(design, variance)
        blocks = design.most_blocks if ahead is None else ahead // design.block
        step = max(1, blocks // _LOOKS)
        self.blocks = min(design.most_blocks, max(self.blocks + 1, min(blocks, self.blocks + step)))

    def _passes_of(self, which: int, scored: Mapping[str, Scored]) -> Passes | None:
        sampled, clean = self.sampled[which], self.clean[which]
        if any(condition.title not in scored for condition in sampled.conditions):
            return None
        self.scored = [scored[condition.title] for condition in sampled.conditions]
        for part in self.scored:
            if part.unreadable:
                raise HarnessError(
                    f"{part.prefix}: {part.unreadable} image(s) of the sample can't be read, and a sample needs all of its "
                    "images.",
                    remedy="Repair the copy of the data set, then repeat the command.",
                )
        wrong = [~part.correct() for part in self.scored]
        known = _by_clean_predictions(scored[clean.title], sampled) if clean and clean.title in scored else None
        self.is_known = known is not None
        if known is None:
            return passes(Draws.of(sampled.design, wrong))
        groups = [known[0][order[: len(w)]] for order, w in zip(sampled.orders, wrong, strict=True)]
        return passes(Draws.of(sampled.design, wrong, groups, known[1]))

    def __str__(self) -> str:
        sampled, n = self.sampled[0], self.blocks if self.passes is None else self.passes.draws.blocks
        value = 100 - self.value if sampled.metric == "top1" and len(self.sampled) == 1 else self.value
        what = f"{sampled.metric}{' difference' if len(self.sampled) > 1 else ''}"
        short = ": no more passes can be drawn" if self.done and self.outcome is None else ""
        return (
            f"{sampled.benchmark.name}: {what} {value:.2f} ± {self.half_width:.2f} after {n * sampled.design.block:,} passes"
            f"{short}"
        )


def _follow(courses: Sequence[_Course], runners: Sequence[_Runner], reporter: Reporter) -> list[Predicted]:
    """Run until all courses are done; the predictions of each model."""
    while True:
        predicted = [runner.predict([course.blocks for course in courses]) for runner in runners]
        for course in courses:
            if not course.done:
                course.take([one.scored for one in predicted])
                reporter.note(str(course))
        if all(course.done for course in courses):
            return predicted
        for one in predicted:
            if one.energy is not None:
                one.energy.leave()


def predict_until(
    plan: Plan, identity: ModelIdentity, load_once: Load, reporter: Reporter
) -> tuple[Predicted, list[Evidence]]:
    """Run a plan with a target: what is not sampled in full, the rest until it is precise enough.

    Returns the predictions, and the evidence of what was sampled.

    Raises:
        HarnessError: a target that can't be met with the images here; the sanity gate.
    """
    runner = _Runner(plan, identity, load_once, reporter)
    courses = []
    for sampled, clean in zip(runner.sampled, runner.clean, strict=True):
        known = clean is not None
        needed = sampled.passes_needed(known=known)
        of = f"{needed:,} passes of {sampled.all_passes:,}"
        reporter.note(f"{sampled.benchmark.name}: {sampled.metric} to ± {sampled.target:g} points takes about {of}")
        first = first_target(plan.settings.home, [identity.weights], sampled, known)
        sequence = ConfidenceSequence.of(sampled.design, first, known=known)
        courses.append(_Course((sampled,), (clean,), sequence, max(1, needed // sampled.design.block // _LOOKS)))
    (predicted,) = _follow(courses, [runner], reporter)
    evidence = [item for course in courses if course.passes is not None for item in _evidence(course)]
    titles = {condition.title for condition in plan.conditions}
    own = tuple(condition for condition in predicted.plan.conditions if condition.title in titles)
    return replace(predicted, plan=replace(predicted.plan, conditions=own)), evidence


@dataclass(frozen=True)
class Decision:
    """Who of two models is better on a benchmark, from the same random passes of both."""

    first: str
    other: str
    benchmark: str
    metric: str
    difference: float
    """First minus other, in points: of mCE or the mean error, of which less is better, or of top-1."""
    low: float
    high: float
    """A confidence sequence's bounds at 95 %."""
    margin: float
    passes: int
    """Of each model."""
    all_passes: int
    """Of each model in full."""
    verdict: str | None
    """None where the images did not suffice to settle it."""

    def __str__(self) -> str:
        return (
            f"{self.benchmark}, {self.metric}: {self.first} − {self.other} {self.difference:+.2f} points, 95 % interval "
            f"{self.low:+.2f} to {self.high:+.2f} at every look ({self.passes:,} passes each of {self.all_passes:,}): "
            f"{self.verdict or 'not settled, and no more passes can be drawn'}."
        )


def check_decided(until: str | None, margin: float | None, suite: object, *, beside: bool) -> None:
    """Refuse half of what `--until decided` needs, or what does not go with it.

    Args:
        beside: whether benchmarks or slices were named.
    """
    example = "harness compare A B --suite corruption --until decided --margin 0.5"
    if until != "decided" or margin is None or suite is None:
        raise UsageError("--until decided, --margin and --suite belong together.", remedy=f"Example: {example}")
    if beside:
        raise UsageError("--until decided is about all of a suite.", remedy="Leave out --benchmark, --by and --slices.")


def decide(
    models: Sequence[ModelSpec | ModelState], suite: Suite, margin: float, settings: Settings, reporter: Reporter
) -> list[Decision]:
    """Run two models on the same random passes until it is settled, for each benchmark, who is better or that they differ by
    less than the margin.

    By mCE where there are ImageNet-C's corruptions, by the mean error over other corruptions, and by top-1 without any.

    Args:
        models: two, where to find them or what is here of them.
        margin: in points.

    Raises:
        HarnessError: not two models, a margin that is none, a model or the images are missing; the sanity gate.
    """
    names = [model.spec.name if isinstance(model, ModelState) else model.name for model in models]
    if len(set(names)) != 2 or len(names) != 2:
        raise UsageError("--until decided is about two different models.", remedy="Give two: harness compare A B …")
    scored = [{cell.partition("/")[0] for cell in _scored_cells(suite.benchmark(e.name))} for e in suite.benchmarks]
    metric = "mce" if set(IMAGENET_C) in scored else "mean-error" if any(scored) else "top1"
    settings = replace(settings, until=parse_target(f"{metric}:{margin}"))
    check_target(suite, settings.until)
    runners = [_runner(model, suite, settings, reporter) for model in models]
    courses = []
    for sampled, clean in zip(
        zip(*(runner.sampled for runner in runners), strict=True),
        zip(*(runner.clean for runner in runners), strict=True),
        strict=True,
    ):
        known, design = all(condition is not None for condition in clean), sampled[0].design
        first = first_target(settings.home, [runner.identity.weights for runner in runners], sampled[0], known)
        sequence = ConfidenceSequence.of(design, first, known=known, models=2)
        needed = sequence.passes_to(design) or sampled[0].all_passes
        courses.append(_Course(sampled, clean, sequence, max(1, needed // design.block // _LOOKS)))
    failed: dict[str, HarnessError] = {}
    for predicted in _follow(courses, runners, reporter):
        failed |= predicted.failed
        if predicted.energy is not None:
            predicted.energy.close()
    if not all(course.passes for course in courses):
        raise next(iter(failed.values()))
    return [_decision(course, *names) for course in courses]


def _runner(model: ModelSpec | ModelState, suite: Suite, settings: Settings, reporter: Reporter) -> _Runner:
    state = find_model(model, settings, fetch=True) if isinstance(model, ModelSpec) else model
    if state.missing is not None:
        raise state.missing

    @cache
    def load_once() -> LoadedModel:
        return load(state, settings)

    identity = state.identity or load_once().identity
    plan = all_or_nothing(make_plan(state, suite, settings, reporter, fetch=lambda question: False))
    runner = _Runner(plan, identity, load_once, reporter)
    if not runner.sampled:
        raise next(condition.missing for condition in plan.conditions if condition.missing is not None)
    return runner


def _decision(course: _Course, first: str, other: str) -> Decision:
    sampled, found = course.sampled[0], course.passes
    assert found is not None
    verdict = {
        "first": f"{first} is better",
        "other": f"{other} is better",
        "margin": f"they differ by less than {course.target:g} points",
    }
    sign = -1 if sampled.metric == "top1" else 1
    low, high = sorted(sign * course.value + side * course.half_width for side in (-1, 1))
    return Decision(
        first=first,
        other=other,
        benchmark=sampled.benchmark.name,
        metric=sampled.metric,
        difference=sign * course.value,
        low=low,
        high=high,
        margin=course.target,
        passes=sampled.design.block * found.draws.blocks,
        all_passes=sampled.all_passes,
        verdict=verdict.get(course.outcome or ""),
    )


def _clean_images(sampled: SampledBenchmark, runner: _Runner) -> Condition | None:
    """The same images without corruption, where the model's predictions of all of them are stored or made in this run."""
    plan, identity, reporter = runner.plan, runner.identity, runner.reporter
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


class _Remembered(TypedDict):
    target: float


def first_target(home: Path, weights: list[str], sampled: SampledBenchmark, known: bool) -> float:
    """The target with which a sample was begun for these weights (of two models for a difference), which is remembered."""
    made_for = [*weights, sampled.benchmark.name, sampled.metric, sampled.design.images, known]
    digest = hashlib.sha256(json.dumps(made_for).encode()).hexdigest()[:16]
    path = home / "targets" / f"{digest}.json"
    try:
        target: float = read_json(path, _Remembered)["target"]
        return target
    except AbsentError:
        write_text(path, json.dumps({"target": sampled.target, "of": made_for}) + "\n")
        return sampled.target
    except MalformedError as error:
        raise HarnessError(
            error.message,
            remedy="It holds the target a sample was begun with. Delete it; the bound is then the one of a new sample.",
        ) from error


# --- evidence -------------------------------------------------------------------------------------------------------


def _evidence(course: _Course) -> Iterator[Evidence]:
    """The number with its confidence sequence, and what else the same passes say with intervals for a fixed n."""
    (sampled,), (clean,), found = course.sampled, course.clean, course.passes
    assert found is not None
    benchmark = sampled.benchmark
    n, total, squares = (float(column[-1]) for column in found.looks())
    combined = pooled(course.scored) if len(course.scored) > 1 else course.scored[0]
    target_key = EvidenceKey(benchmark.name, sampled.metric)

    def metric(key: EvidenceKey, estimate: Estimate, reading: str, reason: str | None, **more: Any) -> Evidence:
        cells = [c for c in sampled.conditions if key.condition is None or _is_part(c, key.condition)]
        sampling = {
            "passes": int(n),
            "cells": len(sampled.conditions),
            "images": sampled.design.images,
            "for": f"{sampled.metric}:{course.sequence.target:g}",
            "clean_predictions": clean.title if course.is_known and clean is not None else None,
            **more,
        }
        notes = {"reading": reading, "sampling": sampling}
        return combined.metric(key.with_variant(VARIANT), estimate, benchmark.size * len(cells), notes, reason)

    most = np.inf if sampled.metric == "mce" else 100.0
    value = float(np.clip(100 - total if sampled.metric == "top1" else total, 0, most))

    def around(half_width: float) -> tuple[float, float]:
        low, high = np.clip((value - half_width, value + half_width), 0, most)
        return float(low), float(high)

    low, high = around(float(fixed_n_half_width(n, squares)))
    bounds = {"low": low, "high": high, "level": LEVEL, "method": _FIXED}
    estimate = Estimate(value, *around(course.half_width), METHOD, int(n), "confidence-sequence")
    reading = f"weighted sum of the {len(sampled.weights)} cells' errors" if benchmark.corruptions else "top-1"
    how = (
        f"estimated from {int(n):,} random passes of {sampled.all_passes:,}; the interval is a confidence sequence, which holds "
        f"whenever the run stops (for a number of passes fixed beforehand: {low:.2f} to {high:.2f})"
    )
    if course.outcome is None:
        how += f"; no more passes can be drawn, and the target was ± {sampled.target:g}"
    yield metric(target_key, estimate, reading, how, fixed_n_interval=bounds)
    if benchmark.corruptions is None:
        return
    errors = SampledErrors(sampled.cells, *found.cells())
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
