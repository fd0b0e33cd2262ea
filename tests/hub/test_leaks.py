"""What lies beside a card is sent only where it is the card's own picture, ledger or record, and holds no credential."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from scene import FILLED, REPO, Call, ended
from server import Hub

from harness.errors import ExitCode
from harness.evidence import Ledger

KEY = f"-----BEGIN OPENSSH {'PRIVATE'} KEY-----\nb3BlbnNzaC1rZXktdjEA\n"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(16)


@pytest.fixture
def card(hub: Hub, tmp_path: Path) -> Path:
    """A card that shows `figures/roc.png`, beside a folder with a key that isn't to be published."""
    hub.add_repo(REPO)
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "roc.png").write_text(KEY)
    (tmp_path / "card").mkdir()
    path = tmp_path / "card" / "card.md"
    path.write_text(f"{FILLED}\n![roc](figures/roc.png)\n")
    return path


def link_to_a_file(folder: Path, private: Path) -> None:
    (folder / "figures").mkdir()
    (folder / "figures" / "roc.png").symlink_to(private / "roc.png")


def link_to_a_folder(folder: Path, private: Path) -> None:
    (folder / "figures").symlink_to(private)


def link_to_a_link(folder: Path, private: Path) -> None:
    (folder / "figures").mkdir()
    (folder / "other.png").symlink_to(private / "roc.png")
    (folder / "figures" / "roc.png").symlink_to("../other.png")


def ledger_elsewhere(folder: Path, private: Path) -> None:
    Ledger(model={"name": "m"}, evidence=[]).save(private / "evidence.json")
    (folder / "evidence.json").symlink_to(private / "evidence.json")


def key_in_disguise(folder: Path, private: Path) -> None:
    (folder / "figures").mkdir()
    (folder / "figures" / "roc.png").write_text(KEY)


def key_behind_a_picture(folder: Path, private: Path) -> None:
    (folder / "figures").mkdir()
    (folder / "figures" / "roc.png").write_bytes(PNG + KEY.encode())


def a_folder(folder: Path, private: Path) -> None:
    (folder / "figures" / "roc.png").mkdir(parents=True)


@pytest.mark.parametrize(
    ("prepare", "why"),
    [
        (link_to_a_file, "outside the card's folder"),
        (link_to_a_folder, "outside the card's folder"),
        (link_to_a_link, "outside the card's folder"),
        (ledger_elsewhere, "outside the card's folder"),
        (key_in_disguise, "doesn't begin like a PNG picture"),
        (key_behind_a_picture, "holds a private key"),
        (a_folder, "is no regular file"),
    ],
)
def test_what_is_not_the_cards_is_not_sent(
    card: Path, hub: Hub, push: Call, prepare: Callable[[Path, Path], None], why: str
) -> None:
    prepare(card.parent, card.parents[1] / "private")
    result = push(card)
    assert why in " ".join(result.stderr.split())
    assert result.exit_code in (ExitCode.CHECK_FAILED, ExitCode.USAGE)
    assert hub.sent("POST") == []


def test_a_link_within_the_folder_is_followed_and_named(card: Path, push: Call) -> None:
    (card.parent / "figures").mkdir()
    (card.parent / "drawn.png").write_bytes(PNG)
    (card.parent / "figures" / "roc.png").symlink_to("../drawn.png")
    result = push(card, "--dry-run")
    ended(result, ExitCode.DONE)
    assert "figures/roc.png  PNG picture" in result.stdout


@pytest.mark.parametrize(
    "secret",
    [
        KEY,
        f"AKIA{'Q' * 16}",
        f"ghp_{'a1' * 18}",
        f"glpat-{'a1' * 10}",
        f"AIza{'b' * 35}",
        f"sk-ant-{'c3' * 20}",
        f"xoxb-{'1' * 12}",
        f"npm_{'d' * 36}",
    ],
)
def test_no_credential_in_card_or_message(card: Path, hub: Hub, push: Call, secret: str) -> None:
    assert "--message holds" in ended(push(card, "--message", f"Update {secret}"), ExitCode.USAGE)
    card.write_text(f"{FILLED}\n<!-- {secret} -->\n")
    assert "it isn't sent" in ended(push(card), ExitCode.CHECK_FAILED)
    assert hub.sent("POST") == []
