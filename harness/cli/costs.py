"""costs: what the models of the store cost beside how accurate they are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from harness.cli.common import FormatOption, app, check_format, fails_cleanly, print_json, print_text, say
from harness.cli.tables import table
from harness.errors import ExitCode

TIMM_TABLE = "benchmark-infer.csv"
"""timm's inference benchmark table, beside a run's evidence and in the folder of `harness costs`."""


@app.command()
@fails_cleanly
def costs(
    accuracy: Annotated[str, typer.Option(help="The accuracy to show, a key of the ledger.")] = "imagenet-val.top1",
    cost: Annotated[str, typer.Option(help="For the figure: macs, parameters, energy or time.")] = "macs",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for accuracy-cost.svg and timm's benchmark table.")
    ] = None,
    output_format: FormatOption = "table",
) -> ExitCode | None:
    """Show what the models of the store cost beside how accurate they are; with --output as a figure and a CSV too.

    Example: `harness costs --cost energy --output costs`
    """
    from harness.errors import MissingInputError, unknown_name
    from harness.export.costs import COSTS, cost_figure, cost_records, store_ledgers
    from harness.export.timm import inference_csv, inference_row
    from harness.files import make_folder, write_text
    from harness.settings import default_home

    check_format(output_format)
    if cost not in COSTS:
        raise unknown_name("cost", cost, COSTS)
    ledgers = store_ledgers(default_home())
    if not ledgers:
        raise MissingInputError("No model has been run yet.", remedy="Run `harness run --suite compute --model NAME`.")
    records = cost_records(ledgers, accuracy)
    if output_format == "json":
        print_json(records)
    else:
        columns = list(records[0])
        rows = [[_shown(record[column]) for column in columns] for record in records]
        print_text(table(columns, rows, numeric=frozenset(range(1, len(columns)))))
    if output is None:
        return None
    make_folder(output)
    rows_of_timm = [row for ledger in ledgers if (row := inference_row(ledger)) is not None]
    if rows_of_timm:
        write_text(output / TIMM_TABLE, inference_csv(rows_of_timm))
        say(f"Table:   {output / TIMM_TABLE}")
    write_text(output / "accuracy-cost.svg", cost_figure(ledgers, accuracy=accuracy, cost=cost))
    say(f"Figure:  {output / 'accuracy-cost.svg'}")
    return None


def _shown(value: Any) -> str:
    if value is None:
        return "—"
    if isinstance(value, float):
        return f"{float(f'{value:.4g}'):,.10g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
