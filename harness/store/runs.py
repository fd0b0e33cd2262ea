"""Records of finished runs, for `harness list runs`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.files import write_text

FIELDS = ("finished", "suite", "model", "limit", "measured", "pending", "exit_code", "output")


def record_run(home: Path, *, suite: str, model: str, model_name: str, **more: Any) -> Path:
    """Note that a run happened.

    Args:
        suite, model: as in the command.
        model_name: safe as a part of a file name.
        more: what else stands in the record, of `FIELDS`.
    """
    now = datetime.now(UTC)
    record = {"finished": now.isoformat(timespec="seconds"), "suite": suite, "model": model, **more}
    path = home / "runs" / f"{now.strftime('%Y%m%dT%H%M%S%f')}-{suite}-{model_name}.json"
    write_text(path, json.dumps(record, indent=2) + "\n")
    return path


def recorded_runs(home: Path) -> list[dict[str, Any]]:
    """The records, newest first; one that can't be read says so."""
    records = []
    for path in sorted((home / "runs").glob("*.json"), reverse=True):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            record = {"finished": f"unreadable: {path.name}"}
        records.append({field: record.get(field, "") for field in FIELDS})
    return records
