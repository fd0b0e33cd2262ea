"""Figure of calibration: accuracy against confidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.figures.style import LOOKS, MUTED, WIDTH, finish, line, svg, tint

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Bin:
    """Samples of similar confidence."""

    confidence: float
    """Mean confidence in percent, as `accuracy`."""
    accuracy: float
    share: float
    """Share of all samples, in percent."""


def reliability_diagrams(bins: Mapping[str, Sequence[Bin]], *, title: str, note: str) -> str:
    """Accuracy against confidence, one panel a model, with how many samples have which confidence.

    Args:
        bins: by model, the bins that hold samples, by rising confidence.
        note: what a reader must know: benchmark, images, bins.
    """
    if not bins:
        raise ValueError("there is nothing to draw")
    columns = min(4, len(bins))
    rows = -(-len(bins) // columns)

    def draw(figure: Figure) -> None:
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
        for axes, (name, found) in zip(panels, bins.items(), strict=False):
            confidences = [b.confidence for b in found]
            axes.plot([0, 100], [0, 100], color=MUTED, linewidth=0.7, linestyle=(0, (1, 2)))
            axes.bar(confidences, [b.share for b in found], width=4, color=tint(LOOKS[1].colour, 0.35), linewidth=0)
            axes.plot(
                confidences, [b.accuracy for b in found], color=LOOKS[0].colour, marker="o", markersize=3, linewidth=1
            )
            axes.set_title(name, pad=3)
            axes.set_xlabel("confidence, %")
        for axes in panels[len(bins) :]:
            axes.set_visible(False)
        for axes in panels[::columns]:
            axes.set_ylabel("accuracy, %")
        for axes in panels[max(0, len(bins) - columns) : len(bins)]:
            axes.tick_params(labelbottom=True)
        panels[0].set(xlim=(0, 100), ylim=(0, 100), xticks=range(0, 101, 25), yticks=range(0, 101, 25))
        handles = [
            line("accuracy in a bin of confidence", color=LOOKS[0].colour, marker="o", markersize=3, linewidth=1),
            line("perfectly calibrated", color=MUTED, linestyle=(0, (1, 2)), linewidth=0.7),
            line("share of images, %", color=tint(LOOKS[1].colour, 0.35), linewidth=4),
        ]
        finish(figure, title, note, handles)

    described = [
        f"{name}: "
        + ", ".join(f"{b.accuracy:.0f} at confidence {b.confidence:.0f} ({b.share:.0f} % of images)" for b in found)
        for name, found in bins.items()
    ]
    text = ". ".join(["Accuracy in percent by mean confidence in percent", *described, note])
    return svg(draw, (WIDTH, 0.9 + (2.0 if columns > 1 else 2.6) * rows), title, text)
