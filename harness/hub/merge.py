"""Bringing together a card of ours and what others made of it on the Hub meanwhile.

A three-way merge: what only one side changed since the common base is taken from that side; what both changed alike is
taken once; where both changed the same place, or places without a line between them, there is a conflict and nobody
wins. The body is merged by lines. The front matter is merged by its top-level keys, each with the comments above it, so
that a key added here and another added there don't collide; inside a key that both changed, by lines again. Keys keep the
order they have on the Hub. The merge of lines is written here, on difflib, because the library for it, merge3, is under the
GPL, which a package under the Apache licence can't ask its users to take on.
"""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

import yaml

from harness.cards.document import Document, apply_edits, decode, encode
from harness.cards.record import read_record, record_edit, without_record
from harness.parsing.files import MalformedError
from harness.parsing.yaml import parse_yaml


@dataclass(frozen=True)
class Conflict:
    """A place that was changed here and on the Hub."""

    where: str
    """E.g. `front matter: license`, `line 12`."""
    ours: str
    theirs: str

    def __str__(self) -> str:
        ours, theirs = (" ".join(printable(text).split()) for text in (self.ours, self.theirs))
        ours, theirs = (text if len(text) <= 100 else f"{text[:100]}…" for text in (ours, theirs))
        return f"    {self.where}\n      here:       {ours}\n      on the Hub: {theirs}"


@dataclass(frozen=True)
class Merge:
    """Both sides' changes together."""

    text: bytes
    """The card; meaningless where there are conflicts."""
    conflicts: tuple[Conflict, ...]
    taken: int
    """Places where the Hub's version differs from the base and was kept."""


@dataclass(frozen=True)
class Parts:
    """A card cut in two. `head + yaml + fence + body` is the card."""

    head: str
    """The opening fence, or nothing."""
    yaml: str
    fence: str
    """The closing fence."""
    body: str


def parts(card: bytes) -> Parts:
    """A card's front matter and body."""
    text = decode(card)
    span = Document(text).front_matter
    if span is None:
        return Parts("", "", "", text)
    fence_end = text.find("\n", span[1]) + 1 or len(text)
    return Parts(text[: span[0]], text[slice(*span)], text[span[1] : fence_end], text[fence_end:])


def card_diff(theirs: bytes, ours: bytes) -> tuple[str, str]:
    """Unified diffs from the card on the Hub to ours: of the front matter, and of the body."""
    old, new = parts(theirs), parts(ours)
    return _diff(old.yaml, new.yaml, "front matter"), _diff(old.body, new.body, "body")


def _diff(old: str, new: str, what: str) -> str:
    before, after = (printable(text).splitlines(keepends=True) for text in (old, new))
    found = difflib.unified_diff(before, after, f"{what} (on the Hub)", f"{what} (to send)")
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in found)


def printable(text: str) -> str:
    """Text for a terminal: nothing that steers it, and bytes that aren't UTF-8 as escapes."""
    plain = text.replace("\r\n", "\n").encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", lambda match: f"\\x{ord(match[0]):02x}", plain)


def merge_cards(base: bytes | None, theirs: bytes, ours: bytes) -> Merge:
    """Ours with what changed on the Hub.

    Args:
        base: the card that both were made from; None where there is none in common, and then everything on the Hub
            counts as changed there.
        theirs: the card on the Hub now.
        ours: the card here. Where it differs from the Hub's by line ends alone, it takes the Hub's.
    """
    ours = _with_line_ends_of(theirs, ours)
    base = _with_line_ends_of(theirs, base or b"")
    record = read_record(decode(ours))
    if record is not None:  # it stands last, where others add sections: kept apart, and put last again
        merged = merge_cards(*(_without_record(card) for card in (base, theirs, ours)))
        text = decode(merged.text)
        edit = record_edit(Document(text), record)
        return replace(merged, text=encode(apply_edits(text, [edit] if edit else [])))
    common, hub, here = parts(base), parts(theirs), parts(ours)
    if not hub.body.strip():
        hub = Parts(hub.head, hub.yaml, hub.fence, common.body)  # a new repository's card has no body to lose
    merged_yaml, yaml_conflicts, yaml_taken = _merge_yaml(common.yaml, hub.yaml, here.yaml)
    first = (here.head + here.yaml + here.fence).count("\n") + 1
    body, conflicts, taken = _merge_lines(common.body, hub.body, here.body, lambda line: f"line {first + line}")
    fences = hub if hub.head else here
    front = fences.head + merged_yaml + fences.fence if merged_yaml or fences.head else ""
    return Merge(encode(front + body), (*yaml_conflicts, *conflicts), yaml_taken + taken)


def _without_record(card: bytes) -> bytes:
    text = decode(card)
    rest = without_record(text)
    if rest != text and rest and not rest.endswith(("\n", "\r")):
        rest += Document(text).newline
    return encode(rest)


def merges_by_lines(base: bytes, theirs: bytes, ours: bytes) -> bool:
    """Whether git would merge the two without a conflict: by lines alone, knowing nothing of front matter."""
    return not _merge_lines(decode(base), decode(theirs), decode(ours), str)[1]


def _with_line_ends_of(model: bytes, card: bytes) -> bytes:
    """A card with the line ends of another, where each keeps to one kind."""
    kinds, own = (set(re.findall(rb"\r?\n", text)) for text in (model, card))
    return re.sub(rb"\r?\n", kinds.pop(), card) if len(kinds) == len(own) == 1 else card


# --- lines -----------------------------------------------------------------------------------------------------------


def _merge_lines(base: str, theirs: str, ours: str, where: Callable[[int], str]) -> tuple[str, list[Conflict], int]:
    """The merged text, the conflicts, and how many changes were taken from theirs.

    Args:
        where: the place of a conflict by its line in ours, counted from 0.
    """
    common, there, here = (text.splitlines(keepends=True) for text in (base, theirs, ours))
    kept_there, kept_here = _kept(common, there), _kept(common, here)
    anchors = [(line, kept_there[line], kept_here[line]) for line in sorted(kept_there.keys() & kept_here.keys())]
    merged: list[str] = []
    conflicts: list[Conflict] = []
    taken = a = b = c = 0
    # What stands between two lines that all three have.
    for i, j, k in (*anchors, (len(common), len(there), len(here))):
        old, new, mine = common[a:i], there[b:j], here[c:k]
        if old != mine != new != old:
            conflicts.append(Conflict(where(c), "".join(mine), "".join(new)))
        taken += mine == old != new
        merged += (new if mine == old else mine) + common[i : i + 1]
        a, b, c = i + 1, j + 1, k + 1
    return "".join(merged), conflicts, taken


def _kept(base: list[str], side: list[str]) -> dict[int, int]:
    """The lines of the base that a side still has: index there by index in the base."""
    matcher = difflib.SequenceMatcher(None, base, side, autojunk=False)
    return {block.a + n: block.b + n for block in matcher.get_matching_blocks() for n in range(block.size)}


# --- front matter ----------------------------------------------------------------------------------------------------


def _merge_yaml(base: str, theirs: str, ours: str) -> tuple[str, list[Conflict], int]:
    """The merged YAML, conflicts by key, and how many changes were taken from theirs."""
    common, hub, here = (top_level(text) for text in (base, theirs, ours))
    if common is None or hub is None or here is None:
        return _merge_lines(base, theirs, ours, lambda _: "front matter")
    conflicts: list[Conflict] = []
    taken = 0
    chosen: dict[str, str] = {}
    for key in _merged_order(list(hub), list(here)):
        where = f"front matter: {key}"
        old, there, mine = common.get(key), hub.get(key), here.get(key)
        result = mine
        if mine == old != there:
            result, taken = there, taken + 1
        elif mine != there != old:
            if old is None or there is None or mine is None:
                conflicts.append(Conflict(where, mine or "(removed)", there or "(removed)"))
            else:
                result, clashes, _ = _merge_lines(old, there, mine, lambda _: where)  # noqa: B023  # called at once
                taken += not clashes
                conflicts += clashes
        if result is not None:
            chosen[key] = result
    return "".join(chosen.values()), conflicts, taken


def top_level(text: str) -> dict[str, str] | None:
    """Front matter as its top-level keys, each with its lines and the comments above it; what follows the last key is
    under an empty key. None where it isn't a plain block mapping with distinct keys."""
    try:
        root = parse_yaml(text).root
    except MalformedError:
        return None
    lines = text.splitlines(keepends=True)
    if root is None:
        return {"": text} if text else {}
    if not isinstance(root, yaml.MappingNode) or root.flow_style:
        return None
    names = [str(key.value) for key, _ in root.value]
    if len({*names, ""}) <= len(names) or any(key.start_mark.column for key, _ in root.value):
        return None
    starts = [_with_comments(lines, line) for line in (*(key.start_mark.line for key, _ in root.value), len(lines))]
    edges = itertools.pairwise([0, *starts[1:], len(lines)])
    found = {name: "".join(lines[a:b]) for name, (a, b) in zip([*names, ""], edges, strict=True)}
    return {name: text for name, text in found.items() if name or text}


def _with_comments(lines: list[str], start: int) -> int:
    """The first of the comment and empty lines directly above a line."""
    while start > 0 and (lines[start - 1].startswith("#") or not lines[start - 1].strip()):
        start -= 1
    return start


def _merged_order(theirs: list[str], ours: list[str]) -> list[str]:
    """Their order, with each key that only we have after the one it follows in ours; what has no key comes last."""
    order = list(theirs)
    for index, key in enumerate(ours):
        if key not in order:
            before = ours[index - 1] if index else None
            order.insert(order.index(before) + 1 if before in order else 0, key)
    return sorted(order, key=lambda key: key == "")
