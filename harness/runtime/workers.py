"""What a worker does: hold a network on one device, and compute one task after the other.

It is the same in a process of this machine and in an actor of a cluster, so that where a shard was computed can't be told from it.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import math
import platform
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import cv2
import PIL.features
import torch

from harness import __version__
from harness.data.local import LocalDataset
from harness.errors import HarnessError
from harness.labels.projections import LabelSpaceProjection
from harness.models.loading import LoadedModel
from harness.models.wrapping import weights_fingerprint
from harness.runtime.batches import decoding
from harness.runtime.decoders import Threads
from harness.runtime.decoding import ElsewhereError, GeneratedCell, Images
from harness.runtime.engine import Job, Samples, Shard, predict
from harness.runtime.execution import ExecutionConfig
from harness.runtime.network import Network
from harness.runtime.rows import ShardRows

_KEPT_IMAGES = 2
"""Data sets that a worker keeps at hand."""
_LIBRARIES = ("torch", "torchvision", "timm", "transformers", "pillow", "numpy", "numba")
"""Whose version can move a digit."""


@dataclass(frozen=True, eq=False)
class Condition:
    """What a worker must know of a condition, beside its images."""

    name: str
    projections: Sequence[LabelSpaceProjection]
    cell: GeneratedCell | None
    keep_logits: bool


@dataclass(frozen=True)
class Task:
    """Shards that a worker computes at a stretch: about a minute's work, all from the images of one data set."""

    number: int
    images: int
    """Number of the data set."""
    shards: tuple[tuple[Condition, Sequence[int]], ...]
    """Of each its positions, ascending."""

    @property
    def size(self) -> int:
        """Images to run."""
        return sum(len(positions) for _, positions in self.shards)


@dataclass(frozen=True)
class Finished:
    """What became of a task."""

    number: int
    rows: list[ShardRows | None]
    """By shard; None where the worker has stored them, and where its condition failed."""
    failed: dict[str, HarnessError]
    """By condition."""
    readable: int
    seconds: float
    energy: tuple[Any, ...]
    """Readings of the worker's meters over the task."""


@dataclass(frozen=True)
class Setup:
    """All that makes a worker. Can be sent to other processes."""

    loaded: LoadedModel = field(repr=False)
    """Its module on the CPU."""
    config: ExecutionConfig
    threads: int
    """Of PyTorch, on the CPU."""
    write: Callable[[str, ShardRows], object]
    """Stores a condition's shard, for workers that share the store."""
    meters: Callable[[torch.device], Sequence[Any]]
    """What energy is read from."""


class Worker:
    """A network on a device."""

    def __init__(self, setup: Setup) -> None:
        """
        Raises:
            HarnessError: the weights that arrived are others.
        """
        torch.set_num_threads(setup.threads)
        self._setup = setup
        self._sets: dict[int, tuple[Images, Samples]] = {}
        core = getattr(setup.loaded.module, "core", setup.loaded.module)
        arrived, sent = weights_fingerprint(core.state_dict()), setup.loaded.identity.weights
        if arrived != sent:
            raise HarnessError(f"The weights arrived as {arrived[:16]}, not as the {sent[:16]} that were sent.")
        self._network = Network.of(setup.loaded, setup.config)
        self._stack = ExitStack()
        preprocessing = setup.loaded.identity.preprocessing
        self._decoder = self._stack.enter_context(decoding(setup.config, preprocessing, math.inf))
        self._meters = list(setup.meters(torch.device(setup.config.device)))

    def has_images(self, number: int) -> bool:
        """Whether it has this data set at hand."""
        return number in self._sets

    def take_images(self, number: int, images: Images) -> None:
        """Keep a data set at hand."""
        for old in list(self._sets)[: 1 - _KEPT_IMAGES]:
            del self._sets[old]
        self._sets[number] = images, Samples.of(images.dataset)

    def run(self, task: Task, *, store: bool, encoded: dict[int, bytes] | None = None) -> Finished:
        """Compute a task.

        Args:
            store: whether to store the shards, instead of returning their rows.
            encoded: the images themselves, where the worker can't read them.
        """
        started = time.monotonic()
        for meter in self._meters:
            meter.start()
        images, samples = self._sets[task.images]
        if encoded is not None:
            images = images.sent(encoded)
        jobs = {
            c.name: Job(c.name, c.projections, samples, images.pixels(c.cell), c.keep_logits) for c, _ in task.shards
        }
        shards = [Shard(jobs[condition.name], positions) for condition, positions in task.shards]
        rows: list[ShardRows | None] = [None] * len(shards)
        number_of, failed, readable = {shard: i for i, shard in enumerate(shards)}, dict[str, HarnessError](), 0
        with ExitStack() as stack:
            decoder = self._decoder if encoded is None else stack.enter_context(Threads(self._setup.config.workers))
            for shard, found in predict(self._network, shards, decoder=decoder):
                if isinstance(found, ElsewhereError):
                    raise found
                try:
                    if isinstance(found, HarnessError):
                        raise found
                    if store:
                        self._setup.write(shard.job.name, found)
                    else:
                        rows[number_of[shard]] = found
                    readable += sum(error is None for error in found.error)
                except HarnessError as error:
                    failed[shard.job.name] = error
        energy = tuple(meter.read() for meter in self._meters)
        return Finished(task.number, rows, failed, readable, time.monotonic() - started, energy)

    def close(self) -> None:
        """End what decodes."""
        self._stack.close()


def reads_the_same(dataset: LocalDataset) -> bool:
    """Whether this machine reads all of a data set's images, and the same bytes as where its manifest was made."""
    try:
        digests = [hashlib.sha256(dataset.read(position)).hexdigest() for position in range(len(dataset))]
    except HarnessError:
        return False
    return digests == dataset.samples["digest"].tolist()


def protocol_here(device_type: str) -> dict[str, str]:
    """What must be the same wherever shards of one run are computed, by name."""
    versions = {name: importlib.metadata.version(name) for name in _LIBRARIES}
    versions |= {"opencv": cv2.__version__, "decoder": f"libjpeg {PIL.features.version('jpg')}"}
    return {"harness": __version__, "python": platform.python_version(), **versions, "device": device_type}
