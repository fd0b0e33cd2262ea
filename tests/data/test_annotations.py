"""ReaL labels and published labels, counted against what their authors publish."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from harness.data import annotations
from harness.data.annotations import real_labels, validation_id, validation_labels
from harness.errors import HarnessError, MissingInputError


def test_real_labels_have_the_published_counts() -> None:
    labels = real_labels()
    assert len(labels) == 50_000
    # Beyer et al. 2020: 46,837 images are scored, 3,163 have no fitting label
    assert sum(bool(classes) for classes in labels.values()) == 46_837
    assert all(0 <= c < 1000 for classes in labels.values() for c in classes)
    # first three rows of the authors' real.json, in file-name order
    assert labels["ILSVRC2012_val_00000001.JPEG"] == ()
    assert labels["ILSVRC2012_val_00000002.JPEG"] == (970, 795)
    assert labels["ILSVRC2012_val_00000003.JPEG"] == (230, 231)


def test_published_labels_are_balanced() -> None:
    labels = validation_labels()
    assert len(labels) == 50_000
    counts = [0] * 1000
    for label in labels.values():
        counts[label] += 1
    assert counts == [50] * 1000  # ILSVRC-2012: 50 validation images a class


def test_published_labels_equal_those_of_the_real_images(shared_data: Path) -> None:
    labels = validation_labels()
    with (shared_data / "imagenet-val-1300" / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 1300
    assert all(labels[row["file_name"]] == int(row["label"]) for row in rows)
    # 1,243 of these have at least one ReaL label (README of the material)
    assert sum(bool(real_labels()[row["file_name"]]) for row in rows) == 1243


def test_validation_ids_are_eight_digits_wide() -> None:
    assert validation_id(1) == "ILSVRC2012_val_00000001.JPEG"
    assert validation_id(50_000) == "ILSVRC2012_val_00050000.JPEG"


def test_published_labels_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(annotations, "validation_labels_file", lambda: None)
    with pytest.raises(MissingInputError, match="not installed") as caught:
        validation_labels.__wrapped__()
    assert "pip install imagenet-x" in str(caught.value)


@pytest.mark.parametrize(("content", "message"), [("[[1]]", "has 1 entries instead of 50,000"), ("{", "Can't read")])
def test_damaged_real_labels(content: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "imagenet_real_labels.json").write_text(content)
    monkeypatch.setattr(annotations, "timm_info_folder", lambda: tmp_path)
    with pytest.raises(HarnessError, match=message):
        real_labels.__wrapped__()
