"""Figure of accuracy by group: one dot a group with its interval, the lowest on top, accuracy of all as a line."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import TYPE_CHECKING

from harness.figures.style import INK, LOOKS, PLAIN, WIDTH, Point, finish, line, svg, told

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def slice_dots(
    accuracies: Mapping[str, Point],
    overall: float,
    *,
    title: str,
    note: str,
    marked: Set[str] = frozenset(),
    axis: str = "top-1 accuracy, %",
) -> str:
    """Accuracy of each group with its interval, lowest first.

    Args:
        accuracies: percent, by group.
        overall: accuracy over all covered images, percent.
        note: what a reader must know: benchmark, images, how intervals are made.
        marked: groups that differ detectably from the rest, drawn filled and in colour.
        axis: what the dots are, with the unit.
    """
    if not accuracies:
        raise ValueError("there is nothing to draw")
    names = sorted(accuracies, key=lambda name: (accuracies[name].value, name))
    differs = LOOKS[1]

    def draw(figure: Figure) -> None:
        axes: Axes = figure.subplots()
        for row, name in enumerate(names):
            p = accuracies[name]
            colour = differs.colour if name in marked else PLAIN.colour
            if p.low is not None and p.high is not None:
                axes.plot([p.low, p.high], [row, row], color=colour, linewidth=1.1, solid_capstyle="butt")
            fill = colour if name in marked else "white"
            axes.plot([p.value], [row], marker="o", markersize=4, color=colour, markerfacecolor=fill, linestyle="none")
        axes.axvline(overall, color=INK, linewidth=1, linestyle=(0, (4, 2)))
        axes.set_yticks(range(len(names)), names)
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=False, axis="y")
        axes.set_ylim(len(names) - 0.4, -0.6)
        ends = [bound for p in accuracies.values() for bound in (p.low, p.high, p.value) if bound is not None]
        low, high = min([*ends, overall]), max([*ends, overall])
        room = 0.04 * max(high - low, 1.0)
        axes.set_xlim(max(0.0, low - room), min(100.0, high + room))
        axes.set_xlabel(axis)
        handles = [line(f"all: {overall:.1f} %", linestyle=(0, (4, 2)), linewidth=1)]
        plain = {"color": PLAIN.colour, "marker": "o", "markersize": 4, "linewidth": 1.1}
        if marked & set(names):
            handles.append(line("differs from the rest", **(plain | {"color": differs.colour})))
        if set(names) - marked:
            handles.append(line("no detectable difference", **plain, markerfacecolor="white"))
        finish(figure, title, note, handles)

    described = [f"{name}: {told(accuracies[name])}" for name in names]
    text = ". ".join([axis[0].upper() + axis[1:], f"all: {overall:.1f}", *described, note])
    return svg(draw, (WIDTH, 1.15 + 0.17 * len(names)), title, text)
