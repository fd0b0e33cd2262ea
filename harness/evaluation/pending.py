"""What a suite asks for and a run has no number for, each with its own reason and the command that would measure it."""

from __future__ import annotations

from collections.abc import Container, Mapping
from itertools import groupby

from harness.data.catalog import CLEAN_CROPS
from harness.errors import HarnessError
from harness.evaluation.plan import Condition, Plan
from harness.evaluation.provenance import public_text
from harness.evaluation.scoring import pending
from harness.evidence import Evidence

_CORRUPTION_HEADLINES = (".mean-error", ".mce", ".relative-mce")
"""Scores over all cells; the normalised ones are defined for ImageNet-C's corruptions, not for ImageNet-C-bar's."""


def pending_of(plan: Plan, scored: Container[str], failed: Mapping[str, HarnessError]) -> list[Evidence]:
    """Pending evidence of a run; for a benchmark with corruptions of which nothing ran, one entry a headline score
    instead of one a cell.

    Args:
        scored: titles of the conditions that have predictions.
        failed: errors of those that were tried and failed.
    """
    provenance, waiting = plan.provenance, list[Evidence]()
    reasons: dict[str, str] = {}
    for name, group in groupby(plan.conditions, key=lambda condition: condition.benchmark.name):
        conditions = list(group)
        absent = [condition for condition in conditions if condition.title not in scored]
        if not absent:
            continue
        benchmark = conditions[0].benchmark
        command = provenance.command(also=absent[0].images_benchmark.name if absent[0].missing else None)
        whys = [_why(condition, plan, failed) for condition in absent]
        reasons[name] = whys[0]
        if benchmark.corruptions is None:
            waiting += pending(benchmark, (".top1", ".top5"), whys[0], command, provenance.variant)
            continue
        if len(absent) < len(conditions):
            for condition, why in zip(absent, whys, strict=True):
                waiting += pending(benchmark, [f"/{condition.name}.top1"], why, command, provenance.variant)
        if all(condition.name == CLEAN_CROPS for condition in conditions):  # beside official files
            waiting += pending(benchmark, [f"/{CLEAN_CROPS}.top1"], whys[0], command, provenance.variant)
            continue
        headlines = _CORRUPTION_HEADLINES[: None if benchmark.corruptions.extra else 1]
        waiting += pending(benchmark, headlines, whys[0], command, provenance.variant)
    for benchmark in plan.scored:
        if benchmark.scored_from in reasons:
            command = provenance.command(also=benchmark.scored_from)
            waiting += pending(benchmark, (".top1",), reasons[benchmark.scored_from], command, provenance.variant)
    return waiting


def _why(condition: Condition, plan: Plan, failed: Mapping[str, HarnessError]) -> str:
    """Why a condition has no number: all that is missing, without paths of this machine."""
    errors = (failed.get(condition.title), condition.missing, plan.model.missing)
    return public_text(" ".join(error.message for error in errors if error is not None))
