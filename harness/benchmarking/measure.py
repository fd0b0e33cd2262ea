"""What a suite benchmarks of the model itself: size, speed, memory, energy and carbon, without any data set.

Size and speed follow from the architecture, so a model of the registry is benchmarked with random weights where its
checkpoint is not here, and every record says so. A benchmark that fails becomes pending; the others go on.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch

from harness.benchmarking import results
from harness.benchmarking.architecture import read_architecture
from harness.benchmarking.complexity import count
from harness.benchmarking.energy import EnergyUse, Meter, measure_energy, meters_for
from harness.benchmarking.energy_tracking import RunEnergy
from harness.benchmarking.memory import peak_memory
from harness.benchmarking.results import Provenance
from harness.benchmarking.training import training_cost
from harness.errors import HarnessError
from harness.evidence import CODE, Evidence, Fingerprints
from harness.facts.loader import facts_for
from harness.models.loading import LoadedModel, ModelState, build_architecture
from harness.models.preprocessing import Preprocessing
from harness.progress import Reporter
from harness.runtime.batches import batches
from harness.runtime.choosing import Choice, candidates, choose
from harness.runtime.decoders import Batch, Threads, decode_batch
from harness.runtime.execution import fixed_config
from harness.runtime.hardware import describe
from harness.runtime.network import Forward, prepare, to_device
from harness.runtime.sample_images import SampleImages, sample_images
from harness.runtime.timing import Budget, Sweep, batch_of, measure_latency, stopwatch, sweep_batches, time_calls
from harness.settings import Settings

_NOISE_IMAGES = 8
_ENERGY_REPEATS = 5
_MEMORY_CALLS = 3
_IDLE_SECONDS = 5.0
_DECODED = "with-decoding"
_REGISTRY = "the entry of this model in the registry, since its checkpoint is not here"
_FAILURES = (HarnessError, RuntimeError, OSError)
"""What makes a benchmark pending; RuntimeError is PyTorch's, such as out of memory."""


@dataclass(frozen=True)
class _Subject:
    """The model that is benchmarked."""

    state: ModelState
    loaded: LoadedModel | None
    """None where the checkpoint is not here: the weights are random then."""
    module: torch.nn.Module
    """Normalised images (N, 3, H, W) to logits."""
    preprocessing: Preprocessing
    settings: Settings
    provenance: Provenance


@dataclass(frozen=True)
class _Running:
    """The network on its device, as it was chosen to run."""

    subject: _Subject
    choice: Choice
    forward: Forward
    noise: torch.Tensor
    """Normal noise (8, 3, H, W) from a fixed seed, on the device: speed doesn't depend on what the pixels show."""
    sample_images: SampleImages
    provenance: Provenance
    ran: list[int]
    """Images of each piece of work so far, warm-up included: what the energy of the run is for."""

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return self.noise.device

    @property
    def limit_s(self) -> float:
        """After how many seconds each benchmark ends with the interval it has."""
        return self.subject.settings.seconds

    def steps(self, what: str = results.FORWARD_ONLY) -> str:
        """What a timed call consists of."""
        return what + ("" if self.subject.loaded is not None else ", random weights")


# --- read off the architecture --------------------------------------------------------------------------------------


def _complexity(subject: _Subject) -> list[Evidence]:
    own = count(subject.module, (3, *subject.preprocessing.crop))
    found = results.complexity_evidence(own, subject.provenance, checkpoint=_single_file(subject.state))
    for width, height in subject.settings.input_size:
        try:
            at_size = count(subject.module, (3, height, width))
        except HarnessError as error:
            found.append(subject.provenance.pending(f"compute.macs:{width}x{height}", error.message))
            continue
        found += results.complexity_evidence(at_size, subject.provenance, variant=True)
    return found


def _architecture(subject: _Subject) -> list[Evidence]:
    core: Any = getattr(subject.module, "core", subject.module)
    shown = getattr(core, "config", core)
    if not (hasattr(shown, "to_dict") or hasattr(shown, "pretrained_cfg")):
        raise HarnessError(f"{type(core).__name__} carries no configuration to read its shape from.")
    return results.architecture_evidence(read_architecture(shown), subject.provenance)


# --- measured on the network as it runs -----------------------------------------------------------------------------


def _start(subject: _Subject) -> _Running:
    """The network as it runs; its answers are compared on images, since on noise all networks agree with themselves."""
    settings, preprocessing = subject.settings, subject.preprocessing
    allowed = candidates(settings, convolutional=_is_convolutional(subject.module))
    device = torch.device(allowed[0].device)
    images = sample_images(settings.home / "data")
    batch = decode_batch(images.decoded(preprocessing), range(len(images.encoded)))
    choice = choose(
        subject.module.to(device),
        preprocessing.normalise(to_device(batch.pixels, device)),
        allowed,
        description=images.description,
        budget=Budget(relative=0.05, limit_s=min(5.0, settings.seconds), minimum_calls=3, warm_up_calls=1),
        limit_s=settings.seconds,
    )
    noise = torch.randn(_NOISE_IMAGES, 3, *preprocessing.crop, generator=torch.Generator().manual_seed(0))
    return _Running(
        subject=subject,
        choice=choice,
        forward=prepare(subject.module, choice.config),
        noise=noise.to(device),
        sample_images=images,
        provenance=replace(subject.provenance, hardware=describe(device), config=choice.config),
        ran=[choice.images_run],
    )


def _latency(running: _Running, call: Callable[[], object], steps: str, **more: Any) -> list[Evidence]:
    """At least 400 calls, so that p99 has an interval, unless the time is over before."""
    budget = Budget(minimum_calls=400, warm_up_calls=10, limit_s=running.limit_s)
    timings = measure_latency(call, running.device, budget)
    running.ran.append(timings.images_run)
    return results.latency_evidence(timings, running.provenance, steps=steps, **more)


def _sweep(running: _Running) -> Sweep:
    sweep = sweep_batches(running.forward, running.noise, Budget(limit_s=running.limit_s))
    running.ran.extend(timings.images_run for timings in (*sweep.points, sweep.best))
    return sweep


def _decoding(running: _Running, batch_size: int) -> list[Evidence]:
    """Latency and throughput again, from encoded images on."""
    preprocessing, workers = running.subject.preprocessing, running.choice.config.workers
    pixels, watch = running.sample_images.decoded(preprocessing), stopwatch(running.device)

    def run(batch: Batch) -> torch.Tensor:
        return running.forward(preprocessing.normalise(to_device(batch.pixels, running.device)))

    steps = running.steps(results.WITH_DECODING)
    more = {"variant": _DECODED, "input": running.sample_images.description}
    one_by_one = itertools.count()
    found = _latency(
        running, lambda: run(decode_batch(pixels, [next(one_by_one)])), f"{steps}, one after the other", **more
    )
    groups = ((pixels, range(first, first + batch_size)) for first in itertools.count(0, batch_size))
    with Threads(workers) as threads, closing(batches(groups, threads)) as stream:
        throughput = time_calls(
            lambda: run(next(stream)), images_per_call=batch_size, watch=watch, budget=Budget(limit_s=running.limit_s)
        )
    running.ran.append(throughput.images_run)
    sweep = Sweep((throughput,), throughput, "best batch size of the forward pass")
    steps += f"; {workers} threads decode the next batches meanwhile"
    return found + results.throughput_evidence(sweep, running.provenance, steps=steps, **more)


def _memory(running: _Running, image: torch.Tensor) -> list[Evidence]:
    peak = peak_memory(lambda: [running.forward(image) for _ in range(_MEMORY_CALLS)], running.device)
    running.ran.append(_MEMORY_CALLS)
    return results.memory_evidence(peak, _MEMORY_CALLS, running.provenance)


def _energy_uses(running: _Running, batch_size: int, meters: Sequence[Meter]) -> list[EnergyUse]:
    """Repeats of forward passes at the batch size with the best throughput."""
    batch = batch_of(running.noise, batch_size)

    def step() -> int:
        running.forward(batch)
        if running.device.type == "cuda":
            torch.cuda.synchronize(running.device)
        return len(batch)

    seconds = running.limit_s / _ENERGY_REPEATS
    uses = [measure_energy(step, meters, seconds) for _ in range(_ENERGY_REPEATS)]
    running.ran.extend(use.images for use in uses)
    return uses


def _carbon(running: _Running, uses: Sequence[EnergyUse]) -> list[Evidence]:
    reason = next((use.reason for use in uses if use.reason is not None), None)
    images, region = sum(use.images for use in uses), running.subject.settings.region
    key, joules = running.provenance.key("carbon.per-1000-images"), results.per_1000_images(uses)
    return [results.carbon_evidence(key, joules, region, images, reason, running.provenance)]


# --- all of a suite ---------------------------------------------------------------------------------------------------

PENDING_KEYS: dict[str, tuple[tuple[str, str | None], ...]] = {
    "complexity": (("compute.parameters", None), ("compute.macs", None)),
    "architecture": (("architecture.depth", None),),
    "preprocessing": (("architecture.preprocessing", None),),
    "execution": (("compute.execution", None),),
    "latency": (("compute.latency-p50", None),),
    "throughput": (("compute.throughput", None),),
    "decoding": (("compute.latency-p50", _DECODED), ("compute.throughput", _DECODED)),
    "memory": (("compute.peak-memory", None),),
    "energy": (("energy.per-1000-images", None),),
    "carbon": (("carbon.per-1000-images", None),),
    "training": (),
}
"""Metric and variant of what is pending where each of `harness.evaluation.suites.MEASUREMENTS` fails."""
_BY_PRECISION = ("latency", "throughput", "decoding", "memory", "energy", "carbon")
"""Benchmarks whose values depend on the precision."""


def _takes_of(running: _Running) -> dict[str, Callable[[], list[Evidence]]]:
    """How what runs the network is benchmarked; what several benchmarks need is made once."""
    image, sweep = batch_of(running.noise, 1), cache(lambda: _sweep(running))
    meters, idle_s = cache(lambda: meters_for(running.device)), min(_IDLE_SECONDS, running.limit_s)
    uses = cache(lambda: _energy_uses(running, sweep().best.images_per_call, meters()))
    return {
        "execution": lambda: results.execution_evidence(running.choice, running.provenance),
        "latency": lambda: _latency(running, lambda: running.forward(image), running.steps()),
        "throughput": lambda: results.throughput_evidence(sweep(), running.provenance, steps=running.steps()),
        "decoding": lambda: _decoding(running, sweep().best.images_per_call),
        "memory": lambda: _memory(running, image),
        "energy": lambda: [
            *results.energy_evidence(uses(), running.provenance),
            results.idle_evidence([meter.idle(idle_s) for meter in meters()], running.provenance),
        ],
        "carbon": lambda: _carbon(running, uses()),
    }


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
    """Benchmark a model: with its weights where they are here, else its architecture.

    Args:
        names: in `PENDING_KEYS`.
        command: that makes this evidence again.
        load: gives the model with its weights; called only where the checkpoint is here.
        run: energy of the whole run, which these benchmarks are part of.
        lineage: the checkpoint, an id of its facts, that the weights were found to be; None where that is not decided.

    Raises:
        HarnessError: the checkpoint is here and can't be used, or there is no such device or precision.
    """
    if not names:
        return []
    loaded = load() if model.runnable else None
    weights = loaded.identity.weights if loaded is not None else None
    bare = Provenance(command, Fingerprints(weights=weights, code=CODE))
    try:
        module = loaded.module if loaded is not None else build_architecture(model.spec)
    except HarnessError as error:
        why = f"{error.message} {model.missing.message if model.missing else ''}".strip()
        return [item for name in names for item in _waiting(name, why, bare)]
    preprocessing = loaded.identity.preprocessing if loaded is not None else model.spec.preprocessing
    assert preprocessing is not None  # the registry states one with each architecture
    height, width = preprocessing.crop
    read_from = loaded.identity.preprocessing_origin if loaded is not None else _REGISTRY
    which = "the checkpoint's" if loaded is not None else "random: the checkpoint is not here"
    provenance = replace(bare, weights=which, input=f"random pixels, {width} × {height}")
    subject = _Subject(model, loaded, module, preprocessing, settings, provenance)
    facts = facts_for(model.spec.name)
    takes: dict[str, Callable[[], list[Evidence]]] = {
        "complexity": lambda: _complexity(subject),
        "architecture": lambda: _architecture(subject),
        "preprocessing": lambda: [results.preprocessing_evidence(preprocessing, read_from, subject.provenance)],
        "training": lambda: training_cost(facts, bare, lineage=lineage) if facts is not None else [],
    }
    provenance = replace(provenance, config=fixed_config(settings, convolutional=_is_convolutional(module)))
    ran: list[int] = []
    found: list[Evidence] = []

    def failed(name: str, error: Exception) -> list[Evidence]:
        why = error.message if isinstance(error, HarnessError) else str(error) or type(error).__name__
        reporter.note(f"Failed: {name}: {why}")
        return _waiting(name, why, provenance)

    if run is not None:
        run.begin()
    if any(name not in takes for name in names):
        try:
            running = _start(subject)
            takes |= _takes_of(running)
            provenance, ran = running.provenance, running.ran
        except _FAILURES as error:
            found += [item for name in names if name not in takes for item in failed(name, error)]
    for name in names:
        if name not in takes:
            continue
        reporter.note(f"Measuring {name}")
        try:
            found += takes[name]()
        except _FAILURES as error:
            found += failed(name, error)
    if run is not None:
        run.end(images=sum(ran))
    return results.withhold_unfit(found)


def _is_convolutional(module: torch.nn.Module) -> bool:
    return any(isinstance(part, torch.nn.Conv2d) for part in module.modules())


def _single_file(model: ModelState) -> Path | None:
    """The file of the weights; None where there is none, or several that share them."""
    files = [file for file in model.files.files if file.suffix != ".json"] if model.files is not None else []
    return files[0] if len(files) == 1 else None


def _waiting(name: str, why: str, provenance: Provenance) -> list[Evidence]:
    """What is pending where a benchmark can't be made."""
    return [
        provenance.pending(provenance.key(metric, variant) if name in _BY_PRECISION else metric, why)
        for metric, variant in PENDING_KEYS[name]
    ]
