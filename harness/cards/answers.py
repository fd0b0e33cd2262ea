"""Questions and answers: which question a marker asks, which evidence answers it, and the answer as text.

`templates/questions.yaml` says which words ask which question, which evidence answers it in order of preference, and
which template in `templates/answers/` writes it. Templates run in Jinja's sandbox with undefined names as errors; what
comes from a ledger is escaped and never run as a template.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import yaml
from jinja2 import FileSystemLoader, StrictUndefined
from jinja2.sandbox import SandboxedEnvironment
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from harness.cards.document import without_markers
from harness.errors import HarnessError
from harness.evidence import Evidence, EvidenceClass, Ledger, Source, show_count, show_interval, show_value
from harness.facts import Conflict, Fact, ModelFacts, Relation
from harness.resources import shipped_folder

Form = Literal["value", "text", "block", "code"]
"""`value`: a phrase after a label or in a cell. `text`: whole sentences on one line. `block`: may hold lists, tables and
fences. `code`: the content of a fence that is there already."""

LINEAGE_KEY = "identity.lineage"
"""Evidence that names the checkpoint (an id of the facts file) that the weights were found to be."""


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


def _search(pattern: str | None, text: str) -> re.Match[str] | None:
    return re.search(pattern, text, re.IGNORECASE | re.DOTALL) if pattern else None


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


# --- evidence as templates see it -------------------------------------------------------------------------------


@dataclass(frozen=True)
class View:
    """One piece of evidence, ready for a sentence."""

    evidence: Evidence
    fact: Fact | None = None
    confirmed: bool = False
    """For a fact about a probable origin: the weights were found to be that checkpoint."""

    @property
    def key(self) -> str:
        return self.evidence.key

    @property
    def class_(self) -> EvidenceClass:
        return self.evidence.class_

    @property
    def value(self) -> Any:
        return self.evidence.value

    @property
    def text(self) -> str:
        """The value as a phrase."""
        if self.fact and self.fact.says:
            return self.fact.says
        return self.shown if self.fact else escape_markdown(self.measured)

    @property
    def shown(self) -> str:
        """Value and unit."""
        return show_value(self.evidence).replace(" parameters parameters", " parameters")

    @property
    def number(self) -> str:
        """The value alone, as published; `text` adds interval and count to a measured one."""
        return f"{self.value:,}" if isinstance(self.value, int) else f"{self.value:g}"

    @property
    def measured(self) -> str:
        """Value with interval and sample count, for a measured or estimated number."""
        parts = []
        interval = self.evidence.interval
        if interval is not None:
            parts.append(f"{interval.level * 100:g} % interval {show_interval(self.evidence)}")
        if self.evidence.n is not None:
            parts.append(f"n = {show_count(self.evidence)}")
        return self.shown + (f" ({', '.join(parts)})" if parts else "")

    @property
    def is_measured(self) -> bool:
        return self.class_ is EvidenceClass.MEASURED

    @property
    def interval(self) -> str:
        """The interval as words: `24.6 to 31.7`; the value where there is none."""
        interval = self.evidence.interval
        return f"{interval.low:,.6g} to {interval.high:,.6g}" if interval else self.number

    @property
    def slice(self) -> str:
        """The last part of the slice or condition in the key, as words: `pose`, `gaussian noise`."""
        return escape_markdown(self.key.rpartition(".")[0].rpartition("/")[2].replace("_", " "))

    @property
    def link(self) -> str:
        """A Markdown link to where it stands."""
        return link(self)

    @property
    def reason(self) -> str:
        """Why there is no value."""
        reason = self.evidence.reason or ""
        return (reason if self.fact else escape_markdown(reason)).rstrip(".")

    @property
    def note(self) -> str:
        return self.fact.note or "" if self.fact else self.reason

    @property
    def looked_in(self) -> str:
        """Where was looked, as an enumeration."""
        return enumerate_words(self.fact.looked_in) if self.fact else ""

    @property
    def conflicts(self) -> tuple[Conflict, ...]:
        return self.fact.conflicts if self.fact else ()

    @property
    def label(self) -> str:
        """The checkpoint that the value is for, where it is not simply this one."""
        return self.fact.checkpoint.label or "" if self.fact else ""

    @property
    def about(self) -> str:
        """` for …`: the exact checkpoint with what the answer hangs on; empty for this checkpoint."""
        if not self.label or self.fact is None:
            return ""
        condition = "which this checkpoint was found to hold" if self.confirmed else self.fact.checkpoint.condition
        return f" for {self.label}" + (f", {condition}" if condition else "")


@dataclass
class Knowledge:
    """Everything known about a model: its ledger and its documented facts."""

    model: str
    hub_id: str | None
    """None where the model is not on the Hub."""
    name: str
    ledger: Ledger | None
    facts: ModelFacts | None

    @functools.cached_property
    def lineage(self) -> str | None:
        """The checkpoint that `harness identify` found the weights to be; None where that was not decided."""
        found = self.ledger.get(LINEAGE_KEY) if self.ledger else None
        decided = found is not None and found.class_ in (EvidenceClass.MEASURED, EvidenceClass.DERIVED)
        return str(found.value) if found is not None and decided else None

    def _may_answer(self, fact: Fact) -> bool:
        if fact.checkpoint.relation is Relation.PROBABLE and self.lineage is not None:
            same = fact.checkpoint_id == self.lineage
            return same or (fact.checkpoint_id == "paper" and self.lineage == "pycls")
        return fact.answers

    def _view(self, fact: Fact) -> View:
        return View(fact.evidence, fact, confirmed=fact.checkpoint_id == self.lineage)

    def find(self, key: str) -> View | None:
        """What answers `key`: the ledger first, then documented facts; None where neither has a value."""
        found = self.ledger.get(key) if self.ledger else None
        if found is not None and found.class_.has_value:
            return View(found)
        for fact in self.facts.facts if self.facts else ():
            if fact.key == key and self._may_answer(fact) and fact.evidence.class_.has_value:
                return self._view(fact)
        return None

    def absent(self, key: str) -> View | None:
        """Evidence that there is no value: undisclosed or not applicable."""
        for fact in self.facts.facts if self.facts else ():
            if fact.key == key and not fact.evidence.class_.has_value:
                return self._view(fact)
        found = self.ledger.get(key) if self.ledger else None
        known = (EvidenceClass.UNDISCLOSED, EvidenceClass.NOT_APPLICABLE)
        return View(found) if found is not None and found.class_ in known else None

    def pending(self, key: str) -> View | None:
        """Evidence in the ledger that could be measured and has not been."""
        found = self.ledger.get(key) if self.ledger else None
        return View(found) if found is not None and found.class_ is EvidenceClass.PENDING else None

    def published(self, metric: str, *, own: bool) -> View | None:
        """The nearest published value of a metric: for this checkpoint (`own`), or for another one.

        A metric with a variant (`compute.throughput:v100`) means that published value alone.
        """
        name, _, variant = metric.partition(":")
        for fact in self.facts.published(name) if self.facts else ():
            if self._may_answer(fact) is own and fact.key.endswith(f":{variant}" if variant else ""):
                return self._view(fact)
        return None

    def note(self, key: str) -> str:
        """What a careful reader must know beside a value, wherever the value itself comes from."""
        fact = self.facts.get(key) if self.facts else None
        return fact.note or "" if fact and self._may_answer(fact) else ""

    def family(self, family: str, metric: str) -> list[View]:
        """Measured values of all slices or conditions of a family, e.g. `imagenet-val@imagenet-x`, lowest first."""
        pattern = re.compile(rf"{re.escape(family)}/[^./]+\.{re.escape(metric)}$")
        views = [
            View(item)
            for item in (self.ledger or ())
            if pattern.match(item.key) and item.class_ is EvidenceClass.MEASURED
        ]
        return sorted(views, key=lambda view: view.value)


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
    by_checkpoint: dict[str, dict[str, list[tuple[str, View]]]] = {}
    for name, view in values:
        if view is not None:
            rows = by_checkpoint.setdefault(view.about or " for this checkpoint", {})
            rows.setdefault(view.key.partition(":")[2], []).append((name, view))
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
    return view.number if view.key.partition(":")[0].endswith(".mce") else f"{view.number} %"


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
        if absent and template in ("fact", "number"):
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
            links=lambda view: [link(view), *_further_links(view)],
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


def escape_markdown(text: str) -> str:
    """Text from a ledger or a card as data: one line, no markup, no marker."""
    flat = without_markers(re.sub(r"\s+", " ", text).strip())
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", flat)


def capital(text: str) -> str:
    """With a capital first letter, unless the text begins with markup or a number."""
    return text[:1].upper() + text[1:]


def compact_number(value: float) -> str:
    """A large count in words: 3.97 billion, 109.95 million."""
    for size, word in ((1e12, "trillion"), (1e9, "billion"), (1e6, "million")):
        if value >= size:
            return f"{value / size:.2f} {word}"
    return f"{value:,}"


def enumerate_words(words: Iterable[str]) -> str:
    """a, b and c."""
    words = list(words)
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def link(view: View) -> str:
    """A Markdown link to the place where a documented value stands."""
    source = view.evidence.source
    return _source_link(source, is_data=view.fact is None) if source else ""


def _further_links(view: View) -> list[str]:
    return [_source_link(source, is_data=False) for source in view.fact.also] if view.fact else []


def _source_link(source: Source, *, is_data: bool) -> str:
    name = place_name(source.title, source.place)
    if is_data:
        name = escape_markdown(name)
    return f"[{name}]({source.url})" if source.url and re.match(r"https://[^\s()<>]+$", source.url) else name


def place_name(title: str, place: str | None) -> str:
    """Title and place as a reader says them: `pycls, MODEL_ZOO.md, line 9`."""
    match = re.match(r"(?:.*/)?(?P<file>[^/:]+?)(?::(?P<first>\d+)(?:-(?P<last>\d+))?)?$", place or "")
    if not place:
        return title
    if re.fullmatch(r"commit [0-9a-f]{40}", place):
        return f"{title}, {place[:14]}"
    if match is None or not re.search(r"\.\w+$|^LICENSE$", match["file"]):
        return f"{title}, {place}"
    lines = ""
    if match["first"]:
        lines = f", lines {match['first']}–{match['last']}" if match["last"] else f", line {match['first']}"
    return f"{title}, {match['file']}{lines}"


def attribution(*views: View | None, brackets: bool = True) -> str:
    """Class, checkpoint and source in brackets: `(documented for the pycls weights, …: [pycls, MODEL_ZOO.md](…))`."""
    groups: dict[tuple[str, str], list[str]] = {}
    for view in views:
        if view is None:
            continue
        links = groups.setdefault((_class_words(view), view.about), [])
        for target in (link(view), *_further_links(view)):
            if target and target not in links and view.class_ is not EvidenceClass.MEASURED:
                links.append(target)
    parts = []
    for (class_, about), links in groups.items():
        before = " from " if class_ == EvidenceClass.DERIVED else ": "
        parts.append(f"{class_}{about}" + (f"{before}{enumerate_words(_shortest(links))}" if links else ""))
    if not parts:
        return ""
    return f"({'; '.join(parts)})" if brackets else f"; {'; '.join(parts)}"


def _shortest(links: list[str]) -> list[str]:
    """At most four links, those into one file reduced to the first: enough to check, short enough to read."""
    seen: dict[str, str] = {}
    for target in links:
        address = target.rpartition("(")[2].partition("#")[0].partition("?")[0]
        seen.setdefault(address if "github.com" in address else target, target)
    return list(seen.values())[:4]


def _class_words(view: View) -> str:
    if view.class_ is EvidenceClass.DERIVED and view.fact is None:
        return "derived from the checkpoint"
    return view.class_.value


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
