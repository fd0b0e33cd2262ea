"""The figure of accuracy under attack against the size of perturbations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from harness.figures.style import DASHED, LOOKS, WIDTH, Point, curve, line, panels, svg, told

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure


def accuracy_under_attack(
    accuracies: Mapping[str, Mapping[float, Point]],
    rounded: Mapping[str, Mapping[float, Point]],
    *,
    title: str,
    note: str,
) -> str:
    """Accuracy against perturbation size on a logarithmic scale, one panel a norm.

    Args:
        accuracies: by norm, with its unit, for each size the accuracy in percent.
        rounded: the same for perturbed images in 8 bits.
        note: what a reader must know: benchmark, images, how intervals are made.
    """

    def draw(figure: Figure) -> list[Artist]:
        for axes, (norm, points) in zip(
            panels(figure, list(accuracies), 2, y="accuracy under attack, %", shared=False),
            accuracies.items(),
            strict=True,
        ):
            curve(axes, points, LOOKS[0], markersize=3.5, capsize=2)
            axes.plot(
                list(rounded[norm]),
                [p.value for p in rounded[norm].values()],
                color=LOOKS[1].colour,
                linestyle=DASHED,
                linewidth=1,
            )
            axes.set(xscale="log", xticks=list(points), xticklabels=[f"{size:g}" for size in points], ylim=(0, 100))
            axes.minorticks_off()
            axes.set_xlabel(f"size of the perturbation, {norm}")
        return [
            line("accuracy under attack (upper bound)", color=LOOKS[0].colour, marker=LOOKS[0].marker, markersize=3.5),
            line("of perturbed images in 8 bits", color=LOOKS[1].colour, linestyle=DASHED),
        ]

    described = ["Accuracy under attack in percent, an upper bound on robust accuracy"]
    described += [
        f"{norm}: " + ", ".join(f"{told(p)} at {s:g}" for s, p in at.items()) for norm, at in accuracies.items()
    ]
    return svg(draw, (WIDTH, 2.6), title, note, described)
