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
from harness.cards.views import View
from harness.data.catalog import benchmarks
from harness.data.slicings import CLASS, slicings
from harness.evidence import Evidence, EvidenceClass, EvidenceKey, Ledger, show_count, show_interval, show_value
from harness.figures.accuracy import slice_dots
from harness.figures.style import point
from harness.labels.spaces import LABEL_SPACES

_DISPARITIES = ("difference", "ratio", "min", "max")
_WORST, _WORST_GAP = "worst-slices", "worst-slice-gap"
_MOST_DOTS = 40
_NAMED = 5
"""Groups that are named where there are many."""

_COMPARED = ("gap", "p_value", "p_holm", "p_benjamini_hochberg", "detectable", "smallest_detectable")
"""How a group compares with the rest of the covered images, in the table of every group; the gap in points."""


def is_slice(key: str) -> bool:
    """Whether an evidence key is about slices; `imagenet-val@imagenet-a-200.top1` is about a label space."""
    name = EvidenceKey.parse(key)
    return name.slicing not in LABEL_SPACES if name.slice else name.metric in (_WORST, _WORST_GAP)


@dataclass(frozen=True)
class SlicingView:
    """What is known on one slicing of one set of images."""

    where: str
    """First part of the keys: `imagenet-val`, `imagenet-c/fog/3`."""
    name: str
    title: str
    disparities: dict[str, Evidence]
    """`difference`, `ratio`, `min`, `max`, as far as they have a value."""
    groups: list[Evidence]
    """Accuracies with a value, lowest first."""
    too_small: list[Evidence]
    waiting: Evidence | None
    """Why there are no disparities."""
    whole: Evidence | None
    """Accuracy on the whole set."""

    @property
    def overall(self) -> float | None:
        """Accuracy in percent over all covered images."""
        return next((_protocol(item).get("overall") for item in self.disparities.values()), None)

    @property
    def images(self) -> str:
        """The set of images in words; of a part of it how many, and what a reader must know of them."""
        title, item = where_title(self.where), self.whole
        title += f", {show_count(item)}" if item is not None and item.is_partial else ""
        return f"{title}: {item.reason}" if item is not None and item.reason else title

    @property
    def difference(self) -> Evidence | None:
        return self.disparities.get("difference")

    @property
    def verdict(self) -> str | None:
        """That no group differs from the rest, where that is what the data say."""
        return View(self.difference).no_difference if self.difference else None

    @property
    def note(self) -> str | None:
        return next((_protocol(item).get("note") for item in (*self.disparities.values(), *self.groups)), None)

    @property
    def detectable(self) -> list[Evidence]:
        """Groups that differ detectably from the rest, lowest first."""
        return [item for item in self.groups if comparison(item).get("detectable")]

    @property
    def below(self) -> str:
        """The groups that are detectably below the rest, the lowest named."""
        below = [item for item in self.detectable if comparison(item)["gap"] < 0]
        names = [f"{group_of(item)} {show_value(item)} (n = {item.n:,})" for item in below]
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        return ", ".join(names[:_NAMED]) + more if names else "none"


@dataclass(frozen=True)
class SliceResults:
    """All that a ledger says on slices."""

    views: list[SlicingView]
    worst: dict[str, list[dict[str, Any]]]
    """By set of images the rows of the search for the worst slices, as evidence has them: accuracy, gap and bounds in
    percent and points, `gap_at_least` with the search allowed for."""

    def __bool__(self) -> bool:
        return any(view.groups or view.disparities for view in self.views)

    @property
    def measured(self) -> list[SlicingView]:
        return [view for view in self.views if view.groups]

    @property
    def by_class(self) -> list[SlicingView]:
        """Accuracy by class, of few classes: a table that every reader wants."""
        return [view for view in self.measured if view.name == CLASS and len(view.groups) <= _MOST_GROUPS]

    @property
    def folded(self) -> list[SlicingView]:
        return [view for view in self.measured if view not in self.by_class]

    @property
    def waiting(self) -> list[tuple[str, str, str, list[str], str | None]]:
        """What has no numbers, slicings with one reason together: set of images, class, reason, titles, and the command
        that would measure them, where that is known."""
        together: dict[tuple[str, str, str], list[tuple[str, Evidence]]] = {}
        for view in self.views:
            if not view.groups and (item := view.waiting) is not None:
                reason = (view.where, item.class_.value, item.reason or "")
                together.setdefault(reason, []).append((view.title, item))
        found = []
        for (where, class_, why), group in together.items():
            commands = [item.command for _, item in group if item.command and class_ == EvidenceClass.PENDING]
            found.append((where, class_, why, [title for title, _ in group], next(iter(commands), None)))
        return found


def slice_results(ledger: Ledger) -> SliceResults:
    """The slices of a ledger, in the order of their first evidence."""
    found: dict[tuple[str, str, tuple[str, ...]], list[Evidence]] = {}
    worst = {}
    for item in ledger:
        key = item.name
        if key.slicing is not None and key.slicing not in LABEL_SPACES:
            protocol = tuple(part for part in key.variants if part not in _DISPARITIES)
            found.setdefault((key.prefix, key.slicing, protocol), []).append(item)
        elif key.metric == _WORST and isinstance(item.value, list):
            worst[key.where] = item.value
    views = [
        _view(where, name, entries, ledger.measured(f"{where}.top1")) for (where, name, _), entries in found.items()
    ]
    return SliceResults(views, worst)


def _view(where: str, name: str, entries: list[Evidence], sample: Evidence | None) -> SlicingView:
    whole = [item for item in entries if item.name.group is None]
    groups = [item for item in entries if item.name.group is not None and item.name.metric != "error-ratio"]
    known = slicings()
    cataloged = " × ".join(known[part].title if part in known else part for part in name.split("+"))
    return SlicingView(
        where,
        name,
        next((str(title) for item in entries if (title := _protocol(item).get("slicing"))), cataloged),
        {(*item.name.variants, "")[0]: item for item in whole if item.class_.has_value},
        sorted((item for item in groups if item.class_.has_value), key=lambda item: item.number),
        [item for item in groups if not item.class_.has_value],
        next((item for item in reversed(whole) if not item.class_.has_value), None),
        sample,
    )


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
    name, _, condition = where.partition("/")
    known = benchmarks().get(name)
    title = known.title if known is not None else name
    return f"{title}, {condition.replace('_', ' ')}" if condition else title


def phrase(item: Evidence) -> str:
    """A group with its accuracy: `dog, 77.8 % (70.3–83.8, n = 144)`."""
    return f"{group_of(item)}, {show_value(item)} ({show_interval(item)}, n = {show_count(item)})"


# --- figures --------------------------------------------------------------------------------------------------------


def slice_figures(results: SliceResults, model: str) -> dict[tuple[str, str], Figure]:
    """A figure of each slicing in which some group differs from the rest, by place and name of the slicing."""
    return {
        (view.where, view.name): _figure(view, model)
        for view in results.folded
        if len(view.groups) > 1 and view.detectable and view.overall is not None
    }


def _figure(view: SlicingView, model: str) -> Figure:
    shown, part, half = view.groups, "", _MOST_DOTS // 2
    if len(shown) > _MOST_DOTS:
        shown = shown[:half] + shown[-half:]
        part = f", the lowest and the highest of {len(view.groups):,} groups"
    assert view.overall is not None
    svg = slice_dots(
        {f"{group_of(item)}  (n = {item.n:,})": point(item) for item in shown},
        view.overall,
        title=f"{model}: top-1 by {view.title}{part}",
        note=f"{view.images}; bars are 95 % intervals; groups that are too small are left out.",
        covered=view.difference.n if view.difference is not None else None,
        marked=frozenset(f"{group_of(item)}  (n = {item.n:,})" for item in view.detectable),
    )
    file = f"figures/slices-{view.where.replace('/', '-')}-{view.name}.svg"
    return Figure(file, svg, f"Top-1 accuracy by {view.title}{part}, {where_title(view.where)}")


# --- tables ---------------------------------------------------------------------------------------------------------


def slices_csv(results: SliceResults) -> str:
    """Every group of every slicing as CSV, too small ones included, accuracies in percent; empty where there are none."""
    rows = [_row(view, item) for view in results.views for item in (*view.groups, *view.too_small)]
    buffer = io.StringIO()
    if rows:
        writer = csv.DictWriter(buffer, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return buffer.getvalue()


def _row(view: SlicingView, item: Evidence) -> dict[str, Any]:
    compared = comparison(item)
    return {
        "key": item.key,
        "benchmark": item.name.benchmark,
        "slicing": view.title,
        "group": group_of(item),
        "accuracy": item.value,
        "low": item.interval.low if item.interval is not None else None,
        "high": item.interval.high if item.interval is not None else None,
        "n": item.n,
        "N": item.N,
        **{name: compared.get(name) for name in _COMPARED},
        "note": item.reason,
    }


def certain(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The slices that are below the whole even when the search is allowed for; the first few where none is."""
    return [row for row in rows if row["gap_at_least"] > 0] or rows[:_NAMED]


_MOST_GROUPS = 20
_ENDS = 5


def shown_groups(view: SlicingView) -> list[Evidence]:
    """The groups a table has room for: all, or the lowest and the highest."""
    return view.groups if len(view.groups) <= _MOST_GROUPS else view.groups[:_ENDS] + view.groups[-_ENDS:]


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
