"""From joules to grams of CO2e: energy × PUE × grid intensity, each with its bounds.

Grid intensities come from the tables that an installed CodeCarbon carries (annual averages, life-cycle, by country;
direct emissions by state for the USA). They are read as files and the package is never imported: its tracker looks its
own location and version up over the network, and it brings along a command line and an API client that nothing here needs.
Without a region the world's range stands, which needs no package.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.benchmarking.ranges import Assumption, Range, assumptions
from harness.errors import MissingInputError, unknown_name
from harness.labels.spaces import installed_folder
from harness.parsing.json import read_json

JOULES_PER_KWH = 3.6e6
_KG_PER_POUND = 0.45359237

# The energy mix's words for sources of electricity where the intensity table uses another one.
_SOURCE_NAMES = {"gas": "natural_gas", "oil": "petroleum"}
_SOURCES = ("coal", "gas", "oil", "nuclear", "hydroelectricity", "solar", "wind", "biofuel")


@dataclass(frozen=True)
class CodeCarbonTables:
    """The data folder of an installed CodeCarbon."""

    folder: Path
    version: str

    @property
    def cpu_power(self) -> Path:
        """CSV with columns Name and TDP (watts)."""
        return self.folder / "hardware" / "cpu_power.csv"

    @property
    def energy_mix(self) -> Path:
        """JSON by ISO 3166 alpha-3 code: carbon_intensity (g CO2e/kWh), generation by source (TWh), year."""
        return self.folder / "private_infra" / "global_energy_mix.json"

    @property
    def intensity_per_source(self) -> Path:
        """JSON: g CO2e/kWh by source of electricity, and the world average."""
        return self.folder / "private_infra" / "carbon_intensity_per_source.json"

    @property
    def us_states(self) -> Path | None:
        """JSON by state: emissions (lbs/MWh); the newest year's, None where the version ships none."""
        found = sorted(self.folder.glob("private_infra/[0-9][0-9][0-9][0-9]/usa_emissions.json"))
        return found[-1] if found else None


def codecarbon_tables() -> CodeCarbonTables | None:
    """The tables of the installed CodeCarbon, or None where it is not installed."""
    folder = installed_folder("codecarbon")
    return CodeCarbonTables(folder / "data", importlib.metadata.version("codecarbon")) if folder is not None else None


@dataclass(frozen=True)
class Intensity:
    """Grams of CO2e for a kilowatt-hour from a region's grid."""

    region: str
    range: Range
    year: str
    """Of the data, not of its publication."""
    source: str
    bounds: str
    """What the low and high bound are."""

    def describe(self) -> dict[str, object]:
        """The JSON form that stands in an evidence's protocol."""
        words = {"region": self.region, "year": self.year, "bounds": self.bounds, "source": self.source}
        return asdict(self.range) | {"unit": "g CO2e/kWh"} | words


@dataclass(frozen=True)
class Emissions:
    """Grams of CO2e and what they were computed from."""

    grams: Range
    joules: Range
    """Before PUE."""
    pue: Assumption
    intensity: Intensity


def emissions(joules: Range, intensity: Intensity, pue: Assumption | None = None) -> Emissions:
    """Grams of CO2e of energy drawn by the computer; the PUE is that of an evaluation where none is given."""
    pue = pue or assumptions()["pue.evaluation"]
    grams = joules * (1 / JOULES_PER_KWH) * pue.range * intensity.range
    return Emissions(grams, joules, pue, intensity)


def training_emissions(devices: int, hours: Range, watts: Assumption, intensity: Intensity) -> Emissions:
    """Grams of CO2e of a training run from documented devices and hours and assumed power, PUE and grid.

    Args:
        devices: accelerators that ran for `hours`.
        hours: wall-clock hours of the run.
        watts: power of one device.
        intensity: of the region where it ran; the world's where undisclosed.

    The PUE is that of an undisclosed data centre in 2020.
    """
    joules = watts.range * hours * float(devices * 3600)
    return emissions(joules, intensity, assumptions()["pue.training"])


def grid_intensity(region: str | None = None) -> Intensity:
    """Grid intensity of a region.

    Args:
        region: an ISO 3166 alpha-3 code or English name of a country ("FRA", "France"), a state of the USA as
            "USA/california"; None or "world" where it is not known.

    Raises:
        MissingInputError: a region is named and the tables are not installed.
        HarnessError: no table has this region; the nearest names are given.
    """
    if region is None or region.casefold() == "world":
        world = assumptions()["grid.world"]
        return Intensity(
            region="world (region not known)",
            range=world.range,
            year="2019 (value), 2023 (bounds)",
            source=world.source,
            bounds="2.5th and 97.5th percentile of the world's electricity by country",
        )
    tables = codecarbon_tables()
    if tables is None:
        raise MissingInputError(
            f"The grid intensity of '{region}' is in CodeCarbon's tables, which are not installed.",
            remedy="pip install codecarbon (its files are read, it is never run), or leave the region out.",
        )
    name, _, state = region.partition("/")
    mixes = _load(tables.energy_mix)
    codes = {code.casefold(): code for code in mixes}
    codes |= {entry["country_name"].casefold(): code for code, entry in mixes.items()}
    code = codes.get(name.casefold())
    if code is None:
        raise unknown_name("region", name, [*mixes, *(entry["country_name"] for entry in mixes.values())])
    mix = mixes[code]
    country = mix["country_name"]
    if not mix["carbon_intensity"]:
        raise MissingInputError(
            f"CodeCarbon's table has 0 g CO2e/kWh for {country}, which can't be true.",
            remedy="Leave the region out; the world's range then stands.",
        )
    value, states = float(mix["carbon_intensity"]), _states(tables)
    if not state:
        others, bounds = [], "the table's intensity and the one from its generation mix and per-source factors"
        if code == "USA" and states:
            others, bounds = list(states.values()), "the states' lowest and highest"
        every = [value, _from_mix(mix, _load(tables.intensity_per_source)), *others]
        source = f"CodeCarbon {tables.version}, {tables.energy_mix.name}"
        return Intensity(country, Range(min(every), value, max(every)), str(mix["year"]), source, bounds)
    if code != "USA" or state.casefold() not in states:
        raise unknown_name("region", f"{code}/{state}", [f"USA/{name}" for name in states])
    own, path = states[state.casefold()], tables.us_states
    assert path is not None  # the state was found in it
    return Intensity(
        region=f"{state.casefold()}, {country}",
        range=Range(min(own, value), own, max(own, value)),  # electricity crosses state lines
        year=path.parent.name,
        source=f"CodeCarbon {tables.version}, {path.parent.name}/{path.name}",
        bounds="the state's and the country's intensity",
    )


def _states(tables: CodeCarbonTables) -> dict[str, float]:
    """g CO2e/kWh by state of the USA; empty where this version of CodeCarbon ships no such table."""
    if tables.us_states is None:
        return {}
    return {
        name.casefold(): float(entry["emissions"]) * _KG_PER_POUND  # lb/MWh to g/kWh: the thousands cancel
        for name, entry in _load(tables.us_states).items()
        if not name.startswith("_")
    }


def _from_mix(entry: Mapping[str, Any], factors: Mapping[str, Any]) -> float:
    """g CO2e/kWh from terawatt-hours by source and each source's own factor."""
    grams = sum(entry[f"{source}_TWh"] * factors[_SOURCE_NAMES.get(source, source)] for source in _SOURCES)
    return grams / entry["total_TWh"]


def _load(path: Path) -> dict[str, Any]:
    return read_json(path)
