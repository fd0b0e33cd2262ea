"""Statements beside an answer that it makes false: found, and removed as whole sentences, or left whole and reported.

Only statements that something is unknown are looked at ("the references do not give the batch size"), and only those
about what was answered; what is still undisclosed is rightly called unknown. A sentence that says nothing else goes; one
that says more than what is false stays as its author wrote it, and is told of with its line.
"""

from __future__ import annotations

import bisect
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from harness.cards.answers import Answer, Writer
from harness.cards.document import Block, Document, Edit, Marker
from harness.cards.sentences import Span, label_prefix, sentences
from harness.cards.vocabulary import Property
from harness.evidence import EvidenceClass

_FALSIFYING = (EvidenceClass.MEASURED, EvidenceClass.DERIVED, EvidenceClass.DOCUMENTED)
_SAYS = (
    r"(?:contain|provide|mention|specif(?:y|ied)|state|give|include|discuss|describe|go into detail|disclose|list|"
    r"report|directly applicable)"
)
_ABSENCE = re.compile(
    rf"\b(?:do|does|did|can|could|is|are|was|were)(?: not|n't|not)\b[^.;]{{0,40}}?\b{_SAYS}(?:d|s|n)?\b"
    rf"|\b(?:exact|specific)\b[^.;]*\bnot (?:{_SAYS}d?|given)\b"
    r"|\bno (?:explicit|direct|specific|clear|concrete)?\s*(?:mention|information|indication)\b"
    r"|\bmore (?:\w+ ){0,2}(?:information|details?) (?:would|will|is|are|must)\b[^.;]{0,20}\b(?:need|requir|gather)",
    re.IGNORECASE,
)
_CLAUSE = re.compile(
    r",? but (?:[\w-]+ ){0,5}?(?:do|does|did|is|are|was|were)(?: not|n't)\b[^.;]*|\s+with an? [\w -]{2,40} that (?:is|was) not \w+"
    r"|\s+rather than (?:metrics|numbers|figures|results|values)\b[^.;]*",
    re.IGNORECASE,
)
"""The part of a sentence that says something is unknown, after one that says something else."""
_OF_SOURCES = re.compile(
    r"\W*(?:(?:However|While|Although),? )?(?:the|these)(?: \w+){0,2} (?:references?|sources?)\b", re.IGNORECASE
)
"""The beginning of a sentence on what somebody had read: without what it didn't find it tells a reader nothing."""
_ENUMERATION = re.compile(r"(?P<head>\bsuch as |\bincluding )(?P<items>[^.;:()]+)", re.IGNORECASE)
_ANAPHOR = re.compile(r"(?:this|that) level of detail|code cannot be provided|rather than metrics for", re.IGNORECASE)
_SHORT = 7
"""Words below which a sentence is about what the one before it says."""
_HOWEVER = re.compile(r"However, (\w)")


@dataclass(frozen=True)
class Topic:
    """What was answered."""

    question: str
    pattern: re.Pattern[str]
    """How to see that a text speaks of it."""
    evidence: tuple[str, ...]
    is_settled: bool
    """Whether the answer is this checkpoint's own value; otherwise it tells what is known of others."""


@dataclass
class FilledMarker:
    """A marker with what it asks, its answer, and the edit that writes it."""

    marker: Marker
    questions: list[Property]
    answer: Answer
    edit: Edit
    asked_in: list[Span] = field(default_factory=list)
    """The words that say what is asked."""


class Correction(NamedTuple):
    """A change of what stands beside the answers."""

    edit: Edit
    question: str
    """Whose answer makes it false."""
    old: str


def contradicted_sentences(document: Document, writer: Writer, rows: list[FilledMarker]) -> list[Correction]:
    """The removals of sentences that say nothing but that something is unknown which an answer tells; none overlaps an answer's edit."""
    known = [topic for topic in answered_topics(writer, rows) if topic.is_settled]
    written = sorted({(row.edit.start, row.edit.end) for row in rows})
    asking = [(marker.start, marker.end) for marker in document.markers]
    answered: dict[Block, list[FilledMarker]] = {}
    for row in rows:
        answered.setdefault(row.marker.block, []).append(row)
    prose = [block for block in document.blocks if block.kind in ("paragraph", "cell")]
    corrections = []
    for block, following in itertools.zip_longest(prose, prose[1:]):
        here = answered.get(block, [])
        taken = _within(written, block.start, block.end), _within(asking, block.start, block.end)
        answers = answered.get(following, []) if following else []
        below = {row.answer.question for row in answers}
        is_line = following is not None and not any("\n" in row.edit.new for row in answers)
        corrections += _in_block(
            document.text, block, known, here, taken, below, following.start if is_line and following else None
        )
    return corrections


def kept_sentences(document: Document, topics: list[Topic], written: list[Span]) -> Iterator[tuple[Span, Topic]]:
    """The sentences of a filled card that still call unknown what an answer in it tells."""
    for block in document.blocks if topics else ():
        if block.kind not in ("paragraph", "cell"):
            continue
        there, before = _within(written, block.start, block.end), ""
        for span in sentences(document.text, block.start, block.end):
            sentence = document.text[slice(*span)]
            said = f"{before} {sentence}" if len(sentence.split()) < _SHORT else sentence
            before = sentence
            if not _touched(there, span) and (topic := _called_unknown(sentence, said, topics)):
                yield span, topic


def answered_topics(writer: Writer, rows: list[FilledMarker]) -> list[Topic]:
    """What the answers tell of."""
    topics: dict[str, Topic] = {}
    for row in rows:
        keys = tuple(row.answer.evidence)
        for question in row.questions:
            has_code = "```" in row.answer.text and question.template.startswith("code")
            is_answered = question.id in row.answer.question.split(" + ") and not question.stays_unknown
            class_ = writer.classes.get(question.id) if is_answered else None
            tells = class_ in _FALSIFYING or (class_ is EvidenceClass.PENDING and keys and question.metrics)
            if question.topic and (tells or has_code):
                pattern = re.compile(question.topic, re.IGNORECASE)
                topics[question.id] = Topic(question.id, pattern, keys, class_ is not EvidenceClass.PENDING)
            if question.topic and has_code:
                topics["code"] = Topic(
                    "code", re.compile(r"code (?:snippet|block|example)s?", re.IGNORECASE), keys, True
                )
    return list(topics.values())


def _topic_of(text: str, topics: list[Topic]) -> Topic | None:
    return next((topic for topic in topics if topic.pattern.search(text)), None)


def _in_block(
    text: str,
    block: Block,
    known: list[Topic],
    here: list[FilledMarker],
    taken: tuple[list[Span], list[Span]],
    below: set[str],
    next_line: int | None,
) -> list[Correction]:
    written, asking = taken
    spans = sentences(text, block.start, block.end, asking)
    removed: list[tuple[Span, str]] = []
    for span in spans:
        sentence = text[slice(*span)]
        is_free = not (_touched(written, span) or _touched(asking, span))
        question = _false_about(sentence, known, here) if is_free else None
        if question is not None and not _says_more(sentence, known):
            removed.append((span, question))
    found = _removals(text, block, spans, removed, below, next_line)
    found += _connectives(text, spans, here, written, {made.edit.start for made in found})
    return [made._replace(edit=_clipped(made.edit, written)) for made in found]


def _clipped(edit: Edit, written: list[Span]) -> Edit:
    """The edit without the white space that an answer's edit has taken already."""
    near = _within(written, edit.start, edit.end)
    start = max([edit.start, *(last for first, last in near if first <= edit.start < last)])
    end = min([edit.end, *(first for first, _ in near if start <= first < edit.end)])
    return Edit(start, end, edit.new)


def _false_about(sentence: str, known: list[Topic], here: list[FilledMarker]) -> str | None:
    """The question whose answer makes a sentence false."""
    sentence = sentence[label_prefix(sentence) :]
    if _ANAPHOR.search(sentence):
        answer = next((row.answer for row in here), None)
        if answer and (answer.class_ in _FALSIFYING or "```" in answer.text):
            return answer.question
    topic = _called_unknown(sentence, sentence, known)
    return topic.question if topic else None


def _called_unknown(sentence: str, said: str, topics: list[Topic]) -> Topic | None:
    """What a sentence says is unknown, told by what `said` speaks of."""
    if _ABSENCE.search(sentence) is None:
        return None
    clause = _CLAUSE.search(sentence)
    return _topic_of(clause.group() if clause else said, topics)


def _says_more(sentence: str, known: list[Topic]) -> bool:
    """Whether a sentence tells a reader something besides what is false in it."""
    sentence = sentence[label_prefix(sentence) :]
    if _CLAUSE.search(sentence):
        return _OF_SOURCES.match(sentence) is None
    match = _ENUMERATION.search(sentence)
    if match is None or not re.search(r"\bmore\b", sentence[: match.start()]):
        return False
    items = re.split(r",\s*(?:and |or )?|\s+(?:and|or)\s+", match["items"])
    return any(_topic_of(item, known) is None for item in items)


def _removals(
    text: str, block: Block, spans: list[Span], removed: list[tuple[Span, str]], below: set[str], next_line: int | None
) -> list[Correction]:
    """Removing sentences with the space that set them apart; a paragraph without any other goes as a whole, and of an item its
    text, where the paragraph below it is the answer, which then follows the item's label."""
    found: list[Correction] = []
    is_whole = len(removed) == len(spans)
    label = label_prefix(text[block.start : block.end])
    if is_whole and (
        block.kind == "cell" or (block.in_item and not label) or (label and not below & {q for _, q in removed})
    ):
        return []
    for span, question in removed:
        following = _next(spans, span[1])
        if is_whole and label:
            start = found[-1].edit.end if found else block.start + len(text[block.start : block.start + label].rstrip())
            end = span[1]
            if span == spans[-1] and next_line and not text[end:next_line].strip():
                found.append(Correction(Edit(start, next_line, " "), question, text[slice(*span)]))
                continue
        elif is_whole:
            start = found[-1].edit.end if found else len(text[: block.start].rstrip())
            end = span[1] if following else block.end
        else:
            start = span[0] + label_prefix(text[slice(*span)])
            end = following[0] if following else span[1]
            if (
                following is None or "\n" in text[span[1] : end]
            ):  # the last in its block or line: the space before it goes
                start, end = block.start + len(text[block.start : start].rstrip(" \t\r\n>")), span[1]
            start = max(start, found[-1].edit.end) if found else start
        found.append(Correction(Edit(start, end, ""), question, text[slice(*span)]))
    return found


def _connectives(
    text: str, spans: list[Span], here: list[FilledMarker], written: list[Span], taken: set[int]
) -> list[Correction]:
    """`However, …` after a sentence that now holds the answer contrasts with nothing: the word goes."""
    found = []
    for row in here:
        start, stop = _next(spans, row.edit.end) or (len(text), len(text))
        match = _HOWEVER.match(text[start:stop])
        if not match or start in taken or row.answer.class_ not in _FALSIFYING or text[row.edit.end : start].strip():
            continue
        word = (start, start + match.end())
        if not _touched(written, word):
            taken.add(start)
            # The word alone: the sentence may hold a marker with an edit of its own.
            found.append(Correction(Edit(*word, match[1].upper()), row.answer.question, match.group()))
    return found


def _next(spans: list[Span], place: int) -> Span | None:
    """The first of spans in order that begins at a place or behind it."""
    at = bisect.bisect_left(spans, place, key=lambda span: span[0])
    return spans[at] if at < len(spans) else None


def _touched(spans: list[Span], span: Span) -> bool:
    """Whether one of spans in order overlaps a span."""
    return any(first < span[1] and span[0] < last for first, last in _within(spans, *span))


def _within(spans: list[Span], start: int, end: int) -> list[Span]:
    """Of spans in order that don't overlap each other, those that touch `start` to `end`."""
    first = bisect.bisect_left(spans, start, key=lambda span: span[1])
    last = bisect.bisect_right(spans, end, key=lambda span: span[0])
    return spans[first:last]
