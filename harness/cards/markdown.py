"""Text for the inside of Markdown: escaped where it is data, plain where Markdown is not rendered, and a few forms of words."""

from __future__ import annotations

import re
from collections.abc import Iterable

from harness.cards.document import without_markers

MARK = re.compile("\ue000([0-9,]+)\ue001")
"""Where a reference will stand, while a card is written (`harness.cards.references`)."""
COMMENT = re.compile(r"<!--.*?-->|<br ?/?>", re.DOTALL)


def escape_markdown(text: str) -> str:
    """Text from a ledger or a card as data: one line, no markup, no marker."""
    flat = without_markers(re.sub(r"[\s\ue000\ue001]+", " ", text).strip())
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", flat)


def capital(text: str) -> str:
    """With a capital first letter, unless the text begins with markup, a number or an identifier: `imagenet-1k`."""
    return text if re.match(r"[a-z][^\s(]*[\d_/@]|timm\b", text) else text[:1].upper() + text[1:]


def compact_number(value: float) -> str:
    """A large count in words: 3.97 billion, 109.95 million."""
    for size, word in ((1e12, "trillion"), (1e9, "billion"), (1e6, "million")):
        if value >= size:
            return f"{value / size:.2f} {word}"
    return f"{value:,}"


def enumerate_words(words: Iterable[str]) -> str:
    """a, b and c."""
    words = list(words)
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def cell(value: object) -> str:
    """Text from outside as plain Markdown text: no line breaks, no table bars, no HTML, no links."""
    text = " ".join(str(value).split())
    return re.sub(r"([\\|<>\[\]`*_])", lambda match: f"\\{match[1]}", text)


def code(value: object) -> str:
    """Text from outside as inline code."""
    text = " ".join(str(value).split()).replace("|", "\\|")
    fence = "``" if "`" in text else "`"
    return f"{fence}{text}{fence}"


def one_line(text: str) -> str:
    """Lines joined by single spaces."""
    return re.sub(r"\s*\n\s*", " ", text).strip()


def short_text(markdown: str) -> str:
    """The first sentence of a value as plain text, with its class but without sources: for headings and link texts."""
    text = re.sub(r"\((documented|derived|estimated|looked in)\b[^()]*\)", r"(\1)", plain_text(markdown))
    return re.sub(r"[.;:](?: .*)?$", "", re.split(r"(?<=[\w)])\. ", text.replace(" (looked in)", ""))[0])


def plain_text(markdown: str) -> str:
    """Markdown prose without links, code marks and emphasis, for places where it isn't rendered."""
    text = re.sub(r"\[([^\[\]]*)\]\(([^()]*)\)", r"\1", re.sub(rf" ?{MARK.pattern}", "", markdown))
    text = re.sub(r"<(https?://[^<>]+)>", r"\1", text)
    text = re.sub(r"(?<!\\)[`*]", "", text)
    return re.sub(r"\\([\\`*_\[\]<>|#])", r"\1", text)
