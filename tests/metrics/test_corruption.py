"""Corruption errors: by hand, against plain loops, against published tables, and with intervals that cover."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from torchvision.models import AlexNet_Weights

from harness.corruptions.names import EXTRA, GROUPS, IMAGENET_C, IMAGENET_C_BAR
from harness.metrics.corruption import (
    SEVERITIES,
    Cell,
    CorruptionErrors,
    alexnet,
    corruption_scores,
    widest_mce_half_width,
)
from harness.metrics.types import BoolArray, Estimate, MetricUnavailable

# The column "Average" of the authors' table (hendrycks/robustness, README.md at ac836a5), printed beside the severities.
AVERAGES = {
    "gaussian_noise": 0.886428,
    "shot_noise": 0.894468,
    "impulse_noise": 0.922640,
    "defocus_blur": 0.819880,
    "glass_blur": 0.826268,
    "motion_blur": 0.785948,
    "zoom_blur": 0.798360,
    "snow": 0.866816,
    "frost": 0.826572,
    "fog": 0.819324,
    "brightness": 0.564592,
    "contrast": 0.853204,
    "elastic_transform": 0.646056,
    "pixelate": 0.717840,
    "jpeg_compression": 0.606500,
    "speckle_noise": 0.845388,
    "gaussian_blur": 0.787108,
    "spatter": 0.717512,
    "saturate": 0.658248,
}
CLEAN = 0.43478


def with_rates(rates: dict[Cell, float], clean: float | None = None, n: int = 50_000) -> CorruptionErrors:
    """Results whose error rates are `rates`, rounded to whole images: all cells get the first images wrong."""
    cells = {cell: np.arange(n) >= round(rate * n) for cell, rate in rates.items()}
    return CorruptionErrors(cells, None if clean is None else np.arange(n) >= round(clean * n))


def simulated(n: int, names: tuple[str, ...], seed: int) -> tuple[dict[Cell, BoolArray], BoolArray]:
    """Results of a model on images of different difficulty, harder with severity: what pairs the cells."""
    generator = np.random.default_rng(seed)
    difficulty = generator.normal(size=n)
    cells = {
        (name, severity): difficulty + generator.normal(size=n) + 0.3 * severity - 1 + 0.05 * i < 0
        for i, name in enumerate(names)
        for severity in SEVERITIES
    }
    return cells, difficulty - 1 < 0


# --- the shipped errors of AlexNet --------------------------------------------------------------------------------------


def test_shipped_severities_average_to_the_authors_averages() -> None:
    assert {name: round(alexnet().mean(name), 6) for name in AVERAGES} == AVERAGES


def test_shipped_clean_error_is_that_of_torchvisions_alexnet() -> None:
    accuracy = AlexNet_Weights.IMAGENET1K_V1.meta["_metrics"]["ImageNet-1K"]["acc@1"]
    assert alexnet().clean == pytest.approx(1 - accuracy / 100, abs=1e-9)


def test_errors_are_given_for_the_cells_of_imagenet_c() -> None:
    assert set(alexnet().errors) == {(name, severity) for name in [*IMAGENET_C, *EXTRA] for severity in SEVERITIES}


# --- by hand --------------------------------------------------------------------------------------------------------


def test_one_corruption_by_hand() -> None:
    """Four images; wrong in severities 1 to 5: 1, 2, 2, 3, 4 of them, so the mean error is 12/20."""
    wrong = (1, 2, 2, 3, 4)
    cells = {("fog", s): np.arange(4) >= wrong[s - 1] for s in SEVERITIES}
    errors = CorruptionErrors(cells, np.array([True, True, True, False]))
    assert errors.mean_error(["fog"]).value == pytest.approx(60)
    assert errors.mean_error(["fog"], [1, 5]).value == pytest.approx(62.5)
    assert errors.ce("fog").value == pytest.approx(100 * 0.6 / 0.819324)
    assert errors.ce("fog", relative=True).value == pytest.approx(100 * (0.6 - 0.25) / (0.819324 - CLEAN))
    assert errors.ce("fog").n == 4


def test_alexnet_itself_scores_100_throughout() -> None:
    """The normaliser's own errors make CE, mCE and their relative forms exactly 100 %."""
    errors = with_rates(dict(alexnet().errors), CLEAN)
    assert errors.mce().value == pytest.approx(100, abs=1e-9)
    assert errors.mce(relative=True).value == pytest.approx(100, abs=1e-9)
    assert all(errors.ce(name).value == pytest.approx(100, abs=1e-9) for name in AVERAGES)
    mean = errors.mean_error(IMAGENET_C)
    assert mean.value == pytest.approx(100 * np.mean([AVERAGES[name] for name in IMAGENET_C]), abs=1e-9)


# --- a second implementation ------------------------------------------------------------------------------------------


def test_equals_plain_loops() -> None:
    cells, clean = simulated(60, IMAGENET_C, seed=1)
    errors = CorruptionErrors(cells, clean)
    draws = np.random.default_rng(0)
    resamples = [draws.integers(0, 60, size=60) for _ in range(50)]

    def error(results: BoolArray, images: np.ndarray) -> float:
        return sum(not results[i] for i in images) / len(images)

    def mce(images: np.ndarray, relative: bool) -> float:
        ratios = []
        for name in IMAGENET_C:
            above = below = 0.0
            for severity in SEVERITIES:
                above += error(cells[name, severity], images) - (error(clean, images) if relative else 0)
                below += alexnet().errors[name, severity] - (CLEAN if relative else 0)
            ratios.append(above / below)
        return 100 * sum(ratios) / len(ratios)

    for relative, estimate in ((False, errors.mce()), (True, errors.mce(relative=True))):
        assert estimate.value == pytest.approx(mce(np.arange(60), relative), rel=1e-12)
        low, high = np.quantile([mce(images, relative) for images in resamples], [0.025, 0.975])
        assert estimate.low == pytest.approx(low, rel=1e-12)
        assert estimate.high == pytest.approx(high, rel=1e-12)


def test_the_order_of_cells_and_the_cells_of_others_change_nothing() -> None:
    cells, clean = simulated(40, IMAGENET_C, seed=2)
    shuffled = list(cells.items())
    random.Random(0).shuffle(shuffled)
    assert CorruptionErrors(dict(shuffled), clean).mce() == CorruptionErrors(cells, clean).mce()
    alone = CorruptionErrors({cell: right for cell, right in cells.items() if cell[0] == "fog"})
    among = CorruptionErrors(cells, clean)
    for field in ("value", "low", "high"):
        assert getattr(alone.ce("fog"), field) == pytest.approx(getattr(among.ce("fog"), field), rel=1e-12)


# --- published tables -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def testbed(shared_data: Path) -> pd.DataFrame:
    return pd.read_csv(shared_data / "reference" / "imagenet-testbed-robustness_top1s.csv", index_col="model")


def published(testbed: pd.DataFrame, model: str, kind: str) -> CorruptionErrors:
    """The table's cells of one model, `on-disk` or `in-memory`, as results on 50,000 images."""
    columns = {(name, s): f"imagenet-c.{name}.{s}_{kind}" for name in [*IMAGENET_C, *EXTRA] for s in SEVERITIES}
    row = testbed.loc[model]
    rates = {cell: 1 - row[column] / 100 for cell, column in columns.items() if column in row.index}
    return with_rates(rates, 1 - row["val"] / 100)


def test_mce_of_resnet50_from_the_published_cells_on_disk(testbed: pd.DataFrame) -> None:
    """78.20 %, 1.5 points above the 76.7 % that the authors' README gives for the same weights.

    The table's cells were made by enlarging the official 224 x 224 files to 256 and cropping them again (the testbed puts
    every image through the model's own Resize(256), CenterCrop(224)), which is harder: AlexNet has 102.29 there, where the
    authors' protocol gives 100 by definition. Relative to that AlexNet, ResNet-50 has 76.5.
    """
    resnet, reference = published(testbed, "resnet50", "on-disk"), published(testbed, "alexnet", "on-disk")
    assert resnet.mce().value == pytest.approx(78.2017, abs=1e-4)
    assert reference.mce().value == pytest.approx(102.2899, abs=1e-4)
    ratio = np.mean([resnet.ce(name).value / reference.ce(name).value for name in IMAGENET_C])
    assert 100 * ratio == pytest.approx(76.7, abs=0.5)


def test_cells_generated_in_memory_are_easier_than_those_on_disk(testbed: pd.DataFrame) -> None:
    """Without glass blur, which the table has on disk only: 4.0 points of CE for ResNet-50, hence two benchmarks."""
    disk, memory = published(testbed, "resnet50", "on-disk"), published(testbed, "resnet50", "in-memory")
    both = [name for name in IMAGENET_C if name != "glass_blur"]
    mean_ce = [float(np.mean([errors.ce(name).value for name in both])) for errors in (disk, memory)]
    assert mean_ce == pytest.approx([77.3455, 73.3353], abs=1e-4)
    gap = disk.mean_error(both).value - memory.mean_error(both).value
    cells = [f"imagenet-c.{name}.{s}" for name in both for s in SEVERITIES]
    accuracies = [
        testbed.loc["resnet50", [f"{cell}_{kind}" for cell in cells]].mean() for kind in ("on-disk", "in-memory")
    ]
    assert gap == pytest.approx(accuracies[1] - accuracies[0], abs=1e-6)
    assert gap == pytest.approx(3.1494, abs=1e-4)
    with pytest.raises(MetricUnavailable, match=r"not run: glass_blur at severities 1, 2, 3, 4 and 5"):
        memory.mce()


# --- parts of a benchmark ---------------------------------------------------------------------------------------------


def test_missing_cells_are_named_and_never_averaged_over() -> None:
    cells, _ = simulated(30, IMAGENET_C, seed=4)
    part = {cell: right for cell, right in cells.items() if cell[1] in (1, 3, 5) and cell != ("fog", 3)}
    errors = CorruptionErrors(part)
    with pytest.raises(MetricUnavailable, match=r"^A corruption error needs severities 2, 3 and 4, not run\.$"):
        errors.ce("fog")
    with pytest.raises(MetricUnavailable, match=r"snow and brightness at severity 4; fog at severities 3 and 4\.$"):
        errors.mean_error(["snow", "brightness", "fog"], [3, 4])
    with pytest.raises(
        MetricUnavailable, match=r"mCE.*jpeg_compression at severities 2 and 4; fog at severities 2, 3 and 4"
    ):
        errors.mce()
    with pytest.raises(MetricUnavailable, match="all 15 corruptions at severity 2"):
        errors.mean_error(IMAGENET_C, [2])
    whole = CorruptionErrors(cells)
    with pytest.raises(MetricUnavailable, match="clean images, which were not run"):
        whole.mce(relative=True)
    with pytest.raises(MetricUnavailable, match="nothing to divide by"):
        whole.ce("plasma_noise")


def test_scores_of_imagenet_c() -> None:
    cells, clean = simulated(50, (*IMAGENET_C, *EXTRA), seed=5)
    errors = CorruptionErrors(cells, clean)
    scores = {score.key: score for score in corruption_scores(errors, IMAGENET_C, EXTRA)}
    assert all(isinstance(score.estimate, Estimate) for score in scores.values())
    # 19 corruptions with three scores each; mCE, relative mCE, mean error; 5 severities; 4 groups; the extra ones.
    assert len(scores) == 19 * 3 + 3 + 5 + 4 + 1
    assert scores[".mce"].estimate == errors.mce()
    assert scores["/spatter.ce"].estimate == errors.ce("spatter")
    by_hand = 100 * np.mean([~cells[name, s] for name in IMAGENET_C for s in SEVERITIES])
    assert scores[".mean-error"].estimate.value == pytest.approx(by_hand)
    by_group = 100 * np.mean([~cells[name, s] for name in GROUPS["blur"] for s in SEVERITIES])
    assert scores[".mean-error:blur"].estimate.value == pytest.approx(by_group)
    assert scores[".mean-error:severity-2"].estimate.value == pytest.approx(
        100 * np.mean([~cells[name, 2] for name in IMAGENET_C])
    )


def test_scores_of_the_demos_severities_are_no_mce() -> None:
    cells, clean = simulated(20, IMAGENET_C, seed=6)
    part = {cell: right for cell, right in cells.items() if cell[1] in (1, 3, 5)}
    scores = {score.key: score for score in corruption_scores(CorruptionErrors(part, clean), IMAGENET_C)}
    for key in (".mce", ".relative-mce", ".mean-error", "/fog.ce"):
        assert isinstance(scores[key].estimate, MetricUnavailable), key
    mean = scores[".mean-error:severities-1-3-5"]
    assert mean.estimate.value == pytest.approx(100 * np.mean([~right for right in part.values()]))
    assert mean.reading.endswith("all 15 corruptions at severities 1, 3 and 5; not mCE")
    del part["fog", 3]
    keys = [score.key for score in corruption_scores(CorruptionErrors(part), IMAGENET_C)]
    assert keys[-1] == ".mean-error:cells-run"


def test_scores_of_imagenet_c_bar_are_plain_errors() -> None:
    cells, clean = simulated(20, IMAGENET_C_BAR, seed=7)
    scores = {s.key: s.estimate for s in corruption_scores(CorruptionErrors(cells, clean), IMAGENET_C_BAR)}
    assert not any("ce" in key.rsplit(".", 1)[1].split("-") or "mce" in key for key in scores)
    assert scores[".mean-error"].value == pytest.approx(100 * np.mean([~right for right in cells.values()]))


# --- intervals --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_mce_interval_covers_the_true_value(resamples: Callable[[int], None]) -> None:
    """A model whose true error in every cell is known: difficulty and noise are standard normal."""
    names = IMAGENET_C
    truth = np.mean(
        [
            np.mean([0.5 * math.erfc(-(0.3 * s - 1 + 0.05 * i) / 2) for s in SEVERITIES]) / alexnet().mean(name)
            for i, name in enumerate(names)
        ]
    )
    hits = 0
    resamples(200)
    for trial in range(200):
        cells, _ = simulated(150, names, seed=1000 + trial)
        estimate = CorruptionErrors(cells).mce()
        hits += estimate.low <= 100 * truth <= estimate.high
    assert 0.90 <= hits / 200 <= 0.99  # nominal 0.95, standard error 0.015


def test_pairing_matters(resamples: Callable[[int], None]) -> None:
    """The same images in all cells: an interval that took cells for independent would be several times too narrow."""
    cells, _ = simulated(500, IMAGENET_C, seed=8)
    resamples(1000)
    estimate = CorruptionErrors(cells).mean_error(IMAGENET_C)
    rates = np.array([np.mean(~right) for right in cells.values()])
    independent = 2 * 1.96 * 100 * np.sqrt(np.sum(rates * (1 - rates) / 500)) / len(rates)
    per_image = np.mean([~right for right in cells.values()], axis=0)
    right = 2 * 1.96 * 100 * np.std(per_image) / np.sqrt(500)
    assert estimate.high - estimate.low == pytest.approx(right, rel=0.1)  # Monte Carlo error of two quantiles
    assert estimate.high - estimate.low > 4 * independent


def test_no_interval_is_wider_than_the_bound(resamples: Callable[[int], None]) -> None:
    n = 400
    resamples(1000)
    extreme = np.arange(n) < n / 2  # half of the images wrong in every cell: the widest there is
    estimate = CorruptionErrors({(name, s): extreme for name in IMAGENET_C for s in SEVERITIES}).mce()
    assert (estimate.high - estimate.low) / 2 == pytest.approx(widest_mce_half_width(n), rel=0.1)
    assert widest_mce_half_width(1000) == pytest.approx(4.0, abs=0.05)  # mean(1 / error) is 1.293: 98 · 1.293 / √1000
    with pytest.raises(ValueError, match="at least one"):
        widest_mce_half_width(0)


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="no cells"):
        CorruptionErrors({})
    with pytest.raises(ValueError, match="different numbers"):
        CorruptionErrors({("fog", 1): np.ones(3, dtype=bool)}, np.ones(2, dtype=bool))
    with pytest.raises(ValueError, match="severity"):
        CorruptionErrors({("fog", 6): np.ones(3, dtype=bool)})
    with pytest.raises(MetricUnavailable, match="no samples"):
        CorruptionErrors({("fog", 1): np.ones(0, dtype=bool)})
