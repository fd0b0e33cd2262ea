"""How the command line ends where nobody foresaw it: one line and a report in a file, or one line after Ctrl-C. Never a token in it."""

from __future__ import annotations

import os
import platform
import re
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from harness.credentials import without_credentials
from harness.errors import ExitCode, HarnessError, writable
from harness.files import write_text
from harness.settings import default_home

INTERRUPTED = "harness: interrupted; what is finished is stored, and the same command goes on from there."
_IN_ADDRESS = re.compile(r"(?<=[Bb]earer )\S+|(?<=://)[^/\s@]+(?=@)")
_SECRET = re.compile(r"TOKEN|SECRET|PASSW|API_?KEY", re.IGNORECASE)
_PATIENCE = 10
"""Seconds that a command has to end in after Ctrl-C; a second Ctrl-C ends it at once."""
_is_interrupted = False


def without_tokens(text: str) -> str:
    """A text without what looks like a token, and without the values of environment variables that are named like one."""
    for name, value in os.environ.items():
        if len(value) >= 8 and _SECRET.search(name):
            text = text.replace(value, f"<{name}>")
    return _IN_ADDRESS.sub("<token>", without_credentials(text))


def ended(error: Exception) -> tuple[str, int]:
    """What is said of an error that nobody foresaw, and the exit code; its traceback goes to a file.

    After Ctrl-C what fails, fails of that, as an import that was cut short does. What the system refuses needs no report: a name
    that is too long, a folder in place of a file.
    """
    if _is_interrupted:
        return INTERRUPTED, ExitCode.INTERRUPTED
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        remedy = "Check the path, its permissions and the disk."
        return (
            f"harness: {HarnessError(f'{str(error.filename)[:300]}: {error.strerror}.', remedy=remedy)}",
            ExitCode.FAILED,
        )
    now = datetime.now(UTC)
    report = without_tokens(
        f"harness {_version()}, Python {platform.python_version()}, {platform.platform()}\n{now.isoformat()}\n"
        f"{' '.join(sys.argv)}\n\n{''.join(traceback.format_exception(error))}"
    )
    kept = "The full report could not be kept"
    for folder in (default_home() / "reports", Path(tempfile.gettempdir())):
        where = folder / f"harness-{now.strftime('%Y%m%dT%H%M%S%f')}-{os.getpid()}.txt"
        with suppress(HarnessError, OSError, ValueError):
            write_text(where, writable(report))
            kept = f"The full report is in {where}"
            break
    first = next(iter(str(error).strip().splitlines()), "")[:200]
    line = f"harness: {type(error).__name__}{f': {first}' if first else ''}. This is a fault of harness itself. {kept}."
    return without_tokens(writable(line)), ExitCode.FAILED


def _version() -> str:
    from harness import __version__

    return __version__


def interrupt_at_once() -> None:
    """From here on Ctrl-C ends the process with one line and 130, also in the middle of an import."""
    signal.signal(signal.SIGINT, _end)


@contextmanager
def interruptible() -> Iterator[None]:
    """Work that Ctrl-C stops by KeyboardInterrupt, so that it can end its own processes; where `interrupt_at_once` was called."""
    if signal.getsignal(signal.SIGINT) is not _end:
        yield
        return
    signal.signal(signal.SIGINT, _raise)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, _end)
        if hasattr(signal, "SIGALRM"):  # else it comes while the interpreter ends, which has no handlers any more
            signal.alarm(0)


def _raise(number: int, frame: FrameType | None) -> None:
    global _is_interrupted  # of the process, as signals are
    if _is_interrupted:
        _end(number, frame)
    _is_interrupted = True
    if hasattr(signal, "SIGALRM"):  # a library may swallow the exception
        signal.signal(signal.SIGALRM, _end)
        signal.alarm(_PATIENCE)
    raise KeyboardInterrupt


def _end(number: int, frame: FrameType | None) -> None:
    os.write(2, f"{INTERRUPTED}\n".encode())
    os._exit(ExitCode.INTERRUPTED)
