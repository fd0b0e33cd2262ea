"""Meters against recorded readings: counters that wrap, files that may not be read, hardware that isn't there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.benchmarking.carbon import CodeCarbonTables
from harness.benchmarking.energy import (
    CpuEstimate,
    EnergyUse,
    Meter,
    NoMeter,
    Reading,
    cpu_power_table,
    cpu_watts,
    measure_energy,
    memory_watts,
    meters_for,
    open_cpu_estimate,
    open_nvml,
    open_rapl,
)
from harness.benchmarking.ranges import Range
from harness.runtime.hardware import Cpu, read_cpu

WRAPS_AT = 262_143_328_850
"""max_energy_range_uj as Intel servers show it, in microjoules."""


class Clock:
    """Seconds that pass only when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def domain(root: Path, folder: str, name: str, microjoules: int) -> Path:
    path = root / folder
    path.mkdir(parents=True)
    (path / "name").write_text(name + "\n")
    (path / "max_energy_range_uj").write_text(f"{WRAPS_AT}\n")
    (path / "energy_uj").write_text(f"{microjoules}\n")
    return path


def set_energy(path: Path, microjoules: int) -> None:
    (path / "energy_uj").write_text(f"{microjoules}\n")


def value(reading: Reading) -> float:
    assert reading.joules is not None, reading.reason
    return reading.joules.value


# --- RAPL ---------------------------------------------------------------------------------------------------------


def started(root: Path, microjoules: int) -> tuple[Meter, Path, Clock]:
    """A meter that has begun over one package whose counter stands there, the counter's folder, and the meter's clock."""
    path, clock = domain(root, "intel-rapl:0", "package-0", microjoules), Clock()
    meter = open_rapl(root, clock=clock, sleep=clock.sleep)
    meter.start()
    return meter, path, clock


def test_rapl_counts_between_start_and_read(tmp_path: Path) -> None:
    meter, path, clock = started(tmp_path, 5_000_000)
    clock.sleep(2)
    set_energy(path, 65_000_000)
    got = meter.read()
    assert (value(got), got.seconds, got.metered, got.meter) == (60.0, 2.0, True, "RAPL")
    assert got.watts == Range.exact(30.0)


def test_rapl_wraps_around_once_between_reads(tmp_path: Path) -> None:
    meter, path, _ = started(tmp_path, WRAPS_AT - 10_000_000)
    set_energy(path, 20_000_000)
    assert value(meter.read()) == pytest.approx(30.0)


def test_rapl_adds_up_over_many_wraps_when_read_in_time(tmp_path: Path) -> None:
    meter, path, _ = started(tmp_path, 0)
    step = WRAPS_AT // 2 + 1
    for turn in range(1, 8):
        set_energy(path, turn * step % WRAPS_AT)
        got = meter.read()
    assert value(got) == pytest.approx(7 * step * 1e-6)


def test_a_second_start_begins_anew(tmp_path: Path) -> None:
    meter, path, _ = started(tmp_path, 0)
    for microjoules in (1_000_000, 3_000_000):
        meter.start()
        set_energy(path, microjoules)
        got = meter.read()
    assert value(got) == pytest.approx(2.0)


def test_a_counter_that_stands_still_is_a_fault_not_zero(tmp_path: Path) -> None:
    meter, _, clock = started(tmp_path, 7)
    clock.sleep(3)
    got = meter.read()
    assert got.joules is None
    assert got.reason == "the counter didn't move in 3 s, and 0 J can't be true"


def test_a_counter_that_vanishes_gives_a_reason(tmp_path: Path) -> None:
    meter, path, _ = started(tmp_path, 7)
    set_energy(path, 1_000_007)
    assert value(meter.read()) == 1.0
    (path / "energy_uj").unlink()
    got = meter.read()
    assert got.joules is None
    assert "energy_uj could not be read" in got.reason


def test_idle_power_is_read_over_a_pause(tmp_path: Path) -> None:
    path, clock = domain(tmp_path, "intel-rapl:0", "package-0", 0), Clock()

    def pause(seconds: float) -> None:
        clock.sleep(seconds)
        set_energy(path, 100_000_000)

    got = open_rapl(tmp_path, clock=clock, sleep=pause).idle(5)
    assert got.watts == Range.exact(20.0)


def test_packages_and_memory_are_taken_once_each(tmp_path: Path) -> None:
    domain(tmp_path, "intel-rapl:0", "package-0", 10_000_000)
    domain(tmp_path, "intel-rapl:0:0", "core", 40_000_000)
    domain(tmp_path, "intel-rapl:0:1", "dram", 70_000_000)
    domain(tmp_path, "intel-rapl:1", "package-1", 130_000_000)
    domain(tmp_path, "intel-rapl:2", "package-1-die-1", 130_400_000)  # the same counter, read a moment later
    domain(tmp_path, "intel-rapl:3", "psys", 200_000_000)
    domain(tmp_path, "intel-rapl-mmio:0", "package-0", 10_000_001)
    got = open_rapl(tmp_path)
    assert got.covers == "CPU: dram (intel-rapl:0:1), package-0 (intel-rapl:0), package-1 (intel-rapl:1)"


def test_without_powercap_the_reason_says_so(tmp_path: Path) -> None:
    got = open_rapl(tmp_path / "powercap").read()
    assert got.joules is None
    assert "no processor energy counters" in got.reason


def test_missing_permission_names_file_and_mend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = domain(tmp_path, "intel-rapl:0", "package-0", 1)
    read_text = Path.read_text

    def guarded(self: Path, *args: Any, **kwargs: Any) -> str:
        if self.name == "energy_uj":  # as kernels since 5.10 have it; root, who runs tests in containers, passes chmod
            raise PermissionError(13, "Permission denied", str(self))
        return read_text(self, *args, **kwargs)

    monkeypatch.setattr(Path, "read_text", guarded)
    got = open_rapl(tmp_path)
    assert isinstance(got, NoMeter)
    assert str(path / "energy_uj") in got.reason
    assert "root" in got.reason


# --- NVML ---------------------------------------------------------------------------------------------------------


def test_nvml_counts_joules_of_the_gpu_with_this_uuid(nvml: Callable[..., list[str]]) -> None:
    asked = nvml(1_000, 1_000_000, 1_350_500)  # once on opening, then start and read
    meter = open_nvml("GPU-1234", "GPU: test")
    meter.start()
    got = meter.read()
    assert asked == ["GPU-1234"]
    assert value(got) == pytest.approx(350.5)
    assert (got.covers, got.metered) == ("GPU: test", True)


@pytest.mark.parametrize(("driver", "why"), [(False, "Driver Not Loaded"), (True, "Not Supported")])
def test_nvml_that_can_not_count(nvml: Callable[..., list[str]], driver: bool, why: str) -> None:
    nvml(None, driver=driver)
    got = open_nvml("GPU-1", "GPU: test")
    assert isinstance(got, NoMeter)
    assert why in got.reason


@pytest.mark.parametrize(
    ("last", "why"), [(None, "NVML gave no energy: Not Supported"), (5, "the counter didn't move")]
)
def test_nvml_that_fails_or_stands_still_gives_a_reason(
    nvml: Callable[..., list[str]], last: int | None, why: str
) -> None:
    nvml(5, 5, last)
    meter = open_nvml("a", "GPU")
    meter.start()
    assert str(meter.read().reason).startswith(why)


# --- the estimate -------------------------------------------------------------------------------------------------

GIB = 2**30


def estimate(wall: Clock, cpu: Clock) -> CpuEstimate:
    return CpuEstimate(
        Range.exact(100.0),
        logical_cpus=4,
        clock=wall,
        cpu_clock=cpu,
        process_bytes=lambda: 2 * GIB,
        machine_bytes=100 * GIB,
    )


@pytest.mark.parametrize(
    ("seconds", "cpu_seconds", "joules"),
    [
        # 2 of 4 processors busy: 100 W · 50 % · 10 s, and two memory modules of 5 W; at least half of the processor's part;
        # at most all of the machine, whose 100 GiB take eight modules.
        (10, 20, Range(250.0, 600.0, 1400.0)),
        (10, 41, Range(500.0, 1100.0, 1400.0)),  # clocks tick at different moments: never more than the machine has
        (0, 0, None),
    ],
)
def test_estimate_by_hand(seconds: float, cpu_seconds: float, joules: Range | None) -> None:
    wall, cpu = Clock(), Clock()
    meter = estimate(wall, cpu)
    meter.start()
    wall.sleep(seconds)
    cpu.sleep(cpu_seconds)
    got = meter.read()
    assert (got.metered, got.joules) == (False, joules)


def test_idle_estimate_is_the_models_floor() -> None:
    got = estimate(Clock(), Clock()).idle(10)
    assert got.watts.value == pytest.approx(0.1 * 100 + 8 * 5)


@pytest.mark.parametrize(("gib", "watts"), [(1, 10), (16, 10), (32, 20), (64, 20), (128, 40), (512, 80)])
def test_memory_watts(gib: int, watts: float) -> None:
    assert memory_watts(gib * GIB) == watts


def test_design_power_of_known_and_unknown_processors(written_tables: CodeCarbonTables) -> None:
    table = cpu_power_table()
    assert len(table) == 2  # the row whose figure is no number is left out
    xeon = Cpu("Intel(R) Xeon(R) Gold 6148 CPU @ 2.40GHz", logical_cpus=80, sockets=2, virtual=False)
    assert cpu_watts(xeon, table) == Range.exact(300.0)
    epyc = Cpu("AMD EPYC 7763 64-Core Processor", logical_cpus=8, sockets=1, virtual=True)
    assert cpu_watts(epyc, table) == Range(32.0, 32.0, 280.0)
    unknown = Cpu("Intel(R) Xeon(R) Processor @ 2.50GHz", logical_cpus=2, sockets=1, virtual=True)
    assert cpu_watts(unknown, table) == Range(8.0, 8.0, 85.0)


def test_cpuinfo_is_understood(tmp_path: Path) -> None:
    path = tmp_path / "cpuinfo"
    core = "model name\t: AMD EPYC 7763 64-Core Processor\nphysical id\t: {}\nflags\t\t: fpu hypervisor\n\n"
    path.write_text(core.format(0) + core.format(0) + core.format(1))
    got = read_cpu(path)
    assert (got.model, got.sockets, got.virtual) == ("AMD EPYC 7763 64-Core Processor", 2, True)


@pytest.mark.usefixtures("_no_network")
def test_this_machine_s_work_is_estimated_without_the_network() -> None:
    meter = open_cpu_estimate()
    meter.start()
    sum(range(500_000))
    first = value(meter.read())
    sum(range(500_000))
    assert value(meter.read()) > first > 0


# --- all parts -----------------------------------------------------------------------------------------------------


class Fixed:
    """A meter that always reads the same."""

    covers = "part"

    def __init__(self, joules: float | None, metered: bool = True) -> None:
        self._reading = Reading(
            "fixed", self.covers, metered, 1.0, Range.exact(joules) if joules else None, None if joules else "absent"
        )

    def start(self) -> None:
        pass

    def read(self) -> Reading:
        return self._reading

    def idle(self, seconds: float) -> Reading:
        return self._reading


def use(*meters: Meter) -> EnergyUse:
    return measure_energy(lambda: 10, meters, seconds=0.0)


def test_parts_add_up() -> None:
    got = use(Fixed(2.0), Fixed(3.0, metered=False))
    assert got.joules == Range.exact(5.0)
    assert not got.metered
    assert got.only(metered=True).joules == Range.exact(2.0)
    assert got.only(metered=True).metered


def test_a_missing_part_leaves_no_total() -> None:
    got = use(Fixed(2.0), Fixed(None))
    assert got.joules is None
    assert got.reason == "part: absent"
    assert use().reason == "no meter was asked for"


def test_zero_joules_can_not_be_said() -> None:
    with pytest.raises(ValueError, match="never a result"):
        Reading("m", "c", True, 1.0, Range.exact(0.0))
    with pytest.raises(ValueError, match="or a reason"):
        Reading("m", "c", True, 1.0, None)


def test_work_is_repeated_for_the_time_given(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("harness.benchmarking.energy.time.monotonic", clock)

    def step() -> int:
        clock.sleep(0.4)
        return 8

    assert measure_energy(step, [], seconds=1.0).images == 24


def test_meters_of_a_cpu_are_one_for_the_processor() -> None:
    (meter,) = meters_for(torch.device("cpu"))
    assert meter.covers.startswith("CPU")


def test_a_device_without_a_counter_is_said_to_have_none() -> None:
    reading = meters_for(torch.device("mps"))[-1].read()
    assert reading.reason == "there is no energy counter for devices of type mps"
