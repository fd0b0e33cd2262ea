"""Interval arithmetic: the result's bounds hold whatever the true values inside the parts' bounds are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.benchmarking.ranges import Range, assumptions

magnitudes = st.floats(min_value=0, max_value=1e6)
positive = st.floats(min_value=1e-6, max_value=1e6)


@st.composite
def ranges(draw: st.DrawFn, numbers: st.SearchStrategy[float] = magnitudes) -> Range:
    return Range(*sorted(draw(st.tuples(numbers, numbers, numbers))))


@st.composite
def ranges_with_member(draw: st.DrawFn, numbers: st.SearchStrategy[float] = magnitudes) -> tuple[Range, float]:
    span = draw(ranges(numbers))
    return span, draw(st.floats(span.low, span.high))


@given(ranges_with_member(), ranges_with_member())
def test_sums_and_products_hold_every_member(a: tuple[Range, float], b: tuple[Range, float]) -> None:
    (x, inside_x), (y, inside_y) = a, b
    assert (x + y).low <= inside_x + inside_y <= (x + y).high
    assert (x * y).low <= inside_x * inside_y <= (x * y).high


@given(ranges_with_member(positive))
def test_reciprocals_hold_every_member(a: tuple[Range, float]) -> None:
    x, inside = a
    assert x.reciprocal().low <= 1 / inside <= x.reciprocal().high


@given(ranges(), ranges())
def test_arithmetic_commutes(x: Range, y: Range) -> None:
    assert x + y == y + x
    assert x * y == y * x


@given(ranges(), magnitudes)
def test_a_number_is_a_range_without_width(x: Range, factor: float) -> None:
    assert x * factor == x * Range.exact(factor)


@given(ranges())
def test_evidence_interval_keeps_the_bounds(x: Range) -> None:
    interval = x.interval("bounds")
    assert (interval.low, interval.high) == (x.low, x.high)


@pytest.mark.parametrize("bounds", [(2, 1, 3), (0, 4, 3), (-1, 0, 1), (0, 1, float("inf")), (0, float("nan"), 1)])
def test_disordered_bounds_are_refused(bounds: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="low <= value <= high"):
        Range(*bounds)


def test_zero_has_no_reciprocal() -> None:
    with pytest.raises(ZeroDivisionError):
        Range(0, 1, 2).reciprocal()


def test_every_assumption_is_sourced() -> None:
    for name, assumption in assumptions().items():
        assert assumption.name == name
        assert assumption.source
        assert assumption.unit
        assert assumption.range.low > 0
