"""ImageNet-X's error ratio; tests/slicing compares it with the published table."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from harness.metrics.fairness import error_ratio
from harness.metrics.slices import disjoint_slicing, outcomes_of
from harness.metrics.types import MetricUnavailable


@pytest.mark.slow
def test_interval_covers_a_known_ratio(resamples: Callable[[int], None]) -> None:
    """Errors of 0.3 in a quarter of the samples and 0.1 elsewhere: ratio 0.3 / 0.15 = 2, in 200 draws."""
    generator = np.random.default_rng(1)
    codes = np.repeat([0, 1], [300, 900])
    slicing = disjoint_slicing("s", codes, ["hard", "easy"])
    hits = 0
    resamples(300)
    for _ in range(200):
        outcomes = outcomes_of(generator.random(1200) >= np.where(codes == 0, 0.3, 0.1))
        estimate = error_ratio(outcomes, slicing)["hard"]
        hits += estimate.low <= 2.0 <= estimate.high
    assert hits / 200 >= 0.90  # nominal 0.95, standard error 0.015


def test_by_hand_and_without_errors() -> None:
    slicing = disjoint_slicing("s", np.array([0, 0, 1, 1, -1]), ["a", "b", "empty"])
    ratios = error_ratio(outcomes_of(np.array([False, False, True, False, True])), slicing)
    assert ratios["a"].value == pytest.approx(1 / 0.75)
    assert ratios["b"].value == pytest.approx(0.5 / 0.75)
    assert set(ratios) == {"a", "b"}
    with pytest.raises(MetricUnavailable, match="no error"):
        error_ratio(outcomes_of(np.ones(5, bool)), slicing)
