"""The YAML front matter: made for a new card, completed in an existing one, and markers in it answered.

Existing YAML is never written anew: only a value, or the lines of an entry, change, and what is missing is added at the
end; order, comments and quoting stay. Everything that is written is checked by the Hub's schema before.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from harness.cards.answers import HARNESS_URL, Answer, Writer
from harness.cards.contradictions import FilledMarker
from harness.cards.document import Document, Edit, Marker, apply_edits, without_markers
from harness.cards.hub_schema import hub_vocabulary, metadata_faults
from harness.cards.knowledge import Knowledge, knowledge_of
from harness.cards.markdown import enumerate_words
from harness.data.catalog import benchmarks
from harness.errors import HarnessError
from harness.evidence import Evidence, EvidenceClass, EvidenceKey, Ledger, round_to_interval
from harness.metrics.registry import metrics
from harness.parsing.files import MalformedError
from harness.parsing.yaml import parse_yaml

_SOURCE = {"name": "Measured with harness; see the card", "url": HARNESS_URL}
"""Where a result comes from."""
_GRAMS = {"g CO2e": 1.0, "kg CO2e": 1e3, "t CO2e": 1e6}

# --- a new front matter -------------------------------------------------------------------------------------------


def card_metadata(ledger: Ledger | None, *, model: str) -> dict[str, Any]:
    """What is known of a model as the Hub's metadata, in the Hub's order; nothing that is not known.

    Args:
        ledger: the model's evidence; None takes the documented facts alone.
        model: registry name or Hub reference.

    Raises:
        HarnessError: the Hub would not accept what came out (an entry of the ledger is odd).
    """
    knowledge = knowledge_of(model, ledger)
    about = ledger.model if ledger else {}
    licence = (about.get("checkpoint") or {}).get("licence")
    licence = str(licence or _first(knowledge, "documented.license.hub-tag", "documented.license.code") or "")
    has_identifier = licence.lower() in hub_vocabulary()["licences"]  # of the Hub; another licence goes by its name
    training_set = _first(knowledge, "documented.data.hub-tag")
    base = _first(knowledge, "documented.model.finetuned-from")
    index = model_index(ledger) if ledger is not None else []
    types = [metric["type"] for entry in index for result in entry["results"] for metric in result["metrics"]]
    found = {
        "license": licence.lower() if has_identifier else licence and "other",
        "license_name": None if has_identifier else licence,
        "library_name": about.get("library") or _first(knowledge, "documented.model.library"),
        "pipeline_tag": "image-classification",
        "tags": ["image-classification", "vision"],
        "datasets": [training_set] if training_set else None,
        "base_model": None if base == "none" else base,
        "co2_eq_emissions": training_emissions(knowledge),
        "metrics": list(dict.fromkeys(types)),
        "model-index": index,
    }
    found = {key: value for key, value in found.items() if value}
    check_metadata(found)
    return found


def metadata_remarks(knowledge: Knowledge) -> dict[str, str]:
    """What a careful reader must know beside a key of the front matter, by key: that sources name different licences."""
    found = [knowledge.find(key) for key in ("documented.license.hub-tag", "documented.license.code")]
    said = [view for view in found if view is not None]
    if len({str(view.value).lower() for view in said}) < 2:
        return {}
    return {"license": f"the sources disagree: {enumerate_words(view.text.replace('`', '') for view in said)}"}


def _first(knowledge: Knowledge, *keys: str) -> str | None:
    view = next((view for view in map(knowledge.find, keys) if view is not None), None)
    return str(view.value) if view else None


def training_emissions(knowledge: Knowledge) -> dict[str, Any] | None:
    """`co2_eq_emissions`: of training alone, in grams, with the interval and where it comes from in words."""
    view = knowledge.find("carbon.training")
    factor = _GRAMS.get(view.evidence.unit or "") if view else None
    if view is None or factor is None:
        return None
    interval = view.evidence.interval
    if view.class_ is EvidenceClass.DOCUMENTED:  # the model's author says so
        return {"emissions": round(view.value * factor)}
    grams = [round_to_interval(v, view.evidence) * factor for v in (interval.low, interval.high)] if interval else []
    between = ", {:,.0f} to {:,.0f} g".format(*grams) if grams else ""
    hardware = _first(knowledge, "documented.training.hardware")
    return {
        "emissions": round(round_to_interval(view.value, view.evidence) * factor),
        "source": f"{view.class_.value} by harness, not metered{between}; see Environmental Impact",
        "training_type": "pre-training",
    } | ({"hardware_used": hardware} if hardware else {})


def model_index(ledger: Ledger) -> list[dict[str, Any]]:
    """`model-index`: accuracies measured by harness on whole published benchmarks, and nothing else.

    Accuracies are fractions there: `type` is a metric of hf.co/metrics, whose `accuracy` lies between 0 and 1, and so do the
    values of the Hub's own examples and of the libraries that write them.
    """
    known = {name: benchmark for name, benchmark in benchmarks(ledger).items() if benchmark.package is None}
    results = []
    for name in dict.fromkeys(item.name.benchmark for item in ledger):
        items = [(spec, ledger.get(f"{name}.{spec.name}")) for spec in metrics().values() if spec.hub_type is not None]
        found = [
            {"type": spec.hub_type, "name": spec.title, "value": _hub_value(item, spec.decimals)}
            for spec, item in items
            if item is not None and is_publishable(item)
        ]
        but = next((f"; {item.reason}" for _, item in items if item is not None and item.reason), "")
        if found and name in known:
            hub = known[name].hub
            dataset = {"type": hub.id if hub else name, "name": known[name].title + (but if known[name].is_own else "")}
            if hub:  # the three sets of ImageNetV2 are archives of one repository: the name tells them apart
                config = hub.config or (name if hub.archive else None)
                dataset |= {key: value for key, value in (("config", config), ("split", hub.split)) if value}
            result = {
                "task": {"type": "image-classification", "name": "Image classification"},
                "dataset": dataset,
                "metrics": found,
                "source": dict(_SOURCE),  # one of its own, or YAML writes references
            }
            results.append(result)
    return [{"name": str(ledger.model.get("title") or ledger.model["name"]), "results": results}] if results else []


def _hub_value(item: Evidence, decimals: int) -> float:
    """As the Hub writes it: percentages as fractions."""
    return round(item.number / 100, decimals + 2) if item.unit == "%" else round(item.number, decimals)


def is_publishable(item: Evidence) -> bool:
    """Whether a value may stand as the benchmark's score: measured here, on all of it, with nothing left out."""
    whole = item.n is not None and item.n == item.N
    here = "imported" not in (item.protocol or {})
    return item.class_ is EvidenceClass.MEASURED and whole and here and item.is_number


def check_metadata(data: Mapping[str, Any]) -> None:
    """Check what is to be written by the Hub's schema.

    Raises:
        HarnessError: a value that the Hub would refuse or misread; names the key.
    """
    for fault in metadata_faults(data):
        raise HarnessError(f"The front matter's {fault}.", remedy="Mend the evidence that it comes from.")


def dump_metadata(data: Mapping[str, Any]) -> str:
    """YAML as the Hub's pages have it: one key a line, in the order given, no line break at the end."""
    return without_markers(yaml.safe_dump(dict(data), sort_keys=False, allow_unicode=True, width=1000).rstrip())


# --- an existing front matter -------------------------------------------------------------------------------------


def complete_metadata(
    document: Document, data: Mapping[str, Any], remarks: Mapping[str, str] | None = None
) -> tuple[list[str], Edit | None]:
    """The keys that a card's front matter lacks, and the edit that adds them at its end, or a front matter where
    there is none; existing keys, their order and comments stay. A front matter that can't be read stays as it is.

    Args:
        remarks: by key, what is written above it as a comment.
    """
    newline = document.newline

    def dump(keys: Mapping[str, Any]) -> str:
        above = {key: f"# {remark[:1].upper()}{remark[1:]}.\n" for key, remark in (remarks or {}).items()}
        return "\n".join(above.get(key, "") + dump_metadata({key: value}) for key, value in keys.items())

    if document.front_matter is None:
        begin = 1 if document.text.startswith("\ufeff") else 0
        text = f"---\n{dump(data)}\n---\n\n".replace("\n", newline)
        return list(data), Edit(begin, begin, text)
    start, end = document.front_matter
    there = read_metadata(document.text[start:end])
    if there is None or not (missing := {key: value for key, value in data.items() if key not in there}):
        return [], None
    before = "" if end == start or document.text[end - 1] in "\r\n" else newline
    added = before + f"{dump(missing)}\n".replace("\n", newline)
    together = read_metadata(document.text[start:end] + added)
    if together is None or not together.keys() >= {*there, *missing}:
        return [], None  # written in a way that can't be added to line by line, such as one pair of braces
    return list(missing), Edit(end, end, added)


def read_metadata(text: str) -> dict[Any, Any] | None:
    """A front matter's keys; None where it can't be read as such."""
    try:
        data = parse_yaml(text).data
    except MalformedError:
        return None
    return data if isinstance(data, dict) else {} if data is None else None


# --- markers in a front matter ------------------------------------------------------------------------------------

Path = tuple[str, ...]
"""Keys and positions that lead to a value, `("model-index", "0", "name")`."""
Value = tuple[EvidenceClass, str, str]
"""Class, evidence key, and the value as YAML."""

_GONE = {
    "language": ("languages", "documented.model.languages"),
    "base_model": ("finetuned-from", "documented.model.finetuned-from"),
}
"""Keys whose entry goes because the question is answered by "none": question and evidence."""
_NEEDED = {"metrics": "value", "results": "metrics", "model-index": "results"}
"""What each entry of a list in `model-index` is worth nothing without."""


def fill_metadata(
    document: Document, markers: Sequence[Marker], writer: Writer
) -> tuple[list[FilledMarker], str | None]:
    """The answers and edits for the markers in the front matter, or why they are left.

    An emission is written in grams; a metric's value only where it was measured on the whole benchmark. Without a value the
    entry goes: of `model-index` the metric, a result without metrics, an index without results. The front matter is
    left where it would say anything else afterwards.
    """
    if not markers or document.front_matter is None:
        return [], None
    start, stop = document.front_matter
    data = read_metadata(document.text[start:stop])
    paths = [tuple((marker.block.label or "").split(".")) for marker in markers]
    if data is None or not all(
        marker.block.label and _is_in(data, path) for marker, path in zip(markers, paths, strict=True)
    ):
        return [], "a front matter that can't be read as keys and values"
    values = {path: _value(data, path, writer) for path in paths}
    gone = _gone(data, (), {path for path, value in values.items() if value is None})
    edits: dict[Path, Edit] = {path: _removal(document, path) for path in gone}
    rows = []
    for marker, path in zip(markers, paths, strict=True):
        over = next((path[:depth] for depth in range(1, len(path) + 1) if path[:depth] in gone), None)
        value, block = values[path], marker.block
        if over is not None or value is None:
            rows.append(FilledMarker(marker, [], _why_gone(path, writer.knowledge), edits[over or path]))
            continue
        class_, key, text = value
        whole, asked = document.text[block.start : block.end], document.text[marker.start : marker.end]
        if whole.replace(asked, "").strip("\"' "):
            text = json.dumps(whole.replace(asked, text).strip("\"'"), ensure_ascii=False)
        edits[path] = Edit(block.start, block.end, text)
        rows.append(
            FilledMarker(
                marker, [], Answer(f"front matter: {marker.block.label}", class_, [key], text, True), edits[path]
            )
        )
    moved = [Edit(edit.start - start, edit.end - start, edit.new) for edit in dict.fromkeys(edits.values())]
    try:
        after = read_metadata(apply_edits(document.text[start:stop], moved))
    except ValueError:
        after = None
    if after != _expected(
        data, (), gone, {path: edits[path].new for path in paths if path in edits and path not in gone}
    ):
        return [], "a front matter whose entries can't be changed line by line"
    return rows, None


def _is_in(data: Any, path: Path) -> bool:
    for part in path:
        if isinstance(data, dict) and part in data:
            data = data[part]
        elif isinstance(data, list) and part.isdecimal() and int(part) < len(data):
            data = data[int(part)]
        else:
            return False
    return True


def _items(data: Any) -> list[tuple[str, Any]]:
    pairs = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [(str(key), value) for key, value in pairs]


def _gone(data: Any, path: Path, without: set[Path]) -> set[Path]:
    """The outermost entries that say nothing without some values."""
    if path in without:
        return {path}
    inner = {key: _gone(value, (*path, key), without) for key, value in _items(data)}
    gone = {key for key, paths in inner.items() if (*path, key) in paths}
    needed = _NEEDED.get(path[-2]) if len(path) > 1 and path[0] == "model-index" else None
    if path and gone and (gone == inner.keys() or needed in gone):
        return {path}
    return set().union(*inner.values())


def _expected(data: Any, path: Path, gone: set[Path], values: Mapping[Path, str]) -> Any:
    """What the front matter is to say."""
    if path in values:
        return parse_yaml(values[path]).data
    kept = {
        key: _expected(value, (*path, key), gone, values) for key, value in _items(data) if (*path, key) not in gone
    }
    if isinstance(data, dict):
        return {key: kept[str(key)] for key in data if str(key) in kept}
    return list(kept.values()) if isinstance(data, list) else data


def _why_gone(path: Path, knowledge: Knowledge) -> Answer:
    question, key = _GONE.get(path[0], (f"front matter: {'.'.join(path)}", ""))
    view = (knowledge.absent(key) or knowledge.find(key)) if key else None
    return Answer(
        question, view.class_ if view else EvidenceClass.UNDISCLOSED, [view.key] if view else [], "", True, view is None
    )


def _value(data: Any, path: Path, writer: Writer) -> Value | None:
    top, last, knowledge = path[0], path[-1], writer.knowledge
    if top == "model-index":
        return _metric_value(data, path, writer) if last == "value" else None
    for key in writer.table.metadata.get(top, ()):
        view = knowledge.find(key)
        if view is not None and top != "co2_eq_emissions":
            return view.class_, key, str(view.value)
        if view is not None and last in (top, "emissions") and (emissions := training_emissions(knowledge)):
            return view.class_, key, str(emissions["emissions"])
    return None


def _metric_value(data: Any, path: Path, writer: Writer) -> Value | None:
    """A result's value: measured on the whole benchmark, or none."""
    dataset: dict[str, Any] = {}
    for part in path[:-1]:
        data = data[int(part)] if isinstance(data, list) else data[part]
        dataset = data.get("dataset", dataset) if isinstance(data, dict) else dataset
    metric = f"{data.get('type', '')} {data.get('name', '')}".lower()
    named = f"{dataset.get('type', '')} {dataset.get('name', '')}"
    suffix = "top5" if re.search(r"top.?5", metric) else "top1" if "acc" in metric or "top" in metric else None
    for key, benchmark in writer.table.scores.items():
        if EvidenceKey.parse(key).metric == suffix and re.search(benchmark.mention, named, re.IGNORECASE):
            found = writer.knowledge.find(key)
            if found and is_publishable(found.evidence):
                return found.class_, key, str(_hub_value(found.evidence, 2))
    return None


def _removal(document: Document, path: Path) -> Edit:
    """Remove the lines of an entry."""
    assert document.front_matter is not None
    offset, stop = document.front_matter
    node: Any = parse_yaml(document.text[offset:stop]).root
    key = node
    for part in path:
        if isinstance(node, yaml.MappingNode):
            key, node = next((key, value) for key, value in node.value if str(key.value) == part)
        else:
            key = node = node.value[int(part)]
    start, end = offset + key.start_mark.index, offset + node.end_mark.index
    end = start + len(document.text[start:end].rstrip())
    after = document.line_start(document.line_of(max(start, end - 1)) + 1)
    return Edit(document.line_start(document.line_of(start)), min(after, stop), "")
