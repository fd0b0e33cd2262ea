"""Slices on a terminal: the worst first, then one table a slicing."""

from __future__ import annotations

from typing import Any

from harness.cli.common import table


def slices_text(ledger: Any) -> list[str]:
    """The ledger's slices as blocks of text; empty where there are none."""
    from harness.cards.slices import certain, slice_results

    results = slice_results(ledger)
    blocks = []
    for where, found in results.worst.items():
        rows = certain(found)
        lines = [
            [row.slicing, row.title, f"{row.accuracy:.1f} %", f"{row.gap:.1f}", f"{row.gap_at_least:.1f}", f"{row.n:,}"]
            for row in rows
        ]
        columns = ["slicing", "group", "top-1", "points below all", "at least", "n"]
        text = table(columns, lines, numeric=frozenset({2, 3, 4, 5}))
        blocks.append(f"Worst slices of {where} (“at least” allows for having searched all of them)\n{text}")
    return blocks + [_view_text(view) for view in results.measured]


def _view_text(view: Any) -> str:
    from harness.cards.slices import against_the_rest, group_of, shown_groups
    from harness.evidence import show_count, show_interval, show_value

    rows = [
        [group_of(item), show_value(item), show_interval(item), show_count(item), against_the_rest(item)]
        for item in shown_groups(view)
    ]
    text = table(["group", "top-1", "interval", "n", "against the rest"], rows, numeric=frozenset({1, 3}))
    lines = [f"{view.where} by {view.title}", text]
    left = len(view.groups) - len(rows)
    if left:
        lines.append(f"{left:,} groups between these: see figures/slices.csv beside the card")
    if view.difference is not None:
        spread = view.difference
        words = f"largest minus smallest: {show_value(spread)} ({show_interval(spread)})"
        lines.append("; ".join(filter(None, [words, view.verdict])))
    if view.too_small:
        lines.append(f"too small to report: {len(view.too_small):,} groups")
    return "\n".join(lines)
