"""Figures of cost: throughput against batch size, and accuracy against what it costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from harness.figures.style import (
    INK,
    LOOKS,
    MUTED,
    PLAIN,
    WIDTH,
    Point,
    finish,
    line,
    numbered_legend,
    numbered_point,
    reach,
    svg,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def throughput_by_batch(points: Mapping[int, Point], best: int, *, title: str, note: str) -> str:
    """Images per second against batch size, on a logarithmic axis of batch sizes.

    Args:
        points: images per second by batch size.
        best: the batch size that was taken, marked in the figure.
        note: what a reader must know: hardware, precision, how intervals are made.
    """
    if not points:
        raise ValueError("there is nothing to draw")
    sizes = sorted(points)
    values = [points[size] for size in sizes]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.errorbar(
            sizes,
            [p.value for p in values],
            yerr=reach(values),
            color=PLAIN.colour,
            marker=PLAIN.marker,
            markersize=4,
            linewidth=1,
            elinewidth=0.8,
            capsize=2,
        )
        axes.plot(best, points[best].value, marker="o", markersize=9, markerfacecolor="none", color=LOOKS[0].colour)
        axes.set_xscale("log", base=2)
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axes.minorticks_off()
        axes.set_ylim(0, 1.1 * max(p.value if p.high is None else p.high for p in values))
        axes.set_xlabel("images a batch")
        axes.set_ylabel("images/s")
        ring = line(
            f"taken: {best:,}", color=LOOKS[0].colour, marker="o", markerfacecolor="none", markersize=7, linewidth=0
        )
        finish(figure, title, note, [ring])

    described = [f"{size:,} images a batch: {_told(points[size])} images/s" for size in sizes]
    text = ". ".join(["Throughput", *described, f"Taken: {best:,}", note])
    return svg(draw, (0.7 * WIDTH, 3.0), title, text)


def accuracy_against_cost(models: Mapping[str, tuple[Point, Point]], *, cost: str, title: str, note: str) -> str:
    """Top-1 accuracy of several models against one cost, on a logarithmic axis of costs.

    Models are numbered in their given order; the numbers stand beside the points and in the legend.

    Args:
        models: by name, the cost and the accuracy in percent. A cost's low bound may be 0.
        cost: the cost with its unit, in words.
        note: what a reader must know: benchmark, hardware, how intervals are made.

    Raises:
        ValueError: there are no models, or a cost is not positive.
    """
    if not models or any(x.value <= 0 for x, _ in models.values()):
        raise ValueError("accuracy against cost needs models with a positive cost")
    number = {name: at + 1 for at, name in enumerate(models)}

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for name, (x, y) in models.items():
            bar = {"markersize": 4.5, "capsize": 2}
            numbered_point(axes, number[name], x, y, (5, 5), bar=bar, text={"color": INK})
        values = [x.value for x, _ in models.values()]
        axes.set_xscale("log")
        axes.set_xlim(min(values) / 3, max(values) * 3)
        axes.xaxis.set_major_formatter("{x:g}")
        axes.grid(which="minor", axis="x", linewidth=0.25)
        axes.set_xlabel(cost)
        axes.set_ylabel("top-1 %")
        axes.tick_params(which="minor", color=MUTED, labelsize=5.5)
        finish(figure, title, note, numbered_legend(list(models)), columns=4)

    described = [f"{name}: {_told(y)} % at {_told(x)}" for name, (x, y) in models.items()]
    text = ". ".join([f"Top-1 accuracy against {cost}", *described, note])
    return svg(draw, (0.8 * WIDTH, 3.2 + 0.16 * (-(-len(models) // 4))), title, text)


def _told(p: Point) -> str:
    """A value with its interval in words, to three digits."""
    return f"{p.value:.3g}" if p.low is None or p.high is None else f"{p.value:.3g} ({p.low:.3g} to {p.high:.3g})"
