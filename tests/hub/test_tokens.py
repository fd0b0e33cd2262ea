"""A token goes into the request's header and nowhere else; doctor checks it."""

from __future__ import annotations

import json
import logging
import os
import subprocess
from pathlib import Path

import pytest
from scene import ALICE, CAROL, FILLED, REPO, Call, ended
from server import Hub

from harness.errors import ExitCode
from harness.evidence import Evidence, Ledger
from harness.hub.client import Patience
from harness.hub.transport import connect


def everything_in(folder: Path) -> bytes:
    return b"\n".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


class TestNowhereElse:
    def test_not_in_a_file_a_log_or_what_is_sent(
        self, published: Hub, call: Call, push: Call, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        published.fail("GET", "whoami", status=503)
        ended(call("pull", REPO, "--output", "card.md"), ExitCode.DONE)
        (tmp_path / "card.md").write_text(FILLED)
        published.fail("POST", "/commit/", drop="after")
        ended(push("card.md"), ExitCode.DONE)
        assert published.repos[REPO].discussions
        assert b"Secret" not in everything_in(tmp_path)
        assert "Secret" not in caplog.text
        assert not any(b"Secret" in entry.body for entry in published.log)
        assert all(entry.account == "alice" for entry in published.log)

    def test_not_in_the_records_representation(self, hub: Hub) -> None:
        with connect("test") as connection:
            assert "Secret" not in repr(connection)

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 500])
    def test_not_in_an_error_that_repeats_it(self, hub: Hub, push: Call, tmp_path: Path, status: int) -> None:
        hub.add_repo(REPO)
        (tmp_path / "card.md").write_text(FILLED)
        hub.fail("POST", "/commit/", status=status, error=f"I don't like {ALICE}")
        result = push("card.md")  # `call` looks for the token
        assert result.exit_code != 0
        if status not in (401, 500):
            assert "I don't like <token>" in " ".join(result.stderr.split())

    @pytest.mark.parametrize("name", ["card.md", "evidence.json", "figures/a.svg"])
    @pytest.mark.parametrize("token", [ALICE, "hf_AbCdEfGhIjKlMnOpQrStUvWxYz0123456789"])
    def test_a_file_that_holds_one_is_not_sent(
        self, hub: Hub, push: Call, tmp_path: Path, name: str, token: str
    ) -> None:
        hub.add_repo(REPO)
        (tmp_path / "figures").mkdir()
        (tmp_path / "figures" / "a.svg").write_text("<svg/>")
        (tmp_path / "card.md").write_text(f"{FILLED}\n![a](figures/a.svg)\n")
        item = {"key": "compute.macs", "class": "derived", "value": 4, "unit": "MAC", "command": "harness run"}
        Ledger(model={"name": "m"}, evidence=[Evidence.model_validate(item)]).save(tmp_path / "evidence.json")
        path = tmp_path / name
        path.write_text(path.read_text().replace("harness run", f"HF_TOKEN={token} harness run"))
        if name != "evidence.json":
            path.write_text(f"{path.read_text()}\n<!-- {token} -->\n")
        result = push("card.md")
        assert "holds a Hub token, or what looks like one; it isn't sent." in ended(result, ExitCode.CHECK_FAILED)
        assert hub.sent("POST") == []

    @pytest.mark.slow
    def test_not_in_a_crash(self, hub: Hub, python: str, tmp_path: Path) -> None:
        """A defect of ours, in a process of its own, with the client's debug log on."""
        (tmp_path / "card.md").write_text(FILLED)
        hub.add_repo(REPO)
        script = (
            "import harness.hub.plan as p\n"
            "def broken(*a, **k): raise RuntimeError('a defect')\n"
            "p.check_card = broken\n"
            "from harness.cli import main\n"
            "main()\n"
        )
        arguments = [python, "-c", script, "push", "card.md", "--repo-id", REPO, "--revision", "main", "--yes"]
        done = subprocess.run(
            arguments,
            env={**os.environ, "HF_DEBUG": "1", "HF_HUB_DISABLE_TELEMETRY": "1"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert "a defect" in done.stderr
        assert done.returncode != 0
        assert "Secret" not in done.stdout + done.stderr


class TestDoctor:
    def state(self, call: Call) -> str:
        result = call("doctor", "--format", "json")
        assert result.exit_code == 0
        return str(json.loads(result.stdout)["HF token"])

    @pytest.mark.parametrize(
        ("environment", "expected"),
        [
            ({"HF_TOKEN": ALICE}, "present, from HF_TOKEN; of alice, may write"),
            ({"HF_TOKEN": CAROL}, "present, from HF_TOKEN; of carol, may only read"),
            ({"HF_TOKEN": "hf_wrongSecret"}, "doesn't accept this token"),
            ({"HF_HUB_OFFLINE": "1"}, "present, from HF_TOKEN; not checked: offline"),
            ({"HF_ENDPOINT": "https://me:mySecret@hub.example.org"}, "HF_ENDPOINT is not an address"),
        ],
        ids=lambda value: str(value).replace("Secret", ""),
    )
    def test_a_token(
        self, hub: Hub, call: Call, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: str
    ) -> None:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        assert expected in self.state(call)
        assert not (hub.log and "HF_HUB_OFFLINE" in environment)

    def test_one_from_the_file(self, hub: Hub, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("HF_TOKEN")
        assert self.state(call) == "none (set HF_TOKEN or run: hf auth login)"
        (tmp_path / "hf").mkdir()
        (tmp_path / "hf" / "token").write_text(ALICE)
        assert self.state(call) == "present, from the token file; of alice, may write"

    def test_a_hub_that_is_down(self, hub: Hub, call: Call) -> None:
        hub.fail("GET", "whoami", times=9, status=503)
        assert "The Hub has a passing failure (HTTP 503)." in self.state(call)


def test_what_is_shown_is_clean_and_short(hub: Hub) -> None:
    with connect("test", Patience()) as connection:
        assert connection.clean(f"a\n{ALICE}\x1b[2J b") == "a <token> [2J b"
        assert len(connection.clean("x" * 1000)) == 401
