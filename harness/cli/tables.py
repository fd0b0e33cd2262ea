"""Results on a terminal: aligned columns, a ledger as a table, slices with the worst first, a plan, a comparison."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from harness.cards.slices import SlicingView
    from harness.evaluation.comparing import Compared, Comparison
    from harness.evaluation.gate import Check
    from harness.evaluation.plan import Condition
    from harness.evidence import Ledger
    from harness.export.evaluation import PlannedRun
    from harness.hub.plan import PushPlan


_WIDEST = 70
"""Characters of a cell on a terminal; JSON has the whole."""


def clipped(cell: str) -> str:
    """A cell that leaves room for others."""
    return cell if len(cell) <= _WIDEST else f"{cell[: _WIDEST - 1]}…"


def table(columns: list[str], rows: list[list[str]], *, numeric: frozenset[int] = frozenset()) -> str:
    """Aligned columns for a terminal or a file; the same text everywhere."""
    widths = [max(len(row[i]) for row in [columns, *rows]) for i in range(len(columns))]

    def line(cells: list[str]) -> str:
        padded = (
            c.rjust(w) if i in numeric else c.ljust(w) for i, (c, w) in enumerate(zip(cells, widths, strict=True))
        )
        return "  ".join(padded).rstrip()

    return "\n".join([line(columns), "  ".join("─" * w for w in widths), *(line(row) for row in rows)])


def frame_table(frame: pd.DataFrame) -> str:
    """A frame of text; all columns but the first two are aligned to the right."""
    return table(list(frame.columns), frame.to_numpy().tolist(), numeric=frozenset(range(2, frame.shape[1])))


def number(value: float | str | None) -> str:
    """Four significant digits, or a dash."""
    if value is None:
        return "—"
    if isinstance(value, float):
        return f"{float(f'{value:.4g}'):,.10g}"
    return f"{value:,}" if isinstance(value, int) else value


# --- a ledger ---------------------------------------------------------------------------------------------------------

_MOST_CELLS = 12


def evidence_table(ledger: Ledger) -> str:
    from harness.cards.slices import is_slice, pending_only
    from harness.evidence import show_count, show_interval, show_value

    plain = [item for item in ledger if not is_slice(item.key)]
    waiting = [item for item in plain if item.value is None] + pending_only(ledger)
    measured = [item for item in plain if item.value is not None]
    attacked = [item for item in measured if item.name.metric == "robust-accuracy" and not item.name.variant]
    beside = [item for item in measured if any(v.startswith(("minus-", "shuffled-")) for v in item.name.variants)]
    whole = [item for item in measured if (item.name.condition is None and item not in beside) or item in attacked]
    hidden = len(measured) - len(whole)
    shown = whole if hidden > _MOST_CELLS else measured
    rows = [[i.key, i.class_.value, clipped(show_value(i)), show_interval(i), show_count(i)] for i in shown]
    parts = []
    if rows:
        parts.append(table(["evidence", "class", "value", "interval", "n"], rows, numeric=frozenset({2, 4})))
    if shown is whole:
        parts.append(f"and {hidden} more numbers: see evidence.json")
    parts += slices_text(ledger)
    if waiting:
        reasons: dict[tuple[str, str], list[str]] = {}
        for item in waiting:
            reasons.setdefault((item.class_.value, item.reason or ""), []).append(item.key)
        parts.append(
            "\n".join(f"{name}: {', '.join(_shorten(keys))}\n    {why}" for (name, why), keys in reasons.items())
        )
    return "\n\n".join(parts)


def _shorten(names: list[str], most: int = 4) -> list[str]:
    return names if len(names) <= most else [*names[: most - 1], f"… {len(names) - most + 1} more"]


def slices_text(ledger: Ledger) -> list[str]:
    """The ledger's slices as blocks of text; empty where there are none."""
    from harness.cards.slices import certain, slice_results

    results = slice_results(ledger)
    blocks = []
    for where, found in results.worst.items():
        forms = ("{slicing}", "{title}", "{accuracy:.1f} %", "{gap:.1f}", "{gap_at_least:.1f}", "{n:,}")
        lines = [[form.format(**row) for form in forms] for row in certain(found)]
        columns = ["slicing", "group", "top-1", "points below all", "at least", "n"]
        text = table(columns, lines, numeric=frozenset({2, 3, 4, 5}))
        blocks.append(f"Worst slices of {where} (“at least” allows for having searched all of them)\n{text}")
    return blocks + [_view_text(view) for view in results.measured]


def _view_text(view: SlicingView) -> str:
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
        count = len(view.too_small)
        lines.append(f"too small to report: {count:,} group{'s' if count > 1 else ''}")
    return "\n".join(lines)


# --- a plan -----------------------------------------------------------------------------------------------------------


def plan_text(planned: PlannedRun) -> str:
    made, cost = planned.plan, planned.cost
    state = made.model
    lines = [f"Suite  {made.suite.name}: {made.suite.title}", f"Model  {state.spec.title} ({state.spec.reference})"]
    if state.identity is not None:
        known = state.identity
        lines.append(f"       weights {known.weights[:16]}, {known.outputs:,} outputs ({known.label_space})")
        lines.append(f"       {known.preprocessing.describe()}")
    elif state.files is not None:
        lines.append("       weights are here; fingerprint and labels are checked when it is first loaded")
        if state.spec.preprocessing is not None:
            lines.append(f"       {state.spec.preprocessing.describe()}")
    else:
        lines.append(f"       missing: {state.missing}")
    rows = []
    for group in _alike(made.conditions):
        c, count = group[0], len(group)
        size = c.benchmark.size  # 0 before a data set of one's own has been opened
        images = f"{c.images or c.published_images(made.settings):,} of {size:,}" if size else "?"
        stored = "?" if c.stored is None else f"{c.stored:,}"
        title = c.title if count == 1 else f"{c.benchmark.name} ({count} conditions, each:)"
        rows.append([title, _data_state(c), images, stored, str(c.location or "")])
    rows += [[b.name, f"scored from {b.scored_from}", "", "", ""] for b in made.scored]
    if made.suite.slicings:
        lines.append(f"       sliced by: {', '.join(' × '.join(names) for names in made.suite.slicings)}")
    if made.suite.measurements:
        lines.append(f"       measured of the model itself: {', '.join(made.suite.measurements)}")
        if state.files is None and state.spec.architecture is not None:
            lines.append("       with random weights, unless they come: size and speed follow from the architecture")
    lines.append("")
    if rows:
        lines += [table(["condition", "data", "images", "stored", "where"], rows, numeric=frozenset({2, 3})), ""]
    told = dict.fromkeys(str(c.missing) for c in made.conditions if c.missing and str(c.missing) != str(state.missing))
    lines += [f"Missing: {why}" for why in told]
    lines += [f"Note: {note}" for note in dict.fromkeys(n for c in made.conditions for n in c.notes)]
    lines += [f"{sample}." for sample in cost.samples]
    if cost.mce_half_width is not None:
        lines.append(
            f"Corruption cells have {cost.base_images:,} base images: mCE's 95 % interval reaches ± {cost.mce_half_width:.1f} "
            f"points at most (--corruption-images changes both time and width)."
        )
    if made.suite.measurements:
        lines.append(
            f"Measurements: {_at_most(cost.measuring_seconds)} (each has a time limit of "
            f"{made.settings.seconds:g} s, --seconds; calls that take longer come on top)."
        )
        if not made.conditions:
            return "\n".join(lines)
    if any(c.missing is not None and not c.benchmark.size for c in made.conditions):
        lines.append("How much there is to run is known once nothing is missing.")
        return "\n".join(lines)
    lines.append(
        f"To run: {cost.images:,} images. Time: {cost.time_text}. Disk for predictions: about {cost.disk_text}."
    )
    lines += [cost.work_text] if cost.work_text else []
    if cost.missing_images:
        lines.append(f"With what is missing: {cost.missing_images:,} images more{cost.missing_time_text}.")
    return "\n".join(lines)


def _at_most(seconds: float) -> str:
    if not seconds:
        return "a few seconds"
    return f"at most about {seconds:.0f} s" if seconds < 90 else f"at most about {seconds / 60:.0f} min"


def _data_state(condition: Condition) -> str:
    if condition.missing is not None:
        return "missing"
    return "download" if condition.to_fetch and condition.images is None else "here"


def _alike(conditions: Sequence[Condition]) -> list[list[Condition]]:
    """Conditions of one benchmark that are in the same state, so that 95 corruption cells take one line."""
    groups: dict[tuple[object, ...], list[Condition]] = {}
    for c in conditions:
        groups.setdefault((c.benchmark.name, _data_state(c), c.images, c.stored), []).append(c)
    return list(groups.values())


# --- a comparison -----------------------------------------------------------------------------------------------------


def comparison_text(compared: Compared, output_format: str) -> str:
    """A comparison as a table for a terminal, as Markdown, CSV or JSON."""
    if output_format == "json":
        return json.dumps(compared.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)
    if output_format == "csv":
        return str(compared.frame().to_csv(index=False))
    if compared.decisions:
        return "\n\n".join(map(str, compared.decisions))
    columns, rows = _main_rows(compared)
    if output_format == "table":
        numeric = frozenset(i for i, name in enumerate(columns) if name in _NUMERIC)
        return "\n\n".join([table(columns, rows, numeric=numeric), *_below(compared)])
    lines = ["| " + " | ".join(columns) + " |"]
    lines.append("| " + " | ".join("---:" if name in _NUMERIC else "---" for name in columns) + " |")
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n\n" + "\n\n".join(_below(compared)) + "\n"


_NUMERIC = frozenset({"n", "A", "B", "A − B", "p (Holm)", "top-1", "rank", "only A right", "only B right"})


def _main_rows(compared: Compared) -> tuple[list[str], list[list[str]]]:
    """One row a comparison for two models; for more, each benchmark's models by rank."""
    if len(compared.models) == 2:
        columns = ["on", "n", "A", "B", "A − B", "95 % interval", "only A right", "only B right", "p (Holm)", "result"]
        return columns, [_row(c) for c in compared.comparisons]
    from harness.evidence import decimals_for

    columns = ["on", "n", "rank", "model", "top-1", "95 % interval", "letters"]
    n_of = {s.where: len(s.sample_ids) for s in compared.sets}
    rows = []
    for where, placed in compared.ranking.items():
        for p in placed:
            rank = str(p.best_rank) if p.best_rank == p.worst_rank else f"{p.best_rank}–{p.worst_rank}"
            decimals = decimals_for((p.high - p.low) / 2, "%")
            interval = f"{p.low:.{decimals}f}–{p.high:.{decimals}f}"
            rows.append([where, f"{n_of[where]:,}", rank, p.model, f"{p.accuracy:.{decimals}f}", interval, p.letters])
    return columns, rows


def _row(c: Comparison) -> list[str]:
    from harness.evidence import decimals_for

    decimals = decimals_for((c.high - c.low) / 2, "%")
    return [
        c.where,
        f"{c.n:,}",
        f"{c.first_accuracy:.{decimals}f}",
        f"{c.other_accuracy:.{decimals}f}",
        f"{c.difference:+.{decimals}f}",
        f"{c.low:+.{decimals}f} to {c.high:+.{decimals}f}",
        f"{c.only_first:,}",
        f"{c.only_other:,}",
        "<0.001" if c.p_holm < 0.001 else f"{c.p_holm:.3f}",
        c.verdict,
    ]


def _below(compared: Compared) -> list[str]:
    """What stands below the table: who is who, agreement, how it was made, what a reader must know."""
    from harness.metrics.paired import METHOD

    whole = sum(c.whole for c in compared.comparisons)
    made = (
        f"Accuracies and differences are in percent and points. Intervals of differences: {METHOD}. p: McNemar's exact test, "
        f"corrected by Holm over {whole} comparison(s) of whole benchmarks"
    )
    made += f", and apart over {parts} of their parts." if (parts := len(compared.comparisons) - whole) else "."
    lines = []
    if len(compared.models) == 2:
        lines.append(f"A: {compared.models[0]}, B: {compared.models[1]}")
        for (_, _, where), found in compared.agreements.items():
            kappa = "" if found.error_consistency is None else f", error consistency κ {found.error_consistency:.2f}"
            lines.append(
                f"{where}: same answer on {found.same_answer:.1f} % of images, both right or both wrong on "
                f"{found.same_outcome:.1f} %{kappa}"
            )
    else:
        made += (
            " Models that share a letter can't be told apart; a rank interval holds the ranks that the tests leave open. "
            "Every pair with its difference: --format csv."
        )
    return [*lines, *map(str, compared.means), made, *compared.notes, *compared.missing]


# --- a check against a baseline ---------------------------------------------------------------------------------------


def check_text(check: Check, output_format: str) -> str:
    """A check as a table for people, Markdown or JUnit XML."""
    from harness.export.checks import HEADINGS, cells, check_junit, check_markdown, remark, summary

    if output_format != "table":
        return check_junit(check) if output_format == "junit" else check_markdown(check)
    rows = table(list(HEADINGS), [cells(row) for row in check.checked], numeric=frozenset(range(1, 6)))
    flips = [f"Right before, wrong now: {f.sample_id} (class {f.label}, now {f.new_answer})" for f in check.flips]
    return "\n".join([rows, "", *filter(None, map(remark, check.checked)), *check.notes, *flips, summary(check)])


# --- what would be sent to the Hub ------------------------------------------------------------------------------------


def push_text(plan: PushPlan) -> str:
    rows = [[f.path, f.kind, f.state, f"{len(f.content):,}", str(f.source)] for f in plan.files]
    front, body = plan.diff()
    new = " (to be made)" if plan.place.head is None else ""
    sections = [
        f"Hub:         {plan.endpoint}\nAccount:     {plan.account.name}\n"
        f"Repository:  {plan.request.repo_id}{new}\nGoes to:     {plan.target}",
        table(["file on the Hub", "what it is", "state", "bytes", "from"], rows, numeric=frozenset({3})),
        f"Changes in the front matter:\n{front or '    none'}",
        f"Changes in the body:\n{body or '    none'}",
        *(["\n".join(f"Note: {note}" for note in plan.notes)] if plan.notes else []),
    ]
    return "\n\n".join(section.rstrip("\n") for section in sections)
