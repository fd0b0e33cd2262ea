"""Attacks on the images of a condition: which images, and what is found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from harness.data.annotations import robustbench_images
from harness.errors import UsageError
from harness.evaluation.image_studies import ImageStudy
from harness.evaluation.plan import Condition
from harness.evaluation.scoring import Attacked, Scored
from harness.metrics.adversarial import AttackedImage

if TYPE_CHECKING:
    import torch

    from harness.runtime.gradients import PixelModel

_VERSION = 1
"""Of the attacks: another one finds other perturbations."""


def attack(study: ImageStudy) -> Scored:
    """The predictions of a condition, with what attacks found where the suite has some.

    Raises:
        HarnessError: foolbox is missing, the model has no gradients, or images of no class or of several.
    """
    options, condition = study.plan.suite.attacks, study.condition
    if options is None:
        return study.scored
    if condition.benchmark.label_sets or condition.benchmark.outliers:
        raise UsageError(f"Attacks need images of one class each, which those of {condition.benchmark.name} aren't.")
    from harness.robustness.attacks import foolbox
    from harness.robustness.search import attack as search

    foolbox()

    def work(
        model: PixelModel, pixels: torch.Tensor, positions: Sequence[int], more: Sequence[bool]
    ) -> list[AttackedImage]:
        mine = [study.samples[at] for at in positions]
        labels = [int(study.projection.label_map[label]) for _, _, label in mine]
        found = search(model, pixels, labels, [sample_id for sample_id, _, _ in mine], options, more)
        return [
            AttackedImage(*sample, answer, is_checked, outcomes)
            for sample, is_checked, (answer, outcomes) in zip(mine, more, found, strict=True)
        ]

    # One by one a CPU is as fast, and a kill loses one image.
    size = 1 if study.config.device_type == "cpu" else study.config.batch_size
    digest, images = study.records(
        AttackedImage,
        "Attacks",
        {"version": _VERSION, "options": options.model_dump(mode="json", exclude={"images"})},
        work,
        checked=options.checked_images,
        at_once=size,
    )
    return replace(study.scored, attacked=Attacked(options, digest, images, _which(condition)))


def _which(condition: Condition) -> str:
    ids = condition.samples["sample_id"].tolist()
    listed = sum(sample_id in robustbench_images() for sample_id in ids)
    order = "the first of the class-balanced, seeded order"
    if listed == len(ids):
        return f"{order} that are among RobustBench's 5,000"
    return order if not listed else f"{listed:,} of RobustBench's 5,000, then {order}"
