"""The groups that samples fall into by one slicing, or by several that are crossed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from harness.data.groupings import Grouping, Subjects, grouping
from harness.data.slicefiles import SliceFile, slug
from harness.data.slicings import split_reference
from harness.errors import ExitCode, HarnessError, MissingInputError
from harness.evaluation.slice_requests import slicing_name
from harness.metrics.slices import Slicing, interaction, slicing_from_frame

MOST_PAIRS = 5000
"""Groups that an interaction may have; more are too small to say anything, and take long."""


@dataclass(frozen=True, eq=False)
class Groups:
    """The groups of a target by one slicing, or by several that are crossed."""

    name: str
    """As in evidence keys."""
    slicing: Slicing
    parts: tuple[Grouping, ...]
    is_from_file: bool

    @property
    def title(self) -> str:
        return " × ".join(part.title for part in self.parts)

    @property
    def fingerprint(self) -> str:
        return "+".join(part.fingerprint for part in self.parts)

    @property
    def note(self) -> str | None:
        return "; ".join(dict.fromkeys(part.note for part in self.parts if part.note)) or None

    @property
    def file_note(self) -> str | None:
        return f"{self.title}: {self.note}." if self.is_from_file and self.note else None

    def words(self, group: str) -> str:
        """What a group is called for people."""
        names = group.split(" × ") if len(self.parts) > 1 else [group]
        pairs = zip(names, self.parts, strict=True)
        return " × ".join((part.titles or {}).get(name, name) for name, part in pairs)

    def published(self, group: str, n: int, *, whole: bool) -> int | None:
        """Samples that the whole benchmark has in a group."""
        if len(self.parts) > 1:
            return n if whole else None
        counts = self.parts[0].published
        if counts is None:
            return n if whole else None
        return counts.get(group)

    def keys(self) -> dict[str, str]:
        """Each group's name in evidence keys; names that become alike are numbered."""
        made: Counter[str] = Counter()
        keys = {}
        for group in self.slicing.groups:
            names = group.split(" × ") if len(self.parts) > 1 else [group]
            key = "+".join(slug(name) for name in names)
            made[key] += 1
            keys[group] = key if made[key] == 1 else f"{key}-{made[key]}"
        return keys


def groups_by(references: Sequence[str], subjects: Subjects, file: SliceFile | None) -> Groups:
    """The groups of samples by one slicing, or by several that are crossed.

    Raises:
        MissingInputError: annotations or images that it needs are not here.
        HarnessError: a fault in the user's file, an unknown slicing or group, or too many pairs of groups.
    """
    columns = file.columns if file is not None else {}
    parts = []
    for reference in references:
        if file is not None and split_reference(reference)[0] in columns:
            parts.append(file.grouping(reference, subjects.benchmark, subjects.sample_ids))
        else:
            parts.append(grouping(reference, subjects))
    try:
        made = [slicing_from_frame(part.name, part.frame, subjects.sample_ids) for part in parts]
    except ValueError as error:
        raise MissingInputError(
            f"{str(error)[0].upper()}{str(error)[1:]}.", remedy="Give images under their published names."
        ) from error
    pairs = int(np.prod([len(slicing.groups) for slicing in made])) if len(made) > 1 else 0
    slicing = reduce(interaction, made)
    if pairs and len(slicing.groups) > MOST_PAIRS:
        raise HarnessError(
            f"{' × '.join(references)} gives {len(slicing.groups):,} groups; {MOST_PAIRS:,} at most are compared.",
            remedy="Cross coarser slicings, or one group: --by wordnet/n02084071.",
            exit_code=ExitCode.USAGE,
        )
    from_file = any(split_reference(reference)[0] in columns for reference in references)
    return Groups(slicing_name(references), slicing, tuple(parts), from_file)
