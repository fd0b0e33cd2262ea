"""Archives on the Hub that hold a publisher's folder (ImageNetV2, ImageNet-Sketch): fetched and unpacked once.

Unpacking goes to a folder of another name, which is renamed when it is whole: a folder that is there is complete.
Members that would lead outside the folder are refused by tarfile's data filter and skipped by shutil's zip reader.
"""

from __future__ import annotations

import shutil
import tarfile
import tempfile
import zipfile
import zlib
from pathlib import Path

from harness.errors import HarnessError, MissingInputError
from harness.files import make_folder


def unpacked_archive(repository: str, archive: str, revision: str | None, folder: Path) -> Path:
    """The unpacked content of `archive` in a Hub data set, fetched if need be.

    Args:
        archive: path in the repository, .tar.gz or .zip.
        folder: where unpacked archives are kept.

    Raises:
        MissingInputError: no network, no access, or no such file.
        HarnessError: the archive is damaged, or the disk is full.
    """
    file = _fetch(repository, archive, revision)
    commit = file.resolve().name if file.is_symlink() else str(file.stat().st_size)
    return unpack(file, folder / f"{repository.replace('/', '--')}--{Path(archive).name}--{commit[:16]}")


def unpack(file: Path, target: Path) -> Path:
    """Unpack `file` (.tar, .tar.gz, .zip) to `target`, whole or not at all; an existing target is kept.

    Raises:
        HarnessError: the archive is damaged or unsafe, or the disk is full.
    """
    if target.is_dir():
        return target
    make_folder(target.parent)
    partial = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent))
    try:
        if file.suffix == ".zip":
            shutil.unpack_archive(file, partial, "zip")
        else:
            shutil.unpack_archive(file, partial, "gztar" if file.suffix in (".gz", ".tgz") else "tar", filter="data")
        partial.rename(target)
    except (OSError, EOFError, ValueError, shutil.ReadError, tarfile.TarError, zipfile.BadZipFile, zlib.error) as error:
        if target.is_dir():  # another process was faster
            return target
        raise HarnessError(
            f"Can't unpack {file} to {target}: {error}.", remedy="Free some space or fetch the archive again."
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def _fetch(repository: str, archive: str, revision: str | None) -> Path:
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(repository, archive, repo_type="dataset", revision=revision))
    except (OSError, ValueError) as error:  # the Hub's errors are one or the other
        message = " ".join(str(error).split())
        raise MissingInputError(
            f"Can't fetch {archive} of {repository} from the Hub: {message}",
            remedy=f"Check the network, or fetch it from https://huggingface.co/datasets/{repository}, unpack it, "
            "and give the folder with --data NAME=DIR.",
        ) from error
