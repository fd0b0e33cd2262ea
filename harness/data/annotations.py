"""Labels that belong to the ILSVRC-2012 validation images beyond a copy's own: the published ones by name, ReaL, and those of
experts who allowed several.

The first two ship inside installed packages and are read as files: neither package is imported. The last is a file that its
authors publish.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel

from harness.data.catalog import Benchmark
from harness.data.locations import locate
from harness.errors import HarnessError, MissingInputError
from harness.labels.spaces import installed_folder, label_space, timm_info_folder
from harness.parsing.files import MalformedError
from harness.parsing.json import read_json, shaped
from harness.settings import Settings

VALIDATION_IMAGES = 50_000
NO_CLASS = -1
"""Stands for the right classes of an image that is judged and has none."""
_MOST_LABEL_BYTES = 400_000_000
"""Of the experts' labels, which have 200 million, with what each model and person answered."""
IMAGENET_X = "imagenet-x==0.0.7"
"""The package with ImageNet-X's annotations, as pip takes it."""


def validation_id(number: int) -> str:
    """Sample id of the ILSVRC-2012 validation image with this number (1 to 50,000)."""
    return f"ILSVRC2012_val_{number:08d}.JPEG"


@cache
def robustbench_images() -> frozenset[str]:
    """Sample ids of the 5,000 images that RobustBench's leaderboard for ImageNet is computed on.

    Source: Croce et al. 2021, "RobustBench: a standardized adversarial robustness benchmark", arXiv:2010.09670; the file says
    where its list was read.
    """
    lines = (Path(__file__).parent / "robustbench_images.txt").read_text(encoding="utf-8").splitlines()
    return frozenset(validation_id(int(n)) for line in lines if not line.startswith("#") for n in line.split())


@cache
def real_labels() -> Mapping[str, tuple[int, ...]]:
    """Reassessed labels: sample id -> the classes (0-999) that are right; empty where no class fits.

    Source: Beyer et al. 2020, "Are we done with ImageNet?"; the list as shipped with timm, in file-name order.
    46,837 of the 50,000 images have at least one label, the other 3,163 are left out of the score.

    Raises HarnessError: timm is missing or its file is damaged.
    """
    path = timm_info_folder() / "imagenet_real_labels.json"
    try:
        rows = read_json(path, list[tuple[int, ...]])
    except MalformedError as error:
        message = f"Can't read the ReaL labels: {path}: {error}."
        raise HarnessError(message, remedy="Install timm again: pip install --force-reinstall timm") from error
    if len(rows) != VALIDATION_IMAGES:
        message = f"{path} has {len(rows):,} entries instead of {VALIDATION_IMAGES:,}."
        raise HarnessError(message, remedy="Install an unmodified timm: pip install --force-reinstall timm")
    return MappingProxyType({validation_id(number): labels for number, labels in enumerate(rows, start=1)})


class _ExpertFile(BaseModel):
    """What is read of the experts' file, both by image; it has ImageNetV2's images, too."""

    initial_annots: dict[str, Any]
    problematic_images: dict[str, Any]


class _Judged(BaseModel):
    """Synsets that were answered for an image, and are right, or may be."""

    correct: list[str] = []
    unclear: list[str] = []


@cache
def multi_labels(path: Path) -> Mapping[str, tuple[int, ...]]:
    """Labels by experts: sample id -> the classes (0-999) that are right, or may be; empty for an image that is not judged.

    Source: Shankar et al. 2020, "Evaluating Machine Accuracy on ImageNet"; Vasudevan et al. 2022, arXiv:2205.04596, corrected
    them. 20,000 of the images were looked at; problematic ones (such as drawings, or with a wrong label) don't count.

    Raises MalformedError: it is not the authors' file.
    """
    file = read_json(path, _ExpertFile, most=_MOST_LABEL_BYTES)
    space = label_space("imagenet-1k")
    known: dict[str, tuple[int, ...]] = dict.fromkeys(map(validation_id, range(1, VALIDATION_IMAGES + 1)), ())
    judged = {
        name: file.initial_annots[name]
        for name in (known.keys() & file.initial_annots) - file.problematic_images.keys()
    }
    for name, said in shaped(judged, dict[str, _Judged], path).items():
        synsets = sorted({*said.correct, *said.unclear})
        if strange := [synset for synset in synsets if synset not in space]:
            raise MalformedError(path, f"{name}: {strange[0]} is no class of ImageNet-1k")
        known[name] = tuple(map(space.index, synsets)) or (NO_CLASS,)
    if not judged:
        raise MalformedError(path, "it judges no image of the validation set", remedy="Give the authors' file.")
    return MappingProxyType(known)


def right_classes(benchmark: Benchmark) -> Mapping[str, tuple[int, ...]]:
    """The classes that are right for each image of a benchmark that is scored from another one's predictions.

    Raises:
        MissingInputError: its file of labels is not here.
        HarnessError: the labels are damaged.
    """
    if benchmark.labels_file is None:
        return real_labels()
    if benchmark.path is None:
        raise MissingInputError(f"The labels of {benchmark.name} are not on this machine.", remedy=benchmark.get)
    return multi_labels(Path(benchmark.path))


def with_labels(benchmark: Benchmark, settings: Settings) -> Benchmark:
    """A benchmark that is scored from another one's predictions, with the place of its file of labels where that is here.

    Raises HarnessError: a place without them was given, or they are damaged, which is worth saying before a long run.
    """
    if benchmark.labels_file is None:
        return benchmark
    given = settings.data.get(benchmark.name)
    try:
        place = locate(benchmark, given=given, data_home=settings.data_home, offline=True).path
    except MissingInputError:
        return benchmark
    assert place is not None  # it is on this machine
    found = benchmark.model_copy(update={"path": str(place / benchmark.labels_file if place.is_dir() else place)})
    right_classes(found)
    return found


def imagenet_x_folder() -> Path | None:
    """The annotations that ship with the imagenet-x package; None where it isn't installed."""
    package = installed_folder("imagenet_x")
    return package / "annotations" if package is not None and (package / "annotations").is_dir() else None


def validation_labels_file() -> Path | None:
    """The imagenet-x package's list of all validation images with their labels; None where it isn't installed."""
    folder = imagenet_x_folder()
    return folder / "filename_label.csv" if folder is not None else None


@cache
def validation_labels() -> Mapping[str, int]:
    """Published labels: sample id -> class (0-999) of all 50,000 validation images.

    Raises MissingInputError: the imagenet-x package is not installed.
    """
    path = validation_labels_file()
    if path is None:
        message = "The labels of the ILSVRC-2012 validation images are not installed."
        raise MissingInputError(message, remedy=f"Run: pip install {IMAGENET_X} (its annotations are CC-BY-NC-4.0)")
    with path.open(encoding="utf-8", newline="") as file:
        return MappingProxyType({row["file_name"]: int(row["label"]) for row in csv.DictReader(file)})
