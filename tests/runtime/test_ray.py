"""Real Ray, several nodes on this machine: the values of one process, whatever ends, differs or is missing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.data.local import LocalDataset
from harness.errors import HarnessError, MissingInputError
from harness.runtime import ray_executor
from harness.runtime.ray_executor import RayPool
from tests.runtime.conftest import shard_names

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install -e '.[ray]'")
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning"
)
NODE = {"num_cpus": 2, "object_store_memory": 80_000_000}  # about the least that Ray takes


def test_without_ray_it_is_said_which_extra_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingInputError, match=r"harness-cards\[ray\]"):
        ray_executor.connect(lambda message: None)


def test_an_address_where_nobody_answers_is_an_error_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")  # the port of the discard service, which nobody runs
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    began = time.monotonic()
    with pytest.raises(HarnessError, match=r"No Ray cluster answers at 127\.0\.0\.1:9: .*refused"):
        ray_executor.connect(lambda message: None)
    assert time.monotonic() - began < 10


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two nodes of two processors each, as Ray sees it."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_AUTH_MODE", "disabled")
        made = Cluster(initialize_head=True, head_node_args=NODE)
        made.add_node(**NODE)
        patch.setenv("RAY_ADDRESS", made.address)
        yield made
        ray.shutdown()
        made.shutdown()


@pytest.fixture(scope="module")
def one_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of one process: computed by the first test that asks, read by the others."""
    return tmp_path_factory.mktemp("one")


@pytest.mark.slow
@pytest.mark.usefixtures("foolbox_images", "cluster")
class TestCluster:
    def test_workers_on_two_nodes_give_the_values_of_one_process(
        self, values: Callable[..., Any], one_home: Path, tmp_path: Path
    ) -> None:
        assert values(tmp_path / "four", device="cpu,cpu", executor="ray") == values(one_home)
        assert shard_names(tmp_path / "four") == shard_names(one_home), "the same rows with the same bytes"
        assert not list((tmp_path / "four" / "tokens").iterdir())

    def test_what_is_not_shared_is_sent_and_a_node_that_differs_is_left_out(
        self,
        values: Callable[..., Any],
        one_home: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        """Rows come back and images go out; one node says that it has another torch."""
        take, greeted, nodes = LocalDataset.take, RayPool._greeted, list[str]()

        def elsewhere(dataset: LocalDataset, at: Sequence[int]) -> LocalDataset:
            return replace(take(dataset, at), _source=replace(dataset._source, root=Path("/nowhere")))

        def another_torch(pool: RayPool, worker: Any, hello: Any) -> Any:
            nodes.append(worker.node_id)
            is_second = worker.node_id != nodes[0]
            return greeted(
                pool, worker, replace(hello, protocol=hello.protocol | {"torch": "0.4"}) if is_second else hello
            )

        monkeypatch.setattr(LocalDataset, "take", elsewhere)
        monkeypatch.setattr(RayPool, "_is_answered", lambda pool: False)
        monkeypatch.setattr(RayPool, "_greeted", another_torch)
        assert values(tmp_path / "sent", executor="ray") == values(one_home)
        assert shard_names(tmp_path / "sent") == shard_names(one_home)
        told = capfd.readouterr().err
        assert "does not share the store: its rows are stored by this process" in told
        assert "can't read foolbox-imagenet-20" in told
        assert "it has torch 0.4 instead of" in told

    def test_killed_actors_and_nodes_change_no_value(
        self,
        cluster: Any,
        values: Callable[..., Any],
        one_home: Path,
        tmp_path: Path,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        """An actor goes at the first shard, a node with all its workers at the sixth."""
        node, home = cluster.add_node(**NODE), tmp_path / "killed"

        def kill() -> None:
            while len(shard_names(home)) < 1:
                time.sleep(0.02)
            raylet = cluster.head_node.all_processes["raylet"][0].process.pid
            actors = ["pgrep", "-P", str(raylet), "-f", "ray::_Actor"]
            listed = subprocess.run(actors, capture_output=True, text=True, check=True)
            os.kill(int(listed.stdout.split()[0]), signal.SIGKILL)
            while len(shard_names(home)) < 6:
                time.sleep(0.02)
            cluster.remove_node(node, allow_graceful=False)

        killer = threading.Thread(target=kill, daemon=True)
        killer.start()
        assert values(home, executor="ray") == values(one_home)
        killer.join(timeout=60)
        assert shard_names(home) == shard_names(one_home), "none twice, none half written"
        assert "Going on without" in capfd.readouterr().err
