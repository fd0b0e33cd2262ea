"""Merging a card with what others made of it on the Hub."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from harness.cards.record import CardRecord
from harness.hub.merge import merge_cards, parts, top_level

BASE = """---
# the spec: see the Hub's documentation
license: apache-2.0
tags:
- vision  # not only
- image-classification
datasets: [imagenet-1k]
---
# Model

Intro.

## Training

Batch size: [More Information Needed]

## Bias

None known.
"""


def merged(base: str | None, theirs: str, ours: str) -> str:
    """The merged card; fails where there is a conflict."""
    result = merge_cards(base.encode() if base is not None else None, theirs.encode(), ours.encode())
    assert result.conflicts == ()
    return result.text.decode()


def places(base: str | None, theirs: str, ours: str) -> list[str]:
    """Where the two collide."""
    result = merge_cards(base.encode() if base is not None else None, theirs.encode(), ours.encode())
    return [conflict.where for conflict in result.conflicts]


class TestBody:
    def test_both_sides_changes_are_kept(self) -> None:
        theirs = BASE.replace("None known.", "Few cats.")
        ours = BASE.replace("[More Information Needed]", "256")
        assert merged(BASE, theirs, ours) == BASE.replace("None known.", "Few cats.").replace(
            "[More Information Needed]", "256"
        )

    def test_a_section_added_on_the_hub_is_kept(self) -> None:
        theirs = BASE + "\n## Citation\n\nMe.\n"
        ours = BASE.replace("[More Information Needed]", "256")
        assert merged(BASE, theirs, ours).endswith("None known.\n\n## Citation\n\nMe.\n")

    def test_the_same_line_changed_differently_is_a_conflict_at_our_line(self) -> None:
        theirs = BASE.replace("[More Information Needed]", "512")
        ours = BASE.replace("[More Information Needed]", "256")
        assert places(BASE, theirs, ours) == ["line 15"]
        assert ours.splitlines()[14] == "Batch size: 256"

    def test_neighbouring_lines_without_one_between_are_a_conflict(self) -> None:
        assert places("a\nb\n", "A\nb\n", "a\nB\n") == ["line 1"]

    def test_a_line_between_is_enough(self) -> None:
        assert merged("a\n-\nb\n", "A\n-\nb\n", "a\n-\nB\n") == "A\n-\nB\n"

    def test_the_same_change_on_both_sides_is_no_conflict(self) -> None:
        both = BASE.replace("[More Information Needed]", "256")
        assert merged(BASE, both, both) == both

    def test_removed_there_and_changed_here_is_a_conflict(self) -> None:
        theirs = BASE.replace("Batch size: [More Information Needed]\n\n", "")
        assert places(BASE, theirs, BASE.replace("[More Information Needed]", "256")) == ["line 15"]


class TestFrontMatter:
    def test_keys_added_on_both_sides_dont_collide(self) -> None:
        theirs = BASE.replace("datasets: [imagenet-1k]\n", "datasets: [imagenet-1k]\nlanguage: en\n")
        ours = BASE.replace("datasets: [imagenet-1k]\n", "datasets: [imagenet-1k]\nmetrics:\n- accuracy\n")
        found = merged(BASE, theirs, ours)
        assert yaml.safe_load(parts(found.encode()).yaml) == {
            "license": "apache-2.0",
            "tags": ["vision", "image-classification"],
            "datasets": ["imagenet-1k"],
            "metrics": ["accuracy"],
            "language": "en",
        }

    def test_comments_and_order_stay(self) -> None:
        theirs = BASE.replace("license: apache-2.0\n", "license: apache-2.0\n# asked for by legal\nlanguage: en\n")
        ours = BASE.replace("datasets: [imagenet-1k]", "datasets: [ILSVRC/imagenet-1k]")
        assert merged(BASE, theirs, ours).splitlines()[:9] == [
            "---",
            "# the spec: see the Hub's documentation",
            "license: apache-2.0",
            "# asked for by legal",
            "language: en",
            "tags:",
            "- vision  # not only",
            "- image-classification",
            "datasets: [ILSVRC/imagenet-1k]",
        ]

    def test_one_key_changed_differently_is_a_conflict_by_name(self) -> None:
        assert places(BASE, BASE.replace("apache-2.0", "mit"), BASE.replace("apache-2.0", "cc0-1.0")) == [
            "front matter: license"
        ]

    def test_inside_a_key_lines_are_merged(self) -> None:
        base = "---\ntags:\n- a\n- b\n- c\n- d\n---\n"
        assert merged(base, base.replace("- a\n", "- A\n"), base.replace("- d\n", "- D\n")) == (
            "---\ntags:\n- A\n- b\n- c\n- D\n---\n"
        )

    def test_a_key_removed_here_goes_and_one_removed_there_too(self) -> None:
        theirs, ours = BASE.replace("license: apache-2.0\n", ""), BASE.replace("datasets: [imagenet-1k]\n", "")
        assert list(top_level(parts(merged(BASE, theirs, ours).encode()).yaml) or ()) == ["tags"]

    def test_a_key_removed_there_and_changed_here_is_a_conflict(self) -> None:
        theirs, ours = BASE.replace("datasets: [imagenet-1k]\n", ""), BASE.replace("[imagenet-1k]", "[other]")
        assert places(BASE, theirs, ours) == ["front matter: datasets"]

    def test_a_front_matter_that_is_no_yaml_is_merged_by_lines(self) -> None:
        base = "---\nlicense: [\nx: 1\ny: 2\n---\nbody\n"
        assert merged(base, base.replace("y: 2", "y: 3"), base.replace("body", "text")) == (
            "---\nlicense: [\nx: 1\ny: 3\n---\ntext\n"
        )

    def test_front_matter_is_added_where_there_is_none(self) -> None:
        assert merged("# T\n", "# T\n", "---\nlicense: mit\n---\n# T\n") == "---\nlicense: mit\n---\n# T\n"


class TestTheRecordAtTheEnd:
    RECORD = str(CardRecord("fill", "m", "evidence.json", "0" * 64))

    @pytest.mark.parametrize("end", ["None known.\n", "None known."])
    def test_a_section_added_on_the_hub_goes_above_it(self, end: str) -> None:
        base = BASE.replace("None known.\n", end)
        theirs = base.rstrip("\n") + "\n\n## Citation\n\nMe.\n"
        ours = base.rstrip("\n") + f"\n\n{self.RECORD}\n"
        assert merged(BASE, theirs, ours) == BASE + f"\n## Citation\n\nMe.\n\n{self.RECORD}\n"

    def test_a_newer_one_replaces_the_old(self) -> None:
        old, new = self.RECORD, self.RECORD.replace("0" * 64, "1" * 64)
        theirs = BASE + f"\n{old}\n"
        assert merged(theirs, theirs, BASE + f"\n{new}\n") == BASE + f"\n{new}\n"
        assert merged(None, theirs, theirs) == theirs


class TestWithoutACommonBase:
    def test_anothers_text_is_never_replaced(self) -> None:
        assert places(None, "# Theirs\n", "# Ours\n") == ["line 1"]

    def test_the_same_card_is_no_conflict(self) -> None:
        assert merged(None, BASE, BASE) == BASE


class TestLineEnds:
    def test_ours_takes_the_hubs(self) -> None:
        crlf = BASE.replace("\n", "\r\n")
        ours = BASE.replace("[More Information Needed]", "256")
        assert merged(crlf, crlf, ours) == ours.replace("\n", "\r\n")

    def test_line_ends_alone_are_no_change(self) -> None:
        assert merged(BASE, BASE, BASE.replace("\n", "\r\n")) == BASE

    def test_mixed_ones_stay(self) -> None:
        mixed = "a\r\nb\nc\n"
        assert merged(mixed, mixed, "a\r\nb\nC\n") == "a\r\nb\nC\n"


def test_bytes_that_are_not_utf8_survive() -> None:
    base = b"caf\xe9\n\nmarker\n\nend\n"
    assert merge_cards(base, base + b"more\n", base.replace(b"marker", b"x")).text == b"caf\xe9\n\nx\n\nend\nmore\n"


lines = st.lists(st.sampled_from("abcdefgh"), max_size=8).map(lambda names: "".join(f"{name}\n" for name in names))


@given(base=lines, side=lines)
def test_a_change_on_one_side_alone_is_taken_whole(base: str, side: str) -> None:
    assert merged(base, side, base) == side or not side.strip()  # an empty card on the Hub counts as not written
    assert merged(base, base, side) == side
    assert merged(base, side, side) == side


@given(data=st.data())
def test_git_agrees(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    """With lines that occur once, where to align is no matter of taste, and `git merge-file` is a second opinion."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    base = [f"line {n}" for n in range(8)]
    sides = []
    for name in ("ours", "theirs"):
        side = list(base)
        for index in data.draw(st.lists(st.integers(0, 7), max_size=3, unique=True), label=name):
            side[index] = f"{name} {index}"
        sides.append(side)
    folder: Path = tmp_path_factory.mktemp("git")
    texts = ["".join(f"{line}\n" for line in side) for side in (sides[0], base, sides[1])]
    paths = [folder / name for name in ("ours", "base", "theirs")]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text)
    done = subprocess.run(["git", "merge-file", "-p", *map(str, paths)], capture_output=True, text=True, check=False)
    result = merge_cards(texts[1].encode(), texts[2].encode(), texts[0].encode())
    assert bool(result.conflicts) == (done.returncode != 0)
    if not result.conflicts:
        assert result.text.decode() == done.stdout
