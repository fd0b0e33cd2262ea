"""Which property a text asks for in words that no expression foresaw: by its plain words.

Properties have `cues`, the plain words that people ask for them with. A word counts the more the fewer properties it is
a cue of, and the nearer it stands; the property with the highest score is meant if it is clearly ahead of the next.
"""

from __future__ import annotations

import functools
import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence

from harness.cards.vocabulary import Property, Vocabulary

_MARGIN = 1.3
_ENOUGH = 4.5
"""What a sentence must score: more than its rarest word alone."""
_COVERED = 0.6
"""Which part of a heading's or label's words must be cues of what it asks."""
_SUFFIX = re.compile(r"(?<=\w{3})(?:ations?|ings?|ers?|ors?|ed|es|s|e|y|ion)$")
_EMPTY = frozenset(
    re.findall(
        r"\w+",
        """a an the of for to in on at and or it its is was are were be been do does did has have had this that these
        with which what how i my we our you your they their there by from as so if can could will would not no but
        into one about model network checkpoint net used using here us me much many more information needed some any
        all work works well good""",
    )
)


def retrieve(text: str, beside: Sequence[str], table: Vocabulary) -> Property | None:
    """What a sentence, heading or label asks.

    Args:
        text: the words; a marker in them is `[?]`.
        beside: what stands around it, nearest first, which counts less and can't tell alone.
        table: the properties.
    """
    cues, weights = _index(table)
    scores: dict[str, float] = defaultdict(float)
    near = _words(text)
    for distance, words in enumerate((near, *map(_words, beside))):
        for word in words:
            for name in cues.get(word, ()):
                scores[name] += weights[word] / (1 + distance)
    told = [name for name in scores if any(name in cues.get(word, ()) for word in near)]
    ranked = sorted(told, key=lambda name: -scores[name])
    if not ranked:
        return None
    best = ranked[0]
    asking = [word for word in near if word not in _EMPTY and not word.startswith("<")]
    covered = sum(best in cues.get(word, ()) for word in asking) / max(1, len(asking))
    is_label = "[?]" not in text or re.search(r":\W*\[\?\]\W*$", text)
    is_enough = (is_label and covered >= _COVERED) or ("[?]" in text and scores[best] >= _ENOUGH)
    is_clear = len(ranked) == 1 or scores[best] >= _MARGIN * scores[ranked[1]]
    about = table.get(best)
    return about if is_enough and is_clear and not about.is_elsewhere(text) else None


def _words(text: str) -> set[str]:
    """The stems of a text's words; the word that leads to a marker also as `<word`."""
    words = {_stem(word) for word in re.findall(r"[^\W\d_]+", text.replace("[?]", " "))}
    lead = re.search(r"([^\W\d_]+)[\W_]*\[\?\]", text)
    return words | ({f"<{_stem(lead[1])}"} if lead else set())


def _stem(word: str) -> str:
    return _SUFFIX.sub("", word.lower())


@functools.cache
def _cues_of(cues: str) -> frozenset[str]:
    return frozenset(f"<{_stem(word[1:])}" if word.startswith("<") else _stem(word) for word in cues.split())


def _index(table: Vocabulary) -> tuple[dict[str, set[str]], dict[str, float]]:
    found: dict[str, set[str]] = defaultdict(set)
    for about in table.properties:
        for word in _cues_of(about.cues or ""):
            found[word].add(about.id)
    counts = Counter({word: len(names) for word, names in found.items()})
    total = sum(about.cues is not None for about in table.properties)
    return found, {word: math.log(1 + total / count) for word, count in counts.items()}
