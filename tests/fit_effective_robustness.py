"""Fits the baselines of effective robustness from the testbed's table of published models.

    python tests/fit_effective_robustness.py robustness_top1s.csv

prints the `baselines` block of `harness/metrics/effective_robustness.yaml`; what is fitted to which models is in that
file. The table is `robustness_top1s.csv` of github.com/modestyachts/imagenet-testbed.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from scipy.special import logit
from scipy.stats import linregress

from harness.metrics.robustness import baseline_file


def fit(table: Path) -> dict[str, Any]:
    """The `baselines` block, fitted to the shipped list of standard models."""
    shipped = baseline_file()
    accuracies = pd.read_csv(table, index_col="model").loc[shipped["models"]]
    baselines = {}
    for name, entry in shipped["baselines"].items():
        columns = [entry["reference_column"], entry["column"]]
        points = accuracies[columns].dropna()
        points = points[points[columns[1]] > 0]  # the logit of 0 is infinite
        knots = [line["above"] for line in entry["lines"]]
        lines = []
        for above, below in zip(knots, [*knots[1:], 100], strict=True):
            x, y = points[(points[columns[0]] > above) & (points[columns[0]] <= below)].to_numpy().T / 100
            line = linregress(logit(x), logit(y))
            residuals = logit(y) - line.slope * logit(x) - line.intercept
            lines.append(
                {
                    "above": above,
                    "slope": round(float(line.slope), 6),
                    "intercept": round(float(line.intercept), 6),
                    "residual_sd": round(float((residuals @ residuals / (len(x) - 2)) ** 0.5), 6),
                    "n_models": len(x),
                    "lowest": round(100 * float(x.min()), 3),
                    "highest": round(100 * float(x.max()), 3),
                }
            )
        baselines[name] = {**entry, "lines": lines}
    return baselines


if __name__ == "__main__":
    yaml.safe_dump({"baselines": fit(Path(sys.argv[1]))}, sys.stdout, sort_keys=False)
