"""Temperature scaling against scipy's minimiser and the definition, and its interval by repetition."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.metrics import log_loss

from harness.metrics.calibration import calibration
from harness.metrics.temperature import fit_temperature, scaled, temperature_scaling
from harness.metrics.types import LabelSpacePredictions, MetricUnavailable
from tests.metrics.test_calibration import predictions_of


def drawn(n: int, sharpness: float, seed: int = 0, classes: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Logits (n, classes), and labels drawn from their softmax at a temperature of 1 / sharpness."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(scale=3, size=(n, classes)).astype(np.float16).astype(np.float64)
    p = softmax(sharpness * logits, axis=1)
    return logits, (p.cumsum(axis=1) > generator.random((n, 1))).argmax(axis=1).astype(np.int32)


@pytest.mark.parametrize("sharpness", [0.3, 1.0, 2.5])
def test_the_temperature_is_scipys(sharpness: float) -> None:
    logits, label = drawn(3000, sharpness)
    found = fit_temperature(logits, label)
    best = minimize_scalar(
        lambda t: log_loss(label, softmax(logits / t, axis=1), labels=range(20)), bounds=(0.05, 20), method="bounded"
    )
    assert found.value == pytest.approx(best.x, rel=1e-4)  # scipy's tolerance
    assert (
        found.low < 1 / sharpness < found.high
    )  # what the labels were drawn with; checked at large for coverage below


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    # 95 % of 400: 380 with a standard deviation of 4.4; three of these to either side.
    held = 0
    for seed in range(400):
        found = fit_temperature(*drawn(300, 0.5, seed))
        held += found.low <= 2.0 <= found.high
    assert 366 <= held <= 394


def test_scaled_predictions_are_those_of_scaled_logits() -> None:
    logits, label = drawn(500, 0.5)
    logits[:, 3] = -np.inf  # a class without an output
    predictions = predictions_of(logits, label)
    ours, theirs = scaled(predictions, logits, 1.7), predictions_of(logits / 1.7, label)
    for name in ("top5", "top5_logit", "logsumexp", "logsumexp2"):
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-6)
    known = label != 3
    np.testing.assert_allclose(ours.target_logit[known], theirs.target_logit[known], rtol=1e-6)
    assert np.isnan(ours.target_logit[~known]).all()
    rows = np.arange(500)[known]
    by_definition = -log_softmax(logits[known] / 1.7, axis=1)[np.arange(len(rows)), label[known]].mean()
    scored = LabelSpacePredictions(**{k: v[known] for k, v in vars(ours).items()})
    assert calibration(scored)["nll"].value == pytest.approx(by_definition, rel=1e-6)


def test_it_is_fitted_on_one_half_and_scored_on_the_other() -> None:
    logits, label = drawn(4000, 0.5)  # twice as sure as it may be
    fitted = np.random.default_rng(1).random(4000) < 0.5
    found = temperature_scaling(predictions_of(logits, label), logits, fitted)
    assert set(found) == {
        "temperature", "nll:temperature-scaled", "brier:temperature-scaled", "mean-confidence:temperature-scaled",
        "ece:temperature-scaled", "ece:equal-mass+temperature-scaled",
    }  # fmt: skip
    assert found["temperature"].value == fit_temperature(logits[fitted], label[fitted]).value
    assert found["temperature"].value == pytest.approx(2.0, rel=0.05)
    assert (found["temperature"].n, found["nll:temperature-scaled"].n) == (fitted.sum(), (~fitted).sum())
    before = calibration(predictions_of(logits, label).take(~fitted))
    assert found["ece:temperature-scaled"].value < before["ece"].value / 4
    assert found["nll:temperature-scaled"].value < before["nll"].value


@pytest.mark.parametrize(
    ("logits", "label"),
    [
        (np.zeros((0, 3)), np.zeros(0, np.int32)),
        (np.eye(3), np.arange(3, dtype=np.int32)),  # all right: the smaller the better
        (np.ones((4, 3)), np.zeros(4, np.int32)),  # nothing to scale
        (-np.eye(3), np.arange(3, dtype=np.int32)),  # all worst: the larger the better
    ],
    ids=["empty", "all right", "flat", "all worst"],
)
def test_where_none_is_best_none_is_given(logits: np.ndarray, label: np.ndarray) -> None:
    with pytest.raises(MetricUnavailable):
        fit_temperature(logits, label)
