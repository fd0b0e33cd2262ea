"""The YAML front matter: made for a new card, completed in an existing one, and markers in it answered.

Existing YAML is never written anew: only a value, or the lines of an entry, change, and what is missing is added at the
end; order, comments and quoting stay. Everything that is written is checked by the Hub's schema before.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import yaml

from harness.cards.answers import Answer
from harness.cards.document import Block, Document, Edit, Marker, without_markers
from harness.cards.hub_schema import hub_vocabulary, metadata_faults
from harness.cards.knowledge import Knowledge, knowledge_of
from harness.cards.markdown import enumerate_words
from harness.cards.questions import QuestionTable
from harness.data.catalog import benchmarks
from harness.errors import HarnessError
from harness.evidence import Evidence, EvidenceClass, EvidenceKey, Ledger, round_to_interval
from harness.metrics.registry import metrics

_SOURCE = {"name": "Measured with harness; see the card", "url": "https://github.com/harness-cards/harness"}
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
        "source": f"{view.class_.value}, not metered, by harness{between}; see Environmental Impact",
        "training_type": "pre-training",
    } | ({"hardware_used": hardware} if hardware else {})


def model_index(ledger: Ledger) -> list[dict[str, Any]]:
    """`model-index`: accuracies measured by harness on whole published benchmarks, and nothing else."""
    known = {name: benchmark for name, benchmark in benchmarks(ledger).items() if benchmark.package is None}
    results = []
    for name in dict.fromkeys(item.name.benchmark for item in ledger):
        items = [(spec, ledger.get(f"{name}.{spec.name}")) for spec in metrics().values() if spec.hub_type is not None]
        found = [
            {"type": spec.hub_type, "name": spec.title, "value": round(item.number, spec.decimals)}
            for spec, item in items
            if item is not None and is_publishable(item)
        ]
        if found and name in known:
            hub = known[name].hub
            dataset = {"type": hub.id if hub else name, "name": known[name].title}
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
        data = yaml.safe_load(text)
    except yaml.YAMLError:
        return None
    return data if isinstance(data, dict) else {} if data is None else None


# --- markers in a front matter ------------------------------------------------------------------------------------

Value = tuple[EvidenceClass, str, str]
"""Class, evidence key, and the value as YAML."""

_GONE = {
    "language": ("languages", "documented.model.languages"),
    "base_model": ("finetuned-from", "documented.model.finetuned-from"),
}
"""Keys whose entry goes because the question is answered by "none": question and evidence."""


def fill_metadata(
    document: Document, block: Block, marker: Marker, knowledge: Knowledge, table: QuestionTable
) -> tuple[Answer | None, Edit]:
    """The answer and the edit for a marker in the front matter.

    An emission is written in grams; a metric's value only where it was measured on the whole benchmark. Without an
    answer the entry is removed and the marker counts as unanswered.
    """
    if block.label is None:
        return None, Edit(marker.start, marker.end, "not answered by this harness")
    value = _value(document, block.label.split("."), knowledge, table)
    if value is None:
        question, key = _GONE.get(block.label.partition(".")[0], ("", ""))
        view = (knowledge.absent(key) or knowledge.find(key)) if key else None
        why = Answer(question, view.class_, [view.key], "", True) if view else None
        return why, _removal(document, block.label.split("."))
    class_, key, text = value
    whole, asked = document.text[block.start : block.end], document.text[marker.start : marker.end]
    if whole.replace(asked, "").strip("\"' "):
        text = json.dumps(whole.replace(asked, text).strip("\"'"), ensure_ascii=False)
    return Answer(f"front matter: {block.label}", class_, [key], text, True), Edit(block.start, block.end, text)


def _value(document: Document, path: list[str], knowledge: Knowledge, table: QuestionTable) -> Value | None:
    top, last = path[0], path[-1]
    if top == "model-index":
        return _metric_value(document, path, knowledge, table) if last == "value" else None
    for key in table.metadata.get(top, ()):
        view = knowledge.find(key)
        if view is not None and top != "co2_eq_emissions":
            return view.class_, key, str(view.value)
        if view is not None and last in (top, "emissions") and (emissions := training_emissions(knowledge)):
            return view.class_, key, str(emissions["emissions"])
    return None


def _metric_value(document: Document, path: list[str], knowledge: Knowledge, table: QuestionTable) -> Value | None:
    """A result's value: measured on the whole benchmark, or none."""
    assert document.front_matter is not None
    data: Any = yaml.safe_load(document.text[slice(*document.front_matter)])
    dataset: dict[str, Any] = {}
    for part in path[:-1]:
        data = data[int(part)] if isinstance(data, list) else data[part]
        dataset = data.get("dataset", dataset) if isinstance(data, dict) else dataset
    metric = f"{data.get('type', '')} {data.get('name', '')}".lower()
    named = f"{dataset.get('type', '')} {dataset.get('name', '')}"
    suffix = "top5" if re.search(r"top.?5", metric) else "top1" if "acc" in metric or "top" in metric else None
    for key, benchmark in table.benchmarks.items():
        if EvidenceKey.parse(key).metric == suffix and re.search(benchmark.mention, named, re.IGNORECASE):
            found = knowledge.find(key)
            if found and found.class_ is EvidenceClass.MEASURED and not found.evidence.is_partial:
                return found.class_, key, f"{found.value:.2f}"
    return None


def _removal(document: Document, path: list[str]) -> Edit:
    """Remove the lines of the smallest entry that makes sense without the value at `path`: its key, or the list item or
    parent that it empties."""
    assert document.front_matter is not None
    offset, stop = document.front_matter
    node = yaml.compose(document.text[offset:stop], Loader=yaml.SafeLoader)
    assert node is not None
    first = last = node
    for depth, part in enumerate(path if path != [""] else []):  # a front matter may be one scalar
        is_metric = False
        if isinstance(node, yaml.MappingNode):
            key, value = next((k, v) for k, v in node.value if str(k.value) == part)
            is_metric = path[0] == "model-index" and depth == len(path) - 1
        else:
            key = value = node.value[int(part)]
        if len(node.value) > 1 and not is_metric:
            first, last = key, value
        node = value
    start, end = offset + first.start_mark.index, offset + last.end_mark.index
    end = start + len(document.text[start:end].rstrip())
    after = document.line_start(document.line_of(max(start, end - 1)) + 1)
    return Edit(document.line_start(document.line_of(start)), min(after, stop), "")
