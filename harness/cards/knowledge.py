"""What is known about a model: its ledger first, documented facts second; siblings' values are kept apart."""

from __future__ import annotations

import functools
import itertools
import re
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path

from harness.cards.asked import Asked
from harness.cards.tracing import TracedLedger
from harness.cards.views import View
from harness.evidence import Evidence, EvidenceClass, EvidenceKey, Ledger
from harness.facts.collecting import MODEL_INDEX, SOURCES
from harness.facts.loader import Fact, ModelFacts, Relation, decided_lineage, facts_for

_NETWORK = re.compile(r"(\w+)ForImageClassification|timm's (\w+)")
"""What a network's class or timm's name calls it."""
_NONE = (EvidenceClass.UNDISCLOSED, EvidenceClass.NOT_APPLICABLE)


@dataclass
class Knowledge:
    """Everything known about a model: its ledger and its documented facts, both empty where there are none."""

    facts: ModelFacts
    ledger: Ledger
    asked: Asked = field(default_factory=Asked)
    """What the place asks beside the quantity: values that don't answer it are as good as unknown."""
    _looked_up: dict[tuple[str, str], list[View]] = field(default_factory=dict, repr=False)
    """What was found, by what was looked for: the same for all places, whatever they ask beside."""

    @property
    def name(self) -> str:
        """What the model is called in a card: its registry name or Hub reference; of one in a folder the folder's name."""
        return self.facts.model

    @property
    def address(self) -> str:
        """What a command finds the model by; of one in a folder its name on the Hub, or from where the folder lies."""
        if not _is_path(str(self.ledger.model.get("reference") or "")):
            return self.name
        hub_id = self.ledger.model.get("hub_id")
        return f"hf:{hub_id}" if hub_id else f"./{self.name}"

    @property
    def loaded_by(self) -> str | None:
        """What libraries load it by: its name on the Hub, of one in a folder what it is called there; None where it has neither."""
        named = self.facts.hub_id or self.ledger.model.get("hub_id")
        return f"<user>/{Path(self.name).name}" if named == "" else named

    @property
    def has_processor(self) -> bool:
        """Whether its files say how images are prepared, as far as they were read."""
        return "config.json" not in self.looked_in or "preprocessor_config.json" in self.looked_in

    @functools.cached_property
    def own_names(self) -> tuple[str, ...]:
        """What the model is called."""
        facts, about = self.facts, self.ledger.model
        names = [facts.model, facts.hub_id, facts.short_name, *map(about.get, ("hub_id", "title", "reference"))]
        names += [str(name).rpartition("/")[2] for name in names if name]
        if not facts.facts and (kind := self.ledger.get("documented.model.type")):  # of a network alone in its card
            names += filter(None, itertools.chain(*_NETWORK.findall(str(kind.value))))
        return tuple(dict.fromkeys(str(name) for name in names if name))

    @functools.cached_property
    def has_imagenet_classes(self) -> bool:
        """Whether ImageNet's benchmarks can measure it: not where its classes are its own, or fewer."""
        if "classes" in self.ledger.model:
            return False
        classes = next(iter(self._own("documented.data.classes")), None)  # whatever is asked
        return classes is None or not classes.evidence.is_number or classes.value >= 1000

    @functools.cached_property
    def own_results(self) -> dict[str, str]:
        """Top-1 accuracies on somebody's own data, by key, with what they are called: the results of a model with own classes."""
        named = {f"{name}.top1": f"{about['title']} top-1" for name, about in self.ledger.benchmarks.items()}
        return {key: name for key, name in named.items() if self.ledger.measured(key) is not None}

    @functools.cached_property
    def looked_in(self) -> tuple[str, ...]:
        """Where was looked for what the card leaves open: the card, and the sources of what is known."""
        named = Counter(place for fact in self.facts.facts for place in fact.looked_in)
        places = [place for place, _ in named.most_common(3)]
        places = list(self.ledger.model.get("looked_in") or places)
        return ("the card", *(place for place in places if place != "the card"))

    @functools.cached_property
    def lineage(self) -> str | None:
        """The checkpoint that `harness identify` found the weights to be; None where that was not decided."""
        return decided_lineage(self.ledger)

    def _is_found(self, fact: Fact) -> bool:
        return self.lineage is not None and self.lineage in (fact.checkpoint_id, fact.checkpoint.lineage)

    def stands_for(self, fact: Fact) -> bool:
        """Whether a fact is one about this checkpoint; where its lineage is decided, that is what decides."""
        undecided = self.lineage is None or fact.checkpoint.relation is not Relation.PROBABLE
        return self._is_found(fact) or (fact.answers and undecided)

    def view(self, fact: Fact) -> View:
        return View(fact.evidence, fact, confirmed=self._is_found(fact), rivals=self._rivals(fact.key))

    def find(self, key: str) -> View | None:
        """What answers `key`: the ledger first, then documented facts; None where neither has a value. Where other
        checkpoints are asked about, only what is documented of them."""
        if self.asked.siblings:
            return next(iter(self._of_siblings(key)), None)
        return next(filter(self._answers, self._once(self._own, key)), None)

    def _once(self, look: Callable[[str], list[View]], key: str) -> list[View]:
        """What is found for a key, looked up once."""
        looked_for = look.__name__, key
        if looked_for not in self._looked_up:
            self._looked_up[looked_for] = look(key)
        return self._looked_up[looked_for]

    def _own(self, key: str) -> list[View]:
        """What has a value for `key`, whatever is asked beside it."""
        facts = [fact for fact in self.facts.facts if fact.key == key]
        found = self.ledger.get(key)
        # A fact in the ledger is taken from the facts file, which has its words and checkpoint.
        is_fact = any(found == fact.evidence for fact in facts) or (
            facts and found and found.class_ is EvidenceClass.DOCUMENTED
        )
        told = [fact for fact in facts if fact.evidence.class_.has_value and self.stands_for(fact)]
        own = [self.view(other) for fact in told for other in (fact, *fact.alternatives)]
        if found and found.class_.has_value and not found.withheld and not is_fact:
            own.insert(0, View(found, rivals=self._rivals(key)))
        return own + self._other_results(key)

    def _other_results(self, key: str) -> list[View]:
        """What its files hold of the same metric for another part of the data, or averaged otherwise."""
        name = EvidenceKey.parse(key)
        if not re.match(r"(?:data\.)?evaluation", name.subject):
            return []
        held = [item for item in self.ledger if item.name.subject == name.subject and item.key != key]
        return [View(item) for item in held if item.name.variant not in SOURCES and "split" in (item.protocol or {})]

    def results_of_parts(self, key: str) -> list[View]:
        """A metric's results of several parts of the data, the test set's first, where none is asked and they differ."""
        if self.asked.siblings:
            return []
        found = {
            f"{view.value:.4g}" if view.evidence.is_number else view.text: view
            for view in self._once(self._own, key)
            if _split(view) and self._answers(view)
        }
        return sorted(found.values(), key=lambda view: _split(view) != "test") if len(found) > 1 else []

    def _answers(self, view: View) -> bool:
        return not self.asked.unmet_by(view)

    def _of_siblings(self, key: str) -> list[View]:
        """What is documented of the checkpoints that are asked about, whatever its variant."""
        subject = EvidenceKey.parse(key).subject.removeprefix("documented.")
        found = [fact for fact in self.facts.facts if fact.checkpoint_id in self.asked.siblings]
        found = [fact for fact in found if fact.evidence.name.subject.removeprefix("documented.") == subject]
        return list(filter(self._answers, map(self.view, (f for f in found if f.evidence.class_.has_value))))

    def _rivals(self, key: str) -> tuple[Evidence, ...]:
        """What other files of the model say of what `key` is about."""
        variants = [str(EvidenceKey.parse(key).with_variant(source)) for source in SOURCES]
        return tuple(item for item in map(self.ledger.get, variants) if item is not None)

    def whole_ledger(self) -> Ledger:
        """The ledger with the facts in it: what is answered from it anywhere is what is answered here."""
        found = {fact.key: fact.evidence for fact in self.facts.facts} | {item.key: item for item in self.ledger}
        model = self.ledger.model or {"name": self.facts.model, "reference": self.facts.model}
        return self.ledger.model_copy(update={"model": model, "evidence": list(found.values())})

    @functools.cached_property
    def sources(self) -> tuple[str, ...]:
        """Titles of the sources of what is documented."""
        return tuple({fact.evidence.source.title: None for fact in self.facts.facts if fact.evidence.source})

    @functools.cached_property
    def sizes(self) -> dict[str, str]:
        """The side of its images in pixels, by checkpoint."""
        told = [fact for fact in self.facts.facts if fact.evidence.name.subject == "data.resolution"]
        own = next((f"{fact.evidence.value}" for fact in told if self.stands_for(fact)), "")
        read = self.ledger.get("documented.data.resolution")
        networks = [c.name for c in self.facts.checkpoints.values() if c.relation is Relation.ARCHITECTURE]
        sizes = {"": f"{read.value}" if read else ""} | dict.fromkeys(networks, own)
        return sizes | {fact.checkpoint.name: f"{fact.evidence.value}" for fact in told}

    @functools.cached_property
    def known_words(self) -> tuple[str, ...]:
        """Expressions of what the model, its relatives and the sources about it are called."""
        mentions = [known.mention for known in self.facts.checkpoints.values() if known.mention]
        mentions += (
            [] if self.facts.facts else [r"fine-?tun\w+"]
        )  # of a model that nothing else is known of, all training
        called = (rf"(?<!\w){re.escape(name)}(?!\w)" for name in (*self.own_names, *self.sources))
        return (*called, *mentions)

    def absent(self, key: str) -> View | None:
        """Evidence that there is no value: undisclosed or not applicable."""
        if self.asked.siblings:
            return None
        return next(iter(self._once(self._absent, key)), None)

    def _absent(self, key: str) -> list[View]:
        facts = [fact for fact in self.facts.facts if fact.key == key and not fact.evidence.class_.has_value]
        found = self._once(self._in_ledger, key)
        return [*map(self.view, facts), *(v for v in found if v.class_ in _NONE)]

    def pending(self, key: str) -> View | None:
        """Evidence in the ledger that could be measured and has not been."""
        return next((v for v in self._once(self._in_ledger, key) if v.class_ is EvidenceClass.PENDING), None)

    def _in_ledger(self, key: str) -> list[View]:
        found = self.ledger.get(key)
        return [View(found)] if found is not None else []

    def published(self, metric: str, *, own: bool) -> View | None:
        """The nearest published value of a metric: for this checkpoint (`own`), or for another one.

        A metric with a variant (`compute.throughput:v100`) means that published value alone.
        """
        return next(iter(self.all_published(metric, own=own)), None)

    def all_published(self, metric: str, *, own: bool) -> list[View]:
        """Published values of a metric, the nearest checkpoint's first."""
        if self.asked.siblings:
            return self._of_siblings(metric) if own else []
        return list(filter(self._answers, self._once(self._published if own else self._published_elsewhere, metric)))

    def _published(self, metric: str, *, own: bool = True) -> list[View]:
        name = EvidenceKey.parse(metric)
        facts = [fact for fact in self.facts.published(name.subject) if self.stands_for(fact) is own]
        asked = [fact for fact in facts if name.variant in (None, fact.evidence.name.variant)]
        found = list(map(self.view, asked))
        stated = self.ledger.get(f"documented.{name.subject}:{MODEL_INDEX}") if own and name.variant is None else None
        return [*found, View(stated)] if stated is not None else found

    def _published_elsewhere(self, metric: str) -> list[View]:
        return self._published(metric, own=False)

    def reference_row(self, metrics: Collection[str]) -> dict[str, View]:
        """Published values of other checkpoints for several metrics: the nearest checkpoint's, of the evaluation that holds most
        of them, and what that lacks from its other evaluations and from checkpoints further away."""
        sizes = Counter(fact.evidence.name.variant for fact in self.facts.facts if fact.setting)
        found = {}
        for metric in metrics:
            facts = [fact for fact in self.facts.published(metric) if not self.stands_for(fact)]
            views = list(filter(self._answers, map(self.view, facts)))
            nearest = [
                v for v in views if v.fact and views[0].fact and v.fact.checkpoint_id == views[0].fact.checkpoint_id
            ]
            if nearest:
                found[metric] = max(nearest, key=lambda view: sizes[view.name.variant])
        return found

    def note(self, key: str) -> str:
        """What a careful reader must know beside a value, wherever the value itself comes from."""
        fact = self.facts.get(key)
        return fact.note or "" if fact and self.stands_for(fact) else ""

    def family(self, family: str, metric: str) -> list[View]:
        """Measured values of all slices or conditions of a family, e.g. `imagenet-val@imagenet-x`, lowest first."""
        views = [View(item) for item in self.ledger if item.class_ is EvidenceClass.MEASURED]
        found = [v for v in views if (v.name.parent, v.name.metric, v.name.variant) == (family, metric, None)]
        return sorted(found, key=lambda view: view.value)


def _split(view: View) -> str:
    return str((view.evidence.protocol or {}).get("split") or "")


def knowledge_of(model: str, ledger: Ledger | None) -> Knowledge:
    """What is known about a model, by registry name or Hub reference."""
    ledger = ledger or Ledger(model={})
    reference = str(ledger.model.get("reference") or model)
    if _is_path(model):
        model = Path(model).resolve().name
    facts = None if _is_path(reference) else facts_for(model)
    if facts is None:
        hub_id = reference.removeprefix("hf:").partition("@")[0] if reference.startswith("hf:") else None
        facts = ModelFacts(model=model, hub_id=hub_id, short_name=model, checkpoints={}, facts=())
    return Knowledge(ledger.trace_facts(facts) if isinstance(ledger, TracedLedger) else facts, ledger)


def _is_path(reference: str) -> bool:
    """Whether a reference is that of a folder on this machine."""
    return bool(re.match(r"[/\\~.]|[A-Za-z]:[/\\]", reference))
