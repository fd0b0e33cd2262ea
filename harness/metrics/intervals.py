"""Intervals for what is counted or averaged over samples.

Proportions have closed forms (Wilson, Newcombe). Everything else is resampled: one seeded set of bootstrap weights
serves all columns at once, so that a thousand resamples of an ImageNet-sized set cost one matrix product. The same
seed, samples and order give the same interval; nothing here depends on shards or on how memory is chunked.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import stats

from harness.metrics.types import Estimate, FloatArray, MetricUnavailable

LEVEL = 0.95
Z = float(stats.norm.ppf((1 + LEVEL) / 2))
"""The two-sided standard normal quantile at this level, 1.96."""
RESAMPLES = 1000
"""Of a bootstrap, which starts from this seed."""
SEED = 0

_CHUNK = 4_000_000
"""Bootstrap weights held at a time: 4 million take about 100 MB."""


# --- proportions ----------------------------------------------------------------------------------------------------


def wilson(successes: npt.ArrayLike, n: npt.ArrayLike, level: float = LEVEL) -> tuple[FloatArray, FloatArray]:
    """Wilson score interval of proportions, element by element.

    Wilson 1927, "Probable inference, the law of succession, and statistical inference", without continuity correction.

    Args:
        successes: counts, 0 ≤ successes ≤ n.
        n: sample counts; 0 says nothing, so its interval is 0–1.
        level: confidence level as a fraction.

    Returns:
        Lower and upper bounds as fractions in [0, 1].

    Raises:
        ValueError: a count is negative or above n.
    """
    successes, n = np.asarray(successes, dtype=np.float64), np.asarray(n, dtype=np.float64)
    if np.any(successes < 0) or np.any(successes > n):
        raise ValueError("successes must lie between 0 and n")
    z2 = stats.norm.ppf((1 + level) / 2) ** 2
    failures = n - successes
    denominator = np.where(n > 0, n + z2, 1.0)
    centre = np.where(n > 0, (successes + z2 / 2) / denominator, 0.5)
    spread = np.sqrt(z2) * np.sqrt(successes * failures / np.where(n > 0, n, 1.0) + z2 / 4) / denominator
    spread = np.where(n > 0, spread, 0.5)
    # At 0 and n the bound is exact; rounding must not move it to the wrong side of the proportion.
    low = np.where(successes == 0, 0.0, np.clip(centre - spread, 0.0, 1.0))
    high = np.where(failures == 0, 1.0, np.clip(centre + spread, 0.0, 1.0))
    return low, high


def proportion(successes: int, n: int) -> Estimate:
    """A proportion in percent with its Wilson interval.

    >>> estimate = proportion(38, 50)
    >>> f"{estimate.value:.1f} ({estimate.low:.1f} to {estimate.high:.1f})"
    '76.0 (62.6 to 85.7)'

    Raises:
        MetricUnavailable: n is 0.
    """
    if n == 0:
        raise MetricUnavailable("There are no samples to count.")
    low, high = wilson(successes, n)
    return Estimate(100 * successes / n, 100 * float(low), 100 * float(high), "Wilson", n, "wilson")


def student_t(values: Sequence[float]) -> tuple[float, float]:
    """The mean of two values or more, and how far its 95 % interval by Student's t reaches to either side."""
    return float(np.mean(values)), float(stats.t.ppf((1 + LEVEL) / 2, len(values) - 1) * stats.sem(values))


def newcombe(
    first: npt.ArrayLike, other: npt.ArrayLike, correlation: npt.ArrayLike = 0.0
) -> tuple[FloatArray, FloatArray]:
    """How far the interval of a difference reaches below and above it, element by element.

    Newcombe's construction for proportions (1998, methods 10 of both papers), shown by Zou & Donner 2008,
    "Construction of confidence limits about effect measures", to hold for any two estimates with sound intervals.

    Args:
        first: value, low and high of the first estimate, (3,) or (3, m).
        other: likewise.
        correlation: of the two, 0 for independent samples.
    """
    value, low, high = np.asarray(first, dtype=np.float64)
    other_value, other_low, other_high = np.asarray(other, dtype=np.float64)
    down, up = value - low, high - value
    other_down, other_up = other_value - other_low, other_high - other_value
    twice = 2 * np.asarray(correlation)
    below = np.sqrt(np.maximum(0.0, down**2 - twice * down * other_up + other_up**2))
    above = np.sqrt(np.maximum(0.0, up**2 - twice * up * other_down + other_down**2))
    return below, above


# --- bootstrap ------------------------------------------------------------------------------------------------------


def resampled_sums(columns: FloatArray) -> FloatArray:
    """Column sums over bootstrap resamples of the rows.

    Args:
        columns: (n, k), one row a sample. All columns share the same resamples, so ratios and sums of columns may be
            formed afterwards.

    Returns:
        float64 (`RESAMPLES`, k).

    Raises:
        ValueError: there are no rows.
    """
    columns = np.ascontiguousarray(columns, dtype=np.float64)
    n = len(columns)
    if n == 0:
        raise ValueError("a bootstrap needs samples")
    generator = np.random.default_rng(SEED)
    sums = np.empty((RESAMPLES, columns.shape[1]))
    step = max(1, _CHUNK // n)
    for start in range(0, RESAMPLES, step):
        rows = min(step, RESAMPLES - start)
        weights = np.empty((rows, n))
        for row in weights:
            row[:] = np.bincount(generator.integers(0, n, size=n, dtype=np.int32), minlength=n)
        sums[start : start + rows] = weights @ columns
    return sums


def percentile_interval(value: float, resampled: FloatArray) -> tuple[float, float]:
    """Bootstrap percentile interval, widened to hold `value` where resamples lie on one side of it (tiny n)."""
    low, high = np.quantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return min(float(low), value), max(float(high), value)


def bootstrap_method(kind: str, resamples: int | None = None) -> str:
    """How a bootstrap interval is named in the ledger, of `RESAMPLES` where nothing else is said."""
    return f"bootstrap {kind}, {resamples or RESAMPLES} resamples, seed {SEED}"
