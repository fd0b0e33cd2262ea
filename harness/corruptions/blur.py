"""Blur: defocus, glass, motion, zoom and Gaussian (Hendrycks and Dietterich 2019, section 4; parameters from the
authors' make_imagenet_c.py)."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numba import njit

from harness.corruptions.filters import (
    Bytes,
    Floats,
    Integers,
    gaussian_taps,
    line_blur,
    linear_zoom_axis,
    motion_kernel,
    separable_blur,
    to_byte,
    truncated,
)
from harness.corruptions.picture import SIDE, Picture
from harness.corruptions.randomness import Stream, Words

_SKIMAGE_TRUNCATE = 4.0  # the default of skimage.filters.gaussian, which the authors call
_NEGLIGIBLE_WEIGHT = 1e-12


class Defocus(NamedTuple):
    """A defocused lens."""

    radius: int  # radius of the disk, pixels
    alias_blur: float  # standard deviation of the Gaussian that smooths the disk's edge, pixels


class Glass(NamedTuple):
    """A pane of frosted glass."""

    sigma: float  # standard deviation of the Gaussian before and after the shuffle, pixels
    reach: int  # offsets of the shuffle are drawn from [-reach, reach), pixels
    rounds: int  # how often all pixels are visited


class Motion(NamedTuple):
    """A moving camera."""

    radius: int  # radius of the half Gaussian along the line, pixels; it has 2 * radius + 1 taps
    sigma: float  # its standard deviation, pixels


class Zoom(NamedTuple):
    """A lens that zooms while the shutter is open."""

    stop: float  # zoom factors run from 1 to below this (as ``numpy.arange`` counts)
    step: float  # distance between zoom factors


@functools.cache
def disk_kernel(radius: int, alias_blur: float) -> Floats:
    """The authors' smoothed disk, float32 (side, side): side 17 up to radius 8, then 2 * radius + 1.

    A disk of total weight 1 is smoothed by a Gaussian of 3 x 3 weights (5 x 5 beyond radius 8), mirrored about the
    outermost weights, as OpenCV's ``GaussianBlur`` does by default.
    """
    reach, smoothing = (8, 1) if radius <= 8 else (radius, 2)
    axis = np.arange(-reach, reach + 1)
    disk = (axis[:, np.newaxis] ** 2 + axis**2 <= radius**2).astype(np.float64)
    disk /= disk.sum()
    taps = np.exp(-0.5 * (np.arange(-smoothing, smoothing + 1) / alias_blur) ** 2)
    taps /= taps.sum()
    for _ in range(2):
        padded = np.pad(disk, ((smoothing, smoothing), (0, 0)), mode="reflect")
        disk = np.sum([tap * padded[k : k + axis.size] for k, tap in enumerate(taps)], axis=0).T
    return np.asarray(disk, dtype=np.float32)


class _DiskPlan(NamedTuple):
    """A disk kernel as ``_convolve_disk`` takes it; the kernel is symmetric about both axes."""

    quarter: Floats  # weights from the centre outwards, float32 (reach + 1, reach + 1)
    plateau: Integers
    """How many weights of each of its rows, from the left, are the disk's own, which the smoothing left as they were."""
    extents: Integers  # how many of each row, from the left, are not negligible


@functools.cache
def _plan_disk(lens: Defocus) -> _DiskPlan:
    kernel = disk_kernel(*lens)
    reach = kernel.shape[0] // 2
    quarter = np.ascontiguousarray(kernel[reach:, reach:])
    whole = np.isclose(quarter, quarter[0, 0], rtol=1e-6, atol=0)
    return _DiskPlan(quarter, whole.sum(axis=1), (quarter > _NEGLIGIBLE_WEIGHT).sum(axis=1))


@njit(cache=True, nogil=True, error_model="numpy")
def _convolve_disk(base: Bytes, quarter: Floats, plateau: Integers, extents: Integers, out: Bytes) -> None:
    """Convolve with a symmetric kernel, the picture mirrored about its outermost pixels.

    The plateau is summed in 16 bits, which are enough for the 257 pixels that no disk here exceeds, and weighted once.
    """
    height, width, channels = base.shape
    length = width * channels
    reach = quarter.shape[0] - 1
    margin = reach * channels
    rows = np.empty((height + 2 * reach, length + 2 * margin), dtype=np.uint16)
    for y in range(height + 2 * reach):
        source = abs(y - reach)
        source = source if source < height else 2 * (height - 1) - source
        pixels, row = base[source].reshape(-1), rows[y]
        inner = row[margin : margin + length]
        for x in range(length):
            inner[x] = pixels[x]
        for x in range(1, reach + 1):
            for channel in range(channels):
                row[margin - x * channels + channel] = inner[x * channels + channel]
                row[margin + length + (x - 1) * channels + channel] = inner[length - (x + 1) * channels + channel]
    pair = np.empty(length + 2 * margin, dtype=np.uint16)
    pair_floats = np.empty(length + 2 * margin, dtype=np.float32)
    whole = np.empty(length, dtype=np.uint16)
    sums = np.empty(length, dtype=np.float32)
    for y in range(height):
        whole[:] = 0
        sums[:] = np.float32(0)
        for down in range(reach + 1):
            if extents[down] == 0:
                continue
            above, below = rows[y + reach - down], rows[y + reach + down]
            if down == 0:
                pair[:] = above
            else:
                for x in range(pair.size):
                    pair[x] = above[x] + below[x]
            if plateau[down]:
                centre = pair[margin : margin + length]
                for x in range(length):
                    whole[x] += centre[x]
            for across in range(1, plateau[down]):
                left = pair[margin - across * channels : margin - across * channels + length]
                right = pair[margin + across * channels : margin + across * channels + length]
                for x in range(length):
                    whole[x] += left[x] + right[x]
            if extents[down] == plateau[down]:
                continue
            for x in range(pair.size):
                pair_floats[x] = np.float32(np.int32(pair[x]))
            for across in range(plateau[down], extents[down]):
                left_floats = pair_floats[margin - across * channels : margin - across * channels + length]
                right_floats = pair_floats[margin + across * channels : margin + across * channels + length]
                weight = quarter[down, across] if across else np.float32(0.5) * quarter[down, 0]
                for x in range(length):
                    sums[x] += weight * (left_floats[x] + right_floats[x])
        target = out[y].reshape(-1)
        for x in range(length):
            target[x] = to_byte(sums[x] + quarter[0, 0] * np.float32(np.int32(whole[x])))


def defocus_blur(picture: Picture, _: None, lens: Defocus) -> Bytes:
    """Convolve with a disk whose edge is smoothed."""
    out = np.empty_like(picture.base)
    _convolve_disk(picture.base, *_plan_disk(lens), out)
    return out


def draw_glass(stream: Stream, glass: Glass) -> Words:
    """One word for each visit of the shuffle, uint32 (rounds, side, side), in the order of the visits."""
    side = SIDE - 2 * glass.reach
    return stream.words(glass.rounds * side * side).reshape(glass.rounds, side, side)


@njit(cache=True, nogil=True, error_model="numpy")
def _shuffle(picture: Bytes, words: Words, reach: int) -> None:
    """Visit the pixels from the lower right to the upper left and copy to each a pixel near it, in place."""
    height, width, _ = picture.shape
    flat = picture.reshape(-1)
    span = np.uint32(2 * reach)
    one, two = np.uint64(1), np.uint64(2)  # unsigned indices spare the compiled code the test for negative ones
    for round_ in range(words.shape[0]):
        for i in range(words.shape[1]):
            y = height - reach - i
            for j in range(words.shape[2]):
                x = width - reach - j
                word = words[round_, i, j]
                across = np.int64(((word >> np.uint32(16)) * span) >> np.uint32(16)) - reach
                down = np.int64(((word & np.uint32(0xFFFF)) * span) >> np.uint32(16)) - reach
                target = np.uint64((y * width + x) * 3)
                source = np.uint64(((y + down) * width + x + across) * 3)
                flat[target] = flat[source]
                flat[target + one] = flat[source + one]
                flat[target + two] = flat[source + two]


def glass_blur(picture: Picture, words: Words, glass: Glass) -> Bytes:
    """Blur, move pixels about, blur again.

    The authors mean to swap a pixel with its neighbour, but ``a, b = b, a`` on views of NumPy rows copies the
    neighbour to the pixel and leaves the neighbour as it is; the official files have that, and so has this. A word's
    upper half gives the offset to the side, its lower half the offset down; the probability of an offset is off by
    less than 2**-16.
    """
    taps = gaussian_taps(glass.sigma, _SKIMAGE_TRUNCATE)
    moved = truncated(separable_blur(picture.floats, taps, False))
    _shuffle(moved, words, glass.reach)
    return truncated(separable_blur(moved.astype(np.float32), taps, False))


def draw_motion(stream: Stream, _: Motion) -> float:
    """The direction of the motion, degrees, uniform in [-45, 45)."""
    return float(stream.uniform(-45, 45, (1,))[0])


def motion_blur(picture: Picture, angle: float, motion: Motion) -> Bytes:
    """Blur along a line by ImageMagick's motion blur, which rounds to the nearest byte and so isn't truncated."""
    return line_blur(picture.base, *motion_kernel(motion.radius, motion.sigma, angle))


class _ZoomPlan(NamedTuple):
    """What ``_zoom_rows`` needs for a set of severities: the zoom factors of all of them, without repetition."""

    lower: Integers  # lower source pixel of each target pixel, int64 (factors, 224)
    weights: Floats  # weight of the source pixel after it, float32 (factors, 224)
    member: Integers  # which factors each severity has, int64 (severities, factors)


@functools.cache
def _plan_zoom(zooms: tuple[Zoom, ...]) -> _ZoomPlan:
    series = [np.arange(1, zoom.stop, zoom.step) for zoom in zooms]
    factors = np.unique(np.concatenate(series))
    axes = [linear_zoom_axis(SIDE, factor) for factor in factors]
    return _ZoomPlan(
        np.stack([lower for lower, _ in axes]),
        np.stack([weight for _, weight in axes]),
        np.stack([np.isin(factors, one) for one in series]).astype(np.int64),
    )


@njit(cache=True, nogil=True, error_model="numpy")
def _zoom_rows(picture: Floats, lower: Integers, weights: Floats, member: Integers, out: Bytes) -> None:
    """Mean of the picture and its enlargements, for each severity; ``out`` is uint8 (severities, 224, 224, 3).

    An enlargement is computed once and added, in the order of the factors, to every severity that has it.
    """
    severities, factors = member.shape
    height, width, _ = picture.shape
    length = width * 3
    rows = picture.reshape(height, length)
    sums = np.empty((severities, length), dtype=np.float32)
    between = np.empty(length, dtype=np.float32)
    enlarged = np.empty(length, dtype=np.float32)
    for y in range(height):
        for severity in range(severities):
            sums[severity] = rows[y]
        for factor in range(factors):
            upper = rows[lower[factor, y]]
            under = rows[min(lower[factor, y] + 1, height - 1)]
            row_weight = weights[factor, y]
            for x in range(length):
                between[x] = upper[x] + row_weight * (under[x] - upper[x])
            for x in range(width):
                left = np.uint64(lower[factor, x] * 3)
                weight = weights[factor, x]
                enlarged[x * 3] = between[left] + weight * (between[left + 3] - between[left])
                enlarged[x * 3 + 1] = between[left + 1] + weight * (between[left + 4] - between[left + 1])
                enlarged[x * 3 + 2] = between[left + 2] + weight * (between[left + 5] - between[left + 2])
            for severity in range(severities):
                if member[severity, factor]:
                    total = sums[severity]
                    for x in range(length):
                        total[x] += enlarged[x]
        for severity in range(severities):
            scale = np.float32(1.0 / (member[severity].sum() + 1))
            for x in range(width):
                for channel in range(3):
                    out[severity, y, x, channel] = to_byte(sums[severity, x * 3 + channel] * scale)


def zoom_blur_severities(picture: Picture, zooms: Sequence[Zoom]) -> list[Bytes]:
    """The zoom blur of several severities at once; the same bits as one by one."""
    out = np.empty((len(zooms), *picture.base.shape), dtype=np.uint8)
    _zoom_rows(picture.floats, *_plan_zoom(tuple(zooms)), out)
    return list(out)


def zoom_blur(picture: Picture, _: None, zoom: Zoom) -> Bytes:
    """Mean of the picture and its enlargements about the centre, the picture itself counted twice."""
    return zoom_blur_severities(picture, [zoom])[0]


def gaussian_blur(picture: Picture, _: None, sigma: float) -> Bytes:
    """Convolve with a Gaussian of standard deviation ``sigma`` pixels, cut off at 4 sigma; the border is repeated."""
    return truncated(separable_blur(picture.floats, gaussian_taps(sigma, _SKIMAGE_TRUNCATE), False))
