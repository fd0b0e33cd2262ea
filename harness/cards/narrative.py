"""What a rendered card says in words: documented facts with their class and source, published values beside measured ones,
limitations drawn from the measurements, and the list of sources.

The sentences are those that a fill writes: one question table and one set of answer templates for both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from harness.cards.answers import Form, Writer
from harness.cards.questions import Place
from harness.cards.views import View
from harness.data.catalog import benchmarks
from harness.evidence import Evidence, EvidenceClass, Ledger, show, show_basis, show_interval, show_value

_MOST_LIMITS = 3
"""Corruptions and drops that are named in the limitations; the tables have them all."""


@dataclass
class Narrative:
    """The words of one card."""

    writer: Writer
    said: dict[tuple[str, Form], str | None] = field(default_factory=dict)

    def say(self, question: str, form: Form = "value") -> str | None:
        """The answer to a question of the question table; None where nothing is known or it waits for a run."""
        if (question, form) not in self.said:
            self.said[question, form] = self._answer(question, form)
        return self.said[question, form]

    def _answer(self, question: str, form: Form) -> str | None:
        place = Place(sentence="", label=None, label_is_own=False, beside=(), section=(question,))
        answer = self.writer.answer(self.writer.table.get(question), form, place)
        if answer is None or answer.class_ is EvidenceClass.PENDING:
            return None
        if form == "value" and "\n" in answer.text:
            raise ValueError(f"the answer to {question} does not fit into one line")
        return answer.text

    def references(self) -> list[dict[str, str]]:
        """Published top-1 accuracies by benchmark: those for this checkpoint, or where there is none the nearest other's."""
        rows = []
        knowledge, references = self.writer.knowledge, self.writer.references
        assert references is not None
        for name, benchmark in benchmarks(knowledge.ledger).items():
            found = knowledge.facts.published(f"{name}.top1")
            measured = knowledge.ledger.get(f"{name}.top1")
            here = show(measured) if measured is not None and measured.class_.has_value else "pending"
            for fact in [fact for fact in found if knowledge.stands_for(fact)] or found[:1]:
                view = View(fact.evidence, fact)
                row = {
                    "benchmark": benchmark.title,
                    "measured": here,
                    "published": f"{view.number} %",
                    "checkpoint": ("" if knowledge.stands_for(fact) else "another checkpoint: ") + fact.checkpoint.name,
                    "setting": fact.setting or "",
                    "source": references.cite(view.evidence.source),
                }
                rows.append(row)
        return rows


# --- limitations ---


def limitations(ledger: Ledger) -> Iterator[str]:
    """What the measurements say against the model, the worst first in each kind, as Markdown sentences."""
    known = benchmarks(ledger)
    numbers = [item for item in ledger if item.class_ is EvidenceClass.MEASURED and item.is_number]
    measured = [item for item in numbers if item.name.benchmark in known]
    for item in _worst(i for i in measured if (i.name.metric, i.name.variant) == ("accuracy-drop", None)):
        title = known[item.name.benchmark].title
        yield f"On {title} its top-1 accuracy is {show(item)} lower than on the same classes of ImageNet's validation set."
    yield from _corruptions(measured)
    for name in dict.fromkeys(item.name.benchmark for item in measured):
        yield from _confidence(known[name].title, ledger.get(f"{name}.mean-confidence"), ledger.get(f"{name}.top1"))


def _corruptions(measured: list[Evidence]) -> Iterator[str]:
    """The corruptions with the highest mean error; where not all severities were run, at the highest that was."""
    means: dict[str, list[Evidence]] = {}
    cells: dict[str, dict[int, list[Evidence]]] = {}
    for item in measured:
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
        listed = (
            f"{str(item.name.corruption).replace('_', ' ')}, {show_value(item)} {word}{show_basis(item)}"
            for item in worst
        )
        yield f"{benchmarks()[benchmark].title}: what hurts most {when} is {'; '.join(listed)}."


def _confidence(title: str, confidence: Evidence | None, accuracy: Evidence | None) -> Iterator[str]:
    """Confidence above or below accuracy, where the accuracy's interval leaves no doubt."""
    if confidence is None or not confidence.is_number or accuracy is None or accuracy.interval is None:
        return
    stated, low, high = confidence.number, accuracy.interval.low, accuracy.interval.high
    if not low <= stated <= high:
        which = "less" if stated < low else "more"
        yield (
            f"On {title} it is {which} sure of itself than it is right: its mean confidence is "
            f"{stated:.1f} %, its top-1 accuracy {show_interval(accuracy)} %."
        )


def _worst(items: Iterable[Evidence], *, least: bool = False) -> list[Evidence]:
    return sorted(items, key=lambda item: item.number, reverse=not least)[:_MOST_LIMITS]
