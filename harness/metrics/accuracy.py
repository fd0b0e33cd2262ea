"""Accuracy in percent with Wilson intervals, from stored predictions.

A sample whose true class is not in the label space (label -1) counts as wrong: the model could not have named it.
Leave such samples out with `LabelSpacePredictions.take` where the protocol says so.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from harness.metrics.intervals import LEVEL, proportion
from harness.metrics.types import TOP, BoolArray, Estimate, IntArray, LabelSpacePredictions, MetricUnavailable


def is_correct(readout: LabelSpacePredictions, k: int = 1) -> BoolArray:
    """Whether the true class is among the k best (n,).

    Raises:
        MetricUnavailable: fewer than k classes were stored a sample (imports).
    """
    ranks = _ranks(readout, k)
    return _any_rank((ranks == readout.label[:, None]) & (ranks >= 0))


def is_in_sets(readout: LabelSpacePredictions, allowed: Sequence[Collection[int]], k: int = 1) -> BoolArray:
    """Whether one of the k best classes is in the sample's own set of right answers (n,).

    For ReaL the sets are the relabelled classes. For "the class or a descendant" they are
    `[descendants[label] for label in labels]`, with an empty set where the class is not in the label space. Nothing is
    in an empty set.

    Raises:
        ValueError: there is not one set a sample.
        MetricUnavailable: fewer than k classes were stored a sample (imports).
    """
    if len(allowed) != len(readout):
        raise ValueError(f"{len(allowed)} sets of right answers for {len(readout)} samples")
    ranks = _ranks(readout, k)
    sizes = np.fromiter((len(classes) for classes in allowed), dtype=np.int64, count=len(allowed))
    flat = np.fromiter((c for classes in allowed for c in classes), dtype=np.int64, count=int(sizes.sum()))
    # One number for each pair of sample and class lets a single set operation answer for all samples.
    width = max(int(flat.max(initial=0)), int(ranks.max(initial=0))) + 1
    right = np.repeat(np.arange(len(allowed)), sizes) * width + flat
    given = np.arange(len(readout))[:, None] * width + ranks
    return _any_rank(np.isin(given, right) & (ranks >= 0))


def accuracy(correct: BoolArray, level: float = LEVEL) -> Estimate:
    """The share of True in percent.

    Raises:
        MetricUnavailable: there are no samples.
    """
    return proportion(int(np.count_nonzero(correct)), len(correct), level)


def top1(readout: LabelSpacePredictions, level: float = LEVEL) -> Estimate:
    """Top-1 accuracy in percent."""
    return accuracy(is_correct(readout, 1), level)


def top5(readout: LabelSpacePredictions, level: float = LEVEL) -> Estimate:
    """Top-5 accuracy in percent."""
    return accuracy(is_correct(readout, TOP), level)


def top1_in_sets(readout: LabelSpacePredictions, allowed: Sequence[Collection[int]], level: float = LEVEL) -> Estimate:
    """Share of samples in percent whose best class is in their set; an empty set counts as wrong."""
    return accuracy(is_in_sets(readout, allowed), level)


def top1_real(readout: LabelSpacePredictions, allowed: Sequence[Collection[int]], level: float = LEVEL) -> Estimate:
    """ReaL accuracy in percent: samples with an empty set are left out, and n says how many remain.

    Beyer et al. 2020, "Are we done with ImageNet?", arXiv:2006.07159, section 3.
    """
    judged = np.fromiter((len(classes) > 0 for classes in allowed), dtype=bool, count=len(allowed))
    return accuracy(is_in_sets(readout, allowed)[judged], level)


def _any_rank(hits: BoolArray) -> BoolArray:
    """Whether some rank hits (n,), from hits (n, k)."""
    return np.asarray(hits.any(axis=1))


def _ranks(readout: LabelSpacePredictions, k: int) -> IntArray:
    """The k best classes (n, k), where that many were stored for some sample."""
    if not 1 <= k <= TOP:
        raise ValueError(f"k must be between 1 and {TOP}, got {k}")
    ranks = readout.top5[:, :k]
    if len(readout) and (ranks[:, k - 1] < 0).all():
        raise MetricUnavailable(f"Fewer than {k} classes were stored a sample.")
    return ranks
