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
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

import yaml
from pydantic import Field

from harness.cards.document import Document, Edit, apply_edits, decode, encode
from harness.cards.knowledge import Knowledge, knowledge_of
from harness.cards.questions import Table
from harness.cards.references import place_name
from harness.cards.sentences import Span, prose_sentences
from harness.cards.views import View
from harness.evidence import EvidenceKey, Ledger
from harness.facts.loader import Fact, Relation
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

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return asdict(self) | {"verdict": self.verdict.value, "span": list(self.span)}


class Property(Table):
    """A thing that cards state a value of; the fields are explained at the top of claims.yaml."""

    id: str
    pattern: str
    keys: tuple[str, ...]
    scale: float = 1.0
    unless: str | None = None
    least: float = 0.0
    names: dict[str, float] = Field(default_factory=dict)

    @functools.cached_property
    def regex(self) -> re.Pattern[str]:
        parts = self.pattern.split("NUMBER")
        pattern = parts[0] + "".join(_NUMBER.format(i) + part for i, part in enumerate(parts[1:]))
        return re.compile(pattern, re.IGNORECASE)


class ClaimTable(Table):
    """`claims.yaml`."""

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
    document, knowledge = Document(decode(text)), knowledge_of(model, ledger)
    markers = [(marker.start, marker.end) for marker in document.markers]
    prose = [span for span in prose_sentences(document, markers) if not _ATTRIBUTED.search(document.text[slice(*span)])]
    decided = [*_quantities(document, prose, knowledge), *_denied(document, prose, knowledge)]
    lines = {claim.line for claim in decided if claim.verdict is not Verdict.UNSUPPORTED}
    judged = [claim for claim in _judgements(document, prose) if claim.line not in lines]
    return _with_inconsistencies(document, sorted([*decided, *judged], key=lambda claim: claim.span))


def replace_contradicted(text: bytes, claims: list[Claim]) -> tuple[bytes, list[Claim]]:
    """The card with contradicted numbers and names replaced by what evidence says; and the claims that were."""
    wrong = (Verdict.CONTRADICTED, Verdict.OTHER_CHECKPOINT)
    fixed = [claim for claim in claims if claim.correct and claim.verdict in wrong and claim.span[0] < claim.span[1]]
    edits = {claim.span: Edit(*claim.span, claim.correct or "") for claim in fixed}
    return encode(apply_edits(decode(text), list(edits.values()))), fixed


def _quantities(document: Document, prose: list[Span], knowledge: Knowledge) -> Iterator[Claim]:
    for start, end in prose:
        sentence = document.text[start:end]
        for about in claim_table().properties:
            if about.unless and re.search(about.unless, sentence, re.IGNORECASE):
                continue
            judged = (_judge(document, knowledge, about, match, start) for match in about.regex.finditer(sentence))
            yield from (claim for claim in judged if claim is not None)


def _judge(
    document: Document, knowledge: Knowledge, about: Property, match: re.Match[str], offset: int
) -> Claim | None:
    group = next(name for name, found in match.groupdict().items() if found is not None)
    stated, is_name = match[group], group == "name"
    span = (offset + match.start(group), offset + match.end(group))
    value = about.names.get(stated.lower(), stated) if is_name else parse_number(stated) * about.scale
    if not isinstance(value, str) and not is_name and value < about.least:
        return None
    is_about = bool(_APPROXIMATE.search(document.text[max(0, span[0] - 15) : span[0]]))
    step = 0.0 if is_name else _last_place(stated) * about.scale
    own = [view for view in map(knowledge.find, about.keys) if view is not None]
    own += [view for key in about.keys if (view := knowledge.published(key, own=True)) is not None]
    agreeing = [view for view in own if _agrees(value, view.value, step, is_about)]
    others = [fact for fact in _other_facts(knowledge, about) if _agrees(value, fact.evidence.value, step, is_about)]
    judged = functools.partial(
        Claim, line=document.line_of(span[0]), text=match.group().strip(), about=about.id, span=span
    )
    if agreeing:
        rest = [view for view in own if view not in agreeing and view.fact and is_name]
        note = f"sources disagree: {rest[0].text}" if rest else None
        return judged(verdict=Verdict.SUPPORTED, **_said_by(agreeing[0]), note=note)
    for view in own:
        if any(_agrees(value, other.value, step, False) for other in view.conflicts):
            return judged(verdict=Verdict.SUPPORTED, **_said_by(view), note="another source gives this value")
    correct = _correct(own[0], about, stated) if own else None
    if others:
        name = others[0].checkpoint.name
        if re.search("fine-?tun", match.string, re.IGNORECASE) and "fine-tuned" in name:
            correct = None  # the sentence speaks of that checkpoint's training: there is no value to put in its place
        said = _said_by(View(others[0].evidence, others[0]), *own[:1])
        return judged(verdict=Verdict.OTHER_CHECKPOINT, **said, correct=correct, note=f"the value of {name}")
    if own:
        return judged(verdict=Verdict.CONTRADICTED, **_said_by(own[0]), correct=correct)
    return judged(verdict=Verdict.UNSUPPORTED)


def _other_facts(knowledge: Knowledge, about: Property) -> list[Fact]:
    """What siblings' facts say of a property, of the nearest checkpoint first."""
    subjects = {EvidenceKey.parse(key).subject for key in about.keys}
    siblings = [fact for fact in knowledge.facts.facts if fact.checkpoint.relation is Relation.SIBLING]
    nearness = list(knowledge.facts.checkpoints)
    found = [fact for fact in siblings if fact.evidence.name.subject in subjects]
    return sorted(found, key=lambda fact: nearness.index(fact.checkpoint_id))


def _judgements(document: Document, prose: list[Span]) -> Iterator[Claim]:
    """Statements that say how good something is without a number that evidence could confirm."""
    judgement = re.compile(claim_table().judgements, re.IGNORECASE)
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
            )


def _citation_lines(document: Document) -> Iterator[Span]:
    """Lines of BibTeX: what they say of authors and years is a claim as well."""
    for block in document.blocks:
        entry = document.text[block.start : block.end]
        if block.kind == "fence" and re.match(r"\s*@\w+\{", entry):
            for match in re.finditer(r"[^\r\n]+", entry):
                yield block.start + match.start(), block.start + match.end()


def _denied(document: Document, prose: list[Span], knowledge: Knowledge) -> Iterator[Claim]:
    facts = [fact for fact in knowledge.facts.facts if fact.denies]
    for start, end in (*prose, *_citation_lines(document)):
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


def parse_number(text: str) -> float:
    """A number as cards write it: `1,281,167`, `5e-5`, `5•10^-5`, `5 × 10⁻⁵`."""
    plain = text.translate(str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻−", "0123456789--")).replace(",", "").replace(" ", "").lstrip("~≈")
    return float(re.sub(r"[•·×x*]10\^?", "e", plain))


def _last_place(text: str) -> float:
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
    if not view.evidence.is_number:
        return None
    value = view.value / about.scale
    return f"{value:,.0f}" if "," in stated and value >= 1000 else f"{value:.6g}"


def _said_by(*views: View) -> dict[str, Any]:
    """The evidence of a claim, and the source of the first."""
    source = views[0].evidence.source
    name = place_name(source.title, source.place) if source else "this card's ledger"
    return {"evidence": [view.key for view in views], "source": name}
