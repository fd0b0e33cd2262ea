"""What a model gets wrong on one benchmark: confusion pairs, and the wrong answers that it was most sure of, with small
pictures where the images are on this machine and may be shown."""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from harness.data.catalog import Benchmark
from harness.data.images import UnreadableImageError, load_image
from harness.data.local import LocalDataset
from harness.data.locations import locate
from harness.errors import HarnessError, MissingInputError
from harness.evaluation.plan import Condition, open_condition
from harness.evaluation.reader import StoredCondition, StoredModel, StoredPredictions, read_predictions
from harness.evaluation.scoring import REFERENCE
from harness.labels.spaces import class_name
from harness.metrics.accuracy import is_correct
from harness.metrics.calibration import confidence
from harness.metrics.types import MetricUnavailable
from harness.progress import Reporter
from harness.settings import Settings

_PAIRS, _ERRORS = 10, 12
"""Confusion pairs and most confident errors shown of each model."""
SIDE = 112
_QUALITY = 70

ReferencePredictions = tuple[StoredCondition, StoredPredictions]
"""What mistakes and calibration of a model are shown on."""


@dataclass(frozen=True)
class ConfusionPair:
    """One class taken for another."""

    true: str
    predicted: str
    count: int
    of: int
    """Images of the true class."""


@dataclass(frozen=True)
class ConfidentError:
    """A wrong answer that the model was sure of."""

    sample_id: str
    true: str
    predicted: str
    confidence: float
    """Percent."""
    thumbnail: str | None
    """A data URI, or None."""


@dataclass(frozen=True)
class Mistakes:
    """What a model gets wrong on one benchmark."""

    model: str
    where: str
    n: int
    wrong: int
    pairs: tuple[ConfusionPair, ...]
    confident: tuple[ConfidentError, ...]
    unavailable: str | None
    """Why there are no confident errors."""


def reference_predictions(
    model: StoredModel, settings: Settings, report: Callable[[str], None]
) -> ReferencePredictions | None:
    """The predictions that errors and calibration are shown on: the validation set's, or the first whole benchmark's."""
    whole = {
        prefix: stored
        for prefix, stored in model.conditions.items()
        if stored.condition is None and not stored.benchmark.label_sets
    }
    chosen = whole.get(REFERENCE) or next(iter(whole.values()), None)
    if chosen is None:
        return None
    try:
        return chosen, read_predictions(chosen, settings, report)
    except HarnessError as error:
        report(f"{model.name}: {error.message} Its errors are not shown.")
        return None


class Thumbnails:
    """Gives thumbnails as data URIs, and remembers why it gave none."""

    def __init__(self, settings: Settings, wanted: bool | None) -> None:
        """
        Args:
            wanted: True shows images of gated data sets too, False none at all, None those whose licence is open.
        """
        self._settings = settings
        self._wanted = wanted
        self._datasets: dict[str, LocalDataset | None] = {}
        self._why: dict[str, None] = {}
        self._shown = 0

    def of(self, condition: StoredCondition, samples: Sequence[tuple[str, str]]) -> dict[str, str]:
        """Thumbnails by sample id, of the samples (id, digest) whose very bytes are here."""
        benchmark = condition.benchmark
        dataset = self._dataset(benchmark) if self._may_show(benchmark) else None
        if dataset is None:
            return {}
        ids, digests = dataset.samples["sample_id"], dataset.samples["digest"]
        shown = {}
        for sample_id, digest in samples:
            # Imported predictions have no digests: then the name is all there is to go by.
            places = np.flatnonzero((ids == sample_id) & (digests == digest if digest else True))
            if len(places) == 0:
                self._why[f"{benchmark.name}: some images are not in the copy on this machine."] = None
                continue
            try:
                shown[sample_id] = _data_uri(load_image(dataset.read(int(places[0]))))
            except UnreadableImageError:
                self._why[f"{benchmark.name}: some images can't be read."] = None
        self._shown += len(shown)
        return shown

    def told(self) -> str:
        """One or two sentences on what is shown, for the page."""
        shown = f"{self._shown} thumbnails are embedded." if self._shown else "No thumbnails are shown."
        return " ".join([shown, *self._why])

    def _may_show(self, benchmark: Benchmark) -> bool:
        if self._wanted is False:
            self._why["They were turned off."] = None
            return False
        gated = benchmark.hub is not None and benchmark.hub.gated
        if self._wanted is None and (gated or benchmark.licence.name is None):
            why = "is gated" if gated else "has no stated licence"
            self._why[f"{benchmark.name} {why}, so its images are left out unless --thumbnails asks for them."] = None
            return False
        return True

    def _dataset(self, benchmark: Benchmark) -> LocalDataset | None:
        if benchmark.name not in self._datasets:
            self._datasets[benchmark.name] = None
            given, data_home = self._settings.data.get(benchmark.name), self._settings.data_home
            try:
                condition = Condition(
                    benchmark, None, locate(benchmark, given=given, data_home=data_home, offline=True)
                )
                self._datasets[benchmark.name] = open_condition(condition, self._settings, Reporter(quiet=True))
            except MissingInputError:
                self._why[f"{benchmark.name} is not on this machine."] = None
        return self._datasets[benchmark.name]


def _data_uri(image: Image.Image) -> str:
    small = image.convert("RGB")
    small.thumbnail((SIDE, SIDE))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def mistakes_of(model: str, condition: StoredCondition, stored: StoredPredictions, thumbnails: Thumbnails) -> Mistakes:
    """The confusion pairs and the most confident wrong answers of one model."""
    predictions = stored.predictions
    space = condition.benchmark.space
    names = _unique_names(space.classes)
    correct = is_correct(predictions)
    wrong = ~correct & (predictions.label >= 0) & (predictions.top5[:, 0] >= 0)
    label, answer = predictions.label[wrong].astype(np.int64), predictions.top5[wrong, 0].astype(np.int64)
    pairs, counts = np.unique(label * len(space) + answer, return_counts=True)
    per_class = np.bincount(predictions.label[predictions.label >= 0], minlength=len(space))
    confusion = []
    for at in np.lexsort((pairs, -counts))[:_PAIRS]:
        true, predicted = divmod(int(pairs[at]), len(space))
        confusion.append(ConfusionPair(names[true], names[predicted], int(counts[at]), int(per_class[true])))
    confident: tuple[ConfidentError, ...] = ()
    unavailable = None
    try:
        sure = np.where(wrong, confidence(predictions), -1.0)
        top = [at for at in np.argsort(-sure, kind="stable")[:_ERRORS] if wrong[at]]
        shown = thumbnails.of(condition, [(stored.sample_ids[at], stored.digests[at]) for at in top])
        confident = tuple(
            ConfidentError(
                str(stored.sample_ids[at]),
                names[predictions.label[at]],
                names[predictions.top5[at, 0]],
                100 * float(sure[at]),
                shown.get(stored.sample_ids[at]),
            )
            for at in top
        )
    except MetricUnavailable as error:
        unavailable = error.reason
    n, where = len(predictions), condition.benchmark.name
    return Mistakes(model, where, n, int((~correct).sum()), tuple(confusion), confident, unavailable)


def _unique_names(synsets: Sequence[str]) -> list[str]:
    """Class names; those that several classes share (crane, maillot) with their synset."""
    names = [class_name(synset) for synset in synsets]
    shared = Counter(names)
    return [f"{name} ({synset})" if shared[name] > 1 else name for name, synset in zip(names, synsets, strict=True)]
