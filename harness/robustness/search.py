"""The search for each image's smallest perturbation that changes the answer, by several attacks one after the other.

An image that was wrong before is not attacked. FMN looks for a small perturbation first; then, from the smallest size to
the largest, attacks within a ball are tried on the images that are still right there. Whatever any of them finds counts at
every larger size too, so one number an image, the smallest size found, gives accuracy at all sizes. Images that hold out at the
largest size are attacked at one that could make every image the same grey: what resists that shows masked gradients.

Each image's random numbers come from its sample id, so its result depends neither on the others of its batch, but for the last
bits of sums, nor on how often a run was interrupted.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from harness.errors import HarnessError
from harness.metrics.adversarial import AttackOutcome
from harness.robustness import attacks
from harness.robustness.attacks import Norm
from harness.robustness.options import AttackOptions
from harness.runtime.gradients import PixelModel


def attack(
    model: PixelModel,
    pixels: torch.Tensor,
    labels: Sequence[int],
    sample_ids: Sequence[str],
    options: AttackOptions,
    is_checked: Sequence[bool],
) -> list[tuple[int, dict[str, AttackOutcome]]]:
    """The class that a model chooses for each image, and what attacks found by norm.

    Args:
        pixels: uint8 (n, 3, H, W).
        labels: classes (n,) among the model's logits; -1 for one that it has no output for.
        is_checked: on which images more is tried, to see whether attacks can be believed.

    Raises:
        HarnessError: logits, a loss or a gradient that are not finite; foolbox is missing.
    """
    images = (pixels.to(model.mean.device, torch.float32) / 255).contiguous()
    own = torch.tensor(labels, device=images.device)
    with torch.no_grad():
        logits = model(images)
    for sample_id, unusable in zip(sample_ids, (logits.isnan() | logits.isposinf()).any(1).tolist(), strict=True):
        if unusable:
            raise HarnessError(
                f"The logits of {sample_id} are not finite.",
                remedy="Look for damaged weights; attacks run the model in float32.",
            )
    answers = logits.max(1).indices
    found = {}
    for norm in options.epsilons:
        search = _Search(model, images, own, sample_ids, Norm(norm), options, answers, logits)
        found[norm] = search.run([at for at, checked in enumerate(is_checked) if checked])
    return [(answer, {norm: found[norm][at] for norm in found}) for at, answer in enumerate(answers.tolist())]


class _Search:
    """What has been found so far on a batch of images in one norm."""

    def __init__(
        self,
        model: PixelModel,
        images: torch.Tensor,
        labels: torch.Tensor,
        sample_ids: Sequence[str],
        norm: Norm,
        options: AttackOptions,
        answers: torch.Tensor,
        logits: torch.Tensor,
    ) -> None:
        self.model, self.images, self.labels, self.norm, self.options = model, images, labels, norm, options
        self.ids = sample_ids
        self.numbers = images[0].numel()
        before = answers != labels
        self.size = torch.where(before, 0.0, math.inf).double().cpu()
        self.size_8bit = self.size.clone()
        self.answer = answers.cpu().clone()
        self.by: list[str | None] = [None] * len(images)
        self.rising: list[bool | None] = [None] * len(images)
        self.black_box: dict[int, float | None] = {}
        self.resists: dict[int, tuple[bool, bool]] = {}
        self.seconds: list[dict[str, float]] = [{} for _ in images]
        others = logits.scatter(1, labels.clamp(min=0)[:, None], -math.inf)
        self.targets = others.topk(min(options.targets, int((others[0] > -math.inf).sum())), dim=1).indices

    def run(self, checked: Sequence[int]) -> list[AttackOutcome]:
        """Attack; a list of what was found, in the images' order.

        Args:
            checked: positions on which more is tried.
        """
        if right := self._holding_out(0.0):
            with self._timed(right, "fmn"):
                steps = self.options.minimum_norm_steps
                near = attacks.smallest(self.model, self.images[right], self.labels[right], self.norm, steps=steps)
                self._offer(right, near, "fmn")
        for epsilon in (*self.options.sizes(self.norm.name), self.norm.grey(self.numbers)):
            for order, name in enumerate(self.options.attacks):
                for restart in range(self.options.restarts):
                    self._within(epsilon, name, restart, rounded=order == 0)
        if tried := [at for at in checked if self.size[at] > 0]:
            with self._timed(tried, "checks"):
                self._check(tried)
        return [
            AttackOutcome(
                size=_known(self.size[at]),
                answer=int(self.answer[at]) if math.isfinite(self.size[at]) else None,
                by=self.by[at],
                size_8bit=_known(self.size_8bit[at]),
                rising=self.rising[at],
                black_box=self.black_box.get(at),
                resists=self.resists.get(at),
                seconds=self.seconds[at],
            )
            for at in range(len(self.images))
        ]

    def _holding_out(self, epsilon: float, *, rounded: bool = False) -> list[int]:
        """Positions of the images that nothing found so far changes within `epsilon`; 0 for all that were right before."""
        whole = self.size > epsilon
        if rounded and self.norm.allows_8bit(epsilon):
            whole |= self.size_8bit > epsilon
        return [int(at) for at in whole.nonzero()[:, 0]]

    def _offer(self, at: Sequence[int], tried: torch.Tensor, by: str, logits: torch.Tensor | None = None) -> None:
        """Keep perturbed images that are wrong and nearer than what was known; likewise what is left of them in 8 bits."""
        chosen = self._answers(tried) if logits is None else logits.max(1).indices
        wrong = chosen != self.labels[list(at)]
        if not bool(wrong.any()):
            return
        originals = self.images[list(at)].double() * 255
        sizes = self.norm.size(tried.double() * 255 - originals).cpu()
        levels = (tried * 255).round()
        sizes_8bit = self.norm.size(levels - originals.round()).cpu()
        known, known_8bit, wrong = self.size[list(at)], self.size_8bit[list(at)], wrong.cpu()
        for row in (wrong & (sizes < known)).nonzero()[:, 0].tolist():
            self.size[at[row]], self.answer[at[row]], self.by[at[row]] = sizes[row], int(chosen[row]), by
        if rows := (wrong & (sizes_8bit < known_8bit)).nonzero()[:, 0].tolist():
            positions = [at[row] for row in rows]
            answers = self._answers(levels[rows] / 255)
            for row, position, answer in zip(rows, positions, answers.tolist(), strict=True):
                if answer == int(self.labels[position]):
                    continue
                self.size_8bit[position] = sizes_8bit[row]
                if sizes_8bit[row] < self.size[position]:
                    self.size[position], self.answer[position], self.by[position] = sizes_8bit[row], answer, by

    def _answers(self, images: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return self.model(images).max(1).indices

    def _within(self, epsilon: float, name: str, restart: int, *, rounded: bool) -> None:
        """One attack within a ball on the images that hold out there; with `rounded`, also on those that do so in 8 bits."""
        budget = self.norm.budget(epsilon, self.numbers)
        for target in range(self.targets.shape[1] if name == "apgd-t" else 1):
            at = self._holding_out(epsilon, rounded=rounded)
            if not at:
                return
            images, labels = self.images[at], self.labels[at]
            start = self._starts(at, epsilon, name, restart, target)
            with self._timed(at, name):
                if name == "pgd":
                    steps = self.options.steps
                    near = attacks.pgd(self.model, images, labels, self.norm, budget, steps=steps, start=start)
                    self._offer(at, near, name)
                    continue

                def watch(tried: torch.Tensor, logits: torch.Tensor, at: list[int] = at) -> bool:
                    self._offer(at, tried, name, logits)
                    return not set(self._holding_out(epsilon, rounded=rounded)) & set(at)

                is_targeted = name == "apgd-t"
                loss = attacks.cross_entropy(labels)
                if is_targeted:
                    loss = attacks.targeted_dlr(labels, self.targets[at, target])
                first, best = attacks.apgd(
                    self.model, images, loss, self.norm, budget, steps=self.options.steps, start=start, watch=watch
                )
                if not is_targeted:
                    for position, rose in zip(at, (best > first).tolist(), strict=True):
                        # An attack that succeeds at its start says nothing of its steps.
                        if self.rising[position] is None and (rose or self.size[position] > epsilon):
                            self.rising[position] = rose

    def _starts(self, at: Sequence[int], *what: object) -> torch.Tensor:
        """A random perturbation of size 1 for each image, by its sample id and what it is for."""
        shape = self.images.shape[1:]
        starts = [self.norm.start(torch.Generator().manual_seed(self._seed(position, *what)), shape) for position in at]
        return torch.stack(starts).to(self.images.device)

    def _seed(self, at: int, *what: object) -> int:
        text = repr((self.options.seed, self.ids[at], self.norm.name, *what))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "little")

    def _check(self, at: list[int]) -> None:
        """What tells robustness from masked gradients: PGD with few and with twice as many steps, and an attack without any."""
        epsilons = self.options.sizes(self.norm.name)
        epsilon = epsilons[len(epsilons) // 2]
        budget, start = self.norm.budget(epsilon, self.numbers), self._starts(at, epsilon, "check")
        images, labels = self.images[at], self.labels[at]
        outcomes = []
        for steps in (self.options.steps // 2 or 1, 2 * (self.options.steps // 2 or 1)):
            near = attacks.pgd(self.model, images, labels, self.norm, budget, steps=steps, start=start)
            outcomes.append((self._answers(near) == labels).tolist())
        self.resists = dict(zip(at, zip(*outcomes, strict=True), strict=True))
        for position in at:
            image, label = self.images[[position]], self.labels[[position]]
            seed = self._seed(position, "hop-skip-jump")
            hopped = attacks.without_gradients(self.model, image, label, self.norm, seed=seed)
            size = None if hopped is None else float(self.norm.size((hopped.double() - image.double()) * 255))
            self.black_box[position] = size

    @contextmanager
    def _timed(self, at: Sequence[int], name: str) -> Iterator[None]:
        begun = time.perf_counter()
        yield
        share = (time.perf_counter() - begun) / len(at)
        for position in at:
            self.seconds[position][name] = self.seconds[position].get(name, 0.0) + share


def _known(size: torch.Tensor) -> float | None:
    return float(size) if math.isfinite(size) else None
