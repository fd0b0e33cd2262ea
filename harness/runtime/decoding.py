"""From encoded images to model input, with or without a corruption on the way."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image

from harness.corruptions.digital import jpeg_round_trip
from harness.corruptions.generate import PROTOCOL_VERSION, base_crop, corrupt
from harness.data.images import load_image
from harness.data.local import LocalDataset
from harness.models.preprocessing import Preprocessing

_KEPT_CROPS = 1024
"""Base crops kept in memory (150 kB each), so that the cells of a range of images decode them once."""

Pixels = Callable[[int], np.ndarray]
"""Position in the condition's order -> uint8 (H, W, 3); raises UnreadableImageError where it can't be read."""


def default_workers() -> int:
    """Decoding threads: one a core, at most eight."""
    return max(1, min(8, os.cpu_count() or 1))


@dataclass(frozen=True)
class GeneratedCell:
    """One cell of a generated corruption benchmark."""

    corruption: str | None
    """None for the crops without corruption."""
    severity: int
    seed: int
    jpeg_quality: int | None
    """Quality of the JPEG round trip that the official files went through; None leaves it out."""

    @classmethod
    def parse(cls, condition: str, *, seed: int, jpeg_quality: int | None) -> GeneratedCell:
        """From a condition's name: `fog/3`, or a name without severity for the clean crops."""
        name, slash, severity = condition.partition("/")
        return cls(name if slash else None, int(severity) if slash else 0, seed, jpeg_quality)

    def protocol(self) -> dict[str, Any]:
        """What goes into the key of its predictions."""
        return asdict(self) | {"generator": PROTOCOL_VERSION}

    def apply(self, crop: np.ndarray, sample_id: str) -> np.ndarray:
        """Corrupt one base crop, uint8 (224, 224, 3)."""
        pixels = crop
        if self.corruption is not None:
            pixels = corrupt(crop, self.corruption, self.severity, sample_id=sample_id, seed=self.seed)
        return pixels if self.jpeg_quality is None else jpeg_round_trip(pixels, self.jpeg_quality)


def direct(dataset: LocalDataset, preprocessing: Preprocessing) -> Pixels:
    """The images as they are; files that are already cropped are not resized again."""
    transform = preprocessing.ready_pixels if dataset.benchmark.input == "ready-224" else preprocessing.pixels
    return lambda position: transform(load_image(dataset.read(position)))


def generated(dataset: LocalDataset, preprocessing: Preprocessing) -> Callable[[GeneratedCell], Pixels]:
    """For each cell, its corrupted images; the cells share the decoded base crops."""
    ids = dataset.samples["sample_id"].tolist()

    @lru_cache(maxsize=_KEPT_CROPS)
    def crop(position: int) -> np.ndarray:
        return base_crop(load_image(dataset.read(position)))

    def cell_pixels(cell: GeneratedCell) -> Pixels:
        return lambda position: preprocessing.ready_pixels(Image.fromarray(cell.apply(crop(position), ids[position])))

    return cell_pixels
