"""Linear filters and small pixel kernels that several corruptions share.

Pictures are (height, width, channels) arrays. Every kernel is compiled without reassociation or fused operations,
so that it gives the same bits on every machine, and releases the interpreter lock.

The authors' scripts compute in double precision in [0, 1] and then truncate to bytes; here it is single precision
in [0, 255]. Where the exact result is a whole number, theirs falls to either side of it by accident of rounding.
``to_byte`` takes the whole number itself: values less than ``WHOLE_NUMBER_GUARD`` below it count as it.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from harness.corruptions.picture import Bytes, Floats, Integers

WHOLE_NUMBER_GUARD = np.float32(2.0**-10)
_ZERO = np.float32(0)
_WHITE = np.float32(255)


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def to_byte(value: np.float32) -> np.uint8:
    """Clip a float32 to [0, 255] and truncate it to uint8, whole numbers guarded."""
    return np.uint8(np.int32(min(max(value, _ZERO), _WHITE) + WHOLE_NUMBER_GUARD))


@njit(cache=True, nogil=True, error_model="numpy")
def truncated(values: Floats) -> Bytes:
    """A contiguous float32 array as uint8 of the same shape, each value as ``to_byte`` does."""
    out = np.empty(values.shape, dtype=np.uint8)
    flat_in, flat_out = values.ravel(), out.ravel()
    for i in range(flat_in.size):
        flat_out[i] = to_byte(flat_in[i])
    return out


def gaussian_taps(sigma: float, truncate_at: float) -> Floats:
    """Weights of a sampled Gaussian from its centre outwards, float32 (radius + 1,); the whole kernel sums to 1.

    The radius is int(truncate_at * sigma + 0.5), as in SciPy's ``gaussian_filter1d``.
    """
    radius = int(truncate_at * sigma + 0.5)
    weights = np.exp(-0.5 * (np.arange(radius + 1) / sigma) ** 2)
    return (weights / (weights[0] + 2 * weights[1:].sum())).astype(np.float32)


@njit(cache=True, nogil=True, error_model="numpy")
def _border_index(index: int, length: int, reflect: bool) -> int:
    """Where a row beyond the border is read: the nearest row, or (d c b a | a b c d | d c b a)."""
    if not reflect:
        return min(max(index, 0), length - 1)
    index = index % (2 * length)
    return index if index < length else 2 * length - 1 - index


@njit(cache=True, nogil=True, error_model="numpy")
def separable_blur(picture: Floats, taps: Floats, reflect: bool) -> Floats:
    """Filter a float32 (height, width, channels) array with a symmetric kernel along both axes.

    ``taps`` are the weights from the centre outwards. Beyond the border stands the nearest pixel, or, with
    ``reflect``, the picture mirrored about its edge.
    """
    height, width, channels = picture.shape
    length = width * channels
    radius = taps.size - 1
    rows = picture.reshape(height, length)
    out = np.empty((height, width, channels), dtype=np.float32)
    out_rows = out.reshape(height, length)
    row_sums = np.empty(length, dtype=np.float32)
    padded = np.empty(length + 2 * radius * channels, dtype=np.float32)
    for y in range(height):
        centre = rows[y]
        for x in range(length):
            row_sums[x] = taps[0] * centre[x]
        for k in range(1, radius + 1):
            above, below = rows[_border_index(y - k, height, reflect)], rows[_border_index(y + k, height, reflect)]
            weight = taps[k]
            for x in range(length):
                row_sums[x] += weight * (above[x] + below[x])
        inner = padded[radius * channels : radius * channels + length]
        for x in range(length):
            inner[x] = row_sums[x]
        for k in range(radius):
            left = _border_index(k - radius, width, reflect) * channels
            right = _border_index(width + k, width, reflect) * channels
            for channel in range(channels):
                padded[k * channels + channel] = inner[left + channel]
                padded[(radius + width + k) * channels + channel] = inner[right + channel]
        target = out_rows[y]
        for x in range(length):
            target[x] = taps[0] * inner[x]
        for k in range(1, radius + 1):
            left_part = padded[(radius - k) * channels : (radius - k) * channels + length]
            right_part = padded[(radius + k) * channels : (radius + k) * channels + length]
            weight = taps[k]
            for x in range(length):
                target[x] += weight * (left_part[x] + right_part[x])
    return out


def gaussian(picture: Floats, sigma: float, *, reflect: bool = False) -> Floats:
    """Filter with a Gaussian cut off at 4 sigma, the default of ``skimage.filters.gaussian``, which the authors call."""
    return separable_blur(picture, gaussian_taps(sigma, 4.0), reflect)


def motion_kernel(radius: int, sigma: float, angle: float) -> tuple[Floats, Integers]:
    """Weights (float32) and (row, column) offsets of ImageMagick's motion blur, of 2 * radius + 1 taps.

    One half of a Gaussian lies along a line from the pixel in direction ``angle`` (degrees), each tap rounded to a
    whole pixel (ImageMagick, ``MotionBlurImage`` and ``GetMotionBlurKernel`` in effect.c).
    """
    steps = np.arange(2 * radius + 1)
    weights = np.exp(-(steps**2) / (2.0 * sigma**2))
    end = steps.size * np.array([math.sin(math.radians(angle)), math.cos(math.radians(angle))])
    offsets = np.ceil(steps[:, np.newaxis] * end / math.hypot(*end) - 0.5).astype(np.int64)
    return (weights / weights.sum()).astype(np.float32), offsets


@njit(cache=True, nogil=True, error_model="numpy")
def line_blur(picture: Bytes, weights: Floats, offsets: Integers) -> Bytes:
    """Weighted sum of shifted copies of a uint8 (height, width, channels) array, rounded to uint8.

    Tap k reads the pixel at ``offsets[k]`` (row, column) from the one that is written, or the nearest one inside.
    """
    height, width, channels = picture.shape
    length = width * channels
    margin = np.abs(offsets[:, 1]).max()
    rows = np.empty((height, length + 2 * margin * channels), dtype=np.float32)
    for y in range(height):
        source = picture[y].reshape(-1)
        inner = rows[y, margin * channels : margin * channels + length]
        for x in range(length):
            inner[x] = np.float32(source[x])
        for x in range(margin * channels):
            rows[y, x] = np.float32(source[x % channels])
            rows[y, margin * channels + length + x] = np.float32(source[length - channels + x % channels])
    out = np.empty((height, width, channels), dtype=np.uint8)
    sums = np.empty(length, dtype=np.float32)
    starts = (margin + offsets[:, 1]) * channels
    last = height - 1
    for y in range(height):
        sums[:] = np.float32(0.5)
        for k in range(weights.size):
            tap = rows[min(max(y + offsets[k, 0], 0), last)][starts[k] : starts[k] + length]
            weight = weights[k]
            for x in range(length):
                sums[x] += weight * tap[x]
        target = out[y].reshape(-1)
        for x in range(length):
            target[x] = to_byte(sums[x])
    return out


def linear_zoom_axis(size: int, factor: float) -> tuple[Integers, Floats]:
    """How one axis of ``size`` pixels is cropped about its centre and enlarged by ``factor`` to ``size`` again.

    Returns the lower source pixel of each target pixel, int64 (size,), and the weight of the one after it, float32.
    The crop has ceil(size / factor) pixels; it is enlarged as SciPy's ``zoom`` of order 1 does, the centres of the
    end pixels fixed, and its excess is cut off evenly (``clipped_zoom`` in the authors' make_imagenet_c.py).
    """
    crop = math.ceil(size / factor)
    first = (size - crop) // 2
    enlarged = round(crop * factor)
    trim = (enlarged - size) // 2
    position = np.arange(trim, trim + size) * ((crop - 1) / (enlarged - 1))
    lower = np.minimum(np.floor(position).astype(np.int64), max(crop - 2, 0))
    return first + lower, (position - lower).astype(np.float32)


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _mirrored(position: np.float32, last: np.float32, beyond: np.float32) -> np.float32:
    """A position moved to where the mirrored picture has the same value; ``beyond`` is 0.5 about the edge, else 0."""
    period = np.float32(2) * (last + np.float32(2) * beyond)
    turned = (position + beyond) - period * np.floor((position + beyond) / period)
    inside = min(max(min(turned, period - turned) - beyond, _ZERO), last)
    return inside if (position < _ZERO) | (position > last) else position


@njit(cache=True, nogil=True, error_model="numpy")
def sample_bilinear(picture: Floats, rows: Floats, columns: Floats, about_edge: bool) -> Floats:
    """Read a float32 (height, width, 3) picture at fractional positions, linearly.

    ``rows`` and ``columns`` are float32 arrays of one shape (height, width); the result has three channels. Beyond
    the border the picture is mirrored: about its edge (d c b a | a b c d | d c b a), or, with ``about_edge`` false,
    about its outermost pixels (d c b | a b c d | c b a).
    """
    height, width = picture.shape[0], picture.shape[1]
    length = rows.shape[1]
    out = np.empty((rows.shape[0], length, 3), dtype=np.float32)
    flat = picture.reshape(-1)
    last_row, last_column = np.float32(height - 1), np.float32(width - 1)
    beyond = np.float32(0.5) if about_edge else _ZERO
    corners = np.empty(length, dtype=np.int32)
    downs, acrosses = np.empty(length, dtype=np.float32), np.empty(length, dtype=np.float32)
    # Unsigned indices spare the compiled code the test for negative ones.
    one, two, three = np.uint64(1), np.uint64(2), np.uint64(3)
    stride = np.uint64(width * 3)
    for y in range(rows.shape[0]):
        # Two loops, of which the first runs over several pixels at once.
        row_positions, column_positions, target = rows[y], columns[y], out[y].reshape(-1)
        for x in range(length):
            row = _mirrored(row_positions[x], last_row, beyond)
            column = _mirrored(column_positions[x], last_column, beyond)
            top, left = min(np.int32(row), np.int32(height - 2)), min(np.int32(column), np.int32(width - 2))
            downs[x], acrosses[x] = row - np.float32(top), column - np.float32(left)
            corners[x] = (top * np.int32(width) + left) * np.int32(3)
        for x in range(length):
            down, across = downs[x], acrosses[x]
            a = np.uint64(corners[x])
            b = a + stride
            upper_0 = flat[a] + across * (flat[a + three] - flat[a])
            upper_1 = flat[a + one] + across * (flat[a + three + one] - flat[a + one])
            upper_2 = flat[a + two] + across * (flat[a + three + two] - flat[a + two])
            lower_0 = flat[b] + across * (flat[b + three] - flat[b])
            lower_1 = flat[b + one] + across * (flat[b + three + one] - flat[b + one])
            lower_2 = flat[b + two] + across * (flat[b + three + two] - flat[b + two])
            pixel = np.uint64(x * 3)
            target[pixel] = upper_0 + down * (lower_0 - upper_0)
            target[pixel + one] = upper_1 + down * (lower_1 - upper_1)
            target[pixel + two] = upper_2 + down * (lower_2 - upper_2)
    return out
