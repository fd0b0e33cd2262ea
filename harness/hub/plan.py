"""What a push would do. Nothing is sent: a plan is made with GET requests alone."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from huggingface_hub.errors import RepositoryNotFoundError

from harness.errors import CheckFailedError, MissingInputError, UsageError
from harness.evidence import Ledger
from harness.hub.client import git_hash
from harness.hub.local import LEDGER, LocalFile, check_card, figures_of, local_files
from harness.hub.merge import card_diff
from harness.hub.origin import load_origin
from harness.hub.reconcile import Place, merge_with_hub
from harness.hub.transport import CARD, TOKEN_REMEDY, Account, Connection, check_repo_id
from harness.labels.spaces import enumerated
from harness.parsing.files import MalformedError
from harness.parsing.json import parse_json


@dataclass(frozen=True)
class PushRequest:
    """What the user asks for, as `harness.push` says."""

    card: Path
    repo_id: str
    revision: str | None
    create_pr: bool
    create_repo: bool
    ledger: Path | None
    """None for the one that the card names, or the evidence.json beside it, if there is one."""
    message: str


@dataclass(frozen=True)
class PushPlan:
    """What a push would do, with everything it was decided on."""

    request: PushRequest
    endpoint: str
    account: Account
    branch: str
    """Where the commit goes, or what the pull request is to be merged into."""
    place: Place
    """Where the commit goes as it is now: the branch, or the open pull request that is updated."""
    files: tuple[LocalFile, ...]
    """The card first."""
    ours: bytes = field(repr=False)
    """The card as it is here."""
    taken: int
    """Places where changes on the Hub were kept."""
    nothing_to_do: str | None
    """Why there is nothing to send; None where there is."""
    notes: tuple[str, ...]

    @property
    def card(self) -> bytes:
        """The card as it would be sent."""
        return self.files[0].content

    @property
    def opens_pull_request(self) -> bool:
        """Whether a new pull request is opened, rather than an open one or a branch updated."""
        return self.request.create_pr and self.place.pull_request is None

    @property
    def target(self) -> str:
        """Where it goes, in words."""
        if self.place.pull_request is not None:
            return f"pull request #{self.place.pull_request}, which is open"
        return f"a new pull request to {self.branch}" if self.request.create_pr else f"a commit on {self.branch}"

    def diff(self) -> tuple[str, str]:
        """Unified diffs from the card on the Hub: of the front matter, and of the body."""
        return card_diff(self.place.card or b"", self.card)

    def to_dict(self) -> dict[str, Any]:
        """The plan as `harness push --format json` prints it."""
        front, body = self.diff()
        return {
            "endpoint": self.endpoint,
            "account": self.account.name,
            "repo_id": self.request.repo_id,
            "creates_repository": self.place.head is None,
            "target": self.target,
            "branch": self.branch,
            "pull_request": self.place.pull_request,
            "parent_commit": self.place.head,
            "files": [
                {"path": f.path, "source": str(f.source), "kind": f.kind, "bytes": len(f.content), "state": f.state}
                for f in self.files
            ],
            "kept_from_the_hub": self.taken,
            "front_matter_diff": front,
            "body_diff": body,
            "nothing_to_do": self.nothing_to_do,
            "notes": list(self.notes),
        }


def plan_push(hub: Connection, request: PushRequest) -> PushPlan:
    """What a push would do. Nothing is sent.

    Raises:
        HarnessError: the card is none, or not fit for the Hub; the repository or the rights are missing; the card on the
            Hub changed where ours did (exit code 5).
    """
    repo_id = request.repo_id
    check_repo_id(repo_id)
    local, ledger = local_files(request.card, request.ledger, hub.token)
    ours = local[0].content
    if hub.token is None:
        ready = f"Ready to be sent to {repo_id}: {', '.join(file.path for file in local)}."
        raise MissingInputError("There is no Hub token.", remedy=f"{TOKEN_REMEDY} {ready}")
    account = hub.account()
    if not account.can_write:
        message = f"The token of {account.name} has read rights only."
        remedy = "Make one with write rights in the Hub's settings, then set HF_TOKEN or run: hf auth login"
        raise MissingInputError(message, remedy=remedy)
    branch, place = _places(hub, request, account)
    number = place.pull_request
    notes = []
    if branch.head is None:
        notes.append(f"The repository {repo_id} is made first; everyone will see it.")
    elif request.create_repo:
        notes.append(f"{repo_id} exists; --create-repo does nothing.")
    origin = load_origin(request.card)
    if origin is not None and not origin.is_of(hub.endpoint, repo_id):
        notes.append(f"This card was made from that of {origin.repo_id} at {origin.endpoint}, not from this one.")
        origin = None
    merge = merge_with_hub(hub, branch, place, origin, ours)
    if merge.taken:
        notes.append(f"Changes made on the Hub since are kept: {merge.taken}.")
    check_card(merge.text, place.card, str(request.card), ledger, str(local[-1].source))
    there = hub.hashes(repo_id, place.head) if place.head else {}
    files = [_compared(file, there) for file in (replace(local[0], content=merge.text), *local[1:])]
    known = {*there, *(file.path for file in files)}
    missing = [name for name in figures_of(merge.text) if name not in known]
    notes += [f"The card shows {name}, which is neither beside it nor on the Hub." for name in missing]
    if ledger is not None and place.head is not None and files[-1].state == "changed":
        notes += _lost_evidence(hub, repo_id, place.head, ledger)
    nothing_to_do = None
    if all(file.state == "same" for file in files):
        where = f"pull request #{number}" if number else branch.revision
        nothing_to_do = f"{where} of {repo_id} holds exactly this already."
    elif place.head is not None and request.create_pr and number is None:
        for other in hub.open_pull_requests(repo_id, account.name):
            proposed = hub.hashes(repo_id, f"refs/pr/{other}")
            if all(_compared(file, proposed).state == "same" for file in files):
                nothing_to_do = f"Your pull request #{other} proposes exactly this already."
                break
            change = f"to change it instead of opening another: --revision refs/pr/{other}"
            notes.append(f"Your pull request #{other} is open; {change}")
    return PushPlan(
        request=request,
        endpoint=hub.endpoint,
        account=account,
        branch=branch.revision,
        place=place,
        files=tuple(files),
        ours=ours,
        taken=merge.taken,
        nothing_to_do=nothing_to_do,
        notes=tuple(notes),
    )


def _places(hub: Connection, request: PushRequest, account: Account) -> tuple[Place, Place]:
    """The branch that is committed to, or that the pull request goes to, and where the commit goes. Raises HarnessError
    where they aren't there and can't be made, or the pull request isn't open, or not ours."""
    repo_id, revision = request.repo_id, request.revision or "main"
    proposal = re.fullmatch(r"refs/pr/([1-9]\d*)", revision)
    if revision.startswith("refs/") and proposal is None:
        message = f"--revision {revision} is neither a branch nor refs/pr/N."
        raise UsageError(message, remedy="Give the name of a branch, or refs/pr/N for an open pull request.")
    name = "main" if proposal else revision
    try:
        head = hub.head(repo_id, name)
    except MissingInputError as error:
        if not (request.create_repo and isinstance(error.__cause__, RepositoryNotFoundError)):
            raise
        if "/" not in repo_id:
            message = f"--create-repo needs a full id, not '{repo_id}'."
            raise UsageError(message, remedy=f"Perhaps {account.name}/{repo_id}?") from error
        if revision != "main":
            raise UsageError(f"A new repository has no {revision}.", remedy="Leave --revision out.") from error
        branch = Place(repo_id, name, None, None)
    else:
        branch = Place(repo_id, name, head, hub.read(repo_id, CARD, head))
    return branch, _open_pull_request(hub, repo_id, int(proposal[1]), account) if proposal else branch


def _open_pull_request(hub: Connection, repo_id: str, number: int, account: Account) -> Place:
    """A pull request of ours. Raises HarnessError where it isn't open, or not ours."""
    with hub.explained(f"look at pull request #{number}", repo_id):
        details = hub.api.get_discussion_details(repo_id, number)
    why = None
    if not details.is_pull_request:
        why = "a discussion, not a pull request"
    elif details.status not in ("open", "draft"):
        why = f"{details.status}; it takes no more commits"
    elif details.author != account.name:
        why = f"{details.author}'s, not {account.name}'s"
    if why is not None:
        raise UsageError(f"#{number} of {repo_id} is {why}.", remedy="Leave --revision out to open a new pull request.")
    revision = f"refs/pr/{number}"
    head = hub.head(repo_id, revision)
    return Place(repo_id, revision, head, hub.read(repo_id, CARD, head), number)


def _compared(file: LocalFile, there: dict[str, str]) -> LocalFile:
    """A file, knowing whether it is on the Hub just so, as a plain file or as a large one."""
    if file.path not in there:
        return replace(file, state="new")
    hashes = git_hash(file.content), hashlib.sha256(file.content).hexdigest()
    return replace(file, state="same" if there[file.path] in hashes else "changed")


def _lost_evidence(hub: Connection, repo_id: str, head: str, ours: Ledger) -> list[str]:
    """What the ledger on the Hub holds that ours doesn't. Raises HarnessError where that file is no ledger."""
    try:
        theirs = parse_json(hub.read(repo_id, LEDGER, head) or b"", LEDGER, Ledger)
    except MalformedError as error:
        message = f"{LEDGER} of {repo_id} on the Hub is no ledger of harness; it would be lost."
        remedy = "Rename that file on the Hub, or push the card from a folder without a ledger."
        raise CheckFailedError(message, remedy=remedy) from error
    gone = [item.key for item in theirs if ours.get(item.key) is None]
    return [f"The ledger on the Hub holds evidence that this one doesn't: {enumerated(gone)}."] if gone else []
