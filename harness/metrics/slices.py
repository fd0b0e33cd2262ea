"""Slicings, and accuracy on every slice.

A slicing sorts samples into named groups, from annotations, image statistics or the label hierarchy; a sample may be in
several groups, or in none. It also says which samples it covers: an image that nobody annotated is in no group, but is
not part of "the rest" either. Outcomes are successes out of trials a unit. A unit is an image; where the same image
recurs (every cell of ImageNet-C), its predictions are not independent, so they are one unit with many trials.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from harness.metrics.intervals import wilson
from harness.metrics.types import BoolArray, FloatArray, IntArray

MIN_UNITS = 30
"""Below this a group is too small to compare: its Wilson interval can be 34 points wide or more."""

EXAMPLES = 3
"""Sample ids named as examples where a join leaves some out."""


@dataclass(frozen=True)
class Slicing:
    """Named groups of n units, in the order of the outcomes they will meet.

    Raises:
        ValueError: shapes disagree, a name occurs twice, or a group holds a unit that is not covered.
    """

    name: str
    """As in evidence names, e.g. `imagenet-x`."""
    groups: tuple[str, ...]
    membership: sparse.csr_array
    """bool (n, groups): the groups of each unit."""
    covered: BoolArray
    """bool (n,): the units that were judged at all; the others play no part."""

    def __post_init__(self) -> None:
        if self.membership.shape != (len(self.covered), len(self.groups)):
            raise ValueError(
                f"slicing {self.name}: membership has shape {self.membership.shape}, "
                f"expected {(len(self.covered), len(self.groups))}"
            )
        if len(set(self.groups)) < len(self.groups):
            raise ValueError(f"slicing {self.name}: two groups have one name")
        if (np.diff(self.membership.indptr)[~self.covered] > 0).any():
            raise ValueError(f"slicing {self.name}: a unit is in a group but not covered")

    def __len__(self) -> int:
        return len(self.covered)

    @property
    def is_disjoint(self) -> bool:
        """Whether no unit is in two groups."""
        return bool((np.diff(self.membership.indptr) <= 1).all())

    def left_out(self, sample_ids: Sequence[str]) -> str | None:
        """What the join with its annotations left out, as a sentence with examples; None where all n are covered."""
        missing = np.flatnonzero(~self.covered)
        if len(missing) == 0:
            return None
        examples = ", ".join(str(sample_ids[position]) for position in missing[:EXAMPLES])
        more = ", …" if len(missing) > EXAMPLES else ""
        return f"{self.name} covers {len(self) - len(missing):,} of {len(self):,} samples; without: {examples}{more}."


def disjoint_slicing(name: str, codes: IntArray, groups: Sequence[str]) -> Slicing:
    """Each unit in one group: codes (n,) are positions in `groups`, -1 where the unit is not covered."""
    covered = codes >= 0
    indptr = np.concatenate([[0], np.cumsum(covered)])
    membership = sparse.csr_array(
        (np.ones(int(covered.sum()), dtype=bool), codes[covered], indptr), shape=(len(codes), len(groups))
    )
    return Slicing(name, tuple(groups), membership, np.asarray(covered))


def slicing_from_frame(name: str, frame: pd.DataFrame, sample_ids: Sequence[str]) -> Slicing:
    """A slicing from annotations joined on sample id.

    Args:
        frame: indexed by sample id. One column of group names (missing: not covered) makes disjoint groups; boolean or
            0/1 columns make one group each, which may overlap, and cover every row. Group order is that of the columns,
            of the categories, or sorted.
        sample_ids: the n units' ids, in the order of the outcomes. Rows for other ids are ignored.

    Raises:
        ValueError: the frame names a sample twice, matches none, or mixes kinds of columns; says which.
    """
    if frame.index.has_duplicates:
        twice = frame.index[frame.index.duplicated()][0]
        raise ValueError(f"slicing {name}: the annotations name {twice} twice")
    rows = frame.index.get_indexer(pd.Index(sample_ids))
    if not (rows >= 0).any():
        raise ValueError(
            f"slicing {name}: no annotated sample is among the {len(sample_ids):,} evaluated; "
            f"annotated: {', '.join(map(str, frame.index[:EXAMPLES]))}; evaluated: {', '.join(sample_ids[:EXAMPLES])}"
        )
    if len(frame.columns) == 1 and not _is_flag(frame.iloc[:, 0]):
        categories = pd.Categorical(frame.iloc[:, 0])
        codes = np.where(rows >= 0, categories.codes[rows], -1)
        return disjoint_slicing(name, codes, [str(category) for category in categories.categories])
    for column in frame:
        if not _is_flag(frame[column]):
            raise ValueError(f"slicing {name}: column {column} is not boolean; give one slicing a column of names")
    # A last row of nothing takes the samples without annotations, whose row is -1.
    flags = np.vstack([frame.to_numpy(dtype=bool), np.zeros((1, frame.shape[1]), dtype=bool)])
    membership = sparse.csr_array(sparse.csr_array(flags)[rows])
    return Slicing(name, tuple(map(str, frame.columns)), membership, np.asarray(rows >= 0))


def interaction(first: Slicing, other: Slicing) -> Slicing:
    """Every pair of groups that share a unit, as groups `a × b`, over the units that both slicings cover."""
    if len(first) != len(other):
        raise ValueError(f"{first.name} slices {len(first)} units, {other.name} {len(other)}")
    # Each entry (unit, a) of the first is repeated for every entry (unit, b) of the other.
    entries = first.membership.tocoo()
    counts = np.diff(other.membership.indptr)[entries.row]
    starts = other.membership.indptr[entries.row]
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    row = np.repeat(entries.row, counts)
    pair = np.repeat(entries.col, counts).astype(np.int64) * len(other.groups)
    pair += other.membership.indices[np.repeat(starts, counts) + within]
    found, column = np.unique(pair, return_inverse=True)
    names = tuple(f"{first.groups[p // len(other.groups)]} × {other.groups[p % len(other.groups)]}" for p in found)
    membership = sparse.csr_array(
        (np.ones(len(row), dtype=bool), (row, column)), shape=(len(first), len(found)), dtype=bool
    )
    return Slicing(f"{first.name} × {other.name}", names, membership, first.covered & other.covered)


def _is_flag(column: pd.Series) -> bool:
    """Whether a column says yes or no of every row."""
    if pd.api.types.is_bool_dtype(column):
        return not column.isna().any()
    return pd.api.types.is_integer_dtype(column) and bool(column.isin([0, 1]).all())


@dataclass(frozen=True)
class Outcomes:
    """What happened to n units.

    Raises:
        ValueError: successes are not between 0 and the trials.
    """

    successes: IntArray
    """int (n,): trials that were right."""
    trials: IntArray
    """int (n,): predictions made of the unit, 0 where there was none."""

    def __post_init__(self) -> None:
        if self.successes.shape != self.trials.shape:
            raise ValueError("successes and trials differ in length")
        if (self.successes < 0).any() or (self.successes > self.trials).any():
            raise ValueError("successes must lie between 0 and the trials")

    def __len__(self) -> int:
        return len(self.trials)

    @property
    def repeated(self) -> bool:
        """Whether some unit has several trials, which are then not independent."""
        return bool((self.trials > 1).any())


def outcomes_of(correct: BoolArray) -> Outcomes:
    """Outcomes of n units predicted once each."""
    return Outcomes(correct.astype(np.int64), np.ones(len(correct), dtype=np.int64))


def outcomes_by_unit(correct: BoolArray, unit: IntArray, units: int) -> Outcomes:
    """Outcomes of units that recur: row i (rows,) is a prediction of the unit at position unit[i] < units."""
    successes = np.bincount(unit[correct], minlength=units)
    return Outcomes(successes, np.bincount(unit, minlength=units))


def by_group(outcomes: Outcomes, slicing: Slicing, *, min_units: int = MIN_UNITS) -> pd.DataFrame:
    """Accuracy on every group, none dropped.

    Returns:
        Indexed by group: `n` (trials), `units`, `successes`, `accuracy`, `low`, `high` (percent, Wilson; NaN without a
        unit), `effective_n` (trials divided by the design effect, equal to n where units have one trial) and
        `too_small` (fewer than `min_units` units).

    Raises:
        ValueError: outcomes and slicing differ in length.
    """
    if len(outcomes) != len(slicing):
        raise ValueError(f"{slicing.name} slices {len(slicing)} units, the outcomes are of {len(outcomes)}")
    sums = slicing.membership.T @ _moments(outcomes)
    return _group_table(sums, pd.Index(slicing.groups, name="group"), min_units)


def totals(outcomes: Outcomes, which: BoolArray) -> pd.Series:
    """The row of `by_group` for the units that `which` (n,) marks, as one group."""
    sums = _moments(outcomes)[which].sum(axis=0)
    return _group_table(sums[None, :], pd.Index(["overall"]), 0).iloc[0]


def _moments(outcomes: Outcomes) -> FloatArray:
    """Of each unit (n, 6): whether it counts, its trials m and successes s, and what a ratio's variance needs: m², ms, s²."""
    m, s = outcomes.trials.astype(np.float64), outcomes.successes.astype(np.float64)
    return np.column_stack([m > 0, m, s, m * m, m * s, s * s])


def _group_table(sums: FloatArray, index: pd.Index, min_units: int) -> pd.DataFrame:
    """`by_group` from each group's sums of `_moments` (groups, 6).

    With repeated trials Wilson takes the effective sample size (Dean & Pagano 2015, "Evaluating confidence interval
    methods for binomial proportions in clustered surveys"), from the linearised variance of the ratio Σs / Σm.
    """
    units, m, s, mm, ms, ss = sums.T
    with np.errstate(invalid="ignore", divide="ignore"):
        p = s / m
        between = units / (units - 1) * (ss - 2 * p * ms + p * p * mm)
        effect = between / (m * p * (1 - p))
    # Without any spread to see, the trials of a unit count as one piece of information.
    effect = np.where((p > 0) & (p < 1) & (units > 1), effect, mm / np.where(m > 0, m, 1.0))
    effective = np.where(mm > m, m / np.maximum(effect, 1.0), m)
    low, high = wilson(np.where(m > 0, p, 0.0) * effective, effective)
    known = m > 0
    return pd.DataFrame(
        {
            "n": m.astype(np.int64),
            "units": units.astype(np.int64),
            "successes": s.astype(np.int64),
            "accuracy": 100 * p,
            "low": np.where(known, 100 * np.minimum(low, p), np.nan),
            "high": np.where(known, 100 * np.maximum(high, p), np.nan),
            "effective_n": effective,
            "too_small": units < min_units,
        },
        index=index,
    )


def interval_method(outcomes: Outcomes) -> tuple[str, str]:
    """How the intervals of `by_group` are named in the ledger, in words and as a kind."""
    if outcomes.repeated:
        return "Wilson, effective sample size over repeated images", "wilson-effective"
    return "Wilson", "wilson"
