"""Answers as text: which evidence answers a question, and the template in `templates/answers/` that writes it.

Templates run in Jinja's sandbox with undefined names as errors; what comes from a ledger is escaped and never run as a
template.
"""

from __future__ import annotations

import functools
import operator
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from jinja2 import FileSystemLoader, StrictUndefined
from jinja2.sandbox import SandboxedEnvironment

from harness.cards.asked import Asked
from harness.cards.knowledge import Knowledge
from harness.cards.markdown import MARK, capital, compact_number, enumerate_words
from harness.cards.parts import FEW, class_names, part_of
from harness.cards.questions import Place, asks_count, asks_error, search
from harness.cards.references import References
from harness.cards.retrieval import content, stem
from harness.cards.subjects import Subjects
from harness.cards.views import View, marks, plain_number
from harness.cards.vocabulary import Property, Vocabulary, vocabulary
from harness.evidence import EvidenceClass, EvidenceKey, show_count
from harness.facts.loader import Relation
from harness.files import shipped_folder

_ANOTHER = re.compile(r"\b(?:from scratch|sisters?|siblings?|teacher|student|later tuning)\b", re.IGNORECASE)
"""Heads of cells about a checkpoint that no fact is known to be about, unless the words for one are among them."""
HARNESS_URL = "https://github.com/harness-cards/harness"
"""Where a reader of a card finds what measured it."""
_OF_A_NAME = re.compile(r" (?:of|for) (?:the )?((?:[\w-]+/)?[\w.-]*\w)")
_LONG = 20
"""Words of an answer that a card gives once."""
_FREE = r"mit|isc|unlicense|(?:apache|bsd|cc0|a?gpl|lgpl|mpl|cc-by|cc-by-sa)-.*"
"""Licences that allow commercial use."""
_SPEEDS = ("throughput", "inference-time", "peak-memory")
"""What is said with its conditions."""
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
    is_unknown: bool = False
    """Whether it says that nothing is known."""


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
    """Published for another checkpoint, where nothing is for this one."""

    @property
    def told(self) -> View | None:
        """What is told first of it: what was measured here, else what is published for this checkpoint."""
        return self.own or self.paper

    @property
    def published(self) -> str:
        view = self.paper or self.reference
        return view.shown if view else ""

    @property
    def origin(self) -> str:
        view = self.paper or self.reference
        if view is None:
            return ""
        if view.fact is None:
            return "this checkpoint, as its author states"
        return f"{view.label or 'this checkpoint'}, {view.fact.setting}"


def _commercial_use(place: Place, licences: Sequence[str]) -> str:
    """Whether licences allow commercial use, where that is asked: `yes`, `no`, or nothing where one of them isn't known."""
    if not re.search(r"\bcommercial", " ".join((*place.own, place.question, place.sentence)), re.IGNORECASE):
        return ""
    if any(re.search(r"(?:\b|-)(?:nc|non-?commercial)\b", licence, re.IGNORECASE) for licence in licences):
        return "no"
    is_free = (re.fullmatch(_FREE, licence, re.IGNORECASE) for licence in licences)
    return "yes" if licences and all(is_free) else ""


def _is_said(text: str, section: str) -> bool:
    """Whether a section says already, by most of its words, what a text says."""
    words = content(text)
    return 2 * len(words & content(section)) > len(words)


def _tested(rows: list[ResultRow]) -> list[str]:
    return [f"{row.name.rsplit(' ', 1)[0]} (n = {show_count(row.own.evidence)})" for row in rows if row.own]


def _sentences(references: References, rows: list[ResultRow]) -> list[str]:
    """What is measured, then what is published for this checkpoint."""
    measured = "; ".join(f"{row.name} {row.own.text}" for row in rows if row.own)
    published = _published_phrase(references, [(row.name, row.paper) for row in rows if row.paper])
    parts = (measured and f"measured here: {measured}", published and f"published: {published}")
    return [part for part in parts if part]


def _of_others(references: References, rows: list[ResultRow]) -> str:
    phrase = _published_phrase(references, [(row.name, row.reference) for row in rows if row.reference])
    return phrase and f"Published for other checkpoints only: {phrase}"


def _published_phrase(references: References, values: list[tuple[str, View]]) -> str:
    """`x 1 % [1] and y 2 % [2] (setting); z 3 % [3]` by row of origin, each of another checkpoint's with whose it is."""
    rows: dict[str | None, list[tuple[str, View]]] = {}
    for name, view in values:
        rows.setdefault(view.name.variant, []).append((name, view))
    parts, said = [], ""
    for entries in rows.values():
        view, fact = entries[0][1], entries[0][1].fact
        numbers = enumerate_words(
            f"{name} {view.shown} {references.cite(*view.sources)}".rstrip() for name, view in entries
        )
        is_other = fact is not None and fact.checkpoint.relation is Relation.SIBLING
        whose = f"{view.label} has " if is_other and view.label != said else ""
        caveat = references.note(f"Documented{view.about}") if view.about and not is_other else ""
        setting = f" ({fact.setting})" if fact and fact.setting else ""
        parts.append(f"{whose}{numbers}{caveat}{setting}")
        said = view.label if is_other else ""
    return "; ".join(parts)


@dataclass
class Writer:
    """Writes answers for one model, and remembers what it wrote."""

    knowledge: Knowledge
    table: Vocabulary = field(default_factory=vocabulary)
    references: References = field(default_factory=lambda: References(prefix="h"))
    """Where sources are numbered: what is written holds marks, which `References.settle` makes numbers of."""
    used: list[View] = field(default_factory=list)
    """What the last answer was written from."""
    is_pending: bool = False
    """Whether something in the last answer is."""
    asked: set[tuple[str, tuple[str, ...]]] = field(default_factory=set)
    """Questions asked so far, with their section."""
    classes: dict[str, EvidenceClass] = field(default_factory=dict)
    """Class of the answer to each question asked so far."""
    suites: dict[str, None] = field(default_factory=dict)
    """What measures the pending values so far, in order."""
    given: set[tuple[str, tuple[str, ...]]] = field(default_factory=set)
    """The keys of what was told so far, with the section."""
    homes: dict[str, str] = field(default_factory=dict)
    """The headings under which questions are asked that the heading itself asks: where a long answer belongs."""
    told: list[tuple[str, frozenset[str], str]] = field(default_factory=list)
    """The long answers so far: what they answer, the keys of what they tell, and the heading above them."""

    def answer(self, question: Property, form: Form, place: Place, *, is_part: bool = False) -> Answer | None:
        """The answer to a question, or None where nothing is known about it.

        Args:
            question: what is asked.
            form: what fits the place.
            place: where it is asked; evidence that doesn't say of itself what the place asks is none.
            is_part: whether other questions are answered in the same place, so that the shorter form is right.
        """
        if question.parts:
            return self._answer_parts(question, form, place)
        known = self.knowledge
        if question.listed_by and not asks_count(place, self.table):
            listed = known.find(self.table.get(question.listed_by).keys[0])
            if listed and len(class_names(listed.value)) <= FEW:
                question = self.table.get(question.listed_by)
        asked = self.conditions(place)
        metrics = self._metrics(question, asked, place)
        keys = (*question.evidence, *question.absent, *metrics, *question.metrics)
        meant = self.subjects.of_place(place, question) if place.is_tight or place.label_is_own else []
        if meant is None and "model" not in asked.values:
            return None  # another network's
        if meant == [] and place.column is not None and _ANOTHER.search(" ".join(place.own)):
            return None
        ids = {name for name, checkpoint in known.facts.checkpoints.items() if checkpoint in (meant or ())}
        asked = replace(asked.about(keys), siblings=frozenset(ids), sizes=known.sizes)
        return replace(self, knowledge=replace(known, asked=asked))._answer(
            question, form, place, metrics, is_part=is_part
        )

    def conditions(self, place: Place) -> Asked:
        """What a place asks beside the quantity."""
        own = place.own or ((place.sentence,) if place.is_tight else ())
        around = (*place.around[:1], place.question, *place.around[1:])
        return Asked.read(own, around, self.knowledge.own_names, self.knowledge.sources)

    def _answer(
        self, question: Property, form: Form, place: Place, metrics: tuple[str, ...], *, is_part: bool
    ) -> Answer | None:
        asked = self.knowledge.asked
        in_cell = place.is_tight or (place.label_is_own and asks_error(place))
        class_, main = self._decide(question, metrics)
        is_possible = question.suite in (None, "compute") or self.knowledge.has_imagenet_classes
        if class_ is EvidenceClass.PENDING and not is_possible:
            class_ = None
        template = question.template
        is_top5 = asked.values.get("rank", {}).keys() == {"top5"}
        names = ("top5",) if is_top5 else ("accuracy", "results") if question.id == "accuracy" else ("results",)
        stated = next(filter(None, (self.knowledge.find(f"documented.evaluation.{name}") for name in names)), None)
        if class_ is None and template == "results" and stated:  # on data of the model's own
            class_, main, template = stated.class_, stated, "fact"
        if (place.is_tight or form == "value") and class_ in (None, EvidenceClass.PENDING) and question.id in _SPEEDS:
            for view in (v for key in question.evidence for v in self.knowledge.all_published(key, own=False)):
                said = f"{self._brief(question, place, view)} {marks(self.references, view)}"
                return Answer(question.id, view.class_, [view.key], said, True)
        has_none = bool(question.metrics) and not metrics
        is_open = bool(asked.values) and (has_none or not (class_ and asked.is_measurable))
        if class_ in (None, EvidenceClass.PENDING) and (is_open or asked.siblings):
            return self._missing(question, form, metrics)
        is_told = main is None or not question.detail or re.search(question.detail, str(main.value))
        if class_ is None or question.against or not is_told:  # no value, or one that only decides statements
            return None
        self.used = [main] if main else []
        self.is_pending = class_ is EvidenceClass.PENDING
        absent = class_ in (EvidenceClass.UNDISCLOSED, EvidenceClass.NOT_APPLICABLE)
        if absent and template in ("fact", "number", "testing-data"):
            template = "absent"
        if self.is_pending and template in ("fact", "number", "macs", "checkpoint-size"):
            template = "pending"
        if in_cell and (question.is_measurable or not class_.has_value):
            template = "cell"
        text = (
            answer_environment()
            .get_template(f"{template}.md.j2")
            .render(
                form=form,
                question=question,
                main=main,
                brief=functools.partial(self._brief, question, place),
                built_on_it=main.built_on_it if main and re.search(r"\[\?\]\W*$", place.sentence) else "",
                part=part_of(question, place, main) if main else None,
                whose=self.named_in(place.sentence),
                is_part=is_part,
                is_asked=lambda name: (name, place.section) in self.asked,
                answer_class=class_.value,
                model=self.knowledge.address,
                class_names=lambda view: class_names(view.text) if view else [],
                metrics=metrics,
                place=place,
                knowledge=self.knowledge,
                find=lambda key: self._use(self.knowledge.find(key)),
                published=lambda metric: self._use(self.knowledge.published(metric, own=True)),
                reference=lambda metric: self._use(self.knowledge.published(metric, own=False)),
                results_of_parts=lambda view: self._use_all(self.knowledge.results_of_parts(view.key)),
                absent=lambda key: self._use(self.knowledge.absent(key)),
                slices=lambda slicing: self._use_all(self.knowledge.family(slicing, "top1")),
                corruptions=self._corruption_errors,
                results=self._results,
                values=lambda: self._values(question, metrics),
                sentences=functools.partial(_sentences, self.references),
                commercial_use=functools.partial(_commercial_use, place),
                of_others=functools.partial(_of_others, self.references),
                tested=_tested,
                is_given=lambda view: (view.key, place.section) in self.given,
                is_said=lambda view: _is_said(view.text, place.section_text),
                told_elsewhere=lambda view: any(key == view.key and at != place.section for key, at in self.given),
                aside=self.references.note,
                how=self._how,
                suites=self._suites,
                by=functools.partial(marks, self.references),
                cite=lambda *views: self.references.cite(
                    *(source for view in views if view for source in view.sources)
                ),
                told_under=lambda views: next(
                    (under for _, keys, under in self.told if keys.issuperset(view.key for view in views) and views), ""
                ),
                home_of=lambda name: (
                    self.homes.get(name) if self.homes.get(name) != "".join(place.section[-1:]) else None
                ),
                searched=self._searched,
            )
        )
        self.classes[question.id] = class_
        self.asked.add((question.id, place.section))
        keys = list(dict.fromkeys(view.key for view in self.used))
        self.given |= {(key, place.section) for key in keys}
        text = text.strip() if form == "code" else _tidy(text)
        if form != "code" and "```" not in text and len(MARK.sub("", text).split()) > _LONG:
            text = self._once(question, form, place, frozenset(keys), text)
        return Answer(question.id, class_, keys, text, not self.is_pending)

    def _once(self, question: Property, form: Form, place: Place, keys: frozenset[str], text: str) -> str:
        """A long answer where it is told first, or under the heading that asks it; elsewhere where it stands."""
        here, words = "".join(place.section[-1:]), len(MARK.sub("", text).split())
        home = self.homes.get(question.id) if words > 2 * _LONG and not question.is_measurable else None
        what = question.template if question.template == "results" else question.id
        earlier = (under for asked, known, under in self.told if asked == what and known >= keys)
        under = next(earlier, home if home != here and form != "value" else None)
        if under is None:
            self.told.append((what, keys, here))
            return text
        where, first = "above" if under == here else f"“{under}”", re.split(r"\.\s", text)[0].rstrip(".")
        if len(MARK.sub("", first).split()) <= _LONG and len(first) + 1 < len(text):
            said = f"{first} (see {where})"
        elif form == "value":
            said = f"see {where}"
        else:
            said = f"{question.unknown} given {where if under == here else f'under {where}'}"
        return said if form == "value" else f"{capital(said)}."

    @functools.cached_property
    def subjects(self) -> Subjects:
        return Subjects(self.knowledge)

    def _brief(self, question: Property, place: Place, view: View) -> str:
        """A value in as few words as its place needs: of a list the entry that it asks for, no unit that stands there."""
        if part := part_of(question, place, view):
            return part
        value, words = view.value, " ".join((*place.own, place.sentence)).replace("_", " ")
        if view.name.benchmark == "documented.license" and isinstance(value, str):
            return value
        if isinstance(value, dict) and question.list in value:
            value = value[question.list]
        if isinstance(value, list):
            shown = [f"{part:,}" if isinstance(part, int) else str(part) for part in value]
            return enumerate_words(shown) if isinstance(value[0], str) else ", ".join(shown)
        if not view.evidence.is_number:
            return view.text.partition("; ")[0].partition(". ")[0]
        text = self._scaled(question, place, view, words) or self._counted(question, place, view, words)
        counted = re.match(r"([\d.,]*\d) ([A-Za-z]+)", text)
        said = place.sentence.partition("[?]")[2][:30] if question.id in _SPEEDS else words
        return counted[1] if counted and stem(counted[2]) in map(stem, re.findall(r"[A-Za-z]+", said)) else text

    def named_in(self, text: str) -> str:
        """The words of a text that name the model as whose something is: ` for RegNetY-040`; nothing where it names another."""
        named = _OF_A_NAME.search(text)
        return named[0] if named and self.subjects.is_itself(named[1]) else ""

    @staticmethod
    def _scaled(question: Property, place: Place, view: View, words: str) -> str:
        """A number as its place measures it: in another unit, as an error, as both sides of a square; nothing where it needs
        none of these."""
        value, unit = view.value, view.evidence.unit
        for pattern, size in question.unit_patterns if isinstance(question.units, dict) else ():
            if size != 1 and (pattern.match(place.sentence.partition("[?]")[2]) or pattern.search(" ".join(place.own))):
                return plain_number(value / size) if isinstance(value, float) else f"{value / size:.4g}"
        is_size = view.name.subject in ("data.resolution", "data.test-resolution", "preprocessing.resize")
        if is_size and unit == "pixels" and isinstance(value, int) and view.fact is None:
            is_told = re.search(r"\[\?\] (?:pixels?|px|square)\b|\b(?:pixels|size|resolution)\b", words, re.IGNORECASE)
            return f"{value} × {value}" + ("" if is_told else " pixels")
        heads = (*place.row, place.column or "", place.label or "")
        if any(re.fullmatch(r"\W*[A-Za-z]\w*_\w+\W*", head) for head in heads):
            return view.number  # after a name of code
        if view.name.metric in ("top1", "top5") and asks_error(place):
            decimals = len(view.number.partition(".")[2])
            return f"{100 - value:.{decimals}f}" + ("" if "%" in words else " %")
        if unit in ("B", "bytes"):
            megabytes = f"{value / 1e6:,.1f}" if value >= 1e7 else f"{value / 1e6:.2f}"
            return megabytes + ("" if re.search(r"\bMB\b|megabytes", words) else " MB")
        scale = re.search(r"\(([MG])\)|\[\?\] ([MG](?=FLOP|MAC)|[MG]\b|(?:m|b)illion\b)", words)
        return f"{value / (1e6 if (scale[1] or scale[2]) in ('M', 'million') else 1e9):.3g}" if scale else ""

    def _counted(self, question: Property, place: Place, view: View, words: str) -> str:
        """A number with its unit, or in the words of its source."""
        is_speed, unit = question.id in _SPEEDS, view.evidence.unit or ""
        is_told = unit == "%" and "(%)" in " ".join((*place.own, place.column or ""))
        if is_told or ((unit == "%" or is_speed) and any(re.fullmatch(r"\d+\.\d+", told) for _, told in place.cells)):
            return view.number  # as its head or its row has it
        if is_speed and place.column is None and view.fact and "device" in self.knowledge.asked.values:
            return f"{view.number} {unit}"  # the sentence says on what
        if is_speed or view.fact is None or unit == "%":
            return view.text
        if question.is_measurable or re.match("[a-z]{2}", view.text):
            return f"{view.number} {unit}".rstrip()
        text = (view.fact.says or f"{view.number} {unit}".rstrip()).partition("; ")[0].partition(". ")[0]
        text = re.sub(r" ?\([^()\[\]]*\)(?!\()", "", text)
        has_number = re.search(r"\d", re.sub(r"\d+ × \d+(?![⁻\d])", "", text))
        asks_share = re.search(r"(?i)\b(?:ratio|fraction|factor|share|strength|rate)\b", words)
        return text if has_number or not asks_share else view.number

    def knows_why_not(self, question: Property) -> bool:
        """Whether evidence says why a question has no answer."""
        return any(map(self.knowledge.absent, question.absent)) and not any(map(self.knowledge.find, question.evidence))

    @property
    def looked(self) -> str:
        """The mark of the note that says where was looked."""
        return " " + self.references.note(f"Looked in {enumerate_words(self.knowledge.looked_in)}")

    @property
    def nowhere(self) -> str:
        """Where it stands nowhere, in few words."""
        more = " or its sources" if self.knowledge.facts.facts else " or the model's files"
        return "the card" + (more if len(self.knowledge.looked_in) > 1 else "")

    def unknown(
        self, questions: Sequence[Property], form: Form, *, in_cell: bool = False, is_sure: bool = True
    ) -> Answer:
        """That nothing is known, in the words of what is asked if that is sure, and where was looked."""
        counted = ("compute.parameters", "compute.checkpoint-bytes")  # stated by the files, never measured
        is_measurable = (
            questions
            and questions[0].is_measurable
            and questions[0].template != "testing-data"
            and not {*questions[0].evidence}.intersection(counted)
        )
        # Whether a source states what isn't understood, or states it of something else, nobody has looked.
        is_open = not (questions and is_sure) or any(self._candidates(question, ()) for question in questions)
        verb = "measured" if is_measurable and not is_open else "stated"
        short = f"not {verb if in_cell else 'stated'}{self.looked}"
        if form == "text" and not is_open:
            short = " ".join(f"{question.unknown} not stated in {self.nowhere}{self.looked}." for question in questions)
        elif form in ("text", "block"):
            short = capital(f"{short}.")
        return Answer(" + ".join(q.id for q in questions), EvidenceClass.UNDISCLOSED, [], short, True, True)

    def _missing(self, question: Property, form: Form, metrics: tuple[str, ...]) -> Answer:
        """That nothing is known under the conditions that are asked: `not measured on an Edge TPU`."""
        if self.knowledge.asked.siblings:
            return Answer(question.id, EvidenceClass.UNDISCLOSED, [], "not stated for that checkpoint", True, True)
        phrase = self.knowledge.asked.missing(self._candidates(question, metrics))
        verb = "stated" if not question.is_measurable else phrase.verb
        text = f"not {verb} {phrase.words}" if phrase.words else "not stated"
        if question.is_measurable and not self.knowledge.has_imagenet_classes:
            text = "not stated"  # on its own data, which nothing else measures
        self.classes[question.id] = EvidenceClass.UNDISCLOSED
        text = text if form in ("value", "code") else f"{question.unknown} {text}."
        return Answer(question.id, EvidenceClass.UNDISCLOSED, [], text, True, True)

    def _candidates(self, question: Property, metrics: tuple[str, ...]) -> list[View]:
        """What would answer a question if nothing but the quantity were asked."""
        known = replace(self.knowledge, asked=Asked())
        keys = (*question.evidence, *metrics, *question.metrics)
        return [view for key in keys for view in (known.find(key), *known.all_published(key, own=True)) if view]

    def _metrics(self, question: Property, asked: Asked, place: Place) -> tuple[str, ...]:
        """The metrics that a question is about: of the data sets asked, else of those that its section speaks of, else all."""
        if question.metrics and not self.knowledge.has_imagenet_classes and self.knowledge.own_results:
            return tuple(self.knowledge.own_results)
        ranks = asked.values.get("rank")
        own = tuple(m for m in question.metrics if ranks is None or EvidenceKey.parse(m).metric in ranks)
        if own and (datasets := asked.values.get("dataset")):
            kinds = {EvidenceKey.parse(metric).metric for metric in own}
            names = {name: EvidenceKey.parse(name) for name in self.table.scores}
            return tuple(
                name
                for name, key in names.items()
                if key.benchmark.removesuffix("-generated") in datasets and key.metric in kinds
            )
        named = [m for m in own if search(self.table.scores[m].mention, place.section_text)]
        return tuple(named) or own

    def _name(self, metric: str) -> str:
        """What a benchmark's metric is called; nothing for another quantity."""
        known = self.table.scores.get(metric)
        return known.name if known is not None else self.knowledge.own_results.get(metric, "")

    def _values(self, question: Property, metrics: tuple[str, ...]) -> list[tuple[str, View]]:
        """Every value that answers a question about a quantity, measured ones first, with its metric's name."""
        found: list[tuple[str, View]] = []
        for key in metrics or tuple(key for key in question.evidence if question.is_measurable):
            name = self._name(key)
            told = {view.name.subject for _, view in found if view.fact is None}
            candidates = (self.knowledge.find(key), *self.knowledge.all_published(key, own=True))
            # Of a quantity's variants in the ledger the first that fits.
            views = {v.key: v for v in candidates if v is not None and (v.fact or v.name.subject not in told)}
            found += [(name, view) for view in views.values()]
        self._use_all([view for _, view in found])
        return found

    def _answer_parts(self, question: Property, form: Form, place: Place) -> Answer | None:
        inner: Form = "text" if form == "block" else form
        parts = [self.answer(self.table.get(part), inner, place, is_part=True) for part in question.parts]
        pending = [part for part in parts if part and not part.is_complete]
        is_own = not self.knowledge.facts.facts and len(pending) < sum(map(bool, parts))
        found = [part for part in parts if part is not None and part not in pending[0 if is_own else 1 :]]
        texts = [f"- {part.text}" if form == "block" else part.text for part in found]
        separator = {"block": "\n", "value": "; "}.get(form, " ")
        return join_answers(found, question=question.id, text=separator.join(texts)) if found else None

    def _decide(
        self, question: Property, metrics: tuple[str, ...]
    ) -> tuple[EvidenceClass, View | None] | tuple[None, None]:
        """The class of the answer and the evidence that decides it."""
        known = self.knowledge
        unknown = next(filter(None, map(known.absent, question.absent)), None)
        found = [known.find(key) for key in question.evidence]
        found += [unknown] if question.stays_unknown else []
        found += [known.find(metric) for metric in metrics]
        quantities = [key for key in question.evidence if key.startswith("compute.")]
        found += [known.published(key, own=True) for key in (*metrics, *quantities)]
        found += [] if question.prefer == "suite" else [unknown]
        main = next(filter(None, found), None)
        if main is not None:
            return main.class_, main
        if question.prefer == "suite":
            return EvidenceClass.PENDING, None
        if question.suite:
            return EvidenceClass.PENDING, next(filter(None, map(known.pending, (*question.evidence, *metrics))), None)
        return None, None

    def _use(self, view: View | None) -> View | None:
        self.used += [view] if view else []
        return view

    def _use_all(self, views: list[View]) -> list[View]:
        self.used += views
        return views

    def _corruption_errors(self) -> list[View]:
        """Corruption errors, highest first, of the official images or else of the generated ones."""
        known = self.knowledge
        return self._use_all((known.family("imagenet-c", "ce") or known.family("imagenet-c-generated", "ce"))[::-1])

    def _results(self, metrics: Sequence[str]) -> list[ResultRow]:
        """What is measured, published for this checkpoint, and published for others, for each metric."""
        rows = []
        known = set()
        found = {
            metric: (self.knowledge.find(metric), self.knowledge.published(metric, own=True)) for metric in metrics
        }
        references = self.knowledge.reference_row([metric for metric in metrics if not found[metric][1]])
        for metric in metrics:
            name = self._name(metric)
            own, published = map(self._use, found[metric])
            own = own if own and own.fact is None else None  # of a sibling it is what is published
            reference = self._use(references.get(metric))
            rows.append(ResultRow(metric, name, own, published, reference))
            known |= {name.replace(" (generated)", "")} if own or published or reference else set()
        return [
            row
            for row in rows
            if row.own or row.paper or row.reference or (row.name not in known and "(generated)" not in row.name)
        ]

    def _searched(self, view: View) -> str:
        """The marks of where was looked for what isn't published, and of which checkpoint that is true."""
        looked = self.references.note(f"Looked in {view.looked_in}") if view.looked_in else ""
        return f" {looked}{self.references.note(f'This holds{view.about}') if view.about else ''}".rstrip()

    def _how(self, *suites: str) -> str:
        """The marks of what measures it, and of what that needs; an answer with one is incomplete."""
        self.is_pending = True
        self.suites |= dict.fromkeys(suites)
        needs: dict[str, list[str]] = {}
        for suite in self.suites:
            needs.setdefault(self.table.suites[suite], []).append(suite)
        model = f"--model {self.knowledge.address}`"
        runs = "; ".join(
            f"`harness run --suite {first} {model}"
            + (f" (also {enumerate_words(f'`--suite {other}`' for other in others)})" if others else "")
            + f", given {need}"
            for need, (first, *others) in needs.items()
        )
        return self.references.note(f"[`harness`]({HARNESS_URL}) measures what is missing: {runs}", key="to measure")

    def _suites(self, rows: list[ResultRow]) -> list[str]:
        """The suites that measure some metrics."""
        return [self.table.scores[row.metric].suite for row in rows]


def join_answers(answers: Sequence[Answer], *, question: str, text: str) -> Answer:
    """Several answers as one: pending where any part is, otherwise of the class of the first part with a value."""
    classes = [answer.class_ for answer in answers]
    class_ = next((class_ for class_ in classes if class_.has_value), classes[0])
    class_ = EvidenceClass.PENDING if EvidenceClass.PENDING in classes else class_
    keys = list(dict.fromkeys(key for answer in answers for key in answer.evidence))
    complete, unknown = (all(map(operator.attrgetter(name), answers)) for name in ("is_complete", "is_unknown"))
    return Answer(question, class_, keys, text, complete, unknown)


def sandbox(*folders: Path) -> SandboxedEnvironment:
    """Where card templates run: Jinja's sandbox, with undefined names as errors."""
    return SandboxedEnvironment(
        loader=FileSystemLoader(folders),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
        auto_reload=False,
    )


@functools.cache
def answer_environment() -> SandboxedEnvironment:
    """The sandbox that answer templates run in."""
    environment = sandbox(shipped_folder("templates") / "answers")
    environment.filters |= {
        "capital": capital,
        "compact": compact_number,
        "megabytes": lambda value: f"{value / 1e6:,.1f} MB",
        "words": enumerate_words,
        "apart": _apart,
        "lower_first": lambda text: text if text[1:2].isupper() else text[:1].lower() + text[1:],
    }
    return environment


def _apart(text: str, subject: str, verb: str) -> str:
    """A sentence of a subject and what is said of it, which repeats none of the subject's words: `16 nodes` of their number.

    >>> _apart("ReLU activations", "The activation function", "is")
    'The activation function is ReLU'
    >>> _apart("five runs were trained", "The number of runs", "is")
    'Five runs were trained'
    """
    if re.match(r"[^.;:,]*\b(?:is|are|was|were)\b", text):
        return capital(text)
    said = {stem(word) for word in subject.split()} - {stem("the"), stem("of")}
    words = text.split(" ")
    while len(words) > 1 and stem(words[0]) in said:
        del words[0]
    if len(words) > 1 and stem(words[-1]) in said:
        del words[-1]
    return f"{subject} {verb} {' '.join(words)}"


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
