"""`harness run --model hf:ORG/NAME` with HF_ENDPOINT: the checkpoint comes from there, through the client and its cache."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import safetensors.torch
import timm
import timm.data
import torch
import transformers
from scene import ALICE, BOB
from server import Hub

from harness.labels.spaces import label_space, lemmas
from tests.conftest import PHOTOGRAPHS

pytestmark = pytest.mark.slow
REPO = "alice/tiny-regnet"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A RegNet with a few thousand parameters and ImageNet's classes, as `save_pretrained` writes it."""
    if importlib.util.find_spec("foolbox") is None:
        pytest.skip("the foolbox package (real photographs) is not installed")
    torch.manual_seed(0)
    names = {index: lemmas()[synset] for index, synset in enumerate(label_space("imagenet-1k").classes)}
    config = transformers.RegNetConfig(
        layer_type="y", embedding_size=8, depths=[1, 1, 1, 1], hidden_sizes=[8, 8, 8, 8], groups_width=8, id2label=names
    )
    folder = tmp_path_factory.mktemp("checkpoint")
    transformers.RegNetForImageClassification(config).save_pretrained(folder)
    transformers.ConvNextImageProcessor(size={"shortest_edge": 224}).save_pretrained(folder)
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    return files | {"README.md": b"# Tiny\n", "training_args.bin": b"\0" * 64}


def run(
    python: str, folder: Path, *options: str, model: str = f"hf:{REPO}", **environment: str
) -> subprocess.CompletedProcess[str]:
    (folder / "suite.yaml").write_text(PHOTOGRAPHS)
    script = "from harness.cli import main; main()"
    fixed = ["--no-sanity-gate", "--limit", "4", "--layout", "contiguous", "--output", "out", "--yes"]
    arguments = ["run", "--suite", "suite.yaml", "--model", model, *fixed, *options]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "PYTEST", "TRANSFORMERS"))}
    return subprocess.run(
        [python, "-W", "ignore", "-c", script, *arguments],
        env={**kept, "HF_HOME": str(folder / "hf"), "OMP_NUM_THREADS": "1", **environment},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def values(folder: Path) -> dict[str, Any]:
    ledger = json.loads((folder / "out" / "evidence.json").read_text())
    return {item["key"]: item["value"] for item in ledger["evidence"] if item["class"] == "measured"}


def test_a_checkpoint_comes_from_the_endpoint_once(
    hub: Hub, python: str, tmp_path: Path, checkpoint: dict[str, bytes]
) -> None:
    hub.add_repo(REPO, checkpoint, private=True)
    done = run(python, tmp_path, HF_ENDPOINT=hub.endpoint, HF_TOKEN=ALICE)
    assert done.returncode == 0, done.stderr
    fetched = {path.rsplit("/", 1)[1] for path in hub.sent("GET") if "/resolve/" in path}
    assert {"config.json", "preprocessor_config.json"} <= fetched
    assert [path for path in hub.sent("GET") if path.startswith("/cdn/")]  # the weights, a large file
    assert not {"README.md", "training_args.bin"} & fetched
    assert hub.sent("POST", "PUT") == []
    first = values(tmp_path)
    assert first["foolbox-imagenet-20.top1"] is not None
    ledger = json.loads((tmp_path / "out" / "evidence.json").read_text())
    assert hub.head(REPO) in json.dumps(ledger["model"])  # the commit is part of what was measured
    assert "Secret" not in done.stdout + done.stderr + (tmp_path / "out" / "evidence.json").read_text()

    # again without the network: from the client's cache
    hub.log.clear()
    again = run(python, tmp_path, HF_ENDPOINT=hub.endpoint, HF_HUB_OFFLINE="1")
    assert again.returncode == 0, again.stderr
    assert hub.log == []
    assert values(tmp_path) == first


def test_what_can_go_wrong_is_a_sentence(hub: Hub, python: str, tmp_path: Path, checkpoint: dict[str, bytes]) -> None:
    hub.add_repo(REPO, checkpoint, gated=True)
    done = run(python, tmp_path, HF_ENDPOINT=hub.endpoint, HF_TOKEN=BOB)
    assert done.returncode == 4, done.stderr
    assert "is gated, and this account has no access to it" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Secret" not in done.stdout + done.stderr


def test_a_timm_checkpoint_with_another_input_answers_as_in_timm(
    hub: Hub, python: str, tmp_path: Path, foolbox_images: list[Any]
) -> None:
    """As timm's validate.py with --img-size, --crop-pct and --interpolation, on weights that come from its repository."""
    torch.manual_seed(0)
    model = timm.create_model("resnet10t", pretrained=False).eval()
    stated = timm.get_pretrained_cfg("resnet10t.c3_in1k").to_dict()
    record = {"architecture": "resnet10t", "num_classes": 1000, "pretrained_cfg": stated}
    weights = safetensors.torch.save(model.state_dict())
    hub.add_repo("timm/resnet10t.c3_in1k", {"config.json": json.dumps(record).encode(), "model.safetensors": weights})
    options = ("--img-size", "288", "--crop-pct", "1.0", "--interpolation", "bicubic")
    done = run(python, tmp_path, *options, model="timm:resnet10t.c3_in1k", HF_ENDPOINT=hub.endpoint)
    assert done.returncode == 0, done.stderr
    assert "foolbox-imagenet-20.top1:img-288+crop-1+bicubic" in values(tmp_path)

    (shard,) = (tmp_path / "home").rglob("predictions/**/*.parquet")
    given = {"img_size": 288, "crop_pct": 1.0, "interpolation": "bicubic"}
    transform = timm.data.create_transform(
        **timm.data.resolve_data_config(given, pretrained_cfg=stated), is_training=False
    )
    plain = timm.data.create_transform(**timm.data.resolve_data_config({}, pretrained_cfg=stated), is_training=False)
    photographs = {photograph.name.rsplit(".")[0]: photograph for photograph in foolbox_images}
    for row in pd.read_parquet(shard).to_dict("records"):
        photograph = photographs[row["sample_id"]]
        with torch.no_grad():
            logit, as_stated = (
                float(model(how(photograph.image())[None])[0, photograph.label]) for how in (transform, plain)
            )
        assert row["closed.target_logit"] == pytest.approx(logit, abs=1e-5)
        assert abs(logit - as_stated) > 1e-4
