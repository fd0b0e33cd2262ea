"""Class folders, named by synset or (ImageNetV2) by number."""

from __future__ import annotations

from dataclasses import dataclass

from harness.data.sources import (
    SYNSET,
    Entry,
    FileSource,
    FileStamp,
    Index,
    Listing,
    Place,
    checked_class,
    ignored_note,
    list_folder,
    refuse_bare_numbers,
)
from harness.labels.spaces import LabelSpace


@dataclass(frozen=True)
class ClassFolders(FileSource):
    """A folder a class, named by synset, or (ImageNetV2) by the class index as an integer."""

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

    def _list(self, folder: str) -> Listing:
        return list_folder(self.root / folder, prefix=f"{folder}/")

    def _is_class(self, name: str) -> bool:
        return _is_number(name) if self.numbered else SYNSET.fullmatch(name) is not None

    def _class_folders(self) -> list[str]:
        names = [name for name in list_folder(self.root).folders if self._is_class(name)]
        if self.numbered:
            names.sort(key=int)  # as strings, 10 would come before 2
        return names

    def _label(self, folder: str) -> int:
        return checked_class(int(folder) if self.numbered else folder, self.space, str(self.root / folder))


def class_folders(place: Place) -> ClassFolders | None:
    """Folders named by synset, else folders named by number."""
    folders = place.listing.folders
    if any(SYNSET.fullmatch(name) for name in folders):
        return ClassFolders(place.path, place.space)
    numbers = [name for name in folders if _is_number(name)]
    if not numbers:
        return None
    refuse_bare_numbers(place.space, f"{place.path} has numbered folders ({numbers[0]}, ...)")
    return ClassFolders(place.path, place.space, numbered=True)


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdigit()
