"""Claims: the wrong ones in the source cards are found, the right ones are left alone."""

from __future__ import annotations

import pytest

from harness.cards.claims import Verdict, check_claims, parse_number, replace_contradicted
from harness.cards.fill import fill_card
from harness.evidence import Ledger
from tests.cards.conftest import LEDGERS

WRONG = {
    "regnet-y-040": {33, 108, 153, 157, 213, 260, 315},
    "convnext-base-224-22k": {
        18, 34, 43, 140, 149, 150, 167, 168, 169, 194, 204, 213, 243, 265, 279, 288, 333, 344, 348, 352,
    },
}  # fmt: skip
"""Lines that the documented facts contradict, or that are true of another checkpoint only."""
RIGHT = {
    "regnet-y-040": {38, 155, 161, 163, 177, 292},
    "convnext-base-224-22k": {154, 155, 156, 159, 171, 172, 173, 174, 350},
}


def verdicts(
    card: str, model: str = "convnext-base-224-22k", ledger: Ledger | None = None
) -> list[tuple[str, Verdict]]:
    return [(claim.about, claim.verdict) for claim in check_claims(card.encode(), model=model, ledger=ledger)]


def test_the_wrong_lines_of_the_source_cards_are_found_and_no_right_one(source_card: tuple[str, bytes]) -> None:
    model, card = source_card
    claims = check_claims(card, model=model, ledger=None)
    wrong = {c.line for c in claims if c.verdict in (Verdict.CONTRADICTED, Verdict.OTHER_CHECKPOINT)}
    assert wrong == WRONG[model]
    assert {c.line for c in claims if c.verdict is Verdict.SUPPORTED} >= RIGHT[model]
    assert all(c.source for c in claims if c.verdict is not Verdict.UNSUPPORTED)


def test_a_filled_card_makes_no_new_wrong_claim(source_card: tuple[str, bytes]) -> None:
    """What the fill writes is itself checked: nothing in it may be contradicted."""
    model, card = source_card
    before = {c.text for c in check_claims(card, model=model, ledger=None)}
    filled = fill_card(card, model=model, ledger=None).text
    new = [c for c in check_claims(filled, model=model, ledger=None) if c.text not in before]
    assert [c for c in new if c.verdict in (Verdict.CONTRADICTED, Verdict.OTHER_CHECKPOINT)] == []


@pytest.mark.parametrize(
    ("card", "verdict"),
    [
        ("Warmup: 5 epochs", Verdict.SUPPORTED),
        ("Warmup: 50 epochs", Verdict.OTHER_CHECKPOINT),
        ("Warmup: 7 epochs", Verdict.CONTRADICTED),
        ("The batch size of 4,096 was used.", Verdict.SUPPORTED),
        ("It has 109.95 million parameters.", Verdict.SUPPORTED),
        ("It has 110 million parameters.", Verdict.SUPPORTED),  # as exactly as it is stated
        ("It has 88.6 million parameters.", Verdict.OTHER_CHECKPOINT),
        ("It has 50 million parameters.", Verdict.CONTRADICTED),
        ("ImageNet top-1 accuracy of 85.82 %", Verdict.OTHER_CHECKPOINT),
    ],
)
def test_a_value_is_compared_with_this_checkpoint_first(card: str, verdict: Verdict) -> None:
    assert [found for _, found in verdicts(card)] == [verdict]


def test_a_measured_value_decides() -> None:
    assert verdicts("It reaches 71.11% top-1.", "efficientnet-lite0", LEDGERS["full"]) == [
        ("top-1 accuracy", Verdict.SUPPORTED)
    ]
    assert verdicts("It reaches 74.8% top-1.", "efficientnet-lite0", LEDGERS["full"]) == [
        ("top-1 accuracy", Verdict.CONTRADICTED)
    ]


def test_two_values_that_nothing_decides_between_are_inconsistent() -> None:
    claims = check_claims(b"Epochs: 90\n\nIt ran for 300 epochs.\n", model="somebody/else", ledger=None)
    assert [claim.verdict for claim in claims] == [Verdict.INCONSISTENT] * 2
    assert claims[0].note
    assert claims[0].note.startswith("line 3 says")


def test_other_words_are_no_claims() -> None:
    assert verdicts("In 2020, 3 people at 5 desks wrote 12 pages about 40 networks.") == []


@pytest.mark.parametrize(
    ("text", "value"), [("5•10^-5", 5e-5), ("5 × 10⁻⁵", 5e-5), ("1e-8", 1e-8), ("1,281,167", 1281167), ("0.4", 0.4)]
)
def test_numbers_in_any_notation(text: str, value: float) -> None:
    assert parse_number(text) == pytest.approx(value, rel=1e-12)


def test_contradicted_values_are_replaced_and_a_second_check_is_content() -> None:
    card = b"Learning rate (lr): 0.1, set somewhere.\r\nWeight decay: 5e-5\r\n"
    fixed, claims = replace_contradicted(card, check_claims(card, model="regnet-y-040", ledger=None))
    assert fixed == b"Learning rate (lr): 0.4, set somewhere.\r\nWeight decay: 5e-5\r\n"
    assert [claim.about for claim in claims] == ["learning rate"]
    assert {c.verdict for c in check_claims(fixed, model="regnet-y-040", ledger=None)} == {Verdict.SUPPORTED}


def test_a_sentence_about_another_checkpoints_training_keeps_its_numbers() -> None:
    card = b"It was then fine-tuned for 30 epochs with a batch size of 512.\n"
    fixed, _ = replace_contradicted(card, check_claims(card, model="convnext-base-224-22k", ledger=None))
    assert fixed == card


def test_filling_can_mend_claims_too() -> None:
    card = b"Learning rate (lr): 0.1\n\nBatch size: [More Information Needed]\n"
    result = fill_card(card, model="regnet-y-040", ledger=None, fix_claims=True)
    assert result.text.startswith(b"Learning rate (lr): 0.4\n\nBatch size: 512 images")
    assert [claim["correct"] for claim in result.report["claims"]] == ["0.4"]
