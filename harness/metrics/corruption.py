"""Errors under corruption: per cell, per corruption, normalised (CE, mCE), relative, and as plain means.

Hendrycks and Dietterich 2019, "Benchmarking neural network robustness to common corruptions and perturbations",
arXiv 1903.12261, section 4.1. Every score is a weighted sum of the cells' error rates (and of the clean one), so one set
of resamples serves all of them: base images are resampled, each with its results in all cells, because the same images
recur in every cell. Nothing is averaged over fewer cells than its name says.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from harness.corruptions.names import GROUPS, IMAGENET_C, SEVERITIES
from harness.metrics import intervals
from harness.metrics.types import BoolArray, Estimate, FloatArray, IntArray, MetricSpec, MetricUnavailable, attempt
from harness.parsing.yaml import read_yaml

Cell = tuple[str, int]
"""A corruption at one severity."""
_CLEAN: Cell = ("", 0)
"""The images without corruption, among the cells."""


@dataclass(frozen=True)
class AlexNet:
    """The errors by which corruption errors are divided."""

    clean: float
    """Error on imagenet-val, a fraction."""
    errors: Mapping[Cell, float]
    """Error in each cell, a fraction."""

    def mean(self, name: str) -> float:
        """Error under one corruption, a fraction: the mean over its severities.

        Raises:
            MetricUnavailable: none is published.
        """
        if (name, SEVERITIES[0]) not in self.errors:
            raise MetricUnavailable(f"No error of AlexNet under {name} is published, so there is nothing to divide by.")
        return sum(self.errors[name, severity] for severity in SEVERITIES) / len(SEVERITIES)


@cache
def alexnet() -> AlexNet:
    """The shipped errors; their sources are in `alexnet_errors.yaml`."""
    loaded: dict[str, Any] = read_yaml(Path(__file__).with_name("alexnet_errors.yaml")).data
    entries = loaded["scored"] | loaded["extra"]
    return AlexNet(loaded["clean"], by_cell({name: entry["errors"] for name, entry in entries.items()}))


def by_cell(values: Mapping[str, Sequence[float]]) -> dict[Cell, float]:
    """The values of each corruption, one a severity, by cell."""
    return {(name, s): value for name, row in values.items() for s, value in zip(SEVERITIES, row, strict=True)}


class CorruptionErrors:
    """Which base images a model gets wrong in each cell, and every score that follows from it.

    Scores are percentages; their n counts base images. Intervals are bootstrap percentiles over base images.

    Args:
        correct: for each cell a bool array (n,): the same n base images in the same order in every cell.
        clean: bool (n,): the same images without corruption; None where they were not run.

    Raises:
        ValueError: there are no cells, the arrays differ in length, or a severity is none of 1 to 5.
        MetricUnavailable: there are no images.
    """

    def __init__(self, correct: Mapping[Cell, BoolArray], clean: BoolArray | None = None) -> None:
        if not correct:
            raise ValueError("there are no cells")
        if any(severity not in SEVERITIES for _, severity in correct):
            raise ValueError(f"a severity is one of {SEVERITIES}")
        # One order, so that sums are rounded alike however the cells were given.
        columns = {cell: correct[cell] for cell in sorted(correct)} | ({} if clean is None else {_CLEAN: clean})
        lengths = {len(column) for column in columns.values()}
        if len(lengths) != 1:
            raise ValueError("the cells hold different numbers of base images")
        (self.n,) = lengths
        if self.n == 0:
            raise MetricUnavailable("There are no samples to count.")
        self._column = {cell: i for i, cell in enumerate(columns)}
        wrong = ~np.column_stack(list(columns.values())).astype(bool)
        self._rates = wrong.sum(axis=0) / self.n
        self._resampled_rates = intervals.resampled_sums(wrong) / self.n
        self._method = intervals.bootstrap_method("percentile over base images")

    def severities(self, name: str) -> tuple[int, ...]:
        """The severities at which a corruption was run, increasing."""
        return tuple(severity for severity in SEVERITIES if (name, severity) in self._column)

    def mean_error(self, names: Sequence[str], severities: Sequence[int] = SEVERITIES) -> Estimate:
        """The mean of the cells' errors, without normalisation: of one corruption, a group, a severity, or all.

        Raises:
            MetricUnavailable: a cell was not run; the reason names what is missing.
        """
        self._require(names, severities, "A mean error")
        return self.mean_of([(name, severity) for name in names for severity in severities])

    def mean_of(self, cells: Sequence[Cell]) -> Estimate:
        """The mean of the errors of cells that were run, without normalisation."""
        return self._combine({cell: 1 / len(cells) for cell in cells})

    def ce(self, name: str, *, relative: bool = False) -> Estimate:
        """Corruption error: the errors over the five severities, summed and divided by AlexNet's; `relative`: of
        E - E_clean instead of E.

        Raises:
            MetricUnavailable: a severity or the clean images were not run, or AlexNet's error is not published.
        """
        what = "A relative corruption error" if relative else "A corruption error"
        return self._combine(self._ce_weights(name, relative, what))

    def mce(self, *, relative: bool = False) -> Estimate:
        """Mean corruption error: the mean of (relative) CE over the 15 corruptions.

        Raises:
            MetricUnavailable: one of the 75 cells, or the clean images, were not run.
        """
        names, what = IMAGENET_C, "Relative mCE" if relative else "mCE"
        self._require(names, SEVERITIES, f"{what}, a mean over 15 corruptions at 5 severities each,")
        weights: dict[Cell, float] = {}
        for name in names:
            for cell, weight in self._ce_weights(name, relative, what).items():
                weights[cell] = weights.get(cell, 0.0) + weight / len(names)
        return self._combine(weights)

    def _ce_weights(self, name: str, relative: bool, what: str) -> dict[Cell, float]:
        reference = alexnet().mean(name) - (alexnet().clean if relative else 0.0)
        self._require([name], SEVERITIES, what)
        weights = {(name, severity): 1 / (len(SEVERITIES) * reference) for severity in SEVERITIES}
        if not relative:
            return weights
        if _CLEAN not in self._column:
            raise MetricUnavailable(f"{what} needs the clean images, which were not run.")
        return weights | {_CLEAN: -1 / reference}

    def _require(self, names: Sequence[str], severities: Sequence[int], what: str) -> None:
        absent = {name: tuple(s for s in severities if (name, s) not in self._column) for name in names}
        if len(names) == 1 and absent[names[0]]:
            raise MetricUnavailable(f"{what} needs {_severities(absent[names[0]])}, not run.")
        if any(absent.values()):
            raise MetricUnavailable(f"{what} needs cells that were not run: {describe_cells(absent, names)}.")

    def _combine(self, weights: Mapping[Cell, float]) -> Estimate:
        """The weighted sum of error rates, in percent, with its interval."""
        coefficients = np.zeros(len(self._column))
        for cell, weight in weights.items():
            coefficients[self._column[cell]] = 100 * weight
        value = float(self._rates @ coefficients)
        low, high = intervals.percentile_interval(value, self._resampled_rates @ coefficients)
        if low == high:  # nothing varies between images: the bootstrap would claim certainty it doesn't have
            why = "no interval: every resample of the base images gives the same value"
            return Estimate(value, None, None, why, self.n)
        return Estimate(value, low, high, self._method, self.n, "bootstrap")


class SampledErrors(CorruptionErrors):
    """The same scores from independent estimates of the cells' errors, with normal intervals.

    Args:
        cells: K cells, ("", 0) for the images without corruption.
        n: int (K,): passes of each.
        rates: float (K,): estimated errors, fractions.
        variances: float (K,): of the estimates.
    """

    def __init__(self, cells: Sequence[Cell], n: IntArray, rates: FloatArray, variances: FloatArray) -> None:
        self._column = {cell: at for at, cell in enumerate(cells)}
        self._passes, self._rates, self._variances = n, rates, variances

    def accuracy(self, cell: Cell) -> Estimate:
        """Top-1 in one cell."""
        at = self._column[cell]
        reach = 100 * intervals.Z * float(np.sqrt(self._variances[at]))
        value = float(np.clip(100 * (1 - self._rates[at]), 0, 100))
        return self._estimate(value, reach, int(self._passes[at]), 100.0)

    def _combine(self, weights: Mapping[Cell, float]) -> Estimate:
        at = [self._column[cell] for cell in weights]
        weight = 100 * np.array(list(weights.values()))
        value, variance = float(weight @ self._rates[at]), float(weight**2 @ self._variances[at])
        return self._estimate(value, intervals.Z * variance**0.5, int(self._passes[at].sum()), math.inf)

    def _estimate(self, value: float, reach: float, n: int, most: float) -> Estimate:
        low, high = max(value - reach, 0.0 if most < math.inf else -math.inf), min(value + reach, most)
        return Estimate(value, low, high, "normal, for a fixed number of passes", n, "normal")


class Score(NamedTuple):
    """One score of a benchmark with corruptions."""

    key: str
    """What follows the benchmark's name in the evidence key: `/fog.ce`, `.mce`, `.mean-error:noise`."""
    estimate: Estimate | MetricUnavailable
    reading: str
    """How the number was made, in words."""


def corruption_scores(errors: CorruptionErrors, scored: Sequence[str], extra: Sequence[str] = ()) -> Iterator[Score]:
    """Every score of a benchmark: normalised where it has ImageNet-C's 15 corruptions, plain errors for any other set.

    What can't be had for lack of cells is among them, with the reason. Where cells are missing, the mean over those that
    were run comes too, as a variant that says which they are.

    Args:
        errors: of the benchmark's cells.
        scored: the corruptions that its means are over.
        extra: those that are reported apart.
    """
    normalised = set(scored) == set(IMAGENET_C)
    run = {name: errors.severities(name) for name in (*scored, *extra)}
    for name in (name for name, severities in run.items() if severities):
        yield _score(f"/{name}.mean-error", "mean of the error over 5 severities", errors.mean_error, [name])
        if normalised:
            yield _score(f"/{name}.ce", _CE_READING, errors.ce, name)
            yield _score(f"/{name}.relative-ce", _RELATIVE_READING, errors.ce, name, relative=True)
    if normalised:
        yield _score(".mce", f"{_CE_READING}; mean over 15 corruptions", errors.mce)
        yield _score(".relative-mce", f"{_RELATIVE_READING}; mean over 15 corruptions", errors.mce, relative=True)
    plain = "un-normalised mean of the error over"
    every = f"{plain} {len(scored)} corruptions"
    yield _score(".mean-error", f"{every} and 5 severities", errors.mean_error, scored)
    for severity in SEVERITIES:
        key = f".mean-error:severity-{severity}"
        yield _score(key, f"{every} at severity {severity}", errors.mean_error, scored, [severity])
    if normalised:
        for group, names in GROUPS.items():
            reading = f"{plain} {_listed(names)}, 5 severities each"
            yield _score(f".mean-error:{group}", reading, errors.mean_error, names)
    if extra:
        reading = f"{plain} {_listed(extra)}, 5 severities each; no part of the other means"
        yield _score(".mean-error:extra", reading, errors.mean_error, extra)
    grids = {run[name] for name in scored}
    if grids != {SEVERITIES} and any(grids):
        same = grids.pop() if len(grids) == 1 else None
        variant = "cells-run" if same is None else "-".join(["severities", *map(str, same)])
        reading = f"{plain} the cells that were run: {describe_cells(run, scored)}; not mCE"
        cells = [(name, severity) for name in scored for severity in run[name]]
        yield _score(f".mean-error:{variant}", reading, errors.mean_of, cells)


_CE_READING = "sum of the error over 5 severities, divided by AlexNet's"
_RELATIVE_READING = "sum of (error - clean error) over 5 severities, divided by AlexNet's"


def _score(key: str, reading: str, metric: Callable[..., Estimate], *inputs: Any, **options: bool) -> Score:
    return Score(key, attempt(metric, *inputs, **options), reading)


def describe_cells(cells: Mapping[str, Sequence[int]], names: Sequence[str]) -> str:
    """Cells in words, "all 15 corruptions at severities 1, 3 and 5", from the severities of each of `names`."""
    alike: dict[tuple[int, ...], list[str]] = {}
    for name in names:
        if cells[name]:
            alike.setdefault(tuple(cells[name]), []).append(name)
    parts = []
    for severities, who in alike.items():
        everyone = len(who) == len(names) > 1
        parts.append(f"{f'all {len(who)} corruptions' if everyone else _listed(who)} at {_severities(severities)}")
    return "; ".join(parts)


def widest_mce_half_width(n: int) -> float:
    """How far mCE's interval can reach to either side with n base images, in percentage points, whatever the model.

    An image adds between 0 and mean(1 / AlexNet's error) to the sum, so its standard deviation is at most half of that
    (Popoviciu); real models are narrower.

    Raises:
        ValueError: n is below 1.
    """
    if n < 1:
        raise ValueError("a width needs at least one image")
    widest = np.mean([1 / alexnet().mean(name) for name in IMAGENET_C])
    return float(100 * intervals.Z * widest / 2 / np.sqrt(n))


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _severities(severities: Sequence[int]) -> str:
    return f"severit{'y' if len(severities) == 1 else 'ies'} {_listed([str(severity) for severity in severities])}"


_SHARED: dict[str, Any] = {"unit": "%", "higher_is_better": False, "group": "corruption"}
METRICS = (
    MetricSpec("ce", "Corruption error (CE)", range=(0, math.inf), **_SHARED),
    MetricSpec("relative-ce", "Relative CE", **_SHARED),
    MetricSpec("mce", "Mean corruption error (mCE)", range=(0, math.inf), lm_eval="mce", **_SHARED),
    MetricSpec("relative-mce", "Relative mCE", **_SHARED),
    MetricSpec("mean-error", "Mean error", range=(0, 100), lm_eval="mean_error", **_SHARED),
)
