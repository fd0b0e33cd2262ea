"""What a suite measures of the model itself: size, speed, memory, energy and carbon, without any data set.

Size and speed follow from the architecture, so a model of the registry is measured with random weights where its
checkpoint is not here, and every record says so. A measurement that fails becomes pending; the others go on.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from harness.benchmarking import results
from harness.benchmarking.architecture import read_architecture
from harness.benchmarking.carbon import emissions, grid_intensity
from harness.benchmarking.complexity import count
from harness.benchmarking.energy import EnergyUse, Meter, measure_energy, meters_for, repeat_forward
from harness.benchmarking.energy_tracking import RunEnergy
from harness.benchmarking.memory import peak_memory
from harness.benchmarking.results import Origin
from harness.benchmarking.training import training_cost
from harness.errors import HarnessError
from harness.evidence import CODE, Evidence, EvidenceClass, Fingerprints
from harness.facts import facts_for
from harness.models.loading import LoadedModel, ModelState, build_architecture
from harness.models.preprocessing import Preprocessing
from harness.progress import Reporter
from harness.runtime.choosing import AUTO_PRECISIONS, resolve_device
from harness.runtime.decoding import default_workers
from harness.runtime.engine import Batch, batches, decode_batch
from harness.runtime.execution import LAYOUTS, Placement, Setting, choose, prepare
from harness.runtime.hardware import describe
from harness.runtime.sample_images import SampleImages, sample_images
from harness.runtime.timing import (
    Budget,
    Forward,
    Sweep,
    Timings,
    batch_of,
    measure_latency,
    quantile_measurement,
    stopwatch,
    sweep_batches,
    time_calls,
)
from harness.settings import AUTO, Settings

_PROBE_IMAGES = 8
_ENERGY_REPEATS = 5
_MEMORY_CALLS = 3
_IDLE_SECONDS = 5.0
_DECODED = "with-decoding"
_REGISTRY = "the entry of this model in the registry, since its checkpoint is not here"


@dataclass(frozen=True)
class _Subject:
    """The network under measurement; what several measurements need is made once."""

    model: str
    """Its name or reference, by which documented facts are found."""
    lineage: str | None
    """The checkpoint that its weights were found to be, where that was decided."""
    module: torch.nn.Module
    """Float images (N, 3, H, W) to logits, on `device`."""
    device: torch.device
    preprocessing: Preprocessing
    preprocessing_origin: str
    """Where it was read."""
    checkpoint: Path | None
    has_weights: bool
    """Whether the weights are the checkpoint's; else they are random."""
    settings: Settings
    origin: Origin
    ran: list[int] = field(default_factory=list)
    """Images of each piece of work so far, warm-up included: what the energy of the run is for."""

    def timed(self, *timings: Timings) -> None:
        """Count the images of timed calls as run."""
        self.ran.extend((len(t.seconds) + t.warm_up_calls) * t.images_per_call for t in timings)

    @property
    def weights_words(self) -> str:
        """What to add to the words on a timed call."""
        return "" if self.has_weights else ", random weights"

    @property
    def steps(self) -> str:
        """What a timed call consists of, in words."""
        return results.FORWARD_ONLY + self.weights_words

    @cached_property
    def images(self) -> torch.Tensor:
        """Normal noise (8, 3, H, W) from a fixed seed: speed doesn't depend on what the pixels show."""
        noise = torch.randn(_PROBE_IMAGES, 3, *self.preprocessing.crop, generator=torch.Generator().manual_seed(0))
        return noise.to(self.device)

    @cached_property
    def pictures(self) -> SampleImages:
        return sample_images(self.settings.home / "data")

    @property
    def workers(self) -> int:
        return self.settings.workers or default_workers()

    @cached_property
    def placement(self) -> Placement:
        """The way to run; its answers are compared on pictures, since on noise all networks agree with themselves."""
        settings, auto = self.settings, self.settings.precision == AUTO
        seconds = min(5.0, settings.measure_seconds)
        pixels = self.pictures.decoded(self.preprocessing)
        (batch,) = batches([range(len(self.pictures.encoded))], pixels, workers=self.workers)
        placement = choose(
            self.module,
            self.preprocessing.normalise(batch.pixels.to(self.device)),
            precisions=AUTO_PRECISIONS if auto else (settings.precision,),
            layouts=tuple(LAYOUTS) if settings.layout == AUTO else (settings.layout,),
            compiled=(False, True) if auto else (settings.compiled,),
            budget=Budget(relative=0.05, limit_s=seconds, minimum_calls=3, warm_up_calls=1),
            timed_images=_PROBE_IMAGES,
            limit_s=settings.measure_seconds,
        )
        self.timed(*(trial.timings for trial in placement.trials if trial.timings is not None))
        self.ran.append(placement.probe_images * sum(trial.agreeing is not None for trial in placement.trials))
        return placement

    @property
    def setting(self) -> Setting:
        return self.placement.setting

    @cached_property
    def forward(self) -> Forward:
        return prepare(self.module, self.setting)

    @cached_property
    def placed(self) -> Origin:
        """The origin of what depends on hardware and setting."""
        return Origin(self.origin.command, self.origin.fingerprints, describe(self.device), self.setting)

    @cached_property
    def sweep(self) -> Sweep:
        sweep = sweep_batches(self.forward, self.images, budget=Budget(limit_s=self.settings.measure_seconds))
        self.timed(*sweep.points, sweep.best)
        return sweep

    @cached_property
    def meters(self) -> list[Meter]:
        return meters_for(self.device)

    @cached_property
    def energy(self) -> list[EnergyUse]:
        """Repeats of forward passes at the batch size with the best throughput."""
        batch = batch_of(self.images, self.sweep.best.images_per_call)

        def step() -> int:
            self.forward(batch)
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)
            return len(batch)

        work = repeat_forward(step, self.settings.measure_seconds / _ENERGY_REPEATS)
        uses = [measure_energy(work, self.meters) for _ in range(_ENERGY_REPEATS)]
        self.ran.extend(use.images for use in uses)
        return uses


def _complexity(subject: _Subject) -> list[Evidence]:
    own = count(subject.module, (3, *subject.preprocessing.crop))
    found = results.complexity_evidence(own, subject.origin, checkpoint=subject.checkpoint)
    for width, height in subject.settings.input_sizes:
        try:
            at_size = count(subject.module, (3, height, width))
        except HarnessError as error:
            found.append(_pending(f"compute.macs:{width}x{height}", error.message, subject.origin))
            continue
        found += results.complexity_evidence(at_size, subject.origin, variant=True)
    return found


def _preprocessing(subject: _Subject) -> list[Evidence]:
    return [results.preprocessing_evidence(subject.preprocessing, subject.preprocessing_origin, subject.origin)]


def _architecture(subject: _Subject) -> list[Evidence]:
    core: Any = getattr(subject.module, "core", subject.module)
    shown = getattr(core, "config", core)
    if not (hasattr(shown, "to_dict") or hasattr(shown, "pretrained_cfg")):
        raise HarnessError(f"{type(core).__name__} carries no configuration to read its shape from.")
    return results.architecture_evidence(read_architecture(shown), subject.origin)


def _placement(subject: _Subject) -> list[Evidence]:
    return results.placement_evidence(subject.placement, subject.placed, images=subject.pictures.words)


def _latency(subject: _Subject) -> list[Evidence]:
    budget = Budget(minimum_calls=400, warm_up_calls=10, limit_s=subject.settings.measure_seconds)
    timings = measure_latency(subject.forward, batch_of(subject.images, 1), budget)
    subject.timed(timings)
    return results.latency_evidence(timings, subject.placed, steps=subject.steps)


def _throughput(subject: _Subject) -> list[Evidence]:
    return results.throughput_evidence(subject.sweep, subject.placed, steps=subject.steps)


def _decoding(subject: _Subject) -> list[Evidence]:
    """Latency and throughput again, from encoded images on."""
    pixels, size = subject.pictures.decoded(subject.preprocessing), subject.sweep.best.images_per_call
    steps = results.WITH_DECODING + subject.weights_words

    def run(batch: Batch) -> torch.Tensor:
        return subject.forward(subject.preprocessing.normalise(batch.pixels.to(subject.device)))

    watch, limit = stopwatch(subject.device), subject.settings.measure_seconds
    one_by_one = itertools.count()
    latency = time_calls(
        lambda: run(decode_batch([next(one_by_one)], pixels)),
        images_per_call=1,
        watch=watch,
        budget=Budget(minimum_calls=400, warm_up_calls=10, limit_s=limit),
        figure=lambda seconds: quantile_measurement(seconds, 0.5),
    )
    groups = (range(first, first + size) for first in itertools.count(0, size))
    with closing(batches(groups, pixels, workers=subject.workers)) as stream:
        throughput = time_calls(
            lambda: run(next(stream)), images_per_call=size, watch=watch, budget=Budget(limit_s=limit)
        )
    subject.timed(latency, throughput)
    more = {"input": subject.pictures.words}
    return [
        *results.latency_evidence(
            latency, subject.placed, steps=f"{steps}, one after the other", variant=_DECODED, **more
        ),
        *results.throughput_evidence(
            Sweep((throughput,), throughput, "best batch size of the forward pass"),
            subject.placed,
            steps=f"{steps}; {subject.workers} threads decode the next batches meanwhile",
            variant=_DECODED,
            **more,
        ),
    ]


def _memory(subject: _Subject) -> list[Evidence]:
    forward, image = subject.forward, batch_of(subject.images, 1)
    peak = peak_memory(lambda: [forward(image) for _ in range(_MEMORY_CALLS)], subject.device)
    subject.ran.append(_MEMORY_CALLS)
    return results.memory_evidence(peak, 1, _MEMORY_CALLS, subject.placed)


def _energy(subject: _Subject) -> list[Evidence]:
    found = results.energy_evidence(subject.energy, subject.placed)
    seconds = min(_IDLE_SECONDS, subject.settings.measure_seconds)
    return [*found, results.idle_evidence([meter.idle(seconds) for meter in subject.meters], subject.placed)]


def _carbon(subject: _Subject) -> list[Evidence]:
    joules = results.per_1000_images(subject.energy)
    carbon = None if joules is None else emissions(joules, grid_intensity(subject.settings.region))
    reason = next((use.reason for use in subject.energy if use.reason is not None), None)
    images = sum(use.images for use in subject.energy)
    return [results.carbon_evidence("carbon.per-1000-images", carbon, images, reason, subject.placed)]


def _training(subject: _Subject) -> list[Evidence]:
    facts = facts_for(subject.model)
    return training_cost(facts, subject.origin, lineage=subject.lineage) if facts is not None else []


@dataclass(frozen=True)
class _Measurement:
    take: Callable[[_Subject], list[Evidence]]
    keys: tuple[str, ...]
    """What is pending where it fails."""


MEASUREMENTS: dict[str, _Measurement] = {
    "complexity": _Measurement(_complexity, ("compute.parameters", "compute.macs")),
    "architecture": _Measurement(_architecture, ("architecture.depth",)),
    "preprocessing": _Measurement(_preprocessing, ("architecture.preprocessing",)),
    "placement": _Measurement(_placement, ("compute.placement",)),
    "latency": _Measurement(_latency, ("compute.latency-p50",)),
    "throughput": _Measurement(_throughput, ("compute.throughput",)),
    "decoding": _Measurement(_decoding, (f"compute.latency-p50:{_DECODED}", f"compute.throughput:{_DECODED}")),
    "memory": _Measurement(_memory, ("compute.peak-memory",)),
    "energy": _Measurement(_energy, ("energy.per-1000-images",)),
    "carbon": _Measurement(_carbon, ("carbon.per-1000-images",)),
    "training": _Measurement(_training, ()),
}
"""How each of `harness.evaluation.suites.MEASUREMENTS` is taken."""


def measure(
    names: Sequence[str],
    model: ModelState,
    settings: Settings,
    reporter: Reporter,
    command: str,
    *,
    load: Callable[[], LoadedModel],
    run: RunEnergy | None = None,
    lineage: str | None = None,
) -> list[Evidence]:
    """Take measurements of a model: with its weights where they are here, else of its architecture.

    Args:
        names: in `MEASUREMENTS`.
        command: that makes this evidence again.
        load: gives the model with its weights; called only where the checkpoint is here.
        run: meters of the whole run, which these measurements are part of.
        lineage: the checkpoint, an id of its facts, that the weights were found to be; None where that is not decided.

    Raises:
        HarnessError: the checkpoint is here and can't be used, or there is no such device.
    """
    if not names:
        return []
    device = torch.device(resolve_device(settings.device))
    loaded = load() if model.runnable else None
    weights = loaded.identity.weights if loaded is not None else None
    origin = Origin(command, Fingerprints(weights=weights, code=CODE))
    try:
        module = loaded.module if loaded is not None else build_architecture(model.spec)
    except HarnessError as error:
        why = f"{error.message} {model.missing.message if model.missing else ''}".strip()
        return [_pending(key, why, origin) for name in names for key in MEASUREMENTS[name].keys]
    preprocessing = loaded.identity.preprocessing if loaded is not None else model.spec.preprocessing
    assert preprocessing is not None  # the registry states one with each architecture
    subject = _Subject(
        model=model.spec.name,
        lineage=lineage,
        module=module.to(device),
        device=device,
        preprocessing=preprocessing,
        preprocessing_origin=loaded.identity.preprocessing_origin if loaded is not None else _REGISTRY,
        checkpoint=_single_file(model),
        has_weights=loaded is not None,
        settings=settings,
        origin=origin,
    )
    found: list[Evidence] = []
    if run is not None:
        run.begin()
    for name in names:
        reporter.note(f"Measuring {name}")
        try:
            found += MEASUREMENTS[name].take(subject)
        except (HarnessError, RuntimeError, OSError) as error:  # RuntimeError: PyTorch's, such as out of memory
            why = error.message if isinstance(error, HarnessError) else str(error) or type(error).__name__
            reporter.note(f"Failed: {name}: {why}")
            found += [_pending(key, why, origin) for key in MEASUREMENTS[name].keys]
    if run is not None:
        run.end(images=sum(subject.ran))
    return [_named_by_precision(_with_input(item, subject), subject) for item in found]


def _single_file(model: ModelState) -> Path | None:
    """The file of the weights; None where there is none, or several that share them."""
    files = [file for file in model.files.files if file.suffix != ".json"] if model.files is not None else []
    return files[0] if len(files) == 1 else None


def _with_input(item: Evidence, subject: _Subject) -> Evidence:
    """The record with what went in: which weights, and the pixels of what was run."""
    said: dict[str, Any] = {
        "weights": "the checkpoint's" if subject.has_weights else "random: the checkpoint is not here"
    }
    if item.key.endswith(".training"):
        return item  # nothing was run for it
    if item.class_ in (EvidenceClass.MEASURED, EvidenceClass.ESTIMATED, EvidenceClass.PENDING):
        height, width = subject.preprocessing.crop
        said["input"] = f"random pixels, {width} × {height}"
    return item.model_copy(update={"protocol": said | (item.protocol or {})})


_BY_PRECISION = re.compile(
    r"compute\.(latency|throughput|peak-memory)|(energy|carbon)\.(per-1000-images|images-per-joule)"
)


def _named_by_precision(item: Evidence, subject: _Subject) -> Evidence:
    """What depends on the precision under a name of its own where that is not fp32, as accuracies have it."""
    chosen = "placement" in vars(subject)
    precision = subject.setting.precision if chosen else subject.settings.precision
    if precision in ("fp32", AUTO) or not _BY_PRECISION.match(item.key):
        return item
    return item.model_copy(update={"key": item.key + ("+" if ":" in item.key else ":") + precision})


def _pending(key: str, why: str, origin: Origin) -> Evidence:
    return Evidence(
        key=key,
        class_=EvidenceClass.PENDING,
        reason=why,
        fingerprints=origin.fingerprints,
        command=origin.command,
    )
