"""Whatever the card and wherever its markers: bytes outside the report stay, and a second fill changes nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from harness.cards.document import Document, decode
from harness.cards.fill import fill_card
from harness.evidence import Ledger
from tests.cards.conftest import LEDGERS
from tests.cards.test_fill_source_cards import rebuild

MARKERS = [
    "[More Information Needed]",
    "[more information\nneeded]",
    r"\[More Information Needed\]",
    "**[More Information Needed]**",
    "[More\u00a0Information Needed]",
    "`[More Information Needed]`",
]
PIECES = [
    "# Title\n", "## License\n", "Title\n---\n", "---\nlicense: mit\n---\n", "- **Hours used:** ", "- item\n  - nested ",
    "> quoted ", "| a | b |\n|---|---|\n| c | ", " |\n", "```python\n", "```\n", "~~~\n", "    code ", "\n\n", "\r\n\r\n",
    "Batch size: ", "The references do not give the batch size. ", "However, more is true. ", "(see ", ") ", "[a link ",
    "](http://x) ", "<details>\n", "</details>\n", "<!-- ", "--> ", "1. one\n", "The optimizer is ", ". ", "é – ü ", "\t", "\x00",
    "Carbon Emitted: ", "| ", "`", "**", ": ", "\ufeff",
]  # fmt: skip
CARDS = st.lists(st.sampled_from(PIECES + MARKERS * 4) | st.text(max_size=8), max_size=25).map("".join)


def check(card: bytes, model: str) -> None:
    result = fill_card(card, model=model, ledger=None)
    assert rebuild(card, result) == result.text
    again = fill_card(result.text, model=model, ledger=None)
    assert again.text == result.text
    markers = Document(decode(result.text)).markers
    assert len(markers) == len(result.report["left"])  # none is left without a word
    assert result.complete <= all(marker.talked_about for marker in markers)


@pytest.mark.slow
@example(card="Batch size: [More Information Needed][More Information Needed]", model="regnet-y-040")
@example(
    card="[More Information Needed]<!-- The references do not give the batch size. [More Information Needed]",
    model="regnet-y-040",
)
@example(
    card="[More Information Needed] for a code snippet. However, the zoo has [More Information Needed] models for it.",
    model="regnet-y-040",
)
@example(
    card="The batch size is [More Information Needed][More Information Needed]. However, it may differ.",
    model="regnet-y-040",
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(card=CARDS, model=st.sampled_from(["regnet-y-040", "convnext-base-224-22k", "unknown"]))
def test_cards_made_of_pieces(card: str, model: str) -> None:
    check(card.encode("utf-8", "surrogatepass"), model)


@settings(max_examples=40, deadline=None)
@given(card=st.binary(max_size=200), marker=st.sampled_from(MARKERS), at=st.integers(0, 200))
def test_arbitrary_bytes(card: bytes, marker: str, at: int) -> None:
    check(card[:at] + marker.encode() + card[at:], "regnet-y-040")


def test_markers_at_random_places_of_the_source_cards(source_card: tuple[str, bytes]) -> None:
    """Some words of the source cards become markers; their places come from a fixed sequence."""
    model, card = source_card
    words = [match.span() for match in re.finditer(rb"(?<=[ \n|:])\w{4,}(?=[ \n.,])", card)]
    for step in (131, 173, 211):
        text, position = b"", 0
        for start, end in words[step % 7 :: step]:
            text += card[position:start] + MARKERS[(start + step) % len(MARKERS)].encode()
            position = end
        check(text + card[position:], model)


# --- with front matter and record ---

MARKER = re.compile(r"more\s+information\s+needed", re.IGNORECASE)


@settings(max_examples=40, deadline=None)
@given(card=CARDS, ledger=st.sampled_from([LEDGERS["partial"], LEDGERS["full"]]))
@example(card="{license: mit}\n[More Information Needed]", ledger=LEDGERS["full"])
@example(card="---\n{license: mit}\n---\n[More Information Needed]", ledger=LEDGERS["full"])
@example(card="---\nlicense: mit  # mine\n---\n[More Information Needed]", ledger=LEDGERS["full"])
@example(card="```\nopen [More Information Needed]", ledger=LEDGERS["full"])
@example(card="---\nno keys, [More Information Needed]\n---\n", ledger=LEDGERS["full"])
@example(card="---\n[More Information Needed]\n---\n", ledger=LEDGERS["full"])
def test_what_is_added_is_reported_and_added_once(card: str, ledger: Ledger) -> None:
    text = card.encode("utf-8", "surrogatepass")
    options = {"model": "regnet-y-040", "ledger": ledger, "front_matter": True, "sidecar": "card.evidence.json"}
    result = fill_card(text, **options)  # type: ignore[arg-type]
    assert rebuild(text, result) == result.text
    assert fill_card(result.text, **options).text == result.text  # type: ignore[arg-type]
    before, after = (Document(decode(part)) for part in (text, result.text))
    if before.front_matter and after.front_matter:
        kept = before.text[slice(*before.front_matter)]
        if not re.search(MARKER, kept):
            assert after.text[slice(*after.front_matter)].startswith(kept.rstrip("\r\n"))


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_random_markers_in_random_places_of_every_card(data: st.DataObject) -> None:
    """The source cards, the rendered cards of this repository, and cards of other shapes."""
    folder = Path(__file__).resolve().parents[2]
    paths = [
        *sorted((folder / "cards").glob("*.md")),
        *sorted((folder.parent / "shared" / "source-cards").glob("*.md")),
    ]
    path = data.draw(st.sampled_from(paths))
    card = path.read_bytes()
    places = sorted(data.draw(st.lists(st.integers(0, len(card)), min_size=1, max_size=12)))
    pieces, position = b"", 0
    for place in places:
        pieces += card[position:place] + data.draw(st.sampled_from(MARKERS)).encode()
        position = place
    check(pieces + card[position:], path.stem)
