"""The search for the worst slices: bounds that survive the search."""

from __future__ import annotations

import numpy as np
import pytest

from harness.data.statistics import quantile_codes
from harness.metrics.fairness import worst_slices
from harness.metrics.intervals import wilson
from harness.metrics.slices import by_group, disjoint_slicing, outcomes_of
from harness.metrics.types import MetricUnavailable


def test_bounds_cover_all_slices_at_once_where_single_intervals_miss_the_worst() -> None:
    """100 slices in two slicings, all at 0.9, 100 draws: all bounds hold in at least 95 % (standard error 2.2 points)."""
    generator = np.random.default_rng(0)
    slicings = [
        disjoint_slicing("a", np.repeat(np.arange(60), 40), [str(i) for i in range(60)]),
        disjoint_slicing("b", generator.permutation(np.repeat(np.arange(40), 60)), [str(i) for i in range(40)]),
    ]
    all_hold = naive_holds = gaps_hold = 0
    for _ in range(100):
        outcomes = outcomes_of(generator.random(2400) < 0.9)
        found = worst_slices(outcomes, slicings)
        table = found.table
        all_hold += bool(((table["low"] <= 90) & (table["high"] >= 90)).all())
        gaps_hold += bool((table["gap_at_least"] == 0).all())
        worst = table.loc[table["accuracy"].idxmin()]
        _, high = wilson(round(worst["accuracy"] / 100 * worst["n"]), worst["n"])
        naive_holds += bool(high >= 0.9)
    assert all_hold / 100 >= 0.91
    assert gaps_hold / 100 >= 0.91
    assert naive_holds / 100 < 0.7


def test_a_planted_slice_comes_first_with_a_certain_gap() -> None:
    generator = np.random.default_rng(1)
    codes = np.repeat(np.arange(50), 100)
    correct = generator.random(5000) < np.where(codes == 17, 0.4, 0.8)
    slicings = [
        disjoint_slicing("class", codes, [f"c{i}" for i in range(50)]),
        disjoint_slicing("q", quantile_codes(generator.random(5000), 5)[0], ["q1", "q2", "q3", "q4", "q5"]),
    ]
    found = worst_slices(outcomes_of(correct), slicings)
    first = found.table.iloc[0]
    assert (first["slicing"], first["group"]) == ("class", "c17")
    assert found.searched == 55
    assert first["gap"] > first["gap_at_least"] > 10
    assert found.overall.value == pytest.approx(100 * correct.mean())
    plain = by_group(outcomes_of(correct), slicings[0]).loc["c17"]
    assert first["accuracy"] == plain["accuracy"]
    assert first["low"] < plain["low"]
    assert first["high"] > plain["high"]


def test_small_slices_are_not_searched() -> None:
    slicing = disjoint_slicing("s", np.repeat([0, 1], [100, 10]), ["big", "small"])
    found = worst_slices(outcomes_of(np.arange(110) < 100), [slicing])
    assert found.table["group"].tolist() == ["big"]
    with pytest.raises(MetricUnavailable, match="No slice has 200 samples"):
        worst_slices(outcomes_of(np.ones(110, bool)), [slicing], min_units=200)
