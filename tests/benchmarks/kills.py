"""SIGKILL for an actor, a node or the driver of a run on Ray, at random moments, again and again: the same values in the end.

python tests/benchmarks/kills.py --kills 30
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

NODE = {"num_cpus": 2, "object_store_memory": 80_000_000}
SUITE = """
name: cells
title: A few corruption cells
description: Photographs and three corruptions of them.
benchmarks:
  - foolbox-imagenet-20
  - {name: foolbox-imagenet-20-c-generated, corruptions: [gaussian_noise, fog, contrast], severities: [1, 5]}
metrics: [accuracy, calibration, corruption]
"""


def start(work: Path, name: str, *options: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "harness", "run", "--suite", str(work / "cells.yaml"), "-m", "efficientnet-lite0"]
    command += ["--offline", "--batch-size", "2", "--shard-size", "2", "--output", str(work / f"{name}-out"), *options]
    environment = os.environ | {"HARNESS_HOME": str(work / name), "OMP_NUM_THREADS": "1"}
    with (work / f"{name}.log").open("ab") as log:
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log)


def shards(work: Path, name: str) -> set[str]:
    return {path.name for path in (work / name / "predictions").rglob("*.parquet")}


def values(work: Path, name: str) -> list[tuple[Any, ...]]:
    evidence = json.loads((work / f"{name}-out" / "evidence.json").read_text())["evidence"]
    kept = (e for e in evidence if e["n"] and not e["key"].startswith(("energy.", "carbon.")))
    return [(e["key"], e["value"], e["interval"], e["n"]) for e in kept]


def actors(node: Any) -> list[int]:
    """The processes in which a node's actors run: children of its raylet."""
    raylet = node.all_processes["raylet"][0].process.pid
    listed = subprocess.run(
        ["pgrep", "-P", str(raylet), "-f", "ray::_Actor"], capture_output=True, text=True, check=False
    )
    return [int(number) for number in listed.stdout.split()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=20261127)
    options = parser.parse_args()
    from ray.cluster_utils import Cluster

    work, chance = Path(tempfile.mkdtemp(prefix="harness-kills-")), random.Random(options.seed)
    (work / "cells.yaml").write_text(SUITE)
    assert start(work, "one").wait() == 0
    expected = shards(work, "one")
    cluster = Cluster(initialize_head=True, head_node_args=NODE)
    os.environ["RAY_ADDRESS"] = cluster.address
    node, home, round_, killed = cluster.add_node(**NODE), "killed-0", 0, list[str]()
    while len(killed) < options.kills:
        driver = start(work, home, "--executor", "ray", "--device", "cpu,cpu")
        before, target = len(shards(work, home)), chance.choice(["actor", "node", "driver"])
        while driver.poll() is None and len(shards(work, home)) <= before:
            time.sleep(0.02)
        time.sleep(chance.uniform(0, 1))
        if target == "actor":
            for number in actors(chance.choice(cluster.list_all_nodes()))[:1]:
                os.kill(number, signal.SIGKILL)
                killed.append(target)
        elif target == "node":
            cluster.remove_node(node, allow_graceful=False)
            node = cluster.add_node(**NODE)
            killed.append(target)
        if target != "driver":
            time.sleep(chance.uniform(0, 2))
        if driver.poll() is None:
            driver.kill()
            killed.append("driver")
        driver.wait()
        if shards(work, home) >= expected:  # all is done: begin anew, so that every kill falls into work
            assert start(work, home).wait() == 0
            assert (values(work, home), shards(work, home)) == (values(work, "one"), expected)
            round_ += 1
            home = f"killed-{round_}"
        print(
            f"{len(killed):3} kills ({', '.join(killed[-2:])}), {len(shards(work, home))} of {len(expected)} shards",
            flush=True,
        )
    assert start(work, home, "--executor", "ray", "--device", "cpu,cpu").wait() == 0
    assert values(work, home) == values(work, "one"), "the values of an undisturbed run"
    assert shards(work, home) == expected, "the same files, none twice, none half written"
    counts = {target: killed.count(target) for target in ("actor", "node", "driver")}
    print(
        f"survived {len(killed)} kills ({counts}) in {round_ + 1} runs: {len(expected)} shards, {len(values(work, home))} values equal"
    )
    cluster.shutdown()


if __name__ == "__main__":
    main()
