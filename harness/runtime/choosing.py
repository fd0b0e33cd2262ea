"""Putting a model where it runs: device, precision, and the faster memory layout, measured once and remembered.

What precision `auto` chose is remembered too, with all that was measured for it: a run that is started again goes on in
the precision of its stored predictions, whatever the clock would say this time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import torch

from harness.benchmarking.results import Origin, placement_evidence
from harness.errors import ExitCode, HarnessError, unknown_name
from harness.evidence import Evidence
from harness.files import write_text
from harness.models.loading import LoadedModel
from harness.progress import Reporter
from harness.runtime.engine import Forward, Placement
from harness.runtime.execution import LAYOUTS, Setting, choose
from harness.runtime.hardware import describe
from harness.runtime.timing import Budget
from harness.settings import AUTO, PRECISIONS, Settings

_CLEARLY = 1.15
"""How much faster contiguous must be to be taken."""
_PROBE_IMAGES = 8
_PROBE_BUDGET = Budget(relative=0.10, limit_s=2.0, minimum_calls=3, warm_up_calls=1)

AUTO_PRECISIONS = ("fp32", "bf16")
"""What precision `auto` chooses among."""
AGREEMENT_IMAGES = 32
"""Images on which a faster setting's top-1 is compared with plain fp32."""


def resolve_device(name: str) -> str:
    """The torch device that `auto`, `cpu`, `cuda` or `cuda:N` means here.

    Raises:
        HarnessError: no such device on this machine.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise HarnessError(
            f"'{name}' is no device.", remedy="Use auto, cpu, cuda or cuda:N.", exit_code=ExitCode.USAGE
        ) from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise HarnessError(
            f"There is no device {name} here: {torch.cuda.device_count()} GPUs are visible.",
            remedy="Use --device cpu, or look at CUDA_VISIBLE_DEVICES and `harness doctor`.",
            exit_code=ExitCode.MISSING,
        )
    return name


def place(loaded: LoadedModel, settings: Settings, reporter: Reporter) -> Forward:
    """A model ready to run as the settings ask; with layout `auto` the faster one here is measured once.

    Raises:
        HarnessError: unknown device, precision or layout.
    """
    device = resolve_device(settings.device)
    for kind, value, known in (
        ("precision", settings.precision, PRECISIONS),
        ("layout", settings.layout, ("auto", *LAYOUTS)),
    ):
        if value not in known:
            raise unknown_name(kind, value, known)
    layout = settings.layout
    if layout == "auto":
        layout = _faster_layout(loaded, device, settings, reporter)
    placement = Placement(device, settings.precision, layout, settings.compiled)
    return Forward(loaded.module, loaded.identity.preprocessing, placement, loaded.identity.outputs)


def place_by_trial(
    loaded: LoadedModel,
    settings: Settings,
    reporter: Reporter,
    *,
    probe: Callable[[], tuple[torch.Tensor, str]],
    images_ahead: int,
    origin: Origin,
) -> tuple[Settings, list[Evidence]]:
    """What precision `auto` means for a model here: settings with everything chosen, and what was measured for it.

    Args:
        probe: gives uint8 (N, 3, H, W) of images and what they are; called only where this was not measured before.
        images_ahead: images of the whole run, stored ones too, which decides whether compiling can pay.
        origin: command and fingerprints of the evidence.

    Raises:
        HarnessError: there is no such device.
    """
    device = resolve_device(settings.device)
    hardware = describe(torch.device(device))
    what = json.dumps([loaded.identity.weights, settings.layout, images_ahead >= _MANY, hardware], sort_keys=True)
    path = settings.home / "placements" / f"auto-{hashlib.sha256(what.encode()).hexdigest()[:16]}.json"
    known = _remembered_trial(path)
    if known is None:
        reporter.note("Timing precisions and memory layouts, and comparing their answers")
        pixels, words = probe()
        chosen = choose(
            loaded.module.to(device),
            loaded.identity.preprocessing.normalise(pixels.to(device)),
            precisions=AUTO_PRECISIONS,
            layouts=tuple(LAYOUTS) if settings.layout == AUTO else (settings.layout,),
            compiled=(False, True),
            budget=_PROBE_BUDGET,
            timed_images=_PROBE_IMAGES,
            limit_s=settings.measure_seconds,
            images_ahead=images_ahead,
        )
        placed_here = replace(origin, hardware=hardware, setting=chosen.setting)
        found = placement_evidence(chosen, placed_here, images=words)
        write_text(
            path,
            json.dumps({"setting": asdict(chosen.setting), "evidence": [item.to_dict() for item in found]}, indent=2)
            + "\n",
        )
        known = chosen.setting, found
    setting, found = known
    reporter.note(f"Precision auto: {setting.label}")
    placed = replace(settings, precision=setting.precision, layout=setting.layout, compiled=setting.compiled)
    return placed, [item.model_copy(update={"command": origin.command}) for item in found]


_MANY = 10_000
"""A run of so many images may have another best setting than a short one, since compiling takes a minute."""


def _remembered_trial(path: Path) -> tuple[Setting, list[Evidence]] | None:
    """What was chosen earlier; None where nothing was, or where the note can't be read."""
    try:
        note = json.loads(path.read_text(encoding="utf-8"))
        return Setting(**note["setting"]), [Evidence.model_validate(item) for item in note["evidence"]]
    except (OSError, ValueError, KeyError, TypeError, HarnessError):
        return None


def _faster_layout(loaded: LoadedModel, device: str, settings: Settings, reporter: Reporter) -> str:
    """The faster layout on this device, from the store where it was measured before.

    channels_last is taken unless the other is clearly faster: logits differ in their last bits between the two, so
    noise in a timing should not decide between equals.
    """
    name = torch.cuda.get_device_name(device).replace(" ", "-") if device.startswith("cuda") else "cpu"
    path = settings.home / "placements" / f"{loaded.identity.weights[:16]}-{name}-{settings.precision}.json"
    if (known := _remembered(path)) is not None:
        return known
    reporter.note("Timing the memory layouts")
    height, width = loaded.identity.preprocessing.crop
    probe = torch.randn(_PROBE_IMAGES, 3, height, width, generator=torch.Generator().manual_seed(0)).to(device)
    chosen = choose(loaded.module.to(device), probe, precisions=(settings.precision,), budget=_PROBE_BUDGET)
    rates = {t.setting.layout: t.throughput.value for t in chosen.trials if t.throughput and not t.rejected}
    layout = max(rates, key=lambda name: rates[name] * (_CLEARLY if name == "channels_last" else 1.0))
    write_text(path, json.dumps({"layout": layout, "images_per_second": rates}, indent=2) + "\n")
    return layout


def _remembered(path: Path) -> str | None:
    """The layout measured earlier; None where it was not, or where the note can't be read."""
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["layout"])
    except (OSError, ValueError, KeyError):
        return None
