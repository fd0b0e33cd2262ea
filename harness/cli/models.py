"""compare, check, costs, report, view: several models beside each other, from what the store has of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

import harness
from harness.cli import options
from harness.cli.common import print_json, print_text, say, show, verb
from harness.cli.tables import check_text, comparison_text, number, table
from harness.errors import ExitCode, UsageError

_FORMATS = options.one_of("format", "table", "markdown", "csv", "json")


@verb(harness.compare, positional="models")
def compare(
    models: Annotated[list[str], typer.Argument(help="Two or more models with stored predictions.", metavar="MODEL…")],
    disagreements: Annotated[
        Path | None,
        typer.Option(help="Write the images that one gets right and another wrong to this .csv or .parquet file."),
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write; stdout without it.")] = None,
    output_format: Annotated[
        str, typer.Option("--format", help="table, markdown, csv or json.", callback=_FORMATS)
    ] = "table",
    **given: Any,
) -> ExitCode:
    """Compare models on the same samples, from stored predictions, in seconds.

    For each benchmark the difference with a paired 95 % interval and McNemar's exact test, corrected by Holm over all
    benchmarks and pairs (parts of benchmarks are a family of their own), and what could have been detected at all. Models
    that `harness run` ran and models that `harness score` imported can be compared with each other.

    Examples:

    `harness compare regnet-y-040 convnext-base-224-22k --suite robustness`

    `harness compare resnet50 vgg16 alexnet --benchmark imagenet-val --format markdown`

    `harness compare resnet50 vgg16 --benchmark imagenet-val --by imagenet-x`

    `harness compare resnet50 vgg16 --disagreements differ.csv`

    `harness compare regnet-y-040 timm:resnet50.a1_in1k --suite corruption --until decided --margin 0.5`
    """
    from harness.files import atomic_write, write_text

    if disagreements is not None and disagreements.suffix not in (".csv", ".parquet"):
        raise UsageError(f"{disagreements} is neither .csv nor .parquet.", remedy="Choose one.")
    compared = harness.compare(models, **given)
    text = comparison_text(compared, output_format)
    if output is None:
        print_text(text)
    else:
        write_text(output, text if text.endswith("\n") else text + "\n")
        say(f"Comparison: {output}")
    if output_format == "csv":  # which has no place for them
        for note in (*map(str, compared.means), *compared.notes, *compared.missing):
            say(note)
    if disagreements is not None:
        frame = compared.disagreements()
        write = frame.to_csv if disagreements.suffix == ".csv" else frame.to_parquet
        atomic_write(disagreements, lambda file: write(file, index=False))
        say(f"{len(frame):,} images: {disagreements}")
    return compared.exit_code


@verb(harness.check, positional="ledger")
def check(
    max_drop: list[str] | None = None,
    output_format: Annotated[
        str,
        typer.Option(
            "--format",
            help="table, markdown, junit or json.",
            callback=options.one_of("format", "table", "markdown", "junit", "json"),
        ),
    ] = "table",
    **given: Any,
) -> ExitCode:
    """Fail where a model became worse than a baseline by more than is allowed: a gate for CI.

    Each limit is a non-inferiority test, paired on stored predictions where both sides have them; all together raise a false
    alarm in at most 5 % of the runs. Exit code 5 where a limit is broken or a value missing, 3 where the data can't tell (with
    the number of samples that would).

    Examples:

    `harness check --model ./new --baseline evidence.json --max-drop imagenet-val.top1=0.5 --max-flips 1%`

    `harness check new.json --baseline old.json --max-drop 'imagenet-val@imagenet-x/*=2' --strict`

    `harness check new.json --baseline old.json --policy policy.yaml --format junit`
    """
    found = harness.check(max_drop=options.limits(max_drop), **given)
    if output_format == "json":
        print_json(found.to_dict())
    else:
        print_text(check_text(found, output_format))
    return found.exit_code


@verb(harness.costs)
def costs(output: Path | None = None, output_format: options.Format = "table", **given: Any) -> None:
    """Show what the models of the store cost beside how accurate they are; with --output as a figure and a CSV too.

    Example: `harness costs --cost energy --output costs`
    """
    records = harness.costs(output=output, **given)
    rows = [[number(value) for value in record.values()] for record in records]
    show(output_format, records, table(list(records[0]), rows, numeric=frozenset(range(1, len(records[0])))))
    for what, name in {"Table:  ": "benchmark-infer.csv", "Figure: ": "accuracy-cost.svg"}.items():
        if output is not None and (output / name).is_file():
            say(f"{what} {output / name}")


@verb(harness.html_report)
def report(output: Path = Path("report.html"), **given: Any) -> None:
    """Write one self-contained HTML file about models in the store: nothing is run, and the page asks nothing of any network.

    Overview with intervals, comparison on the same images, shifted sets, corruptions, calibration, confusions, cost, the full
    ledger to search, and the command behind every number.

    Examples:

    `harness report --output report.html`

    `harness report --models resnet50 --models vgg16 --output two.html`

    `harness report --models efficientnet-lite0 --data imagenet-val=/data/val --thumbnails`
    """
    page = harness.html_report(output=output, **given)
    say(f"Report: {output} ({len(page.encode()) / 1e6:.2f} MB)")


@verb(harness.view, positional="page")
def view(**given: Any) -> None:
    """Show the report in a browser, served to this machine only (127.0.0.1), until Ctrl-C.

    Examples:

    `harness view`

    `harness view report.html --no-browser --port 8000`
    """
    harness.view(**given)
