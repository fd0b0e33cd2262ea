"""Collecting facts from several sources of one model: one evidence a key, and beside it what another source says otherwise."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from harness.evidence import Evidence, EvidenceClass, EvidenceKey, Source
from harness.facts.fields import TYPES, Entry

SOURCES = ("weights", "config", "processor", "timm", "training", "recipe", "front-matter", "hub")
"""Variants of a key under which what another source says of the same thing is kept."""
MODEL_INDEX = "model-index"
"""Variant of values that a card's author publishes in its `model-index`."""
_MARKER = re.compile(r"more\s+information\s+needed", re.IGNORECASE)


@dataclass
class Collected:
    """What was read of a model."""

    note: Callable[[str], None]
    """Told what was left out and why."""
    items: dict[str, Evidence] = field(default_factory=dict)
    looked_in: list[str] = field(default_factory=list)
    """Names of the sources, in the order they were read."""

    def file(self, path: Path, variant: str, title: str, address: str | None) -> FactSource:
        """A file on this machine as a source.

        Args:
            variant: one of SOURCES.
            title: name of the model it belongs to.
            address: of the model's files elsewhere, ending in a slash; None where they are only here.
        """
        written = datetime.fromtimestamp(int(path.stat().st_mtime), UTC).isoformat(timespec="seconds")
        self.looked_in.append(f"the header of {path.name}" if variant == "weights" else path.name)
        return FactSource(self, variant, title, path.name, f"{address}{path.name}" if address else None, written)

    def other(self, variant: str, title: str, name: str | None, url: str | None = None) -> FactSource:
        """A source that is no file here: a card's text, the Hub, a library's own record."""
        self.looked_in.append(title)
        return FactSource(self, variant, title, name, url, date.today().isoformat())


@dataclass
class FactSource:
    """One source of facts while it is read."""

    collected: Collected
    variant: str
    title: str
    name: str | None
    """Of the file."""
    url: str | None
    created: str

    def add(self, key: str, value: Any, where: str | None, unit: str | None = None, **more: Any) -> None:
        """Keep a value. Where an earlier source has the key and says otherwise, it is kept as this source's variant.

        Args:
            where: the field, or fields, that say so.
            more: further fields of the evidence, if it isn't `documented` or has a protocol.
        """
        value = int(value) if isinstance(value, float) and value.is_integer() else value
        value = value[0] if isinstance(value, list) and len(value) == 1 else value
        earlier = self.collected.items.get(key)
        if earlier is not None and _is_same(earlier.value, value):
            return
        name = key if earlier is None else str(EvidenceKey.parse(key).with_variant(self.variant))
        place = ", ".join(filter(None, [self.name, where])) or None
        fields: dict[str, Any] = {"class_": EvidenceClass.DOCUMENTED, **more}
        fields["protocol"] = {"read_from": self.variant} | more.get("protocol", {})
        source = Source(title=self.title, url=self.url, place=place)
        item = Evidence(key=name, value=value, unit=unit, source=source, created=self.created, **fields)
        self.collected.items.setdefault(name, item)

    def take(self, entries: Iterable[Entry], data: Mapping[str, Any]) -> None:
        """Keep the fields of a table that the data has; a value that can't be is left out, with a note."""
        parts: dict[str, dict[str, str]] = {}
        for entry in entries:
            value = data.get(entry.name)
            if value in (None, "") or is_marker(value) or entry.is_moot(data):
                continue
            try:
                value = TypeAdapter(TYPES[entry.type]).validate_python(value)
            except ValidationError as error:
                said = repr(value) if len(repr(value)) <= 60 else f"{repr(value)[:57]}…"
                self.leave_out(f"{entry.name} is {said} ({error.errors()[0]['msg']})")
                continue
            shown = entry.shown(value)
            is_known = entry.fallback and entry.key in self.collected.items
            if entry.key and shown is not None and not is_known and not (entry.key in entry.parts and value):
                self.add(entry.key, shown, entry.name, entry.unit)
            for key, says in entry.parts.items() if value else ():
                said = says.format(shown if isinstance(shown, str) else value, raw=value)
                parts.setdefault(key, {})[entry.name] = said
        for key, adds in parts.items():
            told = re.sub(r"; (?=\()", " ", "; ".join(adds.values())).replace(") (", ", ")  # of the part before
            self.add(key, words(told.split("; ")), words(adds))

    def add_result(
        self,
        subject: str,
        value: Any,
        where: str,
        *,
        split: str | None,
        average: str = "",
        unit: str | None = None,
        protocol: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> None:
        """Keep a result of a part of the data; results of other parts, or averaged otherwise, are kept beside it as variants.

        Args:
            subject: what it is, `evaluation.accuracy`.
            split: what the source calls the part; None where it doesn't say.
            average: how classes are averaged, where the source says it.
            more: as of `add`.
        """
        kind = {"split": split, "average": average}
        held = [item for item in self.collected.items.values() if item.name.subject == subject and item.protocol]
        key = f"documented.{subject}"
        same = next((item.key for item in held if item.protocol and kind.items() <= item.protocol.items()), None)
        if held and same is None:
            key = f"{key}:{'+'.join(re.sub('[^A-Za-z0-9_.-]+', '-', told) for told in (split, average) if told) or 'unnamed'}"
        self.add(same or key, value, where, unit, protocol=dict(protocol or {}) | kind, **more)

    def leave_out(self, why: str) -> None:
        """Note what was left out."""
        self.collected.note(f"Left out of {' '.join(filter(None, [self.title, self.name]))}: {why}.")


def _is_same(earlier: Any, value: Any) -> bool:
    """Whether two sources say the same: `MIT` is `mit`, a number is one that it is rounded to, a name one of a list's."""
    if isinstance(earlier, str):
        return earlier.casefold() in [str(part).casefold() for part in (value if isinstance(value, list) else [value])]
    are_numbers = all(isinstance(number, int | float) and not isinstance(number, bool) for number in (earlier, value))
    if are_numbers and earlier != value:
        least = min(len(f"{number}".partition(".")[2]) for number in (earlier, value))
        return least > 2 and round(earlier, least) == round(value, least)
    return bool(earlier == value)


def is_marker(value: Any) -> bool:
    """Whether a value, at any depth, says that it is still to be filled in."""
    return _MARKER.search(json.dumps(value, default=str)) is not None


def words(parts: Iterable[Any]) -> str:
    """`3, 4 and 6`."""
    said = [f"{part:,}" if isinstance(part, int) else str(part) for part in parts]
    return " and ".join(filter(None, [", ".join(said[:-1]), said[-1]]))
