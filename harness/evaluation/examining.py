"""Attributions on the images of a condition: which images, what is found, and which a card may show."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from harness.data.boxes import box_mask, boxes_folder
from harness.evaluation.image_studies import ImageStudy
from harness.evaluation.plan import Condition
from harness.evaluation.scoring import Examined, Scored
from harness.labels.spaces import unique_names
from harness.metrics.attribution import RANDOM, ImageMaps, objection
from harness.metrics.types import FloatArray
from harness.parsing.images import load_image

if TYPE_CHECKING:
    import torch

    from harness.runtime.gradients import PixelModel

_VERSION = 2
"""Of the maps: another one has other values."""
_SHOWN = {"right": 3, "wrong": 2}
"""Of the examined images, those that a card shows: where the model is surest."""
_SIDE, _QUALITY = 144, 75


def is_examined(condition: Condition) -> bool:
    """Whether a condition's images are to be examined: unshifted ones, each of one class that is a class of the model."""
    benchmark = condition.benchmark
    return condition.name is None and benchmark.clean and not benchmark.label_sets and benchmark.label_map is None


def examine(study: ImageStudy) -> Scored:
    """The predictions of a condition, with what attributions found where the suite and the images ask for it.

    Raises:
        HarnessError: captum is missing, the model has no gradients, or a map is not finite.
    """
    condition, scored, plan = study.condition, study.scored, study.plan
    if "attribution" not in plan.suite.metrics or not is_examined(condition):
        return scored
    from harness.examination.examine import PROTOCOL, examine_image

    options = plan.suite.examination
    answers = dict(zip(scored.sample_ids, scored.closed.top5[:, 0].tolist(), strict=True))

    def work(
        model: PixelModel, pixels: torch.Tensor, positions: Sequence[int], more: Sequence[bool]
    ) -> list[ImageMaps]:
        return [
            examine_image(
                model, each, study.samples[at], answers[study.samples[at][0]], options.methods, checked=checked
            )
            for each, at, checked in zip(pixels, positions, more, strict=True)
        ]

    protocol = PROTOCOL | options.model_dump(mode="json", exclude={"images"})
    digest, images = study.records(
        ImageMaps,
        "Attributions",
        protocol | {"version": _VERSION, "predictions": scored.protocol["predictions"]},
        work,
        most=plan.settings.examine_images or options.images,
        checked=options.randomised_images,
        at_once=1,
    )
    passing = [method for method in options.methods if objection(images, method) is None]
    why = condition.benchmark.not_to_be_shown
    not_shown = f"{condition.benchmark.name} {why}, so none of its images is shown." if why else None
    if not passing:
        not_shown = "No method's maps passed both checks."
    examples = [] if not_shown else [_example(study, image, passing) for image in _telling(images)]
    protocol |= {"maps": digest, "precision": "fp32"}
    return replace(scored, examined=Examined(options, protocol, images, _boxes(study, images), examples, not_shown))


def _confidence(image: ImageMaps) -> float:
    return image.deletion[RANDOM][0]


def _telling(images: Sequence[ImageMaps]) -> list[ImageMaps]:
    """The right and the wrong answers that the model is surest of."""
    surest = sorted(images, key=_confidence, reverse=True)
    right = [image for image in surest if image.label == image.predicted]
    wrong = [image for image in surest if image.true_maps]
    return right[: _SHOWN["right"]] + wrong[: _SHOWN["wrong"]]


def _example(study: ImageStudy, image: ImageMaps, methods: Sequence[str]) -> dict[str, Any]:
    """An image as a ledger has it: what it is and is taken for, itself as a data URI, maps in percent of their largest cell."""
    names = unique_names(study.condition.benchmark.space.classes)
    pixels = study.pixels(study.positions[image.sample_id])
    small = Image.fromarray(np.ascontiguousarray(pixels[:, :, ::-1] if study.identity.preprocessing.bgr else pixels))
    small.thumbnail((_SIDE, _SIDE))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=_QUALITY)
    return {
        "sample_id": image.sample_id,
        "true": names[image.label],
        "predicted": names[image.predicted],
        "confidence": round(100 * _confidence(image), 1),
        "image": "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode(),
        "maps": {method: _percent(image.maps[method]) for method in methods},
        "true_maps": {method: _percent(image.true_maps[method]) for method in methods if image.true_maps},
    }


def _percent(cells: Sequence[Sequence[float]]) -> list[list[int]]:
    return [[round(100 * value) for value in row] for row in cells]


def _boxes(study: ImageStudy, images: Sequence[ImageMaps]) -> dict[str, FloatArray]:
    """How much of each cell lies in the object's boxes, by sample id, where ImageNet's boxes lie beside the images."""
    condition = study.condition
    place = condition.location.path if condition.location is not None else None
    folder = boxes_folder(Path(place)) if place is not None else None
    if folder is None or condition.benchmark.input != "image":
        return {}
    import torch
    from torch.nn.functional import adaptive_avg_pool2d

    found = {}
    for image in images:
        size = load_image(condition.opened.read(study.positions[image.sample_id])).size
        mask = box_mask(folder, image.sample_id, size)
        if mask is not None and image.maps:
            inside = (
                torch.from_numpy(np.ascontiguousarray(study.identity.preprocessing.pixels(mask)[None, :, :, 0])) / 255
            )
            first = next(iter(image.maps.values()))
            found[image.sample_id] = adaptive_avg_pool2d(inside, (len(first), len(first[0])))[0].numpy()
    return found
