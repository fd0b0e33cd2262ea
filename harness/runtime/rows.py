"""What the engine hands to the store. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.metrics.types import LabelSpacePredictions


@dataclass(frozen=True)
class ShardRows:
    """The rows of one shard."""

    sample_id: Sequence[str]
    digest: Sequence[str]
    """SHA-256 of the encoded image, hexadecimal."""
    label: np.ndarray
    """int32 (n,): class index in the benchmark's label space."""
    error: Sequence[str | None]
    """Why an image could not be read; its columns of predictions then hold -1 and NaN."""
    predictions: dict[str, LabelSpacePredictions]
    logits: np.ndarray | None = None
    """float16 (n, outputs), where all logits are kept."""
