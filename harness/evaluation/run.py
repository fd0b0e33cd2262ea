"""Executing a plan: predictions, then evidence, then a ledger, each step resumable.

A condition that can't run, or fails, becomes pending evidence with its reason; the others go on. Repeating the same
command does only what is not stored yet.
"""

from __future__ import annotations

import functools
import hashlib
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from harness.benchmarking.efficiency import accuracies_per_gmac
from harness.data.local import LocalDataset
from harness.errors import ExitCode, HarnessError, MissingInputError
from harness.evaluation.pending import pending_of
from harness.evaluation.plan import (
    Condition,
    Confirm,
    Plan,
    condition_projections,
    generated_cell,
    make_plan,
    sample_keys,
    stored_under,
)
from harness.evaluation.provenance import RunProvenance, describe_model, environment, protocol_in_words
from harness.evaluation.sanity import check_against_chance
from harness.evaluation.scoring import Scored, score
from harness.evaluation.slice_requests import request_of
from harness.evaluation.subgroups import check_join, slices_of_run
from harness.evaluation.suites import Suite
from harness.evidence import CODE, Evidence, EvidenceClass, Fingerprints, Ledger
from harness.facts import LINEAGE_KEY
from harness.labels.projections import LabelSpaceProjection
from harness.models.loading import LoadedModel, ModelIdentity, ModelState, find_model, load
from harness.models.specs import ModelSpec
from harness.progress import Reporter
from harness.runtime.decoding import GeneratedCell, Pixels, default_workers, direct, generated
from harness.runtime.rows import ShardRows
from harness.settings import AUTO, Settings
from harness.store.ledgers import ledger_path
from harness.store.predictions import PredictionKey, PredictionStore, label_space_names, read_label_space

if TYPE_CHECKING:
    import torch

    from harness.benchmarking.energy_tracking import RunEnergy
    from harness.runtime.choosing import Choice
    from harness.runtime.engine import Samples
    from harness.runtime.execution import ExecutionConfig
    from harness.runtime.network import Network

MAX_UNREADABLE = 0.01
"""Share of unreadable images above which a condition fails."""

Load = Callable[[], LoadedModel]


@dataclass(frozen=True)
class RunResult:
    """What a run gave."""

    ledger: Ledger
    plan: Plan
    failed: dict[str, HarnessError]
    """Conditions that were tried and failed."""

    @property
    def exit_code(self) -> ExitCode:
        unusable = [c.missing for c in self.plan.conditions if c.missing is not None]
        if any(not isinstance(error, MissingInputError) for error in (*self.failed.values(), *unusable)):
            return ExitCode.FAILED
        if not any(item.class_.has_value for item in self.ledger):
            return ExitCode.MISSING
        # What no meter here can tell was not asked for, so it leaves nothing undone.
        asked = (item for item in self.ledger if item.name.metric != "this-run")
        waiting = any(item.class_ is EvidenceClass.PENDING for item in asked)
        return ExitCode.INCOMPLETE if waiting else ExitCode.DONE


def run_suite(
    model: ModelSpec | ModelState,
    suite: Suite,
    settings: Settings,
    reporter: Reporter,
    *,
    confirm: Confirm = lambda question: False,
) -> RunResult:
    """Run a suite on a model.

    Args:
        model: where to find it, or what is here of it already, such as a module in memory.
        confirm: asked before data sets are downloaded, unless the settings say yes already.

    Raises:
        HarnessError: the model can't be used at all (damaged checkpoint, labels that can't be proven), or the sanity
            gate stopped the run.
    """
    request = request_of(suite, settings.slices, settings.by)
    settings = _offline_if_unreachable(settings, reporter)
    state = find_model(model, settings, fetch=True) if isinstance(model, ModelSpec) else model
    plan = make_plan(state, suite, settings, reporter, fetch=lambda question: settings.yes or confirm(question))
    report_missing(plan, reporter)
    check_join(plan, request)
    load_once = functools.cache(functools.partial(_load, state, settings, reporter))
    identity = state.identity
    if identity is None and state.runnable and (plan.runnable or suite.measurements):
        identity = load_once().identity
    scored: dict[str, Scored] = {}
    failed: dict[str, HarnessError] = {}
    choice_evidence: list[Evidence] = []
    run: _Run | None = None
    if identity is not None and plan.runnable:
        config, choice = _execution(plan, identity, load_once, reporter)
        if choice is not None:
            choice_evidence = _choice_evidence(choice, _provenance(plan), identity)  # by the command that asked
            settings = replace(
                settings, precision=config.precision, layout=config.memory_format, compiled=config.compiled
            )
            plan = replace(plan, settings=settings)
        run = _Run(plan, identity, config, _provenance(plan), PredictionStore(settings.home, reporter.note), reporter)
    provenance = _provenance(plan)
    jobs = [_job(run, condition) for condition in plan.runnable] if run is not None else []
    needs_network = any(len(job.todo) for job in jobs)
    energy = _open_energy(plan, provenance, identity, at_work=needs_network or bool(suite.measurements))
    if run is not None:
        network = _network(load_once(), run.config) if needs_network else None
        scored, failed = _predict_and_read(run, jobs, network, energy)
    evidence = score(scored, suite.metrics, plan.scored)
    have = {item.key for item in evidence}
    evidence += [item for item in pending_of(plan, provenance, scored, failed) if item.key not in have]
    evidence += slices_of_run(plan, request, scored, evidence, reporter)
    if suite.measurements:
        from harness.benchmarking.measure import measure

        lineage = decided_lineage(settings.home, state.spec.name)
        measured = measure(
            suite.measurements,
            state,
            settings,
            reporter,
            provenance.command(),
            load=load_once,
            run=energy,
            lineage=lineage,
        )
        have = {item.key for item in choice_evidence}
        evidence += [item for item in measured if item.key not in have]
    evidence += choice_evidence
    if energy is not None:
        have = {item.key for item in evidence}
        ran_as = run.config if run is not None and needs_network else None
        stored_before = sum(len(job.samples) - len(job.todo) for job in jobs)
        evidence += _energy_evidence(energy, plan, provenance, identity, ran_as, stored_before, have)
    ledger = Ledger(
        model=describe_model(state.spec, identity), environment=environment(), evidence=_in_suite_order(evidence, plan)
    )
    ledger.add(accuracies_per_gmac(ledger))
    return RunResult(ledger, plan, failed)


# --- before anything runs ------------------------------------------------------------------------------------------

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


def _load(state: ModelState, settings: Settings, reporter: Reporter) -> LoadedModel:
    reporter.note(f"Loading {state.spec.title}")
    return load(state, settings)


def _provenance(plan: Plan) -> RunProvenance:
    used = [condition.images_benchmark.name for condition in plan.conditions]
    return RunProvenance.of(plan.model.spec, plan.suite, plan.settings, used)


def report_missing(plan: Plan, reporter: Reporter) -> None:
    """Say once what is missing and how to get it."""
    if plan.model.missing is not None:
        reporter.note(f"Missing: {plan.model.missing}")
    kinds = {
        str(c.missing): "Missing" if isinstance(c.missing, MissingInputError) else "Not usable"
        for c in plan.conditions
        if c.missing is not None
    }
    for message, kind in kinds.items():
        reporter.note(f"{kind}: {message}")


# --- how the network runs ------------------------------------------------------------------------------------------

_MANY = 10_000
"""A run of so many images may have another best way to run than a short one, since compiling takes a minute."""


def _execution(
    plan: Plan, identity: ModelIdentity, load_once: Load, reporter: Reporter
) -> tuple[ExecutionConfig, Choice | None]:
    """How the network will run; with `auto`, what was chosen by trying it, now or at an earlier start."""
    from harness.runtime.execution import fixed_config

    settings = plan.settings
    if AUTO not in (settings.precision, settings.layout):
        return fixed_config(settings, convolutional=identity.convolutional), None

    import torch

    from harness.runtime.choosing import candidates, choose
    from harness.runtime.hardware import describe
    from harness.runtime.network import to_device
    from harness.store.choices import remember_choice, remembered_choice

    loaded = load_once()
    allowed = candidates(settings, convolutional=identity.convolutional)
    device = torch.device(allowed[0].device)
    images_ahead = sum(condition.images or 0 for condition in plan.runnable)
    asked = [identity.weights, settings.precision, settings.layout, images_ahead >= _MANY, describe(device)]
    choice = remembered_choice(settings.home, asked)
    if choice is None:
        reporter.note("Timing ways to run the network, and comparing their answers")
        pixels, description = _probe(plan, identity, reporter)
        choice = choose(
            loaded.module.to(device),
            identity.preprocessing.normalise(to_device(pixels, device)),
            allowed,
            description=description,
            limit_s=settings.measure_seconds,
            images_ahead=images_ahead,
        )
        if choice.skipped is None:
            remember_choice(settings.home, asked, choice)
    reporter.note(f"Chosen: {choice.config.label}{f' ({choice.skipped})' if choice.skipped else ''}")
    return choice.config, choice


def _probe(plan: Plan, identity: ModelIdentity, reporter: Reporter) -> tuple[torch.Tensor, str]:
    """The first images of the run, or sample images where none of them can be read; and what they are."""
    from harness.runtime.batches import batches
    from harness.runtime.choosing import AGREEMENT_IMAGES
    from harness.runtime.sample_images import sample_images

    workers = plan.settings.workers or default_workers()
    condition = plan.runnable[0]
    assert condition.dataset is not None
    pixels = _pixels_of([condition], identity, plan.settings)(condition)
    (batch,) = batches([range(min(AGREEMENT_IMAGES, len(condition.samples)))], pixels, workers=workers)
    if batch.readable.any():
        return batch.pixels, f"the first {len(batch.pixels)} images of {condition.title}"
    images = sample_images(plan.settings.home / "data")
    (batch,) = batches([range(len(images.encoded))], images.decoded(identity.preprocessing), workers=workers)
    return batch.pixels, images.description


def _choice_evidence(choice: Choice, provenance: RunProvenance, identity: ModelIdentity) -> list[Evidence]:
    import torch

    from harness.benchmarking.results import Provenance, execution_evidence
    from harness.runtime.hardware import describe

    fingerprints = Fingerprints(weights=identity.weights, code=CODE)
    hardware = describe(torch.device(choice.config.device))
    return execution_evidence(choice, Provenance(provenance.command(), fingerprints, hardware, choice.config))


# --- predictions ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Run:
    """What all conditions of a run share."""

    plan: Plan
    identity: ModelIdentity
    config: ExecutionConfig
    provenance: RunProvenance
    store: PredictionStore
    reporter: Reporter


@dataclass(frozen=True)
class _Job:
    """One condition at work."""

    condition: Condition
    dataset: LocalDataset
    samples: pd.DataFrame
    projections: list[LabelSpaceProjection]
    key: PredictionKey
    todo: np.ndarray
    """int (n,): positions without a stored prediction, ascending."""

    @property
    def title(self) -> str:
        return self.condition.title


def _job(run: _Run, condition: Condition) -> _Job:
    assert condition.dataset is not None
    samples, projections = condition.samples, condition_projections(condition, run.identity)
    key, stored = stored_under(run.store, run.identity, condition, projections, run.config, run.plan.settings)
    todo = np.flatnonzero([name not in stored for name in sample_keys(samples)])
    return _Job(condition, condition.dataset, samples, projections, key, todo)


def _network(loaded: LoadedModel, config: ExecutionConfig) -> Network:
    from harness.runtime.network import Network

    return Network.of(loaded, config)


def _predict_and_read(
    run: _Run, jobs: Sequence[_Job], network: Network | None, energy: RunEnergy | None
) -> tuple[dict[str, Scored], dict[str, HarnessError]]:
    """Compute what is missing, then read the predictions of every condition; what fails leaves the others to go on."""
    scored: dict[str, Scored] = {}
    failed: dict[str, HarnessError] = {}
    for _, members in groupby(jobs, key=lambda job: job.condition.benchmark.name):
        group = list(members)
        # Cells that are generated from the same images take turns on each range of them, so that images decode once.
        for batch in [group] if group[0].condition.benchmark.generated_from else [[job] for job in group]:
            failed |= _predict_group(run, batch, network, energy)
            data = batch[0].dataset.fingerprint(len(batch[0].samples))
            for job in batch:
                try:
                    if job.title not in failed:
                        scored[job.title] = _read(run, job, data)
                except HarnessError as error:
                    failed[job.title] = error
    for title, why in failed.items():
        run.reporter.note(f"{'Missing' if isinstance(why, MissingInputError) else 'Failed'}: {title}: {why}")
    return scored, failed


def _predict_group(
    run: _Run, jobs: Sequence[_Job], network: Network | None, energy: RunEnergy | None
) -> dict[str, HarnessError]:
    """Predict conditions that read the same images, range by range.

    Raises:
        HarnessError: the sanity gate; it ends the whole run.
    """
    settings, first = run.plan.settings, jobs[0]
    failed: dict[str, HarnessError] = {}
    count, step = len(first.samples), settings.whole_shard
    ranges = [(0, step), (step, count)] if len(jobs) == 1 else [(at, at + step) for at in range(0, count, step)]
    title = first.title if len(jobs) == 1 else f"{first.condition.benchmark.name} × {len(jobs)}"
    pixels_of = _pixels_of([job.condition for job in jobs], run.identity, settings)
    stored = sum(count - len(job.todo) for job in jobs)
    with ExitStack() as stack:
        advance = stack.enter_context(run.reporter.progress(title, count * len(jobs), done=stored))
        if energy is not None:
            stack.callback(energy.end)  # whatever ends the forward passes that begin in here, the meters are read
        samples = _samples(first.dataset) if network is not None else None
        for start, stop in ranges:
            for job in jobs:
                if job.title in failed:
                    continue
                todo = job.todo[np.searchsorted(job.todo, start) : np.searchsorted(job.todo, stop)].tolist()
                try:
                    if todo and network is not None and samples is not None and energy is not None:
                        _predict(run, job, todo, network, samples, pixels_of(job.condition), energy, advance)
                except HarnessError as error:
                    failed[job.title] = error
                if start == 0 and job.condition.benchmark.clean and settings.sanity_gate:
                    _gate(run, job, step)
    return failed


def _samples(dataset: LocalDataset) -> Samples:
    """The samples as the engine reads them."""
    from harness.runtime.engine import Samples

    frame = dataset.samples
    return Samples(frame["sample_id"].tolist(), frame["digest"].tolist(), frame["label"].to_numpy())


def _pixels_of(
    conditions: Sequence[Condition], identity: ModelIdentity, settings: Settings
) -> Callable[[Condition], Pixels]:
    """Gives each condition's pixels; those that are generated from the same images share the decoded crops."""
    dataset = conditions[0].dataset
    assert dataset is not None
    crops: Callable[[GeneratedCell], Pixels] = generated(dataset, identity.preprocessing)

    def pixels(condition: Condition) -> Pixels:
        cell = generated_cell(condition, settings)
        return direct(dataset, identity.preprocessing) if cell is None else crops(cell)

    return pixels


def _predict(
    run: _Run,
    job: _Job,
    todo: list[int],
    network: Network,
    samples: Samples,
    pixels: Pixels,
    energy: RunEnergy,
    advance: Callable[[int], None],
) -> None:
    """Predict the samples at `todo` and store them."""
    from harness.runtime.engine import predict

    settings = run.plan.settings
    made_on = environment() | run.config.protocol()

    def write(rows: ShardRows) -> None:
        run.store.write(job.key, rows, made_on)
        energy.stored(sum(error is None for error in rows.error))

    def finished(images: int) -> None:
        energy.tick()
        advance(images)

    energy.begin()
    predict(
        network,
        job.projections,
        samples,
        todo,
        pixels,
        write=write,
        shard_size=settings.whole_shard,
        keep_logits=settings.keep_logits,
        progress=finished,
    )


def _gate(run: _Run, job: _Job, first: int) -> None:
    """Stop the run where the first predictions are no better than chance."""
    table = run.store.select(job.key, job.samples.iloc[:first])
    if table is None:
        return
    projection = job.projections[0]
    readable = np.array([error is None for error in table["error"].to_pylist()])
    predictions = read_label_space(table, projection.name).take(readable)
    check_against_chance(predictions, int((projection.columns >= 0).sum()), job.title)


def _read(run: _Run, job: _Job, data: str) -> Scored:
    """A condition's stored predictions, ready for scoring.

    Raises:
        HarnessError: some went missing meanwhile, or too many images can't be read.
    """
    condition, count = job.condition, len(job.samples)
    table = run.store.select(job.key, job.samples)
    if table is None:
        raise HarnessError(
            f"Some predictions of {job.title} went missing while the run was reading them.",
            remedy="Repeat the command: it computes only what is missing.",
        )
    errors = table["error"].to_pylist()
    readable = np.array([error is None for error in errors])
    ids = np.array(table["sample_id"].to_pylist(), dtype=object)
    unreadable = int((~readable).sum())
    if unreadable:
        first = int(np.argmin(readable))
        message = f"{job.title}: {unreadable:,} of {count:,} images can't be read, first {ids[first]}: {errors[first]}"
        if unreadable > MAX_UNREADABLE * count:
            raise HarnessError(
                f"{message} That is more than {MAX_UNREADABLE:.0%}.",
                remedy="Repair the copy of the data set, then repeat the command.",
            )
        run.reporter.note(f"{message} They are left out.")
    return Scored(
        benchmark=condition.benchmark,
        condition=condition.name,
        sample_ids=ids[readable].tolist(),
        predictions={name: read_label_space(table, name).take(readable) for name in label_space_names(table)},
        projections={projection.name: projection for projection in job.projections},
        outputs=run.identity.output_labels(),
        weights=run.identity.weights,
        data=data,
        protocol=protocol_in_words(run.identity, job.key, run.store.made_on(job.key), job.dataset),
        command=run.provenance.command(),
        unreadable=unreadable,
        variant="+".join(filter(None, (run.provenance.variant, _cell_variant(job.key)))),
        table=job.dataset.table,
    )


def _cell_variant(key: PredictionKey) -> str:
    """Generated images without the JPEG step, or with another seed, are another protocol."""
    cell = key.protocol.get("generated")
    if cell is None:
        return ""
    without = ["no-jpeg"] if cell["jpeg_quality"] is None else []
    return "+".join([*without, *([f"seed-{cell['seed']}"] if cell["seed"] else [])])


# --- energy --------------------------------------------------------------------------------------------------------


def _open_energy(
    plan: Plan, provenance: RunProvenance, identity: ModelIdentity | None, *, at_work: bool
) -> RunEnergy | None:
    """The meters of this very command with these weights; None where there is no work, now or at an earlier start."""
    what = [
        provenance.command(),
        plan.suite.model_dump(mode="json"),
        sorted(plan.settings.data.items()),
        identity.weights if identity is not None else None,
    ]
    digest = hashlib.sha256(json.dumps(what).encode()).hexdigest()[:16]
    path = plan.settings.home / "energy" / f"{plan.suite.name}-{plan.model.spec.name}-{digest}.json"
    if not at_work and not path.is_file():
        return None
    import torch

    from harness.benchmarking.energy_tracking import RunEnergy
    from harness.runtime.execution import resolve_device
    from harness.store.energy_journal import EnergyJournal

    return RunEnergy(EnergyJournal(path), torch.device(resolve_device(plan.settings.device)))


def _energy_evidence(
    energy: RunEnergy,
    plan: Plan,
    provenance: RunProvenance,
    identity: ModelIdentity | None,
    config: ExecutionConfig | None,
    stored_before: int,
    have: set[str],
) -> list[Evidence]:
    """What the forward passes of this run consumed; nothing where there were none.

    Args:
        have: keys that the ledger has already.
    """
    from harness.benchmarking.results import Provenance
    from harness.runtime.hardware import describe

    weights = identity.weights if identity is not None else None
    made_by = Provenance(
        provenance.command(), Fingerprints(weights=weights, code=CODE), describe(energy.device), config
    )
    predicting = (
        "decoding, corruptions where they are generated, preprocessing, forward passes and storing the predictions"
    )
    work = [predicting] if plan.runnable else []
    work += ["all timed calls of the measurements and their warm-up"] if plan.suite.measurements else []
    found = energy.evidence(
        made_by,
        plan.settings.region,
        includes="; ".join(work),
        stored_before=stored_before,
        idle="energy.idle-power" not in have,
    )
    energy.close()
    return found


# --- the ledger ----------------------------------------------------------------------------------------------------


def _in_suite_order(evidence: list[Evidence], plan: Plan) -> list[Evidence]:
    """The suite's benchmarks in its own order, what each metric group found below it in the order it was found."""
    order = {entry.name: index for index, entry in enumerate(plan.suite.benchmarks)}
    return sorted(evidence, key=lambda item: order.get(item.name.benchmark, len(order)))


def decided_lineage(home: Path, model_name: str) -> str | None:
    """The checkpoint that `harness identify` found a model's weights to be; None where that was not decided."""
    path = ledger_path(home, model_name)
    found = Ledger.load(path).get(LINEAGE_KEY) if path.exists() else None
    decided = found is not None and found.class_ in (EvidenceClass.MEASURED, EvidenceClass.DERIVED)
    return str(found.value) if found is not None and decided else None
