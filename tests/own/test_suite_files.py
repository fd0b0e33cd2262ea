"""Data of one's own in a suite file, in HARNESS_CATALOG and in a package; and what `harness data FOLDER` says of it."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest
from typer.testing import CliRunner

import harness
from harness.cli import app
from harness.data import catalog
from harness.errors import ExitCode, HarnessError
from harness.evaluation.suites import load_suite
from tests.conftest import in_ledger
from tests.own.conftest import CLASSES, Crop, OwnModel, in_folders
from tests.own.test_own_data import as_labels_csv_of_a_folder

SUITE = """\
name: beans
title: Beans
description: Leaves of bean plants.
benchmarks:
  - name: field
    path: ./field
    title: Beans in the field
    classes: [healthy, bean_rust, angular_leaf_spot]
    licence: CC-BY-4.0
    citation: "@misc{beans}"
  - name: hothouse
    path: ./field
    classes_from: model
metrics: [accuracy]
slices: weather.csv
published:
  - {key: field.top1, value: 96.9, model: beans-vit, title: The owner's page}
  - {key: field.top1, value: 50.0, model: other/model, title: Another page}
"""


@pytest.fixture
def suite(crops: list[Crop], tmp_path: Path) -> Path:
    in_folders(crops, tmp_path / "field")
    rows = [f"{c.class_}/{c.name},{'rain' if number % 2 else 'sun'}" for number, c in enumerate(crops)]
    (tmp_path / "weather.csv").write_text("\n".join(["sample_id,weather", *rows]) + "\n")
    (tmp_path / "mine.yaml").write_text(SUITE)
    return tmp_path / "mine.yaml"


def test_a_suite_file_describes_its_own_data(own_model: OwnModel, suite: Path) -> None:
    done = harness.evaluate(own_model(), suite, offline=True)
    ledger = done.ledger
    assert in_ledger(ledger, "field.top1").value == in_ledger(ledger, "hothouse.top1").value
    assert ledger.benchmarks["field"]["classes"] == ["healthy", "bean_rust", "angular_leaf_spot"]
    assert ledger.benchmarks["hothouse"]["classes"] == list(CLASSES)
    assert ledger.benchmarks["field"]["licence"]["name"] == "CC-BY-4.0"
    assert in_ledger(ledger, "field@weather/rain.top1").n == 12
    assert in_ledger(ledger, "documented.field.top1").value == 96.9  # this model's, not the other one's
    assert in_ledger(ledger, "field.top1").command == "harness run --suite beans.yaml --model FOLDER/beans-vit"
    assert str(suite.parent) not in ledger.to_json()


def test_a_catalog_folder_and_a_package_add_benchmarks(
    own_model: OwnModel, crops: list[Crop], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_folders(crops, tmp_path / "photos")
    folders = {"folder": tmp_path / "folder", "package": tmp_path / "site" / "bean_sets"}
    for name, folder in folders.items():
        folder.mkdir(parents=True)
        text = f"benchmarks:\n  beans-{name}: {{path: {tmp_path / 'photos'}, classes_from: model}}\n"
        (folder / "beans.yaml").write_text(text)
    (folders["package"] / "__init__.py").write_text("raise AssertionError('it is read, not run')\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    points = importlib.metadata.EntryPoints([importlib.metadata.EntryPoint("beans", "bean_sets", catalog.ENTRY_POINTS)])
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: points.select(group=group))
    monkeypatch.setenv("HARNESS_CATALOG", str(folders["folder"]))
    catalog._package_folders.cache_clear()
    try:
        assert {"beans-folder", "beans-package"} <= {row["name"] for row in harness.inventory("benchmarks")}
        file = tmp_path / "both.yaml"
        file.write_text(
            "{name: both, title: Both, description: Both., benchmarks: [beans-folder, beans-package], metrics: [accuracy]}"
        )
        done = harness.evaluate(own_model(), file, offline=True)
        assert [in_ledger(done.ledger, f"beans-{name}.top1").n for name in folders] == [24, 24]
        (folders["folder"] / "more.yaml").write_text("benchmarks: {beans-folder: {path: x}}\n")
        catalog._added.cache_clear()
        with pytest.raises(HarnessError, match=r"more\.yaml describes beans-folder a second time"):
            harness.inventory("benchmarks")
    finally:
        catalog._package_folders.cache_clear()
        catalog._added.cache_clear()


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("    path: ./field\n    title", "    paht: ./field\n    title", ["line 6", "paht", "Did you mean path?"]),
        ("title: Beans in", "titel: Beans in", ["line 7", "titel", "Did you mean title?"]),
        ("healthy, bean_rust", "Healthy, healthy", ["line 5", "the class 'healthy' comes twice"]),
        ("name: field", "name: imagenet-val", ["line 5", "imagenet-val is a benchmark of the catalog"]),
        ("name: field", "name: My Field", ["line 5", "'My Field' can't be the name of a benchmark"]),
        ("classes_from: model", "classes_from: beans", ["line 13", "classes_from"]),
        ("metrics: [accuracy]", "metrics: [accuracy]\nown: {}\nis_of_data: true", []),
    ],
)
def test_a_fault_in_the_description_is_named_with_its_line(
    suite: Path, old: str, new: str, expected: list[str]
) -> None:
    assert SUITE.count(old) == 1
    suite.write_text(SUITE.replace(old, new))
    if not expected:  # what is no key of a file is not set by one
        assert not load_suite(str(suite)).is_of_data
        return
    with pytest.raises(HarnessError) as caught:
        load_suite(str(suite))
    assert caught.value.exit_code is ExitCode.USAGE
    for part in expected:
        assert part in str(caught.value)


def test_harness_data_says_how_a_folder_is_read(crops: list[Crop], tmp_path: Path) -> None:
    in_folders(crops, tmp_path / "beans" / "val", {"healthy": "crane", "bean_rust": "tench"})
    (tmp_path / "beans" / "val" / "blight").mkdir()
    (record,) = harness.datasets(str(tmp_path / "beans" / "val"))
    assert (record["name"], record["images"], record["layout"]) == ("beans-val", 24, "class folders named by class")
    assert record["classes"] == {"angular_leaf_spot": 8, "blight": 0, "crane": 8, "tench": 8}
    assert "2 of 4 are names of ImageNet-1k's, and crane of more than one" in record["matched"]
    assert record["notes"] == ["1 classes have no images: blight."]
    said = CliRunner().invoke(app, ["data", str(tmp_path / "beans" / "val")]).stdout
    assert "4: angular_leaf_spot (8), blight (0), crane (8), tench (8)" in said
    (around,) = harness.datasets(str(tmp_path / "beans"))  # as a run finds it
    assert around["classes"] == record["classes"]
    (tabled,) = harness.datasets(str(as_labels_csv_of_a_folder(crops, tmp_path / "table")))
    assert (tabled["images"], len(tabled["classes"])) == (24, 3)

    numbered = in_folders(crops, tmp_path / "numbered", dict(zip(CLASSES, "123", strict=True)))
    (record,) = harness.datasets(str(numbered))
    assert record["matched"].startswith("with a model that calls its outputs by these numbers; with no other")
    assert record["matched"].endswith("They count from 1, class indices count from 0.")
    (tmp_path / "folder").mkdir()
    with pytest.raises(HarnessError, match="No images of folder in"):
        harness.datasets(str(tmp_path / "folder"))
