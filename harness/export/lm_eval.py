"""A model's results as the results file of lm-evaluation-harness (0.4), from its ledger alone."""

from __future__ import annotations

import json
import math
from datetime import datetime
from typing import Any

from harness.evidence import Ledger
from harness.export.sources import Files, Source, whole_scores

_Z95 = 1.959963984540054


def export(source: Source) -> Files:
    """`results_TIME.json`, the time being that of the newest evidence. Raises MissingInputError: there are no results."""
    results = results_file(source.ledger)
    if not results["results"]:
        raise source.nothing_measured()
    text = json.dumps(results, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    yield f"results_{source.stamp}.json", text.encode()


def results_file(ledger: Ledger) -> dict[str, Any]:
    """Scores of whole benchmarks: `results` by task, with each metric as `NAME,FILTER` and `NAME_stderr,FILTER`.

    Accuracies are fractions there. The standard error of a share is that of its n zeros and ones, as there; others are half
    widths of the 95 % interval divided by 1.96, "N/A" without one. There is no place for "n of N" but `n-samples`.
    """
    results: dict[str, dict[str, Any]] = {}
    higher: dict[str, dict[str, bool]] = {}
    samples: dict[str, dict[str, int | None]] = {}
    configs: dict[str, dict[str, Any]] = {}
    for item, spec, benchmark in whole_scores(ledger):
        task, name = benchmark.name, spec.lm_eval
        if name is None:
            continue
        scale = 100.0 if item.unit == "%" else 1.0
        interval = item.interval
        error: float | str = "N/A" if interval is None else (interval.high - interval.low) / 2 / _Z95 / scale
        if interval is not None and interval.is_wilson and item.unit == "%" and item.n is not None and item.n > 1:
            share = item.number / scale
            error = math.sqrt(share * (1 - share) / (item.n - 1))
        entry = results.setdefault(task, {"alias": task})
        entry |= {f"{name},none": item.number / scale, f"{name}_stderr,none": error}
        higher.setdefault(task, {})[name] = bool(spec.higher_is_better)
        if spec.name == "top1" or task not in samples:
            samples[task] = {"original": item.N, "effective": item.n}
        configs.setdefault(
            task,
            {"task": task, "metadata": {"version": ledger.schema_, "protocol": item.protocol, "command": item.command}},
        )
    model = ledger.model
    cut_short = [s["effective"] or 0 for s in samples.values() if s["effective"] not in (None, s["original"])]
    return {
        "results": results,
        "group_subtasks": {task: [] for task in results},
        "configs": configs,
        "versions": dict.fromkeys(results, ledger.schema_),
        "n-shot": dict.fromkeys(results, 0),
        "higher_is_better": higher,
        "n-samples": samples,
        "config": {
            "model": "harness",
            "model_args": model.get("reference"),
            "limit": max(cut_short, default=None),  # the largest number of samples of a benchmark that was cut short
        },
        "date": max((datetime.fromisoformat(item.created).timestamp() for item in ledger), default=None),
        "model_name": model["name"],
        "model_sha": model.get("weights"),
        "environment": ledger.environment,
    }
