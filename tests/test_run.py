"""The main job end to end, on real weights and real images, against pipelines written out here."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import timm
import torch
from PIL import Image
from sklearn.metrics import log_loss, top_k_accuracy_score

from harness.evaluation.plan import dry_plan
from harness.evaluation.run import RunResult, run_suite
from harness.evaluation.suites import Suite, load_suite, parse_suite
from harness.evidence import EvidenceClass, Ledger
from harness.export.predictions import predictions_parquet, stored_predictions
from harness.labels.projections import CLOSED
from harness.models.loading import LoadedModel
from harness.models.registry import resolve
from harness.progress import Reporter
from harness.settings import Settings
from harness.store.predictions import label_space_names
from tests.conftest import in_ledger

LITE0 = "efficientnet-lite0"
Run = tuple[Path, RunResult]
ValidationRun = tuple[Path, RunResult, Path]
Logits = dict[str, np.ndarray]
"""By file name."""
PHOTOGRAPHS = """
name: photographs
title: The demo photographs without corruptions
description: Twenty photographs, and the validation set, which is not here.
benchmarks: [foolbox-imagenet-20, imagenet-val]
metrics: [accuracy, calibration]
"""


def suite_called(name: str) -> Suite:
    return parse_suite(PHOTOGRAPHS, Path("photographs.yaml")) if name == "photographs" else load_suite(name)


def run(suite: str, home: Path, **options: object) -> RunResult:
    settings = Settings(home=home, data_home=None, offline=True, **options)
    return run_suite(resolve(LITE0), suite_called(suite), settings, Reporter(quiet=True))


@pytest.fixture(scope="session")
def photographs_home(tmp_path_factory: pytest.TempPathFactory, foolbox_images: list[object]) -> Run:
    """A store in which the photographs have been run once."""
    home = tmp_path_factory.mktemp("photographs-home")
    return home, run("photographs", home)


@pytest.fixture(scope="module")
def in_fours(tmp_path_factory: pytest.TempPathFactory, foolbox_images: list[object]) -> RunResult:
    """The photographs run in batches of four, in one shard."""
    return run("photographs", tmp_path_factory.mktemp("in-fours"), batch_size=4)


def test_it_measures_the_photographs_and_says_what_is_pending(photographs_home: Run) -> None:
    ledger = photographs_home[1].ledger
    top1 = in_ledger(ledger, "foolbox-imagenet-20.top1")
    # 18 of 20: data sheet of the photographs; Wilson 95 % of 18/20 by hand: centre (0.9 + 1.92/20)/(1 + 3.84/20) ...
    assert (top1.value, top1.n, top1.N) == (90.0, 20, 20)
    z, p, n = 1.959964, 0.9, 20
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    spread = z / (1 + z * z / n) * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5
    assert top1.interval.low == pytest.approx(100 * (centre - spread), abs=1e-3)
    assert top1.interval.high == pytest.approx(100 * (centre + spread), abs=1e-3)
    waiting = in_ledger(ledger, "imagenet-val.top1")
    assert waiting.class_ is EvidenceClass.PENDING
    assert "not on this machine" in (waiting.reason or "")


def test_every_measured_number_has_interval_count_protocol_and_fingerprints(photographs_home: Run) -> None:
    measured = [
        item
        for item in photographs_home[1].ledger
        if item.class_ is EvidenceClass.MEASURED and item.name.benchmark == "foolbox-imagenet-20"
    ]
    assert len(measured) == 7
    for item in measured:
        assert item.interval is not None, item.key
        assert item.interval.low <= float(item.value) <= item.interval.high, item.key
        assert item.n == 20
        assert item.protocol["precision"] == "fp32"
        assert item.fingerprints.weights is not None
        assert item.fingerprints.data is not None
        assert item.command == "harness run --suite photographs.yaml --model efficientnet-lite0"


def test_a_second_run_computes_nothing_and_gives_the_same_values(photographs_home: Run, never_loaded: None) -> None:
    home, first = photographs_home
    assert values(run("photographs", home).ledger) == values(first.ledger)


def test_a_subset_run_serves_the_full_run(tmp_path: Path, in_fours: RunResult) -> None:
    """12 images today are not computed again tomorrow, and the values are those of one run."""
    part = run("photographs", tmp_path, limit=12, batch_size=4, shard_size=8)
    top1 = in_ledger(part.ledger, "foolbox-imagenet-20.top1")
    assert top1.is_partial
    assert (top1.n, top1.N) == (12, 20)
    plan = dry_plan(
        resolve(LITE0), suite_called("photographs"), Settings(home=tmp_path, data_home=None, offline=True), Reporter(quiet=True),
    )  # fmt: skip
    assert [(c.images, c.stored) for c in plan.conditions if c.missing is None] == [(20, 12)]
    whole = run("photographs", tmp_path, batch_size=4, shard_size=8)
    assert values(whole.ledger) == values(in_fours.ledger)


@pytest.mark.parametrize(("shard_size", "workers"), [(4, 1), (8, 3), (20, 2)])
def test_shard_size_and_workers_change_nothing(
    in_fours: RunResult, tmp_path: Path, shard_size: int, workers: int
) -> None:
    other = run("photographs", tmp_path, batch_size=4, shard_size=shard_size, workers=workers)
    assert values(other.ledger) == values(in_fours.ledger)


def values(ledger: Ledger) -> list[tuple[object, ...]]:
    """Everything of the measured evidence that must be the same in every run: all but the energy that a run took."""
    return [
        (item.key, item.value, item.interval, item.n, item.fingerprints.data, item.fingerprints.weights)
        for item in ledger
        if item.class_ is EvidenceClass.MEASURED and item.name.benchmark not in ("energy", "carbon")
    ]


# --- against an independent pipeline on 1,300 validation images ----------------------------------------------------


@pytest.fixture(scope="module")
def validation_run(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> ValidationRun:
    """lite0 run on the shared validation images: (store, result, folder of the images)."""
    folder = shared_data / "imagenet-val-1300"
    home = tmp_path_factory.mktemp("validation-home")
    result = run("imagenet", home, data={"imagenet-val": str(folder)}, limit=400)
    return home, result, folder


@pytest.fixture(scope="module")
def independent(validation_run: ValidationRun, lite0: LoadedModel) -> Logits:
    """Logits by file name from timm's own transform and a plain loop, one image at a time."""
    home, _, folder = validation_run
    config = timm.get_pretrained_cfg("tf_efficientnet_lite0").to_dict()
    transform = timm.data.create_transform(**timm.data.resolve_data_config(config))
    shards = (home / "predictions").rglob("*.parquet")
    names = sorted(name for path in shards for name in pq.read_table(path)["sample_id"].to_pylist())
    with torch.inference_mode():
        return {
            name: lite0.module(transform(Image.open(folder / "images" / name).convert("RGB"))[None])[0].numpy()
            for name in names
        }


def test_top1_of_every_image_equals_the_independent_pipeline(
    validation_run: ValidationRun, independent: Logits, tmp_path: Path
) -> None:
    home, _, folder = validation_run
    output = tmp_path / "lite0.parquet"
    found = stored_predictions(resolve(LITE0), "imagenet-val", None, Settings(home=home, offline=True))
    assert len(found) == len(independent)
    output.write_bytes(predictions_parquet(found))
    exported = pd.read_parquet(output).set_index("sample_id")
    labels = pd.read_csv(folder / "labels.csv").set_index("file_name")["label"]
    assert list(exported.columns) == [
        "label", "top1", "top2", "top3", "top4", "top5", "target_logit", "logsumexp",
    ]  # fmt: skip
    for name, logits in independent.items():
        row = exported.loc[name]
        assert row["label"] == labels[name]
        assert row["top1"] == logits.argmax(), name
        assert row["target_logit"] == pytest.approx(logits[labels[name]], abs=1e-3)
        assert row["logsumexp"] == pytest.approx(np.logaddexp.reduce(logits.astype(float)), abs=1e-3)


def test_metrics_equal_scikit_learn_on_the_independent_logits(
    validation_run: ValidationRun, independent: Logits
) -> None:
    _, result, folder = validation_run
    labels = pd.read_csv(folder / "labels.csv").set_index("file_name")["label"]
    names = list(independent)
    truth = np.array([labels[name] for name in names])
    logits = np.stack([independent[name] for name in names]).astype(float)
    probabilities = np.exp(logits - np.logaddexp.reduce(logits, axis=1)[:, None])
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    every = range(1000)
    expected = {
        "imagenet-val.top1": 100 * top_k_accuracy_score(truth, logits, k=1, labels=every),
        "imagenet-val.top5": 100 * top_k_accuracy_score(truth, logits, k=5, labels=every),
        "imagenet-val.nll": log_loss(truth, probabilities, labels=every),
        "imagenet-val.brier": ((probabilities - np.eye(1000)[truth]) ** 2).sum(axis=1).mean(),
    }
    for key, value in expected.items():
        item = in_ledger(result.ledger, key)
        assert item.value == pytest.approx(value, rel=1e-5), key
        assert (item.n, item.N) == (400, 50_000)


def test_real_accuracy_equals_the_definition(validation_run: ValidationRun, independent: Logits) -> None:
    """Right if the best class is in the image's set; images with an empty set are left out (Beyer et al. 2020)."""
    from importlib.resources import files

    sets = json.loads((files("timm.data") / "_info" / "imagenet_real_labels.json").read_text())
    judged = right = 0
    for name, logits in independent.items():
        allowed = sets[int(name.removeprefix("ILSVRC2012_val_").removesuffix(".JPEG")) - 1]
        judged += bool(allowed)
        right += int(logits.argmax()) in allowed
    item = in_ledger(validation_run[1].ledger, "imagenet-real.top1")
    assert item.n == judged
    assert item.value == pytest.approx(100 * right / judged)


def test_the_store_has_one_row_an_image_with_all_label_spaces(validation_run: ValidationRun) -> None:
    home = validation_run[0]
    tables = [pq.read_table(path) for path in (home / "predictions").rglob("*.parquet")]
    assert sum(len(table) for table in tables) == 400
    assert label_space_names(tables[0]) == (CLOSED, "imagenet-a-200", "imagenet-r-200")
