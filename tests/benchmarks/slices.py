"""How long slices take, beside fairlearn's own bootstrap on the same work.

    python tests/benchmarks/slices.py

Two jobs on made outcomes: all default slicings of one model on 50,000 images, and ImageNet-C's 75 conditions of 50,000
images (3.75 million rows) by 16 overlapping factors. fairlearn resamples rows one bootstrap at a time, so a few of its
resamples, of one in 15 rows in the second job, are timed and the rest is extrapolated. Groups overlap in the second
job, which MetricFrame can't hold, so each factor would be a MetricFrame of its own. Peak memory is printed before
fairlearn runs.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
from fairlearn.metrics import MetricFrame, mean_prediction

from harness.metrics.fairness import audit, error_ratio, worst_slices
from harness.metrics.slices import (
    Slicing,
    by_group,
    disjoint_slicing,
    outcomes_by_unit,
    outcomes_of,
    quantile_slicing,
    slicing_from_frame,
)

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


def default_slicings(generator: np.random.Generator, ids: list[str]) -> list[Slicing]:
    """The shapes of the slicings out of the box."""
    classes = np.repeat(np.arange(1000), IMAGES // 1000)
    superclass = pd.DataFrame(generator.random((1000, 40)) < 0.06, columns=[f"synset-{i}" for i in range(40)])
    return [
        slicing_from_frame("imagenet-x", factor_frame(generator, ids), ids),
        disjoint_slicing("imagenet-x-top", generator.integers(0, 16, IMAGES), [f"top-{i}" for i in range(16)]),
        disjoint_slicing("metaclass", classes % 17, [f"meta-{i}" for i in range(17)]),
        slicing_from_frame("wordnet", superclass.iloc[classes].set_index(pd.Index(ids)), ids),
        disjoint_slicing("real", generator.integers(-1, 2, IMAGES), ["one label", "several labels"]),
        disjoint_slicing("class", classes, [f"class-{i}" for i in range(1000)]),
        *(
            quantile_slicing(name, generator.normal(size=IMAGES))
            for name in ("brightness", "contrast", "colourfulness", "sharpness", "resolution", "aspect ratio")
        ),
    ]


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
    ids = [f"ILSVRC2012_val_{i + 1:08d}.JPEG" for i in range(IMAGES)]
    slicings = default_slicings(generator, ids)
    correct = generator.random(IMAGES) < 0.76

    def all_defaults() -> None:
        outcomes = outcomes_of(correct)
        for slicing in slicings:
            audit(outcomes, slicing, resamples=RESAMPLES)
        error_ratio(outcomes, slicings[0], resamples=RESAMPLES)
        error_ratio(outcomes, slicings[1], resamples=RESAMPLES)
        worst_slices(outcomes, slicings)

    groups = sum(len(slicing.groups) for slicing in slicings)
    print(f"{len(slicings)} slicings, {groups:,} groups, {IMAGES:,} images, {RESAMPLES} resamples")
    timed("all default slicings: audits, error ratios, worst slices", all_defaults)

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
    top = slicings[1].membership.indices
    extrapolated("16 disjoint groups, 50,000 rows", lambda n: fairlearn_bootstrap(correct, top, n))
    classes = np.repeat(np.arange(1000), IMAGES // 1000)
    extrapolated("1,000 classes, 50,000 rows", lambda n: fairlearn_bootstrap(correct, classes, n))
    flag = np.tile(frame.iloc[:, 0].to_numpy(), CONDITIONS)
    extrapolated(
        "one of 16 factors, 3,750,000 rows", lambda n: fairlearn_bootstrap(rows_correct[::15], flag[::15], n), 15
    )


if __name__ == "__main__":
    main()
