"""Copies of benchmarks on this machine: where one is, and its samples in a fixed order with proven labels.

A `LocalDataset` is the same for every layout: sample ids come from the published image names, labels are class indices in the
benchmark's label space, and digests are of the encoded bytes. Samples are in condition order, which is balanced over
classes, seeded, and a function of the sample ids alone, so that `--limit N` means the first N rows whatever
the layout.

Digests need every byte read once. The result, the manifest, is kept as Parquet in the cache under a key made from
the listing (path, size, modification time of each file): a second open reads no image. Given up: a file that changes
without changing size and modification time is not noticed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from harness.data.annotations import validation_labels, validation_labels_file
from harness.data.archives import unpacked_archive
from harness.data.catalog import Benchmark, SampleIdRule
from harness.data.images import UnreadableImageError
from harness.data.layouts import condition_folder, detect
from harness.data.rows import DatasetRows
from harness.data.sources import AnnotatedSource, Entry, FileStamp, PackageFiles, Source, package_folder
from harness.errors import ExitCode, HarnessError, MissingInputError, unknown_name
from harness.files import atomic_write
from harness.labels.spaces import LabelSpace, label_space

MANIFEST_VERSION = 1
ORDER_SEED = "harness-order-1:"

_HUB_PREFIX = "hf:"
_HASH_THREADS = min(8, 2 * (os.cpu_count() or 1))  # hashing releases the GIL; more threads than cores hide slow disks
_HASH_CHUNK = 64
_NAMES_IN_NOTES = 5

_VALIDATION_NAME = re.compile(r"ILSVRC2012_val_\d{8}")
_TRAINING_NAME = re.compile(r"n\d{8}_\d+\.")
_NAMED_SYNSET = re.compile(r"ILSVRC2012_val_\d{8}_(n\d{8})")

_MANIFEST_SCHEMA = pa.schema(
    {
        "sample_id": pa.string(),
        "label": pa.int32(),
        "digest": pa.string(),
        "place": pa.string(),
        "file": pa.string(),
        "start": pa.int64(),
        "length": pa.int64(),
    }
)


@dataclass(frozen=True)
class Location:
    """Where a copy of a benchmark is."""

    benchmark: str
    found: Literal["given", "data-home", "package", "hub"]
    """By which rule: named by the user, in HARNESS_DATA, inside an installed package, or on the Hub."""
    path: Path | None = None
    """Folder or file; None on the Hub and in a package."""
    repository: str | None = None
    """Data set id on the Hub."""
    revision: str | None = None

    def __str__(self) -> str:
        if self.repository is not None:
            return f"{_HUB_PREFIX}{self.repository}" + (f"@{self.revision}" if self.revision else "")
        return str(self.path)


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
        return self._source.annotations() if isinstance(self._source, AnnotatedSource) else None

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


def locate(
    benchmark: Benchmark, *, given: str | Path | None = None, data_home: Path | None = None, offline: bool = False
) -> Location:
    """Where the benchmark's images are: `given`, else data_home/NAME, else its package, else the Hub.

    Args:
        given: a folder, a file (.tar, .parquet) or `hf:OWNER/NAME[@REVISION]`.
        data_home: the folder that HARNESS_DATA names.
        offline: never answer with the Hub.

    Nothing is read or fetched here; `open_dataset` does that.

    Raises:
        MissingInputError: it is nowhere; the remedy says how to get it.
        HarnessError: `given` doesn't exist, or the benchmark has no images of its own.
    """
    if benchmark.scored_from is not None:
        raise HarnessError(
            f"{benchmark.name} has no images of its own: it is scored from {benchmark.scored_from}.",
            remedy=f"Give {benchmark.scored_from}: --data {benchmark.scored_from}=DIR",
        )
    if given is not None:
        return _given(benchmark, given, offline)
    if data_home is not None and (data_home / benchmark.name).exists():
        return Location(benchmark.name, "data-home", data_home / benchmark.name)
    if benchmark.package is not None and package_folder(benchmark.package) is not None:
        return Location(benchmark.name, "package", package_folder(benchmark.package))
    how = f"{benchmark.get} Then give it with --data {benchmark.name}=DIR, or put it at HARNESS_DATA/{benchmark.name}."
    if benchmark.package is not None:
        raise MissingInputError(f"{benchmark.name} is not on this machine.", remedy=benchmark.get)
    if benchmark.hub is None:
        raise MissingInputError(f"{benchmark.name} is not on this machine.", remedy=how)
    if offline:
        raise MissingInputError(
            f"{benchmark.name} is not on this machine, and the Hub is not asked (offline).", remedy=how
        )
    if benchmark.hub.gated and not _has_token():
        raise MissingInputError(
            f"{benchmark.name} is not on this machine, and {benchmark.hub.id} is gated on the Hub: no token is set.",
            remedy=how,
        )
    return Location(benchmark.name, "hub", repository=benchmark.hub.id)


def available_conditions(benchmark: Benchmark, location: Location) -> tuple[str, ...]:
    """The benchmark's conditions that the copy has a folder for; empty for benchmarks without conditions."""
    if location.path is None:
        return ()
    root = location.path
    return tuple(condition for condition in benchmark.conditions if condition_folder(root, condition) is not None)


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
        raise HarnessError(
            f"No images of {benchmark.name} in {source.root} (seen as: {source.layout}).",
            remedy=f"Expected a tree such as {_example(benchmark)}. {benchmark.get}",
        )
    path = cache / "manifests" / f"{_manifest_key(benchmark, condition, source, stamps)}.parquet"
    manifest = _load_manifest(path)
    if manifest is None:
        manifest = _build_manifest(benchmark, source, space, progress)
        atomic_write(path, lambda file: pq.write_table(manifest, file, write_page_checksum=True))
    frame = manifest.to_pandas()
    samples = frame[["sample_id", "label", "digest"]]
    notes = found_notes + json.loads(manifest.schema.metadata[b"notes"]) + _coverage_notes(benchmark, samples, space)
    return LocalDataset(
        benchmark,
        condition,
        location,
        source.layout,
        samples,
        notes,
        source,
        manifest.select(["place", "file", "start", "length"]).to_pydict(),
    )


# --- finding the source -----------------------------------------------------------------------------------------------


def _given(benchmark: Benchmark, given: str | Path, offline: bool) -> Location:
    text = str(given)
    if text.startswith(_HUB_PREFIX):
        repository = text.removeprefix(_HUB_PREFIX)
        local = Path(repository).exists()
        revision = None
        if not local and "@" in repository:
            repository, revision = repository.rsplit("@", 1)
        if offline and not local:
            raise MissingInputError(
                f"{text} was given for {benchmark.name}, but the Hub is not asked (offline).",
                remedy="Give a folder on this machine, or leave out --offline.",
            )
        return Location(benchmark.name, "given", repository=repository, revision=revision)
    path = Path(given).expanduser()
    if not path.exists():
        raise HarnessError(
            f"{path}, given for {benchmark.name}, does not exist.",
            remedy=f"Mend the path, or give a Hub data set as --data {benchmark.name}=hf:OWNER/NAME.",
            exit_code=ExitCode.USAGE,
        )
    return Location(benchmark.name, "given", path)


def _has_token() -> bool:
    from huggingface_hub import get_token

    return get_token() is not None


def _source(
    benchmark: Benchmark, location: Location, condition: str | None, space: LabelSpace, cache: Path
) -> tuple[Source, list[str]]:
    if location.found == "package" and benchmark.package is not None:
        return PackageFiles(benchmark.package, space), []
    root = location.path
    if location.repository is not None:
        hub = benchmark.hub
        if hub is None or hub.archive is None or hub.id != location.repository:
            return DatasetRows.from_hub(location.repository, location.revision, benchmark, space), []
        root = unpacked_archive(hub.id, hub.archive, location.revision, cache / "unpacked")
    assert root is not None  # a location without a repository has a path
    if benchmark.corruptions is not None:
        root = _condition_root(benchmark, root, condition)
    elif condition is not None:
        raise HarnessError(f"{benchmark.name} has no conditions, but '{condition}' was asked for.")
    return detect(root, benchmark, space, rows_cache=cache / "rows")


def _condition_root(benchmark: Benchmark, root: Path, condition: str | None) -> Path:
    if condition is None or condition not in benchmark.conditions:
        raise unknown_name(f"condition of {benchmark.name}", condition or "", benchmark.conditions)
    folder = condition_folder(root, condition)
    if folder is None:
        raise MissingInputError(
            f"{benchmark.name}: {root} has no folder {condition}.",
            remedy=f"Add {root / condition}. {benchmark.get}",
        )
    return folder


def _example(benchmark: Benchmark) -> str:
    tail = "n01440764/" if benchmark.sample_id != "stem" else "0/"
    return f"DIR/{tail}IMAGE.JPEG"


# --- the manifest -----------------------------------------------------------------------------------------------------


def _manifest_key(benchmark: Benchmark, condition: str | None, source: Source, stamps: Sequence[FileStamp]) -> str:
    """SHA-256 over all that decides the manifest: what was asked, how it was read, and which files are there."""
    asked = [
        MANIFEST_VERSION,
        benchmark.name,
        benchmark.sample_id,
        condition,
        source.layout,
        str(source.root.absolute()),
    ]
    digest = hashlib.sha256(json.dumps(asked).encode())
    installed = validation_labels_file()
    if installed is not None:  # labels are checked against it
        digest.update(f"{installed}\t{installed.stat().st_mtime_ns}\n".encode())
    for stamp in stamps:
        digest.update(f"{stamp.path}\t{stamp.size}\t{stamp.mtime_ns}\n".encode("utf-8", errors="surrogateescape"))
    return digest.hexdigest()


def _load_manifest(path: Path) -> pa.Table | None:
    """The cached manifest; None where there is none or it is damaged (it is then made again)."""
    try:
        table = pq.read_table(path, page_checksum_verification=True)
    except (OSError, pa.ArrowException):
        return None
    return table if table.schema.equals(_MANIFEST_SCHEMA) and b"notes" in (table.schema.metadata or {}) else None


def _build_manifest(
    benchmark: Benchmark, source: Source, space: LabelSpace, progress: Callable[[int, int], None] | None
) -> pa.Table:
    index = source.index()
    entries = index.entries
    if not entries:
        raise HarnessError(
            f"No images of {benchmark.name} in {source.root} (seen as: {source.layout}).",
            remedy=f"Expected a tree such as {_example(benchmark)}. {benchmark.get}",
        )
    names = [sample_id(benchmark.sample_id, entry.name, space.synsets[entry.label]) for entry in entries]
    _check_duplicates(names, entries, source)
    if benchmark.sample_id == "ilsvrc":
        _check_labels(names, entries, source, space)
    digests = _digests(source, entries, progress)
    ids = _ids_with_fallback(names, [entry.label for entry in entries], digests)
    order = condition_order(ids, [entry.label for entry in entries])
    columns = {
        "sample_id": ids,
        "label": [entry.label for entry in entries],
        "digest": digests,
        "place": [entry.place for entry in entries],
        "file": [entry.file for entry in entries],
        "start": [entry.start for entry in entries],
        "length": [entry.length for entry in entries],
    }
    table = pa.table(columns, schema=_MANIFEST_SCHEMA).take(pa.array(order))
    return table.replace_schema_metadata({"notes": json.dumps(index.notes + _naming_notes(names, benchmark))})


def sample_id(rule: SampleIdRule, name: str, synset: str) -> str | None:
    """The sample id of an image by its published name; None where the name doesn't carry one.

    Raises:
        HarnessError: the name is that of an ImageNet training image.
    """
    base = PurePosixPath(name).name
    if rule == "ilsvrc":
        if match := _VALIDATION_NAME.search(base):
            return f"{match[0]}.JPEG"
        if _TRAINING_NAME.match(base):
            raise HarnessError(
                f"{name} is the name of an ImageNet training image, not of a validation image.",
                remedy="Give the validation set; accuracy on training images means nothing.",
            )
        return None
    if not base:
        return None
    return PurePosixPath(base).stem if rule == "stem" else f"{synset}/{base}"


def condition_order(sample_ids: Sequence[str], labels: Sequence[int]) -> np.ndarray:
    """Positions of the samples in condition order: balanced over classes and independent of how they were listed.

    Within each class samples are ranked by SHA-256(ORDER_SEED + sample id); then all are sorted by (rank, that hash),
    so that in every prefix the counts of any two classes that still have samples differ by at most one.

    Returns:
        int64 array of shape (len(sample_ids),), a permutation.
    """
    frame = pd.DataFrame(
        {
            "label": np.asarray(labels, dtype=np.int32),
            "key": [hashlib.sha256((ORDER_SEED + sample_id).encode()).hexdigest() for sample_id in sample_ids],
        }
    )
    frame = frame.sort_values("key", kind="stable")
    frame["rank"] = frame.groupby("label").cumcount()
    return frame.sort_values(["rank", "key"], kind="stable").index.to_numpy(dtype=np.int64)


def _check_duplicates(names: Sequence[str | None], entries: Sequence[Entry], source: Source) -> None:
    seen: dict[str, Entry] = {}
    for name, entry in zip(names, entries, strict=True):
        if name is None:
            continue
        first = seen.setdefault(name, entry)
        if first is not entry:
            raise HarnessError(
                f"{source.root}: {first.place} and {entry.place} are both sample {name}.",
                remedy="Remove one of them; a copy holds each image once.",
            )


def _check_labels(names: Sequence[str | None], entries: Sequence[Entry], source: Source, space: LabelSpace) -> None:
    """Compare labels with the synset in the image's name, and with the published labels where these are installed."""
    published = validation_labels() if validation_labels_file() is not None and space.name == "imagenet-1k" else {}
    wrong = []
    for name, entry in zip(names, entries, strict=True):
        named = _NAMED_SYNSET.search(entry.name)
        right = space.index(named[1]) if named and named[1] in space else published.get(name or "", entry.label)
        if entry.label != right:
            wrong.append((entry, right))
    if not wrong:
        return
    entry, right = wrong[0]
    too_high = len(wrong) == len(entries) and all(entry.label == right + 1 for entry, right in wrong)
    raise HarnessError(
        f"{source.root}: {entry.place} has label {entry.label}, but this image is class {right} "
        f"({space.synsets[right]}); {len(wrong):,} of {len(entries):,} labels are wrong."
        + (" Every one is one too high: the labels count from 1." if too_high else ""),
        remedy="Mend the labels: class indices count from 0, in the order of the sorted synsets.",
    )


def _digests(source: Source, entries: Sequence[Entry], progress: Callable[[int, int], None] | None) -> list[str]:
    """SHA-256 (hex) of each image's encoded bytes, in the order of `entries`."""

    def digests_of(chunk: Sequence[Entry]) -> list[str]:
        hashes = []
        for entry in chunk:
            try:
                hashes.append(hashlib.sha256(source.read(entry.file, entry.start, entry.length)).hexdigest())
            except OSError as error:
                raise HarnessError(
                    f"Can't read {source.root}/{entry.place}: {error.strerror or error}.",
                    remedy="Mend its permissions or the disk, or remove the file from the copy.",
                ) from error
        return hashes

    digests: list[str] = []
    with ThreadPoolExecutor(_HASH_THREADS) as pool:
        for chunk in pool.map(digests_of, _chunks(entries)):
            digests += chunk
            if progress is not None:
                progress(len(digests), len(entries))
    return digests


def _chunks(entries: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    return (entries[start : start + _HASH_CHUNK] for start in range(0, len(entries), _HASH_CHUNK))


def _ids_with_fallback(names: Sequence[str | None], labels: Sequence[int], digests: Sequence[str]) -> list[str]:
    """The names as ids; images without one get an id from their content, numbered where the same bytes recur."""
    ids = [name or "" for name in names]
    unnamed = sorted((digests[i], labels[i], i) for i, name in enumerate(names) if name is None)
    seen: Counter[str] = Counter()
    for digest, _, i in unnamed:
        seen[digest] += 1
        ids[i] = f"sha256-{digest[:32]}" + (f"-{seen[digest]}" if seen[digest] > 1 else "")
    return ids


# --- notes ------------------------------------------------------------------------------------------------------------


def _naming_notes(names: Sequence[str | None], benchmark: Benchmark) -> list[str]:
    unnamed = sum(name is None for name in names)
    if not unnamed:
        return []
    consequence = (
        " They can't be joined with annotations by name (ReaL, ImageNet-X), and their labels couldn't be checked."
        if benchmark.sample_id == "ilsvrc"
        else ""
    )
    return [
        f"{unnamed:,} of {len(names):,} images carry no published name; their sample ids are made from their content."
        + consequence
    ]


def _coverage_notes(benchmark: Benchmark, samples: pd.DataFrame, space: LabelSpace) -> list[str]:
    notes = []
    if len(samples) < benchmark.size and benchmark.package is None:
        notes.append(f"A partial copy: {len(samples):,} of {benchmark.size:,} images.")
    if len(samples) > benchmark.size:
        notes.append(f"{len(samples):,} images, more than the {benchmark.size:,} that were published.")
    missing = sorted(set(range(len(space))) - set(samples["label"]))
    if missing and benchmark.size >= len(space):
        named = ", ".join(space.synsets[label] for label in missing[:_NAMES_IN_NOTES])
        more = f" and {len(missing) - _NAMES_IN_NOTES:,} more" if len(missing) > _NAMES_IN_NOTES else ""
        notes.append(f"{len(missing):,} of {len(space):,} classes have no images: {named}{more}.")
    return notes
