"""How often `harness check` passes and fails where the truth is known.

Usage: python tests/benchmarks/gate.py [REPEATS]

Flips published predictions of the 50,000 validation images at random, at known rates, and tests each time whether the new model
lost more than 0.5 points; and with flips limited to 2 %. Prints the shares of passes and fails beside what they may be.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from harness.metrics.noninferiority import deciding_n, paired_score, share_p_values
from harness.metrics.paired import PairedCounts

PUBLISHED = Path(__file__).resolve().parents[3] / "shared" / "data" / "published-predictions"
MARGIN = 0.005
ALPHA = 0.05


def flipped(right: np.ndarray, lost: float, gained: float, repeats: int, seed: int = 0) -> PairedCounts:
    """Outcomes of a model that gets each right sample wrong with chance `lost`, and each wrong one right with `gained`."""
    generator = np.random.default_rng(seed)
    chance = np.where(right, lost, gained)
    cells = np.empty((repeats, 4), dtype=np.int64)
    for row in cells:
        new = right ^ (generator.random(len(right)) < chance)
        row[:] = (right & new).sum(), (new & ~right).sum(), (right & ~new).sum(), (~right & ~new).sum()
    return PairedCounts(*cells.T)


def main() -> None:
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    frame = pd.read_parquet(PUBLISHED / "imagenet-val.parquet")
    print(f"{'model':14}{'true loss':>10}{'flips':>7}{'passes':>9}{'fails':>9}{'expected':>26}")
    for model in ("alexnet", "resnet50", "resnet152"):
        right = np.array([ranked[0] for ranked in frame[model]]) == frame["label"].to_numpy()
        accuracy = right.mean()
        for loss in (0.0, 0.0025, MARGIN, 0.0075):
            gained = 0.02 / (1 - accuracy)  # 2 % of all samples become right
            lost = (0.02 + loss) / accuracy
            counts = flipped(right, lost, gained, repeats)
            scores = paired_score(counts, MARGIN)
            passes, fails = (stats.norm.sf(sign * scores) <= ALPHA for sign in (1, -1))
            spread = np.sqrt((0.04 + loss) / len(right))
            z = stats.norm.isf(ALPHA)
            powers = (stats.norm.cdf(sign * (MARGIN - loss) / spread - z) for sign in (1, -1))
            said = " / ".join(f"{power:.3f}" for power in powers)
            print(
                f"{model:14}{100 * loss:>9.2f}%{4 + 100 * loss:>6.1f}%{passes.mean():>9.3f}{fails.mean():>9.3f}{said:>26}"
            )
    n = len(frame)
    at_limit = np.random.default_rng(1).binomial(n, 0.02, repeats)
    tested = np.array([share_p_values(int(count), n, 0.02) for count in at_limit]) <= ALPHA
    print(f"flips at their limit of 2 %: passes {tested[:, 0].mean():.3f}, fails {tested[:, 1].mean():.3f}")
    print(f"samples that decide a score of 1 on {n:,}: {deciding_n(1.0, n, ALPHA):,}")


if __name__ == "__main__":
    main()
