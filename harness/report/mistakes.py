"""What a model gets wrong on one benchmark: confusion pairs, and single failures, as small pictures where the images are on this
machine and may be shown."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from PIL import Image

from harness.data.catalog import Benchmark
from harness.data.local import LocalDataset
from harness.data.locations import locate
from harness.errors import HarnessError, MissingInputError
from harness.evaluation.plan import Condition, open_condition
from harness.evaluation.reader import StoredCondition, StoredModel, StoredPredictions, read_predictions
from harness.evaluation.scoring import REFERENCE
from harness.labels.spaces import unique_names
from harness.metrics.accuracy import is_correct
from harness.metrics.calibration import confidence
from harness.metrics.confusion import confused_pairs
from harness.metrics.types import MetricUnavailable
from harness.parsing.images import UnreadableImageError, load_image
from harness.progress import Reporter
from harness.settings import Settings

_PAIRS, _SUREST, _CLASSES = 10, 12, 20
"""Shown of each model: confusion pairs, most confident failures, and classes whose failures go before others'."""
_IMAGES, _LINES = 240, 2_400
"""Failures shown of all models together, with images and without, with which the page stays under 2 MB."""
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
class Failure:
    """A wrong answer."""

    sample_id: str
    true: str
    predicted: str
    confidence: float | None
    """Percent; None where the predictions were stored without logits."""
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
    failures: tuple[Failure, ...]
    """The most confident first."""
    listed: int
    """Wrong answers that these were chosen from: those whose images are here, or all where none is."""
    unavailable: str | None
    """Why they have no confidence."""

    @property
    def is_gallery(self) -> bool:
        """Whether there is an image to show."""
        return any(failure.thumbnail for failure in self.failures)

    @property
    def chosen(self) -> str:
        """Which of the wrong answers are shown, as a sentence."""
        here = " whose images are here" if self.is_gallery and self.listed < self.wrong else ""
        if len(self.failures) == self.listed:
            return f"These are all {self.listed:,} wrong answers{here}."
        surest = "" if self.unavailable else f"the {_SUREST} that it was most sure of, then "
        return (
            f"Shown are {len(self.failures):,} of {self.listed:,} wrong answers{here}: {surest}those of the classes that "
            "it most often gets wrong."
        )


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

    def here(self, condition: StoredCondition) -> list[str]:
        """The ids of the samples whose images may be shown and are on this machine."""
        dataset = self._dataset(condition.benchmark) if self._may_show(condition.benchmark) else None
        return [] if dataset is None else dataset.samples["sample_id"].tolist()

    def told(self) -> str:
        """One or two sentences on what is shown, for the page."""
        shown = f"{self._shown} thumbnails are embedded." if self._shown else "No thumbnails are shown."
        return " ".join([shown, *self._why])

    def _may_show(self, benchmark: Benchmark) -> bool:
        if self._wanted is False:
            self._why["They were turned off."] = None
            return False
        why = benchmark.not_to_be_shown
        if self._wanted is None and why is not None:
            self._why[f"{benchmark.name} {why}, so its images are left out unless --thumbnails asks for them."] = None
            return False
        return True

    def _dataset(self, benchmark: Benchmark) -> LocalDataset | None:
        if benchmark.name not in self._datasets:
            self._datasets[benchmark.name] = None
            given, data_home = self._settings.data.get(benchmark.name), self._settings.data_home
            try:
                place = locate(benchmark, given=given, data_home=data_home, offline=True)
                condition = Condition(benchmark, None, place)
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


def mistakes_of(
    model: str, condition: StoredCondition, stored: StoredPredictions, thumbnails: Thumbnails, share: int
) -> Mistakes:
    """The confusion pairs and failures of one model.

    Args:
        share: models among which the room on the page is divided.
    """
    predictions = stored.predictions
    space = condition.benchmark.space
    names = unique_names(space.classes)
    correct = is_correct(predictions)
    wrong = np.flatnonzero(~correct & (predictions.label >= 0) & (predictions.top5[:, 0] >= 0))
    confusion = [
        ConfusionPair(names[pair.label], names[pair.predicted], pair.count, pair.of)
        for pair in confused_pairs(predictions, _PAIRS)
    ]
    sure, unavailable = None, None
    try:
        sure = confidence(predictions)
        wrong = wrong[np.argsort(-sure[wrong], kind="stable")]
    except MetricUnavailable as error:
        unavailable = error.reason
    pictured = wrong[pd.Index(stored.sample_ids[wrong]).isin(thumbnails.here(condition))]
    listed, room = (pictured, _IMAGES) if len(pictured) else (wrong, _LINES)
    chosen = _chosen(listed, predictions.label[listed], 0 if sure is None else _SUREST, room // share)
    shown = thumbnails.of(condition, [(stored.sample_ids[at], stored.digests[at]) for at in chosen])
    failures = tuple(
        Failure(
            str(stored.sample_ids[at]),
            names[predictions.label[at]],
            names[predictions.top5[at, 0]],
            None if sure is None else 100 * float(sure[at]),
            shown.get(stored.sample_ids[at]),
        )
        for at in chosen
    )
    n, where = len(predictions), condition.benchmark.name
    return Mistakes(model, where, n, int((~correct).sum()), tuple(confusion), failures, len(listed), unavailable)


def _chosen(wrong: np.ndarray, label: np.ndarray, surest: int, room: int) -> list[int]:
    """The failures that are shown: the first ones, then the classes that are most often wrong in turn, then whatever has room.

    Args:
        wrong: rows of the wrong answers, in the order in which they are shown.
        label: their classes.
        surest: how many of the first ones are shown whatever their class.
        room: how many are shown in all.
    """
    failures = pd.DataFrame({"row": wrong, "label": label})
    worst = np.argsort(-np.bincount(label), kind="stable")[:_CLASSES]
    turn = failures[failures["label"].isin(worst)].groupby("label").cumcount().sort_values(kind="stable")
    first = list(dict.fromkeys([*range(min(surest, len(wrong))), *turn.index, *range(len(wrong))]))[:room]
    return [int(wrong[at]) for at in sorted(first)]
