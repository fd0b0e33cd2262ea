"""What training logged at an epoch or a step: never the final value in its place."""

from __future__ import annotations

import re
from dataclasses import replace

from harness.cards.answers import Answer, Writer
from harness.cards.questions import Place
from harness.cards.views import marks
from harness.evidence import EvidenceClass

_KEY = "documented.training.log"
_CLOCK = re.compile(r"\W*(epoch|step)\W*", re.IGNORECASE)
_AT = re.compile(
    r"\b(epoch|step)\W{1,3}(?:no\.? |number )?(\d[\d,]*(?:\.\d+)?)|\b(\d+)(?:st|nd|rd|th) (epoch|step)\b", re.IGNORECASE
)
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
_ORDINAL = re.compile(rf"\b(?:{'|'.join(_ORDINALS)})(?= (?:epoch|step)\b)", re.IGNORECASE)
_LOGGED = re.compile(r"\b(?:loss|acc|accuracy|top-?1|f1|precision|recall|score)", re.IGNORECASE)
_EVALUATED = re.compile(r"\b(?:eval|val|valid|dev|test)", re.IGNORECASE)


def logged_answer(place: Place, writer: Writer) -> Answer | None:
    """What was logged at the epoch or step that a row or sentence names, or that it is not stated; None where none is named."""
    is_cell = place.column is not None
    asked = place.column or "" if is_cell else place.sentence.replace("[?]", "")
    clocks = " ".join(f"{title} {told}" for title, told in place.cells if _CLOCK.fullmatch(title))
    told = _ORDINAL.sub(lambda word: f"{_ORDINALS.index(word[0].lower()) + 1}th", place.sentence)
    named = _AT.finditer(clocks if is_cell else told)
    at = {(m[1] or m[4]).lower(): float((m[2] or m[3]).replace(",", "")) for m in named}
    if not at or not (is_cell or _LOGGED.search(asked)):
        return None
    view = writer.knowledge.find(_KEY)
    rows = view.value["rows"] if view else []
    row: dict[str, float] = next((row for row in rows if at.items() <= row.items()), {})
    field = next((name for name in row if _is_asked(name, asked)), None)
    if view is None or field is None:
        return replace(writer.unknown([], "value"), text="not stated")
    value = row[field]
    is_share = "%" in place.line.partition("[?]")[2][:3] + asked and 0 <= value <= 1
    shown = f"{value * 100:.4g}" if is_share else f"{value:g}" if field in ("epoch", "step") else f"{value:.4f}"
    return Answer(
        f"training log, {field}", EvidenceClass.DOCUMENTED, [_KEY], f"{shown} {marks(writer.references, view)}", True
    )


def _is_asked(field: str, asked: str) -> bool:
    """Whether words ask for what the log has under a name."""
    name = field.removeprefix("eval_")
    words = r"acc(?:uracy)?|top-?1" if name == "accuracy" else name.replace("_", " ")
    if name in ("epoch", "step"):
        return _CLOCK.fullmatch(asked) is not None and name in asked.lower()
    if not re.search(rf"\b(?:{words})\b", asked.replace("_", " "), re.IGNORECASE):
        return False
    if name == "loss":
        return (name != field) == bool(_EVALUATED.search(asked))
    return name != field and "train" not in asked.lower()
