"""The shapes in which copies of a benchmark lie on disk, each as a small class behind one protocol.

A source lists its files (`stamps`, cheap: no image is opened), says which images it holds with which labels (`index`)
and reads one image's bytes (`read`). Which layout a folder has is decided in `detection`. Labels are proven by synset
wherever the layout carries synsets; a bare number is taken as a class index only where its meaning is fixed, and
refused otherwise (numbered folders of a 200-class set).

Reading opens, reads and closes each time: no handle is shared, so threads and processes may read as they like.
Member names of archives and names in tables are data: nothing is ever written to them, and they can't lead outside.
"""

from __future__ import annotations

import csv
import importlib.util
import os
import re
import tarfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path, PurePosixPath
from typing import Protocol, runtime_checkable

import pandas as pd

from harness.data.annotations import validation_labels, validation_labels_file
from harness.data.catalog import PackageSource
from harness.errors import HarnessError, MissingInputError
from harness.labels.spaces import LabelSpace

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})

SYNSET = re.compile(r"n\d{8}")

WHOLE_FILE = -1
"""Length of an entry that is a file of its own."""

GROUND_TRUTH = "ILSVRC2012_validation_ground_truth.txt"

_LABELS_REMEDY = (
    "Put Kaggle's LOC_val_solution.csv or a labels.csv (file_name, label, wnid) beside the images, "
    "or run: pip install imagenet-x==0.0.7"
)


@dataclass(frozen=True)
class FileStamp:
    """What tells that a file is unchanged, without reading it."""

    path: str
    """Relative to the source's folder, or absolute for a label file outside it."""
    size: int
    """Bytes."""
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One labelled image of a source."""

    name: str
    """The published name as the copy keeps it (a path or member name); empty where it keeps none."""
    label: int
    """Class index in the benchmark's label space."""
    file: str
    """The file to read, relative to the source's folder."""
    start: int = 0
    """First byte in that file, or row number."""
    length: int = WHOLE_FILE
    """Bytes, or WHOLE_FILE."""

    @property
    def place(self) -> str:
        """Where the image is, for messages."""
        if self.length == WHOLE_FILE:
            return self.file
        return ": ".join(part for part in (self.file, self.name or f"row {self.start + 1}") if part)


@dataclass(frozen=True)
class Index:
    """What a source holds."""

    entries: list[Entry]
    notes: list[str] = field(default_factory=list)
    """Oddities a reader of the results must know, such as ignored files."""


class Source(Protocol):
    """One copy in one layout."""

    @property
    def root(self) -> Path:
        """The folder (or file) that was found, for messages."""

    @property
    def layout(self) -> str:
        """The layout that was seen, in words."""

    def stamps(self) -> list[FileStamp]:
        """The files that the copy consists of; empty where there are none."""

    def index(self) -> Index:
        """The images with their labels. Raises HarnessError where a label can't be trusted."""

    def read(self, file: str, start: int, length: int) -> bytes:
        """The encoded bytes of one image. Raises OSError."""


@runtime_checkable
class AnnotatedSource(Source, Protocol):
    """A copy that comes with annotations of its samples."""

    def annotations(self) -> pd.DataFrame:
        """The annotations, indexed by sample id. Raises HarnessError where the table is damaged."""


# --- shared helpers ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Listing:
    """One folder's content without what operating systems leave behind (".x", "__MACOSX")."""

    folders: list[str]
    images: list[FileStamp]
    others: list[FileStamp]


def list_folder(folder: Path, prefix: str = "") -> Listing:
    """The content of one folder, sorted by name; paths are `prefix` + name. Raises HarnessError where it can't be read."""
    folders: list[str] = []
    images: list[FileStamp] = []
    others: list[FileStamp] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith((".", "__MACOSX")):
                    continue
                if entry.is_dir():
                    folders.append(entry.name)
                    continue
                status = entry.stat()
                stamp = FileStamp(prefix + entry.name, status.st_size, status.st_mtime_ns)
                is_image = os.path.splitext(entry.name)[1].lower() in IMAGE_SUFFIXES
                (images if is_image else others).append(stamp)
    except OSError as error:
        raise HarnessError(
            f"Can't list {error.filename or folder}: {error.strerror}.", remedy="Mend the folder or its permissions."
        ) from error
    by_path = attrgetter("path")
    return Listing(sorted(folders), sorted(images, key=by_path), sorted(others, key=by_path))


def _stamp(path: Path) -> FileStamp:
    status = path.stat()
    return FileStamp(str(path), status.st_size, status.st_mtime_ns)


def read_slice(path: Path, start: int, length: int) -> bytes:
    """A file, or `length` bytes of it from `start`."""
    with path.open("rb") as file:
        if length == WHOLE_FILE:
            return file.read()
        file.seek(start)
        return file.read(length)


def ignored_note(count: int, what: str, example: str) -> list[str]:
    return [f"{count:,} {what} ignored, e.g. {example}."] if count else []


def checked_index(value: int, space: LabelSpace, where: str) -> int:
    """`value` if it is a class index of the space."""
    if 0 <= value < len(space):
        return value
    hint = " The labels seem to count from 1; they must count from 0." if value == len(space) else ""
    raise HarnessError(
        f"{where}: label {value} is outside 0 to {len(space) - 1}, the classes of {space.name}.{hint}",
        remedy="Give the copy that belongs to this benchmark, or mend its labels.",
    )


def checked_synset(synset: str, space: LabelSpace, where: str) -> int:
    """Class index of a synset of the space."""
    if synset in space:
        return space.index(synset)
    raise HarnessError(
        f"{where}: {synset} is not one of the {len(space):,} classes of {space.name}.",
        remedy="Give the copy that belongs to this benchmark, or remove what isn't part of it.",
    )


def refuse_bare_numbers(space: LabelSpace, where: str) -> None:
    """A number says which class only where one order of the classes is fixed, as for ImageNet-1k."""
    if space.name == "imagenet-1k":
        return
    raise HarnessError(
        f"{where}: the classes are only numbered, and a number doesn't say which of the {len(space)} classes of "
        f"{space.name} it means: position in this list, in another list, or in ImageNet-1k.",
        remedy="Give a copy whose classes are named by synset (n01498041, ...), as the authors publish it.",
    )


# --- folders ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ClassFolders:
    """A folder a class, named by synset, or (ImageNetV2) by the class index as an integer."""

    root: Path
    space: LabelSpace
    numbered: bool = False

    @property
    def layout(self) -> str:
        return "class folders named by class index" if self.numbered else "class folders named by synset"

    def stamps(self) -> list[FileStamp]:
        return [stamp for folder in self._class_folders() for stamp in self._list(folder).images]

    def index(self) -> Index:
        entries, ignored = [], []
        for folder in self._class_folders():
            label = self._label(folder)
            listing = self._list(folder)
            entries += [Entry(stamp.path, label, stamp.path) for stamp in listing.images]
            ignored += [stamp.path for stamp in listing.others] + [f"{folder}/{name}/" for name in listing.folders]
        top = list_folder(self.root)
        ignored += [stamp.path for stamp in top.images + top.others]
        ignored += [f"{name}/" for name in top.folders if not self._is_class(name)]
        return Index(entries, ignored_note(len(ignored), "files and folders were", min(ignored, default="")))

    def read(self, file: str, start: int, length: int) -> bytes:
        return read_slice(self.root / file, start, length)

    def _list(self, folder: str) -> Listing:
        return list_folder(self.root / folder, prefix=f"{folder}/")

    def _is_class(self, name: str) -> bool:
        return name.isascii() and name.isdigit() if self.numbered else SYNSET.fullmatch(name) is not None

    def _class_folders(self) -> list[str]:
        names = [name for name in list_folder(self.root).folders if self._is_class(name)]
        if self.numbered:
            refuse_bare_numbers(self.space, f"{self.root} has numbered folders ({names[0]}, ...)")
            names.sort(key=int)  # as strings, 10 would come before 2
        return names

    def _label(self, folder: str) -> int:
        where = str(self.root / folder)
        if self.numbered:
            return checked_index(int(folder), self.space, where)
        return checked_synset(folder, self.space, where)


@dataclass(frozen=True)
class LabelledFiles:
    """Images in one folder, with their labels in one table beside it (or in a package)."""

    root: Path
    table: Path
    layout: str
    read_table: Callable[[Path], Mapping[str, int]]
    """Reads the table: file name -> class index."""

    def stamps(self) -> list[FileStamp]:
        images = list_folder(self.root).images
        return [*images, _stamp(self.table)] if images else []

    def index(self) -> Index:
        labels = self.read_table(self.table)
        images = list_folder(self.root).images
        entries = [Entry(i.path, labels[i.path], i.path) for i in images if i.path in labels]
        unlabelled = [image.path for image in images if image.path not in labels]
        if not entries:
            raise HarnessError(
                f"None of the {len(images):,} images in {self.root} is named in {self.table} (e.g. {images[0].path}).",
                remedy="Give the images their published names, or the table that belongs to them.",
            )
        missing = len(labels) - len(entries)
        notes = [f"Labels from {self.table.name}."]
        notes += ignored_note(
            len(unlabelled), f"images without a row in {self.table.name} were", min(unlabelled, default="")
        )
        notes += [f"{self.table.name} names {missing:,} more images that are not in this copy."] if missing else []
        return Index(entries, notes)

    def read(self, file: str, start: int, length: int) -> bytes:
        return read_slice(self.root / file, start, length)


@dataclass(frozen=True)
class PackageFiles:
    """Images that ship inside an installed Python package; the class index is part of each file name."""

    package: PackageSource
    space: LabelSpace

    @property
    def root(self) -> Path:
        folder = package_folder(self.package)
        if folder is None:
            raise MissingInputError(
                f"The package {self.package.module} is not installed.",
                remedy=f"Run: pip install {self.package.requirement}",
            )
        return folder

    @property
    def layout(self) -> str:
        return f"files of the package {self.package.module}"

    def stamps(self) -> list[FileStamp]:
        return [i for i in list_folder(self.root).images if re.fullmatch(self.package.pattern, i.path)]

    def index(self) -> Index:
        entries = []
        for stamp in list_folder(self.root).images:
            if match := re.fullmatch(self.package.pattern, stamp.path):
                label = checked_index(int(match["label"]), self.space, stamp.path)
                entries.append(Entry(stamp.path, label, stamp.path))
        return Index(entries)

    def read(self, file: str, start: int, length: int) -> bytes:
        return read_slice(self.root / file, start, length)


def package_folder(package: PackageSource) -> Path | None:
    """The folder with the package's images; None where it isn't installed. The package is not imported."""
    spec = importlib.util.find_spec(package.module)
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / package.folder
    return folder if folder.is_dir() else None


# --- label tables -----------------------------------------------------------------------------------------------------


def read_labels_csv(path: Path, space: LabelSpace) -> dict[str, int]:
    """labels.csv (file_name, label, wnid) -> class index by file name.

    Every row must be consistent: the label's synset in `space` is the row's wnid.

    Raises:
        HarnessError: a column is missing, a name leads elsewhere or comes twice, or label and wnid disagree.
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
            raise HarnessError(
                f"{where}: label '{row['label']}' is not an integer.", remedy="Give class indices from 0."
            ) from None
        expected = checked_synset(synset, space, where)
        if label != expected:
            raise HarnessError(
                f"{where}: {name} has label {label} and wnid {synset}, but {synset} is class {expected} of "
                f"{space.name}.{_one_based(row_labels=rows, space=space)}",
                remedy="Mend the label column: class indices count from 0, in the order of the sorted synsets.",
            )
        labels[name] = label
    return labels


def _one_based(row_labels: list[tuple[int, dict[str, str]]], space: LabelSpace) -> str:
    """A sentence for the usual mistake: every label is one too high."""
    pairs = [(row["label"], row["wnid"]) for _, row in row_labels]
    if all(synset in space and label == str(space.index(synset) + 1) for label, synset in pairs):
        return " Every row is one too high: the labels count from 1."
    return ""


def read_kaggle_csv(path: Path, space: LabelSpace) -> dict[str, int]:
    """Kaggle's LOC_val_solution.csv (ImageId, PredictionString "SYNSET x y x y ...") -> class index by file name."""
    labels = {}
    for number, row in _read_csv(path, ("ImageId", "PredictionString")):
        synset = row["PredictionString"].split(" ", 1)[0]
        labels[f"{row['ImageId']}.JPEG"] = checked_synset(synset, space, f"{path}, row {number}")
    return labels


def _read_csv(path: Path, columns: Iterable[str]) -> list[tuple[int, dict[str, str]]]:
    """Rows with their line numbers in the file (the header is row 1)."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restval="")
            missing = [column for column in columns if column not in (reader.fieldnames or ())]
            if missing:
                raise HarnessError(
                    f"{path} lacks the column {', '.join(missing)}; it has: {', '.join(reader.fieldnames or ())}.",
                    remedy=f"Its first line must name: {', '.join(columns)}.",
                )
            return [(number, row) for number, row in enumerate(reader, start=2)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise HarnessError(f"Can't read {path}: {error}.", remedy="Give a CSV file in UTF-8.") from error


def flat_folder(folder: Path, space: LabelSpace) -> LabelledFiles:
    """The flat ILSVRC2012_val folder with the best table of labels there is."""
    for table in (folder / "labels.csv", folder.parent / "labels.csv"):
        if table.is_file():
            return LabelledFiles(folder, table, f"images with {table.name}", lambda path: read_labels_csv(path, space))
    # Kaggle keeps the table four levels above the images: ILSVRC/Data/CLS-LOC/val.
    for place in (folder, *list(folder.resolve().parents)[:4]):
        table = place / "LOC_val_solution.csv"
        if table.is_file():
            return LabelledFiles(
                folder,
                table,
                "flat folder with Kaggle's LOC_val_solution.csv",
                lambda path: read_kaggle_csv(path, space),
            )
    installed = validation_labels_file()
    if installed is not None and space.name == "imagenet-1k":
        return LabelledFiles(
            folder, installed, "flat folder with the labels of the imagenet-x package", lambda _: validation_labels()
        )
    if any((place / GROUND_TRUTH).is_file() for place in (folder, folder.parent)):
        raise HarnessError(
            f"{folder} has images without folders, and of labels only {GROUND_TRUTH}. Its numbers are "
            "ILSVRC2012_IDs, an order of the development kit from 1 to 1000, not the class indices that models use: "
            "read as class indices they would give accuracies near chance.",
            remedy=_LABELS_REMEDY,
        )
    raise MissingInputError(
        f"{folder} has images without class folders, and no labels are known for them.",
        remedy=_LABELS_REMEDY,
    )


# --- WebDataset -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TarShards:
    """WebDataset shards: in each tar, files that share a name up to its first dot are one sample (NAME.jpg, NAME.cls).

    Only headers and labels are read for the index; images are read from inside the tar, nothing is extracted.
    """

    root: Path
    space: LabelSpace
    shards: frozenset[str]
    """Names of the tar files in `root`."""

    layout = "WebDataset tar shards"

    def stamps(self) -> list[FileStamp]:
        return [stamp for stamp in list_folder(self.root).others if stamp.path in self.shards]

    def index(self) -> Index:
        entries: list[Entry] = []
        ignored: list[str] = []
        for shard in self.stamps():
            self._index_shard(shard, entries, ignored)
        return Index(entries, ignored_note(len(ignored), "members of the shards were", min(ignored, default="")))

    def read(self, file: str, start: int, length: int) -> bytes:
        return read_slice(self.root / file, start, length)

    def _index_shard(self, shard: FileStamp, entries: list[Entry], ignored: list[str]) -> None:
        path = self.root / shard.path
        images: dict[str, tarfile.TarInfo] = {}
        classes: dict[str, str] = {}
        try:
            with tarfile.open(path, "r:") as archive:
                for member in archive:
                    folder, _, base = member.name.rpartition("/")
                    stem, _, suffix = base.partition(".")
                    key = f"{folder}/{stem}"
                    if not member.isreg() or member.issparse():
                        continue
                    if f".{suffix.lower()}" in IMAGE_SUFFIXES:
                        if key in images:
                            raise HarnessError(
                                f"{path}: {images[key].name} and {member.name} are two images of one sample.",
                                remedy="Keep one image for each sample.",
                            )
                        images[key] = member
                    elif suffix.lower() == "cls" and (content := archive.extractfile(member)) is not None:
                        classes[key] = content.read().decode("ascii", errors="replace").strip()
                    else:
                        ignored.append(f"{shard.path}: {member.name}")
        except (tarfile.TarError, OSError) as error:
            raise HarnessError(f"{path} is not a readable tar: {error}.", remedy="Fetch this shard again.") from error
        for key, member in images.items():
            if member.offset_data + member.size > shard.size:
                raise HarnessError(
                    f"{path} ends inside {member.name}: it is cut off.", remedy="Fetch this shard again."
                )
            if key not in classes:
                raise HarnessError(
                    f"{path}: {member.name} has no label ({PurePosixPath(key).name}.cls is not in the shard).",
                    remedy="If this is an archive of class folders, not WebDataset shards: unpack it, give the folder.",
                )
            label = self._label(classes[key], f"{path}: {PurePosixPath(key).name}.cls")
            entries.append(Entry(member.name, label, shard.path, member.offset_data, member.size))

    def _label(self, text: str, where: str) -> int:
        if SYNSET.fullmatch(text):
            return checked_synset(text, self.space, where)
        if not re.fullmatch(r"-?\d{1,9}", text):
            raise HarnessError(
                f"{where}: '{text[:40]}' is neither a class index nor a synset.", remedy="Mend this label."
            )
        refuse_bare_numbers(self.space, where)
        return checked_index(int(text), self.space, where)
