"""Averages published errors on ImageNet-C, from which passes are shared out among the cells.

    python tests/fit_expected_errors.py robustness_top1s.csv

prints the `errors` and `deviations` of `harness/metrics/expected_errors.yaml`; the table is `robustness_top1s.csv` of
github.com/modestyachts/imagenet-testbed, the models are those of `harness/metrics/effective_robustness.yaml`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from harness.corruptions.names import IMAGENET_C, SEVERITIES
from harness.metrics.robustness import baseline_file


def averages(table: Path) -> dict[str, Any]:
    """The means over models of the error p in each cell, and of its standard deviation, the root of p (1 - p)."""
    accuracies = pd.read_csv(table, index_col="model").loc[baseline_file()["models"]]
    cells = {name: [f"imagenet-c.{name}.{severity}_on-disk" for severity in SEVERITIES] for name in IMAGENET_C}
    error = 1 - accuracies[[column for columns in cells.values() for column in columns]].dropna() / 100
    deviation = np.sqrt(error * (1 - error))

    def rounded(frame: pd.DataFrame) -> dict[str, list[float]]:
        return {name: [round(float(v), 3) for v in frame[columns].mean()] for name, columns in cells.items()}

    return {"models": len(error), "errors": rounded(error), "deviations": rounded(deviation)}


if __name__ == "__main__":
    yaml.safe_dump(averages(Path(sys.argv[1])), sys.stdout, sort_keys=False, default_flow_style=None)
