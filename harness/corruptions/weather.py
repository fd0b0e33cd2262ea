"""Weather: snow, frost, fog, brightness and spatter (Hendrycks and Dietterich 2019, section 4; parameters from the
authors' make_imagenet_c.py)."""

from __future__ import annotations

import functools
import hashlib
import math
from pathlib import Path

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from harness.corruptions.filters import gaussian, line_blur, linear_zoom_axis, motion_kernel, to_byte, truncated
from harness.corruptions.picture import SIDE, Bytes, Doubles, Floats, Integers, Picture
from harness.corruptions.randomness import Stream
from harness.errors import MissingInputError
from harness.labels.spaces import installed_folder

_PLASMA_SIDE = 256

# The five textures that the authors' script draws from, as its repository and both imagecorruptions packages have them.
_FROST_SHA256 = {
    "frost1.png": "ff9f907860bd7a835d459e32f9d588062b7f61ee267343cc7222b56753a14755",
    "frost2.png": "fe211a89b336999c207a852ce05818d4545d0b57c5beadd824b4cc9d9a9b6137",
    "frost3.png": "2d0d50b4a9bb213f38b024ef7768731bb83cc08d2f26b5766bbc167cdfa0e504",
    "frost4.jpg": "3f8b91ca1a9fa7167b09e773da53f5ae60d0a1fd88f02a783f6e328a72887f6e",
    "frost5.jpg": "5fc6a19df4a429ba68abdcc8f8a4278d4c9f81c9ccafd2c92ab0c8cf8992ebd2",
}
_FROST_REMEDY = "Install the package that carries them: pip install imagecorruptions-imaug"


def draw_snow(stream: Stream, mean: float, deviation: float, zoom: float, *_: float) -> tuple[Floats, float]:
    """Standard normal values of the flakes' field, float32 (side, side) with side = ceil(224 / zoom), and the direction
    of the fall, degrees in [-135, -45).

    The authors draw 224 x 224 values and crop them before the enlargement; the values outside are never seen and
    not drawn here.
    """
    side = math.ceil(SIDE / zoom)
    return stream.normal((side, side)), stream.one(-135, -45)


@functools.cache
def _flake_axis(zoom: float) -> tuple[Integers, Floats]:
    lower, weights = linear_zoom_axis(SIDE, zoom)
    return lower - (SIDE - math.ceil(SIDE / zoom)) // 2, weights


@njit(cache=True, nogil=True, error_model="numpy")
def _flakes(field: Floats, lower: Integers, weights: Floats, threshold: float) -> Bytes:
    """Enlarge the field, cut it at the threshold and truncate it to uint8 (224, 224, 1)."""
    side = lower.size
    out = np.empty((side, side, 1), dtype=np.uint8)
    between = np.empty(field.shape[1], dtype=np.float32)
    cut = np.float32(threshold)
    for y in range(side):
        upper, under = field[lower[y]], field[lower[y] + 1]
        for x in range(between.size):
            between[x] = upper[x] + weights[y] * (under[x] - upper[x])
        for x in range(side):
            left = between[lower[x]]
            value = left + weights[x] * (between[lower[x] + 1] - left)
            out[y, x, 0] = to_byte(value * np.float32(255)) if value >= cut else np.uint8(0)
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def _snow_over(base: Bytes, flakes: Bytes, scene: float) -> Bytes:
    out = np.empty_like(base)
    kept = np.float32(scene)
    whitened = np.float32(1) - kept
    pixels, fallen, target = base.reshape(-1), flakes.reshape(-1), out.reshape(-1)
    # Unsigned indices spare the compiled code the test for negative ones.
    one, two, three, last = np.uint64(1), np.uint64(2), np.uint64(3), np.uint64(fallen.size - 1)
    for i in range(np.uint64(fallen.size)):
        r, g, b = three * i, three * i + one, three * i + two
        red, green, blue = np.float32(pixels[r]), np.float32(pixels[g]), np.float32(pixels[b])
        grey = np.float32(0.299) * red + np.float32(0.587) * green + np.float32(0.114) * blue
        white = grey * np.float32(1.5) + np.float32(127.5)
        snow = np.float32(np.int32(fallen[i]) + np.int32(fallen[last - i]))
        target[r] = to_byte(kept * red + whitened * max(red, white) + snow)
        target[g] = to_byte(kept * green + whitened * max(green, white) + snow)
        target[b] = to_byte(kept * blue + whitened * max(blue, white) + snow)
    return out


def snow(picture: Picture, draws: tuple[Floats, float], *parameters: float) -> Bytes:
    """Whiten the scene and let one layer of flakes fall over it twice, the second time turned by 180 degrees.

    Args:
        parameters: mean and standard deviation of the flakes' field; how much it is enlarged, which is the size of the
            flakes; the threshold below which there is none; radius and standard deviation of their motion blur, pixels;
            share of the picture that is not whitened.
    """
    mean, deviation, zoom, threshold, radius, sigma, scene = parameters
    field, angle = draws
    flakes = _flakes(np.float32(mean) + np.float32(deviation) * field, *_flake_axis(zoom), threshold)
    flakes = line_blur(flakes, *motion_kernel(int(radius), sigma, angle))
    return _snow_over(picture.base, flakes, scene)


def draw_frost(stream: Stream, *_: float) -> tuple[int, Doubles]:
    """The texture, and the place of the crop as shares [0, 1) of the rows and columns at which it can begin."""
    return int(stream.integers(0, len(_FROST_SHA256), 1)[0]), stream.uniform(0, 1, (2,))


@functools.cache
def frost_textures() -> tuple[Bytes, ...]:
    """The authors' five textures, RGB uint8, from the installed ``imagecorruptions`` package.

    They are photographs of unstated origin inside Apache-2.0 packages, so this project does not carry copies. The
    package is only looked up, not imported. The authors ship a sixth texture, which their script never draws.

    Raises:
        MissingInputError: the package is absent, or a texture is absent or other than the authors'.
    """
    folder = installed_folder("imagecorruptions")
    if folder is None:
        raise MissingInputError("The corruption 'frost' needs the authors' textures.", remedy=_FROST_REMEDY)
    return tuple(_read_texture(folder / "frost" / name, digest) for name, digest in _FROST_SHA256.items())


def _read_texture(path: Path, digest: str) -> Bytes:
    content = path.read_bytes() if path.is_file() else b""
    if hashlib.sha256(content).hexdigest() != digest:
        raise MissingInputError(f"{path} is not the authors' frost texture.", remedy=_FROST_REMEDY)
    decoded = np.asarray(cv2.imdecode(np.frombuffer(content, dtype=np.uint8), cv2.IMREAD_COLOR))
    return np.ascontiguousarray(decoded[..., ::-1])


def frost(picture: Picture, draws: tuple[int, Doubles], scene: float, ice: float) -> Bytes:
    """Add a random crop of a random texture, weighted by ``ice``, to the picture, weighted by ``scene``."""
    texture = frost_textures()[draws[0]]
    row, column = (int(share * (side - SIDE)) for share, side in zip(draws[1], texture.shape, strict=False))
    crop = texture[row : row + SIDE, column : column + SIDE]
    return truncated(np.float32(scene) * picture.floats + np.float32(ice) * crop.astype(np.float32))


def draw_fog(stream: Stream, *_: float) -> Doubles:
    """Uniform values in [-1, 1) for all points of the fractal but its corner, in the order of its levels."""
    return stream.uniform(-1, 1, (_PLASMA_SIDE * _PLASMA_SIDE - 1,))


@njit(cache=True, nogil=True, error_model="numpy")
def plasma_fractal(draws: Doubles, decay: float) -> Doubles:
    """A height map by the diamond-square algorithm on a torus, float64 (256, 256), scaled to [0, 1].

    ``draws`` (65535,) are uniform in [-1, 1). At each level they go to the squares' centres, then to the midpoints
    of the squares' upper edges, then to those of their left edges. From level to level the amplitude is divided by
    ``decay``. The authors multiply an amplitude ("wibble", 100
    at the start) into a draw that they already scale by it, so it counts squared.
    """
    side = _PLASMA_SIDE
    wrap = side - 1
    heights = np.zeros((side, side))
    amplitude = 100.0
    step = side
    drawn = 0
    while step >= 2:
        half = step // 2
        scale = amplitude * amplitude
        for y in range(0, side, step):
            for x in range(0, side, step):
                below, right = (y + step) & wrap, (x + step) & wrap
                corners = (heights[y, x] + heights[below, x]) + (heights[y, right] + heights[below, right])
                heights[y + half, x + half] = corners / 4 + scale * draws[drawn]
                drawn += 1
        for y in range(0, side, step):
            for x in range(0, side, step):
                centres = heights[y + half, x + half] + heights[(y - half) & wrap, x + half]
                ends = heights[y, x] + heights[y, (x + step) & wrap]
                heights[y, x + half] = (centres + ends) / 4 + scale * draws[drawn]
                drawn += 1
        for y in range(0, side, step):
            for x in range(0, side, step):
                centres = heights[y + half, x + half] + heights[y + half, (x - half) & wrap]
                ends = heights[y, x] + heights[(y + step) & wrap, x]
                heights[y + half, x] = (centres + ends) / 4 + scale * draws[drawn]
                drawn += 1
        step = half
        amplitude /= decay
    lowest, highest = heights.min(), heights.max()
    span = highest - lowest
    for y in range(side):
        for x in range(side):
            heights[y, x] = (heights[y, x] - lowest) / span
    return heights


def fog(picture: Picture, draws: Doubles, density: float, decay: float) -> Bytes:
    """Add a plasma fractal and scale back, so that the brightest value of the picture can't be exceeded."""
    weight, highest = 255.0 * density, float(picture.base.max())
    added = (weight * plasma_fractal(draws, decay)[:SIDE, :SIDE]).astype(np.float32)
    return truncated((picture.floats + added[..., np.newaxis]) * np.float32(highest / (highest + weight)))


def brightness(picture: Picture, _: None, amount: float) -> Bytes:
    """Raise the value of each pixel in HSV space, at the same hue and saturation.

    At fixed hue and saturation the channels are proportional to the value, so this scales them by new value over
    old; a black pixel becomes grey.
    """
    values = np.arange(256, dtype=np.float64)
    raised = np.minimum(values + 255.0 * amount, 255.0)
    ratios = np.divide(raised, values, out=np.zeros(256), where=values > 0).astype(np.float32)
    peaks = picture.channel_extremes[0]
    return truncated(np.where(peaks > 0, picture.floats * ratios[peaks], np.float32(raised[0])))


def draw_spatter(stream: Stream, *_: float) -> Floats:
    """A standard normal field, float32 (224, 224)."""
    return stream.normal((SIDE, SIDE))


def spatter(picture: Picture, field: Floats, *parameters: float) -> Bytes:
    """Splash pale turquoise water or brown mud over the picture.

    Args:
        parameters: mean and standard deviation of the liquid's field, and of the Gaussian that smooths it, pixels; the
            threshold below which it is dry; for water the opacity, for mud the standard deviation of a second Gaussian,
            pixels; whether it is mud.
    """
    mean, deviation, sigma, threshold, strength, mud = parameters
    liquid = gaussian((np.float32(mean) + np.float32(deviation) * field)[..., np.newaxis], sigma)[..., 0]
    liquid[liquid < threshold] = 0
    if mud:
        return _mud(picture, liquid > threshold, strength)
    return _water(picture, (liquid * 255).astype(np.uint8), strength)


_MUD = np.array([63, 42, 20], dtype=np.float32)
_WATER = np.array([175, 238, 238], dtype=np.float32)
_EMBOSS = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]], dtype=np.float32)


def _mud(picture: Picture, wet: NDArray[np.bool_], sigma: float) -> Bytes:
    opacity = gaussian(wet[..., np.newaxis].astype(np.float32), sigma)
    opacity[opacity < 0.8] = 0
    return truncated(picture.floats * (1 - opacity) + _MUD * opacity)


def _water(picture: Picture, liquid: Bytes, strength: float) -> Bytes:
    """Emboss the liquid by the distance from its edges; where there is none, the picture stays as it is."""
    distance = cv2.distanceTransform(255 - cv2.Canny(liquid, 50, 150), cv2.DIST_L2, 5)
    _, distance = cv2.threshold(distance, 20, 20, cv2.THRESH_TRUNC)
    relief = cv2.equalizeHist(cv2.blur(distance, (3, 3)).astype(np.uint8))
    relief = cv2.blur(cv2.filter2D(relief, cv2.CV_8U, _EMBOSS), (3, 3)).astype(np.float32)
    opacity = liquid * relief
    if opacity.max() > 0:
        opacity *= strength / opacity.max()
    return truncated(picture.floats + _WATER * opacity[..., np.newaxis])
