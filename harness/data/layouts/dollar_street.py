"""Dollar Street in the layout that MLCommons publishes: `assets/` beside a table with place, income and ImageNet classes.

The table is `images_v2_imagenet_test.csv` (the split that evaluations use), or `images_v2.csv` where it carries the ImageNet
columns. A photograph may show several things, so a row names several classes, any of which is right.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

import pandas as pd

from harness.data.sources import Entry, FileStamp, Index, Place, Source, checked_index, stamp_of
from harness.errors import HarnessError
from harness.labels.spaces import LabelSpace
from harness.parsing.files import MalformedError
from harness.parsing.json import parse_json
from harness.parsing.tables import read_frame

TABLES = ("images_v2_imagenet_test.csv", "images_v2.csv")
"""Tables that say which classes are right, the first one that is there."""

REGIONS = {"af": "Africa", "am": "America", "as": "Asia", "eu": "Europe"}
"""The table's region ids."""

_COLUMNS = ("id", "country.name", "region.id", "imageRelPath", "income", "imagenet_sysnet_id")
_REMEDY = "Give the publisher's folder unchanged: dataset_dollarstreet/ with assets/ and images_v2_imagenet_test.csv."


@dataclass(frozen=True)
class DollarStreet(Source):
    """A copy of Dollar Street."""

    table_path: Path
    space: LabelSpace

    def stamps(self) -> list[FileStamp]:
        images = [stamp_of(self.root / path, path) for path in self._read[0]["path"] if (self.root / path).is_file()]
        return [stamp_of(self.table_path, self.table_path.name), *images] if images else []

    def index(self) -> Index:
        table, unlabelled = self._read
        here = table["path"].map(lambda path: (self.root / path).is_file())
        present, missing = table[here], table.index[~here]
        rows = zip(present.index, present["classes"], present["path"], strict=True)
        entries = [Entry(f"{sample_id}.jpg", classes[0], path) for sample_id, classes, path in rows]
        notes = [f"{len(missing):,} rows without their image were ignored, e.g. {missing[0]}."] if len(missing) else []
        if unlabelled:
            notes.append(f"{unlabelled:,} rows without an ImageNet class were ignored, e.g. those with an empty list.")
        return Index(entries, notes)

    def annotations(self) -> pd.DataFrame:
        """`classes` (tuples of class indices), `region`, `country` and `income` (monthly, in dollars by purchasing power),
        indexed by sample id."""
        return self._read[0][["classes", "region", "country", "income"]]

    @cached_property
    def _read(self) -> tuple[pd.DataFrame, int]:
        """The rows with at least one class, and how many have none."""
        path = self.table_path
        try:
            # "NA" is a name here; only an empty cell is missing.
            raw = read_frame(path, keep_default_na=False, na_values=[""], dtype={"id": str, "imageRelPath": str})
        except MalformedError as error:
            raise HarnessError(error.message, remedy=_REMEDY) from error
        absent = [name for name in _COLUMNS if name not in raw.columns]
        if absent:
            raise HarnessError(f"{path} has no column {', '.join(absent)}.", remedy=_REMEDY)
        twice = raw["id"][raw["id"].duplicated()]
        if len(twice):
            raise HarnessError(f"{path}: the image {twice.iloc[0]} comes twice.", remedy=_REMEDY)
        classes = []
        rows = zip(raw["imagenet_sysnet_id"], raw["imageRelPath"], raw["id"], strict=True)
        for number, (listed, image, sample_id) in enumerate(rows, start=1):
            where = f"{path}, row {number} ({sample_id})"
            classes.append(self._classes(listed, where))
            if not isinstance(image, str) or PurePosixPath(image).is_absolute() or ".." in PurePosixPath(image).parts:
                raise HarnessError(f"{where}: imageRelPath '{image}' is no path inside the copy.", remedy=_REMEDY)
        frame = raw.set_index("id").rename(columns={"imageRelPath": "path", "country.name": "country"})
        frame["classes"] = classes
        frame["region"] = frame["region.id"].map(lambda region: REGIONS.get(str(region), str(region)))
        frame["income"] = pd.to_numeric(frame["income"], errors="coerce")
        labelled = frame["classes"].map(len) > 0
        return frame[labelled], int((~labelled).sum())

    def _classes(self, listed: object, where: str) -> tuple[int, ...]:
        """The class indices that a cell such as `[409, 892]` names."""
        if not isinstance(listed, str):
            return ()
        try:
            values = parse_json(listed, where, list[int])
        except MalformedError as error:
            raise HarnessError(
                f"{where}: imagenet_sysnet_id is no list of class indices: {listed!r}.", remedy=_REMEDY
            ) from error
        return tuple(sorted({checked_index(value, self.space, where) for value in values}))


def dollar_street(place: Place) -> DollarStreet | None:
    """A folder with one of the tables."""
    table = next((place.path / name for name in TABLES if (place.path / name).is_file()), None)
    if table is None:
        return None
    layout = f"Dollar Street as MLCommons publishes it, classes from {table.name}"
    return DollarStreet(place.path, layout, table, place.space)
