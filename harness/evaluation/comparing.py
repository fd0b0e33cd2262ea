"""Comparing models on the same samples, from stored predictions alone: nothing is run.

Every comparison is paired: samples are joined by id, and only samples that all the models have count. Two families are
corrected by Holm, each on its own: the whole benchmarks, which is what most readers ask about, and the parts (corruption cells,
slices), of which there can be hundreds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property, reduce
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from harness.data.catalog import CLEAN_CROPS, Benchmark, benchmarks
from harness.data.groupings import Subjects
from harness.data.slicings import slicings, split_reference
from harness.errors import ExitCode, HarnessError, MissingInputError, UsageError, nearest, require_known
from harness.evaluation.common_samples import (
    ComparedSet,
    Remark,
    against_real,
    attacked_samples,
    common_ids,
    common_samples,
    sentences,
)
from harness.evaluation.reader import StoredModel
from harness.evaluation.slice_requests import Groups, Request, groups_by, is_sliced
from harness.evaluation.suites import Suite
from harness.evaluation.until import Decision
from harness.evidence import decimals_for, split_prefix
from harness.metrics import intervals, paired
from harness.metrics.intervals import LEVEL
from harness.metrics.multiplicity import holm
from harness.metrics.slices import MIN_UNITS
from harness.settings import Settings


@dataclass(frozen=True)
class Comparison:
    """Two models on one benchmark, corruption cell or slice."""

    first: str
    other: str
    where: str
    """First part of the evidence keys: `imagenet-val`, `imagenet-c/fog/3`, `imagenet-val@imagenet-x/pose`."""
    whole: bool
    """A whole benchmark, not a part of one: which family of tests it belongs to."""
    n: int
    both: int
    only_first: int
    only_other: int
    neither: int
    first_accuracy: float
    """Percent, as `other_accuracy`."""
    other_accuracy: float
    difference: float
    """First minus other, in percentage points, with bounds `low` and `high`."""
    low: float
    high: float
    p: float
    """McNemar's exact test, two-sided."""
    p_holm: float
    """Corrected over the comparison's family."""
    smallest_detectable: float | None
    """Percentage points that would be found with a chance of 80 %; None where nothing could be found on so few samples."""
    level: float

    @property
    def detected(self) -> bool:
        """Whether the models differ, after correction."""
        return self.p_holm <= 1 - self.level

    @property
    def verdict(self) -> str:
        """What the data say, in words."""
        if self.detected:
            return f"{self.first if self.difference > 0 else self.other} is better"
        if self.smallest_detectable is None:
            return f"no detectable difference (none could be detected on {self.n:,} samples)"
        decimals = decimals_for(self.smallest_detectable, "%")
        return f"no detectable difference (smallest detectable here: {self.smallest_detectable:.{decimals}f} points)"


@dataclass(frozen=True)
class MeanDifference:
    """Two models on all the corruption cells of a benchmark that both have."""

    first: str
    other: str
    benchmark: str
    cells: int
    n: int
    """Base images that all cells have."""
    difference: float
    """First mean accuracy over cells minus other, in points, with bounds `low` and `high`."""
    low: float
    high: float
    method: str
    """The same image recurs in all cells, so images are resampled, not predictions."""

    def __str__(self) -> str:
        decimals = decimals_for((self.high - self.low) / 2, "%")
        return (
            f"{self.benchmark}, mean accuracy over {self.cells} cells (n = {self.n:,} images): {self.first} − {self.other} "
            f"{self.difference:+.{decimals}f} points, 95 % interval {self.low:+.{decimals}f} to {self.high:+.{decimals}f}."
        )


@dataclass(frozen=True)
class Ranked:
    """A model's rank among all that are compared, on one whole benchmark."""

    model: str
    accuracy: float
    """Percent, with its own Wilson interval `low` to `high`."""
    low: float
    high: float
    letters: str
    """Models that share a letter can't be told apart."""
    best_rank: int
    worst_rank: int


@dataclass(frozen=True, eq=False)
class Compared:
    """What a comparison gave."""

    models: tuple[str, ...]
    sets: tuple[ComparedSet, ...] = field(default=(), repr=False)
    comparisons: tuple[Comparison, ...] = ()
    means: tuple[MeanDifference, ...] = ()
    notes: tuple[str, ...] = ()
    """What a reader must know: samples left out, differences of protocol, imported predictions."""
    missing: tuple[str, ...] = ()
    """What was asked for and could not be compared, each as a sentence."""
    differences: tuple[Remark, ...] = ()
    """Of protocol, by the first part of evidence keys; among the notes, too."""
    level: float = LEVEL
    decisions: tuple[Decision, ...] = ()
    """Of models that were run until it was settled who is better; then there is nothing else here."""

    @property
    def exit_code(self) -> ExitCode:
        unsettled = any(decision.verdict is None for decision in self.decisions)
        return ExitCode.INCOMPLETE if self.missing or unsettled else ExitCode.DONE

    @cached_property
    def agreements(self) -> dict[tuple[str, str, str], paired.Agreement]:
        """By (first, other, where) for each pair of models on each whole benchmark."""
        return {
            (a, b, s.where): paired.agreement(s.answers[a], s.answers[b], s.correct[a], s.correct[b])
            for s in self.sets
            if s.condition is None
            for a, b in combinations(self.models, 2)
        }

    @cached_property
    def ranking(self) -> dict[str, list[Ranked]]:
        """For each whole benchmark the models, best first."""
        tables = {}
        for compared in (s for s in self.sets if s.condition is None):
            right = np.array([np.count_nonzero(compared.correct[name]) for name in self.models])
            n = len(compared.sample_ids)
            low, high = intervals.wilson(right, np.full(len(right), n))
            different = np.zeros((len(right), len(right)), dtype=bool)
            index = {name: at for at, name in enumerate(self.models)}
            for c in self.comparisons:
                if c.where == compared.where:
                    i, j = index[c.first], index[c.other]
                    different[i, j] = different[j, i] = c.detected
            values = (100 * right / n).tolist()
            letters, ranks = paired.compact_letters(values, different), paired.rank_intervals(values, different)
            ranked = [
                Ranked(name, values[at], 100 * float(low[at]), 100 * float(high[at]), letters[at], *ranks[at])
                for name, at in index.items()
            ]
            tables[compared.where] = sorted(ranked, key=lambda model: -model.accuracy)
        return tables

    def disagreements(self) -> pd.DataFrame:
        """The samples that some models get right and others wrong: where, sample_id, label, and each model's answer
        (`NAME`) and whether it is right (`NAME:right`)."""
        parts = []
        for compared in self.sets:
            outcomes = np.column_stack([compared.correct[name] for name in self.models])
            mixed = outcomes.any(axis=1) & ~outcomes.all(axis=1)
            columns: dict[str, Any] = {
                "where": compared.where,
                "sample_id": compared.sample_ids[mixed],
                "label": compared.label[mixed],
            }
            for name in self.models:
                columns |= {name: compared.answers[name][mixed], f"{name}:right": compared.correct[name][mixed]}
            parts.append(pd.DataFrame(columns))
        return pd.concat(parts, ignore_index=True)

    def frame(self) -> pd.DataFrame:
        """One row a comparison: the fields of `Comparison`, and whether they differ in `detected` and `verdict`."""
        return pd.DataFrame(self._rows() or [asdict(decision) for decision in self.decisions])

    def _rows(self) -> list[dict[str, Any]]:
        return [asdict(c) | {"detected": c.detected, "verdict": c.verdict} for c in self.comparisons]

    def _repr_html_(self) -> str:
        if self.decisions:
            return str(self.frame().to_html(index=False))
        columns = ["where", "first", "other", "n", "difference", "low", "high", "p_holm", "verdict"]
        return str(self.frame()[columns].to_html(index=False))

    def to_dict(self) -> dict[str, Any]:
        """For `--format json`."""
        return {
            "models": list(self.models),
            "level": self.level,
            "test": "McNemar, exact, two-sided; Holm over whole benchmarks and, apart, over their parts",
            "interval": paired.METHOD,
            "notes": list(self.notes),
            "missing": list(self.missing),
            "means": [asdict(mean) for mean in self.means],
            "comparisons": self._rows(),
            "decisions": [asdict(decision) for decision in self.decisions],
            "agreement": [
                {"first": a, "other": b, "where": where} | asdict(found)
                for (a, b, where), found in self.agreements.items()
            ],
            "ranking": {where: [asdict(ranked) for ranked in table] for where, table in self.ranking.items()},
        }


def compare(
    models: Sequence[StoredModel],
    settings: Settings,
    report: Callable[[str], None],
    *,
    suite: Suite | None = None,
    only: Sequence[str] = (),
    slices: Request | None = None,
    allow_different_protocols: bool = False,
) -> Compared:
    """Compare models on everything that all of them have predictions of.

    Args:
        report: takes messages about damaged shards.
        suite: compare this suite's benchmarks only.
        only: compare these benchmarks only.
        slices: compare on the slices of these slicings too.
        allow_different_protocols: state differences of protocol among the notes instead of refusing them.

    Raises:
        HarnessError: fewer than two models, one of them twice, an unknown benchmark, or different protocols.
        MissingInputError: the models have no predictions of the same samples.
    """
    names = tuple(model.name for model in models)
    if len(set(names)) < max(2, len(names)):
        twice = next((name for name in names if names.count(name) > 1), None)
        raise UsageError(
            f"{twice} is given twice." if twice else "One model is nothing to compare.",
            remedy="Give two or more different models: harness compare MODEL_A MODEL_B",
        )
    wanted, named = _wanted(suite, only, benchmarks(*(model.ledger for model in models)))
    prefixes = list(dict.fromkeys(prefix for model in models for prefix in model.conditions))
    prefixes = [p for p in prefixes if wanted is None or split_prefix(p)[0] in wanted]
    common = common_samples(models, prefixes, settings, report)
    sets, missing = list(common.sets), list(common.missing)
    have = {split_prefix(prefix)[0] for prefix in prefixes}
    if common.differences and not allow_different_protocols:
        raise HarnessError(
            "The models were run under different protocols. " + " ".join(sentences(common.differences)),
            remedy="Run them alike, or repeat with --allow-different-protocols: the differences are then stated.",
        )
    sets += list(against_real(sets, wanted))
    attacked, differing = attacked_samples(models, wanted)
    sets, missing = sets + attacked, missing + differing
    missing += [(name, "not compared, as no model has stored predictions of it.") for name in named if name not in have]
    if not sets:
        raise MissingInputError(
            f"{' and '.join(names)} have no stored predictions of the same samples. {' '.join(sentences(missing))}",
            remedy=f"Run both on one suite: harness run --suite imagenet --model {names[0]}",
        )
    groups, without = _groups_of(sets, slices)
    comparisons = _compare_all(names, sets, groups)
    imported = ", ".join(model.name for model in models if model.imported)
    said = [f"How the imported predictions of {imported} were made is not known to harness."] if imported else []
    said += [*sentences(common.notes), *sentences(common.differences)]
    gaps = sentences(missing)
    if wanted is None:  # nobody asked for what is not compared: worth a note, not a fault
        said, gaps = said + gaps, []
    means, left_out, differences = tuple(_means(names, sets)), tuple(gaps + without), tuple(common.differences)
    return Compared(names, tuple(sets), comparisons, means, tuple(said), left_out, differences)


def _wanted(
    suite: Suite | None, only: Sequence[str], known: Mapping[str, Benchmark]
) -> tuple[set[str] | None, list[str]]:
    """The benchmarks that may be compared, None for all; and those that must be, as somebody named them."""
    for name in only:
        require_known("benchmark", name, known)
    if suite is None:
        return (set(only), _with_images(only, known)) if only else (None, [])
    of_suite = {entry.name for entry in suite.benchmarks} | {e.fallback for e in suite.benchmarks if e.fallback}
    outside = [name for name in only if name not in of_suite]
    if outside:
        close = nearest(outside[0], of_suite)
        raise UsageError(
            f"The suite {suite.name} has no benchmark {outside[0]}.",
            remedy=f"Did you mean {close[0]}?" if close else f"It has: {', '.join(sorted(of_suite))}.",
        )
    chosen = list(only) or [entry.name for entry in suite.benchmarks if not entry.fallback]
    return (set(only) or of_suite), _with_images(chosen, known)


def _with_images(names: Sequence[str], known: Mapping[str, Benchmark]) -> list[str]:
    """Without benchmarks that are scored from another one's predictions."""
    return [name for name in names if name not in known or known[name].scored_from is None]


def _groups_of(sets: Sequence[ComparedSet], slices: Request | None) -> tuple[dict[str, list[Groups]], list[str]]:
    """The groups of each set by each slicing that fits it, and what could not be sliced, as sentences."""
    found: dict[str, list[Groups]] = {}
    without: list[str] = []
    for compared in sets:
        if slices is None or compared.benchmark.scored_from is not None:
            continue
        if compared.condition is not None or not is_sliced(compared.benchmark, None, slices.options):
            continue
        subjects = Subjects(compared.benchmark, compared.sample_ids.tolist(), compared.label)
        for references in slices.by:
            known = [slicings()[name] for r in references if (name := split_reference(r)[0]) in slicings()]
            if not all(entry.fits(compared.benchmark) for entry in known):
                continue
            try:
                found.setdefault(compared.where, []).append(groups_by(references, subjects, slices.file))
            except MissingInputError as error:
                without.append(f"{compared.where} is not compared by {' × '.join(references)}: {error.message}")
    return found, without


def _compare_all(
    names: Sequence[str], sets: Sequence[ComparedSet], sliced: Mapping[str, Sequence[Groups]]
) -> tuple[Comparison, ...]:
    """All pairs on all sets and their slices, corrected by family."""
    places: list[tuple[str, str, str, bool]] = []
    counts: list[paired.PairedCounts] = []
    for compared in sets:
        parts = sliced.get(compared.where, ())
        for first, other in combinations(names, 2):
            a, b = compared.correct[first], compared.correct[other]
            counts.append(paired.paired_counts(a, b))
            places.append((first, other, compared.where, compared.condition is None))
            for groups in parts:
                found = paired.paired_counts_by_group(a, b, groups.slicing.membership)
                kept = np.flatnonzero(found.n >= MIN_UNITS)
                counts.append(found.take(kept))
                keys = [f"{compared.where}@{groups.name}/{key}" for key in groups.keys().values()]
                places += [(first, other, keys[group], False) for group in kept]
    table = paired.PairedCounts.concatenate(counts)
    whole = np.array([place[3] for place in places])
    low, high = paired.paired_interval(table)
    p_values = paired.mcnemar(table)
    corrected, smallest = np.empty(len(table)), np.empty(len(table))
    for family in (whole, ~whole):
        corrected[family] = holm(p_values[family])
        detectable = paired.smallest_detectable_difference(table, comparisons=int(family.sum()))
        smallest[family] = detectable[family]
    right = np.stack([table.both + table.only_first, table.both + table.only_other])
    integers = np.column_stack([table.n, table.both, table.only_first, table.only_other, table.neither]).tolist()
    numbers = np.column_stack([*(100 * right / table.n), table.difference, low, high, p_values, corrected]).tolist()
    known = (None if np.isnan(points) else points for points in smallest.tolist())
    rows = zip(places, integers, numbers, known, strict=True)
    return tuple(Comparison(*place, *[*counted, *computed, points, LEVEL]) for place, counted, computed, points in rows)


def _means(names: Sequence[str], sets: Sequence[ComparedSet]) -> Iterator[MeanDifference]:
    """For each benchmark with corruptions the difference of mean accuracies over its cells, of every pair."""
    cells: dict[str, list[ComparedSet]] = {}
    for compared in sets:
        if compared.benchmark.corruptions is not None and compared.condition not in (None, CLEAN_CROPS):
            cells.setdefault(compared.benchmark.name, []).append(compared)
    for name, group in cells.items():
        indexes = [pd.Index(cell.sample_ids, dtype=object) for cell in group]
        ids = reduce(common_ids, indexes)
        if len(group) < 2 or len(ids) == 0:
            continue
        rows = [index.get_indexer(ids) for index in indexes]
        right = {
            model: np.mean([cell.correct[model][at] for cell, at in zip(group, rows, strict=True)], axis=0)
            for model in names
        }
        pairs = list(combinations(names, 2))
        columns = np.column_stack([right[first] - right[other] for first, other in pairs])
        resampled = intervals.resampled_sums(columns) / len(ids)
        for at, (first, other) in enumerate(pairs):
            value = float(columns[:, at].mean())
            low, high = intervals.percentile_interval(value, resampled[:, at])
            method = intervals.bootstrap_method("percentile")
            yield MeanDifference(first, other, name, len(group), len(ids), 100 * value, 100 * low, 100 * high, method)
