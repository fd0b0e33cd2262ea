"""The README and the documentation: every command in them is run here, or says in a comment why it is not; the site builds."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer
import yaml
from typer.testing import CliRunner

from harness.cli import app
from harness.errors import ExitCode
from harness.labels.spaces import label_space
from tests.conftest import LabelledPhotograph

ROOT = Path(__file__).resolve().parents[1]
_BLOCK = re.compile(
    r"(?:<!-- not run here: (?P<why>[^>]+) -->\n)?^```(?P<language>bash|python|console)\n(?P<text>.*?)^```", re.M | re.S
)
CARD = """# Model card

## Training

Epochs: [More Information Needed]

Batch size: [More Information Needed]
"""


class Example(NamedTuple):
    page: str
    line: int
    language: str
    text: str
    why: str | None


def pages(node: object) -> Iterator[Path]:
    """The site's pages in the order of its navigation, as far as they are files."""
    if isinstance(node, str):
        if (path := ROOT / "docs" / node).is_file():
            yield path
    else:
        for part in node.values() if isinstance(node, dict) else node:
            yield from pages(part)


def examples() -> list[Example]:
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    found = []
    for path in (ROOT / "README.md", *pages(nav)):
        text = path.read_text(encoding="utf-8")
        for match in _BLOCK.finditer(text):
            line = text.count("\n", 0, match.start("text")) + 1
            found.append(Example(path.name, line, match["language"], match["text"], match["why"]))
    return found


def commands(example: Example) -> list[str]:
    lines = example.text.splitlines()
    if example.language == "console":
        lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    return [part for line in lines for part in re.split(r"\s+&&\s+|\s+#\s.*$", line) if part.strip()]


def test_each_command_names_verbs_and_options_that_there_are() -> None:
    verbs: Any = typer.main.get_command(app)
    for example in examples():
        for command in commands(example) if example.language != "python" else ():
            words = shlex.split(command)
            if words[0] == "harness":
                verb = verbs.commands[words[1]]
                known = {name for parameter in verb.params for name in (*parameter.opts, *parameter.secondary_opts)}
                named = {word.partition("=")[0] for word in words[2:] if word.startswith("-")}
                assert named <= known, f"{example.page}:{example.line}: {command}"


def test_each_extra_that_is_named_exists() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")):
        for named in re.findall(r"pip install -e '\.\[([a-z0-9,-]+)\]'", path.read_text(encoding="utf-8")):
            assert set(named.split(",")) <= set(extras), path


def test_what_the_readme_links_to_is_there() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 120
    linked = [target for target in re.findall(r"\]\(([^)#\s]+)", text) if "://" not in target]
    assert "docs/images/card.png" in linked
    assert not [target for target in linked if not (ROOT / target).exists()]


@pytest.fixture
def desk(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, foolbox_images: list[LabelledPhotograph]) -> Path:
    """A folder with what the pages speak of: a small copy of the validation set, a card, a photograph."""
    folder = tmp_path / "desk"
    synsets = label_space("imagenet-1k").classes
    for number, photograph in enumerate(foolbox_images):
        place = folder / "val" / synsets[photograph.label]
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number:02}.jpg").write_bytes(photograph.data)
    (folder / "photo.jpg").write_bytes(foolbox_images[0].data)
    for name in ("README.md", "card.md"):
        (folder / name).write_text(CARD)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.slow
def test_the_commands_run(desk: Path) -> None:
    ran = 0
    for example in examples():
        if example.why is not None:
            continue
        where = f"{example.page}:{example.line}"
        if example.language == "python":
            exec(compile(example.text, where, "exec"), {})
            continue
        for command in commands(example):
            words = shlex.split(command)
            if words[0] == "harness":
                done = CliRunner().invoke(app, words[1:])
                assert done.exit_code in (ExitCode.DONE, ExitCode.INCOMPLETE), f"{where}: {command}\n{done.output}"
                ran += 1
    assert ran > 15


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="the extra `docs` is not installed")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "harness check" in (tmp_path / "site" / "reference" / "cli" / "index.html").read_text(encoding="utf-8")
