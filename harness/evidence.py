"""Evidence: one value with everything a reader needs to believe or doubt it; and the ledger that holds a model's.

Every number that leaves the program is an `Evidence`. Its class says what kind of answer it is; validation makes
the dishonest combinations impossible: a measured number without its sample count, an estimate without an interval,
an unknown without a reason. On disk a ledger is `evidence.json` (schema 1, see `Ledger.json_schema`).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from harness.errors import HarnessError
from harness.files import write_text

LEDGER_SCHEMA: Literal[1] = 1

_KEY = re.compile(
    r"[a-z0-9][a-z0-9._-]*?"  # benchmark, or a family such as compute, energy, documented
    r"(/[A-Za-z0-9_.+-]+)*"  # condition: corruption, severity
    r"(@[A-Za-z0-9_.+-]+(/[A-Za-z0-9_.+ -]+)*)?"  # slice
    r"\.[a-z0-9-]+"  # metric
    r"(:[A-Za-z0-9_.+-]+)?"  # variant
)


def benchmark_of(key: str) -> str:
    """The benchmark (or family, such as compute) that an evidence key is about: what stands before `/`, `@` and the
    metric. A benchmark's own name may hold a dot."""
    return re.split(r"[/@]|\.(?=[^.]*$)", key, maxsplit=1)[0]


class EvidenceClass(StrEnum):
    """What kind of answer a value is (design: evidence classes)."""

    MEASURED = "measured"
    DERIVED = "derived"
    DOCUMENTED = "documented"
    ESTIMATED = "estimated"
    NOT_APPLICABLE = "not-applicable"
    UNDISCLOSED = "undisclosed"
    PENDING = "pending"

    @property
    def has_value(self) -> bool:
        """Whether evidence of this class carries a value; the others carry a reason instead."""
        return self in (self.MEASURED, self.DERIVED, self.DOCUMENTED, self.ESTIMATED)


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Interval(_Record):
    """An interval around a value, in the value's own unit."""

    low: float
    high: float
    level: float = Field(default=0.95, gt=0, lt=1)
    """Confidence level as a fraction."""
    method: str
    """How it was made, e.g. "Wilson", "bootstrap percentile, 1000 resamples, seed 0"."""

    @model_validator(mode="after")
    def _ordered(self) -> Interval:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low <= self.high):
            raise ValueError(f"an interval needs finite low <= high, got {self.low} and {self.high}")
        return self


class Fingerprints(_Record):
    """What the value was computed from. None where that input played no part."""

    weights: str | None = None
    """SHA-256 over the tensors (names, dtypes, shapes, bytes)."""
    data: str | None = None
    """SHA-256 over the samples used (ids, labels, content)."""
    annotations: str | None = None
    """SHA-256 of the annotations that sort samples into slices."""
    code: str | None = None
    """Version of harness and of the protocol that made the value."""


class Source(_Record):
    """Where a documented value was read."""

    title: str
    url: str | None = None
    place: str | None = None
    """Section, table, or file and line."""
    read: str | None = None
    """Date the source was read, ISO 8601."""
    checkpoint: str | None = None
    """The exact checkpoint the source speaks about, where that is not this model."""


Scalar = bool | int | float | str


def _is_finite(value: Any) -> bool:
    """Whether every number in `value`, at any depth, is finite: JSON knows no other."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(_is_finite(part) for part in value.values())
    return not isinstance(value, list) or all(_is_finite(part) for part in value)


class Evidence(_Record):
    """One value, or the honest absence of one."""

    key: str
    """`<benchmark>[/<condition>][@<slice>].<metric>[:<variant>]`."""
    class_: EvidenceClass = Field(alias="class")
    value: Scalar | list[Any] | dict[str, Any] | None = None
    """Fractions that readers know as percentages are stored in percent, with unit "%"."""
    unit: str | None = None
    interval: Interval | None = None
    n: int | None = Field(default=None, ge=0)
    """Samples the value was computed from."""
    N: int | None = Field(default=None, ge=0)
    """Samples the published benchmark has; n < N is a partial result."""
    protocol: dict[str, Any] | None = None
    """What decides the value apart from weights and data: preprocessing, projection, precision, …"""
    fingerprints: Fingerprints = Fingerprints()
    source: Source | None = None
    reason: str | None = None
    """Why there is no value, or what a reader must know beside it."""
    command: str | None = None
    """The command that produces the value (again)."""
    created: str = Field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    @field_validator("key")
    @classmethod
    def _key_grammar(cls, key: str) -> str:
        if not _KEY.fullmatch(key):
            raise ValueError(f"'{key}' is not <benchmark>[/<condition>][@<slice>].<metric>[:<variant>]")
        return key

    @model_validator(mode="after")
    def _honest(self) -> Evidence:
        def fail(why: str) -> None:
            raise ValueError(f"{self.key} ({self.class_}): {why}")

        if not _is_finite(self.value):
            fail(f"value {self.value} is not finite; an unknown is None with a reason")
        if self.class_.has_value and self.value is None:
            fail("needs a value; an unknown is pending, undisclosed or not-applicable")
        if not self.class_.has_value and (self.value is not None or self.interval is not None):
            fail("carries a reason, not a value")
        if not self.class_.has_value and not self.reason:
            fail("needs a reason")
        if self.class_ is EvidenceClass.DOCUMENTED and self.source is None:
            fail("needs its source")
        is_number = isinstance(self.value, int | float) and not isinstance(self.value, bool)
        if self.class_ is EvidenceClass.ESTIMATED and is_number and self.interval is None:
            fail("needs an interval")
        if self.class_ is EvidenceClass.MEASURED:
            if self.n is None or self.protocol is None:
                fail("needs n and its protocol")
            if is_number and self.interval is None and not self.reason:
                fail("needs an interval, or a reason why there is none")
        return self

    @property
    def is_partial(self) -> bool:
        """Whether the value was computed on fewer samples than the benchmark has."""
        return self.n is not None and self.N is not None and self.n < self.N

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, every field present."""
        return self.model_dump(mode="json", by_alias=True)


class Ledger(BaseModel):
    """All the evidence of one model."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    schema_: Literal[1] = Field(default=LEDGER_SCHEMA, alias="schema")
    model: dict[str, Any]
    """Name, reference, weights fingerprint, label space, preprocessing."""
    environment: dict[str, Any] = Field(default_factory=dict)
    """Library versions, device, threads: what the run ran on."""
    evidence: list[Evidence] = Field(default_factory=list)

    @model_validator(mode="after")
    def _unique_keys(self) -> Ledger:
        seen: set[str] = set()
        for item in self.evidence:
            if item.key in seen:
                raise ValueError(f"two pieces of evidence are called {item.key}")
            seen.add(item.key)
        return self

    def __iter__(self) -> Iterator[Evidence]:  # type: ignore[override]
        return iter(self.evidence)

    def get(self, key: str) -> Evidence | None:
        """The evidence called `key`, or None."""
        return next((item for item in self.evidence if item.key == key), None)

    def add(self, items: Iterable[Evidence]) -> None:
        """Add evidence; a key that is there already keeps the better answer.

        A new value replaces an old one, except that a pending answer never replaces a value and a value on part
        of a benchmark never replaces one on more of it with the same weights.
        """
        by_key = {item.key: item for item in self.evidence}
        for item in items:
            old = by_key.get(item.key)
            if old is None or not _keeps(old, item):
                by_key[item.key] = item
        self.evidence = list(by_key.values())

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """The JSON schema of `evidence.json`."""
        return cls.model_json_schema(by_alias=True)

    def to_json(self) -> str:
        data = {
            "schema": self.schema_,
            "model": self.model,
            "environment": self.environment,
            "evidence": [item.to_dict() for item in self.evidence],
        }
        return json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    def save(self, path: Path) -> None:
        """Write atomically. Raises HarnessError on a full disk or a read-only place."""
        write_text(path, self.to_json())

    @classmethod
    def load(cls, path: Path) -> Ledger:
        """Read and validate `evidence.json`.

        Raises:
            HarnessError: missing, not JSON, or not a ledger; names the file and the first fault.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise HarnessError(
                f"Can't read the ledger {path}: {error.strerror}.", remedy="Give the path of an evidence.json."
            ) from error
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"]) or "the file as a whole"
            raise HarnessError(
                f"{path} is not a ledger (schema {LEDGER_SCHEMA}): {place}: {first['msg']}.",
                remedy="Make it again by repeating the run that wrote it.",
            ) from error


def _keeps(old: Evidence, new: Evidence) -> bool:
    """Whether `old` is the better answer to the same question."""
    if old.class_.has_value and not new.class_.has_value:
        return old.fingerprints.weights == new.fingerprints.weights or new.fingerprints.weights is None
    same_weights = old.fingerprints.weights == new.fingerprints.weights
    both_count = old.n is not None and new.n is not None
    return same_weights and both_count and new.class_ is old.class_ and (new.n or 0) < (old.n or 0)


# --- display: one place that decides how a number looks to a reader -----------------------------------------------


def decimals_for(half_width: float | None, unit: str | None) -> int:
    """Decimals worth showing: a tenth of the interval's half width, at most three, at least none for counts."""
    if half_width is None:
        return 2 if unit == "%" else 3
    if half_width <= 0:
        return 2
    return min(3, max(0, -math.floor(math.log10(half_width)) + 1))


def format_number(value: float, decimals: int) -> str:
    """A number with a thin-space-free thousands separator: 1,281,167 or 76.13."""
    return f"{value:,.{decimals}f}"


def _decimals(item: Evidence) -> int:
    """Decimals of an item's value and bounds alike; without an interval, of four digits as many as follow the point."""
    if item.interval is not None:
        return decimals_for((item.interval.high - item.interval.low) / 2, item.unit)
    most = decimals_for(None, item.unit)
    if item.unit == "%" or not isinstance(item.value, float) or not item.value:
        return most
    return max(0, min(most, 3 - math.floor(math.log10(abs(item.value)))))


def _format(value: float, decimals: int) -> str:
    """A number; one that would show as zero without being zero is shown by its significant digits."""
    return format_number(value, decimals) if round(value, decimals) or not value else f"{value:.2g}"


def show_number(item: Evidence) -> str:
    """The value without its unit, with as many decimals as its interval is worth; the class where there is none."""
    if item.value is None:
        return item.class_.value
    if isinstance(item.value, bool):
        return "yes" if item.value else "no"
    if isinstance(item.value, int):
        return format_number(item.value, 0)
    if isinstance(item.value, float):
        return _format(item.value, _decimals(item))
    if isinstance(item.value, list):
        return ", ".join(str(part) for part in item.value)
    if isinstance(item.value, dict):
        return ", ".join(f"{k} {v:,}" if isinstance(v, int) else f"{k} {v}" for k, v in item.value.items())
    return str(item.value)


def show_value(item: Evidence) -> str:
    """Value and unit, e.g. `76.13 %`; the class where there is no value."""
    number = show_number(item)
    return f"{number} {item.unit}" if item.unit and item.value is not None else number


def show_interval(item: Evidence) -> str:
    """The interval's bounds, e.g. `75.76–76.50`, or an em dash where there is none."""
    if item.interval is None:
        return "—"
    decimals = _decimals(item)
    return f"{_format(item.interval.low, decimals)}–{_format(item.interval.high, decimals)}"


def show_count(item: Evidence) -> str:
    """Sample count, with the benchmark's own where this is part of it: `20 of 50,000`."""
    if item.n is None:
        return "—"
    return f"{item.n:,} of {item.N:,}" if item.is_partial else f"{item.n:,}"


def show(item: Evidence) -> str:
    """Value, interval and count as one phrase for a sentence."""
    if item.value is None:
        return f"{item.class_.value}: {item.reason}"
    parts = []
    if item.interval is not None:
        parts.append(f"{item.interval.level:.0%} interval {show_interval(item)}".replace("%", " %", 1))
    if item.n is not None:
        parts.append(f"n = {show_count(item)}")
    return show_value(item) + (f" ({', '.join(parts)})" if parts else "")
