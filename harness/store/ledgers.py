"""The ledgers of the store: all the evidence of each model, merged over its runs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from harness.errors import HarnessError
from harness.evidence import Evidence, Ledger
from harness.files import make_folder, read_kept
from harness.models.loading import weights_in_folder
from harness.models.registry import resolve


def ledger_path(home: Path, model_name: str) -> Path:
    """Where the store keeps all the evidence of a model."""
    return home / "ledgers" / model_name / "evidence.json"


def find_ledger(home: Path, reference: str) -> Path:
    """Where the evidence of a model is, or would be: of a name in the store or of a model, and of a folder that of the weights
    which lie in it now.

    Raises HarnessError: no such name.
    """
    path = ledger_path(home, Path(reference).name)
    if path.exists() and not (Path(reference).expanduser() / "config.json").is_file():
        return path
    spec = resolve(reference)
    path = ledger_path(home, spec.name)
    kept = _kept(path)
    before = kept.model.get("weights") if kept is not None else None
    now = weights_in_folder(spec, home / "identities") if before is not None else None
    return path if now in (None, before) else _of_weights(path, str(now))


def stored_names(home: Path) -> list[str]:
    """The models with a ledger in the store, sorted."""
    return sorted(path.parent.name for path in (home / "ledgers").glob("*/evidence.json"))


def stored_ledgers(home: Path) -> list[Ledger]:
    """The merged ledgers of the store, by the models' names."""
    return [Ledger.load(ledger_path(home, name)) for name in stored_names(home)]


def merge_into_store(
    home: Path, ledger: Ledger, derive: Callable[[Ledger], Iterable[Evidence]] = lambda merged: ()
) -> Path:
    """Add a run's evidence to the model's ledger in the store; safe for several processes at once.

    Evidence of other weights under the same name waits in a file of its own and comes back with its weights.

    Args:
        derive: gives evidence that follows from the merged ledger.
    """
    path = ledger_path(home, str(ledger.model["name"]))
    make_folder(path.parent)
    with _locked(path.with_suffix(".lock")):
        merged, base = ledger, _kept(path)
        now = ledger.model.get("weights")
        before = base.model.get("weights") if base is not None else None
        if base is not None and before is not None and now is not None and before != now:
            base.save(_of_weights(path, before))
            base = _kept(_of_weights(path, now))
        if base is not None:
            model = ledger.model if now is not None else base.model
            benchmarks = base.benchmarks | ledger.benchmarks
            merged = Ledger(
                model=model, environment=ledger.environment, evidence=list(base.evidence), benchmarks=benchmarks
            )
            merged.add(ledger.evidence)
            merged.add(derive(merged))
        merged.save(path)
    return path


def _kept(path: Path) -> Ledger | None:
    again = (
        "this run's evidence is written anew; repeat the other runs of `harness list runs`, which compute nothing anew"
    )
    return read_kept(path, Ledger.model_validate_json, again=again)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    lock = FileLock(path)
    try:
        lock.acquire()
    except OSError as error:
        message = f"Can't lock {path}: {error.strerror or error}."
        raise HarnessError(
            message, remedy="Remove it if it isn't a file; make its folder one that you may write to."
        ) from error
    try:
        yield
    finally:
        lock.release()


def _of_weights(path: Path, weights: str) -> Path:
    """Where the evidence of one set of weights waits while another one goes by the same name."""
    return path.with_name(f"evidence-{hashlib.sha256(weights.encode()).hexdigest()[:16]}.json")
