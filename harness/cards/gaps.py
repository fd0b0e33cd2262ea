"""The gap that an answer goes into: whether it can be what is asked there, and in which words it fits.

A value can be what is asked only where it is of the kind that the words right before and behind the gap are about. What these
words say is not said again, and where no value fits, the words for what is missing do: `an unstated number of hours`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness.cards.answers import Answer
from harness.cards.markdown import MARK
from harness.cards.quantities import NUMBER_WORD
from harness.cards.questions import Place, is_of_kind
from harness.cards.retrieval import goes_with, is_known, stem
from harness.cards.vocabulary import Property, Vocabulary

_COUNTS = re.compile(r"(\d[\d.,]*(?<=\d))(?! ?[×,]| and \d) ?(?:%|[A-Za-z])")
"""A number and what it counts."""
_UNITS = re.compile(r"%|per ?cent|[a-z-]{3,}s|px|[kMG]B|[mk]?s|h|million|billion|[MGB]|Hz")
_SCALES = ("hundred", "thousand", "million", "billion")
_LESS = re.compile(r" (with|down to|in|on|for) .*")
"""What the first words of an answer can do without."""
_LONGEST = 14
"""Words that a phrase in a sentence may have."""
_TUPLE, _VECTOR = re.compile(r"\((?:-?[\d.]+, ){2}-?[\d.]+\)"), re.compile(r"^((?:-?[\d.]+, ){2}-?[\d.]+)$")
"""Values in brackets, one a channel, in a sentence whose other values then have them too."""
_NOT_ANY = re.compile(r"\b(?:no|an?|any|another)\s+$", re.IGNORECASE)
"""What no number stands behind."""
_IS = re.compile(r"\b(?:is|are|was|were)\s+$")
_HAS_ARTICLE = re.compile(r"\b(?:the|our|its|their|these|those)\s+$", re.IGNORECASE)
_SAYS = re.compile(r"\b(?:is|are|was|were|has|have)\b")
_NAMED_NUMBER = re.compile(r"(?:[A-Z]\w+ )?v?\d[\w.]*$")
"""What a clause ends with that can stand for it: `Transformers 4.46.3`."""
_NO_NOUNS = {
    "a", "after", "and", "are", "as", "at", "before", "but", "by", "during", "for", "from", "if", "in", "is", "of",
    "on", "or", "over", "per", "so", "than", "that", "the", "then", "to", "under", "until", "was", "were", "when",
    "where", "which", "while", "with",
}  # fmt: skip


@dataclass(frozen=True)
class Gap:
    """A gap with the words around it."""

    before: str
    """What leads to it in its sentence or cell."""
    after: str
    """What follows, as far as it may say what is counted."""
    place: Place

    @property
    def _next_word(self) -> str:
        found = re.match(r"\s*(%|per ?cent|[(,]|[A-Za-z]+)", self.after)
        return found[1] if found else ""

    @property
    def _noun(self) -> str:
        """What stands behind it and is counted or named."""
        return self._next_word if self._next_word not in _NO_NOUNS else ""

    @property
    def is_amid_words(self) -> bool:
        """Whether words lead to it or follow it: `by hand in [?]`."""
        return re.search(r"[A-Za-z] $", self.before) is not None or re.match(r" [a-z]", self.after) is not None

    def takes(self, answer: Answer, asked: Sequence[Property], table: Vocabulary) -> bool:
        """Whether an answer can be to what is asked: of its kind, of what is counted, and no value that stands there already,
        since what is of two kinds has hardly the same value twice."""
        place, said = self.place, MARK.sub("", answer.text)
        next_words = re.match(r" [a-z]+(?:-[a-z]+)?\b", self.after) if place.column is None else None
        told = replace(place, sentence=place.sentence + next_words[0]) if next_words else place
        if not is_of_kind(told, answer.text, table):
            return False
        if re.match("%|per ?cent", self._next_word) and not re.search(r"\d", said):
            return False
        if re.search(r"\bepoch (?:number |no\. )?$", self.before) and "epoch" not in answer.question:
            return False
        if _NOT_ANY.search(self.before) and re.match(r"\W*\d", said) and not self._noun:
            return False
        of, counted = (
            re.match(rf"(?:[\d,.]+|{NUMBER_WORD}) (?:[A-Z][\w-]* |\d+ )*([A-Za-z-]+s)\b", said),
            re.match(r" (?:(?:[A-Z][\w-]*|\d+) )*(?:[a-z-]+ )??([a-z-]{3,}s)\b", self.after),
        )
        is_rate = counted is not None and re.match(r"\s?(?:/|per\b|an?\b|each\b|every\b)", self.after[counted.end() :])
        are_images = counted is not None and stem(counted[1]) == stem("images") and not is_rate
        if are_images and re.match(r"\W*\d*\.\d+(?! [mb]illion)", said):
            return False  # no part of one is counted
        if of and counted and stem(of[1]) != stem(counted[1]) and is_known(counted[1]):
            return any(question.listed_by or goes_with(question, counted[1]) for question in asked)
        if counted and asked == [] and not re.match(rf"\W*(?:\d|{NUMBER_WORD}\b)", said):
            return False  # where nothing is known of the question, what is counted is a number
        return not (place.is_tight and self._holds(said))

    def _holds(self, said: str) -> bool:
        """Whether a value stands there: a number beside the gap, a name in its sentence, or either in a row where the gap's
        column is called nothing that is known."""
        number = re.match(r"\W*(\d[\d,.]*(?: × \d+)*)", said)
        value = number[1].replace(",", "") if number else said.strip("` .").casefold()
        parts = re.split(r"[,;]\s", self.place.sentence) if number else [self.place.sentence]
        texts = [part for part in parts if "[?]" in part]
        texts += [told for _, told in self.place.cells[1:] if not is_known(self.place.column or "")]
        rest = re.sub(r"(?<=\d),(?=\d{3})", "", " | ".join(texts)).casefold()
        return re.search(rf"(?<![\w.,-]){re.escape(value.strip(' .'))}(?![\w-]|[.,]\d)", rest) is not None

    def phrase(self, answer: Answer) -> Answer:
        """An answer as a phrase inside a sentence; where it needs sentences of its own, that it is not stated there."""
        text = answer.text.partition("; ")[0]
        made = " ".join(["", "".join(mark.group() for mark in MARK.finditer(text))]).rstrip()
        said = re.sub(r"\s+", " ", MARK.sub("", text)).strip()
        if answer.class_.has_value:
            said = self._fitted(said)
            said = _VECTOR.sub(r"(\1)", said) if _TUPLE.search(self.place.line) else said
        is_told = any(word in self.before for word in re.findall(r"[A-Za-z]+\d\w*", said))
        plain = re.sub(r"\([^()]*\)", "", said)
        if not answer.is_complete or is_told or re.search(r"[.:](\s|$)", plain) or len(plain.split()) > _LONGEST:
            return replace(answer, text="(not stated)" if answer.is_complete else "(not measured yet)")
        if not answer.class_.has_value and (self._next_word or not _IS.search(self.before)):
            said = self.lack(said)
        return replace(
            answer, text=(said[:1].lower() + said[1:] if re.match(r"(?:An?|The|Not) ", said) else said) + made
        )

    def _fitted(self, said: str) -> str:
        """A value without what the sentence around it says itself, or has no place for: a number alone where the words that
        follow say what is counted, `batches of 512 pictures`."""
        noun, next_word = self._noun, self._next_word
        if _SAYS.search(said) and (number := _NAMED_NUMBER.search(said)) and len(re.findall(r"\d[\d.]*", said)) == 1:
            said = number[0]
        number = re.search(r"([\d.,]*\d) %", said) if re.match("%|per", next_word) else _COUNTS.match(said)
        is_counted = noun.isalpha() and (re.fullmatch(r"[\d.,]+ [a-z]+", said) or noun.lower() in said.lower())
        if number and noun and (_UNITS.fullmatch(noun) or is_counted):
            said = number[1]
        elif next_word:
            said = re.sub(r"(?<!\]) ?\([^()]*\)", "", re.sub(r"(^[\d.,]*\d [a-z]+), .*", r"\1", said))
            said = re.sub(r"^([^,]*), [A-Za-z][^,]*$", r"\1", said) if noun.isalpha() else said
            less = _LESS.search(said) if " and " not in said else None
            if less and (noun or less[1] == next_word or len(said.split()) > _LONGEST):
                said = said[: less.start()]
        if re.search(r"\ban?\s+$", self.before):
            said = re.sub(r"^(?:one|an?|1 x) ", "", said)
        words = said.split(" ")
        while len(words) > 1 and self._is_said(words[0]):
            del words[0]
        if len(words) > 1 and stem(words[-1]) in map(stem, re.findall(r"[A-Za-z]+", self.before)[-4:]):
            del words[-1]
        again = re.match(r"\s+(?:of )?([A-Za-z]\w*)", self.after)  # `0.21 kg` before `of CO2`
        if len(words) > 1 and again and words[-1].startswith(again[1]):
            del words[-1]
        said = " ".join(words) if len(words) <= _LONGEST else re.split(r", (?=[A-Za-z])", " ".join(words))[0]
        return "not" if said in ("none", "not used") and next_word.endswith("ed") else said

    def _is_said(self, word: str) -> bool:
        flags = re.IGNORECASE if len(word) > 3 else 0  # "A residual network" behind "is a"
        return re.search(rf"(?<![\w-])(?!\d){re.escape(word)}(?![\w-])", self.before, flags) is not None

    def lack(self, words: str) -> str:
        """That something is missing, before what is counted or named: `an unstated number of hours`."""
        nouns = re.match(r"\s+([a-z]+|[A-Z]+(?= [a-z]+s\b))\b(?: ([a-z]+s)\b)?", self.after)
        if nouns is None or nouns[1] in _NO_NOUNS or re.fullmatch("[a-z]{1,2}", nouns[1]):  # a unit
            return f"({words})"
        if re.match("per ?cent", nouns[1]):
            return "an unspecified"
        lack = "undisclosed" if "disclosed" in words else "unstated"
        if (
            re.fullmatch("[a-z]+s|people", nouns[1])
            or nouns[1] in _SCALES
            or (nouns[2] and (self.place.column or nouns[1].isupper()))
        ):
            return f"{lack} number of" if _HAS_ARTICLE.search(self.before) else f"an {lack} number of"
        return f"({words})" if _IS.search(self.before) else "unspecified"


def apart(text: str, heads: str) -> str:
    """A value behind its label or in its row without the words that these say: `64` for `Group width g = 64`."""
    said = {stem(word) for word in re.findall(r"[A-Za-z]+", heads)}
    value = re.match(r"((?:[A-Za-z]+ )+)(?:\w{1,2} = )?(?=\d)", text)
    if value and {stem(word) for word in value[1].split() if len(word) > 2} <= said:
        text = text[value.end() :]
    counted = re.match(r"([\d.,]*\d) ([A-Za-z]+)(?= ?(?:\W|$)(?!\w))", text)
    is_said = counted and stem(counted[2]) in said and not re.match(r"[^;]*[a-z]", MARK.sub("", text[counted.end() :]))
    return f"{counted[1]}{text[counted.end() :]}" if counted and is_said else text
