"""Whether attribution maps say anything about a model: deletion and insertion, and what is left of them with random weights.

A map ranks the cells of an image. Where it is faithful, removing the cells in that order lowers the probability of the answer
soon, and adding them raises it soon (Petsiuk et al. 2018, "RISE", arXiv:1806.07421, section 4.3), sooner than in random order.
A map that stays what it is when the weights are shuffled shows the image and not the model (Adebayo et al. 2018, "Sanity Checks
for Saliency Maps", arXiv:1810.03292).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import stats

from harness.metrics.intervals import student_t
from harness.metrics.types import Estimate, FloatArray, ImageRecord, MetricSpec, MetricUnavailable

RANDOM, CENTRE = "random", "centre"
"""Rankings that no method made: cells in random order, and those of a Gaussian around the image's centre."""
SHARES = {"last": 0.0, "half": 0.5, "all": 1.0}
"""Of the layers whose weights are shuffled, from the output: the last one alone, half of them, all."""
MOST_SIMILAR = 0.5
"""Rank correlation with the maps of random weights below which a map counts as one of the weights."""

RANDOMLY = "their order is not shown to be better than a random one"
WEIGHTLESS = "they are much the same with random weights"
UNDECIDED = "there are too few images to tell"


@dataclass(frozen=True)
class ImageMaps(ImageRecord):
    """The attribution maps of one image, and how they did; by method, each map rows of cells with values from -1 to 1."""

    predicted: int
    """The class whose probability the curves are of."""
    maps: dict[str, list[list[float]]]
    """For the predicted class."""
    true_maps: dict[str, list[list[float]]]
    """For the true class; empty where that is the predicted one, or the model has no output for it."""
    deletion: dict[str, list[float]]
    """Probability of the predicted class as more and more cells are removed; by method, `RANDOM` and `CENTRE`."""
    insertion: dict[str, list[float]]
    """The same as they are added."""
    similarity: dict[str, list[float]] = field(default_factory=dict)
    """Rank correlation of each map with that of shuffled weights, in the order of `SHARES`; empty where not looked at."""
    inapplicable: dict[str, str] = field(default_factory=dict)
    """Methods that this kind of network has no use for, with the reason."""
    sensitivity_n: dict[str, float] = field(default_factory=dict)
    """By ranking: correlation, over random sets of cells, of the map's sum there with what removing them takes from the logit."""
    is_checked: bool = False
    """Whether its maps were made again with shuffled weights."""


def area(curve: Sequence[float]) -> float:
    """Area under a curve from 0 to 1, by trapezoids.

    >>> area([1.0, 0.5, 0.0])
    0.5
    """
    return float(np.trapezoid(curve, dx=1 / (len(curve) - 1)))


def correlation(first: FloatArray, other: FloatArray) -> float:
    """Pearson's, of all values; 0 where one of them is the same everywhere."""
    if np.ptp(first) == 0 or np.ptp(other) == 0:
        return 0.0
    return float(np.corrcoef(np.ravel(first), np.ravel(other))[0, 1])


def rank_correlation(first: FloatArray, other: FloatArray) -> float:
    """Spearman's, of all cells of two maps."""
    return correlation(stats.rankdata(first), stats.rankdata(other))


def mean(values: Sequence[float], low: float = -1.0, high: float = 1.0) -> Estimate:
    """A mean over images with Student's interval, as far as it lies between the least and the most that a value can be.

    Raises:
        MetricUnavailable: there is no image.
    """
    n = len(values)
    if n == 0:
        raise MetricUnavailable("No image was examined.")
    if n == 1:
        return Estimate(values[0], None, None, "one image has no interval", n)
    centre, half = student_t(values)
    return Estimate(
        centre, max(low, centre - half), min(high, centre + half), f"Student's t over {n} images", n, "student-t"
    )


CURVES: dict[str, tuple[Callable[[ImageMaps], dict[str, list[float]]], int]] = {
    "deletion-auc": (lambda image: image.deletion, -1),
    "insertion-auc": (lambda image: image.insertion, 1),
}
"""Metric by name: its curves, and the sign of what is better."""


def auc(images: Sequence[ImageMaps], metric: str, ranking: str, minus: str | None = None) -> Estimate:
    """Mean area under the curves of a ranking; or by how much it is above that of another, on the same images."""
    curves, _ = CURVES[metric]
    areas = [
        area(curves(i)[ranking]) - (area(curves(i)[minus]) if minus else 0.0) for i in images if ranking in curves(i)
    ]
    return mean(areas, -1.0 if minus else 0.0)


def map_similarity(images: Sequence[ImageMaps], method: str, share: str) -> Estimate:
    """Mean rank correlation of a method's maps with those of the same network after one of `SHARES` was shuffled."""
    at = list(SHARES).index(share)
    return mean([i.similarity[method][at] for i in images if method in i.similarity])


def sensitivity_n(images: Sequence[ImageMaps], ranking: str) -> Estimate:
    """Mean correlation, over random sets of n cells, of a map's sum with what removing the cells takes from the logit: 1 where the
    map says how much each cell adds. Ancona et al. 2018, arXiv:1711.06104, section 3."""
    return mean([image.sensitivity_n[ranking] for image in images if ranking in image.sensitivity_n])


def mass_in_box(images: Sequence[ImageMaps], boxes: Mapping[str, FloatArray], method: str) -> Estimate:
    """Mean share, in percent, of what speaks for the predicted class that lies in the object's boxes.

    Args:
        boxes: by sample id, how much of each cell lies in a box; images without are left out.
        method: `RANDOM` for the share of the image that boxes cover, which a map of equal cells has.
    """
    shares = []
    for image in images:
        if (box := boxes.get(image.sample_id)) is not None:
            cells = np.ones_like(box) if method == RANDOM else np.clip(image.maps[method], 0, None)
            shares += [100 * float((cells * box).sum() / cells.sum())] if cells.sum() > 0 else []
    return mean(shares, 0.0, 100.0)


def objection(images: Sequence[ImageMaps], method: str) -> str | None:
    """Why a method's maps are not to be shown; None where nothing speaks against it.

    Both areas have to be better than in random order by more than chance, at 95 % each, and the maps of all weights shuffled
    have to be unlike, with the upper end of the interval below `MOST_SIMILAR`.
    """
    if not any(method in image.similarity for image in images):
        return UNDECIDED
    random_weights = map_similarity(images, method, "all")
    gains = [(auc(images, metric, method, RANDOM), sign) for metric, (_, sign) in CURVES.items()]
    if random_weights.high is None or any(gain.low is None for gain, _ in gains):
        return UNDECIDED
    if random_weights.high >= MOST_SIMILAR:
        return WEIGHTLESS if random_weights.value >= MOST_SIMILAR else UNDECIDED
    better = [min(sign * float(gain.low or 0), sign * float(gain.high or 0)) > 0 for gain, sign in gains]
    return None if all(better) else RANDOMLY


_GROUP: dict[str, Any] = {"group": "attribution"}
METRICS = (
    MetricSpec("attribution", "Attribution methods whose maps may be shown", **_GROUP),
    MetricSpec("attribution-examples", "Examples of attribution maps", **_GROUP),
    MetricSpec("deletion-auc", "Deletion AUC", higher_is_better=False, range=(-1, 1), decimals=3, **_GROUP),
    MetricSpec("insertion-auc", "Insertion AUC", higher_is_better=True, range=(-1, 1), decimals=3, **_GROUP),
    MetricSpec("map-similarity", "Similarity with random weights", higher_is_better=False, range=(-1, 1), **_GROUP),
    MetricSpec("sensitivity-n", "Sensitivity-n", higher_is_better=True, range=(-1, 1), **_GROUP),
    MetricSpec("mass-in-box", "Attribution inside the object's box", unit="%", range=(0, 100), **_GROUP),
)
