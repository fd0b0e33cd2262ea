"""Probabilistic scores and calibration, from stored logits.

Units: NLL in nats; Brier between 0 and 2; mean confidence and calibration errors in percent, like accuracy.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
from scipy import stats

from harness.metrics.accuracy import is_correct
from harness.metrics.intervals import (
    LEVEL,
    RESAMPLES,
    SEED,
    bootstrap_method,
    normal_quantile,
    percentile_interval,
    resampled_sums,
)
from harness.metrics.types import BoolArray, Estimate, FloatArray, IntArray, LabelSpacePredictions, MetricUnavailable

BINS = 15
"""Guo et al. 2017, "On calibration of modern neural networks", arXiv:1706.04599, section 5."""

Binning = Literal["equal-width", "equal-mass"]


def confidence(readout: LabelSpacePredictions) -> FloatArray:
    """The largest softmax probability, float64 (n,) in [0, 1].

    Raises:
        MetricUnavailable: logits were not stored.
    """
    logits = readout.logits()
    # Stored float32 rounding can put the best class a hair above probability 1.
    return np.minimum(np.exp(logits.best - logits.logsumexp), 1.0)


def negative_log_likelihood(readout: LabelSpacePredictions) -> FloatArray:
    """-log p(true class) in nats, float64 (n,) ≥ 0, NaN where the true class is not in the label space.

    Raises:
        MetricUnavailable: logits were not stored.
    """
    logits = readout.logits()
    # Stored float32 rounding can put the true class a hair above probability 1.
    return np.where(readout.label >= 0, np.maximum(logits.logsumexp - logits.target, 0.0), np.nan)


def brier_score(readout: LabelSpacePredictions) -> FloatArray:
    """Σ over classes of (p - y)², float64 (n,) in [0, 2].

    Brier 1950, "Verification of forecasts expressed in terms of probability". A true class outside the label space
    was given probability 0, which adds 1.

    Raises:
        MetricUnavailable: logits were not stored.
    """
    logits = readout.logits()
    sum_of_squares = np.exp(logits.logsumexp2 - 2 * logits.logsumexp)
    p_target = np.where(readout.label >= 0, np.exp(-negative_log_likelihood(readout)), 0.0)
    return np.clip(sum_of_squares - 2 * p_target + 1, 0.0, 2.0)


def bin_index(confidences: FloatArray, bins: int = BINS, binning: Binning = "equal-width") -> IntArray:
    """The bin of each confidence (n,), 0 … bins - 1. Bins are closed above, and equal confidences share a bin.

    Equal-width bins divide [0, 1] (Guo et al. 2017). Equal-mass bins divide the sorted confidences into equal counts
    (Nguyen & O'Connor 2015, arXiv:1508.05154), as far as ties allow.
    """
    if binning == "equal-width":
        edges = np.linspace(0.0, 1.0, bins + 1)[1:-1]
    else:
        edges = np.quantile(confidences, np.arange(1, bins) / bins, method="inverted_cdf")
    return np.searchsorted(edges, confidences, side="left")


def reliability_table(
    confidences: FloatArray, correct: BoolArray, bins: int = BINS, binning: Binning = "equal-width"
) -> pd.DataFrame:
    """What a reliability diagram shows, one row a bin.

    Returns:
        Columns n (samples), confidence and accuracy (means in the bin as fractions, NaN in an empty bin).
    """
    index = bin_index(confidences, bins, binning)
    n = np.bincount(index, minlength=bins)
    total = np.where(n > 0, n, np.nan)
    return pd.DataFrame(
        {
            "n": n,
            "confidence": np.bincount(index, weights=confidences, minlength=bins) / total,
            "accuracy": np.bincount(index, weights=correct, minlength=bins) / total,
        },
        index=pd.RangeIndex(bins, name="bin"),
    )


def calibration(
    readout: LabelSpacePredictions,
    *,
    bins: int = BINS,
    level: float = LEVEL,
    seed: int = SEED,
    resamples: int = RESAMPLES,
) -> dict[str, Estimate]:
    """Every probabilistic score of a readout, from one set of bootstrap resamples.

    Returns:
        `nll` (nats, over the samples whose class is in the label space), `brier` (0–2), `mean-confidence`, `ece` and
        `ece:equal-mass` (percent).

    Raises:
        MetricUnavailable: there are no samples, none has its class in the label space, or logits were not stored.
    """
    if not (readout.label >= 0).any():
        raise MetricUnavailable("No sample has its class in the label space.")
    nll = negative_log_likelihood(readout)
    scored = ~np.isnan(nll)
    confidences = confidence(readout)
    correct = is_correct(readout)
    gaps = {
        "ece": _gaps_by_bin(confidences, correct, bins, "equal-width"),
        "ece:equal-mass": _gaps_by_bin(confidences, correct, bins, "equal-mass"),
    }
    means = {"brier": brier_score(readout), "mean-confidence": 100 * confidences}
    columns = [np.where(scored, nll, 0.0), scored, *means.values(), *(column for g in gaps.values() for column in g.T)]
    sums = resampled_sums(np.column_stack(columns), seed=seed, resamples=resamples)

    percentile = bootstrap_method("percentile", seed=seed, resamples=resamples)
    estimates = {}
    # A resample of a set where hardly any class is in the space may hold none of them: it says nothing about NLL.
    has_scored = sums[:, 1] > 0
    value = float(nll[scored].mean())
    low, high = percentile_interval(value, sums[has_scored, 0] / sums[has_scored, 1], level)
    estimates["nll"] = Estimate(value, low, high, level, percentile, int(scored.sum()))
    n = len(readout)
    for position, (name, values) in enumerate(means.items(), start=2):
        value = float(values.mean())
        low, high = percentile_interval(value, sums[:, position] / n, level)
        estimates[name] = Estimate(value, low, high, level, percentile, n)
    start = 2 + len(means)
    method = bootstrap_method("standard error with binning bias", seed=seed, resamples=resamples)
    for name, gap in gaps.items():
        observed = gap.sum(axis=0) / n
        low, high = _calibration_error_interval(observed, sums[:, start : start + bins] / n, level)
        value = float(np.abs(observed).sum())
        estimates[name] = Estimate(100 * value, 100 * low, 100 * high, level, method, n)
        start += bins
    return estimates


def _gaps_by_bin(confidences: FloatArray, correct: BoolArray, bins: int, binning: Binning) -> FloatArray:
    """Each sample's correctness minus confidence in its bin's column, 0 elsewhere (n, bins).

    ECE is then Σ over bins of |column mean|, and the bins stay those of the whole set in every resample.
    """
    index = bin_index(confidences, bins, binning)
    return np.where(index[:, None] == np.arange(bins), (correct - confidences)[:, None], 0.0)


def _calibration_error_interval(observed: FloatArray, resampled: FloatArray, level: float) -> tuple[float, float]:
    """Interval of Σ |gap| over bins, from the observed gaps (bins,) and their resamples (resamples, bins).

    |gap| turns noise into error, so ECE is biased upwards, and a resample of it twice: percentile intervals can lie
    wholly above the value. Here the noise is that of the signed gaps, which are unbiased means. Above, the value plus
    its quantile of noise is enough, as bias only raises the value. Below, the largest plausible bias comes off as
    well: E|N(g, s)| - |g| a bin, which falls as |g| grows, at the smallest |g| that the level leaves plausible. In a
    clearly miscalibrated bin that is nearly 0; in a bin that may be calibrated it is s √(2/π).
    """
    z = normal_quantile(level)
    s = resampled.std(axis=0, ddof=1)
    noisy = s > 0
    t = np.maximum(np.abs(observed[noisy]) / s[noisy] - z, 0.0)
    bias = float(np.sum(s[noisy] * (2 * stats.norm.pdf(t) - 2 * t * stats.norm.sf(t))))
    noise = z * float((resampled @ np.sign(observed)).std(ddof=1))
    value = float(np.abs(observed).sum())
    return max(0.0, value - bias - noise), min(1.0, value + noise)
