"""Results on a terminal: aligned columns, a ledger as a table, slices with the worst first."""

from __future__ import annotations

from typing import Any


def table(columns: list[str], rows: list[list[str]], *, numeric: frozenset[int] = frozenset()) -> str:
    """Aligned columns for a terminal or a file; the same text everywhere."""
    widths = [max(len(row[i]) for row in [columns, *rows]) for i in range(len(columns))]

    def line(cells: list[str]) -> str:
        padded = (
            c.rjust(w) if i in numeric else c.ljust(w) for i, (c, w) in enumerate(zip(cells, widths, strict=True))
        )
        return "  ".join(padded).rstrip()

    return "\n".join([line(columns), "  ".join("─" * w for w in widths), *(line(row) for row in rows)])


_MOST_CELLS = 12


def evidence_table(ledger: Any) -> str:
    from harness.cards.slices import is_slice, pending_only
    from harness.evidence import show_count, show_interval, show_value

    plain = [item for item in ledger if not is_slice(item.key)]
    cells = [item for item in plain if item.value is not None and item.key.count("/") >= 1]
    hidden = set(map(id, cells)) if len(cells) > _MOST_CELLS else set()
    measured = [item for item in plain if item.value is not None and id(item) not in hidden]
    waiting = [item for item in plain if item.value is None] + pending_only(ledger)
    rows = [[i.key, i.class_.value, show_value(i), show_interval(i), show_count(i)] for i in measured]
    parts = []
    if rows:
        parts.append(table(["evidence", "class", "value", "interval", "n"], rows, numeric=frozenset({2, 4})))
    if hidden:
        parts.append(f"and {len(hidden)} numbers on single corruptions: see the card")
    parts += slices_text(ledger)
    if waiting:
        reasons: dict[tuple[str, str], list[str]] = {}
        for item in waiting:
            reasons.setdefault((item.class_.value, item.reason), []).append(item.key)
        parts.append(
            "\n".join(f"{name}: {', '.join(_shorten(keys))}\n    {why}" for (name, why), keys in reasons.items())
        )
    return "\n\n".join(parts)


def _shorten(names: list[str], most: int = 4) -> list[str]:
    return names if len(names) <= most else [*names[: most - 1], f"… {len(names) - most + 1} more"]


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
