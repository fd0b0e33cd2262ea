"""How accuracy moves from a reference set to a shifted one, and whether the move is better than published models' move.

Effective robustness (Taori et al. 2020, "Measuring robustness to natural distribution shifts in image classification",
arXiv:2007.00644, section 2) is the accuracy on the shifted set above what models with standard training reach at the
same reference accuracy. That baseline is a line between logits of accuracies; its coefficients are in
`effective_robustness.yaml`, with how they were fitted.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from harness.metrics.accuracy import accuracy
from harness.metrics.intervals import newcombe, wilson
from harness.metrics.types import BoolArray, Estimate, FloatArray, MetricSpec, MetricUnavailable
from harness.parsing.yaml import read_yaml


@dataclass(frozen=True)
class Line:
    """logit(shifted accuracy) = slope · logit(reference accuracy) + intercept, over a range of reference accuracies."""

    above: float
    """The piece starts above this reference accuracy, in percent; 0 for the first."""
    slope: float
    intercept: float
    residual_sd: float
    """Standard deviation of the models around the line, in logits."""
    n_models: int
    """Models the line was fitted to."""
    lowest: float
    """Reference accuracy of the weakest of them, in percent."""
    highest: float
    """Reference accuracy of the strongest of them, in percent."""


@dataclass(frozen=True)
class Baseline:
    """What models with standard training reach on a shifted set, given their accuracy on a reference set."""

    benchmark: str
    reference: str
    """Evidence name of the reference set, e.g. `imagenet-val@imagenet-r-200`."""
    pieces: tuple[Line, ...]
    """By increasing `above`; more than one where the set was filtered against a model."""

    def predict(self, reference_accuracy: npt.ArrayLike) -> FloatArray:
        """Accuracy on the shifted set that the baseline gives, in percent, at reference accuracies in percent."""
        accuracies = np.atleast_1d(np.asarray(reference_accuracy, dtype=np.float64))
        piece = np.searchsorted(
            [line.above for line in self.pieces[1:]], accuracies
        )  # a knot belongs to the lower piece
        slopes, intercepts = np.array([(line.slope, line.intercept) for line in self.pieces])[piece].T
        return (100 * expit(slopes * logit(accuracies / 100) + intercepts)).reshape(np.shape(reference_accuracy))

    def covers(self, reference_accuracy: float) -> bool:
        """Whether a reference accuracy in percent lies within that of the fitted models, so nothing is extrapolated."""
        return self.pieces[0].lowest <= reference_accuracy <= self.pieces[-1].highest


@cache
def baselines() -> dict[str, Baseline]:
    """The shipped baselines by benchmark name."""
    return {
        name: Baseline(name, entry["reference"], tuple(Line(**line) for line in entry["lines"]))
        for name, entry in baseline_file()["baselines"].items()
    }


def baseline_file() -> dict[str, Any]:
    """`effective_robustness.yaml` as it is shipped: source, fitted models and lines."""
    loaded: dict[str, Any] = read_yaml(Path(__file__).with_name("effective_robustness.yaml")).data
    return loaded


def accuracy_drop(reference: BoolArray, shifted: BoolArray) -> Estimate:
    """Reference accuracy minus shifted accuracy in percentage points, from correctness on two independent sets.

    Newcombe 1998, "Interval estimation for the difference between independent proportions", method 10 (hybrid score).
    For ImageNet-A and -R, `reference` is imagenet-val's images of the same 200 classes. n counts both sets.

    Raises:
        MetricUnavailable: a set is empty.
    """
    n = np.array([len(reference), len(shifted)])
    if (n == 0).any():
        raise MetricUnavailable("There are no samples to count.")
    successes = np.array([np.count_nonzero(reference), np.count_nonzero(shifted)])
    first, other = np.column_stack([successes / n, *wilson(successes, n)])
    below, above = map(float, newcombe(first, other))
    value = float(first[0] - other[0])
    method = "Newcombe, independent samples"
    return Estimate(100 * value, 100 * (value - below), 100 * (value + above), method, int(n.sum()), "newcombe")


def effective_robustness(benchmark: str, reference: BoolArray, shifted: BoolArray) -> Estimate:
    """Accuracy on `benchmark` above the baseline at the same reference accuracy, in percentage points.

    The interval is sampling error in both accuracies, joined as for independent samples (the baseline is increasing,
    so it carries the reference's bounds over). The scatter of models around the baseline is not in it: see
    `Line.residual_sd`. n counts both sets.

    Args:
        benchmark: a key of `baselines()`.
        reference: correctness on the baseline's reference set.
        shifted: correctness on the benchmark.

    Raises:
        KeyError: there is no baseline for the benchmark.
        MetricUnavailable: a set is empty, or the reference accuracy is 0 or 100 %, where the logit is infinite.
    """
    before, after = accuracy(reference), accuracy(shifted)
    if not 0 < before.value < 100:
        raise MetricUnavailable(f"The baseline is not defined at a reference accuracy of {before.value:g} %.")
    bounds = np.array([(e.value, e.low, e.high) for e in (before, after)], dtype=np.float64)
    expected = baselines()[benchmark].predict(bounds[0])
    below, above = map(float, newcombe(bounds[1], expected))
    value, n = after.value - float(expected[0]), before.n + after.n
    method = "Newcombe, independent samples, through the baseline"
    return Estimate(value, value - below, value + above, method, n, "newcombe")


_SHARED: dict[str, Any] = {"unit": "points", "range": (-100, 100), "group": "shift"}
METRICS = (
    MetricSpec("accuracy-drop", "Accuracy drop from imagenet-val", higher_is_better=False, **_SHARED),
    MetricSpec("effective-robustness", "Effective robustness", higher_is_better=True, **_SHARED),
)
