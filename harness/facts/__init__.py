"""Documented evidence: what primary sources say about a model, one YAML a model, each value with its source."""

from harness.facts.loader import (
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
