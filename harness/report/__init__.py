"""The report: one self-contained HTML file about one or more models, made from their ledgers and stored predictions."""

from harness.report.contents import collect
from harness.report.page import render_report

__all__ = ["collect", "render_report"]
