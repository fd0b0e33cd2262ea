"""A model's cost beside its accuracy, and timm's benchmark table, from ledgers alone. No torch."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.evidence import Evidence, EvidenceClass, Ledger

PER_GMAC = "top1-per-gmac"
"""Metric of an accuracy's percentage points for a billion multiply-adds."""

TIMM_COLUMNS = (
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


def accuracies_per_gmac(ledger: Ledger) -> list[Evidence]:
    """`<benchmark>.top1-per-gmac` for each measured top-1 on a whole benchmark; nothing without `compute.macs`."""
    macs = ledger.get("compute.macs")
    if macs is None or not isinstance(macs.value, int):
        return []
    gmacs = macs.value / 1e9
    found = []
    for top1 in ledger:
        if not top1.name.is_whole or top1.name.metric != "top1" or top1.class_ is not EvidenceClass.MEASURED:
            continue
        if not isinstance(top1.value, int | float):
            continue
        interval = top1.interval
        if interval is not None:
            interval = interval.model_copy(update={"low": interval.low / gmacs, "high": interval.high / gmacs})
        changes = {
            "key": str(top1.name.with_metric(PER_GMAC)),
            "value": top1.value / gmacs,
            "unit": "% per GMAC",
            "interval": interval,
            "protocol": (top1.protocol or {}) | {"macs": macs.value},
        }
        found.append(top1.model_copy(update=changes))
    return found


@dataclass(frozen=True)
class BenchmarkRow:
    """One model in the form of timm's inference benchmark tables."""

    model: str
    images_per_second: float
    batch: int
    size: int
    """Width of the input in pixels."""
    macs: int
    activations: int
    parameters: int

    def values(self) -> dict[str, Any]:
        """The columns, rounded as timm rounds them."""
        return {
            "model": self.model,
            "infer_samples_per_sec": round(self.images_per_second, 2),
            "infer_step_time": round(1000 * self.batch / self.images_per_second, 3),
            "infer_batch_size": self.batch,
            "infer_img_size": self.size,
            "infer_gmacs": round(self.macs / 1e9, 2),
            "infer_macts": round(self.activations / 1e6, 2),
            "param_count": round(self.parameters / 1e6, 2),
        }


def throughput_of(ledger: Ledger) -> Evidence | None:
    """The throughput of the forward pass alone: in fp32, else in the precision it was measured in; None without one."""
    keys = ("compute.throughput", "compute.throughput:bf16", "compute.throughput:fp16")
    found = (item for item in map(ledger.get, keys) if item is not None and item.class_ is EvidenceClass.MEASURED)
    return next(found, None)


def benchmark_row(ledger: Ledger) -> BenchmarkRow | None:
    """A ledger as a row of timm's table; None where a column can't be filled."""
    speed = throughput_of(ledger)
    counts = [ledger.get(f"compute.{name}") for name in ("macs", "activations", "parameters")]
    if speed is None or any(item is None or not item.class_.has_value for item in counts):
        return None
    macs, activations, parameters = (item for item in counts if item is not None)
    return BenchmarkRow(
        model=str(ledger.model["name"]),
        images_per_second=float(speed.value),  # type: ignore[arg-type]
        batch=int((speed.protocol or {})["batch"]),
        size=int((macs.protocol or {})["input_size"][-1]),
        macs=int(macs.value),  # type: ignore[arg-type]
        activations=int(activations.value),  # type: ignore[arg-type]
        parameters=int(parameters.value),  # type: ignore[arg-type]
    )


def timm_csv(rows: Sequence[BenchmarkRow]) -> str:
    """The rows as CSV with timm's benchmark columns, fastest first as in timm's tables."""
    text = io.StringIO()
    writer = csv.DictWriter(text, TIMM_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(sorted((row.values() for row in rows), key=lambda row: -row["infer_samples_per_sec"]))
    return text.getvalue()
