"""Where CodeCarbon's tables are, if the package is installed.

They are read as files and the package is never imported: its tracker looks its own location and version up over the
network, and it brings along a command line and an API client that nothing here needs.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from dataclasses import dataclass
from pathlib import Path


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
    spec = importlib.util.find_spec("codecarbon")
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(next(iter(spec.submodule_search_locations))) / "data"
    return CodeCarbonTables(folder=folder, version=importlib.metadata.version("codecarbon"))
