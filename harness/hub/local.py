"""What is sent: a card, the figures that it shows, and the ledger that it was made from."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import unquote

from harness.cards.document import Document, apply_edits, decode, encode
from harness.cards.record import CardRecord, ledger_digest, read_record, record_edit
from harness.errors import ExitCode, HarnessError
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


@dataclass(frozen=True)
class Bundle:
    """What goes into one commit."""

    card: LocalFile
    figures: tuple[LocalFile, ...]
    ledger: LocalFile | None
    evidence: Ledger | None
    """What the ledger's file holds."""

    @property
    def files(self) -> tuple[LocalFile, ...]:
        """All of them, the card first."""
        return (self.card, *self.figures, *([self.ledger] if self.ledger else []))


def read_bundle(card: Path, ledger: Path | None, token: str | None) -> Bundle:
    """A card with what belongs to it.

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
    evidence = _evidence(path, card, record) if path is not None else None
    if evidence is not None and record is not None:
        content = _naming(content, replace(record, ledger=LEDGER))
    shown = [(name, card.parent / name) for name in figures_of(content)]
    bundle = Bundle(
        LocalFile(CARD, card, content),
        tuple(LocalFile(name, source, source.read_bytes()) for name, source in shown if source.is_file()),
        LocalFile(LEDGER, path, _read(path, "ledger")) if path is not None else None,
        evidence,
    )
    for file in bundle.files:
        if holds_token(file.content, token):
            raise HarnessError(
                f"{file.source} holds a Hub token, or what looks like one; it isn't sent.",
                remedy="Take it out, and revoke the token in the Hub's settings if it is real.",
                exit_code=ExitCode.CHECK_FAILED,
            )
    return bundle


def figures_of(card: bytes) -> list[str]:
    """The files under `figures/` that a card shows, in order."""
    names = (unquote(name) for name in _FIGURE.findall(decode(card)))
    return [name for name in dict.fromkeys(names) if ".." not in name.split("/")]


def _evidence(path: Path, card: Path, record: CardRecord | None) -> Ledger:
    ledger = Ledger.load(path)
    if record is not None and record.sha256 is not None and record.sha256 != ledger_digest(ledger):
        raise HarnessError(
            f"{path} isn't the ledger that {card} was made from.",
            remedy="Fill or render the card again, or give its own ledger with --ledger.",
            exit_code=ExitCode.CHECK_FAILED,
        )
    return ledger


def _naming(card: bytes, record: CardRecord) -> bytes:
    """The card with a record that names the ledger as it is called on the Hub."""
    text = decode(card)
    edit = record_edit(Document(text), record)
    return encode(apply_edits(text, [edit])) if edit is not None else card


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise HarnessError(
            f"Can't read the {what} {path}: {error.strerror}.", remedy="Give its path.", exit_code=ExitCode.USAGE
        ) from error
