"""What is known about a model: its ledger first, documented facts second; siblings' values are kept apart."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from harness.cards.views import View
from harness.evidence import Evidence, EvidenceClass, EvidenceKey, Ledger
from harness.facts import LINEAGE_KEY, Fact, ModelFacts, Relation, facts_for


@dataclass
class Knowledge:
    """Everything known about a model: its ledger and its documented facts."""

    model: str
    hub_id: str | None
    """None where the model is not on the Hub."""
    name: str
    ledger: Ledger | None
    facts: ModelFacts | None

    @functools.cached_property
    def lineage(self) -> str | None:
        """The checkpoint that `harness identify` found the weights to be; None where that was not decided."""
        found = self.ledger.get(LINEAGE_KEY) if self.ledger else None
        decided = found is not None and found.class_ in (EvidenceClass.MEASURED, EvidenceClass.DERIVED)
        return str(found.value) if found is not None and decided else None

    def stands_for(self, fact: Fact) -> bool:
        """Whether a fact is one about this checkpoint; where its lineage is decided, that is what decides."""
        if self.lineage is not None and self.lineage in (fact.checkpoint_id, fact.checkpoint.lineage):
            return True
        undecided = self.lineage is None or fact.checkpoint.relation is not Relation.PROBABLE
        return fact.answers and undecided

    def _view(self, fact: Fact) -> View:
        return View(
            fact.evidence,
            fact,
            confirmed=self.lineage is not None and self.lineage in (fact.checkpoint_id, fact.checkpoint.lineage),
        )

    def find(self, key: str) -> View | None:
        """What answers `key`: the ledger first, then documented facts; None where neither has a value."""
        found = self.ledger.get(key) if self.ledger else None
        if found is not None and found.class_.has_value and not self._is_fact(found):
            return View(found)
        for fact in self.facts.facts if self.facts else ():
            if fact.key == key and self.stands_for(fact) and fact.evidence.class_.has_value:
                return self._view(fact)
        return None

    def _is_fact(self, found: Evidence) -> bool:
        """Whether a ledger's evidence is a documented fact that the facts file has with its words and checkpoint."""
        is_documented = found.class_ is EvidenceClass.DOCUMENTED
        return is_documented and any(fact.key == found.key for fact in (self.facts.facts if self.facts else ()))

    def absent(self, key: str) -> View | None:
        """Evidence that there is no value: undisclosed or not applicable."""
        for fact in self.facts.facts if self.facts else ():
            if fact.key == key and not fact.evidence.class_.has_value:
                return self._view(fact)
        found = self.ledger.get(key) if self.ledger else None
        known = (EvidenceClass.UNDISCLOSED, EvidenceClass.NOT_APPLICABLE)
        return View(found) if found is not None and found.class_ in known else None

    def pending(self, key: str) -> View | None:
        """Evidence in the ledger that could be measured and has not been."""
        found = self.ledger.get(key) if self.ledger else None
        return View(found) if found is not None and found.class_ is EvidenceClass.PENDING else None

    def published(self, metric: str, *, own: bool) -> View | None:
        """The nearest published value of a metric: for this checkpoint (`own`), or for another one.

        A metric with a variant (`compute.throughput:v100`) means that published value alone.
        """
        name = EvidenceKey.parse(metric)
        for fact in self.facts.published(name.subject) if self.facts else ():
            if self.stands_for(fact) is own and name.variant in (None, fact.evidence.name.variant):
                return self._view(fact)
        return None

    def note(self, key: str) -> str:
        """What a careful reader must know beside a value, wherever the value itself comes from."""
        fact = self.facts.get(key) if self.facts else None
        return fact.note or "" if fact and self.stands_for(fact) else ""

    def family(self, family: str, metric: str) -> list[View]:
        """Measured values of all slices or conditions of a family, e.g. `imagenet-val@imagenet-x`, lowest first."""
        views = [View(item) for item in self.ledger or () if item.class_ is EvidenceClass.MEASURED]
        found = [v for v in views if (v.name.parent, v.name.metric, v.name.variant) == (family, metric, None)]
        return sorted(found, key=lambda view: view.value)


def knowledge_of(model: str, ledger: Ledger | None) -> Knowledge:
    """What is known about a model, by registry name or Hub reference."""
    facts = facts_for(model)
    if facts is not None:
        return Knowledge(facts.model, facts.hub_id, facts.short_name, ledger, facts)
    reference = str((ledger.model if ledger else {}).get("reference") or model)
    hub_id = reference.removeprefix("hf:").partition("@")[0] if reference.startswith("hf:") else None
    return Knowledge(model, hub_id, model, ledger, None)
