"""What attacks found, one line an image in a file that only grows, found by what it was computed from.

Layout: `<home>/attacks/<weights>/<benchmark>/<protocol>/images.jsonl`, beside `protocol.json`. A line is written when an image's
attacks are done, so a kill loses the images at work. A line that a kill cut off is no image; where two processes wrote the same
image, the first line counts.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock
from pydantic import TypeAdapter

from harness.files import make_folder, write_text
from harness.metrics.adversarial import AttackOutcome
from harness.parsing.files import MalformedError
from harness.parsing.json import parse_json

_SCHEMA = 1


@dataclass(frozen=True)
class AttackedImage:
    """An image and what attacks found on it."""

    sample_id: str
    digest: str
    """SHA-256 of the encoded image."""
    label: int
    """Class in the benchmark's label space."""
    answer: int
    """The class that the model chooses for the image as it is."""
    is_checked: bool
    """Whether more was tried on it, to tell robustness from masked gradients."""
    outcomes: dict[str, AttackOutcome]
    """By norm."""

    @property
    def sample(self) -> tuple[str, str, int]:
        return self.sample_id, self.digest, self.label

    def under(self, norm: str, epsilon: float) -> tuple[int, bool]:
        """The class that is chosen where attacks may change the image by `epsilon`, and whether it is right."""
        found = self.outcomes[norm]
        if found.size is None or found.size > epsilon:
            return self.answer, True
        return (self.answer if found.answer is None else found.answer), False


_IMAGE = TypeAdapter(AttackedImage)


@dataclass(frozen=True)
class AttackStore:
    """The images that were attacked under one protocol."""

    home: Path
    weights: str
    benchmark: str
    digest: str
    """Of all that decides what is found, 16 hexadecimal digits."""

    @classmethod
    def of(cls, home: Path, weights: str, benchmark: str, protocol: Mapping[str, Any]) -> AttackStore:
        """The place of a protocol; what it is is written beside the images."""
        text = json.dumps([_SCHEMA, weights, benchmark, protocol], sort_keys=True)
        store = cls(home, weights, benchmark, hashlib.sha256(text.encode()).hexdigest()[:16])
        write_text(store.file.with_name("protocol.json"), json.dumps(protocol, indent=2, sort_keys=True) + "\n")
        return store

    @property
    def file(self) -> Path:
        return self.home / "attacks" / self.weights[:16] / self.benchmark / self.digest / "images.jsonl"

    def read(self) -> dict[tuple[str, str, int], AttackedImage]:
        """Every image by (sample id, digest, label)."""
        found: dict[tuple[str, str, int], AttackedImage] = {}
        for line in self.file.read_text(encoding="utf-8").splitlines() if self.file.exists() else ():
            try:
                image = parse_json(line, self.file, AttackedImage)
            except MalformedError:  # cut off by a kill
                continue
            if image.sample not in found or image.is_checked > found[image.sample].is_checked:
                found[image.sample] = image
        return found

    def add(self, images: Sequence[AttackedImage]) -> None:
        """Write images that are done. Raises OSError on a full disk."""
        make_folder(self.file.parent)
        with FileLock(self.file.with_suffix(".lock")), self.file.open("ab") as file:
            if file.tell() and not self.file.read_bytes().endswith(b"\n"):
                file.write(b"\n")
            for image in images:
                file.write(_IMAGE.dump_json(image) + b"\n")
            file.flush()
            os.fsync(file.fileno())
