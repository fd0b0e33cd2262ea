"""Label maps: how a model's outputs are read in the classes of a benchmark that are not its own, such as "dog" of 116 breeds.

A map lists, for each class, the classes of ImageNet-1k (or of the model) that stand for it, by synset or by name, and says how
their logits make one, as the benchmark's authors define it:

- `sum` and `mean`: the sum or the mean of the members' probabilities; the best class is that with the highest.
- `max`: the best of all members, whichever class it belongs to.
- `open`: the best of all of the model's outputs; right only if it is a member of the right class.

The shipped maps are YAML files in `maps/`, with the place where the authors' list was read.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, model_validator

from harness.errors import require_known
from harness.labels.spaces import LabelSpace, enumerated, folded, label_space
from harness.parsing.yaml import read_yaml

Rule = Literal["sum", "mean", "max", "open"]


class LabelMap(BaseModel, extra="forbid", frozen=True):
    """The classes of a benchmark in those of a model."""

    title: str = "a label map"
    rule: Rule
    source: str = "its owner"
    """Where the list was read."""
    of: Literal["imagenet-1k", "model"] = "imagenet-1k"
    """What the members are classes of."""
    classes: dict[str, tuple[str, ...]] = Field(min_length=2)
    """Members of each class, in the order of the classes."""

    @model_validator(mode="after")
    def _names_known_classes(self) -> LabelMap:
        seen: dict[str, str] = {}
        for name, members in self.classes.items():
            if (other := seen.setdefault(folded(name), name)) != name:
                raise ValueError(f"the classes {other} and {name} are one")
            if not members:
                raise ValueError(f"{name} has no members")
            if len(set(members)) < len(members):
                raise ValueError(f"a member of {name} comes twice")
            if self.of == "imagenet-1k":
                for member in members:
                    self._check(name, member)
        return self

    def _check(self, name: str, member: str) -> None:
        found = label_space(self.of).find(member)
        if len(found) > 1:
            synsets = " or ".join(label_space(self.of).classes[index] for index in sorted(found))
            raise ValueError(f"{member}, a member of {name}, is {synsets}: name it by its synset")
        if not found:
            own = ", but another class of this map" if member in self.classes else ""
            raise ValueError(f"{member}, a member of {name}, is no class of {self.of}{own}")

    def space(self, name: str) -> LabelSpace:
        """The classes as a label space called `name`."""
        return LabelSpace(name, tuple(self.classes))

    @property
    def left_out(self) -> int | None:
        """Classes of ImageNet-1k that stand for none of these; None for a map of a model's own classes."""
        if self.of == "model":
            return None
        space = label_space(self.of)
        mapped = {index for members in self.classes.values() for member in members for index in space.find(member)}
        return len(space) - len(mapped)

    def describe(self) -> str:
        """How it reads a model, for a protocol."""
        rest = f"; {self.left_out:,} classes of {self.of} stand for none of them" if self.left_out else ""
        return (
            f"{_RULES[self.rule]} ({len(self.classes)} classes: {enumerated(self.classes)}; list: {self.source}){rest}"
        )


_RULES = {
    "sum": "the class whose members have the highest sum of probabilities",
    "mean": "the class whose members have the highest mean probability",
    "max": "the class of the best output among all classes' members",
    "open": "the class of the best of all outputs, none where that is no class's member",
}


@cache
def shipped_maps() -> dict[str, LabelMap]:
    """The label maps that come with harness, by name. Raises pydantic.ValidationError: a damaged file."""
    paths = sorted(Path(__file__).with_name("maps").glob("*.yaml"))
    return {path.stem: LabelMap.model_validate(read_yaml(path).data) for path in paths}


def label_map(name: str, own: Mapping[str, LabelMap] | None = None) -> LabelMap:
    """The label map called `name`, shipped or one's own. Raises HarnessError with the nearest names where there is none."""
    known = shipped_maps() | dict(own or {})
    require_known("label map", name, known)
    return known[name]
