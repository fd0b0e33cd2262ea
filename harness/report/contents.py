"""What a report says, collected from ledgers and stored predictions as plain records; `page.py` sets it in HTML.

Numbers come from the ledgers, apart from what a ledger has no place for: comparisons, reliability bins, confusion pairs and
single errors, which are computed here from the stored predictions. A part that can't be had is left out with the reason.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from harness import __version__
from harness.cards.render import cost_name, metric_name
from harness.data.catalog import benchmarks
from harness.evaluation.comparing import Compared
from harness.evaluation.reader import StoredModel
from harness.evidence import Evidence, EvidenceClass, EvidenceKey, show_count, show_interval
from harness.report.comparable import compare_groups
from harness.report.drawings import Drawing, drawings_of
from harness.report.mistakes import Mistakes, Thumbnails, mistakes_of, reference_predictions
from harness.settings import Settings

_COST_KEYS = (
    "compute.parameters",
    "compute.macs",
    "compute.checkpoint-bytes",
    "compute.throughput",
    "compute.latency-p50",
    "compute.peak-memory",
    "energy.per-1000-images",
    "energy.this-run",
    "carbon.per-1000-images",
    "carbon.this-run",
    "carbon.training",
)
_HEADLINES = (".top1", ".mce", ".mean-error", ".ece")


@dataclass(frozen=True)
class Grid:
    """A table of models by pieces of evidence."""

    columns: tuple[tuple[str, str, str], ...]
    """Evidence key, what it is in words with its unit, and the benchmark if it is of one."""
    rows: tuple[tuple[str, tuple[Evidence | None, ...]], ...]
    """Model, and one piece of evidence a column; None where the ledger says nothing."""


@dataclass(frozen=True)
class Way:
    """One way in which numbers were made."""

    number: int
    model: str
    command: str
    values: int
    """How many numbers were made like this."""
    facts: tuple[tuple[str, str], ...]
    """What decides them, in words: weights, data, preprocessing, precision, machine."""


@dataclass(frozen=True)
class Report:
    """All that the page shows."""

    models: tuple[StoredModel, ...]
    benchmarks: tuple[str, ...]
    """Those that the ledgers name, in the order of the catalog."""
    created: str
    version: str
    overview: Grid
    without: tuple[tuple[str, str], ...]
    """Class of evidence, and the scores for which it stands instead of a value for every model."""
    compared: tuple[Compared, ...]
    """One for each group of models that share samples."""
    not_compared: tuple[str, ...]
    """What is not compared, each as a sentence with its reason."""
    drawings: Mapping[str, Sequence[Drawing]]
    """Figures by the section of the page."""
    undrawn: tuple[str, ...]
    """Models whose figures of corruptions and slices are left out, to keep the page small."""
    costs: Grid
    mistakes: tuple[Mistakes, ...]
    thumbnails: str
    """Whether there are some, and why not."""
    ledger: tuple[tuple[str, Evidence, int | None], ...]
    """Model, evidence, and the number of the way in which it was made, in `ways`."""
    ways: tuple[Way, ...]

    @property
    def imported(self) -> list[str]:
        """The models whose predictions were made elsewhere."""
        return [model.title for model in self.models if model.imported]

    @property
    def classes(self) -> list[str]:
        """The classes of evidence that occur, in the order of their definition."""
        seen = {item.class_ for _, item, _ in self.ledger}
        return [kind.value for kind in EvidenceClass if kind in seen]


def collect(
    models: Sequence[StoredModel], settings: Settings, report: Callable[[str], None], *, thumbnails: bool | None = None
) -> Report:
    """Everything there is to say about these models.

    Args:
        report: takes messages about damaged shards.
        thumbnails: as for `harness.html_report`.

    Raises:
        HarnessError: a data set that --data names can't be opened.
    """
    compared, not_compared = compare_groups(models, settings, report) if len(models) > 1 else ([], [])
    read = {model.name: reference_predictions(model, settings, report) for model in models}
    shown = Thumbnails(settings, thumbnails)
    several = {name: found for name, found in read.items() if found is not None}
    mistakes = [mistakes_of(name, *found, shown, share=len(several)) for name, found in several.items()]
    ways = _ways(models)
    numbers: dict[tuple[str, str | None], int] = {(way.model, way.command): way.number for way in ways}
    drawings, undrawn = drawings_of(models, read)
    known = benchmarks(*(model.ledger for model in models))
    headlines = [f"{name}{metric}" for name in known for metric in _HEADLINES]  # in the catalog's order
    named = {item.name.benchmark for model in models for item in model.ledger}
    return Report(
        models=tuple(models),
        benchmarks=tuple(name for name in known if name in named),
        created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        version=__version__,
        overview=_grid(models, headlines),
        without=tuple(_without_values(models, headlines)),
        compared=tuple(compared),
        not_compared=tuple(not_compared),
        drawings=drawings,
        undrawn=tuple(undrawn),
        costs=_grid(models, _COST_KEYS),
        mistakes=tuple(mistakes),
        thumbnails=shown.told(),
        ledger=tuple(
            (model.name, item, numbers.get((model.name, item.command)) if item.class_.has_value else None)
            for model in models
            for item in model.ledger
        ),
        ways=tuple(ways),
    )


# --- tables -----------------------------------------------------------------------------------------------------------


def _found(models: Sequence[StoredModel], key: str) -> list[Evidence]:
    return [item for model in models if (item := model.ledger.get(key)) is not None]


def _without_values(models: Sequence[StoredModel], keys: Sequence[str]) -> list[tuple[str, str]]:
    """The keys that ledgers name and none has a value of, by the class that stands there."""
    names: dict[str, list[str]] = {}
    for key in keys:
        items = _found(models, key)
        if items and not any(item.class_.has_value for item in items):
            names.setdefault(items[0].class_.value, []).append(key)
    return [(kind, ", ".join(keys)) for kind, keys in names.items()]


def _grid(models: Sequence[StoredModel], keys: Sequence[str]) -> Grid:
    """The keys that have a value for some model."""
    columns = {}
    for key in keys:
        items = _found(models, key)
        if any(item.class_.has_value for item in items):
            unit = next((f", {item.unit}" for item in items if item.unit), "")
            benchmark = "" if key in _COST_KEYS else EvidenceKey.parse(key).benchmark
            columns[key] = key, f"{_in_words(key)}{unit}", benchmark
    rows = [(model.name, tuple(model.ledger.get(key) for key in columns)) for model in models]
    return Grid(tuple(columns.values()), tuple(rows))


def _in_words(key: str) -> str:
    return cost_name(key) if key in _COST_KEYS else f"{EvidenceKey.parse(key).benchmark} · {metric_name(key)}"


def detail(item: Evidence) -> str:
    """Interval and count, or the reason why there is no value."""
    if item.value is None:
        return item.reason or ""
    return " · ".join(
        filter(None, [if_any(show_interval(item)), f"n = {show_count(item)}" if item.n is not None else ""])
    )


def if_any(text: str) -> str:
    """Nothing instead of a dash."""
    return "" if text == "—" else text


def _ways(models: Sequence[StoredModel]) -> list[Way]:
    """The ways in which the models' numbers were made, by model and command."""
    found: dict[tuple[str, str], list[Evidence]] = {}
    for model in models:
        for item in model.ledger:
            if item.command and item.class_.has_value:
                found.setdefault((model.name, item.command), []).append(item)
    return [
        Way(number, *place, len(items), tuple(_facts(items))) for number, (place, items) in enumerate(found.items(), 1)
    ]


_FACTS = ("preprocessing", "imported", "precision", "labels", "hardware", "made_on", "weights")


def _facts(items: Sequence[Evidence]) -> list[tuple[str, str]]:
    """What the protocols of these numbers say, each distinct value once."""
    facts: dict[str, dict[str, None]] = {}
    for item in items:
        for name in _FACTS:
            if (value := (item.protocol or {}).get(name)) is not None:
                facts.setdefault(name.replace("_", " "), {})[_text(value)] = None
        if item.fingerprints.weights and "imported" not in (item.protocol or {}):
            facts.setdefault("SHA-256 of the weights", {})[item.fingerprints.weights] = None
        if item.fingerprints.code:
            facts.setdefault("code", {})[item.fingerprints.code] = None
    return [(name, "; ".join(values)) for name, values in facts.items()]


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(part)}" for key, part in value.items())
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
