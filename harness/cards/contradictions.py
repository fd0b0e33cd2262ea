"""Statements beside an answer that it makes false: found, and corrected or removed.

Only statements that something is unknown are looked at ("the references do not give the batch size"), and only those
about what was answered with a value; what is still undisclosed or pending is rightly called unknown. A sentence keeps
what is true in it: a false clause is cut out, a known item leaves an enumeration, and only a sentence that says
nothing else goes.
"""

from __future__ import annotations

import bisect
import re
from dataclasses import dataclass
from typing import NamedTuple

from harness.cards.answers import Answer, Writer
from harness.cards.document import Block, Document, Edit, Marker
from harness.cards.markdown import enumerate_words
from harness.cards.questions import Question
from harness.cards.sentences import Span, label_prefix, next_span, sentences
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
_CUT = re.compile(
    r",? but (?:do|does|did|is|are|was|were)(?: not|n't)\b[^.;]*|\s+with an? [\w -]{2,40} that (?:is|was) not \w+"
    r"|\s+rather than (?:metrics|numbers|figures|results|values)\b[^.;]*",
    re.IGNORECASE,
)
_ENUMERATION = re.compile(r"(?P<head>\bsuch as |\bincluding )(?P<items>[^.;:()]+)", re.IGNORECASE)
_ANAPHOR = re.compile(r"(?:this|that) level of detail|code cannot be provided|rather than metrics for", re.IGNORECASE)
_HOWEVER = re.compile(r"However, (\w)")


@dataclass
class FilledMarker:
    """A marker with what it asks, its answer, and the edit that writes it."""

    marker: Marker
    questions: list[Question]
    answer: Answer | None
    edit: Edit


class Correction(NamedTuple):
    """A statement beside the answers that one of them makes false."""

    edit: Edit
    question: str
    """Whose answer makes it false."""
    old: str


def contradicted_sentences(document: Document, writer: Writer, rows: list[FilledMarker]) -> list[Correction]:
    """What is called unknown and an answer in the same card tells; no edit overlaps an answer's."""
    found = _Search(
        document,
        _known_topics(writer, rows),
        asking=[(marker.start, marker.end) for marker in document.markers],
        written=sorted({(row.edit.start, row.edit.end) for row in rows}),
    )
    answered: dict[Block, list[FilledMarker]] = {}
    for row in rows:
        if row.answer is not None:
            answered.setdefault(row.marker.block, []).append(row)
    blocks = (block for block in document.blocks if block.kind in ("paragraph", "cell"))
    corrections = [made for block in blocks for made in _in_block(found, block, answered.get(block, []))]
    return [made._replace(edit=_clipped(made.edit, found.written)) for made in corrections]


@dataclass(frozen=True)
class _Search:
    document: Document
    known: list[tuple[str, re.Pattern[str]]]
    """Questions that are answered with a value, with how to see that a text speaks of them."""
    asking: list[Span]
    """Markers."""
    written: list[Span]
    """What answers are written over."""

    @property
    def text(self) -> str:
        return self.document.text


def _known_topics(writer: Writer, rows: list[FilledMarker]) -> list[tuple[str, re.Pattern[str]]]:
    topics = {}
    for row in rows:
        if row.answer is None:
            continue
        answered = set(row.answer.question.split(" + "))
        for question in row.questions:
            has_code = "```" in row.answer.text and question.template.startswith("code")
            parts = writer.classes.get(question.id)
            falsifies = question.id in answered and parts in _FALSIFYING and not question.stays_unknown
            if question.topic and (falsifies or has_code):
                topics[question.id] = re.compile(question.topic, re.IGNORECASE)
            if question.topic and has_code:
                topics["code"] = re.compile(r"code (?:snippet|block|example)s?", re.IGNORECASE)
    return list(topics.items())


def _clipped(edit: Edit, written: list[Span]) -> Edit:
    """The edit without the white space that an answer's edit has taken already."""
    near = _within(written, edit.start, edit.end)
    start = max([edit.start, *(last for first, last in near if first <= edit.start < last)])
    end = min([edit.end, *(first for first, _ in near if start <= first < edit.end)])
    return Edit(start, end, edit.new)


def _in_block(search: _Search, block: Block, here: list[FilledMarker]) -> list[Correction]:
    asking = _within(search.asking, block.start, block.end)
    spans = sentences(search.text, block.start, block.end, asking)
    taken = _within(search.written, block.start, block.end) + asking
    found: list[Correction] = []
    removed: list[tuple[Span, str]] = []
    for span in spans:
        sentence = search.text[slice(*span)]
        is_free = not any(a < span[1] and span[0] < b for a, b in taken)
        question = _false_about(sentence, search.known, here) if is_free else None
        if question is None:
            continue
        mended = _mend(sentence, search.known)
        if mended is not None:
            found.append(Correction(Edit(*span, mended), question, sentence))
        else:
            removed.append((span, question))
    found += _removals(search.text, block, spans, removed)
    return found + _connectives(search, spans, here, {made.edit.start for made in found})


def _false_about(sentence: str, known: list[tuple[str, re.Pattern[str]]], here: list[FilledMarker]) -> str | None:
    """The question whose answer makes a sentence false."""
    sentence = sentence[label_prefix(sentence) :]
    if _ANAPHOR.search(sentence):
        answer = next((row.answer for row in here if row.answer), None)
        if answer and (answer.class_ in _FALSIFYING or "```" in answer.text):
            return answer.question
    if _ABSENCE.search(sentence) is None:
        return None
    cut = _CUT.search(sentence)
    clause = cut.group() if cut else sentence
    return next((question for question, topic in known if topic.search(clause)), None)


def _mend(sentence: str, known: list[tuple[str, re.Pattern[str]]]) -> str | None:
    """The sentence without what is false in it; None where nothing true is left."""
    cut = _CUT.search(sentence)
    if cut:
        return sentence[: cut.start()] + sentence[cut.end() :]
    match = _ENUMERATION.search(sentence)
    if match is None or not re.search(r"\bmore \b", sentence[: match.start()]):
        return None
    items = re.split(r",\s*(?:and |or )?|\s+(?:and|or)\s+", match["items"])
    kept = [item for item in items if not any(topic.search(item) for _, topic in known)]
    if not kept or len(kept) == len(items):
        return None
    return sentence[: match.start("items")] + enumerate_words(kept) + sentence[match.end("items") :]


def _removals(text: str, block: Block, spans: list[Span], removed: list[tuple[Span, str]]) -> list[Correction]:
    """Removing sentences with the space that set them apart; a paragraph without any other goes as a whole."""
    found: list[Correction] = []
    if removed and len(removed) == len(spans):
        if block.in_item or block.kind == "cell" or label_prefix(text[block.start : block.end]):
            return []
        start = len(text[: block.start].rstrip())
        for index, (span, question) in enumerate(removed, 1):
            end = block.end if index == len(removed) else span[1]
            found.append(Correction(Edit(start, end, ""), question, text[slice(*span)]))
            start = span[1]
        return found
    for span, question in removed:
        start = span[0] + label_prefix(text[slice(*span)])
        following = next_span(spans, span)
        end = following[0] if following else span[1]
        if following is None or "\n" in text[span[1] : end]:  # the last in its block or line: the space before it goes
            end = span[1]
            before = text[block.start : start]
            start -= len(before) - len(before.rstrip(" \t\r\n>"))
        start = max([start, *(made.edit.end for made in found)])
        found.append(Correction(Edit(start, end, ""), question, text[slice(*span)]))
    return found


def _connectives(search: _Search, spans: list[Span], here: list[FilledMarker], taken: set[int]) -> list[Correction]:
    """`However, …` after a sentence that now holds the answer contrasts with nothing: the word goes."""
    found = []
    for row in here:
        assert row.answer is not None
        end = row.edit.end
        start, stop = next((span for span in spans if span[0] >= end), (-1, -1))
        if start < 0 or start in taken or row.answer.class_ not in _FALSIFYING or search.text[end:start].strip():
            continue
        match = _HOWEVER.match(search.text[start:stop])
        if match is None:
            continue
        word = (start, start + match.end())
        if not any(first < word[1] and start < last for first, last in _within(search.written, *word)):
            taken.add(start)
            # The word alone: the sentence may hold a marker with an edit of its own.
            found.append(Correction(Edit(*word, match[1].upper()), row.answer.question, match.group()))
    return found


def _within(spans: list[Span], start: int, end: int) -> list[Span]:
    """Of spans in order that don't overlap each other, those that touch `start` to `end`."""
    first = bisect.bisect_left(spans, start, key=lambda span: span[1])
    last = bisect.bisect_right(spans, end, key=lambda span: span[0])
    return spans[first:last]
