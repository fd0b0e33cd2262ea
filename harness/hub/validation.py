"""A card checked before it is sent.

The Hub's own endpoint is asked as well, when a commit is sent. This is for what it doesn't look at (two results under one
identity, of which a reader of the card keeps one source; a number that isn't in the ledger) and for an answer without
network.
"""

from __future__ import annotations

from collections import Counter

import yaml

from harness.cards.document import Document, decode
from harness.cards.hub_schema import Fault, identity, metadata_faults, results_of
from harness.cards.metadata import model_index
from harness.data.catalog import benchmarks
from harness.errors import ExitCode, HarnessError
from harness.evidence import Ledger

LARGEST_CARD = 10_000_000
"""Bytes; the Hub stores larger files apart, and doesn't show them as a card."""


def check_content(card: bytes, name: str) -> None:
    """Refuse what is no card at all.

    Raises:
        HarnessError: empty, not UTF-8, or too large.
    """
    if not card.strip():
        raise HarnessError(f"{name} is empty.", remedy="Give a card with content.", exit_code=ExitCode.CHECK_FAILED)
    if len(card) > LARGEST_CARD:
        raise HarnessError(
            f"{name} has {len(card):,} bytes; the Hub shows no card over {LARGEST_CARD:,}.",
            remedy="Move large parts to files of their own.",
            exit_code=ExitCode.CHECK_FAILED,
        )
    try:
        card.decode("utf-8")
    except UnicodeDecodeError as error:
        line = card.count(b"\n", 0, error.start) + 1
        raise HarnessError(
            f"{name}, line {line}: byte 0x{card[error.start]:02x} is not UTF-8, and the Hub takes nothing else.",
            remedy="Save the card as UTF-8.",
            exit_code=ExitCode.CHECK_FAILED,
        ) from error


def card_faults(card: bytes) -> list[Fault]:
    """What the front matter of a card has that the Hub's schema doesn't allow."""
    text = decode(card)
    span = Document(text).front_matter
    if span is None:
        if text.lstrip("\ufeff").startswith("---"):
            return [Fault("", "the front matter's closing line '---' is missing")]
        return []
    try:
        root = yaml.compose(text[slice(*span)], Loader=yaml.SafeLoader)
        data = yaml.safe_load(text[slice(*span)])
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 2}: " if mark else ""
        return [Fault("", f"{line}the front matter is not valid YAML: {getattr(error, 'problem', None) or error}")]
    if data is None:
        return []
    if not isinstance(root, yaml.MappingNode) or not isinstance(data, dict):
        return [Fault("", "the front matter is not a list of keys and values")]
    counted = Counter(str(key.value) for key, _ in root.value)
    twice = [Fault(key, "is given more than once") for key, count in counted.items() if count > 1]
    return twice + metadata_faults(data)


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
