"""`--precision auto`: measured once on the first images, remembered, seen in keys and protocol, the same on every start."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
from harness.inference import placing

from harness.evaluation.run import RunResult, run_suite
from harness.evaluation.suites import parse_suite
from harness.evidence import EvidenceClass, Ledger
from harness.models.registry import resolve
from harness.progress import Reporter
from harness.runtime.timing import Timings
from harness.settings import Settings

SUITE = """
name: photographs
title: The demo photographs
description: Twenty photographs.
benchmarks: [foolbox-imagenet-20]
metrics: [accuracy]
"""


def run(home: Path, **options: Any) -> RunResult:
    settings = Settings(home=home, data_home=None, offline=True, **{"precision": "auto", **options})
    return run_suite(
        resolve("efficientnet-lite0"), parse_suite(SUITE, Path("photographs.yaml")), settings, Reporter(quiet=True)
    )


@pytest.fixture
def _bf16_is_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each setting is timed as told; the forward passes whose answers are compared are real."""
    prepared: list[str] = []
    prepare = placing.choose.__globals__["prepare"]

    def remember(module: torch.nn.Module, setting: Any) -> Any:
        prepared.append(setting.precision)
        return prepare(module, setting)

    def measure(forward: object, images: torch.Tensor, budget: object) -> Timings:
        return Timings((0.5 if prepared[-1] == "bf16" else 1.0,) * 3, len(images), 0, "interval")

    monkeypatch.setattr("harness.runtime.execution.prepare", remember)
    monkeypatch.setattr("harness.runtime.execution.measure_throughput", measure)


@pytest.mark.usefixtures("_bf16_is_fast", "foolbox_images")
def test_the_chosen_precision_names_the_keys_and_a_second_start_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = run(tmp_path, limit=8).ledger
    top1, placement = ledger.get("foolbox-imagenet-20.top1:bf16"), ledger.get("compute.placement")
    assert ledger.get("foolbox-imagenet-20.top1") is None
    assert top1 is not None
    assert top1.protocol is not None
    assert top1.protocol["precision"] == "bf16"
    assert top1.command == "harness run --suite photographs.yaml --model efficientnet-lite0 --limit 8 --precision bf16"
    assert placement is not None
    assert placement.protocol is not None
    assert str(placement.value).startswith("bf16, ")
    assert placement.protocol["input"] == "the first 8 images of foolbox-imagenet-20"
    assert placement.command == (
        "harness run --suite photographs.yaml --model efficientnet-lite0 --limit 8 --precision auto"
    )
    timings = {trial["setting"]: trial.get("images_per_second") for trial in placement.protocol["trials"]}
    assert timings["fp32, contiguous, eager"] == 8.0
    assert timings["bf16, contiguous, eager"] == 16.0
    assert len(timings) == 8, "two precisions, two layouts, eager and compiled"
    agreement = ledger.get("compute.placement-agreement")
    assert agreement is not None
    assert agreement.value == 100.0
    assert ledger.get("compute.placement-logit-difference").value > 0  # type: ignore[union-attr, operator]

    def never(*_: object, **__: object) -> NoReturn:
        raise AssertionError("measured again although the choice is remembered")

    monkeypatch.setattr(placing, "choose", never)
    again = run(tmp_path, limit=8).ledger
    assert again.get("foolbox-imagenet-20.top1:bf16").value == top1.value  # type: ignore[union-attr]
    assert again.get("compute.placement").protocol == placement.protocol  # type: ignore[union-attr]
    assert again.get("energy.this-run") is None, "nothing was computed"


@pytest.mark.usefixtures("_bf16_is_fast", "foolbox_images")
def test_a_damaged_note_is_measured_again(tmp_path: Path) -> None:
    run(tmp_path, limit=2)
    (note,) = (tmp_path / "placements").glob("auto-*.json")
    whole = json.loads(note.read_text())
    note.write_text("{")
    run(tmp_path, limit=2)
    assert json.loads(note.read_text())["setting"] == whole["setting"]


def test_the_default_stays_fp32_and_tries_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> NoReturn:
        raise AssertionError("precisions were tried unasked")

    monkeypatch.setattr("harness.runtime.choosing.place_by_trial", never)
    ledger: Ledger = run(tmp_path, limit=2, precision="fp32", layout="channels_last").ledger
    assert ledger.get("compute.placement") is None
    assert ledger.get("foolbox-imagenet-20.top1").class_ is EvidenceClass.MEASURED  # type: ignore[union-attr]
