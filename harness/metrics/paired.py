"""Two or more models on the same samples: paired differences, McNemar's test, agreement, and who can be told apart.

Everything here works on the four counts of a 2 × 2 table of outcomes, for many tables at once (one a slice, one a pair of
models). The exact test decides whether two models differ; the interval says by how much. At the edge of significance the two
may disagree, since the exact test is the more conservative one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import sparse, stats

from harness.metrics.intervals import LEVEL, newcombe, wilson
from harness.metrics.multiplicity import POWER
from harness.metrics.types import BoolArray, FloatArray, IntArray, MetricUnavailable

METHOD = "Newcombe, paired samples"


@dataclass(frozen=True, eq=False)
class PairedCounts:
    """m tables of two outcomes on the same samples, int64 (m,) each."""

    both: IntArray
    """Samples that both models get right."""
    only_first: IntArray
    only_other: IntArray
    neither: IntArray

    def __len__(self) -> int:
        return len(self.both)

    @property
    def n(self) -> IntArray:
        """Samples of each table."""
        return self.both + self.only_first + self.only_other + self.neither

    @property
    def discordant(self) -> IntArray:
        """Samples that exactly one model gets right."""
        return self.only_first + self.only_other

    @property
    def difference(self) -> FloatArray:
        """First accuracy minus the other, in percentage points; NaN where a table is empty."""
        n = self.n
        return 100 * (self.only_first - self.only_other) / np.where(n > 0, n, np.nan)

    def take(self, which: IntArray) -> PairedCounts:
        """The tables at these positions."""
        return PairedCounts(*(cell[which] for cell in vars(self).values()))

    @classmethod
    def concatenate(cls, parts: Sequence[PairedCounts]) -> PairedCounts:
        """The tables of all parts, in order."""
        return cls(*map(np.concatenate, zip(*(vars(part).values() for part in parts), strict=True)))


def paired_counts(first: BoolArray, other: BoolArray) -> PairedCounts:
    """The one table of two outcomes (n,) on the same samples."""
    return paired_counts_by_group(first, other, sparse.csr_array(np.ones((len(first), 1), dtype=bool)))


def paired_counts_by_group(first: BoolArray, other: BoolArray, membership: sparse.csr_array) -> PairedCounts:
    """One table a group, from outcomes (n,) and a slicing's membership (n, groups)."""
    cells = np.column_stack([first & other, first & ~other, ~first & other, ~first & ~other]).astype(np.int64)
    counts = membership.astype(np.int64).T @ cells
    return PairedCounts(*np.asarray(counts).T)


def paired_interval(counts: PairedCounts) -> tuple[FloatArray, FloatArray]:
    """95 % bounds (m,) of each difference in percentage points; NaN where a table is empty.

    Newcombe 1998, "Improved confidence intervals for the difference between binomial proportions based on paired
    data", method 10 (score intervals joined by the continuity-corrected φ of the 2 × 2 table).
    """
    e, f, g, h = (c.astype(np.float64) for c in (counts.both, counts.only_first, counts.only_other, counts.neither))
    n = e + f + g + h
    whole = np.where(n > 0, n, np.nan)
    (low, other_low), (high, other_high) = wilson(np.stack([e + f, e + g]), np.stack([n, n]))
    cross = e * h - f * g
    cross = np.where(cross > 0, np.maximum(cross - n / 2, 0.0), cross)
    margins = (e + f) * (g + h) * (e + g) * (f + h)
    phi = np.where(margins > 0, cross / np.sqrt(np.where(margins > 0, margins, 1.0)), 0.0)
    rates = ((e + f) / whole, low, high), ((e + g) / whole, other_low, other_high)
    below, above = newcombe(*rates, phi)
    difference = (f - g) / whole
    # Rounding must not move a bound to the wrong side of the value.
    low, high = 100 * (difference - below), 100 * (difference + above)
    return np.minimum(low, counts.difference), np.maximum(high, counts.difference)


def mcnemar(counts: PairedCounts) -> FloatArray:
    """Two-sided p-values (m,) that both models have one success rate; 1 where no sample is discordant.

    The exact conditional test (McNemar 1947; binomial with probability ½ over the discordant samples).
    """
    fewer, total = np.minimum(counts.only_first, counts.only_other), counts.discordant
    return np.where(total > 0, np.minimum(2 * stats.binom.cdf(fewer, total, 0.5), 1.0), 1.0)


def smallest_detectable_difference(counts: PairedCounts, comparisons: int = 1) -> FloatArray:
    """The difference (m,) in percentage points that the test finds with chance `POWER`, given how many samples and how many
    discordant ones there are; NaN where no difference could be found on so few samples.

    Connor 1987, "Sample size for testing differences in proportions for the paired-sample design", solved for the
    difference, at the significance that remains for one of `comparisons` under Bonferroni, which is Holm's first step. Never
    below the smallest all-one-way difference that the exact test can call significant.
    """
    n = counts.n.astype(np.float64)
    alpha = (1 - LEVEL) / max(comparisons, 1)
    z_alpha, z_power = stats.norm.isf(alpha / 2), stats.norm.ppf(POWER)
    one_way = np.ceil(1 - np.log2(alpha))  # 2 · ½ᵏ ≤ α
    with np.errstate(divide="ignore", invalid="ignore"):
        discordant = np.maximum(counts.discordant, one_way) / n
        root = np.sqrt(np.maximum(n + z_power**2 - z_alpha**2, 0.0))
        size = np.sqrt(discordant) * (np.sqrt(n) * z_alpha + z_power * root) / (n + z_power**2)
        size = np.maximum(size, one_way / n)
    return np.where((n > 0) & (size <= 1), 100 * size, np.nan)


@dataclass(frozen=True)
class Agreement:
    """How alike two models answer on the same n samples."""

    same_answer: float
    """Share of samples with the same best class, in percent, right or wrong."""
    same_outcome: float
    """Share of samples that both get right or both get wrong, in percent."""
    error_consistency: float | None
    """Cohen's κ of being right: 1 for the same successes and failures, 0 for what two independent models of these accuracies
    would have in common (Geirhos, Meding & Wichmann 2020, arXiv:2006.16736, section 2). None where one model is always or
    never right, as κ is then not defined or says nothing."""
    n: int


def agreement(first: IntArray, other: IntArray, first_correct: BoolArray, other_correct: BoolArray) -> Agreement:
    """Agreement of two models' best classes (n,) and outcomes (n,).

    Raises:
        MetricUnavailable: there are no samples.
    """
    n = len(first)
    if n == 0:
        raise MetricUnavailable("There are no samples to count.")
    observed = float(np.mean(first_correct == other_correct))
    p, q = float(np.mean(first_correct)), float(np.mean(other_correct))
    expected = p * q + (1 - p) * (1 - q)
    kappa = (observed - expected) / (1 - expected) if 0 < p < 1 and 0 < q < 1 else None
    return Agreement(100 * float(np.mean(first == other)), 100 * observed, kappa, n)


def compact_letters(values: Sequence[float], different: BoolArray) -> list[str]:
    """Letters for k models: two share a letter if and only if they can't be told apart.

    Piepho 2004, "An algorithm for a letter-based representation of all-pairwise comparisons" (insert and absorb). The
    highest value has an `a`.

    Args:
        values: (k,) what is compared, the higher the better.
        different: (k, k) symmetric; whether the pair was found to differ.
    """
    columns: list[frozenset[int]] = [frozenset(range(len(values)))]
    for i, j in combinations(range(len(values)), 2):
        if not different[i, j]:
            continue
        split: list[frozenset[int]] = []
        for column in columns:
            split += [column - {i}, column - {j}] if {i, j} <= column else [column]
        unique = list(dict.fromkeys(split))
        columns = [c for c in unique if not any(c < other for other in unique)]
    order = sorted(range(len(values)), key=lambda k: (-values[k], k))
    rank = {model: position for position, model in enumerate(order)}
    columns.sort(key=lambda column: sorted(rank[k] for k in column))
    letters = [chr(ord("a") + at) if at < 26 else f"({at + 1})" for at in range(len(columns))]
    return ["".join(a for a, column in zip(letters, columns, strict=True) if k in column) for k in range(len(values))]


def rank_intervals(values: Sequence[float], different: BoolArray) -> list[tuple[int, int]]:
    """The ranks (best, worst) that the comparisons leave open to each of k models, 1 being the best.

    A model stands behind all that were found better and before all that were found worse (Mogstad, Romano, Shaikh & Wilhelm
    2024, "Inference for ranks with applications to mobility across neighbourhoods and academic achievement across
    countries", section 3). Where `different` controls the chance of any false finding, all intervals hold together.
    """
    ahead = np.asarray(values)[None, :] > np.asarray(values)[:, None]
    better, worse = (different & ahead).sum(axis=1), (different & ahead.T).sum(axis=1)
    return [(1 + int(b), len(values) - int(w)) for b, w in zip(better, worse, strict=True)]
