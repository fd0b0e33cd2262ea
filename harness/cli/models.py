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

ModelsOption = Annotated[
    list[str] | None,
    typer.Option("--models", "-m", help="A model with evidence in the store; may be repeated. All of them without it."),
]
ThumbnailsOption = Annotated[
    bool | None,
    typer.Option(
        help="Show images of single failures. Without the option: where they are here and openly licensed, so "
        "none of a gated data set."
    ),
]


@verb(harness.compare)
def compare(
    models: Annotated[list[str], typer.Argument(help="Two or more models with stored predictions.", metavar="MODEL…")],
    suite: Annotated[str | None, typer.Option("--suite", "-s", help="Only this suite's benchmarks.")] = None,
    benchmark: Annotated[
        list[str] | None, typer.Option("--benchmark", "-b", help="Only this benchmark. May be given several times.")
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(
            metavar="decided",
            help="Run both models, on the same random passes, until it is settled who is better or that they differ by less "
            "than --margin.",
        ),
    ] = None,
    margin: Annotated[float | None, typer.Option(help="In points of mCE, mean error or top-1.")] = None,
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
    compared = harness.compare(models, suite=suite, benchmark=benchmark, until=until, margin=margin, **given)
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


@verb(harness.check)
def check(
    baseline: Annotated[str, typer.Option(help="An evidence.json, or a model of the store.")],
    ledger: Annotated[Path | None, typer.Argument(help="The new model's evidence.json; or give --model.")] = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help="The new model, by its name in the store.")] = None,
    max_drop: Annotated[
        list[str] | None,
        typer.Option(help="KEY=NUMBER: how much worse it may be, in the metric's unit; * in KEY is any. Repeatable."),
    ] = None,
    max_flips: Annotated[
        str | None, typer.Option(help="Share of images right before and wrong now, e.g. 1%, on each benchmark.")
    ] = None,
    policy: Annotated[Path | None, typer.Option(help="A YAML file with the limits.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Undecided fails.")] = False,
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
    found = harness.check(
        ledger,
        model=model,
        baseline=baseline,
        max_drop=options.limits(max_drop),
        max_flips=max_flips,
        policy=policy,
        strict=strict,
        **given,
    )
    if output_format == "json":
        print_json(found.to_dict())
    else:
        print_text(check_text(found, output_format))
    return found.exit_code


@verb()
def costs(
    accuracy: Annotated[
        str | None,
        typer.Option(help="The accuracy to show, a key of the ledger; without it one that most models have."),
    ] = None,
    cost: Annotated[str, typer.Option(help="For the figure: macs, parameters, energy or time.")] = "macs",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for accuracy-cost.svg and timm's benchmark table.")
    ] = None,
    output_format: options.Format = "table",
) -> None:
    """Show what the models of the store cost beside how accurate they are; with --output as a figure and a CSV too.

    Example: `harness costs --cost energy --output costs`
    """
    records = harness.costs(accuracy=accuracy, cost=cost, output=output)
    rows = [[number(value) for value in record.values()] for record in records]
    show(output_format, records, table(list(records[0]), rows, numeric=frozenset(range(1, len(records[0])))))
    for what, name in {"Table:  ": "benchmark-infer.csv", "Figure: ": "accuracy-cost.svg"}.items():
        if output is not None and (output / name).is_file():
            say(f"{what} {output / name}")


@verb(harness.html_report)
def report(
    models: ModelsOption = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The .html file to write.")] = Path("report.html"),
    thumbnails: ThumbnailsOption = None,
    **given: Any,
) -> None:
    """Write one self-contained HTML file about models in the store: nothing is run, and the page asks nothing of any network.

    Overview with intervals, comparison on the same images, shifted sets, corruptions, calibration, confusions, cost, the full
    ledger to search, and the command behind every number.

    Examples:

    `harness report --output report.html`

    `harness report --models resnet50 --models vgg16 --output two.html`

    `harness report --models efficientnet-lite0 --data imagenet-val=/data/val --thumbnails`
    """
    page = harness.html_report(models, thumbnails=thumbnails, output=output, **given)
    say(f"Report: {output} ({len(page.encode()) / 1e6:.2f} MB)")


@verb(harness.view)
def view(
    page: Annotated[Path | None, typer.Argument(help="A report.html made before; without it, one is made now.")] = None,
    models: ModelsOption = None,
    thumbnails: ThumbnailsOption = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on this machine; 0 takes a free one.")] = 0,
    browser: Annotated[bool, typer.Option(help="Open it in a browser.")] = True,
    **given: Any,
) -> None:
    """Show the report in a browser, served to this machine only (127.0.0.1), until Ctrl-C.

    Examples:

    `harness view`

    `harness view report.html --no-browser --port 8000`
    """
    harness.view(page, models=models, thumbnails=thumbnails, port=port, browser=browser, **given)
