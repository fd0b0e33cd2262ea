"""Batches of decoded images, prepared by threads or processes while the model runs."""

from __future__ import annotations

import os
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch

from harness.errors import HarnessError
from harness.models.preprocessing import Preprocessing
from harness.parsing.images import UnreadableImageError
from harness.runtime.decoders import Decoded, Decoder, Processes, Threads, decode
from harness.runtime.decoding import Pixels
from harness.runtime.execution import ExecutionConfig
from harness.runtime.network import pinned

LAUNCHED = 3
"""Batches that a GPU has been given and not answered; a CPU answers at once."""
_WORTH_PROCESSES = 4000
"""Images from which on starting processes (some seconds) pays beside a GPU."""
_MOST_THREADS = 8


@contextmanager
def decoding(config: ExecutionConfig, preprocessing: Preprocessing, images: float) -> Iterator[Decoder]:
    """What decodes best beside a network that runs so many images."""
    on_gpu = config.device_type == "cuda"
    if not on_gpu or images < _WORTH_PROCESSES or config.workers < 2 or os.name != "posix":
        with Threads(min(config.workers, _MOST_THREADS) if on_gpu else config.workers) as threads:
            yield threads
        return
    with decoding_processes(config, preprocessing) as processes:
        yield processes


@contextmanager
def decoding_processes(config: ExecutionConfig, preprocessing: Preprocessing) -> Iterator[Processes]:
    """Processes that decode for a network."""
    made = Processes(config.workers, preprocessing.crop, batch_size=config.batch_size, kept=LAUNCHED)
    with made as processes, pinned(processes.memory) if config.device_type == "cuda" else nullcontext():
        yield processes


@dataclass(frozen=True)
class Batch:
    """A decoded batch."""

    positions: Sequence[int]
    pixels: torch.Tensor
    """uint8 (n, 3, H, W) of the readable images."""
    readable: np.ndarray
    """bool (len(positions),)"""
    errors: list[str | None]
    """Why each of the others could not be read."""
    failure: HarnessError | None
    """Why the condition can't go on, such as a corruption whose textures are missing."""


def batches(groups: Iterable[tuple[Pixels, Sequence[int]]], decoder: Decoder) -> Generator[Batch, None, None]:
    """Decoded batches in order, some of them prepared while one is used; how many bounds the memory.

    Args:
        groups: of each batch whose pixels, and at which positions.
    """
    with warnings.catch_warnings():
        # Pillow warns of odd metadata; the filter is set once here because it is global, not a thread's own.
        warnings.simplefilter("ignore")
        pending: deque[tuple[Sequence[int], Callable[[], Decoded]]] = deque()
        todo = iter(groups)
        while True:
            while len(pending) <= decoder.ahead and (group := next(todo, None)) is not None:
                pending.append((group[1], decoder.start(*group)))
            if not pending:
                return
            positions, finished = pending.popleft()
            yield _batch(positions, finished())


def decode_batch(pixels: Pixels, positions: Sequence[int]) -> Batch:
    """One batch, decoded in this thread."""
    return _batch(positions, decode(pixels, positions))


def _batch(positions: Sequence[int], decoded: Decoded) -> Batch:
    pixels = torch.from_numpy(decoded.pixels).permute(0, 3, 1, 2)
    failures = [error for error in decoded.errors if error and not isinstance(error, UnreadableImageError)]
    return Batch(
        positions,
        pixels,
        np.array([error is None for error in decoded.errors]),
        [error.message if error else None for error in decoded.errors],
        failures[0] if failures else None,
    )
