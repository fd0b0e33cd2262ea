"""Filling a card: each marker becomes an answer, its sentence is rewritten around it, the rest stays to the byte.

What a marker's place allows decides what is written: a phrase after a label, in a cell, a heading, a link or brackets;
whole sentences where the marker stands in a sentence, which they replace; lists, tables and code where it stands
alone. Statements elsewhere in the card that an answer makes false ("the references do not give the batch size") are
corrected or removed, and reported. A card without markers comes back unchanged, so a second fill changes nothing.
"""

from __future__ import annotations

import bisect
import difflib
import itertools
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness import __version__
from harness.cards.answers import Answer, Form, Writer, join_answers
from harness.cards.claims import check_claims, replace_contradicted
from harness.cards.contradictions import Correction, FilledMarker, contradicted_sentences
from harness.cards.document import Block, Document, Edit, Marker, apply_edits, decode, encode
from harness.cards.knowledge import knowledge_of
from harness.cards.metadata import card_metadata, complete_metadata, fill_metadata, metadata_remarks
from harness.cards.questions import Place, Question, find_questions
from harness.cards.record import CardRecord, fill_name, ledger_digest, record_edit
from harness.cards.sentences import Span, sentences
from harness.cards.slots import Slot, answer_edit, slot_of
from harness.evidence import Ledger


@dataclass(frozen=True)
class FillResult:
    """A filled card."""

    text: bytes
    report: dict[str, Any]
    """The record of the fill, `fill.json`: version of `harness`, `model`, `options`, the card `before`; `markers`;
    `neighbours`, everything else that changed: statements removed or corrected, front matter and the record added; `left`
    (markers only talked about); `counts` by class; and with `fix_claims` the `claims` that were replaced, each with what
    stands there now, and `claims_left`, the wrong ones that were not, with their lines in the filled card."""
    ledger: Ledger
    """Everything that the answers may rest on, documented facts included."""
    complete: bool
    """Whether every marker was recognised and nothing is pending; otherwise a command ends with exit code 3."""


def fill_card(
    text: bytes,
    *,
    model: str,
    ledger: Ledger | None,
    fix_claims: bool = False,
    front_matter: bool = False,
    sidecar: str | None = None,
) -> FillResult:
    """Answer every marker of a card.

    Args:
        text: the card as it is on disk; bytes that are not UTF-8 stay as they are.
        model: registry name or Hub reference of the model that the card is about.
        ledger: the model's evidence; None fills from documented facts alone.
        fix_claims: also replace values that evidence contradicts, outside of markers.
        front_matter: also add the Hub's metadata that the card lacks.
        sidecar: file name of the ledger beside the filled card: the card then names it and the record of the fill at its
            end.

    Raises:
        HarnessError: the shipped question table or facts are damaged.
    """
    document, knowledge = Document(decode(text)), knowledge_of(model, ledger)
    filler = _Filler(document, Writer(knowledge))
    corrections = filler.fill()
    rows = filler.rows
    added = []
    if rows and front_matter:
        remarks = metadata_remarks(knowledge)
        keys, edit = complete_metadata(document, card_metadata(ledger, model=model), remarks)
        named = (f"{key} ({remarks[key]})" if key in remarks else key for key in keys)
        added += [(f"front matter: {', '.join(named)}", edit)] if edit else []
    whole = knowledge.whole_ledger()
    if rows and sidecar:
        record = CardRecord("fill", model, sidecar, ledger_digest(whole), fill=fill_name(sidecar))
        edit = record_edit(document, record)
        added += [("record of the fill", edit)] if edit else []
    edits = [*{row.edit for row in rows}, *(made.edit for made in corrections), *(edit for _, edit in added)]
    filled = encode(apply_edits(document.text, edits))
    options = {"fix_claims": fix_claims, "front_matter": front_matter}
    about = {"harness": __version__, "model": model, "options": options, "before": document.text}
    report = about | _report(document, rows, corrections, added)
    if fix_claims:
        found = check_claims(filled, model=model, ledger=ledger)
        filled, claims, left = replace_contradicted(filled, found, filler.writer)
        report |= {"claims": [c.to_dict() for c in claims], "claims_left": [c.to_dict() for c in left]}
    return FillResult(filled, report, whole, all(row.answer is not None and row.answer.is_complete for row in rows))


def card_diff(old: bytes, new: bytes, name: str) -> str:
    """A unified diff of a card before and after; empty where nothing changed."""
    before, after = (_printable(decode(text)).splitlines(keepends=True) for text in (old, new))
    return "".join(
        line if line.endswith(("\n", "\r")) else f"{line}\n"
        for line in difflib.unified_diff(before, after, f"{name} (before)", f"{name} (filled)")
    )


@dataclass
class _Filler:
    document: Document
    writer: Writer
    section_texts: dict[tuple[str, ...], str] = field(default_factory=dict)
    sentences: dict[Block, list[Span]] = field(default_factory=dict)
    """Of each block of prose."""
    rows: list[FilledMarker] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.text = self.document.text
        for block in self.document.blocks:
            if block.kind in ("paragraph", "cell", "heading"):
                self.sentences[block] = sentences(self.text, block.start, block.end, self.document.asking)
            if block.kind != "heading":
                words = self.text[block.start : block.end]
                self.section_texts[block.section] = f"{self.section_texts.get(block.section, '')} {words}"

    def fill(self) -> list[Correction]:
        """Answer every marker; what the answers make false elsewhere."""
        groups: dict[Span, list[Marker]] = {}
        for marker in self.document.markers:
            if not marker.talked_about:
                groups.setdefault(self._sentence(marker), []).append(marker)
        for span, group in groups.items():
            self._fill_group(span, group)
        self._part_adjacent()
        corrections = contradicted_sentences(self.document, self.writer, self.rows) if self.rows else []
        self._close_up([made.edit for made in corrections if not made.edit.new])
        return corrections

    def _part_adjacent(self) -> None:
        """Two answers that are both set apart take the space between them once."""
        edits = sorted({row.edit for row in self.rows}, key=lambda edit: (edit.start, edit.end))
        for first, second in itertools.pairwise(edits):
            if second.start < first.end and not self.text[second.start : first.end].strip(" \t\r\n>"):
                apart = Edit(first.end, second.end, re.sub(r"^[\s>]+", "", second.new))
                for row in self.rows:
                    row.edit = apart if row.edit == second else row.edit

    def _close_up(self, removals: list[Edit]) -> None:
        """No empty lines after an answer that was set apart from text which is now gone."""
        for row in self.rows:
            end, block = row.edit.end, row.marker.block
            gone = sum(e.end - e.start for e in removals if end <= e.start and e.end <= block.end)
            is_gone = end < block.end and gone >= block.end - end
            if is_gone and row.edit.new.endswith(("\n", block.prefix or "\n")):
                row.edit = Edit(row.edit.start, end, re.sub(r"[\s>]+$", "", row.edit.new))

    # --- what is asked ---

    def _sentence(self, marker: Marker) -> Span:
        spans = self.sentences.get(marker.block, [])
        index = bisect.bisect_right(spans, marker.start, key=lambda span: span[0]) - 1
        return spans[index] if index >= 0 and marker.end <= spans[index][1] else (marker.start, marker.end)

    def _place(self, marker: Marker, sentence: Span) -> Place:
        block = marker.block
        words = self._words(marker, sentence)
        own_words = re.sub(r"[*_]", "", self.text[block.start : block.end])
        label, is_own = block.label, block.kind == "cell" or (block.label is not None and block.label in own_words)
        match = re.search(r"(?:^|\n)[ \t>]*([^\n:]{2,200}):[*_]*\s*$", self.text[sentence[0] : marker.start])
        if match and block.kind not in ("cell", "front-matter"):
            label, is_own = re.sub(r"[*_`]", "", match[1]).strip(" -\t"), True
            words = re.sub(r"^(?:.|\n)*:[*_]*\s*\[\?\]", "[?]", words)
        elif block.kind == "html":
            before = re.split(r"<[^>]*>", self.text[block.start : marker.start])
            label = next((part.strip(" :\r\n") for part in reversed(before) if part.strip()), None)
        spans = self.sentences[block] if block.kind == "paragraph" else []
        preceding = [self.text[slice(*span)] for span in spans if span[1] <= sentence[0]]
        following = [self.text[slice(*span)] for span in spans if span[0] >= sentence[1]]
        return Place(
            sentence=re.sub(r"\s+", " ", words),
            label=label,
            label_is_own=is_own,
            beside=(*following, *preceding[-1:]),
            section=block.section,
            section_text=self.section_texts.get(block.section, ""),
            in_code=block.kind in ("fence", "indented-code"),
        )

    def _words(self, marker: Marker, sentence: Span) -> str:
        """The marker's sentence with the marker as `[?]`; of several markers each has the words that lead to it."""
        start, end = sentence
        spans = self.document.asking
        index = bisect.bisect_left(spans, (marker.start, marker.end))
        begin = max(start, spans[index - 1][1] if index > 0 else start)
        stop = min(end, spans[index + 1][0] if index + 1 < len(spans) else end)
        before, after = self.text[begin : marker.start], self.text[marker.end : stop]
        leads = begin > start and not re.search(r"\w{4}", after) and re.search(r"\w{4}", before)
        if leads or (stop < end and re.search(r"\w{3}", before)):
            after = ""
        return f"{before}[?]{after}"

    # --- what is written ---

    def _fill_group(self, sentence: Span, group: list[Marker]) -> None:
        """The answers to the markers of one sentence, and the edits that write them."""
        table = self.writer.table
        if group[0].block.kind == "front-matter":
            answer, edit = fill_metadata(self.document, group[0].block, group[0], self.writer.knowledge, table)
            self.rows.append(FilledMarker(group[0], [], answer, edit))
            return
        places = [self._place(marker, sentence) for marker in group]
        questions = [find_questions(place, table) for place in places]
        slots = [slot_of(self.document, marker, sentence) for marker in group]
        answers = [self._answer(*asked) for asked in zip(questions, slots, places, strict=True)]
        is_shared = len(group) > 1 and all(slot.kind == "sentence" for slot in slots)
        if is_shared and None not in answers:  # one text for all
            text = " ".join(dict.fromkeys(answer.text for answer in answers if answer))
            edits = [answer_edit(self.document, group[0], text, slots[0])] * len(group)
        else:
            if is_shared or any(first.end > second.start for first, second in itertools.pairwise(slots)):
                slots = [Slot("inline", marker.start, marker.end, "value") for marker in group]
                answers = [self._answer(*asked) for asked in zip(questions, slots, places, strict=True)]
            texts = [answer.text if answer else None for answer in answers]
            filled = zip(group, texts, slots, strict=True)
            edits = [answer_edit(self.document, marker, text, slot) for marker, text, slot in filled]
        self.rows += map(FilledMarker, group, questions, answers, edits)

    def _answer(self, questions: Sequence[Question], slot: Slot, place: Place) -> Answer | None:
        form: Form = slot.form
        if slot.kind == "sentence" and any(q.template.startswith(("code", "coco", "subgroup-comp")) for q in questions):
            form = "block"
        as_list = len(questions) > 2 and form == "block"
        form = "text" if as_list else form
        found = []
        for question in questions:
            is_code = question.template in ("code-inference", "code-finetune")
            if is_code and self.writer.knowledge.facts.hub_id is None:
                continue
            brackets, is_part = slot.kind != "aside", len(questions) > 1
            if answer := self.writer.answer(question, form, place, brackets=brackets, is_part=is_part):
                found.append(answer)
        if not found:
            return None
        separator = "\n\n" if any("\n" in answer.text for answer in found) else " " if form != "value" else "; "
        texts = [answer.text for answer in found]
        text = "\n".join(f"- {text}" for text in texts) if as_list else separator.join(texts)
        return join_answers(found, question=" + ".join(answer.question for answer in found), text=text)


# --- the report ---


def _report(
    document: Document, rows: list[FilledMarker], corrections: list[Correction], added: list[tuple[str, Edit]]
) -> dict[str, Any]:
    markers = []
    for row in rows:
        what: dict[str, Any] = {"question": None, "class": "unanswered", "evidence": []}
        if row.answer is not None:
            answer = row.answer
            what = {"question": answer.question, "class": answer.class_.value, "evidence": answer.evidence}
        markers.append(_change(document, row.edit, row.marker.line, row.marker.block.section, what))
    changed = []
    for edit, question, old in corrections:
        line = document.line_of(edit.end - len(old.lstrip()))
        block = document.block_at(max(edit.start, edit.end - 1), edit.end)
        what = {"question": question, "action": "corrected" if edit.new.strip() else "removed"}
        changed.append(_change(document, edit, line, block.section if block else (), what))
    for words, edit in added:
        what = {"question": words, "action": "added"}
        changed.append(_change(document, edit, document.line_of(edit.start), (), what))
    left = [{"line": m.line, "why": m.talked_about} for m in document.markers if m.talked_about]
    counts = dict(sorted(Counter(row["class"] for row in markers).items()))
    found = {"markers": markers, "neighbours": changed, "left": left, "counts": counts}
    told: dict[str, Any] = json.loads(_printable(json.dumps(found, ensure_ascii=False)))
    return told


def _change(
    document: Document, edit: Edit, line: int, section: Sequence[str], what: Mapping[str, Any]
) -> dict[str, Any]:
    """One change, with where the old text is in the original card, in bytes."""
    old = document.text[edit.start : edit.end]
    span = {"start": document.byte_offset(edit.start), "end": document.byte_offset(edit.end)}
    return {"line": line, "section": section, **what, "old": old, "new": edit.new, "span": span}


def _printable(text: str) -> str:
    """The text with bytes that aren't UTF-8 shown as replacement characters: JSON can't hold them."""
    return encode(text).decode("utf-8", "replace")
