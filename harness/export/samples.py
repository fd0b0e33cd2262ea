"""One row a sample: JSONL as lm-evaluation-harness logs samples, and Parquet in the columns of `harness predictions`."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pandas as pd
import pyarrow as pa

from harness.export.predictions import predictions_parquet
from harness.export.sources import Files, Source
from harness.metrics.types import TOP

_RANKS = [f"top{rank}" for rank in range(1, TOP + 1)]


def export(source: Source) -> Files:
    """`samples_CONDITION_TIME.jsonl` and `.parquet` for each condition whose predictions are here."""
    for title, _, table, frame in source.conditions():
        name = f"samples_{title.replace('/', '-')}_{source.stamp}"
        yield f"{name}.jsonl", _lines(frame, table)
        yield f"{name}.parquet", predictions_parquet(frame)


def _lines(frame: pd.DataFrame, table: pa.Table) -> bytes:
    """The samples in order of their ids; `prompt_hash` is the SHA-256 of the encoded image, where that is known."""
    images = dict(zip(table["sample_id"].to_pylist(), table["digest"].to_pylist(), strict=True))
    has_logits, is_scored = "logsumexp" in frame, "correct" in frame
    lines = []
    for number, row in enumerate(frame.to_dict("records")):
        ranked = [int(row[name]) for name in _RANKS if row[name] >= 0]
        doc, target = {"sample_id": row["sample_id"]}, int(row["label"])
        line = {
            "doc_id": number,
            "doc": doc,
            "target": target,
            "arguments": {},
            "resps": [ranked],
            "filtered_resps": ranked[:1],
            "filter": "none",
            "metrics": ["acc"] if is_scored else [],
            "doc_hash": _hash(json.dumps(doc, indent=2, ensure_ascii=False)),
            "prompt_hash": images[row["sample_id"]] or None,
            "target_hash": _hash(str(target)),
        }
        if is_scored:
            line["acc"] = float(row["correct"])
        if has_logits:
            line["logits"] = [_number(row[f"{name}_logit"]) for name in _RANKS[: len(ranked)]]
            line |= {name: _number(row[name]) for name in ("target_logit", "logsumexp")}
        lines.append(json.dumps(line, ensure_ascii=False, allow_nan=False))
    return "".join(f"{line}\n" for line in lines).encode()


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _number(value: float) -> float | None:
    """With the digits of the stored float32; None where it is not known."""
    return float(str(np.float32(value))) if np.isfinite(value) else None
