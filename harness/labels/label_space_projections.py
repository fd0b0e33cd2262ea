"""Readouts: the label spaces in which one forward pass is read, decided by benchmark and model, by synset.

- `closed`: logits restricted to the benchmark's own classes (ImageNet-A's authors' protocol; for a model and a
  benchmark with the same classes it is simply all logits).
- `open`: all outputs of the model, where it has more than the benchmark's classes.
- a subset's name, such as `imagenet-a-200`: logits restricted to those classes, for the images that belong to them;
  stored for imagenet-val so that the clean accuracy on A's and R's classes needs no second pass.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from harness.labels.projections import OutputLabels, project
from harness.labels.spaces import LABEL_SPACES, LabelSpace, label_space

CLOSED, OPEN = "closed", "open"


@dataclass(frozen=True, eq=False)
class LabelSpaceProjection:
    """How logits are read in one label space."""

    name: str
    columns: np.ndarray
    """int64 (classes,): model output of each class of this readout, -1 where the model has none."""
    label_map: np.ndarray
    """int64 (benchmark classes,): class index in this readout of each class of the benchmark, -1 where it is none."""
    proof: str

    @property
    def fingerprint(self) -> str:
        """Hash of the two maps: part of the key of stored predictions."""
        digest = hashlib.sha256()
        digest.update(np.ascontiguousarray(self.columns, dtype="<i8").tobytes())
        digest.update(np.ascontiguousarray(self.label_map, dtype="<i8").tobytes())
        return digest.hexdigest()[:16]

    @property
    def missing(self) -> int:
        """Classes of this readout that the model has no output for."""
        return int((self.columns < 0).sum())


def _subspaces(space: LabelSpace) -> list[LabelSpace]:
    """Known smaller spaces whose classes all belong to `space`."""
    others = (label_space(name) for name in LABEL_SPACES if name != space.name)
    return [other for other in others if len(other) < len(space) and all(s in space for s in other.synsets)]


def label_space_projections(
    labels: OutputLabels, benchmark_space: str, *, with_subsets: bool
) -> list[LabelSpaceProjection]:
    """The readouts of one model on one benchmark, the closed one first.

    Args:
        with_subsets: also read the smaller label spaces inside the benchmark's.

    Raises:
        UnprovenLabelsError: the model has none of the benchmark's classes.
    """
    space = label_space(benchmark_space)
    identity = np.arange(len(space), dtype=np.int64)
    closed = project(labels, space)
    specs = [LabelSpaceProjection(CLOSED, closed.columns, identity, closed.proof)]
    if (closed.columns >= 0).sum() < len(labels):
        everything = np.arange(len(labels), dtype=np.int64)
        specs.append(
            LabelSpaceProjection(OPEN, everything, closed.columns, f"all {len(labels):,} outputs; {labels.proof}")
        )
    if with_subsets:
        for subset in _subspaces(space):
            part = project(labels, subset)
            inside = np.array([subset.index(s) if s in subset else -1 for s in space.synsets], dtype=np.int64)
            specs.append(LabelSpaceProjection(subset.name, part.columns, inside, part.proof))
    return specs
