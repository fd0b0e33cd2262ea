"""From encoded images to model input, with or without a corruption on the way."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from harness.corruptions.digital import jpeg_round_trip
from harness.corruptions.generate import PROTOCOL_VERSION, base_crop, corrupt
from harness.data.local import LocalDataset
from harness.errors import HarnessError
from harness.models.preprocessing import Preprocessing
from harness.parsing.images import UnreadableImageError, load_image

_KEPT_CROPS = 1024
"""Base crops kept in memory (150 kB each), so that the cells of a range of images decode them once."""

Pixels = Callable[[int], np.ndarray]
"""Position in the condition's order -> uint8 (H, W, 3); raises UnreadableImageError where it can't be read."""


def default_workers(device_type: str = "cpu") -> int:
    """Who decodes: one a core; threads beside a CPU's own work are at most eight, since more only wait for each other."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores if device_type == "cuda" else min(8, cores)


class ElsewhereError(HarnessError):
    """This machine can't read what the run's own machine can: the work belongs elsewhere."""


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


class Images:
    """The images of a data set as a network takes them. Can be sent to other processes."""

    def __init__(
        self,
        dataset: LocalDataset,
        preprocessing: Preprocessing,
        is_proven: bool = False,
        sent: Mapping[int, bytes] | None = None,
    ) -> None:
        """
        Args:
            is_proven: whether each image must have the SHA-256 that the data set's manifest has of it, since it is read on
                another machine than the one that made it.
            sent: encoded images by position, for a machine that can't read them.
        """
        self.dataset = dataset
        self.preprocessing = preprocessing
        self._is_proven = is_proven
        self._sent = sent
        self._ids = dataset.samples["sample_id"].tolist()
        self._digests = dataset.samples["digest"].tolist()
        self._crop = lru_cache(maxsize=_KEPT_CROPS)(lambda position: base_crop(load_image(self._read(position))))

    def __reduce__(self) -> tuple[type[Images], tuple[Any, ...]]:
        return Images, (self.dataset, self.preprocessing, self._is_proven, self._sent)

    def proven(self) -> Images:
        """The same, for another machine."""
        return Images(self.dataset, self.preprocessing, is_proven=True)

    def sent(self, encoded: Mapping[int, bytes]) -> Images:
        """The same, for a machine that was sent some of the images."""
        return Images(self.dataset, self.preprocessing, sent=encoded)

    def _read(self, position: int) -> bytes:
        if self._sent is not None:
            return self._sent[position]
        if not self._is_proven:
            return self.dataset.read(position)
        try:
            encoded = self.dataset.read(position)
        except UnreadableImageError as error:
            raise ElsewhereError(error.message) from error
        if hashlib.sha256(encoded).hexdigest() != self._digests[position]:
            raise ElsewhereError(f"{self.dataset.files[position]} is another file here than where the run was started.")
        return encoded

    def pixels(self, cell: GeneratedCell | None) -> ConditionPixels:
        """Those of one condition: of a generated cell, or as they are without one."""
        return ConditionPixels(self, cell)

    def decode(self, position: int, cell: GeneratedCell | None) -> np.ndarray:
        """One image, uint8 (H, W, 3). Files that are already cropped are not resized again; cells share the base crops.

        Raises UnreadableImageError: it can't be read.
        """
        if cell is not None:
            corrupted = cell.apply(self._crop(position), self._ids[position])
            return self.preprocessing.ready_pixels(Image.fromarray(corrupted))
        image, kind = load_image(self._read(position)), self.dataset.benchmark.input
        if kind == "ready-224":
            return self.preprocessing.ready_pixels(image)
        return self.preprocessing.pixels(ImageOps.crop(image, 2) if kind == "bordered-2" else image)


@dataclass(frozen=True, eq=False)
class ConditionPixels:
    """The pixels of one condition."""

    images: Images
    cell: GeneratedCell | None

    def __call__(self, position: int) -> np.ndarray:
        """uint8 (H, W, 3); raises UnreadableImageError."""
        return self.images.decode(position, self.cell)
