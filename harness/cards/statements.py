"""What a card states: each value with what it is about, found by what stands near it, not by the wording.

Read are sentences, labelled lines and table cells; front matter, `model-index` and BibTeX in `fields.py`. Code is what a reader might run, a quotation is somebody else's, a question or a plan states nothing:
they are left out, and so is a number that stands near nothing it could be of.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from harness.cards.document import Document
from harness.cards.passages import Passage, blanked, passages
from harness.cards.quantities import NUMBER_WORD, Quantity, parse_number, quantities
from harness.cards.sentences import Span
from harness.cards.vocabulary import Property, Vocabulary, phrase, vocabulary

Value = Quantity | str | bool | tuple[float, ...] | tuple[str, ...]
"""A number, a canonical name, whether a technique was used, a list of numbers, or names of people."""


@dataclass(frozen=True)
class Statement:
    """One value of one property, and where it stands."""

    about: Property
    value: Value
    span: Span
    passage: Passage
    at: int
    """Offset of the value in the passage's text."""
    metric: tuple[str, str] | None = None
    """Benchmark and metric of an accuracy."""
    words: str = ""
    """The words that state it."""

    @property
    def topic(self) -> str:
        """What it is about, in words."""
        return f"{self.metric[1]} on {self.metric[0]}" if self.metric else self.about.id


ACCURACY = Property(id="accuracy", words=(), keys=())

_REFERENCE = re.compile(
    r"(?:\b(?:Tables?|Tab\.?|Figures?|Figs?\.?|Sections?|Sec\.?|Appendix|Eqs?\.?|Equations?|References?|Refs?\.?|Chapter|version|v|Python|CUDA|cuDNN|torch|PyTorch|TensorFlow|timm|seed|line|lines|step|issue|PR|volume|pp?\.|top|stage)\s?|[@#§β₁₂^])$",
    re.IGNORECASE,
)
_GAP = re.compile(
    r"(?:\s|[:=|(\[,~≈∼<>≤≥±$`*_–—-]|\b(?:of|to|at|is|was|are|were|be|being|set|fixed|kept|used|equals?|equal|a|an|the|as|has|have|with|about|around|some|over|under|nearly|almost|approximately|"
    r"roughly|close|more|less|than|up|value|values|rate|factor|coefficient|strength|probability|prob|parameters?|alpha|its|this|only|just|lr|wd|count|total|using|size|we|amounts?|amounted|compris\w+|contain\w*|consist\w*|hold\w*|held|h[ae]s?d?|"
    r"constant|default|reaches|stands|dimension|counts|large|high|low|small|exactly|α|λ|ε|β|γ|eps|epsilon)\b)*\s*"
)
_COPULA = re.compile(
    r"(?:\b(?:is|was|are|were|of|to|at|equals|being|as|with)|[:=])\s*(?:an?|the|about|around|approximately|roughly|only|just|set to|~|≈|\W)*\s*$",
    re.IGNORECASE,
)
_STOP = re.compile(
    r"[;.!?]\s|\b(?:and|or|by|after|before|every|per|until|decay\w*|divid\w+|multipl\w+|reduc\w+|drop\w*|increas\w+|schedul\w*|warm\w*|anneal\w*|than|figure|table|section|study|epochs?|steps?|but|while|"
    r"whereas|from|not|which|because|when|where|also|scal\w+|search\w*|sweep\w*|between|among)\b|,\s",
    re.IGNORECASE,
)
_AFTER = re.compile(r"(?:\s|[%()*`$-]|\b(?:as|for|of|in|is|was|the|a|an|our|its|used|total|peak|base|training)\b)*")
_APART = re.compile(r"[;,]\s|\b(?:and|with|plus|then|followed by|after|before|but|while|whereas)\b", re.IGNORECASE)
_RELATIVE = re.compile(
    r"\b(?:points?|pp|improv\w+|gain\w*|drops?|dropped|higher|lower|better|worse|faster|slower|increas\w+|decreas\w+|differen\w+|gaps?|margin|relative|confidence|interval|agreement|energy|"
    r"speed\w*|cost\w*|utili[sz]\w+|probabilit\w+|of the (?:images|area|time|data)|fewer|pruned|sparsity|split|ratio|chance)\b|%-",
    re.IGNORECASE,
)
_NEGATION = re.compile(
    r"\b(?:no|not|never|without|neither|nor|none|cannot|instead of|rather than|unlike|replac\w+|in place of|as opposed to|in lieu of|than|lacks?|lacking|omit\w*|avoid\w*|drop(?:s|ped)|remov\w+|disabl\w+|excludes?|excluding|except)\b|n['’]t\b",
    re.IGNORECASE,
)
_NEGATED_AFTER = re.compile(
    r"^(?:[\s:=*`|(-]|\w+){0,12}?\b(?:not (?:used|applied|enabled|employed|needed|part|kept|performed|active)|disabled|off|none|unused|absent|omitted|no(?=\W*$)|false|0(?:\.0)?(?=[\W]*$)|turned off|switched off|left out|never)",
    re.IGNORECASE,
)
_CLAUSE = re.compile(r";\s|, (?:while|whereas|but)\b")
_USED = re.compile(
    r"\b(?:used?|uses|using|appl\w+|train\w*|with|includ\w+|employ\w*|kept|active|enabled|via|through|regulari[sz]\w+|augment\w*|add\w*|sit|sits|has|have|contain\w*|featur\w*|releas\w+|on|true|yes|techniques?|recipe|maintain\w*|rel(?:y|ies|ied)|learn\w*|obtain\w*|produc\w+|core|is the|are the)\b",
    re.IGNORECASE,
)
_SEPARATOR = r"\s?,?\s(?:and|then|over|to|&)\s|\s?(?:->|[/–→;|+])\s?|,\s|,(?!\d{3}(?:\D|$))|-"
_ITEM = rf"(?:\d+(?:\.\d+|(?:,\d{{3}})+(?!\d))?|\b(?i:{NUMBER_WORD})\b)"
_LIST = re.compile(
    rf"(?<![\w.,])(?!\d{{1,3}}(?:,\d{{3}})+(?!\s?[,\d]))({_ITEM}(?:(?:{_SEPARATOR}){_ITEM}){{2,}})(?![\w%])"
)
_RESOLUTION = re.compile(
    r"(?<![\w.×])(?:3\s?[x×]\s?)?(\d{1,4})(?:\s?(?:x|×|\*|by|\\times)\s?(\d{1,4})(?!\d)(?:\s?[x×]\s?3(?!\d))?|²|\^2|(?=[\s-]?(?:px|pixels?)\b))(?:[\s-]?(?:px|pixels?))?"
)
_QUOTES = re.compile(r"[“\"]([^“”\"\n]{12,})[”\"]")
_PLAIN_TITLE = re.compile(
    r"(?:\W|values?|results?|scores?|this|model|ours|checkpoint|metrics?|val|test|validation|set|accuracy|percent|reported|published|224|px|paper|timm|source|sources|authors|yes|no|download|link|weights|config|log)*",
    re.IGNORECASE,
)
_GUIDE = re.compile(r"fine-?tun|how to|usage|get(?:ting)? started|downstream|transfer|example", re.IGNORECASE)
_APART_TITLE = re.compile(r"interval|class|source|note|reference|difference|\bn\b|\bp\b", re.IGNORECASE)
_PARTIAL = re.compile(r"\b\d[\d,]* of \d[\d,]*\b")
_HEADER_SCALE = re.compile(
    r"[(\[](?:in )?(?P<a>[MGBK]|millions?|billions?)[)\]]|\b(?P<b>[GM])(?=FLOPs?|MACs?|flops)|\bin (?P<c>millions|billions)\b|(?P<d>[MG])$"
)


def read_prose(document: Document, markers: Sequence[Span] = ()) -> Iterator[Statement]:
    """The statements of a card's sentences and cells.

    Args:
        document: the card.
        markers: spans of its markers.
    """
    reader = _Reader(vocabulary())
    return (statement for passage in passages(document, markers) for statement in reader.read(passage))


@dataclass(frozen=True)
class _Mention:
    """Words for a property, or for a thing that only sounds like one (`about` is None)."""

    about: Property | None
    start: int
    end: int
    not_: Property | None = None
    """What it only sounds like."""


@dataclass
class _Reader:
    words: Vocabulary
    hypothetical: re.Pattern[str] = field(init=False)
    others: re.Pattern[str] = field(init=False)
    elsewhere: re.Pattern[str] = field(init=False)
    itself: re.Pattern[str] = field(init=False)

    def __post_init__(self) -> None:
        self.hypothetical = re.compile(self.words.hypothetical.replace(" ?", r"[\s-]?"), re.IGNORECASE)
        self.others = phrase(self.words.other_benchmarks)
        self.itself = re.compile(self.words.itself.replace(" ?", r"[\s-]?"), re.IGNORECASE)
        self.elsewhere = re.compile(self.words.elsewhere, re.IGNORECASE)

    def read(self, passage: Passage) -> Iterator[Statement]:
        """The statements of one passage."""
        if (
            self.hypothetical.search(passage.own)
            or passage.own.lstrip().startswith(('"', "“", "--", "$ "))
            or " --" in passage.own
        ):
            return
        if re.match(r"\s*(?:#|pip |python |git |wget )", passage.own):
            return
        quoted = [match.span() for match in _QUOTES.finditer(passage.text)]
        found = [*self._numbers(passage), *self._names(passage), *self._people(passage), *self._addresses(passage)]
        found += self._techniques(passage, found)
        is_downstream = bool(self.elsewhere.search(passage.own) or _GUIDE.search(" ".join(passage.section[-1:])))
        for statement in found:
            is_quoted = any(a <= statement.at < b for a, b in quoted)
            if (
                not is_quoted
                and statement.span[0] >= passage.start
                and not (is_downstream and _is_recipe(statement.about))
                and not statement.about.excludes(self._around(passage), passage.section)
            ):
                yield statement

    @staticmethod
    def _around(passage: Passage) -> str:
        return f"{passage.label}: {passage.text} {passage.row} {passage.header}"

    def _statement(
        self, passage: Passage, about: Property, value: Value, start: int, end: int, **more: Any
    ) -> Statement:
        first = more.pop("first", start)
        words = re.sub(r"\s+", " ", passage.text[min(first, start) : max(end, more.pop("last", end))]).strip()
        return Statement(about, value, passage.place(start, end), passage, start, words=words, **more)

    # numbers

    def _mentions(self, text: str) -> list[_Mention]:
        found = []
        for about in self.words.properties:
            found += [
                _Mention(about, *m.span()) for m in (about.words_pattern.finditer(text) if about.words_pattern else ())
            ]
            decoys = about.decoys_pattern.finditer(text) if about.decoys_pattern else ()
            found += [_Mention(None, *m.span(), not_=about) for m in decoys]
        longest = {(m.start, m.end) for m in found}
        inside = lambda m: any(a <= m.start and m.end <= b and (a, b) != (m.start, m.end) for a, b in longest)  # noqa: E731
        sounds = {(m.start, m.end, m.not_.id) for m in found if m.not_ is not None}
        meant = {(m.start, m.end) for m in found if m.about and (m.start, m.end, m.about.id) not in sounds}
        kept = [m for m in found if not inside(m)]
        kept = [
            m for m in kept if (m.start, m.end) not in meant or (m.about and (m.start, m.end, m.about.id) not in sounds)
        ]
        kept = [m for m in kept if m.about is None or (m.start, m.end, m.about.id) not in sounds]
        return sorted(kept, key=lambda m: (m.start, m.end))

    def _labels(self, passage: Passage) -> list[_Mention]:
        """Headings and labels that are as a whole words for a property."""
        titles = [blanked(title) for title in passage.titles]
        titles += [match[1] for match in [re.match(r"\W*([^:]{1,40}?)\s*:", passage.own)] if match]
        found = []
        for about in self.words.properties:
            for title in titles:
                if about.decoys_pattern and about.decoys_pattern.search(title):
                    continue
                if about.labels and about.labels_pattern and about.labels_pattern.fullmatch(title):
                    start = passage.text.find(title)
                    found += [_Mention(about, start, start + len(title))] if start >= 0 and title.strip() else []
        return found

    def _named(self, text: str) -> list[Span]:
        """Spans of names that hold digits: networks, data sets, devices, venues."""
        patterns = [self.words.model_names, *(pattern for _, pattern in self.words.benchmark_patterns)]
        patterns += [
            p.names_pattern
            for p in self.words.properties
            if p.names_pattern and p.id in ("training data", "GPU model", "venue", "precision")
        ]
        return [match.span() for pattern in patterns for match in pattern.finditer(text)]

    def _numbers(self, passage: Passage) -> Iterator[Statement]:
        text = passage.text
        if not any((quantities(text), _LIST.search(text), _RESOLUTION.search(text))):
            return  # most sentences of a long card
        mentions, named = self._mentions(text) + self._labels(passage), self._named(text)
        mentions.sort(key=lambda m: (m.start, m.end))
        free = [m for m in mentions if m.about is not None and _takes_numbers(m.about)]
        taken: list[Span] = []
        for match in _LIST.finditer(text, passage.begin):
            taken.append(match.span())
            yield from self._list(passage, match, free)
        for match in _RESOLUTION.finditer(text, passage.begin):
            if not any(a < match.end() and match.start() < b for a, b in taken):
                taken.append(match.span())
                yield from self._resolution(passage, match, free)
        numbers = [q for q in quantities(text) if q.start >= passage.begin or passage.begin == 0]
        numbers = [q for q in numbers if q.text.lower() != "one" or passage.kind == "cell"]
        numbers = [q for q in numbers if not any(a < q.end and q.start < b for a, b in [*taken, *named])]
        numbers = [
            q
            for q in numbers
            if not re.search(r"^\W*[^:]{0,40}\([^():]*$", text[passage.begin : q.start])
            or not re.match(r"[^():]*\)\W*:", text[q.end :])
        ]
        numbers = [q for q in numbers if not _REFERENCE.search(text[max(0, q.start - 14) : q.start])]
        bound: set[int] = set()
        listed = {span for run in _runs([(q.start, q.end) for q in numbers], text) if len(run) > 2 for span in run}
        for index, number in enumerate(numbers):
            if (number.start, number.end) in listed and not number.percent:
                continue  # one of several: which of them is this model's can't be told
            before = numbers[index - 1].end if index else 0
            after = numbers[index + 1].start if index + 1 < len(numbers) else len(text)
            single = [m for m in mentions if m.about is None or not m.about.list]
            hit = self._bind(passage, number, single, before, after, numbers)
            if hit is not None:
                bound.add(number.start)
                about, value, first = hit
                yield self._statement(passage, about, value, number.start, number.end, first=first)
        yield from self._accuracies(passage, [q for q in numbers if q.start not in bound], mentions)

    def _bind(
        self,
        passage: Passage,
        number: Quantity,
        mentions: list[_Mention],
        before: int,
        after: int,
        numbers: list[Quantity],
    ) -> tuple[Property, Quantity, int] | None:
        """The property that a number is of, the number in its unit, and where the words for it begin."""
        text = passage.text
        by_unit = self._by_unit(passage, number, mentions, before, after, numbers)
        if by_unit is not None:
            return by_unit if by_unit[0].id != "" and self._fits(*by_unit[:2]) else None
        unit = self._unit_of(text, number)
        prior = next((m for m in reversed(mentions) if m.end <= number.start), None)
        following = next((m for m in mentions if m.start >= number.end), None)
        options = []
        if prior and before <= prior.end and self._leads(text[prior.end : number.start], passage, number):
            options.append(prior)
        if (
            following
            and following.start <= after
            and _AFTER.fullmatch(text, number.end, following.start)
            and following.start - number.end < 30
        ):
            options.insert(
                0
                if following.start - number.end <= 2
                and not re.search(r"[:=]", text[prior.end if prior else 0 : number.start])
                else 1,
                following,
            )
        for mention in options:
            about = mention.about
            if about is None or not _takes_numbers(about) or about.list or (unit and unit not in (about.id, "")):
                return None
            if number.end < len(text) and re.match(r"\s?%", text[number.end :]) and about.range[1] > 1:
                continue
            value = self._in_unit(
                about,
                number,
                text[max(0, mention.start - 3) : max(mention.end, number.start)] + passage.text[: passage.begin],
            )
            if self._fits(about, value):
                return about, value, min(mention.start, number.start)
        return None

    @staticmethod
    def _leads(gap: str, passage: Passage, number: Quantity) -> bool:
        """Whether words lead from a mention to the number after it."""
        if len(gap) > 70:
            return False
        apposition = re.fullmatch(r"(?:\s(?:coefficient|value|rate|factor|size|count|used|here))?,\s", gap)
        if apposition and re.match(r"\s?[,)]", passage.text[number.end :]):
            return True  # "the weight decay, 5e-5, is small"
        if "," in gap and not gap.lstrip().startswith((":", "=")):
            return False
        if _GAP.fullmatch(gap):
            return True
        bare = re.sub(r"\([^()]{0,30}\)", " ", gap)
        if _GAP.fullmatch(bare):
            return True
        return bool(not _STOP.search(bare) and _COPULA.search(bare) and len(bare.split()) <= 8)

    def _unit_of(self, text: str, number: Quantity) -> str:
        """The property whose unit follows a number; a number with a foreign unit is of nothing else."""
        for about in self.words.properties:
            if (
                about.units
                and not about.list
                and about.id != "number of training images"
                and any(p.match(text, number.end) for p, _ in about.unit_patterns)
            ):
                return about.id
        return ""

    def _by_unit(
        self,
        passage: Passage,
        number: Quantity,
        mentions: list[_Mention],
        before: int,
        after: int,
        numbers: list[Quantity],
    ) -> tuple[Property, Quantity, int] | None:
        text = passage.text
        options = []
        for about in self.words.properties:
            sizes = [
                (match.end(), size)
                for pattern, size in about.unit_patterns
                if (match := pattern.match(text, number.end))
            ]
            fits = (
                any(self._fits(about, number.times(size) if size != 1 else number) for _, size in sizes)
                or passage.begin > 0
            )
            if sizes and fits and not about.resolution and not about.list:
                options.append((about, *max(sizes)))
        if not options:
            return None
        nothing = Property(id="", words=(), keys=()), number, 0
        if any(about.id == "batch size on each GPU" for about, *_ in options):
            options = [option for option in options if option[0].id == "batch size on each GPU"]
        elif any(about.id == "batch size" for about, *_ in options):
            options = [option for option in options if option[0].id == "batch size"]
        unit_end = max(end for _, end, _ in options)
        left = max((m.end() for m in _APART.finditer(text, before, number.start)), default=before)
        right = next((m.start() for m in _APART.finditer(text, unit_end, after)), after)
        window = [m for m in mentions if left <= m.start and m.end <= right]
        about_here = [m for m in window if m.about is not None and any(m.about.id == o[0].id for o in options)]
        specific = [m for m in about_here if not (m.about and m.about.alone)] or about_here
        if any(m.about is None for m in window) and not specific:
            return nothing
        if specific:
            chosen = specific[0].about
        else:
            elsewhere = [
                m
                for m in mentions
                if m.about is not None and not m.about.alone and any(m.about.id == o[0].id for o in options)
            ]
            same_unit = sum(any(p.match(text, q.end) for p, _ in options[0][0].unit_patterns) for q in numbers)
            if elsewhere and same_unit < 2:
                return nothing
            chosen = next((o[0] for o in options if o[0].alone), None)
            if chosen is None:
                with_needs = [o[0] for o in options if o[0].needs and not o[0].excludes(self._around(passage))]
                chosen = with_needs[0] if with_needs else None
        if chosen is None:
            return nothing
        if chosen.id == "training epochs" and re.search(
            r"\b(?:every|at|after|last|first|per|until|within|additional|another|extra|from|around|step|epochs?) $",
            text[: number.start],
            re.IGNORECASE,
        ):
            return nothing
        size = next(size for about, _, size in options if about.id == chosen.id)
        value = number.times(size) if size != 1 else self._in_unit(chosen, number, text[: passage.begin])
        return chosen, value, number.start

    def _in_unit(self, about: Property, number: Quantity, heading: str) -> Quantity:
        if number.percent and about.range[1] <= 1:
            return number.times(0.01)
        match = _HEADER_SCALE.search(heading.strip(" :—"))
        if match and not number.scaled and about.range[0] >= 1000:
            letter = next(filter(None, match.groups()))[0].upper()
            return number.times({"M": 1e6, "G": 1e9, "B": 1e9, "K": 1e3}[letter])
        return number

    @staticmethod
    def _fits(about: Property, value: Quantity) -> bool:
        low, high = about.range
        return (low <= value.value <= high or (value.value == 0 and low < 1)) and not (value.percent and high > 1)

    def _list(self, passage: Passage, match: re.Match[str], mentions: list[_Mention]) -> Iterator[Statement]:
        text = passage.text
        values = tuple(parse_number(part) for part in re.split(_SEPARATOR, match[1]) if part.strip())
        options = [p for p in self.words.properties if p.list]
        if prior_is_fraction := all(value <= 1 for value in values):
            options = []
        by_unit = [
            p for p in options if p.units and any(pattern.match(text, match.end()) for pattern, _ in p.unit_patterns)
        ]
        kinds = ("mean", "std") if prior_is_fraction else ("depths", "widths")
        prior = next(
            (m for m in reversed(mentions) if m.end <= match.start() and m.about and m.about.list in kinds), None
        )
        if by_unit:
            yield self._statement(passage, by_unit[0], values, match.start(1), match.end(1))
        elif prior and not re.search(r"\d|[.;,]\s", text[prior.end : match.start()]) and match.start() - prior.end < 45:
            assert prior.about is not None
            yield self._statement(passage, prior.about, values, match.start(1), match.end(1), first=prior.start)

    def _resolution(self, passage: Passage, match: re.Match[str], mentions: list[_Mention]) -> Iterator[Statement]:
        text, side = passage.text, float(match[1])
        if match[2] and match[2] != match[1]:
            return
        value = Quantity(side, 1.0, match.start(1), match.end(), match.group())
        patch = next(p for p in self.words.properties if p.id == "patch size")
        size = next(p for p in self.words.properties if p.id == "input resolution")
        near_patch = any(m.about is patch and match.start() - m.end < 12 and m.end <= match.start() for m in mentions)
        if near_patch or any(p.match(text, match.end()) for p, _ in patch.unit_patterns):
            yield self._statement(passage, patch, value, match.start(), match.end())
        elif size.range[0] <= side <= size.range[1] and not size.excludes(
            self._around(passage) + " image size" * bool(re.search(r"\bat $", text[: match.start()]))
        ):
            yield self._statement(passage, size, value, match.start(), match.end())

    # accuracies

    def _accuracies(self, passage: Passage, numbers: list[Quantity], mentions: list[_Mention]) -> Iterator[Statement]:
        text = passage.text
        metrics = [
            (match.start(), match.end(), name, is_error)
            for name, metric in self.words.metrics.items()
            for pattern, is_error in ((metric.pattern, False), (metric.error_pattern, True))
            for match in (pattern.finditer(text) if pattern else ())
        ]
        metrics = sorted(
            m
            for m in metrics
            if not any(o[0] <= m[0] and m[1] <= o[1] and o != m and o[1] - o[0] > m[1] - m[0] for o in metrics)
        )
        benches = [
            (*match.span(), name) for name, pattern in self.words.benchmark_patterns for match in pattern.finditer(text)
        ]
        benches = sorted(
            b for b in benches if not any(o[0] <= b[0] and b[1] <= o[1] and o[1] - o[0] > b[1] - b[0] for o in benches)
        )
        runs = _runs([(q.start, q.end) for q in numbers], text)
        for index, number in enumerate(numbers):
            left = numbers[index - 1].end if index else 0
            right = numbers[index + 1].start if index + 1 < len(numbers) else len(text)
            metric, bench, near = None, None, False
            run = next((run for run in runs if (number.start, number.end) in run), [])
            if len(run) > 1:
                position = run.index((number.start, number.end))
                for things, is_metric in ((metrics, True), (benches, False)):
                    for other in _runs([thing[:2] for thing in things], text):
                        if len(other) == len(run):
                            thing = next(t for t in things if t[:2] == other[position])
                            metric, bench, near = (thing, bench, True) if is_metric else (metric, thing, True)
            if (
                len(run) > 1
                and metric is None
                and bench is None
                and (_runs([m[:2] for m in metrics], text) or _runs([b[:2] for b in benches], text))
            ):
                continue
            if metric is None:
                metric, adjacent = self._near_metric(text, number, metrics, benches, left, right)
                near = near or adjacent
            if bench is None:
                bench, adjacent = self._near_benchmark(text, number, benches, left, right, passage)
                near = near or (adjacent and number.percent)
            if not near:
                continue
            statement = self._accuracy(passage, number, metric, bench, len({b[2] for b in benches}))
            if statement is not None:
                yield statement

    def _near_metric(
        self, text: str, number: Quantity, metrics: list[Any], benches: list[Any], left: int, right: int
    ) -> tuple[Any, bool]:
        def words(a: int, b: int) -> str:
            gap = text[a:b]
            for first, last, _ in benches:
                if a <= first and last <= b:
                    gap = gap.replace(text[first:last], " ")
            return re.sub(r"\b(?:on|for|in|the|val\w*|set|test|single crop|crop)\b", " ", gap)

        following = next((m for m in metrics if number.end <= m[0] <= right), None)
        if following and re.fullmatch(r"[\s%()*]*(?:of|in|for|\s)*", words(number.end, following[0])):
            return following, True
        prior = next((m for m in reversed(metrics) if left <= m[0] and m[1] <= number.start), None)
        if prior and (
            _GAP.fullmatch(words(prior[1], number.start))
            or (
                len(text[prior[1] : number.start]) < 60
                and not _STOP.search(words(prior[1], number.start))
                and _COPULA.search(text[prior[1] : number.start])
            )
        ):
            return prior, True
        clause = [m for m in metrics if left <= m[0] <= right]
        return (clause[0], False) if len({m[2:] for m in clause}) == 1 else (None, False)

    @staticmethod
    def _near_benchmark(
        text: str, number: Quantity, benches: list[Any], left: int, right: int, passage: Passage
    ) -> tuple[Any, bool]:
        following = next((b for b in benches if number.end <= b[0] <= right), None)
        if (
            following
            and not re.search(r"[.;:]|,\s|\band\b", text[number.end : following[0]])
            and following[0] - number.end < 60
        ):
            return following, bool(re.search(r"\b(?:on|for|over|of|in|from)\b", text[number.end : following[0]]))
        prior = next((b for b in reversed(benches) if left <= b[0] and b[1] <= number.start), None)
        if prior and not re.search(r"[.;]\s", text[prior[1] : number.start]) and number.start - prior[1] < 60:
            return prior, bool(
                re.fullmatch(
                    r"(?:[\s:|—(=,]|\b(?:is|of|at|an?|the|this|our|top[- ]?[15]|accuracy|acc|model|network|checkpoint|it|reach\w*|scor\w+|gets?|achiev\w+|obtain\w*|attain\w*|yields?|has|alone|only|test|val|validation|set|right)\b)*",
                    text[prior[1] : number.start],
                    re.IGNORECASE,
                )
            )
        return None, False

    def _accuracy(self, passage: Passage, number: Quantity, metric: Any, bench: Any, known: int) -> Statement | None:
        text = passage.text
        clause_start = max(
            (m.end() for m in re.finditer(r"[;.]\s|, (?:and|but|while)\b", text[: number.start])), default=0
        )
        clause_end = (
            next((m.start() for m in re.finditer(r"[;.]\s|, (?:and|but|while)\b", text[number.end :])), len(text))
            + number.end
        )
        clause = text[clause_start:clause_end]
        if any(not self._is_plain(title) for title in (*passage.titles, *_worded(passage.row))):
            return None
        if _PARTIAL.search(f"{passage.row} {text}") or self.others.search(" ".join(passage.section[-2:])):
            return None
        if (
            _RELATIVE.search(clause)
            or number.relation in ("least", "most")
            or (number.upper is not None and "±" not in number.text)
        ):
            return None
        name, is_error = (metric[2], metric[3]) if metric else ("top1", False)
        if metric and not is_error and re.search(r"\berr(?:or)?s?\b", clause) and not re.search(r"\bacc", clause):
            is_error = True  # "an error of 20.6 % (top-1)"
        if bench is None:
            if self.others.search(text) or (known > 0 and metric is None):
                return None
            heads = [
                n
                for n, pattern in self.words.benchmark_patterns
                if pattern.search(f"{passage.label} {' '.join(passage.section[-1:])}")
            ]
            benchmark = heads[0] if heads else "imagenet-val"
        else:
            benchmark = bench[2]
            first, last = sorted([(bench[0], bench[1]), (number.start, number.end)])
            if self.others.search(text[first[1] : last[0]]):
                return None
        if name == "mce" and benchmark == "imagenet-val":
            benchmark = "imagenet-c"
        if benchmark == "imagenet-c" and metric is None:
            name = "mce"
        if benchmark == "imagenet-c-bar":
            name, is_error = "mean-error", False
        value = number
        if not number.percent and 0 < number.value < 1 and number.step <= 0.01:
            value = replace(number.times(100), percent=True)
        if not 1 <= value.value <= 100 or (value.scaled and value is number):
            return None
        if not number.percent and value is number and metric is None and passage.kind != "cell":
            return None
        shown = value.complement() if is_error else value
        about = renamed(
            ACCURACY, "top-1 accuracy" if name == "top1" else "top-5 accuracy" if name == "top5" else "corruption error"
        )
        is_before = metric and passage.begin <= metric[0] < number.start
        return self._statement(
            passage,
            about,
            shown,
            number.start,
            number.end,
            metric=(benchmark, name),
            first=metric[0] if is_before else number.start,
            last=max(metric[1], number.end) if metric else number.end,
        )

    def _is_plain(self, title: str) -> bool:
        """Whether a table's heading says nothing that would make an accuracy one of something else."""
        named = [self.words.model_names, *(pattern for _, pattern in self.words.benchmark_patterns)]
        named += [pattern for m in self.words.metrics.values() for pattern in (m.pattern, m.error_pattern) if pattern]
        return bool(_PLAIN_TITLE.fullmatch(title.strip()) or any(pattern.search(title) for pattern in named))

    # names

    def _names(self, passage: Passage) -> Iterator[Statement]:
        for about in self.words.properties:
            if (
                passage.is_head
                or not about.names
                or about.names_pattern is None
                or not about.names_pattern.search(passage.own)
            ):
                continue
            found: dict[Span, str] = {}
            for pattern in about.frame_patterns:
                for match in pattern.finditer(passage.text):
                    if match.start("name") >= passage.begin:
                        found[match.span("name")] = about.canonical(match["name"])
            labelled = bool(
                about.labels_pattern and (about.labels_pattern.fullmatch(passage.label) or _head(passage, about))
            )
            for match in about.names_pattern.finditer(passage.text, passage.begin):
                if (
                    about.alone
                    or labelled
                    or self._by_words(about, passage, match)
                    or (about.needs and not about.excludes(self._around(passage)) and not about.frames)
                ):
                    found[match.span()] = about.canonical(match.group())
            spans = [
                span for span in found if not any(a <= span[0] and span[1] <= b and (a, b) != span for a, b in found)
            ]
            asserted = [span for span in sorted(spans) if not self._is_negated(passage, span)]
            for span in asserted:
                yield self._statement(passage, about, found[span], *span)
                year = re.match(r"\W{0,3}((?:19|20)\d\d)\b", passage.text[span[1] :])
                if about.id == "venue" and year:
                    dated = next(p for p in self.words.properties if p.year)
                    at = span[1] + year.start(1)
                    yield self._statement(passage, dated, next(quantities(year[1])), at, at + 4, first=span[0])

    @staticmethod
    def _by_words(about: Property, passage: Passage, match: re.Match[str]) -> bool:
        """Whether a name stands directly beside the words for its property."""
        if about.words_pattern is None or about.frames:
            return False
        text = passage.text
        before = list(about.words_pattern.finditer(text, 0, match.start()))
        after = about.words_pattern.search(text, match.end(), match.end() + 30)
        leads = before and re.fullmatch(
            r"[\s:=|—(]*(?:(?:is|was|are|were|the|an?|used|of|type|function)\s+)*",
            text[before[-1].end() : match.start()],
        )
        return bool(leads or (after and re.fullmatch(r"[\s-]*", text[match.end() : after.start()])))

    @staticmethod
    def _is_negated(passage: Passage, span: Span) -> bool:
        before = passage.text[max(passage.begin, span[0] - 40) : span[0]]
        clause = re.split(r"[;:,]\s|\b(?:but|and it)\b", before)[-1]
        after = passage.text[span[1] : span[1] + 40]
        if _NEGATED_AFTER.match(re.split(r"[;.,]\s", after)[0]):
            return True
        if re.match(r"-(?:free|less)\b|\s(?:variants?|versions?|ablations?|experiments?)\b", after):
            return True
        replaced = re.match(
            r"\W*(?:\w+\W+){0,2}?(?:(?:is|was|are|were) (?:not|replaced|swapped|dropped|removed)|gave way)",
            after,
            re.IGNORECASE,
        )
        return bool(_NEGATION.search(clause) or replaced)

    # techniques

    def _techniques(self, passage: Passage, found: list[Statement]) -> Iterator[Statement]:
        for about in self.words.properties:
            if not about.technique or about.words_pattern is None:
                continue
            if passage.is_head or any(s.about is about for s in found):
                continue
            for match in about.words_pattern.finditer(passage.text, passage.begin):
                used = self._is_used(passage, match)
                if used is not None and (not about.itself or self._is_of_itself(passage, match)):
                    yield self._statement(passage, about, used, *match.span())
            named = [title for title in passage.titles if about.labels_pattern and about.labels_pattern.match(title)]
            heading = named and not any(_APART_TITLE.search(title) for title in passage.titles)
            if heading and re.fullmatch(
                r"\W*(?:yes|no|true|false|none|off|on|x|✓|✗|✔|✘|(?:not )?(?:used|applied|enabled)|disabled|—)\W*",
                passage.own,
                re.IGNORECASE,
            ):
                used = not re.search(r"no|false|off|disabled|[x✗✘—]", passage.own, re.IGNORECASE)
                yield self._statement(passage, about, used, passage.begin, len(passage.text))

    def _is_of_itself(self, passage: Passage, match: re.Match[str]) -> bool:
        """Whether a sentence speaks of the model, not of others or of methods as such."""
        first = max((m.end() for m in _CLAUSE.finditer(passage.text[: match.start()])), default=0)
        words = f"{passage.text[first : match.start()]} {_CLAUSE.split(passage.text[match.end() :])[0]}"
        return bool(passage.label or passage.kind == "cell" or self.itself.search(words))

    def _is_used(self, passage: Passage, match: re.Match[str]) -> bool | None:
        text = passage.text
        start = max(
            (m.end() for m in re.finditer(r"[;:]\s|\b(?:but|while|whereas|except)\b", text[: match.start()])), default=0
        )
        before = text[start : match.start()]
        stop = next(
            (m.start() for m in re.finditer(r"[;,]\s|\b(?:but|while|whereas|and)\b", text[match.end() :])), len(text)
        )
        after = text[match.end() : match.end() + stop]
        if re.match(r"[\s:=(]*[\d.]*[1-9]", after) and passage.kind != "cell":
            return True  # a setting with a value
        negations = len(_NEGATION.findall(before))
        if negations > 1 or (negations and _NEGATED_AFTER.match(after)):
            return None
        if negations or _NEGATED_AFTER.match(after):
            return False
        if re.search(r"\b(?:yes|true|on|enabled)\W*$", after[:20], re.IGNORECASE):
            return True
        return (
            True
            if _USED.search(f"{before} {after}")
            or re.search(
                r"augment|regulari|technique|training|recipe", " ".join((passage.label, *passage.titles)), re.IGNORECASE
            )
            else None
        )

    # people and addresses

    def _people(self, passage: Passage) -> Iterator[Statement]:
        for about in self.words.properties:
            match = about.people and (
                _label(passage, about) or next(filter(None, (p.match(passage.own) for p in about.frame_patterns)), None)
            )
            if match:
                own = (
                    passage.own[match.end() if passage.begin == 0 else 0 :]
                    if not isinstance(match, bool)
                    else passage.own
                )
                first = len(passage.own) - len(own)
                people = split_people(own)
                if people:
                    start = passage.begin + first
                    yield self._statement(passage, about, people, start, start + len(own.rstrip()))

    def _addresses(self, passage: Passage) -> Iterator[Statement]:
        """The one address behind a label such as `Paper:`."""
        for about in self.words.properties:
            if about.address is None:
                continue
            found = list(re.finditer(about.address, passage.raw))
            labelled = _label(passage, about) or (
                about.labels_pattern and about.labels_pattern.fullmatch(passage.label)
            )
            if not labelled:  # a phrase that ends where the address begins
                leads = [
                    pattern.search(passage.raw[: m.start()].rstrip("[`(* ") + " ")
                    for m in found
                    for pattern in about.frame_patterns
                ]
                found = (
                    found
                    if any(lead and not passage.raw[lead.end() : found[0].start()].strip("[`(* ") for lead in leads)
                    else []
                )
            ids = {(m.groupdict().get("id") or m.group()).rstrip("./").removesuffix(".git") for m in found}
            if len(ids) == 1:
                start, end = found[0].span()
                yield self._statement(passage, about, ids.pop(), passage.begin + start, passage.begin + end)


def _worded(row: str) -> list[str]:
    """A row's cells that hold words: they may say that its values are of something else."""
    return [cell for cell in row.split(" | ") if not re.search(r"\d", cell) or len(cell) > 60]


def _is_recipe(about: Property) -> bool:
    return bool(about.keys) and about.keys[0].startswith("documented.training.")


def _takes_numbers(about: Property) -> bool:
    return about.number and not about.names


def renamed(about: Property, name: str) -> Property:
    """The property by another name."""
    return about.model_copy(update={"id": name})


def _head(passage: Passage, about: Property) -> bool:
    """Whether the passage's own words begin with a label for the property."""
    match = re.match(r"\W*([^:]{2,40}):", passage.own)
    return bool(match and about.labels_pattern and about.labels_pattern.fullmatch(match[1]))


def _label(passage: Passage, about: Property) -> re.Match[str] | bool:
    assert about.labels_pattern is not None
    match = re.match(r"\W*([^:]{2,40}):\s*", passage.own)
    if match and about.labels_pattern.fullmatch(match[1]):
        return match
    return passage.kind == "cell" and bool(about.labels_pattern.fullmatch(passage.label))


def _runs(spans: list[Span], text: str) -> list[list[Span]]:
    """Runs of spans that stand in a list: `A, B and C`, `A/B`."""
    runs: list[list[Span]] = []
    for span in sorted(set(spans)):
        if (
            runs
            and re.fullmatch(r"[\s,/&%|()]*(?:and)?[\s%(]*", text[runs[-1][-1][1] : span[0]])
            and span[0] > runs[-1][-1][1]
        ):
            runs[-1].append(span)
        else:
            runs.append([span])
    return [run for run in runs if len(run) > 1]


def split_people(text: str) -> tuple[str, ...]:
    """The names of an enumeration of people; empty where it is none."""
    plain = re.sub(r"\(.*?\)|,? (?:of|from|at) .*$|\bet al\.?.*$|\.\s*$", "", text, flags=re.DOTALL)
    parts = [part.strip(" .*_") for part in re.split(r"[;,]|\band\b|&", plain)]
    names = [part for part in parts if part]
    is_name = [bool(re.fullmatch(r"(?:[A-ZÀ-Þ][\w.'’À-ÿ-]*\s+){0,4}[A-ZÀ-Þ][\w.'’À-ÿ-]+", name)) for name in names]
    return tuple(names) if names and all(is_name) and any(" " in name for name in names) else ()
