"""Accuracy in percent with Wilson intervals, from stored predictions.

A sample whose true class is not in the label space (label -1) counts as wrong: the model could not have named it.
Leave such samples out with `LabelSpacePredictions.take` where the protocol says so.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from harness.metrics.intervals import proportion, wilson
from harness.metrics.types import (
    TOP,
    BoolArray,
    Estimate,
    IntArray,
    LabelSpacePredictions,
    MetricSpec,
    MetricUnavailable,
)


def is_correct(predictions: LabelSpacePredictions, k: int = 1) -> BoolArray:
    """Whether the true class is among the k best (n,).

    Raises:
        MetricUnavailable: fewer than k classes were stored a sample (imports).
    """
    ranks = _ranks(predictions, k)
    return np.asarray(((ranks == predictions.label[:, None]) & (ranks >= 0)).any(axis=1))


def is_in_sets(predictions: LabelSpacePredictions, allowed: Sequence[Collection[int]], k: int = 1) -> BoolArray:
    """Whether one of the k best classes is in the sample's own set of right answers (n,).

    For ReaL the sets are the relabelled classes. For "the class or a descendant" they are
    `[descendants[label] for label in labels]`, with an empty set where the class is not in the label space. Nothing is
    in an empty set.

    Raises:
        ValueError: there is not one set a sample.
        MetricUnavailable: fewer than k classes were stored a sample (imports).
    """
    if len(allowed) != len(predictions):
        raise ValueError(f"{len(allowed)} sets of right answers for {len(predictions)} samples")
    ranks = _ranks(predictions, k)
    sizes = np.fromiter((len(classes) for classes in allowed), dtype=np.int64, count=len(allowed))
    flat = np.fromiter((c for classes in allowed for c in classes), dtype=np.int64, count=int(sizes.sum()))
    # One number for each pair of sample and class lets a single set operation answer for all samples.
    width = max(int(flat.max(initial=0)), int(ranks.max(initial=0))) + 1
    right = np.repeat(np.arange(len(allowed)), sizes) * width + flat
    given = np.arange(len(predictions))[:, None] * width + ranks
    return np.asarray((np.isin(given, right) & (ranks >= 0)).any(axis=1))


def accuracy(correct: BoolArray) -> Estimate:
    """The share of True in percent.

    >>> accuracy(np.array([True, True, False, True])).value
    75.0

    Raises:
        MetricUnavailable: there are no samples.
    """
    return proportion(int(np.count_nonzero(correct)), len(correct))


def top1(predictions: LabelSpacePredictions) -> Estimate:
    """Top-1 accuracy in percent."""
    return accuracy(is_correct(predictions))


def top5(predictions: LabelSpacePredictions) -> Estimate:
    """Top-5 accuracy in percent."""
    return accuracy(is_correct(predictions, TOP))


def top1_real(predictions: LabelSpacePredictions, allowed: Sequence[Collection[int]]) -> Estimate:
    """ReaL accuracy in percent: samples with an empty set are left out, and n says how many remain.

    Beyer et al. 2020, "Are we done with ImageNet?", arXiv:2006.07159, section 3.
    """
    judged = np.fromiter((len(classes) > 0 for classes in allowed), dtype=bool, count=len(allowed))
    return accuracy(is_in_sets(predictions, allowed)[judged])


def multi_label_accuracy(predictions: LabelSpacePredictions, allowed: Sequence[Collection[int]]) -> Estimate:
    """Multi-label accuracy in percent: the mean of the accuracies of the classes by the images' own labels, where an answer in
    the sample's set is right; samples with an empty set are left out.

    Shankar et al. 2020, "Evaluating Machine Accuracy on ImageNet". The interval is Wilson's at the number of independent
    samples with the variance that a mean over classes has.

    Raises:
        MetricUnavailable: no sample has a set.
    """
    judged = np.fromiter((len(classes) > 0 for classes in allowed), dtype=bool, count=len(allowed))
    if not judged.any():
        raise MetricUnavailable("There are no samples to count.")
    _, class_ = np.unique(predictions.label[judged], return_inverse=True)
    n = np.bincount(class_)
    share = np.bincount(class_, weights=is_in_sets(predictions, allowed)[judged]) / n
    value, variance = float(share.mean()), float((share * (1 - share) / np.maximum(n - 1, 1)).sum()) / len(n) ** 2
    effective = value * (1 - value) / variance if variance > 0 else float(n.sum())
    low, high = (float(bound) for bound in wilson(value * effective, effective))
    method = f"Wilson at the effective sample size {effective:.0f}"
    return Estimate(100 * value, 100 * low, 100 * high, method, int(n.sum()), "wilson-effective")


def _ranks(predictions: LabelSpacePredictions, k: int) -> IntArray:
    """The k best classes (n, k), where that many were stored for some sample."""
    if not 1 <= k <= TOP:
        raise ValueError(f"k must be between 1 and {TOP}, got {k}")
    ranks = predictions.top5[:, :k]
    if len(predictions) and (ranks[:, k - 1] < 0).all():
        raise MetricUnavailable(f"Fewer than {k} classes were stored a sample.")
    return ranks


TOP_K = {"top1": 1, "top5": TOP}
"""The accuracies that also have a meaning where a sample has several right classes, by metric."""

_SHARED: dict[str, Any] = {"unit": "%", "higher_is_better": True, "range": (0, 100), "group": "accuracy"}
METRICS = (
    MetricSpec("top1", "Top-1 accuracy", compute=top1, lm_eval="acc", hub_type="accuracy", **_SHARED),
    MetricSpec("top5", "Top-5 accuracy", compute=top5, lm_eval="acc_top5", hub_type="top_5_accuracy", **_SHARED),
)
