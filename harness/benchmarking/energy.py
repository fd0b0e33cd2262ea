"""Joules of a run: metered where the hardware counts them, estimated where it doesn't, and never mixed silently.

A meter covers one part of the machine and says whether it counts or estimates. What can't be read is None with the
reason; 0 J over any time is a fault of the counter and is treated as one. Meters:

- `CounterMeter`: a GPU's own energy counter (NVML: NVIDIA, Volta and later), or those of the processor packages and
  memory that Linux shows under /sys/class/powercap (RAPL).
- `CpuEstimate`: CodeCarbon's power model: design power × this process's share of the processor + memory.
- `NoMeter`: nothing here, and why.

Counters wrap around: `read` at least once a minute in a long run.
"""

from __future__ import annotations

import csv
import importlib
import os
import re
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch

from harness.benchmarking.carbon import codecarbon_tables
from harness.benchmarking.ranges import Range
from harness.errors import HarnessError
from harness.runtime.hardware import Cpu, machine_memory_bytes, read_cpu

_POWERCAP = Path("/sys/class/powercap")

# A few rows of CodeCarbon's table hold scraped text such as "27.29.5": those processors count as unknown.
_DECIMAL = re.compile(r"\d+(\.\d+)?")

# Words of a processor's name that the operating system adds and the table leaves out.
_FILLER = re.compile(r"CPU|Processor|\d+-Core")

# CodeCarbon 3.3.2, whose power model CpuEstimate follows (core/cpu.py, external/hardware.py, external/ram.py).
WATTS_PER_LOGICAL_CPU = 4.0
"""Design power where the processor's is not known (DEFAULT_POWER_PER_CORE)."""
WATTS_UNKNOWN_CPU = 85.0
"""Design power of a processor of which nothing is known (POWER_CONSTANT): the high bound."""
AVERAGE_SHARE_OF_DESIGN_POWER = 0.5
"""What a busy processor draws of its design power on average (CONSUMPTION_PERCENTAGE_CONSTANT): the low bound."""
IDLE_SHARE_OF_DESIGN_POWER = 0.1
"""The least that a processor draws (the floor of the load model)."""
WATTS_PER_MEMORY_SLOT = 5.0
"""One x86 memory module (RAM_SLOT_POWER_X86)."""
_MEMORY_SLOTS = ((16, 2), (64, 4), (128, 8))
"""(GiB up to, modules): the model's guess at how many modules hold that much; 16 above."""


@dataclass(frozen=True)
class Reading:
    """What one meter says about one span of time."""

    meter: str
    """NVML, RAPL, estimate or none."""
    covers: str
    """The part of the machine, e.g. "GPU 0: NVIDIA H100"."""
    metered: bool
    """Counted by the hardware (True) or computed from a power model (False)."""
    seconds: float
    joules: Range | None
    """Without width for a counter."""
    reason: str | None = None
    """Why there are no joules."""

    def __post_init__(self) -> None:
        if (self.joules is None) == (self.reason is None):
            raise ValueError(f"{self.meter}: a reading has joules or a reason why not")
        if self.joules is not None and self.joules.value <= 0:
            raise ValueError(f"{self.meter}: 0 J is never a result")

    @property
    def watts(self) -> Range | None:
        """Mean power over the span."""
        return self.joules * (1 / self.seconds) if self.joules is not None else None


class Meter(Protocol):
    """Reads the energy of one part of the machine."""

    @property
    def covers(self) -> str:
        """The part of the machine."""

    def start(self) -> None:
        """Begin a span of time."""

    def read(self) -> Reading:
        """The energy since `start`; can be called again and again."""

    def idle(self, seconds: float) -> Reading:
        """The energy of `seconds` without work; ends a span that was begun."""


@dataclass(frozen=True)
class NoMeter:
    """Stands where a part of the machine can't be metered, and says why."""

    covers: str
    reason: str

    def start(self) -> None:
        """Nothing to begin."""

    def read(self) -> Reading:
        """No joules, with the reason."""
        return Reading("none", self.covers, metered=False, seconds=0.0, joules=None, reason=self.reason)

    def idle(self, seconds: float) -> Reading:
        """No joules either, and no waiting for them."""
        return self.read()


@dataclass
class CounterMeter:
    """A meter over counters that only rise, until they wrap."""

    meter: str
    covers: str
    counters: Callable[[], dict[str, int]]
    """Reads each counter; raises HarnessError where one gives nothing."""
    joules_per_unit: float
    wraps_at: Mapping[str, int] = field(default_factory=dict)
    """By counter, what it has counted when it begins anew; one that is not here never wraps."""
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def start(self) -> None:
        """Begin a span of time."""
        self._units, self._last = 0, dict[str, int]()
        self._fault: str | None = None
        self._count()
        self._started = self.clock()

    def read(self) -> Reading:
        """What was counted since `start`."""
        seconds = self.clock() - self._started
        self._count()
        reason = self._fault
        if reason is None and not self._units:
            reason = f"the counter didn't move in {seconds:.3g} s, and 0 J can't be true"
        joules = Range.exact(self._units * self.joules_per_unit) if reason is None else None
        return Reading(self.meter, self.covers, True, seconds, joules, reason)

    def idle(self, seconds: float) -> Reading:
        """What is counted in a pause of `seconds`."""
        self.start()
        self.sleep(seconds)
        return self.read()

    def _count(self) -> None:
        """Add what the counters rose by since they were last seen; once one can't be read, the span is lost."""
        if self._fault is not None:
            return
        try:
            now = self.counters()
        except HarnessError as error:
            self._fault = error.message
            return
        for name, value in now.items():
            rise = value - self._last.get(name, value)
            self._units += rise if rise >= 0 else rise + self.wraps_at.get(name, 0)
        self._last = now


def _cpu_seconds() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def _resident_bytes() -> int:
    """Resident memory now where the kernel tells (Linux), else its peak."""
    statm = Path("/proc/self/statm")
    if statm.is_file():
        return int(statm.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@dataclass
class CpuEstimate:
    """Processor and memory by CodeCarbon's power model, for this process and the children it has waited for.

    Value: design power × (CPU seconds of the process / logical CPUs) + power of the memory that it holds.
    Low bound: half of the processor's part, no memory. High bound: all of the machine's processor and memory, all
    the time, which is also what covers workers that are still running.
    """

    watts: Range
    logical_cpus: int
    clock: Callable[[], float] = time.monotonic
    cpu_clock: Callable[[], float] = _cpu_seconds
    process_bytes: Callable[[], int] = _resident_bytes
    machine_bytes: int = field(default_factory=machine_memory_bytes)
    covers = "CPU and memory"

    def start(self) -> None:
        """Begin a span of time."""
        self._started = (self.clock(), self.cpu_clock())

    def read(self) -> Reading:
        """The estimate since `start`."""
        seconds = self.clock() - self._started[0]
        busy = (self.cpu_clock() - self._started[1]) / self.logical_cpus
        if seconds <= 0 or busy <= 0:
            reason = f"no processor time was counted in {seconds:.3g} s"
            return Reading("estimate", self.covers, False, seconds, None, reason)
        joules = Range(
            low=AVERAGE_SHARE_OF_DESIGN_POWER * self.watts.low * min(busy, seconds),
            value=self.watts.value * min(busy, seconds) + memory_watts(self.process_bytes()) * seconds,
            high=self.watts.high * seconds + memory_watts(self.machine_bytes) * seconds,
        )
        return Reading("estimate", self.covers, False, seconds, joules)

    def idle(self, seconds: float) -> Reading:
        """The model's floor for the whole machine; nothing is waited for."""
        processor = self.watts * (IDLE_SHARE_OF_DESIGN_POWER * seconds)
        machine = memory_watts(self.machine_bytes) * seconds
        joules = Range(processor.low, processor.value + machine, processor.high + machine)
        return Reading("estimate", self.covers, False, seconds, joules)


def memory_watts(size: int) -> float:
    """Power of memory modules that hold `size` bytes, by CodeCarbon's model for x86 (two modules at least)."""
    gib = size / 2**30
    slots = next((slots for up_to, slots in _MEMORY_SLOTS if gib <= up_to), 16)
    return WATTS_PER_MEMORY_SLOT * slots


def cpu_watts(cpu: Cpu, table: dict[str, float]) -> Range:
    """Design power of the machine's processors, in watts.

    Args:
        cpu: the processor that the operating system shows.
        table: watts by processor name, empty where there is none.

    A processor in the table counts with its sockets. A virtual machine owns a part of it that nobody tells, so there
    the value is 4 W a logical CPU and the table's figure only bounds it; likewise a processor that is in no table.
    """
    by_threads, known = WATTS_PER_LOGICAL_CPU * cpu.logical_cpus, table.get(_cpu_name(cpu.model))
    if known is None:
        return Range(by_threads, by_threads, max(by_threads, WATTS_UNKNOWN_CPU * cpu.sockets))
    design = known * cpu.sockets
    least = min(by_threads, design) if cpu.virtual else design
    return Range(least, least, design)


def cpu_power_table() -> dict[str, float]:
    """Watts by processor name, from CodeCarbon's table; empty where the package is not installed."""
    tables = codecarbon_tables()
    if tables is None:
        return {}
    with tables.cpu_power.open(encoding="utf-8-sig", newline="") as file:
        rows = [(_cpu_name(row["Name"]), row["TDP"]) for row in csv.DictReader(file)]
    return {name: float(watts) for name, watts in rows if _DECIMAL.fullmatch(watts)}


def open_rapl(root: Path = _POWERCAP, **clocks: Callable[..., Any]) -> Meter:
    """The processor's energy counters (Intel, and AMD since Zen), or a NoMeter that says why there are none.

    Packages and memory are taken; "core" and "uncore" lie inside their package, "psys" overlaps it, and a package
    whose counter stands where another's does is the same counter shown twice, as on some multi-die processors.
    Source: Linux kernel documentation, power/powercap: energy_uj in microjoules wraps at max_energy_range_uj.

    Args:
        clocks: `clock` and `sleep` of the meter.
    """
    domains: dict[str, Path] = {}
    values: list[int] = []

    def counters() -> dict[str, int]:
        try:
            return {name: _read_number(path / "energy_uj") for name, path in domains.items()}
        except OSError as error:
            raise HarnessError(f"{error.filename} could not be read: {error.strerror}") from error

    reason = f"this machine shows no processor energy counters ({root})"
    try:
        for path in sorted(root.glob("intel-rapl:*")):
            name = (path / "name").read_text(encoding="ascii").strip()
            if name.startswith(("package", "dram")):
                value = _read_number(path / "energy_uj")
                if not any(abs(value - other) < 1_000_000 for other in values):
                    values.append(value)
                    domains[f"{name} ({path.name})"] = path
        if domains:
            wraps_at = {name: _read_number(path / "max_energy_range_uj") for name, path in domains.items()}
            return CounterMeter("RAPL", "CPU: " + ", ".join(sorted(domains)), counters, 1e-6, wraps_at, **clocks)
    except PermissionError as error:
        reason = f"{error.filename} may be read by root only; `chmod o+r` it, or run as root"
    except OSError as error:
        reason = f"{error.filename} could not be read: {error.strerror}"
    return NoMeter("CPU: package, dram", reason)


def open_nvml(uuid: str, covers: str) -> Meter:
    """The energy counter of the GPU with this UUID ("GPU-…"), or a NoMeter that says why there is none.

    It counts millijoules since the driver was loaded (nvmlDeviceGetTotalEnergyConsumption).

    Args:
        uuid: as the driver writes it; an index would ignore CUDA_VISIBLE_DEVICES.
        covers: which GPU it is.
    """
    try:
        library = importlib.import_module("pynvml")
    except ImportError:
        return NoMeter(covers, "the Python package nvidia-ml-py is not installed")

    def counters() -> dict[str, int]:
        try:
            return {"gpu": library.nvmlDeviceGetTotalEnergyConsumption(handle)}
        except library.NVMLError as error:
            raise HarnessError(f"NVML gave no energy: {error}") from error

    try:
        library.nvmlInit()
        handle = library.nvmlDeviceGetHandleByUUID(uuid)
        library.nvmlDeviceGetTotalEnergyConsumption(handle)
    except library.NVMLError as error:
        return NoMeter(covers, f"NVML gives no energy for this GPU: {error}")
    return CounterMeter("NVML", covers, counters, 1e-3)


def open_cpu_estimate() -> CpuEstimate:
    """The estimate for this machine."""
    cpu = read_cpu()
    return CpuEstimate(cpu_watts(cpu, cpu_power_table()), cpu.logical_cpus)


def meters_for(device: torch.device) -> list[Meter]:
    """One meter for each part of the machine that a run on `device` heats: metered where possible.

    The processor is always among them; on a device without a known counter a NoMeter says so.
    """
    rapl = open_rapl()
    meters: list[Meter] = [open_cpu_estimate() if isinstance(rapl, NoMeter) else rapl]
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        meters.append(open_nvml(f"GPU-{properties.uuid}", f"GPU: {properties.name}"))
    elif device.type != "cpu":
        meters.append(NoMeter(device.type, f"there is no energy counter for devices of type {device.type}"))
    return meters


def meters_of_worker(device: torch.device) -> list[Meter]:
    """As `meters_for`, for one of several workers of a machine: of the processor its own part alone, by the power model,
    since counters of the whole would be added up once a worker."""
    return [open_cpu_estimate(), *meters_for(device)[1:]]


@dataclass(frozen=True)
class EnergyUse:
    """The energy consumed by a piece of work, part by part."""

    images: int
    readings: tuple[Reading, ...]

    @property
    def reason(self) -> str | None:
        """Why there is no total: a part that is missing would make it too small. None where there is one."""
        missing = [f"{r.covers}: {r.reason}" for r in self.readings if r.reason is not None]
        return "; ".join(missing) or (None if self.readings else "no meter was asked for")

    @property
    def joules(self) -> Range | None:
        """The sum of all parts, or None where a part is missing."""
        if self.reason is not None:
            return None
        return sum((r.joules for r in self.readings if r.joules is not None), Range.exact(0.0))

    @property
    def metered(self) -> bool:
        """Whether every part was counted by hardware."""
        return all(r.metered for r in self.readings)

    def only(self, metered: bool) -> EnergyUse:
        """The metered parts alone, or the estimated ones."""
        return EnergyUse(self.images, tuple(r for r in self.readings if r.metered == metered))


def measure_energy(step: Callable[[], int], meters: Sequence[Meter], seconds: float) -> EnergyUse:
    """Repeat `step`, which returns how many images it handled, between the meters' start and reading.

    Args:
        seconds: at least so long: energy counters need about a second to say anything.
    """
    for meter in meters:
        meter.start()
    end = time.monotonic() + seconds
    images = step()
    while time.monotonic() < end:
        images += step()
    return EnergyUse(images, tuple(meter.read() for meter in meters))


NEGLIGIBLE_SHARE = 0.01
"""Share of the time for which a counter may have said nothing while its total still counts."""


def merged(uses: Sequence[EnergyUse]) -> EnergyUse:
    """Several pieces of work as one: images, seconds and joules of each meter add up.

    A span too short for a counter to move says nothing. Its time is part of the sum, its joules are not; the total
    stands only while such spans are at most `NEGLIGIBLE_SHARE` of the meter's time.
    """
    by_meter: dict[tuple[str, str, bool], list[Reading]] = {}
    for use in uses:
        for reading in use.readings:
            by_meter.setdefault((reading.meter, reading.covers, reading.metered), []).append(reading)
    totals = []
    for meter, readings in by_meter.items():
        seconds = sum(reading.seconds for reading in readings)
        spans = [reading.joules for reading in readings if reading.joules is not None]
        silent = [reading for reading in readings if reading.joules is None]
        if not spans or sum(reading.seconds for reading in silent) > NEGLIGIBLE_SHARE * seconds:
            totals.append(Reading(*meter, seconds, None, silent[0].reason))
        else:
            totals.append(Reading(*meter, seconds, sum(spans, Range.exact(0.0))))
    return EnergyUse(sum(use.images for use in uses), tuple(totals))


def _read_number(path: Path) -> int:
    return int(path.read_text(encoding="ascii"))


def _cpu_name(model: str) -> str:
    """A processor's name without marks and clock, as both the table and the operating system write it."""
    name = model.replace("(R)", "").replace("(TM)", "").partition("@")[0]
    return " ".join(word for word in name.split() if not _FILLER.fullmatch(word)).casefold()
