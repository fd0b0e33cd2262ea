"""Which properties a marker asks for, by the words around it."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from harness.cards.asked import concerns, facets
from harness.cards.retrieval import retrieve
from harness.cards.sentences import Span
from harness.cards.stated import leads
from harness.cards.vocabulary import Property, Vocabulary


@dataclass(frozen=True)
class Place:
    """What surrounds a marker: the material for telling what it asks."""

    sentence: str
    """Its sentence, the marker as `[?]`."""
    label: str | None
    label_is_own: bool
    """Whether the label stands in the marker's own block, not in one before it."""
    beside: tuple[str, ...]
    """The sentences before and after it in its paragraph, nearest first."""
    section: tuple[str, ...]
    whole: str = ""
    """All of its sentence: `sentence` has of several markers' words only its own."""
    section_text: str = ""
    """All text of its section, to see which benchmarks it speaks of."""
    in_code: bool = False
    parent: str = ""
    """In a nested list: the text of the item above."""
    row: tuple[str, ...] = ()
    """For a cell: the texts to the left of it."""
    column: str | None = None
    """For a cell: its column's head; None for anything else."""
    header: str = ""
    """For a cell: the head of its table's first column."""
    is_tight: bool = False
    """Whether only a value fits: a cell, or a gap in a sentence."""
    around: tuple[str, ...] = ()
    """What else may say under which conditions something is asked, nearest first: the sentence, a caption, headings."""

    @property
    def own(self) -> tuple[str, ...]:
        """The words that are about this place alone: of a cell its row and column, of a label line the label."""
        if self.column is not None:
            return (" | ".join(filter(None, (*self.row, self.column))),)
        return (self.label,) if self.label and self.label_is_own else ()


ENTRY = re.compile(
    r"\b(?:(first|second|third|fourth|fifth|last|final|deepest)\b|(?:(?:stage|level) ?#?|s)([1-9])\b|#([1-9])\b)",
    re.IGNORECASE,
)
_SHORT = 4
"""How many words of a sentence are too few to tell without the rest what they are about."""
_LISTED = re.compile(r"\s*(?:[,/&]|,?\s*\b(?:and|or)\b)\s*(?:the\s)?")
_EXPLANATION = re.compile(
    r",?\s+(?:as|since|because)\s+(?:the\s+|those\s+|these\s+|they\s+|it\s+|there\s+)"
    r"(?:\w+\s+){0,3}?(?:is|are|was|were|do|does|focus|references)\b.*",
    re.IGNORECASE | re.DOTALL,
)


class Recognised(NamedTuple):
    """What is asked at a place."""

    questions: list[Property]
    """In the order they are asked; empty where none is recognised."""
    is_hole: bool = False
    """Whether the marker stands for a value in a sentence that says more."""


def find_questions(place: Place, table: Vocabulary, known: Sequence[str] = ()) -> Recognised:
    """The questions asked at a place.

    A sentence with words of its own is asked about in them or in its own label; what stands around it says what is
    asked only where the marker stands alone.

    Args:
        place: what surrounds the marker.
        table: the properties.
        known: expressions of words that ask nothing: what the model and its relatives are called.
    """
    if place.column is not None:
        texts = [text for text in (*place.row, place.column) if text.strip()]
        found = _named(texts, table, known) or _by_heads(texts, table)
        found = [about for about in found if not about.is_elsewhere(" ".join(place.section[-1:]))]
        is_benchmark = any(True for text in texts for _ in facets()["dataset"].read(text))
        if is_benchmark and not found:
            found = [table.get("results")]  # a benchmark's name alone asks for its results
        if is_benchmark and found[0].id == "paper":
            return Recognised([])  # "(paper)" says whose result it is
        return Recognised(found or _by_cues(place, table))
    if (bound := _beside(place.sentence, table)) is not None and not (
        bound.is_elsewhere(place.whole) and len(place.sentence.split()) < _SHORT
    ):
        return Recognised([bound], is_hole=True)
    sentence = _EXPLANATION.sub("", place.sentence)
    has_words = bool(re.search(r"\w", sentence.replace("[?]", "")))
    found = _by_topic(sentence, table) if has_words else []
    if has_words and not any(search(question.topic, _clause(sentence)) for question in found):
        meant = retrieve(_clause(sentence), (place.whole, *place.section[-1:]), table)
        if meant is not None:
            return Recognised([meant], is_hole=True)
    if not found and place.label and (place.label_is_own or not has_words):
        label = place.label.strip()
        full = f"{place.parent}: {label}" if place.parent else label
        found = _named([label], table, known) or _named([full], table, known)
        found = found or _by_label(label, table) or _by_label(f"{place.parent}: {label}", table)
        found = found or _retrieved(label, (place.parent, *place.section[-1:]), table)
    if found or has_words or (place.label and place.label_is_own):
        return Recognised(found)
    if place.in_code:
        is_citation = search("citation|bibtex", " ".join(place.section))
        return Recognised([table.get("citation" if is_citation else "code-inference")])
    for neighbour in place.beside:
        if found := _by_topic(_EXPLANATION.sub("", neighbour), table):
            return Recognised(found)
    path = " > ".join(place.section)
    asked = [question for question in table.properties if search(question.section, path)][:1]
    return Recognised(asked or _retrieved(" ".join(place.section[-1:]), place.section[-2:-1], table))


def _retrieved(text: str, beside: Sequence[str], table: Vocabulary) -> list[Property]:
    found = retrieve(text, beside, table)
    return [found] if found else []


def _clause(sentence: str) -> str:
    """The part of a sentence between punctuation marks that holds the marker."""
    return next((part for part in re.split(r"[;,·]\s", sentence) if "[?]" in part), sentence)


_compiled = functools.cache(functools.partial(re.compile, flags=re.IGNORECASE | re.DOTALL))


def search(pattern: str | None, text: str) -> re.Match[str] | None:
    return _compiled(pattern).search(text) if pattern else None


_ORDER = ("first", "second", "third", "fourth", "fifth")


def entry_asked(text: str) -> int | None:
    """Which entry of a list a text asks for, counted from 0 (-1 is the last); None where it asks for no single one."""
    match = ENTRY.search(text)
    if match is None:
        return None
    word = (match[1] or "").lower()
    return _ORDER.index(word) if word in _ORDER else -1 if word else int(match[2] or match[3]) - 1


def asks_error(place: Place) -> bool:
    """Whether a place asks for an error instead of an accuracy."""
    words = place.own or (place.sentence,)
    return any(re.search(r"\berr(?:or)?s?\b", text, re.IGNORECASE) for text in words)


def _by_heads(texts: Sequence[str], table: Vocabulary) -> list[Property]:
    """What a cell asks: its row, else its column says so; where both name a quantity, they must agree."""
    heads = [_by_label(head, table) or _by_topic(head, table) for head in texts]
    found = list(dict.fromkeys(question.id for questions in heads for question in questions[:1]))
    quantities = [question for question in map(table.get, found) if question.is_measurable]
    return [table.get(found[0])] if found and len(quantities) < 2 else []


def _by_cues(place: Place, table: Vocabulary) -> list[Property]:
    """What the plain words of a cell's row, else of its column ask."""
    plain = re.compile("|".join(table.plain_words), re.IGNORECASE)
    heading = " ".join(place.section[-1:])
    for text in (*place.row, place.column or ""):
        found = retrieve(text, (place.column or "", heading), table) if plain.sub("", text).strip() else None
        if found and not found.is_elsewhere(heading):
            return [found]
    return []


def _named(texts: Sequence[str], table: Vocabulary, known: Sequence[str]) -> list[Property]:
    """The property that a cell's heads or a label name, with nothing besides that isn't understood; the one that is named
    in most words where there are several."""
    text = " | ".join(texts)
    asked = {name: [match.span() for _, _, match in facet.read(text)] for name, facet in facets().items()}
    plain = (*known, *(rf"\b(?:{word})\b" for word in table.plain_words))
    read = [match.span() for pattern in plain for match in _compiled(pattern).finditer(text)]
    words = [word.span() for word in re.finditer(r"[^\W\d_][\w-]+", text)]
    best: list[tuple[int, Property]] = []
    for about in table.properties:
        spans = about.asked_in(text, texts)
        spans = [*spans, *(m.span() for m in ENTRY.finditer(text))] if spans and about.list else spans
        if not spans:
            continue
        concerned = [span for name in asked if asked[name] and concerns(name, about) for span in asked[name]]
        if _cover(words, [*read, *concerned, *spans]) and not about.is_elsewhere(text):
            best.append((sum(end - start for start, end in _merged(spans)), about))
    longest = max((size for size, _ in best), default=0)
    return [about for size, about in best if size == longest][:1]


def _cover(words: Sequence[Span], spans: Sequence[Span]) -> bool:
    return all(any(start < b and a < end for start, end in spans) for a, b in words)


def _merged(spans: Sequence[Span]) -> list[Span]:
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _beside(sentence: str, table: Vocabulary) -> Property | None:
    """The property whose words lead to the marker, or whose unit follows it: `batches of [?] images`, `for [?] epochs`."""
    at, clause = sentence.find("[?]"), next((part for part in sentence.split("; ") if "[?]" in part), "")
    before, after = sentence[:at], sentence[at + 3 :]
    if at < 0 or not re.search(r"\w", before + after):
        return None
    named = [(start, end, about) for about in table.properties for start, end in about.asked_in(sentence)]
    named = [(start, end, about) for start, end, about in named if end <= at and not about.is_elsewhere(clause)]
    outer = {(start, end) for start, end, _ in named}
    named = [n for n in named if not any(a <= n[0] and n[1] <= b and (a, b) != n[:2] for a, b in outer)]
    last = max(named, key=lambda n: (n[1], -n[0]), default=None)
    follow = [(end, about) for about in table.properties if (end := about.leads_in(after))]
    if last is not None and leads(before[last[1] :]) and (not follow or last[2].unit_patterns):
        between = (sentence[end : last[0]] for _, end, about in named if about is not last[2] and end <= last[0])
        is_listed = any(map(_LISTED.fullmatch, between))  # one marker for several
        return None if is_listed else last[2]
    counted = [
        (max(ends), about)
        for about in table.properties
        if (ends := [m.end() for p, _ in about.unit_patterns if (m := p.match(after))]) and not about.list
    ]
    meant = [about for _, about in counted if any(about is other for *_, other in named)]
    follow += [n for n in counted if n[1] in meant or n[1].alone or (n[1].needs and not n[1].excludes(sentence))]
    follow = [n for n in follow if not n[1].is_elsewhere(clause)]
    return max(follow, key=lambda n: (n[0], n[1] in meant), default=(0, None))[1]


def _by_topic(text: str, table: Vocabulary) -> list[Property]:
    hits: list[tuple[int, Property]] = []
    for question in table.properties:
        match = search(question.topic, text)
        match = None if question.id == "accuracy" and question.is_elsewhere(text) else match
        if match and (question.whole or search(question.whole_if, text)):
            return [question]
        if match:
            hits.append((match.start(), question))
    asked = {question.id for _, question in hits}
    return [q for _, q in sorted(hits, key=lambda hit: hit[0]) if not asked.intersection(q.yields_to)]


def _by_label(label: str, table: Vocabulary) -> list[Property]:
    alone = [question for question in _by_topic(label, table) if question.whole]
    return alone or [q for q in table.properties if search(q.label or q.topic, label)][:1]
