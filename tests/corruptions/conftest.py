"""Base pictures for the tests of the corruptions: foolbox's photographs always, ImageNet's where they are."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from harness.corruptions.generate import base_crop
from harness.corruptions.picture import Picture
from harness.corruptions.randomness import Stream
from harness.corruptions.registry import REGISTRY


def drawn(name: str, severity: int, base: np.ndarray) -> tuple[Any, np.ndarray, tuple[Any, ...]]:
    """What is random in one cell, its pixels, and its parameters."""
    corruption = REGISTRY[name]
    parameters = corruption.at(severity)
    draws = corruption.draw(Stream("drawn", name, severity, 0), *parameters)
    return draws, corruption.apply(Picture(base), draws, *parameters), parameters


def _bases(paths: list[Path]) -> list[np.ndarray]:
    bases = []
    for path in paths:
        with Image.open(path) as image:
            bases.append(base_crop(image))
    return bases


@pytest.fixture(scope="session")
def photographs() -> list[np.ndarray]:
    """Four of foolbox's ImageNet photographs as base pictures, uint8 (224, 224, 3)."""
    spec = importlib.util.find_spec("foolbox")  # importing it would warn about its use of SciPy
    folder = Path(spec.origin).parent / "data"
    return _bases(sorted(folder.glob("imagenet_*.jpg"))[:4])


@pytest.fixture(scope="session")
def hundred(shared_data: Path) -> list[np.ndarray]:
    """A hundred pictures of the ImageNet validation set as base pictures, uint8 (224, 224, 3)."""
    return _bases(sorted((shared_data / "imagenet-val-1300" / "images").iterdir())[:100])
