"""Accuracy against scikit-learn, against published tables, and by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import top_k_accuracy_score

from harness.metrics.accuracy import accuracy, is_correct, is_in_sets, top1, top1_real, top5
from harness.metrics.types import LabelSpacePredictions, MetricUnavailable, concatenate

# modestyachts/ImageNetV2 results, ResNet-50 of torchvision: top-1, top-5.
PUBLISHED_RESNET50 = {
    "imagenet-val": (76.130, 92.862),
    "imagenetv2-matched-frequency": (63.330, 84.650),
    "imagenetv2-threshold-0.7": (72.700, 92.000),
    "imagenetv2-top-images": (78.090, 94.680),
}


def imported(label: list[int], top: list[list[int]]) -> LabelSpacePredictions:
    """Predictions without logits; missing ranks are -1."""
    ranks = np.array([row + [-1] * (5 - len(row)) for row in top], dtype=np.int32).reshape(-1, 5)
    return LabelSpacePredictions(np.array(label, dtype=np.int32), ranks)


def published(folder: Path, benchmark: str, model: str) -> LabelSpacePredictions:
    """A published model's stored top-5."""
    table = pd.read_parquet(folder / "published-predictions" / f"{benchmark}.parquet", columns=["label", model])
    return LabelSpacePredictions(table["label"].to_numpy(np.int32), np.stack(table[model].to_list()).astype(np.int32))


@pytest.mark.parametrize("benchmark", PUBLISHED_RESNET50)
def test_published_accuracies_to_the_last_digit(shared_data: Path, benchmark: str) -> None:
    predictions = published(shared_data, benchmark, "resnet50")
    found = round(top1(predictions).value, 3), round(top5(predictions).value, 3)
    assert found == PUBLISHED_RESNET50[benchmark]


def test_equals_scikit_learn_whole_and_in_shards() -> None:
    generator = np.random.default_rng(3)
    logits = generator.normal(size=(997, 20))
    label = generator.integers(0, 20, 997)
    predictions = LabelSpacePredictions(label.astype(np.int32), np.argsort(-logits, axis=1)[:, :5].astype(np.int32))
    shards = concatenate([predictions.take(part) for part in np.array_split(np.arange(997), 7)])
    for k in (1, 2, 5):
        expected = top_k_accuracy_score(label, logits, k=k)
        assert accuracy(is_correct(predictions, k)).value == pytest.approx(100 * expected, abs=1e-12)
        assert accuracy(is_correct(shards, k)) == accuracy(is_correct(predictions, k))


def test_by_hand() -> None:
    predictions = imported([1, 2, 3, 4], [[1, 0, 2, 3, 4], [0, 1, 2, 3, 4], [0, 1, 2, 4, 5], [4, 0, 1, 2, 3]])
    assert top1(predictions).value == 50.0  # samples 0 and 3
    assert top5(predictions).value == 75.0  # and sample 1, third rank
    assert top1(predictions).n == 4


def test_a_class_outside_the_label_space_is_wrong_even_where_ranks_are_absent() -> None:
    predictions = imported([-1, 0], [[0, 1], [0, 1]])
    assert top1(predictions).value == 50.0
    assert is_correct(predictions, 2).tolist() == [False, True]


def test_top5_of_predictions_with_one_rank_is_unavailable() -> None:
    predictions = imported([0, 1], [[0], [1]])
    assert top1(predictions).value == 100.0
    with pytest.raises(MetricUnavailable, match="Fewer than 5 classes were stored"):
        top5(predictions)


def test_no_samples_is_unavailable() -> None:
    with pytest.raises(MetricUnavailable, match="no samples"):
        top1(imported([], []))


def test_real_leaves_out_empty_sets_and_says_so() -> None:
    predictions = imported([0, 1, 2, 3], [[0], [5], [2], [7]])
    estimate = top1_real(predictions, [{0, 9}, {1, 5}, set(), {3}])
    assert (estimate.n, estimate.value) == (3, pytest.approx(200 / 3))


def test_in_sets_counts_an_empty_set_as_wrong() -> None:
    """The 22k protocol: a class that the head lacks has no descendants there, and is always wrong."""
    predictions = imported([0, 1, -1], [[0], [5], [2]])
    descendants = {0: {0}, 1: {1, 5, 6}, -1: set()}
    estimate = accuracy(is_in_sets(predictions, [descendants[label] for label in predictions.label]))
    assert (estimate.n, estimate.value) == (3, pytest.approx(200 / 3))


def test_sets_must_match_samples() -> None:
    with pytest.raises(ValueError, match="1 sets of right answers for 2 samples"):
        is_in_sets(imported([0, 1], [[0], [1]]), [{0}])


@given(
    st.lists(
        st.tuples(st.lists(st.integers(0, 6), min_size=0, max_size=5, unique=True), st.sets(st.integers(0, 6))),
        min_size=1,
    ),
    st.integers(1, 5),
)
def test_in_sets_equals_its_definition(samples: list[tuple[list[int], set[int]]], k: int) -> None:
    predictions = imported([-1] * len(samples), [ranks for ranks, _ in samples])
    if all(len(ranks) < k for ranks, _ in samples):
        with pytest.raises(MetricUnavailable):
            is_in_sets(predictions, [classes for _, classes in samples], k)
        return
    expected = [bool(set(ranks[:k]) & classes) for ranks, classes in samples]
    assert is_in_sets(predictions, [classes for _, classes in samples], k).tolist() == expected


def test_real_accuracy_on_published_predictions(shared_data: Path, imagenet_x: Path) -> None:
    """ReaL labels come by file number; the plain loop is the second implementation."""
    by_number = json.loads((imagenet_x / "imagenet_real_labels.jsonl").read_text())
    table = pd.read_parquet(shared_data / "published-predictions" / "imagenet-val.parquet", columns=["sample_id"])
    sets = [by_number[int(name[15:23]) - 1] for name in table["sample_id"]]
    predictions = published(shared_data, "imagenet-val", "resnet50")
    judged = [row[0] in right for row, right in zip(predictions.top5.tolist(), sets, strict=True) if right]
    estimate = top1_real(predictions, sets)
    assert estimate.n == len(judged) == 46837  # the images that keep at least one label
    assert estimate.value == pytest.approx(100 * sum(judged) / len(judged), abs=1e-12)
