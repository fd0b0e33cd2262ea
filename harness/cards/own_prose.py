"""What a card's own sentences state of what it leaves open elsewhere, where nothing else is known of the model.

A value counts where the reader of statements is sure what it is of, where it stands right beside the very words that it is
asked for with (`kappa` in a table, `(Cohen's kappa 0.79)` in a sentence), or where it alone in the card is of the kind asked: when
and where images were taken, who labelled them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from harness.cards.agreement import MONTHS
from harness.cards.answers import Answer, Writer
from harness.cards.document import Document
from harness.cards.markdown import escape_markdown
from harness.cards.parts import class_names
from harness.cards.passages import Passage, passages
from harness.cards.quantities import Quantity, quantities
from harness.cards.questions import Place, Recognised, is_of_results
from harness.cards.retrieval import content
from harness.cards.stated import Statement
from harness.cards.statements import read_prose
from harness.cards.views import DERIVED, View, marks
from harness.cards.vocabulary import Property
from harness.evidence import EvidenceClass

_OTHER = re.compile(
    r"pre-?train|\b(?:base|original|starting|parent|other|earlier) (?:model|weights|checkpoint|network)|\bits authors|\bteacher|\bbaseline",
    re.IGNORECASE,
)
"""Words of sentences about another model, or the training before this model's own."""
_UNSAID = content("training fine-tuning number")
"""Words that ask and that a sentence need not have."""
_SPLITS = {"train": r"\btrain\w*", "validation": r"\bval(?:id\w*)?\b|\beval\w*", "test": r"\btest\w*|\bheld[- ]out"}
_PARTS = re.compile(r"[,;:.]\s|\b(?:and|while|whereas|but)\b")
"""What parts the numbers of a sentence, each with its own words."""
_BEFORE = re.compile(r"([^\W\d_]+)(?:[\s:=(]+(?:of|is|was|were|to|at|about|on|in|only|just))*[\s:=(]*$")
_AFTER = re.compile(
    r"(?:[x×%]|\s?(?:px|GB))?(?:[\s-]+(?:for|of|in|from|the|our|such|single))*[\s-]+([^\W\d_]+(?: [^\W\d_]+)?)"
)
"""The words that a number stands right beside."""
_COUNTED = re.compile(
    r"\s(?:[\w-]+ )??(?:of (?:them|these|which)|(?:were|was|are|for)|(?!(?:epoch|step|iteration|hour|day|minute|second|week|month|year|class|categor|layer|block|parameter|"
    r"pixel|GPU|weight|point|degree|dot)\w*\b)[a-z]+s)\b"
)
_HOW_MANY = re.compile(r"\b(?:number of|how many) ([\w-]+(?: [\w-]+)?)", re.IGNORECASE)
_NO_NUMBER = re.compile(r"\b(?:by|who|where|when)\b", re.IGNORECASE)
_MOMENT = re.compile(
    r"\b(?:after|every|until|since|before|at epoch|at step) (?:(?:about|the|\d+|and|,) ?)*$", re.IGNORECASE
)
"""What makes a number a moment, not how long something took."""
_PLACED = re.compile(r"\b(?:at|on|in) *$")
_EACH = re.compile(
    r"\b(?:DDP|distributed|torchrun|process(?:es)?|(?:per|each|every) (?:GPU|card|device))\b", re.IGNORECASE
)
"""What says that each GPU has a process of its own."""
_BOTH = re.compile(r"\b(?:when|where|by whom) and (?:when|where|by whom)\b", re.IGNORECASE)
_IMAGES, _MANY = content("images"), 20
"""What a model's data consist of, whatever a card calls them, and from which number on it counts them."""
_NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_COUNT_OF = rf"(?:(?i:{'|'.join(_NUMBERS)})|\d+)"
_MONTH = rf"(?:{'|'.join(map(str.capitalize, MONTHS))})"
_PROPER = rf"(?:the )?(?!{_MONTH})[A-ZÀ-Þ][a-zß-ÿ'’-]+(?![\w-])"
_WORDS = {
    "<date>": rf"(?:(?:(?:years?|springs?|summers?|autumns?|winters?) (?:of )?)?(?:{_MONTH}\w* )?(?:19|20)\d\d|{_MONTH}\w*)",
    "<name>": rf"(?:{_PROPER}(?:(?:,? and|,| of| de| la)? {_PROPER})*)",
    "<who>": rf"(?:(?:an?|our|the|both|{_COUNT_OF}|[A-Z][\w-]+)\b)",
    "<count>": _COUNT_OF,
    "<gpu>": r"(?:(?:NVIDIA |GeForce |Tesla |Quadro )*(?:(?:RTX|GTX) ?[A-Z]?\d{4}(?: ?Ti)?|[AVHBP]100|A10G?|L4|L40S?|T4|A40|A6000|K80)(?:s\b|\b)(?: GPUs?| cards?)?)",
}
"""What stands for what in `_KINDS`."""
_DONE = (
    r"\b(?:label+ed|annotated|graded|checked|marked|rated|judged)\b",
    r"\b(?:collected|gathered|recorded|taken|photographed|filmed|drawn|scanned|acquired|captured|flown|shot|sampled|sent in|c[oa]mes?)\b",
)
"""What was done with images before they were data, in words of one meaning; the last where none is named: `<done>`."""
_HARDWARE = (
    r"^(?!.*\b(?:batch|images?|memory|hours|days|nodes)\b).*\b(?:GPUs?|graphics cards?|hardware|accelerators?)\b"
)
_KINDS = (
    (
        r"\b(?:collected|gathered|recorded|photographed|filmed|acquired|captured)\W*$|\b(?:when(?! \[)|years?|period|seasons?|dates?)\b",
        r"<done>[^.;]*?\b(?:from|in|between|during) (?:the )?(<date>(?:(?: (?:to|and|until|till|through) |\s?[-–]\s?)<date>)?)",
    ),
    (
        r"\bcountr(?:y|ies)\b|\b(?:taken|collected|gathered|recorded|photographed|filmed)\b.*\bwhere\b|\bwhere\b.*\b(?:tak|collect|gather|photo|come|c[oa]me|record)|\b(?:origin|places?|locations?|sites?|regions?)\b|"
        r"\b(?:taken|collected|gathered|recorded|photographed|flown|filmed|shot) (?:in|at|near) \[\?\]|\bc[oa]mes? from ?\[\?\]",
        r"(?:<done>[^.;]*?\b(?:in|from|at|near|across|off)|\d (?:[\w-]+ ){1,3}from)\b ((?:(?:[a-z]+ ){1,2}(?:in|of|on) )?<name>)|"
        r"\bin (<name>), where (?:all|the|our|they|these) [^.;]*<done>",
    ),
    (
        r"\w(?:ed|en|wn)(?: \w+)? by\b(?! (?:ten|two|half|an?\b|\d))|\bwho (?:\w+ )?\w+ed\b|\bannotators?\W*$|^\W*labell?ing\W*$",
        r"<done>(?: independently)? by (<who>(?: [^,.;()]{2,60}?)?)(?=[,.;()]|$| (?:who|from|with|before|after|on|in|at|between|during|for|to|and \w+ed)\b)|"
        r"\b((?:(?i:an?|our)|<count>)(?: (?!(?:that|which|was|were|is|are|by)\b)[\w-]+){1,3}?) (?:(?:had|have|has|all|both) )?(?:\w+ly )?<done>",
    ),
    (_HARDWARE, r"(?<!inference )(?:on|used|with|to|\() ?((?:<count>(?: x| ×)? )?<gpu>)|\ban (<gpu>)"),
    (_HARDWARE, r"\b((?:our|my) own (?:workstation|server|cluster|laptop|desktop|computer|machine)s?)\b"),
    (
        r"\baccuracy\b|\b(?:right|correct)",
        r"(\d[\d.,]* ?%) (?:of (?:[\w-]+ ){1,3}?)?(?:get|gets|got|are|is|were|was|receives?) (?:the |an? |put |classified |labelled |sorted |named |recogni[sz]ed )*(?:right|correct)",
    ),
    (
        r"\bpre-?train(?:ed|ing)?\b|\bfine-?tuned from\b|\b(?:base|parent) model\b|\b(?:starting|initial) (?:weights|point|checkpoint)",
        r"\b(?:from|with) ((?:random|randomly initiali[sz]ed) weights|random initiali[sz]ation)|\btrained (?:(?:it|this|the \w+|everything) )?(from scratch)|\b((?:drawn|initiali[sz]ed) at random)",
        "nothing ({})",
    ),
    (
        r"^\W*(?:\w+ ){0,2}\w+\W*$",
        r"\b(?:[Tt]he|[Oo]ur|[Ii]ts) <label> (?:is|was|are|were) (an? [^.;,()]{2,50}?|<name>)(?=[.;,()]| (?:with|and|which|that|on|at)\b)|\b(?:an?|one|the|our|its) <label> (?:in|at|near) (<name>)",
    ),
)
"""What asks for a value of a kind, and how a card's sentences state it."""
_TIME = re.compile(r"[\s-]+((?:hour|day|week|minute|second)s?)\b")
_BEFORE_IT = re.compile(r"\bpre-?train", re.IGNORECASE)
_TELLS = re.compile(
    r"\b(?:says?|tells?|names?|grades?|decides?|predicts?|recogni[sz]es?|distinguish\w*|sorts?|classif\w+)\b",
    re.IGNORECASE,
)
_DATA = (
    "training-data", "testing-data", "number-of-training-images", "number-of-evaluation-images", "compute-region", "classes", "class-names",
    "year-of-the-paper",
)  # fmt: skip
_NOT_DATA = re.compile(
    r"\b(?:model|card|release\w*|version|paper|publi\w+|servers?|machines?|comput\w+|cloud|trained in|training (?:took|ran|was))\b",
    re.IGNORECASE,
)
"""What a label is about that is not about data."""
_OF_TRAINING = re.compile(
    r"\b(?:training(?: procedure| details)?|hardware|compute|environment\w*|emissions?|carbon\b.*)\W*$", re.IGNORECASE
)
"""A heading under which a place is where training ran."""
_IMAGES_OF = re.compile(r"\W*(?:number of )?(?:images|pictures|photo(?:graph)?s) (?:for|in|used) ", re.IGNORECASE)
_KINDS_OF = re.compile(r"\W*(?:kinds|types|sorts|species|varieties|categories) of ", re.IGNORECASE)
"""How a label asks for the classes by what they are classes of."""
_CLASSES = re.compile(
    rf"(?:{_TELLS.pattern}|\bknows\b).*\b(?:what|which|into|between|apart|as|kinds|types|sorts)\b[^,;]*$"
    r"|\b(?:each|one) of (?:these|the following)\b|^\W*(?!number|how)(?:[\w-]+ ){1,3}(?:classes|categories)\W*$",
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
        label, known = _asking(place), self.writer.knowledge
        if known.facts.facts:
            return found
        asked = " ".join(question.id for question in found.questions)
        last = (*place.row, place.column)[-1] if place.column else " ".join(place.row[-1:])
        of = _IMAGES_OF.match(label) or content(re.split(r" (?=\w+$)", last.strip())[-1]) == _IMAGES
        if asked in _DATA and any(kind in _KINDS[:3] for kind in self._kinds(label, place)):
            return Recognised([])  # when, where or by whom
        is_one = re.search(r"\bepoch\W*$", place.column or "", re.IGNORECASE)
        classes = "class-names" if self._asks_classes(label, place) else ""
        other = {
            "training-data": "pretraining-data"
            if _BEFORE_IT.search(label)
            else "number-of-training-images"
            if of
            else "",
            "testing-data": "number-of-evaluation-images" if of else "",
            "epochs": "best-epoch" if is_one and is_of_results(place, self.writer.table) else "",
            "GPU-model": "" if known.find("documented.training.gpu-model") else "hardware",
            "paper": classes,
            "": classes,
            "classes": "" if found.is_sure else classes,
        }.get(asked, "")
        return Recognised([self.writer.table.get(other)]) if other else found

    def _asks_classes(self, label: str, place: Place) -> bool:
        """Whether a place asks for what the card says that the model tells apart: `Kinds of leaf`, `sorts them into [?]`."""
        kinds, noun = _KINDS_OF.match(label), re.fullmatch(r"\W*([A-Za-z]+s)\W*", label)
        told = content(label) - content(kinds[0]) if kinds else frozenset()
        parts = (
            rf"\b(?:of|into|between|among) (?:the |its )?{_COUNT_OF} (?:\w+ )?{noun[1]}\b|\b{noun[1]} (?:the|each)\b"
            if noun
            else r"(?!)"
        )
        telling = [passage.own for passage in self._sentences if _TELLS.search(passage.own)]
        is_told = any((told and told <= content(own)) or re.search(parts, own, re.IGNORECASE) for own in telling)
        leads = f"{_PARTS.split(place.line.partition('[?]')[0])[-1]}[?]" if place.column is None else ""
        listed = self.writer.knowledge.find("documented.data.class-names")
        names = class_names(listed.value) if listed else []
        counts = (
            rf"\b(?:{_NUMBERS[len(names) - 1]}|{len(names)}) (?:[\w-]+ )?[a-z]+s\W*$"
            if 0 < len(names) <= 12
            else r"(?!)"
        )
        is_counted = place.label_is_own and not place.row and re.search(counts, label, re.IGNORECASE)
        return bool(is_told or is_counted) or any(map(_CLASSES.search, (label, leads)))

    def answer(self, asked: Sequence[Property], place: Place, *, is_sure: bool) -> Answer | None:
        """The single value that the card's sentences have for what a place asks."""
        if self.writer.knowledge.facts.facts:
            return None
        told = [item for item in self._statements if is_sure and len(asked) == 1 and _answers(item.about, asked[0])]
        said = {self._with_unit(item, place): item.passage for item in told}
        for found in (self._of_kind, self._numbers):
            said = said or found(place)
        views, references = list[View](), self.writer.references
        if not said and [question.id for question in asked] == ["batch-size"]:
            said, views = self._batch_of_all()
        if len(said) != 1:
            return None
        ((text, passage),) = said.items()
        section = f", under “{passage.section[-1]}”" if passage.section else ""
        where = marks(references, *views) + references.note(f"Stated in this card{section}")
        where += references.note(DERIVED) if views else ""
        question = " + ".join(question.id for question in asked)
        class_ = EvidenceClass.DERIVED if views else EvidenceClass.DOCUMENTED
        return Answer(question, class_, [view.key for view in views], f"{text} {where}", is_complete=True)

    def _batch_of_all(self) -> tuple[dict[str, Passage], list[View]]:
        """The images of one step of the optimiser, from those of each process, the steps that gradients are accumulated over, and
        the number of GPUs, where the card says that each has a process of its own."""
        names = ("batch-size-per-gpu", "gradient-accumulation")
        found = [view for name in names if (view := self.writer.knowledge.find(f"documented.training.{name}"))]
        counted = [item for item in self._statements if item.about.id == "number-of-GPUs"]
        told = {item.value.value: item.passage for item in counted if isinstance(item.value, Quantity)}
        if len(found) < 2 or len(told) != 1 or not any(_EACH.search(item.own) for item in told.values()):
            return {}, []
        ((cards, passage),), (images, steps) = told.items(), (view.value for view in found)
        factors = f"{images:,} per process × {steps} for gradient accumulation × {cards:g} GPUs"
        return {f"{images * steps * cards:,.0f} ({factors})": passage}, found

    def _with_unit(self, item: Statement, place: Place) -> str:
        """A value as it is stated, a time with its unit unless that stands behind the marker."""
        start, end = item.span
        unit = _TIME.match(self.document.text, end)
        is_there = unit is None or unit[1] in f"{place.label} {place.sentence} {place.column}"
        return self.document.text[start : end if is_there or unit is None else unit.end()]

    def _numbers(self, place: Place) -> dict[str, Passage]:
        """Numbers beside a word that asks, in sentences that have all words of the label, the cell's heads or the clause that asks."""
        label = _asking(place)
        if _NO_NUMBER.search(label) and not _HOW_MANY.search(label):
            return {}
        bare, *named = re.split(r"[()]", label)[
            :2
        ]  # "agreement of the experts (kappa)": the name in brackets says more
        if len(splits := _splits(label)) > 1:  # "Images (train / test)"
            asked = content(re.sub("|".join(map(_SPLITS.__getitem__, splits)), " ", bare)) or _IMAGES
            found = [self._beside(asked | content(name), {name}, label, place, _IMAGES) for name in splits]
            is_told = all(len(told) == 1 for told in found)
            return {" / ".join(next(iter(told)) for told in found): next(iter(found[0].values()))} if is_told else {}
        asking = [words for words in map(content, (*named, bare)) if len(words) > ("[?]" in label)]
        return next(filter(None, (self._beside(words, {*splits}, label, place) for words in asking)), {})

    def _beside(
        self, words: frozenset[str], splits: set[str], label: str, place: Place, also: frozenset[str] = frozenset()
    ) -> dict[str, Passage]:
        """The numbers beside one of the words, in sentences that have all of them and are about the same parts of the data."""
        here, counted, found = content(place.line), _HOW_MANY.search(label), dict[str, Passage]()
        heads = content(counted[1]) if counted else words | also
        for passage in self._about(label):
            is_other = place.column is not None or content(passage.own) != here
            for number in quantities(passage.own) if is_other else ():
                before, after = passage.own[: number.start], passage.own[number.end :]
                is_shown = re.search(r"\d", number.text) or counted
                is_apart = _MOMENT.search(before) or (number.percent and words & _IMAGES)
                near = _near(number, "" if len(words) == 1 and _PLACED.search(before) else before, after)
                others = {*_splits(f"{_PARTS.split(before)[-1]} {_PARTS.split(after)[0]}")}
                wider = {*_splits(f"{before.rpartition('; ')[2]} {after.partition('; ')[0]}")}
                others = wider if not others and len(wider) == 1 and not _is_parted(before, after) else others
                is_of_it = others - {"train"} <= splits and (others & splits or (splits <= {"train"} and not also))
                if not (is_of_it and is_shown) or is_apart or heads.isdisjoint(near):
                    continue
                if words - _UNSAID <= content(passage.own) | near:
                    times = re.match(r"\s?[x×](?!\w)", after)
                    found[number.text.lower() + (times[0] if times else "")] = passage
        return found

    def _of_kind(self, place: Place) -> dict[str, Passage]:
        """The values of the kinds that a place asks for by its words, each the only one: `when and where` asks for two."""
        label = _asking(place)
        own = re.search(r"\b\w+(?:ed|own)\b", label)
        named = (words for words in _DONE if re.search(words, label, re.IGNORECASE))
        done = next(named, rf"\b{own[0].lower()}\b" if own else _DONE[re.search("(?i)label|annotat", label) is None])
        words = _WORDS | {"<done>": done, "<label>": re.escape((place.row or (label,))[-1].strip(" *?").lower())}
        found = [self._told(label, words, *kind[1:]) for kind in self._kinds(label, place)]
        known = [told for told in found if told]
        if any(len(told) > 1 for told in known) or (_BOTH.search(label) and len(known) < 2):
            return {}
        return {", ".join(next(iter(told)) for told in known): next(iter(known[0].values()))} if known else {}

    def _kinds(self, label: str, place: Place) -> list[tuple[str, ...]]:
        """The kinds of values that a label asks for."""
        told = [kind for kind in _KINDS if re.search(kind[0], label, re.IGNORECASE)]
        is_of_data = not (_NOT_DATA.search(label) or _OF_TRAINING.search("".join(place.section[-1:])))
        return [kind for kind in told if is_of_data or kind not in _KINDS[:3]]

    def _told(self, label: str, words: dict[str, str], told: str, form: str = "{}") -> dict[str, Passage]:
        """The values that an expression of `_KINDS` finds."""
        pattern = re.sub("<[a-z]+>", lambda match: words[match[0]], told)
        return {
            form.format(escape_markdown(next(filter(None, match.groups())))): passage
            for passage in self._sentences
            for match in re.finditer(pattern, passage.own)
            if _OTHER.search(label) or not _OTHER.search(match[0])
        }

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
            and not _MOMENT.search(self.document.text[: item.span[0]][-40:])
            and self.writer.subjects.of(item) == []
        ]


def _asking(place: Place) -> str:
    """The words that ask at a place: its label, its cell's heads, or what leads to a marker in its clause and the next words."""
    if place.column is not None:
        return " ".join((*place.row, place.column))
    if place.question and not re.search(r"\w{2}", place.sentence.replace("[?]", "")):
        return place.question
    if place.label_is_own and place.label and not re.search(r"\w", place.sentence.replace("[?]", "")):
        return place.label
    before, _, after = place.sentence.partition("[?]")
    return f"{_PARTS.split(before)[-1]}[?]{' '.join(re.split(r'(?=[,;:.]) | ', after)[:3])}"


def _is_parted(before: str, after: str) -> bool:
    """Whether another number stands between a number and the part of the data that its sentence names."""
    told = re.compile("|".join(_SPLITS.values()), re.IGNORECASE)
    behind, ahead = list(told.finditer(before)), told.search(after)
    texts = [after[: ahead.start()]] if ahead else [before[match.end() :] for match in behind[-1:]]
    return any(re.search(r"\d", text) for text in texts)


def _near(number: Quantity, before: str, after: str) -> frozenset[str]:
    """The stems of the words that tell what a number is of: those right beside it, and of a share all that lead to it."""
    follows = None if number.percent else _AFTER.match(after)
    near = content(" ".join(match[1] for match in (_BEFORE.search(before), follows) if match))
    near |= content(_PARTS.split(before)[-1]) if number.percent else frozenset()
    return near | _IMAGES if number.value >= _MANY and not number.percent and _COUNTED.match(after) else near


def _splits(text: str) -> list[str]:
    """The parts of the data that a text names, in its order."""
    found = {name: match.start() for name, told in _SPLITS.items() if (match := re.search(told, text, re.IGNORECASE))}
    return sorted(found, key=found.__getitem__)


def _answers(about: Property, asked: Property) -> bool:
    """Whether a value of one property answers what asks for another."""
    return about.id == asked.id or not {*about.keys}.isdisjoint(asked.evidence)
