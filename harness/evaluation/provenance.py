"""Where a number comes from: one record of a run, from which its command and its variant are written, and the protocol
of a condition in words.

Whatever an option changes in a number stands in the command that is published with it, without a path of this machine.
"""

from __future__ import annotations

import importlib.metadata
import platform
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import __version__
from harness.data.local import LocalDataset
from harness.evaluation.suites import Suite, suite_names
from harness.labels.spaces import OWN
from harness.models.loading import ModelIdentity
from harness.models.modules import ModuleCheckpoint
from harness.models.sources.hub import FolderCheckpoint
from harness.models.specs import ModelSpec
from harness.settings import AUTO, Settings

if TYPE_CHECKING:
    from harness.store.predictions import PredictionKey


@dataclass(frozen=True)
class RunProvenance:
    """What was asked for, as far as it decides a number."""

    suite: str | None
    """As in a command: a shipped suite's name, or a file's; None for a run on data alone."""
    model: str
    """As in a command: a local folder without its path."""
    data: tuple[str, ...]
    """Benchmarks whose copies were named with --data and used."""
    options: tuple[str, ...]
    """Options that differ from the defaults, as in a command."""
    in_memory: bool
    """Whether the model is a module in memory, which no shell command can find."""
    variant: str
    """What sets this run's evidence apart from that of the default protocol, e.g. `bf16`."""

    @classmethod
    def of(cls, spec: ModelSpec, suite: Suite, settings: Settings, used: Sequence[str]) -> RunProvenance:
        """
        Args:
            used: benchmarks whose images the run reads.
        """
        precision = "" if settings.precision in ("fp32", AUTO) else settings.precision
        return cls(
            suite=None if suite.is_of_data else suite.name if suite.name in suite_names() else f"{suite.name}.yaml",
            model=public_reference(spec),
            data=tuple(name for name in settings.data if name in used),
            options=tuple(_changed(settings, _OPTIONS | (_BENCHMARKING_OPTIONS if suite.measurements else {}))),
            in_memory=isinstance(spec.checkpoint, ModuleCheckpoint),
            variant="+".join(filter(None, (precision, settings.input_change.variant))),
        )

    def command(self, *, also: str | None = None) -> str:
        """The command that makes this evidence (again); `DIR` stands for paths.

        Args:
            also: a benchmark whose data must be given too, since it is missing here.
        """
        data = dict.fromkeys([*self.data, *([also] if also is not None else [])])
        options = [*(f"--data {name}=DIR" for name in data), *self.options]
        if self.in_memory:
            suite = f', "{self.suite}"' if self.suite else ""
            call = f"harness.evaluate(module{suite}, preprocessing=…, labels=…)  # {self.model}"
            return f"{call} with {' '.join(options)}" if options else call
        named = [f"--suite {self.suite}"] if self.suite else []
        return " ".join(["harness run", *named, f"--model {shlex.quote(self.model)}", *options])


_OPTIONS = {
    "until": "--until",
    "limit": "--limit",
    "corruption_images": "--corruption-images",
    "attack_images": "--attack-images",
    "examine_images": "--examine-images",
    "corruption_jpeg": "--no-corruption-jpeg",
    "corruption_seed": "--corruption-seed",
    "slices": "--slices",
    "by": "--by",
    "batch_size": "--batch-size",
    "device": "--device",
    "precision": "--precision",
    "layout": "--layout",
    "img_size": "--img-size",
    "crop_pct": "--crop-pct",
    "interpolation": "--interpolation",
    "labels": "--labels",
    "sanity_gate": "--no-sanity-gate",
    "save_logits": "--save-logits",
}
"""Fields of `Settings` that decide a number, or whether there is one, and their options."""

_BENCHMARKING_OPTIONS = {"input_size": "--input-size", "region": "--region", "seconds": "--seconds"}
"""The same for what is measured of the model itself."""


def slice_options(settings: Settings) -> list[str]:
    """The options that ask for slices, as in a command."""
    return _changed(settings, {name: _OPTIONS[name] for name in ("slices", "by")})


def _changed(settings: Settings, options: Mapping[str, str]) -> list[str]:
    """Those of these options that differ from the defaults, as in a command."""
    default = Settings()
    return [
        part
        for name, flag in options.items()
        if (value := getattr(settings, name)) != getattr(default, name)
        for part in _as_options(flag, value)
    ]


def _as_options(flag: str, value: object) -> list[str]:
    """One option of a command, as often as it must be given."""
    match value:
        case bool():
            return [flag]
        case (int(width), int(height)):
            return [f"{flag} {width}x{height}"]
        case tuple():
            return [part for one in value for part in _as_options(flag, one)]
        case float():
            return [f"{flag} {value:.10g}"]
        case _:
            return [f"{flag} {shlex.quote(value.name if isinstance(value, Path) else str(value))}"]


_GENERATED = (
    "short side 256 bilinear, centre crop 224×224, corruption, JPEG quality {jpeg}, mean {mean}, std {std}, Pillow"
)


def protocol_in_words(
    identity: ModelIdentity, key: PredictionKey, made_on: dict[str, Any], dataset: LocalDataset
) -> dict[str, Any]:
    """The protocol under which predictions are stored, for a reader of the ledger."""
    generated = key.protocol.get("generated")
    if generated is not None:
        how = _GENERATED.format(jpeg=generated["jpeg_quality"] or "none", **identity.preprocessing.model_dump())
    elif dataset.benchmark.input == "ready-224":
        how = "as published, no second resize"
    else:
        border = "border of 2 pixels cut off, " if dataset.benchmark.input == "bordered-2" else ""
        how = border + identity.preprocessing.describe()
    return {
        "preprocessing": how,
        **({"generated": generated} if generated is not None else {}),
        **key.protocol["execution"],
        "labels": identity.label_proof,
        "layout_of_copy": dataset.layout,
        "predictions": key.digest[:16],
        "made_on": made_on,
    }


def environment() -> dict[str, Any]:
    """Versions of what decides a number, and the platform. Imports none of them."""
    names = ("torch", "torchvision", "timm", "transformers", "pillow", "numpy")
    versions = {name: importlib.metadata.version(name) for name in names}
    return {"harness": __version__, "python": platform.python_version(), "platform": platform.platform(), **versions}


def describe_model(spec: ModelSpec, identity: ModelIdentity | None) -> dict[str, Any]:
    """The ledger's entry on the model: what is known of it without measuring."""
    entry: dict[str, Any] = {
        "name": spec.name,
        "reference": public_reference(spec),
        "title": spec.title,
        "checkpoint": spec.checkpoint.model_dump(mode="json", exclude={"path"}),
    }
    if identity is None:
        return entry | {"weights": None}
    stated = identity.stated or identity.preprocessing
    known = identity.model_dump(
        mode="json", exclude={"classes", "name", "reference", "title", "convolutional", "stated"}
    )
    known["preprocessing"] = stated.model_dump(mode="json")
    if identity.label_space == OWN:
        known["classes"] = list(identity.classes or ())
    return entry | known | {"preprocessing_text": stated.describe()}


def public_reference(spec: ModelSpec) -> str:
    """The model as named in commands that are published: a local folder without its path."""
    return f"FOLDER/{spec.name}" if isinstance(spec.checkpoint, FolderCheckpoint) else spec.reference


_LOCAL_PATH = re.compile(r"(?<![\w:/.~])~?/(?:[^/\s:;,'\"()]+/)+([^/\s:;,'\"()]*)")


def public_text(message: str) -> str:
    """A message for the ledger and the card: of a path on this machine only the last part stays."""
    return _LOCAL_PATH.sub(lambda match: f"…/{match[1]}", message)
