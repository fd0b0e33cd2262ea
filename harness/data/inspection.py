"""How data of one's own would be read, before any model is there: its layout, its classes and what is odd about it."""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from pathlib import Path
from typing import Any

from harness.data.catalog import own_benchmark
from harness.data.local import find_source
from harness.data.locations import locate
from harness.data.manifest import no_images
from harness.labels.spaces import SYNSET, LabelSpace, class_name, enumerated, label_space


class _WhateverIsThere(LabelSpace):
    """Takes every name for a class, and remembers the names."""

    @cached_property
    def seen(self) -> dict[str, int]:
        return {}

    def find(self, name: str) -> frozenset[int]:
        return frozenset({self.seen.setdefault(name, len(self.seen))})

    def __contains__(self, class_: object) -> bool:
        return isinstance(class_, str) and bool(self.find(class_))


def inspect(place: str, *, offline: bool, cache: Path) -> dict[str, Any]:
    """What `harness run --data PLACE` would find there.

    Args:
        place: a folder, a file, or `hf:OWNER/NAME`.
        cache: folder for what a layout needs to keep.

    Raises:
        HarnessError: it does not exist, or it is data that could not be read for any model; says why.
    """
    benchmark = own_benchmark(place)
    space = _WhateverIsThere(benchmark.name, ())
    source, notes = find_source(benchmark, locate(benchmark, offline=offline), None, space, cache)
    index = source.index()
    if not index.entries:
        raise no_images(benchmark, source)
    counts, names = Counter(entry.label for entry in index.entries), list(space.seen)
    empty = [name for name, number in space.seen.items() if not counts[number]]
    if empty:
        notes.append(f"{len(empty):,} classes have no images: {enumerated(empty)}.")
    return {
        "name": benchmark.name,
        "where": str(source.root),
        "layout": source.layout,
        "images": len(index.entries),
        "classes": {name: counts[number] for name, number in space.seen.items()},
        "matched": _how_matched(names),
        "notes": index.notes + notes,
    }


def _how_matched(names: list[str]) -> str:
    """How these classes would be found among a model's."""
    if all(map(SYNSET.fullmatch, names)):
        inside = sum(name in label_space("imagenet-1k") for name in names)
        return f"by synset; {inside:,} of {len(names):,} are classes of ImageNet-1k"
    if all(name.isdecimal() for name in names):
        numbers = sorted(map(int, names))
        start = " They count from 1, class indices count from 0." if numbers == list(range(1, len(names) + 1)) else ""
        return (
            "with a model that calls its outputs by these numbers; with no other, unless a suite file lists the `classes` in "
            f"their order, or they are ImageNet-1k's (--data imagenet-val=DIR).{start}"
        )
    imagenet = label_space("imagenet-1k")
    several = [name for name in names if len(imagenet.find(name)) > 1]
    known = sum(bool(imagenet.find(name)) for name in names)
    text = f"by name, with the names that the model gives its outputs; {known:,} of {len(names):,} are names of ImageNet-1k's"
    if several:
        either = " or ".join(
            f"{s} ({class_name(s)})" for s in sorted(imagenet.classes[i] for i in imagenet.find(several[0]))
        )
        text += f", and {enumerated(several)} of more than one: {either}"
    return text


def is_place(text: str) -> bool:
    """Whether `harness data` was given a place instead of a benchmark's name."""
    return text.startswith("hf:") or "/" in text or Path(text).expanduser().exists()
