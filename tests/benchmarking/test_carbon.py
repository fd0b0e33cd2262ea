"""Grid intensities and grams: made-up tables by hand, the installed ones for what is published in them."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from harness.benchmarking.carbon import CodeCarbonTables, emissions, grid_intensity, training_emissions
from harness.benchmarking.ranges import Assumption, Range, assumptions
from harness.errors import HarnessError, MissingInputError

pytestmark = pytest.mark.usefixtures("_no_network")


def test_grams_by_hand() -> None:
    # 1 kWh · PUE 1.5 (1 to 2) at the world's 475 g (56.039 to 713.441).
    pue = Assumption("pue", Range(1.0, 1.5, 2.0), "", "", "made up")
    got = emissions(Range(1.8e6, 3.6e6, 7.2e6), grid_intensity(), pue)
    assert got.grams.value == pytest.approx(712.5)
    assert got.grams.low == pytest.approx(0.5 * 56.039)
    assert got.grams.high == pytest.approx(4 * 713.441)


def test_evaluations_use_the_evaluation_pue() -> None:
    assert emissions(Range.exact(1.0), grid_intensity()).pue == assumptions()["pue.evaluation"]


def test_training_of_regnety_040() -> None:
    # 8 V100 for 17.5 h at 300 W, PUE 1.59, 475 g/kWh: the upper end of the documented estimate, 31.7 kg.
    got = training_emissions(8, Range(16.8, 17.5, 17.5), assumptions()["watts.v100-sxm2-16gb"], grid_intensity())
    assert got.joules.value / 3.6e6 == pytest.approx(42.0)
    assert got.grams.value / 1000 == pytest.approx(31.7, abs=0.05)
    assert got.grams.low < 24_600 < got.grams.high  # its lower end, with the USA's 369 g/kWh


def test_country_by_code_and_by_name(written_tables: CodeCarbonTables) -> None:
    got = grid_intensity("AAA")
    assert got == grid_intensity("arcadia")
    # A quarter coal at 1000 g and three quarters wind at 20 g make 265 g; the table says 100 g.
    assert got.range == Range(100.0, 100.0, 265.0)
    assert got.year == "2023"
    assert "0.0-test" in got.source


def test_the_usas_bounds_are_its_states(written_tables: CodeCarbonTables) -> None:
    got = grid_intensity("USA").range
    # 100 and 2000 lb/MWh at 0.45359237 kg a pound; the mix alone would give 700 g.
    assert (got.low, got.value, got.high) == pytest.approx((45.359237, 370.0, 907.18474))


def test_a_states_bounds_reach_to_the_country(written_tables: CodeCarbonTables) -> None:
    cold, hot = grid_intensity("USA/Cold State").range, grid_intensity("USA/hot state").range
    assert (cold.low, cold.value, cold.high) == pytest.approx((45.359237, 45.359237, 370.0))
    assert (hot.low, hot.value, hot.high) == pytest.approx((370.0, 907.18474, 907.18474))


def test_zero_in_the_table_is_not_believed(written_tables: CodeCarbonTables) -> None:
    with pytest.raises(MissingInputError, match="0 g CO2e/kWh for Zembla"):
        grid_intensity("ZZZ")


@pytest.mark.parametrize(("name", "nearest"), [("Arcadai", "Arcadia"), ("USA/cold stat", "USA/cold state")])
def test_misspelt_regions(written_tables: CodeCarbonTables, name: str, nearest: str) -> None:
    with pytest.raises(HarnessError, match=nearest):
        grid_intensity(name)


def test_without_tables_only_the_world_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.benchmarking.carbon.codecarbon_tables", lambda: None)
    assert grid_intensity("world") == grid_intensity(None)
    with pytest.raises(MissingInputError, match="pip install codecarbon"):
        grid_intensity("FRA")


def test_tables_are_read_without_running_their_package(installed_tables: CodeCarbonTables) -> None:
    code = (
        "import sys; from harness.benchmarking.carbon import grid_intensity; grid_intensity('FRA');"
        "print(sorted({'codecarbon', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_world_assumption_follows_from_the_installed_tables(installed_tables: CodeCarbonTables) -> None:
    if installed_tables.version != "3.3.2":
        pytest.skip("the stated percentiles are those of CodeCarbon 3.3.2")
    mixes = json.loads(installed_tables.energy_mix.read_text()).values()
    rows = sorted((m["carbon_intensity"], m["total_TWh"]) for m in mixes if m["carbon_intensity"] > 0)
    total = sum(twh for _, twh in rows)

    def percentile(share: float) -> float:
        below = 0.0
        for intensity, twh in rows:
            below += twh / total
            if below >= share:
                return intensity
        raise AssertionError(share)

    world = assumptions()["grid.world"].range
    assert (world.low, world.high) == (percentile(0.025), percentile(0.975))
    factors = json.loads(installed_tables.intensity_per_source.read_text())
    assert world.value == factors["world_average"]


def test_installed_tables_have_the_published_usa(installed_tables: CodeCarbonTables) -> None:
    if installed_tables.version != "3.3.2":
        pytest.skip("369.473 g/kWh is the figure of CodeCarbon 3.3.2")
    assert grid_intensity("USA").range.value == 369.473
    for country in json.loads(installed_tables.energy_mix.read_text()):
        if country != "CAF":  # the one country with 0
            assert grid_intensity(country).range.low > 0
