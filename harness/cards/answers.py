"""Questions and answers: which question a marker asks, which evidence answers it, and the answer as text.

`templates/questions.yaml` says which words ask which question, which evidence answers it in order of preference, and
which template in `templates/answers/` writes it. Templates run in Jinja's sandbox with undefined names as errors; what
comes from a ledger is escaped and never run as a template.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import yaml
from jinja2 import FileSystemLoader, StrictUndefined
from jinja2.sandbox import SandboxedEnvironment
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from harness.cards.knowledge import (
    Knowledge,
    View,
    attribution,
    capital,
    compact_number,
    enumerate_words,
    further_links,
    link,
)
from harness.errors import HarnessError
from harness.evidence import EvidenceClass, show_count
from harness.files import shipped_folder

Form = Literal["value", "text", "block", "code"]
"""`value`: a phrase after a label or in a cell. `text`: whole sentences on one line. `block`: may hold lists, tables and
fences. `code`: the content of a fence that is there already."""


class Question(BaseModel):
    """One question that a marker may ask; the fields are explained at the top of questions.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

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
    capital: bool = False
    items: tuple[str, ...] | dict[str, str] = ()
    values: tuple[str, ...] = ()
    values_if: str | None = None

    @field_validator("topic", "label", "section", "alone_if", "values_if")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            re.compile(pattern)
        return pattern


class Benchmark(BaseModel):
    """How a benchmark's metric is called in a card, and how to see that a text speaks of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    mention: str
    suite: str


class QuestionTable(BaseModel):
    """`questions.yaml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

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


# --- which question ---------------------------------------------------------------------------------------------


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
        is_citation = _search("citation|bibtex", " ".join(place.section))
        return [table.get("citation" if is_citation else "code-inference")]
    for neighbour in place.beside:
        found = _by_topic(_EXPLANATION.sub("", neighbour), table)
        if found:
            return found
    return _by_section(place, table)


_compiled = functools.cache(functools.partial(re.compile, flags=re.IGNORECASE | re.DOTALL))


def _search(pattern: str | None, text: str) -> re.Match[str] | None:
    return _compiled(pattern).search(text) if pattern else None


def _by_topic(text: str, table: QuestionTable) -> list[Question]:
    hits: list[tuple[int, Question]] = []
    for question in table.questions:
        match = _search(question.topic, text)
        if match and (question.alone or _search(question.alone_if, text)):
            return [question]
        if match:
            hits.append((match.start(), question))
    asked = {question.id for _, question in hits}
    return [q for _, q in sorted(hits, key=lambda hit: hit[0]) if not asked.intersection(q.unless)]


def _by_label(label: str, table: QuestionTable) -> list[Question]:
    alone = [question for question in _by_topic(label, table) if question.alone]
    return alone or [q for q in table.questions if _search(q.label or q.topic, label)][:1]


def _by_section(place: Place, table: QuestionTable) -> list[Question]:
    path = " > ".join(place.section)
    return [question for question in table.questions if _search(question.section, path)][:1]


# --- the answer -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    """The answer to one question at one place."""

    question: str
    class_: EvidenceClass
    evidence: list[str]
    """Keys of what it was written from."""
    text: str
    is_complete: bool
    """Whether nothing in it is pending."""


@dataclass(frozen=True)
class ResultRow:
    """One metric's values."""

    metric: str
    name: str
    own: View | None
    """Measured here."""
    paper: View | None
    """Published for this checkpoint, or for what it very probably is."""
    reference: View | None
    """Published for another checkpoint, where there is neither."""

    @property
    def is_known(self) -> bool:
        return bool(self.own or self.paper or self.reference)

    @property
    def measured(self) -> str:
        return self.own.text if self.own else ""

    @property
    def published(self) -> str:
        view = self.paper or self.reference
        return _percent(view) if view else ""

    @property
    def origin(self) -> str:
        view = self.paper or self.reference
        if view is None or view.fact is None:
            return ""
        prefix = "another checkpoint: " if view is self.reference else ""
        return f"{prefix}{view.label or 'this checkpoint'}, {view.fact.setting} ({link(view)})"


@dataclass(frozen=True)
class Results:
    """Values of several metrics as sentences and as table rows."""

    rows: list[ResultRow]

    @property
    def missing(self) -> list[str]:
        """Metrics of what is not measured here."""
        return [row.metric for row in self.rows if row.own is None]

    @property
    def tested(self) -> list[str]:
        """The benchmarks that are measured here, with their sample counts."""
        return [f"{row.name.rsplit(' ', 1)[0]} (n = {show_count(row.own.evidence)})" for row in self.rows if row.own]

    @property
    def missing_names(self) -> list[str]:
        return [row.name for row in self.rows if row.own is None]

    @property
    def sentences(self) -> list[str]:
        """What is measured, then what is published for this checkpoint."""
        measured = [f"{row.name} {row.measured}" for row in self.rows if row.own]
        own = _published_phrase([(row.name, row.paper) for row in self.rows if row.paper])
        return ([f"measured here: {'; '.join(measured)}"] if measured else []) + ([f"published{own}"] if own else [])

    @property
    def references(self) -> list[str]:
        """What is published for other checkpoints."""
        phrase = _published_phrase([(row.name, row.reference) for row in self.rows if row.reference])
        return [f"Published for other checkpoints only:{phrase}"] if phrase else []


def _published_phrase(values: Sequence[tuple[str, View | None]]) -> str:
    """` for A: x 1 % and y 2 % (setting; link); z 3 % (…). For B: …` by checkpoint and row of origin."""
    by_checkpoint: dict[str, dict[str | None, list[tuple[str, View]]]] = {}
    for name, view in values:
        if view is not None:
            rows = by_checkpoint.setdefault(view.about or " for this checkpoint", {})
            rows.setdefault(view.name.variant, []).append((name, view))
    phrases = []
    for about, rows in by_checkpoint.items():
        parts = []
        for entries in rows.values():
            first = entries[0][1]
            setting = first.fact.setting if first.fact else None
            numbers = enumerate_words(f"{name} {_percent(view)}" for name, view in entries)
            parts.append(f"{numbers} ({'; '.join(filter(None, [setting, link(first)]))})")
        phrases.append(f"{about}: {'; '.join(parts)}")
    return "; ".join(phrases).replace(";  for", "; for")


def _percent(view: View) -> str:
    return view.number if view.name.metric == "mce" else f"{view.number} %"


@dataclass
class Writer:
    """Writes answers for one model."""

    knowledge: Knowledge
    table: QuestionTable = field(default_factory=question_table)

    def __post_init__(self) -> None:
        self.environment = answer_environment()
        self.used: list[View] = []
        self.is_pending = False
        self.asked: set[tuple[str, tuple[str, ...]]] = set()
        """Questions asked so far, with their section."""
        self.classes: dict[str, EvidenceClass] = {}
        """Class of the answer to each question asked so far."""

    def answer(
        self, question: Question, form: Form, place: Place, *, brackets: bool = True, is_part: bool = False
    ) -> Answer | None:
        """The answer to a question, or None where nothing is known about it.

        Args:
            question: what is asked.
            form: what fits the place.
            place: where it is asked.
            is_part: whether other questions are answered in the same place, so that the shorter form is right.
            brackets: whether sources stand in brackets; without them inside brackets that are there already.
        """
        if question.parts:
            return self._answer_parts(question, form, place)
        self.used = []
        self.is_pending = False
        class_, main = self._decide(question, place)
        if class_ is None:
            return None
        if main is not None:
            self.used.append(main)
        absent = class_ in (EvidenceClass.UNDISCLOSED, EvidenceClass.NOT_APPLICABLE)
        template = question.template
        if absent and template in ("fact", "number", "testing-data"):
            template = "absent"
        if class_ is EvidenceClass.PENDING and template in ("fact", "number", "macs", "checkpoint-size"):
            template = "pending"
        text = self.environment.get_template(f"{template}.md.j2").render(
            form=form,
            question=question,
            main=main,
            is_part=is_part,
            is_repeated=(question.id, place.section) in self.asked,
            answer_class=class_.value,
            model=self.knowledge.model,
            hub_id=self.knowledge.hub_id,
            name=self.knowledge.name,
            metrics=self._metrics(question, place),
            asked=_plain_words(place),
            find=self._find,
            published=lambda metric: self._note(self.knowledge.published(metric, own=True)),
            reference=lambda metric: self._note(self.knowledge.published(metric, own=False)),
            absent=lambda key: self._note(self.knowledge.absent(key)),
            slices=lambda slicing: self._all(self.knowledge.family(slicing, "top1")),
            corruptions=lambda: self._all(self._corruption_errors()),
            results=self._results,
            note=self.knowledge.note,
            command=self._command,
            measure=self._measure,
            needs=lambda suite: self.table.suites[suite],
            by=functools.partial(attribution, brackets=brackets),
            links=lambda view: [link(view), *further_links(view)],
            link=link,
        )
        self.classes[question.id] = class_
        self.asked.add((question.id, place.section))
        keys = list(dict.fromkeys(view.key for view in self.used))
        return Answer(question.id, class_, keys, text.strip() if form == "code" else _tidy(text), not self.is_pending)

    def _answer_parts(self, question: Question, form: Form, place: Place) -> Answer | None:
        inner: Form = "text" if form == "block" else form
        parts = [self.answer(self.table.get(part), inner, place, is_part=True) for part in question.parts]
        found = [part for part in parts if part is not None]
        if not found:
            return None
        if form == "block":
            text = "\n".join(f"- {part.text}" for part in found)
        else:
            text = ("; " if form == "value" else " ").join(part.text for part in found)
        return join_answers(found, question=question.id, text=text)

    def _note(self, view: View | None) -> View | None:
        if view is not None:
            self.used.append(view)
        return view

    def _all(self, views: list[View]) -> list[View]:
        self.used += views
        return views

    def _corruption_errors(self) -> list[View]:
        """Corruption errors, highest first, of the official images or else of the generated ones."""
        for family in ("imagenet-c", "imagenet-c-generated"):
            found = self.knowledge.family(family, "ce")
            if found:
                return found[::-1]
        return []

    def _results(self, metrics: Sequence[str]) -> Results:
        """What is measured, published for this checkpoint, and published for others, for each metric."""
        rows = []
        for metric in metrics:
            own = self.knowledge.find(metric)
            published = self.knowledge.published(metric, own=True)
            reference = None if own or published else self.knowledge.published(metric, own=False)
            rows.append(ResultRow(metric, self.table.benchmarks[metric].name, own, published, reference))
            self.used += [view for view in (own, published, reference) if view]
        known = {row.name.replace(" (generated)", "") for row in rows if row.own or row.paper or row.reference}
        rows = [row for row in rows if row.is_known or (row.name not in known and "(generated)" not in row.name)]
        return Results(rows)

    def _find(self, key: str) -> View | None:
        return self._note(self.knowledge.find(key))

    def _command(self, *suites: str) -> str:
        """The commands that measure; an answer that names one is incomplete."""
        self.is_pending = True
        commands = [f"`harness run --suite {suite} --model {self.knowledge.model}`" for suite in dict.fromkeys(suites)]
        return enumerate_words(commands)

    def _measure(self, metrics: Sequence[str]) -> str:
        """Which commands measure what is missing, and what they need, as the end of a sentence."""
        suites = list(dict.fromkeys(self.table.benchmarks[metric].suite for metric in metrics))
        needs = self.table.suites[suites[0]] if len(suites) == 1 else "the weights and the images of these benchmarks"
        does = "does it" if len(suites) == 1 else "do it"
        return f"{self._command(*suites)} {does}, given {needs}"

    def _decide(self, question: Question, place: Place) -> tuple[EvidenceClass | None, View | None]:
        """The class of the answer and the evidence that decides it."""
        metrics = self._metrics(question, place)
        for key in question.evidence:
            view = self.knowledge.find(key)
            if view is not None:
                return view.class_, view
        unknown = next((view for view in map(self.knowledge.absent, question.absent) if view), None)
        if question.stays_unknown and unknown is not None:
            return unknown.class_, unknown
        own = [self.knowledge.find(metric) for metric in metrics]
        published = [self.knowledge.published(metric, own=True) for metric in metrics]
        for view in (*own, *published):
            if view is not None:
                return view.class_, view
        if question.prefer == "suite":
            self.is_pending = True
            return EvidenceClass.PENDING, None
        if unknown is not None:
            return unknown.class_, unknown
        if question.suite:
            pending = (self.knowledge.pending(key) for key in (*question.evidence, *metrics))
            self.is_pending = True
            return EvidenceClass.PENDING, next((view for view in pending if view), None)
        return None, None

    def _metrics(self, question: Question, place: Place) -> tuple[str, ...]:
        """The question's metrics: those whose benchmark the section speaks of, or all where it names none."""
        named = [m for m in question.metrics if _search(self.table.benchmarks[m].mention, place.section_text)]
        return tuple(named) or question.metrics


def _plain_words(place: Place) -> str:
    return f"{place.label or ''} {place.sentence}"


def join_answers(answers: Sequence[Answer], *, question: str, text: str) -> Answer:
    """Several answers as one: pending where any part is, otherwise of the class of the first part with a value."""
    classes = [answer.class_ for answer in answers]
    if EvidenceClass.PENDING in classes:
        class_ = EvidenceClass.PENDING
    else:
        class_ = next((class_ for class_ in classes if class_.has_value), classes[0])
    keys = list(dict.fromkeys(key for answer in answers for key in answer.evidence))
    return Answer(question, class_, keys, text, all(answer.is_complete for answer in answers))


# --- words ------------------------------------------------------------------------------------------------------


@functools.cache
def answer_environment() -> SandboxedEnvironment:
    """The sandbox that answer templates run in."""
    environment = SandboxedEnvironment(
        loader=FileSystemLoader(shipped_folder("templates") / "answers"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
        auto_reload=False,
    )
    environment.filters |= {
        "capital": capital,
        "compact": compact_number,
        "megabytes": lambda value: f"{value / 1e6:,.1f} MB",
        "words": enumerate_words,
        "lower_first": lambda text: text if text[1:2].isupper() else text[:1].lower() + text[1:],
        "unbracket": lambda text: text[1:-1],
    }
    return environment


def _tidy(text: str) -> str:
    """Template output without the traces of its tags: no double spaces inside prose, no blank line twice."""
    in_fence = False
    tidy: list[str] = []
    for line in (line.rstrip() for line in text.strip().split("\n")):
        if line.lstrip().startswith("```"):
            in_fence = not in_fence
        if not in_fence:
            if not line and tidy and not tidy[-1]:
                continue
            line = re.sub(r"(?<=\S) {2,}", " ", line)
            line = re.sub(r" +([.,;:])(?=\s|$)", r"\1", line)
        tidy.append(line)
    return "\n".join(tidy)
