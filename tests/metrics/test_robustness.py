"""Accuracy drops and effective robustness, against the authors' table of published models."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from harness.metrics.robustness import accuracy_drop, baseline_file, baselines, effective_robustness
from harness.metrics.types import MetricUnavailable


def test_shipped_baselines_are_what_the_table_gives(shared_data: Path) -> None:
    script = runpy.run_path(str(Path(__file__).parents[1] / "fit_effective_robustness.py"))
    fitted = script["fit"](shared_data / "reference" / "imagenet-testbed-robustness_top1s.csv")
    assert fitted == baseline_file()["baselines"]


def test_fit_equals_numpys_polynomial_fit(shared_data: Path) -> None:
    """The second implementation of one line, written out from the table."""
    table = pd.read_csv(shared_data / "reference" / "imagenet-testbed-robustness_top1s.csv", index_col="model")
    points = table.loc[baseline_file()["models"], ["val", "imagenet-sketch"]].dropna().to_numpy() / 100
    x, y = np.log(points / (1 - points)).T
    slope, intercept = np.polyfit(x, y, 1)
    (line,) = baselines()["imagenet-sketch"].pieces
    assert line.slope == pytest.approx(slope, abs=1e-6)
    assert line.intercept == pytest.approx(intercept, abs=1e-6)
    assert line.residual_sd == pytest.approx(np.std(y - slope * x - intercept, ddof=2), abs=1e-6)


def test_every_shifted_benchmark_of_the_design_has_a_baseline() -> None:
    assert set(baselines()) == {
        "imagenetv2-matched-frequency",
        "imagenetv2-threshold-0.7",
        "imagenetv2-top-images",
        "imagenet-a",
        "imagenet-r",
        "imagenet-sketch",
    }
    assert baselines()["imagenet-a"].reference == "imagenet-val@imagenet-a-200"


@pytest.mark.parametrize("benchmark", ["imagenetv2-matched-frequency", "imagenet-a", "imagenet-r"])
def test_baseline_rises_with_reference_accuracy(benchmark: str) -> None:
    """The interval carries the reference's bounds through the baseline, which must not turn them round."""
    assert (np.diff(baselines()[benchmark].predict(np.linspace(1, 99, 500))) > 0).all()


def test_resnet50_lies_on_the_v2_line() -> None:
    """One of the fitted models: 63.33 published, expected within two residual standard deviations."""
    reference, shifted = np.arange(50000) < 38065, np.arange(10000) < 6333
    estimate = effective_robustness("imagenetv2-matched-frequency", reference, shifted)
    # By hand: logit(0.7613) = 1.159820; 0.911373 * 1.159820 - 0.481307 = 0.575722; expit = 64.0082 %.
    assert estimate.value == pytest.approx(63.33 - 64.0082, abs=0.002)
    assert estimate.low < estimate.value < estimate.high
    # Sampling error is nearly all of the shifted set's: its Wilson half width is 0.945 points.
    assert (estimate.high - estimate.low) / 2 == pytest.approx(1.02, abs=0.05)
    assert estimate.n == 60000


def test_effective_robustness_interval_covers() -> None:
    """A model exactly on the line: the interval holds 0 in about 95 % of 1,500 draws (standard error 0.6 points)."""
    generator = np.random.default_rng(5)
    truth = float(baselines()["imagenet-sketch"].predict(75.0))
    hits = 0
    for right, shifted_right in zip(
        generator.binomial(2000, 0.75, 1500), generator.binomial(2000, truth / 100, 1500), strict=True
    ):
        images = np.arange(2000)
        estimate = effective_robustness("imagenet-sketch", images < right, images < shifted_right)
        hits += estimate.low <= 0 <= estimate.high
    assert 0.93 <= hits / 1500 <= 0.97


def test_range_of_the_fitted_models() -> None:
    baseline = baselines()["imagenetv2-matched-frequency"]
    assert baseline.covers(76.13)
    assert not baseline.covers(90.0)


def test_perfect_reference_is_unavailable() -> None:
    with pytest.raises(MetricUnavailable, match="not defined at a reference accuracy of 100"):
        effective_robustness("imagenet-r", np.ones(5, bool), np.arange(5) < 1)


@pytest.mark.parametrize(
    ("first", "other", "low", "high"),
    [  # Newcombe 1998 (independent), table II, method 10
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((6, 7), (2, 7), 0.0582, 0.8062),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 20), -0.1611, 0.2775),
        ((10, 10), (0, 10), 0.6075, 1.0000),
    ],
)
def test_accuracy_drop_equals_newcombes_table(
    first: tuple[int, int], other: tuple[int, int], low: float, high: float
) -> None:
    drop = accuracy_drop(*(np.arange(n) < successes for successes, n in (first, other)))
    assert drop.value == pytest.approx(100 * (first[0] / first[1] - other[0] / other[1]))
    assert (drop.low, drop.high) == (pytest.approx(100 * low, abs=0.01), pytest.approx(100 * high, abs=0.01))
    assert drop.n == first[1] + other[1]


def test_accuracy_drop_of_empty_samples_is_unavailable() -> None:
    with pytest.raises(MetricUnavailable):
        accuracy_drop(np.zeros(0, bool), np.ones(2, bool))
