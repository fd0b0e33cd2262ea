"""WebDataset tar shards."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from harness.data.sources import (
    IMAGE_SUFFIXES,
    Entry,
    FileStamp,
    Index,
    Place,
    Source,
    as_class,
    checked_class,
    ignored_note,
)
from harness.errors import HarnessError
from harness.labels.spaces import LabelSpace


@dataclass(frozen=True)
class TarShards(Source):
    """WebDataset shards: in each tar, files that share a name up to its first dot are one sample (NAME.jpg, NAME.cls).

    Only headers and labels are read for the index; images are read from inside the tar, nothing is extracted.
    """

    space: LabelSpace
    shards: frozenset[str]
    """Names of the tar files in `root`."""

    def stamps(self) -> list[FileStamp]:
        return [stamp for stamp in self.listing().others if stamp.path in self.shards]

    def index(self) -> Index:
        entries: list[Entry] = []
        ignored: list[str] = []
        for shard in self.stamps():
            entries += self._entries(shard, ignored)
        return Index(entries, ignored_note(ignored, "members of the shards were"))

    def _entries(self, shard: FileStamp, ignored: list[str]) -> Iterator[Entry]:
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
                            message = f"{path}: {images[key].name} and {member.name} are two images of one sample."
                            raise HarnessError(message, remedy="Keep one image for each sample.")
                        images[key] = member
                    elif suffix.lower() == "cls" and (content := archive.extractfile(member)) is not None:
                        classes[key] = content.read().decode("ascii", errors="replace").strip()
                    else:
                        ignored.append(f"{shard.path}: {member.name}")
        except (tarfile.TarError, OSError) as error:
            raise HarnessError(f"{path} is not a readable tar: {error}.", remedy="Fetch this shard again.") from error
        for key, member in images.items():
            if member.offset_data + member.size > shard.size:
                why = f"{path} ends inside {member.name}: it is cut off."
                raise HarnessError(why, remedy="Fetch this shard again.")
            if key not in classes:
                message = f"{path}: {member.name} has no label ({PurePosixPath(key).name}.cls is not in the shard)."
                remedy = "If this is an archive of class folders, not WebDataset shards: unpack it, give the folder."
                raise HarnessError(message, remedy=remedy)
            label = self._label(classes[key], f"{path}: {PurePosixPath(key).name}.cls")
            yield Entry(member.name, label, shard.path, member.offset_data, member.size)

    def _label(self, text: str, where: str) -> int:
        value = as_class(text)
        if isinstance(value, str) and not self.space.find(value):
            why = f"{where}: '{text[:40]}' is neither a class index nor a class of {self.space.owner}."
            raise HarnessError(why, remedy="Mend this label.")
        return checked_class(value, self.space, where)


def tar_shards(place: Place) -> TarShards | None:
    """One tar file, or a folder with tar files."""
    layout = "WebDataset tar shards"
    if place.path.is_file() and place.path.suffix == ".tar":
        return TarShards(place.path.parent, layout, place.space, frozenset({place.path.name}))
    shards = frozenset(name for name in place.others if name.endswith(".tar"))
    return TarShards(place.path, layout, place.space, shards) if shards else None
