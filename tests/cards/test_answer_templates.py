"""Every question, in every form, for every fullness of ledger: text that a stranger can read, of an honest class."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from harness.cards.answers import Answer, Form, Writer
from harness.cards.document import Document
from harness.cards.knowledge import Knowledge, knowledge_of
from harness.cards.questions import Place
from harness.cards.vocabulary import Property, vocabulary
from harness.evidence import Evidence, EvidenceClass, Interval, Ledger
from harness.facts.loader import facts_for
from harness.files import shipped_folder
from tests.cards.conftest import LEDGERS, measured

MODELS = ("regnet-y-040", "convnext-base-224-22k", "efficientnet-lite0")
PLACE = Place(sentence="[?]", label=None, label_is_own=False, beside=(), section=("Results",))


def knowledge(model: str, ledger: Ledger | None) -> Knowledge:
    known = knowledge_of(model, ledger)
    return replace(known, facts=known.facts.model_copy(update={"hub_id": f"org/{model}"}))


@pytest.mark.parametrize("question", vocabulary().properties, ids=lambda question: question.id)
def test_an_answer_reads(question: Property) -> None:
    for model, ledger, form in itertools.product(MODELS, LEDGERS, get_args(Form)[:3]):
        case = f"{model}, {ledger} ledger, {form}"
        writer = Writer(knowledge(model, LEDGERS[ledger]))
        answer = settled(writer, writer.answer(question, form, PLACE))
        known = writer.knowledge
        keys = () if question.against else (*question.evidence, *question.absent)
        views = [known.find(key) or known.absent(key) for key in keys]
        told = any(view and re.search(question.detail or "", str(view.value)) for view in views)
        told |= any(known.find(metric) or known.all_published(metric, own=True) for metric in question.metrics)
        assert (answer is not None) == bool(told or question.suite or question.parts or question.prefer), case
        if answer is not None:
            check_text(answer, question, form, case)
            notes = writer.references.notes()
            assert answer.is_complete or "harness run --suite" in notes, case
            if answer.class_ is EvidenceClass.UNDISCLOSED:
                assert "Looked in" in notes, case


def settled(writer: Writer, answer: Answer | None) -> Answer | None:
    """An answer with its references numbered."""
    return replace(answer, text=writer.references.settle(answer.text)[0]) if answer else None


def check_text(answer: Answer, question: Property, form: Form, case: str) -> None:
    """Whole sentences or one phrase, nothing of the template left over, sources where the class promises some."""
    prose = re.sub(r"```.*?```", "", answer.text, flags=re.DOTALL)
    case = f"{case}: {prose}"
    assert answer.text, case
    assert not re.search(r"\{[{%]|\bNone\.\w|<class|\bnan\b|Undefined|  \w", prose.replace("\n", "|")), case
    assert not re.search(r"\.\.|\( |\s\)|\(\)|,,|;;|: \.|; \.|\s[.,;:](\s|$)", prose), case
    assert prose.count("(") == prose.count(")"), case
    assert prose.count("[") == prose.count("]"), case
    if form == "value" and not question.id.startswith("code"):
        assert "\n" not in answer.text, case
        assert not answer.text.endswith("."), case
    if form == "text" and "```" not in answer.text:
        assert "\n" not in answer.text, case
        assert answer.text.endswith("."), case
    if answer.class_ in (EvidenceClass.DOCUMENTED, EvidenceClass.ESTIMATED) and form != "block":
        assert re.search(r"https://|estimated|\[\[?h\d+\]", answer.text), case


def test_every_template_is_used_by_a_question() -> None:
    templates = {path.name.removesuffix(".md.j2") for path in (shipped_folder("templates") / "answers").iterdir()}
    used = {question.template for question in vocabulary().properties}
    assert templates - used <= {"pending", "cell"}, "an answer template that nothing uses"
    assert used <= templates


def test_a_sibling_never_answers() -> None:
    """The fine-tuned checkpoint's accuracy is a reference; the question stays pending."""
    writer = Writer(knowledge("convnext-base-224-22k", None))
    answer = writer.answer(vocabulary().get("accuracy"), "text", PLACE)
    assert answer
    assert answer.class_ is EvidenceClass.PENDING
    assert "Published for other checkpoints only: the checkpoint fine-tuned from this one" in answer.text


def identified(checkpoint: str) -> Ledger:
    found = Evidence(key="identity.lineage", class_=EvidenceClass.DERIVED, value=checkpoint)
    return Ledger(model={}, evidence=[found])


def test_a_decided_lineage_settles_what_hangs_on_it() -> None:
    question = vocabulary().get("batch-size")
    writer = Writer(knowledge("regnet-y-040", identified("pycls")))
    pycls = settled(writer, writer.answer(question, "text", PLACE))
    assert pycls
    assert pycls.text == "The batch size was 512 images, 64 on each of 8 GPUs [[h1]][h2]."
    assert "for the pycls weights, which this checkpoint was found to hold" in writer.references.notes()
    assert Writer(knowledge("regnet-y-040", identified("ra3-224"))).answer(question, "text", PLACE) is None


def test_facts_copied_into_a_ledger_keep_their_checkpoint() -> None:
    facts = facts_for("regnet-y-040")
    assert facts
    ledger = Ledger(model={}, evidence=[fact.evidence for fact in facts.facts if fact.answers])
    question = vocabulary().get("batch-size")
    copied = Writer(knowledge("regnet-y-040", ledger)).answer(question, "text", PLACE)
    assert copied == Writer(knowledge("regnet-y-040", None)).answer(question, "text", PLACE)


def test_text_from_a_ledger_is_data() -> None:
    """No template runs from it, no markup comes of it, no marker, no cell border."""
    evil = "{{ 7*7 }} | <script> [More Information Needed] `x`\n# y"
    ledger = Ledger(
        model={},
        evidence=[
            Evidence(
                key="carbon.training",
                class_=EvidenceClass.ESTIMATED,
                value=2.0,
                interval=Interval(low=1, high=3, method="m"),
                reason=evil,
            )
        ],
    )
    writer = Writer(knowledge("efficientnet-lite0", ledger))
    answer = settled(writer, writer.answer(vocabulary().get("carbon"), "text", PLACE))
    assert answer
    assert r"{{ 7\*7 }} \| \<script\> more information needed \`x\` \# y." in (note := writer.references.notes())
    assert "\n" not in answer.text + note
    assert Document(answer.text + note).markers == []


def test_accuracy_under_attack_that_is_withheld_says_why() -> None:
    why = "Withheld: The loss rises along the steps of the attack for 0 of 9 images only."
    item = Evidence(key="imagenet-val/linf/4.robust-accuracy", class_=EvidenceClass.PENDING, reason=why)
    known = knowledge("regnet-y-040", Ledger(model={"name": "regnet-y-040"}, evidence=[item]))
    question = next(question for question in vocabulary().properties if question.id == "adversarial")
    writer = Writer(known)
    answer = settled(writer, writer.answer(question, "text", PLACE))
    assert answer is not None
    assert answer.text == (
        "Accuracy under attack is withheld, as gradients may be masked: the loss rises along the steps of the attack for 0 of 9 "
        "images only [h1]."
    )


def test_a_measured_speed_names_what_it_was_measured_on() -> None:
    hardware = {"cpu": "A CPU *model*", "threads": 4, "libraries": {"torch": "2.9.0"}}
    protocol = {"precision": "float32", "layout": "channels_last", "batch": 32, "hardware": hardware}
    speed = measured("compute.throughput", 100.0, n=64, full=64, unit="images/s").model_copy(
        update={"protocol": protocol}
    )
    answer = Writer(knowledge("regnet-y-040", Ledger(model={}, evidence=[speed]))).answer(
        vocabulary().get("throughput"), "text", PLACE
    )
    assert answer
    assert r"on A CPU \*model\*, 4 threads, batch 32, float32, channels last, PyTorch 2.9.0." in answer.text


def test_the_question_table_is_found_beside_the_package() -> None:
    assert Path(shipped_folder("templates") / "properties.yaml").is_file()
