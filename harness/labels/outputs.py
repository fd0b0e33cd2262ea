"""Which class each output of a model stands for, proven from the names that its checkpoint carries.

Where the names don't prove it, the error says why. Position alone never counts: a list of 1,000 names in another order
gives other labels, and names that fit no order give an error. Names that are not ImageNet's are classes of the model's own.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from harness.errors import ExitCode, HarnessError
from harness.labels.spaces import LABEL_SPACES, OWN, SYNSET, LabelSpace, enumerated, folded, label_space, lemmas

_PLACEHOLDER = re.compile(r"label[ _-]?\d+|class[ _-]?\d+", re.IGNORECASE)
"""What libraries call outputs that nobody has named."""
_BACKGROUND = {"background", "__background__", "none", "dummy"}
_MIN_MATCHED = 0.95
"""Share of outputs whose name must be a known lemma; published name lists differ in a few spellings."""
_ABOUT_IMAGENET = 0.5
"""Share of names that are lemmas, from which a list as long as a known one is taken for it, and must fit it."""


SEVERAL = "; trained to find several classes in an image (problem_type), of which the best one is read"
"""End of the proof where each output has a probability of its own."""


class UnprovenLabelsError(HarnessError):
    """The names a checkpoint carries don't say which class is which."""

    def __init__(self, message: str) -> None:
        super().__init__(
            message,
            remedy="If you know the order of the outputs, say it with --labels: the name of a label space "
            f"({', '.join(LABEL_SPACES)}, or one of them followed by +background), or every class in the order of the outputs (of a single output that says yes or no: first what no means).",
            exit_code=ExitCode.MISSING,
        )


@dataclass(frozen=True)
class OutputLabels:
    """What each output of a model stands for."""

    space: str
    """Name of the label space, "custom" for another order or selection of synsets, or "own" for classes by their names."""
    classes: tuple[str | None, ...]
    """One a model output: a synset, or a name of the model's own; None for an output that is no class, such as a background."""
    proof: str
    """How this is known, as a sentence for the protocol."""

    def __len__(self) -> int:
        return len(self.classes)

    @property
    def has_several(self) -> bool:
        """Whether an image may have several of the classes, so that the softmax over them is no probability."""
        return self.proof.endswith(SEVERAL)

    def position(self) -> dict[str, int]:
        """Output index of each synset."""
        return {class_: index for index, class_ in enumerate(self.classes) if class_ is not None}

    def label_space(self) -> LabelSpace:
        """The model's classes as a label space of their own, in the order of the outputs."""
        base = self.space.removesuffix("+background")
        return label_space(base) if base in LABEL_SPACES else LabelSpace(base, tuple(filter(None, self.classes)))


def declared_outputs(stated: str | Sequence[str], num_outputs: int, *, proof: str) -> OutputLabels:
    """The outputs of a model whose labels are stated (by the user, or by a cited source).

    `stated` is a label space, or one followed by "+background" for a head with a background class at index 0; or the
    classes themselves, one an output; two for a single output that says yes or no, first what no means.

    Raises HarnessError: unknown space, names that prove nothing, or another number of them than `num_outputs`.
    """
    if not isinstance(stated, str):
        if num_outputs == 1 and len(stated) == 2:
            proof = f"{proof}; the one output is read as the log-odds of {stated[1]} against {stated[0]}"
        elif len(stated) != num_outputs:
            message = (
                f"The model has {num_outputs:,} outputs, but {len(stated):,} labels are given: {enumerated(stated)}."
            )
            raise HarnessError(message, remedy="Give one label an output, in their order.", exit_code=ExitCode.MISSING)
        return replace(prove_outputs(stated), proof=proof)
    name = stated
    base = name.removesuffix("+background")
    synsets = (*((None,) if base != name else ()), *label_space(base).classes)
    if len(synsets) != num_outputs:
        message = f"The model has {num_outputs:,} outputs, but {name} has {len(synsets):,} classes."
        remedy = "Name the label space the checkpoint was trained with, or use another checkpoint."
        raise HarnessError(message, remedy=remedy, exit_code=ExitCode.MISSING)
    return OutputLabels(name, synsets, proof)


def names_by_output(id2label: Mapping[int, str], num_outputs: int) -> tuple[list[str], str | None]:
    """The names of a Hub configuration in the order of the outputs, and a note where its keys are odd.

    A published 22k configuration drops two keys of a longer list without renumbering the rest. There the keys are no
    output indices, but their order still is the order of the outputs; whether that reading is right is proven
    afterwards, name by name.

    Raises UnprovenLabelsError: another number of names than of outputs.
    """
    if len(id2label) != num_outputs:
        raise UnprovenLabelsError(
            f"id2label has {len(id2label):,} names for {num_outputs:,} outputs, so it can't say which output is which."
        )
    keys = sorted(id2label)
    names = [id2label[key] for key in keys]
    if keys == list(range(num_outputs)):
        return names, None
    holes = sorted(set(range(keys[-1] + 1)) - set(keys))[:5]
    return names, f"id2label skips {holes} and runs to {keys[-1]}: its names were renumbered in order"


def check_label2id(id2label: Mapping[int, str], label2id: Mapping[str, int]) -> None:
    """Compare the two directions of a Hub configuration; placeholders that were left in one of them say nothing.

    Raises UnprovenLabelsError: they name an output differently.
    """
    for name, index in label2id.items():
        if not _PLACEHOLDER.fullmatch(name) and (other := id2label.get(int(index))) != name:
            message = f"label2id says that output {index} is '{name}', id2label that it is '{other}'"
            raise UnprovenLabelsError(f"The checkpoint's configuration contradicts itself: {message}.")


def prove_outputs(names: Sequence[str], note: str | None = None) -> OutputLabels:
    """Find the class of every output from the names a checkpoint carries.

    Args:
        names: one a model output: WordNet ids, class names as published with ImageNet, or names of the model's own.
        note: something a reader of the proof should know, from `names_by_output`.

    Raises UnprovenLabelsError: the names are placeholders, one comes twice, or they are ImageNet's and contradict every
    known order; the message shows the first contradictions.
    """
    offset = 1 if names and folded(names[0]) in _BACKGROUND else 0
    background: tuple[None, ...] = (None,) * offset
    body = list(names[offset:])
    note = f"; {note}" if note else ""
    remarks = (", after a background class" if offset else "") + note

    if body and all(SYNSET.fullmatch(name.strip()) for name in body):
        synsets = tuple(name.strip() for name in body)
        if len(set(synsets)) != len(synsets):
            raise UnprovenLabelsError("The checkpoint's label names are WordNet ids, but some occur twice.")
        space = next((s for s in LABEL_SPACES if label_space(s).classes == synsets), "custom")
        proof = f"the checkpoint's labels are WordNet ids{remarks}"
        return OutputLabels(space + "+background" * offset, background + synsets, proof)

    problems: list[str] = []
    for space in LABEL_SPACES:
        target = label_space(space)
        if len(body) != len(target):
            continue
        candidates = [target.find(name) for name in body]
        if sum(map(bool, candidates)) < _ABOUT_IMAGENET * len(body):
            continue
        matched = [index for index, found in enumerate(candidates) if index in found]
        wrong = [index for index, found in enumerate(candidates) if found and index not in found]
        if not wrong and len(matched) >= _MIN_MATCHED * len(body):
            proof = (
                f"{len(matched):,} of {len(body):,} label names are lemmas of the {space} synset at their index, "
                f"none is a lemma of another{remarks}"
            )
            return OutputLabels(space + "+background" * offset, background + target.classes, proof)
        order = _unique_order(candidates)
        if order is not None:
            proof = f"every label name is the lemma of one {space} synset, in another order{remarks}"
            return OutputLabels("custom", background + tuple(target.classes[index] for index in order), proof)
        if wrong:
            shown = "; ".join(
                f"output {index + offset} is called '{body[index]}', that class is '{lemmas()[target.classes[index]]}'"
                for index in wrong[:3]
            )
            problems.append(f"{len(wrong):,} of {len(body):,} names contradict {space} ({shown})")
        else:
            problems.append(f"only {len(matched):,} of {len(body):,} names are known lemmas of {space}")
    if not problems:
        return _own_classes(names, note)
    raise UnprovenLabelsError(f"The label space of this model can't be proven: {'; '.join(problems)}{note}.")


def _own_classes(names: Sequence[str], note: str) -> OutputLabels:
    """Outputs that stand for classes of the model's own, by their names."""
    if len(names) < 2:
        why = "one class, and nothing says what its absence means" if names else "0 classes"
        raise UnprovenLabelsError(f"The checkpoint names {why}.")
    unnamed = [name for name in names if not name.strip() or _PLACEHOLDER.fullmatch(name.strip())]
    if unnamed:
        message = (
            f"{len(unnamed):,} of the {len(names):,} outputs have no name but a placeholder such as '{unnamed[0]}'"
        )
        raise UnprovenLabelsError(f"{message}, so nothing says which class is which.")
    first: dict[str, int] = {}
    for index, name in enumerate(names):
        if (other := first.setdefault(folded(name), index)) != index:
            raise UnprovenLabelsError(f"The outputs {other} and {index} are both called '{name}'.")
    if note:
        message = "The names are of no known label space, so nothing proves which output each one means"
        raise UnprovenLabelsError(f"{message}{note}. The keys of id2label must count from 0.")
    return OutputLabels(OWN, tuple(names), f"the checkpoint names its {len(names):,} classes itself")


def _unique_order(candidates: Sequence[frozenset[int]]) -> list[int] | None:
    """The one assignment of names to classes, found by eliminating taken classes; None where it is not unique."""
    open_sets = [set(found) for found in candidates]
    holders = defaultdict[int, list[int]](list)
    for position, found in enumerate(open_sets):
        for index in found:
            holders[index].append(position)
    order: dict[int, int] = {}
    ready = [position for position, found in enumerate(open_sets) if len(found) == 1]
    while ready:
        position = ready.pop()
        if not open_sets[position]:  # another name took its only class
            return None
        (order[position],) = open_sets[position]
        for other in holders[order[position]]:
            if other != position and order[position] in open_sets[other]:
                open_sets[other].remove(order[position])
                if len(open_sets[other]) == 1:
                    ready.append(other)
    return [order[position] for position in range(len(candidates))] if len(order) == len(candidates) else None
