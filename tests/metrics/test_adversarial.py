"""Metrics of attacks: counted by hand, the median's interval by its definition, and each sign of masked gradients."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from harness.metrics.adversarial import AttackOutcome, attack_seconds, masked_gradients, median_size, robust_accuracy
from harness.metrics.types import MetricUnavailable


def found(size: float | None, **more: object) -> AttackOutcome:
    return replace(AttackOutcome(size, 1, "pgd", size if size is None else np.ceil(size)), **more)


FOUND = [found(size) for size in (0.0, 0.0, 0.2, 0.4, 0.4, 0.9, 3.0, None)]


def test_images_that_were_wrong_before_stay_wrong_and_what_no_attack_changed_stays_right() -> None:
    # Two of eight were wrong before; 0.2 is within 0.2, and both of 0.4 within 0.4.
    assert [robust_accuracy(FOUND, e).value for e in (0.1, 0.2, 0.4, 100)] == [75.0, 62.5, 37.5, 12.5]
    # Rounded up to whole levels nothing changes within 0.9, and four images do within 1.
    assert [robust_accuracy(FOUND, e, rounded=True).value for e in (0.9, 1.0)] == [75.0, 25.0]
    estimate = robust_accuracy(FOUND, 0.4)
    wilson = stats.binomtest(3, 8).proportion_ci(method="wilson")
    assert (estimate.low, estimate.high) == pytest.approx((100 * wilson.low, 100 * wilson.high))
    assert estimate.n == 8


def test_the_median_is_over_images_that_were_right_and_its_interval_holds_95_percent() -> None:
    sizes = np.sort(np.random.default_rng(0).exponential(size=41))
    estimate = median_size([found(0.0), *map(found, sizes)])
    assert (estimate.value, estimate.n) == (np.median(sizes), 41)
    rank = int(np.flatnonzero(sizes == estimate.low)[0])  # as many below the lower as above the upper bound
    assert sizes[40 - rank] == estimate.high
    # The median lies outside where at most `rank` of 41 images are on one side of it: a binomial of one half.
    assert 2 * stats.binom.cdf(rank, 41, 0.5) <= 0.05 < 2 * stats.binom.cdf(rank + 1, 41, 0.5)
    few = median_size([found(1.0), found(2.0)])
    assert few.low is None
    for outcomes in (
        [found(0.0)],
        [found(1.0), found(None), found(None)],
        [*map(found, sizes[:21]), *[found(None)] * 20],
    ):
        with pytest.raises(MetricUnavailable):
            median_size(outcomes)


def test_time_leaves_out_checks_and_images_that_were_not_attacked() -> None:
    spent = [found(1.0, seconds={"pgd": s, "fmn": 1.0, "checks": 50.0}) for s in (1.0, 2.0, 3.0)]
    estimate = attack_seconds([found(0.0), *spent])
    assert (estimate.value, estimate.n) == (3.0, 3)
    # Student's t with two degrees of freedom, 4.303, over the square root of three, of a standard deviation of 1.
    assert estimate.high == pytest.approx(3.0 + 4.303 / 3**0.5, abs=1e-3)


SURE = [found(0.5, rising=True, black_box=2.0, resists=(False, False)) for _ in range(20)]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ([found(None)] * 2, "2 of 20 images resist perturbations that could make every image the same grey"),
        ([found(0.5, rising=False)] * 3, "for 17 of 20 images only"),
        (
            [replace(SURE[0], black_box=0.4)] * 3,
            "without gradients found smaller perturbations than those with gradients for 3",
        ),
        (
            [replace(SURE[0], resists=(False, True))] * 3,
            "With twice the steps PGD fails on 3 of 20 images instead of 0",
        ),
    ],
)
def test_each_sign_of_masked_gradients_is_said(changed: list[AttackOutcome], said: str) -> None:
    assert masked_gradients(SURE) is None
    assert masked_gradients([*SURE, changed[0]]) is None  # one image may contradict
    assert said in str(masked_gradients([*SURE[len(changed) :], *changed]))
