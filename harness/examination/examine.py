"""Examining a model on single images: maps, how soon the answer changes in their order, and the maps of random weights.

Each image is one small file in the store, found by weights, protocol and the image's own digest: a run that is killed loses the
image at work, and one with more images computes only those. What is random is seeded by the sample's id.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import TypeAdapter, ValidationError
from torch.nn import functional
from torchvision.transforms.v2.functional import gaussian_blur

from harness.errors import HarnessError
from harness.examination.attribution import (
    ATTRIBUTIONS,
    CHUNK,
    GRID,
    INTEGRATION_STEPS,
    NotApplicableError,
    cell_map,
    cell_size,
    grid_of,
    randomised,
)
from harness.examination.options import ExaminationOptions
from harness.files import write_bytes
from harness.labels.projections import LabelSpaceProjection
from harness.metrics.attribution import CENTRE, RANDOM, SHARES, ImageMaps, rank_correlation
from harness.metrics.types import FloatArray
from harness.models.loading import LoadedModel
from harness.runtime.execution import ExecutionConfig
from harness.runtime.gradients import PixelModel, differentiable

_VERSION = 1
_RECORD = TypeAdapter(ImageMaps)
_DIGITS = 6


@dataclass(frozen=True)
class Subject:
    """An image to be examined."""

    sample_id: str
    digest: str
    label: int
    """Its class in the benchmark, -1 where the model has no output for it."""
    predicted: int
    pixels: Callable[[], np.ndarray]
    """uint8 (H, W, 3), as the network takes it."""


def protocol_of(options: ExaminationOptions, config: ExecutionConfig) -> dict[str, Any]:
    """What decides the values beside weights, preprocessing and images."""
    return {
        "methods": list(options.methods),
        "cells": GRID,
        "integration_steps": INTEGRATION_STEPS,
        "shuffled": SHARES,
        "layout": config.memory_format,
        "device": config.device_type,
    }


def examine(
    subjects: Sequence[Subject],
    load_once: Callable[[], LoadedModel],
    projection: LabelSpaceProjection,
    config: ExecutionConfig,
    options: ExaminationOptions,
    *,
    home: Path,
    key: Mapping[str, Any],
    done: Callable[[int], object],
) -> list[ImageMaps]:
    """The maps of images, from the store where they are there; the model is loaded only for others.

    Args:
        projection: the benchmark's classes among the model's outputs.
        key: all that decides the values but the images: weights, preprocessing, projection.
        done: called with the number of images that are ready.

    Raises:
        HarnessError: captum is missing, the model has no gradients, or a map is not finite.
    """
    digest = hashlib.sha256(json.dumps([_VERSION, dict(key), protocol_of(options, config)], sort_keys=True).encode())
    folder = home / "examinations" / digest.hexdigest()[:32]
    found: list[ImageMaps] = []
    with ExitStack() as stack:
        model: PixelModel | None = None
        for number, subject in enumerate(subjects):
            checked = number < options.randomised_images
            path = folder / f"{hashlib.sha256(f'{subject.sample_id} {subject.digest}'.encode()).hexdigest()[:32]}.json"
            record = _stored(path, subject, checked=checked)
            if record is None:
                model = model or stack.enter_context(differentiable(load_once(), projection, config))
                record = examine_image(model, subject, options.methods, checked=checked)
                write_bytes(path, _RECORD.dump_json(record))
            found.append(record)
            done(1)
    return found


def _stored(path: Path, subject: Subject, *, checked: bool) -> ImageMaps | None:
    """What an earlier run found of the same answer to the same image; None where nothing whole is there."""
    try:
        record = _RECORD.validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
    is_same = (record.label, record.predicted) == (subject.label, subject.predicted)
    return record if is_same and (record.similarity or not checked) else None


def examine_image(model: PixelModel, subject: Subject, methods: Sequence[str], *, checked: bool) -> ImageMaps:
    """All that is found on one image.

    Args:
        checked: whether its maps are computed with random weights too.

    Raises:
        HarnessError: captum is missing, or a map is not finite.
    """
    there = next(model.buffers())
    image = torch.from_numpy(np.array(subject.pixels())).to(there.device)
    pixels = image.permute(2, 0, 1)[None].to(torch.float32) / 255
    inapplicable: dict[str, str] = {}

    def maps_for(target: int) -> dict[str, FloatArray]:
        found = {}
        for name in methods:
            try:
                found[name] = cell_map(ATTRIBUTIONS[name], model, pixels, target).numpy()
            except NotApplicableError as error:
                inapplicable[name] = str(error)
            except HarnessError as error:
                error.message = f"{name} on {subject.sample_id}: {error.message}"
                raise
        return found

    maps = maps_for(subject.predicted)
    other = subject.label not in (subject.predicted, -1)
    true_maps = maps_for(subject.label) if other else {}
    similarity: dict[str, list[float]] = {name: [] for name in maps} if checked else {}
    for share in SHARES.values() if checked else ():
        with randomised(model, share, (pixels.shape[2], pixels.shape[3])):
            for name, found in maps_for(subject.predicted).items():
                similarity[name].append(rank_correlation(maps[name], found))
    generator = _generator(subject.sample_id)
    rows, columns = grid_of(pixels)
    shape = (rows, columns)
    y, x = np.mgrid[:rows, :columns]
    centre = -((((y + 0.5) / rows - 0.5) ** 2) + ((x + 0.5) / columns - 0.5) ** 2)
    ranked = maps | {CENTRE: centre, RANDOM: generator.random(shape)}
    deletion, insertion = {}, {}
    for name, cells in ranked.items():
        removed = removals(cells, _generator(f"{subject.sample_id} {name}"))
        deletion[name], insertion[name] = curves(model, pixels, removed, subject.predicted)
    return ImageMaps(
        subject.sample_id,
        subject.label,
        subject.predicted,
        {name: _rounded(cells) for name, cells in maps.items()},
        {name: _rounded(cells) for name, cells in true_maps.items()},
        deletion,
        insertion,
        similarity,
        inapplicable,
    )


def removals(cells: FloatArray, generator: np.random.Generator) -> np.ndarray:
    """Which cells are removed, step by step, in the order of a map: bool (steps + 1, rows, columns), from none to all.

    As many steps as there are rows. Cells of one value come in random order.
    """
    rows, columns = cells.shape
    order = np.lexsort((generator.random(cells.size), -cells.ravel()))
    rank = np.empty(cells.size, dtype=np.int64)
    rank[order] = np.arange(cells.size)
    return (rank[None] < (np.arange(rows + 1) * columns)[:, None]).reshape(rows + 1, rows, columns)


def curves(
    model: PixelModel, pixels: torch.Tensor, removed: np.ndarray, target: int
) -> tuple[list[float], list[float]]:
    """The probability of a class while cells are removed, and while they are added in the same order.

    Where a cell is removed the image is blurred by a Gaussian as wide as a cell: that leaves no detail, and no edge of a
    patch to be taken for one.

    Args:
        pixels: float32 (1, 3, H, W) in [0, 1].
        removed: as `removals` gives it.
    """
    sigma = [float(side) for side in reversed(cell_size(pixels))]
    blurred = gaussian_blur(pixels, [2 * round(2 * side) + 1 for side in sigma], sigma)
    masks = torch.from_numpy(removed[:, None]).to(pixels.device, torch.float32)
    masks = functional.interpolate(masks, pixels.shape[2:], mode="nearest")
    probabilities = []
    with torch.no_grad():
        for first, other in ((pixels, blurred), (blurred, pixels)):
            steps = [model(first * (1 - mask) + other * mask).softmax(1)[:, target] for mask in masks.split(CHUNK)]
            probabilities.append([round(value, _DIGITS) for value in torch.cat(steps).tolist()])
    return probabilities[0], probabilities[1]


def _generator(seed: str) -> np.random.Generator:
    return np.random.default_rng(int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big"))


def _rounded(cells: FloatArray) -> list[list[float]]:
    return [[round(float(value), _DIGITS) for value in row] for row in cells]
