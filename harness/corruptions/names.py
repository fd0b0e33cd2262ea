"""The names of corruptions, their sets and groups, and the severities. Loads nothing that computes.

A set lists its members: a corruption that is added to the registry joins a set only where it is named here.
"""

from __future__ import annotations

from types import MappingProxyType

SEVERITIES = (1, 2, 3, 4, 5)

GROUPS = MappingProxyType(
    {
        "noise": ("gaussian_noise", "shot_noise", "impulse_noise"),
        "blur": ("defocus_blur", "glass_blur", "motion_blur", "zoom_blur"),
        "weather": ("snow", "frost", "fog", "brightness"),
        "digital": ("contrast", "elastic_transform", "pixelate", "jpeg_compression"),
    }
)
"""The paper's four groups of ImageNet-C, Hendrycks and Dietterich 2019, arXiv 1903.12261."""

IMAGENET_C = tuple(name for names in GROUPS.values() for name in names)
"""The 15 corruptions of mCE, in the paper's order."""

EXTRA = ("speckle_noise", "gaussian_blur", "spatter", "saturate")
"""The 4 corruptions that the authors offer for validation."""

IMAGENET_C_BAR = (
    "blue_noise_sample",
    "brownish_noise",
    "caustic_refraction",
    "checkerboard_cutout",
    "cocentric_sine_waves",
    "inverse_sparkles",
    "perlin_noise",
    "plasma_noise",
    "single_frequency_greyscale",
    "sparkles",
)
"""The 10 corruptions of ImageNet-C-bar, Mintun, Kirillov and Xie 2021, arXiv 2102.11273, in alphabetical order."""
