"""More evidence never makes an answer poorer: what a ledger shows, a larger one shows too, or a newer value of the same key."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.cards.answers import Form, Writer
from harness.cards.fill import fill_card
from harness.cards.knowledge import knowledge_of
from harness.cards.questions import Place
from harness.cards.vocabulary import vocabulary
from harness.evidence import Evidence, Ledger
from tests.cards.conftest import full_ledger

PLACE = Place(sentence="[?]", label=None, label_is_own=False, beside=(), section=("Results",))
ITEMS = full_ledger().evidence


def shown(model: str, items: list[Evidence], form: Form) -> dict[str, set[str]]:
    """The keys of the values that each question's answer shows."""
    writer = Writer(knowledge_of(model, Ledger(model={"name": "a model"}, evidence=items)))
    values = {item.key for item in writer.knowledge.whole_ledger() if item.class_.has_value}
    values -= {"estimated.training.carbon"}  # an estimate in the ledger, `carbon.training`, is a newer one of the same
    answers = {question.id: writer.answer(question, form, PLACE) for question in vocabulary().properties}
    return {name: values & set(answer.evidence) if answer else set() for name, answer in answers.items()}


@settings(max_examples=12, deadline=None)
@given(
    order=st.permutations(range(len(ITEMS))),
    sizes=st.tuples(st.integers(0, len(ITEMS)), st.integers(0, len(ITEMS))),
    model=st.sampled_from(["regnet-y-040", "convnext-base-224-22k", "efficientnet-lite0"]),
    form=st.sampled_from(["value", "text", "block"]),
)
def test_more_evidence_never_makes_an_answer_poorer(
    order: list[int], sizes: tuple[int, int], model: str, form: Form
) -> None:
    few, many = sorted(sizes)
    picked = [ITEMS[index] for index in order]
    less, more = shown(model, picked[:few], form), shown(model, picked[:many], form)
    assert {question: keys for question in less if (keys := less[question] - more[question])} == {}


@pytest.mark.parametrize("question", ["- **Throughput:** ", "- **Latency:** ", "- **Test data:** "])
def test_what_is_published_stays_once_it_is_measured(question: str) -> None:
    card = f"{question}[More Information Needed]\n".encode()
    before = fill_card(card, model="regnet-y-040", ledger=None).report["markers"][0]["evidence"]
    after = fill_card(card, model="regnet-y-040", ledger=full_ledger()).report["markers"][0]["evidence"]
    assert {key for key in before if key.startswith("documented.")} <= set(after)


def test_what_contradicts_the_answers_is_named() -> None:
    card = b"# x\n\nThe learning rate was 0.1.\n\n- **Learning rate:** [More Information Needed]\n"
    found = fill_card(card, model="regnet-y-040", ledger=None).report["contradictions"]
    assert [(claim["line"], "0.1" in claim["text"]) for claim in found] == [(3, True)]
