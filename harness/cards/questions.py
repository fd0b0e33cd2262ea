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
    subject: str = ""
    verb: str = ""
    lead: str = ""
    items: tuple[str, ...] | dict[str, str] = ()
    values: tuple[str, ...] = ()

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


class QuestionTable(Table):
    """`questions.yaml`."""

    suites: dict[str, str]
    """What each suite needs to run."""
    benchmarks: dict[str, Benchmark]
    """By metric."""
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
    sentence = _EXPLANATION.sub("", place.sentence)
    has_words = bool(re.search(r"\w", sentence.replace("[?]", "")))
    found = _by_topic(sentence, table) if has_words else []
    if not found and place.label and (place.label_is_own or not has_words):
        found = _by_label(place.label.strip(), table)
    if found or has_words:
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
