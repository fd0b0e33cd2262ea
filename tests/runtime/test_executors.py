"""The scheduler: every shard once, whoever is slow, late or lost; and real processes that give one process's values."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from simulated import SimulatedPool, simulated_job, simulated_shards

from harness.errors import ExitCode, HarnessError
from harness.runtime import processes
from harness.runtime.executors import MOST_IMAGES, TASK_SECONDS, Scheduler
from harness.settings import Settings
from tests.runtime.conftest import shard_names

SIZE = 512


def spread(pool: SimulatedPool, count: int, jobs: int = 1) -> tuple[list[tuple[str, int]], list[str]]:
    """(condition, first position) of every result, and what was noted."""
    notes: list[str] = []
    shards = [
        shard for number in range(jobs) for shard in simulated_shards(simulated_job(f"job {number}"), count, SIZE)
    ]
    scheduler = Scheduler(pool, note=notes.append, clock=pool.clock)
    outcomes = scheduler.run(shards, SIZE * len(shards))
    return [(shard.job.name, shard.positions[0]) for shard, _ in outcomes], notes


def each_once(count: int, jobs: int = 1) -> list[tuple[str, int]]:
    return [(f"job {job}", number * SIZE) for job in range(jobs) for number in range(count)]


class TestScheduler:
    def test_every_shard_is_given_back_once(self) -> None:
        found, notes = spread(SimulatedPool({"a": 100, "b": 70, "c": 900}), 200, jobs=3)
        assert sorted(found) == sorted(each_once(200, 3))
        assert notes == []

    def test_tasks_take_about_a_minute_and_the_first_shows_how_fast_a_worker_is(self) -> None:
        pool = SimulatedPool({"slow": 50, "fast": 200, "very fast": 5000})
        spread(pool, 2000)
        assert {size for _, size in pool.tasks[:3]} == {SIZE}
        largest = {node: max(size for name, size in pool.tasks if name == node) for node, _ in pool.tasks}
        # whole shards, so up to one shard more than a minute's images
        assert largest["slow"] == pytest.approx(50 * TASK_SECONDS, abs=SIZE)
        assert largest["fast"] == pytest.approx(200 * TASK_SECONDS, abs=SIZE)
        assert largest["very fast"] == MOST_IMAGES

    @pytest.mark.parametrize("rates", [{"a": 100, "b": 100, "slow": 10}, {"a": 100, "b": 50}, {"a": 100, "slow": 1}])
    def test_a_slow_worker_keeps_the_run_within_half_again_of_the_ideal(self, rates: dict[str, float]) -> None:
        pool = SimulatedPool(rates)
        found, _ = spread(pool, 100)
        assert sorted(found) == each_once(100)
        assert pool.now < 1.5 * 100 * SIZE / sum(rates.values())

    def test_what_a_lost_worker_had_goes_to_others(self) -> None:
        pool = SimulatedPool({"a": 100, "b": 100, "c": 100}, dies={"b": 30.0, "c": 200.0})
        found, notes = spread(pool, 100)
        assert sorted(found) == each_once(100)
        assert notes == ["Going on without b: it was told to", "Going on without c: it was told to"]

    def test_a_worker_that_joins_late_takes_part(self) -> None:
        pool = SimulatedPool({"early": 100, "late": 100}, joins={"late": 120.0})
        found, _ = spread(pool, 100)
        assert sorted(found) == each_once(100)
        assert sum(size for node, size in pool.tasks if node == "late") > 0.3 * 100 * SIZE

    def test_without_any_worker_left_the_run_is_incomplete(self) -> None:
        pool = SimulatedPool({"a": 100, "b": 100}, dies={"a": 20.0, "b": 60.0})
        with pytest.raises(HarnessError, match="No device is left to compute on: b: it was told to") as caught:
            spread(pool, 100)
        assert caught.value.exit_code is ExitCode.INCOMPLETE

    def test_ends_at_random_moments_leave_no_shard_out_and_none_twice(self) -> None:
        chance = random.Random(20261127)
        for _ in range(300):
            names = [f"worker {number}" for number in range(chance.randint(2, 6))]
            rates = {name: chance.choice([5, 50, 100, 400]) for name in names}
            dies = {name: chance.uniform(0, 300) for name in names[1:] if chance.random() < 0.7}
            joins = {name: chance.uniform(0, 200) for name in names[1:] if chance.random() < 0.3}
            count = chance.randint(1, 60)
            found, _ = spread(SimulatedPool(rates, joins, dies), count, jobs=2)
            assert sorted(found) == each_once(count, 2)


@pytest.mark.slow
@pytest.mark.usefixtures("foolbox_images")
def test_processes_give_the_values_of_one_also_where_one_is_killed(
    values: Callable[..., object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, several = tmp_path / "one", tmp_path / "several"
    expected = values(one, device="cpu")
    children: list[processes.Child] = []
    monkeypatch.setattr(
        processes, "start", lambda *a, _start=processes.start, **k: children.append(_start(*a, **k)) or children[-1]
    )

    def kill_first() -> None:
        while not shard_names(several):
            time.sleep(0.02)
        os.kill(children[0].process.pid, signal.SIGKILL)

    killer = threading.Thread(target=kill_first)
    killer.start()
    assert values(several, device="cpu,cpu") == expected
    killer.join()
    assert len(children) == 3, "the one that was killed was started again"
    assert shard_names(one) == shard_names(several), "the same rows with the same bytes, none twice"


def test_devices_of_several_kinds_are_refused() -> None:
    with pytest.raises(HarnessError, match="of several kinds"):
        Settings(device="cpu,cuda:0")
