"""From stored predictions to evidence on slices: accuracy by group, disparities told apart from noise, the worst slices.

Reads predictions and annotations, never a model; only image statistics read images, once. What a slicing needs and is not
here becomes pending evidence under the slicing's first name; a group that is too small has an entry that says so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from harness.data.catalog import Benchmark
from harness.data.groupings import Subjects
from harness.data.slicings import slicings
from harness.errors import HarnessError, MissingInputError
from harness.evaluation.scoring import Conditions, Scored, pooled
from harness.evaluation.slice_requests import Groups, Request, fits, groups_by, is_sliced, slicing_name
from harness.evaluation.suites import SliceOptions
from harness.evidence import Evidence, EvidenceClass
from harness.labels.projections import CLOSED
from harness.metrics.fairness import DISPARITY_UNITS, Audit, audit, error_ratio, worst_slices
from harness.metrics.multiplicity import CORRECTIONS, Correction
from harness.metrics.slices import Outcomes, outcomes_by_unit, outcomes_of
from harness.metrics.types import MetricUnavailable

WORST = 10
"""Slices that the search names."""

NO_DIFFERENCE = "no detectable difference (smallest detectable here: {points:.1f} points)"

_CORRECTION_NAMES: dict[Correction, str] = {"holm": "Holm", "benjamini-hochberg": "Benjamini–Hochberg"}

StatisticsOf = Callable[[Scored], Callable[[], pd.DataFrame] | None]
"""Gives, for a condition, what computes its image statistics; None where its images are not here."""


# --- what is sliced -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Target:
    """Samples with their outcomes, and where the numbers come from."""

    prefix: str
    scored: Scored
    """Provenance."""
    outcomes: Outcomes
    subjects: Subjects

    def without_value(self, more_would_do: bool = True) -> EvidenceClass:
        """The class of what these samples can't say: pending where other samples of the benchmark could."""
        waits = more_would_do and not self.subjects.is_whole
        return EvidenceClass.PENDING if waits else EvidenceClass.NOT_APPLICABLE

    def evidence(self, groups: Groups, metric: str, **fields: Any) -> Evidence:
        """One entry on a slicing, or on a group of it: `metric` is what follows the slicing in the key."""
        key = f"{self.prefix}@{groups.name}{metric}"
        return self.scored.evidence(key, annotations=groups.fingerprint, **fields)

    def reasons(self, *reasons: str | None) -> str | None:
        return "; ".join(filter(None, (*reasons, self.scored.left_out))) or None

    def published_total(self, groups: Groups | None, n: int) -> int | None:
        """Samples that the whole benchmark has under a slicing, where that is more than what was run."""
        if self.subjects.is_whole or self.outcomes.repeated:
            return n
        total = groups.parts[0].total if groups is not None and len(groups.parts) == 1 else None
        return max(n, total or self.subjects.benchmark.size)


def _targets(conditions: Conditions, options: SliceOptions, statistics_of: StatisticsOf) -> Iterable[_Target]:
    cells: dict[str, list[Scored]] = {}
    for scored in conditions.values():
        if is_sliced(scored.benchmark, scored.condition, options):
            labels = scored.predictions[CLOSED].label
            statistics = statistics_of(scored)
            subjects = Subjects(scored.benchmark, scored.sample_ids, labels, scored.table, statistics)
            yield _Target(scored.prefix, scored, outcomes_of(scored.correct()), subjects)
        if scored.condition is not None and "/" in scored.condition and options.conditions != "clean":
            cells.setdefault(scored.benchmark.name, []).append(scored)
    for name, group in cells.items():
        yield _all_cells(name, group, statistics_of)


def _all_cells(name: str, cells: Sequence[Scored], statistics_of: StatisticsOf) -> _Target:
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
        made: list[Groups] = []
        items: list[Evidence] = []
        for references in request.by:
            if not fits(references, target.subjects, request.file):
                continue
            try:
                groups = groups_by(references, target.subjects, request.file)
            except HarnessError as error:
                waiting = isinstance(error, MissingInputError)
                key = f"{target.prefix}@{slicing_name(references)}.top1:difference"
                class_ = EvidenceClass.PENDING if waiting else EvidenceClass.NOT_APPLICABLE
                reason = f"{error.message} {error.remedy}" if waiting and error.remedy else error.message
                items.append(target.scored.evidence(key, class_=class_, reason=reason))
                continue
            made.append(groups)
            left_out = groups.slicing.left_out(target.subjects.sample_ids)
            for message in filter(None, (left_out, groups.file_note)):
                if message not in told:
                    told.add(message)
                    note(message)
            items += _of_slicing(target, groups, left_out, request.options)
        for item in (*items, *_worst(target, made, request.options)):
            found.setdefault(item.key, item)
    return list(found.values())


def pending_slices(
    waiting_for: Mapping[str, Evidence], planned: Mapping[str, Benchmark], request: Request
) -> list[Evidence]:
    """One pending entry a slicing for each benchmark that has no predictions.

    Args:
        waiting_for: the pending evidence of each such benchmark, whose reason and command hold for its slices too.
        planned: the benchmarks of the run by name.
    """
    waiting: dict[str, Evidence] = {}
    for name, why in waiting_for.items():
        nothing = Subjects(planned[name], (), np.zeros(0, dtype=np.int64))
        for references in request.by:
            key = f"{name}@{slicing_name(references)}.top1:difference"
            if fits(references, nothing, None):
                waiting[key] = Evidence(
                    key=key,
                    class_=EvidenceClass.PENDING,
                    reason=why.reason,
                    command=why.command,
                    N=nothing.benchmark.size or None,
                )
    return list(waiting.values())


def _of_slicing(target: _Target, groups: Groups, left_out: str | None, options: SliceOptions) -> Iterable[Evidence]:
    """The disparities of one slicing, then its groups."""
    described: dict[str, Any] = {"slicing": groups.title, "smallest_group": options.smallest_group}
    described |= {name: text for name, text in (("left_out", left_out), ("note", groups.note)) if text}
    try:
        found = audit(target.outcomes, groups.slicing, min_units=options.smallest_group, correction=options.correction)
    except MetricUnavailable as unavailable:
        yield target.evidence(groups, ".top1:difference", class_=EvidenceClass.PENDING, reason=unavailable.reason)
        return
    yield from _disparities(target, groups, found, described)
    yield from _by_group(target, groups, found, described, options)
    entry = slicings().get(groups.name)
    if entry is not None and entry.error_ratio:
        yield from _error_ratios(target, groups, found, described)


def _disparities(target: _Target, groups: Groups, found: Audit, described: Mapping[str, Any]) -> Iterable[Evidence]:
    if len(found.groups) < 2:
        return
    protocol = {
        **described,
        "compared": int((~found.groups["too_small"]).sum()),
        "overall": round(found.overall.value, 4),
        "detectable": found.detectable,
        "smallest_detectable": found.smallest_detectable,
    }
    if not found.disparity:
        yield target.evidence(
            groups,
            ".top1:difference",
            protocol=protocol,
            class_=target.without_value(),
            reason=f"fewer than two groups have {described['smallest_group']} images, so there is nothing to compare",
            n=found.overall.n,
        )
        return
    alike = None
    if not found.detectable and found.smallest_detectable is not None:
        alike = NO_DIFFERENCE.format(points=found.smallest_detectable)
    for name, estimate in found.disparity.items():
        yield target.evidence(
            groups,
            f".top1:{name}",
            protocol=protocol,
            estimate=estimate,
            unit=DISPARITY_UNITS[name],
            N=target.published_total(groups, estimate.n),
            reason=target.reasons(alike if name in ("difference", "ratio") else None),
        )


def _by_group(
    target: _Target, groups: Groups, found: Audit, described: Mapping[str, Any], options: SliceOptions
) -> Iterable[Evidence]:
    keys = groups.keys()
    whole, repeated = target.subjects.is_whole, target.outcomes.repeated
    table = found.groups.assign(
        **{name: correct(found.groups["p_value"].to_numpy()) for name, correct in CORRECTIONS.items()}
    )
    correction = f"{_CORRECTION_NAMES[options.correction]} over {int(table['p_value'].notna().sum())} groups"
    for group, row in zip(table.index, table.to_dict("records"), strict=True):
        n, units = int(row["n"]), int(row["units"])
        published = groups.published(group, units, whole=whole)
        protocol = {**described, "group": groups.words(group)}
        common: dict[str, Any] = {"protocol": protocol, "N": None if repeated else published}
        metric = f"/{keys[group]}.top1"
        if row["too_small"]:
            class_ = target.without_value(published is None or published >= options.smallest_group)
            reason = f"too small to report: {units:,} images, at least {options.smallest_group} are needed"
            yield target.evidence(groups, metric, class_=class_, reason=target.reasons(reason), n=n, **common)
            continue
        words = None
        if not np.isnan(row["p_value"]):
            words = _difference_words(row, correction)
            protocol["comparison"] = {
                "with": "the rest of the covered images",
                "gap": float(row["gap"]),
                "p_value": float(row["p_value"]),
                "p_holm": float(row["holm"]),
                "p_benjamini_hochberg": float(row["benjamini-hochberg"]),
                "detectable": bool(row["detectable"]),
                "smallest_detectable": float(row["smallest_detectable"]),
                "correction": correction,
            }
        part = None
        if (published is None or groups.is_from_file) and not whole and not repeated:
            part = f"on {len(target.outcomes):,} of {target.subjects.benchmark.size:,} images of the benchmark"
        yield target.evidence(
            groups,
            metric,
            estimate=replace(found.overall, value=row["accuracy"], low=row["low"], high=row["high"], n=n),
            unit="%",
            reason=target.reasons(words, part),
            **common,
        )


def _difference_words(row: Mapping[Any, Any], correction: str) -> str:
    if not row["detectable"]:
        return NO_DIFFERENCE.format(points=row["smallest_detectable"])
    side = "below" if row["gap"] < 0 else "above"
    p = "p < 0.001" if row["p_adjusted"] < 0.001 else f"p = {row['p_adjusted']:.3f}"
    return f"{abs(row['gap']):.1f} points {side} the rest ({correction}, {p})"


def _error_ratios(target: _Target, groups: Groups, found: Audit, described: Mapping[str, Any]) -> Iterable[Evidence]:
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
        words = {"group": groups.words(group), "reading": "error rate over that of all covered images"}
        yield target.evidence(
            groups,
            f"/{keys[group]}.error-ratio",
            protocol={**described, **words},
            estimate=estimate,
            N=None if target.outcomes.repeated else published,
            reason=target.reasons(),
        )


def _worst(target: _Target, made: Sequence[Groups], options: SliceOptions) -> Iterable[Evidence]:
    """The worst slices over all slicings, and how much worse the worst one is at the least."""
    if not made:
        return
    numbered = [replace(groups.slicing, name=str(number)) for number, groups in enumerate(made)]
    try:
        found = worst_slices(target.outcomes, numbered, min_units=options.smallest_group)
    except MetricUnavailable as unavailable:
        yield target.scored.evidence(
            f"{target.prefix}.worst-slice-gap", class_=target.without_value(), reason=unavailable.reason
        )
        return
    table, overall = found.table.head(WORST).to_dict("records"), found.overall
    rows = [_worst_row(target, made[int(row["slicing"])], row) for row in table]
    common: dict[str, Any] = {
        "annotations": hashlib.sha256("\n".join(groups.fingerprint for groups in made).encode()).hexdigest(),
        "N": target.published_total(None, overall.n),
        "protocol": {
            "searched": f"{found.searched:,} slices of {len(made)} slicings",
            "bounds": overall.method,
            "smallest_group": options.smallest_group,
        },
    }
    reason = target.reasons()
    yield target.scored.evidence(
        f"{target.prefix}.worst-slices", class_=EvidenceClass.MEASURED, value=rows, n=overall.n, reason=reason, **common
    )
    worst = rows[0]
    assert overall.high is not None
    # simultaneous bounds of how far the worst slice lies below the whole
    low, high = min(worst["gap_at_least"], worst["gap"]), max(worst["gap"], overall.high - worst["low"])
    yield target.scored.evidence(
        f"{target.prefix}.worst-slice-gap",
        estimate=replace(overall, value=worst["gap"], low=low, high=high),
        unit="points",
        reason=target.reasons(f"the worst slice is {worst['slicing']}: {worst['title']}"),
        **common,
    )


def _worst_row(target: _Target, groups: Groups, row: Mapping[Any, Any]) -> dict[str, Any]:
    return {
        "key": f"{target.prefix}@{groups.name}/{groups.keys()[row['group']]}.top1",
        "slicing": groups.title,
        "title": groups.words(row["group"]),
        "n": int(row["n"]),
        **{name: float(row[name]) for name in ("accuracy", "low", "high", "gap", "gap_at_least")},
    }
