"""list, data, doctor: what there is on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

import harness
from harness.cli import options
from harness.cli.common import print_json, print_text, verb
from harness.cli.tables import table


@verb("list")
def list_(
    what: Annotated[str, typer.Argument(help="models, benchmarks, suites, slicings or runs.")],
    output_format: options.Format = "table",
) -> None:
    """List what there is: `harness list models|benchmarks|suites|slicings|runs`."""
    records = harness.inventory(what)
    if output_format == "json":
        print_json(records)
    elif not records:
        print_text(f"No {what} yet.")
    else:
        columns = list(records[0])
        print_text(table(columns, [[str(record[c]) for c in columns] for record in records]))


@verb("data")
def data_(
    benchmark: Annotated[str | None, typer.Argument(help="Show one benchmark in full.")] = None,
    data: options.Data = None,
    output_format: options.Format = "table",
) -> None:
    """Which data sets are here, which are missing, under which licence, and how to get them."""
    records = harness.datasets(benchmark, data=options.places(data))
    if output_format == "json":
        print_json(records)
    elif benchmark is not None:
        print_text("\n".join(f"{key:12} {value}" for key, value in records[0].items()))
    else:
        rows = [[r["name"], r["where"], f"{r['size']:,}", r["licence"]] for r in records]
        print_text(table(["benchmark", "here", "images", "licence"], rows))
        print_text("\nHow to get one: harness data NAME")


@verb()
def doctor(output_format: options.Format = "table") -> None:
    """Check this machine: versions, devices, tokens present or not, store, disk."""
    report = harness.doctor()
    if output_format == "json":
        print_json(report)
    else:
        print_text("\n".join(f"{key:22} {value}" for key, value in report.items()))
