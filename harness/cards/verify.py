"""Verifying a card: every number in it against its ledger, and the ledger's numbers against each other.

A card that `harness render` wrote is rendered again from its ledger and compared line by line. A card that `harness fill`
wrote is compared number by number: each phrase like `71.11 % (95 % interval 70.71–71.51, n = 50,000)` must be word for
word what a piece of evidence says, and each sentence that names its source may hold no number that no evidence holds. With
the report of the fill, the card before it is put together again, filled again and compared to the byte.

All this needs the card and its ledger, nothing else. What could not be rechecked that way is said.
"""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cards.arithmetic import check_arithmetic
from harness.cards.document import Document, decode, encode
from harness.cards.fill import fill_card
from harness.cards.knowledge import knowledge_of
from harness.cards.markdown import compact_number
from harness.cards.record import ledger_digest, read_record, without_record
from harness.cards.render import render_card
from harness.cards.sentences import prose_sentences
from harness.cards.views import View
from harness.evidence import Evidence, EvidenceClass, Ledger, show_count, show_interval, show_number
from harness.facts.loader import Fact
from harness.files import shipped_folder

if TYPE_CHECKING:
    from harness.evaluation.recheck import Recheck

_MEASURED = re.compile(
    r"(?P<value>\d[\d,]*(?:\.\d+)?)(?: (?P<unit>%|[A-Za-zµ]+(?:/[A-Za-z0-9 ]+?)?))? "
    r"\((?:[\d.]+ % interval [^\s,()]+(?:, n = [\d,]+(?: of [\d,]+)?)?|n = [\d,]+(?: of [\d,]+)?)\)"
)
_NUMBER = re.compile(r"\d")
_TOKEN = re.compile(r"\d[\d,]*(?:\.\d+)?")
_NAMED_EVIDENCE = re.compile(r"(?:\(|; )(?:measured|documented|derived|estimated)\b")
_SILENT = re.compile(r"(?<=\]\()[^()\s]*|<https?://[^<>\s]*>|https?://[^\s)>]*|`[^`\n]*`")
"""Addresses and code: their digits state nothing."""


@dataclass(frozen=True)
class Finding:
    """One thing in a card or its ledger that is not as the evidence says."""

    line: int | None
    """In the card; None for a number of the ledger that the card does not show."""
    key: str | None
    """The evidence that it should say; None where no evidence is like it."""
    message: str


@dataclass
class Verification:
    """What came out of verifying a card."""

    findings: list[Finding]
    notes: list[str]
    """What could not be rechecked, and changes of wording."""
    checked: dict[str, int] = field(default_factory=dict)
    """How many numbers were rechecked, by how: `in the card`, `by arithmetic`, `from predictions`."""

    def with_recheck(self, again: Recheck) -> Verification:
        """With what came out of computing measured values again from stored predictions."""
        findings = [Finding(None, key, f"{key}: {message}") for key, message in again.differences.items()]
        checked = {"from predictions": len(again.same) + len(findings)}
        why = "Not recomputed, for lack of stored predictions or of a repeated run"
        notes = [f"{why}: {_listed(again.not_here)}."] if again.not_here else []
        return Verification(self.findings + findings, self.notes + notes, self.checked | checked)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return asdict(self)


def verify_card(
    text: bytes,
    *,
    ledger: Ledger | None,
    model: str | None = None,
    report: Mapping[str, Any] | None = None,
    template: Path | None = None,
) -> Verification:
    """What in a card differs from its evidence, in order of lines; no findings where nothing does.

    Args:
        text: the card.
        ledger: the evidence that it was made from; None for a card filled from documented facts alone.
        model: whose card it is, where the card's record does not say.
        report: what the fill that made it reported, where there is one.
        template: the template that the card was rendered with, if not the shipped one.

    Raises:
        HarnessError: the card's record is damaged, or the template is.
    """
    document = Document(decode(text))
    record = read_record(document.text)
    name = record.model if record else model or str((ledger.model if ledger else {}).get("name", ""))
    evidence = ledger if ledger is not None else Ledger(model={"name": name})
    findings: list[Finding] = []
    notes: list[str] = []
    checked = {}
    if record is not None and ledger is not None and record.sha256 != ledger_digest(ledger):
        what = "the card was made without a ledger, from documented facts alone"
        if record.sha256 is not None:
            what = f"this is not the ledger that the card was made from (SHA-256 {record.sha256[:16]}…)"
        findings.append(Finding(document.line_of(document.text.rfind("<!-- harness card")), None, what))
    if record is not None and record.made_by == "render" and ledger is not None:
        expected = render_card(ledger, template, sidecar=record.ledger).text
        changed, notes = _rendered_again(document, expected, evidence)
        findings += changed
        with_numbers = filter(_NUMBER.search, document.text.splitlines())
        checked["lines with numbers, rendered again"] = len(list(with_numbers))
    else:
        numbers = [*_measured_numbers(document, evidence), *_unknown_numbers(document, name, ledger)]
        findings += filter(None, numbers)
        checked["numbers in the card"] = len(numbers)
        if report is None:
            notes.append("The card was not filled again for comparison: that needs the fill's report (--report).")
        else:
            findings += _filled_again(document, name, ledger, report)
    arithmetic = check_arithmetic(evidence)
    for fault in arithmetic.faults:
        place = document.text.find(show_number(fault.item))
        line = document.line_of(place) if place >= 0 else None
        findings.append(Finding(line, fault.item.key, f"{fault.item.key}: {fault.message}"))
    checked["by arithmetic"] = len(arithmetic.checked)
    if arithmetic.unchecked:
        notes.append(f"Not rechecked by arithmetic: {_listed(arithmetic.unchecked)}.")
    first: dict[tuple[int | None, str | None], Finding] = {}  # of several about the same line and key
    for finding in findings:
        first.setdefault((finding.line, finding.key), finding)
    in_order = sorted(first.values(), key=lambda finding: (finding.line is None, finding.line or 0))
    return Verification(in_order, notes, checked)


# --- a rendered card ----------------------------------------------------------------------------------------------


def _rendered_again(document: Document, expected: str, ledger: Ledger) -> tuple[list[Finding], list[str]]:
    """Lines that differ: a finding where either of them holds a number, a note where only words do."""
    findings, notes = [], []
    stated = without_record(document.text).rstrip().splitlines()
    again = without_record(expected).rstrip().splitlines()
    matcher = difflib.SequenceMatcher(None, stated, again, autojunk=False)
    for tag, a, b, c, d in matcher.get_opcodes():
        if tag == "equal":
            continue
        for row, (said, meant) in enumerate(itertools.zip_longest(stated[a:b], again[c:d])):
            line = min(a + row + 1, max(len(stated), 1))
            if not _NUMBER.search((said or "") + (meant or "")):
                notes.append(f"line {line}: the wording was changed")
            elif meant is None:
                findings.append(Finding(line, None, f"a line that no evidence makes: {_short(said)}"))
            else:
                key = _key_in(said or "", meant, ledger)
                what = f"says {_short(said)}" if said is not None else "a line is missing"
                findings.append(Finding(line, key, f"{what}; the evidence says {_short(meant)}"))
    return findings, notes


def _short(line: str | None) -> str:
    flat = " ".join((line or "").split())
    return flat if len(flat) <= 160 else f"{flat[:159]}…"


def _key_in(said: str, meant: str, ledger: Ledger) -> str | None:
    """The evidence of which a number stands in the line as it should be, and not in the line as it is."""
    numbers = re.compile(r"[\d.,]*\d")
    gone = set(numbers.findall(meant)) - set(numbers.findall(said)) or set(numbers.findall(meant))
    best, found = 0, None
    for item in ledger:
        number, interval = show_number(item), show_interval(item)
        hits = sum(part in gone for part in (number, *numbers.findall(f"{interval} {show_count(item)}")))
        if hits:
            hits += 2 * (number in gone) + 3 * (number in meant and interval in meant and item.interval is not None)
        if hits > best:
            best, found = hits, item.key
    return found


# --- a filled card ------------------------------------------------------------------------------------------------


def _measured_numbers(document: Document, ledger: Ledger) -> Iterator[Finding | None]:
    """For each measured phrase None, or what is wrong with it."""
    measured = (EvidenceClass.MEASURED, EvidenceClass.ESTIMATED)
    phrases = {View(item).measured: item.key for item in ledger if item.class_ in measured}
    for match in _MEASURED.finditer(document.text):
        stated = match.group()
        if stated in phrases:
            yield None
            continue
        like = _likest(stated, phrases)
        what = f"; the evidence says {like}" if like else ", and no evidence is like it"
        yield Finding(document.line_of(match.start()), phrases[like] if like else None, f"says {stated}{what}")


def _likest(stated: str, known: Iterable[str]) -> str | None:
    return next(iter(difflib.get_close_matches(stated, list(known), n=1, cutoff=0.5)), None)


def _unknown_numbers(document: Document, name: str, ledger: Ledger | None) -> Iterator[Finding | None]:
    """For each number in a sentence that names its evidence None, or that no evidence holds it."""
    keys, before = _known_numbers(name, ledger)
    for offset, stated, word in _stated_numbers(document):
        number = stated.replace(",", "")
        if number in keys:
            yield None
            continue
        # Numbers that the same word follows come first.
        near = _likest(number, before.get(word, ())) or _likest(number, [known for known, key in keys.items() if key])
        key = keys[near] if near else None
        message = f"says {stated}, and no evidence says so" + (f"; {key} is {near}" if near else "")
        yield Finding(document.line_of(offset), key, message)


def _known_numbers(model: str, ledger: Ledger | None) -> tuple[dict[str, str | None], dict[str, set[str]]]:
    """The numbers that a card about a model may hold where it names its evidence, in every form that answers show them in:
    by number the evidence key, None where a name or the wording of answers holds it; and numbers by the word after them."""
    knowledge = knowledge_of(model, ledger)
    facts = knowledge.facts
    texts = [(item.key, _shown(item)) for item in knowledge.ledger]
    texts += [(fact.key, _said(fact)) for fact in facts.facts]
    keys: dict[str, str | None] = {}
    before: dict[str, set[str]] = {}
    for key, text in texts:
        for match in _TOKEN.finditer(text):
            number = match.group().replace(",", "")
            keys.setdefault(number, key)
            before.setdefault(_word_after(text, match.end()), set()).add(number)
    folder = shipped_folder("templates")
    templates = [path.read_text("utf-8") for path in (*(folder / "answers").glob("*.j2"), folder / "questions.yaml")]
    for text in (f"{facts.model} {facts.short_name} {facts.hub_id}", *templates):
        for number in _TOKEN.findall(text):
            keys.setdefault(number.replace(",", ""), None)
    return keys, before


def _stated_numbers(document: Document) -> Iterator[tuple[int, str, str]]:
    """Offset and text of each number in the sentences that name the class of their evidence, and the word after it."""
    for start, end in prose_sentences(document):
        sentence = document.text[start:end]
        if _NAMED_EVIDENCE.search(sentence):
            silenced = _SILENT.sub(lambda match: " " * len(match.group()), sentence)
            for match in _TOKEN.finditer(silenced):
                yield start + match.start(), match.group().rstrip(","), _word_after(sentence, match.end())


def _word_after(text: str, place: int) -> str:
    match = re.compile(r"[\s-]*([A-Za-z%]+)").match(text, place)
    return match[1].lower() if match else ""


def _shown(item: Evidence) -> str:
    view = View(item)
    parts = [view.measured, view.conditions, view.reason, show_interval(item), item.key]
    if item.is_number:
        parts += [view.number, view.interval, compact_number(view.value), f"{view.value / 1e6:,.1f}"]
    return " ".join([*parts, str(item.value)])


def _said(fact: Fact) -> str:
    words = [_shown(fact.evidence), fact.says, fact.note, *fact.looked_in, fact.setting]
    for other in fact.conflicts:
        words += [other.says, other.source.title, other.source.place]
    for source in (fact.evidence.source, *fact.also):
        words += [source.title, source.place] if source else []
    return " ".join(map(str, [*words, fact.checkpoint.name, fact.checkpoint.label, fact.checkpoint.condition]))


def _filled_again(
    document: Document, model: str, ledger: Ledger | None, report: Mapping[str, Any]
) -> Iterator[Finding]:
    """What a fill of the card as it was before makes different; or the answers that no longer stand."""
    before = _before_fill(document.text, report)
    if before is None:
        yield from _answers(document, report)
        return
    record = read_record(document.text)
    added = any(str(row["question"]).startswith("front matter:") for row in report["neighbours"])
    sidecar = record.ledger if record else None
    again = decode(fill_card(before, model=model, ledger=ledger, front_matter=added, sidecar=sidecar).text)
    stated, expected = document.text.splitlines(), again.splitlines()
    for tag, a, b, c, d in difflib.SequenceMatcher(None, stated, expected, autojunk=False).get_opcodes():
        if tag != "equal":
            said, meant = " ".join(stated[a:b]), " ".join(expected[c:d])
            evidence = ledger or Ledger(model={})
            message = f"says {_short(said)}; a fill from this ledger says {_short(meant)}"
            yield Finding(min(a + 1, len(stated)), _key_in(said, meant, evidence), message)


def _before_fill(text: str, report: Mapping[str, Any]) -> bytes | None:
    """The card as it was before the fill that wrote the report; None where an answer was edited since, or claims mended."""
    if report.get("claims"):
        return None
    data = encode(text)
    rows = [*report["markers"], *report["neighbours"]]
    before, position = b"", 0
    edits = {(row["span"]["start"], row["span"]["end"], row["old"].encode(), row["new"].encode()) for row in rows}
    for start, end, old, new in sorted(edits):
        place = position + start - len(before)
        if data[place : place + len(new)] != new or len(old) != end - start:
            return None
        before += data[position:place] + old
        position = place + len(new)
    return before + data[position:]


def _answers(document: Document, report: Mapping[str, Any]) -> Iterator[Finding]:
    position = 0
    rows = sorted(report["markers"], key=lambda row: row["span"]["start"])
    for (_, new), (row, *_) in itertools.groupby(rows, key=lambda row: (row["span"]["start"], row["new"])):
        # Several markers of one sentence share its text.
        found = document.text.find(new, position)
        if found >= 0:
            position = found + len(new)
            continue
        key = row["evidence"][0] if row["evidence"] else None
        yield Finding(document.line_of(position), key, f"the answer to '{row['question']}' is not as it was written")


def _listed(keys: list[str]) -> str:
    more = f" and {len(keys) - 5} more" if len(keys) > 5 else ""
    return ", ".join(keys[:5]) + more
