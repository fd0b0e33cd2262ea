"""When attribution maps may be shown, on records made by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from harness.metrics.attribution import (
    CENTRE,
    RANDOM,
    RANDOMLY,
    UNDECIDED,
    WEIGHTLESS,
    ImageMaps,
    area,
    auc,
    map_similarity,
    mass_in_box,
    mean,
    objection,
    rank_correlation,
)
from harness.metrics.types import MetricUnavailable


def record(*, deletion: float, insertion: float, similarity: float, number: int = 0, chance: float = 0.5) -> ImageMaps:
    """An image whose curves are straight from 2 × area to 0, or from 0 to 2 × area."""

    def falling(found: float) -> list[float]:
        return [2 * found, found, 0.0]

    rankings = {"map": (deletion, insertion), RANDOM: (chance, chance), CENTRE: (chance, chance)}
    return ImageMaps(
        sample_id=str(number),
        digest="",
        label=0,
        predicted=0,
        maps={"map": [[0.5, -1.0], [0.25, 0.25]]},
        true_maps={},
        deletion={name: falling(low) for name, (low, _) in rankings.items()},
        insertion={name: falling(high)[::-1] for name, (_, high) in rankings.items()},
        similarity={"map": [0.9, 0.6, similarity]},
    )


def several(**fields: float) -> list[ImageMaps]:
    noise = np.random.default_rng(0).normal(0, 0.02, (8, 3))
    return [
        record(**{name: value + noise[n, k] for k, (name, value) in enumerate(fields.items())}, number=n)
        for n in range(8)
    ]


def test_areas_their_differences_and_similarity_are_means_with_student_s_interval() -> None:
    images = several(deletion=0.2, insertion=0.7, similarity=0.1)
    values = [area(image.deletion["map"]) for image in images]
    found, difference = auc(images, "deletion-auc", "map"), auc(images, "deletion-auc", "map", RANDOM)
    expected = stats.t.interval(0.95, 7, loc=np.mean(values), scale=stats.sem(values))
    assert (found.low, found.high) == pytest.approx(expected)
    assert difference.value == pytest.approx(found.value - 0.5)
    assert map_similarity(images, "map", "all").value == pytest.approx(
        np.mean([i.similarity["map"][2] for i in images])
    )


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"deletion": 0.2, "insertion": 0.7, "similarity": 0.1}, None),
        ({"deletion": 0.2, "insertion": 0.5, "similarity": 0.1}, RANDOMLY),  # one of the two is not enough
        ({"deletion": 0.7, "insertion": 0.2, "similarity": 0.1}, RANDOMLY),  # worse than random is no better
        ({"deletion": 0.2, "insertion": 0.7, "similarity": 0.9}, WEIGHTLESS),
    ],
)
def test_maps_are_shown_where_nothing_speaks_against_them(fields: dict[str, float], why: str | None) -> None:
    assert objection(several(**fields), "map") == why


def test_few_images_that_differ_decide_nothing_and_no_interval_leaves_what_is_possible() -> None:
    images = [record(deletion=0.1, insertion=0.9, similarity=value) for value in (-0.6, 0.8)]
    found = map_similarity(images, "map", "all")
    assert (found.low, found.high) == (-1, 1)  # Student's is ± 8.9 with two images
    assert objection(images, "map") == UNDECIDED


def test_one_image_decides_nothing() -> None:
    assert objection([record(deletion=0.1, insertion=0.9, similarity=0.0)], "map") == UNDECIDED
    with pytest.raises(MetricUnavailable):
        mean([])


def test_mass_in_the_box_counts_what_speaks_for_the_class() -> None:
    images = [record(deletion=0.1, insertion=0.9, similarity=0.0)]
    box = {"0": np.array([[0.5, 1.0], [0.0, 0.0]])}
    # Of 0.5 + 0.25 + 0.25 that speak for it, 0.5 × 0.5 lies inside; the box covers 1.5 of 4 cells.
    assert mass_in_box(images, box, "map").value == pytest.approx(25.0)
    assert mass_in_box(images, box, RANDOM).value == pytest.approx(37.5)
    with pytest.raises(MetricUnavailable):
        mass_in_box(images, {}, "map")


def test_a_map_that_is_the_same_everywhere_ranks_nothing() -> None:
    first = np.random.default_rng(0).normal(size=(4, 4))
    assert rank_correlation(first, np.ones((4, 4))) == 0
    assert rank_correlation(first, np.exp(first)) == pytest.approx(1)  # order is all that counts
