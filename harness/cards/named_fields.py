"""Values of a model's files that are asked for by the name of their field, as code has it or in words: `window_size` is
“Window size”, `drop_path_rate` the “rate of stochastic depth”.

`templates/properties.yaml` says under `fields` how the words of field names are told; no field is listed that its own name tells.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from harness.cards.answers import Answer, Writer
from harness.cards.markdown import escape_markdown
from harness.cards.questions import Place, is_of_results
from harness.cards.views import View, marks
from harness.cards.vocabulary import FieldWords
from harness.evidence import EvidenceClass

_PLACE = re.compile(r"^(?:(?:preprocessor_)?config\.json|\w*(?:args|params|parameters|config)\.(?:json|ya?ml)), (\w+)$")
_IN_CODE = re.compile(r"(?:(\w+)[\"']?\s*[:=]\s*[\"']?|(?:from_pretrained|create_model)\(\s*[\"'])\[\?\]$")
_MODEL = (None, "model", "model_id", "model_name", "repo_id")
"""What code has the model's name under, or in a call."""
_LEADS = re.compile(r"\b(?:an?|the)\s+((?:[\w-]+\s+){1,4}?)(?:of|is|was)\s+\[\?\]", re.IGNORECASE)
"""The words that lead to a marker in a sentence that says more: `with a depth multiplier of [?]`."""
_ENDS = {"first": 0, "last": -1, "final": -1}


@dataclass(frozen=True)
class _Named:
    field: str
    view: View


def field_answer(place: Place, writer: Writer) -> Answer | None:
    """The value of the field that a place asks for by its name; None where it names none, or says more than a name."""
    if place.in_code:
        asked = _IN_CODE.search(place.sentence)
        if asked is None or asked[1] in _MODEL:
            name = writer.knowledge.facts.hub_id or writer.knowledge.name
            return Answer("model name", EvidenceClass.DERIVED, [], name, True) if asked else None
        named = next((item for item in _fields(writer) if item.field == asked[1]), None)
        return _answer(named, json.dumps(named.view.value).strip('"')) if named else None
    sentence = place.sentence.replace("[?]", " ")
    led = _LEADS.search(place.sentence)
    clause = next((part for part in re.split(r"[,;(]\s", place.sentence) if "[?]" in part), "").replace("[?]", " ")
    texts = (" ".join(place.own), *((sentence, clause, led[1] if led else "") if place.column is None else ()))
    conditions, apart = writer.conditions(place), list if is_of_results(place, writer.table) else ()
    fields = [f for f in _fields(writer) if not (conditions.unmet_by(f.view) or isinstance(f.view.value, apart))]
    return next(filter(None, (_in_words(text, fields, writer) for text in texts if text)), None)


def _in_words(text: str, fields: list[_Named], writer: Writer) -> Answer | None:
    words = writer.table.fields
    found = [item for item in fields if _is_asked(item.field, text, words, writer)]
    longest = max((len(_required(item.field, words)) for item in found), default=0)
    best = [item for item in found if len(_required(item.field, words)) == longest]
    if not best or len({str(item.view.value) for item in best}) > 1:
        return None
    view = best[0].view
    return _answer(best[0], f"{_shown(best[0], text)} {marks(writer.references, view)}")


def _answer(named: _Named, text: str) -> Answer:
    return Answer(f"field {named.field}", EvidenceClass.DOCUMENTED, [named.view.key], text, is_complete=True)


def _fields(writer: Writer) -> Iterator[_Named]:
    for item in writer.knowledge.ledger:
        source = item.source
        match = _PLACE.search(source.place or "") if source else None
        if match and item.class_ is EvidenceClass.DOCUMENTED and item.value is not None:
            yield _Named(match[1], View(item))
    if width := writer.knowledge.ledger.get("documented.architecture.width"):
        yield _Named("width", View(width))


def _required(field: str, words: FieldWords) -> list[str]:
    """Expressions that all must be in a text that asks for a field."""
    if field in words.called:
        return [words.called[field]]
    return [
        words.told.get(part, f"{re.escape(part)}s?") for part in field.split("_") if part and part not in words.silent
    ]


def _is_asked(field: str, text: str, words: FieldWords, writer: Writer) -> bool:
    """Whether a text names a field and nothing besides."""
    expressions = [rf"\b(?:{expression})\b" for expression in _required(field, words)]
    if not expressions or not all(re.search(expression, text, re.IGNORECASE) for expression in expressions):
        return False
    rest = text
    for expression in (
        *expressions,
        *(
            rf"\b(?:{word})\b"
            for word in (*words.beside, *(re.escape(word) for line in writer.table.silent for word in line.split()))
        ),
    ):
        rest = re.sub(expression, " ", rest, flags=re.IGNORECASE)
    return not re.search(r"[^\W\d_]{2}", rest)


def _shown(named: _Named, text: str) -> str:
    value = named.view.value
    end = next((at for word, at in _ENDS.items() if re.search(rf"\b{word}\b", text, re.IGNORECASE)), None)
    if isinstance(value, list) and end is not None:
        value = value[end]
    elif isinstance(value, bool):
        return "yes" if value else "no"
    parts = value if isinstance(value, list) else [value]
    shown = ", ".join(f"{part:,}" if isinstance(part, int) else escape_markdown(str(part)) for part in parts)
    return f"{shown} {named.view.evidence.unit or ''}".rstrip()
