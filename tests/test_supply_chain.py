"""The locked versions fit the bounds, and the shipped Action names others' by commit."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]


def test_the_lock_file_fits_every_bound() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [Requirement(line) for group in project["optional-dependencies"].values() for line in group]
    wanted += [Requirement(line) for line in project["dependencies"]]
    lines = (line for line in (ROOT / "requirements.lock").read_text().splitlines() if not line.startswith("#"))
    locked: dict[str, set[str]] = {}
    for line in lines:  # with one line for each kind of machine where versions differ
        requirement = Requirement(line)
        (exact,) = requirement.specifier
        assert exact.operator == "=="
        locked.setdefault(canonicalize_name(requirement.name), set()).add(exact.version)
    for requirement in wanted:
        versions = locked[canonicalize_name(requirement.name)]
        assert all(requirement.specifier.contains(version, prereleases=True) for version in versions), requirement


def test_what_is_private_comes_from_packages_with_an_upper_bound() -> None:
    """Names that begin with an underscore may move with any release; `harness/hub/client.py` says which others it uses."""
    lines = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    bounded = {r.name for r in map(Requirement, lines) if any(s.operator in ("<", "==") for s in r.specifier)}
    found = set()
    for path in (ROOT / "harness").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [f"{node.module}.{alias.name}" for alias in node.names] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            found |= {name.partition(".")[0] for name in names if re.search(r"(^|\.)_(?!_)", name)}
    assert {"huggingface_hub", "torch"} <= found
    assert found - {"harness", "re"} <= bounded, "`harness/cards/literals.py` does without Python's private parser, too"


def test_actions_of_others_are_named_by_commit() -> None:
    files = [*(ROOT / ".github").rglob("*.yml"), *(ROOT / ".github").rglob("*.yaml")]
    used = [use for file in files for use in re.findall(r"uses:\s*(\S+)", file.read_text())]
    assert [use for use in used if not use.startswith("harness-cards/") and not re.search(r"@[0-9a-f]{40}$", use)] == []
