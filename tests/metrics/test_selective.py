"""Selective prediction against the definitions, scikit-learn, and cases that are exact by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from harness.metrics.accuracy import is_correct
from harness.metrics.selective import risk_coverage, scores, selective
from harness.metrics.types import LabelSpacePredictions, MetricUnavailable
from tests.metrics.test_calibration import predictions_of


@pytest.fixture(scope="module")
def drawn() -> LabelSpacePredictions:
    generator = np.random.default_rng(3)
    logits, labels = generator.normal(size=(500, 10)), generator.integers(0, 10, 500)
    logits[np.arange(500), labels] += 2
    return predictions_of(logits, labels)


def test_the_measures_are_those_of_the_definitions(drawn: LabelSpacePredictions) -> None:
    found = selective(drawn)
    wrong = ~is_correct(drawn)
    assert len(found) == 4 * 5
    for name, score in scores(drawn).items():
        order = np.argsort(-score)
        risks = np.cumsum(wrong[order]) / np.arange(1, 501)
        best = np.cumsum(np.sort(wrong)) / np.arange(1, 501)
        assert found[f"aurc:{name}"].value == pytest.approx(100 * risks.mean())
        assert found[f"excess-aurc:{name}"].value == pytest.approx(100 * (risks.mean() - best.mean()))
        for limit, variant in ((0.01, "1-percent-risk"), (0.05, "5-percent-risk")):
            kept = np.flatnonzero(risks <= limit)
            expected = 100 * (kept[-1] + 1) / 500 if len(kept) else 0
            assert found[f"coverage:{variant}+{name}"].value == pytest.approx(expected)
        assert found[f"failure-auroc:{name}"].value == pytest.approx(100 * roc_auc_score(~wrong, score))


def test_answers_of_one_score_are_kept_together() -> None:
    score, wrong = np.array([3.0, 2.0, 2.0, 1.0]), np.array([False, True, False, True])
    coverage, risk = risk_coverage(score, wrong)
    assert coverage.tolist() == [0.25, 0.75, 1.0]
    assert risk.tolist() == [0.0, 1 / 3, 0.5]


def test_a_score_that_knows_has_no_excess() -> None:
    logits = np.full((6, 10), -5.0)
    labels = np.zeros(6, dtype=int)
    logits[:4, 0] = [9, 8, 7, 6]  # right and sure
    logits[4:, 1] = [2, 1]  # wrong and doubtful
    found = selective(predictions_of(logits, labels))
    assert found["excess-aurc:max-logit"].value == pytest.approx(0)
    assert found["failure-auroc:max-logit"].value == 100
    assert found["coverage:1-percent-risk+max-logit"].value == pytest.approx(100 * 4 / 6)


def test_intervals_hold_the_truth(drawn: LabelSpacePredictions, resamples: Callable[[int], None]) -> None:
    """Halves of one sample: the interval of one half holds the other's value about as often as it should."""
    resamples(200)
    estimate, other = (selective(drawn.take(np.arange(half, 500, 2))) for half in (0, 1))
    held = [e.low <= other[key].value <= e.high for key, e in estimate.items()]
    assert np.mean(held) > 0.6  # two noisy halves: 83 % where they were independent


def test_where_nothing_can_be_told_apart_it_says_so(drawn: LabelSpacePredictions) -> None:
    with pytest.raises(MetricUnavailable, match="every answer is right"):
        selective(drawn.take(is_correct(drawn)))
    with pytest.raises(MetricUnavailable, match="without logits"):
        selective(LabelSpacePredictions(drawn.label, drawn.top5))
