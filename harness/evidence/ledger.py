"""A ledger: all the evidence of one model. On disk it is `evidence.json` (schema 1, see `Ledger.json_schema`)."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, model_validator

from harness.errors import UsageError
from harness.evidence.record import Evidence, EvidenceClass
from harness.files import write_text
from harness.parsing.files import AbsentError, MalformedError, shown
from harness.parsing.json import parse_json, read_json

LEDGER_SCHEMA: Literal[1] = 1


class Ledger(BaseModel, extra="forbid", populate_by_name=True, use_attribute_docstrings=True):
    """All the evidence of one model."""

    schema_: Literal[1] = Field(default=LEDGER_SCHEMA, alias="schema")
    model: dict[str, Any]
    """Name, reference, weights fingerprint, label space, preprocessing."""
    environment: dict[str, Any] = Field(default_factory=dict)
    """Library versions, device, threads: what the run ran on."""
    evidence: list[Evidence] = Field(default_factory=list)
    benchmarks: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """What the evidence is on that is in no catalog: title, classes, licence and size of data of one's own, by name."""

    @model_validator(mode="after")
    def _unique_keys(self) -> Ledger:
        for key, count in Counter(item.key for item in self.evidence).items():
            if count > 1:
                raise ValueError(f"two pieces of evidence are called {key}")
        return self

    def __iter__(self) -> Iterator[Evidence]:  # type: ignore[override]
        return iter(self.evidence)

    def get(self, key: str) -> Evidence | None:
        """The evidence called `key`, or None."""
        return next((item for item in self.evidence if item.key == key), None)

    def measured(self, key: str) -> Evidence | None:
        """The evidence called `key` where it is a measured number; None otherwise."""
        item = self.get(key)
        return item if item is not None and item.class_ is EvidenceClass.MEASURED and item.is_number else None

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
            **({"benchmarks": self.benchmarks} if self.benchmarks else {}),
            "evidence": [item.to_dict() for item in self.evidence],
        }
        return json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    def without_markup(self) -> Ledger:
        """The same with `&lt;` for each `<` that would begin a tag in Markdown or HTML: text from a ledger is data."""
        text = self.to_json()
        inert = re.sub(r"<(?!https?://)(?=[A-Za-z/!?])", "&lt;", text)
        return self if inert == text else parse_json(inert, "the ledger", Ledger)

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
            ledger: Ledger = read_json(path, cls)
        except AbsentError as error:
            remedy = "Give the path of an evidence.json."
            raise UsageError(f"Can't read the ledger {shown(path)}: {error.why}.", remedy=remedy) from error
        except MalformedError as error:
            raise UsageError(
                f"{shown(path)} is not a ledger (schema {LEDGER_SCHEMA}): {error.why}.",
                remedy="Make it again by repeating the run that wrote it.",
            ) from error
        return ledger


def _keeps(old: Evidence, new: Evidence) -> bool:
    """Whether `old` is the better answer to the same question."""
    same_weights = old.fingerprints.weights == new.fingerprints.weights
    if old.class_.has_value and not new.class_.has_value:
        return same_weights or new.fingerprints.weights is None
    is_smaller = old.n is not None and new.n is not None and new.n < old.n
    return same_weights and new.class_ is old.class_ and is_smaller
