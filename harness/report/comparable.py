"""Which models of a report are compared with which: those that share samples, whatever another model lacks.

`compare` takes only the samples that all its models have. So the models are put into groups first, one benchmark at a time, and
each group is compared on its own, as `harness compare` would.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import pandas as pd

from harness.data.catalog import benchmarks
from harness.errors import HarnessError
from harness.evaluation.common_samples import common_ids
from harness.evaluation.comparing import Compared, compare
from harness.evaluation.reader import StoredModel, read_predictions
from harness.settings import Settings


def compare_groups(
    models: Sequence[StoredModel], settings: Settings, report: Callable[[str], None]
) -> tuple[list[Compared], list[str]]:
    """One comparison for each group of models, largest group first, and what could not be compared, as sentences."""
    shared: dict[tuple[str, ...], list[str]] = {}
    apart: list[str] = []
    units, unread = _units(models, settings, report)
    for benchmark, of_models in units.items():
        for group in groups(of_models):
            if len(group) > 1:
                shared.setdefault(tuple(name for name in of_models if name in group), []).append(benchmark)
            else:
                apart.append(f"{benchmark}: no other model has predictions of the same samples as {group[0]}.")
    rescored = [known for known in benchmarks().values() if known.scored_from is not None]
    found = []
    for names, places in sorted(shared.items(), key=lambda item: -len(item[0])):
        only = [*places, *(known.name for known in rescored if known.scored_from in places)]
        chosen = [model for model in models if model.name in names]
        try:
            found.append(compare(chosen, settings, report, only=only, allow_different_protocols=True))
        except HarnessError as error:
            apart.append(f"{', '.join(places)}: {error.message}")
    return found, unread + apart


def groups(units: Mapping[str, pd.Index]) -> Iterator[list[str]]:
    """The models that are compared together, by what each has.

    A model joins others only where at least half of what they have in common stays so: one with twenty images doesn't reduce a
    comparison of fifty thousand to twenty. It then leads a group of its own, which the others are in, too.

    Args:
        units: by model, its samples' ids, or its corruption cells.
    """
    grouped: set[str] = set()
    for lead in sorted(units, key=lambda name: -len(units[name])):
        if lead in grouped:
            continue
        group, common = [lead], units[lead]
        others = [name for name in units if name != lead]
        for other in sorted(others, key=lambda name: -len(common_ids(units[lead], units[name]))):
            left = common_ids(common, units[other])
            if len(left) > 0 and (len(group) == 1 or 2 * len(left) >= len(common)):
                group.append(other)
                common = left
        grouped.update(group)
        yield group


def _units(
    models: Sequence[StoredModel], settings: Settings, report: Callable[[str], None]
) -> tuple[dict[str, dict[str, pd.Index]], list[str]]:
    """By benchmark and model the ids of its samples, or its corruption cells; and what can't be read, as sentences."""
    units: dict[str, dict[str, pd.Index]] = {}
    unread = []
    for model in models:
        if not model.conditions:
            unread.append(f"{model.name} is not compared: it has no stored predictions.")
        cells: dict[str, list[str]] = {}
        for prefix, stored in model.conditions.items():
            of_models = units.setdefault(stored.benchmark.name, {})
            if stored.condition is not None:
                cells.setdefault(stored.benchmark.name, []).append(stored.condition)
                of_models[model.name] = pd.Index(cells[stored.benchmark.name], dtype=object)
                continue
            try:
                of_models[model.name] = pd.Index(read_predictions(stored, settings, report).sample_ids, dtype=object)
            except HarnessError as error:
                unread.append(f"{model.name} is not compared on {prefix}: {error.message}")
    return units, unread
