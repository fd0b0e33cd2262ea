"""Numbers that odd inputs would change in silence are refused, or said beside the value."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

import harness
from harness.errors import HarnessError
from harness.parsing.archives import unpack

SCORE = {"benchmark": "imagenetv2-top-images", "name": "odd"}


@pytest.mark.parametrize(
    ("top", "said"),
    [
        ({"top1": [1 + 2**32, 2]}, "outside"),  # 1 in 32 bits
        ({"top1": [1, 2], "top2": [5, 2]}, r"b has a class twice among its best: \[2, 2"),
        ({"top1": [1, None]}, "row 2 has no top1"),
        ({"m": [[[1]], [[2]]]}, "m must hold whole numbers"),
        ({"m": [[[1], [2]], [[2, 3], [3]]]}, "m must hold whole numbers"),
        ({"label": [[1], [2, 3]], "top1": [1, 2]}, "label must hold whole numbers"),
        ({"m": [[1, 2], None]}, "row 2 has no m"),
        ({"sample_id": [], "label": [], "top1": []}, "holds no rows"),
    ],
)
def test_predictions_that_are_none_are_refused(tmp_path: Path, home: Path, top: dict[str, object], said: str) -> None:
    pd.DataFrame({"sample_id": ["a", "b"], "label": [1, 2]} | top).to_parquet(tmp_path / "p.parquet")
    with pytest.raises(HarnessError, match=said):
        harness.score(tmp_path / "p.parquet", **SCORE)


@pytest.mark.parametrize("data", [b"", b"PAR1PAR1", bytes(range(256)) * 40])
def test_what_is_no_table_is_refused(tmp_path: Path, home: Path, data: bytes) -> None:
    (tmp_path / "p.parquet").write_bytes(data)
    with pytest.raises(HarnessError, match=r"p\.parquet: no readable Parquet"):
        harness.score(tmp_path / "p.parquet", **SCORE)


def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, home: Path) -> None:
    pd.DataFrame({"sample_id": ["a"], "label": [1], "top1": [1]}).to_parquet(tmp_path / "p.parquet")
    with pytest.raises(HarnessError, match="can't be a model's name"):
        harness.score(tmp_path / "p.parquet", **SCORE | {"name": "../../x"})


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [("value", 250.0, "250.0 is outside 0 to 100"), ("N", 1, "is more than the benchmark's")],
)
def test_a_card_of_numbers_that_can_not_be_is_refused(
    field: str, value: float, said: str, ledger: Callable[..., harness.Ledger]
) -> None:
    with pytest.raises(HarnessError, match=said):
        harness.render(ledger=ledger(**{field: value}))


@pytest.fixture
def ledger() -> Callable[..., harness.Ledger]:
    """A committed ledger with other fields in its first top-1."""

    def make(**fields: object) -> harness.Ledger:
        found = harness.Ledger.load(Path(harness.__file__).parents[1] / "cards" / "efficientnet-lite0.evidence.json")
        at, item = next((n, e) for n, e in enumerate(found.evidence) if e.key.endswith(".top1") and e.n)
        found.evidence[at] = item.model_copy(update=fields)
        return found

    return make


def test_an_archive_is_checked_to_its_end(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo("a.txt")
        info.size = 9
        archive.addfile(info, io.BytesIO(b"x" * 9))
    packed = bytearray(gzip.compress(buffer.getvalue()))
    packed[-6] ^= 1  # in the checksum
    (tmp_path / "a.tar.gz").write_bytes(packed)
    with pytest.raises(HarnessError, match="CRC"):
        unpack(tmp_path / "a.tar.gz", tmp_path / "a")
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("name", ["../x.txt", "/tmp/x.txt", "a/..\\..\\x.txt"])
def test_a_zip_with_names_outside_is_refused(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("good.txt", b"x")
        archive.writestr(name, b"x")
    with pytest.raises(HarnessError, match="outside"):
        unpack(tmp_path / "a.zip", tmp_path / "a")
