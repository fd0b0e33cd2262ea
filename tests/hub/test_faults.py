"""When the network or the Hub fails: what is tried again, what is looked for, what is said."""

from __future__ import annotations

import json
import socket
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import httpx2
import pytest
from huggingface_hub import constants, get_session
from scene import BOB, FILLED, REPO, Call, ended
from server import Hub

from harness.errors import ExitCode, HarnessError
from harness.hub import transport
from harness.hub.client import Patience
from harness.models.registry import resolve

COMMIT = "/commit/"

pytestmark = pytest.mark.slow  # real time-outs and waits


def commits_sent(hub: Hub) -> int:
    return sum(COMMIT in path for path in hub.sent("POST"))


STRANGE = (
    b'"x"', b"[]", b"1", b"null", b'{"a": ', b'{"id": 1, "sha": [1], "siblings": "x", "cardData": 3, "tags": {}, "auth": "x", "name": ["x"]}',
    b'{"id": "a/b", "sha": NaN, "siblings": [{"rfilename": NaN}]}', b"[" * 100_000, '{"id": "é"}'.encode("latin-1"), '{"id": 1}'.encode("utf-16"),
)  # fmt: skip
"""JSON of another type, depth or encoding than a Hub's."""
WAYS = {"a pull request": ["--create-pr"], "a branch": ["--no-create-pr"]}


class TestACommitWithoutAnAnswer:
    @pytest.mark.parametrize("way", WAYS)
    @pytest.mark.parametrize(
        "fault", [{"drop": "after"}, {"slow": 1.5}, {"status": 502, "late": True}], ids=["dropped", "slow", "gateway"]
    )
    def test_that_landed_is_found_and_not_sent_again(
        self, pulled: Path, hub: Hub, push: Call, way: str, fault: dict[str, object], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(transport, "PATIENCE", Patience(2.0, 1.0, 3, 0.01, 2.0))
        hub.fail("POST", COMMIT, **fault)
        result = push(pulled, *WAYS[way])
        assert "but it is there" in ended(result, ExitCode.DONE)
        assert commits_sent(hub) == 1
        ref = "refs/pr/1" if way == "a pull request" else "main"
        assert hub.read(REPO, "README.md", ref).decode() == FILLED
        assert len(hub.repos[REPO].discussions) == (way == "a pull request")

    def test_that_landed_on_a_pull_request_is_found(self, pulled: Path, hub: Hub, push: Call) -> None:
        ended(push(pulled), ExitCode.DONE)
        hub.fail("POST", COMMIT, drop="after")
        pulled.write_text(FILLED.replace("256", "512"))
        result = push(pulled, "--revision", "refs/pr/1")
        assert "Pull request #1" in ended(result, ExitCode.DONE)
        assert commits_sent(hub) == 2

    @pytest.mark.parametrize("way", WAYS)
    def test_that_didnt_land_is_said_and_can_be_repeated(self, pulled: Path, hub: Hub, push: Call, way: str) -> None:
        hub.fail("POST", COMMIT, drop="before")
        said = ended(push(pulled, *WAYS[way]), ExitCode.FAILED)
        assert "closed the connection without an answer. The commit was sent once, and isn't on the Hub" in said
        assert commits_sent(hub) == 1
        ended(push(pulled, *WAYS[way]), ExitCode.DONE)

    def test_when_nobody_can_look(self, pulled: Path, hub: Hub, push: Call) -> None:
        hub.fail("POST", COMMIT, drop="after")
        hub.fail("GET", "/commits/", times=99, status=503)
        said = ended(push(pulled, "--no-create-pr"), ExitCode.FAILED)
        assert "HTTP 503" in said
        assert commits_sent(hub) == 1
        hub.faults.clear()
        assert "holds exactly this already" in ended(push(pulled, "--no-create-pr"), ExitCode.DONE)


class TestReads:
    @pytest.mark.parametrize(
        ("path", "fault"),
        [(path, {"status": 503}) for path in ("whoami", f"/api/models/{REPO}$", "/resolve/", "/tree/", "/discussions")]
        + [("/resolve/", fault) for fault in ({"drop": "before"}, {"drop": "after"}, {"status": 500})],
    )
    def test_a_passing_failure_is_waited_out(
        self, pulled: Path, hub: Hub, push: Call, path: str, fault: dict[str, object]
    ) -> None:
        hub.fail("GET", path, times=2, **fault)
        ended(push(pulled, "--dry-run"), ExitCode.DONE)

    def test_not_for_ever(self, pulled: Path, hub: Hub, push: Call, impatient: Patience) -> None:
        hub.fail("GET", "/resolve/", times=99, status=503)
        said = ended(push(pulled, "--dry-run"), ExitCode.FAILED)
        assert "The Hub has a passing failure (HTTP 503)" in said
        assert sum("/resolve/" in path for path in hub.sent("GET")) == impatient.attempts

    def test_silence_has_an_end(
        self, pulled: Path, hub: Hub, push: Call, impatient: Patience, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(transport, "PATIENCE", replace(impatient, read=0.2))
        hub.fail("GET", f"/api/models/{REPO}/revision", times=99, slow=1.0)  # the client asks this without a time-out
        began = time.monotonic()
        said = ended(push(pulled, "--dry-run"), ExitCode.FAILED)
        assert "127.0.0.1 gave no answer in time" in said
        assert time.monotonic() - began < 10

    @pytest.mark.parametrize("is_date", [False, True])
    def test_retry_after_is_honoured(self, pulled: Path, hub: Hub, push: Call, is_date: bool) -> None:
        when = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True) if is_date else "1"
        hub.fail("GET", "whoami", status=429, headers={"Retry-After": when})
        began = time.monotonic()
        ended(push(pulled, "--dry-run"), ExitCode.DONE)
        assert time.monotonic() - began >= 0.9

    def test_a_card_that_changes_on_the_way_is_noticed(self, pulled: Path, hub: Hub, call: Call) -> None:
        entry = hub.commits[hub.head(REPO)].tree["README.md"]
        hub.blobs[entry.oid] = b"<html>Please log in to the network"
        said = ended(call("pull", REPO, "--output", "x.md"), ExitCode.FAILED)
        assert "doesn't have the hash that the Hub announced" in said
        assert not (pulled.parent / "x.md").exists()

    @pytest.mark.parametrize("headers", [{"Retry-After": "3600"}, {"RateLimit": '"api";r=0;t=3600'}])
    def test_a_long_pause_is_left_to_the_user(
        self, pulled: Path, hub: Hub, push: Call, headers: dict[str, str]
    ) -> None:
        hub.fail("GET", "whoami", status=429, headers=headers)
        said = ended(push(pulled, "--dry-run"), ExitCode.FAILED)
        assert "limits the number of requests (HTTP 429). → Repeat the command in 3600 seconds." in said

    @pytest.mark.parametrize("path", ["validate-yaml", "/preupload/"])
    def test_what_changes_nothing_is_repeated_though_it_is_posted(
        self, pulled: Path, hub: Hub, push: Call, path: str
    ) -> None:
        hub.fail("POST", path, times=2, status=503)
        ended(push(pulled), ExitCode.DONE)
        assert commits_sent(hub) == 1


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (401, ExitCode.MISSING, "doesn't accept this token"),
        (403, ExitCode.MISSING, "This account may not do that"),
        (404, ExitCode.MISSING, "The Hub doesn't know that"),
        (409, ExitCode.FAILED, "Something else is in the way"),
        (412, ExitCode.CHECK_FAILED, "changed in the meantime"),
        (413, ExitCode.FAILED, "too large for the Hub"),
        (422, ExitCode.CHECK_FAILED, "The Hub refused the content"),
        (429, ExitCode.FAILED, "limits the number of requests"),
        (500, ExitCode.FAILED, "isn't on the Hub: looked 3 times"),
        (503, ExitCode.FAILED, "isn't on the Hub: looked 3 times"),
        (418, ExitCode.FAILED, "The Hub refused"),
    ],
)
def test_every_refusal_of_a_commit_is_a_sentence(
    pulled: Path, hub: Hub, push: Call, status: int, code: ExitCode, said: str
) -> None:
    hub.fail("POST", COMMIT, times=99, status=status, error=f"because of hf_{'x' * 30} and\x1b[2J more")
    result = push(pulled)
    text = ended(result, code)
    assert said in text
    assert f"HTTP {status}" in text
    assert " → " in text
    assert "hf_xxx" not in text
    assert "\x1b" not in text
    assert commits_sent(hub) == 1


@pytest.fixture
def asked_for_weights(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's downloads, which read the endpoint when it is imported, ask this Hub too."""
    monkeypatch.setattr(constants, "ENDPOINT", hub.endpoint)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf" / "hub"))


class TestNoHubAtAll:
    def test_offline_mode(self, pulled: Path, hub: Hub, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        for verb in (["push", pulled, "--repo-id", REPO, "--yes"], ["pull", REPO]):
            said = ended(call(*verb), ExitCode.MISSING)
            assert "offline mode (HF_HUB_OFFLINE)" in said
            assert "Unset HF_HUB_OFFLINE" in said
        assert hub.log == []

    def test_nobody_listens(self, pulled: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{free.getsockname()[1]}")
        said = ended(call("pull", REPO, "--output", "x.md"), ExitCode.FAILED)
        assert "127.0.0.1 can't be reached" in said
        assert "HF_ENDPOINT" in said

    @pytest.mark.parametrize("endpoint", ["hub.example.org", "https://me:mySecret@127.0.0.1", "https://", "ftp://x"])
    def test_an_endpoint_that_is_no_address(self, call: Call, endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HF_ENDPOINT", endpoint)
        assert "HF_ENDPOINT is not an address" in ended(call("pull", REPO), ExitCode.USAGE)

    def test_an_endpoint_that_is_no_hub(self, pulled: Path, hub: Hub, push: Call) -> None:
        hub.fail("GET", "whoami", status=200, error="Welcome to the airport's network")
        said = ended(push(pulled), ExitCode.FAILED)
        assert "answers as no Hub does" in said

    @pytest.mark.parametrize("body", STRANGE, ids=lambda body: str(body[:16]))
    def test_an_answer_of_another_shape(
        self, pulled: Path, hub: Hub, call: Call, push: Call, asked_for_weights: None, body: bytes
    ) -> None:
        """Whatever the verb does with it, it ends with a sentence (`call` lets no other exception pass)."""
        for method in ("GET", "HEAD", "POST"):
            hub.fail(method, "", times=99, body=body, headers={"ETag": '"0"', "X-Repo-Commit": "0" * 40})
        assert "answers as no Hub does" in ended(call("pull", "bob/other"), ExitCode.FAILED)
        assert "answers as no Hub does" in ended(push(pulled), ExitCode.FAILED)
        spec = resolve("hf:bob/other")
        with pytest.raises(HarnessError, match=r"is no Hub|can't be reached"):
            spec.checkpoint.locate(spec, offline=False)
        ended(call("fill", pulled, "--model", "hf:bob/other", "--output", "filled.md"), ExitCode.DONE)

    def test_a_repository_whose_files_lie_elsewhere(self, hub: Hub, asked_for_weights: None, tmp_path: Path) -> None:
        info = {"id": "bob/other", "sha": "0" * 40, "siblings": [{"rfilename": "../../../../x.safetensors"}]}
        hub.fail("GET", "/api/models", times=9, body=json.dumps(info).encode())
        hub.fail("HEAD", "", times=9, body=b"x", headers={"ETag": '"0"', "X-Repo-Commit": "0" * 40})
        hub.fail("GET", "", times=9, body=b"x")
        spec = resolve("hf:bob/other")
        with pytest.raises(HarnessError, match="what answers is no Hub"):
            spec.checkpoint.locate(spec, offline=False)
        assert not list(tmp_path.rglob("x.safetensors"))

    def test_no_token(self, pulled: Path, hub: Hub, push: Call, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("HF_TOKEN")
        said = ended(push(pulled), ExitCode.MISSING)
        assert "There is no Hub token. → Make a token with write rights" in said
        assert hub.log == []

    @pytest.mark.parametrize("token", ["hf_wrongSecretSecret", "hf_wörng-Secret", "two wordsSecret"])
    def test_a_wrong_token(
        self, pulled: Path, hub: Hub, call: Call, push: Call, token: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HF_TOKEN", token)
        assert "token" in ended(push(pulled), ExitCode.MISSING)
        assert "token" in ended(call("pull", REPO, "--output", "x.md"), ExitCode.MISSING)
        assert hub.sent("POST") == []


def test_the_clients_session_is_its_own_again_afterwards(pulled: Path, hub: Hub, call: Call) -> None:
    ended(call("pull", REPO, "--output", "x.md"), ExitCode.DONE)
    assert type(get_session()) is httpx2.Client


def test_a_pull_request_of_the_same_card_by_another_is_not_ours(
    pulled: Path, hub: Hub, push: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended(push(pulled), ExitCode.DONE)
    monkeypatch.setenv("HF_TOKEN", BOB)
    ended(push(pulled), ExitCode.DONE)
    assert [item.author for item in hub.repos[REPO].discussions.values()] == ["alice", "bob"]
