"""Whether evidence says what a statement does, as exactly as it is stated; None where that can't be told."""

from __future__ import annotations

import operator
import re
import unicodedata
from collections.abc import Sequence
from typing import Any

from harness.cards.fields import bibtex_entries
from harness.cards.quantities import Quantity
from harness.cards.sentences import Span, clause_around
from harness.cards.stated import Statement, Value
from harness.cards.views import View
from harness.cards.vocabulary import Property
from harness.evidence import EvidenceClass

_MULTIPLY_ADDS = re.compile(
    r"\s?[GM]?FLOPs?\W{1,3}(?:counted (?:as|in) |i\.e\.,? |as |in )?mult\w*[- ]?(?:adds?|acc)", re.IGNORECASE
)
_PARTS = re.compile(r"[;,.()]")
_SPREAD = 0.1
"""Percentage points by which two evaluations of the same weights may differ: within it nothing is decided."""


MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DATE = re.compile(
    rf"(?:.*\b(?P<name>{'|'.join(MONTHS)})[a-z]*\b.*)?(?P<year>(?:19|20)\d\d)(?:-(?P<month>\d\d)(?:-\d\d)?)?",
    re.IGNORECASE,
)
"""A year, with or without its month."""
ARXIV = re.compile(r"\b(\d\d)(\d\d)\.\d{4,5}\b")
"""A number of arXiv, which tells year and month."""


def agrees(statement: Statement, view: View) -> bool | None:
    """Whether evidence says what a statement does; None where that can't be told."""
    value, known, about = statement.value, view.value, statement.about
    if about.detail and isinstance(value, Quantity):
        said = re.findall(about.detail, str(known))
        return any(value.agrees(float(".".join(number.split(".")[:2]))) for number in said) if said else None
    is_date = isinstance(value, Quantity) and isinstance(known, str) and _DATE.fullmatch(value.text)
    if about.year or is_date:
        dates = re.findall(r"\b((?:19|20)\d\d)(?:-(\d\d))?\b", _published(str(known)))
        return isinstance(value, Quantity) and any(_is_date(value, *date) for date in dates) if dates else None
    if about.address is not None:
        stated, right = _address(str(value)), _address(str(known))
        return stated.startswith(right) or right.startswith(stated)
    if isinstance(value, bool):
        told = f"{known} {view.fact.says or ''}" if view.fact and about.contains and not about.against else known
        return _used_agrees(value, told, about)
    if isinstance(value, tuple):
        return _people_agree(value, known, view) if about.people else _list_agrees(value, known, about)
    if isinstance(value, str):
        if str(known).casefold() == "none":
            return False
        names = about.names_in(str(known)) or about.names_in(view.fact.says or "" if view.fact else "")
        return value in names if names else None
    if isinstance(value, Quantity) and (about.total or about.list == "depths"):  # also all of them together
        depths = known.get("depths") if isinstance(known, dict) else known
        if isinstance(depths, list) and (about.total or value.agrees(sum(depths))):
            return value.agrees(sum(depths))
    if isinstance(value, Quantity) and statement.stage is not None:
        numbers = known.get(about.list or "") if isinstance(known, dict) else known
        is_there = isinstance(numbers, list) and -len(numbers) <= statement.stage < len(numbers)
        number = numbers[statement.stage] if isinstance(numbers, list) and is_there else None
        return value.agrees(number) if isinstance(number, int | float) else None
    if isinstance(value, Quantity) and about.list in ("mean", "std"):
        numbers = known.get(about.list) if isinstance(known, dict) else known
        return any(_is_rounded(value.value, number) for number in numbers) if isinstance(numbers, list) else None
    if isinstance(value, Quantity) and about.count:
        lists = [part for part in (known.values() if isinstance(known, dict) else [known]) if isinstance(part, list)]
        return value.agrees(len(lists[0])) if lists else None
    if isinstance(value, Quantity) and about.resolution and (isinstance(known, str) or view.name.metric == "resize"):
        # Steps of a preprocessing name several sizes.
        known, is_step = str(known), re.search(r"resiz|scal|short|edge|side", statement.passage.text, re.IGNORECASE)
        if not is_step and view.name.metric == "resize":
            return False
        if not is_step:
            known = known.partition("crop")[2] or known
        sizes = re.findall(r"\d+", known)
        return str(int(value.value)) in sizes if sizes else None
    if isinstance(value, Quantity):
        return _number_agrees(statement, value, known, view)
    return None


def _published(text: str) -> str:
    """A number of arXiv as the year and month that it tells; other text as it is."""
    number = ARXIV.fullmatch(text)
    return f"20{number[1]}-{number[2]}" if number else text


def _is_date(value: Quantity, year: str, month: str) -> bool:
    """Whether a date that is stated is one that is known, as far as both say."""
    stated = _DATE.fullmatch(value.text)
    told = stated and (MONTHS.index(stated["name"].lower()) + 1 if stated["name"] else int(stated["month"] or 0))
    return str(int(value.value)) == year and not (told and month and told != int(month))


def _number_agrees(statement: Statement, value: Quantity, known: Any, view: View) -> bool | None:
    about = statement.about
    factors: tuple[float, ...] = (1,)
    if about.name == "FLOPs":  # many count one for a multiply-add, some two
        is_told = _MULTIPLY_ADDS.match(statement.passage.text, statement.at + len(value.text)) is not None
        if view.name.metric == "macs" and not is_told:
            factors = (1, 0.5)
        elif view.key == "compute.flops" and is_told:
            factors = (2,)
    found = [_one_agrees(statement, value.times(factor), known, view) for factor in factors]
    return True if True in found else None if None in found else False


def _one_agrees(statement: Statement, value: Quantity, known: Any, view: View) -> bool | None:
    about = statement.about
    if isinstance(known, dict) and all(isinstance(part, int | float) for part in known.values()):
        named = [part for name, part in known.items() if re.search(rf"\b{name}", _clause(statement), re.IGNORECASE)]
        return any(value.agrees(part) for part in named or known.values())
    if isinstance(known, dict):
        texts = [known[statement.file]] if statement.file in known else known.values()
        sizes = [size for text in texts if (size := _bytes(str(text)))]
        near = [abs(value.value - size) <= max(value.step / 2, 0.01 * size) for size in sizes]
        return True if any(near) else False if statement.file in known else None
    if known == "none" or known is False:
        known = 0
    if isinstance(known, list) and all(isinstance(part, int | float) for part in known):
        return any(value.agrees(part) for part in known)
    if isinstance(known, bool) or not isinstance(known, int | float):
        return None
    if statement.is_asked and isinstance(known, int) and known and value.value % 1 and not value.scaled:
        return None  # a count is a whole number
    if view.evidence.unit and view.evidence.unit.startswith("million"):
        known = known * 1e6
    if view.evidence.unit and view.evidence.unit.startswith("billion"):
        known = known * 1e9
    found = value.agrees(known, truncated=about.truncated)
    rounded = view.class_ is EvidenceClass.DOCUMENTED and (isinstance(view.value, float) or known != view.value)
    if found is False and about.range[0] >= 1000 and rounded and abs(value.value - known) <= 0.06 * abs(known):
        return None  # a rounded value, or another way of counting
    if found is False and abs(value.value - known) <= about.tolerance * abs(known):
        return None
    if found is False and statement.metric is not None and abs(value.value - known) <= _SPREAD:
        return None
    return found


def _clause(statement: Statement) -> str:
    """The words around a value up to the next commas and brackets."""
    text, end = statement.passage.text, statement.at + statement.span[1] - statement.span[0]
    return text[slice(*clause_around(text, statement.at, end, _PARTS))]


def is_near_miss(stated: Value, known: Any) -> bool:
    """Whether a value is what a known one becomes by a slip: a factor of two or ten, or other digits in its place."""
    if isinstance(stated, str):
        right = str(known)
        return len(stated) == len(right) and sum(a != b for a, b in zip(stated, right, strict=True)) <= 3
    if not isinstance(stated, Quantity) or isinstance(known, bool) or not isinstance(known, int | float):
        return False
    if not known or not stated.value:
        return False
    ratio = stated.value / known
    digits, right = (re.sub(r"\D", "", f"{number:.12g}").strip("0") for number in (stated.value, known))
    if len(digits) == 1 < len(right):
        return False  # round numbers come close to many
    is_swapped = len(digits) > 2 and len(digits) == len(right) and sum(map(str.__ne__, digits, right)) <= 2
    return is_swapped or any(abs(ratio / f - 1) < 0.03 for f in (2, 0.5, 4, 0.25, 10, 0.1, 100, 0.01, 1000, 0.001))


def agrees_with(statement: Statement, known: Any) -> bool:
    """Whether a value is what a statement says."""
    value = statement.value
    if isinstance(value, Quantity) and isinstance(known, int | float):
        return value.agrees(known) is True
    return isinstance(value, str) and value in statement.about.names_in(str(known))


def _used_agrees(used: bool, known: Any, about: Property) -> bool | None:
    if about.against is not None and not re.search(
        f"{about.contains}|{about.against}".replace(" ", r"[\s_-]"), str(known), re.IGNORECASE
    ):
        return None
    if about.contains is not None:
        was_used = re.search(about.contains.replace(" ", r"[\s_-]"), str(known), re.IGNORECASE) is not None
    elif isinstance(known, str):
        was_used = known.casefold() not in ("none", "x", "off", "no")
    elif isinstance(known, bool | int | float):
        was_used = bool(known)
    else:
        return None
    return used is was_used


def _list_agrees(value: tuple[Any, ...], known: Any, about: Property) -> bool | None:
    if isinstance(known, dict):
        known = known.get(about.list or "")
    if isinstance(known, str) and about.list in ("mean", "std"):
        match = re.search(rf"{about.list} \[([^\]]*)\]", known)
        known = [float(part) for part in match[1].split(",")] if match else None
    if not isinstance(known, list) or not known:
        return None
    if len(value) == 2 and about.list == "widths":  # "from 128 to 1088 channels"
        return [*value] == [known[0], known[-1]]
    if len(value) != len(known):
        is_with_stem = len(value) == len(known) + 1 and tuple(known) == value[1:]
        return False if about.list in ("depths", "widths") and not is_with_stem else None
    is_same = _is_rounded if about.list in ("mean", "std") else operator.eq
    return all(map(is_same, value, known))


def _is_rounded(stated: float, known: float) -> bool:
    """Whether a constant of the normalisation is a known one, with as many digits as it has or two."""
    digits = max(2, len(f"{stated:g}".partition(".")[2]))
    return abs(stated - known) <= 0.5001 * 10**-digits


def _people_agree(stated: tuple[Any, ...], known: Any, view: View) -> bool | None:
    if isinstance(known, str) and known.startswith("@"):
        known = [name for entry in bibtex_entries(known)[:1] for name in people_of(entry.fields["author"][0])]
    if not isinstance(known, list):
        return None
    developers = surnames([str(name) for name in known])
    words = folded(f"{view.fact.says if view.fact else ''}")
    known_words = set(words.split())
    strangers = [name for name in stated if not surnames([name]) <= developers]
    if len(strangers) == len(stated) and any(
        re.search(
            r"\b(?:AI|Research|Team|Inc|Labs?|University|Institute|Google|Meta|Microsoft|Facebook|FAIR|NVIDIA|authors?)\b",
            n,
        )
        for n in stated
    ):
        return None  # an organisation in place of people
    return not [name for name in strangers if not (folded(name) in words and set(folded(name).split()) <= known_words)]


def surnames(names: Sequence[str]) -> set[str]:
    found = set()
    for name in names:
        parts = name.split(",")
        last = parts[0] if len(parts) > 1 else name.split()[-1] if name.split() else ""
        found.add(folded(last))
    return found - {""}


def _address(text: str) -> str:
    return re.sub(r"^(?:https?://)?(?:www\.)?", "", text.casefold()).rstrip("/").removesuffix(".git")


def find_folded(text: str, name: str, span: Span) -> int:
    """Where a name without its accents stands in a part of a text; the part's start where it doesn't."""
    return span[0] + max(0, _folded_chars(text[slice(*span)]).find(name))


def _folded_chars(text: str) -> str:
    return "".join(unicodedata.normalize("NFKD", c)[0] for c in text).casefold()


def people_of(author: str) -> list[str]:
    return [name.strip() for name in re.split(r"\s+and\s+", author) if name.strip()]


def folded(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text.casefold())
    return re.sub(r"[^a-z0-9]+", " ", "".join(c for c in plain if not unicodedata.combining(c))).strip()


def _bytes(text: str) -> float | None:
    match = re.fullmatch(r"([\d.]+) ?([kMG]?)B", text)
    return float(match[1]) * {"": 1, "k": 1e3, "M": 1e6, "G": 1e9}[match[2]] if match else None
