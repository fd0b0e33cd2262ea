"""Images that ship inside an installed Python package, such as foolbox's twenty photographs."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path

from harness.data.catalog import PackageSource
from harness.data.sources import Entry, FileSource, FileStamp, Index, checked_index, list_folder
from harness.labels.spaces import LabelSpace


@dataclass(frozen=True)
class PackageFiles(FileSource):
    """Images inside an installed package; the class index is part of each file name."""

    package: PackageSource
    space: LabelSpace

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


def package_folder(package: PackageSource) -> Path | None:
    """The folder with the package's images; None where it isn't installed. The package is not imported."""
    spec = importlib.util.find_spec(package.module)
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / package.folder
    return folder if folder.is_dir() else None
