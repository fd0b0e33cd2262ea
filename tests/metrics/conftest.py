"""Real predictions and annotations for metrics."""

from __future__ import annotations

from collections.abc import Callable
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
def multi_factor(annotations: Callable[[str], pd.DataFrame]) -> pd.DataFrame:
    return annotations("multi")


@pytest.fixture(scope="session")
def validation(shared_data: Path) -> pd.DataFrame:
    """Whether ten published models are right on imagenet-val: sample_id, label, and a boolean column a model."""
    table = pd.read_parquet(shared_data / "published-predictions" / "imagenet-val.parquet")
    for model in table.columns.drop(["sample_id", "label"]):
        table[model] = table[model].str[0] == table["label"]
    return table
