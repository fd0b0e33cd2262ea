"""Images whose file names say what they show: those inside an installed package, and model-vs-human's."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pandas as pd

from harness.data.catalog import PackageSource
from harness.data.sources import Entry, FileStamp, Index, Place, Source, checked_class, ignored_note
from harness.labels.spaces import LabelSpace, installed_folder

_CLASS = "class"


@dataclass(frozen=True)
class NamedFiles(Source):
    """Images in a folder and those below; the class, and perhaps more, is part of each file name."""

    pattern: re.Pattern[str]
    """Of a whole file name, with the group `label` (class index) or `class` (name); other groups are annotations."""
    space: LabelSpace
    is_copy: bool = True
    """Whether nothing else should be there, as in a package."""

    def stamps(self) -> list[FileStamp]:
        return [stamp for stamp, _ in self._matching()]

    def _matching(self) -> list[tuple[FileStamp, re.Match[str]]]:
        named = ((stamp, self.pattern.fullmatch(PurePosixPath(stamp.path).name)) for stamp in self.images(nested=True))
        return [(stamp, match) for stamp, match in named if match is not None]

    def index(self) -> Index:
        entries = []
        for stamp, match in self._matching():
            said = match.groupdict()
            class_ = said[_CLASS] if _CLASS in said else int(said["label"])
            entries.append(Entry(stamp.path, checked_class(class_, self.space, stamp.path), stamp.path))
        others = {stamp.path for stamp in self.images(nested=True)} - {entry.file for entry in entries}
        return Index(entries, ignored_note(others, "images of other names were") if self.is_copy else [])

    def annotations(self) -> pd.DataFrame | None:
        said = {PurePosixPath(stamp.path).stem: match.groupdict() for stamp, match in self._matching()}
        table = pd.DataFrame.from_dict(said, orient="index").drop(columns=[_CLASS, "label"], errors="ignore")
        return None if table.empty else table


def package_files(folder: Path, package: PackageSource, space: LabelSpace) -> NamedFiles:
    """The images of an installed package."""
    return NamedFiles(folder, f"files of the package {package.module}", re.compile(package.pattern), space, False)


def package_folder(package: PackageSource) -> Path | None:
    """The folder with the package's images; None where it isn't installed."""
    folder = installed_folder(package.module)
    return folder / package.folder if folder is not None and (folder / package.folder).is_dir() else None


def named_files(place: Place) -> NamedFiles | None:
    """A folder of a benchmark whose images are named by class."""
    if place.benchmark.class_in_name is None or not place.path.is_dir():
        return None
    found = NamedFiles(
        place.path, "images named by class", re.compile(place.benchmark.class_in_name), place.benchmark.space
    )
    return found if found.stamps() else None
