"""What a ledger says about slices, arranged for readers: one view a slicing, findings as sentences, a table of every group.

Reads evidence only. Accuracies come lowest first, since a reader asks where a model fails.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from harness.cards.figures import Figure
from harness.data.catalog import benchmarks
from harness.data.slicings import slicings
from harness.evidence import (
    Evidence,
    EvidenceClass,
    EvidenceKey,
    Ledger,
    show_count,
    show_interval,
    show_value,
    split_prefix,
)
from harness.figures import point, slice_dots
from harness.labels.spaces import LABEL_SPACES

_DISPARITIES = ("difference", "ratio", "min", "max")
_WORST, _WORST_GAP = "worst-slices", "worst-slice-gap"
_MOST_DOTS = 40
_NAMED = 3
"""Groups that a sentence names."""

COLUMNS = (
    "key",
    "benchmark",
    "slicing",
    "group",
    "accuracy",
    "low",
    "high",
    "n",
    "N",
    "gap",
    "p_value",
    "p_holm",
    "p_benjamini_hochberg",
    "detectable",
    "smallest_detectable",
    "note",
)
"""Of the table of every group; accuracies and gaps in percent and points, gap against the rest of the covered images."""


def is_slice(key: str) -> bool:
    """Whether an evidence key is about slices; `imagenet-val@imagenet-a-200.top1` is about a label space."""
    name = EvidenceKey.parse(key)
    return name.slicing not in LABEL_SPACES if name.slice else name.metric in (_WORST, _WORST_GAP)


@dataclass(frozen=True)
class WorstSlice:
    """One row of the search for the worst slices."""

    slicing: str
    title: str
    n: int
    accuracy: float
    """Percent, as the bounds, which hold for all slices that were searched at once."""
    low: float
    high: float
    gap: float
    """Points below the accuracy of all images."""
    gap_at_least: float


@dataclass(frozen=True)
class SlicingView:
    """What is known on one slicing of one set of images."""

    where: str
    """First part of the keys: `imagenet-val`, `imagenet-c/fog/3`."""
    name: str
    title: str
    disparities: dict[str, Evidence]
    """`difference`, `ratio`, `min`, `max`, as far as they have a value."""
    groups: tuple[Evidence, ...]
    """Accuracies with a value, lowest first."""
    too_small: tuple[Evidence, ...]
    error_ratios: tuple[Evidence, ...]
    """Highest first."""
    waiting: Evidence | None
    """Why there are no disparities."""

    @property
    def overall(self) -> float | None:
        """Accuracy in percent over all covered images."""
        return next((_protocol(item).get("overall") for item in self.disparities.values()), None)

    @property
    def waiting_is_pending(self) -> bool:
        return self.waiting is not None and self.waiting.class_ is EvidenceClass.PENDING

    @property
    def difference(self) -> Evidence | None:
        return self.disparities.get("difference")

    @property
    def ratio(self) -> Evidence | None:
        return self.disparities.get("ratio")

    @property
    def verdict(self) -> str | None:
        """That no group differs from the rest, where that is what the data say."""
        spread = self.difference
        if spread is None or _protocol(spread).get("detectable", True):
            return None
        return f"no detectable difference (smallest detectable here: {_protocol(spread)['smallest_detectable']:.1f} points)"

    @property
    def note(self) -> str | None:
        return next((_protocol(item).get("note") for item in (*self.disparities.values(), *self.groups)), None)

    @property
    def detectable(self) -> tuple[Evidence, ...]:
        """Groups that differ detectably from the rest, lowest first."""
        return tuple(item for item in self.groups if comparison(item).get("detectable"))


@dataclass(frozen=True)
class Waiting:
    """Slicings of one set of images that have no numbers, for one reason."""

    where: str
    class_: str
    """`pending` or `not-applicable`."""
    reason: str
    titles: tuple[str, ...]
    command: str | None
    """What would measure them, where that is known."""


def _command_of(views: list[SlicingView]) -> str | None:
    commands = (view.waiting.command for view in views if view.waiting is not None)
    return next(filter(None, commands), None) if views[0].waiting_is_pending else None


@dataclass(frozen=True)
class SliceResults:
    """All that a ledger says on slices."""

    views: tuple[SlicingView, ...]
    worst: dict[str, tuple[WorstSlice, ...]]
    """By set of images."""
    worst_gap: dict[str, Evidence]

    def __bool__(self) -> bool:
        return any(view.groups or view.disparities for view in self.views)

    @property
    def measured(self) -> tuple[SlicingView, ...]:
        return tuple(view for view in self.views if view.groups)

    @property
    def waiting(self) -> tuple[Waiting, ...]:
        """What has no numbers, slicings with one reason together."""
        together: dict[tuple[str, str, str], list[SlicingView]] = {}
        for view in self.views:
            if not view.groups and (item := view.waiting) is not None:
                together.setdefault((view.where, item.class_.value, item.reason or ""), []).append(view)
        return tuple(
            Waiting(where, class_, reason, tuple(view.title for view in views), _command_of(views))
            for (where, class_, reason), views in together.items()
        )


def slice_results(ledger: Ledger) -> SliceResults:
    """The slices of a ledger, in the order of their first evidence."""
    found: dict[tuple[str, str, tuple[str, ...]], list[Evidence]] = {}
    worst: dict[str, tuple[WorstSlice, ...]] = {}
    gaps: dict[str, Evidence] = {}
    for item in ledger:
        key = item.name
        if key.slicing is not None and key.slicing not in LABEL_SPACES:
            protocol = tuple(part for part in key.variants if part not in _DISPARITIES)
            found.setdefault((key.prefix, key.slicing, protocol), []).append(item)
        elif key.metric == _WORST and isinstance(item.value, list):
            rows = ({name: value for name, value in row.items() if name != "key"} for row in item.value)
            worst[key.where] = tuple(WorstSlice(**row) for row in rows)
        elif key.metric == _WORST_GAP and item.class_.has_value:
            gaps[key.where] = item
    views = tuple(_view(where, name, entries) for (where, name, _), entries in found.items())
    return SliceResults(views, worst, gaps)


def _view(where: str, name: str, entries: list[Evidence]) -> SlicingView:
    disparities: dict[str, Evidence] = {}
    groups, small, ratios = [], [], []
    waiting = None
    for item in entries:
        if item.name.group is None:
            if item.class_.has_value:
                disparities[(*item.name.variants, "")[0]] = item
            else:
                waiting = item
        elif item.name.metric == "error-ratio":
            ratios.append(item)
        elif item.class_.has_value:
            groups.append(item)
        else:
            small.append(item)
    told = next((title for item in entries if (title := _protocol(item).get("slicing"))), None)
    return SlicingView(
        where,
        name,
        str(told or _catalog_title(name)),
        disparities,
        tuple(sorted(groups, key=lambda item: item.number)),
        tuple(small),
        tuple(sorted(ratios, key=lambda item: item.number if item.is_number else 0.0, reverse=True)),
        waiting,
    )


def _catalog_title(name: str) -> str:
    """A slicing's title by its name in keys, where no evidence tells it."""
    known = slicings()
    return " × ".join(known[part].title if part in known else part for part in name.split("+"))


def _protocol(item: Evidence) -> dict[str, Any]:
    return item.protocol or {}


def comparison(item: Evidence) -> dict[str, Any]:
    """How a group compares with the rest; empty where it could not be compared."""
    return dict(_protocol(item).get("comparison") or {})


def group_of(item: Evidence) -> str:
    """What a group is called for people."""
    return str(_protocol(item).get("group") or item.name.group)


def where_title(where: str) -> str:
    """A set of images in words."""
    name, condition = split_prefix(where)
    known = benchmarks().get(name)
    title = known.title if known is not None else name
    return f"{title}, {condition.replace('_', ' ')}" if condition else title


# --- sentences ------------------------------------------------------------------------------------------------------


def finding(view: SlicingView) -> str:
    """What one slicing says, as a sentence."""
    if not view.groups:
        assert view.waiting is not None
        return f"{view.title}: {view.waiting.class_.value} ({view.waiting.reason})."
    if view.difference is None:
        items = "; ".join(_phrase(item) for item in view.groups[:_NAMED])
        return f"{view.title}: {items}."
    lowest, highest = view.groups[0], view.groups[-1]
    spread = view.difference
    if view.verdict is not None:
        return f"{view.title}: {view.verdict}, over {len(view.groups)} groups."
    worse = [item for item in view.detectable if comparison(item)["gap"] < 0]
    apart = f"lowest for {_phrase(lowest)}, highest for {_phrase(highest)}; {show_value(spread)} apart"
    apart += f" (95 % interval {show_interval(spread)})" if spread.interval is not None else ""
    if not worse:
        return f"{view.title}: {apart}; no group is detectably below the rest."
    names = ", ".join(group_of(item) for item in worse[:_NAMED])
    more = f" and {len(worse) - _NAMED} more" if len(worse) > _NAMED else ""
    return f"{view.title}: {apart}. Detectably below the rest: {names}{more}."


def _phrase(item: Evidence) -> str:
    return f"{group_of(item)} ({show_value(item)}, {show_interval(item)}, n = {show_count(item)})"


# --- figures --------------------------------------------------------------------------------------------------------


def slice_figures(results: SliceResults, model: str) -> dict[tuple[str, str], Figure]:
    """A figure of each slicing in which some group differs from the rest, by place and name of the slicing."""
    return {
        (view.where, view.name): _figure(view, model)
        for view in results.measured
        if len(view.groups) > 1 and view.detectable and view.overall is not None
    }


def _figure(view: SlicingView, model: str) -> Figure:
    shown = (
        view.groups
        if len(view.groups) <= _MOST_DOTS
        else (*view.groups[: _MOST_DOTS // 2], *view.groups[-_MOST_DOTS // 2 :])
    )
    part = "" if len(shown) == len(view.groups) else f", the lowest and the highest of {len(view.groups):,} groups"
    note = f"{where_title(view.where)}; bars are 95 % intervals; groups that are too small are left out."
    title = f"{model}: top-1 by {view.title}{part}"
    assert view.overall is not None
    svg = slice_dots(
        {f"{group_of(item)}  (n = {item.n:,})": point(item) for item in shown},
        view.overall,
        title=title,
        note=note,
        marked=frozenset(f"{group_of(item)}  (n = {item.n:,})" for item in view.detectable),
    )
    file = f"figures/slices-{view.where.replace('/', '-')}-{view.name}.svg"
    return Figure(file, svg, f"Top-1 accuracy by {view.title}{part}, {where_title(view.where)}")


# --- tables ---------------------------------------------------------------------------------------------------------


def slices_csv(ledger: Ledger) -> str:
    """Every group of every slicing as CSV, too small ones included; empty where there are none."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS, lineterminator="\n")
    writer.writeheader()
    rows = [_row(view, item) for view in slice_results(ledger).views for item in (*view.groups, *view.too_small)]
    writer.writerows(rows)
    return buffer.getvalue() if rows else ""


def _row(view: SlicingView, item: Evidence) -> dict[str, Any]:
    compared = comparison(item)
    interval = item.interval
    return {
        "key": item.key,
        "benchmark": item.name.benchmark,
        "slicing": view.title,
        "group": group_of(item),
        "accuracy": item.value,
        "low": interval.low if interval is not None else None,
        "high": interval.high if interval is not None else None,
        "n": item.n,
        "N": item.N,
        **{name: compared.get(name) for name in COLUMNS if name in compared},
        "note": item.reason,
    }


def certain(rows: tuple[WorstSlice, ...]) -> tuple[WorstSlice, ...]:
    """The slices that are below the whole even when the search is allowed for; the first few where none is."""
    return tuple(row for row in rows if row.gap_at_least > 0) or rows[:_NAMED]


_MOST_GROUPS = 20
_ENDS = 5


def shown_groups(view: SlicingView) -> tuple[Evidence, ...]:
    """The groups a table has room for: all, or the lowest and the highest."""
    if len(view.groups) <= _MOST_GROUPS:
        return view.groups
    return (*view.groups[:_ENDS], *view.groups[-_ENDS:])


def against_the_rest(item: Evidence) -> str:
    """How a group compares with the rest, in few words."""
    compared = comparison(item)
    if not compared:
        return "not compared"
    if compared["detectable"]:
        return f"{compared['gap']:+.1f} points"
    return f"none detectable (< {compared['smallest_detectable']:.1f})"


def pending_only(items: Iterable[Evidence]) -> list[Evidence]:
    """Of the evidence on slices, what waits for a run: not the groups that are too small, nor what can't be compared."""
    waiting = (item for item in items if item.class_ is EvidenceClass.PENDING)
    return [item for item in waiting if item.name.slice is not None and item.name.group is None]
