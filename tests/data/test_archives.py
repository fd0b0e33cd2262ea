"""Archives on the Hub: unpacked whole or not at all, and never outside their folder."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from harness.data.catalog import get_benchmark
from harness.data.local import open_dataset
from harness.data.locations import locate
from harness.errors import HarnessError
from harness.parsing.archives import unpack
from tests.data.conftest import write_tar


def pack(folder: Path, archive: Path) -> Path:
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive, "w") as packed:
            for file in sorted(folder.rglob("*")):
                packed.write(file, file.relative_to(folder.parent))
    else:
        with tarfile.open(archive, "w:gz") as packed_tar:
            packed_tar.add(folder, folder.name)
    return archive


@pytest.mark.parametrize(
    ("benchmark", "archive", "layout"),
    [
        ("imagenetv2-matched-frequency", "imagenetv2-matched-frequency.tar.gz", "numbered_folders"),
        ("imagenet-sketch", "ImageNet-Sketch.zip", "class_folders"),
    ],
)
def test_an_archive_on_the_hub_becomes_a_copy(
    benchmark: str,
    archive: str,
    layout: str,
    photographs: Any,
    build: Any,
    opened: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = getattr(build, layout)(photographs)
    file = pack(root, tmp_path / archive)
    asked: list[tuple[Any, ...]] = []

    def download(repository: str, name: str, **options: Any) -> str:
        asked.append((repository, name, options["repo_type"]))
        return str(file)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    entry = get_benchmark(benchmark)
    dataset = open_dataset(entry, locate(entry), cache=tmp_path / "cache")
    reference = opened(root, benchmark)
    assert dataset.fingerprint() == reference.fingerprint()
    assert dataset.layout == reference.layout
    assert asked == [(entry.hub.id, entry.hub.archive, "dataset")]


def test_an_unpacked_archive_is_kept(photographs: Any, build: Any, tmp_path: Path) -> None:
    file = pack(build.class_folders(photographs), tmp_path / "a.tar.gz")
    target = unpack(file, tmp_path / "out")
    file.write_bytes(b"gone")
    assert unpack(file, tmp_path / "out") == target


def test_a_damaged_archive_leaves_nothing_behind(photographs: Any, build: Any, tmp_path: Path) -> None:
    file = pack(build.class_folders(photographs), tmp_path / "a.tar.gz")
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(HarnessError, match="Can't unpack"):
        unpack(file, tmp_path / "cache" / "out")
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize(
    ("local", "central", "value", "why"),
    [(6, 8, 1, "is encrypted"), (8, 10, 97, "compression method is not supported")],
)
def test_a_zip_that_can_t_be_read_is_said_to_be(tmp_path: Path, local: int, central: int, value: int, why: str) -> None:
    file = tmp_path / "a.zip"
    with zipfile.ZipFile(file, "w") as packed:
        packed.writestr("a.png", b"x")
    data = bytearray(file.read_bytes())
    data[data.find(b"PK\x03\x04") + local] = data[data.find(b"PK\x01\x02") + central] = value
    file.write_bytes(data)
    with pytest.raises(HarnessError, match=why):
        unpack(file, tmp_path / "cache" / "out")


def test_members_that_lead_outside_are_refused(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", [("../outside.jpg", b"x")])
    with pytest.raises(HarnessError, match="outside"):
        unpack(tmp_path / "a.tar", tmp_path / "cache" / "out")
    assert not (tmp_path / "cache" / "outside.jpg").exists()
    assert not (tmp_path / "outside.jpg").exists()
