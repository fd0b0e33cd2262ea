"""Which question a marker asks: `templates/questions.yaml` says which words ask which, and which evidence answers it."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from harness.errors import HarnessError
from harness.files import shipped_folder


class Table(BaseModel):
    """What a shipped YAML file holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Question(Table):
    """One question that a marker may ask; the fields are explained at the top of questions.yaml."""

    id: str
    template: str
    topic: str | None = None
    label: str | None = None
    section: str | None = None
    alone: bool = False
    alone_if: str | None = None
    unless: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    suite: str | None = None
    metrics: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    prefer: Literal["suite"] | None = None
    stays_unknown: bool = False
    unknown: str
    subject: str = ""
    verb: str = ""
    lead: str = ""
    items: tuple[str, ...] | dict[str, str] = ()
    values: tuple[str, ...] = ()

    @property
    def is_measurable(self) -> bool:
        """Whether it asks for something that can be measured."""
        return bool(self.metrics) or any(key.startswith("compute.") for key in self.evidence)

    @field_validator("topic", "label", "section", "alone_if")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            re.compile(pattern)
        return pattern


class Benchmark(Table):
    """How a benchmark's metric is called in a card, and how to see that a text speaks of it."""

    name: str
    mention: str
    suite: str


class FieldWords(Table):
    """How the fields of a model's files are called in words."""

    silent: tuple[str, ...]
    """Words of a field's name that a text need not say."""
    told: dict[str, str]
    """Expressions of how a word of a field's name is told, where it is not by itself."""
    called: dict[str, str]
    """Expressions of what a field is called whose name doesn't tell it."""
    beside: tuple[str, ...]
    """Words beside a field's name that ask nothing more."""
    means: dict[str, dict[bool, str]]
    """What yes and no mean, by field."""


class QuestionTable(Table):
    """`questions.yaml`."""

    suites: dict[str, str]
    """What each suite needs to run."""
    benchmarks: dict[str, Benchmark]
    """By metric."""
    plain_words: tuple[str, ...]
    """Words of a cell's heads that ask nothing themselves."""
    fields: FieldWords
    questions: tuple[Question, ...]
    metadata: dict[str, tuple[str, ...]]

    def get(self, question_id: str) -> Question:
        return next(question for question in self.questions if question.id == question_id)


@functools.cache
def question_table() -> QuestionTable:
    """The shipped question table.

    Raises:
        HarnessError: the file can't be read as a question table; names the first fault.
    """
    path = shipped_folder("templates") / "questions.yaml"
    try:
        return QuestionTable.model_validate(yaml.safe_load(path.read_text("utf-8")))
    except (ValidationError, yaml.YAMLError) as error:
        raise HarnessError(f"{path} is not a question table: {error}", remedy="Mend that entry.") from error


@dataclass(frozen=True)
class Place:
    """What surrounds a marker: the material for telling what it asks."""

    sentence: str
    """Its sentence, the marker as `[?]`."""
    label: str | None
    label_is_own: bool
    """Whether the label stands in the marker's own block, not in one before it."""
    beside: tuple[str, ...]
    """The sentences before and after it in its paragraph, nearest first."""
    section: tuple[str, ...]
    section_text: str = ""
    """All text of its section, to see which benchmarks it speaks of."""
    in_code: bool = False
    parent: str = ""
    """In a nested list: the text of the item above."""
    row: tuple[str, ...] = ()
    """For a cell: the texts to the left of it."""
    column: str | None = None
    """For a cell: its column's head; None for anything else."""
    around: tuple[str, ...] = ()
    """What else may say under which conditions something is asked, nearest first: the sentence, a caption, headings."""

    @property
    def own(self) -> tuple[str, ...]:
        """The words that are about this place alone: of a cell its row and column, of a label line the label."""
        if self.column is not None:
            return (" | ".join(filter(None, (*self.row, self.column))),)
        return (self.label,) if self.label and self.label_is_own else ()


_EXPLANATION = re.compile(
    r",?\s+(?:as|since|because)\s+(?:the\s+|those\s+|these\s+|they\s+|it\s+|there\s+)"
    r"(?:\w+\s+){0,3}?(?:is|are|was|were|do|does|focus|references)\b.*",
    re.IGNORECASE | re.DOTALL,
)


def find_questions(place: Place, table: QuestionTable) -> list[Question]:
    """The questions asked at a place, in the order they are asked; empty where none is recognised.

    A sentence with words of its own is asked about in them or in its own label; what stands around it says what is
    asked only where the marker stands alone.
    """
    if place.column is not None:
        return _by_heads(place, table)
    sentence = _EXPLANATION.sub("", place.sentence)
    has_words = bool(re.search(r"\w", sentence.replace("[?]", "")))
    found = _by_topic(sentence, table) if has_words else []
    if not found and place.label and (place.label_is_own or not has_words):
        found = _by_label(place.label.strip(), table) or _by_label(f"{place.parent}: {place.label.strip()}", table)
    if found or has_words or (place.label and place.label_is_own):
        return found
    if place.in_code:
        is_citation = search("citation|bibtex", " ".join(place.section))
        return [table.get("citation" if is_citation else "code-inference")]
    for neighbour in place.beside:
        if found := _by_topic(_EXPLANATION.sub("", neighbour), table):
            return found
    path = " > ".join(place.section)
    return [question for question in table.questions if search(question.section, path)][:1]


_compiled = functools.cache(functools.partial(re.compile, flags=re.IGNORECASE | re.DOTALL))


def search(pattern: str | None, text: str) -> re.Match[str] | None:
    return _compiled(pattern).search(text) if pattern else None


def _by_heads(place: Place, table: QuestionTable) -> list[Question]:
    """What a cell asks: its row, else its column says so; where both name a quantity, they must agree."""
    heads = [_by_label(head, table) or _by_topic(head, table) for head in (*place.row, place.column or "")]
    found = list(dict.fromkeys(question.id for questions in heads for question in questions[:1]))
    quantities = [question for question in map(table.get, found) if question.is_measurable]
    return [table.get(found[0])] if found and len(quantities) < 2 else []


def _by_topic(text: str, table: QuestionTable) -> list[Question]:
    hits: list[tuple[int, Question]] = []
    for question in table.questions:
        match = search(question.topic, text)
        if match and (question.alone or search(question.alone_if, text)):
            return [question]
        if match:
            hits.append((match.start(), question))
    asked = {question.id for _, question in hits}
    return [q for _, q in sorted(hits, key=lambda hit: hit[0]) if not asked.intersection(q.unless)]


def _by_label(label: str, table: QuestionTable) -> list[Question]:
    alone = [question for question in _by_topic(label, table) if question.alone]
    return alone or [q for q in table.questions if search(q.label or q.topic, label)][:1]
