"""Selective prediction: how well a model's own scores tell its right answers from its wrong ones.

Whoever may decline to answer keeps the answers with the highest scores: coverage is the share that is kept, risk the share of
errors among these. El-Yaniv & Wiener 2010, "On the foundations of noise-free selective classification"; Geifman & El-Yaniv
2017, arXiv:1705.08500; Geifman, Uziel & El-Yaniv 2019, arXiv:1805.08206 (AURC, excess AURC); Hendrycks & Gimpel 2017,
arXiv:1610.02136 (failure prediction by the largest probability); Liu et al. 2020, arXiv:2010.03759 (energy).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from harness.metrics import intervals
from harness.metrics.accuracy import is_correct
from harness.metrics.types import BoolArray, Estimate, FloatArray, LabelSpacePredictions, MetricSpec, MetricUnavailable

RISKS = {"1-percent-risk": 0.01, "5-percent-risk": 0.05}
"""Variants of `coverage`, with the share of errors that is allowed."""
RESAMPLES = 400
"""Each has to be ranked anew by every score."""


def scores(predictions: LabelSpacePredictions) -> dict[str, FloatArray]:
    """How sure a model is of each answer, float64 (n,) each, more is surer: the largest probability (`msp`), the largest logit,
    the distance of the two largest probabilities, and log Σ exp of the logits, which is the negative energy.

    Raises:
        MetricUnavailable: logits were not stored.
    """
    logits = predictions.logits()
    assert predictions.top5_logit is not None  # `logits` has looked
    second = np.nan_to_num(predictions.top5_logit[:, 1].astype(np.float64), nan=-np.inf)
    best = np.exp(logits.best - logits.logsumexp)
    return {
        "msp": best,
        "max-logit": logits.best,
        "margin": best - np.exp(second - logits.logsumexp),
        "energy": logits.logsumexp,
    }


class Ranked:
    """Answers in order of their scores, surest first; answers of one score are kept or declined together."""

    def __init__(self, score: FloatArray, wrong: BoolArray) -> None:
        self.order = np.argsort(-score, kind="stable")
        ranked = score[self.order]
        self.ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
        self.wrong = wrong[self.order].astype(np.float64)

    def curve(self, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Answers kept, and errors among them, at each threshold; both (thresholds,) and increasing."""
        weights = weights[self.order]
        return np.cumsum(weights)[self.ends], np.cumsum(weights * self.wrong)[self.ends]


Summaries = Callable[[Ranked, FloatArray], Sequence[float]]
"""Of ranked answers, each counted by its weight (n,)."""


def auroc(right: FloatArray, wrong: FloatArray) -> float:
    """Of pairs of a right and a wrong one, the share in which the right one is surer, a tie counting half; NaN without pairs.

    Args:
        right: how many right ones are kept at each threshold (thresholds,), increasing; `wrong` likewise.
    """
    surer, pairs = (np.append(0.0, right[:-1]) + right) / 2, right[-1] * wrong[-1]
    return float(surer @ np.diff(wrong, prepend=0.0) / pairs) if pairs > 0 else float("nan")


def _least_area(total: float, failures: float) -> float:
    """AURC of a score that has every right answer before every wrong one."""
    kept = np.arange(total - failures + 1, total + 1)
    return float(np.sum((kept - (total - failures)) / kept) / total)


def risk_coverage(score: FloatArray, wrong: BoolArray) -> tuple[FloatArray, FloatArray]:
    """The risk–coverage curve: coverage and risk as fractions (thresholds,), for a figure."""
    kept, errors = Ranked(score, wrong).curve(np.ones(len(score)))
    return kept / len(score), errors / kept


def resampled_summaries(
    ranked: Mapping[str, Ranked], sizes: Sequence[int], summaries: Summaries, names: Sequence[str]
) -> dict[str, Estimate]:
    """The summaries of every score, in percent with bootstrap percentiles, by `names` and the score.

    Args:
        sizes: of the sets that the answers are of, in their order; each is resampled by itself.
    """
    generator, n = np.random.default_rng(intervals.SEED), sum(sizes)
    drawn = np.empty((RESAMPLES, len(ranked), len(names)))
    for draw in drawn:
        weights = [np.bincount(generator.integers(0, size, size=size), minlength=size) for size in sizes]
        draw[:] = [summaries(score, np.concatenate(weights).astype(np.float64)) for score in ranked.values()]
    method = intervals.bootstrap_method("percentile", RESAMPLES)
    found = {}
    for at, (name, score) in enumerate(ranked.items()):
        for column, (measure, value) in enumerate(zip(names, summaries(score, np.ones(n)), strict=True)):
            resampled = drawn[:, at, column]
            low, high = intervals.percentile_interval(value, resampled[np.isfinite(resampled)])
            key = f"{measure}{'+' if ':' in measure else ':'}{name}"
            found[key] = Estimate(100 * value, 100 * low, 100 * high, method, n, "bootstrap")
    return found


def _summaries(ranked: Ranked, weights: FloatArray) -> list[float]:
    """AURC, excess AURC, coverage at each of `RISKS`, AUROC of failure prediction; NaN where nothing or all is wrong."""
    kept, errors = ranked.curve(weights)
    total, failures = kept[-1], errors[-1]
    used = kept > 0
    risk = np.where(used, errors / np.where(used, kept, 1.0), 0.0)
    area = float(risk @ np.diff(kept, prepend=0.0) / total)
    coverages = [float(kept[used & (risk <= limit)].max(initial=0.0) / total) for limit in RISKS.values()]
    return [area, area - _least_area(total, failures), *coverages, auroc(kept - errors, errors)]


def selective(predictions: LabelSpacePredictions) -> dict[str, Estimate]:
    """Every measure of selective prediction for every score, in percent, from one set of bootstrap resamples.

    Raises:
        MetricUnavailable: there are no samples, all answers are right or all wrong, or logits were not stored.
    """
    wrong = ~is_correct(predictions)
    if not 0 < wrong.sum() < len(wrong):
        raise MetricUnavailable("Where every answer is right, or none, no score can tell them apart.")
    ranked = {name: Ranked(score, wrong) for name, score in scores(predictions).items()}
    names = ["aurc", "excess-aurc", *(f"coverage:{variant}" for variant in RISKS), "failure-auroc"]
    return resampled_summaries(ranked, [len(wrong)], _summaries, names)


_SHARED: dict[str, Any] = {"unit": "%", "range": (0, 100), "group": "selective", "compute": selective}
METRICS = (
    MetricSpec("aurc", "Area under the risk–coverage curve", higher_is_better=False, **_SHARED),
    MetricSpec("excess-aurc", "Excess AURC over the best order", higher_is_better=False, **_SHARED),
    MetricSpec(
        "coverage",
        "Coverage",
        higher_is_better=True,
        variants={name: f"Coverage at {limit:.0%} risk" for name, limit in RISKS.items()},
        **_SHARED,
    ),
    MetricSpec("failure-auroc", "AUROC of telling right answers from wrong ones", higher_is_better=True, **_SHARED),
)
