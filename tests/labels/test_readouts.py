"""In which label spaces one forward pass is read, for 1,000-way and 21,841-way heads."""

from __future__ import annotations

import numpy as np
import pytest

from harness.labels.label_space_projections import CLOSED, OPEN, LabelSpaceProjection, label_space_projections
from harness.labels.projections import OutputLabels, declared_outputs
from harness.labels.spaces import label_space

TEDDY = "n04399382"
ONE_K = label_space("imagenet-1k")


def named(specs: list[LabelSpaceProjection]) -> dict[str, LabelSpaceProjection]:
    return {spec.name: spec for spec in specs}


@pytest.fixture(scope="module")
def narrow() -> OutputLabels:
    return declared_outputs("imagenet-1k", 1000, proof="p")


@pytest.fixture(scope="module")
def wide() -> OutputLabels:
    return declared_outputs("imagenet-22k", 21841, proof="p")


def test_1k_on_the_validation_set(narrow: OutputLabels) -> None:
    specs = named(label_space_projections(narrow, "imagenet-1k", with_subsets=True))
    assert list(specs) == [CLOSED, "imagenet-a-200", "imagenet-r-200"]
    np.testing.assert_array_equal(specs[CLOSED].columns, np.arange(1000))
    np.testing.assert_array_equal(specs[CLOSED].label_map, np.arange(1000))
    for name in ("imagenet-a-200", "imagenet-r-200"):
        part = label_space(name)
        np.testing.assert_array_equal(specs[name].columns, [ONE_K.index(synset) for synset in part.synsets])
        for index, synset in enumerate(ONE_K.synsets):
            assert specs[name].label_map[index] == (part.index(synset) if synset in part else -1)


@pytest.mark.parametrize("space", ["imagenet-a-200", "imagenet-r-200"])
def test_1k_on_a_and_r_is_restricted_and_open(narrow: OutputLabels, space: str) -> None:
    part = label_space(space)
    specs = named(label_space_projections(narrow, space, with_subsets=False))
    assert list(specs) == [CLOSED, OPEN]
    np.testing.assert_array_equal(specs[CLOSED].label_map, np.arange(200))
    np.testing.assert_array_equal(specs[OPEN].columns, np.arange(1000))
    # The trap: class 3 of A is not class 3 of ImageNet. Label maps go through the synset.
    np.testing.assert_array_equal(specs[OPEN].label_map, [ONE_K.index(synset) for synset in part.synsets])
    assert specs[OPEN].label_map[3] != 3


def test_22k_on_the_validation_set_lacks_the_teddy(wide: OutputLabels) -> None:
    specs = named(label_space_projections(wide, "imagenet-1k", with_subsets=True))
    assert list(specs) == [CLOSED, OPEN, "imagenet-a-200", "imagenet-r-200"]
    assert specs[CLOSED].missing == 1
    assert specs[CLOSED].columns[ONE_K.index(TEDDY)] == -1
    assert specs[OPEN].label_map[ONE_K.index(TEDDY)] == -1
    assert specs[OPEN].missing == 0
    assert len(specs[OPEN].columns) == 21841


@pytest.mark.parametrize("space", ["imagenet-a-200", "imagenet-r-200"])
def test_22k_on_a_and_r(wide: OutputLabels, space: str) -> None:
    part = label_space(space)
    specs = named(label_space_projections(wide, space, with_subsets=False))
    assert specs[CLOSED].missing == int(TEDDY in part)
    wide_space = label_space("imagenet-22k")
    for index, synset in enumerate(part.synsets):
        if synset != TEDDY:
            assert specs[CLOSED].columns[index] == specs[OPEN].label_map[index] == wide_space.index(synset)


def test_a_200_class_model_has_no_open_reading_of_its_own_benchmark() -> None:
    labels = declared_outputs("imagenet-a-200", 200, proof="p")
    assert [spec.name for spec in label_space_projections(labels, "imagenet-a-200", with_subsets=False)] == [CLOSED]


def test_a_background_class_is_read_only_openly() -> None:
    labels = declared_outputs("imagenet-1k+background", 1001, proof="p")
    specs = named(label_space_projections(labels, "imagenet-1k", with_subsets=False))
    assert 0 not in specs[CLOSED].columns
    np.testing.assert_array_equal(specs[OPEN].label_map, np.arange(1, 1001))


def test_the_fingerprint_follows_the_maps_and_nothing_else(narrow: OutputLabels) -> None:
    closed = label_space_projections(narrow, "imagenet-1k", with_subsets=False)[0]
    renamed = LabelSpaceProjection("other", closed.columns.astype(np.int32), closed.label_map.copy(), "another proof")
    assert renamed.fingerprint == closed.fingerprint
    for field in ("columns", "label_map"):
        maps = {"columns": closed.columns, "label_map": closed.label_map}
        maps[field] = maps[field][::-1].copy()
        assert (
            LabelSpaceProjection(closed.name, maps["columns"], maps["label_map"], closed.proof).fingerprint
            != closed.fingerprint
        )
