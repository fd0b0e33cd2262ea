"""What is found on an image: curves by hand, methods that say nothing are caught, and values hang on nothing but the image."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import nn

from harness.examination.attribution import ATTRIBUTIONS
from harness.examination.examine import blurred_cells, mixed, removals
from harness.examination.options import METHODS
from harness.metrics.attribution import RANDOM, WEIGHTLESS, ImageMaps, objection
from tests.examination.conftest import PREPROCESSING, SIDE, pixel_model, red_detector

Examined = Callable[..., ImageMaps]


def test_deletion_and_insertion_of_a_linear_model_are_those_computed_by_hand(pixels: torch.Tensor) -> None:
    linear = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE * SIDE, 2))
    removed = removals(np.random.default_rng(1).normal(size=(14, 14)), np.random.default_rng(0))
    with pixel_model(linear) as model, torch.no_grad():
        model.module.core[1].weight.mul_(20)
        gone_blurred = blurred_cells(pixels)
        deletion = mixed(model, pixels, gone_blurred, removed).softmax(1)[:, 1]
        insertion = mixed(model, gone_blurred, pixels, removed).softmax(1)[:, 1]
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
    assert np.ptp(deletion.numpy()) > 0.01


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


def test_a_method_that_ignores_the_weights_is_caught(monkeypatch: pytest.MonkeyPatch, examined: Examined) -> None:
    monkeypatch.setitem(ATTRIBUTIONS, "edges", edges)
    with pixel_model(red_detector()) as model:
        found = [examined(model, name, ["edges", "occlusion"], checked=True) for name in "abc"]
    assert [image.similarity["edges"] for image in found] == [pytest.approx([1.0, 1.0, 1.0])] * 3
    assert objection(found, "edges") == WEIGHTLESS
    assert all(image.similarity["occlusion"][-1] < 0.5 for image in found)


def effects(model: nn.Module, pixels: torch.Tensor, target: int) -> torch.Tensor:
    """What blurring each pixel takes from the logit, to first order: all there is where the model is linear."""
    image = pixels.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(model(image)[0, target], image)
    return gradient * (pixels - blurred_cells(pixels))


def test_sensitivity_n_is_1_where_a_map_says_what_each_cell_adds(
    monkeypatch: pytest.MonkeyPatch, examined: Examined
) -> None:
    monkeypatch.setitem(ATTRIBUTIONS, "effects", effects)
    torch.manual_seed(0)
    with pixel_model(nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE * SIDE, 2))) as model:
        found = [examined(model, name, ["effects"]).sensitivity_n for name in "abcdef"]
    assert [image["effects"] for image in found] == pytest.approx([1.0] * 6, abs=1e-4)
    # Of 32 sets: three standard errors of the mean of six correlations that are none.
    assert abs(np.mean([image[RANDOM] for image in found])) < 3 / (31 * 6) ** 0.5


def test_a_wrong_answer_has_maps_of_both_classes(examined: Examined) -> None:
    with pixel_model(red_detector()) as model:
        found = examined(model, "a", ["gradient-x-input"], label=0)
        right = examined(model, "a", ["gradient-x-input"])
    assert found.maps == right.maps
    assert found.true_maps.keys() == {"gradient-x-input"}
    assert right.true_maps == found.similarity == {}
    # The class of the answer is the one that the curves are of, whatever is right.
    assert found.true_maps != found.maps
    assert found.deletion == right.deletion


def test_every_method_of_a_faithful_model_may_be_shown(examined: Examined) -> None:
    torch.manual_seed(0)
    with pixel_model(red_detector()) as model:
        found = [examined(model, str(number), list(METHODS), checked=True) for number in range(6)]
    # With the same photograph under six ids only the random orders differ, and these alone are what chance is.
    assert {name: objection(found, name) for name in METHODS} == dict.fromkeys(METHODS)
