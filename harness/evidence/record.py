"""Evidence: one value with everything a reader needs to believe or doubt it.

Every number that leaves the program is an `Evidence`. Its class says what kind of answer it is; validation makes
the dishonest combinations impossible: a measured number without its sample count, an estimate without an interval,
an unknown without a reason.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from harness import __version__
from harness.evidence.key import EvidenceKey

CODE = f"harness {__version__}"
"""What evidence says of the code that made it."""


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
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, use_attribute_docstrings=True)


class Interval(_Record):
    """An interval around a value, in the value's own unit."""

    low: float
    high: float
    level: float = Field(default=0.95, gt=0, lt=1)
    """Confidence level as a fraction."""
    method: str
    """How it was made, e.g. "Wilson", "bootstrap percentile, 1000 resamples, seed 0"."""
    kind: str | None = None
    """The method in one word for programs: "wilson" from value and n alone, "wilson-effective" where samples
    recur or count unequally, "clopper-pearson", "newcombe", "bootstrap", "simultaneous" over groups, "student-t",
    "order-statistics", or "bounds" of assumptions; None in ledgers written before there was such a word."""

    @property
    def is_wilson(self) -> bool:
        """Whether it follows from value and n alone, by Wilson's formula; in older ledgers the method's name says so."""
        return self.kind == "wilson" or (self.kind is None and self.method == "Wilson")

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
        EvidenceKey.parse(key)
        return key

    @model_validator(mode="after")
    def _honest(self) -> Evidence:
        has_value, is_measured = self.class_.has_value, self.class_ is EvidenceClass.MEASURED
        is_bare = self.is_number and self.interval is None
        is_made = has_value and self.class_ is not EvidenceClass.DOCUMENTED  # whose values are as their source has them
        faults = {
            f"value {self.value} is not finite; an unknown is None with a reason": not _is_finite(self.value),
            "needs a value; an unknown is pending, undisclosed or not-applicable": has_value and self.value is None,
            "carries a reason, not a value": not has_value and (self.value is not None or self.interval is not None),
            "has a unit, and a value that is no number": bool(is_made and self.unit) and not self.is_number,
            "needs a reason": not has_value and not self.reason,
            "needs its source": self.class_ is EvidenceClass.DOCUMENTED and self.source is None,
            "needs an interval": self.class_ is EvidenceClass.ESTIMATED and is_bare,
            "needs n and its protocol": is_measured and (self.n is None or self.protocol is None),
            "needs an interval, or a reason why there is none": is_measured and is_bare and not self.reason,
        }
        for why, is_fault in faults.items():
            if is_fault:
                raise ValueError(f"{self.key} ({self.class_}): {why}")
        return self

    @property
    def name(self) -> EvidenceKey:
        """The key's parts."""
        return EvidenceKey.parse(self.key)

    @property
    def is_number(self) -> bool:
        """Whether there is a value, and it is a number."""
        return isinstance(self.value, int | float) and not isinstance(self.value, bool)

    @property
    def number(self) -> float:
        """The value as a number. Raises TypeError for anything else."""
        if not isinstance(self.value, int | float) or isinstance(self.value, bool):
            raise TypeError(f"{self.key} is {self.value!r}, no number")
        return float(self.value)

    @property
    def is_partial(self) -> bool:
        """Whether the value was computed on fewer samples than the benchmark has."""
        return self.n is not None and self.N is not None and self.n < self.N

    @property
    def withheld(self) -> str | None:
        """Why a measured value is kept here and not published, such as a timing from a busy machine."""
        return (self.protocol or {}).get("withheld")

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, every field present; only an interval's kind is left out where the ledger was written without."""
        data = self.model_dump(mode="json", by_alias=True)
        if self.interval is not None and self.interval.kind is None:
            del data["interval"]["kind"]
        return data
