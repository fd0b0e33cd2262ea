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
from harness.cards.sentences import Span, label_prefix, sentences
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


Topics = list[tuple[str, re.Pattern[str]]]
"""Questions that are answered with a value, with how to see that a text speaks of them."""


@dataclass
class FilledMarker:
    """A marker with what it asks, its answer, and the edit that writes it."""

    marker: Marker
    questions: list[Question]
    answer: Answer
    edit: Edit


class Correction(NamedTuple):
    """A statement beside the answers that one of them makes false."""

    edit: Edit
    question: str
    """Whose answer makes it false."""
    old: str


def contradicted_sentences(document: Document, writer: Writer, rows: list[FilledMarker]) -> list[Correction]:
    """What is called unknown and an answer in the same card tells; no edit overlaps an answer's."""
    known = _known_topics(writer, rows)
    written = sorted({(row.edit.start, row.edit.end) for row in rows})
    asking = [(marker.start, marker.end) for marker in document.markers]
    answered: dict[Block, list[FilledMarker]] = {}
    for row in rows:
        if row.answer is not None:
            answered.setdefault(row.marker.block, []).append(row)
    corrections = []
    for block in document.blocks:
        if block.kind in ("paragraph", "cell"):
            here = answered.get(block, [])
            there = [_within(spans, block.start, block.end) for spans in (written, asking)]
            corrections += _in_block(document.text, block, known, here, *there)
    return corrections


def _known_topics(writer: Writer, rows: list[FilledMarker]) -> Topics:
    topics = {}
    for row in rows:
        for question in row.questions if row.answer is not None else ():
            assert row.answer is not None
            has_code = "```" in row.answer.text and question.template.startswith("code")
            is_answered = question.id in row.answer.question.split(" + ") and not question.stays_unknown
            falsifies = is_answered and writer.classes.get(question.id) in _FALSIFYING
            if question.topic and (falsifies or has_code):
                topics[question.id] = re.compile(question.topic, re.IGNORECASE)
            if question.topic and has_code:
                topics["code"] = re.compile(r"code (?:snippet|block|example)s?", re.IGNORECASE)
    return list(topics.items())


def _in_block(
    text: str, block: Block, known: Topics, here: list[FilledMarker], written: list[Span], asking: list[Span]
) -> list[Correction]:
    spans = sentences(text, block.start, block.end, asking)
    found: list[Correction] = []
    removed: list[tuple[Span, str]] = []
    for span in spans:
        sentence = text[slice(*span)]
        is_free = not any(a < span[1] and span[0] < b for a, b in written + asking)
        question = _false_about(sentence, known, here) if is_free else None
        if question is None:
            continue
        mended = _mend(sentence, known)
        if mended is not None:
            found.append(Correction(Edit(*span, mended), question, sentence))
        else:
            removed.append((span, question))
    found += _removals(text, block, spans, removed)
    found += _connectives(text, spans, here, written, {made.edit.start for made in found})
    return [made._replace(edit=_clipped(made.edit, written)) for made in found]


def _clipped(edit: Edit, written: list[Span]) -> Edit:
    """The edit without the white space that an answer's edit has taken already."""
    start = max([edit.start, *(last for first, last in written if first <= edit.start < last)])
    end = min([edit.end, *(first for first, _ in written if start <= first < edit.end)])
    return Edit(start, end, edit.new)


def _false_about(sentence: str, known: Topics, here: list[FilledMarker]) -> str | None:
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


def _mend(sentence: str, known: Topics) -> str | None:
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
    is_whole = len(removed) == len(spans)
    if is_whole and (block.in_item or block.kind == "cell" or label_prefix(text[block.start : block.end])):
        return []
    for span, question in removed:
        following = next((other for other in spans if other[0] >= span[1]), None)
        if is_whole:
            start = found[-1].edit.end if found else len(text[: block.start].rstrip())
            end = span[1] if following else block.end
        else:
            start = span[0] + label_prefix(text[slice(*span)])
            end = following[0] if following else span[1]
            if (
                following is None or "\n" in text[span[1] : end]
            ):  # the last in its block or line: the space before it goes
                start, end = block.start + len(text[block.start : start].rstrip(" \t\r\n>")), span[1]
            start = max([start, *(made.edit.end for made in found)])
        found.append(Correction(Edit(start, end, ""), question, text[slice(*span)]))
    return found


def _connectives(
    text: str, spans: list[Span], here: list[FilledMarker], written: list[Span], taken: set[int]
) -> list[Correction]:
    """`However, …` after a sentence that now holds the answer contrasts with nothing: the word goes."""
    found = []
    for row in here:
        assert row.answer is not None
        start, stop = next((span for span in spans if span[0] >= row.edit.end), (len(text), len(text)))
        match = _HOWEVER.match(text[start:stop])
        if start in taken or row.answer.class_ not in _FALSIFYING or text[row.edit.end : start].strip() or not match:
            continue
        word = (start, start + match.end())
        if not any(first < word[1] and start < last for first, last in written):
            taken.add(start)
            # The word alone: the sentence may hold a marker with an edit of its own.
            found.append(Correction(Edit(*word, match[1].upper()), row.answer.question, match.group()))
    return found


def _within(spans: list[Span], start: int, end: int) -> list[Span]:
    """Of spans in order that don't overlap each other, those that touch `start` to `end`."""
    first = bisect.bisect_left(spans, start, key=lambda span: span[1])
    last = bisect.bisect_right(spans, end, key=lambda span: span[0])
    return spans[first:last]
