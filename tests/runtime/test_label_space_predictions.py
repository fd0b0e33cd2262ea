"""What is stored of a sample's logits: the five best, the target, log-sum-exp; against the definitions in numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.special import logsumexp

from harness.labels.outputs import declared_outputs
from harness.labels.projections import LabelSpaceProjection, label_space_projections
from harness.labels.spaces import label_space
from harness.runtime.engine import DeviceProjection, top_classes

# Few different values, so that ties are the rule.
TIED = arrays.arrays(
    np.float32, st.tuples(st.integers(1, 6), st.integers(1, 12)), elements=st.sampled_from([-1.0, 0.0, -0.0, 2.5])
)


def place(columns: list[int], label_map: list[int]) -> DeviceProjection:
    spec = LabelSpaceProjection("closed", np.array(columns, dtype=np.int64), np.array(label_map, dtype=np.int64), "p")
    return DeviceProjection.of(spec, "cpu")


class TestTopClasses:
    @given(TIED)
    def test_ties_break_to_the_lower_index_as_a_stable_sort_does(self, scores: np.ndarray) -> None:
        indices, values = top_classes(torch.from_numpy(scores))
        expected = np.argsort(-scores, axis=1, kind="stable")[:, :5]
        count = expected.shape[1]
        np.testing.assert_array_equal(indices[:, :count], expected)
        np.testing.assert_array_equal(values[:, :count], np.take_along_axis(scores, expected, axis=1))
        assert (indices[:, count:] == -1).all()
        assert (values[:, count:] == -np.inf).all()

    @given(TIED, st.integers(0, 2**12 - 1))
    def test_absent_classes_are_never_ranked(self, scores: np.ndarray, mask: int) -> None:
        absent = np.array([bool(mask >> index & 1) for index in range(scores.shape[1])])
        masked = np.where(absent, np.float32(-np.inf), scores)
        indices, _ = top_classes(torch.from_numpy(masked))
        present = np.flatnonzero(~absent)
        for row, found in zip(scores, indices, strict=True):
            expected = present[np.argsort(-row[present], kind="stable")][:5]
            np.testing.assert_array_equal(found, [*expected, *[-1] * (5 - len(expected))])

    def test_the_scores_are_left_as_they_were(self) -> None:
        scores = torch.arange(12.0).reshape(2, 6)
        top_classes(scores)
        assert torch.equal(scores, torch.arange(12.0).reshape(2, 6))

    def test_many_ties_in_a_wide_head(self) -> None:
        # torch.topk gives other indices here; all scores are equal, so the first five classes are right.
        indices, _ = top_classes(torch.zeros(3, 21841))
        np.testing.assert_array_equal(indices, np.tile(np.arange(5), (3, 1)))


class TestReadouts:
    @given(
        arrays.arrays(np.float32, (4, 9), elements=st.floats(-80, 80, width=32)),
        st.permutations(range(9)),
        st.integers(6, 9),
    )
    def test_against_the_definitions(self, logits: np.ndarray, order: list[int], classes: int) -> None:
        columns = order[:classes]
        labels = np.arange(4) % classes
        read = place(columns, list(range(classes))).start(torch.from_numpy(logits), labels)()
        scores = logits[:, columns].astype(np.float64)
        np.testing.assert_array_equal(read.label, labels)
        np.testing.assert_array_equal(read.target_logit, scores[np.arange(4), labels].astype(np.float32))
        np.testing.assert_allclose(read.logsumexp, logsumexp(scores, axis=1), rtol=1e-6, atol=1e-5)
        np.testing.assert_allclose(read.logsumexp2, logsumexp(2 * scores, axis=1), rtol=1e-6, atol=1e-5)
        np.testing.assert_array_equal(read.top5, np.argsort(-scores, axis=1, kind="stable")[:, :5])
        assert {array.dtype for array in (read.label, read.top5)} == {np.dtype(np.int32)}
        for array in (read.target_logit, read.logsumexp, read.logsumexp2, read.top5_logit):
            assert array.dtype == np.float32

    def test_a_class_the_model_lacks_is_never_predicted_and_has_no_logit(self) -> None:
        logits = torch.tensor([[5.0, 1.0, 3.0], [0.0, 9.0, 1.0]])
        # class 1 of three is missing; a careless reading would take output 0 for it
        read = place([2, -1, 1], [0, 1, 2]).start(logits, np.array([1, 2]))()
        assert read.top5.tolist() == [[0, 2, -1, -1, -1], [2, 0, -1, -1, -1]]
        np.testing.assert_array_equal(read.target_logit, np.array([np.nan, 9.0], np.float32))
        np.testing.assert_allclose(read.logsumexp, logsumexp([[3.0, 1.0], [1.0, 9.0]], axis=1), rtol=1e-6)

    def test_a_label_outside_the_readout_is_minus_one(self) -> None:
        read = place([0, 1, 2], [-1, 2]).start(torch.tensor([[1.0, 2.0, 3.0]] * 2), np.array([0, 1]))()
        assert read.label.tolist() == [-1, 2]
        np.testing.assert_array_equal(read.target_logit, np.array([np.nan, 3.0], np.float32))

    @pytest.mark.parametrize("benchmark", ["imagenet-1k", "imagenet-a-200", "imagenet-r-200"])
    def test_logits_that_know_the_answer_are_always_right(self, benchmark: str) -> None:
        """One-hot logits of the true class, read in every label space of a real 1,000-way and 21,841-way head."""
        for name, outputs in (("imagenet-1k", 1000), ("imagenet-22k", 21841)):
            model = declared_outputs(name, outputs, proof="p")
            specs = label_space_projections(model, label_space(benchmark), with_subsets=benchmark == "imagenet-1k")
            by_class = specs[0].columns  # model output of each class of the benchmark
            labels = np.flatnonzero(by_class >= 0)[:: 1 if len(by_class) == 200 else 9]
            logits = torch.zeros(len(labels), outputs)
            logits[torch.arange(len(labels)), torch.from_numpy(by_class[labels])] = 1.0
            for spec in specs:
                read = DeviceProjection.of(spec, "cpu").start(logits, labels)()
                inside = read.label >= 0
                assert inside.any()
                np.testing.assert_array_equal(read.top5[inside, 0], read.label[inside])
