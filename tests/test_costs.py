"""`harness costs`: the store's models, what each costs beside its accuracy; a figure and timm's table."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from harness.benchmarking.efficiency import accuracies_per_gmac
from harness.cards.render import render_card
from harness.cli import app
from harness.errors import ExitCode
from harness.evidence import Evidence, EvidenceClass, Interval, Ledger
from harness.store.ledgers import merge_into_store

HARDWARE = {"cpu": "A CPU", "threads": 2, "logical_cpus": 2, "virtual_machine": False, "cpu_capability": "AVX2"}
HARDWARE |= {"memory_bytes": 2**34}


def measured(key: str, value: float, protocol: dict[str, Any], unit: str | None = None) -> Evidence:
    interval = Interval(low=value - 1, high=value + 1, method="t")
    fields = {"class_": EvidenceClass.MEASURED, "interval": interval, "n": 80, "protocol": protocol, "unit": unit}
    return Evidence(key=key, value=value, **fields)


def ledger_of(name: str, *, top1: float | None, macs: int = 4_000_000_000, speed: float | None = 20.0) -> Ledger:
    derived = {"macs": macs, "activations": 12_000_000, "parameters": 20_000_000}
    items = [
        Evidence(key=f"compute.{what}", class_=EvidenceClass.DERIVED, value=n, protocol={"input_size": [3, 224, 224]})
        for what, n in derived.items()
    ]
    if top1 is not None:
        items.append(measured("imagenet-val.top1", top1, {}))
    if speed is not None:
        protocol = {
            "batch": 8,
            "precision": "fp32",
            "layout": "contiguous",
            "compiled": False,
            "steps": "forward pass only",
            "hardware": HARDWARE,
            "sweep": [{"batch": b, "images_per_second": speed * b / 8, "low": None, "high": None} for b in (4, 8)],
        }
        items.append(measured("compute.throughput", speed, protocol, unit="images/s"))
    return Ledger(model={"name": name, "title": name.title(), "reference": name}, evidence=items)


PENDING = Evidence(key="imagenet-val.top1", class_=EvidenceClass.PENDING, reason="no weights", command="harness run")


@pytest.fixture
def store(home: Path) -> Path:
    for ledger in (
        ledger_of("small", top1=70.0, macs=1_000_000_000, speed=80.0),
        ledger_of("large", top1=80.0),
        ledger_of("unmeasured", top1=None, speed=None),
        Ledger(model={"name": "never-here"}, evidence=[PENDING]),
    ):
        merge_into_store(home, ledger)
    return home


def call(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["costs", *arguments])
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.usefixtures("store")
def test_the_store_s_models_stand_side_by_side() -> None:
    code, out, _ = call("--format", "json")
    assert code == ExitCode.DONE
    records = {record["model"]: record for record in json.loads(out)}
    assert set(records) == {"small", "large", "unmeasured"}
    assert records["small"]["imagenet-val.top1"] == 70.0
    assert records["small"]["macs"] == 1_000_000_000
    assert records["large"]["images_per_second"] == 20.0
    assert records["unmeasured"]["imagenet-val.top1"] is None
    assert records["large"]["joules_per_1000_images"] is None
    assert "unmeasured" in call()[1]


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    ("cost", "expected"),
    [
        ("macs", "large: 80 (79 to 81) % at 4. small: 70 (69 to 71) % at 1."),
        ("time", "large: 80 (79 to 81) % at 50 (47.6 to 52.6)"),  # 1000 ms / 20, / 21 and / 19
    ],
)
def test_the_figure_and_the_table(tmp_path: Path, cost: str, expected: str) -> None:
    folder = tmp_path / "costs"
    code, _, err = call("--cost", cost, "--output", str(folder))
    assert code == ExitCode.DONE, err
    described = ElementTree.fromstring((folder / "accuracy-cost.svg").read_text())[1].text or ""
    assert expected in described
    assert "unmeasured" not in described
    rows = list(csv.DictReader((folder / "benchmark-infer.csv").read_text().splitlines()))
    assert [row["model"] for row in rows] == ["small", "large"]


def test_wrong_names_and_an_empty_store_are_named(home: Path, tmp_path: Path) -> None:
    code, _, err = call()
    assert (code, "No model has been run yet" in err) == (ExitCode.MISSING, True)
    code, _, err = call("--cost", "mac")
    assert (code, "Did you mean macs?" in err) == (ExitCode.USAGE, True)
    merge_into_store(home, ledger_of("unmeasured", top1=None))
    code, _, err = call("--output", str(tmp_path / "costs"))
    assert (code, "No model of the store has both imagenet-val.top1 and compute.macs" in err) == (
        ExitCode.MISSING,
        True,
    )


def test_accuracy_per_gmac_comes_with_the_second_run(home: Path) -> None:
    """Accuracy and multiply-adds may come from two runs; the merged ledger sets them side by side."""
    merge_into_store(home, ledger_of("small", top1=None))
    accuracy = [item for item in ledger_of("small", top1=80.0) if item.key == "imagenet-val.top1"]
    model = {"name": "small", "title": "Small", "reference": "small"}
    merged = Ledger.load(merge_into_store(home, Ledger(model=model, evidence=accuracy), accuracies_per_gmac))
    found = merged.get("imagenet-val.top1-per-gmac")
    assert found.value == 20.0
    technical = (card := render_card(merged).text).split("## Technical Specifications")[1]
    assert "Measured here on A CPU (2 threads), fp32, contiguous, the forward pass alone." in technical
    assert "per GMAC" not in card, "no reader of a card uses it"
