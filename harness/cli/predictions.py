"""predictions, score: predictions out to other tools, and in from them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.common import (
    ByOption,
    DataOption,
    FormatOption,
    LabelsOption,
    ModelOption,
    OutputOption,
    SlicesOption,
    app,
    check_format,
    fails_cleanly,
    make_reporter,
    make_settings,
    print_text,
    say,
)
from harness.cli.tables import evidence_table
from harness.errors import ExitCode


@app.command()
@fails_cleanly
def predictions(
    model: ModelOption,
    benchmark: Annotated[str, typer.Option("--benchmark", "-b", help="Benchmark, e.g. imagenet-val.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="A .parquet file to write.")],
    condition: Annotated[str | None, typer.Option(help="corruption/severity, for a benchmark that has them.")] = None,
    data: DataOption = None,
    labels: LabelsOption = None,
    precision: Annotated[str, typer.Option(help="fp32, bf16 or fp16: which stored predictions.")] = "fp32",
) -> ExitCode | None:
    """Export stored predictions, one row a sample: sample_id, label, top1 … top5, target_logit, logsumexp.

    Example: `harness predictions --model efficientnet-lite0 --benchmark imagenet-val --output lite0.parquet`
    """
    from harness.export.predictions import export_predictions
    from harness.models.registry import resolve

    rows = export_predictions(
        resolve(model),
        benchmark,
        condition,
        make_settings(data, True, labels=labels, precision=precision),
        output,
    )
    say(f"{rows:,} rows: {output}")
    return None


@app.command()
@fails_cleanly
def score(
    predictions_file: Annotated[Path, typer.Option("--predictions", help="A .parquet or .csv file of predictions.")],
    benchmark: Annotated[str, typer.Option("--benchmark", "-b", help="What the predictions are of.")],
    name: Annotated[str, typer.Option("--name", help="What to call the model.")],
    column: Annotated[
        str | None, typer.Option(help="Column with a list of class indices, where the file holds several models.")
    ] = None,
    suite: Annotated[
        str | None, typer.Option("--suite", "-s", help="Slice as this suite does, e.g. subgroups.")
    ] = None,
    slices: SlicesOption = None,
    by: ByOption = None,
    data: DataOption = None,
    output: OutputOption = None,
    output_format: FormatOption = "table",
) -> ExitCode:
    """Score predictions made elsewhere: sample_id, label, and top1 … top5 or one column of lists.

    ReaL is scored along with imagenet-val. Slices by image statistics need the images (--data).

    Examples:

    `harness score --predictions preds.parquet --benchmark imagenet-val --name my-model`

    `harness score --predictions preds.parquet --benchmark imagenet-val --name my-model --suite subgroups`
    """
    from harness.cards.render import render_card
    from harness.evaluation.run import merge_into_store
    from harness.evaluation.suites import load_suite
    from harness.evidence import EvidenceClass
    from harness.export.predictions import score_file
    from harness.files import make_folder

    check_format(output_format)
    settings = make_settings(data, slices=slices, by=tuple(by or ()))
    chosen = load_suite(suite) if suite is not None else None
    ledger = score_file(predictions_file, benchmark, name, column, settings, make_reporter(), chosen)
    folder = make_folder(output or Path("harness-results") / f"{name}-{benchmark}")
    ledger.save(folder / "evidence.json")
    merge_into_store(settings.home, ledger)
    render_card(ledger).save(folder / "card.md")
    if output_format == "json":
        print_text(ledger.to_json())
    else:
        print_text(evidence_table(ledger))
        say(f"Card:      {folder / 'card.md'}\nEvidence:  {folder / 'evidence.json'}")
    waiting = any(item.class_ is EvidenceClass.PENDING for item in ledger)
    return ExitCode.INCOMPLETE if waiting else ExitCode.DONE
