"""What slices leave in the ledger: intervals, counts, fingerprints, corrections, what is too small, missing or not there."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from harness.data import groupings
from harness.data.catalog import benchmarks, get_benchmark
from harness.data.slicings import slicings
from harness.errors import HarnessError
from harness.evaluation.recheck import recheck
from harness.evaluation.run import RunResult
from harness.evaluation.scoring import Scored
from harness.evaluation.slice_evidence import NO_DIFFERENCE, slice_evidence
from harness.evaluation.slice_requests import request_of
from harness.evaluation.suites import load_suite, parse_suite
from harness.evidence import EvidenceClass
from harness.labels.projections import CLOSED
from harness.metrics.multiplicity import benjamini_hochberg, holm
from harness.settings import Settings
from tests.slicing.conftest import made, run_with, slices_of

Run = tuple[Path, RunResult, dict[str, str]]
"""Store, result, and where the data is."""


class TestRecords:
    def test_each_measured_number_has_all_a_reader_needs(self, validation_run: Run) -> None:
        measured = [i for i in validation_run[1].ledger if "@" in i.key and i.class_ is EvidenceClass.MEASURED]
        assert len(measured) > 80
        for item in measured:
            assert item.interval is not None, item.key
            assert isinstance(item.value, float)
            assert item.interval.low <= item.value <= item.interval.high
            assert item.N is not None, item.key
            assert item.n < item.N, "a part of the benchmark is marked as one"
            assert item.protocol["slicing"]
            assert item.fingerprints.weights is not None
            assert item.fingerprints.data is not None
            assert item.fingerprints.annotations is not None
            assert item.command == ("harness run --suite subgroups --model efficientnet-lite0 --data imagenet-val=DIR")

    def test_small_groups_are_there_and_say_why_they_have_no_number(self, validation_run: Run) -> None:
        ledger = validation_run[1].ledger
        item = ledger.get("imagenet-val@imagenet-x/larger.top1")
        assert (item.class_, item.value, item.n) == (EvidenceClass.PENDING, None, 11)
        assert item.reason == "too small to report: 11 images, at least 30 are needed"
        assert sum(i.key.startswith("imagenet-val@class/") for i in ledger) == 1000, "no class is dropped"

    def test_a_group_that_is_small_in_the_whole_benchmark_will_never_be_measured(
        self, scored_as: Callable[[str], Scored]
    ) -> None:
        found = slices_of(scored_as("resnet50"), "imagenet-x-top", smallest_group=41)
        item = found["imagenet-val@imagenet-x-top/multiple_objects.top1"]
        assert item.class_ is EvidenceClass.NOT_APPLICABLE
        assert (item.n, item.N) == (40, 40)

    def test_one_value_has_nothing_to_compare(self, validation_run: Run) -> None:
        item = validation_run[1].ledger.get("imagenet-val@resolution.top1:difference")
        assert item.class_ is EvidenceClass.NOT_APPLICABLE
        assert "All 1,300 samples have the same value" in (item.reason or "")

    def test_image_statistics_are_fifths_with_their_bounds(self, validation_run: Run) -> None:
        items = [validation_run[1].ledger.get(f"imagenet-val@brightness/q{part}.top1") for part in range(1, 6)]
        assert [item.n for item in items if item is not None] == [260] * 5
        assert items[0].N == 10_000
        assert re.fullmatch(r"q1: [\d.]+ to [\d.]+", items[0].protocol["group"])

    def test_no_difference_is_said_in_these_words(self) -> None:
        generator = np.random.default_rng(0)  # one seed in twenty finds a difference where there is none
        labels = np.arange(50_000) % 1000
        found = slices_of(made(labels, generator.random(50_000) < 0.7), "imagenet-x-metaclass")
        spread = found["imagenet-val@imagenet-x-metaclass.top1:difference"]
        assert spread.reason == NO_DIFFERENCE.format(points=spread.protocol["smallest_detectable"])
        assert re.fullmatch(r"no detectable difference \(smallest detectable here: \d+\.\d points\)", spread.reason)
        assert spread.interval.low == 0

    def test_p_values_are_adjusted_both_ways(self, scored_as: Callable[[str], Scored]) -> None:
        found = slices_of(scored_as("resnet50"), "imagenet-x-metaclass")
        protocols = [i.protocol["comparison"] for i in found.values() if i.protocol and "comparison" in i.protocol]
        assert len(protocols) == 17
        p = np.array([one["p_value"] for one in protocols])
        np.testing.assert_allclose([one["p_holm"] for one in protocols], holm(p))
        np.testing.assert_allclose([one["p_benjamini_hochberg"] for one in protocols], benjamini_hochberg(p))
        assert {one["correction"] for one in protocols} == {"Holm over 17 groups"}

    @pytest.mark.slow
    def test_the_correction_that_a_suite_asks_for_decides(self) -> None:
        """Forty groups, some a little worse: Benjamini–Hochberg finds at least what Holm finds, and here more."""
        generator = np.random.default_rng(8)
        labels = np.arange(50_000) % 1000
        rate = np.where(np.isin(labels, range(151, 400)), 0.66, 0.7)
        scored = made(labels, generator.random(50_000) < rate)
        counts = {}
        for correction in ("holm", "benjamini-hochberg"):
            found = slices_of(scored, "class", correction=correction)
            counts[correction] = sum(
                bool(i.protocol and i.protocol.get("comparison", {}).get("detectable")) for i in found.values()
            )
        assert counts["benjamini-hochberg"] >= counts["holm"]

    def test_one_synset_of_a_reader_s_own(self, scored_as: Callable[[str], Scored]) -> None:
        found = slices_of(scored_as("resnet50"), "wordnet/n02103406")
        item = found.pop("imagenet-val@wordnet/n02103406.top1")
        assert item.protocol["group"] == "working dog"
        assert (item.n, item.N) == (1500, 1500)  # 30 of the 1,000 classes
        assert not [key for key in found if ":difference" in key], "one group has no other to differ from"

    def test_the_published_error_ratio(self, scored_as: Callable[[str], Scored]) -> None:
        """ResNet50 of the ImageNet-X paper's table."""
        path = Path(__file__).with_name("imagenet_x_error_ratios.csv")
        published = pd.read_csv(path, comment="#", index_col="factor")["ResNet50"]
        found = slices_of(scored_as("resnet50"), "imagenet-x-top")
        for factor, ratio in published.items():
            item = found[f"imagenet-val@imagenet-x-top/{factor}.error-ratio"]
            assert item.value == pytest.approx(ratio, rel=5e-6)  # published with six digits
            assert item.interval.low <= item.value <= item.interval.high


class TestWorstSlices:
    @pytest.mark.slow
    def test_bounds_allow_for_the_search(self, scored_as: Callable[[str], Scored]) -> None:
        found = slices_of(scored_as("resnet50"), "imagenet-x", "class", "wordnet")
        worst = found["imagenet-val.worst-slices"]
        assert isinstance(worst.value, list)
        assert worst.protocol["searched"] == "1,056 slices of 3 slicings"
        for row in worst.value:
            item = found[row["key"]]
            assert row["accuracy"] == pytest.approx(item.value)
            assert row["low"] < item.interval.low
            assert row["high"] > item.interval.high, "wider than the interval of a slice that was not searched for"
            assert row["gap_at_least"] < row["gap"]
        gap = found["imagenet-val.worst-slice-gap"]
        assert gap.interval.low == pytest.approx(worst.value[0]["gap_at_least"])
        assert gap.value == pytest.approx(worst.value[0]["gap"])

    @pytest.mark.slow
    def test_where_all_are_alike_nothing_is_certain(self) -> None:
        labels, chance = np.arange(50_000) % 1000, np.random.default_rng(5).random(50_000)
        found = slices_of(made(labels, chance < 0.7), "class", "imagenet-x-metaclass")
        assert found["imagenet-val.worst-slice-gap"].interval.low == 0


class TestReadsWhatIsStored:
    def test_neither_the_model_nor_an_image_is_read_again(
        self, validation_run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        home, first, data = validation_run
        for computes in ("harness.evaluation.run.load", "harness.data.statistics.statistics_of"):
            monkeypatch.setattr(computes, lambda *_, **__: pytest.fail("something was computed although it is stored"))
        again = run_with(home, load_suite("subgroups"), data=data)

        def values(result: RunResult) -> list[tuple[object, ...]]:
            return [(i.key, i.value, i.interval, i.n) for i in result.ledger if "@" in i.key]

        assert values(again) == values(first)


class TestMissing:
    def test_without_the_annotations_the_slicing_is_pending(
        self, scored_as: Callable[[str], Scored], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(groupings, "imagenet_x_folder", lambda: None)
        groupings.imagenet_x_annotations.cache_clear()
        found = slices_of(scored_as("resnet50"), "imagenet-x", "real")
        groupings.imagenet_x_annotations.cache_clear()
        item = found["imagenet-val@imagenet-x.top1:difference"]
        assert item.class_ is EvidenceClass.PENDING
        reason = "The ImageNet-X annotations are not installed. Run: pip install imagenet-x==0.0.7"
        assert item.reason == f"{reason} (they are CC-BY-NC-4.0)"
        assert found["imagenet-val@real.top1:difference"].class_ is EvidenceClass.MEASURED

    def test_without_the_benchmark_each_slicing_is_pending(self, tmp_path: Path) -> None:
        result = run_with(tmp_path, load_suite("subgroups"))
        for (name,) in load_suite("subgroups").slicings:
            benchmark = "dollar-street" if slicings()[name].benchmarks else "imagenet-val"
            item = result.ledger.get(f"{benchmark}@{name}.top1:difference")
            assert item is not None, name
            assert item.class_ is EvidenceClass.PENDING
            assert f"{benchmark} is not on this machine" in (item.reason or "")
            assert (item.command or "").startswith("harness run --suite subgroups --model efficientnet-lite0 --data ")

    def test_images_without_published_names_can_t_be_joined(self) -> None:
        scored = made(np.arange(100) % 10, np.ones(100, bool))
        unnamed = replace(scored, sample_ids=[f"sha256-{i}" for i in range(100)])
        item = slices_of(unnamed, "imagenet-x")["imagenet-val@imagenet-x.top1:difference"]
        assert item.class_ is EvidenceClass.PENDING
        assert "no annotated sample is among the 100 evaluated" in (item.reason or "")


class TestOtherSets:
    def cells(self, units: int = 3000) -> dict[str, Scored]:
        generator = np.random.default_rng(4)
        labels = np.arange(units) % 1000
        found = {}
        for corruption in ("fog", "snow"):
            for severity in (1, 3):
                cell = made(labels, generator.random(units) < 0.8 - 0.1 * severity, "imagenet-c")
                cell = replace(cell, condition=f"{corruption}/{severity}")
                found[cell.prefix] = cell
        return found

    def test_corruption_cells_are_pooled_by_image(self) -> None:
        cells = self.cells()
        assert slices_of(cells, "wordnet") == {}, "only clean sets are sliced unless a suite asks for more"
        found = slices_of(cells, "wordnet", conditions="shifted")
        assert not [key for key in found if key.startswith("imagenet-c/")]
        rows = pd.concat(
            pd.DataFrame({"label": cell.predictions[CLOSED].label, "right": cell.correct()}) for cell in cells.values()
        )
        dogs = rows[rows["label"].between(151, 268)]  # the 118 dogs are classes 151 to 268
        item = found["imagenet-c@wordnet/n02084071.top1"]
        assert item.value == pytest.approx(100 * dogs["right"].mean())
        assert item.n == len(dogs)
        assert "repeated images" in item.interval.method

    def test_every_cell_by_itself_where_a_suite_asks(self) -> None:
        cells = self.cells()
        found = slices_of(cells, "wordnet", conditions="cells")
        for prefix, cell in cells.items():
            dogs = cell.correct()[(cell.predictions[CLOSED].label >= 151) & (cell.predictions[CLOSED].label <= 268)]
            assert found[f"{prefix}@wordnet/n02084071.top1"].value == pytest.approx(100 * dogs.mean())

    def test_an_image_that_one_cell_lacks_is_counted_where_it_is(self) -> None:
        cells = self.cells()
        first = cells["imagenet-c/fog/1"]
        readout = first.predictions[CLOSED].take(np.arange(1, 3000))
        cells["imagenet-c/fog/1"] = replace(first, sample_ids=first.sample_ids[1:], predictions={CLOSED: readout})
        found = slices_of(cells, "imagenet-x-metaclass", conditions="shifted")
        groups = [i for key, i in found.items() if "/" in key and i.n is not None]
        assert sum(item.n or 0 for item in groups) == 4 * 3000 - 1

    def test_shifted_sets_are_sliced_by_what_joins_with_them(self) -> None:
        scored = made(np.arange(5000) % 1000, np.arange(5000) % 3 > 0, "imagenet-sketch")
        found = slices_of(scored, "wordnet", "imagenet-x", "real", conditions="shifted")
        assert "imagenet-sketch@wordnet/n02084071.top1" in found
        assert not [key for key in found if "@imagenet-x" in key or "@real" in key]


class TestSuites:
    SUITE = "name: s\ntitle: t\ndescription: d\nbenchmarks: [imagenet-val]\nmetrics: [accuracy]\n"

    @pytest.mark.parametrize(
        ("text", "line", "said", "hint"),
        [
            ("slicings:\n  - wordnt\n", 7, "Unknown slicing 'wordnt'", "wordnet"),
            ("slicings:\n  - wordnet\n  - [imagenet-x/poze, real]\n", 8, "Unknown group of imagenet-x 'poze'", "pose"),
            ("slicings: [wordnet/n99999999]\n", 6, "n99999999 is not a synset", "n02084071"),
            ("slicing: [wordnet]\n", 6, "slicing: Extra inputs", "slicings"),
            ("slice_options: {condition: cells}\n", 6, "Extra inputs", "conditions"),
            ("slice_options: {conditions: all}\n", 6, "'clean', 'shifted' or 'cells'", ""),
            ("slice_options: {correction: bonferroni}\n", 6, "'holm' or 'benjamini-hochberg'", ""),
            ("slice_options: {smallest_group: 1}\n", 6, "greater than or equal to 2", ""),
            ("slicings: [[]]\n", 6, "at least 1 item", ""),
        ],
    )
    def test_a_mistake_is_named_with_its_line(self, text: str, line: int, said: str, hint: str) -> None:
        with pytest.raises(HarnessError) as caught:
            parse_suite(self.SUITE + text, Path("s.yaml"))
        assert f"line {line}" in caught.value.message
        assert said in caught.value.message
        assert hint in (caught.value.remedy or "")

    def test_what_is_asked_twice_is_made_once(self, scored_as: Callable[[str], Scored]) -> None:
        suite = parse_suite(self.SUITE + "slicings: [wordnet, wordnet, wordnet/n02084071]\n", Path("s.yaml"))
        request = request_of(suite, None, ("wordnet",))
        assert request.by == (("wordnet",), ("wordnet/n02084071",))
        scored = scored_as("resnet50")
        keys = [item.key for item in slice_evidence({scored.prefix: scored}, request)]
        assert len(keys) == len(set(keys))


def test_the_catalog_says_where_each_slicing_comes_from() -> None:
    known = slicings()
    assert len([name for name in known if name.startswith("imagenet-x")]) == 3
    for entry in known.values():
        assert entry.source
        assert entry.licence
        assert entry.licence_read_at
        assert any(entry.fits(benchmark) for benchmark in benchmarks().values()), entry.name
    assert not known["imagenet-x"].fits(get_benchmark("imagenet-sketch"))
    assert known["wordnet"].fits(get_benchmark("imagenet-a"))
    assert not known["wordnet"].fits(get_benchmark("dollar-street"))


class TestRecheck:
    def test_slices_are_recomputed_from_stored_predictions(self, validation_run: Run) -> None:
        home, result, _ = validation_run
        settings = Settings(home=home, data_home=None, offline=True)
        found = recheck(result.ledger, settings, lambda message: None)
        assert found.differences == {}
        assert "imagenet-val@imagenet-x/pose.top1" in found.same
        assert "imagenet-val@wordnet.top1:difference" in found.same
        assert "imagenet-val@brightness/q1.top1" in found.not_here, "image statistics need the images"

    def test_an_edited_slice_is_found(self, validation_run: Run) -> None:
        home, result, _ = validation_run
        key = "imagenet-val@real/one-label.top1"
        edited = [i.model_copy(update={"value": 91.0}) if i.key == key else i for i in result.ledger]
        ledger = result.ledger.model_copy(update={"evidence": edited})
        found = recheck(ledger, Settings(home=home, data_home=None, offline=True), lambda message: None)
        assert list(found.differences) == [key]
