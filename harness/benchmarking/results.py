"""Measurements of cost as evidence: one function a kind of measurement, each returns records for the ledger.

Keys follow `<family>.<metric>[:<variant>]`; see the design's "Names of evidence". What a reader needs to measure the
same again stands in each record's protocol.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from scipy import stats

from harness.benchmarking.carbon import JOULES_PER_KWH, Emissions
from harness.benchmarking.complexity import ACTIVATIONS_DEFINITION, NOT_COUNTED, Complexity
from harness.benchmarking.energy import EnergyUse, Reading
from harness.benchmarking.memory import PeakMemory
from harness.benchmarking.ranges import Range
from harness.benchmarking.speed import Sweep
from harness.evidence import Evidence, EvidenceClass, Fingerprints, Interval
from harness.models.preprocessing import Preprocessing
from harness.runtime.choosing import Choice, Trial
from harness.runtime.execution import ExecutionConfig
from harness.runtime.timing import LEVEL, Measurement, Timings, mean_measurement

BOUNDS = "product of the bounds of energy, PUE and grid intensity; not a sampling interval"
FORWARD_ONLY = "forward pass only, input already on the device"
WITH_DECODING = "JPEG decoding and preprocessing by Pillow, then the forward pass"

_RAN = (EvidenceClass.MEASURED, EvidenceClass.ESTIMATED, EvidenceClass.PENDING)
"""Classes of values for which a network ran, or would run."""
_QUANTILES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}


@dataclass(frozen=True)
class Provenance:
    """What all evidence of one benchmarking run shares."""

    command: str | None = None
    fingerprints: Fingerprints = field(default_factory=Fingerprints)
    hardware: Mapping[str, Any] = field(default_factory=dict)
    """From `harness.runtime.hardware.describe`; part of the protocol of what was measured on it."""
    config: ExecutionConfig | None = None
    """How the network ran; None for what doesn't depend on it."""
    weights: str | None = None
    """Which weights were benchmarked; None for what doesn't say."""
    input: str | None = None
    """What went in where a network ran; None for what doesn't say."""

    def protocol(self, **more: Any) -> dict[str, Any]:
        """Hardware, how the network ran, and what else decides the value."""
        how = self.config.protocol() if self.config is not None else {}
        return how | more | ({"hardware": dict(self.hardware)} if self.hardware else {})

    def key(self, metric: str, variant: str | None = None) -> str:
        """A key of what depends on the precision: that is part of its variant where it is not fp32, as with accuracies."""
        precision = self.config.precision if self.config is not None else "fp32"
        variants = [part for part in (variant, precision if precision != "fp32" else None) if part]
        return metric + (f":{'+'.join(variants)}" if variants else "")


# --- derived ------------------------------------------------------------------------------------------------------


def complexity_evidence(
    complexity: Complexity, provenance: Provenance, *, variant: bool = False, checkpoint: Path | None = None
) -> list[Evidence]:
    """Parameters, MACs, FLOPs, activations and checkpoint bytes.

    Args:
        variant: the input size is not the model's own: only what depends on it is given, under keys such as
            `compute.macs:1280x800` (width x height).
        checkpoint: the weights' file; without it the bytes are those of the tensors, and the record says so.
    """
    _, height, width = complexity.input_size
    suffix = f":{width}x{height}" if variant else ""
    at_size = {"input_size": list(complexity.input_size), "tool": "torch.utils.flop_counter on the meta device"}
    arithmetic = at_size | {
        "one_mac": "2 FLOPs",
        "not_counted": NOT_COUNTED,
        "bias_additions": complexity.bias_additions,
    }
    by_stage = arithmetic | {"by_stage": complexity.macs_by_stage}
    acts = at_size | {"definition": ACTIVATIONS_DEFINITION}
    records = [
        _derived(f"compute.macs{suffix}", complexity.macs, "MACs", provenance, by_stage),
        _derived(f"compute.flops{suffix}", complexity.flops, "FLOPs", provenance, arithmetic),
        _derived(f"compute.activations{suffix}", complexity.activations, "elements", provenance, acts),
    ]
    return records if variant else _size_evidence(complexity, checkpoint, provenance) + records


def _size_evidence(complexity: Complexity, checkpoint: Path | None, provenance: Provenance) -> list[Evidence]:
    counts = {"outputs": complexity.outputs, "trainable": complexity.trainable, "buffers": complexity.buffers}
    head = complexity.head_parameters
    return [
        _derived("compute.parameters", complexity.parameters, "parameters", provenance, counts),
        _derived("compute.parameters:head", head, "parameters", provenance, {"outputs": complexity.outputs})
        if head
        else _record(
            "compute.parameters:head",
            EvidenceClass.NOT_APPLICABLE,
            provenance,
            reason="no module of this architecture is known as its classifier",
        ),
        _derived("compute.parameters:by-stage", complexity.parameters_by_stage, None, provenance, {}),
        _checkpoint_bytes(complexity, checkpoint, provenance),
    ]


def _checkpoint_bytes(complexity: Complexity, checkpoint: Path | None, provenance: Provenance) -> Evidence:
    by_dtype = {"tensor_bytes_by_dtype": complexity.state_bytes}
    if checkpoint is not None:
        protocol = by_dtype | {"read_from": f"size of the file {checkpoint.name}"}
        return _derived("compute.checkpoint-bytes", checkpoint.stat().st_size, "B", provenance, protocol)
    protocol = by_dtype | {"read_from": "dtypes and shapes of the state dict; a file adds its format's own bytes"}
    return _derived("compute.checkpoint-bytes", complexity.checkpoint_bytes, "B", provenance, protocol)


def architecture_evidence(architecture: Mapping[str, Any], provenance: Provenance) -> list[Evidence]:
    """One record `architecture.<word>` for each value that the configuration shows."""
    protocol = {"read_from": "the model's configuration"}
    return [_derived(f"architecture.{word}", value, None, provenance, protocol) for word, value in architecture.items()]


def preprocessing_evidence(preprocessing: Preprocessing, read_from: str, provenance: Provenance) -> Evidence:
    """`architecture.preprocessing` as a description, its fields in the protocol."""
    protocol = preprocessing.model_dump(mode="json") | {"read_from": read_from}
    return _derived("architecture.preprocessing", preprocessing.describe(), None, provenance, protocol)


# --- measured -----------------------------------------------------------------------------------------------------


def latency_evidence(
    timings: Timings, provenance: Provenance, *, steps: str = FORWARD_ONLY, variant: str | None = None, **more: Any
) -> list[Evidence]:
    """`compute.latency-p50`, `-p95` and `-p99` in milliseconds at batch 1.

    Args:
        steps: what a call consists of.
        variant: names another kind of call, e.g. "with-decoding".
        more: for the protocol.
    """
    protocol = provenance.protocol(batch=timings.images_per_call, steps=steps, **more, **_how_timed(timings))
    return [
        _measured(
            provenance.key(f"compute.latency-{name}", variant),
            _scaled(timings.latency(quantile), 1000),
            "ms",
            timings,
            provenance,
            protocol,
        )
        for name, quantile in _QUANTILES.items()
    ]


def throughput_evidence(
    sweep: Sweep, provenance: Provenance, *, steps: str = FORWARD_ONLY, variant: str | None = None, **more: Any
) -> list[Evidence]:
    """`compute.throughput` in images/s at the best batch size, with the whole sweep in the protocol.

    Args:
        steps: what a call consists of.
        variant: names another kind of call, e.g. "with-decoding".
        more: for the protocol.
    """
    best = sweep.best
    points = [
        {"batch": point.images_per_call, "calls": len(point.seconds)} | _throughput_values(point.throughput)
        for point in sweep.points
    ]
    protocol = provenance.protocol(
        batch=best.images_per_call, steps=steps, sweep=points, sweep_ended_by=sweep.ended_by, **more, **_how_timed(best)
    )
    key = provenance.key("compute.throughput", variant)
    return [_measured(key, best.throughput, "images/s", best, provenance, protocol)]


def memory_evidence(peak: PeakMemory, batch: int, calls: int, provenance: Provenance) -> list[Evidence]:
    """`compute.peak-memory` in bytes over `calls` forward passes at `batch`, or why there is none."""
    key = provenance.key("compute.peak-memory")
    protocol = provenance.protocol(batch=batch, what=peak.what, bytes_before=peak.before)
    if peak.bytes is None:
        return [pending(key, peak.reason, provenance, protocol)]
    return [
        _record(
            key,
            EvidenceClass.MEASURED,
            provenance,
            value=peak.bytes,
            unit="B",
            n=batch * calls,
            protocol=protocol,
            reason=f"the highest of {calls} forward passes: a maximum has no interval",
        )
    ]


def execution_evidence(choice: Choice, provenance: Provenance) -> list[Evidence]:
    """The chosen way to run, its top-1 agreement with float32 (Wilson interval) and its largest logit difference.

    Where choosing was skipped, there is the way to run alone, with the reason.
    """
    n, chosen = choice.probe_images, choice.chosen
    protocol = provenance.protocol(
        reference=choice.trials[0].config.label,
        input=choice.description,
        probe_images=n,
        trials=[_trial_values(trial) for trial in choice.trials],
    )
    measured = partial(_record, class_=EvidenceClass.MEASURED, provenance=provenance, n=n, protocol=protocol)
    way = measured("compute.execution", value=choice.config.label, reason=choice.skipped)
    if chosen.agreeing is None:
        return [way]
    wilson = stats.binomtest(chosen.agreeing, n).proportion_ci(LEVEL, method="wilson")
    return [
        way,
        measured(
            "compute.execution-agreement",
            value=100 * chosen.agreeing / n,
            unit="%",
            interval=Interval(low=100 * wilson.low, high=100 * wilson.high, level=LEVEL, method="Wilson"),
        ),
        measured(
            "compute.execution-logit-difference",
            value=chosen.largest_difference,
            reason="the largest over the probe: a maximum has no interval",
        ),
    ]


def _trial_values(trial: Trial) -> dict[str, Any]:
    speed = _throughput_values(trial.throughput) if trial.throughput else {}
    return {
        "config": trial.config.label,
        "agreeing": trial.agreeing,
        "largest_logit_difference": trial.largest_difference,
        "rejected": trial.rejected,
    } | speed


def _throughput_values(throughput: Measurement) -> dict[str, Any]:
    return {"images_per_second": throughput.value, "low": throughput.low, "high": throughput.high}


def _how_timed(timings: Timings) -> dict[str, Any]:
    return {
        "calls": len(timings.seconds),
        "warm_up_calls_discarded": timings.warm_up_calls,
        "repeated_until": timings.ended_by,
    }


def _scaled(measurement: Measurement, factor: float) -> Measurement:
    low = None if measurement.low is None else measurement.low * factor
    high = None if measurement.high is None else measurement.high * factor
    return Measurement(measurement.value * factor, low, high, measurement.method)


# --- energy and carbon --------------------------------------------------------------------------------------------


def energy_evidence(repeats: Sequence[EnergyUse], provenance: Provenance) -> list[Evidence]:
    """`energy.per-1000-images` in joules over repeats of the same work, and `energy.images-per-joule`.

    Where one part of the machine is metered and another estimated, the parts are given too, as variants `:metered`
    and `:estimated`. A total with an estimated part is an estimate.
    """
    key = partial(provenance.key, "energy.per-1000-images")
    records = [_over_repeats(key(), "J", repeats, provenance)]
    if len({r.metered for use in repeats for r in use.readings}) > 1:
        records += [
            _over_repeats(key(name), "J", [use.only(metered) for use in repeats], provenance)
            for name, metered in (("metered", True), ("estimated", False))
        ]
    inverse = provenance.key("energy.images-per-joule")
    return [*records, _over_repeats(inverse, "images/J", repeats, provenance, inverse=True)]


def per_1000_images(repeats: Sequence[EnergyUse]) -> Range | None:
    """Joules for 1000 images over repeats; None where a repeat has no total.

    Two sources of doubt add up: what the meters leave open, by the bounds of each repeat, and how far repeats differ,
    by Student's t on the mean of their low and of their high bounds. A single repeat has its own bounds only.
    """
    each = [use.joules * (1000 / use.images) for use in repeats if use.joules is not None]
    if not each or len(each) < len(repeats):
        return None
    value = mean_measurement([joules.value for joules in each]).value
    low, high = mean_measurement([joules.low for joules in each]), mean_measurement([joules.high for joules in each])
    lowest = low.value if low.low is None else max(0.0, low.low)
    highest = high.value if high.high is None else high.high
    return Range(min(lowest, value), value, max(highest, value))  # min and max: means round differently


def _over_repeats(
    key: str, unit: str, repeats: Sequence[EnergyUse], provenance: Provenance, *, inverse: bool = False
) -> Evidence:
    parts = [[_part(reading) for reading in use.readings] for use in repeats]
    protocol = provenance.protocol(repeats=len(repeats), images_per_repeat=[u.images for u in repeats], parts=parts)
    joules = per_1000_images(repeats)
    if joules is None:
        reason = next((use.reason for use in repeats if use.reason is not None), "nothing was run")
        return pending(key, reason, provenance, protocol)
    if inverse and joules.low == 0:
        return pending(key, "the energy's low bound is 0, so this has no high bound", provenance, protocol)
    metered = all(use.metered for use in repeats)
    single = metered and len(repeats) == 1
    method = "Student's t over repeats" if metered else "bounds of the power model and Student's t over repeats"
    shown = joules.reciprocal() * 1000 if inverse else joules
    return _record(
        key,
        EvidenceClass.MEASURED if metered else EvidenceClass.ESTIMATED,
        provenance,
        value=shown.value,
        unit=unit,
        interval=None if single else shown.interval(method),
        n=sum(use.images for use in repeats),
        protocol=protocol,
        reason="a single repeat has no interval" if single else None,
    )


def idle_evidence(readings: Sequence[Reading], provenance: Provenance) -> Evidence:
    """`energy.idle-power` in watts: what the same meters read without work; no energy leaves it out."""
    idle = EnergyUse(images=0, readings=tuple(readings))
    watts = sum((r.watts for r in readings if r.watts is not None), Range.exact(0.0))
    return _once("energy.idle-power", "W", idle, watts, 1, provenance)


def run_energy_evidence(use: EnergyUse, provenance: Provenance, covers: Mapping[str, Any] | None = None) -> Evidence:
    """`energy.this-run` in joules: all forward passes of one run of any suite.

    Args:
        covers: what was metered and what was not, for the protocol.
    """
    return _once("energy.this-run", "J", use, use.joules, use.images, provenance, covers)


def _once(
    key: str,
    unit: str,
    use: EnergyUse,
    total: Range | None,
    n: int,
    provenance: Provenance,
    covers: Mapping[str, Any] | None = None,
) -> Evidence:
    protocol = provenance.protocol(**(covers or {}), parts=[_part(reading) for reading in use.readings])
    if use.reason is not None or total is None:
        return pending(key, use.reason, provenance, protocol)
    return _record(
        key,
        EvidenceClass.MEASURED if use.metered else EvidenceClass.ESTIMATED,
        provenance,
        value=total.value,
        unit=unit,
        interval=None if use.metered else total.interval("bounds of the power model"),
        n=n,
        protocol=protocol,
        reason="one span, read off hardware counters" if use.metered else None,
    )


def carbon_evidence(
    key: str,
    carbon: Emissions | None,
    images: int,
    reason: str | None,
    provenance: Provenance,
    covers: Mapping[str, Any] | None = None,
) -> Evidence:
    """`carbon.per-1000-images` or `carbon.this-run` in grams of CO2e; without energy it is pending, with `reason`."""
    if carbon is None:
        return pending(key, reason, provenance, provenance.protocol(**(covers or {})))
    return _record(
        key,
        EvidenceClass.ESTIMATED,
        provenance,
        value=carbon.grams.value,
        unit="g CO2e",
        interval=carbon.grams.interval(BOUNDS),
        n=images,
        protocol=provenance.protocol(**(covers or {}), **_factors(carbon)),
    )


def training_evidence(
    carbon: Emissions | None, *, facts: Mapping[str, Any], reason: str | None = None, provenance: Provenance
) -> list[Evidence]:
    """`energy.training` (kWh) and `carbon.training` (kg CO2e) from documented facts.

    Args:
        carbon: from `training_emissions`; None where the facts don't suffice.
        facts: the documented values used, each with its source in words, e.g. {"devices": …, "hours": …}.
        reason: what is not published and where it was looked for; needed where `carbon` is None.
    """
    if carbon is None:
        keys = ("energy.training", "carbon.training")
        return [_record(key, EvidenceClass.UNDISCLOSED, provenance, reason=reason) for key in keys]
    protocol = {"documented": dict(facts), **_factors(carbon)}
    kwh = carbon.joules * carbon.pue.range * (1 / JOULES_PER_KWH)
    kilograms = carbon.grams * 0.001
    estimated = partial(_record, class_=EvidenceClass.ESTIMATED, provenance=provenance, protocol=protocol)
    of_energy = "product of the bounds of hours, device power and PUE; not a sampling interval"
    return [
        estimated("energy.training", value=kwh.value, unit="kWh", interval=kwh.interval(of_energy)),
        estimated("carbon.training", value=kilograms.value, unit="kg CO2e", interval=kilograms.interval(BOUNDS)),
    ]


def _part(reading: Reading) -> dict[str, Any]:
    return asdict(reading) | {"joules": None if reading.joules is None else reading.joules.value}


def _factors(carbon: Emissions) -> dict[str, Any]:
    return {"joules": asdict(carbon.joules), "pue": carbon.pue.describe(), "grid": carbon.intensity.describe()}


# --- records ------------------------------------------------------------------------------------------------------


def _record(
    key: str, class_: EvidenceClass, provenance: Provenance, protocol: Mapping[str, Any] | None = None, **fields: Any
) -> Evidence:
    """A record with what the provenance gives to each."""
    given: dict[str, Any] = {}
    if provenance.weights is not None:
        given["weights"] = provenance.weights
    if provenance.input is not None and class_ in _RAN:
        given["input"] = provenance.input
    if protocol is not None or given:
        fields["protocol"] = given | dict(protocol or {})
    shared = {"class": class_, "fingerprints": provenance.fingerprints, "command": provenance.command}
    return Evidence.model_validate({"key": key, **shared, **fields})


def _derived(key: str, value: Any, unit: str | None, provenance: Provenance, protocol: Mapping[str, Any]) -> Evidence:
    return _record(key, EvidenceClass.DERIVED, provenance, value=value, unit=unit, protocol=protocol)


def _measured(
    key: str, measurement: Measurement, unit: str, timings: Timings, provenance: Provenance, protocol: Mapping[str, Any]
) -> Evidence:
    interval, reason = None, f"{len(timings.seconds)} calls are too few for an interval at {LEVEL:.0%}"
    if measurement.low is not None and measurement.high is not None:
        interval = Interval(low=measurement.low, high=measurement.high, level=LEVEL, method=measurement.method)
    return _record(
        key,
        EvidenceClass.MEASURED,
        provenance,
        value=measurement.value,
        unit=unit,
        interval=interval,
        n=len(timings.seconds) * timings.images_per_call,
        protocol=protocol,
        reason=reason if interval is None else None,
    )


def pending(
    key: str, reason: str | None, provenance: Provenance, protocol: Mapping[str, Any] | None = None
) -> Evidence:
    """A value that can be measured and has not been, with the reason."""
    return _record(key, EvidenceClass.PENDING, provenance, protocol, reason=reason)
