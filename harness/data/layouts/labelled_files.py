"""Images in one folder with their labels in a table: labels.csv, Kaggle's LOC_val_solution.csv, or the published labels."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from harness.data.annotations import IMAGENET_X, validation_labels, validation_labels_file
from harness.data.sources import Entry, FileStamp, Index, Place, Source, checked_class, ignored_note, stamp_of
from harness.errors import HarnessError, MissingInputError
from harness.labels.spaces import LabelSpace

_GROUND_TRUTH = "ILSVRC2012_validation_ground_truth.txt"
_LABELS_REMEDY = (
    "Put Kaggle's LOC_val_solution.csv or a labels.csv (file_name, label, wnid) beside the images, "
    f"or run: pip install {IMAGENET_X}"
)


@dataclass(frozen=True)
class LabelledFiles(Source):
    """Images in one folder, with their labels in one table beside it (or in a package)."""

    table: Path
    read_labels: Callable[[], Mapping[str, int]]
    """Reads the table: file name -> class index."""

    def stamps(self) -> list[FileStamp]:
        images = self.listing().images
        return [*images, stamp_of(self.table)] if images else []

    def index(self) -> Index:
        labels = self.read_labels()
        images = [stamp.path for stamp in self.listing().images]
        entries = [Entry(image, labels[image], image) for image in images if image in labels]
        unlabelled = [image for image in images if image not in labels]
        if not entries:
            message = f"None of the {len(images):,} images in {self.root} is named in {self.table} (e.g. {images[0]})."
            remedy = "Give the images their published names, or the table that belongs to them."
            raise HarnessError(message, remedy=remedy)
        table, missing = self.table.name, len(labels) - len(entries)
        notes = [f"Labels from {table}."]
        notes += ignored_note(unlabelled, f"images without a row in {table} were")
        notes += [f"{table} names {missing:,} more images that are not in this copy."] if missing else []
        return Index(entries, notes)


def images_and_labels(place: Place) -> LabelledFiles | None:
    """A folder images/ beside labels.csv."""
    if "labels.csv" not in place.others or "images" not in place.listing.folders:
        return None
    table = place.path / "labels.csv"
    read = partial(read_labels_csv, table, place.space)
    return LabelledFiles(place.path / "images", "images/ with labels.csv", table, read)


def flat_folder(place: Place) -> LabelledFiles | None:
    """The flat ILSVRC2012_val folder with the best table of labels there is.

    Raises HarnessError where there is none, or only one whose numbers mean something else.
    """
    if not place.listing.images:
        return None
    folder, space = place.path, place.space
    for table in (folder / "labels.csv", folder.parent / "labels.csv"):
        if table.is_file():
            return LabelledFiles(folder, "images with labels.csv", table, partial(read_labels_csv, table, space))
    # Kaggle keeps the table four levels above the images: ILSVRC/Data/CLS-LOC/val.
    for above in (folder, *list(folder.resolve().parents)[:4]):
        table = above / "LOC_val_solution.csv"
        if table.is_file():
            layout = "flat folder with Kaggle's LOC_val_solution.csv"
            return LabelledFiles(folder, layout, table, partial(read_kaggle_csv, table, space))
    installed = validation_labels_file()
    if installed is not None and space.name == "imagenet-1k":
        layout = "flat folder with the labels of the imagenet-x package"
        return LabelledFiles(folder, layout, installed, validation_labels)
    if any((above / _GROUND_TRUTH).is_file() for above in (folder, folder.parent)):
        raise HarnessError(
            f"{folder} has images without folders, and of labels only {_GROUND_TRUTH}. Its numbers are "
            "ILSVRC2012_IDs, an order of the development kit from 1 to 1000, not the class indices that models use: "
            "read as class indices they would give accuracies near chance.",
            remedy=_LABELS_REMEDY,
        )
    message = f"{folder} has images without class folders, and no labels are known for them."
    raise MissingInputError(message, remedy=_LABELS_REMEDY)


def read_labels_csv(path: Path, space: LabelSpace) -> dict[str, int]:
    """labels.csv (file_name, label, wnid) -> class index by file name.

    Every row must be consistent: the label's synset in `space` is the row's wnid.

    Raises HarnessError: a column is missing, a name leads elsewhere or comes twice, or label and wnid disagree.
    """
    rows = _read_csv(path, ("file_name", "label", "wnid"))
    labels: dict[str, int] = {}
    for number, row in rows:
        where = f"{path}, row {number}"
        name, synset = row["file_name"], row["wnid"]
        if name != os.path.basename(name) or name in ("", ".", ".."):
            raise HarnessError(f"{where}: '{name}' is not a plain file name.", remedy="Name files of images/ only.")
        if name in labels:
            raise HarnessError(f"{where}: {name} comes a second time.", remedy="Keep one row for each image.")
        try:
            label = int(row["label"])
        except ValueError:
            why = f"{where}: label '{row['label']}' is not an integer."
            raise HarnessError(why, remedy="Give class indices from 0.") from None
        expected = checked_class(synset, space, where)
        if label != expected:
            one_based = all(r["wnid"] in space and r["label"] == str(space.index(r["wnid"]) + 1) for _, r in rows)
            raise HarnessError(
                f"{where}: {name} has label {label} and wnid {synset}, but {synset} is class {expected} of "
                f"{space.name}." + (" Every row is one too high: the labels count from 1." if one_based else ""),
                remedy="Mend the label column: class indices count from 0, in the order of the sorted synsets.",
            )
        labels[name] = label
    return labels


def read_kaggle_csv(path: Path, space: LabelSpace) -> dict[str, int]:
    """Kaggle's LOC_val_solution.csv (ImageId, PredictionString "SYNSET x y x y ...") -> class index by file name."""
    labels = {}
    for number, row in _read_csv(path, ("ImageId", "PredictionString")):
        synset = row["PredictionString"].split(" ", 1)[0]
        labels[f"{row['ImageId']}.JPEG"] = checked_class(synset, space, f"{path}, row {number}")
    return labels


def _read_csv(path: Path, columns: Iterable[str]) -> list[tuple[int, dict[str, str]]]:
    """Rows with their line numbers in the file (the header is row 1)."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restval="")
            names = reader.fieldnames or ()
            if missing := [column for column in columns if column not in names]:
                message = f"{path} lacks the column {', '.join(missing)}; it has: {', '.join(names)}."
                raise HarnessError(message, remedy=f"Its first line must name: {', '.join(columns)}.")
            return list(enumerate(reader, start=2))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise HarnessError(f"Can't read {path}: {error}.", remedy="Give a CSV file in UTF-8.") from error
