"""The passages of a card that may state something: sentences, labelled lines and cells, each with the words that say what it is about.

Of a cell these are its row's head and its column's title; Markdown and HTML tables are read alike. What is no prose (addresses,
reference marks, emphasis) is blanked, at the same length, so that every offset stays one in the card.
"""

from __future__ import annotations

import bisect
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from harness.cards.document import Block, Document
from harness.cards.sentences import Span, blank, sentences
from harness.cards.vocabulary import vocabulary
from harness.parsing.files import MalformedError

_LINKS = re.compile(
    r"\]\([^)\s]*\)|<?https?://[^\s>)]+>?|<!--.*?-->|</?[a-zA-Z][^<>]*>|\(References? [^)]*\)", re.DOTALL
)
_CITATION = re.compile(
    r"(?<=[\w.)\]] )\[\d{1,3}(?:\s?[,–-]\s?\d{1,3})*\]|(?<=[\w.)\]])\[\d{1,3}(?:\s?[,–-]\s?\d{1,3})*\]"
)
_BEFORE_LIST = re.compile(
    r"(?:depths?|widths?|dims?|channels|sizes?|blocks|layers|mean|std|of|is|are|was|were|with)\s?$", re.IGNORECASE
)
_HTML_ROW = re.compile(r"<tr\b[^<>]*>(.*?)(?=</tr>|<tr\b|</table>|\Z)", re.DOTALL | re.IGNORECASE)
_HTML_CELL = re.compile(r"<(t[hd])\b[^<>]*>(.*?)(?=</t[hd]>|<t[hd]\b|</tr>|\Z)", re.DOTALL | re.IGNORECASE)
_ROW = r"<tr\b(?:[^<]|<(?!/?tr\b))*</tr>"
_TABLE = re.compile(rf"<table\b.*?(?:</table>|\Z)|{_ROW}(?:\s*{_ROW})*", re.DOTALL | re.IGNORECASE)
_CONFIG_LINE = re.compile(r"\s*\{?[\"']?[\w-]+[\"']?\s*:\s*[^=()]*?,?\s*|\s*[-\d.,\[\]]+\s*")
_NETWORK_KEY = re.compile(
    r"\s*\{?\s*[\"']?(?:depths|hidden_sizes|hidden_act|dims|embed_dims|widths|group_width|groups_width|GROUP_W|W0|WA|WM|DEPTH|patch_size|layer_type)[\"']?\s*:"
)
_RECIPE = re.compile(r"pre-?train|original|recipe|(?:was|were) trained|training config\w*|pycls", re.IGNORECASE)
"""What says that a configuration is how the model came to be, not what a reader might run."""
MODEL_FILE = re.compile(r"\b(?:preprocessor_)?config\.json")
"""A file that comes with the weights, whatever they were trained with."""
_LETTER = re.compile(r"[ARC]|V2")
"""How a column is headed whose neighbours name ImageNet's variants."""
_IDIOMS = tuple(
    (re.compile(pattern), context)
    for pattern, context in (
        (
            r"\b(?:logits\b[\s\S]{0,40}?|(?:model|net|network)\([^()\n]*\)\.)\bshape\b[^\n]*\n?[^\n]*?[\[(] ?[\w.]+, ?(\d[\d,_]*)[\])]",
            "number of classes",
        ),
        (
            r"\b(?:pooler_output|embeddings?|pooled|pre_logits)\.shape\b[^\n]*?[\[(] ?[\w.]+, ?(\d[\d,_]*)[\])]",
            "size of the feature vector",
        ),
        (r"\.shape\[1\][^\n]*?=[^\n\d]*(\[[\d, ]+\])", "stage widths"),
        (r"\bnumel\(\)[^\n]*(?:\n[^\n#]*)?(?:\n|#|=)[^\w\n]*(\d[\d,._]*(?: ?M)?)", "number of parameters"),
        (r"\b(?:Resize|SmallestMaxSize)\((?:size=)?\(?(\d+)(?=[^`]*?CenterCrop)", "short side resized to"),
        (r"\bCenterCrop\((?:size=)?\(?(\d+)", "input resolution"),
        (r"\b(?:Normalize\(|(?:image_)?mean\"? *[=:] *)[\[(]([\d., ]+)[\])]", "image mean"),
        (r"\b(?:Normalize\([\[(][\d., ]+[\])],\s*|(?:image_)?std\"? *[=:] *)[\[(]([\d., ]+)[\])]", "image std"),
    )
)
"""What code tells of a network, and what that is."""
_SHAPE = re.compile(r"\b(depths|dims|hidden_sizes|groups?_width)[\"']? *[=:] *([\[(][\d, ]+[\])]|\d+)")
"""What code says of the shape of a network that it names, which is one and no family."""
_FIELD = re.compile(
    r"\b\w*(?:config|cfg|processor|extractor)\.(?P<name>[a-z]\w+)\)*[ \t]*(?:#+|->|=>|\n)[ \t]*(?:(?:->|=>|#+)[ \t]*)?(?P<value>[\[('\"\d][^\n#]*)$",
    re.MULTILINE,
)
"""A field of a configuration in code, and its value in a comment or in the line below."""
_TELLS = re.compile(
    r"shape|dep|dim|width|config|cfg|processor|extractor|numel|[sS]ize|Crop\(|Normalize|mean|std|--[a-z]"
)
_OWN_CODE = re.compile(r"num_(?:labels|classes)\s?=|Train(?:er|ing)|fine-?tun|optimi[sz]er|\.backward\(|Random\w+\(")
"""What makes code one that trains, for other data."""
_COMMENT = re.compile(r"(?:^|(?<=\s))#+ +(?!%)(\S.*)$", re.MULTILINE)
_FLAG = re.compile(r"--(?!batch)([a-z][\w-]+)[ =]([\w.+-]+)")
"""A flag of a training; its batch is that of one process."""
_MARKS = re.compile(r"\*\*|[`$~](?!\d)|(?<!\w)_|_(?!\w)|\*(?=\w)|(?<=\w)\*|\\(?=[\[\]_%#])")


LONGEST = 2_000
"""Characters of a sentence or cell that is read; patterns take quadratic time on what is no prose."""
MOST_WORK = 12_000
"""What checking the statements of a card may take, in sentences: about a thousandth of a second each. One whose numbers and names
all have to be told apart takes as long as many."""
_VALUE = re.compile(r"\d+|[A-Z]")


@dataclass(frozen=True)
class Passage:
    """A sentence, line or cell with the words that say what it is about."""

    text: str
    """Context and own words; what is no prose (addresses, reference marks) is blanked."""
    begin: int
    """Where its own words begin in `text`."""
    start: int
    """Where they begin in the card."""
    whole: Span
    """The sentence or cell in the card."""
    section: tuple[str, ...]
    kind: str = "sentence"
    """Or `cell` or `field`."""
    label: str = ""
    """What stands before it as a label, a heading or a row's head, as it is written."""
    titles: tuple[str, ...] = ()
    """Of a cell: its row's head and its column's title."""
    row: str = ""
    """Of a cell: all of its row."""
    header: str = ""
    """Of a cell: the first row of its table."""
    raw: str = ""
    """Its own words as they stand in the card."""
    is_head: bool = False
    """Whether it is itself the head of a row with more cells, or a column's title."""
    before: str = ""
    """What may say whom it is about: the sentence before it, what leads to its list, or a table's caption."""

    @property
    def own(self) -> str:
        return self.text[self.begin :]

    def place(self, start: int, end: int) -> Span:
        """Offsets in the card of offsets in `text`."""
        return self.start + start - self.begin, self.start + end - self.begin


def bounded(document: Document, found: Iterable[Passage]) -> list[Passage]:
    """Passages that can be read in a minute. Raises MalformedError for more: a part of a card proves nothing of the rest."""
    kept, work = list[Passage](), 0.0
    for passage in found:
        work += 1 + len(passage.text) * len(_VALUE.findall(passage.text)) ** 2 / 10_000
        if work > MOST_WORK:
            why = "from here on it holds more sentences, cells and fields than are checked at once"
            remedy = "Check it in parts."
            raise MalformedError("The card", why, line=document.line_of(passage.start), remedy=remedy)
        kept.append(passage)
    return kept


def passages(document: Document, markers: Sequence[Span] = ()) -> Iterator[Passage]:
    """Sentences, lines and cells of a card, with the words around that say what they are about."""
    text, led = document.text, ""
    for block in document.blocks:
        if block.kind == "paragraph":
            if not block.in_item:
                led = text[block.start : block.end] if text[: block.end].endswith(":") else ""
            before = (block.parent or led)[-LONGEST:]
            for start, end in sentences(text, block.start, block.end, markers):
                label = block.label or ""
                if end - start > LONGEST:
                    continue
                yield replace(_passage(text, "", (start, end), block.section, "sentence", label), before=before)
                before = text[start:end]
        elif block.kind in ("fence", "indented-code"):
            yield from _config_passages(document, block)
            yield from _comments(document, block)
        elif block.kind == "html":
            yield from _html_passages(document, block)
    yield from _code_passages(document)
    for row, first in _rows(document):
        names = [text[cell.start : cell.end] for cell in row]
        models = " ".join(name for name in names if vocabulary().model_names.search(name) and len(name) < 60)
        header = " | ".join(text[block.start : block.end] for block in first)[:LONGEST]
        for cell in row if sum(map(len, names)) <= LONGEST else ():
            title, head = _titles(cell, names)
            if cell is not row[0] and _LETTER.fullmatch(title) and re.search(r"sketch|ImageNet", header, re.IGNORECASE):
                title = f"ImageNet-{title}"  # "A | R | Sketch"
            passage = _cell(text, (cell.start, cell.end), title, head, models, cell.section)
            is_head = len(row) > 1 and cell is row[0]
            caption = cell.caption[-LONGEST:]
            yield replace(passage, row=" | ".join(names), header=header, is_head=is_head, before=caption)


def _passage(text: str, context: str, span: Span, section: tuple[str, ...], kind: str, label: str) -> Passage:
    own = blanked(text[slice(*span)])
    return Passage(context + own, len(context), span[0], span, section, kind, label, raw=text[slice(*span)])


def _config_passages(document: Document, block: Block) -> Iterator[Passage]:
    """The lines of a fence that show the network's configuration (JSON, YAML), not code to run nor a recipe."""
    text = document.text[block.start : block.end]
    lines = [line for line in text.splitlines() if line.strip(" {},") and not re.match(r" *(?:```|~~~)", line)]
    if not all(_CONFIG_LINE.fullmatch(line) for line in lines):
        return
    lead = next((b for b in reversed(document.blocks) if b.end <= block.start and b.kind == "paragraph"), None)
    said = document.text[lead.start : lead.end] if lead and lead.section == block.section else ""
    kind = re.search(r"(?:model_type|model|architectures|_name_or_path|arch)\W+(?:\w+/)?([\w-]+)", text)
    context = blanked(f"{said} {kind[1] if kind else ''} : ") if said or kind else ""
    headed = f"{said} {' '.join(block.section[-1:])}"
    is_of_model = bool(_RECIPE.search(headed) or MODEL_FILE.search(headed))
    above: list[tuple[int, str]] = []
    for match in re.finditer(r"^([ -]*)[\"']?([\w-]*).*$", text, re.MULTILINE):
        above = [(indent, key) for indent, key in above if indent < len(match[1])]
        names = " ".join(key.replace("_", " ") for _, key in above)
        above.append((len(match[1]), match[2]))
        if _NETWORK_KEY.match(match.group()) or is_of_model or _RECIPE.search(names):
            span = block.start + match.start(), block.start + match.end()
            passage = _passage(
                document.text, f"{context}{names} : " if names else context, span, block.section, "config", ""
            )
            yield replace(passage, text=passage.text.translate(str.maketrans("\"'", "  ")))


def _comments(document: Document, block: Block) -> Iterator[Passage]:
    """The comments of code, but of code that trains."""
    text = document.text[block.start : block.end]
    for match in _COMMENT.finditer(text) if not _OWN_CODE.search(text) else ():
        span = block.start + match.start(1), block.start + match.end(1)
        yield replace(_passage(document.text, "", span, block.section, "code", ""), before=text[-LONGEST:])


def _code_passages(document: Document) -> Iterator[Passage]:
    """Shapes, counts and settings of the preprocessing in code, and the flags that the network was trained with."""
    lead = ""
    for block in document.blocks:
        text = document.text[block.start : block.end]
        if block.kind in ("fence", "indented-code", "paragraph", "cell") and _TELLS.search(text):
            for pattern, context in _IDIOMS if not _OWN_CODE.search(text) else ():
                for match in pattern.finditer(text):
                    yield _told_by_code(document, block, match.span(1), context)
            for match in _FIELD.finditer(text) if not _OWN_CODE.search(text) else ():
                told = _told_by_code(document, block, match.span("value"), match["name"].replace("_", " "))
                yield replace(told, kind="code")
            said = " ".join((text, lead, *block.section[-1:]))
            named = " ".join({*vocabulary().model_names.findall(" ".join((lead, *_COMMENT.findall(text))))})
            for match in _SHAPE.finditer(text) if block.kind == "fence" and re.fullmatch(r"\S+[-_/]\S+", named) else ():
                context = f"{named} — {match[1].replace('_', ' ')}"
                yield _told_by_code(document, block, match.span(2), context)
            if _RECIPE.search(said) and not re.search("fine-?tun", said, re.IGNORECASE):
                for match in _FLAG.finditer(text):
                    yield _told_by_code(document, block, match.span(2), re.sub("[_-]", " ", match[1]))
        if block.kind == "paragraph" and not block.in_item:
            lead = text


def _told_by_code(document: Document, block: Block, span: Span, context: str) -> Passage:
    at = block.start + span[0], block.start + span[1]
    text = document.text
    line = text.rfind("\n", 0, at[0]) + 1, min(block.end, text.find("\n", at[1]) % (len(text) + 1))
    passage = _passage(text, f"{context}: ", at, block.section, "cell", context)
    return replace(passage, titles=(context.rpartition(" — ")[2],), before=text[slice(*line)][-LONGEST:], whole=line)


def blanked(text: str) -> str:
    """The text with what is no prose blanked, at the same length."""
    for pattern in (_LINKS, _MARKS):
        text = blank(pattern, text)
    text = _CITATION.sub(lambda m: m.group() if _BEFORE_LIST.search(text[: m.start()]) else " " * len(m.group()), text)
    return re.sub(r"\s", " ", text)


def _cell(text: str, span: Span, title: str, head: str, models: str, section: tuple[str, ...]) -> Passage:
    """A cell: a title that names what its column holds stands next to it, otherwise the row's head does."""
    near_title = _names_something(title) or not _names_something(head)
    parts = [part for part in ((head, title) if near_title else (title, head)) if part]
    about = " — ".join(dict.fromkeys([*([models] if models and models not in parts else []), *parts]))
    passage = _passage(
        text, f"{blanked(about)}: " if about else "", span, section, "cell", title if near_title else head
    )
    return replace(passage, titles=tuple(part for part in (head, title) if part))


def _names_something(title: str) -> bool:
    words = vocabulary()
    is_label = any(about.labels_pattern.fullmatch(title) for about in words.spoken_of(title))
    return is_label or bool(words.score_pattern.search(title))


def _rows(document: Document) -> Iterator[tuple[list[Block], list[Block]]]:
    """The rows of a card's tables, each with its table's first row."""
    cells = (block for block in document.blocks if block.kind == "cell")
    first: list[Block] = []
    last = 0
    for line, row in itertools.groupby(cells, key=lambda block: block.line):
        here = list(row)
        first = here if not first or line > last + 2 else first  # a line of dashes stands between the first two
        last = line
        yield here, first


def _titles(cell: Block, names: list[str]) -> tuple[str, str]:
    """Title of a cell's column and head of its row."""
    head, dash, title = (cell.label or "").rpartition(" — ")
    if dash:
        return title, head
    return (title, "") if not names or title not in re.sub(r"[*_`]", "", names[0]) else ("", title)


def html_rows(text: str, start: int, end: int) -> Iterator[list[tuple[int, int, str]]]:
    """The cells of each row of an HTML table: where they begin and end, and their tag."""
    for row in _HTML_ROW.finditer(text, start, end):
        yield [(*cell.span(2), cell[1].lower()) for cell in _HTML_CELL.finditer(text, *row.span(1))]


def plain_html(text: str) -> str:
    """HTML without its tags."""
    return re.sub(r"<[^>]*>", "", text).strip()


def _html_passages(document: Document, block: Block) -> Iterator[Passage]:
    text, section = document.text, block.section
    tables = list(_TABLE.finditer(text[block.start : block.end]))
    for table in tables:
        header: list[str] = []
        for cells in html_rows(text, block.start + table.start(), block.start + table.end()):
            names = [plain_html(text[a:b]) for a, b, _ in cells]
            if not header and cells and (all(kind == "th" for *_, kind in cells) or len(cells) > 2):
                header = names
                continue
            if sum(map(len, names)) > LONGEST:
                continue
            first = " | ".join(header)[:LONGEST]
            models = " ".join(name for name in names if vocabulary().model_names.search(name) and len(name) < 60)
            for column, (start, end, _) in enumerate(cells):
                title = header[column] if column < len(header) else ""
                passage = _cell(text, (start, end), title, names[0] if column else "", models, section)
                yield replace(passage, row=" | ".join(names), header=first, is_head=not header and column == 0)
    taken = [(block.start + m.start(), block.start + m.end()) for m in tables]
    for match in re.finditer(
        r"(?:^|(?<=>))([^<>]+(?:</?(?:b|i|em|strong|code|a|span|sup|sub|u)\b[^>]*>[^<>]*)*)",
        text[block.start : block.end],
    ):
        start, end = block.start + match.start(1), block.start + match.end(1)
        nearest = bisect.bisect_right(taken, (start, len(text))) - 1
        if match[1].strip() and not (nearest >= 0 and start < taken[nearest][1]):
            for span in sentences(text, start, end):
                if span[1] - span[0] > LONGEST:
                    continue
                yield _passage(text, "", span, section, "sentence", "")
