"""The part of a fact that a place asks for: one author, one stage, a sum, a year."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from harness.cards.knowledge import Knowledge
from harness.cards.markdown import escape_markdown
from harness.cards.questions import Place, entry_asked
from harness.cards.retrieval import stem
from harness.cards.views import View
from harness.cards.vocabulary import Property

_LISTS = (
    "documented.model.developers", "documented.model.organisation", "documented.training.betas",
    "documented.architecture.stage-depths", "documented.architecture.stage-widths",
    "documented.preprocessing.mean", "documented.preprocessing.std", "documented.preprocessing.normalisation",
)  # fmt: skip
"""What cards enumerate with a gap in it."""
FEW = 12
"""Names of classes that are listed where the classes are asked."""
_COLOUR = re.compile(r"\b(red|green|blue)\b", re.IGNORECASE)
_CHANNELS = re.compile(r"(?:\d+\.\d+, ){2}|^\W*\[\?\]\W*$")
"""A value for each channel in the same sentence, or no sentence."""
_PARTED = re.compile(r"\s*(?:[,;:·|/&(){}\[\]*_\"“”]|\band\b|\bund\b)\s*", re.IGNORECASE)
_LIST_GOES_ON = re.compile(r"[\s*_]*(?:,?\s*and\b|[,;/&·])", re.IGNORECASE)
_LIST_LEADS = re.compile(r"(?:\band|[,;/&·(])[\s*_]*$", re.IGNORECASE)
_AND_OTHERS = re.compile(r"\W*(?:et al|and (?:\w+ )?(?:others|colleagues|co-?workers)\b)", re.IGNORECASE)
_CLASS = re.compile(r"(?:^|\b(?:index|class|label|id)\W+|[·,;]\s*`?)`?(\d+)`?[\s:=.-]*$", re.IGNORECASE)
"""What stands before a class's name: its number."""
_TITLED = re.compile(r"\[([^\[\]]+)\]\(<?\[\?\]|^\W*([^:\[\]]+):\W*\[\?\]")
"""A link's text before its address, or a label."""
_TITLE_LEADS = re.compile(r"[:.,]\W*$|[\"“*_]+$")


def part_of(question: Property, place: Place, view: View) -> str | None:
    """The part of a value that a place asks for, as text; None where it asks for all of it."""
    value = view.value
    if question.list == "names" and (named := class_names(value)) and (place.is_tight or place.label_is_own):
        return ", ".join(map(escape_markdown, named)) if len(named) <= FEW else None
    if isinstance(value, dict) and question.list in value:
        value = value[question.list]
    if isinstance(value, dict) and (question.total or question.count):
        value = next((part for part in value.values() if isinstance(part, list) and sum(part) < 1000), value)
    if isinstance(value, list) and (question.total or question.count):
        return str(sum(value) if question.total else len(value))
    if question.detail and (detail := re.search(question.detail, str(value))):
        return f"{detail[1]} × {detail[1]}" if question.resolution else detail[1]
    if question.year:
        year = re.search(r"\b(?:19|20)\d\d\b", str(value))
        return year.group() if year else None
    colour = _COLOUR.search(place.sentence + " ".join(place.own)) if question.list in ("mean", "std") else None
    if colour and isinstance(value, list):
        return _shown(value[("red", "green", "blue").index(colour[1].lower())])
    if (
        question.list in ("mean", "std")
        and isinstance(value, list)
        and len({*value}) == 1
        and not _CHANNELS.search(place.line)
    ):
        return _shown(value[0])  # of all channels
    asked = {*map(stem, re.findall(r"[A-Za-z]+", f"{' '.join(place.own)} {place.sentence}"))}
    named = [part for name, part in value.items() if stem(name) in asked] if isinstance(value, dict) else []
    if len(named) == 1 and place.is_tight and isinstance(named[0], int | float):  # under the condition that is asked
        return _shown(named[0])
    at = entry_asked(place) if question.list or question.people or isinstance(value, list) else None
    if at is None:
        return None
    if isinstance(value, list) and -len(value) <= at < len(value) and len(value) > 1:
        return _shown(value[at])
    return view.number if view.evidence.is_number and question.list is None and "each" in view.text else None


def class_names(value: Any) -> list[str]:
    """The names in a list as a fact has it: `0 oak; 1 elm`."""
    return re.findall(r"\d+ ([^;]+)", str(value))


def missing_entry(place: Place, knowledge: Knowledge) -> tuple[View, str] | None:
    """What is left out of an enumeration of what a fact lists: `Girshick, [?] and Dollár`; of a paper's title its address, or of who wrote what, the title."""
    before, _, after = place.line.partition("[?]")
    for key in _LISTS:
        view = knowledge.find(key)
        for entries in _lists(view.value) if view else ():
            at = _gap(entries, before, after)
            if view and at is not None:
                return view, _shown(entries[at])
    names = knowledge.find("documented.data.class-names")
    named = _CLASS.search(f"{' '.join(place.row[:1])} " if place.row else before)
    listed = dict(re.findall(r"(\d+) ([^;]+)", str(names.value))) if names and named else {}
    if names and named and named[1] in listed:
        is_column = re.search(r"\b(?:name|label|class|category)\b", place.column or "", re.IGNORECASE)
        if is_column or any(name in before + after for name in listed.values()):
            return names, listed[named[1]]
    authors, title = knowledge.find(_LISTS[0]), knowledge.find("documented.model.title")
    paper, titled = knowledge.find("documented.model.paper"), _TITLED.search(place.line)
    if paper and title and titled and (titled[1] or titled[2]).strip().casefold() == str(title.value).casefold():
        return paper, f"<{paper.value}>"
    if authors and title and _TITLE_LEADS.search(before):
        told = [name for name in authors.value if name.rpartition(" ")[2] in before]
        last = next((item for item in reversed(_PARTED.split(before)) if item.strip(" .")), "")
        more = any(name.rpartition(" ")[2] in after for name in authors.value)
        if len(told) > 1 and _is_same(told[-1], last) and not more:
            return title, str(title.value)
    return None


def _lists(value: Any) -> Iterator[list[Any]]:
    for part in value.values() if isinstance(value, dict) else [value]:
        if isinstance(part, list) and len(part) > 1:
            yield part


def _gap(entries: Sequence[Any], before: str, after: str) -> int | None:
    """Which entry a marker stands for between what is before and after it; None where it is in no such list."""
    leads, goes_on = _LIST_LEADS.search(before), _LIST_GOES_ON.match(after)
    first = _PARTED.split(before[: leads.start()])[-1] if leads else None
    then = next((item for item in _PARTED.split(after[goes_on.end() :]) if item), None) if goes_on else None
    found = [
        at
        for at, entry in enumerate(entries)
        if (at > 0 and first is not None and _is_same(entries[at - 1], first, is_last=True))
        + (at + 1 < len(entries) and then is not None and _is_same(entries[at + 1], then))
        == (1 if at in (0, len(entries) - 1) or _AND_OTHERS.match(after) else 2)
        and not (isinstance(entry, str) and entry in before + after)
    ]
    return found[0] if len(found) == 1 else None


def _is_same(entry: Any, told: str, *, is_last: bool = False) -> bool:
    told = told.strip(" .'’`–-")
    if not isinstance(entry, str):
        number = re.search(r"(?<![\w.])\d[\d,.]*$" if is_last else r"^\d[\d,.]*", told)
        return number is not None and number.group().replace(",", "") in (str(entry), f"{entry:g}")
    names = (entry.casefold(), entry.rpartition(" ")[2].casefold(), re.sub(r"^(\w).* ", r"\1. ", entry).casefold())
    return told.casefold() in names or (len(entry) > 2 and told.casefold().endswith(f" {entry.casefold()}"))


def _shown(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
