"""Where a card came from: a small file beside it, so that a push knows what has changed on the Hub since.

`CARD.harness.json` is written by `harness pull`, goes along with `harness fill`, and is brought up to date by `harness
push`. A pulled card isn't in it: it is read again from the Hub at the commit that is named. A pushed one is, as it was
here: what was sent may hold changes of others besides, and taking that for our version would undo them the next time.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field

from harness.errors import UsageError
from harness.files import write_text
from harness.parsing.files import AbsentError, MalformedError
from harness.parsing.json import read_json


class Pushed(BaseModel, extra="forbid", frozen=True):
    """What we sent last."""

    commit: str
    blob: str
    """Git's hash of the card in it."""
    branch: str
    """Where it went, or was proposed to go."""
    pull_request: int | None
    """None where it went to the branch itself."""
    made_from: str
    """`Origin.commit` at that time: another one now says that the card was pulled again since."""
    card: str
    """Our version, before changes of others were taken in."""


class Origin(BaseModel, extra="forbid", frozen=True):
    """A card's place on the Hub when ours was made from it."""

    schema_: Literal[1] = Field(default=1, alias="schema")
    endpoint: str
    repo_id: str
    revision: str
    """The branch."""
    commit: str
    blob: str | None
    """Git's hash of the card there; None where there was none, or ours wasn't made from it."""
    pushed: Pushed | None = None

    def is_of(self, endpoint: str, repo_id: str) -> bool:
        """Whether the card came from this repository."""
        return (self.endpoint, self.repo_id) == (endpoint, repo_id)


def origin_path(card: Path) -> Path:
    """The file beside a card that says where it came from."""
    return card.with_name(f"{card.name}.harness.json")


def load_origin(card: Path) -> Origin | None:
    """Where a card came from, or None where that isn't known.

    Raises:
        HarnessError: the file is damaged.
    """
    path = origin_path(card)
    try:
        origin: Origin = read_json(path, Origin)
    except AbsentError:
        return None
    except MalformedError as error:
        message = f"{path} doesn't say where {card.name} came from: it can't be read."
        raise UsageError(message, remedy="Pull the card again to another file, and fill that.") from error
    return origin


def save_origin(card: Path, origin: Origin) -> None:
    """Write it beside the card. Raises HarnessError on a full disk."""
    write_text(origin_path(card), origin.model_dump_json(by_alias=True, indent=2) + "\n")


def carry_origin(source: Path, target: Path) -> None:
    """A card made from another came from the same place; what was pushed of it before stays known."""
    origin, old = load_origin(source), load_origin(target)
    if source.resolve() == target.resolve():
        return
    if origin is None:
        origin_path(target).unlink(missing_ok=True)
        return
    if old is not None and old.is_of(origin.endpoint, origin.repo_id):
        origin = origin.model_copy(update={"pushed": old.pushed})
    save_origin(target, origin)
