"""The numbers that a card about a model may hold where it names its evidence: those of its ledger, its documented facts
and the answer templates themselves, in every form that answers show them in."""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass

from harness.cards.document import Document
from harness.cards.knowledge import knowledge_of
from harness.cards.markdown import compact_number
from harness.cards.sentences import sentences
from harness.cards.views import View
from harness.evidence import Evidence, Ledger, show_interval
from harness.facts import Fact
from harness.files import shipped_folder

_TOKEN = re.compile(r"\d[\d,]*(?:\.\d+)?")
_NAMED_EVIDENCE = re.compile(r"(?:\(|; )(?:measured|documented|derived|estimated)\b")
_SILENT = re.compile(r"(?<=\]\()[^()\s]*|<https?://[^<>\s]*>|https?://[^\s)>]*|`[^`\n]*`")
"""Addresses and code: their digits state nothing."""
_MINIMUM_LIKENESS = 0.5


@dataclass(frozen=True)
class KnownNumbers:
    """What a model's evidence knows of numbers."""

    keys: dict[str, str]
    """Evidence key by number."""
    before: dict[str, set[str]]
    """Numbers by the word that follows them."""
    wording: frozenset[str]
    """Numbers that names and the wording of answers hold."""

    def holds(self, stated: str) -> bool:
        """Whether some evidence, or the wording of an answer, holds this number."""
        number = _plain(stated)
        return number in self.keys or number in self.wording

    def nearest(self, stated: str, word: str) -> tuple[str, str] | None:
        """The known number most like a stated one, and its evidence key; None where nothing is like it.

        Args:
            word: what follows it in the card: numbers that are followed by the same word come first.
        """
        for numbers in (self.before.get(word, ()), self.keys):
            if found := difflib.get_close_matches(_plain(stated), numbers, n=1, cutoff=_MINIMUM_LIKENESS):
                return found[0], self.keys[found[0]]
        return None


def known_numbers(model: str, ledger: Ledger | None) -> KnownNumbers:
    """The numbers of a model's ledger and documented facts."""
    knowledge = knowledge_of(model, ledger)
    texts = [(item.key, _shown(item)) for item in ledger or ()]
    texts += [(fact.key, _said(fact)) for fact in (knowledge.facts.facts if knowledge.facts else ())]
    names = f"{knowledge.model} {knowledge.name} {knowledge.hub_id}"
    known = KnownNumbers({}, {}, _template_numbers() | _numbers(names))
    for key, text in texts:
        for match in _TOKEN.finditer(text):
            number = _plain(match.group())
            known.keys.setdefault(number, key)
            known.before.setdefault(_word_after(text, match.end()), set()).add(number)
    return known


def stated_numbers(document: Document) -> Iterator[tuple[int, str, str]]:
    """Offset and text of each number in the sentences of a card that name the class of their evidence, and the word
    after it."""
    for block in document.blocks:
        if block.kind not in ("paragraph", "cell"):
            continue
        for start, end in sentences(document.text, block.start, block.end):
            sentence = document.text[start:end]
            if not _NAMED_EVIDENCE.search(sentence):
                continue
            silenced = _SILENT.sub(lambda match: " " * len(match.group()), sentence)
            for match in _TOKEN.finditer(silenced):
                yield start + match.start(), match.group().rstrip(","), _word_after(sentence, match.end())


def _plain(number: str) -> str:
    return number.replace(",", "")


def _numbers(text: str) -> set[str]:
    return {_plain(match.group()) for match in _TOKEN.finditer(text)}


def _word_after(text: str, place: int) -> str:
    match = re.compile(r"[\s-]*([A-Za-z%]+)").match(text, place)
    return match[1].lower() if match else ""


def _shown(item: Evidence) -> str:
    """A piece of evidence in all forms that an answer may show it in."""
    view = View(item)
    parts = [view.measured, view.conditions, view.reason, show_interval(item), item.key]
    if item.is_number:
        parts += [view.number, view.interval, compact_number(view.value), f"{view.value / 1e6:,.1f}"]
    return " ".join([*parts, str(item.value)])


def _said(fact: Fact) -> str:
    """A documented fact with everything that is said beside it."""
    conflicts = " ".join(f"{other.says} {other.source.title} {other.source.place}" for other in fact.conflicts)
    source = fact.evidence.source
    places = " ".join(f"{found.title} {found.place}" for found in (source, *fact.also) if found)
    checkpoint = f"{fact.checkpoint.name} {fact.checkpoint.label} {fact.checkpoint.condition}"
    words = f"{fact.says} {fact.note} {' '.join(fact.looked_in)} {fact.setting}"
    return " ".join([_shown(fact.evidence), words, conflicts, places, checkpoint])


@functools.cache
def _template_numbers() -> frozenset[str]:
    folder = shipped_folder("templates")
    texts = [path.read_text("utf-8") for path in sorted((folder / "answers").glob("*.j2"))]
    return frozenset(_numbers(" ".join([*texts, (folder / "questions.yaml").read_text("utf-8")])))
