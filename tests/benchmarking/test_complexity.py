"""Counts against hand calculations and against the published figures of the two named architectures."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import nn
from transformers import ConvNextConfig, ConvNextForImageClassification, RegNetConfig, RegNetForImageClassification

from harness.benchmarking.complexity import Complexity, count, stage_of, state_dict_bytes
from harness.errors import HarnessError


class Logits(nn.Module):
    """A transformers classifier that returns its logits, as the harness' models do."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.model(images).logits


@pytest.fixture(scope="module")
def regnet() -> nn.Module:
    config = RegNetConfig(
        depths=[2, 6, 12, 2], hidden_sizes=[128, 192, 512, 1088], groups_width=64, layer_type="y", num_labels=1000
    )
    with torch.device("meta"):
        return Logits(RegNetForImageClassification(config))


def convnext(labels: int) -> nn.Module:
    config = ConvNextConfig(depths=[3, 3, 27, 3], hidden_sizes=[128, 256, 512, 1024], num_labels=labels)
    with torch.device("meta"):
        return Logits(ConvNextForImageClassification(config))


def small_count(*layers: nn.Module, size: tuple[int, int, int] = (3, 8, 8)) -> Complexity:
    return count(nn.Sequential(*layers, nn.Flatten()), size)


@pytest.mark.parametrize(
    ("layer", "macs", "outputs", "biases"),
    [
        # 3 × 3 kernel, 3 -> 16 channels, 8 × 8 outputs: 3·3·3·16·64 MACs, 16·64 outputs, each with a bias.
        (nn.Conv2d(3, 16, 3, padding=1), 27648, 1024, 1024),
        # Stride 2 without padding: 3 × 3 outputs of 3·3·3·16 MACs.
        (nn.Conv2d(3, 16, 3, stride=2), 3 * 3 * 3 * 16 * 9, 16 * 9, 16 * 9),
        # 4 groups of 2 -> 4 channels: each output element takes 2·3·3 MACs.
        (nn.Conv2d(8, 16, 3, padding=1, groups=4, bias=False), 2 * 9 * 16 * 64, 1024, 0),
        (nn.Conv2d(8, 8, 7, padding=3, groups=8), 49 * 8 * 64, 8 * 64, 8 * 64),
        (nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 10)), 30, 10, 10),
    ],
    ids=["plain", "strided", "grouped", "depthwise", "linear"],
)
def test_a_layer_by_hand(layer: nn.Module, macs: int, outputs: int, biases: int) -> None:
    got = small_count(layer, size=(getattr(layer, "in_channels", 3), 8, 8))
    assert (got.macs, got.flops) == (macs, 2 * macs)
    assert (got.activations, got.bias_additions) == (outputs, biases)
    assert got.parameters == sum(parameter.numel() for parameter in layer.parameters())


def test_norms_activations_and_scaling_are_not_counted() -> None:
    with_them = small_count(nn.Conv2d(3, 16, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(), nn.AvgPool2d(2))
    assert with_them.macs == 3 * 16 * 64
    assert with_them.activations == 16 * 64
    assert with_them.buffers == 16 + 16 + 1  # running mean, running variance, batches seen


def test_regnety_040_published_figures(regnet: nn.Module) -> None:
    # pycls, dev/model_complexity.json: 20,646,656 parameters, 3,973,301,344 multiply-adds, 12,287,200 activations.
    # pycls adds up the biases of the classifier and of squeeze-and-excitation as well, hence the second term.
    got = count(regnet)
    assert got.parameters == 20_646_656
    assert got.macs + got.bias_additions == 3_973_301_344
    assert got.activations == 12_287_200
    # Classifier 1000, and each block's two squeeze-and-excitation layers: squeezed width and block width.
    squeezed = {128: [8, 32], 192: [32] + 5 * [48], 512: [48] + 11 * [128], 1088: [128, 272]}
    assert got.bias_additions == 1000 + sum(sum(w) + width * len(w) for width, w in squeezed.items())
    assert got.checkpoint_bytes == 82_836_280  # 4 B a parameter, 8 B a normalised channel, 71 counters of 8 B
    assert got.head_parameters == 1088 * 1000 + 1000


def test_stages_add_up(regnet: nn.Module) -> None:
    got = count(regnet)
    assert list(got.parameters_by_stage) == ["stem", "stage-1", "stage-2", "stage-3", "stage-4", "head"]
    assert sum(got.parameters_by_stage.values()) == got.parameters
    assert sum(got.macs_by_stage.values()) == got.macs
    assert got.macs_by_stage["stem"] == 3 * 9 * 32 * 112 * 112
    assert got.macs_by_stage["head"] == 1088 * 1000


def test_nested_names_are_counted_once() -> None:
    # A head with a hidden layer that is called `fc` too, as timm's MaxViT has: 3·5 and 5·7 MACs.
    module = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    head = nn.Sequential()
    head.hidden = nn.Sequential()
    head.hidden.fc = nn.Linear(3, 5)
    head.fc = nn.Linear(5, 7)
    module.head = head
    assert count(module, (3, 8, 8)).macs_by_stage == {"head": 50}


@pytest.mark.slow
def test_transformers_and_timm_agree(regnet: nn.Module) -> None:
    with torch.device("meta"):
        other = timm.create_model("regnety_040")
    assert count(other) == count(regnet)


@pytest.mark.parametrize(("labels", "parameters"), [(1000, 88_591_464), (21_841, 109_953_489)])
def test_convnext_base_parameters(labels: int, parameters: int) -> None:
    got = count(convnext(labels))
    assert got.parameters == parameters
    assert got.head_parameters == 1025 * labels
    assert got.parameters - got.head_parameters == 87_566_464


def test_convnext_base_published_figures() -> None:
    # Liu et al. 2022, Table 1: 15.4 G; timm's benchmark table: 28.75 M activations.
    got = count(convnext(1000))
    assert round(got.macs / 1e9, 1) == 15.4
    assert round(got.activations / 1e6, 2) == 28.75


@pytest.mark.slow
def test_larger_input_scales_convolutions() -> None:
    # 1280 × 800 is a whole number of 32-pixel cells, as 224 is: MACs outside the head grow with the area.
    at_224, large = count(convnext(1000)), count(convnext(1000), (3, 800, 1280))
    head = 1024 * 1000
    assert (large.macs - head) * 224 * 224 == (at_224.macs - head) * 1280 * 800


def test_weights_and_mode_stay_as_they_were() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Flatten())
    module[1].eval()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    count(module, (3, 4, 4))
    assert [part.training for part in module] == [True, False, True]
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())
    assert all(tensor.device.type == "cpu" for tensor in module.parameters())


def test_a_size_that_does_not_fit_is_the_users_to_mend() -> None:
    with pytest.raises(HarnessError, match="8 × 4 × 3"):
        count(nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 2)), (3, 4, 8))


def test_a_network_without_products_gets_no_figure() -> None:
    with pytest.raises(HarnessError, match="without any convolution"):
        count(nn.Sequential(nn.AvgPool2d(8), nn.Flatten()), (3, 8, 8))


def test_state_bytes_by_dtype_count_tied_tensors_once() -> None:
    module = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False).half())
    assert state_dict_bytes(module) == {"float32": 64, "float16": 32}
    module[1].weight = module[0].weight
    assert state_dict_bytes(module) == {"float32": 64}


@pytest.mark.parametrize(
    ("name", "stage"),
    [
        ("model.regnet.embedder.embedder.convolution.weight", "stem"),
        ("model.regnet.encoder.stages.0.layers.0.layer.0.convolution.weight", "stage-1"),
        ("model.classifier.1.weight", "head"),
        ("s4.b1.se.fc1.weight", "stage-4"),
        ("trunk_output.block2.block2-0.f.a.0.weight", "stage-2"),
        ("layer3.0.conv1.weight", "stage-3"),
        ("blocks.0.attn.qkv.weight", "block-1"),
        ("head.weight", "head"),
        ("head.fc.bias", "head"),
        ("head.norm.weight", "other"),
        ("fc.weight", "head"),
        ("convnext.layernorm.weight", "other"),
    ],
)
def test_stage_of_a_name(name: str, stage: str) -> None:
    assert stage_of(name) == stage


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet18", "tf_efficientnet_lite0", "vit_tiny_patch16_224", "maxvit_tiny_tf_224"])
def test_stage_macs_add_up_in_other_families(name: str) -> None:
    with torch.device("meta"):
        got = count(timm.create_model(name))
    assert sum(got.macs_by_stage.values()) == got.macs
    assert min(got.macs_by_stage.values()) > 0
