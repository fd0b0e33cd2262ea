"""Images in one folder with their labels in a table: labels.csv, the Hub's metadata.csv or metadata.jsonl, Kaggle's
LOC_val_solution.csv, or the published labels."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from harness.data.annotations import IMAGENET_X, validation_labels, validation_labels_file
from harness.data.sources import (
    CLASS_COLUMNS,
    Entry,
    FileStamp,
    Index,
    Place,
    Source,
    as_class,
    checked_class,
    ignored_note,
    stamp_of,
)
from harness.errors import HarnessError, MissingInputError
from harness.labels.spaces import LabelSpace, enumerated
from harness.parsing.files import MalformedError, read_text
from harness.parsing.json import parse_json
from harness.parsing.tables import MOST_BYTES

_GROUND_TRUTH = "ILSVRC2012_validation_ground_truth.txt"
_TABLES = ("metadata.jsonl", "metadata.csv")
"""The Hub's tables of a folder of images."""
_LABELS_REMEDY = (
    "Put Kaggle's LOC_val_solution.csv or a labels.csv (file_name, label, wnid) beside the images, "
    f"or run: pip install {IMAGENET_X}"
)


@dataclass(frozen=True)
class LabelledFiles(Source):
    """Images in one folder, with their labels in one table beside it (or in a package)."""

    table: Path
    read_labels: Callable[[], Mapping[str, int]]
    """Reads the table: file name -> class index. No local function: sources are sent to other processes."""
    is_nested: bool = False
    """Whether images may lie in folders below."""

    def stamps(self) -> list[FileStamp]:
        images = self.images(nested=self.is_nested)
        return [*images, stamp_of(self.table)] if images else []

    def index(self) -> Index:
        labels = self.read_labels()
        images = [stamp.path for stamp in self.images(nested=self.is_nested)]
        entries = [Entry(image, labels[image], image) for image in images if image in labels]
        unlabelled = [image for image in images if image not in labels]
        if not entries:
            message = f"None of the {len(images):,} images in {self.root} is named in {self.table} (e.g. {images[0]})."
            remedy = "Give the images their published names, or the table that belongs to them."
            raise HarnessError(message, remedy=remedy)
        table, missing = self.table.name, sorted(labels.keys() - set(images))
        notes = [f"Labels from {table}."]
        notes += ignored_note(unlabelled, f"images without a row in {table} were")
        if missing:
            notes.append(
                f"{table} names {len(missing):,} more images that are not in this copy: {enumerated(missing)}."
            )
        return Index(entries, notes)


def images_and_labels(place: Place) -> LabelledFiles | None:
    """A folder images/ beside labels.csv; or, of one's own data, folders in which its rows say that the images are."""
    if "labels.csv" not in place.others:
        return None
    table = place.path / "labels.csv"
    if "images" in place.listing.folders:
        read = partial(_read_below, "images/", table, place.space)
        return LabelledFiles(place.path / "images", "images/ with labels.csv", table, read, is_nested=True)
    if not place.benchmark.is_own:
        return None
    names = (row.get("file_name", "") for _, row in _read_csv(table, ()))
    if not any("/" in name and (place.path / name).is_file() for name in names):
        return None
    read = partial(read_labels_table, table, place.space)
    return LabelledFiles(place.path, "images in the folders that labels.csv names", table, read, is_nested=True)


def _read_below(folder: str, table: Path, space: LabelSpace) -> dict[str, int]:
    """Labels by names below a folder beside the table, with which those in the table may start."""
    return {name.removeprefix(folder): label for name, label in read_labels_table(table, space).items()}


def hub_metadata(place: Place) -> LabelledFiles | None:
    """Images with the Hub's metadata.csv or metadata.jsonl among them, where that says what they show."""
    table = next((place.path / name for name in _TABLES if name in place.others), None)
    if table is None or not _class_columns(_read_table(table)):
        return None
    read = partial(read_labels_table, table, place.space)
    return LabelledFiles(place.path, f"images with the Hub's {table.name}", table, read, is_nested=True)


def flat_folder(place: Place) -> LabelledFiles | None:
    """The flat ILSVRC2012_val folder with the best table of labels there is.

    Raises HarnessError where there is none, or only one whose numbers mean something else.
    """
    if not place.listing.images:
        return None
    folder, space = place.path, place.space
    for table in (folder / "labels.csv", folder.parent / "labels.csv"):
        if table.is_file():
            read = partial(_read_below, f"{folder.name}/", table, space)
            return LabelledFiles(folder, "images with labels.csv", table, read)
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
    own = "Put them into a folder for each class, or a labels.csv (file_name, label) beside them."
    raise MissingInputError(message, remedy=own if place.benchmark.is_own else _LABELS_REMEDY)


def read_labels_table(path: Path, space: LabelSpace) -> dict[str, int]:
    """Class index by file name, from `file_name` and one or more columns that say which class it is, in one way or another.

    Every row must be consistent: the class of its index, of its synset and of its name in `space` is the same.

    Raises HarnessError: a column is missing, a name leads elsewhere or comes twice, or a row says nothing or two things.
    """
    rows = _read_table(path)
    columns = _class_columns(rows)
    if not columns:
        there = ", ".join(rows[0][1] if rows else ())
        message = f"{path} has no column that says what an image shows; it has: {there}."
        raise HarnessError(message, remedy="Add the column label, with each image's class by index, name or synset.")
    labels: dict[str, int] = {}
    for number, row in rows:
        where, name = f"{path}, row {number}", row["file_name"]
        parts = PurePosixPath(name).parts
        if not parts or parts[0] == "/" or ".." in parts or name != str(PurePosixPath(*parts)):
            why = f"{where}: '{name}' is not a plain file name."
            raise HarnessError(why, remedy="Name files beside the table, or in images/, only.")
        if name in labels:
            raise HarnessError(f"{where}: {name} comes a second time.", remedy="Keep one row for each image.")
        labels[name] = _class_of_row(row, columns, rows, space, where)
    return labels


def _class_columns(rows: Sequence[tuple[int, Mapping[str, str]]]) -> list[str]:
    return [column for column in CLASS_COLUMNS if rows and column in rows[0][1]]


def _class_of_row(
    row: Mapping[str, str],
    columns: Sequence[str],
    rows: Sequence[tuple[int, Mapping[str, str]]],
    space: LabelSpace,
    where: str,
) -> int:
    given = {column: as_class(row[column].strip()) for column in columns if row[column].strip()}
    if not given:
        message = f"{where}: {row['file_name']} has no label."
        raise HarnessError(message, remedy=f"Give one of {', '.join(columns)}, or remove the row.")
    named = {column: value for column, value in given.items() if isinstance(value, str)}
    found = {column: checked_class(value, space, f"{where}, {column}") for column, value in (named or given).items()}
    (column, label), *others = found.items()
    for other, index in others:
        if index != label:
            message = (
                f"{where}: {row['file_name']} has {column} {given[column]} and {other} {given[other]}, two classes."
            )
            raise HarnessError(message, remedy="Mend the row.")
    for other, value in given.items():
        if other not in found and value != label and space.numbered:
            all_too_high = _count_from_1(rows, column, other, space)
            raise HarnessError(
                f"{where}: {row['file_name']} has {other} {value} and {column} {given[column]}, but {given[column]} is class "
                f"{label} of {space.name}.{' Every row is one too high: the labels count from 1.' if all_too_high else ''}",
                remedy="Mend the label column: class indices count from 0, in the order of the classes.",
            )
    return label


def _count_from_1(rows: Sequence[tuple[int, Mapping[str, str]]], named: str, numbered: str, space: LabelSpace) -> bool:
    """Whether every row's number is one above the index of the class that it names."""
    classes = [space.find(row[named].strip()) for _, row in rows]
    return all({int(row[numbered]) - 1} == found for (_, row), found in zip(rows, classes, strict=True) if found)


def read_kaggle_csv(path: Path, space: LabelSpace) -> dict[str, int]:
    """Kaggle's LOC_val_solution.csv (ImageId, PredictionString "SYNSET x y x y ...") -> class index by file name."""
    labels = {}
    for number, row in _read_csv(path, ("ImageId", "PredictionString")):
        synset = row["PredictionString"].split(" ", 1)[0]
        labels[f"{row['ImageId']}.JPEG"] = checked_class(synset, space, f"{path}, row {number}")
    return labels


def _read_table(path: Path) -> list[tuple[int, dict[str, str]]]:
    """The rows of a CSV or JSON-lines file with the column file_name, as text, with their line numbers."""
    if path.suffix != ".jsonl":
        return _read_csv(path, ("file_name",))
    rows = []
    try:
        for number, line in enumerate(read_text(path, most=MOST_BYTES).removeprefix("\ufeff").splitlines(), start=1):
            if line.strip():
                row = parse_json(line, f"{path}, line {number}")
                rows.append((number, {name: "" if value is None else str(value) for name, value in row.items()}))
    except MalformedError as error:
        raise HarnessError(error.message, remedy="Give a JSON object a line, in UTF-8.") from error
    absent = next((number for number, row in rows if "file_name" not in row), None)
    if absent is not None:
        raise HarnessError(f"{path}, line {absent} has no file_name.", remedy="Name the image in each line.")
    return rows


def _read_csv(path: Path, columns: Iterable[str]) -> list[tuple[int, dict[str, str]]]:
    """Rows with their line numbers in the file (the header is row 1)."""
    try:
        reader = csv.DictReader(
            io.StringIO(read_text(path, most=MOST_BYTES).removeprefix("\ufeff"), newline=""), restval=""
        )
        names = reader.fieldnames or ()
        if missing := [column for column in columns if column not in names]:
            message = f"{path} lacks the column {', '.join(missing)}; it has: {', '.join(names)}."
            raise HarnessError(message, remedy=f"Its first line must name: {', '.join(columns)}.")
        return list(enumerate(reader, start=2))
    except (MalformedError, csv.Error) as error:
        why = error.message if isinstance(error, MalformedError) else f"Can't read {path}: {error}."
        raise HarnessError(why, remedy="Give a CSV file in UTF-8.") from error
