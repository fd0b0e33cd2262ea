"""Weighted sums of error rates, such as mCE, from a sample of the (image, cell) pairs, with an interval that holds at every look.

The design. Passes come in blocks; every block has the same number of passes in each cell, shared out by Neyman's rule (1934)
from the cells' weights and published errors. Each cell goes through the images in a random order of its own, without
replacement. Nothing of this depends on what was seen.

The estimate. A pass in cell c gives X = e + r + ..., an unbiased estimate of the cell's error whatever the model of errors f:
the mean of f over all images, plus the pass's residual r = wrong - f, corrected for the images that the cell has used up (the
model-assisted difference estimator of Särndal et al. 1992, which prediction-powered inference rediscovered: Angelopoulos et
al. 2023). f may be any function of earlier blocks and of what is known of all images beforehand, such as the clean
predictions. A block's estimate of the sum is a Horvitz-Thompson one, the weighted mean over its passes.

The interval. Errors of X around its conditional mean, in whatever order the cells come, make the empirical-Bernstein
supermartingale of Fan, Grama & Liu 2015 and Howard, Ramdas, McAuliffe & Sekhon 2021 (Annals of Statistics 49, theorem 4, here
with one λ for the target; the bound of Waudby-Smith & Ramdas 2024, section 3, has the same form). With probability 95 % the
interval covers at all blocks together, so that a run may stop at any of them. Images are drawn without replacement within a
cell and the martingale is of the form for that (Waudby-Smith & Ramdas 2020, section 3.2). Why not one cell an image, without
replacement over all cells: what the images left would give in a cell then depends on cells in which those used up were never
seen, and no valid bound at every moment is known for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from harness.corruptions.names import IMAGENET_C, SEVERITIES
from harness.metrics.corruption import Cell, alexnet, by_cell
from harness.metrics.intervals import LEVEL, Z
from harness.metrics.types import BoolArray, FloatArray, IntArray
from harness.parsing.yaml import read_yaml

BLOCK = 1024
"""Passes of a block, about."""
GROUPS = 20
"""Groups of images of about equal size, by what is known of them beforehand."""
LEAST_SHARE = 0.75
"""A cell gets at least this share of the passes that it would get with the largest standard deviation, one half: published
models are not the model at hand."""
FIRST_TARGET = 0.9
"""Share of the error probability for the target that a run was started with; the rest is for finer ones later."""
_FINER_TARGETS = 7
_KNOWN_SHARE = 0.75
"""Of the variance of a pass that is expected to be left where clean predictions are known."""


@dataclass(frozen=True, eq=False)
class SamplingDesign:
    """Which share of the passes each of K cells gets, and what is expected of them."""

    weights: FloatArray
    """float (K,): what an error of all images in a cell would add to the sum; 0 for a cell that is reported only."""
    expected: FloatArray
    """float (K,): the error that published models have, 0 to 1."""
    per_block: IntArray
    """int (K,): passes of each cell in a block, at least 1."""
    deviation: float
    """Expected standard deviation of a pass's contribution, in the unit of the weights."""
    images: int
    """In each cell."""

    @classmethod
    def of(
        cls, weights: npt.ArrayLike, expected: npt.ArrayLike, deviations: npt.ArrayLike, images: int
    ) -> SamplingDesign:
        """Share out a block's passes by weight times expected standard deviation (Neyman 1934); a cell without weight gets
        as many as the cells have on average.

        Raises:
            ValueError: no images.
        """
        if images < 1:
            raise ValueError("a sample needs images")
        weight, error, spread = (np.asarray(a, dtype=np.float64) for a in (weights, expected, deviations))
        share = np.abs(weight) * np.maximum(spread, LEAST_SHARE / 2)
        share = np.where(weight == 0, share[weight != 0].mean(), share)
        block = min(BLOCK, images * len(weight) // 16)  # so that few images have several blocks, too
        per_block = np.maximum(1, np.rint(block * share / share.sum())).astype(np.int64)
        per_block = np.minimum(per_block, images)
        variance = float((weight**2 * np.maximum(spread, 1e-3) ** 2 / per_block).sum() * per_block.sum())
        return cls(weight, error, per_block, variance**0.5, images)

    @property
    def block(self) -> int:
        """Passes of a block."""
        return int(self.per_block.sum())

    @property
    def most_blocks(self) -> int:
        """Blocks until a cell has used up its images."""
        return int((self.images // self.per_block).min())

    @property
    def scale(self) -> FloatArray:
        """float (K,): weight over share of the passes, by which an error in a cell counts."""
        return self.weights * self.block / self.per_block


@dataclass(frozen=True, eq=False)
class Draws:
    """What the passes of whole blocks gave, cell after cell, each in its order of the images.

    Args:
        wrong: for each of the K cells, bool (blocks · passes a block,).
        group: for each, the group of the same images, int; None where nothing is known of the images beforehand.
        sizes: int (G,): images of each group among all; None as `group`.

    Raises:
        ValueError: a cell does not hold whole blocks, or not as many as the others.
    """

    design: SamplingDesign
    cell: IntArray
    rank: IntArray
    group: IntArray
    wrong: FloatArray
    sizes: IntArray

    @classmethod
    def of(
        cls,
        design: SamplingDesign,
        wrong: list[BoolArray],
        group: list[IntArray] | None = None,
        sizes: IntArray | None = None,
    ) -> Draws:
        counts = np.array([len(column) for column in wrong])
        if (counts % design.per_block).any() or len(set((counts // design.per_block).tolist())) != 1:
            raise ValueError("the cells don't hold the same number of whole blocks")
        return cls(
            design,
            np.repeat(np.arange(len(counts)), counts),
            np.concatenate([np.arange(count) for count in counts]),
            np.zeros(counts.sum(), dtype=np.int64) if group is None else np.concatenate(group),
            np.concatenate(wrong).astype(np.float64),
            np.array([design.images]) if sizes is None else sizes,
        )

    @property
    def block(self) -> IntArray:
        """The block of each pass."""
        return self.rank // self.design.per_block[self.cell]

    @property
    def blocks(self) -> int:
        return len(self.rank) // self.design.block


@dataclass(frozen=True, eq=False)
class Passes:
    """What each pass says of its cell's error, unbiased given all that came before, and how far it was from expected."""

    draws: Draws
    estimate: FloatArray
    """float (n,): of the cell's error."""
    surprise: FloatArray
    """float (n,): the part of it that could not be foreseen, between -1 and 1 (for a difference of two models, -2 and 2)."""

    def minus(self, other: Passes) -> Passes:
        """The difference of two models on the same passes."""
        return Passes(self.draws, self.estimate - other.estimate, self.surprise - other.surprise)

    def cells(self) -> tuple[IntArray, FloatArray, FloatArray]:
        """For each cell the number of passes, the estimated error, and the estimate's variance."""
        cell, k = self.draws.cell, len(self.draws.design.weights)
        n = np.bincount(cell, minlength=k)
        error, squares = (np.bincount(cell, values, k) for values in (self.estimate, self.surprise**2))
        return n, error / n, squares / n**2

    def looks(self) -> tuple[IntArray, FloatArray, FloatArray]:
        """After each block the passes so far, the estimated sum, and Σ surprise² in the unit of the weights."""
        draws, design = self.draws, self.draws.design
        scale = design.scale[draws.cell]

        def so_far(values: FloatArray) -> FloatArray:
            return np.cumsum(np.bincount(draws.block, values, draws.blocks))

        n = design.block * np.arange(1, draws.blocks + 1)
        return n, so_far(scale * self.estimate) / n, so_far((scale * self.surprise) ** 2)


def passes(draws: Draws) -> Passes:
    """Each pass's estimate of its cell's error, with a model of the errors that is fitted to earlier blocks only.

    The model is fitted anew after blocks 1, 2, 4, 8, and so on, so that the work and the result depend on the number of blocks
    alone.
    """
    design, cell, rank, block = draws.design, draws.cell, draws.rank, draws.block
    estimate, surprise = np.empty(len(cell)), np.empty(len(cell))
    first = np.flatnonzero(rank == 0)[cell]
    left = 1 - rank / design.images
    share = draws.sizes / draws.sizes.sum()
    for start, stop in _periods(draws.blocks):
        model = _fitted(draws, block < start)
        residual = draws.wrong - model[cell, draws.group]
        before = np.cumsum(residual) - residual
        before -= before[first]  # of the same cell's passes before this one
        now = (block >= start) & (block < stop)
        surprise[now] = (left * residual)[now]
        estimate[now] = surprise[now] + before[now] / design.images + (model @ share)[cell[now]]
    return Passes(draws, estimate, surprise)


def _periods(blocks: int) -> Iterator[tuple[int, int]]:
    start, stop = 0, 1
    while start < blocks:
        yield start, stop
        start, stop = stop, 2 * stop


def _fitted(draws: Draws, seen: BoolArray) -> FloatArray:
    """float (K, G): chance of an error by cell and group; logistic and additive, drawn towards what is published.

    Newton's method on Σ log-likelihood - ½ Σ (cell effect - published)² / 0.5² - ½ Σ (group effect)² / 3².
    """
    k, g = len(draws.design.weights), len(draws.sizes)
    at = draws.cell[seen] * g + draws.group[seen]
    trials = np.bincount(at, minlength=k * g).reshape(k, g).astype(np.float64)
    wrong = np.bincount(at, draws.wrong[seen], k * g).reshape(k, g)
    prior = np.concatenate([logit(np.clip(draws.design.expected, 0.02, 0.98)), np.zeros(g)])
    precision = np.concatenate([np.full(k, 4.0), np.full(g, 1 / 9)])
    effects = prior.copy()
    for _ in range(8 if seen.any() else 0):
        chance = expit(effects[:k, None] + effects[k:])
        slope, curve = wrong - trials * chance, trials * chance * (1 - chance)
        gradient = np.concatenate([slope.sum(axis=1), slope.sum(axis=0)]) - precision * (effects - prior)
        # Cells first: the Hessian's blocks of cells and of groups are diagonal.
        cells, groups = curve.sum(axis=1) + precision[:k], curve.sum(axis=0) + precision[k:]
        weighted = curve / cells[:, None]
        rest = np.diag(groups) - curve.T @ weighted
        step = np.linalg.solve(rest, gradient[k:] - weighted.T @ gradient[:k])
        effects[k:] += step
        effects[:k] += gradient[:k] / cells - weighted @ step
    return np.asarray(expit(effects[:k, None] + effects[k:]))


def quantile_groups(known: FloatArray, count: int = GROUPS) -> tuple[IntArray, IntArray]:
    """Sort images into groups of about equal size by a number that is known of each; returns each one's group, and the sizes.

    Args:
        known: float (n,), such as the log-odds of the right class on the clean image; NaN where it is not known, which is a
            group of its own.
    """
    finite = np.isfinite(known)
    order = np.argsort(np.where(finite, known, np.inf), kind="stable")
    group = np.empty(len(known), dtype=np.int64)
    group[order] = np.minimum(np.arange(len(known)) * count // max(int(finite.sum()), 1), count - 1)
    group[~finite] = count
    _, group = np.unique(group, return_inverse=True)
    return group, np.bincount(group)


# --- intervals ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ConfidenceSequence:
    """A confidence sequence at 95 %, tuned to the half width that a run was started for.

    Valid at all looks together and for all targets: λ = target / deviation² is best at the moment when the half width comes down
    to the target; finer targets, each half the one before, share what `FIRST_TARGET` leaves of the error probability.
    """

    target: float
    """Half width, in the unit of the weights."""
    deviation: float
    """Expected standard deviation of a pass's contribution."""
    largest: float
    """Bound of a pass's contribution to either side."""

    @classmethod
    def of(cls, design: SamplingDesign, target: float, *, known: bool = False, models: int = 1) -> ConfidenceSequence:
        """
        Args:
            known: whether clean predictions of all images are.
            models: 2 for a difference.
        """
        # Two models are right and wrong on the same images so often that their difference varies about as much as one model.
        deviation = design.deviation * (_KNOWN_SHARE**0.5 if known and models == 1 else 1)
        return cls(target, deviation, models * float(np.abs(design.scale).max()))

    def half_width(self, n: npt.ArrayLike, squares: npt.ArrayLike) -> FloatArray:
        """The half width after n passes whose squared surprises sum up to `squares`, element by element."""
        shares = np.array([FIRST_TARGET, *((1 - FIRST_TARGET) / 2.0 ** np.arange(1, _FINER_TARGETS + 1))])
        rate = np.minimum(self.target / 2.0 ** np.arange(len(shares)) / self.deviation**2, 0.5 / self.largest)
        x = rate * self.largest
        psi = (-np.log1p(-x) - x) / self.largest**2
        bounds = (np.log(2 / ((1 - LEVEL) * shares)) + np.multiply.outer(np.asarray(squares), psi)) / rate
        return np.asarray(bounds.min(axis=-1) / np.asarray(n))

    def passes_to(self, design: SamplingDesign, variance: float | None = None) -> int | None:
        """Passes after which the half width is expected to have come down to the target; None where the images don't suffice.

        Args:
            variance: of a pass's contribution, where it has been seen.
        """
        n = design.block * np.arange(1, design.most_blocks + 1)
        squares = (self.deviation**2 if variance is None else variance) * counted(design, n)
        enough = np.flatnonzero(self.half_width(n, squares) <= self.target)
        return int(n[enough[0]]) if len(enough) else None


def counted(design: SamplingDesign, n: IntArray) -> FloatArray:
    """What the squared surprises of n passes sum up to, in units of the variance of the first one: later passes of a cell count
    less, the fewer images are left."""
    used = n / design.block * (design.per_block / design.images).mean()
    return np.asarray(n * (1 - used + used**2 / 3))


def fixed_n_half_width(n: npt.ArrayLike, squares: npt.ArrayLike) -> FloatArray:
    """The half width of the 95 % interval for a number of passes that was fixed beforehand (normal approximation)."""
    return np.asarray(Z * np.sqrt(squares) / np.asarray(n))


# --- what is summed -----------------------------------------------------------------------------------------------


@cache
def expected_errors() -> tuple[Mapping[Cell, float], Mapping[Cell, float]]:
    """Published models' mean error in each cell of ImageNet-C and its mean standard deviation, as fractions; how they were
    made is in `expected_errors.yaml`."""
    loaded = read_yaml(Path(__file__).with_name("expected_errors.yaml")).data
    return by_cell(loaded["errors"]), by_cell(loaded["deviations"])


def mce_weights() -> dict[Cell, float]:
    """What an error of all images in a cell adds to mCE, in points."""
    cells = len(IMAGENET_C) * len(SEVERITIES)
    return by_cell({name: [100 / (cells * alexnet().mean(name))] * len(SEVERITIES) for name in IMAGENET_C})
