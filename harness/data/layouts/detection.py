"""Which layout a copy has: looks at names only, says what it saw, and shows what was expected where it saw nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from harness.data.layouts.class_folders import class_folders
from harness.data.layouts.dollar_street import dollar_street
from harness.data.layouts.labelled_files import flat_folder, hub_metadata, images_and_labels
from harness.data.layouts.named_files import named_files
from harness.data.layouts.rows import parquet_files, saved_dataset
from harness.data.layouts.shards import tar_shards
from harness.data.layouts.unlabelled import unlabelled_images
from harness.data.sources import Place, Source, list_folder
from harness.errors import HarnessError
from harness.labels.spaces import enumerated


@dataclass(frozen=True)
class Layout:
    """One layout that copies come in."""

    example: str
    """What a copy looks like, for people; empty where only some benchmarks have it, which say so themselves."""
    find: Callable[[Place], Source | None]
    """The copy at exactly this file or folder; None where it has another layout."""
    label_sets: frozenset[bool] = frozenset({False})
    """Whether it says which one class is right (False), or which ones where that may be several (True), or either."""


_EITHER = frozenset({False, True})
LAYOUTS = (
    Layout("", named_files),
    Layout(
        "saved data set      DIR/dataset_info.json and DIR/state.json (Dataset.save_to_disk)", saved_dataset, _EITHER
    ),
    Layout(
        "images and labels   DIR/images/NAME.JPEG ... and DIR/labels.csv (file_name, and label, name or wnid)",
        images_and_labels,
    ),
    Layout(
        "the Hub's metadata  DIR/metadata.csv or DIR/metadata.jsonl (file_name, label) among the images", hub_metadata
    ),
    Layout(
        "class folders       DIR/n01440764/NAME.JPEG ... or DIR/tench/NAME.JPEG ...\n"
        "    numbered folders    DIR/0/NAME.jpeg ... DIR/999/NAME.jpeg (ImageNetV2)",
        class_folders,
    ),
    Layout("WebDataset shards   DIR/NAME-000000.tar ... (an image and a .cls a sample)", tar_shards),
    Layout(
        "Parquet             DIR/validation-00000-of-00014.parquet ... (image.bytes, image.path, label)",
        parquet_files,
        _EITHER,
    ),
    Layout(
        "flat folder         DIR/ILSVRC2012_val_00000001.JPEG ... with labels.csv or LOC_val_solution.csv beside it",
        flat_folder,
    ),
    Layout("Dollar Street       DIR/assets/... and DIR/images_v2_imagenet_test.csv", dollar_street, frozenset({True})),
)
"""The layouts in the order in which they are looked for."""


def detect(place: Place) -> tuple[Source, list[str]]:
    """The source at a place, with notes on how it was found.

    Raises HarnessError where nothing or no known layout is there; its message shows what was found and what is expected.
    """
    found = place
    for _ in range(3):  # archives wrap the copy in a folder or two of their own (val/, imagenet-a/)
        source = _source_at(found)
        if source is not None:
            inside = found.path.relative_to(place.path)
            return source, [] if found == place else [f"The copy was found in its subfolder {inside}/."]
        if len(found.listing.folders) != 1:
            break
        found = replace(found, path=found.path / found.listing.folders[0])
    expected = "\n    ".join(["one of", *filter(None, (layout.example for layout in LAYOUTS))])
    message = f"No images of {place.benchmark.name} in {place.path}: {_content(place)}. Expected {expected}"
    remedy = f"Give the folder that directly holds the copy: --data {place.benchmark.name}=DIR. {place.benchmark.get}"
    raise HarnessError(message, remedy=remedy)


def _source_at(place: Place) -> Source | None:
    if place.benchmark.outliers:
        return unlabelled_images(place)
    for layout in LAYOUTS:
        if place.benchmark.label_sets in layout.label_sets and (source := layout.find(place)) is not None:
            return source
    names = [place.path.name] if place.path.is_file() else sorted(place.others)
    compressed = [name for name in names if name.endswith((".tar.gz", ".tgz", ".zip"))]
    if compressed and not place.benchmark.label_sets:
        what = "is an archive" if place.path.is_file() else f"holds the archive {compressed[0]}"
        message = f"{place.path} {what}, which can't be read in place."
        raise HarnessError(message, remedy="Unpack it and give the folder with the images.")
    return None


def _content(place: Place) -> str:
    if place.path.is_file():
        return "it is a file of another kind"
    listing = list_folder(place.path)
    names = [f"{name}/" for name in listing.folders] + [s.path for s in listing.images + listing.others]
    return f"it holds {enumerated(names)}" if names else "the folder is empty"
