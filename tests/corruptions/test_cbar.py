"""ImageNet-C-bar against its definitions, written out a second time: whole pictures in NumPy, or single pixels.

No package has these corruptions. The definitions are those of Mintun et al. 2021 and of the authors' corrupt.py.
"""

from __future__ import annotations

import cmath
import math

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from harness.corruptions import cbar
from harness.corruptions.names import IMAGENET_C_BAR, SEVERITIES
from harness.corruptions.picture import Picture
from harness.corruptions.randomness import Stream
from harness.corruptions.registry import REGISTRY
from tests.corruptions.conftest import drawn

ROWS, COLUMNS = np.mgrid[0:224, 0:224]


def assert_same(ours: np.ndarray, theirs: np.ndarray) -> None:
    """Within 1/255 everywhere, and equal but for values that are whole numbers before truncation."""
    difference = np.abs(ours.astype(int) - np.clip(theirs, 0, 255).astype(np.uint8))
    assert difference.max() <= 1
    assert np.mean(difference > 0) < 0.002


def test_the_strengths_are_the_authors():
    # imagenet_c_bar.csv: the mildest and the strongest severity of each.
    ends = {name: (REGISTRY[name].parameters[0], REGISTRY[name].parameters[-1]) for name in IMAGENET_C_BAR}
    assert ends == {
        "blue_noise_sample": (0.8, 5.6),
        "brownish_noise": (1, 5),
        "caustic_refraction": (2.35, 9.15),
        "checkerboard_cutout": (2, 6),
        "cocentric_sine_waves": (3, 10),
        "inverse_sparkles": (1, 10),
        "perlin_noise": (4.6, 8.8),
        "plasma_noise": (4.75, 10),
        "single_frequency_greyscale": (1, 5),
        "sparkles": (1, 6),
    }


@pytest.mark.parametrize("severity", SEVERITIES)
def test_single_frequency_greyscale(severity, photographs):
    (across, down, phase), ours, (strength,) = drawn("single_frequency_greyscale", severity, photographs[0])
    noise = np.imag(np.exp(1j * (across * COLUMNS + down * ROWS + phase)))
    assert_same(ours, photographs[0] + 196 * strength / 10 * noise[..., np.newaxis])
    assert max(abs(across), abs(down)) <= math.pi


def test_the_larger_frequency_is_as_often_across_as_down():
    waves = [cbar.draw_wave(Stream(i), 1.0) for i in range(400)]
    first = sum(abs(across) > abs(down) for across, down, _ in waves)
    assert 160 < first < 240  # 200 expected, standard deviation 10


@pytest.mark.parametrize("severity", SEVERITIES)
def test_cocentric_sine_waves(severity, photographs):
    (column, row, lobes, wobble, width), ours, (strength,) = drawn("cocentric_sine_waves", severity, photographs[0])
    away = (COLUMNS - column) * 1j + (ROWS - row)
    wobbled = np.abs(away) + np.sin(np.angle(away) * lobes) * wobble
    noise = wobbled / width - np.floor(wobbled / width) - 0.5
    assert_same(ours, photographs[0] + 128 * strength / 10 * noise[..., np.newaxis])


@pytest.mark.parametrize("severity", SEVERITIES)
def test_plasma_noise(severity, photographs):
    (t, folds, sharpness, scale), ours, (strength,) = drawn("plasma_noise", severity, photographs[0])
    x, y = COLUMNS / scale, ROWS / scale
    # The three factors of the k-th fold, in closed form.
    for fold in range(folds):
        shift = t / 1.15**fold
        turn = np.stack([np.cos(y * 1.93**fold + shift), np.sin(x * 1.93**fold + shift)])
        turn /= (2.25 - sharpness) ** fold
        x, y = x + turn[0] - 0.3 * turn[1], y + turn[1] + 0.3 * turn[0]
    noise = np.stack([np.sin(x - t), np.sin((x + y + np.sin(t)) / 2), np.sin(y + t)], axis=2)
    weight = 64 * strength / 10
    assert_same(ours, (1 - weight / 255) * photographs[0] + weight * noise)


def _glow(row: float, column: float, lengths: np.ndarray, exponent: float) -> np.ndarray:
    turn = (np.arctan2(COLUMNS - column, ROWS - row) + np.pi) / (2 * np.pi) * lengths.size
    ray = np.floor(turn).astype(int)
    length = np.interp(turn, np.arange(lengths.size + 1), np.append(lengths, lengths[0]))
    fall = (length**2 / ((ROWS - row) ** 2 + (COLUMNS - column) ** 2 + 1e-4)) ** exponent
    return np.clip((1 - (turn - ray - 0.5) ** 2) * fall, 0, 1)[..., np.newaxis]


@pytest.mark.parametrize("severity", SEVERITIES)
def test_sparkles(severity, photographs):
    stars, ours, (strength,) = drawn("sparkles", severity, photographs[0])
    assert len(stars) == 5
    theirs = photographs[0].astype(float)
    for row, column, rays in stars:
        assert 50 <= rays.size < 200
        radius = 0.1 * strength / 10 * 224
        theirs += _glow(row, column, np.maximum(1, radius * (1 + 0.25 * rays)), 1) * (255 - theirs)
    assert_same(ours, theirs)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_inverse_sparkles(severity, photographs):
    (row, column, rays), ours, (strength,) = drawn("inverse_sparkles", severity, photographs[0])
    assert all(56 <= place < 168 for place in (row, column))
    amount = 100 - 65 * strength / 10
    shown = _glow(row, column, 56 * (1 + 0.25 * rays), (100 - amount) / 50)
    assert_same(ours, 255 + shown * (photographs[0].astype(float) - 255))


@pytest.mark.parametrize("severity", SEVERITIES)
def test_checkerboard_cutout(severity, photographs):
    (angle, scale, squares), ours, (strength,) = drawn("checkerboard_cutout", severity, photographs[0])
    turned = (ROWS + 1j * COLUMNS) * cmath.exp(-1j * angle) / scale
    first, second = turned.real, turned.imag
    candidate = (np.floor(first) + np.floor(second)) % 2 == 0
    covered = squares[np.trunc(first).astype(int), np.trunc(second).astype(int)] < strength / 10
    theirs = np.where((candidate & covered)[..., np.newaxis], 128, photographs[0])
    assert np.mean(ours != theirs) < 1e-4  # pixels on an edge, to the last bit
    changed = np.mean([drawn_share(i, strength, photographs[0]) for i in range(100)])
    assert changed == pytest.approx(strength / 20, abs=0.03)  # the covered share of one colour's half


def drawn_share(number: int, strength: float, base: np.ndarray) -> float:
    """The covered share of one picture under other draws."""
    draws = cbar.draw_checkers(Stream(number), strength)
    return float(np.mean(cbar.checkerboard_cutout(Picture(base), draws, strength) != base))


@pytest.mark.parametrize("severity", SEVERITIES)
def test_perlin_noise(severity, photographs):
    (permutation, gradients), ours, (strength,) = drawn("perlin_noise", severity, photographs[0])
    assert sorted(permutation[:256]) == list(range(256))
    assert np.allclose(np.linalg.norm(gradients, axis=1), 1)

    def noise(row: np.ndarray, column: np.ndarray) -> np.ndarray:
        cell_row, cell_column = np.floor(row).astype(int), np.floor(column).astype(int)
        ease_row, ease_column = (3 * t**2 - 2 * t**3 for t in (row - cell_row, column - cell_column))
        total = np.zeros_like(row)
        for i in (0, 1):
            for j in (0, 1):
                index = permutation[permutation[(cell_row + i) % 256] + (cell_column + j) % 256]
                offset = np.stack([row - cell_row - i, column - cell_column - j])
                ramp = np.einsum("k...,...k->...", offset, gradients[index])
                total += ramp * np.abs(1 - i - ease_row) * np.abs(1 - j - ease_column)
        return 1.5 * total

    turbulence = sum(np.abs(noise(f * ROWS / 32, f * COLUMNS / 32)) / f for f in (1, 2, 4, 8, 16))
    weight = strength * 0.5 / 10
    grey = np.clip(0.5 * turbulence + 0.5, 0, 1)[..., np.newaxis]
    assert_same(ours, (1 - weight) * photographs[0] + 255 * weight * grey)


def _slope(noise: np.ndarray) -> float:
    """Slope of log amplitude over log frequency, of frequencies that are neither rare nor at the corners."""
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(224), np.fft.fftfreq(224)))
    chosen = (frequency > 0.03) & (frequency < 0.45)
    amplitude = np.abs(np.fft.fft2(noise))[chosen]
    return float(np.polyfit(np.log(frequency[chosen]), np.log(amplitude + 1e-9), 1)[0])


def test_brownish_noise_has_its_strength_and_colour():
    grey = np.full((224, 224, 3), 128, dtype=np.uint8)
    _, ours, (strength,) = drawn("brownish_noise", 1, grey)
    noise = ours.astype(float) + 0.5 - 128  # truncation takes half a level on average
    for channel in range(3):
        assert noise[..., channel].std() == pytest.approx(6.4 * strength, rel=0.01)
    phases = cbar.draw_phases(Stream("slope"), 0)[0]
    # Amplitude 1 / (f**2 + 1) in cycles a picture: slope -2.
    assert _slope(cbar._noise_of_spectrum(1 / (cbar._FREQUENCY**2 + 1), phases)) == pytest.approx(-2, abs=0.05)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_blue_noise_sample_blackens_by_blue_noise(severity, photographs):
    phases, ours, (strength,) = drawn("blue_noise_sample", severity, photographs[0])
    # The definition with NumPy's transform.
    turned = np.concatenate([phases[0], phases[0][::-1, ::-1]], axis=1)
    spectrum = np.hypot(ROWS - 112, COLUMNS - 112) * (np.cos(turned) + 1j * np.sin(turned))
    noise = np.fft.ifft2(np.roll(spectrum, (112, 112), axis=(0, 1))).real
    noise /= noise.std()
    assert _slope(noise) == pytest.approx(1, abs=0.05)
    kept = noise > 3 * strength / 10 - 2.5
    assert np.array_equal(ours, photographs[0] * kept[..., np.newaxis])


@pytest.mark.parametrize("severity", SEVERITIES)
def test_caustic_refraction(severity, photographs):
    caustics, ours, (strength,) = drawn("caustic_refraction", severity, photographs[0])
    light = gaussian_filter(_light(*caustics), 1.0)
    padded = np.pad(light, 1)
    picture = np.pad(photographs[0] / 255, ((300, 300), (300, 300), (0, 0)))
    for y, x in np.random.default_rng(0).integers(0, 224, (300, 2)):
        above, below = padded[y, x + 1], padded[y + 2, x + 1]
        left, right = padded[y + 1, x], padded[y + 1, x + 2]
        normal = np.array([below - above, right - left, 1])
        normal /= np.linalg.norm(normal)
        vertical = np.array([0.0, 0.0, 1.0])
        ray = vertical
        if normal @ vertical < 0.999:
            # Snell's law from below: turn the normal by the refracted angle in the plane of normal and vertical.
            angle = np.arcsin(np.sin(np.arccos(normal @ vertical)) / 4.0)
            axis = np.cross(vertical, normal)
            axis /= np.linalg.norm(axis)
            ray = normal * np.cos(angle) + np.cross(normal, axis) * np.sin(angle)
        shift = np.round(ray * 0.5 * 224 * strength / 10, 3)
        row, column = y + shift[0] + 300, x + shift[1] + 300
        r, c = int(row), int(column)
        corners = picture[r : r + 2, c : c + 2]
        value = np.einsum("i,j,ijk->k", [r + 1 - row, row - r], [c + 1 - column, column - c], corners)
        value = np.clip(value + (left - right + below - above) * 2 * strength / 10, 0, 1)
        assert np.abs(ours[y, x] - np.floor(255 * value)).max() <= 1


def _light(time: float, size: float) -> np.ndarray:
    """The caustic pattern over the whole picture."""
    p = np.stack([ROWS / size % 1, COLUMNS / size % 1]) * 6.28318530718 - 250
    i, light = p, np.ones((224, 224))
    for n in range(1, 6):
        t = time * (1 - 3.5 / n)
        i = p + np.stack([np.cos(t - i[0]) + np.sin(t + i[1]), np.sin(t - i[1]) + np.cos(t + i[0])])
        light += 1 / np.hypot(p[0] * 0.005 / np.sin(i[0] + t), p[1] * 0.005 / np.cos(i[1] + t))
    return np.clip(np.abs(1.17 - (light / 5) ** 1.4) ** 8, 0, 1)
