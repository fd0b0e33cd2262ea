"""What a model goes by where cues disagree: shape against texture."""

from __future__ import annotations

from harness.metrics.intervals import proportion
from harness.metrics.types import Estimate, IntArray, MetricSpec


def shape_bias(predicted: IntArray, shape: IntArray, texture: IntArray) -> Estimate:
    """Of the decisions for an image's shape or for its texture, the share for its shape, in percent.

    Images whose shape and texture are of one class are left out, and so are decisions for neither; n says how many remain.

    Geirhos et al. 2019, "ImageNet-trained CNNs are biased towards texture", arXiv:1811.12231, section 3.

    Args:
        predicted: class (n,) that was chosen.
        shape: class (n,) of the shape.
        texture: class (n,) of the texture.

    Raises:
        MetricUnavailable: no decision was for either.

    >>> import numpy as np
    >>> shape_bias(np.array([0, 1, 1, 2, 0]), np.array([0, 0, 1, 0, 0]), np.array([1, 1, 1, 1, 1])).value
    66.66666666666667
    """
    conflict = shape != texture
    for_shape = int((conflict & (predicted == shape)).sum())
    for_texture = int((conflict & (predicted == texture)).sum())
    return proportion(for_shape, for_shape + for_texture)


METRICS = (
    MetricSpec("shape-bias", "Shape bias", unit="%", range=(0, 100), group="cues"),
    MetricSpec(
        "background-gap", "Background gap", unit="points", higher_is_better=False, range=(-100, 100), group="cues"
    ),
)
