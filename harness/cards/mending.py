"""Mending a card: a wrong statement becomes the answer that its question would get, or a correction stands behind it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from harness.cards.answers import Writer
from harness.cards.claim import Claim, Verdict, shown
from harness.cards.document import Document, Edit
from harness.cards.markdown import capital, enumerate_words
from harness.cards.questions import Place
from harness.cards.sentences import Span, label_prefix, overlaps, past_marks
from harness.cards.subjects import PLURAL
from harness.cards.views import View
from harness.cards.vocabulary import Property
from harness.evidence import EvidenceClass, Source

_LONG = 16
"""Words of a correction that a card gives once."""
_REFERS_BACK = re.compile(
    r"\s+(?:(?:This|That|It) (?:can|could|may|is|was|means|follows|implies)|Therefore|Hence|Thus)\b"
)
"""A sentence that says something of the one before it, which therefore stays."""
_STOP = re.compile(r"[.:!?](?=\s|\Z)")
_CORRECTION, _NOTE = " (Correction: ", " (Note: "
DISPUTE = f"{_NOTE}the sources disagree"
"""How a note begins that says no more."""
_LED = re.compile(r"(?<=:)[*_]*[ \t]*\n[ \t]*\n(?=[\w\"“])(?!\d+[.)])(?:.*\S.*(?:\n|\Z))+")
"""The paragraph that a sentence's colon leads to."""
_MORE = re.compile(r"[^(,;:\w]*(?:\w+ ?){0,2}[(,;:][^\w]*\w+(?:\W+\w+){2}")
"""What follows a value and says more, as `300 epochs (extended from 90 for ResNets)` does."""
_CONDITION = re.compile(r"\W*(?:when|if)\b", re.IGNORECASE)


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
    questions = {about.name: about for about in writer.table.properties}
    beside = Counter(claim.whole for claim in claims if claim.verdict is not Verdict.NOT_CHECKABLE)
    wrong: dict[Span, list[Claim]] = {}
    for claim in (*claims, *kept):
        if claim.needs_mending and not overlaps(claim.whole, written):
            wrong.setdefault(claim.whole, []).append(claim)
    edits: list[tuple[Edit, list[Claim]]] = []
    given = dict[str, str]()
    for whole, group in wrong.items():
        first, edit = group[0], None
        question = questions.get(first.about)
        is_value = first not in kept and first.span[0] < first.span[1]  # of a relation a value says nothing
        if question and is_value and (beside[whole] == 1 or question.people):
            edit = _answered(document, first, writer, question)
        if edit := edit or _corrected(document, group, writer, given):
            (said,) = writer.references.settle(edit.new)
            edits.append((replace(edit, new=said), [replace(claim, correct=said.strip()) for claim in group]))
    return edits


def is_corrected(text: str, span: Span) -> bool:
    """Whether what a sentence or cell says wrongly is put right in or behind it."""
    behind = text[span[0] : _behind(text, span[1], len(text)) + len(_CORRECTION)]
    return _CORRECTION in behind or _NOTE in behind


def _behind(text: str, end: int, limit: int) -> int:
    """Where a correction of a sentence stands: behind its reference marks, the sentence that refers to it, and the paragraph that a
    colon leads to."""
    if (said_of_it := _REFERS_BACK.match(text, end)) and (stop := _STOP.search(text, said_of_it.end())):
        end = stop.end()
    led = _LED.match(text, end)
    if led is None and text[end - 1] == ":":
        return end - 1  # of a list
    return end + len(led.group().rstrip()) if led else past_marks(text, end, limit)


def _answered(document: Document, claim: Claim, writer: Writer, question: Property) -> Edit | None:
    """The edit that puts a question's answer in the place of a statement; None where it has none, or the place holds more."""
    start, end = claim.whole
    sentence, block = document.text[start:end], document.block_at(start, end)
    if block is None or block.kind not in ("paragraph", "cell") or _REFERS_BACK.match(document.text, end):
        return None
    label = label_prefix(sentence)
    said = sentence[label:]
    most = 8 if block.kind == "cell" else 16 if label else 14
    is_long = len(re.findall(r"\w+", said)) > most and not (label and question.people)
    says_more = not question.people and _MORE.match(document.text[claim.span[1] : end])
    if is_long or says_more or re.search(r"`[^`]*\(", said):  # a call or shape, which a value says less than
        return None
    is_value = block.kind == "cell" or label > 0 or (block.in_item and not sentence.endswith("."))
    place = Place(said, block.label, label > 0, (), block.section)
    answer = writer.answer(question, "value" if is_value else "text", place)
    if answer is None or not answer.class_.has_value or "\n" in answer.text or answer.class_ is EvidenceClass.ESTIMATED:
        return None
    text = capital(answer.text) if is_value and said[:1].isupper() else answer.text
    stop = "." if sentence.endswith(".") and not text.endswith(".") else ""
    return Edit(start + label, end, text + stop)


def _corrected(document: Document, claims: list[Claim], writer: Writer, given: dict[str, str]) -> Edit | None:
    """The edit that puts behind a sentence or cell what is right, or whose its values are; a wrong field of a citation is replaced.

    Args:
        claims: those of the sentence or cell.
        given: corrections of the card so far, each with what says it shortly.
    """
    start, end = claims[0].whole
    block = document.block_at(start, end)
    if block is not None and block.kind in ("fence", "indented-code") and claims[0].span == (start, end):
        pair = {"{": "{}", '"': '""'}.get(document.text[start], ("", ""))
        return Edit(start, end, claims[0].correct.join(pair)) if claims[0].correct else None
    if block is None or block.kind not in ("paragraph", "cell"):
        return None
    facts = writer.knowledge.facts
    known = {fact.key: View(fact.evidence, fact) for fact in (*facts.facts, *facts.family)}
    told: dict[tuple[bool, str], list[tuple[Claim, View | None]]] = {}
    for claim in claims:
        view = known.get(claim.evidence[-1 if claim.is_disputed else 0]) if claim.evidence else None
        told.setdefault(_told(claim, view), []).append((claim, view))
    parts = []
    for (is_theirs, said), group in told.items():
        is_ours = any(claim.is_disputed and view and _is_front_matter(document, view) for claim, view in group)
        said += " and in this card's front matter" if is_ours else ""
        part = _Part(said, said.partition(":")[0], [source for _, view in group if view for source in view.sources])
        if is_theirs:
            part = _of_another(document, part, [claim for claim, _ in group], writer, is_whole=len(told) == 1)
        if part.said:
            is_repeated = part.said in given and len(part.said.split()) > _LONG
            parts.append(_cited(writer, given[part.said] if is_repeated else part.said, part.places) + part.here)
            given.setdefault(part.said, part.short)
    before = document.text[start : max(start, claims[0].span[0])]
    is_family = PLURAL.search(before) and not claims[0].evidence[0].startswith("documented.")
    of_others = all(theirs for theirs, _ in told) and (is_family or _CONDITION.match(document.text[start:end]))
    is_note = of_others or all(claim.is_disputed for claim in claims)
    at = _behind(document.text, end, block.end)
    stop = "" if document.text[at : at + 1] == ":" else "."
    return Edit(at, at, f"{_NOTE if is_note else _CORRECTION}{'; '.join(parts)}{stop})") if parts else None


def _is_front_matter(document: Document, view: View) -> bool:
    """Whether the card's metadata say of a licence what a source says."""
    told = document.text[slice(*document.front_matter)] if document.front_matter else ""
    return re.search(rf"(?m)^license: {re.escape(str(view.value))}$", told) is not None


class _Part(NamedTuple):
    """What a correction says, at length and where it was said before, the places that say so, and what this checkpoint has."""

    said: str
    short: str
    places: list[Source | None]
    here: str = ""


def _told(claim: Claim, view: View | None) -> tuple[bool, str]:
    """Whether a value is another checkpoint's, and whose; else what is right."""
    if claim.verdict is Verdict.OTHER_CHECKPOINT and view and view.fact:
        return True, view.label or view.fact.checkpoint.name
    correct = claim.correct or claim.note or ""
    is_value = claim.about != "comparison" and (len(correct.split()) < 4 or correct[0].isdigit())
    return False, f"the {claim.about} is {correct}" if is_value else correct


def _cited(writer: Writer, said: str, places: Iterable[Source | None]) -> str:
    return f"{said} {writer.references.cite(*places)}".rstrip()


def _of_another(document: Document, theirs: _Part, claims: list[Claim], writer: Writer, *, is_whole: bool) -> _Part:
    """That what a sentence says is another checkpoint's, and what this one has, with its places.

    Args:
        theirs: whose it is.
        is_whole: whether it is all that the sentence says wrongly.
    """
    what = list(dict.fromkeys(claim.about for claim in claims))
    keys = {claim.about: claim.evidence[0].partition(":")[0] for claim in claims}
    found = {about: writer.knowledge.find(key) for about, key in keys.items() if key.startswith("documented.")}
    own = {about: view for about, view in found.items() if view is not None}
    said = next(map(shown, own.values()), "")
    if len(what) == 1 and said.startswith("none: "):
        said = said.removeprefix("none: ")
        return _Part(said, said.partition(":")[0], [view.evidence.source for view in own.values()])
    known = {about: view for about, view in own.items() if not shown(view).startswith("none")}
    values = "; ".join(f"{about} {shown(view).removesuffix(' epochs')}" for about, view in known.items())
    values = f"it is {shown(known[what[0]])}" if len(what) == len(known) == 1 else values
    whose_else = "here" if len(what) == len(known) == 1 else "this one's:"
    here = f"; {whose_else} {_cited(writer, values, (v.evidence.source for v in known.values()))}" if known else ""
    number, is_plural = re.search(r"\d[\d.]*(?: ?%)?", claims[0].text), what[0].endswith("epochs")
    if re.match(r"\s*/\s*\d", document.text[claims[0].span[1] :]) if len(what) == 1 else is_whole or len(what) > 2:
        begin = "these values are those"
    elif len(what) > 1:
        begin = f"these are the {enumerate_words(what)}"
    elif is_plural and number:
        begin = f"the {number[0]} {what[0]} are those"
    else:
        begin = f"{number[0] if number else 'this'} is the {what[0]}"
    begin = f"{begin} of {theirs.said}"
    return _Part(f"{begin}, not of this checkpoint", begin, theirs.places, here)
