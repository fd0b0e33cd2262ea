"""The figures of a report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from harness.cards.examination import examinations
from harness.cards.figures import card_figures, throughput_figure
from harness.cards.slices import slice_figures, slice_results
from harness.data.catalog import benchmarks
from harness.errors import MissingInputError
from harness.evaluation.reader import StoredCondition, StoredModel
from harness.evaluation.scoring import REFERENCE
from harness.export.costs import COSTS, cost_figure
from harness.figures.accuracy import Bin, Shift, reliability_diagrams, risk_coverage_curves, shift_scatter
from harness.figures.style import point
from harness.metrics.accuracy import is_correct
from harness.metrics.calibration import BINS, confidence, reliability_table
from harness.metrics.robustness import baselines
from harness.metrics.selective import risk_coverage, scores
from harness.metrics.types import BoolArray, FloatArray, LabelSpacePredictions, MetricUnavailable
from harness.report.mistakes import ReferencePredictions

_T = TypeVar("_T")

_LINE_STEPS = 60
_MOST_FIGURES = 30
"""Figures of single models, with which the page stays under 2 MB; the last model's are all drawn."""
_MOST_SHEETS = 4
"""Sheets of attribution maps, of about 150 kB each."""
_MOST_THROUGHPUTS = 4
"""Models whose throughput by batch size is drawn."""


@dataclass(frozen=True)
class Drawing:
    """A figure of the page."""

    svg: str
    model: str = ""
    """The model that it is of; empty where it is of all."""
    benchmark: str = ""


def drawings_of(
    models: Sequence[StoredModel], read: Mapping[str, ReferencePredictions | None]
) -> tuple[dict[str, list[Drawing]], list[str]]:
    """The figures by section, and the models whose own ones are left out since the page has enough."""
    corruptions: list[Drawing] = []
    slices: list[Drawing] = []
    undrawn = []
    for model in models:
        if all(item.name.is_whole for item in model.ledger):
            continue
        if len(corruptions) + len(slices) >= _MOST_FIGURES:
            undrawn.append(model.title)
            continue
        for benchmark, figures in card_figures(model.ledger).items():
            corruptions += [Drawing(figure.svg, model.name, benchmark) for figure in figures]
        drawn = slice_figures(slice_results(model.ledger), model.title)
        slices += [Drawing(figure.svg, model.name) for figure in drawn.values()]
    drawings = {
        "shift": _shift_figure(models),
        "corruptions": corruptions,
        "slices": slices,
        "calibration": _reliability_figure(models, read) + _risk_figure(models, read),
        "examination": _attribution_sheets(models),
        "costs": _cost_figures(models),
    }
    return drawings, undrawn


def _attribution_sheets(models: Sequence[StoredModel]) -> list[Drawing]:
    """The attribution maps of the first models that have some."""
    sheets = [
        Drawing(found.sheet.svg, model.name, found.benchmark.name)
        for model in models
        for found in examinations(model.ledger)
        if found.sheet is not None
    ]
    return sheets[:_MOST_SHEETS]


def _shift_figure(models: Sequence[StoredModel]) -> list[Drawing]:
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
    return [Drawing(shift_scatter(shifts, title="Accuracy on shifted sets against the validation set", note=note))]


def _cost_figures(models: Sequence[StoredModel]) -> list[Drawing]:
    """Accuracy against each cost that some model has beside it, and throughput by batch size of each model."""
    known = benchmarks(*(model.ledger for model in models))
    top1s = [f"{name}.top1" for name, benchmark in known.items() if benchmark.clean]
    accuracy = next((key for key in top1s if any(model.ledger.measured(key) for model in models)), None)
    figures = []
    for cost in COSTS if accuracy is not None else ():
        try:
            svg = cost_figure([model.ledger for model in models], accuracy=str(accuracy), cost=cost)
            figures.append(Drawing(svg))
        except MissingInputError:  # no model has this cost; the table says which ones there are
            continue
    by_batch = {model.name: throughput_figure(model.ledger) for model in models[:_MOST_THROUGHPUTS]}
    return [*figures, *(Drawing(figure.svg, name) for name, figure in by_batch.items() if figure is not None)]


def _with_scores(
    models: Sequence[StoredModel],
    read: Mapping[str, ReferencePredictions | None],
    score: Callable[[LabelSpacePredictions], _T],
) -> Iterator[tuple[StoredModel, StoredCondition, BoolArray, _T]]:
    """The models whose predictions have these scores, with where they are from and which of them are right."""
    for model in models:
        found = read[model.name]
        if found is None:
            continue
        condition, predictions = found
        try:
            sure = score(predictions.predictions)
        except MetricUnavailable:
            continue
        yield model, condition, is_correct(predictions.predictions), sure


def _reliability_figure(
    models: Sequence[StoredModel], read: Mapping[str, ReferencePredictions | None]
) -> list[Drawing]:
    bins: dict[str, list[Bin]] = {}
    places = set()
    for model, condition, right, sure in _with_scores(models, read, confidence):
        table = reliability_table(sure, right)
        kept = table[table["n"] > 0]
        total = int(kept["n"].sum())
        columns = (kept[name].tolist() for name in ("confidence", "accuracy", "n"))
        bins[model.title] = [Bin(100 * c, 100 * a, 100 * n / total) for c, a, n in zip(*columns, strict=True)]
        places.add(f"{condition.benchmark.name} ({total:,} images)")
    if not bins:
        return []
    note = f"{', '.join(sorted(places))}; {BINS} bins of equal width, softmax over the benchmark's classes."
    return [Drawing(reliability_diagrams(bins, title="Is the model as right as it is sure?", note=note))]


def _risk_figure(models: Sequence[StoredModel], read: Mapping[str, ReferencePredictions | None]) -> list[Drawing]:
    """How many errors are left where the least sure answers are declined, by each score of selective prediction."""
    curves: dict[str, dict[str, list[tuple[float, float]]]] = {}
    places = set()
    for model, condition, right, sure in _with_scores(models, read, scores):
        wrong = ~right
        curves[model.title] = {name: _thinned(*risk_coverage(score, wrong)) for name, score in sure.items()}
        places.add(f"{condition.benchmark.name} ({len(wrong):,} images)")
    if not curves:
        return []
    note = f"{', '.join(sorted(places))}. msp: largest probability; margin: of the two largest; energy: log of the sum of exponentials."
    return [
        Drawing(risk_coverage_curves(curves, title="How many errors are left where it declines to answer?", note=note))
    ]


def _thinned(coverage: FloatArray, risk: FloatArray) -> list[tuple[float, float]]:
    """The curve in percent, at `_LINE_STEPS` evenly spread of its thresholds at most."""
    at = np.unique(np.linspace(0, len(coverage) - 1, _LINE_STEPS).round().astype(int))
    return list(zip((100 * coverage[at]).tolist(), (100 * risk[at]).tolist(), strict=True))
