"""What is done to single images with the model's gradients, after the predictions: attacks and attributions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.errors import HarnessError
from harness.evaluation.plan import Condition, Plan, condition_projections, sample_keys
from harness.evaluation.scoring import Scored
from harness.labels.projections import LabelSpaceProjection
from harness.models.loading import LoadedModel, ModelIdentity
from harness.progress import Reporter
from harness.store.images import ImageStore, R

if TYPE_CHECKING:
    import torch

    from harness.runtime.execution import ExecutionConfig
    from harness.runtime.gradients import PixelModel


@dataclass(frozen=True)
class ImageStudy:
    """A condition that was predicted, and the model that is to be looked at on its images."""

    plan: Plan
    identity: ModelIdentity
    load_once: Callable[[], LoadedModel]
    reporter: Reporter
    condition: Condition
    scored: Scored

    @cached_property
    def projection(self) -> LabelSpaceProjection:
        """The benchmark's classes among the model's outputs."""
        return condition_projections(self.condition, self.identity)[0]

    @cached_property
    def config(self) -> ExecutionConfig:
        from harness.runtime.execution import fixed_config

        return fixed_config(self.plan.settings, convolutional=self.identity.convolutional)

    @cached_property
    def samples(self) -> list[tuple[str, str, int]]:
        """(sample id, digest, label) of each image of the condition."""
        return list(sample_keys(self.condition.samples))

    @cached_property
    def positions(self) -> dict[str, int]:
        """Where the readable images are among the condition's, by sample id, in their order."""
        at = {sample_id: position for position, (sample_id, _, _) in enumerate(self.samples)}
        return {sample_id: at[sample_id] for sample_id in self.scored.sample_ids}

    @cached_property
    def pixels(self) -> Callable[[int], np.ndarray]:
        """Position -> uint8 (H, W, 3)."""
        from harness.runtime.decoding import Images

        return Images(self.condition.opened, self.identity.preprocessing).pixels(None)

    def records(
        self,
        kind: type[R],
        what: str,
        protocol: Mapping[str, Any],
        work: Callable[[PixelModel, torch.Tensor, Sequence[int], Sequence[bool]], Sequence[R]],
        *,
        most: int | None = None,
        checked: int,
        at_once: int,
    ) -> tuple[str, list[R]]:
        """The records of the first readable images, from the store where they are there, and the digest that they are under; the
        model is loaded only for others.

        Args:
            protocol: all that decides what is found, beside weights, preprocessing, label space and execution.
            work: from the model, uint8 (n, 3, H, W), their positions and whether to do more on them.
            checked: how many of the first images have more done on them.
            at_once: images in a batch.
        """
        from harness.runtime.gradients import differentiable

        protocol = dict(protocol) | {
            "preprocessing": self.identity.preprocessing.model_dump(mode="json"),
            "input": self.condition.benchmark.input,
            "projection": self.projection.fingerprint,
            "execution": self.config.protocol() | {"precision": "fp32"},
        }
        home, name = self.plan.settings.home, self.condition.benchmark.name
        store = ImageStore.of(kind, home, self.identity.weights, name, protocol)
        keys, wanted = self.samples, list(self.positions.values())[:most]
        more, done = set(wanted[:checked]), store.read()
        todo = [at for at in wanted if keys[at] not in done or (at in more and not done[keys[at]].is_checked)]
        if todo:
            title = f"{what} on {self.condition.title}"
            with (
                differentiable(self.load_once(), self.projection, self.config) as model,
                self.reporter.progress(title, len(wanted), done=len(wanted) - len(todo)) as advance,
            ):
                for batch in (todo[first : first + at_once] for first in range(0, len(todo), at_once)):
                    found = work(model, self._decoded(batch), batch, [at in more for at in batch])
                    store.add(found)
                    done |= {record.sample: record for record in found}
                    advance(len(batch))
        return store.digest, [done[keys[at]] for at in wanted]

    def _decoded(self, positions: Sequence[int]) -> torch.Tensor:
        import torch

        return torch.from_numpy(np.stack([self.pixels(at) for at in positions])).permute(0, 3, 1, 2)


def study_images(
    studies: Sequence[Callable[[ImageStudy], Scored]],
    plan: Plan,
    identity: ModelIdentity,
    load_once: Callable[[], LoadedModel],
    reporter: Reporter,
    scored: Mapping[str, Scored],
    failed: dict[str, HarnessError],
) -> dict[str, Scored]:
    """The scored conditions with what studies found, each as far as the suite asks for it; what fails is added to `failed`."""
    found = dict(scored)
    for condition in plan.runnable:
        for study in studies if condition.title in scored else ():
            try:
                now = found[condition.title]
                found[condition.title] = study(ImageStudy(plan, identity, load_once, reporter, condition, now))
            except HarnessError as error:
                failed[condition.title] = error
                reporter.note(f"Failed: {condition.title}: {error}")
    return found
