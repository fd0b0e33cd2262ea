"""Closed-form intervals against scipy, published worked examples, and by property."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness.metrics.intervals import proportion, wilson
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
    estimate = proportion(successes, n)
    assert 0 <= estimate.low <= estimate.value <= estimate.high <= 100


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
