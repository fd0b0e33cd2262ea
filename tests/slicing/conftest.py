"""Real predictions and photographs to slice, and a small copy of Dollar Street in its publisher's layout."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from harness.data.catalog import get_benchmark
from harness.evaluation.run import RunResult, run_suite
from harness.evaluation.scoring import Scored
from harness.evaluation.slice_evidence import slice_evidence
from harness.evaluation.slice_requests import Request
from harness.evaluation.suites import SliceOptions, Suite, load_suite
from harness.evidence import Evidence
from harness.labels.projections import CLOSED
from harness.metrics.types import TOP, LabelSpacePredictions
from harness.models.registry import resolve
from harness.progress import Reporter
from harness.settings import Settings

LITE0 = "efficientnet-lite0"
SIDE = 160
"""Pixels to which Dollar Street's made photographs are shrunken."""
PLACES = (
    ("Burundi", "bi", "af", 54.0),
    ("India", "in", "as", 490.0),
    ("Peru", "pe", "am", 685.0),
    ("Italy", "it", "eu", 3220.0),
)


def slices_of(scored: Scored | dict[str, Scored], *by: str | tuple[str, ...], **options: object) -> dict[str, Evidence]:
    """The evidence on slices by key; a tuple is crossed."""
    conditions = scored if isinstance(scored, dict) else {scored.prefix: scored}
    request = Request(tuple((one,) if isinstance(one, str) else one for one in by), SliceOptions(**options))
    return {item.key: item for item in slice_evidence(conditions, request)}


def scored_of(ids: list[str], labels: np.ndarray, ranks: np.ndarray, benchmark: str = "imagenet-val") -> Scored:
    """Predictions without a run behind them."""
    predictions = {CLOSED: LabelSpacePredictions(labels.astype(np.int32), ranks)}
    protocol = {"predictions": "made"}
    return Scored(
        get_benchmark(benchmark), None, ids, predictions, {}, None, "weights", "data", protocol, "harness run"
    )


def made(labels: np.ndarray, right: np.ndarray, benchmark: str = "imagenet-val") -> Scored:
    """Predictions that are right where `right` says so."""
    ranks = np.full((len(labels), TOP), -1, dtype=np.int32)
    ranks[:, 0] = np.where(right, labels, (labels + 1) % 1000)
    return scored_of([f"ILSVRC2012_val_{i + 1:08d}.JPEG" for i in range(len(labels))], labels, ranks, benchmark)


def run_with(home: Path, suite: Suite, **options: Any) -> RunResult:
    """lite0 run offline."""
    settings = Settings(home=home, data_home=None, offline=True, **options)
    return run_suite(resolve(LITE0), suite, settings, Reporter(quiet=True))


@pytest.fixture(scope="session")
def published(shared_data: Path) -> pd.DataFrame:
    """Real top-5 predictions of ten published models on all validation images."""
    return pd.read_parquet(shared_data / "published-predictions" / "imagenet-val.parquet")


@pytest.fixture(scope="session")
def scored_as(published: pd.DataFrame) -> Callable[[str], Scored]:
    """scored_as("resnet50"): a published model's predictions as harness holds them."""

    def make(model: str) -> Scored:
        ranks = np.full((len(published), TOP), -1, dtype=np.int32)
        ranks[:] = np.array(published[model].tolist())
        return scored_of(published["sample_id"].tolist(), published["label"].to_numpy(), ranks)

    return make


@pytest.fixture(scope="session")
def validation_run(
    tmp_path_factory: pytest.TempPathFactory, shared_data: Path
) -> tuple[Path, RunResult, dict[str, str]]:
    """lite0 run once on the 1,300 shared validation images and sliced: (store, result, data option)."""
    home = tmp_path_factory.mktemp("sliced-home")
    data = {"imagenet-val": str(shared_data / "imagenet-val-1300")}
    return home, run_with(home, load_suite("subgroups"), data=data), data


@pytest.fixture(scope="session")
def dollar_street(tmp_path_factory: pytest.TempPathFactory, foolbox_images: list) -> Path:
    """A made copy in the layout of MLCommons: the 20 real photographs, shrunken, each from four places, with further right
    classes beside its own; one row has no image, one no class."""
    root = tmp_path_factory.mktemp("dataset_dollarstreet")
    rows = []
    for number, photograph in enumerate(foolbox_images):
        picture = photograph.image()
        picture.thumbnail((SIDE, SIDE))
        for place, (country, country_id, region, income) in enumerate(PLACES):
            sample = f"{number:012x}{place:012x}"
            path = Path("assets") / sample / f"{sample}.jpg"
            (root / path).parent.mkdir(parents=True)
            buffer = io.BytesIO()
            picture.rotate(90 * (place % 2), expand=True).save(buffer, "JPEG", quality=80 + place)
            (root / path).write_bytes(buffer.getvalue())
            classes = [photograph.label] if place % 2 else [photograph.label, (photograph.label + 1) % 1000]
            rows.append((sample, country, country_id, region, str(path), income + number, json.dumps(classes)))
    rows.append(("f" * 24, "Nepal", "np", "as", "assets/absent.jpg", 100.0, "[1]"))
    rows.append(("e" * 24, "Nepal", "np", "as", rows[0][4], 100.0, "[]"))
    columns = ["id", "country.name", "country.id", "region.id", "imageRelPath", "income", "imagenet_sysnet_id"]
    more = {"type": "image", "topics": '["things"]', "place": "home", "imagenet_synonyms": '["thing"]'}
    pd.DataFrame(rows, columns=columns).assign(**more).to_csv(root / "images_v2_imagenet_test.csv", index=False)
    return root
