"""The label spaces in which one forward pass is read, decided by benchmark and model, by synset and never by position.

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

from harness.labels.outputs import OutputLabels, UnprovenLabelsError
from harness.labels.spaces import LABEL_SPACES, LabelSpace, descendants, label_space

CLOSED, OPEN = "closed", "open"


@dataclass(frozen=True, eq=False)
class LabelSpaceProjection:
    """How logits are read in one label space."""

    name: str
    columns: np.ndarray
    """int64 (classes,): model output of each class of this label space, -1 where the model has none."""
    label_map: np.ndarray
    """int64 (benchmark classes,): class index here of each class of the benchmark, -1 where it is none."""
    proof: str

    @property
    def fingerprint(self) -> str:
        """Hash of the two maps: part of the key of stored predictions."""
        return hashlib.sha256(np.concatenate([self.columns, self.label_map]).astype("<i8").tobytes()).hexdigest()[:16]

    @property
    def missing(self) -> int:
        """Classes of this label space that the model has no output for."""
        return int((self.columns < 0).sum())


def project(labels: OutputLabels, space: LabelSpace, name: str, read_in: LabelSpace) -> LabelSpaceProjection:
    """Look up each class of `read_in` among a model's outputs, by synset, for samples labelled in `space`.

    Raises UnprovenLabelsError: the model has none of these classes.
    """
    position = labels.position()
    columns = np.array([position.get(synset, -1) for synset in read_in.synsets], dtype=np.int64)
    present = int((columns >= 0).sum())
    if present == 0:
        raise UnprovenLabelsError(
            f"None of the {len(read_in):,} classes of {read_in.name} is among the model's outputs."
        )
    label_map = np.array([read_in.index(s) if s in read_in else -1 for s in space.synsets], dtype=np.int64)
    proof = f"{present:,} of {len(read_in):,} classes of {read_in.name} found by synset; {labels.proof}"
    return LabelSpaceProjection(name, columns, label_map, proof)


def label_space_projections(
    labels: OutputLabels, benchmark_space: str, *, with_subsets: bool
) -> list[LabelSpaceProjection]:
    """The label spaces in which one model is read on one benchmark, the closed one first.

    `with_subsets` also reads the smaller label spaces inside the benchmark's.

    Raises UnprovenLabelsError: the model has none of the benchmark's classes.
    """
    space = label_space(benchmark_space)
    closed = project(labels, space, CLOSED, space)
    found = [closed]
    if len(closed.columns) - closed.missing < len(labels):
        proof = f"all {len(labels):,} outputs; {labels.proof}"
        found.append(LabelSpaceProjection(OPEN, np.arange(len(labels), dtype=np.int64), closed.columns, proof))
    if with_subsets:
        smaller = [other for other in map(label_space, LABEL_SPACES) if set(other.synsets) < set(space.synsets)]
        found += [project(labels, space, subset.name, subset) for subset in smaller]
    return found


def descendant_outputs(labels: OutputLabels, space: LabelSpace) -> list[frozenset[int]]:
    """For each class of `space`, the model outputs that are that class or below it in WordNet."""
    position = labels.position()
    return [frozenset(position[s] for s in descendants(synset) if s in position) for synset in space.synsets]
