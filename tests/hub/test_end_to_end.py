"""The whole way, with the real verbs: pull, fill, push, an edit elsewhere, refused, refill, update, merge."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from scene import REPO, Call, ended
from server import Hub

from harness.cards.document import Document
from harness.cards.record import without_record
from harness.errors import ExitCode

CARD = """---
license: apache-2.0
# Bob keeps this list
tags:
- vision
---

# Model card for RegNetY-040

## Training Details

- **Batch size:** [More Information Needed]
- **Epochs:** [More Information Needed]

## Bias, Risks, and Limitations

Written by Bob.

## Model Card Contact

Bob.
"""


@pytest.mark.slow
def test_pull_fill_push_stale_refill_update_merge(hub: Hub, call: Call, push: Call, tmp_path: Path) -> None:
    hub.add_repo(REPO, {"README.md": CARD.encode(), "config.json": b"{}"})

    # pull and fill; the filled card is another file and still knows where it came from
    ended(call("pull", REPO, "--output", "card.md"), ExitCode.DONE)
    pulled_at = hub.head(REPO)
    assert (tmp_path / "card.md").read_bytes() == CARD.encode()
    assert call("fill", "card.md", "--model", "regnet-y-040", "--output", "filled.md").exit_code in (0, 3)
    filled = (tmp_path / "filled.md").read_text()
    assert markers(filled) == 0

    # push as a pull request: main stays as it is
    ended(push("filled.md"), ExitCode.DONE)
    assert hub.head(REPO) == pulled_at
    assert hub.read(REPO, "README.md", "refs/pr/1").decode() == on_the_hub(filled)
    assert hub.commits[hub.head(REPO, "refs/pr/1")].parents == (pulled_at,)

    # Bob edits: on main somewhere else, and on our pull request an answer of ours, asking for it again
    hub.edit(REPO, {"README.md": CARD.replace("by Bob.", "by Bob, bob@x.").encode()}, author="bob")
    answer = next(line for line in filled.splitlines() if line.startswith("- **Epochs:**"))
    asked = on_the_hub(filled).replace(answer, "- **Number of epochs:** [More Information Needed]")
    hub.edit(REPO, {"README.md": asked.encode()}, author="bob", ref="refs/pr/1")

    # another version of ours collides with that, and is refused
    (tmp_path / "filled.md").write_text(filled.replace(answer, f"{answer} Checked."))
    posts = len(hub.sent("POST"))
    stale = push("filled.md", "--revision", "refs/pr/1")
    said = ended(stale, ExitCode.CHECK_FAILED)
    assert "Nothing was sent: the card on refs/pr/1 of alice/model changed since this card was made from it" in said
    assert "harness pull alice/model --revision refs/pr/1 --output NEW.md" in said
    assert len(hub.sent("POST")) == posts
    assert hub.read(REPO, "README.md", "refs/pr/1").decode() == asked

    # refill from what is there now, and update the pull request
    ended(call("pull", REPO, "--revision", "refs/pr/1", "--output", "new.md"), ExitCode.DONE)
    assert call("fill", "new.md", "--model", "regnet-y-040", "--output", "refilled.md").exit_code in (0, 3)
    refilled = (tmp_path / "refilled.md").read_text()
    assert markers(refilled) == 0
    ended(push("refilled.md", "--revision", "refs/pr/1"), ExitCode.DONE)
    assert hub.read(REPO, "README.md", "refs/pr/1").decode() == on_the_hub(refilled)
    assert set(hub.repos[REPO].discussions) == {1}

    # the same again is nothing
    again = push("refilled.md", "--revision", "refs/pr/1")
    assert "pull request #1 of alice/model holds exactly this already" in ended(again, ExitCode.DONE)

    # merged by its owner, as git merges: Bob's edit on main is there too, and so are his comment and sections
    hub.merge(REPO, 1, author="alice")
    final = hub.read(REPO, "README.md").decode()
    assert final == on_the_hub(refilled).replace("by Bob.", "by Bob, bob@x.")
    assert "# Bob keeps this list\ntags:\n- vision\n" in final
    assert hub.files(REPO) == {"README.md", "config.json", "evidence.json", "fill.json"}

    # a merged pull request takes nothing more
    said = ended(push("refilled.md", "--revision", "refs/pr/1"), ExitCode.USAGE)
    assert "#1 of alice/model is merged" in said


def on_the_hub(card: str) -> str:
    """A filled card with the names that its ledger and its record have there."""
    return re.sub(r'"(?:re)?filled\.(evidence|fill)\.json"', r'"\1.json"', card)


def markers(card: str) -> int:
    return sum(not marker.talked_about for marker in Document(card).markers)


def test_an_edit_on_main_in_the_same_place(hub: Hub, call: Call, push: Call, tmp_path: Path) -> None:
    hub.add_repo(REPO, {"README.md": CARD.encode()})
    ended(call("pull", REPO, "--output", "card.md"), ExitCode.DONE)
    call("fill", "card.md", "--model", "regnet-y-040", "--output", "filled.md")
    edited = CARD.replace("- **Epochs:** [More", "- **Number of epochs:** [More")
    hub.edit(REPO, {"README.md": edited.encode()}, author="bob")
    said = ended(push("filled.md"), ExitCode.CHECK_FAILED)
    assert "the card on main of alice/model changed since this card was made from it, in the same places" in said
    assert hub.sent("POST") == []

    ended(call("pull", REPO, "--output", "card.md"), ExitCode.DONE)
    call("fill", "card.md", "--model", "regnet-y-040", "--output", "filled.md")
    ended(push("filled.md"), ExitCode.DONE)
    hub.merge(REPO, 1, author="alice")
    there = hub.read(REPO, "README.md").decode()
    assert without_record(there) == without_record((tmp_path / "filled.md").read_text())
    assert "holds exactly this already" in ended(push("filled.md"), ExitCode.DONE)


def test_a_filled_card_with_its_ledger_can_be_verified_after_the_push(
    hub: Hub, call: Call, push: Call, tmp_path: Path
) -> None:
    from harness.evidence import Evidence, Ledger

    hub.add_repo(REPO, {"README.md": CARD.encode()})
    item = {"key": "compute.parameters", "class": "derived", "value": 20646656, "unit": "parameters"}
    Ledger(model={"name": "regnet-y-040"}, evidence=[Evidence.model_validate(item)]).save(tmp_path / "mine.json")
    ended(call("pull", REPO, "--output", "card.md"), ExitCode.DONE)
    filled = call("fill", "card.md", "--model", "regnet-y-040", "--ledger", "mine.json", "--output", "filled.md")
    assert filled.exit_code in (0, 3), filled.output
    ended(push("filled.md"), ExitCode.DONE)
    assert hub.files(REPO, "refs/pr/1") == {"README.md", "evidence.json", "fill.json"}

    (tmp_path / "there").mkdir()
    for name in ("README.md", "evidence.json", "fill.json"):
        (tmp_path / "there" / name).write_bytes(hub.read(REPO, name, "refs/pr/1"))
    checked = call("verify", "there/README.md")
    assert checked.exit_code == 0, checked.output

    # a ledger that isn't the card's is not sent with it
    text = (tmp_path / "filled.evidence.json").read_text()
    (tmp_path / "filled.evidence.json").write_text(text.replace("20646656", "20646657"))
    said = ended(push("filled.md"), ExitCode.CHECK_FAILED)
    assert "isn't the ledger that filled.md was made from" in said


def test_the_file_beside_a_card_names_commit_and_hash(hub: Hub, call: Call, tmp_path: Path) -> None:
    hub.add_repo(REPO, {"README.md": CARD.encode()})
    ended(call("pull", REPO, "--output", "card.md"), ExitCode.DONE)
    said = json.loads((tmp_path / "card.md.harness.json").read_text())
    entry = hub.commits[hub.head(REPO)].tree["README.md"]
    assert said == {
        "schema": 1,
        "endpoint": hub.endpoint,
        "repo_id": REPO,
        "revision": "main",
        "commit": hub.head(REPO),
        "blob": entry.oid,
        "pushed": None,
    }
