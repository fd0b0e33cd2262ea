"""What a card must say: its text as harness writes it from the ledger, and which of it is ours.

A rendered card is ours as a whole. Of a filled one ours are the answers and what was corrected or added beside them; they
follow from filling the card as it was before again, so that nothing that stands beside the card has to be believed about
them. A card of another version of harness can't be written again: then its own record says what it was.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from harness import __version__
from harness.cards.alignment import Line, lines_of
from harness.cards.document import decode, encode
from harness.cards.fill import fill_card
from harness.cards.record import CardRecord, blanked, line_digest, without_record
from harness.cards.render import render_card
from harness.cards.sentences import Span
from harness.cards.spans import Piece, as_recorded, lf
from harness.cards.tracing import Mark, Trace
from harness.evidence import Ledger
from harness.figures.style import without_drawing

_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?\n)---[ \t]*(?:\n|\Z)", re.DOTALL)


@dataclass
class Expected:
    """A card as it must be."""

    text: str
    """With `\\n` at the end of lines, and spaces in place of the record."""
    pieces: list[Piece]
    is_rendered: bool
    is_again: bool = True
    """Whether it was written again; False where only the card's own record says so."""
    asked: list[Piece] = field(default_factory=list)
    """Words of others that the pieces of a filled card answer."""
    trace: Callable[[], list[Mark]] = field(default=list)
    """Where in `text` which evidence was written."""

    @cached_property
    def marks(self) -> list[Mark]:
        return self.trace()

    @cached_property
    def lines(self) -> list[Line]:
        return lines_of(self.text)

    @cached_property
    def front_matter(self) -> Span:
        """Where the front matter is; nowhere in a card without."""
        match = _FRONT_MATTER.match(self.text)
        return match.span(1) if match else (-1, -1)

    def piece_at(self, start: int, end: int) -> Piece | None:
        """The first of our pieces that a range touches, or for an empty range the one that it is inside of."""
        return _touched(self.pieces, start, end)

    def asked_at(self, start: int, end: int) -> Piece | None:
        """What a range that is not ours asks, if one of our pieces answers it."""
        return _touched(self.asked, start, end)

    def key_at(self, start: int, end: int, piece: Piece | None) -> str | None:
        """The evidence that the text there was written from: what covers it, else the nearest in its line."""
        known = piece.keys if piece else ()
        first = self.text.rfind("\n", 0, start) + 1
        last = self.text.find("\n", max(start, end - 1))
        near = [m for m in self.marks if first <= m.end <= (last if last >= 0 else len(self.text))]
        near = [mark for mark in near if not known or mark.key in known]
        if near:
            return min(near, key=lambda m: (max(m.start - max(start, end - 1), start - (m.end - 1), 0), m.start)).key
        return known[0] if known else None


def _touched(pieces: list[Piece], start: int, end: int) -> Piece | None:
    """Of pieces in order that don't overlap each other, the first that a range touches."""
    at = bisect.bisect_right(pieces, start, key=lambda piece: piece.end)
    if at < len(pieces) and (pieces[at].start < end if start < end else pieces[at].start < start):
        return pieces[at]
    return None


def rendered(ledger: Ledger, record: CardRecord | None, template: Path | None, stated: str) -> Expected | None:
    """A rendered card as it must be; None where another version made it and left no record of its lines.

    Args:
        stated: the card's text as it is, for a card of another version: its lines are recognised by their digests.
    """
    if record is not None and record.harness != __version__:
        if record.lines is None:
            return None
        known = {line_digest(line.text): line.text for line in lines_of(stated)}
        digests = [record.lines[at : at + 4] for at in range(0, len(record.lines), 4)]
        text = "\n".join(known.get(digest, f"(what harness {record.harness} wrote)") for digest in digests)
        return Expected(text, [Piece(0, len(text))], is_rendered=True, is_again=False)
    sidecar = record.ledger if record is not None else "evidence.json"
    with without_drawing():
        text = blanked(render_card(ledger, template, sidecar=sidecar).text)

    def trace() -> list[Mark]:
        traced = Trace()
        with without_drawing():
            return traced.marks(blanked(render_card(traced.ledger(ledger), template, sidecar=sidecar).text), text)

    return Expected(text, [Piece(0, len(text))], is_rendered=True, trace=trace)


def filled(ledger: Ledger, record: CardRecord | None, fill: Mapping[str, Any]) -> Expected:
    """A filled card as it must be, from the record of its fill."""
    if fill["harness"] != __version__:
        told = as_recorded(fill)
        return Expected(told.text, told.pieces, is_rendered=False, is_again=False, asked=told.asked)
    before, sidecar = encode(fill["before"]), record.ledger if record else None
    options = {"model": fill["model"], "sidecar": sidecar, **fill["options"]}
    told = as_recorded(fill_card(before, ledger=ledger, **options).report)

    def trace() -> list[Mark]:
        traced = Trace()
        again = decode(fill_card(before, ledger=traced.ledger(ledger), **options).text)
        return traced.marks(without_record(lf(again)), told.text)

    return Expected(told.text, told.pieces, is_rendered=False, asked=told.asked, trace=trace)


def flat(text: str) -> str:
    """A card's text for comparison: one kind of line end, no record."""
    return blanked(lf(text))
