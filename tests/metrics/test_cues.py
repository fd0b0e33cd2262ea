"""Shape bias, against a count by hand and against the definition written out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.metrics.cues import shape_bias
from harness.metrics.types import MetricUnavailable


def test_agreeing_images_and_decisions_for_neither_are_left_out() -> None:
    predicted, shape, texture = (np.array(column) for column in ([0, 1, 1, 2, 0], [0, 0, 1, 0, 0], [1, 1, 1, 1, 1]))
    found = shape_bias(predicted, shape, texture)
    # For the shape: images 1 and 5; for the texture: image 2. The third has no conflict, the fourth is neither.
    assert (round(found.value, 4), found.n) == (66.6667, 3)
    with pytest.raises(MetricUnavailable):
        shape_bias(np.array([2]), np.array([0]), np.array([1]))


@given(st.lists(st.tuples(*[st.integers(0, 3)] * 3), min_size=1))
def test_as_it_is_defined(rows: list[tuple[int, int, int]]) -> None:
    shape = sum(p == s for p, s, t in rows if s != t)
    texture = sum(p == t for p, s, t in rows if s != t)
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    if not shape + texture:
        with pytest.raises(MetricUnavailable):
            shape_bias(*columns)
        return
    found = shape_bias(*columns)
    assert found.value == pytest.approx(100 * shape / (shape + texture))
    assert found.low <= found.value <= found.high
