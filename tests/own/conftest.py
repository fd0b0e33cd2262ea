"""A small classifier of somebody's own, trained here, and data of its three classes: crops of real photographs."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

if TYPE_CHECKING:
    from tests.conftest import LabelledPhotograph

CLASSES = ("angular_leaf_spot", "bean_rust", "healthy")
SIDE = 32
PROCESSOR = {
    "image_processor_type": "ViTImageProcessor",
    "do_resize": True,
    "do_rescale": True,
    "do_normalize": True,
    "size": {"height": SIDE, "width": SIDE},
    "resample": 2,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
}


@dataclass(frozen=True)
class Crop:
    """A part of a photograph, as a JPEG, under the class that the photograph stands for here."""

    name: str
    class_: str
    data: bytes


@pytest.fixture(autouse=True)
def _own_store(home: Path) -> None:
    """Every test has a store of its own."""


@pytest.fixture(scope="session")
def crops(foolbox_images: list[LabelledPhotograph]) -> list[Crop]:
    """24 crops of three photographs, eight a class."""
    rng = np.random.default_rng(0)
    found = []
    for class_, photograph in zip(CLASSES, foolbox_images[2:9:3], strict=True):
        image = photograph.image().resize((160, 160))
        for number in range(8):
            left, top = rng.integers(0, 60, 2).tolist()
            buffer = io.BytesIO()
            image.crop((left, top, left + 100, top + 90)).save(buffer, "JPEG", quality=90)
            found.append(Crop(f"{class_}_{number}.jpg", class_, buffer.getvalue()))
    return found


@pytest.fixture(scope="session")
def trained(crops: list[Crop]) -> Any:
    """A vision transformer that tells the three classes apart, mostly."""
    torch.manual_seed(0)
    config = transformers.ViTConfig(
        hidden_size=24, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, image_size=SIDE, patch_size=8,
        id2label=dict(enumerate(CLASSES)), label2id={name: index for index, name in enumerate(CLASSES)},
    )  # fmt: skip
    model = transformers.ViTForImageClassification(config)
    images = [Image.open(io.BytesIO(crop.data)).resize((SIDE, SIDE), Image.Resampling.BILINEAR) for crop in crops]
    pixels = torch.from_numpy(np.stack([np.asarray(image) for image in images])).permute(0, 3, 1, 2) / 127.5 - 1
    labels = torch.tensor([CLASSES.index(crop.class_) for crop in crops])
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(25):
        optimiser.zero_grad()
        model(pixels.float(), labels=labels).loss.backward()
        optimiser.step()
    return model.eval()


OwnModel = Callable[..., Path]
"""own_model(**changes of config.json): the classifier's folder, as published."""


@pytest.fixture
def own_model(trained: Any, tmp_path: Path) -> OwnModel:
    def save(**changes: Any) -> Path:
        folder = tmp_path / "beans-vit"
        trained.save_pretrained(folder)
        (folder / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))
        config = json.loads((folder / "config.json").read_text()) | changes
        (folder / "config.json").write_text(json.dumps(config))
        return folder

    return save


def in_folders(crops: Iterable[Crop], root: Path, names: dict[str, str] | None = None) -> Path:
    """The crops as class folders; `names` are other names for some classes."""
    for crop in crops:
        folder = root / (names or {}).get(crop.class_, crop.class_)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / crop.name).write_bytes(crop.data)
    return root
