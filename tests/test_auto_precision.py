"""`--precision auto`: measured once on the first images, remembered, seen in keys and protocol, the same on every start."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.evaluation.run import RunResult, run_suite
from harness.evaluation.suites import parse_suite
from harness.evidence import EvidenceClass, Ledger
from harness.models.registry import resolve
from harness.progress import Reporter
from harness.runtime import choosing
from harness.runtime.execution import ExecutionConfig
from harness.runtime.network import Forward, prepare
from harness.runtime.timing import Timings
from harness.settings import Settings
from tests.conftest import PHOTOGRAPHS

CHOOSE = "harness.evaluation.predicting.choose"


def run(home: Path, **options: Any) -> RunResult:
    settings = Settings(home=home, data_home=None, offline=True, **{"precision": "auto", **options})
    suite = parse_suite(PHOTOGRAPHS, Path("photographs.yaml"))
    return run_suite(resolve("efficientnet-lite0"), suite, settings, Reporter(quiet=True))


@pytest.fixture
def _bf16_is_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each way to run is timed as told; the forward passes whose answers are compared are real."""
    prepared: list[str] = []

    def remember(module: torch.nn.Module, config: ExecutionConfig) -> Forward:
        prepared.append(config.precision)
        return prepare(module, config)

    def measure(forward: object, images: torch.Tensor, budget: object) -> Timings:
        return Timings((0.5 if prepared[-1] == "bf16" else 1.0,) * 3, len(images), 0, "interval")

    monkeypatch.setattr(choosing, "prepare", remember)
    monkeypatch.setattr(choosing, "measure_throughput", measure)
    monkeypatch.setattr(choosing, "CLEARLY_SLOWER", 1e9)
    monkeypatch.setattr(choosing, "SHARE_OF_RUN", 1e3)  # eight images pay for no choice
    monkeypatch.setattr(choosing, "COMPILE_SECONDS", 1e9)


@pytest.mark.slow
@pytest.mark.usefixtures("_bf16_is_fast", "foolbox_images")
def test_the_chosen_precision_names_the_keys_and_a_second_start_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = run(tmp_path, limit=8).ledger
    top1, execution = ledger.get("foolbox-imagenet-20.top1:bf16"), ledger.get("compute.execution")
    assert ledger.get("foolbox-imagenet-20.top1") is None
    assert top1.protocol["precision"] == "bf16"
    assert top1.command == (
        "harness run --suite photographs.yaml --model efficientnet-lite0 --limit 8 --precision bf16 --layout channels_last"
    )
    assert str(execution.value).startswith("bf16, ")
    assert execution.protocol["input"] == "the first 8 images of foolbox-imagenet-20"
    assert execution.command == (
        "harness run --suite photographs.yaml --model efficientnet-lite0 --limit 8 --precision auto"
    )
    timings = {trial["config"]: trial.get("images_per_second") for trial in execution.protocol["trials"]}
    assert timings["fp32, contiguous, eager"] == 8.0
    assert timings["bf16, channels_last, eager"] == 16.0
    assert len(timings) == 5, "the reference, and two precisions eager and compiled"
    agreement = ledger.get("compute.execution-agreement")
    assert agreement.value == 100.0
    assert ledger.get("compute.execution-logit-difference").value > 0

    monkeypatch.setattr(CHOOSE, lambda *_, **__: pytest.fail("measured again although the choice is remembered"))
    again = run(tmp_path, limit=8).ledger
    assert again.get("foolbox-imagenet-20.top1:bf16").value == top1.value
    assert again.get("compute.execution").protocol == execution.protocol
    assert again.get("energy.this-run") is None, "nothing was computed"


@pytest.mark.slow
@pytest.mark.usefixtures("_bf16_is_fast", "foolbox_images")
def test_a_damaged_note_is_measured_again(tmp_path: Path) -> None:
    run(tmp_path, limit=2)
    (note,) = (tmp_path / "choices").glob("*.json")
    whole = json.loads(note.read_text())
    note.write_text("{")
    run(tmp_path, limit=2)
    assert json.loads(note.read_text())["config"] == whole["config"]


def test_the_default_stays_fp32_and_tries_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CHOOSE, lambda *_, **__: pytest.fail("precisions were tried unasked"))
    ledger: Ledger = run(tmp_path, limit=2, precision="fp32").ledger
    assert ledger.get("compute.execution") is None
    assert ledger.get("foolbox-imagenet-20.top1").class_ is EvidenceClass.MEASURED


@pytest.mark.usefixtures("foolbox_images")
def test_a_run_too_short_for_a_choice_takes_the_default_and_says_so(tmp_path: Path) -> None:
    ledger = run(tmp_path, limit=2, layout="auto").ledger
    execution = ledger.get("compute.execution")
    assert execution.value == "fp32, channels_last, eager"
    assert execution.reason == "choosing would take more than 5% of a run of 2 images"
    assert ledger.get("compute.execution-agreement") is None
    assert ledger.get("foolbox-imagenet-20.top1").class_ is EvidenceClass.MEASURED


@pytest.mark.slow
@pytest.mark.usefixtures("_bf16_is_fast", "foolbox_images")
def test_a_precision_that_was_asked_for_is_kept_however_little_it_agrees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choosing, "MINIMUM_AGREEMENT", 2.0)
    ledger = run(tmp_path, limit=2, precision="bf16", layout="auto").ledger
    assert ledger.get("foolbox-imagenet-20.top1:bf16") is not None
    assert ledger.get("foolbox-imagenet-20.top1") is None
    assert str(ledger.get("compute.execution").value).startswith("bf16, ")
