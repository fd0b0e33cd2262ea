"""What surrounds the markers of a card: the material for telling what they ask."""

from __future__ import annotations

import bisect
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from harness.cards.document import MOST_COLUMNS, NEEDED, Block, Document, Marker, without_markers
from harness.cards.markdown import COMMENT
from harness.cards.passages import html_rows, plain_html
from harness.cards.questions import Place
from harness.cards.retrieval import asks_something
from harness.cards.sentences import Span, sentences
from harness.cards.vocabulary import Vocabulary, vocabulary

_PARTING = re.compile(r"[,;:.·]|\b(?:and|or|with|by|then|while|according)\b", re.IGNORECASE)
"""Where the words between two markers of a sentence turn from the first to the second."""
_LEADING = re.compile(r"(?<=\w)\s+(?:to|for|at|of|in|on|until|under)\s(?=.*\w)", re.IGNORECASE)
"""A preposition behind what belongs to the marker before it: `[?] interpolation to a short side of [?]`."""
_BRACKETED = re.compile(r"(?:^|[,;]|\b(?:and|or)\b)([^,;()]*\w[^,;()]*\([^()]*)$", re.DOTALL)
"""What stands before a marker in brackets, with what they stand behind: `Mixup (alpha [?])`."""
_UNIT = re.compile(
    r"^\s+(?!(?:and|or|with|by)\b)(?:[a-zA-Z%]+ )??(?!(?:to|for|at|of|in|on|from|and|or|with|by)\b)[a-zA-Z%]\w*(?=\s+(?:to|for|at|of|in|on|until|under|with|is|was|are|were)\b|[,;]|\s\(|\.?\s*$)"
)
"""What is counted behind the marker before."""
_COPULA = re.compile(r"\s*(?:is|was|are|were)\s+")
_UNIT_TITLE = re.compile(r"\W*(?:in )?units?\W*", re.IGNORECASE)
"""The head of a column with the units of the row's values."""
_AS_BEFORE = re.compile(
    r"\s([a-z]+)\b[^.;:,]{0,12},? and (?:for|in|on|with|the (?:first|last|second|other|deepest|final)\b)[^.;:,]{0,30} $"
)
"""Between two markers: what both count, `[?] pictures for training and for evaluation [?]`."""
_LABEL = re.compile(r"(?:^|\n)[ \t>]*([^\n:]{2,200}):[*_]*\s*$")
_BOLD_LABEL = re.compile(r"(?:^|\n)[ \t>]*\*\*([^*\n]{2,60})\.\*\*\s*$")
_LONGEST = 2_000
"""Characters of a sentence; in a longer one, which is no prose, each marker stands for itself."""
_FAR = 2_000
"""Characters before a marker in which its label is looked for."""
_CAPTION = 20
"""Words of a caption; a longer text above a table is one by itself."""
_OF_SECTION = 10_000
"""Characters of a section that are read for which benchmarks it speaks of."""
_QUESTION = re.compile(
    r"(?:^|[\n:.!?])\W*((?:vs\.|\d\.\d|[^\n:.!?]){2,200}\?)[*_\W]*(?:\n[*_\W]*|\bA(?:nswer)?\s*\d*\s*[:.)][*_\W]*|$)"
)
"""A question that ends a line, or stands before its answer."""


@dataclass
class Places:
    """Reads what surrounds markers in one card."""

    document: Document
    table: Vocabulary = field(default_factory=vocabulary)

    def __post_init__(self) -> None:
        self.text = self.document.text
        texts: dict[tuple[str, ...], list[str]] = {}
        self.sentences: dict[Block, list[Span]] = {}
        for block in self.document.blocks:
            if block.kind in ("paragraph", "cell", "heading"):
                self.sentences[block] = sentences(self.text, block.start, block.end, self.document.asking)
            if block.kind != "heading":
                texts.setdefault(block.section, []).append(self.text[block.start : block.end])
        told = {section: without_markers(COMMENT.sub("", " ".join(parts))) for section, parts in texts.items()}
        self.section_texts = {section: text.replace(NEEDED, "")[:_OF_SECTION] for section, text in told.items()}

    def sentence(self, marker: Marker) -> Span:
        """The sentence of a marker; where it is in none, or in too long a one, the marker alone."""
        spans = self.sentences.get(marker.block, [])
        index = bisect.bisect_right(spans, marker.start, key=lambda span: span[0]) - 1
        is_in = index >= 0 and marker.end <= spans[index][1] and spans[index][1] - spans[index][0] <= _LONGEST
        return spans[index] if is_in else (marker.start, marker.end)

    def place(self, marker: Marker) -> Place:
        """What surrounds a marker."""
        block, sentence = marker.block, self.sentence(marker)
        words = self._words(marker, sentence)
        told = words.partition("[?]")[2]
        lead = self.text[max(block.start, marker.start - _FAR) : marker.start]
        label, is_own = block.label, block.kind == "cell" or (block.label or "\0") in self._own_words(block)
        match = _LABEL.search(self.text[sentence[0] : marker.start]) or _BOLD_LABEL.search(lead)
        if match and block.kind not in ("cell", "front-matter"):
            label, is_own = re.sub(r"[*`]|\b_|_\b", "", match[1]).strip(" -\t"), True
            words = re.sub(r"^(?:.|\n)*:[*_]*\s*\[\?\]", "[?]", words)
        elif block.kind in ("fence", "indented-code"):
            words = self.text[
                max(self.document.line_start(marker.line), block.start, marker.start - _FAR) : marker.start
            ]
            words += "[?]"
        names, titles, at = self._row(marker) or ([], [], 0)
        if block.kind == "html" and not names:
            parts = reversed(re.split(r"<[^<>]*>", lead))
            label = next((part.strip(" :\r\n") for part in parts if part.strip()), None)
        spans = self.sentences.get(block, []) if block.kind == "paragraph" else []
        first, last = (bisect.bisect_left(spans, end, key=lambda span: span[0]) for end in sentence)
        near = (*spans[last : last + 9], *spans[max(0, first - 1) : first])
        before, after = (
            without_markers(self.text[a:b]) for a, b in ((sentence[0], marker.start), (marker.end, sentence[1]))
        )
        flat = _flat(words)
        units = (name for title, name in zip(titles, names, strict=True) if _UNIT_TITLE.fullmatch(title))
        if block.kind == "cell" and (unit := next(filter(re.compile(r"\w|%").search, units), "")):
            flat = f"{flat} {unit}"
        return Place(
            sentence=flat,
            label=label,
            label_is_own=is_own,
            beside=tuple(self.text[a:b] for a, b in near if b - a <= _LONGEST),
            question=self._question(block, sentence[0]),
            section=block.section,
            whole=_flat(before + told),
            line=_flat(f"{before}[?]{after}"),
            section_text=self.section_texts.get(block.section, ""),
            parent=block.parent,
            in_code=block.kind in ("fence", "indented-code"),
            row=tuple(_heads(names[:at], titles, self.table)),
            remarks=(*titles[:1], *filter(None, names[at + 1 :])),
            cells=tuple(zip(titles, names, strict=True)),
            column=titles[at] if titles else None,
            around=(
                flat.replace("[?]", ""),
                _caption(block.caption),
                *reversed(block.section[block.section[:1] == self._title :]),
            ),
        )

    def _row(self, marker: Marker) -> tuple[list[str], list[str], int] | None:
        """Of a marker in a cell: the texts of its row, empty where markers ask, the heads of the columns, and which is its own."""
        block = marker.block
        if block.kind != "cell":
            return self._html_rows.get(marker.start)
        cells = self.document.row_of(block)
        last, titles = cells[-1], {len(cell.row): cell.column or "" for cell in cells}
        asking = {len(cell.row) for cell in cells if self.asks(cell)}
        told = enumerate((*last.row, self.text[last.start : last.end]))
        names = ["" if index in asking else text for index, text in told]
        return names, [titles.get(index, "") for index in range(len(names))], len(block.row)

    def _question(self, block: Block, start: int) -> str:
        """The question that the sentence from `start` on answers: before it in its paragraph, the paragraph before it or its heading."""
        index = bisect.bisect_left(self.document.blocks, (block.start, block.end), key=lambda b: (b.start, b.end))
        above = [b for b in self.document.blocks[max(0, index - 1) : index] if b.kind == "paragraph"]
        parts = ((max(b.start, end - _FAR), end) for b, end in ((block, start), *((b, b.end) for b in above)))
        texts = [*(self.text[slice(*part)] for part in parts), *(block.section[-1:] if block.label is None else ())]
        asked = (list(_QUESTION.finditer(text))[-1:] for text in texts if "?" in text)
        return next((found[0][1] for found in asked if found), "") if block.kind == "paragraph" else ""

    @cached_property
    def _html_rows(self) -> dict[int, tuple[list[str], list[str], int]]:
        """The same by the place of each marker in a cell of an HTML table."""
        found = dict[int, tuple[list[str], list[str], int]]()
        for block in self.document.blocks:
            is_html = block.kind == "html" and self.asks(block)
            tables = re.compile("<table", re.IGNORECASE).finditer(self.text, block.start, block.end) if is_html else ()
            for start, stop in itertools.pairwise([*(table.start() for table in tables), block.end]):
                titles: list[str] = []
                for nth, row in enumerate(html_rows(self.text, start, stop)):
                    cells = row[:MOST_COLUMNS]
                    asking = [[at for at, _ in self.document.asking_in(a, b)] for a, b, _ in cells]
                    told = [
                        "" if at else plain_html(self.text[a:b]) for (a, b, _), at in zip(cells, asking, strict=True)
                    ]
                    heads = [*titles, *[""] * len(told)][: len(told)]
                    names = [
                        f"{head} {text}" if text.isdigit() else text for head, text in zip(heads, told, strict=True)
                    ]
                    for index, places in enumerate(asking):
                        found |= dict.fromkeys(places, (names, heads, index))
                    titles = titles if nth else told
        return found

    def asks(self, block: Block) -> bool:
        """Whether a marker stands in a block."""
        index = bisect.bisect_left(self.document.asking, (block.start, 0))
        return index < len(self.document.asking) and self.document.asking[index][0] < block.end

    def _between(self, marker: Marker, start: int, end: int) -> Span:
        """Of a part of the text around a marker what is between the markers before and after it."""
        spans = self.document.asking
        index = bisect.bisect_left(spans, (marker.start, marker.end))
        begin = max(start, spans[index - 1][1]) if index > 0 else start
        return begin, min(end, spans[index + 1][0]) if index + 1 < len(spans) else end

    def asked_in(self, marker: Marker) -> list[Span]:
        """The words that say what is asked: a marker's sentence or line, its label, the heads of its row and column."""
        block, text = marker.block, self.text
        if block.kind == "cell":
            cells = self.document.row_of(block)
            heads = [self.document.title_of(block), *(cell for cell in cells if cell.start < block.start)]
            spans = [(cell.start, cell.end) for cell in (*heads, block) if cell is not None]
        elif block.kind in ("paragraph", "heading"):
            spans = [self._between(marker, *self.sentence(marker))]
        else:
            start = self.document.line_start(marker.line)
            spans = [(max(start, block.start) if block.kind != "front-matter" else start, marker.end)]
        own = "".join(text[slice(*span)] for span in spans)
        if block.label and block.kind in ("paragraph", "fence", "html") and block.label not in self._own_words(block):
            at = text.rfind(block.label, max(0, block.start - _FAR), block.start)
            spans += [(at, at + len(block.label))] if at >= 0 else []
        elif not re.search(r"\w", own.replace(text[marker.start : marker.end], "")) and (
            head := self.document.heading_of(block)
        ):
            spans.append((head.start, head.end))
        return sorted(spans)

    @cached_property
    def _title(self) -> tuple[str, ...]:
        """The card's first heading, which names the model and asks nothing."""
        first = next((block for block in self.document.blocks if block.section), None)
        return first.section[:1] if first else ("",)

    def _own_words(self, block: Block) -> str:
        return re.sub(r"[*_]", "", self.text[block.start : min(block.end, block.start + 400)])

    def _words(self, marker: Marker, sentence: Span) -> str:
        """The marker's sentence with the marker as `[?]`; of several markers each has the words that lead to it."""
        start, end = sentence
        begin, stop = self._between(marker, start, end)
        before, after = self.text[begin : marker.start], self.text[marker.end : stop]
        if begin > start and not re.match(r" [a-z]", after) and (both := _AS_BEFORE.match(before)):
            after = f" {both[1]}{after}"
        if inside := _BRACKETED.search(before):
            before, after = inside[1], after.partition(")")[0]
        if begin > start and not inside:
            before = _UNIT.sub("", before)
        if begin > start and _COPULA.fullmatch(before):  # of what the sentence began with
            before = without_markers(self.text[start : marker.start]).replace(NEEDED, "")
        elif begin > start and (parting := _PARTING.search(before) or _LEADING.search(before)):
            before = before[parting.start() :]
        if stop < end and (parting := _PARTING.search(after) or _LEADING.search(after)):
            return f"{before}[?]{after[: parting.start()]}"
        leads = begin > start and not re.search(r"\w{4}", after) and re.search(r"\w{4}", before)
        if leads or (stop < end and re.search(r"\w{3}", before)):
            after = unit[0] if (unit := _UNIT.match(after)) else ""
        return f"{before}[?]{after}"


def _heads(row: Sequence[str], titles: Sequence[str], table: Vocabulary) -> Iterator[str]:
    """What heads a cell: the first of its row, and others to its left that are no values of what their columns ask. Where
    columns of labels and values alternate, a row begins anew with each label."""
    labels = [at for at, title in enumerate(titles[: len(row)]) if title == titles[0] and (title or at % 2 == 0)]
    start = labels[-1] if labels else 0
    for index, (cell, title) in enumerate(itertools.zip_longest(row[start:], titles[start : len(row)], fillvalue="")):
        is_value = index and (
            not cell
            or re.search(r"(?<!top-)(?:\d|%|\b(?:none|yes|no)|[–—-])\W*$", cell, re.IGNORECASE)
            or (asks_something(title, table) and not re.search("metric", title, re.IGNORECASE))
        )
        is_size = re.search(r"batch|\bres(?:olution)?\b|size|\d ?[×x] ?\d", cell, re.IGNORECASE)
        if is_size or (re.search(r"[^\W\d_]", cell) and not is_value):
            yield cell


def _caption(text: str) -> str:
    """What stands above a table, where it is its caption and no paragraph of its own."""
    return text if text.endswith(":") or text.startswith("Tab") or len(text.split()) <= _CAPTION else ""


def _flat(text: str) -> str:
    return re.sub(r"\s+", " ", text)
