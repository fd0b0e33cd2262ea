"""Markdown with spans: where a card's front matter, sections, paragraphs, cells and markers are in its text.

Nothing is re-rendered: every part is a place in the original text, so that what is not edited stays as it was, to the
byte. Block structure comes from markdown-it (CommonMark and GFM tables); this module maps it back to offsets.

A card is decoded as UTF-8 with `surrogateescape`: bytes that aren't UTF-8 survive unchanged. A marker is
`[More Information Needed]` as people write it: any case, runs of white space of any kind (a line break inside, a
no-break space, an entity), escaped brackets, emphasis in or around them. A marker in inline code or in an HTML comment is only
talked about: it is listed, and nobody fills it.
"""

from __future__ import annotations

import bisect
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import yaml
from markdown_it import MarkdownIt
from markdown_it.token import Token

from harness.parsing.files import MalformedError
from harness.parsing.yaml import parse_yaml

_SPACE = r"(?:[^\S\r\n]|&nbsp;|&\#160;|&\#xa0;|(?:\r\n|\r|\n)[ \t>]*)"
_EMPHASIS = r"(?:\*{1,3}|_{1,3}|~~|</?(?:b|i|em|strong)>)"
_GAP = rf"{_SPACE}{{0,40}}"  # bounded, so that a long run of spaces takes no quadratic time
_MARKER = re.compile(
    rf"(?P<open>{_EMPHASIS}{{0,3}})"
    rf"(?:\\?\[|&\#91;|&lsqb;|&lbrack;){_GAP}{_EMPHASIS}?{_GAP}"
    rf"more{_SPACE}{{1,40}}information{_SPACE}{{1,40}}needed"
    rf"{_GAP}[.!]?{_EMPHASIS}?{_GAP}(?:\\?\]|&\#93;|&rsqb;|&rbrack;)"
    rf"(?P<close>{_EMPHASIS}{{0,3}})",
    re.IGNORECASE,
)
_BARE_MARKER = re.compile(
    rf"(?P<open>{_EMPHASIS}{{0,3}})\bmore information needed[.!]?(?P<close>{_EMPHASIS}{{0,3}})", re.IGNORECASE
)
"""A marker as training scripts write it: all that a paragraph, a cell or a label has."""
_BLANK = re.compile(r"\s*")
_COMMENT_BLOCK = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_CODE = (
    r"(?P<ticks>(?<!`)`+(?!`))(?:(?!\n[ \t]*\n).){0,2000}?(?<!`)(?P=ticks)(?!`)"
    r"|<(?P<tag>code|kbd|samp)\b[^>]*>.{0,2000}?</(?P=tag)>"
)
_TALKED_ABOUT = re.compile(rf"<!--.*?-->|{_CODE}", re.DOTALL | re.IGNORECASE)
_INLINE_CODE = re.compile(_CODE, re.DOTALL | re.IGNORECASE)
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n|\Z)")
_FRONT_MATTER = re.compile(r"---[ \t]*(?:\r\n|\r|\n)(.*?)(?:(?<=\n)|(?<=\r))---[ \t]*(?:\r\n|\r|\n|\Z)", re.DOTALL)
_LABEL = re.compile(
    r"^(?:\[[ xX]\][ \t]+)?(?:(?P<strong>\*\*|__)(?P<bold>[^*_\n]{1,80}?)(?::(?P=strong)|(?P=strong):)"
    r"|(?P<plain>[A-Z0-9][^:\n\[\].!?]{0,80}?):)(?=\s|$|\[|\*)"
)
_MARKUP = re.compile(r"[<*`_\[\\&~]")
MOST_CHARACTERS = 10_000_000
MOST_LINES = 40_000
"""Outside of comments and the front matter; eight cells of a table count as a line."""
MOST_COLUMNS = 200
"""Columns of a table that are read."""
_LONGEST_TITLE = 1_000
"""Characters of a title or label."""
_PARSER = MarkdownIt("commonmark").enable("table")
_PARSER.core.ruler.enableOnly(["normalize", "block"])


_LEADS_ON = re.compile(r"\b(?:cite \w+|as|is|are|by|with|follows)[*_]*$")
"""How a paragraph ends that leads to what stands behind it, where it has no colon."""


@dataclass(frozen=True)
class Block:
    """A leaf of the card: one run of text that edits stay inside."""

    kind: str
    """`paragraph`, `heading`, `cell`, `fence`, `indented-code`, `html`, `front-matter` or `link-definition`."""
    start: int
    end: int
    """Offsets in the card's text, without the line end."""
    line: int
    """First line, from 1."""
    section: tuple[str, ...]
    """Headings above it, outermost first."""
    prefix: str = ""
    """What a further line in the same container begins with: quote marks and indentation."""
    label: str | None = None
    """What the text is about: a bold or plain label before a colon, a table row's head, a lead-in line, a YAML path."""
    info: str = ""
    """For a fence: its language."""
    in_item: bool = False
    """Whether it stands in a list item."""
    parent: str = ""
    """In a nested list: the text of the item that its own item is under."""
    row: tuple[str, ...] = ()
    """For a cell: the texts to the left of it in its row."""
    column: str = ""
    """For a cell: its column's head."""
    caption: str = ""
    """For a cell: the paragraph that its table follows."""


@dataclass(frozen=True)
class Marker:
    """One marker."""

    start: int
    end: int
    line: int
    block: Block
    """What holds it; in a link definition the marker itself."""
    talked_about: str | None = None
    """Why it is left alone: `inline code`, `HTML comment`, `link definition`; None where it asks."""


@dataclass(frozen=True)
class Edit:
    """Replace `text[start:end]` by `new`."""

    start: int
    end: int
    new: str


def apply_edits(text: str, edits: list[Edit]) -> str:
    """The text after all edits.

    Raises:
        ValueError: two edits overlap.
    """
    parts: list[str] = []
    position = 0
    for edit in sorted(edits, key=lambda edit: (edit.start, edit.end)):
        if edit.start < position:
            raise ValueError(f"two edits overlap at offset {edit.start}")
        parts += [text[position : edit.start], edit.new]
        position = edit.end
    parts.append(text[position:])
    return "".join(parts)


class Moves:
    """Where places of a text are after edits, and the other way round.

    Args:
        edits: in the order of their place; none overlaps another.
    """

    def __init__(self, edits: Sequence[Edit]) -> None:
        self._edits, shift = edits, 0
        self._starts: list[int] = []
        """Of the edits, in the text after them."""
        for edit in edits:
            self._starts.append(edit.start + shift)
            shift += len(edit.new) - (edit.end - edit.start)
        self.written = [(at, at + len(edit.new)) for at, edit in zip(self._starts, edits, strict=True)]
        """Spans of what was put in, in the text after the edits."""

    def before(self, place: int) -> int:
        """Where a place outside of what was put in was before."""
        index = bisect.bisect_right(self._starts, place) - 1
        if index < 0:
            return place
        edit = self._edits[index]
        return edit.end + max(0, place - self._starts[index] - len(edit.new))


NEEDED = "more information needed"
"""A marker's words without its brackets."""


def without_markers(text: str) -> str:
    """Text in which a marker's words stay without its brackets, so that nothing takes it for a marker again."""
    return _MARKER.sub(NEEDED, text)


def decode(data: bytes) -> str:
    """A card's bytes as text; bytes that aren't UTF-8 become lone surrogates, which `encode` turns back."""
    return data.decode("utf-8", "surrogateescape")


def encode(text: str) -> bytes:
    """The inverse of `decode`."""
    return text.encode("utf-8", "surrogateescape")


@dataclass
class Document:
    """A card's text and where its parts are. Raises MalformedError for one too long."""

    text: str
    blocks: list[Block] = field(init=False)
    """In order of their place."""
    front_matter: tuple[int, int] | None = field(init=False, default=None)
    """Offsets of the YAML between the fences, or None."""

    def __post_init__(self) -> None:
        if len(self.text) > MOST_CHARACTERS:
            raise MalformedError("The card", f"it has {len(self.text):,} characters; {MOST_CHARACTERS:,} are the most")
        self._starts = [match.start() for match in _LINE.finditer(self.text) if match.group()] or [0]
        body = 1 if self.text.startswith("\ufeff") else 0
        self.blocks = []
        match = _FRONT_MATTER.match(self.text, body)
        if match:
            self.front_matter = match.span(1)
            body = match.end()
            self.blocks += _front_matter_blocks(self, *match.span(1))
        said = (part.rpartition("-->")[2] for part in self.text[body:].split("<!--"))
        if (lines := sum(len(part.splitlines()) + part.count("|") // 8 for part in said)) > MOST_LINES:
            why = f"it has {lines:,} lines (eight cells of a table count as one); {MOST_LINES:,} are the most that are read at once"
            raise MalformedError("The card", why, remedy="Take it in parts.")
        self.blocks += _BlockReader(self, body).read()
        self.blocks.sort(key=lambda block: (block.start, block.end))

    @property
    def newline(self) -> str:
        """The line end that the card uses most."""
        return "\r\n" if self.text.count("\r\n") * 2 > self.text.count("\n") else "\n"

    def line_of(self, offset: int) -> int:
        """Line number, from 1, of an offset."""
        return bisect.bisect_right(self._starts, offset)

    def byte_offset(self, offset: int) -> int:
        """Where an offset in the text is in the card's bytes."""
        line = self.line_of(offset)
        return self._byte_starts[line - 1] + len(encode(self.text[self._starts[line - 1] : offset]))

    @cached_property
    def _byte_starts(self) -> list[int]:
        lines = itertools.pairwise([*self._starts, len(self.text)])
        return [0, *itertools.accumulate(len(encode(self.text[start:end])) for start, end in lines)]

    def line_start(self, line: int) -> int:
        """Offset of the start of a line (from 1); the end of the text for the line after the last."""
        return self._starts[line - 1] if line <= len(self._starts) else len(self.text)

    @cached_property
    def markers(self) -> list[Marker]:
        """All markers, in order of their place."""
        found = []
        silent = _talked_about_spans(self.text, self.blocks)
        bare = filter(self._is_alone, _BARE_MARKER.finditer(self.text))
        for match in sorted((*_MARKER.finditer(self.text), *bare), key=re.Match.start):
            start, end = _whole_emphasis(match)
            line, block = self.line_of(start), self.block_at(start, end)
            index = bisect.bisect_right(silent, (start, len(self.text)))
            reason = silent[index - 1][2] if index and end <= silent[index - 1][1] else None
            if block and block.kind == "front-matter" and "#" in self.text[self.line_start(line) : start]:
                reason = "YAML comment"
            elif block is None and reason is None:
                is_wide = line in self._rows
                reason = f"a table of more than {MOST_COLUMNS} columns" if is_wide else "link definition"
            block = block or Block("link-definition", start, end, line, ())
            found.append(Marker(start, end, line, block, reason))
        return found

    def _is_alone(self, match: re.Match[str]) -> bool:
        """Whether a match is all that its paragraph or cell holds, or all that stands behind a label."""
        block = self.block_at(*match.span())
        if block is None or block.kind not in ("paragraph", "cell"):
            return False
        if not _BLANK.fullmatch(self.text, match.end(), block.end):
            return False
        before = self.text[block.start : match.start()]
        return not before.strip() or re.search(r":[*_]*\s*$", before) is not None

    @cached_property
    def talked_about(self) -> list[int]:
        """Where the markers begin that are only talked about."""
        return [marker.start for marker in self.markers if marker.talked_about]

    @cached_property
    def asking(self) -> list[tuple[int, int]]:
        """Spans of the markers to fill, in order of their place."""
        return [(marker.start, marker.end) for marker in self.markers if not marker.talked_about]

    def asking_in(self, start: int, end: int) -> list[tuple[int, int]]:
        """Spans of the markers to fill that begin in a part of the text."""
        return self.asking[bisect.bisect_left(self.asking, (start, 0)) : bisect.bisect_left(self.asking, (end, 0))]

    def asking_after(self, offset: int) -> Iterator[tuple[int, int]]:
        """Spans of the markers to fill that begin at an offset or after it."""
        first = bisect.bisect_left(self.asking, (offset, offset))
        return iter(self.asking[first : first + 4])

    def heading_of(self, block: Block) -> Block | None:
        """The heading that a block stands under."""
        at = bisect.bisect_left(self._headings, block.start, key=lambda head: head.start) - 1
        return self._headings[at] if at >= 0 and block.section else None

    @cached_property
    def _headings(self) -> list[Block]:
        return [block for block in self.blocks if block.kind == "heading"]

    @cached_property
    def _rows(self) -> dict[int, list[Block]]:
        """The cells of each row of a table, by its line."""
        rows: dict[int, list[Block]] = {}
        for block in self.blocks:
            if block.kind == "cell":
                rows.setdefault(block.line, []).append(block)
        return rows

    @cached_property
    def _first_rows(self) -> dict[int, int]:
        """The line of a table's first row, by the line of each of its rows; a line of dashes stands between the first two."""
        first: dict[int, int] = {}
        for line in self._rows:
            first[line] = first.get(line - 1) or (
                first.get(line - 2, line) if first.get(line - 2) == line - 2 else line
            )
        return first

    def row_of(self, cell: Block) -> list[Block]:
        """The cells of a cell's row."""
        return self._rows[cell.line]

    def title_of(self, cell: Block) -> Block | None:
        """The cell that heads a cell's column."""
        titles = self._rows[self._first_rows[cell.line]]
        column = len(cell.row)
        named = [title for title in titles if len(title.row) == column]
        return named[0] if named and named[0] is not cell else None

    def block_at(self, start: int, end: int) -> Block | None:
        """The innermost block that holds a span."""
        for at in reversed(range(bisect.bisect_right(self.blocks, start, key=lambda block: block.start))):
            block = self.blocks[at]
            if block.start <= start and end <= block.end:
                return block
            if block.end < start and block.kind != "front-matter":
                return None
        return None


def _whole_emphasis(match: re.Match[str]) -> tuple[int, int]:
    """The marker with as much of the emphasis around it as is closed on both sides."""
    opening, closing = match["open"], match["close"]
    start, end = match.start() + len(opening), match.end() - len(closing)
    if "<" in opening or "<" in closing:
        return match.span() if closing.replace("/", "") == opening else (start, end)
    length = min(len(opening), len(closing))
    is_paired = length > 0 and opening[-length:] == closing[:length][::-1]
    return (start - length, end + length) if is_paired else (start, end)


def _talked_about_spans(text: str, blocks: list[Block]) -> list[tuple[int, int, str]]:
    """Spans of inline code and HTML comments, in order and none within another, looked for block by block so that a stray backtick can't reach on."""
    spans = []
    for block in blocks:
        if block.kind in ("fence", "indented-code", "front-matter"):
            continue
        # After the last comment that is closed each opening one would be looked through to the end.
        last = text.rfind("-->", block.start, block.end)
        closed = last + 3 if last >= 0 else block.start
        found = [_TALKED_ABOUT.finditer(text, block.start, closed), _INLINE_CODE.finditer(text, closed, block.end)]
        found += [_COMMENT_BLOCK.finditer(text, block.start, block.end)] if block.kind == "html" else []
        for match in itertools.chain(*found):
            why = "HTML comment" if match.group().startswith("<!--") else "inline code"
            spans.append((match.start(), match.end(), why))
    outermost: list[tuple[int, int, str]] = []
    for span in sorted(spans, key=lambda span: (span[0], -span[1])):
        if not outermost or span[1] > outermost[-1][1]:
            outermost.append(span)
    return outermost


_WHOLE = MarkdownIt("commonmark").enable("table")


def structure(text: str, definitions: dict[str, Any] | None = None) -> list[tuple[str, str]]:
    """What a reader's browser makes of Markdown besides its words: kinds of blocks, links, images, code, HTML, in their order.

    Args:
        text: Markdown.
        definitions: of links by reference, as `link_definitions` has them; those in `text` without.
    """
    parts = []
    for token in _WHOLE.parse(text, {"references": dict(definitions or {})}):
        for inner in (token, *(token.children or ())):
            if inner.type in ("fence", "code_block", "code_inline"):
                parts.append((inner.type, f"{inner.info} {inner.content}"))
            elif inner.type in ("html_block", "html_inline"):
                parts += [("html", tag) for tag in re.findall(r"<[^<>]*>?", inner.content)]
            elif inner.type in ("link_open", "image"):
                parts.append((inner.type, str(inner.attrs.get("href") or inner.attrs.get("src"))))
            elif inner.type.endswith("_open") and inner.type not in ("em_open", "strong_open"):
                parts.append((inner.type, inner.tag))
    return parts


def link_definitions(text: str) -> dict[str, Any]:
    """The card's definitions of links by reference."""
    environment: dict[str, Any] = {}
    _PARSER.parse(text, environment)
    found: dict[str, Any] = environment.get("references", {})
    return found


class _BlockReader:
    """Walks markdown-it's block tokens and finds each leaf in the text."""

    def __init__(self, document: Document, body: int) -> None:
        self.document = document
        self.text = document.text
        self.body = body
        self.first_line = document.line_of(body)
        self.headings: list[tuple[int, str]] = []
        self.lead_in: str | None = None
        self.item_texts: list[str] = []
        """Of the open list items: the first paragraph."""
        self.item_labels: list[tuple[str, bool] | None] = []
        """Of the open list items: label, and whether it is bold."""
        self.last_item_label: str | None = None
        """A bold label of a list item goes on for the paragraphs after it, as in the Hub's template."""
        self.caption = ""

    def read(self) -> Iterator[Block]:
        tokens = _PARSER.parse(self.text[self.body :])
        containers: list[Token] = []
        spans: list[tuple[int, int]] = []
        told: list[str] = []
        titles: list[str] = []
        column = 0
        for before, token in itertools.pairwise([Token("", "", 0), *tokens]):
            if token.type in ("blockquote_open", "list_item_open"):
                containers.append(token)
                self.item_labels += [None] if token.type == "list_item_open" else []
                self.item_texts += [""] if token.type == "list_item_open" else []
            elif token.type in ("blockquote_close", "list_item_close"):
                containers.pop()
                if token.type == "list_item_close":
                    label = self.item_labels.pop()
                    self.item_texts.pop()
                    self.last_item_label = label[0] if label and label[1] else None
            elif token.type in ("bullet_list_close", "ordered_list_close") and not self.item_labels:
                self.lead_in = None
            elif token.type == "table_open":
                titles = []
            elif token.type == "table_close":
                self.caption = ""
            elif token.type == "tr_open":
                spans, told, column = [], [], 0
            elif before.type in ("th_open", "td_open"):
                spans = spans or _cells(self.text, *self._raw_lines(token)[0])
                titles += [_plain(token.content)] if before.type == "th_open" else []
                if column < min(len(spans), MOST_COLUMNS):
                    title = titles[column] if column < len(titles) else ""
                    if token.content:
                        yield self._cell(spans[column], told, title)
                    text = _plain(self.text[slice(*spans[column])])
                    told.append(f"{title} {text}" if text.isdigit() and title else text)
                column += 1
            elif before.type == "heading_open":
                yield from self._heading(token, int(before.tag[1:]))
            elif token.type == "inline":
                yield from self._paragraph(token, containers)
            elif token.type in ("fence", "code_block", "html_block"):
                yield from self._verbatim(token)

    def _block(self, kind: str, start: int, end: int, **more: Any) -> Block:
        section = tuple(title for _, title in self.headings)
        return Block(kind, start, end, self.document.line_of(start), section, **more)

    def _raw_lines(self, token: Token) -> list[tuple[int, int]]:
        """Offsets of the token's lines in the card's text, without their line ends."""
        assert token.map is not None
        lines = []
        for line in range(self.first_line + token.map[0], self.first_line + token.map[1]):
            start = max(self.document.line_start(line), self.body)
            lines.append((start, start + len(self.text[start : self.document.line_start(line + 1)].rstrip("\r\n"))))
        return lines

    def _locate(self, token: Token) -> tuple[int, int] | None:
        """Where a token's inline content begins and ends in the text."""
        content = token.content.split("\n")
        raw = self._raw_lines(token)
        if not token.content or len(raw) < len(content):
            return None
        first, last = content[0].rstrip(), content[-1].rstrip()
        begin = self.text.rfind(first, *raw[0]) if first else raw[0][0]
        finish = self.text.rfind(last, *raw[len(content) - 1]) if last else -1
        return (begin, finish + len(last)) if begin >= 0 and finish >= 0 else None

    def _heading(self, token: Token, level: int) -> Iterator[Block]:
        self.headings = [heading for heading in self.headings if heading[0] < level]
        self.lead_in, self.last_item_label, self.caption = None, None, ""
        if span := self._locate(token):
            yield self._block("heading", *span)
        self.headings.append((level, _plain(token.content)))

    def _paragraph(self, token: Token, containers: list[Token]) -> Iterator[Block]:
        span = self._locate(token)
        if span is None:
            return
        match = _LABEL.match(token.content)
        label = (match["bold"] or match["plain"]).strip() if match else None
        in_item = bool(self.item_labels)
        if in_item and label and self.item_labels[-1] is None:
            self.item_labels[-1] = (label, bool(match and match["bold"]))
        around = next((item[0] for item in reversed(self.item_labels) if item), None)
        inherited = around or (self.lead_in if in_item else self.last_item_label or self.lead_in)
        prefix = self._prefix(token, span[0], containers) if containers else ""
        if in_item and not self.item_texts[-1]:
            self.item_texts[-1] = _plain(token.content)
        parent = self.item_texts[-2] if len(self.item_texts) > 1 else ""
        yield self._block("paragraph", *span, prefix=prefix, label=label or inherited, in_item=in_item, parent=parent)
        self.caption = _plain(token.content)
        last_line = token.content.rstrip().rpartition("\n")[2]
        if last_line.rstrip("*_").endswith(":"):
            self.lead_in = _plain(last_line)
        elif _LEADS_ON.search(last_line):
            self.lead_in = _plain(re.split(r"[.!?]\s+", last_line)[-1])
        elif not in_item:
            self.lead_in = None

    def _prefix(self, token: Token, start: int, containers: list[Token]) -> str:
        """What a new line in the same containers begins with."""
        before = self.text[max(self.document.line_start(self.document.line_of(start)), self.body) : start]
        is_first = token.map and containers[-1].map and token.map[0] == containers[-1].map[0]
        if is_first or re.fullmatch(r"[ \t>]*", before):
            return re.sub(r"[^>\s]", " ", before)
        return " " * len(before)

    def _cell(self, span: tuple[int, int], told: list[str], title: str) -> Block:
        """A cell, with the texts to the left of it and its column's title."""
        label = " — ".join(filter(None, (*told[:1], title)))
        return self._block("cell", *span, label=label or None, row=tuple(told), column=title, caption=self.caption)

    def _verbatim(self, token: Token) -> Iterator[Block]:
        lines = self._raw_lines(token)
        kind = {"fence": "fence", "code_block": "indented-code", "html_block": "html"}[token.type]
        if kind == "fence":
            closed = len(lines) > 1 and self.text[slice(*lines[-1])].strip(" \t>").startswith(token.markup)
            lines = lines[1:-1] if closed else lines[1:]
        if not lines:
            return
        prefix = re.match(r">*" if kind == "html" else r"[ \t>]*", self.text[slice(*lines[0])])
        yield self._block(
            kind,
            lines[0][0],
            lines[-1][1],
            prefix=prefix.group() if prefix else "",
            label=self.lead_in or self.last_item_label,
            info=token.info.strip().split(" ")[0].lower(),
            in_item=bool(self.item_labels),
        )


def _cells(text: str, start: int, stop: int) -> list[tuple[int, int]]:
    """Spans of a GFM table row's cells, trimmed; an escaped pipe doesn't split."""
    bars = [start + match.start() for match in re.finditer(r"(?<!\\)\|", text[start:stop])]
    edges = [start - 1, *bars, stop]
    if bars and not text[start : bars[0]].strip(" \t>"):
        edges = edges[1:]
    if bars and not text[bars[-1] + 1 : stop].strip():
        edges = edges[:-1]
    cells = []
    for left, right in itertools.pairwise(edges):
        inner = text[left + 1 : right]
        begin = right - len(inner.lstrip(" \t>"))
        cells.append((begin, max(begin, left + 1 + len(inner.rstrip(" \t")))))
    return cells


def _front_matter_blocks(document: Document, start: int, end: int) -> list[Block]:
    """One block for each scalar of the YAML, labelled with its path, e.g. `model-index.0.name`; YAML reads an unquoted marker
    as a list of one string.

    Where the YAML can't be read, one block holds it all: its markers are still found.
    """
    text = document.text
    blocks = [Block("front-matter", start, end, document.line_of(start), ())]
    try:
        root = parse_yaml(text[start:end].translate(_YAML_SAFE)).root
    except MalformedError:
        return blocks

    def walk(node: yaml.Node, path: str) -> None:
        first, last = start + node.start_mark.index, start + node.end_mark.index
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                walk(value, f"{path}.{key.value}" if path else str(key.value))
        elif isinstance(node, yaml.SequenceNode) and not _MARKER.fullmatch(text, first, last):
            for index, value in enumerate(node.value):
                walk(value, f"{path}.{index}")
        else:
            last = first + len(text[first:last].rstrip("\r\n \t"))
            blocks.append(Block("front-matter", first, last, document.line_of(first), (), label=path))

    if root is not None:
        walk(root, "")
    return blocks


_YAML_SAFE = dict.fromkeys((*range(0xD800, 0xE000), 0, 0xA0, 0x85, 0x2028, 0x2029), " ")


def _plain(markdown: str) -> str:
    """The words of a title or label, as many as anybody reads."""
    markdown = markdown[:_LONGEST_TITLE]
    if not _MARKUP.search(markdown):
        return markdown.strip().strip(":").strip()
    text = re.sub(r"<[^<>]+>|[*`]|(?<!\w)_|_(?!\w)", "", _MARKER.sub("", markdown))
    return re.sub(r"\[([^\[\]]*)\]\([^()]*\)", r"\1", text).strip().strip(":").strip()
