"""Answers as text: which evidence answers a question, and the template in `templates/answers/` that writes it.

Templates run in Jinja's sandbox with undefined names as errors; what comes from a ledger is escaped and never run as a
template.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from jinja2 import FileSystemLoader, StrictUndefined
from jinja2.sandbox import SandboxedEnvironment

from harness.cards.knowledge import Knowledge
from harness.cards.markdown import capital, compact_number, enumerate_words
from harness.cards.questions import Place, Question, QuestionTable, question_table, search
from harness.cards.views import View, attribution, further_links, link
from harness.evidence import EvidenceClass, show_count
from harness.files import shipped_folder

Form = Literal["value", "text", "block", "code"]
"""`value`: a phrase after a label or in a cell. `text`: whole sentences on one line. `block`: may hold lists, tables and
fences. `code`: the content of a fence that is there already."""


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
        named = [m for m in question.metrics if search(self.table.benchmarks[m].mention, place.section_text)]
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
