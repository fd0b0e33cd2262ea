"""Attacks: exact where the answer is known by hand, within their bounds, caught where gradients are masked."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from harness.errors import HarnessError
from harness.metrics.adversarial import masked_gradients, robust_accuracy
from harness.robustness import attacks
from harness.robustness.attacks import Norm
from harness.robustness.options import AttackOptions
from harness.robustness.search import attack
from tests.robustness.conftest import IMAGES, SIDE, Steps, opened

OPTIONS = AttackOptions(epsilons={"linf": (1, 3, 8), "l2": (0.1, 0.2, 0.5)}, steps=10, checked_images=2)
IDS = [f"image {at}" for at in range(IMAGES)]
NONE = [False] * IMAGES


def by_hand(linear: nn.Module, pixels: torch.Tensor, labels: list[int], norm: str) -> np.ndarray:
    """The smallest perturbation that changes a linear model's answer: the difference of two logits, over the dual norm of its
    gradient (the standard deviation of 0.5 doubles the weights); 0 where the answer is wrong already."""
    weights, bias = linear[1].weight.detach().double().numpy(), linear[1].bias.detach().double().numpy()
    x = (pixels.flatten(1).double() / 127.5 - 1).numpy()
    found = []
    for image, label in zip(x, labels, strict=True):
        logits = weights @ image + bias
        others = [other for other in range(3) if other != label]
        gradient = [2 * (weights[label] - weights[other]) for other in others]
        dual = [np.abs(g).sum() / 255 if norm == "linf" else np.linalg.norm(g) for g in gradient]
        found.append(max(0.0, min((logits[label] - logits[o]) / d for o, d in zip(others, dual, strict=True))))
    return np.array(found)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_a_linear_model_is_exact(linear: nn.Module, pixels: torch.Tensor, labels: list[int], norm: str) -> None:
    expected = by_hand(linear, pixels, labels, norm)
    # The smallest perturbations of three images, a little more and a little less.
    sizes = tuple(float(size) * share for size in np.sort(expected[expected > 0])[::4] for share in (0.999, 1.001))
    options = AttackOptions(epsilons={norm: sizes}, steps=10)
    with opened(linear) as model:
        found = [outcomes[norm] for _, outcomes in attack(model, pixels, labels, IDS, options, NONE)]
    assert [o.size == 0 for o in found] == [size == 0 for size in expected] == [False] * (IMAGES - 2) + [True] * 2
    for outcome, size in zip(found, expected, strict=True):
        assert size * (1 - 1e-6) <= outcome.size <= size * 1.05  # never below the smallest there is
    for epsilon in sizes:
        assert robust_accuracy(found, epsilon).value == pytest.approx(100 * np.mean(expected > epsilon))
    assert masked_gradients(found) is None


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_fmn_alone_comes_near_the_smallest_perturbation(
    linear: nn.Module, pixels: torch.Tensor, labels: list[int], norm: str
) -> None:
    expected = by_hand(linear, pixels, labels, norm)[:-2]
    with opened(linear) as model:
        images = pixels[:-2] / 255
        near = attacks.smallest(model, images, torch.tensor(labels[:-2]), Norm(norm), steps=60)
        wrong = model(near).argmax(1) != torch.tensor(labels[:-2])
    sizes = Norm(norm).size((near.double() - images.double()) * 255).numpy()
    assert int(wrong.sum()) >= len(expected) - 1  # one may end on the boundary, by a rounding error on the wrong side
    assert (sizes[wrong] <= 1.05 * expected[wrong]).all()


class Small(nn.Sequential):
    """A network that is not linear, of five classes: the DLR loss needs four."""

    def __init__(self, classes: int = 3) -> None:
        torch.manual_seed(0)
        super().__init__(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * (SIDE - 2) ** 2, classes))


@pytest.mark.parametrize("norm", [Norm("linf"), Norm("l2")])
@pytest.mark.parametrize("epsilon", [0.05, 1, 40])
def test_no_perturbation_exceeds_its_bound(norm: Norm, epsilon: float) -> None:
    # Black, white and in between: what the pixels' range cuts off must not push a perturbation out of its ball.
    pixels = torch.randint(256, (5, 3, SIDE, SIDE), generator=torch.Generator().manual_seed(2))
    images = (pixels.float() / 255).contiguous()
    budget = norm.budget(epsilon, images[0].numel())
    start = torch.stack([norm.start(torch.Generator().manual_seed(at), images.shape[1:]) for at in range(5)])
    tried = []

    def watch(points: torch.Tensor, logits: torch.Tensor) -> bool:
        tried.append(points)
        return False

    network = Small(5)
    labels = network(images * 2 - 1).argmax(1)
    losses = (attacks.cross_entropy(labels), attacks.targeted_dlr(labels, (labels + 1) % 5))
    for loss in losses:
        first, best = attacks.apgd(
            lambda x: network(x * 2 - 1), images, loss, norm, budget, steps=8, start=start, watch=watch
        )
        assert bool((best > first).all())
    with opened(Small()) as model:
        tried.append(attacks.pgd(model, images, labels.clamp(max=2), norm, budget, steps=5, start=start))
    for points in tried:
        assert norm.size(points.double() * 255 - images.double() * 255).max() <= epsilon
        assert points.min() >= 0
        assert points.max() <= 1
    assert len(tried) == 2 * 9 + 1


def test_masked_gradients_are_caught(linear: nn.Module, pixels: torch.Tensor, labels: list[int]) -> None:
    checked = [at < 2 for at in range(IMAGES)]
    with opened(linear) as model:
        plain = attack(model, pixels, labels, IDS, OPTIONS, checked)
    with opened(Steps(linear)) as model:
        own = [int(answer) for answer in model(pixels / 255).argmax(1)]
        stepped = attack(model, pixels, own, IDS, OPTIONS, checked)
    for norm in ("linf", "l2"):
        assert masked_gradients([outcomes[norm] for _, outcomes in plain]) is None
        assert [outcomes[norm].resists is not None for _, outcomes in plain[:3]] == [True, True, False]
        why = masked_gradients([outcomes[norm] for _, outcomes in stepped])
        assert str(why).startswith("The loss rises along the steps of the attack for 0 of ")


def test_an_image_s_result_does_not_depend_on_its_batch(pixels: torch.Tensor) -> None:
    with opened(Small()) as model:
        own = [int(answer) for answer in model(pixels / 255).argmax(1)]
        together = attack(model, pixels[:4], own[:4], IDS[:4], OPTIONS, [True] + [False] * 3)
        alone = [
            attack(model, pixels[[at]], own[at : at + 1], IDS[at : at + 1], OPTIONS, [at == 0])[0] for at in (3, 0)
        ]
    for (answer, outcomes), (again, other) in zip([together[3], together[0]], alone, strict=True):
        assert answer == again
        for norm in outcomes:
            assert other[norm].size == pytest.approx(outcomes[norm].size, rel=1e-4)
            assert other[norm].answer == outcomes[norm].answer
            assert other[norm].resists == outcomes[norm].resists


def test_what_8_bits_leave_is_checked_apart(linear: nn.Module, pixels: torch.Tensor, labels: list[int]) -> None:
    expected = by_hand(linear, pixels, labels, "linf")
    with opened(linear) as model:
        found = [outcomes["linf"] for _, outcomes in attack(model, pixels, labels, IDS, OPTIONS, NONE)]
    for outcome, size in zip(found, expected, strict=True):
        # In L∞ whole levels only; no fewer than the smallest perturbation needs.
        assert outcome.size_8bit == round(outcome.size_8bit) >= size


class Overflows(nn.Module):
    """Has gradients on grey images, and infinite logits on brighter ones."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.exp(1e4 * images.mean((2, 3)).clamp(min=0)) * self.weight


def test_logits_that_are_not_finite_are_named(pixels: torch.Tensor) -> None:
    with opened(Overflows()) as model, pytest.raises(HarnessError, match="The logits of image 1 are not finite"):
        attack(model, torch.stack([torch.full_like(pixels[0], 128), torch.full_like(pixels[0], 250)]), [0, 0], IDS[:2], OPTIONS, [False] * 2)  # fmt: skip


def test_a_loss_that_is_not_finite_is_an_error() -> None:
    images, norm = torch.full((1, 3, SIDE, SIDE), 0.5), Norm("linf")
    with pytest.raises(HarnessError, match="not finite"):
        attacks.apgd(
            nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE * SIDE, 3)),
            images,
            lambda logits: (logits * torch.inf).sum(1),
            norm,
            0.1,
            steps=2,
            start=torch.zeros_like(images),
            watch=lambda tried, logits: False,
        )
