"""Fetching a card, and what a user may give that isn't one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from scene import BOB, CARD, REPO, Call, ended
from server import Hub

from harness.errors import ExitCode


class TestPull:
    def test_the_card_comes_byte_for_byte(self, hub: Hub, call: Call, tmp_path: Path) -> None:
        content = CARD.replace("\n", "\r\n").encode() + b"caf\xe9\r\n"
        hub.add_repo(REPO, {"README.md": content})
        result = call("pull", REPO)
        assert f"Fetched the card of {REPO} at {hub.head(REPO)[:8]}." in ended(result, ExitCode.DONE)
        assert result.stdout == "model.md\n"
        assert (tmp_path / "model.md").read_bytes() == content

    def test_as_json(self, published: Hub, call: Call) -> None:
        said = json.loads(call("pull", REPO, "--format", "json").stdout)
        assert said == {"path": "model.md", "repo_id": REPO, "commit": published.head(REPO), "changed": True}

    def test_again_takes_what_is_new(self, published: Hub, call: Call, tmp_path: Path) -> None:
        ended(call("pull", REPO), ExitCode.DONE)
        assert "Unchanged" in ended(call("pull", REPO), ExitCode.DONE)
        published.edit(REPO, {"README.md": b"# New\n"}, author="bob")
        ended(call("pull", REPO), ExitCode.DONE)
        assert (tmp_path / "model.md").read_bytes() == b"# New\n"

    @pytest.mark.parametrize("known", [True, False])
    def test_work_on_it_is_never_lost(self, published: Hub, call: Call, tmp_path: Path, known: bool) -> None:
        if known:
            ended(call("pull", REPO), ExitCode.DONE)
        (tmp_path / "model.md").write_text("my work")
        said = ended(call("pull", REPO), ExitCode.USAGE)
        assert "model.md is there, and isn't the card as it was pulled: it would be lost." in said
        assert (tmp_path / "model.md").read_text() == "my work"

    def test_a_folder_as_output(self, published: Hub, call: Call, tmp_path: Path) -> None:
        assert "is a folder" in ended(call("pull", REPO, "--output", tmp_path), ExitCode.USAGE)

    def test_a_repository_without_a_card(self, hub: Hub, call: Call, tmp_path: Path) -> None:
        hub.add_repo(REPO, {"config.json": b"{}"})
        said = ended(call("pull", REPO), ExitCode.MISSING)
        assert "alice/model has no README.md on the Hub at main. → Make a card with: harness run" in said
        assert list(tmp_path.glob("*.md*")) == []

    def test_no_such_revision(self, published: Hub, call: Call) -> None:
        said = ended(call("pull", REPO, "--revision", "v9"), ExitCode.MISSING)
        assert "has no such revision" in said
        assert "Check --revision" in said

    def test_a_private_repository(self, hub: Hub, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
        hub.add_repo(REPO, {"README.md": CARD.encode()}, private=True)
        ended(call("pull", REPO), ExitCode.DONE)
        monkeypatch.setenv("HF_TOKEN", BOB)
        assert "this account may not see it" in ended(call("pull", REPO, "-o", "x.md"), ExitCode.MISSING)
        monkeypatch.delenv("HF_TOKEN")
        assert "it is private, and there is no token" in ended(call("pull", REPO, "-o", "x.md"), ExitCode.MISSING)

    def test_a_public_card_needs_no_token(self, published: Hub, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("HF_TOKEN")
        ended(call("pull", REPO), ExitCode.DONE)

    def test_a_gated_repository(self, hub: Hub, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
        hub.add_repo(REPO, {"README.md": CARD.encode()}, gated=True)
        monkeypatch.setenv("HF_TOKEN", BOB)
        assert "alice/model is gated" in ended(call("pull", REPO), ExitCode.MISSING)


@pytest.mark.parametrize(
    "repo_id",
    [
        "a b",
        "alice/my model",
        "a/b/c",
        "datasets/alice/data",
        "https://huggingface.co/a/b",
        "hf:a/b",
        "",
        "a--b",
        "../x",
    ],
)
@pytest.mark.parametrize("verb", ["pull", "push"])
def test_an_odd_repository_id(hub: Hub, call: Call, tmp_path: Path, verb: str, repo_id: str) -> None:
    (tmp_path / "card.md").write_text(CARD)
    arguments = ["pull", repo_id] if verb == "pull" else ["push", "card.md", "--repo-id", repo_id, "--yes"]
    said = ended(call(*arguments), ExitCode.USAGE)
    assert f"'{repo_id}' is not a model's id on the Hub." in said
    assert "ORG/NAME" in said
    assert hub.sent("POST") == []


class TestCardsThatAreNone:
    def test_one_that_isnt_there(self, hub: Hub, push: Call) -> None:
        assert "Can't read the card nowhere.md" in ended(push("nowhere.md"), ExitCode.USAGE)
        assert hub.log == []

    def test_a_folder(self, hub: Hub, push: Call, tmp_path: Path) -> None:
        assert "is no regular file" in ended(push(tmp_path), ExitCode.USAGE)

    @pytest.mark.parametrize(
        ("card", "expected"),
        [
            (b"\n \n", "card.md is empty"),
            (b"# A\n\ncaf\xe9\n", "card.md, line 3: byte 0xe9 is not UTF-8"),
            (b"x" * 10_000_001, "has 10,000,001 bytes"),
            (b"---\nlicense: mit\ntags: [a\n---\n# A\n", "the front matter is not valid YAML"),
            (
                b"---\nlicense: llama2\n---\n# A\n",  # the test's Hub knows fewer licences
                'The Hub refused the card: Invalid metadata in README.md. - "license" must be one of',
            ),
        ],
        ids=lambda value: value[:20],
    )
    def test_what_the_hub_would_not_show(
        self, hub: Hub, push: Call, tmp_path: Path, card: bytes, expected: str
    ) -> None:
        hub.add_repo(REPO)
        (tmp_path / "card.md").write_bytes(card)
        assert expected in ended(push("card.md"), ExitCode.CHECK_FAILED)
        assert hub.repos[REPO].discussions == {}

    def test_a_front_matter_that_is_broken_on_the_hub(self, hub: Hub, call: Call, push: Call, tmp_path: Path) -> None:
        broken = CARD.replace("tags:\n- vision\n", "tags: [vision\n")
        hub.add_repo(REPO)
        entry = hub._store("README.md", broken.encode())
        hub._commit(hub.repos[REPO], "refs/heads/main", {"README.md": entry}, "broken long ago", "", "alice")
        ended(call("pull", REPO, "--output", "card.md"), ExitCode.DONE)
        (tmp_path / "card.md").write_text(broken.replace("[More Information Needed]", "256"))
        said = ended(push("card.md"), ExitCode.CHECK_FAILED)  # the Hub wouldn't take it, though it isn't our fault
        assert "YAML" in said
        (tmp_path / "card.md").write_text(CARD)
        ended(push("card.md"), ExitCode.DONE)
        assert hub.read(REPO, "README.md", "refs/pr/1") == CARD.encode()

    def test_a_damaged_file_beside_it(self, hub: Hub, push: Call, tmp_path: Path) -> None:
        hub.add_repo(REPO)
        (tmp_path / "card.md").write_text(CARD)
        (tmp_path / "card.md.harness.json").write_text('{"schema": 1')
        assert "card.md.harness.json doesn't say where card.md came from" in ended(push("card.md"), ExitCode.USAGE)

    def test_a_ledger_that_is_none(self, hub: Hub, push: Call, tmp_path: Path) -> None:
        (tmp_path / "card.md").write_text(CARD)
        (tmp_path / "evidence.json").write_text("{}")
        assert "evidence.json is not a ledger" in ended(push("card.md"), ExitCode.USAGE)

    def test_without_front_matter_the_hubs_warning_is_passed_on(self, hub: Hub, push: Call, tmp_path: Path) -> None:
        hub.add_repo(REPO)
        (tmp_path / "card.md").write_text("# A\n")
        result = push("card.md")
        assert "empty or missing yaml metadata in repo card" in ended(result, ExitCode.DONE)
