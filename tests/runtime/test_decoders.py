"""Threads and processes decode to the same pixels; what goes wrong in a process is said where it is waited for."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest
from PIL import Image

from harness.data.catalog import get_benchmark
from harness.data.local import open_dataset
from harness.data.locations import locate
from harness.errors import HarnessError
from harness.labels.spaces import label_space
from harness.models.registry import resolve
from harness.runtime.batches import batches
from harness.runtime.decoders import Batch, Decoder, Processes, Threads
from harness.runtime.decoding import GeneratedCell, Images

COUNT, BATCH, DAMAGED = 30, 7, 11
CELLS = (None, GeneratedCell("gaussian_noise", 3, seed=1, jpeg_quality=85), GeneratedCell("fog", 2, 1, None))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Images:
    """Thirty pictures, one of them cut short."""
    folder = tmp_path_factory.mktemp("copy") / label_space("imagenet-1k").classes[0]
    folder.mkdir()
    for number in range(COUNT):
        pixels = np.random.default_rng(number).integers(0, 256, (25, 30, 3), dtype=np.uint8)
        path = folder / f"{number:02}.JPEG"
        Image.fromarray(pixels).resize((300, 250)).save(path, "JPEG", quality=80)
        if number == DAMAGED:
            path.write_bytes(path.read_bytes()[:3000])
    benchmark = get_benchmark("imagenet-val")
    dataset = open_dataset(benchmark, locate(benchmark, given=folder.parent), cache=folder.parent.parent / "cache")
    preprocessing = resolve("efficientnet-lite0").preprocessing
    return Images(dataset, preprocessing)


@pytest.fixture
def processes() -> Processes:
    return Processes(2, (224, 224), batch_size=BATCH, kept=1)


def decoded(images: Images, decoder: Decoder) -> list[Batch]:
    """All batches of all cells, their pixels copied, since a process writes the next ones into the same memory."""
    groups = [
        (images.pixels(cell), range(at, min(at + BATCH, COUNT))) for at in range(0, COUNT, BATCH) for cell in CELLS
    ]
    return [Batch(batch.positions, batch.array.copy(), batch.faults) for batch in batches(groups, decoder)]


def test_processes_give_the_pixels_of_threads(images: Images, processes: Processes) -> None:
    with Threads(2) as threads, processes:
        expected, found = decoded(images, threads), decoded(images, processes)
    assert len(found) == len(expected) == 15
    for one, other in zip(found, expected, strict=True):
        assert (list(one.positions), one.errors) == (list(other.positions), other.errors)
        np.testing.assert_array_equal(one.pixels, other.pixels)
    unread = [(i, error) for batch in found for i, error in zip(batch.positions, batch.errors, strict=True) if error]
    (damaged,) = (i for i, file in enumerate(images.dataset.files) if file.endswith(f"{DAMAGED:02}.JPEG"))
    assert [position for position, _ in unread] == [damaged] * len(CELLS)


def test_another_data_set_s_images_take_their_place(images: Images, processes: Processes) -> None:
    other = Images(images.dataset, images.preprocessing.model_copy(update={"interpolation": "nearest"}))
    groups = [(one.pixels(None), [3]) for one in (images, other, images)]
    with processes:
        first, second, third = (batch.pixels.clone() for batch in batches(groups, processes))
    np.testing.assert_array_equal(first, third)
    assert (first != second).any()


def test_what_is_wrong_with_a_condition_is_said_in_its_batch(images: Images, processes: Processes) -> None:
    """As of a corruption whose textures are missing: the other conditions go on."""
    groups = [(images.pixels(cell), [0]) for cell in (GeneratedCell("no such", 1, 0, None), None)]
    with processes, Threads(1) as threads:
        for decoder in (processes, threads):
            failing, other = batches(groups, decoder)
            assert isinstance(failing.failure, HarnessError)
            assert "no such" in str(failing.failure)
            assert other.failure is None


def test_a_process_that_is_killed_is_an_error_and_not_a_wait(images: Images, processes: Processes) -> None:
    groups = ((images.pixels(None), [position % COUNT]) for position in range(1000))
    with processes:
        stream = batches(groups, processes)
        next(stream)
        os.kill(processes.children[0].process.pid, signal.SIGKILL)
        with pytest.raises(HarnessError, match="A decoding process ended with code -9 before its work did"):
            list(stream)


def test_processes_end_with_their_context(processes: Processes) -> None:
    with processes:
        assert all(child.process.poll() is None for child in processes.children)
    assert all(child.process.poll() is not None for child in processes.children)
