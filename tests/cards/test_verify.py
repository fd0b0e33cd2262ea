"""Verification finds an edited digit, a wrong unit, a missing interval and an answer that was changed."""

from __future__ import annotations

import pytest

from harness.cards.fill import fill_card
from harness.cards.verify import verify_card
from harness.evidence import Ledger
from tests.cards.conftest import full_ledger

CARD = b"# Evaluation\n\n## Results\n\n[More Information Needed]\n\n- **Funded by:** [More Information Needed]\n"


@pytest.fixture(scope="module")
def ledger() -> Ledger:
    return full_ledger()


def test_a_card_as_it_was_filled_verifies(ledger: Ledger) -> None:
    result = fill_card(CARD, model="regnet-y-040", ledger=ledger)
    assert b"n = 50,000" in result.text
    assert verify_card(result.text, ledger=ledger, report=result.report) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"71.11 % (95", b"71.12 % (95"),
        (b"70.71\xe2\x80\x9371.51", b"70.71\xe2\x80\x9371.52"),
        (b"n = 7,500", b"n = 7,501"),
        (b"71.11 % (95", b"71.11 points (95"),
    ],
)
def test_an_edited_measurement_is_found_with_line_and_key(ledger: Ledger, old: bytes, new: bytes) -> None:
    result = fill_card(CARD, model="regnet-y-040", ledger=ledger)
    assert result.text.count(old) == 1
    edited = result.text.replace(old, new)
    (finding,) = verify_card(edited, ledger=ledger)
    assert finding.key == ("imagenet-a.top1" if b"7,500" in old else "imagenet-val.top1")
    assert new.decode().split()[0] in edited.decode().splitlines()[finding.line - 1]


def test_an_answer_that_was_changed_is_found(ledger: Ledger) -> None:
    result = fill_card(CARD, model="regnet-y-040", ledger=ledger)
    edited = result.text.replace(b"no funding source is named", b"the moon paid")
    (finding,) = verify_card(edited, ledger=ledger, report=result.report)
    assert finding.key == "documented.model.funding"


def test_a_missing_interval_is_found_through_the_report(ledger: Ledger) -> None:
    result = fill_card(CARD, model="regnet-y-040", ledger=ledger)
    edited = result.text.replace(b" (95 % interval 70.71\xe2\x80\x9371.51, n = 50,000)", b"")
    assert edited != result.text
    assert [f.key for f in verify_card(edited, ledger=ledger, report=result.report)] == ["imagenet-val.top1"]


def test_a_measurement_without_evidence_is_found(ledger: Ledger) -> None:
    card = "ObjectNet reaches 3.1 % (95 % interval 2.9–3.4, n = 18,574).\n".encode()
    (finding,) = verify_card(card, ledger=Ledger(model={}))
    assert finding.key is None
    assert "no evidence" in finding.message
