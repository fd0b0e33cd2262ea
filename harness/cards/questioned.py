"""A value as what would answer a question: it is taken out of its place, and what the rest asks is what it states.

What fill reads of a marker is read here of a value, so that whatever wording can be filled can be checked.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from harness.cards.agreement import ARXIV, MONTHS
from harness.cards.asked import facets
from harness.cards.passages import Passage
from harness.cards.quantities import Quantity
from harness.cards.questions import Place, entry_asked, find_questions
from harness.cards.retrieval import ENTRY, goes_with
from harness.cards.sentences import Span
from harness.cards.stated import Statement, statement_in
from harness.cards.vocabulary import Property, Vocabulary

_LABEL = re.compile(r"(?:^|[;,]\s)\W*([^:=;,]{2,60}?)\W{0,3}[:=][\s\"'`*\[(]*$")
_BARE = re.compile(r"\W*#?\d\W*")
_NOUN = re.compile(
    r"[\s-]+(?!(?:and|or|but|for|in|on|of|at|to|is|was|are|were|as|by|with|from|when|while|which|that|than|after|before|"
    r"during|per|each|then|so|using|throughout|everywhere)\b)([A-Za-z]+)"
)
"""What a number counts."""
_MONTH = re.compile(
    rf"(?:\d{{1,2}}\.? )?(?:{'|'.join(MONTHS)})[a-z]*(?: \d{{1,2}}(?:st|nd|rd|th)?)?,? (?:of )?$", re.IGNORECASE
)
_FACTOR = re.compile(r"\s?(?:times|fold) (?:as|more|less|\w+er)\b|\s(?:out )?of \d", re.IGNORECASE)
"""How often more or longer something is, or of how many it is so: no value of anything."""
_SYMBOL = re.compile(r"\bk\s?=\s?$", re.IGNORECASE)
"""What gives a number of neighbours or guesses."""
_IN_EACH = re.compile(r"\s?(?:in|on|per|to|for) (?:an?|each|every|one)\b|\s?\w+ per (?:class|category|label)\b")
"""A number of each of what follows, not of all of them."""
_SIZE = re.compile(r"\d\s?[x×²^]|\bby\b|pixel|px")
_CLAUSE = re.compile(r";\s|,? (?=(?:while|whereas|but)\s)")
_NAME = r"[A-ZÀ-Þ][\w.'’À-ÿ-]*(?: [A-ZÀ-Þ][\w.'’À-ÿ-]*)+"
_NAMES = rf"{_NAME}(?:(?:,? (?:and|&) |, | / |; ){_NAME})*"
_PEOPLE = re.compile(
    rf"(?:\b(?:by|are|were|is|was|(?:due|back|thanks|owed|owing|credited|attributed) to|behind it)|:)\W{{1,4}}({_NAMES})(?! et al)"
    rf"|^\W*(?P<makers>{_NAMES}) (?:made|built|developed|designed|created|invented|introduced|proposed) (?:it|(?:the|this) (?:model|network|architecture))\b"
)
_OUR_PAPER = re.compile(r"\W*(?:the|its|this|our) (?:\w+ )?(?:paper|preprint|article|publication)\b", re.IGNORECASE)
_OTHER_WORK = re.compile(
    r"\b(?:data ?sets?|cards?|port(?:ed)?|convert\w*|upload\w*|benchmarks?|librar\w+|photo\w*)\b", re.IGNORECASE
)
"""What others than the model's authors may have made."""
_QUESTION = re.compile(r"\?[*_\W]*$")
_REMARK = re.compile(r"\([^()]*$")


@dataclass
class QuestionReader:
    """Reads the values of passages that no phrase is known for."""

    words: Vocabulary
    question: str = field(init=False, default="")
    """The passage before, where it is a question."""

    def read(
        self, passage: Passage, numbers: Sequence[Quantity], names: Sequence[tuple[Property, Span]]
    ) -> Iterator[Statement]:
        """The statements that values make by what the words around them ask.

        Args:
            passage: where they stand.
            numbers: its numbers and sizes that are of nothing yet.
            names: its names of things that are of nothing yet, each with a property that it is a value of.
        """
        for number in numbers:
            if _FACTOR.match(passage.text, number.end) or _SYMBOL.search(passage.text, 0, number.start):
                continue
            if passage.kind != "cell" and _REMARK.search(passage.text, passage.begin, number.start):
                continue
            yield from self._number(passage, number)
        for about, (start, end) in names:
            asked = self._asked(passage, start, end, "")
            if asked and self._takes_name(asked[0], about):
                about = _narrow(about, asked[0])
                yield statement_in(passage, about, about.canonical(passage.text[start:end]), start, end, is_asked=True)

    def people(self, passage: Passage) -> Iterator[tuple[Property, Span]]:
        """Spans of names of persons, where it is asked who made the model."""
        for match in _PEOPLE.finditer(passage.text, passage.begin) if not _OTHER_WORK.search(passage.text) else ():
            if match["makers"]:
                yield self.words.get("developers"), match.span("makers")
            elif (asked := self._asked(passage, *match.span(1), "")) and asked[0].people:
                yield asked[0], match.span(1)

    def narrowed(self, passage: Passage, statement: Statement) -> Statement:
        """A statement about what sources differ on, as one about the single source's value that its words ask for."""
        if not statement.about.disputed or not isinstance(statement.value, str):
            return statement
        at = statement.at
        asked = self._asked(passage, at, at + statement.span[1] - statement.span[0], "", is_narrow=True)
        if asked is None or not {*asked[0].keys} < {*statement.about.keys}:
            return statement
        return replace(statement, about=_narrow(statement.about, asked[0]))

    def _number(self, passage: Passage, number: Quantity) -> Iterator[Statement]:
        text, begin = passage.text, number.start
        is_year = re.fullmatch(r"(?:19|20)\d\d(?:-\d\d)*", number.text) is not None
        month = _MONTH.search(text[:begin]) if is_year else None
        begin = month.start() if month else begin
        noun = None if is_year else _NOUN.match(text, number.end)
        is_size = _SIZE.search(number.text) is not None
        asked = self._asked(passage, begin, number.end, "size" if is_size else f"number of {noun[1]}" if noun else "")
        if asked is None:
            return
        about, entry = asked
        is_side = is_size or (text[:begin].endswith(" at ") and number.value in range(96, 1025))  # "at 384"
        is_of_each = re.search(r"\b(?:per|each)\b", f"{about.id} {about.name}".replace("-", " "))
        is_paper = about.id in ("paper", "arxiv-number")
        if is_paper and not is_side and ARXIV.fullmatch(number.text) and _OUR_PAPER.match(passage.own):
            yield statement_in(passage, self.words.get("paper"), number.text, begin, number.end)
            return
        if is_year and (is_paper or about.id in ("venue", "year-of-the-paper")):
            about = self.words.get("date-of-the-paper")
        is_counted = noun and not about.has_unit_at(text, number.end)
        if (
            (_IN_EACH.match(text, number.end) and not is_of_each)
            or (is_side and not (about.resolution or "pixels" in about.cues))
            or (about.names or about.metrics or not about.number)
            or (about.list and entry is None and about.list not in ("mean", "std"))
            or (is_counted and noun and not goes_with(about, noun[1]))
        ):
            return
        stage = entry if about.list in ("depths", "widths") else None
        value = replace(number, text=text[begin : number.end])
        yield statement_in(passage, about, value, begin, number.end, stage=stage, is_asked=True)

    def _asked(
        self, passage: Passage, start: int, end: int, kind: str, *, is_narrow: bool = False
    ) -> tuple[Property, int | None] | None:
        place = _place(passage, start, end, self.question)
        if is_narrow:
            place = replace(
                place, sentence=next(part for part in place.sentence.split(", ") if "[?]" in part), whole=""
            )
        for question in dict.fromkeys((place.question, kind or place.question)):
            found = find_questions(replace(place, question=question), self.words, by_clause=False)
            others = re.sub(r"\[\?\][\s-]*\w+", " ", place.sentence)
            if len(found.questions) != 1 or not found.is_sure:
                continue
            about, words = found.questions[0], re.findall(r"[^\W\d_]+", others)
            if question == place.question or any(goes_with(about, word) for word in words):
                is_single = len({*ENTRY.findall(place.sentence)}) < 2
                return about, entry_asked(place) if is_single else None
        return None

    @staticmethod
    def _takes_name(asked: Property, about: Property) -> bool:
        """Whether a value of one property answers what is asked."""
        is_bare = not (asked.names or asked.technique or asked.metrics or asked.list or asked.detail)
        return asked is about or (is_bare and bool(set(asked.keys) & set(about.keys)))

    def follow(self, passage: Passage) -> None:
        """Keep a passage that is a question: what stands after it answers it."""
        self.question = passage.own if _QUESTION.search(passage.own) else ""


def _narrow(about: Property, asked: Property) -> Property:
    """A property with another's evidence."""
    told = {"name": asked.name, "keys": asked.keys, "disputed": False}
    return about if asked is about else about.model_copy(update=told)


@functools.cache
def _other_data() -> re.Pattern[str]:
    return re.compile(facets()["dataset"].values["?"][0], re.IGNORECASE)


def is_of_other_data(text: str) -> bool:
    """Whether a passage names data that no evidence is about."""
    return any(not re.match("coco|ade20k", match.group(), re.IGNORECASE) for match in _other_data().finditer(text))


def _place(passage: Passage, start: int, end: int, question: str) -> Place:
    before, after = passage.text[passage.begin : start], passage.text[end:]
    before, after = _CLAUSE.split(before)[-1], _CLAUSE.split(after)[0]
    sentence = re.sub(r"\s+", " ", f"{before}[?]{after}")
    around = (sentence.replace("[?]", ""), "", *reversed(passage.section))
    if passage.kind == "cell":
        row, column = passage.titles[:1], " ".join(passage.titles[1:])
        corner = passage.header.partition(" | ")[0]
        if _BARE.fullmatch(column) and re.search(r"[^\W\d_]", corner):
            column = f"{corner} {column}"  # "stage | 1 | 2"
        return Place(
            sentence, passage.label, True, (), passage.section, row=row, column=column, header=corner, around=around
        )
    label = _LABEL.search(before)
    if label:
        sentence = f"[?]{re.split(r'[;,]', after)[0]}"
    heading = " ".join(passage.section[-1:])
    asked = question or (heading if _QUESTION.search(heading) else "")
    return Place(
        sentence, label[1] if label else passage.label or None, label is not None, (), passage.section, asked,
        f"{before}{after}", around=around,
    )  # fmt: skip
