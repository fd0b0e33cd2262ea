"""Figures inside a page: SVG whose ids can't collide with another figure's, without what a page doesn't need."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from markupsafe import Markup

_SVG = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"
_HREFS = (f"{{{_XLINK}}}href", "href")
_DROPPED = (f"{{{_SVG}}}metadata", f"{{{_SVG}}}style")
"""matplotlib's credits, and its style sheet, which would apply to the whole page; the page has the same rules for figures."""
_NUMERIC = ("d", "x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "width", "height", "points", "transform")
_LONG = re.compile(r"(\d+\.\d{2})\d+")
"""A hundredth of a pixel is enough."""

ElementTree.register_namespace("", _SVG)
ElementTree.register_namespace("xlink", _XLINK)


def inline_svg(svg: str, prefix: str) -> Markup:
    """A figure's SVG for the inside of an HTML page.

    It is parsed and written again, so that whatever a text in it holds stays a text.

    Args:
        prefix: begins all ids; another one for each figure of the page.

    Raises:
        ValueError: it is not XML.
    """
    try:
        root = ElementTree.fromstring(svg)
    except ElementTree.ParseError as error:
        raise ValueError(f"the figure is not XML: {error}") from error
    for parent in list(root.iter()):
        for child in [child for child in parent if child.tag in _DROPPED]:
            parent.remove(child)
    for element in root.iter():
        for name, value in element.attrib.items():
            if name == "id":
                element.set(name, prefix + value)
            elif name in _HREFS:
                element.set(name, re.sub(r"^#", f"#{prefix}", value))
            elif "url(#" in value:
                element.set(name, value.replace("url(#", f"url(#{prefix}"))
            elif name in _NUMERIC:
                element.set(name, _LONG.sub(r"\1", value))
    root.set("class", "figure")
    return Markup(ElementTree.tostring(root, encoding="unicode"))
