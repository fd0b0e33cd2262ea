"""Which classes a model takes for one another, and which it never answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.metrics.types import LabelSpacePredictions, MetricSpec


@dataclass(frozen=True)
class ConfusedPair:
    """Images of one class that were taken for another."""

    label: int
    predicted: int
    count: int
    of: int
    """Images of the class."""


def confused_pairs(predictions: LabelSpacePredictions, most: int) -> list[ConfusedPair]:
    """The pairs of true and predicted class that are confused most often, the most frequent first.

    >>> import numpy as np
    >>> answers = np.array([[1], [1], [0]]) * [1, 0, 0, 0, 0]
    >>> confused_pairs(LabelSpacePredictions(np.array([0, 0, 0]), answers), most=1)
    [ConfusedPair(label=0, predicted=1, count=2, of=3)]
    """
    label, answer = predictions.label.astype(np.int64), predictions.top5[:, 0].astype(np.int64)
    known = label >= 0
    wrong = known & (answer >= 0) & (label != answer)
    pairs, counts = np.unique(np.stack([label[wrong], answer[wrong]]), axis=1, return_counts=True)
    images = np.bincount(label[known])
    order = np.argsort(-counts, kind="stable")[:most]
    return [ConfusedPair(*map(int, (*pairs[:, at], counts[at], images[pairs[0, at]]))) for at in order]


def never_predicted(predictions: LabelSpacePredictions) -> list[int]:
    """Classes of which there are images and that are no image's answer."""
    return sorted(set(predictions.label.tolist()) - set(predictions.top5[:, 0].tolist()) - {-1})


METRICS = (
    MetricSpec("confused-pairs", "Most confused pairs of classes", group="confusion"),
    MetricSpec("never-predicted", "Classes never predicted", higher_is_better=False, group="confusion"),
)
