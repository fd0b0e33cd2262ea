"""A few encoded photographs for what must be measured on images rather than on numbers: decoding, and agreement.

The photographs of the demo are taken where their package is installed; else JPEGs are generated whose frequencies fall
off as in photographs, so that they are neither empty nor noise to the decoder.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from harness.data.catalog import get_benchmark
from harness.data.local import open_dataset
from harness.data.locations import locate
from harness.errors import MissingInputError
from harness.models.preprocessing import Preprocessing
from harness.parsing.images import load_image
from harness.runtime.decoding import Pixels

PHOTOGRAPHS = "foolbox-imagenet-20"
_GENERATED, _WIDTH, _HEIGHT, _QUALITY = 16, 500, 375, 90
"""500 × 375 is a common size of ImageNet's photographs."""


@dataclass(frozen=True)
class SampleImages:
    """Encoded images."""

    encoded: tuple[bytes, ...]
    description: str
    """What they are, for a protocol."""

    def decoded(self, preprocessing: Preprocessing) -> Pixels:
        """Position -> decoded and preprocessed pixels, as the engine takes them; positions go round and round."""
        return lambda position: preprocessing.pixels(load_image(self.encoded[position % len(self.encoded)]))


def sample_images(cache: Path) -> SampleImages:
    """The demo's photographs, or generated JPEGs where they are not installed.

    Args:
        cache: folder of the fingerprints of data sets.
    """
    benchmark = get_benchmark(PHOTOGRAPHS)
    try:
        location = locate(benchmark, given=None, data_home=None, offline=True)
        dataset = open_dataset(benchmark, location, condition=None, cache=cache)
        encoded = tuple(dataset.read(position) for position in range(len(dataset.samples)))
        kind = "photographs"
    except MissingInputError:
        encoded = tuple(_generated(seed) for seed in range(_GENERATED))
        kind = "generated JPEGs (quality 90, frequencies falling off as 1/f)"
    return SampleImages(encoded, f"{len(encoded)} {kind}, {_sizes(encoded)}")


def _sizes(encoded: tuple[bytes, ...]) -> str:
    """Width, height and bytes."""
    sizes = sorted({load_image(data).size for data in encoded})
    (width, height), kilobytes = sizes[0], np.mean([len(data) for data in encoded]) / 1000
    span = f"{width} × {height}" if len(sizes) == 1 else f"{width} × {height} to {sizes[-1][0]} × {sizes[-1][1]}"
    return f"{span} pixels, {kilobytes:.0f} kB on average"


def _generated(seed: int) -> bytes:
    """A JPEG of coloured noise whose amplitude falls off as 1/f, as that of photographs does (Field 1987)."""
    generator = np.random.default_rng(seed)
    spectrum = np.fft.rfft2(generator.standard_normal((3, _HEIGHT, _WIDTH)))
    rows, columns = np.fft.fftfreq(_HEIGHT)[:, None], np.fft.rfftfreq(_WIDTH)[None, :]
    smooth = np.fft.irfft2(spectrum / np.maximum(np.hypot(rows, columns), 1 / _WIDTH), s=(_HEIGHT, _WIDTH))
    scaled = 128 + 48 * (smooth - smooth.mean()) / smooth.std()
    buffer = io.BytesIO()
    Image.fromarray(np.clip(scaled, 0, 255).astype(np.uint8).transpose(1, 2, 0)).save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()
