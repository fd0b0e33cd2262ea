"""Filling a filled card again: its own answers are brought up to date, and what others wrote meanwhile stays."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import harness
from harness.cards.fill import fill_card
from harness.errors import ExitCode, HarnessError
from harness.evidence import Ledger
from tests.cards.conftest import LEDGERS

M = "[More Information Needed]"


@pytest.fixture
def card(source_card: tuple[str, bytes], tmp_path: Path) -> tuple[str, Path]:
    model, text = source_card
    (tmp_path / "x.md").write_bytes(text)
    return model, tmp_path / "x.md"


def fill(source: Path, model: str, ledger: Ledger | None, output: Path, **options: bool) -> bytes:
    known = ledger or Ledger(model={"name": model})
    return harness.fill(source, model=model, ledger=known, output=output, **options).text


@pytest.mark.parametrize("options", [{}, {"fix_claims": True, "front_matter": True}], ids=["plain", "all"])
def test_with_the_same_evidence_nothing_changes(card: tuple[str, Path], options: dict[str, bool]) -> None:
    model, source = card
    out = source.with_name("out.md")
    first = fill(source, model, LEDGERS["partial"], out, **options)
    assert fill(out, model, LEDGERS["partial"], out, **options) == first
    assert harness.verify(out, predictions=False).theirs == []


def test_with_newer_evidence_it_is_as_if_filled_from_that_at_once(card: tuple[str, Path]) -> None:
    model, source = card
    old, new = source.with_name("old.md"), source.with_name("new.md")
    fill(source, model, None, old)
    fill(old, model, LEDGERS["full"], old)
    at_once = fill(source, model, LEDGERS["full"], new)
    assert old.read_bytes().replace(b'"old.', b'"new.') == at_once
    assert b"71.11 %" in old.read_bytes()
    assert [finding for finding in harness.verify(old, predictions=False).findings if finding.line] == []


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_what_others_wrote_since_stays_where_it_is(tmp_path: Path, newline: str) -> None:
    text = f"# A\n\nOurs is old.\n\n- **Epochs:** {M}\n- **Batch size:** {M}\n- **Shape:** round\n"
    out = tmp_path / "out.md"
    (tmp_path / "x.md").write_bytes(text.replace("\n", newline).encode())
    fill(tmp_path / "x.md", "regnet-y-040", None, out)

    def edited(card: str) -> str:
        card = card.replace("Ours is old.", "Ours is new.").replace("**Shape:** round", f"**Shape:** {M}")
        card = card.replace("- **Batch", f"- **Bought:** never{newline}- **Batch")
        return f"{card}{newline}## Contact{newline}{newline}Write to us.{newline}"

    out.write_bytes(edited(out.read_bytes().decode()).encode())
    again = fill(out, "regnet-y-040", None, out)
    (tmp_path / "y.md").write_bytes(edited(text.replace("\n", newline)).encode())
    at_once = fill(tmp_path / "y.md", "regnet-y-040", None, tmp_path / "out2.md")
    assert without_record(again) == without_record(at_once)
    assert harness.verify(out, predictions=False).theirs == []


def without_record(card: bytes) -> bytes:
    return re.sub(rb"<!-- harness card .*", b"", card)


def test_an_answer_that_somebody_changed_is_theirs_and_told_of(tmp_path: Path) -> None:
    out = tmp_path / "out.md"
    (tmp_path / "x.md").write_text(f"# A\n\n- **Epochs:** {M}\n- **Learning rate:** {M}\n")
    fill(tmp_path / "x.md", "regnet-y-040", None, out)
    out.write_text(out.read_text("utf-8").replace("** 100", "** 5"), "utf-8")
    result = harness.fill(out, model="regnet-y-040", ledger=Ledger(model={}), output=out)
    assert result.text.startswith(b"# A\n\n- **Epochs:** 5 [[h")
    assert result.report["left"] == [{"line": 3, "why": "somebody changed what was filled in"}]
    assert [claim["line"] for claim in result.report["contradictions"]] == [3]
    assert [row["question"] for row in result.report["markers"]] == ["learning-rate"]


def test_without_the_right_record_nothing_is_taken_for_the_authors_text(tmp_path: Path) -> None:
    out = tmp_path / "out.md"
    (tmp_path / "x.md").write_text(f"- **Epochs:** {M}\n")
    fill(tmp_path / "x.md", "regnet-y-040", None, out)
    record = tmp_path / "out.fill.json"
    record.write_text(record.read_text("utf-8").replace("**Epochs", "**Years"), "utf-8")
    with pytest.raises(HarnessError, match="it is of another card, or was changed"):
        fill(out, "regnet-y-040", None, out)
    record.unlink()
    with pytest.raises(HarnessError, match="not beside it") as error:
        fill(out, "regnet-y-040", None, out)
    assert error.value.exit_code == ExitCode.MISSING


def test_each_change_of_a_fill_is_one_of_the_card_before(source_card: tuple[str, bytes]) -> None:
    from harness.cards.spans import as_recorded, unfilled

    model, text = source_card
    result = fill_card(text, model=model, ledger=None, fix_claims=True, front_matter=True, sidecar="c.evidence.json")
    assert as_recorded(result.report).is_byte_for_byte == result.text
    assert unfilled(result.text, result.report) == (text, [])
    touched = [card.replace(b"\n\nThe facebook", b"\n\nA facebook", 1) for card in (result.text, text)]
    assert unfilled(touched[0], result.report) == (touched[1], [])
