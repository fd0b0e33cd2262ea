"""Quantities known within bounds, and the arithmetic that keeps the bounds honest.

Every quantity here is one that cannot be negative (joules, watts, hours, grams, PUE), which makes the arithmetic
monotone: bounds combine with bounds and nothing is lost. The bounds are those of stated assumptions or of repeats;
combining them end to end gives the widest range that the parts allow, not a sampling interval.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from harness.evidence import Interval
from harness.parsing.json import read_json

_ASSUMPTIONS = Path(__file__).with_name("assumptions.json")


@dataclass(frozen=True)
class Range:
    """A non-negative quantity: its value and the bounds around it, in one unit that the owner names.

    Raises ValueError unless 0 <= low <= value <= high, all finite.
    """

    low: float
    value: float
    high: float

    def __post_init__(self) -> None:
        finite = all(math.isfinite(x) for x in (self.low, self.value, self.high))
        if not (finite and 0 <= self.low <= self.value <= self.high):
            raise ValueError(f"need 0 <= low <= value <= high, got {self.low}, {self.value}, {self.high}")

    @classmethod
    def exact(cls, value: float) -> Range:
        """A quantity without uncertainty of its own."""
        return cls(value, value, value)

    def __add__(self, other: Range) -> Range:
        return Range(self.low + other.low, self.value + other.value, self.high + other.high)

    def __mul__(self, other: Range | float) -> Range:
        factor = other if isinstance(other, Range) else Range.exact(other)
        return Range(self.low * factor.low, self.value * factor.value, self.high * factor.high)

    def reciprocal(self) -> Range:
        """1 / x. Raises ZeroDivisionError where the low bound is 0."""
        return Range(1 / self.high, 1 / self.value, 1 / self.low)

    def interval(self, method: str) -> Interval:
        """The bounds as an evidence interval; `method` says what they are bounds of."""
        return Interval(low=self.low, high=self.high, method=method)


@dataclass(frozen=True)
class Assumption:
    """A quantity taken from elsewhere: what it is, how far it may lie off, and who says so."""

    name: str
    range: Range
    unit: str
    meaning: str
    source: str

    def describe(self) -> dict[str, object]:
        """The JSON form that stands in an evidence's protocol."""
        return asdict(self.range) | {"unit": self.unit, "meaning": self.meaning, "source": self.source}


@cache
def assumptions() -> dict[str, Assumption]:
    """The stated assumptions by name, from `assumptions.json` beside this module."""
    entries = read_json(_ASSUMPTIONS)
    return {
        name: Assumption(name, Range(entry.pop("low"), entry.pop("value"), entry.pop("high")), **entry)
        for name, entry in entries.items()
    }
