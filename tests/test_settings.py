"""Settings: what the environment and the options say, read once."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.data.catalog import parse_data_options
from harness.errors import HarnessError
from harness.settings import Settings, default_home, hub_is_offline


def test_the_home_is_the_user_s_choice_else_the_cache_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_HOME", "~/mine")
    assert default_home() == Path.home() / "mine"
    monkeypatch.delenv("HARNESS_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert default_home() == Path("/caches/harness")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_home() == Path.home() / ".cache" / "harness"


@pytest.mark.parametrize(("value", "offline"), [("1", True), ("yes", True), ("TRUE", True), ("0", False), ("", False)])
def test_offline_as_the_hub_s_client_reads_it(monkeypatch: pytest.MonkeyPatch, value: str, offline: bool) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", value)
    assert hub_is_offline() is offline
    assert Settings().offline is offline


@pytest.mark.parametrize(
    ("shard_size", "batch_size", "whole"), [(512, 32, 512), (100, 32, 128), (1, 32, 32), (1, 1, 1), (33, 32, 64)]
)
def test_shards_are_whole_batches(home: Path, shard_size: int, batch_size: int, whole: int) -> None:
    assert Settings(shard_size=shard_size, batch_size=batch_size).whole_shard == whole


def test_data_options() -> None:
    given = parse_data_options(["imagenet-val=/data/a=b", "imagenet-a=hf:org/name"])
    assert given == {"imagenet-val": "/data/a=b", "imagenet-a": "hf:org/name"}


@pytest.mark.parametrize("option", ["imagenet-val", "=path", "imagenet-val=", ""])
def test_a_data_option_without_both_parts(option: str) -> None:
    with pytest.raises(HarnessError, match="is not BENCHMARK=PATH"):
        parse_data_options([option])


@pytest.mark.parametrize("name", ["limit", "batch_size", "workers", "seconds", "img_size"])
def test_a_number_that_leaves_nothing_to_run_is_refused(home: Path, name: str) -> None:
    with pytest.raises(HarnessError, match=f"{name.replace('_', ' ')} is 0"):
        Settings(**{name: 0})
