"""Verification finds any change inside what harness wrote, on its line, and raises no alarm for what others wrote beside it."""

from __future__ import annotations

import dataclasses
import random
import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import harness
from harness.cards.arithmetic import check_arithmetic
from harness.cards.expected import Expected, filled, rendered
from harness.cards.fill import FillResult, fill_card
from harness.cards.record import fill_beside, read_record, save_fill
from harness.cards.render import render_card
from harness.cards.verify import Finding, Verification, compare, verify_card
from harness.errors import HarnessError
from harness.evidence import Evidence, EvidenceClass, Interval, Ledger, show_number
from tests.cards.conftest import LEDGERS, full_ledger
from tests.cards.falsify import ALSO_RENDERED, EDITS, OTHERS

CARDS = Path(__file__).resolve().parents[2] / "cards"
MODELS = ("regnet-y-040", "convnext-base-224-22k", "efficientnet-lite0")
M = "[More Information Needed]"
SOURCE = f"""---
license: other
tags:
- vision
---

# Model card of the museum

This card was written by the museum. It describes a classifier of photographs.

## Uses

{M}

It must not be used for {M}. We use it to sort photographs.

## Training

- **Funded by:** {M}
- **Epochs:** {M}
- **Batch size:** {M}
- **Optimizer:** {M}
- **Hours used:** {M}

The learning rate was {M}. We did not train it ourselves.

| Setting | Value |
| --- | --- |
| Weight decay | {M} |
| Crop | square |

## Evaluation

Photographs were looked at by two people.

### Results

{M}

## Technical Specifications

{M}

## Contact

Write to the museum.
"""


@pytest.fixture(scope="module")
def ledger() -> Ledger:
    """Made-up values that hold together and are easily told apart."""
    return Ledger(model=MODEL, evidence=full_ledger().evidence)


MODEL = {"name": "regnet-y-040", "title": "RegNetY-4.0GF", "reference": "regnet-y-040"}


@pytest.mark.parametrize("name", ["none", "empty", "partial", "full"])
def test_a_card_as_it_was_filled_verifies_from_what_is_saved_beside_it(
    name: str, source_card: tuple[str, bytes], tmp_path: Path
) -> None:
    model, card = source_card
    known = LEDGERS[name]
    result = fill_card(card, model=model, ledger=known, front_matter=name != "partial", sidecar="c.evidence.json")
    result.ledger.save(tmp_path / "c.evidence.json")
    save_fill(tmp_path / "c.fill.json", result.report)
    saved, record = Ledger.load(tmp_path / "c.evidence.json"), read_record(result.text.decode())
    found = verify_card(result.text, ledger=saved, fill=fill_beside(tmp_path / "c.md", record))
    assert ([f for f in found.findings if f.line is not None], found.theirs) == ([], [])


def test_a_ledger_that_holds_the_documented_facts_gives_the_same_answers(source_card: tuple[str, bytes]) -> None:
    model, card = source_card
    for known in (None, LEDGERS["full"]):
        first = fill_card(card, model=model, ledger=known)
        assert {item.key for item in known or ()} < {item.key for item in first.ledger}
        again = fill_card(card, model=model, ledger=first.ledger)
        assert again.text == first.text
        assert again.ledger.to_json() == first.ledger.to_json()


@pytest.fixture(scope="module")
def rendered_card(ledger: Ledger) -> Expected:
    return as_rendered(ledger)


@pytest.fixture(scope="module")
def result(ledger: Ledger) -> FillResult:
    return fill_card(SOURCE.encode(), model="regnet-y-040", ledger=ledger, front_matter=True, sidecar="c.evidence.json")


@pytest.fixture(scope="module")
def filled_card(result: FillResult) -> Expected:
    return as_filled(result)


def as_rendered(ledger: Ledger) -> Expected:
    card = render_card(ledger).text
    expected = rendered(ledger, read_record(card), None, card)
    assert expected is not None
    assert compare(expected, card) == ([], [])
    return expected


def as_filled(result: FillResult) -> Expected:
    expected = filled(result.ledger, read_record(result.text.decode()), result.report)
    assert compare(expected, result.text.decode()) == ([], [])
    return expected


# --- random edits ---


@pytest.fixture(scope="module")
def six_cards() -> list[Expected]:
    """The cards of three models, from their committed ledgers: rendered, and a card of the museum's filled."""
    found = []
    for model in MODELS:
        ledger = Ledger.load(CARDS / f"{model}.evidence.json")
        found += [
            as_rendered(ledger),
            as_filled(fill_card(SOURCE.encode(), model=model, ledger=ledger, front_matter=True)),
        ]
    return found


@pytest.mark.slow
def test_a_thousand_falsifications_are_all_found_on_their_lines(six_cards: list[Expected]) -> None:
    rng, made = random.Random(0), 0
    while made < 1_000:
        for kind, edit in EDITS.items():
            expected = six_cards[made % 6]
            if (falsified := edit(expected, rng)) is not None:
                text, lines = falsified
                findings, _ = compare(expected, text)
                assert {finding.line for finding in findings} == lines, kind
                assert len(findings) == len(lines)
            made += 1


@pytest.mark.slow
def test_two_hundred_edits_of_others_raise_no_alarm(six_cards: list[Expected]) -> None:
    rng = random.Random(0)
    for made in range(200):
        expected = six_cards[made % 6]
        kind = rng.choice(ALSO_RENDERED if expected.is_rendered else tuple(OTHERS))
        text = OTHERS[kind](expected, rng)
        findings, theirs = compare(expected, text.replace("\n", "\r\n") if made % 5 == 0 else text)
        assert findings == [], kind
        assert theirs, kind


@pytest.mark.parametrize("kind", EDITS)
def test_each_kind_of_falsification_is_found(kind: str, rendered_card: Expected, filled_card: Expected) -> None:
    for seed in range(3):
        for expected in (rendered_card, filled_card):
            if (falsified := EDITS[kind](expected, random.Random(seed))) is not None:
                assert {finding.line for finding in compare(expected, falsified[0])[0]} == falsified[1]


# --- words, and whose they are ---


def only(expected: Expected, old: str, new: str) -> Finding:
    """What is found after one replacement of text that stands in the card once."""
    assert expected.text.count(old) == 1, old
    (finding,) = compare(expected, expected.text.replace(old, new))[0]
    line = expected.text.count("\n", 0, expected.text.index(old) + len(old.partition(new[:1])[0])) + 1
    assert abs((finding.line or 0) - line) <= 1 + old.count("\n")
    return finding


def answer(result: FillResult, question: str) -> str:
    return str(next(row["new"] for row in result.report["markers"] if row["question"] == question))


@pytest.mark.parametrize(
    ("question", "old", "new", "key"),
    [
        ("epochs", "100", "5", "documented.training.epochs"),
        ("funding", "no ", "", "documented.model.funding"),
        ("training-time", "17.5 hours", "71.5 hours", "documented.training.hours"),
        ("batch-size", " ", " at least ", "documented.training.batch-size"),
    ],
)
def test_a_word_or_number_of_an_answer_that_was_edited_is_found_with_its_evidence(
    result: FillResult, filled_card: Expected, question: str, old: str, new: str, key: str
) -> None:
    written = next(text for text in [answer(result, q) for q in question_ids(result, question)] if old in text.lower())
    place = written.lower().index(old)
    edited = written[:place] + new + written[place + len(old) :]
    assert only(filled_card, written, edited).key == key


def question_ids(result: FillResult, question: str) -> list[str]:
    return [row["question"] for row in result.report["markers"] if question in (row["question"] or "")]


def test_each_measured_value_of_a_rendered_card_names_its_own_key(ledger: Ledger, rendered_card: Expected) -> None:
    named, body = 0, rendered_card.text.index("\n# ")
    for item in ledger:
        shown = show_number(item)
        for match in re.finditer(rf"(?<![\w.,–]){re.escape(shown)}(?![\w,.]?\d)", rendered_card.text):
            start, end = match.span()
            if start < body:
                continue  # YAML
            (finding, *_), _ = compare(rendered_card, f"{rendered_card.text[:start]}9{rendered_card.text[end:]}")
            if item.class_ is EvidenceClass.MEASURED and shown.count(".") and shown != "22.0":
                assert finding.key == item.key, match
                named += 1
    assert named >= 10


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("ReLU activations", "Swish activations"),
        ("nor for deciding about people: no result for", "no result for"),
        ("Duration: 100 epochs", "Duration: 5 epochs"),
    ],
)
def test_an_edit_that_a_rendered_card_must_not_survive_is_found(rendered_card: Expected, old: str, new: str) -> None:
    assert only(rendered_card, old, new).line == rendered_card.text[: rendered_card.text.index(old)].count("\n") + 1


def test_a_missing_result_that_becomes_praise_is_found() -> None:
    bare = as_rendered(Ledger(model=MODEL, evidence=()))
    only(bare, "No accuracy was measured for this card", "Robustness is excellent")


@pytest.mark.parametrize(
    ("where", "added", "is_found"),
    [
        ("{epochs}", " It is robust.", True),  # joined to our sentence
        ("{epochs}", "\nIt is robust.", True),  # still the same paragraph
        ("{epochs}", "\n- **Robustness:** excellent", False),  # an item of their list
        ("{epochs}", "\n\nIt is robust.\n", False),  # a paragraph of their own
        ("| Crop | square |", "\n| Robustness | excellent |", False),
        ("We use it to sort photographs.", " Often.", False),
        ("Write to the museum.", " It is open.", False),
        ("tags:\n- vision", "\nthumbnail: museum.png", False),
        ("tags:\n- vision", "\nlibrary_name: keras", True),  # readers get this one
    ],
)
def test_what_others_add_to_a_filled_card_is_theirs_unless_it_joins_ours(
    result: FillResult, filled_card: Expected, where: str, added: str, is_found: bool
) -> None:
    place = where.replace("{epochs}", answer(result, question_ids(result, "epochs")[0]))
    assert filled_card.text.count(place) == 1
    findings, theirs = compare(filled_card, filled_card.text.replace(place, place + added))
    assert bool(findings) is is_found
    assert bool(theirs) is not is_found


@pytest.mark.parametrize(
    "line", ["Robustness is excellent.", "- **Robustness:** excellent", "#### More results", "> Great!"]
)
def test_a_line_between_the_lines_of_a_rendered_card_is_found(rendered_card: Expected, line: str) -> None:
    lines = rendered_card.text.split("\n")
    start = lines.index("---", 1) + 2
    for at in random.Random(0).sample(range(start, len(lines) - 8), 25):
        text = "\n".join([*lines[:at], "", line, "", *lines[at:]])
        assert [finding.line for finding in compare(rendered_card, text)[0]][:1] == [at + 2]


def test_an_address_of_others_for_a_reference_of_ours_is_found(rendered_card: Expected) -> None:
    assert "\n[1]: https://" in rendered_card.text
    place = rendered_card.text.index("\n## ")
    section = "\n## Links\n\n[1]: https://example.org\n"
    (finding,) = compare(rendered_card, f"{rendered_card.text[:place]}{section}{rendered_card.text[place:]}")[0]
    assert "address of “1”" in finding.message


@pytest.mark.parametrize(
    ("old", "new", "question"),
    [
        ("- **Epochs:**", "- **Weight decay:**", "epochs"),
        ("- **Epochs:**", "- **Epochs of the warm-up:**", "epochs"),
        ("- **Epochs:**", "- Never **Epochs:**", "epochs"),
        ("The learning rate was", "The weight decay was", "learning-rate"),
        ("| Weight decay |", "| Learning rate |", "weight-decay"),
        ("| Setting | Value |", "| Setting | Value in our own run |", "weight-decay"),
        ("### Results\n", "### Results of the rival\n", None),
        ("### Results\n", "### Results\n\n#### The rival's\n", None),
    ],
)
def test_a_change_of_the_words_that_an_answer_hangs_on_is_found_with_its_key(
    filled_card: Expected, result: FillResult, old: str, new: str, question: str | None
) -> None:
    assert filled_card.text.count(old) == 1
    (finding,), theirs = compare(filled_card, filled_card.text.replace(old, new))
    rows = result.report["markers"]
    keys = {key for row in rows if question in (None, row["question"]) for key in row["evidence"]}
    assert finding.key in keys
    assert theirs == []


@pytest.mark.parametrize("around", [("<!--", "-->"), ("```", "```"), ("<div>", "</div>"), ("~~~", "~~~")])
def test_an_answer_that_others_hide_is_found(filled_card: Expected, around: tuple[str, str]) -> None:
    line = next(line for line in filled_card.text.split("\n") if "**Epochs:**" in line)
    before, after = filled_card.text.split(line)
    for edited in (f"{around[0]}\n{line}\n{around[1]}", f"\n{around[0]}\n\n{line}\n\n{around[1]}\n"):
        findings, theirs = compare(filled_card, f"{before}{edited}{after}")
        assert findings or (theirs and around[0] == "<div>")


def test_an_answer_that_others_indent_to_code_is_found(filled_card: Expected, result: FillResult) -> None:
    place = filled_card.text.index("\n\n", filled_card.text.index("## Technical Specifications")) + 2
    assert compare(filled_card, f"{filled_card.text[:place]}    {filled_card.text[place:]}")[0]


# --- what lies beside a card ---


def test_an_edited_record_of_the_fill_helps_nobody(result: FillResult, filled_card: Expected) -> None:
    epochs = answer(result, question_ids(result, "epochs")[0])
    card = result.text.replace(epochs.encode(), b"5")
    for fill in (
        result.report | {"markers": [], "neighbours": []},
        result.report | {"before": result.report["before"].replace(f"**Epochs:** {M}", "**Epochs:** 5")},
    ):
        assert verify_card(card, ledger=result.ledger, fill=fill).findings


def test_another_ledger_than_the_cards_own_is_told(ledger: Ledger, result: FillResult) -> None:
    other = Ledger(model=MODEL | {"title": "Other"}, evidence=ledger.evidence)
    found = verify_card(render_card(ledger).text.encode(), ledger=other).findings
    found += verify_card(result.text, ledger=other, fill=result.report).findings
    assert sum("not the ledger that the card was made from" in finding.message for finding in found) == 2


def test_a_damaged_record_is_told(ledger: Ledger) -> None:
    with pytest.raises(HarnessError, match="record"):
        read_record(render_card(ledger).text.replace('"made_by"', '"made_bye"'))


def test_a_figure_that_was_exchanged_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger.load(CARDS / "efficientnet-lite0.evidence.json")
    harness.render(ledger=ledger, output=tmp_path / "card.md")
    assert harness.verify(tmp_path / "card.md", predictions=False).findings == []
    figure = next((tmp_path / "figures").glob("*.svg"))
    figure.write_text(figure.read_text("utf-8").replace("</svg>", "<g/></svg>"), "utf-8")
    (finding,) = harness.verify(tmp_path / "card.md", predictions=False).findings
    assert figure.name in finding.message


def test_what_fill_returns_verifies_without_files(result: FillResult) -> None:
    assert harness.verify(result, predictions=False).findings == []
    edited = dataclasses.replace(result, text=result.text.replace(b"100", b"5", 1))
    assert harness.verify(edited, predictions=False).findings


def test_what_was_estimated_from_a_sample_says_why_it_is_not_recomputed() -> None:
    from harness.evaluation.recheck import Recheck

    again = Recheck({}, [], ["imagenet-c.mce:sampled", "compute.throughput"])
    first, second = Verification([], []).with_recheck(again).notes
    assert first.endswith("repeated run: compute.throughput.")
    assert second.startswith("Estimated from a sample by --until and not recomputed here")
    assert second.endswith("imagenet-c.mce:sampled.")


# --- cards of another version ---


def test_a_card_of_another_version_is_compared_by_its_own_record(ledger: Ledger, result: FillResult) -> None:
    of_old = '"harness": "0.0.1"'
    card = render_card(ledger).text.replace(f'"harness": "{harness.__version__}"', of_old)
    lines = card.split("\n")
    at = next(number for number, line in enumerate(lines) if "71.11" in line)
    edited = "\n".join([*lines[:at], lines[at].replace("71.11", "91.11"), *lines[at + 1 :]])
    whole, changed = (verify_card(text.encode(), ledger=ledger) for text in (card, edited))
    assert (whole.findings, [finding.line for finding in changed.findings]) == ([], [at + 1])
    assert any("made by harness 0.0.1" in note for note in whole.notes)

    bare = verify_card(re.sub(r'"lines": "[^"]*"', '"lines": null', edited).encode(), ledger=ledger)
    assert bare.findings == []
    assert any("only the numbers of its ledger were checked" in note for note in bare.notes)

    fill = result.report | {"harness": "0.0.1"}
    epochs = answer(result, question_ids(result, "epochs")[0]).encode()
    assert verify_card(result.text, ledger=result.ledger, fill=fill).findings == []
    (finding,) = verify_card(result.text.replace(epochs, b"5"), ledger=result.ledger, fill=fill).findings
    assert finding.key == "documented.training.epochs"


# --- arithmetic ---


def percent(key: str, hits: int, n: int) -> Evidence:
    from harness.metrics.intervals import proportion

    estimate = proportion(hits, n)
    interval = Interval(low=estimate.low, high=estimate.high, method=estimate.method, kind="wilson")
    return Evidence(
        key=key, class_=EvidenceClass.MEASURED, value=estimate.value, unit="%", interval=interval, n=n, N=n, protocol={}
    )


def faults(*items: Evidence) -> dict[str, str]:
    return {fault.item.key: fault.message for fault in check_arithmetic(Ledger(model={}, evidence=list(items))).faults}


@given(n=st.integers(1, 60_000), share=st.floats(0, 1))
@example(n=50_000, share=0.71108)
def test_true_proportions_pass_and_an_impossible_one_is_found(n: int, share: float) -> None:
    item = percent("imagenet-val.top1", round(share * n), n)
    assert faults(item) == {}
    assert isinstance(item.value, float)
    between = item.model_copy(update={"value": item.value + (50 if item.value < 50 else -50) / n})  # half an image
    assert "whole number" in faults(between)["imagenet-val.top1"]


def test_a_wilson_interval_of_other_counts_is_found() -> None:
    item = percent("imagenet-val.top1", 35_555, 50_000)
    other = item.model_copy(update={"interval": percent("a.top1", 35_556, 50_000).interval})
    assert "Wilson interval of 35,555 in 50,000" in faults(other)["imagenet-val.top1"]


def test_drops_flops_and_parts_are_held_against_what_they_come_from() -> None:
    clean, hard = percent("imagenet-val.top1", 80, 100), percent("imagenet-a.top1", 30, 100)
    drop = Evidence(
        key="imagenet-a.accuracy-drop",
        class_=EvidenceClass.MEASURED,
        value=50.0,
        unit="points",
        n=200,
        protocol={"difference": ["imagenet-val.top1", "imagenet-a.top1"]},
        interval=Interval(low=40, high=60, method="Newcombe"),
    )
    macs = Evidence(key="compute.macs", class_=EvidenceClass.DERIVED, value=10, unit="MACs")
    flops = Evidence(key="compute.flops", class_=EvidenceClass.DERIVED, value=20, unit="FLOPs")
    assert faults(clean, hard, drop, macs, flops) == {}
    wrong = faults(clean, hard, drop.model_copy(update={"value": 51.0}), macs, flops.model_copy(update={"value": 21}))
    assert wrong.keys() == {"imagenet-a.accuracy-drop", "compute.flops"}
    assert "more than the benchmark's" in faults(clean.model_copy(update={"N": 99}))["imagenet-val.top1"]


def test_corruption_scores_follow_from_their_cells() -> None:
    from harness.data.catalog import benchmarks
    from harness.metrics.corruption import SEVERITIES, alexnet

    axes = benchmarks()["imagenet-c-generated"].corruptions
    assert axes is not None
    items = []
    ces = []
    for place, name in enumerate(axes.scored):
        where = f"imagenet-c-generated/{name}"
        cells = [percent(f"{where}/{severity}.top1", 90 - 5 * severity - place, 100) for severity in SEVERITIES]
        mean = sum(100 - float(cell.value) for cell in cells) / 5  # type: ignore[arg-type]
        ces.append(mean / alexnet().mean(name))
        items += [*cells, score(f"{where}.mean-error", mean), score(f"{where}.ce", ces[-1])]
    items.append(score("imagenet-c-generated.mce", sum(ces) / len(ces)))
    assert faults(*items) == {}
    assert faults(*items[:-1], score("imagenet-c-generated.mce", 1.0)).keys() == {"imagenet-c-generated.mce"}
    wrong = [score(item.key, 5.0) if item.key.endswith("fog.ce") else item for item in items]
    assert faults(*wrong).keys() == {"imagenet-c-generated/fog.ce", "imagenet-c-generated.mce"}


def score(key: str, value: float) -> Evidence:
    interval = Interval(low=value - 1, high=value + 1, method="bootstrap percentile over base images")
    return Evidence(
        key=key, class_=EvidenceClass.MEASURED, value=value, unit="%", interval=interval, n=100, N=100, protocol={}
    )
