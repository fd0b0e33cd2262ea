"""One piece of evidence in the words of a card: value, interval, checkpoint and source.

Text from a ledger is data: it is escaped.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from harness.cards.markdown import enumerate_words, escape_markdown
from harness.cards.references import References, place_name
from harness.evidence import (
    Evidence,
    EvidenceClass,
    EvidenceKey,
    Source,
    round_to_interval,
    show_basis,
    show_number,
    show_value,
)
from harness.facts.loader import Conflict, Fact, Relation

_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class View:
    """One piece of evidence, ready for a sentence."""

    evidence: Evidence
    fact: Fact | None = None
    confirmed: bool = False
    """For a fact about a probable origin: the weights were found to be that checkpoint."""
    rivals: tuple[Evidence, ...] = ()
    """What other files of the model say of the same thing."""

    @property
    def key(self) -> str:
        return self.evidence.key

    @property
    def name(self) -> EvidenceKey:
        return self.evidence.name

    @property
    def class_(self) -> EvidenceClass:
        return self.evidence.class_

    @property
    def value(self) -> Any:
        return self.evidence.value

    @property
    def text(self) -> str:
        """The value as a phrase."""
        if self.fact:
            return self.fact.says or self.shown
        return f"{escape_markdown(self.measured)} {self.conditions}".rstrip()

    @property
    def linked(self) -> str:
        """The value as a phrase; a data set or model of the Hub as a link to its card."""
        folder = {"data.training": "datasets/", "data.finetuning": "datasets/", "model.finetuned-from": ""}
        value = str(self.value)
        if self.fact or self.name.subject not in folder or not re.fullmatch(r"[\w.-]+/[\w.-]+|[a-z0-9][\w.-]*", value):
            return self.text
        is_on_hub = "/" in value
        return (
            f"[{self.text}](https://huggingface.co/{folder[self.name.subject]}{value})" if is_on_hub else f"`{value}`"
        )

    @property
    def shown(self) -> str:
        """Value and unit."""
        value, unit = self.value, self.evidence.unit
        if self.class_ is EvidenceClass.DOCUMENTED and isinstance(value, float):  # stated, not measured
            unit = None if self.name.metric == "mce" else unit  # as it is printed
            if unit == "hours" and value < 1:
                return f"{value:.2g} hours ({3600 * value:,.0f} seconds)"
            return f"{plain_number(value)} {unit or ''}".rstrip()
        if isinstance(value, list) and all(isinstance(name, str) for name in value):
            return enumerate_words(value)
        return show_value(self.evidence).replace(" parameters parameters", " parameters")

    @property
    def number(self) -> str:
        """The value alone, as published; `text` adds interval and count to a measured one."""
        if isinstance(self.value, float) and 0 < abs(self.value) < 1e-3:
            digits, _, power = f"{self.value:e}".partition("e")
            digits = f"{float(digits):g}"
            return ("" if digits == "1" else f"{digits} × ") + f"10{str(int(power)).translate(_SUPERSCRIPT)}"
        return show_number(self.evidence) if isinstance(self.value, int) else f"{self.value:g}"

    @property
    def measured(self) -> str:
        """Value with interval and sample count, for a measured or estimated number."""
        return self.shown + show_basis(self.evidence)

    @property
    def conditions(self) -> str:
        """For a measured speed: hardware, batch, precision, layout, library, and what a call consists of."""
        protocol = self.evidence.protocol or {}
        hardware = protocol.get("hardware")
        if not self.is_measured or not isinstance(hardware, dict):
            return ""
        device = hardware.get("gpu") or hardware.get("cpu")
        threads = hardware.get("threads") if not hardware.get("gpu") else None
        torch = (hardware.get("libraries") or {}).get("torch")
        parts = [
            f"on {device}" if device else None,
            f"{threads} threads" if threads else None,
            f"batch {protocol['batch']}" if "batch" in protocol else None,
            protocol.get("precision"),
            str(protocol["layout"]).replace("_", " ") if "layout" in protocol else None,
            f"PyTorch {torch}" if torch else None,
            protocol.get("steps"),
        ]
        return escape_markdown(", ".join(str(part) for part in parts if part))

    @property
    def is_measured(self) -> bool:
        return self.class_ is EvidenceClass.MEASURED

    @property
    def interval(self) -> str:
        """The interval as words, without digits that it doesn't support: `1.2 to 50`; the value where there is none."""
        interval = self.evidence.interval
        if interval is None:
            return self.number
        low, high = (round_to_interval(bound, self.evidence) for bound in (interval.low, interval.high))
        return f"{low:,.6g} to {high:,.6g}"

    @property
    def central(self) -> str:
        """The value of an estimate with two digits: its interval supports no more."""
        return f"{float(f'{float(self.value):.2g}'):,g}"

    @property
    def slice(self) -> str:
        """What a slice is called, or a condition in words: `dog`, `gaussian noise`."""
        named = (self.evidence.protocol or {}).get("group")
        return escape_markdown(str(named or str(self.name.group or self.name.condition).replace("_", " ")))

    @property
    def no_difference(self) -> str | None:
        """That a slicing's groups don't differ detectably, where this is the spread between them and says so."""
        protocol = self.evidence.protocol or {}
        if protocol.get("detectable", True):
            return None
        return f"no detectable difference (smallest detectable here: {protocol['smallest_detectable']:.1f} points)"

    @property
    def sources(self) -> tuple[Source | None, ...]:
        """All places that say so, the value's own first."""
        return (self.evidence.source, *(self.fact.also if self.fact else ()))

    @property
    def reason(self) -> str:
        """Why there is no value."""
        reason = self.evidence.reason or ""
        return (reason if self.fact else escape_markdown(reason)).rstrip(".")

    @property
    def note(self) -> str:
        return self.fact.note or "" if self.fact else self.reason

    @property
    def looked_in(self) -> str:
        """Where was looked, as an enumeration."""
        return enumerate_words(self.fact.looked_in) if self.fact else ""

    @property
    def conflicts(self) -> tuple[Conflict, ...]:
        """Other values that other sources give."""
        named = [(item, item.source) for item in self.rivals if item.source is not None]
        read = [
            Conflict(
                value=shown,
                says=f"{escape_markdown(place_name(source.title, source.place))} says {shown}",
                source=source,
            )
            for item, source in named
            for shown in (escape_markdown(show_value(item)),)
        ]
        return (*(self.fact.conflicts if self.fact else ()), *read)

    @property
    def label(self) -> str:
        """The checkpoint that the value is for, where it is not simply this one."""
        return self.fact.checkpoint.label or "" if self.fact else ""

    @property
    def built_on_it(self) -> str:
        """What was built on this checkpoint, where the value is for that; empty otherwise."""
        is_built = self.fact is not None and self.fact.checkpoint.relation is Relation.DOWNSTREAM
        return self.label if is_built and "fine-tuned from" in self.label else ""

    @property
    def about(self) -> str:
        """` for …`: the exact checkpoint with what the answer hangs on; empty for this checkpoint."""
        if not self.label or self.fact is None:
            return ""
        condition = "which this checkpoint was found to hold" if self.confirmed else self.fact.checkpoint.condition
        return f" for {self.label}" + (f", {condition}" if condition else "")


def plain_number(value: float) -> str:
    """A number with the digits that logs and cards have, four behind the point; of small ones four that count."""
    return f"{value:.4g}" if abs(value) < 0.1 else f"{value:,.4f}".rstrip("0").rstrip(".")


DERIVED = "Calculated from the source cited beside it"


def marks(references: References, *views: View | None) -> str:
    """What kind of values these are and where they stand, in few signs: `[3]` with a note for another checkpoint's, or
    `(measured)` and the like where no source is named."""
    given = [view for view in views if view is not None]
    words = dict.fromkeys(_class_words(view) for view in given if not any(view.sources))
    caveats = dict.fromkeys(
        caveat(view)
        for view in given
        if any(view.sources) and (view.about or view.class_ is not EvidenceClass.DOCUMENTED)
    )
    cited = references.cite(*(source for view in given for source in view.sources))
    found = cited + "".join(map(references.note, caveats))
    return " ".join(filter(None, [f"({'; '.join(words)})" if words else "", found]))


def caveat(view: View) -> str:
    """The sentence that says of which class a value is, and for which exact checkpoint."""
    words = DERIVED if view.class_ is EvidenceClass.DERIVED else _class_words(view).capitalize()
    return f"{words}{view.about}."


def _class_words(view: View) -> str:
    if view.class_ is EvidenceClass.DERIVED and view.fact is None:
        weights = str((view.evidence.protocol or {}).get("weights", ""))
        return "derived from the architecture" if weights.startswith("random") else "derived from the checkpoint"
    return "measured here" if view.is_measured else view.class_.value
