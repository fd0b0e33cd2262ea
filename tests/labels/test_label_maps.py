"""Many outputs read as one class: by sum, mean or best of probabilities, against numpy; and maps that are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy.special import softmax

from harness.labels.label_maps import LabelMap, shipped_maps
from harness.labels.outputs import OutputLabels, UnprovenLabelsError, declared_outputs
from harness.labels.projections import label_space_projections
from harness.labels.spaces import OWN, class_name, label_space
from harness.runtime.engine import DeviceProjection

SPACE = label_space("imagenet-1k")
NARROW = declared_outputs("imagenet-1k", 1000, proof="p")


@pytest.mark.parametrize(
    ("name", "rule", "classes", "members"),
    # Counted in the authors' own lists: human_categories.py, in_to_in9.json, imagenet_pytorch_id_to_objectnet_id.json.
    [("shapes-16", "mean", 16, 207), ("imagenet-9", "open", 9, 370), ("objectnet-113", "open", 113, 125)],
)
def test_the_shipped_maps_are_the_authors(name: str, rule: str, classes: int, members: int) -> None:
    found = shipped_maps()[name]
    assert (found.rule, len(found.classes), sum(map(len, found.classes.values()))) == (rule, classes, members)
    assert found.left_out == 1000 - members  # no class of ImageNet stands for two of theirs


def test_single_classes_are_where_a_reader_expects_them() -> None:
    maps = shipped_maps()
    clocks = {"analog clock", "digital clock", "wall clock"}
    assert {class_name(s) for s in maps["shapes-16"].classes["clock"]} == clocks
    assert {class_name(s) for s in maps["objectnet-113"].classes["alarm_clock"]} == {"analog clock", "digital clock"}
    dogs = {class_name(s) for s in maps["imagenet-9"].classes["dog"]}
    assert "pug" in dogs
    assert "whippet" not in dogs  # two breeds of WordNet's dogs are none of the authors'


@pytest.mark.parametrize("rule", ["sum", "mean", "max", "open"])
def test_the_best_class_is_that_of_probabilities(rule: Any) -> None:
    members = {"dog": ["pug", "chow", "beagle"], "cat": ["tabby", "Egyptian cat"], "tench": ["n01440764"]}
    through = LabelMap(rule=rule, classes={name: tuple(found) for name, found in members.items()})
    (projection,) = label_space_projections(NARROW, through.space("pets"), with_subsets=True, through=through)
    logits = np.random.default_rng(0).normal(0, 3, (200, 1000)).astype(np.float32)
    columns = [[next(iter(SPACE.find(member))) for member in found] for found in members.values()]
    probabilities = softmax(logits.astype(np.float64), axis=1)
    if rule == "open":
        best = [next((c for c, found in enumerate(columns) if row.argmax() in found), 3) for row in probabilities]
    else:
        reduce = {"sum": np.sum, "mean": np.mean, "max": np.max}[rule]
        best = np.stack([reduce(probabilities[:, found], axis=1) for found in columns], axis=1).argmax(axis=1).tolist()
    predicted = DeviceProjection.of(projection, "cpu").start(torch.from_numpy(logits), np.zeros(200, dtype=np.int64))()
    assert predicted.top5[:, 0].tolist() == best
    assert len(set(best)) > 1
    assert "classes of imagenet-1k stand for none of them" in projection.proof


def test_rules_and_members_are_part_of_the_key() -> None:
    def fingerprint(rule: Any, *dogs: str) -> str:
        through = LabelMap(rule=rule, classes={"dog": dogs, "cat": ("tabby",)})
        (found,) = label_space_projections(NARROW, through.space("pets"), with_subsets=False, through=through)
        return found.fingerprint

    plain = fingerprint("sum", "pug", "chow")
    assert plain != fingerprint("max", "pug", "chow")
    assert plain != fingerprint("sum", "pug", "beagle")


def test_a_model_with_the_map_s_own_classes_needs_no_map() -> None:
    through = shipped_maps()["imagenet-9"]
    labels = OutputLabels(OWN, tuple(reversed(through.classes)), "p")
    (projection,) = label_space_projections(labels, through.space("imagenet-9"), with_subsets=False, through=through)
    assert projection.members is None
    assert projection.columns.tolist() == list(range(8, -1, -1))


def test_a_map_of_a_model_s_own_classes() -> None:
    through = LabelMap(rule="sum", of="model", classes={"sick": ("rust", "leaf spot"), "well": ("healthy",)})
    labels = OutputLabels(OWN, ("leaf_spot", "Rust", "healthy"), "p")
    (projection,) = label_space_projections(labels, through.space("leaves"), with_subsets=False, through=through)
    assert projection.members == ((0, 1), (2,))
    with pytest.raises(UnprovenLabelsError, match="None of the members of leaves's 2 classes"):
        label_space_projections(
            OutputLabels(OWN, ("a", "b"), "p"), through.space("leaves"), with_subsets=False, through=through
        )


@pytest.mark.parametrize(
    ("classes", "why"),
    [
        ({"dog": ["n99999999"], "cat": ["tabby"]}, "n99999999, a member of dog, is no class of imagenet-1k"),
        (
            {"bird": ["crane"], "cat": ["tabby"]},
            "crane, a member of bird, is n02012849 or n03126707: name it by its synset",
        ),
        (
            {"animal": ["dog"], "dog": ["animal"]},
            "dog, a member of animal, is no class of imagenet-1k, but another class of this map",
        ),
        ({"dog": ["pug", "pug"], "cat": ["tabby"]}, "a member of dog comes twice"),
        ({"dog": ["pug"], "Dog": ["chow"]}, "the classes dog and Dog are one"),
        ({"dog": [], "cat": ["tabby"]}, "dog has no members"),
        ({"dog": ["pug"]}, "at least 2 items"),
    ],
    ids=["unknown synset", "two classes", "cycle", "twice", "spellings", "empty", "one class"],
)
def test_a_map_with_a_fault_is_refused_by_name(classes: dict[str, list[str]], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        LabelMap.model_validate({"rule": "sum", "classes": classes})
