"""What a report says, collected from ledgers and stored predictions as plain records; `page.py` sets it in HTML.

Numbers come from the ledgers, apart from what a ledger has no place for: comparisons, reliability bins, confusion pairs and
single errors, which are computed here from the stored predictions. A part that can't be had is left out with the reason.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from harness import __version__
from harness.cards.figures import card_figures, throughput_figure
from harness.cards.render import cost_name, metric_name
from harness.cards.slices import slice_figures, slice_results
from harness.data.catalog import benchmarks
from harness.errors import HarnessError, MissingInputError
from harness.evaluation.comparing import Compared, compare
from harness.evaluation.scoring import REFERENCE
from harness.evaluation.stored import StoredCondition, StoredModel, StoredPredictions, read_predictions
from harness.evidence import Evidence, EvidenceClass, benchmark_of, show_count, show_interval, show_number, show_value
from harness.export.costs import COSTS, cost_figure
from harness.figures import Bin, Shift, point, reliability_diagrams, shift_scatter
from harness.labels.spaces import class_name, label_space
from harness.metrics.accuracy import is_correct
from harness.metrics.calibration import BINS, confidence, reliability_table
from harness.metrics.robustness import baselines
from harness.metrics.types import MetricUnavailable
from harness.report.thumbnails import Thumbnails
from harness.settings import Settings

_PAIRS, _ERRORS = 10, 12
"""Confusion pairs and most confident errors shown of each model."""
_LINE_STEPS = 60
_MOST_FIGURES = 30
"""Figures of single models, with which the page stays under 2 MB; the last model's are all drawn."""
_MOST_THROUGHPUTS = 4
"""Models whose throughput by batch size is drawn."""
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
class Cell:
    """One value in a table over models."""

    text: str
    """The value, or the class of evidence that stands where there is none."""
    sort: float | None
    detail: str
    """Interval and count, or the reason why there is no value."""
    class_: str
    partial: bool


@dataclass(frozen=True)
class Grid:
    """A table of models by pieces of evidence."""

    columns: tuple[tuple[str, str], ...]
    """Evidence key, and what it is in words with its unit."""
    rows: tuple[tuple[str, tuple[Cell | None, ...]], ...]
    """Model, and one cell a column; None where the ledger says nothing."""


@dataclass(frozen=True)
class Drawing:
    """A figure and where it belongs."""

    part: str
    """corruptions, slices, …: the section of the page."""
    svg: str


@dataclass(frozen=True)
class ConfusionPair:
    """One class taken for another."""

    true: str
    predicted: str
    count: int
    of: int
    """Images of the true class."""


@dataclass(frozen=True)
class ConfidentError:
    """A wrong answer that the model was sure of."""

    sample_id: str
    true: str
    predicted: str
    confidence: float
    """Percent."""
    thumbnail: str | None
    """A data URI, or None."""


@dataclass(frozen=True)
class Errors:
    """What a model gets wrong on one benchmark."""

    model: str
    where: str
    n: int
    wrong: int
    pairs: tuple[ConfusionPair, ...]
    confident: tuple[ConfidentError, ...]
    unavailable: str | None
    """Why there are no confident errors."""


@dataclass(frozen=True)
class LedgerRow:
    """One piece of evidence in the searchable ledger."""

    model: str
    evidence: Evidence
    value: str
    sort: float | None
    interval: str
    count: str
    how: int | None
    """Number of the way it was made, in `Report.ways`."""


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
    created: str
    version: str
    overview: Grid
    without: tuple[tuple[str, str], ...]
    """Class of evidence, and the scores for which it stands instead of a value for every model."""
    compared: Compared | None
    not_compared: str | None
    """Why models are not compared, where there are several."""
    drawings: tuple[Drawing, ...]
    undrawn: tuple[str, ...]
    """Models whose figures of corruptions and slices are left out, to keep the page small."""
    costs: Grid
    errors: tuple[Errors, ...]
    pictures: str
    """Whether there are thumbnails, and why not."""
    ledger: tuple[LedgerRow, ...]
    ways: tuple[Way, ...]

    @property
    def imported(self) -> list[str]:
        """The models whose predictions were made elsewhere."""
        return [model.title for model in self.models if model.imported]

    def drawn(self, part: str) -> list[str]:
        """The figures of one section."""
        return [drawing.svg for drawing in self.drawings if drawing.part == part]


def collect(
    models: Sequence[StoredModel],
    settings: Settings,
    report: Callable[[str], None],
    *,
    thumbnails: bool | None = None,
) -> Report:
    """Everything there is to say about these models.

    Args:
        report: takes messages about damaged shards.
        thumbnails: whether to show images; None for those that are here and whose licence is stated and open, so none of
            a gated data set.

    Raises:
        HarnessError: a data set that --data names can't be opened.
    """
    compared, problem = _compared(models, settings, report)
    read = {model.name: _reference_predictions(model, settings, report) for model in models}
    pictures = Thumbnails(settings, thumbnails)
    errors = [_errors(model.name, *found, pictures) for model in models if (found := read[model.name]) is not None]
    ways = _ways(models)
    drawings, undrawn = _drawings(models, read)
    return Report(
        models=tuple(models),
        created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        version=__version__,
        overview=_grid(models, _with_values(models, _headline_keys())),
        without=tuple(_without_values(models, _headline_keys())),
        compared=compared,
        not_compared=problem,
        drawings=tuple(drawings),
        undrawn=tuple(undrawn),
        costs=_grid(models, _with_values(models, _COST_KEYS)),
        errors=tuple(errors),
        pictures=pictures.told(),
        ledger=tuple(_ledger_rows(models, ways)),
        ways=tuple(ways.values()),
    )


def _compared(
    models: Sequence[StoredModel], settings: Settings, report: Callable[[str], None]
) -> tuple[Compared | None, str | None]:
    """The comparison of all models, or why there is none."""
    if len(models) < 2:
        return None, None
    try:
        return compare(models, settings, report, allow_different_protocols=True), None
    except HarnessError as error:
        return None, error.message


# --- tables -----------------------------------------------------------------------------------------------------------


def _headline_keys() -> list[str]:
    """Scores of whole benchmarks, in the catalog's order."""
    return [f"{name}{metric}" for name in benchmarks() for metric in _HEADLINES]


def _with_values(models: Sequence[StoredModel], keys: Sequence[str]) -> list[str]:
    """The keys that have a value for some model."""
    return [key for key in keys if any(_has_value(model.ledger.get(key)) for model in models)]


def _without_values(models: Sequence[StoredModel], keys: Sequence[str]) -> list[tuple[str, str]]:
    """The keys that ledgers name and none has a value of, by the class that stands there."""
    found: dict[str, list[str]] = {}
    for key in keys:
        items = [item for model in models if (item := model.ledger.get(key)) is not None]
        if items and not any(item.class_.has_value for item in items):
            found.setdefault(items[0].class_.value, []).append(key)
    return [(kind, ", ".join(names)) for kind, names in found.items()]


def _grid(models: Sequence[StoredModel], keys: Sequence[str]) -> Grid:
    columns = []
    for key in keys:
        found = [item for model in models if (item := model.ledger.get(key)) is not None]
        unit = next((item.unit for item in found if item.unit), None)
        columns.append((key, f"{_in_words(key)}{f', {unit}' if unit else ''}"))
    rows = [(model.name, tuple(_cell(model.ledger.get(key)) for key in keys)) for model in models]
    return Grid(tuple(columns), tuple(rows))


def _in_words(key: str) -> str:
    name = benchmark_of(key)
    if name not in benchmarks():
        return cost_name(key)
    return f"{name} · {metric_name(key)}"


def _cell(item: Evidence | None) -> Cell | None:
    if item is None:
        return None
    if item.value is None:
        return Cell(item.class_.value, None, item.reason or "", item.class_.value, False)
    detail = " · ".join(
        part for part in (_if_any(show_interval(item)), f"n = {show_count(item)}" if item.n is not None else "") if part
    )
    return Cell(show_number(item), _number(item), detail, item.class_.value, item.is_partial)


def _if_any(text: str) -> str:
    return "" if text == "—" else text


def _number(item: Evidence) -> float | None:
    is_number = isinstance(item.value, int | float) and not isinstance(item.value, bool)
    return float(item.value) if is_number else None  # type: ignore[arg-type]


def _ways(models: Sequence[StoredModel]) -> dict[tuple[str, str], Way]:
    """The ways in which the models' numbers were made, by model and command."""
    found: dict[tuple[str, str], list[Evidence]] = {}
    for model in models:
        for item in model.ledger:
            if item.command and item.class_.has_value:
                found.setdefault((model.name, item.command), []).append(item)
    return {
        place: Way(number, *place, len(items), tuple(_facts(items)))
        for number, (place, items) in enumerate(found.items(), start=1)
    }


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


def _ledger_rows(models: Sequence[StoredModel], ways: dict[tuple[str, str], Way]) -> list[LedgerRow]:
    rows = []
    for model in models:
        for item in model.ledger:
            way = ways.get((model.name, item.command or "")) if item.class_.has_value else None
            rows.append(
                LedgerRow(
                    model.name,
                    item,
                    show_value(item),
                    _number(item),
                    _if_any(show_interval(item)),
                    _if_any(show_count(item)),
                    way.number if way else None,
                )
            )
    return rows


# --- figures ----------------------------------------------------------------------------------------------------------

_Read = tuple[StoredCondition, StoredPredictions]


def _drawings(models: Sequence[StoredModel], read: dict[str, _Read | None]) -> tuple[list[Drawing], list[str]]:
    """The figures, and the models whose own ones are left out since the page has enough."""
    drawings = [Drawing("shift", svg) for svg in _shift_figure(models)]
    own: list[Drawing] = []
    undrawn = []
    for model in models:
        if all(item.name.is_whole for item in model.ledger):
            continue
        if len(own) >= _MOST_FIGURES:
            undrawn.append(model.title)
            continue
        for figures in card_figures(model.ledger).values():
            own += [Drawing("corruptions", figure.svg) for figure in figures]
        sliced = slice_figures(slice_results(model.ledger), model.title)
        own += [Drawing("slices", figure.svg) for figure in sliced.values()]
    drawings += [*own, *(Drawing("calibration", svg) for svg in _reliability_figure(models, read))]
    return [*drawings, *(Drawing("costs", svg) for svg in _cost_figures(models))], undrawn


def _shift_figure(models: Sequence[StoredModel]) -> list[str]:
    """One panel a shifted set that some model has, with the line of published models where there is one."""
    shifts = []
    for name, benchmark in benchmarks().items():
        if benchmark.clean or benchmark.corruptions is not None or benchmark.scored_from is not None:
            continue
        space = benchmark.label_space
        reference = REFERENCE if space == "imagenet-1k" else f"{REFERENCE}@{space}"
        points = {}
        for model in models:
            x, y = model.ledger.get(f"{reference}.top1"), model.ledger.get(f"{name}.top1")
            if x is not None and y is not None and x.value is not None and y.value is not None:
                points[model.title] = (point(x), point(y))
        if not points:
            continue
        line: list[tuple[float, float]] = []
        baseline = baselines().get(name)
        if baseline is not None:
            at = np.linspace(baseline.pieces[0].lowest, baseline.pieces[-1].highest, _LINE_STEPS)
            line = list(zip(at.tolist(), baseline.predict(at).tolist(), strict=True))
        shifts.append(Shift(name, reference, points, line))
    if not shifts:
        return []
    note = "Bars are 95 % intervals. The dashed line is fitted to published models with standard training (Taori et al. 2020)."
    return [shift_scatter(shifts, title="Accuracy on shifted sets against the validation set", note=note)]


def _cost_figures(models: Sequence[StoredModel]) -> list[str]:
    """Accuracy against each cost that some model has beside it, and throughput by batch size of each model."""
    top1s = [f"{name}.top1" for name, benchmark in benchmarks().items() if benchmark.clean]
    accuracy = next((key for key in top1s if any(_has_value(model.ledger.get(key)) for model in models)), None)
    figures = []
    for cost in COSTS if accuracy is not None else ():
        try:
            figures.append(cost_figure([model.ledger for model in models], accuracy=str(accuracy), cost=cost))
        except MissingInputError:  # no model has this cost; the table says which ones there are
            continue
    by_batch = (throughput_figure(model.ledger) for model in models[:_MOST_THROUGHPUTS])
    return [*figures, *(figure.svg for figure in by_batch if figure is not None)]


def _has_value(item: Evidence | None) -> bool:
    return item is not None and item.class_.has_value


def _reliability_figure(models: Sequence[StoredModel], read: dict[str, _Read | None]) -> list[str]:
    bins: dict[str, list[Bin]] = {}
    places = set()
    for model in models:
        found = read[model.name]
        if found is None:
            continue
        condition, predictions = found
        try:
            sure = confidence(predictions.readout)
        except MetricUnavailable:
            continue
        table = reliability_table(sure, is_correct(predictions.readout))
        kept = table[table["n"] > 0]
        total = int(kept["n"].sum())
        columns = (kept[name].tolist() for name in ("confidence", "accuracy", "n"))
        bins[model.title] = [Bin(100 * c, 100 * a, 100 * n / total) for c, a, n in zip(*columns, strict=True)]
        places.add(f"{condition.benchmark.name} ({total:,} images)")
    if not bins:
        return []
    note = f"{', '.join(sorted(places))}; {BINS} bins of equal width, softmax over the benchmark's classes."
    return [reliability_diagrams(bins, title="Is the model as right as it is sure?", note=note)]


# --- errors -----------------------------------------------------------------------------------------------------------


def _reference_predictions(model: StoredModel, settings: Settings, report: Callable[[str], None]) -> _Read | None:
    """The predictions that errors and calibration are shown on: the validation set's, or the first whole benchmark's."""
    whole = {
        prefix: stored
        for prefix, stored in model.conditions.items()
        if stored.condition is None and not stored.benchmark.label_sets
    }
    chosen = whole.get(REFERENCE) or next(iter(whole.values()), None)
    if chosen is None:
        return None
    try:
        return chosen, read_predictions(chosen, settings, report)
    except HarnessError as error:
        report(f"{model.name}: {error.message} Its errors are not shown.")
        return None


def _errors(model: str, condition: StoredCondition, predictions: StoredPredictions, pictures: Thumbnails) -> Errors:
    readout = predictions.readout
    space = label_space(condition.benchmark.label_space)
    names = _unique_names(space.synsets)
    correct = is_correct(readout)
    wrong = ~correct & (readout.label >= 0) & (readout.top5[:, 0] >= 0)
    label, answer = readout.label[wrong].astype(np.int64), readout.top5[wrong, 0].astype(np.int64)
    pairs, counts = np.unique(label * len(space) + answer, return_counts=True)
    order = np.lexsort((pairs, -counts))[:_PAIRS]
    per_class = np.bincount(readout.label[readout.label >= 0], minlength=len(space))
    confusion = tuple(
        ConfusionPair(
            names[pairs[at] // len(space)],
            names[pairs[at] % len(space)],
            int(counts[at]),
            int(per_class[pairs[at] // len(space)]),
        )
        for at in order
    )
    confident: tuple[ConfidentError, ...] = ()
    unavailable = None
    try:
        sure = np.where(wrong, confidence(readout), -1.0)
        top = [at for at in np.argsort(-sure, kind="stable")[:_ERRORS] if wrong[at]]
        shown = pictures.of(condition, [(predictions.sample_ids[at], predictions.digests[at]) for at in top])
        confident = tuple(
            ConfidentError(
                str(predictions.sample_ids[at]),
                names[readout.label[at]],
                names[readout.top5[at, 0]],
                100 * float(sure[at]),
                shown.get(predictions.sample_ids[at]),
            )
            for at in top
        )
    except MetricUnavailable as error:
        unavailable = error.reason
    return Errors(
        model, condition.benchmark.name, len(readout), int((~correct).sum()), confusion, confident, unavailable
    )


def _unique_names(synsets: Sequence[str]) -> list[str]:
    """Class names; those that several classes share (crane, maillot) with their synset."""
    names = [class_name(synset) for synset in synsets]
    shared = Counter(names)
    return [f"{name} ({synset})" if shared[name] > 1 else name for name, synset in zip(names, synsets, strict=True)]


def classes_of(report: Report) -> list[str]:
    """The classes of evidence that occur, in the order of their definition."""
    seen = {row.evidence.class_ for row in report.ledger}
    return [kind.value for kind in EvidenceClass if kind in seen]
