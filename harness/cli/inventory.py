"""list, data, doctor: what there is on this machine."""

from __future__ import annotations

from typing import Any

import harness
from harness.cli import options
from harness.cli.common import show, verb
from harness.cli.tables import clipped, table


@verb(harness.inventory, positional="what")
def list_(what: str, output_format: options.Format = "table") -> None:
    """List what there is: `harness list models|benchmarks|suites|slicings|runs`."""
    records = harness.inventory(what)
    rows = [["" if value is None else clipped(str(value)) for value in record.values()] for record in records]
    show(output_format, records, table(list(records[0]), rows) if records else f"No {what} yet.")


@verb(harness.datasets, positional="benchmark")
def data_(benchmark: str | None = None, output_format: options.Format = "table", **given: Any) -> None:
    """Which data sets are here, which are missing, under which licence, and how to get them; and how your own is read.

    Example: `harness data ./beans/validation`
    """
    records = harness.datasets(benchmark, **given)
    if benchmark is not None:
        text = "\n".join(f"{key:12} {_in_words(value)}" for key, value in records[0].items() if value != [])
    else:
        rows = [[r["name"], r["where"], f"{r['size']:,}", r["licence"]] for r in records]
        text = table(["benchmark", "here", "images", "licence"], rows) + "\n\nHow to get one: harness data NAME"
    show(output_format, records, text)


def _in_words(value: object) -> str:
    match value:
        case dict():  # images by class
            return f"{len(value):,}: " + ", ".join(f"{name} ({count:,})" for name, count in value.items())
        case list():
            return "\n             ".join(map(str, value))
        case _:
            return str(value)


@verb()
def doctor(output_format: options.Format = "table") -> None:
    """Check this machine: versions, devices, tokens present or not, store, disk."""
    report = harness.doctor()
    show(output_format, report, "\n".join(f"{key:22} {value}" for key, value in report.items()))
