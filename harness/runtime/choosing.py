"""Which way of running a network is best here, where the user asks for that to be measured.

A faster way counts only if it gives the same answers: every candidate's top-1 on a probe is compared with plain
float32, contiguous, eager, and the agreement and largest logit difference are part of the result. Choosing is cheap: a
candidate whose first call is clearly slower than the best one's is dropped, and what the whole choice may take is a small
share of the run that it serves. A choice is kept, so that a run that is started again goes on as before, whatever the
clock would say.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from harness.runtime.execution import MEMORY_FORMATS, ExecutionConfig, fixed_config
from harness.runtime.network import Forward, as_run, prepare
from harness.runtime.timing import Budget, Measurement, Timings, batch_of, measure_throughput, stopwatch
from harness.settings import AUTO, Settings

AUTO_PRECISIONS = ("fp32", "bf16")
"""What precision `auto` chooses among."""
AGREEMENT_IMAGES = 32
"""Images on which a faster way's top-1 is compared with plain fp32."""
TIMED_IMAGES = 8
"""Images of a timed call; a GPU is timed on whole batches, as it runs them."""
MINIMUM_AGREEMENT = 0.99
"""Share of the probe's top-1 that must be the reference's."""
CLEARLY_FASTER = 1.15
"""How much faster than the default anything else must be to be chosen: noise in a timing should not change answers."""
CLEARLY_SLOWER = 2.0
"""How much longer than the best one's a candidate's first call may take."""
SHARE_OF_RUN = 0.05
"""The choice takes less than this share of the run that it serves."""
COMPILE_SECONDS = 60.0
"""About what compiling a network of this size takes on two CPU cores."""

_FIRST_IMAGES = 2
_START_UP_SECONDS = 1.0
"""What loading kernels may take: a shorter first call is made again before it is judged."""
_BUDGET = Budget(relative=0.10, limit_s=2.0, minimum_calls=3, warm_up_calls=0)


@dataclass(frozen=True)
class Trial:
    """One way to run, tried on the probe."""

    config: ExecutionConfig
    timings: Timings | None = None
    agreeing: int | None = None
    """How many of the probe's images have the reference's top-1."""
    largest_difference: float | None = None
    """Largest absolute difference of a logit from the reference's."""
    rejected: str | None = None
    """Why it can't be chosen; None where it can."""
    first_call_s: float | None = None
    """Seconds of its first call, on two images."""

    @property
    def throughput(self) -> Measurement | None:
        """Images per second on the probe."""
        return self.timings.throughput if self.timings else None

    @property
    def images_per_second(self) -> float:
        """For ranking: below any real rate where it can't be chosen or was not timed."""
        return -1.0 if self.rejected is not None or self.timings is None else self.timings.throughput.value


@dataclass(frozen=True)
class Choice:
    """The chosen way to run and all that were tried, the reference first."""

    config: ExecutionConfig
    trials: tuple[Trial, ...]
    description: str
    """What the probe's images are."""
    probe_images: int
    skipped: str | None = None
    """Why the default was taken without trying anything else; None where it was tried."""

    @property
    def chosen(self) -> Trial:
        """The trial of the chosen config."""
        return next(trial for trial in self.trials if trial.config == self.config)

    @property
    def images_run(self) -> int:
        """Images of all calls that were made for the choice."""
        timings = [trial.timings for trial in self.trials if trial.timings is not None]
        return sum(t.images_run for t in timings) + self.probe_images * sum(t.agreeing is not None for t in self.trials)


def candidates(settings: Settings, *, convolutional: bool) -> tuple[ExecutionConfig, ...]:
    """What the settings leave to be chosen, the default first; a single one where nothing is.

    Raises:
        HarnessError: there is no such device, or it lacks the precision.
    """
    default = fixed_config(settings, convolutional=convolutional)
    auto = settings.precision == AUTO
    other_formats = [name for name in MEMORY_FORMATS if name != default.memory_format]
    return tuple(
        replace(default, precision=precision, memory_format=memory_format, compiled=compiled)
        for compiled in ((False, True) if auto else (default.compiled,))
        for precision in (AUTO_PRECISIONS if auto else (default.precision,))
        for memory_format in (default.memory_format, *(other_formats if settings.layout == AUTO else ()))
    )


def choose(
    module: nn.Module,
    probe: torch.Tensor,
    allowed: Sequence[ExecutionConfig],
    *,
    description: str,
    budget: Budget = _BUDGET,
    limit_s: float = math.inf,
    images_ahead: int | None = None,
) -> Choice:
    """Try what is allowed on a probe and choose the fastest that agrees with plain fp32.

    Where one way alone is allowed, nothing is timed. Compiled ways come last, each precision's in the memory format that
    was its faster one without.

    Args:
        module: moved to the device; laid out anyhow when this returns.
        probe: float32 (N, C, H, W) on the device.
        allowed: the default first: another must be clearly faster. The reference (fp32, contiguous, eager) is tried too,
            and chosen where nothing that is allowed can be.
        description: what the probe's images are.
        budget: of each timing.
        limit_s: seconds for compiled ways. Where compiling usually takes longer none is tried; it can't be interrupted,
            so one that has begun may end later.
        images_ahead: images that will be run; None where no run waits for the choice.
    """
    reference = replace(allowed[0], precision="fp32", memory_format="contiguous", compiled=False)
    others = sorted((config for config in allowed if config != reference), key=lambda config: config.compiled)
    is_timed = len(allowed) > 1
    on_gpu = probe.device.type == "cuda"
    timed = batch_of(probe, allowed[0].batch_size) if on_gpu else probe[:TIMED_IMAGES]
    images_each = len(probe) + budget.minimum_calls * (allowed[0].batch_size if on_gpu else TIMED_IMAGES)
    eager = 1 + sum(not config.compiled for config in others)
    if is_timed and images_ahead is not None and eager * images_each > SHARE_OF_RUN * images_ahead:
        why = f"choosing would take more than {SHARE_OF_RUN:.0%} of a run of {images_ahead:,} images"
        return Choice(allowed[0], (Trial(allowed[0]),), description, len(probe), skipped=why)
    started, allowance_s, first_call_s = time.monotonic(), math.inf, None
    forward = prepare(module, reference)
    if is_timed:
        first_call_s = _first_call(forward, probe)
        if images_ahead is not None:
            allowance_s = SHARE_OF_RUN * images_ahead * first_call_s / _FIRST_IMAGES
            budget = replace(budget, limit_s=min(budget.limit_s, allowance_s / eager / 2))
    expected = _logits(forward, probe)
    timings = measure_throughput(as_run(forward, timed), timed, budget) if is_timed else None
    trials = [Trial(reference, timings, len(probe), 0.0, first_call_s=first_call_s)]
    compiling_s = 0.0
    for config in others:
        begun = time.monotonic()
        best_first_s = min((t.first_call_s for t in trials if t.first_call_s is not None), default=0.0)
        needed_s = COMPILE_SECONDS if config.compiled else best_first_s / _FIRST_IMAGES * images_each
        why_not = _not_worth_compiling(config, trials, limit_s, compiling_s) if config.compiled else None
        if why_not is None and needed_s > allowance_s - (begun - started):
            allowed_s = f"choosing at most {allowance_s:.1f} s of this run"
            why_not = f"not tried: it takes about {needed_s:.1f} s, and {allowed_s}"
        if why_not is not None:
            trials.append(Trial(config, rejected=why_not))
            continue
        trials.append(_try(module, config, probe, timed, expected, best_first_s, budget))
        compiling_s += (time.monotonic() - begun) * config.compiled

    def worth(trial: Trial) -> float:
        """Images per second; of all but the default, divided by how much faster they must be."""
        return trial.images_per_second / (1.0 if trial.config == allowed[0] else CLEARLY_FASTER)

    best = max((t for t in trials if t.config in allowed), key=worth)
    return Choice(best.config if best.rejected is None else reference, tuple(trials), description, len(probe))


def _not_worth_compiling(
    config: ExecutionConfig, trials: Sequence[Trial], limit_s: float, spent_s: float
) -> str | None:
    """Why a compiled way is not tried; None where it is worth a try.

    Args:
        limit_s: seconds for all compiled ways, of which `spent_s` are gone.
    """
    plain = {t.config: t.images_per_second for t in trials if not t.config.compiled}
    own = plain.get(replace(config, compiled=False), 0.0)
    if own < 0:
        return "not tried: it can't be chosen without compiling either"
    if own < max((rate for other, rate in plain.items() if other.precision == config.precision), default=0.0):
        return "not tried: this layout is the slower one for this precision"
    if limit_s < COMPILE_SECONDS:
        return f"not tried: compiling takes about {COMPILE_SECONDS:.0f} s, more than the limit of {limit_s:g} s"
    return f"not tried: the limit of {limit_s:g} s was reached" if spent_s >= limit_s else None


def _try(
    module: nn.Module,
    config: ExecutionConfig,
    probe: torch.Tensor,
    timed: torch.Tensor,
    expected: torch.Tensor,
    best_first_s: float,
    budget: Budget,
) -> Trial:
    """One way on the probe; timed where the best first call so far is given, 0 where nothing is."""
    forward, first_call_s = prepare(module, config), None
    try:
        if best_first_s and not config.compiled:
            first_call_s = _first_call(forward, probe, good_enough=CLEARLY_SLOWER * best_first_s)
            if first_call_s > CLEARLY_SLOWER * best_first_s:
                why_not = f"its first call took {first_call_s:.2g} s, the best one's {best_first_s:.2g} s"
                return Trial(config, rejected=why_not, first_call_s=first_call_s)
        logits = _logits(forward, probe)
    except RuntimeError as error:  # no compiler, no kernel in this precision, out of memory
        said = str(error).strip() or type(error).__name__
        return Trial(config, rejected=f"can't run here: {said.splitlines()[0]}")
    agreeing = int((logits.argmax(1) == expected.argmax(1)).sum())
    if not bool(torch.isfinite(logits).all()):
        return Trial(config, agreeing=agreeing, rejected="logits are not finite")
    rejected = f"top-1 agrees on {agreeing} of {len(probe)}, less than {MINIMUM_AGREEMENT:.0%}"
    return Trial(
        config,
        measure_throughput(forward if config.compiled else as_run(forward, timed), timed, budget)
        if best_first_s
        else None,
        agreeing,
        float((logits - expected).abs().max()),
        rejected if agreeing < MINIMUM_AGREEMENT * len(probe) else None,
        first_call_s,
    )


def _first_call(forward: Forward, probe: torch.Tensor, good_enough: float = 0.0) -> float:
    """Seconds of a call on few images; a short one may owe its time to loading kernels, so it is made again."""
    watch, first = stopwatch(probe.device), probe[:_FIRST_IMAGES]
    seconds = watch(lambda: forward(first))
    return watch(lambda: forward(first)) if good_enough < seconds < _START_UP_SECONDS else seconds


def _logits(forward: Forward, probe: torch.Tensor) -> torch.Tensor:
    """Logits of the whole probe in calls of the size that is timed, so that these are warmed up."""
    return torch.cat([forward(part) for part in probe.split(TIMED_IMAGES)])
