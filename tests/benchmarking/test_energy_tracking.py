"""The energy of a run: spans of work add up, also over kills; nothing computed is no evidence, and never 0 J."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.benchmarking.energy import EnergyUse, Meter, Reading, merged
from harness.benchmarking.energy_tracking import RunEnergy
from harness.benchmarking.ranges import Range
from harness.benchmarking.results import Provenance
from harness.errors import ExitCode
from harness.evaluation.plan import Plan
from harness.evaluation.run import RunResult
from harness.evaluation.suites import load_suite
from harness.evidence import Evidence, EvidenceClass, Ledger
from harness.models.loading import ModelState
from harness.models.registry import resolve
from harness.settings import Settings

CPU = torch.device("cpu")


class Recorded:
    """A hardware counter that replays joules: what `read` says it counted since `start`."""

    covers = "CPU: package-0"

    def __init__(self, *joules: float | None, seconds: float = 1.0) -> None:
        self._joules: Iterator[float | None] = iter(joules)
        self._seconds = seconds
        self.starts = 0

    def start(self) -> None:
        self.starts += 1

    def read(self) -> Reading:
        joules = next(self._joules)
        span = None if joules is None else Range.exact(joules)
        return Reading("RAPL", self.covers, True, self._seconds, span, None if joules else "stood still")

    def idle(self, seconds: float) -> Reading:
        return Reading("RAPL", self.covers, True, seconds, Range.exact(10.0 * seconds))


def of(run: RunEnergy, *, stored_before: int = 0, idle: bool = False) -> dict[str, Evidence]:
    found = run.evidence(Provenance("command"), None, includes="work", stored_before=stored_before, idle=idle)
    return {item.key: item for item in found}


def opened(journal: Path, *meters: Meter) -> RunEnergy:
    return RunEnergy(journal, CPU, lambda device: list(meters))


def test_spans_add_up_and_only_they_count(tmp_path: Path) -> None:
    meter = Recorded(5.0, 5.0, 7.0, 7.0)
    run = opened(tmp_path / "energy" / "a.json", meter)
    for _ in range(2):
        run.begin()
        run.begin()  # the second condition of the same group begins nothing
        run.stored(8)
        run.end()
    assert meter.starts == 2
    found = of(run, stored_before=4)
    energy, carbon = found["energy.this-run"], found["carbon.this-run"]
    assert (energy.value, energy.unit, energy.n, energy.class_) == (12.0, "J", 16, EvidenceClass.MEASURED)
    assert energy.protocol["images_by_starts"] == [16]
    assert energy.protocol["images_stored_before_and_not_covered"] == 4
    # 12 J × PUE 1.58 × 475 g/kWh (assumptions.json), by hand
    assert carbon.value == pytest.approx(12 / 3.6e6 * 1.58 * 475)
    assert carbon.interval is not None
    assert (carbon.unit, carbon.class_, carbon.n) == ("g CO2e", EvidenceClass.ESTIMATED, 16)


def test_idle_power_stands_apart(tmp_path: Path) -> None:
    run = opened(tmp_path / "a.json", Recorded(5.0, 5.0))
    run.begin()
    run.end(images=3)
    assert of(run, idle=True)["energy.idle-power"].value == 10.0


def test_a_run_that_computed_nothing_gives_no_evidence(tmp_path: Path) -> None:
    run = opened(tmp_path / "a.json", Recorded(5.0))
    assert of(run, stored_before=20) == {}
    run.begin()
    run.end()  # work without a single stored image, such as a condition that failed
    assert of(run) == {}


def test_the_joules_before_a_kill_are_not_lost(tmp_path: Path) -> None:
    journal = tmp_path / "a.json"
    killed = opened(journal, Recorded(30.0))
    killed.begin()
    killed.stored(512)
    killed._lock.release()  # the operating system does this for a process that is gone
    again = opened(journal, Recorded(40.0, 40.0))
    again.begin()
    again.stored(100)
    again.end()
    energy = of(again, stored_before=512 + 8)["energy.this-run"]
    assert (energy.value, energy.n) == (70.0, 612)
    assert energy.protocol["images_by_starts"] == [512, 100]
    assert energy.protocol["images_stored_before_and_not_covered"] == 8
    # Beside the value, where a reader of the table or the card sees it.
    assert (energy.N, (energy.reason or "").partition(":")[0]) == (620, "covers 612 of this run's 620 images")
    again.close()
    assert not journal.exists()


def test_two_processes_with_one_command_keep_their_own_joules(tmp_path: Path) -> None:
    journal = tmp_path / "a.json"
    first, second = opened(journal, Recorded(1.0, 1.0)), opened(journal, Recorded(2.0))
    first.begin()
    first.stored(4)
    second.begin()
    second.end(images=6)
    assert of(second)["energy.this-run"].value == 2.0
    second.close()
    assert journal.is_file(), "the first one's journal is not the second one's to remove"


def test_a_damaged_journal_costs_its_joules_and_says_so(tmp_path: Path) -> None:
    journal = tmp_path / "a.json"
    journal.write_text('{"parts": [{"images": 3}]}')
    run = opened(journal, Recorded(1.0))
    run.begin()
    run.end(images=2)
    energy = of(run, stored_before=3)["energy.this-run"]
    assert energy.n == 2
    assert energy.protocol["images_stored_before_and_not_covered"] == 3


def test_the_journal_is_plain_json(tmp_path: Path) -> None:
    run = opened(tmp_path / "a.json", Recorded(3.0))
    run.begin()
    run.stored(2)
    (part,) = json.loads((tmp_path / "a.json").read_text())["parts"]
    assert part["images"] == 2
    assert part["readings"][0]["joules"] == {"low": 3.0, "value": 3.0, "high": 3.0}


def test_a_counter_that_never_moved_is_pending_not_zero(tmp_path: Path) -> None:
    run = opened(tmp_path / "a.json", Recorded(None))
    run.begin()
    run.end(images=2)
    found = of(run)
    for key in ("energy.this-run", "carbon.this-run"):
        assert (found[key].class_, found[key].value) == (EvidenceClass.PENDING, None)
        assert "stood still" in str(found[key].reason)


def use(images: int, seconds: float, joules: float | None) -> EnergyUse:
    span = None if joules is None else Range.exact(joules)
    return EnergyUse(images, (Reading("NVML", "GPU", True, seconds, span, None if joules else "stood still"),))


def test_a_silent_moment_in_a_long_run_is_left_out() -> None:
    total = merged([use(1000, 99.5, 5000.0), use(2, 0.5, None)])
    assert total.joules == Range.exact(5000.0)
    assert total.images == 1002
    assert merged([use(1000, 90.0, 5000.0), use(200, 10.0, None)]).reason == "GPU: stood still"


@given(st.lists(st.tuples(st.integers(0, 100), st.floats(0.1, 100), st.floats(0.1, 1000)), min_size=1))
def test_merging_in_any_order_is_the_sum(parts: list[tuple[int, float, float]]) -> None:
    uses = [use(*part) for part in parts]
    forwards, backwards = merged(uses), merged(uses[::-1])
    assert forwards.images == backwards.images == sum(part[0] for part in parts)
    assert forwards.joules.value == pytest.approx(sum(part[2] for part in parts))
    assert forwards.joules.value == pytest.approx(backwards.joules.value)


@pytest.mark.usefixtures("_no_network")
def test_nothing_asks_the_network(tmp_path: Path) -> None:
    run = RunEnergy(tmp_path / "a.json", CPU)
    run.begin()
    torch.rand(400, 400) @ torch.rand(400, 400)
    run.end(images=1)
    found: Sequence[Evidence] = list(of(run, idle=True).values())
    assert [item.key for item in found] == ["energy.this-run", "carbon.this-run", "energy.idle-power"]


def test_a_machine_without_meters_leaves_no_run_incomplete(tmp_path: Path) -> None:
    """Nobody asked for the energy of the run, so a missing meter is said in the ledger but not by the exit code."""
    spec = resolve("efficientnet-lite0")
    plan = Plan(load_suite("demo"), ModelState(spec, None, None, None), (), (), Settings(home=tmp_path))
    run = opened(tmp_path / "a.json", Recorded(None))
    run.begin()
    run.end(images=2)
    top1 = Evidence(
        key="foolbox-imagenet-20.top1", class_=EvidenceClass.MEASURED, value=90.0, reason="r", n=20, protocol={}
    )
    unknown = list(of(run).values())
    assert RunResult(Ledger(model={}, evidence=[top1, *unknown]), plan, {}).exit_code is ExitCode.DONE
    asked = Evidence(key="energy.per-1000-images", class_=EvidenceClass.PENDING, reason="no meter")
    assert RunResult(Ledger(model={}, evidence=[top1, asked]), plan, {}).exit_code is ExitCode.INCOMPLETE
