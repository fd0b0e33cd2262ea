"""The record of one value, its key, the ledger that holds a model's, and how values are shown."""

from harness.evidence.display import (
    decimals_for,
    fixed,
    round_to_interval,
    show,
    show_basis,
    show_count,
    show_interval,
    show_number,
    show_short,
    show_short_interval,
    show_value,
)
from harness.evidence.key import EvidenceKey, split_prefix
from harness.evidence.ledger import LEDGER_SCHEMA, Ledger
from harness.evidence.record import CODE, Evidence, EvidenceClass, Fingerprints, Interval, Scalar, Source

__all__ = [
    "CODE",
    "LEDGER_SCHEMA",
    "Evidence",
    "EvidenceClass",
    "EvidenceKey",
    "Fingerprints",
    "Interval",
    "Ledger",
    "Scalar",
    "Source",
    "decimals_for",
    "fixed",
    "round_to_interval",
    "show",
    "show_basis",
    "show_count",
    "show_interval",
    "show_number",
    "show_short",
    "show_short_interval",
    "show_value",
    "split_prefix",
]
