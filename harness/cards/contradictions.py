"""Statements beside an answer that it makes false: found, and removed as whole sentences, or left whole and reported.

Only statements that something is unknown are looked at ("the references do not give the batch size"), and only those
about what was answered; what is still undisclosed is rightly called unknown. A sentence that says nothing else goes; one
that says more than what is false stays as its author wrote it, and is told of with its line.
"""

from __future__ import annotations

import bisect
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from harness.cards.answers import Answer, Writer
from harness.cards.document import Block, Document, Edit, Marker
from harness.cards.questions import spoken_of
from harness.cards.retrieval import is_named
from harness.cards.sentences import Span, label_prefix, overlaps, sentences, within
from harness.cards.vocabulary import Property, vocabulary
from harness.evidence import EvidenceClass

_FALSIFYING = (EvidenceClass.MEASURED, EvidenceClass.DERIVED, EvidenceClass.DOCUMENTED)
_SAYS = (
    r"(?:provide|mention|specify|specifie|state|give|discusse?|describe|go in(?:to|-depth)|disclose|liste?|report|"
    r"addresse?|indicate|reveal|publishe?|share|document|clarif(?:y|ie)|explain|name|directly applicable)"
)
_KNOWN = r"(?:known|(?:publicly )?available|clear|found|public|to be found)\b(?= *(?:$|[.,;:)]|in |anywhere|at |from |for th|to us))"
_BE = r"(?:is|are|was|were|has been|have been|remains?|stays?)"
_TOLD = r"(?:information|details?|mention|indication|documentation|record|statement|description|clue|word)"
_ABSENCE = re.compile(
    rf"\b(?:do|does|did|can|could|is|are|was|were|has|have)(?: not|n't|not)\b[^.;]{{0,40}}?\b(?:{_SAYS}(?:d|s|n|ed)?\b|{_KNOWN})"
    r"|\b(?:references?|sources?|paper|card|authors?|page|readme|repository|report|documentation|files?) (?:do|does|did)(?: not|n't) (?:contain|include|cover)"
    rf"|\b(?:exact|specific)\b[^.;]*\bnot (?:{_SAYS}d?|given)\b"
    rf"|\b(?:no|not enough|not any|insufficient|too little|a lack of|lacks?|without (?:further|more|additional)) (?:[\w-]+ ){{0,3}}?{_TOLD}\b"
    rf"|\b(?:no|none of the) [^.;]{{1,60}} {_BE} (?:[\w-]+ )?(?:{_SAYS}(?:d|n|ed)\b|{_KNOWN})"
    rf"|\b(?:more|further|additional) (?:\w+ ){{0,2}}{_TOLD} [^.;]{{0,40}}\b(?:need|requir|gather|necessary)"
    rf"|\b{_BE} (?:\w+ )?un(?:known|clear|specified|disclosed|documented|published|stated|reported|available)\b"
    r"|\b(?:can(?:not|'t| not)|could(?: not|n't)|impossible|not possible|difficult|hard) (?:to )?(?:be )?(?:determin|sa[yi]|tell|told|answer|stat|infer|find|found|deriv|confirm|provid)"
    rf"|\b(?:says?|said|knows?) nothing\b|\bnothing [^.;]{{0,40}}(?:{_BE} (?:said|known|{_SAYS})|\b(?:says|tells|{_SAYS}s)\b)|\bsilent (?:on|about)\b|\bfails? to {_SAYS}"
    r"|\b(?:leaves?|left) [^.;]{0,60}\b(?:open|unspecified|unstated|unsaid)\b|\b(?:nobody|no one) (?:knows|tells|says)|\b(?:don't|do not) know\b"
    r"|\brather than (?:metrics|numbers|figures|results|values)\b",
    re.IGNORECASE,
)
"""A statement that something is unknown or was not found."""
_CLAUSE = re.compile(
    r",? but (?:[\w-]+ ){0,5}?(?:do|does|did|is|are|was|were)(?: not|n't)\b[^.;]*|\s+with an? [\w -]{2,40} that (?:is|was) not \w+"
    r"|\s+rather than (?:metrics|numbers|figures|results|values)\b[^.;]*",
    re.IGNORECASE,
)
"""The part of a sentence that says something is unknown, after one that says something else."""
_OF_SOURCES = re.compile(
    r"\W*(?:(?:However|While|Although),? )?(?:the|these)(?: \w+){0,2} (?:references?|sources?)\b", re.IGNORECASE
)
"""The beginning of a sentence on what somebody had read: without what it didn't find it tells a reader nothing."""
_LEADS = re.compile(
    r"\W*(?:(?:and|but) )?(?:however|unfortunately|currently|based on|according to|(?:in order )?to|at this point|as of|for now|if|which|such as|including|in summary|likewise|also)\b",
    re.IGNORECASE,
)
"""The beginning of a part of a sentence that only leads to another."""
_PARTING = re.compile(
    r";|, (?=(?:and|but|while|whereas|though|so)\b)|,(?= )| and (?=(?:the|it|its|they|this|there|we) )", re.IGNORECASE
)
"""Where a sentence parts into several that each say something."""
_CLAUSES = re.compile(
    r"\s*(?:and|but|so|while|though)\b[^.;]*?\b(?:is|are|was|were|should|must|can|will|may|do|does|did|has|have)\b",
    re.IGNORECASE,
)
"""A part that is a sentence of its own."""
_ENUMERATION = re.compile(r"(?P<head>\bsuch as |\bincluding )(?P<items>[^.;:()]+)", re.IGNORECASE)
_WISH = re.compile(r"\b(?:more|further|additional) [^.;]{0,60}\b(?:need|requir|gather|necessary)", re.IGNORECASE)
_SUBORDINATE = re.compile(r"\b(?:where|because|since|although|though|while)\b", re.IGNORECASE)
_ANAPHOR = re.compile(
    r"(?:this|that) (?:level of detail|question)|(?:comprehensive|complete|full|definitive) answer|code cannot be provided|rather than metrics for",
    re.IGNORECASE,
)
_POINTS_BACK = re.compile(
    r"\b(?:these|those|such) (?:factors|aspects|details|points|questions|areas|considerations|topics)\b", re.IGNORECASE
)
"""What a sentence says of those before it: it goes with them."""
_SHORT = 7
"""Words below which a sentence is about what the one before it says."""
_HOWEVER = re.compile(r"However, (\w)")
_THEREFORE = re.compile(r"Therefore, (\w)")


@dataclass(frozen=True)
class Topic:
    """What was answered."""

    question: str
    about: Property
    evidence: tuple[str, ...]
    is_settled: bool
    """Whether the answer is this checkpoint's own value: then it is nowhere unknown. Otherwise the answer says what is known of
    others, or that it is undisclosed, and a sentence that says so beside it is one too many."""
    sections: frozenset[tuple[str, ...]] = frozenset()
    """Where it was answered."""
    is_told: bool = True
    """Whether the answer tells a value, this checkpoint's or another's."""


@dataclass
class FilledMarker:
    """A marker with what it asks, its answer, and the edit that writes it."""

    marker: Marker
    questions: list[Property]
    answer: Answer
    edit: Edit
    asked_in: list[Span] = field(default_factory=list)
    """The words that say what is asked."""


class Correction(NamedTuple):
    """A change of what stands beside the answers."""

    edit: Edit
    question: str
    """Whose answer makes it false."""
    old: str


def contradicted_sentences(document: Document, writer: Writer, rows: list[FilledMarker]) -> list[Correction]:
    """The removals of sentences that say nothing but that something is unknown of which an answer tells; none overlaps an answer's edit."""
    topics = answered_topics(writer, rows)
    written = sorted({(row.edit.start, row.edit.end) for row in rows})
    asking = [(marker.start, marker.end) for marker in document.markers]
    answered: dict[Block, list[FilledMarker]] = {}
    in_section: dict[tuple[str, ...], list[FilledMarker]] = {}
    for row in rows:
        answered.setdefault(row.marker.block, []).append(row)
        in_section.setdefault(row.marker.block.section, []).append(row)
    prose = [block for block in document.blocks if block.kind in ("paragraph", "cell")]
    corrections: list[Correction] = []
    for index, (block, following) in enumerate(itertools.zip_longest(prose, prose[1:])):
        if corrections and block.start < corrections[-1].edit.end:
            continue  # an item of a list that went with the sentence before it
        known = [topic for topic in topics if topic.is_settled or block.section in topic.sections]
        here = answered.get(block) or (rows if len(rows := in_section.get(block.section, [])) == 1 else [])
        answers = answered.get(following, []) if following else []
        below = {row.answer.question for row in answers}
        is_line = following is not None and not any("\n" in row.edit.new for row in answers)
        next_line = following.start if is_line and following else None
        made = _in_block(document.text, block, known, here, written, asking, below, next_line)
        if made and document.text[: made[-1].edit.end].endswith(":") and made[-1].edit.end == block.end:
            items = [] if block.in_item else list(itertools.takewhile(lambda b: b.in_item, prose[index + 1 :]))
            if items and not overlaps((items[0].start, items[-1].end), written):
                edit = Edit(made[-1].edit.start, items[-1].end, "")
                made[-1] = made[-1]._replace(edit=edit, old=document.text[edit.start : edit.end].lstrip())
        corrections += made
    return corrections


def kept_sentences(document: Document, topics: list[Topic], written: list[Span]) -> Iterator[tuple[Span, Topic]]:
    """The sentences of a filled card that still call unknown what an answer in it tells."""
    topics = [topic for topic in topics if topic.is_told]
    for block in document.blocks if topics else ():
        if block.kind not in ("paragraph", "cell"):
            continue
        before = ""
        for span in sentences(document.text, block.start, block.end):
            sentence = document.text[slice(*span)]
            said = f"{before} {sentence}" if len(sentence.split()) < _SHORT else sentence
            before = sentence
            if not (overlaps(span, written) or _asks_for_more(sentence)) and (
                topic := _called_unknown(sentence, said, topics)
            ):
                yield span, topic


def _asks_for_more(sentence: str) -> bool:
    """Whether a sentence only wishes for more, without a list of what is missing: that denies nothing that is told."""
    return bool(_WISH.search(sentence)) and not _ENUMERATION.search(sentence)


def answered_topics(writer: Writer, rows: list[FilledMarker]) -> list[Topic]:
    """What the answers tell of."""
    topics: dict[str, Topic] = {}
    for row in rows:
        keys = tuple(row.answer.evidence)
        for question in row.questions:
            has_code = "```" in row.answer.text and question.template.startswith("code")
            is_answered = question.id in row.answer.question.split(" + ") and not question.stays_unknown
            class_ = writer.classes.get(question.id) if is_answered else None
            tells = class_ in _FALSIFYING or (class_ is EvidenceClass.PENDING and keys and question.metrics)
            if is_answered or has_code:
                known = topics[question.id].sections if question.id in topics else frozenset()
                sections, is_settled = known | {row.marker.block.section}, class_ in _FALSIFYING or has_code
                topics[question.id] = Topic(question.id, question, keys, is_settled, sections, bool(tells or has_code))
    return list(topics.values())


def _topic_of(text: str, topics: list[Topic]) -> Topic | None:
    """What was answered of what a text speaks of."""
    if led := _OF_SOURCES.match(text):
        text = text[led.end() :]
    told = spoken_of(text, vocabulary()) if topics else []
    meant = (topic for topic in topics if any(_is_same(topic.about, about) for about in told))
    return next(meant, next((topic for topic in topics if is_named(topic.about, text)), None))


def _is_same(answered: Property, about: Property) -> bool:
    """Whether a text about a property speaks of one that was answered: all code is alike."""
    return answered.id == about.id or (answered.template.startswith("code") and about.template.startswith("code"))


def _in_block(
    text: str,
    block: Block,
    known: list[Topic],
    here: list[FilledMarker],
    written: Sequence[Span],
    asking: Sequence[Span],
    below: set[str],
    next_line: int | None,
) -> list[Correction]:
    spans = sentences(text, block.start, block.end, asking)
    removed: list[tuple[Span, str]] = []
    before, gone = "", None
    for span in spans:
        sentence = text[slice(*span)]
        is_free = not (overlaps(span, written) or overlaps(span, asking))
        said = f"{before} {sentence}" if len(sentence.split()) < _SHORT else sentence
        question = _false_about(sentence, said, known, here) if is_free else None
        if question is not None and _says_more(sentence, known, block.section):
            question = None
        if question is None and is_free and gone and _POINTS_BACK.search(sentence):
            question = gone
        if question is not None:
            removed.append((span, question))
        before, gone = sentence, question
    found = _removals(text, block, spans, removed, below, next_line)
    starts, ends = {made.edit.start for made in found}, {made.edit.end for made in found}
    found += _connectives(text, spans, here, written, starts, ends)
    return [made._replace(edit=_clipped(made.edit, written)) for made in found]


def _clipped(edit: Edit, written: Sequence[Span]) -> Edit:
    """The edit without the white space that an answer's edit has taken already."""
    near = within(written, edit.start, edit.end)
    start = max([edit.start, *(last for first, last in near if first <= edit.start < last)])
    end = min([edit.end, *(first for first, _ in near if start <= first < edit.end)])
    return Edit(start, end, edit.new)


def _false_about(sentence: str, said: str, known: list[Topic], here: list[FilledMarker]) -> str | None:
    """The question whose answer makes a sentence false, or tells the same beside it."""
    topic = _called_unknown(sentence[label_prefix(sentence) :], said, known)
    if (
        topic is None
        and here
        and _ANAPHOR.search(sentence)
        and (_ABSENCE.search(sentence) or "```" in here[0].answer.text)
    ):
        return here[0].answer.question
    return topic.question if topic else None


def _called_unknown(sentence: str, said: str, topics: list[Topic]) -> Topic | None:
    """What a sentence says is unknown, told by what `said` speaks of."""
    absence = _ABSENCE.search(sentence)
    if absence is None:
        return None
    *others, own = _SUBORDINATE.split(sentence[: absence.end()])
    if clause := _CLAUSE.search(sentence):
        said = clause.group()
    elif others:
        said = own + sentence[absence.end() :]
    return _topic_of(said, topics)


def _says_more(sentence: str, known: list[Topic], section: tuple[str, ...]) -> bool:
    """Whether a sentence tells a reader something besides what is false in it."""
    sentence = sentence[label_prefix(sentence) :]
    if _CLAUSE.search(sentence):
        return _OF_SOURCES.match(sentence) is None
    parts = [part for part in _PARTING.split(re.sub(r"\([^()]*\)", "", sentence)) if re.search(r"\w", part)]
    # Up to the one that says it is unknown; what follows belongs to it, or names more of what is.
    told = next((index for index, part in enumerate(parts) if _ABSENCE.search(part)), 0)
    is_led = all(_LEADS.match(part) or _OF_SOURCES.match(sentence) for part in parts[:told])
    if not is_led or any(_CLAUSES.match(part) and not _ABSENCE.search(part) for part in parts[told + 1 :]):
        return True
    match = _ENUMERATION.search(sentence)
    beside = [topic for topic in known if section in topic.sections]
    if match is None or not re.search(r"\bmore\b", before := sentence[: match.start()]) or _topic_of(before, beside):
        return False
    items = re.split(r",\s*(?:and |or )?|\s+(?:and|or)\s+", match["items"])
    return any(_topic_of(item, known) is None for item in items)


def _removals(
    text: str, block: Block, spans: list[Span], removed: list[tuple[Span, str]], below: set[str], next_line: int | None
) -> list[Correction]:
    """Removing sentences with the space that set them apart; a paragraph without any other goes as a whole, and of an item its
    text, where the paragraph below it is the answer, which then follows the item's label."""
    found: list[Correction] = []
    is_whole = len(removed) == len(spans)
    label = label_prefix(text[block.start : block.end])
    if is_whole and (
        block.kind == "cell" or (block.in_item and not label) or (label and not below & {q for _, q in removed})
    ):
        return []
    for span, question in removed:
        following = _next(spans, span[1])
        if is_whole and label:
            start = found[-1].edit.end if found else block.start + len(text[block.start : block.start + label].rstrip())
            end = span[1]
            if span == spans[-1] and next_line and not text[end:next_line].strip():
                found.append(Correction(Edit(start, next_line, " "), question, text[slice(*span)]))
                continue
        elif is_whole:
            start = found[-1].edit.end if found else len(text[: block.start].rstrip())
            end = span[1] if following else block.end
        else:
            start = span[0] + label_prefix(text[slice(*span)])
            end = following[0] if following else span[1]
            if (
                following is None or "\n" in text[span[1] : end]
            ):  # the last in its block or line: the space before it goes
                start, end = block.start + len(text[block.start : start].rstrip(" \t\r\n>")), span[1]
            start = max(start, found[-1].edit.end) if found else start
        found.append(Correction(Edit(start, end, ""), question, text[slice(*span)]))
    if (
        found and not is_whole and removed[-1][0] == spans[-1]
    ):  # nothing follows the last ones: the space before them goes too
        first = next(i for i in range(len(found))[::-1] if not i or found[i - 1].edit.end < found[i].edit.start)
        start, end = found[first].edit.start, found[first].edit.end
        found[first] = found[first]._replace(edit=Edit(len(text[:start].rstrip(" \t")), end, ""))
    return found


def _connectives(
    text: str, spans: list[Span], here: list[FilledMarker], written: Sequence[Span], taken: set[int], removed: set[int]
) -> list[Correction]:
    """`However, …` after a sentence that now holds the answer contrasts with nothing, and `Therefore, …` in the answer's own,
    after one that was removed, follows from nothing: the word goes."""
    found = []
    for row in here:
        own = next((span for span in spans if span[0] <= row.edit.start < span[1]), None)
        led = _THEREFORE.match(text, own[0]) if own and own[0] in removed else None
        if led and led.end() <= row.edit.start:
            found.append(Correction(Edit(*led.span(), led[1].upper()), row.answer.question, led.group()))
        start, stop = _next(spans, row.edit.end) or (len(text), len(text))
        match = _HOWEVER.match(text[start:stop])
        if not match or start in taken or row.answer.class_ not in _FALSIFYING or text[row.edit.end : start].strip():
            continue
        word = (start, start + match.end())
        if not overlaps(word, written):
            taken.add(start)
            # The word alone: the sentence may hold a marker with an edit of its own.
            found.append(Correction(Edit(*word, match[1].upper()), row.answer.question, match.group()))
    return found


def _next(spans: list[Span], place: int) -> Span | None:
    """The first of spans in order that begins at a place or behind it."""
    at = bisect.bisect_left(spans, place, key=lambda span: span[0])
    return spans[at] if at < len(spans) else None
