"""Tests that need the real material beside the checkout: marked, counted where it is absent, required on request."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]
TESTS = Path(__file__).parent


@pytest.fixture
def checkout(pytester: pytest.Pytester) -> Path:
    """A checkout with this repository's settings and two tests, one of which needs the material."""
    tests = pytester.path / "checkout" / "tests"
    tests.mkdir(parents=True)
    shutil.copy(TESTS / "conftest.py", tests)
    shutil.copy(TESTS.parent / "pyproject.toml", tests.parent)
    (tests / "test_two.py").write_text(
        "def test_plain(): pass\ndef test_real(shared_data): assert shared_data.is_dir()\n"
    )
    return tests.parent


def test_without_the_material_the_summary_says_how_many_were_skipped(pytester: pytest.Pytester, checkout: Path) -> None:
    result = pytester.runpytest("--rootdir", checkout, "-n", "0", checkout)
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["1 test that needs the real material in *shared was skipped"])


def test_a_skip_fails_where_the_material_is_required(pytester: pytest.Pytester, checkout: Path) -> None:
    result = pytester.runpytest("--rootdir", checkout, "-n", "0", "--require-shared", checkout)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*the real material in ../shared/data is not here*"])


def test_with_the_material_they_run_and_nothing_is_said(pytester: pytest.Pytester, checkout: Path) -> None:
    (checkout.parent / "shared" / "data").mkdir(parents=True)
    result = pytester.runpytest("--rootdir", checkout, "-n", "0", "-m", "shared", "--require-shared", checkout)
    result.assert_outcomes(passed=1, deselected=1)
    result.stdout.no_fnmatch_line("*real material*")
