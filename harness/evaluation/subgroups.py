"""The slices of a run: what a user's file has in common with it, its image statistics, and evidence on its slices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial

import pandas as pd

from harness.data.local import LocalDataset
from harness.data.statistics import image_statistics
from harness.evaluation.plan import Condition, Plan
from harness.evaluation.scoring import Conditions, Scored
from harness.evaluation.slice_evidence import StatisticsOf, pending_slices, slice_evidence
from harness.evaluation.slice_requests import Request, is_sliced
from harness.evidence import Evidence, EvidenceClass
from harness.progress import Reporter
from harness.runtime.decoding import default_workers
from harness.settings import Settings


def check_join(plan: Plan, request: Request) -> None:
    """Refuse a user's file that joins with nothing of the run, before the run.

    Raises:
        HarnessError: no row belongs to any sample of any condition that will be sliced.
    """
    if request.file is None:
        return
    sliced = [c for c in plan.runnable if is_sliced(c.benchmark, c.name, request.options)]
    samples = [(c.benchmark, c.samples["sample_id"].tolist()) for c in sliced]
    if samples and not any(request.file.joins(benchmark, ids) for benchmark, ids in samples):
        request.file.check_join(*samples[0])


def slices_of_run(
    plan: Plan, request: Request, scored: Conditions, evidence: Sequence[Evidence], reporter: Reporter
) -> list[Evidence]:
    """Evidence on the slices of a run: measured where there are predictions, pending with the run's reason elsewhere.

    Args:
        evidence: what the run has found so far.
    """
    if not request:
        return []
    found = slice_evidence(scored, request, _statistics_of(plan, reporter), reporter.note)
    planned = {c.benchmark.name: c.benchmark for c in plan.conditions}
    waiting = {}
    for item in evidence:
        benchmark = planned.get(item.name.benchmark)
        if benchmark is None or item.class_ is not EvidenceClass.PENDING or item.key != f"{benchmark.name}.top1":
            continue
        if is_sliced(benchmark, None, request.options):
            waiting[benchmark.name] = item
    return found + pending_slices(waiting, planned, request)


def _statistics_of(plan: Plan, reporter: Reporter) -> StatisticsOf:
    """What computes the image statistics of each condition of a run, once."""

    @cache
    def compute(title: str) -> pd.DataFrame:
        condition = next(c for c in plan.runnable if c.title == title)
        return statistics_with_progress(condition.opened, len(condition.samples), plan.settings, reporter)

    def of(scored: Scored) -> Callable[[], pd.DataFrame] | None:
        own: Condition | None = next(c for c in plan.runnable if c.title == scored.prefix)
        benchmark = scored.benchmark
        if benchmark.corruptions is not None and not benchmark.generated_from:  # its clean originals are another set
            own = next((c for c in plan.runnable if c.benchmark.name == benchmark.same_images_as), None)
        return None if own is None else partial(compute, own.title)

    return of


def statistics_with_progress(dataset: LocalDataset, count: int, settings: Settings, reporter: Reporter) -> pd.DataFrame:
    """The image statistics of the first `count` samples of a copy, with a progress bar."""
    with reporter.progress(f"Image statistics of {dataset.benchmark.name}", count) as advance:
        workers = settings.workers or default_workers()
        return image_statistics(dataset, count, settings.home, workers=workers, progress=advance)
