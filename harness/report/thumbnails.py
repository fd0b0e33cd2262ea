"""Small pictures of single images, where the images are on this machine and may be shown."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from harness.data.catalog import Benchmark
from harness.data.images import UnreadableImageError, load_image
from harness.data.local import LocalDataset
from harness.data.locations import locate
from harness.errors import MissingInputError
from harness.evaluation.plan import Condition, open_condition
from harness.evaluation.reader import StoredCondition
from harness.progress import Reporter
from harness.settings import Settings

SIDE = 112
_QUALITY = 70


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
        if not self._may_show(benchmark):
            return {}
        dataset = self._dataset(benchmark)
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
