"""The sheet of attribution maps: photographs with the cells that speak for a class in colour.

It is written as SVG by hand: photographs stay the JPEGs they are, each embedded once, and the same records give the same bytes
with any version of any library.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from harness.figures.style import FALLBACK_FONTS, INK, LOOKS, MUTED, are_drawn, check_any

_SIDE, _GAP, _CAPTION, _LINE = 112, 8, 142, 14
_COLOUR = LOOKS[0].colour
_FAINT = 0.4
"""Opacity of the photograph under a map."""
_LEAST = 5
"""Percent of a map's largest cell below which a cell stays uncoloured."""
_MOST_LETTERS = 18


@dataclass(frozen=True)
class MapRow:
    """One photograph and the maps of one class."""

    caption: Sequence[str]
    """Lines beside it, the first in bold."""
    photograph: str
    """A data URI."""
    maps: Mapping[str, Sequence[Sequence[int]]]
    """Rows of cells by the method's title, in percent of the largest cell; what is negative speaks against the class."""
    is_first: bool = True
    """Whether the photograph is shown as it is too; not where it stands above already."""


def attribution_sheet(groups: Mapping[str, Sequence[MapRow]], *, title: str, note: str) -> str:
    """A column a method, a row an image and class, under a heading a group. A group without rows is left out.

    Args:
        note: what a reader must know: benchmark, number of images, what passed which checks.

    Raises:
        ValueError: there is no row.
    """
    check_any([row for rows in groups.values() for row in rows])
    if not are_drawn():
        return ""
    methods = list(dict.fromkeys(method for rows in groups.values() for row in rows for method in row.maps))
    width = _CAPTION + (1 + len(methods)) * (_SIDE + _GAP) + _GAP
    parts: list[str] = []
    y = 2 * _GAP
    y = _text(parts, _GAP, y + 4, textwrap.wrap(title, width // 8), size=13, weight="bold")
    photographs = list(dict.fromkeys(row.photograph for rows in groups.values() for row in rows))
    for heading, rows in groups.items():
        if not rows:
            continue
        y += _LINE
        _text(parts, _GAP, y, [heading], weight="bold")
        for column, method in enumerate(("Image", *methods)):
            _text(parts, _CAPTION + column * (_SIDE + _GAP) + _SIDE / 2, y, [method], anchor="middle", colour=MUTED)
        y += _GAP
        for row in rows:
            below = y + _LINE
            for place, words in enumerate(row.caption):
                weight = "normal" if place else "bold"
                below = _text(parts, _GAP, below, textwrap.wrap(words, _MOST_LETTERS), weight=weight)
            number = photographs.index(row.photograph)
            if row.is_first:
                parts.append(f'<use href="#photograph{number}" x="{_CAPTION}" y="{y}"/>')
            for column, method in enumerate(methods, 1):
                if method in row.maps:
                    x = _CAPTION + column * (_SIDE + _GAP)
                    parts.append(f'<use href="#photograph{number}" x="{x}" y="{y}" opacity="{_FAINT}"/>')
                    parts.append(_cells(row.maps[method], x, y))
            y += _SIDE + _GAP
    y = _text(parts, _GAP, y + _LINE, textwrap.wrap(note, width // 6), size=9.5, colour=MUTED)
    images = "\n".join(
        f'<image id="photograph{number}" width="{_SIDE}" height="{_SIDE}" preserveAspectRatio="none" href={quoteattr(uri)}/>'
        for number, uri in enumerate(photographs)
    )
    told = "; ".join(" ".join(row.caption) for rows in groups.values() for row in rows)
    body = "\n".join(parts)
    return (
        f'<svg role="img" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {y}" width="{width}" height="{y}" '
        f"font-family=\"'DejaVu Sans', {FALLBACK_FONTS}\">\n<title>{escape(title)}</title>\n"
        f"<desc>{escape(told)}. {escape(note)}</desc>\n<defs>\n{images}\n</defs>\n"
        f'<rect width="{width}" height="{y}" fill="white"/>\n{body}\n</svg>\n'
    )


def _cells(cells: Sequence[Sequence[int]], x: float, y: float) -> str:
    """The coloured cells of a map on its photograph."""
    height, width = _SIDE / len(cells), _SIDE / len(cells[0])
    drawn = "".join(
        f'<rect x="{x + column * width:g}" y="{y + row * height:g}" width="{width:g}" height="{height:g}" '
        f'fill-opacity="{0.9 * value / 100:.2f}"/>'
        for row, values in enumerate(cells)
        for column, value in enumerate(values)
        if value >= _LEAST
    )
    return f'<g fill="{_COLOUR}" shape-rendering="crispEdges">{drawn}</g>'


def _text(
    parts: list[str],
    x: float,
    y: float,
    lines: Sequence[str],
    *,
    size: float = 10.5,
    weight: str = "normal",
    anchor: str = "start",
    colour: str = INK,
) -> int:
    """Add lines of text below one another; returns where the next one would stand."""
    for number, line in enumerate(lines):
        parts.append(
            f'<text x="{x:g}" y="{y + number * _LINE:g}" font-size="{size}" font-weight="{weight}" text-anchor="{anchor}" '
            f'fill="{colour}">{escape(line)}</text>'
        )
    return round(y + len(lines) * _LINE)
