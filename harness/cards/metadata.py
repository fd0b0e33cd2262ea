"""Markers in the YAML front matter: a value stays valid for the Hub, or its entry goes.

The YAML is never written anew: only the value, or the lines of the entry, change; order, comments and quoting stay.
"""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

from harness.cards.answers import Answer, QuestionTable
from harness.cards.document import Block, Document, Edit, Marker
from harness.cards.knowledge import Knowledge
from harness.evidence import EvidenceClass

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
    value = _value(document, block.label, knowledge, table)
    if value is None:
        return _why_gone(block.label, knowledge), _removal(document, block)
    class_, key, text = value
    whole = document.text[block.start : block.end]
    around = whole.replace(document.text[marker.start : marker.end], "").strip("\"' ")
    if around:
        words = whole.replace(document.text[marker.start : marker.end], text).strip("\"'")
        text = json.dumps(words, ensure_ascii=False)
    return Answer(f"front matter: {block.label}", class_, [key], text, True), Edit(block.start, block.end, text)


def _why_gone(path: str, knowledge: Knowledge) -> Answer | None:
    question, key = _GONE.get(path.partition(".")[0], ("", ""))
    view = (knowledge.absent(key) or knowledge.find(key)) if key else None
    return Answer(question, view.class_, [view.key], "", True) if view else None


def _value(document: Document, path: str, knowledge: Knowledge, table: QuestionTable) -> Value | None:
    parts = path.split(".")
    top, last = parts[0], parts[-1]
    if top == "model-index":
        return _metric_value(document, path, knowledge, table)
    for key in table.metadata.get(top, ()):
        view = knowledge.find(key)
        if view is None:
            continue
        if top != "co2_eq_emissions":
            return view.class_, key, str(view.value)
        if last in ("co2_eq_emissions", "emissions"):
            return view.class_, key, f"{round(view.value * 1000)}"  # evidence is in kilograms, the Hub's key in grams
    return None


def _metric_value(document: Document, path: str, knowledge: Knowledge, table: QuestionTable) -> Value | None:
    """A result's value: measured on the whole benchmark, or none."""
    if not path.endswith(".value"):
        return None
    assert document.front_matter is not None
    data: Any = yaml.safe_load(document.text[slice(*document.front_matter)])
    dataset: dict[str, Any] = {}
    for part in path.split(".")[:-1]:
        data = data[int(part)] if isinstance(data, list) else data[part]
        dataset = data.get("dataset", dataset) if isinstance(data, dict) else dataset
    metric = f"{data.get('type', '')} {data.get('name', '')}".lower()
    named = f"{dataset.get('type', '')} {dataset.get('name', '')}"
    suffix = "top5" if re.search(r"top.?5", metric) else "top1" if "acc" in metric or "top" in metric else None
    for key, benchmark in table.benchmarks.items():
        if suffix and key.endswith(suffix) and re.search(benchmark.mention, named, re.IGNORECASE):
            found = knowledge.find(key)
            if found and found.class_ is EvidenceClass.MEASURED and not found.evidence.is_partial:
                return found.class_, key, f"{found.value:.2f}"
    return None


def _removal(document: Document, block: Block) -> Edit:
    """Remove the lines of the smallest entry that makes sense without the value."""
    assert document.front_matter is not None
    assert block.label is not None
    offset, stop = document.front_matter
    root = yaml.compose(document.text[offset:stop], Loader=yaml.SafeLoader)
    assert root is not None
    start, end = _entry_span(root, block.label.split("."))
    end = start + len(document.text[offset + start : offset + end].rstrip())
    first = document.line_start(document.line_of(offset + start))
    last = document.line_of(max(offset + start, offset + end - 1))
    return Edit(first, min(document.line_start(last + 1), stop), "")


def _entry_span(root: yaml.Node, path: list[str]) -> tuple[int, int]:
    """Offsets of the entry to remove for a value at `path`: its key, or the list item or parent that it empties."""
    node = root
    span = (root.start_mark.index, root.end_mark.index)
    for depth, part in enumerate(path):
        if isinstance(node, yaml.MappingNode):
            key, value = next((k, v) for k, v in node.value if str(k.value) == part)
            is_metric = path[0] == "model-index" and depth == len(path) - 1
            if len(node.value) > 1 and not is_metric:
                span = (key.start_mark.index, value.end_mark.index)
            node = value
        elif isinstance(node, yaml.SequenceNode):
            child = node.value[int(part)]
            if len(node.value) > 1:
                span = (child.start_mark.index, child.end_mark.index)
            node = child
    return span
