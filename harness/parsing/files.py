"""Reading files and saying what is wrong with what is in them. Only regular files are opened: a named pipe would be waited for."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from harness.errors import UsageError, writable

MOST_BYTES = 64_000_000
"""Of a file that is read whole: the largest ledgers, of all pairs of slicings, have a few million."""


class MalformedError(UsageError):
    """Something that can't be read as what it should be."""

    def __init__(self, where: object, why: str, *, line: int | None = None, remedy: str | None = None) -> None:
        """
        Args:
            where: the file, or what else it is.
            why: what is wrong, without a full stop.
            line: where in it, from 1.
        """
        super().__init__(f"{where}{f', line {line}' if line else ''}: {why}.", remedy=remedy)
        self.why, self.line = writable(why), line


class AbsentError(MalformedError):
    """A file that is not there."""


def read_bytes(path: Path, *, most: int = MOST_BYTES) -> bytes:
    """The content of a regular file.

    Raises:
        AbsentError: there is none.
        MalformedError: it can't be opened, is no regular file, or has more than `most` bytes.
    """
    try:
        # Without O_NONBLOCK, opening a pipe waits for whoever writes to it.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            kinds = {stat.S_IFIFO: "a named pipe", stat.S_IFDIR: "a folder"}
            what = kinds.get(stat.S_IFMT(status.st_mode), "a device or a socket")
            raise MalformedError(shown(path), f"it is no regular file but {what}", remedy="Give a file.")
        with open(descriptor, "rb") as file:
            if status.st_size > most:
                remedy = "Check that it is the right file."
                raise MalformedError(path, f"it has {status.st_size:,} bytes; {most:,} are the most", remedy=remedy)
            return file.read()
    except FileNotFoundError as error:
        raise AbsentError(f"Can't read {shown(path)}", "there is no such file", remedy="Check the path.") from error
    except (OSError, ValueError) as error:  # ValueError: a name with a null character
        why = getattr(error, "strerror", None) or str(error)
        raise MalformedError(f"Can't read {shown(path)}", why, remedy="Mend the path or its permissions.") from error


def read_text(path: Path, *, most: int = MOST_BYTES) -> str:
    """The content of a text file in UTF-8. Raises as `read_bytes`, and MalformedError where it is not UTF-8."""
    data = read_bytes(path, most=most)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        why = f"byte 0x{data[error.start]:02x} is not UTF-8"
        raise MalformedError(path, why, line=line, remedy="Save it as UTF-8.") from error


def shown(path: object) -> str:
    """A path for a message: one that was cut where it is too long to read, and without what no terminal can print."""
    text = writable(str(path))
    return text if len(text) <= 300 else f"{text[:140]}…{text[-140:]}"
