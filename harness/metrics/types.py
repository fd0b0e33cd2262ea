"""The records of metrics: what they take, stored predictions in one label space; what they return, one value with its
interval; and what the rest of the program knows of a metric."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.integer]
FloatArray = npt.NDArray[np.floating]

T = TypeVar("T")
TOP = 5
"""Ranked classes that are stored a sample."""


class MetricUnavailable(Exception):  # noqa: N818  (a state of the data, not a fault)
    """A metric can't be computed from what is stored; `reason` says why, as a sentence for the ledger."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Estimate:
    """One value with its 95 % interval, in the value's own unit.

    Raises:
        ValueError: a number is not finite, or the interval doesn't hold the value.
    """

    value: float
    low: float | None
    high: float | None
    method: str
    """How the interval was made, seed and resamples included; the reason where there is no interval."""
    n: int
    """Samples the value was computed from."""
    kind: str | None = None
    """The method in one word, as in `evidence.Interval`; None where there is no interval."""

    def __post_init__(self) -> None:
        if not math.isfinite(self.value):
            raise ValueError(f"a value must be finite, got {self.value}")
        if (self.low is None) != (self.high is None):
            raise ValueError("an interval has both bounds or none")
        if self.low is not None and self.high is not None and not self.low <= self.value <= self.high:
            raise ValueError(f"the interval {self.low}–{self.high} doesn't hold the value {self.value}")


class Logits(NamedTuple):
    """What probabilities are computed from, float64 (n,) each; see `LabelSpacePredictions` for the fields."""

    best: FloatArray
    target: FloatArray
    logsumexp: FloatArray
    logsumexp2: FloatArray


@dataclass(frozen=True)
class LabelSpacePredictions:
    """The stored predictions of n samples in one label space.

    The last four fields are None for predictions that were made elsewhere without logits.

    Raises:
        ValueError: shapes disagree, or a class index is below -1.
    """

    label: IntArray
    """int32 (n,): the true class, -1 where it is not in this label space."""
    top5: IntArray
    """int32 (n, 5): class indices, best first, -1 where absent (imports with fewer ranks, spaces of fewer classes)."""
    top5_logit: FloatArray | None = None
    """float32 (n, 5): the logits z of `top5`."""
    target_logit: FloatArray | None = None
    """float32 (n,): the logit of the true class, NaN where it is not in this label space."""
    logsumexp: FloatArray | None = None
    """float32 (n,): log Σ exp(z) over the label space."""
    logsumexp2: FloatArray | None = None
    """float32 (n,): log Σ exp(2z), so that Σ p² = exp(logsumexp2 - 2 logsumexp)."""

    def __post_init__(self) -> None:
        n = len(self.label)
        shapes = {"label": (n,), "top5": (n, TOP), "top5_logit": (n, TOP)}
        for column in fields(self):
            array = getattr(self, column.name)
            expected = shapes.get(column.name, (n,))
            if array is not None and array.shape != expected:
                raise ValueError(f"{column.name} has shape {array.shape}, expected {expected}")
        for name in ("label", "top5"):
            if n and getattr(self, name).min() < -1:
                raise ValueError(f"{name} holds a class index below -1")

    def __len__(self) -> int:
        return len(self.label)

    def take(self, which: IntArray | BoolArray) -> LabelSpacePredictions:
        """The samples that `which` names, by position or as a mask (n,)."""
        part: dict[str, Any] = {name: None if column is None else column[which] for name, column in vars(self).items()}
        return LabelSpacePredictions(**part)

    def logits(self) -> Logits:
        """The logit fields.

        Raises:
            MetricUnavailable: a sample lacks one of them.
        """
        best = None if self.top5_logit is None else self.top5_logit[:, 0]
        columns = (best, self.target_logit, self.logsumexp, self.logsumexp2)
        if any(column is None for column in columns):
            raise MetricUnavailable("The predictions were stored without logits.")
        logits = Logits(*(np.asarray(column, dtype=np.float64) for column in columns))
        known = np.isfinite(logits.best) & np.isfinite(logits.logsumexp) & np.isfinite(logits.logsumexp2)
        known &= np.isfinite(logits.target) | (self.label < 0)
        if not known.all():
            raise MetricUnavailable(f"{int((~known).sum())} of {len(self)} predictions were stored without logits.")
        return logits


def concatenate(parts: Sequence[LabelSpacePredictions]) -> LabelSpacePredictions:
    """The samples of all parts, in order. A field that one part lacks is None in the whole."""
    whole: dict[str, Any] = {}
    for column in fields(LabelSpacePredictions):
        pieces = [getattr(part, column.name) for part in parts]
        whole[column.name] = None if any(piece is None for piece in pieces) else np.concatenate(pieces)
    return LabelSpacePredictions(**whole)


@dataclass(frozen=True)
class ImageRecord:
    """Which image a record is of."""

    sample_id: str
    digest: str
    """SHA-256 of the encoded image."""
    label: int
    """Class in the benchmark's label space."""

    @property
    def sample(self) -> tuple[str, str, int]:
        return self.sample_id, self.digest, self.label


def attempt(metric: Callable[..., T], *inputs: Any, **options: bool) -> T | MetricUnavailable:
    """What a metric gives, or why it can't be had."""
    try:
        return metric(*inputs, **options)
    except MetricUnavailable as unavailable:
        return unavailable


Compute = Callable[[LabelSpacePredictions], Estimate | Mapping[str, Estimate]]
"""One metric of predictions; or several that share their resamples, by the end of their evidence key (`ece:equal-mass`)."""


@dataclass(frozen=True)
class MetricSpec:
    """What the rest of the program knows of a metric. A module in `harness.metrics` lists its own in `METRICS`.

    >>> spec = MetricSpec("margin", "Mean margin", unit="%", higher_is_better=True, range=(0, 100), group="calibration")
    """

    name: str
    """As in evidence keys."""
    title: str
    """For tables and cards."""
    unit: str | None = None
    higher_is_better: bool | None = None
    """None where neither is better by itself."""
    range: tuple[float, float] = (-math.inf, math.inf)
    decimals: int = 4
    """Where the value is written without its interval, which decides elsewhere."""
    group: str | None = None
    """What a suite's `metrics:` calls it; None where something else asks for it."""
    compute: Compute | None = None
    """None where more than the predictions of one condition is needed."""
    variants: Mapping[str, str] = field(default_factory=dict)
    """Titles of variants that have one of their own."""
    lm_eval: str | None = None
    """Name in the results files of lm-evaluation-harness; None where they leave it out."""
    hub_type: str | None = None
    """Metric type in a card's `model-index`, one of its own for each metric; None where it is not listed there."""
