"""Text from a ledger is data: whatever field it is in, no tag of it reaches a card."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from harness.cards.fill import fill_card
from harness.cards.render import render_card
from harness.evidence import Ledger

CARDS = Path(__file__).parents[2] / "cards"
TAG = "<img src=x onerror=alert(1)>"
KEPT = {"key", "class", "kind", "created"}
"""Fields that are checked, or that choose a template."""


def with_tags(part: Any, name: str = "") -> Any:
    """The same JSON with a tag behind each text."""
    if isinstance(part, dict):
        return {key: with_tags(value, key) for key, value in part.items()}
    if isinstance(part, list):
        return [with_tags(value, name) for value in part]
    return part + TAG if isinstance(part, str) and name not in KEPT else part


@pytest.mark.parametrize("model", ["efficientnet-lite0", "regnet-y-040"])
def test_no_tag_reaches_a_card(model: str) -> None:
    told = json.loads((CARDS / f"{model}.evidence.json").read_text())
    evidence = {**told, "evidence": with_tags(told["evidence"])}
    about = with_tags(told["model"]) | {"name": told["model"]["name"]}
    hostile = Ledger.model_validate({**evidence, "model": about, "environment": with_tags(told["environment"])})
    card = b"# A card\n\n- Parameters: [More Information Needed]\n- Top-1: [More Information Needed]\n"
    filled = fill_card(card, model=model, ledger=hostile).text
    for text in (render_card(hostile).text, filled.decode()):
        shown = re.sub(r"(?ms)^```.*?^```$|`[^`\n]*`|^<!-- harness card.*", "", text)
        assert TAG not in shown
        assert "<img src=x" not in shown
