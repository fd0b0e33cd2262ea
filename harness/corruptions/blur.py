"""Blur: defocus, glass, motion, zoom and Gaussian (Hendrycks and Dietterich 2019, section 4; parameters from the
authors' make_imagenet_c.py)."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from harness.corruptions.filters import gaussian, line_blur, linear_zoom_axis, motion_kernel, to_byte, truncated
from harness.corruptions.picture import SIDE, Bytes, Floats, Integers, Picture
from harness.corruptions.randomness import Stream, Words

_NEGLIGIBLE_WEIGHT = 1e-12


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


@functools.cache
def _plan_disk(radius: int, alias_blur: float) -> tuple[Floats, Integers, Integers]:
    """A disk kernel, which is symmetric about both axes, as ``_convolve_disk`` takes it.

    Returns its weights from the centre outwards, float32 (reach + 1, reach + 1); how many of each row, from the left,
    are the disk's own, which the smoothing left as they were; and how many of each row are not negligible.
    """
    kernel = disk_kernel(radius, alias_blur)
    reach = kernel.shape[0] // 2
    quarter = np.ascontiguousarray(kernel[reach:, reach:])
    whole = np.isclose(quarter, quarter[0, 0], rtol=1e-6, atol=0)
    return quarter, whole.sum(axis=1), (quarter > _NEGLIGIBLE_WEIGHT).sum(axis=1)


@njit(cache=True, nogil=True, error_model="numpy")
def _convolve_disk(rows: NDArray[np.uint16], quarter: Floats, plateau: Integers, extents: Integers, out: Bytes) -> None:
    """Convolve with a symmetric kernel; ``rows`` (height + 2 * reach, (width + 2 * reach) * 3) are the mirrored picture's.

    The plateau is summed in 16 bits, which are enough for the 257 pixels that no disk here exceeds, and weighted once.
    """
    height, width, channels = out.shape
    length = width * channels
    reach = quarter.shape[0] - 1
    margin = reach * channels
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


def defocus_blur(picture: Picture, _: None, radius: int, alias_blur: float) -> Bytes:
    """Convolve with a disk whose edge is smoothed by a Gaussian of standard deviation ``alias_blur`` (pixels)."""
    quarter, plateau, extents = _plan_disk(radius, alias_blur)
    reach = quarter.shape[0] - 1
    mirrored = cv2.copyMakeBorder(picture.base, reach, reach, reach, reach, cv2.BORDER_REFLECT_101)
    out = np.empty_like(picture.base)
    _convolve_disk(mirrored.reshape(len(mirrored), -1).astype(np.uint16), quarter, plateau, extents, out)
    return out


def draw_glass(stream: Stream, _: float, reach: int, rounds: int) -> Words:
    """One word for each visit of the shuffle, uint32 (rounds, side, side), in the order of the visits."""
    side = SIDE - 2 * reach
    return stream.words(rounds * side * side).reshape(rounds, side, side)


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


def glass_blur(picture: Picture, words: Words, sigma: float, reach: int, rounds: int) -> Bytes:
    """Blur, move pixels about by offsets in [-reach, reach), in ``rounds`` visits of all pixels, blur again.

    The authors mean to swap a pixel with its neighbour, but ``a, b = b, a`` on views of NumPy rows copies the
    neighbour to the pixel and leaves the neighbour as it is; the official files have that, and so has this. A word's
    upper half gives the offset to the side, its lower half the offset down; the probability of an offset is off by
    less than 2**-16.
    """
    moved = truncated(gaussian(picture.floats, sigma))
    _shuffle(moved, words, reach)
    return truncated(gaussian(moved.astype(np.float32), sigma))


def draw_motion(stream: Stream, *_: float) -> float:
    """The direction of the motion, degrees, uniform in [-45, 45)."""
    return stream.one(-45, 45)


def motion_blur(picture: Picture, angle: float, radius: int, sigma: float) -> Bytes:
    """Blur along a line by ImageMagick's motion blur, which rounds to the nearest byte and so isn't truncated.

    ``radius`` and ``sigma`` are those of half a Gaussian, pixels, of 2 * radius + 1 taps.
    """
    return line_blur(picture.base, *motion_kernel(radius, sigma, angle))


@functools.cache
def _plan_zoom(zooms: tuple[tuple[float, float], ...]) -> tuple[Integers, Floats, Integers]:
    """The zoom factors of a set of severities, without repetition: the lower source pixel of each target pixel, int64
    (factors, 224); the weight of the one after it; and which factors each severity has, int64 (severities, factors)."""
    series = [np.arange(1, stop, step) for stop, step in zooms]
    factors = np.unique(np.concatenate(series))
    lower, weights = zip(*(linear_zoom_axis(SIDE, factor) for factor in factors), strict=True)
    member = np.stack([np.isin(factors, one) for one in series]).astype(np.int64)
    return np.stack(lower), np.stack(weights), member


@njit(cache=True, nogil=True, error_model="numpy")
def _zoom_rows(picture: Floats, lower: Integers, weights: Floats, member: Integers) -> Bytes:
    """Mean of the picture and its enlargements, for each severity, uint8 (severities, 224, 224, 3).

    An enlargement is computed once and added, in the order of the factors, to every severity that has it.
    """
    severities, factors = member.shape
    height, width, _ = picture.shape
    length = width * 3
    rows = picture.reshape(height, length)
    out = np.empty((severities, height, width, 3), dtype=np.uint8)
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
    return out


def zoom_blur_severities(picture: Picture, zooms: Sequence[tuple[float, float]]) -> list[Bytes]:
    """The zoom blur of several severities at once; the same bits as one by one."""
    return list(_zoom_rows(picture.floats, *_plan_zoom(tuple(zooms))))


def zoom_blur(picture: Picture, _: None, stop: float, step: float) -> Bytes:
    """Mean of the picture and its enlargements about the centre by factors from 1 to below ``stop``; it counts twice."""
    return zoom_blur_severities(picture, [(stop, step)])[0]


def gaussian_blur(picture: Picture, _: None, sigma: float) -> Bytes:
    """Convolve with a Gaussian of standard deviation ``sigma`` pixels, cut off at 4 sigma; the border is repeated."""
    return truncated(gaussian(picture.floats, sigma))
