"""The slicing catalog: how samples can be sorted into groups, and on whose word.

The entries live in `slicings.yaml`; the annotations behind each kind of them are read in `groupings`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from harness.data.catalog import Benchmark
from harness.errors import HarnessError, UsageError, unknown_name
from harness.labels.spaces import SYNSET, name_of
from harness.parsing.yaml import read_yaml

_CATALOG_FILE = Path(__file__).with_name("slicings.yaml")
CLASS = "class"
"""The slicing by the benchmark's own classes."""

Joins = Literal["validation-images", "classes", "images", "benchmark-table"]


class SlicingEntry(BaseModel, extra="forbid", frozen=True):
    """One way to sort samples into groups."""

    name: str
    title: str
    groups: str
    """What the groups are, in words."""
    kind: Literal["imagenet-x", "metaclass", "wordnet", "real", "class", "statistic", "table"]
    """How the groups are found."""
    option: str | None = None
    """Which annotation file, image statistic or table column."""
    names: tuple[str, ...] = ()
    """All the groups there are, where the annotations don't say so themselves."""
    synsets: tuple[str, ...] = ()
    """The groups of the WordNet slicing where none is asked for."""
    joins: Joins
    """What samples need: be ILSVRC validation images, have a class, have an image file, or come with the table of one of
    `benchmarks`."""
    benchmarks: tuple[str, ...] = ()
    requires: str | None = None
    """What to give to pip for the annotations."""
    error_ratio: bool = False
    """Whether ImageNet-X's error ratio is published for these groups."""
    source: str
    licence: str
    licence_read_at: str

    def fits(self, benchmark: Benchmark) -> bool:
        """Whether samples of the benchmark can have these groups at all."""
        if self.joins == "validation-images":
            return benchmark.sample_id == "ilsvrc"
        if self.joins == "benchmark-table":
            return benchmark.name in self.benchmarks
        if self.kind in ("wordnet", "metaclass") and benchmark.classes is not None:  # superclasses are those of synsets
            return all(map(SYNSET.fullmatch, benchmark.classes))
        if self.kind in ("wordnet", "metaclass") and benchmark.classes_from is not None:
            return False
        # A photograph with several right classes has no class to group by.
        return self.joins == "images" or not benchmark.label_sets


@cache
def slicings() -> dict[str, SlicingEntry]:
    """All slicings by name, in the order of the catalog. Raises pydantic.ValidationError where it is damaged."""
    entries = read_yaml(_CATALOG_FILE).data
    return {name: SlicingEntry(name=name, **entry) for name, entry in entries.items()}


def split_reference(reference: str) -> tuple[str, str | None]:
    """`imagenet-x/pose` -> ("imagenet-x", "pose"); a slicing without a group keeps all of them."""
    name, slash, group = reference.partition("/")
    return name, group if slash else None


def check_reference(reference: str, also: Sequence[str] = ()) -> None:
    """Refuse a name that is no slicing, and a group that the catalog knows not to exist.

    The groups of further names (`also`), such as the columns of a user's file, are checked when they are read.

    Raises HarnessError: with the nearest known names.
    """
    name, group = split_reference(reference)
    if name not in slicings() and name not in also:
        raise unknown_name("slicing", name, [*slicings(), *also])
    if group is None or name in also:
        return
    entry = slicings()[name]
    if entry.names and group not in entry.names:
        raise unknown_name(f"group of {name}", group, entry.names)
    if entry.kind in ("wordnet", "class"):
        try:
            name_of(group)
        except HarnessError as error:
            raise UsageError(error.message, remedy=error.remedy) from error
