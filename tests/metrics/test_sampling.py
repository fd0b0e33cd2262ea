"""Sampled estimates of weighted sums of errors: unbiased by enumeration, the bound by its definition, coverage by simulation."""

from __future__ import annotations

import math
import runpy
from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy import optimize
from scipy.special import expit, logit, xlogy

from harness.metrics import sampling
from harness.metrics.corruption import CorruptionErrors
from harness.metrics.sampling import (
    ConfidenceSequence,
    Draws,
    SamplingDesign,
    fixed_n_half_width,
    passes,
    quantile_groups,
)

RNG = np.random.default_rng(0)


def mce_design(images: int = 50_000) -> SamplingDesign:
    weights, (errors, deviations) = sampling.mce_weights(), sampling.expected_errors()
    return SamplingDesign.of(list(weights.values()), list(errors.values()), list(deviations.values()), images)


def drawn(design: SamplingDesign, wrong: np.ndarray, blocks: int, rng: np.random.Generator, group: np.ndarray) -> Draws:
    """Draws of a population: wrong (N, K), the images' groups (N,)."""
    orders = [rng.permutation(design.images)[: blocks * m] for m in design.per_block]
    columns = [wrong[order, cell] for cell, order in enumerate(orders)]
    return Draws.of(design, columns, [group[order] for order in orders], np.bincount(group))


def population(errors: np.ndarray, images: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Which images are wrong (N, K) with about these errors, hard images being hard in all cells, and groups that tell of it."""
    hard = rng.normal(size=(images, 1))
    wrong = rng.random((images, len(errors))) < expit(1.6 * logit(errors) + 1.9 * hard)
    return wrong, quantile_groups(hard[:, 0] + rng.normal(size=images))[0]


def test_weights_are_those_of_the_score_on_all_images() -> None:
    wrong = RNG.random((40, 75)) < 0.5
    weights = sampling.mce_weights()
    whole = CorruptionErrors({cell: ~wrong[:, at] for at, cell in enumerate(weights)}).mce()
    assert np.dot(list(weights.values()), wrong.mean(axis=0)) == pytest.approx(whole.value)


def test_expected_errors_are_the_published_models_means(shared_data: Path) -> None:
    script = runpy.run_path(str(Path(__file__).parents[1] / "fit_expected_errors.py"))
    found = script["averages"](shared_data / "reference" / "imagenet-testbed-robustness_top1s.csv")
    shipped = Path(sampling.__file__).with_name("expected_errors.yaml").read_text(encoding="utf-8")
    assert found == yaml.safe_load(shipped)


def test_shares_are_neymans_and_whole_blocks_have_every_cell() -> None:
    weights, spread = np.array([1.0, 2.0, 4.0, 0.0]), np.array([0.5, 0.5, 0.4, 0.4])
    design = SamplingDesign.of(weights, [0.5, 0.5, 0.2, 0.2], spread, 50_000)
    share = weights * spread  # Neyman 1934: passes in proportion to weight times standard deviation
    share[3] = share[:3].mean()
    np.testing.assert_allclose(design.per_block / design.block, share / share.sum(), atol=1 / design.block)
    # Σ w² s² / p, the variance of a pass, against its definition for each cell by itself.
    shares = design.per_block / design.block
    assert design.deviation**2 == pytest.approx(
        sum(w**2 * s**2 / p for w, s, p in zip(weights, spread, shares, strict=True))
    )
    assert mce_design(20).per_block.min() >= 1
    with pytest.raises(ValueError, match="needs images"):
        mce_design(0)


@pytest.mark.parametrize("informed", [False, True])
def test_unbiased_at_every_look_whatever_the_model_of_errors_says(informed: bool) -> None:
    """All orders of a population of 4 images and 2 cells, one of them twice as often: the mean over orders is the truth."""
    wrong = np.array([[1, 0], [0, 0], [1, 1], [0, 1]], dtype=bool)
    group = np.array([0, 1, 1, 1]) if informed else np.zeros(4, dtype=np.int64)
    design = SamplingDesign(np.array([3.0, 5.0]), np.array([0.9, 0.1]), np.array([1, 2]), 1.0, 4)
    totals = []
    for first, second in product(permutations(range(4), 2), permutations(range(4))):
        orders = [list(first), list(second)]
        columns, groups = [wrong[o, c] for c, o in enumerate(orders)], [group[o] for o in orders]
        totals.append(passes(Draws.of(design, columns, groups, np.bincount(group))).looks()[1])
    truth = 3 * 0.5 + 5 * 0.5
    np.testing.assert_allclose(np.mean(totals, axis=0), [truth, truth])


def test_passes_follow_the_definition() -> None:
    """Pass by pass, as the module's text says it, with the model fitted by a general optimiser."""
    design = SamplingDesign(np.array([3.0, 5.0]), np.array([0.7, 0.2]), np.array([2, 3]), 1.0, 60)
    wrong, group = population(np.array([0.6, 0.3]), 60, RNG)
    draws = drawn(design, wrong, 4, RNG, group)
    found, sizes = passes(draws), np.bincount(group)

    def fitted(seen: list[tuple[int, int, float]]) -> np.ndarray:
        prior = logit(design.expected)

        def loss(effects: np.ndarray) -> float:
            fit = sum(
                xlogy(y, expit(effects[c] + effects[2 + g])) + xlogy(1 - y, expit(-effects[c] - effects[2 + g]))
                for c, g, y in seen
            )
            penalty = ((effects[:2] - prior) ** 2).sum() / (2 * 0.5**2) + (effects[2:] ** 2).sum() / (2 * 3**2)
            return float(penalty - fit)

        best = optimize.minimize(loss, np.concatenate([prior, np.zeros(len(sizes))]), tol=1e-12).x
        return np.asarray(expit(best[:2, None] + best[2:]))

    rows = list(zip(draws.cell.tolist(), draws.group.tolist(), draws.wrong.tolist(), draws.block.tolist(), strict=True))
    refits = {block: fitted([row[:3] for row in rows if row[3] < block]) for block in (0, 1, 2)}
    for at, (c, g, y, block) in enumerate(rows):
        model = refits[(0, 1, 2, 2)[block]]
        past = [row for row in rows[:at] if row[0] == c]
        # In the order without replacement the images left have the mean (N r - Σ past) / (N - used).
        left = (60 - len(past)) / 60
        used = sum(row[2] - model[c, row[1]] for row in past) / 60
        expected = left * (y - model[c, g]) + used + model[c] @ sizes / 60
        assert found.estimate[at] == pytest.approx(expected, abs=2e-5)
        assert found.surprise[at] == pytest.approx(left * (y - model[c, g]), abs=2e-5)
    n, error, _ = found.cells()
    assert found.looks()[1][-1] == pytest.approx(design.weights @ error)  # the sum is one of the cells' estimates
    assert n.tolist() == [8, 12]


def test_all_images_in_all_cells_give_the_exact_score() -> None:
    wrong, group = population(np.array([0.6, 0.3, 0.8]), 50, RNG)
    design = SamplingDesign(np.array([3.0, 5.0, 0.0]), np.full(3, 0.5), np.array([10, 10, 10]), 1.0, 50)
    _, error, variance = passes(drawn(design, wrong, 5, RNG, group)).cells()
    # Not equal: each pass keeps the weight it had when the images left were many. Close, and within its own error.
    assert (np.abs(error - wrong.mean(axis=0)) < 4 * np.sqrt(variance)).all()


def test_the_bound_is_a_supermartingale_and_the_half_width_its_solution() -> None:
    # Fan, Grama & Liu 2015: exp(λξ + ξ² (λ + log(1 - λ))) ≤ 1 + λξ for ξ ≥ -1, λ in [0, 1). Expectation then gives ≤ 1.
    rate, surprise = np.meshgrid(np.linspace(0, 0.5, 51), np.linspace(-1, 1, 201))
    bound = np.exp(rate * surprise + surprise**2 * (rate + np.log1p(-rate)))
    assert (bound <= 1 + rate * surprise + 1e-12).all()
    sequence = ConfidenceSequence(target=0.5, deviation=57, largest=160)
    by_hand = []
    for finer, share in enumerate([0.9, *(0.1 / 2**k for k in range(1, 8))]):
        rate_ = 0.5 / 2**finer / 57**2
        psi = (-math.log(1 - 160 * rate_) - 160 * rate_) / 160**2
        by_hand.append((math.log(2 / (0.05 * share)) + psi * 57**2 * 100_000) / rate_ / 100_000)
    assert sequence.half_width(100_000, 57**2 * 100_000) == pytest.approx(min(by_hand))
    # Without Bernstein's correction the best λ takes 2 log(2 / 0.045) σ² / ε² passes: 1.98 times those of a fixed n.
    n = 2 * math.log(2 / 0.045) * 57**2 / 0.5**2
    assert sequence.half_width(n, 57**2 * n) == pytest.approx(0.5, rel=0.01)
    assert fixed_n_half_width(n, 57**2 * n) == pytest.approx(1.96 * 57 / n**0.5, rel=1e-4)


def test_passes_to_a_half_width() -> None:
    design = mce_design()
    sequence = ConfidenceSequence.of(design, 0.5)
    needed = sequence.passes_to(design)
    assert 90_000 < needed < 110_000
    fewer = ConfidenceSequence.of(design, 0.5, known=True).passes_to(design)
    assert fewer < 0.8 * needed  # three quarters of the variance
    assert sequence.passes_to(design, variance=design.deviation**2) == needed
    assert ConfidenceSequence.of(mce_design(1300), 0.1).passes_to(mce_design(1300)) is None  # 97,500 pairs in all


def test_groups_of_images() -> None:
    group, sizes = quantile_groups(np.array([3.0, np.nan, 1.0, 2.0, 4.0]), 2)
    assert group.tolist() == [1, 2, 0, 0, 1]
    assert sizes.tolist() == [2, 2, 1]
    assert quantile_groups(np.full(3, np.nan))[1].tolist() == [3]


def test_cells_of_other_lengths_are_refused() -> None:
    design = SamplingDesign(np.ones(2), np.full(2, 0.5), np.array([1, 2]), 1.0, 60)
    for lengths in ([1, 3], [2, 2]):
        with pytest.raises(ValueError, match="whole blocks"):
            Draws.of(design, [np.ones(n, dtype=bool) for n in lengths])


@pytest.mark.slow
def test_coverage_at_the_worst_moment() -> None:
    """A run stopped at whatever block is worst still covers: 5 % may miss, and in 200 runs 17 would be odd (binomial, 1 %)."""
    rng = np.random.default_rng(1)
    design, errors = mce_design(5_000), np.array(list(sampling.expected_errors()[0].values()))
    wrong, group = population(errors, 5_000, rng)
    truth = design.weights @ wrong.mean(axis=0)
    missed = fixed = 0
    for _ in range(200):
        n, total, squares = passes(drawn(design, wrong, 40, rng, group)).looks()
        missed += bool(
            (np.abs(total - truth) > ConfidenceSequence.of(design, 1.0, known=True).half_width(n, squares)).any()
        )
        fixed += bool(abs(total - truth)[-1] > fixed_n_half_width(n, squares)[-1])
    assert missed < 17
    assert fixed < 20
