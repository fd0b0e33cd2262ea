"""The shared figures look as they looked when somebody last looked at them.

SampleImages are compared after averaging over blocks, so that another version of a font or of the renderer passes; a mark, a
label or a colour that moved does not.
"""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tests.report.golden import FIGURES, FOLDER, picture

BLOCK = 8
"""Pixels averaged in each direction: about the height of a letter."""
MEAN, WORST = 1.5, 40.0
"""Tolerances of 255: over all blocks, and of the block that differs most."""


def blocks(pixels: np.ndarray) -> np.ndarray:
    """Means over blocks (rows, columns, 3), the rest at right and bottom left out."""
    rows, columns = (size // BLOCK for size in pixels.shape[:2])
    whole = pixels[: rows * BLOCK, : columns * BLOCK].astype(float)
    return whole.reshape(rows, BLOCK, columns, BLOCK, 3).mean(axis=(1, 3))


def difference(made: np.ndarray, name: str) -> tuple[float, float]:
    """Mean and largest difference from the kept picture."""
    kept = np.asarray(Image.open(FOLDER / f"{name}.png").convert("RGB"))
    assert made.shape == kept.shape, "the figure has another size"
    found = np.abs(blocks(made) - blocks(kept))
    return float(found.mean()), float(found.max())


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_looks_as_it_did(name: str) -> None:
    mean, worst = difference(picture(name), name)
    assert mean < MEAN
    assert worst < WORST


def test_points_that_moved_by_three_percent_are_seen() -> None:
    mean, worst = difference(picture("shifted", moved=3.0), "shifted")
    assert mean >= MEAN or worst >= WORST


def test_the_kept_pictures_are_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.glob("*.png")) < 100_000
    assert {path.stem for path in FOLDER.glob("*.png")} == set(FIGURES)
