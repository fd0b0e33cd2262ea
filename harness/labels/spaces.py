"""Label spaces: ordered lists of classes, each under one name; and the WordNet hierarchy above them.

Classes are WordNet ids (synsets), or names where a model or a data set has classes of its own.

The lists of ImageNet-1k, ImageNet-22k (fall 2011) and the 200 classes of ImageNet-A and ImageNet-R are the files that
the timm package ships. They are read without importing timm (which would import torch), and their SHA-256 is checked,
so that a changed list can never quietly renumber a benchmark. The hierarchy is one packaged file (data/README.md):
the 21,842 synsets of ImageNet-1k and -22k with all their ancestors in WordNet 3.0.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path

from harness.errors import HarnessError, unknown_name

SYNSET = re.compile(r"n\d{8}")
OWN = "own"
"""Name of the label space of a model whose classes are its own, such as three diseases of beans."""


def folded(name: str) -> str:
    """A class name without what spellings of it differ in: case, what stands between words (spaces, _, -, or a / that no folder
    can have), and how accents are stored (macOS takes letters apart)."""
    return re.sub(r"[\s_\-/]+", " ", unicodedata.normalize("NFC", name)).strip().casefold()


def enumerated(names: Iterable[str], most: int = 5) -> str:
    """The first few of some names, and how many more there are."""
    names = list(names)
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


@dataclass(frozen=True)
class LabelSpace:
    """An ordered list of classes; a class index means a position in it."""

    name: str
    classes: tuple[str, ...]
    """Each a synset; or a name, where it is none of WordNet's."""
    numbered: bool = False
    """Whether a bare number says which class it is, since one order of the classes is fixed."""

    @property
    def owner(self) -> str:
        """Whose classes they are, in a sentence."""
        return "the model" if self.name in (OWN, "custom") else self.name

    @property
    def fingerprint(self) -> str:
        """Hash of the classes in their order, the same for spellings of a name that mean one class."""
        return hashlib.sha256("\n".join(map(folded, self.classes)).encode()).hexdigest()[:16]

    def __len__(self) -> int:
        return len(self.classes)

    def __contains__(self, class_: object) -> bool:
        return class_ in self._position

    def index(self, class_: str) -> int:
        """Class index of a synset or name. Raises KeyError where it is not a class of this space."""
        return self._position[class_]

    def find(self, name: str) -> frozenset[int]:
        """The classes that go by `name`: their own, or one of their lemmas; several for "crane", the bird and the machine.

        A list of lemmas means the classes that share the most of them.
        """
        if (exact := self._position.get(name)) is not None:
            return frozenset({exact})
        known = self._by_name
        if whole := known.get(folded(name)):
            return whole
        votes = Counter(index for part in name.split(",") for index in known.get(folded(part), ()))
        most = max(votes.values(), default=0)
        return frozenset(index for index, count in votes.items() if count == most)

    @cached_property
    def _position(self) -> dict[str, int]:
        return {class_: index for index, class_ in enumerate(self.classes)}

    @cached_property
    def _by_name(self) -> dict[str, frozenset[int]]:
        known = defaultdict[str, set[int]](set)
        for index, class_ in enumerate(self.classes):
            text = lemmas().get(class_)
            for name in {class_} if text is None else {text, *text.split(",")}:
                if name.strip():
                    known[folded(name)].add(index)
        return {name: frozenset(indices) for name, indices in known.items()}


_LIST_FILES = {
    "imagenet-1k": ("imagenet_synsets.txt", "70002b0ff5de60a3a17a82dbfcff291931f96225ddf941ad2e182fc39e183d15"),
    "imagenet-22k": ("imagenet22k_synsets.txt", "0ae24538751973797b29d8dec412b2bdc61bc4ec3ecd081eba0735804236bbd2"),
    "imagenet-a-200": ("imagenet_a_synsets.txt", "9826a24166e74ce62fb87b27889874ca26917542c745712309d6e25855d63bc2"),
    "imagenet-r-200": ("imagenet_r_synsets.txt", "a6a0729f7a99230280639cab6e51e01485a3b41a676ea35621a501c9d6e83ca4"),
}
"""File among timm's data files, and the SHA-256 of its published content."""

LABEL_SPACES = tuple(_LIST_FILES)


def installed_folder(package: str) -> Path | None:
    """The folder of an installed Python package, found without importing it; None where it isn't installed."""
    spec = importlib.util.find_spec(package)
    return None if spec is None or spec.origin is None else Path(spec.origin).parent


@cache
def timm_info_folder() -> Path:
    """Folder of timm's synset lists, lemmas and ReaL labels. Raises HarnessError where timm is not installed."""
    folder = installed_folder("timm")
    if folder is None:
        raise HarnessError("The timm package is not installed.", remedy="Run: pip install timm")
    return folder / "data" / "_info"


@cache
def label_space(name: str) -> LabelSpace:
    """The label space called `name`.

    Raises HarnessError: unknown name, or the installed list differs from the published one.
    """
    if name not in _LIST_FILES:
        raise unknown_name("label space", name, LABEL_SPACES)
    file, published = _LIST_FILES[name]
    path = timm_info_folder() / file
    try:
        data = path.read_bytes()
    except OSError as error:
        message = f"Can't read the synset list of {name}: {path}: {error.strerror}."
        raise HarnessError(message, remedy="Install timm again: pip install --force-reinstall timm") from error
    if hashlib.sha256(data).hexdigest() != published:
        message = f"{path} is not the published synset list of {name}: its content changed."
        raise HarnessError(message, remedy="Install an unmodified timm; class indices can't be trusted with this file.")
    # Only of these is one order of the classes fixed: the 200 of A and R are numbered in different ways.
    return LabelSpace(name, tuple(data.decode("ascii").split()), numbered=name == "imagenet-1k")


@cache
def lemmas() -> dict[str, str]:
    """Lemmas of each ImageNet synset as one string, e.g. n01440764 -> "tench, Tinca tinca"."""
    text = (timm_info_folder() / "imagenet_synset_to_lemma.txt").read_text(encoding="utf-8")
    pairs = (line.split("\t", 1) for line in text.splitlines() if line)
    return {synset: names.strip() for synset, names in pairs}


def class_name(synset: str) -> str:
    """First lemma of a synset, for people to read; the id itself where it has none."""
    return lemmas().get(synset, synset).split(",")[0].strip()


def unique_names(synsets: Sequence[str]) -> list[str]:
    """Class names; those that several classes share (crane, maillot) with their synset."""
    names = [class_name(synset) for synset in synsets]
    shared = Counter(names)
    return [f"{name} ({synset})" if shared[name] > 1 else name for name, synset in zip(names, synsets, strict=True)]


@cache
def _wordnet() -> tuple[dict[str, str], dict[str, list[str]]]:
    """First lemma of every synset in the file, and its children."""
    raw = (files("harness.labels") / "data" / "wordnet-3.0-hypernyms.tsv.gz").read_bytes()
    names, below = dict[str, str](), defaultdict[str, list[str]](list)
    for line in gzip.decompress(raw).decode("utf-8").splitlines():
        synset, name, parents = line.split("\t")
        names[synset] = name
        for parent in parents.split():
            below[parent].append(synset)
    return names, below


def name_of(synset: str) -> str:
    """First lemma of `synset` in WordNet 3.0. Raises HarnessError for an unknown synset."""
    names, _ = _wordnet()
    if synset not in names:
        message = f"{synset} is not a synset of ImageNet or an ancestor of one."
        raise HarnessError(message, remedy="Give a WordNet 3.0 noun id such as n02084071 (dog).")
    return names[synset]


@cache
def descendants(synset: str) -> frozenset[str]:
    """`synset` and everything below it. Raises HarnessError for an unknown synset."""
    name_of(synset)
    _, below = _wordnet()
    found, todo = set[str](), [synset]
    while todo:
        current = todo.pop()
        found.add(current)
        todo += set(below.get(current, ())) - found
    return frozenset(found)


def classes_under(synset: str, space: LabelSpace) -> tuple[int, ...]:
    """Indices of the classes of `space` that are `synset` or below it, ascending."""
    return tuple(sorted(space.index(s) for s in descendants(synset) if s in space))
