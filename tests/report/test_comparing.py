"""Comparing stored models: what is joined, what is refused, what is said."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar

from harness.errors import ExitCode, HarnessError, MissingInputError
from harness.evaluation.comparing import Compared, compare
from harness.evaluation.reader import read_predictions, stored_model
from harness.evaluation.slice_requests import request_of
from harness.evidence import Ledger
from harness.export.predictions import score_file
from harness.metrics.intervals import percentile_interval, resampled_sums
from harness.metrics.paired import paired_counts, paired_interval
from harness.progress import Reporter
from harness.settings import Settings
from harness.store.ledgers import merge_into_store, stored_names
from tests.report.conftest import V2, Call, Store, right


def compared(store: Store, *names: str, **options: Any) -> Compared:
    return compare([stored_model(name, store.home) for name in names], store.settings, pytest.fail, **options)


class TestWhatIsStored:
    def test_imported_predictions_are_found_by_the_models_name(self, store: Store) -> None:
        store.imports("one", right(50, 0.7))
        store.imports("two", right(50, 0.6))
        assert stored_names(store.home) == ["one", "two"]
        model = stored_model("one", store.home)
        assert model.imported
        assert list(model.conditions) == [V2]
        read = read_predictions(model.conditions[V2], store.settings, pytest.fail)
        assert len(read.sample_ids) == 50
        assert (read.predictions.top5[:, 0] == read.predictions.label).tolist() == right(50, 0.7).tolist()

    def test_an_import_that_is_repeated_with_other_answers_counts_alone(self, store: Store) -> None:
        store.imports("one", right(50, 0.2))
        store.imports("one", right(50, 0.9))
        model = stored_model("one", store.home)
        read = read_predictions(model.conditions[V2], store.settings, pytest.fail)
        assert (read.predictions.top5[:, 0] == read.predictions.label).tolist() == right(50, 0.9).tolist()

    def test_the_default_protocol_counts_where_there_are_several(self, store: Store) -> None:
        store.ran("one", right(50, 0.2), variant="no-jpeg+seed-7", protocol={"precision": "other"})
        assert list(stored_model("one", store.home).conditions) == [V2]
        store.ran("one", right(50, 0.9))
        condition = stored_model("one", store.home).conditions[V2]
        assert condition.key.protocol["precision"] == "fp32"

    def test_another_reading_of_the_same_predictions_is_no_other_protocol(self, store: Store) -> None:
        store.ran("one", right(50, 0.2), variant="open")
        assert list(stored_model("one", store.home).conditions) == []

    def test_a_model_nobody_knows_is_refused_with_the_nearest_name(self, store: Store) -> None:
        store.imports("resnet50", right(20, 0.7))
        with pytest.raises(HarnessError, match="Unknown model 'resnet5'") as caught:
            stored_model("resnet5", store.home)
        assert "resnet50" in str(caught.value)
        with pytest.raises(MissingInputError, match="no evidence of regnet-y-040"):
            stored_model("regnet-y-040", store.home)


def test_every_group_of_metrics_is_scored(store: Store) -> None:
    """What a suite may ask for under `metrics:` comes out as evidence."""
    store.ran("one", right(200, 0.7), metrics=("accuracy", "calibration", "selective"))
    ledger = Ledger.load(store.home / "ledgers" / "one" / "evidence.json")
    assert {f"{V2}.top1", f"{V2}.ece", f"{V2}.aurc:msp", f"{V2}.coverage:5-percent-risk+energy"} <= {
        i.key for i in ledger
    }


def paired_difference(first: np.ndarray, other: np.ndarray) -> tuple[float, float, float]:
    """The difference of two outcomes on the same samples, with its bounds."""
    counts = paired_counts(first, other)
    (low,), (high,) = paired_interval(counts)
    return counts.difference[0], low, high


class TestPairs:
    def test_a_comparison_is_that_of_the_outcomes(self, store: Store) -> None:
        first, other = right(400, 0.8, 1), right(400, 0.6, 2)
        store.imports("one", first)
        store.imports("two", other)
        found = compared(store, "one", "two").comparisons
        assert [c.where for c in found] == [V2]
        assert (found[0].difference, found[0].low, found[0].high) == paired_difference(first, other)
        assert found[0].only_first == np.sum(first & ~other)
        assert found[0].verdict == "one is better"
        assert found[0].p_holm == found[0].p  # a family of one

    def test_what_can_not_be_told_apart_is_said_with_what_could_be(self, store: Store) -> None:
        same = right(400, 0.8)
        other = same.copy()
        other[:6] = ~other[:6]
        store.imports("one", same)
        store.imports("two", other)
        verdict = compared(store, "one", "two").comparisons[0].verdict
        assert verdict.startswith("no detectable difference (smallest detectable here: ")
        assert verdict.endswith(" points)")

    def test_imported_and_run_models_meet_on_sample_id(self, store: Store) -> None:
        store.ran("ours", right(100, 0.8, 1))
        store.imports("theirs", right(60, 0.6, 2))
        found = compared(store, "ours", "theirs")
        assert found.comparisons[0].n == 60
        assert any("joined on sample id, 60 samples in common (ours 100, theirs 60)" in note for note in found.notes)
        assert any("imported predictions of theirs" in note for note in found.notes)

    def test_which_images_one_gets_right_and_the_other_wrong(self, store: Store) -> None:
        first, other = right(80, 0.8, 1), right(80, 0.6, 2)
        store.imports("one", first)
        store.imports("two", other)
        listed = compared(store, "one", "two").disagreements()
        differ = np.flatnonzero(first != other)
        assert listed["sample_id"].tolist() == [f"s{position:05d}" for position in differ]
        assert listed["one:right"].tolist() == first[differ].tolist()

    def test_whole_benchmarks_and_corruption_cells_are_families_apart(self, store: Store) -> None:
        for name, seed in (("one", 1), ("two", 2)):
            store.ran(name, right(300, 0.7, seed))
            for severity in (1, 2, 3):
                store.ran(name, right(300, 0.5, seed + severity), benchmark="imagenet-c", condition=f"fog/{severity}")
        found = compared(store, "one", "two").comparisons
        cells = [c for c in found if not c.whole]
        assert [c.where for c in cells] == [f"imagenet-c/fog/{severity}" for severity in (1, 2, 3)]
        assert sum(c.whole for c in found) == 1
        assert min(cells, key=lambda c: c.p).p_holm == pytest.approx(min(1.0, 3 * min(c.p for c in cells)))

    def test_corruption_benchmarks_are_compared_as_a_whole_by_image(self, store: Store) -> None:
        """Three cells with the same outcomes say no more than one: the interval is that of one cell's mean."""
        first, other = right(400, 0.7, 1), right(400, 0.6, 2)
        for severity in (1, 2, 3):
            store.ran("one", first, benchmark="imagenet-c", condition=f"fog/{severity}")
            store.ran("two", other, benchmark="imagenet-c", condition=f"fog/{severity}")
        (mean,) = compared(store, "one", "two").means
        alone = 100.0 * (first.astype(float) - other)
        assert (mean.cells, mean.n) == (3, 400)
        assert mean.difference == pytest.approx(alone.mean())
        resampled = resampled_sums(alone[:, None])[:, 0] / len(alone)
        assert (mean.low, mean.high) == pytest.approx(percentile_interval(alone.mean(), resampled))
        assert "imagenet-c, mean accuracy over 3 cells (n = 400 images): one − two" in str(mean)

    def test_what_only_one_model_has_is_said_once_and_is_no_fault(self, store: Store) -> None:
        for name in ("one", "two"):
            store.ran(name, right(60, 0.7))
        for severity in (1, 2, 3):
            store.ran("one", right(60, 0.5), benchmark="imagenet-c", condition=f"fog/{severity}")
        found = compared(store, "one", "two")
        assert found.exit_code is ExitCode.DONE
        said = [note for note in found.notes if "not compared" in note]
        assert said == ["imagenet-c (3 conditions): not compared, as there are no stored predictions of two."]


class TestSlices:
    @pytest.fixture(autouse=True)
    def filled(self, store: Store) -> None:
        for name, seed in (("one", 1), ("two", 2)):
            store.ran(name, right(600, 0.7, seed), benchmark="imagenet-val")

    def test_each_slice_is_the_comparison_on_its_samples(self, store: Store) -> None:
        found = compared(store, "one", "two", slices=request_of(None, None, ["wordnet/n02084071"])).comparisons
        assert [c.where for c in found] == ["imagenet-val", "imagenet-val@wordnet/n02084071"]
        dogs = np.arange(600)[151:269]  # the 118 classes of dogs, 151 to 268
        assert found[1].n == 118
        expected = paired_difference(right(600, 0.7, 1)[dogs], right(600, 0.7, 2)[dogs])
        assert (found[1].difference, found[1].low, found[1].high) == expected
        assert not found[1].whole

    def test_what_can_not_be_sliced_is_said(self, store: Store) -> None:
        found = compared(store, "one", "two", slices=request_of(None, None, ["brightness"]))
        assert found.exit_code is ExitCode.INCOMPLETE
        assert "imagenet-val is not compared by brightness" in found.missing[0]


class TestWhatIsRefused:
    def test_other_precision_is_named_or_stated(self, store: Store) -> None:
        store.ran("one", right(50, 0.8))
        store.ran("two", right(50, 0.6), protocol={"precision": "bf16"})
        with pytest.raises(HarnessError, match=f"{V2}: precision is fp32 for one, bf16 for two"):
            compared(store, "one", "two")
        found = compared(store, "one", "two", allow_different_protocols=True)
        assert f"{V2}: precision is fp32 for one, bf16 for two." in found.notes

    def test_other_images_under_the_same_names_are_another_protocol(self, store: Store) -> None:
        store.ran("one", right(50, 0.8))
        store.ran("two", right(50, 0.6), bytes_of="a resized copy")
        with pytest.raises(HarnessError, match="50 of 50 images have other bytes"):
            compared(store, "one", "two")

    def test_preprocessing_belongs_to_the_model(self, store: Store) -> None:
        store.ran("one", right(50, 0.8))
        store.ran("two", right(50, 0.6), protocol={"preprocessing": {"crop": 384}})
        assert len(compared(store, "one", "two").comparisons) == 1

    def test_other_labels_under_the_same_ids(self, store: Store) -> None:
        store.imports("one", right(50, 0.8))
        store.imports("two", right(50, 0.8), labels=np.arange(50) + 1)
        with pytest.raises(HarnessError, match="labels of s00000 differ"):
            compared(store, "one", "two")

    @pytest.mark.parametrize(("names", "said"), [(["one"], "nothing to compare"), (["one", "one"], "given twice")])
    def test_too_few_models(self, store: Store, names: Sequence[str], said: str) -> None:
        store.imports("one", right(20, 0.8))
        with pytest.raises(HarnessError, match=said) as caught:
            compared(store, *names)
        assert caught.value.exit_code is ExitCode.USAGE

    def test_models_without_a_common_benchmark(self, store: Store) -> None:
        store.imports("one", right(20, 0.8))
        store.imports("two", right(20, 0.8), benchmark="imagenet-sketch")
        with pytest.raises(MissingInputError, match="no stored predictions of the same samples"):
            compared(store, "one", "two")


class TestManyModels:
    def test_ranks_and_letters(self, store: Store) -> None:
        best = right(2000, 0.8, 1)
        close = best.copy()
        close[:8] = ~close[:8]
        for name, correct in (("a", best), ("b", close), ("c", right(2000, 0.5, 3))):
            store.imports(name, correct)
        table = compared(store, "c", "a", "b").ranking[V2]
        assert [p.letters for p in table] == ["a", "a", "b"]
        assert [(p.best_rank, p.worst_rank) for p in table] == [(1, 2), (1, 2), (3, 3)]
        assert table[2].model == "c"


class TestCommand:
    @pytest.fixture(autouse=True)
    def filled(self, store: Store) -> None:
        store.imports("one", right(300, 0.8, 1))
        store.imports("two", right(300, 0.6, 2))

    def test_table_and_markdown(self, call: Call) -> None:
        for output_format in ("table", "markdown"):
            result = call("compare", "one", "two", "--format", output_format)
            assert result.exit_code == 0, result.output
            assert "one is better" in result.stdout
            assert "Newcombe, paired samples" in result.stdout

    def test_json_and_csv_have_every_comparison(self, call: Call) -> None:
        data = json.loads(call("compare", "one", "two", "--format", "json").stdout)
        assert data["comparisons"][0]["n"] == 300
        assert data["agreement"][0]["where"] == V2
        result = call("compare", "one", "two", "--format", "csv")
        assert "How the imported predictions of one, two were made" in result.stderr
        rows = list(csv.DictReader(io.StringIO(result.stdout)))
        assert float(rows[0]["difference"]) == pytest.approx(data["comparisons"][0]["difference"])

    def test_files(self, tmp_path: Path, call: Call) -> None:
        output, listed = tmp_path / "new" / "compared.md", tmp_path / "differ.parquet"
        assert call("compare", "one", "two", "-o", output, "--disagreements", listed).exit_code == 0
        assert "one is better" in output.read_text()
        assert set(pd.read_parquet(listed)["where"]) == {V2}

    @pytest.mark.parametrize(
        ("arguments", "code", "said"),
        [
            (["one"], ExitCode.USAGE, "nothing to compare"),
            (["one", "tow"], ExitCode.USAGE, "Did you mean two?"),
            (["one", "two", "--format", "xml"], ExitCode.USAGE, "Unknown format 'xml'"),
            (["one", "two", "-b", "imagenet-vla"], ExitCode.USAGE, "imagenet-val"),
            (["one", "two", "--suite", "imagnet"], ExitCode.USAGE, "Did you mean imagenet?"),
            (["one", "two", "--suite", "imagenet"], ExitCode.MISSING, "no stored predictions of the same samples"),
            (["one", "two", "--disagreements", "x.txt"], ExitCode.USAGE, "neither .csv nor .parquet"),
            (["one", "regnet-y-040"], ExitCode.MISSING, "no evidence of regnet-y-040"),
        ],
    )
    def test_what_a_user_can_mend(self, arguments: list[str], code: ExitCode, said: str, call: Call) -> None:
        result = call("compare", *arguments)
        assert result.exit_code == code, result.output
        assert said in " ".join(result.stderr.split())

    def test_what_a_suite_asks_for_and_is_not_here_is_incomplete(self, call: Call) -> None:
        result = call("compare", "one", "two", "--suite", "robustness")
        assert result.exit_code == ExitCode.INCOMPLETE
        assert "imagenet-sketch: not compared, as no model has stored predictions of it." in result.stdout


@pytest.mark.slow
def test_published_models_at_full_size(shared_data: Path, home: Path) -> None:
    """ResNet-50 and VGG-16 on ImageNetV2: difference and counts are those of the files."""
    path = shared_data / "published-predictions" / f"{V2}.parquet"
    settings = Settings(home=home, data_home=None, offline=True)
    for name in ("resnet50", "vgg16"):
        merge_into_store(home, score_file(path, V2, name, name, settings, Reporter()))
    found = compare([stored_model(n, home) for n in ("resnet50", "vgg16")], settings, pytest.fail).comparisons[0]
    frame = pd.read_parquet(path)
    first, other = (np.array([row[0] for row in frame[n]]) == frame["label"].to_numpy() for n in ("resnet50", "vgg16"))
    assert found.first_accuracy == pytest.approx(63.33)  # published
    assert (found.only_first, found.only_other) == (int((first & ~other).sum()), int((~first & other).sum()))
    table = [[found.both, found.only_first], [found.only_other, found.neither]]
    assert found.p == pytest.approx(statsmodels_mcnemar(table, exact=True).pvalue)
