"""Statements that an answer makes false are corrected or removed; true ones stay."""

from __future__ import annotations

import pytest

from harness.cards.fill import fill_card
from harness.evidence import Ledger
from tests.cards.conftest import body


def filled(card: str, model: str = "regnet-y-040", ledger: Ledger | None = None) -> tuple[str, list[dict[str, str]]]:
    result = fill_card(card.encode(), model=model, ledger=ledger)
    return body(result.text.decode()), [row for row in result.report["neighbours"] if row["question"] != "references"]


def test_a_sentence_that_says_nothing_else_is_removed() -> None:
    text, rows = filled("Batch size: [More Information Needed]. The references do not give the batch size. It is big.")
    assert "do not give" not in text
    assert text.endswith("8 GPUs. It is big.\n")
    assert [(row["action"], row["question"]) for row in rows] == [("removed", "batch-size")]


def test_what_is_true_in_a_sentence_stays() -> None:
    text, rows = filled(
        "Batch size: [More Information Needed]. The paper mentions scaling, but does not specify the batch size used."
    )
    assert text.endswith("The paper mentions scaling.\n")
    assert rows[0]["action"] == "corrected"


def test_a_known_item_leaves_an_enumeration() -> None:
    text, _ = filled(
        "- **Hours used:** [More Information Needed]\n\n"
        "To report emissions, more details would be needed, such as training duration, energy use and grid intensity.\n"
    )
    assert "such as energy use and grid intensity." in text


@pytest.mark.parametrize(
    "statement",
    [
        "The references do not mention the cloud provider.",  # undisclosed: true as before
        "The references do not describe the weather.",  # nobody asked
        "Users should not assume that the batch size was large.",  # not about what is known
    ],
)
def test_true_statements_stay(statement: str) -> None:
    card = f"Cloud provider: [More Information Needed].\n\nBatch size: [More Information Needed].\n\n{statement}\n"
    text, rows = filled(card)
    assert statement in text
    assert rows == []


def test_a_statement_in_another_section_is_found() -> None:
    text, rows = filled(
        "# A\n\nBatch size: [More Information Needed].\n\n# B\n\nIt ran with a batch size that is not specified.\n"
    )
    assert "It ran.\n" in text
    assert rows[0]["line"] == 7


def test_a_paragraph_that_says_nothing_else_goes_with_its_empty_line() -> None:
    text, _ = filled(
        "- License: [More Information Needed]\n\nThe sources do not mention the license.\n- x\n",
        "convnext-base-224-22k",
    )
    assert text.endswith("disagree.\n- x\n")


def test_a_contrast_to_nothing_loses_its_word() -> None:
    text, rows = filled("# Use\n\n[More Information Needed] for a code snippet. However, it is easy.\n")
    assert text.endswith("```\n\nIt is easy.\n")
    assert rows[0]["action"] == "corrected"
