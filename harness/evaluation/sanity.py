"""The sanity gate: a model that does no better than chance on clean images is set up wrongly, so the run stops early.

Guessing among K classes gets each image right with probability 1/K. The gate stops where that explains the number of
right answers (one-sided binomial test at 1 %), and looks whether one of the usual mistakes explains the predictions. It also
stops where most images of some classes are taken for one another in turn: their labels have been exchanged.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from scipy import stats

from harness.errors import HarnessError
from harness.metrics.types import LabelSpacePredictions

MIN_IMAGES = 20
"""Fewer images can't tell a bad model from a wrong set-up."""
_CHANCE_LEVEL = 0.01
_CERTAIN = 1e-6
_MOST = 2 / 3
"""Share of a class's images that a permuted label explains."""
_EXCHANGED = 1e-3
"""Probability, over all classes, of taking a pair that is merely hard to tell apart for an exchanged one."""
_USUAL = (
    "the order of the labels (--labels, or folders sorted as text)",
    "labels counted from 1 instead of 0",
    "the normalisation (mean and std of preprocessor_config.json)",
    "the order of the colour channels (RGB, not BGR)",
    "the size of the input and the crop (as it was trained)",
)


def check_against_chance(predictions: LabelSpacePredictions, classes: int, what: str) -> None:
    """Stop unless the top-1 predictions beat guessing.

    Args:
        predictions: of clean images in the benchmark's label space; a label of -1 is left out.
        classes: classes the argmax chose among.
        what: the condition, for the message.

    Raises:
        HarnessError: indistinguishable from chance; names the usual mistakes, first the one the predictions show.
    """
    kept = predictions.take(predictions.label >= 0)
    n = len(kept)
    if n < MIN_IMAGES:
        return
    best = kept.top5[:, 0]
    right = int((best == kept.label).sum())
    if _p_value(right, n, classes) <= _CHANCE_LEVEL:
        return
    explained = _explanations(best, kept.label, classes)
    shown = "; ".join(f"{name}: {hits} of {n} images would then be right" for name, hits in explained)
    looked = shown or "none of them shows in the predictions themselves"
    raise HarnessError(
        f"{what}: {right} of the first {n} images are right, which guessing among {classes:,} classes would do as well. "
        f"Something in the set-up is wrong.",
        remedy=f"Look at: {'; '.join(_USUAL)}. Seen here: {looked}. To go on all the same: --no-sanity-gate.",
    )


def check_for_exchange(predictions: LabelSpacePredictions, names: Sequence[str], what: str) -> None:
    """Stop where labels of some classes have been exchanged: a cycle of classes, most images of each taken for the next.

    A class that the model merely confuses with another is right as often as not; in a cycle, hits of the next class are
    compared with hits of the class itself (one-sided binomial test, corrected for the number of classes).

    Args:
        names: of the classes, by index.
        what: the condition, for the message.

    Raises:
        HarnessError: names the classes.
    """
    best, label = predictions.top5[:, 0], predictions.label
    known = (label >= 0) & (best >= 0)
    confused, counts = np.unique(np.stack([label[known], best[known]]), axis=1, return_counts=True)
    hits = dict(zip(map(tuple, confused.T.tolist()), counts.tolist(), strict=True))
    images = np.bincount(label[known], minlength=len(names))
    taken_for = {a: b for (a, b), count in hits.items() if a != b and count >= _MOST * images[a]}
    for start in taken_for:
        cycle = [start]
        while (following := taken_for.get(cycle[-1])) is not None and following not in cycle:
            cycle.append(following)
        if following != start:
            continue
        moved = sum(hits[class_, taken_for[class_]] for class_ in cycle)
        kept = sum(hits.get((class_, class_), 0) for class_ in cycle)
        if stats.binom.sf(moved - 1, moved + kept, 0.5) <= _EXCHANGED / len(names):
            pairs = "; ".join(f"'{names[class_]}' for '{names[taken_for[class_]]}'" for class_ in cycle)
            raise HarnessError(
                f"{what}: {moved} of {sum(images[class_] for class_ in cycle)} images are taken in turn for another class "
                f"({pairs}), so the labels of these classes seem to be exchanged, in the data or in the model.",
                remedy="Mend id2label or the labels of the data. To go on all the same: --no-sanity-gate.",
            )


def _p_value(right: int, n: int, classes: int) -> float:
    """Probability of at least `right` hits by guessing."""
    return float(stats.binom.sf(right - 1, n, 1 / classes))


def _explanations(best: np.ndarray, label: np.ndarray, classes: int) -> Iterator[tuple[str, int]]:
    """Usual mistakes under which these predictions would be right far more often than by chance."""
    as_text = np.array(sorted(range(classes), key=str))
    mapped = {
        "labels counted from 1": label - 1,
        "outputs shifted by one (a background class at 0)": label + 1,
        "numbered folders sorted as text": as_text[label],
        "outputs in the order of class numbers sorted as text": np.argsort(as_text)[label],
    }
    for name, other in mapped.items():
        hits = int((best == other).sum())
        if _p_value(hits, len(best), classes) < _CERTAIN:
            yield name, hits
