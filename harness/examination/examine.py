"""Examining a model on an image: maps, how soon the answer changes in their order, and the maps of random weights.

What is random is seeded by the sample's id, so that an image's values don't depend on the others of a run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
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
from harness.metrics.attribution import CENTRE, RANDOM, SHARES, ImageMaps, correlation, rank_correlation
from harness.metrics.types import FloatArray
from harness.runtime.gradients import PixelModel

SETS, SHARE = 32, 0.25
"""Random sets of cells for sensitivity-n, and their share of all cells."""
PROTOCOL: dict[str, Any] = {
    "cells": GRID,
    "integration_steps": INTEGRATION_STEPS,
    "shuffled": SHARES,
    "sensitivity_n": {"sets": SETS, "share": SHARE},
}
"""What decides the values beside weights, preprocessing, images and methods."""
_DIGITS = 6


def examine_image(
    model: PixelModel,
    image: torch.Tensor,
    sample: tuple[str, str, int],
    predicted: int,
    methods: Sequence[str],
    *,
    checked: bool,
) -> ImageMaps:
    """All that is found on one image.

    Args:
        image: uint8 (3, H, W), as the network takes it.
        sample: its id, digest and class in the benchmark.
        predicted: the class of the model's answer.
        checked: whether its maps are computed with random weights too.

    Raises:
        HarnessError: captum is missing, or a map is not finite.
    """
    sample_id, _, label = sample
    pixels = (image[None].to(model.mean.device, torch.float32) / 255).contiguous()
    inapplicable: dict[str, str] = {}

    def maps_for(target: int) -> dict[str, FloatArray]:
        found = {}
        for name in methods:
            try:
                found[name] = cell_map(ATTRIBUTIONS[name], model, pixels, target).numpy()
            except NotApplicableError as error:
                inapplicable[name] = str(error)
            except HarnessError as error:
                error.message = f"{name} on {sample_id}: {error.message}"
                raise
        return found

    maps, absent = maps_for(predicted), model.projection.absent
    true_maps = maps_for(label) if label != predicted and (absent is None or not absent[label]) else {}
    similarity: dict[str, list[float]] = {name: [] for name in maps} if checked else {}
    for share in SHARES.values() if checked else ():
        with randomised(model, share, (pixels.shape[2], pixels.shape[3])):
            for name, found in maps_for(predicted).items():
                similarity[name].append(rank_correlation(maps[name], found))
    generator = _generator(sample_id)
    rows, columns = shape = grid_of(pixels)
    y, x = np.mgrid[:rows, :columns]
    centre = -((((y + 0.5) / rows - 0.5) ** 2) + ((x + 0.5) / columns - 0.5) ** 2)
    ranked = maps | {CENTRE: centre, RANDOM: generator.random(shape)}
    blurred, deletion, insertion = blurred_cells(pixels), {}, {}
    for name, cells in ranked.items():
        removed = removals(cells, _generator(f"{sample_id} {name}"))
        deletion[name], insertion[name] = (
            [round(p, _DIGITS) for p in mixed(model, *ends, removed).softmax(1)[:, predicted].tolist()]
            for ends in ((pixels, blurred), (blurred, pixels))
        )
    hidden = sets_of_cells(shape, _generator(f"{sample_id} sets"))
    left = mixed(model, pixels, blurred, hidden)[:, predicted].double().numpy()
    return ImageMaps(
        *sample,
        predicted,
        {name: _rounded(cells) for name, cells in maps.items()},
        {name: _rounded(cells) for name, cells in true_maps.items()},
        deletion,
        insertion,
        similarity,
        inapplicable,
        {name: round(correlation((hidden * cells).sum((1, 2)), -left), _DIGITS) for name, cells in ranked.items()},
        checked,
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


def sets_of_cells(shape: tuple[int, int], generator: np.random.Generator) -> np.ndarray:
    """Random sets of n cells for sensitivity-n, bool (`SETS`, rows, columns)."""
    return generator.random((SETS, shape[0] * shape[1])).argsort(1).reshape(SETS, *shape) < SHARE * shape[0] * shape[1]


def blurred_cells(pixels: torch.Tensor) -> torch.Tensor:
    """An image (1, 3, H, W) without its cells: blurred by a Gaussian as wide as a cell, which leaves no detail, and no edge of a
    patch to be taken for one."""
    sigma = [float(side) for side in reversed(cell_size(pixels))]
    return gaussian_blur(pixels, [2 * round(2 * side) + 1 for side in sigma], sigma)


def mixed(model: PixelModel, pixels: torch.Tensor, other: torch.Tensor, removed: np.ndarray) -> torch.Tensor:
    """The logits (n, classes), on the CPU, of an image whose removed cells are those of another.

    Args:
        pixels: float32 (1, 3, H, W) in [0, 1]; likewise `other`.
        removed: bool (n, rows, columns).
    """
    masks = torch.from_numpy(removed[:, None]).to(pixels.device, torch.float32)
    masks = functional.interpolate(masks, pixels.shape[2:], mode="nearest")
    with torch.no_grad():
        return torch.cat([model(pixels * (1 - mask) + other * mask) for mask in masks.split(CHUNK)]).cpu()


def _generator(seed: str) -> np.random.Generator:
    return np.random.default_rng(int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big"))


def _rounded(cells: FloatArray) -> list[list[float]]:
    return [[round(float(value), _DIGITS) for value in row] for row in cells]
