"""Probabilistic scores against scikit-learn and the definitions, and the sound interval of calibration errors."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, logsumexp, softmax
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss

from harness.metrics.calibration import (
    _calibration_error_interval,
    _gaps_by_bin,
    bin_index,
    brier_score,
    calibration,
    confidence,
    negative_log_likelihood,
    reliability_table,
)
from harness.metrics.intervals import resampled_sums
from harness.metrics.types import LabelSpacePredictions, MetricUnavailable, concatenate


def predictions_of(logits: np.ndarray, label: np.ndarray) -> LabelSpacePredictions:
    """What the engine stores of these logits (n, classes)."""
    top = np.argsort(-logits, axis=1, kind="stable")[:, :5]
    target = np.where(label >= 0, logits[np.arange(len(label)), label], np.nan)
    return LabelSpacePredictions(
        label.astype(np.int32),
        top.astype(np.int32),
        np.take_along_axis(logits, top, axis=1).astype(np.float32),
        target.astype(np.float32),
        logsumexp(logits, axis=1).astype(np.float32),
        logsumexp(2 * logits, axis=1).astype(np.float32),
    )


def made(n: int, classes: int = 12, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits (n, classes) in float32's own values, and labels drawn from a sharper softmax of them."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(scale=2, size=(n, classes)).astype(np.float32).astype(np.float64)
    label = np.array([generator.choice(classes, p=p) for p in softmax(1.3 * logits, axis=1)])
    return logits, label


def by_definition(confidences: np.ndarray, correct: np.ndarray, groups: list[np.ndarray]) -> float:
    """Calibration error in percent, written out over groups of samples."""
    n = len(correct)
    return 100 * sum(len(g) / n * abs(correct[g].mean() - confidences[g].mean()) for g in groups if len(g))


def test_scores_equal_scikit_learn_whole_and_in_shards() -> None:
    logits, label = made(800)
    predictions = predictions_of(logits, label)
    probabilities = softmax(logits, axis=1)
    # Stored float32 keeps about 7 digits, hence 1e-5.
    scores = calibration(predictions)
    assert scores["nll"].value == pytest.approx(log_loss(label, probabilities), abs=1e-5)
    assert scores["brier"].value == pytest.approx(
        brier_score_loss(label, probabilities, labels=range(12), scale_by_half=False), abs=1e-5
    )
    assert scores["mean-confidence"].value == pytest.approx(100 * probabilities.max(axis=1).mean(), abs=1e-3)
    shards = concatenate([predictions.take(part) for part in np.array_split(np.arange(800), 9)])
    assert calibration(shards) == scores


def test_calibration_errors_equal_the_definition() -> None:
    logits, label = made(1000, seed=1)
    predictions = predictions_of(logits, label)
    confidences = confidence(predictions)
    correct = logits.argmax(axis=1) == label
    scores = calibration(predictions)
    widths = [np.flatnonzero((confidences > m / 15) & (confidences <= (m + 1) / 15)) for m in range(15)]
    assert scores["ece"].value == pytest.approx(by_definition(confidences, correct, widths), abs=1e-9)
    order = np.argsort(confidences)
    cuts = [int(np.ceil(1000 * m / 15)) for m in range(16)]
    masses = [order[a:b] for a, b in itertools.pairwise(cuts)]
    assert scores["ece:equal-mass"].value == pytest.approx(by_definition(confidences, correct, masses), abs=1e-9)


def test_reliability_table_equals_scikit_learn_and_sums_to_ece() -> None:
    logits, label = made(1000, seed=2)
    predictions = predictions_of(logits, label)
    correct = logits.argmax(axis=1) == label
    table = reliability_table(confidence(predictions), correct)
    accuracy, mean_confidence = calibration_curve(correct, confidence(predictions), n_bins=15)
    filled = table[table["n"] > 0]
    np.testing.assert_allclose(filled["accuracy"], accuracy)
    np.testing.assert_allclose(filled["confidence"], mean_confidence)
    assert table["n"].sum() == 1000
    assert table.loc[table["n"] == 0, "accuracy"].isna().all()
    gaps = (filled["n"] / 1000 * (filled["accuracy"] - filled["confidence"]).abs()).sum()
    assert calibration(predictions)["ece"].value == pytest.approx(100 * gaps)


def test_by_hand() -> None:
    """Two classes at logits ln 3 and 0: p = 3/4, 1/4. One sample right, one wrong."""
    logits = np.array([[np.log(3), 0.0], [np.log(3), 0.0]])
    label = np.array([0, 1])
    predictions = predictions_of(np.pad(logits, ((0, 0), (0, 3)), constant_values=-np.inf), label)
    np.testing.assert_allclose(negative_log_likelihood(predictions), [np.log(4 / 3), np.log(4)], rtol=1e-6)
    np.testing.assert_allclose(brier_score(predictions), [2 / 16, 2 * 9 / 16], rtol=1e-6)
    scores = calibration(predictions)
    assert scores["ece"].value == pytest.approx(25.0, abs=1e-4)  # confidence 75 %, accuracy 50 %
    assert scores["mean-confidence"].value == pytest.approx(75.0, abs=1e-4)


def test_a_class_outside_the_label_space() -> None:
    """Left out of NLL, with n saying so; in Brier its own term is (0 - 1)²."""
    logits, label = made(50, seed=3)
    label[:10] = -1
    predictions = predictions_of(logits, label)
    scores = calibration(predictions)
    assert (scores["nll"].n, scores["brier"].n) == (40, 50)
    expected = -log_softmax(logits, axis=1)[np.arange(10, 50), label[10:]].mean()
    assert scores["nll"].value == pytest.approx(expected, abs=1e-5)
    probabilities = softmax(logits, axis=1)
    np.testing.assert_allclose(brier_score(predictions)[:10], (probabilities[:10] ** 2).sum(axis=1) + 1, atol=1e-5)
    assert np.isnan(negative_log_likelihood(predictions)[:10]).all()


def test_unavailable_says_why() -> None:
    logits, label = made(20, seed=4)
    full = predictions_of(logits, label)
    with pytest.raises(MetricUnavailable, match="stored without logits"):
        calibration(LabelSpacePredictions(full.label, full.top5))
    holes: dict[str, Any] = {**vars(full), "logsumexp": np.where(np.arange(20) < 3, np.nan, full.logsumexp)}
    with pytest.raises(MetricUnavailable, match="3 of 20"):
        calibration(LabelSpacePredictions(**holes))
    with pytest.raises(MetricUnavailable, match="in the label space"):
        calibration(predictions_of(logits, np.full(20, -1)))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.randoms(use_true_random=False))
def test_order_changes_no_value_and_intervals_hold_their_values(n: int, random: Any) -> None:
    logits, label = made(n, seed=random.randrange(1000))
    order = random.sample(range(n), n)
    scores = calibration(predictions_of(logits, label))
    shuffled = calibration(predictions_of(logits[order], label[order]))
    for name, estimate in scores.items():
        assert shuffled[name].value == pytest.approx(estimate.value, abs=1e-9)
        assert estimate.low <= estimate.value <= estimate.high


def test_bins_are_closed_above_and_ties_share_a_bin() -> None:
    assert bin_index(np.array([0.0, 1 / 15, 1 / 15 + 1e-9, 1.0])).tolist() == [0, 0, 1, 14]
    tied = bin_index(np.array([0.3] * 10 + [0.9] * 5), binning="equal-mass")
    assert len(set(tied[:10])) == 1
    assert len(set(tied[10:])) == 1


@pytest.mark.slow
@pytest.mark.parametrize("shift", [0.0, -0.02, -0.1], ids=["calibrated", "nearly", "overconfident"])
@pytest.mark.parametrize("n", [100, 3000])
def test_calibration_error_interval_covers_the_true_error(
    shift: float, n: int, resamples: Callable[[int], None]
) -> None:
    """A known model: confidence c, accuracy c + shift. The plain percentile interval misses the calibrated case."""
    generator = np.random.default_rng(9)
    trials, hits, percentile_hits = 80, 0, 0
    # Confidences of at least 0.5 keep every accuracy inside 0–1, so each bin's gap is the shift.
    truth = abs(shift)
    resamples(200)
    for _ in range(trials):
        confidences = 0.5 + 0.5 * generator.beta(2, 1, size=n)
        correct = generator.random(n) < confidences + shift
        gaps = _gaps_by_bin(confidences, correct, "equal-width")
        resampled = resampled_sums(gaps) / n
        low, high = _calibration_error_interval(gaps.mean(axis=0), resampled)
        hits += low <= truth <= high
        percentile_low, percentile_high = np.quantile(np.abs(resampled).sum(axis=1), [0.025, 0.975])
        percentile_hits += percentile_low <= truth <= percentile_high
    # Nominal 0.95, standard error 0.024 over 80 trials; above it is conservative.
    assert hits / trials >= 0.90
    if shift == 0.0:
        assert percentile_hits == 0
