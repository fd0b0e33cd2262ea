"""Pulling a card from the Hub, and pushing a card with its figures and its ledger in one commit.

Promises. Nothing is sent before a plan was shown: `plan_push` only reads, with GET requests alone. What others changed on
the Hub stays: our card is merged with theirs, and where both changed the same place the push stops. A commit is sent
once; when no answer comes back, what is on the Hub is compared with what was sent before anything else is said. Sending
the same again does nothing.

What ours was made from is known from the file beside the card (`harness.hub.origin`). On a pull request of ours, it is
our own last commit to it, which carries the card's hash in its message, so that a maintainer's edit there is seen.
"""

from __future__ import annotations

import difflib
import hashlib
import itertools
import re
import time
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from huggingface_hub import CommitOperationAdd
from huggingface_hub.errors import RepositoryNotFoundError
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils.sha import git_hash
from pydantic import ValidationError

from harness import __version__
from harness.cards.document import Document, apply_edits, decode, encode
from harness.cards.record import CardRecord, ledger_digest, read_record, record_edit
from harness.errors import ExitCode, HarnessError, MissingInputError
from harness.evidence import Ledger
from harness.files import write_bytes
from harness.hub.merge import Merge, merge_cards, merges_by_lines, parts
from harness.hub.origin import Origin, Pushed, load_origin, origin_path, save_origin
from harness.hub.transport import CARD, Account, Connection, NoAnswerError, check_repo_id, holds_token
from harness.hub.validation import card_faults, check_content, unproven_scores

LEDGER = "evidence.json"
_FIGURE = re.compile(r"""(?:\]\(\s*<?|\bsrc\s*=\s*["']?)(?:\./)?(figures/[^\s)>"'#?]+)""")
_PULL_REQUEST = re.compile(r"refs/pr/([1-9]\d*)")
_MARK = "Harness-Card: "
"""Before the card's hash in the message of our commits, by which they are known again."""
_LOOKS = (0.0, 1.0, 2.0, 4.0)
"""Seconds before each look at whether a commit without an answer landed."""


@dataclass(frozen=True)
class Pulled:
    """A card that was fetched."""

    path: Path
    repo_id: str
    commit: str
    changed: bool
    """Whether the file on disk is another than before."""


def pull(hub: Connection, repo_id: str, output: Path, revision: str = "main") -> Pulled:
    """Fetch a card, byte for byte, and remember beside it where it came from.

    Raises:
        HarnessError: no such repository or card, or `output` holds something that would be lost.
    """
    check_repo_id(repo_id)
    commit = _head(hub, repo_id, revision)
    content = hub.read(repo_id, CARD, commit)
    if content is None:
        raise MissingInputError(
            f"{repo_id} has no {CARD} on the Hub at {revision}.",
            remedy="Make a card with: harness run, or harness render; then push it.",
        )
    there = output.read_bytes() if output.is_file() else None
    if there is not None and there != content and not _is_untouched(output, there):
        raise HarnessError(
            f"{output} is there, and isn't the card as it was pulled: it would be lost.",
            remedy="Give another file with --output, or move that one away.",
            exit_code=ExitCode.USAGE,
        )
    if output.is_dir():
        raise HarnessError(f"{output} is a folder.", remedy="Give a file with --output.", exit_code=ExitCode.USAGE)
    if there != content:
        write_bytes(output, content)
    save_origin(
        output,
        Origin(endpoint=hub.endpoint, repo_id=repo_id, revision=revision, commit=commit, blob=git_hash(content)),
    )
    return Pulled(output, repo_id, commit, there != content)


def _is_untouched(path: Path, content: bytes) -> bool:
    return origin_path(path).exists() and (origin := load_origin(path)) is not None and origin.blob == git_hash(content)


@dataclass(frozen=True)
class PushRequest:
    """What the user asks for."""

    card: Path
    repo_id: str
    revision: str | None = None
    """A branch, or `refs/pr/N`; None for `main`."""
    create_pr: bool = True
    create_repo: bool = False
    ledger: Path | None = None
    """None for the evidence.json beside the card, if there is one."""
    message: str = "Update the model card"


@dataclass(frozen=True)
class PlannedFile:
    """One file of the commit."""

    path: str
    """In the repository."""
    source: Path
    content: bytes = field(repr=False)
    state: str
    """`new`, `changed` or `same`, against what is on the Hub."""


@dataclass(frozen=True)
class PushPlan:
    """What a push would do, with everything it was decided on."""

    request: PushRequest
    endpoint: str
    account: Account
    branch: str
    """Where the commit goes, or what the pull request is to be merged into."""
    pull_request: int | None
    """The open one that is updated."""
    head: str | None
    """The commit ours is put upon; None where the repository doesn't exist yet."""
    files: tuple[PlannedFile, ...]
    ours: bytes = field(repr=False)
    """The card as it is here."""
    theirs: bytes | None = field(repr=False)
    """The card on the Hub now, where the commit goes."""
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
    def target(self) -> str:
        """Where it goes, in words."""
        if self.pull_request is not None:
            return f"pull request #{self.pull_request}, which is open"
        if self.request.create_pr:
            return f"a new pull request to {self.branch}"
        return f"a commit on {self.branch}"

    def diff(self) -> tuple[str, str]:
        """Unified diffs from the card on the Hub: of the front matter, and of the body."""
        old, new = parts(self.theirs or b""), parts(self.card)
        return _diff(old.yaml, new.yaml, "front matter"), _diff(old.body, new.body, "body")

    def to_dict(self) -> dict[str, Any]:
        front, body = self.diff()
        return {
            "endpoint": self.endpoint,
            "account": self.account.name,
            "repo_id": self.request.repo_id,
            "creates_repository": self.head is None,
            "target": self.target,
            "branch": self.branch,
            "pull_request": self.pull_request,
            "parent_commit": self.head,
            "files": [
                {"path": f.path, "source": str(f.source), "bytes": len(f.content), "state": f.state} for f in self.files
            ],
            "kept_from_the_hub": self.taken,
            "front_matter_diff": front,
            "body_diff": body,
            "nothing_to_do": self.nothing_to_do,
            "notes": list(self.notes),
        }


def _diff(old: str, new: str, what: str) -> str:
    before, after = (_shown(text).splitlines(keepends=True) for text in (old, new))
    found = difflib.unified_diff(before, after, f"{what} (on the Hub)", f"{what} (to send)")
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in found)


def _shown(text: str) -> str:
    """Text for a terminal: nothing that steers it, and bytes that aren't UTF-8 as escapes."""
    plain = text.replace("\r\n", "\n").encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", lambda match: f"\\x{ord(match[0]):02x}", plain)


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


# --- planning: GET requests only ------------------------------------------------------------------------------------


def plan_push(hub: Connection, request: PushRequest) -> PushPlan:
    """What a push would do. Nothing is sent.

    Raises:
        HarnessError: the card is none, or not fit for the Hub; the repository or the rights are missing; the card on the
            Hub changed where ours did (exit code 5).
    """
    check_repo_id(request.repo_id)
    local = _local_files(request, hub.token)
    account = hub.account()
    if not account.can_write:
        raise MissingInputError(
            f"The token of {account.name} has read rights only.",
            remedy="Make one with write rights in the Hub's settings, then set HF_TOKEN or run: hf auth login",
        )
    number = _pull_request_number(request)
    branch = "main" if number or request.revision is None else request.revision
    try:
        base_head = _head(hub, request.repo_id, branch)
    except MissingInputError as error:
        if not (request.create_repo and isinstance(error.__cause__, RepositoryNotFoundError)):
            raise
        return _plan_for_new_repository(hub, request, local, account)
    notes = [f"{request.repo_id} exists; --create-repo does nothing."] if request.create_repo else []
    origin = _origin(hub, request, notes)
    on_branch = hub.read(request.repo_id, CARD, base_head)
    if number is None:
        head, theirs = base_head, on_branch
        merge = _merged(hub, request, branch, origin, on_branch, local[0].content)
    else:
        head = _open_pull_request(hub, request.repo_id, number, account)
        theirs = hub.read(request.repo_id, CARD, head)
        merge = _merged_for_update(hub, request, number, branch, origin, on_branch, head, theirs, local[0].content)
    if merge.taken:
        notes.append(f"Changes made on the Hub since are kept: {merge.taken}.")
    _check_card(merge.text, theirs, local, request)
    there = _hashes(hub, request.repo_id, head)
    files = [_planned(file, there) for file in [replace(local[0], content=merge.text), *local[1:]]]
    notes += _unshown_figures(merge.text, [file.path for file in files], there)
    if any(file.path == LEDGER and file.state == "changed" for file in files):
        notes += _lost_evidence(hub, request, head, local)
    plan = PushPlan(
        request=request,
        endpoint=hub.endpoint,
        account=account,
        branch=branch,
        pull_request=number,
        head=head,
        files=tuple(files),
        ours=local[0].content,
        theirs=theirs,
        taken=merge.taken,
        nothing_to_do=None,
        notes=tuple(notes),
    )
    return _with_what_is_there(hub, plan)


@dataclass(frozen=True)
class _Local:
    path: str
    source: Path
    content: bytes = field(repr=False)


def _local_files(request: PushRequest, token: str | None) -> list[_Local]:
    """The card, the figures it shows, and its ledger."""
    content = _read(request.card, "card")
    check_content(content, str(request.card))
    record = read_record(decode(content))
    ledger = _ledger_of(request, record)
    if ledger is not None and record is not None:
        content = _naming(content, replace(record, ledger=LEDGER))
    files = [_Local(CARD, request.card, content)]
    for name in _figures(content):
        source = request.card.parent / name
        if source.is_file():
            files.append(_Local(name, source, source.read_bytes()))
    if ledger is not None:
        files.append(_Local(LEDGER, ledger, _read(ledger, "ledger")))
    for file in files:
        if holds_token(file.content, token):
            raise HarnessError(
                f"{file.source} holds a Hub token, or what looks like one; it isn't sent.",
                remedy="Take it out, and revoke the token in the Hub's settings if it is real.",
                exit_code=ExitCode.CHECK_FAILED,
            )
    return files


def _ledger_of(request: PushRequest, record: CardRecord | None) -> Path | None:
    """The ledger given, else the one that the card's record names, else the evidence.json beside the card.

    Raises:
        HarnessError: it can't be read, or isn't the one that the card was made from.
    """
    beside = request.card.parent / Path(record.ledger if record and record.ledger else LEDGER).name
    path = request.ledger or beside
    if request.ledger is None and not path.is_file():
        return None
    ledger = Ledger.load(path)
    if record is not None and record.sha256 is not None and record.sha256 != ledger_digest(ledger):
        raise HarnessError(
            f"{path} isn't the ledger that {request.card} was made from.",
            remedy="Fill or render the card again, or give its own ledger with --ledger.",
            exit_code=ExitCode.CHECK_FAILED,
        )
    return path


def _naming(card: bytes, record: CardRecord) -> bytes:
    """The card with a record that names the ledger as it is called on the Hub."""
    text = decode(card)
    edit = record_edit(Document(text), record)
    return encode(apply_edits(text, [edit])) if edit is not None else card


def _figures(card: bytes) -> list[str]:
    """The files under `figures/` that a card shows, in order."""
    names = (unquote(name) for name in _FIGURE.findall(decode(card)))
    return [name for name in dict.fromkeys(names) if ".." not in name.split("/")]


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise HarnessError(
            f"Can't read the {what} {path}: {error.strerror}.", remedy="Give its path.", exit_code=ExitCode.USAGE
        ) from error


def _pull_request_number(request: PushRequest) -> int | None:
    if not (request.revision or "").startswith("refs/"):
        return None
    match = _PULL_REQUEST.fullmatch(request.revision or "")
    if match is None:
        raise HarnessError(
            f"--revision {request.revision} is neither a branch nor refs/pr/N.",
            remedy="Give the name of a branch, or refs/pr/N for an open pull request.",
            exit_code=ExitCode.USAGE,
        )
    return int(match[1])


def _head(hub: Connection, repo_id: str, revision: str) -> str:
    """The commit a revision points to."""
    with hub.explained(f"look at {repo_id}", repo_id):
        return str(hub.api.model_info(repo_id, revision=revision).sha)


def _plan_for_new_repository(hub: Connection, request: PushRequest, local: list[_Local], account: Account) -> PushPlan:
    if "/" not in request.repo_id:
        raise HarnessError(
            f"--create-repo needs a full id, not '{request.repo_id}'.",
            remedy=f"Perhaps {account.name}/{request.repo_id}?",
            exit_code=ExitCode.USAGE,
        )
    if request.revision not in (None, "main"):
        raise HarnessError(
            f"A new repository has no {request.revision}.", remedy="Leave --revision out.", exit_code=ExitCode.USAGE
        )
    _check_card(local[0].content, None, local, request)
    return PushPlan(
        request=request,
        endpoint=hub.endpoint,
        account=account,
        branch="main",
        pull_request=None,
        head=None,
        files=tuple(PlannedFile(file.path, file.source, file.content, "new") for file in local),
        ours=local[0].content,
        theirs=None,
        taken=0,
        nothing_to_do=None,
        notes=(f"The repository {request.repo_id} is made first; everyone will see it.",),
    )


def _origin(hub: Connection, request: PushRequest, notes: list[str]) -> Origin | None:
    """Where our card came from, if it is this repository."""
    origin = load_origin(request.card)
    if origin is None or (origin.endpoint, origin.repo_id) == (hub.endpoint, request.repo_id):
        return origin
    notes.append(f"This card was made from that of {origin.repo_id} at {origin.endpoint}, not from this one.")
    return None


def _merged(
    hub: Connection, request: PushRequest, revision: str, origin: Origin | None, theirs: bytes | None, ours: bytes
) -> Merge:
    """Ours with what is at a revision now. Raises HarnessError where they collide."""
    if theirs is None:
        return Merge(ours, (), 0)
    base = _common_base(hub, request.repo_id, revision, origin, theirs)
    merge = merge_cards(base, theirs, ours)
    if merge.conflicts:
        raise _stale(request, merge, revision, made_from_it=base is not None)
    return merge


def _common_base(hub: Connection, repo_id: str, revision: str, origin: Origin | None, theirs: bytes) -> bytes | None:
    """The card that ours and the one on the Hub were both made from."""
    if origin is None:
        return None
    if git_hash(theirs) == origin.blob:
        return theirs
    pushed = origin.pushed
    if pushed is not None and pushed.branch == revision and _is_part_of_it(hub, repo_id, origin, pushed, theirs):
        return pushed.card.encode()
    if origin.blob is None or origin.revision != revision:
        return None
    base = hub.read(repo_id, CARD, origin.commit)
    if base is None or git_hash(base) != origin.blob:
        raise HarnessError(
            f"{repo_id} no longer has the commit {origin.commit[:8]} that this card was made from.",
            remedy=f"Pull the card again: harness pull {repo_id} --output NEW.md, then fill and push that.",
            exit_code=ExitCode.CHECK_FAILED,
        )
    return base


def _is_part_of_it(hub: Connection, repo_id: str, origin: Origin, pushed: Pushed, theirs: bytes) -> bool:
    """Whether what we sent last became part of its branch, and the card wasn't pulled again since."""
    if pushed.made_from != origin.commit:
        return False
    if pushed.pull_request is None or git_hash(theirs) == pushed.blob:
        return True
    with hub.explained(f"look at pull request #{pushed.pull_request}", repo_id):
        return hub.api.get_discussion_details(repo_id, pushed.pull_request).status == "merged"


def _open_pull_request(hub: Connection, repo_id: str, number: int, account: Account) -> str:
    """The head of a pull request of ours. Raises HarnessError where it isn't open, or not ours."""
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
        raise HarnessError(
            f"#{number} of {repo_id} is {why}.",
            remedy="Leave --revision out to open a new pull request.",
            exit_code=ExitCode.USAGE,
        )
    return _head(hub, repo_id, f"refs/pr/{number}")


def _merged_for_update(
    hub: Connection,
    request: PushRequest,
    number: int,
    branch: str,
    origin: Origin | None,
    on_branch: bytes | None,
    head: str,
    theirs: bytes | None,
    ours: bytes,
) -> Merge:
    """Ours with what is on the branch and on our pull request to it. Raises HarnessError where they collide, or where
    the pull request couldn't be merged afterwards."""
    fork = _card_at_the_fork(hub, request, branch, head)
    _check_that_it_can_be_merged(request, number, branch, fork, on_branch, theirs)
    if origin is not None and origin.revision == request.revision:
        pulled = _common_base(hub, request.repo_id, origin.revision, origin, theirs or b"")
        merge = _merged_with_pull_request(request, number, origin, pulled, theirs, ours)
    else:
        first = _merged(hub, request, branch, origin, on_branch, ours)
        second = _merged_with_pull_request(request, number, origin, fork, theirs, first.text)
        merge = Merge(second.text, (), first.taken + second.taken)
    _check_that_it_can_be_merged(request, number, branch, fork, on_branch, merge.text)
    return merge


def _merged_with_pull_request(
    request: PushRequest, number: int, origin: Origin | None, base: bytes | None, theirs: bytes | None, ours: bytes
) -> Merge:
    """Ours with what others did on our pull request since our last version of it.

    Args:
        base: what to count from where our last version isn't known here, or was pulled from the pull request since.
    """
    if theirs is None:
        return Merge(ours, (), 0)
    pushed = origin.pushed if origin is not None else None
    if origin is not None and pushed is not None and pushed.pull_request == number:
        pulled_since = origin.revision == request.revision and pushed.made_from != origin.commit
        base = base if pulled_since else pushed.card.encode()
    merge = merge_cards(base, theirs, ours)
    if merge.conflicts:
        raise _stale(request, merge, f"refs/pr/{number}", made_from_it=True)
    return merge


def _card_at_the_fork(hub: Connection, request: PushRequest, branch: str, head: str) -> bytes | None:
    """The card that a pull request left its branch with."""
    with hub.explained(f"read the commits of {branch}", request.repo_id):
        on_branch = {commit.commit_id for commit in hub.api.list_repo_commits(request.repo_id, revision=branch)}
        proposed = hub.api.list_repo_commits(request.repo_id, revision=head)
    fork = next((commit.commit_id for commit in proposed if commit.commit_id in on_branch), None)
    return hub.read(request.repo_id, CARD, fork) if fork is not None else None


def _check_that_it_can_be_merged(
    request: PushRequest, number: int, branch: str, fork: bytes | None, on_branch: bytes | None, card: bytes | None
) -> None:
    """Refuse to go on with a pull request that git could no longer merge into its branch: a commit over HTTP has one
    parent, so what happened on the branch since can't be brought in."""
    if on_branch is not None and card is not None and not merges_by_lines(fork or b"", on_branch, card):
        raise HarnessError(
            f"Nothing was sent: the card on {branch} of {request.repo_id} changed where pull request #{number} does, so "
            "it can't be merged any more.",
            remedy="Close it on the Hub, and push without --revision: that opens a new one upon what is there now.",
            exit_code=ExitCode.CHECK_FAILED,
        )


def _stale(request: PushRequest, merge: Merge, revision: str, *, made_from_it: bool) -> HarnessError:
    places = "\n".join(
        f"    {c.where}\n      here:       {_one_line(c.ours)}\n      on the Hub: {_one_line(c.theirs)}"
        for c in merge.conflicts[:5]
    )
    more = f"\n    and {len(merge.conflicts) - 5} more" if len(merge.conflicts) > 5 else ""
    why = (
        "changed since this card was made from it, in the same places" if made_from_it else "wasn't made into this one"
    )
    option = "" if revision == "main" else f" --revision {revision}"
    return HarnessError(
        f"Nothing was sent: the card on {revision} of {request.repo_id} {why}:\n{places}{more}",
        remedy=f"Start from the card that is there now: harness pull {request.repo_id}{option} --output NEW.md; "
        f"then harness fill NEW.md, or bring your changes over; then push the result{f' with{option}' if option else ''}.",
        exit_code=ExitCode.CHECK_FAILED,
    )


def _one_line(text: str) -> str:
    shown = " ".join(_shown(text).split())
    return shown if len(shown) <= 100 else f"{shown[:100]}…"


def _check_card(card: bytes, theirs: bytes | None, local: list[_Local], request: PushRequest) -> None:
    """Refuse a card with faults that the one on the Hub doesn't have."""
    there = {str(fault) for fault in card_faults(theirs)} if theirs else set()
    faults = [str(fault) for fault in card_faults(card) if str(fault) not in there]
    ledger = next((file for file in local if file.path == LEDGER), None)
    if ledger is not None:
        faults += [
            f"model-index: {score} is not in {ledger.source} as measured on the whole benchmark"
            for score in unproven_scores(card, theirs, Ledger.load(ledger.source))
        ]
    if faults:
        raise HarnessError(
            f"{request.card} has a front matter that the Hub wouldn't take:\n    " + "\n    ".join(faults),
            remedy="Mend it, then repeat the command.",
            exit_code=ExitCode.CHECK_FAILED,
        )


def _planned(file: _Local, there: dict[str, str]) -> PlannedFile:
    known = there.get(file.path)
    state = "new" if known is None else "same" if known in _both_hashes(file.content) else "changed"
    return PlannedFile(file.path, file.source, file.content, state)


def _unshown_figures(card: bytes, sent: list[str], there: dict[str, str]) -> list[str]:
    return [
        f"The card shows {name}, which is neither beside it nor on the Hub."
        for name in _figures(card)
        if name not in sent and name not in there
    ]


def _lost_evidence(hub: Connection, request: PushRequest, head: str, local: list[_Local]) -> list[str]:
    """What the ledger on the Hub holds that ours doesn't. Raises HarnessError where that file is no ledger."""
    content = hub.read(request.repo_id, LEDGER, head) or b""
    try:
        theirs = Ledger.model_validate_json(content)
    except ValidationError as error:
        raise HarnessError(
            f"{LEDGER} of {request.repo_id} on the Hub is no ledger of harness; it would be lost.",
            remedy="Rename that file on the Hub, or push the card from a folder without a ledger.",
            exit_code=ExitCode.CHECK_FAILED,
        ) from error
    ours = {item.key for file in local if file.path == LEDGER for item in Ledger.load(file.source)}
    gone = [item.key for item in theirs if item.key not in ours]
    shown = ", ".join(gone[:5]) + (f" and {len(gone) - 5} more" if len(gone) > 5 else "")
    return [f"The ledger on the Hub holds evidence that this one doesn't: {shown}."] if gone else []


def _both_hashes(content: bytes) -> tuple[str, str]:
    """A content's hash as a plain file and as a large one."""
    return git_hash(content), hashlib.sha256(content).hexdigest()


def _hashes(hub: Connection, repo_id: str, revision: str) -> dict[str, str]:
    """Each file's hash: git's, or SHA-256 of a large one."""
    with hub.explained(f"list the files of {repo_id}", repo_id):
        listed = hub.api.list_repo_tree(repo_id, recursive=True, revision=revision)
        return {f.path: f.lfs.sha256 if f.lfs else f.blob_id for f in listed if isinstance(f, RepoFile)}


def _holds(there: dict[str, str], files: Iterable[PlannedFile]) -> bool:
    return all(file.path in there and there[file.path] in _both_hashes(file.content) for file in files)


def _with_what_is_there(hub: Connection, plan: PushPlan) -> PushPlan:
    """The plan, knowing whether all of it is on the Hub already."""
    notes = list(plan.notes)
    reason = None
    if all(file.state == "same" for file in plan.files):
        where = f"pull request #{plan.pull_request}" if plan.pull_request else plan.branch
        reason = f"{where} of {plan.request.repo_id} holds exactly this already."
    elif plan.request.create_pr and plan.pull_request is None:
        for number in _open_pull_requests(hub, plan):
            if _holds(_hashes(hub, plan.request.repo_id, f"refs/pr/{number}"), plan.files):
                reason = f"Your pull request #{number} proposes exactly this already."
                break
            notes.append(
                f"Your pull request #{number} is open; to change it instead of opening another: "
                f"--revision refs/pr/{number}"
            )
    return replace(plan, nothing_to_do=reason, notes=tuple(notes))


def _open_pull_requests(hub: Connection, plan: PushPlan) -> list[int]:
    with hub.explained("list open pull requests", plan.request.repo_id):
        found = hub.api.get_repo_discussions(
            plan.request.repo_id,
            author=plan.account.name,
            discussion_type="pull_request",
            discussion_status="open",
        )
        return [item.num for item in found]


# --- sending ---------------------------------------------------------------------------------------------------------


def push(hub: Connection, plan: PushPlan) -> Sent:
    """Do what was planned.

    Raises:
        HarnessError: the Hub refused it, or gave no answer and doesn't have it; exit code 5 where the repository changed
            since the plan was made.
    """
    request = plan.request
    head = plan.head
    if head is None:
        with hub.explained(f"make the repository {request.repo_id}", request.repo_id):
            hub.api.create_repo(request.repo_id, repo_type="model", exist_ok=False)
        head = _head(hub, request.repo_id, plan.branch)
    creates = request.create_pr and plan.pull_request is None
    revision = f"refs/pr/{plan.pull_request}" if plan.pull_request is not None else plan.branch
    blob = git_hash(plan.card)
    known = set(_open_pull_requests(hub, plan)) if creates else set()
    operations, left_out = _uploaded(hub, plan, revision, head, creates=creates)
    if not operations:
        return Sent(head, f"{hub.endpoint}/{request.repo_id}", plan.pull_request, left_out, ())
    try:
        with hub.explained("send the commit", request.repo_id), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            answer = hub.api.create_commit(
                request.repo_id,
                operations,
                commit_message=request.message,
                commit_description=f"Written with harness {__version__}.\n\n{_MARK}{blob}",
                revision=revision,
                create_pr=creates,
                parent_commit=head,
            )
        commit, url = answer.oid, answer.pr_url or answer.commit_url
        number = answer.pr_num if creates else plan.pull_request
        notes = tuple(hub.clean(item.message) for item in caught)
    except NoAnswerError as error:
        commit, number = _find(hub, plan, revision, head, blob, known if creates else None, error)
        place = f"discussions/{number}" if number is not None else f"commit/{commit}"
        url = f"{hub.endpoint}/{request.repo_id}/{place}"
        notes = ("The connection failed while the commit was sent, but it is there.",)
    except ValueError as error:
        raise HarnessError(
            f"The Hub refused the card: {hub.clean(error)}",
            remedy="Mend what it names, then repeat the command.",
            exit_code=ExitCode.CHECK_FAILED,
        ) from error
    _remember(hub, plan, head, commit, blob, number)
    return Sent(commit, url, number, left_out, notes)


def _uploaded(
    hub: Connection, plan: PushPlan, revision: str, head: str, *, creates: bool
) -> tuple[list[CommitOperationAdd], tuple[str, ...]]:
    """The commit's operations, with large files stored already, and the files that the repository's .gitignore keeps
    out."""
    operations = [CommitOperationAdd(file.path, file.content) for file in plan.files if file.state != "same"]
    try:
        with hub.explained("upload the files", plan.request.repo_id):
            hub.api.preupload_lfs_files(
                plan.request.repo_id, operations, revision=revision, create_pr=creates, free_memory=False
            )
    except (RuntimeError, OSError) as error:
        raise HarnessError(
            f"A file could not be uploaded: {hub.clean(error.__cause__ or error).rstrip('.')}. Nothing was committed.",
            remedy="Repeat the command.",
        ) from error
    ignored = tuple(op.path_in_repo for op in operations if op._should_ignore)
    if CARD in ignored:
        raise HarnessError(
            f"The .gitignore of {plan.request.repo_id} keeps {CARD} out. Nothing was committed.",
            remedy="Change the .gitignore on the Hub, then repeat the command.",
        )
    return [op for op in operations if op.path_in_repo not in ignored], ignored


def _find(
    hub: Connection,
    plan: PushPlan,
    revision: str,
    head: str,
    blob: str,
    known: set[int] | None,
    error: HarnessError,
) -> tuple[str, int | None]:
    """The commit that got no answer, looked for by the card's hash in it among what is newer than `head`.

    Args:
        known: open pull requests from before, where the commit was to open a new one.

    Raises:
        HarnessError: it isn't there.
    """
    for pause in _LOOKS:
        time.sleep(pause)
        places: list[tuple[str, int | None]] = [(revision, plan.pull_request)]
        if known is not None:
            places = [(f"refs/pr/{n}", n) for n in _open_pull_requests(hub, plan) if n not in known]
        for place, number in places:
            with hub.explained(f"read the commits of {place}", plan.request.repo_id):
                commits = hub.api.list_repo_commits(plan.request.repo_id, revision=place)
            newer = itertools.takewhile(lambda commit: commit.commit_id != head, commits)
            landed = next((commit.commit_id for commit in newer if f"{_MARK}{blob}" in commit.message), None)
            if landed is not None:
                return landed, number
    raise HarnessError(
        f"{error.message} The commit was sent once, and isn't on the Hub: looked {len(_LOOKS)} times.",
        remedy="Repeat the command: it looks at what is there before it sends anything.",
    ) from error


def _remember(hub: Connection, plan: PushPlan, head: str, commit: str, blob: str, number: int | None) -> None:
    """Write beside the card what was sent, and our version of it."""
    request = plan.request
    origin = load_origin(request.card)
    if origin is None or (origin.endpoint, origin.repo_id) != (hub.endpoint, request.repo_id):
        origin = Origin(endpoint=hub.endpoint, repo_id=request.repo_id, revision=plan.branch, commit=head, blob=None)
    pushed = Pushed(
        commit=commit,
        blob=blob,
        branch=plan.branch,
        pull_request=number,
        made_from=origin.commit,
        card=plan.ours.decode(),
    )
    save_origin(request.card, origin.model_copy(update={"pushed": pushed}))
