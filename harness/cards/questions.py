"""Which properties a marker asks for, by the words around it."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from harness.cards.asked import facets
from harness.cards.document import NEEDED
from harness.cards.markdown import COMMENT, MARK
from harness.cards.retrieval import ENTRY, Found, Wording, asks_nothing, is_understood, plain, retrieve, understands
from harness.cards.vocabulary import Kind, Property, Vocabulary


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
    question: str = ""
    """The sentence or heading before it where that is a question."""
    whole: str = ""
    """All of its sentence: `sentence` has of several markers' words only its own."""
    line: str = ""
    """All of its sentence with the marker as `[?]`."""
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
    remarks: tuple[str, ...] = ()
    """For a cell: the head of its table's first column, and the texts to the right of it."""
    cells: tuple[tuple[str, str], ...] = ()
    """For a cell: the heads of the other columns, and what its row has there."""
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


_HEADING, _REST, _WHOLE, _BESIDE, _PARENT, _COLUMN = 0.35, 0.55, 0.35, 0.2, 0.6, 0.9
"""What a word counts in a heading, the rest of a sentence's part, all of it, the sentence before, the item above, a column's head."""
_RIGHT_OR_WRONG = re.compile(r"\b(?:top-?[15]|err(?:or)?s?|acc(?:uracy)?|accuracies|f1)\b", re.IGNORECASE)
_OWN = re.compile(r"\b(?:on|of|from) (?:my|our|your) (?!model|network|paper)", re.IGNORECASE)
"""Somebody's own images or machine, of which no source tells anything."""
_CONDITIONED = re.compile(r"\W*(?:on|for|among|across|over|under|at|with|without|in) ([^,]*), ", re.IGNORECASE)
"""What a sentence begins with that says of which images, or when, the rest is true."""
_PERCENT = re.compile(r"\s?(?:%|percent\b|per cent\b)")
_REACHES = re.compile(
    r"\b(?:gets?|got|reach\w*|scor(?:es?|ed)|achiev\w*|attain\w*|obtain\w*|(?:drop|fall|come)s? to)\W*$"
)
_GET_ON = re.compile(r"\b(?:get|reach|score) on\b")
_ON_DATA = re.compile(r"\s*(?:of (?:the |its )?\w+ )?(?:on|in|of) (?:the )?")
"""What leads to a result, and from it to its data."""
_TOLD = re.compile(r"(?<=\w)(,?\s)\d[\d,.]* [a-z]{3,}s?\b")
"""A value that a head tells beside what it asks: `Stage 1, 3 blocks`."""
_BY_SOURCE = re.compile(
    r"(?<=\w)[, (]+(?:as )?(?:printed|given|stated|reported|published)? ?(?:in|by|from) the (?:paper|model zoo)\b\)?"
)
"""Whose value a row has, beside what it is."""
_CONDITION = re.compile(r"[^\W\d_] \d[\d,.]*\W*$")
"""A cell with its column's title, under which a value of another column holds: `test size 192`."""
_NO_TRAINING = re.compile(r"\b(?:infer|serv|deploy|evaluat|validat|test|fine-?tun|distil)", re.IGNORECASE)
"""A group of rows about something else than the model's own training."""
_COUNTED = re.compile(r"\W*\d[\d ,.]*[^\W\d_]{3}")
"""A row's head that is a value, under which others are told: `1 000 classes`."""
_QUESTION = 0.7
"""What a word counts in the question before a sentence."""
_UNIT = re.compile(r"\s*[A-Za-zµ]{1,2}\s*")
_ANSWER = re.compile(r"^\W*A(?:nswer)?\s*\d*\s*[:.)][\s*_]*(?=\S)")
_SENTENCE = re.compile(r"(?:it|(?:this|the) (?:model|network|classifier))\s+(?:\w+ly )?[a-z]+s\b", re.IGNORECASE)
"""A label that is a sentence."""
_CLAUSES = re.compile(
    r"[;,·]\s|\((?=[^()]*\w[^()]*\[\?\])|\s(?=(?:once|while|whereas|although|because|when|after|before)\s)"
    r"|\s(?=(?:and|but|so) (?:(?:the|it|its|they|their|we|our|this|these|then)\s|(?!need|feed)[a-z]{2,}ed (?!data|images?|models?|weights)))"
)
_CONTENT = re.compile(r"[^\W\d_]")
_OPTIMISER = re.compile(
    r"(?:\b(?:trained|optimi[sz]ed)\b[^.;]{0,50} (?:with|by|using) |\boptimi[sz]er:\W*|^)\[\?\]\W*(?:(?:with|and|an?|its|the) )*(?:momentum|betas|weight decay|learning rate)\b",
    re.IGNORECASE,
)
"""What has settings of its own, told behind it, is the optimiser."""
_JOINED = re.compile(r"\s*(?:/|,|;|&|\+|\band\b)\s*(?:its\b|the\b)?")
_LISTED = re.compile(r"\s*(?:,|\band\b)\s*(?:and\b)?\s*(?:(?:as well as|other|the)\b)?", re.IGNORECASE)
"""What parts the things that a label names, or a sentence."""
_ARE = re.compile(r"\b(?:is|are|was|were)\W*$")
_TRAIN_AND_TEST = re.compile(
    r"\btrain\w*\b[^()]{0,12}(?:[/,&]|\band\b)[^()]{0,6}\b(?:test|eval|val|inference)", re.IGNORECASE
)
"""A label of what is so in training and of what is so in tests."""
_SUCH_AS = re.compile(r"\b(?:such as|like|including|e\.g\.)\s")
_EXAMPLES = re.compile(r"(?<=\w),? (?:such as|like|including|e\.g\.|with|on) .*", re.DOTALL)
"""What only tells more of the things that are named before."""
_OPEN = re.compile(
    r"(?:\W*|.*, )\[\?\]\s+that\b|\W*\[\?\]\s+(?:(?:on|for|about|regarding|of|as|that|which|based|to|due|because|since)\b|[A-Z])"
)
"""A marker that stands for a whole statement about what follows."""
_WHEN = re.compile(r"\s(?:for|at|in|from|of) the (?:best|last|final|first) ")
"""What follows the value of a label and says when it was so."""
_LINK = re.compile(r"\[([^\[\]]*)\]\(\[\?\]\)|\[\?\]\(\S+\)")
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
    is_sure: bool = True
    """Whether all words are understood; otherwise an answer could be another question's."""

    @classmethod
    def of(cls, found: Found | None) -> Recognised:
        return cls([found.about], is_sure=found.is_sure) if found else cls([])


def find_questions(place: Place, table: Vocabulary, known: Sequence[str] = (), *, by_clause: bool = True) -> Recognised:
    """The questions asked at a place.

    A sentence with words of its own is asked about in them or in its own label; what stands around it says what is
    asked only where the marker stands alone.

    Args:
        place: what surrounds the marker.
        table: the properties.
        known: expressions of words that ask nothing: what the model and its relatives are called.
        by_clause: whether a clause counts alone where the rest of its sentence is not understood.
    """
    sentence = _LINK.sub(r"\1 [?]", _EXPLANATION.sub("", COMMENT.sub("", place.sentence)))
    if place.question:
        sentence = _ANSWER.sub("", sentence)
    before, _, after = sentence.partition("[?]")
    headings = tuple((text, _HEADING / nth) for nth, text in enumerate(place.around[2:4], 1))
    if place.column is not None:
        return _asked_in_cell(place, headings, table, known)
    if _OPTIMISER.search(place.line):
        return Recognised([table.get("optimizer")], True)
    has_words = bool(_CONTENT.search(before + after))
    own_label = place.label.strip() if place.label and place.label_is_own else ""
    if own_label and not _CONTENT.search(before) and _WHEN.match(after):
        return find_questions(replace(place, sentence="[?]"), table, known, by_clause=by_clause)
    if _OPEN.match(sentence):
        return Recognised(asked_in(after, table, known))
    clause = _clause(sentence)
    begun = clause.partition("[?]")[0]
    if _ARE.search(begun) and (several := _each(begun, table, known, joined=_LISTED)):
        return Recognised(several)
    is_bare = asks_nothing(re.sub(r"(?<=\[\?\]) ?[a-z](?=\W*$)", "", clause))  # a unit says nothing
    if place.question or (has_words and not (own_label and is_bare)):
        rest = sentence.replace(clause, " ") if clause != sentence else ""
        near = ((place.whole, _WHOLE), (place.parent, _WHOLE), *((text, _BESIDE) for text in place.beside[-1:]))
        parts = ((clause, 1.0), (rest, _REST), (own_label, _REST), (place.question, 1.0 if is_bare else _QUESTION))
        lead = before if _CONTENT.search(before) else place.question.rstrip(" ?*_")
        beside = (*near, *headings)
        found = retrieve(Wording(parts, beside, True, lead, after), table, known)
        if rest and by_clause and not (found and found.is_sure):
            alone = retrieve(Wording((parts[0],), ((rest, _REST), *beside), True, lead, after), table, known)
            found = alone if alone and alone.is_sure else found
        has_data = any(True for _ in facets()["dataset"].read(f"{sentence} {place.question}"))
        is_share = _PERCENT.match(after) is not None or _is_result(before, after) or _GET_ON.search(place.question)
        if found and is_share and has_data and not (found.about.is_measurable or found.about.downstream):
            found = None  # what is a share of a data set is its accuracy
        if found:
            is_of_others = _OWN.search(sentence) or _is_on_others(before)
            is_sure = found.is_sure and not (is_of_others and found.about.is_measurable)
            return Recognised([found.about], has_words and not found.about.items, is_sure)
        if (is_share or not has_words) and has_data:
            return Recognised([table.get("accuracy")], has_words)
        if has_words:
            return Recognised([], True)
    if own_label and _SENTENCE.match(own_label):  # "It tells these apart: [?]"
        found = retrieve(Wording(((own_label, 1.0),), (("", 0.0),), True, own_label), table, known)
        return Recognised.of(found)
    if place.label and (own_label or not has_words):
        label = place.label.strip()
        wide = ((label, 1.0), (place.parent, _PARENT))
        alone = retrieve(Wording(wide[:1], (*wide[1:], *headings), after=after, titles=(label,)), table, known)
        found = alone if alone and alone.is_sure else retrieve(Wording(wide, headings, titles=(label,)), table, known)
        several = (_with_tests(found.about, (label,), table) if found else []) or _each(label, table, known)
        if several and (found is None or found.about in several):
            return Recognised(several)
        if found := found or alone:
            return Recognised.of(found)
        if own_label and any(
            True for _ in facets()["dataset"].read(label)
        ):  # a benchmark's name alone asks for its results
            is_sure = understands(table.get("accuracy"), Wording(wide[:1], titles=(label,)), known)
            return Recognised([table.get("results")], is_sure=is_sure)
    if has_words or own_label:
        return Recognised([])
    if place.in_code:
        is_citation = search("citation|bibtex", " ".join(place.section))
        return Recognised([table.get("citation" if is_citation else "code-inference")])
    if _CONTENT.search(place.line.replace("[?]", "").replace(NEEDED, "")):
        return Recognised([])
    for neighbour in place.beside:
        if not neighbour.rstrip(" *_").endswith("?") and (
            asked := asked_in(_EXPLANATION.sub("", neighbour), table, known)
        ):
            return Recognised(asked)
    heading = "".join(place.section[-1:])
    return Recognised.of(retrieve(Wording(((heading, 1.0),), headings[1:], titles=(heading,)), table, known))


def _is_on_others(before: str) -> bool:
    """Whether a sentence begins with images or conditions of which nothing is known: `For worn coins, top-1 is`."""
    told = _CONDITIONED.match(before)
    rest = told[1] if told else ""
    for facet in facets().values():
        for _, _, match in facet.read(rest):
            rest = rest.replace(match.group(), " ")
    return not is_understood(rest)


def _is_result(before: str, after: str) -> bool:
    """Whether what is told of a data set is a result: `On ImageNet-A it drops to [?]`, `[?] on ImageNet-R`."""
    on = _ON_DATA.match(after)
    leads = on is not None and any(match.start() == on.end() for _, _, match in facets()["dataset"].read(after))
    return leads or (_REACHES.search(before) is not None and not re.match(r"\s*[a-z]+s\b", after))


def _asked_in_cell(
    place: Place, headings: tuple[tuple[str, float], ...], table: Vocabulary, known: Sequence[str]
) -> Recognised:
    """What a cell asks by the heads of its row and column, with the words that the cell itself holds."""
    before, _, after = place.sentence.partition("[?]")
    inside = before + after if _CONTENT.search(before + after) and not _UNIT.fullmatch(before + after) else ""
    heads = [_TOLD.sub(r"\1", _BY_SOURCE.sub("", head)) for head in place.row]
    conditions = {head for head in heads[1:] if _CONDITION.search(head)}
    is_beside = [bool(place.column) and (head in conditions or bool(_COUNTED.match(head))) for head in heads]
    told, names = place.sentence.split(", "), re.split(r"\s*[,/]\s*", "".join(place.row[-1:]))
    if len(told) == len(names) > 1 and "[?]" in told:  # `mixup, cutmix | 0.8, [?]`
        nth = replace(place, row=(*place.row[:-1], names[told.index("[?]")]), sentence="[?]")
        return _asked_in_cell(nth, headings, table, known)
    rows = tuple((head, _REST if beside else 1.0) for head, beside in zip(heads, is_beside, strict=True))
    title = "" if rows and asks_nothing(place.column or "") else place.column or ""
    parts = (*rows, (title, _COLUMN if rows else 1.0), (inside, _REST))
    titles = (*place.row, place.column or "")
    beside = ((" ".join(place.remarks), _WHOLE), *headings)
    is_question = any(head.rstrip(" *_").endswith("?") for head in place.row)
    column = (rows and place.column) or ""
    wording = Wording(parts, beside, is_question, before=before, after=after, titles=titles, column=column)
    found = retrieve(wording, table, known)
    if not (found and found.is_sure) and rows[1:] and all(map(is_understood, heads[:-1])):  # a group, and what of it
        nearest = replace(wording, parts=(rows[-1], *parts[len(rows) :]), titles=titles[len(rows) - 1 :])
        alone = retrieve(nearest, table, known)
        is_of_training = alone and any(key.startswith("documented.training.") for key in alone.about.keys)
        is_apart = is_of_training and _NO_TRAINING.search(" ".join(heads[:-1]))
        found = alone if alone and alone.is_sure and not is_apart else found
    is_theirs = found and found.about.list and is_of_results(place, table)
    if found and (is_theirs or found.about.is_elsewhere(" ".join(place.section[-1:]))):
        found = None
    if any(True for text in titles for _ in facets()["dataset"].read(text)):
        if found is None or found.about.id == "training-data" or not (found.is_sure or found.about.is_measurable):
            # A benchmark's name alone asks for its results.
            return Recognised([table.get("results")], is_sure=understands(table.get("accuracy"), wording, known))
        if found.about.id == "paper":
            return Recognised([])  # "(paper)" says whose result it is
    is_open = found is None or found.about.id == "results" or not (found.is_sure or found.about.is_measurable)
    if is_open and any(True for text in place.row for _ in facets()["device"].read(text)):
        speed = table.get("throughput")  # of a device alone
        return Recognised([speed], is_sure=understands(speed, wording, known))
    may_be_several = len(place.row) == 1 and not title and ("/" in place.row[0] or not (found and found.is_sure))
    several = _each(place.row[0], table, known) if may_be_several else []
    if found and (several := _with_tests(found.about, place.row[-1:], table) or several):
        return Recognised(several)
    return Recognised(several) if several else Recognised.of(found)


def _with_tests(about: Property, labels: Sequence[str], table: Vocabulary) -> list[Property]:
    """What a label asks for training and for tests: `Crop (train / test)`; empty where it doesn't."""
    tested = table.get(about.tested_by) if about.tested_by else about
    whole = next((each for each in table.properties if each.tested_by == about.id), about)
    pair = [about, tested] if about.tested_by else [whole, about]
    return pair if pair[0] is not pair[1] and any(map(_TRAIN_AND_TEST.search, labels)) else []


def asked_in(text: str, table: Vocabulary, known: Sequence[str] = ()) -> list[Property]:
    """What a text speaks of: each of the things that it enumerates, or the one that most of its words are for."""
    named = _EXAMPLES.sub("", text)
    text = text if asks_nothing(named) else named
    found = retrieve(Wording(((text, 1.0),), (("", 0.0),), is_prose=True), table, known)
    return _each(text, table, known, joined=_LISTED, is_prose=True) or ([found.about] if found else [])


def spoken_of(text: str, table: Vocabulary) -> list[Property]:
    """Everything that a text speaks of: as a whole and in each of its parts."""
    parts = (text, *(part for piece in _SUCH_AS.split(text) for part in _LISTED.split(piece)))
    told = [retrieve(Wording(((part, 1.0),), (("", 0.0),), is_prose=True), table) for part in parts]
    return [found.about for found in told if found]


def _each(
    text: str, table: Vocabulary, known: Sequence[str], *, joined: re.Pattern[str] = _JOINED, is_prose: bool = False
) -> list[Property]:
    """What a text asks that names several things, `Mixup / CutMix`; empty where any of them isn't understood."""
    parts = [part for part in joined.split(text) if not asks_nothing(part)]
    titles = [() if is_prose else (part,) for part in parts]
    told = [
        retrieve(Wording(((part, 1.0),), (("", 0.0),), is_prose, titles=title), table, known)
        for part, title in zip(parts, titles, strict=True)
    ]
    asked = {each.about.id: each.about for each in told if each and each.is_sure}
    return [*asked.values()] if len(asked) > 1 and all(each and each.is_sure for each in told) else []


def _clause(sentence: str) -> str:
    """The part of a sentence between punctuation marks and subordinate clauses that holds the marker, if it asks anything."""
    part = next((part for part in _CLAUSES.split(sentence) if "[?]" in part), sentence)
    return sentence if asks_nothing(part) else part


_compiled = functools.cache(functools.partial(re.compile, flags=re.IGNORECASE | re.DOTALL))


def search(pattern: str | None, text: str) -> re.Match[str] | None:
    return _compiled(pattern).search(text) if pattern else None


_END = re.compile(
    r"\b(?:(reach\w*|end\w*|up to|finally)|(?:start|begin)\w*)(?: (?:at|with|from|in))?\W*$", re.IGNORECASE
)
"""What says that the first entry of a list follows, or the last."""
_INTO_HEAD = re.compile(
    r"\b(?:head|classifier|pooling(?: layer)?) (?:sees|gets|receives|takes|reads)\b|\b(?:enter|reach|fed into)\w* the (?:head|classifier)\b",
    re.IGNORECASE,
)
"""What only the last stage gives."""
_COUNT = ("one", "two", "three", "four", "five")
_ORDER = ("first", "second", "third", "fourth", "fifth", "sixth")


def entry_asked(place: Place) -> int | None:
    """Which entry of a list a place asks for, counted from 0 (-1 is the last); None where it asks for no single one."""
    sentence = plain(place.sentence)
    at = sentence.find("[?]")
    near = sorted(
        ENTRY.finditer(sentence),
        key=lambda m: (m[1] in ("deepest", "widest"), min(abs(m.start() - at - 3), abs(at - m.end()))),
    )
    heads = [match for text in place.own for match in ENTRY.finditer(plain(text))]
    if not heads and (end := _END.search(sentence[:at])):
        return -1 if end[1] else 0
    if not heads and _INTO_HEAD.search(sentence):
        return -1
    match = next(iter(heads or near), None) or ENTRY.search(plain(place.question))
    if match is None:
        return None
    word = (match[1] or "").lower()
    if match[4]:
        return _COUNT.index(match[4].lower())
    return _ORDER.index(word) if word in _ORDER else -1 if word else int(match[2] or match[3]) - 1


def is_of_kind(place: Place, answer: str, table: Vocabulary) -> bool:
    """Whether an answer is of the kind that the words of its question ask for: a number, a version, a place, a date, names."""
    told = COMMENT.sub("", MARK.sub("", answer)).strip()
    return all(search(kind.answer, told) or not _asks(kind, place) for kind in table.kinds.values())


def _asks(kind: Kind, place: Place) -> bool:
    heading, is_cell = " ".join(place.section[-1:]), place.column is not None
    asked = [*place.own, place.question, *(() if is_cell else (place.label or "", place.sentence))]
    asked += [f"{heading} > {text}" for text in asked]
    return any(search(kind.asked, text.strip()) for text in asked)


def asks_count(place: Place, table: Vocabulary) -> bool:
    """Whether a place asks for a number, of what is counted behind it or by its own words."""
    counted = re.match(r"\s+(?!apart\b)(?:[a-z-]+ )?[a-z-]+", place.sentence.partition("[?]")[2])
    return counted is not None or _asks(table.kinds["count"], place)


def is_of_results(place: Place, table: Vocabulary) -> bool:
    """Whether a mean, a deviation or an epoch is that of results: in their table, or as the sentence says."""
    is_said = table.get("spread-of-results").words_pattern.search(plain(place.line)) is not None
    return is_said or any(_RIGHT_OR_WRONG.search(title) for title, _ in place.cells)


def asks_error(place: Place) -> bool:
    """Whether a place asks for an error instead of an accuracy."""
    if place.own:
        return any(re.search(r"\berr(?:or)?s?\b", text, re.IGNORECASE) for text in place.own)
    named = map(_RIGHT_OR_WRONG.findall, (place.sentence, place.line.partition("[?]")[0]))
    return next((found[-1].lower().startswith("err") for found in named if found), False)
