"""Checkpoint folders in the Hub's layout, made by `save_pretrained` with random weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
import transformers

from harness.labels.spaces import label_space, lemmas
from harness.models.loading import LoadedModel, load_model
from harness.models.registry import resolve

PROCESSOR = {
    "image_processor_type": "ConvNextFeatureExtractor",
    "do_resize": True,
    "do_normalize": True,
    "size": 224,
    "crop_pct": 0.875,
    "resample": 3,
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
}
"""As published with both named models."""
GAP = (9205, 15027)
"""Keys that the 22k configuration skips, so that it runs to 21,842."""

Save = Callable[..., Path]
Load = Callable[..., LoadedModel]


@pytest.fixture(scope="session")
def small_models() -> dict[str, Any]:
    """Both named architectures, narrow and shallow, with random weights and ImageNet's names."""
    names = {index: lemmas()[synset] for index, synset in enumerate(label_space("imagenet-1k").classes)}
    torch.manual_seed(0)
    return {
        "regnet": transformers.RegNetForImageClassification(
            transformers.RegNetConfig(
                layer_type="y",
                embedding_size=8,
                depths=[1, 1, 1, 1],
                hidden_sizes=[8, 8, 16, 16],
                groups_width=8,
                id2label=names,
            )
        ),
        "convnext": transformers.ConvNextForImageClassification(
            transformers.ConvNextConfig(depths=[1, 1, 1, 1], hidden_sizes=[4, 4, 8, 8], id2label=names)
        ),
    }


@pytest.fixture(scope="session")
def small_22k() -> Any:
    """A ConvNeXt with 21,841 outputs."""
    torch.manual_seed(1)
    config = transformers.ConvNextConfig(depths=[1, 1, 1, 1], hidden_sizes=[4, 4, 8, 8], num_labels=21841)
    return transformers.ConvNextForImageClassification(config)


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """save(model, name="checkpoint", **save_pretrained options): a folder as published."""

    def save_model(model: Any, name: str = "checkpoint", **options: Any) -> Path:
        folder = tmp_path / name
        model.save_pretrained(folder, **options)
        (folder / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))
        return folder

    return save_model


@pytest.fixture
def gapped_22k(save: Save, small_22k: Any) -> Path:
    """A 22k checkpoint whose id2label skips two keys without renumbering, as the published one's does."""
    folder = save(small_22k, "convnext-22k")
    synsets = label_space("imagenet-22k").classes
    keys = [key for key in range(len(synsets) + len(GAP)) if key not in GAP]
    names = {str(key): lemmas()[synset] for key, synset in zip(keys, synsets, strict=True)}
    edit_json(folder / "config.json", id2label=names, label2id={name: int(key) for key, name in names.items()})
    return folder


def edit_json(path: Path, **changes: Any) -> None:
    """Set fields of a JSON file; None removes one."""
    data = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({name: value for name, value in data.items() if value is not None}))


def as_pickle(folder: Path, **more: Any) -> Path:
    """Keep the tensors of a folder, and what else is given, in a pickle instead of safetensors; returns its path."""
    state = safetensors.torch.load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save({**state, **more}, folder / "pytorch_model.bin")
    return folder / "pytorch_model.bin"


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """load(reference, label_space=None): through the code that a run uses, offline."""

    def load_reference(reference: str | Path, label_space: str | None = None) -> LoadedModel:
        spec = resolve(str(reference))
        found = spec.checkpoint.locate(spec, offline=True)
        return load_model(spec, found, label_space=label_space, cache=tmp_path / "identities")

    return load_reference
