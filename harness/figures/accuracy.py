"""Figures of accuracy: on shifted sets against the set they shifted from, by confidence, and by group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.figures.style import (
    DASHED,
    DOTTED,
    INK,
    LOOKS,
    MUTED,
    NARROW,
    PLAIN,
    WIDTH,
    Point,
    line,
    numbered_legend,
    numbered_point,
    panels,
    reach,
    rows,
    svg,
    tint,
    told,
)

if TYPE_CHECKING:
    from matplotlib.artist import Artist
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
    models = list(dict.fromkeys(name for shift in shifts for name in shift.points))
    number = {name: at + 1 for at, name in enumerate(models)}

    def draw(figure: Figure) -> list[Artist]:
        found = panels(figure, [shift.title for shift in shifts], 3, y="top-1 %", shared=False)
        for axes, shift in zip(found, shifts, strict=True):
            axes.axline((50, 50), slope=1, color=MUTED, linewidth=0.7, linestyle=DOTTED)
            if shift.published:
                axes.plot(*zip(*shift.published, strict=True), color=INK, linewidth=1, linestyle=DASHED)
            for name, (reference, shifted) in shift.points.items():
                numbered_point(axes, number[name], reference, shifted, (4, -7), markersize=3.5).set_fontsize(6.5)
            xs = [p.value for p, _ in shift.points.values()]
            ys = [p.value for _, p in shift.points.values()]
            ys += [y for x, y in shift.published if min(xs) - 3 <= x <= max(xs) + 3]
            axes.set_xlim(max(0, min(xs) - 3), min(100, max(xs) + 3))
            axes.set_ylim(max(0, min(ys) - 4), min(100, max(ys) + 4))
            axes.set_xlabel(f"{shift.reference}, top-1 %")
        handles = numbered_legend(models)
        if any(shift.published for shift in shifts):
            handles.append(line("published models", linestyle=DASHED, linewidth=1))
        return [*handles, line("no drop", color=MUTED, linestyle=DOTTED, linewidth=0.7)]

    described = [
        f"{shift.title}: "
        + "; ".join(f"{name} {told(y)} at {told(x)} on {shift.reference}" for name, (x, y) in shift.points.items())
        for shift in shifts
    ]
    height = 1.0 + 2.4 * -(-len(shifts) // 3) + 0.16 * -(-(len(models) + 2) // 4)
    return svg(draw, (WIDTH, height), title, note, ["Top-1 accuracy in percent", *described], columns=4)


def accuracy_by_benchmark(
    names: Sequence[str], models: Mapping[str, Mapping[str, Point]], *, title: str, note: str
) -> str:
    """Accuracy of a model and of others on several benchmarks, one row a benchmark; those after the first are hollow.

    Args:
        names: of the benchmarks, the first on top.
        models: by model and benchmark, in percent. There are four looks; further models are left out.
        note: what a reader must know: who measured, how intervals are made.

    Raises:
        ValueError: there is nothing to draw.
    """
    looked = list(zip(models, LOOKS, strict=False))

    def draw(figure: Figure) -> list[Artist]:
        axes = figure.subplots()
        handles = []
        for model, look in reversed(looked):  # the first is drawn on top
            points = models[model]
            mark: dict[str, Any] = {"color": look.colour, "marker": look.marker, "markersize": 5, "linestyle": "none"}
            mark |= {} if model == looked[0][0] else {"markerfacecolor": "none"}
            at = [names.index(name) for name in points]
            axes.errorbar(
                [p.value for p in points.values()], at, xerr=reach(list(points.values())), elinewidth=1.1, **mark
            )
            handles.append(line(model, **mark))
        rows(axes, names)
        axes.grid(visible=True, axis="y")
        axes.set_xlim(0, 100)
        axes.set_xlabel("top-1 accuracy, %")
        return handles[::-1]

    described = [f"{m}: " + ", ".join(f"{n} {told(p)}" for n, p in models[m].items()) for m, _ in looked]
    return svg(
        draw, (NARROW, 1.4 + 0.26 * len(names)), title, note, ["Top-1 accuracy in percent", *described], columns=1
    )


@dataclass(frozen=True)
class Bin:
    """Samples of similar confidence."""

    confidence: float
    """Mean confidence in percent, as `accuracy`."""
    accuracy: float
    share: float
    """Share of all samples, in percent."""


def reliability_diagrams(bins: Mapping[str, Sequence[Bin]], *, title: str, note: str) -> str:
    """Accuracy against confidence, one panel a model, with how many samples have which confidence.

    Args:
        bins: by model, the bins that hold samples, by rising confidence.
        note: what a reader must know: benchmark, images, bins.
    """
    accuracy: dict[str, Any] = {"color": LOOKS[0].colour, "marker": "o", "markersize": 3, "linewidth": 1}
    calibrated: dict[str, Any] = {"color": MUTED, "linewidth": 0.7, "linestyle": DOTTED}
    share = tint(LOOKS[1].colour, 0.35)

    def draw(figure: Figure) -> list[Artist]:
        found = panels(figure, list(bins), 4, y="accuracy, %")
        for axes, held in zip(found, bins.values(), strict=True):
            confidences = [b.confidence for b in held]
            axes.plot([0, 100], [0, 100], **calibrated)
            axes.bar(confidences, [b.share for b in held], width=4, color=share, linewidth=0)
            axes.plot(confidences, [b.accuracy for b in held], **accuracy)
            axes.set_xlabel("confidence, %")
        found[0].set(xlim=(0, 100), ylim=(0, 100), xticks=range(0, 101, 25), yticks=range(0, 101, 25))
        return [
            line("accuracy in a bin of confidence", **accuracy),
            line("perfectly calibrated", **calibrated),
            line("share of images, %", color=share, linewidth=4),
        ]

    described = [
        f"{name}: "
        + ", ".join(f"{b.accuracy:.0f} at confidence {b.confidence:.0f} ({b.share:.0f} % of images)" for b in held)
        for name, held in bins.items()
    ]
    size = (WIDTH, 0.9 + (2.0 if len(bins) > 1 else 2.6) * -(-len(bins) // 4))
    return svg(draw, size, title, note, ["Accuracy in percent by mean confidence in percent", *described])


Curve = Sequence[tuple[float, float]]
"""Coverage and risk in percent, by rising coverage."""


def risk_coverage_curves(curves: Mapping[str, Mapping[str, Curve]], *, title: str, note: str) -> str:
    """Errors among the answers that are kept against the share that is kept, one panel a model, one line a score.

    Args:
        curves: by model, then by score; there are four looks.
        note: what a reader must know: benchmark, images.
    """
    scores = list(dict.fromkeys(score for found in curves.values() for score in found))
    look = dict(zip(scores, ((each.colour, style) for each, style in zip(LOOKS, _LINES, strict=True)), strict=False))

    def draw(figure: Figure) -> list[Artist]:
        found = panels(figure, list(curves), 4, y="errors among kept, %")
        for axes, by_score in zip(found, curves.values(), strict=True):
            for score, curve in by_score.items():
                colour, style = look[score]
                axes.plot(*zip(*curve, strict=True), color=colour, linestyle=style, linewidth=1)
            axes.set_xlabel("answers kept, %")
        found[0].set(xlim=(0, 100), ylim=(0, None))
        return [line(score, color=colour, linestyle=style, linewidth=1) for score, (colour, style) in look.items()]

    described = [
        f"{model}, {score}: "
        + ", ".join(f"{risk:.1f} at {share:.0f} kept" for share, risk in curve[:: max(1, len(curve) // 5)])
        for model, by_score in curves.items()
        for score, curve in by_score.items()
    ]
    size = (WIDTH, 0.9 + (2.0 if len(curves) > 1 else 2.6) * -(-len(curves) // 4))
    return svg(draw, size, title, note, ["Errors in percent by answers kept in percent", *described])


_LINES = ("-", DASHED, DOTTED, (0, (5, 1, 1, 1)))


def slice_dots(
    accuracies: Mapping[str, Point],
    overall: float,
    *,
    title: str,
    note: str,
    covered: int | None = None,
    marked: Set[str] = frozenset(),
) -> str:
    """Accuracy of each group with its interval, lowest first; accuracy of all as a line.

    Args:
        accuracies: percent, by group.
        overall: accuracy over all covered images, percent.
        note: what a reader must know: benchmark, images, how intervals are made.
        covered: how many images those are: a slicing leaves out what it says nothing of.
        marked: groups that differ detectably from the rest, drawn filled and in colour.
    """
    names = sorted(accuracies, key=lambda name: (accuracies[name].value, name))
    differs = LOOKS[1].colour
    all_of_it = f"all {covered:,} images of this slicing" if covered else "all"

    def draw(figure: Figure) -> list[Artist]:
        axes = figure.subplots()
        for row, name in enumerate(names):
            p = accuracies[name]
            colour = differs if name in marked else PLAIN.colour
            if p.low is not None and p.high is not None:
                axes.plot([p.low, p.high], [row, row], color=colour, linewidth=1.1, solid_capstyle="butt")
            fill = colour if name in marked else "none"
            axes.plot([p.value], [row], marker="o", markersize=4, color=colour, markerfacecolor=fill, linestyle="none")
        axes.axvline(overall, color=INK, linewidth=1, linestyle=DASHED)
        rows(axes, names)
        ends = [bound for p in accuracies.values() for bound in (p.low, p.high, p.value) if bound is not None]
        low, high = min([*ends, overall]), max([*ends, overall])
        room = 0.04 * max(high - low, 1.0)
        axes.set_xlim(max(0.0, low - room), min(100.0, high + room))
        axes.set_xlabel("top-1 accuracy, %")
        handles = [line(f"{all_of_it}: {overall:.1f} %", linestyle=DASHED, linewidth=1)]
        dot: dict[str, Any] = {"marker": "o", "markersize": 4, "linewidth": 1.1}
        if marked & set(names):
            handles.append(line("differs from the rest", color=differs, **dot))
        if set(names) - marked:
            handles.append(line("no detectable difference", color=PLAIN.colour, markerfacecolor="none", **dot))
        return handles

    described = ["Top-1 accuracy, %", f"{all_of_it}: {overall:.1f}", *(f"{n}: {told(accuracies[n])}" for n in names)]
    width = NARROW if max(map(len, names), default=0) < 35 else WIDTH
    return svg(draw, (width, 1.6 + 0.24 * len(names)), title, note, described, columns=1)
