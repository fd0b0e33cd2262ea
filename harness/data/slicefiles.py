"""A user's own slices: a CSV or Parquet file with one row a sample and any number of columns, each of them a slicing.

Faults are told before anything runs: a wrong column, a sample named twice, a column that can't be compared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import pandas as pd

from harness.data.catalog import Benchmark
from harness.data.groupings import Grouping, cut, named, narrowed
from harness.data.manifest import sample_id
from harness.data.slicings import slicings, split_reference
from harness.errors import UsageError, nearest, unknown_name
from harness.labels.spaces import enumerated
from harness.parsing.tables import read_frame

KEYS = ("sample_id", "file_name")
"""Columns that rows are joined on, the first one that the file has."""

MOST_GROUPS = 1000
"""More names than this in a column are no groups but, most likely, ids or free text."""

MOST_NUMBERS = 20
"""A column of numbers with more different values than this is cut into fifths."""

_FIFTHS = 5
_EXAMPLES = 3


@dataclass(frozen=True)
class SliceFile:
    """A user's annotations."""

    path: Path
    key: str
    """The column that rows are joined on."""
    ids: tuple[str, ...]
    """That column's values, row by row."""
    columns: dict[str, pd.Series]
    """The chosen columns by the name they have as slicings."""
    digest: str
    """SHA-256 of the file."""

    def grouping(self, reference: str, benchmark: Benchmark, sample_ids: Sequence[str]) -> Grouping:
        """The groups by one column, or by one group of it (`COLUMN/GROUP`). Raises HarnessError: an unknown group."""
        name, group = split_reference(reference)
        values = self.columns[name]
        frame = pd.DataFrame({name: values.to_numpy()}, index=self._sample_ids(benchmark))
        title = str(values.name)
        is_cut = _is_cut(values)
        found = cut(name, title, frame, _FIFTHS, self.digest) if is_cut else named(name, title, frame, self.digest)
        return replace(narrowed(found, group), note=self._note(values, frame.index, sample_ids))

    def joins(self, benchmark: Benchmark, sample_ids: Sequence[str]) -> bool:
        """Whether some row belongs to one of the samples."""
        return bool(self._sample_ids(benchmark).isin(pd.Index(sample_ids)).any())

    def check_group(self, reference: str) -> None:
        """Refuse `COLUMN/GROUP` where the column has no such group. Raises HarnessError with the nearest ones."""
        name, group = split_reference(reference)
        values = self.columns[name]
        fifths = [f"q{part}" for part in range(1, _FIFTHS + 1)]
        groups = fifths if _is_cut(values) else sorted(values.dropna().astype(str).unique())
        if group is not None and group not in groups:
            raise unknown_name(f"group of {name}", group, groups, where=str(self.path))

    def check_join(self, benchmark: Benchmark, sample_ids: Sequence[str]) -> None:
        """Refuse a file of which no row belongs to the samples. Raises HarnessError with examples of both."""
        if not self.joins(benchmark, sample_ids):
            raise UsageError(
                f"{self.path}: no row joins with {benchmark.name}. Its {self.key} reads {', '.join(self.ids[:_EXAMPLES])}; "
                f"the samples are {', '.join(sample_ids[:_EXAMPLES])}.",
                remedy=f"Give the samples' ids in a column sample_id, or their file names in file_name "
                f"(harness predictions --benchmark {benchmark.name} shows the ids).",
            )

    def _sample_ids(self, benchmark: Benchmark) -> pd.Index:
        """The rows' sample ids in this benchmark."""
        if self.key == "sample_id" and benchmark.sample_id != "ilsvrc":
            return pd.Index(self.ids)
        if benchmark.sample_id == "synset/filename":
            index = pd.Index(["/".join(PurePosixPath(name).parts[-2:]) for name in self.ids])
        else:
            index = pd.Index([sample_id(benchmark.sample_id, name, "") or name for name in self.ids])
        if index.has_duplicates:
            twice = str(index[index.duplicated()][0])
            raise UsageError(f"{self.path}: several rows are of sample {twice}.", remedy="One row a sample.")
        return index

    def _note(self, values: pd.Series, index: pd.Index, sample_ids: Sequence[str]) -> str | None:
        empty = int(values.isna().sum())
        strangers = index[~index.isin(pd.Index(sample_ids))]
        parts = [f"{empty:,} of {len(values):,} rows have no value in {values.name}"] if empty else []
        if len(strangers):
            examples = ", ".join(map(str, strangers[:_EXAMPLES]))
            parts.append(f"{len(strangers):,} of {len(index):,} rows match no sample, e.g. {examples}")
        return "; ".join(parts) or None


def _is_cut(values: pd.Series) -> bool:
    """Whether a column is of numbers that are cut into groups of equal size."""
    numbers = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    return numbers and values.nunique() > MOST_NUMBERS


def read_slice_file(path: Path, by: Sequence[str] = ()) -> SliceFile:
    """Read and check a file of slices.

    Args:
        by: slicings that were asked for; those that are not in the catalog must be columns, and only these columns are
            used. Without any, all columns are.

    Raises:
        HarnessError: the file can't be read, has no key or no such column, names a sample twice, or a column has one
            value only or too many; all with exit code 2.
    """
    # "NA" and "None" are names here (Namibia, North America); only an empty cell is missing.
    frame = read_frame(path, keep_default_na=False, na_values=[""], dtype=dict.fromkeys(KEYS, str))
    key = next((name for name in KEYS if name in frame.columns), None)
    if key is None:
        message = f"{path} has no column sample_id or file_name (it has {enumerated(map(str, frame.columns), 8)})."
        raise UsageError(message, remedy="Add one of them: rows are joined with the samples on it.")
    if len(frame) == 0:
        raise UsageError(f"{path} holds no rows.", remedy="One row a sample.")
    ids = frame[key]
    if ids.isna().any():
        row = int(ids.isna().to_numpy().argmax()) + 1
        raise UsageError(f"{path}: row {row} has no {key}.", remedy="Fill it in, or remove the row.")
    ids = ids.astype(str)
    if len(repeats := ids[ids.duplicated()]):
        times = int((ids == repeats.iloc[0]).sum())
        message = f"{path}: {key} {repeats.iloc[0]} occurs {times} times ({len(repeats):,} rows repeat one)."
        raise UsageError(message, remedy="One row a sample.")
    columns = {slug(str(name)): frame[name] for name in frame.columns if name not in KEYS}
    if not columns:
        raise UsageError(f"{path} has no column beside {key}.", remedy="Add the columns to slice by.")
    chosen = {name: _checked(path, column) for name, column in _chosen(path, columns, by).items()}
    return SliceFile(path, key, tuple(ids), chosen, hashlib.sha256(path.read_bytes()).hexdigest())


def slug(text: str) -> str:
    """A name as evidence keys can hold it: letters, digits, `_`, `+`, `-`."""
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "_+-") else "-" for c in text.strip())
    return kept.strip("-") or hashlib.sha256(text.encode()).hexdigest()[:8]


def _chosen(path: Path, columns: dict[str, pd.Series], by: Sequence[str]) -> dict[str, pd.Series]:
    wanted = [name for name in dict.fromkeys(slug(split_reference(r)[0]) for r in by) if name not in slicings()]
    for name in wanted:
        if name not in columns:
            close = nearest(name, [*columns, *slicings()])
            message = f"{path} has no column '{name}' (it has {enumerated(columns, 8)}), and no slicing has this name."
            remedy = f"Did you mean {' or '.join(close)}?" if close else "See: harness list slicings"
            raise UsageError(message, remedy=remedy)
    chosen = {name: columns[name] for name in wanted} if wanted else columns
    taken = next((name for name in chosen if name in slicings()), None)
    if taken is not None:
        message = f"{path}: the column '{columns[taken].name}' has the name of a slicing that harness has itself."
        raise UsageError(message, remedy="Rename the column, or choose others with --by.")
    return chosen


def _checked(path: Path, column: pd.Series) -> pd.Series:
    known = column.dropna()
    kinds = known.nunique()
    if kinds == 0:
        fault, remedy = "is empty", "Fill it in, or choose others with --by."
    elif kinds == 1:
        fault = f"has one value only ({known.iloc[0]}), so there is nothing to compare"
        remedy = "Remove it, or choose others with --by."
    elif kinds > MOST_GROUPS and not pd.api.types.is_numeric_dtype(known):
        fault = f"has {kinds:,} different values on {len(known):,} rows; a slicing has {MOST_GROUPS:,} groups at most"
        remedy = "Group its values, or choose other columns with --by."
    else:
        # Whole numbers stay whole where missing values made them floats: group `1`, not `1.0`.
        is_whole = pd.api.types.is_float_dtype(column) and (known % 1 == 0).all()
        return column.astype("Int64") if is_whole else column
    raise UsageError(f"{path}: the column '{column.name}' {fault}.", remedy=remedy)
