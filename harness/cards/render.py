"""A whole model card from a ledger, by a Jinja template.

The template runs in Jinja's sandbox with undefined names as errors. Everything it prints comes from the ledger or
from the template itself; text that came from outside (names, reasons, paths) passes through `cell`, which leaves no way
to break out of a table or to smuggle in HTML.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import Any
from urllib.parse import quote

import jinja2

from harness.benchmarking.efficiency import PER_GMAC
from harness.cards import slices
from harness.cards.alignment import lines_of
from harness.cards.answers import Writer, sandbox
from harness.cards.arithmetic import impossible
from harness.cards.examination import EXAMINED, examinations
from harness.cards.figures import Figure, accuracy_figure, card_figures, corruption_cells, under_attack
from harness.cards.knowledge import knowledge_of
from harness.cards.markdown import capital, cell, code, enumerate_words
from harness.cards.metadata import card_metadata, dump_metadata
from harness.cards.narrative import ENOUGH, Narrative, device_of, short_title
from harness.cards.record import CardRecord, figure_digest, ledger_digest, line_digest
from harness.cards.references import References
from harness.data.catalog import CLEAN_CROPS, Benchmark, benchmarks
from harness.errors import ExitCode, HarnessError
from harness.evidence import Evidence, EvidenceClass, EvidenceKey, Ledger, display
from harness.files import shipped_folder, write_text
from harness.metrics.registry import title_of
from harness.models.registry import registered
from harness.robustness.options import NORMS
from harness.settings import FILTERS

_VARIANTS = {
    "open": "among all outputs",
    "open-descendants": "among all outputs, descendants count as right",
    "(noise|blur|weather|digital)": "{} corruptions",
    "extra": "the four extra corruptions",
    "no-jpeg": "without the JPEG step",
    "sampled": "from a sample of the passes",
    "with-decoding": "with JPEG decoding and preprocessing",
    "bf16": "in bfloat16",
    "fp16": "in float16",
    r"img-(\d+)": "input of {} pixels",
    r"crop-([\d.]+)": "cropped to {} of the resized image",
    f"({'|'.join(FILTERS)})": "resized by {}",
    r"restricted-(\d+)": "on the {} classes the model has",
    r"severity-(\d)": "all corruptions at severity {}",
    r"seed-(\d+)": "corruption seed {}",
    r"severities-([\d-]+)": "all corruptions at severities {}",
    r"cells-run-\w+": "over the cells that were run",
    "msp": "by the largest probability",
    "max-logit": "by the largest logit",
    "margin": "by how far the two largest probabilities are apart",
    "energy": "by the energy",
}
"""What a variant of an evidence key means, by an expression for it."""

SLICES_FILE = "figures/slices.csv"
"""Every group of every slicing. With the figures, because what lies there and is linked travels with a card."""


@dataclass(frozen=True)
class Row:
    """One line of a table of results or costs."""

    evidence: Evidence
    what: str
    """What was measured, in words."""


_COST_NAMES = {
    "compute.parameters": "Parameters",
    "compute.parameters:head": "Parameters of the classifier",
    "compute.parameters:by-stage": "Parameters by stage",
    "compute.macs": "Multiply-adds for one image",
    "compute.flops": "Floating-point operations for one image, two a multiply-add",
    "compute.activations": "Activations for one image",
    "compute.checkpoint-bytes": "Checkpoint size",
    "compute.execution": "Precision, memory layout and mode chosen here",
    "compute.execution-agreement": "Top-1 agreement with plain fp32 on the probe",
    "compute.execution-logit-difference": "Largest logit difference from plain fp32 on the probe",
    "compute.latency-p50": "Latency at batch 1, median",
    "compute.latency-p95": "Latency at batch 1, 95th percentile",
    "compute.latency-p99": "Latency at batch 1, 99th percentile",
    "compute.throughput": "Throughput",
    "compute.peak-memory": "Peak memory at batch 1",
    "energy.per-1000-images": "Energy for 1,000 images, without PUE",
    "energy.images-per-joule": "Images per joule",
    "energy.idle-power": "Power without work",
    "energy.this-run": "Energy of this run's forward passes",
    "energy.training": "Energy of training, with PUE",
    "carbon.per-1000-images": "Emissions for 1,000 images, with PUE",
    "carbon.this-run": "Emissions of this run's forward passes",
    "carbon.training": "Emissions of training, with PUE",
}
_SPEED = ("compute.latency-p50", "compute.throughput", "compute.peak-memory")
_IMPACT = ("energy.per-1000-images", "carbon.per-1000-images", "energy.training", "carbon.training")
_MORE = ("compute.latency-p95", "compute.latency-p99", "compute.parameters", "compute.macs", "compute.flops")
"""Costs that a card shows, the last ones folded away; the ledger has the others."""


@dataclass(frozen=True)
class Costs:
    """What is known of the model's cost and fit to be published, by the section of the card it belongs to."""

    speed: list[Row] = field(default_factory=list)
    impact: list[Row] = field(default_factory=list)
    more: list[Row] = field(default_factory=list)
    withheld: list[Row] = field(default_factory=list)
    """Timings from a machine that was not quiet."""

    @property
    def assumed(self) -> str:
        """What the emissions of running the model assume."""
        protocols = (row.evidence.protocol or {} for row in self.impact if row.evidence.name.metric != "training")
        found = next((p for p in protocols if "pue" in p and "grid" in p), None)
        if found is None:
            return ""
        pue, grid = found["pue"], found["grid"]
        return (
            f"a data-centre overhead (PUE) of {pue['value']:g} ({pue['low']:g} to {pue['high']:g}) and {grid['value']:.0f} g CO2e "
            f"per kWh ({grid['low']:.0f} to {grid['high']:.0f})"
        )

    @property
    def made(self) -> dict[str, list[str]]:
        """The commands that what is shown came from, and what went into the network."""
        shown = [row.evidence for row in (*self.speed, *self.impact, *self.more, *self.withheld)]
        inputs = [str(item.protocol["input"]) for item in shown if item.protocol and "input" in item.protocol]
        commands = [item.command for item in shown if item.command]
        return {"commands": list(dict.fromkeys(commands)), "inputs": list(dict.fromkeys(inputs))}

    @property
    def where(self) -> str:
        """The machine and the way that speed was measured in, or else energy; empty without either."""
        protocols = (row.evidence.protocol or {} for row in (*self.speed, *self.impact))
        protocol = next((found for found in protocols if "hardware" in found), None)
        if protocol is None:
            return ""
        parts = [
            device_of(protocol),
            protocol.get("precision"),
            str(protocol.get("layout", "")).replace("_", " "),
            "compiled" if protocol.get("compiled") else None,
            "random weights" if str(protocol.get("weights", "")).startswith("random") else None,
        ]
        return cell(", ".join(str(part) for part in parts if part))


def costs(ledger: Ledger, *more: Evidence | None) -> Costs:
    """The ledger's evidence, and more, on speed, energy, carbon and size that a card shows."""
    found = Costs()
    for item in (*ledger, *filter(None, more)):
        plain, row = str(item.name.plain), Row(item, cost_name(item.key))
        if not item.is_number or plain not in (*_SPEED, *_IMPACT, *_MORE):
            continue
        protocol = item.protocol or {}
        if "of the process" in str(protocol.get("what")):
            continue  # most of it is the interpreter's and the libraries', whatever the model
        if plain == "compute.throughput" and "batch" in protocol:
            row = Row(item, row.what.replace("Throughput", f"Throughput at batch {protocol['batch']}"))
        if item.withheld:
            found.withheld.append(row)
        elif plain in _IMPACT:
            found.impact.append(row)
        else:
            is_more = "with-decoding" in item.name.variants
            (found.speed if plain in _SPEED and not is_more else found.more).append(row)
    return found


def cost_name(key: str) -> str:
    """The cost that an evidence key is about, e.g. `compute.macs:1280x800` -> "Multiply-adds for one image, 1280x800"."""
    name = EvidenceKey.parse(key)
    plain = str(name.plain)
    is_part = name.benchmark == "architecture"
    words = name.metric.replace("-", " ").capitalize() if is_part else _COST_NAMES.get(plain, plain)
    return _COST_NAMES.get(key) or words + "".join(f", {_variant_words(variant)}" for variant in name.variants)


_ON_FEW = ("top1", "top5", "mean-error", "mce", "robust-accuracy")
"""Metrics that are shown of few images too."""
_IN_TABLES = (PER_GMAC, "robust-accuracy")
"""Metrics that stand in tables of their own, or nowhere."""


@dataclass(frozen=True)
class Section:
    """What is known on one benchmark."""

    benchmark: Benchmark
    rows: list[Row]
    pending: list[Evidence]
    cells: dict[str, dict[int, Evidence]]
    """Top-1 by corruption and severity, for a benchmark with corruptions that was run on enough images to tell them apart."""
    figures: list[Figure]
    attacks: list[tuple[str, Evidence, Evidence | None]]
    """Norm with size, accuracy under attack, and that of perturbed images in 8 bits."""

    @property
    def is_smoke(self) -> bool:
        """Whether it was run on so few images that it only shows that the model works."""
        return not self.benchmark.is_own and all((row.evidence.n or ENOUGH) < ENOUGH for row in self.rows)

    @property
    def severities(self) -> list[int]:
        """The severities that were run."""
        return sorted({severity for by_severity in self.cells.values() for severity in by_severity})


def metric_name(key: str) -> str:
    """The metric of an evidence key in words, e.g. `imagenet-a.top1:open` -> "Top-1 accuracy, among all outputs"."""
    name = EvidenceKey.parse(key)
    words, variants = title_of(name.metric, name.variants)
    if name.metric == PER_GMAC:
        words = "Top-1 accuracy for a billion multiply-adds"
    words += "".join(f", {_variant_words(variant)}" for variant in variants)
    return f"{words}, images of {name.slice} classes" if name.slice else words


def _variant_words(variant: str) -> str:
    for pattern, words in _VARIANTS.items():
        if match := re.fullmatch(pattern, variant):
            return words.format(*(group.replace("-", ", ") for group in match.groups()))
    return variant


def sections(ledger: Ledger) -> list[Section]:
    """The ledger's benchmarks in the catalog's order."""
    known, drawn = benchmarks(ledger), card_figures(ledger)
    present = {item.name.benchmark for item in ledger}
    found = []
    for name in filter(present.__contains__, known):
        items = [item for item in ledger if item.name.benchmark == name and not slices.is_slice(item.key)]
        cells: dict[str, dict[int, Evidence]] = {}
        for (corruption, severity), item in corruption_cells(ledger, name).items():
            cells.setdefault(corruption, {})[severity] = item
        in_grid = {item.key for by_severity in cells.values() for item in by_severity.values()}
        in_cells = max((item.n or 0 for by_severity in cells.values() for item in by_severity.values()), default=0)
        is_noise = bool(cells) and in_cells < ENOUGH and not known[name].is_own
        waiting = [item for item in items if item.class_ is EvidenceClass.PENDING]
        rows = []
        for item in items:
            if "sampled" in item.name.variants and item.name.condition is not None:
                continue  # by-products from a few images each: the ledger has them
            if item.name.metric in EXAMINED:
                continue  # they have a section of their own
            if (item.n or ENOUGH) < ENOUGH and not known[name].is_own and item.name.metric not in _ON_FEW:
                continue  # its interval says nothing
            if item.class_ is EvidenceClass.MEASURED and item.name.metric not in _IN_TABLES and item.key not in in_grid:
                condition = (item.name.condition or "").replace("_", " ")
                condition = "the same crops without corruption" if condition == CLEAN_CROPS else condition
                rows.append(Row(item, ", ".join(filter(None, [metric_name(item.key), condition]))))
        attacks = [
            (f"{NORMS[norm][0]}, {size:g}{NORMS[norm][1]}", item, ledger.measured(str(item.name.with_variant("8-bit"))))
            for norm, at in under_attack(ledger, name).items()
            for size, item in at.items()
        ]
        shown, figures = ({}, []) if is_noise else (cells, drawn.get(name, []))
        found.append(Section(known[name], rows, waiting, shown, figures, attacks))
    return found


def _methods(ledger: Ledger) -> list[dict[str, Any]]:
    """One line for each way in which numbers on benchmarks were made."""
    lines: dict[str, dict[str, Any]] = {}
    known = benchmarks(ledger)
    for item in ledger:
        name, protocol = item.name.benchmark, item.protocol
        if item.class_ is not EvidenceClass.MEASURED or protocol is None or name not in known:
            continue
        line = {
            "benchmark": name,
            "preprocessing": str(protocol.get("preprocessing", protocol.get("imported", "not stated"))),
            "precision": str(protocol.get("precision", "not stated")),
        }
        kept = lines.setdefault(str(line), line | {"n": display.show_count(item), "data": [], "commands": []})
        for known_as, found in (("data", (item.fingerprints.data or "")[:16]), ("commands", item.command)):
            kept[known_as] += [found] if found and found not in kept[known_as] else []
    return list(lines.values())


_TEMPLATE_FAULTS = (
    jinja2.TemplateError, TypeError, ValueError, AttributeError, LookupError, ArithmeticError, OSError,
    RecursionError, MemoryError,
)  # fmt: skip
"""What templates of somebody's own raise, those that include themselves among them."""


def _environment(path: Path | None) -> jinja2.Environment:
    """Where the shipped templates are found, and before them the user's own."""
    if path is not None and not path.is_file():
        raise HarnessError(
            f"There is no template {path}.", remedy="Give the path of a Jinja file.", exit_code=ExitCode.USAGE
        )
    folders = [path.resolve().parent] if path is not None else []
    environment = sandbox(*folders, shipped_folder("templates"))
    environment.filters |= {
        "cell": cell,
        "code": code,
        "count": display.show_count,
        "interval": display.show_interval,
        "number": display.show_number,
        "value": display.show_value,
        "short": display.show_short,
        "words": enumerate_words,
        "short_interval": display.show_short_interval,
        "capital": capital,
        "phrase": slices.phrase,
        "group": slices.group_of,
        "compared": slices.against_the_rest,
        "certain": slices.certain,
        "place": slices.where_title,
        "title_of": short_title,
    }
    return environment


@dataclass(frozen=True)
class RenderedCard:
    """A card with the figures it refers to."""

    text: str
    """With the record of how it was made at its end."""
    figures: tuple[Figure, ...]
    tables: Mapping[str, str] = field(default_factory=dict)
    """Further files of results by their path beside the card."""

    def save(self, path: Path) -> None:
        """Write the card at `path` and its figures beside it, the card last. Raises HarnessError on a full disk."""
        for figure in self.figures:
            write_text(path.parent / figure.file, figure.svg)
        for file, text in self.tables.items():
            write_text(path.parent / file, text)
        write_text(path, self.text)


def render_card(ledger: Ledger, template: Path | None = None, *, sidecar: str | None = "evidence.json") -> RenderedCard:
    """The model card of a ledger, as Markdown with YAML front matter.

    Args:
        template: a template of the user's own; the shipped ones can be included from it.
        sidecar: file name of the ledger beside the card, for the record that the card carries.

    Raises:
        HarnessError: the template is missing, has a syntax error, or uses a name that is not defined.
    """
    for fault in impossible(ledger):
        remedy = "Make the ledger again by repeating the run that wrote it."
        raise HarnessError(f"The ledger's {fault.item.key}: {fault.message}.", remedy=remedy)
    environment, given, ledger = _environment(template), ledger, ledger.without_markup()
    template_name = template.name if template is not None else "model_card.md.j2"
    model, name = ledger.model, str(ledger.model["name"])
    references, found, sliced = References(), sections(ledger), slices.slice_results(ledger)
    words = Narrative(Writer(knowledge_of(name, ledger), references=references), references)
    examined = examinations(ledger)
    drawn, by_slice = _accuracy_figure(ledger, words), slices.slice_figures(sliced, str(model["title"]))
    try:
        text = environment.get_template(template_name).render(
            model=model,
            spec=registered().get(name),
            environment=ledger.environment,
            sections=found,
            measured=[section for section in found if section.rows or section.cells],
            pending=[section for section in found if section.pending],
            methods=_methods(ledger),
            costs=costs(ledger, words.training_impact[0] if words.training_impact else None),
            figure=drawn,
            slices=sliced,
            examinations=examined,
            slice_figures=by_slice,
            slices_file=SLICES_FILE,
            evidence_file=f"[{cell(sidecar)}]({quote(sidecar)})" if sidecar else "the ledger",
            evidence={item.key: item for item in ledger},
            words=words,
            references=references,
            front_matter=dump_metadata(card_metadata(ledger, model=name)),
        )
    except _TEMPLATE_FAULTS as error:
        line = getattr(error, "lineno", None)
        where = f"{getattr(error, 'filename', None) or template_name}" + (f", line {line}" if line else "")
        raise HarnessError(f"The template {where}: {error}.", remedy="Mend the template.") from error
    by_section = [figure for section in found for figure in section.figures]
    table = slices.slices_csv(sliced)
    (text,) = references.settle(text)
    # One empty line where parts that render nothing leave several; code stays as it is.
    parts = re.split(r"(?ms)^(```.*?^```$)", text)
    tidy = "".join(part if part.startswith("```") else re.sub(r"\n{3,}", "\n\n", part) for part in parts)
    text = "\n\n".join(filter(None, [tidy.rstrip("\n"), references.notes(), _references(references)]))
    digests = "".join(line_digest(line.text) for line in lines_of(text))
    sheets = [found.sheet for found in examined if found.sheet is not None]
    figures = (*([drawn] if drawn else []), *by_section, *by_slice.values(), *sheets)
    drawings = {figure.file: figure_digest(figure.svg) for figure in figures} or None
    record = CardRecord("render", name, sidecar, ledger_digest(given), lines=digests, figures=drawings)
    return RenderedCard(f"{text}\n\n{record}\n", figures, {SLICES_FILE: table} if table else {})


def _references(references: References) -> str:
    listed = references.listed()
    summary = "Sources of the numbers in brackets, which are links to them"
    return f"## References\n\n<details>\n<summary>{summary}</summary>\n\n{listed}\n\n</details>" if listed else ""


def _accuracy_figure(ledger: Ledger, words: Narrative) -> Figure | None:
    """Accuracy by benchmark, measured and published ones apart, beside that of a relative as large and at the same resolution."""
    whole = [row for row in words.headline if not row.is_partial]
    rows = [(row.title, row.is_measured, row.point) for row in whole if row.point is not None]
    called = words.relative_name if words.relative else ledger.model["title"]
    named = {True: f"{called}, measured here", False: f"{called}, published"}
    own = {named[kind]: {name: at for name, is_measured, at in rows if is_measured is kind} for kind in named}
    every = {name: at for name, _, at in rows}
    models = dict(sorted(own.items(), key=lambda series: -len(series[1])))
    others = []
    for sibling, (alike, points) in (words.siblings.points if words.siblings is not None else {}).items():
        both = {name: at for name, at in points.items() if name in every}
        apart = mean([abs(at.value - every[name].value) for name, at in both.items()] or [0])
        others.append((alike, apart, sibling, both))
    for _, _, sibling, points in sorted(others, key=lambda other: other[:2])[-1:]:
        models[sibling] = points
    models = {model: points for model, points in models.items() if points}
    note = f"None is of {ledger.model['title']} itself. " if words.relative else ""
    note += "Bars are 95 % intervals; those of published values were computed for this card."
    return accuracy_figure(ledger, list(every), models, note)
