"""Values computed again from stored predictions, and the verb that says what differs, on a real run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.errors import ExitCode
from harness.evaluation.recheck import recheck
from harness.evidence import Ledger
from harness.models.loading import LoadedModel
from harness.settings import Settings
from tests.conftest import PHOTOGRAPHS, LabelledPhotograph


@pytest.fixture(scope="module")
def run_once(
    lite0: LoadedModel, foolbox_images: list[LabelledPhotograph], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder with a run of EfficientNet-Lite0 on 20 photographs in `out`, and its store in `home`."""
    folder = tmp_path_factory.mktemp("run")
    suite = folder / "suite.yaml"
    suite.write_text(PHOTOGRAPHS)
    arguments = ["run", "--suite", str(suite), "--model", "efficientnet-lite0", "--layout", "contiguous"]
    result = CliRunner().invoke(
        app, [*arguments, "--output", str(folder / "out")], env={"HARNESS_HOME": str(folder / "home")}
    )
    assert result.exit_code in (ExitCode.DONE, ExitCode.INCOMPLETE)
    return folder


@pytest.fixture
def ran(run_once: Path, home: Path, tmp_path: Path) -> Path:
    """What the run wrote and its store, for a test to edit: the folder of the card and the ledger."""
    shutil.copytree(run_once / "home", home)
    return shutil.copytree(run_once / "out", tmp_path / "out")


def verify(card: Path, *options: str) -> tuple[int, dict]:
    result = CliRunner().invoke(app, ["verify", str(card), "--format", "json", *options])
    return result.exit_code, json.loads(result.stdout) if result.stdout else {"stderr": result.stderr}


def edited(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def test_a_run_verifies_and_edits_of_card_and_ledger_are_found(ran: Path, home: Path) -> None:
    code, found = verify(ran / "card.md")
    assert (code, found["findings"]) == (ExitCode.DONE, [])
    assert found["checked"]["from predictions"] >= 7
    again = recheck(Ledger.load(ran / "evidence.json"), Settings(home=home), lambda message: None)
    assert "foolbox-imagenet-20.top1" in again.same
    assert again.differences == {}

    edited(ran / "card.md", "Top-1 accuracy, 90 %", "Top-1 accuracy, 95 %")
    code, found = verify(ran / "card.md")
    assert code == ExitCode.CHECK_FAILED
    assert [finding["key"] for finding in found["findings"]] == ["foolbox-imagenet-20.top1"]
    edited(ran / "card.md", "Top-1 accuracy, 95 %", "Top-1 accuracy, 90 %")

    edited(ran / "evidence.json", '"value": 90.0', '"value": 95.0')
    code, found = verify(ran / "card.md")
    assert code == ExitCode.CHECK_FAILED
    messages = [finding["message"] for finding in found["findings"]]
    assert any("the stored predictions give 90.0" in message for message in messages)
    assert any("Wilson interval of 19 in 20" in message for message in messages)


def test_elsewhere_card_and_ledger_are_enough_and_what_was_not_rechecked_is_said(
    ran: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "elsewhere"))
    code, found = verify(ran / "card.md")
    assert (code, found["findings"]) == (ExitCode.DONE, [])
    assert found["checked"]["from predictions"] == 0
    assert any("lack of stored predictions" in note and "top1" in note for note in found["notes"])


def test_missing_files_and_unknown_cards_name_the_remedy(ran: Path, tmp_path: Path) -> None:
    (ran / "evidence.json").unlink()
    code, found = verify(ran / "card.md")
    assert code == ExitCode.MISSING
    assert "--ledger" in found["stderr"]
    plain = tmp_path / "plain.md"
    plain.write_text("# A card\n")
    assert verify(plain)[0] == ExitCode.USAGE
    assert verify(tmp_path / "none.md")[0] == ExitCode.USAGE


def test_a_filled_card_goes_with_its_ledger_and_the_record_of_the_fill(ran: Path, tmp_path: Path) -> None:
    card, filled, fill = tmp_path / "card.md", tmp_path / "filled.md", tmp_path / "filled.fill.json"
    card.write_text(
        "# Evaluation\n\n## Results\n\n[More Information Needed]\n\n- **Parameters:** [More Information Needed]\n"
    )
    CliRunner().invoke(app, ["fill", str(card), "--model", "efficientnet-lite0", "--output", str(filled)])
    assert (tmp_path / "filled.evidence.json").is_file()
    assert json.loads(fill.read_text("utf-8"))["before"] == card.read_text("utf-8")
    assert verify(filled)[0] == ExitCode.DONE
    fill.unlink()
    code, found = verify(filled)
    assert (code, "filled.fill.json" in found["stderr"]) == (ExitCode.MISSING, True)


@pytest.mark.slow
def test_after_a_larger_run_in_the_same_store_a_smaller_run_s_card_is_rechecked(
    run_once: Path, home: Path, tmp_path: Path
) -> None:
    suite = str(run_once / "suite.yaml")
    base = ["run", "--suite", suite, "--model", "efficientnet-lite0", "--layout", "contiguous"]
    CliRunner().invoke(app, [*base, "--limit", "10", "--output", str(tmp_path / "ten")])
    CliRunner().invoke(app, [*base, "--output", str(tmp_path / "all")])
    for folder, n in (("ten", 10), ("all", 20)):
        ledger = Ledger.load(tmp_path / folder / "evidence.json")
        again = recheck(ledger, Settings(home=home), lambda message: None)
        top1 = ledger.get("foolbox-imagenet-20.top1")
        assert (top1.n, top1.key in again.same, again.differences) == (n, True, {})
