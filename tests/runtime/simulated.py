"""A pool of workers that compute nothing and take no time but their own, for the scheduler alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from harness.runtime.decoding import ConditionPixels, Images
from harness.runtime.engine import Job, Samples, Shard
from harness.runtime.executors import Event, Lost, Ready, Remote
from harness.runtime.rows import ShardRows
from harness.runtime.workers import Finished, Task


@dataclass(eq=False)
class SimulatedWorker:
    """Runs `rate` images a second, from when it joins until it dies."""

    node: str
    rate: float
    pool: SimulatedPool = field(repr=False)
    dies: float = np.inf
    task: Task | None = None
    until: float = np.inf

    def begin(self, task: Task, images: Images) -> None:
        assert self.task is None, "a worker has one task at a time"
        self.task, self.until = task, self.pool.now + task.size / self.rate
        if self.pool.tasks is not None:
            self.pool.tasks.append((self.node, task.size))


class SimulatedPool:
    """Workers on a clock of their own."""

    def __init__(
        self,
        rates: Mapping[str, float],
        joins: Mapping[str, float] | None = None,
        dies: Mapping[str, float] | None = None,
        rows: ShardRows | None = None,
    ) -> None:
        self.now = 0.0
        self.tasks: list[tuple[str, int]] | None = [] if rows is None else None
        """Worker and images of each, where there are few."""
        self._rows = rows
        self._joins = {name: (joins or {}).get(name, 0.0) for name in rates}
        self._workers = {
            name: SimulatedWorker(name, rate, self, (dies or {}).get(name, np.inf)) for name, rate in rates.items()
        }

    @property
    def hopeful(self) -> bool:
        return bool(self._joins)

    def clock(self) -> float:
        return self.now

    def wait(self, seconds: float) -> list[tuple[Remote, Event]]:
        moments = [
            *self._joins.values(),
            *(min(w.until, w.dies) for n, w in self._workers.items() if n not in self._joins),
        ]
        self.now = max(self.now, min(self.now + seconds, *moments))
        events: list[tuple[Remote, Event]] = []
        for name, moment in list(self._joins.items()):
            if moment <= self.now:
                del self._joins[name]
                events.append((self._workers[name], Ready()))
        for name, worker in list(self._workers.items()):
            if name in self._joins:
                continue
            if worker.dies <= self.now:
                del self._workers[name]
                events.append((worker, Lost("it was told to")))
            elif worker.until <= self.now:
                task, worker.task, worker.until = worker.task, None, np.inf
                seconds_taken = task.size / worker.rate
                done = Finished(task.number, [self._rows] * len(task.shards), {}, task.size, seconds_taken, ())
                events.append((worker, done))
        return events

    def close(self) -> None:
        self._workers.clear()


def simulated_job(name: str = "simulated") -> Job:
    images = cast(Any, f"the images of {name}")
    return Job(name, [], Samples([], [], np.zeros(0, np.int64)), ConditionPixels(images, None))


def simulated_shards(job: Job, count: int, size: int = 512) -> list[Shard]:
    return [Shard(job, range(number * size, (number + 1) * size)) for number in range(count)]
