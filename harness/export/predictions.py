"""Predictions in and out as plain files: export of what is stored, scoring of what was made elsewhere."""

from __future__ import annotations

import hashlib
import io
import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from harness.data.annotations import validation_id, validation_labels, validation_labels_file, with_labels
from harness.data.catalog import Benchmark, benchmarks, get_benchmark
from harness.data.local import LocalDataset
from harness.data.locations import locate
from harness.errors import HarnessError, MissingInputError, UsageError, require_known, unknown_name
from harness.evaluation.plan import Condition, condition_projections, find_model, open_condition, stored_under
from harness.evaluation.provenance import environment, slice_options
from harness.evaluation.reader import of_one_copy
from harness.evaluation.scoring import Scored, score, without_missing_classes
from harness.evaluation.slice_evidence import slice_evidence
from harness.evaluation.slice_requests import request_of
from harness.evaluation.subgroups import statistics_with_progress
from harness.evaluation.suites import Suite
from harness.evidence import Evidence, Ledger
from harness.files import check_name
from harness.labels.projections import CLOSED
from harness.metrics.accuracy import is_correct, is_in_sets
from harness.metrics.types import TOP, LabelSpacePredictions
from harness.models.specs import ModelSpec
from harness.parsing.tables import read_frame, texts, whole_numbers
from harness.progress import Reporter
from harness.runtime.execution import fixed_config
from harness.runtime.rows import ShardRows
from harness.settings import Settings
from harness.store.ledgers import ledger_path
from harness.store.predictions import PredictionKey, PredictionStore, read_label_space

_TOP_COLUMNS = [f"top{rank}" for rank in range(1, TOP + 1)]


def sample_predictions(table: pa.Table, benchmark: Benchmark, dataset: LocalDataset | None = None) -> pd.DataFrame:
    """Stored predictions in the benchmark's own label space, one row a readable sample, sorted by sample id.

    Columns: sample_id; file_name with a data set; class and predicted, the names, of one's own data; label and top1 … top5 (class indices, -1 beyond the number of classes);
    top1_logit … top5_logit, target_logit and logsumexp where logits are known; correct, where what is right is known.

    Args:
        table: of the store.
        dataset: the images that were predicted.
    """
    readable = np.array([error is None for error in table["error"].to_pylist()], dtype=bool)
    ids = np.array(table["sample_id"].to_pylist(), dtype=object)[readable]
    found = read_label_space(table, CLOSED).take(readable)
    columns: dict[str, Any] = {"sample_id": ids}
    if dataset is not None:
        files = dict(zip(dataset.samples["sample_id"], dataset.files, strict=True))
        columns["file_name"] = [files[sample_id] for sample_id in ids]
    if benchmark.is_own:
        classes = np.array([*benchmark.space.classes, None], dtype=object)  # -1 is beyond the number of classes
        columns |= {"class": classes[found.label], "predicted": classes[found.top5[:, 0]]}
    columns |= {"label": found.label} | dict(zip(_TOP_COLUMNS, found.top5.T, strict=True))
    if found.top5_logit is not None:
        columns |= {f"{name}_logit": found.top5_logit[:, rank] for rank, name in enumerate(_TOP_COLUMNS)}
        columns |= {"target_logit": found.target_logit, "logsumexp": found.logsumexp}
    closed, annotations = without_missing_classes(found), dataset.table if dataset is not None else None
    if not benchmark.label_sets:
        columns["correct"] = is_correct(closed)
    elif annotations is not None:
        columns["correct"] = is_in_sets(closed, annotations["classes"].loc[list(ids)].tolist())
    return pd.DataFrame(columns).sort_values("sample_id", ignore_index=True)


def stored_predictions(spec: ModelSpec, benchmark_name: str, condition: str | None, settings: Settings) -> pd.DataFrame:
    """The stored predictions of one condition, as `sample_predictions` has them.

    Raises:
        MissingInputError: nothing is stored for this model, benchmark and precision.
    """
    ledger = ledger_path(settings.home, spec.name)
    benchmark = get_benchmark(benchmark_name, *([Ledger.load(ledger)] if ledger.exists() else []))
    if benchmark.scored_from is not None:
        benchmark = get_benchmark(benchmark.scored_from)
    if benchmark.conditions and condition not in benchmark.conditions:
        raise unknown_name(f"condition of {benchmark.name}", condition or "(none given)", benchmark.conditions)
    model = find_model(spec, settings, fetch=False)
    table = None
    if model.identity is not None:
        wanted = Condition(benchmark, condition)
        store = PredictionStore(settings.home, Reporter().note)
        config = fixed_config(settings, convolutional=model.identity.convolutional)
        projections = condition_projections(wanted, model.identity)
        key, _ = stored_under(store, model.identity, wanted, projections, config, settings)
        table = store.read(key)
    if table is None:
        raise MissingInputError(
            f"No predictions of {spec.reference} on {benchmark.name} are stored in {settings.home}.",
            remedy=f"Run them first: harness run --model {spec.reference} --data {benchmark.name}=DIR",
        )
    return sample_predictions(of_one_copy(table, wanted, settings), benchmark)


def check_parquet(output: Path) -> None:
    """Raises HarnessError for a file name that is not Parquet's."""
    if output.suffix != ".parquet":
        raise UsageError(f"{output} does not end in .parquet.", remedy="Predictions are written as Parquet.")


def predictions_parquet(frame: pd.DataFrame) -> bytes:
    """A Parquet file for other tools: sample_id, label, top1 … top5, and target_logit and logsumexp, empty where not known."""
    whole = [(name, pa.int32()) for name in ("label", *_TOP_COLUMNS)]
    schema = pa.schema(
        [("sample_id", pa.string()), *whole, *((name, pa.float32()) for name in ("target_logit", "logsumexp"))]
    )
    known = frame.reindex(columns=schema.names)
    exported = pa.Table.from_pandas(known, schema=schema, preserve_index=False).replace_schema_metadata(None)
    file = io.BytesIO()
    pq.write_table(exported, file)
    return file.getvalue()


def score_file(
    path: Path,
    benchmark_name: str,
    name: str,
    column: str | None,
    settings: Settings,
    reporter: Reporter,
    suite: Suite | None = None,
) -> Ledger:
    """The evidence that `harness.score` gives of a file of predictions, which are also kept in the store.

    `suite`: its slicings are applied, beside those of the settings.
    """
    check_name(name)
    benchmark = get_benchmark(benchmark_name)
    if benchmark.scored_from is not None:
        benchmark = get_benchmark(benchmark.scored_from)
    if benchmark.corruptions is not None:
        raise UsageError(
            f"{benchmark.name} has {len(benchmark.conditions)} conditions, and a file of predictions is of one of them.",
            remedy="Only benchmarks without corruptions can be scored from a file.",
        )
    slices = request_of(suite, settings.slices, settings.by)
    frame = read_frame(path)
    if frame.empty:
        raise HarnessError(f"{path} holds no rows.", remedy="Export the predictions again.")
    ranks = _ranks(frame, column, name, path)
    labels = whole_numbers(_column(frame, "label", path), path)
    ids = texts(_column(frame, "sample_id", path), path)
    _check(ids, labels, ranks, benchmark, path)
    ranks = ranks.astype(np.int32)
    predictions = LabelSpacePredictions(label=labels.astype(np.int32), top5=ranks)
    digest = hashlib.sha256()
    for sample_id, label, row in zip(ids, labels, ranks, strict=True):
        digest.update(f"{sample_id} {label} {row.tolist()}\n".encode())
    weights = f"imported-{name}"
    data = hashlib.sha256("".join(sorted(f"{s} {t}\n" for s, t in zip(ids, labels, strict=True))).encode()).hexdigest()
    command = f"harness score --predictions {path.name} --benchmark {benchmark.name} --name {name}"
    command += f" --column {column}" if column else ""
    command += f" --suite {suite.name}" if suite is not None else ""
    command += "".join(f" {option}" for option in slice_options(settings))
    dataset = _copy_of(benchmark, settings, reporter) if slices or benchmark.label_sets else None
    statistics = None
    if dataset is not None:
        statistics = partial(statistics_with_progress, dataset, len(dataset), settings, reporter)
    if slices.file is not None:
        slices.file.check_join(benchmark, ids.tolist())
    rows = ShardRows(ids.tolist(), [""] * len(ids), predictions.label, [None] * len(ids), {CLOSED: predictions})
    key = PredictionKey(f"imported-{digest.hexdigest()}", benchmark.name, "clean", {"imported": name})
    PredictionStore(settings.home, reporter.note).write(key, rows, {"imported_from": path.name})
    scored = Scored(
        benchmark=benchmark,
        condition=None,
        sample_ids=ids.tolist(),
        predictions={CLOSED: predictions},
        projections={},
        outputs=None,
        weights=weights,
        data=data,
        protocol={
            "imported": f"class indices from {path.name}; how they were made is not known to harness",
            "predictions": digest.hexdigest()[:16],
        },
        command=command,
        table=_table_of(benchmark, dataset, ids),
    )
    others = [with_labels(b, settings) for b in benchmarks().values() if b.scored_from == benchmark.name]
    others = [b for b in others if b.labels_file is None or b.path is not None]
    model = {"name": name, "reference": name, "title": name, "weights": weights, "imported": path.name}
    conditions = {benchmark.name: scored}
    found = score(conditions, ["accuracy"], others)
    found += slice_evidence(conditions, slices, lambda _: statistics, reporter.note)
    evidence = [_as_imported(item) for item in found]
    versions = environment()
    return Ledger(model=model, environment={name: versions[name] for name in ("harness", "python")}, evidence=evidence)


def _copy_of(benchmark: Benchmark, settings: Settings, reporter: Reporter) -> LocalDataset | None:
    """The benchmark's images on this machine, for what is computed from them; None where they are not here."""
    given = settings.data.get(benchmark.name)
    try:
        location = locate(benchmark, given=given, data_home=settings.data_home, offline=True)
    except MissingInputError:
        return None
    return open_condition(Condition(benchmark, None, location), settings, reporter)


def _table_of(benchmark: Benchmark, dataset: LocalDataset | None, ids: pd.Series) -> pd.DataFrame | None:
    """The benchmark's own annotations, which say what is right where several classes may be.

    Raises:
        MissingInputError: that needs them, and they are not here.
        HarnessError: a sample that they don't have.
    """
    table = dataset.table if dataset is not None else None
    if not benchmark.label_sets:
        return table
    if table is None:
        raise MissingInputError(
            f"An image of {benchmark.name} may have several right classes, and the table that names them is not here.",
            remedy=f"Give the copy that it belongs to: --data {benchmark.name}=DIR. {benchmark.get}",
        )
    strange = ids[~ids.isin(table.index)]
    if len(strange):
        raise HarnessError(
            f"{strange.iloc[0]} is no image of the copy of {benchmark.name} ({len(strange):,} of {len(ids):,} are not).",
            remedy=f"Sample ids are the table's, such as {table.index[0]}.",
        )
    return table


def _as_imported(item: Evidence) -> Evidence:
    """Scored here, predicted elsewhere: a reader must see that harness did not run the model."""
    reason = "; ".join(filter(None, ("scored from imported predictions, harness did not run the model", item.reason)))
    kept = {key: value for key, value in (item.protocol or {}).items() if key != "reading"}
    return item.model_copy(update={"reason": reason, "protocol": kept})


def _column(frame: pd.DataFrame, name: str, path: Path) -> pd.Series:
    if name not in frame.columns:
        raise UsageError(
            f"{path} has no column {name} (it has {', '.join(map(str, frame.columns))}).",
            remedy="Needed: sample_id, label, and top1 … top5 or one column of lists.",
        )
    return frame[name]


def _ranks(frame: pd.DataFrame, column: str | None, name: str, path: Path) -> np.ndarray:
    """int64 (n, 5) class indices, best first, -1 where the file has fewer."""
    lists = [c for c in frame.columns if any(isinstance(value, list | np.ndarray) for value in frame[c].iloc[:1])]
    if column is None and "top1" not in frame.columns and lists:
        column = name if name in lists else lists[0] if len(lists) == 1 else None
        if column is None:
            raise UsageError(
                f"{path} has several columns of predictions: {', '.join(lists)}.", remedy="Choose one with --column."
            )
    if column is None:
        ranks = sorted(int(c[3:]) for c in frame.columns if re.fullmatch(r"top\d+", str(c)))
        if ranks != list(range(1, len(ranks) + 1)) or not ranks:
            raise UsageError(
                f"{path} has the columns {', '.join(f'top{rank}' for rank in ranks) or 'sample_id and label only'}.",
                remedy="Needed: top1, top2, … without a gap, or one column of lists.",
            )
        ranked = np.column_stack([whole_numbers(frame[f"top{rank}"], path) for rank in ranks])
    else:
        require_known("column of predictions", column, lists, where=str(path))
        ranked = whole_numbers(frame[column], path, lists=True)
    padded = np.full((len(ranked), TOP), -1, dtype=np.int64)
    padded[:, : min(TOP, ranked.shape[1])] = ranked[:, :TOP]
    return padded


def _check(ids: pd.Series, labels: np.ndarray, ranks: np.ndarray, benchmark: Benchmark, path: Path) -> None:
    repeated = ids[ids.duplicated()]
    if len(repeated):
        raise HarnessError(f"{path}: sample {repeated.iloc[0]} occurs twice.", remedy="One row a sample.")
    classes = len(benchmark.space)
    for what, values in (("label", labels), ("class index", ranks)):
        low = 0 if what == "label" else -1
        if values.min() < low or values.max() >= classes:
            raise HarnessError(
                f"{path}: a {what} lies outside 0 … {classes - 1}, the label space {benchmark.label_space} "
                f"(seen: {values.min()} … {values.max()}).",
                remedy="Labels count from 0, in the order of the sorted synsets of the benchmark.",
            )
    ordered = np.sort(ranks, axis=1)
    twice = ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any(axis=1)
    if twice.any():
        row = int(twice.argmax())
        raise HarnessError(
            f"{path}: sample {ids.iloc[row]} has a class twice among its best: {ranks[row].tolist()}.",
            remedy="Export the indices of the highest scores, each class once.",
        )
    if len(ids) > benchmark.size:
        raise HarnessError(
            f"{path} has {len(ids):,} samples, {benchmark.name} has {benchmark.size:,}.",
            remedy="Give the predictions of this benchmark alone.",
        )
    if benchmark.sample_id == "ilsvrc":
        known = {validation_id(number) for number in range(1, benchmark.size + 1)}
        strange = next((sample_id for sample_id in ids if sample_id not in known), None)
        if strange is not None:
            raise HarnessError(
                f"{path}: {strange} is no image of {benchmark.name}.",
                remedy=f"Sample ids are file names such as {validation_id(1)}.",
            )
    if benchmark.sample_id == "ilsvrc" and validation_labels_file() is not None:
        published = validation_labels()
        for sample_id, label in zip(ids, labels, strict=True):
            if published.get(sample_id, label) != label:
                raise HarnessError(
                    f"{path}: {sample_id} has label {label}, but the published label is {published[sample_id]}.",
                    remedy="Labels count from 0, in the order of the sorted synsets.",
                )
