"""Label spaces are the published lists, byte for byte, or an error."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.errors import ExitCode, HarnessError
from harness.labels import spaces
from harness.labels.spaces import LABEL_SPACES, class_name, label_space, lemmas, timm_info_folder

# Lengths: Russakovsky et al. 2015 (1k), the fall-2011 release (22k), Hendrycks et al. 2021 (A and R: 200 each).
LENGTHS = {"imagenet-1k": 1000, "imagenet-22k": 21841, "imagenet-a-200": 200, "imagenet-r-200": 200}


@pytest.fixture
def info_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of timm's lists that may be damaged, read instead of the installed ones."""
    folder = tmp_path / "_info"
    shutil.copytree(timm_info_folder(), folder)
    monkeypatch.setattr(spaces, "timm_info_folder", lambda: folder)
    label_space.cache_clear()
    yield folder
    label_space.cache_clear()


@pytest.mark.parametrize("name", LABEL_SPACES)
def test_a_space_has_its_published_length_without_repetition(name: str) -> None:
    space = label_space(name)
    assert len(space) == LENGTHS[name]
    assert len(set(space.classes)) == len(space)
    assert [space.index(synset) for synset in space.classes] == list(range(len(space)))


def test_the_order_is_the_sorted_order_of_the_synsets() -> None:
    # ILSVRC's class index is the rank of the synset id; the fall-2011 list is sorted as well.
    for name in LABEL_SPACES:
        assert list(label_space(name).classes) == sorted(label_space(name).classes)


def test_known_classes_are_where_everyone_expects_them() -> None:
    space = label_space("imagenet-1k")
    assert (space.index("n01440764"), space.index("n04399382"), space.index("n15075141")) == (0, 850, 999)
    assert class_name("n01440764") == "tench"
    assert class_name("n04399382") == "teddy"


def test_all_but_one_class_of_1k_are_in_22k() -> None:
    assert set(label_space("imagenet-1k").classes) - set(label_space("imagenet-22k").classes) == {"n04399382"}


@pytest.mark.parametrize("name", ["imagenet-a-200", "imagenet-r-200"])
def test_a_and_r_are_parts_of_1k(name: str) -> None:
    assert set(label_space(name).classes) <= set(label_space("imagenet-1k").classes)


def test_every_class_of_1k_and_22k_has_lemmas() -> None:
    for name in ("imagenet-1k", "imagenet-22k"):
        assert all(lemmas().get(synset) for synset in label_space(name).classes)


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: [lines[1], lines[0], *lines[2:]],  # two classes exchanged
        lambda lines: lines[:-1],
        lambda lines: [*lines, "n99999999"],
    ],
    ids=["reordered", "shortened", "lengthened"],
)
def test_a_changed_list_is_refused(info_copy: Path, change) -> None:
    path = info_copy / "imagenet_synsets.txt"
    path.write_text("\n".join(change(path.read_text().split())) + "\n")
    with pytest.raises(HarnessError, match="is not the published synset list of imagenet-1k") as caught:
        label_space("imagenet-1k")
    assert "unmodified timm" in str(caught.value)


def test_a_missing_list_names_the_file(info_copy: Path) -> None:
    (info_copy / "imagenet_a_synsets.txt").unlink()
    with pytest.raises(HarnessError, match=r"imagenet_a_synsets\.txt: No such file"):
        label_space("imagenet-a-200")


def test_an_unknown_space_gets_the_nearest_names() -> None:
    with pytest.raises(HarnessError, match="Unknown label space 'imagenet1k'") as caught:
        label_space("imagenet1k")
    assert "imagenet-1k" in str(caught.value)
    assert caught.value.exit_code is ExitCode.USAGE
