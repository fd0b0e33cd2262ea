"""A card checked before it is sent, by the Hub's documented schema (modelcard.md of github.com/huggingface/hub-docs).

The Hub's own endpoint is asked as well, when a commit is sent. This is for what it doesn't look at (two results under one
identity, of which a reader of the card keeps one source; a number that isn't in the ledger) and for an answer without
network.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from harness.cards.document import Document, decode
from harness.cards.metadata import hub_vocabulary, model_index
from harness.data.catalog import benchmarks
from harness.errors import ExitCode, HarnessError, nearest
from harness.evidence import Ledger

LARGEST_CARD = 10_000_000
"""Bytes; the Hub stores larger files apart, and doesn't show them as a card."""


@dataclass(frozen=True)
class Fault:
    """What the Hub's schema doesn't allow."""

    where: str
    """E.g. `license`, `model-index[0].results[1].dataset.name`."""
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else self.message


def check_content(card: bytes, name: str) -> None:
    """Refuse what is no card at all.

    Raises:
        HarnessError: empty, not UTF-8, or too large.
    """
    if not card.strip():
        raise HarnessError(f"{name} is empty.", remedy="Give a card with content.", exit_code=ExitCode.CHECK_FAILED)
    if len(card) > LARGEST_CARD:
        raise HarnessError(
            f"{name} has {len(card):,} bytes; the Hub shows no card over {LARGEST_CARD:,}.",
            remedy="Move large parts to files of their own.",
            exit_code=ExitCode.CHECK_FAILED,
        )
    try:
        card.decode("utf-8")
    except UnicodeDecodeError as error:
        line = card.count(b"\n", 0, error.start) + 1
        raise HarnessError(
            f"{name}, line {line}: byte 0x{card[error.start]:02x} is not UTF-8, and the Hub takes nothing else.",
            remedy="Save the card as UTF-8.",
            exit_code=ExitCode.CHECK_FAILED,
        ) from error


def card_faults(card: bytes) -> list[Fault]:
    """What the front matter of a card has that the Hub's schema doesn't allow."""
    text = decode(card)
    span = Document(text).front_matter
    if span is None:
        if text.lstrip("\ufeff").startswith("---"):
            return [Fault("", "the front matter's closing line '---' is missing")]
        return []
    try:
        root = yaml.compose(text[slice(*span)], Loader=yaml.SafeLoader)
        data = yaml.safe_load(text[slice(*span)])
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 2}: " if mark else ""
        return [Fault("", f"{line}the front matter is not valid YAML: {getattr(error, 'problem', None) or error}")]
    if data is None:
        return []
    if not isinstance(data, dict):
        return [Fault("", "the front matter is not a list of keys and values")]
    assert isinstance(root, yaml.MappingNode)
    counted = Counter(str(key.value) for key, _ in root.value)
    twice = [Fault(key, "is given more than once") for key, count in counted.items() if count > 1]
    return twice + list(metadata_faults(data))


def metadata_faults(data: Mapping[str, Any]) -> Iterator[Fault]:
    """What a front matter's values have that the Hub's schema doesn't allow."""
    for key, check in _CHECKS.items():
        if data.get(key) is not None:
            yield from check(key, data[key])
    licence = data.get("license")
    if licence == "other" and not data.get("license_name"):
        yield Fault("license_name", "is needed where the licence is 'other'")


def _text(key: str, value: Any) -> Iterator[Fault]:
    if not isinstance(value, str) or not value.strip():
        hint = "; put it in quotes" if isinstance(value, bool | int | float) else ""
        yield Fault(key, f"{value!r} is not text{hint}")


def _texts(key: str, value: Any) -> Iterator[Fault]:
    if not isinstance(value, list):
        yield Fault(key, "is not a list")
        return
    for index, item in enumerate(value):
        yield from _text(f"{key}[{index}]", item)


def _text_or_texts(key: str, value: Any) -> Iterator[Fault]:
    yield from _texts(key, value) if isinstance(value, list) else _text(key, value)


def _one_of(kind: str) -> Callable[[str, Any], Iterator[Fault]]:
    def check(key: str, value: Any) -> Iterator[Fault]:
        known = hub_vocabulary()[kind]
        if value in known:
            return
        hits = nearest(str(value), known)
        yield Fault(key, f"'{value}' is unknown to the Hub" + (f"; did you mean {' or '.join(hits)}?" if hits else ""))

    return check


def _licence(key: str, value: Any) -> Iterator[Fault]:
    for name in value if isinstance(value, list) else [value]:
        yield from _one_of("licences")(key, name)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _emissions(key: str, value: Any) -> Iterator[Fault]:
    grams = value.get("emissions") if isinstance(value, dict) else value
    where = f"{key}.emissions" if isinstance(value, dict) else key
    if grams is None or not _is_number(grams) or grams < 0:
        yield Fault(where, f"{grams!r} is not a number of grams")
    if isinstance(value, dict):
        for name in ("source", "training_type", "geographical_location", "hardware_used"):
            if value.get(name) is not None:
                yield from _text(f"{key}.{name}", value[name])


def _index(key: str, value: Any) -> Iterator[Fault]:
    if not isinstance(value, list):
        yield Fault(key, "is not a list")
        return
    for i, model in enumerate(value):
        where = f"{key}[{i}]"
        if not isinstance(model, dict) or not isinstance(model.get("results"), list):
            yield Fault(where, "needs a name and a list of results")
            continue
        yield from _text(f"{where}.name", model.get("name"))
        for j, result in enumerate(model["results"]):
            yield from _result(f"{where}.results[{j}]", result)
    sound = [result for result in _results(value) if isinstance(result.get("dataset"), dict)]
    counted = Counter(identity(result) for result in sound)
    for (_, dataset, config, split, revision), count in counted.items():
        if count > 1:
            parts = ", ".join(str(part) for part in (config, split, revision) if part)
            yield Fault(
                key,
                f"{count} results are about the same thing ({dataset}{f': {parts}' if parts else ''}): the Hub's client "
                "makes one of them, and loses a source; give config or split",
            )


def _result(where: str, result: Any) -> Iterator[Fault]:
    if not isinstance(result, dict):
        yield Fault(where, "is not a mapping")
        return
    for part, needed, allowed in (
        ("task", ("type",), ("name",)),
        ("dataset", ("type", "name"), ("config", "split", "revision")),
    ):
        block = result.get(part)
        if not isinstance(block, dict):
            yield Fault(f"{where}.{part}", "is missing")
            continue
        for name in needed:
            yield from _text(f"{where}.{part}.{name}", block.get(name))
        for name in allowed:
            if block.get(name) is not None:
                yield from _text(f"{where}.{part}.{name}", block[name])
    metrics = result.get("metrics")
    if not isinstance(metrics, list) or not metrics:
        yield Fault(f"{where}.metrics", "needs at least one metric")
        metrics = []
    for k, metric in enumerate(metrics):
        place = f"{where}.metrics[{k}]"
        if not isinstance(metric, dict):
            yield Fault(place, "is not a mapping")
            continue
        yield from _text(f"{place}.type", metric.get("type"))
        if not _is_number(metric.get("value")):
            yield Fault(f"{place}.value", f"{metric.get('value')!r} is not a plain number")
    source = result.get("source")
    if source is not None and (not isinstance(source, dict) or not source.get("url")):
        yield Fault(f"{where}.source.url", "is needed where a source is given")


_CHECKS: dict[str, Callable[[str, Any], Iterator[Fault]]] = {
    "license": _licence,
    "license_name": _text,
    "license_link": _text,
    "library_name": _text,
    "pipeline_tag": _one_of("pipeline-tags"),
    "language": _text_or_texts,
    "tags": _texts,
    "datasets": _text_or_texts,
    "metrics": _text_or_texts,
    "base_model": _text_or_texts,
    "co2_eq_emissions": _emissions,
    "model-index": _index,
}


def identity(result: Mapping[str, Any]) -> tuple[Any, ...]:
    """What the Hub's client tells results apart by: task, data set, configuration, split, revision."""
    task, dataset = result.get("task"), result.get("dataset")
    task = task if isinstance(task, dict) else {}
    dataset = dataset if isinstance(dataset, dict) else {}
    return task.get("type"), *(dataset.get(name) for name in ("type", "config", "split", "revision"))


def _results(index: Any) -> Iterator[dict[str, Any]]:
    for model in index if isinstance(index, list) else []:
        results = model.get("results") if isinstance(model, dict) else None
        yield from (result for result in results or [] if isinstance(result, dict))


def front_matter(card: bytes) -> dict[str, Any]:
    """A card's metadata; empty where there is none, or none that can be read."""
    text = decode(card)
    span = Document(text).front_matter
    try:
        data = yaml.safe_load(text[slice(*span)]) if span else None
    except yaml.YAMLError:
        return {}
    return data if isinstance(data, dict) else {}


def _scores(index: Any) -> set[tuple[Any, ...]]:
    return {
        (*identity(result), metric.get("name"), str(metric.get("value")))
        for result in _results(index)
        for metric in result.get("metrics") or []
        if isinstance(metric, dict)
    }


def unproven_scores(card: bytes, there: bytes | None, ledger: Ledger) -> list[str]:
    """Scores on known benchmarks that a card adds to what is on the Hub and that its ledger doesn't hold as measured on
    the whole benchmark.

    Args:
        card: the card to send.
        there: the card on the Hub now.
    """
    known = {name for b in benchmarks().values() for name in (b.name, b.hub.id if b.hub else None) if name}
    added = _scores(front_matter(card).get("model-index"))
    added -= _scores(front_matter(there or b"").get("model-index")) | _scores(model_index(ledger))
    found = [f"{score[1]}{f', {score[5]}' if score[5] else ''}: {score[6]}" for score in added if score[1] in known]
    return sorted(found)
