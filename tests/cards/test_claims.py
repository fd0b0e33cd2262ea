"""Claims: the wrong ones in the source cards are found, the right ones are left alone."""

from __future__ import annotations

import pytest

from harness.cards.claims import Verdict, check_claims, parse_number, replace_contradicted
from harness.cards.fill import fill_card
from harness.evidence import Ledger
from tests.cards.conftest import LEDGERS

# Written by hand, line by line against the sources' facts, before looking at what the code finds.
WRONG = {
    "regnet-y-040": {
        33: "RegNet is from the 2020 paper, not from the 2019 project",
        108: "models up to 32GF are published",
        153: "0.1 is the reference rate; 0.4 was used",
        157: "128 images on one GPU became 64 on each of 8",
        213: "at low flops EfficientNet is better",
        249: "the paper compares ResNet and ResNeXt with RegNetX only",
        260: "the same",
        276: "the same",
        315: "as line 157",
    },
    "convnext-base-224-22k": {
        18: "300 epochs are those of the ImageNet-1k and isotropic models",
        34: "institutions among the people",
        43: "this checkpoint is not fine-tuned",
        140: "999 of the 1,000 classes are among the 21,841",
        149: "384 pixels belong to the fine-tuned checkpoints",
        150: "the same",
        167: "50 epochs belong to the isotropic model; 5 here",
        168: "disabled in the isotropic model; 1e-6 here",
        169: "0.2 is of the isotropic model and of fine-tuning; 0.1 here",
        194: "87.8 % is ConvNeXt-XL's at 384 pixels",
        204: "this checkpoint is not fine-tuned",
        211: "corruption error is reported for ImageNet-C-bar",
        213: "Mask R-CNN is reported for ConvNeXt-T only",
        243: "the same",
        248: "as line 211",
        265: "ConvNeXt-XL's at 384 pixels",
        266: "as line 211",
        279: "the fine-tuned checkpoint's",
        286: "as line 211",
        288: "as line 213",
        298: "as line 211",
        333: "downsampling layers and patchify stem are two things",
        344: "as line 194",
        348: "this checkpoint is not fine-tuned",
        352: "the recipe of fine-tuning",
        368: "as line 34",
    },
}
"""Lines that the documented facts contradict, or that are true of another checkpoint only, and why."""
RIGHT = {
    "regnet-y-040": {38, 42, 48, 49, 155, 161, 163, 177, 245, 292},
    "convnext-base-224-22k": {
        19, 42, 44, 48, 51, 52, 153, 154, 155, 156, 159, 170, 171, 172, 173, 174, 350,
    },
}  # fmt: skip
"""Lines that state a value or a name rightly, and nothing wrong beside it."""
OPINIONS = {"regnet-y-040": {36, 80, 133}, "convnext-base-224-22k": {3, 78, 80, 90}}
"""Lines that judge without a number."""


def verdicts(
    card: str, model: str = "convnext-base-224-22k", ledger: Ledger | None = None
) -> list[tuple[str, Verdict]]:
    return [(claim.about, claim.verdict) for claim in check_claims(card.encode(), model=model, ledger=ledger)]


def test_the_wrong_lines_of_the_source_cards_are_found_and_no_right_one(source_card: tuple[str, bytes]) -> None:
    model, card = source_card
    claims = check_claims(card, model=model, ledger=None)
    wrong = {c.line for c in claims if c.verdict in (Verdict.CONTRADICTED, Verdict.OTHER_CHECKPOINT)}
    assert wrong == WRONG[model].keys()
    assert {c.line for c in claims if c.verdict is Verdict.SUPPORTED} >= RIGHT[model]
    assert {c.line for c in claims if c.verdict is Verdict.NOT_CHECKABLE} >= OPINIONS[model]
    without = (Verdict.UNSUPPORTED, Verdict.NOT_CHECKABLE)
    assert all(c.source for c in claims if c.verdict not in without)


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
        ("It was trained with the SGD optimizer.", Verdict.CONTRADICTED),
        ("It was trained on ImageNet-1k.", Verdict.CONTRADICTED),
        ("It takes images at a resolution of 224 x 224.", Verdict.SUPPORTED),
        ("It takes images at a resolution of 299 x 299.", Verdict.CONTRADICTED),
        ("The paper was published at CVPR 2021.", Verdict.CONTRADICTED),
        ("- **Paper:** https://arxiv.org/abs/2003.13678", Verdict.CONTRADICTED),
        ("It is a powerful model.", Verdict.NOT_CHECKABLE),
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
