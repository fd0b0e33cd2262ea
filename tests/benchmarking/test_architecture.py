"""What configurations show: the words of the two cards' questions, from transformers, timm and plain values."""

from __future__ import annotations

import timm
import torch
from transformers import ConvNextConfig, RegNetConfig

from harness.benchmarking.architecture import read_architecture

# pycls, configs/dds_baselines/regnety/RegNetY-4.0GF_dds_8gpu.yaml, and the widths after group rounding.
REGNETY_040 = {"depth": 22, "stage-depths": [2, 6, 12, 2], "stage-widths": [128, 192, 512, 1088], "group-width": 64}


def test_transformers_regnet() -> None:
    config = RegNetConfig(depths=[2, 6, 12, 2], hidden_sizes=[128, 192, 512, 1088], groups_width=64, layer_type="y")
    shown = read_architecture(config)
    assert shown.items() >= REGNETY_040.items()
    assert shown["layer-type"] == "y"
    assert not {"w0", "wa", "wm"} & set(shown)  # not in this configuration, so documented elsewhere


def test_timm_regnet_shows_its_generator() -> None:
    with torch.device("meta"):
        shown = read_architecture(timm.create_model("regnety_040"))
    assert shown.items() >= (REGNETY_040 | {"w0": 96, "wa": 31.41, "wm": 2.24, "se-ratio": 0.25}).items()


def test_convnext_in_both_libraries() -> None:
    base = {"depth": 36, "stage-depths": [3, 3, 27, 3], "stage-widths": [128, 256, 512, 1024]}
    config = ConvNextConfig(depths=[3, 3, 27, 3], hidden_sizes=[128, 256, 512, 1024])
    with torch.device("meta"):
        model = timm.create_model("convnext_base")
    assert read_architecture(config).items() >= base.items()
    assert read_architecture(model).items() >= base.items()


def test_what_is_not_shown_is_absent() -> None:
    assert read_architecture({"depths": [1, 2], "groups_width": None}) == {"depth": 3, "stage-depths": [1, 2]}
    assert read_architecture({}) == {}
