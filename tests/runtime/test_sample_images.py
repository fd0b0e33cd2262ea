"""Images to benchmark on: the demo's photographs where they are, else generated ones, and the record says which."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest

from harness.errors import MissingInputError
from harness.models.preprocessing import Preprocessing
from harness.parsing.images import load_image
from harness.runtime import sample_images as module
from harness.runtime.sample_images import sample_images

RESNET = Preprocessing(resize=256, crop=(224, 224), interpolation="bicubic", mean=(0.5,) * 3, std=(0.5,) * 3)


def test_the_photographs_are_the_demo_s(tmp_path: Path, foolbox_images: list[object]) -> None:
    found = sample_images(tmp_path)
    assert found.description == "20 photographs, 512 × 512 to 1024 × 683 pixels, 73 kB on average"
    assert len({load_image(data).tobytes() for data in found.encoded}) == 20


def test_without_them_jpegs_are_generated_and_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(*_: object, **__: object) -> NoReturn:
        raise MissingInputError("not here", remedy="")

    monkeypatch.setattr(module, "locate", nowhere)
    found, again = sample_images(tmp_path), sample_images(tmp_path)
    assert found == again, "the same bytes every time"
    assert found.description.startswith(
        "16 generated JPEGs (quality 90, frequencies falling off as 1/f), 500 × 375 pixels, "
    )
    pixels = found.decoded(RESNET)
    assert pixels(0).shape == (224, 224, 3)
    assert np.array_equal(pixels(16), pixels(0)), "positions go round"
    assert not np.array_equal(pixels(1), pixels(0))
    # Neighbouring pixels of a photograph are alike, those of white noise are not.
    grey = pixels(0).mean(axis=2)
    assert np.corrcoef(grey[:, :-1].ravel(), grey[:, 1:].ravel())[0, 1] > 0.7
