"""The WordNet hierarchy over the ImageNet synsets."""

from __future__ import annotations

import pytest

from harness.errors import HarnessError
from harness.labels.spaces import classes_under, descendants, label_space, name_of

ENTITY = "n00001740"
"""The root of WordNet's nouns."""
DOG, BIRD, VEHICLE = "n02084071", "n01503061", "n04524313"


@pytest.mark.parametrize(
    ("synset", "name", "count"),
    # Counts over the 1,000 classes from WordNet 3.0's hyponym closure: 118 domestic dogs (indices 151 to 268), 59 birds,
    # 67 vehicles.
    [(DOG, "dog", 118), (BIRD, "bird", 59), (VEHICLE, "vehicle", 67), (ENTITY, "entity", 1000)],
)
def test_known_groups_have_their_known_sizes(synset: str, name: str, count: int) -> None:
    assert name_of(synset) == name
    assert len(classes_under(synset, label_space("imagenet-1k"))) == count


def test_the_dogs_are_one_run_of_indices() -> None:
    assert classes_under(DOG, label_space("imagenet-1k")) == tuple(range(151, 269))


@pytest.mark.parametrize("space", ["imagenet-1k", "imagenet-22k"])
def test_every_class_is_below_the_root_and_itself(space: str) -> None:
    assert set(label_space(space).classes) <= descendants(ENTITY)
    assert all(synset in descendants(synset) for synset in label_space(space).classes[::50])


def test_what_is_below_a_descendant_is_a_descendant() -> None:
    for synset in sorted(descendants(DOG)):
        assert descendants(synset) <= descendants(DOG)


def test_a_class_may_have_several_parents() -> None:
    # WordNet 3.0: a half track is both a military vehicle and a tracked vehicle.
    half_track, military_vehicle, tracked_vehicle = "n03478589", "n03764276", "n04464852"
    assert half_track in descendants(military_vehicle) & descendants(tracked_vehicle)


def test_an_unknown_synset_is_named() -> None:
    for ask in (name_of, descendants):
        with pytest.raises(HarnessError, match="n99999999 is not a synset"):
            ask("n99999999")
