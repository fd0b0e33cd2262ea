"""Bringing together a card of ours and what others made of it on the Hub meanwhile.

A three-way merge: what only one side changed since the common base is taken from that side; what both changed alike is
taken once; where both changed the same place, or places without a line between them, there is a conflict and nobody
wins. The body is merged by lines. The front matter is merged by its top-level keys, each with the comments above it, so
that a key added here and another added there don't collide; inside a key that both changed, by lines again. Keys keep the
order they have on the Hub.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import yaml

from harness.cards.document import Document, apply_edits, decode, encode
from harness.cards.record import read_record, record_edit, without_record


@dataclass(frozen=True)
class Conflict:
    """A place that was changed here and on the Hub."""

    where: str
    """E.g. `front matter: license`, `line 12`."""
    ours: str
    theirs: str


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
    body, clashes, taken = _merge_lines(_lines(common.body), _lines(hub.body), _lines(here.body))
    first = here.head.count("\n") + here.yaml.count("\n") + here.fence.count("\n") + 1
    conflicts = yaml_conflicts + [Conflict(f"line {first + c.line}", c.ours, c.theirs) for c in clashes]
    fences = hub if hub.head else here
    front = fences.head + merged_yaml + fences.fence if merged_yaml or fences.head else ""
    return Merge(encode(front + body), tuple(conflicts), yaml_taken + taken)


def _without_record(card: bytes) -> bytes:
    text = decode(card)
    rest = without_record(text)
    if rest != text and rest and not rest.endswith(("\n", "\r")):
        rest += Document(text).newline
    return encode(rest)


def merges_by_lines(base: bytes, theirs: bytes, ours: bytes) -> bool:
    """Whether git would merge the two without a conflict: by lines alone, knowing nothing of front matter."""
    _, clashes, _ = _merge_lines(*(_lines(decode(card)) for card in (base, theirs, ours)))
    return not clashes


def _with_line_ends_of(model: bytes, card: bytes) -> bytes:
    """A card with the line ends of another, where each keeps to one kind."""
    plain = card.replace(b"\r\n", b"\n")
    if model.count(b"\n") and model.count(b"\r\n") == model.count(b"\n"):
        return plain.replace(b"\n", b"\r\n") if card.count(b"\r\n") in (0, card.count(b"\n")) else card
    if b"\r\n" not in model and card.count(b"\r\n") == card.count(b"\n") and model.count(b"\n"):
        return plain
    return card


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


# --- lines -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Clash:
    line: int
    """Index in ours."""
    ours: str
    theirs: str


@dataclass(frozen=True)
class _Change:
    start: int
    """First line of the base that is replaced, and the line after the last."""
    stop: int
    new_start: int
    new_stop: int


def _changes(base: Sequence[str], new: Sequence[str]) -> list[_Change]:
    matcher = difflib.SequenceMatcher(None, base, new, autojunk=False)
    return [_Change(*span) for tag, *span in matcher.get_opcodes() if tag != "equal"]


def _merge_lines(base: list[str], theirs: list[str], ours: list[str]) -> tuple[str, list[_Clash], int]:
    """The merged text, what clashes, and how many changes were taken from theirs."""
    left, right = _changes(base, ours), _changes(base, theirs)
    merged: list[str] = []
    clashes: list[_Clash] = []
    taken = position = 0
    while left or right:
        start = min(side[0].start for side in (left, right) if side)
        mine: list[_Change] = []
        other: list[_Change] = []
        stop = start
        grown = True
        while grown:
            grown = False
            for side, group in ((left, mine), (right, other)):
                while side and side[0].start <= stop:
                    group.append(side.pop(0))
                    stop = max(stop, group[-1].stop)
                    grown = True
        merged += base[position:start]
        span = _span(mine, start, stop)
        here = ours[slice(*span)] if span else base[start:stop]
        there_span = _span(other, start, stop)
        there = theirs[slice(*there_span)] if there_span else base[start:stop]
        if mine and other and here != there:
            assert span is not None
            clashes.append(_Clash(span[0], "".join(here), "".join(there)))
        taken += bool(other and here != there)
        merged += here if mine else there
        position = stop
    return "".join(merged + base[position:]), clashes, taken


def _span(changes: list[_Change], start: int, stop: int) -> tuple[int, int] | None:
    """Lines of the new text that stand for `base[start:stop]`; None where nothing changed there."""
    if not changes:
        return None
    first, last = changes[0], changes[-1]
    return first.new_start - (first.start - start), last.new_stop + (stop - last.stop)


# --- front matter ----------------------------------------------------------------------------------------------------


def _merge_yaml(base: str, theirs: str, ours: str) -> tuple[str, list[Conflict], int]:
    """The merged YAML, conflicts by key, and how many changes were taken from theirs."""
    common, hub, here = (top_level(text) for text in (base, theirs, ours))
    if common is None or hub is None or here is None:
        text, clashes, taken = _merge_lines(_lines(base), _lines(theirs), _lines(ours))
        return text, [Conflict("front matter", c.ours, c.theirs) for c in clashes], taken
    conflicts: list[Conflict] = []
    taken = 0
    chosen: dict[str, str] = {}
    for key in _merged_order(list(hub), list(here)):
        old, there, mine = common.get(key), hub.get(key), here.get(key)
        if mine == there or there == old:
            result = mine
        elif mine == old:
            result, taken = there, taken + 1
        elif old is None or there is None or mine is None:
            result = mine
            conflicts.append(Conflict(f"front matter: {key}", mine or "(removed)", there or "(removed)"))
        else:
            result, clashes, _ = _merge_lines(_lines(old), _lines(there), _lines(mine))
            taken += not clashes
            conflicts += [Conflict(f"front matter: {key}", c.ours, c.theirs) for c in clashes]
        if result is not None:
            chosen[key] = result
    return "".join(chosen.values()), conflicts, taken


def top_level(text: str) -> dict[str, str] | None:
    """Front matter as its top-level keys, each with its lines and the comments above it; what follows the last key is
    under an empty key. None where it isn't a plain block mapping with distinct keys."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        return None
    lines = _lines(text)
    if root is None:
        return {"": text} if text else {}
    if not isinstance(root, yaml.MappingNode) or root.flow_style:
        return None
    starts: dict[str, int] = {}
    for key, _ in root.value:
        if key.start_mark.column != 0 or str(key.value) in starts:
            return None
        starts[str(key.value)] = _with_comments(lines, key.start_mark.line)
    end = _with_comments(lines, len(lines))
    edges = [0, *list(starts.values())[1:], end]
    found = {key: "".join(lines[a:b]) for key, a, b in zip(starts, edges, edges[1:], strict=False)}
    rest = "".join(lines[end:])
    return found | ({"": rest} if rest else {})


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
