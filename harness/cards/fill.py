"""Filling a card: each marker becomes an answer, its sentence is rewritten around it, the rest stays to the byte.

What a marker's place allows decides what is written: a phrase after a label, in a cell, a heading, a link or brackets;
whole sentences where the marker stands in a sentence, which they replace; lists, tables and code where it stands
alone. Links, images, code, tables and YAML around an answer stay what they are: where an answer would change them, the marker
is left and reported. Statements elsewhere in the card that an answer makes false ("the references do not give the batch
size") are corrected or removed, and reported. A card without markers comes back unchanged, so a second fill changes nothing.
"""

from __future__ import annotations

import bisect
import difflib
import hashlib
import itertools
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from harness import __version__
from harness.cards.answers import Answer, Form, Writer, join_answers
from harness.cards.claim import Claim, Verdict
from harness.cards.claims import check_claims
from harness.cards.contradictions import (
    Correction,
    FilledMarker,
    answered_topics,
    contradicted_sentences,
    kept_sentences,
)
from harness.cards.document import (
    Block,
    Document,
    Edit,
    Marker,
    Moves,
    apply_edits,
    decode,
    encode,
    link_definitions,
    structure,
)  # fmt: skip
from harness.cards.gaps import Gap, apart
from harness.cards.knowledge import knowledge_of
from harness.cards.markdown import MARK
from harness.cards.mending import is_corrected, replacements
from harness.cards.metadata import card_metadata, complete_metadata, fill_metadata, metadata_remarks
from harness.cards.named_fields import field_answer
from harness.cards.own_prose import OwnProse
from harness.cards.parts import missing_entry
from harness.cards.places import Places
from harness.cards.questions import Place, Recognised, asked_in, find_questions
from harness.cards.record import CardRecord, fill_name, ledger_digest, read_comment, record_edit
from harness.cards.references import References
from harness.cards.retrieval import content
from harness.cards.sentences import Span
from harness.cards.slots import Slot, answer_edit, slot_of, unit_behind, unrecognised
from harness.cards.training_log import logged_answer
from harness.cards.views import marks
from harness.cards.vocabulary import Property
from harness.evidence import EvidenceClass, Ledger
from harness.parsing.files import MalformedError
from harness.parsing.json import parse_json

MOST_MARKERS = 5_000
_LONGEST_BLOCK, _TRIES = 20_000, 24
"""Up to how many characters of a block, and how often, is looked which of its answers break it; all others are left too."""
_ELSEWHERE = re.compile(r"\bare given (?:above|under “[^”]*”)\.$")
_FEW = 5
"""Words of a sentence that says nothing but what is asked, the marker among them: `A run took [?] hours.`"""
_NEXT = 30
"""Characters after a marker that are read for what is counted."""


@dataclass(frozen=True)
class FillResult:
    """A filled card."""

    text: bytes
    report: dict[str, Any]
    """The record of the fill, `fill.json`: version of `harness`, `model`, `options`, the card `before`; `markers`;
    `neighbours`, everything else that changed: statements removed or corrected, front matter and the record added; `left`,
    markers that are only talked about or whose answer would break what they stand in; `counts` by class; `contradictions`,
    what the filled card says against the evidence, with its lines; and with `fix_claims` the `claims` that were put right, each
    with what was written, and `claims_left`, the wrong ones that were not, with their lines in the filled card."""
    ledger: Ledger
    """Everything that the answers may rest on, documented facts included."""
    complete: bool
    """Whether no marker was left that asks, no claim that was to be put right, and nothing is pending; otherwise a command ends with exit code 3."""


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
        fix_claims: also put right what evidence contradicts, outside of markers: a short statement is replaced by the answer that
            its question would get, behind a longer one stands a correction.
        front_matter: also add the Hub's metadata that the card lacks.
        sidecar: file name of the ledger beside the filled card: the card then names it and the record of the fill at its
            end.

    Raises:
        HarnessError: the card is longer or has more markers than are read; the shipped question table or facts are damaged.
    """
    ledger = ledger.without_markup() if ledger is not None else None
    document, knowledge = Document(decode(text)), knowledge_of(model, ledger)
    if len(document.asking) > MOST_MARKERS:
        why = f"it has {len(document.asking):,} markers; {MOST_MARKERS:,} are the most that are filled at once"
        raise MalformedError("The card", why, remedy="Fill it in parts.")
    references = _references_for(document.text)
    writer = Writer(knowledge, references=references)
    if document.asking:
        writer.given |= _stated(document, _claims(text, model, ledger)[0], mended=fix_claims)
    filler = _Filler(document, writer)
    changed = filler.fill()
    rows, has_end = filler.rows, record_edit(document, "") is not None
    filler.settle(references if has_end else None)
    if rows and front_matter:
        remarks = metadata_remarks(knowledge)
        keys, edit = complete_metadata(document, card_metadata(ledger, model=model), remarks)
        named = (f"{key} ({remarks[key]})" if key in remarks else key for key in keys)
        changed += [Correction(edit, f"front matter: {', '.join(named)}", "")] if edit else []
    whole = knowledge.whole_ledger()
    more = dict[str, Any]()
    if rows or fix_claims:
        filled = _Filled(filler, changed, model, ledger)
        if fix_claims:
            fixes, fixed = filled.fixes()
            changed += fixes
            filled = _Filled(filler, changed, model, ledger)
            left = [claim.to_dict() for claim in filled.claims if claim.needs_mending]
            more |= {"claims": [claim.to_dict() for claim in fixed], "claims_left": left}
        more["contradictions"] = [claim.to_dict() for claim in filled.contradictions()]
        more["unread"] = filled.unread
    record = None
    if rows and sidecar:
        asked = hashlib.sha256(text).hexdigest()
        digest, name = ledger_digest(whole), fill_name(sidecar)
        record = CardRecord("fill", knowledge.name, sidecar, digest, fill=name, before=asked)
    listed = _listed(references) if has_end else ""
    if listed or record:
        end = "\n\n".join(filter(None, [listed, str(record or read_comment(document.text))]))
        edit = record_edit(document, end.replace("\n", document.newline))
        changed += [Correction(edit, "references" if listed else "record of the fill", "")] if edit else []
    options = {"fix_claims": fix_claims, "front_matter": front_matter}
    about = {"harness": __version__, "model": knowledge.name, "options": options, "before": document.text}
    report = about | _report(filler, changed) | more
    complete = not (filler.left or more.get("claims_left")) and all(row.answer.is_complete for row in rows)
    return FillResult(encode(apply_edits(document.text, _edits(rows, changed))), report, whole, complete)


def _claims(card: bytes, model: str, ledger: Ledger | None, written: Sequence[Span] = ()) -> tuple[list[Claim], str]:
    """The claims of a card, or why there are none: one that is too long to be checked can be filled all the same."""
    try:
        return check_claims(card, model=model, ledger=ledger, written=written), ""
    except MalformedError as error:
        return [], error.message


def _stated(document: Document, claims: list[Claim], *, mended: bool) -> set[tuple[str, tuple[str, ...]]]:
    """The keys of what the card's own words say rightly, or will once they are mended, with the section."""
    found = set()
    for claim in claims:
        is_right = claim.verdict is Verdict.SUPPORTED or (mended and claim.needs_mending)
        block = document.block_at(*claim.whole) if is_right and claim.evidence else None
        found |= {(claim.evidence[-1], block.section)} if block else set()
    return found


@dataclass
class _Filled:
    """A card with the changes made so far, read again."""

    filler: _Filler
    changed: Sequence[Correction]
    model: str
    ledger: Ledger | None

    def __post_init__(self) -> None:
        edits = _edits(self.filler.rows, self.changed)
        self.text, self.moves = apply_edits(self.filler.text, edits), Moves(edits)
        self.document, self.written = Document(self.text), self.moves.written
        self.claims, self.unread = _claims(encode(self.text), self.model, self.ledger, self.written)

    def fixes(self) -> tuple[list[Correction], list[Claim]]:
        """Changes of the card before that put wrong statements right, and which these are."""
        changes, fixed = list[Correction](), list[Claim]()
        for edit, claims in replacements(self.document, self.claims, self.filler.writer, self.written, self.kept):
            made = Edit(self.moves.before(edit.start), self.moves.before(edit.end), edit.new)
            changes.append(Correction(made, claims[0].about, self.filler.text[made.start : made.end]))
            fixed += claims
        return changes, fixed

    def contradictions(self) -> list[Claim]:
        """What the card says against the evidence, and what it calls unknown though an answer tells it."""
        wrong = [claim for claim in self.claims if claim.needs_mending]
        return sorted([*wrong, *self.kept], key=lambda claim: claim.span)

    @cached_property
    def kept(self) -> list[Claim]:
        """What the card calls unknown though an answer tells it, in sentences that say more, each with the answer."""
        wrong = {claim.whole for claim in self.claims if claim.needs_mending}
        found, writer = list[Claim](), self.filler.writer
        for span, topic in kept_sentences(self.document, answered_topics(writer, self.filler.rows), self.written):
            if span in wrong or is_corrected(self.text, span):
                continue
            answer = writer.answer(topic.about, "value", Place("", None, True, (), ()))
            said = re.sub(rf" ?{MARK.pattern}", "", answer.text) if answer and answer.class_.has_value else None
            found.append(
                Claim(
                    line=self.document.line_of(span[0]),
                    text=self.text[slice(*span)],
                    about=topic.about.name,
                    verdict=Verdict.CONTRADICTED,
                    evidence=list(topic.evidence),
                    correct=said,
                    note=f"the answer to '{topic.question}' in this card tells it",
                    span=span,
                    whole=span,
                )
            )
        return found


def _edits(rows: Sequence[FilledMarker], changed: Sequence[Correction]) -> list[Edit]:
    edits = dict.fromkeys((*(row.edit for row in rows), *(made.edit for made in changed)))  # at one place in this order
    return sorted(edits, key=lambda edit: (edit.start, edit.end))


def _references_for(text: str) -> References:
    """References whose numbers the card doesn't have yet."""
    numbers = [int(number) for number in re.findall(r"\[h(\d+)\]", text)]
    return References(prefix="h", first=max(numbers, default=0) + 1)


def _listed(references: References) -> str:
    """The notes and places that the answers refer to, for the card's end."""
    parts = [part for part in (references.notes(), references.listed()) if part]
    return "\n\n".join(["**Sources of the answers**", *parts]) if parts else ""


def _is_sentence(text: str) -> bool:
    """Whether an answer ends like a sentence, or as a list or code does."""
    return "\n" in text or re.search(r"[.:!?]\W*$", MARK.sub("", text)) is not None


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
    rows: list[FilledMarker] = field(default_factory=list)
    left: dict[Marker, str] = field(default_factory=dict)
    """Markers that ask and whose answer would break what they stand in, with what that is."""

    def __post_init__(self) -> None:
        self.text = self.document.text
        self.own_prose = OwnProse(self.document, self.writer)
        self.places = Places(self.document, self.writer.table)

    def fill(self) -> list[Correction]:
        """Answer every marker; what the answers make false elsewhere."""
        groups: dict[Span, list[Marker]] = {}
        metadata = []
        for marker in self.document.markers:
            if marker.block.kind == "front-matter" and not marker.talked_about:
                metadata.append(marker)
            elif not marker.talked_about:
                groups.setdefault(self.places.sentence(marker), []).append(marker)
        read = [self._read(span, group) for span, group in groups.items()]
        for place, found in itertools.chain(*(zip(*asked, strict=True) for asked in read)):
            heading = "".join(place.section[-1:])
            homes = [question.id for question in found.questions if question in asked_in(heading, self.writer.table)]
            self.writer.homes = dict.fromkeys(homes, heading) | self.writer.homes
        for (span, group), asked in zip(groups.items(), read, strict=True):
            self._fill_group(span, group, *asked)
        self.writer.told, self.writer.homes = [], {}
        self._keep_structure()
        rows, why = fill_metadata(self.document, metadata, self.writer)
        self.rows = [*rows, *self.rows]
        self.left |= dict.fromkeys(metadata[len(rows) :], why) if why else {}
        self._part_adjacent()
        for row in self.rows:
            row.asked_in = self.places.asked_in(row.marker)
        corrections = contradicted_sentences(self.document, self.writer, self.rows) if self.rows else []
        self._close_up([made.edit for made in corrections if not made.edit.new])
        return corrections

    def settle(self, references: References | None) -> None:
        """Number the references in the answers as a reader meets them; without `references` they have none."""
        edits = sorted({row.edit for row in self.rows}, key=lambda edit: (edit.start, edit.end))
        texts = [edit.new for edit in edits]
        told = references.settle(*texts) if references else [re.sub(rf" ?{MARK.pattern}", "", text) for text in texts]
        settled = {edit: replace(edit, new=text) for edit, text in zip(edits, told, strict=True)}
        for row in self.rows:
            row.edit = settled[row.edit]

    # --- what is written ---

    def _read(self, sentence: Span, group: list[Marker]) -> tuple[list[Place], list[Recognised]]:
        """What surrounds the markers of one sentence, and what they ask."""
        places = [self.places.place(marker) for marker in group]
        known = self.writer.knowledge.known_words
        return places, [find_questions(place, self.writer.table, known) for place in places]

    def _fill_group(
        self, sentence: Span, group: list[Marker], places: list[Place], recognised: list[Recognised]
    ) -> None:
        """The answers to the markers of one sentence, and the edits that write them."""
        questions = [found.questions for found in recognised]
        listed = [self._listed(place) for place in places]
        slots = [slot_of(self.document, marker, sentence) for marker in group]
        for index, (marker, place, found) in enumerate(zip(group, places, recognised, strict=True)):
            says_more = len(group) > 1 or self._says_more(place)
            is_open = len(group) == 1 and found.questions and self.writer.knows_why_not(found.questions[0])
            is_hole = listed[index] or (found.is_hole and says_more and not is_open)
            if is_hole and slots[index].kind == "sentence":
                slots[index] = Slot("inline", marker.start, marker.end, "value")
        is_shared = len(group) > 1 and all(slot.kind == "sentence" for slot in slots)
        if (
            is_shared
            and all(found.questions and found.is_sure for found in recognised)
            and self._fill_as_one(group, questions, slots, places)
        ):
            return
        if is_shared or any(first.end > second.start for first, second in itertools.pairwise(slots)):
            slots = [
                Slot("inline", marker.start, marker.end, "value", False, slot.inside)
                for marker, slot in zip(group, slots, strict=True)
            ]
        for marker, found, place, slot, entry in zip(group, recognised, places, slots, listed, strict=True):
            asked = found.questions
            has_unit = unit_behind(self.document, marker, slot) is not None
            place = replace(place, is_tight=slot.kind in ("inline", "aside") or has_unit)
            told = list(self.writer.told)
            answer = (
                (field_answer(place, self.writer) if place.in_code else None)
                or entry
                or logged_answer(place, self.writer)
                or self._known(marker, found, slot, place)
            )
            if slot.kind == "whole" and answer.class_.has_value and self._is_led(marker) and "\n" not in answer.text:
                self.writer.told = told
                answer = self._known(marker, found, replace(slot, form="value"), place)
            if slot.kind == "sentence" and answer.class_.has_value and not _is_sentence(answer.text):
                slot = Slot("inline", marker.start, marker.end, "value")
            gap, in_prose = self._gap(marker, place), marker.block.kind == "paragraph"
            if slot.kind == "inline" and in_prose and not slot.is_plain and not entry:
                answer = gap.phrase(answer)
            elif answer.class_.has_value and not entry and (slot.kind == "label" or place.column is not None):
                answer = replace(answer, text=apart(answer.text, " ".join(place.own)))
            said = self.text[slice(*sentence)]
            is_all = in_prose and len(group) == 1 and len(place.sentence.split()) <= _FEW and ":" not in said
            if answer.is_unknown and is_all and found.is_sure and "number of" in answer.text:
                slot, answer = Slot("sentence", *sentence, "text"), self.writer.unknown(asked, "text")
            elif answer.is_unknown and (not asked or (in_prose and slot.kind in ("sentence", "inline"))):
                slot, text = unrecognised(self.document, marker, slot, self.writer, is_asked=bool(asked))
                answer = replace(answer, text=text)
            is_amid = answer.text.startswith("(") or (place.column is not None and gap.is_amid_words and not has_unit)
            if answer.is_unknown and is_amid:
                answer = replace(answer, text=gap.lack(answer.text.strip("()")))
            made = answer_edit(self.document, marker, answer, slot)
            if made is not None and not (slot.kind == "code" and (answer.is_unknown or "; " in answer.text)):
                self.rows.append(FilledMarker(marker, asked, answer, made))
            else:
                self.left[marker] = slot.inside or "code"

    def _known(self, marker: Marker, found: Recognised, slot: Slot, place: Place) -> Answer:
        """What evidence answers, or else what the model's files have under the name that is asked for, or what the card
        states elsewhere. What is of another kind than what is asked, or stands there already, is another thing's value."""
        is_cell = place.column is not None
        found = self.own_prose.narrowed(found, place)
        answer = self._answer(found.questions, slot, place) if found.is_sure else None
        is_told = answer is not None and (answer.class_.has_value or answer.class_ is EvidenceClass.NOT_APPLICABLE)
        gap = self._gap(marker, place)
        if answer is None or (is_told and not gap.takes(answer, found.questions, self.writer.table)):
            asked = found.questions if is_cell or answer else []
            answer = self.writer.unknown(asked, slot.form, in_cell=is_cell, is_sure=False)
        if not answer.is_unknown:
            return answer
        field = field_answer(place, self.writer)
        if field and found.is_sure and found.questions and (not is_cell or found.questions[0].is_measurable):
            owners = {about.id for about in self.writer.table.properties if {*about.keys} & {*field.evidence}}
            if owners and owners.isdisjoint(question.id for question in found.questions):
                field = None  # what another question asks
        told = field or self.own_prose.answer(found.questions, place, is_sure=found.is_sure)
        return told if told and gap.takes(told, found.questions, self.writer.table) else answer

    def _is_led(self, marker: Marker) -> bool:
        """Whether the paragraph before a marker's ends with a colon, and so begins the sentence that it ends."""
        return re.search(r":[*_]*\s*$", self.text[max(0, marker.block.start - _NEXT) : marker.block.start]) is not None

    def _gap(self, marker: Marker, place: Place) -> Gap:
        end = min(marker.end + _NEXT, marker.block.end)
        return Gap(place.line.partition("[?]")[0], self.text[marker.end : end], place)

    def _says_more(self, place: Place) -> bool:
        """Whether a sentence with a marker in place of a value says more than that the value is one."""
        before, _, after = place.sentence.partition("[?]")
        if re.search(r"\bthe answer is\W*$", before):
            return False
        before = before.replace(self.writer.named_in(before), "")
        is_plain = re.search(r"(?:\b(?:is|was|are|were)|[:=])\W*$", before) is not None
        return bool(re.search(r"\w", after)) or not is_plain or len(re.findall(r"\w+", before)) > 6

    def _fill_as_one(
        self, group: list[Marker], questions: list[list[Property]], slots: list[Slot], places: list[Place]
    ) -> bool:
        """Replace a sentence with several markers by the text of all answers, if all are known."""
        asked_before, told_before = set(self.writer.asked), list(self.writer.told)
        answers = [self._answer(*asked) for asked in zip(questions, slots, places, strict=True)]
        text = " ".join(dict.fromkeys(answer.text for answer in answers))
        edit = answer_edit(self.document, group[0], replace(answers[0], text=text), slots[0])
        if edit is None or any(answer.is_unknown for answer in answers):
            self.writer.asked, self.writer.told = asked_before, told_before
            return False
        self.rows += [FilledMarker(*row, edit) for row in zip(group, questions, answers, strict=True)]
        return True

    def _listed(self, place: Place) -> Answer | None:
        """What a list of known things leaves out."""
        found = missing_entry(place, self.writer.knowledge) if not place.in_code else None
        if found is None:
            return None
        view, text = found
        return Answer("list", view.class_, [view.key], f"{text} {marks(self.writer.references, view)}", True)

    def _answer(self, questions: Sequence[Property], slot: Slot, place: Place) -> Answer:
        form: Form = slot.form
        if slot.kind == "sentence" and any(q.template.startswith(("code", "coco", "subgroup-comp")) for q in questions):
            form = "block"
        as_list = len(questions) > 2 and form == "block"
        form = "text" if as_list else form
        found, open_questions = [], []
        is_pair = form == "value" and len(questions) == 2 and " / " in " ".join(place.own)
        for question in questions:
            is_code = question.template.startswith("code-")
            is_part = len(questions) > 1
            is_usage = re.search(r"\b(?:code|load|call|use|usage|with)\b", place.sentence)
            is_run = slot.kind != "inline" or place.in_code or is_usage
            knows = not is_code or (self.writer.knowledge.loaded_by is not None and is_run)
            if is_part and question.people and self._names_all(question, place):
                continue  # the card itself names them there
            if knows and (answer := self.writer.answer(question, form, place, is_part=is_part)):
                is_bare = form != "value" or not is_part or is_pair
                found.append(replace(answer, text=answer.text if is_bare else f"{question.name}: {answer.text}"))
            else:
                open_questions.append(question)
        if (open_questions or not questions) and (form != "value" or not found):
            found.append(self.writer.unknown(open_questions, form, in_cell=place.column is not None))
        said = [MARK.sub("", answer.text) for answer in found]
        words = [content(text).union(re.findall(r"\d[\d.,]*", text)) for text in said]
        found = [answer for answer, own in zip(found, words, strict=True) if not any(own < other for other in words)]
        separator = "\n\n" if any("\n" in answer.text for answer in found) else " " if form != "value" else "; "
        separator = " / " if is_pair else separator
        texts = [answer.text for answer in found]
        if as_list:  # nothing that only says where it stands
            texts = [text for text in texts if not _ELSEWHERE.search(text)] or texts
        text = "\n".join(f"- {text}" for text in texts) if as_list else separator.join(texts)
        return join_answers(found, question=" + ".join(answer.question for answer in found), text=text)

    def _names_all(self, question: Property, place: Place) -> bool:
        """Whether the text around a marker names all people that it would be answered with."""
        view = next(filter(None, map(self.writer.knowledge.find, question.keys)), None)
        return view is not None and isinstance(view.value, list) and all(n in place.section_text for n in view.value)

    # --- what stays as it is ---

    def _keep_structure(self) -> None:
        """Leave markers whose answers would change links, images, code or blocks of the words around them."""
        definitions = link_definitions(self.text) if self.rows else {}
        by_block: dict[Block, list[FilledMarker]] = {}
        for row in self.rows:
            if row.marker.block.kind not in ("fence", "indented-code"):
                by_block.setdefault(row.marker.block, []).append(row)
        for block, rows in by_block.items():
            for row in self._breaking(block, rows, definitions):
                self.left[row.marker] = "what it stands in would be broken by an answer"
        self.rows = [row for row in self.rows if row.marker not in self.left]

    def _breaking(self, block: Block, rows: list[FilledMarker], definitions: dict[str, Any]) -> list[FilledMarker]:
        """Those of a block's answers that would change what it is made of."""
        if self._keeps(block, rows, definitions):
            return []
        is_short = len(rows) <= _TRIES and block.end - block.start <= _LONGEST_BLOCK
        breaking = [row for row in rows if not (is_short and self._keeps(block, [row], definitions))]
        kept = [row for row in rows if row not in breaking]
        return breaking if self._keeps(block, kept, definitions) else rows

    def _keeps(self, block: Block, rows: list[FilledMarker], definitions: dict[str, Any]) -> bool:
        before = self.text[block.start : block.end]
        edits = {Edit(row.edit.start - block.start, row.edit.end - block.start, row.edit.new) for row in rows}
        kept = structure(before, definitions)
        told = iter(structure(apply_edits(before, list(edits)), definitions))
        gone = {part for edit in edits for part in structure(before[edit.start : edit.end], definitions)}
        return all(part in told for part in kept if part not in gone)

    def _part_adjacent(self) -> None:
        """Two answers that are both set apart take the space between them once."""
        edits = sorted({row.edit for row in self.rows}, key=lambda edit: (edit.start, edit.end))
        apart: dict[Edit, Edit] = {}
        for first, second in itertools.pairwise(edits):
            if second.start < first.end and not self.text[second.start : first.end].strip(" \t\r\n>"):
                apart[second] = Edit(first.end, second.end, re.sub(r"^[\s>]+", "", second.new))
        for row in self.rows:
            row.edit = apart.get(row.edit, row.edit)

    def _close_up(self, removals: list[Edit]) -> None:
        """No empty lines after an answer that was set apart from text which is now gone."""
        removals = sorted(removals, key=lambda edit: edit.start)
        for row in self.rows if removals else ():
            end, block = row.edit.end, row.marker.block
            first, last = (bisect.bisect_left(removals, at, key=lambda edit: edit.start) for at in (end, block.end))
            gone = sum(edit.end - edit.start for edit in removals[first:last] if edit.end <= block.end)
            is_gone = end < block.end and gone >= block.end - end
            if is_gone and (row.edit.new[-1:].isspace() or (block.prefix and row.edit.new.endswith(block.prefix))):
                row.edit = Edit(row.edit.start, end, re.sub(r"[\s>]+$", "", row.edit.new))


# --- the report ---


def _report(filler: _Filler, changed: Sequence[Correction]) -> dict[str, Any]:
    document, markers = filler.document, []
    for row in filler.rows:
        answer, block = row.answer, row.marker.block
        what: dict[str, Any] = {
            "question": answer.question or None,
            "class": answer.class_.value,
            "evidence": answer.evidence,
            "asked_in": [[document.byte_offset(at) for at in span] for span in row.asked_in],
        }
        what |= {"looked_in": filler.writer.knowledge.looked_in} if answer.is_unknown else {}
        markers.append(_change(document, row.edit, row.marker.line, block.section, what))
    others = []
    for edit, question, old in changed:
        line = document.line_of(edit.end - len(old.lstrip()))
        block_there = document.block_at(max(edit.start, edit.end - 1), edit.end) if old else None
        action = "added" if not old else "corrected" if edit.new.strip() else "removed"
        section = block_there.section if block_there else ()
        others.append(_change(document, edit, line, section, {"question": question, "action": action}))
    left = [
        {"line": m.line, "why": m.talked_about or filler.left[m]}
        for m in document.markers
        if m.talked_about or m in filler.left
    ]
    counts = dict(sorted(Counter(row["class"] for row in markers).items()))
    found = {"markers": markers, "neighbours": others, "left": left, "counts": counts, "contradictions": []}
    told: dict[str, Any] = parse_json(_printable(json.dumps(found, ensure_ascii=False)))
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
