"""Claims: checkable statements that a card makes outside its markers, each compared with evidence.

A statement (`statements.py`) is held against the evidence about the checkpoint that it speaks of: this one, or a sibling that it
names. A value of a sibling that is said of this checkpoint is told apart from one that nobody states. Two values for one thing in
the same card, or in two sources, are inconsistent where nothing decides between them. What can't be decided is left alone.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

from harness.cards.answers import Answer, Writer
from harness.cards.document import Document, Edit, apply_edits, decode, encode
from harness.cards.knowledge import Knowledge, knowledge_of
from harness.cards.quantities import Quantity
from harness.cards.questions import Place
from harness.cards.sentences import Span, label_prefix, prose_sentences
from harness.cards.statements import Entry, Statement, bibtex_entries, find_statements
from harness.cards.references import place_name
from harness.cards.views import View
from harness.cards.vocabulary import Property, vocabulary
from harness.evidence import EvidenceClass, EvidenceKey, Ledger
from harness.facts.loader import Checkpoint, Fact, Relation

_ATTRIBUTED = re.compile(
    r"(?:\(|; )(?:documented|derived|estimated|evaluated by)\b|\bPublished for\b|published reference"
)
_MODEL_WORDS = r"(?:models?|checkpoints?|versions?|variants?|weights|networks?|siblings?|releases?|files?|ones?|recipes?|stages?|settings?|schedules?)\b"
_SIZE = re.compile(r"\b(?:the|an?|our|its) (?:(tiny|small|base|large|x-?large|huge|giant|nano|atto|pico|femto)|(\d+(?:\.\d+)?) ?([GM]F))(?:[- ]sized)?[- ](?:models?|variants?|versions?|ones?|networks?)\b", re.IGNORECASE)
_TUNED = re.compile(r"(?<!not )(?<!without )(?<!before )(?<!not been )\bfine-?tun", re.IGNORECASE)
_PLURAL = re.compile(r"\b(?:models|variants|networks|family|families|\w*Nets|\w*NeXts|design spaces?)\b")
_AFTERWARDS = re.compile(
    r"\b(?:after|when|once|upon|following)\W+(?:\w+\W+){0,3}?fine-?tun|^\W*fine-?tuned\b[^.;]*,\s*(?:the|it|this|a)\b", re.IGNORECASE
)
_SPREAD = 0.1
"""Percentage points by which two evaluations of the same weights may differ: within it nothing is decided."""


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
    prose = [span for span in prose_sentences(document, markers) if not _is_written(document, span, written)]
    judge = _Judge(document, knowledge)
    stated = [s for s in find_statements(document, markers) if not _is_written(document, s.passage.whole, written)]
    decided = [*judge.claims(stated), *_denied(document, prose, knowledge)]
    lines = {claim.line for claim in decided if claim.verdict is not Verdict.UNSUPPORTED}
    judged = [claim for claim in _judgements(document, prose) if claim.line not in lines]
    return _with_inconsistencies(document, sorted([*decided, *judged], key=lambda claim: claim.span))


def _is_written(document: Document, span: Span, written: Sequence[Span]) -> bool:
    """Whether a sentence or cell is an answer from evidence: it lies in a span that was, or names its class and source."""
    inside = any(first < span[1] and span[0] < last for first, last in written)
    return inside or _ATTRIBUTED.search(document.text[slice(*span)]) is not None


# --- the judge ---


@dataclass
class _Judge:
    document: Document
    knowledge: Knowledge

    @functools.cached_property
    def own_names(self) -> set[str]:
        facts = self.knowledge.facts
        names = (facts.model, facts.short_name, (facts.hub_id or "").rpartition("/")[2], str(self.knowledge.ledger.model.get("title", "")))
        return {_bare(re.sub(r"^.*[:/]", "", name)) for name in names if name}

    def claims(self, statements: list[Statement]) -> Iterator[Claim]:
        """The claims that statements make; where one passage states a value rightly, another of the same thing beside it is left."""
        judged = [(statement, claim) for statement in statements for claim in self.judge(statement)]
        right = {(s.passage.whole, s.topic, claim.about) for s, claim in judged if claim.verdict is Verdict.SUPPORTED}
        for statement, claim in judged:
            if not (claim.verdict is Verdict.CONTRADICTED and (statement.passage.whole, statement.topic, claim.about) in right):
                yield claim

    def judge(self, statement: Statement) -> Iterator[Claim]:
        if isinstance(statement.value, Entry):
            yield from self._citation(statement, statement.value)
            return
        subject = self._subject(statement)
        if subject is None:
            return
        if subject:
            yield from self._of_siblings(statement, subject)
        else:
            yield self._of_this(statement)

    # who is spoken of

    def _subject(self, statement: Statement) -> list[Checkpoint] | None:
        """The siblings that a statement may be about; empty for this checkpoint; None for another model."""
        passage, at = statement.passage, statement.at
        if passage.kind == "field":
            return []
        text = passage.text
        end = at + (statement.span[1] - statement.span[0])
        names = [(m.start(), m.end(), m.group()) for m in vocabulary().model_names.finditer(text) if not at <= m.start() < end]
        size = _SIZE.search(text[passage.begin : max(at, passage.begin)])
        if size and not any(_bare("".join(filter(None, size.groups()))) in own for own in self.own_names):
            siblings_only = True
        else:
            siblings_only = False
        siblings = [c for c in self.knowledge.facts.checkpoints.values() if c.relation is Relation.SIBLING and c.mention]
        foreign = [name for name in names if not self._is_own(name[2])]
        before = [name for name in names if name[1] <= at and not (name in foreign and _is_object(text, name[0], name[1], at))]
        after = [name for name in foreign if end <= name[0] and re.fullmatch(r"[^.;,\d]{0,30}\b(?:by|for|of|with|from|in) (?:an? |the )?|\s?\(?", text[end : name[0]])]
        heading = " ".join(passage.section[-1:])
        in_heading = [m.group() for m in vocabulary().model_names.finditer(heading)]
        if in_heading and not any(map(self._is_own, in_heading)) and not before:
            foreign_heading = True
        else:
            foreign_heading = False
        text_of_row = f"{passage.row} " if passage.row else ""
        meant = self._meant(text_of_row + text, at + len(text_of_row), end + len(text_of_row), siblings, " ".join((heading, *passage.titles)))
        if statement.about.id == "fine-tuning data" and not re.search(r"\b(?:checkpoints?|versions?|variants?|siblings?|ones?|weights)\b", text[:at]):
            meant = []
        about_foreign = foreign_heading or (before and before[-1] in foreign) or bool(after)
        if siblings_only and not meant:
            return None
        if about_foreign:
            named = [c for c in siblings if c.mention and any(re.search(c.mention, name[2], re.IGNORECASE) for name in foreign)]
            return named or None
        return meant

    def _is_own(self, name: str) -> bool:
        bare = _bare(name.rpartition("/")[2])
        return any(own.startswith(bare) for own in self.own_names) or bare in self.own_names

    @staticmethod
    def _meant(text: str, at: int, end: int, siblings: list[Checkpoint], heading: str) -> list[Checkpoint]:
        """Siblings that the words around a value mean: as a noun phrase, not as what happened to this model."""
        first = max((m.end() for m in re.finditer(r";\s|, (?:while|whereas|but)\b", text[:at])), default=0)
        last = next((m.start() for m in re.finditer(r";\s|, (?:while|whereas|but)\b", text[end:])), len(text)) + end
        around = f"{text[first:at]}{' ' * (end - at)}{text[end:last]}"
        around = vocabulary().model_names.sub(lambda m: m.group() if re.search(r"XL|1k", m.group()) else "model".ljust(len(m.group())), around)
        found = []
        for checkpoint in siblings:
            mention = checkpoint.mention or ""
            near = rf"(?:{mention})(?:[^\s.;:]*\s+){{0,4}}?{_MODEL_WORDS}|{_MODEL_WORDS}(?![\w\s,-]*\b(?:is|was|are|were|has|have|can|uses?|reach\w*|achiev\w*)\b[\w\s,-]*(?:{mention}))(?:\W+\w+){{0,6}}?\W+(?:\w+\W)?(?:{mention})"
            if re.search(near, around, re.IGNORECASE) or re.search(mention, heading, re.IGNORECASE):
                found.append(checkpoint)
            elif re.match(r"fine", mention) and _AFTERWARDS.search(around):
                found.append(checkpoint)
        # One that is meant may be told more exactly by other words: "after fine-tuning at 384 pixels".
        return [c for c in siblings if c in found or (found and re.search(c.mention or "", around, re.IGNORECASE))]

    # what is known

    def _own(self, statement: Statement) -> list[View]:
        known, found = self.knowledge, []
        for key in self._keys(statement):
            found += [view] if (view := known.find(key)) is not None else []
            subject = EvidenceKey.parse(key).subject
            facts = [fact for fact in known.facts.facts if fact.evidence.class_.has_value and known.stands_for(fact)]
            plain = statement.metric is None
            found += [View(f.evidence, f) for f in facts if f.key == key or (not plain and f.evidence.name.subject == subject)]
        unique = {(view.key, str(view.value)): view for view in found}
        return [view for view in unique.values() if view.class_ is not EvidenceClass.ESTIMATED]

    @staticmethod
    def _keys(statement: Statement) -> tuple[str, ...]:
        if statement.metric is None:
            return statement.about.keys
        key = ".".join(statement.metric)
        names = (key, f"documented.{key}")
        return (*names, *(("documented.imagenetv2.top1",) if statement.metric == ("imagenetv2-matched-frequency", "top1") else ()))

    def _siblings(self, statement: Statement) -> list[Fact]:
        """What siblings' facts say of the same thing, of the nearest checkpoint first."""
        subjects = {EvidenceKey.parse(key).subject for key in self._keys(statement)}
        facts = self.knowledge.facts
        apart = [f for f in facts.facts if f.checkpoint.relation is Relation.SIBLING or not self.knowledge.stands_for(f)]
        nearness = list(facts.checkpoints)
        found = [fact for fact in apart if fact.evidence.name.subject in subjects and fact.evidence.class_.has_value]
        return sorted(found, key=lambda fact: nearness.index(fact.checkpoint_id))

    # verdicts

    def _claim(self, statement: Statement, verdict: Verdict, *views: View, **more: Any) -> Claim:
        span = statement.span
        said = _said_by(*views) if views else {}
        return Claim(
            line=self.document.line_of(span[0]),
            text=statement.words or self.document.text[slice(*span)],
            about=statement.about.id,
            verdict=verdict,
            span=span,
            whole=statement.passage.whole,
            **said,
            **more,
        )

    def _of_siblings(self, statement: Statement, subject: list[Checkpoint]) -> Iterator[Claim]:
        facts = [fact for fact in self._siblings(statement) if fact.checkpoint in subject]
        agreements = [agrees(statement, View(fact.evidence, fact)) for fact in facts]
        if True in agreements:
            fact = facts[agreements.index(True)]
            yield self._claim(statement, Verdict.SUPPORTED, View(fact.evidence, fact), note=f"said of {fact.checkpoint.name}")
        elif facts and all(found is False for found in agreements) and statement.about.number:
            fact = facts[0]
            note = f"said of {fact.checkpoint.name}"
            yield self._claim(statement, Verdict.CONTRADICTED, View(fact.evidence, fact), note=note, correct=_shown(View(fact.evidence, fact)))

    def _of_this(self, statement: Statement) -> Claim:
        own = self._own(statement)
        agreements = [(view, agrees(statement, view)) for view in own]
        decided = [(view, found) for view, found in agreements if found is not None]
        agreeing = [view for view, found in decided if found]
        rest = [view for view, found in decided if not found and not view.evidence.is_partial]  # a part decides nothing
        if agreeing and rest and statement.about.disputed:
            return self._claim(statement, Verdict.INCONSISTENT, agreeing[0], rest[0], note=f"sources disagree: {rest[0].text}")
        if agreeing:
            measured = next((view for view in rest if view.is_measured), None)
            note = f"measured here: {measured.text}" if measured else None
            if statement.about.id == "FLOPs" and agreeing[0].name.metric == "macs":
                note = "counted as multiply-adds, as the paper does; 1 multiply-add = 2 FLOPs"
            return self._claim(statement, Verdict.SUPPORTED, agreeing[0], note=note)
        for view in own:
            if any(_scalar_agrees(statement, other.value) for other in view.conflicts):
                return self._claim(statement, Verdict.SUPPORTED, view, note="another source gives this value")
        other = next((f for f in self._siblings(statement) if agrees(statement, View(f.evidence, f))), None)
        correct = _shown(rest[0]) if rest else None
        undecided = any(found is None for _, found in agreements) and not any(v.class_ is EvidenceClass.DERIVED for v in rest)
        if other is not None and not (undecided and not rest):
            # A sentence about another checkpoint's training has no value of this one's to put in its place.
            is_theirs = re.search("fine-?tun", statement.passage.text, re.IGNORECASE) and "fine-tuned" in other.checkpoint.name
            views = (View(other.evidence, other), *rest[:1])
            return self._claim(
                statement, Verdict.OTHER_CHECKPOINT, *views, correct=None if is_theirs else correct, note=f"the value of {other.checkpoint.name}"
            )
        tuned = _TUNED.search(statement.passage.text) and not self._is_tuned and statement.about.id != "fine-tuning data"
        if rest and not undecided and not tuned and not self._is_family(statement):
            return self._claim(statement, Verdict.CONTRADICTED, rest[0], correct=correct)
        return self._claim(statement, Verdict.UNSUPPORTED)

    def _is_family(self, statement: Statement) -> bool:
        """Whether a sentence speaks of a family of networks, not of this one."""
        before = statement.passage.text[statement.passage.begin : statement.at]
        return bool(_PLURAL.search(before)) and not re.search(r"\b(?:this|the) (?:model|network|checkpoint)\b|\bit\b", before)

    @functools.cached_property
    def _is_tuned(self) -> bool:
        """Whether this checkpoint is itself known to be fine-tuned from another."""
        view = self.knowledge.find("documented.model.finetuned-from")
        return view is not None and str(view.value).casefold() != "none"

    # citations

    def _citation(self, statement: Statement, entry: Entry) -> Iterator[Claim]:
        view = self.knowledge.find("documented.citation.bibtex")
        if view is None:
            return
        known = next(iter(bibtex_entries(str(view.value))), None)
        if known is None:
            return
        stated, right = ({k: v[0] for k, v in e.fields.items()} for e in (entry, known))
        same_title = _folded(stated.get("title", "")) == _folded(right["title"])
        people, developers = (_surnames(_people_of(f.get("author", ""))) for f in (stated, right))
        if not same_title and (not people or people != developers):
            return
        start = statement.passage.start

        def claim(name: str, is_right: bool, about: str) -> Claim:
            first, last = entry.fields[name][1]
            made = replace(statement, span=(start + first, start + last), words=f"{name} = {stated[name]}")
            verdict = Verdict.SUPPORTED if is_right else Verdict.CONTRADICTED
            found = self._claim(made, verdict, view, correct=None if is_right else right.get(name))
            return replace(found, about=about, whole=(start + first, start + last))

        if "title" in stated and (same_title or not self._has_right_title(statement)):
            yield claim("title", same_title, "title")
        if people and same_title:
            strangers = people - developers - {"others"}
            found = claim("author", not strangers, "authors")
            places = [place for s in strangers if (place := _find_folded(self.document.text, s, found.span)) is not None]
            yield replace(found, line=self.document.line_of(min(places, default=found.span[0])))
        venue = next((p for p in vocabulary().properties if p.id == "venue"))
        place = next((name for name in ("booktitle", "journal", "series") if name in stated), None)
        if place and (names := venue.names_in(stated[place])):
            yield claim(place, bool(names & venue.names_in(right.get("booktitle", ""))), "venue")
        year, known_year = stated.get("year", ""), right.get("year", "")
        if year.isdigit() and known_year.isdigit():
            early = {int(known_year), int(known_year) - 1} if entry.kind in ("misc", "article") else {int(known_year)}
            yield claim("year", int(year) in early, "year of the paper")

    def _has_right_title(self, statement: Statement) -> bool:
        """Whether another entry of the card has the paper's title."""
        view = self.knowledge.find("documented.citation.bibtex")
        title = bibtex_entries(str(view.value))[0].fields["title"][0] if view else ""
        return any(_folded(e.fields.get("title", ("",))[0]) == _folded(title) for e in bibtex_entries(self.document.text))


# --- whether a value agrees ---


def agrees(statement: Statement, view: View) -> bool | None:
    """Whether evidence says what a statement does; None where that can't be told."""
    value, known, about = statement.value, view.value, statement.about
    if about.year:
        years = re.findall(r"\b(?:19|20)\d\d\b", str(known))
        return isinstance(value, Quantity) and str(int(value.value)) in years if years else None
    if about.address is not None:
        stated, right = _address(str(value)), _address(str(known))
        return stated.startswith(right) or right.startswith(stated)
    if isinstance(value, bool):
        return _used_agrees(value, known, about)
    if isinstance(value, tuple):
        return _people_agree(value, known, view) if about.people else _list_agrees(value, known, about)
    if isinstance(value, str):
        if str(known).casefold() == "none":
            return False
        names = about.names_in(str(known)) or about.names_in(view.fact.says or "" if view.fact else "")
        return value in names if names else None
    if isinstance(value, Quantity):
        return _number_agrees(statement, value, known, view)
    return None


def _number_agrees(statement: Statement, value: Quantity, known: Any, view: View) -> bool | None:
    about = statement.about
    if isinstance(known, dict):
        sizes = [size for text in known.values() if (size := _bytes(str(text)))]
        near = [abs(value.value - size) <= max(value.step / 2, 0.01 * size) for size in sizes]
        return True if any(near) else None
    if known == "none" or known is False:
        known = 0
    if isinstance(known, bool) or not isinstance(known, int | float):
        return None
    if view.evidence.unit and view.evidence.unit.startswith("million"):
        known = known * 1e6
    if view.evidence.unit and view.evidence.unit.startswith("billion"):
        known = known * 1e9
    found = value.agrees(known, truncated=about.truncated)
    rounded = view.class_ is EvidenceClass.DOCUMENTED and (isinstance(view.value, float) or known != view.value)
    if found is False and about.range[0] >= 1000 and rounded and abs(value.value - known) <= 0.06 * abs(known):
        return None  # a rounded value, or another way of counting
    if found is False and abs(value.value - known) <= about.tolerance * abs(known):
        return None
    if found is False and statement.metric is not None and abs(value.value - known) <= _SPREAD:
        return None
    return found


def _scalar_agrees(statement: Statement, known: Any) -> bool:
    value = statement.value
    if isinstance(value, Quantity) and isinstance(known, int | float):
        return value.agrees(known) is True
    return isinstance(value, str) and value in statement.about.names_in(str(known))


def _used_agrees(used: bool, known: Any, about: Property) -> bool | None:
    if about.contains is not None:
        was_used = re.search(about.contains.replace(" ", r"[\s_-]"), str(known), re.IGNORECASE) is not None
    elif isinstance(known, str):
        was_used = known.casefold() not in ("none", "x", "off", "no")
    elif isinstance(known, bool | int | float):
        was_used = bool(known)
    else:
        return None
    return used is was_used


def _list_agrees(value: tuple[Any, ...], known: Any, about: Property) -> bool | None:
    if isinstance(known, dict):
        known = known.get(about.list or "")
    if isinstance(known, str) and about.list in ("mean", "std"):
        match = re.search(rf"{about.list} \[([^\]]*)\]", known)
        known = [float(part) for part in match[1].split(",")] if match else None
    if not isinstance(known, list) or not known:
        return None
    if len(value) != len(known):
        return None if len(value) == len(known) + 1 and tuple(known) == value[1:] else False if about.list in ("depths", "widths") else None
    return all(abs(a - b) <= 0.005 if about.list in ("mean", "std") else a == b for a, b in zip(value, known, strict=True))


def _people_agree(stated: tuple[Any, ...], known: Any, view: View) -> bool | None:
    if not isinstance(known, list):
        return None
    developers = _surnames([str(name) for name in known])
    words = _folded(f"{view.fact.says if view.fact else ''}")
    known_words = set(words.split())
    strangers = [name for name in stated if not _surnames([name]) <= developers]
    if len(strangers) == len(stated) and any(re.search(r"\b(?:AI|Research|Team|Inc|Labs?|University|Institute|Google|Meta|Microsoft|Facebook|FAIR|NVIDIA|authors?)\b", n) for n in stated):
        return None  # an organisation in place of people
    return not [name for name in strangers if not (_folded(name) in words and set(_folded(name).split()) <= known_words)]


def _surnames(names: Sequence[str]) -> set[str]:
    found = set()
    for name in names:
        parts = name.split(",")
        last = parts[0] if len(parts) > 1 else name.split()[-1] if name.split() else ""
        found.add(_folded(last))
    return found - {""}


def _address(text: str) -> str:
    return text.casefold().removeprefix("https://").removeprefix("http://").removeprefix("www.").rstrip("/").removesuffix(".git")


def _find_folded(text: str, name: str, span: Span) -> int | None:
    """Where a name without its accents stands in a part of a text."""
    place = _folded_chars(text[slice(*span)]).find(name)
    return span[0] + place if place >= 0 else None


def _folded_chars(text: str) -> str:
    return "".join(unicodedata.normalize("NFKD", c)[0] for c in text).casefold()


def _is_object(text: str, start: int, end: int, at: int) -> bool:
    """Whether a network that is named before a value is only what the card's own is compared with."""
    compared = r"\b(?:with|than|over|to|like|against|outperform\w*|beat\w*|surpass\w*|as|from|on|unlike|the)\s+(?:\w+\s+){0,2}$"
    return bool(re.search(compared, text[:start]) and "," in text[end:at])


def _people_of(author: str) -> list[str]:
    return [name.strip() for name in re.split(r"\s+and\s+", author) if name.strip()]


def _folded(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text.casefold())
    return re.sub(r"[^a-z0-9]+", " ", "".join(c for c in plain if not unicodedata.combining(c))).strip()


def _bare(name: str) -> str:
    """A network's name without what people write differently: `RegNetY-4.0GF`, `4GF RegNetY`, `regnety_4gf`."""
    plain = re.sub(r"^(\d+gf)\s(.*)$", r"\2\1", name.casefold()).replace(".0", "")
    bare = re.sub(r"[^a-z0-9]", "", plain)
    return bare[:-1] if bare.endswith("s") and not bare.endswith("ss") else bare


def _bytes(text: str) -> float | None:
    match = re.fullmatch(r"([\d.]+) ?([kMG]?)B", text)
    return float(match[1]) * {"": 1, "k": 1e3, "M": 1e6, "G": 1e9}[match[2]] if match else None


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
                note=f"true of {fact.checkpoint.name}" if sibling else (fact.says or fact.note),
                span=(place, place),
                whole=(start, end),
            )


def _with_inconsistencies(document: Document, claims: list[Claim]) -> list[Claim]:
    """Unsupported claims that another line of the card says otherwise are inconsistent."""
    unsupported = [claim for claim in claims if claim.verdict is Verdict.UNSUPPORTED]
    stated = {claim.span: document.text[slice(*claim.span)] for claim in unsupported}
    found = []
    for claim in claims:
        rivals = (c for c in unsupported if c.about == claim.about and stated[c.span] != stated.get(claim.span))
        other = next(rivals, None) if claim.verdict is Verdict.UNSUPPORTED else None
        note = f"line {other.line} says {other.text}" if other else None
        found.append(replace(claim, verdict=Verdict.INCONSISTENT, note=note) if other else claim)
    return found


# --- mending ---


def replace_contradicted(text: bytes, claims: list[Claim], writer: Writer) -> tuple[bytes, list[Claim], list[Claim]]:
    """The card with wrong statements replaced, as a whole, by the answer that their question would get.

    A sentence or cell that says more than its wrong value is left: what else it says would be lost.

    Returns:
        The card, the claims that were replaced, and the wrong ones that were left.
    """
    document = Document(decode(text))
    table = {p.id: p.question for p in vocabulary().properties}
    edits: dict[Span, Edit] = {}
    fixed, left = [], []
    for claim in claims:
        if not claim.verdict.is_wrong:
            continue
        question = table.get(claim.about)
        beside = [c for c in claims if c.whole == claim.whole and c.verdict is not Verdict.NOT_CHECKABLE]
        edit = _mended(document, claim, writer, question) if question and len(beside) == 1 else None
        if edit is None:
            left.append(claim)
        else:
            edits[claim.whole] = edit
            fixed.append(claim)
    return encode(apply_edits(document.text, list(edits.values()))), fixed, left


def _mended(document: Document, claim: Claim, writer: Writer, question_id: str) -> Edit | None:
    """The edit that puts a question's answer in the place of a statement; None where it has none, or the place holds more."""
    start, end = claim.whole
    sentence, block = document.text[start:end], document.block_at(start, end)
    if block is None or block.kind not in ("paragraph", "cell"):
        return None
    label = label_prefix(sentence)
    is_value = block.kind == "cell" or label > 0
    said = sentence[label:]
    if len(re.findall(r"\w+", said)) > (8 if block.kind == "cell" else 16 if label else 14):
        return None
    place = Place(said, block.label, label > 0, (), block.section)
    question = writer.table.get(question_id)
    answer: Answer | None = writer.answer(question, "value" if is_value else "text", place)
    if answer is None or not answer.class_.has_value or "\n" in answer.text or answer.class_ is EvidenceClass.ESTIMATED:
        return None
    stop = "" if is_value else "" if answer.text.endswith(".") or not sentence.endswith(".") else "."
    return Edit(start + label, end, answer.text + stop)
