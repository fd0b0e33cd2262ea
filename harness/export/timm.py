"""Several models' results in the tables of huggingface/pytorch-image-models (timm), from ledgers alone. No torch.

timm's accuracy table has no place for "n of N": values on part of a benchmark go into a table whose name says `partial`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from harness.benchmarking.efficiency import throughput_of
from harness.data.catalog import benchmarks
from harness.evaluation.scoring import REFERENCE
from harness.evidence import Ledger
from harness.export.sources import Files, Source

RESULTS_COLUMNS = (
    "model",
    "img_size",
    "top1",
    "top1_err",
    "top5",
    "top5_err",
    "param_count",
    "crop_pct",
    "interpolation",
)
"""The columns of timm's results-imagenet.csv: percent, parameters in millions."""

INFERENCE_COLUMNS = (
    "model",
    "infer_samples_per_sec",
    "infer_step_time",
    "infer_batch_size",
    "infer_img_size",
    "infer_gmacs",
    "infer_macts",
    "param_count",
)
"""The columns of timm's inference benchmark tables: step time in ms a batch, counts in units of 10^9 and 10^6."""


def with_parameters(ledger: Ledger, stored: Ledger) -> Ledger:
    """A run's ledger with the number of parameters that another run of the same model left in the store."""
    known = stored.get("compute.parameters")
    if known is None or ledger.get("compute.parameters") is not None:
        return ledger
    return ledger.model_copy(update={"evidence": [*ledger.evidence, known]})


def results_tables(ledgers: Sequence[Ledger]) -> dict[str, str]:
    """CSV text in timm's columns by file name, one table a benchmark, the best model first.

    `results.csv` is imagenet-val; the others are `results-BENCHMARK.csv`. Values on part of a benchmark are apart, in a file
    that ends in `-partial.csv`.
    """
    tables: dict[str, str] = {}
    for name in benchmarks(*ledgers):
        found = [(ledger, top1) for ledger in ledgers if (top1 := ledger.measured(f"{name}.top1")) is not None]
        for partial in (False, True):
            rows = [_results_row(ledger, name) for ledger, top1 in found if top1.is_partial is partial]
            if rows:
                file = ("results" if name == REFERENCE else f"results-{name}") + ("-partial" if partial else "")
                best_first = sorted(rows, key=lambda row: -float(row["top1"]))
                tables[f"{file}.csv"] = _as_csv(RESULTS_COLUMNS, best_first)
    return tables


def _results_row(ledger: Ledger, benchmark: str) -> dict[str, str]:
    """One model's row; what the ledger doesn't say stays empty."""
    row = dict.fromkeys(RESULTS_COLUMNS, "") | {"model": str(ledger.model["name"])}
    for metric in ("top1", "top5"):
        item = ledger.measured(f"{benchmark}.{metric}")
        if item is not None:
            row |= {metric: f"{item.number:.3f}", f"{metric}_err": f"{100 - item.number:.3f}"}
    parameters = ledger.get("compute.parameters")
    if parameters is not None and parameters.is_number:
        row["param_count"] = f"{parameters.number / 1e6:.2f}"
    if isinstance(how := ledger.model.get("preprocessing"), dict):
        size = max(how["crop"])
        row |= {"img_size": str(size), "interpolation": str(how["interpolation"])}
        resize = how.get("resize")
        if resize is not None:
            row["crop_pct"] = f"{size / (resize if isinstance(resize, int) else min(resize)):.3f}"
    return row


def export(source: Source) -> Files:
    """`results*.csv`, and `benchmark-infer.csv` where the ledger has what it needs.

    Raises:
        MissingInputError: neither of them has a row.
    """
    tables = results_tables([source.ledger]) | speed_table([source.ledger])
    if not tables:
        raise source.nothing_measured()
    for name, text in tables.items():
        yield name, text.encode()


def speed_table(ledgers: Sequence[Ledger]) -> dict[str, str]:
    """`benchmark-infer.csv` as text by that name, the fastest model first as in timm's tables; nothing where no model has what
    it needs."""
    rows = [row for ledger in ledgers if (row := _speed_row(ledger)) is not None]
    fastest_first = sorted(rows, key=lambda row: -row["infer_samples_per_sec"])
    return {"benchmark-infer.csv": _as_csv(INFERENCE_COLUMNS, fastest_first)} if rows else {}


def _speed_row(ledger: Ledger) -> dict[str, Any] | None:
    """A model's values of `INFERENCE_COLUMNS`, rounded as timm rounds them; None where a column can't be filled."""
    speed = throughput_of(ledger)
    macs, activations, parameters = (ledger.get(f"compute.{name}") for name in ("macs", "activations", "parameters"))
    if not (speed and macs and activations and parameters):
        return None
    if not (macs.is_number and activations.is_number and parameters.is_number):
        return None
    batch = int((speed.protocol or {})["batch"])
    return {
        "model": str(ledger.model["name"]),
        "infer_samples_per_sec": round(speed.number, 2),
        "infer_step_time": round(1000 * batch / speed.number, 3),
        "infer_batch_size": batch,
        "infer_img_size": int((macs.protocol or {})["input_size"][-1]),
        "infer_gmacs": round(macs.number / 1e9, 2),
        "infer_macts": round(activations.number / 1e6, 2),
        "param_count": round(parameters.number / 1e6, 2),
    }


def _as_csv(columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> str:
    return str(pd.DataFrame(rows, columns=list(columns)).to_csv(index=False, lineterminator="\n"))
