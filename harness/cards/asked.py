"""What a place in a card asks beside the quantity: data set, device, precision, resolution, who measured, and so on.

`templates/asked.yaml` says how each of these facets is told in words. The words around a marker and those of a piece of
evidence are read by the same expressions; evidence that doesn't say of itself what the place asks is no answer to it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from harness.cards.views import View
from harness.cards.vocabulary import Property, Table, vocabulary
from harness.evidence import EvidenceClass, EvidenceKey
from harness.files import shipped_folder
from harness.parsing.yaml import read_yaml


class Facet(Table):
    """One facet; the fields are explained at the top of asked.yaml."""

    of: str
    missing: str
    values: dict[str, list[str]]
    told_by: tuple[str, ...]
    default: tuple[str, ...] = ()
    own_words: bool = False
    also: tuple[str, ...] = ()
    own_of: str | None = None
    measurable: str

    @functools.cached_property
    def _expression(self) -> re.Pattern[str]:
        parts = (f"(?P<v{index}>{entry[0]})" for index, entry in enumerate(self.values.values()))
        return re.compile("|".join(parts), re.IGNORECASE)

    def read(self, text: str) -> Iterator[tuple[str, str, re.Match[str]]]:
        """What a text says of the facet: name, words and place of each value, and of the wider value that it is one of."""
        for match in self._expression.finditer(text):
            name, entry = next(item for i, item in enumerate(self.values.items()) if match[f"v{i}"] is not None)
            _, words, wider = [*entry, "", ""][:3]
            yield _name(match.group()) if name.startswith("?") else name, words or match.group(), match
            if wider:
                yield wider, "", match


def _name(text: str) -> str:
    """The name of a value that is called what it is: `224 x 224` and `resolution 224` are one."""
    numbers = re.fullmatch(
        r"(?:(?:[a-z]+[ _])*?(?:size|res(?:olution)?)(?: of)?|batch[- ]?(?:size)?(?: of|=|:)?|bs ?=?)? ?(\d+)(?: ?[×x] ?\1)?(?: ?(?:px|pixels?))?",
        text,
        re.I,
    )
    return numbers[1] if numbers else re.sub(r"[\s_.-]+", "", text.lower()).replace("×", "x")


@functools.cache
def facets() -> dict[str, Facet]:
    """The shipped facets, by name."""
    data = read_yaml(shipped_folder("templates") / "asked.yaml").data
    return {name: Facet.model_validate(entry) for name, entry in data.items()}


def concerns(name: str, about: Property) -> bool:
    """Whether a facet can be asked about a property."""
    facet = facets()[name]
    subjects = [EvidenceKey.parse(key).subject for key in (*about.evidence, *about.metrics)]
    return any(re.search(of, subject) for of in (facet.of, facet.own_of) if of for subject in subjects)


class Missing(NamedTuple):
    """What is missing: `published`, `in INT8`."""

    verb: str
    words: str


@dataclass(frozen=True)
class Asked:
    """What a place asks beside the quantity."""

    values: dict[str, dict[str, str]] = field(default_factory=dict)
    """By facet: the values asked, with their words."""
    by_itself: frozenset[str] = frozenset()
    """Facets that the marker's own cell or label asks."""
    own_names: tuple[str, ...] = ()
    """What the model itself is called."""
    siblings: frozenset[str] = frozenset()
    """Other checkpoints that its words mean: only what is said of one of them answers."""
    sizes: Mapping[str, str] = field(default_factory=dict)
    """Of each checkpoint the side of its images, which a result of it is at where it says none."""

    @classmethod
    def read(
        cls, own: Sequence[str], around: Sequence[str], own_names: Sequence[str], sources: Sequence[str] = ()
    ) -> Asked:
        """Read from the words of a place.

        Args:
            own: of the marker's cell or label, nearest first.
            around: of its sentence, caption and headings, nearest first; nearer words take the place of farther ones.
            own_names: what the model is called.
            sources: titles of sources; one that stands there is who must say it.
        """
        ids = "|".join(re.escape(name) for name in own_names if not name.isalpha()) or "(?!)"
        networks = re.compile(rf"{vocabulary().model_names.pattern}|(?<![\w.-])(?:{ids})(?![\w-])")
        found: dict[str, dict[str, str]] = {}
        by_itself = set()
        for name, facet in facets().items():
            for text in own if facet.own_words and not facet.also else (*own, *around):
                bare = networks.sub(" ", text) if name == "dataset" else text
                read = [(value, words) for value, words, _ in facet.read(bare)]
                is_open = text in own or not facet.own_words
                told = [(value, words) for value, words in read if is_open or value in facet.also]
                if told:
                    wider = {value for value, words in told if not words}
                    found[name] = {value: words for value, words in told if value not in wider}
                    by_itself |= {name} if text in own else set()
                    break
        called = tuple(map(_name, own_names))
        for title in sources:
            if any(re.search(rf"(?<!\w){re.escape(title)}(?!\w)", text, re.IGNORECASE) for text in own):
                named = found.get("by", {}).keys() - {"published", "authors"} if "by" in by_itself else ()
                if not named and not any(_name(title) in name for name in called):
                    found["by"] = {_name(title): title}
        return cls(found, frozenset(by_itself), called)

    def about(self, keys: Sequence[str]) -> Asked:
        """Only what can be asked about some keys."""
        subjects = [EvidenceKey.parse(key).subject for key in keys]
        kept = {name: asked for name, asked in self.values.items() if any(self._concerns(name, s) for s in subjects)}
        return replace(self, values=kept)

    def _concerns(self, name: str, subject: str) -> bool:
        facet = facets()[name]
        return bool(re.search(facet.of, subject)) or (
            name in self.by_itself and facet.own_of is not None and bool(re.search(facet.own_of, subject))
        )

    def unmet_by(self, view: View) -> set[str]:
        """The facets that are asked and that a piece of evidence doesn't answer."""
        concerned = [name for name in self.values if self._concerns(name, view.name.subject)]
        return {name for name in concerned if not self._told(view, name) & self.values[name].keys()}

    def _told(self, view: View, name: str) -> set[str]:
        """What a piece of evidence says of a facet."""
        facet = facets()[name]
        if name == "model":
            return {value for value in self.values[name] for own in self.own_names if value in own or own in value}
        told = {value for text in _told(view, facet) for value, _, _ in facet.read(text)}
        if name == "by" and view.evidence.source:
            told.add(_name(view.evidence.source.title))
        if name == "resolution" and not told:
            return {_name(self.sizes.get(view.fact.checkpoint.name if view.fact else "", ""))} - {""}
        return told or ({*facet.default} if view.fact else set())

    def missing(self, candidates: Sequence[View]) -> Missing:
        """What is asked and none of the candidates answers, in words."""
        unmet = set.intersection(*map(self.unmet_by, candidates)) if candidates else {*self.values}
        names = [name for name in self.values if name in unmet] or list(self.values)
        is_own = any(own in name or name in own for name in self.values.get("model", ()) for own in self.own_names)
        names = [name for name in names if name != "model" or not is_own] or names
        names.sort(key=lambda name: (name == "by", self._is_measurable(name)))
        verb = "published" if self.values.get("by", {}).keys() - {"measured", "timm", "torchvision"} else "measured"
        if names[0] == "by" and not {"timm", "torchvision"} & self.values["by"].keys():
            return Missing(verb, "")
        words = " or ".join(filter(None, self.values[names[0]].values()))
        return Missing(verb, facets()[names[0]].missing.format(words))

    def _is_measurable(self, name: str) -> bool:
        own = _name(self.sizes.get("", ""))
        known = f"{facets()[name].measurable}{f'|{own}' if name == 'resolution' and own else ''}"
        return all(re.fullmatch(known, value) for value in self.values[name])

    @property
    def is_measurable(self) -> bool:
        """Whether a run could give all that is asked."""
        return all(map(self._is_measurable, self.values))


def _told(view: View, facet: Facet) -> list[str]:
    """The parts of a piece of evidence that say something of a facet."""
    protocol, fact, name = view.evidence.protocol or {}, view.fact, view.name
    hardware = protocol.get("hardware") or protocol.get("made_on") or {}
    source = view.evidence.source
    inputs = [protocol.get("input"), protocol.get("preprocessing", "").rpartition("crop")[2], _sides(protocol)]
    parts = {
        "key": f"{name.subject} {name.metric.replace('latency-', '')}",
        "variant": (name.variant or "").replace("-", " "),
        "protocol": " ".join(
            str(part)
            for part in (
                *inputs, protocol.get("precision"), f"batch {protocol['batch']}" if "batch" in protocol else "",
                hardware.get("device"), hardware.get("gpu") or hardware.get("cpu"),
            )
        ),
        "says": fact.says or "" if fact else f"{view.value} {protocol.get('dataset', '')}",
        "note": fact.note or "" if fact else "",
        "setting": f"{fact.setting or ''} {fact.checkpoint.label or ''}" if fact else "",
        "source": f"{source.title} {source.place or ''} {source.url or ''}" if source else "",
        "class": "measured" if view.class_ is EvidenceClass.MEASURED else "published",
        "split": _split(view),
        "average": protocol.get("average") or "macro",  # which is what a name without one means in most scripts
        "model": "",
    }  # fmt: skip
    return [parts[part] for part in facet.told_by]


def _split(view: View) -> str:
    """Part of the data that a result is of, as far as it says."""
    if split := (view.evidence.protocol or {}).get("split"):
        return f"{split} split"
    if view.key == "documented.evaluation.results":
        return str(view.value)
    return "(val)" if re.match("imagenet-(val|real)", view.name.subject) else "(val) (test)"


def _sides(protocol: dict[str, object]) -> str:
    size = protocol.get("input_size")
    return f"{size[-2]} × {size[-1]}" if isinstance(size, list) and len(size) > 1 else ""
