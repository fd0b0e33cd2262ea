"""What is sent: a card, the figures that it shows, and the ledger that it was made from."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import unquote

from harness.cards.document import Document, apply_edits, decode, encode
from harness.cards.record import CardRecord, ledger_digest, read_record, record_edit
from harness.errors import CheckFailedError, UsageError
from harness.evidence import Ledger
from harness.hub.transport import CARD, holds_token
from harness.hub.validation import check_content

LEDGER = "evidence.json"
"""Where a card's ledger is in a repository."""
_FIGURE = re.compile(r"""(?:\]\(\s*<?|\bsrc\s*=\s*["']?)(?:\./)?(figures/[^\s)>"'#?]+)""")


@dataclass(frozen=True)
class LocalFile:
    """A file to send."""

    path: str
    """In the repository."""
    source: Path
    content: bytes = field(repr=False)
    state: str = "new"
    """`new`, `changed` or `same`, against what is on the Hub."""


def local_files(card: Path, ledger: Path | None, token: str | None) -> tuple[list[LocalFile], Ledger | None]:
    """A card, then the figures that it shows and its ledger; and what the ledger holds.

    Args:
        ledger: None for the one that the card's record names, else the evidence.json beside the card, if there is one.
        token: the one that no file may hold.

    Raises:
        HarnessError: a file can't be read or isn't what it should be, the ledger isn't the one that the card was made
            from, or a file holds a token.
    """
    content = _read(card, "card")
    check_content(content, str(card))
    record = read_record(decode(content))
    beside = card.parent / Path(record.ledger if record and record.ledger else LEDGER).name
    path = ledger or (beside if beside.is_file() else None)
    evidence = Ledger.load(path) if path is not None else None
    if evidence is not None and record is not None:
        if record.sha256 not in (None, ledger_digest(evidence)):
            raise CheckFailedError(
                f"{path} isn't the ledger that {card} was made from.",
                remedy="Fill or render the card again, or give its own ledger with --ledger.",
            )
        content = _naming(content, replace(record, ledger=LEDGER))
    files = [LocalFile(CARD, card, content)]
    shown = [(name, card.parent / name) for name in figures_of(content)]
    files += [LocalFile(name, source, source.read_bytes()) for name, source in shown if source.is_file()]
    if path is not None:
        files.append(LocalFile(LEDGER, path, _read(path, "ledger")))
    for file in files:
        if holds_token(file.content, token):
            raise CheckFailedError(
                f"{file.source} holds a Hub token, or what looks like one; it isn't sent.",
                remedy="Take it out, and revoke the token in the Hub's settings if it is real.",
            )
    return files, evidence


def figures_of(card: bytes) -> list[str]:
    """The files under `figures/` that a card shows, in order."""
    names = (unquote(name) for name in _FIGURE.findall(decode(card)))
    return [name for name in dict.fromkeys(names) if ".." not in name.split("/")]


def _naming(card: bytes, record: CardRecord) -> bytes:
    """The card with a record that names the ledger as it is called on the Hub."""
    text = decode(card)
    edit = record_edit(Document(text), record)
    return encode(apply_edits(text, [edit])) if edit is not None else card


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"Can't read the {what} {path}: {error.strerror}.", remedy="Give its path.") from error
