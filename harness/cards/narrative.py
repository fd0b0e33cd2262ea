"""What a rendered card says in words: documented facts with their class and source, published values beside measured ones,
limitations drawn from the measurements, and the list of sources.

The sentences are those that a fill writes: one question table and one set of answer templates for both.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from harness.cards.answers import Form, Writer
from harness.cards.knowledge import Knowledge
from harness.cards.questions import Place
from harness.cards.views import View, link
from harness.data.catalog import Benchmark, benchmarks
from harness.evidence import Evidence, EvidenceClass, Ledger, show, show_interval, show_value
from harness.facts import Fact

_NOWHERE = Place(sentence="", label=None, label_is_own=False, beside=(), section=())
_MOST_LIMITS = 3
"""Corruptions and drops that are named in the limitations; the tables have them all."""


@dataclass(frozen=True)
class Reference:
    """One published value beside what was measured."""

    benchmark: str
    measured: str
    """Here, or why not."""
    published: str
    checkpoint: str
    """The exact one that the value is for."""
    setting: str
    source: str
    """A Markdown link."""


@dataclass
class Narrative:
    """The words of one card."""

    knowledge: Knowledge
    ledger: Ledger
    writer: Writer = field(init=False)

    def __post_init__(self) -> None:
        self.writer = Writer(self.knowledge)
        self._sources: dict[str, None] = {}
        self._said: dict[tuple[str, Form], str | None] = {}

    def say(self, question: str, form: Form = "value") -> str | None:
        """The answer to a question of the question table; None where nothing is known or it waits for a run."""
        if (question, form) not in self._said:
            self._said[question, form] = self._answer(question, form)
        return self._said[question, form]

    def _answer(self, question: str, form: Form) -> str | None:
        place = replace(_NOWHERE, section=(question,))
        answer = self.writer.answer(self.writer.table.get(question), form, place)
        if answer is None or answer.class_ is EvidenceClass.PENDING:
            return None
        if form == "value" and "\n" in answer.text:
            raise ValueError(f"the answer to {question} does not fit into one line")
        for view in self.writer.used:
            self._note_source(view)
        return answer.text

    def _note_source(self, view: View) -> None:
        source = view.evidence.source
        if source is not None and source.url and view.fact is not None:
            file = re.fullmatch(r"(?:.*/)?([\w.-]+\.\w+|LICENSE)(?::[\d-]+)?", source.place or "")
            title = f"{source.title}, {file[1]}" if file else source.title
            self._sources.setdefault(f"[{title}]({_page(source.url)})")

    # --- published values ---

    def references(self) -> list[Reference]:
        """Published top-1 accuracies by benchmark: those for this checkpoint, or where there is none the nearest other's."""
        rows = []
        for benchmark in benchmarks().values():
            found = self.knowledge.facts.published(f"{benchmark.name}.top1") if self.knowledge.facts else []
            own = [fact for fact in found if self.knowledge.stands_for(fact)]
            rows += [self._reference(benchmark, fact) for fact in own or found[:1]]
        return rows

    def _reference(self, benchmark: Benchmark, fact: Fact) -> Reference:
        view = View(fact.evidence, fact)
        self._note_source(view)
        own = self.ledger.get(f"{benchmark.name}.top1")
        measured = show(own) if own is not None and own.class_.has_value else "pending"
        other = "" if self.knowledge.stands_for(fact) else "another checkpoint: "
        checkpoint = f"{other}{fact.checkpoint.name}"
        return Reference(benchmark.title, measured, f"{view.number} %", checkpoint, fact.setting or "", link(view))

    # --- limitations ---

    def limitations(self) -> Iterator[str]:
        """What the measurements say against the model, the worst first in each kind, as Markdown sentences."""
        yield from self._drops()
        yield from self._corruptions()
        yield from self._confidence()

    def _drops(self) -> Iterator[str]:
        drops = [item for item in self._measured() if (item.name.metric, item.name.variant) == ("accuracy-drop", None)]
        for item in _worst(drops):
            title = benchmarks()[item.name.benchmark].title
            yield f"On {title} its top-1 accuracy is {show(item)} lower than on the same classes of ImageNet's validation set."

    def _corruptions(self) -> Iterator[str]:
        """The corruptions with the highest mean error; where not all severities were run, at the highest that was."""
        means: dict[str, list[Evidence]] = {}
        cells: dict[str, dict[int, list[Evidence]]] = {}
        for item in self._measured():
            key = item.name
            if key.variant is not None or key.slice is not None:
                continue
            if key.corruption is not None and key.metric == "mean-error":
                means.setdefault(key.benchmark, []).append(item)
            elif key.severity is not None and key.metric == "top1":
                cells.setdefault(key.benchmark, {}).setdefault(key.severity, []).append(item)
        for benchmark in dict.fromkeys([*means, *cells]):
            if benchmark in means:
                when, worst, word = "over all severities", _worst(means[benchmark]), "wrong"
            else:
                highest = max(cells[benchmark])
                when, worst = f"at severity {highest}", _worst(cells[benchmark][highest], least=True)
                word = "right"
            listed = "; ".join(f"{_corruption(item)}, {_with_word(item, word)}" for item in worst)
            yield f"{benchmarks()[benchmark].title}: what hurts most {when} is {listed}."

    def _confidence(self) -> Iterator[str]:
        """Confidence above or below accuracy, where the accuracy's interval leaves no doubt."""
        for name in dict.fromkeys(item.name.benchmark for item in self._measured()):
            confidence, accuracy = self.ledger.get(f"{name}.mean-confidence"), self.ledger.get(f"{name}.top1")
            if confidence is None or accuracy is None or accuracy.interval is None or name not in benchmarks():
                continue
            stated, low, high = confidence.value, accuracy.interval.low, accuracy.interval.high
            if isinstance(stated, int | float) and not low <= stated <= high:
                which = "less" if stated < low else "more"
                yield (
                    f"On {benchmarks()[name].title} it is {which} sure of itself than it is right: its mean confidence is "
                    f"{stated:.1f} %, its top-1 accuracy {show_interval(accuracy)} %."
                )

    def _measured(self) -> Iterator[Evidence]:
        known = benchmarks()
        for item in self.ledger:
            if item.class_ is EvidenceClass.MEASURED and item.is_number and item.name.benchmark in known:
                yield item

    # --- sources ---

    def sources(self) -> list[str]:
        """Links to everything that an answer given so far rests on, in the order of first use."""
        return list(self._sources)


def _worst(items: Iterable[Evidence], *, least: bool = False) -> Sequence[Evidence]:
    """The items with the highest values, or the lowest ones."""
    return sorted(items, key=lambda item: item.number, reverse=not least)[:_MOST_LIMITS]


def _with_word(item: Evidence, word: str) -> str:
    """`5 % right (95 % interval 1–24, n = 20)`."""
    value = show_value(item)
    return f"{value} {word}{show(item)[len(value) :]}"


def _corruption(item: Evidence) -> str:
    return str(item.name.corruption).replace("_", " ")


def _page(url: str) -> str:
    """A source's address without the line that one answer points to."""
    return re.sub(r"(?:\?plain=1)?#.*$", "", url)
