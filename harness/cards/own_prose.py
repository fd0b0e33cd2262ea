"""What a card's own sentences state of what it leaves open elsewhere, where nothing else is known of the model.

A value counts where the reader of statements is sure what it is of, or where it stands right beside the very words that it is
asked for with: `kappa` in a table, `(Cohen's kappa 0.79)` in a sentence.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from harness.cards.answers import Answer, Writer
from harness.cards.document import Document
from harness.cards.passages import Passage, passages
from harness.cards.quantities import quantities
from harness.cards.questions import Place
from harness.cards.retrieval import content
from harness.cards.stated import Statement
from harness.cards.statements import read_prose
from harness.cards.vocabulary import Property
from harness.evidence import EvidenceClass

_OTHER = re.compile(
    r"pre-?train|\b(?:base|original|starting|parent|other|earlier) (?:model|weights|checkpoint|network)|\bteacher|\bbaseline",
    re.IGNORECASE,
)
"""Words of sentences about another model, or the training before this model's own."""
_TRAINS = re.compile(r"\b(?:fine-?tuned|trained)\b", re.IGNORECASE)
"""Words of a sentence that tells of the training without calling it so."""
_BEFORE = re.compile(r"([^\W\d_]+)(?:[\s:=(]+(?:of|is|was|were|to|at|about)?)*$")
_AFTER = re.compile(r"(?:[\s-]+(?:for|of|in))?[\s-]+([^\W\d_]+)")
"""The words that a number stands right beside."""


@dataclass
class OwnProse:
    """Finds values in the sentences of one card."""

    document: Document
    writer: Writer

    def answer(self, asked: Sequence[Property], place: Place, *, is_sure: bool) -> Answer | None:
        """The single value that the card's sentences have for what a place asks."""
        if self.writer.knowledge.facts.facts:
            return None
        told = [item for item in self._statements if is_sure and len(asked) == 1 and _answers(item.about, asked[0])]
        said = {self.document.text[slice(*item.span)]: item.passage for item in told}
        said = said or dict(self._in_same_words(place))
        if len(said) != 1:
            return None
        ((text, passage),) = said.items()
        section = f", under “{passage.section[-1]}”" if passage.section else ""
        where = self.writer.references.note(f"Stated in this card{section}")
        question = " + ".join(question.id for question in asked)
        return Answer(question, EvidenceClass.DOCUMENTED, [], f"{text} {where}", is_complete=True)

    def _in_same_words(self, place: Place) -> Iterator[tuple[str, Passage]]:
        """Numbers beside a word of the label or cell that asks, in sentences that have all of its words."""
        label = " ".join((*place.row, place.column or "")) if place.column is not None else " ".join(place.own)
        bare, *named = re.split(r"[()]", label)[:2]  # "agreement of the experts (kappa)" has two names
        kept = [passage for passage in self._sentences if _OTHER.search(label) or not _OTHER.search(passage.own)]
        for words, passage in itertools.product(filter(None, map(content, (bare, *named))), kept):
            trains = content("training") if _TRAINS.search(passage.own) else frozenset()
            for number in quantities(passage.own) if words <= content(passage.own) | trains else ():
                around = _BEFORE.search(passage.own[: number.start]), _AFTER.match(passage.own[number.end :])
                beside = content(" ".join(match[1] for match in around if match))
                if re.search(r"\d", number.text) and not words.isdisjoint(beside):
                    yield passage.own[number.start : number.end], passage

    @cached_property
    def _sentences(self) -> list[Passage]:
        found = passages(self.document, [(marker.start, marker.end) for marker in self.document.markers])
        return [passage for passage in found if passage.kind == "sentence"]

    @cached_property
    def _statements(self) -> list[Statement]:
        """What is stated of this model's training, without a doubt what of."""
        return [
            item
            for item in read_prose(self.document, [(marker.start, marker.end) for marker in self.document.markers])
            if not (item.is_asked or item.is_loose or item.metric or isinstance(item.value, bool))
            and any(key.startswith("documented.training.") for key in item.about.keys)
            and self.document.text[item.span[0] - 1] not in "._/-"
            and not _OTHER.search(item.passage.own)
            and self.writer.subjects.of(item) == []
        ]


def _answers(about: Property, asked: Property) -> bool:
    """Whether a value of one property answers what asks for another."""
    return about.id == asked.id or not {*about.keys}.isdisjoint(asked.evidence)
