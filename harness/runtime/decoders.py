"""Who decodes, corrupts and preprocesses images while the network runs: threads, or processes. No torch.

Threads are enough beside a CPU's forward passes: Pillow releases the interpreter's lock for the greater part of its
work. A GPU takes ten times as many images, and there the rest of that work would be the limit, so processes of their own
write pixels into memory that they share with this one, which the GPU's copies read directly. Both run the same function on
the same bytes, so nobody can tell from a pixel which of them made it.
"""

from __future__ import annotations

import itertools
import mmap
import os
import tempfile
import warnings
from abc import abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from harness.errors import HarnessError
from harness.parsing.images import UnreadableImageError
from harness.runtime.decoding import ConditionPixels, Images, Pixels
from harness.runtime.processes import Child, start

if TYPE_CHECKING:
    import torch

_HAS_MEMFD = hasattr(os, "memfd_create")
_CHUNK = 8
"""Least images of a message to a process, so that messages cost little beside decoding."""
_CHUNKS_AHEAD = 4
"""Messages that each process has waiting, so that a slow one keeps nobody waiting."""


@dataclass(frozen=True)
class Batch:
    """A decoded batch."""

    positions: Sequence[int]
    array: np.ndarray
    """uint8 (n, H, W, 3) of the images that could be read; (0, 1, 1, 3) without any."""
    faults: Sequence[HarnessError | None]
    """Why each image could not be made, None where it could."""

    @cached_property
    def readable(self) -> np.ndarray:
        """bool (len(positions),)"""
        return np.array([fault is None for fault in self.faults])

    @property
    def pixels(self) -> torch.Tensor:
        """uint8 (n, 3, H, W) of the readable images."""
        import torch

        return torch.from_numpy(self.array).permute(0, 3, 1, 2)

    @property
    def errors(self) -> list[str | None]:
        """Why each of the others could not be read."""
        return [None if fault is None else fault.message for fault in self.faults]

    @property
    def failure(self) -> HarnessError | None:
        """Why the condition can't go on, such as a corruption whose textures are missing."""
        return next((fault for fault in self.faults if fault and not isinstance(fault, UnreadableImageError)), None)


class Decoder(AbstractContextManager["Decoder"]):
    """Decodes batches, until its context ends."""

    ahead: int
    """Batches that are worth preparing while one is used."""

    @abstractmethod
    def start(self, pixels: Pixels, positions: Sequence[int]) -> Callable[[], Batch]:
        """Begin a batch; gives the function that waits for it. Batches are waited for in the order they were begun in."""


class Threads(Decoder):
    """Decodes in threads of this process."""

    ahead = 2

    def __init__(self, workers: int) -> None:
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")

    def start(self, pixels: Pixels, positions: Sequence[int]) -> Callable[[], Batch]:
        futures = [self._pool.submit(_decode, pixels, position) for position in positions]
        return lambda: _gathered(positions, [future.result() for future in futures])

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown(cancel_futures=True)


class Processes(Decoder):
    """Decodes in processes that last until the context ends.

    An image goes to the process that its position names, so that the cells of a range of images find its base crop there.
    The pixels of a batch stay until `kept` more batches have been asked for.
    """

    def __init__(self, workers: int, size: tuple[int, int], *, batch_size: int, kept: int) -> None:
        """
        Args:
            size: height and width of the pixels.
            batch_size: most images of a batch.
        """
        self._chunk = max(_CHUNK, -(-batch_size // workers))
        self.ahead = max(2, -(-_CHUNKS_AHEAD * workers * self._chunk // batch_size))
        shape = (self.ahead + kept + 1, batch_size, *size, 3)
        with _shared_file(int(np.prod(shape))) as file:
            self.memory = _pixels_in(file.fileno(), shape)
            """uint8 (slots, batch size, H, W, 3)"""
            arguments = [file.fileno(), shape]
            self.children = [
                start("harness.runtime.decoders:decode_for", arguments, files=[file.fileno()]) for _ in range(workers)
            ]
        self._slots = itertools.cycle(range(shape[0]))
        self._images: Images | None = None

    def start(self, pixels: Pixels, positions: Sequence[int]) -> Callable[[], Batch]:
        assert isinstance(pixels, ConditionPixels), "only a data set's images can be sent to other processes"
        try:
            if pixels.images is not self._images:
                message = ForkingPickler.dumps(pixels.images)
                for child in self.children:
                    child.connection.send_bytes(message)
                self._images = pixels.images
            slot, parts = next(self._slots), list[Child]()
            for first in range(0, len(positions), self._chunk):
                part = list(positions[first : first + self._chunk])
                child = self.children[part[0] // self._chunk % len(self.children)]
                child.connection.send((pixels.cell, part, slot, first))
                parts.append(child)
        except OSError as error:
            raise self._lost(child) from error

        def finished() -> Batch:
            faults: list[HarnessError | None] = []
            for child in parts:
                try:
                    answer = child.connection.recv()
                except (EOFError, OSError) as error:
                    raise self._lost(child) from error
                if isinstance(answer, Exception):
                    raise answer
                faults += answer
            array = self.memory[slot, : len(faults)]
            return Batch(positions, array[[fault is None for fault in faults]] if any(faults) else array, faults)

        return finished

    def _lost(self, child: Child) -> HarnessError:
        code = child.process.wait()  # it has closed the connection, or is about to end
        return HarnessError(
            f"A decoding process ended with code {code} before its work did.",
            remedy="If memory was short, use fewer of them (--workers). Then repeat the command: it goes on from here.",
        )

    def __exit__(self, *error: object) -> None:
        for child in self.children:
            child.close()


def decode_for(connection: Connection, file: int, shape: Sequence[int]) -> None:
    """What a decoding process does: take a data set, or a part of a batch, until the connection ends."""
    import cv2

    warnings.simplefilter("ignore")  # Pillow warns of odd metadata
    cv2.setNumThreads(1)
    memory = _pixels_in(file, shape)
    images: Images | None = None
    while True:
        message = connection.recv()
        if isinstance(message, Images):
            images = message
            continue
        assert images is not None
        cell, positions, slot, first = message
        pixels = images.pixels(cell)
        try:
            made = [_decode(pixels, position) for position in positions]
        except Exception as error:  # noqa: BLE001 - raised where the batch is waited for
            connection.send(error)
            continue
        for at, item in enumerate(made, start=first):
            if isinstance(item, np.ndarray):
                memory[slot, at] = item
        connection.send([None if isinstance(item, np.ndarray) else item for item in made])


def decode_batch(pixels: Pixels, positions: Sequence[int]) -> Batch:
    """One batch, decoded in this thread."""
    return _gathered(positions, [_decode(pixels, position) for position in positions])


def _decode(pixels: Pixels, position: int) -> np.ndarray | HarnessError:
    try:
        return pixels(position)
    except HarnessError as error:
        return error


def _gathered(positions: Sequence[int], made: Sequence[np.ndarray | HarnessError]) -> Batch:
    arrays = [item for item in made if isinstance(item, np.ndarray)]
    faults = [None if isinstance(item, np.ndarray) else item for item in made]
    return Batch(positions, np.stack(arrays) if arrays else np.zeros((0, 1, 1, 3), np.uint8), faults)


def _shared_file(size: int) -> BinaryIO:
    """A file of so many bytes without a name: in memory where the system has such (Linux), whatever /dev/shm holds."""
    file: BinaryIO = os.fdopen(os.memfd_create("harness-pixels"), "w+b") if _HAS_MEMFD else tempfile.TemporaryFile()  # noqa: SIM115
    file.truncate(size)
    return file


def _pixels_in(file: int, shape: Sequence[int]) -> np.ndarray:
    """That file's bytes as uint8 of this shape; what is written is seen by all that share the file."""
    return np.frombuffer(mmap.mmap(file, int(np.prod(shape))), np.uint8).reshape(shape)
