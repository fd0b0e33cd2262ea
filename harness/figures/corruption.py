"""Figures of corruption errors: by severity as small multiples, and by corruption as bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from harness.figures.style import (
    DASHED,
    INK,
    PLAIN,
    WIDTH,
    Point,
    curve,
    legend_of_groups,
    line,
    looks,
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

_CLEAN = (0, (1, 1.5))
"""Dashes of the line for the error without corruption."""


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
    by_name: dict[str, dict[int, Point]] = {name: {} for name, _ in errors}
    for name, severity in sorted(errors, key=lambda cell: cell[1]):
        by_name[name][severity] = errors[name, severity]
    look_of = looks(groups or {})

    def draw(figure: Figure) -> list[Artist]:
        found = panels(figure, [_words(name) for name in by_name], 5, y="error, %")
        for axes, (name, points) in zip(found, by_name.items(), strict=True):
            if clean is not None:
                axes.axhline(clean.value, color=INK, linewidth=0.8, linestyle=_CLEAN)
            curve(axes, points, look_of.get(name, PLAIN), markersize=3, capsize=1.5)
        found[0].set(xlim=(0.5, 5.5), ylim=(0, 100), xticks=range(1, 6), yticks=range(0, 101, 25))
        for axes in found[-5:]:
            axes.set_xlabel("severity")
        handles = legend_of_groups(groups or {}, list(by_name))
        if clean is not None:
            handles.append(line(f"without corruption: {clean.value:.1f} %", linestyle=_CLEAN, linewidth=0.8))
        return handles

    described = ["Error in percent", *([] if clean is None else [f"Without corruption: {told(clean)}"])]
    for name, points in by_name.items():
        described.append(f"{_words(name)}: " + ", ".join(f"{told(p)} at severity {s}" for s, p in points.items()))
    return svg(draw, (WIDTH, 0.95 + 1.3 * -(-len(by_name) // 5)), title, note, described)


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
    names = sorted(errors, key=lambda name: (-errors[name].value, name))
    points = [errors[name] for name in names]
    values = [p.value for p in points]

    def draw(figure: Figure) -> list[Artist]:
        axes = figure.subplots()
        used = [looks(groups or {}).get(name, PLAIN) for name in names]
        axes.barh(
            range(len(names)),
            values,
            height=0.72,
            color=[tint(look.colour) for look in used],
            edgecolor=[look.colour for look in used],
            linewidth=0.7,
            hatch=[look.hatch for look in used],
        )
        axes.errorbar(values, range(len(names)), xerr=reach(points), fmt="none", ecolor=INK, elinewidth=0.9, capsize=2)
        for row, p in enumerate(points):
            axes.annotate(
                f"{p.value:.1f}",
                (p.end, row),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                fontsize=7,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},  # the mean's line doesn't cross it
            )
        axes.axvline(mean.value, color=INK, linewidth=1, linestyle=DASHED)
        rows(axes, [_words(name) for name in names])
        axes.set_xlim(0, 1.08 * max(p.end for p in [*points, mean]))
        axes.set_xlabel(axis)
        mean_line = line(f"{mean_name}: {told(mean)} %", linestyle=DASHED, linewidth=1)
        return [*legend_of_groups(groups or {}, names, bars=True), mean_line]

    told_errors = [f"{_words(name)}: {told(errors[name])}" for name in names]
    described = [axis[0].upper() + axis[1:], f"{mean_name}: {told(mean)}", *told_errors]
    return svg(draw, (WIDTH, 1.25 + 0.2 * len(names)), title, note, described)


def _words(name: str) -> str:
    """A corruption's name for people."""
    return name.replace("_", " ").capitalize().replace("Jpeg", "JPEG")
