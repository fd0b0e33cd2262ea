"""The prediction store: immutable Parquet shards, found by what they were computed from.

Layout: `<home>/predictions/<weights>/<benchmark>/<condition>/<protocol>/<rows>-<content>.parquet`, where `<weights>`
and `<protocol>` are hash prefixes, `<rows>` is a hash of the samples inside and `<content>` one of the file's bytes. A
stored row answers for one sample only if its id, its label and the SHA-256 of its encoded image are the same as
today's: a replaced image, other weights or another protocol never hit an old row, and a subset run today serves the
full run tomorrow.

Promises: a shard is whole or absent (see files.py); two processes may write the same store; a shard with a single
changed byte is put aside by name, reported, and its samples are computed again (Parquet's own page checksums leave out
the metadata, where a flipped bit can rename a column). Given up: shards are never rewritten, so two overlapping runs
leave some rows twice; the first by file name counts.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from harness.files import read_kept, set_aside, write_bytes, write_text
from harness.metrics.types import TOP, LabelSpacePredictions
from harness.parsing.json import parse_json
from harness.parsing.tables import read_parquet
from harness.runtime.rows import ShardRows

STORE_SCHEMA = 1


@dataclass(frozen=True)
class PredictionKey:
    """Everything that decides the predictions of a condition, apart from the samples themselves."""

    weights: str
    benchmark: str
    condition: str
    """Corruption and severity such as `fog/3`, or `clean`."""
    protocol: dict[str, Any]
    """Preprocessing, projections, precision, corruption with its seed."""

    @property
    def digest(self) -> str:
        """Hash of weights, protocol and schema version; the same inputs give the same key on every machine."""
        text = json.dumps([STORE_SCHEMA, self.weights, self.benchmark, self.condition, self.protocol], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def folder(self, home: Path) -> Path:
        """Where the shards of this key lie."""
        return home / "predictions" / self.weights[:16] / self.benchmark / self.condition / self.digest[:16]


def noted_key(described: Mapping[str, Any]) -> PredictionKey:
    """The key that a protocol.json tells of. Raises KeyError, TypeError for one that tells of none."""
    return PredictionKey(*(described[name] for name in ("weights", "benchmark", "condition", "protocol")))


_COLUMNS = {
    "label": pa.int32(),
    "target_logit": pa.float32(),
    "logsumexp": pa.float32(),
    "logsumexp2": pa.float32(),
    "top5": pa.list_(pa.int32(), TOP),
    "top5_logit": pa.list_(pa.float32(), TOP),
}
"""Fields of predictions in one label space, each a column."""
_SAMPLE = ["sample_id", "digest", "label"]
_OF_SAMPLES = {"sample_id": pa.string(), "digest": pa.string(), "label": pa.int32(), "error": pa.string()}
_AGAIN = "its images are run again"


def _is_shard(table: pa.Table) -> bool:
    """Whether its columns are those of predictions."""
    spaces = label_space_names(table)
    wanted = _OF_SAMPLES | {f"{name}.{field}": kind for name in spaces for field, kind in _COLUMNS.items()}
    there = {field.name: field.type for field in table.schema if field.name != "logits"}
    return bool(spaces) and there == wanted


def _column(values: np.ndarray | None, kind: pa.DataType, length: int) -> pa.Array:
    if values is None:
        return pa.nulls(length, kind)
    if values.ndim == 1:
        return pa.array(values, kind)
    flat = pa.array(np.ascontiguousarray(values).reshape(-1), type=kind.value_type)
    return pa.FixedSizeListArray.from_arrays(flat, values.shape[1])


def _to_table(rows: ShardRows) -> pa.Table:
    columns: dict[str, pa.Array] = {name: pa.array(getattr(rows, name), kind) for name, kind in _OF_SAMPLES.items()}
    for name, predictions in rows.predictions.items():
        for field, kind in _COLUMNS.items():
            columns[f"{name}.{field}"] = _column(getattr(predictions, field), kind, len(rows.label))
    if rows.logits is not None:
        columns["logits"] = _column(rows.logits, pa.list_(pa.float16(), rows.logits.shape[1]), len(rows.label))
    return pa.table(columns)


def _checksum(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:32]


def label_space_names(table: pa.Table) -> tuple[str, ...]:
    """The label spaces a stored table holds predictions in."""
    return tuple(name.removesuffix(".top5") for name in table.column_names if name.endswith(".top5"))


def read_label_space(table: pa.Table, name: str) -> LabelSpacePredictions:
    """Predictions of a stored table. Fields that were stored without logits are None."""
    fields: dict[str, Any] = {}
    for field, kind in _COLUMNS.items():
        column = table[f"{name}.{field}"]
        if len(column) and column.null_count == len(column):
            fields[field] = None
            continue
        whole, is_list = column.combine_chunks(), pa.types.is_fixed_size_list(kind)
        values = (whole.flatten() if is_list else whole).to_numpy(zero_copy_only=False)
        fields[field] = values.reshape(len(table), TOP) if is_list else values
    return LabelSpacePredictions(**fields)


class PredictionStore:
    """The predictions kept under one home folder."""

    def __init__(self, home: Path, report: Callable[[str], None]) -> None:
        """
        Args:
            home: HARNESS_HOME.
            report: takes messages about damaged shards.
        """
        self.home = home
        self._report = report

    def write(self, key: PredictionKey, rows: ShardRows, made_on: Mapping[str, Any]) -> Path:
        """Write one shard; returns its path.

        Args:
            made_on: device and versions, kept beside the shards for whoever reads them later.

        Raises:
            HarnessError: full disk, read-only store.
        """
        folder = key.folder(self.home)
        described = folder / "protocol.json"
        if not described.exists():
            self._note(described, key, made_on)
        samples = zip(rows.sample_id, rows.digest, rows.label, strict=True)
        names = "\n".join(f"{sample_id} {digest} {label}" for sample_id, digest, label in samples)
        buffer = io.BytesIO()
        pq.write_table(_to_table(rows), buffer, compression="zstd")
        data = buffer.getvalue()
        path = folder / f"{_checksum(names.encode())}-{_checksum(data)}.parquet"
        write_bytes(path, data)
        return path

    def read(self, key: PredictionKey, columns: Sequence[str] | None = None) -> pa.Table | None:
        """All stored rows of a key, each sample once, or None where there are none."""
        tables = list(self._shards(key, columns))
        if not tables:
            return None
        table = pa.concat_tables(tables)
        repeated = table.select(_SAMPLE).to_pandas().duplicated().to_numpy()
        return table.filter(pa.array(~repeated)) if repeated.any() else table

    def made_on(self, key: PredictionKey) -> dict[str, Any]:
        """Device and versions of the run that first wrote under this key; empty where that was not noted. A note that is
        damaged, or that tells of another key than its folder is named after, is written anew."""

        def parse(data: bytes) -> dict[str, Any]:
            described = parse_json(data, path)
            if noted_key(described) != key:
                raise ValueError("it tells of another protocol")
            return dict(described["made_on"])

        path = key.folder(self.home) / "protocol.json"
        again = "it is written anew, without the device and the versions that made the predictions"
        made_on = read_kept(path, parse, again=again, report=self._report)
        if made_on is None and path.parent.is_dir():
            self._note(path, key, {})
        return made_on or {}

    def _note(self, path: Path, key: PredictionKey, made_on: Mapping[str, Any]) -> None:
        record = {"schema": STORE_SCHEMA, **asdict(key), "made_on": dict(made_on)}
        write_text(path, json.dumps(record, indent=2, sort_keys=True) + "\n")

    def stored(self, key: PredictionKey) -> set[tuple[str, str, int]]:
        """(sample id, digest, label) of every stored row."""
        table = self.read(key, _SAMPLE)
        return set() if table is None else set(zip(*(table[name].to_pylist() for name in _SAMPLE), strict=True))

    def select(self, key: PredictionKey, samples: pd.DataFrame) -> pa.Table | None:
        """The stored rows of exactly these samples, in their order; None where one is missing.

        Args:
            samples: columns sample_id, digest, label.
        """
        table = self.read(key)
        if table is None:
            return None
        stored = table.select(_SAMPLE).to_pandas().assign(row=np.arange(len(table)))
        wanted = samples[_SAMPLE].merge(stored, how="left")
        if wanted["row"].isna().any():
            return None
        return table.take(pa.array(wanted["row"].astype("int64").to_numpy()))

    def _shards(self, key: PredictionKey, columns: Sequence[str] | None) -> Iterator[pa.Table]:
        for path in sorted(key.folder(self.home).glob("*.parquet")):
            try:
                data = path.read_bytes()
            except FileNotFoundError:  # another process put it aside since the folder was listed
                continue
            except OSError as error:
                set_aside(path, error.strerror or str(error), again=_AGAIN, report=self._report)
                continue
            if _checksum(data) != path.stem.rpartition("-")[2]:
                set_aside(path, "its content is not what was written", again=_AGAIN, report=self._report)
                continue
            table = read_parquet(data)
            if not _is_shard(table):
                set_aside(path, "its columns are not those of predictions", again=_AGAIN, report=self._report)
                continue
            yield table.select(list(columns)) if columns else table


@dataclass(frozen=True)
class ShardWriter:
    """Stores the shards of a run's conditions, in this process or another one that shares the store."""

    home: Path
    keys: Mapping[str, PredictionKey]
    """By the condition's title."""
    made_on: Mapping[str, Any]

    def __call__(self, condition: str, rows: ShardRows) -> None:
        """Raises HarnessError: full disk, read-only store."""
        PredictionStore(self.home, lambda message: None).write(self.keys[condition], rows, self.made_on)
