"""Workers on a Ray cluster: one actor a device, on every node that agrees with this one.

What is promised: no node computes anything before it has shown that its versions and its kind of device are those of the
run and that the weights arrived as they left. A node that differs, or does not answer, is left out and named. The store is
shared where a node sees a token file that was just written there and this process sees the node's answer to it; else rows come
back and are stored here. Images are read on the node where their bytes are the ones that were fingerprinted here, each of
them proven as it is read; else this process reads and sends them. A node that joins later takes part.

Ray is told to send no usage statistics, unless its own variable (RAY_USAGE_STATS_ENABLED) says otherwise.
"""

from __future__ import annotations

import logging
import os
import socket
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.data.local import LocalDataset
from harness.errors import ExitCode, HarnessError, MissingInputError
from harness.files import make_folder, write_text
from harness.runtime.decoding import Images, default_workers
from harness.runtime.executors import RESTARTS, Event, Lost, Ready, Remote
from harness.runtime.workers import Finished, Setup, Task, Worker, protocol_here, reads_the_same

_REACH_SECONDS = 5.0
_START_SECONDS = 120.0
"""In which an actor must have started, and again in which it must have its model."""
_LOOK_SECONDS = 5.0
"""How often it is looked for nodes that have joined."""


@dataclass(frozen=True)
class _Hello:
    """What a node says of itself."""

    protocol: dict[str, str]
    shares_store: bool
    has_images: dict[str, bool]
    """By data set."""


class _Actor:
    """A worker of the cluster; Ray makes it an actor."""

    def __init__(self) -> None:
        self._worker: Worker | None = None

    def hello(self, device_type: str, token: str, samples: Mapping[str, LocalDataset]) -> _Hello:
        """What this node is like.

        Args:
            token: path of a file in the store whose text is its name.
            samples: a few samples of each data set.
        """
        seen, shared = Path(token), False
        with suppress(OSError):
            if seen.read_text(encoding="utf-8") == seen.name:
                seen.with_name(f"{seen.name}-{uuid.uuid4().hex}").touch()
                shared = True
        found = {name: reads_the_same(dataset) for name, dataset in samples.items()}
        return _Hello(protocol_here(device_type), shared, found)

    def load(self, setup: Setup, threads: int) -> None:
        """Get the model ready."""
        self._worker = Worker(replace(setup, threads=threads, config=replace(setup.config, workers=threads)))

    def run(self, task: Task, images: list[Any], store: bool, encoded: dict[int, bytes] | None) -> Finished:
        """Compute a task. `images` holds the reference of its data set, so that it is fetched only where it is missing."""
        import ray

        assert self._worker is not None
        if not self._worker.has_images(task.images):
            self._worker.take_images(task.images, ray.get(images[0]))
        return self._worker.run(task, store=store, encoded=encoded)


@dataclass(eq=False)
class _RayWorker:
    """An actor on a node."""

    node: str
    node_id: str
    cpus: float
    """Of the node, for this worker."""
    pool: RayPool = field(repr=False)
    actor: Any = None
    waiting: Any = None
    """The reference of what it is doing."""
    doing: str = "start"
    """start, load, or run; or idle."""
    since: float = 0.0
    restarts: int = 0
    hello: _Hello | None = None

    @property
    def threads(self) -> int:
        """Of PyTorch, and of decoding: OMP_NUM_THREADS as the run's own process has it, else the worker's processors."""
        return int(os.environ.get("OMP_NUM_THREADS") or max(1, self.cpus))

    def begin(self, task: Task, images: Images) -> None:
        self.pool.begin(self, task, images)


class RayPool:
    """The workers of a cluster."""

    def __init__(
        self,
        setup: Setup,
        devices: Sequence[str],
        datasets: Mapping[str, LocalDataset],
        home: Path,
        note: Callable[[str], None],
    ) -> None:
        """
        Args:
            setup: of every worker; its device without a number.
            devices: what each node's devices are: `cuda` for all its GPUs, else one name a worker.
            datasets: what will be read, by name.
            home: the store.
        """
        self._ray = connect(note)
        self._setup, self._devices, self._note = setup, devices, note
        self._samples = {name: dataset.take([0, len(dataset) - 1]) for name, dataset in datasets.items()}
        self._names = {id(dataset): name for name, dataset in datasets.items()}
        self._token = make_folder(home / "tokens") / uuid.uuid4().hex
        write_text(self._token, self._token.name)
        self._model = self._put(setup)
        self._sets: dict[int, Any] = {}
        self._nodes: set[str] = set()
        self._workers: list[_RayWorker] = []
        self._looked = -_LOOK_SECONDS
        self._told: set[str] = set()
        self._find_nodes()

    @property
    def hopeful(self) -> bool:
        return any(worker.doing in ("start", "load") for worker in self._workers)

    def wait(self, seconds: float) -> list[tuple[Remote, Event]]:
        self._find_nodes()
        by_reference = {worker.waiting: worker for worker in self._workers if worker.waiting is not None}
        if not by_reference:
            time.sleep(seconds)
            return []
        done, _ = self._ray.wait(list(by_reference), num_returns=1, timeout=seconds)
        if done:
            done, _ = self._ray.wait(list(by_reference), num_returns=len(by_reference), timeout=0)
        events = [event for reference in done for event in self._event(by_reference[reference], reference)]
        late = [
            w for w in self._workers if w.doing in ("start", "load") and time.monotonic() - w.since > _START_SECONDS
        ]
        return events + [
            event for worker in late for event in self._left_out(worker, f"it did not {worker.doing} in time")
        ]

    def begin(self, worker: _RayWorker, task: Task, images: Images) -> None:
        """Hand a task to an idle worker."""
        assert worker.hello is not None
        if task.images not in self._sets:
            self._sets[task.images] = self._put(images.proven())
        encoded = None
        if not worker.hello.has_images[self._names[id(images.dataset)]]:
            positions = {position for _, shard in task.shards for position in shard}
            encoded = self._put({position: images.dataset.read(position) for position in positions})
        worker.doing, worker.since = "run", time.monotonic()
        worker.waiting = worker.actor.run.remote(task, [self._sets[task.images]], worker.hello.shares_store, encoded)

    def close(self) -> None:
        for worker in self._workers:
            if worker.actor is not None:
                self._ray.kill(worker.actor)
        self._workers.clear()
        for path in self._token.parent.glob(f"{self._token.name}*"):
            path.unlink(missing_ok=True)

    def _put(self, value: Any) -> Any:
        from ray.exceptions import ObjectStoreFullError, OutOfDiskError

        try:
            return self._ray.put(value)
        except (ObjectStoreFullError, OutOfDiskError) as error:
            raise HarnessError(
                f"Ray's object store has no room: {str(error).splitlines()[0]}",
                remedy="Start Ray with more (ray start --object-store-memory BYTES), or free the disk that it spills to.",
            ) from error

    def _find_nodes(self) -> None:
        """Start workers on nodes that are new."""
        if time.monotonic() - self._looked < _LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        for node in self._ray.nodes():
            if not node["Alive"] or node["NodeID"] in self._nodes:
                continue
            self._nodes.add(node["NodeID"])
            resources = node["Resources"]
            on_gpu = self._setup.config.device_type == "cuda"
            count = int(resources.get("GPU", 0)) if on_gpu else len(self._devices)
            if on_gpu and not count:
                self._note(f"{_name(node)} is left out: it has no GPU, and this run is on GPUs.")
            for _ in range(count):
                worker = _RayWorker(_name(node), node["NodeID"], resources.get("CPU", 0.0) / count, self)
                self._workers.append(worker)
                self._start(worker)

    def _start(self, worker: _RayWorker) -> None:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        config = self._setup.config
        options = {
            "num_cpus": int(worker.cpus) if worker.cpus >= 1 else worker.cpus,
            "num_gpus": 1 if config.device_type == "cuda" else 0,
            "scheduling_strategy": NodeAffinitySchedulingStrategy(worker.node_id, soft=False),
            "runtime_env": {"env_vars": {"OMP_NUM_THREADS": str(worker.threads)}},
        }
        worker.actor = self._ray.remote(_Actor).options(**options).remote()
        self._begin(worker, "start", worker.actor.hello.remote(config.device_type, str(self._token), self._samples))

    def _begin(self, worker: _RayWorker, doing: str, reference: Any) -> None:
        worker.doing, worker.waiting, worker.since = doing, reference, time.monotonic()

    def _event(self, worker: _RayWorker, reference: Any) -> list[tuple[Remote, Event]]:
        """What the end of what a worker was doing means."""
        from ray.exceptions import RayError, RayTaskError

        did, worker.waiting, worker.doing = worker.doing, None, "idle"
        try:
            found = self._ray.get(reference)
        except RayTaskError as error:  # raised by what ran there
            cause = error.cause if isinstance(error.cause, HarnessError) else error
            return self._left_out(worker, str(cause).strip().splitlines()[-1])
        except RayError as error:  # the actor, its process or its node has gone
            return self._left_out(worker, f"its actor has ended ({type(error).__name__})", again=did != "start")
        if isinstance(found, Finished):
            return [(worker, found)]
        if did == "load":
            return [(worker, Ready())]
        return self._greeted(worker, found)

    def _greeted(self, worker: _RayWorker, hello: _Hello) -> list[tuple[Remote, Event]]:
        """Have a worker that agrees with this process load the model."""
        here = protocol_here(self._setup.config.device_type)
        differs = [
            f"{name} {hello.protocol.get(name)} instead of {value}"
            for name, value in here.items()
            if hello.protocol.get(name) != value
        ]
        if differs:
            return self._left_out(worker, f"it has {', '.join(differs)}")
        worker.hello = replace(hello, shares_store=hello.shares_store and self._is_answered())
        without = [name for name, has in hello.has_images.items() if not has]
        if without:
            self._tell(f"{worker.node} can't read {', '.join(without)}: this process reads and sends the images.")
        if not worker.hello.shares_store:
            self._tell(f"{worker.node} does not share the store: its rows are stored by this process.")
        self._begin(worker, "load", worker.actor.load.remote(self._model, worker.threads))
        return []

    def _is_answered(self) -> bool:
        """Whether a node's answer to the token can be seen here."""
        return any(path != self._token for path in self._token.parent.glob(f"{self._token.name}*"))

    def _left_out(self, worker: _RayWorker, why: str, *, again: bool = False) -> list[tuple[Remote, Event]]:
        """Do without a worker, or start it again where it only died."""
        self._ray.kill(worker.actor)
        worker.actor = worker.waiting = None
        alive = any(node["Alive"] and node["NodeID"] == worker.node_id for node in self._ray.nodes())
        if again and alive and worker.restarts < RESTARTS:
            worker.restarts += 1
            self._start(worker)
        else:
            self._workers.remove(worker)
        return [(worker, Lost(why))]

    def _tell(self, message: str) -> None:
        """Say something once."""
        if message not in self._told:
            self._told.add(message)
            self._note(message)


def _name(node: Mapping[str, Any]) -> str:
    return f"{node['NodeManagerHostname']} ({node['NodeID'][:6]})"


def connect(note: Callable[[str], None]) -> Any:
    """Ray, connected to RAY_ADDRESS, or to a cluster of this machine alone that is started here.

    Raises:
        HarnessError: Ray is not installed, or nothing answers at the address.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else Ray warns of what it will do one day
    address = os.environ.get("RAY_ADDRESS")
    if address and (Path.home() / ".ray" / "auth_token").is_file():
        os.environ.setdefault("RAY_AUTH_MODE", "token")  # with one, `ray start` asks for it, but `ray.init` sends none
    try:
        import ray
    except ImportError as error:
        raise MissingInputError("Ray is not installed.", remedy="pip install 'harness-cards[ray]'") from error
    if ray.is_initialized():
        return ray
    if address:
        _check_reachable(address)
    try:
        context: Any = ray.init(address=address or "local", log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise _unreachable(address or "local", str(error).strip().splitlines()[0]) from error
    link = context.address_info.get("webui_url")
    count = sum(node["Alive"] for node in ray.nodes())
    note(f"Ray: {count} {'node' if count == 1 else 'nodes'}{f', dashboard at http://{link}' if link else ''}")
    return ray


def cluster_devices(device: str, note: Callable[[str], None]) -> tuple[str, list[str]]:
    """The kind of device that a run on the cluster is on, and the workers that each node gets.

    Args:
        device: as the settings have it: auto for the GPUs of all nodes, or else their processors.
    """
    if device != "auto":
        names = device.split(",")
        return names[0].partition(":")[0], names
    ray = connect(note)
    has_gpus = any(node["Alive"] and node["Resources"].get("GPU", 0) for node in ray.nodes())
    return ("cuda", ["cuda"]) if has_gpus else ("cpu", ["cpu"])


def cluster_workers(device: str, note: Callable[[str], None]) -> tuple[dict[str, int], float]:
    """Workers that a run would have by node, and how many times as fast as this machine they are together: by their GPUs, or
    by their processors."""
    kind, each = cluster_devices(device, note)
    workers, speed = dict[str, int](), 0.0
    for node in connect(note).nodes():
        if node["Alive"]:
            gpus, cpus = int(node["Resources"].get("GPU", 0)), node["Resources"].get("CPU", 0.0)
            workers[_name(node)] = gpus if kind == "cuda" else len(each)
            speed += gpus if kind == "cuda" else cpus / default_workers("cuda")
    return {node: count for node, count in workers.items() if count}, speed


def _check_reachable(address: str) -> None:
    """Ray itself would try for a minute."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if address in ("auto", "local") or not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), timeout=_REACH_SECONDS).close()
    except OSError as error:
        raise _unreachable(address, str(error)) from error


def _unreachable(address: str, why: str) -> HarnessError:
    return HarnessError(
        f"No Ray cluster answers at {address}: {why}",
        remedy="Look at RAY_ADDRESS and `ray status`, and where the cluster asks for a token, set RAY_AUTH_MODE=token; or unset "
        "RAY_ADDRESS to use this machine alone.",
        exit_code=ExitCode.MISSING,
    )
