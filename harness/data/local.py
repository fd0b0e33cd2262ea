"""Copies of benchmarks on this machine: their samples in a fixed order with proven labels, the same for every layout."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from harness.data.archives import unpacked_archive
from harness.data.catalog import Benchmark
from harness.data.images import UnreadableImageError
from harness.data.layouts.detection import detect
from harness.data.layouts.package import PackageFiles
from harness.data.layouts.rows import hub_dataset
from harness.data.locations import Location, condition_folder
from harness.data.manifest import build_manifest, coverage_notes, load_manifest, manifest_key, no_images, save_table
from harness.data.sources import Place, Source
from harness.errors import HarnessError, MissingInputError, unknown_name
from harness.labels.spaces import LabelSpace, label_space


@dataclass(frozen=True)
class LocalDataset:
    """The samples of one condition of a benchmark, as they are on this machine."""

    benchmark: Benchmark
    condition: str | None
    """`corruption/severity`, or None."""
    location: Location
    layout: str
    """The layout that was seen, in words."""
    samples: pd.DataFrame
    """One row a sample in condition order: sample_id (str), label (int32), digest (SHA-256 of the bytes, hex)."""
    notes: list[str]
    """What a reader of the results must know: missing classes, n of N, ignored files."""
    _source: Source
    _places: dict[str, list[Any]]
    """Columns parallel to `samples`: place (for messages), file, start, length."""

    @property
    def table(self) -> pd.DataFrame | None:
        """The benchmark's own annotations, indexed by sample id, where its copies come with some."""
        return self._source.annotations()

    @property
    def files(self) -> list[str]:
        """Where each sample's image lies below the copy's folder; with the archive's or table's name before it."""
        return list(self._places["place"])

    def __len__(self) -> int:
        return len(self.samples)

    def read(self, position: int) -> bytes:
        """Encoded bytes of the sample at `position` in condition order; safe to call from many threads and processes.

        Raises:
            UnreadableImageError: the file has gone or can't be read.
        """
        places = self._places
        try:
            return self._source.read(places["file"][position], places["start"][position], places["length"][position])
        except OSError as error:
            place = f"{self._source.root}/{places['place'][position]}"
            raise UnreadableImageError(f"Can't read {place}: {error.strerror or error}.") from error

    def fingerprint(self, n: int | None = None) -> str:
        """SHA-256 (hex) over the sorted (sample_id, label, digest) of the first `n` samples, or of all."""
        rows = self.samples.iloc[:n]
        lines = sorted(
            f"{sample_id}\t{label}\t{digest}\n"
            for sample_id, label, digest in zip(rows["sample_id"], rows["label"], rows["digest"], strict=True)
        )
        return hashlib.sha256("".join(lines).encode()).hexdigest()


def open_dataset(
    benchmark: Benchmark,
    location: Location,
    *,
    condition: str | None = None,
    cache: Path,
    progress: Callable[[int, int], None] | None = None,
) -> LocalDataset:
    """The samples at `location`, with labels proven and every image hashed.

    Args:
        condition: `corruption/severity`, required for (and only for) a benchmark with corruptions.
        cache: folder for manifests and unpacked data; may be deleted at any time.
        progress: called with (images hashed, images in all), from this thread.

    Raises:
        MissingInputError: the condition, the labels, or access to the data is missing.
        HarnessError: no images, labels that can't be right, two images with one id.
    """
    space = label_space(benchmark.label_space)
    source, found_notes = _source(benchmark, location, condition, space, cache)
    stamps = source.stamps()
    if not stamps:
        raise no_images(benchmark, source)
    path = cache / "manifests" / f"{manifest_key(benchmark, condition, source, stamps)}.parquet"
    manifest = load_manifest(path)
    if manifest is None:
        manifest = build_manifest(benchmark, source, space, progress)
        save_table(path, manifest)
    samples = manifest.to_pandas()[["sample_id", "label", "digest"]]
    notes = found_notes + json.loads(manifest.schema.metadata[b"notes"]) + coverage_notes(benchmark, samples, space)
    places = manifest.select(["place", "file", "start", "length"]).to_pydict()
    return LocalDataset(benchmark, condition, location, source.layout, samples, notes, source, places)


def _source(
    benchmark: Benchmark, location: Location, condition: str | None, space: LabelSpace, cache: Path
) -> tuple[Source, list[str]]:
    if location.found == "package" and benchmark.package is not None:
        assert location.path is not None  # it was located
        return PackageFiles(
            location.path, f"files of the package {benchmark.package.module}", benchmark.package, space
        ), []
    root = location.path
    if location.repository is not None:
        hub = benchmark.hub
        if hub is None or hub.archive is None or hub.id != location.repository:
            return hub_dataset(location.repository, location.revision, benchmark, space), []
        root = unpacked_archive(hub.id, hub.archive, location.revision, cache / "unpacked")
    assert root is not None  # a location without a repository has a path
    if benchmark.corruptions is not None:
        root = _condition_root(benchmark, root, condition)
    elif condition is not None:
        raise HarnessError(f"{benchmark.name} has no conditions, but '{condition}' was asked for.")
    return detect(Place(root, benchmark, space, cache))


def _condition_root(benchmark: Benchmark, root: Path, condition: str | None) -> Path:
    if condition is None or condition not in benchmark.conditions:
        raise unknown_name(f"condition of {benchmark.name}", condition or "", benchmark.conditions)
    folder = condition_folder(root, condition)
    if folder is None:
        raise MissingInputError(
            f"{benchmark.name}: {root} has no folder {condition}.", remedy=f"Add {root / condition}. {benchmark.get}"
        )
    return folder
