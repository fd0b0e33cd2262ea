"""What `--until` saves, and whether its intervals hold: simulated runs of five published models on 50,000 images.

Usage: python tests/benchmarks/until.py [RUNS]

Models: the errors in each of the 75 cells are those published (../shared/data). How alike an image is in its cells, and how much
its clean prediction tells, is as measured: EfficientNet-Lite0 on 260 validation images in 45 cells and without corruption
(`lite0_cells.csv`: the clean log-odds of the right class, and 1 where the prediction was wrong), by a logistic model with an
effect of the clean log-odds and an unseen one of the image. RUNS simulated runs (2,000 without it) are shared out among the models.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.polynomial.hermite_e import hermegauss
from scipy.optimize import brentq, minimize
from scipy.special import expit, logit

from harness.metrics.sampling import (
    ConfidenceSequence,
    Draws,
    Passes,
    SamplingDesign,
    expected_errors,
    fixed_n_half_width,
    mce_weights,
    passes,
    quantile_groups,
)

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "reference" / "imagenet-testbed-robustness_top1s.csv"
MEASURED = Path(__file__).with_name("lite0_cells.csv")
MODELS = ("alexnet", "resnet50", "efficientnet-b5", "BiT-M-R152x4-ILSVRC2012", "resnext101_32x8d_deepaugment_augmix")
PAIRS = tuple(("resnet50", other) for other in ("vgg16", "resnet101", "densenet121", "resnet34", "resnet34_lpf2"))
IMAGES = 50_000
BLOCKS = 115
CELLS = list(mce_weights())
WEIGHTS = np.array(list(mce_weights().values()))
NODES, MASSES = (column for column in hermegauss(31))
MASSES = MASSES / MASSES.sum()


def likeness() -> tuple[float, float]:
    """How much the logit of an error falls with one standard deviation of the clean log-odds, and the standard deviation of
    the image's own effect beside it; by maximum likelihood."""
    table = pd.read_csv(MEASURED, index_col="sample_id")
    odds = table.pop("log_odds").clip(-12, 16).to_numpy()
    known = (odds - odds.mean()) / odds.std()
    wrong = table[[name for name in table if "/" in name]].to_numpy(dtype=float)

    def loss(effects: np.ndarray) -> float:
        cells, slope, spread = effects[:-2], effects[-2], np.exp(effects[-1])
        eta = (cells + slope * known[:, None])[:, :, None] + spread * NODES
        one = (wrong[:, :, None] * eta - np.logaddexp(0, eta)).sum(axis=1)
        top = one.max(axis=1)
        return -float((top + np.log(np.exp(one - top[:, None]) @ MASSES)).sum())

    start = np.r_[logit(wrong.mean(axis=0).clip(0.02, 0.98)), -1.0, 0.0]
    found = minimize(loss, start, method="L-BFGS-B", options={"maxiter": 60, "maxfun": 4000}).x
    return -float(found[-2]), float(np.exp(found[-1]))


@dataclass(frozen=True, eq=False)
class Population:
    """All images of a model: bool (75, N) wrong, the groups by the clean prediction, and mCE."""

    wrong: np.ndarray
    group: np.ndarray

    @property
    def mce(self) -> float:
        return float(WEIGHTS @ self.wrong.mean(axis=1))


def population(
    errors: np.ndarray, slope: float, spread: float, rng: np.random.Generator, shared: np.ndarray | None = None
) -> Population:
    """A model with these errors; with `shared` (2, N) effects, one whose images are as hard as another's, by a correlation of
    0.8."""
    effects_ = rng.normal(size=(2, IMAGES)).astype(np.float32)
    known, own = effects_ if shared is None else 0.8 * shared + 0.6 * effects_
    hard = spread * own - slope * known
    width = float(np.hypot(slope, spread))
    effects = [brentq(lambda a, e=e: expit(a + width * NODES) @ MASSES - e, -30, 30) for e in errors]
    wrong = np.array([rng.random(IMAGES, dtype=np.float32) < expit(a + hard) for a in effects])
    return Population(wrong, quantile_groups(known)[0])


def design() -> SamplingDesign:
    errors, deviations = expected_errors()
    return SamplingDesign.of(WEIGHTS, [errors[c] for c in CELLS], [deviations[c] for c in CELLS], IMAGES)


def drawn(shares: SamplingDesign, rng: np.random.Generator, blocks: int = BLOCKS) -> list[np.ndarray]:
    """For each cell the images in the order in which they are run."""
    return [rng.choice(IMAGES, blocks * m, replace=False) for m in shares.per_block]


def observed(shares: SamplingDesign, model: Population, orders: list[np.ndarray], *, known: bool) -> Passes:
    columns = [model.wrong[cell, order] for cell, order in enumerate(orders)]
    if not known:
        return passes(Draws.of(shares, columns))
    return passes(Draws.of(shares, columns, [model.group[order] for order in orders], np.bincount(model.group)))


def first(n: np.ndarray, half_width: np.ndarray, target: float) -> float:
    enough = np.flatnonzero(half_width <= target)
    return float(n[enough[0]]) if len(enough) else np.nan


def widths(shares: SamplingDesign, models: dict[str, Population], rng: np.random.Generator) -> pd.DataFrame:
    """Passes to two half widths: all cells, the same images in every cell, and one cell a pass."""
    rows = []
    for name, model in models.items():
        per_image = float((WEIGHTS @ model.wrong).std())
        runs = {known: observed(shares, model, drawn(shares, rng), known=known).looks() for known in (False, True)}
        for target in (1.0, 0.5):
            row: dict[str, object] = {"model": name, "mCE": round(model.mce, 1), "±": target, "all cells": 75 * IMAGES}
            row["--corruption-images"] = 75 * (1.96 * per_image / target) ** 2
            for known, (n, _, squares) in runs.items():
                which = "clean known" if known else "alone"
                row[f"fixed n, {which}"] = first(n, fixed_n_half_width(n, squares), target)
                bound = ConfidenceSequence.of(shares, target, known=known).half_width(n, squares)
                row[f"any time, {which}"] = first(n, bound, target)
            rows.append(row)
    return pd.DataFrame(rows)


def coverage(
    shares: SamplingDesign, model: Population, runs: int, rng: np.random.Generator
) -> Iterator[tuple[bool, ...]]:
    """Of each run whether it missed: at its worst moment, where it stops for ± 1.0 and ± 0.5, and with a fixed n of 61,800."""
    bounds = {target: ConfidenceSequence.of(shares, target, known=True) for target in (1.0, 0.5)}
    for _ in range(runs):
        n, value, squares = observed(shares, model, drawn(shares, rng), known=True).looks()
        off = np.abs(value - model.mce)
        half_width = {target: bound.half_width(n, squares) for target, bound in bounds.items()}
        stopped = [off[np.argmax(h <= target)] > target for target, h in half_width.items()]
        yield bool((off > half_width[0.5]).any()), *stopped, bool(off[59] > fixed_n_half_width(n, squares)[59])


def permuted(model: Population, rng: np.random.Generator) -> Population:
    """Another model with exactly the same errors in every cell: results exchanged among 50 images that are about as hard."""
    order = np.argsort(model.wrong.sum(axis=0) + rng.random(IMAGES), kind="stable").reshape(-1, 50)
    exchanged = np.empty(IMAGES, dtype=np.int64)
    exchanged[order.ravel()] = rng.permuted(order, axis=1).ravel()
    return Population(model.wrong[:, exchanged], model.group[exchanged])


def decisions(
    shares: SamplingDesign, pair: tuple[Population, Population], runs: int, rng: np.random.Generator
) -> Iterator[tuple[float, str]]:
    """Of each run the passes of each model, and what was settled with a margin of 0.5 points."""
    bound = ConfidenceSequence.of(shares, 0.5, known=True, models=2)
    for _ in range(runs):
        orders = drawn(shares, rng, 150)
        first, other = (observed(shares, model, orders, known=True) for model in pair)
        n, value, squares = first.minus(other).looks()
        half_width = bound.half_width(n, squares)
        ends = (np.abs(value) > half_width) | (np.abs(value) + half_width < 0.5)
        at = int(np.argmax(ends)) if ends.any() else len(n) - 1
        is_better = abs(value[at]) > half_width[at]
        better = "first" if value[at] < 0 else "other"
        yield float(n[at]), better if is_better else "margin" if ends.any() else "open"


def settled(
    shares: SamplingDesign, errors: pd.DataFrame, likeness_: tuple[float, float], runs: int, rng: np.random.Generator
) -> pd.DataFrame:
    """Pairs of models of equal and of different mCE."""
    shared = rng.normal(size=(2, IMAGES)).astype(np.float32)
    models = {name: population(row.to_numpy(), *likeness_, rng, shared) for name, row in errors.iterrows()}
    pairs = [(a, b, (models[a], models[b]), max(1, runs // 100)) for a, b in PAIRS]
    pairs += [
        (a, f"{a}, exchanged", (models[a], permuted(models[a], rng)), max(1, runs // 10))
        for a in ("resnet50", "efficientnet-b5")
    ]
    rows = []
    for a, b, pair, count in pairs:
        found = list(decisions(shares, pair, count, rng))
        ends = [end for _, end in found]
        row = {"A": a, "B": b, "A - B": pair[0].mce - pair[1].mce, "runs": count}
        names = {"first": "A better", "other": "B better", "margin": "less than margin", "open": "open"}
        row |= {name: 100 * ends.count(end) / count for end, name in names.items()}
        rows.append(row | {"median passes each": float(np.median([n for n, _ in found]))})
    return pd.DataFrame(rows)


def main() -> None:
    if not SHARED.is_file():
        sys.exit(f"The published errors are not here: {SHARED}")
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    start, rng, shares = time.perf_counter(), np.random.default_rng(0), design()
    slope, spread = likeness()
    print(f"an image's logit of an error: -{slope:.2f} by the clean log-odds, deviation {spread:.2f} beside them")
    published = pd.read_csv(SHARED, index_col="model")
    errors = 1 - published.loc[list(MODELS), [f"imagenet-c.{name}.{s}_on-disk" for name, s in CELLS]] / 100
    models = {name: population(row.to_numpy(), slope, spread, rng) for name, row in errors.iterrows()}
    print(widths(shares, models, rng).round(1).to_string(index=False))
    missed = {name: list(coverage(shares, model, runs // len(models), rng)) for name, model in models.items()}
    table = pd.DataFrame({name: 100 - 100 * np.mean(rows, axis=0) for name, rows in missed.items()}).T
    table.columns = ["worst moment", "stopped at ± 1.0", "stopped at ± 0.5", "fixed n = 61,800"]
    table.loc["all"] = 100 - 100 * np.mean([row for rows in missed.values() for row in rows], axis=0)
    print(f"coverage in percent, {runs:,} runs\n{table.round(1).to_string()}")
    of_pairs = sorted({name for pair in PAIRS for name in pair} | {"efficientnet-b5"})
    errors = 1 - published.loc[of_pairs, [f"imagenet-c.{name}.{s}_on-disk" for name, s in CELLS]] / 100
    table = settled(shares, errors, (slope, spread), runs, rng)
    print(f"settled with a margin of 0.5 points, percent of runs\n{table.round(2).to_string(index=False)}")
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
