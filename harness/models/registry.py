"""Which model a reference means: a registry name, `hf:org/name[@revision]`, `timm:name`, `torchvision:name[@WEIGHTS]`
or a local folder. Reads YAML only; nothing is downloaded and torch is not imported.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.resources import files
from pathlib import Path

import yaml

from harness.errors import UsageError, unknown_name
from harness.models.sources.hub import (
    HUB_ID,
    FolderCheckpoint,
    HubCheckpoint,
    resolve_folder,
    resolve_hub,
    resolve_timm,
)
from harness.models.sources.package import PackageCheckpoint
from harness.models.sources.torchvision import TorchvisionCheckpoint, resolve_torchvision
from harness.models.specs import Checkpoint, ModelSpec

CHECKPOINTS: dict[str, type[Checkpoint]] = {
    "hub": HubCheckpoint,
    "package": PackageCheckpoint,
    "folder": FolderCheckpoint,
    "torchvision": TorchvisionCheckpoint,
}
"""The model sources, by the `kind` that the registry names them with."""
_PREFIXES: dict[str, Callable[[str], ModelSpec]] = {
    "hf": resolve_hub,
    "timm": resolve_timm,
    "torchvision": resolve_torchvision,
}


@cache
def registered() -> dict[str, ModelSpec]:
    """The models that go by a short name."""
    entries = yaml.safe_load((files("harness.models") / "registry.yaml").read_text(encoding="utf-8"))
    found = {}
    for name, entry in entries.items():
        stated = entry.pop("checkpoint")
        checkpoint = CHECKPOINTS[stated["kind"]].model_validate(stated)
        found[name] = ModelSpec(name=name, reference=name, checkpoint=checkpoint, **entry)
    return found


def resolve(reference: str) -> ModelSpec:
    """The model that `reference` means.

    Raises HarnessError: no such name or folder, or a malformed reference; suggests the nearest known names.
    """
    prefix, colon, rest = reference.partition(":")
    if colon and prefix in _PREFIXES:
        return _PREFIXES[prefix](rest)
    if reference in registered():
        return registered()[reference]
    path = Path(reference).expanduser()
    if path.is_dir():
        return resolve_folder(path)
    if HUB_ID.fullmatch(reference) and reference.count("/") == 1:
        short = reference.split("/")[1]
        hint = f"{short} or hf:{reference}" if short in registered() else f"hf:{reference}"
        raise UsageError(f"There is no folder {reference} here.", remedy=f"For the model on the Hub write {hint}.")
    raise unknown_name(
        "model", reference, registered(), where="also: hf:ORG/NAME, timm:NAME, torchvision:NAME, a folder"
    )
