"""Scores as a record of Every Eval Ever, by its `eval.schema.json` of package version 0.3.0 (EvalEval Coalition, MIT)."""

from __future__ import annotations

import json
import math
import uuid
from typing import Any

from harness import __version__
from harness.evidence import Evidence
from harness.export.sources import Files, Score, Source, whole_scores

SCHEMA_VERSION = "0.3.0"
_UNITS = {"%": "percent"}


def export(source: Source) -> Files:
    """One record, named by a UUID of what it says. What is not known, such as who ran it, is `unknown` or left out.

    Raises MissingInputError: there are no results.
    """
    ledger, made = source.ledger, str(source.made.timestamp())
    model = ledger.model
    results = [_result(score) for score in whole_scores(ledger) if score.spec.higher_is_better is not None]
    if not results:
        raise source.nothing_measured()
    checkpoint = model.get("checkpoint") or {}
    record = {
        "schema_version": SCHEMA_VERSION,
        "evaluation_id": f"harness/{source.name}/{made}",
        "evaluation_timestamp": made,
        "retrieved_timestamp": made,
        "source_metadata": {
            "source_name": "harness",
            "source_type": "evaluation_run",
            "source_organization_name": "unknown",
            "evaluator_relationship": "other",
        },
        "eval_library": {"name": "harness", "version": __version__, "additional_details": _text(ledger.environment)},
        "model_info": {
            "name": str(model.get("title") or source.name),
            "id": str(checkpoint.get("repo") or model.get("reference") or source.name),
            "additional_details": {
                "deployment_type": "self_deployed",
                "model_availability": "unknown",
                **_text({name: model[name] for name in ("reference", "weights") if model.get(name)}),
            },
        },
        "evaluation_results": results,
    }
    text = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    yield f"{uuid.uuid5(uuid.NAMESPACE_URL, text)}.json", text.encode()


def _result(score: Score) -> dict[str, Any]:
    item, spec, benchmark = score
    low, high = spec.range
    details = {"n": item.n, "published_n": item.N, "command": item.command, "protocol": item.protocol}
    return {
        "evaluation_result_id": item.key,
        "evaluation_name": benchmark.name,
        "source_data": _data(score),
        "evaluation_timestamp": item.created,
        "metric_config": {
            "evaluation_description": f"{spec.title} on {benchmark.title}",
            "metric_id": spec.name,
            "metric_name": spec.title,
            **({"metric_unit": _UNITS.get(spec.unit, spec.unit)} if spec.unit else {}),
            "lower_is_better": not spec.higher_is_better,
            "score_type": "continuous",
            "min_score": low if math.isfinite(low) else "-Infinity",
            "max_score": high if math.isfinite(high) else "Infinity",
        },
        "score_details": {
            "score": item.number,
            "details": _text({name: value for name, value in details.items() if value is not None}),
            **({"uncertainty": _uncertainty(item)} if item.interval is not None else {}),
        },
    }


def _data(score: Score) -> dict[str, Any]:
    name, hub = score.benchmark.name, score.benchmark.hub
    if hub is not None:
        split = {"hf_split": hub.split} if hub.split else {}
        return {"dataset_name": name, "source_type": "hf_dataset", "hf_repo": hub.id, **split}
    if score.benchmark.homepage:
        return {"dataset_name": name, "source_type": "url", "url": [score.benchmark.homepage]}
    return {"dataset_name": name, "source_type": "other"}


def _uncertainty(item: Evidence) -> dict[str, Any]:
    assert item.interval is not None
    return {
        "confidence_interval": {
            "lower": item.interval.low,
            "upper": item.interval.high,
            "confidence_level": item.interval.level,
            "method": item.interval.method,
        },
        **({"num_samples": item.n} if item.n is not None else {}),
    }


def _text(values: dict[str, Any]) -> dict[str, str]:
    """Values as the schema wants further details: text each."""
    return {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in values.items()
    }
