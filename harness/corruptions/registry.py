"""All corruptions with their parameters and functions. A new corruption is a new entry here; `names` holds the sets.

Parameters of ImageNet-C: Hendrycks and Dietterich 2019, "Benchmarking neural network robustness to common corruptions and
perturbations", arXiv 1903.12261; github.com/hendrycks/robustness, ImageNet-C/create_c/make_imagenet_c.py. Of ImageNet-C-bar:
Mintun, Kirillov and Xie 2021, "On interaction between augmentations and corruptions in natural corruption robustness",
arXiv 2102.11273; github.com/facebookresearch/augmentation-corruption, imagenet_c_bar/imagenet_c_bar.csv.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from harness.corruptions import blur, cbar, digital, noise, weather
from harness.corruptions.names import SEVERITIES
from harness.corruptions.picture import Bytes, Picture
from harness.errors import UsageError, require_known


@dataclass(frozen=True)
class Corruption:
    """One corruption: how to draw what is random in it, and how to apply it."""

    group: str
    """noise, blur, weather or digital; for the four extra ones the group they resemble; c-bar for ImageNet-C-bar."""
    parameters: tuple[Any, ...]
    """At severities 1 to 5: one number each, or a tuple of several."""
    apply: Callable[..., Bytes]
    """(picture, draws, *parameters of one severity) -> uint8 (224, 224, 3); reads no randomness of its own. Its name is
    the corruption's, as in the official file layout."""
    draw: Callable[..., Any] | None = None
    """(stream, *parameters of one severity) -> draws; None where nothing is random."""
    apply_to_severities: Callable[[Picture, Sequence[Any]], list[Bytes]] | None = None
    """(picture, parameters of several severities) -> their pixels, where that is faster than one by one; the same bits."""

    def at(self, severity: int) -> tuple[Any, ...]:
        """The parameters of one severity."""
        found = self.parameters[severity - 1]
        return found if isinstance(found, tuple) else (found,)


_ELASTIC = ((2, 0.7, 0.1), (2, 0.08, 0.2), (0.05, 0.01, 0.02), (0.07, 0.01, 0.02), (0.12, 0.01, 0.02))
"""In units of the authors' 244 pixels."""

_SNOW = (
    (0.1, 0.3, 3, 0.5, 10, 4, 0.8),
    (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
    (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
    (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
    (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
)
_SPATTER = (
    (0.65, 0.3, 4, 0.69, 0.6, False),
    (0.65, 0.3, 3, 0.68, 0.6, False),
    (0.65, 0.3, 2, 0.68, 0.5, False),
    (0.65, 0.3, 1, 0.65, 1.5, True),
    (0.67, 0.4, 1, 0.65, 1.5, True),
)
_ZOOM = ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03))

_ENTRIES = (
    Corruption("noise", (0.08, 0.12, 0.18, 0.26, 0.38), noise.gaussian_noise, noise.draw_normal_field),
    Corruption("noise", (60, 25, 12, 5, 3), noise.shot_noise, noise.draw_words),
    Corruption("noise", (0.03, 0.06, 0.09, 0.17, 0.27), noise.impulse_noise, noise.draw_words),
    Corruption("blur", ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)), blur.defocus_blur),
    Corruption(
        "blur", ((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2)), blur.glass_blur, blur.draw_glass
    ),
    Corruption("blur", ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15)), blur.motion_blur, blur.draw_motion),
    Corruption("blur", _ZOOM, blur.zoom_blur, apply_to_severities=blur.zoom_blur_severities),
    Corruption("weather", _SNOW, weather.snow, weather.draw_snow),
    Corruption(
        "weather", ((1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75)), weather.frost, weather.draw_frost
    ),
    Corruption("weather", ((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4)), weather.fog, weather.draw_fog),
    Corruption("weather", (0.1, 0.2, 0.3, 0.4, 0.5), weather.brightness),
    Corruption("digital", (0.4, 0.3, 0.2, 0.1, 0.05), digital.contrast),
    Corruption(
        "digital",
        tuple((244 * a, 244 * b, 244 * c) for a, b, c in _ELASTIC),
        digital.elastic_transform,
        digital.draw_elastic,
    ),
    Corruption("digital", (0.6, 0.5, 0.4, 0.3, 0.25), digital.pixelate),
    Corruption("digital", (25, 18, 15, 10, 7), digital.jpeg_compression),
    Corruption("noise", (0.15, 0.2, 0.35, 0.45, 0.6), noise.speckle_noise, noise.draw_normal_field),
    Corruption("blur", (1, 2, 3, 4, 6), blur.gaussian_blur),
    Corruption("weather", _SPATTER, weather.spatter, weather.draw_spatter),
    Corruption("digital", ((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2)), digital.saturate),
    Corruption("c-bar", (0.8, 1.6, 2.4, 4.0, 5.6), cbar.blue_noise_sample, cbar.draw_phases),
    Corruption("c-bar", (1, 2, 3, 4, 5), cbar.brownish_noise, cbar.draw_phases_of_channels),
    Corruption("c-bar", (2.35, 3.2, 4.9, 6.6, 9.15), cbar.caustic_refraction, cbar.draw_caustics),
    Corruption("c-bar", (2, 3, 4, 5, 6), cbar.checkerboard_cutout, cbar.draw_checkers),
    Corruption("c-bar", (3, 5, 8, 9, 10), cbar.cocentric_sine_waves, cbar.draw_rings),
    Corruption("c-bar", (1, 2, 4, 9, 10), cbar.inverse_sparkles, cbar.draw_inverse_sparkle),
    Corruption("c-bar", (4.6, 5.2, 5.8, 7.6, 8.8), cbar.perlin_noise, cbar.draw_perlin),
    Corruption("c-bar", (4.75, 7, 8.5, 9.25, 10), cbar.plasma_noise, cbar.draw_plasma),
    Corruption("c-bar", (1, 1.5, 2, 4.5, 5), cbar.single_frequency_greyscale, cbar.draw_wave),
    Corruption("c-bar", (1, 2, 3, 5, 6), cbar.sparkles, cbar.draw_sparkles),
)

REGISTRY = MappingProxyType({entry.apply.__name__: entry for entry in _ENTRIES})
"""Every corruption by name."""


def find(name: str, severity: int) -> Corruption:
    """The corruption of a name, once the name and the severity are known to exist.

    Raises:
        HarnessError: the name or the severity is unknown.
    """
    require_known("corruption", name, REGISTRY)
    if severity not in SEVERITIES:
        raise UsageError(
            f"Corruption '{name}' has no severity {severity}.",
            remedy=f"Choose a whole number from {SEVERITIES[0]} to {SEVERITIES[-1]}.",
        )
    return REGISTRY[name]
