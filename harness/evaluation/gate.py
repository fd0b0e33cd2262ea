"""The gate for retrained, quantised or upgraded models: is the new one worse than the baseline by more than is allowed?

Each limit is a non-inferiority test, paired on stored predictions where both sides have them, else made from the two ledgers'
intervals. Passing and failing are corrected by Holm over all limits, each apart, so that a gate with many of them raises a
false alarm, or lets a loss through, in at most 5 % of the runs. What the data can't settle is undecided.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import reduce
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from scipy import stats

from harness.errors import ExitCode, MissingInputError, UsageError, nearest
from harness.evaluation.common_samples import ComparedSet, common_ids, protocol_differences
from harness.evaluation.comparing import Compared, compare
from harness.evaluation.reader import StoredModel, stored_model
from harness.evaluation.slice_requests import Request
from harness.evaluation.suites import SliceOptions
from harness.evidence import Evidence, EvidenceKey, Ledger
from harness.metrics.intervals import LEVEL, Z, newcombe
from harness.metrics.multiplicity import clopper_pearson, holm
from harness.metrics.noninferiority import deciding_n, paired_score, share_p_values, unpaired_score
from harness.metrics.paired import PairedCounts, paired_counts, paired_interval
from harness.metrics.registry import metrics
from harness.metrics.sampling import mce_weights
from harness.metrics.types import FloatArray
from harness.parsing.yaml import read_yaml
from harness.settings import Settings

NEW, BASELINE = "new", "baseline"
_EXAMPLES = 20
"""Flipped samples that are listed."""


class Verdict(StrEnum):
    """What the data say about one limit."""

    PASS = "pass"
    FAIL = "fail"
    UNDECIDED = "undecided"
    MISSING = "missing"
    """One side has no value, or the two can't be compared: fails, as nothing was shown."""


class Policy(BaseModel):
    """What is allowed; the YAML form has these keys with hyphens."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=lambda name: name.replace("_", "-"))

    max_drop: Mapping[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] = {}
    """By evidence key how much worse it may be, in the metric's own unit (percentage points of accuracy or mCE). A key may
    hold `*`; without a metric, top1 is meant: `imagenet-val@imagenet-x/*`."""
    max_flips: str | None = None
    """Share of samples that were right and are wrong now, in each whole benchmark named in `max_drop`: `1%`."""
    strict: bool = False
    """Whether undecided fails."""
    allow_different_protocols: bool = False


@dataclass(frozen=True)
class Flip:
    """A sample that the baseline gets right and the new model wrong; classes are indices in the benchmark's label space."""

    benchmark: str
    sample_id: str
    label: int
    new_answer: int


@dataclass(frozen=True)
class Checked:
    """One limit, and what the data say about it."""

    key: str
    """The evidence; `imagenet-val.flips` for a share of flipped samples."""
    limit: float
    unit: str | None
    verdict: Verdict
    baseline: float | None = None
    new: float | None = None
    worse: float | None = None
    """How much worse it got, below 0 where it got better, with its 95 % interval `low` to `high`."""
    low: float | None = None
    high: float | None = None
    n: int | None = None
    """Samples compared; of two ledgers the smaller number."""
    paired: bool = False
    p_pass: float | None = None
    """That it is worse by the limit or more; corrected, as `p_fail`."""
    p_fail: float | None = None
    """That it is worse by the limit or less."""
    deciding_n: int | None = None
    """Where undecided: samples that would decide with a chance of 80 %, if what was seen is true; None where none would."""
    reason: str | None = None
    """Why nothing could be compared, or what a reader must know."""


@dataclass(frozen=True)
class Check:
    """What a check gave."""

    new: str
    baseline: str
    """What was compared: names, with weights."""
    checked: tuple[Checked, ...]
    flips: tuple[Flip, ...]
    """The first flipped samples of each benchmark, where flips are limited."""
    notes: tuple[str, ...]
    strict: bool

    @property
    def counts(self) -> Counter[Verdict]:
        return Counter(row.verdict for row in self.checked)

    @property
    def exit_code(self) -> ExitCode:
        failed = self.counts[Verdict.FAIL] + self.counts[Verdict.MISSING]
        if failed or (self.strict and self.counts[Verdict.UNDECIDED]):
            return ExitCode.CHECK_FAILED
        return ExitCode.INCOMPLETE if self.counts[Verdict.UNDECIDED] else ExitCode.DONE

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return asdict(self) | {"exit_code": int(self.exit_code), "test": "non-inferiority, one-sided, Holm at 5 %"}


def read_policy(path: Path) -> Policy:
    """A policy file. Raises HarnessError for a fault, with the nearest known key."""
    try:
        loaded = read_yaml(path).data
        return Policy.model_validate(loaded if loaded is not None else {}, by_alias=True)
    except ValidationError as error:
        first = min(error.errors(), key=lambda fault: fault["type"] != "extra_forbidden")
        known = [str(entry.alias) for entry in Policy.model_fields.values()]
        where = ".".join(map(str, first["loc"])) or "the file as a whole"
        close = nearest(where, known)
        remedy = f"Did you mean {close[0]}?" if close and close[0] != where else f"A policy has: {', '.join(known)}."
        raise UsageError(f"The policy {path}: {where}: {first['msg']}.", remedy=remedy) from error


def check_against(
    new: StoredModel, baseline: StoredModel, policy: Policy, settings: Settings, report: Callable[[str], None]
) -> Check:
    """Hold a model's evidence against a baseline's.

    Args:
        report: takes messages about damaged shards.

    Raises:
        HarnessError: no limit, a limit that can't be read, or a key that the baseline doesn't know.
    """
    share = _share(policy.max_flips)
    limits = _limits(policy.max_drop, baseline)
    new, baseline = replace(new, name=NEW), replace(baseline, name=BASELINE)
    compared = _compared(new, baseline, limits, settings, report)
    rows = [_row(key, limit, new.ledger, baseline.ledger, compared, policy) for key, limit in limits.items()]
    flips: list[Flip] = []
    if share is not None:
        for name in dict.fromkeys(EvidenceKey.parse(key).benchmark for key in limits):
            found = next((s for s in compared.sets if s.where == name), None) if compared else None
            rows.append(_flip_row(name, share, found))
            flips += _flipped(found)[:_EXAMPLES] if found is not None else []
    told = tuple(compared.notes) if compared else ()
    if len(names := {str(side.ledger.model.get("reference")) for side in (new, baseline)}) > 1:
        told += (f"The baseline is of another model: {' and '.join(sorted(names))}.",)
    return Check(_title(new), _title(baseline), tuple(_decided(rows)), tuple(flips), told, policy.strict)


def side_of(reference: str | Path | Ledger, home: Path) -> StoredModel:
    """One side of a check: a ledger, a ledger's file, or a model that the store knows.

    Raises:
        HarnessError: the file is no ledger, or the store has no such model.
    """
    if isinstance(reference, Ledger):
        return StoredModel(str(reference.model.get("name", "")), reference, home)
    path = Path(reference)
    return side_of(Ledger.load(path), home) if path.suffix == ".json" else stored_model(str(reference), home)


# --- what is asked ---


def _share(text: str | None) -> float | None:
    """`1%` as 0.01."""
    if text is None:
        return None
    number, percent, rest = text.partition("%")
    try:
        value = float(number) / 100
    except ValueError:
        value = float("nan")
    if not percent or rest.strip() or not 0 < value < 1:
        raise UsageError(f"A share of flipped samples is a percentage such as 1%, not '{text}'.", remedy="Write 1%.")
    return value


def _limits(wanted: Mapping[str, float], baseline: StoredModel) -> dict[str, float]:
    """Limits by evidence key, patterns spelled out; a key by itself goes before a pattern."""
    if not wanted:
        raise UsageError(
            "Nothing is limited, so everything would pass.",
            remedy="Say what may drop: --max-drop imagenet-val.top1=0.5",
        )
    known = {item.key: item for item in baseline.ledger if item.name.metric in metrics()}
    if not known:
        raise MissingInputError(
            f"The baseline {baseline.name} has no evidence of any benchmark.",
            remedy="Run the suite on it first, or give another ledger.",
        )
    found: dict[str, float] = {}
    for pattern, limit in sorted(wanted.items(), key=lambda entry: "*" in entry[0]):
        full = _with_metric(pattern)
        keys = [key for key, item in known.items() if fnmatchcase(key, full) and (key == full or item.is_number)]
        if not keys:
            close = nearest(full, known)
            remedy = f"Did you mean {' or '.join(close)}?" if close else f"It has, for example, {next(iter(known))}."
            raise UsageError(f"The baseline has no evidence called {pattern}.", remedy=remedy)
        for key in keys:
            if metrics()[EvidenceKey.parse(key).metric].higher_is_better is None:
                raise UsageError(f"Of {key} neither more nor less is better, so it can't drop.", remedy="Leave it out.")
            found.setdefault(key, limit)
    return found


def _with_metric(pattern: str) -> str:
    try:
        EvidenceKey.parse(pattern.replace("*", "x"))
    except ValueError:
        return f"{pattern}.top1"
    return pattern


def _title(model: StoredModel) -> str:
    weights = next((item.fingerprints.weights for item in model.ledger if item.fingerprints.weights), "")
    known = f" (weights {weights[:12]})" if weights and not weights.startswith("imported-") else ""
    return f"{model.ledger.model.get('name', model.name)}{known}"


# --- comparing ---


def _compared(
    new: StoredModel,
    baseline: StoredModel,
    limits: Mapping[str, float],
    settings: Settings,
    report: Callable[[str], None],
) -> Compared | None:
    """Both on the samples that both have predictions of; None where there are none."""
    names = [EvidenceKey.parse(key) for key in limits]
    slicings = dict.fromkeys((name.slicing,) for name in names if name.slicing)
    request = Request(tuple(slicings), SliceOptions()) if slicings else None
    only = tuple(dict.fromkeys(name.benchmark for name in names))
    try:
        return compare((new, baseline), settings, report, only=only, slices=request, allow_different_protocols=True)
    except MissingInputError:
        return None


@dataclass(frozen=True)
class _Tested:
    """A limit before correction."""

    row: Checked
    score: float = 0.0
    p_values: tuple[float, float] = field(default=(float("nan"), float("nan")))


def _row(key: str, limit: float, new: Ledger, baseline: Ledger, compared: Compared | None, policy: Policy) -> _Tested:
    name = EvidenceKey.parse(key)
    spec = metrics()[name.metric]
    row = Checked(key, limit, spec.unit, Verdict.MISSING)
    ours, theirs = new.get(key), baseline.get(key)
    for who, item in ((NEW, ours), (BASELINE, theirs)):
        if item is not None and not item.is_number:
            return _Tested(replace(row, reason=f"no value of the {who} model: {item.class_.value}, {item.reason}"))
    if ours is None or theirs is None:  # limits are the baseline's keys
        return _Tested(replace(row, reason="the new model has no such evidence"))
    sign = 1 if spec.higher_is_better else -1
    row = replace(row, new=ours.number, baseline=theirs.number, n=min(filter(None, (ours.n, theirs.n)), default=None))
    counts = _counts(name, compared)
    words = _differences(name, ours, theirs, compared if counts else None)
    if words and not policy.allow_different_protocols:
        return _Tested(replace(row, reason=f"different protocols: {'; '.join(words)}"))
    row = replace(row, reason="; ".join(words) or None)
    if counts is not None:
        n, right = int(counts.n[0]), [int((counts.both + only)[0]) for only in (counts.only_first, counts.only_other)]
        low, high = (float(bound[0]) for bound in paired_interval(counts))
        row = replace(row, paired=True, new=100 * right[0] / n, baseline=100 * right[1] / n, n=n)
        row = replace(row, worse=-float(counts.difference[0]), low=-high, high=-low)
        return _scored(row, float(paired_score(counts, limit / 100)[0]))
    if (per_image := _mce_by_image(name, compared)) is not None:
        n, worse = len(per_image), float(per_image.mean())
        error = float(per_image.std(ddof=1)) / np.sqrt(n) if n > 1 else 0.0
        row = replace(row, paired=True, n=n, worse=worse, low=worse - Z * error, high=worse + Z * error)
        return _scored(row, (limit - worse) / error if error > 0 else 0.0)
    if ours.interval is None or theirs.interval is None or row.n is None:
        return _Tested(
            replace(row, reason="one of the values has no interval, so nothing can be said of their difference")
        )
    first, other = _better_up(ours, sign), _better_up(theirs, sign)
    below, above = (float(bound) for bound in newcombe(first, other))
    worse = other[0] - first[0]
    return _scored(
        replace(row, worse=worse, low=worse - above, high=worse + below), unpaired_score(first, other, limit, Z)
    )


def _counts(name: EvidenceKey, compared: Compared | None) -> PairedCounts | None:
    """The outcomes of both models on the same samples, where a key's value is a share of them."""
    if compared is None or name.variant is not None:
        return None
    if name.metric == "top5":
        five = next((s.in_five for s in compared.sets if s.where == name.where), {})
        return paired_counts(five[NEW], five[BASELINE]) if len(five) == 2 else None
    found = next((c for c in compared.comparisons if c.where == name.where and name.metric == "top1"), None)
    cells = (found.both, found.only_first, found.only_other, found.neither) if found is not None else ()
    return PairedCounts(*(np.array([count]) for count in cells)) if cells else None


def _mce_by_image(name: EvidenceKey, compared: Compared | None) -> FloatArray | None:
    """How much each image adds to the loss in mCE, in points (n,): its errors in all cells, weighted as mCE weights them."""
    weights = mce_weights()
    cells = {s.condition: s for s in compared.sets if s.benchmark.name == name.benchmark} if compared else {}
    asked = [(cells.get(f"{corruption}/{severity}"), w) for (corruption, severity), w in weights.items()]
    if name.metric != "mce" or name.variant is not None or any(cell is None for cell, _ in asked):
        return None
    found = [(cell, weight) for cell, weight in asked if cell is not None]
    indexes = [pd.Index(cell.sample_ids, dtype=object) for cell, _ in found]
    ids = reduce(common_ids, indexes)
    lost = np.zeros(len(ids))
    for (cell, weight), index in zip(found, indexes, strict=True):
        at = index.get_indexer(ids)
        lost += weight * (cell.correct[BASELINE][at].astype(float) - cell.correct[NEW][at])
    return lost if len(ids) else None


def _differences(name: EvidenceKey, ours: Evidence, theirs: Evidence, compared: Compared | None) -> list[str]:
    if compared is not None:
        return [words for prefix, words in compared.differences if prefix == name.prefix]
    words = protocol_differences({NEW: ours.protocol or {}, BASELINE: theirs.protocol or {}})
    if ours.N != theirs.N:
        words.append(f"the benchmark has {ours.N} samples for one and {theirs.N} for the other")
    whole = all(item.n == item.N and "imported" not in (item.protocol or {}) for item in (ours, theirs))
    if whole and len({item.fingerprints.data for item in (ours, theirs)} - {None}) > 1:
        words.append("the images of the benchmark are others, as of another version")
    return words


def _better_up(item: Evidence, sign: int) -> tuple[float, float, float]:
    """Value and bounds so that more is better, the bounds of 95 %."""
    assert item.interval is not None
    scale = Z / float(stats.norm.ppf((1 + item.interval.level) / 2))
    low, high = (item.number + scale * (bound - item.number) for bound in (item.interval.low, item.interval.high))
    return (item.number, low, high) if sign > 0 else (-item.number, -high, -low)


def _scored(row: Checked, score: float) -> _Tested:
    return _Tested(row, score, (float(stats.norm.sf(score)), float(stats.norm.cdf(score))))


def _flipped(found: ComparedSet) -> list[Flip]:
    lost = np.flatnonzero(found.correct[BASELINE] & ~found.correct[NEW])
    return [
        Flip(found.where, str(found.sample_ids[at]), int(found.label[at]), int(found.answers[NEW][at])) for at in lost
    ]


def _flip_row(name: str, share: float, found: ComparedSet | None) -> _Tested:
    row = Checked(f"{name}.flips", 100 * share, "%", Verdict.MISSING)
    if found is None:
        return _Tested(replace(row, reason="needs stored predictions of both on the same samples"))
    count, n = len(_flipped(found)), len(found.sample_ids)
    low, high = (100 * float(bound) for bound in clopper_pearson(count, n))
    row = replace(row, paired=True, n=n, worse=100 * count / n, low=low, high=high)
    score = (share - count / n) / np.sqrt(share * (1 - share) / n)
    return _Tested(row, float(score), share_p_values(count, n, share))


def _decided(rows: Sequence[_Tested]) -> Iterator[Checked]:
    """With verdicts, each direction corrected over all limits that could be tested."""
    passing, failing = (holm(np.array([row.p_values[at] for row in rows])) for at in (0, 1))
    alpha, tested = 1 - LEVEL, max(int(np.isfinite(passing).sum()), 1)
    for tried, p_pass, p_fail in zip(rows, passing.tolist(), failing.tolist(), strict=True):
        row = tried.row
        if np.isnan(p_pass):
            yield row
            continue
        verdict = Verdict.PASS if p_pass <= alpha else Verdict.FAIL if p_fail <= alpha else Verdict.UNDECIDED
        needed = None
        if verdict is Verdict.UNDECIDED and row.n:
            needed = deciding_n(tried.score, row.n, alpha / tested)
        yield replace(row, verdict=verdict, p_pass=p_pass, p_fail=p_fail, deciding_n=needed)
