"""Verifying a card: it must be, to the character, what its ledger makes, and the ledger's numbers must fit each other.

A rendered card is rendered again, a filled one filled again from what it was before. Whatever differs inside what harness
wrote is a finding, with its line and the evidence that the text there is written from. What others wrote or changed
elsewhere is no fault; it is listed as theirs, so that nobody takes it for ours. Text that joins ours, so that a reader could
not tell the two apart, is a finding as well.

All this needs the card and the files beside it, nothing else. What could not be rechecked that way is said.
"""

from __future__ import annotations

import bisect
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cards.alignment import Change, Line, changes, equal_runs, lines_of
from harness.cards.arithmetic import check_arithmetic
from harness.cards.document import Document, decode, encode
from harness.cards.expected import Expected, filled, flat, rendered
from harness.cards.record import CardRecord, changed_figures, ledger_digest, read_record
from harness.cards.sentences import Span
from harness.cards.spans import Piece, found_at
from harness.evidence import EvidenceKey, Ledger, show_number

if TYPE_CHECKING:
    from harness.evaluation.recheck import Recheck

_HEADING = re.compile(r"#{1,2}\s")
"""A section of its own: one below another section would read as a part of it."""
_NEW_BLOCK = re.compile(r"\s*(?:[-*+>|]|\d+[.)]\s|#{1,6}\s|```|~~~|[\w-]+:(?:\s|$))")
"""The beginning of a line that can't be read as the last line's continuation."""
_BEFORE, _AFTER = re.compile(r"[\s.,;:!?)\]*_`\"'|]*\Z"), re.compile(r"[ \t(\[*_`\"']*")
"""What may stand between a text and one that joins it, to the left and to the right."""
_GAP, _NEAR = re.compile(r"\s*"), 100
"""White space, and how far what joins is looked for."""
_KINDS = {"html": "HTML or a comment", "fence": "a code block", "indented-code": "a code block", "nothing": "no text"}
_YAML_KEY, _DEFINITION = re.compile(r"([\w-]+)\s*:(?:\s|$)"), re.compile(r" {0,3}\[([^\]]+)\]:")


@dataclass(frozen=True)
class Finding:
    """One thing in a card or its ledger that is not as the evidence says."""

    line: int | None
    """In the card; None for a number of the ledger that the card does not show."""
    key: str | None
    """The evidence that the text there is written from; None where it is written from none."""
    message: str


@dataclass(frozen=True)
class Theirs:
    """Text that others added, changed or removed outside of what harness wrote."""

    line: int
    message: str


@dataclass
class Verification:
    """What came out of verifying a card."""

    findings: list[Finding]
    notes: list[str]
    """What could not be rechecked."""
    checked: dict[str, int] = field(default_factory=dict)
    """How much was rechecked, by how: `lines rendered again`, `answers filled again`, `by arithmetic`, `from predictions`."""
    theirs: list[Theirs] = field(default_factory=list)

    def with_recheck(self, again: Recheck) -> Verification:
        """With what came out of computing measured values again from stored predictions."""
        findings = [Finding(None, key, f"{key}: {message}") for key, message in again.differences.items()]
        checked = {"from predictions": len(again.same) + len(findings)}
        sampled = [key for key in again.not_here if EvidenceKey.parse(key).variant == "sampled"]
        rest = [key for key in again.not_here if key not in sampled]
        why = "Not recomputed, for lack of stored predictions or of a repeated run"
        notes = [f"{why}: {_listed(rest)}."] if rest else []
        how = (
            "which images were drawn follows from the run's command, which gives them again from the stored predictions"
        )
        if sampled:
            notes.append(f"Estimated from a sample by --until and not recomputed here; {how}: {_listed(sampled)}.")
        return Verification(self.findings + findings, self.notes + notes, self.checked | checked, self.theirs)

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
    stated = decode(text)
    record = read_record(stated)
    findings, theirs = list[Finding](), list[Theirs]()
    notes, checked = list[str](), dict[str, int]()
    if record is not None:
        place = stated.count("\n", 0, stated.rfind("<!-- harness card")) + 1
        if record.sha256 not in (None, ledger_digest(ledger)):
            what = f"this is not the ledger that the card was made from (SHA-256 {str(record.sha256)[:16]}…)"
            findings.append(Finding(place, None, what))
        if fill is not None and record.before not in (None, hashlib.sha256(encode(fill["before"])).hexdigest()):
            what = f"this is not the record of the card's fill: the card before is another (SHA-256 {str(record.before)[:16]}…)"
            findings.append(Finding(place, None, what))
    expected = filled(ledger, record, fill) if fill is not None else rendered(ledger, record, template, flat(stated))
    if expected is None or not expected.is_again:
        made = f"The card was made by harness {record.harness if record else fill and fill['harness']}"
        how = "its record of what it wrote was compared" if expected else "only the numbers of its ledger were checked"
        notes.append(f"{made}, and this version can't make it again: {how}.")
    if expected is not None:
        changed, theirs = compare(expected, stated)
        findings += changed
        how = "rendered again" if fill is None else "filled again"
        what = "lines" if fill is None else "answers"
        count = len(lines_of(expected.text)) if fill is None else len(expected.pieces)
        checked[f"{what} {how}" if expected.is_again else f"{what} as recorded"] = count
    arithmetic = check_arithmetic(ledger)
    for fault in arithmetic.faults:
        place = stated.find(show_number(fault.item))
        line = stated.count("\n", 0, place) + 1 if place >= 0 else None
        findings.append(Finding(line, fault.item.key, f"{fault.item.key}: {fault.message}"))
    checked["by arithmetic"] = len(arithmetic.checked)
    if arithmetic.unchecked:
        notes.append(f"Not rechecked by arithmetic: {_listed(arithmetic.unchecked)}.")
    findings.sort(key=lambda finding: (finding.line is None, finding.line or 0))
    return Verification(findings, notes, checked, theirs)


def figure_findings(card: Path | None, record: CardRecord | None) -> list[Finding]:
    """The figures beside a card that are not those it was rendered with; of one that isn't there a reader sees nothing."""
    if card is None:
        return []
    changed = changed_figures(card, record)
    return [Finding(None, None, f"{file} is not the figure that the card was rendered with") for file in changed]


def compare(expected: Expected, stated: str) -> tuple[list[Finding], list[Theirs]]:
    """What in a card is not as it must be, one finding a line, and what others wrote."""
    text = flat(stated)
    findings: dict[int, Finding] = {}
    theirs: dict[int, Theirs] = {}
    if text == expected.text:
        return [], []
    added: list[Change] = []
    lines = lines_of(text)
    for change in changes(expected.text, text):
        if not expected.is_again and (change.start, change.at) == (change.end, change.until):
            continue  # a record of lines knows nothing of the empty ones
        if _is_theirs(expected, text, lines, change):
            if f"{text[change.at : change.until]}{expected.text[change.start : change.end]}".strip():
                theirs.setdefault(change.line, Theirs(change.line, _what_they_did(expected, text, change)))
            added += [change] if change.at < change.until else []
        else:
            findings.setdefault(change.line, _finding(expected, text, change))
    for finding in (*_overruled(expected, text, lines, added), *_displaced(expected, text, added)):
        findings.setdefault(finding.line or 0, finding)
    return list(findings.values()), [their for line, their in theirs.items() if line not in findings]


def _finding(expected: Expected, text: str, change: Change) -> Finding:
    piece = expected.piece_at(change.start, change.end)
    asked = None if piece else _asked(expected, change)
    key = asked.keys[0] if asked and asked.keys else expected.key_at(change.start, change.end, piece)
    said, meant = text[change.at : change.until], expected.text[change.start : change.end]
    before = expected.text[max(expected.text.rfind("\n", 0, change.start) + 1, change.start - 40) : change.start]
    if not meant.strip():
        what = f"{_quoted(said, before)} was added" if said.strip() else "an empty line was added or removed"
    elif not said.strip():
        what = f"{_quoted(meant, before)} is gone"
    else:
        by = "the evidence says" if expected.is_again else "what was written is"
        what = f"says {_quoted(said, before)}; {by} {_quoted(meant, before)}"
    about = f"in the answer to '{piece.question}', " if piece is not None and piece.question and key is None else ""
    if asked is not None:
        about = f"in the words that the answer{_to(asked)} hangs on, "
        what = what.replace("the evidence says", "it answers")
    return Finding(change.line, key, about + what)


def _to(piece: Piece) -> str:
    return f" to '{piece.question}'" if piece.question else ""


def _what_they_did(expected: Expected, text: str, change: Change) -> str:
    said, meant = text[change.at : change.until], expected.text[change.start : change.end]
    first = expected.text.rfind("\n", 0, change.start) + 1
    last = expected.text.find("\n", change.end)
    beside = None
    if not change.whole_lines:
        beside = expected.piece_at(first, last if last >= 0 else len(expected.text))
    where = f", beside the answer to '{beside.question}'" if beside else ""
    if not meant.strip():
        return f"added {_quoted(said)}{where}"
    to = f"changed {_quoted(meant)} to {_quoted(said)}" if said.strip() else f"removed {_quoted(meant)}"
    return to + where


def _quoted(text: str, before: str = "") -> str:
    flat_text = " ".join(f"{before}{text}".split())
    return f"“{flat_text if len(flat_text) <= 160 else f'{flat_text[:159]}…'}”"


# --- whose text it is ---------------------------------------------------------------------------------------------


def _is_theirs(expected: Expected, text: str, lines: list[Line], change: Change) -> bool:
    """Whether a change is of text that nobody can take for ours, and that no answer of ours hangs on."""
    said, meant = text[change.at : change.until], expected.text[change.start : change.end]
    is_free = _asked(expected, change) is None
    if re.search(r"\w", meant):
        return is_free and expected.piece_at(change.start, change.end) is None
    if change.whole_lines and _is_own_block(expected, said, change):
        return True
    if expected.is_rendered or expected.piece_at(change.start, change.end) is not None:
        return False
    if not said.strip():
        return True
    if change.whole_lines:
        return not _continues(expected, lines, change)
    return is_free and not _joins(expected, change, expected.pieces)


def _asked(expected: Expected, change: Change) -> Piece | None:
    """The question whose words a change alters."""
    if (asked := expected.asked_at(change.start, change.end)) or change.whole_lines or change.start < change.end:
        return asked
    return _joins(expected, change, expected.asked)


def _is_own_block(expected: Expected, said: str, change: Change) -> bool:
    """Whether added lines are whole entries of the front matter, or a section of their own."""
    place = _GAP.match(expected.text, change.start).end()  # type: ignore[union-attr]
    if expected.front_matter[0] <= change.start <= expected.front_matter[1]:
        return bool(_YAML_KEY.match(said)) and bool(
            _YAML_KEY.match(expected.text, place) or expected.text.startswith("---", place)
        )
    return bool(_HEADING.match(said)) and bool(_HEADING.match(expected.text, place) or place == len(expected.text))


def _joins(expected: Expected, change: Change, pieces: list[Piece]) -> Piece | None:
    """The piece that added words stand directly beside, with nothing but punctuation between."""
    line = expected.text.rfind("\n", 0, change.start) + 1
    before = _BEFORE.search(expected.text, max(line, change.start - _NEAR), change.start)
    after = _AFTER.match(expected.text, change.end)
    left, right = before.start() if before else change.start, after.end() if after else change.end
    at = bisect.bisect_left(pieces, left, key=lambda piece: piece.end)
    is_beside = (p for p in pieces[at : at + 2] if p.end <= change.start or change.end <= p.start <= right)
    return next(is_beside, None)


def _continues(expected: Expected, lines: list[Line], change: Change) -> bool:
    """Whether added lines are read as a part of the answer above or below them."""
    at = bisect.bisect_right(expected.lines, change.start, key=lambda line: line.end)
    above = expected.lines[at - 1] if at else None
    at = bisect.bisect_left(expected.lines, change.start, key=lambda line: line.start)
    below = expected.lines[at] if at < len(expected.lines) else None
    first, stop = (bisect.bisect_left(lines, place, key=lambda line: line.start) for place in (change.at, change.until))
    added, rest = lines[first:stop], lines[stop] if stop < len(lines) else None
    if above and (piece := expected.piece_at(above.start, above.end)):
        while (other := expected.piece_at(piece.end, above.end)) is not None:
            piece = other  # the last of the line
        ends_it = piece.end >= above.start + len(above.text.rstrip(" .,;:!?)*_|"))
        is_whole = not above.text[: max(0, piece.start - above.start)].strip()
        if ends_it and not added[0].after_blank and (is_whole or not _NEW_BLOCK.match(added[0].text)):
            return True
    if below and rest and not rest.after_blank and not added[-1].text.startswith("#"):
        piece = expected.piece_at(below.start, below.end)
        return piece is not None and not below.text[: max(0, piece.start - below.start)].strip()
    return False


def _overruled(expected: Expected, text: str, lines: list[Line], added: list[Change]) -> Iterator[Finding]:
    """Entries of the front matter and addresses of references that others wrote and that stand instead of ours."""
    ours = [line for line in expected.lines if expected.piece_at(line.start, line.end) is not None] if added else []
    names = {_named(line, expected.front_matter) for line in ours} - {None}
    front = replace(expected, text=text).front_matter
    for change in added:
        first = bisect.bisect_left(lines, change.at, key=lambda line: line.end)
        stop = bisect.bisect_left(lines, change.until, key=lambda line: line.start)
        for line in lines[first:stop]:
            if (named := _named(line, front)) in names:
                what = f"a second {named and named[0]} “{named and named[1]}”: a reader gets one of the two"
                yield Finding(line.number, None, what)


def _displaced(expected: Expected, text: str, added: list[Change]) -> Iterator[Finding]:
    """Answers that nobody changed and that are no longer what they were: what others wrote around them makes code, a comment
    or something else of them, or puts them under another heading."""
    if expected.is_rendered or not added:
        return
    runs = equal_runs(expected.text, text)
    now, before = Document(text), Document(expected.text)
    places = [(piece, found_at(runs, piece.start, piece.end)) for piece in expected.pieces]
    for piece, at in places:
        blocks = before.block_at(piece.start, piece.start + 1), at is not None and now.block_at(at, at + 1)
        kinds = [block.kind if block else "nothing" for block in blocks]
        if at is not None and kinds[0] != kinds[1]:
            what = f"the answer{_to(piece)} was a {kinds[0]} and is now a part of {_KINDS.get(kinds[1], kinds[1])}"
            yield Finding(now.line_of(at), piece.keys[0] if piece.keys else None, what)
    for change in added:
        heads = [b for b in now.blocks if b.kind == "heading" and change.at <= b.start < change.until]
        if heads and not re.search(r"\w", expected.text[change.start : change.end]):
            later = (b.start for b in now.blocks if b.kind == "heading" and b.start >= change.until)
            following = next(later, len(text))
            under = next((piece for piece, at in places if at is not None and change.until <= at < following), None)
            if under is not None:
                what = f"the answer{_to(under)} now stands under “{text[heads[-1].start : heads[-1].end]}”"
                yield Finding(now.line_of(heads[-1].start), under.keys[0] if under.keys else None, what)


def _named(line: Line, front_matter: Span) -> tuple[str, str] | None:
    """What a line names: an entry of the front matter, or a reference."""
    is_yaml = front_matter[0] <= line.start <= front_matter[1]
    match = (_YAML_KEY if is_yaml else _DEFINITION).match(line.text)
    return ("entry" if is_yaml else "address of", match[1].casefold()) if match else None


def _listed(keys: list[str]) -> str:
    more = f" and {len(keys) - 5} more" if len(keys) > 5 else ""
    return ", ".join(keys[:5]) + more
