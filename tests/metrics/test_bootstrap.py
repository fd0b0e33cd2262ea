"""The bootstrap: reproducible, independent of memory chunks, and covering what it should."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from harness.metrics import intervals
from harness.metrics.intervals import bootstrap_method, percentile_interval, resampled_sums


def test_sums_equal_a_plain_resampling_loop() -> None:
    columns = np.random.default_rng(0).normal(size=(50, 3))
    generator = np.random.default_rng(intervals.SEED)
    expected = [columns[generator.integers(0, 50, size=50)].sum(axis=0) for _ in range(50)]
    np.testing.assert_allclose(resampled_sums(columns), expected, rtol=1e-12)
    assert bootstrap_method("percentile") == "bootstrap percentile, 50 resamples, seed 0"


def test_memory_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = np.random.default_rng(0).normal(size=(101, 2))
    whole = resampled_sums(columns)
    monkeypatch.setattr(intervals, "_CHUNK", 300)
    np.testing.assert_allclose(resampled_sums(columns), whole, rtol=1e-12)


def mean_interval(values: np.ndarray) -> tuple[float, float]:
    """The percentile interval of a mean."""
    return percentile_interval(float(values.mean()), resampled_sums(values[:, None])[:, 0] / len(values))


def test_agrees_with_scipys_percentile_bootstrap(resamples: Callable[[int], None]) -> None:
    values = np.random.default_rng(1).exponential(size=400)
    reference = stats.bootstrap(
        (values,), np.mean, n_resamples=5000, method="percentile", random_state=np.random.default_rng(2)
    ).confidence_interval
    # Two Monte Carlo quantiles of 5,000 resamples: each within a few hundredths of the interval's width.
    width = reference.high - reference.low
    resamples(5000)
    assert mean_interval(values) == pytest.approx((reference.low, reference.high), abs=0.06 * width)


@pytest.mark.slow
def test_mean_interval_covers_a_known_mean(resamples: Callable[[int], None]) -> None:
    generator = np.random.default_rng(4)
    resamples(300)
    found = [mean_interval(generator.exponential(size=200)) for _ in range(250)]
    # nominal 0.95, standard error 0.014, slightly below for a skewed mean
    assert 0.90 <= np.mean([low <= 1.0 <= high for low, high in found]) <= 0.99


def test_one_sample_and_none() -> None:
    assert mean_interval(np.array([0.1])) == (0.1, 0.1)
    with pytest.raises(ValueError, match="needs samples"):
        resampled_sums(np.zeros((0, 2)))
