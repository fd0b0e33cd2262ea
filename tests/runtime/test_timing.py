"""Timing: what ends a measurement, and what the intervals are."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness.runtime.timing import Budget, Timings, mean_measurement, quantile_measurement, stopwatch, time_calls


def replay(*seconds: float) -> Callable[[Callable[[], object]], float]:
    """A stopwatch that makes the call and returns recorded seconds, over and over."""
    recorded = itertools.cycle(seconds)

    def watch(call: Callable[[], object]) -> float:
        call()
        return next(recorded)

    return watch


def timed(watch: Callable[[Callable[[], object]], float], images: int = 1, **budget: Any) -> Timings:
    return time_calls(lambda: None, images_per_call=images, watch=watch, budget=Budget(**budget))


def test_warm_up_is_discarded() -> None:
    recorded = itertools.chain([9.0, 9.0], itertools.repeat(1.0))
    got = timed(lambda call: next(recorded), images=4, minimum_calls=5, warm_up_calls=2)
    assert got.seconds == (1.0,) * 5
    assert got.throughput.value == 4.0
    assert got.ended_by == "interval"


def test_slow_calls_are_not_warmed_up_beyond_a_quarter_of_the_limit() -> None:
    made: list[None] = []
    budget = Budget(limit_s=20, warm_up_calls=10, minimum_calls=100)
    got = time_calls(lambda: made.append(None), images_per_call=1, watch=replay(3.0), budget=budget)
    # 3 s is less than a quarter of 20 s, 6 s is not; then seven calls until 20 s are over.
    assert (got.warm_up_calls, len(got.seconds), len(made)) == (2, 7, 9)


def test_steady_calls_end_by_the_interval() -> None:
    got = timed(replay(1.0, 1.01), limit_s=1e6)
    assert got.ended_by == "interval"
    assert got.throughput.relative_width < 0.03


def test_unsteady_calls_end_by_the_time_limit() -> None:
    got = timed(replay(1.0, 5.0), limit_s=60)
    assert got.ended_by == "time limit"
    assert 60 <= sum(got.seconds) < 65
    assert got.throughput.relative_width > 0.03


def test_a_wider_tolerance_needs_fewer_calls() -> None:
    wide, narrow = (timed(replay(1.0, 1.2), relative=relative, limit_s=1e6) for relative in (0.20, 0.03))
    assert len(wide.seconds) < len(narrow.seconds)


def test_mean_interval_matches_scipy() -> None:
    values = [1.0, 1.1, 0.9, 1.05, 1.2]
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    got = mean_measurement(values)
    assert (got.low, got.high) == pytest.approx((expected.low, expected.high))


def test_one_value_has_no_interval() -> None:
    got = mean_measurement([1.0])
    assert (got.value, got.low, got.high) == (1.0, None, None)
    assert Timings((1.0,), 1, 0, "time limit").throughput.low is None


@pytest.mark.parametrize("quantile", [0.5, 0.95, 0.99])
def test_quantile_interval_covers(quantile: float) -> None:
    # 2000 samples of 500 exponential values: the true quantile is known, and so is the least coverage, 95 %. The
    # bound leaves five standard errors, sqrt(0.95 · 0.05 / 2000) = 0.5 %, to chance.
    values = np.random.default_rng(0).exponential(size=(2000, 500))
    truth = stats.expon.ppf(quantile)
    figures = [quantile_measurement(row, quantile) for row in values]
    hits = sum(f.low is not None and f.high is not None and f.low <= truth <= f.high for f in figures)
    assert hits / 2000 > 0.95 - 5 * 0.005


def test_p99_needs_enough_calls_for_an_interval() -> None:
    # The highest of n values bounds the 99th percentile with 97.5 % only from 0.99^n <= 0.025 on: n >= 368.
    assert quantile_measurement(np.arange(367.0), 0.99).high is None
    assert quantile_measurement(np.arange(400.0), 0.99).high is not None


@given(st.lists(st.floats(1e-6, 1e3), min_size=20, max_size=200))
def test_the_median_lies_in_its_interval(seconds: list[float]) -> None:
    got = quantile_measurement(seconds, 0.5)
    assert got.low <= got.value <= got.high


def test_cpu_stopwatch_makes_the_call() -> None:
    calls: list[int] = []
    seconds = stopwatch(torch.device("cpu"))(lambda: calls.append(1))
    assert calls == [1]
    assert 0 < seconds < 1
