"""Finding markers and blocks in a card's text, to the byte."""

from __future__ import annotations

import pytest

from harness.cards.document import Document, Edit, apply_edits, decode, encode
from harness.cards.sentences import sentences


def markers(text: str) -> list[tuple[str, str | None]]:
    document = Document(text)
    return [(text[m.start : m.end], m.talked_about) for m in document.markers]


@pytest.mark.parametrize(
    "written",
    [
        "[More Information Needed]",
        "[more information needed]",
        "[MORE  INFORMATION\tNEEDED]",
        "[ More\u00a0Information Needed ]",
        "[More&nbsp;Information&#160;Needed]",
        "[More\nInformation Needed]",
        "[More Information\r\nNeeded]",
        r"\[More Information Needed\]",
        "**[More Information Needed]**",
        "[**More Information Needed**]",
        "_[More Information Needed]_",
        "***[More Information Needed]***",
        "&#91;More Information Needed&#93;",
        "<b>[More Information Needed]</b>",
        "[More Information Needed.]",
    ],
)
def test_every_way_of_writing_a_marker_is_found_whole(written: str) -> None:
    assert markers(f"The licence: {written} and more.") == [(written, None)]


@pytest.mark.parametrize(
    "card",
    [
        "- License: [More Information Needed]\n  - x\n",
        "| a | b |\n|---|---|\n| c | [More Information Needed] |\n",
        "> quoted\n> [More Information Needed]\n",
        "# Title [More Information Needed]\n",
        "Title [More Information Needed]\n=====\n",
        "see [the [More Information Needed] page](http://x)\n",
        "<details>\n<summary>s</summary>\n\n[More Information Needed]\n\n</details>\n",
        "<table><tr><td>[More Information Needed]</td></tr></table>\n",
        "```\n[More Information Needed]\n```\n",
        "~~~~python\n[More Information Needed]\n~~~~\n",
        "    [More Information Needed]\n",
        "---\nlicense: [More Information Needed]\n---\n# x\n",
        "---\ntags:\n- '[More Information Needed]'\n---\n",
        "1. a\n   - b\n     > c [More Information Needed]\n",
        "```\nan open fence [More Information Needed]",
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_marker_is_found_in_every_kind_of_block(card: str, newline: str) -> None:
    document = Document(card.replace("\n", newline))
    (marker,) = document.markers
    assert marker.talked_about is None
    assert marker.block is not None
    assert marker.block.start <= marker.start < marker.end <= marker.block.end


@pytest.mark.parametrize(
    ("card", "why"),
    [
        ("Replace `[More Information Needed]` by text.", "inline code"),
        ("Replace ``[More Information Needed]`` by text.", "inline code"),
        ("<code>[More Information Needed]</code>", "inline code"),
        ("a <!-- [More Information Needed] --> b", "HTML comment"),
        ("<!--\nfill every\n[More Information Needed]\n-->\n", "HTML comment"),
        ("---\nlicense: mit # [More Information Needed]\n---\n", "YAML comment"),
        ("[More Information Needed]: http://example.org\n", "link definition"),
    ],
)
def test_a_marker_that_is_only_talked_about_is_told_apart(card: str, why: str) -> None:
    assert [reason for _, reason in markers(card)] == [why]


def test_words_that_are_no_marker_are_left() -> None:
    assert (
        markers("More information needed. [More information] (more information needed) [More Information Needed") == []
    )


def test_a_stray_backtick_does_not_hide_a_marker_in_another_paragraph() -> None:
    assert markers("a ` b\n\n[More Information Needed]\n\nc ` d") == [("[More Information Needed]", None)]


def test_labels_come_from_bold_text_table_heads_lead_ins_and_yaml_paths() -> None:
    card = (
        "---\nmodel-index:\n- results:\n  - value: [More Information Needed]\n---\n"
        "- **Hours used:** some\n\n[More Information Needed] on it.\n\n# A\n\nThroughput:\n- [More Information Needed]\n\n"
        "| what | how many |\n|---|---|\n| GPUs | [More Information Needed] |\n"
    )
    labels = [m.block.label for m in Document(card).markers if m.block]
    assert labels == ["model-index.0.results.0.value", "Hours used", "Throughput", "GPUs — how many"]


def test_sections_are_the_headings_above_in_both_styles() -> None:
    card = "One\n===\n\n## Two ##\n### Three\n\nx\n\nFour\n---\n[More Information Needed]\n"
    (marker,) = Document(card).markers
    assert marker.block
    assert marker.block.section == ("One", "Four")


def test_bytes_that_are_not_utf8_survive() -> None:
    data = b"\xef\xbb\xbf# \xff\xfe\r\nx\x00y [More Information Needed] \xc3\n"
    assert encode(decode(data)) == data
    assert len(Document(decode(data)).markers) == 1


def test_edits_that_overlap_are_refused() -> None:
    with pytest.raises(ValueError, match="overlap"):
        apply_edits("abcdef", [Edit(0, 3, "x"), Edit(2, 4, "y")])
    assert apply_edits("abcdef", [Edit(4, 5, "Y"), Edit(0, 1, "X")]) == "XbcdYf"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        (
            "Types (e.g., V100, A100, etc.) are not known. Next.",
            ["Types (e.g., V100, A100, etc.) are not known.", "Next."],
        ),
        ("Not provided. [3] And more.", ["Not provided.", "And more."]),
        ("It is 5.3 times i.e. a lot. Yes.", ["It is 5.3 times i.e. a lot.", "Yes."]),
        ("Batch size: 4\nEpochs: 3", ["Batch size: 4", "Epochs: 3"]),
        ("It is on\nthe next line. So.", ["It is on\nthe next line.", "So."]),
    ],
)
def test_sentences(text: str, expected: list[str]) -> None:
    assert [text[a:b] for a, b in sentences(text, 0, len(text))] == expected
