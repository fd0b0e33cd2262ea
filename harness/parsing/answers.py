"""What the Hub's client raises where something else than a Hub answers: a mirror, a proxy's page, JSON of another shape or encoding."""

from __future__ import annotations

STRANGE_ANSWER = (ValueError, TypeError, AttributeError, LookupError, AssertionError, RecursionError, ArithmeticError)
"""The client builds its records from an answer without a look at it, so any of these may come of one that is no Hub's."""
STRANGE_REMEDY = "Check HF_ENDPOINT and the network."
