"""Cards, and what lies beside them on disk: the ledger that one was made from, and the report of a fill."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness.cards.record import CardRecord, sidecar_name
from harness.errors import ExitCode, HarnessError
from harness.evidence import Ledger


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
        return path.read_bytes(), path
    except OSError as error:
        raise HarnessError(f"Can't read the card {path}: {error.strerror}.", exit_code=ExitCode.USAGE) from error


def ledger_beside(card: Path | None, record: CardRecord | None) -> Ledger | None:
    """The ledger that a card names or that lies beside it; None where it was made without one.

    Raises:
        HarnessError: the card was made from a ledger that is not there.
    """
    if record is None or record.sha256 is None:
        return None
    sidecar = sidecar_name(card) if card is not None else None
    names = [record.ledger, sidecar, "evidence.json"]
    for name in filter(None, names if card is not None else ()):
        assert card is not None
        path = card.with_name(Path(name).name)
        if path.is_file():
            return Ledger.load(path)
    raise HarnessError(
        f"The ledger that {card or 'the card'} was made from, {record.ledger or sidecar}, is not beside it.",
        remedy="Put it there, or name it with --ledger.",
        exit_code=ExitCode.MISSING,
    )


def read_report(path: Path) -> dict[str, Any]:
    """What `harness fill --report` wrote. Raises HarnessError for another file."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(told, dict) or not {"markers", "neighbours"} <= told.keys():
            raise ValueError("no `markers` and `neighbours` in it")
    except (OSError, ValueError) as error:
        raise HarnessError(
            f"{path} is not the report of a fill: {error}.",
            remedy="Give the file that `harness fill --report` wrote.",
            exit_code=ExitCode.USAGE,
        ) from error
    return told
