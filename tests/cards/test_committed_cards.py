"""The cards in `cards/` are what their committed ledgers make, verify with these alone, and say nothing of any machine."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from harness.cards.metadata import check_metadata
from harness.cards.record import sidecar_name
from harness.cards.render import render_card
from harness.cards.verify import verify_card
from harness.evidence import EvidenceClass, Ledger
from tests.cards.test_rendered_cards import check_size

FOLDER = Path(__file__).resolve().parents[2] / "cards"
CARDS = sorted(FOLDER.glob("*.md"))
HINT = "out of date: run python cards/regenerate.py"


def test_there_is_a_card_for_each_model() -> None:
    names = [card.stem for card in CARDS]
    assert names == ["convnext-base-224-22k", "efficientnet-lite0", "regnet-y-040"]


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.stem)
def test_a_card_is_what_its_ledger_makes(card: Path) -> None:
    ledger = Ledger.load(card.with_name(sidecar_name(card)))
    again = render_card(ledger, sidecar=sidecar_name(card))
    assert card.read_text("utf-8") == again.text, f"{card.name} is {HINT}"
    for figure in again.figures:
        assert (FOLDER / figure.file).is_file(), f"{figure.file} is {HINT}"
    for file, text in again.tables.items():
        assert (FOLDER / file).read_text("utf-8") == text, f"{file} is {HINT}"


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.stem)
def test_a_card_is_read_in_a_minute(card: Path) -> None:
    check_size(card.read_text("utf-8"))


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.stem)
def test_a_card_verifies_and_the_hub_reads_its_front_matter(card: Path) -> None:
    ledger = Ledger.load(card.with_name(sidecar_name(card)))
    assert verify_card(card.read_bytes(), ledger=ledger).findings == []
    front_matter = yaml.safe_load(card.read_text("utf-8").split("---\n")[1])
    check_metadata(front_matter)
    assert "model-index" not in front_matter  # nothing was measured on a whole benchmark


@pytest.mark.parametrize(
    "file", sorted(FOLDER.glob("*.md")) + sorted(FOLDER.glob("*.json")), ids=lambda file: file.name
)
def test_nothing_of_a_machine_is_inside(file: Path) -> None:
    text = re.sub(r"https?://[^\s)\"]+", "", file.read_text("utf-8"))
    assert re.findall(r"(?<![\w.<])/(?:home|root|work|tmp|Users|var|mnt|opt)/\S+", text) == []


def test_values_from_the_resized_images_say_so() -> None:
    ledger = Ledger.load(FOLDER / "efficientnet-lite0.evidence.json")
    values = [item for item in ledger if item.name.benchmark in ("imagenet-val", "imagenet-real")]
    measured = [item for item in values if item.class_ is EvidenceClass.MEASURED]
    assert measured
    assert all(item.reason and "227" in item.reason for item in measured)
    assert all(item.n is not None and item.n <= 1_300 for item in measured if "." in item.key)
