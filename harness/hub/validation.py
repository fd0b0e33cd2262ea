"""A card checked before it is sent.

The Hub's own endpoint is asked as well, when a commit is sent. This is for what it doesn't look at (two results under one
identity, of which a reader of the card keeps one source; a number that isn't in the ledger) and for an answer without
network.
"""

from __future__ import annotations

import yaml

from harness.cards.document import Document, decode
from harness.cards.hub_schema import card_faults, identity, results_of
from harness.cards.metadata import model_index
from harness.data.catalog import benchmarks
from harness.errors import CheckFailedError
from harness.evidence import Ledger

LARGEST_CARD = 10_000_000
"""Bytes; the Hub stores larger files apart, and doesn't show them as a card."""


def check_content(card: bytes, name: str) -> None:
    """Refuse what is no card at all.

    Raises:
        HarnessError: empty, not UTF-8, or too large.
    """
    if not card.strip():
        raise CheckFailedError(f"{name} is empty.", remedy="Give a card with content.")
    if len(card) > LARGEST_CARD:
        raise CheckFailedError(
            f"{name} has {len(card):,} bytes; the Hub shows no card over {LARGEST_CARD:,}.",
            remedy="Move large parts to files of their own.",
        )
    try:
        card.decode("utf-8")
    except UnicodeDecodeError as error:
        line = card.count(b"\n", 0, error.start) + 1
        raise CheckFailedError(
            f"{name}, line {line}: byte 0x{card[error.start]:02x} is not UTF-8, and the Hub takes nothing else.",
            remedy="Save the card as UTF-8.",
        ) from error


def check_card(card: bytes, theirs: bytes | None, name: str, ledger: Ledger | None, ledger_name: str) -> None:
    """Refuse a card whose front matter has faults that the one on the Hub doesn't have.

    Raises:
        HarnessError: names the faults.
    """
    there = {str(fault) for fault in card_faults(theirs)} if theirs else set()
    faults = [str(fault) for fault in card_faults(card) if str(fault) not in there]
    for score in unproven_scores(card, theirs, ledger) if ledger is not None else ():
        faults.append(f"model-index: {score} is not in {ledger_name} as measured on the whole benchmark")
    if faults:
        raise CheckFailedError(
            f"{name} has a front matter that the Hub wouldn't take:\n    " + "\n    ".join(faults),
            remedy="Mend it, then repeat the command.",
        )


def unproven_scores(card: bytes, there: bytes | None, ledger: Ledger) -> list[str]:
    """Scores on known benchmarks that a card adds to what is on the Hub and that its ledger doesn't hold as measured on
    the whole benchmark.

    Args:
        card: the card to send.
        there: the card on the Hub now.
    """
    known = {name for b in benchmarks().values() for name in (b.name, b.hub.id if b.hub else None) if name}
    added = _scores(_index_of(card)) - _scores(_index_of(there or b"")) - _scores(model_index(ledger))
    found = [f"{score[1]}{f', {score[5]}' if score[5] else ''}: {score[6]}" for score in added if score[1] in known]
    return sorted(found)


def _index_of(card: bytes) -> object:
    """A card's `model-index`; None where there is none, or none that can be read."""
    text = decode(card)
    span = Document(text).front_matter
    try:
        data = yaml.safe_load(text[slice(*span)]) if span else None
    except yaml.YAMLError:
        return None
    return data.get("model-index") if isinstance(data, dict) else None


def _scores(index: object) -> set[tuple[str | None, ...]]:
    return {
        (*identity(result), str(metric.get("name") or ""), str(metric.get("value")))
        for result in results_of(index)
        if isinstance(result.get("metrics"), list)
        for metric in result["metrics"]
        if isinstance(metric, dict)
    }
