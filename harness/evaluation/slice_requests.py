"""What is to be sliced by what (asked for by a suite, `--by`, a user's file, or a ledger again), and the groups that samples
fall into by one slicing, or by several that are crossed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path
from typing import Literal

from harness.data.catalog import Benchmark, get_benchmark
from harness.data.groupings import Grouping, Subjects, grouping
from harness.data.slicefiles import SliceFile, read_slice_file, slug
from harness.data.slicings import CLASS, check_reference, slicings, split_reference
from harness.errors import MissingInputError, UsageError
from harness.evaluation.suites import SliceOptions, Suite
from harness.evidence import Ledger
from harness.metrics.slices import MIN_UNITS, Slicing, interaction, slicing_from_frame

FEW_CLASSES = 20
"""So many classes, and data of one's own is sliced by class without being asked for."""
MOST_PAIRS = 5000
"""Groups that an interaction may have; more are too small to say anything, and take long."""


@dataclass(frozen=True)
class Request:
    """What is to be sliced by what."""

    by: tuple[tuple[str, ...], ...]
    """Slicings, each as one reference, or several whose groups are crossed."""
    options: SliceOptions
    file: SliceFile | None = None

    def __bool__(self) -> bool:
        return bool(self.by)

    def with_few_classes(self, sliced: Iterable[Benchmark]) -> Request:
        """With accuracy by class, where all that is sliced is data of one's own with few classes."""
        is_own = [b.is_own and not b.classes_from and len(b.space) <= FEW_CLASSES for b in sliced]
        by = self.by if (CLASS,) in self.by or not all(is_own) else (*self.by, (CLASS,))
        return replace(self, by=by) if is_own else self


def request_of(suite: Suite | None, slices: Path | None, by: Sequence[str]) -> Request:
    """What a suite, a user's file and `--by` ask for together.

    Raises:
        HarnessError: the file has a fault, or a name is no slicing; with exit code 2.
    """
    if slices is None and suite is not None:
        slices = suite.slices
    file = read_slice_file(slices, by) if slices is not None else None
    columns = tuple(file.columns) if file is not None else ()
    asked = tuple(dict.fromkeys(_tidy(reference, columns) for reference in by))
    for reference in asked:
        check_reference(reference, columns)
        if file is not None and split_reference(reference)[0] in columns:
            file.check_group(reference)
    wanted = list(suite.slicings) if suite is not None else []
    wanted += [(column,) for column in columns]
    if asked:
        wanted.append(asked)
    return Request(tuple(dict.fromkeys(wanted)), suite.slice_options if suite is not None else SliceOptions(), file)


def _tidy(reference: str, columns: Sequence[str]) -> str:
    """A column as users write it in the form that slicings have."""
    name, group = split_reference(reference)
    tidy = slug(name) if slug(name) in columns else name
    return tidy if group is None else f"{tidy}/{group}"


def request_behind(ledger: Ledger) -> Request:
    """The slicings of the catalog that a ledger has evidence on, as far as they can be made again from predictions alone."""
    items = [item for item in ledger if item.name.slice and "slicing" in (item.protocol or {})]
    names = dict.fromkeys(str(item.name.slicing) for item in items)
    conditions: Literal["clean", "shifted", "cells"] = "clean"
    if any(item.name.condition for item in items):
        conditions = "cells"
    elif not all(is_sliced(get_benchmark(item.name.benchmark, ledger), None, SliceOptions()) for item in items):
        conditions = "shifted"
    smallest = ((item.protocol or {}).get("smallest_group") for item in items)
    options = SliceOptions(conditions=conditions, smallest_group=next(filter(None, smallest), MIN_UNITS))
    return Request(tuple((name,) for name in names if name in slicings()), options)


def is_sliced(benchmark: Benchmark, condition: str | None, options: SliceOptions) -> bool:
    """Whether a condition is sliced by itself."""
    if condition is not None:
        return "/" in condition and options.conditions == "cells"
    made_for_it = any(benchmark.name in entry.benchmarks for entry in slicings().values())
    return benchmark.clean or made_for_it or options.conditions != "clean"


def fits(references: Sequence[str], subjects: Subjects, file: SliceFile | None) -> bool:
    """Whether the samples can have these groups: by the kind of benchmark, or because the user's file names some."""
    for reference in references:
        entry = slicings().get(split_reference(reference)[0])
        if entry is not None and not entry.fits(subjects.benchmark):
            return False
        if entry is None and file is not None and not file.joins(subjects.benchmark, subjects.sample_ids):
            return False
    return True


def slicing_name(references: Sequence[str]) -> str:
    """As in evidence keys."""
    return "+".join(split_reference(reference)[0] for reference in references)


@dataclass(frozen=True, eq=False)
class Groups:
    """The groups of a target by one slicing, or by several that are crossed."""

    name: str
    """As in evidence keys."""
    slicing: Slicing
    parts: tuple[Grouping, ...]
    is_from_file: bool

    @property
    def title(self) -> str:
        return " × ".join(part.title for part in self.parts)

    @property
    def fingerprint(self) -> str:
        return "+".join(part.fingerprint for part in self.parts)

    @property
    def note(self) -> str | None:
        return "; ".join(dict.fromkeys(part.note for part in self.parts if part.note)) or None

    @property
    def file_note(self) -> str | None:
        return f"{self.title}: {self.note}." if self.is_from_file and self.note else None

    def words(self, group: str) -> str:
        """What a group is called for people."""
        pairs = zip(self._names(group), self.parts, strict=True)
        return " × ".join((part.titles or {}).get(name, name) for name, part in pairs)

    def _names(self, group: str) -> list[str]:
        return group.split(" × ") if len(self.parts) > 1 else [group]

    def published(self, group: str, n: int, *, whole: bool) -> int | None:
        """Samples that the whole benchmark has in a group."""
        counts = self.parts[0].published
        if counts is None or len(self.parts) > 1:
            return n if whole else None
        return counts.get(group)

    def keys(self) -> dict[str, str]:
        """Each group's name in evidence keys; names that become alike are numbered."""
        made: Counter[str] = Counter()
        keys = {}
        for group in self.slicing.groups:
            key = "+".join(map(slug, self._names(group)))
            made[key] += 1
            keys[group] = key if made[key] == 1 else f"{key}-{made[key]}"
        return keys


def groups_by(references: Sequence[str], subjects: Subjects, file: SliceFile | None) -> Groups:
    """The groups of samples by one slicing, or by several that are crossed.

    Raises:
        MissingInputError: annotations or images that it needs are not here.
        HarnessError: a fault in the user's file, an unknown slicing or group, or too many pairs of groups.
    """
    of_file = [file is not None and split_reference(reference)[0] in file.columns for reference in references]
    parts = tuple(
        file.grouping(reference, subjects.benchmark, subjects.sample_ids)
        if file is not None and from_file
        else grouping(reference, subjects)
        for reference, from_file in zip(references, of_file, strict=True)
    )
    try:
        made = [slicing_from_frame(part.name, part.frame, subjects.sample_ids) for part in parts]
    except ValueError as error:
        raise MissingInputError(
            f"{str(error)[0].upper()}{str(error)[1:]}.", remedy="Give images under their published names."
        ) from error
    slicing = reduce(interaction, made)
    if len(made) > 1 and len(slicing.groups) > MOST_PAIRS:
        raise UsageError(
            f"{' × '.join(references)} gives {len(slicing.groups):,} groups; {MOST_PAIRS:,} at most are compared.",
            remedy="Cross coarser slicings, or one group: --by wordnet/n02084071.",
        )
    return Groups(slicing_name(references), slicing, parts, any(of_file))
