"""Executing a plan: predictions, then evidence, then a ledger and a card, each step resumable.

A condition that can't run, or fails, becomes pending evidence with its reason; the others go on. Repeating the same
command does only what is not stored yet.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harness import __version__
from harness.data.copies import Copy
from harness.data.images import load_image
from harness.errors import ExitCode, HarnessError, MissingInputError
from harness.evidence import Evidence, EvidenceClass, Ledger, benchmark_of
from harness.files import write_text
from harness.labels.readouts import ReadoutSpec
from harness.models.loading import LoadedModel, ModelIdentity, load_model
from harness.models.preprocessing import Preprocessing
from harness.models.registry import FolderCheckpoint, ModelSpec
from harness.plan import (
    Condition,
    ModelState,
    Plan,
    condition_readouts,
    make_plan,
    open_condition,
    stored_under,
)
from harness.predictions import PredictionKey, PredictionStore, read_readout, readout_names
from harness.progress import Reporter
from harness.sanity import check_against_chance
from harness.scoring import Scored, pending, score
from harness.settings import Settings
from harness.suites import Suite

if TYPE_CHECKING:
    import pyarrow as pa

    from harness.inference.engine import Forward

MAX_UNREADABLE = 0.01
"""Share of unreadable images above which a condition fails."""

Confirm = Callable[[str], bool]
"""Asks a person a yes-or-no question."""


@dataclass(frozen=True)
class RunResult:
    """What a run gave."""

    ledger: Ledger
    plan: Plan
    failed: dict[str, HarnessError]
    """Conditions that were tried and failed."""

    @property
    def exit_code(self) -> ExitCode:
        if self.failed:
            return ExitCode.FAILED
        measured = any(item.class_ is EvidenceClass.MEASURED for item in self.ledger)
        if not measured:
            return ExitCode.MISSING
        waiting = any(item.class_ is EvidenceClass.PENDING for item in self.ledger)
        return ExitCode.INCOMPLETE if waiting else ExitCode.DONE


def run_suite(
    spec: ModelSpec, suite: Suite, settings: Settings, reporter: Reporter, *, confirm: Confirm = lambda question: False
) -> RunResult:
    """Run a suite on a model.

    Args:
        confirm: asked before data sets are downloaded, unless the settings say yes already.

    Raises:
        HarnessError: the model can't be used at all (damaged checkpoint, labels that can't be proven), or the sanity
            gate stopped the run.
    """
    settings = _offline_if_unreachable(settings, reporter)
    plan = make_plan(spec, suite, settings, reporter, fetch_weights=True, fetch_data=settings.yes)
    waiting = [c for c in plan.conditions if c.to_fetch and c.missing is None and c.images is None]
    if waiting and plan.model.runnable:
        names = sorted({c.benchmark.name for c in waiting})
        if confirm(f"Download {', '.join(names)} from the Hub?"):
            plan = make_plan(spec, suite, settings, reporter, fetch_weights=True, fetch_data=True)
    plan = _without_unfetched(plan)
    report_missing(plan, reporter)
    runner = _Runner(plan, settings, reporter)
    scored, failed = runner.all_conditions()
    evidence = score(scored, suite.metrics, plan.scored)
    evidence += _pending(plan, scored, failed, run_command(plan, settings))
    ledger = Ledger(
        model=describe_model(spec, runner.identity), environment=environment(), evidence=_in_suite_order(evidence, plan)
    )
    return RunResult(ledger, plan, failed)


_REACH_SECONDS = 5.0


def _offline_if_unreachable(settings: Settings, reporter: Reporter) -> Settings:
    """Ask once whether the Hub answers: its client would retry for half a minute on every file."""
    if settings.offline:
        return settings
    from huggingface_hub import constants

    try:
        urllib.request.urlopen(
            urllib.request.Request(constants.ENDPOINT, method="HEAD"), timeout=_REACH_SECONDS
        ).close()
    except urllib.error.HTTPError:
        return settings  # it answers; what it says of a file is that file's business
    except (OSError, ValueError) as error:
        reporter.note(f"{constants.ENDPOINT} can't be reached ({error}); going on with what is on this machine.")
        return replace(settings, offline=True)
    return settings


def _without_unfetched(plan: Plan) -> Plan:
    """Data that nobody agreed to download counts as missing."""

    def settle(condition: Condition) -> Condition:
        if not condition.to_fetch or condition.missing is not None or condition.images is not None:
            return condition
        why = MissingInputError(
            f"{condition.benchmark.name} is not on this machine; it can be downloaded from the Hub "
            f"({condition.location}).",
            remedy=f"Repeat the command with --yes to download it. {condition.benchmark.get}",
        )
        return replace(condition, missing=why)

    return replace(plan, conditions=tuple(settle(condition) for condition in plan.conditions))


def report_missing(plan: Plan, reporter: Reporter) -> None:
    """Say once what is missing and how to get it."""
    if plan.model.missing is not None:
        reporter.note(f"Missing: {plan.model.missing}")
    told: set[str] = set()
    for condition in plan.conditions:
        if condition.missing is not None and str(condition.missing) not in told:
            told.add(str(condition.missing))
            reporter.note(f"Missing: {condition.missing}")


class _Runner:
    """Runs the conditions of one plan, loading the model only if a prediction is missing."""

    def __init__(self, plan: Plan, settings: Settings, reporter: Reporter) -> None:
        self._plan = plan
        self._settings = settings
        self._reporter = reporter
        self._store = PredictionStore(settings.home, reporter.note)
        self._forward: Forward | None = None
        self._loaded: LoadedModel | None = None
        self.identity: ModelIdentity | None = plan.model.identity

    def all_conditions(self) -> tuple[dict[str, Scored], dict[str, HarnessError]]:
        scored: dict[str, Scored] = {}
        failed: dict[str, HarnessError] = {}
        for condition in self._plan.runnable:
            try:
                scored[condition.title] = self._condition(condition, self._known_identity())
            except _StopRunError as stop:
                raise stop.error from stop
            except HarnessError as error:
                failed[condition.title] = error
                self._reporter.note(f"Failed: {condition.title}: {error}")
        return scored, failed

    def _known_identity(self) -> ModelIdentity:
        if self.identity is None:
            try:
                self.identity = self._model().identity
            except HarnessError as error:
                raise _StopRunError(error) from error
        return self.identity

    def _model(self) -> LoadedModel:
        if self._loaded is None:
            state: ModelState = self._plan.model
            assert state.files is not None
            self._reporter.note(f"Loading {state.spec.title}")
            self._loaded = load_model(
                state.spec,
                state.files,
                label_space=self._settings.label_space,
                cache=self._settings.home / "identities",
            )
        return self._loaded

    def _placed(self) -> Forward:
        if self._forward is None:
            from harness.inference.placing import place

            loaded = self._model()
            self._forward = place(loaded, self._settings, self._reporter)
        return self._forward

    def _condition(self, condition: Condition, identity: ModelIdentity) -> Scored:
        copy = open_condition(condition, self._settings, self._reporter)
        samples = copy.samples.iloc[: self._settings.limit]
        specs = condition_readouts(condition, identity)
        key, stored = stored_under(self._store, identity, condition, specs, self._settings)
        names = zip(samples["sample_id"], samples["digest"], samples["label"], strict=True)
        todo = [position for position, name in enumerate(names) if name not in stored]
        gate = min(self._settings.shard_size, len(samples)) if condition.benchmark.clean else 0
        with self._reporter.progress(condition.title, len(samples), done=len(samples) - len(todo)) as advance:
            first = [position for position in todo if position < gate]
            self._predict(first, condition, copy, specs, key, identity, advance)
            if gate and self._settings.sanity_gate:
                self._gate(key, samples.iloc[:gate], specs[0], condition.title)
            self._predict(todo[len(first) :], condition, copy, specs, key, identity, advance)
        table = self._store.select(key, samples)
        if table is None:
            raise HarnessError(
                f"Some predictions of {condition.title} went missing while the run was reading them.",
                remedy="Repeat the command: it computes only what is missing.",
            )
        return self._scored(condition, copy, len(samples), table, specs, identity, key)

    def _predict(
        self,
        todo: list[int],
        condition: Condition,
        copy: Copy,
        specs: list[ReadoutSpec],
        key: PredictionKey,
        identity: ModelIdentity,
        advance: Callable[[int], None],
    ) -> None:
        if not todo:
            return
        from harness.inference.engine import Samples, default_workers, predict

        forward = self._placed()
        made_on = environment() | {"device": forward.placement.device, "layout": forward.placement.layout}
        predict(
            forward,
            specs,
            Samples(
                copy.samples["sample_id"].tolist(), copy.samples["digest"].tolist(), copy.samples["label"].to_numpy()
            ),
            todo,
            pixel_reader(copy, identity.preprocessing),
            write=lambda rows: self._store.write(key, rows, made_on),
            batch_size=self._settings.batch_size,
            shard_size=self._settings.shard_size,
            workers=self._settings.workers or default_workers(),
            keep_logits=self._settings.keep_logits,
            progress=advance,
        )

    def _gate(self, key: PredictionKey, samples: Any, spec: ReadoutSpec, what: str) -> None:
        table = self._store.select(key, samples)
        if table is None:
            return
        readable = np.array([error is None for error in table["error"].to_pylist()])
        readout = read_readout(table, spec.name).take(readable)
        try:
            check_against_chance(readout, int((spec.columns >= 0).sum()), what)
        except HarnessError as error:
            raise _StopRunError(error) from error

    def _scored(
        self,
        condition: Condition,
        copy: Copy,
        count: int,
        table: pa.Table,
        specs: list[ReadoutSpec],
        identity: ModelIdentity,
        key: PredictionKey,
    ) -> Scored:
        errors = table["error"].to_pylist()
        readable = np.array([error is None for error in errors])
        unreadable = int((~readable).sum())
        if unreadable:
            first = next((s, e) for s, e in zip(table["sample_id"].to_pylist(), errors, strict=True) if e is not None)
            message = (
                f"{condition.title}: {unreadable:,} of {count:,} images can't be read, first {first[0]}: {first[1]}"
            )
            if unreadable > MAX_UNREADABLE * count:
                raise HarnessError(
                    f"{message} That is more than {MAX_UNREADABLE:.0%}.",
                    remedy="Repair the copy of the data set, then repeat the command.",
                )
            self._reporter.note(f"{message} They are left out.")
        ids = np.array(table["sample_id"].to_pylist(), dtype=object)
        return Scored(
            benchmark=condition.benchmark,
            condition=condition.name,
            sample_ids=ids[readable].tolist(),
            readouts={name: read_readout(table, name).take(readable) for name in readout_names(table)},
            specs={spec.name: spec for spec in specs},
            outputs=identity.output_labels(),
            weights=identity.weights,
            data=copy.fingerprint(count),
            protocol=readable_protocol(identity, key, self._store.made_on(key), copy),
            command=run_command(self._plan, self._settings),
            unreadable=unreadable,
        )


class _StopRunError(Exception):
    """Carries an error that must end the whole run, not only one condition."""

    def __init__(self, error: HarnessError) -> None:
        super().__init__(error.message)
        self.error = error


def pixel_reader(copy: Copy, preprocessing: Preprocessing) -> Callable[[int], np.ndarray]:
    """Position -> uint8 (H, W, 3) model input; a file that is already cropped is not resized again."""
    transform = preprocessing.ready_pixels if copy.benchmark.input == "ready-224" else preprocessing.pixels
    return lambda position: transform(load_image(copy.read(position)))


def readable_protocol(
    identity: ModelIdentity, key: PredictionKey, made_on: dict[str, Any], copy: Copy
) -> dict[str, Any]:
    """What decides a number, in words a reader of the ledger understands."""
    ready = copy.benchmark.input == "ready-224"
    return {
        "preprocessing": "as published, no second resize" if ready else identity.preprocessing.describe(),
        "precision": key.protocol["precision"],
        "labels": identity.label_proof,
        "layout_of_copy": copy.layout,
        "predictions": key.digest[:16],
        "made_on": made_on,
    }


def environment() -> dict[str, Any]:
    """Versions of what decides a number, and the platform. Imports none of them."""
    names = ("torch", "torchvision", "timm", "transformers", "pillow", "numpy")
    versions = {name: importlib.metadata.version(name) for name in names}
    return {"harness": __version__, "python": platform.python_version(), "platform": platform.platform(), **versions}


def describe_model(spec: ModelSpec, identity: ModelIdentity | None) -> dict[str, Any]:
    """The ledger's entry on the model: what is known of it without measuring."""
    entry: dict[str, Any] = {
        "name": spec.name,
        "reference": public_reference(spec),
        "title": spec.title,
        "checkpoint": spec.checkpoint.model_dump(mode="json", exclude={"path"}),
    }
    if identity is None:
        return entry | {"weights": None}
    known = identity.model_dump(mode="json", exclude={"synsets", "name", "reference", "title"})
    return entry | known | {"preprocessing_text": identity.preprocessing.describe()}


def public_reference(spec: ModelSpec) -> str:
    """The model as named in commands that are published: a local folder without its path."""
    return f"FOLDER/{spec.name}" if isinstance(spec.checkpoint, FolderCheckpoint) else spec.reference


def run_command(plan: Plan, settings: Settings) -> str:
    """The command that makes this evidence (again). Local paths stay on this machine: `DIR` stands for them."""
    parts = [f"harness run --suite {plan.suite.name} --model {public_reference(plan.model.spec)}"]
    used = [name for name in settings.data if any(c.benchmark.name == name for c in plan.conditions)]
    parts += [f"--data {name}=DIR" for name in used]
    if settings.limit is not None:
        parts.append(f"--limit {settings.limit}")
    if settings.precision != "fp32":
        parts.append(f"--precision {settings.precision}")
    if settings.label_space is not None:
        parts.append(f"--label-space {settings.label_space}")
    return " ".join(parts)


def _pending(plan: Plan, scored: dict[str, Scored], failed: dict[str, HarnessError], command: str) -> list[Evidence]:
    waiting: list[Evidence] = []
    reasons: dict[str, str] = {}
    for condition in plan.conditions:
        if condition.title in scored:
            continue
        error = failed.get(condition.title) or condition.missing or plan.model.missing
        assert error is not None
        reasons[condition.benchmark.name] = error.message
        waiting += pending(condition.benchmark.name, condition.name, error.message, command)
    for benchmark in plan.scored:
        if benchmark.scored_from in reasons and not any(key.startswith(benchmark.scored_from) for key in scored):
            waiting += pending(benchmark.name, None, reasons[benchmark.scored_from], command)[:1]
    return waiting


def _in_suite_order(evidence: list[Evidence], plan: Plan) -> list[Evidence]:
    """The suite's benchmarks in its own order, what each metric group found below it in the order it was found."""
    order = {entry.name: index for index, entry in enumerate(plan.suite.benchmarks)}
    return sorted(evidence, key=lambda item: order.get(benchmark_of(item.key), len(order)))


# --- what a run leaves behind --------------------------------------------------------------------------------------


def stored_ledger_path(home: Path, model_name: str) -> Path:
    """Where the store keeps all the evidence of a model."""
    return home / "ledgers" / model_name / "evidence.json"


def merge_into_store(home: Path, ledger: Ledger) -> Path:
    """Add a run's evidence to the model's ledger in the store; safe for several processes at once.

    A ledger of other weights under the same name is kept beside, under its own weights.
    """
    from filelock import FileLock

    from harness.files import make_folder

    path = stored_ledger_path(home, str(ledger.model["name"]))
    make_folder(path.parent)
    with FileLock(path.with_suffix(".lock")):
        merged = ledger
        if path.exists():
            old = Ledger.load(path)
            before, now = old.model.get("weights"), ledger.model.get("weights")
            if before is not None and now is not None and before != now:
                old.save(path.with_name(f"evidence-{before[:16]}.json"))
            else:
                model = ledger.model if now is not None else old.model
                merged = Ledger(model=model, environment=ledger.environment, evidence=list(old.evidence))
                merged.add(ledger.evidence)
        merged.save(path)
    return path


def record_run(home: Path, result: RunResult, output: Path) -> Path:
    """Note in the store that this run happened, for `harness list runs`."""
    now = datetime.now(UTC)
    plan = result.plan
    record = {
        "finished": now.isoformat(timespec="seconds"),
        "suite": plan.suite.name,
        "model": plan.model.spec.reference,
        "limit": plan.settings.limit,
        "exit_code": int(result.exit_code),
        "measured": sum(item.class_ is EvidenceClass.MEASURED for item in result.ledger),
        "pending": sum(item.class_ is EvidenceClass.PENDING for item in result.ledger),
        "output": str(output.resolve()),
    }
    path = home / "runs" / f"{now.strftime('%Y%m%dT%H%M%S%f')}-{plan.suite.name}-{plan.model.spec.name}.json"
    write_text(path, json.dumps(record, indent=2) + "\n")
    return path
