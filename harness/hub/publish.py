"""Publishing a card on the Hugging Face Hub with its figures and its ledger, and fetching one from there.

Nothing is sent before there is a plan (`harness.hub.plan`), which only reads. What others changed on the Hub stays: our card
is merged with theirs (`harness.hub.reconcile`), and where both changed the same place nothing is sent. A commit is sent
once (`harness.hub.send`); sending the same again does nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.errors import MissingInputError, UsageError
from harness.files import write_bytes
from harness.hub.client import git_hash
from harness.hub.origin import Origin, load_origin, save_origin
from harness.hub.plan import PushPlan, PushRequest, plan_push
from harness.hub.send import Sent, push
from harness.hub.transport import CARD, check_repo_id, connect


@dataclass(frozen=True)
class Pulled:
    """A card that was fetched."""

    path: Path
    repo_id: str
    commit: str
    changed: bool
    """Whether the file on disk is another than before."""


def publish(
    card: str | Path,
    repo_id: str,
    *,
    revision: str | None = None,
    ledger: str | Path | None = None,
    create_pr: bool = True,
    create_repo: bool = False,
    message: str = "Update the model card",
    dry_run: bool = False,
    confirm: Callable[[PushPlan], bool] | None = None,
) -> tuple[PushPlan, Sent | None]:
    """Publish a card with its figures and its ledger on the Hub, as one commit.

    Args:
        revision, ledger, create_pr, create_repo, message: as in `PushRequest`.
        dry_run: send nothing.
        confirm: called with the plan, also where nothing is sent after it; nothing is where it says no.

    Returns:
        What was planned, and what was sent: None for a dry run, where there was nothing to do, or where `confirm` said no.

    Raises:
        HarnessError: as `plan_push` and `push` do.
    """
    if not message.strip():
        raise UsageError("--message is empty.", remedy="Give a title.")
    with connect("push a card") as hub:
        evidence = Path(ledger) if ledger is not None else None
        request = PushRequest(Path(card), repo_id, revision, create_pr, create_repo, evidence, message)
        plan = plan_push(hub, request)
        agreed = confirm is None or confirm(plan)
        return plan, push(hub, plan) if agreed and not dry_run and plan.nothing_to_do is None else None


def fetch_card(repo_id: str, output: str | Path | None = None, *, revision: str = "main") -> Pulled:
    """Fetch a model's card from the Hub, byte for byte, and remember beside it where it came from.

    Args:
        output: the file to write; None for NAME.md in this folder.
        revision: a branch, or `refs/pr/N` for a pull request.

    Raises:
        HarnessError: no such repository or card, or `output` holds something that would be lost.
    """
    check_repo_id(repo_id)
    output = Path(output or f"{repo_id.rpartition('/')[2]}.md")
    with connect("pull a card") as hub:
        commit = hub.head(repo_id, revision)
        content = hub.read(repo_id, CARD, commit)
    if content is None:
        raise MissingInputError(
            f"{repo_id} has no {CARD} on the Hub at {revision}.",
            remedy="Make a card with: harness run, or harness render; then push it.",
        )
    if output.is_dir():
        raise UsageError(f"{output} is a folder.", remedy="Give a file with --output.")
    there = output.read_bytes() if output.is_file() else None
    if there is not None and there != content and not _is_untouched(output, there):
        raise UsageError(
            f"{output} is there, and isn't the card as it was pulled: it would be lost.",
            remedy="Give another file with --output, or move that one away.",
        )
    if there != content:
        write_bytes(output, content)
    blob = git_hash(content)
    save_origin(output, Origin(endpoint=hub.endpoint, repo_id=repo_id, revision=revision, commit=commit, blob=blob))
    return Pulled(output, repo_id, commit, there != content)


def _is_untouched(path: Path, content: bytes) -> bool:
    origin = load_origin(path)
    return origin is not None and origin.blob == git_hash(content)
