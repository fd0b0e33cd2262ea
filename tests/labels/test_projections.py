"""Outputs are matched to classes by synset: what proves an order, what refuses one, and in which label spaces
the outputs of 1,000-way and 21,841-way heads are read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import ExitCode, HarnessError
from harness.labels.outputs import OutputLabels, UnprovenLabelsError, declared_outputs, names_by_output, prove_outputs
from harness.labels.projections import (
    CLOSED,
    OPEN,
    LabelSpaceProjection,
    descendant_outputs,
    label_space_projections,
    project,
)
from harness.labels.spaces import class_name, label_space, lemmas

SPACE = label_space("imagenet-1k")
WIDE = label_space("imagenet-22k")
TEDDY = "n04399382"
LEMMAS = [lemmas()[synset] for synset in SPACE.classes]
WIDE_LEMMAS = [lemmas()[synset] for synset in WIDE.classes]
SEEDS = st.integers(0, 2**32 - 1)
OUTPUTS_1K, OUTPUTS_22K = (
    declared_outputs(name, count, proof="p") for name, count in (("imagenet-1k", 1000), ("imagenet-22k", 21841))
)
CIFAR_10 = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def closed(labels: OutputLabels, target: str = "imagenet-1k") -> LabelSpaceProjection:
    return project(labels, label_space(target), CLOSED, label_space(target))


def columns(names: list[str], target: str = "imagenet-1k") -> np.ndarray:
    return closed(prove_outputs(names), target).columns


class TestProven:
    def test_the_published_names_in_their_order_are_the_identity(self) -> None:
        labels = prove_outputs(LEMMAS)
        assert labels.space == "imagenet-1k"
        assert labels.classes == SPACE.classes
        assert "1,000 of 1,000 label names are lemmas" in labels.proof
        np.testing.assert_array_equal(columns(LEMMAS), np.arange(1000))

    def test_first_lemmas_alone_are_enough(self) -> None:
        # Two pairs of classes share their first lemma (crane, maillot); the index tells them apart.
        names = [class_name(synset) for synset in SPACE.classes]
        assert len(set(names)) < len(names)
        assert prove_outputs(names).space == "imagenet-1k"

    def test_torchvision_s_own_categories(self) -> None:
        from torchvision.models._meta import _IMAGENET_CATEGORIES

        assert prove_outputs(list(_IMAGENET_CATEGORIES)).space == "imagenet-1k"

    def test_case_and_underscores_do_not_matter(self) -> None:
        names = [class_name(synset).upper().replace(" ", "_") for synset in SPACE.classes]
        assert prove_outputs(names).space == "imagenet-1k"

    def test_wordnet_ids(self) -> None:
        labels = prove_outputs(list(SPACE.classes))
        assert (labels.space, labels.proof) == ("imagenet-1k", "the checkpoint's labels are WordNet ids")
        assert prove_outputs(list(label_space("imagenet-r-200").classes)).space == "imagenet-r-200"

    def test_wordnet_ids_in_an_order_of_their_own(self) -> None:
        labels = prove_outputs(list(reversed(SPACE.classes)))
        assert labels.space == "custom"
        np.testing.assert_array_equal(closed(labels).columns, np.arange(1000)[::-1])

    def test_a_background_class_shifts_every_output_by_one(self) -> None:
        for names in (["background", *LEMMAS], ["__background__", *SPACE.classes]):
            labels = prove_outputs(names)
            assert labels.space == "imagenet-1k+background"
            assert labels.classes[0] is None
            assert "after a background class" in labels.proof
            np.testing.assert_array_equal(closed(labels).columns, np.arange(1, 1001))

    def test_the_200_classes_of_r(self) -> None:
        target = label_space("imagenet-r-200")
        assert prove_outputs([lemmas()[synset] for synset in target.classes]).space == "imagenet-r-200"

    @settings(max_examples=15)
    @given(SEEDS, st.sampled_from(["imagenet-a-200", "imagenet-r-200"]))
    def test_any_order_of_names_reads_the_right_class(self, seed: int, space: str) -> None:
        synsets = label_space(space).classes
        order = np.random.default_rng(seed).permutation(len(synsets))
        found = columns([lemmas()[synsets[index]] for index in order], space)
        # Logits that say which class they are: read through the projection they must come out as 0, 1, 2, …
        np.testing.assert_array_equal(order[found], np.arange(len(synsets)))

    @settings(max_examples=10)
    @given(SEEDS, st.integers(1, 1000))
    def test_any_order_and_selection_of_synsets_reads_the_right_class(self, seed: int, size: int) -> None:
        order = np.random.default_rng(seed).permutation(1000)[:size]
        found = columns([SPACE.classes[index] for index in order])
        for index, column in enumerate(found):
            assert column == -1 if index not in order else order[column] == index


class TestRefused:
    @pytest.mark.parametrize(
        ("names", "why"),
        [
            (
                [f"LABEL_{i}" for i in range(1000)],
                "1,000 of the 1,000 outputs have no name but a placeholder such as 'LABEL_0'",
            ),
            ([*CIFAR_10, "Cat"], "outputs 3 and 10 are both called 'Cat'"),
            ([], "names 0 classes"),
            ([SPACE.classes[0]] * 2, "some occur twice"),
        ],
        ids=["placeholders", "a name twice", "none", "repeated ids"],
    )
    def test_names_that_prove_nothing(self, names: list[str], why: str) -> None:
        with pytest.raises(UnprovenLabelsError, match=why) as caught:
            prove_outputs(names)
        assert caught.value.exit_code is ExitCode.MISSING
        assert "--labels" in str(caught.value)

    def test_ambiguous_names_in_another_order_are_not_guessed(self) -> None:
        # The bird and the machine are both called "crane" and nothing else: out of order, no name says which is which.
        names = list(LEMMAS)
        assert names.count("crane") == 2
        with pytest.raises(
            UnprovenLabelsError,
            match=r"names contradict imagenet-1k \(output 0 is called 'toilet tissue, toilet paper, bathroom tissue'",
        ):
            prove_outputs([names[-1], *names[:-1]])

    def test_a_name_given_twice_is_a_contradiction(self) -> None:
        names = list(LEMMAS)
        names[7] = names[8]
        with pytest.raises(UnprovenLabelsError, match="output 7 is called 'hen', that class is 'cock'"):
            prove_outputs(names)

    def test_synsets_outside_the_benchmark_are_no_projection(self) -> None:
        labels = prove_outputs(["n00001740", "n00001930"])
        with pytest.raises(UnprovenLabelsError, match="None of the 1,000 classes of imagenet-1k"):
            closed(labels)


class TestTheGapOf22k:
    """The published id2label of convnext-base-224-22k skips two keys of a longer list and was not renumbered."""

    GAP = (9205, 15027)
    """Keys that are absent, so that the last key is 21,842."""

    def gapped(self) -> dict[int, str]:
        keys = [key for key in range(len(WIDE) + len(self.GAP)) if key not in self.GAP]
        return dict(zip(keys, WIDE_LEMMAS, strict=True))

    def test_names_are_taken_in_order_and_proven(self) -> None:
        names, note = names_by_output(self.gapped(), len(WIDE))
        assert note == "id2label skips [9205, 15027] and runs to 21842: its names were renumbered in order"
        labels = prove_outputs(names, note)
        assert labels.space == "imagenet-22k"
        assert labels.proof.endswith(note)
        projected = closed(labels)
        assert projected.missing == 1
        for synset, column in zip(SPACE.classes, projected.columns, strict=True):
            assert column == (-1 if synset == TEDDY else WIDE.index(synset))

    def test_renumbered_keys_need_no_note(self) -> None:
        names, note = names_by_output(dict(enumerate(WIDE_LEMMAS)), len(WIDE))
        assert note is None
        assert prove_outputs(names).space == "imagenet-22k"

    def test_keys_read_as_output_indices_would_be_caught(self) -> None:
        # What a reader who trusts the keys gets: every name after the first gap is one too late.
        gapped = self.gapped()
        names = [gapped.get(index, "") for index in range(len(WIDE))]
        with pytest.raises(UnprovenLabelsError, match="names contradict imagenet-22k"):
            prove_outputs(names)

    def test_the_order_of_the_entries_in_the_file_is_irrelevant(self) -> None:
        backwards = dict(reversed(self.gapped().items()))
        assert names_by_output(backwards, len(WIDE)) == names_by_output(self.gapped(), len(WIDE))

    @pytest.mark.parametrize("count", [len(WIDE) - 1, len(WIDE) + 2])
    def test_another_number_of_names_is_refused(self, count: int) -> None:
        with pytest.raises(UnprovenLabelsError, match=f"id2label has 21,841 names for {count:,} outputs"):
            names_by_output(self.gapped(), count)


class TestDeclared:
    def test_a_stated_space(self) -> None:
        labels = declared_outputs("imagenet-1k", 1000, proof="named by the user")
        assert (labels.classes, labels.proof) == (SPACE.classes, "named by the user")

    def test_a_stated_background_class(self) -> None:
        labels = declared_outputs("imagenet-1k+background", 1001, proof="p")
        assert labels.classes == (None, *SPACE.classes)

    @pytest.mark.parametrize(("name", "outputs"), [("imagenet-1k", 1001), ("imagenet-1k+background", 1000)])
    def test_another_length_is_refused(self, name: str, outputs: int) -> None:
        with pytest.raises(HarnessError, match=rf"has {outputs:,} outputs, but {name.replace('+', '.')} has") as caught:
            declared_outputs(name, outputs, proof="p")
        assert caught.value.exit_code is ExitCode.MISSING

    @pytest.mark.parametrize("name", ["imagenet", "imagenet-1k+foreground", "imagenet-1k+backgrounds"])
    def test_an_unknown_space_is_refused(self, name: str) -> None:
        with pytest.raises(HarnessError, match="Unknown label space"):
            declared_outputs(name, 1000, proof="p")


def test_descendants_count_as_their_class_in_an_open_reading() -> None:
    below = descendant_outputs(OUTPUTS_22K, SPACE)
    tench, siamese_cat = SPACE.index("n01440764"), SPACE.index("n02123597")
    assert below[tench] == {WIDE.index("n01440764")}  # a leaf of the hierarchy
    blue_point_siamese = "n02123785"  # below the Siamese cat in WordNet 3.0, and no class of ImageNet-1k
    assert below[siamese_cat] == {WIDE.index("n02123597"), WIDE.index(blue_point_siamese)}
    assert below[SPACE.index(TEDDY)] == frozenset()


# --- the label spaces of one forward pass ---


def named(specs: list[LabelSpaceProjection]) -> dict[str, LabelSpaceProjection]:
    return {spec.name: spec for spec in specs}


def test_1k_on_the_validation_set() -> None:
    specs = named(label_space_projections(OUTPUTS_1K, SPACE, with_subsets=True))
    assert list(specs) == [CLOSED, "imagenet-a-200", "imagenet-r-200"]
    np.testing.assert_array_equal(specs[CLOSED].columns, np.arange(1000))
    np.testing.assert_array_equal(specs[CLOSED].label_map, np.arange(1000))
    for name in ("imagenet-a-200", "imagenet-r-200"):
        part = label_space(name)
        np.testing.assert_array_equal(specs[name].columns, [SPACE.index(synset) for synset in part.classes])
        for index, synset in enumerate(SPACE.classes):
            assert specs[name].label_map[index] == (part.index(synset) if synset in part else -1)


@pytest.mark.parametrize("space", ["imagenet-a-200", "imagenet-r-200"])
def test_1k_on_a_and_r_is_restricted_and_open(space: str) -> None:
    part = label_space(space)
    specs = named(label_space_projections(OUTPUTS_1K, part, with_subsets=False))
    assert list(specs) == [CLOSED, OPEN]
    np.testing.assert_array_equal(specs[CLOSED].label_map, np.arange(200))
    np.testing.assert_array_equal(specs[OPEN].columns, np.arange(1000))
    # The trap: class 3 of A is not class 3 of ImageNet. Label maps go through the synset.
    np.testing.assert_array_equal(specs[OPEN].label_map, [SPACE.index(synset) for synset in part.classes])
    assert specs[OPEN].label_map[3] != 3


def test_22k_on_the_validation_set_lacks_the_teddy() -> None:
    specs = named(label_space_projections(OUTPUTS_22K, SPACE, with_subsets=True))
    assert list(specs) == [CLOSED, OPEN, "imagenet-a-200", "imagenet-r-200"]
    assert specs[CLOSED].missing == 1
    assert specs[CLOSED].columns[SPACE.index(TEDDY)] == -1
    assert specs[OPEN].label_map[SPACE.index(TEDDY)] == -1
    assert specs[OPEN].missing == 0
    assert len(specs[OPEN].columns) == 21841


@pytest.mark.parametrize("space", ["imagenet-a-200", "imagenet-r-200"])
def test_22k_on_a_and_r(space: str) -> None:
    part = label_space(space)
    specs = named(label_space_projections(OUTPUTS_22K, part, with_subsets=False))
    assert specs[CLOSED].missing == int(TEDDY in part)
    for index, synset in enumerate(part.classes):
        if synset != TEDDY:
            assert specs[CLOSED].columns[index] == specs[OPEN].label_map[index] == WIDE.index(synset)


def test_a_200_class_model_has_no_open_reading_of_its_own_benchmark() -> None:
    labels = declared_outputs("imagenet-a-200", 200, proof="p")
    assert list(named(label_space_projections(labels, label_space("imagenet-a-200"), with_subsets=False))) == [CLOSED]


def test_a_background_class_is_read_only_openly() -> None:
    labels = declared_outputs("imagenet-1k+background", 1001, proof="p")
    specs = named(label_space_projections(labels, SPACE, with_subsets=False))
    assert 0 not in specs[CLOSED].columns
    np.testing.assert_array_equal(specs[OPEN].label_map, np.arange(1, 1001))


def test_the_fingerprint_follows_the_maps_and_nothing_else() -> None:
    found = label_space_projections(OUTPUTS_1K, SPACE, with_subsets=False)[0]
    renamed = LabelSpaceProjection("other", found.columns.astype(np.int32), found.label_map.copy(), "another proof")
    assert renamed.fingerprint == found.fingerprint
    for field in ("columns", "label_map"):
        turned = replace(found, **{field: getattr(found, field)[::-1].copy()})
        assert turned.fingerprint != found.fingerprint
