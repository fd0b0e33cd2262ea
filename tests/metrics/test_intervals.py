"""Closed-form intervals against scipy, published worked examples, and by property."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness.metrics.intervals import (
    difference_of_proportions,
    mcnemar_exact,
    paired_difference_of_proportions,
    proportion,
    wilson,
)
from harness.metrics.types import MetricUnavailable

counts = st.integers(1, 10**7).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(counts, st.sampled_from([0.5, 0.9, 0.95, 0.999]))
def test_wilson_equals_scipy_and_holds_the_proportion(count: tuple[int, int], level: float) -> None:
    successes, n = count
    low, high = wilson(successes, n, level)
    expected = stats.binomtest(successes, n).proportion_ci(level, method="wilson")
    assert float(low) == pytest.approx(expected.low, abs=1e-9)
    assert float(high) == pytest.approx(expected.high, abs=1e-9)
    assert 0 <= low <= successes / n <= high <= 1
    estimate = proportion(successes, n, level)
    assert estimate.low is not None
    assert estimate.high is not None
    assert 0 <= estimate.low <= estimate.value <= estimate.high <= 100


@given(counts)
def test_wilson_is_symmetric_in_success_and_failure(count: tuple[int, int]) -> None:
    successes, n = count
    low, high = wilson(successes, n)
    other_low, other_high = wilson(n - successes, n)
    assert float(low) == pytest.approx(1 - float(other_high), abs=1e-12)
    assert float(high) == pytest.approx(1 - float(other_low), abs=1e-12)


def test_wilson_by_hand_and_without_samples() -> None:
    # n = 20, all right: the lower bound is n / (n + z²) = 20 / 23.8415.
    low, high = wilson([20, 0], [20, 0])
    assert low.tolist() == [pytest.approx(20 / 23.841459), 0.0]
    assert high.tolist() == [1.0, 1.0]
    with pytest.raises(MetricUnavailable):
        proportion(0, 0)


def test_wilson_refuses_impossible_counts() -> None:
    with pytest.raises(ValueError, match="between 0 and n"):
        wilson(3, 2)


@pytest.mark.parametrize(
    ("first", "other", "low", "high"),
    [  # Newcombe 1998 (independent), table II, method 10
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((6, 7), (2, 7), 0.0582, 0.8062),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 20), -0.1611, 0.2775),
        ((10, 10), (0, 10), 0.6075, 1.0000),
    ],
)
def test_independent_difference_equals_newcombes_table(
    first: tuple[int, int], other: tuple[int, int], low: float, high: float
) -> None:
    estimate = difference_of_proportions(*first, *other)
    assert estimate.value == pytest.approx(100 * (first[0] / first[1] - other[0] / other[1]))
    assert estimate.low == pytest.approx(100 * low, abs=0.01)
    assert estimate.high == pytest.approx(100 * high, abs=0.01)


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
    first, other = outcomes(*table)
    estimate = paired_difference_of_proportions(first, other)
    assert estimate.value == pytest.approx(100 * (table[1] - table[2]) / sum(table))
    assert estimate.low == pytest.approx(100 * low, abs=0.01)
    assert estimate.high == pytest.approx(100 * high, abs=0.01)


@given(st.tuples(*[st.integers(0, 60)] * 4).filter(lambda table: sum(table) > 0))
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
    estimate = paired_difference_of_proportions(*outcomes(*table))
    assert estimate.low == pytest.approx(100 * ((f - g) / n - delta), abs=1e-6)
    assert estimate.high == pytest.approx(100 * ((f - g) / n + epsilon), abs=1e-6)


def test_paired_difference_covers_a_known_difference() -> None:
    """Nominal 95 % within what 2,000 trials can tell (standard error 0.5 points)."""
    generator = np.random.default_rng(11)
    p = np.array([0.6, 0.12, 0.06, 0.22])  # true difference 6 points
    hits = 0
    for table in generator.multinomial(150, p, size=2000):
        estimate = paired_difference_of_proportions(*outcomes(*table))
        assert estimate.low is not None
        assert estimate.high is not None
        hits += estimate.low <= 6.0 <= estimate.high
    assert 0.935 <= hits / 2000 <= 0.975


@pytest.mark.parametrize(
    ("only_first", "only_other", "expected"),
    [(0, 0, 1.0), (5, 0, 2 * 0.5**5), (1, 3, 2 * (1 + 4) * 0.5**4), (7, 7, 1.0)],
)
def test_mcnemar_by_hand(only_first: int, only_other: int, expected: float) -> None:
    assert mcnemar_exact(*outcomes(9, only_first, only_other, 4)) == pytest.approx(expected)


def test_empty_samples_are_unavailable() -> None:
    with pytest.raises(MetricUnavailable):
        difference_of_proportions(0, 0, 1, 2)
    with pytest.raises(MetricUnavailable):
        paired_difference_of_proportions(np.zeros(0, bool), np.zeros(0, bool))
