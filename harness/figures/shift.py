"""Figure of accuracy on shifted sets against accuracy on the set they shifted from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.figures.style import INK, MUTED, WIDTH, Point, finish, line, numbered_legend, numbered_point, svg, told

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Shift:
    """One shifted set."""

    title: str
    """The set, in words."""
    reference: str
    """What stands on the horizontal axis, in words."""
    points: Mapping[str, tuple[Point, Point]]
    """By model, accuracy in percent on the reference and on the shifted set."""
    published: Sequence[tuple[float, float]] = ()
    """The line of published models from end to end, as (reference, shifted) accuracies in percent."""


def shift_scatter(shifts: Sequence[Shift], *, title: str, note: str) -> str:
    """Accuracy on each shifted set against its reference, one panel a set, with the line of published models.

    Models are numbered, in the order of their first appearance; the numbers stand beside the points and in the legend.

    Args:
        note: what a reader must know: how intervals are made, which models the line was fitted to.

    Raises:
        ValueError: there are no shifted sets.
    """
    if not shifts:
        raise ValueError("there is nothing to draw")
    models = list(dict.fromkeys(name for shift in shifts for name in shift.points))
    number = {name: at + 1 for at, name in enumerate(models)}
    columns = min(3, len(shifts))
    rows = -(-len(shifts) // columns)

    def draw(figure: Figure) -> None:
        panels = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes, shift in zip(panels, shifts, strict=False):
            axes.axline((50, 50), slope=1, color=MUTED, linewidth=0.7, linestyle=(0, (1, 2)))
            if shift.published:
                axes.plot(*zip(*shift.published, strict=True), color=INK, linewidth=1, linestyle=(0, (4, 2)))
            for name, (reference, shifted) in shift.points.items():
                bar, text = {"markersize": 3.5}, {"fontsize": 6.5}
                numbered_point(axes, number[name], reference, shifted, (4, -7), bar=bar, text=text)
            xs = [p.value for p, _ in shift.points.values()]
            ys = [p.value for _, p in shift.points.values()]
            ys += [y for x, y in shift.published if min(xs) - 3 <= x <= max(xs) + 3]
            axes.set_xlim(max(0, min(xs) - 3), min(100, max(xs) + 3))
            axes.set_ylim(max(0, min(ys) - 4), min(100, max(ys) + 4))
            axes.set_title(shift.title, pad=3)
            axes.set_xlabel(f"{shift.reference}, top-1 %")
            axes.set_ylabel("top-1 %")
        for axes in panels[len(shifts) :]:
            axes.set_visible(False)
        handles = numbered_legend(models)
        if any(shift.published for shift in shifts):
            handles.append(line("published models", linestyle=(0, (4, 2)), linewidth=1))
        handles.append(line("no drop", color=MUTED, linestyle=(0, (1, 2)), linewidth=0.7))
        finish(figure, title, note, handles, columns=4)

    described = [
        f"{shift.title}: "
        + "; ".join(f"{name} {told(y)} at {told(x)} on {shift.reference}" for name, (x, y) in shift.points.items())
        for shift in shifts
    ]
    text = ". ".join(["Top-1 accuracy in percent", *described, note])
    return svg(draw, (WIDTH, 1.0 + 2.4 * rows + 0.16 * (-(-(len(models) + 2) // 4))), title, text)
