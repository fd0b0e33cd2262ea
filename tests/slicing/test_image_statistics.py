"""Image statistics against values worked out by hand, and their cache."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from harness.data import statistics
from harness.data.catalog import get_benchmark
from harness.data.local import LocalDataset, open_dataset
from harness.data.locations import locate
from harness.data.statistics import STATISTICS, image_statistics, statistics_of


def named(image: Image.Image) -> dict[str, float]:
    return dict(zip(STATISTICS, statistics_of(image), strict=True))


@pytest.fixture
def copy(foolbox_images: list[object], tmp_path: Path) -> LocalDataset:
    benchmark = get_benchmark("foolbox-imagenet-20")
    return open_dataset(benchmark, locate(benchmark, offline=True), cache=tmp_path / "data")


def test_a_plain_picture() -> None:
    found = named(Image.new("RGB", (300, 200), (100, 150, 200)))
    # Luma 0.299·100 + 0.587·150 + 0.114·200 = 140.75; rg = −50, yb = 125 − 200 = −75, so 0.3·√(50² + 75²) = 27.04.
    assert found["brightness"] == pytest.approx(140.75, abs=1e-3)
    assert found["contrast"] == pytest.approx(0, abs=1e-3)
    assert found["colourfulness"] == pytest.approx(27.04, abs=0.01)
    assert found["sharpness"] == 0
    assert (found["resolution"], found["aspect-ratio"]) == (60_000, 1.5)


def test_grey_has_no_colour_and_halves_have_their_contrast() -> None:
    pixels = np.zeros((224, 224, 3), dtype=np.uint8)
    pixels[:, 112:] = 200
    found = named(Image.fromarray(pixels))
    assert found["colourfulness"] == pytest.approx(0, abs=1e-3)
    assert (found["brightness"], found["contrast"]) == pytest.approx((100, 100), abs=1e-3)


def test_sharpness_is_opencv_s_laplacian(copy: LocalDataset) -> None:
    """At short side 224, where no resize happens, against another implementation."""
    for position in range(4):
        image = copy_image(copy, position).resize((224, 224))
        theirs = cv2.Laplacian(np.asarray(image.convert("L")), cv2.CV_64F)[1:-1, 1:-1].var()
        assert named(image)["sharpness"] == pytest.approx(theirs)


def test_a_blurred_photograph_is_less_sharp_and_a_darkened_one_darker(copy: LocalDataset) -> None:
    image = copy_image(copy, 0)
    before = named(image)
    blurred = named(Image.fromarray(cv2.GaussianBlur(np.asarray(image), (0, 0), 4)))
    darkened = named(Image.fromarray((np.asarray(image) * 0.5).astype(np.uint8)))
    assert blurred["sharpness"] < 0.5 * before["sharpness"]
    assert darkened["brightness"] == pytest.approx(0.5 * before["brightness"], abs=1)


@pytest.mark.parametrize("size", [(1, 1), (2, 500), (3, 3)])
def test_tiny_pictures_have_statistics_too(size: tuple[int, int]) -> None:
    assert np.isfinite(statistics_of(Image.new("RGB", size, (9, 9, 9)))).all()


def test_values_are_kept_and_a_part_serves_the_whole(
    copy: LocalDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statistics, "CHUNK", 8)
    first = image_statistics(copy, 8, tmp_path / "home", workers=2)
    counted = []
    real = statistics.statistics_of
    monkeypatch.setattr(statistics, "statistics_of", lambda image: counted.append(1) or real(image))
    whole = image_statistics(copy, 20, tmp_path / "home", workers=2)
    assert len(counted) == 12
    assert whole.iloc[:8].equals(first)
    assert list(whole.index) == copy.samples["sample_id"].tolist()
    again = image_statistics(copy, 20, tmp_path / "home", workers=1)
    assert len(counted) == 12
    assert again.equals(whole)


def test_a_damaged_file_is_made_again(copy: LocalDataset, tmp_path: Path) -> None:
    whole = image_statistics(copy, 20, tmp_path / "home", workers=1)
    (path,) = (tmp_path / "home" / "statistics").glob("*.parquet")
    path.write_bytes(path.read_bytes()[:100])
    assert image_statistics(copy, 20, tmp_path / "home", workers=1).equals(whole)


def test_an_image_that_can_t_be_read_has_no_values(
    copy: LocalDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = LocalDataset.read
    monkeypatch.setattr(
        LocalDataset, "read", lambda self, position: b"no image" if position == 3 else read(self, position)
    )
    found = image_statistics(copy, 20, tmp_path / "home", workers=1)
    assert found.iloc[3].isna().all()
    assert found.drop(found.index[3]).notna().all(axis=None)


def copy_image(copy: LocalDataset, position: int) -> Image.Image:
    return statistics.load_image(copy.read(position))
