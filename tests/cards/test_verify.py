"""Verification finds an edited digit, a wrong unit, a missing interval, a number without evidence and impossible numbers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from harness.cards.arithmetic import check_arithmetic
from harness.cards.fill import fill_card
from harness.cards.record import fill_beside, read_record, save_fill
from harness.cards.render import render_card
from harness.cards.verify import Verification, verify_card
from harness.errors import HarnessError
from harness.evidence import Evidence, EvidenceClass, Interval, Ledger, show_interval, show_number
from tests.cards.conftest import LEDGERS, full_ledger

MODEL = {"name": "regnet-y-040", "title": "RegNetY-4.0GF", "reference": "regnet-y-040"}


@pytest.fixture(scope="module")
def ledger() -> Ledger:
    """Made-up values that hold together."""
    return full_ledger()


def edits_of(card: str, ledger: Ledger) -> list[int]:
    """Offsets of the digits of every value and bound of measured evidence in a card."""
    found: set[int] = set()
    for item in ledger:
        if item.class_ is not EvidenceClass.MEASURED or not isinstance(item.value, int | float):
            continue
        shown = [show_number(item)] + (show_interval(item).split("–") if item.interval else [])
        for number in shown:
            for match in re.finditer(
                rf"(?<![\w.,–]){re.escape(number)}(?![\w]|[.,]\d)|(?<=–){re.escape(number)}(?![\w])", card
            ):
                found |= {match.start() + i for i, sign in enumerate(match.group()) if sign.isdigit()}
    return sorted(found)


@pytest.mark.parametrize("name", ["none", "empty", "partial", "full"])
def test_a_card_as_it_was_filled_verifies_from_what_is_saved_beside_it(
    name: str, source_card: tuple[str, bytes], tmp_path: Path
) -> None:
    model, card = source_card
    known = LEDGERS[name]
    for front_matter in (False, True):
        result = fill_card(card, model=model, ledger=known, front_matter=front_matter, sidecar="c.evidence.json")
        result.ledger.save(tmp_path / "c.evidence.json")
        save_fill(tmp_path / "c.fill.json", result.report)
        saved, record = Ledger.load(tmp_path / "c.evidence.json"), read_record(result.text.decode())
        found = verify_card(result.text, ledger=saved, fill=fill_beside(tmp_path / "c.md", record))
        assert [f for f in found.findings if f.line is not None] == []


def test_a_ledger_that_holds_the_documented_facts_gives_the_same_answers(source_card: tuple[str, bytes]) -> None:
    model, card = source_card
    for known in LEDGERS.values():
        first = fill_card(card, model=model, ledger=known)
        assert {item.key for item in known or ()} < {item.key for item in first.ledger}
        again = fill_card(card, model=model, ledger=first.ledger)
        assert again.text == first.text
        assert again.ledger.to_json() == first.ledger.to_json()


def in_card(result: Verification) -> list:  # type: ignore[type-arg]
    return [finding for finding in result.findings if finding.line is not None]


# --- any edited digit ---


@pytest.fixture(scope="module")
def rendered(ledger: Ledger) -> tuple[Ledger, str]:
    whole = Ledger(model=MODEL, evidence=ledger.evidence)
    return whole, render_card(whole).text


def with_another_digit(card: str, place: int, digit: int) -> str:
    other = (int(card[place]) + 1 + digit) % 10
    return f"{card[:place]}{other}{card[place + 1 :]}"


@pytest.mark.slow
@settings(max_examples=40)
@given(data=st.data(), digit=st.integers(0, 8))
def test_any_edited_digit_of_a_measured_number_in_a_rendered_card_is_found(
    data: st.DataObject, digit: int, rendered: tuple[Ledger, str]
) -> None:
    ledger, card = rendered
    places = edits_of(card, ledger)
    assert len(places) > 100
    place = data.draw(st.sampled_from(places))
    found = verify_card(with_another_digit(card, place, digit).encode(), ledger=ledger)
    line = card.count("\n", 0, place) + 1
    assert line in [finding.line for finding in found.findings]
    assert all(finding.key for finding in in_card(found))


# --- rendered cards ---


def test_a_rendered_card_verifies_and_words_may_change(rendered: tuple[Ledger, str]) -> None:
    ledger, card = rendered
    assert in_card(verify_card(card.encode(), ledger=ledger)) == []
    reworded = card.replace("## Uses", "## Use it for")
    found = verify_card(reworded.encode(), ledger=ledger)
    assert in_card(found) == []
    assert any("wording" in note for note in found.notes)


def test_a_line_with_a_number_that_no_evidence_makes_is_found(rendered: tuple[Ledger, str]) -> None:
    ledger, card = rendered
    added = card.replace("## Uses\n", "## Uses\n\nIt also reaches 99 % on ObjectNet.\n")
    (finding,) = in_card(verify_card(added.encode(), ledger=ledger))
    assert "no evidence" in finding.message
    assert "ObjectNet" in added.splitlines()[(finding.line or 0) - 1]


def test_a_line_that_is_gone_is_found_with_its_key(rendered: tuple[Ledger, str]) -> None:
    ledger, card = rendered
    lines = [line for line in card.splitlines() if "| Throughput" not in line]
    assert len(lines) == len(card.splitlines()) - 1
    assert [f.key for f in in_card(verify_card("\n".join(lines).encode(), ledger=ledger))] == ["compute.throughput"]


def test_another_ledger_than_the_cards_own_is_told(rendered: tuple[Ledger, str]) -> None:
    ledger, card = rendered
    other = Ledger(model=MODEL | {"title": "Other"}, evidence=ledger.evidence)
    messages = [finding.message for finding in verify_card(card.encode(), ledger=other).findings]
    assert any("not the ledger that the card was made from" in message for message in messages)


def test_a_damaged_record_is_told(rendered: tuple[Ledger, str]) -> None:
    _, card = rendered
    with pytest.raises(HarnessError, match="record"):
        read_record(card.replace('"made_by"', '"made_bye"'))


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
    between = item.model_copy(update={"value": item.value + 50 / n})  # half an image more
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
