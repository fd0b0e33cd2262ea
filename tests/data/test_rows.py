"""Rows of data sets: Parquet in the Hub's image layout, saved data sets, and the Hub path without network."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.data.catalog import get_benchmark
from harness.data.local import open_dataset
from harness.data.locations import Location, locate
from harness.errors import HarnessError, MissingInputError
from harness.labels.spaces import label_space
from tests.data.conftest import labels_of


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)


def write_named_classes(path: Path, photographs: Any, names: list[str], paths: bool = True) -> None:
    """A Parquet file as the Hub writes it, with the class names in the schema."""
    import datasets

    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=names)})
    rows = {
        "image": [{"bytes": p.data, "path": f"{i}.jpg" if paths else None} for i, p in enumerate(photographs)],
        "label": [i % len(names) for i in range(len(photographs))],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    datasets.Dataset.from_dict(rows, features=features).to_parquet(str(path))


def test_a_local_folder_in_the_hubs_layout_loads_as_a_hub_id(
    photographs: Any, build: Any, opened: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = build.parquet(photographs)
    monkeypatch.setenv("HF_DATASETS_CACHE", str(root.parent / "hub-cache"))
    through_hub = opened(f"hf:{root}")
    assert through_hub.layout == "Hub data set"
    pd.testing.assert_frame_equal(through_hub.samples, opened(root).samples)
    data = {p.name: p.data for p in photographs}
    assert all(through_hub.read(i) == data[name] for i, name in enumerate(through_hub.samples["sample_id"]))


def test_a_saved_data_set(photographs: Any, tmp_path: Path, opened: Any) -> None:
    import datasets

    features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("int64")})
    rows = {"image": [{"bytes": p.data, "path": p.name} for p in photographs], "label": [p.label for p in photographs]}
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(str(tmp_path / "saved"))
    dataset = opened(tmp_path / "saved")
    assert dataset.layout == "saved data set"
    assert labels_of(dataset) == {p.name: p.label for p in photographs}


def test_class_names_that_are_synsets_prove_the_labels(photographs: Any, tmp_path: Path, opened: Any) -> None:
    space = label_space("imagenet-a-200")
    names = sorted(space.classes[10:30], reverse=True)  # in an order of their own
    write_named_classes(tmp_path / "data" / "train-00000-of-00001.parquet", photographs, names)
    dataset = opened(tmp_path / "data", "imagenet-a")
    assert labels_of(dataset) == {f"{name}/{i}.jpg": space.index(name) for i, name in enumerate(names)}


def test_integers_without_synsets_are_refused_for_a_200_class_set(
    photographs: Any, tmp_path: Path, opened: Any
) -> None:
    write_named_classes(tmp_path / "x.parquet", photographs, ["stingray", "goldfinch"])
    with pytest.raises(HarnessError, match="a number doesn't say which of the 200 classes"):
        opened(tmp_path / "x.parquet", "imagenet-a")


def test_a_text_column_of_synsets(photographs: Any, tmp_path: Path, opened: Any) -> None:
    # imagenet-r's copy on the Hub has `wnid` and no `label`, and no class numbers at all
    rows = [{"image": {"bytes": p.data, "path": f"{i}.jpg"}, "wnid": "n01443537"} for i, p in enumerate(photographs)]
    write_rows(tmp_path / "test" / "test-00000-of-00001.parquet", rows)
    dataset = opened(tmp_path / "test", "imagenet-r")
    assert set(dataset.samples["label"]) == {label_space("imagenet-r-200").index("n01443537")}


def test_rows_without_file_names(photographs: Any, build: Any, opened: Any) -> None:
    dataset = opened(build.parquet(photographs, names=[""] * 20))
    assert len(dataset) == 20
    assert all(name.startswith("sha256-") for name in dataset.samples["sample_id"])


def test_other_splits_are_left_out(photographs: Any, build: Any, opened: Any) -> None:
    root = build.parquet(photographs)
    (root / "data" / "train-00000-of-00001.parquet").write_bytes(b"not even read")
    dataset = opened(root)
    assert len(dataset) == 20
    assert "1 Parquet files of other splits were ignored." in dataset.notes


def test_several_splits_without_the_wanted_one(photographs: Any, tmp_path: Path, opened: Any) -> None:
    for split in ("train", "test"):
        write_named_classes(tmp_path / f"{split}-00000.parquet", photographs, ["n01440764"])
    with pytest.raises(HarnessError, match=r"several splits \(test, train\), none of them called validation"):
        opened(tmp_path)


WHOLE = {"bytes": b"x", "path": "ILSVRC2012_val_00000001.JPEG"}
NOT_READ: dict[str, list[dict[str, Any]]] = {
    "no column 'image'; it has picture, label": [{"picture": WHOLE, "label": 1}],
    "no column 'label'; it has image, class": [{"image": WHOLE, "class": 1}],
    "row 1, column label: label -1 is outside 0 to 999": [{"image": WHOLE, "label": -1}],
    "row 2, column label: None is no class": [{"image": WHOLE, "label": 65}, {"image": WHOLE, "label": None}],
    "row 2 has neither bytes nor a path": [{"image": WHOLE, "label": 65}, {"image": None, "label": 2}],
    "row 1 has neither bytes nor a path": [{"image": {"bytes": None, "path": None}, "label": 2}],
}


@pytest.mark.parametrize("why", NOT_READ)
def test_rows_that_say_too_little_are_refused(tmp_path: Path, opened: Any, why: str) -> None:
    write_rows(tmp_path / "a.parquet", NOT_READ[why])
    with pytest.raises(HarnessError, match=why):
        opened(tmp_path / "a.parquet")


def test_a_damaged_parquet_file_names_itself(tmp_path: Path, opened: Any) -> None:
    (tmp_path / "validation-00000.parquet").write_bytes(b"PAR1 and nothing else")
    with pytest.raises(HarnessError, match="Can't load the data set") as caught:
        opened(tmp_path)
    assert str(caught.value.remedy) == "If a file is damaged, fetch it again."


def test_a_full_disk_while_parquet_is_converted(
    photographs: Any, build: Any, opened: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets

    def full(*_: object, **__: object) -> None:
        raise datasets.exceptions.DatasetGenerationError("wrapped") from OSError(
            errno.ENOSPC, "No space left on device"
        )

    monkeypatch.setattr("datasets.load_dataset", full)
    with pytest.raises(HarnessError, match="No space left while reading") as caught:
        opened(build.parquet(photographs))
    assert "Free some space" in str(caught.value)


def test_a_second_open_of_parquet_loads_no_data_set(
    photographs: Any, build: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry, root = get_benchmark("imagenet-val"), build.parquet(photographs)
    first = open_dataset(entry, locate(entry, given=root), cache=tmp_path / "cache")

    def loaded(*_: object, **__: object) -> None:
        raise AssertionError("the data set was loaded")

    monkeypatch.setattr("datasets.load_dataset", loaded)
    again = open_dataset(entry, locate(entry, given=root), cache=tmp_path / "cache")
    pd.testing.assert_frame_equal(again.samples, first.samples)


def test_the_hub_without_network_is_a_missing_input(tmp_path: Path) -> None:
    """In a process of its own, because the Hub's library reads HF_HUB_OFFLINE when it is first imported."""
    code = (
        "import sys; from pathlib import Path\n"
        "from harness.data.catalog import get_benchmark\n"
        "from harness.data.local import open_dataset\n"
        "from harness.data.locations import Location\n"
        "from harness.errors import MissingInputError\n"
        "for name in ('imagenet-a', 'imagenetv2-top-images'):\n"
        "    b = get_benchmark(name)\n"
        "    try:\n"
        "        open_dataset(b, Location(name, 'hub', repository=b.hub.id), cache=Path(sys.argv[1]))\n"
        "    except MissingInputError as error:\n"
        "        print(error)\n"
    )
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf")}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "cache")],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Can't load the data set barkermrl/imagenet-a" in done.stdout
    assert "Can't fetch imagenetv2-top-images.tar.gz of vaishaal/ImageNetV2" in done.stdout
    assert done.stdout.count("→") == 2


def test_a_gated_data_set_says_where_to_accept_the_terms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    def gated(*_: object, **__: object) -> None:
        raise datasets.exceptions.DatasetNotFoundError("Dataset 'ILSVRC/imagenet-1k' is a gated dataset on the Hub.")

    monkeypatch.setattr("datasets.load_dataset", gated)
    location = Location("imagenet-val", "hub", repository="ILSVRC/imagenet-1k")
    with pytest.raises(MissingInputError, match="Access to ILSVRC/imagenet-1k is not granted") as caught:
        open_dataset(get_benchmark("imagenet-val"), location, cache=tmp_path)
    assert "https://huggingface.co/datasets/ILSVRC/imagenet-1k" in str(caught.value.remedy)


def test_only_the_split_that_is_needed_is_fetched(
    photographs: Any, build: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets

    asked: list[dict[str, Any]] = []
    rows = {"image": [{"bytes": p.data, "path": p.name} for p in photographs], "label": [p.label for p in photographs]}

    def load(repository: str, **options: Any) -> Any:
        asked.append({"repository": repository, **options})
        features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("int64")})
        datasets.Dataset.from_dict(rows, features=features).save_to_disk(str(tmp_path / "arrow"))
        return datasets.load_from_disk(str(tmp_path / "arrow"))

    monkeypatch.setattr("datasets.load_dataset", load)
    benchmark = get_benchmark("imagenet-val")
    location = Location("imagenet-val", "hub", repository="ILSVRC/imagenet-1k", revision="abc")
    dataset = open_dataset(benchmark, location, cache=tmp_path / "cache")
    assert len(dataset) == 20
    (options,) = asked
    assert options["repository"] == "ILSVRC/imagenet-1k"
    assert options["split"] == "validation"
    assert options["data_files"] == {"validation": "data/validation-*.parquet"}
    assert options["revision"] == "abc"


def test_locating_on_the_hub_imports_neither_torch_nor_datasets() -> None:
    code = (
        "import sys; import harness.data.local, harness.data.locations\n"
        "from harness.data.catalog import get_benchmark\n"
        "harness.data.locations.locate(get_benchmark('imagenet-a'))\n"
        "print([m for m in ('torch', 'datasets', 'timm', 'foolbox') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert locate(get_benchmark("imagenet-a")).found == "hub"


@pytest.mark.parametrize("named", ["{root}/elsewhere/a.jpg", "../elsewhere/a.jpg"])
def test_a_row_that_names_a_file_elsewhere_opens_nothing(
    photographs: Any, tmp_path: Path, opened: Any, named: str
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.jpg").write_bytes(photographs[0].data)
    write_rows(
        tmp_path / "set" / "a.parquet", [{"image": {"bytes": None, "path": named.format(root=tmp_path)}, "label": 1}]
    )
    with pytest.raises(HarnessError, match="outside the data set's folder; it isn't opened"):
        opened(tmp_path / "set")
