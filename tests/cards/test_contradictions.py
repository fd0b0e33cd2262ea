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


@pytest.mark.parametrize(
    "statement",
    [
        "It performs well, but more information is needed to characterise the hardware.",
        "It offers models for many compute regimes, including low ones where good ResNets are not available.",
    ],
)
def test_a_sentence_that_calls_nothing_unknown_is_no_contradiction(statement: str) -> None:
    assert kept(f"**Compute:** [More Information Needed]\n\n{statement}\n") == []


def test_what_follows_from_a_sentence_that_goes_stands_alone() -> None:
    text, _ = filled(
        "The batch size is not specified in the references. Therefore, the batch size is [More Information Needed]."
    )
    assert "Therefore" not in text


def test_sources_of_money_are_no_sources_of_a_statement() -> None:
    text, _ = filled(
        "**Funded by:** [More Information Needed]\n\nThe references do not mention any funding sources for it."
    )
    assert "do not mention" not in text


def kept(card: str, model: str = "regnet-y-040") -> list[tuple[int, str]]:
    result = fill_card(card.encode(), model=model, ledger=None)
    return [(claim["line"], claim["about"]) for claim in result.report["contradictions"]]


@pytest.mark.parametrize(
    "statement",
    [
        "It ran for long, but the batch size is not specified.",
        "It ran with a batch size that is not specified.",
        "To report emissions, more details would be needed, such as the batch size, energy use and grid intensity.",
    ],
)
def test_a_sentence_that_says_more_is_left_whole_and_told_of_with_its_line(statement: str) -> None:
    card = f"Batch size: [More Information Needed].\n\nMuch is known. {statement} It is big.\n"
    text, rows = filled(card)
    assert text.endswith(f"Much is known. {statement} It is big.\n")
    assert (rows, kept(card)) == ([], [(3, "batch size")])


def test_what_somebody_had_read_goes_whole_with_what_he_did_not_find() -> None:
    text, _ = filled(
        "Batch size: [More Information Needed]. The references mention scaling, but do not specify the batch size."
    )
    assert text.endswith("8 GPUs.\n")


def test_no_part_of_a_sentence_of_the_source_cards_is_left_alone(source_card: tuple[str, bytes]) -> None:
    model, card = source_card
    result = fill_card(card, model=model, ledger=None)
    connectives = [row for row in result.report["neighbours"] if row["action"] == "corrected"]
    assert {row["old"] for row in connectives} <= {"However, t", "Therefore, f"}
    told = {claim["line"] for claim in result.report["contradictions"]}
    lines = result.text.decode().split("\n")
    for number, line in enumerate(lines, 1):
        if "not provided. [" in line:
            assert number in told
    assert "- **Hardware Type:** The references discuss" not in result.text.decode()


def test_a_label_stands_over_its_answer_once_what_was_not_found_is_gone() -> None:
    text, _ = filled(
        "- **Hours used:** The references do not state the training time.\n\n[More Information Needed] on the training time.\n"
    )
    assert text.startswith("- **Hours used:** Training this model took ")
    assert "do not state" not in text


@pytest.mark.parametrize(
    "statement",
    [
        "Training this model took 17.5 hours, and the cloud provider is not mentioned.",  # it says more
        "The batch size is not specified, and users should not assume that it was large.",
        "The batch size has no effect on the accuracy.",
        "The weights are not available under a copyleft license.",
        "The references do not describe the weather.",  # nobody asked
        "Users should not assume that the batch size was large.",  # not about what is known
    ],
)
def test_true_statements_stay(statement: str) -> None:
    card = f"Cloud provider: [More Information Needed].\n\nBatch size: [More Information Needed].\n\n{statement}\n"
    text, rows = filled(card)
    assert statement in text
    assert rows == []


@pytest.mark.parametrize(
    ("label", "statement"),
    [
        ("Batch size", "Nothing in the paper says how large the batch size was."),
        ("Batch size", "It is unclear what batch size the authors used."),
        ("Batch size", "Unfortunately, no batch size was reported."),
        ("Batch size", "The model card of the authors is silent on the batch size."),
        ("Learning rate", "Which learning rate was used cannot be determined from the repository."),
        ("Cloud provider", "Which cloud provider was used has not been published."),  # and so says the answer
        (
            "Carbon emitted",
            "To tell the carbon footprint, more details would be needed, such as the grid and the hours.",
        ),
    ],
)
def test_what_says_only_that_something_is_unknown_goes_in_any_wording(label: str, statement: str) -> None:
    text, rows = filled(f"# A\n\n{label}: [More Information Needed].\n\n{statement}\n")
    assert statement not in text
    assert [row["action"] for row in rows] == ["removed"]


def test_a_list_of_what_would_be_needed_goes_with_its_introduction_and_what_points_back_to_it() -> None:
    text, _ = filled(
        "# Out-of-Scope Use\n\nTo answer this question, more information would be needed, such as:\n\n- Details on the use\n- Guidelines\n\n"
        "Without further details it is hard to give a complete answer. The team should consider these factors.\n\n[More Information Needed]\n"
    )
    assert text.startswith("# Out-of-Scope Use\n\nThe developers publish no list ")


def test_what_is_undisclosed_is_rightly_called_unknown_in_another_section() -> None:
    said = "The references do not mention the cloud provider."
    text, rows = filled(f"# A\n\nCloud provider: [More Information Needed].\n\n# B\n\n{said}\n")
    assert text.endswith(f"{said}\n")
    assert rows == []


def test_a_statement_in_another_section_is_found() -> None:
    text, rows = filled(
        "# A\n\nBatch size: [More Information Needed].\n\n# B\n\nThe batch size is not specified. It ran.\n"
    )
    assert text.endswith("# B\n\nIt ran.\n")
    assert rows[0]["line"] == 7


def test_a_paragraph_that_says_nothing_else_goes_with_its_empty_line() -> None:
    text, _ = filled(
        "- License: [More Information Needed]\n\nThe sources do not mention the license.\n- x\n",
        "convnext-base-224-22k",
    )
    assert text.endswith("unsettled.\n- x\n")


def test_a_contrast_to_nothing_loses_its_word() -> None:
    text, rows = filled("# Use\n\n[More Information Needed] for a code snippet. However, it is easy.\n")
    assert text.endswith("```\n\nIt is easy.\n")
    assert rows[0]["action"] == "corrected"
