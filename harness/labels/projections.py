"""The label spaces in which one forward pass is read, decided by benchmark and model, by synset or name and never by position.

- `closed`: logits restricted to the benchmark's own classes (ImageNet-A's authors' protocol; for a model and a
  benchmark with the same classes it is simply all logits).
- `open`: all outputs of the model, where it has more than the benchmark's classes.
- a subset's name, such as `imagenet-a-200`: logits restricted to those classes, for the images that belong to them;
  stored for imagenet-val so that the clean accuracy on A's and R's classes needs no second pass.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from harness.labels.outputs import OutputLabels, UnprovenLabelsError
from harness.labels.spaces import LABEL_SPACES, SYNSET, LabelSpace, descendants, enumerated, label_space

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
    """Look up each class of `read_in` among a model's outputs, by synset or by name, for samples labelled in `space`.

    Raises UnprovenLabelsError: the model has none of these classes, or several outputs by the name of one.
    """
    position, outputs = labels.position(), labels.label_space()
    columns = np.array([_output(class_, position, outputs) for class_ in read_in.classes], dtype=np.int64)
    present = int((columns >= 0).sum())
    if present == 0:
        raise UnprovenLabelsError(
            f"None of the {len(read_in):,} classes of {read_in.name} ({enumerated(read_in.classes, 3)}) is among the "
            f"model's {len(labels):,} outputs ({enumerated(outputs.classes, 3)})."
        )
    label_map = np.array([read_in.index(s) if s in read_in else -1 for s in space.classes], dtype=np.int64)
    how = "synset" if all(map(SYNSET.fullmatch, read_in.classes)) else "name"
    proof = f"{present:,} of {len(read_in):,} classes of {read_in.name} found by {how}; {labels.proof}"
    return LabelSpaceProjection(name, columns, label_map, proof)


def _output(class_: str, position: Mapping[str, int], outputs: LabelSpace) -> int:
    """The output of a class, -1 where the model has none."""
    if class_ in position or SYNSET.fullmatch(class_):
        return position.get(class_, -1)
    found = [outputs.classes[index] for index in sorted(outputs.find(class_))]
    if len(found) > 1:
        raise UnprovenLabelsError(f"Several classes of the model are called '{class_}': {', '.join(found)}.")
    return position[found[0]] if found else -1


def label_space_projections(
    labels: OutputLabels, space: LabelSpace, *, with_subsets: bool
) -> list[LabelSpaceProjection]:
    """The label spaces in which one model is read on a benchmark with classes `space`, the closed one first.

    `with_subsets` also reads the smaller label spaces inside the benchmark's.

    Raises UnprovenLabelsError: the model has none of the benchmark's classes.
    """
    closed = project(labels, space, CLOSED, space)
    found = [closed]
    if len(closed.columns) - closed.missing < len(labels):
        proof = f"all {len(labels):,} outputs; {labels.proof}"
        found.append(LabelSpaceProjection(OPEN, np.arange(len(labels), dtype=np.int64), closed.columns, proof))
    if with_subsets:
        smaller = [other for other in map(label_space, LABEL_SPACES) if set(other.classes) < set(space.classes)]
        found += [project(labels, space, subset.name, subset) for subset in smaller]
    return found


def descendant_outputs(labels: OutputLabels, space: LabelSpace) -> list[frozenset[int]]:
    """For each class of `space`, the model outputs that are that class or below it in WordNet."""
    position = labels.position()
    return [frozenset(position[s] for s in descendants(synset) if s in position) for synset in space.classes]
