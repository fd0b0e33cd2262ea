"""The samples that several models have stored predictions of, joined by id, and what differs in how they were made.

Models may differ in their preprocessing, which belongs to a model; what must be the same is what belongs to the protocol:
the images' bytes, decoder, precision, corruption.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, reduce
from typing import Any

import numpy as np
import pandas as pd

from harness.data.annotations import real_labels
from harness.data.catalog import Benchmark, benchmarks
from harness.errors import HarnessError
from harness.evaluation.reader import StoredCondition, StoredModel, StoredPredictions, read_predictions
from harness.evidence import split_prefix
from harness.metrics.accuracy import is_correct
from harness.metrics.adversarial import AttackedImage
from harness.metrics.types import TOP, BoolArray, IntArray
from harness.settings import Settings
from harness.store.images import ImageStore

_PROTOCOL = ("precision", "decoder", "input", "generated")
"""What must be the same for two results to be of one protocol; preprocessing and label space belong to the model."""


@dataclass(frozen=True, eq=False)
class ComparedSet:
    """The samples of one condition that all models have, and what each model made of them."""

    benchmark: Benchmark
    condition: str | None
    """None for a whole benchmark."""
    sample_ids: np.ndarray
    """object (n,)."""
    label: IntArray
    """int32 (n,): class index in the benchmark's label space."""
    answers: Mapping[str, IntArray]
    """By model, int32 (n,): the best class."""
    correct: Mapping[str, BoolArray]
    """By model, bool (n,)."""
    in_five: Mapping[str, BoolArray] = field(default_factory=dict)
    """By model, whether the right class is among the five best, bool (n,); of those that five were stored of."""

    @property
    def where(self) -> str:
        """First part of the evidence keys: `imagenet-val`, `imagenet-c/fog/3`."""
        return self.benchmark.name if self.condition is None else f"{self.benchmark.name}/{self.condition}"


Remark = tuple[str, str]
"""First part of evidence keys, and what is to be said of it."""


def sentences(remarks: Sequence[Remark]) -> list[str]:
    """Remarks as sentences; what holds for many cells of one benchmark is said once."""
    places: dict[tuple[str, str], list[str]] = {}
    for prefix, words in remarks:
        places.setdefault((split_prefix(prefix)[0], words), []).append(prefix)
    return [
        f"{prefixes[0] if len(prefixes) == 1 else f'{name} ({len(prefixes)} conditions)'}: {words}"
        for (name, words), prefixes in places.items()
    ]


@dataclass(frozen=True)
class CommonSamples:
    """What several models have predictions of, and what is to be said of it."""

    sets: list[ComparedSet]
    notes: list[Remark]
    missing: list[Remark]
    differences: list[Remark]
    """Of protocol."""


def common_samples(
    models: Sequence[StoredModel], prefixes: Sequence[str], settings: Settings, report: Callable[[str], None]
) -> CommonSamples:
    """The samples of each condition (by evidence prefix) that all models have, read from the store."""
    found = CommonSamples([], [], [], [])
    for prefix in prefixes:
        absent = [model.name for model in models if prefix not in model.conditions]
        if absent:
            found.missing.append((prefix, f"not compared, as there are no stored predictions of {', '.join(absent)}."))
            continue
        stored = {model.name: model.conditions[prefix] for model in models}
        first = next(iter(stored.values()))
        if first.benchmark.label_sets:
            words = "not compared, as an image has several right answers, which come with the images."
            found.missing.append((prefix, words))
            continue
        read = {name: read_predictions(condition, settings, report) for name, condition in stored.items()}
        joined, told, other_images = _join(prefix, first, read)
        found.notes.extend(told)
        found.differences.extend([*_different_protocols(prefix, stored), *other_images])
        if joined is None:
            found.missing.append((prefix, "not compared, as the models have no sample in common."))
        else:
            found.sets.append(joined)
    return found


def attacked_samples(models: Sequence[StoredModel], wanted: set[str] | None) -> tuple[list[ComparedSet], list[Remark]]:
    """The images that were attacked for all models, at each norm and size that all have accuracy at; and what differs."""
    sets, missing = [], []
    known, read = benchmarks(*(model.ledger for model in models)), cache(ImageStore[AttackedImage].read)
    for item in models[0].ledger:
        key = item.name
        if key.metric != "robust-accuracy" or key.variant or (wanted is not None and key.benchmark not in wanted):
            continue
        items = {model.name: found for model in models if (found := model.ledger.measured(item.key)) is not None}
        if len(items) < len(models):
            continue
        protocols = {name: found.protocol or {} for name, found in items.items()}
        if len({protocol["attack"] for protocol in protocols.values()}) > 1:
            each = ", ".join(f"{protocol['attack']} for {name}" for name, protocol in protocols.items())
            missing.append((key.prefix, f"not compared, as the attacks differ: {each}."))
            continue
        home, norm, epsilon = models[0].home, *(key.condition or "").split("/")
        images = {
            name: read(
                ImageStore(
                    AttackedImage, home, found.fingerprints.weights or "", key.benchmark, protocols[name]["attacks"]
                )
            )
            for name, found in items.items()
        }
        common = sorted(sample for sample in next(iter(images.values())) if all(sample in i for i in images.values()))
        if not common:
            missing.append((key.prefix, "not compared, as no image was attacked for all models."))
            continue
        left = {
            name: [found[sample].under(norm, float(epsilon)) for sample in common] for name, found in images.items()
        }
        ids, label = (
            np.array([sample[at] for sample in common], dtype=kind) for at, kind in ((0, object), (2, np.int32))
        )
        answers = {name: np.array([answer for answer, _ in under], dtype=np.int32) for name, under in left.items()}
        correct = {name: np.array([is_right for _, is_right in under]) for name, under in left.items()}
        sets.append(ComparedSet(known[key.benchmark], key.condition, ids, label, answers, correct))
    return sets, missing


def _different_protocols(prefix: str, stored: Mapping[str, StoredCondition]) -> list[Remark]:
    """What differs in the protocols of those that harness ran."""
    known = {name: condition.key.protocol for name, condition in stored.items() if not condition.imported}
    return [(prefix, f"{words}.") for words in protocol_differences(known)]


def protocol_differences(protocols: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What differs between protocols, by the models' names, in words."""
    told = []
    for entry in _PROTOCOL:
        values = {name: _same_for_all_cells(protocol.get(entry)) for name, protocol in protocols.items()}
        if len({repr(value) for value in values.values()}) > 1:
            each = ", ".join(f"{_told(value)} for {name}" for name, value in values.items())
            told.append(f"{entry} is {each}")
    return told


def _same_for_all_cells(value: Any) -> Any:
    """A generated cell's settings without its own name."""
    if not isinstance(value, dict):
        return value
    return {key: part for key, part in value.items() if key not in ("corruption", "severity")}


def _told(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{key}={part}" for key, part in value.items())
    return "not known" if value is None else str(value)


def common_ids(kept: pd.Index, other: pd.Index) -> pd.Index:
    """The sample ids of the first that the other has too, in the first's order."""
    return kept if kept.equals(other) else kept[other.get_indexer(kept) >= 0]


def _join(
    where: str, stored: StoredCondition, read: Mapping[str, StoredPredictions]
) -> tuple[ComparedSet | None, list[Remark], list[Remark]]:
    """The samples that all models have, notes on what is left out, and differences in the images themselves."""
    benchmark = stored.benchmark
    indexes = {name: pd.Index(predictions.sample_ids, dtype=object) for name, predictions in read.items()}
    common = reduce(common_ids, indexes.values())
    notes: list[Remark] = []
    sizes = {name: len(predictions.sample_ids) for name, predictions in read.items()}
    if any(size != len(common) for size in sizes.values()):
        each = ", ".join(f"{name} {size:,}" for name, size in sizes.items())
        notes.append((where, f"joined on sample id, {len(common):,} samples in common ({each})."))
    if len(common) == 0:
        return None, notes, []
    if len(common) < benchmark.size:
        words = f"{len(common):,} of the benchmark's {benchmark.size:,} samples, so this is not its published score."
        notes.append((where, words))
    label, digests = np.full(len(common), -1, dtype=np.int32), np.full(len(common), "", dtype=object)
    answers, correct, in_five = {}, {}, {}
    other_bytes = np.zeros(len(common), dtype=bool)
    for name, kept in read.items():
        rows = indexes[name].get_indexer(common)
        predictions = kept.predictions.take(rows)
        known = (label >= 0) & (predictions.label >= 0)
        if (label[known] != predictions.label[known]).any():
            first = common[known][np.flatnonzero(label[known] != predictions.label[known])[0]]
            raise HarnessError(
                f"{where}: the stored labels of {first} differ between the models.",
                remedy="One of the imported files has other labels; score it again with the published ones.",
            )
        label = np.where(predictions.label >= 0, predictions.label, label)
        found = kept.digests[rows]
        other_bytes |= (digests != "") & (found != "") & (digests != found)
        digests = np.where(found != "", found, digests)
        answers[name] = predictions.top5[:, 0]
        correct[name] = is_correct(predictions)
        if (predictions.top5[:, -1] >= 0).all():
            in_five[name] = is_correct(predictions, TOP)
    differences: list[Remark] = []
    if other_bytes.any():
        words = f"{int(other_bytes.sum()):,} of {len(common):,} images have other bytes for one model than for another"
        differences.append((where, f"{words}, first {common[other_bytes][0]} (another copy of the data set)."))
    ids = common.to_numpy(dtype=object)
    found_set = ComparedSet(benchmark, stored.condition, ids, label, answers, correct, in_five)
    return found_set, notes, differences


def against_real(sets: Sequence[ComparedSet], wanted: set[str] | None) -> Iterator[ComparedSet]:
    """The sets that are scored from another one's predictions, with their own labels: ReaL."""
    for benchmark in benchmarks().values():
        if benchmark.scored_from is None or benchmark.labels_file is not None:  # a mean over classes is no count
            continue
        if wanted is not None and benchmark.name not in wanted:
            continue
        for source in (s for s in sets if s.where == benchmark.scored_from):
            known = real_labels()
            allowed = [known.get(sample_id, ()) for sample_id in source.sample_ids]
            judged = np.array([len(found) > 0 for found in allowed], dtype=bool)
            if not judged.any():
                continue
            right = [found for found in allowed if found]
            answers = {name: answer[judged] for name, answer in source.answers.items()}
            correct = {
                name: np.array([a in found for a, found in zip(answer.tolist(), right, strict=True)])
                for name, answer in answers.items()
            }
            ids, label = source.sample_ids[judged], source.label[judged]
            yield ComparedSet(benchmark, None, ids, label, answers, correct)
