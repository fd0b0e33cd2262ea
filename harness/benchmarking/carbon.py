"""From joules to grams of CO2e: energy × PUE × grid intensity, each with its bounds.

Grid intensities come from the tables that an installed CodeCarbon carries (annual averages, life-cycle, by country;
direct emissions by state for the USA), read as files. Without a region the world's range stands, which needs no
package. Nothing here asks the network where this machine is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.benchmarking.codecarbon_tables import CodeCarbonTables, codecarbon_tables
from harness.benchmarking.ranges import Assumption, Range, assumptions
from harness.errors import MissingInputError, unknown_name

JOULES_PER_KWH = 3.6e6
_KG_PER_POUND = 0.45359237

# The energy mix's words for sources of electricity where the intensity table uses another one.
_SOURCE_NAMES = {"gas": "natural_gas", "oil": "petroleum"}
_SOURCES = ("coal", "gas", "oil", "nuclear", "hydroelectricity", "solar", "wind", "biofuel")


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
        return {
            "region": self.region,
            "value": self.range.value,
            "low": self.range.low,
            "high": self.range.high,
            "unit": "g CO2e/kWh",
            "year": self.year,
            "bounds": self.bounds,
            "source": self.source,
        }


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
        return _world()
    tables = codecarbon_tables()
    if tables is None:
        raise MissingInputError(
            f"The grid intensity of '{region}' is in CodeCarbon's tables, which are not installed.",
            remedy="pip install codecarbon (its files are read, it is never run), or leave the region out.",
        )
    country, _, part = region.partition("/")
    mixes = _load(tables.energy_mix)
    code = _country_code(country, mixes)
    return _state(code, part, mixes, tables) if part else _country(code, mixes, tables)


def _world() -> Intensity:
    world = assumptions()["grid.world"]
    return Intensity(
        region="world (region not known)",
        range=world.range,
        year="2019 (value), 2023 (bounds)",
        source=world.source,
        bounds="2.5th and 97.5th percentile of the world's electricity by country",
    )


def _country_code(name: str, mixes: Mapping[str, Any]) -> str:
    codes = {code.casefold(): code for code in mixes}
    codes |= {entry["country_name"].casefold(): code for code, entry in mixes.items()}
    code = codes.get(name.casefold())
    if code is None:
        known = [f"{code}" for code in mixes] + [entry["country_name"] for entry in mixes.values()]
        raise unknown_name("region", name, known)
    if not mixes[code]["carbon_intensity"]:
        raise MissingInputError(
            f"CodeCarbon's table has 0 g CO2e/kWh for {mixes[code]['country_name']}, which can't be true.",
            remedy="Leave the region out; the world's range then stands.",
        )
    return code


def _country(code: str, mixes: Mapping[str, Any], tables: CodeCarbonTables) -> Intensity:
    """The country's published intensity; the bounds take in what its mix gives and, for the USA, its states."""
    entry = mixes[code]
    value = float(entry["carbon_intensity"])
    candidates = [value, _from_mix(entry, _load(tables.intensity_per_source))]
    bounds = "the table's intensity and the one from its generation mix and per-source factors"
    states = _states(tables) if code == "USA" else {}
    if states:
        candidates += list(states.values())
        bounds = "the states' lowest and highest"
    return Intensity(
        region=entry["country_name"],
        range=Range(min(candidates), value, max(candidates)),
        year=str(entry["year"]),
        source=f"CodeCarbon {tables.version}, {tables.energy_mix.name}",
        bounds=bounds,
    )


def _state(code: str, name: str, mixes: Mapping[str, Any], tables: CodeCarbonTables) -> Intensity:
    """A state's intensity; the bounds reach to the country's, since electricity crosses state lines."""
    states = _states(tables) if code == "USA" else {}
    if name.casefold() not in states:
        raise unknown_name("region", f"{code}/{name}", [f"USA/{state}" for state in _states(tables)])
    value = states[name.casefold()]
    country = float(mixes[code]["carbon_intensity"])
    path = tables.us_states
    assert path is not None  # a state was found in it
    return Intensity(
        region=f"{name.casefold()}, {mixes[code]['country_name']}",
        range=Range(min(value, country), value, max(value, country)),
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
    return json.loads(path.read_text(encoding="utf-8"))
