"""What is found on an image: curves by hand, methods that say nothing are caught, and values hang on nothing but the image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import nn

from harness.examination.attribution import ATTRIBUTIONS
from harness.examination.examine import Subject, curves, examine, examine_image, removals
from harness.examination.options import METHODS, ExaminationOptions
from harness.metrics.attribution import WEIGHTLESS, ImageMaps, objection
from harness.models.loading import LoadedModel
from harness.models.modules import from_module
from harness.runtime.execution import ExecutionConfig
from tests.examination.conftest import NAMES, PREPROCESSING, PROJECTION, SIDE, pixel_model, red_detector


def test_deletion_and_insertion_of_a_linear_model_are_those_computed_by_hand(pixels: torch.Tensor) -> None:
    linear = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE * SIDE, 2))
    removed = removals(np.random.default_rng(1).normal(size=(14, 14)), np.random.default_rng(0))
    with pixel_model(linear) as model, torch.no_grad():
        model.module.core[1].weight.mul_(20)
        deletion, insertion = curves(model, pixels, removed, 1)
        weights, bias = (value.numpy().astype(float) for value in model.module.core[1].parameters())
    image = pixels[0].numpy().astype(float)
    # A Gaussian as wide as a cell of two pixels, cut off at twice that, mirrored at the edges: SciPy's.
    blurred = np.stack([gaussian_filter(channel, 2.0, mode="mirror", truncate=2.0) for channel in image])
    gone = removed.repeat(2, 1).repeat(2, 2)[:, None]

    def probability(images: np.ndarray) -> np.ndarray:
        normalised = (images - np.reshape(PREPROCESSING.mean, (3, 1, 1))) / np.reshape(PREPROCESSING.std, (3, 1, 1))
        logits = normalised.reshape(len(images), -1) @ weights.T + bias
        return 1 / (1 + np.exp(logits[:, 0] - logits[:, 1]))

    np.testing.assert_allclose(deletion, probability(np.where(gone, blurred, image)), atol=2e-5)
    np.testing.assert_allclose(insertion, probability(np.where(gone, image, blurred)), atol=2e-5)
    assert np.ptp(deletion) > 0.01


def test_cells_are_removed_in_the_order_of_the_map_and_equal_ones_at_random() -> None:
    cells = np.arange(12.0).reshape(3, 4)
    removed = removals(cells, np.random.default_rng(0))
    assert removed.sum((1, 2)).tolist() == [0, 4, 8, 12]
    assert removed[1].tolist() == (cells > 7).tolist()
    equal = [removals(np.zeros((3, 4)), np.random.default_rng(seed))[1] for seed in (0, 0, 1)]
    assert np.array_equal(equal[0], equal[1])
    assert not np.array_equal(equal[0], equal[2])


def edges(model: nn.Module, pixels: torch.Tensor, target: int) -> torch.Tensor:
    """No attribution at all: how much neighbouring pixels differ, whatever the model."""
    return nn.functional.pad((pixels[..., 1:] - pixels[..., :-1]).abs(), (0, 1))


def test_a_method_that_ignores_the_weights_is_caught(
    monkeypatch: pytest.MonkeyPatch, subject: Callable[[str], Subject]
) -> None:
    monkeypatch.setitem(ATTRIBUTIONS, "edges", edges)
    with pixel_model(red_detector()) as model:
        found = [examine_image(model, subject(name), ["edges", "occlusion"], checked=True) for name in "abc"]
    assert [image.similarity["edges"] for image in found] == [pytest.approx([1.0, 1.0, 1.0])] * 3
    assert objection(found, "edges") == WEIGHTLESS
    assert all(image.similarity["occlusion"][-1] < 0.5 for image in found)


def test_a_wrong_answer_has_maps_of_both_classes(subject: Callable[[str], Subject]) -> None:
    with pixel_model(red_detector()) as model:
        found = examine_image(model, replace(subject("a"), label=0), ["gradient-x-input"], checked=False)
        right = examine_image(model, subject("a"), ["gradient-x-input"], checked=False)
    assert found.maps == right.maps
    assert found.true_maps.keys() == {"gradient-x-input"}
    assert right.true_maps == found.similarity == {}
    # The class of the answer is the one that the curves are of, whatever is right.
    assert found.true_maps != found.maps
    assert found.deletion == right.deletion


class Run:
    """Examines images with a store, and counts how often the model was loaded and images became ready."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.loaded = self.ready = 0

    def load(self) -> LoadedModel:
        self.loaded += 1
        return from_module(red_detector(), PREPROCESSING, NAMES)

    def count(self, images: int) -> None:
        self.ready += images

    def __call__(self, subjects: list[Subject], config: ExecutionConfig | None = None) -> list[ImageMaps]:
        options = ExaminationOptions(methods=("gradient-x-input", "grad-cam"), randomised_images=2)
        chosen = config or ExecutionConfig()
        return examine(
            subjects, self.load, PROJECTION, chosen, options, home=self.home, key={"weights": "0"}, done=self.count
        )


def test_what_is_stored_is_not_computed_again_and_is_what_a_run_at_once_gives(
    tmp_path: Path, subject: Callable[[str], Subject]
) -> None:
    subjects = [subject(name) for name in "abcd"]
    whole = Run(tmp_path / "whole")(subjects, ExecutionConfig(batch_size=3))
    run = Run(tmp_path / "parts")
    assert run(subjects[:2]) == whole[:2]
    assert run(subjects) == whole
    assert (run.loaded, run.ready) == (2, 6)
    assert run(subjects) == whole
    assert run.loaded == 2  # nothing was left to compute
    files = sorted((tmp_path / "parts").rglob("*.json"))
    assert len(files) == 4
    files[0].write_bytes(files[0].read_bytes()[:100])  # a disk that was full, or a hand that slipped
    assert run(subjects) == whole
    assert run.loaded == 3
    # The first images are checked with shuffled weights, the others not; who comes earlier next time is checked then.
    assert [bool(image.similarity) for image in whole] == [True, True, False, False]
    assert run(subjects[::-1])[0].similarity.keys() == {"gradient-x-input", "grad-cam"}


def test_every_method_of_a_faithful_model_may_be_shown(subject: Callable[[str], Subject]) -> None:
    torch.manual_seed(0)
    with pixel_model(red_detector()) as model:
        found = [examine_image(model, subject(str(number)), list(METHODS), checked=True) for number in range(6)]
    # With the same photograph under six ids only the random orders differ, and these alone are what chance is.
    assert {name: objection(found, name) for name in METHODS} == dict.fromkeys(METHODS)
