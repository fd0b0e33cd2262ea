"""Several models' results in the forms that other tools read: timm's results tables and lm-evaluation-harness's results file.

Both are made from ledgers alone. Neither has a place for "n of N", so a value on part of a benchmark goes into a table whose
name says `partial`, and into `n-samples`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from harness.data.catalog import benchmarks
from harness.evaluation.scoring import REFERENCE
from harness.evidence import Evidence, EvidenceClass, Ledger

TIMM_COLUMNS = (
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
"""The columns of results-imagenet.csv of huggingface/pytorch-image-models: percent, parameters in millions."""

_Z95 = 1.959963984540054
_HIGHER_IS_BETTER = {
    "top1": True,
    "top5": True,
    "nll": False,
    "brier": False,
    "ece": False,
    "mce": False,
    "mean-error": False,
}
_NAMES = {"top1": "acc", "top5": "acc_top5"}
"""lm-evaluation-harness's names, where it has one."""


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
    for name in benchmarks():
        found = [(ledger, top1) for ledger in ledgers if (top1 := _measured(ledger, f"{name}.top1")) is not None]
        for partial in (False, True):
            rows = [_timm_row(ledger, name) for ledger, top1 in found if top1.is_partial is partial]
            if rows:
                file = ("results" if name == REFERENCE else f"results-{name}") + ("-partial" if partial else "")
                tables[f"{file}.csv"] = _as_csv(sorted(rows, key=lambda row: -float(row["top1"])))
    return tables


def _measured(ledger: Ledger, key: str) -> Evidence | None:
    item = ledger.get(key)
    is_number = item is not None and isinstance(item.value, int | float) and not isinstance(item.value, bool)
    return item if is_number and item is not None and item.class_ is EvidenceClass.MEASURED else None


def _timm_row(ledger: Ledger, benchmark: str) -> dict[str, str]:
    """One model's row; what the ledger doesn't say stays empty."""
    row = dict.fromkeys(TIMM_COLUMNS, "") | {"model": str(ledger.model["name"])}
    for metric in ("top1", "top5"):
        item = _measured(ledger, f"{benchmark}.{metric}")
        if item is not None and isinstance(item.value, int | float):
            row |= {metric: f"{item.value:.3f}", f"{metric}_err": f"{100 - item.value:.3f}"}
    parameters = ledger.get("compute.parameters")
    if parameters is not None and isinstance(parameters.value, int):
        row["param_count"] = f"{parameters.value / 1e6:.2f}"
    if isinstance(how := ledger.model.get("preprocessing"), dict):
        size = max(how["crop"])
        row |= {"img_size": str(size), "interpolation": str(how["interpolation"])}
        resize = how.get("resize")
        if resize is not None:
            row["crop_pct"] = f"{size / (resize if isinstance(resize, int) else min(resize)):.3f}"
    return row


def _as_csv(rows: Sequence[dict[str, str]]) -> str:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, TIMM_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def results_file(ledger: Ledger) -> dict[str, Any]:
    """A ledger's scores of whole benchmarks as the results file of lm-evaluation-harness (0.4): `results` by task, with each
    metric as `NAME,FILTER` and `NAME_stderr,FILTER`.

    Accuracies are fractions there. Standard errors are half widths of the 95 % interval divided by 1.96, "N/A" without one.
    """
    results: dict[str, dict[str, Any]] = {}
    higher: dict[str, dict[str, bool]] = {}
    samples: dict[str, dict[str, int | None]] = {}
    configs: dict[str, dict[str, Any]] = {}
    for item in ledger:
        key = item.name
        task, metric = key.benchmark, key.metric
        if not key.is_whole or key.variant is not None or metric not in _HIGHER_IS_BETTER:
            continue
        if task not in benchmarks() or _measured(ledger, item.key) is None:
            continue
        name = _NAMES.get(metric, metric.replace("-", "_"))
        scale = 100.0 if item.unit == "%" else 1.0
        interval = item.interval
        error = "N/A" if interval is None else (interval.high - interval.low) / 2 / _Z95 / scale
        entry = results.setdefault(task, {"alias": task})
        entry |= {f"{name},none": float(item.value) / scale, f"{name}_stderr,none": error}  # type: ignore[arg-type]
        higher.setdefault(task, {})[name] = _HIGHER_IS_BETTER[metric]
        if metric == "top1" or task not in samples:
            samples[task] = {"original": item.N, "effective": item.n}
        configs.setdefault(task, {"task": task, "metadata": {"protocol": item.protocol, "command": item.command}})
    model = ledger.model
    return {
        "results": results,
        "group_subtasks": {task: [] for task in results},
        "configs": configs,
        "versions": dict.fromkeys(results, ledger.schema_),
        "n-shot": dict.fromkeys(results, 0),
        "higher_is_better": higher,
        "n-samples": samples,
        "config": {"model": "harness", "model_args": model.get("reference"), "limit": _limit(samples)},
        "date": max((_seconds(item) for item in ledger), default=None),
        "model_name": model["name"],
        "model_sha": model.get("weights"),
        "environment": ledger.environment,
    }


def _limit(samples: dict[str, dict[str, int | None]]) -> int | None:
    """The largest number of samples of a benchmark that was cut short; None where all are whole."""
    cut = [s["effective"] for s in samples.values() if s["effective"] is not None and s["effective"] != s["original"]]
    return max(cut, default=None)


def _seconds(item: Evidence) -> float:
    return datetime.fromisoformat(item.created).timestamp()
