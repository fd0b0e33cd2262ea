"""Twelve architectures of transformers and three of timm, with random weights: from a photograph to the input of the network,
and through it, as the library's own pipeline has it.

Tolerance: pixels after resizing and cropping are equal bit for bit to the Pillow processor's; scaled and normalised they
differ by the rounding of float32 (transformers multiplies with 1/255, torchvision and harness divide by 255).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import timm
import timm.data
import torch
import transformers
from safetensors.torch import save_file

from harness.errors import HarnessError
from harness.models.loading import LoadedModel, load_model
from harness.models.preprocessing import from_hub_processor
from harness.models.registry import resolve
from harness.settings import InputChange
from tests.models.test_preprocessing import noise, pil_processor

if TYPE_CHECKING:
    from conftest import LabelledPhotograph

_VIT = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16, "patch_size": 32}
_VISION = _VIT | {"image_size": 224, "projection_dim": 8}
_STAGES: dict[str, Any] = {"depths": [1, 1, 1, 1], "hidden_sizes": [4, 4, 8, 8]}
_SQUARE = {"height": 224, "width": 224}

ARCHITECTURES: dict[str, tuple[str, dict[str, Any], str, dict[str, Any]]] = {
    # Architecture, small configuration, image processor, and what published files of it state besides.
    "ViT": ("ViT", _VIT, "ViT", {}),
    "Swin": ("Swin", {"embed_dim": 8, "depths": [1, 1], "num_heads": [1, 2]}, "ViT", {"resample": 3}),
    "DeiT": ("DeiT", _VIT, "DeiT", {"size": {"height": 256, "width": 256}, "do_center_crop": True, "crop_size": _SQUARE}),
    "BEiT": ("Beit", _VIT, "Beit", {"size": _SQUARE}),
    "ConvNeXt": ("ConvNext", _STAGES, "ConvNext", {"size": {"shortest_edge": 224}, "crop_pct": 0.875}),
    "ConvNeXt 384": ("ConvNext", _STAGES, "ConvNext", {"size": {"shortest_edge": 384}, "crop_pct": 1.0}),
    "CLIP": ("CLIP", {"vision_config": _VISION, "text_config": {"hidden_size": 8, "num_hidden_layers": 1}}, "CLIP", {}),
    "SigLIP": ("Siglip", {"vision_config": _VISION, "text_config": {"hidden_size": 8, "num_hidden_layers": 1}}, "Siglip", {}),
    "MobileViT": (
        "MobileViT",
        {"hidden_sizes": [8, 8, 8], "neck_hidden_sizes": [8, 8, 8, 8, 8, 8, 8], "num_attention_heads": 2},
        "MobileViT",
        {"size": {"shortest_edge": 288}, "crop_size": {"height": 256, "width": 256}},
    ),
    "EfficientNet": ("EfficientNet", {"width_coefficient": 0.1, "depth_coefficient": 0.1, "hidden_dim": 128}, "EfficientNet",
                     {"size": _SQUARE, "resample": 0, "image_std": [0.47853944, 0.4732864, 0.47434163]}),
    "ResNet": ("ResNet", _STAGES | {"embedding_size": 4}, "ConvNext", {"size": {"shortest_edge": 224}, "crop_pct": 0.875}),
    "RegNet": ("RegNet", _STAGES | {"embedding_size": 4, "groups_width": 4}, "ConvNext", {"size": 224, "crop_pct": 0.875}),
    "LeViT": ("Levit", {"hidden_sizes": [16, 16, 16], "depths": [1, 1, 1], "key_dim": [4, 4, 4], "num_attention_heads": [2, 2, 2]},
              "Levit", {}),
    "PoolFormer": ("PoolFormer", _STAGES, "PoolFormer", {"crop_pct": 0.95}),
}  # fmt: skip


@pytest.fixture(params=ARCHITECTURES)
def published(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Any, Any]:
    """A folder as published, its network, and transformers' own Pillow processor of it."""
    family, config, processor, stated = ARCHITECTURES[request.param]
    torch.manual_seed(0)
    named = {"id2label": {0: "leaf", 1: "rust", 2: "healthy"}, "label2id": {"leaf": 0, "rust": 1, "healthy": 2}}
    made = getattr(transformers, f"{family}Config")(**config, **named)
    model = getattr(transformers, f"{family}ForImageClassification")(made).eval()
    model.save_pretrained(tmp_path / "model")
    chosen = pil_processor(processor)(**stated)
    chosen.save_pretrained(tmp_path / "model")
    return tmp_path / "model", model, chosen


def loaded(folder: Path, change: InputChange = InputChange()) -> LoadedModel:  # noqa: B008
    spec = resolve(str(folder))
    files = spec.checkpoint.locate(spec, offline=True)
    return load_model(spec, files, label_space=None, cache=folder.parent / "identities", change=change)


def test_input_and_logits_are_those_of_transformers(
    published: tuple[Path, Any, Any], foolbox_images: list[LabelledPhotograph]
) -> None:
    folder, model, processor = published
    ours = loaded(folder)
    assert ours.identity.classes == ("leaf", "rust", "healthy")
    preprocessing = ours.identity.preprocessing
    images = [*(photograph.image() for photograph in foolbox_images[:3]), noise(500, 375), noise(90, 301)]
    as_it_is = type(processor)(
        **processor.to_dict() | {"do_rescale": False, "do_normalize": False, "include_top": False}
    )
    for image in images:
        pixels = preprocessing.pixels(image)
        (raw,) = as_it_is(image, return_tensors="np")["pixel_values"]
        np.testing.assert_array_equal(pixels, raw.transpose(1, 2, 0))
        batch = preprocessing.normalise(torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None])
        theirs = processor(image, return_tensors="pt")["pixel_values"]
        torch.testing.assert_close(batch, theirs, rtol=1e-6, atol=2e-6)
        with torch.no_grad():
            torch.testing.assert_close(ours.module(batch), model(theirs).logits, rtol=1e-4, atol=1e-4)


TIMM = ("resnet10t", "vit_tiny_patch16_224", "efficientnet_lite0")


@pytest.fixture(params=TIMM)
def timm_folder(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    torch.manual_seed(0)
    model = timm.create_model(request.param, num_classes=3)
    config = model.pretrained_cfg | {"label_names": ["leaf", "rust", "healthy"]}
    (tmp_path / "model").mkdir()
    record = {"architecture": request.param, "num_classes": 3, "pretrained_cfg": config}
    (tmp_path / "model" / "config.json").write_text(json.dumps(record))
    save_file(model.state_dict(), tmp_path / "model" / "model.safetensors")
    return tmp_path / "model", model.pretrained_cfg


@pytest.mark.parametrize(
    "change",
    [(None, None, None), (288, 1.0, "bicubic"), (256, None, None), (None, 0.95, "bilinear"), (192, 0.9, "lanczos")],
)
def test_input_is_that_of_timm_s_validation_script(
    timm_folder: tuple[Path, dict[str, Any]], change: tuple[Any, Any, Any], foolbox_images: list[LabelledPhotograph]
) -> None:
    """As validate.py: resolve_data_config with --img-size, --crop-pct and --interpolation, then create_transform."""
    folder, config = timm_folder
    takes_one_size = "vit" in json.loads((folder / "config.json").read_text())["architecture"]
    if takes_one_size and change[0] is not None:
        with pytest.raises(HarnessError, match=f"can't take images of {change[0]}×{change[0]} pixels"):
            loaded(folder, InputChange(*change))
        return
    given = {
        name: value for name, value in zip(("img_size", "crop_pct", "interpolation"), change, strict=True) if value
    }
    theirs = timm.data.create_transform(
        **timm.data.resolve_data_config(given, pretrained_cfg=config), is_training=False
    )
    preprocessing = loaded(folder, InputChange(*change)).identity.preprocessing
    for image in [*(photograph.image() for photograph in foolbox_images[:2]), noise(333, 500)]:
        pixels = torch.from_numpy(preprocessing.pixels(image).copy()).permute(2, 0, 1)[None]
        assert torch.equal(preprocessing.normalise(pixels)[0], theirs(image))


@pytest.mark.parametrize(
    "stated",
    [
        {"do_normalize": False},
        {"do_rescale": False, "image_mean": [123.0, 117.0, 104.0], "image_std": [58.0, 57.0, 57.0]},
        {"rescale_factor": 1 / 127.5, "image_mean": [1.0, 1.0, 1.0], "image_std": [1.0, 1.0, 1.0]},
        {"do_resize": False, "do_center_crop": True, "crop_size": {"height": 200, "width": 180}},
    ],
    ids=str,
)
def test_what_a_processor_leaves_out_is_left_out(stated: dict[str, Any]) -> None:
    processor = pil_processor("CLIP")(**stated)
    ours = from_hub_processor(processor.to_dict() | {"image_processor_type": "CLIPImageProcessor"}, "")
    for image in (noise(500, 375), noise(90, 301)):
        pixels = torch.from_numpy(ours.pixels(image).copy()).permute(2, 0, 1)[None]
        theirs = processor(image, return_tensors="pt")["pixel_values"].float()
        torch.testing.assert_close(ours.normalise(pixels), theirs, rtol=1e-5, atol=1e-5)
