"""Numbered references: each place once, in the order in which a reader meets them."""

from __future__ import annotations

import re

from markdown_it import MarkdownIt

from harness.cards.references import References
from harness.evidence import Source

ZOO, PAPER = (
    Source(title="zoo", place="ZOO.md:9", url="https://example.org/ZOO.md#L9"),
    Source(title="A paper", place="Table 2", url="https://example.org/paper"),
)
HERE = Source(title="config.json", place="hidden_sizes")


def test_numbers_follow_the_text_and_what_was_dropped_leaves_no_gap() -> None:
    references = References()
    dropped, first, both = references.cite(HERE), references.cite(PAPER), references.cite(ZOO, PAPER, ZOO)
    assert dropped
    assert references.settle(f"b {first}, c {both}", f"d {first}") == ["b [[1]], c [[1], [2]]", "d [[1]]"]
    assert references.listed().splitlines()[:2] == ["- A paper: [[1]] Table 2", "- zoo, ZOO.md: [[2]] line 9"]
    assert "config.json" not in references.listed()


def test_a_caveat_stands_once_with_a_sign_at_each_value() -> None:
    references = References()
    for_old, partial = references.note("For the old weights."), references.note("Part of the images.")
    text = f"1 {partial}{references.cite(ZOO)}, 2 {for_old}, 3 {partial}"
    assert references.settle(text) == ["1 †[[1]], 2 ‡, 3 †"]
    assert references.notes() == "† Part of the images.<br>\n‡ For the old weights."


def test_marks_are_links_to_the_place_in_a_cell_beside_a_cards_own_numbers() -> None:
    references = References(prefix="h", first=3)
    table = f"| a | b |\n| --- | --- |\n| 1 {references.cite(ZOO, PAPER)} | 2 [1] {references.cite(HERE)} |\n"
    (text,) = references.settle(table)
    page = MarkdownIt("gfm-like", {"linkify": False}).render(f"{text}\n{references.listed()}")
    assert '[<a href="https://example.org/ZOO.md#L9">h3</a>, <a href="https://example.org/paper">h4</a>]' in page
    assert "2 [1] [h5]" in page  # the card's own number stays; a place without an address is no link
    assert re.search(r"<li>config.json: \[h5\] hidden_sizes", page)


def test_notes_stand_where_they_are_asked_for_and_only_those_that_are_used() -> None:
    references = References()
    references.note("Dropped with its answer.")
    text = f"1 {references.note('one')}\n{references.notes_here}\n2 {references.note('One.')} {references.note('two')}"
    assert references.settle(text) == ["1 †\n† One.\n2 † ‡"]
    assert references.notes() == "‡ Two."


def test_three_and_more_in_a_row_are_a_range() -> None:
    references = References()
    places = [Source(title="t", place=f"p. {at}", url=f"https://example.org/{at}") for at in range(6)]
    text = f"{references.cite(places[0])} {references.cite(*places[1:4], places[5])} {references.cite(*places[:2])}"
    assert references.settle(text) == ["[[1]] [[2]–[5]] [[1], [2]]"]


def test_a_note_that_holds_for_a_whole_labelled_line_stands_at_its_label() -> None:
    references = References()
    note = references.note("For the old weights.")
    value = f"x {references.cite(ZOO)}{note}"
    all_of_it, part_of_it = (
        f"- **Recipe:** {value}; {value}; {value}.",
        f"- **Time:** {value}; {value}; {value}; y {references.cite(PAPER)}",
    )
    assert references.settle(all_of_it) == ["- **Recipe:**† x [[1]]; x [[1]]; x [[1]]."]
    assert references.settle(part_of_it) == ["- **Time:** x [[1]]†; x [[1]]†; x [[1]]†; y [[2]]"]
