"""Pixels depend on sample, corruption, severity and seed, and on nothing else; names are checked; bases are official."""

from __future__ import annotations

import itertools
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision import transforms

from harness.corruptions.digital import jpeg_round_trip
from harness.corruptions.generate import base_crop, corrupt, corrupt_cells
from harness.corruptions.names import EXTRA, GROUPS, IMAGENET_C, IMAGENET_C_BAR, SEVERITIES
from harness.corruptions.registry import REGISTRY
from harness.errors import HarnessError

ALL_CELLS = list(itertools.product(REGISTRY, SEVERITIES))
RANDOM = [name for name, corruption in REGISTRY.items() if corruption.draw is not None]
FIXED = [name for name, corruption in REGISTRY.items() if corruption.draw is None]


@pytest.fixture(scope="module")
def all_cells(photographs):
    return dict(zip(ALL_CELLS, corrupt_cells(photographs[0], ALL_CELLS, sample_id="a"), strict=True))


def test_the_sets_are_those_of_the_papers():
    assert sum(GROUPS.values(), ()) == IMAGENET_C  # the paper lists the 15 group by group
    assert (len(IMAGENET_C), len(EXTRA), len(IMAGENET_C_BAR)) == (15, 4, 10)
    assert set(REGISTRY) == {*IMAGENET_C, *EXTRA, *IMAGENET_C_BAR}
    assert {name: entry.group for name, entry in REGISTRY.items() if name in IMAGENET_C} == {
        name: group for group, members in GROUPS.items() for name in members
    }
    assert all(len(corruption.parameters) == 5 for corruption in REGISTRY.values())


def test_an_added_corruption_joins_no_set():
    """Sets list their members by name: nothing is computed from the registry's order or length."""
    code = "import sys; from harness.corruptions import names; print(len(names.IMAGENET_C_BAR), sorted(sys.modules))"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.startswith("10 ")
    assert not any(f"'{module}'" in printed for module in ("harness.corruptions.registry", "numba", "cv2", "numpy"))


def test_every_cell_is_a_changed_picture_of_its_own(all_cells, photographs):
    for cell, pixels in all_cells.items():
        assert pixels.shape == (224, 224, 3), cell
        assert pixels.dtype == np.uint8, cell
        assert not np.array_equal(pixels, photographs[0]), cell
        assert not np.shares_memory(pixels, photographs[0]), cell
    assert len({pixels.tobytes() for pixels in all_cells.values()}) == len(ALL_CELLS)


@settings(max_examples=10, deadline=None)
@given(st.lists(st.sampled_from(ALL_CELLS), max_size=12))
def test_order_repetition_and_company_do_not_matter(all_cells, photographs, cells):
    for cell, pixels in zip(cells, corrupt_cells(photographs[0], cells, sample_id="a"), strict=True):
        assert np.array_equal(pixels, all_cells[cell]), cell


def test_cells_one_by_one_in_threads_are_the_same_bits(all_cells, photographs):
    with ThreadPoolExecutor(4) as pool:
        results = pool.map(lambda cell: corrupt(photographs[0], *cell, sample_id="a"), ALL_CELLS)
    for cell, pixels in zip(ALL_CELLS, results, strict=True):
        assert np.array_equal(pixels, all_cells[cell]), cell


@pytest.mark.parametrize("name", RANDOM)
def test_random_corruptions_depend_on_seed_and_sample(name, all_cells, photographs):
    for severity in SEVERITIES:
        here = all_cells[name, severity]
        assert not np.array_equal(here, corrupt(photographs[0], name, severity, sample_id="a", seed=1))
        assert not np.array_equal(here, corrupt(photographs[0], name, severity, sample_id="b"))


@pytest.mark.parametrize("name", FIXED)
def test_the_others_do_not(name, all_cells, photographs):
    for severity in SEVERITIES:
        assert np.array_equal(all_cells[name, severity], corrupt(photographs[0], name, severity, sample_id="b", seed=7))


# Left out: those whose severity is not their distance from the picture (fog and motion turn or drift, elastic mixes a
# large smooth and a small rough deformation, saturate removes colour before it adds), and those whose one random
# pattern moves more than its strength does from one severity to the next, for so few pictures.
MONOTONE = [
    *("gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise", "defocus_blur", "zoom_blur", "gaussian_blur"),
    *("brightness", "contrast", "pixelate", "jpeg_compression"),
    *("blue_noise_sample", "perlin_noise"),
]


@pytest.mark.slow
@pytest.mark.parametrize("name", MONOTONE)
def test_a_higher_severity_is_further_from_the_picture(name, photographs):
    for number, base in enumerate(photographs):
        cells = [(name, severity) for severity in SEVERITIES]
        errors = [
            np.mean((pixels.astype(float) - base) ** 2)
            for pixels in corrupt_cells(base, cells, sample_id=f"photograph {number}")
        ]
        assert errors == sorted(errors)


@pytest.mark.slow
def test_the_base_is_left_as_it_is(photographs):
    base = photographs[1].copy()
    base.flags.writeable = False
    list(corrupt_cells(base, ALL_CELLS, sample_id="a"))
    assert np.array_equal(base, photographs[1])


@pytest.mark.slow
@pytest.mark.parametrize("level", [0, 255])
def test_black_and_white_pictures_come_through(level):
    base = np.full((224, 224, 3), level, dtype=np.uint8)
    for pixels in corrupt_cells(base, ALL_CELLS, sample_id="flat"):
        assert pixels.shape == base.shape


def test_an_unknown_name_gets_the_nearest_known_one(photographs):
    with pytest.raises(HarnessError, match="gaussian_noise"):
        corrupt(photographs[0], "gausian_noise", 1, sample_id="a")


@pytest.mark.parametrize("severity", [0, 6])
def test_an_unknown_severity_is_named(severity, photographs):
    with pytest.raises(HarnessError, match=f"no severity {severity}"):
        corrupt_cells(photographs[0], [("fog", severity)], sample_id="a")


def test_a_picture_of_another_shape_is_refused():
    with pytest.raises(ValueError, match="224"):
        corrupt(np.zeros((225, 224, 3), dtype=np.uint8), "fog", 1, sample_id="a")


@pytest.mark.parametrize("size", [(500, 375), (375, 500), (256, 300), (300, 256), (227, 227), (224, 1000), (331, 333)])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_the_base_crop_is_torchvisions(size, mode):
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    image = Image.fromarray(pixels).convert(mode)
    official = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224)])(image.convert("RGB"))
    assert np.array_equal(base_crop(image), np.asarray(official))


def test_storage_is_jpeg_at_its_quality(photographs, tmp_path):
    # The official files are saved with optimised Huffman tables, which don't change pixels.
    Image.fromarray(photographs[0]).save(tmp_path / "stored.jpg", quality=85, optimize=True)
    with Image.open(tmp_path / "stored.jpg") as stored:
        assert np.array_equal(jpeg_round_trip(photographs[0]), np.asarray(stored))
