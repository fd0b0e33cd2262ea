"""What the driver of a large run costs: a million tasks on simulated workers that return recorded rows.

python tests/benchmarks/scheduling.py --tasks 1000000 --workers 64
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "runtime"))
from simulated import SimulatedPool, simulated_job

from harness.metrics.types import LabelSpacePredictions
from harness.runtime.engine import Shard
from harness.runtime.executors import TASK_SECONDS, Scheduler
from harness.runtime.rows import ShardRows

SIZE = 512


def recorded() -> ShardRows:
    """The rows of a shard in three label spaces, as a worker returns them."""
    zeros = np.zeros(SIZE, np.float32)
    read = LabelSpacePredictions(
        np.zeros(SIZE, np.int32), np.zeros((SIZE, 5), np.int32), np.zeros((SIZE, 5), np.float32), zeros, zeros, zeros
    )
    names = [f"ILSVRC2012_val_{number:08}" for number in range(SIZE)]
    return ShardRows(
        names, ["0" * 64] * SIZE, np.zeros(SIZE, np.int32), [None] * SIZE, dict.fromkeys(("closed", "a", "r"), read)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=64)
    options = parser.parse_args()

    jobs = [simulated_job(f"condition {number}") for number in range(100)]

    def shards() -> Iterator[Shard]:
        """One at a time, as a run's are: never a list of a million."""
        for number in range(options.tasks):
            yield Shard(jobs[number * len(jobs) // options.tasks], range(SIZE))

    # So slow that a task is a single shard: the least work a task can have, and so the most that the driver can cost.
    rates = {f"worker {number}": SIZE / (TASK_SECONDS + number / 10) for number in range(options.workers)}
    pool = SimulatedPool(rates, rows=recorded())
    scheduler = Scheduler(pool, note=print, clock=pool.clock)
    start, done = time.perf_counter(), 0
    for _, rows in scheduler.run(shards(), SIZE * options.tasks):
        done += rows is not None
        if done % (options.tasks // 10) == 0:
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            each = 1e6 * (time.perf_counter() - start) / done
            print(
                f"{done:9,} tasks, {each:.0f} µs each, at most {peak:.0f} MiB, {pool.now / 3600:.1f} simulated hours",
                flush=True,
            )


if __name__ == "__main__":
    main()
