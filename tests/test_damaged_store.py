"""Whatever becomes of a file of the store, repeating the command ends in the same values, and says what was wrong."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import harness
from harness.evidence import EvidenceClass

NAME = "efficientnet-lite0"


def run(home: Path, **options: object) -> harness.Evaluation:
    return harness.evaluate(NAME, "demo", offline=True, limit=8, batch_size=4, shard_size=4, **options)


def values(result: harness.Evaluation) -> dict[str, object]:
    measured = (item for item in result.ledger if item.class_ is EvidenceClass.MEASURED)
    return {item.key: item.value for item in measured if not item.key.startswith(("energy.", "carbon.", "compute."))}


First = tuple[Path, dict[str, object]]
"""A store after a run, and the run's values."""


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> First:
    home = tmp_path_factory.mktemp("first")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("HARNESS_HOME", str(home))
        return home, values(run(home))


@pytest.fixture
def home(first: First, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that store."""
    shutil.copytree(first[0], tmp_path / "home")
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def empty(path: Path) -> None:
    path.write_bytes(b"")


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def other_types(path: Path) -> None:
    path.write_text(json.dumps([1, {"made_on": 3}]))


def deep(path: Path) -> None:
    path.write_text("[" * 100_000)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def another_protocol(path: Path) -> None:
    path.write_text(path.read_text().replace(NAME, "other").replace("224", "256"))


def odd_columns(path: Path) -> None:
    """Predictions whose columns are text, under the name that their bytes ask for."""
    import hashlib
    import io

    table, buffer = pq.read_table(path), io.BytesIO()
    at, name = next((at, name) for at, name in enumerate(table.column_names) if name.endswith(".target_logit"))
    pq.write_table(table.set_column(at, name, pa.array(["a"] * len(table))), buffer)
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()[:32]
    path.with_name(f"{path.stem.rpartition('-')[0]}-{digest}.parquet").write_bytes(buffer.getvalue())
    path.unlink()


@pytest.mark.parametrize("damage", [empty, half, other_types, deep, folder])
def test_damaged_files_are_set_aside_and_made_again(
    damage: Callable[[Path], None], home: Path, first: First, capsys: pytest.CaptureFixture[str]
) -> None:
    places = ("ledgers/*/evidence.json", "identities/*.json", "predictions/**/protocol.json", "runs/*.json")
    paths = [min(home.glob(place)) for place in places]
    for path in paths:
        damage(path)
    assert values(run(home)) == first[1]
    assert len(harness.inventory("runs")) == 1
    told = [line for line in capsys.readouterr().err.splitlines() if "was damaged" in line]
    for path in paths:
        assert len([line for line in told if line.startswith(f"{path} was damaged")]) == 1
        assert path.with_suffix(".damaged").exists()
    assert all(path.is_file() for path in paths[:-1])
    assert len(told) == len(paths)


@pytest.mark.parametrize(("place", "damage"), [("protocol.json", another_protocol), ("*.parquet", odd_columns)])
def test_what_looks_whole_and_is_not(
    place: str, damage: Callable[[Path], None], home: Path, first: First, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(min(home.glob(f"predictions/**/{place}")))
    harness.html_report()
    assert values(run(home)) == first[1]
    assert "was damaged" in capsys.readouterr().err


def test_a_lock_that_is_a_folder(home: Path, first: First, capsys: pytest.CaptureFixture[str]) -> None:
    lock = home / "ledgers" / NAME / "evidence.lock"
    lock.unlink(missing_ok=True)
    lock.mkdir()
    assert values(run(home)) == first[1]
    assert f"Can't lock {lock}" in capsys.readouterr().err


def test_a_store_that_may_only_be_read(
    home: Path, first: First, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The system's own answer, given for this folder: tests may run as somebody who may write everywhere."""
    really = os.open

    def refuse(path: object, flags: int, *more: object, **named: object) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) and str(path).startswith(str(home)):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return really(path, flags, *more, **named)

    monkeypatch.setattr(os, "open", refuse)
    result = run(home, output=tmp_path / "out")
    assert values(result) == first[1]
    assert (tmp_path / "out" / "card.md").is_file()
    assert f"This run's evidence is not kept in the store {home}" in capsys.readouterr().err
