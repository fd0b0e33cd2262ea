"""Somebody's own training that started from the model: what a card tells of it is about another model.

A card says so where it names the model as what it was fine-tuned from (`base_model:`, "a fine-tuned version of …"), a section where it
says that somebody fine-tuned it on other data. Data, recipe, results and what hangs on the head are that model's there; the
architecture is still this one's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from harness.cards.document import Document
from harness.cards.passages import Passage
from harness.cards.questioned import is_of_other_data
from harness.cards.sentences import Span
from harness.cards.stated import Statement
from harness.cards.subjects import Subjects
from harness.cards.vocabulary import Property, vocabulary, wording

_OF_OTHERS = re.compile(
    r"\b(?:there (?:is|are)|another|other|others|some|several|many|e\.g\.|models|versions|checkpoints) ", re.IGNORECASE
)
"""What says that a card's own model is not the one that was fine-tuned."""
_LEADS = re.compile(r"(?:[:—]|\b(?:of|from|with)(?: the)?)\W*$")
"""What stands right before the name of what a model was made from."""
_DATA_TITLE = re.compile(r"\W*(?:fine-?tun\w+ |target )?(?:data ?sets?|data|tasks?|benchmarks?)\W*", re.IGNORECASE)
_KNOWN_DATA = re.compile(r"ImageNet|ILSVRC|IN-?\d|\b\d+k\b|COCO|ADE|val|test|train", re.IGNORECASE)
_TUNED, _TUNED_BY, _OWN_DATA, _WISHED = (wording(name) for name in ("tuned", "tuned-by", "own-data", "wished"))


@dataclass(frozen=True)
class _Place:
    """A part of a card: from where on, in which section, and whether also in the sections below that."""

    start: int
    section: tuple[str, ...]
    is_nested: bool

    def holds(self, statement: Statement) -> bool:
        section = statement.passage.section
        near = section[: len(self.section)] if self.is_nested else section
        return statement.span[0] >= self.start and near == self.section


@dataclass(frozen=True)
class OwnTraining:
    """Where a card tells of somebody's own training."""

    places: tuple[_Place, ...]

    @property
    def is_whole_card(self) -> bool:
        return _WHOLE in self.places

    def covers(self, statement: Statement) -> bool:
        """Whether a statement is about the model that such a training made."""
        is_there = any(place.holds(statement) for place in self.places) or (
            statement.metric is None and _is_of_other_row(statement.passage)
        )
        return is_there and not _is_inherited(statement.about)


_WHOLE = _Place(0, (), is_nested=True)


def own_training(
    document: Document, prose: Sequence[Span], statements: Iterable[Statement], subjects: Subjects
) -> OwnTraining:
    """Where a card tells of training that started from the model."""
    if any(_is_made_from_it(statement, subjects) for statement in statements):
        return OwnTraining((_WHOLE,))
    return OwnTraining(tuple(_told(document, prose, subjects)))


def _is_made_from_it(statement: Statement, subjects: Subjects) -> bool:
    """Whether a statement says that the card's model was fine-tuned from this one."""
    if statement.about.name != "base model" or statement.is_loose or not subjects.is_itself(str(statement.value)):
        return False
    before = statement.passage.text[: statement.at]
    if not _LEADS.search(before):
        return False
    subject = re.split(r"fine-?tun|initiali", before, flags=re.IGNORECASE)[0]
    is_sibling = any(re.search(sibling.mention or "", subject, re.IGNORECASE) for sibling in subjects.siblings)
    return not is_sibling and not _OF_OTHERS.search(subject)


def _told(document: Document, prose: Sequence[Span], subjects: Subjects) -> Iterator[_Place]:
    """The places of sentences that tell of fine-tuning on other data, or by who wrote the card."""
    for start, end in prose:
        text = document.text[start:end]
        if not (block := document.block_at(start, end)) or _WISHED.search(text):
            continue
        is_by = _TUNED_BY.search(text) is not None
        if is_by or (_TUNED.search(text) and (_OWN_DATA.search(text) or is_of_other_data(text))):
            names = vocabulary().model_names.findall(text)
            yield _Place(start, block.section, is_nested=is_by and any(map(subjects.is_itself, names)))


def _is_of_other_row(passage: Passage) -> bool:
    """Whether a table gives a value in the row of other data."""
    cells = zip(passage.header.split(" | "), passage.row.split(" | "), strict=False)
    data = [cell for head, cell in cells if _DATA_TITLE.fullmatch(head) and re.search(r"[^\W\d_]{3}", cell)]
    return any(cell not in passage.header and not _KNOWN_DATA.search(cell) for cell in data)


def _is_inherited(about: Property) -> bool:
    """Whether a network has a property from the one that it was fine-tuned from, whatever was done to it."""
    return bool(about.keys) and all(re.match(r"(?:documented\.)?architecture\.", key) for key in about.keys)
