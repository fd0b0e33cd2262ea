"""A check as a comment on a pull request (Markdown) and as a test report that build servers show (JUnit XML)."""

from __future__ import annotations

from junitparser import Failure, JUnitXml, Skipped, TestCase, TestSuite

from harness.cards.markdown import cell
from harness.evaluation.gate import Check, Checked, Verdict
from harness.evidence import EvidenceKey

_SIGNS = {
    Verdict.PASS: "✅ pass",
    Verdict.FAIL: "❌ fail",
    Verdict.UNDECIDED: "❔ undecided",
    Verdict.MISSING: "❌ missing",
}
HEADINGS = ("evidence", "baseline", "new", "worse by", "95 % interval", "allowed", "n", "verdict")


def summary(check: Check) -> str:
    """One sentence: what was held against what, and how it went."""
    counts = ", ".join(f"{count} {verdict.value}" for verdict in Verdict if (count := check.counts[verdict]))
    return f"{check.new} against the baseline {check.baseline}: {counts}."


def cells(row: Checked) -> list[str]:
    """A row of the table under `HEADINGS`, as plain text."""
    unit = f" {row.unit}" if row.unit else ""
    interval = "" if row.low is None or row.high is None else f"{row.low:+.2f} to {row.high:+.2f}"
    shown = ["" if value is None else f"{value:.2f}{unit}" for value in (row.baseline, row.new)]
    worse = "" if row.worse is None else f"{row.worse:+.2f}"
    n = "" if row.n is None else f"{row.n:,}{'' if row.paired else ' (unpaired)'}"
    return [row.key, *shown, worse, interval, f"{row.limit:g}", n, row.verdict.value]


def remark(row: Checked) -> str | None:
    """What a reader must know of a row, as a sentence."""
    words = [row.reason] if row.reason else []
    if row.verdict is Verdict.UNDECIDED:
        more = (
            f"about {row.deciding_n:,} samples would decide" if row.deciding_n else "no number of samples would decide"
        )
        words.append(f"{more}, if what was seen is what is true")
    if row.verdict is not Verdict.MISSING and not row.paired:
        words.append("not paired, from the two ledgers' intervals")
    return f"{row.key}: {'; '.join(words)}." if words else None


def check_markdown(check: Check) -> str:
    """The check as a Markdown comment: the table, what must be known, and the flipped samples."""
    lines = [f"**{cell(summary(check))}**", "", f"| {' | '.join(HEADINGS)} |", f"|{' --- |' * len(HEADINGS)}"]
    for row in check.checked:
        shown = [*map(cell, cells(row)[:-1]), _SIGNS[row.verdict]]
        lines.append(f"| {' | '.join(shown)} |")
    told = [*filter(None, map(remark, check.checked)), *check.notes]
    lines += ["", *(f"- {cell(words)}" for words in told)] if told else []
    if check.flips:
        lines += ["", "<details><summary>Right before, wrong now</summary>", "", "| image | class | answer now |"]
        lines.append("| --- | --- | --- |")
        lines += [f"| {cell(f.sample_id)} | {f.label} | {f.new_answer} |" for f in check.flips]
        lines += ["", "</details>"]
    return "\n".join(lines) + "\n"


def check_junit(check: Check) -> str:
    """The check as JUnit XML: one test case a limit; undecided is skipped, or fails where the policy is strict."""
    suite = TestSuite("harness check")
    for row in check.checked:
        name = f"{row.key} may be worse by {row.limit:g}{f' {row.unit}' if row.unit else ''}"
        case = TestCase(name, EvidenceKey.parse(row.key).benchmark)
        words = "; ".join(
            f"{heading}: {shown}" for heading, shown in zip(HEADINGS[1:], cells(row)[1:], strict=True) if shown
        )
        told = f"{words}. {remark(row) or ''}".strip()
        if row.verdict is Verdict.UNDECIDED and not check.strict:
            case.result = [Skipped(told)]
        elif row.verdict is not Verdict.PASS:
            case.result = [Failure(told, row.verdict.value)]
        case.system_out = told
        suite.add_testcase(case)
    report = JUnitXml("harness")
    report.add_testsuite(suite)
    text: bytes | str = report.tostring()
    return text.decode() if isinstance(text, bytes) else text
