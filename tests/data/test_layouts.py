"""Every layout gives the same samples, and the usual ways to get labels wrong are caught."""

from __future__ import annotations

import csv
import hashlib
import io
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from harness.data.catalog import get_benchmark
from harness.data.local import open_dataset
from harness.data.locations import available_conditions, locate
from harness.errors import HarnessError, MissingInputError
from harness.labels.spaces import label_space
from tests.data.conftest import labels_of, write_labels, write_tar

LAYOUTS = {
    "class_folders": "class folders named by synset",
    "images_with_labels": "images/ with labels.csv",
    "flat": "flat folder with the labels of the imagenet-x package",
    "shards": "WebDataset tar shards",
    "parquet": "Parquet in the Hub's image layout",
}


def expected_samples(photographs: list[Any]) -> pd.DataFrame:
    """The definition written out: id, label and digest of each photograph, sorted by id."""
    rows = [(p.name, p.label, hashlib.sha256(p.data).hexdigest()) for p in photographs]
    return pd.DataFrame(sorted(rows), columns=["sample_id", "label", "digest"]).astype({"label": "int32"})


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_give_the_same_samples_in_the_same_order(
    layout: str, photographs: Any, build: Any, opened: Any
) -> None:
    dataset = opened(getattr(build, layout)(photographs))
    reference = opened(build.class_folders(photographs)) if layout != "class_folders" else dataset
    assert dataset.layout == LAYOUTS[layout]
    assert dataset.samples["label"].dtype == "int32"
    pd.testing.assert_frame_equal(
        dataset.samples.sort_values("sample_id", ignore_index=True), expected_samples(photographs), check_dtype=False
    )
    pd.testing.assert_frame_equal(dataset.samples, reference.samples)
    assert dataset.fingerprint() == reference.fingerprint()
    by_name = {p.name: p.data for p in photographs}
    assert all(dataset.read(i) == by_name[name] for i, name in enumerate(dataset.samples["sample_id"]))


def test_numbered_folders_are_read_as_numbers(photographs: Any, build: Any, opened: Any) -> None:
    # As strings, 22 < 99 < 129 would sort as 129, 22, 99, and ImageFolder would number them 0, 1, 2.
    root = build.numbered_folders(photographs)
    dataset = opened(root, "imagenetv2-matched-frequency")
    assert dataset.layout == "class folders named by class index"
    labels = labels_of(dataset)
    assert labels == {Path(p.name).stem: p.label for p in photographs}


def test_numbered_folders_of_all_thousand_classes(tmp_path: Path, photographs: Any, opened: Any) -> None:
    for label in range(1000):
        folder = tmp_path / "v2" / str(label)
        folder.mkdir(parents=True)
        (folder / f"{label:040x}.jpeg").write_bytes(photographs[label % 20].data)
    dataset = opened(tmp_path / "v2", "imagenetv2-top-images")
    assert [int(name, 16) for name in dataset.samples["sample_id"]] == dataset.samples["label"].tolist()


def test_numbered_folders_from_1_to_1000_are_refused(tmp_path: Path, photographs: Any, opened: Any) -> None:
    for label in (1, 1000):
        (tmp_path / "v2" / str(label)).mkdir(parents=True)
        (tmp_path / "v2" / str(label) / "a.jpeg").write_bytes(photographs[0].data)
    with pytest.raises(HarnessError, match=r"1000 is outside 0 to 999.*count from 1; they must count from 0"):
        opened(tmp_path / "v2", "imagenetv2-top-images")


@pytest.mark.parametrize("benchmark", ["imagenet-a", "imagenet-r"])
def test_numbered_folders_of_a_200_class_set_are_refused(
    benchmark: str, photographs: Any, build: Any, opened: Any
) -> None:
    root = build.numbered_folders([replace(p, label=i) for i, p in enumerate(photographs)])
    with pytest.raises(HarnessError, match="a number doesn't say which of the 200 classes"):
        opened(root, benchmark)


@pytest.mark.parametrize("benchmark", ["imagenet-a", "imagenet-r"])
def test_200_class_sets_are_labelled_by_synset_in_their_own_space(
    benchmark: str, photographs: Any, build: Any, opened: Any
) -> None:
    space = label_space(get_benchmark(benchmark).label_space)
    inside = [replace(p, synset=space.classes[7 * i], name=f"{i}.jpg") for i, p in enumerate(photographs)]
    dataset = opened(build.class_folders(inside), benchmark)
    labels = labels_of(dataset)
    assert labels == {f"{p.synset}/{p.name}": 7 * i for i, p in enumerate(inside)}


def test_a_thousand_class_copy_given_for_a_200_class_set_is_refused(photographs: Any, build: Any, opened: Any) -> None:
    space = label_space("imagenet-a-200")
    outside = next(p for p in photographs if p.synset not in space)
    with pytest.raises(HarnessError, match=f"{outside.synset} is not one of the 200 classes of imagenet-a-200"):
        opened(build.class_folders([outside]), "imagenet-a")


def test_one_based_labels_csv_is_refused_with_the_row(photographs: Any, build: Any, opened: Any) -> None:
    root = build.images_with_labels(photographs, offset=1)
    first = photographs[0]
    message = (
        f"row 2: {first.name} has label {first.label + 1} and wnid {first.synset}, but {first.synset} is class "
        f"{first.label} .* Every row is one too high: the labels count from 1"
    )
    with pytest.raises(HarnessError, match=message):
        opened(root)


def test_one_disagreement_in_labels_csv_names_its_row(photographs: Any, build: Any, opened: Any) -> None:
    root = build.images_with_labels(photographs)
    rows = [(p.name, p.label, p.synset) for p in photographs]
    rows[3] = (rows[3][0], 5, rows[3][2])
    write_labels(root / "labels.csv", rows)
    with pytest.raises(HarnessError, match=r"labels.csv, row 5: .* has label 5") as caught:
        opened(root)
    assert "count from 1" not in str(caught.value)


@pytest.mark.parametrize("layout", ["shards", "parquet"])
def test_one_based_labels_without_synsets_are_caught_by_the_images_names(
    layout: str, photographs: Any, build: Any, opened: Any
) -> None:
    root = getattr(build, layout)(photographs, offset=1)
    with pytest.raises(HarnessError, match=r"20 of 20 labels are wrong. Every one is one too high"):
        opened(root)


def test_the_synset_in_a_hub_name_proves_the_label_without_imagenet_x(
    photographs: Any, build: Any, opened: Any, without_imagenet_x: None
) -> None:
    with pytest.raises(HarnessError, match="labels are wrong"):
        opened(build.parquet(photographs, offset=1))


def test_an_image_in_the_wrong_class_folder_is_caught(photographs: Any, build: Any, opened: Any) -> None:
    moved = [replace(photographs[0], synset=photographs[1].synset), *photographs[1:]]
    with pytest.raises(HarnessError, match=r"this image is class 243 .*; 1 of 20 labels are wrong"):
        opened(build.class_folders(moved))


NO_TABLES = {
    "image,label\nx,1": "lacks the column file_name; it has: image, label",
    "file_name,split\nx,val": "no column that says what an image shows; it has: file_name, split",
    "file_name,label,wnid\n{name},dog,{synset}": "row 2, label: dog is not one of the 1,000 classes of imagenet-1k",
    "file_name,label,wnid\n{name},{label},{synset}\n{name},{label},{synset}": r"row 3: .* comes a second time",
    "file_name,label,wnid\nILSVRC2012_val_00000001.JPEG,65,n01751748": "None of the 20 images",
} | {
    f"file_name,label,wnid\n{name},{{label}},{{synset}}": r"row 2: .* is not a plain file name"
    for name in ("../outside.JPEG", "/etc/hosts", "sub/../x.JPEG", "", "..")
}


@pytest.mark.parametrize("table", NO_TABLES)
def test_a_labels_csv_that_can_t_be_right_is_refused(table: str, photographs: Any, build: Any, opened: Any) -> None:
    root = build.images_with_labels(photographs)
    first = photographs[0]
    (root / "labels.csv").write_text(table.format(name=first.name, label=first.label, synset=first.synset) + "\n")
    with pytest.raises(HarnessError, match=NO_TABLES[table]):
        opened(root)


def test_labels_csv_notes_rows_without_image_and_images_without_row(photographs: Any, build: Any, opened: Any) -> None:
    root = build.images_with_labels(photographs)
    other = "ILSVRC2012_val_00000001.JPEG"
    rows = [(p.name, p.label, p.synset) for p in photographs[2:]]
    write_labels(root / "labels.csv", [*rows, (other, 65, "n01751748")])
    dataset = opened(root)
    assert len(dataset) == 18
    assert "2 images without a row in labels.csv were ignored" in " ".join(dataset.notes)
    assert f"labels.csv names 1 more images that are not in this copy: {other}." in dataset.notes


def test_the_images_folder_itself_may_be_given(photographs: Any, build: Any, opened: Any) -> None:
    dataset = opened(build.images_with_labels(photographs) / "images")
    assert dataset.layout == "images with labels.csv"
    assert len(dataset) == 20


@pytest.mark.parametrize("depth", [0, 4])
def test_flat_folder_with_kaggles_table(
    depth: int, tmp_path: Path, photographs: Any, opened: Any, without_imagenet_x: None
) -> None:
    images = tmp_path / "kaggle" / Path("ILSVRC/Data/CLS-LOC/val" if depth else ".")
    images.mkdir(parents=True)
    with (tmp_path / "kaggle" / "LOC_val_solution.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["ImageId", "PredictionString"])
        for p in photographs:
            (images / p.name).write_bytes(p.data)
            writer.writerow([p.name.removesuffix(".JPEG"), f"{p.synset} 1 2 3 4 {p.synset} 5 6 7 8 "])
    dataset = opened(images)
    assert dataset.layout == "flat folder with Kaggle's LOC_val_solution.csv"
    assert labels_of(dataset) == {p.name: p.label for p in photographs}


def test_flat_folder_without_labels(photographs: Any, build: Any, opened: Any, without_imagenet_x: None) -> None:
    with pytest.raises(MissingInputError, match="no labels are known for them") as caught:
        opened(build.flat(photographs))
    assert "LOC_val_solution.csv" in str(caught.value.remedy)


def test_flat_folder_with_the_ground_truth_file_of_another_numbering(
    photographs: Any, build: Any, opened: Any, without_imagenet_x: None
) -> None:
    root = build.flat(photographs)
    (root / "ILSVRC2012_validation_ground_truth.txt").write_text("490\n361\n171\n")
    with pytest.raises(HarnessError, match="ILSVRC2012_IDs, an order of the development kit from 1 to 1000"):
        opened(root)


def test_official_imagenet_c_folders(tmp_path: Path, photographs: Any, build: Any, opened: Any) -> None:
    root = tmp_path / "imagenet-c"
    cells = {"gaussian_noise/3": photographs, "noise/shot_noise/1": photographs[:5]}
    for cell, part in cells.items():
        for p in part:
            (root / cell / p.synset).mkdir(parents=True, exist_ok=True)
            (root / cell / p.synset / p.name).write_bytes(p.data)
    benchmark = get_benchmark("imagenet-c")
    assert available_conditions(benchmark, locate(benchmark, given=root)) == ("gaussian_noise/3", "shot_noise/1")
    dataset = opened(root, "imagenet-c", "gaussian_noise/3")
    # the base images' names, so that cells and clean images pair, in the clean images' order
    pd.testing.assert_frame_equal(dataset.samples, opened(build.class_folders(photographs)).samples)
    assert len(opened(root, "imagenet-c", "shot_noise/1")) == 5
    with pytest.raises(MissingInputError, match="has no folder fog/2"):
        opened(root, "imagenet-c", "fog/2")
    with pytest.raises(HarnessError, match=r"Unknown condition of imagenet-c 'gausian_noise/3'") as caught:
        opened(root, "imagenet-c", "gausian_noise/3")
    assert "gaussian_noise/3" in str(caught.value)


def test_a_condition_of_a_benchmark_without_conditions(photographs: Any, build: Any, opened: Any) -> None:
    with pytest.raises(HarnessError, match="imagenet-val has no conditions, but 'fog/1' was asked for"):
        opened(build.class_folders(photographs), "imagenet-val", "fog/1")


def test_a_wrapped_copy_is_found_and_says_so(photographs: Any, build: Any, opened: Any, tmp_path: Path) -> None:
    build.class_folders(photographs).rename(tmp_path / "copies" / "val")
    dataset = opened(tmp_path / "copies")
    assert len(dataset) == 20
    assert "The copy was found in its subfolder val/." in dataset.notes


def test_other_files_are_ignored_and_counted(photographs: Any, build: Any, opened: Any) -> None:
    root = build.class_folders(photographs)
    (root / "README.txt").write_text("x")
    (root / photographs[0].synset / "notes.txt").write_text("x")
    (root / photographs[0].synset / "._ILSVRC2012_val_00000001.JPEG").write_text("resource fork")
    (root / "thumbnails").mkdir()
    dataset = opened(root)
    assert len(dataset) == 20
    assert "3 files and folders were ignored, e.g. README.txt." in dataset.notes


# --- WebDataset ---


def test_member_names_of_a_shard_are_data_never_paths(tmp_path: Path, photographs: Any, opened: Any) -> None:
    root = tmp_path / "in" / "shards"
    root.mkdir(parents=True)
    p = photographs[0]
    write_tar(
        root / "x-000000.tar",
        [
            ("../../escaped.cls", str(p.label).encode()),
            ("../../escaped.jpg", p.data),
            ("/abs.cls", b"22"),
            ("/abs.png", b"x"),
        ],
    )
    before = sorted(tmp_path.rglob("*"))
    dataset = opened(root, "imagenet-sketch")
    created = {path for path in tmp_path.rglob("*") if "cache" not in path.parts} - set(before)
    assert not created
    assert sorted(dataset.samples["sample_id"]) == ["n01614925/abs.png", f"{p.synset}/escaped.jpg"]


def test_a_shard_without_a_label_and_one_with_a_word(tmp_path: Path, photographs: Any, opened: Any) -> None:
    p = photographs[0]
    write_tar(tmp_path / "a.tar", [(f"{p.synset}/{p.name}", p.data)])
    with pytest.raises(HarnessError, match=r"(?s)has no label .*unpack it"):
        opened(tmp_path / "a.tar")
    write_tar(tmp_path / "b.tar", [("x.jpg", p.data), ("x.cls", b"dog")])
    with pytest.raises(HarnessError, match="'dog' is neither a class index nor a class of imagenet-1k"):
        opened(tmp_path / "b.tar")
    write_tar(tmp_path / "c.tar", [("x.jpg", p.data), ("x.png", p.data), ("x.cls", b"1")])
    with pytest.raises(HarnessError, match=r"x.jpg and x.png are two images of one sample"):
        opened(tmp_path / "c.tar")


def test_a_shard_with_synsets_for_a_200_class_set(tmp_path: Path, photographs: Any, opened: Any) -> None:
    data = photographs[0].data
    write_tar(tmp_path / "a.tar", [("x.jpg", data), ("x.cls", b"n01498041\n")])
    assert opened(tmp_path / "a.tar", "imagenet-a").samples["sample_id"].tolist() == ["n01498041/x.jpg"]
    write_tar(tmp_path / "b.tar", [("x.jpg", data), ("x.cls", b"0")])
    with pytest.raises(HarnessError, match="a number doesn't say which"):
        opened(tmp_path / "b.tar", "imagenet-a")


def test_a_cut_off_shard_and_a_file_that_is_no_tar(tmp_path: Path, photographs: Any, build: Any, opened: Any) -> None:
    root = build.shards(photographs)
    shard = root / "val-000000.tar"
    shard.write_bytes(shard.read_bytes()[: shard.stat().st_size // 2])
    with pytest.raises(HarnessError, match=r"val-000000\.tar (is not a readable tar|ends inside)"):
        opened(root)
    (tmp_path / "x.tar").write_bytes(b"not a tar" * 500)
    with pytest.raises(HarnessError, match="is not a readable tar"):
        opened(tmp_path / "x.tar")


def test_other_members_of_shards_are_ignored_and_counted(tmp_path: Path, photographs: Any, opened: Any) -> None:
    p = photographs[0]
    stem = p.name.removesuffix(".JPEG")
    members = [(f"{stem}.JPEG", p.data), (f"{stem}.cls", str(p.label).encode()), (f"{stem}.json", b"{}")]
    write_tar(tmp_path / "a.tar", members)
    buffer = io.BytesIO((tmp_path / "a.tar").read_bytes())
    with tarfile.open(fileobj=buffer, mode="a") as archive:
        link = tarfile.TarInfo("link.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hosts"
        archive.addfile(link)
    (tmp_path / "a.tar").write_bytes(buffer.getvalue())
    dataset = opened(tmp_path / "a.tar")
    assert dataset.samples["sample_id"].tolist() == [p.name]
    assert any("members of the shards were ignored" in note for note in dataset.notes)


# --- nothing there ---


def test_an_empty_folder_shows_what_was_expected(tmp_path: Path, opened: Any) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(HarnessError, match=r"(?s)the folder is empty. Expected .*n01440764/NAME.JPEG") as caught:
        opened(tmp_path / "empty")
    assert "--data imagenet-val=DIR" in str(caught.value)


def test_empty_class_folders_are_no_copy(tmp_path: Path, opened: Any) -> None:
    (tmp_path / "val" / "n01440764").mkdir(parents=True)
    with pytest.raises(HarnessError, match=r"No images of imagenet-val in .*class folders named by synset"):
        opened(tmp_path / "val")


def test_an_archive_beside_nothing_is_to_be_unpacked(tmp_path: Path, opened: Any) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "imagenetv2-matched-frequency.tar.gz").write_bytes(b"x")
    with pytest.raises(HarnessError, match="can't be read in place") as caught:
        opened(tmp_path / "x", "imagenetv2-matched-frequency")
    assert "Unpack it" in str(caught.value)


def test_a_file_of_another_kind(tmp_path: Path, opened: Any) -> None:
    (tmp_path / "x.bin").write_bytes(b"x")
    with pytest.raises(HarnessError, match="it is a file of another kind"):
        opened(tmp_path / "x.bin")


def test_training_images_are_refused(tmp_path: Path, photographs: Any, opened: Any) -> None:
    folder = tmp_path / "train" / photographs[0].synset
    folder.mkdir(parents=True)
    (folder / "n01440764_10026.JPEG").write_bytes(photographs[0].data)
    with pytest.raises(HarnessError, match="name of an ImageNet training image"):
        opened(tmp_path / "train")


def test_the_package_needs_no_data_given(tmp_path: Path, photographs: Any) -> None:
    benchmark = get_benchmark("foolbox-imagenet-20")
    location = locate(benchmark, offline=True)
    assert location.found == "package"
    dataset = open_dataset(benchmark, location, cache=tmp_path)
    assert len(dataset) == benchmark.size
    assert sorted(dataset.samples["label"]) == sorted(p.label for p in photographs)
    assert dataset.notes == []
