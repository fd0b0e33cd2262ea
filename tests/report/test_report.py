"""The report as text: what it says, what it leaves out and why, and that nothing in it can act."""

from __future__ import annotations

import base64
import hashlib
import html.parser
import io
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from harness.errors import ExitCode
from harness.evaluation.reader import StoredCondition, stored_model
from harness.evidence import Evidence, EvidenceClass, Interval, Ledger
from harness.labels.spaces import class_name
from harness.metrics.calibration import confidence
from harness.report.comparable import compare_groups, groups
from harness.report.contents import collect
from harness.report.mistakes import Thumbnails, mistakes_of, reference_predictions
from harness.report.page import inline_svg, render_report
from harness.store.ledgers import merge_into_store
from tests.report.conftest import IMAGES, V2, Call, Store, right

LABELS = np.array([label for label, _ in IMAGES.values()])
HOSTILE = "<img src=x onerror=alert(1)>"


class Page(html.parser.HTMLParser):
    """What a browser would see of a page: its tags, ids and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def ids(self) -> list[str]:
        return [value for _, attributes in self.tags if (value := attributes.get("id"))]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def page_of(store: Store, *names: str, **options: Any) -> tuple[str, Page]:
    models = [stored_model(name, store.home) for name in names]
    text = render_report(collect(models, store.settings, pytest.fail, **options))
    return text, Page(text)


@pytest.fixture
def two(store: Store) -> Store:
    """One model run here with corruptions, one imported."""
    store.ran("ours", right(300, 0.8, 1), benchmark="imagenet-val")
    store.ran("ours", right(300, 0.7, 2))
    cells = right(300, 0.5, 3)
    for severity in (1, 3, 5):
        store.ran("ours", cells, benchmark="imagenet-c", condition=f"fog/{severity}", metrics=("accuracy",))
    store.imports("theirs", right(300, 0.6, 4))
    return store


def test_it_has_every_part_that_the_evidence_allows(two: Store) -> None:
    _, page = page_of(two, "ours", "theirs")
    sections = {attributes["id"] for tag, attributes in page.tags if tag == "section"}
    assert sections == {"overview", "comparison", "shift", "corruptions", "calibration", "errors", "ledger", "ways"}
    for said in (
        "Imported: theirs",
        "harness run --suite robustness --model ours",
        "Failures, one by one",
        "300 of",
        "declines to answer",
    ):
        assert said in page.text, said
    assert f"{V2}.top1" in page.text


def test_one_model_has_no_comparison(two: Store) -> None:
    _, page = page_of(two, "theirs")
    assert "comparison" not in page.ids
    assert "The predictions were stored without logits" in page.text


def test_models_that_can_not_be_compared_say_why(store: Store) -> None:
    store.imports("one", right(20, 0.8))
    store.imports("two", right(20, 0.8), benchmark="imagenet-sketch")
    assert (
        "imagenet-sketch: no other model has predictions of the same samples as two."
        in page_of(store, "one", "two")[1].text
    )


class TestModelsThatShareSamples:
    def test_are_compared_whatever_another_model_lacks(self, store: Store) -> None:
        for name, seed in (("one", 1), ("two", 2)):
            store.imports(name, right(60, 0.7, seed))
        store.imports("elsewhere", right(60, 0.7, 3), benchmark="imagenet-sketch")
        documented = Evidence(key="compute.parameters", class_=EvidenceClass.DERIVED, value=5)
        store.knows("read", documented)
        models = [stored_model(name, store.home) for name in ("one", "elsewhere", "two", "read")]
        compared, apart = compare_groups(models, store.settings, pytest.fail)
        assert [(found.models, [c.n for c in found.comparisons]) for found in compared] == [(("one", "two"), [60])]
        assert apart == [
            "read is not compared: it has no stored predictions.",
            "imagenet-sketch: no other model has predictions of the same samples as elsewhere.",
        ]
        text = page_of(store, "one", "elsewhere", "two", "read")[1].text
        assert "Every pair: 1 difference " in text
        assert "read is not compared" in text

    def test_a_few_images_of_one_model_do_not_shrink_the_comparison_of_others(self) -> None:
        whole, few, other = (pd.Index([f"{at}" for at in ids]) for ids in (range(100), range(95, 98), range(200, 300)))
        found = list(groups({"few": few, "a": whole, "b": whole[:90], "c": whole[20:], "d": other}))
        assert found == [["a", "b", "c"], ["d"], ["few", "a", "c"]]  # b has none of the few


def test_pending_evidence_shows_its_reason_and_command(store: Store) -> None:
    waiting = Evidence(
        key="imagenet-val.top1",
        class_=EvidenceClass.PENDING,
        reason="The images are not on this machine.",
        command="harness run --suite imagenet --model waits",
    )
    store.knows("waits", waiting)
    _, page = page_of(store, "waits")
    for said in ("pending", "The images are not on this machine.", "harness run --suite imagenet --model waits"):
        assert said in page.text


def test_costs_are_a_table_with_their_class(store: Store) -> None:
    estimate = Evidence(
        key="carbon.per-1000-images",
        class_=EvidenceClass.ESTIMATED,
        value=0.5,
        unit="g CO2e",
        interval=Interval(low=0.1, high=2.0, method="range of grids"),
    )
    store.knows("m", estimate)
    _, page = page_of(store, "m")
    assert "costs" in page.ids
    assert "Emissions for 1,000 images, with PUE, g CO2e" in page.text
    assert "estimated" in page.text


def test_cost_stands_beside_accuracy(two: Store) -> None:
    model = stored_model("ours", two.home).ledger.model
    macs = Evidence(key="compute.macs", class_=EvidenceClass.DERIVED, value=4_000_000_000, unit="MACs")
    merge_into_store(two.home, Ledger(model=model, evidence=[macs]))
    _, page = page_of(two, "ours", "theirs")
    assert "imagenet-val.top1 against cost" in page.text


class TestNothingActs:
    def test_markup_in_names_and_reasons_is_text(self, store: Store) -> None:
        store.ran("ours", right(60, 0.8), benchmark="imagenet-val", title=HOSTILE)
        store.ran("ours", right(60, 0.7), title=HOSTILE)
        hostile = Evidence(
            key="imagenet-a.top1",
            class_=EvidenceClass.PENDING,
            reason=f"'\"></script>{HOSTILE}",
            command=f"harness run --model '{HOSTILE}'",
        )
        model = {"name": "ours", "title": HOSTILE, "weights": hashlib.sha256(b"ours").hexdigest()}
        merge_into_store(store.home, Ledger(model=model, environment={"os": HOSTILE}, evidence=[hostile]))
        _, page = page_of(store, "ours")
        tags = Counter(tag for tag, _ in page.tags)
        assert tags["img"] == 0
        assert tags["script"] == 1
        assert page.text.count("onerror=alert(1)") >= 4  # title, heading, reason, command, figures: all as text
        assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)

    def test_nothing_is_fetched_and_only_the_one_script_may_run(self, two: Store) -> None:
        text, page = page_of(two, "ours", "theirs")
        for tag, attributes in page.tags:
            for name in ("src", "href", "xlink:href", "action", "data", "poster"):
                value = attributes.get(name) or ""
                assert value.startswith(("#", "data:")) or not value, (tag, value)
        assert "url(http" not in text
        policy = next(a["content"] for t, a in page.tags if t == "meta" and a.get("http-equiv"))
        script = re.search(r"<script>(.*)</script>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
        assert policy is not None
        assert "default-src 'none'" in policy
        assert f"script-src 'sha256-{digest}'" in policy

    def test_ids_are_unique_and_every_reference_has_its_target(self, two: Store) -> None:
        text, page = page_of(two, "ours", "theirs")
        assert [name for name, count in Counter(page.ids).items() if count > 1] == []
        targets = set(re.findall(r'href="#([^"]+)"', text)) | set(re.findall(r"url\(#([^)]+)\)", text))
        assert targets <= set(page.ids)

    def test_a_figures_own_text_is_escaped(self) -> None:
        svg = '<svg xmlns="http://www.w3.org/2000/svg"><style>*{color:red}</style><text id="a">&lt;img src=x&gt;</text></svg>'
        assert inline_svg(svg, "p-") == (
            '<svg xmlns="http://www.w3.org/2000/svg" class="figure"><text id="p-a">&lt;img src=x&gt;</text></svg>'
        )
        with pytest.raises(ValueError, match="not XML"):
            inline_svg("<svg><img src=x onerror=alert(1)></svg>", "p-")


class TestThumbnails:
    def shown(self, store: Store, images: Path, wanted: bool | None) -> tuple[list[str], str]:
        settings = replace(store.settings, data={"imagenet-val": str(images)})
        pictures = Thumbnails(settings, wanted)
        condition = stored_model("m", store.home).conditions["imagenet-val"]
        assert isinstance(condition, StoredCondition)
        found = pictures.of(condition, [("ILSVRC2012_val_00000293.JPEG", "")])
        return list(found.values()), pictures.told()

    def test_gated_images_are_shown_only_when_asked_for(self, store: Store, images: Path) -> None:
        store.imports("m", np.zeros(3, dtype=bool), benchmark="imagenet-val", labels=LABELS, ids=list(IMAGES))
        found, told = self.shown(store, images, None)
        assert found == []
        assert "imagenet-val is gated" in told
        found, told = self.shown(store, images, True)
        assert told == "1 thumbnails are embedded."
        picture = Image.open(io.BytesIO(base64.b64decode(found[0].partition(",")[2])))
        assert picture.size == (112, 56)
        assert self.shown(store, images, False)[0] == []

    def test_failures_are_a_gallery_of_the_images_that_are_here(self, store: Store, images: Path) -> None:
        ids, labels = [*IMAGES, "ILSVRC2012_val_00000002.JPEG"], np.append(LABELS, 970)
        store.imports("m", np.zeros(4, dtype=bool), benchmark="imagenet-val", labels=labels, ids=ids)
        asked = replace(store.settings, data={"imagenet-val": str(images)})
        found = collect([stored_model("m", store.home)], asked, pytest.fail, thumbnails=True).mistakes[0]
        assert [(failure.sample_id, failure.thumbnail is not None) for failure in found.failures] == [
            (id_, True) for id_ in IMAGES
        ]
        assert found.chosen == "These are all 3 wrong answers whose images are here."
        kept = collect([stored_model("m", store.home)], asked, pytest.fail).mistakes[0]  # gated, and nobody asked
        assert [failure.thumbnail for failure in kept.failures] == [None] * 4


def test_failures_are_the_surest_then_those_of_the_worst_classes(store: Store) -> None:
    correct = np.arange(3000) >= 1500  # each class wrong once or twice …
    correct[[100, 1100, 2100, 200, 1200, 2200]] = False  # … and two of them three times
    store.ran("m", correct, benchmark="imagenet-val")
    reference = reference_predictions(stored_model("m", store.home), store.settings, pytest.fail)
    assert reference is not None
    condition, read = reference
    found = mistakes_of("m", condition, read, Thumbnails(store.settings, False), share=100)
    assert len(found.failures) == 24  # of the 2,400 that there is room for
    sure = [failure.confidence or 0 for failure in found.failures]
    assert sure == sorted(sure, reverse=True)
    everything = confidence(read.predictions)[~correct]
    assert sure[:12] == pytest.approx(100 * np.sort(everything)[::-1][:12])
    worst = {class_name(condition.benchmark.space.classes[label]) for label in (100, 200)}
    assert worst <= {failure.true for failure in found.failures[12:]}
    assert found.chosen.startswith(
        "Shown are 24 of 1,502 wrong answers: the 12 that it was most sure of, then those of"
    )


class TestCommand:
    def test_it_writes_one_file(self, two: Store, tmp_path: Path, call: Call) -> None:
        output = tmp_path / "made" / "report.html"
        result = call("report", "-o", output)
        assert result.exit_code == 0, result.output
        assert "<!doctype html>" in output.read_text()[:100]
        assert list(output.parent.iterdir()) == [output]
        assert output.stat().st_size < 2e6

    @pytest.mark.parametrize(
        ("arguments", "code", "said"),
        [
            (["report"], ExitCode.MISSING, "has no models"),
            (["report", "--models", "nobody"], ExitCode.USAGE, "Unknown model 'nobody'"),
            (["view", "--no-browser"], ExitCode.MISSING, "has no models"),
            (["view", "nothing.html", "--no-browser"], ExitCode.MISSING, "Can't read nothing.html"),
        ],
    )
    def test_what_a_user_can_mend(
        self, store: Store, arguments: list[str], code: ExitCode, said: str, call: Call
    ) -> None:
        result = call(*arguments)
        assert result.exit_code == code, result.output
        assert said in " ".join(result.stderr.split())
