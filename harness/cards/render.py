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
from typing import Any

import jinja2

from harness.benchmarking.efficiency import PER_GMAC
from harness.cards import slices
from harness.cards.alignment import lines_of
from harness.cards.answers import Writer, sandbox
from harness.cards.figures import Figure, card_figures, corruption_cells, throughput_figure
from harness.cards.knowledge import knowledge_of
from harness.cards.markdown import cell, code
from harness.cards.metadata import card_metadata, dump_metadata
from harness.cards.narrative import Narrative, limitations
from harness.cards.record import CardRecord, figure_digest, ledger_digest, line_digest
from harness.cards.references import References
from harness.data.catalog import CLEAN_CROPS, Benchmark, benchmarks
from harness.errors import ExitCode, HarnessError
from harness.evidence import Evidence, EvidenceClass, EvidenceKey, Ledger, display
from harness.files import shipped_folder, write_text
from harness.metrics.registry import title_of
from harness.models.registry import registered

_VARIANTS = {
    "open": "among all outputs",
    "open-descendants": "among all outputs, descendants count as right",
    "(noise|blur|weather|digital)": "{} corruptions",
    "extra": "the four extra corruptions",
    "no-jpeg": "without the JPEG step",
    "with-decoding": "with JPEG decoding and preprocessing",
    "bf16": "in bfloat16",
    "fp16": "in float16",
    r"restricted-(\d+)": "on the {} classes the model has",
    r"severity-(\d)": "all corruptions at severity {}",
    r"seed-(\d+)": "corruption seed {}",
    r"severities-([\d-]+)": "all corruptions at severities {}",
    r"cells-run-\w+": "over the cells that were run",
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
    "compute.flops": "Floating-point operations for one image",
    "compute.activations": "Activations for one image",
    "compute.checkpoint-bytes": "Checkpoint size",
    "compute.execution": "Precision, memory layout and mode chosen here",
    "compute.execution-agreement": "Top-1 agreement with plain fp32 on the probe",
    "compute.execution-logit-difference": "Largest logit difference from plain fp32 on the probe",
    "compute.latency-p50": "Latency at batch 1, median",
    "compute.latency-p95": "Latency at batch 1, 95th percentile",
    "compute.latency-p99": "Latency at batch 1, 99th percentile",
    "compute.throughput": "Throughput at the best batch size",
    "compute.peak-memory": "Peak memory at batch 1",
    "energy.per-1000-images": "Energy for 1,000 images",
    "energy.images-per-joule": "Images per joule",
    "energy.idle-power": "Power without work",
    "energy.this-run": "Energy of this run's forward passes",
    "energy.training": "Energy of training",
    "carbon.per-1000-images": "Emissions for 1,000 images",
    "carbon.this-run": "Emissions of this run's forward passes",
    "carbon.training": "Emissions of training",
}
_SPEED = ("latency", "throughput", "peak-memory", "execution", "checkpoint-bytes")
"""Beginnings of the metrics of `compute` that depend on the machine or the file."""


@dataclass(frozen=True)
class Costs:
    """What is known of the model's cost, by the section of the card it belongs to."""

    architecture: list[Row] = field(default_factory=list)
    speed: list[Row] = field(default_factory=list)
    impact: list[Row] = field(default_factory=list)

    def __bool__(self) -> bool:
        return any(row.evidence.class_.has_value for row in (*self.architecture, *self.speed, *self.impact))

    @property
    def hardware(self) -> dict[str, Any] | None:
        """The machine that speed and energy were measured on, as the first such record has it."""
        protocols = (row.evidence.protocol or {} for row in (*self.speed, *self.impact))
        return next((protocol["hardware"] for protocol in protocols if "hardware" in protocol), None)

    @property
    def random_weights(self) -> bool:
        """Whether something was measured without the checkpoint."""
        every = (*self.architecture, *self.speed, *self.impact)
        return any(str((row.evidence.protocol or {}).get("weights", "")).startswith("random") for row in every)


def costs(ledger: Ledger) -> Costs:
    """The ledger's evidence on size, speed, energy and carbon."""
    found = Costs()
    for item in ledger:
        family, metric = item.name.benchmark, item.name.metric
        if metric == PER_GMAC:
            found.speed.append(Row(item, f"{metric_name(item.key)}, {family}"))
        elif family in ("energy", "carbon"):
            found.impact.append(Row(item, cost_name(item.key)))
        elif family in ("compute", "architecture"):
            is_speed = family == "compute" and metric.startswith(_SPEED)
            (found.speed if is_speed else found.architecture).append(Row(item, cost_name(item.key)))
    return found


def cost_name(key: str) -> str:
    """The cost that an evidence key is about, e.g. `compute.macs:1280x800` -> "Multiply-adds for one image, 1280x800"."""
    name = EvidenceKey.parse(key)
    plain = str(name.plain)
    is_part = name.benchmark == "architecture"
    words = name.metric.replace("-", " ").capitalize() if is_part else _COST_NAMES.get(plain, plain)
    return _COST_NAMES.get(key) or words + "".join(f", {_variant_words(variant)}" for variant in name.variants)


@dataclass(frozen=True)
class Section:
    """What is known on one benchmark."""

    benchmark: Benchmark
    rows: list[Row]
    pending: list[Evidence]
    cells: dict[str, dict[int, Evidence]]
    """Top-1 by corruption and severity, for a benchmark with corruptions."""
    figures: list[Figure]

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
    """The ledger's benchmarks in the order of their first evidence."""
    known, drawn = benchmarks(ledger), card_figures(ledger)
    names = dict.fromkeys(name for item in ledger if (name := item.name.benchmark) in known)
    found = []
    for name in names:
        items = [item for item in ledger if item.name.benchmark == name and not slices.is_slice(item.key)]
        cells: dict[str, dict[int, Evidence]] = {}
        for (corruption, severity), item in corruption_cells(ledger, name).items():
            cells.setdefault(corruption, {})[severity] = item
        in_grid = {item.key for by_severity in cells.values() for item in by_severity.values()}
        waiting = [item for item in items if item.class_ is EvidenceClass.PENDING]
        rows = []
        for item in items:
            if item.class_ is EvidenceClass.MEASURED and item.name.metric != PER_GMAC and item.key not in in_grid:
                condition = (item.name.condition or "").replace("_", " ")
                condition = "the same crops without corruption" if condition == CLEAN_CROPS else condition
                rows.append(Row(item, ", ".join(filter(None, [metric_name(item.key), condition]))))
        found.append(Section(known[name], rows, waiting, cells, drawn.get(name, [])))
    return found


def _methods(ledger: Ledger) -> list[dict[str, str]]:
    """One line for each way in which numbers on benchmarks were made."""
    lines: dict[str, dict[str, str]] = {}
    known = benchmarks(ledger)
    for item in ledger:
        name, protocol = item.name.benchmark, item.protocol
        if item.class_ is not EvidenceClass.MEASURED or protocol is None or name not in known:
            continue
        line = {
            "benchmark": name,
            "preprocessing": str(protocol.get("preprocessing", protocol.get("imported", "not stated"))),
            "precision": str(protocol.get("precision", "not stated")),
            "data": (item.fingerprints.data or "")[:16],
            "n": display.show_count(item),
            "command": item.command or "",
        }
        decided_by = (item.fingerprints.data, protocol.get("preprocessing"), protocol.get("precision"), item.command)
        lines.setdefault(str((name, *decided_by)), line)
    return list(lines.values())


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
        "show": display.show,
        "count": display.show_count,
        "interval": display.show_interval,
        "number": display.show_number,
        "value": display.show_value,
        "finding": slices.finding,
        "group": slices.group_of,
        "against": slices.against_the_rest,
        "shown": slices.shown_groups,
        "certain": slices.certain,
        "place": slices.where_title,
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
    environment = _environment(template)
    template_name = template.name if template is not None else "model_card.md.j2"
    found, drawn = sections(ledger), throughput_figure(ledger)
    model, name = ledger.model, str(ledger.model["name"])
    sliced = slices.slice_results(ledger)
    by_slice = slices.slice_figures(sliced, str(model["title"]))
    rows = [row.evidence for section in found for row in section.rows]
    references = References()
    try:
        text = environment.get_template(template_name).render(
            model=model,
            spec=registered().get(name),
            environment=ledger.environment,
            sections=found,
            measured=[section for section in found if section.rows or section.cells],
            pending=[section for section in found if section.pending],
            partial=any(item.is_partial for item in rows),
            smallest_n=min((item.n or 0 for item in rows), default=0),
            methods=_methods(ledger),
            costs=costs(ledger),
            throughput_figure=drawn,
            slices=sliced,
            slice_figures=by_slice,
            slices_file=SLICES_FILE,
            evidence={item.key: item for item in ledger},
            words=Narrative(Writer(knowledge_of(name, ledger), references=references)),
            limitations=limitations(ledger),
            front_matter=dump_metadata(card_metadata(ledger, model=name)),
        )
    except (jinja2.TemplateError, TypeError, ValueError, AttributeError, LookupError, ArithmeticError) as error:
        line = getattr(error, "lineno", None)
        where = f"{getattr(error, 'filename', None) or template_name}" + (f", line {line}" if line else "")
        raise HarnessError(f"The template {where}: {error}.", remedy="Mend the template.") from error
    by_section = [figure for section in found for figure in section.figures]
    table = slices.slices_csv(sliced)
    # One empty line where sections that render nothing leave several; code stays as it is.
    parts = re.split(r"(?ms)^(```.*?^```$)", text)
    tidy = "".join(part if part.startswith("```") else re.sub(r"\n{3,}", "\n\n", part) for part in parts)
    (tidy,) = references.settle(tidy)
    closing = filter(None, [references.notes(), references.listed()])
    tidy = "\n\n".join([tidy.rstrip("\n"), "## References", *closing])
    digests = "".join(line_digest(line.text) for line in lines_of(tidy))
    figures = (*([drawn] if drawn else []), *by_section, *by_slice.values())
    drawings = {figure.file: figure_digest(figure.svg) for figure in figures} or None
    record = CardRecord("render", name, sidecar, ledger_digest(ledger), lines=digests, figures=drawings)
    return RenderedCard(tidy.rstrip("\n") + f"\n\n{record}\n", figures, {SLICES_FILE: table} if table else {})
