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
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.cards.answers import Answer, Form, Writer, join_answers
from harness.cards.claims import check_claims, replace_contradicted
from harness.cards.contradictions import Correction, FilledMarker, contradicted_sentences
from harness.cards.document import Block, Document, Edit, Marker, apply_edits, decode, encode
from harness.cards.knowledge import Knowledge, knowledge_of
from harness.cards.metadata import card_metadata, complete_metadata, fill_metadata
from harness.cards.questions import Place, Question, find_questions
from harness.cards.record import CardRecord, ledger_digest, record_edit
from harness.cards.sentences import Span, sentences
from harness.cards.slots import CardText, Slot, answer_edit, slot_of
from harness.evidence import Ledger


@dataclass(frozen=True)
class FillResult:
    """A filled card."""

    text: bytes
    report: dict[str, Any]
    """`markers`; `neighbours`, everything else that changed: statements removed or corrected, front matter and the record
    of the fill added; `left` (markers only talked about); `counts` by class; and with `fix_claims` the `claims` that were
    mended, with their lines in the filled card."""
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
        sidecar: file name of the ledger beside the filled card: the card then carries a record of it, at its end.

    Raises:
        HarnessError: the shipped question table or facts are damaged.
    """
    document = Document(decode(text))
    record = CardRecord("fill", model, sidecar, ledger_digest(ledger)) if sidecar and ledger is not None else None
    filler = _Filler(document, knowledge_of(model, ledger), record, front_matter)
    result = filler.fill()
    if not fix_claims:
        return result
    fixed, claims = replace_contradicted(result.text, check_claims(result.text, model=model, ledger=ledger))
    return FillResult(fixed, result.report | {"claims": [claim.to_dict() for claim in claims]}, result.complete)


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
    knowledge: Knowledge
    record: CardRecord | None
    front_matter: bool
    rows: list[FilledMarker] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.text = self.document.text
        self.writer = Writer(self.knowledge)
        self.markers = [marker for marker in self.document.markers if not marker.talked_about]
        self.spans = [(marker.start, marker.end) for marker in self.markers]
        talked_about = [marker.start for marker in self.document.markers if marker.talked_about]
        self.card = CardText(self.document, self.spans, talked_about)
        self.block_sentences: dict[Block, list[Span]] = {}
        self.section_texts: dict[tuple[str, ...], str] = {}
        for block in self.document.blocks:
            if block.kind != "heading":
                words = self.text[block.start : block.end]
                self.section_texts[block.section] = f"{self.section_texts.get(block.section, '')} {words}"

    def fill(self) -> FillResult:
        groups: dict[tuple[int, int], list[Marker]] = {}
        for marker in self.markers:
            groups.setdefault(self._sentence(marker), []).append(marker)
        for span, group in groups.items():
            self._fill_group(span, group)
        self._part_adjacent()
        edits = list({row.edit for row in self.rows if row.edit is not None})
        corrections = contradicted_sentences(self.document, self.writer, self.rows, edits) if self.rows else []
        self._close_up([made.edit for made in corrections if not made.edit.new])
        edits = list({row.edit for row in self.rows if row.edit is not None})
        edits += [made.edit for made in corrections]
        added = self._added() if self.rows else []
        filled = apply_edits(self.text, edits + [edit for _, edit in added])
        return FillResult(encode(filled), self._report(corrections, added), self._is_complete())

    def _added(self) -> list[tuple[str, Edit]]:
        """What a filled card gets besides answers: front matter that it lacks, and the record of how it was made."""
        added = []
        if self.front_matter:
            metadata = card_metadata(self.knowledge.ledger, model=self.knowledge.model)
            keys, edit = complete_metadata(self.document, metadata)
            added += [(f"front matter: {', '.join(keys)}", edit)] if edit else []
        record = record_edit(self.document, self.record) if self.record else None
        return added + ([("record of the fill", record)] if record else [])

    def _part_adjacent(self) -> None:
        """Two answers that are both set apart take the space between them once."""
        edits = sorted({row.edit for row in self.rows if row.edit is not None}, key=lambda edit: (edit.start, edit.end))
        for first, second in itertools.pairwise(edits):
            if second.start < first.end and not self.text[second.start : first.end].strip(" \t\r\n>"):
                apart = Edit(first.end, second.end, re.sub(r"^[\s>]+", "", second.new))
                for row in self.rows:
                    row.edit = apart if row.edit == second else row.edit

    def _close_up(self, removals: list[Edit]) -> None:
        """No empty lines after an answer that was set apart from text which is now gone."""
        for row in self.rows:
            assert row.edit is not None
            assert row.marker.block is not None
            rest = self.text[row.edit.end : row.marker.block.end]
            gone = sum(e.end - e.start for e in removals if row.edit.end <= e.start and e.end <= row.marker.block.end)
            if rest and gone >= len(rest) and row.edit.new.endswith(("\n", row.marker.block.prefix or "\n")):
                row.edit = Edit(row.edit.start, row.edit.end, re.sub(r"[\s>]+$", "", row.edit.new))

    # --- what is asked ---

    def _sentence(self, marker: Marker) -> Span:
        block = marker.block
        assert block is not None
        if block.kind in ("fence", "indented-code", "html", "front-matter"):
            return marker.start, marker.end
        spans = self._sentences(block)
        index = bisect.bisect_right(spans, marker.start, key=lambda span: span[0]) - 1
        if index >= 0 and marker.end <= spans[index][1]:
            return spans[index]
        return marker.start, marker.end

    def _sentences(self, block: Block) -> list[Span]:
        if block not in self.block_sentences:
            self.block_sentences[block] = sentences(self.text, block.start, block.end, self.spans)
        return self.block_sentences[block]

    def _place(self, marker: Marker, sentence: Span) -> Place:
        block = marker.block
        assert block is not None
        words = self._words(marker, sentence)
        label, is_own = block.label, block.kind == "cell" or self._is_own_label(block)
        match = re.search(r"(?:^|\n)[ \t>]*([^\n:]{2,200}):[*_]*\s*$", self.text[sentence[0] : marker.start])
        if match and block.kind not in ("cell", "front-matter"):
            label, is_own = re.sub(r"[*_`]", "", match[1]).strip(" -\t"), True
            words = re.sub(r"^(?:.|\n)*:[*_]*\s*\[\?\]", "[?]", words)
        elif block.kind == "html":
            before = re.split(r"<[^>]*>", self.text[block.start : marker.start])
            label = next((part.strip(" :\r\n") for part in reversed(before) if part.strip()), None)
        return Place(
            sentence=re.sub(r"\s+", " ", words),
            label=label,
            label_is_own=is_own,
            beside=self._beside(block, sentence),
            section=block.section,
            section_text=self.section_texts.get(block.section, ""),
            in_code=block.kind in ("fence", "indented-code"),
        )

    def _is_own_label(self, block: Block) -> bool:
        return block.label is not None and block.label in re.sub(r"[*_]", "", self.text[block.start : block.end])

    def _words(self, marker: Marker, sentence: Span) -> str:
        """The marker's sentence with the marker as `[?]`; of several markers each has the words that lead to it."""
        start, end = sentence
        index = bisect.bisect_left(self.spans, (marker.start, marker.end))
        begin = max(start, self.spans[index - 1][1] if index > 0 else start)
        stop = min(end, self.spans[index + 1][0] if index + 1 < len(self.spans) else end)
        before, after = self.text[begin : marker.start], self.text[marker.end : stop]
        if stop < end and re.search(r"\w{3}", before):
            after = ""
        if begin > start and not re.search(r"\w{4}", after) and re.search(r"\w{4}", before):
            after = ""
        return f"{before}[?]{after}"

    def _beside(self, block: Block, sentence: Span) -> tuple[str, ...]:
        if block.kind != "paragraph":
            return ()
        spans = self._sentences(block)
        before = [self.text[s:e] for s, e in spans if e <= sentence[0]]
        after = [self.text[s:e] for s, e in spans if s >= sentence[1]]
        return tuple(after + before[-1:])

    # --- what is written ---

    def _fill_group(self, sentence: Span, group: list[Marker]) -> None:
        block = group[0].block
        assert block is not None
        places = [self._place(marker, sentence) for marker in group]
        if block.kind == "front-matter":
            self._fill_metadata(block, group[0])
            return
        slots = [slot_of(self.card, marker, sentence) for marker in group]
        rows = []
        for marker, place, slot in zip(group, places, slots, strict=True):
            questions = find_questions(place, self.writer.table)
            rows.append(FilledMarker(marker, questions, self._answer(questions, slot, place)))
        self.rows += rows
        if len(rows) > 1 and all(slot.kind == "sentence" for slot in slots):
            self._edit_shared(rows, places, slots[0])
        elif any(first.end > second.start for first, second in itertools.pairwise(slots)):
            self._edit_inline(rows, places)
        else:
            for row, slot in zip(rows, slots, strict=True):
                row.edit = answer_edit(self.card, row.marker, row.answer.text if row.answer else None, slot)

    def _edit_shared(self, rows: list[FilledMarker], places: list[Place], slot: Slot) -> None:
        """Several markers in one sentence: one text for all, or each in its own place where one isn't recognised."""
        answers = [row.answer for row in rows if row.answer]
        if len(answers) == len(rows):
            text = " ".join(dict.fromkeys(answer.text for answer in answers))
            edit = answer_edit(self.card, rows[0].marker, text, slot)
            for row in rows:
                row.edit = edit
            return
        self._edit_inline(rows, places)

    def _edit_inline(self, rows: list[FilledMarker], places: list[Place]) -> None:
        for row, place in zip(rows, places, strict=True):
            inline = Slot("inline", row.marker.start, row.marker.end, "value")
            row.answer = self._answer(row.questions, inline, place)
            row.edit = answer_edit(self.card, row.marker, row.answer.text if row.answer else None, inline)

    def _answer(self, questions: Sequence[Question], slot: Slot, place: Place) -> Answer | None:
        form: Form = slot.form
        if slot.kind == "sentence" and any(q.template.startswith(("code", "coco", "subgroup-comp")) for q in questions):
            form = "block"
        as_list = len(questions) > 2 and form == "block"
        form = "text" if as_list else form
        found = []
        for question in questions:
            if question.template in ("code-inference", "code-finetune") and self.knowledge.hub_id is None:
                continue
            answer = self.writer.answer(
                question, form, place, brackets=slot.kind != "aside", is_part=len(questions) > 1
            )
            if answer is not None:
                found.append(answer)
        if not found:
            return None
        separator = "\n\n" if any("\n" in answer.text for answer in found) else " " if form != "value" else "; "
        texts = [answer.text for answer in found]
        text = "\n".join(f"- {text}" for text in texts) if as_list else separator.join(texts)
        return join_answers(found, question=" + ".join(answer.question for answer in found), text=text)

    def _fill_metadata(self, block: Block, marker: Marker) -> None:
        answer, edit = fill_metadata(self.document, block, marker, self.knowledge, self.writer.table)
        self.rows.append(FilledMarker(marker, [], answer, edit))

    # --- the report ---

    def _is_complete(self) -> bool:
        return all(row.answer is not None and row.answer.is_complete for row in self.rows)

    def _report(self, corrections: list[Correction], added: list[tuple[str, Edit]]) -> dict[str, Any]:
        markers = []
        for row in self.rows:
            assert row.edit is not None
            assert row.marker.block is not None
            what: dict[str, Any] = {"question": None, "class": "unanswered", "evidence": []}
            if row.answer is not None:
                keys = row.answer.evidence
                what = {"question": row.answer.question, "class": row.answer.class_.value, "evidence": keys}
            markers.append(self._row(row.edit, row.marker.line, row.marker.block.section, what))
        changed = []
        for edit, question, old in corrections:
            line = self.document.line_of(edit.end - len(old.lstrip()))
            action = "corrected" if edit.new.strip() else "removed"
            changed.append(self._row(edit, line, self._section_at(edit), {"question": question, "action": action}))
        for words, edit in added:
            line = self.document.line_of(edit.start)
            changed.append(self._row(edit, line, (), {"question": words, "action": "added"}))
        left = [{"line": m.line, "why": m.talked_about} for m in self.document.markers if m.talked_about]
        counts = Counter(row["class"] for row in markers)
        found = {"markers": markers, "neighbours": changed, "left": left, "counts": dict(sorted(counts.items()))}
        return _printable(found)

    def _row(self, edit: Edit, line: int, section: Sequence[str], what: Mapping[str, Any]) -> dict[str, Any]:
        """One change, with where the old text is in the original card, in bytes."""
        old, start = self.text[edit.start : edit.end], self.document.byte_offset(edit.start)
        span = {"start": start, "end": start + len(encode(old))}
        return {"line": line, "section": list(section), **what, "old": old, "new": edit.new, "span": span}

    def _section_at(self, edit: Edit) -> tuple[str, ...]:
        block = self.document.block_at(max(edit.start, edit.end - 1), edit.end)
        return block.section if block else ()


def _printable(value: Any) -> Any:
    """The report with bytes that aren't UTF-8 shown as replacement characters: JSON can't hold them."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    if isinstance(value, list):
        return [_printable(item) for item in value]
    if isinstance(value, dict):
        return {key: _printable(item) for key, item in value.items()}
    return value
