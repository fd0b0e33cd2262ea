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

from harness.labels.label_maps import LabelMap, Rule
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
    members: tuple[tuple[int, ...], ...] | None = None
    """Model outputs that stand for each class, where several do; `columns` then holds the first of each. With the rule `open`
    there is one class more, of all other outputs, which no sample has."""
    rule: Rule = "max"
    """How the logits of several outputs make one."""

    @property
    def fingerprint(self) -> str:
        """Hash of the two maps: part of the key of stored predictions."""
        digest = hashlib.sha256(np.concatenate([self.columns, self.label_map]).astype("<i8").tobytes())
        if self.members is not None:
            digest.update(f"{self.rule} {self.members}".encode())
        return digest.hexdigest()[:16]

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
            f"None of the {len(read_in):,} classes of {read_in.owner} ({enumerated(read_in.classes, 3)}) is among the "
            f"model's {len(labels):,} outputs ({enumerated(outputs.classes, 3)})."
        )
    label_map = np.array([read_in.index(s) if s in read_in else -1 for s in space.classes], dtype=np.int64)
    how = "synset" if all(map(SYNSET.fullmatch, read_in.classes)) else "name"
    proof = f"{present:,} of {len(read_in):,} classes of {read_in.owner} found by {how}; {labels.proof}"
    return LabelSpaceProjection(name, columns, label_map, proof)


def _output(class_: str, position: Mapping[str, int], outputs: LabelSpace) -> int:
    """The output of a class, -1 where the model has none."""
    if class_ in position or SYNSET.fullmatch(class_):
        return position.get(class_, -1)
    found = [outputs.classes[index] for index in sorted(outputs.find(class_))]
    if len(found) > 1:
        raise UnprovenLabelsError(f"Several classes of the model are called '{class_}': {', '.join(found)}.")
    return position[found[0]] if found else -1


def project_through(labels: OutputLabels, space: LabelSpace, through: LabelMap) -> LabelSpaceProjection:
    """The classes of a label map, whose members are looked up among a model's outputs by synset or by name.

    Raises UnprovenLabelsError: the model has no output for any member, or several by the name of one.
    """
    position, outputs, known = labels.position(), labels.label_space(), label_space("imagenet-1k")
    members = []
    for names in through.classes.values():
        if through.of == "imagenet-1k":
            names = tuple(known.classes[index] for name in names for index in known.find(name))
        found = (_output(name, position, outputs) for name in names)
        members.append(tuple(sorted(output for output in found if output >= 0)))
    if not any(members):
        raise UnprovenLabelsError(
            f"None of the members of {space.name}'s {len(space):,} classes is among the model's {len(labels):,} outputs "
            f"({enumerated(outputs.classes, 3)})."
        )
    label_map = np.arange(len(space), dtype=np.int64)
    absent = [class_ for class_, outputs_ in zip(space.classes, members, strict=True) if not outputs_]
    proof = f"{sum(map(len, members)):,} outputs found for {len(space) - len(absent):,} of {len(space):,} classes; "
    proof += (f"none for {enumerated(absent)}; " if absent else "") + f"{through.describe()}; {labels.proof}"
    if through.rule == "open":
        mapped = {output for outputs_ in members for output in outputs_}
        members.append(tuple(output for output in range(len(labels)) if output not in mapped))
    columns = np.array([outputs_[0] if outputs_ else -1 for outputs_ in members], dtype=np.int64)
    return LabelSpaceProjection(CLOSED, columns, label_map, proof, tuple(members), through.rule)


def label_space_projections(
    labels: OutputLabels, space: LabelSpace, *, with_subsets: bool, through: LabelMap | None = None
) -> list[LabelSpaceProjection]:
    """The label spaces in which one model is read on a benchmark with classes `space`, the closed one first.

    `with_subsets` also reads the smaller label spaces inside the benchmark's. A model whose own classes are not the
    benchmark's is read through its label map.

    Raises UnprovenLabelsError: the model has none of the benchmark's classes.
    """
    if through is not None and not all(map(labels.label_space().find, space.classes)):
        return [project_through(labels, space, through)]
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
