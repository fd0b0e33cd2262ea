"""What the store holds of each model, found by the model's name: its ledger, and the predictions behind it.

The ledger is the index. Its top-1 evidence names the protocol under which a condition's predictions lie, so what is read
here is what the ledger's numbers were made from, whether harness ran the model or `harness score` imported it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from harness.data.catalog import Benchmark, benchmarks
from harness.data.local import samples_fingerprint
from harness.data.locations import locate
from harness.data.manifest import condition_order, load_manifest
from harness.errors import MissingInputError, UsageError, unknown_name
from harness.evaluation.plan import CLEAN, Condition, open_condition, sample_keys
from harness.evaluation.scoring import without_missing_classes
from harness.evidence import Evidence, EvidenceClass, Ledger
from harness.labels.projections import CLOSED
from harness.metrics.types import LabelSpacePredictions
from harness.models.registry import registered
from harness.parsing.files import MalformedError
from harness.parsing.json import read_json
from harness.progress import Reporter
from harness.settings import FILTERS, Settings
from harness.store.ledgers import find_ledger, stored_names
from harness.store.predictions import PredictionKey, PredictionStore, noted_key, read_label_space

_PROTOCOL = re.compile(r"tf32|bf16|fp16|no-jpeg|seed-\d+|img-\d+|crop-[\d.]+|" + "|".join(FILTERS))
"""Variants of an evidence key that mean other predictions, not another reading of the same ones."""


@dataclass(frozen=True)
class StoredModel:
    """A model that the store knows."""

    name: str
    ledger: Ledger
    home: Path

    @property
    def title(self) -> str:
        return str(self.ledger.model.get("title", self.name))

    @property
    def imported(self) -> bool:
        """Whether its predictions were made elsewhere."""
        return "imported" in self.ledger.model

    @cached_property
    def conditions(self) -> dict[str, StoredCondition]:
        """The conditions whose predictions are here, by evidence prefix, in ledger order.

        Where a condition was run under several protocols, the default one counts.
        """
        found: dict[str, StoredCondition] = {}
        known = benchmarks(self.ledger)
        for item in self.ledger:
            key = item.name
            if key.metric != "top1" or key.slice or item.class_ is not EvidenceClass.MEASURED:
                continue
            if not all(map(_PROTOCOL.fullmatch, key.variants)) or (key.variants and key.prefix in found):
                continue
            condition = _stored_condition(self.home, item, known)
            if condition is not None:
                found[key.prefix] = condition
        return found


@dataclass(frozen=True)
class StoredCondition:
    """One condition of a model whose predictions are in the store."""

    benchmark: Benchmark
    condition: str | None
    """Corruption and severity, or None where the benchmark is one condition."""
    key: PredictionKey
    evidence: Evidence
    """The model's top-1 on it."""

    @property
    def imported(self) -> bool:
        """Whether the predictions were made elsewhere."""
        return "imported" in self.key.protocol


@dataclass(frozen=True, eq=False)
class StoredPredictions:
    """The readable samples of one condition, each once, by sample id."""

    sample_ids: np.ndarray
    """object (n,), sorted."""
    digests: np.ndarray
    """object (n,): SHA-256 of each encoded image; empty text where that is not known (imports)."""
    predictions: LabelSpacePredictions
    """In the benchmark's own label space; label -1, and so wrong, where the model has no output for the class."""


def stored_model(reference: str, home: Path) -> StoredModel:
    """The model of a name, as in `harness list models`, or as given to `harness score --name`.

    Raises:
        MissingInputError: the store has no evidence of it.
        HarnessError: no such model, or a damaged ledger.
    """
    try:
        path = find_ledger(home, reference)
    except UsageError:
        known = sorted({*stored_names(home), *registered()})
        raise unknown_name("model", reference, known, where=f"store {home}") from None
    if not path.exists():
        now = "" if path.name == "evidence.json" else " with the weights that are there now"
        raise MissingInputError(
            f"The store {home} has no evidence of {reference}{now}.",
            remedy=f"Run it first: harness run --suite imagenet --model {reference}",
        )
    return StoredModel(path.parent.name, Ledger.load(path), home)


def _stored_condition(home: Path, item: Evidence, known: Mapping[str, Benchmark]) -> StoredCondition | None:
    """Where the predictions behind a top-1 lie; None where they are not in this store."""
    protocol, weights = item.protocol or {}, item.fingerprints.weights
    benchmark, pointer = known.get(item.name.benchmark), protocol.get("predictions")
    if benchmark is None or benchmark.scored_from is not None or pointer is None or weights is None:
        return None
    of, last = (f"imported-{pointer[:7]}", "*") if "imported" in protocol else (weights[:16], pointer)
    place = f"{of}/{benchmark.name}/{item.name.condition or CLEAN}/{last}/protocol.json"
    for path in sorted((home / "predictions").glob(place)):
        try:
            key = noted_key(read_json(path))
        except (MalformedError, KeyError, TypeError):  # the next run makes it anew
            continue
        if key.digest.startswith(pointer) or key.weights.startswith(f"imported-{pointer}"):
            return StoredCondition(benchmark, item.name.condition, key, item)
    return None


def stored_table(stored: StoredCondition, settings: Settings, report: Callable[[str], None]) -> pa.Table:
    """The rows that the store has of a condition, unreadable images among them.

    Args:
        settings: its `data` names the copy of the images, where the store has predictions of several copies.
        report: takes messages about damaged shards.

    Raises:
        MissingInputError: the shards are gone.
        HarnessError: predictions of several copies, and none was named.
    """
    table = PredictionStore(settings.home, report).read(stored.key)
    if table is None:
        raise MissingInputError(
            f"The predictions of {stored.evidence.key} are no longer in {settings.home}.",
            remedy=f"Make them again: {stored.evidence.command}",
        )
    if not stored.imported:
        table = of_one_copy(table, Condition(stored.benchmark, stored.condition), settings, stored.evidence)
    return table


def read_predictions(stored: StoredCondition, settings: Settings, report: Callable[[str], None]) -> StoredPredictions:
    """The stored predictions of a condition, of its readable images; the arguments are those of `stored_table`."""
    table = stored_table(stored, settings, report)
    table = table.filter(pc.is_null(table["error"])).sort_by("sample_id")
    ids, digests = (table[name].to_numpy() for name in ("sample_id", "digest"))
    return StoredPredictions(ids, digests, without_missing_classes(read_label_space(table, CLOSED)))


def of_one_copy(table: pa.Table, condition: Condition, settings: Settings, of: Evidence | None = None) -> pa.Table:
    """The rows of the copy that --data names, or else that a value is of, or all rows where they are of one copy.

    Raises:
        HarnessError: rows of several copies of the data set, and nothing says which.
    """
    given = settings.data.get(condition.images_benchmark.name)
    if given is not None:
        located = locate(condition.images_benchmark, given=given, offline=True)
        dataset = open_condition(replace(condition, location=located), settings, Reporter())
        return _listed(table, dataset.samples)
    ids = table["sample_id"].to_pylist()
    if len(set(ids)) < len(ids):
        for path in (settings.home / "data" / "manifests").glob("*.parquet") if of is not None else ():
            copy = load_manifest(path)
            found = rows_behind(of, _listed(table, copy.to_pandas())) if of is not None and copy is not None else None
            if found is not None:
                return found
        raise UsageError(
            f"The store has predictions of several copies of {condition.benchmark.name}: {len(ids):,} rows of "
            f"{len(set(ids)):,} samples.",
            remedy=f"Name the copy: --data {condition.images_benchmark.name}=DIR",
        )
    return table


def _listed(table: pa.Table, samples: pd.DataFrame) -> pa.Table:
    """The rows of some samples of one copy."""
    wanted = set(sample_keys(samples))
    rows = zip(*(table[name].to_pylist() for name in ("sample_id", "digest", "label")), strict=True)
    return table.filter(pa.array([row in wanted for row in rows], pa.bool_()))


def rows_behind(item: Evidence, table: pa.Table) -> pa.Table | None:
    """The rows that a value was computed from, where a table of one copy has more: a run of n images takes the first n in
    condition order, and its fingerprint of the data says whether these are they; None where they are not."""
    readable = pc.is_null(table["error"]).to_numpy(zero_copy_only=False)
    rows = list(zip(*(table[name].to_pylist() for name in ("sample_id", "label", "digest")), strict=True))
    order = condition_order([row[0] for row in rows], [row[1] for row in rows])
    for count in (readable[order].cumsum() == item.n).nonzero()[0] + 1:
        if samples_fingerprint(rows[at] for at in order[:count]) == item.fingerprints.data:
            return table.take(order[:count])
    return None
