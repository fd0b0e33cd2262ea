"""Examining the images of a plan: which ones, what is stored of them, and which a card may show."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from harness.data.boxes import box_mask, boxes_folder
from harness.errors import HarnessError
from harness.evaluation.plan import DECODER, Condition, Plan, condition_projections
from harness.evaluation.scoring import Examined, Scored
from harness.labels.spaces import unique_names
from harness.metrics.attribution import RANDOM, ImageMaps, objection
from harness.metrics.types import FloatArray
from harness.models.loading import LoadedModel, ModelIdentity
from harness.models.preprocessing import Preprocessing
from harness.parsing.images import load_image
from harness.progress import Reporter

if TYPE_CHECKING:
    from harness.examination.examine import Subject

_SHOWN = {"right": 3, "wrong": 2}
"""Of the examined images, those that a card shows: where the model is surest."""
_SIDE, _QUALITY = 144, 75


def is_examined(condition: Condition) -> bool:
    """Whether a condition's images are to be examined: unshifted ones, each of one class that is a class of the model."""
    benchmark = condition.benchmark
    return condition.name is None and benchmark.clean and not benchmark.label_sets and benchmark.label_map is None


def examine_conditions(
    plan: Plan,
    identity: ModelIdentity,
    load_once: Callable[[], LoadedModel],
    reporter: Reporter,
    scored: Mapping[str, Scored],
    failed: dict[str, HarnessError],
) -> dict[str, Scored]:
    """The scored conditions with what attributions found; a condition that can't be examined is added to `failed`."""
    found = dict(scored)
    for condition in filter(is_examined, plan.runnable):
        if condition.title not in scored:
            continue
        try:
            examined = _examined(plan, condition, scored[condition.title], identity, load_once, reporter)
        except HarnessError as error:
            failed[condition.title] = error
            reporter.note(f"Failed: attributions on {condition.title}: {error}")
        else:
            found[condition.title] = replace(scored[condition.title], examined=examined)
    return found


def _examined(
    plan: Plan,
    condition: Condition,
    scored: Scored,
    identity: ModelIdentity,
    load_once: Callable[[], LoadedModel],
    reporter: Reporter,
) -> Examined:
    from harness.examination.examine import examine, protocol_of
    from harness.runtime.execution import fixed_config

    options = plan.suite.examination
    projection = condition_projections(condition, identity)[0]
    config = fixed_config(plan.settings, convolutional=identity.convolutional)
    subjects = list(_subjects(condition, scored, identity, plan.settings.examine_images or options.images))
    key = {
        "weights": identity.weights,
        "preprocessing": identity.preprocessing.model_dump(mode="json"),
        "decoder": DECODER,
        "input": condition.benchmark.input,
        "projection": projection.fingerprint,
    }
    with reporter.progress(f"Attributions on {condition.title}", len(subjects)) as advance:
        images = examine(
            subjects, load_once, projection, config, options, home=plan.settings.home, key=key, done=advance
        )
    passing = [method for method in options.methods if objection(images, method) is None]
    why = condition.benchmark.not_to_be_shown
    not_shown = f"{condition.benchmark.name} {why}, so none of its images is shown." if why else None
    if not passing:
        not_shown = "No method's maps passed both checks."
    names = unique_names(condition.benchmark.space.classes)
    examples = (
        []
        if not_shown
        else [_example(image, subjects, names, passing, bgr=identity.preprocessing.bgr) for image in _telling(images)]
    )
    protocol = protocol_of(options, config) | {"precision": "fp32"}
    return Examined(options, protocol, images, _boxes(condition, images, identity.preprocessing), examples, not_shown)


def _subjects(condition: Condition, scored: Scored, identity: ModelIdentity, most: int) -> Iterator[Subject]:
    """The first readable images of a condition, with the model's answers."""
    from harness.examination.examine import Subject
    from harness.runtime.decoding import Images

    pixels = Images(condition.opened, identity.preprocessing).pixels(None)
    position = {sample_id: at for at, sample_id in enumerate(condition.samples["sample_id"])}
    digests = condition.samples["digest"].tolist()
    answers = zip(scored.sample_ids, scored.closed.label, scored.closed.top5[:, 0], strict=True)
    for sample_id, label, answer in list(answers)[:most]:
        at = position[sample_id]
        yield Subject(sample_id, digests[at], int(label), int(answer), lambda at=at: pixels(at))  # type: ignore[misc]


def _confidence(image: ImageMaps) -> float:
    return image.deletion[RANDOM][0]


def _telling(images: Sequence[ImageMaps]) -> list[ImageMaps]:
    """The right and the wrong answers that the model is surest of."""
    surest = sorted(images, key=_confidence, reverse=True)
    right = [image for image in surest if image.label == image.predicted]
    wrong = [image for image in surest if image.label not in (image.predicted, -1)]
    return right[: _SHOWN["right"]] + wrong[: _SHOWN["wrong"]]


def _example(
    image: ImageMaps, subjects: Sequence[Subject], names: Sequence[str], methods: Sequence[str], *, bgr: bool
) -> dict[str, Any]:
    """An image as a ledger has it: what it is and is taken for, itself as a data URI, maps in percent of their largest cell."""
    pixels = next(subject.pixels for subject in subjects if subject.sample_id == image.sample_id)()
    small = Image.fromarray(np.ascontiguousarray(pixels[:, :, ::-1] if bgr else pixels))
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


def _boxes(condition: Condition, images: Sequence[ImageMaps], preprocessing: Preprocessing) -> dict[str, FloatArray]:
    """How much of each cell lies in the object's boxes, by sample id, where ImageNet's boxes lie beside the images."""
    place = condition.location.path if condition.location is not None else None
    folder = boxes_folder(Path(place)) if place is not None else None
    if folder is None or condition.benchmark.input != "image":
        return {}
    import torch
    from torch.nn.functional import adaptive_avg_pool2d

    ids, found = condition.samples["sample_id"].tolist(), {}
    for image in images:
        size = load_image(condition.opened.read(ids.index(image.sample_id))).size
        mask = box_mask(folder, image.sample_id, size)
        if mask is not None:
            inside = torch.from_numpy(np.ascontiguousarray(preprocessing.pixels(mask)[None, :, :, 0])) / 255
            first = next(iter(image.maps.values()))
            found[image.sample_id] = adaptive_avg_pool2d(inside, (len(first), len(first[0])))[0].numpy()
    return found
