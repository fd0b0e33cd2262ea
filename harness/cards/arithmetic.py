"""What a ledger's numbers must satisfy among themselves: found wrong without a single prediction.

A top-1 of n images is a whole number of hits over n, and its Wilson interval follows from the two; floating-point
operations are twice the multiply-adds; a drop is the difference of two accuracies; corruption errors follow from the
cells and mCE from the corruption errors. A number that no rule reaches is named as not rechecked.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from harness.data.catalog import benchmarks
from harness.evidence import Evidence, EvidenceClass, Ledger
from harness.metrics.corruption import SEVERITIES, alexnet
from harness.metrics.intervals import wilson
from harness.metrics.registry import metrics

_TOLERANCE = 1e-9
"""Relative; sums in another order differ by less."""


@dataclass(frozen=True)
class Fault:
    """One number of a ledger that can't be right beside the others."""

    item: Evidence
    message: str


@dataclass(frozen=True)
class Arithmetic:
    """What came out."""

    faults: list[Fault]
    checked: list[str]
    """Keys that a rule reached."""
    unchecked: list[str]
    """Measured keys that none did: they need the predictions or the run itself."""


def check_arithmetic(ledger: Ledger) -> Arithmetic:
    """Hold a ledger's numbers against each other."""
    values = {item.key: item for item in ledger if item.is_number}
    result = Arithmetic([], [], [])
    for key, item in values.items():
        told = [message for rule in _RULES if (message := rule(item, values)) is not None]
        result.faults.extend(Fault(item, message) for message in told if message)
        if told:
            result.checked.append(key)
        elif item.class_ is EvidenceClass.MEASURED:
            result.unchecked.append(key)
    return result


def impossible(ledger: Ledger) -> list[Fault]:
    """Numbers that can't be, whatever the others are: n above N, an accuracy of 250 %."""
    numbers = [item for item in ledger if item.is_number]
    return [Fault(item, message) for item in numbers for rule in _POSSIBLE if (message := rule(item, {}))]


def _same(first: float, other: float) -> bool:
    return math.isclose(first, other, rel_tol=_TOLERANCE, abs_tol=1e-9)


Rule = Callable[[Evidence, dict[str, Evidence]], str | None]
"""None where the rule does not apply; empty where the number holds; else what is wrong with it."""


def _proportion(item: Evidence, values: dict[str, Evidence]) -> str | None:
    interval = item.interval
    if item.unit != "%" or interval is None or not item.n or not interval.is_wilson:
        return None
    hits = item.number * item.n / 100
    if not 0 <= round(hits) <= item.n or abs(hits - round(hits)) > _TOLERANCE * item.n + 1e-9:
        return f"{item.value} % of {item.n:,} images is {hits:.6g} images, no whole number from 0 to {item.n:,}"
    low, high = (100 * float(bound) for bound in wilson(round(hits), item.n, interval.level))
    if not (_same(low, interval.low) and _same(high, interval.high)):
        return (
            f"the Wilson interval of {round(hits):,} in {item.n:,} is {low:.6g} to {high:.6g}, "
            f"not {interval.low:.6g} to {interval.high:.6g}"
        )
    return ""


def _part_of_whole(item: Evidence, values: dict[str, Evidence]) -> str | None:
    if item.n is None or item.N is None or item.n <= item.N:
        return None  # which says nothing on the value
    return f"n = {item.n:,} is more than the benchmark's {item.N:,} images"


def _flops(item: Evidence, values: dict[str, Evidence]) -> str | None:
    if (item.name.benchmark, item.name.metric) != ("compute", "flops"):
        return None
    macs = values.get(str(item.name.with_metric("macs")))
    return None if macs is None else _told(item, 2 * macs.number, f"twice {macs.key}")


def _difference(item: Evidence, values: dict[str, Evidence]) -> str | None:
    """A value whose protocol names the two keys that it is the difference of."""
    match [values[key] for key in (item.protocol or {}).get("difference", []) if key in values]:
        case [first, other]:
            return _told(item, first.number - other.number, f"{first.key} minus {other.key}")
    return None


def _corruption(item: Evidence, values: dict[str, Evidence]) -> str | None:
    """The scores of a benchmark with corruptions, from its cells or from the scores below them."""
    key = item.name
    benchmark = benchmarks().get(key.benchmark)
    if benchmark is None or benchmark.corruptions is None or key.slice is not None or key.variant is not None:
        return None
    if key.condition is not None:
        accuracies = _same_n(item, values, [f"{key.prefix}/{severity}.top1" for severity in SEVERITIES])
        if accuracies is None or key.metric not in ("mean-error", "ce"):
            return None
        mean = sum(100 - accuracy for accuracy in accuracies) / len(accuracies)
        if key.metric == "mean-error":
            return _told(item, mean, f"the mean error of {key.condition} at 5 severities")
        return _told(item, mean / alexnet().mean(key.condition), f"the errors of {key.condition} divided by AlexNet's")
    below = {"mce": "ce", "relative-mce": "relative-ce", "mean-error": "mean-error"}.get(key.metric)
    scored = benchmark.corruptions.scored
    scores = _same_n(item, values, [f"{benchmark.name}/{name}.{below}" for name in scored])
    if scores is None:
        return None
    return _told(item, sum(scores) / len(scores), f"the mean of {below} over {len(scored)} corruptions")


def _same_n(item: Evidence, values: dict[str, Evidence], keys: list[str]) -> list[float] | None:
    """The numbers called `keys`; None unless all are there, from as many images as the item."""
    found = [values[key].number for key in keys if key in values and values[key].n == item.n]
    return found if len(found) == len(keys) else None


def _told(item: Evidence, expected: float, how: str) -> str:
    if _same(item.number, expected):
        return ""
    return f"says {item.number:.10g}; {how} is {expected:.10g}"


def _bounds(item: Evidence, values: dict[str, Evidence]) -> str | None:
    interval = item.interval
    if item.class_ is not EvidenceClass.ESTIMATED or interval is None:
        return None
    inside = interval.low <= item.number <= interval.high
    return "" if inside else f"{item.value} is outside of its interval, {interval.low:g} to {interval.high:g}"


def _in_range(item: Evidence, values: dict[str, Evidence]) -> str | None:
    """An accuracy is a share of images; a difference of two may be below nothing, and a ratio anything."""
    spec, variants = metrics().get(item.name.metric), item.name.variants
    if spec is None or item.unit != spec.unit or "ratio" in variants:
        return None
    low, high = (-spec.range[1] if variants else spec.range[0]), spec.range[1]
    if not low - _TOLERANCE <= item.number <= high + _TOLERANCE:
        return f"{item.value} is outside {low:g} to {high:g}, where {spec.title} lies"
    return None  # which says nothing on the value


_POSSIBLE: tuple[Rule, ...] = (_part_of_whole, _in_range)
_RULES: tuple[Rule, ...] = (_proportion, *_POSSIBLE, _flops, _difference, _corruption, _bounds)
