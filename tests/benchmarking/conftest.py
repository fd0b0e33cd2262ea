"""Fixtures of the cost tests."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.benchmarking.carbon import CodeCarbonTables, codecarbon_tables


@pytest.fixture
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any use of a socket fails the test."""

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("the network was touched")

    for name in ("socket", "create_connection", "getaddrinfo", "gethostbyname"):
        monkeypatch.setattr(socket, name, refuse)


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """nvml(1000, 2000): installs a `pynvml` that replays a counter in millijoules; the list gets the UUIDs that are asked for."""

    class NVMLError(Exception):
        pass

    def install(*millijoules: int | None, driver: bool = True) -> list[str]:
        asked: list[str] = []
        counter = iter(millijoules)

        def init() -> None:
            if not driver:
                raise NVMLError("Driver Not Loaded")

        def energy(handle: str) -> int:
            if (recorded := next(counter)) is None:
                raise NVMLError("Not Supported")
            return recorded

        module = SimpleNamespace(
            NVMLError=NVMLError,
            nvmlInit=init,
            nvmlDeviceGetHandleByUUID=asked.append,
            nvmlDeviceGetTotalEnergyConsumption=energy,
        )
        monkeypatch.setitem(sys.modules, "pynvml", module)
        return asked

    return install


@pytest.fixture
def installed_tables() -> CodeCarbonTables:
    """The tables of an installed CodeCarbon; a test that asks for them is skipped without it."""
    tables = codecarbon_tables()
    if tables is None:
        pytest.skip("codecarbon is not installed")
    return tables


@pytest.fixture
def written_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CodeCarbonTables:
    """Small tables in CodeCarbon's form, found instead of the installed ones. All figures are made up."""
    folder = tmp_path / "data"
    for name, text in TABLES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    tables = CodeCarbonTables(folder, "0.0-test")
    monkeypatch.setattr("harness.benchmarking.carbon.codecarbon_tables", lambda: tables)
    monkeypatch.setattr("harness.benchmarking.energy.codecarbon_tables", lambda: tables)
    return tables


_SOURCES = ("coal", "gas", "oil", "nuclear", "hydroelectricity", "solar", "wind", "biofuel")


def _mix(name: str, intensity: float, **twh: float) -> str:
    fields = ", ".join(f'"{source}_TWh": {twh.get(source, 0.0)}' for source in _SOURCES)
    total = sum(twh.values())
    return (
        f'{{"country_name": "{name}", "carbon_intensity": {intensity}, "total_TWh": {total}, "year": 2023, {fields}}}'
    )


TABLES = {
    "private_infra/global_energy_mix.json": (
        f'{{"AAA": {_mix("Arcadia", 100.0, coal=1.0, wind=3.0)},'
        f' "USA": {_mix("United States", 370.0, gas=1.0)},'
        f' "ZZZ": {_mix("Zembla", 0.0, wind=1.0)}}}'
    ),
    "private_infra/carbon_intensity_per_source.json": (
        '{"coal": 1000, "natural_gas": 700, "petroleum": 800, "nuclear": 29, "hydroelectricity": 26, "solar": 48,'
        ' "wind": 20, "biofuel": 230}'
    ),
    "private_infra/2023/usa_emissions.json": (
        '{"_unit": {"emissions": "lbs/MWh"}, "cold state": {"regionCode": "CS", "emissions": 100.0},'
        ' "hot state": {"regionCode": "HS", "emissions": 2000.0}}'
    ),
    "hardware/cpu_power.csv": "\ufeffName,TDP\nIntel Xeon Gold 6148,150\nAMD EPYC 7763,280\nBroken 1,27.29.5\n",
}
