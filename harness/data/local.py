"""Copies of benchmarks on this machine: their samples in a fixed order with proven labels, the same for every layout.

An archive on the Hub that holds a publisher's folder (ImageNetV2, ImageNet-Sketch) is fetched and unpacked once, to a
folder of another name, which is renamed when it is whole: a folder that is there is complete.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from harness.data.catalog import Benchmark
from harness.data.layouts.detection import detect
from harness.data.layouts.named_files import package_files
from harness.data.layouts.rows import hub_dataset
from harness.data.layouts.unlabelled import generated_noise
from harness.data.locations import Location, condition_folder
from harness.data.manifest import build_manifest, coverage_notes, load_manifest, manifest_key, no_images, save_table
from harness.data.sources import Place, Source
from harness.errors import HarnessError, MissingInputError, require_known
from harness.labels.spaces import LabelSpace
from harness.parsing.archives import unpack
from harness.parsing.images import UnreadableImageError
from harness.parsing.json import parse_json


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

        Raises UnreadableImageError: the file has gone or can't be read.
        """
        places = self._places
        try:
            return self._source.read(places["file"][position], places["start"][position], places["length"][position])
        except OSError as error:
            place = f"{self._source.root}/{places['place'][position]}"
            raise UnreadableImageError(f"Can't read {place}: {error.strerror or error}.") from error

    def take(self, positions: Sequence[int]) -> LocalDataset:
        """Some of the samples, in this order."""
        places = {name: [column[at] for at in positions] for name, column in self._places.items()}
        return replace(self, samples=self.samples.iloc[list(positions)].reset_index(drop=True), _places=places)

    def fingerprint(self, n: int | None = None) -> str:
        """SHA-256 (hex) over the sorted (sample_id, label, digest) of the first `n` samples, or of all."""
        return samples_fingerprint(self.samples[["sample_id", "label", "digest"]].iloc[:n].itertuples(index=False))


def samples_fingerprint(rows: Iterable[tuple[str, int, str]]) -> str:
    """SHA-256 (hex) over the sorted (sample_id, label, digest) of some samples."""
    lines = sorted(f"{sample_id}\t{label}\t{digest}\n" for sample_id, label, digest in rows)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def open_dataset(
    benchmark: Benchmark,
    location: Location,
    *,
    condition: str | None = None,
    cache: Path,
    progress: Callable[[int], None] = lambda done: None,
) -> LocalDataset:
    """The samples at `location`, with labels proven and every image hashed.

    Args:
        condition: `corruption/severity`, required for (and only for) a benchmark with corruptions.
        cache: folder for manifests and unpacked data; may be deleted at any time.
        progress: called with the number of images hashed since the last call, from this thread.

    Raises MissingInputError: the condition, the labels, or access to the data is missing.
    Raises HarnessError: no images, labels that can't be right, two images with one id.
    """
    space = benchmark.space
    source, found_notes = find_source(benchmark, location, condition, space, cache)
    stamps = source.stamps()
    if not stamps:
        raise no_images(benchmark, source)
    path = cache / "manifests" / f"{manifest_key(benchmark, condition, source, stamps)}.parquet"
    manifest = load_manifest(path)
    if manifest is None:
        manifest = build_manifest(benchmark, source, space, progress)
        save_table(path, manifest)
    samples = manifest.to_pandas()[["sample_id", "label", "digest"]]
    if benchmark.is_own:
        benchmark = benchmark.model_copy(update={"size": len(samples)})
    notes = (
        found_notes
        + parse_json(manifest.schema.metadata[b"notes"], "the notes", list[str])
        + coverage_notes(benchmark, samples, space)
    )
    places = manifest.select(["place", "file", "start", "length"]).to_pydict()
    return LocalDataset(benchmark, condition, location, source.layout, samples, notes, source, places)


def find_source(
    benchmark: Benchmark, location: Location, condition: str | None, space: LabelSpace, cache: Path
) -> tuple[Source, list[str]]:
    """The copy at a location in the layout it has, with notes on how it was found; labels are read in `space`.

    Raises MissingInputError: the condition, or access to the data, is missing.
    Raises HarnessError: no known layout is there.
    """
    if location.found == "package" and benchmark.package is not None:
        assert location.path is not None  # it was located
        return package_files(location.path, benchmark.package, space), []
    if location.found == "generated":
        return generated_noise(benchmark), []
    root = location.path
    if location.repository is not None:
        hub = benchmark.hub
        if hub is None or hub.archive is None or hub.id != location.repository:
            return hub_dataset(location.repository, location.revision, benchmark, space), []
        root = unpacked_archive(hub.id, hub.archive, location.revision, cache / "unpacked")
    assert root is not None  # a location without a repository has a path
    if benchmark.corruptions is not None:
        condition = condition or ""
        require_known(f"condition of {benchmark.name}", condition, benchmark.conditions)
        folder = condition_folder(root, condition)
        if folder is None:
            why = f"{benchmark.name}: {root} has no folder {condition}."
            raise MissingInputError(why, remedy=f"Add {root / condition}. {benchmark.get}")
        root = folder
    elif condition is not None:
        raise HarnessError(f"{benchmark.name} has no conditions, but '{condition}' was asked for.")
    return detect(Place(root, benchmark, space, cache))


def unpacked_archive(repository: str, archive: str, revision: str | None, folder: Path) -> Path:
    """The unpacked content of `archive` in a Hub data set, fetched if need be.

    `archive` is a path in the repository (.tar.gz or .zip), `folder` keeps what is unpacked.

    Raises MissingInputError: no network, no access, or no such file.
    Raises HarnessError: the archive is damaged, or the disk is full.
    """
    from huggingface_hub import hf_hub_download

    try:
        file = Path(hf_hub_download(repository, archive, repo_type="dataset", revision=revision))
    except (OSError, ValueError) as error:  # the Hub's errors are one or the other
        raise MissingInputError(
            f"Can't fetch {archive} of {repository} from the Hub: {' '.join(str(error).split())}",
            remedy=f"Check the network, or fetch it from https://huggingface.co/datasets/{repository}, unpack it, "
            "and give the folder with --data NAME=DIR.",
        ) from error
    commit = file.resolve().name if file.is_symlink() else str(file.stat().st_size)
    return unpack(file, folder / f"{repository.replace('/', '--')}--{Path(archive).name}--{commit[:16]}")
