"""Predictions as a data set that describes itself: Parquet, and metadata by MLCommons' Croissant 1.0."""

from __future__ import annotations

import hashlib
import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from harness.export.predictions import predictions_parquet
from harness.export.sources import Files, Source

_SPEC = "http://mlcommons.org/croissant/1.0"
_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "sc": "https://schema.org/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    "recordSet": "cr:recordSet",
    "field": "cr:field",
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "source": "cr:source",
    "extract": "cr:extract",
    "column": "cr:column",
    "fileObject": "cr:fileObject",
    "key": "cr:key",
}
_TYPES = {pa.string(): "sc:Text", pa.int32(): "sc:Integer", pa.float32(): "sc:Float"}
_COLUMNS = {
    "sample_id": "name of the image, as its publisher has it",
    "label": "true class, an index in the benchmark's label space",
    "target_logit": "logit of the true class; missing where the model has no output for it",
    "logsumexp": "log of the sum of the exponentials of all logits of the label space",
}


def export(source: Source) -> Files:
    """`croissant.json` and the Parquet file of each condition that it describes."""
    files, records = [], []
    for title, stored, _, frame in source.conditions():
        content, name = predictions_parquet(frame), f"{title.replace('/', '-')}.parquet"
        yield name, content
        files.append(
            {
                "@type": "cr:FileObject",
                "@id": name,
                "name": name,
                "contentUrl": name,
                "contentSize": f"{len(content)} B",
                "encodingFormat": "application/x-parquet",
                "sha256": hashlib.sha256(content).hexdigest(),
            }
        )
        schema = pq.read_schema(io.BytesIO(content))
        records.append(
            {
                "@type": "cr:RecordSet",
                "@id": title,
                "name": title,
                "description": f"{source.name} on {stored.benchmark.title}, one row an image. {stored.evidence.command}",
                "key": {"@id": f"{title}/sample_id"},
                "field": [_field(title, name, column) for column in schema],
            }
        )
    about: dict[str, Any] = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": _SPEC,
        "name": f"predictions-{source.name}",
        "description": f"Predictions of {source.ledger.model.get('title', source.name)}, no images among them.",
        "datePublished": source.made.date().isoformat(),
        "version": "1.0.0",
        "distribution": files,
        "recordSet": records,
    }
    yield "croissant.json", (json.dumps(about, indent=2, ensure_ascii=False) + "\n").encode()


def _field(title: str, file: str, column: pa.Field) -> dict[str, Any]:
    rank = column.name.removeprefix("top")
    return {
        "@type": "cr:Field",
        "@id": f"{title}/{column.name}",
        "name": column.name,
        "description": _COLUMNS.get(column.name, f"class of rank {rank}, -1 beyond the number of classes"),
        "dataType": _TYPES[column.type],
        "source": {"fileObject": {"@id": file}, "extract": {"column": column.name}},
    }
