"""Temperature scaling: all logits divided by one number, fitted on one half of the samples and judged on the other.

Guo et al. 2017, "On calibration of modern neural networks", arXiv:1706.04599, section 4.2.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from scipy.special import logsumexp

from harness.metrics import intervals
from harness.metrics.calibration import calibration
from harness.metrics.types import (
    BoolArray,
    Estimate,
    FloatArray,
    IntArray,
    LabelSpacePredictions,
    MetricSpec,
    MetricUnavailable,
)

SCALED = "temperature-scaled"
"""Variant of the calibration metrics."""
_ROWS = 4096
"""Samples whose probabilities are held at a time."""
_STEPS = 50


def temperature_scaling(
    predictions: LabelSpacePredictions, logits: FloatArray, fitted: BoolArray
) -> dict[str, Estimate]:
    """The temperature, and every metric of `calibration` of the scaled logits, by the end of its evidence key.

    Args:
        predictions: of n samples.
        logits: (n, classes), -inf where the model has no output for a class.
        fitted: bool (n,): the samples that the temperature is fitted on; the others are scored.

    Raises:
        MetricUnavailable: no finite temperature is the best one, or a half has no sample whose class has an output.
    """
    known = (predictions.label >= 0) & np.isfinite(logits[np.arange(len(logits)), predictions.label])
    temperature = fit_temperature(logits[fitted & known], predictions.label[fitted & known])
    found = calibration(scaled(predictions.take(~fitted), logits[~fitted], temperature.value))
    return {"temperature": temperature} | {
        f"{name}{'+' if ':' in name else ':'}{SCALED}": estimate for name, estimate in found.items()
    }


def fit_temperature(logits: FloatArray, label: IntArray) -> Estimate:
    """The temperature of the least negative log-likelihood, by Newton's method on its inverse, in which that is convex.

    Its interval is of the maximum-likelihood fit, with a variance that holds though the model's probabilities don't
    (the sandwich estimator of White 1982), on a logarithmic scale.

    Args:
        logits: (n, classes), -inf where the model has no output for a class.
        label: int (n,), the classes of the samples, each with an output.

    Raises:
        MetricUnavailable: there are no samples, or the likelihood grows without end, as where every answer is right.
    """
    if len(label) == 0:
        raise MetricUnavailable("There are no samples to fit a temperature on.")
    inverse = 1.0
    for _ in range(_STEPS):
        slope, curvature = _derivatives(logits, label, inverse)
        step = slope.sum() / curvature if curvature > 1e-12 * len(label) else math.inf
        inverse = min(max(inverse - step, inverse / 4), inverse * 4)
        if not 1e-3 < inverse < 1e3:
            break
        if abs(step) <= 1e-9 * inverse:
            spread = intervals.Z * math.sqrt(float((slope**2).sum())) / curvature / inverse
            value = 1 / inverse
            low, high = value * math.exp(-spread), value * math.exp(spread)
            return Estimate(value, low, high, "maximum likelihood, sandwich variance", len(label), "fit")
    raise MetricUnavailable("No temperature is the best one: the likelihood grows without end.")


def _derivatives(logits: FloatArray, label: IntArray, inverse: float) -> tuple[FloatArray, float]:
    """Of the negative log-likelihood by the inverse temperature: the first of each sample (n,), the second of all."""
    first, second = np.empty(len(label)), 0.0
    for start in range(0, len(label), _ROWS):
        z = logits[start : start + _ROWS].astype(np.float64)
        p = np.exp(inverse * z - logsumexp(inverse * z, axis=1, keepdims=True))
        z = np.where(np.isfinite(z), z, 0.0)  # where p is 0
        mean = (p * z).sum(axis=1)
        second += float((p * (z - mean[:, None]) ** 2).sum())
        first[start : start + len(z)] = mean - z[np.arange(len(z)), label[start : start + len(z)]]
    return first, second


def scaled(predictions: LabelSpacePredictions, logits: FloatArray, temperature: float) -> LabelSpacePredictions:
    """The predictions as if all logits (n, classes) were divided by a temperature; which classes are best stays."""
    rows, top = np.arange(len(predictions)), predictions.top5
    sums = [
        np.concatenate(
            [logsumexp(times * logits[at : at + _ROWS].astype(np.float64), axis=1) for at in range(0, len(rows), _ROWS)]
        )
        for times in (1 / temperature, 2 / temperature)
    ]
    at_label = logits[rows, predictions.label].astype(np.float64) / temperature
    return replace(
        predictions,
        top5_logit=np.where(top >= 0, np.take_along_axis(logits, np.maximum(top, 0), axis=1) / temperature, np.nan),
        target_logit=np.where((predictions.label >= 0) & np.isfinite(at_label), at_label, np.nan),
        logsumexp=sums[0],
        logsumexp2=sums[1],
    )


METRICS = (MetricSpec("temperature", "Temperature of the best calibration", range=(0, math.inf), group="calibration"),)
