"""ImageNet-C and ImageNet-C-bar, generated from an image: the authors' definitions, seeded per sample, fast.

The 15 corruptions of mCE, the 4 extra ones, and the 10 of ImageNet-C-bar, each at 5 severities. A picture's
corrupted pixels depend on its base crop, its sample id, the corruption, the severity and the seed, and on nothing
else. All functions may be called from several threads; the work is done outside the interpreter lock.
"""

from harness.corruptions.digital import jpeg_round_trip
from harness.corruptions.generate import PROTOCOL_VERSION, base_crop, corrupt, corrupt_cells
from harness.corruptions.registry import (
    EXTRA,
    GROUPS,
    IMAGENET_C,
    IMAGENET_C_BAR,
    REGISTRY,
    SEVERITIES,
    Corruption,
)
from harness.corruptions.weather import frost_textures

__all__ = [
    "EXTRA",
    "GROUPS",
    "IMAGENET_C",
    "IMAGENET_C_BAR",
    "PROTOCOL_VERSION",
    "REGISTRY",
    "SEVERITIES",
    "Corruption",
    "base_crop",
    "corrupt",
    "corrupt_cells",
    "frost_textures",
    "jpeg_round_trip",
]
