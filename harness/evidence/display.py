"""How a value looks to a reader: decided here and nowhere else."""

from __future__ import annotations

import math
import re

from harness.evidence.record import Evidence, EvidenceClass


def decimals_for(half_width: float | None, unit: str | None) -> int:
    """Decimals worth showing: a tenth of the interval's half width, at most three, at least none for counts."""
    if half_width is None:
        return 2 if unit == "%" else 3
    if half_width <= 0:
        return 2
    return min(3, max(0, -math.floor(math.log10(half_width)) + 1))


def _decimals(item: Evidence) -> int:
    """Decimals of an item's value and bounds alike; without an interval, of four digits as many as follow the point."""
    if item.interval is not None:
        return decimals_for((item.interval.high - item.interval.low) / 2, item.unit)
    most = decimals_for(None, item.unit)
    if item.unit == "%" or not isinstance(item.value, float) or not item.value:
        return most
    return max(0, min(most, 3 - math.floor(math.log10(abs(item.value)))))


def _format(value: float, decimals: int) -> str:
    """A number; one that would show as zero without being zero is shown by its significant digits."""
    return fixed(value, decimals) if round(value, decimals) or not value else f"{value:.2g}"


def fixed(value: float, decimals: int) -> str:
    """A number with so many decimals. Halves round away from zero, as people round the digits that they read: a binary
    number may lie just below them.

    >>> fixed(32.345, 2)
    '32.35'
    """
    return f"{value * (1 + 1e-12):,.{decimals}f}"


_IDENTIFIER = re.compile(r"(?:.*-)?(?:seed|id|version|year)")
"""Matches metrics whose integers are no amounts: their digits aren't grouped."""


def show_number(item: Evidence) -> str:
    """The value without its unit, with as many decimals as its interval is worth; the class where there is none."""
    if item.value is None:
        return item.class_.value
    if isinstance(item.value, bool):
        return "yes" if item.value else "no"
    if isinstance(item.value, int):
        return str(item.value) if _IDENTIFIER.fullmatch(item.name.metric) else f"{item.value:,}"
    if isinstance(item.value, float):
        return _format(item.value, _decimals(item))
    if isinstance(item.value, list) and any(isinstance(part, dict) for part in item.value):
        return f"{len(item.value)} entries"
    if isinstance(item.value, list):
        return ", ".join(str(part) for part in item.value)
    if isinstance(item.value, dict):
        return ", ".join(f"{k} {v:,}" if isinstance(v, int) else f"{k} {v}" for k, v in item.value.items())
    return str(item.value)


def show_value(item: Evidence) -> str:
    """Value and unit, e.g. `76.13 %`; the class where there is no value."""
    number = show_number(item)
    return f"{number} {item.unit}" if item.unit and item.value is not None else number


def show_interval(item: Evidence) -> str:
    """The interval's bounds, e.g. `75.76–76.50`, or an em dash where there is none."""
    if item.interval is None:
        return "—"
    decimals = _decimals(item)
    return f"{_format(item.interval.low, decimals)}–{_format(item.interval.high, decimals)}"


def round_to_interval(value: float, item: Evidence) -> float:
    """A value or bound without digits that the interval doesn't support: steps of a hundredth to a tenth of its width, but at
    least two digits; as it is where there is no interval."""
    interval = item.interval
    if interval is None or interval.low == interval.high or not value:
        return value
    places = 1 - math.floor(math.log10(interval.high - interval.low))
    return round(value, max(places, 1 - math.floor(math.log10(abs(value)))))


def show_count(item: Evidence) -> str:
    """Sample count, with the benchmark's own where this is part of it: `20 of 50,000`."""
    if item.n is None:
        return "—"
    return f"{item.n:,} of {item.N:,}" if item.is_partial else f"{item.n:,}"


def show_basis(item: Evidence) -> str:
    """Interval and count as they follow a value: ` (95 % interval 70.71–71.51, n = 50,000)`; empty where it has neither."""
    parts = []
    if item.interval is not None:
        parts.append(f"{item.interval.level * 100:g} % interval {show_interval(item)}")
    if item.n is not None:
        parts.append(f"n = {show_count(item)}")
    return f" ({', '.join(parts)})" if parts else ""


def show(item: Evidence) -> str:
    """Value, interval and count as one phrase for a sentence."""
    return f"{item.class_.value}: {item.reason}" if item.value is None else show_value(item) + show_basis(item)


# --- in two digits, for what is estimated or depends on a machine -----------------------------------------------------


def show_short(item: Evidence) -> str:
    """A quantity in two digits and a handy unit: `83 MB`, `0.44 GB`, `2.4 kJ`, `26 mg CO2e`, `32 kg CO2e`."""
    return _shorten([item.number], item)


def show_short_interval(item: Evidence) -> str:
    """The interval in two digits, e.g. `0.48–15 kJ`, or an em dash where there is none."""
    return _shorten([item.interval.low, item.interval.high], item) if item.interval is not None else "—"


def _shorten(values: list[float], item: Evidence) -> str:
    unit = item.unit or ""
    thousands = -1 if unit.startswith("g ") and item.number < 1 else 0
    most = {"B": 999.5, "J": 99.5}.get(unit, math.inf)  # 440 MB, and 0.23 kJ: joules are estimates of two digits
    while thousands < 4 and item.number >= most * 1000**thousands:
        thousands += 1
    scaled = [value / 1000.0**thousands for value in values]
    places = [1 - math.floor(math.log10(abs(value))) if value else 0 for value in scaled]
    places = [at if item.class_ is EvidenceClass.ESTIMATED else max(0, at) for at in places]
    shown = "–".join(fixed(round(value, at), max(0, at)) for value, at in zip(scaled, places, strict=True))
    return f"{shown} {('', 'k', 'M', 'G', 'T', 'm')[thousands]}{unit}"
