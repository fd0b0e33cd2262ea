"""What was found on single images, one line an image in a file that only grows, found by what it was computed from.

Layout: `<home>/<kind>/<weights>/<benchmark>/<protocol>/images.jsonl`, beside `protocol.json`. A line is written when its image is
done, so a kill loses the images at work. A line that a kill cut off is no image; where two processes wrote the same image, the
first line counts.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from filelock import FileLock
from pydantic import TypeAdapter

from harness.files import make_folder, write_text
from harness.metrics.adversarial import AttackedImage
from harness.metrics.attribution import ImageMaps
from harness.parsing.files import MalformedError
from harness.parsing.json import parse_json

_SCHEMA = 1
_FOLDERS = {AttackedImage: "attacks", ImageMaps: "examinations"}
R = TypeVar("R", AttackedImage, ImageMaps)


@dataclass(frozen=True)
class ImageStore(Generic[R]):
    """The records of one kind under one protocol."""

    kind: type[R]
    home: Path
    weights: str
    benchmark: str
    digest: str
    """Of all that decides what is found, 16 hexadecimal digits."""

    @classmethod
    def of(cls, kind: type[R], home: Path, weights: str, benchmark: str, protocol: Mapping[str, Any]) -> ImageStore[R]:
        """The place of a protocol; what it is is written beside the images."""
        text = json.dumps([_SCHEMA, weights, benchmark, protocol], sort_keys=True)
        store = cls(kind, home, weights, benchmark, hashlib.sha256(text.encode()).hexdigest()[:16])
        write_text(store.file.with_name("protocol.json"), json.dumps(protocol, indent=2, sort_keys=True) + "\n")
        return store

    @property
    def file(self) -> Path:
        return self.home / _FOLDERS[self.kind] / self.weights[:16] / self.benchmark / self.digest / "images.jsonl"

    def read(self) -> dict[tuple[str, str, int], R]:
        """Every image by (sample id, digest, label)."""
        found: dict[tuple[str, str, int], R] = {}
        for line in self.file.read_bytes().splitlines() if self.file.exists() else ():
            try:
                record = parse_json(line, self.file, self.kind)
            except MalformedError:  # cut off by a kill
                continue
            if record.sample not in found or record.is_checked > found[record.sample].is_checked:
                found[record.sample] = record
        return found

    def add(self, records: Sequence[R]) -> None:
        """Write images that are done. Raises OSError on a full disk."""
        make_folder(self.file.parent)
        with FileLock(self.file.with_suffix(".lock")), self.file.open("a+b") as file:
            if file.tell():
                file.seek(-1, os.SEEK_END)
                file.write(b"" if file.read() == b"\n" else b"\n")
            for record in records:
                file.write(TypeAdapter(self.kind).dump_json(record) + b"\n")
            file.flush()
            os.fsync(file.fileno())
