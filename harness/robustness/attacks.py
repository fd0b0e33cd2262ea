"""Attacks: the norms they stay within, APGD, and foolbox's PGD, FMN and HopSkipJump.

APGD is written here, since the library at hand lacks it and the one that has it can't be installed beside the rest;
`tests/benchmarks/apgd.py` compares the two.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import torch

from harness.errors import HarnessError, MissingInputError

_MOMENTUM = 0.75
_ENOUGH_RISING = 0.75
"""Share of steps along which APGD's loss must rise, or its step is halved."""
_LEAST_CLASSES = 4
"""That the DLR loss is defined for."""


@dataclass(frozen=True)
class Norm:
    """A norm of perturbations."""

    name: str

    def size(self, levels: torch.Tensor) -> torch.Tensor:
        """Sizes (n,), float64, of perturbations (n, 3, H, W) given in 255ths: L∞ in 255ths, L2 for pixels in [0, 1]."""
        flat = levels.double().flatten(1)
        return flat.abs().amax(1) if self.name == "linf" else flat.norm(dim=1) / 255

    def budget(self, epsilon: float, numbers: int) -> float:
        """For pixels in [0, 1]: what keeps rounded float32 sums within `epsilon`, for so many numbers an image."""
        rounding = 2.0**-23
        exact, slack = (
            (epsilon / 255, rounding) if self.name == "linf" else (epsilon, rounding * math.sqrt(numbers) / 2)
        )
        return max(exact - slack, exact / 2)

    def grey(self, numbers: int) -> float:
        """The size that is enough to make every image the same grey."""
        return 127.5 if self.name == "linf" else 0.5 * math.sqrt(numbers)

    def allows_8bit(self, epsilon: float) -> bool:
        """Whether an 8-bit image other than the original can be so near."""
        return epsilon >= (1 if self.name == "linf" else 1 / 255)

    def project(self, moved: torch.Tensor, budget: float) -> torch.Tensor:
        """The nearest perturbation (n, 3, H, W) within the budget."""
        if self.name == "linf":
            return moved.clamp(-budget, budget)
        return moved * (budget / _lengths(moved)).clamp(max=1)

    def direction(self, gradient: torch.Tensor) -> torch.Tensor:
        """The perturbation of size 1 along which a linear function with this gradient rises most."""
        return gradient.sign() if self.name == "linf" else gradient / _lengths(gradient)

    def start(self, generator: torch.Generator, shape: torch.Size) -> torch.Tensor:
        """A random perturbation of size 1, float32 on the CPU."""
        if self.name == "linf":
            return torch.rand(shape, generator=generator) * 2 - 1
        return self.direction(torch.randn(1, *shape, generator=generator))[0]


def _lengths(values: torch.Tensor) -> torch.Tensor:
    """Euclidean, of each image, never 0, (n, 1, 1, 1)."""
    return values.flatten(1).norm(dim=1).clamp(min=1e-12).view(-1, 1, 1, 1)


Loss = Callable[[torch.Tensor], torch.Tensor]
"""Logits (n, classes) to the losses (n,) that an attack raises."""


def cross_entropy(labels: torch.Tensor) -> Loss:
    """Of the right class."""
    return lambda logits: torch.nn.functional.cross_entropy(logits, labels, reduction="none")


def targeted_dlr(labels: torch.Tensor, targets: torch.Tensor) -> Loss:
    """The difference of logits ratio towards a target class: Croce & Hein 2020, arXiv:2003.01690, equation 7.

    For models of fewer than four classes, for which it is not defined, the difference alone.
    """

    def loss(logits: torch.Tensor) -> torch.Tensor:
        away = logits.gather(1, targets[:, None])[:, 0] - logits.gather(1, labels[:, None])[:, 0]
        ranked = logits.topk(min(_LEAST_CLASSES, logits.shape[1]), dim=1).values
        if ranked.shape[1] < _LEAST_CLASSES or bool(ranked[:, -1].isneginf().any()):
            return away
        return away / (ranked[:, 0] - (ranked[:, 2] + ranked[:, 3]) / 2 + 1e-12)

    return loss


class Watch(Protocol):
    """Who is told of every perturbed image that an attack tries."""

    def __call__(self, tried: torch.Tensor, logits: torch.Tensor) -> bool:
        """Images (n, 3, H, W) and their logits; returns whether all that is wanted has been found."""


def apgd(
    model: torch.nn.Module,
    images: torch.Tensor,
    loss: Loss,
    norm: Norm,
    budget: float,
    *,
    steps: int,
    start: torch.Tensor,
    watch: Watch,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Raise a loss within a norm ball by projected gradient steps whose size adapts to each image.

    Croce & Hein 2020, "Reliable evaluation of adversarial robustness with an ensemble of diverse parameter-free attacks",
    arXiv:2003.01690, algorithm 1.

    Args:
        images: float32 (n, 3, H, W) in [0, 1].
        budget: radius of the ball, for pixels in [0, 1].
        start: perturbations of size 1 at most.
        watch: may end it.

    Returns:
        The loss (n,) at the start, and the highest that was reached.

    Raises:
        HarnessError: a loss or a gradient is not finite.
    """

    def inside(points: torch.Tensor) -> torch.Tensor:
        return (images + norm.project(points - images, budget)).clamp(0, 1)

    def look(points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, bool]:
        points = points.detach().requires_grad_()
        logits = model(points)
        values = loss(logits)
        (gradient,) = torch.autograd.grad(values.sum(), points)
        if not bool(values.isfinite().all() and gradient.isfinite().all()):
            raise HarnessError(
                "The loss of an attacked image or its gradient is not finite.",
                remedy="Look for damaged weights, or an operation that overflows; attacks run in float32.",
            )
        return values.detach(), gradient, watch(points.detach(), logits.detach())

    point = previous = inside(images + budget * start)
    value, gradient, done = look(point)
    first = best = checked = value
    best_point, best_gradient = point, gradient
    step = torch.full_like(value, 2 * budget).view(-1, 1, 1, 1)
    rising, halved = torch.zeros_like(value), torch.ones_like(value, dtype=torch.bool)
    window, since = max(int(0.22 * steps), 1), 0
    for number in range(steps):
        if done:
            break
        kept = _MOMENTUM if number else 1.0
        ahead = inside(point + step * norm.direction(gradient))
        moved = inside(point + kept * (ahead - point) + (1 - kept) * (point - previous))
        previous, point, before = point, moved, value
        value, gradient, done = look(point)
        rising = rising + (value > before)
        better = (value > best).view(-1, 1, 1, 1)
        best_point, best_gradient = torch.where(better, point, best_point), torch.where(better, gradient, best_gradient)
        best, since = torch.maximum(best, value), since + 1
        if since == window:
            halved = (rising <= _ENOUGH_RISING * window) | (~halved & (best <= checked))
            back = halved.view(-1, 1, 1, 1)
            step = torch.where(back, step / 2, step)
            point, gradient = torch.where(back, best_point, point), torch.where(back, best_gradient, gradient)
            checked, rising, since = best, torch.zeros_like(value), 0
            window = max(window - max(int(0.03 * steps), 1), max(int(0.06 * steps), 1))
    return first, best


# --- foolbox's --------------------------------------------------------------------------------------------------------


@cache
def foolbox() -> Any:
    """The library. Raises MissingInputError where it is not installed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of modules of scipy that it imports
            import foolbox
    except ModuleNotFoundError as error:
        raise MissingInputError(
            "Attacks need the package foolbox, which is not installed.",
            remedy="pip install 'harness-cards[adversarial]', then repeat the command.",
        ) from error
    return foolbox


def pgd(
    model: torch.nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    norm: Norm,
    budget: float,
    *,
    steps: int,
    start: torch.Tensor,
) -> torch.Tensor:
    """Projected gradient descent with steps of 2.5 ε / steps: Madry et al. 2018, arXiv:1706.06083. Perturbed images."""
    library = foolbox()
    base = {"linf": library.attacks.LinfPGD, "l2": library.attacks.L2PGD}[norm.name]

    class Seeded(base):  # type: ignore[misc, valid-type]
        """foolbox draws starts for a batch; these are each image's own."""

        def get_random_start(self, x0: Any, epsilon: float) -> Any:
            return x0 + epsilon * type(x0)(start)

    attack = Seeded(steps=steps, rel_stepsize=2.5 / steps, random_start=True)
    return _run(attack, model, images, labels, epsilon=budget)


def smallest(
    model: torch.nn.Module, images: torch.Tensor, labels: torch.Tensor, norm: Norm, *, steps: int
) -> torch.Tensor:
    """Perturbed images as near as FMN finds them, wrong or not: Pintor et al. 2021, "Fast minimum-norm adversarial attacks
    through adaptive norm constraints", arXiv:2102.12827."""
    attacks = foolbox().attacks
    base = {"linf": attacks.LInfFMNAttack, "l2": attacks.L2FMNAttack}[norm.name]

    class Projected(base):  # type: ignore[misc, valid-type]
        """foolbox 3.3.4 divides norms by themselves where L2 is to be projected, which leaves the perturbation as it is."""

        def project(self, x: Any, x0: Any, epsilon: Any) -> Any:
            if norm.name == "linf":
                return super().project(x, x0, epsilon)
            moved = (x - x0).raw
            # A little further than a linear model's boundary, on which a rounding error would decide.
            bound = 1.0005 * epsilon.raw.view(-1, 1, 1, 1)
            return x0 + type(x)(moved * (bound / _lengths(moved)).clamp(max=1))

    return _run(Projected(steps=steps), model, images, labels)


def without_gradients(
    model: torch.nn.Module, image: torch.Tensor, label: torch.Tensor, norm: Norm, *, seed: int
) -> torch.Tensor | None:
    """One image (1, 3, H, W) perturbed by HopSkipJump, which sees answers only (Chen et al. 2020, arXiv:1904.02144), within about
    two hundred queries; None where it finds no wrong answer to start from."""
    attacks = foolbox().attacks
    with torch.random.fork_rng(devices=[image.device] if image.device.type == "cuda" else []):
        torch.manual_seed(seed)
        begin = _run(attacks.LinearSearchBlendedUniformNoiseAttack(directions=20, steps=20), model, image, label)
        with torch.no_grad():
            if int(model(begin).argmax()) == int(label):
                return None
        # Its gamma makes the distances of its queries from the boundary 1 % of the perturbation, whatever the image's size.
        attack = attacks.HopSkipJumpAttack(
            steps=2, initial_gradient_eval_steps=40, constraint=norm.name, gamma=image.numel() / 100
        )
        return _run(attack, model, image, label, starting_points=begin)


def _run(
    attack: Any, model: torch.nn.Module, images: torch.Tensor, labels: torch.Tensor, **options: Any
) -> torch.Tensor:
    library = foolbox()
    wrapped = library.PyTorchModel(model, bounds=(0, 1), device=images.device)
    perturbed: torch.Tensor = attack.run(wrapped, images, library.criteria.Misclassification(labels), **options)
    return perturbed.detach()
