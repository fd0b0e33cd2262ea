"""Non-inferiority tests: against the definition, and their size and power where the truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, stats

from harness.metrics.noninferiority import deciding_n, paired_score, share_p_values, unpaired_score
from harness.metrics.paired import PairedCounts


def table(both: int, gained: int, lost: int, neither: int) -> PairedCounts:
    return PairedCounts(*(np.array([count]) for count in (both, gained, lost, neither)))


def score_by_definition(counts: PairedCounts, margin: float) -> float:
    """The score statistic with the nuisance parameter found by maximising the likelihood numerically."""
    n, gained, lost = (float(part[0]) for part in (counts.n, counts.only_first, counts.only_other))
    same = n - gained - lost

    def minus_likelihood(rate: float) -> float:  # P(lost) = rate, P(gained) = rate - margin
        return -(gained * np.log(rate - margin) + lost * np.log(rate) + same * np.log(1 - 2 * rate + margin))

    bounds = (margin + 1e-9, (1 + margin) / 2 - 1e-9)
    rate = optimize.minimize_scalar(minus_likelihood, bounds=bounds, method="bounded", options={"xatol": 1e-12}).x
    return float((gained - lost + n * margin) / np.sqrt(n * (2 * rate - margin - margin**2)))


@pytest.mark.parametrize("counts", [(700, 20, 45, 235), (38, 5, 5, 2), (900, 0, 12, 88), (400, 100, 30, 470)])
@pytest.mark.parametrize("margin", [0.005, 0.02, 0.1])
def test_the_score_is_that_of_the_likelihood(counts: tuple[int, int, int, int], margin: float) -> None:
    assert paired_score(table(*counts), margin)[0] == pytest.approx(
        score_by_definition(table(*counts), margin), abs=1e-4
    )


def test_without_a_margin_it_is_mcnemar_s_statistic() -> None:
    assert paired_score(table(50, 30, 10, 10), 0)[0] == pytest.approx(20 / np.sqrt(40))
    assert paired_score(table(50, 0, 0, 50), 0)[0] == 0


def drawn(n: int, gained: float, lost: float, seed: int = 0, times: int = 20_000) -> PairedCounts:
    cells = np.random.default_rng(seed).multinomial(n, [0.7, gained, lost, 0.3 - gained - lost], size=times)
    return PairedCounts(*cells.T)


@pytest.mark.parametrize(("n", "gained", "margin"), [(300, 0.02, 0.05), (2000, 0.05, 0.01), (50_000, 0.03, 0.005)])
def test_at_the_margin_it_passes_and_fails_in_at_most_5_percent(n: int, gained: float, margin: float) -> None:
    scores = paired_score(drawn(n, gained, gained + margin), margin)
    noise = 3 * np.sqrt(0.05 * 0.95 / len(scores))
    for direction in (1, -1):
        assert np.mean(stats.norm.sf(direction * scores) <= 0.05) <= 0.05 + 0.004 + noise  # the score test's own error


@pytest.mark.parametrize(("gained", "lost"), [(0.03, 0.03), (0.02, 0.045)])
def test_the_number_that_would_decide_decides_with_a_chance_of_80_percent(gained: float, lost: float) -> None:
    margin, n = 0.01, 1000
    (score,) = paired_score(table(700, int(n * gained), int(n * lost), 300 - int(n * gained) - int(n * lost)), margin)
    needed = deciding_n(score, n, 0.05)
    scores = paired_score(drawn(needed, gained, lost), margin)
    assert np.mean(stats.norm.sf(np.sign(score) * scores) <= 0.05) == pytest.approx(0.8, abs=0.03)


def test_at_the_margin_no_number_decides() -> None:
    assert deciding_n(0.0, 1000, 0.05) is None


def test_unpaired_it_is_the_interval_that_touches_the_margin() -> None:
    # accuracies 80 ± 2 and 81 ± 2: the difference's lower bound is 1 + √8 below
    at_the_bound = 1 + np.sqrt(8)
    assert unpaired_score((80, 78, 82), (81, 79, 83), at_the_bound, 1.96) == pytest.approx(1.96)
    assert unpaired_score((80, 78, 82), (81, 79, 83), 0, 1.96) == pytest.approx(-1.96 / np.sqrt(8))


def test_shares_are_tested_exactly() -> None:
    passing, failing = share_p_values(3, 1000, 0.01)
    assert passing == pytest.approx(stats.binomtest(3, 1000, 0.01, alternative="less").pvalue)
    assert failing == pytest.approx(stats.binomtest(3, 1000, 0.01, alternative="greater").pvalue)
