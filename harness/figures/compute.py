"""Figures of cost: throughput against batch size, and accuracy against what it costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from harness.figures.style import (
    LOOKS,
    MUTED,
    PLAIN,
    WIDTH,
    Point,
    check_any,
    curve,
    line,
    numbered_legend,
    numbered_point,
    svg,
    told,
)

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure


def throughput_by_batch(points: Mapping[int, Point], best: int, *, title: str, note: str) -> str:
    """Images per second against batch size, on a logarithmic axis of batch sizes.

    Args:
        points: images per second by batch size.
        best: the batch size that was taken, marked in the figure.
        note: what a reader must know: hardware, precision, how intervals are made.
    """
    check_any(points)
    points = dict(sorted(points.items()))
    ring: dict[str, Any] = {"color": LOOKS[0].colour, "marker": "o", "markerfacecolor": "none"}

    def draw(figure: Figure) -> list[Artist]:
        axes = figure.subplots()
        curve(axes, points, PLAIN, markersize=4, capsize=2)
        axes.plot(best, points[best].value, markersize=9, **ring)
        axes.set_xscale("log", base=2)
        axes.set_xticks(list(points), [f"{size:,}" for size in points])
        axes.minorticks_off()
        axes.set_ylim(0, 1.1 * max(p.end for p in points.values()))
        axes.set_xlabel("images a batch")
        axes.set_ylabel("images/s")
        return [line(f"taken: {best:,}", markersize=7, linewidth=0, **ring)]

    described = [f"{size:,} images a batch: {told(p, '.3g')} images/s" for size, p in points.items()]
    return svg(draw, (0.7 * WIDTH, 3.0), title, note, ["Throughput", *described, f"Taken: {best:,}"])


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

    def draw(figure: Figure) -> list[Artist]:
        axes = figure.subplots()
        for number, (x, y) in enumerate(models.values(), 1):
            numbered_point(axes, number, x, y, (5, 5), markersize=4.5, capsize=2)
        values = [x.value for x, _ in models.values()]
        axes.set_xscale("log")
        axes.set_xlim(min(values) / 3, max(values) * 3)
        axes.xaxis.set_major_formatter("{x:g}")
        axes.grid(which="minor", axis="x", linewidth=0.25)
        axes.set_xlabel(cost)
        axes.set_ylabel("top-1 %")
        axes.tick_params(which="minor", color=MUTED, labelsize=5.5)
        return numbered_legend(list(models))

    told_models = [f"{name}: {told(y, '.3g')} % at {told(x, '.3g')}" for name, (x, y) in models.items()]
    size = (0.8 * WIDTH, 3.2 + 0.16 * -(-len(models) // 4))
    return svg(draw, size, title, note, [f"Top-1 accuracy against {cost}", *told_models], columns=4)
