"""The report as one HTML file that asks nothing of any network.

Every value is escaped by the template engine; the one script is named by its hash in the page's content security policy, so
that nothing else can run even where a value holds markup. Figures are parsed and written again: their ids can't collide with
another figure's, and what a page doesn't need is left out.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import re
from xml.etree import ElementTree

import jinja2
from markupsafe import Markup

from harness.evidence import show_count, show_interval, show_number, show_value
from harness.files import shipped_folder
from harness.report.contents import Report, detail, if_any

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{script}'; base-uri 'none'; form-action 'none'"
"""Styles are inline in SVG; they can't fetch anything, as default-src forbids it."""

_PARTS = (
    ("shift", "Shifted sets"),
    ("corruptions", "Corruptions and attacks"),
    ("slices", "Kinds of images"),
    ("calibration", "Calibration"),
    ("examination", "What the model goes by"),
)
"""Sections that consist of figures, in the order of the page."""

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


def render_report(report: Report) -> str:
    """The page as text."""
    folder = shipped_folder("templates") / "report"
    script = (folder / "report.js").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["parts"] = _PARTS
    for shown in (show_count, show_interval, show_number, show_value, detail, if_any):
        environment.globals[shown.__name__] = shown
    numbers = itertools.count(1)
    environment.globals["figure"] = lambda svg: inline_svg(svg, f"f{next(numbers)}-")
    return environment.get_template("report.html.j2").render(
        report=report,
        policy=_POLICY.format(script=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()),
        script=Markup(script),
        style=Markup((folder / "report.css").read_text(encoding="utf-8")),
    )


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
