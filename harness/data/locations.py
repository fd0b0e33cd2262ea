"""Where a copy of a benchmark is: given by the user, in HARNESS_DATA, in an installed package, or on the Hub.

Only names are looked at: nothing is read or fetched.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.data.catalog import Benchmark
from harness.data.layouts.named_files import package_folder
from harness.errors import HarnessError, MissingInputError, UsageError

_HUB_PREFIX = "hf:"


@dataclass(frozen=True)
class Location:
    """Where a copy of a benchmark is."""

    benchmark: str
    found: Literal["given", "data-home", "package", "hub", "generated"]
    """By which rule: named by the user, in HARNESS_DATA, inside an installed package, or on the Hub; generated needs no place."""
    path: Path | None = None
    """Folder or file; None on the Hub, in a package and where it is generated."""
    repository: str | None = None
    """Data set id on the Hub."""
    revision: str | None = None

    def __str__(self) -> str:
        if self.repository is not None:
            return f"{_HUB_PREFIX}{self.repository}" + (f"@{self.revision}" if self.revision else "")
        return "generated" if self.found == "generated" else str(self.path)


def locate(
    benchmark: Benchmark, *, given: str | Path | None = None, data_home: Path | None = None, offline: bool = False
) -> Location:
    """Where the benchmark's images are: `given`, else data_home/NAME, else its package, else the Hub.

    Args:
        given: a folder, a file (.tar, .parquet) or `hf:OWNER/NAME[@REVISION]`.
        data_home: the folder that HARNESS_DATA names.
        offline: never answer with the Hub.

    Raises MissingInputError: it is nowhere; the remedy says how to get it.
    Raises HarnessError: `given` doesn't exist, or the benchmark has no images of its own.
    """
    if benchmark.scored_from is not None and benchmark.labels_file is None:
        message = f"{benchmark.name} has no images of its own: it is scored from {benchmark.scored_from}."
        raise HarnessError(message, remedy=f"Give {benchmark.scored_from}: --data {benchmark.scored_from}=DIR")
    if benchmark.is_noise:
        return Location(benchmark.name, "generated")
    given = given if given is not None else benchmark.path
    if given is not None:
        return _given(benchmark, given, offline)
    if data_home is not None and (data_home / benchmark.name).exists():
        return Location(benchmark.name, "data-home", data_home / benchmark.name)
    missing = f"{benchmark.name} is not on this machine"
    if benchmark.package is not None:
        if (folder := package_folder(benchmark.package)) is None:
            raise MissingInputError(f"{missing}.", remedy=benchmark.get)
        return Location(benchmark.name, "package", folder)
    if benchmark.hub is None:
        why = ""
    elif offline:
        why = ", and the Hub is not asked (offline)"
    elif benchmark.hub.gated and not _has_token():
        why = f", and {benchmark.hub.id} is gated on the Hub: no token is set"
    else:
        return Location(benchmark.name, "hub", repository=benchmark.hub.id)
    remedy = (
        f"{benchmark.get} Then give it with --data {benchmark.name}=DIR, or put it at HARNESS_DATA/{benchmark.name}."
    )
    raise MissingInputError(f"{missing}{why}.", remedy=remedy)


def _given(benchmark: Benchmark, given: str | Path, offline: bool) -> Location:
    text = str(given)
    if text.startswith(_HUB_PREFIX):
        repository, revision = text.removeprefix(_HUB_PREFIX), None
        if not (local := Path(repository).exists()) and "@" in repository:
            repository, revision = repository.rsplit("@", 1)
        if offline and not local:
            message = f"{text} was given for {benchmark.name}, but the Hub is not asked (offline)."
            raise MissingInputError(message, remedy="Give a folder on this machine, or leave out --offline.")
        return Location(benchmark.name, "given", repository=repository, revision=revision)
    path = Path(given).expanduser()
    if not path.exists():
        remedy = f"Mend the path, or give a Hub data set as --data {benchmark.name}=hf:OWNER/NAME."
        named = "" if benchmark.is_own else f", given for {benchmark.name},"
        raise UsageError(f"{path}{named} does not exist.", remedy=remedy)
    return Location(benchmark.name, "given", path)


def _has_token() -> bool:
    from huggingface_hub import get_token

    return get_token() is not None


def available_conditions(benchmark: Benchmark, location: Location) -> tuple[str, ...]:
    """The benchmark's conditions that the copy has a folder for; empty for benchmarks without conditions."""
    root = location.path
    return () if root is None else tuple(name for name in benchmark.conditions if condition_folder(root, name))


def condition_folder(root: Path, condition: str) -> Path | None:
    """The folder of a corruption's cell `corruption/severity`; None where the copy lacks it.

    The official archives may lie unpacked in one folder, or each in a folder of its own (noise/, blur/, ...).
    """
    folders = (root / condition, *sorted(root.glob(f"*/{condition}")))
    return next((folder for folder in folders if folder.is_dir()), None)
