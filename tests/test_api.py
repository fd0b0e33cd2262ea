"""The Python API: light to import, one function a verb with the same options, and the same ledger as the command line's."""

from __future__ import annotations

import hashlib
import inspect
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp
from typer.testing import CliRunner

import harness
from harness.cli import app
from harness.errors import ExitCode, HarnessError
from harness.evidence import Evidence, EvidenceClass, Ledger
from harness.models.loading import LoadedModel
from tests.conftest import PHOTOGRAPHS

FUNCTIONS: dict[str, Callable[..., object]] = {
    "check": harness.check,
    "claims": harness.claims,
    "compare": harness.compare,
    "corrupt": harness.corrupt,
    "costs": harness.costs,
    "data": harness.datasets,
    "demo": harness.demo,
    "doctor": harness.doctor,
    "export": harness.export_results,
    "fill": harness.fill,
    "identify": harness.identify,
    "list": harness.inventory,
    "plan": harness.plan,
    "predictions": harness.predictions,
    "pull": harness.pull,
    "push": harness.push,
    "render": harness.render,
    "report": harness.html_report,
    "run": harness.evaluate,
    "score": harness.score,
    "verify": harness.verify,
    "view": harness.view,
}

ONLY_PRINTING = {
    "output_format": set(FUNCTIONS),
    "disagreements": {"compare"},  # a method of what compare returns
    "output": {"compare"},  # where the table goes
    "diff": {"fill"},
    "yes": {"push"},  # no `confirm`
    "config": {"run", "plan"},  # in Python a dictionary's `**`
}
"""Options that say how results are shown, and the verbs that have them."""

ONLY_PYTHON = {
    "confirm": {"corrupt", "push", "run"},
    "preprocessing": {"run"},  # a module of one's own
    "name": {"run"},
}

OTHER_DEFAULT = {("fill", "output"), ("predictions", "output"), ("report", "output")}
"""Files that the command line always writes."""


def options_of(function: Callable[..., object]) -> dict[str, object]:
    return {name: parameter.default for name, parameter in inspect.signature(function).parameters.items()}


VERBS = {
    command.name or command.callback.__name__: command.callback
    for command in app.registered_commands
    if command.callback is not None
}


def test_every_verb_has_a_function() -> None:
    assert set(VERBS) == set(FUNCTIONS)


@pytest.mark.parametrize("verb", sorted(FUNCTIONS))
def test_a_verb_s_options_are_its_function_s_arguments(verb: str) -> None:
    options, arguments = options_of(VERBS[verb]), options_of(FUNCTIONS[verb])
    only_options = {name for name in options if verb in ONLY_PRINTING.get(name, ())}
    only_arguments = {name for name in arguments if verb in ONLY_PYTHON.get(name, ())}
    assert set(options) - only_options == set(arguments) - only_arguments
    for name in set(options) - only_options:
        if (verb, name) not in OTHER_DEFAULT:
            assert options[name] == arguments[name] or inspect.isclass(options[name]), name


@pytest.mark.parametrize("statement", ["import harness", "import harness.cli"])
def test_importing_is_cheap(python: str, statement: str) -> None:
    script = (
        f"import sys\n{statement}\n"
        "heavy = {'torch', 'numpy', 'pandas', 'pyarrow', 'scipy', 'pydantic', 'yaml', 'huggingface_hub'}\n"
        "sys.exit(f'imported {loaded}' if (loaded := heavy & sys.modules.keys()) else 0)\n"
    )
    done = subprocess.run([python, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_it_runs_as_a_module(python: str) -> None:
    done = subprocess.run(
        [python, "-m", "harness", "--version"], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == f"harness {harness.__version__}\n"


def test_all_names_are_there_to_complete() -> None:
    assert set(harness.__all__) <= set(dir(harness))
    assert all(getattr(harness, name) is not None for name in harness.__all__)
    assert (harness.Ledger, harness.Evidence, harness.EvidenceClass) == (Ledger, Evidence, EvidenceClass)
    with pytest.raises(AttributeError, match="no attribute 'evalute'"):
        harness.evalute  # noqa: B018


def test_a_published_model_keeps_its_own_preprocessing(home: Path) -> None:
    pixels = harness.Preprocessing(
        resize=36, crop=32, interpolation="bilinear", mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25)
    )
    with pytest.raises(HarnessError, match="a published model has them"):
        harness.evaluate("efficientnet-lite0", "imagenet", preprocessing=pixels)


def test_a_place_for_a_data_set_that_there_is_not(home: Path) -> None:
    with pytest.raises(HarnessError, match="Unknown benchmark 'imagenet-vall'"):
        harness.evaluate("efficientnet-lite0", "imagenet", data={"imagenet-vall": "val"})


Evaluated = tuple[harness.Evaluation, Path]


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory, lite0: LoadedModel) -> Evaluated:
    """The photographs, evaluated from Python and saved; with the folder that holds the store."""
    folder = tmp_path_factory.mktemp("evaluated")
    (folder / "photographs.yaml").write_text(PHOTOGRAPHS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_HOME", str(folder / "home"))
        patch.chdir(folder)
        result = harness.evaluate("efficientnet-lite0", "photographs.yaml", offline=True)
        result.save("saved")
    return result, folder


def evidence_of(path: Path) -> list[dict[str, object]]:
    """All that must be the same in two runs: without the times, and without the energy that each run consumed."""
    evidence = json.loads(path.read_text())["evidence"]
    return [e | {"created": ""} for e in evidence if not e["key"].startswith(("energy.", "carbon."))]


class TestEvaluation:
    def test_it_equals_what_the_command_line_writes(
        self, evaluated: Evaluated, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _, folder = evaluated
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        monkeypatch.chdir(folder)
        arguments = ["run", "-s", "photographs.yaml", "-m", "efficientnet-lite0", "-o", str(tmp_path / "out")]
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == ExitCode.DONE, done.output
        assert evidence_of(tmp_path / "out" / "evidence.json") == evidence_of(folder / "saved" / "evidence.json")
        names = {path.relative_to(tmp_path / "out") for path in (tmp_path / "out").rglob("*")}
        assert names == {path.relative_to(folder / "saved") for path in (folder / "saved").rglob("*")}

    def test_metrics_are_a_table(self, evaluated: Evaluated) -> None:
        table = evaluated[0].metrics()
        assert list(table.columns) == ["key", "value", "low", "high", "n", "N", "unit", "class"]
        top1 = table.set_index("key").loc["foolbox-imagenet-20.top1"]
        assert (top1["value"], top1["n"], top1["N"], top1["unit"], top1["class"]) == (90.0, 20, 20, "%", "measured")
        assert top1["low"] < 90 < top1["high"]
        assert len(table) == len(list(evaluated[0].ledger))

    def test_predictions_are_a_table_with_file_names(self, evaluated: Evaluated) -> None:
        table = evaluated[0].predictions("foolbox-imagenet-20")
        assert list(table.columns) == [
            "sample_id", "file_name", "label", "top1", "top2", "top3", "top4", "top5",
            "top1_logit", "top2_logit", "top3_logit", "top4_logit", "top5_logit",
            "target_logit", "logsumexp", "correct",
        ]  # fmt: skip
        assert table["correct"].sum() == 18  # the 90 % of the ledger
        assert (table["correct"] == (table["top1"] == table["label"])).all()
        assert (table["target_logit"] <= table["top1_logit"]).all()
        assert table["file_name"].str.endswith(".jpg").all()

    @pytest.mark.slow
    def test_kept_logits_give_calibration_after_temperature_scaling(
        self, evaluated: Evaluated, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _, folder = evaluated
        monkeypatch.setenv("HARNESS_HOME", str(folder / "home"))
        monkeypatch.chdir(folder)
        kept = harness.evaluate("efficientnet-lite0", "photographs.yaml", save_logits=True, offline=True)
        found = {item.key.removeprefix("foolbox-imagenet-20."): item for item in kept.ledger}
        fitted, scored = found["temperature"], found["nll:temperature-scaled"]
        assert (fitted.n or 0) + (scored.n or 0) == 20
        assert "--save-logits" in (scored.command or "")
        logits = {}
        for path in (folder / "home" / "predictions").rglob("*.parquet"):
            table = pd.read_parquet(path)
            if "logits" in table:
                logits |= {
                    i: (label, z) for i, label, z in zip(table.sample_id, table.label, table.logits, strict=True)
                }
        half = [i for i in logits if hashlib.sha256(f"fitted {i}".encode()).digest()[0] % 2 == 0]
        assert len(half) == fitted.n

        def loss(samples: list[str], temperature: float) -> float:
            z = [logits[i][1].astype(float) / temperature for i in samples]
            return float(np.mean([logsumexp(row) - row[logits[i][0]] for row, i in zip(z, samples, strict=True)]))

        best = minimize_scalar(lambda t: loss(half, t), bounds=(0.05, 20), method="bounded", options={"xatol": 1e-6})
        assert fitted.value == pytest.approx(best.x, rel=1e-4)
        others = [i for i in logits if i not in half]
        assert scored.value == pytest.approx(loss(others, fitted.number), rel=1e-4)

    def test_only_the_samples_of_this_evaluation_count(
        self, evaluated: Evaluated, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        result, folder = evaluated
        monkeypatch.setenv("HARNESS_HOME", str(folder / "home"))
        monkeypatch.chdir(folder)
        part = harness.evaluate("efficientnet-lite0", "photographs.yaml", limit=5, offline=True)
        some, every = (e.predictions("foolbox-imagenet-20") for e in (part, result))
        assert len(some) == 5
        pd.testing.assert_frame_equal(some, every[every["sample_id"].isin(some["sample_id"])].reset_index(drop=True))

    def test_a_module_of_one_s_own_is_evaluated_like_a_published_model(
        self, evaluated: Evaluated, lite0: LoadedModel, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        result, folder = evaluated
        monkeypatch.chdir(folder)
        own = harness.evaluate(
            lite0.module,
            "photographs.yaml",
            preprocessing=lite0.identity.preprocessing,
            labels="imagenet-1k",
            name="mine",
            offline=True,
        )
        pd.testing.assert_frame_equal(*(e.predictions("foolbox-imagenet-20") for e in (own, result)))
        for item in result.ledger:
            if item.name.benchmark == "foolbox-imagenet-20":
                same = own.ledger.get(item.key)
                assert (same.value, same.interval, same.n) == (item.value, item.interval, item.n)
        assert own.name == "mine"
        assert "evaluated as a network in memory" in own.card()

    def test_a_module_needs_its_preprocessing_and_labels(self, lite0: LoadedModel, home: Path) -> None:
        with pytest.raises(HarnessError, match="Give preprocessing="):
            harness.evaluate(lite0.module, "imagenet")

    def test_predictions_of_something_else_are_missing(self, evaluated: Evaluated) -> None:
        with pytest.raises(HarnessError, match=r"no predictions of imagenet-val[\s\S]*foolbox-imagenet-20"):
            evaluated[0].predictions("imagenet-val")
        with pytest.raises(HarnessError, match="Unknown benchmark"):
            evaluated[0].predictions("imagenet")

    def test_a_notebook_shows_it(self, evaluated: Evaluated) -> None:
        result, _ = evaluated
        assert "foolbox-imagenet-20.top1" in result._repr_html_()
        card = result.card()
        assert card.startswith("---\n")
        assert "(figures/" not in card._repr_markdown_()  # they are in the page itself

    def test_nothing_is_missing(self, evaluated: Evaluated) -> None:
        assert evaluated[0].missing == {}
        assert evaluated[0].exit_code is ExitCode.DONE


def test_one_is_taken_for_a_list_of_one(home: Path) -> None:
    with pytest.raises(HarnessError, match="Unknown slicing 'weathr'"):
        harness.evaluate("regnet-y-040", "imagenet", by="weathr", offline=True)
