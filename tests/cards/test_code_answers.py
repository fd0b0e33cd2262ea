"""Code in answers runs: the snippets are executed with a local folder in the place of the Hub's model."""

from __future__ import annotations

import contextlib
import io
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from harness.cards.fill import fill_card

NAMES = [f"name {index}" for index in range(12)]


def snippet(model: str, card: str, language: str = "python") -> str:
    text = fill_card(card.encode(), model=model, ledger=None).text.decode()
    match = re.search(rf"```{language}\n(.*?)```", text, re.DOTALL)
    assert match, text
    return match[1]


def save_model(model: str, folder: Path) -> None:
    """A small network of the model's kind, its labels in the Hub's shape, and the processor with the Hub's values."""
    import transformers

    keys = [*range(5), *range(6, 10), *range(11, 14)] if "convnext" in model else list(range(12))  # two keys dropped
    labels = dict(zip(keys, NAMES, strict=True))
    kind = "ConvNext" if "convnext" in model else "RegNet"
    config_class = getattr(transformers, f"{kind}Config")
    sizes = {"hidden_sizes": [8, 8, 8, 8], "depths": [1, 1, 1, 1]} | ({"groups_width": 4} if kind == "RegNet" else {})
    config = config_class(**sizes, id2label=labels, label2id={name: key for key, name in labels.items()})
    getattr(transformers, f"{kind}ForImageClassification")(config).save_pretrained(folder)
    transformers.ConvNextImageProcessor(
        size={"shortest_edge": 224},
        crop_pct=0.875,
        resample=3,
        image_mean=[0.485, 0.456, 0.406],
        image_std=[0.229, 0.224, 0.225],
    ).save_pretrained(folder)


def photograph(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (260, 300, 3), dtype=np.uint8)).save(path)


def run(code: str, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, dict[str, Any]]:
    save_model(model, tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    local = code.replace(f'"facebook/{model}"', repr(str(tmp_path / "model")))
    assert local != code
    names: dict[str, Any] = {}
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(local, "snippet", "exec"), names)
    return output.getvalue(), names


@pytest.mark.parametrize("model", ["regnet-y-040", "convnext-base-224-22k"])
def test_the_snippet_for_inference_names_the_right_classes(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = snippet(model, "## How to Get Started with the Model\n\n[More Information Needed]\n")
    photograph(tmp_path / "image.jpg")
    output, names = run(code, model, tmp_path, monkeypatch)
    order = names["logits"].argsort(descending=True)[:5].tolist()
    printed = [line.split("  ", 1)[1] for line in output.splitlines()]
    assert printed == [NAMES[index] for index in order]  # output k belongs to the k-th name, whatever its key
    if "convnext" in model:
        assert "in the order of their keys" in code


def test_the_snippet_for_fine_tuning_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = snippet(
        "regnet-y-040", "## Downstream Use\n\n[More Information Needed] for a code snippet for fine-tuning.\n"
    )
    for name in ("cat/1.png", "cat/2.png", "dog/1.png"):
        photograph(tmp_path / "train" / name)
    _, names = run(code, "regnet-y-040", tmp_path, monkeypatch)
    assert names["model"].config.id2label == {0: "cat", 1: "dog"}
    assert (tmp_path / "fine-tuned" / "model.safetensors").is_file()
    assert (tmp_path / "fine-tuned" / "preprocessor_config.json").is_file()


def test_the_command_for_detection_is_a_shell_command() -> None:
    card = "Here is code for fine-tuning on COCO:\n\n[More Information Needed]\n"
    code = snippet("convnext-base-224-22k", card, "bash")
    assert subprocess.run(["bash", "-n"], input=code, text=True, check=False).returncode == 0
    assert "coco_in22k.py 8" in code
    assert "convnext_base_22k_224.pth" in code


def test_code_alone_under_its_heading_says_what_it_is_for() -> None:
    head, leads = (
        "### Downstream Use [optional]\n\n<!-- fine-tuned -->\n\n",
        "To fine-tune the model on images of your own:",
    )
    alone, behind = (
        fill_card(f"{head}{said}[More Information Needed]\n".encode(), model="regnet-y-040", ledger=None).text.decode()
        for said in ("", "It can be fine-tuned as follows.\n\n")
    )
    assert f"{leads}\n\n```python" in alone
    assert leads not in behind
    assert "```python" in behind
