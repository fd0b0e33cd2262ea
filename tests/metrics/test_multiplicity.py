"""Corrections, exact bounds and power, against scipy, their definitions and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness.metrics.multiplicity import (
    benjamini_hochberg,
    clopper_pearson,
    exact_p_values,
    holm,
    score_p_values,
    smallest_detectable_difference,
)

p_lists = st.lists(st.one_of(st.floats(0, 1), st.just(float("nan"))), max_size=12)


@given(p_lists, st.floats(0.001, 0.2))
def test_holm_rejects_what_the_stepwise_procedure_rejects(values: list[float], alpha: float) -> None:
    p = np.array(values)
    known = [i for i in range(len(p)) if not np.isnan(p[i])]
    rejected = set()
    for step, i in enumerate(sorted(known, key=lambda i: p[i])):
        if p[i] * (len(known) - step) > alpha:
            break
        rejected.add(i)
    adjusted = holm(p)
    assert set(np.flatnonzero(adjusted <= alpha)) == rejected
    assert np.isnan(adjusted).tolist() == np.isnan(p).tolist()


@given(p_lists, st.floats(0.001, 0.2))
def test_benjamini_hochberg_rejects_what_the_step_up_procedure_rejects(values: list[float], alpha: float) -> None:
    p = np.array(values)
    known = np.sort(p[~np.isnan(p)])
    passing = [k for k in range(1, len(known) + 1) if known[k - 1] * (len(known) / k) <= alpha]
    bound = known[max(passing) - 1] if passing else -1.0
    adjusted = benjamini_hochberg(p)
    assert (adjusted <= alpha).tolist() == (p <= bound).tolist()


def test_by_hand() -> None:
    p = np.array([0.01, 0.04, np.nan, 0.03, 0.005])
    np.testing.assert_allclose(holm(p), [0.03, 0.06, np.nan, 0.06, 0.02])
    np.testing.assert_allclose(benjamini_hochberg(p), [0.02, 0.04, np.nan, 0.04, 0.02])


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.integers(1, 50))
def test_clopper_pearson_equals_scipy_at_the_corrected_level(count: tuple[int, int], comparisons: int) -> None:
    successes, n = count
    low, high = clopper_pearson(successes, n, comparisons)
    expected = stats.binomtest(successes, n).proportion_ci(1 - 0.05 / comparisons, method="exact")
    assert float(low) == pytest.approx(expected.low, abs=1e-9)
    assert float(high) == pytest.approx(expected.high, abs=1e-9)


@given(st.tuples(*[st.integers(0, 40)] * 4))
def test_exact_p_value_doubles_the_smaller_one_sided_fisher_test(table: tuple[int, int, int, int]) -> None:
    right, wrong, rest_right, rest_wrong = table
    n, total = right + wrong, sum(table)
    (found,) = exact_p_values(np.array([right]), np.array([n]), right + rest_right, total)
    if n == 0 or n == total:
        assert np.isnan(found)
        return
    sides = [
        stats.fisher_exact([[right, wrong], [rest_right, rest_wrong]], alternative=side).pvalue
        for side in ("less", "greater")
    ]
    assert found == pytest.approx(min(1.0, 2 * min(sides)), abs=1e-9)


def test_score_p_value_equals_the_chi_squared_test() -> None:
    tables = np.array([[[30, 20], [300, 150]], [[5, 45], [80, 320]]])
    n, n_rest = tables[:, 0].sum(axis=1), tables[:, 1].sum(axis=1)
    found = score_p_values(tables[:, 0, 0] / n, n, tables[:, 1, 0] / n_rest, n_rest)
    np.testing.assert_allclose(found, [stats.chi2_contingency(t, correction=False).pvalue for t in tables])
    degenerate = score_p_values(np.array([1.0, 0.5]), np.array([9.0, 0.0]), np.array([1.0, 0.5]), np.array([5.0, 9.0]))
    assert degenerate[0] == 1.0  # all right on both sides
    assert np.isnan(degenerate[1])  # nothing on one side


@pytest.mark.slow
def test_holm_controls_the_family_wise_error_where_single_tests_do_not() -> None:
    """30 groups of 30 to 400 at one accuracy of 0.9, tested against the rest, 600 times."""
    generator = np.random.default_rng(2)
    sizes = np.linspace(30, 400, 30).astype(int)
    corrected = single = 0
    for successes in generator.binomial(sizes, 0.9, size=(600, 30)):
        p = exact_p_values(successes, sizes, int(successes.sum()), int(sizes.sum()))
        corrected += bool((holm(p) < 0.05).any())
        single += bool((p < 0.05).any())
    assert corrected / 600 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 600)
    assert single / 600 > 0.4


@pytest.mark.parametrize("rate", [0.76, 0.1])
def test_smallest_detectable_difference_is_found_four_times_in_five(rate: float) -> None:
    """One of 20 comparisons, 2,000 against 48,000; the exact test costs a little power."""
    n, n_rest = 2000, 48000
    (size,) = smallest_detectable_difference(rate, np.array([n]), np.array([n_rest]), comparisons=20)
    generator = np.random.default_rng(3)
    group = generator.binomial(n, rate + (size if rate < 0.5 else -size), size=500)
    rest = generator.binomial(n_rest, rate, size=500)
    found = [
        exact_p_values(np.array([g]), np.array([n]), int(g + r), n + n_rest)[0] < 0.05 / 20
        for g, r in zip(group, rest, strict=True)
    ]
    assert 0.74 <= np.mean(found) <= 0.86  # standard error 0.018


def test_smallest_detectable_difference_solves_its_equation() -> None:
    """At 0.71 and 100 against 100, two comparisons: z = 2.241403 and 0.841621."""
    (size,) = smallest_detectable_difference(0.71, np.array([100.0]), np.array([100.0]), comparisons=2)
    group, pooled = 0.71 - size, 0.71 - size / 2
    expected = 2.241403 * (2 * pooled * (1 - pooled) / 100) ** 0.5
    expected += 0.841621 * ((group * (1 - group) + 0.71 * 0.29) / 100) ** 0.5
    assert size == pytest.approx(expected, abs=1e-6)
    empty = smallest_detectable_difference(0.7, np.array([0.0]), np.array([9.0]), comparisons=1)
    assert np.isnan(empty).all()
