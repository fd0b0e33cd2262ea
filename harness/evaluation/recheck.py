"""Measured values computed again from the predictions in the store, beside what a ledger says.

The ledger names the protocol under which each condition's predictions lie, so what is read is what its numbers were made
from. Nothing is run: a value whose predictions are not here, or that is about the run itself (speed, energy), is named
as not rechecked.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import pyarrow.compute as pc

from harness.data.annotations import robustbench_images, with_labels
from harness.data.catalog import benchmarks
from harness.data.manifest import condition_order
from harness.errors import HarnessError
from harness.evaluation.plan import Condition
from harness.evaluation.reader import StoredCondition, StoredModel, of_one_copy, rows_behind
from harness.evaluation.scoring import Attacked, Examined, Scored, score
from harness.evaluation.slice_evidence import slice_evidence
from harness.evaluation.slice_requests import request_behind
from harness.evidence import Evidence, EvidenceClass, Ledger
from harness.examination.options import ExaminationOptions
from harness.labels.projections import CLOSED
from harness.metrics.adversarial import AttackedImage
from harness.metrics.attribution import ImageMaps
from harness.metrics.registry import METRIC_GROUPS, metrics
from harness.parsing.json import read_json
from harness.robustness.options import AttackOptions
from harness.settings import Settings
from harness.store.images import ImageStore, R
from harness.store.predictions import PredictionStore, label_space_names, read_label_space

_TOLERANCE = 1e-9
"""Relative. The same code on the same predictions gives the same bits; another library version, almost."""
_REPEATED = ("wilson", "wilson-effective", "clopper-pearson", "newcombe", "student-t", "order-statistics")
"""Kinds of intervals that don't depend on the order of the samples."""


@dataclass(frozen=True)
class Recheck:
    """What came out."""

    differences: dict[str, str]
    """By evidence key: how the recomputed value differs."""
    same: list[str]
    """Keys that came out the same, interval included."""
    not_here: list[str]
    """Measured keys that could not be recomputed here."""


def recheck(ledger: Ledger, settings: Settings, report: Callable[[str], None]) -> Recheck:
    """Score the stored predictions behind a ledger again and compare, key by key.

    Intervals are compared but for those of a bootstrap, which depends on the order of the samples, and that the store does not
    keep.

    Args:
        settings: its `home` is the store, its `data` names copies of the images where the store has several.
        report: takes messages about damaged shards.
    """
    model = StoredModel(str(ledger.model.get("name", "")), ledger, settings.home)
    read = {prefix: _scored(stored, settings, report) for prefix, stored in model.conditions.items()}
    scored = {
        prefix: replace(found, attacked=_attacked(ledger, found, settings), examined=_examined(ledger, found, settings))
        for prefix, found in read.items()
        if found is not None
    }
    others = [
        with_labels(benchmark, settings) for benchmark in benchmarks().values() if benchmark.scored_from is not None
    ]
    again = {item.key: item for item in score(scored, _groups_in(ledger), others)} if scored else {}
    again |= _slices_again(ledger, scored)
    differences: dict[str, str] = {}
    same, not_here = [], []
    for item in ledger:
        if item.class_ is not EvidenceClass.MEASURED:
            continue
        other = again.get(item.key)
        if other is None or other.class_ is not EvidenceClass.MEASURED or other.n != item.n:
            not_here.append(item.key)  # another selection of the samples than the store holds now is no contradiction
        elif message := _difference(item, other):
            differences[item.key] = message
        else:
            same.append(item.key)
    return Recheck(differences, same, not_here)


def _groups_in(ledger: Ledger) -> list[str]:
    """The groups of metrics that a ledger has values of; some take long."""
    specs = [metrics().get(item.name.metric) for item in ledger if item.class_ is EvidenceClass.MEASURED]
    found = {spec.group for spec in specs if spec is not None}
    return [group for group in METRIC_GROUPS if group in found]


def _slices_again(ledger: Ledger, scored: dict[str, Scored]) -> dict[str, Evidence]:
    """Evidence on slices, as far as it follows from predictions; of the worst only where the same slices were searched."""
    request = request_behind(ledger)
    # What is right where several classes may be stands in a table beside the images, which are not read here.
    judged = {prefix: found for prefix, found in scored.items() if not found.benchmark.label_sets}
    if not request or not judged:
        return {}
    made = {item.key: item for item in slice_evidence(judged, request)}

    def searched(item: Evidence | None) -> object:
        return (item.protocol or {}).get("searched") if item is not None else None

    return {key: item for key, item in made.items() if searched(item) in (None, searched(ledger.get(key)))}


def _scored(stored: StoredCondition, settings: Settings, report: Callable[[str], None]) -> Scored | None:
    """A condition's predictions, ready for scoring; None where they can't be read without asking further."""
    table = PredictionStore(settings.home, report).read(stored.key)
    if table is None:
        return None
    if not stored.imported:
        try:
            table = of_one_copy(table, Condition(stored.benchmark, stored.condition), settings, stored.evidence)
        except HarnessError as error:
            report(error.message)
            return None
        if (stored.evidence.n or 0) < table["error"].null_count:  # a larger run has stored more since
            table = rows_behind(stored.evidence, table) or table
    unreadable = len(table) - len(table := table.filter(pc.is_null(table["error"])).sort_by("sample_id"))
    return Scored(
        benchmark=stored.benchmark,
        condition=stored.condition,
        sample_ids=table["sample_id"].to_pylist(),
        predictions={name: read_label_space(table, name) for name in label_space_names(table)},
        projections={},
        outputs=None,
        weights=stored.evidence.fingerprints.weights,
        data=stored.evidence.fingerprints.data or "",
        protocol=stored.evidence.protocol or {},
        command=stored.evidence.command or "",
        unreadable=unreadable,
    )


def _attacked(ledger: Ledger, scored: Scored, settings: Settings) -> Attacked | None:
    """What attacks found on a condition's samples, as far as it is stored here."""
    item = _measured(ledger, scored, "robust-accuracy")
    if item is None or item.protocol is None:
        return None
    digest = item.protocol["attacks"]
    if not (images := _stored(AttackedImage, item, scored, settings, digest)):
        return None
    place = ImageStore(AttackedImage, settings.home, scored.weights or "", scored.benchmark.name, digest).file
    options = read_json(place.with_name("protocol.json"))["options"]
    return Attacked(AttackOptions.model_validate(options), digest, images, item.protocol["images"])


def _examined(ledger: Ledger, scored: Scored, settings: Settings) -> Examined | None:
    """The attribution maps of a condition's samples, as far as they are stored here; without boxes, which lie beside the images."""
    item = _measured(ledger, scored, "attribution")
    if item is None or "maps" not in (protocol := item.protocol or {}):
        return None
    images = _stored(ImageMaps, item, scored, settings, protocol["maps"])
    return Examined(ExaminationOptions(methods=tuple(protocol["methods"])), protocol, images) if images else None


def _measured(ledger: Ledger, scored: Scored, metric: str) -> Evidence | None:
    """A measured value of what was done to single images of a condition."""
    found = (
        item
        for item in ledger
        if (item.name.benchmark, item.name.metric) == (scored.benchmark.name, metric)
        and item.class_ is EvidenceClass.MEASURED
    )
    return next(found, None) if scored.condition is None else None


def _stored(kind: type[R], item: Evidence, scored: Scored, settings: Settings, digest: str) -> list[R]:
    """The records of the images that a value was computed from: the first of the condition's samples, as far as they are here."""
    store = ImageStore(kind, settings.home, scored.weights or "", scored.benchmark.name, digest)
    records = {record.sample_id: record for record in store.read().values()}
    order = condition_order(scored.sample_ids, scored.predictions[CLOSED].label.tolist())
    names = [scored.sample_ids[at] for at in order]
    if kind is AttackedImage:
        names.sort(key=lambda name: name not in robustbench_images())
    return [records[name] for name in names[: item.n] if name in records]


def _difference(item: Evidence, again: Evidence) -> str | None:
    """How a recomputed value differs; None where it doesn't."""
    if not _close(item.value, again.value):
        return f"the ledger says {item.value}; the stored predictions give {again.value}"
    first, other = item.interval, again.interval
    if (first is None) != (other is None):
        return "the ledger and the stored predictions disagree on whether there is an interval"
    counted = first is not None and (first.kind in _REPEATED or first.is_wilson)
    if counted and first and other and not (_close(first.low, other.low) and _close(first.high, other.high)):
        return (
            f"the ledger's interval is {first.low:.6g} to {first.high:.6g}; the stored predictions give "
            f"{other.low:.6g} to {other.high:.6g}"
        )
    return None


def _close(first: object, other: object) -> bool:
    if isinstance(first, int | float) and isinstance(other, int | float):
        return math.isclose(first, other, rel_tol=_TOLERANCE, abs_tol=1e-9)
    return first == other
