"""What `CITATION.cff` says of who made a model and how it is cited: as BibTeX and as a line of text."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from harness.facts.collecting import FactSource
from harness.facts.fields import fields_of

_KINDS = {
    "article": "article",
    "conference-paper": "inproceedings",
    "thesis": "phdthesis",
    "book": "book",
    "report": "techreport",
}
"""BibTeX's names of the types that the format knows; anything else is `misc`."""
_SOFTWARE = "Computer software"


def read_citation(source: FactSource, data: Mapping[str, Any]) -> None:
    """From a citation file: the entry that its authors ask to be cited, the authors, licence, version and address."""
    source.take(fields_of("citation"), data)
    people = _names(data.get("authors"))
    if people:
        source.add("documented.model.developers", [_full(person) for person in people], "authors")
    places = [data.get("contact"), data.get("authors")]
    addresses = [
        person["email"] for listed in places for person in _people(listed) if isinstance(person.get("email"), str)
    ]
    if addresses:
        source.add("documented.model.contact", addresses[0], "contact" if _people(data.get("contact")) else "authors")
    preferred = data.get("preferred-citation")
    cited = preferred if isinstance(preferred, dict) else data
    where = "preferred-citation" if cited is preferred else None
    title, authors = cited.get("title"), _names(cited.get("authors"))
    if not isinstance(title, str) or not authors:
        return
    year = _year(cited)
    source.add("documented.citation.bibtex", _bibtex(cited, title, authors, year), where)
    source.add("documented.citation.apa", _line(cited, title, authors, year), where)
    if cited is preferred and cited.get("type") in _KINDS:
        source.add("documented.model.title", title, "preferred-citation, title")
        if isinstance(cited.get("doi"), str):
            source.add("documented.model.paper", f"https://doi.org/{cited['doi']}", "preferred-citation, doi")


def _people(listed: Any) -> list[dict[str, Any]]:
    return [person for person in listed if isinstance(person, dict)] if isinstance(listed, list) else []


def _names(listed: Any) -> list[tuple[str, str]]:
    """Family and given names; of an organisation its name alone."""
    found = []
    for person in _people(listed):
        family = " ".join(str(person[part]) for part in ("name-particle", "family-names") if person.get(part))
        given = str(person.get("given-names") or "")
        whole = person.get("name") or person.get("alias") or ""
        found.append((family, given) if family else (str(whole), ""))
    return [name for name in found if name[0]]


def _full(name: tuple[str, str]) -> str:
    return " ".join(filter(None, reversed(name)))


def _year(cited: Mapping[str, Any]) -> str:
    told = cited.get("year") or cited.get("date-released") or cited.get("date-published")
    return str(told.year) if isinstance(told, date) else str(told or "")[:4]


def _address(cited: Mapping[str, Any]) -> str:
    doi = f"https://doi.org/{cited['doi']}" if cited.get("doi") else ""
    return doi or str(cited.get("url") or cited.get("repository-code") or cited.get("repository") or "")


def _bibtex(cited: Mapping[str, Any], title: str, authors: Sequence[tuple[str, str]], year: str) -> str:
    def plain(text: str) -> str:
        return re.sub(r"[^a-z0-9]", "", unicodedata.normalize("NFKD", text.casefold()))

    first = next((word for word in map(plain, title.split()) if len(word) > 3), "")
    fields = {
        "author": " and ".join(", ".join(filter(None, name)) if name[1] else f"{{{name[0]}}}" for name in authors),
        "title": f"{{{title}}}",
        "journal": cited.get("journal"),
        "booktitle": _of(cited.get("collection-title") or cited.get("conference")),
        "volume": cited.get("volume"),
        "publisher": _of(cited.get("publisher")),
        "version": cited.get("version"),
        "year": year,
        "doi": cited.get("doi"),
        "url": cited.get("url") or cited.get("repository-code"),
    }
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
    kind = _KINDS.get(str(cited.get("type")), "misc")
    return "\n".join([f"@{kind}{{{plain(authors[0][0])}{year}{first},", *lines, "}"])


def _of(named: Any) -> Any:
    return named.get("name") if isinstance(named, dict) else named


def _line(cited: Mapping[str, Any], title: str, authors: Sequence[tuple[str, str]], year: str) -> str:
    """A reference in the form of the American Psychological Association."""
    people = [
        f"{family}, {' '.join(f'{name[0]}.' for name in given.split())}" if given else family
        for family, given in authors
    ]
    who = f"{', '.join(people[:-1])}, & {people[-1]}" if people[1:] else people[0]
    version = f" (Version {cited['version']})" if cited.get("version") else ""
    kind = f" [{_SOFTWARE}]" if cited.get("type") in (None, "software") else ""
    journal = cited.get("journal")
    parts = [
        f"{who}{'' if who.endswith('.') else '.'} ({year or 'n.d.'})",
        f"{title}{version}{kind}",
        journal,
        _address(cited),
    ]
    return ". ".join(str(part) for part in parts if part)
