"""`harness check`: what passes, what fails, what is undecided, and what is said of each."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
import yaml

import harness
from harness.errors import ExitCode, HarnessError
from harness.evaluation.gate import Check, Verdict
from harness.evaluation.reader import read_predictions, stored_model
from harness.metrics.corruption import CorruptionErrors
from harness.metrics.paired import paired_counts, paired_interval
from harness.metrics.sampling import mce_weights
from tests.report.conftest import V2, Call, Store, ledger_of, right

TOP1 = f"{V2}.top1"
C = "imagenet-c"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Where `harness` is a command of this interpreter."""
    (tmp_path / "harness").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m harness "$@"\n')
    (tmp_path / "harness").chmod(0o755)
    return {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}


def flipped(outcomes: np.ndarray, *, lost: int = 0, gained: int = 0) -> np.ndarray:
    """The outcomes with the first right ones wrong, and the first wrong ones right."""
    changed = outcomes.copy()
    changed[np.flatnonzero(outcomes)[:lost]] = False
    changed[np.flatnonzero(~outcomes)[:gained]] = True
    return changed


@pytest.fixture
def pair(store: Store) -> Store:
    """Five models of 4,000 samples: `before`; `same`, which loses and gains 10; `worse` by 5 points; `doubtful` by 0.9; and
    `other`, made with another decoder."""
    before = right(4000, 0.75)
    store.ran("before", before)
    store.ran("same", flipped(before, lost=10, gained=10))
    store.ran("worse", flipped(before, lost=220, gained=20))
    store.ran("doubtful", flipped(before, lost=136, gained=100))
    store.ran("other", before, protocol={"decoder": "nvjpeg"})
    return store


def checked(model: str, limit: float = 1.0, **options: object) -> Check:
    return harness.check(model=model, baseline="before", max_drop={TOP1: limit}, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("model", "verdict", "code", "strict"),
    [
        ("same", Verdict.PASS, ExitCode.DONE, ExitCode.DONE),
        ("worse", Verdict.FAIL, ExitCode.CHECK_FAILED, ExitCode.CHECK_FAILED),
        ("doubtful", Verdict.UNDECIDED, ExitCode.INCOMPLETE, ExitCode.CHECK_FAILED),
    ],
)
def test_each_verdict_has_its_exit_code(
    pair: Store, model: str, verdict: Verdict, code: ExitCode, strict: ExitCode
) -> None:
    found = checked(model)
    (row,) = found.checked
    assert (row.verdict, row.paired, row.n, found.exit_code) == (verdict, True, 4000, code)
    assert checked(model, strict=True).exit_code == strict
    assert row.low <= row.worse <= row.high
    assert (row.deciding_n is not None) == (verdict is Verdict.UNDECIDED)


def test_ledgers_alone_are_compared_by_their_intervals(pair: Store, tmp_path: Path) -> None:
    for name in ("before", "worse"):
        ledger = harness.Ledger.load(pair.home / "ledgers" / name / "evidence.json")
        ledger.save(tmp_path / f"{name}.json")
    for shards in (pair.home / "predictions").rglob("*.parquet"):
        shards.unlink()
    limits = {TOP1: 1.0, f"{V2}.nll": 1.0, f"{V2}.top5": 20}
    found = harness.check(tmp_path / "worse.json", baseline=tmp_path / "before.json", max_drop=limits)
    assert [row.paired for row in found.checked] == [False] * 3
    assert [row.verdict for row in found.checked] == [Verdict.FAIL, Verdict.PASS, Verdict.PASS]
    nll = found.checked[1]
    assert nll.worse == pytest.approx((nll.new or 0) - (nll.baseline or 0))  # less is better


@pytest.mark.slow  # 150 conditions
def test_mce_is_paired_over_all_cells(store: Store) -> None:
    """The paired difference is that of the two ledgers, and its interval far narrower: the same images are hard for both."""
    for at, (corruption, severity) in enumerate(mce_weights()):
        before = right(200, 0.6, at)
        for name, outcomes in {"before": before, "new": flipped(before, lost=4, gained=2)}.items():
            options = {"benchmark": C, "condition": f"{corruption}/{severity}", "metrics": ("accuracy", "corruption")}
            store.ran(name, outcomes, **options)
    sides = {name: stored_model(name, store.home) for name in ("before", "new")}
    values = {}
    for name, model in sides.items():
        correct = {}
        for where, stored in model.conditions.items():
            read = read_predictions(stored, store.settings, pytest.fail).predictions
            corruption, severity = where.split("/")[1:]
            correct[corruption, int(severity)] = read.top5[:, 0] == read.label
        estimate = CorruptionErrors(correct).mce()
        values[name] = estimate.value
        item = {
            "value": estimate.value,
            "interval": {"low": estimate.low, "high": estimate.high, "method": "bootstrap"},
        }
        made = {"key": f"{C}.mce", "class": "measured", "unit": "%", "n": 200, "N": 50_000, "protocol": {}} | item
        model.ledger.add([harness.Evidence.model_validate(made)])
    found = harness.check(sides["new"].ledger, baseline=sides["before"].ledger, max_drop={f"{C}.mce": 5})
    (row,) = found.checked
    assert row.worse == pytest.approx(values["new"] - values["before"])
    assert (row.paired, row.n, row.verdict) == (True, 200, Verdict.PASS)


def test_flips_are_counted_and_named(pair: Store) -> None:
    found = checked("worse", 10.0, max_flips="2%")
    top1, flips = found.checked
    assert (top1.verdict, flips.key, flips.verdict) == (Verdict.PASS, f"{V2}.flips", Verdict.FAIL)
    assert flips.worse == pytest.approx(100 * 220 / 4000)
    assert len(found.flips) == 20
    assert all(flip.new_answer == (flip.label + 1) % 1000 for flip in found.flips)


def test_another_protocol_fails_unless_it_is_allowed(pair: Store) -> None:
    (row,) = checked("other").checked
    assert row.verdict is Verdict.MISSING
    assert "decoder is nvjpeg for new, Pillow for baseline" in (row.reason or "")
    (row,) = checked("other", allow_different_protocols=True).checked
    assert row.verdict is Verdict.PASS
    assert "decoder" in (row.reason or "")


def test_another_version_of_the_benchmark_fails_unless_it_is_allowed(pair: Store) -> None:
    sides = []
    for data in ("a" * 64, "b" * 64):  # all 10,000 images, of two copies with other content
        ledger = harness.Ledger.load(pair.home / "ledgers" / "same" / "evidence.json")
        prints = ledger.evidence[0].fingerprints.model_copy(update={"data": data})
        update = {"n": 10_000, "fingerprints": prints, "protocol": {}}
        ledger.evidence = [item.model_copy(update=update) for item in ledger if item.key == TOP1]
        sides.append(ledger)
    first, other = sides
    (row,) = harness.check(other, baseline=first, max_drop={TOP1: 5}).checked
    assert (row.verdict, row.paired) == (Verdict.MISSING, False)
    assert "as of another version" in (row.reason or "")
    (row,) = harness.check(other, baseline=first, max_drop={TOP1: 5}, allow_different_protocols=True).checked
    assert row.verdict is Verdict.PASS
    assert [row.verdict for row in harness.check(first, baseline=first, max_drop={TOP1: 5}).checked] == [Verdict.PASS]


def test_a_baseline_of_another_model_is_named(pair: Store) -> None:
    assert "The baseline is of another model: before and worse." in checked("worse").notes
    assert not any(
        "another model" in note for note in harness.check(model="before", baseline="before", max_drop={TOP1: 1}).notes
    )


def test_a_missing_or_withheld_value_fails_by_name(pair: Store) -> None:
    ledger = harness.Ledger.load(pair.home / "ledgers" / "same" / "evidence.json")
    ledger.evidence = [item for item in ledger if item.key != TOP1]
    found = harness.check(ledger, baseline="before", max_drop={TOP1: 1.0})
    assert [(row.verdict, row.reason) for row in found.checked] == [
        (Verdict.MISSING, "the new model has no such evidence")
    ]
    assert found.exit_code is ExitCode.CHECK_FAILED


def test_many_limits_are_corrected_together(pair: Store) -> None:
    alone = checked("doubtful", 1.8).checked[0]
    many = harness.check(model="doubtful", baseline="before", max_drop={TOP1: 1.8, f"{V2}.top5": 1.8})
    assert many.checked[0].p_pass == 2 * alone.p_pass  # top5's p is the larger one


def test_top5_is_paired_as_top1_is(pair: Store) -> None:
    """The counts of both models' outcomes, from their predictions."""
    right = []
    for name in ("doubtful", "before"):
        stored = stored_model(name, pair.home).conditions[V2]
        read = read_predictions(stored, pair.settings, pytest.fail).predictions  # sorted by sample id
        right.append((read.top5 == read.label[:, None]).any(axis=1))
    (row,) = harness.check(model="doubtful", baseline="before", max_drop={f"{V2}.top5": 1.8}).checked
    assert row.paired
    assert row.worse == pytest.approx(100 * (right[1].mean() - right[0].mean()))
    expected = paired_interval(paired_counts(*right))
    assert (row.low, row.high) == (pytest.approx(-expected[1][0]), pytest.approx(-expected[0][0]))


def test_the_three_formats_say_the_same(pair: Store, tmp_path: Path, call: Call) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(f"max-drop: {{{V2}: 1.0}}\nmax-flips: 4%\n")  # top1 is meant
    arguments = ("check", "--model", "doubtful", "--baseline", "before", "--policy", policy)
    told = json.loads(call(*arguments, "--format", "json").stdout)
    assert [row["verdict"] for row in told["checked"]] == ["undecided", "undecided"]
    suite = ElementTree.fromstring(call(*arguments, "--format", "junit").stdout)
    cases = suite.findall(".//testcase")
    assert [case.get("name") for case in cases] == [f"{TOP1} may be worse by 1 %", f"{V2}.flips may be worse by 4 %"]
    assert [len(case.findall("skipped")) for case in cases] == [1, 1]
    strict = ElementTree.fromstring(call(*arguments, "--strict", "--format", "junit").stdout)
    assert len(strict.findall(".//failure")) == 2
    comment = call(*arguments, "--format", "markdown")
    assert comment.exit_code == ExitCode.INCOMPLETE
    assert comment.stdout.count("❔ undecided") == 2
    assert "samples would decide" in comment.stdout
    assert "<details><summary>Right before, wrong now</summary>" in comment.stdout


@pytest.mark.parametrize(
    ("arguments", "policy", "said"),
    [
        ((), None, "Nothing is limited"),
        (("--max-drop", "imagenet-val.top1"), None, "takes KEY=NUMBER"),
        (("--max-drop", f"{TOP1}=nan"), None, "takes KEY=NUMBER"),
        (("--max-drop", f"{V2}.topp1=1"), None, f"Did you mean {TOP1}"),
        (("--max-drop", f"{V2}.mean-confidence=1"), None, "neither more nor less is better"),
        (("--max-drop", f"{TOP1}=1", "--max-flips", "0.01"), None, "is a percentage such as 1%"),
        ((), "max_drop: {a: 1}", "Did you mean max-drop"),
        ((), "max-drop: {a: .nan}", "finite number"),
        ((), "[", "not valid YAML"),
    ],
)
def test_what_can_not_be_checked_is_refused(
    pair: Store, tmp_path: Path, arguments: tuple[str, ...], policy: str | None, said: str, call: Call
) -> None:
    if policy is not None:
        (tmp_path / "policy.yaml").write_text(policy)
        arguments = (*arguments, "--policy", str(tmp_path / "policy.yaml"))
    done = call("check", "--model", "same", "--baseline", "before", *arguments)
    assert done.exit_code == ExitCode.USAGE, done.output
    assert said in " ".join(done.output.split())


def test_an_empty_baseline_is_refused(pair: Store) -> None:
    with pytest.raises(HarnessError, match="no evidence of any benchmark"):
        harness.check(model="same", baseline=harness.Ledger(model={"name": "empty"}), max_drop={TOP1: 1.0})


@pytest.mark.slow  # three processes
@pytest.mark.parametrize(("model", "code"), [("worse", ExitCode.CHECK_FAILED), ("doubtful", ExitCode.DONE)])
def test_the_action_s_script_runs(
    pair: Store, tmp_path: Path, environment: dict[str, str], model: str, code: ExitCode
) -> None:
    action = yaml.safe_load((ROOT / ".github/actions/check/action.yml").read_text())
    (step,) = action["runs"]["steps"]
    (tmp_path / "policy.yaml").write_text(f"max-drop: {{{V2}: 1.0}}\n")
    ledgers = {"ledger": model, "baseline": "before"}
    given = {side: f"{pair.home}/ledgers/{name}/evidence.json" for side, name in ledgers.items()}
    given |= {"policy": "policy.yaml", "junit": "check.xml", "home": str(pair.home)}
    environment |= {name: given[value[len("${{ inputs.") : -len(" }}")]] for name, value in step["env"].items()}
    environment["GITHUB_STEP_SUMMARY"] = "summary.md"
    done = subprocess.run(
        ["bash", "-e", "-c", step["run"]], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr
    assert len(ElementTree.parse(tmp_path / "check.xml").findall(".//testcase")) == 1
    assert f"{TOP1}" in (tmp_path / "summary.md").read_text()
    assert ("::warning" in done.stdout) == (model == "doubtful")


@pytest.mark.slow  # a process for each card
def test_the_hook_fails_for_the_card_that_was_edited(tmp_path: Path, environment: dict[str, str]) -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    harness.render(ledger=ledger_of("mine", title="Mine"), output=tmp_path / "card.md")

    def run() -> subprocess.CompletedProcess[str]:
        words = [*shlex.split(hook["entry"]), "card.md", "card.md"]
        return subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    assert run().returncode == ExitCode.DONE
    edited = (tmp_path / "card.md").read_text().replace("# Mine", "# The best")
    (tmp_path / "card.md").write_text(edited)
    done = run()
    assert done.returncode == ExitCode.CHECK_FAILED
    assert done.stdout.count("line ") == 2
