"""Documented evidence: what primary sources say about a model, one YAML a model, each value with its source."""

from harness.facts.loader import (
    LINEAGE_KEY,
    Checkpoint,
    Conflict,
    Fact,
    LineageCandidate,
    ModelFacts,
    Relation,
    facts_for,
    known_models,
    parse_facts,
)

__all__ = [
    "LINEAGE_KEY",
    "Checkpoint",
    "Conflict",
    "Fact",
    "LineageCandidate",
    "ModelFacts",
    "Relation",
    "facts_for",
    "known_models",
    "parse_facts",
]
