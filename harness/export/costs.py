"""What the models of the store cost beside how accurate they are: one record a model, and a figure. No torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.benchmarking.efficiency import throughput_of
from harness.errors import MissingInputError
from harness.evidence import Evidence, EvidenceClass, Ledger
from harness.export.timm import speed_table
from harness.figures.compute import accuracy_against_cost
from harness.figures.style import Point, point
from harness.files import make_folder, write_text

COSTS = {
    "macs": ("compute.macs", "billion multiply-adds an image", 1e-9),
    "parameters": ("compute.parameters", "million parameters", 1e-6),
    "energy": ("energy.per-1000-images", "joules for 1,000 images", 1.0),
    "time": ("compute.throughput", "milliseconds an image at the best batch size", 1.0),
}
"""By name: evidence, words with unit, factor from the evidence's unit."""


def common_accuracy(ledgers: Sequence[Ledger]) -> str:
    """Top-1 on the validation set where a model has it, else on the benchmark that most of them have."""
    usual = "imagenet-val.top1"
    measured = (item for ledger in ledgers for item in ledger if item.class_ is EvidenceClass.MEASURED)
    held = Counter(item.key for item in measured if item.name.metric == "top1" and item.name.is_whole)
    return usual if held[usual] or not held else held.most_common(1)[0][0]


def cost_records(ledgers: Sequence[Ledger], accuracy: str) -> list[dict[str, Any]]:
    """One record a model; what is not known is None."""

    def value(item: Evidence | None) -> Any:
        return item.value if item is not None and item.class_.has_value else None

    return [
        {
            "model": ledger.model["name"],
            accuracy: value(ledger.get(accuracy)),
            "n": getattr(ledger.get(accuracy), "n", None),
            "parameters": value(ledger.get("compute.parameters")),
            "macs": value(ledger.get("compute.macs")),
            "images_per_second": value(throughput_of(ledger)),
            "joules_per_1000_images": value(ledger.get("energy.per-1000-images")),
            "images_per_joule": value(ledger.get("energy.images-per-joule")),
            f"{accuracy}-per-gmac": value(ledger.get(f"{accuracy}-per-gmac")),
        }
        for ledger in ledgers
    ]


def write_costs(ledgers: Sequence[Ledger], folder: Path, *, accuracy: str, cost: str) -> None:
    """Write the figure to `accuracy-cost.svg`, and timm's benchmark table where a model has what it needs.

    Raises:
        HarnessError: as `cost_figure`; or a place that can't be written to.
    """
    make_folder(folder)
    figure = {"accuracy-cost.svg": cost_figure(ledgers, accuracy=accuracy, cost=cost)}
    for name, text in (speed_table(ledgers) | figure).items():
        write_text(folder / name, text)


def cost_figure(ledgers: Sequence[Ledger], *, accuracy: str, cost: str) -> str:
    """Accuracy against a cost of all models that have both.

    Args:
        accuracy: key of a top-1, e.g. `imagenet-val.top1`.
        cost: a name in `COSTS`.

    Raises:
        HarnessError: an unknown cost, or no model has both.
    """
    key, words, _ = COSTS[cost]
    points: dict[str, tuple[Point, Point]] = {}
    machines: dict[str, None] = {}
    for ledger in ledgers:
        top1, spent = ledger.get(accuracy), throughput_of(ledger) if cost == "time" else ledger.get(key)
        if top1 is not None and spent is not None and all(_counts(item) for item in (top1, spent)):
            points[str(ledger.model["name"])] = _cost_point(spent, cost), point(top1)
            hardware = (spent.protocol or {}).get("hardware")
            if isinstance(hardware, Mapping):
                machines[_machine(hardware)] = None
    if not points:
        raise MissingInputError(
            f"No model of the store has both {accuracy} and {key}.",
            remedy="Run a suite with accuracies and `harness run --suite compute` for the same model.",
        )
    note = "Bars are intervals: of accuracy 95 %, of cost as in each ledger."
    if machines:
        note += f" Measured on {'; '.join(machines)}."
    return accuracy_against_cost(points, cost=words, title=f"{accuracy} against cost", note=note)


def _counts(item: Evidence) -> bool:
    return item.is_number and item.class_ is not EvidenceClass.DOCUMENTED


def _cost_point(item: Evidence, cost: str) -> Point:
    shown = point(item)
    if cost == "time":
        low, high = (None if bound is None or bound <= 0 else 1000 / bound for bound in (shown.high, shown.low))
        return Point(1000 / shown.value, low, high)
    factor = COSTS[cost][2]
    low, high = (None if bound is None else bound * factor for bound in (shown.low, shown.high))
    return Point(shown.value * factor, low, high)


def _machine(hardware: Mapping[str, Any]) -> str:
    threads = "" if hardware.get("gpu") else f", {hardware.get('threads')} threads"
    return f"{hardware.get('gpu') or hardware.get('cpu')}{threads}"
