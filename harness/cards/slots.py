"""Where in a card an answer goes, what fits there, and the edit that puts it there."""

from __future__ import annotations

import bisect
import html
import re
from dataclasses import dataclass

from harness.cards.answers import Form
from harness.cards.document import Block, Document, Edit, Marker
from harness.cards.markdown import one_line, plain_text, short_text
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


@dataclass(frozen=True)
class CardText:
    """A card with its markers, told apart."""

    document: Document
    asking: list[Span]
    """Markers to fill, in order."""
    talked_about: list[int]
    """Offsets of the others."""

    @property
    def text(self) -> str:
        return self.document.text


def slot_of(card: CardText, marker: Marker, sentence: Span) -> Slot:
    """Where the answer to a marker goes, and what fits there."""
    block = marker.block
    assert block is not None
    start, end = sentence
    if block.kind in ("fence", "indented-code"):
        return Slot("code", marker.start, marker.end, "code" if _is_alone(card, marker, block) else "value", True)
    if block.kind == "html":
        return Slot("inline", marker.start, marker.end, "value", True)
    link_end = _link_end(card, marker)
    if link_end > marker.end:
        return Slot("link", marker.start, link_end, "value", False)
    if _in_link_text(card, marker, block) or block.kind == "heading":
        return Slot("inline", marker.start, marker.end, "value", True)
    before, after = card.text[start : marker.start], card.text[marker.end : end]
    first = bisect.bisect_left(card.talked_about, start)
    talked_about = first < len(card.talked_about) and card.talked_about[first] < end
    if block.kind == "cell" or talked_about:
        return Slot("inline", marker.start, marker.end, "value")
    if card.text[block.start : marker.start].strip() == "" and not re.search(r"\w", card.text[marker.end : block.end]):
        return Slot("whole", marker.start, block.end, "text" if block.in_item else "block")
    aside = _aside(card.text, start, marker, end)
    if aside:
        return Slot("aside", *aside, "value")
    if re.search(r":[*_]*\s*$", before) and not re.search(r"\w", after):
        own_line = "\n" in before[len(before.rstrip()) :] or "\r" in before[len(before.rstrip()) :]
        if own_line and not block.in_item:
            return Slot("line", marker.start, end, "block")
        return Slot("label", marker.start, marker.end, "value")
    opens = not block.in_item and not card.text[block.start : start].strip() and marker.start == start
    return Slot("sentence", start + label_prefix(card.text[start : marker.start]), end, "block" if opens else "text")


def _is_alone(card: CardText, marker: Marker, block: Block) -> bool:
    inside = card.text[block.start : marker.start] + card.text[marker.end : block.end]
    return not inside.strip(" \t\r\n>")


def _link_end(card: CardText, marker: Marker) -> int:
    """End of the link whose whole text is the marker; the marker's own end where it is none."""
    match = re.compile(r"\([^()\s]*(?:\s+\"[^\"]*\")?\)|\[[^\[\]]*\]").match(card.text, marker.end)
    if match and any(first < match.end() and marker.end < stop for first, stop in card.asking):
        return marker.end  # what follows holds another marker
    escaped = card.text[marker.start : marker.end].lstrip("*_~").startswith("\\")
    return match.end() if match and not escaped else marker.end


def _in_link_text(card: CardText, marker: Marker, block: Block) -> bool:
    pattern = re.compile(r"\[(?:[^\[\]]|\[[^\[\]]{0,200}\]){0,400}\](?=\(|\[)")
    start, end = max(block.start, marker.start - _NEAR), min(block.end, marker.end + _NEAR)
    matches = pattern.finditer(card.text, start, end)
    return any(match.start() < marker.start and marker.end < match.end() for match in matches)


def answer_edit(card: CardText, marker: Marker, answer: str | None, slot: Slot) -> Edit:
    """The answer fitted into its place; honest words where there is none (None)."""
    block = marker.block
    assert block is not None
    if answer is None:
        return _unanswered(card, marker, slot)
    new = answer
    if slot.kind == "link":
        target = card.text[marker.end : slot.end]
        new = one_line(new)
        if card.text[block.start : slot.start].strip() and not card.text[: slot.start].rstrip().endswith((":", ":**")):
            new = new[:1].lower() + new[1:]
        return Edit(slot.start, slot.end, f"{new} ([link]{target})")
    if slot.kind == "code":
        return Edit(slot.start, slot.end, _in_code(card, new, slot, block))
    if slot.kind in ("inline", "aside", "label"):
        new = one_line(new)
        if block.kind == "cell":
            new = re.sub(r"(?<!\\)\|", r"\\|", new)
        if slot.is_plain:
            new = plain_text(new) if block.kind == "html" else short_text(new)
            new = html.escape(new, quote=False) if block.kind == "html" else new
        if slot.kind == "label":
            new = _label_value(card, new, slot)
        return Edit(slot.start, slot.end, new)
    if "\n" in new:
        if new.startswith("- ") and slot.kind != "line" and _follows_list(card, block):
            new = f"What is known:\n\n{new}"
        return _block_edit(card, new, slot, block)
    return Edit(slot.start, slot.end, new)


def _follows_list(card: CardText, block: Block) -> bool:
    """Whether a list before the block would swallow a list at its start."""
    index = bisect.bisect_left(card.document.blocks, (block.start, block.end), key=lambda b: (b.start, b.end))
    return index > 0 and card.document.blocks[index - 1].in_item and not block.in_item


def _label_value(card: CardText, new: str, slot: Slot) -> str:
    """A value after a label: a full stop where it holds sentences and none follows."""
    new = new[:1].upper() + new[1:]
    follows = card.text[slot.end : slot.end + 1]
    return new + "." if re.search(r"\w{2}[.]\s|\)[.]\s", new) and follows not in (".", ";", ",") else new


def _block_edit(card: CardText, new: str, slot: Slot, block: Block) -> Edit:
    """Several lines: with the container's prefix, and set apart from what stands before and after."""
    newline = card.document.newline
    prefix = block.prefix
    start, end = slot.start, slot.end
    before, after = card.text[block.start : start], card.text[end : block.end]
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


def _in_code(card: CardText, new: str, slot: Slot, block: Block) -> str:
    newline = card.document.newline
    if slot.form == "code" and "\n" in new:
        return (newline + block.prefix).join(new.split("\n"))
    flat = plain_text(one_line(new))
    mark = _COMMENT.get(block.info) if slot.form == "code" else None
    return f"{mark} {flat}" if mark else flat


def _unanswered(card: CardText, marker: Marker, slot: Slot) -> Edit:
    """Honest words where nothing is known; the sentence around stays."""
    if slot.kind in ("inline", "label", "link", "code", "aside"):
        return Edit(marker.start, marker.end, UNANSWERED)
    if slot.kind in ("whole", "line"):
        follows = card.text[marker.end : marker.end + 1]
        return Edit(marker.start, marker.end, UNANSWERED.capitalize() + ("" if follows == "." else "."))
    rest = re.compile(r"\s+(?:on|for|about|regarding|of)\s+").match(card.text, marker.end)
    if rest and not card.text[slot.start : marker.start].strip():
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
