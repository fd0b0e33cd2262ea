"""The report as one HTML file that asks nothing of any network.

Every value is escaped by the template engine; the one script is named by its hash in the page's content security policy, so
that nothing else can run even where a value holds markup. Figures are parsed and written again (see svg_embedding.py).
"""

from __future__ import annotations

import base64
import hashlib
import itertools

import jinja2
from markupsafe import Markup

from harness.files import shipped_folder
from harness.report.contents import Report, classes_of
from harness.report.svg_embedding import inline_svg

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{script}'; base-uri 'none'; form-action 'none'"
"""Styles are inline in SVG; they can't fetch anything, as default-src forbids it."""


_PARTS = (
    ("shift", "Shifted sets"),
    ("corruptions", "Corruptions"),
    ("slices", "Kinds of images"),
    ("calibration", "Calibration"),
)
"""Sections that consist of figures, in the order of the page."""


def content_policy(script: str) -> str:
    """The content security policy of a page whose one script this is."""
    return _POLICY.format(script=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode())


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
    numbers = itertools.count(1)
    environment.globals["figure"] = lambda svg: inline_svg(svg, f"f{next(numbers)}-")
    return environment.get_template("report.html.j2").render(
        report=report,
        classes=classes_of(report),
        policy=content_policy(script),
        script=Markup(script),
        style=Markup((folder / "report.css").read_text(encoding="utf-8")),
    )
