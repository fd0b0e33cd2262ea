"""Unpacking archives, whole or not at all: nothing outside the folder, no member that is refused quietly, checksums to the end."""

from __future__ import annotations

import gzip
import shutil
import struct
import tarfile
import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from harness.errors import HarnessError
from harness.files import make_folder

_FAULTS = (
    OSError, EOFError, ValueError, LookupError, RuntimeError, struct.error, tarfile.TarError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What the readers of archives raise on damaged ones."""


def unpack(file: Path, target: Path) -> Path:
    """Unpack `file` (.tar, .tar.gz, .zip) to `target`; an existing target is kept.

    Raises HarnessError: the archive is damaged, encrypted or unsafe, or the disk is full.
    """
    if target.is_dir():
        return target
    make_folder(target.parent)
    partial = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent))
    try:
        if file.suffix == ".zip":
            _unzip(file, partial)
        elif file.suffix in (".gz", ".tgz"):
            with gzip.open(file) as opened:
                _untar(cast("BinaryIO", opened), partial)
                while opened.read(1 << 20):  # tar stops at its own end; the checksum is at that of the file
                    pass
        else:
            with file.open("rb") as plain:
                _untar(plain, partial)
        partial.rename(target)
    except _FAULTS as error:
        if target.is_dir():  # another process was faster
            return target
        message = f"Can't unpack {file} to {target}: {' '.join(str(error).split())[:300]}."
        raise HarnessError(message, remedy="Free some space or fetch the archive again.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def _untar(file: BinaryIO, folder: Path) -> None:
    with tarfile.open(fileobj=file, mode="r:") as archive:
        archive.extractall(folder, filter="data")


def _unzip(file: Path, folder: Path) -> None:
    """Checksums are zipfile's; encrypted and oddly compressed members raise RuntimeError."""
    with zipfile.ZipFile(file) as archive:
        for name in archive.namelist():
            path = PurePosixPath(name.replace("\\", "/"))
            if path.is_absolute() or ".." in path.parts:
                raise ValueError(f"the member {name} would be written outside")
        archive.extractall(folder)
