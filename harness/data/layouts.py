"""Which layout a copy has: looks at names only, says what it saw, and shows what was expected where it saw nothing."""

from __future__ import annotations

from pathlib import Path

from harness.data.catalog import Benchmark
from harness.data.dollarstreet import DollarStreet
from harness.data.rows import DatasetRows
from harness.data.sources import (
    SYNSET,
    ClassFolders,
    LabelledFiles,
    Source,
    TarShards,
    flat_folder,
    list_folder,
    read_labels_csv,
)
from harness.errors import HarnessError
from harness.labels.spaces import LabelSpace

_EXPECTED = """one of
    class folders       DIR/n01440764/NAME.JPEG ...
    numbered folders    DIR/0/NAME.jpeg ... DIR/999/NAME.jpeg (ImageNetV2)
    flat folder         DIR/ILSVRC2012_val_00000001.JPEG ... with labels.csv or LOC_val_solution.csv beside it
    images and labels   DIR/images/NAME.JPEG ... and DIR/labels.csv (file_name, label, wnid)
    WebDataset shards   DIR/NAME-000000.tar ... (an image and a .cls a sample)
    Dollar Street       DIR/assets/... and DIR/images_v2_imagenet_test.csv
    Parquet             DIR/validation-00000-of-00014.parquet ... (image.bytes, image.path, label)"""


def condition_folder(root: Path, condition: str) -> Path | None:
    """The folder of a corruption's cell `corruption/severity`; None where the copy lacks it.

    The official archives may lie unpacked in one folder, or each in a folder of its own (noise/, blur/, ...).
    """
    for folder in (root / condition, *sorted(root.glob(f"*/{condition}"))):
        if folder.is_dir():
            return folder
    return None


def detect(root: Path, benchmark: Benchmark, space: LabelSpace, *, rows_cache: Path) -> tuple[Source, list[str]]:
    """The layout of the copy at `root`, with notes on how it was found.

    Args:
        rows_cache: folder for the random-access form of Parquet files.

    Raises:
        HarnessError: nothing there, or no known layout; the message shows what was found and what is expected.
    """
    found = root
    for _ in range(3):  # archives wrap the copy in a folder or two of their own (val/, imagenet-a/)
        source = _layout_of(found, benchmark, space, rows_cache)
        if source is not None:
            return source, [] if found == root else [f"The copy was found in its subfolder {found.relative_to(root)}/."]
        folders = list_folder(found).folders if found.is_dir() else []
        if len(folders) != 1:
            break
        found = found / folders[0]
    raise HarnessError(
        f"No images of {benchmark.name} in {root}: {_content(root)}. Expected {_EXPECTED}",
        remedy=f"Give the folder that directly holds the copy: --data {benchmark.name}=DIR. {benchmark.get}",
    )


def _layout_of(place: Path, benchmark: Benchmark, space: LabelSpace, rows_cache: Path) -> Source | None:
    """The layout of exactly this file or folder, or None."""
    if place.is_file():
        if place.suffix == ".tar":
            return TarShards(place.parent, space, frozenset({place.name}))
        if place.suffix == ".parquet":
            return DatasetRows.from_parquet(place.parent, [place], benchmark, space, rows_cache)
        return None
    if benchmark.label_sets:  # no other layout says which classes are right
        return DollarStreet(place, space) if DollarStreet.is_here(place) else None
    listing = list_folder(place)
    others = {stamp.path for stamp in listing.others}
    if {"dataset_info.json", "state.json"} <= others:
        return DatasetRows.from_saved(place, benchmark, space)
    if "labels.csv" in others and "images" in listing.folders:
        return LabelledFiles(
            place / "images", place / "labels.csv", "images/ with labels.csv", lambda path: read_labels_csv(path, space)
        )
    if any(SYNSET.fullmatch(name) for name in listing.folders):
        return ClassFolders(place, space)
    if any(name.isascii() and name.isdigit() for name in listing.folders):
        return ClassFolders(place, space, numbered=True)
    shards = frozenset(name for name in others if name.endswith(".tar"))
    if shards:
        return TarShards(place, space, shards)
    parquet = sorted([*place.glob("*.parquet"), *place.glob("*/*.parquet")])  # the Hub keeps them in data/
    if parquet:
        return DatasetRows.from_parquet(place, parquet, benchmark, space, rows_cache)
    if listing.images:
        return flat_folder(place, space)
    compressed = [name for name in sorted(others) if name.endswith((".tar.gz", ".tgz", ".zip"))]
    if compressed:
        raise HarnessError(
            f"{place} holds the archive {compressed[0]}, which can't be read in place.",
            remedy="Unpack it and give the folder with the images.",
        )
    return None


def _content(place: Path) -> str:
    """What is in a folder, in a few words."""
    if place.is_file():
        return "it is a file of another kind"
    listing = list_folder(place)
    names = [f"{name}/" for name in listing.folders] + [s.path for s in listing.images + listing.others]
    if not names:
        return "the folder is empty"
    shown = ", ".join(names[:5])
    return f"it holds {shown}" + (f" and {len(names) - 5:,} more" if len(names) > 5 else "")
