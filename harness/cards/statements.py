"""What a card states: each value with what it is about, found by what stands near it, not by the wording.

Read are sentences, labelled lines and table cells; front matter, `model-index` and BibTeX in `fields.py`. Code is what a reader might run, a quotation is somebody else's, a question or a plan states nothing:
they are left out, and so is a number that stands near nothing it could be of.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from harness.cards.accuracies import AccuracyReader
from harness.cards.document import Document
from harness.cards.fields import field_passages
from harness.cards.passages import MODEL_FILE, Passage, blanked, bounded, passages
from harness.cards.quantities import DATE, NUMBER_WORD, Quantity, parse_number, quantities
from harness.cards.questioned import QuestionReader, is_of_other_data
from harness.cards.sentences import Span, blank, clause_around, outermost
from harness.cards.stated import Statement, leads, runs, statement_in
from harness.cards.vocabulary import Property, phrase, vocabulary, wording

_REFERENCE = re.compile(
    r"(?:\b(?:Tables?|Tab\.?|Figures?|Figs?\.?|Sections?|Sec\.?|Appendix|Eqs?\.?|Equations?|References?|Refs?\.?|Chapter|version|v|Python|CUDA|cuDNN|torch|PyTorch|TensorFlow|timm|seed|line|lines|step|issue|PR|units? of|volume|pp?\.|top|stage)\s?|\[\[(?:\d+\], \[)*|[@#§β₁₂^])$",
    re.IGNORECASE,
)
_AFTER = wording("after")
_APART = wording("apart")
_TIME_OF = re.compile(
    r"\b(?:every|at|after|last|first|per|until|within|additional|another|extra|from|around|step|epochs?) $",
    re.IGNORECASE,
)
"""What says that a number of epochs is not of all of them."""
_NEGATION = wording("negation")
_NEGATED_AFTER = wording("negated-after")
_NOT_KEPT = re.compile(
    r"-(?:free|less)\b|\s(?:variants?|versions?|ablations?|experiments?)\b"
    r"|\W*(?:\w+\W+){0,2}?(?:(?:is|was|are|were) (?:not|replaced|swapped|dropped|removed)|gave way)",
    re.IGNORECASE,
)
"""What says behind a name that the model is without it: `dropout-free`, `SGD was replaced`."""
_COMPARED = re.compile(
    r"^\W*(?:unlike|like|(?:just )?as in|compared (?:to|with)|in contrast to)\b[^,;.]*,(?: (?:whose|which|where|an? (?:[\w-]+ ){0,2}(?:model|network))\b[^,;]*,)?"
    r"|,\s(?:\w+ly )?(?:(?:just )?as in|unlike|like)\s[^,;.]*",
    re.IGNORECASE,
)
"""What only tells of another network that it is so there, or otherwise."""
_USED = wording("used")
_ALIKE = re.compile(
    r"(?:(?:,|/| and| or) ?[\w-]+(?: [\w-]+)?)+(?=\W+(?:(?:were|was|are|is|both|all) )*(?:disabled|off|unused|absent|omitted|(?:switched|turned) off|left out|not used)\b)"
)
_OWN_RUN = wording("own-run")
_STRANGERS = wording("strangers")
_HYPOTHETICAL = wording("hypothetical")
_ELSEWHERE = wording("elsewhere")
_ITSELF = wording("itself")
_LOG = re.compile(
    r"(?i)(?=.*\b(?:loss|step|top-?[15]|acc(?:uracy)?|f1)\b)(?:^|.*\|)\s*(?:epoch|step|iteration)\s*(?:\||$)"
)
"""A table that a training writes, each row of another epoch."""
_ADVICE = wording("advice")
_LINKED_TITLE = re.compile(r"\[([^\[\]\n]{25,})\]\(")
_DOES = wording("does")
_YES_OR_NO = re.compile(
    r"\W*(?:yes|true|on|✓|✔|used|applied|enabled|(?P<no>no|false|none|off|x|✗|✘|not (?:used|applied|enabled)|disabled|—))\W*",
    re.IGNORECASE,
)
"""A cell that says whether something was used."""
_CLAUSE_BEGINS = re.compile(r"[;:]\s|\b(?:but|while|whereas|except|and (?:uses?|used|has|is|was|applies|applied))\b")
_CLAUSE_ENDS = re.compile(r"[;,]\s|\b(?:but|while|whereas|and)\b")
_OF_RECIPE = re.compile(r"augment|regulari|technique|training|recipe", re.IGNORECASE)
"""Headings of what was used."""
_RESULTS = wording("results").pattern
_SEPARATOR = r"\s?,?\s(?:and|then|over|to|&)\s|\s?(?:->|[/–→;|+])\s?|,\s|,(?!\d{3}(?:\D|$))|-"
_ITEM = rf"(?:\d+(?:\.\d+|(?:,\d{{3}})+(?!\d))?|\b(?i:{NUMBER_WORD})\b)"
_LIST = re.compile(
    rf"(?<![\w.,])(?!\d{{1,3}}(?:,\d{{3}})+(?!\s?[,\d]))({_ITEM}(?:(?:{_SEPARATOR}){_ITEM}){{2,}})(?![\w%])"
)
_RESOLUTION = re.compile(
    r"(?<![\w.×])(?:3\s?[x×]\s?)?(\d{1,4})(?:\s?(?:x|×|\*|by|\\times)\s?(\d{1,4})(?!\d)(?:\s?[x×]\s?3(?!\d))?|²|\^2|(?=[\s-]?(?:px|pixels?)\b))(?:[\s-]?(?:px|pixels?))?"
)
_WORD_SIZE = re.compile(rf"\b({NUMBER_WORD})(?:\sby\s|-by-)({NUMBER_WORD})\b(?:[\s-]?(?:px|pixels?))?", re.IGNORECASE)
_RANGE = re.compile(r"(?<![\w.,-])(\d{1,4})\s?(?:–|-|…|\.{2,3}|→|->|(?:up )?to|through)\s?(\d{1,4})(?![\w.,]*\d|%)")
_OF_A_PART = re.compile(
    r"\s?(?:\w+ ){0,3}?in (?:the|its) (?:\w+ )?(?:head|classifier|layer|body|backbone|stem|encoder)\b", re.IGNORECASE
)
"""What says that a number counts what a part of the network has."""
_INITIALS = re.compile(r"([A-ZÀ-Þ][\w'’À-ÿ-]+), ((?:[A-ZÀ-Þ]\.[\s-]?)+)(?=\s*(?:[;,/&.]|and\b|$))")
"""A name as in a reference list: `He, K.`"""
_OF_ONE_STAGE = re.compile(
    r"[^.;)]{0,30}\b(?:in|of|within) (?:the |each |every |a )?(?:\w+ )?(?:stage|block)\b", re.IGNORECASE
)
"""What says that a range is that of one stage."""
_BRACKETED = re.compile(r"\([^()]*$")
_COUNTED = re.compile(r"(?<![\d.,])(?<!stage )(?<!top[ -])\d+ $|\b(?:" + NUMBER_WORD + r") $", re.IGNORECASE)
"""A number before a word of a heading, of which the heading itself says how many there are: `mean of 5 runs`."""
_SHARE_OF = re.compile(
    r"\s?(?:of|times|[x×]) ?(?:(?:the|its|their|this|that) )?(?:(?:\w+ )?(?:learning[ -]rate|lr|rate)|peak|initial|base|maximum|start\w*|full)\b",
    re.IGNORECASE,
)
"""What says that a number is a part of a rate, not a rate."""
_DIVISOR = re.compile(r"\b(?:factor|ratio|reduction)\b(?: (?:of|is|was))?\W*$", re.IGNORECASE)
"""What leads to a number that a share is one part in: "narrower by a factor of 16"."""
_EACH_OF_NODES = re.compile(
    r"\b(?:nodes|machines|servers|hosts)\W+(?:(?:with|of|each|having|had|has|have|holding|times|x|equipped)\W+|[x×*]\W*)+$",
    re.IGNORECASE,
)
"""What says that a number of GPUs is that of one machine."""
_IN_A_LABEL, _LABEL_ENDS = re.compile(r"^\W*[^:]{0,40}\([^():]*$"), re.compile(r"[^():]*\)\W*:")
"""What stands before and behind a number in brackets of a label: `Accuracy (top-1, 224 px):`."""
_QUOTED = re.compile(r"^\s*(?:[\"“#]|--|\$ |pip |python |git |wget )| --")
"""What begins a quotation or a command, and an option of one."""
_QUOTES = re.compile(r"[“\"]([^“”\"\n]{12,})[”\"]")
_GUIDE = wording("guide")
_APART_TITLE = wording("apart-title")
_HEADER_SCALE = re.compile(
    r"[(\[](?:in )?(?P<a>[MGBK]|millions?|billions?)[)\]]|\b(?P<b>[GM])(?=FLOPs?|MACs?|flops)|\bin (?P<c>millions|billions)\b|(?P<d>[MG])$"
)


def read_prose(document: Document, markers: Sequence[Span] = (), benchmarks: Sequence[str] = ()) -> Iterator[Statement]:
    """The statements of a card's sentences and cells.

    Args:
        document: the card.
        markers: spans of its markers.
        benchmarks: names of benchmarks of the model's own, beside those that the vocabulary has.
    """
    reader = _Reader(benchmarks)
    here = bounded(document, itertools.chain(passages(document, markers), field_passages(document)))
    return (statement for passage in here for statement in reader.read(passage))


@dataclass(frozen=True)
class _Mention:
    """Words for a property, or for a thing that only sounds like one (`about` is None)."""

    about: Property | None
    start: int
    end: int


_Bound = tuple[Property, Quantity, int]
"""What a number is of, the number in its unit, and where the words for it begin."""


@dataclass
class _Reader:
    benchmarks: Sequence[str]
    near: list[Property] = field(default_factory=list)
    """What the passage that is read may be about."""
    left: list[Quantity] = field(default_factory=list)
    """Its numbers that no words are known for."""

    def __post_init__(self) -> None:
        self.words = vocabulary()
        self.accuracies = AccuracyReader(self.words, self.benchmarks)
        self.questions = QuestionReader(self.words)

    def read(self, passage: Passage) -> Iterator[Statement]:
        """The statements of one passage."""
        self.near, self.left = [], []
        passage = replace(passage, text=passage.text[: passage.begin] + blank(_COMPARED, passage.own))
        yield from self._read(passage)
        self.questions.follow(passage)

    def _read(self, passage: Passage) -> Iterator[Statement]:
        if _OWN_RUN.search(" / ".join((*passage.section, passage.header))) or _LOG.search(passage.header):
            return
        said = passage.text if passage.kind == "config" else _ADVICE.sub("", passage.own)
        if _HYPOTHETICAL.search(said) or _STRANGERS.search(passage.own) or _QUOTED.search(passage.own):
            return
        self.near = self.words.spoken_of(self._around(passage))
        quoted = [match.span() for match in _QUOTES.finditer(passage.text)]
        found = [*self._numbers(passage), *self._names(passage), *self._people(passage), *self._addresses(passage)]
        found += self._techniques(passage, found)
        found = [*(self.questions.narrowed(passage, statement) for statement in found), *self._asked(passage, found)]
        if is_of_other_data(passage.own):
            found = [s for s in found if s.about.id in ("training-data", "fine-tuning-data", "finetuned-from")]
        is_downstream = bool(
            _ELSEWHERE.search(passage.own)
            or _GUIDE.search(" ".join(passage.section[-1:]))
            or passage.kind == "code"
            or (passage.kind == "config" and MODEL_FILE.search(passage.text))
        )
        for statement in found:
            is_quoted = any(a <= statement.at < b for a, b in quoted)
            if (
                not is_quoted
                and statement.span[0] >= passage.start
                and not (is_downstream and _is_recipe(statement.about))
                and not self._is_elsewhere(statement)
            ):
                yield statement

    def _is_elsewhere(self, statement: Statement) -> bool:
        """Whether the clause of a statement is about something that only sounds like its property."""
        about, passage, at = statement.about, statement.passage, statement.at
        around = self._around(replace(passage, text=passage.text[slice(*clause_around(passage.text, at, at))]))
        if statement.is_asked and isinstance(statement.value, str):
            return about.is_elsewhere(around)
        return about.excludes(around, passage.section)

    @staticmethod
    def _around(passage: Passage) -> str:
        return f"{passage.label}: {passage.text} {passage.row} {passage.header}"

    # numbers

    def _mentions(self, text: str) -> list[_Mention]:
        """Words for properties, and those that only sound like one; none inside of longer ones."""
        said = [(about, m.span()) for about in self.near for m in about.said_pattern.finditer(text)]
        decoys = {(about.name, m.span()) for about in self.near for m in about.decoys_pattern.finditer(text)}
        longest = outermost(span for _, span in (*said, *decoys))
        meant = [(about, span) for about, span in said if (about.name, span) not in decoys]
        apart = {span for _, span in decoys} - {span for _, span in meant}
        found = [*(_Mention(about, *span) for about, span in meant), *(_Mention(None, *span) for span in apart)]
        return [m for m in found if (m.start, m.end) in longest]

    def _labels(self, passage: Passage) -> list[_Mention]:
        """Headings and labels that are as a whole words for a property."""
        titles = [blanked(title) for title in passage.titles]
        titles += [match[1] for match in [re.match(r"\W*([^:]{1,40}?)\s*:", passage.own)] if match]
        found = []
        for about in self.near:
            for title in titles:
                if about.decoys_pattern.search(title):
                    continue
                if about.labels and about.labels_pattern.fullmatch(title):
                    start = passage.text.find(title)
                    found += [_Mention(about, start, start + len(title))] if start >= 0 and title.strip() else []
        return found

    def _named(self, text: str) -> list[Span]:
        """Spans of names that hold digits: networks, data sets, devices, venues."""
        patterns = [self.words.model_names, *(pattern for _, pattern in self.words.benchmark_patterns)]
        patterns += [
            p.names_pattern for p in self.near if p.name in ("training data", "GPU model", "venue", "precision")
        ]
        return [match.span() for pattern in patterns for match in pattern.finditer(text)]

    def _numbers(self, passage: Passage) -> Iterator[Statement]:
        """The statements of numbers; those of which nothing says what they are of are `left`."""
        text = passage.text
        if passage.is_head and re.match(r"\W*[\d.]+[kM]?,? [^\W\d_]{4}", passage.own):
            return  # "22k, fine-tuned" names a row
        mentions = [m for m in self._mentions(text) if m.end > passage.begin or not _COUNTED.search(text[: m.start])]
        mentions = sorted([*mentions, *self._labels(passage)], key=lambda m: (m.start, m.end))
        free = [m for m in mentions if m.about is not None and _takes_numbers(m.about)]
        shaped, taken = self._shaped(passage, free)
        yield from shaped
        numbers = self._plain(passage, taken)
        numeric = {(m.start, m.end) for m in free}  # "activations" are a function too
        single = [
            m
            for m in mentions
            if m.about is None or not (m.about.list or ((m.start, m.end) in numeric and not _takes_numbers(m.about)))
        ]
        bound = set[int]()
        for about, value, first in self._listed(numbers, single, text):
            bound.add(value.start)
            yield statement_in(passage, about, value, value.start, value.end, first=first)
        listed = {span for run in runs([(q.start, q.end) for q in numbers], text) if len(run) > 2 for span in run}
        for index, number in enumerate(numbers):
            if number.start in bound or ((number.start, number.end) in listed and not number.percent):
                continue  # one of several: which of them is this model's can't be told
            before = numbers[index - 1].end if index else 0
            after = numbers[index + 1].start if index + 1 < len(numbers) else len(text)
            if hit := self._bind(passage, number, single, (before, after)):
                bound.add(number.start)
                about, value, first = hit
                is_loose = value.value < about.range[0] > 1000
                yield statement_in(passage, about, value, number.start, number.end, first=first, is_loose=is_loose)
        accuracies = [*self.accuracies.read(passage, [q for q in numbers if q.start not in bound])]
        yield from accuracies
        bound |= {statement.at for statement in accuracies} | {start for start, _ in listed}
        self.left += [
            q for q in numbers if q.start not in bound and q.start >= passage.begin and q.text.lower() != "one"
        ]

    def _shaped(self, passage: Passage, mentions: list[_Mention]) -> tuple[list[Statement], list[Span]]:
        """The statements of lists, sizes and ranges, and where these stand."""
        text, begin = passage.text, passage.begin
        found, taken = list[Statement](), list[Span]()
        dates = {match.start() for match in DATE.finditer(text)}
        for match in _LIST.finditer(text, begin):
            if match.start() not in dates:
                taken.append(match.span())
                found += self._list(passage, match, mentions)
        for match in itertools.chain(_RESOLUTION.finditer(text, begin), _WORD_SIZE.finditer(text, begin)):
            if not any(a < match.end() and match.start() < b for a, b in taken):
                taken.append(match.span())
                said = [*self._resolution(passage, match, mentions)]
                found += said
                if not said and match[1] == (match[2] or match[1]):
                    self.left.append(Quantity(parse_number(match[1]), 1.0, *match.span(), match.group()))
        for match in _RANGE.finditer(text, begin):
            ends = [*self._ends(passage, match, mentions)]
            found, taken = found + ends, taken + [match.span() for _ in ends]
        return found, taken

    def _plain(self, passage: Passage, taken: list[Span]) -> list[Quantity]:
        """The numbers of a passage that stand alone and may be values."""
        text, apart = passage.text, [*taken, *self._named(passage.text)]
        return [
            q
            for q in quantities(text)
            if (q.start >= passage.begin or passage.begin == 0)
            and (q.text.lower() != "one" or passage.kind == "cell")
            and not any(a < q.end and q.start < b for a, b in apart)
            and not _OF_A_PART.match(text, q.end)
            and not _REFERENCE.search(text[max(0, q.start - 40) : q.start])
            and not (_IN_A_LABEL.search(text[passage.begin : q.start]) and _LABEL_ENDS.match(text, q.end))
            and not (passage.is_head and _BRACKETED.search(text[: q.start]))
        ]

    def _asked(self, passage: Passage, found: list[Statement]) -> Iterator[Statement]:
        """The statements of values that no phrase is known for, by what the words around them ask."""
        taken = {(statement.about.id, statement.at) for statement in found}
        names = [
            (about, match.span())
            for about in self.near
            if about.id != "fine-tuning-data" and not passage.is_head
            for match in about.names_pattern.finditer(passage.text, passage.begin)
            if (about.id, match.start()) not in taken
        ]
        if not any(statement.about.people for statement in found):
            for about, (start, end) in self.questions.people(passage):
                if people := split_people(passage.text[start:end]):
                    yield statement_in(passage, about, people, start, end, is_asked=True)
        if passage.kind == "cell" and (
            len(passage.own.split()) > 6 or any(_APART_TITLE.search(title) for title in passage.titles)
        ):
            return
        for statement in self.questions.read(passage, self.left, names):
            about, value, at = statement.about, statement.value, statement.at
            if isinstance(value, str) and (
                self._is_negated(passage, (at, at + statement.span[1] - statement.span[0]))
                or _is_of_a_result(about, passage.text[:at])
            ):
                continue
            if isinstance(value, Quantity):
                value = self._counted(about, value, passage)
                if not self._fits(about, value) or _is_of_a_part(about, passage.text, value):
                    continue
            yield replace(statement, value=value)

    def _bind(self, passage: Passage, number: Quantity, mentions: Sequence[_Mention], room: Span) -> _Bound | None:
        """What a number is of, by its unit or else by the words beside it.

        Args:
            mentions: in the whole passage.
            room: from the end of the number before to the start of the one after.
        """
        units = [
            (about, match.end(), size)
            for about in self.near
            if not about.list
            for pattern, size in about.unit_patterns
            if (match := pattern.match(passage.text, number.end))
        ]
        fitting = [
            (about, end)
            for about, end, size in units
            if not about.resolution and (passage.begin > 0 or self._fits(about, number.times(size)))
        ]
        if fitting:
            return self._by_unit(passage, number, mentions, room, fitting)
        named = [about for about, *_ in units if about.id != "number-of-training-images"]
        return self._by_words(passage, number, mentions, room, named[0] if named else None)

    def _by_words(
        self, passage: Passage, number: Quantity, mentions: Sequence[_Mention], room: Span, counted: Property | None
    ) -> _Bound | None:
        """What a number is of by the words before or after it; `counted` is what its unit says that it counts."""
        text = passage.text
        prior = next((m for m in reversed(mentions) if m.end <= number.start), None)
        following = next((m for m in mentions if m.start >= number.end), None)
        options = []
        if prior and room[0] <= prior.end and self._leads(text[prior.end : number.start], passage, number):
            options.append(prior)
        gap = following.start - number.end if following and following.start <= room[1] else 30
        if following and gap < 30 and _AFTER.fullmatch(text, number.end, following.start):
            is_labelled = re.search(r"[:=]", text[prior.end if prior else 0 : number.start])
            options.insert(len(options) if is_labelled or gap > 2 else 0, following)
        for mention in options:
            about = mention.about
            if about is None or not _takes_numbers(about) or about.list or (counted and about.name != counted.name):
                return None
            said = text[max(0, mention.start - 3) : max(mention.end, number.start)]
            value = self._in_unit(about, number, text, said + text[: passage.begin])
            is_relative = about.range[1] > 1 and re.match(r"\s?%|-?fold\b", text[number.end :])
            if not is_relative and self._fits(about, value) and not _is_of_a_part(about, text, number):
                return about, value, min(mention.start, number.start)
        return None

    def _by_unit(
        self,
        passage: Passage,
        number: Quantity,
        mentions: Sequence[_Mention],
        room: Span,
        units: Sequence[tuple[Property, int]],
    ) -> _Bound | None:
        """What a number is of by its unit: the property that is named beside it, or the one that such a number is always of."""
        text, end = passage.text, max(end for _, end in units)
        counted = [about for about, its_end in units if its_end == end]
        left = max((m.end() for m in _APART.finditer(text, room[0], number.start)), default=room[0])
        right = next((m.start() for m in _APART.finditer(text, end, room[1])), room[1])
        near = [m for m in mentions if left <= m.start and m.end <= right]
        meant = [m.about for m in near if m.about and m.about in counted]
        chosen = next((about for about in meant if not about.alone), meant[0] if meant else None)
        if all(m.about is not chosen or m.start >= number.end for m in near):  # "warms up from 0.1 over 5 epochs"
            led = [m for m in mentions if m.about and m.about in counted and m.end <= number.start]
            chosen = led[-1].about if led and not _APART.search(text, led[-1].end, number.start) else chosen
        if chosen is None and all(m.about for m in near):
            needed = (about for about in counted if about.needs and not about.excludes(self._around(passage)))
            chosen = next((about for about in counted if about.alone), next(needed, None))
        if chosen is None or _is_of_a_part(chosen, text, number):
            return None
        value = self._counted(chosen, number, passage)
        return (chosen, value, number.start) if self._fits(chosen, value) else None

    def _counted(self, about: Property, number: Quantity, passage: Passage) -> Quantity:
        """A number in a property's unit, by the unit that follows it."""
        sizes = [size for pattern, size in about.unit_patterns if pattern.match(passage.text, number.end)]
        if sizes and max(sizes) != 1:
            return number.times(max(sizes))
        return self._in_unit(about, number, passage.text, passage.text[: passage.begin])

    def _listed(self, numbers: Sequence[Quantity], mentions: Sequence[_Mention], text: str) -> Iterator[_Bound]:
        """What numbers are of that stand in a list as long as one of things before it: `mixup / CutMix: 0.8 / 1.0`."""
        known = {(m.start, m.end): m.about for m in mentions if m.about and _takes_numbers(m.about)}
        named, values = runs([*known], text), {(q.start, q.end): q for q in numbers}
        for listed in runs([*values], text):
            before = [run for run in named if run[-1][1] <= listed[0][0] and len(run) == len(listed)]
            gap = text[before[-1][-1][1] : listed[0][0]] if before else ""
            if before and (
                leads(gap) or re.fullmatch(r"\W+\w*\W*", gap)
            ):  # "(momentum, weight decay): SGD (0.9, 5e-5)"
                for thing, span in zip(before[-1], listed, strict=True):
                    value = self._in_unit(known[thing], values[span], text, "")
                    if known[thing].range[0] < 1 or self._fits(known[thing], value):
                        yield known[thing], value, thing[0]

    @staticmethod
    def _leads(gap: str, passage: Passage, number: Quantity) -> bool:
        """Whether words lead from a mention to the number after it."""
        apposition = re.fullmatch(r"(?:\s(?:coefficient|value|rate|factor|size|count|used|here))?,\s", gap)
        if apposition and re.match(r"\s?[,)]", passage.text[number.end :]):
            return True  # "the weight decay, 5e-5, is small"
        return leads(gap)

    def _in_unit(self, about: Property, number: Quantity, text: str, heading: str) -> Quantity:
        if number.percent and (about.range[1] <= 1 or not re.search("%|per", number.text)):  # "one tenth"
            return replace(number.times(0.01), percent=False)
        if about.range[1] <= 1 < number.value and _DIVISOR.search(text[: number.start]):
            return number.times(number.value**-2)
        match = _HEADER_SCALE.search(heading.strip(" :—"))
        if match and not number.scaled and about.range[0] >= 1000:
            letter = next(filter(None, match.groups()))[0].upper()
            return number.times({"M": 1e6, "G": 1e9, "B": 1e9, "K": 1e3}[letter])
        return number

    @staticmethod
    def _fits(about: Property, value: Quantity) -> bool:
        low, high = about.range
        low = low / 1000 if value.scaled and low >= 1000 else low  # a slip of thousands
        return (low <= value.value <= high or (value.value == 0 and low < 1)) and not (value.percent and high > 1)

    def _list(self, passage: Passage, match: re.Match[str], mentions: list[_Mention]) -> Iterator[Statement]:
        text = passage.text
        values = tuple(parse_number(part) for part in re.split(_SEPARATOR, match[1]) if part.strip())
        are_shares = all(value <= 1 for value in values)
        kinds = ("mean", "std") if are_shares else ("depths", "widths")
        before = (m for m in reversed(mentions) if m.end <= match.start() and m.about and m.about.list in kinds)
        counted = next((p for p in self.near if p.list and not are_shares and p.has_unit_at(text, match.end())), None)
        prior = next(before, None)
        if counted:
            yield statement_in(passage, counted, values, *match.span(1))
        elif prior and prior.about and re.fullmatch(r"(?:(?!\d|[.;,]\s).){0,44}", text[prior.end : match.start()]):
            yield statement_in(passage, prior.about, values, *match.span(1), first=prior.start)

    def _ends(self, passage: Passage, match: re.Match[str], mentions: list[_Mention]) -> Iterator[Statement]:
        """The first and the last of a list of widths: "from 128 to 1088 channels"."""
        about = self.words.get("stage-widths")
        if _OF_ONE_STAGE.match(passage.text, match.end()):
            return
        is_led = any(m.about is about and 0 <= match.start() - m.end < 45 for m in mentions)
        if (is_led or about.has_unit_at(passage.text, match.end())) and 8 <= float(match[1]) < float(match[2]):
            yield statement_in(passage, about, (float(match[1]), float(match[2])), *match.span())

    def _resolution(self, passage: Passage, match: re.Match[str], mentions: list[_Mention]) -> Iterator[Statement]:
        text, side = passage.text, parse_number(match[1])
        if match[2] and match[2] != match[1]:
            return
        value, size = Quantity(side, 1.0, match.start(1), match.end(), match.group()), self.words.get("resolution")
        sized = [about for about in self.near if about.resolution]
        named = [
            m.about for m in mentions if m.about in sized and 0 <= match.start() - m.end < 20 and m.about is not size
        ]
        named += [about for about in sized if about.has_unit_at(text, match.end())]
        for about in named or [size]:
            said = self._around(passage) + " image size" * bool(re.search(r"\bat $", text[: match.start()]))
            if about.range[0] <= side <= about.range[1] and not about.excludes(said):
                yield statement_in(passage, about, value, match.start(), match.end())

    # names

    def _names(self, passage: Passage) -> Iterator[Statement]:
        for about in self.near:
            if passage.is_head or not about.names_pattern.search(passage.own):
                continue
            is_labelled = about.labels_pattern.fullmatch(passage.label) or _head(passage, about)
            is_needed = about.needs and not about.excludes(self._around(passage))
            is_meant = bool(about.alone or is_labelled or is_needed)
            matches = about.names_pattern.finditer(passage.text, passage.begin)
            found = {m.span(): m.group() for m in matches if is_meant or self._is_beside(about, passage, m)}
            for span in sorted(outermost(found)):
                if self._is_negated(passage, span):
                    continue
                yield statement_in(passage, about, about.canonical(found[span]), *span)
                year = re.compile(r"\W{0,3}((?:19|20)\d\d)\b").match(passage.text, span[1])
                if about.name == "venue" and year:
                    dated, value = self.words.get("year-of-the-paper"), next(quantities(year[1]))
                    yield statement_in(passage, dated, value, *year.span(1), first=span[0])

    def _is_told_of(self, about: Property, text: str) -> bool:
        """Whether a clause names the model or who made it, or nobody."""
        named = re.compile(rf"\b(?:authors?|developers?|paper|work)\b|^\W*(?:{about.beside})", re.IGNORECASE)
        return any(pattern.search(text) for pattern in (_ITSELF, self.words.model_names, named))

    def _is_beside(self, about: Property, passage: Passage, match: re.Match[str]) -> bool:
        """Whether the words that a name of a property stands beside lead to it in its clause, or follow it."""
        if about.beside is None:
            return False
        before = re.split(r"[;.]\s", passage.text[: match.start()])[-1]
        if about.itself and not self._is_told_of(about, before.rpartition(", ")[2]):
            return False
        led = phrase(rf"(?:{about.beside})(?:\W+(?!(?:and|that|which|than|{_RESULTS})\b)\w+){{0,6}}?\W*$")
        follow = re.compile(rf"\W{{1,3}}(?:{about.beside})\b", re.IGNORECASE)
        return bool(led.search(before + " ") or follow.match(passage.text[match.end() :]))

    @staticmethod
    def _is_negated(passage: Passage, span: Span) -> bool:
        before = passage.text[max(passage.begin, span[0] - 40) : span[0]]
        clause = re.split(r"[;:,]\s|\b(?:but|and it)\b", before)[-1]
        after = passage.text[span[1] : span[1] + 40]
        is_denied = _NEGATED_AFTER.match(re.split(r"[;.,]\s", after)[0]) or _NOT_KEPT.match(after)
        return bool(is_denied or _NEGATION.search(clause))

    # techniques

    def _techniques(self, passage: Passage, found: list[Statement]) -> Iterator[Statement]:
        titles = [match.span(1) for match in _LINKED_TITLE.finditer(passage.raw)]  # another work may bear it
        for about in self.near:
            if not about.technique or passage.is_head or any(s.about is about for s in found):
                continue
            for match in about.said_pattern.finditer(passage.text, passage.begin):
                if any(a <= match.start() - passage.begin < b for a, b in titles):
                    continue
                used = self._is_used(passage, match, about.said_pattern)
                if used is not None and (not about.itself or self._is_of_itself(passage, match)):
                    yield statement_in(passage, about, used, *match.span())
            is_headed = any(about.labels_pattern.match(title) for title in passage.titles)
            told = _YES_OR_NO.fullmatch(passage.own) if is_headed else None
            if told and not any(_APART_TITLE.search(title) for title in passage.titles):
                yield statement_in(passage, about, not told["no"], passage.begin, len(passage.text))

    def _is_of_itself(self, passage: Passage, match: re.Match[str]) -> bool:
        """Whether a sentence speaks of the model, not of others or of methods as such."""
        first, last = clause_around(passage.text, *match.span())
        words = f"{passage.text[first : match.start()]} {passage.text[match.end() : last]}"
        # "ConvNeXt computes …": whose name it is, is asked later.
        acts = any(_DOES.match(words, m.end()) for m in self.words.model_names.finditer(words))
        return bool(passage.label or passage.kind == "cell" or acts or _ITSELF.search(words))

    def _is_used(self, passage: Passage, match: re.Match[str], alike: re.Pattern[str]) -> bool | None:
        text = blank(_ALIKE, passage.text)  # "mixup and CutMix disabled"
        start, _ = clause_around(text, *match.span(), _CLAUSE_BEGINS)
        _, stop = clause_around(text, *match.span(), _CLAUSE_ENDS)
        before = alike.sub(" ", text[start : match.start()])  # "without labels, by reconstructing masked patches"
        after = re.sub(" +", " ", text[match.end() : stop])
        if re.match(r"[\s:=(]*[\d.]*[1-9]", after) and passage.kind != "cell":
            return True  # a setting with a value
        negations, is_denied = len(_NEGATION.findall(before)), _NEGATED_AFTER.match(after) is not None
        if negations or is_denied:
            return None if negations + is_denied > 1 else False
        is_on = re.search(r"\b(?:yes|true|on|enabled)\W*$", after[:20], re.IGNORECASE)
        is_listed = _OF_RECIPE.search(" ".join((passage.label, *passage.titles)))
        return True if is_on or is_listed or _USED.search(f"{before} {after}") else None

    # people and addresses

    def _people(self, passage: Passage) -> Iterator[Statement]:
        for about in self.near:
            head = _head(passage, about)
            is_cell = passage.kind == "cell" and about.labels_pattern.fullmatch(passage.label)
            if about.people and (head or is_cell):
                first = head.end() if head and passage.begin == 0 else 0
                if people := split_people(passage.own[first:]):
                    yield statement_in(passage, about, people, passage.begin + first, len(passage.text.rstrip()))

    def _addresses(self, passage: Passage) -> Iterator[Statement]:
        """The one address behind a label such as `Paper:`, or behind a phrase that ends where the address begins."""
        for about in self.near:
            if about.address is None:
                continue
            found = list(re.finditer(about.address, passage.raw))
            is_labelled = _head(passage, about) or about.labels_pattern.fullmatch(passage.label)
            ends = [lead.end() for lead in about.said_pattern.finditer(passage.raw)]
            gaps = {m: [passage.raw[end : m.start()] for end in ends if end <= m.start()] for m in found}
            led = [m for m in found if not all(re.sub("<[^>]*>", "", gap).strip("[`(* ") for gap in gaps[m])]
            meant = found if is_labelled else led or found
            ids = {(m.groupdict().get("id") or m.group()).rstrip("./").removesuffix(".git") for m in meant}
            if len(ids) == 1:
                start, end = (passage.begin + at for at in meant[0].span())
                yield statement_in(passage, about, ids.pop(), start, end, is_loose=not (is_labelled or led))


def _is_of_a_result(about: Property, before: str) -> bool:
    """Whether a verb of results stands between the words that lead to a name and the name."""
    led = [*phrase(about.beside).finditer(before)] if about.beside else []
    return bool(led) and phrase(_RESULTS).search(before, led[-1].end()) is not None


def _is_of_a_part(about: Property, text: str, number: Quantity) -> bool:
    """Whether a number is a share of a rate, of one machine of several, or the epoch when something happens."""
    if about.id == "epochs":
        return _TIME_OF.search(text[: number.start]) is not None
    if about.id == "number-of-GPUs":
        return _EACH_OF_NODES.search(text[: number.start]) is not None
    return about.id != "warmup-factor" and _SHARE_OF.match(text, number.end) is not None


def _is_recipe(about: Property) -> bool:
    return bool(about.keys) and about.keys[0].startswith("documented.training.")


def _takes_numbers(about: Property) -> bool:
    return about.number and not about.names


def _head(passage: Passage, about: Property) -> re.Match[str] | None:
    """The label for the property that the passage's own words begin with."""
    match = re.match(r"\W*([^:]{2,40}):\s*", passage.own)
    return match if match and about.labels_pattern.fullmatch(match[1]) else None


def split_people(text: str) -> tuple[str, ...]:
    """The names of an enumeration of people; empty where it is none."""
    plain = re.sub(
        r"\(.*?\)|,? and (?:colleagues|co-?authors|others|(?:his|her|their) \w+)\b.*$|,? (?:of|from|at) .*$|\bet al\.?.*$|\s[a-z_]+:\s.*$|\.\s*$",
        "",
        text,
        flags=re.DOTALL,
    )
    plain = _INITIALS.sub(r"\2 \1", plain)
    parts = [part.strip(" .*_") for part in re.split(r"[;,/]|\band\b|&", plain)]
    names = [part for part in parts if part]
    is_name = [bool(re.fullmatch(r"(?:[A-ZÀ-Þ][\w.'’À-ÿ-]*\s+){0,4}[A-ZÀ-Þ][\w.'’À-ÿ-]+", name)) for name in names]
    return tuple(names) if names and all(is_name) and any(" " in name for name in names) else ()
