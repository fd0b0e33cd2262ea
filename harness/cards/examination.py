"""What attributions and confusions say of a model, collected from its ledger for cards and reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.cards.figures import Figure, file_name
from harness.data.catalog import Benchmark, benchmarks
from harness.evidence import Evidence, Ledger, show_count
from harness.examination.options import METHODS
from harness.figures.attribution import MapRow, attribution_sheet
from harness.metrics.attribution import CENTRE, CURVES, RANDOM
from harness.metrics.registry import metrics

EXAMINED = frozenset(name for name, spec in metrics().items() if spec.group in ("attribution", "confusion"))
"""Metrics that stand in a card's section on examination and in no table of results."""
_RANKINGS = {**METHODS, CENTRE: "centre first", RANDOM: "random order"}


@dataclass(frozen=True)
class Ranking:
    """How the cells of images were ranked, by a method or without one, and how that did."""

    title: str
    found: dict[str, Evidence]
    """By the end of the key: `deletion-auc`, `deletion-auc+minus-random`, `map-similarity+shuffled-all`, `mass-in-box`, …"""
    shown: Evidence | None
    """Whether a method's maps may be shown; None for what is no method."""


@dataclass(frozen=True)
class Examination:
    """All of one benchmark."""

    benchmark: Benchmark
    attribution: Evidence | None
    """The methods whose maps may be shown; or why there are none yet."""
    rankings: Sequence[Ranking]
    inapplicable: Sequence[tuple[str, Evidence]]
    """Methods that this kind of network has no use for."""
    examples: Evidence | None
    sheet: Figure | None
    pairs: Sequence[dict[str, Any]]
    """The most confused pairs of classes, those that occurred more than once."""
    never: Evidence | None
    background: Evidence | None

    @property
    def rejected(self) -> list[Ranking]:
        """Methods whose maps are not shown."""
        return [ranking for ranking in self.rankings if ranking.shown is not None and not ranking.shown.value]

    @property
    def beyond_centre(self) -> list[str]:
        """Methods that are shown and whose order is better than one from the centre outwards, by both areas."""
        better = []
        for ranking in self.rankings:
            gains = [(ranking.found.get(f"{area}+minus-{CENTRE}"), sign) for area, (_, sign) in CURVES.items()]
            if ranking.shown is not None and ranking.shown.value and all(_is_beyond(*gain) for gain in gains):
                better.append(ranking.title)
        return better

    @property
    def has_boxes(self) -> bool:
        return any("mass-in-box" in ranking.found for ranking in self.rankings)


def _is_beyond(item: Evidence | None, sign: int) -> bool:
    """Whether a difference is above zero, or below it, by more than chance."""
    interval = item.interval if item is not None else None
    return interval is not None and min(sign * interval.low, sign * interval.high) > 0


def examinations(ledger: Ledger) -> list[Examination]:
    """Those of each benchmark that has some, in the catalog's order."""
    present = {item.name.benchmark for item in ledger if item.name.metric in EXAMINED}
    background = next((item for item in ledger if item.name.metric == "background-gap" and item.is_number), None)
    known = benchmarks(ledger)
    return [_examination(ledger, known[name], background) for name in known if name in present]


def _examination(ledger: Ledger, benchmark: Benchmark, background: Evidence | None) -> Examination:
    def get(end: str) -> Evidence | None:
        return ledger.get(f"{benchmark.name}.{end}")

    rankings, inapplicable = [], []
    for name, title in _RANKINGS.items():
        shown = get(f"attribution:{name}")
        found = {}
        for item in ledger:
            key = item.name
            if key.benchmark == benchmark.name and key.metric in EXAMINED and key.variants[:1] == (name,):
                found["+".join((key.metric, *key.variants[1:]))] = item
        if shown is not None and shown.value is None:
            inapplicable.append((title, shown))
        elif "deletion-auc" in found:
            rankings.append(Ranking(title, found, shown))
    examples, pairs = get("attribution-examples"), get("confused-pairs")
    listed = pairs.value if pairs is not None and isinstance(pairs.value, list) else []
    return Examination(
        benchmark,
        get("attribution"),
        rankings,
        inapplicable,
        examples,
        _sheet(ledger, benchmark, examples),
        [pair for pair in listed if pair["count"] > 1],
        get("never-predicted"),
        background,
    )


def _sheet(ledger: Ledger, benchmark: Benchmark, examples: Evidence | None) -> Figure | None:
    if examples is None or not isinstance(examples.value, list):
        return None
    groups: dict[str, list[MapRow]] = {"Right, and sure of it": [], "Wrong, and sure of it": []}
    for example in examples.value:
        named = [{METHODS[name]: cells for name, cells in example[kind].items()} for kind in ("maps", "true_maps")]
        maps, true_maps = named
        sure = f"{example['confidence']:.0f} % sure"
        if not true_maps:
            groups["Right, and sure of it"].append(MapRow((example["true"], sure), example["image"], maps))
            continue
        wrong = groups["Wrong, and sure of it"]
        wrong.append(MapRow((f"Taken for {example['predicted']}", sure), example["image"], maps))
        wrong.append(MapRow((f"Is {example['true']}",), example["image"], true_maps, is_first=False))
    note = (
        f"{benchmark.title}; of {show_count(examples)} images those where the model is surest. Cells that speak for the class "
        "named beside them, the deeper the colour the more. Only methods whose maps passed both checks are shown."
    )
    title = f"{ledger.model['title']}: where it looks"
    svg = attribution_sheet(groups, title=title, note=note)
    what = f"Attribution maps of single images, {benchmark.title}"
    return Figure(f"figures/attributions-{benchmark.name}-{file_name(ledger)}.svg", svg, what)
