"""Claims: checkable statements that a card makes outside its markers, each compared with evidence.

A claim is a quantity or a name with what it is about (`templates/claims.yaml`), or a statement that a documented fact
says is wrong (`denies` in the facts files). Evidence for this checkpoint decides first; a value that belongs to
another checkpoint is told apart from one that nobody states; two values for one thing in the same card are
inconsistent where no evidence decides between them.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict

from harness.cards.document import Document, Edit, apply_edits, decode, encode
from harness.cards.knowledge import Knowledge, knowledge_of
from harness.cards.sentences import Span, sentences
from harness.cards.views import View, place_name
from harness.evidence import EvidenceClass, EvidenceKey, Ledger
from harness.facts import Fact, Relation
from harness.files import shipped_folder

_NUMBER = (
    r"(?<![\w.,])[~≈]?(?P<value{}>\d{{1,3}}(?:,\d{{3}})+|\d+(?:\.\d+)?(?:\s?[•·×x*]\s?10\^?[-−⁻]?[\d⁰-⁹]+|e-?\d+)?)"
)
_ATTRIBUTED = re.compile(
    r"(?:\(|; )(?:documented|derived|estimated|evaluated by)\b|\bPublished for\b|published reference"
)
_APPROXIMATE = re.compile(r"(?:about|approximately|around|nearly|almost|~|≈)\s*$", re.IGNORECASE)


class Verdict(StrEnum):
    """What evidence says about a claim."""

    SUPPORTED = "supported"
    CONTRADICTED = "contradicted"
    OTHER_CHECKPOINT = "other-checkpoint"
    """True of another checkpoint, not shown to be true of this one."""
    INCONSISTENT = "inconsistent"
    """The card says two things, and no evidence decides between them."""
    UNSUPPORTED = "unsupported"
    """No evidence is known that could decide it."""
    NOT_CHECKABLE = "not-checkable"
    """A judgement without a number: no evidence could decide it."""


@dataclass(frozen=True)
class Claim:
    """One checkable statement."""

    line: int
    text: str
    """The words that state it."""
    about: str
    """What is claimed, e.g. `learning rate`."""
    verdict: Verdict
    evidence: list[str]
    source: str | None
    correct: str | None
    """What evidence says instead, where it says something else."""
    note: str | None
    """Which checkpoint the value belongs to, or which line says otherwise."""
    span: Span
    """Where the value stands, as offsets in the decoded card."""

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return asdict(self) | {"verdict": self.verdict.value, "span": list(self.span)}


class Property(BaseModel):
    """A thing that cards state a value of; the fields are explained at the top of claims.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    pattern: str
    keys: tuple[str, ...]
    scale: float = 1.0
    unless: str | None = None
    least: float = 0.0
    names: dict[str, float] = {}

    @functools.cached_property
    def regex(self) -> re.Pattern[str]:
        parts = self.pattern.split("NUMBER")
        pattern = parts[0] + "".join(_NUMBER.format(i) + part for i, part in enumerate(parts[1:]))
        return re.compile(pattern, re.IGNORECASE)


class ClaimTable(BaseModel):
    """`claims.yaml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    properties: tuple[Property, ...]
    judgements: str
    """Regular expression of words that judge without a number."""


@functools.cache
def claim_table() -> ClaimTable:
    """The shipped table."""
    return ClaimTable.model_validate(yaml.safe_load((shipped_folder("templates") / "claims.yaml").read_text("utf-8")))


def check_claims(text: bytes, *, model: str, ledger: Ledger | None) -> list[Claim]:
    """The claims of a card with their verdicts, in order of their place.

    Args:
        text: the card.
        model: registry name or Hub reference of the model that the card is about.
        ledger: the model's evidence; None checks against documented facts alone.
    """
    checker = _Checker(Document(decode(text)), knowledge_of(model, ledger))
    return checker.check()


def replace_contradicted(text: bytes, claims: list[Claim]) -> tuple[bytes, list[Claim]]:
    """The card with contradicted numbers and names replaced by what evidence says; and the claims that were."""
    fixed = [claim for claim in claims if claim.correct and claim.verdict in _WRONG and claim.span[0] < claim.span[1]]
    edits = {claim.span: Edit(*claim.span, claim.correct or "") for claim in fixed}
    return encode(apply_edits(decode(text), list(edits.values()))), fixed


_WRONG = (Verdict.CONTRADICTED, Verdict.OTHER_CHECKPOINT)


@dataclass
class _Checker:
    document: Document
    knowledge: Knowledge

    def check(self) -> list[Claim]:
        decided = [*self._quantities(), *self._denied()]
        lines = {claim.line for claim in decided if claim.verdict is not Verdict.UNSUPPORTED}
        judged = [claim for claim in self._judgements() if claim.line not in lines]
        claims = sorted([*decided, *judged], key=lambda claim: claim.span)
        return list(self._with_inconsistencies(claims))

    def _sentences(self) -> Iterator[Span]:
        """Sentences of prose that evidence is not attributed in already."""
        text = self.document.text
        markers = [(marker.start, marker.end) for marker in self.document.markers]
        for block in self.document.blocks:
            if block.kind not in ("paragraph", "cell"):
                continue
            for span in sentences(text, block.start, block.end, markers):
                if not _ATTRIBUTED.search(text[slice(*span)]):
                    yield span

    def _quantities(self) -> Iterator[Claim]:
        for start, end in self._sentences():
            sentence = self.document.text[start:end]
            for about in claim_table().properties:
                if about.unless and re.search(about.unless, sentence, re.IGNORECASE):
                    continue
                for match in about.regex.finditer(sentence):
                    claim = self._judge(about, match, start)
                    if claim is not None:
                        yield claim

    def _judge(self, about: Property, match: re.Match[str], offset: int) -> Claim | None:
        group = next(name for name, found in match.groupdict().items() if found is not None)
        stated = match[group]
        span = (offset + match.start(group), offset + match.end(group))
        value: float | str
        if group == "name":
            value = about.names.get(stated.lower(), stated) if about.names else stated
        else:
            value = parse_number(stated) * about.scale
            if value < about.least:
                return None
        is_about = (
            bool(_APPROXIMATE.search(self.document.text[max(0, span[0] - 15) : span[0]])) or stated != match[group]
        )
        own = [view for view in map(self.knowledge.find, about.keys) if view is not None]
        own += [view for view in map(self._own_published, about.keys) if view is not None]
        step = _last_place(stated) * about.scale if group != "name" else 0.0
        agreeing = [view for view in own if _agrees(value, view.value, step, is_about)]
        others = [fact for fact in self._other_facts(about.keys) if _agrees(value, fact.evidence.value, step, is_about)]

        def judged(verdict: Verdict, *views: View, correct: str | None = None, note: str | None = None) -> Claim:
            return Claim(
                line=self.document.line_of(span[0]),
                text=match.group().strip(),
                about=about.id,
                verdict=verdict,
                evidence=[view.key for view in views],
                source=_source(views[0]) if views else None,
                correct=correct,
                note=note,
                span=span,
            )

        if agreeing:
            rest = [view for view in own if view not in agreeing and view.fact and group == "name"]
            note = f"sources disagree: {rest[0].text}" if rest else None
            return judged(Verdict.SUPPORTED, agreeing[0], note=note)
        for view in own:
            if any(_agrees(value, other.value, step, False) for other in view.conflicts):
                return judged(Verdict.SUPPORTED, view, note="another source gives this value")
        correct = _correct(own[0], about, match[group]) if own else None
        if others:
            name = others[0].checkpoint.name
            if re.search("fine-?tun", match.string, re.IGNORECASE) and "fine-tuned" in name:
                correct = (
                    None  # the sentence speaks of that checkpoint's training: there is no value to put in its place
                )
            other = View(others[0].evidence, others[0])
            return judged(Verdict.OTHER_CHECKPOINT, other, *own[:1], correct=correct, note=f"the value of {name}")
        if own:
            return judged(Verdict.CONTRADICTED, own[0], correct=correct)
        return judged(Verdict.UNSUPPORTED)

    def _own_published(self, key: str) -> View | None:
        return self.knowledge.published(key, own=True)

    def _other_facts(self, keys: tuple[str, ...]) -> list[Fact]:
        facts = self.knowledge.facts.facts if self.knowledge.facts else ()
        subjects = {EvidenceKey.parse(key).subject for key in keys}
        siblings = [fact for fact in facts if fact.checkpoint.relation is Relation.SIBLING]
        found = [fact for fact in siblings if fact.evidence.name.subject in subjects]
        nearness = list(self.knowledge.facts.checkpoints) if self.knowledge.facts else []
        return sorted(found, key=lambda fact: nearness.index(fact.checkpoint_id))

    def _judgements(self) -> Iterator[Claim]:
        """Statements that say how good something is without a number that evidence could confirm."""
        for start, end in self._sentences():
            match = re.search(claim_table().judgements, self.document.text[start:end], re.IGNORECASE)
            if match:
                place = start + match.start()
                yield Claim(
                    line=self.document.line_of(place),
                    text=match.group(),
                    about="judgement",
                    verdict=Verdict.NOT_CHECKABLE,
                    evidence=[],
                    source=None,
                    correct=None,
                    note="says how good it is without a number",
                    span=(place, place),
                )

    def _citation_lines(self) -> Iterator[Span]:
        """Lines of BibTeX: what they say of authors and years is a claim as well."""
        for block in self.document.blocks:
            entry = self.document.text[block.start : block.end].lstrip()
            if block.kind == "fence" and re.match(r"@\w+\{", entry):
                for match in re.finditer(r"[^\r\n]+", self.document.text[block.start : block.end]):
                    yield block.start + match.start(), block.start + match.end()

    def _denied(self) -> Iterator[Claim]:
        """Statements that a documented fact says are wrong."""
        facts = [fact for fact in (self.knowledge.facts.facts if self.knowledge.facts else ()) if fact.denies]
        for start, end in (*self._sentences(), *self._citation_lines()):
            sentence = self.document.text[start:end]
            for fact in facts:
                match = re.search(fact.denies or "", sentence, re.IGNORECASE | re.DOTALL)
                if match is None or sentence.startswith(('"', "“")):  # a quotation is not the card's own statement
                    continue
                sibling = fact.checkpoint.relation is Relation.SIBLING
                yield Claim(
                    line=self.document.line_of(start + match.start()),
                    text=re.sub(r"\s+", " ", match.group()),
                    about=fact.evidence.name.metric.replace("-", " "),
                    verdict=Verdict.OTHER_CHECKPOINT if sibling else Verdict.CONTRADICTED,
                    evidence=[fact.key],
                    source=_source(View(fact.evidence, fact)),
                    correct=None,
                    note=f"true of {fact.checkpoint.name}" if sibling else (fact.says or fact.note),
                    span=(start + match.start(), start + match.start()),
                )

    def _with_inconsistencies(self, claims: list[Claim]) -> Iterator[Claim]:
        """Unsupported claims that another line of the card says otherwise."""
        unsupported = [claim for claim in claims if claim.verdict is Verdict.UNSUPPORTED]
        stated = {claim.span: self.document.text[slice(*claim.span)] for claim in unsupported}
        for claim in claims:
            rivals = (c for c in unsupported if c.about == claim.about and stated[c.span] != stated.get(claim.span))
            other = next(rivals, None) if claim.verdict is Verdict.UNSUPPORTED else None
            if other is not None:
                claim = replace(claim, verdict=Verdict.INCONSISTENT, note=f"line {other.line} says {other.text}")
            yield claim


def parse_number(text: str) -> float:
    """A number as cards write it: `1,281,167`, `5e-5`, `5•10^-5`, `5 × 10⁻⁵`."""
    plain = text.translate(str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻−", "0123456789--")).replace(",", "").replace(" ", "").lstrip("~≈")
    return float(re.sub(r"[•·×x*]10\^?", "e", plain))


def _last_place(text: str) -> float:
    """The size of the last decimal that a number is stated with."""
    mantissa = re.match(r"[~≈]?[\d,]+(?:\.(\d+))?", text)
    decimals = len(mantissa[1]) if mantissa and mantissa[1] else 0
    value = parse_number(text)
    exponent = re.search(r"(?:e|10\^?)\s?([-−⁻]?[\d⁰-⁹]+)$", text)
    size = abs(value) / parse_number(mantissa.group()) if exponent and mantissa and value else 1.0
    return float(10.0**-decimals * size)


def _agrees(stated: float | str, known: Any, step: float, is_approximate: bool) -> bool:
    """Whether a stated value is the known one, as exactly as it is stated."""
    if isinstance(stated, str):
        return isinstance(known, str) and _folded(stated) == _folded(known)
    if isinstance(known, bool) or not isinstance(known, int | float):
        return False
    tolerance = max(step / 2, abs(known) * (0.05 if is_approximate else 0)) * (1 + 1e-9)
    return abs(stated - known) <= tolerance if known or step >= 1 else stated == known


def _folded(name: str) -> str:
    return re.sub(r"[\s_-]+", "-", name.casefold())


def _correct(view: View, about: Property, stated: str) -> str | None:
    """The known value in the form it is stated in."""
    if isinstance(view.value, str):
        return view.value
    if isinstance(view.value, bool) or not isinstance(view.value, int | float):
        return None
    value = view.value / about.scale
    return f"{value:,.0f}" if "," in stated and value >= 1000 else f"{value:.6g}"


def _source(view: View) -> str | None:
    source = view.evidence.source
    if source is not None:
        return place_name(source.title, source.place)
    return "this card's ledger" if view.class_ is not EvidenceClass.DOCUMENTED else None
