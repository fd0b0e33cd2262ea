"""What an export is made from: a ledger, and the stored predictions behind it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

import pandas as pd
import pyarrow as pa

from harness.data.catalog import Benchmark, benchmarks
from harness.errors import MissingInputError
from harness.evaluation.reader import StoredCondition, StoredModel, stored_table
from harness.evidence import Evidence, Ledger
from harness.export.predictions import sample_predictions
from harness.metrics.registry import metrics
from harness.metrics.types import MetricSpec
from harness.progress import Reporter
from harness.settings import Settings

Files = Iterator[tuple[str, bytes]]
"""Content by its path in the folder that is written."""


class Task(NamedTuple):
    """A task of a benchmark data set on the Hub, as its eval.yaml names it."""

    dataset: str
    """Such as `cais/hle`."""
    task: str


class Score(NamedTuple):
    """A measured score of a whole benchmark."""

    item: Evidence
    spec: MetricSpec
    benchmark: Benchmark


@dataclass(frozen=True)
class Source:
    """A model's evidence and predictions."""

    model: StoredModel
    settings: Settings
    tasks: Mapping[str, Task] = field(default_factory=dict)
    """By benchmark, where the Hub keeps its results."""

    @property
    def ledger(self) -> Ledger:
        return self.model.ledger

    @property
    def name(self) -> str:
        return str(self.ledger.model["name"])

    @property
    def made(self) -> datetime:
        """When the newest evidence was made, so that the same ledger gives the same files."""
        return max(datetime.fromisoformat(item.created) for item in self.ledger).astimezone(UTC)

    @property
    def stamp(self) -> str:
        """The same in file names, as lm-evaluation-harness writes it."""
        return self.made.strftime("%Y-%m-%dT%H-%M-%S.%f")

    def conditions(self) -> Iterator[tuple[str, StoredCondition, pa.Table, pd.DataFrame]]:
        """Title, place, stored rows and their table of each condition whose predictions are here, one row a readable sample.

        Raises:
            MissingInputError: there are none.
        """
        if not self.model.conditions:
            raise MissingInputError(
                f"The store {self.model.home} has no predictions behind the evidence of {self.name}.",
                remedy="Export on the machine that made them, or run the model again.",
            )
        for title, stored in self.model.conditions.items():
            table = stored_table(stored, self.settings, Reporter().note)
            yield title, stored, table, sample_predictions(table, stored.benchmark)

    def nothing_measured(self) -> MissingInputError:
        return MissingInputError(
            f"The ledger of {self.name} has no measured score of a benchmark that this format takes.",
            remedy="Run a suite first, such as: harness run --suite imagenet",
        )


def whole_scores(ledger: Ledger) -> list[Score]:
    """The measured scores of whole benchmarks, each in its default reading."""
    known = benchmarks(ledger)
    return [
        Score(item, spec, known[item.name.benchmark])
        for item in ledger
        if item.name.is_whole
        and item.name.variant is None
        and (spec := metrics().get(item.name.metric)) is not None
        and item.name.benchmark in known
        and ledger.measured(item.key) is not None
    ]
