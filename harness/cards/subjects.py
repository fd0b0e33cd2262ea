"""Whom a statement is about: this checkpoint, a sibling that its words mean, or another network altogether.

A sibling is meant by a noun phrase ("the 384 model", "the checkpoint fine-tuned on ImageNet-1k", a row or column of a table that is
headed so), not by what is said to have been done to this one ("the model was fine-tuned").
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from harness.cards.knowledge import Knowledge
from harness.cards.passages import Passage
from harness.cards.questions import Place
from harness.cards.sentences import blank, clause_around
from harness.cards.stated import Statement
from harness.cards.vocabulary import Property, vocabulary, wording
from harness.facts.loader import Checkpoint, Relation

_MODEL = (
    r"(?:models?|classifiers?|checkpoints?|versions?|variants?|weights|networks?|siblings?|releases?|files?|ones?|recipes?|stage|"
    r"settings?|schedules?|(?:re)?trainings?|fine-?tunes?|runs?)\b"
)
_PREDICATE = r"\b(?:is|was|are|were|has|have|can|uses?|reach\w*|achiev\w*)\b"
_SIZE = re.compile(
    r"\b(?:the|an?|our|its) (tiny|small|base|large|x-?large|huge|giant|nano|atto|pico|femto)(?:[- ]sized)?[- ]"
    r"(?:models?|variants?|versions?|ones?|networks?)\b|(?<![-\w.])(\d+(?:\.\d+)?) ?([GM]F)\b",
    re.IGNORECASE,
)
_FOR_SIZE = re.compile(r"[ %)]{1,3}(?:for|in|with) (?:the )?(T|S|B|L|XL|Tiny|Small|Base|Large|XLarge|Huge)\b(?!-)")
"""Whose a value before it is, where a recipe differs by size: "0.1 for B and 0.2 for XL"."""
_NOT_TUNED = re.compile(
    r"\b(?:without|no|before|not|never)\W+(?:(?!in\b|during\b)\w+\W+){0,2}?fine-?tun\w*", re.IGNORECASE
)
_SIZED = re.compile(
    r"(?<![A-Za-z])(tiny|small|base|large|x-?large|huge|giant|Ti|XL|[TSBLH])(?![A-Za-z])", re.IGNORECASE
)
_MODELS_TITLE = re.compile(r"\W*(?:models?|networks?|architectures?|backbones?|methods?)\W*", re.IGNORECASE)
_NETWORK_LIKE = re.compile(
    r"\W*[A-Za-z]*[A-Z][a-z]*[A-Z]\w*[-_]\w+\W*|\W*[A-Za-z]+\d*[-_](?:[A-Z]{1,2}\d*|[SB]?\d+)\W*"
)
_AFTERWARDS = re.compile(
    r"\b(?:after|when|once|upon|following)\W+(?:\w+\W+){0,3}?fine-?tun|^\W*fine-?tuned\b[^.;]*,\s*(?:the|it|this|a)\b"
    r"|\bfine-?tuning\W*[:(]|\b(?:in|during) (?:the )?fine-?tuning\b|^\W*(?:for|in|while|during) (?:the )?fine-?tuning\b|^\W*fine-?tuning\b(?:\W+\w+){0,9}?\W+(?:takes|took|uses|used|ran|runs|lasts|lasted|needs|needed)\b",
    re.IGNORECASE,
)
_ITSELF = re.compile(r"^\W*this (?:model|checkpoint|network)\b", re.IGNORECASE)
_SUBTITLE = re.compile(r"\W*[A-Z]\w*[A-Z]\S*(?: model)? (?:pre-?)?trained on [^:%]*\.\W*")
"""What stands first in a card and is no sentence: "ConvNeXT model trained on ImageNet-22k."."""
_ITS = re.compile(r"\W*(?:its?|they|their)\b", re.IGNORECASE)
"""What begins a clause about who the one before is about."""
_TURNS = re.compile(r"[;:]|\b(?:this|it|its|here|while|whereas|but|without)\b", re.IGNORECASE)
"""What turns a sentence to something else."""
_COMPARED = re.compile(
    r"\b(?:with|than|over|to|like|against|outperform\w*|beat\w*|surpass\w*|as|from|on|unlike|the)\s+(?:\w+\s+){0,2}$"
)
_TOLD_OF = re.compile(
    r"[^,;]{0,30}, (?:(?:an?|the|another)\b[^,;]*\b(?:that|which|with)|which|whose)\b(?:[^,;]|, ?\d)*"
)
"""What tells more of a network that has just been named."""
_SELF = re.compile(
    r"(?<!\bof )(?<!\bfrom )(?<!\bto )(?<!\bwith )\b(?:(?:this|the|these|our) (?:model|network|checkpoint|weights|one|backbone)|here|this (?:is|was))\b",
    re.IGNORECASE,
)
"""What means the card's own model."""
_REFERS = re.compile(
    r"^\W*(?:by|with|for|at)\b|\b(?:it|its|they|their|them|(?:that|this) (?:one|version|variant|run|model|network)|those)\b",
    re.IGNORECASE,
)
"""What means who the sentence before is about."""
PLURAL = re.compile(r"\b(?:models|variants|networks|family|families|\w*Nets|\w*NeXts|design spaces?)\b")
"""What means several networks."""
_STRANGERS = wording("strangers")
_OFFERS = re.compile(
    r"\b(?:offers?|provides?|publish\w*|releas\w*|hosts?|ships?|ha[sd]|have|lists?|contains?|(?:re)?trained|built|made|there (?:is|are|exists?))"
    r"(?: also)? (?:an?|another|one|its own|their own) (?:[\w-]+ ){0,2}?(?P<name>[\w.-]+)",
    re.IGNORECASE,
)
_BELONGS = re.compile(r"[^.;,\d]{0,30}\b(?:by|for|of|with|from|in) (?:an? |the )?|\s?\(?")


@dataclass
class Subjects:
    """Tells whom statements are about, in cards of one model."""

    knowledge: Knowledge
    own_names: set[str] = field(init=False)
    """What the model goes by, bare."""
    is_in_timm: bool = field(init=False)
    siblings: list[Checkpoint] = field(init=False)
    """Those that words can mean, nearest first."""

    def __post_init__(self) -> None:
        facts = self.knowledge.facts
        title = str(self.knowledge.ledger.model.get("title", ""))
        checkpoints = facts.checkpoints.values()
        timm = [c.timm or "" for c in checkpoints if c.relation is not Relation.SIBLING]
        self.is_in_timm = any(timm)
        hub_id = facts.hub_id or self.knowledge.ledger.model.get("hub_id") or ""
        names = (facts.model, facts.short_name, hub_id.rpartition("/")[2], title, *timm)
        self.own_names = {_bare(re.sub(r"^.*[:/]", "", name)) for name in names if name}
        self.siblings = [c for c in checkpoints if c.relation is Relation.SIBLING and c.mention]

    def of(self, statement: Statement) -> list[Checkpoint] | None:
        """The siblings that a statement may be about; empty for this checkpoint; None for another network."""
        if statement.passage.kind == "field" or statement.about.address:
            return []
        if self._is_another_row(statement.passage):
            return None
        meant = self._meant(statement)
        named = self._other_network(statement)
        if named is not None:
            sizes = [size for size in _SIZED.findall(named) if not self._is_own_size(size)]
            told = sizes[0] if sizes else named  # "DeiT-S" isn't the sibling that the authors of DeiT trained
            # Of some only one training is known, which the rest of the sentence must tell.
            words = f"{told} {statement.passage.row} {statement.passage.text}" if self._is_of_family(named) else ""
            led = [c for c in self.siblings if re.match(c.mention or "", words, re.IGNORECASE)]
            found = [c for c in self.siblings if c in led or c in self._mentioned(told)]
            if sizes:
                return found or None
            return self._with_likes(found, f"{statement.passage.row} {statement.passage.text}") or None
        if not meant and (self._other_size(statement) or self._is_anothers(statement)):
            return None
        carried = self._carried(statement)
        return meant if carried == [] else carried

    def _carried(self, statement: Statement) -> list[Checkpoint] | None:
        """Whom the sentence or caption before names first, for a statement that names nobody itself."""
        passage, told = statement.passage, statement.passage.before
        said = passage.text[: statement.at]
        is_open = passage.kind == "cell" or _REFERS.search(said) or told.rstrip().endswith(("?", ":"))
        named = [name for name in vocabulary().model_names.findall(f"{passage.row} {said}") if self.is_own(name)]
        if passage.kind == "code":
            told = told.replace(passage.raw, "")
            return self._mentioned(told)
        if not told or not is_open or _SELF.search(said) or any("." in name or not passage.row for name in named):
            return []
        found: list[tuple[int, list[Checkpoint] | None]] = [(m.start(), []) for m in _SELF.finditer(told)]
        if passage.kind != "cell":
            found += [(m.start(), None) for m in _STRANGERS.finditer(told)]
            networks = vocabulary().model_names.finditer(told)
            found += [(m.start(), [] if self.is_own(m.group()) else None) for m in networks]
            found += [(m.start(), None) for m in _SIZE.finditer(told) if not self._is_own_size(m[1] or "")]
        for sibling in self.siblings:
            found += [(m.start(), [sibling]) for m in re.finditer(sibling.mention or "", told, re.IGNORECASE)]
        first = min((at for at, _ in found), default=0)
        subjects = [subject for at, subject in found if at == first]
        meant = [c for subject in subjects if subject for c in subject]
        if meant:
            return self._with_likes(meant, f"{told} {passage.row} {passage.text}")
        return None if None in subjects else []

    def of_place(self, place: Place, about: Property) -> list[Checkpoint] | None:
        """The same of a marker whose answer is about a property; the words for the property itself mean nobody."""
        keys = (*about.evidence, *about.metrics)
        if not any(
            re.match(r"documented\.(?:training|data|preprocessing|coco)|compute|imagenet|carbon", key) for key in keys
        ):
            return []
        heads = (*place.row, place.column or "") if place.column is not None else ()
        texts = heads or ((place.label or "",) if place.label_is_own else (place.sentence.partition("[?]")[0],))
        texts = tuple(re.sub(r"\bfine-?tune\b", "fine-tuned", text) for text in texts)
        for name in (match.group() for match in vocabulary().model_names.finditer(place.question)):
            short = re.split(r"[- ]", name)[-1]  # "Is it better than EfficientNet-B4?" … "B4 has"
            texts = tuple(re.sub(rf"(?<![\w-]){re.escape(short)}(?!\w)", name, text) for text in texts)
        titles = tuple(blank(about.words_pattern, text) for text in texts)
        text = f"{' — '.join(titles)}: "
        row = " | ".join(titles)
        passage = Passage(text, len(text), 0, (0, 0), place.around[2:3], titles=titles, row=row, header=place.header)
        meant = self.of(Statement(about, "", (0, 0), passage, len(text)))
        before = place.line.partition("[?]")[0]
        if meant == [] and texts == (place.sentence.partition("[?]")[0],) != (before,) and not _TURNS.search(before):
            return self.of_place(
                replace(place, sentence=f"{before}[?]"), about
            )  # of several markers the first has the words
        return meant

    def _mentioned(self, text: str) -> list[Checkpoint]:
        return [c for c in self.siblings if re.search(c.mention or "", text, re.IGNORECASE)]

    def _is_another_row(self, passage: Passage) -> bool:
        """Whether a table of models gives a value in the row of another network."""
        head = passage.row.split(" | ")[0]
        if not _MODELS_TITLE.fullmatch(passage.header.split(" | ")[0]) or not _NETWORK_LIKE.fullmatch(head):
            return False
        return not self._mentioned(head) and not self.is_own(head)

    def _is_of_family(self, name: str) -> bool:
        """Whether a network's name is one of the model's family: `ConvNeXt-L`."""
        family = re.split(r"[\W\d_]", name.casefold())[0]
        return family in {re.split(r"[\W\d_]", own.casefold())[0] for own in self.knowledge.own_names}

    def _is_own_size(self, size: str) -> bool:
        own = {part.casefold() for name in self.knowledge.own_names for part in _SIZED.findall(name)}
        return any(size.casefold() in (part, part[0]) for part in own)

    def _with_likes(self, found: list[Checkpoint], words: str) -> list[Checkpoint]:
        """One that is meant may be told more exactly by other words: "after fine-tuning at 384 pixels"."""
        return [c for c in self.siblings if c in found or c in self._mentioned(words)] if found else []

    def _other_network(self, statement: Statement) -> str | None:
        """The name of another network that a value belongs to; None where it is this one's."""
        passage, at = statement.passage, statement.at
        text, end = passage.text, at + statement.span[1] - statement.span[0]
        names = [m for m in vocabulary().model_names.finditer(text) if not at <= m.start() < end]
        if statement.about.downstream:  # it is named after what was built on this network
            names = [m for m in names if not re.search(r"R-CNN|U[Pp]erNet", m.group())]
        foreign = [m for m in names if not self.is_own(m.group())]
        # A network that the card's own is compared with is not who the value belongs to, unless more is told of it.
        compared = [m for m in foreign if _COMPARED.search(text[: m.start()]) and "," in text[m.end() : at]]
        compared = [m for m in compared if _SELF.search(text, m.end(), at) or not _TOLD_OF.fullmatch(text, m.end(), at)]
        before = [m for m in names if m.end() <= at and m not in compared]
        after = [m for m in foreign if m.start() >= end and _BELONGS.fullmatch(text[end : m.start()])]
        heading = " ".join(passage.section[-1:])
        headed = list(vocabulary().model_names.finditer(heading))
        if (before and before[-1] in foreign) or after:
            return " ".join(m.group() for m in foreign)
        if headed and not before and not any(self.is_own(m.group()) for m in headed):
            return heading
        return None

    def _other_size(self, statement: Statement) -> bool:
        """Whether a statement speaks of a member of the family of another size."""
        sizes = [
            _bare("".join(filter(None, m.groups()))) for m in _SIZE.finditer(statement.passage.text[: statement.at])
        ]
        if sizes and not any(sizes[-1] in own for own in self.own_names):
            return True
        end = statement.at + statement.span[1] - statement.span[0]
        behind = _FOR_SIZE.match(statement.passage.text, end)
        return behind is not None and not self._is_own_size(behind[1])

    def _is_anothers(self, statement: Statement) -> bool:
        """Whether a statement speaks of a network of this kind that somebody else trained: "OpenCLIP offers a ConvNeXt-Base"."""
        said = statement.passage.text[statement.passage.begin : statement.at]
        named = vocabulary().model_names
        return any(named.fullmatch(m["name"]) and self.is_own(m["name"]) for m in _OFFERS.finditer(said))

    @staticmethod
    def is_of_the_family(statement: Statement) -> bool:
        """Whether a sentence speaks of a family of networks, not of this one."""
        if statement.about.keys and statement.about.keys[0].startswith("documented.training."):
            return False  # a family is trained in one way
        before = statement.passage.text[statement.passage.begin : statement.at]
        before = "" if before.rstrip(" *_`(").endswith(":") else before
        return bool(PLURAL.search(before)) and not re.search(
            r"\b(?:this|the) (?:model|network|checkpoint)\b|\bit\b", before
        )

    def is_itself(self, name: str) -> bool:
        """Whether a network's name means exactly this checkpoint or its network."""
        return _bare(name.rpartition("/")[2]) in self.own_names

    def is_own(self, name: str) -> bool:
        """Whether a network's name means the model, or the family that it is one of."""
        bare = _bare(name.rpartition("/")[2].removesuffix("ForImageClassification"))
        return any(own.startswith(bare) for own in self.own_names)

    def _meant(self, statement: Statement) -> list[Checkpoint]:
        """Siblings that the words around a value mean."""
        passage, at = statement.passage, statement.at
        row = f"{passage.row} " if passage.row else ""
        corner = passage.header.partition(" | ")[0]
        headings = () if _ITSELF.search(passage.text) else passage.section[-1:]
        is_caption = passage.text.endswith(":") and not re.search(f"{_PREDICATE}|{_SELF.pattern}", passage.text)
        heading = " ".join(filter(None, (*headings, corner, *passage.titles, passage.text if is_caption else "")))
        text, end = row + passage.text, at + len(row) + statement.span[1] - statement.span[0]
        at += len(row)
        is_subtitle = _SUBTITLE.fullmatch(passage.text) and not re.search(_PREDICATE, passage.text)
        if statement.about.name == "training data" and is_subtitle:
            return []
        is_own_history = statement.about.name == "fine-tuning data"
        if is_own_history and not re.search(r"\b(?:checkpoint|version|variant|sibling|one|weights)s?\b", text[:at]):
            return []
        first, last = clause_around(text, at, end)
        first = 0 if _ITS.match(text, first) else first
        hidden = text[at:end] if statement.about.name == "training data" else " " * (end - at)
        around = vocabulary().model_names.sub(self._named_model, f"{text[first:at]}{hidden}{text[end:last]}")
        around = blank(_NOT_TUNED, around)
        heads = (*passage.titles, *(passage.row.split(" | ") if statement.about.downstream else ()))
        found = [c for c in self.siblings if self._means(c.mention or "", around, heading) or self._heads(c, heads)]
        return self._with_likes(found, around)

    def _heads(self, sibling: Checkpoint, titles: tuple[str, ...]) -> bool:
        """Whether a row or column is headed by what tells a sibling from this checkpoint: `1k`, `384`."""
        own = {part for name in self.knowledge.own_names for part in re.findall(r"[^\W_]+", name.casefold())}
        name = next(name for name, known in self.knowledge.facts.checkpoints.items() if known is sibling)
        parts = {*re.findall(r"[^\W_]+", name.casefold())} - own
        return any(title.strip(" *`").casefold() in parts for title in titles)

    def _named_model(self, match: re.Match[str]) -> str:
        """The own network's name is as good as "model"."""
        return "model".ljust(len(match.group())) if self.is_own(match.group()) else match.group()

    @staticmethod
    def _means(mention: str, around: str, heading: str) -> bool:
        said_before = rf"(?:{mention})(?:[^\s.;:]*\s+){{0,4}}?{_MODEL}"
        said_after = (
            rf"{_MODEL}(?![\w\s,-]*{_PREDICATE}[\w\s,-]*(?:{mention}))(?:\W+\w+){{0,6}}?\W+(?:\w+\W)?(?:{mention})"
        )
        is_phrase = re.search(f"{said_before}|{said_after}", around, re.IGNORECASE)
        itself = re.search(mention, around, re.IGNORECASE)
        if itself and re.match(r"(?:re)?trained", itself.group()) and not around[: itself.start()].strip():
            return True  # "trained from scratch on 1k, it …"
        if itself and re.search(_MODEL, itself.group(), re.IGNORECASE):
            return True
        afterwards = mention.startswith("fine") and _AFTERWARDS.search(around)
        return bool(is_phrase or afterwards or re.search(mention, heading, re.IGNORECASE))


def _bare(name: str) -> str:
    """A network's name without what people write differently: `RegNetY-4.0GF`, `4GF RegNetY`, `regnety_4gf`."""
    plain = re.sub(r"^(\d+gf)\s(.*)$", r"\2\1", name.casefold()).replace(".0", "")
    bare = re.sub(r"[^a-z0-9]", "", plain)
    is_plural = bare.endswith("s") and not re.search(r"(?:s|[-_ ])s$", plain)  # "ConvNeXt-S" is a size
    return bare[:-1] if is_plural else bare
