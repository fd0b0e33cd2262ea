"""Where two versions of a card differ: line by line, and inside a line that was changed token by token.

White space at the end of a line is no text, and of empty lines it counts whether there is one or none.
"""

from __future__ import annotations

import bisect
import difflib
import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

_TOKEN = re.compile(r"\d+|[^\W\d_]+|\s+|.", re.DOTALL)
_MOST_LINES = 40
"""Of one change, in which single tokens are compared; a longer one is another text altogether."""

_SMALL = 250_000
"""Pairs of lines or tokens that are compared with each other: difflib takes quadratic time."""


@dataclass(frozen=True)
class Line:
    """A line with something in it."""

    start: int
    end: int
    """Offsets in the text, without the white space at its end."""
    text: str
    number: int
    """From 1."""
    after_blank: bool
    """Whether an empty line stands before it, or nothing."""


@dataclass(frozen=True)
class Change:
    """`old[start:end]` became `new[at:until]`."""

    start: int
    end: int
    at: int
    until: int
    line: int
    """In the new text: where the change begins, or where the missing text would stand."""
    whole_lines: bool = False
    """Whether lines were added or removed as a whole."""


def lines_of(text: str) -> list[Line]:
    """The lines of a text whose line ends are `\\n`."""
    found, position, blank = [], 0, True
    for number, line in enumerate(text.split("\n"), start=1):
        if stripped := line.rstrip():
            found.append(Line(position, position + len(stripped), stripped, number, blank))
        blank = not stripped
        position += len(line) + 1
    return found


def changes(old: str, new: str) -> list[Change]:
    """What differs between two texts whose line ends are `\\n`, in order."""
    before, after = lines_of(old), lines_of(new)
    found: list[Change] = []
    same = 0, 0
    ranges = [*_differences([line.text for line in before], [line.text for line in after])]
    for a, b, c, d in (*ranges, (len(before), len(before), len(after), len(after))):
        found += _parted(before[same[0] : a], after[same[1] : c])
        same = b, d
        if a == b and c == d:
            continue
        if b - a == d - c:
            for first, second in zip(before[a:b], after[c:d], strict=True):
                found += _inside(old, new, (first.start, first.end), (second.start, second.end), after)
        elif a < b and c < d and b - a < _MOST_LINES and d - c < _MOST_LINES:
            found += _inside(old, new, (before[a].start, before[b - 1].end), (after[c].start, after[d - 1].end), after)
        else:
            start, end = _extent(before, a, b, len(old))
            at, until = _extent(after, c, d, len(new))
            line = after[c].number if c < d else _stood_at(before, after, a, c)
            found.append(Change(start, end, at, until, line, whole_lines=True))
    return found


def _parted(before: list[Line], after: list[Line]) -> Iterator[Change]:
    """Lines that are the same and have an empty line between them in one text alone; a heading needs none."""
    for first, second in list(zip(before, after, strict=True))[1:]:
        if first.after_blank != second.after_blank and not first.text.startswith("#"):
            yield Change(first.start, first.start, second.start, second.start, second.number)


def equal_runs(old: str, new: str) -> list[tuple[int, int, int]]:
    """What two texts have in common: offset in the old one, in the new one, and length, in order."""
    before, after = (re.findall(r"[^\n]*\n|[^\n]+", text) for text in (old, new))
    found: list[tuple[int, int, int]] = []

    def add(a: int, b: int, size: int) -> None:
        if found and size and (sum(found[-1][::2]), sum(found[-1][1:])) == (a, b):
            found[-1] = (*found[-1][:2], found[-1][2] + size)
        elif size:
            found.append((a, b, size))

    def walk(a: int, b: int, was: list[str], is_: list[str], *, lines: bool) -> None:
        at = [0, *itertools.accumulate(map(len, was))], [0, *itertools.accumulate(map(len, is_))]
        last = 0, 0
        for i, j, k, m in (*_differences(was, is_), (len(was), len(was), len(is_), len(is_))):
            add(a + at[0][last[0]], b + at[1][last[1]], at[0][i] - at[0][last[0]])
            if lines and i < j and k < m and j - i < _MOST_LINES and m - k < _MOST_LINES:
                parts = _TOKEN.findall("".join(was[i:j])), _TOKEN.findall("".join(is_[k:m]))
                walk(a + at[0][i], b + at[1][k], *parts, lines=False)
            last = j, m

    walk(0, 0, before, after, lines=True)
    return found


def _differences(old: Sequence[str], new: Sequence[str]) -> Iterator[tuple[int, int, int, int]]:
    """Ranges that differ; one change is one range, however much what was changed is like its surroundings.

    In long texts what is there once in both is held to be the same, and what is between two such is compared.
    """
    pairs = zip(old, new, strict=False)
    first = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
    back = zip(reversed(old[first:]), reversed(new[first:]), strict=False)
    last = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], back))
    middle, other = old[first : len(old) - last], new[first : len(new) - last]
    if not (middle and other):
        if middle or other:
            yield first, first + len(middle), first, first + len(other)
        return
    if len(middle) * len(other) <= _SMALL:
        for tag, a, b, c, d in difflib.SequenceMatcher(None, middle, other, autojunk=False).get_opcodes():
            if tag != "equal":
                yield first + a, first + b, first + c, first + d
        return
    a = c = 0
    anchors = _anchors(middle, other)
    for b, d in (*anchors, (len(middle), len(other))):
        if anchors:
            for i, j, k, m in _differences(middle[a:b], other[c:d]):
                yield first + a + i, first + a + j, first + c + k, first + c + m
        else:
            yield first, first + b, first, first + d
        a, c = b + 1, d + 1


def _anchors(old: Sequence[str], new: Sequence[str]) -> list[tuple[int, int]]:
    """The longest run of pairs, in the order of both texts, of what is there once in each."""
    counts = [Counter(old), Counter(new)]
    places = {token: at for at, token in enumerate(new)}
    pairs = [(at, places[token]) for at, token in enumerate(old) if counts[0][token] == counts[1][token] == 1]
    ends: list[int] = []
    chains: list[tuple[tuple[int, int], Any]] = []
    for pair in pairs:
        at = bisect.bisect_left(ends, pair[1])
        chains[at : at + 1] = [(pair, chains[at - 1] if at else None)]
        ends[at : at + 1] = [pair[1]]
    found, chain = [], chains[-1] if chains else None
    while chain is not None:
        found.append(chain[0])
        chain = chain[1]
    return found[::-1]


def _inside(old: str, new: str, was: tuple[int, int], is_: tuple[int, int], lines: list[Line]) -> Iterator[Change]:
    """The tokens that differ between two pieces of text."""
    before = [(was[0] + m.start(), m.group()) for m in _TOKEN.finditer(old[slice(*was)])]
    after = [(is_[0] + m.start(), m.group()) for m in _TOKEN.finditer(new[slice(*is_)])]
    starts, places = [*(start for start, _ in before), was[1]], [*(start for start, _ in after), is_[1]]
    for a, b, c, d in _differences([token for _, token in before], [token for _, token in after]):
        place = next((at for at, token in after[c:d] if token.strip()), places[c])
        line = next((line.number for line in reversed(lines) if line.start <= place), 1)
        yield Change(starts[a], starts[b], places[c], places[d], line)


def _extent(lines: list[Line], first: int, stop: int, length: int) -> tuple[int, int]:
    """Offsets of some lines; of none the place where they would stand."""
    if first < stop:
        return lines[first].start, lines[stop - 1].end
    place = lines[first].start if first < len(lines) else length
    return place, place


def _stood_at(before: list[Line], after: list[Line], gone: int, follows: int) -> int:
    """Where a line that is gone stood, in the new text."""
    lines_past = before[gone].number - (before[gone - 1].number if gone else 0)
    place = lines_past + (after[follows - 1].number if follows else 0)
    return min(place, after[follows].number) if follows < len(after) else place
