"""The whole path: a suite that asks for attributions, its evidence, its card, and what happens where there are none."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from torch import nn

import harness
from harness.cards.examination import EXAMINED
from harness.data.boxes import box_mask, boxes_folder
from harness.errors import HarnessError
from harness.evaluation.recheck import recheck
from harness.evaluation.suites import load_suite
from harness.examination import examine
from harness.examination.options import METHODS
from tests.examination.conftest import NAMES, PREPROCESSING, SIDE, red_detector


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """A suite on grey noise, half of it with a red patch; two of the plain ones are labelled red all the same."""
    rng = np.random.default_rng(0)
    for number in range(12):
        pixels = rng.integers(90, 166, (SIDE, SIDE, 1), dtype=np.uint8).repeat(3, axis=2)
        if number < 6:
            row, column = rng.integers(0, SIDE - 4, 2)
            pixels[row : row + 4, column : column + 4] = (230, 40, 40)
        folder = tmp_path / "images" / ("red" if number < 8 else "nothing")
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return written(tmp_path, licence="CC0-1.0")


def written(folder: Path, **fields: str) -> Path:
    benchmark = {"name": "patches", "path": "images"} | fields
    text = {"name": "mine", "title": "Mine", "description": "Patches.", "benchmarks": [benchmark]}
    path = folder / "mine.yaml"
    path.write_text(json.dumps(text | {"metrics": ["accuracy", "confusion", "attribution"]}))
    return path


def run(module: nn.Module, suite: Path, **options: int) -> harness.Evaluation:
    given = {"preprocessing": PREPROCESSING, "labels": NAMES, "name": "detector", "offline": True}
    return harness.evaluate(module, suite, **given, **options)


def test_a_run_s_evidence_card_and_sheet(home: Path, suite: Path) -> None:
    result = run(red_detector(), suite, examine_images=10)
    assert result.exit_code.name == "DONE"
    ledger = {item.key: item for item in result.ledger}
    assert ledger["patches.attribution:occlusion"].value is True
    assert ledger["patches.attribution:occlusion"].n == 10
    assert ledger["patches.insertion-auc:occlusion"].number > ledger["patches.insertion-auc:random"].number
    assert ledger["patches.deletion-auc:grad-cam+minus-centre"].interval is not None
    assert ledger["patches.confused-pairs"].value == [{"true": "red", "predicted": "nothing", "count": 2, "of": 8}]
    assert ledger["patches.never-predicted"].value == 0
    examples = ledger["patches.attribution-examples"].value
    assert isinstance(examples, list)
    assert [bool(example["true_maps"]) for example in examples] == [False, False, False, True, True]
    assert examples[0]["confidence"] >= examples[1]["confidence"]
    card = result.card()
    assert "## Model Examination" in card
    assert "red taken for nothing (2 of 8)" in card
    (sheet,) = (svg for file, svg in card.figures.items() if "attributions" in file)
    root = ElementTree.fromstring(sheet)
    assert len(root.findall(".//{*}image")) == 5
    assert str(examples[0]["image"]).startswith("data:image/jpeg;base64,")
    assert len(root.findall(".//{*}use")) == 5 + 7 * len(METHODS)  # each photograph plain once, then under each map


def test_batch_size_repetition_and_a_kill_change_nothing(
    home: Path, suite: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def values(result: harness.Evaluation) -> dict[str, object]:
        return {i.key: (i.value, i.n, i.interval) for i in result.ledger if i.name.metric in EXAMINED}

    whole = values(run(red_detector(), suite, examine_images=4))
    monkeypatch.setenv("HARNESS_HOME", str(home.with_name("other")))
    run(red_detector(), suite, examine_images=2)
    (file,) = home.with_name("other").glob("examinations/*/*/*/images.jsonl")
    file.write_bytes(file.read_bytes()[:-100])  # as if cut off while the second image was written
    real, seen = examine.examine_image, list[str]()

    def counted(model: object, image: object, sample: tuple[str, str, int], *more: Any, **options: Any) -> object:
        seen.append(sample[0])
        return real(model, image, sample, *more, **options)

    monkeypatch.setattr(examine, "examine_image", counted)
    assert values(run(red_detector(), suite, examine_images=4, batch_size=5)) == whole
    assert len(seen) == 3
    assert values(run(red_detector(), suite, examine_images=4)) == whole
    assert len(seen) == 3


def test_every_value_is_computed_again_from_what_is_stored(home: Path, suite: Path) -> None:
    done = run(red_detector(), suite, examine_images=10)
    ledger = done.ledger
    found = recheck(ledger, done.settings, print)
    about = {i.key for i in ledger if i.name.metric in EXAMINED and i.class_ == "measured"}
    assert about - set(found.same) == {"patches.attribution-examples"}  # for which the images are needed
    key = "patches.deletion-auc:occlusion"
    item = ledger.measured(key)
    ledger.add([item.model_copy(update={"value": item.number + 0.001})])
    assert list(recheck(ledger, done.settings, print).differences) == [key]


def test_images_without_a_licence_are_not_shown(home: Path, suite: Path) -> None:
    result = run(red_detector(), written(suite.parent), examine_images=6)
    examples = result.ledger.get("patches.attribution-examples")
    assert examples.class_ == "not-applicable"
    assert "patches has no stated licence, so none of its images is shown." in result.card()
    assert not any("attributions" in file for file in result.card().figures)


def test_a_transformer_has_no_grad_cam_and_random_weights_are_no_explanation(home: Path, suite: Path) -> None:
    torch.manual_seed(0)
    vit = timm.create_model("vit_tiny_patch16_224", img_size=SIDE, patch_size=7, num_classes=2, depth=1, embed_dim=24)
    result = run(vit, suite, examine_images=4)
    gone = result.ledger.get("patches.attribution:grad-cam")
    assert gone.class_ == "not-applicable"
    assert "no convolutional stage" in str(gone.reason)
    assert result.ledger.get("patches.deletion-auc:grad-cam") is None
    assert result.ledger.measured("patches.deletion-auc:gradient-x-input") is not None
    assert "Grad-CAM is left out" in result.card()


class Exported(nn.Module):
    """Leaves PyTorch on the way, as what was exported to another runtime does."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        red = images.detach().numpy()[:, 0].mean((1, 2))
        return torch.from_numpy(np.stack([-red, red], axis=1))


@pytest.mark.parametrize(("missing", "why"), [("captum.attr", "captum"), ("gradients", "has no gradients")])
def test_what_can_t_be_examined_is_pending_and_the_rest_is_there(
    home: Path, suite: Path, monkeypatch: pytest.MonkeyPatch, missing: str, why: str
) -> None:
    module = red_detector() if missing == "captum.attr" else nn.Sequential(Exported(), nn.Linear(2, 2))
    if missing == "captum.attr":
        monkeypatch.setitem(sys.modules, missing, None)
    result = run(module, suite, examine_images=4)
    assert why in result.missing["patches.attribution"]
    assert result.ledger.measured("patches.top1") is not None
    assert result.exit_code.name == ("INCOMPLETE" if missing == "captum.attr" else "FAILED")
    assert "Which parts of an image its answers hang on is not measured yet" in result.card()


def test_boxes_are_found_beside_the_images_and_scaled(tmp_path: Path) -> None:
    folder = tmp_path / "ILSVRC" / "Annotations" / "CLS-LOC" / "val"
    folder.mkdir(parents=True)
    box = "<object><bndbox><xmin>100</xmin><ymin>50</ymin><xmax>300</xmax><ymax>250</ymax></bndbox></object>"
    (folder / "a.xml").write_text(f"<annotation><size><width>400</width><height>500</height></size>{box}</annotation>")
    (folder / "b.xml").write_text("<annotation><size>")
    assert boxes_folder(tmp_path / "ILSVRC" / "Data" / "CLS-LOC" / "val") == folder
    assert boxes_folder(tmp_path / "elsewhere") is None
    mask = box_mask(folder, "a.JPEG", (40, 50))
    white = np.asarray(mask)[:, :, 0] > 0
    assert white.sum() == 20 * 20  # 200 × 200 of 400 × 500 pixels, at a tenth of the size
    assert white[5:25, 10:30].all()
    assert box_mask(folder, "c.JPEG", (40, 50)) is None
    with pytest.raises(HarnessError, match=r"b\.xml is no file of boxes"):
        box_mask(folder, "b.JPEG", (40, 50))


def test_a_method_that_is_none_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    head = "name: own\ntitle: Own\ndescription: Own.\nbenchmarks: [imagenet-val]\nmetrics: [attribution]\n"
    path.write_text(f"{head}examination:\n  methods: [gradcam]\n")
    with pytest.raises(HarnessError, match=r"line 7: Unknown attribution method 'gradcam'") as caught:
        load_suite(str(path))
    assert "grad-cam" in str(caught.value.remedy)
