"""What cards state and ask values of, the words for it, and what answers: `templates/properties.yaml`, compiled."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from harness.cards.literals import literals
from harness.errors import HarnessError
from harness.files import shipped_folder
from harness.parsing.yaml import read_yaml

_NOTHING = "(?!)"
"""An expression that matches nothing."""


class Table(BaseModel):
    """What a shipped YAML file holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Property(Table):
    """A thing that cards state a value of or leave open; the fields are explained at the top of properties.yaml."""

    id: str
    name: str
    words: tuple[str, ...] = ()
    says: tuple[str, ...] = ()
    cues: str = ""
    keys: tuple[str, ...] = ()
    template: str = "fact"
    evidence: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    suite: str | None = None
    metrics: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    prefer: Literal["suite"] | None = None
    stays_unknown: bool = False
    unknown: str = ""
    subject: str = ""
    verb: str = ""
    lead: str = ""
    items: tuple[str, ...] | dict[str, str] = ()
    values: tuple[str, ...] = ()
    units: dict[str, float] = Field(default_factory=dict)
    """What follows a number of it, each with its size."""
    alone: bool = False
    range: tuple[float, float] = (0.0, 1e18)
    number: bool = True
    """Whether a number may follow its words."""
    names: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    technique: bool = False
    contains: str | None = None
    """For a technique: what evidence that names several must contain if it was used."""
    against: str | None = None
    """For a technique: what evidence must contain that rules it out; other evidence decides nothing."""
    itself: bool = False
    """Whether it must be said of the model: others' methods are often told."""
    list: str | None = None
    """Which list: `depths`, `widths`, `mean`, `std` or `names`."""
    resolution: bool = False
    total: bool = False
    """Whether it is the sum of a list."""
    count: bool = False
    """Whether it is how many entries a list has."""
    downstream: bool = False
    """Whether it is of a network built on this one, whose name then stands beside it."""
    labels: tuple[str, ...] = ()
    decoys: tuple[str, ...] = ()
    unless: str = _NOTHING
    needs: str | None = None
    beside: str | None = None
    truncated: bool = False
    """Whether a number that is cut off, not rounded, is usual for it."""
    disputed: bool = False
    """Whether sources that disagree leave it open."""
    tolerance: float = 0.0
    """Relative difference between two ways of counting it."""
    people: bool = False
    listed_by: str | None = None
    tested_by: str | None = None
    year: bool = False
    address: str | None = None
    detail: str | None = None
    """Expression of the number that evidence in words gives of it."""

    @model_validator(mode="before")
    @classmethod
    def _defaults(cls, data: dict[str, Any]) -> dict[str, Any]:
        name, keys = data.get("name", data["id"].replace("-", " ")), data.get("keys", ())
        cues = data["id"].replace("-", "_").lower()
        known = {"name": name, "cues": cues, "evidence": keys, "unknown": f"The {name} is"}
        if not {"template", "unknown"} & data.keys():
            is_recipe = any(key.startswith("documented.training.") for key in keys)
            known |= {"subject": f"The {name}", "verb": "was" if is_recipe else "is"}
        known |= data
        return {"absent": known["evidence"]} | known

    @property
    def is_measurable(self) -> bool:
        """Whether it asks for something that can be measured."""
        return bool(self.metrics) or any(key.startswith("compute.") for key in self.evidence)

    @property
    def is_speed(self) -> bool:
        """Whether its value hangs on the machine and what it was given."""
        return any(re.match(r"compute\.(?:throughput|latency|peak)", key) for key in self.keys)

    @functools.cached_property
    def said_pattern(self) -> re.Pattern[str]:
        """Matches its words where a value is stated."""
        return phrase(*self.words, *self.says)

    @functools.cached_property
    def words_pattern(self) -> re.Pattern[str]:
        return phrase(*self.words)

    @functools.cached_property
    def decoys_pattern(self) -> re.Pattern[str]:
        return phrase(*self.decoys)

    @functools.cached_property
    def labels_pattern(self) -> re.Pattern[str]:
        """Matches a label or heading that is about nothing else."""
        size = r"(?:per|at|@) (?:an? )?\d+(?:\s?[x×]\s?\d+)?(?: ?(?:px|pixels?))?(?: (?:image|input|crop))?\W*"
        return _compiled(rf"\W*{_any_of([*self.words, *self.labels])}\W*(?:\([^)]*\)\W*)?(?:{size})?")

    @functools.cached_property
    def unit_patterns(self) -> tuple[tuple[re.Pattern[str], float], ...]:
        """Matches each of its units right behind a number, with the unit's size."""
        return tuple((_compiled(rf" ?(?:{unit})(?![A-Za-z0-9])"), size) for unit, size in self.units.items())

    def has_unit_at(self, text: str, at: int) -> bool:
        """Whether one of its units stands at a place of a text."""
        return any(pattern.match(text, at) for pattern, _ in self.unit_patterns)

    def is_counted_in(self, text: str) -> bool:
        """Whether a text tells a number of its unit already."""
        return self.alone and _compiled(rf"\d ?{_any_of(self.units)}(?![A-Za-z0-9])").search(text) is not None

    @functools.cached_property
    def names_pattern(self) -> re.Pattern[str]:
        return phrase(*itertools.chain(*self.names.values()))

    @functools.cached_property
    def literals(self) -> frozenset[str]:
        """What a text that states a value of it must hold one of; the empty string where it may hold anything."""
        forms = (*self.words, *self.says, *self.decoys, *self.labels, *self.units, *filter(None, [self.address]))
        return frozenset().union(
            *(literals(_spaced(form)) for form in (*forms, *itertools.chain(*self.names.values())))
        )

    def canonical(self, name: str) -> str:
        """The name's canonical form."""
        return next((known for known, forms in self.names.items() if _compiled("|".join(forms)).fullmatch(name)), name)

    def names_in(self, text: str) -> set[str]:
        """Canonical names that a text holds."""
        return {self.canonical(match.group()) for match in self.names_pattern.finditer(text)}

    def is_elsewhere(self, text: str) -> bool:
        """Whether a text's words say that it is about something that only sounds like it."""
        return bool(_compiled(self.unless).search(text) or self.decoys_pattern.search(text))

    def excludes(self, text: str, section: tuple[str, ...] = ()) -> bool:
        """Whether a text's words say that it is about something else."""
        needed = self.needs is None or _compiled(self.needs).search(" ".join((text, *section)))
        return bool(_compiled(self.unless).search(text)) or not needed


class Metric(Table):
    """What an accuracy goes by, and what the error that complements it does."""

    words: tuple[str, ...]
    error: tuple[str, ...] = ()

    @functools.cached_property
    def pattern(self) -> re.Pattern[str]:
        return phrase(*self.words)

    @functools.cached_property
    def error_pattern(self) -> re.Pattern[str]:
        return phrase(*self.error)


class Score(Table):
    """How a benchmark's metric is called in a card, and how to see that a text speaks of it."""

    name: str
    mention: str
    suite: str


class Kind(Table):
    """A kind of answer: expressions of what asks for it, and of what is one."""

    asked: str
    answer: str


class FieldWords(Table):
    """How the fields of a model's files are called in words."""

    silent: tuple[str, ...]
    """Words of a field's name that a text need not say."""
    told: dict[str, str]
    """Expressions of how a word of a field's name is told, where it is not by itself."""
    called: dict[str, str]
    """Expressions of what a field is called whose name doesn't tell it."""
    beside: tuple[str, ...]
    """Words beside a field's name that ask nothing more."""


class Vocabulary(Table):
    """`properties.yaml`."""

    properties: tuple[Property, ...]
    suites: dict[str, str]
    """What each suite needs to run."""
    scores: dict[str, Score]
    """By metric."""
    silent: tuple[str, ...]
    """Words that ask nothing themselves."""
    alike: tuple[str, ...]
    """Words of one meaning."""
    fields: FieldWords
    kinds: dict[str, Kind]
    metadata: dict[str, tuple[str, ...]]
    metrics: dict[str, Metric]
    benchmarks: dict[str, tuple[str, ...]]
    other_benchmarks: str
    families: tuple[str, ...]
    parts: str
    wording: dict[str, str]
    """Regular expressions of the words around values, by what they do."""

    def get(self, property_id: str) -> Property:
        return self._by_id[property_id]

    @functools.cached_property
    def _by_id(self) -> dict[str, Property]:
        return {about.id: about for about in self.properties}

    def spoken_of(self, text: str) -> list[Property]:
        """The properties that a text may be about, by a quick look."""
        text = text.lower()
        begun = self._literals.keys() & {(), *zip(text, text[1:], text[2:], strict=False)}
        found = {place for start in begun for word, places in self._literals[start] if word in text for place in places}
        return [self.properties[place] for place in sorted(found)]

    @functools.cached_property
    def _literals(self) -> dict[tuple[str, ...], list[tuple[str, list[int]]]]:
        """The literals of all properties, each with the places of those that it is one of, by their first three letters; shorter ones by none."""
        places: dict[str, list[int]] = {}
        for place, about in enumerate(self.properties):
            for word in about.literals:
                places.setdefault(word, []).append(place)
        begun: dict[tuple[str, ...], list[tuple[str, list[int]]]] = {(): []}
        for word, listed in places.items():
            begun.setdefault(tuple(word[:3]) if len(word) > 2 else (), []).append((word, listed))
        return begun

    @functools.cached_property
    def score_pattern(self) -> re.Pattern[str]:
        """Matches words for a metric, its error or a benchmark."""
        metrics = (form for metric in self.metrics.values() for form in (*metric.words, *metric.error))
        return phrase(*metrics, *itertools.chain(*self.benchmarks.values()))

    @functools.cached_property
    def benchmark_patterns(self) -> tuple[tuple[str, re.Pattern[str]], ...]:
        return tuple((name, phrase(*forms)) for name, forms in self.benchmarks.items())

    @functools.cached_property
    def parts_pattern(self) -> re.Pattern[str]:
        return phrase(self.parts)

    @functools.cached_property
    def model_names(self) -> re.Pattern[str]:
        written = _spaced("|".join(self.families))
        ids = _spaced(
            "|".join(
                family.lower() for family in self.families if re.fullmatch(r"[A-Za-z0-9]{4,}|ViT|\(\?:SE.*", family)
            )
        )
        rest = r"[A-Za-z0-9]*(?:[-_./](?=[A-Za-z0-9])[A-Za-z0-9]+)*(?:[ -](?:[Vv]\d|Tiny|Small|Base|Large|XL|Huge|Nano|Pico|Femto|Atto)\b)?"
        return re.compile(
            rf"(?<![A-Za-z0-9])(?:\w+/)?(?:\d+GF[ ])?(?:(?:{written}){rest}|(?:tv_|tf_)?(?:{ids})(?=[a-z]?[-_0-9]){rest})"
        )


def phrase(*forms: str) -> re.Pattern[str]:
    """Matches any of the forms as whole words; a space in one stands for white space, hyphens and underscores. Of no forms
    it matches nothing."""
    return _compiled(rf"(?<![A-Za-z0-9]){_any_of(forms)}(?![A-Za-z0-9])")


def _any_of(forms: Iterable[str]) -> str:
    return f"(?:{'|'.join(forms) or _NOTHING})"


def _spaced(pattern: str) -> str:
    return pattern.replace(" ?", r"[\s_–-]?").replace(" ", r"[\s_–-]+")


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(_spaced(pattern), re.IGNORECASE)


@functools.cache
def vocabulary() -> Vocabulary:
    """The shipped vocabulary.

    Raises:
        HarnessError: the file can't be read as one; names the first fault.
    """
    path = shipped_folder("templates") / "properties.yaml"
    try:
        data = read_yaml(path).data
        translated, contexts = data.pop("translations"), data.pop("contexts")
        for entry in data["properties"]:
            unless = [*(contexts[name] for name in entry.pop("outside", ())), entry.get("unless", _NOTHING)]
            entry["unless"] = "|".join(unless)
            if isinstance(units := entry.get("units"), str):
                entry["units"] = {units: 1.0}
            entry["says"] = [*entry.get("says", ()), *translated.get(entry["id"], ())]
        return Vocabulary.model_validate({key.replace("-", "_"): value for key, value in data.items()})
    except ValidationError as error:
        raise HarnessError(f"{path} is no table of properties: {error}", remedy="Mend that entry.") from error


def wording(name: str) -> re.Pattern[str]:
    """The words around values that do what the name says."""
    return re.compile(vocabulary().wording[name], re.IGNORECASE)
