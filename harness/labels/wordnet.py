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
def _table() -> tuple[dict[str, tuple[str, ...]], dict[str, tuple[str, ...]], dict[str, str]]:
    """(parents, children, first lemma) of every synset in the file."""
    raw = (files("harness.labels") / "data" / "wordnet-3.0-hypernyms.tsv.gz").read_bytes()
    parents: dict[str, tuple[str, ...]] = {}
    names: dict[str, str] = {}
    below: dict[str, list[str]] = {}
    for line in gzip.decompress(raw).decode("utf-8").splitlines():
        synset, name, above = line.split("\t")
        parents[synset] = tuple(above.split())
        names[synset] = name
        for parent in parents[synset]:
            below.setdefault(parent, []).append(synset)
    return parents, {synset: tuple(kids) for synset, kids in below.items()}, names


def _closure(start: str, edges: dict[str, tuple[str, ...]]) -> frozenset[str]:
    seen: set[str] = set()
    todo = [start]
    while todo:
        synset = todo.pop()
        if synset not in seen:
            seen.add(synset)
            todo.extend(edges.get(synset, ()))
    return frozenset(seen)


def _known(synset: str) -> None:
    if synset not in _table()[0]:
        raise HarnessError(
            f"{synset} is not a synset of ImageNet or an ancestor of one.",
            remedy="Give a WordNet 3.0 noun id such as n02084071 (dog).",
        )


def name_of(synset: str) -> str:
    """First lemma of `synset` in WordNet 3.0. Raises HarnessError for an unknown synset."""
    _known(synset)
    return _table()[2][synset]


def ancestors(synset: str) -> frozenset[str]:
    """`synset` and everything above it. Raises HarnessError for an unknown synset."""
    _known(synset)
    return _closure(synset, _table()[0])


@cache
def descendants(synset: str) -> frozenset[str]:
    """`synset` and everything below it. Raises HarnessError for an unknown synset."""
    _known(synset)
    return _closure(synset, _table()[1])


def classes_under(synset: str, space: LabelSpace) -> tuple[int, ...]:
    """Indices of the classes of `space` that are `synset` or below it, ascending."""
    return tuple(sorted(space.index(s) for s in descendants(synset) if s in space))
