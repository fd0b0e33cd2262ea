"""Choices of how to run, kept so that a run that is started again goes on as before, whatever the clock would say."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from harness.files import read_kept, write_text
from harness.runtime.choosing import Choice

_CHOICES = TypeAdapter(Choice)


def remembered_choice(home: Path, made_for: list[Any]) -> Choice | None:
    """What was chosen earlier for the same question; None where nothing was.

    Args:
        made_for: all that the choice depends on, plain values.
    """
    return read_kept(_path(home, made_for), _CHOICES.validate_json, again="it is chosen again")


def remember_choice(home: Path, made_for: list[Any], choice: Choice) -> None:
    """Keep a choice for `remembered_choice`."""
    write_text(_path(home, made_for), _CHOICES.dump_json(choice, indent=2).decode() + "\n")


def _path(home: Path, made_for: list[Any]) -> Path:
    digest = hashlib.sha256(json.dumps(made_for, sort_keys=True).encode()).hexdigest()[:16]
    return home / "choices" / f"{digest}.json"
