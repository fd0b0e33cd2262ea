"""Energy and carbon of training: from documented devices and hours, or undisclosed with where was looked."""

from __future__ import annotations

import pytest

from harness.benchmarking.results import Provenance
from harness.benchmarking.training import training_cost
from harness.evidence import Evidence, EvidenceClass
from harness.facts.loader import ModelFacts, facts_for, parse_facts

ORIGIN = Provenance("harness run --suite compute --model regnet-y-040")

FACTS = """
schema: 1
model: tiny
hub-id: org/tiny
short-name: Tiny
read: 2026-11-22
checkpoints:
  this: {{name: org/tiny, relation: this}}
sources:
  paper: {{title: Paper, url: "https://example.org/paper"}}
facts:
- {{key: documented.training.gpus, checkpoint: this, source: paper, place: p. 1, value: 8}}
- {{key: documented.training.hardware, checkpoint: this, source: paper, place: p. 1, value: {hardware}}}
{hours}
"""
HOURS = "- {key: documented.training.hours, checkpoint: this, source: paper, place: p. 2, value: 10.0}"


def facts_of(hardware: str = "8 x Tesla V100 16 GB", hours: str = HOURS) -> ModelFacts:
    return parse_facts(FACTS.format(hardware=hardware, hours=hours), origin="facts.yaml")


def cost(facts: ModelFacts | None) -> dict[str, Evidence]:
    return {item.key: item for item in training_cost(facts, ORIGIN)}


def test_by_hand() -> None:
    found = cost(facts_of())
    energy, carbon = found["energy.training"], found["carbon.training"]
    # 8 devices × 10 h × 150 to 300 W = 12 to 24 kWh; PUE 1.07, 1.59, 1.67; 56.039, 475, 713.441 g/kWh (assumptions.json)
    assert (energy.value, energy.unit) == (pytest.approx(24 * 1.59), "kWh")
    assert (energy.interval.low, energy.interval.high) == pytest.approx((12 * 1.07, 24 * 1.67))
    assert (carbon.value, carbon.unit) == (pytest.approx(24 * 1.59 * 0.475), "kg CO2e")
    assert (carbon.interval.low, carbon.interval.high) == pytest.approx((12 * 1.07 * 0.056039, 24 * 1.67 * 0.713441))
    assert carbon.class_ is EvidenceClass.ESTIMATED
    assert carbon.protocol["documented"]["hours"] == "10 (Paper, p. 2)"
    assert {"pue", "grid", "joules"} <= carbon.protocol.keys()
    assert carbon.source.place == "p. 2"
    assert "12.0 to 24.0 kWh" in str(carbon.reason)


def test_regnet_takes_both_documented_hours_and_names_whose_weights_they_are_of() -> None:
    carbon = cost(facts_for("regnet-y-040"))["carbon.training"]
    assert carbon.value == pytest.approx(8 * 17.5 * 0.3 * 1.59 * 0.475)
    assert carbon.interval.low == pytest.approx(8 * 16.8 * 0.15 * 1.07 * 0.056039)
    documented = carbon.protocol["documented"]
    assert documented["hours"] == "17.5 (pycls, MODEL_ZOO.md:321); 16.8 (Designing Network Design Spaces, Figure 16)"
    assert documented["checkpoint"].endswith("very probably the ones converted here")


def test_what_the_weights_were_found_to_be_decides_whose_training_it_was() -> None:
    facts = facts_for("regnet-y-040")
    (_, confirmed), (_, other) = (training_cost(facts, ORIGIN, lineage=name) for name in ("pycls", "ra3-224"))
    assert confirmed.protocol["documented"]["checkpoint"].startswith("pycls RegNetY-4.0GF")
    assert "very probably" not in confirmed.protocol["documented"]["checkpoint"]
    assert other.class_ is EvidenceClass.UNDISCLOSED
    assert "these weights were found to be timm regnety_040.ra3_in1k" in str(other.reason)


def test_the_facts_that_a_card_is_filled_from_say_the_same() -> None:
    facts = facts_for("regnet-y-040")
    said, computed = facts.get("carbon.training"), cost(facts)["carbon.training"]
    assert said.evidence.value == pytest.approx(computed.value, rel=0.005)
    assert said.evidence.interval.low == pytest.approx(computed.interval.low, rel=0.005)
    assert said.evidence.interval.high == pytest.approx(computed.interval.high, rel=0.005)
    assert said.evidence.unit == computed.unit


def test_convnext_is_undisclosed_with_where_was_looked() -> None:
    found = cost(facts_for("convnext-base-224-22k"))
    assert {item.class_ for item in found.values()} == {EvidenceClass.UNDISCLOSED}
    reason = str(found["carbon.training"].reason)
    assert "the training time is not published (looked in the paper, the ConvNeXt repository" in reason
    assert "the GPU model is not stated" in reason


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        (facts_of(hours=""), "the hardware of the training, the time that it took, or both are not published"),
        (facts_of(hardware="8 x abacus"), "no source for the power of the documented hardware is kept (8 x abacus)"),
    ],
)
def test_without_hours_or_a_known_device_nothing_is_guessed(facts: ModelFacts, why: str) -> None:
    found = cost(facts)
    assert {item.class_ for item in found.values()} == {EvidenceClass.UNDISCLOSED}
    assert {item.reason for item in found.values()} == {why}
