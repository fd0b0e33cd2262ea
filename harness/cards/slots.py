"""Where in a card an answer goes, what fits there, and the edit that puts it there."""

from __future__ import annotations

import ast
import bisect
import html
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from harness.cards.answers import Answer, Form, Writer
from harness.cards.document import Block, Document, Edit, Marker, without_markers
from harness.cards.markdown import COMMENT, capital, one_line, plain_text, short_text
from harness.cards.sentences import Span, label_prefix
from harness.evidence import EvidenceClass
from harness.parsing.files import MalformedError
from harness.parsing.json import parse_json
from harness.parsing.yaml import parse_yaml

_UNSTATED = (
    (
        re.compile(r"\b(?:write|mail|turn|go|contact|addressed|reported|sent) to $", re.IGNORECASE),
        "an address that is not stated",
    ),
    (re.compile(r"\bfrom $"), "an unstated source"),
    (re.compile(r"\b(?:ran|run|trained|done|performed|carried out) on $"), "unstated hardware"),
    (re.compile(r"\b(?:of|at|to) $"), "an unstated value"),
)
"""What stands in a sentence for what is not stated, by the words before it."""
_PASSIVE = re.compile(
    r"(?:^|[.!?]\s+)(?P<said>(?P<who>(?:The|Our|All|These) [^.,;:()\[\]]{2,60}?) (?P<did>(?:is|are|was|were) \w+) by )$"
)
"""A sentence whose marker says by whom: `The tiles were flown by [?].`"""
_RESULT = re.compile(
    r"(?:^|[.!?]\s+)(?P<said>(?P<where>(?:On|At|With|For|After|Under) [^.;:()\[\]]{2,60}?),? (?:I|we|it|the model|this model) "
    r"(?:gets?|got|(?:reach|achiev|scor|obtain|attain)\w*) )$"
)
"""A sentence whose marker is a result: `On the test split I get [?].`"""
_NEAR = 400
"""How far, in characters, a link text or brackets around a marker are looked for."""
_LONGEST = 20_000
"""Characters of code that is parsed to see whether an answer fits in it."""
_BLANK = re.compile(r"[\s>]*")
_FINITE = re.compile(r"\b(?:is|are|was|were|do|does|has|have)\b")
_WORD = re.compile(r"\w")
_COMMENT = {"python": "#", "py": "#", "bash": "#", "sh": "#", "shell": "#", "yaml": "#", "toml": "#", "r": "#"}
_READERS: dict[str, Callable[[str], object]] = {
    "python": ast.parse, "py": ast.parse, "json": parse_json, "yaml": parse_yaml, "yml": parse_yaml,
}  # fmt: skip
"""What tells whether code in a language is valid."""
_ADDRESS = re.compile(r"\[[^\[\]]*\]\(<?$|(?:src|href)\s*=\s*[\"']?$|<$", re.IGNORECASE)
"""What stands before an address that is a marker as a whole."""
_INSIDE = {
    "an image": re.compile(r"!\[(?:[^\[\]]|\[[^\[\]]*\])*(?:\]\([^()]*)?$|!$"),
    "an HTML tag": re.compile(r"<[/!]?[A-Za-z][^<>]*$"),
    "a link's address": re.compile(r"\]\(<?[^()\s]*$|^[ \t>]*\[[^\[\]]+\]:\s*\S*$|https?://\S*$"),
}
"""What a marker is inside of, told by the text before it in its paragraph."""


_IS = re.compile(r"\b(?:is|are|was|were|be|been)\s+$")
_LEADS_ON = (
    r"(?:on|for|about|regarding|of|as|that|which|based|to|due|because|since|when|if|and|or|in|at|by|from|with)\b"
)
"""What follows a marker that stands for more than the word before it."""


@dataclass(frozen=True)
class Slot:
    """Where an answer goes and what fits there."""

    kind: str
    """`whole`, `line`, `label`, `aside`, `sentence`, `inline`, `link`, `address` or `code`."""
    start: int
    end: int
    form: Form
    is_plain: bool = False
    """Whether Markdown would not be rendered there, or would break it."""
    inside: str | None = None
    """What an answer would break."""


def slot_of(document: Document, marker: Marker, sentence: Span) -> Slot:
    """Where the answer to a marker goes, and what fits there."""
    block, text = marker.block, document.text
    start, end = sentence
    before = without_markers(text[max(block.start, marker.start - _NEAR) : marker.start])
    if block.kind in ("fence", "indented-code"):
        is_alone = all(_BLANK.fullmatch(text, *part) for part in ((block.start, marker.start), (marker.end, block.end)))
        return Slot("code", marker.start, marker.end, "code" if is_alone else "value", True)
    if block.kind != "link-definition" and _ADDRESS.search(before) and re.match(r"[\"'>)]", text[marker.end :][:1]):
        return Slot("address", marker.start, marker.end, "value", True, "a link's address")
    inside = next((what for what, pattern in _INSIDE.items() if pattern.search(before)), None)
    if inside or block.kind == "html":
        return Slot("inline", marker.start, marker.end, "value", True, inside)
    link_end = _link_end(document, marker)
    if link_end > marker.end:
        return Slot("link", marker.start, link_end, "value", False)
    if _in_link_text(text, marker) or block.kind == "heading":
        return Slot("inline", marker.start, marker.end, "value", True)
    before, after = text[start : marker.start], text[marker.end : end]
    first, last = (bisect.bisect_left(document.talked_about, at) for at in sentence)
    if block.kind == "cell" or first < last:
        return Slot("inline", marker.start, marker.end, "value")
    if _BLANK.fullmatch(text, block.start, marker.start) and not _WORD.search(text, marker.end, block.end):
        return Slot("whole", marker.start, block.end, "text" if block.in_item else "block")
    aside = _aside(text, start, marker, end)
    own = text[aside[0] : marker.start] if aside else ""
    is_counted = aside and not re.search(r"\w", own) and re.fullmatch(r" [a-z]+s", text[marker.end : aside[1]])
    if is_counted or (re.search(r"\w", own) and not _IS.search(own)):  # `([?] parameters)`, `(alpha [?])`
        return Slot("inline", marker.start, marker.end, "value")
    if aside:
        return Slot("aside", *aside, "value")
    if re.search(r":[*_]*\s*$", before) and not re.search(r"\w", COMMENT.sub("", after)):
        if re.search(r"[\r\n]\s*$", before) and not block.in_item:
            return Slot("line", marker.start, end, "block")
        return Slot("label", marker.start, marker.end, "value")
    if re.match(rf"\s+(?!{_LEADS_ON})[a-z]", after) and re.search(r"\w\W+\w+\s+$", before) and not _IS.search(before):
        return Slot("inline", marker.start, marker.end, "value")
    opens = not block.in_item and marker.start == start and _BLANK.fullmatch(text, block.start, start)
    return Slot("sentence", start + label_prefix(before), end, "block" if opens else "text")


def _link_end(document: Document, marker: Marker) -> int:
    """End of the link whose whole text is the marker; the marker's own end where it is none."""
    match = re.compile(r"\([^()\s]*(?:\s+\"[^\"]*\")?\)|\[[^\[\]]*\]").match(document.text, marker.end)
    if match is None or document.text[marker.start : marker.end].lstrip("*_~").startswith("\\"):
        return marker.end
    holds_another = any(first < match.end() and marker.end < stop for first, stop in document.asking_after(marker.end))
    return marker.end if holds_another else match.end()


def _in_link_text(text: str, marker: Marker) -> bool:
    pattern = re.compile(r"\[(?:[^\[\]]|\[[^\[\]]{0,200}\]){0,400}\](?=\(|\[)")
    start, end = max(marker.block.start, marker.start - _NEAR), min(marker.block.end, marker.end + _NEAR)
    matches = pattern.finditer(text, start, end)
    return any(match.start() < marker.start and marker.end < match.end() for match in matches)


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


# --- an answer fitted into its place ---

_UNIT_TO_THE_END = re.compile(r"\s?(?:%|[A-Za-zµ]{1,3})(?=\s*$)")


def unit_behind(document: Document, marker: Marker, slot: Slot) -> re.Match[str] | None:
    """The unit that a cell or label has behind its marker: `[More Information Needed] %`."""
    takes_value = marker.block.kind == "cell" or slot.kind == "label"
    return _UNIT_TO_THE_END.match(document.text, slot.end, marker.block.end) if takes_value else None


def answer_edit(document: Document, marker: Marker, answer: Answer, slot: Slot) -> Edit | None:
    """The answer fitted into its place; None where it would break what it stands in."""
    block, text, new = marker.block, document.text, answer.text
    if slot.kind == "address":
        target = re.search(r"https://[^\s()<>\]\"']+", new)
        if target and not answer.is_unknown:
            return Edit(slot.start, slot.end, target.group())
        no_link = re.search(r"(?<!!)\[([^\[\]]*)\]\($", text[block.start : slot.start])
        if no_link is None or text[slot.end : slot.end + 1] != ")":
            return None
        return Edit(block.start + no_link.start(), slot.end + 1, f"{no_link[1]} ({one_line(new)})")
    if slot.inside:
        return None
    if slot.kind == "code":
        return _in_code(document, marker, answer, slot)
    if slot.kind == "link":
        address = text[marker.end : slot.end]
        if answer.is_unknown:
            return Edit(slot.start, slot.end, f"[link]{address}")
        new = one_line(new)
        if text[block.start : slot.start].strip() and not text[: slot.start].rstrip().endswith((":", ":**")):
            new = new[:1].lower() + new[1:]
        return Edit(slot.start, slot.end, f"{new} ([link]{address})")
    if slot.kind in ("inline", "aside", "label"):
        new = _without_unit(one_line(new), text[slot.end : slot.end + 40])
        if (unit := unit_behind(document, marker, slot)) and not answer.class_.has_value:
            slot = replace(slot, end=unit.end())
        if block.kind == "cell":
            new = re.sub(r"(?<!\\)\|", r"\\|", new)
        if block.kind == "html":
            new = html.escape(plain_text(new), quote=False)
        elif slot.is_plain:
            new = short_text(new)
            new = capital(new) if block.start == slot.start else new
        if slot.kind == "label":
            line = text[text.rfind("\n", 0, slot.start) + 1 : slot.start]
            new = new if re.match(r"[\s>*+_`-]*[a-z]", line) or answer.question == "class-names" else capital(new)
            # A full stop where it is or holds sentences and none follows.
            is_told = answer.class_ is EvidenceClass.UNDISCLOSED and not answer.is_unknown
            said = re.sub(r"\([^()]*\)", "", new)
            is_prose = is_told or re.search(r"(?:\w{2}|[)\ue001])[.]\s", new) or _FINITE.search(said)
            if is_prose and text[slot.end : slot.end + 1] not in (".", ";", ","):
                new += "."
        return Edit(slot.start, slot.end, new)
    if "\n" not in new:
        return Edit(slot.start, slot.end, new)
    if new.startswith("- ") and slot.kind != "line" and _follows_list(document, block):
        new = f"In detail:\n\n{new}"
    return _block_edit(document, new, slot, block)


def _without_unit(answer: str, after: str) -> str:
    """An answer without the unit that the card has behind its marker: `12 layers (…)` before ` layers`."""
    unit = re.match(r"\s?%|\s+([a-z]+?)s?\b", after)
    if unit and unit[1] is None and re.match(r"[\d.,]+ ?%", answer):  # of several values the first
        return re.sub(r" ?%| \([^()]*\)", "", answer.partition("; ")[0])
    return re.sub(rf"^([\d.,]+) {unit[1]}s?\b(?:, [a-z]+ [a-z]+)?", r"\1", answer) if unit else answer


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


def _in_code(document: Document, marker: Marker, answer: Answer, slot: Slot) -> Edit | None:
    """Code as it is, words as a comment or inside what quotes them; None where the code would not be valid."""
    block, text = marker.block, document.text
    if slot.form == "code" and "\n" in answer.text:
        return Edit(slot.start, slot.end, answer.text.replace("\n", document.newline + block.prefix))
    flat, mark = plain_text(one_line(answer.text)), _COMMENT.get(block.info)
    line = text[max(block.start, text.rfind("\n", 0, marker.start) + 1) : marker.start]
    if slot.form == "code" and mark:
        return Edit(slot.start, slot.end, f"{mark} {flat}")
    is_comment = mark is not None and re.match(rf"[ \t>]*{mark}", line)
    if (reader := _READERS.get(block.info)) and not is_comment:
        if block.end - block.start > _LONGEST:
            return None
        try:
            reader(f"{text[block.start : slot.start]}{flat}{text[slot.end : block.end]}")
        except (SyntaxError, ValueError, MalformedError):
            return None
    elif block.info not in ("", "text", "txt", "plain", "plaintext") and not is_comment:
        return None
    return Edit(slot.start, slot.end, flat)


# --- where nothing is recognised ---


def unrecognised(document: Document, marker: Marker, slot: Slot, writer: Writer, *, is_asked: bool) -> tuple[Slot, str]:
    """That it is not stated, in words that fit the sentence around the marker, and where they go.

    Args:
        is_asked: whether it is known what is asked: then it is stated nowhere.
    """
    text, block, plain = document.text, marker.block, "not stated"
    short, whole = f"{plain}{writer.looked}", f"{plain}{f' in {writer.nowhere}' * is_asked}{writer.looked}"
    if slot.kind in ("whole", "line"):
        end = marker.end + (text[marker.end : marker.end + 1] == ".")
        return Slot("inline", marker.start, end, "text"), capital(f"{short}.")
    if slot.kind == "label":
        return slot, short
    if slot.kind not in ("sentence", "inline") or block.kind != "paragraph" or slot.is_plain:
        return slot, plain if slot.is_plain else short
    here = Slot("inline", marker.start, marker.end, "value")
    opening = re.search(r"(?:^|[.!?])[\s>*_]*$", text[block.start : marker.start]) is not None
    if share := re.compile(r"\s*(?:%|per ?cent)(?= (?:of|is|are|was|were)\b)").match(text, marker.end, block.end):
        return Slot("inline", marker.start, share.end(), "text"), f"{'An' if opening else 'an'} unstated share"
    rest = re.compile(r"\s+(?:on|for|about|regarding|of)(?=\s+\w)").match(text, marker.end, block.end)
    if rest and opening:
        verb = "say" if " or " in writer.nowhere else "says"
        places = capital(writer.nowhere.replace(" or ", " and "))
        return Slot("inline", marker.start, rest.end(), "text"), f"{places} {verb} nothing about"
    following = text[marker.end : block.end]
    if _IS.search(text[max(block.start, marker.start - _NEAR) : marker.start]) and re.match(
        r"\W*(?:$|\n)|[.;:!]", following
    ):
        return here, short
    stop = "" if text.startswith(".", marker.end) else "."
    is_whole = opening and not re.match(r"\s+[a-z]|\s*,", following)
    before = text[max(block.start, marker.start - _NEAR) : marker.start]
    if following.startswith(".") and (passive := _PASSIVE.search(before)):
        who = passive["who"][:1].lower() + passive["who"][1:]
        told = f"By whom {who} {passive['did']} is {plain}"
        return Slot("inline", marker.start - len(passive["said"]), marker.end, "text"), told
    if following.startswith(".") and (result := _RESULT.search(before)):
        told = f"The result {result['where'][:1].lower()}{result['where'][1:]} is {short}"
        return Slot("inline", marker.start - len(result["said"]), marker.end, "text"), told
    if re.match(r"\.(?:\s|$)", following) and (told_of := re.search(r"([\w)]+), $", before)):
        told = f"{told_of[1]} (no more is stated{writer.looked})"
        return Slot("inline", marker.start - len(told_of[0]), marker.end, "text"), told
    led = next((words for leads, words in _UNSTATED if leads.search(before)), None)
    if led and not re.match(r"\s+(?!(?:and|or|with|for|in|on|at|by|per|to|which|that)\b)\w", following):
        return here, led
    return here, capital(f"{whole}{stop}") if is_whole else f"({short})"
