"""Batches of decoded images, prepared by threads or processes while the model runs."""

from __future__ import annotations

import os
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext

from harness.models.preprocessing import Preprocessing
from harness.runtime.decoders import Batch, Decoder, Processes, Threads
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
    with made, pinned(made.memory) if config.device_type == "cuda" else nullcontext():
        yield made


def batches(groups: Iterable[tuple[Pixels, Sequence[int]]], decoder: Decoder) -> Generator[Batch, None, None]:
    """Decoded batches in order, some of them prepared while one is used; how many bounds the memory.

    Args:
        groups: of each batch whose pixels, and at which positions.
    """
    with warnings.catch_warnings():
        # Pillow warns of odd metadata; the filter is set once here because it is global, not a thread's own.
        warnings.simplefilter("ignore")
        pending: deque[Callable[[], Batch]] = deque()
        todo = iter(groups)
        while True:
            while len(pending) <= decoder.ahead and (group := next(todo, None)) is not None:
                pending.append(decoder.start(*group))
            if not pending:
                return
            yield pending.popleft()()
