"""From an image to its corrupted pixels, by name and severity."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

from harness.corruptions.picture import SIDE, Bytes, Picture
from harness.corruptions.randomness import Stream
from harness.corruptions.registry import Corruption, find
from harness.parsing.images import resized

PROTOCOL_VERSION = "2"
"""Goes into the keys of stored predictions; raised whenever any corrupted pixel changes."""

_RESIZED = 256


def base_crop(image: Image.Image) -> Bytes:
    """The authors' steps before corruption: RGB, shorter side 256 (bilinear), central 224 x 224.

    Sizes are rounded as torchvision's ``Resize(256)`` and ``CenterCrop(224)`` round them, which the authors' scripts
    call; an image whose shorter side is 256 is not resampled.

    Returns:
        uint8 (224, 224, 3).
    """
    image = image.convert("RGB")
    width, height = image.size
    shorter = min(width, height)
    if shorter != _RESIZED:
        width, height = int(_RESIZED * width / shorter), int(_RESIZED * height / shorter)
        image = resized(image, (width, height), Image.Resampling.BILINEAR)
    left, top = round((width - SIDE) / 2), round((height - SIDE) / 2)
    return np.array(image.crop((left, top, left + SIDE, top + SIDE)))


def corrupt(base: Bytes, name: str, severity: int, *, sample_id: str, seed: int = 0) -> Bytes:
    """Corrupt one base picture.

    Args:
        base: what ``base_crop`` gives, uint8 (224, 224, 3).
        name: a corruption of ``REGISTRY``.
        severity: 1 to 5.
        sample_id: the sample's name; with the name, the severity and the seed it decides all randomness.
        seed: a whole number.

    Returns:
        uint8 (224, 224, 3), not shared with ``base``.

    Raises:
        HarnessError: the name or the severity is unknown, or the frost textures are not installed.
        ValueError: ``base`` has another shape or dtype.
    """
    return next(corrupt_cells(base, [(name, severity)], sample_id=sample_id, seed=seed))


def corrupt_cells(base: Bytes, cells: Sequence[tuple[str, int]], *, sample_id: str, seed: int = 0) -> Iterator[Bytes]:
    """Corrupt one base picture in many ways, sharing what they have in common; the same bits as ``corrupt`` one by one.

    Args:
        base: uint8 (224, 224, 3).
        cells: (corruption, severity) pairs.
        sample_id: as for ``corrupt``.
        seed: as for ``corrupt``.

    Yields:
        uint8 (224, 224, 3) for each cell, in order.

    Raises:
        HarnessError, ValueError: as for ``corrupt``; names and severities are checked before anything is computed.
    """
    corruptions = [find(name, severity) for name, severity in cells]
    return _generate(Picture(base), cells, corruptions, sample_id, seed)


def _generate(
    picture: Picture, cells: Sequence[tuple[str, int]], corruptions: Sequence[Corruption], sample_id: str, seed: int
) -> Iterator[Bytes]:
    several: dict[str, dict[int, Bytes]] = {}
    for (name, severity), corruption in zip(cells, corruptions, strict=True):
        parameters = corruption.at(severity)
        if corruption.apply_to_severities is None:
            draws = corruption.draw and corruption.draw(Stream(sample_id, name, severity, seed), *parameters)
            yield corruption.apply(picture, draws, *parameters)
            continue
        if name not in several:
            wanted = sorted({s for n, s in cells if n == name})
            results = corruption.apply_to_severities(picture, [corruption.at(s) for s in wanted])
            several[name] = dict(zip(wanted, results, strict=True))
        yield several[name][severity].copy()
