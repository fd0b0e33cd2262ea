"""The base picture that corruptions start from, with what several of them need of it computed once."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Integers = NDArray[np.int64]

SIDE = 224
SHAPE = (SIDE, SIDE, 3)


class Picture:
    """A base picture and its derived forms, each computed when first asked for.

    Args:
        base: RGB, uint8 (224, 224, 3); copied.

    Raises:
        ValueError: the array has another shape or dtype.
    """

    def __init__(self, base: Bytes) -> None:
        if base.shape != SHAPE or base.dtype != np.uint8:
            raise ValueError(f"a base picture is uint8 {SHAPE}, not {base.dtype} {base.shape}")
        self.base = np.array(base, order="C")

    @functools.cached_property
    def floats(self) -> Floats:
        """The picture as float32 (224, 224, 3), 0 to 255."""
        return self.base.astype(np.float32)

    @functools.cached_property
    def channel_extremes(self) -> tuple[Bytes, Bytes]:
        """The highest and the lowest channel of each pixel, uint8 (224, 224, 3) each, repeated along the last axis."""
        red, green, blue = np.moveaxis(self.base, 2, 0)
        highest = np.maximum(np.maximum(red, green), blue)
        lowest = np.minimum(np.minimum(red, green), blue)
        return np.repeat(highest[..., np.newaxis], 3, axis=2), np.repeat(lowest[..., np.newaxis], 3, axis=2)

    @functools.cached_property
    def channel_means(self) -> Doubles:
        """Mean of each channel, (3,), 0 to 255."""
        return np.asarray(self.base.reshape(-1, 3).sum(axis=0, dtype=np.int64) / (SIDE * SIDE))
