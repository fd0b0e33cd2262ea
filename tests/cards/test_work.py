"""What reading a card costs grows with its bytes and no faster, and a card that would take minutes is refused before it is read."""

from __future__ import annotations

import gc
import re
import time
from collections.abc import Callable

import pytest

from harness.cards import document, fill, passages
from harness.cards.claims import check_claims
from harness.cards.document import Document
from harness.cards.fill import fill_card
from harness.errors import HarnessError

MARKER = "[More Information Needed]"
CLAIM = "\n\n# Results\n\nTop-1 accuracy is 77.1 %.\n"
SHAPES: dict[str, Callable[[int], str]] = {
    "prose": lambda n: "The model has 20.6 million parameters and was trained for 100 epochs.\n\n" * (n // 72),
    "one sentence": lambda n: "e.g. a. " * (n // 8),
    "bullets": lambda n: "- Batch size: 512\n" * (n // 18),
    "long table": lambda n: "| Setting | Value |\n|---|---|\n" + "| Batch size | 512 |\n" * (n // 21),
    "wide table": lambda n: "\n".join("|" + cell * (n // 12) for cell in ("a|", "-|", "1|")),
    "HTML table": lambda n: f"<table>\n{f'<tr><td>Epochs</td><td>{MARKER}</td></tr>' * (n // 56)}</table>",
    "open rows": lambda n: "<tr>" * (n // 4),
    "markers": lambda n: f"- Epochs: {MARKER}\n" * (n // 36),
    "markers in a row": lambda n: f"{MARKER} " * (n // 26),
    "markers without brackets": lambda n: "more information needed " * (n // 24),
    "markers in links": lambda n: f"[a]({MARKER}) " * (n // 31),
    "markers in code": lambda n: f"```python\n{f'a = {MARKER}' * (n // 29)}\n```",
    "comment": lambda n: f"<!-- {'words ' * (n // 6)} -->",
    "signs": lambda n: "".join(sign * (n // 5) + "\n\n" for sign in ("<", "[", "*", "`", "_")),
    "front matter": lambda n: f"---\n{''.join(f'key{i}: 512 # {MARKER}{chr(10)}' for i in range(n // 46))}---\n",
}  # fmt: skip


def _seconds(shape: Callable[[int], str], size: int) -> float:
    """The quicker of two readings of a card that begins so."""
    card, found = (shape(size) + CLAIM).encode(), []
    for _ in range(2):
        begun = time.process_time()
        check_claims(card, model="regnet-y-040", ledger=None)
        fill_card(card, model="regnet-y-040", ledger=None)
        found.append(time.process_time() - begun)
    return min(found)


@pytest.mark.slow
def test_twice_the_bytes_take_no_more_than_twice_the_time() -> None:
    """What takes quadratic time takes seconds here, and four times as many."""
    fill_card(f"{MARKER} {CLAIM}".encode(), model="regnet-y-040", ledger=None)
    taken = {name: (_seconds(shape, 2_500), _seconds(shape, 10_000)) for name, shape in SHAPES.items()}
    slow = {name: times for name, times in taken.items() if times[1] > 4 * 1.5 * times[0] + 0.1}
    assert not slow, taken


@pytest.mark.slow
def test_a_document_is_read_in_linear_time() -> None:
    """Ten times the bytes take no more than fifteen times the time: here work of a large share of n² shows."""

    def seconds(shape: str, size: int) -> float:
        card, found = SHAPES[shape](size), []
        for _ in range(2):
            begun = time.process_time()
            assert Document(card).markers or shape != "markers"
            found.append(time.process_time() - begun)
        return min(found)

    gc.disable()  # its passes take longer the more the tests before have left
    try:
        taken = {
            name: (seconds(name, 40_000), seconds(name, 400_000))
            for name in ("markers", "long table", "comment", "prose")
        }
    finally:
        gc.enable()
    assert not {name: times for name, times in taken.items() if times[1] > 15 * times[0] + 0.2}, taken


@pytest.mark.parametrize(
    ("bound", "card", "why"),
    [
        ((document, "MOST_CHARACTERS", 99), "a" * 100, "it has 100 characters; 99 are the most"),
        ((document, "MOST_LINES", 5), "<!--\n\n\n\n\n-->\n" + "||||||||\n" * 3, "it has 7 lines .*; 5 are the most"),
        ((fill, "MOST_MARKERS", 3), f"{MARKER}\n" * 4, "it has 4 markers; 3 are the most"),
    ],
)
def test_a_card_of_too_much_work_is_refused_with_what_it_has_too_much_of(
    monkeypatch: pytest.MonkeyPatch, bound: tuple[object, str, int], card: str, why: str
) -> None:
    monkeypatch.setattr(*bound)
    with pytest.raises(HarnessError, match=why):
        fill_card(card.encode(), model="regnet-y-040", ledger=None)


def test_what_is_too_long_to_be_checked_is_filled_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passages, "MOST_WORK", 3)
    card = f"License: {MARKER}\n\n" + "It is.\n\n" * 4
    result = fill_card(card.encode(), model="regnet-y-040", ledger=None)
    assert b"`apache-2.0` on the Hub page" in result.text
    why = r"line \d: .*more sentences, cells and fields"
    assert re.search(why, result.report["unread"])
    with pytest.raises(HarnessError, match=why):
        check_claims(card.encode(), model="regnet-y-040", ledger=None)


def test_columns_that_nobody_reads_are_left_with_their_markers() -> None:
    columns = document.MOST_COLUMNS + 1
    card = Document("\n".join("|" + cell * columns for cell in ("a|", "-|", f"{MARKER}|")))
    reasons = [marker.talked_about for marker in card.markers]
    assert reasons == [None] * (columns - 1) + [f"a table of more than {columns - 1} columns"]
