"""What a card's own sentences state of what it leaves open elsewhere, where nothing else is known of the model.

A value counts where the reader of statements is sure what it is of, where it stands right beside the very words that it is
asked for with (`kappa` in a table, `(Cohen's kappa 0.79)` in a sentence), or where it alone in the card is of the kind asked: when
and where images were taken, who labelled them.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from harness.cards.agreement import MONTHS
from harness.cards.answers import Answer, Writer
from harness.cards.document import Document
from harness.cards.markdown import escape_markdown
from harness.cards.passages import Passage, passages
from harness.cards.quantities import quantities
from harness.cards.questions import Place, Recognised
from harness.cards.retrieval import content
from harness.cards.stated import Statement
from harness.cards.statements import read_prose
from harness.cards.vocabulary import Property
from harness.evidence import EvidenceClass

_OTHER = re.compile(
    r"pre-?train|\b(?:base|original|starting|parent|other|earlier) (?:model|weights|checkpoint|network)|\bteacher|\bbaseline",
    re.IGNORECASE,
)
"""Words of sentences about another model, or the training before this model's own."""
_TRAINING = content("training fine-tuning")
_SPLITS = {
    "train": re.compile(r"\btrain", re.IGNORECASE),
    "validation": re.compile(r"\bval(?:id\w*)?\b|\beval\w*", re.IGNORECASE),
    "test": re.compile(r"\btest|\bheld[- ]out", re.IGNORECASE),
}
_PARTS = re.compile(r"[,;:.]\s|\b(?:and|while|whereas|but)\b")
"""What parts the numbers of a sentence, each with its own words."""
_BEFORE = re.compile(r"([^\W\d_]+)(?:[\s:=(]+(?:of|is|was|were|to|at|about|on|only|just))*[\s:=(]*$")
_AFTER = re.compile(r"(?:[x×%]|\s?(?:px|GB))?(?:[\s-]+(?:for|of|in|from|the|our|such|single))*[\s-]+([^\W\d_]+)")
"""The words that a number stands right beside."""
_COUNTED = re.compile(
    r"\s(?:[\w-]+ )??(?:of (?:them|these|which)|(?:were|was|are)|(?!(?:epoch|step|iteration|hour|day|minute|second|week|month|year|class|categor|layer|block|parameter|"
    r"pixel|GPU|weight|point|degree|dot)\w*\b)[a-z]+s)\b"
)
_HOW_MANY = re.compile(r"\b(?:number of|how many)\b", re.IGNORECASE)
_NO_NUMBER = re.compile(r"\b(?:by|who|where|when)\b", re.IGNORECASE)
_IMAGES, _MANY = content("images"), 20
"""What a model's data consist of, whatever a card calls them, and from which number on it counts them."""
_PROPER = rf"(?:the )?(?!(?:{'|'.join(MONTHS)}))[A-ZÀ-Þ][a-zß-ÿ'’-]+(?![\w-])"
_NAME = rf"{_PROPER}(?:(?:,? and|,| of| de| la)? {_PROPER})*"
_DATE = rf"(?:(?:(?:{'|'.join(MONTHS)})\w* )?(?:19|20)\d\d|(?:{'|'.join(MONTHS)})\w*)"
_COUNT_OF = r"(?:one|two|three|four|five|six|seven|eight|nine|ten|\d+)"
_WHO = rf"(?:an?|our|the|both|{_COUNT_OF}|[A-Z][\w-]+)\b"
_GPU = r"(?:NVIDIA |GeForce |Tesla |Quadro )*(?:(?:RTX|GTX) ?[A-Z]?\d{4}(?: ?Ti)?|[AVHBP]100|A10G?|L4|L40S?|T4|A40|A6000|K80)(?:s\b|\b)(?: GPUs?| cards?)?"
_TAKEN = r"\b(?:collected|gathered|recorded|taken|photographed|filmed|drawn|scanned|acquired|captured|flown|shot|sampled|sent in|c[oa]mes?)\b"
_KINDS = (
    (
        r"\b(?:collect|gather|record|photograph|film|acqui|captur)\w*\W*$|\b(?:when(?! \[)|years?|period|seasons?|dates?)\b",
        rf"{_TAKEN}[^.;]*?\b(?:(?:from|in|between|during) (?:the years? )?({_DATE}(?: (?:to|and|until|till|through) {_DATE}|\s?[-–]\s?{_DATE})?))",
    ),
    (
        r"\bcountr(?:y|ies)\b|\bwhere\b.*\b(?:tak|collect|gather|photo|come|c[oa]me|record)|\b(?:origin|places?|locations?|sites?)\b|"
        r"\b(?:taken|collected|gathered|recorded|photographed|flown|filmed|shot) (?:in|at|near) \[\?\]|\bc[oa]mes? from \[\?\]",
        rf"(?:{_TAKEN}[^.;]*?\b(?:in|from|at|near|across|off)|\d (?:[\w-]+ ){{1,3}}from)\b ((?:(?:[a-z]+ ){{1,2}}(?:in|of|on) )?{_NAME})|"
        rf"\bin ({_NAME}), where (?:all|the|our) [^.;]*{_TAKEN}",
    ),
    *(
        (
            rf"\b(?:{asked})\w*(?: \w+)? by\b|\bwho (?:\w+ )?(?:{asked})",
            rf"\b(?:{told})\w*(?: independently)? by ({_WHO}(?: [^,.;()]{{2,60}}?)?)(?=[,.;()]|$| (?:who|from|with|before|after|on|in|at|between|during|for|to)\b)",
        )
        for asked, told in (
            ("label|annotat", "label+ed|annotated|graded|checked"),
            ("photograph|tak|collect|record|film", "photographed|taken|collected|recorded|filmed|gathered"),
        )
    ),
    (
        r"\b(?:GPUs?|graphics cards?|hardware|accelerators?)\b",
        rf"(?<!inference )(?:on|used|with|to|\() ?((?:{_COUNT_OF}(?: x| ×)? )?{_GPU})|\ban ({_GPU})",
    ),
    (
        r"\baccuracy\b|\b(?:right|correct)",
        r"(\d[\d.,]* ?%) of (?:[\w-]+ ){1,3}?(?:get|gets|got|are|is|were|was|receives?) (?:the |an? |put |classified |labelled |sorted )*(?:right|correct)",
    ),
    (
        r"\bpre-?train(?:ed|ing)?\b|\bfine-?tuned from\b|\b(?:base|parent) model\b|\b(?:starting|initial) (?:weights|point)",
        r"\b(?:from|with) ((?:random|randomly initiali[sz]ed) weights|random initiali[sz]ation)|\btrained (?:(?:it|this|the \w+|everything) )?(from scratch)",
        "nothing ({})",
    ),
)
"""What asks for a value of a kind, and how a card's sentences state it."""
_TIME = re.compile(r"[\s-]+((?:hour|day|week|minute|second)s?)\b")
_BEFORE_IT = re.compile(r"\bpre-?train", re.IGNORECASE)
_TELLS = re.compile(
    r"\b(?:says?|tells?|names?|decides?|predicts?|recogni[sz]es?|distinguish\w*|sorts?|classif\w+)\b", re.IGNORECASE
)
_IMAGES_FOR = re.compile(r"\W*(?:number of )?(\w+) (?:for|in|used) ", re.IGNORECASE)
_KINDS_OF = re.compile(r"\W*(?:kinds|types|sorts|species|varieties|categories) of ", re.IGNORECASE)
"""How a label asks for the classes by what they are classes of."""
_CLASSES = re.compile(
    rf"{_TELLS.pattern}.*\b(?:what|which|into|between|apart|as)\b[^,;]*$|\b(?:each|one) of (?:these|the following)\b",
    re.IGNORECASE,
)
"""How a sentence leads to the classes behind its colon."""


@dataclass
class OwnProse:
    """Finds values in the sentences of one card."""

    document: Document
    writer: Writer

    def narrowed(self, found: Recognised, place: Place) -> Recognised:
        """What is asked, of a model that only its own files and card tell of: its data are not those of an earlier training, and
        what the card says that it tells apart are its classes."""
        label, table = _asking(place), self.writer.table
        if self.writer.knowledge.facts.facts:
            return found
        if [question.id for question in found.questions] == ["training-data"] and _BEFORE_IT.search(label):
            return found._replace(questions=[table.get("pretraining-data")])
        counts = _IMAGES_FOR.match(label)
        data = {"testing-data": "number-of-evaluation-images", "training-data": "number-of-training-images"}
        if counts and content(counts[1]) == _IMAGES and len(found.questions) == 1 and found.questions[0].id in data:
            return found._replace(questions=[table.get(data[found.questions[0].id])], is_sure=True)
        kinds = _KINDS_OF.match(label)
        told = content(label) - content(kinds[0]) if kinds else frozenset()
        telling = [passage.own for passage in self._sentences if _TELLS.search(passage.own)]
        noun = re.fullmatch(r"\W*([A-Za-z]+s)\W*", label)
        counted = rf"\b(?:of|into|between|among) (?:the |its )?{_COUNT_OF} (?:\w+ )?{noun[1]}\b" if noun else r"(?!)"
        is_told = any((told and told <= content(own)) or re.search(counted, own, re.IGNORECASE) for own in telling)
        if not found.questions and (is_told or _CLASSES.search(label)):
            return Recognised([table.get("class-names")])
        return found

    def answer(self, asked: Sequence[Property], place: Place, *, is_sure: bool) -> Answer | None:
        """The single value that the card's sentences have for what a place asks."""
        if self.writer.knowledge.facts.facts:
            return None
        told = [item for item in self._statements if is_sure and len(asked) == 1 and _answers(item.about, asked[0])]
        said = {self._with_unit(item, place): item.passage for item in told}
        for found in (self._of_kind, self._numbers):
            said = said or dict(found(place))
        if len(said) != 1:
            return None
        ((text, passage),) = said.items()
        section = f", under “{passage.section[-1]}”" if passage.section else ""
        where = self.writer.references.note(f"Stated in this card{section}")
        question = " + ".join(question.id for question in asked)
        return Answer(question, EvidenceClass.DOCUMENTED, [], f"{text} {where}", is_complete=True)

    def _with_unit(self, item: Statement, place: Place) -> str:
        """A value as it is stated, a time with its unit unless that stands behind the marker."""
        start, end = item.span
        unit = _TIME.match(self.document.text, end)
        is_there = unit is None or unit[1] in f"{place.label} {place.sentence} {place.column}"
        return self.document.text[start : end if is_there or unit is None else unit.end()]

    def _numbers(self, place: Place) -> Iterator[tuple[str, Passage]]:
        """Numbers beside a word that asks, in sentences that have all words of the label, the cell's heads or the clause that asks."""
        label = _asking(place)
        bare, *named = re.split(r"[()]", label)[:2]  # "agreement of the experts (kappa)" has two names
        asked = [
            words
            for words in map(content, (bare, *named))
            if len(words) > ("[?]" in label) and not _NO_NUMBER.search(label)
        ]
        splits, here = _splits(label), content(place.line)
        for words, passage in itertools.product(asked, self._about(label)):
            if place.column is None and content(passage.own) == here:
                continue
            for number in quantities(passage.own):
                before, after = passage.own[: number.start], passage.own[number.end :]
                leads, follows = _BEFORE.search(before), None if number.percent else _AFTER.match(after)
                near = content(" ".join(match[1] for match in (leads, follows) if match))
                near |= _IMAGES if number.value >= _MANY and _COUNTED.match(after) else frozenset()
                others = _splits(f"{_PARTS.split(before)[-1]} {_PARTS.split(after)[0]}")
                if (
                    not others
                    and len(wider := _splits(f"{before.rpartition('; ')[2]} {after.partition('; ')[0]}")) == 1
                ):
                    others = wider
                is_of_it = others - {"train"} <= splits and (splits <= {"train"} or others & splits)
                if not is_of_it or not (re.search(r"\d", number.text) or _HOW_MANY.search(label)):
                    continue
                if words & near and words - _TRAINING <= content(passage.own) | near:
                    times = re.match(r"\s?[x×](?!\w)", after)
                    yield number.text.lower() + (times[0] if times else ""), passage

    def _of_kind(self, place: Place) -> Iterator[tuple[str, Passage]]:
        """Values of the kind that a place asks for by its words."""
        label = _asking(place)
        for asked, told, *form in _KINDS:
            for passage in self._sentences if re.search(asked, label, re.IGNORECASE) else ():
                for match in re.finditer(told, passage.own, re.IGNORECASE if "A-Z" not in told else 0):
                    if _OTHER.search(label) or not _OTHER.search(match[0]):
                        value = escape_markdown(next(filter(None, match.groups())))
                        yield (*form, "{}")[0].format(value), passage

    def _about(self, label: str) -> list[Passage]:
        """The sentences that are about what a label is about: this model, or what was before it."""
        return [passage for passage in self._sentences if _OTHER.search(label) or not _OTHER.search(passage.own)]

    @cached_property
    def _sentences(self) -> list[Passage]:
        found = passages(self.document, [(marker.start, marker.end) for marker in self.document.markers])
        return [passage for passage in found if passage.kind == "sentence"]

    @cached_property
    def _statements(self) -> list[Statement]:
        """What is stated of this model's training, without a doubt what of."""
        return [
            item
            for item in read_prose(self.document, [(marker.start, marker.end) for marker in self.document.markers])
            if not (item.is_asked or item.is_loose or item.metric or isinstance(item.value, bool))
            and any(key.startswith("documented.training.") for key in item.about.keys)
            and self.document.text[item.span[0] - 1] not in "._/-"
            and not _OTHER.search(item.passage.own)
            and self.writer.subjects.of(item) == []
        ]


def _asking(place: Place) -> str:
    """The words that ask at a place: its label, its cell's heads, or what leads to a marker in its clause and the next words."""
    if place.column is not None:
        return " ".join((*place.row, place.column))
    if place.label_is_own and place.label and not re.search(r"\w", place.sentence.replace("[?]", "")):
        return place.label
    before, _, after = place.sentence.partition("[?]")
    return f"{_PARTS.split(before)[-1]}[?]{' '.join(re.split(r'(?=[,;:.]) | ', after)[:3])}"


def _splits(text: str) -> set[str]:
    """The parts of the data that a text names."""
    return {name for name, pattern in _SPLITS.items() if pattern.search(text)}


def _answers(about: Property, asked: Property) -> bool:
    """Whether a value of one property answers what asks for another."""
    return about.id == asked.id or not {*about.keys}.isdisjoint(asked.evidence)
