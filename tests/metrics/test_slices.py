"""Slicings and accuracy by group, against pandas and fairlearn."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from fairlearn.metrics import MetricFrame
from scipy import sparse
from sklearn.metrics import accuracy_score

from harness.data.statistics import quantile_codes
from harness.metrics.intervals import wilson
from harness.metrics.slices import (
    Outcomes,
    Slicing,
    by_group,
    disjoint_slicing,
    interaction,
    outcomes_by_unit,
    outcomes_of,
    slicing_from_frame,
)

IDS = [f"image-{i}" for i in range(6)]
CORRECT = np.array([True, True, False, True, False, False])


def test_one_column_of_names_makes_disjoint_groups() -> None:
    frame = pd.DataFrame({"place": ["hill", "sea", None, "sea"]}, index=["image-0", "image-2", "image-3", "image-5"])
    slicing = slicing_from_frame("place", frame, IDS)
    assert slicing.groups == ("hill", "sea")
    assert slicing.is_disjoint
    assert slicing.covered.tolist() == [True, False, True, False, False, True]
    table = by_group(outcomes_of(CORRECT), slicing, min_units=2)
    assert table["n"].tolist() == [1, 2]
    assert table["accuracy"].tolist() == [100.0, 0.0]
    assert table["too_small"].tolist() == [True, False]


def test_flags_make_groups_that_overlap_and_cover_every_row() -> None:
    frame = pd.DataFrame({"dark": [1, 1, 0], "small": [True, False, False]}, index=["image-0", "image-2", "image-4"])
    slicing = slicing_from_frame("factors", frame, IDS)
    assert not slicing.is_disjoint
    assert slicing.covered.sum() == 3
    assert by_group(outcomes_of(CORRECT), slicing)["n"].tolist() == [2, 1]


def test_a_partial_join_says_how_many_and_names_examples() -> None:
    frame = pd.DataFrame({"place": ["hill"]}, index=["image-3"])
    slicing = slicing_from_frame("place", frame, IDS)
    assert slicing.left_out(IDS) == "place covers 1 of 6 samples; without: image-0, image-1, image-2, …."
    whole = slicing_from_frame("place", pd.DataFrame({"place": ["hill"] * 6}, index=IDS), IDS)
    assert whole.left_out(IDS) is None


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pd.DataFrame({"a": ["x", "y"]}, index=["image-0", "image-0"]), "name image-0 twice"),
        (pd.DataFrame({"a": ["x"]}, index=["other"]), "annotated: other; evaluated: image-0, image-1, image-2"),
        (pd.DataFrame({"a": [1, 0], "b": ["x", "y"]}, index=IDS[:2]), "column b is not boolean"),
    ],
)
def test_unusable_annotations_say_why(frame: pd.DataFrame, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        slicing_from_frame("mine", frame, IDS)


def test_inconsistent_slicings_are_refused() -> None:
    member = sparse.csr_array(np.array([[True], [False]]))
    with pytest.raises(ValueError, match="in a group but not covered"):
        Slicing("s", ("a",), member, np.array([False, True]))
    with pytest.raises(ValueError, match="expected"):
        Slicing("s", ("a", "b"), member, np.array([True, True]))
    with pytest.raises(ValueError, match="one name"):
        Slicing("s", ("a", "a"), sparse.csr_array(np.eye(2, dtype=bool)), np.array([True, True]))
    with pytest.raises(ValueError, match="slices 2 units, the outcomes are of 6"):
        by_group(outcomes_of(CORRECT), disjoint_slicing("s", np.array([0, 0]), ["a"]))


def test_quantiles_have_equal_sizes_and_keep_ties_together() -> None:
    values = np.random.default_rng(0).permutation(np.append(np.arange(1000.0), np.nan))
    codes, edges = quantile_codes(values, 5)
    assert np.bincount(codes[codes >= 0]).tolist() == [200] * 5
    np.testing.assert_array_equal(np.where(codes >= 0, codes, np.nan), pd.qcut(pd.Series(values), 5, labels=False))
    assert edges.tolist() == [199, 399, 599, 799]
    tied, _ = quantile_codes(np.array([1.0] * 8 + [2.0, 3.0]), 5)
    assert np.bincount(tied).tolist() == [8, 0, 0, 0, 2]
    with pytest.raises(ValueError, match="no values"):
        quantile_codes(np.array([np.nan]), 5)


def test_an_empty_group_is_shown_without_a_value() -> None:
    table = by_group(outcomes_of(CORRECT), disjoint_slicing("s", np.zeros(6, int), ["a", "b"]), min_units=3)
    assert table.loc["b", "n"] == 0
    assert table.loc["b", ["accuracy", "low", "high"]].isna().all()
    assert table["too_small"].tolist() == [False, True]


def test_disjoint_groups_equal_fairlearn_and_pandas() -> None:
    generator = np.random.default_rng(1)
    codes = generator.integers(0, 7, 900)
    label, predicted = generator.integers(0, 3, 900), generator.integers(0, 3, 900)
    table = by_group(outcomes_of(label == predicted), disjoint_slicing("s", codes, list("abcdefg")))
    frame = MetricFrame(
        metrics=accuracy_score, y_true=label, y_pred=predicted, sensitive_features=np.array(list("abcdefg"))[codes]
    )
    np.testing.assert_allclose(table["accuracy"], 100 * frame.by_group)
    plain = pd.Series(label == predicted).groupby(codes)
    np.testing.assert_array_equal(table["n"], plain.size())
    low, high = wilson(plain.sum(), plain.size())
    np.testing.assert_allclose(table[["low", "high"]], 100 * np.column_stack([low, high]))


def test_interaction_equals_pandas() -> None:
    generator = np.random.default_rng(2)
    n = 500
    flags = pd.DataFrame(generator.random((n, 3)) < 0.4, columns=list("xyz"), index=[str(i) for i in range(n)])
    codes = generator.integers(-1, 4, n)
    both = interaction(
        slicing_from_frame("f", flags, list(flags.index)), disjoint_slicing("q", codes, ["q1", "q2", "q3", "q4"])
    )
    assert both.name == "f × q"
    correct = generator.random(n) < 0.6
    table = by_group(outcomes_of(correct), both)
    assert len(table) == 12
    for flag in "xyz":
        for part in range(4):
            which = flags[flag].to_numpy() & (codes == part)
            row = table.loc[f"{flag} × q{part + 1}"]
            assert (row["n"], row["successes"]) == (which.sum(), correct[which].sum())
    assert both.covered.tolist() == (codes >= 0).tolist()


def test_interaction_lists_only_pairs_that_occur() -> None:
    first = disjoint_slicing("a", np.array([0, 0, 1]), ["x", "y"])
    other = disjoint_slicing("b", np.array([0, 1, 1]), ["u", "v"])
    assert interaction(first, other).groups == ("x × u", "x × v", "y × v")


def test_repeated_images_are_counted_per_image() -> None:
    """The same image in three cells: two units with 3 and 2 trials."""
    outcomes = outcomes_by_unit(np.array([True, False, True, True, True]), np.array([0, 1, 0, 0, 1]), 3)
    assert (outcomes.successes.tolist(), outcomes.trials.tolist()) == ([3, 1, 0], [3, 2, 0])
    assert outcomes.repeated
    table = by_group(outcomes, disjoint_slicing("s", np.zeros(3, int), ["a"]))
    assert (table.loc["a", "n"], table.loc["a", "units"]) == (5, 2)
    assert table.loc["a", "accuracy"] == pytest.approx(80.0)


def test_intervals_over_repeated_images_cover_and_naive_ones_do_not() -> None:
    """40 images, 20 dependent trials each: 300 draws, nominal 0.95 (standard error 0.013)."""
    generator = np.random.default_rng(6)
    slicing = disjoint_slicing("s", np.zeros(40, int), ["a"])
    hits = naive = 0
    for _ in range(300):
        successes = generator.binomial(20, generator.beta(1.4, 0.6, size=40))  # mean 0.7, strongly clustered
        row = by_group(Outcomes(successes, np.full(40, 20)), slicing).iloc[0]
        hits += row["low"] <= 70 <= row["high"]
        low, high = wilson(successes.sum(), 800)
        naive += low <= 0.7 <= high
    assert 0.91 <= hits / 300 <= 0.99
    assert naive / 300 < 0.7


def test_a_group_without_spread_counts_images_not_trials() -> None:
    """Ten images always right, 50 trials each: no more certain than ten successes of ten."""
    row = by_group(Outcomes(np.full(10, 50), np.full(10, 50)), disjoint_slicing("s", np.zeros(10, int), ["a"])).iloc[0]
    assert row["effective_n"] == pytest.approx(10)
    assert row["low"] == pytest.approx(100 * float(wilson(10, 10)[0]))
