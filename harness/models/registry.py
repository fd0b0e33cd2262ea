"""Which model a reference means: a registry name, `hf:org/name[@revision]`, `timm:name`, `torchvision:name[@WEIGHTS]`
or a local folder. Reads YAML only; nothing is downloaded and torch is not imported.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from harness.errors import UsageError, nearest, unknown_name
from harness.models.sources import hub, package, torchvision
from harness.models.specs import Checkpoint, ModelSpec
from harness.parsing.yaml import read_yaml

CHECKPOINTS: dict[str, type[Checkpoint]] = {
    "hub": hub.HubCheckpoint,
    "package": package.PackageCheckpoint,
    "folder": hub.FolderCheckpoint,
    "torchvision": torchvision.TorchvisionCheckpoint,
}
"""The model sources, by the `kind` that the registry names them with."""
_PREFIXES = {"hf": hub.resolve_hub, "timm": hub.resolve_timm, "torchvision": torchvision.resolve_torchvision}


@cache
def registered() -> dict[str, ModelSpec]:
    """The models that go by a short name."""
    entries = read_yaml(Path(__file__).with_name("registry.yaml")).data
    for entry in entries.values():
        entry["checkpoint"] = CHECKPOINTS[entry["checkpoint"]["kind"]].model_validate(entry["checkpoint"])
    return {name: ModelSpec(name=name, reference=name, **entry) for name, entry in entries.items()}


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
        return hub.resolve_folder(path)
    if path.is_file():
        raise UsageError(f"{reference} is a file, not a model.", remedy=f"Give its folder: {path.parent}")
    if hub.HUB_ID.fullmatch(reference) and reference.count("/") == 1:
        short = reference.split("/")[1]
        hint = f"{short} or hf:{reference}" if short in registered() else f"hf:{reference}"
        raise UsageError(f"There is no folder {reference} here.", remedy=f"For the model on the Hub write {hint}.")
    if "/" in reference and path.parent.is_dir():
        folders = [f"{path.parent}/{folder.name}" for folder in path.parent.iterdir() if folder.is_dir()]
        near = nearest(str(path), folders)
        hint = f"Did you mean {near[0]}?" if near else "Give the folder that holds config.json."
        raise UsageError(f"There is no folder {reference} here.", remedy=hint)
    where = "also: hf:ORG/NAME, timm:NAME, torchvision:NAME, a folder"
    raise unknown_name("model", reference, registered(), where=where)
