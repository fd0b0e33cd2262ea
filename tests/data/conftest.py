"""Small copies of benchmarks, in every layout, made from the 20 labelled photographs of the foolbox package."""

from __future__ import annotations

import csv
import importlib.util
import io
import pickle
import tarfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.data.annotations import validation_labels
from harness.data.catalog import get_benchmark
from harness.data.local import LocalDataset, open_dataset
from harness.data.locations import locate
from harness.labels.spaces import label_space

if TYPE_CHECKING:
    from conftest import LabelledPhotograph


@dataclass(frozen=True)
class Photograph:
    """A real JPEG with a validation image's name of the same class."""

    name: str
    label: int
    synset: str
    data: bytes


@pytest.fixture(scope="session")
def photographs(foolbox_images: list[LabelledPhotograph]) -> list[Photograph]:
    if importlib.util.find_spec("imagenet_x") is None:
        pytest.skip("the imagenet-x package (published labels) is not installed")
    names_of: dict[int, list[str]] = {}
    for name, label in sorted(validation_labels().items()):
        names_of.setdefault(label, []).append(name)
    synsets = label_space("imagenet-1k").classes
    return [Photograph(names_of[p.label].pop(0), p.label, synsets[p.label], p.data) for p in foolbox_images]


class Builder:
    """Writes photographs as a copy in one layout and returns what is given to `--data`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _place(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir(parents=True)
        return folder

    def class_folders(self, photographs: Iterable[Photograph]) -> Path:
        root = self._place("class-folders")
        for photograph in photographs:
            (root / photograph.synset).mkdir(exist_ok=True)
            (root / photograph.synset / photograph.name).write_bytes(photograph.data)
        return root

    def numbered_folders(self, photographs: Iterable[Photograph], offset: int = 0) -> Path:
        root = self._place("numbered-folders")
        for photograph in photographs:
            folder = root / str(photograph.label + offset)
            folder.mkdir(exist_ok=True)
            (folder / photograph.name).write_bytes(photograph.data)
        return root

    def flat(self, photographs: Iterable[Photograph]) -> Path:
        root = self._place("flat")
        for photograph in photographs:
            (root / photograph.name).write_bytes(photograph.data)
        return root

    def images_with_labels(self, photographs: list[Photograph], offset: int = 0) -> Path:
        root = self._place("labelled")
        (root / "images").mkdir()
        for photograph in photographs:
            (root / "images" / photograph.name).write_bytes(photograph.data)
        write_labels(root / "labels.csv", [(p.name, p.label + offset, p.synset) for p in photographs])
        return root

    def shards(self, photographs: list[Photograph], offset: int = 0) -> Path:
        root = self._place("shards")
        for number in range(2):
            members: list[tuple[str, bytes]] = []
            for photograph in photographs[number::2]:
                stem = photograph.name.removesuffix(".JPEG")
                members.append((f"{stem}.cls", str(photograph.label + offset).encode()))
                members.append((f"{stem}.jpg", photograph.data))
            write_tar(root / f"val-{number:06d}.tar", members)
        return root

    def parquet(self, photographs: list[Photograph], offset: int = 0, names: list[str] | None = None) -> Path:
        root = self._place("parquet")
        (root / "data").mkdir()
        for number in range(2):
            part = photographs[number::2]
            paths = names[number::2] if names is not None else [_hub_name(p) for p in part]
            table = pa.table(
                {
                    "image": [{"bytes": p.data, "path": path or None} for p, path in zip(part, paths, strict=True)],
                    "label": [p.label + offset for p in part],
                }
            )
            pq.write_table(table, root / "data" / f"validation-{number:05d}-of-00002.parquet")
        return root


def _hub_name(photograph: Photograph) -> str:
    """As the Hub's rows are named: the synset is part of the file name."""
    return photograph.name.replace(".JPEG", f"_{photograph.synset}.JPEG")


def write_labels(path: Path, rows: list[tuple[str, int, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file_name", "label", "wnid"])
        writer.writerows(rows)


def write_tar(path: Path, members: list[tuple[str, bytes]]) -> None:
    with tarfile.open(path, "w") as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def labels_of(dataset: LocalDataset) -> dict[str, int]:
    """Class index by sample id."""
    return dict(zip(dataset.samples["sample_id"], dataset.samples["label"], strict=True))


@pytest.fixture
def build(tmp_path: Path) -> Builder:
    return Builder(tmp_path / "copies")


@pytest.fixture
def opened(tmp_path: Path) -> Callable[..., LocalDataset]:
    """Opens a given copy with a cache of its own, as another process gets it: opened(PATH, benchmark="imagenet-val", condition=None)."""

    def open_given(path: Path | str, benchmark: str = "imagenet-val", condition: str | None = None) -> LocalDataset:
        entry = get_benchmark(benchmark)
        copy = open_dataset(entry, locate(entry, given=path), condition=condition, cache=tmp_path / "cache")
        sent: LocalDataset = pickle.loads(pickle.dumps(copy))
        return sent

    return open_given


@pytest.fixture
def without_imagenet_x(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine where the imagenet-x package is not installed."""
    monkeypatch.setattr("harness.data.annotations.imagenet_x_folder", lambda: None)
