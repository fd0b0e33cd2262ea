"""How a network is run (precision, memory layout, eager or compiled), and which way is best here.

A faster way counts only if it gives the same answers: every candidate's top-1 on a probe is compared with plain
float32, contiguous, eager, and the agreement and largest logit difference are part of the result. Nobody's
accuracy changes unasked: reduced precision is tried only where the caller lists it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from harness.errors import unknown_name
from harness.runtime.timing import Budget, Figure, Forward, Timings, measure_throughput

AUTOCAST: dict[str, torch.dtype | None] = {
    "fp32": None,
    "tf32": None,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}
"""Precisions by name. tf32 is float32 whose products a GPU may round to 10 bits; fp32 forbids that."""

LAYOUTS: dict[str, torch.memory_format] = {
    "contiguous": torch.contiguous_format,
    "channels_last": torch.channels_last,
}

MINIMUM_AGREEMENT = 0.99

CLEARLY_FASTER = 1.15
"""How much faster a reduced precision must be than fp32 to be chosen: noise in a timing should not change answers."""

COMPILE_SECONDS = 60.0
"""About what compiling a network of this size takes on two CPU cores; a run that is shorter is not worth it."""


@dataclass(frozen=True)
class Setting:
    """One way to run a network."""

    precision: str = "fp32"
    layout: str = "contiguous"
    compiled: bool = False

    def __post_init__(self) -> None:
        if self.precision not in AUTOCAST:
            raise unknown_name("precision", self.precision, AUTOCAST)
        if self.layout not in LAYOUTS:
            raise unknown_name("layout", self.layout, LAYOUTS)

    @property
    def label(self) -> str:
        """For tables: `bf16, channels_last, eager`."""
        return f"{self.precision}, {self.layout}, {'compiled' if self.compiled else 'eager'}"


REFERENCE = Setting()


@dataclass(frozen=True)
class Trial:
    """One setting, measured on the probe."""

    setting: Setting
    timings: Timings | None
    agreeing: int | None
    """How many of the probe's images have the reference's top-1."""
    largest_difference: float | None
    """Largest absolute difference of a logit from the reference's."""
    rejected: str | None
    """Why this setting can't be chosen; None where it can."""

    @property
    def throughput(self) -> Figure | None:
        """Images per second on the probe."""
        return self.timings.throughput if self.timings else None


@dataclass(frozen=True)
class Placement:
    """The chosen setting and all that were tried, the reference first."""

    setting: Setting
    trials: tuple[Trial, ...]
    probe_images: int

    @property
    def chosen(self) -> Trial:
        """The trial of the chosen setting."""
        return next(trial for trial in self.trials if trial.setting == self.setting)


def prepare(module: nn.Module, setting: Setting) -> Forward:
    """A function that runs the network as `setting` says and returns float32 logits.

    The module is put in evaluation mode and its weights are laid out in memory as the setting says, in place; their
    values stay. The function takes float32 (N, C, H, W) in any layout and returns (N, classes) on the same device.
    """
    module.eval()
    memory_format = LAYOUTS[setting.layout]
    module.to(memory_format=memory_format)
    run = torch.compile(module) if setting.compiled else module
    dtype = AUTOCAST[setting.precision]

    def forward(images: torch.Tensor) -> torch.Tensor:
        with (
            torch.inference_mode(),
            _tf32(setting.precision == "tf32"),
            torch.autocast(images.device.type, dtype=dtype, enabled=dtype is not None),
        ):
            return run(images.contiguous(memory_format=memory_format)).float()

    return forward


def choose(
    module: nn.Module,
    probe: torch.Tensor,
    *,
    precisions: Sequence[str] = ("fp32",),
    layouts: Sequence[str] = tuple(LAYOUTS),
    compiled: Sequence[bool] = (False,),
    minimum_agreement: float = MINIMUM_AGREEMENT,
    budget: Budget | None = None,
    timed_images: int | None = None,
    limit_s: float = math.inf,
    images_ahead: int | None = None,
) -> Placement:
    """Measure the combinations on a probe and choose the fastest that agrees with the reference.

    A reduced precision must be clearly faster than fp32 to be chosen before it. Compiled settings come last, each
    precision's in the layout that was its faster one without.

    Args:
        module: on its device; laid out as the chosen setting says when this returns.
        probe: float32 (N, C, H, W) on the same device, e.g. the first batch.
        precisions, layouts, compiled: what may be chosen. The reference (fp32, contiguous, eager) is always measured
            and is chosen only where it is among them, or where nothing among them can be chosen.
        minimum_agreement: share of the probe's top-1 that must agree with the reference.
        budget: of each timing; default 5 s or an interval of 5 %.
        timed_images: how many of the probe's images a timed call takes; default all.
        limit_s: seconds for the compiled settings. Where compiling usually takes longer none is tried; it can't be
            interrupted, so one that has begun may end later.
        images_ahead: images that will be run; where they take less time than compiling, it is not tried.

    Raises:
        HarnessError: an unknown precision or layout.
    """
    budget = budget or Budget(relative=0.05, limit_s=5, minimum_calls=3, warm_up_calls=2)
    allowed = [Setting(p, layout, c) for c in compiled for p in precisions for layout in layouts]
    compiling = 0.0
    timed = probe[:timed_images]
    forward = prepare(module, REFERENCE)
    expected = forward(probe)
    trials = [Trial(REFERENCE, measure_throughput(forward, timed, budget), len(probe), 0.0, None)]
    for setting in sorted((s for s in allowed if s != REFERENCE), key=lambda s: s.compiled):
        why = _not_worth_it(setting, trials, images_ahead, limit_s, compiling) if setting.compiled else None
        if why is not None:
            trials.append(Trial(setting, None, None, None, why))
            continue
        started = time.monotonic()
        trials.append(_try(module, setting, probe, timed, expected, minimum_agreement, budget))
        compiling += (time.monotonic() - started) * setting.compiled
    best = max((t for t in trials if t.setting in allowed), key=_worth, default=trials[0])
    setting = best.setting if best.rejected is None else REFERENCE
    prepare(module, setting)
    return Placement(setting, tuple(trials), probe_images=len(probe))


def _not_worth_it(
    setting: Setting, trials: Sequence[Trial], images_ahead: int | None, limit_s: float, spent: float
) -> str | None:
    """Why a compiled setting is not tried; None where it is worth a try."""
    plain = {trial.setting: _images_per_second(trial) for trial in trials if not trial.setting.compiled}
    own = plain.get(Setting(setting.precision, setting.layout), 0.0)
    fastest = max((rate for other, rate in plain.items() if other.precision == setting.precision), default=0.0)
    if own < fastest:
        return "not tried: this layout is the slower one for this precision"
    if images_ahead is not None and max(plain.values()) > 0:
        seconds = images_ahead / max(plain.values())
        if seconds < 2 * COMPILE_SECONDS:
            return f"not tried: the run takes about {seconds:.0f} s, compiling about {COMPILE_SECONDS:.0f} s"
    if limit_s < COMPILE_SECONDS:
        return f"not tried: compiling takes about {COMPILE_SECONDS:.0f} s, more than the limit of {limit_s:g} s"
    return f"not tried: the limit of {limit_s:g} s was reached" if spent >= limit_s else None


def _worth(trial: Trial) -> float:
    """Images per second, a reduced precision's divided by how much faster it must be."""
    rate = _images_per_second(trial)
    return rate if trial.setting.precision == REFERENCE.precision else rate / CLEARLY_FASTER


def _images_per_second(trial: Trial) -> float:
    if trial.rejected is not None or trial.throughput is None:
        return -1.0
    return trial.throughput.value


def _try(
    module: nn.Module,
    setting: Setting,
    probe: torch.Tensor,
    timed: torch.Tensor,
    expected: torch.Tensor,
    minimum_agreement: float,
    budget: Budget,
) -> Trial:
    if setting.precision == "tf32" and probe.device.type != "cuda":
        return Trial(setting, None, None, None, rejected="only CUDA devices have TF32")
    forward = prepare(module, setting)
    try:
        logits = forward(probe)
    except RuntimeError as error:  # no compiler, no kernel in this precision, out of memory
        words = str(error).strip() or type(error).__name__
        return Trial(setting, None, None, None, rejected=f"can't run here: {words.splitlines()[0]}")
    agreeing = int((logits.argmax(1) == expected.argmax(1)).sum())
    difference = float((logits - expected).abs().max())
    if not bool(torch.isfinite(logits).all()):
        return Trial(setting, None, agreeing, None, rejected="logits are not finite")
    agrees = agreeing >= minimum_agreement * len(probe)
    reason = None if agrees else f"top-1 agrees on {agreeing} of {len(probe)}, less than {minimum_agreement:.0%}"
    return Trial(setting, measure_throughput(forward, timed, budget), agreeing, difference, reason)


@contextmanager
def _tf32(allowed: bool) -> Iterator[None]:
    """TF32 products on CUDA devices on or off inside; the process's own choice again afterwards."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before
