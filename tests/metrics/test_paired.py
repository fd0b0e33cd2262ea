"""Paired comparisons against statsmodels, scipy, published worked examples, and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import sparse, stats
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar

from harness.metrics.paired import (
    PairedCounts,
    agreement,
    compact_letters,
    mcnemar,
    paired_counts,
    paired_counts_by_group,
    paired_interval,
    rank_intervals,
    smallest_detectable_difference,
)
from harness.metrics.types import MetricUnavailable

tables = st.tuples(*[st.integers(0, 60)] * 4).filter(lambda table: sum(table) > 0)


def counts_of(*rows: tuple[int, int, int, int]) -> PairedCounts:
    """Tables of (both, only first, only other, neither)."""
    return PairedCounts(*np.array(rows, dtype=np.int64).T)


def outcomes(both: int, only_first: int, only_other: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    """Paired outcomes with these counts."""
    pairs = np.repeat([[1, 1], [1, 0], [0, 1], [0, 0]], [both, only_first, only_other, neither], axis=0)
    return pairs[:, 0].astype(bool), pairs[:, 1].astype(bool)


@pytest.mark.parametrize(
    ("table", "low", "high"),
    [  # Newcombe 1998 (paired), table II, method 10
        ((36, 12, 2, 0), 0.0569, 0.3404),
        ((54, 0, 0, 0), -0.0664, 0.0664),
    ],
)
def test_paired_difference_equals_newcombes_table(table: tuple[int, int, int, int], low: float, high: float) -> None:
    counts = paired_counts(*outcomes(*table))
    assert counts.difference[0] == pytest.approx(100 * (table[1] - table[2]) / sum(table))
    assert np.ravel(paired_interval(counts)) == pytest.approx([100 * low, 100 * high], abs=0.01)


@given(tables)
def test_paired_difference_equals_its_definition(table: tuple[int, int, int, int]) -> None:
    """Newcombe's equations in his own letters: cells e, f, g, h; rates (e + f) / n and (e + g) / n."""
    e, f, g, h = table
    n = sum(table)
    interval = stats.binomtest(e + f, n).proportion_ci(method="wilson")
    other = stats.binomtest(e + g, n).proportion_ci(method="wilson")
    dl2, du2 = (e + f) / n - interval.low, interval.high - (e + f) / n
    dl3, du3 = (e + g) / n - other.low, other.high - (e + g) / n
    product = (e + f) * (g + h) * (e + g) * (f + h)
    numerator = e * h - f * g
    if numerator > n / 2:
        numerator -= n / 2
    elif numerator >= 0:
        numerator = 0
    phi = numerator / product**0.5 if product else 0.0
    delta = (max(0.0, dl2**2 - 2 * phi * dl2 * du3 + du3**2)) ** 0.5
    epsilon = (max(0.0, du2**2 - 2 * phi * du2 * dl3 + dl3**2)) ** 0.5
    expected = [100 * ((f - g) / n - delta), 100 * ((f - g) / n + epsilon)]
    assert np.ravel(paired_interval(counts_of(table))) == pytest.approx(expected, abs=1e-6)


@pytest.mark.slow
def test_paired_difference_covers_a_known_difference() -> None:
    """Nominal 95 % within what 2,000 trials can tell (standard error 0.5 points)."""
    generator = np.random.default_rng(11)
    p = np.array([0.6, 0.12, 0.06, 0.22])  # true difference 6 points
    low, high = paired_interval(PairedCounts(*generator.multinomial(150, p, size=2000).T))
    assert 0.935 <= np.mean((low <= 6.0) & (high >= 6.0)) <= 0.975


def test_empty_samples_are_unavailable() -> None:
    nothing = np.zeros(0, bool)
    with pytest.raises(MetricUnavailable):
        agreement(np.zeros(0, int), np.zeros(0, int), nothing, nothing)


def test_an_empty_group_has_no_difference_and_no_interval() -> None:
    counts = counts_of((0, 0, 0, 0), (3, 1, 0, 2))
    low, high = paired_interval(counts)
    assert np.isnan([counts.difference[0], low[0], high[0]]).all()
    assert np.isfinite([counts.difference[1], low[1], high[1]]).all()
    assert mcnemar(counts)[0] == 1.0


@given(tables)
@example((10, 120, 90, 10))
@example((10, 1500, 1400, 10))
def test_mcnemar_equals_statsmodels(table: tuple[int, int, int, int]) -> None:
    both, only_first, only_other, neither = table
    expected = statsmodels_mcnemar([[both, only_first], [only_other, neither]], exact=True).pvalue
    assert mcnemar(counts_of(table))[0] == pytest.approx(min(expected, 1.0))


def test_groups_are_counted_apart_and_may_overlap() -> None:
    first, other = outcomes(2, 3, 1, 2)
    everything = np.ones(8, dtype=bool)
    flags = np.column_stack([everything, first, ~other])
    by_group = paired_counts_by_group(first, other, sparse.csr_array(flags))
    for at in range(3):
        alone = paired_counts(first[flags[:, at]], other[flags[:, at]])
        for name in ("both", "only_first", "only_other", "neither"):
            assert getattr(by_group, name)[at] == getattr(alone, name)[0]


@pytest.mark.parametrize("comparisons", [1, 20])
def test_the_smallest_detectable_difference_is_found_four_times_of_five(comparisons: int) -> None:
    """Draw tables with that true difference and 10 % discordant samples: the exact test finds it in about 80 %."""
    n, discordant = 4000, 0.10
    seen = counts_of((3000, 200, 200, 600))
    size = smallest_detectable_difference(seen, comparisons=comparisons)[0] / 100
    generator = np.random.default_rng(5)
    cells = [0.75, (discordant + size) / 2, (discordant - size) / 2, 0.15]
    drawn = PairedCounts(*generator.multinomial(n, cells, size=4000).T)
    found = np.mean(mcnemar(drawn) <= 0.05 / comparisons)
    assert 0.76 < found < 0.83  # the exact test is a little conservative; 4,000 draws tell 1.3 points apart


def test_what_can_be_detected_on_few_samples() -> None:
    # Six discordant samples, all one way, are the fewest that reach p ≤ 0.05: 2 · ½⁶ = 0.031.
    sizes = smallest_detectable_difference(counts_of((100, 0, 0, 0), (5, 0, 0, 0), (0, 0, 0, 0)))
    assert sizes[0] >= 6.0
    assert np.isnan(sizes[1:]).all()


@given(st.integers(0, 2**31), st.integers(2, 40))
def test_error_consistency_equals_scikit_learns_kappa(seed: int, n: int) -> None:
    generator = np.random.default_rng(seed)
    answers, others = generator.integers(0, 3, n), generator.integers(0, 3, n)
    first, other = generator.random(n) < 0.6, generator.random(n) < 0.5
    found = agreement(answers, others, first, other)
    assert found.same_answer == pytest.approx(100 * np.mean(answers == others))
    if first.all() or other.all() or not first.any() or not other.any():
        assert found.error_consistency is None
    else:
        assert found.error_consistency == pytest.approx(cohen_kappa_score(first, other), abs=1e-12)


@given(st.integers(1, 7), st.integers(0, 2**31))
def test_models_share_a_letter_if_and_only_if_they_do_not_differ(k: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    upper = np.triu(generator.random((k, k)) < 0.5, 1)
    different = upper | upper.T
    values = generator.random(k)
    letters = compact_letters(values.tolist(), different)
    for i in range(k):
        assert letters[i]
        for j in range(k):
            if i != j:
                assert bool(set(letters[i]) & set(letters[j])) is not bool(different[i, j])
    assert "a" in letters[int(np.argmax(values))]


def test_letters_and_ranks_of_a_known_pattern() -> None:
    # 80 > 79 > 75 > 60: the first two alike, the second and third alike, the last below all.
    different = np.zeros((4, 4), dtype=bool)
    for i, j in ((0, 2), (0, 3), (1, 3), (2, 3)):
        different[i, j] = different[j, i] = True
    values = [80.0, 79.0, 75.0, 60.0]
    assert compact_letters(values, different) == ["a", "ab", "b", "c"]
    assert rank_intervals(values, different) == [(1, 2), (1, 3), (2, 3), (4, 4)]
