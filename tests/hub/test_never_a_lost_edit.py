"""Whatever order people edit, push, update, merge and pull in: what somebody else wrote stays."""

from __future__ import annotations

from pathlib import Path

import pytest
from huggingface_hub import constants
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scene import ALICE, REPO
from server import Hub, HubError, RunningHub

import harness
from harness.errors import ExitCode, HarnessError

STEPS = ("we edit", "bob edits main", "bob edits the pull request", "propose", "update", "commit", "merge", "pull")
OURS, BOBS_ON_MAIN, BOBS_ON_PULL_REQUESTS = 0, 1, 2
"""Lines of the card by who changes them, with lines nobody changes between."""


def card(lines: list[str]) -> bytes:
    return "\n\n-\n\n".join(lines).encode() + b"\n"


def lines_of(content: bytes) -> list[str]:
    return content.decode().rstrip("\n").split("\n\n-\n\n")


def change(hub: Hub, line: int, value: str, ref: str) -> None:
    lines = lines_of(hub.read(REPO, "README.md", ref))
    lines[line] = value
    hub.edit(REPO, {"README.md": card(lines)}, author="bob", ref=ref)


@pytest.mark.slow
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(steps=st.lists(st.sampled_from(STEPS), min_size=3, max_size=12))
def test_what_somebody_else_wrote_stays(
    steps: list[str], tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    path: Path = tmp_path_factory.mktemp("cards") / "card.md"
    with RunningHub() as hub:
        hub.tokens[ALICE] = ("alice", "write")
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        monkeypatch.setenv("HF_TOKEN", ALICE)
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
        hub.add_repo(REPO, {"README.md": card(["ours 0", "bob 0", "bob 0"])})
        harness.pull(REPO, output=path)
        written, merged = {"main": "bob 0"}, "bob 0"
        for number, step in enumerate(steps, start=1):
            repo = hub.repos[REPO]
            still_open = next((n for n, item in repo.discussions.items() if item.status == "open"), None)
            if step == "we edit":
                lines = lines_of(path.read_bytes())
                lines[OURS] = f"ours {number}"
                path.write_bytes(card(lines))
            elif step == "bob edits main":
                written["main"] = f"bob {number}"
                change(hub, BOBS_ON_MAIN, written["main"], "main")
            elif step == "bob edits the pull request" and still_open:
                written[f"refs/pr/{still_open}"] = f"bob {number}"
                change(hub, BOBS_ON_PULL_REQUESTS, f"bob {number}", f"refs/pr/{still_open}")
            elif step == "merge" and still_open:
                try:
                    hub.merge(REPO, still_open, author="alice")
                    merged = written.pop(f"refs/pr/{still_open}", merged)
                except HubError:
                    repo.discussions[still_open].status = "closed"
            elif step == "pull":
                ours = lines_of(path.read_bytes())[OURS]
                path.unlink()
                harness.pull(REPO, output=path)
                path.write_bytes(card([ours, *lines_of(path.read_bytes())[1:]]))
            elif step in ("propose", "commit") or (step == "update" and still_open):
                revision = f"refs/pr/{still_open}" if step == "update" else None
                refused = None
                try:
                    harness.push(path, REPO, revision=revision, create_pr=step == "propose")
                except HarnessError as error:
                    refused = error.exit_code
                assert refused in (None, ExitCode.CHECK_FAILED)  # stopping loses nothing
            assert lines_of(hub.read(REPO, "README.md"))[1:] == [written["main"], merged]
            for num, item in repo.discussions.items():
                ref = f"refs/pr/{num}"
                if item.status == "open" and ref in written:
                    assert lines_of(hub.read(REPO, "README.md", ref))[BOBS_ON_PULL_REQUESTS] == written[ref]
