"""Metrics by registry: a metric's module is all that a new metric touches."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import harness.metrics
from harness.cards.render import sections
from harness.data.catalog import get_benchmark
from harness.evaluation.scoring import Scored, score
from harness.evidence import Ledger, show_value
from harness.export.lm_eval import results_file
from harness.labels.projections import CLOSED
from harness.metrics.registry import METRIC_GROUPS, compute_group, metrics
from harness.metrics.types import Estimate, LabelSpacePredictions, MetricUnavailable

MARGIN = '''
"""How far the best class is ahead of the next one."""

from harness.metrics.types import Estimate, LabelSpacePredictions, MetricSpec, MetricUnavailable


def margin(predictions: LabelSpacePredictions) -> Estimate:
    if predictions.top5_logit is None:
        raise MetricUnavailable("The predictions were stored without logits.")
    value = float((predictions.top5_logit[:, 0] - predictions.top5_logit[:, 1]).mean())
    return Estimate(value, None, None, "no interval: this is an example", len(predictions))


METRICS = (
    MetricSpec(
        "margin",
        "Mean margin",
        unit="logits",
        higher_is_better=True,
        range=(0, float("inf")),
        group="calibration",
        compute=margin,
        lm_eval="margin",
    ),
)
'''


def predictions(n: int = 40) -> LabelSpacePredictions:
    """Made predictions with logits: 0, 1, 2, … on the five best, so that the best is 1 ahead of the next."""
    draw = np.random.default_rng(0)
    top5 = np.array([draw.permutation(1000)[:5] for _ in range(n)], dtype=np.int32)
    label = np.where(draw.random(n) < 0.7, top5[:, 0], top5[:, 1]).astype(np.int32)
    logits = np.tile(np.arange(4.0, -1.0, -1.0, dtype=np.float32), (n, 1))
    target = np.where(label == top5[:, 0], 4.0, 3.0).astype(np.float32)
    return LabelSpacePredictions(label, top5, logits, target, np.full(n, 5.0, np.float32), np.full(n, 9.0, np.float32))


def scored() -> Scored:
    benchmark, ids, protocol = get_benchmark("imagenet-val"), [str(i) for i in range(40)], {"precision": "fp32"}
    return Scored(benchmark, None, ids, {CLOSED: predictions()}, {}, None, "weights", "data", protocol, "harness run")


def test_a_new_metric_is_a_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "margin.py").write_text(MARGIN)
    monkeypatch.setattr(harness.metrics, "__path__", [*harness.metrics.__path__, str(tmp_path)])
    metrics.cache_clear()
    try:
        found = {item.key: item for item in score({"imagenet-val": scored()}, ["accuracy", "calibration"], [])}
        item = found["imagenet-val.margin"]
        assert (item.value, item.unit, item.n, item.N) == (1.0, "logits", 40, 50_000)
        ledger = Ledger(model={"name": "made", "title": "Made"}, evidence=list(found.values()))
        monkeypatch.setattr("harness.cards.render.ENOUGH", 40)
        (section,) = sections(ledger)
        assert {row.what: show_value(row.evidence) for row in section.rows}["Mean margin"] == "1.000 logits"
        exported = results_file(ledger)
        assert exported["results"]["imagenet-val"]["margin,none"] == 1.0
        assert exported["higher_is_better"]["imagenet-val"]["margin"] is True
    finally:
        sys.modules.pop("harness.metrics.margin", None)
        metrics.cache_clear()


def test_every_metric_is_described_and_its_values_lie_in_its_range() -> None:
    assert {spec.group for spec in metrics().values()} - {None} == set(METRIC_GROUPS)
    for group in METRIC_GROUPS:
        for name, estimate in compute_group(group, predictions()).items():
            assert isinstance(estimate, Estimate)
            low, high = metrics()[name.partition(":")[0]].range
            assert low <= estimate.value <= high
            assert estimate.kind is not None


def test_a_metric_that_can_not_be_had_says_why_under_its_name() -> None:
    full = predictions()
    found = compute_group("calibration", LabelSpacePredictions(full.label, full.top5))
    assert list(found) == ["nll", "brier", "ece", "mean-confidence"]
    assert all(isinstance(estimate, MetricUnavailable) for estimate in found.values())


def test_what_metrics_are_called_loads_nothing_that_computes_images() -> None:
    heavy = "{'torch', 'numba', 'cv2', 'fairlearn'} & set(sys.modules)"
    code = f"import sys; from harness.metrics.registry import metrics; metrics(); print({heavy})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
