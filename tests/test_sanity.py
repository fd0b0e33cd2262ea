"""The sanity gate: a model that guesses stops the run, and the usual mistakes are recognised."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from harness.errors import HarnessError
from harness.evaluation.sanity import MIN_IMAGES, check_against_chance, check_for_exchange
from harness.labels.projections import label_space_projections
from harness.labels.spaces import label_space
from harness.metrics.types import LabelSpacePredictions
from harness.models.loading import LoadedModel
from harness.runtime.engine import DeviceProjection
from harness.runtime.execution import ExecutionConfig
from harness.runtime.network import Network

if TYPE_CHECKING:
    from conftest import LabelledPhotograph

Relabel = Callable[[Callable[[np.ndarray], np.ndarray]], LabelSpacePredictions]
"""What the true labels are turned into -> the predictions under those labels."""


def predicted(best: np.ndarray, label: np.ndarray) -> LabelSpacePredictions:
    top5 = np.full((len(best), 5), -1, np.int32)
    top5[:, 0] = best
    return LabelSpacePredictions(label=label.astype(np.int32), top5=top5)


def stopped(predictions: LabelSpacePredictions, classes: int = 1000) -> str:
    with pytest.raises(HarnessError) as caught:
        check_against_chance(predictions, classes, "imagenet-val")
    assert "--no-sanity-gate" in str(caught.value)
    assert "the normalisation" in str(caught.value)
    assert "colour channels" in str(caught.value)
    return str(caught.value)


@pytest.fixture(scope="module")
def on_photographs(lite0: LoadedModel, foolbox_images: list[LabelledPhotograph]) -> Relabel:
    """lite0's real predictions of the 20 photographs, under labels of the test's choice."""
    preprocessing = lite0.identity.preprocessing
    pixels = np.stack([preprocessing.pixels(photograph.image()) for photograph in foolbox_images])
    logits = Network.of(lite0, ExecutionConfig())(torch.from_numpy(pixels).permute(0, 3, 1, 2))
    spec = label_space_projections(lite0.identity.output_labels(), label_space("imagenet-1k"), with_subsets=False)[0]
    true = np.array([photograph.label for photograph in foolbox_images])
    return lambda change: DeviceProjection.of(spec, "cpu").start(logits, change(true))()


class TestARealModel:
    def test_the_right_labels_pass(self, on_photographs: Relabel) -> None:
        check_against_chance(on_photographs(lambda true: true), 1000, "foolbox")

    def test_shuffled_labels_stop(self, on_photographs: Relabel) -> None:
        predictions = on_photographs(lambda true: np.random.default_rng(0).permutation(1000)[true])
        message = stopped(predictions)
        assert "0 of the first 20 images are right" in message
        assert "guessing among 1,000 classes would do as well" in message
        assert "none of them shows in the predictions themselves" in message

    def test_labels_counted_from_1_are_named(self, on_photographs: Relabel) -> None:
        message = stopped(on_photographs(lambda true: true + 1))
        assert "labels counted from 1: 18 of 20 images would then be right" in message

    def test_a_background_class_is_named(self, on_photographs: Relabel) -> None:
        message = stopped(on_photographs(lambda true: true - 1))
        assert "outputs shifted by one (a background class at 0): 18 of 20" in message

    def test_folders_sorted_as_text_are_named(self, on_photographs: Relabel) -> None:
        # ImageNetV2's folders 0 … 999: a loader that sorts them as text calls folder "10" class 2.
        folders = sorted(map(str, range(1000)))
        rank = np.array([folders.index(str(index)) for index in range(1000)])
        assert rank[10] == 2
        message = stopped(on_photographs(lambda true: rank[true]))
        assert "Seen here: numbered folders sorted as text: 18 of 20 images would then be right." in message

    def test_the_model_s_outputs_in_text_order_are_named_too(self, on_photographs: Relabel) -> None:
        # A head trained on folders sorted as text: its output 2 is class 10, so it answers 2 where 10 is right.
        order = np.array([int(name) for name in sorted(map(str, range(1000)))])
        message = stopped(on_photographs(lambda true: order[true]))
        assert "Seen here: outputs in the order of class numbers sorted as text: 18 of 20" in message


class TestFewImages:
    @given(st.integers(0, MIN_IMAGES - 1))
    def test_they_never_stop(self, count: int) -> None:
        check_against_chance(predicted(np.zeros(count, int), np.ones(count, int)), 1000, "few")

    def test_images_outside_the_label_space_do_not_count(self) -> None:
        label = np.r_[np.ones(MIN_IMAGES - 1, int), np.full(100, -1)]
        check_against_chance(predicted(np.zeros(len(label), int), label), 1000, "few")


class TestTheTest:
    @given(st.integers(0, 1000), st.sampled_from([20, 100, 512]))
    def test_a_guessing_model_passes_one_time_in_a_hundred_at_most(self, seed: int, n: int) -> None:
        """By the definition: stop unless P(at least this many right by guessing) <= 1 %."""
        draw = np.random.default_rng(seed)
        label = draw.integers(0, 10, n)
        best = np.where(draw.random(n) < 0.1, label, draw.integers(0, 10, n))
        right = int((best == label).sum())
        beats = binomtest(right, n, 1 / 10, alternative="greater").pvalue <= 0.01
        if beats:
            check_against_chance(predicted(best, label), 10, "x")
        else:
            stopped(predicted(best, label), 10)

    def test_two_hits_in_twenty_are_no_chance_among_a_thousand(self) -> None:
        # P(at least 1 of 20 at 1/1000) = 2.0 %, P(at least 2) = 0.02 %
        label = np.arange(20)
        for hits, passes in ((1, False), (2, True)):
            best = np.where(np.arange(20) < hits, label, 500)
            if passes:
                check_against_chance(predicted(best, label), 1000, "x")
            else:
                stopped(predicted(best, label))


class TestExchange:
    """Labels of classes that are exchanged for one another, of which the rest are right."""

    NAMES = tuple("abcdefghij")
    TRUE = np.repeat(np.arange(10), 20)

    def exchanged(self, classes: list[int], right: float) -> LabelSpacePredictions:
        """A model that is right as often as said, with the labels of these classes moved in turn."""
        rng = np.random.default_rng(0)
        best = np.where(rng.random(200) < right, self.TRUE, rng.integers(0, 10, 200))
        moved = dict(zip(classes, classes[1:] + classes[:1], strict=True))
        return predicted(best, np.array([moved.get(int(label), int(label)) for label in self.TRUE]))

    @pytest.mark.parametrize(("classes", "right"), [([2, 7], 0.95), ([0, 3, 9], 0.9), (list(range(10)), 0.85)])
    def test_it_is_named(self, classes: list[int], right: float) -> None:
        with pytest.raises(HarnessError, match="seem to be exchanged") as caught:
            check_for_exchange(self.exchanged(classes, right), self.NAMES, "letters")
        assert all(f"'{self.NAMES[class_]}' for" in str(caught.value) for class_ in classes)

    @given(st.integers(0, 2**32 - 1), st.floats(0, 1), st.integers(1, 6))
    def test_a_model_that_is_merely_bad_never_stops(self, seed: int, right: float, images: int) -> None:
        """Also where two classes are told apart no better than by a coin, and a few images happen to fall on the wrong side."""
        rng = np.random.default_rng(seed)
        true = np.repeat(np.arange(10), images)
        best = np.where(rng.random(len(true)) < right, true, true ^ 1)
        best = np.where(rng.random(len(true)) < 0.5, true, best)
        check_for_exchange(predicted(best, true), self.NAMES, "letters")
