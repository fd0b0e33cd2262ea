"""Class folders, named by synset or (ImageNetV2) by the class index as an integer."""

from __future__ import annotations

from dataclasses import dataclass

from harness.data.sources import (
    SYNSET,
    Entry,
    FileStamp,
    Index,
    Place,
    Source,
    checked_class,
    ignored_note,
    refuse_bare_numbers,
)


@dataclass(frozen=True)
class ClassFolders(Source):
    """A folder a class."""

    labels: dict[str, int]
    """Class index of each class folder, in the order of the classes."""

    def stamps(self) -> list[FileStamp]:
        return [stamp for folder in self.labels for stamp in self.listing(folder).images]

    def index(self) -> Index:
        entries, ignored = [], []
        for folder, label in self.labels.items():
            listing = self.listing(folder)
            entries += [Entry(stamp.path, label, stamp.path) for stamp in listing.images]
            ignored += [stamp.path for stamp in listing.others] + [f"{folder}/{name}/" for name in listing.folders]
        top = self.listing()
        ignored += [stamp.path for stamp in top.images + top.others]
        ignored += [f"{name}/" for name in top.folders if name not in self.labels]
        return Index(entries, ignored_note(ignored, "files and folders were"))


def class_folders(place: Place) -> ClassFolders | None:
    """Folders named by synset, else by number. Raises HarnessError where a name is no class of the label space."""
    path, space = place.path, place.space
    if synsets := [name for name in place.listing.folders if SYNSET.fullmatch(name)]:
        labels = {name: checked_class(name, space, f"{path / name}") for name in synsets}
        return ClassFolders(path, "class folders named by synset", labels)
    # As strings, 10 would come before 2.
    numbers = sorted((name for name in place.listing.folders if name.isascii() and name.isdigit()), key=int)
    if not numbers:
        return None
    refuse_bare_numbers(space, f"{path} has numbered folders ({numbers[0]}, ...)")
    labels = {name: checked_class(int(name), space, str(path / name)) for name in numbers}
    return ClassFolders(path, "class folders named by class index", labels)
