"""The accounts, the repository and the card that these tests play with."""

from __future__ import annotations

from collections.abc import Callable

from typer.testing import Result

from harness.errors import ExitCode

ALICE, BOB, CAROL = (f"hf_{name}{'Secret' * 5}" for name in ("alice", "bob", "carol"))
"""Tokens of accounts: alice owns the repositories, bob is someone else, carol's token may only read."""
REPO = "alice/model"
CARD = """---
# kept by Alice
license: apache-2.0
tags:
- vision
---

# A model

It does things.

## Training

Batch size: [More Information Needed]

## Bias

Written by Alice.
"""

FILLED = CARD.replace("[More Information Needed]", "256, documented.")
"""The card with its question answered."""

Call = Callable[..., Result]


def ended(result: Result, code: ExitCode) -> str:
    """Checks the exit code; gives stderr on one line."""
    assert result.exit_code == code, result.output
    return " ".join(result.stderr.split())
