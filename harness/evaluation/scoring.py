"""From stored predictions to evidence: which metrics a benchmark gets, under which names, with which n, N and protocol.

Reads predictions only, never a model. What a metric is and how it is computed stands beside the metric, in
`harness.metrics`; here is where it is computed: on which conditions, in which label spaces.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import pandas as pd

from harness.data.annotations import right_classes
from harness.data.catalog import CLEAN_CROPS, Benchmark
from harness.errors import MissingInputError
from harness.evidence import CODE, Evidence, EvidenceClass, EvidenceKey, Fingerprints, Interval
from harness.examination.options import METHODS, ExaminationOptions
from harness.labels.outputs import OutputLabels
from harness.labels.projections import CLOSED, OPEN, LabelSpaceProjection, descendant_outputs
from harness.labels.spaces import LABEL_SPACES, enumerated, label_space, unique_names
from harness.metrics.accuracy import TOP_K, accuracy, is_correct, is_in_sets, multi_label_accuracy, top1, top1_real
from harness.metrics.adversarial import (
    AttackedImage,
    AttackOutcome,
    attack_seconds,
    masked_gradients,
    median_size,
    robust_accuracy,
)
from harness.metrics.attribution import (
    CENTRE,
    CURVES,
    RANDOM,
    SHARES,
    ImageMaps,
    auc,
    map_similarity,
    mass_in_box,
    objection,
    sensitivity_n,
)
from harness.metrics.confusion import confused_pairs, never_predicted
from harness.metrics.corruption import Cell, CorruptionErrors, corruption_scores
from harness.metrics.cues import shape_bias
from harness.metrics.intervals import LEVEL
from harness.metrics.ood import detection
from harness.metrics.registry import compute_group, unit_of
from harness.metrics.robustness import accuracy_drop, baselines, effective_robustness
from harness.metrics.temperature import temperature_scaling
from harness.metrics.types import (
    TOP,
    BoolArray,
    Estimate,
    FloatArray,
    LabelSpacePredictions,
    MetricUnavailable,
    attempt,
)
from harness.robustness.options import NORMS, AttackOptions

REFERENCE = "imagenet-val"
"""The benchmark that shifted sets are compared with."""


@dataclass(frozen=True, eq=False)
class Attacked:
    """What attacks found on a condition's images."""

    options: AttackOptions
    digest: str
    """Of the protocol under which they are stored."""
    images: Sequence[AttackedImage]
    which: str
    """Which of the benchmark's images they are, in words."""


@dataclass(frozen=True, eq=False)
class Examined:
    """What attributions found on a condition's images."""

    options: ExaminationOptions
    protocol: Mapping[str, Any]
    """Beside that of the predictions; `maps` is the digest under which they are stored."""
    images: Sequence[ImageMaps]
    boxes: Mapping[str, FloatArray] = field(default_factory=dict)
    """By sample id, how much of each cell lies in the object's boxes; empty where there are none."""
    examples: Sequence[Mapping[str, Any]] = ()
    """Images to be shown, with the maps of methods that passed."""
    not_shown: str | None = None
    """Why there are none, as a sentence."""


@dataclass(frozen=True, eq=False)
class Scored:
    """The predictions of one condition, unreadable images left out."""

    benchmark: Benchmark
    condition: str | None
    sample_ids: Sequence[str]
    predictions: Mapping[str, LabelSpacePredictions]
    """By label space, as stored: a label of -1 means that the sample's class is not in that space."""
    projections: Mapping[str, LabelSpaceProjection]
    """The maps behind the predictions; empty for imported ones."""
    outputs: OutputLabels | None
    """What the model's outputs stand for; None for imported predictions."""
    weights: str | None
    data: str
    """Fingerprint of the samples."""
    protocol: Mapping[str, Any]
    command: str
    unreadable: int = 0
    variant: str = ""
    """What sets this protocol apart from the default one in evidence keys, e.g. `bf16` or `no-jpeg`."""

    table: pd.DataFrame | None = None
    """The benchmark's own annotations, indexed by sample id; None where it comes with none. `classes` holds the right
    classes of each sample where there may be several."""
    logits: FloatArray | None = None
    """float16 (n, classes) in the benchmark's own label space, -inf where the model has no output; None where not kept."""

    attacked: Attacked | None = None
    """None where nothing was attacked."""
    examined: Examined | None = None
    """None where no attribution was made."""

    @property
    def prefix(self) -> str:
        """First part of the evidence keys."""
        return self.benchmark.name if self.condition is None else f"{self.benchmark.name}/{self.condition}"

    @property
    def left_out(self) -> str | None:
        """What is not among the samples, for a reader."""
        count = f"{self.unreadable:,} unreadable image{'s' if self.unreadable > 1 else ''}"
        parts = [f"{count} left out"] if self.unreadable else []
        if self.benchmark.is_own and not (self.benchmark.label_sets or self.benchmark.outliers):
            space, seen = self.benchmark.space, set(self.predictions[CLOSED].label.tolist())
            if unseen := [class_ for index, class_ in enumerate(space.classes) if index not in seen]:
                parts.append(f"no images of {len(unseen):,} of its {len(space):,} classes ({enumerated(unseen)})")
        return "; ".join(parts) or None

    @property
    def cell(self) -> Cell | None:
        """Corruption and severity; None for images without corruption."""
        corruption, slash, severity = (self.condition or "").partition("/")
        return (corruption, int(severity)) if slash else None

    @cached_property
    def closed(self) -> LabelSpacePredictions:
        """The benchmark's own label space; classes that the model has no output for count as wrong."""
        return without_missing_classes(self.predictions[CLOSED])

    def correct(self, k: int = 1) -> BoolArray:
        """Whether one of the k best classes is right (n,), by the benchmark's own labels.

        Raises:
            MetricUnavailable: fewer than k classes were stored a sample (imports), or several classes may be right and the
                table that names them is not here.
        """
        if not self.benchmark.label_sets:
            return is_correct(self.closed, k)
        if self.table is None:
            raise MetricUnavailable(f"The table of {self.benchmark.name}, which names the right classes, is not here.")
        return is_in_sets(self.closed, self.table["classes"].loc[list(self.sample_ids)].tolist(), k)

    @cached_property
    def annotations(self) -> str | None:
        """SHA-256 of the sets of right classes; None where a label says what is right."""
        if self.table is None or not self.benchmark.label_sets:
            return None
        rows = self.table["classes"].loc[list(self.sample_ids)]
        return hashlib.sha256("".join(sorted(f"{i} {classes}\n" for i, classes in rows.items())).encode()).hexdigest()

    def in_space(self, name: str) -> LabelSpacePredictions:
        """The samples whose class belongs to a label space, which must be a subset of the benchmark's."""
        predictions = self.predictions[name]
        return without_missing_classes(predictions.take(predictions.label >= 0))

    def evidence(
        self,
        key: str,
        *,
        annotations: str | None = None,
        estimate: Estimate | None = None,
        protocol: Mapping[str, Any] | None = None,
        **fields: Any,
    ) -> Evidence:
        """One entry, with the provenance of these samples; an estimate gives class, value, interval and n."""
        if estimate is not None:
            interval = None
            if estimate.low is not None and estimate.high is not None:
                bounds = {"low": estimate.low, "high": estimate.high}
                interval = Interval(**bounds, level=LEVEL, method=estimate.method, kind=estimate.kind)
            fields |= {"class_": EvidenceClass.MEASURED, "value": estimate.value, "interval": interval, "n": estimate.n}
        return Evidence(
            key=str(EvidenceKey.parse(key).with_variant(self.variant)),
            fingerprints=Fingerprints(weights=self.weights, data=self.data, code=CODE, annotations=annotations),
            protocol={**self.protocol, **(protocol or {})},
            command=self.command,
            **fields,
        )

    def metric(
        self,
        key: EvidenceKey,
        estimate: Estimate | MetricUnavailable,
        published: int | None,
        protocol: Mapping[str, Any],
        reason: str | None = None,
    ) -> Evidence:
        """A metric of these samples: measured, or pending with the reason where it can't be had.

        Args:
            published: samples the published benchmark has for it.
            reason: what a reader must know beside the value.
        """
        common: dict[str, Any] = {"annotations": self.annotations, "protocol": protocol, "N": published}
        if isinstance(estimate, MetricUnavailable):
            return self.evidence(str(key), class_=EvidenceClass.PENDING, reason=estimate.reason, **common)
        reasons = filter(None, (reason, self.left_out, estimate.method if estimate.low is None else None))
        words = "; ".join(reasons) or None
        return self.evidence(str(key), estimate=estimate, unit=unit_of(key.metric), reason=words, **common)


def without_missing_classes(predictions: LabelSpacePredictions) -> LabelSpacePredictions:
    """Mark samples whose class the model has no output for: their label becomes -1, so they count as wrong."""
    if predictions.target_logit is None:
        return predictions
    missing = np.isnan(predictions.target_logit)
    return replace(predictions, label=np.where(missing, -1, predictions.label).astype(np.int32))


Conditions = Mapping[str, Scored]
"""Scored conditions by their evidence prefix."""


def _group(
    group: str,
    scored: Scored,
    predictions: LabelSpacePredictions,
    reading: str,
    published: int | None,
    *,
    space: str | None = None,
    variant: str | None = None,
) -> Iterator[Evidence]:
    """A group's metrics of a condition's predictions in one label space."""
    where = scored.prefix if space is None else f"{scored.prefix}@{space}"
    for name, estimate in compute_group(group, predictions).items():
        # Of so few classes it is always one of the five best; and a label map says which class is the best, no more.
        if name == "top5" and (len(scored.benchmark.space) <= TOP or scored.benchmark.label_map is not None):
            continue
        key = EvidenceKey.parse(f"{where}.{name}").with_variant(variant)
        yield scored.metric(key, estimate, published, {"reading": reading})


def accuracy_group(conditions: Conditions) -> Iterator[Evidence]:
    """Accuracy in every label space the protocol asks for.

    Plain `top1`: logits restricted to the benchmark's classes. `:restricted-K`, where the model lacks some of the
    classes: only images of the K it has. `:open`: among all outputs, right if it is the class itself;
    `:open-descendants`: right if it is the class or below it in WordNet.
    """
    wanted = {scored.benchmark.label_space for scored in conditions.values()}
    for scored in conditions.values():
        size = scored.benchmark.size
        space = scored.benchmark.space
        projection = scored.projections.get(CLOSED)
        missing = projection.missing if projection is not None else 0
        present = len(space) - missing
        if scored.benchmark.label_sets:
            reading = f"best of {present:,} outputs, right if it is one of the classes that the image's own table names"
            yield from _top_k(scored, scored.correct, reading)
            continue
        reading = f"argmax over the {present:,} outputs for the benchmark's {len(space):,} classes"
        if projection is not None and projection.members is not None and scored.benchmark.label_map is not None:
            reading = scored.benchmark.label_map.describe()
        if missing:
            reading += f"; images of the {missing} class(es) without an output count as wrong"
        if scored.condition is not None:  # a corruption cell: one number each, there are many
            key = EvidenceKey(scored.benchmark.name, "top1", scored.condition)
            yield scored.metric(key, attempt(top1, scored.closed), size, {"reading": reading})
            continue
        yield from _group("accuracy", scored, scored.closed, reading, size)
        if missing:
            kept = scored.closed.take(scored.closed.label >= 0)
            reading = f"argmax over {present:,} outputs, on images of these {present:,} classes"
            published = _share(scored.benchmark, present)
            yield from _group("accuracy", scored, kept, reading, published, variant=f"restricted-{present}")
        if OPEN in scored.predictions:
            yield from _open_accuracy(scored)
        for name in LABEL_SPACES:
            if name in scored.predictions and name in wanted:
                count = len(label_space(name))
                reading = f"images of the {count} classes of {name}, argmax over these classes"
                published = _share(scored.benchmark, count)
                yield from _group("accuracy", scored, scored.in_space(name), reading, published, space=name)


def _top_k(
    scored: Scored, correct: Callable[[int], BoolArray], reading: str, variant: str | None = None
) -> Iterator[Evidence]:
    """Top-1 and top-5 where several classes may be right: `correct` says which samples are right among their k best."""
    for name, k in TOP_K.items():
        key = EvidenceKey(scored.benchmark.name, name, scored.condition, variant=variant)
        estimate = attempt(lambda k: accuracy(correct(k)), k)
        yield scored.metric(key, estimate, scored.benchmark.size, {"reading": reading})


def _open_accuracy(scored: Scored) -> Iterator[Evidence]:
    predictions, outputs = scored.predictions[OPEN], scored.outputs
    among = f"argmax over all {len(outputs) if outputs is not None else 0:,} outputs"
    exact = f"{among}, right if it is the class itself"
    yield from _group("accuracy", scored, predictions, exact, scored.benchmark.size, variant="open")
    if outputs is None:
        return
    below = descendant_outputs(outputs, scored.benchmark.space)
    if any(len(found) > 1 for found in below):
        sets = [below[label] for label in scored.predictions[CLOSED].label]
        reading = f"{among}, right if it is the class or below it in WordNet 3.0"
        yield from _top_k(scored, lambda k: is_in_sets(predictions, sets, k), reading, "open-descendants")


def relabelled_group(conditions: Conditions, benchmark: Benchmark) -> Iterator[Evidence]:
    """Accuracy against other labels, from the predictions of the benchmark it is scored from: ReaL's sets, or the experts'."""
    scored, key = conditions.get(benchmark.scored_from or ""), EvidenceKey(benchmark.name, "top1")
    if scored is None:
        return
    try:
        sets = right_classes(benchmark)
    except MissingInputError as error:
        yield scored.metric(key, MetricUnavailable(error.message), benchmark.size, {})
        return
    metric = top1_real
    notes = {"reading": "right if the prediction is in the image's ReaL label set; images with an empty set left out"}
    if benchmark.labels_file is not None:
        metric = multi_label_accuracy
        notes = {
            "reading": "mean of the classes' accuracies; right if experts found the prediction correct or were not agreed; "
            "problematic images left out",
            "labels": hashlib.sha256(repr(sorted(sets.items())).encode()).hexdigest()[:16],
        }
    estimate: Estimate | MetricUnavailable
    if missing := [sample_id for sample_id in scored.sample_ids if sample_id not in sets]:
        estimate = MetricUnavailable(f"{len(missing)} sample ids are no validation image's, first {missing[0]}.")
    else:
        estimate = attempt(metric, scored.predictions[CLOSED], [sets[i] for i in scored.sample_ids])
    published = sum(len(found) > 0 for found in sets.values())
    yield scored.metric(key, estimate, published, notes)


def probability_group(name: str, conditions: Conditions) -> Iterator[Evidence]:
    """A group of metrics of the softmax on each condition without corruption, in the benchmark's label space."""
    for scored in conditions.values():
        if scored.condition is None and not scored.benchmark.label_sets and scored.benchmark.label_map is None:
            reading = "softmax over the benchmark's classes"
            yield from _group(name, scored, scored.closed, reading, scored.benchmark.size)


def calibration_group(conditions: Conditions) -> Iterator[Evidence]:
    """Calibration as the model is, and where all logits were kept, as it is after temperature scaling.

    A model that was trained to find several classes in an image gives each a probability of its own, not one to all together.
    """
    several = [scored for scored in conditions.values() if scored.outputs is not None and scored.outputs.has_several]
    why = "the model gives each class a probability of its own (problem_type: multi_label_classification), not one to all together"
    for scored in several:
        for metric in ("nll", "brier", "ece", "mean-confidence"):
            yield scored.evidence(f"{scored.prefix}.{metric}", class_=EvidenceClass.NOT_APPLICABLE, reason=why)
    conditions = {prefix: scored for prefix, scored in conditions.items() if scored not in several}
    yield from probability_group("calibration", conditions)
    for scored in conditions.values():
        if scored.logits is None:
            continue
        # By the sample's id alone, so that neither order nor other samples decide.
        fitted = np.array([hashlib.sha256(f"fitted {i}".encode()).digest()[0] % 2 == 0 for i in scored.sample_ids])
        fit = "fitted on half of the images, drawn by their ids"
        try:
            found = temperature_scaling(scored.closed, scored.logits, fitted)
        except MetricUnavailable as unavailable:
            yield scored.metric(EvidenceKey(scored.benchmark.name, "temperature"), unavailable, None, {})
            continue
        for name, estimate in found.items():
            scaled = f"softmax over the benchmark's classes at the temperature {fit}; the others"
            notes = {"reading": fit if name == "temperature" else scaled, "logits": "fp16"}
            key = EvidenceKey.parse(f"{scored.prefix}.{name}")
            yield scored.metric(key, estimate, scored.benchmark.size, notes)


def ood_group(conditions: Conditions) -> Iterator[Evidence]:
    """How well the validation set's images are told from images that show none of the classes."""
    reference = conditions.get(REFERENCE)
    for scored in conditions.values():
        if not scored.benchmark.outliers:
            continue
        if reference is None:
            why = MetricUnavailable(f"{REFERENCE}, whose images it is told from, has no predictions here.")
            yield scored.metric(EvidenceKey(scored.benchmark.name, "auroc"), why, None, {})
            continue
        published = reference.benchmark.size + scored.benchmark.size
        notes = {
            "reading": f"{REFERENCE} against {scored.benchmark.name}, softmax over the benchmark's classes; n counts both sets",
            "against": reference.protocol.get("predictions"),
        }
        found = attempt(detection, reference.closed, scored.closed)
        for name, estimate in {"auroc": found}.items() if isinstance(found, MetricUnavailable) else found.items():
            yield scored.metric(EvidenceKey.parse(f"{scored.prefix}.{name}"), estimate, published, notes)


def cues_group(conditions: Conditions) -> Iterator[Evidence]:
    """Shape bias of images whose shape and texture are of different classes; accuracy that is lost with the background."""
    for scored in conditions.values():
        benchmark = scored.benchmark
        if benchmark.texture_in_name is not None:
            named = [re.search(benchmark.texture_in_name, sample_id) for sample_id in scored.sample_ids]
            found = [benchmark.space.find(match["texture"]) if match else () for match in named]
            texture = np.array([next(iter(classes), -1) for classes in found])
            known = texture >= 0
            bias = attempt(shape_bias, scored.closed.top5[known, 0], scored.closed.label[known], texture[known])
            notes: dict[str, Any] = {
                "reading": "decisions for the shape over decisions for shape or texture; images where they agree left out"
            }
            few = len(texture) < benchmark.size
            why = f"of {len(texture):,} of the benchmark's {benchmark.size:,} images" if few else None
            yield scored.metric(EvidenceKey(benchmark.name, "shape-bias"), bias, None, notes, why)
        other = conditions.get(benchmark.background_gap_to or "")
        if other is not None:
            keys = EvidenceKey(benchmark.name, "top1"), EvidenceKey(other.benchmark.name, "top1")
            notes = {
                "reading": f"{keys[0]} minus {keys[1]}; n counts both sets",
                "difference": [str(key.with_variant(scored.variant)) for key in keys],
            }
            gap = attempt(accuracy_drop, is_correct(scored.closed), is_correct(other.closed))
            published = benchmark.size + other.benchmark.size
            yield scored.metric(EvidenceKey(benchmark.name, "background-gap"), gap, published, notes)


def shift_group(conditions: Conditions) -> Iterator[Evidence]:
    """Drop from imagenet-val, on the same classes; accuracy above the line of published models where there is one."""
    reference = conditions.get(REFERENCE)
    if reference is None:
        return
    for scored in conditions.values():
        name = scored.benchmark.name
        if scored is reference or scored.condition is not None or scored.benchmark.same_images_as == REFERENCE:
            continue
        if scored.benchmark.label_sets:  # one label there, any of several here: no drop between the two
            continue
        if not set(scored.benchmark.space.classes) <= set(label_space("imagenet-1k").classes):
            continue
        space = scored.benchmark.label_space
        same = reference.closed if space == "imagenet-1k" else reference.in_space(space)
        against = EvidenceKey(REFERENCE, "top1", slice=None if space == "imagenet-1k" else space)
        own = EvidenceKey(name, "top1")
        published = scored.benchmark.size + (_share(reference.benchmark, len(label_space(space))) or 0)
        notes = {
            "reading": f"{against} minus {own}; n counts both sets",
            "difference": [str(key.with_variant(scored.variant)) for key in (against, own)],
        }
        right = is_correct(same), is_correct(scored.closed)
        drop = attempt(accuracy_drop, *right)
        yield scored.metric(own.with_metric("accuracy-drop"), drop, published, notes)
        baseline = baselines().get(name)
        if baseline is None:
            continue
        notes = {"reading": f"{own} minus the fitted line of published models at {against}"}
        above = attempt(effective_robustness, name, *right)
        outside = None
        if isinstance(above, Estimate) and not baseline.covers(top1(same).value):
            outside = "extrapolated: no published model of the fit has a clean accuracy like this one"
        yield scored.metric(own.with_metric("effective-robustness"), above, published, notes, outside)


def corruption_group(conditions: Conditions) -> Iterator[Evidence]:
    """Corruption errors of each benchmark with corruptions, over the base images that all its cells have in common."""
    by_benchmark: dict[str, dict[Cell, Scored]] = {}
    for scored in conditions.values():
        if scored.cell is not None:
            by_benchmark.setdefault(scored.benchmark.name, {})[scored.cell] = scored
    for name, cells in by_benchmark.items():
        corrupted = list(cells.values())
        benchmark = corrupted[0].benchmark
        axes = benchmark.corruptions
        if axes is None:
            continue
        correct = {cell: _correct_by_id(scored) for cell, scored in cells.items()}
        common = [i for i in corrupted[0].sample_ids if all(i in known for known in correct.values())]
        source = conditions.get(f"{name}/{CLEAN_CROPS}") or _clean_crops_of(benchmark, conditions)
        clean = _correct_by_id(source) if source is not None else {}
        combined = pooled(corrupted)
        try:
            errors = CorruptionErrors(
                {cell: np.array([known[i] for i in common], dtype=bool) for cell, known in correct.items()},
                clean=np.array([clean[i] for i in common]) if all(i in clean for i in common) else None,
            )
        except MetricUnavailable as unavailable:
            yield combined.metric(EvidenceKey(name, "mean-error"), unavailable, benchmark.size, {})
            continue
        for found in corruption_scores(errors, axes.scored, axes.extra):
            if isinstance(found.estimate, Estimate):  # what lacks cells is pending as the plan says, once
                key = EvidenceKey.parse(f"{name}{found.key}")
                if key.variant == "cells-run":  # another selection of cells is another number
                    selection = hashlib.sha256(repr(sorted(correct)).encode()).hexdigest()[:6]
                    key = replace(key, variant=f"{key.variant}-{selection}")
                notes = {"reading": found.reading}
                if key.metric in ("relative-ce", "relative-mce") and source is not None:
                    notes["clean"] = source.prefix
                yield combined.metric(key, found.estimate, benchmark.size, notes)


def pooled(cells: Sequence[Scored]) -> Scored:
    """The provenance of a score over many cells: all their samples, all their predictions, no cell's own settings."""
    digest = hashlib.sha256("\n".join(sorted(f"{cell.prefix} {cell.data}" for cell in cells)).encode())
    stored = hashlib.sha256("\n".join(sorted(str(cell.protocol.get("predictions")) for cell in cells)).encode())
    shared = {key: value for key, value in cells[0].protocol.items() if key != "generated"}
    if generated := cells[0].protocol.get("generated"):
        shared["generated"] = {k: v for k, v in generated.items() if k not in ("corruption", "severity")}
    return replace(
        cells[0],
        data=digest.hexdigest(),
        protocol={**shared, "predictions": stored.hexdigest()[:16], "cells": len(cells)},
        unreadable=max(cell.unreadable for cell in cells),
    )


def _correct_by_id(scored: Scored) -> dict[str, bool]:
    return dict(zip(scored.sample_ids, is_correct(scored.closed).tolist(), strict=True))


def _clean_crops_of(benchmark: Benchmark, conditions: Conditions) -> Scored | None:
    """Where to read the clean accuracy beside corrupted images: the same crops if they were run, else, for official files
    only, the images."""
    crops = (
        scored
        for scored in conditions.values()
        if scored.condition == CLEAN_CROPS and scored.benchmark.generated_from == benchmark.same_images_as
    )
    return next(crops, None if benchmark.generated_from else conditions.get(REFERENCE))


def adversarial_group(conditions: Conditions) -> Iterator[Evidence]:
    """Accuracy under attack at each size, the median smallest perturbation, time; withheld where gradients may be masked."""
    for scored in conditions.values():
        attacked = scored.attacked
        if attacked is None:
            continue
        name, size, options = scored.benchmark.name, scored.benchmark.size, attacked.options
        shared = {
            "attacks": attacked.digest,
            "attack": options.describe(),
            "images": attacked.which,
            "precision": "fp32",
        }
        for norm in options.epsilons:
            title, unit = NORMS[norm]
            found = [image.outcomes[norm] for image in attacked.images]
            masked = masked_gradients(found)
            notes: dict[str, Any] = shared | {"norm": title, "bound": "upper"}
            notes["gradients"] = masked or "no sign that gradients are masked"
            withheld = MetricUnavailable(f"Withheld: {masked}") if masked else None
            for epsilon in options.sizes(norm):
                for variant in (None, "8-bit"):
                    key = EvidenceKey(name, "robust-accuracy", f"{norm}/{epsilon:g}", variant=variant)
                    left = attempt(robust_accuracy, found, epsilon, rounded=variant is not None)
                    here = notes | {"epsilon": f"{epsilon:g}{unit}"}
                    yield scored.metric(key, withheld or left, size, here, _UPPER_BOUND)
            median = attempt(median_size, found)
            yield scored.metric(EvidenceKey(name, f"median-{norm}"), withheld or median, size, notes, _UPPER_BOUND)
        both = [_of_all_norms(image) for image in attacked.images]
        yield scored.metric(EvidenceKey(name, "attack-time"), attempt(attack_seconds, both), size, shared)


_UPPER_BOUND = "an upper bound: an attack that fails does not show that none succeeds"


def _of_all_norms(image: AttackedImage) -> AttackOutcome:
    """An image's time in all norms, as one outcome."""
    parts = [
        (f"{norm} {name}", s) for norm, o in image.outcomes.items() for name, s in o.seconds.items() if name != "checks"
    ]
    return replace(next(iter(image.outcomes.values())), seconds=dict(parts))


_MOST_PAIRS = 10
_MOST_NAMES = 20


def confusion_group(conditions: Conditions) -> Iterator[Evidence]:
    """Which classes are taken for one another most often, and which are never predicted, on unshifted images."""
    for scored in conditions.values():
        benchmark, predictions = scored.benchmark, scored.closed
        if scored.condition is not None or not benchmark.clean or benchmark.label_sets or not len(predictions):
            continue
        names = unique_names(benchmark.space.classes)
        pairs = [
            {"true": names[pair.label], "predicted": names[pair.predicted], "count": pair.count, "of": pair.of}
            for pair in confused_pairs(predictions, _MOST_PAIRS)
        ]
        never = never_predicted(predictions)
        shared: dict[str, Any] = {"class_": EvidenceClass.MEASURED, "n": len(predictions), "N": benchmark.size}
        if pairs:
            yield scored.evidence(f"{benchmark.name}.confused-pairs", value=pairs, **shared)
        yield scored.evidence(
            f"{benchmark.name}.never-predicted",
            value=len(never),
            reason=f"of the {len(set(predictions.label.tolist()) - {-1}):,} classes that have images here",
            protocol={"classes": [names[index] for index in never[:_MOST_NAMES]]},
            **shared,
        )


def attribution_group(conditions: Conditions) -> Iterator[Evidence]:
    """How faithful each attribution method is to the model, whether its maps may be shown, and the maps to show."""
    for scored in conditions.values():
        if scored.examined is not None:
            yield from _attributions(scored, scored.examined)


def _attributions(scored: Scored, examined: Examined) -> Iterator[Evidence]:
    name, size, images = scored.benchmark.name, scored.benchmark.size, examined.images
    here: dict[str, Any] = {"n": len(images), "N": size, "protocol": examined.protocol}

    def metric(metric: str, variant: str, estimate: Callable[..., Estimate], *inputs: object) -> Evidence:
        found = attempt(estimate, *inputs)
        return scored.metric(EvidenceKey(name, metric, variant=variant), found, size, examined.protocol)

    absent = {method: why for image in images for method, why in image.inapplicable.items()}
    for method, why in absent.items():
        yield scored.evidence(f"{name}.attribution:{method}", class_=EvidenceClass.NOT_APPLICABLE, reason=why)
    methods = [method for method in examined.options.methods if method not in absent]
    objections = {method: objection(images, method) for method in methods}
    passing: list[Any] = [METHODS[method] for method, why_not in objections.items() if why_not is None]
    yield scored.evidence(f"{name}.attribution", class_=EvidenceClass.MEASURED, value=passing, **here)
    for method, why_not in objections.items():
        fields = here | {"value": why_not is None, "reason": why_not, "class_": EvidenceClass.MEASURED}
        yield scored.evidence(f"{name}.attribution:{method}", **fields)
        for share in SHARES:
            yield metric("map-similarity", f"{method}+shuffled-{share}", map_similarity, images, method, share)
    for ranking in (*methods, CENTRE, RANDOM):
        yield metric("sensitivity-n", ranking, sensitivity_n, images, ranking)
        for area in CURVES:
            yield metric(area, ranking, auc, images, area, ranking)
            for other in (RANDOM, CENTRE) if ranking in methods else ():
                yield metric(area, f"{ranking}+minus-{other}", auc, images, area, ranking, other)
    right = [image for image in images if image.label == image.predicted]
    wrong = [image for image in images if image.label != image.predicted]
    for which, part in (("", images), ("+right", right), ("+wrong", wrong)) if examined.boxes else ():
        for method in (*methods, RANDOM):
            yield metric("mass-in-box", method + which, mass_in_box, part, examined.boxes, method)
    if examined.examples:
        shown = list(examined.examples)
        yield scored.evidence(f"{name}.attribution-examples", class_=EvidenceClass.MEASURED, value=shown, **here)
    elif examined.not_shown:
        why = examined.not_shown
        yield scored.evidence(f"{name}.attribution-examples", class_=EvidenceClass.NOT_APPLICABLE, reason=why)


_GROUPS: dict[str, Callable[[Conditions], Iterator[Evidence]]] = {
    "accuracy": accuracy_group,
    "calibration": calibration_group,
    "selective": partial(probability_group, "selective"),
    "cues": cues_group,
    "ood": ood_group,
    "shift": shift_group,
    "corruption": corruption_group,
    "adversarial": adversarial_group,
    "confusion": confusion_group,
    "attribution": attribution_group,
}


def _share(benchmark: Benchmark, classes: int) -> int | None:
    """Published number of images in `classes` classes of a benchmark with equally many in each; None otherwise."""
    per_class, rest = divmod(benchmark.size, len(benchmark.space))
    return None if rest else per_class * classes


def score(conditions: Conditions, metrics: Sequence[str], scored_from_others: Sequence[Benchmark]) -> list[Evidence]:
    """All evidence of a suite's metrics on the conditions that have predictions.

    Args:
        conditions: by evidence prefix.
        metrics: names in `harness.metrics.registry.METRIC_GROUPS`.
        scored_from_others: benchmarks without images of their own, such as ReaL.
    """
    labelled = {prefix: scored for prefix, scored in conditions.items() if not scored.benchmark.outliers}
    scored = [item for name in metrics for item in _GROUPS[name](conditions if name == "ood" else labelled)]
    for benchmark in scored_from_others if "accuracy" in metrics else ():
        scored += relabelled_group(conditions, benchmark)
    return scored


def pending(benchmark: Benchmark, metrics: Sequence[str], why: str, command: str, variant: str = "") -> list[Evidence]:
    """Evidence that can be measured but has not been here.

    Args:
        metrics: ends of the keys, such as `.top1` or `/fog/3.top1`.
    """
    return [
        Evidence(
            key=str(EvidenceKey.parse(f"{benchmark.name}{metric}").with_variant(variant)),
            class_=EvidenceClass.PENDING,
            reason=why,
            command=command,
            N=benchmark.size or None,
        )
        for metric in metrics
    ]
