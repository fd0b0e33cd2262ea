"""A Hub on the loopback interface with a few accounts, and the command line pointed at it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants
from scene import ALICE, BOB, CARD, CAROL, FILLED, REPO, Call, ended
from server import Hub, RunningHub
from typer.testing import CliRunner, Result

from harness.cli import app
from harness.errors import ExitCode
from harness.hub import publish, transport
from harness.hub.client import Patience


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: Path) -> Iterator[Hub]:
    """The server, with HF_ENDPOINT and alice's token set, and nothing of the user's own Hub folder in reach."""
    with RunningHub() as running:
        running.tokens.update({ALICE: ("alice", "write"), BOB: ("bob", "write"), CAROL: ("carol", "read")})
        monkeypatch.setenv("HF_ENDPOINT", running.endpoint)
        monkeypatch.setenv("HF_TOKEN", ALICE)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "hf" / "token"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
        yield running


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> Patience:
    """Short waits, so that what is injected takes no long time."""
    patience = Patience(connect=2.0, read=2.0, attempts=3, first_pause=0.01, longest_pause=2.0)
    monkeypatch.setattr(transport, "PATIENCE", patience)
    monkeypatch.setattr(publish, "_LOOKS", (0.0, 0.05, 0.1))
    return patience


@pytest.fixture
def call(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """call("pull", "alice/model"): a verb in a folder of the test's own; what it prints never holds a token."""
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments: object) -> Result:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        assert "Secret" not in result.output
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return invoke


@pytest.fixture
def push(call: Call) -> Call:
    """push(card, "--no-create-pr"): to the repository of these tests, without being asked."""
    return lambda card, *options: call("push", card, "--repo-id", REPO, "--yes", *options)


@pytest.fixture
def published(hub: Hub) -> Hub:
    """The server with the repository and its card."""
    hub.add_repo(REPO, {"README.md": CARD.encode()})
    return hub


@pytest.fixture
def pulled(published: Hub, call: Call, tmp_path: Path) -> Path:
    """The repository's card, pulled and then filled; what that took isn't in the log."""
    ended(call("pull", REPO, "--output", "card.md"), ExitCode.DONE)
    path = tmp_path / "card.md"
    path.write_text(FILLED)
    published.log.clear()
    return path
