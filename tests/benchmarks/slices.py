"""How long slices take, beside fairlearn's own bootstrap on the same work.

    python tests/benchmarks/slices.py

Two jobs on made outcomes. First the slices of the subgroup suite for one model on the 50,000 validation images, from its
stored predictions and the installed annotations to the finished evidence, intervals included (image statistics are made numbers: they
are computed once, when images are first sliced). Then ImageNet-C's 75 conditions of 50,000 images (3.75 million rows) by 16
overlapping factors. fairlearn resamples rows one bootstrap at a time, so a few of its resamples, of one in 15 rows in the second
job, are timed and the rest is extrapolated. Groups overlap in the second job, which MetricFrame can't hold, so each factor
would be a MetricFrame of its own. Peak memory is printed before fairlearn runs. Needs the package imagenet-x.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
from fairlearn.metrics import MetricFrame, mean_prediction

from harness.data.annotations import validation_labels
from harness.data.catalog import get_benchmark
from harness.data.statistics import STATISTICS
from harness.evaluation.scoring import Scored
from harness.evaluation.slice_evidence import slice_evidence
from harness.evaluation.slice_requests import request_of
from harness.evaluation.suites import load_suite
from harness.evidence import Evidence
from harness.labels.projections import CLOSED
from harness.metrics.fairness import audit, error_ratio
from harness.metrics.slices import by_group, outcomes_by_unit, outcomes_of, slicing_from_frame
from harness.metrics.types import TOP, LabelSpacePredictions

IMAGES = 50_000
CONDITIONS = 75
RESAMPLES = 1000
FAIRLEARN_RESAMPLES = 2

# Images with each of ImageNet-X's 16 factors (multi-factor file of the imagenet-x package) among 48,868.
FACTOR_COUNTS = [1872, 37555, 13659, 96, 521, 628, 408, 2935, 217, 107, 1592, 16859, 42525, 1937, 3732, 902]


def timed(what: str, job: Callable[[], object]) -> float:
    """Run, print, and return seconds."""
    start = time.perf_counter()
    job()
    seconds = time.perf_counter() - start
    print(f"{what:<72} {seconds:8.2f} s")
    return seconds


def peak_gigabytes() -> float:
    """The process's peak resident memory so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def factor_frame(generator: np.random.Generator, ids: list[str]) -> pd.DataFrame:
    """Sixteen overlapping flags at ImageNet-X's rates, drawn independently: more patterns than the real 733."""
    flags = generator.random((len(ids), 16)) < np.array(FACTOR_COUNTS) / 48868
    return pd.DataFrame(flags, index=ids, columns=[f"factor-{i}" for i in range(16)])


def made_predictions(generator: np.random.Generator) -> tuple[Scored, pd.DataFrame]:
    """Predictions of all validation images, right at 76 %, and made image statistics."""
    labels = np.array(list(validation_labels().values()), dtype=np.int32)
    ranks = np.full((IMAGES, TOP), -1, dtype=np.int32)
    ranks[:, 0] = np.where(generator.random(IMAGES) < 0.76, labels, (labels + 1) % 1000)
    ids = list(validation_labels())
    scored = Scored(
        benchmark=get_benchmark("imagenet-val"),
        condition=None,
        sample_ids=ids,
        predictions={CLOSED: LabelSpacePredictions(label=labels, top5=ranks)},
        projections={},
        outputs=None,
        weights="made",
        data="made",
        protocol={"predictions": "made"},
        command="python tests/benchmarks/slices.py",
    )
    statistics = pd.DataFrame(generator.normal(size=(IMAGES, len(STATISTICS))), index=ids, columns=list(STATISTICS))
    return scored, statistics


def extrapolated(what: str, job: Callable[[int], object], scale: int = 1) -> None:
    """Time fairlearn with few resamples of 1 in `scale` rows, and say what 1,000 of all rows would take."""
    start = time.perf_counter()
    job(FAIRLEARN_RESAMPLES)
    # The plain MetricFrame comes first and takes as long as a resample.
    seconds = (time.perf_counter() - start) / (FAIRLEARN_RESAMPLES + 1) * RESAMPLES * scale
    print(f"{what:<72} {seconds:8.0f} s (extrapolated)")


def fairlearn_bootstrap(values: np.ndarray, groups: np.ndarray, resamples: int) -> None:
    """fairlearn's own intervals of a by-group mean."""
    MetricFrame(
        metrics=mean_prediction,
        y_true=np.ones(len(values)),
        y_pred=values,
        sensitive_features=groups,
        n_boot=resamples,
        ci_quantiles=[0.025, 0.975],
        random_state=0,
    )


def main() -> None:
    generator = np.random.default_rng(0)
    scored, statistics = made_predictions(generator)
    ids = list(scored.sample_ids)
    request = request_of(load_suite("subgroups"), None, ())
    found: list[Evidence] = []

    def all_defaults() -> None:
        found.extend(slice_evidence({scored.prefix: scored}, request, lambda _: lambda: statistics))

    print(f"{IMAGES:,} images, {RESAMPLES} resamples")
    timed("all default slicings: annotations, audits, error ratios, worst slices", all_defaults)
    print(f"{len(found):,} pieces of evidence")

    image = np.tile(np.arange(IMAGES), CONDITIONS)
    skill = np.clip(generator.normal(0.6, 0.3, IMAGES), 0, 1)  # some images stay right under any corruption
    rows_correct = generator.random(IMAGES * CONDITIONS) < skill[image]
    row_ids = pd.Series(ids).take(image)
    frame = factor_frame(generator, ids)

    def corrupted() -> None:
        position = pd.Index(ids).get_indexer(pd.Index(row_ids))
        outcomes = outcomes_by_unit(rows_correct, position, IMAGES)
        slicing = slicing_from_frame("imagenet-x", frame, ids)
        audit(outcomes, slicing, resamples=RESAMPLES)
        error_ratio(outcomes, slicing, resamples=RESAMPLES)
        for condition in np.split(rows_correct, CONDITIONS):
            by_group(outcomes_of(condition), slicing)

    print(f"\n{len(image):,} rows of {CONDITIONS} conditions by {frame.shape[1]} overlapping factors")
    timed("join, audit over images, error ratios, every condition by factor", corrupted)
    print(f"{'peak memory of all of the above':<72} {peak_gigabytes():8.2f} GB")

    print("\nfairlearn's bootstrap of by-group accuracy alone")
    correct = scored.correct()
    top = generator.integers(0, 16, IMAGES)
    extrapolated("16 disjoint groups, 50,000 rows", lambda n: fairlearn_bootstrap(correct, top, n))
    classes = np.repeat(np.arange(1000), IMAGES // 1000)
    extrapolated("1,000 classes, 50,000 rows", lambda n: fairlearn_bootstrap(correct, classes, n))
    flag = np.tile(frame.iloc[:, 0].to_numpy(), CONDITIONS)
    extrapolated(
        "one of 16 factors, 3,750,000 rows", lambda n: fairlearn_bootstrap(rows_correct[::15], flag[::15], n), 15
    )


if __name__ == "__main__":
    main()
