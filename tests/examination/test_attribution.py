"""Attribution maps show what a model goes by, and nothing that it doesn't."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import timm
import torch
from torch import nn

from harness.errors import MissingInputError
from harness.examination.attribution import (
    ATTRIBUTIONS,
    NotApplicableError,
    cell_map,
    integrated_gradients,
    last_stage,
    mean_colour,
    randomised,
)
from harness.examination.options import METHODS
from tests.examination.conftest import pixel_model, red_detector


def test_every_method_has_a_title() -> None:
    assert set(METHODS) == set(ATTRIBUTIONS)


@pytest.mark.parametrize("name", ATTRIBUTIONS)
def test_each_method_finds_the_patch_that_decides(name: str, pixels: torch.Tensor) -> None:
    with pixel_model(red_detector()) as model:
        cells = cell_map(ATTRIBUTIONS[name], model, pixels, 1)
    positive = cells.clamp(min=0)
    # Cells are of two pixels; the blur of convolutions and of squares of two cells reaches one cell further.
    inside = positive[8:12, 1:5].sum() / positive.sum()
    assert inside > 0.9
    row, column = divmod(int(cells.argmax()), 14)
    assert row in (9, 10)
    assert column in (2, 3)


def test_integrated_gradients_are_complete(pixels: torch.Tensor) -> None:
    # Sundararajan et al. 2017, proposition 1: they sum to the difference of the logit from that of the baseline.
    with pixel_model(red_detector()) as model:
        found = integrated_gradients(model, pixels, 1).sum()
        expected = model(pixels)[0, 1] - model(mean_colour(pixels))[0, 1]
    assert float(found) == pytest.approx(float(expected), rel=0.02)


def test_occlusion_is_the_loss_of_the_logit_by_definition(pixels: torch.Tensor) -> None:
    with pixel_model(red_detector()) as model:
        found = ATTRIBUTIONS["occlusion"](model, pixels, 1)[0, 0]
        whole, expected, count = float(model(pixels)[0, 1]), 0.0, 0
        for top in (16, 18):  # the squares of four by four pixels, two apart, that cover pixel (19, 5)
            for left in (2, 4):
                hidden = pixels.clone()
                hidden[:, :, top : top + 4, left : left + 4] = mean_colour(pixels)[:, :, :4, :4]
                expected, count = expected + whole - float(model(hidden)[0, 1]), count + 1
    assert float(found[19, 5]) == pytest.approx(expected / count, rel=1e-4)


def test_shuffled_weights_give_other_maps_and_come_back(pixels: torch.Tensor) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(4608, 2),
    )
    with pixel_model(network) as model:
        layers, logits = model.module.core, model(pixels)
        kept = {name: value.clone() for name, value in layers.state_dict().items()}
        maps = {name: cell_map(method, model, pixels, 1) for name, method in ATTRIBUTIONS.items()}
        with randomised(model, 0.0, (28, 28)):
            assert torch.equal(layers[3].weight, kept["3.weight"])
            assert not torch.equal(layers[6].weight, kept["6.weight"])
            assert torch.equal(layers[1].running_mean, kept["1.running_mean"])
        with randomised(model, 1.0, (28, 28)):
            assert torch.equal(layers[0].weight.flatten().sort().values, kept["0.weight"].flatten().sort().values)
            activations = layers[1](layers[0](torch.rand(64, 3, 28, 28)))
            assert 0.1 < float(activations.std()) < 10  # statistics were taken again
            for name, method in ATTRIBUTIONS.items():
                shuffled = cell_map(method, model, pixels, 1)
                assert np.corrcoef(maps[name].flatten(), shuffled.flatten())[0, 1] < 0.5
        assert all(torch.equal(value, kept[name]) for name, value in layers.state_dict().items())
        assert torch.equal(model(pixels), logits)
        assert not layers.training
        assert layers[1].momentum == 0.1


@pytest.mark.parametrize(
    ("architecture", "stage"), [("resnet18", "layer4"), ("convnext_atto", "norm_pre"), ("tf_efficientnet_lite0", "bn2")]
)
def test_the_last_stage_is_that_of_the_architecture(architecture: str, stage: str) -> None:
    network = timm.create_model(architecture, pretrained=False).eval()
    found = last_stage(network, torch.rand(1, 3, 64, 64))
    assert next(name for name, module in network.named_modules() if module is found) == stage


@pytest.mark.parametrize("architecture", ["vit_tiny_patch16_224", "swin_tiny_patch4_window7_224"])
def test_what_only_cuts_patches_has_no_convolutional_stage(architecture: str) -> None:
    network = timm.create_model(architecture, pretrained=False).eval()
    with pytest.raises(NotApplicableError, match="no convolutional stage"):
        last_stage(network, torch.rand(1, 3, 224, 224))


def test_without_captum_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, pixels: torch.Tensor) -> None:
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    with pixel_model(red_detector()) as model, pytest.raises(MissingInputError) as caught:
        cell_map(ATTRIBUTIONS["occlusion"], model, pixels, 1)
    assert "pip install 'harness-cards[examination]'" in caught.value.remedy
