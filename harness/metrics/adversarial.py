"""What attacks found: accuracy that is left at a perturbation size, the median smallest perturbation, and whether to believe them.

An attack that succeeds shows that an image is not robust; one that fails shows nothing. So accuracy under attack is an upper
bound on robust accuracy, and smallest perturbations that were found are upper bounds on the smallest there are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import stats

from harness.metrics.intervals import LEVEL, proportion, student_t
from harness.metrics.types import Estimate, ImageRecord, MetricSpec, MetricUnavailable

_NEARLY_NONE = 0.05
"""Share of images that may resist a perturbation which could make every image the same grey."""
_TOLERATED = 0.1
"""Share of the checked images that may contradict that the attacks work; one image may in any case."""
_RISING = 0.9
"""Share of attacks along whose steps the loss must rise."""


@dataclass(frozen=True)
class AttackOutcome:
    """What attacks in one norm found on one image."""

    size: float | None
    """Of the smallest perturbation found that changes the answer, in the norm's unit; 0 for an image that was wrong before,
    None where no attack succeeded, not even at a size that could make every image the same grey."""
    answer: int | None
    """The class that the model chose there."""
    by: str | None
    """The attack that found it."""
    size_8bit: float | None
    """As `size`, of images rounded to 8 bits."""
    rising: bool | None = None
    """Whether the loss rose along the first APGD's steps; None where it was not needed."""
    black_box: float | None = None
    """Size that an attack without gradients found; None where it failed or this image is not among those checked."""
    resists: tuple[bool, bool] | None = None
    """Whether PGD failed with few steps, and with twice as many; None where this image is not among those checked."""
    seconds: dict[str, float] = field(default_factory=dict)
    """What each attack took; the checks as `checks`."""


@dataclass(frozen=True)
class AttackedImage(ImageRecord):
    """An image and what attacks found on it."""

    answer: int
    """The class that the model chooses for the image as it is."""
    is_checked: bool
    """Whether more was tried on it, to tell robustness from masked gradients."""
    outcomes: dict[str, AttackOutcome]
    """By norm."""

    def under(self, norm: str, epsilon: float) -> tuple[int, bool]:
        """The class that is chosen where attacks may change the image by `epsilon`, and whether it is right."""
        found = self.outcomes[norm]
        if found.size is None or found.size > epsilon:
            return self.answer, True
        return (self.answer if found.answer is None else found.answer), False


def robust_accuracy(outcomes: Sequence[AttackOutcome], epsilon: float, *, rounded: bool = False) -> Estimate:
    """Images in percent whose right answer no attack changed within `epsilon`.

    >>> found = [AttackOutcome(size, None, None, None) for size in (0.0, 0.2, 0.7, None)]
    >>> robust_accuracy(found, 0.5).value
    50.0

    Args:
        rounded: count perturbed images rounded to 8 bits only.

    Raises:
        MetricUnavailable: there are no images.
    """
    sizes = [found.size_8bit if rounded else found.size for found in outcomes]
    return proportion(sum(size is None or size > epsilon for size in sizes), len(sizes))


def median_size(outcomes: Sequence[AttackOutcome]) -> Estimate:
    """The median of the smallest perturbations found, over images that were right before; its interval by order statistics.

    Raises:
        MetricUnavailable: no image was right before, or attacks failed on so many that the median or its interval has no bound.
    """
    sizes = np.sort([math.inf if found.size is None else found.size for found in outcomes if found.size != 0])
    n = len(sizes)
    if n == 0:
        raise MetricUnavailable("No image was right before the attack.")
    value = float(np.median(sizes))
    rank = int(stats.binom.ppf((1 - LEVEL) / 2, n, 0.5))
    known = stats.binom.cdf(rank - 1, n, 0.5) <= (1 - LEVEL) / 2 and rank > 0
    low, high = (float(sizes[rank - 1]), float(sizes[n - rank])) if known else (value, value)
    if not (math.isfinite(value) and math.isfinite(high)):
        raise MetricUnavailable("Attacks failed on so many images that the median has no upper bound.")
    if not known:
        return Estimate(value, None, None, f"{n} images are too few for an interval of the median", n)
    return Estimate(value, low, high, f"order statistics, n = {n} images", n, "order-statistics")


def attack_seconds(outcomes: Sequence[AttackOutcome]) -> Estimate:
    """Mean seconds that an image's attacks took, checks left out, with Student's interval.

    Raises:
        MetricUnavailable: fewer than two images were attacked.
    """
    spent = [sum(s for name, s in o.seconds.items() if name != "checks") for o in outcomes if o.size != 0]
    if len(spent) < 2:
        raise MetricUnavailable("Fewer than two images were attacked.")
    mean, half = student_t(spent)
    method = f"Student's t, n = {len(spent)} images"
    return Estimate(mean, max(0.0, mean - half), mean + half, method, len(spent), "student-t")


def masked_gradients(outcomes: Sequence[AttackOutcome]) -> str | None:
    """Why the attacks can't be believed, as a sentence; None where nothing speaks against them.

    Athalye, Carlini & Wagner 2018, "Obfuscated gradients give a false sense of security", arXiv:1802.00420, section 3.1, and
    Carlini et al. 2019, "On evaluating adversarial robustness", arXiv:1902.06705, section 4.
    """
    right = [found for found in outcomes if found.size != 0]
    resisting = sum(found.size is None for found in right)
    if resisting > _NEARLY_NONE * len(right):
        return (
            f"{resisting} of {len(right)} images resist perturbations that could make every image the same grey, so the "
            "attacks fail for want of useful gradients."
        )
    tried = [found.rising for found in right if found.rising is not None]
    if sum(tried) < _RISING * len(tried):
        return f"The loss rises along the steps of the attack for {sum(tried)} of {len(tried)} images only."
    checked = [found for found in right if found.resists is not None]
    tolerated = max(1.0, _TOLERATED * len(checked))
    stronger = sum(found.black_box is not None and found.black_box < (found.size or math.inf) for found in checked)
    if stronger > tolerated:
        return (
            f"An attack without gradients found smaller perturbations than those with gradients for {stronger} of "
            f"{len(checked)} images."
        )
    few, many = (sum(found.resists[at] for found in checked if found.resists) for at in (0, 1))
    if many - few > tolerated:
        return f"With twice the steps PGD fails on {many} of {len(checked)} images instead of {few}."
    return None


_BOUND: dict[str, Any] = {"higher_is_better": True, "group": "adversarial"}
_8_BIT = {"8-bit": "Accuracy under attack, rounded to 8 bits (upper bound)"}
_MEDIAN = "Median smallest {} perturbation found (upper bound)"
METRICS = (
    MetricSpec(
        "robust-accuracy", "Accuracy under attack (upper bound)", unit="%", range=(0, 100), variants=_8_BIT, **_BOUND
    ),
    MetricSpec("median-linf", _MEDIAN.format("L∞"), unit="/255", range=(0, 255), **_BOUND),
    MetricSpec("median-l2", _MEDIAN.format("L2"), range=(0, math.inf), **_BOUND),
    MetricSpec("attack-time", "Time of the attacks on an image", unit="s", range=(0, math.inf), group="adversarial"),
)
