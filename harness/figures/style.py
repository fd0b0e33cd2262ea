"""What all figures share: size, colours and shapes, text, points with intervals, SVG with a text alternative."""

from __future__ import annotations

import contextlib
import io
import itertools
import math
import re
import textwrap
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Annotation

    from harness.evidence import Evidence

WIDTH = 7.2
"""Inches: a page's width between its margins."""
NARROW = 4.6
"""Inches of a figure that a phone, too, shows at a size to be read: its letters are larger."""

INK = MUTED = "#767c84"
"""As far from white as from black: figures have no ground of their own, and stand on light pages and on dark ones."""
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "harness",
    "font.family": "DejaVu Sans",  # comes with matplotlib, so that text is measured alike everywhere
    "axes.linewidth": 0.6,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#8080804d",
    "grid.linewidth": 0.5,
    "text.color": INK,
    "text.parse_math": False,  # a dollar sign in a model's name is a dollar sign
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "hatch.linewidth": 0.5,
    "legend.frameon": False,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
}
FALLBACK_FONTS = "Verdana, Arial, sans-serif"
"""For readers without DejaVu Sans; Verdana is as wide, Arial narrower, so text still fits."""


@dataclass(frozen=True)
class Look:
    """How one group is told from the others: by colour, and by marker or hatching."""

    colour: str
    marker: str
    hatch: str


LOOKS = (
    Look("#d55e00", "o", ""),
    Look("#0072b2", "s", "///"),
    Look("#009e73", "^", "\\\\\\"),
    Look("#cc79a7", "D", "xxx"),
)
PLAIN = Look("#56606b", "o", "")
"""For what belongs to no group."""
DASHED = (0, (4, 2))
DOTTED = (0, (1, 2))


@dataclass(frozen=True)
class Point:
    """A value with its interval, in the figure's unit."""

    value: float
    low: float | None = None
    """None, as `high`, where there is no interval."""
    high: float | None = None

    @property
    def end(self) -> float:
        """How far the mark reaches."""
        return self.value if self.high is None else self.high


def point(item: Evidence) -> Point:
    """What a figure shows of a piece of evidence.

    Raises:
        ValueError: it has no numeric value.
    """
    if not isinstance(item.value, int | float):
        raise ValueError(f"{item.key} has no numeric value")
    interval = item.interval
    return Point(item.value, *((interval.low, interval.high) if interval is not None else ()))


def error_of(accuracy: Point) -> Point:
    """The error that belongs to an accuracy, both in percent."""
    if accuracy.low is None or accuracy.high is None:
        return Point(100 - accuracy.value)
    return Point(100 - accuracy.value, 100 - accuracy.high, 100 - accuracy.low)


_ARE_DRAWN = ContextVar("figures are drawn", default=True)


@contextlib.contextmanager
def without_drawing() -> Iterator[None]:
    """Leave figures undrawn, for a card of which only the text is wanted: every one is an empty string."""
    token = _ARE_DRAWN.set(False)
    try:
        yield
    finally:
        _ARE_DRAWN.reset(token)


def are_drawn() -> bool:
    """Whether figures are wanted, not text alone."""
    return _ARE_DRAWN.get()


def svg(
    draw: Callable[[Figure], Sequence[Artist]],
    size: tuple[float, float],
    title: str,
    note: str,
    described: Sequence[str],
    *,
    columns: int | None = None,
) -> str:
    """A figure of `size` inches as SVG, with title above, note and legend below, and its text alternative.

    Args:
        draw: draws it and returns the legend's entries.
        described: the sentences of the text alternative, which the note ends.
        columns: of the legend; None for one row.
    """
    if not are_drawn():
        return ""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    letters = 7.5 if size[0] > NARROW else 10
    sized = dict.fromkeys(("font.size", "axes.titlesize", "axes.labelsize"), letters)
    room = size[0] / WIDTH * 7.5 / letters
    heading, below = textwrap.wrap(title, int(95 * room)), textwrap.wrap(note, int(140 * room))
    height = size[1] + (len(heading) + len(below) - 2) * letters / 55
    with mpl.rc_context(_STYLE | sized):
        figure = Figure(figsize=(size[0], height), layout="constrained")
        handles = draw(figure)
        figure.suptitle("\n".join(heading), fontsize=1.2 * letters, fontweight="bold", x=0.01, ha="left")
        legend = figure.legend(
            handles=handles,
            loc="outside lower left",
            ncols=columns or max(1, len(handles)),
            handlelength=2.2,
            alignment="left",
        )
        legend.set_title("\n".join(below))
        legend.get_title().set(fontsize=letters - 1, color=MUTED)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue().replace("'DejaVu Sans'", f"'DejaVu Sans', {FALLBACK_FONTS}")
    alternative = f"<title>{escape(title)}</title>\n <desc>{escape('. '.join([*described, note]))}.</desc>"
    return re.sub(r"<svg ([^>]*)>", lambda tag: f'<svg role="img" {tag[1]}>\n {alternative}', svg, count=1)


def check_any(records: Collection[object]) -> None:
    if not records:
        raise ValueError("there is nothing to draw")


def panels(figure: Figure, titles: Sequence[str], most: int, *, y: str, shared: bool = True) -> list[Axes]:
    """One small panel a title, at most so many in a row; shared, on one scale, the first of each row says what `y` is."""
    check_any(titles)
    columns = min(most, len(titles))
    every = figure.subplots(-(-len(titles) // columns), columns, sharex=shared, sharey=shared, squeeze=False).ravel()
    found: list[Axes] = every[: len(titles)].tolist()
    for axes in every[len(titles) :]:
        axes.set_visible(False)
    for axes, title in zip(found, titles, strict=True):
        axes.set_title(title, pad=3)
    for axes in found[:: columns if shared else 1]:
        axes.set_ylabel(y)
    for axes in found[-columns:]:
        axes.tick_params(labelbottom=True)
    return found


def rows(axes: Axes, names: Sequence[str]) -> None:
    """One row a name, the first on top."""
    check_any(names)
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.set_ylim(len(names) - 0.4, -0.6)


def legend_of_groups(groups: Mapping[str, Sequence[str]], names: Sequence[str], *, bars: bool = False) -> list[Artist]:
    """One entry a group that occurs in the figure."""
    from matplotlib.patches import Patch

    handles: list[Artist] = []
    for (group, members), look in zip(groups.items(), LOOKS, strict=False):
        if not set(members) & set(names):
            continue
        if bars:
            handles.append(Patch(facecolor=tint(look.colour), edgecolor=look.colour, hatch=look.hatch, label=group))
        else:
            handles.append(line(group, color=look.colour, marker=look.marker, markersize=3.5, linewidth=1))
    return handles


def line(label: str, **look: Any) -> Artist:
    from matplotlib.lines import Line2D

    return Line2D([], [], label=label, **({"color": INK} | look))


def looks(groups: Mapping[str, Sequence[str]]) -> dict[str, Look]:
    """The look of each member. There are four looks; members of further groups are left out."""
    return {name: look for members, look in zip(groups.values(), LOOKS, strict=False) for name in members}


def reach(points: Sequence[Point]) -> list[list[float]]:
    """How far each interval reaches below and above its value, as matplotlib takes it; NaN, undrawn, without one."""
    return [
        [math.nan if p.low is None else p.value - p.low for p in points],
        [math.nan if p.high is None else p.high - p.value for p in points],
    ]


def curve(
    axes: Axes, points: Mapping[int, Point] | Mapping[float, Point], look: Look, *, markersize: float, capsize: float
) -> None:
    """Points with intervals, joined by a line."""
    axes.errorbar(
        list(points),
        [p.value for p in points.values()],
        yerr=reach(list(points.values())),
        color=look.colour,
        marker=look.marker,
        markersize=markersize,
        linewidth=1,
        elinewidth=0.8,
        capsize=capsize,
    )


def tint(colour: str, share: float = 0.55) -> str:
    """A colour mixed with white, so that bars leave their intervals and hatching readable."""
    parts = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(255 - share * (255 - part)):02x}" for part in parts)


def told(p: Point, digits: str = ".1f") -> str:
    """A value with its interval in words, by default to one decimal."""
    value = f"{p.value:{digits}}"
    return value if p.low is None or p.high is None else f"{value} ({p.low:{digits}} to {p.high:{digits}})"


def numbered_point(
    axes: Axes, number: int, x: Point, y: Point, offset: tuple[float, float], **bar: float
) -> Annotation:
    """One model of several: a point with both intervals, in the look of its number, which stands beside it.

    Args:
        offset: from the point to the number, in points.
        bar: what `errorbar` takes beside the look.
    """
    look = LOOKS[(number - 1) % len(LOOKS)]
    drawn: dict[str, Any] = {"color": look.colour, "marker": look.marker, "elinewidth": 0.8, "linestyle": "none", **bar}
    axes.errorbar(x.value, y.value, xerr=reach([x]), yerr=reach([y]), **drawn)
    return axes.annotate(str(number), (x.value, y.value), xytext=offset, textcoords="offset points")


def numbered_legend(models: Sequence[str]) -> list[Artist]:
    """One entry a model, with its number from 1 in the given order."""
    looked = zip(models, itertools.cycle(LOOKS), strict=False)
    return [
        line(f"{number} {name}", color=look.colour, marker=look.marker, markersize=3.5, linewidth=0)
        for number, (name, look) in enumerate(looked, 1)
    ]
