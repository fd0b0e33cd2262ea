"""Filling a card: each marker becomes an answer, its sentence is rewritten around it, the rest stays to the byte.

What a marker's place allows decides what is written: a phrase after a label, in a cell, a heading, a link or brackets;
whole sentences where the marker stands in a sentence, which they replace; lists, tables and code where it stands
alone. Statements elsewhere in the card that an answer makes false ("the references do not give the batch size") are
corrected or removed, and reported. A card without markers comes back unchanged, so a second fill changes nothing.
"""

from __future__ import annotations

import html
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from harness.cards.answers import Answer, Form, Knowledge, Place, Question, Writer, find_questions, join_answers
from harness.cards.document import Block, Document, Edit, Marker, apply_edits, decode, encode
from harness.cards.sentences import Span, label_prefix, next_span, sentences
from harness.evidence import EvidenceClass, Ledger
from harness.facts import facts_for

UNANSWERED = "not answered by this harness"
_FALSIFYING = (EvidenceClass.MEASURED, EvidenceClass.DERIVED, EvidenceClass.DOCUMENTED)
_COMMENT = {"python": "#", "py": "#", "bash": "#", "sh": "#", "shell": "#", "yaml": "#", "toml": "#", "r": "#"}


@dataclass(frozen=True)
class FillResult:
    """A filled card."""

    text: bytes
    report: dict[str, Any]
    """`markers`, `neighbours`, `left` (markers only talked about) and `counts` by class."""
    complete: bool
    """Whether every marker was recognised and nothing is pending; otherwise a command ends with exit code 3."""


@dataclass
class _Row:
    """One marker's entry in the report, until its edit is known."""

    marker: Marker
    questions: list[Question]
    answer: Answer | None
    edit: Edit | None = None


@dataclass
class _Slot:
    """Where an answer goes and what fits there."""

    kind: str
    """`whole`, `line`, `label`, `aside`, `sentence`, `inline`, `code` or `yaml`."""
    start: int
    end: int
    form: Form
    is_plain: bool = False
    """Whether Markdown would not be rendered there, or would break it."""


def fill_card(text: bytes, *, model: str, ledger: Ledger | None, fix_claims: bool = False) -> FillResult:
    """Answer every marker of a card.

    Args:
        text: the card as it is on disk; bytes that are not UTF-8 stay as they are.
        model: registry name or Hub reference of the model that the card is about.
        ledger: the model's evidence; None fills from documented facts alone.
        fix_claims: also replace values that evidence contradicts, outside of markers.

    Raises:
        HarnessError: the shipped question table or facts are damaged.
    """
    document = Document(decode(text))
    filler = _Filler(document, _knowledge(model, ledger))
    result = filler.fill()
    if fix_claims:
        from harness.cards.claims import fix_contradicted

        return fix_contradicted(result, model=model, ledger=ledger)
    return result


def _knowledge(model: str, ledger: Ledger | None) -> Knowledge:
    facts = facts_for(model)
    if facts is not None:
        return Knowledge(facts.model, facts.hub_id, facts.short_name, ledger, facts)
    reference = str((ledger.model if ledger else {}).get("reference") or model)
    hub_id = reference.removeprefix("hf:").partition("@")[0] if reference.startswith("hf:") else None
    return Knowledge(model, hub_id, model, ledger, None)


@dataclass
class _Filler:
    document: Document
    knowledge: Knowledge
    rows: list[_Row] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.text = self.document.text
        self.writer = Writer(self.knowledge)
        self.markers = [marker for marker in self.document.markers if not marker.talked_about]
        self.spans = [(marker.start, marker.end) for marker in self.markers]

    def fill(self) -> FillResult:
        groups: dict[tuple[int, int], list[Marker]] = {}
        for marker in self.markers:
            groups.setdefault(self._sentence(marker), []).append(marker)
        for span, group in groups.items():
            self._fill_group(span, group)
        edits = list({row.edit for row in self.rows if row.edit is not None})
        neighbours = _Neighbours(self.document, self.writer, self.rows, edits).find() if self.rows else []
        edits += [edit for edit, *_ in neighbours]
        filled = apply_edits(self.text, edits)
        return FillResult(encode(filled), self._report(neighbours), self._is_complete())

    # --- what is asked ---

    def _sentence(self, marker: Marker) -> Span:
        block = marker.block
        assert block is not None
        if block.kind in ("fence", "indented-code", "html", "front-matter"):
            return marker.start, marker.end
        for start, end in sentences(self.text, block.start, block.end, self.spans):
            if start <= marker.start and marker.end <= end:
                return start, end
        return marker.start, marker.end

    def _place(self, marker: Marker, sentence: Span) -> Place:
        block = marker.block
        assert block is not None
        start, end = sentence
        earlier = [e for s, e in self.spans if start <= s and e <= marker.start]
        later = [s for s, _ in self.spans if marker.end <= s < end]
        begin, stop = max([start, *earlier]), min([end, *later])
        words = f"{self.text[begin : marker.start]}[?]{self.text[marker.end : stop]}"
        label = block.label
        match = re.search(r"(?:^|\n)[ \t>]*([^\n:]{2,200}):[*_]*\s*$", self.text[start : marker.start])
        if match and block.kind not in ("cell", "front-matter"):
            label = re.sub(r"[*_`]", "", match[1]).strip(" -\t")
            words = re.sub(r"^(?:.|\n)*:[*_]*\s*\[\?\]", "[?]", words)
        before, after = self._beside(block, sentence)
        return Place(
            sentence=re.sub(r"\s+", " ", words),
            label=label,
            beside=f"{before} {after}".strip(),
            section=block.section,
            section_text=self._section_text(block),
            in_code=block.kind in ("fence", "indented-code"),
        )

    def _beside(self, block: Block, sentence: Span) -> tuple[str, str]:
        if block.kind != "paragraph":
            return "", ""
        spans = sentences(self.text, block.start, block.end, self.spans)
        before = [self.text[s:e] for s, e in spans if e <= sentence[0]]
        after = [self.text[s:e] for s, e in spans if s >= sentence[1]]
        return " ".join(before[-1:]), " ".join(after)

    def _section_text(self, block: Block) -> str:
        blocks = [other for other in self.document.blocks if other.section == block.section and other.kind != "heading"]
        return " ".join(self.text[other.start : other.end] for other in blocks)

    # --- what is written ---

    def _fill_group(self, sentence: Span, group: list[Marker]) -> None:
        block = group[0].block
        assert block is not None
        places = [self._place(marker, sentence) for marker in group]
        if block.kind == "front-matter":
            self._fill_metadata(block, group[0], places[0])
            return
        slots = [self._slot(marker, sentence, places[i]) for i, marker in enumerate(group)]
        rows = []
        for marker, place, slot in zip(group, places, slots, strict=True):
            questions = find_questions(place, self.writer.table)
            rows.append(_Row(marker, questions, self._answer(questions, slot, place)))
        self.rows += rows
        if len(rows) > 1 and slots[0].kind == "sentence":
            self._edit_shared(rows, places, slots[0])
            return
        for row, slot in zip(rows, slots, strict=True):
            row.edit = self._edit(row, slot)

    def _edit_shared(self, rows: list[_Row], places: list[Place], slot: _Slot) -> None:
        """Several markers in one sentence: one text for all, or each in its own place where one isn't recognised."""
        answers = [row.answer for row in rows if row.answer]
        if len(answers) == len(rows):
            joined = join_answers(answers, question="", text=" ".join(dict.fromkeys(a.text for a in answers)))
            edit = self._edit(_Row(rows[0].marker, rows[0].questions, joined), slot)
            for row in rows:
                row.edit = edit
            return
        for row, place in zip(rows, places, strict=True):
            inline = _Slot("inline", row.marker.start, row.marker.end, "value")
            row.answer = self._answer(row.questions, inline, place)
            row.edit = self._edit(row, inline)

    def _answer(self, questions: Sequence[Question], slot: _Slot, place: Place) -> Answer | None:
        form: Form = slot.form
        if slot.kind == "sentence" and any(q.template.startswith(("code", "coco", "subgroup-comp")) for q in questions):
            form = "block"
        found = []
        for question in questions:
            if question.template in ("code-inference", "code-finetune") and self.knowledge.hub_id is None:
                continue
            answer = self.writer.answer(question, form, place, brackets=slot.kind != "aside")
            if answer is not None:
                found.append(answer)
        if not found:
            return None
        separator = "\n\n" if any("\n" in answer.text for answer in found) else " " if form != "value" else "; "
        return join_answers(
            found,
            question=" + ".join(answer.question for answer in found),
            text=separator.join(answer.text for answer in found),
        )

    def _slot(self, marker: Marker, sentence: Span, place: Place) -> _Slot:
        block = marker.block
        assert block is not None
        start, end = sentence
        if block.kind in ("fence", "indented-code"):
            return _Slot("code", marker.start, marker.end, "code" if self._is_alone(marker, block) else "value", True)
        if block.kind == "html":
            return _Slot("inline", marker.start, marker.end, "value", True)
        link_end = self._link_end(marker)
        if link_end > marker.end:
            return _Slot("link", marker.start, link_end, "value", False)
        if self._in_link_text(marker, block) or block.kind == "heading":
            return _Slot("inline", marker.start, marker.end, "value", True)
        before, after = self.text[start : marker.start], self.text[marker.end : end]
        if block.kind == "cell":
            return _Slot("inline", marker.start, marker.end, "value")
        if self.text[block.start : marker.start].strip() == "" and not re.search(
            r"\w", self.text[marker.end : block.end]
        ):
            return _Slot("whole", marker.start, block.end, "text" if block.in_item else "block")
        aside = _aside(self.text, start, marker, end)
        if aside:
            return _Slot("aside", *aside, "value")
        if re.search(r":[*_]*\s*$", before) and not re.search(r"\w", after):
            own_line = "\n" in before[len(before.rstrip()) :] or "\r" in before[len(before.rstrip()) :]
            if own_line and not block.in_item:
                return _Slot("line", marker.start, end, "block")
            return _Slot("label", marker.start, marker.end, "value")
        return _Slot("sentence", start + label_prefix(self.text[start : marker.start]), end, "text")

    def _is_alone(self, marker: Marker, block: Block) -> bool:
        inside = self.text[block.start : marker.start] + self.text[marker.end : block.end]
        return not inside.strip(" \t\r\n>")

    def _link_end(self, marker: Marker) -> int:
        """End of the link whose whole text is the marker; the marker's own end where it is none."""
        match = re.compile(r"\([^()\s]*(?:\s+\"[^\"]*\")?\)|\[[^\[\]]*\]").match(self.text, marker.end)
        escaped = self.text[marker.start : marker.end].lstrip("*_~").startswith("\\")
        return match.end() if match and not escaped else marker.end

    def _in_link_text(self, marker: Marker, block: Block) -> bool:
        pattern = re.compile(r"\[(?:[^\[\]]|\[[^\[\]]*\])*\](?=\(|\[)")
        matches = pattern.finditer(self.text, block.start, block.end)
        return any(match.start() < marker.start and marker.end < match.end() for match in matches)

    def _edit(self, row: _Row, slot: _Slot) -> Edit:
        """The answer fitted into its place."""
        marker = row.marker
        block = marker.block
        assert block is not None
        if row.answer is None:
            return self._unanswered(marker, slot)
        new = row.answer.text
        if slot.kind == "link":
            target = self.text[marker.end : slot.end]
            return Edit(slot.start, slot.end, f"{_one_line(new)} ([link]{target})")
        if slot.kind == "code":
            return Edit(slot.start, slot.end, self._in_code(new, slot, block))
        if slot.kind in ("inline", "aside", "label"):
            new = _one_line(new)
            if block.kind == "cell":
                new = re.sub(r"(?<!\\)\|", r"\\|", new)
            if slot.is_plain:
                new = plain_text(new)
                new = html.escape(new, quote=False) if block.kind == "html" else new
            if slot.kind == "label":
                new = self._label_value(new, slot)
            return Edit(slot.start, slot.end, new)
        if "\n" in new:
            return self._block_edit(new, slot, block)
        return Edit(slot.start, slot.end, new)

    def _label_value(self, new: str, slot: _Slot) -> str:
        """A value after a label: a full stop where it holds sentences and none follows."""
        new = new[:1].upper() + new[1:]
        follows = self.text[slot.end : slot.end + 1]
        return new + "." if re.search(r"\w{2}[.]\s|\)[.]\s", new) and follows not in (".", ";", ",") else new

    def _block_edit(self, new: str, slot: _Slot, block: Block) -> Edit:
        """Several lines: with the container's prefix, and set apart from what stands before and after."""
        newline = self.document.newline
        prefix = block.prefix
        start, end = slot.start, slot.end
        before, after = self.text[block.start : start], self.text[end : block.end]
        blank = newline + prefix.rstrip() + newline + prefix
        lines = new.split("\n")
        body = (newline + prefix).join(lines)
        body = re.sub(rf"{re.escape(prefix)}(?={newline}|$)", prefix.rstrip(), body) if prefix else body
        if before.strip():
            trimmed = block.start + len(re.sub(r"[\s>]+$", "", before))
            apart = slot.kind != "line" or re.match(r"```|\|", new)
            body = (blank if apart else newline + prefix) + body
            start = trimmed
        if after.strip():
            end += len(after) - len(after.lstrip())
            body += blank
        return Edit(start, end, body)

    def _in_code(self, new: str, slot: _Slot, block: Block) -> str:
        newline = self.document.newline
        if slot.form == "code" and "\n" in new:
            return (newline + block.prefix).join(new.split("\n"))
        flat = plain_text(_one_line(new))
        mark = _COMMENT.get(block.info) if slot.form == "code" else None
        return f"{mark} {flat}" if mark else flat

    def _unanswered(self, marker: Marker, slot: _Slot) -> Edit:
        """Honest words where nothing is known; the sentence around stays."""
        if slot.kind in ("inline", "label", "link", "code", "aside"):
            return Edit(marker.start, marker.end, UNANSWERED)
        if slot.kind in ("whole", "line"):
            follows = self.text[marker.end : marker.end + 1]
            return Edit(marker.start, marker.end, UNANSWERED.capitalize() + ("" if follows == "." else "."))
        rest = re.compile(r"\s+(?:on|for|about|regarding|of)\s+").match(self.text, marker.end)
        if rest and not self.text[slot.start : marker.start].strip():
            return Edit(marker.start, rest.end(), f"{UNANSWERED.capitalize()}: ")
        return Edit(marker.start, marker.end, f"({UNANSWERED})")

    # --- front matter ---

    def _fill_metadata(self, block: Block, marker: Marker, place: Place) -> None:
        """A front-matter value stays valid for the Hub: it gets the evidence's value, or its entry goes."""
        row = _Row(marker, [], None)
        self.rows.append(row)
        if block.label is None:
            row.edit = Edit(marker.start, marker.end, UNANSWERED)
            return
        value = self._metadata_value(block.label)
        if value is None:
            row.edit = self._remove_entry(block)
            if block.label.partition(".")[0] in ("language", "base_model"):
                key = {"language": "documented.model.languages", "base_model": "documented.model.finetuned-from"}
                question = {"language": "languages", "base_model": "finetuned-from"}[block.label.partition(".")[0]]
                view = self.knowledge.absent(key[block.label.partition(".")[0]]) or self.knowledge.find(
                    key[block.label.partition(".")[0]]
                )
                if view is not None:
                    row.answer = Answer(question, view.class_, [view.key], "", True)
            return
        class_, key, text = value
        whole = self.text[block.start : block.end]
        inner = self.text[block.start : marker.start].strip("\"' ") + self.text[marker.end : block.end].strip("\"' ")
        if inner:
            words = whole.replace(self.text[marker.start : marker.end], text).strip("\"'")
            text = json.dumps(words, ensure_ascii=False)
        row.answer = Answer(f"front matter: {block.label}", class_, [key], text, True)
        row.edit = Edit(block.start, block.end, text)

    def _metadata_value(self, path: str) -> tuple[EvidenceClass, str, str] | None:
        parts = path.split(".")
        if parts[0] == "model-index":
            return self._metric_value(path)
        for key in self.writer.table.metadata.get(parts[0], ()):
            view = self.knowledge.find(key)
            if view is None:
                continue
            if parts[0] == "co2_eq_emissions":
                if parts[-1] in ("co2_eq_emissions", "emissions"):
                    return view.class_, key, f"{round(view.value * 1000)}"
                return None
            return view.class_, key, json.dumps(view.value) if not isinstance(view.value, str) else view.value
        return None

    def _metric_value(self, path: str) -> tuple[EvidenceClass, str, str] | None:
        """A result's value: measured on the whole benchmark, or none."""
        if not path.endswith(".value"):
            return None
        assert self.document.front_matter is not None
        start, end = self.document.front_matter
        data: Any = yaml.safe_load(self.text[start:end])
        nodes = [data]
        for part in path.split(".")[:-1]:
            data = data[int(part)] if isinstance(data, list) else data[part]
            nodes.append(data)
        metric = f"{data.get('type', '')} {data.get('name', '')}".lower()
        dataset = next((n["dataset"] for n in reversed(nodes) if isinstance(n, dict) and "dataset" in n), {})
        named = f"{dataset.get('type', '')} {dataset.get('name', '')}"
        suffix = (
            "top5" if re.search(r"top.?5|top_5", metric) else "top1" if "acc" in metric or "top" in metric else None
        )
        for key, benchmark in self.writer.table.benchmarks.items():
            if suffix and key.endswith(suffix) and re.search(benchmark.mention, named, re.IGNORECASE):
                found = self.knowledge.find(key)
                if found and found.class_ is EvidenceClass.MEASURED and not found.evidence.is_partial:
                    return found.class_, key, f"{found.value:.2f}"
        return None

    def _remove_entry(self, block: Block) -> Edit:
        """Remove the lines of the smallest entry that makes sense without the value."""
        assert self.document.front_matter is not None and block.label is not None
        offset, stop = self.document.front_matter
        root = yaml.compose(self.text[offset:stop], Loader=yaml.SafeLoader)
        start, end = _entry_span(root, block.label.split("."))
        line = self.document.line_of(offset + start)
        first = self.document.line_start(line)
        last = self.document.line_of(max(offset + start, offset + end - 1))
        return Edit(first, min(self.document.line_start(last + 1), stop), "")

    # --- the report ---

    def _is_complete(self) -> bool:
        return all(row.answer is not None and row.answer.is_complete for row in self.rows)

    def _report(self, neighbours: list[tuple[Edit, str, str]]) -> dict[str, Any]:
        markers = []
        for row in self.rows:
            assert row.edit is not None and row.marker.block is not None
            answer = row.answer
            markers.append(
                {
                    "line": row.marker.line,
                    "section": list(row.marker.block.section),
                    "question": answer.question if answer else None,
                    "class": answer.class_.value if answer else "unanswered",
                    "evidence": answer.evidence if answer else [],
                    "old": self.text[row.edit.start : row.edit.end],
                    "new": row.edit.new,
                    "span": self._byte_span(row.edit),
                }
            )
        removed = [
            {
                "line": self.document.line_of(edit.start + len(self.text[edit.start : edit.end]) - len(old.lstrip())),
                "section": list(self._section_at(edit)),
                "question": question,
                "action": "removed" if not edit.new.strip() else "corrected",
                "old": old,
                "new": edit.new,
                "span": self._byte_span(edit),
            }
            for edit, question, old in neighbours
        ]
        left = [{"line": m.line, "why": m.talked_about} for m in self.document.markers if m.talked_about]
        counts = Counter(row["class"] for row in markers)
        return _printable(
            {"markers": markers, "neighbours": removed, "left": left, "counts": dict(sorted(counts.items()))}
        )

    def _section_at(self, edit: Edit) -> tuple[str, ...]:
        block = self.document.block_at(max(edit.start, edit.end - 1), edit.end)
        return block.section if block else ()

    def _byte_span(self, edit: Edit) -> dict[str, int]:
        """Where the old text is in the original card, in bytes."""
        start = len(encode(self.text[: edit.start]))
        return {"start": start, "end": start + len(encode(self.text[edit.start : edit.end]))}


def _printable(value: Any) -> Any:
    """The report with bytes that aren't UTF-8 shown as replacement characters: JSON can't hold them."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    if isinstance(value, list):
        return [_printable(item) for item in value]
    if isinstance(value, dict):
        return {key: _printable(item) for key, item in value.items()}
    return value


def _entry_span(root: yaml.Node, path: list[str]) -> tuple[int, int]:
    """Offsets of the entry to remove for a value at `path`: its key, or the list item or parent that it empties."""
    node = root
    span = (root.start_mark.index, root.end_mark.index)
    for depth, part in enumerate(path):
        if isinstance(node, yaml.MappingNode):
            key, value = next((k, v) for k, v in node.value if str(k.value) == part)
            is_metric = path[0] == "model-index" and depth == len(path) - 1
            if len(node.value) > 1 and not is_metric:
                span = (key.start_mark.index, value.end_mark.index)
            node = value
        elif isinstance(node, yaml.SequenceNode):
            child = node.value[int(part)]
            if len(node.value) > 1:
                span = (child.start_mark.index, child.end_mark.index)
            node = child
    return span


def _aside(text: str, start: int, marker: Marker, end: int) -> Span | None:
    """The inside of the brackets that a marker stands in, within its sentence; None where it stands in none."""
    depth = 0
    for position in range(marker.start - 1, start - 1, -1):
        if text[position] == ")":
            depth += 1
        elif text[position] == "(":
            if depth == 0:
                close = text.find(")", marker.end, end)
                return (position + 1, close) if close >= 0 else None
            depth -= 1
    return None


def _one_line(text: str) -> str:
    return re.sub(r"\s*\n\s*", " ", text).strip()


def plain_text(markdown: str) -> str:
    """Markdown prose without links, code marks and emphasis, for places where it isn't rendered."""
    text = re.sub(r"\[([^\[\]]*)\]\(([^()]*)\)", r"\1", markdown)
    text = re.sub(r"<(https?://[^<>]+)>", r"\1", text)
    text = re.sub(r"(?<!\\)[`*]", "", text)
    return re.sub(r"\\([\\`*_\[\]<>|#])", r"\1", text)


# --- neighbours -------------------------------------------------------------------------------------------------

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
class _Neighbours:
    """Statements that a thing is unknown, which an answer in the same card makes false."""

    document: Document
    writer: Writer
    rows: list[_Row]
    edits: list[Edit]

    def find(self) -> list[tuple[Edit, str, str]]:
        """Edits with the question that each follows from and the old sentence; none overlaps an answer's."""
        self.text = self.document.text
        self.known = self._known_topics()
        found = []
        for block in self.document.blocks:
            if block.kind in ("paragraph", "cell"):
                found += self._in_block(block)
        return found

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
        spans = sentences(self.text, block.start, block.end, [(m.start, m.end) for m in self.document.markers])
        free = [span for span in spans if not any(e.start < span[1] and span[0] < e.end for e in self.edits)]
        here = [row for row in self.rows if row.marker.block == block and row.answer is not None]
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

    def _false_about(self, sentence: str, here: list[_Row]) -> str | None:
        """The question whose answer makes a sentence false."""
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
            edits.append((Edit(start, end, ""), question, self.text[slice(*span)]))
        return edits

    def _connectives(
        self, block: Block, spans: list[Span], here: list[_Row], taken: set[int]
    ) -> list[tuple[Edit, str, str]]:
        """`However, …` after a sentence that now holds the answer contrasts with nothing: the word goes."""
        found = []
        for row in here:
            assert row.edit is not None and row.answer is not None
            following = next((span for span in spans if span[0] >= row.edit.end), None)
            if following is None or following[0] in taken or row.answer.class_ not in _FALSIFYING:
                continue
            if self.text[row.edit.end : following[0]].strip():
                continue
            sentence = self.text[slice(*following)]
            match = _HOWEVER.match(sentence)
            if match:
                start = following[0]
                edit = Edit(start, start + match.end(), match[1].upper())
                if all(edit.end <= e.start or e.end <= edit.start for e in self.edits):
                    found.append((edit, row.answer.question, sentence))
        return found
