"""Random edits of a card: of what harness wrote, and of what others did."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

from harness.cards.expected import Expected

Edited = tuple[str, set[int]]
"""The card after an edit, and the lines that it is found on."""
_LIE = "It has been shown to be the best model of its class."


def _ours(pattern: str, expected: Expected) -> list[re.Match[str]]:
    """Where a pattern is in what harness wrote."""
    found = re.finditer(pattern, expected.text)
    return [m for m in found if any(p.start <= m.start() and m.end() <= p.end for p in expected.pieces)]


def _replaced(text: str, *edits: tuple[int, int, str]) -> Edited:
    lines = {text.count("\n", 0, start) + 1 for start, _, _ in edits}
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    return text, lines


def _one(pattern: str, new: Callable[[str, random.Random], str]) -> Callable[[Expected, random.Random], Edited | None]:
    def edit(expected: Expected, rng: random.Random) -> Edited | None:
        if not (found := _ours(pattern, expected)):
            return None
        match = rng.choice(found)
        return _replaced(expected.text, (match.start(), match.end(), new(match.group(), rng)))

    return edit


def _other_word(word: str, rng: random.Random) -> str:
    return rng.choice([w for w in ("excellent", "robust", "not", "Swish", "people", "unlicensed") if w != word])


def _other_digit(digit: str, rng: random.Random) -> str:
    return str((int(digit) + rng.randint(1, 9)) % 10)


def _swapped(expected: Expected, rng: random.Random) -> Edited | None:
    numbers = _ours(r"(?<![\w.,])\d[\d,]*(?:\.\d+)?(?![\w,.]?\d)", expected)
    first = rng.choice(numbers)
    second = rng.choice([match for match in numbers if match.group() != first.group()])
    return _replaced(expected.text, (*first.span(), second.group()), (*second.span(), first.group()))


def _without_line(expected: Expected, rng: random.Random) -> Edited | None:
    match = rng.choice(_ours(r"(?m)^[^\n]*\S[^\n]*\n", expected) or _ours(r"[^\n.]+\. ", expected))
    return _replaced(expected.text, (match.start(), match.end(), ""))


EDITS: dict[str, Callable[[Expected, random.Random], Edited | None]] = {
    "token changed": _one(r"[^\W_]+", lambda token, rng: token[:-1] + rng.choice("xyz") + token[-1] + "q"),
    "digit changed": _one(r"\d", _other_digit),
    "word changed": _one(r"\b[^\W\d_]{2,}\b", _other_word),
    "sentence deleted": _one(r"(?<=[.:] )[A-Z][^\n.]*\. ", lambda sentence, rng: ""),
    "line deleted": _without_line,
    "sentence added": _one(r"(?<=\w)\. (?=[A-Z])", lambda stop, rng: f". {_LIE} "),
    "line added": _one(r"(?<=\S\n)(?=\S)", lambda start, rng: f"{_LIE}\n"),
    "two values swapped": _swapped,
    "link changed": _one(r"https?://[^\s)>\"`]+", lambda link, rng: link[:-1] + ("a" if link[-1] != "a" else "b")),
    "image changed": _one(r"(?<=!\[)[^\]\n]+\]\([^)\n]+", lambda image, rng: image[:-1] + "f" if rng.random() < 0.5 else "x" + image),
}  # fmt: skip


def _other_line(expected: Expected, rng: random.Random) -> tuple[int, int]:
    """The place of a line that holds nothing of ours."""
    lines = [match.span() for match in re.finditer(r"(?m)^[^\n]*\w[^\n]*$", expected.text)]
    return rng.choice([span for span in lines if not expected.piece_at(*span) and not expected.asked_at(*span)])


def _their_word(expected: Expected, rng: random.Random) -> str | None:
    words = [m for m in re.finditer(r"\b[^\W\d_]{2,}\b", expected.text) if not expected.piece_at(*m.span())]
    words = [match for match in words if not expected.asked_at(*match.span())]
    match = rng.choice(words)
    return expected.text[: match.start()] + _other_word(match.group(), rng) + expected.text[match.end() :]


def _their_sentence(expected: Expected, rng: random.Random) -> str:
    _, end = _other_line(expected, rng)
    return f"{expected.text[:end]} We use it every day.{expected.text[end:]}"


def _their_line_deleted(expected: Expected, rng: random.Random) -> str:
    start, end = _other_line(expected, rng)
    return expected.text[:start] + expected.text[end + 1 :]


def _their_section(expected: Expected, rng: random.Random) -> str:
    front = expected.text.index("\n---\n") + 5
    places = [match.start() for match in re.finditer(r"(?m)^##? |\Z", expected.text) if match.start() >= front]
    place = rng.choice([at for at in places if expected.text.count("```", 0, at) % 2 == 0])
    return f"{expected.text[:place]}\n## Notes of the museum\n\nWe reach 99 %.\n\n{expected.text[place:]}"


def _their_entry(expected: Expected, rng: random.Random) -> str:
    front = expected.text.index("\n---\n") + 1
    keys = [match.start() for match in re.finditer(r"(?m)^(?:[a-z_-]+:|---$)", expected.text[:front]) if match.start()]
    place = rng.choice([*keys, front])
    return f"{expected.text[:place]}thumbnail: museum.png\n{expected.text[place:]}"


OTHERS: dict[str, Callable[[Expected, random.Random], str]] = {
    "word changed": _their_word,
    "sentence added": _their_sentence,
    "line deleted": _their_line_deleted,
    "section added": _their_section,
    "entry added to the front matter": _their_entry,
}
ALSO_RENDERED = ("section added", "entry added to the front matter")
"""What others can do to a rendered card without touching what is ours."""
