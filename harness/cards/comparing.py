"""Sentences that hold this network against another one: the other's numbers are read where this one's are right."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.cards.claim import Claim, Verdict, claim_at, shown
from harness.cards.document import Document
from harness.cards.quantities import Quantity, quantities
from harness.cards.sentences import Span
from harness.cards.subjects import Subjects
from harness.cards.views import View
from harness.cards.vocabulary import vocabulary

_UNITS = {
    unit: re.compile(pattern, re.IGNORECASE)
    for unit, pattern in {
        "faster": r"\s?(?:%|percent) (?:faster|quicker|more (?:than|images|pictures))",
        "ms": r"\s?(?:ms\b|milliseconds?)",
        "AP": r"\s?(?:(?:box|mask) )?m?AP\b",
        "mIoU": r"\s?(?:points? )?mIoU\b",
        "images/s": r"\s?(?:images?|img|pictures?) ?(?:/|per|a) ?s",
        "%": r"\s?(?:%|percent)",
    }.items()
}
_ELSEWHERE = re.compile(r"\b(?:384|288|would|could|might|if|our|my|I)\b")
"""What may set another scene than that of the values that are known."""


@dataclass(frozen=True)
class _Measure:
    """A number that tells how good or fast something is, and in what it is counted; empty for no unit."""

    number: Quantity
    unit: str

    def is_among(self, known: Sequence[_Measure]) -> bool:
        """Whether it is one of those that are known in its unit; of accuracies also as an error."""
        likes = (self.number, self.number.complement()) if self.unit == "%" else (self.number,)
        ends = [
            end for k in known if k.unit == self.unit for end in (k.number.value, k.number.upper) if end is not None
        ]
        return any(like.agrees(end) for like in likes for end in ends)


def _measures(text: str, unit: str = "") -> list[_Measure]:
    """The measures of a text; numbers without a unit have the one that is given."""
    found = []
    for number in quantities(text):
        units = (name for name, pattern in _UNITS.items() if pattern.match(text, number.end - number.percent))
        found.append(_Measure(number, next(units, unit)))
    return found


def comparisons(document: Document, prose: list[Span], subjects: Subjects) -> Iterator[Claim]:
    """Numbers of another network beside which this one's stands rightly, or by how much it is behind, that no fact tells."""
    facts, named = subjects.knowledge.facts.facts, vocabulary().model_names
    for span in prose:
        text = document.text[slice(*span)]
        rivals = {name for name in named.findall(text) if not subjects.is_own(name)}
        if len(rivals) != 1 or _ELSEWHERE.search(text):
            continue
        stated = _measures(text)
        own = [
            measure
            for fact in facts
            for measure in _measures(f"{fact.says or ''} {fact.evidence.value} {fact.evidence.unit or ''}")
        ]
        right = [measure for measure in stated if measure.is_among(own)]
        told = [(fact, fact.says) for fact in facts if fact.says and rivals & {*named.findall(fact.says)}]
        for measure in stated:
            unit = measure.unit
            fact = next((fact for fact, says in told if unit in {m.unit for m in _measures(says)} - {""}), None)
            is_beside = unit == "faster" or any(other.unit == unit for other in right)
            is_known = measure in right or measure.is_among([m for _, says in told for m in _measures(says, unit)])
            if fact is not None and is_beside and not is_known and measure.number.value >= 10:
                at, view = (span[0] + measure.number.start, span[0] + measure.number.end), View(fact.evidence, fact)
                yield claim_at(document, at, "comparison", Verdict.CONTRADICTED, view, correct=shown(view), whole=span)
