"""Noise: Gaussian, shot, impulse and speckle (Hendrycks and Dietterich 2019, section 4; parameters from the authors'
make_imagenet_c.py)."""

from __future__ import annotations

import functools

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.special import pdtr

from harness.corruptions.filters import truncated
from harness.corruptions.picture import SHAPE, Bytes, Floats, Picture
from harness.corruptions.randomness import Stream, Words

_GUIDE_BITS = 8


def draw_normal_field(stream: Stream, _: float) -> Floats:
    """One standard normal value a channel and pixel, float32 (224, 224, 3)."""
    return stream.normal(SHAPE)


def draw_words(stream: Stream, _: float) -> Words:
    """One random word a channel and pixel, uint32 (224, 224, 3); word / 2**32 is uniform in [0, 1)."""
    return stream.words(int(np.prod(SHAPE))).reshape(SHAPE)


def gaussian_noise(picture: Picture, field: Floats, deviation: float) -> Bytes:
    """Add normal noise of the given standard deviation, in units of the full range."""
    return truncated(picture.floats + np.float32(255.0 * deviation) * field)


def speckle_noise(picture: Picture, field: Floats, deviation: float) -> Bytes:
    """Add normal noise whose standard deviation is ``deviation`` times the pixel."""
    return truncated(picture.floats + picture.floats * (np.float32(deviation) * field))


@functools.cache
def _poisson_tables(photons: float) -> tuple[NDArray[np.uint64], Bytes, Bytes]:
    """For each of the 256 pixel values the words at which the photon count grows (256, photons + 1), the last beyond all;
    the count at the start of each of 256 word ranges (256, 256); and the byte of each count, white at ``photons``."""
    counts = np.arange(int(photons))
    rates = np.arange(256) / 255.0 * photons
    cumulative = pdtr(counts[np.newaxis], rates[:, np.newaxis])
    thresholds = np.full((256, counts.size + 1), 1 << 32, dtype=np.uint64)
    thresholds[:, :-1] = np.ceil(cumulative * 2.0**32)
    starts = np.arange(1 << _GUIDE_BITS, dtype=np.uint64) << np.uint64(32 - _GUIDE_BITS)
    guide = np.stack([np.searchsorted(row, starts, side="right") for row in thresholds])
    byte_of_count = (np.minimum(np.arange(int(photons) + 1) / photons, 1.0) * 255).astype(np.uint8)
    return thresholds, guide.astype(np.uint8), byte_of_count


@njit(cache=True, nogil=True, error_model="numpy")
def _count_photons(base: Bytes, words: Words, thresholds: NDArray[np.uint64], guide: Bytes, bytes_: Bytes) -> Bytes:
    out = np.empty_like(base)
    flat, draws, target = base.ravel(), words.ravel(), out.ravel()
    for i in range(flat.size):
        pixel = flat[i]
        word = np.uint64(draws[i])
        count = np.uint64(guide[pixel, word >> np.uint64(32 - _GUIDE_BITS)])
        # One step without a branch, which few words need to exceed, keeps the processor from guessing wrong.
        count += np.uint64(word >= thresholds[pixel, count])
        while word >= thresholds[pixel, count]:
            count += np.uint64(1)
        target[i] = bytes_[count]
    return out


def shot_noise(picture: Picture, words: Words, photons: float) -> Bytes:
    """Replace each value by a Poisson count whose mean is ``photons`` at white, by inverting its distribution.

    A word w gives the least count k with P(count <= k) > w / 2**32.
    """
    return _count_photons(picture.base, words, *_poisson_tables(photons))


def impulse_noise(picture: Picture, words: Words, amount: float) -> Bytes:
    """Set a share ``amount`` of all channel values to white or black, as often the one as the other.

    The authors call scikit-image's ``random_noise(mode="s&p")``, which draws one uniform for whether a value is
    replaced and another for which way; here one word decides both: white below amount / 2, black below amount.
    """
    salt, pepper = np.uint32(round(amount * 2.0**31)), np.uint32(round(amount * 2.0**32))
    return np.where(words < salt, np.uint8(255), np.where(words < pepper, np.uint8(0), picture.base))
