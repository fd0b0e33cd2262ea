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
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cards.arithmetic import check_arithmetic
from harness.cards.document import Document, decode, encode
from harness.cards.fill import fill_card
from harness.cards.record import ledger_digest, read_record, without_record
from harness.cards.render import render_card
from harness.evidence import Ledger, show_count, show_interval, show_number

if TYPE_CHECKING:
    from harness.evaluation.recheck import Recheck

_NUMBER = re.compile(r"\d")


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

    def with_recheck(self, again: Recheck) -> Verification:
        """With what came out of computing measured values again from stored predictions."""
        findings = [Finding(None, key, f"{key}: {message}") for key, message in again.differences.items()]
        checked = {"from predictions": len(again.same) + len(findings)}
        why = "Not recomputed, for lack of stored predictions or of a repeated run"
        notes = [f"{why}: {_listed(again.not_here)}."] if again.not_here else []
        return Verification(self.findings + findings, self.notes + notes, self.checked | checked)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return asdict(self)


def verify_card(
    text: bytes, *, ledger: Ledger, fill: Mapping[str, Any] | None = None, template: Path | None = None
) -> Verification:
    """What in a card differs from its evidence, in order of lines; no findings where nothing does.

    Args:
        text: the card.
        ledger: the evidence that it was made from.
        fill: the record of the fill that made it; None for a rendered card.
        template: the template that the card was rendered with, if not the shipped one.

    Raises:
        HarnessError: the card's record is damaged, or the template is.
    """
    document = Document(decode(text))
    record = read_record(document.text)
    evidence = ledger
    findings: list[Finding] = []
    notes: list[str] = []
    checked = {}
    if record is not None and record.sha256 not in (None, ledger_digest(ledger)):
        what = f"this is not the ledger that the card was made from (SHA-256 {str(record.sha256)[:16]}…)"
        findings.append(Finding(document.line_of(document.text.rfind("<!-- harness card")), None, what))
    if fill is None:
        expected = render_card(ledger, template, sidecar=record.ledger if record else None).text
        changed, notes = _rendered_again(document, expected, evidence)
        findings += changed
        with_numbers = filter(_NUMBER.search, document.text.splitlines())
        checked["lines with numbers, rendered again"] = len(list(with_numbers))
    else:
        findings += _filled_again(document, ledger, fill)
    arithmetic = check_arithmetic(evidence)
    for fault in arithmetic.faults:
        place = document.text.find(show_number(fault.item))
        line = document.line_of(place) if place >= 0 else None
        findings.append(Finding(line, fault.item.key, f"{fault.item.key}: {fault.message}"))
    checked["by arithmetic"] = len(arithmetic.checked)
    if arithmetic.unchecked:
        notes.append(f"Not rechecked by arithmetic: {_listed(arithmetic.unchecked)}.")
    first: dict[tuple[int | None, str | None], Finding] = {}  # of several about the same line and key
    for finding in findings:
        first.setdefault((finding.line, finding.key), finding)
    in_order = sorted(first.values(), key=lambda finding: (finding.line is None, finding.line or 0))
    return Verification(in_order, notes, checked)


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
    numbers = re.compile(r"[\d.,]*\d")
    gone = set(numbers.findall(meant)) - set(numbers.findall(said)) or set(numbers.findall(meant))
    best, found = 0, None
    for item in ledger:
        number, interval = show_number(item), show_interval(item)
        hits = sum(part in gone for part in (number, *numbers.findall(f"{interval} {show_count(item)}")))
        if hits:
            hits += 2 * (number in gone) + 3 * (number in meant and interval in meant and item.interval is not None)
        if hits > best:
            best, found = hits, item.key
    return found


# --- a filled card ------------------------------------------------------------------------------------------------


def _filled_again(document: Document, ledger: Ledger, fill: Mapping[str, Any]) -> Iterator[Finding]:
    """What differs from a fill of the card as it was before."""
    record = read_record(document.text)
    before, sidecar = encode(fill["before"]), record.ledger if record else None
    again = decode(fill_card(before, model=fill["model"], ledger=ledger, sidecar=sidecar, **fill["options"]).text)
    stated, expected = document.text.splitlines(), again.splitlines()
    for tag, a, b, c, d in difflib.SequenceMatcher(None, stated, expected, autojunk=False).get_opcodes():
        if tag != "equal":
            said, meant = " ".join(stated[a:b]), " ".join(expected[c:d])
            message = f"says {_short(said)}; a fill from this ledger says {_short(meant)}"
            yield Finding(min(a + 1, len(stated)), _key_in(said, meant, ledger), message)


def _listed(keys: list[str]) -> str:
    more = f" and {len(keys) - 5} more" if len(keys) > 5 else ""
    return ", ".join(keys[:5]) + more
