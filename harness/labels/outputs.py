"""Which synset each output of a model stands for, proven from the names that its checkpoint carries.

Where the names don't prove it, the error says why. Position alone never counts: a list of 1,000 names in another order
gives other labels, and names that fit no order give an error.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from harness.errors import ExitCode, HarnessError
from harness.labels.spaces import LABEL_SPACES, label_space, lemmas

_WNID = re.compile(r"n\d{8}")
_BACKGROUND = {"background", "__background__", "none", "dummy"}
_MIN_MATCHED = 0.95
"""Share of outputs whose name must be a known lemma; published name lists differ in a few spellings."""


class UnprovenLabelsError(HarnessError):
    """The names a checkpoint carries don't say which class is which."""

    def __init__(self, message: str) -> None:
        super().__init__(
            message,
            remedy="If you know the order of the outputs, name it with --labels "
            f"({', '.join(LABEL_SPACES)}, or one of them followed by +background).",
            exit_code=ExitCode.MISSING,
        )


@dataclass(frozen=True)
class OutputLabels:
    """What each output of a model stands for."""

    space: str
    """Name of the label space, or "custom" for another order or selection of synsets."""
    synsets: tuple[str | None, ...]
    """One a model output; None for an output that is no synset, such as a background class."""
    proof: str
    """How this is known, as a sentence for the protocol."""

    def __len__(self) -> int:
        return len(self.synsets)

    def position(self) -> dict[str, int]:
        """Output index of each synset."""
        return {synset: index for index, synset in enumerate(self.synsets) if synset is not None}


def declared_outputs(name: str, num_outputs: int, *, proof: str) -> OutputLabels:
    """The outputs of a model whose label space is stated (by the user, or by a cited source).

    `name` is a label space, or one followed by "+background" for a head with a background class at index 0.

    Raises HarnessError: unknown space, or its length is not `num_outputs`.
    """
    base = name.removesuffix("+background")
    synsets = (*((None,) if base != name else ()), *label_space(base).synsets)
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


def _fold(name: str) -> str:
    return re.sub(r"[\s_\-]+", " ", name).strip().casefold()


@cache
def _by_lemma(space: str) -> Mapping[str, frozenset[int]]:
    """Class indices of a space that go by a name: by the whole lemma string, or by any one of its lemmas."""
    known = defaultdict[str, set[int]](set)
    for index, synset in enumerate(label_space(space).synsets):
        text = lemmas().get(synset, "")
        for name in {text, *text.split(",")}:
            if name.strip():
                known[_fold(name)].add(index)
    return {name: frozenset(indices) for name, indices in known.items()}


def _candidates(name: str, space: str) -> frozenset[int]:
    """Classes that `name` can mean. A list of lemmas means the classes that share the most of them."""
    known = _by_lemma(space)
    if whole := known.get(_fold(name)):
        return whole
    votes = Counter(index for part in name.split(",") for index in known.get(_fold(part), ()))
    most = max(votes.values(), default=0)
    return frozenset(index for index, count in votes.items() if count == most)


def prove_outputs(names: Sequence[str], note: str | None = None) -> OutputLabels:
    """Find the synset of every output from the names a checkpoint carries.

    Args:
        names: one a model output: WordNet ids, or class names as published with ImageNet.
        note: something a reader of the proof should know, from `names_by_output`.

    Raises UnprovenLabelsError: the names are placeholders, belong to other data, or contradict every known order; the
    message shows the first contradictions.
    """
    offset = 1 if names and _fold(names[0]) in _BACKGROUND else 0
    background: tuple[None, ...] = (None,) * offset
    body = list(names[offset:])
    note = f"; {note}" if note else ""
    remarks = (", after a background class" if offset else "") + note

    if body and all(_WNID.fullmatch(name.strip()) for name in body):
        synsets = tuple(name.strip() for name in body)
        if len(set(synsets)) != len(synsets):
            raise UnprovenLabelsError("The checkpoint's label names are WordNet ids, but some occur twice.")
        space = next((s for s in LABEL_SPACES if label_space(s).synsets == synsets), "custom")
        proof = f"the checkpoint's labels are WordNet ids{remarks}"
        return OutputLabels(space + "+background" * offset, background + synsets, proof)

    problems: list[str] = []
    for space in LABEL_SPACES:
        target = label_space(space)
        if len(body) != len(target):
            continue
        candidates = [_candidates(name, space) for name in body]
        matched = [index for index, found in enumerate(candidates) if index in found]
        wrong = [index for index, found in enumerate(candidates) if found and index not in found]
        if not wrong and len(matched) >= _MIN_MATCHED * len(body):
            proof = (
                f"{len(matched):,} of {len(body):,} label names are lemmas of the {space} synset at their index, "
                f"none is a lemma of another{remarks}"
            )
            return OutputLabels(space + "+background" * offset, background + target.synsets, proof)
        order = _unique_order(candidates)
        if order is not None:
            proof = f"every label name is the lemma of one {space} synset, in another order{remarks}"
            return OutputLabels("custom", background + tuple(target.synsets[index] for index in order), proof)
        if wrong:
            shown = "; ".join(
                f"output {index + offset} is called '{body[index]}', that class is '{lemmas()[target.synsets[index]]}'"
                for index in wrong[:3]
            )
            problems.append(f"{len(wrong):,} of {len(body):,} names contradict {space} ({shown})")
        else:
            problems.append(f"only {len(matched):,} of {len(body):,} names are known lemmas of {space}")
    if not problems:
        sizes = ", ".join(f"{s}: {len(label_space(s)):,}" for s in LABEL_SPACES)
        problems.append(f"no known label space has {len(body):,} classes ({sizes})")
    raise UnprovenLabelsError(f"The label space of this model can't be proven: {'; '.join(problems)}{note}.")


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
