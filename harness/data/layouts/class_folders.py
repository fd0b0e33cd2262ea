"""Class folders, named by synset, by class name or (ImageNetV2) by the class index as an integer."""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.data.sources import (
    Entry,
    FileStamp,
    Index,
    Place,
    Source,
    checked_class,
    class_of_each,
    ignored_note,
    list_folder,
    refuse_bare_numbers,
)
from harness.errors import HarnessError
from harness.labels.spaces import SYNSET

_SPLITS = frozenset({"train", "training", "validation", "valid", "val", "test", "testing"})


@dataclass(frozen=True)
class ClassFolders(Source):
    """A folder a class, which may have folders of its own."""

    labels: dict[str, int]
    """Class index of each class folder, in the order of the classes."""

    def stamps(self) -> list[FileStamp]:
        return [stamp for folder in self.labels for stamp in self.images(folder, nested=True)]

    def index(self) -> Index:
        entries, ignored = [], []
        for folder, label in self.labels.items():
            entries += [Entry(stamp.path, label, stamp.path) for stamp in self.images(folder, nested=True)]
            ignored += [stamp.path for stamp in self.listing(folder).others]
        top = self.listing()
        ignored += [stamp.path for stamp in top.images + top.others]
        ignored += [f"{name}/" for name in top.folders if name not in self.labels]
        return Index(entries, ignored_note(ignored, "files and folders were"))


def class_folders(place: Place) -> ClassFolders | None:
    """Folders named by synset, by number or by class name. Raises HarnessError where a name is no class of the label space."""
    path, space, folders = place.path, place.space, place.listing.folders
    if synsets := [name for name in folders if SYNSET.fullmatch(name)]:
        labels = {name: checked_class(name, space, f"{path / name}") for name in synsets}
        return ClassFolders(path, "class folders named by synset", labels)
    # As strings, 10 would come before 2.
    numbers = sorted((name for name in folders if name.isascii() and name.isdigit()), key=int)
    if numbers and not any(name in space for name in numbers):
        refuse_bare_numbers(space, f"{path} has numbered folders ({numbers[0]}, ...)")
        labels = {name: checked_class(int(name), space, str(path / name)) for name in numbers}
        return ClassFolders(path, "class folders named by class index", labels)
    if place.benchmark.is_own and len(folders) == 1 and list_folder(path / folders[0]).folders:
        return None  # it is around the copy
    if len(folders) > 1 and all(name.lower() in _SPLITS for name in folders):
        held_out = min(folders, key=lambda name: name.lower().startswith("train"))
        remedy = f"Give one of them: --data {path / held_out}"
        raise HarnessError(f"{path} holds the splits {', '.join(folders)}, not class folders.", remedy=remedy)
    named = {name: re.sub(r"^\d+_", "", name) for name in folders}  # ImageNet-9 numbers its classes: 00_dog
    if place.benchmark.other_classes and (scored := [name for name in folders if space.find(named[name])]):
        return ClassFolders(path, "class folders named by class", class_of_each(scored, space, str(path)))
    if set(named.values()) == set(space.classes) != set(folders):
        labels = {name: space.index(plain) for name, plain in named.items()}
        return ClassFolders(path, "numbered class folders named by class", labels)
    # What is no class at all may be a folder around the copy, or hold something else than a class.
    is_copy = any(map(space.find, folders)) or (place.benchmark.is_own and len(folders) > 1)
    if not is_copy:
        return None
    return ClassFolders(path, "class folders named by class", class_of_each(folders, space, str(path)))
