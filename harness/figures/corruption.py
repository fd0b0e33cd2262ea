"""Figures of corruption errors: by severity as small multiples, and by corruption as bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from harness.figures.style import (
    INK,
    PLAIN,
    WIDTH,
    Point,
    finish,
    legend_of_groups,
    line,
    looks,
    reach,
    svg,
    tint,
    told,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def corruption_small_multiples(
    errors: Mapping[tuple[str, int], Point],
    *,
    title: str,
    note: str,
    clean: Point | None = None,
    groups: Mapping[str, Sequence[str]] | None = None,
) -> str:
    """Error against severity, one small panel a corruption, all on one scale.

    Args:
        errors: for each (corruption, severity) the error in percent. Panels follow the corruptions' first appearance.
        note: what a reader must know: benchmark, images, how intervals are made.
        clean: the error without corruption, drawn as a line through all panels.
        groups: corruptions by group, told apart by colour and marker.
    """
    if not errors:
        raise ValueError("there is nothing to draw")
    names = list(dict.fromkeys(name for name, _ in errors))
    look_of = looks(groups or {})
    severities = sorted({severity for _, severity in errors})
    columns = min(5, len(names))
    rows = -(-len(names) // columns)

    def draw(figure: Figure) -> None:
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
        for axes, name in zip(panels, names, strict=False):
            look = look_of.get(name, PLAIN)
            if clean is not None:
                axes.axhline(clean.value, color=INK, linewidth=0.8, linestyle=(0, (1, 1.5)))
            points = {s: errors[name, s] for s in severities if (name, s) in errors}
            axes.errorbar(
                list(points),
                [p.value for p in points.values()],
                yerr=reach(list(points.values())),
                color=look.colour,
                marker=look.marker,
                markersize=3,
                linewidth=1,
                elinewidth=0.8,
                capsize=1.5,
            )
            axes.set_title(_words(name), pad=3)
        for axes in panels[len(names) :]:
            axes.set_visible(False)
        panels[0].set(xlim=(0.5, 5.5), ylim=(0, 100), xticks=range(1, 6), yticks=range(0, 101, 25))
        for axes in panels[max(0, len(names) - columns) : len(names)]:
            axes.tick_params(labelbottom=True)
            axes.set_xlabel("severity")
        for axes in panels[::columns]:
            axes.set_ylabel("error, %")
        handles = legend_of_groups(groups or {}, names)
        if clean is not None:
            handles.append(line(f"without corruption: {clean.value:.1f} %", linestyle=(0, (1, 1.5)), linewidth=0.8))
        finish(figure, title, note, handles)

    described = [
        f"{_words(name)}: "
        + ", ".join(f"{told(errors[name, s])} at severity {s}" for s in severities if (name, s) in errors)
        for name in names
    ]
    beside = [] if clean is None else [f"Without corruption: {told(clean)}"]
    text = ". ".join(["Error in percent", *beside, *described, note])
    return svg(draw, (WIDTH, 0.95 + 1.3 * rows), title, text)


def corruption_bars(
    errors: Mapping[str, Point],
    mean: Point,
    *,
    title: str,
    note: str,
    mean_name: str = "mCE",
    axis: str = "corruption error, % of AlexNet's",
    groups: Mapping[str, Sequence[str]] | None = None,
) -> str:
    """One bar a corruption with its interval, the highest error on top, and their mean as a line.

    Args:
        errors: CE, or a plain mean error, of each corruption in percent.
        mean: their mean.
        note: what a reader must know: benchmark, images, how intervals are made.
        mean_name: what the mean is called.
        axis: what the bars are, with the unit.
        groups: corruptions by group, told apart by colour and hatching.
    """
    if not errors:
        raise ValueError("there is nothing to draw")
    names = sorted(errors, key=lambda name: (-errors[name].value, name))
    look_of = looks(groups or {})

    def draw(figure: Figure) -> None:
        axes: Axes = figure.subplots()
        points = [errors[name] for name in names]
        used = [look_of.get(name, PLAIN) for name in names]
        axes.barh(
            range(len(names)),
            [p.value for p in points],
            height=0.72,
            color=[tint(look.colour) for look in used],
            edgecolor=[look.colour for look in used],
            linewidth=0.7,
            hatch=[look.hatch for look in used],
        )
        axes.errorbar(
            [p.value for p in points],
            range(len(names)),
            xerr=reach(points),
            fmt="none",
            ecolor=INK,
            elinewidth=0.9,
            capsize=2,
        )
        for row, p in enumerate(points):
            end = p.value if p.high is None else p.high
            axes.annotate(
                f"{p.value:.1f}",
                (end, row),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                fontsize=7,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},  # the mean's line doesn't cross it
            )
        axes.axvline(mean.value, color=INK, linewidth=1, linestyle=(0, (4, 2)))
        axes.set_yticks(range(len(names)), [_words(name) for name in names])
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=False, axis="y")
        axes.set_ylim(len(names) - 0.4, -0.6)
        furthest = max(p.value if p.high is None else p.high for p in [*points, mean])
        axes.set_xlim(0, 1.08 * furthest)
        axes.set_xlabel(axis)
        mean_line = line(f"{mean_name}: {told(mean)} %", linestyle=(0, (4, 2)), linewidth=1)
        finish(figure, title, note, [*legend_of_groups(groups or {}, names, bars=True), mean_line])

    described = [f"{_words(name)}: {told(errors[name])}" for name in names]
    text = ". ".join([axis[0].upper() + axis[1:], f"{mean_name}: {told(mean)}", *described, note])
    return svg(draw, (WIDTH, 1.25 + 0.2 * len(names)), title, text)


def _words(name: str) -> str:
    """A corruption's name for people."""
    return name.replace("_", " ").capitalize().replace("Jpeg", "JPEG")
