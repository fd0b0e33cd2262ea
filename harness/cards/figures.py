"""The figures of a card, drawn from its ledger."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.benchmarking.efficiency import throughput_of
from harness.corruptions.names import GROUPS
from harness.data.catalog import CLEAN_CROPS, Benchmark, benchmarks
from harness.evidence import Evidence, EvidenceClass, Ledger, show_count
from harness.figures.accuracy import accuracy_by_benchmark
from harness.figures.adversarial import accuracy_under_attack
from harness.figures.compute import throughput_by_batch
from harness.figures.corruption import corruption_bars, corruption_small_multiples
from harness.figures.style import Point, error_of, point
from harness.robustness.options import NORMS


@dataclass(frozen=True)
class Figure:
    """One figure of a card."""

    file: str
    """Path beside the card."""
    svg: str
    alternative: str
    """What it shows, for readers who don't see it."""


def corruption_cells(ledger: Ledger, benchmark: str) -> dict[tuple[str, int], Evidence]:
    """The measured top-1 of each (corruption, severity) of a benchmark, in ledger order."""
    found = {}
    for item in ledger:
        key = item.name
        is_plain = key.benchmark == benchmark and key.metric == "top1" and key.slice is None and key.variant is None
        if is_plain and item.class_ is EvidenceClass.MEASURED and key.corruption and key.severity is not None:
            found[key.corruption, key.severity] = item
    return found


def card_figures(ledger: Ledger) -> dict[str, list[Figure]]:
    """The figures of each benchmark that has some."""
    drawn = {
        name: _corruption_figures(ledger, b) + _attack_figures(ledger, b) for name, b in benchmarks(ledger).items()
    }
    return {name: made for name, made in drawn.items() if made}


def under_attack(ledger: Ledger, benchmark: str, *, rounded: bool = False) -> dict[str, dict[float, Evidence]]:
    """The measured accuracy under attack on a benchmark, by norm and size of the perturbation."""
    found: dict[str, dict[float, Evidence]] = {}
    for item in ledger:
        key = item.name
        if (key.benchmark, key.metric) == (benchmark, "robust-accuracy") and item.class_ is EvidenceClass.MEASURED:
            norm, size = (key.condition or "").split("/")
            if key.variants == (("8-bit",) if rounded else ()):
                found.setdefault(norm, {})[float(size)] = item
    return found


def _attack_figures(ledger: Ledger, benchmark: Benchmark) -> list[Figure]:
    measured, in_8bit = (under_attack(ledger, benchmark.name, rounded=rounded) for rounded in (False, True))
    if not measured:
        return []
    first = next(iter(next(iter(measured.values())).values()))
    names = {norm: "{}{}".format(*NORMS[norm]) for norm in measured}
    points = [
        {names[n]: {s: point(item) for s, item in at.items()} for n, at in found.items()}
        for found in (measured, in_8bit)
    ]
    note = f"{benchmark.title}; n = {show_count(first)} images; {(first.protocol or {}).get('attack')}; bars are 95 % intervals."
    svg = accuracy_under_attack(*points, title=f"{ledger.model['title']}: accuracy under attack", note=note)
    what = f"Accuracy under attack against the size of the perturbation, {benchmark.title}"
    return [Figure(f"figures/{benchmark.name}-attacks.svg", svg, what)]


def accuracy_figure(
    ledger: Ledger, names: Sequence[str], models: Mapping[str, Mapping[str, Point]], note: str
) -> Figure | None:
    """Accuracy of a model, by benchmark in the given order, and of others beside it; None where the model has fewer than three."""
    if len(next(iter(models.values()), {})) < 3:
        return None
    svg = accuracy_by_benchmark(names, models, title="Top-1 accuracy by benchmark", note=note)
    what = f"Top-1 accuracy by benchmark: {'; '.join(models)}"
    return Figure(f"figures/accuracy-{file_name(ledger)}.svg", svg, what)


def file_name(ledger: Ledger) -> str:
    """The model's name as part of a file name: cards of several models share a folder."""
    return re.sub(r"[^A-Za-z0-9.-]+", "-", str(ledger.model["name"]))


def throughput_figure(ledger: Ledger) -> Figure | None:
    """Throughput against batch size; None where fewer than two batch sizes were measured."""
    item = throughput_of(ledger)
    sweep = (item.protocol or {}).get("sweep", ()) if item is not None else ()
    if item is None or len(sweep) < 2:
        return None
    protocol = item.protocol or {}
    points = {p["batch"]: Point(p["images_per_second"], p.get("low"), p.get("high")) for p in sweep}
    hardware = protocol.get("hardware") or {}
    parts = (hardware.get("gpu") or hardware.get("cpu"), protocol.get("precision"), protocol.get("steps"))
    note = ", ".join(str(part) for part in parts if part)
    title = f"{ledger.model['title']}: throughput by batch size"
    svg = throughput_by_batch(points, protocol["batch"], title=title, note=f"{note}; bars are 95 % intervals.")
    what = "Images per second against the number of images a batch"
    return Figure(f"figures/throughput-{file_name(ledger)}.svg", svg, what)


def _corruption_figures(ledger: Ledger, benchmark: Benchmark) -> list[Figure]:
    cells = corruption_cells(ledger, benchmark.name)
    if not cells:
        return []
    assert benchmark.corruptions is not None
    title, file = str(ledger.model["title"]), f"figures/{benchmark.name}"
    first = next(iter(cells.values()))
    note = f"{benchmark.title}; n = {show_count(first)} images a cell; bars are 95 % intervals."
    clean = ledger.get(f"{benchmark.name}/{CLEAN_CROPS}.top1")
    # ImageNet-C's groups, where the cells belong to them.
    is_grouped = any(name in members for members in GROUPS.values() for name, _ in cells)
    groups = dict(GROUPS) if is_grouped else None
    grid = corruption_small_multiples(
        {cell: error_of(point(item)) for cell, item in cells.items()},
        title=f"{title}: error by corruption and severity",
        note=note,
        clean=error_of(point(clean)) if clean is not None and clean.value is not None else None,
        groups=groups,
    )
    alternative = f"Top-1 error against severity for each corruption, {benchmark.title}"
    figures = [Figure(f"{file}-severity.svg", grid, alternative)]
    for metric, mean_key, mean_name, axis in (
        ("ce", "mce", "mCE", "corruption error, % of AlexNet's"),
        ("mean-error", "mean-error", "mean", "top-1 error, %"),
    ):
        items = {name: ledger.get(f"{benchmark.name}/{name}.{metric}") for name in benchmark.corruptions.scored}
        bars = {name: point(item) for name, item in items.items() if item is not None and item.value is not None}
        mean = ledger.get(f"{benchmark.name}.{mean_key}")
        if bars and mean is not None and mean.value is not None:
            by = f"{title}: {axis.partition(',')[0]} by corruption"
            svg = corruption_bars(bars, point(mean), title=by, note=note, mean_name=mean_name, axis=axis, groups=groups)
            alternative = f"{axis} of each corruption, {benchmark.title}"
            return [*figures, Figure(f"{file}-{metric}.svg", svg, alternative)]
    return figures
