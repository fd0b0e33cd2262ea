"""What a card states in fields: front matter, `model-index` and BibTeX."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import yaml

from harness.cards.document import Block, Document
from harness.cards.passages import Passage
from harness.cards.quantities import quantities
from harness.cards.sentences import Span
from harness.cards.stated import ACCURACY, Statement, Value, renamed
from harness.cards.vocabulary import Property, vocabulary
from harness.parsing.files import MalformedError
from harness.parsing.yaml import parse_yaml

_READ_APART = (
    "", "license", "license name", "license link", "library name", "pipeline tag", "datasets", "dataset", "tags", "language", "metrics",
    "widget", "model index", "thumbnail", "inference", "co2 eq emissions", "extra gated prompt",
)  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """A BibTeX entry's fields, each with its place in the text."""

    kind: str
    fields: dict[str, tuple[str, Span]]


def read_fields(document: Document) -> Iterator[Statement]:
    """The statements of front matter, and of a `model-index` that stands in the text."""
    return (statement for text, start in _yaml_parts(document) for statement in _front_matter(text, start))


def field_passages(document: Document) -> Iterator[Passage]:
    """The other fields of front matter, each as a cell that its path heads."""
    for block in document.blocks:
        path = (block.label or "").replace("_", " ").replace("-", " ").split(".")
        if block.kind == "front-matter" and path[0] not in _READ_APART:
            titles = tuple(part for part in path[-2:] if part and not part.isdigit())
            context = f"{' — '.join(titles)}: "
            own = document.text[block.start : block.end]
            yield Passage(
                context + own, len(context), block.start, (block.start, block.end), (), "cell", titles[-1] if titles else "",
                titles, raw=own,
            )  # fmt: skip


def read_citations(document: Document) -> Iterator[tuple[Entry, Block]]:
    """The BibTeX entries of a card with the block that each stands in; a field's place is one in the card."""
    for block in document.blocks:
        if block.kind in ("fence", "indented-code", "paragraph", "html"):
            for entry in bibtex_entries(document.text[block.start : block.end]):
                at = block.start
                fields = {name: (value, (at + a, at + b)) for name, (value, (a, b)) in entry.fields.items()}
                yield Entry(entry.kind, fields), block


def _yaml_parts(document: Document) -> Iterator[tuple[str, int]]:
    """Front matter, and a `model-index` that stands in the text."""
    if document.front_matter:
        yield document.text[slice(*document.front_matter)], document.front_matter[0]
    body = document.front_matter[1] if document.front_matter else 0
    for match in re.finditer(r"^model-index:[ \t]*\n(?:(?:[ \t-].*)?\n)+", document.text[body:] + "\n", re.MULTILINE):
        yield match.group(), body + match.start()


def _front_matter(text: str, start: int) -> Iterator[Statement]:
    safe = re.sub(r"[\ud800-\udfff\x00\x85\u2028\u2029\xa0]", " ", text)
    try:
        root = parse_yaml(safe).root
    except MalformedError:
        return
    if not isinstance(root, yaml.MappingNode):
        return
    words = vocabulary()
    named = {
        "license": "licence",
        "library_name": "library",
        "pipeline_tag": "task",
        "datasets": "training data",
        "dataset": "training data",
    }
    for key, node in root.value:
        about = next((p for p in words.properties if p.name == named.get(key.value)), None)
        nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
        for item in nodes if about else ():
            names = (
                about.names_in(item.value.replace("/", " ")) if about and isinstance(item, yaml.ScalarNode) else set()
            )
            if about and len(names) == 1:
                yield _field(about, names.pop(), item, start, f"{key.value}: {item.value}")
        if key.value == "model-index":
            yield from _model_index(node, start)


def _field(about: Property, value: Value, node: yaml.Node, start: int, words: str, **more: Any) -> Statement:
    span = start + node.start_mark.index, start + node.end_mark.index
    return Statement(about, value, span, Passage(words, 0, span[0], span, (), "field"), 0, words=words, **more)


def _model_index(node: yaml.Node, start: int) -> Iterator[Statement]:
    words = vocabulary()
    for model in node.value if isinstance(node, yaml.SequenceNode) else ():
        for result in _items(_get(model, "results")):
            data = " ".join(str(yaml.serialize(part)) for part in (_get(result, "dataset"),) if part is not None)
            benchmark = next(
                (
                    name
                    for name, pattern in words.benchmark_patterns
                    if pattern.search(data.replace("imagenet-1k", "ImageNet-1k"))
                ),
                None,
            )
            for metric in _items(_get(result, "metrics")):
                value = _get(metric, "value")
                named = [_get(metric, key) for key in ("name", "type")]
                names = [name.value for name in named if isinstance(name, yaml.ScalarNode)]
                kind = _metric_of(names)
                if benchmark is None or kind is None or not isinstance(value, yaml.ScalarNode):
                    continue
                number = next(quantities(value.value), None)
                if number is not None:
                    percent = number.times(100) if 0 < number.value <= 1 else number
                    percent = replace(percent, percent=True, scaled=False)
                    shown = percent.complement() if kind[1] else percent
                    about = renamed(ACCURACY, "top-1 accuracy" if kind[0] == "top1" else "top-5 accuracy")
                    yield _field(about, shown, value, start, f"{names[0]}: {value.value}", metric=(benchmark, kind[0]))


def _metric_of(names: list[str]) -> tuple[str, bool] | None:
    """Which metric a model-index names, and whether it is an error."""
    for name in names:
        for metric in ("top5", "top1", "mce"):
            known = vocabulary().metrics[metric]
            if known.error_pattern and known.error_pattern.search(name.replace("_", " ")):
                return metric, True
            if known.pattern.search(name.replace("_", " ")):
                return metric, False
    return None


def _get(node: yaml.Node | None, key: str) -> yaml.Node | None:
    return (
        next((value for name, value in node.value if name.value == key), None)
        if isinstance(node, yaml.MappingNode)
        else None
    )


def _items(node: yaml.Node | None) -> list[yaml.Node]:
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def bibtex_entries(text: str) -> list[Entry]:
    """The entries of a text; braces and accents are taken off the values."""
    entries = []
    heads = list(re.finditer(r"@(\w+)\s*\{", text))
    for head, following in itertools.zip_longest(heads, heads[1:]):
        body_end = following.start() if following else len(text)
        fields = {}
        for match in re.finditer(r"(?:^|[,{\n])\s*(\w+)\s*=\s*", text[head.end() : body_end]):
            at = head.end() + match.end()
            end = _value_end(text, at, body_end)
            fields[match[1].lower()] = (_untex(text[at:end]), (at, end))
        entries.append(Entry(head[1].lower(), fields))
    return entries


def _value_end(text: str, at: int, stop: int) -> int:
    depth, quote = 0, text[at : at + 1] == '"'
    for index in range(at, stop):
        character = text[index]
        depth += (character == "{") - (character == "}")
        if (depth <= 0 and not quote and (character in ",\n" or depth < 0)) or (
            quote and index > at and character == '"' and text[index - 1] != "\\"
        ):
            return index + (1 if quote else 0)
        if depth == 0 and character == "}":
            return index + 1
    return stop


def _untex(value: str) -> str:
    plain = re.sub(r"\\[`'^\"~=.uvHtcdbr]\s*\{?\\?([A-Za-z])\}?", r"\1", value)
    return re.sub(r"\s+", " ", re.sub(r"[{}\"]|\\", "", plain)).strip()
