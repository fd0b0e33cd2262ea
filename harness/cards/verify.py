"""Verifying a card: every measured number against its evidence, every answer against the report of the fill.

Works from card and ledger alone. Each phrase of the form `71.11 % (95 % interval 70.71–71.51, n = 50,000)` must be
word for word what a piece of evidence says; with the report that a fill wrote, each of its answers must stand in the
card unchanged. What needs the stored predictions (recomputing a value) is not done here.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from harness.cards.document import Document, decode
from harness.cards.knowledge import View
from harness.evidence import EvidenceClass, Ledger

_MEASURED = re.compile(
    r"(?P<value>\d[\d,]*(?:\.\d+)?)(?: (?P<unit>%|[A-Za-zµ]+(?:/[A-Za-z0-9 ]+?)?))? "
    r"\((?:[\d.]+ % interval [^\s,()]+(?:, n = [\d,]+(?: of [\d,]+)?)?|n = [\d,]+(?: of [\d,]+)?)\)"
)
_MINIMUM_LIKENESS = 0.5


@dataclass(frozen=True)
class Finding:
    """One thing in a card that its evidence does not say."""

    line: int
    key: str | None
    """The evidence that it should say; None where no evidence is like it."""
    message: str


def verify_card(text: bytes, *, ledger: Ledger, report: Mapping[str, Any] | None = None) -> list[Finding]:
    """What in a card differs from its evidence, in order of lines; empty where nothing does.

    Args:
        text: the card.
        ledger: the evidence that it was made from.
        report: what the fill that made it reported, where there is one.
    """
    document = Document(decode(text))
    findings = [*_measured_numbers(document, ledger), *(_answers(document, report) if report else ())]
    return sorted(findings, key=lambda finding: finding.line)


def _measured_numbers(document: Document, ledger: Ledger) -> Iterator[Finding]:
    measured = (EvidenceClass.MEASURED, EvidenceClass.ESTIMATED)
    phrases = {View(item).measured: item.key for item in ledger if item.class_ in measured}
    for match in _MEASURED.finditer(document.text):
        stated = match.group()
        if stated in phrases:
            continue
        line = document.line_of(match.start())
        like = difflib.get_close_matches(stated, phrases, n=1, cutoff=_MINIMUM_LIKENESS)
        if like:
            message = f"says {stated}; the evidence says {like[0]}"
            yield Finding(line, phrases[like[0]], message)
        else:
            yield Finding(line, None, f"says {stated}, and no evidence is like it")


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
