"""Killed at any instant and started again: the same values, no half-written file in the way."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import sys
import time
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import PHOTOGRAPHS

KILLS = 10
CELLS = """
name: cells
title: A few corruption cells
description: Two corruptions at two severities, and the clean crops.
benchmarks:
  - {name: foolbox-imagenet-20-c-generated, corruptions: [gaussian_noise, fog], severities: [2, 5]}
metrics: [accuracy, corruption]
"""


def run_slowly(home: Path, output: Path, suite_text: str, shard_size: int) -> None:
    """`harness run` in a process of its own, one image a shard, slow enough that a kill falls into the work."""
    import torch

    import harness.store.predictions as predictions
    from harness.cli import main

    torch.set_num_threads(1)
    write = predictions.PredictionStore.write

    def slow(*arguments: Any) -> Path:
        time.sleep(0.15)
        path = write(*arguments)
        time.sleep(0.15)
        return path

    predictions.PredictionStore.write = slow
    os.environ["HARNESS_HOME"] = str(home)
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - for the rest of this process
    suite = output.with_suffix(".yaml")
    suite.write_text(suite_text)
    options = ["--suite", str(suite), "--model", "efficientnet-lite0", "--offline", "--output", str(output)]
    sizes = ["--batch-size", str(shard_size), "--shard-size", str(shard_size)]
    sys.argv = ["harness", "run", *options, *sizes]
    main()


@pytest.fixture(scope="module")
def processes() -> Any:
    """Starts processes that have the slow imports behind them already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["timm", "harness.evaluation.run", "harness.cards.render", "harness.evaluation.predicting"]
    )
    return context


def start(processes: Any, home: Path, output: Path, suite: str = PHOTOGRAPHS, shard_size: int = 1) -> ForkServerProcess:
    process: ForkServerProcess = processes.Process(target=run_slowly, args=(home, output, suite, shard_size))
    process.start()
    return process


def finish(process: ForkServerProcess) -> int | None:
    process.join(timeout=300)
    return process.exitcode


COST_OF_THE_RUN = ("energy.", "carbon.")
"""Keys of what differs between two runs by nature: the joules each took."""


def measured(output: Path) -> list[tuple[object, ...]]:
    evidence = json.loads((output / "evidence.json").read_text())["evidence"]
    metrics = [e for e in evidence if e["n"] and not e["key"].startswith(COST_OF_THE_RUN)]
    return [(e["key"], e["value"], e["interval"], e["n"], e["fingerprints"]) for e in metrics]


def energy_of(output: Path) -> dict[str, Any]:
    """The record `energy.this-run`."""
    evidence = json.loads((output / "evidence.json").read_text())["evidence"]
    (found,) = (e for e in evidence if e["key"] == "energy.this-run")
    return found


def shards(home: Path) -> int:
    return sum(1 for _ in (home / "predictions").rglob("*.parquet"))


@pytest.mark.slow
@pytest.mark.usefixtures("foolbox_images")
def test_ten_kills_end_in_the_values_of_an_undisturbed_run(processes: Any, tmp_path: Path) -> None:
    assert finish(start(processes, tmp_path / "whole-home", tmp_path / "whole")) == 0
    home, output, chance = tmp_path / "home", tmp_path / "killed", random.Random(20261121)
    for kill in range(KILLS):
        before = shards(home)
        process = start(processes, home, output)
        # The first kill falls into the start; the others wait for a new shard, then fall at a random instant.
        deadline = time.monotonic() + (chance.uniform(0, 2) if kill == 0 else 120)
        while process.is_alive() and time.monotonic() < deadline and shards(home) <= before:
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 0.3))
        process.kill()
        assert finish(process) == -signal.SIGKILL, "it was killed, not done"
    assert 0 < shards(home) < 20
    assert finish(start(processes, home, output)) == 0
    assert measured(output) == measured(tmp_path / "whole")
    assert shards(home) == 20
    # Energy adds up over the starts, up to a shard that was stored without its joules when the kill fell between.
    energy = energy_of(output)
    assert 20 - KILLS <= energy["n"] <= 20
    assert len(energy["protocol"]["images_by_starts"]) > 1
    assert energy["protocol"]["images_stored_before_and_not_covered"] == 20 - energy["n"]
    assert energy["value"] > 0
    if energy["n"] < 20:
        assert f"covers {energy['n']} of this run's 20 images" in energy["reason"]
    assert energy_of(tmp_path / "whole")["n"] == 20
    assert not list((home / "energy").glob("*.json")), "the journal goes when the run is done"


@pytest.mark.slow
@pytest.mark.usefixtures("foolbox_images")
def test_two_processes_on_one_store_end_in_the_same_values(processes: Any, tmp_path: Path) -> None:
    home = tmp_path / "home"
    both = [start(processes, home, tmp_path / name) for name in ("first", "second")]
    assert [finish(process) for process in both] == [0, 0]
    assert measured(tmp_path / "first") == measured(tmp_path / "second")
    assert not list(home.rglob("*.damaged"))


@pytest.mark.slow
@pytest.mark.usefixtures("foolbox_images")
def test_a_killed_corruption_run_goes_on_at_its_cell_and_shard(processes: Any, tmp_path: Path) -> None:
    """Five cells in two shards each; what was stored before the kills is not computed again."""
    assert finish(start(processes, tmp_path / "whole-home", tmp_path / "whole", CELLS, 10)) == 0
    home, output = tmp_path / "home", tmp_path / "killed"
    for wanted in (3, 7):
        process = start(processes, home, output, CELLS, 10)
        deadline = time.monotonic() + 120
        while process.is_alive() and time.monotonic() < deadline and shards(home) < wanted:
            time.sleep(0.01)
        process.kill()
        assert finish(process) == -signal.SIGKILL, "it was killed, not done"
    kept = {path: path.stat().st_mtime_ns for path in (home / "predictions").rglob("*.parquet")}
    assert 7 <= len(kept) < 10
    assert finish(start(processes, home, output, CELLS, 10)) == 0
    assert measured(output) == measured(tmp_path / "whole")
    assert shards(home) == 10
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in kept.items())
