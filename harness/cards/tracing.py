"""Which evidence a card's words were written from: a ledger whose values leave a private character behind them in any text
that they are written into.

A card is written a second time from such a ledger. Taken out again, the characters show where each value ended up, whatever
template wrote it and whatever the value was divided by before. A line that comes out otherwise than without them has none.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

from harness.cards.alignment import equal_runs
from harness.evidence import Evidence, Ledger
from harness.facts.loader import Fact, ModelFacts

_FIRST = 0xF0000
_MOST = 0x10FFFF - _FIRST - 1
"""Private characters: what is written after them shows no more where it came from."""
_PRIVATE = re.compile("[\U000f0000-\U0010ffff]")


@dataclass(frozen=True)
class Mark:
    """Where a value of some evidence was written."""

    start: int
    end: int
    key: str


class _Traced:
    """A value that shows in text where it came from."""

    written: Callable[[str], str]

    @classmethod
    def of(cls, value: Any, written: Callable[[str], str]) -> Self:
        made = cls(value)  # type: ignore[call-arg]
        made.written = written
        return made

    def __format__(self, spec: str) -> str:
        return self.written(super().__format__(spec))

    def __str__(self) -> str:
        return self.written(super().__str__())

    def __reduce__(self) -> Any:
        return type(self).of, (super().__str__(), self.written)


class _Int(_Traced, int):
    def __truediv__(self, other: float) -> float:
        return _Float.of(int(self) / other, self.written)


class _Float(_Traced, float):
    def __truediv__(self, other: float) -> float:
        return _Float.of(float(self) / other, self.written)

    def __mul__(self, other: float) -> float:
        return _Float.of(float(self) * other, self.written)

    def __rsub__(self, other: float) -> float:
        return _Float.of(other - float(self), self.written)


class _Str(_Traced, str):
    pass


class TracedLedger(Ledger):
    """A ledger of which every value is traced."""

    _trace: Trace

    def trace_facts(self, facts: ModelFacts) -> ModelFacts:
        """Documented facts, traced likewise."""
        traced = {name: tuple(map(self._trace.fact, getattr(facts, name))) for name in ("facts", "family")}
        return facts.model_copy(update=traced)


@dataclass
class Trace:
    """What was written from where."""

    written: list[tuple[str, int]] = field(default_factory=list)
    """Evidence key and length of each text, by the number of its private character."""

    def ledger(self, ledger: Ledger) -> TracedLedger:
        """The ledger with its values traced."""
        traced = TracedLedger(**{name: getattr(ledger, name) for name in Ledger.model_fields})
        traced._trace = self
        traced.evidence = [self._evidence(item) for item in ledger]
        return traced

    def fact(self, fact: Fact) -> Fact:
        """A fact with its value and its words traced."""
        words = {
            "evidence": self._evidence(fact.evidence),
            "says": fact.says and self._ending(fact.key, fact.says),
            "note": fact.note and self._ending(fact.key, fact.note),
            "looked_in": tuple(self._ending(fact.key, place) for place in fact.looked_in),
        }
        return fact.model_copy(update=words)

    def marks(self, traced: str, text: str) -> list[Mark]:
        """Where in `text` what was written, from the same text with private characters in it."""
        runs, found = equal_runs(_PRIVATE.sub("", traced), text), []
        for place, match in enumerate(_PRIVATE.finditer(traced)):
            key, length = self.written[ord(match.group()) - _FIRST]
            end = match.start() - place
            start = max(traced.rfind("\n", 0, match.start()) + 1 - place, end - length)
            index = bisect.bisect_left(runs, end, key=lambda run: run[0] + run[2])
            if index < len(runs) and runs[index][0] <= start:
                moved = runs[index][1] - runs[index][0]
                found.append(Mark(start + moved, end + moved, key))
        return found

    def _sign(self, key: str, length: int) -> str:
        if len(self.written) > _MOST:
            return ""
        self.written.append((key, length))
        return chr(_FIRST + len(self.written) - 1)

    def _ending(self, key: str, text: str) -> str:
        """A text with its sign at the end, before its punctuation."""
        words = text.rstrip(" .;,")
        return f"{words}{self._sign(key, len(words))}{text[len(words) :]}"

    def _evidence(self, item: Evidence) -> Evidence:
        def written(text: str) -> str:
            return text + self._sign(item.key, len(text))

        def traced(value: Any) -> Any:
            match value:
                case bool() | None:
                    return value
                case int():
                    return _Int.of(value, written)
                case float():
                    return _Float.of(value, written)
                case str():
                    return _Str.of(value, written)
                case list():
                    return [traced(part) for part in value]
                case dict():
                    return {name: traced(part) for name, part in value.items()}
            return value

        interval = item.interval
        if interval is not None:
            interval = interval.model_copy(update={name: traced(getattr(interval, name)) for name in ("low", "high")})
        values = {name: traced(getattr(item, name)) for name in ("value", "n", "N", "reason")}
        return item.model_copy(update={**values, "interval": interval})
