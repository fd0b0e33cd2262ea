"""Images without labels, which show none of the classes: a folder with images at any depth, or noise that is generated."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from harness.data.catalog import Benchmark
from harness.data.sources import Entry, FileStamp, Index, Place, Source

NO_LABEL = -1
_SIDE = 256
"""Pixels of noise in each direction."""


class UnlabelledImages(Source):
    """Every image below a folder."""

    def stamps(self) -> list[FileStamp]:
        return self.images(nested=True)

    def index(self) -> Index:
        return Index([Entry(stamp.path, NO_LABEL, stamp.path) for stamp in self.stamps()])


class GeneratedNoise(Source):
    """Half of the images of uniform, half of Gaussian noise (mean and standard deviation of half the range, cut off at its ends), as
    in Hendrycks & Gimpel 2017, arXiv:1610.02136: each pixel and channel by itself, seeded by the image's name."""

    def stamps(self) -> list[FileStamp]:
        return [FileStamp(name, _SIDE, 0) for name in self._names()]

    def index(self) -> Index:
        return Index([Entry(name, NO_LABEL, name) for name in self._names()])

    def _names(self) -> list[str]:
        each = int(self.root.name) // 2
        return [f"{kind}-{number:04d}.bmp" for kind in ("gaussian", "uniform") for number in range(each)]

    def read(self, file: str, start: int, length: int) -> bytes:
        """The image as BMP, whose bytes are the same everywhere."""
        kind, _, number = file.removesuffix(".bmp").partition("-")
        generator = np.random.default_rng([int(kind == "uniform"), int(number)])
        shape = (_SIDE, _SIDE, 3)
        drawn = generator.random(shape) if kind == "uniform" else generator.normal(0.5, 0.5, shape).clip(0, 1)
        buffer = io.BytesIO()
        Image.fromarray((255 * drawn).round().astype(np.uint8)).save(buffer, "bmp")
        return buffer.getvalue()


def unlabelled_images(place: Place) -> UnlabelledImages | None:
    """A folder with images in it or below it; one that only wraps another is left for that."""
    folders, images = place.listing.folders, place.listing.images
    if not images and len(folders) < 2:
        return None
    return UnlabelledImages(place.path, "images without labels")


def generated_noise(benchmark: Benchmark) -> GeneratedNoise:
    """Noise, as many images as the benchmark has."""
    return GeneratedNoise(Path(str(benchmark.size)), "generated noise")
