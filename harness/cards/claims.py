"""Claims: checkable statements that a card makes outside its markers, each compared with evidence.

A statement (`statements.py`) is held against the evidence about the checkpoint that it speaks of: this one, or a sibling that it
names. A value of a sibling that is said of this checkpoint is told apart from one that nobody states. Two values for one thing in
the same card, or in two sources, are inconsistent where nothing decides between them. What can't be decided is left alone.
"""

from __future__ import annotations

import bisect
import functools
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from difflib import SequenceMatcher
from enum import StrEnum
from typing import Any

from harness.cards.agreement import (
    ARXIV,
    MONTHS,
    agrees,
    agrees_with,
    find_folded,
    folded,
    is_near_miss,
    people_of,
    surnames,
)
from harness.cards.answers import Answer, Writer
from harness.cards.document import Document, Edit, decode
from harness.cards.fields import Entry, bibtex_entries, read_citations, read_fields
from harness.cards.knowledge import Knowledge, knowledge_of
from harness.cards.markdown import capital, enumerate_words
from harness.cards.passages import LONGEST
from harness.cards.quantities import Quantity, quantities
from harness.cards.questions import Place
from harness.cards.references import place_name
from harness.cards.retrieval import is_named, shares_a_word
from harness.cards.sentences import Span, label_prefix, past_marks, prose_sentences
from harness.cards.stated import Statement
from harness.cards.statements import read_prose
from harness.cards.subjects import Subjects
from harness.cards.views import View
from harness.cards.vocabulary import Property, vocabulary
from harness.evidence import EvidenceClass, EvidenceKey, Ledger, Source
from harness.facts.loader import Checkpoint, Fact, Relation

_LONG = 16
"""Words of a correction that a card gives once."""
_REFERS_BACK = re.compile(
    r"\s+(?:(?:This|That|It) (?:can|could|may|is|was|means|follows|implies)|Therefore|Hence|Thus)\b"
)
"""A sentence that says something of the one before it, which therefore stays."""
_OF_ANOTHER = re.compile(
    r"\s+(?:That|This|It|The) (?:(?:figure|number|value|result|score|\d[\d.,]*\s?%?) )?(?:(?:comes?|stems?) from|belongs? to|refers? to|is (?:that )?of)\b"
)
"""A sentence that says whose the value in the one before it is."""
_MEASURES = tuple(
    (kind, re.compile(pattern, re.IGNORECASE))
    for kind, pattern in (
        ("faster", r"\s?(?:%|percent) (?:faster|quicker|more (?:than|images|pictures))"),
        ("ms", r"\s?(?:ms\b|milliseconds?)"),
        ("AP", r"\s?(?:(?:box|mask) )?m?AP\b"),
        ("mIoU", r"\s?(?:points? )?mIoU\b"),
        ("images/s", r"\s?(?:images?|img|pictures?) ?(?:/|per|a) ?s"),
    )
)
_ELSEWHERE = re.compile(r"\b(?:384|288|would|could|might|if|our|my|I)\b")
"""What may set another scene than that of the values that are known."""
_TEST = re.compile(r"\btest\w*\s*[=:]\s*$", re.IGNORECASE)
"""What stands before a size of the test's images, beside that of training: `train = 160 x 160, test = 192 x 192`."""
_CORRECTION, _NOTE = " (Correction: ", " (Note: "
_CONDITION = re.compile(r"\W*(?:when|if)\b", re.IGNORECASE)
_ATTRIBUTED = re.compile(
    r"(?:\(|; )(?:documented|derived|estimated|evaluated by)\b|\bPublished for\b|published reference"
)
_TUNED = re.compile(r"(?<!not )(?<!without )(?<!before )(?<!not been )\bfine-?tun", re.IGNORECASE)
_OF_THE_MODEL = re.compile(r"\b(?:the|this) (?:model|network|checkpoint|net)\b", re.IGNORECASE)
_PLURAL = re.compile(r"\b(?:models|variants|networks|family|families|\w*Nets|\w*NeXts|design spaces?)\b")
_DEVICES = re.compile(
    r"V100|[AH]100|RTX ?\d{4}|\d{3}0(?= |$|-AMP)|CPU|XEON|RYZEN|LAPTOP|I[3579]\b|JETSON|\bT4|M[1-4]\b|TPU"
)
_ONE_IMAGE = re.compile(
    r"\b(?:(?:per|an?|each|every|one|single) (?:single |\w+ )?(?:image|picture|photo|sample)|batch (?:size )?(?:of )?1\b)",
    re.IGNORECASE,
)
_PUBLISHED = re.compile(r"\b(?:paper|authors?|table|report\w*|publish\w*|zoo|timm|according)\b", re.IGNORECASE)
_TITLE = re.compile(r"(?:\*\*?|__?|[\"“«]|\[)(?P<title>[A-Z][^*_\"“”«»\[\]\n]{14,})(?:\*|_|[\"”»]|\])")
_INTRODUCES = r"(?:introduc|propos|present|describ|defin|debut|publish|(?:comes?|came|stems?) from|(?:goes|go|belongs?) (?:back|with|to)|accompan)\w*"
_ITS = (
    r"(?:\bit\b\s*|\b(?:the|this|our|these) (?:model|network|architecture|backbone|checkpoint|family)s?\b|\bitself\b)"
)
_PRESENTED = re.compile(
    rf"{_ITS}[^;.]{{0,40}}?\b{_INTRODUCES}[^;:.]{{0,50}}$|\b(?<!related )(?:paper|publication|article|cit(?:e|ation)|reference)\b[^.;]{{0,30}}[:,]\W*$",
    re.IGNORECASE,
)
_PRESENTS = re.compile(
    rf"\W*[^;.]{{0,50}}?(?:\b{_INTRODUCES} (?:the )?{_ITS}|\bwhere {_ITS} ?(?:was|is|were) (?:first )?{_INTRODUCES})",
    re.IGNORECASE,
)


class Verdict(StrEnum):
    """What evidence says about a claim."""

    SUPPORTED = "supported"
    CONTRADICTED = "contradicted"
    OTHER_CHECKPOINT = "other-checkpoint"
    """True of another checkpoint, not shown to be true of this one."""
    INCONSISTENT = "inconsistent"
    """The card, or the sources, say two things, and nothing decides between them."""
    UNSUPPORTED = "unsupported"
    """No evidence is known that could decide it."""
    NOT_CHECKABLE = "not-checkable"
    """A judgement without a number: no evidence could decide it."""

    @property
    def is_wrong(self) -> bool:
        """Whether the statement should not stand as it is."""
        return self in (self.CONTRADICTED, self.OTHER_CHECKPOINT)


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One checkable statement."""

    line: int
    text: str
    """The words that state it."""
    about: str
    """What is claimed, e.g. `learning rate`."""
    verdict: Verdict
    evidence: list[str] = field(default_factory=list)
    source: str | None = None
    correct: str | None = None
    """What evidence says instead, where it says something else."""
    note: str | None = None
    """Which checkpoint the value belongs to, or which line says otherwise."""
    span: Span
    """Where the value stands, as offsets in the decoded card."""
    whole: Span
    """The sentence or cell that states it."""

    @property
    def needs_mending(self) -> bool:
        """Whether a card should not say so alone: it is wrong, or one of its sources says otherwise."""
        return self.verdict.is_wrong or (self.verdict is Verdict.INCONSISTENT and len(self.evidence) > 1)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return asdict(self) | {"verdict": self.verdict.value, "span": list(self.span), "whole": list(self.whole)}


def check_claims(text: bytes, *, model: str, ledger: Ledger | None, written: Sequence[Span] = ()) -> list[Claim]:
    """The claims of a card with their verdicts, in order of their place.

    Args:
        text: the card.
        model: registry name or Hub reference of the model that the card is about.
        ledger: the model's evidence; None checks against documented facts alone.
        written: spans of the decoded card that were written from evidence: they are not read.
    """
    document, knowledge = Document(decode(text)), knowledge_of(model, ledger)
    markers = [(marker.start, marker.end) for marker in document.markers]
    read = (span for span in prose_sentences(document, markers) if span[1] - span[0] <= LONGEST)
    prose = [span for span in read if not _is_written(document, span, written)]
    own = sorted(ledger.benchmarks) if ledger is not None else []
    judge = _Judge(document, knowledge)
    stated = {(s.about.name, s.span): s for s in (*read_prose(document, markers, own), *read_fields(document))}
    free = [
        s
        for s in stated.values()
        if not _is_written(document, s.passage.whole, markers) and not _overlaps(s.span, written)
    ]
    decided = [
        *judge.claims(free),
        *judge.citations(),
        *judge.titles(prose),
        *judge.beside_title(prose),
        *judge.comparisons(prose),
        *_denied(document, prose, knowledge),
    ]
    sentences = {claim.whole for claim in decided if claim.verdict.is_wrong}
    judged = [claim for claim in _judgements(document, prose) if claim.whole not in sentences]
    return _with_inconsistencies(document, sorted([*decided, *judged], key=lambda claim: claim.span))


def _is_written(document: Document, span: Span, written: Sequence[Span]) -> bool:
    """Whether a sentence or cell is an answer from evidence: it lies in a span that was, names its class and source, or is corrected."""
    is_attributed = _ATTRIBUTED.search(document.text[slice(*span)]) is not None
    return _overlaps(span, written) or is_attributed or is_corrected(document.text, span)


def is_corrected(text: str, span: Span) -> bool:
    """Whether what a sentence or cell says wrongly is put right in or behind it."""
    behind = text[span[0] : past_marks(text, span[1], len(text)) + len(_CORRECTION)]
    return _CORRECTION in behind or _NOTE in behind


def _overlaps(span: Span, others: Sequence[Span]) -> bool:
    """Whether a span touches one of others, which are in order."""
    at = bisect.bisect_right(others, span[0], key=lambda other: other[1])
    return at < len(others) and others[at][0] < span[1]


# --- the judge ---


@dataclass
class _Judge:
    document: Document
    knowledge: Knowledge

    @functools.cached_property
    def subjects(self) -> Subjects:
        return Subjects(self.knowledge)

    @functools.cached_property
    def paper(self) -> tuple[View, Entry] | None:
        """How the model's paper is cited, and its entry; None where no citation is known."""
        view = self.knowledge.find("documented.citation.bibtex")
        entry = next(iter(bibtex_entries(str(view.value))), None) if view else None
        return (view, entry) if view and entry else None

    def claims(self, statements: list[Statement]) -> Iterator[Claim]:
        """The claims that statements make; where one passage states a value rightly, another of the same thing beside it is left."""
        judged = [(statement, claim) for statement in statements for claim in self.judge(statement)]
        strange = self._strange(judged)
        right = {(s.passage.whole, s.topic, claim.about) for s, claim in judged if claim.verdict is Verdict.SUPPORTED}
        bound = {statement.span for statement in statements if not statement.is_asked}
        for statement, claim in judged:
            is_beside = (statement.passage.whole, statement.topic, claim.about) in right
            if claim.verdict.is_wrong and claim.whole in strange:
                continue
            if claim.verdict is not Verdict.CONTRADICTED or not (is_beside or self._is_explained(statement, bound)):
                yield claim

    @staticmethod
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

    def _is_explained(self, statement: Statement, bound: set[Span]) -> bool:
        """Whether a number may be of something else that its passage names: a part, one GPU's share, or a neighbour of the
        right value, which stands beside it."""
        value, passage = statement.value, statement.passage
        if isinstance(value, Quantity) and value.text[:3].lower() in MONTHS:
            return False  # a year beside it is a part of the date
        if statement.is_asked and isinstance(value, Quantity) and self._is_of_a_neighbour(statement):
            return True
        if not isinstance(value, Quantity) or value.upper is not None or statement.about.resolution or statement.metric:
            return False
        own = [view for view in self._own(statement) if agrees(statement, view) is False]
        if value.relation not in ("is", "about"):
            return False
        others = [
            q
            for q in quantities(passage.text)
            if q.start >= passage.begin and passage.place(q.start, q.end) not in bound
        ]
        if any(agrees(replace(statement, value=q), view) and q.value > 10 for q in others for view in own):
            return True
        says = " ".join(view.fact.says or "" for view in own if view.fact)
        if vocabulary().parts_pattern.search(f"{passage.text} {passage.row}") and any(
            value.agrees(known.value) for known in quantities(says)
        ):
            return True
        label = statement.about.labels_pattern
        is_titled = label is not None and any(label.fullmatch(title) for title in passage.titles)
        words = f"{passage.text} {passage.row} {'' if is_titled else passage.header}"
        named = [
            p
            for p in vocabulary().properties
            if p.name != statement.about.name and p.words_pattern and p.words_pattern.search(words)
        ]
        named = [
            p
            for p in named
            if p.number and not p.names and p.range[1] > 1 and not set(p.keys) & set(statement.about.keys)
        ]
        return any(
            agrees(replace(statement, about=p), view) is True
            for p in named
            for key in p.keys
            if (view := self.knowledge.find(key))
        )

    def _is_of_a_neighbour(self, statement: Statement) -> bool:
        """Whether a number is what another property has that its passage names."""
        words, value = f"{statement.passage.text} {statement.passage.row}", statement.value
        is_telling = isinstance(value, Quantity) and (value.value >= 100 or value.value % 1 != 0)
        named = shares_a_word if is_telling else is_named
        return any(
            named(about, words)
            for about in vocabulary().properties
            if about.name != statement.about.name and about.number and about.names == {} and not about.people
            for view in self._views_of(about.keys, False)
            if agrees(replace(statement, about=about), view) is True
        )

    def judge(self, statement: Statement) -> Iterator[Claim]:
        cited = re.search(r"(\w+) et al\.?\W*$", statement.passage.text[: statement.at])
        if statement.about.name in ("venue", "year of the paper") and cited and not self._is_author(cited[1]):
            return
        if statement.about.name == "base model" and self.subjects.is_own(str(statement.value)):
            return
        if statement.about.name == "number of training images" and self._is_of_another_set(statement):
            return
        subject = self.subjects.of(statement)
        if subject is None:
            return
        if statement.about.is_speed:
            yield from self._of_speed(statement)
        elif subject:
            yield from self._of_siblings(statement, subject)
        elif (claim := self._of_this(statement)).verdict is not Verdict.UNSUPPORTED or not statement.is_loose:
            yield claim

    def _is_of_another_set(self, statement: Statement) -> bool:
        """Whether a sentence names a data set that the model was not trained on."""
        data = next(about for about in vocabulary().properties if about.name == "training data")
        views = [view for key in data.keys if (view := self.knowledge.find(key))]
        named, own = (
            data.names_in(statement.passage.text),
            {name for view in views for name in data.names_in(str(view.value))},
        )
        return bool(named and own and not named & own)

    def _is_author(self, surname: str) -> bool:
        """Whether somebody who is cited is an author of the model's paper."""
        return self.paper is not None and folded(surname) in surnames(people_of(self.paper[1].fields["author"][0]))

    # what is known

    def _own(self, statement: Statement) -> list[View]:
        views = self._views_of(self._keys(statement), statement.metric is None)
        is_people = statement.about.people
        return [view for view in views if not is_people or isinstance(view.value, list) or str(view.value)[0] == "@"]

    @functools.cached_property
    def _views_of(self) -> Callable[[tuple[str, ...], bool], list[View]]:
        """What is known of this checkpoint under some keys, looked up once however many statements ask for it."""
        known = self.knowledge
        facts = [fact for fact in known.facts.facts if fact.evidence.class_.has_value and known.stands_for(fact)]

        @functools.cache
        def views_of(keys: tuple[str, ...], is_plain: bool) -> list[View]:
            found = []
            for key in keys:
                found += [view] if (view := known.find(key)) is not None else []
                subject = EvidenceKey.parse(key).subject
                found += [
                    View(f.evidence, f)
                    for f in facts
                    if f.key == key or (not is_plain and f.evidence.name.subject == subject)
                ]
            unique = {(view.key, str(view.value)): view for view in found}
            return [view for view in unique.values() if view.class_ is not EvidenceClass.ESTIMATED]

        return views_of

    @staticmethod
    def _keys(statement: Statement) -> tuple[str, ...]:
        if statement.metric is None:
            return statement.about.keys
        key = ".".join(statement.metric)
        names = (key, f"documented.{key}")
        return (
            *names,
            *(("documented.imagenetv2.top1",) if statement.metric == ("imagenetv2-matched-frequency", "top1") else ()),
        )

    def _siblings(self, statement: Statement) -> list[Fact]:
        """What siblings' facts say of the same thing, of the nearest checkpoint first."""
        return self._siblings_of(self._keys(statement))

    @functools.cached_property
    def _siblings_of(self) -> Callable[[tuple[str, ...]], list[Fact]]:
        facts = self.knowledge.facts
        apart = [
            f
            for f in (*facts.facts, *(f for f in facts.family if "imagenet" in f.evidence.name.benchmark))
            if f.checkpoint.relation is Relation.SIBLING or not self.knowledge.stands_for(f)
        ]
        nearness = list(facts.checkpoints)

        @functools.cache
        def siblings_of(keys: tuple[str, ...]) -> list[Fact]:
            subjects = {EvidenceKey.parse(key).subject for key in keys}
            found = [
                fact for fact in apart if fact.evidence.name.subject in subjects and fact.evidence.class_.has_value
            ]
            return sorted(found, key=lambda fact: nearness.index(fact.checkpoint_id))

        return siblings_of

    # verdicts

    def _claim(self, statement: Statement, verdict: Verdict, *views: View, **more: Any) -> Claim:
        span = statement.span
        said = _said_by(*views) if views else {}
        return Claim(
            line=self.document.line_of(span[0]),
            text=statement.words or self.document.text[slice(*span)],
            about=statement.about.name,
            verdict=verdict,
            span=span,
            whole=statement.passage.whole,
            **said,
            **more,
        )

    def _of_siblings(self, statement: Statement, subject: list[Checkpoint]) -> Iterator[Claim]:
        siblings = self._siblings(statement)
        facts = [fact for fact in siblings if fact.checkpoint in subject]
        sizes = {sibling.name.partition(",")[0] for sibling in subject}  # of one size there may be several checkpoints
        alike = [fact for fact in siblings if fact.checkpoint.name.partition(",")[0] in sizes]
        agreements = [agrees(statement, View(fact.evidence, fact)) for fact in facts]
        if True in agreements:
            fact = facts[agreements.index(True)]
            yield self._claim(
                statement, Verdict.SUPPORTED, View(fact.evidence, fact), note=f"said of {fact.checkpoint.name}"
            )
        elif (
            {fact.checkpoint.name for fact in facts} == {sibling.name for sibling in subject}
            and all(found is False for found in agreements)
            and statement.about.number
            and not statement.about.resolution
            and not statement.is_loose
            and not any(agrees(statement, View(fact.evidence, fact)) for fact in alike)
        ):
            fact = facts[0]
            note = f"said of {fact.checkpoint.name}"
            yield self._claim(
                statement,
                Verdict.CONTRADICTED,
                View(fact.evidence, fact),
                note=note,
                correct=_shown(View(fact.evidence, fact)),
            )

    def _of_this(self, statement: Statement) -> Claim:
        if statement.about.resolution and _TEST.search(statement.passage.text[: statement.at]):
            return self._claim(statement, Verdict.UNSUPPORTED)
        own = self._own(statement)
        agreements = [(view, agrees(statement, view)) for view in own]
        decided = [(view, found) for view, found in agreements if found is not None]
        agreeing = [view for view, found in decided if found]
        rest = [view for view, found in decided if not found and not view.evidence.is_partial]  # a part decides nothing
        if agreeing and rest and statement.about.disputed:
            return self._claim(
                statement, Verdict.INCONSISTENT, agreeing[0], rest[0], note=f"sources disagree: {rest[0].text}"
            )
        if agreeing:
            measured = next((view for view in rest if view.is_measured), None)
            note = f"measured here: {measured.text}" if measured else None
            if statement.about.name == "FLOPs" and agreeing[0].name.metric == "macs":
                note = "counted as multiply-adds, as the paper does; 1 multiply-add = 2 FLOPs"
            return self._claim(statement, Verdict.SUPPORTED, agreeing[0], note=note)
        for view in own:
            if any(agrees_with(statement, other.value) for other in view.conflicts):
                return self._claim(statement, Verdict.SUPPORTED, view, note="another source gives this value")
        other = next((f for f in self._siblings(statement) if agrees(statement, View(f.evidence, f))), None)
        correct = _shown(rest[0]) if rest else None
        unclear = [view for view, found in agreements if found is None]
        exact = (EvidenceClass.DERIVED, EvidenceClass.MEASURED)
        # What is documented roughly leaves nothing open that is known exactly.
        known_exactly = any(view.class_ in exact for view in rest)
        undecided = any(view.class_ in exact or not known_exactly for view in unclear)
        if other is not None and _OF_ANOTHER.match(self.document.text, statement.passage.whole[1]):
            return self._claim(statement, Verdict.UNSUPPORTED)
        if other is not None and not (undecided and not rest):
            # A sentence about another checkpoint's training has no value of this one's to put in its place.
            is_theirs = (
                re.search("fine-?tun", statement.passage.text, re.IGNORECASE) and "fine-tuned" in other.checkpoint.name
            )
            views = (View(other.evidence, other), *rest[:1])
            return self._claim(
                statement,
                Verdict.OTHER_CHECKPOINT,
                *views,
                correct=None if is_theirs else correct,
                note=f"the value of {other.checkpoint.name}",
            )
        if statement.is_loose and not any(is_near_miss(statement.value, view.value) for view in rest):
            return self._claim(statement, Verdict.UNSUPPORTED)
        tuned = _TUNED.search(statement.passage.text) and not self._is_tuned
        tuned = (
            tuned
            and statement.about.name not in ("fine-tuning data", "training data")
            and statement.about.address is None
        )
        if rest and not undecided and not tuned and not self._is_family(statement):
            return self._claim(statement, Verdict.CONTRADICTED, rest[0], correct=correct)
        return self._claim(statement, Verdict.UNSUPPORTED)

    def _is_family(self, statement: Statement) -> bool:
        """Whether a sentence speaks of a family of networks, not of this one."""
        if statement.about.keys and statement.about.keys[0].startswith("documented.training."):
            return False  # a family is trained in one way
        before = statement.passage.text[statement.passage.begin : statement.at]
        before = "" if before.rstrip(" *_`(").endswith(":") else before
        return bool(_PLURAL.search(before)) and not re.search(
            r"\b(?:this|the) (?:model|network|checkpoint)\b|\bit\b", before
        )

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
        around = " ".join((*passage.section[-1:], passage.header, passage.row, passage.text))
        named = set(_DEVICES.findall(around.upper()))
        known = [
            f
            for f in self.knowledge.facts.facts
            if f.evidence.name.subject in ("compute.throughput", "inference.batch-time")
        ]
        told = [(f, set(_DEVICES.findall(f"{f.key} {f.says}".upper())), *speed) for f in known for speed in _speeds(f)]
        is_time, is_exact = statement.about.id == "inference-time", value.step * 20 <= value.value
        here = [speed for speed in told if speed[3] is is_time and (speed[1] & named or not named)]
        same = [speed for speed in told if value.agrees(speed[2]) and is_exact]
        right = [speed[0] for speed in same if speed in here]
        if is_time and right and _ONE_IMAGE.search(passage.text) and "64" not in around:
            yield self._claim(
                statement, Verdict.CONTRADICTED, view := View(right[0].evidence, right[0]), correct=_shown(view)
            )
        elif right:
            yield self._claim(statement, Verdict.SUPPORTED, View(right[0].evidence, right[0]))
        elif same or (here and named and _PUBLISHED.search(around)):
            fact = (same or here)[0][0]
            yield self._claim(statement, Verdict.CONTRADICTED, view := View(fact.evidence, fact), correct=_shown(view))

    # citations

    def citations(self) -> Iterator[Claim]:
        """What BibTeX entries for the model's paper say of it; entries for other work are not its business."""
        if self.paper is None:
            return
        view, known = self.paper
        right = {name: value for name, (value, _) in known.fields.items()}
        entries = list(read_citations(self.document))
        titles = [folded(entry.fields["title"][0]) for entry, _ in entries if "title" in entry.fields]
        for entry, _ in entries:
            for name, is_right, about in _cited(entry, right, has_title=folded(right["title"]) in titles):
                value, span = entry.fields[name]
                at = span[0]
                if about == "authors" and not is_right:
                    strangers = surnames(people_of(value)) - surnames(people_of(right["author"]))
                    at = min(find_folded(self.document.text, stranger, span) for stranger in strangers)
                yield Claim(
                    line=self.document.line_of(at),
                    text=f"{name} = {value}",
                    about=about,
                    verdict=Verdict.SUPPORTED if is_right else Verdict.CONTRADICTED,
                    correct=None if is_right else right.get(name),
                    span=span,
                    whole=span,
                    **_said_by(view),
                )

    def titles(self, prose: list[Span]) -> Iterator[Claim]:
        """Titles of other papers that sentences give as the one that presented the model."""
        if self.paper is None:
            return
        view, known = self.paper
        right = known.fields["title"][0]
        for start, end in prose:
            sentence = vocabulary().model_names.sub(self._as_it, self.document.text[start:end])
            match = _TITLE.search(sentence)
            if match is None or folded(right) in folded(sentence) or len(match["title"].split()) < 3:
                continue
            if SequenceMatcher(None, folded(match["title"]), folded(right)).ratio() > 0.8:
                continue
            cited = re.search(r"(\w+) et al\.?,?[\W\d]*$", sentence[: match.start()])
            is_cited = cited is not None and self._is_author(cited[1])
            if not (
                is_cited or _PRESENTED.search(sentence[: match.start()]) or _PRESENTS.match(sentence[match.end() :])
            ):
                continue
            span = start + match.start("title"), start + match.end("title")
            line, said = self.document.line_of(span[0]), _said_by(view)
            yield Claim(
                line=line, text=match["title"], about="title", verdict=Verdict.CONTRADICTED, correct=right, span=span,
                whole=(start, end), **said,
            )  # fmt: skip

    def beside_title(self, prose: list[Span]) -> Iterator[Claim]:
        """The number of arXiv and the venue that a sentence with the paper's title gives for it."""
        if self.paper is None:
            return
        title = folded(self.paper[1].fields["title"][0])
        venues = vocabulary().get("venue")
        told = (
            ("arXiv number", "documented.model.arxiv", ARXIV),
            (venues.name, "documented.model.venue", venues.names_pattern),
        )
        for start, end in prose:
            text = self.document.text[start:end]
            if title not in folded(text):
                continue
            for about, key, pattern in told:
                found = list(pattern.finditer(text)) if pattern else []
                view = self.knowledge.find(key)
                if view is None or len(found) != 1:
                    continue
                stated, right = found[0].group(), str(view.value)
                if stated == right or (pattern is not ARXIV and venues.canonical(stated) in venues.names_in(right)):
                    continue
                at = start + found[0].start()
                yield Claim(
                    line=self.document.line_of(at), text=stated, about=about, verdict=Verdict.CONTRADICTED, correct=right,
                    span=(at, at + len(stated)), whole=(start, end), **_said_by(view),
                )  # fmt: skip

    def comparisons(self, prose: list[Span]) -> Iterator[Claim]:
        """Numbers of another network beside which this one's stands rightly, or by how much it is behind."""
        for start, end in prose:
            text = self.document.text[start:end]
            names = {m.group() for m in vocabulary().model_names.finditer(text) if not self.subjects.is_own(m.group())}
            if len(names) != 1 or _ELSEWHERE.search(text):
                continue
            told = [(fact, fact.says or "") for fact in self.knowledge.facts.facts]
            theirs = [
                (fact, _counted(said)) for fact, said in told if names & set(vocabulary().model_names.findall(said))
            ]
            own = [n for f, said in told for n in _counted(f"{said} {f.evidence.value} {f.evidence.unit or ''}")]
            stated = _counted(text)
            for number, kind in stated:
                rival = next((fact for fact, numbers in theirs if kind and kind in {k for _, k in numbers}), None)
                beside = any(n is not number and k == kind and _is_among(n, kind, own) for n, k in stated)
                if rival is None or not (beside or kind == "faster"):
                    continue
                near = [n for _, numbers in theirs for n, k in numbers if k in (kind, "")]
                if (
                    _is_among(number, kind, own)
                    or _is_among(number, kind, [(n, kind) for n in near])
                    or number.value < 10
                ):
                    continue
                yield Claim(
                    line=self.document.line_of(start + number.start), text=number.text, about="comparison",
                    verdict=Verdict.CONTRADICTED, correct=_shown(View(rival.evidence, rival)), whole=(start, end),
                    span=(start + number.start, start + number.end), **_said_by(View(rival.evidence, rival)),
                )  # fmt: skip

    def _as_it(self, match: re.Match[str]) -> str:
        """The own network's name, as a pronoun of the same length."""
        return "it".ljust(len(match.group())) if self.subjects.is_own(match.group()) else match.group()


def _counted(text: str) -> list[tuple[Quantity, str]]:
    """The numbers of a text that tell how good or fast something is, and in what each is counted."""
    found = []
    for number in quantities(text):
        kind = next((kind for kind, unit in _MEASURES if unit.match(text, number.end - number.percent)), None)
        found.append((number, kind or ("%" if number.percent else "")))
    return found


def _is_among(number: Quantity, kind: str, known: Sequence[tuple[Quantity, str]]) -> bool:
    """Whether a number is one of those that are known in its unit, of accuracies also as an error."""
    likes = (number, number.complement()) if kind == "%" else (number,)
    ends = [end for other, unit in known if unit == kind for end in (other.value, other.upper) if end is not None]
    return any(like.agrees(end) for like in likes for end in ends)


def _speeds(fact: Fact) -> Iterator[tuple[float, bool]]:
    """The speeds that a fact tells, and whether each is a time in milliseconds."""
    said = " ".join((f"{fact.evidence.value} {fact.evidence.unit}", fact.says or "", *(c.says for c in fact.conflicts)))
    for number in quantities(said):
        if unit := re.match(r"\s?(ms\b|images/s)", said[number.end :]):
            yield number.value, unit[1] == "ms"


def _cited(entry: Entry, right: dict[str, str], *, has_title: bool) -> Iterator[tuple[str, bool, str]]:
    """Fields of an entry that cites the model's paper, whether each is right, and what it is about."""
    stated = {name: value for name, (value, _) in entry.fields.items()}
    is_titled = folded(stated.get("title", "")) == folded(right["title"])
    people, developers = (surnames(people_of(fields.get("author", ""))) for fields in (stated, right))
    if not is_titled and (has_title or not people or people != developers):
        return
    if "title" in stated:
        yield "title", is_titled, "title"
    if people and is_titled:
        yield "author", not people - developers - {"others"}, "authors"
    venue = next(about for about in vocabulary().properties if about.name == "venue")
    where = next((name for name in ("booktitle", "journal", "series") if name in stated), None)
    if where and (names := venue.names_in(stated[where])):
        yield where, bool(names & venue.names_in(right.get("booktitle", ""))), "venue"
    if stated.get("year", "").isdigit() and right.get("year", "").isdigit():
        preprint = entry.kind in ("misc", "article")  # it may be a year older than the paper
        yield "year", int(right["year"]) - int(stated["year"]) in ((0, 1) if preprint else (0,)), "year of the paper"


def _shown(view: View) -> str:
    """What evidence says, for a reader."""
    return view.fact.says or view.shown if view.fact else view.shown


def _said_by(*views: View) -> dict[str, Any]:
    """The evidence of a claim, and the source of the first."""
    source = views[0].evidence.source
    name = place_name(source.title, source.place) if source else "this card's ledger"
    return {"evidence": [view.key for view in views], "source": name}


# --- what no vocabulary says ---


def _judgements(document: Document, prose: list[Span]) -> Iterator[Claim]:
    """Statements that say how good something is without a number that evidence could confirm."""
    judgement = re.compile(vocabulary().judgements, re.IGNORECASE)
    for start, end in prose:
        if match := judgement.search(document.text[start:end]):
            place = start + match.start()
            yield Claim(
                line=document.line_of(place),
                text=match.group(),
                about="judgement",
                verdict=Verdict.NOT_CHECKABLE,
                note="says how good it is without a number",
                span=(place, place),
                whole=(start, end),
            )


def _denied(document: Document, prose: list[Span], knowledge: Knowledge) -> Iterator[Claim]:
    """Statements that a documented fact says are wrong (`denies`): about relations, for which there is no vocabulary."""
    facts = [fact for fact in knowledge.facts.facts if fact.denies]
    for start, end in prose:
        sentence = document.text[start:end]
        for fact in facts:
            match = re.search(fact.denies or "", sentence, re.IGNORECASE | re.DOTALL)
            if match is None or sentence.startswith(('"', "“")):  # a quotation is not the card's own statement
                continue
            sibling = fact.checkpoint.relation is Relation.SIBLING
            place = start + match.start()
            yield Claim(
                line=document.line_of(place),
                text=re.sub(r"\s+", " ", match.group()),
                about=fact.evidence.name.metric.replace("-", " "),
                verdict=Verdict.OTHER_CHECKPOINT if sibling else Verdict.CONTRADICTED,
                **_said_by(View(fact.evidence, fact)),
                note=f"true of {fact.checkpoint.name}" if sibling else (fact.note or fact.says),
                span=(place, place),
                whole=(start, end),
            )


def _with_inconsistencies(document: Document, claims: list[Claim]) -> list[Claim]:
    """Unsupported claims that another line of the card says otherwise are inconsistent."""
    unsupported = [claim for claim in claims if claim.verdict is Verdict.UNSUPPORTED]
    stated = {claim.span: document.text[slice(*claim.span)] for claim in unsupported}
    firsts: dict[str, dict[str, Claim]] = {}
    for claim in unsupported:
        firsts.setdefault(claim.about, {}).setdefault(stated[claim.span], claim)
    found = []
    for claim in claims:
        rivals = firsts.get(claim.about, {}) if claim.verdict is Verdict.UNSUPPORTED else {}
        other = next((first for said, first in rivals.items() if said != stated[claim.span]), None)
        note = f"line {other.line} says {other.text}" if other else None
        found.append(replace(claim, verdict=Verdict.INCONSISTENT, note=note) if other else claim)
    return found


# --- mending ---


def replacements(
    document: Document, claims: list[Claim], writer: Writer, written: Sequence[Span] = (), kept: Sequence[Claim] = ()
) -> list[tuple[Edit, list[Claim]]]:
    """The edits that put wrong statements right, each with the claims that it replaces or corrects, `correct` being what is written.

    A short sentence or cell becomes, as a whole, the answer that its question would get; behind one that says more than its wrong
    value stands a correction, as nothing else that it says may be lost.

    Args:
        written: spans of what was written from evidence, in order.
        kept: statements that can only be corrected behind them.
    """
    table = {p.name: p.id for p in vocabulary().properties}
    edits: list[tuple[Edit, list[Claim]]] = []
    given = dict[str, str]()
    beside = Counter(claim.whole for claim in claims if claim.verdict is not Verdict.NOT_CHECKABLE)
    wrong: dict[Span, list[Claim]] = {}
    for claim in (*claims, *kept):
        if claim.needs_mending and not _overlaps(claim.whole, written):
            wrong.setdefault(claim.whole, []).append(claim)
    for whole, found in wrong.items():
        question = writer.table.get(table[found[0].about]) if found[0].about in table else None
        is_relation = found[0].span[0] == found[0].span[1]  # which a value says nothing of
        is_alone = question is not None and not is_relation and (beside[whole] == 1 or question.people)
        is_alone = is_alone and found[0] not in kept
        edit = _mended(document, found[0], writer, question) if question and is_alone else None
        if edit := edit or _corrected(document, found, writer, given):
            (said,) = writer.references.settle(edit.new)
            edits.append((replace(edit, new=said), [replace(claim, correct=said.strip()) for claim in found]))
    return edits


def _mended(document: Document, claim: Claim, writer: Writer, question: Property) -> Edit | None:
    """The edit that puts a question's answer in the place of a statement; None where it has none, or the place holds more."""
    start, end = claim.whole
    sentence, block = document.text[start:end], document.block_at(start, end)
    if block is None or block.kind not in ("paragraph", "cell"):
        return None
    if _REFERS_BACK.match(document.text, end):
        return None
    label = label_prefix(sentence)
    is_value = block.kind == "cell" or label > 0 or (block.in_item and not sentence.endswith("."))
    said = sentence[label:]
    if re.search(r"`[^`]*\(", said):
        return None  # a call or shape, which a value says less than
    most = 8 if block.kind == "cell" else 16 if label else 14
    if len(re.findall(r"\w+", said)) > most and not (label and question.people):
        return None
    place = Place(said, block.label, label > 0, (), block.section)
    answer: Answer | None = writer.answer(question, "value" if is_value else "text", place)
    if answer is None or not answer.class_.has_value or "\n" in answer.text or answer.class_ is EvidenceClass.ESTIMATED:
        return None
    text = capital(answer.text) if is_value and said[:1].isupper() else answer.text
    stop = "." if sentence.endswith(".") and not text.endswith(".") else ""
    return Edit(start + label, end, text + stop)


def _corrected(document: Document, claims: list[Claim], writer: Writer, given: dict[str, str]) -> Edit | None:
    """The edit that puts behind a sentence or cell what is right, or whose its values are; a wrong field of a citation is replaced.

    Args:
        given: where a correction stands already, by what it says.
    """
    start, end = claims[0].whole
    block = document.block_at(start, end)
    if block is not None and block.kind in ("fence", "indented-code") and claims[0].span == (start, end):
        pair = {"{": "{}", '"': '""'}.get(document.text[start], ("", ""))
        return Edit(start, end, claims[0].correct.join(pair)) if claims[0].correct else None
    if block is None or block.kind not in ("paragraph", "cell"):
        return None
    facts = {fact.key: fact for fact in (*writer.knowledge.facts.facts, *writer.knowledge.facts.family)}
    told: dict[str, list[Source | None]] = {}
    theirs: dict[str, list[Claim]] = {}
    for claim in claims:
        fact = facts.get(claim.evidence[-1 if claim.verdict is Verdict.INCONSISTENT else 0]) if claim.evidence else None
        of_fact = (fact.evidence.source, *fact.also) if fact else ()
        if claim.verdict is Verdict.OTHER_CHECKPOINT and fact:
            whose = fact.checkpoint.label or fact.checkpoint.name
            theirs.setdefault(whose, []).append(claim)
            told.setdefault(whose, []).extend(of_fact)
        else:
            correct = claim.correct or claim.note or ""
            is_value = claim.about != "comparison" and (len(correct.split()) < 4 or correct[0].isdigit())
            told.setdefault(f"the {claim.about} is {correct}" if is_value else correct, []).extend(of_fact)
    parts = []
    for said, sources in told.items():
        here = ""
        if said in theirs:
            is_of_several = re.match(r"\s*/\s*\d", document.text[theirs[said][0].span[1] :]) is not None
            is_whole = len(told) == 1
            said, of_own, here = _of_another(said, theirs[said], writer, is_whole=is_whole, is_of_several=is_of_several)
            sources = of_own or sources
        if said in given and len(said.split()) > _LONG:
            parts.append(f"{given[said]} {writer.references.cite(*sources)}".rstrip() + here)
        elif said:
            given[said] = (
                "these are another checkpoint's" if "not of this checkpoint" in said else said.partition(":")[0]
            )
            parts.append(f"{said} {writer.references.cite(*sources)}".rstrip() + here)
    is_family = _PLURAL.search(document.text[start : max(start, claims[0].span[0])]) and not claims[0].evidence[
        0
    ].startswith("documented.")
    is_note = len(theirs) == len(told) and (is_family or _CONDITION.match(document.text[start:end]))
    begin = _NOTE if is_note else _CORRECTION
    at = past_marks(document.text, end, block.end)
    return Edit(at, at, f"{begin}{'; '.join(parts)}.)") if parts else None


def _of_another(
    whose: str, claims: list[Claim], writer: Writer, *, is_whole: bool, is_of_several: bool
) -> tuple[str, list[Source | None], str]:
    """That what a sentence says is another checkpoint's, with where this one's value stands if it is all that is said, and else what
    this one has, with its places."""
    what = list(dict.fromkeys(claim.about for claim in claims))
    keys = {claim.about: claim.evidence[0].partition(":")[0] for claim in claims}
    own = {about: writer.knowledge.find(key) for about, key in keys.items() if key.startswith("documented.")}
    views = {about: view for about, view in own.items() if view is not None and not _shown(view).startswith("none")}
    said = next((_shown(view) for view in own.values() if view is not None), "")
    if len(what) == 1 and said.startswith("none: "):
        return said.removeprefix("none: "), [view.evidence.source for view in own.values() if view is not None], ""
    named = {about: _shown(view) for about, view in views.items()}
    values = (
        f"it is {named[what[0]]}"
        if len(what) == len(named) == 1
        else ", ".join(f"{about} {value.removesuffix(' epochs')}" for about, value in named.items())
    )
    cited = writer.references.cite(*(view.evidence.source for view in views.values()))
    stated = claims[0].text.strip()
    if is_of_several if len(what) == 1 else is_whole:
        begin = "these values are those"
    elif len(what) == 1:
        begin = f"{stated} is the {what[0]}" if re.match(r"[\d.]+ ?%?$", stated) else f"this is the {what[0]}"
    else:
        begin = f"these are the {enumerate_words(what)}"
    here = f"; here {values} {cited}".rstrip() if values else ""
    return f"{begin} of {whose}, not of this checkpoint", [], here
