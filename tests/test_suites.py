"""Suites: every shipped one loads; a fault is named with its line and the nearest known name."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.data.catalog import benchmarks, get_benchmark
from harness.errors import ExitCode, HarnessError
from harness.evaluation.run import run_suite
from harness.evaluation.suites import load_suite, suite_names
from harness.metrics.registry import METRIC_GROUPS
from harness.models.registry import resolve
from harness.progress import Reporter
from harness.settings import Settings

GOOD = """\
name: mine
title: My suite
description: What it is for.
benchmarks:
  - imagenet-val
  - name: imagenet-c
    corruptions: [fog, snow]
    severities: [1, 3]
metrics: [accuracy]
"""


@pytest.fixture
def write(tmp_path: Path):
    def write_suite(text: str, name: str = "mine.yaml") -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write_suite


def fault(path: Path) -> str:
    with pytest.raises(HarnessError) as caught:
        load_suite(str(path))
    assert caught.value.exit_code is ExitCode.USAGE
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_the_suites_that_the_readme_names_are_shipped() -> None:
    assert {"demo", "full", "imagenet", "robustness"} <= set(suite_names())


@pytest.mark.parametrize("name", suite_names())
def test_every_shipped_suite_loads_under_its_own_name(name: str) -> None:
    suite = load_suite(name)
    assert suite.name == name
    assert set(suite.metrics) <= set(METRIC_GROUPS)
    assert all(entry.conditions(get_benchmark(entry.name)) for entry in suite.benchmarks)


def test_full_holds_every_benchmark_that_is_published_as_a_score() -> None:
    named = {entry.name for entry in load_suite("full").benchmarks}
    left_out = set(benchmarks()) - named
    assert all("foolbox" in name or "generated" in name for name in left_out)


def test_a_suite_of_one_s_own_by_its_path(write) -> None:
    suite = load_suite(str(write(GOOD)))
    clean, corrupted = suite.benchmarks
    assert clean.conditions(get_benchmark("imagenet-val")) == (None,)
    assert corrupted.conditions(get_benchmark("imagenet-c")) == ("fog/1", "fog/3", "snow/1", "snow/3")


def test_a_path_needs_no_suffix_where_the_file_exists(write) -> None:
    assert load_suite(str(write(GOOD, "mine"))).name == "mine"


def test_a_benchmark_without_a_selection_runs_all_its_cells() -> None:
    entry = next(entry for entry in load_suite("robustness").benchmarks if entry.name == "imagenet-c")
    cells = entry.conditions(get_benchmark("imagenet-c"))
    assert len(cells) == 19 * 5  # 15 scored and 4 extra corruptions, 5 severities (Hendrycks and Dietterich 2019)
    assert cells == get_benchmark("imagenet-c").conditions


def test_an_unknown_suite_gets_the_nearest_name() -> None:
    with pytest.raises(HarnessError, match="Unknown suite 'robustnes'") as caught:
        load_suite("robustnes")
    assert "Did you mean robustness" in str(caught.value)
    assert "or give the path of a YAML file" in str(caught.value)
    assert caught.value.exit_code is ExitCode.USAGE


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("metrics: [accuracy]", "metrcs: [accuracy]", ["line 9", "metrcs", "Did you mean metrics?"]),
        ("    severities: [1, 3]", "    severity: [1, 3]", ["line 8", "severity", "Did you mean severities?"]),
        ("  - imagenet-val", "  - imagenet-vall", ["line 5", "Unknown benchmark 'imagenet-vall'", "imagenet-val"]),
        ("name: imagenet-c", "name: imagnet-c", ["line 6", "Unknown benchmark 'imagnet-c'", "imagenet-c"]),
        ("[accuracy]", "[accurracy]", ["line 9", "Unknown metric 'accurracy'", "Did you mean accuracy?"]),
        ("[fog, snow]", "[fogg, snow]", ["line 7", "Unknown corruption of imagenet-c 'fogg'", "fog"]),
        ("[1, 3]", "[1, 6]", ["line 8", "imagenet-c has no severity 6", "1, 2, 3, 4, 5"]),
        ("[1, 3]", "[1, high]", ["line 8", "severities"]),
        ("[1, 3]", "[]", ["line 8", "severities", "at least 1 item"]),
        ("title: My suite\n", "", ["title", "Field required"]),
        ("title: My suite", "title: [a", ["line 3", "not valid YAML"]),
        ("name: imagenet-c", "name: imagenet-a", ["line 6", "imagenet-a has no corruptions or severities"]),
        ("metrics: [accuracy]", "metrics: []", ["line 9", "metrics", "at least 1 item"]),
        ("  - imagenet-val", "  - imagenet-c", ["line 6", "imagenet-c is listed twice"]),
        ("metrics: [accuracy]", "metrics: [2024-13-01]", ["line 9", "'2024-13-01' is no timestamp"]),
        ("metrics: [accuracy]", "metrics: [accuracy]\npublished: [{key: a b, value: 1, model: m, title: t}]", ["line 10", "'a b' is not <benchmark>"]),
    ],
)  # fmt: skip
def test_a_fault_is_named_with_its_line(write, old: str, new: str, expected: list[str]) -> None:
    assert GOOD.count(old) == 1
    message = fault(write(GOOD.replace(old, new)))
    for part in expected:
        assert part in message


@pytest.mark.parametrize("text", ["", "- a list", "just text", "!!python/object/apply:os.getcwd []"])
def test_a_file_that_is_no_suite(write, text: str) -> None:
    fault(write(text))


def test_a_missing_or_binary_file_is_named(tmp_path: Path) -> None:
    assert "no such file" in fault(tmp_path / "absent.yaml")
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    fault(binary)


@pytest.mark.parametrize("name", ["../../mine", "a/b", "/etc/mine", "..", ".mine", "a" * 200])
def test_a_name_that_would_lead_out_of_its_folder(write, name: str) -> None:
    assert "name: String should match pattern" in fault(write(GOOD.replace("name: mine", f"name: {name}", 1)))


def test_two_published_values_of_one_result_are_refused_before_anything_runs(write, tmp_path: Path) -> None:
    values = [f"{{key: imagenet-val.top1, value: {value}, model: efficientnet-lite0, title: t}}" for value in (75, 76)]
    suite = load_suite(write(f"{GOOD}published: [{', '.join(values)}]\n"))
    with pytest.raises(HarnessError, match=r"two published values of imagenet-val\.top1"):
        run_suite(resolve("efficientnet-lite0"), suite, Settings(home=tmp_path, data_home=None), Reporter(quiet=True))
