"""The HTTP session of the Hub's own client, with time-outs and bounded retries, and what else we take from its inside.

The client's session has no time-out and retries some requests without a bound. While `patient_session` is open, it uses
one of ours: every request has time-outs; those that change nothing, or may be repeated without changing more, are tried a
few times, with the pause that `Retry-After` asks for; commits, merges and the creation of a repository are sent once, and
whoever sends them has to look what became of them.

This is the only module that uses what the client doesn't document. Such names may move with any release: that is why
`pyproject.toml` has an upper bound, and `tests/hub/test_client.py` says which one is gone.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import httpx2
from huggingface_hub import CommitOperationAdd, constants, set_client_factory
from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
from huggingface_hub.utils._http import default_client_factory, hf_request_event_hook
from huggingface_hub.utils.sha import git_hash

from harness.errors import HarnessError

__all__ = ["git_hash"]

NO_ANSWER = (httpx2.TimeoutException, httpx2.NetworkError, httpx2.RemoteProtocolError)
"""Failures after which nobody knows whether the request took effect."""
NETWORK_REMEDY = "Check the network (and HF_ENDPOINT), then repeat the command."
BUSY = frozenset({408, 429, 500, 502, 503, 504})
"""The statuses of a passing failure."""
_REPEATABLE_POSTS = re.compile(r"/api/validate-yaml|/preupload/|/paths-info/|\.git/info/lfs/objects/batch$")
_TELEMETRY = "/api/agent-harnesses"
"""Asked by the client for its user agent, and not worth waiting for."""


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


def is_ignored(file: CommitOperationAdd) -> bool:
    """Whether the repository's .gitignore keeps a file out, once `preupload_lfs_files` has asked."""
    return bool(file._should_ignore)


@contextmanager
def patient_session(patience: Patience) -> Iterator[None]:
    """Let the client use a session of ours meanwhile, and draw no progress bars: a card and its figures are small, and a
    bar's redrawing spoils a log."""
    set_client_factory(lambda: _PatientClient(patience))
    shows_bars = constants.HF_HUB_DISABLE_PROGRESS_BARS is None and not are_progress_bars_disabled()
    if shows_bars:
        disable_progress_bars()
    try:
        yield
    finally:
        set_client_factory(default_client_factory)
        if shows_bars:
            enable_progress_bars()


class _PatientClient(httpx2.Client):
    def __init__(self, patience: Patience) -> None:
        super().__init__(
            event_hooks={"request": [hf_request_event_hook]},
            follow_redirects=True,
            timeout=httpx2.Timeout(patience.read, connect=patience.connect),
        )
        self._patience = patience

    def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        given = {name: limit for name, limit in request.extensions.get("timeout", {}).items() if limit is not None}
        limits = self.timeout.as_dict() | given  # some of the client's calls pass "no time-out" on
        request.extensions = {**request.extensions, "timeout": limits}
        if not _is_repeatable(request):
            return super().send(request, **options)
        pause = self._patience.first_pause
        for left in reversed(range(self._patience.attempts)):
            try:
                response = super().send(request, **options)
            except NO_ANSWER as error:
                if not left:
                    raise HarnessError(no_answer(request.url, error), remedy=NETWORK_REMEDY) from error
                wait = pause
            else:
                if response.status_code not in BUSY:
                    return response
                wait = max(pause, _asked_pause(response.headers))
                if not left or wait > self._patience.longest_pause:
                    raise busy(response.status_code, response.headers)
                response.close()
            time.sleep(wait)
            pause *= 2
        raise AssertionError("attempts is at least 1")


def _is_repeatable(request: httpx2.Request) -> bool:
    """Whether sending a request twice does no more than sending it once."""
    if request.method == "POST":
        return bool(_REPEATABLE_POSTS.search(request.url.path))
    return request.method in ("GET", "HEAD") and request.url.path != _TELEMETRY


def _asked_pause(headers: Mapping[str, str]) -> float:
    """Seconds that the Hub asks to wait, by `Retry-After` (seconds, or a date) or its rate limit headers; or 0."""
    asked = headers.get("Retry-After", "").strip()
    if asked.isdigit():
        return float(asked)
    with suppress(ValueError, TypeError):
        return max(0.0, (parsedate_to_datetime(asked) - datetime.now(UTC)).total_seconds())
    limit = re.search(r";\s*r\s*=\s*0\s*;\s*t\s*=\s*(\d+)", headers.get("RateLimit", ""))
    return float(limit[1]) if limit else 0.0


def no_answer(url: object, error: Exception) -> str:
    """What is said when no answer came."""
    what = "gave no answer in time" if isinstance(error, httpx2.TimeoutException) else "can't be reached"
    if isinstance(error, httpx2.RemoteProtocolError | httpx2.ReadError | httpx2.WriteError):
        what = "closed the connection without an answer"
    return f"{urlsplit(str(url)).hostname or url} {what}."


def busy(status: int, headers: Mapping[str, str]) -> HarnessError:
    """What is said when the Hub is overloaded, or limits this account's requests."""
    asked = _asked_pause(headers)
    when = f"in {asked:.0f} seconds" if asked else "in a few minutes"
    what = "limits the number of requests" if status == 429 else "has a passing failure"
    return HarnessError(f"The Hub {what} (HTTP {status}).", remedy=f"Repeat the command {when}.")
