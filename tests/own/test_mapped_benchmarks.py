"""Benchmarks in classes that a model hasn't: from folders as published to shape bias and background gap, on real weights."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ImageOps

import harness
from harness.data.catalog import get_benchmark
from harness.data.local import open_dataset
from harness.data.locations import locate
from harness.labels.label_maps import shipped_maps
from harness.labels.spaces import label_space
from harness.models.loading import LoadedModel
from harness.runtime.decoding import Images
from tests.conftest import in_ledger

SPACE = label_space("imagenet-1k")


def class_in(name: str, label: int) -> str | None:
    """The class of a label map that an ImageNet class stands for."""
    classes = shipped_maps()[name].classes
    return next((c for c, members in classes.items() if SPACE.classes[label] in members), None)


@pytest.fixture(scope="module")
def answers(lite0: LoadedModel, foolbox_images: list[Any]) -> dict[str, np.ndarray]:
    """The probabilities that the model gives each photograph, through a pipeline written out here."""
    import torch

    preprocessing, found = lite0.identity.preprocessing, {}
    for photograph in foolbox_images:
        pixels = torch.from_numpy(preprocessing.pixels(photograph.image()).copy()).permute(2, 0, 1)[None]
        with torch.no_grad():
            found[photograph.name] = lite0.module(preprocessing.normalise(pixels)).softmax(1)[0].double().numpy()
    return found


def test_shape_bias_of_conflicting_names(
    foolbox_images: list[Any], answers: dict[str, np.ndarray], tmp_path: Path, home: Path
) -> None:
    """Photographs under a shape of our choice and with their own class as texture: every decision for it is for texture."""
    names, expected = list(shipped_maps()["shapes-16"].classes), {"shape": 0, "texture": 0}
    for number, photograph in enumerate(foolbox_images):
        own = class_in("shapes-16", photograph.label) or "oven"
        shape = own if number == 0 else "knife" if own != "knife" else "oven"
        (tmp_path / "stimuli" / shape).mkdir(parents=True, exist_ok=True)
        (tmp_path / "stimuli" / shape / f"{shape}{number}-{own}1.jpg").write_bytes(photograph.data)
        members = [[SPACE.index(s) for s in shipped_maps()["shapes-16"].classes[name]] for name in names]
        best = names[int(np.argmax([answers[photograph.name][found].mean() for found in members]))]
        expected["shape"] += best == shape != own
        expected["texture"] += best == own != shape
    done = harness.evaluate("efficientnet-lite0", "shapes", data={"cue-conflict": tmp_path / "stimuli"}, offline=True)
    item = in_ledger(done.ledger, "cue-conflict.shape-bias")
    assert expected["texture"] > 3
    assert item.n == expected["shape"] + expected["texture"]
    assert item.value == pytest.approx(100 * expected["shape"] / item.n)
    assert "20 of the benchmark's 1,280 images" in str(item.reason)
    assert (
        "793 classes of imagenet-1k stand for none" in in_ledger(done.ledger, "cue-conflict.top1").protocol["reading"]
    )
    assert "shape-edges.top1" in done.missing


def test_background_gap_and_its_folders(
    foolbox_images: list[Any], answers: dict[str, np.ndarray], tmp_path: Path, home: Path
) -> None:
    """Class folders numbered as published; the class of the best of all 1,000 outputs, or none."""
    names = list(shipped_maps()["imagenet-9"].classes)
    data, right = {}, {}
    for kind, labelled in (("mixed-same", lambda own: own), ("mixed-rand", lambda own: "fish")):
        root, hits = tmp_path / kind, 0
        for index, name in enumerate(names):
            (root / "val" / f"{index:02}_{name}").mkdir(parents=True)
        for photograph in foolbox_images:
            label = labelled(class_in("imagenet-9", photograph.label) or "bird")
            folder = root / "val" / f"{names.index(label):02}_{label}"
            (folder / photograph.name).write_bytes(photograph.data)
            hits += class_in("imagenet-9", int(answers[photograph.name].argmax())) == label
        data[f"imagenet-9-{kind}"], right[kind] = root, hits
    done = harness.evaluate("efficientnet-lite0", "backgrounds", data=data, offline=True)
    assert right["mixed-same"] > right["mixed-rand"]
    for kind, hits in right.items():
        assert in_ledger(done.ledger, f"imagenet-9-{kind}.top1").value == pytest.approx(100 * hits / 20)
    gap = in_ledger(done.ledger, "imagenet-9-mixed-same.background-gap")
    assert gap.value == pytest.approx(100 * (right["mixed-same"] - right["mixed-rand"]) / 20)
    assert gap.interval is not None
    assert "imagenet-9-only-fg.top1" in done.missing


def test_objectnet_loses_its_border_and_its_other_classes(
    lite0: LoadedModel, foolbox_images: list[Any], tmp_path: Path, home: Path
) -> None:
    plain = foolbox_images[0].image()
    buffer = io.BytesIO()
    ImageOps.expand(plain, 2, fill=(255, 0, 0)).save(buffer, "PNG")
    for folder in ("banana", "air_freshener"):  # the second is none of the 113
        (tmp_path / "images" / folder).mkdir(parents=True)
        (tmp_path / "images" / folder / "a.png").write_bytes(buffer.getvalue())
    benchmark = get_benchmark("objectnet")
    dataset = open_dataset(benchmark, locate(benchmark, given=tmp_path / "images"), cache=tmp_path / "cache")
    assert dataset.samples["sample_id"].tolist() == ["banana/a.png"]
    assert any("air_freshener/" in note for note in dataset.notes)
    preprocessing = lite0.identity.preprocessing
    np.testing.assert_array_equal(Images(dataset, preprocessing).decode(0, None), preprocessing.pixels(plain))


def test_one_s_own_map_in_a_suite_file(
    foolbox_images: list[Any], answers: dict[str, np.ndarray], tmp_path: Path, home: Path
) -> None:
    dogs = list(shipped_maps()["imagenet-9"].classes["dog"])
    others = [s for s in SPACE.classes if s not in dogs]
    right = 0
    for photograph in foolbox_images:
        label = "dog" if SPACE.classes[photograph.label] in dogs else "other"
        (tmp_path / "photos" / label).mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / label / photograph.name).write_bytes(photograph.data)
        share = answers[photograph.name][[SPACE.index(s) for s in dogs]].sum()
        right += (share > 0.5) == (label == "dog")
    (tmp_path / "dogs.yaml").write_text(
        "{name: dogs, title: Dogs, description: Dogs., metrics: [accuracy], benchmarks: [{name: dogs, path: photos, label_map: "
        f"{{rule: sum, classes: {{dog: [{', '.join(dogs)}], other: [{', '.join(others)}]}}}}}}]}}"
    )
    done = harness.evaluate("efficientnet-lite0", tmp_path / "dogs.yaml", offline=True)
    assert in_ledger(done.ledger, "dogs.top1").value == pytest.approx(100 * right / 20)
    assert done.ledger.benchmarks["dogs"]["classes"] == ["dog", "other"]
    assert "highest sum of probabilities" in in_ledger(done.ledger, "dogs.top1").protocol["reading"]
