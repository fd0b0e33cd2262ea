"""What people type without thinking: options by the names and in the forms of other tools, and options from a file."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import harness
from harness.cli import app
from harness.errors import ExitCode
from harness.settings import Settings
from tests.conftest import PHOTOGRAPHS


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "300"})


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Twenty photographs by way of a package; the rest of the suite is not here."""
    monkeypatch.chdir(tmp_path)
    Path("twenty.yaml").write_text(PHOTOGRAPHS)
    return "twenty.yaml"


@pytest.mark.parametrize(
    ("limit", "images"),
    [(0.1, 2), (0.07, 2), (0.35, 7), (5, 5), (100, 20), (1, 1)],  # 20 images; a share is rounded up, 0.35 x 20 is 7
)
def test_a_share_of_the_images(limit: float, images: int) -> None:
    assert Settings(limit=limit).images_of(20, corrupted=False) == images


@pytest.mark.parametrize("limit", [0.0, -0.1, 1.5, float("nan"), float("inf")])
def test_a_limit_that_is_neither_a_number_nor_a_share(home: Path, limit: float) -> None:
    with pytest.raises(harness.HarnessError, match="limit is"):
        harness.plan("efficientnet-lite0", "imagenet", limit=limit, probe=False)


def test_the_names_of_other_tools(home: Path, images: str) -> None:
    done = run(
        *("plan", "-s", images, "-m", "efficientnet-lite0", "-b", "8", "--limit", "0.1", "--dtype", "bfloat16"),
        *("--seed", "3", "--no-probe", "--offline", "--format", "json"),
    )
    assert done.exit_code == ExitCode.DONE, done.output
    planned = harness.plan(
        "efficientnet-lite0", images, batch_size=8, limit=0.1, precision="bfloat16", corruption_seed=3, probe=False
    )
    command = planned.plan.provenance.command()
    for option in ("--limit 0.1", "--batch-size 8", "--precision bf16", "--corruption-seed 3"):
        assert option in command
    assert planned.plan.conditions[0].images == 2


@pytest.mark.parametrize(
    ("option", "answer"),
    [
        (("--tasks", "imagenet"), "Give --suite NAME"),
        (("--model_args=pretrained=x",), "Give --model with the checkpoint itself"),
        (("--batch-size", "auto"), "--batch-size 256"),
        (("--batch_size", "8"), "--batch-size"),
        (("--dtype", "fp8"), "Known: auto, bf16, fp16, fp32, tf32"),
        (("--device", "mps"), "PyTorch finds no Apple GPU"),
        (("--config", "absent.yaml"), "absent.yaml can't be read"),
    ],
)
def test_what_differs_is_answered_with_what_to_type(
    home: Path, images: str, option: tuple[str, ...], answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torchvision  # noqa: F401 - looks into that function when it is imported

    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    done = run("run", "-s", images, "-m", "efficientnet-lite0", "--offline", *option)
    assert done.exit_code in (ExitCode.USAGE, ExitCode.MISSING)
    assert answer in " ".join(done.output.replace("│", " ").split())
    assert "Traceback" not in done.output


def test_a_verb_without_suites_names_its_own_options() -> None:
    said = run("export", "x", "--format", "eval-results", "--dataset", "org/x").output
    assert "--suite" not in said


class TestConfig:
    FILE = "model: efficientnet-lite0\nsuite: twenty.yaml\nlimit: 0.5\nprobe: false\noffline: true\ndata: {imagenet-val: here}\n"

    def test_options_of_the_file_hold_and_those_of_the_command_go_before(self, home: Path, images: str) -> None:
        Path("run.yaml").write_text(self.FILE)
        assert "10 of 20" in run("plan", "--config", "run.yaml").output
        assert "3 of 20" in run("plan", "--limit", "3", "--config", "run.yaml").output

    @pytest.mark.parametrize(
        ("text", "answer"),
        [
            ("limits: 3", "Did you mean limit?"),
            ("- limit", "is not a mapping"),
            ("limit: many", "--limit"),
            ("limit: .nan", "no finite number"),
            ("seed: 1\ncorruption-seed: 2", "another name of an option"),
            ("limit: [", "can't be read"),
        ],
    )
    def test_a_fault_in_the_file(self, home: Path, images: str, text: str, answer: str) -> None:
        Path("run.yaml").write_text(text)
        done = run("plan", "-m", "efficientnet-lite0", "-s", images, "--no-probe", "--config", "run.yaml")
        assert done.exit_code == ExitCode.USAGE
        assert answer in " ".join(done.output.replace("│", " ").split())
