"""What cards state values of, and the words for it: `templates/claims.yaml`, compiled."""

from __future__ import annotations

import functools
import re

import yaml
from pydantic import Field, ValidationError

from harness.cards.questions import Table
from harness.errors import HarnessError
from harness.files import shipped_folder


class Property(Table):
    """A thing that cards state a value of; the fields are explained at the top of claims.yaml."""

    id: str
    words: tuple[str, ...]
    keys: tuple[str, ...]
    question: str | None = None
    units: str | dict[str, float] = Field(default_factory=dict)
    alone: bool = False
    range: tuple[float, float] = (0.0, 1e18)
    number: bool = True
    """Whether a number may follow its words."""
    names: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    frames: tuple[str, ...] = ()
    technique: bool = False
    contains: str | None = None
    """For a technique: what evidence that names several must contain if it was used."""
    against: str | None = None
    """For a technique: what evidence must contain that rules it out; other evidence decides nothing."""
    itself: bool = False
    """Whether it must be said of the model: others' methods are often told."""
    list: str | None = None
    """Which list: `depths`, `widths`, `mean` or `std`."""
    resolution: bool = False
    total: bool = False
    """Whether it is the sum of a list."""
    count: bool = False
    """Whether it is how many entries a list has."""
    downstream: bool = False
    """Whether it is of a network built on this one, whose name then stands beside it."""
    labels: tuple[str, ...] = ()
    decoys: tuple[str, ...] = ()
    unless: str | None = None
    needs: str | None = None
    truncated: bool = False
    """Whether a number that is cut off, not rounded, is usual for it."""
    disputed: bool = False
    """Whether sources that disagree leave it open."""
    tolerance: float = 0.0
    """Relative difference between two ways of counting it."""
    people: bool = False
    year: bool = False
    address: str | None = None

    @functools.cached_property
    def words_pattern(self) -> re.Pattern[str] | None:
        return phrase(*self.words) if self.words else None

    @functools.cached_property
    def decoys_pattern(self) -> re.Pattern[str] | None:
        return phrase(*self.decoys) if self.decoys else None

    @functools.cached_property
    def labels_pattern(self) -> re.Pattern[str] | None:
        """Matches a label or heading that is about nothing else."""
        parts = [*self.words, *self.labels]
        return (
            re.compile(
                _spaced(
                    rf"\W*(?:{'|'.join(parts)})\W*(?:\([^)]*\)\W*)?(?:(?:per|at|@) (?:an? )?\d+(?:\s?[x×]\s?\d+)?(?: ?(?:px|pixels?))?(?: (?:image|input|crop))?\W*)?"
                ),
                re.IGNORECASE,
            )
            if parts
            else None
        )

    @functools.cached_property
    def unit_patterns(self) -> tuple[tuple[re.Pattern[str], float], ...]:
        units = {self.units: 1.0} if isinstance(self.units, str) else self.units
        return tuple(
            (re.compile(_spaced(rf" ?(?:{unit})(?![A-Za-z0-9])"), re.IGNORECASE), size) for unit, size in units.items()
        )

    @functools.cached_property
    def names_pattern(self) -> re.Pattern[str] | None:
        return phrase(*(form for forms in self.names.values() for form in forms)) if self.names else None

    @functools.cached_property
    def frame_patterns(self) -> tuple[re.Pattern[str], ...]:
        name = "|".join(form for forms in self.names.values() for form in forms)
        name = rf"(?<![A-Za-z0-9])(?P<name>{name})(?![A-Za-z0-9])"
        return tuple(re.compile(_spaced(frame.replace("NAME", name)), re.IGNORECASE) for frame in self.frames)

    def canonical(self, name: str) -> str:
        """The name's canonical form."""
        for canonical, pattern in self._forms:
            if pattern.fullmatch(name):
                return canonical
        return name

    @functools.cached_property
    def _forms(self) -> tuple[tuple[str, re.Pattern[str]], ...]:
        return tuple((name, re.compile(_spaced("|".join(forms)), re.IGNORECASE)) for name, forms in self.names.items())

    def names_in(self, text: str) -> set[str]:
        """Canonical names that a text holds."""
        return (
            {self.canonical(match.group()) for match in self.names_pattern.finditer(text)}
            if self.names_pattern
            else set()
        )

    def excludes(self, text: str, section: tuple[str, ...] = ()) -> bool:
        """Whether a text's words say that it is about something else."""
        needed = self.needs is None or _search(self.needs, " ".join((text, *section)))
        return bool(_search(self.unless, text)) or not needed


class Metric(Table):
    """What an accuracy goes by, and what the error that complements it does."""

    words: tuple[str, ...]
    error: tuple[str, ...] = ()

    @functools.cached_property
    def pattern(self) -> re.Pattern[str]:
        return phrase(*self.words)

    @functools.cached_property
    def error_pattern(self) -> re.Pattern[str] | None:
        return phrase(*self.error) if self.error else None


class Vocabulary(Table):
    """`claims.yaml`."""

    properties: tuple[Property, ...]
    metrics: dict[str, Metric]
    benchmarks: dict[str, tuple[str, ...]]
    other_benchmarks: str
    families: tuple[str, ...]
    hypothetical: str
    elsewhere: str
    itself: str
    parts: str
    wording: dict[str, str]
    """Regular expressions of the words around values, by what they do."""
    judgements: str
    """Regular expression of words that judge without a number."""

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
    """Matches any of the forms as whole words; a space in one stands for white space, hyphens and underscores."""
    return re.compile(_spaced(rf"(?<![A-Za-z0-9])(?:{'|'.join(forms)})(?![A-Za-z0-9])"), re.IGNORECASE)


def _spaced(pattern: str) -> str:
    return pattern.replace(" ?", r"[\s_–-]?").replace(" ", r"[\s_–-]+")


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(_spaced(pattern), re.IGNORECASE)


def _search(pattern: str | None, text: str) -> re.Match[str] | None:
    return _compiled(pattern).search(text) if pattern else None


@functools.cache
def vocabulary() -> Vocabulary:
    """The shipped vocabulary.

    Raises:
        HarnessError: the file can't be read as one; names the first fault.
    """
    path = shipped_folder("templates") / "claims.yaml"
    try:
        data = yaml.safe_load(path.read_text("utf-8"))
        return Vocabulary.model_validate({key.replace("-", "_"): value for key, value in data.items()})
    except (ValidationError, yaml.YAMLError) as error:
        raise HarnessError(f"{path} is not a vocabulary of claims: {error}", remedy="Mend that entry.") from error


def wording(name: str) -> re.Pattern[str]:
    """The words around values that do what the name says."""
    return re.compile(vocabulary().wording[name], re.IGNORECASE)
