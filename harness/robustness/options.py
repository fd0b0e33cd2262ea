"""What a suite says of attacks. Imports no torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field, PositiveInt

NORMS = {"linf": ("L∞", " of 255"), "l2": ("L2", "")}
"""Title of each norm, and the unit of its sizes: of pixels in [0, 255] or in [0, 1]."""


Size = Annotated[float, Field(gt=0, le=255)]


class AttackOptions(BaseModel, extra="forbid", frozen=True):
    """Which attacks run, how hard they try, and on how many images."""

    images: PositiveInt = 500
    """Where `--attack-images` doesn't say."""
    epsilons: Annotated[
        dict[Literal["linf", "l2"], Annotated[tuple[Size, ...], Field(min_length=1)]], Field(min_length=1)
    ]
    """Perturbation sizes at which accuracy is reported, by norm: L∞ in 255ths of the pixels' range, L2 for pixels in [0, 1]."""
    attacks: Annotated[tuple[Literal["apgd-ce", "apgd-t", "pgd"], ...], Field(min_length=1)] = (
        "apgd-ce",
        "apgd-t",
        "pgd",
    )
    """In their order; each is run on images that the earlier ones failed on."""
    steps: PositiveInt = 30
    """Of each APGD and PGD."""
    targets: PositiveInt = 3
    """Wrong classes that `apgd-t` aims at, the likeliest first."""
    restarts: PositiveInt = 1
    """Random starts of each attack."""
    minimum_norm_steps: PositiveInt = 30
    """Of FMN, which looks for the smallest perturbation."""
    checked_images: PositiveInt = 10
    """The first ones, on which more is tried, to tell robustness from masked gradients."""
    seed: Annotated[int, Field(ge=0)] = 0

    def sizes(self, norm: str) -> tuple[float, ...]:
        """The perturbation sizes of a norm, ascending."""
        return tuple(sorted({*self.epsilons[norm]})) if norm in self.epsilons else ()

    def describe(self) -> str:
        """The attacks in words."""
        titles = {"apgd-ce": "APGD-CE", "apgd-t": f"APGD-DLR towards {self.targets} classes", "pgd": "PGD"}
        starts = f"{self.restarts} random start" + "s" * (self.restarts > 1)
        return (
            f"FMN of {self.minimum_norm_steps} steps, then {', '.join(titles[name] for name in self.attacks)} of {self.steps} "
            f"steps from {starts}, seed {self.seed}"
        )
