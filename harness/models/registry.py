"""Which model a reference means: a registry name, `hf:org/name[@revision]`, `timm:name`, `torchvision:name[@WEIGHTS]`
or a local folder. Reads YAML only; nothing is downloaded and torch is not imported.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from harness.errors import ExitCode, HarnessError, unknown_name
from harness.models.preprocessing import Preprocessing


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class HubCheckpoint(_Strict):
    """A repository on the Hugging Face Hub, in the layout of transformers or of timm."""

    kind: Literal["hub"] = "hub"
    repo: str
    revision: str | None = None


class PackageCheckpoint(_Strict):
    """A state dict inside an installed Python package."""

    kind: Literal["package"] = "package"
    package: str
    file: str
    """Path inside the package, may hold a `*`."""
    install: str
    licence: str
    tensors: Literal["by-name", "by-order"]
    """Whether tensors are matched to the architecture by name, or in order with every shape compared."""


class FolderCheckpoint(_Strict):
    """A local folder in the Hub's layout."""

    kind: Literal["folder"] = "folder"
    path: Path


class TorchvisionCheckpoint(_Strict):
    """Weights published with torchvision."""

    kind: Literal["torchvision"] = "torchvision"
    name: str
    weights: str | None = None


Checkpoint = Annotated[
    HubCheckpoint | PackageCheckpoint | FolderCheckpoint | TorchvisionCheckpoint, Field(discriminator="kind")
]


class Architecture(_Strict):
    """What can be built without weights."""

    library: Literal["transformers", "timm"]
    class_: str = Field(alias="class")
    config: dict[str, Any] = {}
    outputs: int
    source: str


class ModelSpec(_Strict):
    """A model as asked for, before anything is loaded."""

    name: str
    """Short name, safe as a file name."""
    reference: str
    """What gives this model again on another machine, e.g. `hf:facebook/regnet-y-040`."""
    title: str
    checkpoint: Checkpoint
    architecture: Architecture | None = None
    preprocessing: Preprocessing | None = None
    """Of the registry; what the checkpoint itself states takes precedence."""
    label_space: str | None = None
    because: str | None = None
    """Source for the label space."""


@cache
def registered() -> dict[str, ModelSpec]:
    """The models that go by a short name."""
    text = (files("harness.models") / "registry.yaml").read_text(encoding="utf-8")
    entries = yaml.safe_load(text)
    return {name: ModelSpec(name=name, reference=name, **entry) for name, entry in entries.items()}


_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?(@[\w./-]+)?")


def _usage(message: str, remedy: str) -> HarnessError:
    return HarnessError(message, remedy=remedy, exit_code=ExitCode.USAGE)


def _hub(rest: str, prefix: str = "hf") -> ModelSpec:
    if not _HUB_ID.fullmatch(rest):
        raise _usage(
            f"'{prefix}:{rest}' is not {prefix}:ORG/NAME[@REVISION].", "Example: hf:facebook/regnet-y-040@main"
        )
    repo, _, revision = rest.partition("@")
    if prefix == "timm":
        repo = f"timm/{repo}"
    return ModelSpec(
        name=repo.replace("/", "--"),
        reference=f"{prefix}:{rest}",
        title=repo,
        checkpoint=HubCheckpoint(repo=repo, revision=revision or None),
    )


def _timm(rest: str) -> ModelSpec:
    if "." not in rest:
        raise _usage(
            f"'timm:{rest}' names an architecture, not a checkpoint.",
            f"Add the tag of the weights, e.g. timm:{rest}.in1k; the names are listed by timm.list_pretrained().",
        )
    return _hub(rest, "timm")


def _torchvision(rest: str) -> ModelSpec:
    name, _, weights = rest.partition("@")
    return ModelSpec(
        name=f"torchvision--{name}" + (f"--{weights}" if weights else ""),
        reference=f"torchvision:{rest}",
        title=f"torchvision {rest}",
        checkpoint=TorchvisionCheckpoint(name=name, weights=weights or None),
    )


_FORMS = {"hf": _hub, "timm": _timm, "torchvision": _torchvision}


def resolve(reference: str) -> ModelSpec:
    """The model that `reference` means.

    Raises:
        HarnessError: no such name or folder, or a malformed reference; suggests the nearest known names.
    """
    prefix, colon, rest = reference.partition(":")
    if colon and prefix in _FORMS:
        return _FORMS[prefix](rest)
    if reference in registered():
        return registered()[reference]
    path = Path(reference).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise HarnessError(
                f"The folder {path} holds no config.json, so it is no model in the Hub's layout.",
                remedy="Expected: config.json, preprocessor_config.json, and model.safetensors or pytorch_model.bin.",
                exit_code=ExitCode.MISSING,
            )
        folder = path.resolve()
        return ModelSpec(
            name=folder.name, reference=str(path), title=folder.name, checkpoint=FolderCheckpoint(path=folder)
        )
    if _HUB_ID.fullmatch(reference) and reference.count("/") == 1:
        short = reference.split("/")[1]
        hint = f"{short} or hf:{reference}" if short in registered() else f"hf:{reference}"
        raise _usage(f"There is no folder {reference} here.", f"For the model on the Hub write {hint}.")
    raise unknown_name(
        "model", reference, registered(), where="also: hf:ORG/NAME, timm:NAME, torchvision:NAME, a folder"
    )
