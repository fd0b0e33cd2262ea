"""The command that is published beside a number names every option that decides it, and no path of this machine."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from harness.evaluation.provenance import _BENCHMARKING_OPTIONS, _OPTIONS, RunProvenance, public_text
from harness.evaluation.suites import load_suite
from harness.models.registry import resolve
from harness.settings import Settings

WITHOUT_A_DIGIT = {
    "home": "where things are kept",
    "data_home": "where data is looked for",
    "data": "named in the command, without its path",
    "offline": "whether anything may be fetched",
    "yes": "whether a person is asked",
    "shard_size": "tests/test_run.py shows that it changes nothing",
    "workers": "tests/test_run.py shows that it changes nothing",
    "executor": "tests/runtime/test_ray.py shows that it changes nothing",
    "compiled": "chosen by --precision auto only; part of the key of predictions",
}


def command(suite: str = "imagenet", model: str = "efficientnet-lite0", **options: Any) -> str:
    settings = Settings(home=Path("home"), data_home=None, offline=True, **options)
    return RunProvenance.of(resolve(model), load_suite(suite), settings, ["imagenet-val"]).command()


def test_every_setting_is_in_the_command_or_changes_no_number() -> None:
    names = {field.name for field in fields(Settings)}
    assert names == _OPTIONS.keys() | _BENCHMARKING_OPTIONS.keys() | WITHOUT_A_DIGIT.keys()


def test_defaults_make_a_short_command(tmp_path: Path) -> None:
    assert command() == "harness run --suite imagenet --model efficientnet-lite0"
    (tmp_path / "my model").mkdir()
    (tmp_path / "my model" / "config.json").write_text("{}")
    assert command(model=str(tmp_path / "my model")) == "harness run --suite imagenet --model 'FOLDER/my model'"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"data": {"imagenet-val": "/secret/val"}}, "--data imagenet-val=DIR"),
        ({"data": {"imagenet-a": "/secret/a"}}, ""),  # not read by this run
        ({"limit": 100, "batch_size": 8}, "--limit 100 --batch-size 8"),
        ({"corruption_jpeg": False, "corruption_seed": 7}, "--no-corruption-jpeg --corruption-seed 7"),
        ({"slices": Path("/secret/my slices.csv"), "by": ("a", "b c")}, "--slices 'my slices.csv' --by a --by 'b c'"),
        ({"device": "cuda", "precision": "bf16"}, "--device cuda --precision bf16"),
        ({"sanity_gate": False}, "--no-sanity-gate"),
        ({"region": "FRA", "seconds": 3.0}, ""),  # nothing is benchmarked
    ],
)
def test_an_option_that_decides_a_number_is_named(options: dict[str, Any], expected: str) -> None:
    assert command(**options).removeprefix(command()).strip() == expected


def test_options_of_benchmarking_are_named_where_something_is_benchmarked() -> None:
    options = {"input_size": ((1280, 800), (512, 512)), "region": "USA/new york", "seconds": 3.0}
    assert command("compute", "regnet-y-040", **options) == (
        "harness run --suite compute --model regnet-y-040 --input-size 1280x800 --input-size 512x512 "
        "--region 'USA/new york' --seconds 3"
    )


def test_text_for_the_ledger_keeps_only_the_last_part_of_a_path() -> None:
    assert public_text("Can't read /home/me/val/x.jpg: gone; see ~/a/b.") == "Can't read …/x.jpg: gone; see …/b."
    assert public_text("https://example.org/a/b and imagenet-c/fog/3") == "https://example.org/a/b and imagenet-c/fog/3"
