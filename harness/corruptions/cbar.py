"""The ten corruptions of ImageNet-C-bar (Mintun et al. 2021, "On interaction between augmentations and corruptions in
natural corruption robustness", arXiv 2102.11273; parameters from the authors' imagenet_c_bar.csv, definitions from
their corrupt.py).

A corruption's strength is the authors' severity value, which runs on a scale to 10. They seed a second generator
inside a corruption where it needs many values; here all values come from the one stream. Sines, powers and Fourier
transforms are the platform's own, so a last bit may differ between machines; after truncation to bytes that shows
about once in 10**10 values.
"""

from __future__ import annotations

import math

import numpy as np
import scipy.fft
from numba import njit

from harness.corruptions.filters import gaussian
from harness.corruptions.picture import SIDE, Bytes, Doubles, Floats, Integers, Picture
from harness.corruptions.randomness import Stream

_AXIS = np.arange(SIDE)
_FREQUENCY = np.hypot(_AXIS[:, np.newaxis] - SIDE / 2, _AXIS - SIDE / 2)  # distance from the lowest, in the middle
_GREY = 128
_SPARKLES = 5
_RAY_SPREAD = 0.25  # standard deviation of a ray's length, in radii
_PERLIN_LATTICE = 256
_PERLIN_CELL = 32.0  # pixels a lattice cell, at 224 pixels
_PERLIN_OCTAVES = 5  # frequencies 1, 2, 4, 8, 16
_REFRACTIVE_INDEX = 4.0


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _byte(value: float) -> np.uint8:
    return np.uint8(min(max(value, 0.0), 255.0))


def draw_phases(stream: Stream, _: float) -> Doubles:
    """Phases of half the frequencies, float64 (1, 224, 112), in [0, 2 pi)."""
    return stream.uniform(0, 2 * math.pi, (1, SIDE, SIDE // 2))


def draw_phases_of_channels(stream: Stream, _: float) -> Doubles:
    """Phases of half the frequencies for each channel, float64 (3, 224, 112), in [0, 2 pi)."""
    return stream.uniform(0, 2 * math.pi, (3, SIDE, SIDE // 2))


def _noise_of_spectrum(amplitude: Doubles, phases: Doubles) -> Doubles:
    """Noise with the given amplitude at each frequency and random phases, (224, 224), standard deviation 1."""
    # The authors turn the phases by 180 degrees and don't negate them: not the spectrum of a real signal.
    full = np.concatenate((phases, phases[::-1, ::-1]), axis=1)
    spectrum = scipy.fft.ifftshift(amplitude * np.exp(1j * full))
    noise = scipy.fft.ifft2(spectrum).real
    return np.asarray(noise / noise.std())


def blue_noise_sample(picture: Picture, phases: Doubles, strength: float) -> Bytes:
    """Blacken the pixels where blue noise, whose amplitude grows with frequency, is at or below a threshold."""
    noise = _noise_of_spectrum(_FREQUENCY, phases[0])
    kept = noise > 0.3 * strength - 2.5
    return np.asarray(picture.base * kept[..., np.newaxis])


def brownish_noise(picture: Picture, phases: Doubles, strength: float) -> Bytes:
    """Add noise whose amplitude falls with the square of frequency, drawn for each channel."""
    amplitude = 1 / (_FREQUENCY**2 + 1)
    noise = np.stack([_noise_of_spectrum(amplitude, channel) for channel in phases], axis=2)
    return np.clip(picture.base + 6.4 * strength * noise, 0, 255).astype(np.uint8)


def draw_wave(stream: Stream, _: float) -> tuple[float, float, float]:
    """Frequencies to the right and down, radians a pixel, one in [-pi, pi), the other no larger; and a phase."""
    first = stream.one(-math.pi, math.pi)
    second = stream.one(-abs(first), abs(first))
    across, down = (second, first) if stream.integers(0, 2, 1)[0] == 1 else (first, second)
    return across, down, stream.one(0, 2 * math.pi)


def single_frequency_greyscale(picture: Picture, wave: tuple[float, float, float], strength: float) -> Bytes:
    """Add a grey plane wave."""
    across, down, phase = wave
    noise = np.sin(_AXIS * across + _AXIS[:, np.newaxis] * down + phase)
    return np.clip(picture.base + 19.6 * strength * noise[..., np.newaxis], 0, 255).astype(np.uint8)


def draw_rings(stream: Stream, _: float) -> tuple[float, ...]:
    """Column and row of the centre, lobes a turn, their amplitude, and the distance between rings (all in pixels)."""
    column, row = stream.uniform(0, SIDE, (2,)).tolist()
    lobes, wobble = stream.one(0, 10), stream.one(0, SIDE / 10)
    return column, row, lobes, wobble, SIDE / 10 - stream.one(0, SIDE / 10)  # not 0, by which the rings are divided


@njit(cache=True, nogil=True, error_model="numpy")
def _rings(column: float, row: float, lobes: float, wobble: float, width: float) -> Doubles:
    """Sawtooth rings whose radius wobbles with the angle, (224, 224), -0.5 to 0.5."""
    out = np.empty((SIDE, SIDE))
    for y in range(SIDE):
        for x in range(SIDE):
            angle = math.atan2(x - column, y - row) * lobes
            distance = math.sqrt((x - column) ** 2 + (y - row) ** 2) + math.sin(angle) * wobble
            out[y, x] = (distance % width) / width - 0.5
    return out


def cocentric_sine_waves(picture: Picture, rings: tuple[float, ...], strength: float) -> Bytes:
    """Add grey rings about a random centre (the authors' spelling of the name is kept)."""
    noise = _rings(*rings)[..., np.newaxis]
    return np.clip(picture.base + 12.8 * strength * noise, 0, 255).astype(np.uint8)


def draw_plasma(stream: Stream, _: float) -> tuple[float, int, float, float]:
    """Where on its path the pattern stands, [0, 6 pi); 4 to 6 folds; sharpness, 0.5 to 1; pixels a unit."""
    time, folds = stream.one(0, 6 * math.pi), int(stream.integers(4, 7, 1)[0])
    return time, folds, stream.one(0.5, 1), stream.one(0.075, 0.2) * SIDE


@njit(cache=True, nogil=True, error_model="numpy")
def _plasma_over(base: Bytes, time: float, folds: int, sharpness: float, scale: float, weight: float) -> Bytes:
    out = np.empty_like(base)
    kept = 1 - weight / 255
    for y in range(SIDE):
        for x in range(SIDE):
            across, down = x / scale, y / scale
            frequency, slowness, damping = 1.0, 1.0, 1.0
            for _ in range(folds):
                first = math.cos(down * frequency + time / slowness) / damping
                second = math.sin(across * frequency + time / slowness) / damping
                across += first - 0.3 * second
                down += second + 0.3 * first
                frequency *= 1.93
                slowness *= 1.15
                damping *= 2.25 - sharpness
            red = math.sin(across - time)
            green = math.sin((across + down + math.sin(time)) * 0.5)
            blue = math.sin(down + time)
            out[y, x, 0] = _byte(kept * base[y, x, 0] + weight * red)
            out[y, x, 1] = _byte(kept * base[y, x, 1] + weight * green)
            out[y, x, 2] = _byte(kept * base[y, x, 2] + weight * blue)
    return out


def plasma_noise(picture: Picture, plasma: tuple[float, int, float, float], strength: float) -> Bytes:
    """Mix in a coloured interference pattern whose coordinates are folded several times."""
    return _plasma_over(picture.base, *plasma, 6.4 * strength)


Sparkle = tuple[float, float, Doubles]
"""A star of rays: row and column of its centre, and the standard normal value of each ray, which sets its length."""


def _draw_sparkle(stream: Stream, low: float, high: float) -> Sparkle:
    row, column = stream.uniform(low, high, (2,)).tolist()
    return row, column, stream.normal((int(stream.integers(50, 200, 1)[0]),)).astype(np.float64)


def draw_sparkles(stream: Stream, _: float) -> list[Sparkle]:
    """Five stars anywhere in the picture, each of 50 to 199 rays."""
    return [_draw_sparkle(stream, 0, SIDE) for _ in range(_SPARKLES)]


def draw_inverse_sparkle(stream: Stream, _: float) -> Sparkle:
    """One star in the middle half of the picture."""
    return _draw_sparkle(stream, 0.25 * SIDE, 0.75 * SIDE)


@njit(cache=True, nogil=True, error_model="numpy")
def _glow(row: float, column: float, lengths: Doubles, exponent: float, dimmed: Doubles) -> None:
    """Multiply ``dimmed`` (224, 224) by what one star leaves of the darkness: 0 in the glare, 1 far off."""
    rays = lengths.size
    for y in range(SIDE):
        for x in range(SIDE):
            squared = (y - row) ** 2 + (x - column) ** 2
            turn = (math.atan2(x - column, y - row) + math.pi) / (2 * math.pi) * rays
            ray = int(turn)
            between = turn - ray
            low = lengths[ray % rays]
            length = low + between * (lengths[(ray + 1) % rays] - low)
            glow = (1 - (between - 0.5) ** 2) * (length**2 / (squared + 1e-4)) ** exponent
            dimmed[y, x] *= 1 - min(max(glow, 0.0), 1.0)


def sparkles(picture: Picture, stars: list[Sparkle], strength: float) -> Bytes:
    """Outshine the picture with five white stars."""
    radius = 0.01 * strength * SIDE
    dimmed = np.ones((SIDE, SIDE))
    for row, column, rays in stars:
        _glow(row, column, np.maximum(1, radius + _RAY_SPREAD * radius * rays), 1.0, dimmed)
    return np.clip(255 - (255.0 - picture.base) * dimmed[..., np.newaxis], 0, 255).astype(np.uint8)


def inverse_sparkles(picture: Picture, star: Sparkle, strength: float) -> Bytes:
    """Show the picture within one star only, white around it."""
    row, column, rays = star
    radius = 0.25 * SIDE
    dimmed = np.ones((SIDE, SIDE))
    _glow(row, column, radius + _RAY_SPREAD * radius * rays, 6.5 * strength / 50, dimmed)
    return np.clip(255 - (255.0 - picture.base) * (1 - dimmed[..., np.newaxis]), 0, 255).astype(np.uint8)


def draw_perlin(stream: Stream, _: float) -> tuple[Integers, Doubles]:
    """A shuffled hash of a sum of hash and lattice coordinate, repeated twice, (512,), and unit gradients (256, 2).

    The authors divide a null gradient, one in 2**18, by its length and get a picture of NaN; here it stays null.
    """
    size = _PERLIN_LATTICE
    vectors = stream.integers(-size, size, 2 * size).reshape(size, 2) / size
    gradients = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    permutation = np.arange(size)
    for i, j in zip(range(size - 1, -1, -1), stream.integers(0, size, size), strict=True):
        permutation[i], permutation[j] = permutation[j], permutation[i]
    return np.resize(permutation, 2 * size), gradients


@njit(cache=True, nogil=True, error_model="numpy")
def _perlin(across: float, down: float, hashes: Integers, gradients: Doubles) -> float:
    left, top = int(across) % _PERLIN_LATTICE, int(down) % _PERLIN_LATTICE
    right, bottom = (left + 1) % _PERLIN_LATTICE, (top + 1) % _PERLIN_LATTICE
    from_left, from_top = across % 1, down % 1
    ease_across = from_left**2 * (3.0 - 2.0 * from_left)
    ease_down = from_top**2 * (3.0 - 2.0 * from_top)
    g00, g10 = hashes[hashes[left] + top], hashes[hashes[right] + top]
    g01, g11 = hashes[hashes[left] + bottom], hashes[hashes[right] + bottom]
    first = from_left * gradients[g00, 0] + from_top * gradients[g00, 1]
    second = (from_left - 1) * gradients[g10, 0] + from_top * gradients[g10, 1]
    upper = first + ease_across * (second - first)
    first = from_left * gradients[g01, 0] + (from_top - 1) * gradients[g01, 1]
    second = (from_left - 1) * gradients[g11, 0] + (from_top - 1) * gradients[g11, 1]
    lower = first + ease_across * (second - first)
    return 1.5 * (upper + ease_down * (lower - upper))


@njit(cache=True, nogil=True, error_model="numpy")
def _turbulence_over(base: Bytes, hashes: Integers, gradients: Doubles, weight: float) -> Bytes:
    out = np.empty_like(base)
    for y in range(SIDE):
        for x in range(SIDE):
            turbulence = 0.0
            for octave in range(_PERLIN_OCTAVES):
                frequency = 2.0**octave
                noise = _perlin(frequency * y / _PERLIN_CELL, frequency * x / _PERLIN_CELL, hashes, gradients)
                turbulence += abs(noise) / frequency
            grey = 255 * weight * min(max(0.5 * turbulence + 0.5, 0.0), 1.0)
            for channel in range(3):
                out[y, x, channel] = _byte((1 - weight) * base[y, x, channel] + grey)
    return out


def perlin_noise(picture: Picture, lattice: tuple[Integers, Doubles], strength: float) -> Bytes:
    """Mix in grey Perlin turbulence of five octaves."""
    return _turbulence_over(picture.base, *lattice, 0.05 * strength)


def draw_checkers(stream: Stream, _: float) -> tuple[float, float, Doubles]:
    """Angle in radians, side of a square in pixels, and a value in [0, 1) for each of (squares, squares)."""
    angle, scale = stream.one(0, 2 * math.pi), stream.one(0.1, 0.25) * SIDE
    count = int(4 * SIDE // scale)
    return angle, scale, stream.uniform(0, 1, (count, count))


def checkerboard_cutout(picture: Picture, checkers: tuple[float, float, Doubles], strength: float) -> Bytes:
    """Cover a share of the squares of one colour of a turned checkerboard with grey.

    Squares at negative coordinates take their value from the other end of the table, and those between -1 and 1
    share one, since the authors index with coordinates truncated towards zero.
    """
    angle, scale, squares = checkers
    cosine, sine = np.cos(angle), np.sin(angle)
    first = (cosine * _AXIS[:, np.newaxis] + sine * _AXIS) / scale
    second = (-sine * _AXIS[:, np.newaxis] + cosine * _AXIS) / scale
    same_colour = (first % 2).astype(int) == (second % 2).astype(int)
    covered = same_colour & (squares < 0.1 * strength)[first.astype(int), second.astype(int)]
    return np.where(covered[..., np.newaxis], np.uint8(_GREY), picture.base)


def draw_caustics(stream: Stream, _: float) -> tuple[float, float]:
    """Time, 0.5 to 2, and pixels a period."""
    return stream.one(0.5, 2), stream.one(0.75, 1.25) * SIDE


@njit(cache=True, nogil=True, error_model="numpy")
def _caustic_light(time: float, size: float) -> Doubles:
    """Brightness of the pool's floor, float64 (224, 224), 0 to 1."""
    out = np.empty((SIDE, SIDE))
    for y in range(SIDE):
        for x in range(SIDE):
            # The constant is the authors' rounding of 2 pi.
            down = (y / size % 1) * 6.28318530718 - 250
            across = (x / size % 1) * 6.28318530718 - 250
            first, second = down, across
            light = 1.0
            for n in range(5):
                moment = time * (1.0 - 3.5 / (n + 1))
                turned = down + math.cos(moment - first) + math.sin(moment + second)
                second = across + math.sin(moment - second) + math.cos(moment + first)
                first = turned
                down_part = down / (math.sin(first + moment) / 0.005)
                across_part = across / (math.cos(second + moment) / 0.005)
                light += 1.0 / math.sqrt(down_part**2 + across_part**2)
            out[y, x] = min(abs(1.17 - (light / 5) ** 1.4) ** 8.0, 1.0)
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def _texel(base: Bytes, row: int, column: int, channel: int) -> float:
    if row < 0 or row >= SIDE or column < 0 or column >= SIDE:
        return 0.0
    return base[row, column, channel] / 255.0


@njit(cache=True, nogil=True, error_model="numpy")
def _refract_over(base: Bytes, light: Floats, reach: float, glare: float) -> Bytes:
    """Read each pixel through a surface whose slope is that of the light, and lighten it by the slope."""
    out = np.empty_like(base)
    for y in range(SIDE):
        for x in range(SIDE):
            left = float(light[y, x - 1]) if x > 0 else 0.0
            right = float(light[y, x + 1]) if x < SIDE - 1 else 0.0
            above = float(light[y - 1, x]) if y > 0 else 0.0
            below = float(light[y + 1, x]) if y < SIDE - 1 else 0.0
            slope_down, slope_across = below - above, right - left
            steepness = math.sqrt(slope_down**2 + slope_across**2)
            upright = 1 / math.sqrt(steepness**2 + 1)
            shift_down, shift_across = 0.0, 0.0
            if upright < 1.0 - 1e-3:
                # The refracted ray in the plane of normal and vertical, turned back to the picture's axes.
                tilt = math.asin(steepness * upright / _REFRACTIVE_INDEX)
                along = upright * (math.cos(tilt) - math.sin(tilt) / steepness)
                shift_down = round(along * slope_down * reach, 3)
                shift_across = round(along * slope_across * reach, 3)
            row, column = y + shift_down, x + shift_across
            top, first = math.floor(row), math.floor(column)
            row_weight, column_weight = row - top, column - first
            for channel in range(3):
                upper = _texel(base, top, first, channel) * (1 - column_weight)
                upper += _texel(base, top, first + 1, channel) * column_weight
                lower = _texel(base, top + 1, first, channel) * (1 - column_weight)
                lower += _texel(base, top + 1, first + 1, channel) * column_weight
                value = upper * (1 - row_weight) + lower * row_weight + (left - right + slope_down) * glare
                out[y, x, channel] = _byte(255 * min(max(value, 0.0), 1.0))
    return out


def caustic_refraction(picture: Picture, caustics: tuple[float, float], strength: float) -> Bytes:
    """See the picture through wavy water: displaced by refraction, lightened and darkened by the waves."""
    light = gaussian(_caustic_light(*caustics).astype(np.float32)[..., np.newaxis], 1.0, reflect=True)[..., 0]
    return _refract_over(picture.base, light, 0.05 * strength * SIDE, 0.2 * strength)
