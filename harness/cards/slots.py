"""Where in a card an answer goes, what fits there, and the edit that puts it there."""

from __future__ import annotations

import bisect
import html
import re
from dataclasses import dataclass

from harness.cards.answers import Form
from harness.cards.document import Block, Document, Edit, Marker
from harness.cards.markdown import capital, one_line, plain_text, short_text
from harness.cards.sentences import Span, label_prefix

UNANSWERED = "not answered by this harness"
_NEAR = 400
"""How far, in characters, a link text or brackets around a marker are looked for."""
_COMMENT = {"python": "#", "py": "#", "bash": "#", "sh": "#", "shell": "#", "yaml": "#", "toml": "#", "r": "#"}


@dataclass(frozen=True)
class Slot:
    """Where an answer goes and what fits there."""

    kind: str
    """`whole`, `line`, `label`, `aside`, `sentence`, `inline`, `link` or `code`."""
    start: int
    end: int
    form: Form
    is_plain: bool = False
    """Whether Markdown would not be rendered there, or would break it."""


def slot_of(document: Document, marker: Marker, sentence: Span) -> Slot:
    """Where the answer to a marker goes, and what fits there."""
    block, text = marker.block, document.text
    start, end = sentence
    if block.kind in ("fence", "indented-code"):
        around = text[block.start : marker.start] + text[marker.end : block.end]
        return Slot("code", marker.start, marker.end, "value" if around.strip(" \t\r\n>") else "code", True)
    if block.kind == "html":
        return Slot("inline", marker.start, marker.end, "value", True)
    link_end = _link_end(document, marker)
    if link_end > marker.end:
        return Slot("link", marker.start, link_end, "value", False)
    if _in_link_text(text, marker) or block.kind == "heading":
        return Slot("inline", marker.start, marker.end, "value", True)
    before, after = text[start : marker.start], text[marker.end : end]
    first, last = (bisect.bisect_left(document.markers, at, key=lambda m: m.start) for at in sentence)
    if block.kind == "cell" or any(other.talked_about for other in document.markers[first:last]):
        return Slot("inline", marker.start, marker.end, "value")
    if not text[block.start : marker.start].strip() and not re.search(r"\w", text[marker.end : block.end]):
        return Slot("whole", marker.start, block.end, "text" if block.in_item else "block")
    aside = _aside(text, start, marker, end)
    if aside:
        return Slot("aside", *aside, "value")
    if re.search(r":[*_]*\s*$", before) and not re.search(r"\w", after):
        if re.search(r"[\r\n]\s*$", before) and not block.in_item:
            return Slot("line", marker.start, end, "block")
        return Slot("label", marker.start, marker.end, "value")
    opens = not block.in_item and not text[block.start : start].strip() and marker.start == start
    return Slot("sentence", start + label_prefix(before), end, "block" if opens else "text")


def _link_end(document: Document, marker: Marker) -> int:
    """End of the link whose whole text is the marker; the marker's own end where it is none."""
    match = re.compile(r"\([^()\s]*(?:\s+\"[^\"]*\")?\)|\[[^\[\]]*\]").match(document.text, marker.end)
    if match is None or document.text[marker.start : marker.end].lstrip("*_~").startswith("\\"):
        return marker.end
    holds_another = any(first < match.end() and marker.end < stop for first, stop in document.asking)
    return marker.end if holds_another else match.end()


def _in_link_text(text: str, marker: Marker) -> bool:
    pattern = re.compile(r"\[(?:[^\[\]]|\[[^\[\]]{0,200}\]){0,400}\](?=\(|\[)")
    start, end = max(marker.block.start, marker.start - _NEAR), min(marker.block.end, marker.end + _NEAR)
    matches = pattern.finditer(text, start, end)
    return any(match.start() < marker.start and marker.end < match.end() for match in matches)


def answer_edit(document: Document, marker: Marker, answer: str | None, slot: Slot) -> Edit:
    """The answer fitted into its place; honest words where there is none (None)."""
    block, text = marker.block, document.text
    if answer is None:
        return _unanswered(text, marker, slot)
    if slot.kind == "code":
        return Edit(slot.start, slot.end, _in_code(document, answer, slot, block))
    if slot.kind == "link":
        new = one_line(answer)
        if text[block.start : slot.start].strip() and not text[: slot.start].rstrip().endswith((":", ":**")):
            new = new[:1].lower() + new[1:]
        return Edit(slot.start, slot.end, f"{new} ([link]{text[marker.end : slot.end]})")
    if slot.kind in ("inline", "aside", "label"):
        new = one_line(answer)
        if block.kind == "cell":
            new = re.sub(r"(?<!\\)\|", r"\\|", new)
        if block.kind == "html":
            new = html.escape(plain_text(new), quote=False)
        elif slot.is_plain:
            new = short_text(new)
        if slot.kind == "label":
            new = capital(new)
            # A full stop where it holds sentences and none follows.
            if re.search(r"\w{2}[.]\s|\)[.]\s", new) and text[slot.end : slot.end + 1] not in (".", ";", ","):
                new += "."
        return Edit(slot.start, slot.end, new)
    if "\n" not in answer:
        return Edit(slot.start, slot.end, answer)
    if answer.startswith("- ") and slot.kind != "line" and _follows_list(document, block):
        answer = f"What is known:\n\n{answer}"
    return _block_edit(document, answer, slot, block)


def _follows_list(document: Document, block: Block) -> bool:
    """Whether a list before the block would swallow a list at its start."""
    index = bisect.bisect_left(document.blocks, (block.start, block.end), key=lambda b: (b.start, b.end))
    return index > 0 and document.blocks[index - 1].in_item and not block.in_item


def _block_edit(document: Document, new: str, slot: Slot, block: Block) -> Edit:
    """Several lines: with the container's prefix, and set apart from what stands before and after."""
    newline, prefix = document.newline, block.prefix
    start, end = slot.start, slot.end
    before, after = document.text[block.start : start], document.text[end : block.end]
    blank = newline + prefix.rstrip() + newline + prefix
    body = new.replace("\n", newline + prefix)
    body = re.sub(rf"{re.escape(prefix)}(?={newline}|$)", prefix.rstrip(), body) if prefix else body
    if before.strip():
        apart = slot.kind != "line" or re.match(r"```|\|", new)
        body = (blank if apart else newline + prefix) + body
        start = block.start + len(re.sub(r"[\s>]+$", "", before))
    if after.strip():
        end += len(after) - len(after.lstrip())
        body += blank
    return Edit(start, end, body)


def _in_code(document: Document, new: str, slot: Slot, block: Block) -> str:
    if slot.form == "code" and "\n" in new:
        return new.replace("\n", document.newline + block.prefix)
    flat = plain_text(one_line(new))
    mark = _COMMENT.get(block.info) if slot.form == "code" else None
    return f"{mark} {flat}" if mark else flat


def _unanswered(text: str, marker: Marker, slot: Slot) -> Edit:
    """Honest words where nothing is known; the sentence around stays."""
    if slot.kind in ("inline", "label", "link", "code", "aside"):
        return Edit(marker.start, marker.end, UNANSWERED)
    if slot.kind in ("whole", "line"):
        stop = "" if text[marker.end : marker.end + 1] == "." else "."
        return Edit(marker.start, marker.end, UNANSWERED.capitalize() + stop)
    rest = re.compile(r"\s+(?:on|for|about|regarding|of)\s+").match(text, marker.end)
    if rest and not text[slot.start : marker.start].strip():
        return Edit(marker.start, rest.end(), f"{UNANSWERED.capitalize()}: ")
    return Edit(marker.start, marker.end, f"({UNANSWERED})")


def _aside(text: str, start: int, marker: Marker, end: int) -> Span | None:
    """The inside of the brackets that a marker stands in, within its sentence; None where it stands in none."""
    depth = 0
    for position in range(marker.start - 1, max(start, marker.start - _NEAR) - 1, -1):
        if text[position] == ")":
            depth += 1
        elif text[position] == "(":
            if depth == 0:
                close = text.find(")", marker.end, end)
                return (position + 1, close) if close >= 0 else None
            depth -= 1
    return None
