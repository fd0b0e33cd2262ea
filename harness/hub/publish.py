"""Publishing a card on the Hugging Face Hub with its figures and its ledger, and fetching one from there.

Nothing is sent before there is a plan (`harness.hub.plan`), which only reads. What others changed on the Hub stays: our card
is merged with theirs (`harness.hub.reconcile`), and where both changed the same place nothing is sent. A commit is sent
once (`harness.hub.send`); sending the same again does nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.errors import ExitCode, HarnessError, MissingInputError
from harness.files import write_bytes
from harness.hub.client import git_hash
from harness.hub.origin import Origin, load_origin, origin_path, save_origin
from harness.hub.plan import PushPlan, PushRequest, plan_push
from harness.hub.send import Sent, push
from harness.hub.transport import CARD, Connection, check_repo_id, connect


@dataclass(frozen=True)
class Publication:
    """What came of publishing a card."""

    plan: PushPlan
    sent: Sent | None
    """None for a dry run, and where everything was on the Hub already (`plan.nothing_to_do`)."""


@dataclass(frozen=True)
class Pulled:
    """A card that was fetched."""

    path: Path
    repo_id: str
    commit: str
    changed: bool
    """Whether the file on disk is another than before."""


def publish(
    card: Path,
    repo_id: str,
    *,
    revision: str | None = None,
    ledger: Path | None = None,
    create_pr: bool = True,
    create_repo: bool = False,
    message: str = "Update the model card",
    dry_run: bool = False,
    show: Callable[[PushPlan], None] | None = None,
    confirm: Callable[[PushPlan], None] | None = None,
) -> Publication:
    """Publish a card with its figures and its ledger on the Hub, as one commit.

    Args:
        card: the card's file.
        repo_id: the model's repository, ORG/NAME.
        revision: a branch, or `refs/pr/N` for an open pull request of yours to update; None for `main`.
        ledger: the card's evidence.json; None for the one that the card names, or the one beside it.
        create_pr: open a pull request rather than commit to the branch.
        create_repo: make the repository, for everyone to see, if it isn't there.
        message: title of the commit and the pull request.
        dry_run: only say what would be sent.
        show: called with the plan when it is made.
        confirm: called with the plan before anything is sent; what it raises stops that.

    Raises:
        HarnessError: the card isn't fit for the Hub, rights are missing, the card on the Hub changed where this one did
            (exit code 5), or the Hub refused it.
    """
    if not message.strip():
        raise HarnessError("--message is empty.", remedy="Give a title.", exit_code=ExitCode.USAGE)
    with connect("push a card") as hub:
        plan = plan_push(hub, PushRequest(card, repo_id, revision, create_pr, create_repo, ledger, message))
        if show is not None:
            show(plan)
        if plan.nothing_to_do or dry_run:
            return Publication(plan, None)
        if confirm is not None:
            confirm(plan)
        return Publication(plan, push(hub, plan))


def fetch_card(repo_id: str, output: Path | None = None, *, revision: str = "main") -> Pulled:
    """Fetch a model's card from the Hub, and remember beside it where it came from.

    Args:
        repo_id: the model's repository, ORG/NAME.
        output: the file to write; None for NAME.md in this folder.
        revision: a branch, or `refs/pr/N` for a pull request.

    Raises:
        HarnessError: no such repository or card, or `output` holds something that would be lost.
    """
    check_repo_id(repo_id)
    with connect("pull a card") as hub:
        return pull(hub, repo_id, output or Path(f"{repo_id.rpartition('/')[2]}.md"), revision)


def pull(hub: Connection, repo_id: str, output: Path, revision: str = "main") -> Pulled:
    """Fetch a card, byte for byte, and remember beside it where it came from.

    Raises:
        HarnessError: no such repository or card, or `output` holds something that would be lost.
    """
    check_repo_id(repo_id)
    commit = hub.head(repo_id, revision)
    content = hub.read(repo_id, CARD, commit)
    if content is None:
        raise MissingInputError(
            f"{repo_id} has no {CARD} on the Hub at {revision}.",
            remedy="Make a card with: harness run, or harness render; then push it.",
        )
    if output.is_dir():
        raise HarnessError(f"{output} is a folder.", remedy="Give a file with --output.", exit_code=ExitCode.USAGE)
    there = output.read_bytes() if output.is_file() else None
    if there is not None and there != content and not _is_untouched(output, there):
        raise HarnessError(
            f"{output} is there, and isn't the card as it was pulled: it would be lost.",
            remedy="Give another file with --output, or move that one away.",
            exit_code=ExitCode.USAGE,
        )
    if there != content:
        write_bytes(output, content)
    blob = git_hash(content)
    save_origin(output, Origin(endpoint=hub.endpoint, repo_id=repo_id, revision=revision, commit=commit, blob=blob))
    return Pulled(output, repo_id, commit, there != content)


def _is_untouched(path: Path, content: bytes) -> bool:
    return origin_path(path).exists() and (origin := load_origin(path)) is not None and origin.blob == git_hash(content)
