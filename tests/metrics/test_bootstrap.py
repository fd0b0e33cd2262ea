"""The bootstrap: reproducible, independent of memory chunks, and covering what it should."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from harness.metrics import intervals
from harness.metrics.intervals import bootstrap_method, percentile_interval, resampled_sums


def test_sums_equal_a_plain_resampling_loop() -> None:
    columns = np.random.default_rng(0).normal(size=(50, 3))
    generator = np.random.default_rng(7)
    expected = [columns[generator.integers(0, 50, size=50, dtype=np.int32)].sum(axis=0) for _ in range(20)]
    np.testing.assert_allclose(resampled_sums(columns, seed=7, resamples=20), expected, rtol=1e-12)


def test_memory_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = np.random.default_rng(0).normal(size=(101, 2))
    whole = resampled_sums(columns, resamples=30)
    monkeypatch.setattr(intervals, "_CHUNK", 300)
    np.testing.assert_allclose(resampled_sums(columns, resamples=30), whole, rtol=1e-12)


def mean_interval(values: np.ndarray, *, seed: int = 0, resamples: int) -> tuple[float, float]:
    """The percentile interval of a mean."""
    means = resampled_sums(values[:, None], seed=seed, resamples=resamples)[:, 0] / len(values)
    return percentile_interval(float(values.mean()), means)


def test_the_seed_matters_and_is_named() -> None:
    values = np.random.default_rng(0).exponential(size=40)
    assert mean_interval(values, seed=5, resamples=200) == mean_interval(values, seed=5, resamples=200)
    assert mean_interval(values, seed=5, resamples=200) != mean_interval(values, seed=6, resamples=200)
    assert bootstrap_method("percentile", seed=5, resamples=200) == "bootstrap percentile, 200 resamples, seed 5"


def test_agrees_with_scipys_percentile_bootstrap() -> None:
    values = np.random.default_rng(1).exponential(size=400)
    reference = stats.bootstrap(
        (values,), np.mean, n_resamples=5000, method="percentile", random_state=np.random.default_rng(2)
    ).confidence_interval
    # Two Monte Carlo quantiles of 5,000 resamples: each within a few hundredths of the interval's width.
    width = reference.high - reference.low
    assert mean_interval(values, resamples=5000) == pytest.approx((reference.low, reference.high), abs=0.06 * width)


@pytest.mark.slow
def test_mean_interval_covers_a_known_mean() -> None:
    generator = np.random.default_rng(4)
    hits = 0
    for trial in range(250):
        low, high = mean_interval(generator.exponential(size=200), seed=trial, resamples=300)
        hits += low <= 1.0 <= high
    assert 0.90 <= hits / 250 <= 0.99  # nominal 0.95, standard error 0.014, slightly below for a skewed mean


def test_one_sample_and_none() -> None:
    assert mean_interval(np.array([0.1]), resamples=10) == (0.1, 0.1)
    with pytest.raises(ValueError, match="needs samples"):
        resampled_sums(np.zeros((0, 2)))
