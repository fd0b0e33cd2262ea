"""What is to be sliced by what: asked for by a suite, by `--by`, by a file of the user's own, or by a ledger again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.data.catalog import Benchmark, get_benchmark
from harness.data.groupings import Subjects
from harness.data.slicefiles import SliceFile, read_slice_file, slug
from harness.data.slicings import check_reference, slicings, split_reference
from harness.evaluation.suites import SliceOptions, Suite
from harness.evidence import Ledger
from harness.metrics.slices import MIN_UNITS


@dataclass(frozen=True)
class Request:
    """What is to be sliced by what."""

    by: tuple[tuple[str, ...], ...]
    """Slicings, each as one reference, or several whose groups are crossed."""
    options: SliceOptions
    file: SliceFile | None = None

    def __bool__(self) -> bool:
        return bool(self.by)


def request_of(suite: Suite | None, slices: Path | None, by: Sequence[str]) -> Request:
    """What a suite, a user's file and `--by` ask for together.

    Raises:
        HarnessError: the file has a fault, or a name is no slicing; with exit code 2.
    """
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
    clean = all(is_sliced(get_benchmark(item.name.benchmark), None, SliceOptions()) for item in items)
    conditions: Literal["clean", "shifted", "cells"] = "clean" if clean else "shifted"
    if any(item.name.condition for item in items):
        conditions = "cells"
    smallest = [
        item.protocol["smallest_group"] for item in items if item.protocol and "smallest_group" in item.protocol
    ]
    options = SliceOptions(conditions=conditions, smallest_group=smallest[0] if smallest else MIN_UNITS)
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
    return "+".join(split_reference(reference)[0] for reference in references)
