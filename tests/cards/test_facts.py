"""Documented facts: strict files, sources for every value, siblings that never answer."""

from __future__ import annotations

from importlib.resources import files

import pytest

from harness.errors import HarnessError
from harness.evidence import EvidenceClass
from harness.facts.loader import Relation, facts_for, known_models, parse_facts

REGNET = files("harness.facts").joinpath("regnet-y-040.yaml").read_text("utf-8")


@pytest.mark.parametrize("name", known_models())
def test_every_value_names_its_source_and_every_unknown_where_was_looked(name: str) -> None:
    facts = facts_for(name)
    assert facts
    for fact in facts.facts:
        if fact.evidence.class_.has_value:
            source = fact.evidence.source
            assert source is not None
            assert source.place
            assert source.read in ("2026-11-21", "2026-11-22")
            assert source.url is not None
            assert source.url.startswith("https://")
        elif fact.evidence.class_ is EvidenceClass.UNDISCLOSED:
            assert fact.looked_in


@pytest.mark.parametrize(
    "reference", ["regnet-y-040", "facebook/regnet-y-040", "hf:facebook/regnet-y-040", "hf:facebook/regnet-y-040@main"]
)
def test_a_model_is_found_by_any_of_its_names(reference: str) -> None:
    facts = facts_for(reference)
    assert facts
    assert facts.model == "regnet-y-040"


def test_other_models_have_none() -> None:
    assert facts_for("efficientnet-lite1") is None
    assert facts_for("timm:regnety_040") is None


def test_a_siblings_fact_is_a_reference_not_an_answer() -> None:
    facts = facts_for("convnext-base-224-22k")
    assert facts
    assert facts.get("documented.training.epochs:isotropic") is None
    warmup = facts.get("documented.training.warmup")
    assert warmup
    assert warmup.evidence.value == 5  # not the isotropic model's 50
    siblings = [fact for fact in facts.published("imagenet-val.top1") if fact.checkpoint.relation is Relation.SIBLING]
    assert [fact.evidence.value for fact in siblings][:2] == [85.82, 85.814]  # nearest first


def test_conflicts_are_kept() -> None:
    facts = facts_for("regnet-y-040")
    assert facts
    hours = facts.get("documented.training.hours")
    assert hours
    assert hours.evidence.value == 17.5
    assert [conflict.value for conflict in hours.conflicts] == [16.8]


def test_places_in_a_repository_become_addresses() -> None:
    facts = facts_for("regnet-y-040")
    assert facts
    hours = facts.get("documented.training.hours")
    assert hours
    assert hours.evidence.source
    assert str(hours.evidence.source.url).endswith("/MODEL_ZOO.md?plain=1#L321")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("unit: epochs", "units: epochs", r"bad.yaml, line \d+: facts.\d+.units"),
        ("source: swin", "source: swim", r"bad.yaml, line \d+: no source is called 'swim'"),
        ("checkpoint: deit", "checkpoint: diet", r"bad.yaml, line \d+: no checkpoint is called 'diet'"),
        ("value: 100,", "value: ,", r"bad.yaml, line \d+: .*needs a value"),
        ("looked-in: [the RobustBench model zoo]", "looked-in: []", r"bad.yaml, line \d+: .*undisclosed"),
        ("value: 0.4,", "value: [0.4,", r"bad.yaml, line \d+: not valid YAML"),
        ("key: documented.training.momentum", "key: documented.training.epochs", r"two facts are called"),
    ],
)
def test_faults_are_named_with_file_and_line(old: str, new: str, message: str) -> None:
    assert old in REGNET
    with pytest.raises(HarnessError, match=message):
        parse_facts(REGNET.replace(old, new, 1), origin="bad.yaml")


def test_the_line_in_a_message_is_the_faulty_entrys() -> None:
    line = next(n for n, text in enumerate(REGNET.splitlines(), 1) if "unit: epochs" in text)
    with pytest.raises(HarnessError, match=f"line {line}:"):
        parse_facts(REGNET.replace("unit: epochs", "units: epochs", 1), origin="bad.yaml")
