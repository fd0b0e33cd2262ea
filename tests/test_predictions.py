"""The prediction store: what is written comes back, nothing else does, and damage is found."""

from __future__ import annotations

import json
import subprocess
import textwrap
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import HarnessError
from harness.metrics.types import LabelSpacePredictions
from harness.runtime.rows import ShardRows
from harness.store import predictions
from harness.store.predictions import PredictionKey, PredictionStore, label_space_names, read_label_space

KEY = PredictionKey("a" * 64, "imagenet-c", "fog/3", {"precision": "fp32", "projections": {"closed": "0123"}})


def readout(n: int, seed: int = 0) -> LabelSpacePredictions:
    draw = np.random.default_rng(seed)
    return LabelSpacePredictions(
        label=draw.integers(-1, 1000, n).astype(np.int32),
        top5=draw.integers(0, 1000, (n, 5)).astype(np.int32),
        top5_logit=draw.normal(size=(n, 5)).astype(np.float32),
        target_logit=np.where(draw.random(n) < 0.3, np.nan, draw.normal(size=n)).astype(np.float32),
        logsumexp=draw.normal(size=n).astype(np.float32),
        logsumexp2=draw.normal(size=n).astype(np.float32),
    )


def shard(n: int, *, first: int = 0, seed: int = 0, logits: bool = False) -> ShardRows:
    closed = readout(n, seed)
    return ShardRows(
        sample_id=[f"sample-{first + i}" for i in range(n)],
        digest=[f"{first + i:064x}" for i in range(n)],
        label=np.maximum(closed.label, 0),
        error=[None] * n,
        predictions={"closed": closed, "open": readout(n, seed + 1)},
        logits=np.random.default_rng(seed).normal(size=(n, 7)).astype(np.float16) if logits else None,
    )


def frame(rows: ShardRows) -> pd.DataFrame:
    return pd.DataFrame({"sample_id": rows.sample_id, "digest": rows.digest, "label": rows.label})


def assert_same(found: LabelSpacePredictions, expected: LabelSpacePredictions) -> None:
    for field in fields(LabelSpacePredictions):
        mine, other = getattr(found, field.name), getattr(expected, field.name)
        if other is None:
            assert mine is None
        else:
            assert mine.dtype == other.dtype
            np.testing.assert_array_equal(mine, other)  # NaN equals NaN here


class Told(list[str]):
    """Collects the store's messages."""

    def __call__(self, message: str) -> None:
        self.append(message)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def store(tmp_path: Path, told: Told) -> PredictionStore:
    return PredictionStore(tmp_path, told)


class TestRoundTrip:
    @pytest.mark.parametrize("logits", [False, True])
    def test_every_field_comes_back_bit_for_bit(self, store: PredictionStore, logits: bool) -> None:
        rows = shard(9, logits=logits)
        store.write(KEY, rows, {})
        table = store.select(KEY, frame(rows))
        assert label_space_names(table) == ("closed", "open")
        for name, expected in rows.predictions.items():
            assert_same(read_label_space(table, name), expected)
        assert ("logits" in table.column_names) == logits
        if rows.logits is not None:
            assert table["logits"].combine_chunks().flatten().to_numpy().tobytes() == rows.logits.tobytes()

    def test_predictions_without_logits(self, store: PredictionStore) -> None:
        plain = LabelSpacePredictions(label=np.array([3, 4], np.int32), top5=np.array([[3, 1, 0, 2, 9]] * 2, np.int32))
        rows = ShardRows(["a", "b"], ["", ""], plain.label, [None, None], {"closed": plain})
        store.write(KEY, rows, {})
        table = store.read(KEY)
        assert_same(read_label_space(table, "closed"), plain)

    def test_unreadable_images_keep_their_reason(self, store: PredictionStore) -> None:
        rows = replace(shard(3), error=[None, "The image is empty (0 bytes).", None])
        store.write(KEY, rows, {})
        table = store.read(KEY)
        assert table["error"].to_pylist() == list(rows.error)

    @settings(max_examples=25)
    @given(
        sizes=st.lists(st.integers(1, 12), min_size=1, max_size=5),
        seed=st.integers(0, 2**16),
        order=st.randoms(use_true_random=False),
    )
    def test_any_split_into_shards_gives_the_same_rows_in_the_asked_order(
        self, tmp_path_factory: pytest.TempPathFactory, sizes: list[int], seed: int, order
    ) -> None:
        store = PredictionStore(tmp_path_factory.mktemp("store"), Told())
        whole = shard(sum(sizes), seed=seed)
        positions = list(range(sum(sizes)))
        order.shuffle(positions)
        start = 0
        for size in sizes:
            part = positions[start : start + size]
            start += size
            store.write(
                KEY,
                ShardRows(
                    [whole.sample_id[p] for p in part],
                    [whole.digest[p] for p in part],
                    whole.label[part],
                    [None] * size,
                    {name: read.take(np.array(part)) for name, read in whole.predictions.items()},
                ),
                {},
            )
        table = store.select(KEY, frame(whole))
        for name, expected in whole.predictions.items():
            assert_same(read_label_space(table, name), expected)


class TestWhatHits:
    def test_nothing_stored_is_none(self, store: PredictionStore) -> None:
        assert store.read(KEY) is None
        assert store.stored(KEY) == set()
        assert store.select(KEY, frame(shard(1))) is None
        assert store.made_on(KEY) == {}

    @pytest.mark.parametrize(
        "change",
        [
            {"weights": "a" * 16 + "b" * 48},  # even where the folder's prefix is the same
            {"weights": "b" * 64},
            {"benchmark": "imagenet-c-generated"},
            {"condition": "fog/4"},
            {"protocol": {"precision": "bf16", "projections": {"closed": "0123"}}},
            {"protocol": {"precision": "fp32", "projections": {"closed": "4567"}}},
        ],
    )
    def test_another_key_never_hits(self, store: PredictionStore, change: dict[str, object]) -> None:
        store.write(KEY, shard(3), {})
        assert store.read(replace(KEY, **change)) is None

    def test_another_schema_never_hits(self, store: PredictionStore, monkeypatch: pytest.MonkeyPatch) -> None:
        store.write(KEY, shard(3), {})
        monkeypatch.setattr(predictions, "STORE_SCHEMA", predictions.STORE_SCHEMA + 1)
        assert store.read(KEY) is None

    def test_the_order_of_a_protocol_s_entries_is_irrelevant(self) -> None:
        turned = dict(reversed(KEY.protocol.items()))
        assert replace(KEY, protocol=turned).digest == KEY.digest

    @pytest.mark.parametrize("column", ["digest", "label", "sample_id"])
    def test_a_changed_image_label_or_name_misses(self, store: PredictionStore, column: str) -> None:
        rows = shard(3)
        store.write(KEY, rows, {})
        asked = frame(rows)
        asked.loc[1, column] = {"digest": "f" * 64, "label": 999, "sample_id": "other"}[column]
        assert store.select(KEY, asked) is None
        assert store.select(KEY, frame(rows)) is not None

    def test_part_of_what_is_stored_in_another_order(self, store: PredictionStore) -> None:
        rows = shard(6)
        store.write(KEY, rows, {})
        asked = frame(rows).iloc[[4, 1]]
        table = store.select(KEY, asked)
        assert table["sample_id"].to_pylist() == ["sample-4", "sample-1"]
        assert_same(read_label_space(table, "closed"), rows.predictions["closed"].take(np.array([4, 1])))

    def test_rows_stored_twice_come_back_once(self, store: PredictionStore) -> None:
        store.write(KEY, shard(4), {})
        store.write(KEY, shard(6), {})  # overlaps with the first
        table = store.read(KEY)
        assert sorted(table["sample_id"].to_pylist()) == [f"sample-{i}" for i in range(6)]
        assert len(store.stored(KEY)) == 6

    def test_the_same_shard_twice_is_one_file(self, store: PredictionStore) -> None:
        assert store.write(KEY, shard(4), {}) == store.write(KEY, shard(4), {})

    def test_the_machine_of_the_first_run_is_noted(self, store: PredictionStore, tmp_path: Path) -> None:
        store.write(KEY, shard(2), {"device": "cpu"})
        store.write(KEY, shard(2, first=2), {"device": "cuda"})
        assert store.made_on(KEY) == {"device": "cpu"}
        described = json.loads((KEY.folder(tmp_path) / "protocol.json").read_text())
        assert described["weights"] == KEY.weights
        assert described["protocol"] == KEY.protocol


class TestDamage:
    def test_a_shard_with_any_byte_changed_is_put_aside_and_reported(self, tmp_path: Path) -> None:
        clean = PredictionStore(tmp_path, Told())
        path = clean.write(KEY, shard(3), {})
        good = path.read_bytes()
        for position in range(0, len(good), 29):
            told = Told()
            damaged = bytearray(good)
            damaged[position] ^= 1 << (position % 8)
            path.write_bytes(damaged)
            assert PredictionStore(tmp_path, told).read(KEY) is None, f"byte {position} of {len(good)}"
            (message,) = told
            assert str(path) in message
            assert "its images are run again" in message
            aside = path.with_suffix(".damaged")
            assert aside.read_bytes() == damaged
            assert not path.exists()

    @pytest.mark.parametrize("keep", [0, 1, 100, -1])
    def test_a_truncated_shard_is_put_aside(self, store: PredictionStore, told: Told, keep: int) -> None:
        path = store.write(KEY, shard(3), {})
        path.write_bytes(path.read_bytes()[:keep])
        assert store.stored(KEY) == set()
        assert len(told) == 1

    def test_the_other_shards_still_answer_and_a_repeated_write_mends(self, store: PredictionStore, told: Told) -> None:
        rows = shard(3)
        path = store.write(KEY, rows, {})
        store.write(KEY, shard(2, first=3), {})
        path.write_bytes(b"no Parquet")
        assert {sample for sample, _, _ in store.stored(KEY)} == {"sample-3", "sample-4"}
        assert store.select(KEY, frame(rows)) is None
        assert store.write(KEY, rows, {}) == path
        assert store.select(KEY, frame(rows)) is not None
        assert len(told) == 1

    def test_where_it_can_not_be_moved_the_error_names_the_file(
        self, store: PredictionStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = store.write(KEY, shard(3), {})
        path.write_bytes(b"")

        def refuse(self: Path, target: Path) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "replace", refuse)
        with pytest.raises(HarnessError, match="is damaged") as caught:
            store.read(KEY)
        assert f"{path}" in str(caught.value)
        assert "Delete it, then repeat" in str(caught.value)

    def test_an_unreadable_note_of_the_machine_is_no_note(self, store: PredictionStore, tmp_path: Path) -> None:
        store.write(KEY, shard(1), {"device": "cpu"})
        (KEY.folder(tmp_path) / "protocol.json").write_text("{")
        assert store.made_on(KEY) == {}


def test_a_store_that_can_not_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "predictions").write_text("a file where the folder should be")
    with pytest.raises(HarnessError, match="Not a directory"):
        PredictionStore(tmp_path, Told()).write(KEY, shard(1), {})


def test_processes_that_write_the_same_store_at_once_agree(tmp_path: Path, python: str) -> None:
    script = textwrap.dedent("""
        import sys
        from pathlib import Path
        import numpy as np
        from harness.metrics.types import LabelSpacePredictions
        from harness.store.predictions import PredictionKey, PredictionStore
        from harness.runtime.rows import ShardRows

        key = PredictionKey("a" * 64, "imagenet-val", "clean", {})
        store = PredictionStore(Path(sys.argv[1]), print)
        for start in range(0, 30, 3):
            label = np.arange(start, start + 3, dtype=np.int32)
            top5 = np.tile(label[:, None], 5)
            ids = [str(i) for i in label]
            store.write(key, ShardRows(ids, ids, label, [None] * 3, {"closed": LabelSpacePredictions(label, top5)}), {})
            store.stored(key)
    """)
    running = [
        subprocess.Popen([python, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for _ in range(2)
    ]
    for process in running:
        said, _ = process.communicate(timeout=120)
        assert (process.returncode, said) == (0, b"")
    key = PredictionKey("a" * 64, "imagenet-val", "clean", {})
    told = Told()
    table = PredictionStore(tmp_path, told).read(key)
    assert isinstance(table, pa.Table)
    assert sorted(map(int, table["sample_id"].to_pylist())) == list(range(30))
    assert np.array_equal(read_label_space(table, "closed").top5[:, 0], table["label"].to_numpy())
    assert told == []
    assert len(list(key.folder(tmp_path).glob("*.parquet"))) == 10
    assert [path.name for path in key.folder(tmp_path).iterdir() if path.suffix not in (".parquet", ".json")] == []
