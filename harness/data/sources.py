"""What every layout of a copy of a benchmark has in common: one base class, and the checks of labels and paths.

A source lists its files (`stamps`, cheap: no image is opened), says which images it holds with which labels (`index`)
and reads one image's bytes (`read`). Labels are proven by synset wherever the layout carries synsets; a bare number is
taken as a class index only where its meaning is fixed, and refused otherwise (numbered folders of a 200-class set).

Reading opens, reads and closes each time: no handle is shared, so threads and processes may read as they like.
Member names of archives and names in tables are data: nothing is ever written to them, and they can't lead outside.
"""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

from harness.data.catalog import Benchmark
from harness.errors import HarnessError
from harness.labels.spaces import SYNSET, LabelSpace, enumerated
from harness.parsing.files import shown

if TYPE_CHECKING:
    import pandas as pd

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".jfif", ".avif"}
)

CLASS_COLUMNS = ("label", "labels", "wnid", "synset", "class", "class_name", "name")
"""Columns of tables that say what an image shows, as a class index, a synset or a name."""

WHOLE_FILE = -1
"""Length of an entry that is a file of its own."""


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
        parts = (self.file,) if self.length == WHOLE_FILE else (self.file, self.name or f"row {self.start + 1}")
        return ": ".join(filter(None, parts))


@dataclass(frozen=True)
class Index:
    """What a source holds."""

    entries: list[Entry]
    notes: list[str] = field(default_factory=list)
    """Oddities a reader of the results must know, such as ignored files."""


@dataclass(frozen=True)
class Source(ABC):
    """One copy in one layout, whose images are files below one folder, or parts of such files."""

    root: Path
    """The folder (or file) that was found."""
    layout: str
    """The layout that was seen, in words."""

    @abstractmethod
    def stamps(self) -> list[FileStamp]:
        """The files that the copy consists of; empty where there are none."""

    @abstractmethod
    def index(self) -> Index:
        """The images with their labels. Raises HarnessError where a label can't be trusted."""

    def read(self, file: str, start: int, length: int) -> bytes:
        """The encoded bytes of one image: a file, or `length` bytes of it from `start`. Raises OSError."""
        with (self.root / file).open("rb") as opened:
            opened.seek(start)
            return opened.read(length)

    def listing(self, folder: str = "") -> Listing:
        """What is in the folder that was found, or in one below it."""
        return list_folder(self.root / folder, f"{folder}/" if folder else "")

    def images(self, folder: str = "", *, nested: bool) -> list[FileStamp]:
        """The images in the folder that was found, or in one below it; with those of all folders in it where `nested`."""
        listing = self.listing(folder)
        below = listing.folders if nested else ()
        return listing.images + [
            s for name in below for s in self.images(f"{folder}/{name}" if folder else name, nested=True)
        ]

    def annotations(self) -> pd.DataFrame | None:
        """Annotations that the copy comes with, indexed by sample id. Raises HarnessError where they are damaged."""
        return None


@dataclass(frozen=True)
class Listing:
    """One folder's content, sorted by name, without what operating systems leave behind (".x", "__MACOSX")."""

    folders: list[str] = field(default_factory=list)
    images: list[FileStamp] = field(default_factory=list)
    others: list[FileStamp] = field(default_factory=list)


def list_folder(folder: Path, prefix: str = "") -> Listing:
    """The content of one folder; paths are `prefix` + name. Raises HarnessError where it can't be read."""
    listing, odd = Listing(), list[str]()
    try:
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=attrgetter("name")):
                if entry.name.startswith((".", "__MACOSX")):
                    continue
                is_image = os.path.splitext(entry.name)[1].lower() in IMAGE_SUFFIXES
                if not entry.name.isascii() and not _is_utf8(entry.name):
                    odd.append(f"{shown(entry.name)}, whose name is not UTF-8")
                elif is_image and not entry.is_file():
                    odd.append(f"{entry.name}, a {'folder' if entry.is_dir() else 'dead link, a pipe or a device'}")
                elif entry.is_dir():
                    listing.folders.append(entry.name)
                else:
                    (listing.images if is_image else listing.others).append(stamp_of(entry, prefix + entry.name))
    except OSError as error:
        message = f"Can't list {shown(error.filename or folder)}: {error.strerror}."
        raise HarnessError(message, remedy="Mend the folder or its permissions.") from error
    if odd:
        several = len(odd) > 1
        many = f"{len(odd):,} entries of {folder} are no image files" if several else f"In {folder} is no image file"
        remedy = "Remove or rename them, so that none is left out unseen."
        raise HarnessError(f"{many}: {'; '.join(odd[:3])}.", remedy=remedy)
    return listing


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def stamp_of(file: Path | os.DirEntry[str], name: str | None = None) -> FileStamp:
    """The stamp of one file, under its absolute path or another name."""
    status = file.stat()
    return FileStamp(name or os.fspath(file), status.st_size, status.st_mtime_ns)


@dataclass(frozen=True)
class Place:
    """A file or folder where a copy of a benchmark may be."""

    path: Path
    benchmark: Benchmark
    space: LabelSpace
    cache: Path
    """Folder for what a layout needs to keep."""

    @cached_property
    def listing(self) -> Listing:
        """What is in the folder; nothing for a file."""
        return list_folder(self.path) if self.path.is_dir() else Listing()

    @property
    def others(self) -> set[str]:
        """Names of the files that are no images."""
        return {stamp.path for stamp in self.listing.others}


def ignored_note(names: Collection[str], what: str) -> list[str]:
    """A note that something was ignored, or nothing."""
    return [f"{len(names):,} {what} ignored, e.g. {min(names)}."] if names else []


def checked_class(value: str | int, space: LabelSpace, where: str) -> int:
    """Class index of a synset or name, or of a bare number where that says which class it is. Raises HarnessError."""
    if isinstance(value, int) and str(value) in space:  # digits that are the names of classes, as of MNIST
        value = str(value)
    if isinstance(value, int):
        refuse_bare_numbers(space, where)
        return checked_index(value, space, where)
    found = sorted(space.find(value))
    if len(found) == 1:
        return found[0]
    if found:
        several = " and ".join(space.classes[index] for index in found)
        message = f"{where}: {several} are both called '{value}', so the name doesn't say which class it is."
        raise HarnessError(message, remedy="Name the class by its synset.")
    message = (
        f"{where}: {value} is not one of the {len(space):,} classes of {space.owner} ({enumerated(space.classes)})."
    )
    remedy = "Give the copy that belongs to this benchmark, or remove what isn't part of it."
    raise HarnessError(message, remedy=remedy)


def class_of_each(names: Sequence[str], space: LabelSpace, where: str) -> dict[str, int]:
    """Class index of each name that a copy uses, in the order of the classes.

    Raises HarnessError: some are no classes, or two of them are one.
    """
    unknown = [name for name in names if not space.find(name)]
    if unknown:
        raise HarnessError(
            f"{where}: {enumerated(unknown)} {'are no classes' if len(unknown) > 1 else 'is no class'} of {space.owner}, "
            f"which has {len(space):,}: {enumerated(space.classes, 10)}.",
            remedy="Rename them as the classes are called, or remove what isn't part of the data.",
        )
    found: dict[int, str] = {}
    for name in names:
        index = checked_class(name, space, f"{where}: {name}")
        if (other := found.setdefault(index, name)) != name:
            message = f"{where}: {other} and {name} both stand for the class {space.classes[index]}."
            raise HarnessError(message, remedy="Put their images into one.")
    return {found[index]: index for index in sorted(found)}


def checked_index(value: int, space: LabelSpace, where: str) -> int:
    """`value` if it is a class index of the space. Raises HarnessError."""
    if 0 <= value < len(space):
        return value
    hint = " The labels seem to count from 1; they must count from 0." if value == len(space) else ""
    message = f"{where}: label {value} is outside 0 to {len(space) - 1}, the classes of {space.owner}.{hint}"
    raise HarnessError(message, remedy="Give the copy that belongs to this benchmark, or mend its labels.")


def refuse_bare_numbers(space: LabelSpace, where: str) -> None:
    """A number says which class only where one order of the classes is fixed, as for ImageNet-1k."""
    if space.numbered:
        return
    if any(map(SYNSET.fullmatch, space.classes)):
        means = "position in this list, in another list, or in ImageNet-1k"
        remedy = "Give a copy whose classes are named by synset (n01498041, ...), as the authors publish it."
    else:
        means = "the data's order and the model's can differ"
        remedy = f"Name the classes ({enumerated(space.classes, 3)}), or list them in their order as `classes` in a suite file."
    raise HarnessError(
        f"{where}: the classes are only numbered, and a number doesn't say which of the {len(space)} classes of "
        f"{space.owner} it means: {means}.",
        remedy=remedy,
    )


def as_class(text: str) -> str | int:
    """A class as a text file writes it: a number, or a synset or name."""
    return int(text) if re.fullmatch(r"-?\d{1,9}", text) else text
