"""Which property a text asks for: by its plain words, whatever the wording.

Properties have `cues`, the words that they are asked for with: a cue of several words asks only where all of them stand
there, and supporting words count for a property that a cue names. A word counts the more the fewer properties it is a cue
of, and the nearer to the marker it stands. The property that accounts for most of the words is meant, if it is clearly
ahead of the next; in a label or a cell it must also account for most of them, since a word that nobody knows ("window
size of the teacher") asks for something else.
"""

from __future__ import annotations

import functools
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from harness.cards.asked import concerns, facets
from harness.cards.sentences import Span, blank
from harness.cards.vocabulary import Property, Vocabulary, vocabulary

_MARGIN = 0.93
"""Which part of the best score the next one may reach where it accounts for words that the best doesn't."""
_ENOUGH = 2.0
_ENOUGH_IN_PROSE = 3.2
_COVERED = 0.6
"""Which part of a label's or cell's words must be accounted for."""
_COVERED_IN_PROSE = 0.3
_SUPPORT = 0.6
"""What a supporting word counts, beside a cue's."""
_OVERTAKES = 0.7
"""From which part of the best score on a property is meant that accounts for the same words and more."""
_OF = re.compile(r"\w (?:of|at|is|was|are|were)\s*$")
_NEARER = 0.6
"""From which part of the best score on a property is meant whose words stand right beside the marker."""
_OUTWEIGHS = 1.5
"""How much more must speak for a property than for one whose unit stands behind the marker."""
_ADJACENT = 1.4
"""What a word counts right beside the marker, in a sentence."""
_FAR = 0.2
"""What a word counts at most in the sentence before."""
_SILENT = 0.3
"""What each word of a cue adds that asks nothing itself: `weight file`, beside `weights`."""
_OWN = 1.0
"""What it adds that a cue stands there as a whole."""
_TITLED = 1.0
"""What it adds that a head or label as a whole is words for it."""
_ALONE = 1.5
"""What a unit adds that stands behind the marker and belongs to one quantity alone."""
_STRANGE = 6.5
_STRANGE_IN_PROSE = 1.2
"""What a word counts that is no property's: in a label it asks for something, in prose it only tells."""
_SUFFIX = re.compile(r"(?<=\w{3})(?:ations?|(?<!^dur)ings?|ers?|ors?|ies|ed|es|(?<!s)s|e|y|ion)$")
_SHORT = 4
"""How many words a clause needs to tell without the rest what it is about."""
_LEAD = re.compile(r"([^\W\d_]+)[\W_]{1,12}$")
_PLACES = {"<at", "<by", "<under"}
"""What leads to a place, a person or terms, where a property that is asked for with another of its kind isn't meant."""
_AFTER_NOUN = 0.8
"""What a label's words count behind the preposition that parts them from what they belong to."""
_PREPOSITION = re.compile(r"\b(?:on|in|of|for|at|during|per|with|after|before|by|from|under)\b", re.IGNORECASE)
_BARE_COLUMN = 0.25
"""What a column's words count that tell under which conditions a row's quantity holds."""
_OF_IT = re.compile(r"\bof (?:the|an?|its|our) $")
_HEAD = re.compile(
    r"(?:^|[,;:.]|(?<!\b[io][nf] )(?<!\b(?:by|at|to) )(?<!\bfor )(?<!\b(?:over|from|with) )\b(?:and|but|the|an?|its|whose)\b)"
    r"(?: (?!(?:of|for|in|on|at|with|by|from|that|which|during|over)\b)[^\s,;:.]+){0,3} ([A-Za-z]{3,}) (?:is|was|are|were)\s+$"
)
"""The noun that a sentence tells the value of, where it is told with no more."""
_NOUN = re.compile(
    r"\W*((?:[^\W_]+[ -]){0,4}?[^\W_]+)(?=\W*$| ?[(:/&]| (?:on|in|of|for|at|during|per|with|after|before|by|from|under|over|and|or|without)\b)"
)
"""What a label asks, before what it belongs to."""
_SUBJECT = re.compile(
    r"\bhow many ([\w-]+)\b|(?:^|[;,.:]\s|\()(?:[^;,.:(]*?(?<!\b[io][nf] )(?<!\bby )(?<!\bfor )(?<!\bat )\b(?:the|an?|its)\s|"
    r"(?=\W*\w+ (?:on|in|for)\b))([^;,.:(]*)\b(?:is|was|are|were)\s*$",
    re.IGNORECASE,
)
"""What a sentence tells the value of right before the marker."""
_ASKING = frozenset({"who", "where", "when", "checkpoint"})
"""What need not be accounted for."""
_NAME = re.compile(r"\b(?:Cascade )?Mask R-CNN\b")
"""What is called by words that ask for something else."""
_NUMBER_BEFORE = re.compile(
    r"(?:\b(?:approximately|about|around|roughly|nearly|over|only|just|number of)|[≈~=])\s*$", re.IGNORECASE
)
_HOW_MANY = re.compile(r"\bhow many\b|^\W*(?:(?:the|total) )*number of\b", re.IGNORECASE)
_NUMBER_AFTER = re.compile(
    r"\s?(?:%|percent\b|(?:million|billion|thousand|ms|px|pixels?|[kMG]B|kg|hours?|days|epochs?|times|milliseconds)\b)|-?dimensional"
    r"|\s(?!(?:is|was|has|as|this|its|does|terms|activations)\b)[a-z]{2,}[a-rt-z]s\b"
)
"""What says that a number stands between."""
_COUNTED = re.compile(r"\s(?:[a-z-]+ )?(?!(?:is|was|has|as|this|its|does)\b)[a-z-]+[a-rt-z]s\b")
"""What is counted: a word in the plural right behind the marker."""
_YEAR_BEFORE = re.compile(r"\b(?:in|year|since|date|from)\W*$", re.IGNORECASE)

ENTRY = re.compile(
    r"\b(?:(first|second|third|fourth|fifth|sixth|last|final|deepest|widest)\b|"
    r"(?:(?:stage|level|author|beta|β) ?#?|s)([1-9])\b|#([1-9])\b|stage (one|two|three|four|five)\b)",
    re.IGNORECASE,
)
"""Which entry of a list is asked for."""


class _Word(NamedTuple):
    stem: str
    weight: float
    start: int
    end: int


class Found(NamedTuple):
    """What a text asks."""

    about: Property
    is_sure: bool
    """Whether all its words are understood; otherwise it asks for the property of something else, or for another one."""


@dataclass(frozen=True)
class Wording:
    """The words around a marker, by how near they are."""

    parts: tuple[tuple[str, float], ...]
    """What asks, each with what it counts: of a sentence the clause and the rest, of a cell the heads of row and column."""
    beside: tuple[tuple[str, float], ...] = ()
    """What else stands around: it can't ask alone."""
    is_prose: bool = False
    before: str = ""
    after: str = ""
    """The words right before and behind the marker."""
    titles: tuple[str, ...] = ()
    """Heads and labels as wholes."""
    column: str = ""
    """The head of a cell's column, which need not be understood as well as its row's."""

    @property
    def asks_number(self) -> bool:
        """Whether only a number fits."""
        is_counted = any(_HOW_MANY.search(text) for text, _ in self.parts)
        return is_counted or bool(_NUMBER_BEFORE.search(self.before) or _NUMBER_AFTER.match(self.after))


def retrieve(wording: Wording, table: Vocabulary, known: Sequence[str] = ()) -> Found | None:
    """What the words around a marker ask.

    Args:
        wording: the words.
        table: the properties.
        known: expressions of words that ask nothing: what the model and its relatives are called.
    """
    text, own = _own(wording)
    lead = _LEAD.search(plain(wording.before or next(filter(None, wording.titles), "")) + " ")
    near = {word.stem for word in own} | ({f"<{stem(lead[1])}"} if lead else set())
    around: dict[str, float] = {}
    for beside, weight in wording.beside:
        for word in _words(plain(beside), weight):
            around[word.stem] = max(weight, around.get(word.stem, 0.0))
    candidates = _candidates(wording, text, near, table)
    rated = (_rate(about, wording, text, own, near, around) for about in candidates)
    ranked = sorted(filter(None, rated), key=lambda rated: -rated.score)
    counting = max((rated.score for rated in ranked if rated.counts and rated.about.alone), default=0.0)
    if wording.is_prose and counting:
        ranked = [r for r in ranked if r.counts or not r.about.units or r.score > _OUTWEIGHS * counting]
    if not ranked:
        return None
    best = ranked[0]
    wider = [other for other in ranked[1:] if other.near > best.near and other.score >= _OVERTAKES * best.score]
    best = max(wider, key=lambda other: len(other.near), default=best)
    is_led = wording.is_prose and _OF.search(wording.before) and not asks_nothing(wording.parts[0][0])
    adjacent = _beside(wording) if is_led else set()
    if is_led and best.near.isdisjoint(adjacent):
        nearer = [other for other in ranked if other.near & adjacent and other.score >= _NEARER * best.score]
        best, ranked = (nearer[0], nearer) if nearer else (best, ranked)
    ranked.remove(best)
    rival = next((other for other in ranked if other.near - best.near and other.counts >= best.counts), None)
    is_clear = rival is None or rival.score < _MARGIN * best.score
    is_enough = best.score >= (_ENOUGH_IN_PROSE if wording.is_prose and wording.before else _ENOUGH)
    if not (is_clear and is_enough):
        return None
    return Found(best.about, _covers(best, wording, text, own, known))


def asks_something(text: str, table: Vocabulary) -> bool:
    """Whether a text by itself asks for a property."""
    return retrieve(Wording(((text, 1.0),)), table) is not None


def _candidates(wording: Wording, text: str, near: set[str], table: Vocabulary) -> list[Property]:
    """The properties that something may name, in their order: the others needn't be rated."""
    named = {about.id for name in near for about in _cued().get(name, ())}
    named |= {about.id for about in table.spoken_of(" ".join((text, *map(plain, wording.titles))))}
    return [about for about in table.properties if about.id in named or (about.alone and _unit(about, wording))]


def _unit(about: Property, wording: Wording) -> re.Match[str] | None:
    """A property's unit right behind the marker."""
    return next(filter(None, (pattern.match(wording.after) for pattern, _ in about.unit_patterns)), None)


def asks_nothing(text: str) -> bool:
    """Whether none of a text's words can say what is asked: `It is [?]`."""
    return not any(word.weight for word in _words(plain(text), 1.0))


def content(text: str) -> frozenset[str]:
    """The stems of a text's words that can say what is asked."""
    return frozenset(word.stem for word in _words(plain(text), 1.0) if word.weight)


def is_understood(text: str) -> bool:
    """Whether all of a text's words that can say what is asked are ones that some property is asked for with."""
    return content(text) <= _cued().keys()


def is_named(about: Property, text: str) -> bool:
    """Whether a text has words enough to ask for a property."""
    words = frozenset(word.stem for word in _words(plain(text), 1.0))
    return any(cue <= words for cue in _cues(about.cues).core) or bool(about.words_pattern.search(text))


def shares_a_word(about: Property, text: str) -> bool:
    """Whether any word of a text is one that a property is asked for with."""
    core = frozenset().union(*_cues(about.cues).core)
    return any(word.weight and word.stem in core for word in _words(plain(text), 1.0))


def goes_with(about: Property, noun: str) -> bool:
    """Whether a word is one that a property is asked for with, or that supports it."""
    cues = _cues(about.cues)
    return any(stem(noun) in words for words in (*cues.core, cues.support))


class _Rated(NamedTuple):
    about: Property
    score: float
    near: frozenset[str]
    """Stems nearby that it accounts for."""
    spans: tuple[Span, ...]
    counts: bool = False
    """Whether its unit stands behind the marker."""


def _rate(
    about: Property, wording: Wording, text: str, own: Sequence[_Word], near: set[str], around: dict[str, float]
) -> _Rated | None:
    """How well a property fits; None where nothing names it."""
    cues = _cues(about.cues)
    everything = near | around.keys()
    loud = near - _silent()
    leads = {name for name in near if name.startswith("<")}
    far = {name for name, weight in around.items() if weight <= _FAR} - near  # only told in another sentence
    named = [
        c
        for c in cues.core
        if c <= everything
        and 2 * len(c & near) >= len(c)
        and (c <= near or (c & loud and not (c & near <= leads and c & far)))
    ]
    spans = [match.span() for match in about.words_pattern.finditer(text)]
    titled = [
        (text.find(title), text.find(title) + len(title))
        for title in map(plain, wording.titles)
        if about.labels and about.labels_pattern.fullmatch(title)
    ]
    spans += titled
    unit = _unit(about, wording)
    is_named = bool(named or spans)
    if not (is_named or (unit and about.alone)) or _is_excluded(about, wording, text, near, cues, unit, is_named):
        return None
    core: set[str] = set().union(*named)
    score, told = 0.0, set[str]()
    adjacent = _beside(wording) if wording.is_prose else set()
    for word in own:
        in_core = word.stem in core or any(start < word.end and word.start < end for start, end in spans)
        if word.weight and word.stem not in told and (in_core or word.stem in cues.support):
            told.add(word.stem)
            nearness = word.weight * (_ADJACENT if word.stem in adjacent else 1)
            score += _weight(word.stem) * nearness * (1 if in_core else _SUPPORT)
    for name in core | (cues.support & around.keys()):
        if name.startswith("<"):
            if name in near:
                told.add(name)
                score += _weight(name)
        elif name not in told and name in around:
            score += _weight(name) * around[name] * (1 if name in core else _SUPPORT)
    elsewhere = {word.stem for word in own if wording.is_prose and word.start >= len(plain(wording.parts[0][0]))}
    score += _OWN if spans or any(cue <= near and cue.isdisjoint(elsewhere) for cue in named) else 0
    score += _SILENT * max((len(cue - loud - around.keys()) for cue in named), default=0)
    score += _TITLED if titled and score < _ENOUGH else 0
    if unit:
        score += _ALONE * (2 if about.alone else 1)
    return _Rated(about, score, frozenset(told), tuple(spans), unit is not None)


def _is_excluded(
    about: Property,
    wording: Wording,
    text: str,
    near: set[str],
    cues: _Cues,
    unit: re.Match[str] | None,
    is_named: bool,
) -> bool:
    """Whether a property can't be what is asked, though something names it."""
    clause, counted = wording.parts[0][0], _COUNTED.match(wording.after)
    leads = {name for cue in cues.core for name in cue if name.startswith("<")}
    return bool(
        (wording.asks_number and (about.names or not (about.number or about.technique)))
        or (
            wording.is_prose
            and (
                (not unit and about.is_counted_in(clause))
                or (
                    counted
                    and about.number
                    and not (unit or about.names or any(cue <= near and cue & leads for cue in cues.core))
                    and not cues.explain(about, counted)
                )
                or (not about.number and leads and leads.isdisjoint(near) and near & _PLACES)
                or (about.year and not _YEAR_BEFORE.search(wording.before))
                or (len(content(clause)) < _SHORT and about.is_elsewhere(wording.beside[0][0]))
            )
        )
        or _asks_other(about, wording, cues)
        or about.is_elsewhere(text.replace(" | ", " "))
        or (about.needs and not is_named and not unit and about.excludes(text))
    )


def _asks_other(about: Property, wording: Wording, cues: _Cues) -> bool:
    """Whether the noun that asks is a word of other properties only: "bottleneck ratio" is no ratio of another kind."""
    subject = _SUBJECT.search(plain(wording.before)) if wording.is_prose else None
    told = [plain(text) for text, weight in wording.parts if weight == 1.0]
    if wording.is_prose:
        told = [subject[1] or subject[2]] if subject else []
    nouns = [noun[1] for text in told for noun in map(_NOUN.match, text.split(", ")) if noun]
    asking = [noun for noun in nouns if not asks_nothing(noun)]
    own = cues.support.union(*cues.core)
    for noun in asking if wording.is_prose or not about.metrics else ():
        words = [w.stem for w in _words(ENTRY.sub(" ", noun), 1.0) if w.weight and not w.stem.isdigit()]
        is_named = about.words_pattern.search(noun)
        if is_named or not any(word in _cued() and word not in own for word in words[-1 if about.metrics else -2 :]):
            return False
    return bool(asking) and (wording.is_prose or not about.metrics)


def is_known(text: str) -> bool:
    """Whether any word of a text asks for something, or says for which entry or under which conditions."""
    told = plain(text)
    asks = any(word.stem in _index() for word in _words(told, 1.0))
    return asks or bool(ENTRY.search(told)) or any(True for facet in facets().values() for _ in facet.read(told))


def understands(about: Property, wording: Wording, known: Sequence[str]) -> bool:
    """Whether a property and what can be asked of it account for the words of a cell's heads or a label."""
    text, own = _own(wording)
    cues = _cues(about.cues)
    near = cues.support.union(*cues.core)
    return _covers(_Rated(about, 0.0, near, ()), wording, text, own, known)


def _covers(rated: _Rated, wording: Wording, text: str, own: Sequence[_Word], known: Sequence[str]) -> bool:
    """Whether enough of the words are accounted for, by the property or by what else can be asked of it."""
    about, spans = rated.about, [*rated.spans]
    subject = _HEAD.search(plain(wording.before)) if wording.is_prose else None
    if subject and not goes_with(about, subject[1]) and not asks_nothing(subject[1]):
        return False
    if wording.is_prose and not {name.removeprefix("<") for name in rated.near}.isdisjoint(_beside(wording)):
        return True
    clause = [word for word in own if word.weight and word.start < len(plain(wording.parts[0][0]))]
    entries = {word.stem for word in clause for m in ENTRY.finditer(text) if m.start() <= word.start < m.end()}
    is_read = any(word.stem in rated.near or any(a <= word.start < z for a, z in spans) for word in clause)
    if wording.is_prose and not is_read and any(word.stem not in entries for word in clause):
        return False  # what asks stands in another part of the sentence
    spans += [m.span() for name, facet in facets().items() if concerns(name, about) for _, _, m in facet.read(text)]
    spans += [m.span() for pattern in known for m in re.finditer(pattern, text, re.IGNORECASE)]
    spans += [m.span() for m in ENTRY.finditer(text)]
    spans += [m.span() for m in vocabulary().model_names.finditer(text)] if about.downstream else []
    read = left = 0.0
    is_result = about.metrics or any(re.match(r"compute\.(?:throughput|latency|peak)", key) for key in about.evidence)
    strange = _STRANGE_IN_PROSE if wording.is_prose else _STRANGE
    column = text.rfind(plain(wording.column)) if wording.column else len(text)
    is_named = not about.is_measurable and any(word.stem in rated.near for word in own if word.start < column)
    for word in own:
        weight = None if word.stem in _ASKING else _index().get(word.stem)
        word = word._replace(weight=word.weight * (_BARE_COLUMN if is_named and word.start >= column else 1))
        if word.stem in rated.near or any(start < word.end and word.start < end for start, end in spans):
            read += (weight or _SUPPORT) * word.weight
        elif weight is None and word.stem not in _ASKING and len(word.stem) > 1:
            if not wording.is_prose and word.weight and (is_result or _OF_IT.search(text[: word.start])):
                return False
            left += strange * word.weight
        elif weight is not None:
            left += weight * word.weight * (_SUPPORT if wording.is_prose else 1)
    return read >= (_COVERED_IN_PROSE if wording.is_prose else _COVERED) * (read + left)


def _beside(wording: Wording) -> set[str]:
    """The stems of the words right before and behind the marker."""
    before, after = (_words(plain(text), 1.0) for text in (wording.before, wording.after))
    return {word.stem for word in (*before[-2:], *after[:1])}


def _own(wording: Wording) -> tuple[str, list[_Word]]:
    """The text that asks, and its words with their places in it."""
    text, words = "", list[_Word]()
    for part, weight in wording.parts:
        told = plain(part)
        found = None if wording.is_prose else _PREPOSITION.search(told)
        noun = found.start() if found and told[: found.start()].strip() else len(told)
        words += [
            _Word(
                word.stem,
                word.weight * (_AFTER_NOUN if word.start > noun else 1),
                word.start + len(text),
                word.end + len(text),
            )
            for word in _words(told, weight)
        ]
        text += f"{told} | "
    return text, words


def _words(text: str, weight: float) -> list[_Word]:
    """The words of a text; those that ask nothing themselves weigh nothing."""
    return [_Word(name, 0.0 if name in _silent() else weight, start, end) for name, start, end in _stems(text)]


@functools.lru_cache(maxsize=4096)  # headings and heads of columns stand around many places
def _stems(text: str) -> list[tuple[str, int, int]]:
    bare = blank(_NAME, text.replace("[?]", "   "))
    found = re.finditer(r"[^\W\d_]+\d?|(?<=[^\W\d_][ -])\d\b", bare)
    return [(stem(match.group()), *match.span()) for match in found]


def plain(text: str) -> str:
    """A text in plain letters: subscripts and the like as what they stand for."""
    return unicodedata.normalize("NFKC", text).replace("(s)", "s").replace("'s ", " ").replace("’s ", " ")


@functools.lru_cache(maxsize=65536)
def stem(word: str) -> str:
    """A word without its ending; all spellings and all words of one meaning alike."""
    lower = word.lower().replace("our", "or").replace("z", "s").replace("licens", "licenc")
    bare = _SUFFIX.sub("", lower)
    return _alike().get(bare, bare)


@functools.cache
def _alike() -> dict[str, str]:
    """For each word the one that stands for all of its meaning."""
    groups = [[_SUFFIX.sub("", word.replace("z", "s")) for word in line.split()] for line in vocabulary().alike]
    return {word: group[0] for group in groups for word in group[1:]}


@functools.cache
def _silent() -> frozenset[str]:
    return frozenset(stem(word) for line in vocabulary().silent for word in line.split())


class _Cues(NamedTuple):
    core: tuple[frozenset[str], ...]
    support: frozenset[str]

    def explain(self, about: Property, counted: re.Match[str]) -> bool:
        """Whether what is counted behind a marker, `GPUs` or `graphics cards`, is among them or says nothing."""
        nouns = set(map(stem, re.findall(r"[a-z]+", counted.group())))
        return not about.metrics and bool(nouns & self.support.union(_silent(), *self.core))


@functools.cache
def _cues(cues: str) -> _Cues:
    core, _, support = cues.partition(";")
    return _Cues(tuple(_items(item) for item in core.split()), frozenset().union(*map(_items, support.split())))


def _items(item: str) -> frozenset[str]:
    return frozenset(f"<{stem(part[1:])}" if part.startswith("<") else stem(part) for part in item.split("_"))


@functools.cache
def _cued() -> dict[str, list[Property]]:
    """The properties that a word is a part of a cue of."""
    found: dict[str, list[Property]] = {}
    for about in vocabulary().properties:
        for name in frozenset().union(*_cues(about.cues).core):
            found.setdefault(name, []).append(about)
    return found


@functools.cache
def _index() -> dict[str, float]:
    """How much each word counts."""
    listed = [_cues(about.cues) for about in vocabulary().properties]
    counts = Counter(name for cues in listed for name in frozenset().union(cues.support, *cues.core))
    return {name: math.log(1 + len(listed) / count) for name, count in counts.items()}


def _weight(name: str) -> float:
    return _index().get(name, 2.0)
