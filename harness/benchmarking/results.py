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

from harness.benchmarking.carbon import JOULES_PER_KWH, Emissions, emissions, grid_intensity
from harness.benchmarking.complexity import ACTIVATIONS_DEFINITION, NOT_COUNTED, Complexity
from harness.benchmarking.energy import EnergyUse, Reading
from harness.benchmarking.memory import PeakMemory
from harness.benchmarking.ranges import Range
from harness.evidence import Evidence, EvidenceClass, Fingerprints, Interval
from harness.models.preprocessing import Preprocessing
from harness.runtime.choosing import Choice
from harness.runtime.execution import ExecutionConfig
from harness.runtime.timing import LEVEL, Measurement, Sweep, Timings, mean_measurement, quantile_measurement

BOUNDS = "product of the bounds of energy, PUE and grid intensity; not a sampling interval"
FORWARD_ONLY = "forward pass only, input already on the device"
WITH_DECODING = "JPEG decoding and preprocessing by Pillow, then the forward pass"

_RAN = (EvidenceClass.MEASURED, EvidenceClass.ESTIMATED, EvidenceClass.PENDING)
"""Classes of values for which a network ran, or would run."""


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

    def record(
        self, key: str, class_: EvidenceClass, protocol: Mapping[str, Any] | None = None, **fields: Any
    ) -> Evidence:
        """A record with what all evidence of the run shares."""
        given: dict[str, Any] = {}
        if self.weights is not None:
            given["weights"] = self.weights
        if self.input is not None and class_ in _RAN:
            given["input"] = self.input
        if protocol is not None or given:
            fields["protocol"] = given | dict(protocol or {})
        return Evidence(key=key, class_=class_, fingerprints=self.fingerprints, command=self.command, **fields)

    def pending(self, key: str, reason: str | None, protocol: Mapping[str, Any] | None = None) -> Evidence:
        """A value that can be measured and has not been, with the reason."""
        return self.record(key, EvidenceClass.PENDING, protocol, reason=reason)


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
    found, (_, height, width) = complexity, complexity.input_size
    suffix = f":{width}x{height}" if variant else ""
    at_size = {"input_size": list(found.input_size), "tool": "torch.utils.flop_counter on the meta device"}
    arithmetic = {"one_mac": "2 FLOPs", "not_counted": NOT_COUNTED, "bias_additions": found.bias_additions} | at_size
    rows: list[tuple[str, Any, str | None, dict[str, Any]]] = [
        (f"macs{suffix}", found.macs, "MACs", arithmetic | {"by_stage": found.macs_by_stage}),
        (f"flops{suffix}", found.flops, "FLOPs", arithmetic),
        (f"activations{suffix}", found.activations, "elements", at_size | {"definition": ACTIVATIONS_DEFINITION}),
    ]
    if not variant:
        size = found.checkpoint_bytes if checkpoint is None else checkpoint.stat().st_size
        tensors = "dtypes and shapes of the state dict; a file adds its format's own bytes"
        read_from = tensors if checkpoint is None else f"size of the file {checkpoint.name}"
        outputs = {"outputs": found.outputs}
        counts = outputs | {"trainable": found.trainable, "buffers": found.buffers}
        rows = [
            ("parameters", found.parameters, "parameters", counts),
            ("parameters:head", found.head_parameters or None, "parameters", outputs),
            ("parameters:by-stage", found.parameters_by_stage, None, {}),
            ("checkpoint-bytes", size, "B", {"tensor_bytes_by_dtype": found.state_bytes, "read_from": read_from}),
            *rows,
        ]
    unknown_head = "no module of this architecture is known as its classifier"
    return [
        _derived(f"compute.{name}", value, unit, provenance, protocol)
        if value is not None
        else provenance.record(f"compute.{name}", EvidenceClass.NOT_APPLICABLE, reason=unknown_head)
        for name, value, unit, protocol in rows
    ]


def architecture_evidence(architecture: Mapping[str, Any], provenance: Provenance) -> list[Evidence]:
    """One record `architecture.<word>` for each value that the configuration shows."""
    protocol = {"read_from": "the model's configuration"}
    return [_derived(f"architecture.{word}", value, None, provenance, protocol) for word, value in architecture.items()]


def preprocessing_evidence(preprocessing: Preprocessing, read_from: str, provenance: Provenance) -> Evidence:
    """`architecture.preprocessing` as a description, its fields in the protocol."""
    protocol = preprocessing.model_dump(mode="json") | {"read_from": read_from}
    return _derived("architecture.preprocessing", preprocessing.describe(), None, provenance, protocol)


def _derived(key: str, value: Any, unit: str | None, provenance: Provenance, protocol: Mapping[str, Any]) -> Evidence:
    return provenance.record(key, EvidenceClass.DERIVED, protocol, value=value, unit=unit)


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
    return [
        _timed(
            provenance.key(f"compute.latency-p{percent}", variant),
            quantile_measurement(timings.seconds, percent / 100),
            "ms",
            timings,
            provenance,
            factor=1000.0,
            steps=steps,
            **more,
        )
        for percent in (50, 95, 99)
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
    points = [
        {"batch": point.images_per_call, "calls": len(point.seconds)} | _throughput_values(point.throughput)
        for point in sweep.points
    ]
    more |= {"steps": steps, "sweep": points, "sweep_ended_by": sweep.ended_by}
    key, best = provenance.key("compute.throughput", variant), sweep.best
    return [_timed(key, best.throughput, "images/s", best, provenance, **more)]


def memory_evidence(peak: PeakMemory, calls: int, provenance: Provenance) -> list[Evidence]:
    """`compute.peak-memory` in bytes over `calls` forward passes of one image, or why there is none."""
    key = provenance.key("compute.peak-memory")
    protocol = provenance.protocol(batch=1, what=peak.what, bytes_before=peak.before)
    if peak.bytes is None:
        return [provenance.pending(key, peak.reason, protocol)]
    reason = f"the highest of {calls} forward passes: a maximum has no interval"
    fields = {"value": peak.bytes, "unit": "B", "n": calls, "reason": reason}
    return [provenance.record(key, EvidenceClass.MEASURED, protocol, **fields)]


def execution_evidence(choice: Choice, provenance: Provenance) -> list[Evidence]:
    """The chosen way to run, its top-1 agreement with float32 (Wilson interval) and its largest logit difference.

    Where choosing was skipped, there is the way to run alone, with the reason.
    """
    n, chosen = choice.probe_images, choice.chosen
    trials = [
        {
            "config": trial.config.label,
            "agreeing": trial.agreeing,
            "largest_logit_difference": trial.largest_difference,
            "rejected": trial.rejected,
        }
        | (_throughput_values(trial.throughput) if trial.throughput else {})
        for trial in choice.trials
    ]
    protocol = provenance.protocol(
        reference=choice.trials[0].config.label, input=choice.description, probe_images=n, trials=trials
    )
    measured = partial(provenance.record, class_=EvidenceClass.MEASURED, n=n, protocol=protocol)
    way = measured("compute.execution", value=choice.config.label, reason=choice.skipped)
    if chosen.agreeing is None:
        return [way]
    wilson = stats.binomtest(chosen.agreeing, n).proportion_ci(LEVEL, method="wilson")
    interval = Interval(low=100 * wilson.low, high=100 * wilson.high, level=LEVEL, method="Wilson")
    maximum = "the largest over the probe: a maximum has no interval"
    return [
        way,
        measured("compute.execution-agreement", value=100 * chosen.agreeing / n, unit="%", interval=interval),
        measured("compute.execution-logit-difference", value=chosen.largest_difference, reason=maximum),
    ]


def _throughput_values(throughput: Measurement) -> dict[str, Any]:
    return {"images_per_second": throughput.value, "low": throughput.low, "high": throughput.high}


def _timed(
    key: str,
    measurement: Measurement,
    unit: str,
    timings: Timings,
    provenance: Provenance,
    *,
    factor: float = 1.0,
    **more: Any,
) -> Evidence:
    """A measurement of timed calls, times `factor` in its unit."""
    calls = len(timings.seconds)
    interval = None
    if measurement.low is not None and measurement.high is not None:
        low, high = measurement.low * factor, measurement.high * factor
        interval = Interval(low=low, high=high, level=LEVEL, method=measurement.method)
    reason = None if interval is not None else f"{calls} calls are too few for an interval at {LEVEL:.0%}"
    protocol = provenance.protocol(
        batch=timings.images_per_call,
        calls=calls,
        warm_up_calls_discarded=timings.warm_up_calls,
        repeated_until=timings.ended_by,
        **more,
    )
    fields = {"value": measurement.value * factor, "unit": unit, "interval": interval, "reason": reason}
    return provenance.record(key, EvidenceClass.MEASURED, protocol, n=calls * timings.images_per_call, **fields)


_LEAST_CALLS, _WIDEST = 10, 0.2
"""Timed calls that a published timing has at least, and how wide its interval may be as a share of the value."""


def withhold_unfit(evidence: Sequence[Evidence]) -> list[Evidence]:
    """The evidence with the reason, as `withheld` in the protocol, at each timing that is not fit to be published."""
    by_key = {item.key: item for item in evidence}
    found = []
    for item in evidence:
        if "calls" in (protocol := dict(item.protocol or {})):
            why = (
                _unfit(item, protocol["calls"], by_key.get(str(item.name.with_metric("latency-p50"))))
                or _disagreeing(item, by_key)
                or _unsteady(item, by_key)
            )
            protocol = {name: value for name, value in protocol.items() if name != "withheld"}
            item = item.model_copy(update={"protocol": protocol | ({"withheld": why} if why else {})})
        found.append(item)
    return found


def _unfit(item: Evidence, calls: int, latency: Evidence | None) -> str | None:
    if calls < _LEAST_CALLS or item.interval is None:
        return f"{calls} timed calls are too few"
    width = (item.interval.high - item.interval.low) / item.number
    if width > _WIDEST:
        return f"its interval is {width:.0%} of the value wide: the machine was busy"
    if item.unit == "images/s" and latency is not None and latency.interval is not None:
        one_by_one = 1000 / latency.interval.high
        if item.interval.high < one_by_one:
            return f"below the {one_by_one:.3g} images/s that one image after the other gives: the machine was busy"
    return None


def _disagreeing(item: Evidence, by_key: Mapping[str, Evidence]) -> str | None:
    """Why a tail of the latency says nothing: with decoding a call takes longer, so its tail can't be the shorter one."""
    if item.name.metric not in ("latency-p95", "latency-p99"):
        return None
    rest = [variant for variant in item.name.variants if variant != "with-decoding"]
    plain, decoding = (
        by_key.get(str(item.name.plain.with_variant("+".join(variants))))
        for variants in (rest, ["with-decoding", *rest])
    )
    if plain is None or decoding is None or decoding.number >= plain.number:
        return None
    return f"{plain.number:.3g} ms without decoding and {decoding.number:.3g} ms with it: the machine was busy in one of the two"


def _unsteady(item: Evidence, by_key: Mapping[str, Evidence]) -> str | None:
    """Why a throughput is not the machine's: other spans of the same run, of the same work, were slower or faster."""
    if item.name.metric != "throughput" or item.protocol is None:
        return None
    again = [point for point in item.protocol.get("sweep", ()) if point["batch"] == item.protocol["batch"]]
    speeds = [item.number, *(point["images_per_second"] for point in again)]
    key = f"energy.per-1000-images:{item.name.variant}" if item.name.variant else "energy.per-1000-images"
    if (energy := by_key.get(key)) is not None and energy.protocol is not None:
        images, parts = energy.protocol.get("images_per_repeat", ()), energy.protocol.get("parts", ())
        speeds += [n / readings[0]["seconds"] for n, readings in zip(images, parts, strict=True) if readings]
    if max(speeds) - min(speeds) <= _WIDEST * item.number:
        return None
    return f"from {min(speeds):.3g} to {max(speeds):.3g} images/s in spans of one run: the machine was busy"


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
    joules, metered = per_1000_images(repeats), all(use.metered for use in repeats)
    why = next((use.reason for use in repeats if use.reason is not None), "nothing was run")
    if inverse and joules is not None:
        why = "the energy's low bound is 0, so this has no high bound"
        joules = joules.reciprocal() * 1000 if joules.low > 0 else None
    method = "Student's t over repeats" if metered else "bounds of the power model and Student's t over repeats"
    if joules is None:
        return provenance.pending(key, why, protocol)
    exact = "a single repeat has no interval" if metered and len(repeats) == 1 else None
    fields = _bounded(joules, method, metered=metered, exact=exact)
    return provenance.record(key, protocol=protocol, unit=unit, n=sum(use.images for use in repeats), **fields)


def idle_evidence(readings: Sequence[Reading], provenance: Provenance) -> Evidence:
    """`energy.idle-power` in watts: what the same meters read without work; no energy leaves it out."""
    watts = sum((r.watts for r in readings if r.watts is not None), Range.exact(0.0))
    return _once("energy.idle-power", "W", EnergyUse(1, tuple(readings)), watts, provenance)


def run_energy_evidence(use: EnergyUse, provenance: Provenance, **covers: Any) -> Evidence:
    """`energy.this-run` in joules: all forward passes of one run of any suite.

    Args:
        covers: what was metered and what was not, for the protocol.
    """
    return _once("energy.this-run", "J", use, use.joules, provenance, **covers)


def _once(key: str, unit: str, use: EnergyUse, total: Range | None, provenance: Provenance, **covers: Any) -> Evidence:
    protocol = provenance.protocol(**covers, parts=[_part(reading) for reading in use.readings])
    if use.reason is not None or total is None:
        return provenance.pending(key, use.reason, protocol)
    exact = "one span, read off hardware counters" if use.metered else None
    fields = _bounded(total, "bounds of the power model", metered=use.metered, exact=exact)
    return provenance.record(key, protocol=protocol, unit=unit, n=use.images, **fields)


def carbon_evidence(
    key: str,
    joules: Range | None,
    region: str | None,
    images: int,
    reason: str | None,
    provenance: Provenance,
    **covers: Any,
) -> Evidence:
    """`carbon.per-1000-images` or `carbon.this-run` in grams of CO2e; without energy it is pending, with `reason`."""
    if joules is None:
        return provenance.pending(key, reason, provenance.protocol(**covers))
    carbon = emissions(joules, grid_intensity(region))
    protocol = provenance.protocol(**covers, **_factors(carbon))
    return provenance.record(key, protocol=protocol, unit="g CO2e", n=images, **_bounded(carbon.grams, BOUNDS))


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
        return [provenance.record(key, EvidenceClass.UNDISCLOSED, reason=reason) for key in keys]
    protocol = {"documented": dict(facts), **_factors(carbon)}
    kwh = carbon.joules * carbon.pue.range * (1 / JOULES_PER_KWH)
    of_energy = "product of the bounds of hours, device power and PUE; not a sampling interval"
    record = partial(provenance.record, protocol=protocol)
    return [
        record("energy.training", unit="kWh", **_bounded(kwh, of_energy)),
        record("carbon.training", unit="kg CO2e", **_bounded(carbon.grams * 0.001, BOUNDS)),
    ]


def _part(reading: Reading) -> dict[str, Any]:
    return asdict(reading) | {"joules": None if reading.joules is None else reading.joules.value}


def _factors(carbon: Emissions) -> dict[str, Any]:
    return {"joules": asdict(carbon.joules), "pue": carbon.pue.describe(), "grid": carbon.intensity.describe()}


def _bounded(total: Range, method: str, *, metered: bool = False, exact: str | None = None) -> dict[str, Any]:
    """Fields of a quantity within bounds, which `method` names; `exact` says why it has no interval."""
    return {
        "class_": EvidenceClass.MEASURED if metered else EvidenceClass.ESTIMATED,
        "value": total.value,
        "interval": total.interval(method) if exact is None else None,
        "reason": exact,
    }
