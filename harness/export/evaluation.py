"""What evaluating a model gives, read as tables, as a card and as files; and several models, one after the other."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from harness.benchmarking.carbon import grid_intensity
from harness.benchmarking.efficiency import accuracies_per_gmac
from harness.cards.render import RenderedCard, render_card
from harness.data.catalog import benchmarks, get_benchmark
from harness.errors import ExitCode, HarnessError, MissingInputError, UsageError
from harness.evaluation.estimate import CostEstimate
from harness.evaluation.plan import Plan
from harness.evaluation.reader import StoredModel
from harness.evaluation.run import run_suite
from harness.evaluation.suites import load_suite, suite_for
from harness.evidence import EvidenceClass, Ledger, show_count, show_interval, show_value
from harness.export.lm_eval import results_file
from harness.export.predictions import sample_predictions, score_file
from harness.export.timm import results_tables, speed_table, with_parameters
from harness.files import make_folder, write_text
from harness.models.loading import ModelState
from harness.models.modules import from_module, module_state
from harness.models.registry import resolve
from harness.models.specs import ModelSpec
from harness.parsing.json import parse_json
from harness.progress import Reporter
from harness.settings import Settings
from harness.store.ledgers import ledger_path, merge_into_store
from harness.store.predictions import PredictionStore
from harness.store.runs import record_run

if TYPE_CHECKING:
    import torch

    from harness.models.preprocessing import Preprocessing


class Card(str):
    """A card's Markdown, which a notebook shows as a page with its figures."""

    figures: Mapping[str, str]
    """SVG by its path beside the card."""

    @classmethod
    def of(cls, rendered: RenderedCard) -> Card:
        card = cls(rendered.text)
        card.figures = {figure.file: figure.svg for figure in rendered.figures}
        return card

    def _repr_markdown_(self) -> str:
        text = str(self)
        for file, svg in self.figures.items():
            text = text.replace(f"({file})", f"(data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})")
        return text


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation:
    """What a run of a suite on a model gave, or the scoring of predictions made elsewhere."""

    ledger: Ledger
    exit_code: ExitCode
    """What the command line would say to the shell: done, incomplete, failed."""
    settings: Settings
    plan: Plan | None = None
    """What was run; None for predictions made elsewhere."""
    failed: Mapping[str, HarnessError] = field(default_factory=dict)
    """Conditions that were tried and failed."""
    folder: Path | None = None
    """Where its files are, if it was saved."""

    @property
    def name(self) -> str:
        """The model's."""
        return str(self.ledger.model["name"])

    @property
    def stored(self) -> Path:
        """The ledger in the store with all the evidence of the model."""
        return ledger_path(self.settings.home, self.name)

    @property
    def missing(self) -> dict[str, str]:
        """Why evidence is pending, by its key."""
        return {item.key: item.reason or "" for item in self.ledger if item.class_ is EvidenceClass.PENDING}

    def metrics(self) -> pd.DataFrame:
        """The ledger as a table, one row a piece of evidence: key, value, low, high, n, N, unit, class.

        Accuracies are in percent; `low` and `high` bound the interval, which is of 95 % unless the ledger says otherwise. A
        value that is not known is missing (NaN), never 0; its class says why.
        """
        rows = [
            {
                "key": item.key,
                "value": item.value,
                "low": item.interval.low if item.interval else None,
                "high": item.interval.high if item.interval else None,
                "n": item.n,
                "N": item.N,
                "unit": item.unit,
                "class": item.class_.value,
            }
            for item in self.ledger
        ]
        frame = pd.DataFrame(rows, columns=["key", "value", "low", "high", "n", "N", "unit", "class"])
        return frame.astype({"low": "float64", "high": "float64", "n": "Int64", "N": "Int64"})

    def predictions(self, benchmark: str, condition: str | None = None) -> pd.DataFrame:
        """The predictions behind the numbers on a benchmark, one row a readable sample, sorted by sample id.

        Args:
            condition: such as "fog/3", for a benchmark that has them.

        Returns:
            sample_id; file_name, where the images are here; label and top1 … top5, class indices in the benchmark's label
            space (-1 beyond the number of classes); top1_logit … top5_logit, target_logit and logsumexp, where logits
            are known; correct, whether top1 is right.

        Raises:
            MissingInputError: nothing of this run is stored for it.
        """
        name = get_benchmark(benchmark, self.ledger).scored_from or benchmark
        where = name if condition is None else f"{name}/{condition}"
        here = StoredModel(self.name, self.ledger, self.settings.home).conditions
        stored = here.get(where)
        planned = next((c for c in self.plan.conditions if c.title == where), None) if self.plan else None
        quiet = Reporter(quiet=True)
        if stored is None or (self.plan is not None and (planned is None or planned.dataset is None)):
            raise MissingInputError(
                f"This evaluation has no predictions of {where}.",
                remedy=f"It has those of {', '.join(here)}." if here else None,
            )
        store = PredictionStore(self.settings.home, quiet.note)
        if planned is None:
            table, dataset = store.read(stored.key), None
        else:
            dataset = planned.dataset
            table = store.select(stored.key, planned.samples)
        if table is None:
            raise MissingInputError(
                f"The predictions of {where} are no longer in {self.settings.home}.",
                remedy=f"Make them again: {stored.evidence.command}",
            )
        return sample_predictions(table, stored.benchmark, dataset)

    def card(self) -> Card:
        """The model card of this evaluation, Markdown with YAML front matter."""
        return Card.of(render_card(self.ledger))

    def save(self, output: str | Path) -> Path:
        """Write all of it to a folder, as `harness run --output` does; returns the folder.

        Files: evidence.json, card.md with its figures, results.json in the form of lm-evaluation-harness, and the tables
        results*.csv and benchmark-infer.csv with timm's columns, where there is something to put into them.

        Raises:
            HarnessError: a full disk, or a place that can't be written to.
        """
        folder = make_folder(Path(output))
        self.ledger.save(folder / "evidence.json")
        results = json.dumps(results_file(self.in_plain_keys()), indent=2, ensure_ascii=False, allow_nan=False)
        write_text(folder / "results.json", results + "\n")
        for name, text in (results_tables([self.with_parameters()]) | speed_table([self.ledger])).items():
            write_text(folder / name, text)
        render_card(self.ledger).save(folder / "card.md")
        return folder

    def in_plain_keys(self) -> Ledger:
        """The ledger with the values of another precision or input under the keys of the default ones, which other tools read."""
        if self.plan is None or not (variant := self.plan.provenance.variant):
            return self.ledger
        end = re.compile(f"[:+]{re.escape(variant)}$")
        items = [item.model_copy(update={"key": end.sub("", item.key)}) for item in self.ledger]
        return self.ledger.model_copy(update={"evidence": items})

    def with_parameters(self) -> Ledger:
        """The ledger, with the number of parameters where another run of the model has counted them."""
        return with_parameters(self.ledger, Ledger.load(self.stored)) if self.stored.exists() else self.ledger

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "exit_code": int(self.exit_code),
            "evidence": str(self.folder / "evidence.json") if self.folder else None,
            "card": str(self.folder / "card.md") if self.folder else None,
            "store": str(self.stored),
            "failed": {name: error.message for name, error in self.failed.items()},
            "ledger": parse_json(self.ledger.to_json()),
        }

    def __repr__(self) -> str:
        return f"<Evaluation of {self.name}: {len(self.ledger.evidence) - len(self.missing)} values, {len(self.missing)} pending>"

    def _repr_html_(self) -> str:
        rows = [
            [item.key, show_value(item), show_interval(item), show_count(item), item.class_.value]
            for item in self.ledger
            if item.value is not None
        ]
        table = pd.DataFrame(rows, columns=["evidence", "value", "interval", "n", "class"]).to_html(index=False)
        waiting = "".join(f"<li>{html.escape(key)}: {html.escape(why)}</li>" for key, why in self.missing.items())
        title = html.escape(str(self.ledger.model["title"]))
        return f"<p><b>{title}</b></p>{table}" + (f"<p>Pending:</p><ul>{waiting}</ul>" if waiting else "")


def evaluate_model(
    model: str | Path | torch.nn.Module,
    suite: str | Path | None,
    settings: Settings,
    *,
    output: str | Path | None,
    confirm: Callable[[str], bool],
    preprocessing: Preprocessing | None = None,
    name: str | None = None,
) -> Evaluation:
    """`harness.evaluate`; the run's evidence is kept in the store."""
    if settings.region is not None:
        grid_intensity(settings.region)  # an unknown region is worth saying before the run, not after it
    chosen, loaded = _chosen(model, preprocessing, settings.labels, name), suite_for(suite, settings.data)
    spec = chosen.spec if isinstance(chosen, ModelState) else chosen
    if isinstance(chosen, ModelState) and settings.input_change.variant:
        raise UsageError(
            "A module of your own has the input that you give with it.", remedy="Say it in preprocessing=."
        )
    folder = None
    if output is not None:
        named = str(output).replace("{model}", spec.name).replace("{suite}", loaded.name)
        folder = make_folder(Path(named))
    try:
        result = run_suite(chosen, loaded, settings, Reporter(), confirm=confirm)
    except HarnessError:
        if folder is not None and not any(folder.iterdir()):
            folder.rmdir()
        raise
    done = Evaluation(result.ledger, result.exit_code, result.plan.settings, result.plan, result.failed, folder)
    try:
        merge_into_store(settings.home, result.ledger, accuracies_per_gmac)
        record_run(
            settings.home,
            suite=loaded.name,
            model=result.plan.model.spec.reference,
            model_name=done.name,
            limit=settings.limit,
            exit_code=int(result.exit_code),
            measured=sum(item.class_ is EvidenceClass.MEASURED for item in result.ledger),
            pending=sum(item.class_ is EvidenceClass.PENDING for item in result.ledger),
            output=str(folder.resolve()) if folder is not None else "",
        )
    except HarnessError as error:  # such as a store that may only be read: what was computed is not lost for that
        Reporter().note(f"This run's evidence is not kept in the store {settings.home}: {error}")
    if folder is not None:
        done.save(folder)
    return done


def _chosen(
    model: str | Path | torch.nn.Module,
    preprocessing: Preprocessing | None,
    labels: str | Sequence[str] | None,
    name: str | None,
) -> ModelSpec | ModelState:
    """What to run: a published model, or a module in memory.

    Raises:
        HarnessError: a name that is none, or what belongs to a module only is given for a model, or missing for one.
    """
    if not isinstance(model, str | Path):
        if preprocessing is None or labels is None:
            raise UsageError(
                "A module of your own says neither how images become its input nor what its outputs are.",
                remedy='Give preprocessing=harness.Preprocessing(…) and labels="imagenet-1k", or a list of the classes.',
            )
        return module_state(from_module(model, preprocessing, labels, name))
    if preprocessing is not None or name is not None:
        raise UsageError(
            "A preprocessing and a name are for a module of your own; a published model has them.",
            remedy="Leave them out.",
        )
    return resolve(str(model))


def score_predictions(
    path: Path,
    benchmark: str,
    name: str,
    column: str | None,
    settings: Settings,
    suite: str | Path | None,
    *,
    output: Path | None,
) -> Evaluation:
    """`harness.score`."""
    chosen = load_suite(suite) if suite is not None else None
    ledger = score_file(path, benchmark, name, column, settings, Reporter(), chosen)
    merge_into_store(settings.home, ledger, accuracies_per_gmac)
    waiting = any(item.class_ is EvidenceClass.PENDING for item in ledger)
    done = Evaluation(ledger, ExitCode.INCOMPLETE if waiting else ExitCode.DONE, settings, folder=output)
    if output is not None:
        done.save(output)
    return done


@dataclass(frozen=True)
class PlannedRun:
    """What a run would do, and what it would cost."""

    plan: Plan
    cost: CostEstimate

    @property
    def exit_code(self) -> ExitCode:
        runnable = self.plan.runnable
        if not runnable and not self.plan.suite.measurements:
            return ExitCode.MISSING
        return ExitCode.DONE if len(runnable) == len(self.plan.conditions) else ExitCode.INCOMPLETE

    def conditions(self) -> pd.DataFrame:
        """One row a condition: condition, images, stored, where, missing (why it can't run, if so)."""
        rows = [
            (c.title, c.images, c.stored, str(c.location or ""), str(c.missing or "")) for c in self.plan.conditions
        ]
        frame = pd.DataFrame(rows, columns=["condition", "images", "stored", "where", "missing"])
        return frame.astype({"images": "Int64", "stored": "Int64"})

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return self.plan.to_dict() | {"estimate": self.cost.to_dict()}

    def _repr_html_(self) -> str:
        time, disk = html.escape(self.cost.time_text), self.cost.disk_text
        return f"{self.conditions().to_html(index=False)}<p>Time: {time}. Disk: about {disk}.</p>"


# --- several models -----------------------------------------------------------------------------------------------

_WORST_FIRST = (
    ExitCode.USAGE,
    ExitCode.FAILED,
    ExitCode.CHECK_FAILED,
    ExitCode.MISSING,
    ExitCode.INCOMPLETE,
    ExitCode.DONE,
)


@dataclass(frozen=True, eq=False)
class Sweep:
    """One suite on several models."""

    models: tuple[str, ...]
    """Their names, in the order they were given."""
    evaluations: Mapping[str, Evaluation]
    failed: Mapping[str, HarnessError]
    """Models that could not be evaluated."""
    tables: tuple[Path, ...]
    """Files with the models' results side by side."""

    @property
    def codes(self) -> dict[str, ExitCode]:
        """How each model's run ended."""
        ended = {name: done.exit_code for name, done in self.evaluations.items()}
        ended |= {name: error.exit_code for name, error in self.failed.items()}
        return {name: ended[name] for name in self.models}

    @property
    def exit_code(self) -> ExitCode:
        """The worst of them."""
        return min(self.codes.values(), key=_WORST_FIRST.index)

    def scores(self) -> pd.DataFrame:
        """One row a model, as text: how its run ended, and its scores of whole benchmarks with their intervals."""
        ledgers = {name: done.in_plain_keys() for name, done in self.evaluations.items()}
        keys = [
            f"{benchmark}.{metric}"
            for benchmark in benchmarks(*ledgers.values())
            for metric in ("top1", "mce", "mean-error")
        ]
        found = [(name, item) for name, ledger in ledgers.items() for item in ledger if item.value is not None]
        keys = [key for key in keys if any(item.key == key for _, item in found)]
        rows = [
            [name, code.name.lower(), *(_score(ledgers.get(name), key) for key in keys)]
            for name, code in self.codes.items()
        ]
        return pd.DataFrame(rows, columns=["model", "run", *keys])

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        records = {name: {"model": name} | done.to_dict() for name, done in self.evaluations.items()}
        for name, error in self.failed.items():
            records[name] = {"model": name, "exit_code": int(error.exit_code), "error": error.message}
        return {
            "exit_code": int(self.exit_code),
            "models": [records[name] for name in self.models],
            "tables": [str(path) for path in self.tables],
        }

    def _repr_html_(self) -> str:
        return str(self.scores().to_html(index=False))


def _score(ledger: Ledger | None, key: str) -> str:
    item = ledger.get(key) if ledger is not None else None
    if item is None or item.value is None:
        return "—" if item is None else item.class_.value
    return f"{show_value(item)} ({show_interval(item)}, n = {show_count(item)})"


def sweep_models(
    models: Sequence[str],
    suite: str | None,
    evaluate: Callable[[str, str | None], Evaluation],
    *,
    output: Path | None,
    finished: Callable[[Evaluation], object] | None,
) -> Sweep:
    """`harness.sweep`, with `evaluate` as what runs a model on the suite."""
    specs = [resolve(model) for model in models]
    if suite is not None:
        load_suite(suite)
    names = [spec.name for spec in specs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"{twice} is given twice.", remedy="Give each --model once.")
    reporter = Reporter()
    evaluations: dict[str, Evaluation] = {}
    failed: dict[str, HarnessError] = {}
    for number, (model, spec) in enumerate(zip(models, specs, strict=True), start=1):
        reporter.note(f"── {spec.title} ({number} of {len(specs)})")
        try:
            evaluations[spec.name] = evaluate(model, suite)
        except HarnessError as error:
            failed[spec.name] = error
            reporter.note(f"{spec.name}: {error}")
        else:
            if finished is not None:
                finished(evaluations[spec.name])
    paths: list[Path] = []
    if output is not None:
        for name, text in results_tables([done.with_parameters() for done in evaluations.values()]).items():
            write_text(output / name, text)
            paths.append(output / name)
    return Sweep(tuple(names), evaluations, failed, tuple(paths))
