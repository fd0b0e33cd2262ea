"""Disparities between the groups of a slicing, told apart from noise, and the worst slices of many slicings.

Minimum, maximum, difference and ratio are fairlearn's: its `MetricFrame` takes every group's counts and finds them.
fairlearn has no interval that fits them: between sixteen groups that are alike, the observed difference is never 0, and
neither are its bootstrap percentiles. Intervals here come from bounds that hold for all groups, or all pairs of groups,
at once, and therefore for the extreme ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from harness.metrics import intervals, multiplicity
from harness.metrics.intervals import LEVEL, bootstrap_method, percentile_interval
from harness.metrics.slices import MIN_UNITS, Outcomes, Slicing, by_group, interval_method, totals
from harness.metrics.types import Estimate, FloatArray, MetricSpec, MetricUnavailable

_BITS = 32
"""Groups whose memberships are told apart in one step."""

_CHUNK = 4_000_000
"""Counts of resampled kinds held at a time: 4 million take 64 MB."""


@dataclass(frozen=True)
class Audit:
    """What one slicing says."""

    slicing: str
    groups: pd.DataFrame
    """`slices.by_group`, and for groups that are not too small: `gap` (points, the group minus the rest of the covered
    units), `p_value` (group against rest), `p_adjusted` (over this slicing's groups), `detectable` (p_adjusted is below
    0.05) and `smallest_detectable` (points, found with a chance of 0.8). NaN and False for the others."""
    overall: Estimate
    """Accuracy in percent over the covered units; the groups' own intervals are made in the same way."""
    disparity: dict[str, Estimate]
    """`min`, `max` (percent), `difference` (points) and `ratio` (0 to 1) over groups that are not too small. Empty
    where fewer than two are left; without `ratio` where all accuracies are 0."""
    detectable: bool
    """Whether some group differs detectably from the rest."""
    smallest_detectable: float | None
    """A gap of this many points in any one group would have been found with a chance of about 0.8 or more; None where
    no group could be compared."""


def audit(
    outcomes: Outcomes, slicing: Slicing, *, min_units: int = MIN_UNITS, correction: multiplicity.Correction = "holm"
) -> Audit:
    """Accuracy by group, each group against the rest, and the disparity between groups.

    Raises:
        MetricUnavailable: no covered unit has an outcome.
        ValueError: outcomes and slicing differ in length.
    """
    groups = by_group(outcomes, slicing, min_units=min_units)
    overall = totals(outcomes, slicing.covered)
    if overall["n"] == 0:
        raise MetricUnavailable(f"No evaluated sample is covered by {slicing.name}.")
    groups = groups.join(_against_the_rest(outcomes, groups, overall, correction))
    smallest = groups["smallest_detectable"].max()
    method, kind = interval_method(outcomes)
    return Audit(
        slicing=slicing.name,
        groups=groups,
        overall=Estimate(overall["accuracy"], overall["low"], overall["high"], method, int(overall["n"]), kind),
        disparity=_disparity(outcomes, slicing, groups, int(overall["n"])),
        detectable=bool(groups["detectable"].any()),
        smallest_detectable=None if np.isnan(smallest) else float(smallest),
    )


def _against_the_rest(
    outcomes: Outcomes, groups: pd.DataFrame, overall: pd.Series, correction: multiplicity.Correction
) -> pd.DataFrame:
    """The columns that `Audit.groups` adds to `by_group`."""
    n, successes = groups["n"].to_numpy(), groups["successes"].to_numpy()
    n_rest, successes_rest = overall["n"] - n, overall["successes"] - successes
    with np.errstate(invalid="ignore", divide="ignore"):
        p, p_rest = successes / n, successes_rest / n_rest
    effective = groups["effective_n"].to_numpy()
    # The rest is close to everything: its design effect is that of all covered units.
    effective_rest = n_rest * (overall["effective_n"] / overall["n"])
    if outcomes.repeated:
        p_values = multiplicity.score_p_values(p, effective, p_rest, effective_rest)
    else:
        p_values = multiplicity.exact_p_values(successes, n, int(overall["successes"]), int(overall["n"]))
    comparable = ~groups["too_small"].to_numpy() & ~np.isnan(p_values)
    p_values = np.where(comparable, p_values, np.nan)
    adjusted = multiplicity.CORRECTIONS[correction](p_values)
    detectable_size = multiplicity.smallest_detectable_difference(
        overall["accuracy"] / 100, effective, effective_rest, comparisons=int(comparable.sum())
    )
    return pd.DataFrame(
        {
            "gap": np.where(comparable, 100 * (p - p_rest), np.nan),
            "p_value": p_values,
            "p_adjusted": adjusted,
            "detectable": comparable & (np.nan_to_num(adjusted, nan=1.0) < 1 - LEVEL),
            "smallest_detectable": np.where(comparable, 100 * detectable_size, np.nan),
        },
        index=groups.index,
    )


# --- disparity ------------------------------------------------------------------------------------------------------


def _disparity(outcomes: Outcomes, slicing: Slicing, groups: pd.DataFrame, total: int) -> dict[str, Estimate]:
    """`Audit.disparity`.

    q is the bootstrap's quantile of the largest deviation in units of its own standard error: over groups for min and
    max, over pairs for difference and (between logarithms) for ratio. So all of them lie within q standard errors at
    once, whatever their overlap, and the extremes of those bounds bound the extremes.
    """
    kept = np.flatnonzero(~groups["too_small"].to_numpy() & (groups["n"] > 0).to_numpy())
    if len(kept) < 2:
        return {}
    values = _metric_frame_values(groups.iloc[kept])
    n, effective = groups["n"].to_numpy()[kept], groups["effective_n"].to_numpy()[kept]
    successes = groups["successes"].to_numpy()[kept]
    effect = n / effective
    drawn_successes, drawn_n = resampled_groups(outcomes, slicing, kept)

    p, variance, log_variance = _smoothed(successes, n, effect)
    p_star, variance_star, log_variance_star = _smoothed(drawn_successes, drawn_n, effect)
    errors, log_errors = p_star - p, np.log(p_star) - np.log(p)

    method = bootstrap_method("simultaneous over {}")
    over_groups, over_pairs = method.format("groups"), method.format("pairs of groups")

    def estimate(name: str, low: float, high: float, ceiling: float, how: str) -> Estimate:
        value = values[name]
        bounds = max(0.0, min(low, value)), min(ceiling, max(high, value))
        return Estimate(value, *bounds, how, total, "simultaneous")

    q = float(np.quantile((np.abs(errors) / np.sqrt(variance_star)).max(axis=1), LEVEL))
    low, high = p - q * np.sqrt(variance), p + q * np.sqrt(variance)
    q_pairs = float(np.quantile(_largest_pair(errors, variance_star), LEVEL))
    smallest, largest = _extreme_difference(p, variance, q_pairs)
    estimates = {
        "min": estimate("min", 100 * low.min(), 100 * high.min(), 100.0, over_groups),
        "max": estimate("max", 100 * low.max(), 100 * high.max(), 100.0, over_groups),
        "difference": estimate("difference", 100 * smallest, 100 * largest, 100.0, over_pairs),
    }
    if values["max"] > 0:
        q_ratios = float(np.quantile(_largest_pair(log_errors, log_variance_star), LEVEL))
        smallest, largest = _extreme_difference(np.log(p), log_variance, q_ratios)
        estimates["ratio"] = estimate("ratio", float(np.exp(-largest)), float(np.exp(-smallest)), 1.0, over_pairs)
    return estimates


def _metric_frame_values(groups: pd.DataFrame) -> dict[str, float]:
    """fairlearn's aggregates of the groups' accuracies: min, max and difference in percent, ratio as it is."""
    from fairlearn.metrics import MetricFrame, mean_prediction  # takes a second that readers of ledgers need not wait

    # A group goes in as two weighted rows, its successes and its failures, so units may be in several groups.
    weights = np.column_stack([groups["successes"], groups["n"] - groups["successes"]]).ravel()
    frame = MetricFrame(
        metrics=mean_prediction,
        y_true=np.ones(len(weights)),
        y_pred=np.tile([1.0, 0.0], len(groups)),
        sensitive_features=np.repeat(groups.index.to_numpy(), 2),
        sample_params={"sample_weight": weights},
    )
    highest = float(frame.group_max())
    return {
        "min": 100 * float(frame.group_min()),
        "max": 100 * highest,
        "difference": 100 * float(frame.difference(method="between_groups")),
        "ratio": float(frame.ratio(method="between_groups")) if highest > 0 else float("nan"),
    }


def _smoothed(successes: FloatArray, n: FloatArray, effect: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Proportion, its variance, and that of its logarithm, with two successes and two failures added (Agresti & Coull 1998),
    which keeps a group that is all right, or missing from a resample, from having no variance."""
    p = (successes + 2) / (n + 4)
    return p, effect * p * (1 - p) / (n + 4), effect * (1 - p) / (p * (n + 4))


def _largest_pair(errors: FloatArray, variances: FloatArray) -> FloatArray:
    """In each resample (resamples,), the largest |e_i - e_j| / √(v_i + v_j) over pairs of groups (resamples, groups).

    By Cauchy's inequality a pair's square is at most e_i²/v_i + e_j²/v_j. So the groups are paired with all others in
    the order of how far they strayed, until no two that remain can beat the best pair: exact, and mostly a few steps.
    """
    strayed = errors**2 / variances
    order = np.argsort(-strayed, axis=1)
    largest, rows = np.zeros(len(errors)), np.arange(len(errors))
    for rank in range(errors.shape[1]):
        first = order[rows, rank]
        # Pairs of two groups further down the order can't beat this.
        still_open = largest[rows] < 2 * strayed[rows, first]
        rows, first = rows[still_open], first[still_open]
        if len(rows) == 0:
            break
        e, v = errors[rows], variances[rows]
        pick = np.arange(len(rows)), first
        pairs = (e - e[pick][:, None]) ** 2 / (v + v[pick][:, None])
        largest[rows] = np.maximum(largest[rows], pairs.max(axis=1))
    return np.sqrt(largest)


def _extreme_difference(values: FloatArray, variances: FloatArray, q: float) -> tuple[float, float]:
    """Bounds of max - min, where every pair's difference is within q standard errors."""
    differences = values[:, None] - values
    margins = q * np.sqrt(variances[:, None] + variances)
    np.fill_diagonal(margins, 0.0)  # a group doesn't differ from itself
    return max(0.0, float((differences - margins).max())), float((differences + margins).max())


def resampled_groups(outcomes: Outcomes, slicing: Slicing, groups: np.ndarray) -> tuple[FloatArray, FloatArray]:
    """Successes and trials of groups (positions) over bootstrap resamples of the covered units.

    Units with the same groups, successes and trials are alike, so a resample is one multinomial draw of how often
    each kind occurs: the same distribution as drawing units one by one, at a fraction of the work.

    Returns:
        float64 (`intervals.RESAMPLES`, groups) each.
    """
    kinds, counts = _kinds(outcomes, slicing, groups)
    generator, resamples = np.random.default_rng(intervals.SEED), intervals.RESAMPLES
    membership = slicing.membership[kinds][:, groups].astype(np.float64)
    by_successes = sparse.diags_array(outcomes.successes[kinds].astype(np.float64)) @ membership
    by_trials = sparse.diags_array(outcomes.trials[kinds].astype(np.float64)) @ membership
    successes, trials = np.empty((resamples, len(groups))), np.empty((resamples, len(groups)))
    step = max(1, _CHUNK // len(kinds))
    for start in range(0, resamples, step):
        part = slice(start, min(start + step, resamples))
        drawn = generator.multinomial(counts.sum(), counts / counts.sum(), size=part.stop - part.start)
        successes[part], trials[part] = drawn @ by_successes, drawn @ by_trials
    return successes, trials


def _kinds(outcomes: Outcomes, slicing: Slicing, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One unit of each kind among the covered ones, and how many of that kind there are."""
    covered = np.flatnonzero(slicing.covered)
    membership = slicing.membership[covered][:, groups]
    pattern = np.zeros(len(covered), dtype=np.int64)
    # Which groups a unit is in, as a number: the bits of so many groups at a time that the number of different units so
    # far has room beside them. Units in one group at most need no bits: the group says it all.
    for start in range(0, len(groups), _BITS) if not slicing.is_disjoint else ():
        part = membership[:, start : start + _BITS]
        bits = part.astype(np.int64) @ (1 << np.arange(part.shape[1], dtype=np.int64))
        pattern = np.unique(pattern << _BITS | bits, return_inverse=True)[1]
    if slicing.is_disjoint:
        within = np.diff(membership.indptr) > 0
        pattern[within] = membership.indices + 1
    base = int(outcomes.trials.max()) + 1
    key = (pattern * base + outcomes.trials[covered]) * base + outcomes.successes[covered]
    _, first, counts = np.unique(key, return_index=True, return_counts=True)
    return covered[first], counts


# --- searches and published ratios ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class WorstSlices:
    """The slices of many slicings, those that are certainly bad first."""

    table: pd.DataFrame
    """One row a slice that is not too small: `slicing`, `group`, `n`, `units`, `accuracy` (percent), `low` and `high`
    (percent; they hold for all rows and the overall accuracy at once), `gap` (points below overall) and `gap_at_least`
    (points; with the level's confidence every row's gap is at least this). Sorted by `high`."""
    searched: int
    """Slices that were compared."""
    overall: Estimate
    """Accuracy in percent of all units, with the same simultaneous bounds."""


def worst_slices(outcomes: Outcomes, slicings: Sequence[Slicing], *, min_units: int = MIN_UNITS) -> WorstSlices:
    """Rank all slices of all slicings by how bad they are at the least.

    The worst of many slices looks worse than it is, because it was chosen for its bad luck too. Clopper-Pearson bounds
    at a Bonferroni level hold for every slice at once, however slices overlap, and so for the one that a search picks.

    Raises:
        MetricUnavailable: there are no outcomes, or no slice is large enough.
    """
    tables = []
    for slicing in slicings:
        groups = by_group(outcomes, slicing, min_units=min_units).reset_index()
        tables.append(groups[~groups["too_small"]].assign(slicing=slicing.name))
    table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
    if len(table) == 0:
        raise MetricUnavailable(f"No slice has {min_units} samples.")
    overall = totals(outcomes, np.ones(len(outcomes), dtype=bool))
    comparisons = len(table) + 1
    effective = table["effective_n"].to_numpy()
    low, high = multiplicity.clopper_pearson(table["accuracy"] / 100 * effective, effective, comparisons)
    overall_low, overall_high = multiplicity.clopper_pearson(
        overall["accuracy"] / 100 * overall["effective_n"], overall["effective_n"], comparisons
    )
    table = table.assign(
        low=100 * low,
        high=100 * high,
        gap=overall["accuracy"] - table["accuracy"],
        gap_at_least=np.maximum(0.0, 100 * (float(overall_low) - high)),
    ).sort_values(["high", "accuracy", "slicing", "group"], ignore_index=True)
    columns = ["slicing", "group", "n", "units", "accuracy", "low", "high", "gap", "gap_at_least"]
    bounds, n = (100 * float(overall_low), 100 * float(overall_high)), int(overall["n"])
    method = f"Clopper-Pearson, Bonferroni over {comparisons} accuracies"
    whole = Estimate(overall["accuracy"], *bounds, method, n, "clopper-pearson")
    return WorstSlices(table[columns], len(table), whole)


def error_ratio(outcomes: Outcomes, slicing: Slicing) -> dict[str, Estimate]:
    """ImageNet-X's error ratio: each group's error rate over that of all covered units, 1 where the group is average.

    Idrissi et al. 2022, "ImageNet-X: understanding model mistakes with factor of variation annotations",
    arXiv:2211.01866, section 3. The published ratios cover the annotated images that are not prototypes, so `slicing`
    must cover just those. Intervals are bootstrap percentiles; groups without a unit are left out.

    Raises:
        MetricUnavailable: there is no error to compare with.
    """
    groups = by_group(outcomes, slicing)
    overall = totals(outcomes, slicing.covered)
    if overall["successes"] == overall["n"]:
        raise MetricUnavailable("There is no error among the covered samples to compare with.")
    # A group of everything, beside the others, gives the denominator in the same resamples.
    everything = sparse.csr_array(slicing.covered[:, None])
    widened = Slicing(
        slicing.name,
        (*slicing.groups, "everything covered"),
        sparse.csr_array(sparse.hstack([slicing.membership, everything], format="csr")),
        slicing.covered,
    )
    successes, trials = resampled_groups(outcomes, widened, np.arange(len(widened.groups)))
    average = 1 - overall["successes"] / overall["n"]
    method = bootstrap_method("percentile")
    ratios = {}
    for position, (group, row) in enumerate(groups.iterrows()):
        if row["n"] == 0:
            continue
        value = float((1 - row["successes"] / row["n"]) / average)
        # A resample that misses a tiny group, or has no error at all, has no ratio.
        drawn = (trials[:, position] > 0) & (successes[:, -1] < trials[:, -1])
        errors = 1 - successes[drawn, position] / trials[drawn, position]
        resampled = errors / (1 - successes[drawn, -1] / trials[drawn, -1])
        low, high = percentile_interval(value, resampled)
        ratios[str(group)] = Estimate(value, low, high, method, int(row["n"]), "bootstrap")
    return ratios


DISPARITY_UNITS = {"min": "%", "max": "%", "difference": "points", "ratio": None}
"""Units of `Audit.disparity`."""

METRICS = (
    MetricSpec(
        "error-ratio", "Error rate over that of all covered images", higher_is_better=False, range=(0, math.inf)
    ),
    MetricSpec("worst-slices", "Worst slices"),
    MetricSpec("worst-slice-gap", "Gap of the worst slice", unit="points", higher_is_better=False, range=(-100, 100)),
)
