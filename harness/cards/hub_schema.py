"""A card's front matter by the Hub's documented schema (modelcard.md of github.com/huggingface/hub-docs).

The Hub's client has classes for it too (`ModelCardData`, `EvalResult`), which take any value for any field: they are what
a card has to come through unharmed, not what tells whether it is right.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, Discriminator, Field, Tag, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from harness.cards.document import Document, decode
from harness.errors import nearest
from harness.parsing.files import MalformedError
from harness.parsing.yaml import parse_yaml, read_yaml


@cache
def hub_vocabulary() -> dict[str, frozenset[str]]:
    """Words that the Hub takes in a front matter: `licences` and `pipeline-tags`; their sources are in the file."""
    found = read_yaml(Path(__file__).with_name("hub_vocabulary.yaml")).data
    return {name: frozenset(words) for name, words in found.items()}


def _known(kind: str, value: object) -> object:
    known = hub_vocabulary()[kind]
    if not isinstance(value, str) or value not in known:
        hits = nearest(str(value), known)
        hint = f"; did you mean {' or '.join(hits)}?" if hits else ""
        raise PydanticCustomError("word", "'{word}' is unknown to the Hub{hint}", {"word": str(value), "hint": hint})
    return value


# --- the schema ----------------------------------------------------------------------------------------------------

_Kind = TypeVar("_Kind")
_SHAPES = ("plain", "block")
_by_shape = Discriminator(lambda value: "block" if isinstance(value, list | dict) else "plain")
Text = Annotated[str, Field(strict=True, pattern=r"\S")]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Grams = Annotated[Number, Field(ge=0)]
Licence = Annotated[Any, BeforeValidator(partial(_known, "licences"))]
PipelineTag = Annotated[Any, BeforeValidator(partial(_known, "pipeline-tags"))]
OneOrMore = Annotated[Annotated[_Kind, Tag("plain")] | Annotated[list[_Kind], Tag("block")], _by_shape]


class _Block(BaseModel):
    """Keys and values. Keys that the schema doesn't name are allowed, and one that is missing counts as empty."""

    @model_validator(mode="before")
    @classmethod
    def _missing_is_none(cls, data: object) -> object:
        names = (field.alias or name for name, field in cls.model_fields.items())
        return dict.fromkeys(names) | data if isinstance(data, dict) else data


class Task(_Block):
    type: Text
    name: Text | None


class Dataset(_Block):
    type: Text
    name: Text
    config: Text | None
    split: Text | None
    revision: Text | None


class Metric(_Block):
    type: Text
    value: Number


class Source(_Block):
    url: Text


class Result(_Block):
    task: Task
    dataset: Dataset
    metrics: Annotated[list[Metric], Field(min_length=1)]
    source: Source | None


def _has_results(entry: object) -> object:
    if not isinstance(entry, dict) or not isinstance(entry.get("results"), list):
        raise PydanticCustomError("results", "needs a name and a list of results")
    return entry


class IndexEntry(_Block):
    """The results of one model."""

    name: Text
    results: list[Result]


class Emissions(_Block):
    emissions: Grams
    source: Text | None
    training_type: Text | None
    geographical_location: Text | None
    hardware_used: Text | None


class FrontMatter(_Block):
    """The keys whose values the Hub checks."""

    license: OneOrMore[Licence] | None
    license_name: Text | None
    license_link: Text | None
    library_name: Text | None
    pipeline_tag: PipelineTag | None
    language: OneOrMore[Text] | None
    tags: list[Text] | None
    datasets: OneOrMore[Text] | None
    metrics: OneOrMore[Text] | None
    base_model: OneOrMore[Text] | None
    co2_eq_emissions: Annotated[Annotated[Grams, Tag("plain")] | Annotated[Emissions, Tag("block")], _by_shape] | None
    index: Annotated[list[Annotated[IndexEntry, BeforeValidator(_has_results)]] | None, Field(alias="model-index")]


# --- what is wrong with one ----------------------------------------------------------------------------------------


def card_faults(card: bytes) -> list[str]:
    """What the front matter of a card has that the Hub's schema doesn't allow, each with its place."""
    text = decode(card)
    span = Document(text).front_matter
    if span is None:
        opened = text.lstrip("\ufeff").startswith("---")
        return ["the front matter's closing line '---' is missing"] if opened else []
    try:
        data = parse_yaml(text[slice(*span)]).data
    except MalformedError as error:
        line = f"line {error.line + 1}: " if error.line else ""
        return [f"{line}the front matter is {error.why}"]
    if data is None:
        return []
    return metadata_faults(data) if isinstance(data, dict) else ["the front matter is not a list of keys and values"]


def metadata_faults(data: Mapping[str, Any]) -> list[str]:
    """What a front matter's values have that the Hub's schema doesn't allow, each with its place.

    >>> metadata_faults({"license": "mit", "tags": ["vision", 2024]})
    ['tags[1]: 2024 is not text; put it in quotes']
    """
    found: list[str] = []
    try:
        FrontMatter.model_validate(dict(data))
    except ValidationError as error:
        found = [f"{_place(item['loc'])}: {_message(item)}" for item in error.errors(include_url=False)]
    if data.get("license") == "other" and not data.get("license_name"):
        found.append("license_name: is needed where the licence is 'other'")
    return found + _repeated(data.get("model-index"))


def _place(loc: tuple[int | str, ...]) -> str:
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc if part not in _SHAPES)
    return "".join(parts).removeprefix(".")


def _message(error: ErrorDetails) -> str:
    value = error["input"]
    match error["type"]:
        case "string_type" | "string_pattern_mismatch" if error["loc"][-1] == "url":
            return "is needed where a source is given"
        case "string_type" | "string_pattern_mismatch":
            return f"{value!r} is not text" + ("; put it in quotes" if isinstance(value, bool | int | float) else "")
        case "float_type" | "finite_number" | "greater_than_equal":
            kind = "number of grams" if error["loc"][0] == "co2_eq_emissions" else "plain number"
            return f"{value!r} is not a {kind}"
        case "list_type" | "model_type" if value is None:
            return "is missing"
        case "list_type":
            return "is not a list"
        case "model_type":
            return "is not a mapping"
        case "too_short":
            return "needs at least one metric"
    return error["msg"]


def _repeated(index: object) -> list[str]:
    """Results that the Hub's client would take for one."""
    found = []
    sound = (identity(result) for result in results_of(index) if isinstance(result.get("dataset"), dict))
    for (_, dataset, *parts), count in Counter(sound).items():
        if count > 1:
            about = ": ".join(filter(None, (str(dataset), ", ".join(filter(None, parts)))))
            found.append(
                f"model-index: {count} results are about the same thing ({about}): the Hub's client makes one of them, and "
                "loses a source; give config or split"
            )
    return found


def identity(result: Mapping[str, Any]) -> tuple[str | None, ...]:
    """What the Hub's client tells results apart by (`EvalResult.unique_identifier`): task, data set, configuration,
    split, revision."""
    task, dataset = (part if isinstance(part, dict) else {} for part in (result.get("task"), result.get("dataset")))
    parts = [task.get("type"), *(dataset.get(name) for name in ("type", "config", "split", "revision"))]
    return tuple(None if part is None else str(part) for part in parts)


def results_of(index: object) -> Iterator[dict[str, Any]]:
    """The results in a `model-index`, whatever else is wrong with it."""
    for model in index if isinstance(index, list) else []:
        results = model.get("results") if isinstance(model, dict) else None
        yield from (result for result in (results if isinstance(results, list) else []) if isinstance(result, dict))
