"""Figures for cards and reports: SVG text in one style, with a text alternative.

A figure function takes plain records and returns SVG; the same records give the same bytes (with one version of
matplotlib). Text stays text, so it can be searched, copied and read aloud. Colours are those of Okabe and Ito, which
people with any colour vision can tell apart, and never carry a meaning alone: a shape or a hatching goes with each, so
that a black-and-white print is enough. The ground is white, whatever the page's.

matplotlib is imported when a figure is drawn, not before, and its pyplot is never used. Given up: its settings are changed
for the time of drawing, so two figures can't be drawn in two threads at once.
"""

from __future__ import annotations

import io
import math
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from harness.evidence import Evidence

_WIDTH = 7.2
"""Inches: a page's width between its margins."""

_INK = "#1a1a1a"
_MUTED = "#6b6b6b"
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "harness",
    "font.family": "DejaVu Sans",  # comes with matplotlib, so that text is measured alike everywhere
    "font.size": 7.5,
    "axes.titlesize": 7.5,
    "axes.labelsize": 7.5,
    "axes.linewidth": 0.6,
    "axes.edgecolor": _MUTED,
    "axes.labelcolor": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.5,
    "text.color": _INK,
    "text.parse_math": False,  # a dollar sign in a model's name is a dollar sign
    "xtick.color": _INK,
    "ytick.color": _INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "hatch.linewidth": 0.5,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}
_FALLBACK_FONTS = "Verdana, Arial, sans-serif"
"""For readers without DejaVu Sans; Verdana is as wide, Arial narrower, so text still fits."""


@dataclass(frozen=True)
class _Look:
    """How one group is told from the others: by colour, and by marker or hatching."""

    colour: str
    marker: str
    hatch: str


_LOOKS = (
    _Look("#d55e00", "o", ""),
    _Look("#0072b2", "s", "///"),
    _Look("#009e73", "^", "\\\\\\"),
    _Look("#cc79a7", "D", "xxx"),
)
_PLAIN = _Look("#56606b", "o", "")
"""For what belongs to no group."""


@dataclass(frozen=True)
class Point:
    """A value with its interval, in the figure's unit."""

    value: float
    low: float | None = None
    """None, as `high`, where there is no interval."""
    high: float | None = None


def point(item: Evidence) -> Point:
    """What a figure shows of a piece of evidence.

    Raises:
        ValueError: it has no numeric value.
    """
    if not isinstance(item.value, int | float):
        raise ValueError(f"{item.key} has no numeric value")
    if item.interval is None:
        return Point(item.value)
    return Point(item.value, item.interval.low, item.interval.high)


def error_of(accuracy: Point) -> Point:
    """The error that belongs to an accuracy, both in percent."""
    if accuracy.low is None or accuracy.high is None:
        return Point(100 - accuracy.value)
    return Point(100 - accuracy.value, 100 - accuracy.high, 100 - accuracy.low)


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
        title: what is shown, of which model.
        note: what a reader must know: benchmark, images, how intervals are made.
        clean: the error without corruption, drawn as a line through all panels.
        groups: corruptions by group, told apart by colour and marker.

    Returns:
        SVG text.

    Raises:
        ValueError: there are no errors.
    """
    if not errors:
        raise ValueError("there is nothing to draw")
    names = list(dict.fromkeys(name for name, _ in errors))
    looks = _looks(groups or {})
    severities = sorted({severity for _, severity in errors})
    columns = min(5, len(names))
    rows = -(-len(names) // columns)

    def draw(figure: Figure) -> None:
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
        for axes, name in zip(panels, names, strict=False):
            look = looks.get(name, _PLAIN)
            if clean is not None:
                axes.axhline(clean.value, color=_INK, linewidth=0.8, linestyle=(0, (1, 1.5)))
            points = {s: errors[name, s] for s in severities if (name, s) in errors}
            axes.errorbar(
                list(points),
                [p.value for p in points.values()],
                yerr=_reach(list(points.values())),
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
        handles = _legend_of_groups(groups or {}, names)
        if clean is not None:
            handles.append(_line(f"without corruption: {clean.value:.1f} %", linestyle=(0, (1, 1.5)), linewidth=0.8))
        _finish(figure, title, note, handles)

    described = [
        f"{_words(name)}: "
        + ", ".join(f"{_told(errors[name, s])} at severity {s}" for s in severities if (name, s) in errors)
        for name in names
    ]
    beside = [] if clean is None else [f"Without corruption: {_told(clean)}"]
    text = ". ".join(["Error in percent", *beside, *described, note])
    return _svg(draw, (_WIDTH, 0.95 + 1.3 * rows), title, text)


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
        title: what is shown, of which model.
        note: what a reader must know: benchmark, images, how intervals are made.
        mean_name: what the mean is called.
        axis: what the bars are, with the unit.
        groups: corruptions by group, told apart by colour and hatching.

    Returns:
        SVG text.

    Raises:
        ValueError: there are no errors.
    """
    if not errors:
        raise ValueError("there is nothing to draw")
    names = sorted(errors, key=lambda name: (-errors[name].value, name))
    looks = _looks(groups or {})

    def draw(figure: Figure) -> None:
        axes: Axes = figure.subplots()
        points = [errors[name] for name in names]
        used = [looks.get(name, _PLAIN) for name in names]
        axes.barh(
            range(len(names)),
            [p.value for p in points],
            height=0.72,
            color=[_tint(look.colour) for look in used],
            edgecolor=[look.colour for look in used],
            linewidth=0.7,
            hatch=[look.hatch for look in used],
        )
        axes.errorbar(
            [p.value for p in points],
            range(len(names)),
            xerr=_reach(points),
            fmt="none",
            ecolor=_INK,
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
        axes.axvline(mean.value, color=_INK, linewidth=1, linestyle=(0, (4, 2)))
        axes.set_yticks(range(len(names)), [_words(name) for name in names])
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=False, axis="y")
        axes.set_ylim(len(names) - 0.4, -0.6)
        furthest = max(p.value if p.high is None else p.high for p in [*points, mean])
        axes.set_xlim(0, 1.08 * furthest)
        axes.set_xlabel(axis)
        line = _line(f"{mean_name}: {_told(mean)} %", linestyle=(0, (4, 2)), linewidth=1)
        _finish(figure, title, note, [*_legend_of_groups(groups or {}, names, bars=True), line])

    described = [f"{_words(name)}: {_told(errors[name])}" for name in names]
    text = ". ".join([axis[0].upper() + axis[1:], f"{mean_name}: {_told(mean)}", *described, note])
    return _svg(draw, (_WIDTH, 1.25 + 0.2 * len(names)), title, text)


# --- what all figures share -------------------------------------------------------------------------------------------


def _svg(draw: Callable[[Figure], None], size: tuple[float, float], title: str, description: str) -> str:
    """Draw a figure of `size` inches and return it as SVG with its text alternative."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue().replace("'DejaVu Sans'", f"'DejaVu Sans', {_FALLBACK_FONTS}")
    alternative = f"<title>{escape(title)}</title>\n <desc>{escape(description)}.</desc>"
    return re.sub(r"<svg ([^>]*)>", lambda tag: f'<svg role="img" {tag[1]}>\n {alternative}', svg, count=1)


def _finish(figure: Figure, title: str, note: str, handles: Sequence[Artist]) -> None:
    """Title above; note and legend below."""
    figure.suptitle(textwrap.fill(title, 95), fontsize=9, fontweight="bold", x=0.01, ha="left")
    legend = figure.legend(
        handles=handles, loc="outside lower left", ncols=max(1, len(handles)), handlelength=2.2, alignment="left"
    )
    legend.set_title(textwrap.fill(note, 140))
    legend.get_title().set(fontsize=6.5, color=_MUTED)


def _legend_of_groups(groups: Mapping[str, Sequence[str]], names: Sequence[str], *, bars: bool = False) -> list[Artist]:
    """One entry a group that occurs in the figure."""
    from matplotlib.patches import Patch

    handles: list[Artist] = []
    for (group, members), look in zip(groups.items(), _LOOKS, strict=False):
        if not set(members) & set(names):
            continue
        if bars:
            handles.append(Patch(facecolor=_tint(look.colour), edgecolor=look.colour, hatch=look.hatch, label=group))
        else:
            handles.append(_line(group, color=look.colour, marker=look.marker, markersize=3.5, linewidth=1))
    return handles


def _line(label: str, **look: Any) -> Artist:
    from matplotlib.lines import Line2D

    return Line2D([], [], label=label, **({"color": _INK} | look))


def _looks(groups: Mapping[str, Sequence[str]]) -> dict[str, _Look]:
    """The look of each member. There are four looks; members of further groups are left out."""
    return {name: look for members, look in zip(groups.values(), _LOOKS, strict=False) for name in members}


def _reach(points: Sequence[Point]) -> list[list[float]]:
    """How far each interval reaches below and above its value, as matplotlib takes it; NaN, undrawn, without one."""
    return [
        [math.nan if p.low is None else p.value - p.low for p in points],
        [math.nan if p.high is None else p.high - p.value for p in points],
    ]


def _tint(colour: str, share: float = 0.55) -> str:
    """A colour mixed with white, so that bars leave their intervals and hatching readable."""
    parts = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(255 - share * (255 - part)):02x}" for part in parts)


def _told(p: Point) -> str:
    """A value with its interval in words, to one decimal."""
    return f"{p.value:.1f}" if p.low is None or p.high is None else f"{p.value:.1f} ({p.low:.1f} to {p.high:.1f})"


def _words(name: str) -> str:
    """A corruption's name for people."""
    return name.replace("_", " ").capitalize().replace("Jpeg", "JPEG")
