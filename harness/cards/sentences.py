"""Where sentences begin and end in a run of Markdown prose.

Made for editing, so it errs on the side of longer sentences: a full stop ends one only where a new one visibly begins.
Reference marks that follow a full stop (`[3]`, `(Reference 2)`) belong to the text around, not to the sentence.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterable, Iterator, Sequence

from harness.cards.document import Document

Span = tuple[int, int]

_STOP = re.compile(r"[.!?]+[\"'”’)*_]*")
_MARK = re.compile(r"(?:[ \t]*(?:\[\d[\d, –-]*\]|\(References?[^()]*\)))+")
_BEGINS = re.compile(r"[A-Z0-9À-Þ\[(\"“‘'*_`<\\]")
_ABBREVIATION = re.compile(
    r"(?<![\w-])(?:e\.g|i\.e|vs|cf|Fig|Figs|Eq|Sec|Tab|No|Dr|St|approx|al|resp|(?:[A-Z]\.-?)?[A-Z])\.$"
)
_BRACKETS = re.compile(r"\("), re.compile(r"\)")
_BLANK = re.compile(r"[ \t\r\n>]*")
_NEAR = 200
"""Characters before a line's end or a full stop that are looked at."""
_LABEL_LINE = re.compile(r"[ \t>]*(?:\*\*|__)?[A-Z][^\n:.]{0,60}:(?:\*\*|__)?(?=\s|$)")
_LABEL_PREFIX = re.compile(r"(?:(?:\*\*|__)[^*_\n]{1,80}?(?::(?:\*\*|__)|(?:\*\*|__):)|[A-Z][^:.\n\[\]]{0,60}:)[\s>]+")


def sentences(text: str, start: int, end: int, markers: Sequence[Span] = ()) -> list[Span]:
    """Spans of the sentences in `text[start:end]`, without the space between them.

    Args:
        text: the card.
        start, end: a block of prose.
        markers: spans of markers, in order; a marker before a capital letter is a sentence of its own.
    """
    bounds = []
    position = start
    first = bisect.bisect_left(markers, (start, start))
    inside = [span for span in markers[first : bisect.bisect_left(markers, (end, end))] if span[1] <= end]
    candidates = sorted(
        [(match.start(), match.end(), "stop") for match in _STOP.finditer(text, start, end)]
        + [(match.start(), match.end(), "line") for match in re.compile(r"\r\n|\r|\n").finditer(text, start, end)]
        + [(stop, stop, "marker") for _, stop in inside]
    )
    starts, begins_at = [a for a, _ in inside], {b: a for a, b in inside}
    opened, closed = ([match.start() for match in sign.finditer(text, start, end)] for sign in _BRACKETS)

    def is_open(stop: int, following: int) -> bool:
        """Whether a bracket is open where a sentence may end."""
        places = ((opened, stop), (closed, following))
        more, less = (bisect.bisect_left(signs, upto) - bisect.bisect_left(signs, position) for signs, upto in places)
        return more > less

    for at, after, kind in candidates:
        if at < position or _is_within(at, inside, starts):
            continue
        if kind == "line":
            before = text[max(position, at - _NEAR) : at].rstrip()
            is_bound = before.endswith((":", ":**", ":__")) or bool(_LABEL_LINE.match(text, after, end))
            cut, next_start = at, after
            if before.endswith((":", ":**", ":__")):
                following = bisect.bisect_left(starts, at)
                is_bound = following == len(starts) or _blank_until(text, at) < starts[following]
        elif kind == "marker":
            alone = _blank_until(text, position) >= begins_at[at]
            is_bound = alone and bool(re.compile(r"\s+(?:[A-Z][a-z]+|A|I)\b").match(text, at, end))
            cut = next_start = at
        else:
            cut = after
            next_start = past_marks(text, after, end)
            is_bound = _ends_sentence(text, max(position, at - _NEAR), at, next_start, end)
            is_bound = is_bound and (next_start >= end or not is_open(at, next_start))
        if is_bound:
            bounds.append((position, cut))
            position = _skip_space(text, next_start, end)
    if position < end:
        bounds.append((position, end))
    trimmed = [(a, a + len(text[a:b].rstrip())) for a, b in bounds]
    return [(a, b) for a, b in trimmed if a < b]


_CLAUSE = re.compile(r";\s|, (?:while|whereas|but)\b")


def clause_around(text: str, start: int, end: int, parting: re.Pattern[str] = _CLAUSE) -> Span:
    """The clause that holds a span: what is between the words or signs around it that part a sentence."""
    first = max((match.end() for match in parting.finditer(text[:start])), default=0)
    return first, next((end + match.start() for match in parting.finditer(text[end:])), len(text))


def blank(pattern: re.Pattern[str], text: str) -> str:
    """A text with what an expression matches as spaces: every offset stays."""
    return pattern.sub(lambda match: " " * len(match.group()), text)


def outermost(spans: Iterable[Span]) -> set[Span]:
    """Those of spans that are inside of no other."""
    every = {*spans}
    return {(a, b) for a, b in every if not any(c <= a and b <= d and (c, d) != (a, b) for c, d in every)}


def within(spans: Sequence[Span], start: int, end: int) -> Sequence[Span]:
    """Of spans in order that don't overlap each other, those that touch `start` to `end`."""
    first = bisect.bisect_left(spans, start, key=lambda span: span[1])
    return spans[first : bisect.bisect_right(spans, end, key=lambda span: span[0])]


def overlaps(span: Span, others: Sequence[Span]) -> bool:
    """Whether a span overlaps one of others, which are in order."""
    return any(first < span[1] and span[0] < last for first, last in within(others, *span))


def prose_sentences(document: Document, markers: Sequence[Span] = ()) -> Iterator[Span]:
    """Spans of the sentences in a card's paragraphs and cells."""
    for block in document.blocks:
        if block.kind in ("paragraph", "cell"):
            yield from sentences(document.text, block.start, block.end, markers)


def _is_within(at: int, spans: Sequence[Span], starts: Sequence[int]) -> bool:
    index = bisect.bisect_left(starts, at) - 1
    return index >= 0 and at < spans[index][1]


def _ends_sentence(text: str, start: int, stop: int, following: int, end: int) -> bool:
    if following >= end:
        return True
    space = re.compile(r"\s+").match(text, following, end)
    if space is None or _ABBREVIATION.search(text[start : stop + 1]):
        return False
    return bool(_BEGINS.match(text, _skip_space(text, following, end)))


def _blank_until(text: str, position: int) -> int:
    """Where the white space and quote marks from a place on end."""
    return _BLANK.match(text, position).end()  # type: ignore[union-attr]  # it matches nothing too


def _skip_space(text: str, position: int, end: int) -> int:
    while position < end and (text[position].isspace() or (text[position] == ">" and text[position - 1] in "\r\n ")):
        position += 1
    return position


def past_marks(text: str, stop: int, end: int) -> int:
    """Where the reference marks behind a sentence end."""
    mark = _MARK.match(text, stop, end)
    return mark.end() if mark else stop


def label_prefix(sentence: str) -> int:
    """Length of a label with its colon and space at the start of a sentence; 0 where there is none."""
    match = _LABEL_PREFIX.match(sentence)
    return match.end() if match else 0
