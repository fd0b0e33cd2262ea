"""From stored predictions to evidence on slices: accuracy by group, disparities told apart from noise, the worst slices.

Reads predictions and annotations, never a model; only image statistics read images, once. What a slicing needs and is not
here becomes pending evidence under the slicing's first name; a group that is too small has an entry that says so.
"""

from __future__ import annotations

import hashlib
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial, reduce
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from harness.data.catalog import Benchmark, get_benchmark
from harness.data.groupings import Grouping, Subjects, grouping
from harness.data.local import LocalDataset
from harness.data.slicefiles import SliceFile, read_slice_file, slug
from harness.data.slicings import check_reference, slicings, split_reference
from harness.data.statistics import image_statistics
from harness.errors import ExitCode, HarnessError, MissingInputError
from harness.evaluation.plan import Condition, Plan, chosen_samples, open_condition
from harness.evaluation.scoring import Conditions, Scored, pooled, to_interval
from harness.evaluation.suites import SliceOptions, Suite
from harness.evidence import CODE, Evidence, EvidenceClass, EvidenceKey, Fingerprints, Interval, Ledger
from harness.labels.projections import CLOSED
from harness.metrics.fairness import DISPARITY_UNITS, Audit, WorstSlices, audit, error_ratio, worst_slices
from harness.metrics.intervals import LEVEL
from harness.metrics.multiplicity import CORRECTIONS, Correction
from harness.metrics.slices import (
    MIN_UNITS,
    Outcomes,
    Slicing,
    interaction,
    outcomes_by_unit,
    outcomes_of,
    slicing_from_frame,
)
from harness.metrics.types import MetricUnavailable
from harness.progress import Reporter
from harness.runtime.decoding import default_workers
from harness.settings import Settings

MOST_PAIRS = 5000
"""Groups that an interaction may have; more are too small to say anything, and take long."""

WORST = 10
"""Slices that the search names."""

NO_DIFFERENCE = "no detectable difference (smallest detectable here: {points:.1f} points)"

_CORRECTION_NAMES: dict[Correction, str] = {"holm": "Holm", "benjamini-hochberg": "Benjamini–Hochberg"}


@dataclass(frozen=True)
class Request:
    """What is to be sliced by what."""

    by: tuple[tuple[str, ...], ...]
    """Slicings, each as one reference, or several whose groups are crossed."""
    options: SliceOptions
    file: SliceFile | None = None

    def __bool__(self) -> bool:
        return bool(self.by)


def request_of(suite: Suite | None, slices: Path | None, by: Sequence[str]) -> Request:
    """What a suite, a user's file and `--by` ask for together.

    Raises:
        HarnessError: the file has a fault, or a name is no slicing; with exit code 2.
    """
    file = read_slice_file(slices, by) if slices is not None else None
    columns = tuple(file.columns) if file is not None else ()
    asked = tuple(dict.fromkeys(_tidy(reference, columns) for reference in by))
    for reference in asked:
        check_reference(reference, columns)
        if file is not None and split_reference(reference)[0] in columns:
            file.check_group(reference)
    wanted = list(suite.slicings) if suite is not None else []
    wanted += [(column,) for column in columns]
    if asked:
        wanted.append(asked)
    return Request(tuple(dict.fromkeys(wanted)), suite.slice_options if suite is not None else SliceOptions(), file)


def _tidy(reference: str, columns: Sequence[str]) -> str:
    """A column as users write it in the form that slicings have."""
    name, group = split_reference(reference)
    tidy = slug(name) if slug(name) in columns else name
    return tidy if group is None else f"{tidy}/{group}"


def request_behind(ledger: Ledger) -> Request:
    """The slicings of the catalog that a ledger has evidence on, as far as they can be made again from predictions alone."""
    items = [item for item in ledger if item.name.slice and "slicing" in (item.protocol or {})]
    names = dict.fromkeys(str(item.name.slicing) for item in items)
    clean = all(is_sliced(get_benchmark(item.name.benchmark), None, SliceOptions()) for item in items)
    conditions: Literal["clean", "shifted", "cells"] = "clean" if clean else "shifted"
    if any(item.name.condition for item in items):
        conditions = "cells"
    smallest = [
        item.protocol["smallest_group"] for item in items if item.protocol and "smallest_group" in item.protocol
    ]
    options = SliceOptions(conditions=conditions, smallest_group=smallest[0] if smallest else MIN_UNITS)
    return Request(tuple((name,) for name in names if name in slicings()), options)


# --- a run's slices -------------------------------------------------------------------------------------------------


def check_join(plan: Plan, request: Request, settings: Settings, reporter: Reporter) -> None:
    """Refuse a user's file that joins with nothing of the run, before the run.

    Raises:
        HarnessError: no row belongs to any sample of any condition that will be sliced.
    """
    if request.file is None:
        return
    without: list[tuple[Benchmark, list[str]]] = []
    for condition in plan.runnable:
        if is_sliced(condition.benchmark, condition.name, request.options):
            copy = open_condition(condition, settings, reporter)
            ids = chosen_samples(condition, copy, settings)["sample_id"].tolist()
            if request.file.joins(condition.benchmark, ids):
                return
            without.append((condition.benchmark, ids))
    for benchmark, ids in without[:1]:
        request.file.check_join(benchmark, ids)


def slices_of_run(
    plan: Plan,
    request: Request,
    scored: Conditions,
    evidence: Sequence[Evidence],
    settings: Settings,
    reporter: Reporter,
) -> list[Evidence]:
    """Evidence on the slices of a run: measured where there are predictions, pending with the run's reason elsewhere.

    Args:
        evidence: what the run has found so far.
    """
    if not request:
        return []
    found = slice_evidence(scored, request, _statistics_of(plan, settings, reporter), reporter.note)
    planned = {c.benchmark.name: c.benchmark for c in plan.conditions}
    waiting = {}
    for item in evidence:
        benchmark = planned.get(item.name.benchmark)
        if benchmark is None or item.class_ is not EvidenceClass.PENDING or item.key != f"{benchmark.name}.top1":
            continue
        if is_sliced(benchmark, None, request.options):
            waiting[benchmark.name] = item
    return found + pending_slices(waiting, request)


def _statistics_of(plan: Plan, settings: Settings, reporter: Reporter) -> StatisticsOf:
    """What computes the image statistics of each condition of a run, once."""

    def images_of(scored: Scored) -> Condition | None:
        """The condition whose images are measured: an official corrupted set has its clean originals in another one."""
        own = next(c for c in plan.runnable if c.title == scored.prefix)
        if own.benchmark.corruptions is None or own.benchmark.generated_from is not None:
            return own
        return next((c for c in plan.runnable if c.benchmark.name == own.benchmark.same_images_as), None)

    @cache
    def compute(title: str) -> pd.DataFrame:
        condition = next(c for c in plan.runnable if c.title == title)
        copy = open_condition(condition, settings, reporter)
        return statistics_with_progress(copy, len(chosen_samples(condition, copy, settings)), settings, reporter)

    def of(scored: Scored) -> Callable[[], pd.DataFrame] | None:
        condition = images_of(scored)
        return None if condition is None else partial(compute, condition.title)

    return of


def statistics_with_progress(copy: LocalDataset, count: int, settings: Settings, reporter: Reporter) -> pd.DataFrame:
    """The image statistics of the first `count` samples of a copy, with a progress bar."""
    with reporter.progress(f"Image statistics of {copy.benchmark.name}", count) as advance:
        workers = settings.workers or default_workers()
        return image_statistics(copy, count, settings.home, workers=workers, progress=advance)


def slices_options(settings: Settings) -> str:
    """The options that ask for these slices, as they stand in a command that is published: no path of this machine."""
    parts = [] if settings.slices is None else [f" --slices {shlex.quote(settings.slices.name)}"]
    return "".join(parts + [f" --by {shlex.quote(reference)}" for reference in settings.by])


# --- what is sliced -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Target:
    """Samples with their outcomes, and where the numbers come from."""

    prefix: str
    scored: Scored
    """Provenance."""
    outcomes: Outcomes
    subjects: Subjects


StatisticsOf = Callable[[Scored], Callable[[], pd.DataFrame] | None]
"""Gives, for a condition, what computes its image statistics; None where its images are not here."""


def is_sliced(benchmark: Benchmark, condition: str | None, options: SliceOptions) -> bool:
    """Whether a condition is sliced by itself."""
    if condition is not None:
        return "/" in condition and options.conditions == "cells"
    made_for_it = any(benchmark.name in entry.benchmarks for entry in slicings().values())
    return benchmark.clean or made_for_it or options.conditions != "clean"


def _targets(conditions: Conditions, options: SliceOptions, statistics_of: StatisticsOf) -> Iterable[_Target]:
    cells: dict[str, list[Scored]] = {}
    for scored in conditions.values():
        if is_sliced(scored.benchmark, scored.condition, options):
            outcomes = outcomes_of(scored.correct())
            yield _Target(scored.prefix, scored, outcomes, _subjects(scored, statistics_of))
        if scored.condition is not None and "/" in scored.condition and options.conditions != "clean":
            cells.setdefault(scored.benchmark.name, []).append(scored)
    for name, group in cells.items():
        yield _pooled(name, group, statistics_of)


def _pooled(name: str, cells: Sequence[Scored], statistics_of: StatisticsOf) -> _Target:
    """All cells of a corruption benchmark: each image is one unit, its predictions are its trials."""
    first = cells[0]
    ids = pd.Index(first.sample_ids)
    for cell in cells[1:]:  # an image that is unreadable in one cell may be there in another
        if cell.sample_ids != first.sample_ids:
            ids = ids.append(pd.Index(cell.sample_ids).difference(ids, sort=False))
    labels = np.full(len(ids), -1)
    for cell in cells:
        labels[ids.get_indexer(pd.Index(cell.sample_ids))] = cell.predictions[CLOSED].label
    units = np.concatenate([ids.get_indexer(pd.Index(cell.sample_ids)) for cell in cells])
    outcomes = outcomes_by_unit(np.concatenate([cell.correct() for cell in cells]), units, len(ids))
    subjects = Subjects(first.benchmark, ids.tolist(), labels, None, statistics_of(first))
    return _Target(name, pooled(cells), outcomes, subjects)


def _subjects(scored: Scored, statistics_of: StatisticsOf) -> Subjects:
    labels = scored.predictions[CLOSED].label
    return Subjects(scored.benchmark, scored.sample_ids, labels, scored.table, statistics_of(scored))


# --- evidence -------------------------------------------------------------------------------------------------------


def slice_evidence(
    conditions: Conditions,
    request: Request,
    statistics_of: StatisticsOf = lambda scored: None,
    note: Callable[[str], None] = lambda message: None,
) -> list[Evidence]:
    """All evidence on the slices of the conditions that have predictions.

    Args:
        conditions: by evidence prefix.
        note: takes what a person should know at once, such as a join that leaves samples out.
    """
    found: dict[str, Evidence] = {}
    told: set[str] = set()
    for target in _targets(conditions, request.options, statistics_of):
        made: list[tuple[Groups, Slicing]] = []
        for references in request.by:
            if not _fits(references, target.subjects, request.file):
                continue
            try:
                groups = groups_by(references, target.subjects, request.file)
                slicing = groups.slicing
            except HarnessError as error:
                item = _without(target, references, error)
                found.setdefault(item.key, item)
                continue
            left_out = slicing.left_out(target.subjects.sample_ids)
            for message in filter(None, (left_out, groups.file_note)):
                if message not in told:
                    told.add(message)
                    note(message)
            made.append((groups, slicing))
            for item in _evidence(target, groups, slicing, left_out, request.options):
                found.setdefault(item.key, item)
        for item in _worst(target, made, request.options):
            found.setdefault(item.key, item)
    return list(found.values())


def pending_slices(benchmarks: Mapping[str, Evidence], request: Request) -> list[Evidence]:
    """One pending entry a slicing for each benchmark that has no predictions.

    Args:
        benchmarks: the pending evidence of each such benchmark, whose reason and command hold for its slices too.
    """
    waiting: dict[str, Evidence] = {}
    for name, why in benchmarks.items():
        benchmark = get_benchmark(name)
        for references in request.by:
            if not _fits(references, Subjects(benchmark, (), np.zeros(0, dtype=np.int64)), None):
                continue
            key = f"{name}@{_name(references)}.top1:difference"
            waiting[key] = Evidence(
                key=key, class_=EvidenceClass.PENDING, reason=why.reason, command=why.command, N=benchmark.size
            )
    return list(waiting.values())


def _fits(references: Sequence[str], subjects: Subjects, file: SliceFile | None) -> bool:
    """Whether the samples can have these groups: by the kind of benchmark, or because the user's file names some."""
    for reference in references:
        entry = slicings().get(split_reference(reference)[0])
        if entry is not None and not entry.fits(subjects.benchmark):
            return False
        if entry is None and file is not None and not file.joins(subjects.benchmark, subjects.sample_ids):
            return False
    return True


def _name(references: Sequence[str]) -> str:
    return "+".join(split_reference(reference)[0] for reference in references)


@dataclass(frozen=True, eq=False)
class Groups:
    """The groups of a target by one slicing, or by several that are crossed."""

    name: str
    """As in evidence keys."""
    slicing: Slicing
    parts: tuple[Grouping, ...]
    is_from_file: bool

    @property
    def title(self) -> str:
        return " × ".join(part.title for part in self.parts)

    @property
    def fingerprint(self) -> str:
        return "+".join(part.fingerprint for part in self.parts)

    @property
    def note(self) -> str | None:
        return "; ".join(dict.fromkeys(part.note for part in self.parts if part.note)) or None

    @property
    def file_note(self) -> str | None:
        return f"{self.title}: {self.note}." if self.is_from_file and self.note else None

    def words(self, group: str) -> str:
        """What a group is called for people."""
        names = group.split(" × ") if len(self.parts) > 1 else [group]
        pairs = zip(names, self.parts, strict=True)
        return " × ".join((part.titles or {}).get(name, name) for name, part in pairs)

    def published(self, group: str, n: int, *, whole: bool) -> int | None:
        """Samples that the whole benchmark has in a group."""
        if len(self.parts) > 1:
            return n if whole else None
        counts = self.parts[0].published
        if counts is None:
            return n if whole else None
        return counts.get(group)

    def keys(self) -> dict[str, str]:
        """Each group's name in evidence keys; names that become alike are numbered."""
        made: Counter[str] = Counter()
        keys = {}
        for group in self.slicing.groups:
            names = group.split(" × ") if len(self.parts) > 1 else [group]
            key = "+".join(slug(name) for name in names)
            made[key] += 1
            keys[group] = key if made[key] == 1 else f"{key}-{made[key]}"
        return keys


def groups_by(references: Sequence[str], subjects: Subjects, file: SliceFile | None) -> Groups:
    """The groups of samples by one slicing, or by several that are crossed.

    Raises:
        MissingInputError: annotations or images that it needs are not here.
        HarnessError: a fault in the user's file, an unknown slicing or group, or too many pairs of groups.
    """
    columns = file.columns if file is not None else {}
    parts = []
    for reference in references:
        if file is not None and split_reference(reference)[0] in columns:
            parts.append(file.grouping(reference, subjects.benchmark, subjects.sample_ids))
        else:
            parts.append(grouping(reference, subjects))
    try:
        made = [slicing_from_frame(part.name, part.frame, subjects.sample_ids) for part in parts]
    except ValueError as error:
        raise MissingInputError(
            f"{str(error)[0].upper()}{str(error)[1:]}.", remedy="Give images under their published names."
        ) from error
    pairs = int(np.prod([len(slicing.groups) for slicing in made])) if len(made) > 1 else 0
    slicing = reduce(interaction, made)
    if pairs and len(slicing.groups) > MOST_PAIRS:
        raise HarnessError(
            f"{' × '.join(references)} gives {len(slicing.groups):,} groups; {MOST_PAIRS:,} at most are compared.",
            remedy="Cross coarser slicings, or one group: --by wordnet/n02084071.",
            exit_code=ExitCode.USAGE,
        )
    from_file = any(split_reference(reference)[0] in columns for reference in references)
    return Groups(_name(references), slicing, tuple(parts), from_file)


def _without(target: _Target, references: Sequence[str], error: HarnessError) -> Evidence:
    """Evidence that a slicing could not be made: pending where something is missing, else not applicable."""
    waiting = isinstance(error, MissingInputError)
    return _item(
        target,
        f"{target.prefix}@{_name(references)}.top1:difference",
        class_=EvidenceClass.PENDING if waiting else EvidenceClass.NOT_APPLICABLE,
        reason=" ".join(filter(None, (error.message, error.remedy if waiting else None))),
    )


def _item(target: _Target, key: str, *, annotations: str | None = None, **fields: Any) -> Evidence:
    scored = target.scored
    protocol = {**scored.protocol, **fields.pop("protocol", {})}
    return Evidence(
        key=str(EvidenceKey.parse(key).with_variant(scored.variant)),
        fingerprints=Fingerprints(weights=scored.weights, data=scored.data, code=CODE, annotations=annotations),
        protocol=protocol,
        command=scored.command,
        **fields,
    )


def _evidence(
    target: _Target, groups: Groups, slicing: Slicing, left_out: str | None, options: SliceOptions
) -> Iterable[Evidence]:
    """The disparities of one slicing, then its groups."""
    where = f"{target.prefix}@{groups.name}"
    described = {
        "slicing": groups.title,
        "smallest_group": options.smallest_group,
        **({"left_out": left_out} if left_out else {}),
        **({"note": groups.note} if groups.note else {}),
    }
    try:
        found = audit(target.outcomes, slicing, min_units=options.smallest_group, correction=options.correction)
    except MetricUnavailable as unavailable:
        yield _item(
            target,
            f"{where}.top1:difference",
            annotations=groups.fingerprint,
            class_=EvidenceClass.PENDING,
            reason=unavailable.reason,
        )
        return
    yield from _disparities(target, where, groups, found, described)
    yield from _by_group(target, where, groups, found, described, options)
    entry = slicings().get(groups.name)
    if entry is not None and entry.error_ratio:
        yield from _error_ratios(target, where, groups, found, described)


def _disparities(
    target: _Target, where: str, groups: Groups, found: Audit, described: dict[str, Any]
) -> Iterable[Evidence]:
    if len(found.groups) < 2:
        return
    common: dict[str, Any] = {
        "annotations": groups.fingerprint,
        "protocol": {
            **described,
            "compared": int((~found.groups["too_small"]).sum()),
            "overall": round(found.overall.value, 4),
            "detectable": found.detectable,
            "smallest_detectable": found.smallest_detectable,
        },
    }
    if not found.disparity:
        small = described["smallest_group"]
        yield _item(
            target,
            f"{where}.top1:difference",
            class_=EvidenceClass.PENDING if not target.subjects.is_whole else EvidenceClass.NOT_APPLICABLE,
            reason=f"fewer than two groups have {small} images, so there is nothing to compare",
            n=found.overall.n,
            **common,
        )
        return
    reason = None
    if not found.detectable and found.smallest_detectable is not None:
        reason = NO_DIFFERENCE.format(points=found.smallest_detectable)
    for name, estimate in found.disparity.items():
        yield _item(
            target,
            f"{where}.top1:{name}",
            class_=EvidenceClass.MEASURED,
            value=estimate.value,
            unit=DISPARITY_UNITS[name],
            interval=to_interval(estimate),
            n=estimate.n,
            N=_published_total(target, groups, estimate.n),
            reason=_reasons(target, reason if name in ("difference", "ratio") else None),
            **common,
        )


def _published_total(target: _Target, groups: Groups | None, n: int) -> int | None:
    """Samples that the whole benchmark has under a slicing, where that is more than what was run."""
    if target.subjects.is_whole or target.outcomes.repeated:
        return n
    total = groups.parts[0].total if groups is not None and len(groups.parts) == 1 else None
    return max(n, total or target.subjects.benchmark.size)


def _reasons(target: _Target, *reasons: str | None) -> str | None:
    unreadable = target.scored.unreadable
    left = f"{unreadable} unreadable image(s) left out" if unreadable else None
    return "; ".join(filter(None, (*reasons, left))) or None


def _by_group(
    target: _Target,
    where: str,
    groups: Groups,
    found: Audit,
    described: dict[str, Any],
    options: SliceOptions,
) -> Iterable[Evidence]:
    keys = groups.keys()
    whole = target.subjects.is_whole
    table = found.groups
    adjusted = {name: correct(table["p_value"].to_numpy()) for name, correct in CORRECTIONS.items()}
    correction = f"{_CORRECTION_NAMES[options.correction]} over {int(table['p_value'].notna().sum())} groups"
    for position, (group, row) in enumerate(zip(table.index, table.to_dict("records"), strict=True)):
        n, units = int(row["n"]), int(row["units"])
        published = groups.published(group, units, whole=whole)
        common: dict[str, Any] = {
            "annotations": groups.fingerprint,
            "n": n,
            "N": None if target.outcomes.repeated else published,
        }
        named = {**described, "group": groups.words(group)}
        key = f"{where}/{keys[group]}.top1"
        if row["too_small"]:
            more = published is None or published >= options.smallest_group
            reason = f"too small to report: {units:,} images, at least {options.smallest_group} are needed"
            waiting = more and not whole
            class_ = EvidenceClass.PENDING if waiting else EvidenceClass.NOT_APPLICABLE
            yield _item(target, key, class_=class_, reason=_reasons(target, reason), protocol=named, **common)
            continue
        comparison, words = None, None
        if not np.isnan(row["p_value"]):
            comparison = {
                "with": "the rest of the covered images",
                "gap": float(row["gap"]),
                "p_value": float(row["p_value"]),
                "p_holm": float(adjusted["holm"][position]),
                "p_benjamini_hochberg": float(adjusted["benjamini-hochberg"][position]),
                "detectable": bool(row["detectable"]),
                "smallest_detectable": float(row["smallest_detectable"]),
                "correction": correction,
            }
            words = _difference_words(row, correction)
        part = None
        counts_the_benchmark = published is not None and not groups.is_from_file
        if not counts_the_benchmark and not whole and not target.outcomes.repeated:
            part = f"on {len(target.outcomes):,} of {target.subjects.benchmark.size:,} images of the benchmark"
        yield _item(
            target,
            key,
            class_=EvidenceClass.MEASURED,
            value=float(row["accuracy"]),
            unit="%",
            interval=Interval(
                low=row["low"], high=row["high"], level=LEVEL, method=found.interval_method, kind="wilson"
            ),
            reason=_reasons(target, words, part),
            protocol={**named, **({"comparison": comparison} if comparison is not None else {})},
            **common,
        )


def _difference_words(row: Mapping[Any, Any], correction: str) -> str:
    if not row["detectable"]:
        return NO_DIFFERENCE.format(points=row["smallest_detectable"])
    side = "below" if row["gap"] < 0 else "above"
    p = "p < 0.001" if row["p_adjusted"] < 0.001 else f"p = {row['p_adjusted']:.3f}"
    return f"{abs(row['gap']):.1f} points {side} the rest ({correction}, {p})"


def _error_ratios(
    target: _Target, where: str, groups: Groups, found: Audit, described: dict[str, Any]
) -> Iterable[Evidence]:
    keys = groups.keys()
    try:
        ratios = error_ratio(target.outcomes, groups.slicing)
    except MetricUnavailable:
        return  # without an error there is no ratio; the accuracies of 100 % say so
    units, too_small = found.groups["units"].to_dict(), found.groups["too_small"].to_dict()
    for group, estimate in ratios.items():
        if too_small[group]:
            continue
        published = groups.published(group, int(units[group]), whole=target.subjects.is_whole)
        yield _item(
            target,
            f"{where}/{keys[group]}.error-ratio",
            annotations=groups.fingerprint,
            class_=EvidenceClass.MEASURED,
            value=estimate.value,
            interval=to_interval(estimate),
            n=estimate.n,
            N=None if target.outcomes.repeated else published,
            reason=_reasons(target),
            protocol={
                **described,
                "group": groups.words(group),
                "reading": "error rate over that of all covered images",
            },
        )


def _worst(target: _Target, made: Sequence[tuple[Groups, Slicing]], options: SliceOptions) -> Iterable[Evidence]:
    """The worst slices over all slicings, and how much worse the worst one is at the least."""
    if not made:
        return
    try:
        numbered = [replace(slicing, name=str(number)) for number, (_, slicing) in enumerate(made)]
        found = worst_slices(target.outcomes, numbered, min_units=options.smallest_group)
    except MetricUnavailable as unavailable:
        waiting = not target.subjects.is_whole
        yield _item(
            target,
            f"{target.prefix}.worst-slice-gap",
            class_=EvidenceClass.PENDING if waiting else EvidenceClass.NOT_APPLICABLE,
            reason=unavailable.reason,
        )
        return
    worst = found.table.head(WORST).to_dict("records")
    rows = [_worst_row(target, made[int(row["slicing"])][0], row) for row in worst]
    searched = {"searched": f"{found.searched:,} slices of {len(made)} slicings", "bounds": found.overall.method}
    common: dict[str, Any] = {
        "annotations": hashlib.sha256("\n".join(groups.fingerprint for groups, _ in made).encode()).hexdigest(),
        "n": found.overall.n,
        "N": _published_total(target, None, found.overall.n),
        "class_": EvidenceClass.MEASURED,
        "protocol": {**searched, "smallest_group": options.smallest_group},
    }
    yield _item(target, f"{target.prefix}.worst-slices", value=rows, reason=_reasons(target), **common)
    yield _item(
        target,
        f"{target.prefix}.worst-slice-gap",
        unit="points",
        reason=_reasons(target, f"the worst slice is {rows[0]['slicing']}: {rows[0]['title']}"),
        **_gap(found, common),
    )


def _worst_row(target: _Target, groups: Groups, row: Mapping[Any, Any]) -> dict[str, Any]:
    return {
        "key": f"{target.prefix}@{groups.name}/{groups.keys()[row['group']]}.top1",
        "slicing": groups.title,
        "title": groups.words(row["group"]),
        "n": int(row["n"]),
        "accuracy": float(row["accuracy"]),
        "low": float(row["low"]),
        "high": float(row["high"]),
        "gap": float(row["gap"]),
        "gap_at_least": float(row["gap_at_least"]),
    }


def _gap(found: WorstSlices, common: dict[str, Any]) -> dict[str, Any]:
    """Value and simultaneous bounds of how far the worst slice lies below the whole."""
    worst = found.table.head(1).to_dict("records")[0]
    assert found.overall.high is not None
    interval = Interval(
        low=min(worst["gap_at_least"], worst["gap"]),
        high=max(worst["gap"], found.overall.high - worst["low"]),
        level=found.overall.level,
        method=found.overall.method,
        kind=found.overall.kind,
    )
    return {**common, "value": worst["gap"], "interval": interval}
