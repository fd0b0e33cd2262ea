"""list, data, doctor: what there is on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli.common import (
    DataOption,
    FormatOption,
    app,
    check_format,
    fails_cleanly,
    make_settings,
    print_json,
    print_text,
)
from harness.cli.tables import table
from harness.errors import ExitCode


@app.command("list")
@fails_cleanly
def list_(
    what: Annotated[str, typer.Argument(help="models, benchmarks, suites, slicings or runs.")],
    output_format: FormatOption = "table",
) -> ExitCode | None:
    """List what there is: `harness list models|benchmarks|suites|slicings|runs`."""
    from harness.errors import unknown_name
    from harness.evaluation import inventory as listings

    check_format(output_format)
    if what not in listings.LISTINGS:
        raise unknown_name("listing", what, listings.LISTINGS)
    records = listings.LISTINGS[what]()
    if output_format == "json":
        print_json(records)
    elif not records:
        print_text(f"No {what} yet.")
    else:
        columns = list(records[0])
        print_text(table(columns, [[str(record[c]) for c in columns] for record in records]))
    return None


@app.command()
@fails_cleanly
def data(
    benchmark: Annotated[str | None, typer.Argument(help="Show one benchmark in full.")] = None,
    given: DataOption = None,
    output_format: FormatOption = "table",
) -> ExitCode | None:
    """Which data sets are here, which are missing, under which licence, and how to get them."""
    from harness.evaluation import inventory as listings

    check_format(output_format)
    records = listings.data_status(make_settings(given), benchmark)
    if output_format == "json":
        print_json(records)
    elif benchmark is not None:
        print_text("\n".join(f"{key:12} {value}" for key, value in records[0].items()))
    else:
        print_text(
            table(
                ["benchmark", "here", "images", "licence"],
                [[r["name"], r["where"], f"{r['size']:,}", r["licence"]] for r in records],
            )
        )
        print_text("\nHow to get one: harness data NAME")
    return None


@app.command()
@fails_cleanly
def doctor(output_format: FormatOption = "table") -> ExitCode | None:
    """Check this machine: versions, devices, tokens present or not, store, disk."""
    from harness.evaluation import inventory as listings
    from harness.hub.transport import token_state

    check_format(output_format)
    report = listings.doctor(make_settings(), token_state())
    if output_format == "json":
        print_json(report)
    else:
        print_text("\n".join(f"{key:22} {value}" for key, value in report.items()))
    return None
