"""Probabilistic scores and calibration, from stored logits.

Units: NLL in nats; Brier between 0 and 2; mean confidence and calibration errors in percent, like accuracy.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy import stats

from harness.metrics import intervals
from harness.metrics.accuracy import is_correct
from harness.metrics.types import (
    BoolArray,
    Estimate,
    FloatArray,
    IntArray,
    LabelSpacePredictions,
    MetricSpec,
    MetricUnavailable,
)

BINS = 15
"""Guo et al. 2017, "On calibration of modern neural networks", arXiv:1706.04599, section 5."""

Binning = Literal["equal-width", "equal-mass"]


def confidence(predictions: LabelSpacePredictions) -> FloatArray:
    """The largest softmax probability, float64 (n,) in [0, 1].

    Raises:
        MetricUnavailable: logits were not stored.
    """
    logits = predictions.logits()
    # Stored float32 rounding can put the best class a hair above probability 1.
    return np.minimum(np.exp(logits.best - logits.logsumexp), 1.0)


def negative_log_likelihood(predictions: LabelSpacePredictions) -> FloatArray:
    """-log p(true class) in nats, float64 (n,) ≥ 0, NaN where the true class is not in the label space.

    Raises:
        MetricUnavailable: logits were not stored.
    """
    logits = predictions.logits()
    # Stored float32 rounding can put the true class a hair above probability 1.
    return np.where(predictions.label >= 0, np.maximum(logits.logsumexp - logits.target, 0.0), np.nan)


def brier_score(predictions: LabelSpacePredictions) -> FloatArray:
    """Σ over classes of (p - y)², float64 (n,) in [0, 2].

    Brier 1950, "Verification of forecasts expressed in terms of probability". A true class outside the label space
    was given probability 0, which adds 1.

    Raises:
        MetricUnavailable: logits were not stored.
    """
    logits = predictions.logits()
    sum_of_squares = np.exp(logits.logsumexp2 - 2 * logits.logsumexp)
    p_target = np.where(predictions.label >= 0, np.exp(-negative_log_likelihood(predictions)), 0.0)
    return np.clip(sum_of_squares - 2 * p_target + 1, 0.0, 2.0)


def bin_index(confidences: FloatArray, binning: Binning = "equal-width") -> IntArray:
    """The bin of each confidence (n,), 0 … BINS - 1. Bins are closed above, and equal confidences share a bin.

    Equal-width bins divide [0, 1] (Guo et al. 2017). Equal-mass bins divide the sorted confidences into equal counts
    (Nguyen & O'Connor 2015, arXiv:1508.05154), as far as ties allow.
    """
    if binning == "equal-width":
        edges = np.linspace(0.0, 1.0, BINS + 1)[1:-1]
    else:
        edges = np.quantile(confidences, np.arange(1, BINS) / BINS, method="inverted_cdf")
    return np.searchsorted(edges, confidences, side="left")


def reliability_table(confidences: FloatArray, correct: BoolArray) -> pd.DataFrame:
    """What a reliability diagram shows, one row an equal-width bin.

    Returns:
        Columns n (samples), confidence and accuracy (means in the bin as fractions, NaN in an empty bin).
    """
    index = bin_index(confidences)
    n = np.bincount(index, minlength=BINS)
    total = np.where(n > 0, n, np.nan)
    return pd.DataFrame(
        {
            "n": n,
            "confidence": np.bincount(index, weights=confidences, minlength=BINS) / total,
            "accuracy": np.bincount(index, weights=correct, minlength=BINS) / total,
        },
        index=pd.RangeIndex(BINS, name="bin"),
    )


def calibration(predictions: LabelSpacePredictions) -> dict[str, Estimate]:
    """Every probabilistic score of predictions, from one set of bootstrap resamples.

    Returns:
        `nll` (nats, over the samples whose class is in the label space), `brier` (0–2), `mean-confidence`, `ece` and
        `ece:equal-mass` (percent).

    Raises:
        MetricUnavailable: there are no samples, none has its class in the label space, or logits were not stored.
    """
    if not (predictions.label >= 0).any():
        raise MetricUnavailable("No sample has its class in the label space.")
    nll = negative_log_likelihood(predictions)
    scored = ~np.isnan(nll)
    confidences, correct = confidence(predictions), is_correct(predictions)
    means = {"brier": brier_score(predictions), "mean-confidence": 100 * confidences}
    gaps = {
        "ece": _gaps_by_bin(confidences, correct, "equal-width"),
        "ece:equal-mass": _gaps_by_bin(confidences, correct, "equal-mass"),
    }
    sums = intervals.resampled_sums(
        np.column_stack([np.where(scored, nll, 0.0), scored, *means.values(), *gaps.values()])
    )
    n, estimates = len(predictions), {}

    def mean(values: FloatArray, resampled: FloatArray) -> Estimate:
        value = float(values.mean())
        low, high = intervals.percentile_interval(value, resampled)
        return Estimate(value, low, high, intervals.bootstrap_method("percentile"), len(values), "bootstrap")

    # A resample of a set where hardly any class is in the space may hold none of them: it says nothing about NLL.
    has_scored = sums[:, 1] > 0
    estimates["nll"] = mean(nll[scored], sums[has_scored, 0] / sums[has_scored, 1])
    for position, (name, values) in enumerate(means.items(), start=2):
        estimates[name] = mean(values, sums[:, position] / n)
    method = intervals.bootstrap_method("standard error with binning bias")
    for start, (name, gap) in zip((4, 4 + BINS), gaps.items(), strict=True):
        observed = gap.sum(axis=0) / n
        low, high = _calibration_error_interval(observed, sums[:, start : start + BINS] / n)
        value = float(np.abs(observed).sum())
        estimates[name] = Estimate(100 * value, 100 * low, 100 * high, method, n, "bootstrap")
    return estimates


def _gaps_by_bin(confidences: FloatArray, correct: BoolArray, binning: Binning) -> FloatArray:
    """Each sample's correctness minus confidence in its bin's column, 0 elsewhere (n, BINS): ECE is Σ |column mean|."""
    index = bin_index(confidences, binning)
    return np.where(index[:, None] == np.arange(BINS), (correct - confidences)[:, None], 0.0)


def _calibration_error_interval(observed: FloatArray, resampled: FloatArray) -> tuple[float, float]:
    """Interval of Σ |gap| over bins, from the observed gaps (BINS,) and their resamples (resamples, BINS).

    |gap| turns noise into error, so ECE is biased upwards, and a resample of it twice. Here the noise is that of the
    signed gaps, which are unbiased. Below, the largest plausible bias comes off as well: E|N(g, s)| - |g| a bin, at the
    smallest |g| that the level leaves plausible.
    """
    z = intervals.Z
    s = resampled.std(axis=0, ddof=1)
    noisy = s > 0
    t = np.maximum(np.abs(observed[noisy]) / s[noisy] - z, 0.0)
    bias = float(np.sum(s[noisy] * (2 * stats.norm.pdf(t) - 2 * t * stats.norm.sf(t))))
    noise = z * float((resampled @ np.sign(observed)).std(ddof=1))
    value = float(np.abs(observed).sum())
    return max(0.0, value - bias - noise), min(1.0, value + noise)


_ERROR: dict[str, Any] = {"higher_is_better": False, "group": "calibration", "compute": calibration}
_ECE, _EQUAL_MASS = (f"Expected calibration error, {BINS} equal-{kind} bins" for kind in ("width", "mass"))
METRICS = (
    MetricSpec("nll", "Negative log-likelihood", unit="nats", range=(0, math.inf), lm_eval="nll", **_ERROR),
    MetricSpec("brier", "Brier score", range=(0, 2), lm_eval="brier", **_ERROR),
    MetricSpec("ece", _ECE, unit="%", range=(0, 100), variants={"equal-mass": _EQUAL_MASS}, lm_eval="ece", **_ERROR),
    MetricSpec(
        "mean-confidence", "Mean confidence", unit="%", range=(0, 100), group="calibration", compute=calibration
    ),
)
