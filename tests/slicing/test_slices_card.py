"""Slices in cards: sentences, tables, figures, hostile names, and answers to questions on subgroups."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from harness.cards.fill import fill_card
from harness.cards.render import SLICES_FILE, render_card
from harness.cards.slices import is_slice, slice_figures, slice_results, slices_csv
from harness.evaluation.scoring import Scored
from harness.evaluation.slice_evidence import slice_evidence
from harness.evaluation.slice_requests import request_of
from harness.evaluation.suites import load_suite
from harness.evidence import Ledger
from harness.figures.accuracy import slice_dots
from harness.figures.style import Point
from harness.metrics.types import TOP
from tests.slicing.conftest import made, scored_of

MODEL = {"name": "made", "reference": "made", "title": "Made model", "weights": "weights"}


@pytest.fixture(scope="module")
def whole(scored_as: Callable[[str], Scored]) -> Ledger:
    """resnet50's published predictions by everything that needs no images."""
    scored = scored_as("resnet50")
    evidence = slice_evidence({scored.prefix: scored}, request_of(load_suite("subgroups"), None, ()))
    return Ledger(model=MODEL, environment={}, evidence=evidence)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("imagenet-val@imagenet-x/pose.top1", True),
        ("imagenet-val@imagenet-x.top1:difference", True),
        ("imagenet-val@imagenet-x-top/pose.error-ratio", True),
        ("imagenet-c/fog/3@wordnet/n02084071.top1:bf16", True),
        ("imagenet-val@imagenet-x+wordnet/pose+n02084071.top1", True),
        ("imagenet-val.worst-slices", True),
        ("imagenet-val.worst-slice-gap", True),
        ("imagenet-val@imagenet-a-200.top1", False),
        ("imagenet-val@imagenet-a-200.top1:open", False),
        ("imagenet-val.top1", False),
        ("imagenetv2-threshold-0.7.top1", False),
        ("imagenet-c/fog/3.top1", False),
    ],
)
def test_which_keys_are_about_slices(key: str, expected: bool) -> None:
    assert is_slice(key) is expected


def test_no_difference_is_said() -> None:
    labels = np.arange(50_000) % 1000
    scored = made(labels, np.random.default_rng(0).random(50_000) < 0.7)
    request = request_of(None, None, ("imagenet-x-metaclass",))
    ledger = Ledger(model=MODEL, evidence=slice_evidence({scored.prefix: scored}, request))
    (view,) = slice_results(ledger).views
    assert re.fullmatch(r"no detectable difference \(smallest detectable here: \d\.\d points\)", view.verdict or "")
    assert view.below == "none"
    assert "None of the 17 groups with 100 images or more is detectably below the others." in render_card(ledger).text
    assert slice_figures(slice_results(ledger), "Made model") == {}, "there is nothing to see"


@pytest.mark.slow
class TestCard:
    def test_sections_are_filled(self, whole: Ledger) -> None:
        card = render_card(whole)
        assert "Accuracy by group of images</summary>" in card.text
        assert "| 1,000 |" in card.text, "groups of the slicing by classes"
        row = "| ImageNet-X factors, all that apply to an image | 16 | subcategory, 35.6 % (34.1–37.2, n = 3,604) | pattern, "
        assert row in card.text
        assert re.search(
            r"\| 43\.3 points \(40\.5–46\.0\) \| subcategory 35\.6 % \(n = [\d,]+\), texture .*, multiple objects .* and 8 more \|",
            card.text,
        )
        assert re.search(r"(?m)^- On .* it is weakest on .*points below all images, at least .*searched\.$", card.text)
        assert "\n\n\n" not in card.text
        for table_row in re.findall(r"^\|.*$", card.text, re.MULTILINE):
            assert table_row.endswith("|")

    def test_every_figure_that_is_shown_is_there(self, whole: Ledger) -> None:
        card = render_card(whole)
        shown = re.findall(r"!\[[^\]]+\]\((figures/[^)]+)\)", card.text)
        assert shown == [figure.file for figure in card.figures]
        assert len(shown) == 6

    def test_the_table_beside_it_has_every_group(self, whole: Ledger, tmp_path: Path) -> None:
        render_card(whole).save(tmp_path / "card.md")
        table = pd.read_csv(tmp_path / SLICES_FILE)
        assert len(table) == 16 + 16 + 17 + 40 + 2 + 1000
        classes = table[table["slicing"] == "Classes"]
        assert classes["group"].is_unique
        assert (classes["n"] == 50).all()
        assert table["detectable"].notna().all()

    def test_a_card_without_slices_says_so_and_has_no_table(self) -> None:
        card = render_card(Ledger(model=MODEL))
        assert "by group of images" not in card.text
        assert card.tables == {}
        assert slices_csv(slice_results(Ledger(model=MODEL))) == ""

    def test_hostile_names_stay_text(
        self, scored_as: Callable[[str], Scored], published: pd.DataFrame, tmp_path: Path
    ) -> None:
        evil = "<script>alert(1)</script> | [x](http://e.x) `$(rm)` {{ 7*7 }}"
        ids = published["sample_id"]
        frame = pd.DataFrame({"sample_id": ids, evil: np.where(np.arange(len(ids)) % 2, evil, "plain\nname")})
        frame.to_parquet(tmp_path / "mine.parquet")
        scored = scored_as("resnet50")
        evidence = slice_evidence({scored.prefix: scored}, request_of(None, tmp_path / "mine.parquet", ()))
        text = render_card(Ledger(model=MODEL, evidence=evidence)).text
        assert "<script>" not in text
        assert "[x](http" not in text, "brackets are escaped, so there is no link"
        assert "{{ 7\\*7 }}" in text


POINTS = {"hard": Point(40, 35, 45), "easy": Point(90, 88, 92), "usual": Point(70)}


class TestFigure:
    def test_it_says_all_in_words(self) -> None:
        svg = slice_dots(POINTS, 72.5, title="Model: top-1", note="A note", marked={"hard"})
        root = ElementTree.fromstring(svg)
        described = root.findtext("{http://www.w3.org/2000/svg}desc") or ""
        assert described.startswith("Top-1 accuracy, %. all: 72.5. hard: 40.0 (35.0 to 45.0). usual: 70.0. easy: 90.0")
        text = "".join(root.itertext())
        for words in ("hard", "all: 72.5 %", "differs from the rest", "no detectable difference"):
            assert words in text

    def test_the_same_numbers_give_the_same_bytes(self) -> None:
        first = slice_dots(POINTS, 72.5, title="t", note="n")
        assert first == slice_dots(dict(reversed(POINTS.items())), 72.5, title="t", note="n")

    def test_nothing_to_draw(self) -> None:
        with pytest.raises(ValueError, match="nothing to draw"):
            slice_dots({}, 50, title="t", note="n")


class TestAnswers:
    CARD = b"# Model\n\n## Evaluation\n\n#### Factors\n\n[More Information Needed]\n"

    def test_factors_are_answered_from_slices(self, whole: Ledger) -> None:
        text = fill_card(self.CARD, model="resnet50", ledger=whole).text.decode()
        assert "top-1 is lowest for subcategory, 35.6 % (95 % interval 34.1–37.2, n = 3,604)" in text
        assert "the two are 43.3 points (95 % interval 40.5–46.0, n = 46,110) apart" in text
        assert "By world region, country and household income it is not measured yet" in text

    def test_places_are_answered_where_they_were_run(self, whole: Ledger) -> None:
        ids = [f"photograph-{i}" for i in range(400)]
        right = np.arange(400) % 4 < np.arange(400) // 100  # none of the first hundred, three in four of the last
        ranks = np.full((400, TOP), -1, dtype=np.int32)
        ranks[:, 0] = np.where(right, 7, 8)
        table = pd.DataFrame(
            {
                "classes": [(5, 7)] * 400,
                "region": np.repeat(["Africa", "Asia", "America", "Europe"], 100),
                "country": np.repeat(["Burundi", "India", "Peru", "Italy"], 100),
                "income": np.arange(400.0) + 30,
            },
            index=ids,
        )
        scored = replace(scored_of(ids, np.full(400, 5), ranks, "dollar-street"), table=table)
        request = request_of(None, None, ("region",)), request_of(None, None, ("income",))
        evidence = [item for one in request for item in slice_evidence({scored.prefix: scored}, one)]
        both = Ledger(model=MODEL, evidence=[*whole.evidence, *{item.key: item for item in evidence}.values()])
        text = fill_card(self.CARD, model="resnet50", ledger=both).text.decode()
        assert "top-1 by world region is lowest for Africa, 0.0 % (95 % interval 0.0–3.7, n = 100" in text
        assert "highest for Europe, 75.0 %" in text
        assert "by household income it is lowest in q1: 30 to 129 dollars a month, 0.0 %" in text
        assert "not measured yet" not in text
