"""Files that are whole or absent: write beside the target, fsync, rename.

Promise: after `atomic_write` returns, the file is on disk with all its bytes; if anything fails or the process
is killed on the way, the old file (or no file) is there. Given up: a killed process can leave a hidden
temporary file `.NAME.*.tmp` behind, which nothing ever reads.
"""

from __future__ import annotations

import errno
import functools
import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, TypeVar

from harness.errors import HarnessError, UsageError
from harness.progress import Reporter

_T = TypeVar("_T")

FILE_NAME = r"[A-Za-z0-9][\w.+-]{0,99}"
"""What a name that becomes the name of a file or folder must match as a whole; it can't lead elsewhere."""


def check_name(name: str) -> None:
    """Raises UsageError for a model's name that can't be that of a folder."""
    if not re.fullmatch(FILE_NAME, name):
        remedy = "Use letters, digits, '.', '_' and '-', beginning with a letter or digit."
        raise UsageError(f"'{name}' can't be a model's name, since files are named after it.", remedy=remedy)


_REMEDIES = {
    errno.ENOSPC: "Free some space, or choose another place with --output or HARNESS_HOME, then repeat the command.",
    errno.EDQUOT: "The disk quota is used up; free some space, then repeat the command.",
    errno.EROFS: "The file system is read-only; choose another place with --output or HARNESS_HOME.",
    errno.EACCES: "You may not write there; choose another place with --output or HARNESS_HOME.",
    errno.EPERM: "You may not write there; choose another place with --output or HARNESS_HOME.",
    errno.ENOTDIR: "A part of this path is a file, not a folder; choose another place.",
}


def _write_error(path: Path, error: OSError) -> HarnessError:
    remedy = _REMEDIES.get(error.errno or 0, "Choose another place with --output or HARNESS_HOME.")
    return HarnessError(f"Can't write {path}: {error.strerror or error}.", remedy=remedy)


def make_folder(path: Path) -> Path:
    """Create `path` and its parents; returns it. Raises HarnessError where that is not possible."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _write_error(path, error) from error
    return path


def atomic_write(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Call `write` with a binary file and put what it wrote at `path`, whole or not at all.

    Raises:
        HarnessError: full disk, read-only place, no permission; the old file is untouched.
    """
    make_folder(path.parent)
    temporary: str | None = None
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), 0o666 & ~_umask())
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        temporary = None
        _sync_folder(path.parent)
    except OSError as error:
        raise _write_error(path, error) from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, line endings as they are, atomically."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` atomically."""
    atomic_write(path, lambda file: file.write(data))


def read_kept(
    path: Path, parse: Callable[[bytes], _T], *, again: str, report: Callable[[str], None] | None = None
) -> _T | None:
    """What the store keeps in a file; None where it isn't there, or is damaged: that one is set aside, and said.

    Args:
        parse: gives what the bytes say; for bytes that are no such file it raises what Python or pydantic raise for them.
        again: what becomes of it, for the message: "it is chosen again".
        report: takes the message; stderr without it.
    """
    try:
        return parse(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        why = error.strerror or str(error)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, HarnessError) as error:
        why = (str(error).splitlines() or [type(error).__name__])[0]
    set_aside(path, why, again=again, report=report)
    return None


def set_aside(path: Path, why: str, *, again: str, report: Callable[[str], None] | None = None) -> None:
    """Rename a damaged file of the store to NAME.damaged, and say so; see `read_kept` for the arguments.

    Raises:
        HarnessError: it can't be renamed.
    """
    aside = path.with_suffix(".damaged")
    try:
        path.replace(aside)
    except FileNotFoundError:  # another process was faster
        return
    except OSError as error:
        message = f"{path} is damaged ({why}), and it can't be moved: {error.strerror}."
        raise HarnessError(message, remedy=f"Delete it, then repeat the command: {again}.") from error
    told = report if report is not None else Reporter().note
    told(f"{path} was damaged ({why}). It is kept as {aside.name}; {again}.")


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@functools.cache
def _umask() -> int:
    """The process's file mode mask; it can only be read by setting it, so that happens once."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def shipped_folder(name: str) -> Path:
    """The folder `name` (`templates` or `eval_suites`) of this installation.

    In a checkout it lies beside the package; in a wheel inside it, with a leading underscore.

    Raises:
        FileNotFoundError: the installation is damaged.
    """
    package = Path(__file__).resolve().parent
    for folder in (package / f"_{name}", package.parent / name):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"{name}/ is missing from this installation of harness ({package}); reinstall it")
