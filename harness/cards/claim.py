"""One claim: a checkable statement of a card, and what evidence says about it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from harness.cards.document import Document
from harness.cards.references import place_name
from harness.cards.sentences import Span
from harness.cards.views import View


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
    def is_disputed(self) -> bool:
        """Whether its sources say two things."""
        return self.verdict is Verdict.INCONSISTENT and len(self.evidence) > 1

    @property
    def needs_mending(self) -> bool:
        """Whether a card should not say so alone: it is wrong, or one of its sources says otherwise."""
        return self.verdict.is_wrong or self.is_disputed

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return asdict(self) | {"verdict": self.verdict.value, "span": list(self.span), "whole": list(self.whole)}


def claim_at(
    document: Document, span: Span, about: str, verdict: Verdict, *views: View, text: str | None = None, **more: Any
) -> Claim:
    """The claim that stands at a span, with the evidence that decides it and the source of the first.

    Args:
        text: the words that state it; None for what stands there.
        more: other fields of the claim; `whole` is the span where it isn't given.
    """
    source = views[0].evidence.source if views else None
    name = place_name(source.title, source.place) if source else "this card's ledger" if views else None
    text = document.text[slice(*span)] if text is None else text
    line, keys = document.line_of(span[0]), [view.key for view in views]
    return Claim(
        line=line,
        text=text,
        about=about,
        verdict=verdict,
        evidence=keys,
        source=name,
        span=span,
        **{"whole": span} | more,
    )


def shown(view: View) -> str:
    """What evidence says, for a reader."""
    return view.fact.says or view.shown if view.fact else view.shown
