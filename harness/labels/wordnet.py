"""The WordNet 3.0 noun hierarchy over the ImageNet synsets: who is above and below whom.

Reads one packaged file (see data/README.md): the 21,842 synsets of ImageNet-1k and -22k with all their ancestors.
"""

from __future__ import annotations

import gzip
from functools import cache
from importlib.resources import files

from harness.errors import HarnessError
from harness.labels.spaces import LabelSpace


@cache
def _table() -> tuple[dict[str, str], dict[str, list[str]]]:
    """First lemma of every synset in the file, and its children."""
    raw = (files("harness.labels") / "data" / "wordnet-3.0-hypernyms.tsv.gz").read_bytes()
    names: dict[str, str] = {}
    below: dict[str, list[str]] = {}
    for line in gzip.decompress(raw).decode("utf-8").splitlines():
        synset, name, parents = line.split("\t")
        names[synset] = name
        for parent in parents.split():
            below.setdefault(parent, []).append(synset)
    return names, below


def name_of(synset: str) -> str:
    """First lemma of `synset` in WordNet 3.0. Raises HarnessError for an unknown synset."""
    names, _ = _table()
    if synset not in names:
        raise HarnessError(
            f"{synset} is not a synset of ImageNet or an ancestor of one.",
            remedy="Give a WordNet 3.0 noun id such as n02084071 (dog).",
        )
    return names[synset]


@cache
def descendants(synset: str) -> frozenset[str]:
    """`synset` and everything below it. Raises HarnessError for an unknown synset."""
    name_of(synset)
    _, below = _table()
    seen: set[str] = set()
    todo = [synset]
    while todo:
        current = todo.pop()
        if current not in seen:
            seen.add(current)
            todo.extend(below.get(current, ()))
    return frozenset(seen)


def classes_under(synset: str, space: LabelSpace) -> tuple[int, ...]:
    """Indices of the classes of `space` that are `synset` or below it, ascending."""
    return tuple(sorted(space.index(s) for s in descendants(synset) if s in space))
