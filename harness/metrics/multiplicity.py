"""Many comparisons at once: adjusted p-values, simultaneous bounds, and what a comparison could have found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import stats

from harness.metrics.intervals import LEVEL
from harness.metrics.types import FloatArray

POWER = 0.8
"""Chance of finding a difference of the smallest detectable size."""

_STEPS = 20
"""Fixed-point steps of `smallest_detectable_difference`; each shrinks the change at least by half."""

Correction = Literal["holm", "benjamini-hochberg"]


def holm(p_values: FloatArray) -> FloatArray:
    """Adjusted p-values (m,) that control the chance of any false finding, under any dependence; NaN stays NaN.

    Holm 1979, "A simple sequentially rejective multiple test procedure".

    >>> holm(np.array([0.01, 0.04, 0.03])).tolist()
    [0.03, 0.06, 0.06]
    """
    adjusted = np.full(len(p_values), np.nan)
    known = np.flatnonzero(~np.isnan(p_values))
    order = known[np.argsort(p_values[known], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p_values[order] * factors))
    return adjusted


def benjamini_hochberg(p_values: FloatArray) -> FloatArray:
    """Adjusted p-values (m,) that control the share of false findings among the findings; NaN stays NaN.

    Benjamini & Hochberg 1995, "Controlling the false discovery rate"; for independent or positively dependent tests.
    """
    adjusted = np.full(len(p_values), np.nan)
    known = ~np.isnan(p_values)
    if known.any():
        adjusted[known] = stats.false_discovery_control(p_values[known], method="bh")
    return adjusted


CORRECTIONS: dict[Correction, Callable[[FloatArray], FloatArray]] = {
    "holm": holm,
    "benjamini-hochberg": benjamini_hochberg,
}


def clopper_pearson(successes: npt.ArrayLike, n: npt.ArrayLike, comparisons: int = 1) -> tuple[FloatArray, FloatArray]:
    """Exact 95 % bounds of proportions as fractions, holding together over `comparisons` of them (Bonferroni).

    Clopper & Pearson 1934. Exact rather than Wilson because a search looks far into the tails, where Wilson's normal
    approximation is too narrow: 40 right of 50 at a true accuracy of 0.95 has a probability of 1e-4, and Wilson's
    bound calls it 6e-7. Counts may be fractional (effective sample sizes, Korn & Graubard 1998).
    """
    successes, n = np.asarray(successes, dtype=np.float64), np.asarray(n, dtype=np.float64)
    tail = (1 - LEVEL) / comparisons / 2
    failures = n - successes
    low = stats.beta.ppf(tail, np.where(successes > 0, successes, 1.0), failures + 1)
    high = stats.beta.isf(tail, successes + 1, np.where(failures > 0, failures, 1.0))
    return np.where(successes > 0, low, 0.0), np.where(failures > 0, high, 1.0)


def exact_p_values(
    successes: npt.NDArray[np.int64], n: npt.NDArray[np.int64], total_successes: int, total: int
) -> FloatArray:
    """Two-sided p-values (m,) that a group and the rest of its population have one success rate; NaN without either.

    Fisher's exact test given the totals, doubling the smaller tail: valid at any size, where a normal test of a small
    group at high accuracy is not.
    """
    # Groups of one size and count share a p-value: all 1,000 classes of imagenet-val have 50 images each.
    pairs, inverse = np.unique(np.stack([successes, n]), axis=1, return_inverse=True)
    below = stats.hypergeom.cdf(pairs[0], total, total_successes, pairs[1])
    above = stats.hypergeom.sf(pairs[0] - 1, total, total_successes, pairs[1])
    p_values = np.minimum(1.0, 2 * np.minimum(below, above))[np.ravel(inverse)]
    return np.where((n > 0) & (n < total), p_values, np.nan)


def score_p_values(p: FloatArray, n: FloatArray, p_rest: FloatArray, n_rest: FloatArray) -> FloatArray:
    """Two-sided p-values (m,) that rates p and p_rest, as fractions on n and n_rest effective samples, are one.

    Pooled two-sample score test, for repeated measurements, where exact tests don't apply. NaN where a side is empty.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        pooled = (p * n + p_rest * n_rest) / (n + n_rest)
        z = (p - p_rest) / np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / n_rest))
    # All right or all wrong on both sides: no difference, and no spread to divide it by.
    z = np.where(p == p_rest, 0.0, z)
    return np.where((n > 0) & (n_rest > 0), 2 * stats.norm.sf(np.abs(z)), np.nan)


def smallest_detectable_difference(rate: float, n: FloatArray, n_rest: FloatArray, *, comparisons: int) -> FloatArray:
    """The difference (m,), as a fraction, that a comparison finds with chance `POWER`; NaN where a side is empty.

    Two-sample normal formula (Fleiss, Levin & Paik 2003, "Statistical methods for rates and proportions", chapter 4) at
    the significance that remains for one of `comparisons` under Bonferroni, which is Holm's first step. The rest has
    `rate`, and the group lies on the side towards one half, where its spread is larger.
    """
    z_alpha, z_power = stats.norm.isf((1 - LEVEL) / max(comparisons, 1) / 2), stats.norm.ppf(POWER)
    towards_half = -1.0 if rate > 0.5 else 1.0
    size = np.zeros(np.shape(n))
    with np.errstate(divide="ignore", invalid="ignore"):
        for _ in range(_STEPS):
            group = np.clip(rate + towards_half * size, 0.0, 1.0)
            pooled = (n * group + n_rest * rate) / (n + n_rest)
            alike = np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / n_rest))
            apart = np.sqrt(group * (1 - group) / n + rate * (1 - rate) / n_rest)
            size = z_alpha * alike + z_power * apart
    return np.where((n > 0) & (n_rest > 0), size, np.nan)
