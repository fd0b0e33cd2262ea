"""Measurements of cost as evidence: one function a kind of measurement, each returns records for the ledger.

Keys follow `<family>.<metric>[:<variant>]`; see the design's "Names of evidence". What a reader needs to measure the
same again stands in each record's protocol.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from scipy import stats

from harness.benchmarking.carbon import JOULES_PER_KWH, Emissions
from harness.benchmarking.complexity import ACTIVATIONS_DEFINITION, NOT_COUNTED, Complexity
from harness.benchmarking.energy import EnergyUse, Reading
from harness.benchmarking.memory import PeakMemory
from harness.benchmarking.ranges import Range
from harness.evidence import Evidence, EvidenceClass, Fingerprints, Interval
from harness.models.preprocessing import Preprocessing
from harness.runtime.execution import Placement, Setting, Trial
from harness.runtime.timing import LEVEL, Figure, Sweep, Timings, mean_measurement

BOUNDS = "product of the bounds of energy, PUE and grid intensity; not a sampling interval"
FORWARD_ONLY = "forward pass only, input already on the device"
WITH_DECODING = "JPEG decoding and preprocessing by Pillow, then the forward pass"

_QUANTILES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}


@dataclass(frozen=True)
class Origin:
    """What all evidence of one measuring run shares."""

    command: str | None = None
    fingerprints: Fingerprints = field(default_factory=Fingerprints)
    hardware: Mapping[str, Any] = field(default_factory=dict)
    """From `harness.runtime.hardware.describe`; part of the protocol of what was measured on it."""
    setting: Setting | None = None
    """How the network ran; None for what doesn't depend on it."""

    def protocol(self, **more: Any) -> dict[str, Any]:
        """Hardware, precision and layout, and what else decides the value."""
        how: dict[str, Any] = {}
        if self.setting is not None:
            how = {
                "precision": self.setting.precision,
                "layout": self.setting.layout,
                "compiled": self.setting.compiled,
            }
        return how | more | ({"hardware": dict(self.hardware)} if self.hardware else {})


# --- derived ------------------------------------------------------------------------------------------------------


def complexity_evidence(
    complexity: Complexity, origin: Origin, *, variant: bool = False, checkpoint: Path | None = None
) -> list[Evidence]:
    """Parameters, MACs, FLOPs, activations and checkpoint bytes.

    Args:
        variant: the input size is not the model's own: only what depends on it is given, under keys such as
            `compute.macs:1280x800` (width x height).
        checkpoint: the weights' file; without it the bytes are those of the tensors, and the record says so.
    """
    _, height, width = complexity.input_size
    suffix = f":{width}x{height}" if variant else ""
    at_size = {
        "input_size": list(complexity.input_size),
        "tool": "torch.utils.flop_counter on the meta device",
    }
    arithmetic = at_size | {
        "one_mac": "2 FLOPs",
        "not_counted": NOT_COUNTED,
        "bias_additions": complexity.bias_additions,
    }
    by_stage = arithmetic | {"by_stage": complexity.macs_by_stage}
    acts = at_size | {"definition": ACTIVATIONS_DEFINITION}
    records = [
        _derived(f"compute.macs{suffix}", complexity.macs, "MACs", origin, by_stage),
        _derived(f"compute.flops{suffix}", complexity.flops, "FLOPs", origin, arithmetic),
        _derived(f"compute.activations{suffix}", complexity.activations, "elements", origin, acts),
    ]
    return records if variant else _size_evidence(complexity, checkpoint, origin) + records


def _size_evidence(complexity: Complexity, checkpoint: Path | None, origin: Origin) -> list[Evidence]:
    counts = {"outputs": complexity.outputs, "trainable": complexity.trainable, "buffers": complexity.buffers}
    head = complexity.head_parameters
    return [
        _derived("compute.parameters", complexity.parameters, "parameters", origin, counts),
        _derived("compute.parameters:head", head, "parameters", origin, {"outputs": complexity.outputs})
        if head
        else _record(
            "compute.parameters:head",
            EvidenceClass.NOT_APPLICABLE,
            origin,
            reason="no module of this architecture is known as its classifier",
        ),
        _derived("compute.parameters:by-stage", complexity.parameters_by_stage, None, origin, {}),
        _checkpoint_bytes(complexity, checkpoint, origin),
    ]


def _checkpoint_bytes(complexity: Complexity, checkpoint: Path | None, origin: Origin) -> Evidence:
    by_dtype = {"tensor_bytes_by_dtype": complexity.state_bytes}
    if checkpoint is not None:
        protocol = by_dtype | {"read_from": f"size of the file {checkpoint.name}"}
        return _derived("compute.checkpoint-bytes", checkpoint.stat().st_size, "B", origin, protocol)
    protocol = by_dtype | {"read_from": "dtypes and shapes of the state dict; a file adds its format's own bytes"}
    return _derived("compute.checkpoint-bytes", complexity.checkpoint_bytes, "B", origin, protocol)


def architecture_evidence(architecture: Mapping[str, Any], origin: Origin) -> list[Evidence]:
    """One record `architecture.<word>` for each value that the configuration shows."""
    protocol = {"read_from": "the model's configuration"}
    return [_derived(f"architecture.{word}", value, None, origin, protocol) for word, value in architecture.items()]


def preprocessing_evidence(preprocessing: Preprocessing, read_from: str, origin: Origin) -> Evidence:
    """`architecture.preprocessing` in words, its fields in the protocol."""
    protocol = preprocessing.model_dump(mode="json") | {"read_from": read_from}
    return _derived("architecture.preprocessing", preprocessing.describe(), None, origin, protocol)


# --- measured -----------------------------------------------------------------------------------------------------


def latency_evidence(
    timings: Timings, origin: Origin, *, steps: str = FORWARD_ONLY, variant: str | None = None, **more: Any
) -> list[Evidence]:
    """`compute.latency-p50`, `-p95` and `-p99` in milliseconds at batch 1.

    Args:
        steps: what a call consists of, in words.
        variant: names another kind of call, e.g. "with-decoding".
        more: for the protocol.
    """
    protocol = origin.protocol(batch=timings.images_per_call, steps=steps, **more, **_how_timed(timings))
    suffix = f":{variant}" if variant else ""
    return [
        _measured(f"compute.latency-{name}{suffix}", _scaled(timings.latency(q), 1000), "ms", timings, origin, protocol)
        for name, q in _QUANTILES.items()
    ]


def throughput_evidence(
    sweep: Sweep, origin: Origin, *, steps: str = FORWARD_ONLY, variant: str | None = None, **more: Any
) -> list[Evidence]:
    """`compute.throughput` in images/s at the best batch size, with the whole sweep in the protocol.

    Args:
        steps: what a call consists of, in words.
        variant: names another kind of call, e.g. "with-decoding".
        more: for the protocol.
    """
    best = sweep.best
    points = [
        {"batch": point.images_per_call, "calls": len(point.seconds)} | _figure_words(point.throughput)
        for point in sweep.points
    ]
    protocol = origin.protocol(
        batch=best.images_per_call,
        steps=steps,
        sweep=points,
        sweep_ended_by=sweep.ended_by,
        **more,
        **_how_timed(best),
    )
    key = "compute.throughput" + (f":{variant}" if variant else "")
    return [_measured(key, best.throughput, "images/s", best, origin, protocol)]


def memory_evidence(peak: PeakMemory, batch: int, calls: int, origin: Origin) -> list[Evidence]:
    """`compute.peak-memory` in bytes over `calls` forward passes at `batch`, or why there is none."""
    protocol = origin.protocol(batch=batch, what=peak.what, bytes_before=peak.before)
    if peak.bytes is None:
        return [_pending("compute.peak-memory", peak.reason, origin, protocol)]
    return [
        _record(
            "compute.peak-memory",
            EvidenceClass.MEASURED,
            origin,
            value=peak.bytes,
            unit="B",
            n=batch * calls,
            protocol=protocol,
            reason=f"the highest of {calls} forward passes: a maximum has no interval",
        )
    ]


def placement_evidence(placement: Placement, origin: Origin, *, images: str) -> list[Evidence]:
    """The chosen setting, its top-1 agreement with float32 (Wilson interval) and its largest logit difference.

    Args:
        images: what the probe's images are, in words.
    """
    n = placement.probe_images
    trials = [_trial_words(trial) for trial in placement.trials]
    protocol = origin.protocol(reference=placement.trials[0].setting.label, input=images, probe_images=n, trials=trials)
    agreeing = placement.chosen.agreeing or 0
    wilson = stats.binomtest(agreeing, n).proportion_ci(LEVEL, method="wilson")
    measured = partial(_record, class_=EvidenceClass.MEASURED, origin=origin, n=n, protocol=protocol)
    return [
        measured("compute.placement", value=placement.setting.label),
        measured(
            "compute.placement-agreement",
            value=100 * agreeing / n,
            unit="%",
            interval=Interval(low=100 * wilson.low, high=100 * wilson.high, level=LEVEL, method="Wilson"),
        ),
        measured(
            "compute.placement-logit-difference",
            value=placement.chosen.largest_difference,
            reason="the largest over the probe: a maximum has no interval",
        ),
    ]


def _trial_words(trial: Trial) -> dict[str, Any]:
    speed = _figure_words(trial.throughput) if trial.throughput else {}
    return {
        "setting": trial.setting.label,
        "agreeing": trial.agreeing,
        "largest_logit_difference": trial.largest_difference,
        "rejected": trial.rejected,
    } | speed


def _figure_words(throughput: Figure) -> dict[str, Any]:
    return {"images_per_second": throughput.value, "low": throughput.low, "high": throughput.high}


def _how_timed(timings: Timings) -> dict[str, Any]:
    return {
        "calls": len(timings.seconds),
        "warm_up_calls_discarded": timings.warm_up_calls,
        "repeated_until": timings.ended_by,
    }


def _scaled(figure: Figure, factor: float) -> Figure:
    low = None if figure.low is None else figure.low * factor
    high = None if figure.high is None else figure.high * factor
    return Figure(figure.value * factor, low, high, figure.method)


# --- energy and carbon --------------------------------------------------------------------------------------------


def energy_evidence(repeats: Sequence[EnergyUse], origin: Origin) -> list[Evidence]:
    """`energy.per-1000-images` in joules over repeats of the same work, and `energy.images-per-joule`.

    Where one part of the machine is metered and another estimated, the parts are given too, as variants `:metered`
    and `:estimated`. A total with an estimated part is an estimate.
    """
    per_1000 = "energy.per-1000-images"
    records = [_over_repeats(per_1000, "J", repeats, origin)]
    if len({r.metered for use in repeats for r in use.readings}) > 1:
        records += [
            _over_repeats(f"{per_1000}:metered", "J", [use.only(metered=True) for use in repeats], origin),
            _over_repeats(f"{per_1000}:estimated", "J", [use.only(metered=False) for use in repeats], origin),
        ]
    return [*records, _over_repeats("energy.images-per-joule", "images/J", repeats, origin, inverse=True)]


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
    key: str, unit: str, repeats: Sequence[EnergyUse], origin: Origin, *, inverse: bool = False
) -> Evidence:
    parts = [[_part(reading) for reading in use.readings] for use in repeats]
    protocol = origin.protocol(repeats=len(repeats), images_per_repeat=[u.images for u in repeats], parts=parts)
    joules = per_1000_images(repeats)
    if joules is None:
        reason = next((use.reason for use in repeats if use.reason is not None), "nothing was run")
        return _pending(key, reason, origin, protocol)
    if inverse and joules.low == 0:
        return _pending(key, "the energy's low bound is 0, so this has no high bound", origin, protocol)
    metered = all(use.metered for use in repeats)
    single = metered and len(repeats) == 1
    method = "Student's t over repeats" if metered else "bounds of the power model and Student's t over repeats"
    shown = joules.reciprocal() * 1000 if inverse else joules
    return _record(
        key,
        EvidenceClass.MEASURED if metered else EvidenceClass.ESTIMATED,
        origin,
        value=shown.value,
        unit=unit,
        interval=None if single else shown.interval(method),
        n=sum(use.images for use in repeats),
        protocol=protocol,
        reason="a single repeat has no interval" if single else None,
    )


def idle_evidence(readings: Sequence[Reading], origin: Origin) -> Evidence:
    """`energy.idle-power` in watts: what the same meters read without work; no figure of energy leaves it out."""
    idle = EnergyUse(images=0, readings=tuple(readings))
    watts = sum((r.watts for r in readings if r.watts is not None), Range.exact(0.0))
    return _once("energy.idle-power", "W", idle, watts, 1, origin)


def run_energy_evidence(use: EnergyUse, origin: Origin, covers: Mapping[str, Any] | None = None) -> Evidence:
    """`energy.this-run` in joules: all forward passes of one run of any suite.

    Args:
        covers: what was metered and what was not, for the protocol.
    """
    return _once("energy.this-run", "J", use, use.joules, use.images, origin, covers)


def _once(
    key: str,
    unit: str,
    use: EnergyUse,
    total: Range | None,
    n: int,
    origin: Origin,
    covers: Mapping[str, Any] | None = None,
) -> Evidence:
    protocol = origin.protocol(**(covers or {}), parts=[_part(reading) for reading in use.readings])
    if use.reason is not None or total is None:
        return _pending(key, use.reason, origin, protocol)
    return _record(
        key,
        EvidenceClass.MEASURED if use.metered else EvidenceClass.ESTIMATED,
        origin,
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
    origin: Origin,
    covers: Mapping[str, Any] | None = None,
) -> Evidence:
    """`carbon.per-1000-images` or `carbon.this-run` in grams of CO2e; without energy it is pending, with `reason`."""
    if carbon is None:
        return _pending(key, reason, origin, origin.protocol(**(covers or {})))
    return _record(
        key,
        EvidenceClass.ESTIMATED,
        origin,
        value=carbon.grams.value,
        unit="g CO2e",
        interval=carbon.grams.interval(BOUNDS),
        n=images,
        protocol=origin.protocol(**(covers or {}), **_factors(carbon)),
    )


def training_evidence(
    carbon: Emissions | None, *, facts: Mapping[str, Any], reason: str | None = None, origin: Origin
) -> list[Evidence]:
    """`energy.training` (kWh) and `carbon.training` (kg CO2e) from documented facts.

    Args:
        carbon: from `training_emissions`; None where the facts don't suffice.
        facts: the documented values used, each with its source in words, e.g. {"devices": …, "hours": …}.
        reason: what is not published and where it was looked for; needed where `carbon` is None.
    """
    if carbon is None:
        keys = ("energy.training", "carbon.training")
        return [_record(key, EvidenceClass.UNDISCLOSED, origin, reason=reason) for key in keys]
    protocol = {"documented": dict(facts), **_factors(carbon)}
    kwh = carbon.joules * carbon.pue.range * (1 / JOULES_PER_KWH)
    kilograms = carbon.grams * 0.001
    estimated = partial(_record, class_=EvidenceClass.ESTIMATED, origin=origin, protocol=protocol)
    of_energy = "product of the bounds of hours, device power and PUE; not a sampling interval"
    return [
        estimated("energy.training", value=kwh.value, unit="kWh", interval=kwh.interval(of_energy)),
        estimated("carbon.training", value=kilograms.value, unit="kg CO2e", interval=kilograms.interval(BOUNDS)),
    ]


def _part(reading: Reading) -> dict[str, Any]:
    return {
        "covers": reading.covers,
        "meter": reading.meter,
        "metered": reading.metered,
        "seconds": reading.seconds,
        "joules": None if reading.joules is None else reading.joules.value,
        "reason": reading.reason,
    }


def _factors(carbon: Emissions) -> dict[str, Any]:
    return {
        "joules": {"low": carbon.joules.low, "value": carbon.joules.value, "high": carbon.joules.high},
        "pue": carbon.pue.describe(),
        "grid": carbon.intensity.describe(),
    }


# --- records ------------------------------------------------------------------------------------------------------


def _record(key: str, class_: EvidenceClass, origin: Origin, **fields: Any) -> Evidence:
    """A record with what the origin gives to each."""
    shared = {"class": class_, "fingerprints": origin.fingerprints, "command": origin.command}
    return Evidence.model_validate({"key": key, **shared, **fields})


def _derived(key: str, value: Any, unit: str | None, origin: Origin, protocol: Mapping[str, Any]) -> Evidence:
    return _record(key, EvidenceClass.DERIVED, origin, value=value, unit=unit, protocol=dict(protocol))


def _measured(
    key: str, figure: Figure, unit: str, timings: Timings, origin: Origin, protocol: Mapping[str, Any]
) -> Evidence:
    interval, reason = None, f"{len(timings.seconds)} calls are too few for an interval at {LEVEL:.0%}"
    if figure.low is not None and figure.high is not None:
        interval = Interval(low=figure.low, high=figure.high, level=LEVEL, method=figure.method)
    return _record(
        key,
        EvidenceClass.MEASURED,
        origin,
        value=figure.value,
        unit=unit,
        interval=interval,
        n=len(timings.seconds) * timings.images_per_call,
        protocol=dict(protocol),
        reason=reason if interval is None else None,
    )


def _pending(key: str, reason: str | None, origin: Origin, protocol: Mapping[str, Any]) -> Evidence:
    return _record(key, EvidenceClass.PENDING, origin, reason=reason, protocol=dict(protocol))
