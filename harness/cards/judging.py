"""Statements held against the evidence about the checkpoint that each speaks of."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from harness.cards.agreement import MONTHS, agrees, agrees_with, is_near_miss
from harness.cards.asked import facets
from harness.cards.citing import Paper
from harness.cards.claim import Claim, Verdict, claim_at, shown
from harness.cards.document import Document
from harness.cards.knowledge import Knowledge
from harness.cards.quantities import Quantity, quantities
from harness.cards.retrieval import is_named, shares_a_word
from harness.cards.sentences import Span
from harness.cards.stated import Statement
from harness.cards.subjects import Subjects
from harness.cards.views import View
from harness.cards.vocabulary import Property, vocabulary
from harness.evidence import EvidenceClass, EvidenceKey
from harness.facts.loader import Checkpoint, Fact, Relation

_OF_ANOTHER = re.compile(
    r"\s+(?:That|This|It|The) (?:(?:figure|number|value|result|score|\d[\d.,]*\s?%?) )?(?:(?:comes?|stems?) from|belongs? to|refers? to|is (?:that )?of)\b"
)
"""A sentence that says whose the value in the one before it is."""
_TUNED = re.compile(r"(?<!not )(?<!without )(?<!before )(?<!not been )\bfine-?tun", re.IGNORECASE)
_OF_THE_MODEL = re.compile(r"\b(?:the|this) (?:model|network|checkpoint|net)\b", re.IGNORECASE)
_DEVICES = re.compile(
    r"V100|[AH]100|RTX ?\d{4}|\d{3}0(?= |$|-AMP)|CPU|XEON|RYZEN|LAPTOP|I[3579]\b|JETSON|\bT4|M[1-4]\b|TPU"
)
_ONE_IMAGE = re.compile(r"\b(?:per|an?|each|every|one|single) (?:\w+ )?(?:image|picture|photo|sample)", re.IGNORECASE)
_BATCH = re.compile(r"\b(?:batch(?:es)?(?: size)?\W{0,3}(?:of )?|for (?=\d+ images))(\d+)\b(?!,)", re.IGNORECASE)
_OTHERWISE_RUN = re.compile(r"\b(?:fp-?16|half|AMP|mixed|int-?8|TensorRT|ONNX|compil\w+|our|my|we)\b", re.IGNORECASE)
"""What says that a speed was measured under other conditions than the known one."""
_PUBLISHED = re.compile(r"\b(?:paper|authors?|table|report\w*|publish\w*|zoo|timm|according)\b", re.IGNORECASE)
_EXACT = (EvidenceClass.DERIVED, EvidenceClass.MEASURED)


@dataclass
class Judge:
    """Judges the statements of one card."""

    document: Document
    knowledge: Knowledge
    paper: Paper | None

    def __post_init__(self) -> None:
        self.subjects = Subjects(self.knowledge)
        # Looked up once, however many statements ask for it.
        self._views_of, self._siblings_of = functools.cache(self._look_up), functools.cache(self._look_up_siblings)

    def claims(self, statements: list[Statement]) -> Iterator[Claim]:
        """The claims that statements make; where one passage states a value rightly, another of the same thing beside it is left."""
        judged = [(statement, claim) for statement in statements for claim in self._judge(statement)]
        strange = _strange(judged)
        right = {(c.whole, s.topic) for s, c in judged if c.verdict is Verdict.SUPPORTED and s.value is not True}
        bound = {s.span for s in statements if not s.is_asked}
        told = {(s.passage.whole, s.about.name) for s in statements}
        for statement, claim in judged:
            is_strange = claim.verdict.is_wrong and claim.whole in strange
            is_beside = (claim.whole, statement.topic) in right  # that a thing is used tells nothing of its value
            is_contradicted = claim.verdict is Verdict.CONTRADICTED
            if not is_strange and not (is_contradicted and (is_beside or self._is_explained(statement, bound, told))):
                yield claim

    def _judge(self, statement: Statement) -> Iterator[Claim]:
        about, before = statement.about, statement.passage.text[: statement.at]
        is_of_a_paper = about.name in ("venue", "year of the paper")
        if is_of_a_paper and self.paper and self.paper.is_cited_before(before) is False:
            return
        if about.name == "base model" and self.subjects.is_itself(str(statement.value)):
            return
        if about.name == "library" and statement.value == "timm" and self.subjects.is_in_timm:
            return  # timm has the same weights under a name of its own
        if about.name == "number of training images" and self._is_of_another_set(statement):
            return
        if about.keys and about.keys[0].startswith("documented.evaluation.") and _is_of_another_split(statement):
            return
        subject = self.subjects.of(statement)
        if subject is None:
            return
        if about.is_speed:
            yield from self._of_speed(statement)
        elif subject:
            yield from self._of_siblings(statement, subject)
        elif (claim := self._of_this(statement)).verdict is not Verdict.UNSUPPORTED or not statement.is_loose:
            yield claim

    def _is_of_another_set(self, statement: Statement) -> bool:
        """Whether a sentence names a data set that the model was not trained on."""
        data = vocabulary().get("training-data")
        known = " ; ".join(str(view.value) for view in map(self.knowledge.find, data.keys) if view)
        named, own = data.names_in(statement.passage.text), data.names_in(known)
        return bool(named and own and not named & own)

    # what else a value may be of

    def _is_explained(self, statement: Statement, bound: set[Span], told: set[tuple[Span, str]]) -> bool:
        """Whether a number may be of something else that its passage names: a part, one GPU's share, or a neighbour of the
        right value, which stands beside it.

        Args:
            bound: where values stand that are of a property for sure.
            told: which passages tell a value of which property: another's value doesn't stand for it.
        """
        value, passage, about = statement.value, statement.passage, statement.about
        if not isinstance(value, Quantity) or value.text[:3].lower() in MONTHS:
            return False  # a year beside it is a part of the date
        words, is_telling = f"{passage.text} {passage.row}", value.value >= 100 or value.value % 1 != 0
        if statement.is_asked and self._is_of_a_neighbour(statement, words, shares_a_word if is_telling else is_named):
            return True
        is_plain = value.upper is None and value.relation in ("is", "about")
        if not is_plain or about.resolution or statement.metric:
            return False
        own = [view for view in self._own(statement) if agrees(statement, view) is False]
        beside = (q for q in quantities(passage.text) if q.value > 10 and q.start >= passage.begin)
        others = [replace(statement, value=q) for q in beside if passage.place(q.start, q.end) not in bound]
        if any(agrees(other, view) for other in others for view in own):
            return True
        said = quantities(" ".join(v.fact.says or "" for v in own if v.fact and not isinstance(v.value, dict)))
        if vocabulary().parts_pattern.search(words) and any(value.agrees(known.value) for known in said):
            return True
        is_titled = any(map(about.labels_pattern.fullmatch, passage.titles))

        def is_told(other: Property, text: str) -> bool:
            is_free = (passage.whole, other.name) not in told and not {*other.keys} & {*about.keys}
            return is_free and other.range[1] > 1 and other.words_pattern.search(text) is not None

        return self._is_of_a_neighbour(statement, words if is_titled else f"{words} {passage.header}", is_told)

    def _is_of_a_neighbour(self, statement: Statement, words: str, is_named: Callable[[Property, str], bool]) -> bool:
        """Whether a number is what another property has that words name."""
        return any(
            is_named(about, words)
            for about in vocabulary().properties
            if about.name != statement.about.name and about.number and not about.names and not about.people
            for view in self._views_of(about.keys, False)
            if agrees(replace(statement, about=about), view)
        )

    # what is known

    def _own(self, statement: Statement) -> list[View]:
        views = self._views_of(_keys(statement), statement.metric is None)
        is_people = statement.about.people
        return [view for view in views if not is_people or isinstance(view.value, list) or str(view.value)[0] == "@"]

    def _look_up(self, keys: tuple[str, ...], is_plain: bool) -> list[View]:
        """What is known of this checkpoint under some keys, and unless `is_plain` under their variants."""
        known, found = self.knowledge, []
        facts = [fact for fact in known.facts.facts if fact.evidence.class_.has_value and known.stands_for(fact)]
        for key in keys:
            found += [view] if (view := known.find(key)) is not None else []
            subject = None if is_plain else EvidenceKey.parse(key).subject
            alike = [fact for fact in facts if fact.evidence.name.subject == subject]
            found += [View(fact.evidence, fact) for fact in (*alike, *(fact for fact in facts if fact.key == key))]
        unique = {(view.key, str(view.value)): view for view in found}
        return [view for view in unique.values() if view.class_ is not EvidenceClass.ESTIMATED]

    def _look_up_siblings(self, keys: tuple[str, ...]) -> list[Fact]:
        """What siblings' facts say under some keys, of the nearest checkpoint first."""
        facts, subjects = self.knowledge.facts, {EvidenceKey.parse(key).subject for key in keys}
        family = [fact for fact in facts.family if "imagenet" in fact.evidence.name.benchmark]
        found = [
            fact
            for fact in (*facts.facts, *family)
            if fact.evidence.name.subject in subjects and fact.evidence.class_.has_value
            if fact.checkpoint.relation is Relation.SIBLING or not self.knowledge.stands_for(fact)
        ]
        return sorted(found, key=lambda fact: list(facts.checkpoints).index(fact.checkpoint_id))

    # verdicts

    def _claim(self, statement: Statement, verdict: Verdict, *views: View, **more: Any) -> Claim:
        about, whole = statement.about.name, statement.passage.whole
        return claim_at(
            self.document, statement.span, about, verdict, *views, text=statement.words or None, whole=whole, **more
        )

    def _wrong(self, statement: Statement, fact: Fact, **more: Any) -> Claim:
        view = View(fact.evidence, fact)
        return self._claim(statement, Verdict.CONTRADICTED, view, correct=shown(view), **more)

    def _of_siblings(self, statement: Statement, subject: list[Checkpoint]) -> Iterator[Claim]:
        siblings = self._siblings_of(_keys(statement))
        facts = [fact for fact in siblings if fact.checkpoint in subject]
        found = [agrees(statement, View(fact.evidence, fact)) for fact in facts]
        if True in found:
            fact = facts[found.index(True)]
            note = f"said of {fact.checkpoint.name}"
            yield self._claim(statement, Verdict.SUPPORTED, View(fact.evidence, fact), note=note)
            return
        sizes = {sibling.name.partition(",")[0] for sibling in subject}  # of one size there may be several checkpoints
        alike = [fact for fact in siblings if fact.checkpoint.name.partition(",")[0] in sizes]
        is_known_of_all = {fact.checkpoint.name for fact in facts} == {sibling.name for sibling in subject}
        is_number = statement.about.number and not statement.about.resolution and not statement.is_loose
        is_of_one_alike = any(agrees(statement, View(fact.evidence, fact)) for fact in alike)
        if is_known_of_all and None not in found and is_number and not is_of_one_alike:
            yield self._wrong(statement, facts[0], note=f"said of {facts[0].checkpoint.name}")

    def _of_this(self, statement: Statement) -> Claim:
        about, text = statement.about, statement.passage.text
        unsupported = self._claim(statement, Verdict.UNSUPPORTED)
        found = [(view, agrees(statement, view)) for view in self._own(statement)]
        agreeing = [view for view, is_so in found if is_so]
        # A part of a benchmark decides nothing.
        rest = [view for view, is_so in found if is_so is False and not view.evidence.is_partial]
        if agreeing and rest and about.disputed:
            said = f"the sources disagree; it is {rest[0].text}"
            return self._claim(statement, Verdict.INCONSISTENT, agreeing[0], rest[0], note=said)
        if agreeing:
            measured = next((view for view in rest if view.is_measured), None)
            note = f"measured here: {measured.text}" if measured else None
            if about.name == "FLOPs" and agreeing[0].name.metric == "macs":
                note = "counted as multiply-adds, as the paper does; 1 multiply-add = 2 FLOPs"
            return self._claim(statement, Verdict.SUPPORTED, agreeing[0], note=note)
        for view, _ in found:
            if any(agrees_with(statement, other.value) for other in view.conflicts):
                return self._claim(statement, Verdict.SUPPORTED, view, note="another source gives this value")
        # What is documented roughly leaves nothing open that is known exactly.
        is_exact = any(view.class_ in _EXACT for view in rest)
        is_open = any(view.class_ in _EXACT or not is_exact for view, is_so in found if is_so is None)
        siblings = self._siblings_of(_keys(statement))
        other = next((f for f in siblings if agrees(statement, View(f.evidence, f))), None)
        if other is not None and _OF_ANOTHER.match(self.document.text, statement.passage.whole[1]):
            return unsupported
        if other is not None and (rest or not is_open):
            # A sentence about another checkpoint's training has no value of this one's to put in its place.
            is_theirs = "fine-tuned" in other.checkpoint.name and re.search("fine-?tun", text, re.IGNORECASE)
            correct = shown(rest[0]) if rest and not is_theirs else None
            views, note = (View(other.evidence, other), *rest[:1]), f"the value of {other.checkpoint.name}"
            return self._claim(statement, Verdict.OTHER_CHECKPOINT, *views, correct=correct, note=note)
        if statement.is_loose and not any(is_near_miss(statement.value, view.value) for view in rest):
            return unsupported
        is_of_data = about.address or about.id in ("fine-tuning-data", "training-data", "starting-weights")
        is_of_tuning = _TUNED.search(text) and not is_of_data and not self._is_tuned
        if not rest or is_open or is_of_tuning or self.subjects.is_of_the_family(statement):
            return unsupported
        return self._claim(statement, Verdict.CONTRADICTED, rest[0], correct=shown(rest[0]))

    @functools.cached_property
    def _is_tuned(self) -> bool:
        """Whether this checkpoint is itself known to be fine-tuned from another."""
        view = self.knowledge.find("documented.model.finetuned-from")
        return view is not None and str(view.value).casefold() != "none"

    def _of_speed(self, statement: Statement) -> Iterator[Claim]:
        """A speed hangs on the machine: one that is known is wrong in another unit, for another machine or for another batch; others,
        where they are said to be the sources'."""
        value, passage = statement.value, statement.passage
        assert isinstance(value, Quantity)
        caption = passage.before if passage.kind == "cell" else ""
        around = " ".join((*passage.section[-1:], caption, passage.header, passage.row, passage.text))
        named = {*_DEVICES.findall(around.upper())}
        is_time, times = statement.about.id == "inference-time", re.findall(r"\bms\b", passage.text)
        is_of_one = len(times) < 2 and _ONE_IMAGE.search(passage.text) is not None
        batches = {*(_BATCH.findall(around) or ["1"] * is_of_one)}
        if is_time and is_of_one and len(batches) == 1:
            value = value.times(int(*batches))
        is_exact = value.step * 20 <= value.value
        same, here, far = list[Fact](), list[Fact](), list[Fact]()
        for fact in self.knowledge.facts.facts:
            if fact.evidence.name.subject not in ("compute.throughput", "inference.batch-time"):
                continue
            devices = {*_DEVICES.findall(f"{fact.key} {fact.says}".upper())}
            for speed, is_told_as_time in _speeds(fact):
                same += [fact] if is_exact and value.agrees(speed) else []
                here += [fact] if is_told_as_time is is_time and (devices & named or not named) else []
                is_far = is_told_as_time is is_time and not 0.8 < value.value / speed < 1.25
                far += [fact] if is_far and batches & {*_BATCH.findall(fact.says or "")} else []
        right = [fact for fact in same if fact in here]
        is_known = named and (_PUBLISHED.search(around) or (far and not _OTHERWISE_RUN.search(around)))
        if is_time and right and batches and not batches & {*_BATCH.findall(right[0].says or "")}:
            yield self._wrong(statement, right[0])
        elif right:
            yield self._claim(statement, Verdict.SUPPORTED, View(right[0].evidence, right[0]))
        elif same or (here and is_known):
            yield self._wrong(statement, (same or here)[0])


def _keys(statement: Statement) -> tuple[str, ...]:
    """The keys of the evidence that decides a statement."""
    if statement.metric is None:
        return statement.about.keys
    key = ".".join(statement.metric)
    is_v2 = statement.metric == ("imagenetv2-matched-frequency", "top1")
    return (key, f"documented.{key}", *(["documented.imagenetv2.top1"] if is_v2 else []))


def _is_of_another_split(statement: Statement) -> bool:
    """Whether a result is one of another part of the data than models are evaluated on: `Test | 0.23`."""
    told = {name for name, _, _ in facets()["split"].read(f"{statement.passage.row} | {statement.passage.text}")}
    return bool(told) and "validation" not in told


def _strange(judged: list[tuple[Statement, Claim]]) -> set[Span]:
    """Sentences of which nothing is right and many things are wrong: they tell of another model."""
    told: dict[Span, set[tuple[str, bool]]] = {}
    for statement, claim in judged:
        passage, keys = statement.passage, statement.about.keys
        is_recipe = bool(keys) and re.match(r"documented\.(training|data|arch)", keys[0]) is not None
        is_other = passage.kind == "sentence" and not _OF_THE_MODEL.search(passage.text)
        if is_recipe and is_other and (claim.verdict.is_wrong or claim.verdict is Verdict.SUPPORTED):
            told.setdefault(claim.whole, set()).add((claim.about, claim.verdict.is_wrong))
    return {span for span, found in told.items() if len(found) > 2 and all(is_wrong for _, is_wrong in found)}


def _speeds(fact: Fact) -> Iterator[tuple[float, bool]]:
    """The speeds that a fact tells, and whether each is a time in milliseconds."""
    said = " ".join(
        (f"{fact.evidence.value} {fact.evidence.unit}", fact.says or "", *(other.says for other in fact.conflicts))
    )
    for number in quantities(said):
        if unit := re.match(r"\s?(ms\b|images/s)", said[number.end :]):
            yield number.value, unit[1] == "ms"
