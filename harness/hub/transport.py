"""Talking to the Hub through its own client, with time-outs, bounded patience and clear failures.

The client's HTTP session has no time-out and retries some requests without a bound. While a `Connection` is open, the
client uses a session of ours: every request has time-outs; those that change nothing, or may be repeated without
changing more, are tried a few times, with the pause that `Retry-After` asks for; commits, merges and the creation of a
repository are sent once, and whoever sends them has to look what became of them.

A token is read by the client's own order and goes nowhere but into the request's header: what is shown of a failure
passes through `Connection.clean`.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import httpx2
from huggingface_hub import HfApi, constants, get_session, get_token, hf_hub_url, set_client_factory
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
from huggingface_hub.utils import (
    are_progress_bars_disabled,
    build_hf_headers,
    disable_progress_bars,
    enable_progress_bars,
    hf_raise_for_status,
    validate_repo_id,
)
from huggingface_hub.utils._http import default_client_factory, hf_request_event_hook
from huggingface_hub.utils.sha import git_hash

from harness import __version__
from harness.errors import ExitCode, HarnessError, MissingInputError
from harness.settings import hub_is_offline

CARD = "README.md"
"""Where a model card is in a repository."""

_NO_ANSWER = (httpx2.TimeoutException, httpx2.NetworkError, httpx2.RemoteProtocolError)
"""Failures after which nobody knows whether the request took effect."""

_NETWORK_REMEDY = "Check the network (and HF_ENDPOINT), then repeat the command."

_BUSY = frozenset({408, 429, 500, 502, 503, 504})
_REPEATABLE_POSTS = re.compile(r"/api/validate-yaml|/preupload/|/paths-info/|\.git/info/lfs/objects/batch$")
_TELEMETRY = "/api/agent-harnesses"
"""Asked by the client for its user agent, and not worth waiting for."""
_A_TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{16,}")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_TOKEN_REMEDY = "Make a token with write rights in the Hub's settings, then set HF_TOKEN or run: hf auth login"


@dataclass(frozen=True)
class Patience:
    """How long to wait for the Hub, in seconds, and how often to ask again."""

    connect: float = 10.0
    read: float = 60.0
    """Longest silence while an answer is awaited."""
    attempts: int = 4
    first_pause: float = 1.0
    """Doubles with each attempt."""
    longest_pause: float = 60.0
    """A `Retry-After` beyond this isn't waited for; the command ends and says when to come back."""


PATIENCE = Patience()


class HubUnreachableError(HarnessError):
    """The Hub didn't answer, or only with a passing failure, as often as it was asked."""


class NoAnswerError(HarnessError):
    """A request that is sent once got no answer that says what became of it."""


class _PatientClient(httpx2.Client):
    """The client's HTTP session, with time-outs and bounded retries."""

    def __init__(self, patience: Patience) -> None:
        super().__init__(
            event_hooks={"request": [hf_request_event_hook]},
            follow_redirects=True,
            timeout=httpx2.Timeout(patience.read, connect=patience.connect),
        )
        self._patience = patience

    def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        given = request.extensions.get("timeout", {})
        ours = self.timeout.as_dict()  # some of the client's calls pass "no time-out" on
        limits = {name: ours[name] if given.get(name) is None else given[name] for name in ours}
        request.extensions = {**request.extensions, "timeout": limits}
        if not _is_repeatable(request):
            return super().send(request, **options)
        pause = self._patience.first_pause
        for left in reversed(range(self._patience.attempts)):
            try:
                response = super().send(request, **options)
            except _NO_ANSWER as error:
                if not left:
                    raise HubUnreachableError(_no_answer(request.url, error), remedy=_NETWORK_REMEDY) from error
                wait = pause
            else:
                if response.status_code not in _BUSY:
                    return response
                wait = max(pause, _asked_pause(response.headers) or 0.0)
                if not left or wait > self._patience.longest_pause:
                    raise _busy(response.status_code, response.headers)
                response.close()
            time.sleep(wait)
            pause *= 2
        raise AssertionError("attempts is at least 1")


def _is_repeatable(request: httpx2.Request) -> bool:
    """Whether sending a request twice does no more than sending it once."""
    if request.method == "POST":
        return bool(_REPEATABLE_POSTS.search(request.url.path))
    return request.method in ("GET", "HEAD") and request.url.path != _TELEMETRY


def _asked_pause(headers: Any) -> float | None:
    """Seconds that the Hub asks to wait, by `Retry-After` (seconds, or a date) or its rate limit headers."""
    asked = headers.get("Retry-After", "").strip()
    if asked.isdigit():
        return float(asked)
    with suppress(ValueError, TypeError):
        return max(0.0, (parsedate_to_datetime(asked) - datetime.now(UTC)).total_seconds())
    limit = re.search(r";\s*r\s*=\s*0\s*;\s*t\s*=\s*(\d+)", headers.get("RateLimit", ""))
    return float(limit[1]) if limit else None


def _no_answer(url: object, error: Exception) -> str:
    """What is said when no answer came."""
    host = urlsplit(str(url)).hostname or str(url)
    what = "gave no answer in time" if isinstance(error, httpx2.TimeoutException) else "can't be reached"
    if isinstance(error, httpx2.RemoteProtocolError | httpx2.ReadError | httpx2.WriteError):
        what = "closed the connection without an answer"
    return f"{host} {what}."


def _busy(status: int, headers: Any) -> HubUnreachableError:
    """What is said when the Hub is overloaded, or limits this account's requests."""
    asked = _asked_pause(headers)
    when = f"in {asked:.0f} seconds" if asked else "in a few minutes"
    what = "limits the number of requests" if status == 429 else "has a passing failure"
    return HubUnreachableError(f"The Hub {what} (HTTP {status}).", remedy=f"Repeat the command {when}.")


@dataclass(frozen=True)
class Account:
    """Who the token belongs to."""

    name: str
    can_write: bool


@dataclass
class Connection:
    """The Hub's client, set up for one endpoint and account."""

    endpoint: str
    token: str | None = field(repr=False)
    api: HfApi = field(repr=False)

    def clean(self, text: object) -> str:
        """Text from outside, fit to be shown: no token, no control characters, one line, at most 400 characters."""
        shown = str(text)
        if self.token:
            shown = shown.replace(self.token, "<token>")
        shown = " ".join(_CONTROL.sub(" ", _A_TOKEN.sub("<token>", shown)).split())
        return shown if len(shown) <= 400 else f"{shown[:400]}…"

    def account(self) -> Account:
        """Who we are.

        Raises:
            HarnessError: no token, or one that the Hub doesn't accept (exit code 4).
        """
        if self.token is None:
            raise MissingInputError("There is no Hub token.", remedy=_TOKEN_REMEDY)
        with self.explained("ask who the token belongs to"):
            answer = self.api.whoami()
            role = answer.get("auth", {}).get("accessToken", {}).get("role")
            return Account(str(answer["name"]), can_write=role != "read")

    def read(self, repo_id: str, path: str, commit: str) -> bytes | None:
        """A file's content at a commit; None where there is no such file.

        Raises:
            HarnessError: not readable by this account, or no answer.
        """
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
            raise HarnessError(
                f"{path} of {repo_id} doesn't have the hash that the Hub announced: it changed on the way.",
                remedy="Check the network (and HF_ENDPOINT), then repeat the command.",
            )
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
            raise offline_error(doing) from error
        except _NO_ANSWER as error:
            raise NoAnswerError(_no_answer(self.endpoint, error), remedy=_NETWORK_REMEDY) from error
        except HfHubHTTPError as error:
            raise self._sentence(error, doing, repo_id) from error
        except (json.JSONDecodeError, KeyError) as error:
            raise NoAnswerError(
                f"{self.endpoint} answers as no Hub does: can't {doing}.",
                remedy="Check HF_ENDPOINT and the network.",
            ) from error

    def _sentence(self, error: HfHubHTTPError, doing: str, repo_id: str | None) -> HarnessError:
        status = error.response.status_code
        said = self.clean(error.server_message or "")
        told = f" The Hub says: {said}" if said else ""
        if isinstance(error, GatedRepoError):
            return MissingInputError(
                f"{repo_id} is gated, and this account has no access to it.",
                remedy=f"Accept its terms at {self.endpoint}/{repo_id}, then repeat the command.",
            )
        if isinstance(error, DisabledRepoError):
            return MissingInputError(f"Access to {repo_id} is disabled on the Hub.", remedy="Ask its owner.")
        if isinstance(error, RevisionNotFoundError):
            return MissingInputError(
                f"{repo_id} has no such revision on the Hub: can't {doing}.", remedy="Check --revision."
            )
        if isinstance(error, RepositoryNotFoundError):
            hidden = "this account may not see it" if self.token else "it is private, and there is no token"
            return MissingInputError(
                f"The Hub has no model {repo_id}, or {hidden}: can't {doing}.",
                remedy="Check the spelling and the token; to make a new repository, push with --create-repo.",
            )
        if status == 401:
            problem = "doesn't accept this token" if self.token else "wants a token"
            return MissingInputError(f"The Hub {problem}: can't {doing} (HTTP 401).", remedy=_TOKEN_REMEDY)
        if status in _BUSY:
            passing = _busy(status, error.response.headers)
            return passing if status == 429 else NoAnswerError(passing.message, remedy=passing.remedy)
        problem, remedy, code = _REFUSALS.get(
            status, ("The Hub refused", "Repeat the command; if it stays, look at the Hub's status.", ExitCode.FAILED)
        )
        return HarnessError(f"{problem}: can't {doing} (HTTP {status}).{told}", remedy=remedy, exit_code=code)


_REFUSALS: dict[int, tuple[str, str, ExitCode]] = {
    400: ("The Hub refused the content", "Mend what it names, then repeat the command.", ExitCode.CHECK_FAILED),
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
    422: ("The Hub refused the content", "Mend what it names, then repeat the command.", ExitCode.CHECK_FAILED),
}
"""By status: what is wrong, what to do, exit code."""


def offline_error(doing: str) -> MissingInputError:
    """What is said when the Hub is needed and HF_HUB_OFFLINE is set."""
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
        raise offline_error(doing)
    endpoint = (os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")
    if not re.fullmatch(r"https?://[^/@\s][^@\s]*", endpoint):  # a password would be sent instead of the token
        raise HarnessError(
            "HF_ENDPOINT is not an address, or has a user name in it.",
            remedy="Give it as https://HOST, or unset it.",
            exit_code=ExitCode.USAGE,
        )
    token = _read_token()
    api = HfApi(endpoint=endpoint, token=token or False, library_name="harness", library_version=__version__)
    set_client_factory(_factory(patience or PATIENCE))
    shows_bars = constants.HF_HUB_DISABLE_PROGRESS_BARS is None and not are_progress_bars_disabled()
    if shows_bars:
        disable_progress_bars()  # a card and its figures are small, and a bar's redrawing spoils a log
    try:
        yield Connection(endpoint, token, api)
    finally:
        set_client_factory(default_client_factory)
        if shows_bars:
            enable_progress_bars()


def _factory(patience: Patience) -> Callable[[], httpx2.Client]:
    return lambda: _PatientClient(patience)


def _read_token() -> str | None:
    """The token by the client's own order: HF_TOKEN, then the token file."""
    try:
        token = get_token()
    except OSError as error:
        raise MissingInputError(f"Can't read the token file: {error.strerror}.", remedy=_TOKEN_REMEDY) from error
    if token is not None and not re.fullmatch(r"[!-~]+", token):
        raise MissingInputError("The Hub token holds characters that no token has.", remedy=_TOKEN_REMEDY)
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
    raise HarnessError(f"'{repo_id}' is not a model's id on the Hub.", remedy=remedy, exit_code=ExitCode.USAGE)


def holds_token(data: bytes, token: str | None) -> bool:
    """Whether a file holds this token, or what looks like one."""
    return bool((token and token.encode() in data) or _A_TOKEN.search(data.decode("utf-8", "replace")))
