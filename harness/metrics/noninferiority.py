"""Whether something got worse by more than a margin: tests whose doubt counts against neither side.

A difference of two noisy numbers always lies on one side of a threshold, also where it says nothing. A non-inferiority test asks
instead whether the data rule out a loss of the margin or more (passed), rule out a smaller loss (failed), or neither.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import stats

from harness.metrics.intervals import newcombe
from harness.metrics.multiplicity import POWER
from harness.metrics.paired import PairedCounts
from harness.metrics.types import FloatArray


def paired_score(counts: PairedCounts, margin: npt.ArrayLike) -> FloatArray:
    """Standard normal scores (m,) of "the first model's accuracy is the other's minus `margin`": large where it lost less.

    Tango 1998, "Equivalence test and confidence interval for the difference in proportions for the paired-sample design",
    Statistics in Medicine 17, 891–908, equation 6: the score test with the nuisance parameter at its most likely value.

    Args:
        counts: outcomes of the new model (first) and the baseline (other) on the same samples.
        margin: fraction in [0, 1), (m,) or one for all.
    """
    n, gained, lost = (part.astype(np.float64) for part in (counts.n, counts.only_first, counts.only_other))
    shift = -np.asarray(margin, dtype=np.float64)
    linear = (2 * n - gained + lost) * shift - gained - lost
    with np.errstate(invalid="ignore", divide="ignore"):
        rate = (np.sqrt(linear**2 + 8 * n * lost * shift * (1 - shift)) - linear) / (4 * n)
        variance = np.maximum(n * (2 * rate + shift * (1 - shift)), 0.0)
        score = (gained - lost - n * shift) / np.sqrt(variance)
    return np.where(variance > 0, score, 0.0)  # two models that agree on every sample, and no margin: nothing is known


def unpaired_score(
    new: tuple[float, float, float], baseline: tuple[float, float, float], margin: float, z: float
) -> float:
    """The same from two independent estimates whose larger values are better, each as value, low and high.

    Args:
        margin: in the values' unit.
        z: standard normal quantile of the intervals' level, 1.96 for 95 %.
    """
    below, above = newcombe(new, baseline)
    distance = new[0] - baseline[0] + margin
    spread = float(below if distance > 0 else above) / z
    return distance / spread if spread > 0 else 0.0


def share_p_values(count: int, n: int, limit: float) -> tuple[float, float]:
    """P-values of "the share is at least `limit`", which passing rejects, and of "it is at most `limit`"; exact binomial."""
    return float(stats.binom.cdf(count, n, limit)), float(stats.binom.sf(count - 1, n, limit))


def deciding_n(score: float, n: int, alpha: float) -> int | None:
    """Samples with which a test like this one would decide with a chance of `POWER`, if what was seen is what is true; None
    where it lies at the margin, and no number would."""
    if abs(score) < 1e-6:
        return None
    wanted = (stats.norm.isf(alpha) + stats.norm.ppf(POWER)) / abs(score)
    return int(np.ceil(n * wanted**2))
