"""The shared figures look as they looked when somebody last looked at them.

Pictures are compared after averaging over blocks, so that another version of a font or of the renderer passes; a mark, a
label or a colour that moved does not. `python -m tests.report.test_golden_figures` writes the pictures again after a change
that is meant; look at them before committing.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from harness.figures.accuracy import Bin, Shift, reliability_diagrams, risk_coverage_curves, shift_scatter, slice_dots
from harness.figures.compute import accuracy_against_cost
from harness.figures.corruption import corruption_bars, corruption_small_multiples
from harness.figures.style import Point

FOLDER = Path(__file__).with_name("golden")
DOTS_PER_INCH = 40
NAMES = ("gaussian_noise", "shot_noise", "defocus_blur", "fog", "snow", "pixelate")
GROUPS = {"noise": NAMES[:2], "blur": NAMES[2:3], "weather": NAMES[3:5], "digital": NAMES[5:]}


def interval(value: float, half: float) -> Point:
    return Point(value, value - half, value + half)


def severities() -> str:
    errors = {
        (name, s): interval(12.0 + 4 * at + 11 * s, 2.0) for at, name in enumerate(NAMES) for s in (1, 2, 3, 4, 5)
    }
    return corruption_small_multiples(
        errors,
        title="A model: error by corruption and severity",
        note="500 images a cell",
        clean=interval(24, 1),
        groups=GROUPS,
    )


def bars() -> str:
    errors = {name: interval(60.0 + 7 * at, 2.0) for at, name in enumerate(NAMES)}
    return corruption_bars(errors, interval(77.5, 1), title="A model: corruption error", note="n = 500", groups=GROUPS)


def shifted(moved: float = 0.0) -> str:
    points = {f"model {at}": (interval(60.0 + 5 * at, 0.4), interval(47.0 + 6 * at + moved, 0.9)) for at in range(4)}
    line = [(55.0 + step, 40.0 + 1.2 * step) for step in range(0, 26, 5)]
    panels = [Shift(name, "imagenet-val", points, line) for name in ("imagenetv2", "imagenet-sketch")]
    return shift_scatter(panels, title="Accuracy on shifted sets", note="Bars are 95 % intervals.")


def calibration() -> str:
    found = [Bin(5.0 + 10 * at, min(97.0, 2.0 + 9 * at), 4.0 + 6 * (at == 9)) for at in range(10)]
    return reliability_diagrams(
        {"first": found, "second": found[3:]}, title="Is the model as right as it is sure?", note="imagenet-val"
    )


def declining() -> str:
    kept = range(2, 101, 7)
    curves = {
        score: [(float(at), 20.0 * (at / 100) ** power) for at in kept]
        for score, power in (("msp", 2), ("energy", 1.2))
    }
    return risk_coverage_curves({"first": curves, "second": curves}, title="What is left?", note="imagenet-val")


def groups() -> str:
    accuracies = {name: interval(55.0 + 5 * at, 6.0 - at) for at, name in enumerate(NAMES)}
    return slice_dots(accuracies, 72.0, title="A model by kind of image", note="imagenet-val", marked={NAMES[0]})


def costs() -> str:
    models = {f"model {at}": (Point(1.5 * 2**at), interval(68.0 + 4 * at, 0.4)) for at in range(4)}
    return accuracy_against_cost(models, cost="billion multiply-adds an image", title="Cost", note="n = 50,000")


FIGURES: dict[str, Callable[..., str]] = {
    "severities": severities,
    "bars": bars,
    "shifted": shifted,
    "calibration": calibration,
    "declining": declining,
    "groups": groups,
    "costs": costs,
}


def picture(name: str, **arguments: Any) -> np.ndarray:
    """A figure's pixels as it is handed over to be written as SVG: uint8 (height, width, 3)."""
    pictures: list[np.ndarray] = []

    def rasterise(figure: Figure, *_: object, **__: object) -> None:
        figure.set(dpi=DOTS_PER_INCH, facecolor="white")
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        pictures.append(np.asarray(canvas.buffer_rgba())[:, :, :3].copy())

    with mock.patch.object(Figure, "savefig", rasterise):
        FIGURES[name](**arguments)
    return pictures[0]


BLOCK = 8
"""Pixels averaged in each direction: about the height of a letter."""
MEAN, WORST = 1.2, 35.0
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


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name in FIGURES:
        image = Image.fromarray(picture(name)).quantize(64)
        image.save(FOLDER / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
