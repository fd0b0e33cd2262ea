"""Verifying a card: every number in it against its ledger, and the ledger's numbers against each other.

A card that `harness render` wrote is rendered again from its ledger and compared line by line. A card that `harness fill`
wrote is compared number by number: each phrase like `71.11 % (95 % interval 70.71–71.51, n = 50,000)` must be word for
word what a piece of evidence says, and each sentence that names its source may hold no number that no evidence holds. With
the report of the fill, the card before it is put together again, filled again and compared to the byte.

All this needs the card and its ledger, nothing else. What could not be rechecked that way is said.
"""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.cards.arithmetic import check_arithmetic
from harness.cards.document import Document, decode, encode
from harness.cards.fill import fill_card
from harness.cards.known_numbers import KnownNumbers, known_numbers, stated_numbers
from harness.cards.record import CardRecord, ledger_digest, read_record, without_record
from harness.cards.render import render_card
from harness.cards.views import View
from harness.evidence import Evidence, EvidenceClass, Ledger, show_count, show_interval, show_number

_MEASURED = re.compile(
    r"(?P<value>\d[\d,]*(?:\.\d+)?)(?: (?P<unit>%|[A-Za-zµ]+(?:/[A-Za-z0-9 ]+?)?))? "
    r"\((?:[\d.]+ % interval [^\s,()]+(?:, n = [\d,]+(?: of [\d,]+)?)?|n = [\d,]+(?: of [\d,]+)?)\)"
)
_NUMBER = re.compile(r"\d")
_MINIMUM_LIKENESS = 0.5


@dataclass(frozen=True)
class Finding:
    """One thing in a card or its ledger that is not as the evidence says."""

    line: int | None
    """In the card; None for a number of the ledger that the card does not show."""
    key: str | None
    """The evidence that it should say; None where no evidence is like it."""
    message: str


@dataclass
class Verification:
    """What came out of verifying a card."""

    findings: list[Finding]
    notes: list[str]
    """What could not be rechecked, and changes of wording."""
    checked: dict[str, int] = field(default_factory=dict)
    """How many numbers were rechecked, by how: `in the card`, `by arithmetic`, `from predictions`."""

    def with_recheck(
        self, differences: Mapping[str, str], same: Iterable[str], not_here: Iterable[str]
    ) -> Verification:
        """With what came out of computing measured values again from stored predictions.

        Args:
            differences: by evidence key, what is wrong with it.
            same: keys that came out the same.
            not_here: measured keys that the store has no predictions for, or that need the run itself.
        """
        findings = self.findings + [Finding(None, key, f"{key}: {message}") for key, message in differences.items()]
        checked = self.checked | {"from predictions": len(list(same)) + len(differences)}
        missing = list(not_here)
        notes = list(self.notes)
        if missing:
            notes.append(f"Not recomputed, for lack of stored predictions or of a repeated run: {_listed(missing)}.")
        return Verification(findings, notes, checked)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        findings = [{"line": f.line, "key": f.key, "message": f.message} for f in self.findings]
        return {"findings": findings, "notes": self.notes, "checked": self.checked}


def verify_card(
    text: bytes,
    *,
    ledger: Ledger | None,
    model: str | None = None,
    report: Mapping[str, Any] | None = None,
    template: Path | None = None,
) -> Verification:
    """What in a card differs from its evidence, in order of lines; no findings where nothing does.

    Args:
        text: the card.
        ledger: the evidence that it was made from; None for a card filled from documented facts alone.
        model: whose card it is, where the card's record does not say.
        report: what the fill that made it reported, where there is one.
        template: the template that the card was rendered with, if not the shipped one.

    Raises:
        HarnessError: the card's record is damaged, or the template is.
    """
    document = Document(decode(text))
    record = read_record(document.text)
    name = record.model if record else model or str((ledger.model if ledger else {}).get("name", ""))
    evidence = ledger if ledger is not None else Ledger(model={"name": name})
    result = Verification([], [])
    result.findings += _ledger_of_record(document, record, ledger)
    if record is not None and record.made_by == "render" and ledger is not None:
        findings, notes = _rendered_again(document, render_card(ledger, template, sidecar=record.ledger).text, evidence)
        result.findings += findings
        result.notes += notes
        with_numbers = sum(bool(_NUMBER.search(line)) for line in document.text.splitlines())
        result.checked["lines with numbers, rendered again"] = with_numbers
    else:
        known = known_numbers(name, ledger)
        phrases = list(_measured_numbers(document, evidence))
        result.findings += [finding for finding in phrases if finding is not None]
        unknown = list(_unknown_numbers(document, known, evidence))
        result.findings += [finding for finding in unknown if finding is not None]
        result.checked["numbers in the card"] = len(phrases) + len(unknown)
        if report is None:
            result.notes.append(
                "The card was not filled again for comparison: that needs the fill's report (--report)."
            )
        else:
            result.findings += _filled_again(document, name, ledger, report)
    _add_arithmetic(result, document, evidence)
    result.findings = _once(result.findings)
    return result


def _once(findings: Iterable[Finding]) -> list[Finding]:
    """In order of lines; of several about the same line and key the first."""
    first: dict[tuple[int | None, str | None], Finding] = {}
    for finding in findings:
        first.setdefault((finding.line, finding.key), finding)
    return sorted(first.values(), key=lambda finding: (finding.line is None, finding.line or 0))


def _ledger_of_record(document: Document, record: CardRecord | None, ledger: Ledger | None) -> Iterator[Finding]:
    if record is None or ledger is None:
        return
    line = document.line_of(document.text.rfind("<!-- harness card"))
    if record.sha256 is None:
        yield Finding(line, None, "the card was made without a ledger, from documented facts alone")
    elif record.sha256 != ledger_digest(ledger):
        yield Finding(line, None, f"this is not the ledger that the card was made from (SHA-256 {record.sha256[:16]}…)")


# --- a rendered card ----------------------------------------------------------------------------------------------


def _rendered_again(document: Document, expected: str, ledger: Ledger) -> tuple[list[Finding], list[str]]:
    """Lines that differ: a finding where either of them holds a number, a note where only words do."""
    findings, notes = [], []
    stated = without_record(document.text).rstrip().splitlines()
    again = without_record(expected).rstrip().splitlines()
    matcher = difflib.SequenceMatcher(None, stated, again, autojunk=False)
    for tag, a, b, c, d in matcher.get_opcodes():
        if tag == "equal":
            continue
        for row, (said, meant) in enumerate(itertools.zip_longest(stated[a:b], again[c:d])):
            line = min(a + row + 1, max(len(stated), 1))
            if not _NUMBER.search((said or "") + (meant or "")):
                notes.append(f"line {line}: the wording was changed")
            elif meant is None:
                findings.append(Finding(line, None, f"a line that no evidence makes: {_short(said)}"))
            else:
                key = _key_in(said or "", meant, ledger)
                what = f"says {_short(said)}" if said is not None else "a line is missing"
                findings.append(Finding(line, key, f"{what}; the evidence says {_short(meant)}"))
    return findings, notes


def _short(line: str | None) -> str:
    flat = " ".join((line or "").split())
    return flat if len(flat) <= 160 else f"{flat[:159]}…"


def _key_in(said: str, meant: str, ledger: Ledger) -> str | None:
    """The evidence of which a number stands in the line as it should be, and not in the line as it is."""
    gone = set(re.findall(r"[\d.,]*\d", meant)) - set(re.findall(r"[\d.,]*\d", said)) or {
        *re.findall(r"[\d.,]*\d", meant)
    }
    best: tuple[int, str] | None = None
    for item in ledger:
        shown = [show_number(item), *re.findall(r"[\d.,]*\d", f"{show_interval(item)} {show_count(item)}")]
        hits = sum(part in gone for part in shown) + 2 * (show_number(item) in gone)
        hits += 3 * (show_number(item) in meant and show_interval(item) in meant and item.interval is not None)
        if hits and any(part in gone for part in shown) and (best is None or hits > best[0]):
            best = hits, item.key
    return best[1] if best else None


# --- a filled card ------------------------------------------------------------------------------------------------


def _measured_numbers(document: Document, ledger: Ledger) -> Iterator[Finding | None]:
    """For each measured phrase None, or what is wrong with it."""
    measured = (EvidenceClass.MEASURED, EvidenceClass.ESTIMATED)
    phrases = {View(item).measured: item.key for item in ledger if item.class_ in measured}
    for match in _MEASURED.finditer(document.text):
        stated = match.group()
        if stated in phrases:
            yield None
            continue
        line = document.line_of(match.start())
        like = difflib.get_close_matches(stated, phrases, n=1, cutoff=_MINIMUM_LIKENESS)
        if like:
            yield Finding(line, phrases[like[0]], f"says {stated}; the evidence says {like[0]}")
        else:
            yield Finding(line, None, f"says {stated}, and no evidence is like it")


def _unknown_numbers(document: Document, known: KnownNumbers, ledger: Ledger) -> Iterator[Finding | None]:
    """For each number in a sentence that names its evidence None, or that no evidence holds it."""
    for start, stated, word in stated_numbers(document):
        if known.holds(stated):
            yield None
        else:
            near = known.nearest(stated, word)
            message = f"says {stated}, and no evidence says so" + (f"; {near[1]} is {near[0]}" if near else "")
            yield Finding(document.line_of(start), near[1] if near else None, message)


def _filled_again(
    document: Document, model: str, ledger: Ledger | None, report: Mapping[str, Any]
) -> Iterator[Finding]:
    """What a fill of the card as it was before makes different; or the answers that no longer stand."""
    before = _before_fill(document.text, report)
    if before is None:
        yield from _answers(document, report)
        return
    record = read_record(document.text)
    added = any(str(row["question"]).startswith("front matter:") for row in report["neighbours"])
    sidecar = record.ledger if record else None
    again = decode(fill_card(before, model=model, ledger=ledger, front_matter=added, sidecar=sidecar).text)
    stated, expected = document.text.splitlines(), again.splitlines()
    for tag, a, b, c, d in difflib.SequenceMatcher(None, stated, expected, autojunk=False).get_opcodes():
        if tag != "equal":
            said, meant = " ".join(stated[a:b]), " ".join(expected[c:d])
            evidence = ledger or Ledger(model={})
            message = f"says {_short(said)}; a fill from this ledger says {_short(meant)}"
            yield Finding(min(a + 1, len(stated)), _key_in(said, meant, evidence), message)


def _before_fill(text: str, report: Mapping[str, Any]) -> bytes | None:
    """The card as it was before the fill that wrote the report; None where an answer was edited since, or claims mended."""
    if report.get("claims"):
        return None
    data = encode(text)
    rows = [*report["markers"], *report["neighbours"]]
    edits = {(row["span"]["start"], row["span"]["end"], row["old"], row["new"]) for row in rows}
    shift = 0
    parts: list[bytes] = []
    position = 0
    for start, end, old, new in sorted(edits):
        place = start + shift
        if data[place : place + len(new.encode())] != new.encode() or len(old.encode()) != end - start:
            return None
        parts += [data[position:place], old.encode()]
        position = place + len(new.encode())
        shift += len(new.encode()) - (end - start)
    return b"".join([*parts, data[position:]])


def _answers(document: Document, report: Mapping[str, Any]) -> Iterator[Finding]:
    """Answers of the fill that no longer stand in the card, in the order they stood."""
    position = 0
    rows = sorted(report["markers"], key=lambda row: row["span"]["start"])
    last: tuple[int, str] | None = None
    for row in rows:
        if (row["span"]["start"], row["new"]) == last:
            continue  # several markers of one sentence share its text
        last = (row["span"]["start"], row["new"])
        found = document.text.find(row["new"], position)
        if found >= 0:
            position = found + len(row["new"])
            continue
        key = row["evidence"][0] if row["evidence"] else None
        yield Finding(document.line_of(position), key, f"the answer to '{row['question']}' is not as it was written")


# --- the ledger's own numbers -------------------------------------------------------------------------------------


def _add_arithmetic(result: Verification, document: Document, ledger: Ledger) -> None:
    arithmetic = check_arithmetic(ledger)
    for fault in arithmetic.faults:
        item = ledger.get(fault.key)
        result.findings.append(Finding(_line_showing(document, item), fault.key, f"{fault.key}: {fault.message}"))
    result.checked["by arithmetic"] = len(arithmetic.checked)
    if arithmetic.unchecked:
        result.notes.append(f"Not rechecked by arithmetic: {_listed(arithmetic.unchecked)}.")


def _listed(keys: list[str]) -> str:
    more = f" and {len(keys) - 5} more" if len(keys) > 5 else ""
    return ", ".join(keys[:5]) + more


def _line_showing(document: Document, item: Evidence | None) -> int | None:
    place = document.text.find(show_number(item)) if item is not None else -1
    return document.line_of(place) if place >= 0 else None
