"""Cards on disk, and the record that one carries of how it was made: an HTML comment at its end, which no page shows and
the Hub keeps.

The record names the ledger beside the card with its SHA-256 and, for a filled card, the record of the fill: the card as it
was before and each answer. The card can be verified on another machine with these files alone. Front matter would not do:
the Hub's own tools write it anew.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from typing_extensions import TypedDict  # pydantic needs it until Python 3.12

from harness import __version__
from harness.cards.document import Document, Edit, encode
from harness.errors import ExitCode, HarnessError, UsageError
from harness.evidence import Ledger
from harness.files import write_bytes
from harness.parsing.files import MalformedError, read_bytes, shown
from harness.parsing.json import parse_json, read_json, shaped

_RECORD = re.compile(r"(?:\r\n|\n|\r){0,2}<!-- harness card (?P<fields>\{[^\r\n]*\}) -->(?:\r\n|\n|\r)?")


@dataclass(frozen=True)
class CardRecord:
    """How a card was made."""

    made_by: Literal["render", "fill"]
    model: str
    """Registry name or Hub reference."""
    ledger: str | None
    """File name of the ledger beside the card; None where the card was not saved with one."""
    sha256: str | None
    """Of the ledger as harness writes it; None where the card rests on documented facts alone."""
    harness: str = __version__
    fill: str | None = None
    """File name of the record of the fill beside the card."""
    before: str | None = None
    """For a filled card, SHA-256 of the card before, without which nobody can tell what the fill wrote."""
    lines: str | None = None
    """For a rendered card, four characters of the SHA-256 of each line: another version of harness can't write it again."""
    figures: dict[str, str] | None = None
    """For a rendered card, sixteen digits of the SHA-256 of each figure by its path beside it: another version of the drawing
    library draws other bytes."""

    def __str__(self) -> str:
        of_one_kind = ("fill", "before", "lines", "figures")
        known = {name: value for name, value in asdict(self).items() if value is not None or name not in of_one_kind}
        fields = json.dumps(known, ensure_ascii=False).replace(">", "\\u003e")
        return f"<!-- harness card {fields} -->"


def sidecar_name(card: Path) -> str:
    """File name of the ledger beside a card: `card.md` -> `card.evidence.json`."""
    return f"{card.stem}.evidence.json"


def fill_name(sidecar: str) -> str:
    """File name of the record of a fill, from that of the ledger: `card.evidence.json` -> `card.fill.json`."""
    return f"{sidecar.removesuffix('evidence.json')}fill.json"


def ledger_digest(ledger: Ledger) -> str:
    """SHA-256 of a ledger as harness writes it, hexadecimal."""
    return hashlib.sha256(ledger.to_json().encode()).hexdigest()


def read_record(text: str) -> CardRecord | None:
    """The record of a card's text, or None where it has none.

    Raises:
        HarnessError: the comment was edited and can't be read.
    """
    found = list(_RECORD.finditer(text))
    if not found:
        return None
    try:
        return parse_json(found[-1]["fields"].encode(), "the record", CardRecord)
    except (MalformedError, UnicodeEncodeError) as error:
        why = error.why if isinstance(error, MalformedError) else "it is not UTF-8"
        raise HarnessError(
            f"The card's record (the comment `harness card`) can't be read: {why}.",
            remedy="Restore the card's last line, or make the card again.",
        ) from error


def line_digest(line: str) -> str:
    """Four characters that a line of a card is recognised by."""
    return base64.b64encode(hashlib.sha256(line.encode("utf-8", "surrogateescape")).digest()[:3]).decode()


def figure_digest(svg: str) -> str:
    """Sixteen digits that a figure is recognised by, whatever its line ends."""
    return hashlib.sha256(svg.replace("\r\n", "\n").encode()).hexdigest()[:16]


def changed_figures(card: Path, record: CardRecord | None) -> list[str]:
    """The figures beside a card that are not those it was rendered with."""
    known = (record.figures if record else None) or {}
    beside = {file: card.parent / file for file in known if ".." not in Path(file).parts}
    there = {file: path.read_text("utf-8", "replace") for file, path in beside.items() if path.is_file()}
    return [file for file, svg in there.items() if figure_digest(svg) != known[file]]


def blanked(text: str) -> str:
    """The card's text with spaces in place of its record, so that lines and offsets stay what they are."""
    return _RECORD.sub(lambda match: re.sub(r"[^\r\n]", " ", match.group()), text)


def without_record(text: str) -> str:
    """The card's text without its record and the line break that belongs to it."""
    return _RECORD.sub("", text)


def read_comment(text: str) -> str:
    """The record of a card's text as it stands there; empty where it has none."""
    found = list(_RECORD.finditer(text))
    return found[-1].group().strip() if found else ""


def record_edit(document: Document, record: CardRecord | str) -> Edit | None:
    """The edit that puts a record, or a text that ends with one, into a card, in place of an older one or at the end; None
    inside an open code block or comment, where it would be shown or lost."""
    text, newline = document.text, document.newline
    old = list(_RECORD.finditer(text))
    if old:
        return Edit(old[-1].start(), old[-1].end(), f"{newline}{newline}{record}{newline}")
    last = document.blocks[-1] if document.blocks else None
    rest = text[last.end :] if last else ""
    in_fence = last is not None and last.kind == "fence" and not re.search(r"```|~~~", rest)
    if in_fence or text.rfind("<!--") > text.rfind("-->"):
        return None
    blank = "" if not text.strip() else newline if text.endswith(("\n", "\r")) else newline * 2
    return Edit(len(text), len(text), f"{blank}{record}{newline}")


# --- files ---


def read_card(card: str | bytes | Path) -> tuple[bytes, Path | None]:
    """A card's bytes, and the file they were read from.

    Args:
        card: a path; or the card itself, as bytes or as text of more than one line.

    Raises:
        HarnessError: the file can't be read.
    """
    if isinstance(card, bytes):
        return card, None
    if isinstance(card, str) and "\n" in card:
        return card.encode(), None
    path = Path(card)
    try:
        return read_bytes(path), path
    except MalformedError as error:
        raise UsageError(
            f"Can't read the card {shown(path)}: {error.why}.", remedy="Give the path of a Markdown file."
        ) from error


def ledger_beside(card: Path | None, record: CardRecord | None) -> Ledger | None:
    """The ledger that a card names or that lies beside it; None where it was made without one.

    Raises:
        HarnessError: the card was made from a ledger that is not there.
    """
    if record is None or record.sha256 is None:
        return None
    remedy = "Put it there, or name it with --ledger."
    return Ledger.load(
        _beside(card, record.ledger, "evidence.json", f"The ledger that {card or 'the card'} was made from", remedy)
    )


class _Span(TypedDict):
    start: int
    end: int


class _Answer(TypedDict):
    question: str | None
    new: str
    span: _Span


class _Told(TypedDict):
    """What has to be in the record of a fill; there is more for people."""

    before: str
    markers: list[_Answer]
    neighbours: list[_Answer]


def fill_beside(card: Path | None, record: CardRecord | None) -> dict[str, Any] | None:
    """The record of the fill that a filled card names; None for another card.

    Raises:
        HarnessError: it is not beside the card, or is damaged.
    """
    if record is None or record.made_by != "fill":
        return None
    remedy = "Put it there: without it nobody can tell what the fill wrote from what its author did."
    path = _beside(card, record.fill, "fill.json", f"The record of the fill of {card or 'the card'}", remedy)
    try:
        told = read_json(path)
        shaped(told, _Told, path)
    except MalformedError as error:
        raise UsageError(f"{path} is not the record of a fill: {error.why}.", remedy="Fill the card again.") from error
    return told  # with all that it tells besides


def earlier_fill(card: Path | None, text: str) -> dict[str, Any] | None:
    """The record of the fill that a card was made by, to fill it again; None for another card.

    Raises:
        HarnessError: it is not beside the card, is damaged, or is that of another card.
    """
    record = read_record(text)
    told = fill_beside(card, record)
    if record and told and record.before not in (None, hashlib.sha256(encode(told["before"])).hexdigest()):
        message = f"{record.fill} is not the record of the fill of {card}: it is of another card, or was changed."
        remedy = "Put the right one there; or remove the card's last line, and its answers count as its author's."
        raise HarnessError(message, remedy=remedy, exit_code=ExitCode.CHECK_FAILED)
    return told


def _beside(card: Path | None, name: str | None, suffix: str, what: str, remedy: str) -> Path:
    """A file that belongs to a card: by the card's own name, by the name that its record has, or by the plain one."""
    names = [f"{card.stem}.{suffix}", name, suffix] if card is not None else []
    paths = [card.with_name(Path(name).name) for name in names if name and card]
    found = next((path for path in paths if path.is_file()), None)
    if found is None:
        missing = name or (f"{card.stem}.{suffix}" if card else suffix)
        raise HarnessError(f"{what}, {missing}, is not beside it.", remedy=remedy, exit_code=ExitCode.MISSING)
    return found


def save_fill(path: Path, report: Mapping[str, Any]) -> None:
    """Write the record of a fill; bytes of the card that are not UTF-8 are kept as escapes."""
    text = json.dumps(report, indent=2, ensure_ascii=False) + "\n"
    write_bytes(path, text.encode("utf-8", "backslashreplace"))
