"""The command line: exit codes, messages, machine-readable output; no torch for help, no token in print."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from harness import __version__
from harness.data.catalog import benchmarks
from harness.data.slicings import slicings
from harness.errors import ExitCode
from harness.evaluation.suites import suite_names
from harness.models.registry import registered

VERBS = ("run", "plan", "list", "data", "doctor", "score", "predictions", "render", "demo", "compare", "report", "view")
TOKEN = "hf_secretsecretsecretsecretsecretsecret"


def ended(result: Result, code: ExitCode) -> str:
    """Checks the exit code and that nothing like a traceback was printed; gives stderr on one line."""
    assert result.exit_code == code, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.output
    return " ".join(result.stderr.split())


class TestHelp:
    @pytest.mark.slow
    @pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["run", "--help"], ["list", "models"], ["data"]])
    def test_what_needs_no_torch_imports_none(self, python: str, home: Path, arguments: list[str]) -> None:
        script = (
            "import sys\n"
            "from harness.cli import app\n"
            f"app({arguments!r}, standalone_mode=False)\n"
            "loaded = {'torch', 'timm', 'transformers', 'torchvision', 'datasets'} & sys.modules.keys()\n"
            "sys.exit(f'imported {loaded}' if loaded else 0)\n"
        )
        done = subprocess.run([python, "-c", script], capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (0, "")

    @pytest.mark.parametrize("verb", VERBS)
    def test_every_verb_explains_itself(self, call: Callable[..., Result], verb: str) -> None:
        assert "Usage" in call(verb, "--help").stdout

    def test_the_exit_codes_are_in_the_help(self, call: Callable[..., Result]) -> None:
        said = " ".join(call("--help").stdout.replace("│", " ").split())
        for code in ("0 done", "1 failed", "2 usage", "3 incomplete", "5 a check failed", "130 interrupted"):
            assert code in said

    def test_version(self, call: Callable[..., Result]) -> None:
        assert call("--version").stdout == f"harness {__version__}\n"


class TestUsage:
    RUN = ("run", "--suite", "imagenet", "--model", "regnet-y-040")

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["run", "--suite", "imagnet", "--model", "regnet-y-040"], "Unknown suite 'imagnet'"),
            (["plan", "--suite", "imagnet", "--model", "regnet-y-040"], "Did you mean imagenet?"),
            (["run", "--suite", "imagenet", "--model", "regnet-y-400"], "Did you mean regnet-y-040?"),
            (["run", "--suite", "imagenet", "--model", "timm:resnet50"], "names an architecture, not a checkpoint"),
            ([*RUN, "--data", "imagenet-val="], "--data imagenet-val= is not BENCHMARK=PATH"),
            ([*RUN, "--data", "imagenet-val"], "--data imagenet-val is not BENCHMARK=PATH"),
            ([*RUN, "--data", "./beans"], "Unknown benchmark 'beans'"),
            (["run", "--model", "regnet-y-040"], "Neither a suite nor data is given"),
            ([*RUN, "--data", "imagenet-val=a", "--data", "imagenet-val=b"], "--data imagenet-val is given twice"),
            ([*RUN, "--data", "imagenet-vall=a"], "Unknown benchmark 'imagenet-vall'"),
            ([*RUN, "--format", "xml"], "Unknown format 'xml'"),
            ([*RUN, "--limit", "0"], "limit is 0"),
            ([*RUN, "--batch-size", "many"], "--batch-size"),
            (["run", "--suite", "imagenet"], "--model"),
            (["list", "modles"], "Did you mean models?"),
            (["data", "imagnet-val"], "Did you mean imagenet-val"),
            (["predictions", "-m", "efficientnet-lite0", "-b", "imagenet-vall", "-o", "x.parquet"], "imagenet-val"),
            (["predictions", "-m", "efficientnet-lite0", "-b", "imagenet-val", "-o", "x.csv"], "in .parquet"),
            (["render"], "Give either --model or --ledger"),
            (["evaluate"], "No such command"),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, list) else "",
    )
    def test_a_mistake_is_said_in_a_sentence_with_exit_2(
        self, call: Callable[..., Result], arguments: list[str], said: str
    ) -> None:
        assert said in ended(call(*arguments), ExitCode.USAGE).replace("│ ", "")

    def test_a_mistake_leaves_nothing_behind(self, call: Callable[..., Result], tmp_path: Path) -> None:
        ended(call("run", "--suite", "imagnet", "--model", "regnet-y-040"), ExitCode.USAGE)
        ended(call("run", "--suite", "imagenet", "--model", "regnet-y-400"), ExitCode.USAGE)
        assert list(tmp_path.iterdir()) == []


class TestMissing:
    def test_a_plan_without_weights_or_data(self, call: Callable[..., Result]) -> None:
        result = call("plan", "--suite", "imagenet", "--model", "hf:no-such-org/no-such-model")
        ended(result, ExitCode.MISSING)
        assert "no-such-org/no-such-model are not on this machine, and this run is offline" in result.stdout
        assert "imagenet-val" in result.stdout

    def test_a_store_without_evidence(self, call: Callable[..., Result]) -> None:
        said = ended(call("render", "--model", "efficientnet-lite0"), ExitCode.MISSING)
        assert "The store has no evidence of efficientnet-lite0" in said

    def test_a_store_without_predictions(self, call: Callable[..., Result]) -> None:
        result = call("predictions", "-m", "efficientnet-lite0", "-b", "imagenet-val", "-o", "out.parquet")
        assert "No predictions of efficientnet-lite0 on imagenet-val are stored" in ended(result, ExitCode.MISSING)

    def test_a_ledger_that_is_none(self, call: Callable[..., Result], tmp_path: Path) -> None:
        path = tmp_path / "evidence.json"
        path.write_text("{}")
        assert "is not a ledger" in ended(call("render", "--ledger", path), ExitCode.USAGE)

    def test_an_output_folder_that_is_a_file(self, call: Callable[..., Result], tmp_path: Path) -> None:
        path = tmp_path / "out"
        path.write_text("mine")
        said = ended(call("run", "-s", "imagenet", "-m", "regnet-y-040", "--output", path), ExitCode.FAILED)
        assert f"Can't write {path}: File exists" in said
        assert "Choose another place with --output" in said
        assert path.read_text() == "mine"


class TestListings:
    @pytest.mark.parametrize(
        ("what", "names"),
        [("models", registered()), ("benchmarks", benchmarks()), ("suites", suite_names()), ("slicings", slicings())],
    )
    def test_everything_known_is_listed(self, call: Callable[..., Result], what: str, names: list[str]) -> None:
        table, data = call("list", what), call("list", what, "--format", "json")
        assert ended(table, ExitCode.DONE) == ended(data, ExitCode.DONE) == ""
        assert [record["name"] for record in json.loads(data.stdout)] == list(names)
        for name in names:
            assert name in table.stdout

    def test_no_runs_yet(self, call: Callable[..., Result]) -> None:
        assert call("list", "runs").stdout == "No runs yet.\n"
        assert json.loads(call("list", "runs", "--format", "json").stdout) == []

    def test_an_unreadable_record_of_a_run_is_set_aside(self, call: Callable[..., Result], home: Path) -> None:
        (home / "runs").mkdir(parents=True)
        (home / "runs" / "broken.json").write_text("{")
        assert "broken" not in call("list", "runs").stdout
        assert (home / "runs" / "broken.damaged").exists()

    def test_data_says_what_is_here_and_how_to_get_the_rest(self, call: Callable[..., Result], tmp_path: Path) -> None:
        records = {record["name"]: record for record in json.loads(call("data", "--format", "json").stdout)}
        assert set(records) == set(benchmarks())
        assert records["imagenet-val"]["where"] == "missing"
        assert records["imagenet-val"]["how to get"]
        assert records["imagenet-real"]["where"] == "scored from imagenet-val"
        folder = tmp_path / "val"
        folder.mkdir()
        result = call("data", "imagenet-val", "--data", f"imagenet-val={folder}", "--format", "json")
        assert json.loads(result.stdout)[0]["where"] == str(folder)


class TestDoctor:
    def test_it_checks_the_machine(self, call: Callable[..., Result], home: Path) -> None:
        result = call("doctor", "--format", "json")
        ended(result, ExitCode.DONE)
        report = json.loads(result.stdout)
        assert report["harness"] == __version__
        assert report["store"].startswith(f"{home} (writable, ")
        assert report["offline"] == "yes (HF_HUB_OFFLINE)"

    @pytest.mark.parametrize("output_format", ["table", "json"])
    def test_a_token_is_noticed_and_never_printed(
        self, call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, output_format: str
    ) -> None:
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        for arguments in (("doctor",), ("data",), ("list", "models"), ("plan", "-s", "imagenet", "-m", "regnet-y-040")):
            result = call(*arguments, "--format", output_format)
            assert result.exit_code in (ExitCode.DONE, ExitCode.MISSING)
            assert TOKEN not in result.output
            assert TOKEN[:12] not in result.output
            if arguments == ("doctor",):
                assert "present, from HF_TOKEN" in result.output


def test_an_interrupt_says_how_to_go_on(call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt() -> list[str]:
        raise KeyboardInterrupt

    monkeypatch.setitem(__import__("harness.evaluation.inventory", fromlist=["LISTINGS"]).LISTINGS, "models", interrupt)
    said = ended(call("list", "models"), ExitCode.INTERRUPTED)
    assert "the same command goes on from there" in said


def test_the_installed_command_is_this_program(python: str) -> None:
    command = Path(python).with_name("harness")
    if not command.exists():
        pytest.skip("the package is not installed as a command here")
    done = subprocess.run(
        [command, "--version"], capture_output=True, text=True, timeout=60, check=True, env=os.environ
    )
    assert done.stdout == f"harness {__version__}\n"
