"""Images that ship inside an installed Python package, such as foolbox's twenty photographs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from harness.data.catalog import PackageSource
from harness.data.sources import Entry, FileStamp, Index, Source, checked_index
from harness.labels.spaces import LabelSpace, installed_folder


@dataclass(frozen=True)
class PackageFiles(Source):
    """Images inside an installed package; the class index is part of each file name."""

    package: PackageSource
    space: LabelSpace

    def stamps(self) -> list[FileStamp]:
        return [i for i in self.listing().images if re.fullmatch(self.package.pattern, i.path)]

    def index(self) -> Index:
        matches = [re.fullmatch(self.package.pattern, stamp.path) for stamp in self.stamps()]
        labels = [(match[0], int(match["label"])) for match in matches if match is not None]
        return Index([Entry(name, checked_index(label, self.space, name), name) for name, label in labels])


def package_folder(package: PackageSource) -> Path | None:
    """The folder with the package's images; None where it isn't installed."""
    folder = installed_folder(package.module)
    return folder / package.folder if folder is not None and (folder / package.folder).is_dir() else None
