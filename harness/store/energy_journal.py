"""The joules of a command so far, kept on disk so that the part of a start that was killed still counts.

One process owns a journal. Where two run the same command at once, the second one keeps none: it reads no earlier joules,
and what it writes goes nowhere.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from harness.files import make_folder, write_text


class EnergyJournal:
    """Plain records, one for each start of the same command."""

    def __init__(self, path: Path) -> None:
        self._path = path
        make_folder(path.parent)
        self._lock = FileLock(path.with_suffix(".lock"))
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            self.earlier: list[dict[str, Any]] = []
        else:
            self.earlier = self._read()

    def _read(self) -> list[dict[str, Any]]:
        """What earlier starts wrote; nothing where the file isn't there or isn't a journal."""
        try:
            return list(json.loads(self._path.read_text(encoding="utf-8"))["parts"])
        except (OSError, ValueError, KeyError, TypeError):
            return []

    def write(self, parts: list[dict[str, Any]]) -> None:
        """Keep the records of all starts so far."""
        if self._lock.is_locked:
            write_text(self._path, json.dumps({"parts": parts}, indent=1) + "\n")

    def remove(self) -> None:
        """The joules are evidence now: the journal goes."""
        if self._lock.is_locked:
            self._path.unlink(missing_ok=True)
            self._lock.release()
