"""predictions, score, export: predictions and results out to other tools, and in from them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

import harness
from harness.cli import options
from harness.cli.common import print_text, say, verb
from harness.cli.tables import evidence_table
from harness.errors import ExitCode


@verb(harness.predictions)
def predictions_(
    model: options.Model,
    benchmark: Annotated[str, typer.Option("--benchmark", "-b", help="Benchmark, e.g. imagenet-val.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="A .parquet file to write.")],
    condition: Annotated[str | None, typer.Option(help="corruption/severity, for a benchmark that has them.")] = None,
    precision: Annotated[str, typer.Option(help="fp32, bf16 or fp16: which stored predictions.")] = "fp32",
    **given: Any,
) -> None:
    """Export stored predictions, one row a sample: sample_id, label, top1 … top5, target_logit, logsumexp.

    Example: `harness predictions --model efficientnet-lite0 --benchmark imagenet-val --output lite0.parquet`
    """
    rows = harness.predictions(model, benchmark, output=output, condition=condition, precision=precision, **given)
    say(f"{len(rows):,} rows: {output}")


@verb(harness.score)
def score(
    predictions: Annotated[Path, typer.Option(help="A .parquet or .csv file of predictions.")],
    benchmark: Annotated[str, typer.Option("--benchmark", "-b", help="What the predictions are of.")],
    name: Annotated[str, typer.Option(help="What to call the model.")],
    column: Annotated[
        str | None, typer.Option(help="Column with a list of class indices, where the file holds several models.")
    ] = None,
    suite: Annotated[
        str | None, typer.Option("--suite", "-s", help="Slice as this suite does, e.g. subgroups.")
    ] = None,
    output: options.Output = None,
    output_format: options.Format = "table",
    **given: Any,
) -> ExitCode:
    """Score predictions made elsewhere: sample_id, label, and top1 … top5 or one column of lists.

    ReaL is scored along with imagenet-val. Slices by image statistics need the images (--data).

    Examples:

    `harness score --predictions preds.parquet --benchmark imagenet-val --name my-model`

    `harness score --predictions preds.parquet --benchmark imagenet-val --name my-model --suite subgroups`
    """
    folder = output or Path("harness-results") / f"{name}-{benchmark}"
    done = harness.score(predictions, benchmark, name=name, column=column, suite=suite, output=folder, **given)
    if output_format == "json":
        print_text(done.ledger.to_json())
    else:
        print_text(evidence_table(done.ledger))
        say(f"Card:      {folder / 'card.md'}\nEvidence:  {folder / 'evidence.json'}")
    return done.exit_code


@verb(harness.export_results)
def export(
    ledger: Annotated[str, typer.Argument(help="An evidence.json, or a model of the store.")],
    format: Annotated[
        str, typer.Option(help="samples, croissant, lm-eval, timm, eee or eval-results.", metavar="FORMAT")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write to.")],
    task: Annotated[
        list[str] | None,
        typer.Option(
            metavar="BENCHMARK=ORG/DATASET:TASK",
            help="For eval-results: the Hub's data set and task of a benchmark. May be given several times.",
        ),
    ] = None,
    **given: Any,
) -> None:
    """Write results and predictions in the formats of other tools.

    samples: one row a sample, JSONL as lm-evaluation-harness logs them, and Parquet. croissant: Parquet with MLCommons' metadata.
    lm-eval, timm: their results files. eee: a record of Every Eval Ever. eval-results: the Hub's `.eval_results` folder.

    Examples:

    `harness export evidence.json --format lm-eval --output results`

    `harness export efficientnet-lite0 --format samples --output samples`

    `harness export evidence.json --format eval-results --task imagenet-val=ILSVRC/imagenet-1k:TASK --output repository`
    """
    for path in harness.export_results(ledger, format=format, output=output, task=task, **given):
        say(str(path))
