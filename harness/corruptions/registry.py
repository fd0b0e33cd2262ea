"""All corruptions with their groups, sources and parameters. A new corruption is a new entry here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from harness.corruptions import blur, cbar, digital, noise, weather
from harness.corruptions.filters import Bytes
from harness.corruptions.picture import Picture
from harness.corruptions.randomness import Stream
from harness.errors import ExitCode, HarnessError, unknown_name

SEVERITIES = (1, 2, 3, 4, 5)

_HENDRYCKS = (
    "Hendrycks and Dietterich 2019, 'Benchmarking neural network robustness to common corruptions and perturbations', "
    "arXiv 1903.12261; parameters: github.com/hendrycks/robustness, ImageNet-C/create_c/make_imagenet_c.py"
)
_MINTUN = (
    "Mintun, Kirillov and Xie 2021, 'On interaction between augmentations and corruptions in natural corruption "
    "robustness', arXiv 2102.11273; parameters: github.com/facebookresearch/augmentation-corruption, "
    "imagenet_c_bar/imagenet_c_bar.csv"
)


@dataclass(frozen=True)
class Corruption:
    """One corruption: how to draw what is random in it, and how to apply it."""

    name: str
    """As in the official file layout."""
    group: str
    """noise, blur, weather or digital; for the four extra ones the group they resemble; c-bar for ImageNet-C-bar."""
    citation: str
    """Where it is defined, and where its parameters come from."""
    parameters: tuple[Any, ...]
    """Its parameters at severities 1 to 5."""
    apply: Callable[[Picture, Any, Any], Bytes]
    """(picture, draws, parameters of one severity) -> uint8 (224, 224, 3); reads no randomness of its own."""
    draw: Callable[[Stream, Any], Any] | None = None
    """(stream, parameters of one severity) -> draws; None where nothing is random."""
    apply_together: Callable[[Picture, Sequence[Any]], list[Bytes]] | None = None
    """(picture, parameters of several severities) -> their pixels, where that is faster than one by one; the same bits."""

    @property
    def random(self) -> bool:
        """Whether the pixels depend on the seed."""
        return self.draw is not None


def _entries() -> tuple[Corruption, ...]:
    def imagenet_c(name: str, group: str, parameters: Sequence[Any], **functions: Any) -> Corruption:
        return Corruption(name, group, _HENDRYCKS, tuple(parameters), **functions)

    def c_bar(name: str, strengths: Sequence[float], **functions: Any) -> Corruption:
        return Corruption(name, "c-bar", _MINTUN, tuple(strengths), **functions)

    return (
        imagenet_c(
            "gaussian_noise",
            "noise",
            (0.08, 0.12, 0.18, 0.26, 0.38),
            apply=noise.gaussian_noise,
            draw=noise.draw_normal_field,
        ),
        imagenet_c("shot_noise", "noise", (60, 25, 12, 5, 3), apply=noise.shot_noise, draw=noise.draw_words),
        imagenet_c(
            "impulse_noise", "noise", (0.03, 0.06, 0.09, 0.17, 0.27), apply=noise.impulse_noise, draw=noise.draw_words
        ),
        imagenet_c(
            "defocus_blur",
            "blur",
            [blur.Defocus(*c) for c in ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5))],
            apply=blur.defocus_blur,
        ),
        imagenet_c(
            "glass_blur",
            "blur",
            [blur.Glass(*c) for c in ((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2))],
            apply=blur.glass_blur,
            draw=blur.draw_glass,
        ),
        imagenet_c(
            "motion_blur",
            "blur",
            [blur.Motion(*c) for c in ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15))],
            apply=blur.motion_blur,
            draw=blur.draw_motion,
        ),
        imagenet_c(
            "zoom_blur",
            "blur",
            [blur.Zoom(*c) for c in ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03))],
            apply=blur.zoom_blur,
            apply_together=blur.zoom_blur_severities,
        ),
        imagenet_c(
            "snow",
            "weather",
            [
                weather.Snow(*c)
                for c in (
                    (0.1, 0.3, 3, 0.5, 10, 4, 0.8),
                    (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
                    (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
                    (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
                    (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
                )
            ],
            apply=weather.snow,
            draw=weather.draw_snow,
        ),
        imagenet_c(
            "frost",
            "weather",
            [weather.Frost(*c) for c in ((1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75))],
            apply=weather.frost,
            draw=weather.draw_frost,
        ),
        imagenet_c(
            "fog",
            "weather",
            [weather.Fog(*c) for c in ((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4))],
            apply=weather.fog,
            draw=weather.draw_fog,
        ),
        imagenet_c("brightness", "weather", (0.1, 0.2, 0.3, 0.4, 0.5), apply=weather.brightness),
        imagenet_c("contrast", "digital", (0.4, 0.3, 0.2, 0.1, 0.05), apply=digital.contrast),
        imagenet_c(
            "elastic_transform",
            "digital",
            [
                digital.Elastic(244 * strength, 244 * sigma, 244 * affine)
                for strength, sigma, affine in (
                    (2, 0.7, 0.1),
                    (2, 0.08, 0.2),
                    (0.05, 0.01, 0.02),
                    (0.07, 0.01, 0.02),
                    (0.12, 0.01, 0.02),
                )
            ],
            apply=digital.elastic_transform,
            draw=digital.draw_elastic,
        ),
        imagenet_c("pixelate", "digital", (0.6, 0.5, 0.4, 0.3, 0.25), apply=digital.pixelate),
        imagenet_c("jpeg_compression", "digital", (25, 18, 15, 10, 7), apply=digital.jpeg_compression),
        imagenet_c(
            "speckle_noise",
            "noise",
            (0.15, 0.2, 0.35, 0.45, 0.6),
            apply=noise.speckle_noise,
            draw=noise.draw_normal_field,
        ),
        imagenet_c("gaussian_blur", "blur", (1, 2, 3, 4, 6), apply=blur.gaussian_blur),
        imagenet_c(
            "spatter",
            "weather",
            [
                weather.Spatter(*c)
                for c in (
                    (0.65, 0.3, 4, 0.69, 0.6, False),
                    (0.65, 0.3, 3, 0.68, 0.6, False),
                    (0.65, 0.3, 2, 0.68, 0.5, False),
                    (0.65, 0.3, 1, 0.65, 1.5, True),
                    (0.67, 0.4, 1, 0.65, 1.5, True),
                )
            ],
            apply=weather.spatter,
            draw=weather.draw_spatter,
        ),
        imagenet_c(
            "saturate",
            "digital",
            [digital.Saturate(*c) for c in ((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2))],
            apply=digital.saturate,
        ),
        c_bar("blue_noise_sample", (0.8, 1.6, 2.4, 4.0, 5.6), apply=cbar.blue_noise_sample, draw=cbar.draw_phases),
        c_bar("brownish_noise", (1, 2, 3, 4, 5), apply=cbar.brownish_noise, draw=cbar.draw_phases_of_channels),
        c_bar(
            "caustic_refraction", (2.35, 3.2, 4.9, 6.6, 9.15), apply=cbar.caustic_refraction, draw=cbar.draw_caustics
        ),
        c_bar("checkerboard_cutout", (2, 3, 4, 5, 6), apply=cbar.checkerboard_cutout, draw=cbar.draw_checkers),
        c_bar("cocentric_sine_waves", (3, 5, 8, 9, 10), apply=cbar.cocentric_sine_waves, draw=cbar.draw_rings),
        c_bar("inverse_sparkles", (1, 2, 4, 9, 10), apply=cbar.inverse_sparkles, draw=cbar.draw_inverse_sparkle),
        c_bar("perlin_noise", (4.6, 5.2, 5.8, 7.6, 8.8), apply=cbar.perlin_noise, draw=cbar.draw_perlin),
        c_bar("plasma_noise", (4.75, 7, 8.5, 9.25, 10), apply=cbar.plasma_noise, draw=cbar.draw_plasma),
        c_bar(
            "single_frequency_greyscale",
            (1, 1.5, 2, 4.5, 5),
            apply=cbar.single_frequency_greyscale,
            draw=cbar.draw_wave,
        ),
        c_bar("sparkles", (1, 2, 3, 5, 6), apply=cbar.sparkles, draw=cbar.draw_sparkles),
    )


REGISTRY = MappingProxyType({entry.name: entry for entry in _entries()})
"""Every corruption by name, in the order of the sets below."""

_NAMES = tuple(REGISTRY)
IMAGENET_C = _NAMES[:15]
"""The 15 corruptions of mCE, in the paper's order."""
EXTRA = _NAMES[15:19]
"""The 4 corruptions that the authors offer for validation."""
IMAGENET_C_BAR = _NAMES[19:]
"""The 10 corruptions of ImageNet-C-bar, in alphabetical order."""
GROUPS = MappingProxyType(
    {
        group: tuple(name for name in IMAGENET_C if REGISTRY[name].group == group)
        for group in ("noise", "blur", "weather", "digital")
    }
)
"""The paper's four groups of the 15."""


def find(name: str, severity: int) -> Corruption:
    """The corruption of a name, once the name and the severity are known to exist.

    Raises:
        HarnessError: the name or the severity is unknown.
    """
    if name not in REGISTRY:
        raise unknown_name("corruption", name, REGISTRY)
    if severity not in SEVERITIES:
        raise HarnessError(
            f"Corruption '{name}' has no severity {severity}.",
            remedy=f"Choose a whole number from {SEVERITIES[0]} to {SEVERITIES[-1]}.",
            exit_code=ExitCode.USAGE,
        )
    return REGISTRY[name]
