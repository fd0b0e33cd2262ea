"""Accuracy drops and effective robustness, against the authors' table of published models."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from harness.metrics.intervals import proportion
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
    reference, shifted = proportion(38065, 50000), proportion(6333, 10000)
    estimate = effective_robustness("imagenetv2-matched-frequency", reference, shifted)
    # By hand: logit(0.7613) = 1.159820; 0.911373 * 1.159820 - 0.481307 = 0.575722; expit = 64.0082 %.
    assert estimate.value == pytest.approx(63.33 - 64.0082, abs=0.002)
    assert estimate.low is not None
    assert estimate.high is not None
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
        estimate = effective_robustness(
            "imagenet-sketch", proportion(int(right), 2000), proportion(int(shifted_right), 2000)
        )
        assert estimate.low is not None
        assert estimate.high is not None
        hits += estimate.low <= 0 <= estimate.high
    assert 0.93 <= hits / 1500 <= 0.97


def test_range_of_the_fitted_models() -> None:
    baseline = baselines()["imagenetv2-matched-frequency"]
    assert baseline.covers(76.13)
    assert not baseline.covers(90.0)


def test_perfect_reference_is_unavailable_and_levels_must_agree() -> None:
    with pytest.raises(MetricUnavailable, match="not defined at a reference accuracy of 100"):
        effective_robustness("imagenet-r", proportion(5, 5), proportion(1, 5))
    with pytest.raises(ValueError, match="levels differ"):
        effective_robustness("imagenet-r", proportion(4, 5), proportion(1, 5, level=0.9))


def test_accuracy_drop_by_hand() -> None:
    """Newcombe 1998, table II: 56 of 70 against 48 of 80 is a difference of 0.2 with 0.0524 to 0.3339."""
    drop = accuracy_drop(np.arange(70) < 56, np.arange(80) < 48)
    assert (drop.value, drop.n) == (pytest.approx(20.0), 150)
    assert drop.low == pytest.approx(5.24, abs=0.01)
    assert drop.high == pytest.approx(33.39, abs=0.01)
