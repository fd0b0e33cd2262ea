"""Publishing a card on the Hugging Face Hub with its figures and its ledger, and fetching one from there.

Nothing is sent before there is a plan (`harness.hub.plan`), which only reads. What others changed on the Hub stays: our card
is merged with theirs (`harness.hub.reconcile`), and where both changed the same place nothing is sent. A commit is sent
once; when no answer comes back, what is on the Hub is compared with what was sent before anything else is said. Our commits
carry the card's hash in their message, by which they are known again. Sending the same again does nothing.
"""

from __future__ import annotations

import itertools
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import CommitOperationAdd

from harness import __version__
from harness.credentials import credential_in
from harness.errors import CheckFailedError, HarnessError, MissingInputError, UsageError
from harness.files import write_bytes
from harness.hub.client import git_hash, is_ignored
from harness.hub.local import FILL, LEDGER
from harness.hub.origin import Origin, Pushed, load_origin, save_origin
from harness.hub.plan import PushPlan, PushRequest, plan_push
from harness.hub.transport import CARD, Connection, NoAnswerError, check_repo_id, connect

_LOOKS = (0.0, 1.0, 2.0, 4.0)
"""Seconds before each look at whether a commit without an answer landed."""


@dataclass(frozen=True)
class Sent:
    """What a push did."""

    commit: str
    url: str
    """Of the pull request, or of the commit."""
    pull_request: int | None
    left_out: tuple[str, ...]
    """Files that the repository's .gitignore keeps out."""
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Pulled:
    """A card that was fetched."""

    path: Path
    repo_id: str
    commit: str
    changed: bool
    """Whether the file on disk is another than before."""


def publish(
    request: PushRequest, dry_run: bool, confirm: Callable[[PushPlan], bool] | None
) -> tuple[PushPlan, Sent | None]:
    """`harness.push`."""
    if not request.message.strip():
        raise UsageError("--message is empty.", remedy="Give a title.")
    held = credential_in(request.message)
    if held is not None:
        raise UsageError(
            f"--message holds {held}, or what looks like one.", remedy="Everyone can read it: take it out."
        )
    with connect("push a card") as hub:
        plan = plan_push(hub, request)
        agreed = confirm is None or confirm(plan)
        return plan, _push(hub, plan) if agreed and not dry_run and plan.nothing_to_do is None else None


def _push(hub: Connection, plan: PushPlan) -> Sent:
    repo_id = plan.request.repo_id
    head, number = plan.place.head, plan.place.pull_request
    if head is None:
        with hub.explained(f"make the repository {repo_id}", repo_id):
            hub.api.create_repo(repo_id, repo_type="model", exist_ok=False)
        head = hub.head(repo_id, plan.branch)
    known = set(hub.open_pull_requests(repo_id, plan.account.name)) if plan.opens_pull_request else set()
    operations, left_out = _uploaded(hub, plan)
    if not operations:
        return Sent(head, f"{hub.endpoint}/{repo_id}", number, left_out, ())
    try:
        with hub.explained("send the commit", repo_id), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                answer = hub.api.create_commit(
                    repo_id,
                    operations,
                    commit_message=plan.request.message,
                    commit_description=f"Written with harness {__version__}.\n\n{_mark(plan)}",
                    revision=plan.place.revision,
                    create_pr=plan.opens_pull_request,
                    parent_commit=head,
                )
            except ValueError as error:
                if "Invalid metadata" not in str(error):
                    raise
                message = f"The Hub refused the card: {hub.clean(error)}"
                raise CheckFailedError(message, remedy="Mend what it names, then repeat the command.") from error
        commit, url = answer.oid, answer.pr_url or answer.commit_url
        number = answer.pr_num if plan.opens_pull_request else number
        notes = tuple(hub.clean(item.message) for item in caught)
    except NoAnswerError as error:
        commit, number = _find(hub, plan, head, known, error)
        place = f"discussions/{number}" if number is not None else f"commit/{commit}"
        url = f"{hub.endpoint}/{repo_id}/{place}"
        notes = ("The connection failed while the commit was sent, but it is there.",)
    _remember(plan, head, commit, number)
    return Sent(commit, url, number, left_out, notes)


def _mark(plan: PushPlan) -> str:
    """By which our commit of this card is known again, in its message."""
    return f"Harness-Card: {git_hash(plan.card)}"


def _uploaded(hub: Connection, plan: PushPlan) -> tuple[list[CommitOperationAdd], tuple[str, ...]]:
    """The commit's operations, with large files stored already, and the files that the repository's .gitignore keeps
    out."""
    repo_id = plan.request.repo_id
    operations = [CommitOperationAdd(file.path, file.content) for file in plan.files if file.state != "same"]
    try:
        with hub.explained("upload the files", repo_id):
            hub.api.preupload_lfs_files(
                repo_id, operations, revision=plan.place.revision, create_pr=plan.opens_pull_request, free_memory=False
            )
    except (RuntimeError, OSError) as error:
        raise HarnessError(
            f"A file could not be uploaded: {hub.clean(error.__cause__ or error).rstrip('.')}. Nothing was committed.",
            remedy="Repeat the command.",
        ) from error
    ignored = tuple(file.path_in_repo for file in operations if is_ignored(file))
    if CARD in ignored:
        message = f"The .gitignore of {repo_id} keeps {CARD} out. Nothing was committed."
        raise HarnessError(message, remedy="Change the .gitignore on the Hub, then repeat the command.")
    return [file for file in operations if not is_ignored(file)], ignored


def _find(hub: Connection, plan: PushPlan, head: str, known: set[int], error: HarnessError) -> tuple[str, int | None]:
    """The commit that got no answer, and its pull request: looked for by our mark among what is newer than `head`.

    Args:
        known: open pull requests from before.

    Raises:
        HarnessError: it isn't there.
    """
    repo_id = plan.request.repo_id
    for pause in _LOOKS:
        time.sleep(pause)
        numbers: list[int | None] = [plan.place.pull_request]
        if plan.opens_pull_request:
            numbers = [n for n in hub.open_pull_requests(repo_id, plan.account.name) if n not in known]
        for number in numbers:
            commits = hub.commits(repo_id, plan.branch if number is None else f"refs/pr/{number}")
            for commit in itertools.takewhile(lambda commit: commit.commit_id != head, commits):
                if _mark(plan) in commit.message:
                    return commit.commit_id, number
    message = f"{error.message} The commit was sent once, and isn't on the Hub: looked {len(_LOOKS)} times."
    remedy = "Repeat the command: it looks at what is there before it sends anything."
    raise HarnessError(message, remedy=remedy) from error


def _remember(plan: PushPlan, head: str, commit: str, number: int | None) -> None:
    """Write beside the card what was sent, and our version of it."""
    card, repo_id = plan.request.card, plan.request.repo_id
    origin = load_origin(card)
    if origin is None or not origin.is_of(plan.endpoint, repo_id):
        origin = Origin(endpoint=plan.endpoint, repo_id=repo_id, revision=plan.branch, commit=head, blob=None)
    pushed = Pushed(
        commit=commit,
        blob=git_hash(plan.card),
        branch=plan.branch,
        pull_request=number,
        made_from=origin.commit,
        card=plan.ours.decode(),
    )
    save_origin(card, origin.model_copy(update={"pushed": pushed}))


def fetch(repo_id: str, output: Path, revision: str) -> Pulled:
    """`harness.pull`."""
    check_repo_id(repo_id)
    with connect("pull a card") as hub:
        commit = hub.head(repo_id, revision)
        content = hub.read(repo_id, CARD, commit)
        is_filled = content is not None and b'<!-- harness card {"made_by": "fill"' in content
        beside = {name: hub.read(repo_id, name, commit) for name in (LEDGER, FILL) if is_filled}
    if content is None:
        message = f"{repo_id} has no {CARD} on the Hub at {revision}."
        raise MissingInputError(message, remedy="Make a card with: harness run, or harness render; then push it.")
    if output.is_dir():
        raise UsageError(f"{output} is a folder.", remedy="Give a file with --output.")
    there = output.read_bytes() if output.is_file() else None
    if there is not None and there != content:
        before = load_origin(output)
        if before is None or before.blob != git_hash(there):
            message = f"{output} is there, and isn't the card as it was pulled: it would be lost."
            raise UsageError(message, remedy="Give another file with --output, or move that one away.")
    if there != content:
        write_bytes(output, content)
    for name, file in beside.items():  # what a filled card is filled again and verified from
        if file is not None:
            write_bytes(output.with_name(f"{output.stem}.{name}"), file)
    blob = git_hash(content)
    save_origin(output, Origin(endpoint=hub.endpoint, repo_id=repo_id, revision=revision, commit=commit, blob=blob))
    return Pulled(output, repo_id, commit, there != content)
