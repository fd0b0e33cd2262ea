"""Pushing a card: what is shown, what is sent, what is kept, and what does nothing."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from pathlib import Path

import pytest
from huggingface_hub import HfApi
from scene import ALICE, BOB, CARD, CAROL, FILLED, REPO, Call, ended
from server import Hub

from harness.errors import ExitCode
from harness.evidence import Evidence, Ledger

SVG = "<svg xmlns='http://www.w3.org/2000/svg'/>\n"
LARGE_FILES = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
"""How the Hub's client sends large files, its HTTP library calls outdated."""
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256))


def ledger(key: str = "compute.parameters") -> Ledger:
    item = Evidence.model_validate({"key": key, "class": "derived", "value": 20646656, "unit": "1"})
    return Ledger(model={"name": "model", "title": "Model", "reference": "hf:alice/model"}, evidence=[item])


class TestThePlan:
    def test_a_dry_run_shows_everything_and_sends_nothing(self, pulled: Path, hub: Hub, push: Call) -> None:
        pulled.write_text(FILLED.replace("license: apache-2.0", "license: mit"))
        result = push(pulled, "--dry-run")
        assert "A dry run: nothing was sent." in ended(result, ExitCode.DONE)
        for shown in (
            "Account:     alice",
            "a new pull request to main",
            hub.endpoint,
            "README.md        model card  changed",
        ):
            assert shown in result.stdout
        front, body = result.stdout.split("Changes in the body:")
        assert "-license: apache-2.0\n+license: mit\n" in front
        assert "license" not in body
        assert "-Batch size: [More Information Needed]\n+Batch size: 256, documented.\n" in body
        assert hub.sent("POST", "PUT") == []

    def test_without_a_terminal_it_must_be_told_yes(self, pulled: Path, hub: Hub, call: Call) -> None:
        said = ended(call("push", pulled, "--repo-id", REPO), ExitCode.USAGE)
        assert "no terminal to ask on" in said
        assert "--yes" in said
        assert hub.sent("POST", "PUT") == []

    @pytest.mark.slow
    @pytest.mark.parametrize("answer", ["y", "n"])
    def test_on_a_terminal_it_asks(self, pulled: Path, hub: Hub, python: str, answer: str) -> None:
        here, there = pty.openpty()
        script = "from harness.cli import main; main()"
        process = subprocess.Popen(
            [python, "-c", script, "push", str(pulled), "--repo-id", REPO],
            env={**os.environ, "HF_HUB_DISABLE_TELEMETRY": "1"},
            stdin=there,
            stdout=subprocess.PIPE,
            stderr=there,
        )
        os.close(there)
        shown = b""
        while b"[y/N]" not in shown:
            shown += os.read(here, 4096)
        assert b"Send this as a new pull request to main of alice/model?" in shown
        assert hub.sent("POST") == []
        os.write(here, f"{answer}\n".encode())
        assert process.wait(timeout=60) == (0 if answer == "y" else 1)
        process.stdout.close()
        os.close(here)
        assert (1 in hub.repos[REPO].discussions) == (answer == "y")

    def test_as_json(self, pulled: Path, hub: Hub, push: Call) -> None:
        result = push(pulled, "--format", "json")
        said = json.loads(result.stdout)
        assert said["account"] == "alice"
        assert [(f["path"], f["state"]) for f in said["files"]] == [("README.md", "changed")]
        assert said["sent"]["pull_request"] == 1
        assert said["sent"]["commit"] == hub.head(REPO, "refs/pr/1")

    def test_a_dry_run_as_json(self, pulled: Path, hub: Hub, push: Call) -> None:
        said = json.loads(push(pulled, "--dry-run", "--format", "json").stdout)
        assert said["sent"] is None
        assert said["front_matter_diff"] == ""
        assert "+Batch size: 256" in said["body_diff"]

    def test_what_steers_a_terminal_is_shown_as_text(self, pulled: Path, hub: Hub, push: Call) -> None:
        hub.edit(REPO, {"README.md": CARD.encode() + b"\nmore \x1b[2J\n"}, author="bob")
        pulled.write_text(FILLED)
        result = push(pulled, "--dry-run")
        assert "\x1b" not in result.stdout


class TestOneCommit:
    @LARGE_FILES
    def test_the_default_is_a_pull_request_with_card_figures_and_ledger(
        self, pulled: Path, hub: Hub, push: Call
    ) -> None:
        (pulled.parent / "figures").mkdir()
        (pulled.parent / "figures" / "curve.svg").write_text(SVG)
        (pulled.parent / "figures" / "grid.png").write_bytes(PNG)
        (pulled.parent / "figures" / "unused.svg").write_text(SVG)
        ledger().save(pulled.parent / "evidence.json")
        pulled.write_text(FILLED + '\n![curve](figures/curve.svg)\n<img src="figures/grid.png" alt="g">\n')
        before = hub.head(REPO)
        result = push(pulled)
        ended(result, ExitCode.DONE)
        assert result.stdout.splitlines()[-1] == f"{hub.endpoint}/{REPO}/discussions/1"
        assert hub.head(REPO) == before
        assert hub.files(REPO, "refs/pr/1") == {"README.md", "evidence.json", "figures/curve.svg", "figures/grid.png"}
        assert hub.read(REPO, "README.md", "refs/pr/1") == pulled.read_bytes()
        assert hub.read(REPO, "figures/grid.png", "refs/pr/1") == PNG
        assert hub.commits[hub.head(REPO, "refs/pr/1")].parents == (before,)
        assert [path for path in hub.sent("POST") if "/commit/" in path] == [f"/api/models/{REPO}/commit/main"]
        assert any(path.startswith("/verify/") for path in hub.sent("POST"))  # the PNG went as a large file

    def test_what_gitignore_keeps_out_is_said(self, pulled: Path, hub: Hub, push: Call) -> None:
        hub.edit(REPO, {".gitignore": b"figures/*\n"}, author="alice")
        (pulled.parent / "figures").mkdir()
        (pulled.parent / "figures" / "curve.svg").write_text(SVG)
        pulled.write_text(FILLED + "\n![curve](figures/curve.svg)\n")
        said = ended(push(pulled), ExitCode.DONE)
        assert "Left out by the repository's .gitignore: figures/curve.svg" in said
        assert hub.files(REPO, "refs/pr/1") == {"README.md", ".gitignore"}

    def test_a_card_that_gitignore_keeps_out(self, pulled: Path, hub: Hub, push: Call) -> None:
        hub.edit(REPO, {".gitignore": b"*.md\n"}, author="alice")
        said = ended(push(pulled), ExitCode.FAILED)
        assert "keeps README.md out" in said
        assert not any("/commit/" in path for path in hub.sent("POST"))

    def test_a_figure_that_is_nowhere_is_noted(self, pulled: Path, hub: Hub, push: Call) -> None:
        pulled.write_text(FILLED + "\n![curve](figures/curve.svg)\n")
        result = push(pulled, "--dry-run")
        assert "figures/curve.svg, which is neither beside it nor on the Hub" in result.stdout

    def test_a_rendered_card_is_fit_for_the_hub(self, hub: Hub, call: Call, push: Call, tmp_path: Path) -> None:
        ledger().save(tmp_path / "evidence.json")
        ended(call("render", "--ledger", "evidence.json", "--output", "card.md"), ExitCode.DONE)
        ended(push("card.md", "--create-repo"), ExitCode.DONE)
        assert {"README.md", "evidence.json"} <= hub.files(REPO, "refs/pr/1")
        assert hub.read(REPO, "README.md", "refs/pr/1").startswith(b"---\n")


class TestNothingToDo:
    def test_the_same_card(self, pulled: Path, hub: Hub, push: Call) -> None:
        pulled.write_text(CARD)
        said = ended(push(pulled), ExitCode.DONE)
        assert f"Nothing to send: main of {REPO} holds exactly this already." in said
        assert hub.sent("POST") == []

    def test_the_same_again(self, pulled: Path, hub: Hub, push: Call) -> None:
        """While the pull request is open, to the pull request itself, and after it was merged."""
        ended(push(pulled), ExitCode.DONE)
        hub.log.clear()
        assert "Your pull request #1 proposes exactly this already." in ended(push(pulled), ExitCode.DONE)
        said = ended(push(pulled, "--revision", "refs/pr/1"), ExitCode.DONE)
        assert "pull request #1 of alice/model holds exactly this already" in said
        hub.merge(REPO, 1, author="alice")
        assert f"main of {REPO} holds exactly this already" in ended(push(pulled), ExitCode.DONE)
        assert hub.sent("POST") == []


class TestWhatOthersDid:
    def test_elsewhere_is_kept_and_said(self, pulled: Path, hub: Hub, push: Call) -> None:
        theirs = CARD.replace("Written by Alice.", "Written by Bob.").replace(
            "tags:\n", "# not to be removed\nlanguage: en\ntags:\n"
        )
        hub.edit(REPO, {"README.md": theirs.encode()}, author="bob")
        result = push(pulled)
        ended(result, ExitCode.DONE)
        assert "Changes made on the Hub since are kept: 2." in result.stdout
        sent = hub.read(REPO, "README.md", "refs/pr/1").decode()
        assert sent == theirs.replace("[More Information Needed]", "256, documented.")

    @pytest.mark.parametrize("way", ["--create-pr", "--no-create-pr"])
    def test_what_was_kept_once_is_kept_for_ever(self, pulled: Path, hub: Hub, push: Call, way: str) -> None:
        """Ours on this disk still lacks what Bob wrote; that must never look as if we had removed it."""
        theirs = CARD.replace("Written by Alice.", "Written by Bob.")
        hub.edit(REPO, {"README.md": theirs.encode()}, author="bob")
        ended(push(pulled, way), ExitCode.DONE)
        if way == "--create-pr":
            hub.merge(REPO, 1, author="alice")
        said = ended(push(pulled, way), ExitCode.DONE)
        assert "holds exactly this already" in said
        for value in ("512", "1024"):
            pulled.write_text(FILLED.replace("256", value))
            ended(push(pulled, "--no-create-pr"), ExitCode.DONE)
            assert hub.read(REPO, "README.md").decode() == theirs.replace(
                "[More Information Needed]", f"{value}, documented."
            )

    def test_a_bare_cards_keys_are_kept_for_ever(self, hub: Hub, push: Call, tmp_path: Path) -> None:
        hub.add_repo(REPO, {"README.md": b"---\nlicense: apache-2.0\n---\n"})
        for title in ("# First\n", "# Second\n", "# Third\n"):
            (tmp_path / "new.md").write_text(f"---\ntags:\n- vision\n---\n{title}")
            ended(push("new.md", "--no-create-pr"), ExitCode.DONE)
            assert hub.read(REPO, "README.md").decode() == f"---\ntags:\n- vision\nlicense: apache-2.0\n---\n{title}"

    def test_what_someone_took_back_is_shown_as_a_change_again(
        self, pulled: Path, hub: Hub, call: Call, push: Call
    ) -> None:
        ended(push(pulled, "--no-create-pr"), ExitCode.DONE)
        hub.edit(REPO, {"README.md": CARD.encode()}, author="bob", title="Revert")
        result = push(pulled, "--dry-run")
        assert "+Batch size: 256, documented." in result.stdout

    def test_in_the_same_place_stops_the_push(self, pulled: Path, hub: Hub, push: Call) -> None:
        hub.edit(REPO, {"README.md": CARD.replace("[More Information Needed]", "512").encode()}, author="bob")
        said = ended(push(pulled), ExitCode.CHECK_FAILED)
        assert "Nothing was sent: the card on main of alice/model changed since" in said
        assert "line 14 here: Batch size: 256, documented. on the Hub: Batch size: 512" in said
        assert "harness pull alice/model" in said
        assert hub.sent("POST") == []

    def test_other_files_dont_matter(self, pulled: Path, hub: Hub, push: Call) -> None:
        hub.edit(REPO, {"config.json": b"{}"}, author="bob")
        ended(push(pulled, "--no-create-pr"), ExitCode.DONE)
        assert hub.files(REPO) == {"README.md", "config.json"}
        assert hub.read(REPO, "README.md").decode() == FILLED
        assert hub.repos[REPO].discussions == {}

    def test_between_plan_and_commit(self, pulled: Path, hub: Hub, push: Call, monkeypatch: pytest.MonkeyPatch) -> None:
        original = HfApi.preupload_lfs_files

        def edit_meanwhile(*arguments: object, **options: object) -> object:
            hub.edit(REPO, {"README.md": CARD.encode() + b"\nmore\n"}, author="bob")
            return original(*arguments, **options)  # type: ignore[arg-type]

        monkeypatch.setattr(HfApi, "preupload_lfs_files", edit_meanwhile)
        said = ended(push(pulled, "--no-create-pr"), ExitCode.CHECK_FAILED)
        assert "changed in the meantime; nothing was sent" in said
        assert "(HTTP 412)" in said
        assert "Repeat the command" in said
        assert hub.read(REPO, "README.md") == CARD.encode() + b"\nmore\n"

    def test_a_card_that_was_not_made_from_it(self, published: Hub, push: Call, tmp_path: Path) -> None:
        (tmp_path / "new.md").write_text("---\nlicense: mit\n---\n# Mine\n")
        said = ended(push("new.md"), ExitCode.CHECK_FAILED)
        assert "wasn't made into this one" in said
        assert "front matter: license" in said

    def test_rendering_again_and_pushing_again(self, hub: Hub, push: Call, tmp_path: Path) -> None:
        hub.add_repo(REPO)
        card = tmp_path / "new.md"
        card.write_text("# Mine\n\ntop-1 76 %\n")
        ended(push(card), ExitCode.DONE)
        hub.merge(REPO, 1, author="alice")
        hub.edit(REPO, {"README.md": hub.read(REPO, "README.md") + b"\nThanks, Bob.\n"}, author="bob")
        card.write_text("# Mine\n\ntop-1 77 %\n")
        # what both made out of the last line of what was merged touches, so nobody wins
        ended(push(card), ExitCode.CHECK_FAILED)
        card.write_text("# Ours\n\ntop-1 76 %\n")
        ended(push(card), ExitCode.DONE)
        assert hub.read(REPO, "README.md", "refs/pr/2") == b"# Ours\n\ntop-1 76 %\n\nThanks, Bob.\n"

    def test_a_file_called_evidence_that_is_something_else(self, pulled: Path, hub: Hub, push: Call) -> None:
        hub.edit(REPO, {"evidence.json": b'{"court": "of law"}'}, author="alice")
        ledger().save(pulled.parent / "evidence.json")
        said = ended(push(pulled), ExitCode.CHECK_FAILED)
        assert "is no ledger of harness; it would be lost" in said

    def test_evidence_that_would_go_is_named(self, pulled: Path, hub: Hub, push: Call) -> None:
        other = ledger("compute.macs").to_json().encode()
        hub.edit(REPO, {"evidence.json": other}, author="alice")
        ledger().save(pulled.parent / "evidence.json")
        result = push(pulled, "--dry-run")
        assert "holds evidence that this one doesn't: compute.macs." in result.stdout

    def test_line_ends_of_the_hub_stay(self, hub: Hub, call: Call, push: Call, tmp_path: Path) -> None:
        hub.add_repo(REPO, {"README.md": CARD.replace("\n", "\r\n").encode()})
        ended(call("pull", REPO, "--output", "card.md"), ExitCode.DONE)
        assert (tmp_path / "card.md").read_bytes() == CARD.replace("\n", "\r\n").encode()
        (tmp_path / "card.md").write_bytes(FILLED.encode())  # an editor that writes line feeds only
        result = push("card.md")
        assert result.stdout.count("\n-") == result.stdout.count("\n+") == 2  # the diff's head, and the one line
        assert hub.read(REPO, "README.md", "refs/pr/1") == FILLED.replace("\n", "\r\n").encode()


class TestAPullRequestOfOurs:
    @pytest.fixture
    def proposed(self, pulled: Path, hub: Hub, push: Call) -> Path:
        ended(push(pulled), ExitCode.DONE)
        return pulled

    def test_is_updated(self, proposed: Path, hub: Hub, push: Call) -> None:
        proposed.write_text(FILLED.replace("256", "512"))
        result = push(proposed, "--revision", "refs/pr/1")
        assert "--revision refs/pr/1" in ended(result, ExitCode.DONE)
        assert "pull request #1, which is open" in result.stdout
        assert hub.read(REPO, "README.md", "refs/pr/1").decode() == FILLED.replace("256", "512")
        assert set(hub.repos[REPO].discussions) == {1}

    def test_is_pointed_out_before_another_is_opened(self, proposed: Path, hub: Hub, push: Call) -> None:
        proposed.write_text(FILLED.replace("256", "512"))
        result = push(proposed, "--dry-run")
        assert "Your pull request #1 is open" in result.stdout

    @pytest.mark.parametrize("author", ["alice", "bob"])
    def test_a_commit_to_it_made_on_the_website_is_kept(
        self, proposed: Path, hub: Hub, push: Call, author: str
    ) -> None:
        theirs = FILLED.replace("It does things.", "It sees things.")
        hub.edit(REPO, {"README.md": theirs.encode()}, author=author, ref="refs/pr/1")
        for value in ("512", "1024"):
            proposed.write_text(FILLED.replace("256", value))
            ended(push(proposed, "--revision", "refs/pr/1"), ExitCode.DONE)
            assert hub.read(REPO, "README.md", "refs/pr/1").decode() == theirs.replace("256", value)

    def test_and_so_it_is_from_another_machine(
        self, proposed: Path, hub: Hub, call: Call, push: Call, tmp_path: Path
    ) -> None:
        theirs = FILLED.replace("It does things.", "It sees things.")
        hub.edit(REPO, {"README.md": theirs.encode()}, author="bob", ref="refs/pr/1")
        ended(call("pull", REPO, "--output", "other.md"), ExitCode.DONE)
        (tmp_path / "other.md").write_text(FILLED.replace("Written by Alice.", "Written by Alice. And Bob."))
        ended(push("other.md", "--revision", "refs/pr/1"), ExitCode.DONE)
        sent = hub.read(REPO, "README.md", "refs/pr/1").decode()
        assert sent == theirs.replace("Written by Alice.", "Written by Alice. And Bob.")

    def test_a_maintainers_commit_in_the_same_place_stops_the_push(self, proposed: Path, hub: Hub, push: Call) -> None:
        hub.edit(REPO, {"README.md": FILLED.replace("256", "1024").encode()}, author="bob", ref="refs/pr/1")
        proposed.write_text(FILLED.replace("256", "512"))
        result = push(proposed, "--revision", "refs/pr/1")
        assert "the card on refs/pr/1 of alice/model changed" in ended(result, ExitCode.CHECK_FAILED)
        assert "1024" in hub.read(REPO, "README.md", "refs/pr/1").decode()

    def test_one_that_git_could_not_merge_any_more_is_not_gone_on_with(
        self, proposed: Path, hub: Hub, call: Call, push: Call, tmp_path: Path
    ) -> None:
        edited = CARD.replace("Batch size:", "Batch size, in images:")
        hub.edit(REPO, {"README.md": edited.encode()}, author="bob")
        ended(call("pull", REPO, "--output", "new.md"), ExitCode.DONE)
        (tmp_path / "new.md").write_text(edited.replace("[More Information Needed]", "256"))
        said = ended(push("new.md", "--revision", "refs/pr/1"), ExitCode.CHECK_FAILED)
        assert "it can't be merged any more" in said
        assert "push without --revision" in said
        ended(push("new.md"), ExitCode.DONE)
        hub.merge(REPO, 2, author="alice")
        assert hub.read(REPO, "README.md") == (tmp_path / "new.md").read_bytes()

    def test_pulled_edited_and_pushed_back(
        self, proposed: Path, hub: Hub, call: Call, push: Call, tmp_path: Path
    ) -> None:
        hub.edit(REPO, {"README.md": CARD.encode() + b"\nEnd.\n"}, author="bob")
        ended(call("pull", REPO, "--revision", "refs/pr/1", "--output", "pr.md"), ExitCode.DONE)
        card = tmp_path / "pr.md"
        for value in ("512", "1024"):
            card.write_text(FILLED.replace("256", value))
            ended(push(card, "--revision", "refs/pr/1"), ExitCode.DONE)
            assert hub.read(REPO, "README.md", "refs/pr/1").decode() == FILLED.replace("256", value)
        card.write_text(FILLED)
        ended(push(card), ExitCode.CHECK_FAILED)  # main holds something else

    @pytest.mark.parametrize(
        ("state", "said"),
        [
            ({"status": "closed"}, "#1 of alice/model is closed; it takes no more commits"),
            ({"status": "merged"}, "#1 of alice/model is merged; it takes no more commits"),
            ({"author": "bob"}, "#1 of alice/model is bob's, not alice's"),
            ({"is_pull_request": False}, "is a discussion, not a pull request"),
        ],
    )
    def test_what_is_none_of_ours_is_refused(
        self, proposed: Path, hub: Hub, push: Call, state: dict[str, object], said: str
    ) -> None:
        vars(hub.repos[REPO].discussions[1]).update(state)
        assert said in ended(push(proposed, "--revision", "refs/pr/1"), ExitCode.USAGE)

    def test_one_that_isnt_there(self, proposed: Path, push: Call) -> None:
        ended(push(proposed, "--revision", "refs/pr/9"), ExitCode.MISSING)

    @pytest.mark.parametrize("revision", ["refs/pr/0", "refs/pr/x", "refs/heads/main", "refs/pr/"])
    def test_a_ref_that_is_none(self, proposed: Path, hub: Hub, push: Call, revision: str) -> None:
        result = push(proposed, "--revision", revision)
        assert "neither a branch nor refs/pr/N" in ended(result, ExitCode.USAGE)


class TestRights:
    def test_anyone_may_propose(self, pulled: Path, hub: Hub, push: Call, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HF_TOKEN", BOB)
        ended(push(pulled), ExitCode.DONE)
        assert hub.repos[REPO].discussions[1].author == "bob"

    def test_not_anyone_may_commit(self, pulled: Path, hub: Hub, push: Call, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HF_TOKEN", BOB)
        said = ended(push(pulled, "--no-create-pr"), ExitCode.MISSING)
        assert "This account may not do that" in said
        assert "leave --no-create-pr out" in said

    def test_a_token_that_may_only_read(
        self, pulled: Path, hub: Hub, push: Call, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HF_TOKEN", CAROL)
        assert "The token of carol has read rights only" in ended(push(pulled), ExitCode.MISSING)
        assert hub.sent("POST") == []

    def test_the_token_file_is_used(
        self, pulled: Path, hub: Hub, push: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("HF_TOKEN")
        (tmp_path / "hf").mkdir(exist_ok=True)
        (tmp_path / "hf" / "token").write_text(f"{ALICE}\n")
        ended(push(pulled), ExitCode.DONE)

    def test_a_gated_repository(self, pulled: Path, hub: Hub, push: Call, monkeypatch: pytest.MonkeyPatch) -> None:
        hub.repos[REPO].gated = True
        monkeypatch.setenv("HF_TOKEN", BOB)
        said = ended(push(pulled), ExitCode.MISSING)
        assert "alice/model is gated" in said
        assert f"Accept its terms at {hub.endpoint}/{REPO}" in said


class TestANewRepository:
    @pytest.fixture
    def card(self, tmp_path: Path) -> Path:
        path = tmp_path / "card.md"
        path.write_text(FILLED)
        return path

    def test_is_never_made_unasked(self, card: Path, hub: Hub, call: Call) -> None:
        said = ended(call("push", card, "--repo-id", "alice/modle", "--yes"), ExitCode.MISSING)
        assert "The Hub has no model alice/modle" in said
        assert "--create-repo" in said
        assert hub.repos == {}

    def test_is_made_when_asked(self, card: Path, hub: Hub, push: Call) -> None:
        ended(push(card, "--create-repo", "--dry-run"), ExitCode.DONE)
        assert hub.repos == {}
        result = push(card, "--create-repo", "--no-create-pr")
        ended(result, ExitCode.DONE)
        assert "(to be made)" in result.stdout
        assert "everyone will see it" in result.stdout
        assert hub.read(REPO, "README.md").decode() == FILLED

    def test_under_anothers_name(self, card: Path, hub: Hub, call: Call) -> None:
        said = ended(call("push", card, "--repo-id", "bob/model", "--yes", "--create-repo"), ExitCode.MISSING)
        assert "can't make the repository bob/model" in said

    def test_needs_a_full_name(self, card: Path, hub: Hub, call: Call) -> None:
        said = ended(call("push", card, "--repo-id", "model", "--yes", "--create-repo"), ExitCode.USAGE)
        assert "Perhaps alice/model?" in said
