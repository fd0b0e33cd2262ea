"""Records of finished runs, for `harness list runs`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from harness.files import read_kept, write_text

FIELDS = ("finished", "suite", "model", "limit", "measured", "pending", "exit_code", "output")
_RECORD = TypeAdapter(dict[str, Any])


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
    """The records, newest first; one that is damaged is set aside."""
    records = []
    for path in sorted((home / "runs").glob("*.json"), reverse=True):
        record = read_kept(path, _RECORD.validate_json, again="that run is no longer listed")
        if record is not None:
            records.append({field: record.get(field, "") for field in FIELDS})
    return records
