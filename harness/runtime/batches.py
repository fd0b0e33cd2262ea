"""Batches of decoded images, prepared by threads (Pillow releases the GIL) while the model runs."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from harness.data.images import UnreadableImageError
from harness.runtime.decoding import Pixels


@dataclass(frozen=True)
class Batch:
    """A decoded batch."""

    positions: list[int]
    pixels: torch.Tensor
    """uint8 (n, 3, H, W) of the readable images."""
    readable: np.ndarray
    """bool (len(positions),)"""
    errors: list[str | None]


def batches(
    groups: Iterable[Sequence[int]], pixels: Pixels, *, workers: int, ahead: int = 2
) -> Generator[Batch, None, None]:
    """Decoded batches in order, `ahead` of them prepared while one is used.

    Args:
        groups: the positions of each batch.
        ahead: batches decoded in advance; bounds the memory.
    """

    decode = partial(_decode, pixels)
    with warnings.catch_warnings(), ThreadPoolExecutor(workers, thread_name_prefix="decode") as pool:
        # Pillow warns of odd metadata; the filter is set once here because it is global, not a thread's own.
        warnings.simplefilter("ignore")
        pending: deque[tuple[Sequence[int], list[Future[np.ndarray | UnreadableImageError]]]] = deque()
        todo = iter(groups)
        try:
            while True:
                while len(pending) <= ahead and (group := next(todo, None)) is not None:
                    pending.append((group, [pool.submit(decode, position) for position in group]))
                if not pending:
                    return
                group, futures = pending.popleft()
                yield _collate(list(group), [future.result() for future in futures])
        finally:
            for _, futures in pending:
                for future in futures:
                    future.cancel()


def decode_batch(positions: Sequence[int], pixels: Pixels) -> Batch:
    """One decoded batch, made in this thread."""
    return _collate(list(positions), [_decode(pixels, position) for position in positions])


def _decode(pixels: Pixels, position: int) -> np.ndarray | UnreadableImageError:
    try:
        return pixels(position)
    except UnreadableImageError as error:
        return error


def _collate(positions: list[int], decoded: list[np.ndarray | UnreadableImageError]) -> Batch:
    arrays = [item for item in decoded if isinstance(item, np.ndarray)]
    errors = [item.message if isinstance(item, UnreadableImageError) else None for item in decoded]
    stacked = np.stack(arrays) if arrays else np.zeros((0, 1, 1, 3), dtype=np.uint8)
    return Batch(
        positions=positions,
        pixels=torch.from_numpy(stacked).permute(0, 3, 1, 2),
        readable=np.array([error is None for error in errors]),
        errors=errors,
    )
