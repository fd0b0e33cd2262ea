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
        numbers = [
            number for other in known if other.unit == self.unit for number in (other.number.value, other.number.upper)
        ]
        return any(like.agrees(number) for like in likes for number in numbers if number is not None)


def _measures(text: str) -> list[_Measure]:
    found = []
    for number in quantities(text):
        units = (name for name, pattern in _UNITS.items() if pattern.match(text, number.end - number.percent))
        found.append(_Measure(number, next(units, "")))
    return found


def comparisons(document: Document, prose: list[Span], subjects: Subjects) -> Iterator[Claim]:
    """Numbers of another network beside which this one's stands rightly, or by how much it is behind, that no fact tells."""
    facts, names = subjects.knowledge.facts.facts, vocabulary().model_names
    told = [(fact, f"{fact.says or ''} {fact.evidence.value} {fact.evidence.unit or ''}") for fact in facts]
    known = [measure for _, text in told for measure in _measures(text)]
    for span in prose:
        text = document.text[slice(*span)]
        rivals = {name for name in names.findall(text) if not subjects.is_own(name)}
        if len(rivals) != 1 or _ELSEWHERE.search(text):
            continue
        measures = _measures(text)
        right = {measure.unit for measure in measures if measure.is_among(known)}
        of_rival = [fact for fact in facts if rivals & {*names.findall(fact.says or "")}]
        for measure in measures:
            fact = next((f for f in of_rival if measure.unit in {m.unit for m in _measures(f.says or "")}), None)
            is_beside = measure.unit == "faster" or measure.unit in right
            if fact and measure.unit and is_beside and not measure.is_among(known) and measure.number.value >= 10:
                at, view = (span[0] + measure.number.start, span[0] + measure.number.end), View(fact.evidence, fact)
                yield claim_at(document, at, "comparison", Verdict.CONTRADICTED, view, correct=shown(view), whole=span)
