"""Documented facts: what named sources say about a model, one YAML file a model, each value with its place.

A fact is an `Evidence` and the checkpoint it is about. The checkpoint's relation to the model decides what the fact
may do: only facts about this checkpoint, its architecture, its probable origin or something trained from it answer a
question; facts about siblings are references, shown with the sibling's name. Conflicts between sources are kept.

File format (strict: an unknown field is an error with file and line):

    checkpoints:  id -> name, relation, label (short, for running text), condition (what an answer hangs on), timm (name there)
    sources:      id -> title, url, files (address that a place like `path:12-14` is appended to)
    facts:        key, class, checkpoint, source, place, value or reason, unit, interval, says, note, conflicts,
                  looked-in, also, denies
    published:    rows of benchmark results: checkpoint, setting, source, values by metric
    lineage:      candidates for what the checkpoint holds: checkpoint, prior, published row, spread, weights; logits
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Collection, Iterator
from datetime import date
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from harness.errors import HarnessError, nearest
from harness.evidence import Evidence, EvidenceClass, EvidenceKey, Interval, Ledger, Scalar, Source
from harness.parsing.yaml import parse_yaml

_COMMIT_PLACE = re.compile(r"^commit (?P<sha>[0-9a-f]{7,40})$")
_FILE_PLACE = re.compile(r"^(?P<path>[\w./-]+\.\w+|LICENSE)(?::(?P<first>\d+)(?:-(?P<last>\d+))?)?$")

_Where = tuple[str | int, ...]
_Fail = Callable[..., HarnessError]

LINEAGE_KEY = "identity.lineage"
"""Evidence that names the checkpoint (an id of the facts file) that the weights were found to be."""


def decided_lineage(ledger: Ledger) -> str | None:
    """The checkpoint that a model's weights were found to be; None where its ledger doesn't decide that."""
    found = ledger.get(LINEAGE_KEY)
    decided = found is not None and found.class_ in (EvidenceClass.MEASURED, EvidenceClass.DERIVED)
    return str(found.value) if found is not None and decided else None


class Relation(StrEnum):
    """How a checkpoint that a source speaks about is related to the model."""

    THIS = "this"
    ARCHITECTURE = "architecture"
    """True of every set of weights of this network, so of this one."""
    PROBABLE = "probable"
    """Very probably what this checkpoint is, not proven: answers say so."""
    DOWNSTREAM = "downstream"
    """Trained further from this checkpoint: answers questions about downstream use, with its name."""
    SIBLING = "sibling"
    """Another checkpoint: a reference, never an answer."""


class _Strict(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        populate_by_name=True,
        alias_generator=lambda name: name.rstrip("_").replace("_", "-"),
    )


class Checkpoint(_Strict):
    """A set of weights, or a network whatever its weights, that sources speak about."""

    name: str
    """Its exact name."""
    relation: Relation
    label: str | None = None
    """Short name for running text."""
    condition: str | None = None
    """What an answer about it hangs on, as an apposition."""
    lineage: str | None = None
    """The candidate of the lineage that facts about this checkpoint stand or fall with, if not itself."""
    timm: str | None = None
    """The name by which timm loads it."""
    mention: str | None = None
    """For a sibling: regular expression of the words by which texts mean it."""


class _SourceEntry(_Strict):
    title: str
    url: str
    files: str | None = None


class _Place(_Strict):
    source: str
    place: str


class _Conflict(_Place):
    value: Scalar
    says: str


class _Words(_Strict):
    says: str | None = None
    """The value as a phrase for running text, Markdown; None where value and unit say enough."""
    note: str | None = None
    """What a careful reader must know beside it."""
    looked_in: tuple[str, ...] = ()
    """For what is undisclosed: where was looked."""
    denies: str | None = None
    """Regular expression of statements that the fact says are wrong for this checkpoint."""


class _FactEntry(_Words):
    key: str
    class_: EvidenceClass = EvidenceClass.DOCUMENTED
    checkpoint: str
    source: str | None = None
    place: str | None = None
    value: Scalar | list[Any] | dict[str, Any] | None = None
    unit: str | None = None
    interval: Interval | None = None
    reason: str | None = None
    conflicts: list[_Conflict] = []
    also: list[_Place] = []


class _PublishedRow(_Strict):
    id: str
    checkpoint: str
    setting: str
    source: str
    place: str
    places: dict[str, str] = {}
    """By benchmark, or part of one, where its values stand, if not at `place`."""
    values: dict[str, float] = Field(min_length=1)
    parameters: float | None = None
    """In millions, where the same table counts them."""


class LineageCandidate(_Strict):
    """One training that the checkpoint may hold."""

    checkpoint: str
    """Id in `checkpoints`."""
    prior: float = Field(gt=0, lt=1)
    """Probability before anything is measured."""
    prior_range: tuple[float, float]
    """Least and greatest prior that a careful reader of the sources may hold."""
    published: str
    """Id of the row of published results to hold measurements against."""
    spread: float = Field(gt=0)
    """Standard deviation between two evaluations of the same weights, in percentage points."""
    weights: str | None = None
    """Reference of the same weights elsewhere, to compare tensors with."""


class KnownLogits(_Strict):
    """First logits that a source documents for this checkpoint on a photograph."""

    photograph: str
    values: tuple[float, ...] = Field(min_length=1)
    tolerance: float = Field(gt=0)


class Lineage(_Strict):
    """Which of several trainings the checkpoint holds, where its name does not say."""

    candidates: tuple[LineageCandidate, ...] = Field(min_length=2)
    would_decide: str
    """What settles it, as a sentence."""
    logits: KnownLogits | None = None

    @model_validator(mode="after")
    def _priors(self) -> Lineage:
        if abs(sum(candidate.prior for candidate in self.candidates) - 1) > 1e-9:
            raise ValueError("the candidates' priors must add up to 1")
        if any(not 0 < c.prior_range[0] <= c.prior <= c.prior_range[1] < 1 for c in self.candidates):
            raise ValueError("a prior lies within its range, and both inside 0 to 1")
        return self


class Conflict(_Strict):
    """Another value that another source gives for the same thing."""

    value: Scalar
    says: str
    source: Source

    @property
    def sources(self) -> tuple[Source]:
        return (self.source,)


class Fact(_Words):
    """One documented value, or the documented absence of one."""

    evidence: Evidence
    checkpoint_id: str
    checkpoint: Checkpoint
    conflicts: tuple[Conflict, ...] = ()
    also: tuple[Source, ...] = ()
    """Further places that say the same or give an input."""
    setting: str | None = None
    """For a published result: how it was evaluated."""

    @property
    def key(self) -> str:
        return self.evidence.key

    @property
    def alternatives(self) -> list[Fact]:
        """What other sources give for the same thing, each as a fact."""
        bare = {"conflicts": (), "also": (), "note": None}
        return [
            self.model_copy(
                update=bare
                | {
                    "says": other.says if isinstance(other.value, str) else None,  # of a number they tell whose it is
                    "evidence": self.evidence.model_copy(update={"value": other.value, "source": other.source}),
                }
            )
            for other in self.conflicts
        ]

    @property
    def answers(self) -> bool:
        """Whether the fact may answer a question about the model."""
        return self.checkpoint.relation is not Relation.SIBLING


class _About(_Strict):
    model: str
    """Registry name, e.g. `regnet-y-040`."""
    hub_id: str | None
    """None where the weights are not on the Hub."""
    short_name: str
    """The family's own name for the network, e.g. `RegNetY-4.0GF`."""
    checkpoints: dict[str, Checkpoint]
    lineage: Lineage | None = None


class _FactsFile(_About):
    schema_: Literal[1]
    read: date
    sources: dict[str, _SourceEntry]
    facts: list[_FactEntry]
    published: list[_PublishedRow] = []
    family: list[_PublishedRow] = []


class ModelFacts(_About):
    """All documented facts for one model."""

    facts: tuple[Fact, ...]
    family: tuple[Fact, ...] = ()
    """Published results of other sizes, to choose from: they answer nothing, and no statement is about them."""

    def row_value(self, row: str, metric: str) -> float | None:
        """A metric's value in one row of published results; None where the row has none."""
        found = next((fact for fact in self.facts if fact.key == f"documented.{metric}:{row}"), None)
        return found.evidence.number if found else None

    def get(self, key: str) -> Fact | None:
        """The fact called `key` if it may answer a question about the model; None otherwise."""
        return next((fact for fact in self.facts if fact.key == key and fact.answers), None)

    def published(self, metric: str) -> list[Fact]:
        """Published values of `metric` (e.g. `imagenet-val.top1`, `compute.throughput`), nearest checkpoint first."""
        nearness = list(self.checkpoints)
        documented = EvidenceKey.parse(f"documented.{metric}")
        found = [fact for fact in self.facts if fact.evidence.name.plain == documented]
        return sorted(found, key=lambda fact: nearness.index(fact.checkpoint_id))


def known_models() -> list[str]:
    """Registry names of the models that documented facts are kept for."""
    return sorted(Path(entry.name).stem for entry in files(__package__).iterdir() if entry.name.endswith(".yaml"))


def facts_for(model: str) -> ModelFacts | None:
    """The documented facts of a model, or None where none are kept.

    Args:
        model: registry name (`regnet-y-040`) or Hub reference (`hf:facebook/regnet-y-040@main`; prefix and revision
            may be missing).
    """
    name = model.removeprefix("hf:").partition("@")[0]
    for known in known_models():
        facts = _shipped(known)
        if name in (facts.model, facts.hub_id):
            return facts
    return None


@functools.cache
def _shipped(name: str) -> ModelFacts:
    entry = files(__package__).joinpath(f"{name}.yaml")
    return parse_facts(entry.read_text("utf-8"), origin=f"harness/facts/{name}.yaml")


def parse_facts(text: str, *, origin: str) -> ModelFacts:
    """Read a facts file.

    Args:
        text: the YAML text.
        origin: name of the file for messages.

    Raises:
        HarnessError: not YAML, an unknown field, a missing source; names file and line.
    """
    read = parse_yaml(text, origin)
    if read.root is None:
        raise HarnessError(f"{origin} is empty.", remedy="Write the facts, or remove the file.")

    def fail(where: _Where, message: str, remedy: str = "Mend that entry.") -> HarnessError:
        return HarnessError(f"{origin}, line {read.line(where)}: {message}.", remedy=remedy)

    try:
        file = _FactsFile.model_validate(read.data)
    except ValidationError as error:
        first = error.errors()[0]
        raise fail(first["loc"], f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    facts: dict[str, Fact] = {}
    for where, entry, setting in _entries(file):
        if entry.key in facts:
            message = f"two facts are called {entry.key}"
            raise fail(where, message, "Give one of them a variant (`key:variant`).")
        facts[entry.key] = _resolved(file, entry, setting, where, fail)
    others = _rows("family", file.family)
    family = tuple(_resolved(file, entry, setting, where, fail) for where, entry, setting in others)
    rows = [row.id for row in file.published]
    for index, candidate in enumerate(file.lineage.candidates if file.lineage else ()):
        where = ("lineage", "candidates", index)
        _check("checkpoint", candidate.checkpoint, file.checkpoints, (*where, "checkpoint"), fail)
        _check("row of published results", candidate.published, rows, (*where, "published"), fail)
    about = {name: getattr(file, name) for name in _About.model_fields}
    return ModelFacts(facts=tuple(facts.values()), family=family, **about)


def _entries(file: _FactsFile) -> Iterator[tuple[_Where, _FactEntry, str | None]]:
    """All facts of a file: where each stands, and for a published result how it was evaluated."""
    for index, entry in enumerate(file.facts):
        yield ("facts", index), entry, None
    yield from _rows("published", file.published)


def _rows(section: str, rows: list[_PublishedRow]) -> Iterator[tuple[_Where, _FactEntry, str | None]]:
    for index, row in enumerate(rows):
        shared = {"checkpoint": row.checkpoint, "source": row.source, "unit": "%"}
        for metric, value in row.values.items():
            fields = {"key": f"documented.{metric}:{row.id}", "value": value}
            name = EvidenceKey.parse(metric)
            place = row.places.get(name.where, row.places.get(name.benchmark, row.place))
            entry = _FactEntry.model_validate(fields | shared | {"place": place})
            yield (section, index), entry, row.setting
        if row.parameters is not None:
            place = row.places.get("imagenet-val", row.place)
            counted = {"key": f"documented.compute.parameters:{row.id}", "value": row.parameters, "place": place}
            entry = _FactEntry.model_validate(shared | counted | {"unit": "million parameters"})
            yield ("published", index), entry, None


def _check(kind: str, name: str, known: Collection[str], where: _Where, fail: _Fail) -> None:
    if name not in known:
        hits = " or ".join(nearest(name, known)) or ", ".join(known)
        raise fail(where, f"no {kind} is called '{name}'", f"Known: {hits}.")


def _resolved(file: _FactsFile, entry: _FactEntry, setting: str | None, where: _Where, fail: _Fail) -> Fact:
    """A file's entry as a fact: names become sources and checkpoints, places become addresses."""
    _check("checkpoint", entry.checkpoint, file.checkpoints, (*where, "checkpoint"), fail)
    checkpoint, read = file.checkpoints[entry.checkpoint], file.read.isoformat()

    def source(name: str, place: str | None, field: str) -> Source:
        _check("source", name, file.sources, (*where, field), fail)
        found = file.sources[name]
        url = _address(found, place)
        return Source(title=found.title, url=url, place=place, read=read, checkpoint=checkpoint.name)

    if entry.class_ is EvidenceClass.UNDISCLOSED and not entry.looked_in:
        raise fail(where, f"{entry.key} is undisclosed", "Say where was looked (`looked-in`).")
    try:
        evidence = Evidence(
            created=read,
            reason=entry.reason or entry.note,
            source=source(entry.source, entry.place, "source") if entry.source is not None else None,
            **entry.model_dump(include={"key", "class_", "value", "unit", "interval"}),
        )
    except ValidationError as error:
        raise fail(where, error.errors()[0]["msg"]) from error
    return Fact(
        evidence=evidence,
        checkpoint_id=entry.checkpoint,
        checkpoint=checkpoint,
        conflicts=tuple(
            Conflict(value=other.value, says=other.says, source=source(other.source, other.place, "conflicts"))
            for other in entry.conflicts
        ),
        also=tuple(source(other.source, other.place, "also") for other in entry.also),
        setting=setting,
        **entry.model_dump(include=set(_Words.model_fields)),
    )


def _address(entry: _SourceEntry, place: str | None) -> str:
    """The address of the place itself where the source is a repository and the place a file of it."""
    if entry.files is None or place is None:
        return entry.url
    if commit := _COMMIT_PLACE.match(place):
        return f"{entry.url}/commit/{commit['sha']}"
    match = _FILE_PLACE.match(place)
    if match is None:
        return entry.url
    if not match["first"]:
        return f"{entry.files}{match['path']}"
    plain = "?plain=1" if match["path"].endswith((".md", ".mdx", ".csv")) else ""
    last = f"-L{match['last']}" if match["last"] else ""
    return f"{entry.files}{match['path']}{plain}#L{match['first']}{last}"
