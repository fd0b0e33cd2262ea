"""Putting a model where it runs: device, precision, and the faster memory layout, measured once and remembered."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from harness.compute.placement import LAYOUTS, choose
from harness.compute.speed import Budget
from harness.errors import ExitCode, HarnessError, unknown_name
from harness.files import write_text
from harness.inference.engine import Forward, Placement
from harness.models.loading import LoadedModel
from harness.progress import Reporter
from harness.settings import PRECISIONS, Settings

_CLEARLY = 1.15
"""How much faster contiguous must be to be taken."""
_PROBE_IMAGES = 8
_PROBE_BUDGET = Budget(relative=0.10, limit_s=2.0, minimum_calls=3, warm_up_calls=1)


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
    placement = Placement(device, settings.precision, layout)
    return Forward(loaded.module, loaded.identity.preprocessing, placement, loaded.identity.outputs)


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
