"""YAML as suites, catalogs, policies and cards have it: JSON's types and dates, once each key, and no more than a person writes.

Aliases are kept, since suites use them, but what they repeat is counted before anything is built: nine lines can name a
billion values. Nothing here recurses deeper than `MOST_DEPTH`.
"""

from __future__ import annotations

import contextlib
import copy
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import yaml
from yaml.composer import Composer
from yaml.constructor import ConstructorError, SafeConstructor

from harness.parsing.files import MalformedError, read_text

MOST_CHARACTERS = 2_000_000
MOST_DEPTH = 60
MOST_VALUES = 200_000
"""Values of a text, those that aliases repeat counted each time."""
_PLAIN = {
    f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "timestamp", "str", "seq", "map", "value")
}
_MERGE = "tag:yaml.org,2002:merge"
ODD = re.compile(
    r"[^\n\r -~\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
    r"|(?:^|[\s\[{},:-])!|(?:^|[\s\[{])\?(?:\s|\Z)|(?:^|\s)[|>][+0-9-]*#",
    re.MULTILINE,
)
"""What libyaml and PyYAML don't read alike: tabs and other characters that can't be seen, tags, explicit keys."""


@dataclass(frozen=True)
class Yaml:
    """A text that was read."""

    root: yaml.Node | None
    """Its nodes with their places; None for an empty text."""
    _data: Any

    @property
    def data(self) -> Any:
        """Its values, the caller's own: maps, lists, text, numbers, yes and no, dates, None."""
        return copy.deepcopy(self._data)

    def line(self, path: Sequence[str | int]) -> int | None:
        """Line (from 1) of the deepest entry on a path of keys and positions that the text has."""
        node, line = self.root, self.root.start_mark.line if self.root is not None else None
        for part in path:
            if isinstance(node, yaml.MappingNode):
                hit = next((pair for pair in node.value if pair[0].value == str(part)), None)
                if hit is None:
                    break
                line, node = hit[0].start_mark.line, hit[1]
            elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
                node = node.value[part]
                line = node.start_mark.line
            else:
                break
        return None if line is None else line + 1


def parse_yaml(text: str, where: object = "the YAML") -> Yaml:
    """Read a YAML text of one document.

    Raises:
        MalformedError: it is no YAML, has a key twice, holds other types, or is too large, deep or often repeated; with its line.
    """
    if len(text) > MOST_CHARACTERS:
        raise MalformedError(where, f"it has {len(text):,} characters; {MOST_CHARACTERS:,} are the most")
    try:
        return _parsed(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        why = " ".join(filter(None, (error.context, error.problem)))
        raise MalformedError(where, f"not valid YAML: {why}", line=mark.line + 1 if mark else None) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise MalformedError(where, "not valid YAML: it holds a character that can't be printed", line=line) from error


def read_yaml(path: Path) -> Yaml:
    """Read a YAML file. Raises as `parse_yaml` and `read_text`."""
    return parse_yaml(read_text(path, most=4 * MOST_CHARACTERS), path)


@lru_cache(maxsize=16)  # a card's front matter is asked for by all who read the card
def _parsed(text: str) -> Yaml:
    if yaml.__with_libyaml__ and not ODD.search(text):
        with contextlib.suppress(yaml.YAMLError):  # PyYAML tells it in its own words
            return built(fast_loader()(text))
    return built(Loader(text))


def built(loader: Any) -> Yaml:
    """What a loader of a text reads. Raises as PyYAML does."""
    try:
        root = loader.get_single_node()
        _measure(root, {}, set())
        # Building changes the nodes of merged maps, so those that are kept are copied before.
        kept = copy.deepcopy(root) if loader.has_merges else root
        return Yaml(kept, loader.construct_document(root) if root is not None else None)
    finally:
        loader.dispose()


class _Bounds(Composer, SafeConstructor):
    """Nodes and values from events, with bounds, and with a line for each fault."""

    depth = 0
    has_merges = False
    peek_event: Callable[[], Any]

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self.depth += 1
        if self.depth > MOST_DEPTH:
            raise _fault(f"it is nested more than {MOST_DEPTH} deep", self.peek_event().start_mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen: set[tuple[str, Any]] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _fault("a list or map can't be a key", key.start_mark)
            self.has_merges |= key.tag == _MERGE
            if (key.tag, key.value) in seen:
                raise _fault(f"'{key.value[:60]}' is given more than once", key.start_mark)
            seen.add((key.tag, key.value))
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        if node.tag not in _PLAIN:
            raise _fault(f"the tag {node.tag.replace('tag:yaml.org,2002:', '!!')} is not allowed", node.start_mark)
        try:
            value = super().construct_object(node, deep)
            fits = not isinstance(value, int | float) or math.isfinite(value)
        except (ValueError, LookupError, AttributeError, ArithmeticError, TypeError) as error:
            kind = node.tag.rpartition(":")[2]
            word = f"'{node.value[:60]}'" if isinstance(node.value, str) else "this"
            raise _fault(f"{word} is no {kind}", node.start_mark) from error
        if not fits:
            raise _fault(f"{node.value} is no finite number", node.start_mark)
        if isinstance(value, str) and any("\ud800" <= letter <= "\udfff" or letter == "\0" for letter in value):
            raise _fault("this text holds characters that are none", node.start_mark)
        return value


_Bounds.add_constructor("tag:yaml.org,2002:value", SafeConstructor.construct_yaml_str)  # type: ignore[type-var]  # a lone `=`


class Loader(_Bounds, yaml.SafeLoader):
    """PyYAML's own."""


@cache
def fast_loader() -> Any:
    """Takes its events from libyaml."""

    class Fast(_Bounds, yaml.CSafeLoader):
        def __init__(self, text: str) -> None:
            Composer.__init__(self)
            yaml.CSafeLoader.__init__(self, text)

    return Fast


def _fault(why: str, mark: Any) -> ConstructorError:
    return ConstructorError(None, None, why, mark)


def _measure(node: yaml.Node | None, known: dict[int, tuple[int, int]], open_: set[int]) -> tuple[int, int]:
    """How many values a node stands for, and how deep, with its aliases written out."""
    if node is None or isinstance(node, yaml.ScalarNode):
        return 1, 1
    if id(node) in open_:
        raise _fault("it contains itself", node.start_mark)
    if id(node) not in known:
        open_.add(id(node))
        parts = [value for _, value in node.value] if isinstance(node, yaml.MappingNode) else node.value
        inner = [_measure(part, known, open_) for part in parts]
        open_.remove(id(node))
        count, depth = 1 + sum(n for n, _ in inner), 1 + max((d for _, d in inner), default=0)
        if count > MOST_VALUES or depth > MOST_DEPTH:
            bound = f"{MOST_VALUES:,} values" if count > MOST_VALUES else f"{MOST_DEPTH} levels"
            raise _fault(f"with its aliases written out it has more than {bound}", node.start_mark)
        known[id(node)] = count, depth
    return known[id(node)]
