"""What a suite may say about attributions."""

from __future__ import annotations

from types import MappingProxyType
from typing import Annotated

from pydantic import BaseModel, Field, PositiveInt

METHODS = MappingProxyType(
    {
        "integrated-gradients": "integrated gradients",
        "gradient-x-input": "gradient × input",
        "grad-cam": "Grad-CAM",
        "occlusion": "occlusion",
    }
)
"""Methods by name, with what they are called in a sentence."""


class ExaminationOptions(BaseModel, extra="forbid", frozen=True):
    """How a model is examined, and on how many images."""

    images: PositiveInt = 50
    """Where `--examine-images` doesn't say."""
    methods: Annotated[tuple[str, ...], Field(min_length=1)] = tuple(METHODS)
    """Names in `METHODS`."""
    randomised_images: Annotated[int, Field(ge=2)] = 10
    """Of the images, those whose maps are computed again with random weights, the first ones."""
