"""compare: models against each other on the same samples, from stored predictions."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.common import (
    ByOption,
    DataOption,
    SlicesOption,
    app,
    fails_cleanly,
    make_reporter,
    make_settings,
    print_text,
    say,
)
from harness.cli.tables import table
from harness.errors import ExitCode, HarnessError, unknown_name

if TYPE_CHECKING:
    from harness.evaluation.comparing import Compared, Comparison

COMPARE_FORMATS = ("table", "markdown", "csv", "json")


@app.command()
@fails_cleanly
def compare(
    models: Annotated[list[str], typer.Argument(help="Two or more models with stored predictions.", metavar="MODEL…")],
    suite: Annotated[str | None, typer.Option("--suite", "-s", help="Only this suite's benchmarks.")] = None,
    benchmark: Annotated[
        list[str] | None, typer.Option("--benchmark", "-b", help="Only this benchmark. May be given several times.")
    ] = None,
    by: ByOption = None,
    slices: SlicesOption = None,
    data: DataOption = None,
    allow_different_protocols: Annotated[
        bool, typer.Option("--allow-different-protocols", help="Compare all the same, and state the differences.")
    ] = False,
    disagreements: Annotated[
        Path | None,
        typer.Option(help="Write the images that one gets right and another wrong to this .csv or .parquet file."),
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write; stdout without it.")] = None,
    output_format: Annotated[str, typer.Option("--format", help="table, markdown, csv or json.")] = "table",
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
    """
    from harness.evaluation.comparing import compare as compare_models
    from harness.evaluation.slice_requests import request_of
    from harness.evaluation.stored import stored_model
    from harness.evaluation.suites import load_suite
    from harness.files import write_text

    if output_format not in COMPARE_FORMATS:
        raise unknown_name("format", output_format, COMPARE_FORMATS)
    if disagreements is not None and disagreements.suffix not in (".csv", ".parquet"):
        raise HarnessError(
            f"{disagreements} is neither .csv nor .parquet.", remedy="Choose one.", exit_code=ExitCode.USAGE
        )
    loaded = load_suite(suite) if suite is not None else None
    request = request_of(loaded, slices, by or ())
    settings = make_settings(data, True)
    reporter = make_reporter()
    compared = compare_models(
        [stored_model(name, settings.home) for name in models],
        settings,
        reporter.note,
        suite=loaded,
        only=benchmark or (),
        slices=request,
        allow_different_protocols=allow_different_protocols,
    )
    text = _WRITERS[output_format](compared)
    if output is None:
        print_text(text)
    else:
        write_text(output, text if text.endswith("\n") else text + "\n")
        say(f"Comparison: {output}")
    if output_format == "csv":  # which has no place for them
        for note in (*map(str, compared.means), *compared.notes, *compared.missing):
            say(note)
    if disagreements is not None:
        say(f"{_write_disagreements(compared, disagreements):,} images: {disagreements}")
    return compared.exit_code


def _as_table(compared: Compared) -> str:
    columns, rows = _main_rows(compared)
    numeric = frozenset(i for i, name in enumerate(columns) if name in _NUMERIC)
    parts = [table(columns, rows, numeric=numeric)]
    for line in _below(compared):
        parts.append(line)
    return "\n\n".join(parts)


def _as_markdown(compared: Compared) -> str:
    columns, rows = _main_rows(compared)
    lines = ["| " + " | ".join(columns) + " |"]
    lines.append("| " + " | ".join("---:" if name in _NUMERIC else "---" for name in columns) + " |")
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n\n" + "\n\n".join(_below(compared)) + "\n"


def _as_csv(compared: Compared) -> str:
    from harness.evaluation.comparing import Comparison

    buffer = io.StringIO()
    names = [*(field.name for field in fields(Comparison)), "detected", "verdict"]
    writer = csv.DictWriter(buffer, names, lineterminator="\n")
    writer.writeheader()
    for c in compared.comparisons:
        writer.writerow(asdict(c) | {"detected": c.detected, "verdict": c.verdict})
    return buffer.getvalue()


def _as_json(compared: Compared) -> str:
    return json.dumps(compared.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)


_WRITERS = {"table": _as_table, "markdown": _as_markdown, "csv": _as_csv, "json": _as_json}
_NUMERIC = frozenset({"n", "A", "B", "A − B", "p (Holm)", "top-1", "rank", "only A right", "only B right"})


def _main_rows(compared: Compared) -> tuple[list[str], list[list[str]]]:
    """One row a comparison for two models; for more, each benchmark's models by rank."""
    if len(compared.models) == 2:
        columns = ["on", "n", "A", "B", "A − B", "95 % interval", "only A right", "only B right", "p (Holm)", "result"]
        return columns, [_row(c) for c in compared.comparisons]
    from harness.evidence import decimals_for

    columns = ["on", "n", "rank", "model", "top-1", "95 % interval", "letters"]
    n_of = {s.where: len(s.sample_ids) for s in compared.sets}
    rows = []
    for where, placed in compared.ranking.items():
        for p in placed:
            rank = str(p.best_rank) if p.best_rank == p.worst_rank else f"{p.best_rank}–{p.worst_rank}"
            decimals = decimals_for((p.high - p.low) / 2, "%")
            interval = f"{p.low:.{decimals}f}–{p.high:.{decimals}f}"
            rows.append([where, f"{n_of[where]:,}", rank, p.model, f"{p.accuracy:.{decimals}f}", interval, p.letters])
    return columns, rows


def _row(c: Comparison) -> list[str]:
    from harness.evidence import decimals_for

    decimals = decimals_for((c.high - c.low) / 2, "%")
    return [
        c.where,
        f"{c.n:,}",
        f"{c.first_accuracy:.{decimals}f}",
        f"{c.other_accuracy:.{decimals}f}",
        f"{c.difference:+.{decimals}f}",
        f"{c.low:+.{decimals}f} to {c.high:+.{decimals}f}",
        f"{c.only_first:,}",
        f"{c.only_other:,}",
        _p_value(c.p_holm),
        c.verdict,
    ]


def _p_value(p: float) -> str:
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def _below(compared: Compared) -> list[str]:
    """What stands below the table: who is who, agreement, how it was made, what a reader must know."""
    from harness.metrics.paired import METHOD

    whole = sum(c.whole for c in compared.comparisons)
    made = (
        f"Accuracies and differences are in percent and points. Intervals of differences: {METHOD}. p: McNemar's exact test, "
        f"corrected by Holm over {whole} comparison(s) of whole benchmarks"
    )
    made += f", and apart over {parts} of their parts." if (parts := len(compared.comparisons) - whole) else "."
    lines = []
    if len(compared.models) == 2:
        lines.append(f"A: {compared.models[0]}, B: {compared.models[1]}")
        for (_, _, where), found in compared.agreements.items():
            kappa = "" if found.error_consistency is None else f", error consistency κ {found.error_consistency:.2f}"
            lines.append(
                f"{where}: same answer on {found.same_answer:.1f} % of images, both right or both wrong on "
                f"{found.same_outcome:.1f} %{kappa}"
            )
    else:
        made += (
            " Models that share a letter can't be told apart; a rank interval holds the ranks that the tests leave open. "
            "Every pair with its difference: --format csv."
        )
    return [*lines, *map(str, compared.means), made, *compared.notes, *compared.missing]


def _write_disagreements(compared: Compared, path: Path) -> int:
    """Write them; returns how many rows."""
    from harness.files import atomic_write

    frame = compared.disagreements()
    if path.suffix == ".csv":
        atomic_write(path, lambda file: frame.to_csv(file, index=False))
    else:
        atomic_write(path, lambda file: frame.to_parquet(file, index=False))
    return len(frame)
