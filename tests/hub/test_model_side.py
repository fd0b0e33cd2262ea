"""`harness run --model hf:ORG/NAME` with HF_ENDPOINT: the checkpoint comes from there, through the client and its cache."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from scene import ALICE, BOB
from server import Hub

from harness.labels.spaces import label_space, lemmas

pytestmark = pytest.mark.slow
REPO = "alice/tiny-regnet"
SUITE = """
name: photographs
title: Photographs
description: Twenty photographs.
benchmarks: [foolbox-imagenet-20]
metrics: [accuracy]
"""


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


def run(python: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    (folder / "suite.yaml").write_text(SUITE)
    script = "from harness.cli import main; main()"
    arguments = [
        "run",
        "--suite",
        "suite.yaml",
        "--model",
        f"hf:{REPO}",
        "--no-sanity-gate",
        "--limit",
        "4",
        "--layout",
        "contiguous",
        "--output",
        "out",
        "--yes",
    ]
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_what_can_go_wrong_is_a_sentence(hub: Hub, python: str, tmp_path: Path, checkpoint: dict[str, bytes]) -> None:
    hub.add_repo(REPO, checkpoint, gated=True)
    done = run(python, tmp_path, HF_ENDPOINT=hub.endpoint, HF_TOKEN=BOB)
    assert done.returncode == 4, done.stderr
    assert "is gated, and this account has no access to it" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Secret" not in done.stdout + done.stderr
