"""Talking to the Hub: the account, what is asked of a repository, and what is said when it fails.

A token is read by the client's own order and goes nowhere but into the request's header: what is shown of a failure
passes through `Connection.clean`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import httpx2
from huggingface_hub import GitCommitInfo, HfApi, RepoFile, constants, get_session, get_token, hf_hub_url
from huggingface_hub.errors import (
    DisabledRepoError,
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import build_hf_headers, hf_raise_for_status, validate_repo_id

from harness import __version__
from harness.credentials import without_credentials
from harness.errors import ExitCode, HarnessError, MissingInputError, UsageError
from harness.hub.client import BUSY, NETWORK_REMEDY, NO_ANSWER, Patience, busy, git_hash, no_answer, patient_session
from harness.parsing.answers import STRANGE_ANSWER, STRANGE_REMEDY
from harness.settings import hub_is_offline

CARD = "README.md"
"""Where a model card is in a repository."""
PATIENCE = Patience()
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
TOKEN_REMEDY = "Make a token with write rights in the Hub's settings, then set HF_TOKEN or run: hf auth login"


class NoAnswerError(HarnessError):
    """A request that is sent once got no answer that says what became of it."""


@dataclass(frozen=True)
class Account:
    """Who the token belongs to."""

    name: str
    can_write: bool


@dataclass
class Connection:
    """The Hub's client, set up for one endpoint and account. What it can't do, it raises as HarnessError."""

    endpoint: str
    token: str | None = field(repr=False)
    api: HfApi = field(repr=False)

    def clean(self, text: object) -> str:
        """Text from outside, fit to be shown: no token, no control characters, one line, at most 400 characters."""
        shown = " ".join(_CONTROL.sub(" ", without_credentials(str(text), self.token)).split())
        return shown if len(shown) <= 400 else f"{shown[:400]}…"

    def account(self) -> Account:
        """Who the token belongs to. Raises HarnessError where the Hub doesn't accept it (exit code 4)."""
        with self.explained("ask who the token belongs to"):
            answer = self.api.whoami()
            role = answer.get("auth", {}).get("accessToken", {}).get("role")
            return Account(str(answer["name"]), can_write=role != "read")

    def head(self, repo_id: str, revision: str) -> str:
        """The commit that a revision points to."""
        with self.explained(f"look at {repo_id}", repo_id):
            commit = str(self.api.model_info(repo_id, revision=revision).sha)
            if not re.fullmatch(r"[0-9a-f]{40}", commit):
                raise ValueError(commit)
            return commit

    def commits(self, repo_id: str, revision: str) -> list[GitCommitInfo]:
        """The commits of a revision, newest first."""
        with self.explained(f"read the commits of {revision}", repo_id):
            return self.api.list_repo_commits(repo_id, revision=revision)

    def hashes(self, repo_id: str, revision: str) -> dict[str, str]:
        """Each file's hash: git's, or SHA-256 of a large one."""
        with self.explained(f"list the files of {repo_id}", repo_id):
            listed = self.api.list_repo_tree(repo_id, recursive=True, revision=revision)
            return {f.path: f.lfs.sha256 if f.lfs else f.blob_id for f in listed if isinstance(f, RepoFile)}

    def open_pull_requests(self, repo_id: str, author: str) -> list[int]:
        """The numbers of an author's open pull requests."""
        with self.explained("list open pull requests", repo_id):
            found = self.api.get_repo_discussions(repo_id, author=author, discussion_status="open")
            return [item.num for item in found if item.is_pull_request]

    def read(self, repo_id: str, path: str, commit: str) -> bytes | None:
        """A file's content at a commit; None where there is no such file."""
        url = hf_hub_url(repo_id, path, revision=commit, endpoint=self.endpoint)
        headers = build_hf_headers(token=self.token or False, library_name="harness", library_version=__version__)
        with self.explained(f"read {path} of {repo_id}", repo_id):
            response = get_session().get(url, headers=headers)
            try:
                hf_raise_for_status(response)
            except EntryNotFoundError:
                return None
        content = response.content
        etag = response.headers.get("ETag", "").removeprefix("W/").strip('"')
        if re.fullmatch(r"[0-9a-f]{40}", etag) and etag != git_hash(content):  # of a large file it is something else
            message = f"{path} of {repo_id} doesn't have the hash that the Hub announced: it changed on the way."
            raise HarnessError(message, remedy=NETWORK_REMEDY)
        return content

    @contextmanager
    def explained(self, doing: str, repo_id: str | None = None) -> Iterator[None]:
        """Turns the client's failures into sentences.

        Args:
            doing: what was tried, to follow "can't".

        Raises:
            HarnessError: with the exit code that fits.
        """
        try:
            yield
        except OfflineModeIsEnabled as error:
            raise _offline(doing) from error
        except NO_ANSWER as error:
            raise NoAnswerError(no_answer(self.endpoint, error), remedy=NETWORK_REMEDY) from error
        except HfHubHTTPError as error:
            raise self._sentence(error, doing, repo_id) from error
        except (*STRANGE_ANSWER, httpx2.HTTPError) as error:
            message = f"{self.endpoint} answers as no Hub does: can't {doing}."
            raise NoAnswerError(message, remedy=STRANGE_REMEDY) from error

    def _sentence(self, error: HfHubHTTPError, doing: str, repo_id: str | None) -> HarnessError:
        status = error.response.status_code
        said = self.clean(error.server_message or "")
        if isinstance(error, GatedRepoError):
            problem = f"{repo_id} is gated, and this account has no access to it."
            remedy = f"Accept its terms at {self.endpoint}/{repo_id}, then repeat the command."
        elif isinstance(error, DisabledRepoError):
            problem, remedy = f"Access to {repo_id} is disabled on the Hub.", "Ask its owner."
        elif isinstance(error, RevisionNotFoundError):
            problem, remedy = f"{repo_id} has no such revision on the Hub: can't {doing}.", "Check --revision."
        elif isinstance(error, RepositoryNotFoundError):
            hidden = "this account may not see it" if self.token else "it is private, and there is no token"
            problem = f"The Hub has no model {repo_id}, or {hidden}: can't {doing}."
            remedy = "Check the spelling and the token; to make a new repository, push with --create-repo."
        elif status == 401:
            refused = "doesn't accept this token" if self.token else "wants a token"
            problem, remedy = f"The Hub {refused}: can't {doing} (HTTP 401).", TOKEN_REMEDY
        elif status in BUSY:
            passing = busy(status, error.response.headers)
            return passing if status == 429 else NoAnswerError(passing.message, remedy=passing.remedy)
        else:
            refused, remedy, code = _REFUSALS.get(status, _REFUSED)
            told = f" The Hub says: {said}" if said else ""
            return HarnessError(f"{refused}: can't {doing} (HTTP {status}).{told}", remedy=remedy, exit_code=code)
        return MissingInputError(problem, remedy=remedy)


_REFUSED = ("The Hub refused", "Repeat the command; if it stays, look at the Hub's status.", ExitCode.FAILED)
_CONTENT = ("The Hub refused the content", "Mend what it names, then repeat the command.", ExitCode.CHECK_FAILED)
_REFUSALS: dict[int, tuple[str, str, ExitCode]] = {
    400: _CONTENT,
    403: (
        "This account may not do that",
        "Use a token with write rights, or leave --no-create-pr out to open a pull request.",
        ExitCode.MISSING,
    ),
    404: ("The Hub doesn't know that", "Check the spelling, and HF_ENDPOINT.", ExitCode.MISSING),
    409: (
        "Something else is in the way on the Hub",
        "Look at the repository's page, then repeat the command.",
        ExitCode.FAILED,
    ),
    412: (
        "The repository changed in the meantime; nothing was sent",
        "Repeat the command: it looks at what is there now.",
        ExitCode.CHECK_FAILED,
    ),
    413: ("That is too large for the Hub", "Make the card or its figures smaller.", ExitCode.FAILED),
    422: _CONTENT,
}
"""By status: what is wrong, what to do, exit code."""


def _offline(doing: str) -> MissingInputError:
    return MissingInputError(f"This is offline mode (HF_HUB_OFFLINE): can't {doing}.", remedy="Unset HF_HUB_OFFLINE.")


@contextmanager
def connect(doing: str, patience: Patience | None = None) -> Iterator[Connection]:
    """The Hub at HF_ENDPOINT with the token that the client would use.

    Args:
        doing: what it is for, said if there is no way to.

    Raises:
        HarnessError: offline mode, a malformed endpoint or token.
    """
    if hub_is_offline():
        raise _offline(doing)
    endpoint = (os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")
    if not re.fullmatch(r"https?://[^/@\s][^@\s]*", endpoint):  # a password would be sent instead of the token
        message = "HF_ENDPOINT is not an address, or has a user name in it."
        raise UsageError(message, remedy="Give it as https://HOST, or unset it.")
    token = _read_token()
    api = HfApi(endpoint=endpoint, token=token or False, library_name="harness", library_version=__version__)
    with patient_session(patience or PATIENCE):
        yield Connection(endpoint, token, api)


def _read_token() -> str | None:
    """The token by the client's own order: HF_TOKEN, then the token file."""
    try:
        token = get_token()
    except OSError as error:
        raise MissingInputError(f"Can't read the token file: {error.strerror}.", remedy=TOKEN_REMEDY) from error
    if token is not None and not re.fullmatch(r"[!-~]+", token):
        raise MissingInputError("The Hub token holds characters that no token has.", remedy=TOKEN_REMEDY)
    return token


def token_state() -> str:
    """Whether there is a token, where it is from, and whether the Hub takes it; never the token."""
    try:
        if _read_token() is None:
            return "none (set HF_TOKEN or run: hf auth login)"
    except HarnessError as error:
        return error.message
    variable = next((name for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN") if os.environ.get(name)), None)
    present = f"present, from {variable or 'the token file'}"
    if hub_is_offline():
        return f"{present}; not checked: offline"
    try:
        with connect("check the token", Patience(connect=5.0, read=10.0, attempts=1)) as hub:
            account = hub.account()
    except HarnessError as error:
        return f"{present}; {error.message}"
    return f"{present}; of {account.name}, {'may write' if account.can_write else 'may only read'}"


def check_repo_id(repo_id: str) -> None:
    """Refuse what can't be the id of a model repository.

    Raises:
        HarnessError: with exit code 2.
    """
    remedy = "An id is ORG/NAME in letters, digits, '-', '_' and '.', at most 96 characters, without '--' or '..'."
    if re.match(r"(?:https?://|hf:|(?:datasets|spaces|models|kernels)/)", repo_id):
        remedy = "Give ORG/NAME of a model alone, without address or kind."
    else:
        with suppress(HFValidationError):
            return validate_repo_id(repo_id)
    raise UsageError(f"'{repo_id}' is not a model's id on the Hub.", remedy=remedy)
