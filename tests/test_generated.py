"""Generated corruption benchmarks through the whole run: seeded per sample, resumable, told apart from official files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from harness.corruptions.digital import jpeg_round_trip
from harness.corruptions.generate import base_crop, corrupt
from harness.data.catalog import get_benchmark
from harness.data.local import open_dataset
from harness.data.locations import locate
from harness.errors import ExitCode
from harness.evaluation.estimate import estimate
from harness.evaluation.plan import Plan, dry_plan
from harness.evaluation.run import RunResult, run_suite
from harness.evaluation.suites import Suite, parse_suite
from harness.evidence import EvidenceClass
from harness.models.registry import resolve
from harness.progress import Reporter
from harness.runtime.decoding import GeneratedCell, Images
from harness.settings import Settings
from tests.conftest import as_imagenet, in_ledger

NAME = "foolbox-imagenet-20-c-generated"
SUITE = f"""
name: few-cells
title: A few cells
description: Two corruptions at two severities.
benchmarks:
  - {{name: imagenet-c, fallback: {NAME}, corruptions: [gaussian_noise, contrast], severities: [2, 5]}}
metrics: [accuracy, corruption]
"""


FEW_CELLS, LITE0 = parse_suite(SUITE, Path("few-cells.yaml")), resolve("efficientnet-lite0")


def run(home: Path, suite: Suite = FEW_CELLS, **options: object) -> RunResult:
    settings = Settings(home=home, data_home=None, offline=True, **options)
    return run_suite(LITE0, suite, settings, Reporter(quiet=True))


def planned(home: Path, **options: object) -> Plan:
    settings = Settings(home=home, data_home=None, offline=True, **options)
    return dry_plan(LITE0, FEW_CELLS, settings, Reporter(quiet=True))


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, foolbox_images: list[object]) -> tuple[Path, RunResult]:
    home = tmp_path_factory.mktemp("generated")
    return home, run(home, batch_size=5, shard_size=10)


def values(result: RunResult) -> dict[str, object]:
    return {item.key: item.value for item in result.ledger if item.class_ is EvidenceClass.MEASURED}


def test_cells_are_measured_under_the_generated_name(done: tuple[Path, RunResult]) -> None:
    """The official files are not here, so the same cells are generated, and never called imagenet-c."""
    _, result = done
    found = values(result)
    assert {f"{NAME}/{cell}.top1" for cell in ("clean", "gaussian_noise/2", "gaussian_noise/5", "contrast/2")} <= set(
        found
    )
    assert not [key for key in found if key.startswith("imagenet-c")]
    noise = in_ledger(result.ledger, f"{NAME}/gaussian_noise/5.top1")
    assert noise.protocol["generated"]["jpeg_quality"] == 85
    assert noise.protocol["generated"]["seed"] == 0


def test_mean_error_is_the_mean_of_the_cells(done: tuple[Path, RunResult]) -> None:
    found = values(done[1])
    cells = [100 - found[f"{NAME}/{name}/{s}.top1"] for name in ("gaussian_noise", "contrast") for s in (2, 5)]
    (key,) = [key for key in found if key.startswith(f"{NAME}.mean-error:cells-run-")]
    assert found[key] == pytest.approx(np.mean(cells))
    summary = in_ledger(done[1].ledger, key)
    assert "corruption" not in summary.protocol["generated"], "it is of all cells"
    assert summary.protocol["cells"] == 4
    assert f"{NAME}.mce" not in found


@pytest.mark.slow
def test_a_second_run_and_other_shards_give_the_same(
    done: tuple[Path, RunResult], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    home, first = done
    assert values(run(tmp_path, batch_size=5, shard_size=5, workers=1)) == values(first)
    request.getfixturevalue("never_loaded")
    assert values(run(home)) == values(first)


@pytest.mark.slow
def test_official_files_without_the_extra_corruptions(tmp_path: Path, foolbox_images: list[Any]) -> None:
    """The usual download: the 15 that count for mCE. They are scored, the 4 extras are pending, nothing is said twice."""
    validation, official = as_imagenet(tmp_path, foolbox_images[:2])
    suite = parse_suite(
        "name: c\ntitle: C\ndescription: C.\nmetrics: [accuracy, corruption]\n"
        "benchmarks: [{name: imagenet-c, fallback: imagenet-c-generated}]\n",
        Path("c.yaml"),
    )
    here = {"imagenet-c": str(official), "imagenet-val": str(validation)}
    result = run(tmp_path / "home", suite, data=here)
    mce = in_ledger(result.ledger, "imagenet-c.mce")
    assert mce.class_ is EvidenceClass.MEASURED
    assert (mce.n, mce.N) == (2, 50_000)
    clean = in_ledger(result.ledger, "imagenet-c-generated/clean.top1")
    assert clean.class_ is EvidenceClass.MEASURED, "the clean accuracy on the same crops is always run"
    relative = in_ledger(result.ledger, "imagenet-c.relative-mce")
    assert relative.protocol["clean"] == "imagenet-c-generated/clean"
    assert result.ledger.get("imagenet-c-generated.mce") is None, "only the crops are generated"
    extra = in_ledger(result.ledger, "imagenet-c/spatter/3.top1")
    assert extra.class_ is EvidenceClass.PENDING
    assert str(tmp_path) not in result.ledger.to_json(), "a local path stays on this machine"
    assert result.exit_code is ExitCode.INCOMPLETE


@pytest.mark.slow
def test_without_the_jpeg_step_the_evidence_has_another_name(tmp_path: Path, foolbox_images: list[object]) -> None:
    found = values(run(tmp_path, corruption_jpeg=False, limit=4))
    assert f"{NAME}/contrast/2.top1:no-jpeg" in found
    assert f"{NAME}/contrast/2.top1" not in found


def test_another_seed_is_another_protocol(tmp_path: Path) -> None:
    result = run(tmp_path, corruption_seed=7, limit=4)
    found = values(result)
    assert f"{NAME}/gaussian_noise/5.top1:seed-7" in found
    assert not any(key.startswith(f"{NAME}/gaussian_noise") and "seed-7" not in key for key in found)
    assert all("--corruption-seed 7" in str(item.command) for item in result.ledger if item.key in found)


def test_without_the_jpeg_step_it_is_another_protocol(done: tuple[Path, RunResult]) -> None:
    """Nothing stored with JPEG serves a run without it."""
    plan = planned(done[0], corruption_jpeg=False)
    assert [condition.stored for condition in plan.conditions] == [0] * 5


def test_corruption_images_takes_the_same_first_images_in_every_cell(tmp_path: Path) -> None:
    plan = planned(tmp_path, corruption_images=6)
    ids = {tuple(condition.samples["sample_id"]) for condition in plan.conditions if condition.samples is not None}
    assert len(ids) == 1
    assert len(next(iter(ids))) == 6
    cost = estimate(plan, Reporter(quiet=True), probe=False)
    assert (cost.images, cost.generated, cost.base_images) == (30, 30, 6)
    # 1.96/2 · mean(1/AlexNet error) / sqrt(n): the bound shrinks with the square root of the base images.
    assert cost.mce_half_width == pytest.approx(126 / np.sqrt(6), rel=0.05)


def test_pixels_are_those_of_the_generator_whatever_the_batch(tmp_path: Path, foolbox_images: list[object]) -> None:
    benchmark = get_benchmark("foolbox-imagenet-20")
    dataset = open_dataset(benchmark, locate(benchmark, offline=True), cache=tmp_path)
    preprocessing = LITE0.preprocessing
    read = Images(dataset, preprocessing).pixels(GeneratedCell.parse("fog/3", seed=7, jpeg_quality=85))
    for position in (3, 0, 3):
        crop = base_crop(Image.open(io.BytesIO(dataset.read(position))))
        name = dataset.samples["sample_id"][position]
        expected = jpeg_round_trip(corrupt(crop, "fog", 3, sample_id=name, seed=7), 85)
        np.testing.assert_array_equal(read(position), expected)


@pytest.mark.slow
def test_missing_frost_textures_leave_that_cell_pending(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.corruptions import weather

    weather.frost_textures.cache_clear()
    monkeypatch.setattr(weather, "installed_folder", lambda package: None)
    suite = parse_suite(SUITE.replace("gaussian_noise, contrast", "frost, contrast"), Path("x.yaml"))
    try:
        result = run(tmp_path, suite, limit=4)
    finally:
        weather.frost_textures.cache_clear()
    frost = in_ledger(result.ledger, f"{NAME}/frost/2.top1")
    assert frost.class_ is EvidenceClass.PENDING
    assert "frost" in (frost.reason or "")
    assert result.ledger.get(f"{NAME}/contrast/2.top1") is not None
    assert result.exit_code is ExitCode.INCOMPLETE
