"""The groups that samples belong to by a slicing of the catalog, as data frames.

Annotations are joined by sample id or follow from a sample's class; nothing here knows of predictions. Packages that
carry annotations are read as files, never imported. A new kind of slicing is a function in `_KINDS`.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.json

from harness.data.annotations import IMAGENET_X, imagenet_x_folder, real_labels
from harness.data.catalog import Benchmark
from harness.data.slicings import SlicingEntry, check_reference, slicings, split_reference
from harness.data.statistics import quantile_codes
from harness.errors import HarnessError, MissingInputError, UsageError, require_known
from harness.labels.spaces import class_name, classes_under, label_space, name_of
from harness.parsing.files import MalformedError
from harness.parsing.tables import read_frame, read_json_rows

_FIFTHS, _QUARTERS = 5, 4
_OTHER = "other"
"""The meta-class of classes whose own is none of ImageNet-X's (imagenet_x/utils.py)."""


@dataclass(frozen=True)
class Subjects:
    """The n samples to be grouped, in the order of their outcomes."""

    benchmark: Benchmark
    sample_ids: Sequence[str]
    labels: npt.NDArray[np.integer]
    """int (n,): class index in the benchmark's label space."""
    table: pd.DataFrame | None = None
    """The benchmark's own annotations, indexed by sample id, where it comes with some."""
    statistics: Callable[[], pd.DataFrame] | None = None
    """Gives the image statistics, indexed by sample id, one column each; None without the images."""

    @property
    def is_whole(self) -> bool:
        """Whether these are all samples of the benchmark."""
        return len(self.sample_ids) >= self.benchmark.size


@dataclass(frozen=True)
class Grouping:
    """The groups of samples by one slicing."""

    name: str
    title: str
    frame: pd.DataFrame
    """Indexed by sample id, as `slices.slicing_from_frame` takes it: one column of names, or one flag a group."""
    fingerprint: str
    """SHA-256 of the annotations."""
    titles: dict[str, str] | None = None
    """What groups are called for people, where their name is not that."""
    published: dict[str, int] | None = None
    """How many samples the whole benchmark has in each group; None where that is not known."""
    total: int | None = None
    """How many samples the whole benchmark has that are covered; None for all of them, or where that is not known."""
    note: str | None = None
    """What a reader must know beside the results."""


def grouping(reference: str, subjects: Subjects) -> Grouping:
    """The groups of samples by a slicing of the catalog, or by one group of it (`wordnet/n02084071`).

    Raises MissingInputError: annotations or images that it needs are not here.
    Raises HarnessError: an unknown slicing or group.
    """
    check_reference(reference)
    name, group = split_reference(reference)
    entry = slicings()[name]
    if entry.kind == "wordnet":  # any synset can be asked for
        return _by_wordnet(entry, subjects, group)
    return narrowed(_KINDS[entry.kind](entry, subjects), group)


def narrowed(found: Grouping, group: str | None) -> Grouping:
    """Only one of the groups, as a flag on the samples that are covered; all of them for None.

    Raises HarnessError: there is no such group.
    """
    if group is None:
        return found
    names = found.frame.iloc[:, 0]
    if pd.api.types.is_bool_dtype(names):
        return replace(found, frame=found.frame[[group]])
    known = names.cat.categories if isinstance(names.dtype, pd.CategoricalDtype) else sorted(names.unique())
    require_known(f"group of {found.name}", group, known)
    return replace(found, frame=pd.DataFrame({group: names == group}))


def _installed() -> Path:
    folder = imagenet_x_folder()
    if folder is None:
        remedy = f"Run: pip install {IMAGENET_X} (they are CC-BY-NC-4.0)"
        raise MissingInputError("The ImageNet-X annotations are not installed.", remedy=remedy)
    return folder


def _damaged(what: str, error: Exception) -> HarnessError:
    remedy = f"Install them again: pip install --force-reinstall {IMAGENET_X}"
    return HarnessError(f"Can't read the ImageNet-X {what}: {error}.", remedy=remedy)


@cache
def imagenet_x_annotations(which: str, factors: tuple[str, ...]) -> tuple[pd.DataFrame, str]:
    """ImageNet-X's annotations of the validation images that are not prototypes, and their SHA-256.

    `which` is `multi` (all factors that apply) or `top` (the main one); `factors` are the annotations' columns, in order.
    Returns a boolean column a factor, indexed by file name.

    Raises MissingInputError: the imagenet-x package is not installed; HarnessError: its files are damaged.
    """
    folder = _installed()
    rows, prototypes = folder / f"imagenet_x_val_{which}_factor.jsonl", folder / "prototypical_paths.csv"
    schema = pa.schema([("file_name", pa.string()), *((factor, pa.int8()) for factor in factors)])
    try:
        frame = read_json_rows(rows, schema).set_index("file_name")
        left_out = read_frame(prototypes)["file_name"]
        digest = hashlib.sha256(rows.read_bytes() + prototypes.read_bytes()).hexdigest()
    except (OSError, KeyError, MalformedError) as error:
        raise _damaged(f"annotations {rows}", error) from error
    return frame[~frame.index.isin(left_out)].astype(bool), digest


@cache
def metaclasses() -> tuple[dict[str, str], str]:
    """The meta-class of each ImageNet-1k synset, one of a hundred, and the SHA-256 of the file that says so.

    Raises MissingInputError: the imagenet-x package is not installed; HarnessError: its file is damaged.
    """
    path = _installed() / "imagenet_1k_classes_to_100_metaclasses.csv"
    try:
        text = path.read_text(encoding="utf-8")
        names = [row["name"] for row in csv.DictReader(text.splitlines())]
        # The rows are in class order.
        mapping = dict(zip(label_space("imagenet-1k").classes, names, strict=True))
    except (OSError, KeyError, ValueError) as error:
        raise _damaged(f"meta-classes {path}", error) from error
    return mapping, hashlib.sha256(text.encode()).hexdigest()


def _by_imagenet_x(entry: SlicingEntry, subjects: Subjects) -> Grouping:
    frame, digest = imagenet_x_annotations(entry.option or "multi", entry.names)
    titles = {factor: factor.replace("_", " ") for factor in entry.names}
    note = "the 3,000 prototypical images are left out, as in the published accuracies"
    return Grouping(entry.name, entry.title, frame, digest, titles, _counts(frame.sum()), len(frame), note)


def _by_metaclass(entry: SlicingEntry, subjects: Subjects) -> Grouping:
    mapping, digest = metaclasses()
    space = subjects.benchmark.space
    classes: dict[str, list[int]] = {name: [] for name in entry.names}
    for index, synset in enumerate(space.classes):
        if (name := mapping.get(synset)) is not None:
            classes[name if name in classes else _OTHER].append(index)
    titles = {name: name.replace("_", " ") for name in classes}
    return _by_class_groups(entry, subjects, classes, titles, digest)


def _by_wordnet(entry: SlicingEntry, subjects: Subjects, group: str | None) -> Grouping:
    space = subjects.benchmark.space
    wanted = entry.synsets if group is None else (group,)
    classes = {synset: list(classes_under(synset, space)) for synset in wanted}
    if group is not None and not classes[group]:
        message = f"No class of {space.name} is {group} ({name_of(group)}) or below it."
        raise UsageError(message, remedy="Choose a synset with classes below it, e.g. wordnet/n02084071 (dog).")
    digest = hashlib.sha256(json.dumps([space.name, classes]).encode()).hexdigest()
    return _by_class_groups(entry, subjects, classes, {s: name_of(s) for s in wanted}, digest)


def _by_class_groups(
    entry: SlicingEntry, subjects: Subjects, classes: dict[str, list[int]], titles: dict[str, str], digest: str
) -> Grouping:
    """Groups that are sets of classes, and may overlap."""
    members = np.zeros((len(subjects.benchmark.space), len(classes)), dtype=bool)
    for column, indices in enumerate(classes.values()):
        members[indices, column] = True
    frame = pd.DataFrame(members[subjects.labels], index=pd.Index(subjects.sample_ids), columns=list(classes))
    published = _published(subjects.benchmark, {name: len(found) for name, found in classes.items()})
    return Grouping(entry.name, entry.title, frame, digest, titles=titles, published=published)


def _by_class(entry: SlicingEntry, subjects: Subjects) -> Grouping:
    space = subjects.benchmark.space
    digest = hashlib.sha256(" ".join(space.classes).encode()).hexdigest()
    published = _published(subjects.benchmark, dict.fromkeys(space.classes, 1))
    names_of = Counter(class_name(synset) for synset in space.classes)
    titles = {s: name if names_of[name := class_name(s)] == 1 else f"{name} ({s})" for s in space.classes}
    names = pd.Categorical.from_codes(subjects.labels, categories=pd.Index(space.classes))
    frame = pd.DataFrame({"class": names}, index=pd.Index(subjects.sample_ids))
    return Grouping(entry.name, entry.title, frame, digest, titles=titles, published=published)


def _published(benchmark: Benchmark, classes: dict[str, int]) -> dict[str, int] | None:
    """Images in groups of so many classes of an evenly filled benchmark; None for the others."""
    per_class, rest = divmod(benchmark.size, len(benchmark.space))
    is_even = benchmark.sample_id == "ilsvrc" and not rest
    return {name: per_class * count for name, count in classes.items()} if is_even else None


def _by_real(entry: SlicingEntry, subjects: Subjects) -> Grouping:
    sizes = pd.Series({sample_id: len(labels) for sample_id, labels in real_labels().items() if labels})
    frame = pd.DataFrame({"one-label": sizes == 1, "several-labels": sizes > 1})
    digest = hashlib.sha256(json.dumps(list(real_labels().values())).encode()).hexdigest()
    titles = {"one-label": "one label", "several-labels": "several labels"}
    note = "images without a right label are left out"
    return Grouping(entry.name, entry.title, frame, digest, titles, _counts(frame.sum()), len(frame), note)


def _by_statistic(entry: SlicingEntry, subjects: Subjects) -> Grouping:
    if subjects.statistics is None:
        message = "Image statistics are computed from the images, which are not here."
        raise MissingInputError(message, remedy=f"Give them: --data {subjects.benchmark.name}=DIR")
    values = subjects.statistics()[[entry.option]]
    found = cut(entry.name, entry.title, values, _FIFTHS, _digest_of(values))
    if subjects.is_whole:
        return found
    # Bounds are those of the images that were run: the whole benchmark would have a fifth of its images in each.
    return replace(found, published=dict.fromkeys(found.published or (), round(subjects.benchmark.size / _FIFTHS)))


def _by_table(entry: SlicingEntry, subjects: Subjects) -> Grouping:
    if subjects.table is None:
        message = f"The slicing {entry.name} is read from the copy of {subjects.benchmark.name}, which is not here."
        raise MissingInputError(message, remedy=f"Give the copy with its table: --data {subjects.benchmark.name}=DIR")
    column = subjects.table[[entry.option]]
    if entry.option == "income":
        return cut(entry.name, entry.title, column, _QUARTERS, _digest_of(column))
    return named(entry.name, entry.title, column, _digest_of(column))


_KINDS: dict[str, Callable[[SlicingEntry, Subjects], Grouping]] = {
    "imagenet-x": _by_imagenet_x,
    "metaclass": _by_metaclass,
    "real": _by_real,
    "class": _by_class,
    "statistic": _by_statistic,
    "table": _by_table,
}


def _counts(column: pd.Series) -> dict[str, int]:
    return {str(name): int(count) for name, count in column.items()}


def named(name: str, title: str, column: pd.DataFrame, digest: str) -> Grouping:
    """Groups by the names in a column; rows without one are not covered."""
    values = column.iloc[:, 0].dropna().astype(str)
    return Grouping(name, title, pd.DataFrame({name: values}), digest, published=_counts(values.value_counts()))


def cut(name: str, title: str, values: pd.DataFrame, parts: int, digest: str) -> Grouping:
    """Groups q1, q2, … of equal size by increasing value; rows without a value are not covered.

    Raises HarnessError: all values are the same.
    """
    known = values.iloc[:, 0].dropna().astype(np.float64)
    if known.nunique() < 2:
        message = f"All {len(known):,} samples have the same value, so there is nothing to compare."
        raise UsageError(message, remedy="Choose another slicing.")
    # Bounds are those of the whole column, so that a part of the samples is cut where all of them are.
    codes, edges = quantile_codes(known.to_numpy(), parts)
    names = [f"q{part}" for part in range(1, parts + 1)]
    frame = pd.DataFrame({name: pd.Categorical.from_codes(codes, categories=pd.Index(names))}, index=known.index)
    counts = dict(zip(names, np.bincount(codes, minlength=parts).tolist(), strict=True))
    bounds = [known.min(), *edges, known.max()]
    titles = {q: f"{q}: {_short(bounds[i])} to {_short(bounds[i + 1])}" for i, q in enumerate(names)}
    return Grouping(name, title, frame, digest, titles=titles, published=counts)


def _short(value: float) -> str:
    """A bound in three digits or whole numbers, never as a power of ten."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _digest_of(column: pd.DataFrame) -> str:
    """SHA-256 over the values in the order of the copy, whose samples have a fingerprint of their own."""
    values = column.iloc[:, 0]
    if pd.api.types.is_float_dtype(values):
        return hashlib.sha256(np.ascontiguousarray(values.to_numpy(), dtype="<f8").tobytes()).hexdigest()
    return hashlib.sha256("\n".join(map(str, values)).encode()).hexdigest()
