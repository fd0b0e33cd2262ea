"""A tiny classifier and images made of numbers, for the engine's own behaviour."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import harness
from harness.errors import HarnessError
from harness.labels.projections import LabelSpaceProjection
from harness.metrics.types import LabelSpacePredictions, concatenate
from harness.models.preprocessing import Preprocessing
from harness.runtime.decoders import Threads
from harness.runtime.engine import Job, Samples, predict, shards_of
from harness.runtime.execution import ExecutionConfig
from harness.runtime.network import Network, prepare
from harness.runtime.rows import ShardRows

PLAIN = Preprocessing(resize=None, crop=(8, 8), interpolation="nearest", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
CLASSES = 12
SUITE = """
name: photographs
title: The demo photographs
description: Twenty photographs, and a corruption of them.
benchmarks:
  - foolbox-imagenet-20
  - {name: foolbox-imagenet-20-c-generated, corruptions: [gaussian_noise], severities: [3]}
metrics: [accuracy, calibration, corruption]
"""
"""The demo photographs and one corruption of them, for runs on several workers."""


def shard_names(home: Path) -> set[str]:
    return {path.name for path in (home / "predictions").rglob("*.parquet")}


@pytest.fixture
def values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None
) -> Callable[..., list[tuple[object, ...]]]:
    """values(home, **options of evaluate): what a run of `SUITE` measured."""
    suite = tmp_path / "photographs.yaml"
    suite.write_text(SUITE)

    def run(home: Path, **options: Any) -> list[tuple[object, ...]]:
        monkeypatch.setenv("HARNESS_HOME", str(home))
        done = harness.evaluate("efficientnet-lite0", suite, batch_size=2, shard_size=2, offline=True, **options)
        kept = (e for e in done.ledger if e.n and not e.key.startswith(("energy.", "carbon.")))
        return [(e.key, e.value, e.interval, e.n) for e in kept]

    return run


@dataclass
class Collected:
    """What a run wrote, shard by shard."""

    shards: list[ShardRows]

    @property
    def ids(self) -> list[str]:
        return [name for shard in self.shards for name in shard.sample_id]

    @property
    def errors(self) -> list[str | None]:
        return [error for shard in self.shards for error in shard.error]

    def readout(self, name: str = "closed") -> LabelSpacePredictions:
        return concatenate([shard.predictions[name] for shard in self.shards])


def identity_spec(classes: int = CLASSES, name: str = "closed") -> LabelSpaceProjection:
    every = np.arange(classes, dtype=np.int64)
    return LabelSpaceProjection(name, every, every, "the test's own classes")


def tiny_model() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(4 * 36, CLASSES)
    )


def tiny_pixels(position: int) -> np.ndarray:
    return np.random.default_rng(position).integers(0, 256, (8, 8, 3), dtype=np.uint8)


def tiny_samples(count: int) -> Samples:
    names = [f"image-{position}" for position in range(count)]
    return Samples(names, [f"{position:064x}" for position in range(count)], np.arange(count) % CLASSES)


@pytest.fixture
def network_of() -> Callable[..., Network]:
    """network_of(module, outputs, **ExecutionConfig's fields): a network on images of 8 × 8 pixels."""

    def network(module: torch.nn.Module, outputs: int = CLASSES, **execution: Any) -> Network:
        config = ExecutionConfig(**execution)
        return Network(prepare(module, config), PLAIN, config, outputs)

    return network


@pytest.fixture
def run(network_of: Callable[..., Network]) -> Callable[..., Collected]:
    """run(count, module=…, pixels=…, specs=…, todo=…, **predict options)"""

    def run_predict(
        count: int,
        *,
        module: torch.nn.Module | None = None,
        pixels: Callable[[int], np.ndarray] = tiny_pixels,
        specs: Sequence[LabelSpaceProjection] | None = None,
        todo: Sequence[int] | None = None,
        **options: Any,
    ) -> Collected:
        execution = {name: options.pop(name) for name in ("batch_size", "workers") if name in options}
        collected = Collected([])
        network = network_of(module or tiny_model(), **{"batch_size": 4, "workers": 2} | execution)
        keep_logits, shard_size = options.pop("keep_logits", False), options.pop("shard_size", 8)
        shard_size = -(-shard_size // network.config.batch_size) * network.config.batch_size
        job = Job("tiny", specs or [identity_spec()], tiny_samples(count), pixels, keep_logits)
        shards = shards_of(job, range(count) if todo is None else todo, shard_size)
        with Threads(network.config.workers) as decoder:
            for _, found in predict(network, shards, decoder=decoder, **options):
                if isinstance(found, HarnessError):
                    raise found
                collected.shards.append(found)
        return collected

    return run_predict


@pytest.fixture
def plain_logits() -> Callable[[int], np.ndarray]:
    """float32 (count, classes) of the tiny model by a plain loop."""

    def logits(count: int) -> np.ndarray:
        module = tiny_model().eval()
        rows = []
        with torch.inference_mode():
            for position in range(count):
                pixels = torch.from_numpy(tiny_pixels(position)).permute(2, 0, 1)[None]
                rows.append(module(PLAIN.normalise(pixels))[0].numpy())
        return np.stack(rows)

    return logits


@pytest.fixture
def one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """PyTorch computes in one thread, here and in workers: the number of threads moves the last bits."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
