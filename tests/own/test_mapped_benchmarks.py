"""Benchmarks in classes that a model hasn't: from folders as published to shape bias and background gap, on real weights."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

import harness
from harness.data.annotations import validation_labels
from harness.data.catalog import get_benchmark
from harness.data.local import open_dataset
from harness.data.locations import locate
from harness.errors import HarnessError
from harness.evaluation.suites import load_suite
from harness.evidence import show_value
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


Answers = dict[str, np.ndarray]
Ready = dict[str, tuple[bytes, np.ndarray]]


@pytest.fixture(scope="module")
def answers(lite0: LoadedModel, foolbox_images: list[Any]) -> Answers:
    """The probabilities that the model gives each photograph, through a pipeline written out here."""
    return {photograph.name: answer(lite0, photograph.image(), is_ready=False) for photograph in foolbox_images}


@pytest.fixture(scope="module")
def ready(lite0: LoadedModel, foolbox_images: list[Any]) -> Ready:
    """The photographs as images of 224 pixels a side, as these benchmarks have them, and the probabilities they are given."""
    found = {}
    for photograph in foolbox_images:
        buffer = io.BytesIO()
        image = ImageOps.fit(photograph.image(), (224, 224))
        image.save(buffer, "PNG")
        found[photograph.name] = buffer.getvalue(), answer(lite0, image, is_ready=True)
    return found


def answer(model: LoadedModel, image: Image.Image, *, is_ready: bool) -> np.ndarray:
    import torch

    preprocessing = model.identity.preprocessing
    pixels = torch.from_numpy((np.asarray(image) if is_ready else preprocessing.pixels(image)).copy()).permute(2, 0, 1)
    with torch.no_grad():
        return model.module(preprocessing.normalise(pixels[None])).softmax(1)[0].double().numpy()


def of_16(probabilities: np.ndarray) -> str:
    """The class of the 16 with the highest mean probability of its members."""
    means = {
        name: probabilities[[SPACE.index(s) for s in members]].mean()
        for name, members in shipped_maps()["shapes-16"].classes.items()
    }
    return max(means, key=lambda name: means[name])


def test_shape_bias_of_conflicting_names(foolbox_images: list[Any], ready: Ready, tmp_path: Path) -> None:
    """Photographs under a shape of our choice and with their own class as texture: every decision for it is for texture."""
    expected = {"shape": 0, "texture": 0}
    for number, photograph in enumerate(foolbox_images):
        own = class_in("shapes-16", photograph.label) or "oven"
        shape = own if number == 0 else "knife" if own != "knife" else "oven"
        (tmp_path / "stimuli" / shape).mkdir(parents=True, exist_ok=True)
        data, probabilities = ready[photograph.name]
        (tmp_path / "stimuli" / shape / f"{shape}{number}-{own}1.png").write_bytes(data)
        best = of_16(probabilities)
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
    gap = "[More Information Needed]"
    asked = f"# M\n\n## Shape bias\n\n{gap}\n\n| Shape bias | BG-Gap | Seed |\n|---|---|---|\n| {gap} | {gap} | 3 |\n"
    told = harness.fill(asked, model="efficientnet-lite0", ledger=done.ledger).text.decode()
    assert told.count(show_value(item)) == 2  # under the heading and in the cell
    assert "| not measured yet | 3 |" in told
    assert set(load_suite("model-vs-human").benchmarks) > set(load_suite("shapes").benchmarks)


def test_background_gap_and_its_folders(foolbox_images: list[Any], ready: Ready, tmp_path: Path) -> None:
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
            png, probabilities = ready[photograph.name]
            (folder / f"{photograph.name}.png").write_bytes(png)
            hits += class_in("imagenet-9", int(probabilities.argmax())) == label
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
    lite0: LoadedModel, foolbox_images: list[Any], tmp_path: Path
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


def test_one_s_own_map_in_a_suite_file(foolbox_images: list[Any], answers: Answers, tmp_path: Path) -> None:
    dogs = list(shipped_maps()["imagenet-9"].classes["dog"])
    others = [s for s in SPACE.classes if s not in dogs]
    right = 0
    for photograph in foolbox_images:
        label = "dog" if SPACE.classes[photograph.label] in dogs else "other"
        (tmp_path / "photos" / label).mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / label / photograph.name).write_bytes(photograph.data)
        share = answers[photograph.name][[SPACE.index(s) for s in dogs]].sum()
        right += (share > 0.5) == (label == "dog")
    classes = f"{{dog: [{', '.join(dogs)}], other: [{', '.join(others)}]}}"
    text = (
        f"{{name: dogs, title: Dogs, description: Dogs., metrics: [accuracy], label_maps: {{is-dog: {{rule: sum, classes: {classes}}}}}, "
        f"benchmarks: [{{name: dogs, path: photos, label_map: is-dog}}, {{name: again, path: photos, label_map: {{rule: sum, classes: {classes}}}}}]}}"
    )
    (tmp_path / "dogs.yaml").write_text(text)
    done = harness.evaluate("efficientnet-lite0", tmp_path / "dogs.yaml", offline=True)
    assert in_ledger(done.ledger, "dogs.top1").value == pytest.approx(100 * right / 20)
    assert in_ledger(done.ledger, "again.top1").value == in_ledger(done.ledger, "dogs.top1").value
    assert done.ledger.benchmarks["dogs"]["classes"] == ["dog", "other"]
    for old, new, why in (
        ("label_map: is-dog", "label_map: is-dag", "Unknown label map 'is-dag'"),
        ("rule: sum, classes: {dog", "rule: some, classes: {dog", r"label_maps\.is-dog\.rule"),
        (others[0], "n00000001", "n00000001, a member of other, is no class"),
    ):
        (tmp_path / "dogs.yaml").write_text(text.replace(old, new, 1))
        with pytest.raises(HarnessError, match=why):
            load_suite(str(tmp_path / "dogs.yaml"))
    assert "highest sum of probabilities" in in_ledger(done.ledger, "dogs.top1").protocol["reading"]


def test_model_vs_human_reads_classes_and_conditions_off_names(
    foolbox_images: list[Any], ready: Ready, tmp_path: Path
) -> None:
    """Folders and names as in the authors' release; each condition apart, and a name that is none of the sixteen classes is refused."""
    folder = tmp_path / "contrast" / "dnn" / "session-1"
    folder.mkdir(parents=True)
    right: dict[str, list[bool]] = {"c100": [], "c05": []}
    for number, photograph in enumerate(foolbox_images):
        data, probabilities = ready[photograph.name]
        condition, class_ = ("c100", "c05")[number % 2], class_in("shapes-16", photograph.label) or "oven"
        (folder / f"{number:04}_cop_dnn_{condition}_{class_}_10_n02123394_{number}.png").write_bytes(data)
        right[condition].append(of_16(probabilities) == class_)
    (folder / "montage.png").write_bytes(data)
    name = "model-vs-human-contrast"
    place = {name: tmp_path / "contrast"}
    (tmp_path / "small.yaml").write_text(
        f"{{name: small, title: S, description: S., benchmarks: [{name}], metrics: [accuracy], slicings: [condition], "
        "slice_options: {conditions: shifted, smallest_group: 10}}"
    )
    done = harness.evaluate("efficientnet-lite0", tmp_path / "small.yaml", data=place, offline=True)
    assert in_ledger(done.ledger, f"{name}.top1").value == pytest.approx(5 * sum(map(sum, right.values())))
    for condition, hits in right.items():
        item = in_ledger(done.ledger, f"{name}@condition/{condition}.top1")
        assert (item.value, item.n) == (pytest.approx(10 * sum(hits)), 10)
    assert 0 < sum(map(sum, right.values())) < 20
    notes = next(c.notes for c in done.plan.conditions if c.benchmark.name == name)
    assert any("1 images of other names were ignored" in note for note in notes)
    (folder / "0099_cop_dnn_c05_sofa_10_a.png").write_bytes(data)
    benchmark = get_benchmark(name)
    with pytest.raises(HarnessError, match="sofa is not one of the 16 classes"):
        open_dataset(benchmark, locate(benchmark, given=place[name]), cache=tmp_path / "cache")


def test_imagenet_hard_takes_any_of_the_listed_classes(
    foolbox_images: list[Any], answers: Answers, tmp_path: Path
) -> None:
    """Parquet as the authors publish it: a list of class indices for each image."""
    import datasets

    labels = [[p.label] if n % 2 else [(p.label + 1) % 1000, p.label] for n, p in enumerate(foolbox_images)]
    labels[0] = [(foolbox_images[0].label + 1) % 1000]
    features = datasets.Features({"image": datasets.Image(), "label": datasets.Sequence(datasets.Value("int64"))})
    rows = {"image": [{"bytes": p.data, "path": None} for p in foolbox_images], "label": labels}
    (tmp_path / "data").mkdir()
    datasets.Dataset.from_dict(rows, features=features).to_parquet(
        tmp_path / "data" / "validation-00000-of-00001.parquet"
    )
    done = harness.evaluate("efficientnet-lite0", data={"imagenet-hard": tmp_path / "data"}, offline=True)
    right = sum(int(answers[p.name].argmax()) in listed for p, listed in zip(foolbox_images, labels, strict=True))
    top1 = in_ledger(done.ledger, "imagenet-hard.top1")
    assert (top1.value, top1.n, top1.N) == (pytest.approx(5 * right), 20, 10_980)
    assert "one of the classes" in top1.protocol["reading"]
    rows["label"] = [[], *labels[1:]]
    datasets.Dataset.from_dict(rows, features=features).to_parquet(tmp_path / "validation.parquet")
    benchmark = get_benchmark("imagenet-hard")
    with pytest.raises(HarnessError, match=r"row 1, column label: \[\] is no list of classes"):
        open_dataset(benchmark, locate(benchmark, given=tmp_path / "validation.parquet"), cache=tmp_path / "cache")


def test_imagenet_d_is_read_among_all_outputs(foolbox_images: list[Any], answers: Answers, tmp_path: Path) -> None:
    classes, right = shipped_maps()["imagenet-d-113"].classes, 0
    for photograph in foolbox_images:
        class_ = class_in("imagenet-d-113", photograph.label) or "wok"
        (tmp_path / "background" / class_).mkdir(parents=True, exist_ok=True)
        (tmp_path / "background" / class_ / photograph.name).write_bytes(photograph.data)
        right += SPACE.classes[int(answers[photograph.name].argmax())] in classes[class_]
    place = {"imagenet-d-background": tmp_path / "background"}
    done = harness.evaluate("efficientnet-lite0", data=place, offline=True)
    assert in_ledger(done.ledger, "imagenet-d-background.top1").value == pytest.approx(5 * right)


def test_3d_common_corruptions_have_a_mean_error_and_no_mce(
    foolbox_images: list[Any], ready: Ready, tmp_path: Path
) -> None:
    for photograph in foolbox_images[:3]:
        name = next(name for name, label in validation_labels().items() if label == photograph.label)
        for severity in range(1, 6):
            folder = tmp_path / "ImageNet-3DCC" / "fog_3d" / str(severity) / SPACE.classes[photograph.label]
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(ready[photograph.name][0])
    (tmp_path / "fog.yaml").write_text(
        "{name: fog, title: Fog, description: Fog., metrics: [accuracy, corruption], benchmarks: [{name: imagenet-3dcc, corruptions: [fog_3d]}]}"
    )
    done = harness.evaluate(
        "efficientnet-lite0", tmp_path / "fog.yaml", data={"imagenet-3dcc": tmp_path / "ImageNet-3DCC"}, offline=True
    )
    wrong = sum(int(ready[p.name][1].argmax()) != p.label for p in foolbox_images[:3])
    assert in_ledger(done.ledger, "imagenet-3dcc/fog_3d.mean-error").value == pytest.approx(100 * wrong / 3)
    assert not [item.key for item in done.ledger if item.key.endswith(("ce", "mce"))]
