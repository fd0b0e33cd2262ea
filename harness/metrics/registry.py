"""Every metric by name, collected from the modules beside this one: a new metric is a module that lists it in `METRICS`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType

import harness.metrics
from harness.metrics.types import Compute, Estimate, LabelSpacePredictions, MetricSpec, MetricUnavailable, attempt

METRIC_GROUPS = MappingProxyType(
    {
        "accuracy": "top-1 and top-5 accuracy, in every label space the benchmark's protocol asks for",
        "calibration": "negative log-likelihood, Brier score, expected calibration error, mean confidence",
        "selective": "risk and coverage where the model may decline, by four scores: AURC, coverage at 1 % and 5 % risk, AUROC",
        "ood": "images of none of the classes told from the validation set's, by four scores: AUROC, FPR at 95 % TPR",
        "corruption": "error of each corruption and severity, CE, mCE, relative mCE, un-normalised mean errors",
        "cues": "shape bias where shape and texture disagree, and the accuracy that hangs on the background",
        "adversarial": "accuracy under attack by norm and size, the median smallest perturbation, time",
        "confusion": "the pairs of classes that are confused most often, and classes that are never predicted",
        "attribution": "deletion and insertion AUC of attribution maps, their similarity with those of random weights",
        "shift": "accuracy drop from imagenet-val, and effective robustness where a baseline is published",
    }
)
"""What a suite can ask for in `metrics:`, with what it holds."""


@cache
def metrics() -> Mapping[str, MetricSpec]:
    """All metrics by name, as their modules list them.

    >>> metrics()["top1"].title
    'Top-1 accuracy'
    """
    modules = [module.name for module in iter_modules(harness.metrics.__path__, "harness.metrics.")]
    found = [spec for name in modules if name != __name__ for spec in getattr(import_module(name), "METRICS", ())]
    return MappingProxyType({spec.name: spec for spec in found})


def title_of(metric: str, variants: tuple[str, ...] = ()) -> tuple[str, tuple[str, ...]]:
    """A metric's title, and the variants that the title does not say; the name itself where nobody lists the metric."""
    spec = metrics().get(metric)
    if spec is None:
        return metric, variants
    named = next((variant for variant in variants if variant in spec.variants), None)
    return (spec.title, variants) if named is None else (spec.variants[named], tuple(v for v in variants if v != named))


def unit_of(metric: str) -> str | None:
    """A metric's unit; None where it has none or nobody lists it."""
    spec = metrics().get(metric)
    return None if spec is None else spec.unit


def compute_group(group: str, predictions: LabelSpacePredictions) -> dict[str, Estimate | MetricUnavailable]:
    """The metrics of a group that follow from predictions in one label space, by the end of their evidence key."""
    names: dict[Compute, list[str]] = {}
    for spec in metrics().values():
        if spec.group == group and spec.compute is not None:
            names.setdefault(spec.compute, []).append(spec.name)
    found: dict[str, Estimate | MetricUnavailable] = {}
    for compute, asked in names.items():
        computed = attempt(compute, predictions)
        found.update(dict.fromkeys(asked, computed) if isinstance(computed, Estimate | MetricUnavailable) else computed)
    return found
