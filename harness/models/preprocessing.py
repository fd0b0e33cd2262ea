"""Preprocessing as the checkpoint's own configuration states it, done with Pillow.

Published accuracies are made with Pillow decoding and resizing, so this is the reference path. A transform ends in
uint8 pixels; scaling and normalisation happen on the whole batch (`normalise`), in the same order of float32
operations as timm's and torchvision's transforms, so that the model sees bit for bit what theirs would give it.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from PIL import Image
from pydantic import BaseModel, BeforeValidator, Field, PositiveInt, ValidationError, model_validator

from harness.errors import ExitCode, HarnessError
from harness.parsing.images import resized

if TYPE_CHECKING:
    import torch

Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"]


class Preprocessing(BaseModel, extra="forbid", frozen=True):
    """Image to model input.

    >>> Preprocessing(resize=256, crop=224, interpolation="bicubic", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)).crop
    (224, 224)
    """

    resize: PositiveInt | tuple[PositiveInt, PositiveInt] | None
    """Length of the short side in pixels, or (height, width), or None for no resizing."""
    fit: Literal["exact", "inside", "outside"] = Field(default="exact", exclude_if=lambda fit: fit == "exact")
    """Whether (height, width) is what the image becomes; or keeps its shape inside of that, or around it."""
    crop: Annotated[
        tuple[PositiveInt, PositiveInt], BeforeValidator(lambda size: (size, size) if isinstance(size, int) else size)
    ]
    """Centre crop (height, width) in pixels, or one number for a square: the model's input size."""
    interpolation: Interpolation
    mean: tuple[float, float, float]
    """Of red, green and blue, for pixels in [0, 1]."""
    std: tuple[float, float, float]
    crop_offset: Literal["round", "floor"] = "round"
    """How an odd margin is split and a length rounded: "round" as torchvision and timm do, "floor" as transformers does."""
    fill: tuple[int, int, int] = Field(default=(0, 0, 0), exclude_if=lambda fill: not any(fill))
    """Red, green and blue (0 to 255) of what the crop has beyond the image."""
    corner: bool = Field(default=False, exclude_if=lambda corner: not corner)
    """Whether an image smaller than the crop lies in its upper left, and not in its centre."""
    bgr: bool = Field(default=False, exclude_if=lambda is_bgr: not is_bgr)
    """Whether the model takes blue, green and red, in which order `mean` and `std` then are."""
    origin: str = Field(exclude=True, default="")
    """Where this was read; says nothing about pixels, so it is no part of the protocol."""
    crop_pct: float | None = Field(exclude=True, default=None)
    """The share of the resized image that is cropped, where that is stated; `resize` is rounded from it."""

    @model_validator(mode="after")
    def _is_of_unit_pixels(self) -> Preprocessing:
        if not all(0 <= value <= 1 for value in self.mean):
            raise ValueError(f"mean {list(self.mean)} is not of pixels in [0, 1]: divide mean and std by 255")
        if not all(value > 0 for value in self.std):
            raise ValueError(f"std {list(self.std)} must be above 0, since pixels are divided by it")
        return self

    def changed(self, img_size: int | None, crop_pct: float | None, interpolation: str | None) -> Preprocessing:
        """The same for another input size, share that is cropped or filter, as timm's validate.py has it; None keeps what is.

        The image is resized to img_size / crop_pct, rounded down, in the manner it is resized now (short side, or both
        sides), and the centre is cropped.

        >>> stated = Preprocessing(resize=256, crop=224, interpolation="bilinear", mean=(0.5,) * 3, std=(0.5,) * 3)
        >>> stated.changed(288, 1.0, "bicubic").describe()
        'short side 288 bicubic, centre crop 288×288, mean [0.5, 0.5, 0.5], std [0.5, 0.5, 0.5], Pillow'
        """
        fields: dict[str, Any] = {} if interpolation is None else {"interpolation": interpolation}
        if img_size is not None or crop_pct is not None:
            height, width = (img_size, img_size) if img_size is not None else self.crop
            fields["crop"] = (height, width)
            if isinstance(self.resize, tuple):
                share = crop_pct or self.crop_pct or self.crop[0] / self.resize[0]
                fields["resize"] = (math.floor(height / share), math.floor(width / share))
                if self.fit == "outside" and height == width:  # timm then takes the short side
                    fields |= {"resize": fields["resize"][0], "fit": "exact"}
            elif self.resize is not None or crop_pct is not None:
                share = crop_pct or self.crop_pct or (min(self.crop) / self.resize if self.resize is not None else 1.0)
                fields["resize"] = math.floor(min(height, width) / share)
        return self.model_copy(update=fields)

    def describe(self) -> str:
        """One line for people."""
        if self.resize is None:
            steps = "no resize"
        elif isinstance(self.resize, int):
            steps = f"short side {self.resize} {self.interpolation}"
        else:
            kept = {"exact": "", "inside": "fit inside ", "outside": "fit around "}[self.fit]
            steps = f"resize to {kept}{self.resize[0]}×{self.resize[1]} {self.interpolation}"
        crop = f"centre crop {self.crop[0]}×{self.crop[1]}"
        if self.fit == "inside" or self.corner:
            crop += f", filled up {'right and below' if self.corner else 'around'} with {list(self.fill)}"
        order = ", BGR" if self.bgr else ""
        return f"{steps}, {crop}{order}, mean {list(self.mean)}, std {list(self.std)}, Pillow"

    def pixels(self, image: Image.Image) -> np.ndarray:
        """Resize and crop one RGB image; returns uint8 (crop height, crop width, 3), in the model's order of channels."""
        if self.resize is not None:
            image = resized(image, self._target_size(image), self._filter)
        return self._in_order(self._cropped(np.asarray(image)))

    def ready_pixels(self, image: Image.Image) -> np.ndarray:
        """As `pixels` for an image that is already cropped to 224×224 (the official ImageNet-C files).

        No second resize where the model's input is 224×224; another input size is resized to directly.
        """
        size = self.crop[::-1]
        return self._in_order(np.asarray(image if image.size == size else image.resize(size, self._filter)))

    def _in_order(self, pixels: np.ndarray) -> np.ndarray:
        return pixels[:, :, ::-1] if self.bgr else pixels

    def normalise(self, batch: torch.Tensor) -> torch.Tensor:
        """Scale to [0, 1], subtract the mean, divide by the standard deviation.

        Takes uint8 (N, 3, H, W), returns float32 of this shape on the same device and in the same memory format.
        """
        import torch

        mean, std = _on_device(self.mean, self.std, batch.device)
        return batch.to(torch.float32).div_(255).sub_(mean).div_(std)

    def _cropped(self, pixels: np.ndarray) -> np.ndarray:
        """(H, W, 3) cropped around its centre, and filled up where it is smaller than that."""
        missing = [max(0, wanted - is_) for wanted, is_ in zip(self.crop, pixels.shape, strict=False)]
        if any(missing):
            # An odd lack: torchvision and timm put the larger half after the image, transformers before it.
            larger = 0 if self.crop_offset == "round" else 1
            before = [0 if self.corner else (lack + larger) // 2 for lack in missing]
            canvas = np.empty([lack + is_ for lack, is_ in zip(missing, pixels.shape, strict=False)] + [3], np.uint8)
            canvas[:] = self.fill
            canvas[before[0] : before[0] + pixels.shape[0], before[1] : before[1] + pixels.shape[1]] = pixels
            pixels = canvas
        split = round if self.crop_offset == "round" else math.floor
        top, left = (split((is_ - wanted) / 2) for wanted, is_ in zip(self.crop, pixels.shape, strict=False))
        return pixels[top : top + self.crop[0], left : left + self.crop[1]]

    @property
    def _filter(self) -> Image.Resampling:
        return Image.Resampling[self.interpolation.upper()]

    def _target_size(self, image: Image.Image) -> tuple[int, int]:
        """(width, height) after resizing."""
        if isinstance(self.resize, tuple):
            height, width = self.resize
            if self.fit == "exact":
                return width, height
            if self.crop_offset == "floor":
                scale = min(height / image.height, width / image.width)
                return int(image.width * scale), int(image.height * scale)
            ratio = (max if self.fit == "inside" else min)(image.height / height, image.width / width)
            return round(image.width / ratio), round(image.height / ratio)
        assert self.resize is not None
        short, long = sorted(image.size)
        scaled = int(self.resize * long / short)
        return (self.resize, scaled) if image.width <= image.height else (scaled, self.resize)


@functools.lru_cache
def _on_device(
    mean: tuple[float, ...], std: tuple[float, ...], device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation, float32 (3, 1, 1) each; kept, since copying them to a GPU waits for all its work."""
    import torch

    with torch.inference_mode(mode=False):
        statistics = torch.tensor((mean, std), dtype=torch.float32, device=device).view(2, 3, 1, 1)
    return statistics[0], statistics[1]


def from_timm(config: dict[str, Any], origin: str) -> Preprocessing:
    """From a timm pretrained configuration (`input_size`, `crop_pct`, `crop_mode`, `interpolation`, `mean`, `std`).

    Follows timm/data/transforms_factory.py, `transforms_imagenet_eval`.

    Raises HarnessError: a field is missing, or an unknown crop mode.
    """
    try:
        _, height, width = config["input_size"]
        crop_pct = config.get("crop_pct") or 0.875
        mode = config.get("crop_mode") or "center"
        mean, std = tuple(config["mean"]), tuple(config["std"])
        fields: dict[str, Any] = {"interpolation": config["interpolation"], "crop_pct": crop_pct}
    except (KeyError, ValueError, TypeError) as error:
        raise _incomplete(origin, f"{error} is missing or malformed") from error
    scaled = math.floor(height / crop_pct), math.floor(width / crop_pct)
    if mode == "center" and height == width:
        fields["resize"] = scaled[0]
    elif mode in _TIMM_FITS:
        fields |= {"resize": scaled, "fit": _TIMM_FITS[mode]}
    else:
        raise _incomplete(origin, f"crop mode '{mode}' is not supported")
    if mode == "border":
        fields["fill"] = tuple(round(255 * value) for value in mean)
    return _build(origin, **fields, crop=(height, width), mean=mean, std=std)


_TIMM_FITS = {"squash": "exact", "border": "inside", "center": "outside"}
"""How the image is resized in each of timm's crop modes; a square centre crop takes the short side instead."""


def from_torchvision(preset: Any, origin: str) -> Preprocessing:
    """From a torchvision weights preset (`torchvision.transforms._presets.ImageClassification`)."""
    (resize,), (crop,), filter_ = preset.resize_size, preset.crop_size, preset.interpolation.value
    return _build(origin, resize=resize, crop=crop, interpolation=filter_, mean=preset.mean, std=preset.std)


def from_hub_processor(config: dict[str, Any], origin: str) -> Preprocessing:
    """From a `preprocessor_config.json` of transformers.

    Only what the file states counts: a class's default mean and std can differ from the ones a checkpoint was
    trained with, so a file that leaves them out is refused.

    Where it fills images up (`do_pad`), it does so after normalising, with zeros; here they get the 8-bit colour nearest to the
    mean, which differs from zero by 1 / (510 std) at most.

    Raises HarnessError: an unknown processor, a missing field, or an input without a fixed size.
    """
    named = config.get("image_processor_type") or config.get("feature_extractor_type") or ""
    family = (
        named.removesuffix("Fast").removesuffix("Pil").removesuffix("ImageProcessor").removesuffix("FeatureExtractor")
    )
    sizes = _HUB_SIZES.get(family)
    if sizes is None:
        known = ", ".join(_HUB_SIZES)
        raise _incomplete(origin, f"the processor '{named or 'unnamed'}' is not supported (known: {known})")
    if isinstance(config.get("size"), int) and family in _OF_SHORT_SIDE:
        config = config | {"size": {"shortest_edge": config["size"]}}
    normalised = config.get("do_normalize") is not False and family != "MobileViT"
    needed = ["size", "resample"] if config.get("do_resize") is not False else []
    needed += ["image_mean", "image_std"] if normalised else []
    if missing := [field for field in needed if config.get(field) is None]:
        raise _incomplete(origin, f"it doesn't state {', '.join(missing)}, and class defaults can't be trusted")
    if needed[:1] == ["size"]:
        resize, crop = sizes(config, origin)
    elif config.get("do_center_crop") and config.get("crop_size") is not None:
        resize, crop = None, _height_width(config["crop_size"])
    else:
        raise _incomplete(origin, "do_resize is switched off and nothing is cropped, so the input has no fixed size")
    try:
        interpolation = Image.Resampling(int(config.get("resample") or 0)).name.lower()
    except ValueError as error:
        raise _incomplete(origin, f"resample {config['resample']} is no Pillow filter") from error
    mean, std = _unit_statistics(config, family, normalised=normalised)
    fields: dict[str, Any] = {"resize": resize, "crop": crop, "interpolation": interpolation, "crop_offset": "floor"}
    if config.get("do_pad") and config.get("pad_size") is not None:
        fields |= {"crop": _height_width(config["pad_size"]), "corner": True}
        fields["fill"] = tuple(round(255 * value) for value in mean)
        if isinstance(config.get("size"), dict) and "max_height" in config["size"]:
            fields["fit"] = "inside"
        if any(wanted < is_ for wanted, is_ in zip(fields["crop"], crop, strict=True)):
            raise _incomplete(origin, f"pad_size {config['pad_size']} is smaller than the image")
    is_bgr = family == "MobileViT" and config.get("do_flip_channel_order") is not False
    return _build(origin, **fields, mean=mean, std=std, bgr=is_bgr)


_UNIT = 1 / 255
"""What transformers multiplies pixels with, to bring them to [0, 1]."""


def _unit_statistics(config: dict[str, Any], family: str, *, normalised: bool) -> tuple[list[float], list[float]]:
    """Mean and standard deviation for pixels in [0, 1], whatever range the processor brings them to."""
    mean, std = (config["image_mean"], config["image_std"]) if normalised else ([0.0] * 3, [1.0] * 3)
    factor = (config.get("rescale_factor") or _UNIT) if config.get("do_rescale") is not False else 1.0
    if family == "EfficientNet":
        if config.get("include_top") is not False:  # divided by the standard deviation once more
            std = [value * again for value, again in zip(std, config["image_std"], strict=True)]
        if config.get("rescale_offset"):  # to [-1, 1]
            mean = [value + 1 for value in mean]
    if factor == _UNIT:
        return list(mean), list(std)
    return [value / (factor * 255) for value in mean], [value / (factor * 255) for value in std]


def _convnext_sizes(config: dict[str, Any], origin: str) -> tuple[int | tuple[int, int], tuple[int, int]]:
    """Below 384 the short side is size / crop_pct and then cropped; from 384 on the image is warped, not cropped."""
    size = config["size"]
    edge = int(size["shortest_edge"] if isinstance(size, dict) else size)
    if edge < 384 and config.get("crop_pct") is None:
        raise _incomplete(origin, "it doesn't state crop_pct")
    return (edge, edge) if edge >= 384 else int(edge / config["crop_pct"]), (edge, edge)


def _field_sizes(config: dict[str, Any], origin: str) -> tuple[int | tuple[int, int], tuple[int, int]]:
    """Resize and crop as the fields say: shortest edge or exact size, then an optional centre crop."""
    size = config["size"]
    if isinstance(size, dict) and {"max_height", "max_width"} <= size.keys():
        if not config.get("do_pad") or config.get("pad_size") is None or config.get("do_center_crop"):
            raise _incomplete(
                origin, "images keep their shape and pad_size is not stated, so the input has no fixed size"
            )
        longest = int(size["max_height"]), int(size["max_width"])
        return longest, longest
    if isinstance(size, dict) and not ("shortest_edge" in size or {"height", "width"} <= size.keys()):
        raise _incomplete(origin, f"size {size} names neither shortest_edge nor height and width")
    is_short = isinstance(size, dict) and "shortest_edge" in size
    resize = int(size["shortest_edge"]) if is_short else _height_width(size)
    if config.get("do_center_crop"):
        if config.get("crop_size") is None:
            raise _incomplete(origin, "do_center_crop is on but crop_size is not stated")
        return resize, _height_width(config["crop_size"])
    if isinstance(resize, int):
        raise _incomplete(origin, "the short side is resized but nothing is cropped, so the input has no fixed size")
    return resize, resize


def _height_width(size: Any) -> tuple[int, int]:
    """(height, width) in pixels, stated as a record or as one number for a square."""
    return (int(size["height"]), int(size["width"])) if isinstance(size, dict) else (int(size), int(size))


def _levit_sizes(config: dict[str, Any], origin: str) -> tuple[int | tuple[int, int], tuple[int, int]]:
    """The short side is 256/224 of what is stated, then the centre is cropped."""
    resize, crop = _field_sizes(config, origin)
    return (int(256 / 224 * resize) if isinstance(resize, int) else resize), crop


def _poolformer_sizes(config: dict[str, Any], origin: str) -> tuple[int | tuple[int, int], tuple[int, int]]:
    """The short side is what is stated over crop_pct, then the centre is cropped."""
    resize, crop = _field_sizes(config, origin)
    if config.get("crop_pct") is None:
        raise _incomplete(origin, "it doesn't state crop_pct")
    edge = resize if isinstance(resize, int) else resize[0]
    if isinstance(resize, tuple) and resize[0] != resize[1]:
        raise _incomplete(origin, f"size {resize[0]}×{resize[1]} with crop_pct is not supported")
    return int(edge / config["crop_pct"]), crop


_HUB_SIZES = {
    "ConvNext": _convnext_sizes,
    "Levit": _levit_sizes,
    "PoolFormer": _poolformer_sizes,
    **dict.fromkeys(
        (
            *("ViT", "DeiT", "Beit", "Bit", "CLIP", "MobileNetV1", "MobileNetV2", "Swin", "MobileViT", "EfficientNet"),
            *("Siglip", "Pvt", "Segformer"),
        ),
        _field_sizes,
    ),
}
"""How transformers' image processors turn `size` into pixels, by the processor's name."""
_OF_SHORT_SIDE = frozenset({"Bit", "CLIP", "Levit", "MobileNetV1", "MobileNetV2", "MobileViT", "PoolFormer"})
"""Processors to which a bare number as `size`, in an old file, means the short side and not both."""


def _incomplete(origin: str, why: str) -> HarnessError:
    message = f"The preprocessing of this checkpoint can't be read from {origin}: {why}."
    remedy = "Use a checkpoint whose configuration states its preprocessing in full."
    return HarnessError(message, remedy=remedy, exit_code=ExitCode.MISSING)


def _build(origin: str, **fields: Any) -> Preprocessing:
    if (channels := len(fields["mean"])) != 3:
        raise _incomplete(origin, f"mean is of {channels} channels, and images are read in three, red, green and blue")
    try:
        return Preprocessing(origin=origin, **fields)
    except ValidationError as error:
        faults = (f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise _incomplete(origin, "; ".join(faults)) from error
