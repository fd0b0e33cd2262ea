"""What the verbs share: the application, options, and how results and failures are shown."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Annotated, ParamSpec

import typer

import harness
from harness.errors import ExitCode, HarnessError, unknown_name

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

_MODEL_HELP = "Registry name, hf:ORG/NAME[@REV], timm:NAME, torchvision:NAME[@WEIGHTS], or a local folder."

ModelOption = Annotated[str, typer.Option("--model", "-m", help=_MODEL_HELP)]

ManyModelsOption = Annotated[
    list[str], typer.Option("--model", "-m", help=f"{_MODEL_HELP} Several are run one after the other.")
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

_Arguments = ParamSpec("_Arguments")


def fails_cleanly(verb: Callable[_Arguments, ExitCode | None]) -> Callable[_Arguments, None]:
    """A user's error as a sentence on stderr with its exit code; Ctrl-C as 130."""

    @wraps(verb)
    def run(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> None:
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


def check_format(value: str, known: Sequence[str] = FORMATS) -> None:
    """Raises HarnessError, before anything is done, for a format that can't be printed."""
    if value not in known:
        raise unknown_name("format", value, known)


def data_places(options: list[str] | None) -> dict[str, str]:
    """`--data BENCHMARK=PATH` options as a mapping."""
    if not options:
        return {}
    from harness.data.catalog import parse_data_options

    return parse_data_options(options)


def stay_offline() -> None:
    """Tell the Hub's client, which reads this once, when it is imported."""
    os.environ["HF_HUB_OFFLINE"] = "1"


def confirm(question: str) -> bool:
    """Ask on a terminal; elsewhere the answer is no."""
    return sys.stdin.isatty() and sys.stderr.isatty() and typer.confirm(question, err=True)


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    if version:
        print_text(f"harness {harness.__version__}")
        raise typer.Exit
