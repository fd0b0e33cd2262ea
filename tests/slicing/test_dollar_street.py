"""Dollar Street as MLCommons publishes it: several right classes an image, accuracy by region, country and income."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from harness.data.catalog import get_benchmark
from harness.data.local import LocalDataset, open_dataset
from harness.data.locations import locate
from harness.errors import HarnessError
from harness.evaluation.run import RunResult
from harness.evaluation.suites import Suite, SuiteBenchmark, load_suite
from harness.evidence import EvidenceClass
from harness.export.predictions import score_file
from harness.progress import Reporter
from harness.settings import Settings
from tests.slicing.conftest import run_with

PEOPLE = Suite(
    name="people",
    title="People and places",
    description="Dollar Street alone.",
    benchmarks=(SuiteBenchmark(name="dollar-street"),),
    metrics=("accuracy", "calibration"),
    slicings=(("region",), ("country",), ("income",), ("wordnet",)),
    slice_options={"smallest_group": 10},
)


def opened(root: Path, cache: Path) -> LocalDataset:
    benchmark = get_benchmark("dollar-street")
    return open_dataset(benchmark, locate(benchmark, given=root), cache=cache)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory, dollar_street: Path) -> tuple[Path, RunResult]:
    home = tmp_path_factory.mktemp("people-home")
    return home, run_with(home, PEOPLE, data={"dollar-street": str(dollar_street)})


def test_the_published_layout_is_read(dollar_street: Path, tmp_path: Path) -> None:
    copy = opened(dollar_street, tmp_path)
    assert len(copy) == 80
    assert set(copy.table["region"]) == {"Africa", "Asia", "America", "Europe"}
    assert copy.table.loc[f"{0:012x}{0:012x}", "country"] == "Burundi"
    said = " ".join(copy.notes)
    assert "1 rows without their image were ignored" in said
    assert "1 rows without an ImageNet class were ignored" in said
    assert "80 of 4,308 images" in said


def test_the_table_that_carries_the_classes_may_also_be_called_images_v2(dollar_street: Path, tmp_path: Path) -> None:
    shutil.copytree(dollar_street, tmp_path / "copy")
    (tmp_path / "copy" / "images_v2_imagenet_test.csv").rename(tmp_path / "copy" / "images_v2.csv")
    assert len(opened(tmp_path / "copy", tmp_path / "cache")) == 80


def test_any_class_that_the_table_names_is_right(people: tuple[Path, RunResult], dollar_street: Path) -> None:
    home, result = people
    copy = opened(dollar_street, home / "data")
    predictions = stored_predictions(home)
    hits = [predictions[name][0] in copy.table["classes"][name] for name in copy.samples["sample_id"]]
    top1 = result.ledger.get("dollar-street.top1")
    assert top1.value == pytest.approx(100 * np.mean(hits))
    assert (top1.n, top1.N) == (80, 4308)
    assert top1.fingerprints.annotations is not None
    # Calibration against one of several right classes means nothing.
    assert result.ledger.get("dollar-street.nll") is None


@pytest.mark.parametrize("slicing", ["region", "country"])
def test_accuracy_by_place_equals_pandas(people: tuple[Path, RunResult], dollar_street: Path, slicing: str) -> None:
    home, result = people
    table = opened(dollar_street, home / "data").table
    predictions = stored_predictions(home)
    table = table[table.index.isin(list(predictions))]
    right = pd.Series({name: predictions[name][0] in table["classes"][name] for name in table.index})
    expected = right.groupby(table[slicing]).mean()
    for group, share in expected.items():
        item = result.ledger.get(f"dollar-street@{slicing}/{group}.top1")
        assert item.value == pytest.approx(100 * share)
        assert item.n == 20


def test_income_is_cut_into_quarters_of_the_table(people: tuple[Path, RunResult]) -> None:
    """Incomes are 54, 490, 685 and 3220 plus 0 … 19: each quarter is one place (and the row without image is in the first)."""
    ledger = people[1].ledger
    items = [ledger.get(f"dollar-street@income/q{part}.top1") for part in range(1, 5)]
    assert [item.n for item in items if item is not None] == [20, 20, 20, 20]
    assert items[3].protocol["group"].endswith("to 3,239")


def test_slices_by_class_are_left_out_where_images_have_several(people: tuple[Path, RunResult]) -> None:
    assert not [item.key for item in people[1].ledger if "@wordnet" in item.key]


def test_imported_predictions_are_judged_by_the_table(
    people: tuple[Path, RunResult], dollar_street: Path, tmp_path: Path
) -> None:
    predictions = stored_predictions(people[0])
    copy = opened(dollar_street, people[0] / "data")
    frame = copy.samples[["sample_id", "label"]].assign(top1=[predictions[i][0] for i in copy.samples["sample_id"]])
    path = tmp_path / "theirs.csv"
    frame.to_csv(path, index=False)
    data = {"dollar-street": str(dollar_street)}
    settings = Settings(home=tmp_path / "home", data_home=None, offline=True, data=data)
    ledger = score_file(path, "dollar-street", "theirs", None, settings, Reporter(quiet=True), PEOPLE)
    for key in ("dollar-street.top1", "dollar-street@region/Africa.top1", "dollar-street@income.top1:difference"):
        ours, theirs = people[1].ledger.get(key), ledger.get(key)
        assert theirs.value == ours.value
    bare = Settings(home=tmp_path / "home", data_home=None, offline=True)
    with pytest.raises(HarnessError, match="the table that names them is not here"):
        score_file(path, "dollar-street", "theirs", None, bare, Reporter(quiet=True))


def test_without_a_copy_every_place_is_pending_with_the_way_to_get_it(tmp_path: Path) -> None:
    result = run_with(tmp_path, load_suite("subgroups"))
    for slicing in ("region", "country", "income"):
        item = result.ledger.get(f"dollar-street@{slicing}.top1:difference")
        assert item.class_ is EvidenceClass.PENDING
        assert "dollar-street is not on this machine" in (item.reason or "")
        assert item.command == "harness run --suite subgroups --model efficientnet-lite0 --data dollar-street=DIR"


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("imagenet_sysnet_id", "cat", "no list of class indices: 'cat'"),
        ("imagenet_sysnet_id", "[1000]", "label 1000 is outside 0 to 999"),
        ("imagenet_sysnet_id", '["n01440764"]', "no list of class indices"),
        ("imageRelPath", "../secret.jpg", "is no path inside the copy"),
        ("imageRelPath", "/etc/passwd", "is no path inside the copy"),
    ],
)
def test_a_damaged_table_is_refused_with_its_row(
    dollar_street: Path, tmp_path: Path, column: str, value: str, said: str
) -> None:
    table = pd.read_csv(dollar_street / "images_v2_imagenet_test.csv", dtype=str)
    table.loc[2, column] = value
    table.to_csv(tmp_path / "images_v2_imagenet_test.csv", index=False)
    with pytest.raises(HarnessError, match=said) as caught:
        opened(tmp_path, tmp_path / "cache")
    assert "row 3" in caught.value.message


def test_a_table_without_its_columns_is_refused(dollar_street: Path, tmp_path: Path) -> None:
    table = pd.read_csv(dollar_street / "images_v2_imagenet_test.csv", dtype=str)
    table.drop(columns=["imagenet_sysnet_id"]).to_csv(tmp_path / "images_v2.csv", index=False)
    with pytest.raises(HarnessError, match="has no column imagenet_sysnet_id"):
        opened(tmp_path, tmp_path / "cache")


def test_a_folder_without_the_table_is_no_copy(tmp_path: Path) -> None:
    (tmp_path / "assets").mkdir()
    with pytest.raises(HarnessError, match=r"images_v2_imagenet_test\.csv"):
        opened(tmp_path, tmp_path / "cache")


def stored_predictions(home: Path) -> dict[str, list[int]]:
    """Best classes by sample id, straight from the store's files."""
    rows = pd.concat([pd.read_parquet(path) for path in (home / "predictions").rglob("*.parquet")])
    return dict(zip(rows["sample_id"], rows["closed.top5"], strict=True))
