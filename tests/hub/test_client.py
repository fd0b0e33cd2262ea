"""What harness takes from the inside of the Hub's client is in one module, and is there in the installed release."""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import CommitOperationAdd

import harness

PACKAGE = Path(harness.__file__).parent
DOCUMENTED = {"huggingface_hub", "huggingface_hub.errors", "huggingface_hub.utils", "huggingface_hub.constants"}
"""Modules whose names the client's documentation has."""
UNDOCUMENTED = {
    "huggingface_hub.utils._http.default_client_factory": "giving the client its own session back",
    "huggingface_hub.utils._http.hf_request_event_hook": "offline mode and request ids in our session",
    "huggingface_hub.utils.sha.git_hash": "telling whether a file on the Hub is ours",
}


def imports_from_the_client(source: str) -> set[str]:
    return {
        f"{node.module}.{alias.name}"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "huggingface_hub"
        for alias in node.names
        if node.module not in DOCUMENTED or alias.name.startswith("_")
    }


def test_one_module_uses_what_is_not_documented() -> None:
    sources = {path.relative_to(PACKAGE).as_posix(): path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")}
    found = {path: imports_from_the_client(text) for path, text in sources.items() if "huggingface_hub" in text}
    assert {path: names for path, names in found.items() if names} == {"hub/client.py": set(UNDOCUMENTED)}
    assert [path for path, text in sources.items() if "._should_ignore" in text] == ["hub/client.py"]


@pytest.mark.parametrize("name", UNDOCUMENTED)
def test_it_is_where_it_was(name: str) -> None:
    module, _, attribute = name.rpartition(".")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError):
        found = None
    assert callable(found), (
        f"huggingface_hub {huggingface_hub.__version__} no longer has {name}, which harness/hub/client.py needs for "
        f"{UNDOCUMENTED[name]}: look for what took its place, and set the bounds in pyproject.toml anew."
    )


def test_a_file_to_send_still_says_whether_it_is_ignored() -> None:
    assert hasattr(CommitOperationAdd("README.md", b"x"), "_should_ignore"), (
        f"CommitOperationAdd of huggingface_hub {huggingface_hub.__version__} no longer has _should_ignore, by which "
        "harness/hub/client.py knows what a repository's .gitignore keeps out."
    )
