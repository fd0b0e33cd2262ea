"""What a card says of the model's paper: BibTeX entries, its title, and the arXiv number and venue beside that."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from difflib import SequenceMatcher

from harness.cards.agreement import ARXIV, find_folded, folded, people_of, surnames
from harness.cards.asked import facets
from harness.cards.claim import Claim, Verdict, claim_at
from harness.cards.document import Document
from harness.cards.fields import Entry, bibtex_entries, read_citations
from harness.cards.knowledge import Knowledge
from harness.cards.sentences import Span
from harness.cards.subjects import Subjects
from harness.cards.views import View
from harness.cards.vocabulary import vocabulary

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
_TABLE = re.compile(r"\bTables? (\d+)(?:(?:,| and| &) (\d+))?")
_RESULTS = re.compile(r"(?is)(?=.*\b(?:the|its|our) paper\b).*(?:accura|error|result|compar|robust|AP\b|mIoU|mCE)")


@dataclass(frozen=True)
class Paper:
    """The model's paper, by how it is cited."""

    view: View
    entry: Entry
    number: str | None
    """Of arXiv."""

    def is_year(self, stated: str, kind: str) -> bool:
        """Whether a year is the paper's, or of an entry for a preprint, that one's."""
        year = self.right["year"]
        first = f"20{self.number[:2]}" if self.number else str(int(year) - 1)
        return stated == year or (kind in ("misc", "article") and stated == first)

    @property
    def right(self) -> dict[str, str]:
        """What its fields are."""
        return {name: value for name, (value, _) in self.entry.fields.items()}

    @property
    def title(self) -> str:
        return self.right["title"]

    def is_author(self, surname: str) -> bool:
        """Whether somebody who is cited is an author."""
        return folded(surname) in surnames(people_of(self.right["author"]))

    def is_cited_before(self, text: str) -> bool | None:
        """Whether a text that ends in `Smith et al.` cites it; None where it ends otherwise."""
        cited = re.search(r"(\w+) et al\.?,?[\W\d]*$", text)
        return self.is_author(cited[1]) if cited else None


def paper_of(knowledge: Knowledge) -> Paper | None:
    """The model's paper; None where no citation is known."""
    view = knowledge.find("documented.citation.bibtex")
    entry = next(iter(bibtex_entries(str(view.value))), None) if view else None
    number = knowledge.find("documented.model.arxiv")
    return Paper(view, entry, str(number.value) if number else None) if view and entry else None


def paper_claims(document: Document, prose: list[Span], paper: Paper, subjects: Subjects) -> Iterator[Claim]:
    """What entries and sentences say of the model's paper; those for other work are not its business."""
    yield from _entries(document, paper)
    for span in prose:
        yield from _title(document, span, paper, subjects)
        yield from _beside_title(document, span, paper, subjects.knowledge)
        yield from _table(document, span, paper, subjects)


def _entries(document: Document, paper: Paper) -> Iterator[Claim]:
    right = paper.right
    entries = [entry for entry, _ in read_citations(document)]
    has_title = any(
        folded(entry.fields["title"][0]) == folded(paper.title) for entry in entries if "title" in entry.fields
    )
    for entry in entries:
        for name, is_right, about in _fields(entry, paper, has_title=has_title):
            value, span = entry.fields[name]
            verdict = Verdict.SUPPORTED if is_right else Verdict.CONTRADICTED
            correct = None if is_right else right.get(name)
            claim = claim_at(document, span, about, verdict, paper.view, text=f"{name} = {value}", correct=correct)
            if about == "authors" and not is_right:
                strangers = surnames(people_of(value)) - surnames(people_of(right["author"]))
                at = min(find_folded(document.text, stranger, span) for stranger in strangers)
                claim = replace(claim, line=document.line_of(at))
            yield claim


def _fields(entry: Entry, paper: Paper, *, has_title: bool) -> Iterator[tuple[str, bool, str]]:
    """Fields of an entry that cites the model's paper, whether each is right, and what it is about."""
    stated, right = {name: value for name, (value, _) in entry.fields.items()}, paper.right
    is_titled = folded(stated.get("title", "")) == folded(right["title"])
    people, developers = (surnames(people_of(fields.get("author", ""))) for fields in (stated, right))
    if not is_titled and (has_title or not people or people != developers):
        return
    if "title" in stated:
        yield "title", is_titled, "title"
    if people and is_titled:
        yield "author", not people - developers - {"others"}, "authors"
    venue = vocabulary().get("venue")
    where = next((name for name in ("booktitle", "journal", "series") if name in stated), None)
    if where and (names := venue.names_in(stated[where])):
        yield where, bool(names & venue.names_in(right.get("booktitle", ""))), "venue"
    if stated.get("year", "").isdigit() and right.get("year", "").isdigit():
        yield "year", paper.is_year(stated["year"], entry.kind), "year of the paper"


def _title(document: Document, span: Span, paper: Paper, subjects: Subjects) -> Iterator[Claim]:
    """The title of another paper that a sentence gives as the one that presented the model."""
    as_it = lambda match: "it".ljust(len(match.group())) if subjects.is_own(match.group()) else match.group()  # noqa: E731
    sentence = vocabulary().model_names.sub(as_it, document.text[slice(*span)])
    match, right = _TITLE.search(sentence), folded(paper.title)
    if match is None or right in folded(sentence) or len(match["title"].split()) < 3:
        return
    before, after = sentence[: match.start()], sentence[match.end() :]
    is_meant = paper.is_cited_before(before) or _PRESENTED.search(before) or _PRESENTS.match(after)
    if is_meant and SequenceMatcher(None, folded(match["title"]), right).ratio() <= 0.8:
        at = span[0] + match.start("title"), span[0] + match.end("title")
        about, said = (document, at, "title", Verdict.CONTRADICTED, paper.view), match["title"]
        yield claim_at(*about, text=said, correct=paper.title, whole=span)


def _beside_title(document: Document, span: Span, paper: Paper, knowledge: Knowledge) -> Iterator[Claim]:
    """The one number of arXiv, and the one venue, that a sentence with the paper's title gives and that is not the paper's."""
    text, venues = document.text[slice(*span)], vocabulary().get("venue")
    if folded(paper.title) not in folded(text):
        return
    arxiv = [(match, match.group()) for match in ARXIV.finditer(text)]
    venue = [(match, venues.canonical(match.group())) for match in venues.names_pattern.finditer(text)]
    for about, key, found in (
        ("arXiv number", "documented.model.arxiv", arxiv),
        (venues.name, "documented.model.venue", venue),
    ):
        view = knowledge.find(key)
        if view is None or len(found) != 1:
            continue
        (match, stated), right = found[0], str(view.value)
        if stated not in (right, *venues.names_in(right)):
            at = span[0] + match.start(), span[0] + match.end()
            yield claim_at(document, at, about, Verdict.CONTRADICTED, view, correct=right, whole=span)


def _table(document: Document, span: Span, paper: Paper, subjects: Subjects) -> Iterator[Claim]:
    """The table that a sentence gives for what the paper has in others: results on some data, or of another network."""
    text, names = document.text[slice(*span)], vocabulary().model_names
    stated = _TABLE.search(text) if _RESULTS.match(text) else None
    rivals = {re.split(r"[\W\d_]", name)[0] for name in names.findall(text) if not subjects.is_own(name)}
    if stated is None or len(rivals) > 1:
        return
    data = {name.casefold().partition("-matched")[0] for name, *_ in facets()["dataset"].read(text)} - {"imagenet-val"}
    known = [
        (source.place or "", View(fact.evidence, fact))
        for fact in subjects.knowledge.facts.facts
        if fact.evidence.name.subject.partition(".")[0] in data or any(rival in (fact.says or "") for rival in rivals)
        for source in (fact.evidence.source, *fact.also)
        if source and source.title == paper.title and _TABLE.search(source.place or "")
    ]
    right = {number for place, _ in known for match in _TABLE.finditer(place) for number in match.groups()}
    if known and not {*stated.groups()} <= {*right, None}:
        (place, view), at = known[0], (span[0] + stated.start(), span[0] + stated.end())
        yield claim_at(document, at, "table of the paper", Verdict.CONTRADICTED, view, correct=place, whole=span)
