"""Records for the ledger: their keys, classes, intervals and what their protocols tell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from harness.benchmarking import results
from harness.benchmarking.complexity import Complexity, count
from harness.benchmarking.energy import EnergyUse, Reading
from harness.benchmarking.memory import PeakMemory
from harness.benchmarking.ranges import Range
from harness.benchmarking.results import Provenance
from harness.evidence import Evidence, EvidenceClass, Fingerprints, Interval, Ledger
from harness.runtime.choosing import choose
from harness.runtime.execution import ExecutionConfig
from harness.runtime.hardware import describe
from harness.runtime.timing import Budget, Sweep, Timings

PROVENANCE = Provenance(
    command="harness run --suite compute --model tiny",
    fingerprints=Fingerprints(weights="w" * 64),
    hardware={"device": "cpu"},
    config=ExecutionConfig(memory_format="channels_last"),
)


@pytest.fixture(scope="module")
def complexity() -> Complexity:
    torch.manual_seed(0)
    module = nn.Sequential()
    module.stem = nn.Conv2d(3, 4, 3, padding=1)
    module.pool = nn.AdaptiveAvgPool2d(1)
    module.flat = nn.Flatten()
    module.fc = nn.Linear(4, 10)
    return count(module, (3, 8, 16))


def by_key(records: list[Evidence]) -> dict[str, Evidence]:
    ledger = Ledger(model={}, evidence=records)  # refuses a key that is there twice
    assert Ledger.model_validate_json(ledger.to_json()) == ledger
    return {record.key: record for record in records}


def counter(joules: float | None, covers: str = "GPU") -> Reading:
    span = None if joules is None else Range.exact(joules)
    return Reading("NVML", covers, True, 2.0, span, None if joules else "the counter didn't move")


def model(low: float, value: float, high: float) -> Reading:
    return Reading("estimate", "CPU and memory", False, 2.0, Range(low, value, high))


# --- derived ------------------------------------------------------------------------------------------------------


def test_complexity(complexity: Complexity) -> None:
    got = by_key(results.complexity_evidence(complexity, PROVENANCE))
    # 3·3·3·4 MACs at 8·16 places, and 4·10 in the classifier.
    assert got["compute.macs"].value == 108 * 128 + 40
    assert got["compute.flops"].value == 2 * (108 * 128 + 40)
    assert got["compute.parameters"].value == 112 + 50
    assert got["compute.parameters:head"].value == 50
    assert got["compute.parameters:by-stage"].value == {"stem": 112, "head": 50}
    assert got["compute.activations"].value == 4 * 128 + 10
    assert {r.class_ for r in got.values()} == {EvidenceClass.DERIVED}
    assert got["compute.macs"].protocol["bias_additions"] == 4 * 128 + 10
    assert "squeeze-and-excitation" in got["compute.macs"].protocol["not_counted"]


def test_another_input_size_is_a_variant_named_width_by_height(complexity: Complexity) -> None:
    got = by_key(results.complexity_evidence(complexity, PROVENANCE, variant=True))
    assert set(got) == {"compute.macs:16x8", "compute.flops:16x8", "compute.activations:16x8"}


def test_checkpoint_bytes_from_the_file_or_from_dtypes(complexity: Complexity, tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(bytes(700))
    of_file = by_key(results.complexity_evidence(complexity, PROVENANCE, checkpoint=file))["compute.checkpoint-bytes"]
    of_dtypes = by_key(results.complexity_evidence(complexity, PROVENANCE))["compute.checkpoint-bytes"]
    assert (of_file.value, of_dtypes.value) == (700, 4 * 162)
    assert "model.safetensors" in of_file.protocol["read_from"]
    assert str(tmp_path) not in of_file.protocol["read_from"]
    assert "dtypes" in of_dtypes.protocol["read_from"]


def test_an_unknown_classifier_is_said_to_be_unknown() -> None:
    got = by_key(results.complexity_evidence(count(nn.Conv2d(3, 2, 1), (3, 4, 4)), PROVENANCE))
    assert got["compute.parameters:head"].class_ is EvidenceClass.NOT_APPLICABLE


def test_architecture() -> None:
    got = by_key(results.architecture_evidence({"depth": 22, "stage-widths": [128, 192]}, PROVENANCE))
    assert got["architecture.depth"].value == 22
    assert got["architecture.stage-widths"].value == [128, 192]


# --- measured -----------------------------------------------------------------------------------------------------


def test_latency_in_milliseconds() -> None:
    timings = Timings(tuple(i / 1000 for i in range(1, 501)), 1, 10, "interval")
    got = by_key(results.latency_evidence(timings, PROVENANCE))
    assert set(got) == {"compute.latency-p50", "compute.latency-p95", "compute.latency-p99"}
    p50 = got["compute.latency-p50"]
    assert p50.value == pytest.approx(250.5)
    assert p50.interval.low < 250.5 < p50.interval.high
    assert (p50.unit, p50.n) == ("ms", 500)
    assert p50.protocol.items() >= {"batch": 1, "precision": "fp32", "layout": "channels_last"}.items()
    assert p50.protocol["hardware"] == {"device": "cpu"}


def test_too_few_calls_have_a_reason_instead_of_an_interval() -> None:
    got = by_key(results.latency_evidence(Timings((0.1,) * 50, 1, 10, "time limit"), PROVENANCE))
    assert got["compute.latency-p50"].interval is not None
    assert got["compute.latency-p99"].interval is None
    assert got["compute.latency-p99"].reason == "50 calls are too few for an interval at 95%"


def test_throughput_tells_its_sweep() -> None:
    quick, best = Timings((0.5, 0.5), 8, 1, "interval"), Timings((0.5, 0.49, 0.51), 8, 3, "interval")
    (got,) = results.throughput_evidence(Sweep((quick,), best, "all batch sizes measured"), PROVENANCE)
    assert (got.key, got.unit, got.n) == ("compute.throughput", "images/s", 24)
    assert got.value == pytest.approx(16.0)
    assert got.protocol["batch"] == 8
    assert got.protocol["sweep"] == [{"batch": 8, "calls": 2, "images_per_second": 16.0, "low": 16.0, "high": 16.0}]
    (decoded,) = results.throughput_evidence(
        Sweep((quick,), best, "all batch sizes measured"), PROVENANCE, steps="decoding too", variant="with-decoding"
    )
    assert decoded.key == "compute.throughput:with-decoding"


def test_peak_memory_or_why_there_is_none() -> None:
    (got,) = results.memory_evidence(PeakMemory(1000, 600, "resident"), 5, PROVENANCE)
    assert (got.value, got.n, got.class_) == (1000, 5, EvidenceClass.MEASURED)
    (none,) = results.memory_evidence(PeakMemory(None, None, "resident", "can't be reset here"), 5, PROVENANCE)
    assert (none.class_, none.reason) == (EvidenceClass.PENDING, "can't be reset here")
    assert none.command == PROVENANCE.command


def test_execution() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    probe = torch.randn(5, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    allowed = [ExecutionConfig(memory_format="channels_last"), ExecutionConfig()]
    choice = choose(module, probe, allowed, description="noise", budget=Budget(1.0, 0.01, 2, 1))
    got = by_key(results.execution_evidence(choice, PROVENANCE))
    agreement = got["compute.execution-agreement"]
    assert (agreement.value, agreement.n) == (100.0, 5)
    # Wilson for 5 of 5: low = 1 / (1 + z²/n) with z = 1.96.
    assert agreement.interval.low == pytest.approx(100 / (1 + 1.959964**2 / 5))
    assert got["compute.execution"].value == choice.config.label
    assert len(agreement.protocol["trials"]) == 2
    assert agreement.protocol["input"] == "noise"


# --- energy and carbon --------------------------------------------------------------------------------------------


def test_metered_energy_is_measured_with_an_interval_over_repeats() -> None:
    repeats = [EnergyUse(100, (counter(j),)) for j in (10.0, 11.0, 12.0)]
    got = by_key(results.energy_evidence(repeats, PROVENANCE))
    total = got["energy.per-1000-images"]
    assert (total.class_, total.value, total.unit, total.n) == (EvidenceClass.MEASURED, 110.0, "J", 300)
    # Student's t for 100, 110, 120: 4.302653 · 10 / sqrt(3) = 24.84
    assert (total.interval.low, total.interval.high) == pytest.approx((85.16, 134.84), abs=0.01)
    assert got["energy.images-per-joule"].value == pytest.approx(1000 / 110)
    assert set(got) == {"energy.per-1000-images", "energy.images-per-joule"}


def test_mixed_energy_says_apart_what_is_metered() -> None:
    repeats = [EnergyUse(100, (counter(10.0), model(1.0, 2.0, 8.0)))] * 2
    got = by_key(results.energy_evidence(repeats, PROVENANCE))
    assert got["energy.per-1000-images"].class_ is EvidenceClass.ESTIMATED
    assert got["energy.per-1000-images"].value == 120.0
    interval = got["energy.per-1000-images"].interval
    assert (interval.low, interval.high) == (110.0, 180.0)
    assert got["energy.per-1000-images:metered"].class_ is EvidenceClass.MEASURED
    assert got["energy.per-1000-images:metered"].value == 100.0
    assert got["energy.per-1000-images:estimated"].value == 20.0


def test_estimates_differ_between_repeats_and_within_each() -> None:
    repeats = [EnergyUse(1000, (model(low, 5 * low, 20 * low),)) for low in (1.0, 2.0, 3.0)]
    got = results.per_1000_images(repeats)
    # Student's t for 20, 40, 60: 40 + 4.302653 · 20 / sqrt(3); for 1, 2, 3 the low bound would fall below zero.
    assert (got.low, got.value, got.high) == pytest.approx((0.0, 10.0, 89.68), abs=0.01)


def test_one_metered_repeat_has_no_interval_and_says_so() -> None:
    got = by_key(results.energy_evidence([EnergyUse(100, (counter(10.0),))], PROVENANCE))
    assert got["energy.per-1000-images"].interval is None
    assert got["energy.per-1000-images"].reason == "a single repeat has no interval"


def test_missing_energy_is_pending_with_the_meters_words() -> None:
    repeats = [EnergyUse(100, (counter(10.0),)), EnergyUse(100, (counter(None),))]
    for record in results.energy_evidence(repeats, PROVENANCE):
        assert record.class_ is EvidenceClass.PENDING
        assert record.reason == "GPU: the counter didn't move"


def test_an_interval_that_reaches_zero_has_no_inverse() -> None:
    repeats = [EnergyUse(100, (counter(j),)) for j in (1.0, 100.0)]
    got = by_key(results.energy_evidence(repeats, PROVENANCE))
    assert got["energy.per-1000-images"].interval.low == 0.0
    assert got["energy.images-per-joule"].class_ is EvidenceClass.PENDING


@given(st.lists(st.tuples(*[st.floats(0.1, 1e4)] * 3).map(sorted), min_size=1, max_size=6), st.integers(1, 500))
def test_energy_bounds_never_shrink(spans: list[Any], images: int) -> None:
    repeats = [EnergyUse(images, (model(*span),)) for span in spans]
    got = results.per_1000_images(repeats)
    per_1000 = [[x * 1000 / images for x in span] for span in spans]
    assert got.low <= sum(s[0] for s in per_1000) / len(spans) * (1 + 1e-9)
    assert got.high >= sum(s[2] for s in per_1000) / len(spans) * (1 - 1e-9)
    assert got.value == pytest.approx(sum(s[1] for s in per_1000) / len(spans))


def test_idle_and_run_energy() -> None:
    idle = results.idle_evidence([counter(30.0), model(2.0, 4.0, 8.0)], PROVENANCE)
    assert (idle.value, idle.unit, idle.class_) == (17.0, "W", EvidenceClass.ESTIMATED)
    metered = results.idle_evidence([counter(30.0)], PROVENANCE)
    assert (metered.value, metered.class_) == (15.0, EvidenceClass.MEASURED)
    run = results.run_energy_evidence(EnergyUse(640, (counter(30.0),)), PROVENANCE)
    assert (run.key, run.value, run.n) == ("energy.this-run", 30.0, 640)
    missing = results.run_energy_evidence(EnergyUse(640, (counter(None),)), PROVENANCE)
    assert missing.class_ is EvidenceClass.PENDING


def test_carbon_is_always_an_interval() -> None:
    got = results.carbon_evidence("carbon.this-run", Range.exact(3.6e6), None, 640, None, PROVENANCE)
    assert got.class_ is EvidenceClass.ESTIMATED
    assert got.value == pytest.approx(1.58 * 475)
    assert got.unit == "g CO2e"
    assert got.interval.low < got.interval.high
    assert got.protocol["grid"]["year"] == "2019 (value), 2023 (bounds)"
    none = results.carbon_evidence("carbon.this-run", None, None, 640, "no meter", PROVENANCE)
    assert (none.class_, none.reason) == (EvidenceClass.PENDING, "no meter")


def test_hardware_words_are_plain_values() -> None:
    words = describe(torch.device("cpu"))
    assert words["threads"] == torch.get_num_threads()
    assert words["libraries"]["torch"] == torch.__version__.partition("+")[0]
    assert isinstance(Ledger(model={}, environment=words).to_json(), str)


@pytest.mark.parametrize(
    ("calls", "half", "throughput", "why"),
    [
        (40, 0.05, 120.0, None),
        (9, 0.05, 120.0, "9 timed calls are too few"),
        (40, 0.2, 120.0, "its interval is 40% of the value wide: the machine was busy"),
        # one after the other, 10 ms each, and at the slowest 10.5 ms: 95.2 images/s; the throughput's bound is 84
        (40, 0.05, 80.0, "below the 95.2 images/s that one image after the other gives: the machine was busy"),
    ],
)
def test_a_timing_is_withheld_where_the_machine_was_not_quiet(
    calls: int, half: float, throughput: float, why: str | None
) -> None:
    def timed(key: str, value: float, unit: str) -> Evidence:
        interval = Interval(low=value * (1 - half), high=value * (1 + half), method="made up")
        fields = {"unit": unit, "interval": interval, "n": calls, "protocol": {"calls": calls}}
        return Evidence(key=key, class_=EvidenceClass.MEASURED, value=value, **fields)

    latency, speed = timed("compute.latency-p50", 10.0, "ms"), timed("compute.throughput", throughput, "images/s")
    found = by_key(results.withhold_unfit([latency, speed]))
    assert found["compute.throughput"].withheld == why
    assert found["compute.throughput"].value == throughput, "the ledger keeps it"
    again = results.withhold_unfit(list(found.values()))
    assert by_key(again)["compute.throughput"].withheld == why


@pytest.mark.parametrize(
    ("swept", "repeated", "is_fit"), [(110.0, 118.0, True), (126.0, 100.0, False), (100.0, 79.0, False)]
)
def test_a_throughput_is_withheld_where_spans_of_one_run_disagree(swept: float, repeated: float, is_fit: bool) -> None:
    def item(key: str, **protocol: Any) -> Evidence:
        interval = Interval(low=99.0, high=101.0, method="made up")
        fields = {"unit": "images/s", "interval": interval, "n": 40, "protocol": protocol}
        return Evidence(key=key, class_=EvidenceClass.MEASURED, value=100.0, **fields)

    sweep = [{"batch": 2, "images_per_second": 50.0}, {"batch": 4, "images_per_second": swept}]
    speed = item("compute.throughput:bf16", calls=40, batch=4, sweep=sweep)
    parts = [[{"seconds": 2.0}], [{"seconds": 2.0}]]
    energy = item("energy.per-1000-images:bf16", images_per_repeat=[2 * repeated, 200], parts=parts)
    found, _ = results.withhold_unfit([speed, energy])
    assert (found.withheld is None) == is_fit
    assert is_fit or "spans of one run" in str(found.withheld)
