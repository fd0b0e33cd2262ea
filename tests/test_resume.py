"""Killed at any instant and started again: the same values, no half-written file in the way."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

KILLS = 10
_SLOW_RUN = """
import sys, time
import harness.predictions as predictions
from harness.cli import main

write = predictions.PredictionStore.write
def slow(self, *args):
    time.sleep(0.15)  # gives a kill the chance to fall before, in and after a shard
    path = write(self, *args)
    time.sleep(0.15)
    return path
predictions.PredictionStore.write = slow
sys.argv = ["harness", *sys.argv[1:]]
main()
"""


def command(output: Path) -> list[str]:
    options = ["--suite", "demo", "--model", "efficientnet-lite0", "--offline", "--output", str(output)]
    layout = ["--layout", "channels_last", "--batch-size", "1", "--shard-size", "1", "--format", "json"]
    return [sys.executable, "-c", _SLOW_RUN, "run", *options, *layout]


def environment(home: Path) -> dict[str, str]:
    return {**os.environ, "HARNESS_HOME": str(home), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


def measured(output: Path) -> list[tuple[object, ...]]:
    ledger = json.loads((output / "evidence.json").read_text())
    return [(e["key"], e["value"], e["interval"], e["n"], e["fingerprints"]) for e in ledger["evidence"] if e["n"]]


def shards(home: Path) -> int:
    return sum(1 for _ in home.rglob("*.parquet") if "predictions" in _.parts)


@pytest.mark.usefixtures("foolbox_images")
def test_ten_kills_end_in_the_values_of_an_undisturbed_run(tmp_path: Path) -> None:
    undisturbed = subprocess.run(
        command(tmp_path / "whole"), env=environment(tmp_path / "whole-home"), capture_output=True, check=False
    )
    assert undisturbed.returncode == 3, undisturbed.stderr.decode()  # imagenet-val is pending
    home, output, chance = tmp_path / "home", tmp_path / "killed", random.Random(20261121)
    for kill in range(KILLS):
        before = shards(home)
        process = subprocess.Popen(
            command(output), env=environment(home), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        # Wait until it works on predictions (or, in the first round, is still starting), then kill at a random instant.
        deadline = time.monotonic() + (chance.uniform(0, 3) if kill == 0 else 120)
        while process.poll() is None and time.monotonic() < deadline and shards(home) <= before:
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 0.2))
        process.send_signal(signal.SIGKILL)
        process.wait()
        if shards(home) >= 20:
            break
    assert shards(home) > 0
    last = subprocess.run(command(output), env=environment(home), capture_output=True, check=False)
    assert last.returncode == 3, last.stderr.decode()
    assert measured(output) == measured(tmp_path / "whole")
    assert shards(home) == 20


@pytest.mark.usefixtures("foolbox_images")
def test_two_processes_on_one_store_end_in_the_same_values(tmp_path: Path) -> None:
    home = tmp_path / "home"
    outputs = [tmp_path / "first", tmp_path / "second"]
    both = [
        subprocess.Popen(command(out), env=environment(home), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for out in outputs
    ]
    errors = [process.communicate()[1].decode() for process in both]
    assert [process.returncode for process in both] == [3, 3], errors
    assert measured(outputs[0]) == measured(outputs[1])
    assert not list(home.rglob("*.damaged"))
