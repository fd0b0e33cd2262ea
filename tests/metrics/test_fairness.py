"""Disparities against fairlearn, and intervals that cover true disparities, none included."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from fairlearn.metrics import MetricFrame
from sklearn.metrics import accuracy_score

from harness.metrics import fairness
from harness.metrics.fairness import _largest_pair, audit, resampled_groups
from harness.metrics.multiplicity import smallest_detectable_difference
from harness.metrics.slices import Outcomes, Slicing, disjoint_slicing, interaction, outcomes_of, slicing_from_frame
from harness.metrics.types import MetricUnavailable


def groups_of(sizes: list[int]) -> tuple[Slicing, np.ndarray]:
    """Disjoint groups of these sizes, and each unit's group."""
    codes = np.repeat(np.arange(len(sizes)), sizes)
    return disjoint_slicing("s", codes, [f"g{i}" for i in range(len(sizes))]), codes


def test_disparity_equals_fairlearn_on_the_raw_rows() -> None:
    generator = np.random.default_rng(0)
    slicing, codes = groups_of([60, 200, 45, 300])
    label, predicted = generator.integers(0, 2, len(codes)), generator.integers(0, 2, len(codes))
    result = audit(outcomes_of(label == predicted), slicing)
    assert audit(outcomes_of(label == predicted), slicing).disparity == result.disparity
    assert result.disparity["ratio"].method == "bootstrap simultaneous over pairs of groups, 50 resamples, seed 0"
    frame = MetricFrame(metrics=accuracy_score, y_true=label, y_pred=predicted, sensitive_features=codes)
    assert result.disparity["min"].value == pytest.approx(100 * frame.group_min())
    assert result.disparity["max"].value == pytest.approx(100 * frame.group_max())
    assert result.disparity["difference"].value == pytest.approx(100 * frame.difference())
    assert result.disparity["ratio"].value == pytest.approx(frame.ratio())
    assert result.overall.value == pytest.approx(100 * frame.overall)
    for estimate in result.disparity.values():
        assert estimate.low <= estimate.value <= estimate.high
        assert estimate.n == 605


def test_overlapping_groups_follow_the_same_formulas(validation: pd.DataFrame, multi_factor: pd.DataFrame) -> None:
    slicing = slicing_from_frame("imagenet-x", multi_factor, validation["sample_id"].tolist())
    result = audit(outcomes_of(validation["resnet50"].to_numpy()), slicing)
    joined = multi_factor.join(validation.set_index("sample_id")["resnet50"])
    accuracies = [100 * joined.loc[joined[factor] == 1, "resnet50"].mean() for factor in multi_factor]
    assert result.disparity["difference"].value == pytest.approx(max(accuracies) - min(accuracies))
    assert result.disparity["ratio"].value == pytest.approx(min(accuracies) / max(accuracies))


def test_each_group_is_compared_with_the_rest_of_the_covered_samples() -> None:
    """By hand: groups 40 of 50 and 20 of 50; the 100 samples outside the slicing play no part."""
    slicing = disjoint_slicing("s", np.repeat([0, 1, -1], [50, 50, 100]), ["a", "b"])
    correct = np.r_[np.arange(50) < 40, np.arange(50) < 20, np.ones(100, bool)]
    result = audit(outcomes_of(correct), slicing)
    assert result.groups["gap"].tolist() == pytest.approx([40.0, -40.0])
    assert result.overall.n == 100
    assert result.detectable
    assert result.groups["detectable"].all()


def test_no_difference_is_said_with_what_could_have_been_found() -> None:
    slicing, _ = groups_of([100, 100])
    correct = np.r_[np.arange(100) < 70, np.arange(100) < 72]
    result = audit(outcomes_of(correct), slicing)
    assert not result.detectable
    # Two comparisons of 100 with 100 at 0.71.
    (size,) = smallest_detectable_difference(0.71, np.array([100.0]), np.array([100.0]), comparisons=2)
    assert result.smallest_detectable == pytest.approx(100 * size)
    assert result.disparity["difference"].low == 0.0
    assert result.disparity["ratio"].high == 1.0


def test_small_groups_are_shown_but_take_no_part() -> None:
    slicing, _ = groups_of([200, 200, 5])
    correct = np.r_[np.arange(200) < 150, np.arange(200) < 160, np.zeros(5, bool)]
    result = audit(outcomes_of(correct), slicing)
    small = result.groups.loc["g2"]
    assert small["too_small"]
    assert small["accuracy"] == 0.0
    assert np.isnan(small["p_value"])
    assert not small["detectable"]
    assert result.disparity["min"].value == 75.0


def test_one_group_has_no_disparity_and_all_wrong_has_no_ratio() -> None:
    slicing, _ = groups_of([50])
    alone = audit(outcomes_of(np.arange(50) < 30), slicing)
    assert alone.disparity == {}
    assert alone.smallest_detectable is None
    slicing, _ = groups_of([50, 60])
    wrong = audit(outcomes_of(np.zeros(110, bool)), slicing)
    assert set(wrong.disparity) == {"min", "max", "difference"}
    assert wrong.disparity["difference"].value == 0.0


def test_nothing_covered_is_unavailable() -> None:
    slicing = disjoint_slicing("s", np.array([0, -1]), ["a"])
    with pytest.raises(MetricUnavailable, match="No evaluated sample is covered by s"):
        audit(Outcomes(np.array([0, 1]), np.array([0, 1])), slicing)


def test_drawing_kinds_equals_drawing_units(resamples: Callable[[int], None]) -> None:
    """Means, spreads and correlations of overlapping groups' counts, against a loop over units (4,000 resamples)."""
    generator = np.random.default_rng(3)
    n = 300
    flags = pd.DataFrame(generator.random((n, 3)) < [0.2, 0.5, 0.7], columns=list("abc"), index=map(str, range(n)))
    slicing = slicing_from_frame("f", flags, list(flags.index))
    outcomes = Outcomes(generator.integers(0, 3, n), np.full(n, 2))
    resamples(4000)
    successes, trials = resampled_groups(outcomes, slicing, np.arange(3))
    drawn = generator.integers(0, n, size=(4000, n))
    member = flags.to_numpy()
    loop_successes = (outcomes.successes[drawn][:, :, None] * member[drawn]).sum(axis=1)
    loop_trials = (outcomes.trials[drawn][:, :, None] * member[drawn]).sum(axis=1)
    for found, expected in ((successes, loop_successes), (trials, loop_trials)):
        # Monte Carlo errors of 4,000: mean 1.6 % of a spread, spread 1.1 %, correlation 0.016.
        np.testing.assert_allclose(found.mean(axis=0), expected.mean(axis=0), atol=0.1 * expected.std(axis=0).max())
        np.testing.assert_allclose(found.std(axis=0), expected.std(axis=0), rtol=0.07)
        np.testing.assert_allclose(np.corrcoef(found.T), np.corrcoef(expected.T), atol=0.08)


def test_memory_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    slicing, codes = groups_of([40, 60, 30])
    outcomes = outcomes_of(np.random.default_rng(2).random(len(codes)) < 0.7)
    whole = resampled_groups(outcomes, slicing, np.arange(3))
    monkeypatch.setattr(fairness, "_CHUNK", 20)
    np.testing.assert_array_equal(resampled_groups(outcomes, slicing, np.arange(3)), whole)


@pytest.mark.parametrize("groups", [2, 3, 40])
def test_largest_pair_equals_all_pairs(groups: int) -> None:
    generator = np.random.default_rng(4)
    errors = generator.standard_t(2, size=(50, groups))
    variances = generator.gamma(1, size=(50, groups)) + 0.01
    expected = [
        max(abs(e[i] - e[j]) / np.sqrt(v[i] + v[j]) for i, j in itertools.combinations(range(groups), 2))
        for e, v in zip(errors, variances, strict=True)
    ]
    np.testing.assert_allclose(_largest_pair(errors, variances), expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    "accuracies",
    [[0.8] * 8, [0.8, 0.8, 0.8, 0.8, 0.7, 0.8, 0.9, 0.85], [0.98] * 8],
    ids=["alike", "different", "nearly all right"],
)
def test_disparity_intervals_cover_the_truth(accuracies: list[float], resamples: Callable[[int], None]) -> None:
    """60 draws, nominal 0.95 (standard error 0.028). Percentiles of the bootstrapped difference miss a true 0."""
    generator = np.random.default_rng(5)
    slicing, codes = groups_of([40, 60, 100, 100, 200, 300, 400, 400])
    p = np.array(accuracies)
    truth = {"min": 100 * p.min(), "max": 100 * p.max(), "difference": 100 * np.ptp(p), "ratio": p.min() / p.max()}
    hits = dict.fromkeys(truth, 0)
    percentile_hits = 0
    resamples(200)
    for _ in range(60):
        outcomes = outcomes_of(generator.random(len(codes)) < p[codes])
        for name, estimate in audit(outcomes, slicing).disparity.items():
            hits[name] += estimate.low - 1e-9 <= truth[name] <= estimate.high + 1e-9
        successes, trials = resampled_groups(outcomes, slicing, np.arange(8))
        percentile_hits += np.quantile(100 * np.ptp(successes / trials, axis=1), 0.025) <= truth["difference"]
    assert min(hits.values()) / 60 >= 0.86
    if len(set(accuracies)) == 1:
        assert percentile_hits == 0


@pytest.mark.slow
def test_family_wise_error_of_an_audit_without_disparity() -> None:
    """Twelve groups that are alike, 80 draws: a finding in at most 5 % (standard error 2.4 points)."""
    generator = np.random.default_rng(8)
    slicing, codes = groups_of([30, 40, 50, 60, 80, 100, 150, 200, 300, 300, 400, 500])
    found = sum(audit(outcomes_of(generator.random(len(codes)) < 0.85), slicing).detectable for _ in range(80))
    assert found / 80 <= 0.05 + 0.073


@pytest.mark.slow
def test_repeated_images_widen_and_do_not_invent_findings() -> None:
    """Four alike groups of 60 images with 30 dependent trials each, 80 draws of their images' accuracies."""
    generator = np.random.default_rng(9)
    slicing, codes = groups_of([60] * 4)
    found = 0
    for _ in range(80):
        outcomes = Outcomes(generator.binomial(30, generator.beta(1.4, 0.6, len(codes))), np.full(len(codes), 30))
        found += audit(outcomes, slicing).detectable
    assert found / 80 <= 0.05 + 0.073  # standard error 2.4 points


def test_interactions_can_be_audited() -> None:
    first, _ = groups_of([100, 100])
    other = disjoint_slicing("t", np.tile([0, 1], 100), ["u", "v"])
    planted = np.ones(200, bool)
    planted[:100:2] = np.arange(50) < 10
    result = audit(outcomes_of(planted), interaction(first, other))
    assert result.disparity["min"].value == 20.0
    assert result.groups.index[result.groups["accuracy"].argmin()] == "g0 × u"
