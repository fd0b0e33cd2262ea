"""Real predictions and annotations for metrics."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pandas as pd
import pytest

from harness.metrics import intervals, selective


@pytest.fixture(autouse=True)
def resamples(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """resamples(n): so many of each bootstrap; 50 where a test doesn't say."""

    def take(count: int) -> None:
        monkeypatch.setattr(intervals, "RESAMPLES", count)
        monkeypatch.setattr(selective, "RESAMPLES", count)

    take(50)
    return take


@pytest.fixture(scope="session")
def imagenet_x() -> Path:
    """The annotation files of the imagenet-x package, which is never imported."""
    try:
        package = distribution("imagenet-x")
    except PackageNotFoundError:
        pytest.skip("the imagenet-x package is not installed")
    return Path(str(package.locate_file("imagenet_x/annotations")))


@pytest.fixture(scope="session")
def factors() -> list[str]:
    """ImageNet-X's 16 factors."""
    names = "pose background pattern color smaller shape partial_view subcategory texture larger darker object_blocking"
    return f"{names} person_blocking style brighter multiple_objects".split()


def annotations(folder: Path, which: str, factors: list[str]) -> pd.DataFrame:
    """One column a factor, indexed by file name, without the prototypes."""
    table = pd.read_json(folder / f"imagenet_x_val_{which}_factor.jsonl", lines=True)
    prototypes = pd.read_csv(folder / "prototypical_paths.csv")["file_name"]
    return table[~table["file_name"].isin(prototypes)].set_index("file_name")[factors]


@pytest.fixture(scope="session")
def top_factor(imagenet_x: Path, factors: list[str]) -> pd.DataFrame:
    return annotations(imagenet_x, "top", factors)


@pytest.fixture(scope="session")
def multi_factor(imagenet_x: Path, factors: list[str]) -> pd.DataFrame:
    return annotations(imagenet_x, "multi", factors)


@pytest.fixture(scope="session")
def validation(shared_data: Path) -> pd.DataFrame:
    """Whether ten published models are right on imagenet-val: sample_id, label, and a boolean column a model."""
    table = pd.read_parquet(shared_data / "published-predictions" / "imagenet-val.parquet")
    for model in table.columns.drop(["sample_id", "label"]):
        table[model] = table[model].str[0] == table["label"]
    return table
