"""Benchmarks as rows of a `datasets` data set: Parquet in the Hub's image layout, a saved data set, or a Hub id.

Image decoding is off: the bytes that come out are the bytes that were put in. Parquet files are converted once to
Arrow in the cache (as large as the images), because Parquet can't be read row by row in any order but its own.
"""

from __future__ import annotations

import errno
import pickle
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import pandas as pd

from harness.data.catalog import Benchmark
from harness.data.sources import (
    CLASS_COLUMNS,
    Entry,
    FileStamp,
    Index,
    Place,
    Source,
    checked_class,
    class_of_each,
    stamp_of,
)
from harness.errors import HarnessError, MissingInputError
from harness.labels.spaces import SYNSET, LabelSpace
from harness.parsing.answers import STRANGE_ANSWER
from harness.parsing.files import read_bytes

_DAMAGED = "If a file is damaged, fetch it again."
_SPLIT = re.compile(r"(train|validation|val|test)(?=[-_.]|$)")


@dataclass(frozen=True)
class DatasetRows(Source):
    """A data set with an image column and a label column. Loaded at the first need, once, whichever thread asks."""

    benchmark: Benchmark
    space: LabelSpace
    remedy: str
    """What to do where the data set can't be loaded."""
    load: Callable[[], Any]
    """Returns the `datasets.Dataset`."""
    files: list[Path] | None
    """Files whose stamps identify the content; None for those that the loaded data set names."""
    notes: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __getstate__(self) -> dict[str, Any]:
        """For another process, which opens the files that this one has loaded when it needs them."""
        dataset, _ = self._dataset()
        state = {name: value for name, value in vars(self).items() if name not in ("_lock", "_loaded")}
        return {**state, "load": partial(pickle.loads, pickle.dumps(dataset))}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _lock=threading.Lock())

    def stamps(self) -> list[FileStamp]:
        files = self.files
        if files is None:
            files = [Path(part["filename"]) for part in self._dataset()[0].cache_files]
        return [stamp_of(path) for path in files]

    def index(self) -> Index:
        import datasets

        (dataset, image), hub = self._dataset(), self.benchmark.hub
        columns = [hub.label, "label"] if hub is not None and hub.label is not None else ["label"]
        if self.benchmark.is_own:
            columns += ["labels", *_columns_of(datasets.ClassLabel, dataset), *CLASS_COLUMNS]
        label = self._column(columns, dataset)
        if self.benchmark.label_sets:
            sets = enumerate(self._label_sets().items())
            return Index([Entry(name, classes[0], "", row, 0) for row, (name, classes) in sets], list(self.notes))
        path = f"{image}.path"
        names = dataset.select_columns([image]).flatten().select_columns([path])[:][path]
        rows = enumerate(zip(names, self._classes(dataset, label), strict=True))
        return Index([Entry(name or "", index, "", row, 0) for row, (name, index) in rows], list(self.notes))

    def annotations(self) -> pd.DataFrame | None:
        return pd.DataFrame({"classes": self._label_sets()}) if self.benchmark.label_sets else None

    def _label_sets(self) -> dict[str, tuple[int, ...]]:
        """The right classes of each row, by a sample id that is the row's number."""
        dataset, _ = self._dataset()
        column = self._column([self.benchmark.hub.label or "label" if self.benchmark.hub else "label"], dataset)
        sets = {}
        for row, values in enumerate(dataset.select_columns([column])[:][column], start=1):
            where = f"{self.root}, row {row}, column {column}"
            if not isinstance(values, list) or not values:
                raise HarnessError(
                    f"{where}: {values!r} is no list of classes.", remedy="Give a list of class indices."
                )
            sets[f"row-{row:05}"] = tuple(sorted({checked_class(value, self.space, where) for value in values}))
        return sets

    def read(self, file: str, start: int, length: int) -> bytes:
        dataset, image = self._dataset()
        value = dataset[start][image] or {}
        data, path = value.get("bytes"), value.get("path")
        if isinstance(data, bytes):
            return data
        if not isinstance(path, str):
            message = f"{self.root}, row {start + 1} has neither bytes nor a path as its image."
            raise HarnessError(message, remedy="Remove it, or add its image.")
        return read_bytes(self._own(path, start))

    def _own(self, path: str, row: int) -> Path:
        """The file that a row names instead of holding the image: one in the data set's own folder, or in the Hub's caches."""
        import datasets

        folders = (
            [self.root] if self.root.exists() else [datasets.config.HF_CACHE_HOME, datasets.config.HF_DATASETS_CACHE]
        )
        there = (self.root / path).resolve()
        if any(there.is_relative_to(Path(folder).resolve()) for folder in folders):
            return there
        message = f"{self.root}, row {row + 1} names {path}, outside the data set's folder; it isn't opened."
        raise HarnessError(message, remedy="Give a copy that holds its images.")

    def _dataset(self) -> tuple[Any, str]:
        with self._lock:
            return self._loaded

    @cached_property
    def _loaded(self) -> tuple[Any, str]:
        """The data set, and its column with the encoded image."""
        import datasets
        import httpx2

        try:
            dataset = self.load()
        except (OSError, RuntimeError, *STRANGE_ANSWER, httpx2.HTTPError, datasets.exceptions.DatasetsError) as error:
            raise _loading_error(self.root, error, self.remedy) from error
        columns = [self.benchmark.hub.image if self.benchmark.hub is not None else "image"]
        if self.benchmark.is_own:
            columns += _columns_of(datasets.Image, dataset)
        image = self._column(columns, dataset)
        try:
            return dataset.cast_column(image, datasets.Image(decode=False)), image
        except (*STRANGE_ANSWER, NotImplementedError) as error:
            raise HarnessError(f"{self.root}: the column '{image}' holds no images.", remedy=self.remedy) from error

    def _column(self, names: list[str], dataset: Any) -> str:
        """The first of these columns that is there."""
        if (found := next((name for name in names if name in dataset.column_names), None)) is not None:
            return found
        wanted = " or ".join(f"'{name}'" for name in dict.fromkeys(names))
        message = f"{self.root} has no column {wanted}; it has {', '.join(dataset.column_names)}."
        raise HarnessError(message, remedy="Name the columns `image` and `label`, as the Hub does.")

    def _classes(self, dataset: Any, column: str) -> list[int]:
        """Class indices of all rows, by synset where the data set names its classes so, and of one's own data by name."""
        values = dataset.select_columns([column])[:][column]
        names = getattr(dataset.features[column], "names", None)
        if names and (self.benchmark.is_own or all(SYNSET.fullmatch(name) for name in names)):
            if self.benchmark.is_own:
                class_of_each(names, self.space, f"{self.root}, column {column}")
            # A row without a class has a number that stands for none of them.
            values = [names[value] if value in range(len(names)) else value for value in values]
        index: dict[Any, int] = {}
        for row, value in enumerate(values):
            if not isinstance(value, str | int) or value not in index:
                where = f"{self.root}, row {row + 1}, column {column}"
                if not isinstance(value, str | int):
                    remedy = "Give a class index or a synset in each row."
                    raise HarnessError(f"{where}: {value!r} is no class.", remedy=remedy)
                index[value] = checked_class(value, self.space, where)
        return [index[value] for value in values]


def parquet_files(place: Place) -> DatasetRows | None:
    """Parquet files with an image column (struct of bytes and path, as the Hub keeps images): one, or a folder's."""
    path = place.path
    if path.is_file():
        root, files = path.parent, [path] if path.suffix == ".parquet" else []
    else:
        root, files = path, sorted([*path.glob("*.parquet"), *path.glob("*/*.parquet")])  # the Hub keeps them in data/
    if not files:
        return None
    chosen = _files_of_split(root, files, place.benchmark)
    skipped = len(files) - len(chosen)

    def load() -> Any:
        import datasets

        files, cache = [str(file) for file in chosen], str(place.cache / "rows")
        return datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=cache)

    notes = [f"{skipped:,} Parquet files of other splits were ignored."] if skipped else []
    layout = "Parquet in the Hub's image layout"
    return DatasetRows(path, layout, place.benchmark, place.space, _DAMAGED, load, chosen, notes)


def saved_dataset(place: Place) -> DatasetRows | None:
    """A folder written by `Dataset.save_to_disk`."""
    if not {"dataset_info.json", "state.json"} <= place.others:
        return None

    def load() -> Any:
        import datasets

        return datasets.load_from_disk(str(place.path))

    files = sorted(place.path.glob("*.arrow"))
    return DatasetRows(place.path, "saved data set", place.benchmark, place.space, _DAMAGED, load, files)


def hub_dataset(repository: str, revision: str | None, benchmark: Benchmark, space: LabelSpace) -> DatasetRows:
    """A data set on the Hub (or a local folder in the Hub's layout), fetched into the Hub's own cache."""
    entry = benchmark.hub if benchmark.hub is not None and benchmark.hub.id == repository else None

    def load() -> Any:
        import datasets

        split = entry.split if entry else _only_split(repository, revision, benchmark)
        # Naming the files keeps `datasets` from fetching the other splits too; it then misses those in its check.
        files = {split: entry.files} if entry and entry.files else None
        return datasets.load_dataset(
            repository,
            name=entry.config if entry else None,
            split=split,
            data_files=files,
            revision=revision,
            verification_mode=datasets.VerificationMode.NO_CHECKS,
        )

    remedy = f"Check the name and the network, or: {benchmark.get} Then give it with --data {benchmark.name}=DIR."
    return DatasetRows(Path(repository), "Hub data set", benchmark, space, remedy, load, None)


def _wanted_split(benchmark: Benchmark) -> str:
    return (benchmark.hub and benchmark.hub.split) or benchmark.split or "validation"


def _columns_of(kind: type, dataset: Any) -> list[str]:
    """The data set's one column of a kind; none where it has several."""
    found = [name for name, feature in dataset.features.items() if isinstance(feature, kind)]
    return found if len(found) == 1 else []


def _files_of_split(root: Path, files: list[Path], benchmark: Benchmark) -> list[Path]:
    """The files of the wanted split; all of them where their names say nothing about splits."""
    wanted = _wanted_split(benchmark)
    splits = {file: _split_of(file.relative_to(root)) for file in files}
    chosen = [file for file in files if splits[file] == wanted] or files
    several = sorted({str(splits[file]) for file in chosen})
    if len(several) > 1:
        message = f"{root} holds Parquet files of several splits ({', '.join(several)}), none of them called {wanted}."
        raise HarnessError(message, remedy=f"Give a folder with the files of the {wanted} split only.")
    return chosen


def _split_of(file: Path) -> str | None:
    """The split that a file's name, or else its folder's, stands for."""
    for part in reversed(file.parts):
        if match := _SPLIT.match(part):
            return "validation" if match[1] == "val" else match[1]
    return None


def _only_split(repository: str, revision: str | None, benchmark: Benchmark) -> str:
    """The wanted split where the data set has it, else the only one it has."""
    import datasets

    wanted = _wanted_split(benchmark)
    names: list[str] = datasets.get_dataset_split_names(repository, revision=revision)
    if wanted in names or len(names) == 1:
        return wanted if wanted in names else names[0]
    why = f"{repository} has the splits {', '.join(names)}, and not {wanted}."
    raise HarnessError(why, remedy="Give a data set with that split.")


def _loading_error(place: Path, error: Exception, remedy: str) -> HarnessError:
    cause = error.__cause__ or error  # `datasets` wraps what went wrong while it converts
    if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
        return HarnessError(f"No space left while reading {place}.", remedy="Free some space, then repeat the command.")
    message = " ".join(str(cause).split())
    if "gated" in message.lower():
        remedy = f"Accept the terms at https://huggingface.co/datasets/{place} and set HF_TOKEN."
        return MissingInputError(f"Access to {place} is not granted: {message}", remedy=remedy)
    problem = f"Can't load the data set {place}: {type(cause).__name__}: {message}"
    return HarnessError(problem, remedy=remedy) if place.exists() else MissingInputError(problem, remedy=remedy)
