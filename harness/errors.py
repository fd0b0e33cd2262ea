"""The one error for what a user can mend: printed as a sentence, without a traceback, with its exit code."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable
from enum import IntEnum


class ExitCode(IntEnum):
    """What a finished command says to the shell."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    INCOMPLETE = 3
    """Some evidence is pending."""
    MISSING = 4
    """Data, weights or access are missing, and nothing could run."""
    CHECK_FAILED = 5
    INTERRUPTED = 130


class HarnessError(Exception):
    """Something a user can mend.

    Args:
        message: what is wrong and where (name the file, the key, the line).
        remedy: what to do about it, as an imperative sentence.
        exit_code: what the command line exits with; the one of this kind of error without it.
    """

    of_its_kind = ExitCode.FAILED

    def __init__(self, message: str, *, remedy: str | None = None, exit_code: ExitCode | None = None) -> None:
        self.message = writable(message)
        super().__init__(self.message)
        self.remedy = remedy
        self.exit_code = self.of_its_kind if exit_code is None else exit_code

    def __str__(self) -> str:
        return f"{self.message}\n  → {self.remedy}" if self.remedy else self.message


def writable(text: str) -> str:
    """A text with escapes for what no file and no terminal takes: half characters, and the null character."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")


class MissingInputError(HarnessError):
    """Data, weights or access that are not here; a plan turns it into `pending` evidence."""

    of_its_kind = ExitCode.MISSING


class UsageError(HarnessError):
    """An argument or a file that was given and can't be used."""

    of_its_kind = ExitCode.USAGE


class CheckFailedError(HarnessError):
    """A check that didn't pass: nothing is wrong with the command, but with what it looked at."""

    of_its_kind = ExitCode.CHECK_FAILED


def nearest(name: str, known: Iterable[str], limit: int = 3) -> list[str]:
    """The known names that begin with `name` or differ from it by a slip, best first."""
    folded, typed = {k.casefold(): k for k in known}, name.casefold()
    begun = [k for k in folded if typed and k.startswith(typed)]
    hits = difflib.get_close_matches(typed, folded, n=limit, cutoff=0.6)
    return [folded[h] for h in dict.fromkeys([*hits, *begun])][:limit]


def unknown_name(kind: str, name: str, known: Iterable[str], *, where: str = "") -> HarnessError:
    """An error for a name that is in no registry, with the nearest names that are."""
    known = list(known)
    hits = nearest(name, known)
    place = f" ({where})" if where else ""
    remedy = f"Did you mean {' or '.join(hits)}?" if hits else f"Known: {', '.join(sorted(known))}."
    return UsageError(f"Unknown {kind} '{name}'{place}.", remedy=remedy)


def require_known(kind: str, name: str, known: Collection[str], *, where: str = "") -> None:
    """Raises HarnessError for a name that is in no registry, as `unknown_name` words it."""
    if name not in known:
        raise unknown_name(kind, name, known, where=where)
