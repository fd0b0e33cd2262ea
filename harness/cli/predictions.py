"""predictions, score, export: predictions and results out to other tools, and in from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import harness
from harness.cli import options
from harness.cli.common import print_text, say, verb
from harness.cli.tables import evidence_table
from harness.errors import ExitCode


@verb(harness.predictions)
def predictions_(model: options.Model, output: Path, **given: Any) -> None:
    """Export stored predictions, one row a sample: sample_id, label, top1 … top5, target_logit, logsumexp.

    Example: `harness predictions --model efficientnet-lite0 --benchmark imagenet-val --output lite0.parquet`
    """
    rows = harness.predictions(model, output=output, **given)
    say(f"{len(rows):,} rows: {output}")


@verb(harness.score)
def score(
    benchmark: str, name: str, output: options.Output = None, output_format: options.Format = "table", **given: Any
) -> ExitCode:
    """Score predictions made elsewhere: sample_id, label, and top1 … top5 or one column of lists.

    ReaL is scored along with imagenet-val. Slices by image statistics need the images (--data).

    Examples:

    `harness score --predictions preds.parquet --benchmark imagenet-val --name my-model`

    `harness score --predictions preds.parquet --benchmark imagenet-val --name my-model --suite subgroups`
    """
    folder = output or Path("harness-results") / f"{name}-{benchmark}"
    done = harness.score(benchmark=benchmark, name=name, output=folder, **given)
    if output_format == "json":
        print_text(done.ledger.to_json())
    else:
        print_text(evidence_table(done.ledger))
        say(f"Card:      {folder / 'card.md'}\nEvidence:  {folder / 'evidence.json'}")
    return done.exit_code


@verb(harness.export_results, positional="ledger")
def export(**given: Any) -> None:
    """Write results and predictions in the formats of other tools.

    samples: one row a sample, JSONL as lm-evaluation-harness logs them, and Parquet. croissant: Parquet with MLCommons' metadata.
    lm-eval, timm: their results files. eee: a record of Every Eval Ever. eval-results: the Hub's `.eval_results` folder.

    Examples:

    `harness export evidence.json --format lm-eval --output results`

    `harness export efficientnet-lite0 --format samples --output samples`

    `harness export evidence.json --format eval-results --task imagenet-val=ILSVRC/imagenet-1k:TASK --output repository`
    """
    for path in harness.export_results(**given):
        say(str(path))
