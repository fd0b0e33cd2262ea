"""Pixels equal those of timm, torchvision and transformers, bit for bit, on real photographs and on odd sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import timm.data
import torch
import torchvision.models
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from harness.errors import ExitCode, HarnessError
from harness.models.preprocessing import Preprocessing, from_hub_processor, from_timm, from_torchvision
from harness.models.registry import registered
from tests.models.conftest import PROCESSOR as CONVNEXT

if TYPE_CHECKING:
    from conftest import LabelledPhotograph

TIMM = {
    "input_size": [3, 224, 224],
    "crop_pct": 0.875,
    "crop_mode": "center",
    "interpolation": "bicubic",
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
}
VIT = CONVNEXT | {
    "image_processor_type": "ViTImageProcessor",
    "size": {"height": 224, "width": 224},
    "resample": 2,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
}
CLIP = CONVNEXT | {
    "image_processor_type": "CLIPImageProcessor",
    "size": {"shortest_edge": 224},
    "do_center_crop": True,
    "crop_size": {"height": 224, "width": 224},
}
SIDES = st.integers(1, 90)


def ours(preprocessing: Preprocessing, image: Image.Image) -> torch.Tensor:
    """float32 (3, H, W) model input."""
    pixels = torch.from_numpy(preprocessing.pixels(image).copy()).permute(2, 0, 1)[None]
    return preprocessing.normalise(pixels)[0]


def noise(width: int, height: int) -> Image.Image:
    draw = np.random.default_rng(width * 1000 + height)
    return Image.fromarray(draw.integers(0, 256, (height, width, 3), dtype=np.uint8))


def pil_processor(family: str) -> type:
    """The Pillow implementation of an image processor; published accuracies come from it."""
    return getattr(transformers, f"{family}ImageProcessorPil", None) or getattr(transformers, f"{family}ImageProcessor")


def theirs(family: str, config: dict[str, Any], image: Image.Image) -> np.ndarray:
    """uint8 (H, W, 3) after transformers' resize and crop, without scaling."""
    fields = {name: value for name, value in config.items() if name != "image_processor_type"}
    processor = pil_processor(family)(**fields | {"do_rescale": False, "do_normalize": False})
    (pixels,) = processor(image, return_tensors="np")["pixel_values"]
    return pixels.transpose(1, 2, 0)


class TestTimm:
    @settings(max_examples=80)
    @given(
        SIDES,
        SIDES,
        st.sampled_from([0.875, 0.9, 0.95, 1.0]),
        st.sampled_from([(31, 31), (32, 32), (24, 40), (41, 30)]),
        st.sampled_from(["center", "squash", "border"]),
    )
    def test_bitwise_on_any_size(
        self, width: int, height: int, crop_pct: float, sides: tuple[int, int], mode: str
    ) -> None:
        config = TIMM | {"input_size": (3, *sides), "crop_pct": crop_pct, "crop_mode": mode}
        image = noise(width, height)
        transform = timm.data.create_transform(**config, is_training=False)
        assert torch.equal(ours(from_timm(config, ""), image), transform(image))

    @pytest.mark.parametrize("stated", [{"crop_mode": "border"}, {"input_size": (3, 40, 24)}], ids=str)
    @pytest.mark.parametrize("change", [(48, None), (None, 0.8), (36, 1.0)])
    def test_bitwise_with_another_size_or_share(self, stated: dict[str, Any], change: tuple[Any, Any]) -> None:
        config = TIMM | {"input_size": (3, 32, 32)} | stated
        given = {name: value for name, value in zip(("img_size", "crop_pct"), change, strict=True) if value}
        transform = timm.data.create_transform(
            **timm.data.resolve_data_config(given, pretrained_cfg=config), is_training=False
        )
        for image in (noise(90, 31), noise(33, 70)):
            assert torch.equal(ours(from_timm(config, "").changed(*change, None), image), transform(image))

    @pytest.mark.parametrize("name", ["efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2"])
    def test_the_registry_states_what_timm_publishes(self, name: str) -> None:
        spec = registered()[name]
        published = from_timm(timm.get_pretrained_cfg(spec.architecture.class_).to_dict(), "")
        assert spec.preprocessing.model_dump() == published.model_dump()

    @pytest.mark.parametrize("field", ["input_size", "interpolation", "mean", "std"])
    def test_a_missing_field_is_named(self, field: str) -> None:
        config = {name: value for name, value in TIMM.items() if name != field}
        with pytest.raises(HarnessError, match=rf"config\.json: '{field}' is missing") as caught:
            from_timm(config, "config.json")
        assert caught.value.exit_code is ExitCode.MISSING

    @pytest.mark.parametrize(
        ("changes", "why"),
        [
            ({"crop_mode": "naflex"}, "crop mode 'naflex'"),
            ({"interpolation": "random"}, "interpolation: Input should be"),
            ({"mean": [0.5]}, "mean is of 1 channels"),
        ],
    )
    def test_what_is_not_understood_is_refused(self, changes: dict[str, Any], why: str) -> None:
        with pytest.raises(HarnessError, match=why):
            from_timm(TIMM | changes, "config.json")


class TestTorchvision:
    @pytest.mark.parametrize(
        "weights",
        ["ResNet50_Weights.IMAGENET1K_V1", "ResNet50_Weights.IMAGENET1K_V2", "EfficientNet_B1_Weights.IMAGENET1K_V1",
         "EfficientNet_V2_S_Weights.IMAGENET1K_V1", "Swin_T_Weights.IMAGENET1K_V1"],
    )  # fmt: skip
    def test_bitwise_on_photographs(self, foolbox_images: list[LabelledPhotograph], weights: str) -> None:
        preset = torchvision.models.get_weight(weights).transforms()
        preprocessing = from_torchvision(preset, weights)
        for photograph in foolbox_images[:4]:
            image = photograph.image()
            assert torch.equal(ours(preprocessing, image), preset(image)), photograph.name

    @settings(max_examples=30)
    @given(SIDES, SIDES, st.integers(20, 40), st.integers(20, 40))
    def test_bitwise_on_any_size(self, width: int, height: int, resize: int, crop: int) -> None:
        # A crop larger than the resized image is padded with black, as torchvision does.
        from torchvision.transforms._presets import ImageClassification

        preset = ImageClassification(crop_size=crop, resize_size=resize)
        image = noise(width, height)
        assert torch.equal(ours(from_torchvision(preset, ""), image), preset(image))


class TestTransformers:
    @settings(max_examples=30)
    @given(SIDES, SIDES, st.integers(20, 40), st.integers(20, 40))
    def test_pixels_bitwise_on_any_size(self, width: int, height: int, resize: int, crop: int) -> None:
        config = CLIP | {"size": {"shortest_edge": resize}, "crop_size": {"height": crop, "width": crop}}
        image = noise(width, height)
        np.testing.assert_array_equal(from_hub_processor(config, "").pixels(image), theirs("CLIP", config, image))

    def test_the_registry_states_what_the_named_models_were_published_with(self) -> None:
        # Both facebook/regnet-y-040 and facebook/convnext-base-224-22k: ConvNextFeatureExtractor, 224, 0.875, bicubic.
        for name in ("regnet-y-040", "convnext-base-224-22k"):
            assert registered()[name].preprocessing == from_hub_processor(CONVNEXT, "")

    @pytest.mark.parametrize("name", ["ConvNextFeatureExtractor", "ConvNextImageProcessor", "ConvNextImageProcessorFast",
                                      "ConvNextImageProcessorPil"])  # fmt: skip
    def test_all_names_of_one_processor_mean_the_same(self, name: str) -> None:
        assert from_hub_processor(CONVNEXT | {"image_processor_type": name}, "") == from_hub_processor(CONVNEXT, "")

    @pytest.mark.parametrize(
        ("changes", "why"),
        [
            ({"image_mean": None, "image_std": None}, "it doesn't state image_mean, image_std"),
            ({"size": None}, "it doesn't state size"),
            ({"crop_pct": None}, "it doesn't state crop_pct"),
            ({"do_resize": False}, "do_resize is switched off and nothing is cropped"),
            ({"resample": 9}, "resample 9 is no Pillow filter"),
            ({"image_processor_type": "PerceiverImageProcessor"}, "'PerceiverImageProcessor' is not supported"),
            ({"image_processor_type": None}, "'unnamed' is not supported"),
        ],
    )
    def test_what_is_not_stated_is_refused(self, changes: dict[str, Any], why: str) -> None:
        with pytest.raises(HarnessError, match=why) as caught:
            from_hub_processor(CONVNEXT | changes, "preprocessor_config.json")
        assert caught.value.exit_code is ExitCode.MISSING
        assert "preprocessor_config.json" in str(caught.value)

    @pytest.mark.parametrize(
        "stated",
        [
            {"size": {"max_height": 40, "max_width": 32}, "pad_size": {"height": 48, "width": 36}},
            {"size": {"height": 30, "width": 28}, "pad_size": {"height": 32, "width": 32}},
            {"size": {"height": 30, "width": 28}},  # all images are of one size, so nothing is filled up
        ],
        ids=["fitted", "exact", "alone"],
    )
    def test_what_is_filled_up(self, stated: dict[str, Any]) -> None:
        fields = {name: value for name, value in (VIT | stated | {"do_pad": True}).items() if "type" not in name}
        processor = pil_processor("ViT")(**fields)
        preprocessing = from_hub_processor(VIT | stated | {"do_pad": True}, "")
        for image in (noise(90, 31), noise(33, 70), noise(20, 20)):
            input_ = ours(preprocessing, image)
            expected = processor(image, return_tensors="pt")["pixel_values"][0]
            beyond = expected == 0
            assert bool(beyond.any()) == ("pad_size" in stated)
            torch.testing.assert_close(input_[~beyond], expected[~beyond], rtol=0, atol=1e-6)
            assert (input_[beyond].abs() <= 1 / (510 * 0.5) + 1e-6).all()

    @pytest.mark.parametrize(
        ("stated", "why"),
        [
            ({"size": {"max_height": 40, "max_width": 32}}, "pad_size is not stated"),
            ({"pad_size": {"height": 32, "width": 32}}, "smaller than the image"),
        ],
    )
    def test_what_can_t_be_filled_up_is_refused(self, stated: dict[str, Any], why: str) -> None:
        with pytest.raises(HarnessError, match=why):
            from_hub_processor(VIT | stated | {"do_pad": True}, "")

    def test_a_size_that_fixes_no_input_is_refused(self) -> None:
        with pytest.raises(HarnessError, match="nothing is cropped"):
            from_hub_processor(CLIP | {"do_center_crop": False}, "")


class TestReadyImages:
    """Files that are already cropped to 224×224, as ImageNet-C's."""

    def test_they_are_not_resized_again(self) -> None:
        image = noise(224, 224)
        np.testing.assert_array_equal(from_timm(TIMM, "").ready_pixels(image), np.asarray(image))

    def test_another_input_size_is_resized_to_directly(self) -> None:
        pixels = from_timm(TIMM | {"input_size": [3, 240, 240]}, "").ready_pixels(noise(224, 224))
        assert pixels.shape == (240, 240, 3)


def test_the_description_names_every_step() -> None:
    text = from_timm(TIMM, "").describe()
    assert text == (
        "short side 256 bicubic, centre crop 224×224, mean [0.485, 0.456, 0.406], std [0.229, 0.224, 0.225], Pillow"
    )


def test_where_it_was_read_is_no_part_of_the_protocol() -> None:
    assert "origin" not in from_timm(TIMM, "somewhere").model_dump()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"mean": (123.7, 116.3, 103.5)}, "is not of pixels in \\[0, 1\\]: divide mean and std by 255"),
        ({"std": (0.2, 0.0, 0.2)}, "must be above 0"),
        ({"crop": 0}, "greater than 0"),
        ({"resize": -1}, "greater than 0"),
        ({"interpolation": "cubic"}, "'bicubic'"),
        ({"mean": (0.5, 0.5)}, "mean\\n  Field required|mean.2"),
    ],
)
def test_what_a_user_gives_is_checked(changes: dict[str, Any], why: str) -> None:
    given = {"resize": 256, "crop": 224, "interpolation": "bicubic", "mean": (0.5,) * 3, "std": (0.2,) * 3}
    assert Preprocessing(**given).crop == (224, 224)
    with pytest.raises(ValueError, match=why):
        Preprocessing(**given | changes)
