"""Locating a copy, the order of its samples, and the cache of what was hashed."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.data.catalog import get_benchmark
from harness.data.layouts.class_folders import ClassFolders
from harness.data.local import open_dataset
from harness.data.locations import Location, locate
from harness.data.manifest import condition_order, sample_id
from harness.errors import ExitCode, HarnessError, MissingInputError
from harness.parsing.images import UnreadableImageError, load_image

# --- where a copy is ---


def test_what_is_given_comes_before_the_data_home(tmp_path: Path) -> None:
    benchmark = get_benchmark("imagenet-val")
    home, given_folder = tmp_path / "home", tmp_path / "given"
    (home / "imagenet-val").mkdir(parents=True)
    given_folder.mkdir()
    assert locate(benchmark, given=given_folder, data_home=home) == Location("imagenet-val", "given", given_folder)
    in_home = locate(benchmark, data_home=home)
    assert in_home == Location("imagenet-val", "data-home", home / "imagenet-val")
    assert str(in_home) == str(home / "imagenet-val")


def test_what_is_nowhere_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="the Hub is not asked") as caught:
        locate(get_benchmark("imagenet-a"), data_home=tmp_path, offline=True)
    assert "imagenet-a.tar" in str(caught.value)
    assert "--data imagenet-a=DIR" in str(caught.value)
    assert caught.value.exit_code == ExitCode.MISSING
    with pytest.raises(MissingInputError, match="imagenet-c is not on this machine") as caught:
        locate(get_benchmark("imagenet-c"))
    assert "zenodo.org/record/2235448" in str(caught.value)


def test_the_hub_is_asked_last_and_a_gated_set_needs_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    assert str(locate(get_benchmark("imagenet-a"))) == "hf:barkermrl/imagenet-a"
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    with pytest.raises(MissingInputError, match="gated on the Hub: no token is set") as caught:
        locate(get_benchmark("imagenet-val"))
    assert "HF_TOKEN" in str(caught.value)
    monkeypatch.setattr("huggingface_hub.get_token", lambda: "hf_x")
    assert locate(get_benchmark("imagenet-val")).repository == "ILSVRC/imagenet-1k"


def test_a_hub_id_may_be_given_with_a_revision() -> None:
    location = locate(get_benchmark("imagenet-r"), given="hf:axiong/imagenet-r@abc123")
    assert (location.repository, location.revision) == ("axiong/imagenet-r", "abc123")
    assert str(location) == "hf:axiong/imagenet-r@abc123"
    with pytest.raises(MissingInputError, match="the Hub is not asked"):
        locate(get_benchmark("imagenet-r"), given="hf:axiong/imagenet-r", offline=True)


def test_a_path_that_does_not_exist_is_the_users_error(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="does not exist") as caught:
        locate(get_benchmark("imagenet-val"), given=tmp_path / "nowhere")
    assert caught.value.exit_code == ExitCode.USAGE


def test_a_benchmark_without_images_of_its_own() -> None:
    with pytest.raises(HarnessError, match="scored from imagenet-val"):
        locate(get_benchmark("imagenet-real"))


def test_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.data.locations.package_folder", lambda _: None)
    with pytest.raises(MissingInputError, match="foolbox-imagenet-20 is not on this machine") as caught:
        locate(get_benchmark("foolbox-imagenet-20"))
    assert "pip install foolbox==3.3.4" in str(caught.value)


# --- sample ids ---


@pytest.mark.parametrize(
    ("rule", "name", "expected"),
    [
        ("ilsvrc", "n02110185/ILSVRC2012_val_00000293.JPEG", "ILSVRC2012_val_00000293.JPEG"),
        ("ilsvrc", "ILSVRC2012_val_00000293_n02110185.JPEG", "ILSVRC2012_val_00000293.JPEG"),
        ("ilsvrc", "val/ILSVRC2012_val_00000293.jpg", "ILSVRC2012_val_00000293.JPEG"),
        ("ilsvrc", "s0000001.jpg", None),
        ("ilsvrc", "", None),
        ("stem", "17/7c2fd4a9.jpeg", "7c2fd4a9"),
        ("stem", "", None),
        ("synset/filename", "n01498041/0.001_a.jpg", "n02110185/0.001_a.jpg"),
        ("synset/filename", "0.001_a.jpg", "n02110185/0.001_a.jpg"),
        ("synset/filename", "", None),
    ],
)
def test_sample_ids(rule: Any, name: str, expected: str | None) -> None:
    assert sample_id(rule, name, "n02110185") == expected


def test_two_images_with_one_id_are_both_named(photographs: Any, build: Any, opened: Any) -> None:
    root = build.class_folders(photographs)
    p = photographs[0]
    (root / p.synset / p.name.replace(".JPEG", "_copy.JPEG")).write_bytes(p.data)
    stem = p.name.removesuffix(".JPEG")
    with pytest.raises(HarnessError, match=rf"{stem}\.JPEG and .*{stem}_copy\.JPEG are both sample {stem}\.JPEG"):
        opened(root)


def test_images_without_published_names_get_ids_from_their_content(
    tmp_path: Path, photographs: Any, opened: Any
) -> None:
    # two layouts of the same renamed images, two of them with identical bytes
    renamed = [*photographs, photographs[0]]
    copies = []
    for prefix in ("a", "b"):
        root = tmp_path / prefix
        for i, p in enumerate(renamed if prefix == "a" else reversed(renamed)):
            (root / p.synset).mkdir(parents=True, exist_ok=True)
            (root / p.synset / f"{prefix}{i}.JPEG").write_bytes(p.data)
        copies.append(opened(root))
    pd.testing.assert_frame_equal(copies[0].samples, copies[1].samples)
    digest = hashlib.sha256(photographs[0].data).hexdigest()
    assert {f"sha256-{digest[:32]}", f"sha256-{digest[:32]}-2"} <= set(copies[0].samples["sample_id"])
    assert any("carry no published name" in note and "ReaL" in note for note in copies[0].notes)


# --- order ---

LABELLED_IDS = st.dictionaries(st.text(min_size=1, max_size=6), st.integers(0, 7), min_size=1, max_size=60)


@given(LABELLED_IDS)
def test_every_prefix_is_balanced_over_the_classes(samples: dict[str, int]) -> None:
    ids, labels = list(samples), list(samples.values())
    order = condition_order(ids, labels)
    assert sorted(order) == list(range(len(ids)))
    sizes = Counter(labels)
    for n in range(1, len(ids) + 1):
        counts = Counter(labels[i] for i in order[:n])
        most = max(counts.values())
        # a class may lag behind the fullest by more than one only if it has no more samples
        assert all(counts[label] >= min(most - 1, size) for label, size in sizes.items())


@given(LABELLED_IDS, st.randoms())
def test_the_order_does_not_depend_on_the_listing(samples: dict[str, int], random: Any) -> None:
    ids = list(samples)
    first = [ids[i] for i in condition_order(ids, [samples[i] for i in ids])]
    random.shuffle(ids)
    assert [ids[i] for i in condition_order(ids, [samples[i] for i in ids])] == first


def test_the_order_is_the_documented_one() -> None:
    """Definition written out for three samples: rank in class by SHA-256, then (rank, hash)."""
    ids, labels = ["a", "b", "c"], [0, 0, 1]
    key = {i: hashlib.sha256(f"harness-order-1:{i}".encode()).hexdigest() for i in ids}
    first_of_0, second_of_0 = sorted(["a", "b"], key=key.__getitem__)
    expected = [*sorted([first_of_0, "c"], key=key.__getitem__), second_of_0]
    assert [ids[i] for i in condition_order(ids, labels)] == expected


# --- fingerprint ---


def test_fingerprints(photographs: Any, build: Any, opened: Any, tmp_path: Path) -> None:
    dataset = opened(build.class_folders(photographs))
    assert dataset.fingerprint() == dataset.fingerprint(20) != dataset.fingerprint(19)
    lines = sorted(
        f"{p.name}\t{p.label}\t{hashlib.sha256(p.data).hexdigest()}\n" for p in photographs
    )  # the definition written out
    assert dataset.fingerprint() == hashlib.sha256("".join(lines).encode()).hexdigest()
    changed = [replace(photographs[0], data=photographs[1].data), *photographs[1:]]
    shutil.rmtree(tmp_path / "copies")
    assert opened(build.class_folders(changed)).fingerprint() != dataset.fingerprint()


# --- the manifest ---


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Files whose bytes were read through a folder source, in order."""
    seen: list[str] = []
    read = ClassFolders.read

    def counted(self: ClassFolders, file: str, start: int, length: int) -> bytes:
        seen.append(file)
        return read(self, file, start, length)

    monkeypatch.setattr(ClassFolders, "read", counted)
    return seen


def test_a_second_open_reads_no_image(photographs: Any, build: Any, opened: Any, reads: list[str]) -> None:
    root = build.class_folders(photographs)
    first = opened(root)
    assert len(reads) == 20
    second = opened(root)
    assert len(reads) == 20
    pd.testing.assert_frame_equal(first.samples, second.samples)
    assert first.notes == second.notes
    assert second.read(0) == first.read(0)


def test_a_changed_file_is_noticed(photographs: Any, build: Any, opened: Any, reads: list[str]) -> None:
    root = build.class_folders(photographs)
    before = opened(root)
    p = photographs[0]
    file = root / p.synset / p.name
    status = file.stat()
    file.write_bytes(p.data[:-1] + b"\x00")  # the same size
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    after = opened(root)
    assert len(reads) == 40
    assert after.fingerprint() != before.fingerprint()


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "text"])
def test_a_damaged_manifest_is_made_again(
    damage: str, photographs: Any, build: Any, opened: Any, reads: list[str], tmp_path: Path
) -> None:
    root = build.class_folders(photographs)
    before = opened(root)
    (manifest,) = (tmp_path / "cache" / "manifests").iterdir()
    data = manifest.read_bytes()
    flipped = bytearray(data)
    flipped[len(data) // 4] ^= 0xFF  # inside a data page: only its checksum tells
    manifest.write_bytes({"cut": data[: len(data) // 2], "flip": bytes(flipped), "empty": b"", "text": b"no"}[damage])
    after = opened(root)
    assert len(reads) == 40
    pd.testing.assert_frame_equal(after.samples, before.samples)
    opened(root)
    assert len(reads) == 40


def test_progress_counts_every_image(photographs: Any, build: Any, tmp_path: Path) -> None:
    benchmark = get_benchmark("imagenet-val")
    location = locate(benchmark, given=build.class_folders(photographs))
    seen: list[int] = []
    open_dataset(benchmark, location, cache=tmp_path / "cache", progress=seen.append)
    assert sum(seen) == 20
    seen.clear()
    open_dataset(benchmark, location, cache=tmp_path / "cache", progress=seen.append)
    assert seen == []


def test_a_file_that_goes_away_is_named_when_it_is_read(photographs: Any, build: Any, opened: Any) -> None:
    root = build.class_folders(photographs)
    dataset = opened(root)
    victim = photographs[0]
    (root / victim.synset / victim.name).unlink()
    position = dataset.samples["sample_id"].tolist().index(victim.name)
    with pytest.raises(UnreadableImageError, match=rf"{victim.name}: No such file"):
        dataset.read(position)


def test_a_file_that_cant_be_read_at_all_stops_the_opening(
    photographs: Any, build: Any, opened: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: ClassFolders, file: str, start: int, length: int) -> bytes:
        raise OSError(5, "Input/output error", file)

    monkeypatch.setattr(ClassFolders, "read", broken)
    with pytest.raises(HarnessError, match="Input/output error"):
        opened(build.class_folders(photographs))


def test_reading_from_many_threads(photographs: Any, build: Any, opened: Any) -> None:
    for layout in ("class_folders", "shards", "parquet"):
        dataset = opened(getattr(build, layout)(photographs))
        positions = list(range(20)) * 10
        with ThreadPoolExecutor(8) as pool:
            digests = [hashlib.sha256(data).hexdigest() for data in pool.map(dataset.read, positions)]
        assert digests == [dataset.samples["digest"].iloc[i] for i in positions]


def test_a_truncated_jpeg_is_part_of_the_copy_and_fails_when_decoded(photographs: Any, build: Any, opened: Any) -> None:
    cut = replace(photographs[0], data=photographs[0].data[:5000])
    dataset = opened(build.class_folders([cut, *photographs[1:]]))
    assert len(dataset) == 20  # the run names and counts what can't be decoded
    data = dataset.read(dataset.samples["sample_id"].tolist().index(cut.name))
    with pytest.raises(UnreadableImageError, match="can't be decoded"):
        load_image(data)


# --- notes ---


def test_a_partial_copy_says_so(photographs: Any, build: Any, opened: Any) -> None:
    root = build.class_folders(photographs)
    (root / "n01440764").mkdir()  # an empty folder is a missing class
    notes = opened(root).notes
    # Their published names are known, as the imagenet-x package is installed.
    (partial,) = (
        note for note in notes if note.startswith("A partial copy: 20 of 50,000 images, without ILSVRC2012_val_")
    )
    assert partial.endswith(" and 49,975 more.")
    # 19 classes: two of the 20 photographs are of class 609
    assert any(note.startswith("981 of 1,000 classes have no images: n01440764, ") for note in notes)


def test_more_images_than_were_published_are_noted(
    photographs: Any, build: Any, opened: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    benchmark = get_benchmark("imagenet-val").model_copy(update={"size": 19})
    dataset = open_dataset(
        benchmark, locate(benchmark, given=build.class_folders(photographs)), cache=tmp_path / "cache"
    )
    assert "20 images, more than the 19 that were published." in dataset.notes


# --- real material ---


def test_1300_validation_images(shared_data: Path, tmp_path: Path) -> None:
    benchmark = get_benchmark("imagenet-val")
    location = locate(benchmark, given=shared_data / "imagenet-val-1300")
    dataset = open_dataset(benchmark, location, cache=tmp_path)
    assert len(dataset) == 1300
    assert dataset.samples["label"].nunique() == 725
    assert "275 of 1,000 classes have no images" in " ".join(dataset.notes)
    assert dataset.samples["label"].head(725).nunique() == 725  # the first round has each class once
