"""Who computes shards: this process, several processes of this machine, or a cluster (`ray_executor`).

Each is handed shards and gives back what became of them, in any order, each shard once. Where there are several workers
a `Scheduler` stands between: it bundles shards into tasks of about a minute (more images for a faster worker,
one shard for one whose speed is not known yet, less towards the end), gives the shards of a lost worker to others, and at
the end has idle workers repeat what a slow one still has in hand: the first answer counts, the other is known by its
shard and dropped. Batches are cut by position alone, so none of this can move a digit.
"""

from __future__ import annotations

import pickle
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from typing import Protocol

from harness.errors import ExitCode, HarnessError, UsageError
from harness.runtime import processes
from harness.runtime.decoding import ConditionPixels, Images
from harness.runtime.engine import Job, Shard
from harness.runtime.rows import ShardRows
from harness.runtime.tasks import MOST_IMAGES, TASK_SECONDS
from harness.runtime.workers import Condition, Finished, Setup, Task, Worker

RESTARTS = 2
"""How often a worker that was lost is started again on its device."""
_POLL_SECONDS = 1.0


Outcome = tuple[Shard, ShardRows | HarnessError | None]
"""What became of a shard: its rows, None where the worker has stored them, or why its condition can't go on."""
Executor = Callable[[Iterable[Shard]], Iterator[Outcome]]
"""Computes shards, which are drawn as they are needed; raises HarnessError where no worker is left."""


# --- several workers --------------------------------------------------------------------------------------------------


class Remote(Protocol):
    """A worker as the scheduler sees it; compared by identity."""

    node: str
    """The machine or device that its speed is shown under."""

    def begin(self, task: Task, images: Images) -> None:
        """Have it compute a task; it has none in hand."""


@dataclass(frozen=True)
class Ready:
    """A worker has started."""


@dataclass(frozen=True)
class Lost:
    """A worker has ended or can't be used."""

    why: str


Event = Ready | Finished | Lost


class Pool(Protocol):
    """Where workers come from."""

    def wait(self, seconds: float) -> list[tuple[Remote, Event]]:
        """What has happened; waits at most so long for something to happen."""

    @property
    def hopeful(self) -> bool:
        """Whether workers are still starting."""

    def close(self) -> None:
        """End all workers."""


@dataclass(eq=False)
class _Hand:
    """What the scheduler knows of a worker."""

    remote: Remote
    rate: float | None = None
    """Images per second in its last task."""
    task: Task | None = None
    shards: Sequence[Shard] = ()
    began: float = 0.0
    is_copy: bool = False

    def rest(self, now: float) -> float:
        """Seconds until its task ends, by its speed; of one whose speed isn't known or that is late, as long again."""
        assert self.task is not None
        elapsed = now - self.began
        expected = self.task.size / self.rate if self.rate else elapsed
        return max(expected - elapsed, elapsed - expected, 0.0 if self.rate else elapsed)


class Scheduler:
    """Spreads shards over the workers of a pool."""

    def __init__(
        self,
        pool: Pool,
        *,
        note: Callable[[str], None],
        progress: Callable[[int], None] = lambda images: None,
        spent: Callable[[Finished], None] = lambda finished: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            note: takes messages about workers that were lost.
            progress: called with the number of images that each finished shard adds.
            spent: told of each finished task, for its energy.
        """
        self._pool, self._note, self._progress, self._spent, self._clock = pool, note, progress, spent, clock
        self._hands: dict[Remote, _Hand] = {}
        self._todo: Iterator[Shard] = iter(())
        self._again: deque[Shard] = deque()
        self._left = 0
        self._open: set[Shard] = set()
        self._numbers: dict[Images, int] = {}
        self._conditions: dict[Job, Condition] = {}
        self._tasks = 0
        self._last_loss = "none could be started"

    def rates(self) -> dict[str, float]:
        """Images per second by node, of workers that have finished a task."""
        rates: dict[str, float] = {}
        for hand in self._hands.values():
            if hand.rate is not None:
                rates[hand.remote.node] = rates.get(hand.remote.node, 0.0) + hand.rate
        return rates

    def run(self, shards: Iterable[Shard], images: int) -> Iterator[Outcome]:
        """What became of each shard, of `images` in all, as they finish.

        Raises:
            HarnessError: no worker is left; what was given back until then is whole.
        """
        self._todo, self._left = iter(shards), images
        while True:
            for hand in list(self._hands.values()):
                if hand.task is None:
                    self._give(hand)
            if not self._open and not self._again and not self._peek():
                return
            if not self._hands and not self._pool.hopeful:
                raise HarnessError(
                    f"No device is left to compute on: {self._last_loss}",
                    remedy="What is finished is stored. Repeat the command: it goes on from here, on any executor.",
                    exit_code=ExitCode.INCOMPLETE,
                )
            for remote, event in self._pool.wait(_POLL_SECONDS):
                yield from self._settle(remote, event)

    def _settle(self, remote: Remote, event: Event) -> Iterator[Outcome]:
        if isinstance(event, Ready):
            self._hands[remote] = _Hand(remote)
            return
        if isinstance(event, Lost):
            self._last_loss = f"{remote.node}: {event.why}"
            self._note(f"Going on without {self._last_loss}")
            hand = self._hands.pop(remote, None)
            elsewhere = {shard for other in self._hands.values() for shard in other.shards}
            self._again.extend(s for s in (hand.shards if hand else ()) if s in self._open and s not in elsewhere)
            return
        hand = self._hands[remote]
        assert hand.task is not None
        assert event.number == hand.task.number
        hand.rate, shards = hand.task.size / max(event.seconds, 1e-9), hand.shards
        hand.task, hand.shards = None, ()
        self._spent(event)
        for shard, rows in zip(shards, event.rows, strict=True):
            if shard in self._open:  # else another worker's copy of it came first
                self._open.remove(shard)
                self._progress(len(shard.positions))
                yield shard, event.failed.get(shard.job.name, rows)

    def _give(self, hand: _Hand) -> None:
        """Give an idle worker something to do, if there is something."""
        shards, is_copy = self._drawn(hand), False
        if not shards:
            shards, is_copy = self._to_repeat(hand), True
        if not shards:
            return
        images = _images_of(shards[0])
        number = self._numbers.setdefault(images, len(self._numbers))
        self._tasks += 1
        task = Task(self._tasks, number, tuple((self._condition(shard.job), shard.positions) for shard in shards))
        hand.task, hand.shards, hand.began, hand.is_copy = task, shards, self._clock(), is_copy
        self._open.update(shards)
        hand.remote.begin(task, images)

    def _drawn(self, hand: _Hand) -> list[Shard]:
        """New shards, or those of lost workers, as many as suit a worker, all from one data set."""
        wanted = 1.0
        if hand.rate is not None:
            everyone = sum(other.rate or 0.0 for other in self._hands.values())
            wanted = max(1.0, min(TASK_SECONDS * hand.rate, MOST_IMAGES, self._left * hand.rate / everyone / 2))
        shards: list[Shard] = []
        size = 0
        while size < wanted and (shard := self._peek()) is not None:
            if shards and _images_of(shard) is not _images_of(shards[0]):
                break
            self._again.popleft()
            shards.append(shard)
            size += len(shard.positions)
        self._left = max(0, self._left - size)
        return shards

    def _peek(self) -> Shard | None:
        """The shard that comes next; it stays in front of the queue."""
        if not self._again and (shard := next(self._todo, None)) is not None:
            self._again.append(shard)
        return self._again[0] if self._again else None

    def _to_repeat(self, hand: _Hand) -> list[Shard]:
        """What the worker that will be done last has in hand, where this one would have it done sooner."""
        now = self._clock()
        copied = {shard for other in self._hands.values() if other.is_copy for shard in other.shards}
        slow = [h for h in self._hands.values() if h.task is not None and not h.is_copy and h.shards[0] not in copied]
        if hand.rate is None or not slow:
            return []
        last = max(slow, key=lambda other: other.rest(now))
        shards = [shard for shard in last.shards if shard in self._open]
        return shards if last.rest(now) > sum(len(s.positions) for s in shards) / hand.rate else []

    def _condition(self, job: Job) -> Condition:
        if job not in self._conditions:
            assert isinstance(job.pixels, ConditionPixels)
            self._conditions[job] = Condition(job.name, job.projections, job.pixels.cell, job.keep_logits)
        return self._conditions[job]


def _images_of(shard: Shard) -> Images:
    assert isinstance(shard.job.pixels, ConditionPixels), "only a data set's images can be sent to other processes"
    return shard.job.pixels.images


# --- processes of this machine ----------------------------------------------------------------------------------------


@dataclass(eq=False)
class _LocalWorker:
    """A process on a device."""

    node: str
    setup: Setup
    restarts: int = 0
    child: processes.Child | None = None
    has: set[int] = field(default_factory=set)

    def start(self) -> None:
        environment = {"OMP_NUM_THREADS": str(self.setup.threads)}
        self.child = processes.start("harness.runtime.executors:serve", environment=environment)
        self.has.clear()
        self.child.connection.send_bytes(_sendable(self.setup))

    def begin(self, task: Task, images: Images) -> None:
        assert self.child is not None
        try:
            if task.images not in self.has:
                self.child.connection.send((task.images, images))
                self.has.add(task.images)
            self.child.connection.send(task)
        except OSError:  # it has ended, which the next wait says
            return


class LocalProcesses:
    """A worker for each device of this machine."""

    def __init__(self, setup: Setup, devices: Sequence[str]) -> None:
        self._workers = [
            _LocalWorker(
                f"{device} ({index + 1} of {len(devices)})", replace(setup, config=replace(setup.config, device=device))
            )
            for index, device in enumerate(devices)
        ]
        self._starting = set(self._workers)
        for worker in self._workers:
            worker.start()

    @property
    def hopeful(self) -> bool:
        return bool(self._starting)

    def wait(self, seconds: float) -> list[tuple[Remote, Event]]:
        events: list[tuple[Remote, Event]] = []
        running = [(worker, worker.child) for worker in self._workers if worker.child is not None]
        said = wait([child.connection for _, child in running], seconds)
        for worker, child in running:
            if child.connection not in said:
                continue
            try:
                message: Event = child.connection.recv()
            except (EOFError, OSError):
                message = Lost(f"its process ended with code {child.process.wait()}")
            if isinstance(message, Ready | Lost):
                self._starting.discard(worker)
            if isinstance(message, Lost):
                self._start_again(worker, child)
            events.append((worker, message))
        return events

    def _start_again(self, worker: _LocalWorker, child: processes.Child) -> None:
        child.close()
        worker.child = None
        if worker.restarts < RESTARTS:
            worker.restarts += 1
            self._starting.add(worker)
            worker.start()

    def close(self) -> None:
        for worker in self._workers:
            if worker.child is not None:
                worker.child.close()
                worker.child = None
        self._starting.clear()


def serve(connection: Connection) -> None:
    """What a worker's process does, until the connection ends."""
    try:
        worker = Worker(pickle.loads(connection.recv_bytes()))
    except HarnessError as error:
        connection.send(Lost(error.message))
        return
    connection.send(Ready())
    try:
        while True:
            message = connection.recv()
            if isinstance(message, Task):
                connection.send(worker.run(message, store=True))
            else:
                worker.take_images(*message)
    finally:
        worker.close()


def _sendable(setup: Setup) -> bytes:
    """Raises HarnessError: the model is a module that another process can't build."""
    try:
        return pickle.dumps(setup)
    except (AttributeError, TypeError, pickle.PicklingError) as error:
        raise UsageError(
            f"{setup.loaded.identity.name} can't be sent to another process: {error}",
            remedy="Define its class in a module of its own, or run it on one device without --executor.",
        ) from error
