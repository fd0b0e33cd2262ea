"""What a model gets wrong on one benchmark: confusion pairs, and the wrong answers that it was most sure of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from harness.errors import HarnessError
from harness.evaluation.reader import StoredCondition, StoredModel, StoredPredictions, read_predictions
from harness.evaluation.scoring import REFERENCE
from harness.labels.spaces import class_name, label_space
from harness.metrics.accuracy import is_correct
from harness.metrics.calibration import confidence
from harness.metrics.types import MetricUnavailable
from harness.report.thumbnails import Thumbnails
from harness.settings import Settings

_PAIRS, _ERRORS = 10, 12
"""Confusion pairs and most confident errors shown of each model."""

ReferencePredictions = tuple[StoredCondition, StoredPredictions]
"""What mistakes and calibration of a model are shown on."""


@dataclass(frozen=True)
class ConfusionPair:
    """One class taken for another."""

    true: str
    predicted: str
    count: int
    of: int
    """Images of the true class."""


@dataclass(frozen=True)
class ConfidentError:
    """A wrong answer that the model was sure of."""

    sample_id: str
    true: str
    predicted: str
    confidence: float
    """Percent."""
    thumbnail: str | None
    """A data URI, or None."""


@dataclass(frozen=True)
class Mistakes:
    """What a model gets wrong on one benchmark."""

    model: str
    where: str
    n: int
    wrong: int
    pairs: tuple[ConfusionPair, ...]
    confident: tuple[ConfidentError, ...]
    unavailable: str | None
    """Why there are no confident errors."""


def reference_predictions(
    model: StoredModel, settings: Settings, report: Callable[[str], None]
) -> ReferencePredictions | None:
    """The predictions that errors and calibration are shown on: the validation set's, or the first whole benchmark's."""
    whole = {
        prefix: stored
        for prefix, stored in model.conditions.items()
        if stored.condition is None and not stored.benchmark.label_sets
    }
    chosen = whole.get(REFERENCE) or next(iter(whole.values()), None)
    if chosen is None:
        return None
    try:
        return chosen, read_predictions(chosen, settings, report)
    except HarnessError as error:
        report(f"{model.name}: {error.message} Its errors are not shown.")
        return None


def mistakes_of(model: str, condition: StoredCondition, stored: StoredPredictions, thumbnails: Thumbnails) -> Mistakes:
    """The confusion pairs and the most confident wrong answers of one model."""
    predictions = stored.predictions
    space = label_space(condition.benchmark.label_space)
    names = _unique_names(space.synsets)
    correct = is_correct(predictions)
    wrong = ~correct & (predictions.label >= 0) & (predictions.top5[:, 0] >= 0)
    label, answer = predictions.label[wrong].astype(np.int64), predictions.top5[wrong, 0].astype(np.int64)
    pairs, counts = np.unique(label * len(space) + answer, return_counts=True)
    per_class = np.bincount(predictions.label[predictions.label >= 0], minlength=len(space))
    confusion = []
    for at in np.lexsort((pairs, -counts))[:_PAIRS]:
        true, predicted = divmod(int(pairs[at]), len(space))
        confusion.append(ConfusionPair(names[true], names[predicted], int(counts[at]), int(per_class[true])))
    confident: tuple[ConfidentError, ...] = ()
    unavailable = None
    try:
        sure = np.where(wrong, confidence(predictions), -1.0)
        top = [at for at in np.argsort(-sure, kind="stable")[:_ERRORS] if wrong[at]]
        shown = thumbnails.of(condition, [(stored.sample_ids[at], stored.digests[at]) for at in top])
        confident = tuple(
            ConfidentError(
                str(stored.sample_ids[at]),
                names[predictions.label[at]],
                names[predictions.top5[at, 0]],
                100 * float(sure[at]),
                shown.get(stored.sample_ids[at]),
            )
            for at in top
        )
    except MetricUnavailable as error:
        unavailable = error.reason
    n, where = len(predictions), condition.benchmark.name
    return Mistakes(model, where, n, int((~correct).sum()), tuple(confusion), confident, unavailable)


def _unique_names(synsets: Sequence[str]) -> list[str]:
    """Class names; those that several classes share (crane, maillot) with their synset."""
    names = [class_name(synset) for synset in synsets]
    shared = Counter(names)
    return [f"{name} ({synset})" if shared[name] > 1 else name for name, synset in zip(names, synsets, strict=True)]
