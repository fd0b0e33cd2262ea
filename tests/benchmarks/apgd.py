"""Attacks against other implementations, on the same model, images and starts, and the seconds of one core that each takes an image.

    python tests/benchmarks/apgd.py [--images 20] [--steps 20]

APGD is compared with torchattacks' (pip install --no-deps torchattacks, in an environment of its own, since it pins an old
requests; without it that part is left out), the loss reached and the answers image by image. PGD and FMN are foolbox's own: for
them the table shows what stands between them and a run. EfficientNet-Lite0 on foolbox's photographs, one core.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from harness.labels.projections import label_space_projections
from harness.labels.spaces import label_space
from harness.models.loading import load_model
from harness.models.registry import resolve
from harness.robustness import attacks
from harness.robustness.attacks import Norm
from harness.runtime.execution import ExecutionConfig
from harness.runtime.gradients import PixelModel, differentiable

EPSILONS = {"linf": 0.25, "l2": 0.25}
"""In the norm's unit; at this size some images hold out and others don't."""


def photographs(
    model: PixelModel, preprocess: Callable[[Image.Image], np.ndarray], most: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """The photographs that are classified correctly, and their labels."""
    spec = importlib.util.find_spec("foolbox")
    paths = sorted((Path(spec.origin).parent / "data").glob("imagenet_*.jpg"))[:most]
    pixels = np.stack([preprocess(Image.open(path).convert("RGB")) for path in paths])
    images = (torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255).contiguous()
    labels = torch.tensor([int(path.stem.rsplit("_", 1)[1]) for path in paths])
    with torch.no_grad():
        right = model(images).argmax(1) == labels
    return images[right], labels[right]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--steps", type=int, default=20)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    spec = resolve("efficientnet-lite0")
    with tempfile.TemporaryDirectory() as cache:
        loaded = load_model(spec, spec.checkpoint.locate(spec, offline=True), label_space=None, cache=Path(cache))
    labels_of = label_space_projections(
        loaded.identity.output_labels(), label_space("imagenet-1k"), with_subsets=False
    )[0]
    with differentiable(loaded, labels_of, ExecutionConfig(memory_format="channels_last")) as model:
        images, labels = photographs(model, loaded.identity.preprocessing.pixels, asked.images)
        for name, epsilon in EPSILONS.items():
            compare(model, images, labels, Norm(name), epsilon, asked.steps)


def compare(
    model: PixelModel, images: torch.Tensor, labels: torch.Tensor, norm: Norm, epsilon: float, steps: int
) -> None:
    """Print how attacks within one ball end, and their seconds an image."""
    budget = norm.budget(epsilon, images[0].numel())
    start = torch.stack([norm.start(torch.Generator().manual_seed(at), images.shape[1:]) for at in range(len(images))])

    def accuracy(perturbed: torch.Tensor) -> float:
        with torch.no_grad():
            return 100 * float((model(perturbed).argmax(1) == labels).float().mean())

    def show(title: str, begun: float, right: float, more: str = "") -> None:
        spent = (time.process_time() - begun) / len(images)
        print(f"{norm.name} {epsilon:g}  {title:<44} {right:5.1f} % left  {spent:6.2f} s an image  {more}", flush=True)

    # One image at a time, as a run on a CPU does; foolbox and torchattacks too.
    broken, best = torch.zeros(len(images), dtype=torch.bool), torch.zeros(len(images))
    begun = time.process_time()
    for at in range(len(images)):

        def watch(tried: torch.Tensor, logits: torch.Tensor, at: int = at) -> bool:
            broken[at] |= bool(logits.argmax(1) != labels[at])
            return False

        loss = attacks.cross_entropy(labels[[at]])
        _, best[at] = attacks.apgd(model, images[[at]], loss, norm, budget, steps=steps, start=start[[at]], watch=watch)
    show(f"APGD-CE, {steps} steps", begun, 100 * float((~broken).float().mean()), f"mean loss {best.mean():.4f}")
    if (theirs := torchattacks_apgd(model, images, labels, norm, budget, steps, start)) is not None:
        begun, reached, left = theirs
        agreeing = int((left == ~broken).sum())
        show(
            f"torchattacks APGD-CE, {steps} steps", begun, 100 * float(left.float().mean()),
            f"mean loss {reached.mean():.4f}, largest difference {(reached - best).abs().max():.2g}, the same answer for {agreeing} of {len(images)}",
        )  # fmt: skip
    library = attacks.foolbox()
    for title, attack in (
        (f"foolbox PGD, {steps} steps of 2.5 ε / {steps}", None),
        ("foolbox PGD, 10 steps of its default size", {"linf": library.attacks.LinfPGD, "l2": library.attacks.L2PGD}[norm.name](steps=10)),
    ):  # fmt: skip
        begun, perturbed = time.process_time(), []
        for at in range(len(images)):
            if attack is None:
                perturbed.append(
                    attacks.pgd(model, images[[at]], labels[[at]], norm, budget, steps=steps, start=start[[at]])
                )
            else:
                torch.manual_seed(at)
                wrapped = library.PyTorchModel(model, bounds=(0, 1))
                goal = library.criteria.Misclassification(labels[[at]])
                perturbed.append(attack.run(wrapped, images[[at]], goal, epsilon=budget).detach())
        show(title, begun, accuracy(torch.cat(perturbed)))
    begun = time.process_time()
    near = torch.cat([attacks.smallest(model, images[[at]], labels[[at]], norm, steps=30) for at in range(len(images))])
    sizes = norm.size((near.double() - images.double()) * 255)
    show("FMN, 30 steps", begun, 100 * float((sizes > epsilon).float().mean()), f"median size {sizes.median():.3f}")


def torchattacks_apgd(
    model: PixelModel,
    images: torch.Tensor,
    labels: torch.Tensor,
    norm: Norm,
    budget: float,
    steps: int,
    start: torch.Tensor,
) -> tuple[float, torch.Tensor, torch.Tensor] | None:
    """When it began, the highest loss of each image, and whether it is still right; None where it isn't installed."""
    if importlib.util.find_spec("torchattacks") is None:
        print("torchattacks is not installed: its APGD is not compared.", file=sys.stderr)
        return None
    import torchattacks

    attack = torchattacks.APGD(model, norm={"linf": "Linf", "l2": "L2"}[norm.name], eps=budget, steps=steps)
    reached, left = [], []
    # It draws its start by one of these and scales it to the ball's radius; it gets ours.
    drawn = {"linf": "rand", "l2": "randn"}[norm.name]
    real, begun = getattr(torch, drawn), time.process_time()
    try:
        for at in range(len(images)):
            ours = start[[at]] / (start[at].abs().max() if norm.name == "linf" else 1)
            setattr(torch, drawn, lambda shape, ours=ours: (ours + 1) / 2 if norm.name == "linf" else ours)
            _, right, loss, _ = attack.attack_single_run(images[[at]], labels[[at]])
            reached.append(loss)
            left.append(right)
    finally:
        setattr(torch, drawn, real)
    return begun, torch.cat(reached), torch.cat(left)


if __name__ == "__main__":
    main()
