"""Out-of-distribution detection: how well a model's own scores tell images of its classes from images that show none of them.

The images of its classes are the positives, as in OpenOOD (Zhang et al. 2023, arXiv:2306.09301): AUROC, and the share of the others
that is still taken for them at the threshold that keeps 95 % of them. The scores are those of `harness.metrics.selective`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.metrics.selective import Ranked, auroc, resampled_summaries, scores
from harness.metrics.types import Estimate, FloatArray, LabelSpacePredictions, MetricSpec, MetricUnavailable

KEPT = 0.95
"""True positive rate at which false positives are counted."""


def _summaries(ranked: Ranked, weights: FloatArray) -> tuple[float, float]:
    """AUROC and FPR at `KEPT`, of weights (n known + n others)."""
    kept, taken = ranked.curve(weights)
    known = kept - taken
    at = int(np.searchsorted(known, KEPT * known[-1] * (1 - 1e-12)))
    return auroc(known, taken), float(taken[at] / taken[-1])


def detection(known: LabelSpacePredictions, others: LabelSpacePredictions) -> dict[str, Estimate]:
    """`auroc` and `fpr95` of every score, in percent; both sets are resampled, each by itself.

    Raises:
        MetricUnavailable: one of the sets is empty, or logits were not stored.
    """
    sizes = len(known), len(others)
    if not all(sizes):
        raise MetricUnavailable("There are no images on one of the two sides.")
    is_other = np.repeat([False, True], sizes)
    both = zip(scores(known).items(), scores(others).values(), strict=True)
    ranked = {name: Ranked(np.concatenate([ours, theirs]), is_other) for (name, ours), theirs in both}
    return resampled_summaries(ranked, sizes, _summaries, [spec.name for spec in METRICS])


_SHARED: dict[str, Any] = {"unit": "%", "range": (0, 100), "group": "ood"}
METRICS = (
    MetricSpec("auroc", "AUROC of telling the validation set from it", higher_is_better=True, **_SHARED),
    MetricSpec("fpr95", "FPR at 95 % TPR", higher_is_better=False, **_SHARED),
)
