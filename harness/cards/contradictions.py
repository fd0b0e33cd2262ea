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

from harness.cards.answers import Answer, Writer
from harness.cards.document import Block, Document, Edit, Marker
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
    edit: Edit | None = None


@dataclass
class Neighbours:
    """Statements that a thing is unknown, which an answer in the same card makes false."""

    document: Document
    writer: Writer
    rows: list[FilledMarker]
    edits: list[Edit]

    def find(self) -> list[tuple[Edit, str, str]]:
        """Edits with the question that each follows from and the old sentence; none overlaps an answer's."""
        self.text = self.document.text
        self.known = self._known_topics()
        self.asking = [(marker.start, marker.end) for marker in self.document.markers]
        self.written = sorted((edit.start, edit.end) for edit in self.edits)
        self.rows_of: dict[Block, list[FilledMarker]] = {}
        for row in self.rows:
            if row.marker.block is not None and row.answer is not None:
                self.rows_of.setdefault(row.marker.block, []).append(row)
        found = []
        for block in self.document.blocks:
            if block.kind in ("paragraph", "cell"):
                found += self._in_block(block)
        return [(self._clipped(edit), question, old) for edit, question, old in found]

    def _is_answered(self, start: int, end: int) -> bool:
        """Whether an answer is written over a part of the text."""
        return any(first < end and start < last for first, last in _within(self.written, start, end))

    def _clipped(self, edit: Edit) -> Edit:
        """The edit without the white space that an answer's edit has taken already."""
        near = _within(self.written, edit.start, edit.end)
        start = max([edit.start, *(last for first, last in near if first <= edit.start < last)])
        end = min([edit.end, *(first for first, _ in near if start <= first < edit.end)])
        return Edit(start, end, edit.new)

    def _known_topics(self) -> list[tuple[str, re.Pattern[str]]]:
        topics = {}
        for row in self.rows:
            if row.answer is None:
                continue
            answered = set(row.answer.question.split(" + "))
            for question in row.questions:
                has_code = "```" in row.answer.text and question.template.startswith("code")
                parts = self.writer.classes.get(question.id)
                falsifies = question.id in answered and parts in _FALSIFYING and not question.stays_unknown
                if question.topic and (falsifies or has_code):
                    topics[question.id] = re.compile(question.topic, re.IGNORECASE)
                if question.topic and has_code:
                    topics["code"] = re.compile(r"code (?:snippet|block|example)s?", re.IGNORECASE)
        return list(topics.items())

    def _in_block(self, block: Block) -> list[tuple[Edit, str, str]]:
        asking = _within(self.asking, block.start, block.end)
        spans = sentences(self.text, block.start, block.end, asking)
        taken = _within(self.written, block.start, block.end) + asking
        free = [span for span in spans if not any(a < span[1] and span[0] < b for a, b in taken)]
        here = self.rows_of.get(block, [])
        found: list[tuple[Edit, str, str]] = []
        removed: list[tuple[Span, str]] = []
        for span in free:
            sentence = self.text[slice(*span)]
            question = self._false_about(sentence, here)
            if question is None:
                continue
            mended = self._mend(sentence)
            if mended is not None:
                found.append((Edit(*span, mended), question, sentence))
            else:
                removed.append((span, question))
        found += self._removals(block, spans, removed)
        return found + self._connectives(block, spans, here, {edit.start for edit, *_ in found})

    def _false_about(self, sentence: str, here: list[FilledMarker]) -> str | None:
        """The question whose answer makes a sentence false."""
        sentence = sentence[label_prefix(sentence) :]
        match = _ABSENCE.search(sentence)
        if _ANAPHOR.search(sentence):
            row = next((row for row in here if row.answer), None)
            if row and row.answer and (row.answer.class_ in _FALSIFYING or "```" in row.answer.text):
                return row.answer.question
        if match is None:
            return None
        cut = _CUT.search(sentence)
        clause = cut.group() if cut else sentence
        return next((question for question, topic in self.known if topic.search(clause)), None)

    def _mend(self, sentence: str) -> str | None:
        """The sentence without what is false in it; None where nothing true is left."""
        cut = _CUT.search(sentence)
        if cut:
            return sentence[: cut.start()] + sentence[cut.end() :]
        match = _ENUMERATION.search(sentence)
        if match is None or not re.search(r"\bmore \b", sentence[: match.start()]):
            return None
        items = re.split(r",\s*(?:and |or )?|\s+(?:and|or)\s+", match["items"])
        kept = [item for item in items if not any(topic.search(item) for _, topic in self.known)]
        if not kept or len(kept) == len(items):
            return None
        words = kept[0] if len(kept) == 1 else ", ".join(kept[:-1]) + " and " + kept[-1]
        return sentence[: match.start("items")] + words + sentence[match.end("items") :]

    def _removals(
        self, block: Block, spans: list[Span], removed: list[tuple[Span, str]]
    ) -> list[tuple[Edit, str, str]]:
        """Removing sentences with the space that set them apart; a paragraph without any other goes as a whole."""
        gone = {span for span, _ in removed}
        if removed and all(span in gone for span in spans):
            label = label_prefix(self.text[block.start : block.end])
            if block.in_item or block.kind == "cell" or label:
                return []
            begin = len(self.text[: block.start].rstrip())
            edits = []
            for index, (span, question) in enumerate(removed):
                start = begin if index == 0 else removed[index - 1][0][1]
                end = block.end if index == len(removed) - 1 else span[1]
                edits.append((Edit(start, end, ""), question, self.text[slice(*span)]))
            return edits
        edits = []
        for span, question in removed:
            start = span[0] + label_prefix(self.text[slice(*span)])
            following = next_span(spans, span)
            end = following[0] if following else span[1]
            if following is None:
                start -= len(self.text[block.start : start]) - len(self.text[block.start : start].rstrip(" \t\r\n>"))
            if following is not None and self.text[span[1] : end].count("\n"):
                end = span[1]
                start -= len(self.text[block.start : start]) - len(self.text[block.start : start].rstrip(" \t\r\n>"))
            start = max([start, *(edit.end for edit, *_ in edits)])
            edits.append((Edit(start, end, ""), question, self.text[slice(*span)]))
        return edits

    def _connectives(
        self, block: Block, spans: list[Span], here: list[FilledMarker], taken: set[int]
    ) -> list[tuple[Edit, str, str]]:
        """`However, …` after a sentence that now holds the answer contrasts with nothing: the word goes."""
        found = []
        for row in here:
            assert row.edit is not None
            assert row.answer is not None
            following = next((span for span in spans if span[0] >= row.edit.end), None)
            if following is None or following[0] in taken or row.answer.class_ not in _FALSIFYING:
                continue
            if self.text[row.edit.end : following[0]].strip():
                continue
            match = _HOWEVER.match(self.text[slice(*following)])
            if match and not self._is_answered(following[0], following[0] + match.end()):
                taken.add(following[0])
                # The word alone: the sentence may hold a marker with an edit of its own.
                edit = Edit(following[0], following[0] + match.end(), match[1].upper())
                found.append((edit, row.answer.question, match.group()))
        return found


def _within(spans: list[Span], start: int, end: int) -> list[Span]:
    """Of spans in order that don't overlap each other, those that touch `start` to `end`."""
    first = bisect.bisect_left(spans, start, key=lambda span: span[1])
    last = bisect.bisect_right(spans, end, key=lambda span: span[0])
    return spans[first:last]
