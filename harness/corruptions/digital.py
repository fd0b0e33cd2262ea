"""Digital: contrast, elastic transform, pixelation, JPEG and saturation (Hendrycks and Dietterich 2019, section 4;
parameters from the authors' make_imagenet_c.py)."""

from __future__ import annotations

import functools
from io import BytesIO

import numpy as np
from numba import njit
from PIL import Image

from harness.corruptions.filters import gaussian_taps, sample_bilinear, separable_blur, to_byte, truncated
from harness.corruptions.picture import SIDE, Bytes, Doubles, Floats, Picture
from harness.corruptions.randomness import Stream

_ELASTIC_TRUNCATE = 3.0
_HALF = SIDE // 2
_DENSE_RADIUS = SIDE // 4
_WAVES = 32


@njit(cache=True, nogil=True, error_model="numpy")
def _look_up(base: Bytes, table: Bytes) -> Bytes:
    out = np.empty_like(base)
    pixels, target = base.reshape(-1, 3), out.reshape(-1, 3)
    for i in range(pixels.shape[0]):
        target[i, 0] = table[pixels[i, 0], 0]
        target[i, 1] = table[pixels[i, 1], 1]
        target[i, 2] = table[pixels[i, 2], 2]
    return out


def contrast(picture: Picture, _: None, share: float) -> Bytes:
    """Bring every value nearer to its channel's mean; ``share`` of the distance is left."""
    means = picture.channel_means
    values = (np.arange(256)[:, np.newaxis] - means) * share + means
    return _look_up(picture.base, truncated(values.astype(np.float32)))


def draw_elastic(stream: Stream, *_: float) -> tuple[Doubles, Floats]:
    """Movement of the three anchors (3, 2), x before y, and displacement of the pixels to the right and down before
    smoothing, float32 (2, 224, 224); both in [-1, 1)."""
    return stream.uniform(-1, 1, (3, 2)), stream.uniform(-1, 1, (2, SIDE, SIDE)).astype(np.float32)


@functools.cache
def _folded_gaussian(sigma: float) -> tuple[Floats, Floats]:
    """The Gaussian filter of one axis with mirrored borders as two matrices, float32 (112, 112), on half of a signal that
    is even about the middle and of one that is odd: the filter is symmetric and leaves either as it is."""
    taps = gaussian_taps(sigma, _ELASTIC_TRUNCATE).astype(np.float64)
    radius = taps.size - 1
    reach = np.arange(-radius, radius + 1)
    source = (np.arange(SIDE)[:, np.newaxis] + reach) % (2 * SIDE)
    source = np.where(source < SIDE, source, 2 * SIDE - 1 - source)
    matrix = np.zeros((SIDE, SIDE))
    np.add.at(matrix, (np.arange(SIDE)[:, np.newaxis], source), taps[np.abs(reach)])
    near, far = matrix[:_HALF, :_HALF], matrix[:_HALF, : _HALF - 1 : -1]
    return (near + far).astype(np.float32), (near - far).astype(np.float32)


@njit(cache=True, nogil=True, error_model="numpy")
def _multiply(left: Floats, right: Floats) -> Floats:
    """Matrix product in a fixed order, which a BLAS does not promise; of an even number of rows, inner size 4 k."""
    rows, inner = left.shape
    columns = right.shape[1]
    out = np.zeros((rows, columns), dtype=np.float32)
    for row in range(0, rows, 2):
        sums, next_sums = out[row], out[row + 1]
        weights, next_weights = left[row], left[row + 1]
        for k in range(0, inner, 4):
            line_0, line_1, line_2, line_3 = right[k], right[k + 1], right[k + 2], right[k + 3]
            a_0, a_1, a_2, a_3 = weights[k], weights[k + 1], weights[k + 2], weights[k + 3]
            b_0, b_1, b_2, b_3 = next_weights[k], next_weights[k + 1], next_weights[k + 2], next_weights[k + 3]
            for x in range(columns):
                value_0, value_1, value_2, value_3 = line_0[x], line_1[x], line_2[x], line_3[x]
                sums[x] += (a_0 * value_0 + a_1 * value_1) + (a_2 * value_2 + a_3 * value_3)
                next_sums[x] += (b_0 * value_0 + b_1 * value_1) + (b_2 * value_2 + b_3 * value_3)
    return out


def _smooth(fields: Floats, sigma: float) -> Floats:
    """Gaussian filter of two fields (2, 224, 224), cut off at 3 sigma, mirrored at the border: as a matrix where the kernel
    reaches over much of the picture, by the few waves that it leaves where it reaches beyond."""
    taps = gaussian_taps(sigma, _ELASTIC_TRUNCATE)
    if taps.size <= _DENSE_RADIUS:
        return np.stack([separable_blur(field[..., np.newaxis], taps, True)[..., 0] for field in fields])
    if taps.size > 2 * SIDE:
        return np.stack([_smooth_by_waves(field, sigma) for field in fields])
    columns_done = (_smooth_columns(field, sigma) for field in fields)
    return np.array([_smooth_columns(np.ascontiguousarray(field.T), sigma).T for field in columns_done], order="C")


@functools.cache
def _wave_filter(sigma: float) -> tuple[Floats, Floats, Floats]:
    """The waves of the discrete cosine transform, float32 (32, 224) and as (224, 32), which the mirrored Gaussian filter of
    one axis only scales, and the products of two waves' scales, float32 (32, 32)."""
    taps = gaussian_taps(sigma, _ELASTIC_TRUNCATE).astype(np.float64)
    order = np.arange(_WAVES)[:, np.newaxis]
    waves = np.cos(np.pi / SIDE * order * (np.arange(SIDE) + 0.5)) * np.sqrt(np.where(order, 2.0, 1.0) / SIDE)
    scales = taps[0] + 2 * np.cos(np.pi / SIDE * order * np.arange(1, taps.size)) @ taps[1:]
    lines = waves.astype(np.float32)
    return lines, np.ascontiguousarray(lines.T), np.outer(scales, scales).astype(np.float32)


def _smooth_by_waves(field: Floats, sigma: float) -> Floats:
    """The filter of a wide kernel; what is left out at sigma 171 moves a pixel by 0.001 pixels, root mean square."""
    lines, columns, scales = _wave_filter(sigma)
    amounts = _multiply(_multiply(lines, field), columns)
    return _multiply(_multiply(columns, amounts * scales), lines)


def _smooth_columns(field: Floats, sigma: float) -> Floats:
    for_even, for_odd = _folded_gaussian(sigma)
    upper, lower = field[:_HALF], field[: _HALF - 1 : -1]
    even = _multiply(for_even, upper + lower)
    odd = _multiply(for_odd, upper - lower)
    half = np.float32(0.5)
    return np.concatenate([half * (even + odd), (half * (even - odd))[::-1]])


def _inverse_affine(anchors: Doubles, reach: float) -> Doubles:
    """The map from target to source (2, 3): OpenCV's ``warpAffine`` inverts the map of the anchors."""
    centre, span = np.float32(SIDE // 2), np.float32(SIDE // 3)
    start = np.array(
        [[centre + span, centre + span], [centre + span, centre - span], [centre - span, centre - span]], np.float64
    )
    end = start + anchors * reach
    return np.asarray(np.linalg.solve(np.column_stack([end, np.ones(3)]), start).T)


def elastic_transform(
    picture: Picture, draws: tuple[Doubles, Floats], strength: float, sigma: float, affine: float
) -> Bytes:
    """Warp by a random affine map, then displace each pixel by a smooth random field.

    The anchors of the map move by up to ``affine`` pixels along each axis; the field is smoothed by a Gaussian of
    ``sigma`` pixels and multiplied by ``strength`` pixels. The parameters keep the authors' 244 where 224 was meant, as
    the official files have it.
    """
    across = np.arange(SIDE, dtype=np.float32)[np.newaxis]
    down = np.arange(SIDE, dtype=np.float32)[:, np.newaxis]
    to_source = _inverse_affine(draws[0], affine).astype(np.float32)
    columns = to_source[0, 0] * across + to_source[0, 1] * down + to_source[0, 2]
    rows = to_source[1, 0] * across + to_source[1, 1] * down + to_source[1, 2]
    warped = sample_bilinear(picture.floats, rows, columns, False)
    shifts = _smooth(draws[1], sigma) * np.float32(strength)
    return truncated(sample_bilinear(warped, down + shifts[1], across + shifts[0], True))


def pixelate(picture: Picture, _: None, share: float) -> Bytes:
    """Shrink to ``share`` of the side by averaging over boxes, and enlarge again without interpolation.

    The authors enlarge with Pillow's box filter too, which, enlarging, takes the nearest pixel.
    """
    side = int(SIDE * share)
    small = Image.fromarray(picture.base).resize((side, side), Image.Resampling.BOX)
    return np.array(small.resize((SIDE, SIDE), Image.Resampling.NEAREST))


def jpeg_round_trip(pixels: Bytes, quality: int = 85) -> Bytes:
    """Encode as JPEG and decode again, with Pillow's defaults otherwise (4:2:0 chroma).

    Quality 85 is the storage step of the official ImageNet-C files.

    Args:
        pixels: RGB, uint8 (height, width, 3).
        quality: libjpeg's quality, 1 to 95.
    """
    stored = BytesIO()
    Image.fromarray(pixels).save(stored, "JPEG", quality=quality)
    return np.array(Image.open(stored))


def jpeg_compression(picture: Picture, _: None, quality: int) -> Bytes:
    """Store as JPEG at a low quality."""
    return jpeg_round_trip(picture.base, quality)


@njit(cache=True, nogil=True, error_model="numpy")
def _saturate(base: Bytes, highest: Bytes, lowest: Bytes, factor: float, offset: float) -> Bytes:
    out = np.empty_like(base)
    gain, shift = np.float32(factor), np.float32(offset)
    pixels, peaks, floors, target = base.reshape(-1), highest.reshape(-1), lowest.reshape(-1), out.reshape(-1)
    for i in range(pixels.size):
        value = np.float32(peaks[i])
        spread = value - np.float32(floors[i])
        saturation = spread / max(value, np.float32(1))
        changed = min(max(saturation * gain + shift, np.float32(0)), np.float32(1))
        red = np.float32(0 if i % 3 == 0 else 1)
        share = (value - np.float32(pixels[i])) / spread if spread > 0 else red
        target[i] = to_byte(value - value * changed * share)
    return out


def saturate(picture: Picture, _: None, factor: float, offset: float) -> Bytes:
    """Multiply the saturation in HSV space and add to it, at the same hue and value; a grey pixel has the hue of red."""
    return _saturate(picture.base, *picture.channel_extremes, factor, offset)
