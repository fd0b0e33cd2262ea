"""The manifest of a copy: the samples of one condition with proven labels, sample ids, digests and a fixed order.

Sample ids come from the published image names, digests are of the encoded bytes. Samples are in condition order, which
is balanced over classes, seeded, and a function of the sample ids alone, so that `--limit N` means the first N rows
whatever the layout.

Digests need every byte read once, so a manifest is kept as Parquet under a key made from the listing (path, size,
modification time of each file). Given up: a file that changes without changing size and modification time is not
noticed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from harness.data.annotations import validation_labels, validation_labels_file
from harness.data.catalog import Benchmark, SampleIdRule
from harness.data.sources import Entry, FileStamp, Source
from harness.errors import HarnessError
from harness.files import atomic_write
from harness.labels.spaces import LabelSpace, enumerated
from harness.parsing.files import MalformedError
from harness.parsing.tables import read_parquet

MANIFEST_VERSION = 1
ORDER_SEED = "harness-order-1:"

_HASH_THREADS = min(8, 2 * (os.cpu_count() or 1))  # hashing releases the GIL; more threads than cores hide slow disks
_HASH_CHUNK = 64

_VALIDATION_NAME = re.compile(r"ILSVRC2012_val_\d{8}")
_TRAINING_NAME = re.compile(r"n\d{8}_\d+\.")
_NAMED_SYNSET = re.compile(r"ILSVRC2012_val_\d{8}_(n\d{8})")

_TYPES = {"label": pa.int32(), "start": pa.int64(), "length": pa.int64()}
_COLUMNS = ("sample_id", "label", "digest", "place", "file", "start", "length")
_SCHEMA = pa.schema([(name, _TYPES.get(name, pa.string())) for name in _COLUMNS])


def manifest_key(benchmark: Benchmark, condition: str | None, source: Source, stamps: Sequence[FileStamp]) -> str:
    """SHA-256 over all that decides the manifest: what was asked, how it was read, and which files are there."""
    root = str(source.root.absolute())
    asked = [MANIFEST_VERSION, benchmark.name, benchmark.sample_id, condition, source.layout, root]
    if benchmark.classes is not None:
        asked.append(benchmark.classes)
    digest = hashlib.sha256(json.dumps(asked).encode())
    installed = validation_labels_file()
    if installed is not None:  # labels are checked against it
        digest.update(f"{installed}\t{installed.stat().st_mtime_ns}\n".encode())
    for stamp in stamps:
        digest.update(f"{stamp.path}\t{stamp.size}\t{stamp.mtime_ns}\n".encode("utf-8", errors="surrogateescape"))
    return digest.hexdigest()


def load_table(path: Path) -> pa.Table | None:
    """A kept Parquet table; None where there is none or it is damaged (it is then made again)."""
    try:
        return read_parquet(path)
    except MalformedError:
        return None


def save_table(path: Path, table: pa.Table) -> None:
    """Keep a table, with checksums. Raises HarnessError: full disk, read-only place."""
    atomic_write(path, lambda file: pq.write_table(table, file, write_page_checksum=True))


def load_manifest(path: Path) -> pa.Table | None:
    """The kept manifest; None where it has to be made."""
    table = load_table(path)
    is_whole = table is not None and table.schema.equals(_SCHEMA) and b"notes" in (table.schema.metadata or {})
    return table if is_whole else None


def build_manifest(
    benchmark: Benchmark, source: Source, space: LabelSpace, progress: Callable[[int], None]
) -> pa.Table:
    index = source.index()
    entries = index.entries
    if not entries:
        raise no_images(benchmark, source)
    names = [sample_id(benchmark.sample_id, entry.name, space.classes[entry.label]) for entry in entries]
    if benchmark.is_own:  # a table of images may keep the same name for many
        counts = Counter(names)
        names = [name if counts[name] == 1 else None for name in names]
    seen: dict[str, Entry] = {}
    for name, entry in zip(names, entries, strict=True):
        if name is not None and (first := seen.setdefault(name, entry)) is not entry:
            message = f"{source.root}: {first.place} and {entry.place} are both sample {name}."
            raise HarnessError(message, remedy="Remove one of them; a copy holds each image once.")
    if benchmark.sample_id == "ilsvrc":
        _check_labels(names, entries, source, space)
    digests = _digests(source, entries, progress)
    notes = list(index.notes)
    if unnamed := names.count(None):
        notes.append(
            f"{unnamed:,} of {len(names):,} images carry no {'name of their own' if benchmark.is_own else 'published name'}; their sample ids are made from their content."
        )
        if benchmark.sample_id == "ilsvrc":
            notes[-1] += (
                " They can't be joined with annotations by name (ReaL, ImageNet-X), and their labels couldn't be checked."
            )
    labels = [entry.label for entry in entries]
    ids = _ids_with_fallback(names, labels, digests)
    fields = ("label", "place", "file", "start", "length")
    columns = {"sample_id": ids, "digest": digests, **{name: [getattr(e, name) for e in entries] for name in fields}}
    table = pa.table(columns, schema=_SCHEMA).take(pa.array(condition_order(ids, labels)))
    return table.replace_schema_metadata({"notes": json.dumps(notes)})


def sample_id(rule: SampleIdRule, name: str, class_: str) -> str | None:
    """The sample id of an image by its published name; None where the name doesn't carry one.

    Raises HarnessError: the name is that of an ImageNet training image.
    """
    base = PurePosixPath(name).name
    if rule == "ilsvrc":
        match = _VALIDATION_NAME.search(base)
        if match is None and _TRAINING_NAME.match(base):
            message = f"{name} is the name of an ImageNet training image, not of a validation image."
            raise HarnessError(message, remedy="Give the validation set; accuracy on training images means nothing.")
        return f"{match[0]}.JPEG" if match else None
    if not base or rule in ("file", "path"):
        return name or None
    return PurePosixPath(base).stem if rule == "stem" else f"{class_}/{base}"


def condition_order(sample_ids: Sequence[str], labels: Sequence[int]) -> np.ndarray:
    """Positions of the samples in condition order: balanced over classes and independent of how they were listed.

    Within each class samples are ranked by SHA-256(ORDER_SEED + sample id); then all are sorted by (rank, that hash),
    so that in every prefix the counts of any two classes that still have samples differ by at most one.

    Returns int64 array of shape (len(sample_ids),), a permutation.
    """
    keys = [hashlib.sha256((ORDER_SEED + sample_id).encode()).hexdigest() for sample_id in sample_ids]
    frame = pd.DataFrame({"label": np.asarray(labels, dtype=np.int32), "key": keys}).sort_values("key", kind="stable")
    frame["rank"] = frame.groupby("label").cumcount()
    return frame.sort_values(["rank", "key"], kind="stable").index.to_numpy(dtype=np.int64)


def _check_labels(names: Sequence[str | None], entries: Sequence[Entry], source: Source, space: LabelSpace) -> None:
    """Compare labels with the synset in the image's name, and with the published labels where these are installed."""
    published = _published_labels(space)
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
        f"({space.classes[right]}); {len(wrong):,} of {len(entries):,} labels are wrong."
        + (" Every one is one too high: the labels count from 1." if too_high else ""),
        remedy="Mend the labels: class indices count from 0, in the order of the sorted synsets.",
    )


def _published_labels(space: LabelSpace) -> Mapping[str, int]:
    """The labels of the validation images by sample id; none where they aren't installed, or have other classes."""
    return validation_labels() if validation_labels_file() is not None and space.name == "imagenet-1k" else {}


def _digests(source: Source, entries: Sequence[Entry], progress: Callable[[int], None]) -> list[str]:
    """SHA-256 (hex) of each image's encoded bytes, in the order of `entries`."""

    def digest_of(entry: Entry) -> str:
        try:
            return hashlib.sha256(source.read(entry.file, entry.start, entry.length)).hexdigest()
        except OSError as error:
            message = f"Can't read {source.root}/{entry.place}: {error.strerror or error}."
            remedy = "Mend its permissions or the disk, or remove the file from the copy."
            raise HarnessError(message, remedy=remedy) from error

    chunks = [entries[start : start + _HASH_CHUNK] for start in range(0, len(entries), _HASH_CHUNK)]
    digests: list[str] = []
    with ThreadPoolExecutor(_HASH_THREADS) as pool:
        for found in pool.map(lambda chunk: [digest_of(entry) for entry in chunk], chunks):
            digests += found
            progress(len(found))
    return digests


def _ids_with_fallback(names: Sequence[str | None], labels: Sequence[int], digests: Sequence[str]) -> list[str]:
    """The names as ids; images without one get an id from their content, numbered where the same bytes recur."""
    ids = [name or "" for name in names]
    seen: Counter[str] = Counter()
    for digest, _, i in sorted((digests[i], labels[i], i) for i, name in enumerate(names) if name is None):
        seen[digest] += 1
        ids[i] = f"sha256-{digest[:32]}" + (f"-{seen[digest]}" if seen[digest] > 1 else "")
    return ids


def no_images(benchmark: Benchmark, source: Source) -> HarnessError:
    """An error for a copy without images."""
    folder = {"stem": "0", "path": "CLASS"}.get(benchmark.sample_id, "n01440764")
    message = f"No images of {benchmark.name} in {source.root} (seen as: {source.layout})."
    remedy = f"Expected a tree such as DIR/{folder}/IMAGE.JPEG. {benchmark.get}"
    return HarnessError(message, remedy=remedy)


def coverage_notes(benchmark: Benchmark, samples: pd.DataFrame, space: LabelSpace) -> list[str]:
    """How far a copy is from the whole benchmark, in sentences."""
    notes = []
    if len(samples) < benchmark.size and benchmark.package is None:
        known = _published_labels(space) if benchmark.sample_id == "ilsvrc" and len(samples) else {}
        absent = known.keys() - set(samples["sample_id"]) if len(known) == benchmark.size else ()
        named = f", without {enumerated(sorted(absent))}" if absent else ""
        notes.append(f"A partial copy: {len(samples):,} of {benchmark.size:,} images{named}.")
    if len(samples) > benchmark.size and not benchmark.is_own:
        notes.append(f"{len(samples):,} images, more than the {benchmark.size:,} that were published.")
    missing = [] if benchmark.outliers else sorted(set(range(len(space))) - set(samples["label"]))
    if missing and (benchmark.is_own or benchmark.size >= len(space)):
        named = enumerated(space.classes[label] for label in missing)
        notes.append(f"{len(missing):,} of {len(space):,} classes have no images: {named}.")
    return notes
