"""What the verbs share: the application, options, and how results and failures are shown."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from harness import __version__
from harness.errors import ExitCode, HarnessError

app = typer.Typer(
    name="harness",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Evaluate image classifiers and write model cards in which every number can be checked.\n\n"
    "Start with `harness demo`; the sentence to remember is\n"
    "`harness run --suite robustness --model convnext-base-224-22k`.\n\n"
    "Exit codes: 0 done, 1 failed, 2 usage, 3 incomplete (some evidence is pending), 4 data, weights or access missing, "
    "5 a check failed, 130 interrupted.",
)

FORMATS = ("table", "json")

ModelOption = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        help="Registry name, hf:ORG/NAME[@REV], timm:NAME, torchvision:NAME[@WEIGHTS], or a local folder.",
    ),
]

SuiteOption = Annotated[str, typer.Option("--suite", "-s", help="Name of a suite, or the path of a suite file.")]

DataOption = Annotated[
    list[str] | None, typer.Option("--data", help="BENCHMARK=PATH: where a data set is. May be given several times.")
]

LimitOption = Annotated[
    int | None,
    typer.Option("--limit", min=1, help="Only N images a benchmark: seeded, class-balanced, marked as partial."),
]

CorruptionImagesOption = Annotated[
    int | None,
    typer.Option(min=1, help="Base images in every corruption cell: the same N seeded, class-balanced ones."),
]

OfflineOption = Annotated[bool, typer.Option("--offline", help="Fetch nothing (as HF_HUB_OFFLINE=1).")]

FormatOption = Annotated[str, typer.Option("--format", help="What to print: table or json.")]

LabelsOption = Annotated[
    str | None,
    typer.Option(
        "--labels", help="What the model's outputs are, where its checkpoint doesn't prove it, e.g. imagenet-1k."
    ),
]

SlicesOption = Annotated[
    Path | None,
    typer.Option(
        "--slices", help="Your own slices: a .csv or .parquet with sample_id or file_name, and a column a slicing."
    ),
]

ByOption = Annotated[
    list[str] | None,
    typer.Option(
        "--by",
        help="Slice by this too: NAME or NAME/GROUP of `harness list slicings`, or a column. Several are crossed.",
    ),
]

OutputOption = Annotated[Path | None, typer.Option("--output", "-o", help="Folder for evidence.json and card.md.")]


def fails_cleanly(verb: Callable[..., ExitCode | None]) -> Callable[..., None]:
    """A user's error as a sentence on stderr with its exit code; Ctrl-C as 130."""

    @wraps(verb)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            code = verb(*args, **kwargs)
        except HarnessError as error:
            say(f"harness: {error}")
            raise typer.Exit(int(error.exit_code)) from None
        except KeyboardInterrupt:
            say("harness: interrupted; what is finished is stored, and the same command goes on from there.")
            raise typer.Exit(int(ExitCode.INTERRUPTED)) from None
        raise typer.Exit(int(code or ExitCode.DONE))

    return run


def say(message: str) -> None:
    sys.stderr.write(message + "\n")


def print_text(text: str) -> None:
    sys.stdout.write(text if text.endswith("\n") else text + "\n")


def print_json(data: object) -> None:
    print_text(json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False))


def check_format(value: str) -> None:
    from harness.errors import unknown_name

    if value not in FORMATS:
        raise unknown_name("format", value, FORMATS)


def make_settings(data: list[str] | None = None, offline: bool = False, **others: Any) -> Any:
    from harness.data.catalog import parse_data_options
    from harness.settings import Settings, hub_is_offline

    if offline:
        os.environ["HF_HUB_OFFLINE"] = "1"  # the Hub's client reads it once, when it is imported
    return Settings(data=parse_data_options(data or []), offline=hub_is_offline(), **others)


def make_reporter() -> Any:
    from harness.progress import Reporter

    return Reporter()


def confirm(question: str) -> bool:
    """Ask on a terminal; elsewhere the answer is no."""
    return sys.stdin.isatty() and sys.stderr.isatty() and typer.confirm(question, err=True)


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    if version:
        print_text(f"harness {__version__}")
        raise typer.Exit
