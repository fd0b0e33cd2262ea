"""A statement: one value of one property in a card, and the words that lead from a property to its value."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from harness.cards.passages import Passage
from harness.cards.quantities import Quantity
from harness.cards.sentences import Span
from harness.cards.vocabulary import Property, wording

Value = Quantity | str | bool | tuple[float, ...] | tuple[str, ...]
"""A number, a canonical name, whether a technique was used, a list of numbers, or names of people."""


@dataclass(frozen=True)
class Statement:
    """One value of one property, and where it stands."""

    about: Property
    value: Value
    span: Span
    passage: Passage
    at: int
    """Offset of the value in the passage's text."""
    metric: tuple[str, str] | None = None
    """Benchmark and metric of an accuracy."""
    words: str = ""
    """The words that state it."""
    stage: int | None = None
    """Of one number of a list: which, from 0; -1 is the last."""
    is_loose: bool = False
    """Whether only plain words say what it is of: a value that is nothing like the known one may be of something else."""
    is_asked: bool = False
    """Whether it was read as the answer to what the words around it ask."""

    @property
    def topic(self) -> str:
        """What it is about, in words."""
        return f"{self.metric[1]} on {self.metric[0]}" if self.metric else f"{self.about.name} {self.file}"

    @property
    def file(self) -> str:
        """The file that is named last before it; empty where none is."""
        return (["", *_FILE.findall(self.passage.text[: self.at])])[-1]


ACCURACY = Property(id="accuracy", name="accuracy")

GAP = wording("gap")
COPULA = wording("copula")
STOP = wording("stop")

_FILE = re.compile(r"[\w-]+\.(?:bin|json|safetensors|h5|msgpack|pth?|onnx)\b")


def leads(gap: str) -> bool:
    """Whether the words between a property's and a value lead from the one to the other."""
    if len(gap) > 70 or ("," in gap and not gap.lstrip().startswith((":", "="))):
        return False
    bare = re.sub(r"\([^()]{0,30}\)", " ", gap)
    if GAP.fullmatch(gap) or GAP.fullmatch(bare):
        return True
    return bool(not STOP.search(bare) and COPULA.search(bare) and len(bare.split()) <= 8)


def statement_in(passage: Passage, about: Property, value: Value, start: int, end: int, **more: Any) -> Statement:
    """The statement of a value at offsets of a passage; `first` and `last` bound the words that state it."""
    first = more.pop("first", start)
    words = re.sub(r"\s+", " ", passage.text[min(first, start) : max(end, more.pop("last", end))]).strip()
    return Statement(about, value, passage.place(start, end), passage, start, words=words, **more)


def renamed(about: Property, name: str) -> Property:
    """The property by another name."""
    return about.model_copy(update={"name": name})


def runs(spans: list[Span], text: str) -> list[list[Span]]:
    """Runs of spans that stand in a list: `A, B and C`, `A/B`."""
    runs: list[list[Span]] = []
    for span in sorted(set(spans)):
        if (
            runs
            and re.fullmatch(r"[\s,/&%|()]*(?:and)?[\s%(]*", text[runs[-1][-1][1] : span[0]])
            and span[0] > runs[-1][-1][1]
        ):
            runs[-1].append(span)
        else:
            runs.append([span])
    return [run for run in runs if len(run) > 1]
