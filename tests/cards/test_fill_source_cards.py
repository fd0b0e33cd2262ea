"""The two source cards: every marker closed, in the right class, everything else left to the byte."""

from __future__ import annotations

import json
import re

import pytest

from harness.cards.document import Document, decode
from harness.cards.fill import FillResult, fill_card
from tests.cards.conftest import LEDGERS

REGNET_CLASSES = {
    15: "documented", 18: "documented", 21: "documented", 26: "undisclosed", 35: "documented", 37: "not-applicable",
    45: "documented", 50: "undisclosed", 64: "derived", 78: "derived", 95: "undisclosed", 107: "pending",
    111: "undisclosed", 128: "documented", 131: "undisclosed", 139: "documented", 147: "documented", 159: "documented",
    167: "documented", 177: "documented", 180: "derived", 185: "documented", 199: "documented", 206: "undisclosed",
    211: "pending", 236: "undisclosed", 252: "documented", 262: "documented", 278: "pending", 286: "documented",
    291: "documented", 294: "documented", 295: "undisclosed", 298: "estimated", 306: "documented", 317: "documented",
}  # fmt: skip
CONVNEXT_CLASSES = {
    26: "derived", 37: "undisclosed", 45: "documented", 53: "documented", 64: "derived", 76: "documented",
    94: "undisclosed", 115: "documented", 131: "documented", 134: "documented", 140: "documented",
    161: "not-applicable", 175: "documented", 176: "documented", 178: "documented", 186: "pending",
    188: "undisclosed", 190: "derived", 215: "pending", 226: "pending", 236: "pending", 243: "documented",
    244: "documented", 245: "documented", 250: "undisclosed", 273: "pending", 286: "pending", 288: "documented",
    300: "pending", 304: "pending", 310: "documented", 318: "undisclosed", 319: "undisclosed",
    322: "undisclosed", 339: "documented", 356: "documented",
}  # fmt: skip
CLASSES = {"regnet-y-040": REGNET_CLASSES, "convnext-base-224-22k": CONVNEXT_CLASSES}
"""Without any run: what can be measured is pending, the rest is as the facts say."""

ANSWERS = {
    "regnet-y-040": {
        26: "No funding source", 37: "no natural language", 139: "not described", 147: "PCA lighting", 159: "512 images",
        167: "Nesterov momentum 0.9", 177: "17.5 hours", 180: "82.8 MB", 199: "79.36 %", 206: "given under “Bias, Risks, and Limitations”",
        252: "3.97 billion multiply-adds", 286: "Tesla V100 GPUs with 16 GB", 291: "PyTorch 1.6", 294: "16.8 hours",
        298: "1.2 to 50 kg CO2e", 306: "wa = 31.41", 128: "3.97 billion", 35: "zuppif", 18: "20,646,656",
        278: "No attribution maps were computed here yet [",
    },
    "convnext-base-224-22k": {
        26: "109,953,489", 45: "MIT", 53: "akhaliq/convnext", 76: "in22k.py", 131: "87.0 % (XL)", 134: "box AP 54.0",
        161: "nothing is tokenised", 175: "None", 176: "Not used", 178: "(3, 3, 27, 3)", 186: "969.0 images/s",
        190: "439.8 MB", 215: "neither published nor measured here yet", 243: "mask AP 46.9", 244: "11.5", 245: "964 GFLOPs", 273: "see “Testing Data”",
        286: "see “Testing Data”", 310: "128 GPUs", 322: "33 to 2,100 kg CO2e", 339: "7 × 7 depthwise",
        356: "under “Environmental Impact”",
    },
}  # fmt: skip
"""A part of the answer that the question of that line cannot do without, from the facts files."""


@pytest.fixture(scope="module", params=list(LEDGERS))
def filled(request: pytest.FixtureRequest, source_card: tuple[str, bytes]) -> tuple[str, bytes, FillResult]:
    model, card = source_card
    return model, card, fill_card(card, model=model, ledger=LEDGERS[request.param])


def test_no_marker_is_left_and_each_has_its_row(filled: tuple[str, bytes, FillResult]) -> None:
    _, _, result = filled
    assert not re.search(rb"(?i)\[\s*more\s+information\s+needed", result.text)
    assert len(result.report["markers"]) == 36
    assert sum(result.report["counts"].values()) == 36
    assert "unanswered" not in result.report["counts"]
    json.dumps(result.report)


def test_a_second_fill_changes_nothing(filled: tuple[str, bytes, FillResult]) -> None:
    model, _, result = filled
    again = fill_card(result.text, model=model, ledger=None)
    assert again.text == result.text
    assert again.report["markers"] == again.report["neighbours"] == []


def test_everything_outside_the_reported_spans_is_left_to_the_byte(filled: tuple[str, bytes, FillResult]) -> None:
    _, card, result = filled
    assert rebuild(card, result) == result.text


def rebuild(card: bytes, result: FillResult) -> bytes:
    """The filled card from the original and the report alone."""
    rows = {
        (row["span"]["start"], row["span"]["end"], row["new"])
        for row in result.report["markers"] + result.report["neighbours"]
    }
    parts, position = [], 0
    for start, end, new in sorted(rows):
        assert start >= position
        parts += [card[position:start], new.encode()]
        position = end
    return b"".join([*parts, card[position:]])


def test_every_answer_has_the_right_class(source_card: tuple[str, bytes]) -> None:
    model, card = source_card
    report = fill_card(card, model=model, ledger=None).report
    assert {row["line"]: row["class"] for row in report["markers"]} == CLASSES[model]


def test_every_answer_answers_its_question(source_card: tuple[str, bytes]) -> None:
    model, card = source_card
    rows = {row["line"]: row["new"] for row in fill_card(card, model=model, ledger=None).report["markers"]}
    assert {line: part for line, part in ANSWERS[model].items() if part not in rows[line]} == {}


def test_the_structure_of_the_card_stays(filled: tuple[str, bytes, FillResult]) -> None:
    _, card, result = filled
    before, after = Document(decode(card)), Document(decode(result.text))
    headings = [[d.text[b.start : b.end] for b in d.blocks if b.kind == "heading"] for d in (before, after)]
    assert headings[0] == headings[1]
    assert result.text.count(b"```") % 2 == 0


def test_measured_values_replace_pending_answers(source_card: tuple[str, bytes]) -> None:
    model, card = source_card
    result = fill_card(card, model=model, ledger=LEDGERS["full"])
    rows = {row["line"]: row for row in result.report["markers"]}
    line = {"regnet-y-040": 199, "convnext-base-224-22k": 215}[model]
    assert rows[line]["class"] == "measured"
    assert "71.11 %" in rows[line]["new"]
    assert "95 % interval 70.71–71.51" in rows[line]["new"]
    assert "n = 50,000" in rows[line]["new"]


def test_a_part_of_the_benchmark_says_so_beside_the_number(source_card: tuple[str, bytes]) -> None:
    model, card = source_card
    text = fill_card(card, model=model, ledger=LEDGERS["partial"]).text.decode()
    assert "n = 20 of 50,000" in text


def test_the_same_question_gets_the_same_numbers(source_card: tuple[str, bytes]) -> None:
    model, card = source_card
    rows = fill_card(card, model=model, ledger=None).report["markers"]
    numbers: dict[str, set[str]] = {}
    for row in rows:
        if "documented.training.batch-size" in row["evidence"]:
            numbers.setdefault("batch", set()).update(re.findall(r"[\d,]+ images, \d+ on each", row["new"]))
        if "carbon.training" in row["evidence"]:
            numbers.setdefault("carbon", set()).update(re.findall(r"[\d.,]+ to [\d.,]+ kg", row["new"]))
        if "documented.training.hours" in row["evidence"]:
            numbers.setdefault("hours", set()).update(
                re.findall(r"[\d.,]+ hours on|[\d.,]+ to [\d.,]+ V100", row["new"])
            )
    said = {name: len(found) for name, found in numbers.items() if found}
    assert said == dict.fromkeys(said, 1)
    estimated = {"carbon"} if "estimated" in CLASSES[model].values() else set()
    assert said.keys() >= {"hours"} | estimated


def test_a_fact_about_another_checkpoint_is_labelled(source_card: tuple[str, bytes]) -> None:
    model, card = source_card
    for row in fill_card(card, model=model, ledger=None).report["markers"]:
        for key in row["evidence"]:
            if ":finetuned" in key:
                assert "fine-tuned from this one" in row["new"] or "(see “Testing Data”)" in row["new"]
                assert row["class"] == "pending"


@pytest.mark.parametrize("source_card", ["regnet-y-040"], indirect=True)  # the other's lineage is not open
def test_answers_that_hang_on_the_lineage_say_so(source_card: tuple[str, bytes]) -> None:
    model, card = source_card
    result = fill_card(card, model=model, ledger=None)
    rows = {row["line"]: row["new"] for row in result.report["markers"]}
    note = "Documented for the pycls weights, very probably the ones converted here"
    (mark,) = re.findall(rf"^(\[h\d+\]) {note}", result.text.decode(), re.MULTILINE)
    for line in (159, 199, 286, 294):
        assert mark in rows[line] or "very probably the ones converted here" in rows[line]
