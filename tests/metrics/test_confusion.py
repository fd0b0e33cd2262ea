"""Confused pairs and classes never predicted, against scikit-learn's confusion matrix."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import confusion_matrix

from harness.metrics.confusion import confused_pairs, never_predicted
from harness.metrics.types import LabelSpacePredictions


def test_pairs_are_the_largest_entries_off_the_diagonal() -> None:
    rng = np.random.default_rng(0)
    label = rng.integers(-1, 6, 400).astype(np.int32)  # -1: a class that the model has no output for
    answer = np.where(rng.random(400) < 0.5, label, rng.integers(0, 5, 400)).clip(0, 4)
    predictions = LabelSpacePredictions(label, np.stack([answer, *[np.full(400, -1)] * 4], axis=1).astype(np.int32))
    known = label >= 0
    matrix = confusion_matrix(label[known], answer[known], labels=range(6))
    found = confused_pairs(predictions, 7)
    off = matrix.copy()
    np.fill_diagonal(off, 0)
    assert [pair.count for pair in found] == np.sort(off.ravel())[::-1][:7].tolist()
    assert all(matrix[pair.label, pair.predicted] == pair.count for pair in found)
    assert all(matrix[pair.label].sum() == pair.of for pair in found)
    assert never_predicted(predictions) == [5]
