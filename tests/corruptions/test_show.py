"""The contact sheet shows the real pixels; a copy on disk is what a run generates, and survives interruptions."""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness.corruptions import weather
from harness.corruptions.digital import jpeg_round_trip
from harness.corruptions.generate import base_crop, corrupt
from harness.corruptions.names import SEVERITIES
from harness.corruptions.registry import REGISTRY
from harness.corruptions.show import RECORD, contact_sheet, save_image, write_official_layout
from harness.data.annotations import validation_labels
from harness.data.catalog import get_benchmark
from harness.data.local import LocalDataset, open_dataset
from harness.data.locations import locate
from harness.errors import HarnessError, MissingInputError
from harness.labels.spaces import label_space
from harness.parsing.images import load_image

NAMES, STRENGTHS = ("fog", "brightness"), (1, 3)


def opened(benchmark: str, path: Path, cache: Path, condition: str | None = None) -> LocalDataset:
    entry = get_benchmark(benchmark)
    return open_dataset(entry, locate(entry, given=path), condition=condition, cache=cache)


@pytest.fixture
def validation(foolbox_images, tmp_path: Path) -> Path:
    """Four photographs as a partial copy of imagenet-val, under validation images' names of the same classes."""
    if importlib.util.find_spec("imagenet_x") is None:
        pytest.skip("the imagenet-x package (published labels) is not installed")
    synsets = label_space("imagenet-1k").classes
    for photograph in foolbox_images[:4]:
        name = next(name for name, label in sorted(validation_labels().items()) if label == photograph.label)
        place = tmp_path / "val" / synsets[photograph.label] / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(photograph.data)
    return tmp_path / "val"


@pytest.fixture
def copy(validation: Path, tmp_path: Path) -> LocalDataset:
    return opened("imagenet-val", validation, tmp_path / "cache")


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


# --- the copy in the official layout ----------------------------------------------------------------------------------


def test_the_copy_reads_as_imagenet_c_and_holds_the_pixels_of_a_run(copy: LocalDataset, tmp_path: Path) -> None:
    result = write_official_layout(copy, tmp_path / "c", NAMES, STRENGTHS, seed=5)
    assert (result.written, result.present, result.unreadable) == (4 * 4, 0, ())
    for name in NAMES:
        for severity in STRENGTHS:
            cell = opened("imagenet-c", tmp_path / "c", tmp_path / "cache", f"{name}/{severity}")
            assert cell.samples[["sample_id", "label"]].equals(copy.samples[["sample_id", "label"]])
            for position, sample_id in enumerate(cell.samples["sample_id"]):
                base = base_crop(load_image(copy.read(position)))
                expected = jpeg_round_trip(corrupt(base, name, severity, sample_id=sample_id, seed=5))
                assert np.array_equal(np.array(load_image(cell.read(position))), expected), (name, severity)


def test_an_interrupted_copy_is_completed_to_the_same_bytes(copy: LocalDataset, tmp_path: Path) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_official_layout(copy, tmp_path / "c", NAMES, STRENGTHS, progress=interrupt)
    begun = tree(tmp_path / "c")
    victim = next(path for path in (tmp_path / "c").rglob("*.JPEG"))
    victim.unlink()
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "c").rglob("*.JPEG")}

    done: list[int] = []
    result = write_official_layout(copy, tmp_path / "c", NAMES, STRENGTHS, progress=done.append)
    assert sum(done) == 4
    assert (result.written, result.present) == (16 - len(written), len(written))
    assert {path: path.stat().st_mtime_ns for path in written} == written  # what was whole is not touched
    write_official_layout(copy, tmp_path / "whole", NAMES, STRENGTHS)
    assert tree(tmp_path / "c") == tree(tmp_path / "whole")
    assert begun.items() <= tree(tmp_path / "whole").items()


def test_a_limit_takes_the_first_images_of_the_condition_order(copy: LocalDataset, tmp_path: Path) -> None:
    assert write_official_layout(copy, tmp_path / "c", ["fog"], [1], limit=2).written == 2
    names = {path.name for path in (tmp_path / "c").rglob("*.JPEG")}
    assert names == set(copy.samples["sample_id"][:2])


def test_files_of_another_kind_are_never_mixed(copy: LocalDataset, tmp_path: Path) -> None:
    write_official_layout(copy, tmp_path / "c", ["fog"], [1], limit=1)
    with pytest.raises(HarnessError, match="made otherwise"):
        write_official_layout(copy, tmp_path / "c", ["fog"], [1], seed=1)
    write_official_layout(copy, tmp_path / "c", ["snow"], [2], limit=1)  # other cells of the same kind belong there
    (tmp_path / "c" / RECORD).unlink()
    with pytest.raises(HarnessError, match="unknown origin"):
        write_official_layout(copy, tmp_path / "c", ["fog"], [1])


def test_an_unreadable_image_is_left_out_and_told(validation: Path, tmp_path: Path) -> None:
    broken = sorted(validation.rglob("*.JPEG"))[1]
    broken.write_bytes(broken.read_bytes()[:2000])
    copy = opened("imagenet-val", validation, tmp_path / "cache")
    result = write_official_layout(copy, tmp_path / "c", ["brightness"], [1])
    assert result.written == 3
    (why,) = result.unreadable
    assert broken.name in why
    assert "can't be decoded" in why


def test_names_are_checked_before_anything_is_written(copy: LocalDataset, tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="foggy"):
        write_official_layout(copy, tmp_path / "c", ["foggy"], [1])
    assert not (tmp_path / "c").exists()


def test_two_images_that_would_be_one_file(foolbox_images, tmp_path: Path) -> None:
    """ImageNet-R-like names that differ by their extension only."""
    synset = label_space("imagenet-r-200").classes[0]
    (tmp_path / "r" / synset).mkdir(parents=True)
    (tmp_path / "r" / synset / "art_0.jpg").write_bytes(foolbox_images[0].data)
    with Image.open(io.BytesIO(foolbox_images[1].data)) as image:
        image.save(tmp_path / "r" / synset / "art_0.png")
    copy = opened("imagenet-r", tmp_path / "r", tmp_path / "cache")
    with pytest.raises(HarnessError, match=r"Several images of imagenet-r would be written to .*art_0\.JPEG"):
        write_official_layout(copy, tmp_path / "c", ["fog"], [1])


# --- pictures for people ----------------------------------------------------------------------------------------------


def test_the_contact_sheet_holds_the_real_pixels(foolbox_images) -> None:
    image = foolbox_images[0].image()
    sheet = np.array(contact_sheet(image, "a.jpg", seed=3))
    base = base_crop(image)
    tile = 228
    assert sheet.shape[0] == 30 + len(REGISTRY) * tile
    left = sheet.shape[1] - 6 * tile
    for row, name in ((0, "gaussian_noise"), (9, "fog"), (28, "sparkles")):
        top = 30 + row * tile
        assert np.array_equal(sheet[top : top + 224, left : left + 224], base)
        for severity in SEVERITIES:
            x = left + severity * tile
            expected = corrupt(base, name, severity, sample_id="a.jpg", seed=3)
            assert np.array_equal(sheet[top : top + 224, x : x + 224], expected), (name, severity)
        assert (sheet[top : top + 224, :left] != 255).any(), f"{name} has no label"


def test_a_sheet_without_the_frost_textures_says_why_in_their_place(foolbox_images, monkeypatch) -> None:
    def missing() -> None:
        raise MissingInputError("The corruption 'frost' needs the authors' textures.")

    monkeypatch.setattr(weather, "frost_textures", missing)
    sheet = np.array(contact_sheet(foolbox_images[0].image(), "a.jpg"))
    top, left = 30 + list(REGISTRY).index("frost") * 228, sheet.shape[1] - 5 * 228
    row = sheet[top : top + 224, left:]
    assert (row == 255).mean() > 0.95  # white but for a line of text
    assert (row < 128).any()


@pytest.mark.parametrize("name", ["x.txt", "x"])
def test_an_extension_without_a_format(name: str, tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="no image format"):
        save_image(Image.new("RGB", (4, 4)), tmp_path / name)
    assert not list(tmp_path.iterdir())


# --- the verb ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def photograph(foolbox_images, tmp_path: Path) -> Path:
    path = tmp_path / "ILSVRC2012_val_00000001.JPEG"
    path.write_bytes(foolbox_images[0].data)
    return path


def test_verb_writes_one_corrupted_image(call, photograph: Path, tmp_path: Path) -> None:
    options = ("--corruption", "fog", "--severity", 3, "--output")
    assert call("corrupt", photograph, *options, tmp_path / "fog.png").exit_code == 0
    assert call("corrupt", photograph, *options, tmp_path / "fog.jpg").exit_code == 0
    expected = corrupt(base_crop(load_image(photograph.read_bytes())), "fog", 3, sample_id=photograph.name)
    assert np.array_equal(np.array(Image.open(tmp_path / "fog.png")), expected)
    assert np.array_equal(np.array(Image.open(tmp_path / "fog.jpg")), jpeg_round_trip(expected))


def test_verb_writes_a_contact_sheet(call, photograph: Path, tmp_path: Path) -> None:
    result = call("corrupt", photograph, "--sheet", tmp_path / "sheet.jpg")
    assert result.exit_code == 0, result.output
    with Image.open(tmp_path / "sheet.jpg") as sheet:
        assert sheet.height == 30 + 228 * len(REGISTRY)


def test_verb_writes_a_benchmark_and_goes_on_where_it_was(call, validation: Path, tmp_path: Path) -> None:
    options = ("--benchmark", "imagenet-val", "--data", f"imagenet-val={validation}", "--output", tmp_path / "c")
    some = ("--corruption", "brightness", "--corruption", "pixelate", "--severity", 2)
    assert "6 files written, 0 were there" in call("corrupt", *options, *some, "--limit", 3).stderr
    result = call("corrupt", *options, *some)
    assert result.exit_code == 0
    assert "2 files written, 6 were there" in result.stderr
    assert len(list((tmp_path / "c" / "pixelate" / "2").rglob("*.JPEG"))) == 4


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "either an image or --benchmark"),
        (["PHOTOGRAPH"], 2, "--sheet FILE"),
        (["PHOTOGRAPH", "--corruption", "fog", "--output", "x.png"], 2, "one --severity"),
        (["PHOTOGRAPH", "--corruption", "fogg", "--severity", "1", "--output", "x.png"], 2, "Did you mean fog"),
        (["PHOTOGRAPH", "--corruption", "fog", "--severity", "6", "--output", "x.png"], 2, "no severity 6"),
        (["missing.jpg", "--sheet", "x.png"], 4, "Can't read missing.jpg: there is no such file"),
        (["--benchmark", "imagenet-val"], 2, "folder as --output"),
        (["--benchmark", "imagenet-c", "--output", "x"], 2, "corrupted already"),
    ],
)
def test_verb_says_what_is_wrong(
    call, photograph: Path, arguments: list[str], code: int, message: str, tmp_path: Path
) -> None:
    result = call("corrupt", *(photograph if argument == "PHOTOGRAPH" else argument for argument in arguments))
    assert result.exit_code == code, result.output
    assert message in result.stderr
    assert not (tmp_path / "x.png").exists()
