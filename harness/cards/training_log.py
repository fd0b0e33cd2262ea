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
    r"\b(epoch|step)\W{1,3}(?:no\.? |number )?(\d[\d.,]*)|\b(\d+)(?:st|nd|rd|th) (epoch|step)\b", re.IGNORECASE
)
_EVALUATED = re.compile(r"\b(?:eval|val|valid|dev|test)", re.IGNORECASE)
_SHORT = {"accuracy": r"acc(?:uracy)?|top-?1"}


def logged_answer(place: Place, writer: Writer) -> Answer | None:
    """What was logged at the epoch or step that a row or sentence names, or that it is not stated; None where none is named."""
    if place.column is not None:
        named = [(head[1].lower(), text) for title, text in place.cells if (head := _CLOCK.fullmatch(title))]
        asked = place.column
    else:
        named = [((m[1] or m[4]).lower(), m[2] or m[3]) for m in _AT.finditer(place.sentence)]
        asked = place.sentence.replace("[?]", "")
    at = {
        clock: float(text)
        for clock, given in named
        if re.fullmatch(r"\d+(?:\.\d+)?", text := re.sub(r"[ *,]|\.$", "", given))
    }
    if not at or (
        place.column is None
        and not re.search(r"\bloss|\bacc|top-?1|\bf1\b|precision|recall|score", asked, re.IGNORECASE)
    ):
        return None
    view = writer.knowledge.find(_KEY)
    rows = view.value["rows"] if view else []
    row: dict[str, float] = next(
        (row for row in rows if all(row.get(clock) == value for clock, value in at.items())), {}
    )
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
    told = re.search(rf"\b(?:{_SHORT.get(name, name.replace('_', ' '))})\b", asked.replace("_", " "), re.IGNORECASE)
    is_of_training = field == "loss" and not _EVALUATED.search(asked)
    is_evaluated = name != field and (name != "loss" or _EVALUATED.search(asked) is not None)
    is_clock = field in ("epoch", "step") and _CLOCK.fullmatch(asked) is not None
    return told is not None and (is_of_training or (is_evaluated and "train" not in asked.lower()) or is_clock)
