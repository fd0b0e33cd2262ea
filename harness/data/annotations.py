"""Labels that belong to the ILSVRC-2012 validation images beyond a copy's own: ReaL, and the published labels by name.

Both ship inside installed packages and are read as files: neither package is imported.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

from harness.errors import HarnessError, MissingInputError
from harness.labels.spaces import installed_folder, timm_info_folder
from harness.parsing.files import MalformedError
from harness.parsing.json import read_json

VALIDATION_IMAGES = 50_000
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
