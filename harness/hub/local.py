"""What is sent: a card, the figures that it shows, and the ledger that it was made from; and what is checked before.

The Hub's own endpoint is asked about the card as well, when a commit is sent. The checks here are for what it doesn't look at
(two results under one identity, of which a reader of the card keeps one source; a number that isn't in the ledger) and for
an answer without network.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import unquote

from harness.cards.document import Document, apply_edits, decode, encode
from harness.cards.hub_schema import card_faults, identity, results_of
from harness.cards.metadata import model_index, read_metadata
from harness.cards.record import fill_beside, ledger_digest, read_record, record_edit
from harness.credentials import credential_in
from harness.data.catalog import benchmarks
from harness.errors import CheckFailedError, UsageError
from harness.evidence import Ledger
from harness.hub.transport import CARD
from harness.parsing.files import MalformedError, read_bytes, shown

LEDGER, FILL = "evidence.json", "fill.json"
"""Where a card's ledger and the record of its fill are in a repository."""
_LARGEST_CARD = 10_000_000
"""Bytes; the Hub stores larger files apart, and doesn't show them as a card."""
_SHOWN = {
    ".png": ("PNG picture", rb"\x89PNG\r\n\x1a\n"),
    ".jpg": ("JPEG picture", rb"\xff\xd8\xff"),
    ".jpeg": ("JPEG picture", rb"\xff\xd8\xff"),
    ".gif": ("GIF picture", rb"GIF8[79]a"),
    ".webp": ("WebP picture", rb"RIFF.{4}WEBP"),
    ".svg": ("SVG picture", rb"\s*<(?:\?xml|!DOCTYPE svg|!--|svg)"),
    ".csv": ("table of groups", rb"key,benchmark,slicing,group,"),
}
"""What the name of a figure, or of harness's table of every group, says that it is, and how such a file begins."""
_FIGURE = re.compile(r"""(?:\]\(\s*<?|\bsrc\s*=\s*["']?)(?:\./)?(figures/[^\s)>"'#?]+)""")


@dataclass(frozen=True)
class LocalFile:
    """A file to send."""

    path: str
    """In the repository."""
    source: Path
    content: bytes = field(repr=False)
    kind: str = "model card"
    state: str = "new"
    """`new`, `changed` or `same`, against what is on the Hub."""


def local_files(card: Path, ledger: Path | None, token: str | None) -> tuple[list[LocalFile], Ledger | None]:
    """A card, then the figures that it shows, its ledger and the record of its fill; and what the ledger holds.

    Args:
        ledger: None for the one that the card's record names, else the evidence.json beside the card, if there is one.
        token: the one that no file may hold.

    Raises:
        HarnessError: a file can't be read or isn't what it should be, the ledger isn't the one that the card was made
            from, or a file holds a token.
    """
    content = _read(card, "card")
    _check_content(content, str(card))
    text = decode(content)
    record = read_record(text)
    beside = card.parent / Path(record.ledger if record and record.ledger else LEDGER).name
    path = ledger or (beside if os.path.lexists(beside) else None)
    ledger_content = _read(path, "ledger", None if ledger else card.parent) if path is not None else b""
    evidence = Ledger.load(path) if path is not None else None
    if evidence is not None and record is not None:
        if record.sha256 not in (None, ledger_digest(evidence)):
            message = f"{path} isn't the ledger that {card} was made from."
            remedy = "Fill or render the card again, or give its own ledger with --ledger."
            raise CheckFailedError(message, remedy=remedy)
        named = replace(record, ledger=LEDGER, fill=record.fill and FILL)  # as they are called on the Hub
        edit = record_edit(Document(text), named)
        content = encode(apply_edits(text, [edit] if edit else []))
    files = [LocalFile(CARD, card, content)]
    shown = [(name, card.parent / name) for name in figures_of(content)]
    files += [_figure(name, source, card.parent) for name, source in shown if os.path.lexists(source)]
    if path is not None:
        files.append(LocalFile(LEDGER, path, ledger_content, "ledger"))
        if record is not None and record.fill is not None:
            fill = card.parent / Path(record.fill).name
            if os.path.lexists(fill):
                files.append(
                    LocalFile(FILL, fill, _read(fill, "record of the fill", card.parent), "record of the fill")
                )
                fill_beside(card, record)  # is refused where it is none
    for file in files:
        held = credential_in(file.content, token)
        if held is not None:
            message = f"{file.source} holds {held}, or what looks like one; it isn't sent."
            raise CheckFailedError(message, remedy="Take it out, and revoke it where it is from if it is real.")
    return files, evidence


def _figure(name: str, source: Path, folder: Path) -> LocalFile:
    """A figure or table of the card. Raises HarnessError where it isn't in the card's folder what its name says."""
    content = _read(source, "figure", folder)
    kind, begins = _SHOWN.get(source.suffix.lower(), (None, b""))
    if kind is None:
        message = f"{source} is no picture and no table by its name; it isn't sent."
        raise CheckFailedError(message, remedy=f"Sent is what ends in {', '.join(_SHOWN)}.")
    if not re.match(begins, content, re.DOTALL):
        message = f"{source} is called {source.suffix} and doesn't begin like a {kind}; it isn't sent."
        raise CheckFailedError(message, remedy="Give the card the file itself, under a name that fits.")
    return LocalFile(name, source, content, kind)


def figures_of(card: bytes) -> list[str]:
    """The files under `figures/` that a card shows, in order."""
    names = (unquote(name) for name in _FIGURE.findall(decode(card)))
    return [name for name in dict.fromkeys(names) if ".." not in name.split("/")]


def _read(path: Path, what: str, within: Path | None = None) -> bytes:
    """A regular file's bytes.

    Args:
        within: the folder that it must lie in, links followed; None for a file that was named by the user.

    Raises:
        HarnessError: it can't be read, is no regular file, or lies elsewhere.
    """
    try:
        there = path.resolve()
        if within is not None and not there.is_relative_to(within.resolve()):
            message = f"The {what} {path} is a link to {there}, outside the card's folder; it isn't sent."
            raise CheckFailedError(message, remedy="Put a copy in its place if it is to be published.")
        return read_bytes(there)
    except MalformedError as error:
        raise UsageError(f"Can't read the {what} {shown(path)}: {error.why}.", remedy="Give its path.") from error


def _check_content(card: bytes, name: str) -> None:
    """Refuse what is no card at all: empty, not UTF-8, or too large."""
    if not card.strip():
        raise CheckFailedError(f"{name} is empty.", remedy="Give a card with content.")
    if len(card) > _LARGEST_CARD:
        message = f"{name} has {len(card):,} bytes; the Hub shows no card over {_LARGEST_CARD:,}."
        raise CheckFailedError(message, remedy="Move large parts to files of their own.")
    try:
        card.decode("utf-8")
    except UnicodeDecodeError as error:
        line = card.count(b"\n", 0, error.start) + 1
        message = f"{name}, line {line}: byte 0x{card[error.start]:02x} is not UTF-8, and the Hub takes nothing else."
        raise CheckFailedError(message, remedy="Save the card as UTF-8.") from error


def check_card(card: bytes, theirs: bytes | None, name: str, ledger: Ledger | None, ledger_name: str) -> None:
    """Refuse a card whose front matter has faults that the one on the Hub doesn't have.

    Raises:
        HarnessError: names the faults.
    """
    there = card_faults(theirs or b"")
    faults = [fault for fault in card_faults(card) if fault not in there]
    for score in unproven_scores(card, theirs, ledger) if ledger is not None else ():
        faults.append(f"model-index: {score} is not in {ledger_name} as measured on the whole benchmark")
    if faults:
        message = f"{name} has a front matter that the Hub wouldn't take:\n    " + "\n    ".join(faults)
        raise CheckFailedError(message, remedy="Mend it, then repeat the command.")


def unproven_scores(card: bytes, there: bytes | None, ledger: Ledger) -> list[str]:
    """Scores on known benchmarks that a card adds to what is on the Hub and that its ledger doesn't hold as measured on
    the whole benchmark.

    Args:
        card: the card to send.
        there: the card on the Hub now.
    """
    known = {name for b in benchmarks(ledger).values() for name in (b.name, b.hub.id if b.hub else None) if name}
    added = _scores(_index_of(card)) - _scores(_index_of(there or b"")) - _scores(model_index(ledger))
    found = [f"{score[1]}{f', {score[5]}' if score[5] else ''}: {score[6]}" for score in added if score[1] in known]
    return sorted(found)


def _index_of(card: bytes) -> object:
    """A card's `model-index`; None where there is none, or none that can be read."""
    text = decode(card)
    span = Document(text).front_matter
    return (read_metadata(text[slice(*span)]) or {}).get("model-index") if span else None


def _scores(index: object) -> set[tuple[str | None, ...]]:
    return {
        (*identity(result), str(metric.get("name") or ""), str(metric.get("value")))
        for result in results_of(index)
        if isinstance(result.get("metrics"), list)
        for metric in result["metrics"]
        if isinstance(metric, dict)
    }
