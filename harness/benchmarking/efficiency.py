"""A model's speed, and its accuracy beside its cost, from a ledger alone. No torch."""

from __future__ import annotations

from harness.evidence import Evidence, EvidenceClass, Ledger
from harness.settings import PRECISIONS

PER_GMAC = "top1-per-gmac"
"""Metric of an accuracy's percentage points for a billion multiply-adds."""


def accuracies_per_gmac(ledger: Ledger) -> list[Evidence]:
    """`<benchmark>.top1-per-gmac` for each measured top-1 on a whole benchmark; nothing without `compute.macs`."""
    macs = ledger.get("compute.macs")
    if macs is None or not isinstance(macs.value, int):
        return []
    gmacs = macs.value / 1e9
    found = []
    for top1 in ledger:
        key = top1.name
        if not (key.is_whole and key.metric == "top1" and top1.class_ is EvidenceClass.MEASURED and top1.is_number):
            continue
        interval = top1.interval
        if interval is not None:
            interval = interval.model_copy(update={"low": interval.low / gmacs, "high": interval.high / gmacs})
        changes = {
            "key": str(key.with_metric(PER_GMAC)),
            "value": top1.number / gmacs,
            "unit": "% per GMAC",
            "interval": interval,
            "protocol": (top1.protocol or {}) | {"macs": macs.value},
        }
        found.append(top1.model_copy(update=changes))
    return found


def throughput_of(ledger: Ledger) -> Evidence | None:
    """The throughput of the forward pass alone: in fp32, else in the precision it was measured in; None without one."""
    keys = ("compute.throughput", *(f"compute.throughput:{precision}" for precision in PRECISIONS[1:]))
    return next(filter(None, map(ledger.measured, keys)), None)
