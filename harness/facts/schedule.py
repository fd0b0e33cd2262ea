"""The learning-rate schedule that a log of rates shows: its shape, its peak and its warm-up, where all logged rates agree.

A schedule is only told where one shape runs through every logged rate, to the digits that are logged. A peak that no row has is
worked out only where the warm-up is seen in the log, or where the curve begins at a round number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_FEWEST = 3
"""Logged rates that a shape must run through."""
_MOST = 200
"""Logged rates that are compared."""
_ROUND, _SAME = 3, 1e-8
"""Digits of a number that somebody chose, and how nearly a curve begins there."""
_SHAPES: dict[str, Callable[[float], float]] = {
    "linear": lambda part: 1 - part,
    "cosine": lambda part: 0.5 * (1 + math.cos(math.pi * part)),
    "constant": lambda part: 1.0,
}
"""What is left of the peak when a part of the steps behind the warm-up is done."""


@dataclass(frozen=True)
class Schedule:
    """What logged rates show."""

    shape: str
    """`linear`, `cosine` or `constant`."""
    peak: float | None
    """None where the log doesn't decide it."""
    warmup: int | None
    """Steps up to the peak; None where no rise is logged."""
    is_logged: bool
    """Whether a logged rate is the peak."""

    @property
    def words(self) -> str:
        """The shape as a phrase."""
        return self.shape if self.shape == "constant" else f"{self.shape} decay to 0 at the last step"


def shown_schedule(rates: Sequence[tuple[int, float]], last: int) -> Schedule | None:
    """The schedule that logged pairs of step and rate show; None where no shape runs through all of them.

    Args:
        rates: in the order they were logged.
        last: the step at which the training was to end.

    >>> shown_schedule([(100, 5e-5), (200, 1e-4), (300, 8.75e-5), (600, 5e-5), (900, 1.25e-5)], 1000)
    Schedule(shape='linear', peak=0.0001, warmup=200, is_logged=True)
    """
    kept = rates[:: len(rates) // _MOST + 1]
    top = max(range(len(kept)), key=lambda at: kept[at][1], default=0)
    rising, falling = kept[:top], kept[top:]
    digits = max((len(f"{rate:.17g}".partition("e")[0].replace(".", "").strip("0")) for _, rate in kept), default=0)
    slack = max(0.5 * 10.0 ** (1 - digits), 1e-6)
    if len([rate for _, rate in falling if rate > 0]) < _FEWEST or slack > 1e-3:
        return None
    end = kept[top + 1][0] if rising else falling[0][0]
    found: dict[str, list[tuple[int, float]]] = {}
    for shape, left in _SHAPES.items():
        for late in (0, 1):  # a rate is logged before its step or behind it
            for warmup in range(rising[-1][0] - late if rising else 0, min(end, last - 1) + 1):
                peak = _peak(kept, lambda step, w=warmup, f=left: _share(step, w, last, f), late, slack)  # type: ignore[misc]
                if peak is not None:
                    found.setdefault(shape, []).append((warmup, peak))
    if len(found) != 1:
        return None
    ((shape, fits),) = found.items()
    highest = kept[top][1]
    if not rising:  # the rates before the first one that is logged are nowhere seen
        round_ = [fit for fit in fits if _is_round(fit[1])]
        fits = fits if shape == "constant" else [fit for fit in round_ if fit[0] == 0] or round_
        fits = fits if len({f"{peak:.6g}" for _, peak in fits}) == 1 else []
        warmups: set[int] = set()
    else:
        warmups = {warmup for warmup, _ in fits}
    peak = float(f"{fits[0][1]:.6g}") if fits and (len(warmups) <= 1 or shape == "constant") else None
    is_logged = peak is not None and math.isclose(peak, highest, rel_tol=1e-5)
    return Schedule(shape, peak, warmups.pop() if len(warmups) == 1 else None, is_logged)


def _share(step: int, warmup: int, last: int, left: Callable[[float], float]) -> float:
    return step / warmup if step < warmup else left((step - warmup) / (last - warmup))


def _peak(rates: Sequence[tuple[int, float]], share: Callable[[int], float], late: int, slack: float) -> float | None:
    """The peak of a curve that runs through all rates; None where it doesn't."""
    step, rate = max(rates, key=lambda pair: pair[1])
    most = share(step - late)
    peak = rate / most if most > 0 else 0.0
    fits = (abs(rate - peak * share(step - late)) <= slack * peak for step, rate in rates)
    return peak if peak > 0 and all(fits) else None


def _is_round(value: float) -> bool:
    return math.isclose(value, float(f"{value:.{_ROUND - 1}e}"), rel_tol=_SAME)
