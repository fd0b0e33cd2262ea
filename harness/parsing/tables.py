"""Parquet and CSV tables, and columns of them as the numbers or text that they should hold."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.json
import pyarrow.parquet as pq

from harness.parsing.files import MalformedError, read_bytes, shown

MOST_BYTES = 2_000_000_000
"""Of a table, as a file and in memory."""


def read_parquet(source: Path | bytes, columns: Sequence[str] | None = None) -> pa.Table:
    """A Parquet file, or its content, as an Arrow table; pages that have checksums are checked.

    Raises:
        MalformedError: it is missing, no Parquet, is damaged, or would take more than `MOST_BYTES`.
    """
    where = "the table" if isinstance(source, bytes) else source
    data = source if isinstance(source, bytes) else read_bytes(source, most=MOST_BYTES)
    try:
        file = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
        groups = (file.metadata.row_group(index) for index in range(file.metadata.num_row_groups))
        size = max(sum(group.total_byte_size for group in groups), file.metadata.num_rows)
        if size > MOST_BYTES:
            raise MalformedError(where, f"it claims {size:,} bytes or rows; {MOST_BYTES:,} are the most")
        return file.read(None if columns is None else list(columns))
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise MalformedError(where, f"no readable Parquet: {_first_line(error)}") from error


def read_frame(path: Path, **options: Any) -> pd.DataFrame:
    """A .parquet or .csv file.

    Args:
        options: of pandas' `read_csv`, for a CSV.

    Raises:
        MalformedError: another kind of file, missing, or damaged.
    """
    if path.suffix not in (".csv", ".parquet"):
        raise MalformedError(shown(path), "it is neither .csv nor .parquet", remedy="Give one of these.")
    try:
        if path.suffix == ".parquet":
            return read_parquet(path).to_pandas()
        return pd.read_csv(io.BytesIO(read_bytes(path, most=MOST_BYTES)), **options)
    except (ValueError, OverflowError, pa.ArrowException) as error:
        raise MalformedError(path, f"no readable {path.suffix[1:]}: {_first_line(error)}") from error


def read_json_rows(path: Path, schema: pa.Schema) -> pd.DataFrame:
    """A file of a JSON object a line, the fields of a schema. Raises MalformedError."""
    options = pyarrow.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
    try:
        return pyarrow.json.read_json(
            pa.BufferReader(read_bytes(path, most=MOST_BYTES)), parse_options=options
        ).to_pandas()
    except (ValueError, pa.ArrowException) as error:
        raise MalformedError(path, f"not readable as lines of JSON: {_first_line(error)}") from error


def whole_numbers(column: pd.Series, where: object, *, lists: bool = False) -> npt.NDArray[np.int64]:
    """A column of whole numbers as int64 (n,), or with `lists` of lists of them as int64 (n, length of the shortest list).

    Raises:
        MalformedError: a row without a value, or with another one; names the row, from 1.
    """
    empty = column.isna()
    if empty.any():
        raise MalformedError(where, f"row {int(empty.to_numpy().argmax()) + 1} has no {column.name}")
    rows = column.tolist()
    try:
        if lists and isinstance(next(iter(rows), None), list | np.ndarray):
            width = min(map(len, rows))
            rows = [row[:width] for row in rows]
        values = np.array(rows)
    except (ValueError, TypeError):  # lists of different lengths, or among numbers
        values = np.array(None)
    if values.dtype.kind not in "iu" or values.ndim > 1 + lists or values.max(initial=0) > np.iinfo(np.int64).max:
        raise MalformedError(where, f"{column.name} must hold whole numbers")
    return values.astype(np.int64)


def texts(column: pd.Series, where: object) -> pd.Series:
    """A column of text, or of numbers written as text. Raises MalformedError: another value; names the row, from 1."""
    odd = next((n for n, value in enumerate(column, 1) if not isinstance(value, str | int | np.integer)), None)
    if odd is not None:
        raise MalformedError(where, f"row {odd} has no text as {column.name}")
    return column.astype(str)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:300]
