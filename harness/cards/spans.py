"""Where a fill's own text is in a card, from the record of the fill: the card as it was before, and each change of it.

From it a card is known as it was filled; and from a card that others went on with, how it would be had nobody filled it, so
that it can be filled again from newer evidence.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.cards.alignment import equal_runs
from harness.cards.document import Document, decode, encode
from harness.cards.record import without_record
from harness.cards.sentences import Span


@dataclass(frozen=True)
class Piece:
    """A run of text that harness wrote, or that something which it wrote answers."""

    start: int
    end: int
    question: str | None = None
    """What it answers; None in a rendered card."""
    keys: tuple[str, ...] = ()
    """The evidence that it was written from, as far as known."""


@dataclass(frozen=True)
class Recorded:
    """A filled card as the record of its fill has it: without its own record, and with `\\n` at the end of lines."""

    text: str
    pieces: list[Piece]
    """What was written, without the white space around it, in order."""
    asked: list[Piece]
    """The words of others that the answers hang on: the rest of their sentences, their labels, heads of rows and columns."""
    changes: list[tuple[Span, str]]
    """Where each change is, and what was there before."""
    is_byte_for_byte: bytes
    """The card as it was written."""


def lf(text: str) -> str:
    """Text with one kind of line end and without a byte order mark."""
    return re.sub(r"\r\n?", "\n", text.removeprefix("\ufeff"))


def as_recorded(fill: Mapping[str, Any]) -> Recorded:
    """A filled card from the record of its fill."""
    before = encode(fill["before"])
    rows = {(row["span"]["start"], row["span"]["end"]): row for row in (*fill["markers"], *fill["neighbours"])}
    parts, raw, changes, pieces = list[str](), list[str](), list[tuple[Span, str]](), list[Piece]()
    starts, shifts = [0], [0]  # where the text that follows a change begins before and after
    length = position = 0
    for (start, end), row in sorted(rows.items()):
        kept, new = decode(before[position:start]), str(row["new"])
        raw += [kept, new]
        parts += [lf(kept), without_record(lf(new))]
        length += len(parts[-2])
        first = length + len(parts[-1]) - len(parts[-1].lstrip())
        if said := parts[-1].strip():
            pieces.append(Piece(first, first + len(said), row["question"], tuple(row.get("evidence", ()))))
        changes.append(((length, length + len(parts[-1])), lf(decode(before[start:end]))))
        length, position = length + len(parts[-1]), end
        starts.append(end)
        shifts.append(length)
    rest = decode(before[position:])
    text, whole = "".join([*parts, lf(rest)]), "".join([*raw, rest])

    order = sorted(rows)

    def asked_of(row: Mapping[str, Any]) -> list[Piece]:
        found = []
        for first, stop in row.get("asked_in", ()):
            at = bisect.bisect_right(order, first, key=lambda span: span[1])
            edges = [edge for span in order[at : bisect.bisect_left(order, (stop, 0))] for edge in span]
            for a, b in zip([first, *edges[1::2]], [*edges[::2], stop], strict=True):
                if before[a:b].strip() and a < b:
                    at = bisect.bisect_right(starts, a) - 1
                    place = shifts[at] + len(lf(decode(before[starts[at] : a])))
                    said = lf(decode(before[a:b]))
                    place += len(said) - len(said.lstrip())
                    found.append(
                        Piece(place, place + len(said.strip()), row["question"], tuple(row.get("evidence", ())))
                    )
        return found

    asked = list[Piece]()
    for piece in sorted((piece for row in fill["markers"] for piece in asked_of(row)), key=lambda p: (p.start, p.end)):
        asked += [piece] if not asked or piece.start >= asked[-1].end else []
    return Recorded(text, pieces, asked, changes, encode(whole))


def unfilled(card: bytes, fill: Mapping[str, Any]) -> tuple[bytes, list[int]]:
    """A filled card as it would be had nobody filled it, and the lines on which others changed what was written.

    What others wrote around the answers stays. An answer that others changed is theirs now and stays too.
    """
    recorded, text = as_recorded(fill), decode(card)
    if card == recorded.is_byte_for_byte:
        return encode(fill["before"]), []
    newline, mark = Document(text).newline, "\ufeff" * text.startswith("\ufeff")
    now = without_record(lf(text))
    now += "\n" * (recorded.text.endswith("\n") and not now.endswith("\n"))
    runs = equal_runs(recorded.text, now)
    parts, position, changed = list[str](), 0, list[int]()
    for (start, end), old in recorded.changes:
        at = found_at(runs, start, end)
        if at is None or at < position:
            changed += [now.count("\n", 0, _near(runs, start)) + 1] if start < end else []
            continue
        parts += [now[position:at], old]
        position = at + end - start
    return encode(mark + "".join([*parts, now[position:]]).replace("\n", newline)), changed


def written_spans(text: str, fill: Mapping[str, Any]) -> list[Span]:
    """Where in a card the text of its fill is; what others changed is left out."""
    recorded = as_recorded(fill)
    runs = equal_runs(recorded.text, text)
    found = [(piece, found_at(runs, piece.start, piece.end)) for piece in recorded.pieces]
    return [(at, at + piece.end - piece.start) for piece, at in found if at is not None]


def found_at(runs: Sequence[tuple[int, int, int]], start: int, end: int) -> int | None:
    """Where a span of the old text is in the new one; None where something in it was changed."""
    index = bisect.bisect_right(runs, start, key=lambda run: run[0]) - 1
    for old, new, size in runs[max(0, index - 1) : index + 1]:
        if old <= start and end <= old + size:
            return new + start - old
    return None


def _near(runs: Sequence[tuple[int, int, int]], place: int) -> int:
    index = bisect.bisect_right(runs, place, key=lambda run: run[0]) - 1
    return sum(runs[index][1:]) if index >= 0 else 0
