"""Claims: checkable statements that a card makes outside its markers, each compared with evidence.

A statement (`statements.py`) is held against the evidence about the checkpoint that it speaks of (`judging.py`): this one, or a
sibling that it names. A value of a sibling that is said of this checkpoint is told apart from one that nobody states. Two values for
one thing in the same card, or in two sources, are inconsistent where nothing decides between them. What can't be decided is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from harness.cards.citing import paper_claims, paper_of
from harness.cards.claim import Claim, Verdict, claim_at
from harness.cards.comparing import comparisons
from harness.cards.document import Document, decode
from harness.cards.fields import read_fields
from harness.cards.judging import Judge
from harness.cards.knowledge import Knowledge, knowledge_of
from harness.cards.mending import DISPUTE, is_corrected
from harness.cards.own_training import own_training
from harness.cards.passages import LONGEST
from harness.cards.sentences import Span, overlaps, prose_sentences
from harness.cards.statements import read_prose
from harness.cards.views import View
from harness.cards.vocabulary import wording
from harness.evidence import Ledger
from harness.facts.loader import Relation

_ATTRIBUTED = re.compile(
    r"(?:\(|; )(?:documented|derived|estimated|evaluated by)\b|\bPublished for\b|published reference"
)

_JUDGEMENT = wording("judgement")


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
    paper = paper_of(knowledge)
    judge = Judge(document, knowledge, paper)
    cited = [*paper_claims(document, prose, paper, judge.subjects)] if paper else []
    taken = [*written, *(claim.span for claim in cited)]
    stated = {(s.about.name, s.span): s for s in (*read_prose(document, markers, own), *read_fields(document))}
    own_runs = own_training(document, prose, stated.values(), judge.subjects)
    free = [
        s
        for s in stated.values()
        if not _is_written(document, s.passage.whole, markers) and not overlaps(s.span, sorted(taken))
        if not own_runs.covers(s)
    ]
    decided = [*judge.claims(free), *cited]
    if not own_runs.is_whole_card:
        decided += [*comparisons(document, prose, judge.subjects), *_denied(document, prose, knowledge)]
    wrong = {claim.whole for claim in decided if claim.verdict.is_wrong}
    judged = [claim for claim in _judgements(document, prose) if claim.whole not in wrong]
    found = _with_inconsistencies(document, sorted([*decided, *judged], key=lambda claim: claim.span))
    return [*_disputed_once(document, found)]


def _is_written(document: Document, span: Span, written: Sequence[Span]) -> bool:
    """Whether a sentence or cell is an answer from evidence: it lies in a span that was, names its class and source, or is corrected."""
    is_attributed = _ATTRIBUTED.search(document.text[slice(*span)]) is not None
    return overlaps(span, written) or is_attributed or is_corrected(document.text, span)


def _judgements(document: Document, prose: list[Span]) -> Iterator[Claim]:
    """Statements that say how good something is without a number that evidence could confirm."""
    for start, end in prose:
        if match := _JUDGEMENT.search(document.text[start:end]):
            at = (start + match.start(),) * 2
            note = "says how good it is without a number"
            yield claim_at(
                document, at, "judgement", Verdict.NOT_CHECKABLE, text=match.group(), note=note, whole=(start, end)
            )


def _denied(document: Document, prose: list[Span], knowledge: Knowledge) -> Iterator[Claim]:
    """Statements that a documented fact says are wrong (`denies`): about relations, for which there is no vocabulary."""
    facts = [fact for fact in knowledge.facts.facts if fact.denies]
    for start, end in prose:
        sentence = document.text[start:end]
        if sentence.startswith(('"', "“")):  # a quotation is not the card's own statement
            continue
        for fact in facts:
            match = re.search(fact.denies or "", sentence, re.IGNORECASE | re.DOTALL)
            if match is None:
                continue
            is_sibling = fact.checkpoint.relation is Relation.SIBLING
            about, at = fact.evidence.name.metric.replace("-", " "), (start + match.start(),) * 2
            verdict = Verdict.OTHER_CHECKPOINT if is_sibling else Verdict.CONTRADICTED
            note = f"true of {fact.checkpoint.name}" if is_sibling else (fact.note or fact.says)
            text, view = re.sub(r"\s+", " ", match.group()), View(fact.evidence, fact)
            yield claim_at(document, at, about, verdict, view, text=text, note=note, whole=(start, end))


def _disputed_once(document: Document, claims: list[Claim]) -> Iterator[Claim]:
    """That sources dispute a statement is told once in a section; said there again, it is what one of them says."""
    disputes = [claim for claim in claims if claim.is_disputed]
    told = {
        block.section for block in document.blocks if disputes and DISPUTE in document.text[block.start : block.end]
    }
    for claim in claims:
        block = document.block_at(*claim.whole) if claim.is_disputed else None
        yield replace(claim, verdict=Verdict.SUPPORTED) if block and block.section in told else claim
        told |= {block.section} if block else set()


def _with_inconsistencies(document: Document, claims: list[Claim]) -> list[Claim]:
    """Unsupported claims that another line of the card says otherwise are inconsistent."""
    firsts: dict[str, dict[str, Claim]] = {}
    for claim in claims:
        if claim.verdict is Verdict.UNSUPPORTED:
            firsts.setdefault(claim.about, {}).setdefault(document.text[slice(*claim.span)], claim)
    found = []
    for claim in claims:
        rivals = firsts.get(claim.about, {}) if claim.verdict is Verdict.UNSUPPORTED else {}
        other = next((c for said, c in rivals.items() if said != document.text[slice(*claim.span)]), None)
        note = f"line {other.line} says {other.text}" if other else None
        found.append(replace(claim, verdict=Verdict.INCONSISTENT, note=note) if other else claim)
    return found
