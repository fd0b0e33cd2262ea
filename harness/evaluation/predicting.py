"""The part of a run that needs the network: how it runs, the predictions that are not stored yet, and what they consumed."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from heapq import merge
from itertools import groupby

import numpy as np
import pyarrow as pa
import torch

from harness.benchmarking.energy import EnergyUse, meters_of_worker
from harness.benchmarking.energy_tracking import RunEnergy
from harness.benchmarking.results import Provenance, execution_evidence
from harness.errors import HarnessError, MissingInputError, UsageError
from harness.evaluation.plan import Condition, Plan, condition_projections, generated_cell, sample_keys, stored_under
from harness.evaluation.provenance import environment, protocol_in_words
from harness.evaluation.sanity import check_against_chance, check_for_exchange
from harness.evaluation.scoring import Scored
from harness.evidence import CODE, Evidence, Fingerprints
from harness.labels.projections import CLOSED, LabelSpaceProjection
from harness.labels.spaces import class_name
from harness.models.loading import LoadedModel, ModelIdentity
from harness.progress import Reporter
from harness.runtime.batches import decoding
from harness.runtime.choosing import AGREEMENT_IMAGES, Choice, candidates, choose
from harness.runtime.decoders import decode_batch
from harness.runtime.decoding import Images
from harness.runtime.engine import Job, Samples, Shard, predict, shards_of
from harness.runtime.execution import ExecutionConfig, fixed_config, resolve_device
from harness.runtime.executors import Executor, LocalProcesses, Pool, Scheduler
from harness.runtime.hardware import describe
from harness.runtime.network import Network, to_device
from harness.runtime.sample_images import sample_images
from harness.runtime.workers import Setup
from harness.settings import AUTO
from harness.store.choices import remember_choice, remembered_choice
from harness.store.predictions import PredictionKey, PredictionStore, ShardWriter, label_space_names, read_label_space

MAX_UNREADABLE = 0.01
"""Share of unreadable images above which a condition fails."""
_MANY = 10_000
"""A run of so many images may have another best way to run than a short one, since compiling takes a minute."""

Load = Callable[[], LoadedModel]


@dataclass(frozen=True)
class Predicted:
    """What the forward passes of a run gave."""

    plan: Plan
    """As it ran: with the precision and the layout that `auto` came to."""
    scored: dict[str, Scored]
    failed: dict[str, HarnessError]
    """By condition, as `scored`."""
    choice: list[Evidence]
    """How the network ran, where that was chosen."""
    energy: RunEnergy | None
    """None where there was no work, now or at an earlier start."""
    made_by: Provenance
    stored_before: int
    """Images that needed no forward pass at this start."""

    def energy_evidence(self, *, idle: bool) -> list[Evidence]:
        """What the forward passes consumed; nothing where there were none. Closes the journal.

        Args:
            idle: whether the power of the idle machine is wanted too.
        """
        if self.energy is None:
            return []
        work = []
        if self.plan.runnable:
            work.append(
                "decoding, corruptions where they are generated, preprocessing, forward passes and storing the predictions"
            )
        if self.plan.suite.measurements:
            work.append("all timed calls of the measurements and their warm-up")
        region, includes = self.plan.settings.region, "; ".join(work)
        made_by = replace(self.made_by, hardware=describe(self.energy.device))
        found = self.energy.evidence(made_by, region, includes=includes, stored_before=self.stored_before, idle=idle)
        self.energy.close()
        return found


@dataclass(frozen=True)
class _Run:
    """What all conditions of a run share."""

    plan: Plan
    identity: ModelIdentity
    config: ExecutionConfig
    store: PredictionStore
    reporter: Reporter
    load_once: Load
    energy: RunEnergy | None
    """None where all predictions are stored."""


@dataclass(frozen=True)
class _Job:
    """One condition at work."""

    condition: Condition
    projections: list[LabelSpaceProjection]
    key: PredictionKey
    todo: np.ndarray
    """int (n,): positions without a stored prediction, ascending."""

    @property
    def title(self) -> str:
        return self.condition.title


def predict_conditions(plan: Plan, identity: ModelIdentity | None, load_once: Load, reporter: Reporter) -> Predicted:
    """Compute what is missing, then read the predictions of every condition; what fails leaves the others to go on.

    Raises:
        HarnessError: the sanity gate; it ends the whole run.
    """
    asked = Provenance(
        plan.provenance.command(), Fingerprints(weights=identity.weights if identity else None, code=CODE)
    )
    if identity is None or not plan.runnable:
        return Predicted(plan, {}, {}, [], _open_energy(plan, identity, at_work=True), asked, 0)
    config, choice = _execution(plan, identity, load_once, reporter)
    chosen: list[Evidence] = []
    if choice is not None:
        # Its evidence is made again by the command that asked for it, the others' by what was chosen.
        device = torch.device(config.device)
        chosen = execution_evidence(choice, replace(asked, hardware=describe(device), config=config))
        settings = replace(
            plan.settings, precision=config.precision, layout=config.memory_format, compiled=config.compiled
        )
        plan = replace(plan, settings=settings)
    store = PredictionStore(plan.settings.home, reporter.note)
    jobs = []
    for condition in plan.runnable:
        projections = condition_projections(condition, identity)
        key, stored = stored_under(store, identity, condition, projections, config, plan.settings)
        todo = np.flatnonzero([row not in stored for row in sample_keys(condition.samples)])
        jobs.append(_Job(condition, projections, key, todo))
    at_work = any(len(job.todo) for job in jobs)
    energy = _open_energy(plan, identity, at_work=at_work or bool(plan.suite.measurements))
    run = _Run(plan, identity, config, store, reporter, load_once, energy)
    for job in jobs:
        if len(job.todo) == 0 or job.todo[0] >= plan.settings.whole_shard:
            _gate(run, job)
    failed = _predict(run, jobs) if at_work else {}
    scored: dict[str, Scored] = {}
    for group in _by_images(jobs):
        first = group[0].condition
        data = first.opened.fingerprint(len(first.samples))
        for job in group:
            try:
                if job.title not in failed:
                    scored[job.title] = _read(run, job, data)
            except HarnessError as error:
                failed[job.title] = error
    for title, why in failed.items():
        reporter.note(f"{'Missing' if isinstance(why, MissingInputError) else 'Failed'}: {title}: {why}")
    made_by = replace(asked, command=plan.provenance.command(), config=config if at_work else None)
    stored_before = sum(len(job.condition.samples) - len(job.todo) for job in jobs)
    return Predicted(plan, scored, failed, chosen, energy, made_by, stored_before)


def _open_energy(plan: Plan, identity: ModelIdentity | None, *, at_work: bool) -> RunEnergy | None:
    """The meters of this very command with these weights; None where there is no work, now or at an earlier start."""
    what = [
        plan.provenance.command(),
        plan.suite.model_dump(mode="json"),
        sorted(plan.settings.data.items()),
        identity.weights if identity is not None else None,
    ]
    digest = hashlib.sha256(json.dumps(what).encode()).hexdigest()[:16]
    path = plan.settings.home / "energy" / f"{plan.suite.name}-{plan.model.spec.name}-{digest}.json"
    if not at_work and not path.is_file():
        return None
    settings = plan.settings  # on a cluster the nodes have their own meters
    device = "cpu" if settings.executor == "ray" else resolve_device(settings.device.split(",")[0])
    return RunEnergy(path, torch.device(device))


# --- predictions ---------------------------------------------------------------------------------------------------


def _predict(run: _Run, jobs: Sequence[_Job]) -> dict[str, HarnessError]:
    """Predict what is not stored yet; gives the errors of the conditions that failed.

    Raises:
        HarnessError: the sanity gate, or no device is left.
    """
    settings, energy, size = run.plan.settings, run.energy, run.plan.settings.whole_shard
    assert energy is not None
    write = ShardWriter(settings.home, {job.title: job.key for job in jobs}, environment() | run.config.protocol())
    by_title, predicted = {job.title: job for job in jobs}, Counter[str]()
    failed: dict[str, HarnessError] = {}

    def shards() -> Iterator[Shard]:
        # Cells that are generated from the same images take turns on each range of them, so that images decode once.
        for group in _by_images(jobs):
            dataset = group[0].condition.opened
            images, samples = Images(dataset, run.identity.preprocessing), Samples.of(dataset)
            parts = []
            for job in group:
                pixels = images.pixels(generated_cell(job.condition, settings))
                at_work = Job(job.title, job.projections, samples, pixels, settings.save_logits)
                parts.append(shards_of(at_work, job.todo, size))
            for shard in merge(*parts, key=lambda shard: shard.positions[0] // size):
                if shard.job.name not in failed:
                    yield shard

    todo = sum(len(job.todo) for job in jobs)
    with _executor(run, jobs, write, todo) as executor:
        for shard, found in executor(shards()):
            job = by_title[shard.job.name]
            try:
                if isinstance(found, HarnessError):
                    raise found
                if found is not None:
                    write(job.title, found)
                    energy.stored(sum(error is None for error in found.error))
            except HarnessError as error:
                failed.setdefault(job.title, error)
                continue
            predicted[job.title] += len(shard.positions)
            if shard.positions[0] < size:
                _gate(run, job)
    for job in jobs:
        made, wanted = predicted[job.title], len(job.todo)
        assert made == wanted or job.title in failed, f"{job.title}: {made} predictions of {wanted} samples"
    return failed


@contextmanager
def _executor(run: _Run, jobs: Sequence[_Job], write: ShardWriter, todo: int) -> Iterator[Executor]:
    """Who computes, as the settings say, with its progress and its energy; ends with all that it started."""
    settings, energy, loaded = run.plan.settings, run.energy, run.load_once()
    assert energy is not None
    count = sum(len(job.condition.samples) for job in jobs)
    title = jobs[0].title if len(jobs) == 1 else f"{run.plan.suite.name}: {len(jobs)} conditions"
    devices = settings.device.split(",")
    with ExitStack() as stack:
        stack.callback(energy.end)  # whatever ends the forward passes, the meters are read
        rates: Callable[[], dict[str, float]] = dict
        advance = stack.enter_context(
            run.reporter.progress(
                title, count, done=count - todo, detail=lambda: "".join(f"; {n} {r:.1f}/s" for n, r in rates().items())
            )
        )
        if settings.executor == "local" and len(devices) == 1:

            def finished(images: int) -> None:
                energy.tick()
                advance(images)

            network = Network.of(loaded, run.config)
            decoder = stack.enter_context(decoding(run.config, run.identity.preprocessing, todo))
            energy.begin()
            yield partial(predict, network, decoder=decoder, progress=finished)
            return
        loaded.module.cpu()
        threads = torch.get_num_threads()
        if settings.executor == "ray":
            from harness.runtime.ray_executor import RayPool, cluster_devices

            _, each = cluster_devices(settings.device, run.reporter.note)
            setup = Setup(loaded, run.config, threads, write, meters_of_worker)
            datasets = {group[0].title: group[0].condition.opened for group in _by_images(jobs)}
            pool: Pool = RayPool(setup, each, datasets, settings.home, run.reporter.note)
        else:
            names = [resolve_device(device) for device in devices]
            config = replace(run.config, workers=max(1, run.config.workers // len(names)))
            setup = Setup(loaded, config, max(1, threads // len(names)), write, meters_of_worker)
            pool = LocalProcesses(setup, names)
        stack.callback(pool.close)
        scheduler = Scheduler(
            pool,
            note=run.reporter.note,
            progress=advance,
            spent=lambda done: energy.add(EnergyUse(done.readable, done.energy)),
        )
        rates = scheduler.rates
        yield partial(scheduler.run, images=todo)


def _by_images(jobs: Sequence[_Job]) -> Iterator[list[_Job]]:
    """Conditions that read the same images together: cells that are generated from them."""
    for _, members in groupby(jobs, lambda job: id(job.condition.dataset)):
        yield list(members)


def _gate(run: _Run, job: _Job) -> None:
    """Stop the run where the first predictions on clean images are no better than chance, or classes are exchanged."""
    if not (job.condition.benchmark.clean and run.plan.settings.sanity_gate):
        return
    table = run.store.select(job.key, job.condition.samples.iloc[: run.plan.settings.whole_shard])
    if table is not None:
        projection = job.projections[0]
        predictions = read_label_space(table, projection.name).take(table["error"].is_null().to_numpy())
        check_for_exchange(predictions, [class_name(c) for c in job.condition.benchmark.space.classes], job.title)
        check_against_chance(predictions, int((projection.columns >= 0).sum()), job.title)


def _read(run: _Run, job: _Job, data: str) -> Scored:
    """A condition's stored predictions, ready for scoring.

    Raises:
        HarnessError: some went missing meanwhile, or too many images can't be read.
    """
    condition, count = job.condition, len(job.condition.samples)
    table = run.store.select(job.key, condition.samples)
    if table is None:
        raise HarnessError(
            f"Some predictions of {job.title} went missing while the run was reading them.",
            remedy="Repeat the command: it computes only what is missing.",
        )
    ids, readable = table["sample_id"].to_numpy(), table["error"].is_null().to_numpy()
    unreadable = int((~readable).sum())
    if unreadable:
        first = int(np.argmin(readable))
        message = f"{job.title}: {unreadable:,} of {count:,} images can't be read, first {ids[first]}: {table['error'][first]}"
        if unreadable > MAX_UNREADABLE * count:
            raise HarnessError(
                f"{message} That is more than {MAX_UNREADABLE:.0%}.",
                remedy="Repair the copy of the data set, then repeat the command.",
            )
        run.reporter.note(f"{message} They are left out.")
    variants, cell = [run.plan.provenance.variant], generated_cell(condition, run.plan.settings)
    if cell is not None:  # without the JPEG step, or with another seed, it is another protocol
        variants += ["no-jpeg" if cell.jpeg_quality is None else "", f"seed-{cell.seed}" if cell.seed else ""]
    return Scored(
        benchmark=condition.benchmark,
        condition=condition.name,
        sample_ids=ids[readable].tolist(),
        predictions={name: read_label_space(table, name).take(readable) for name in label_space_names(table)},
        projections={projection.name: projection for projection in job.projections},
        outputs=run.identity.output_labels(),
        weights=run.identity.weights,
        data=data,
        protocol=protocol_in_words(run.identity, job.key, run.store.made_on(job.key), condition.opened),
        command=run.plan.provenance.command(),
        unreadable=unreadable,
        variant="+".join(filter(None, variants)),
        table=condition.opened.table,
        logits=_kept_logits(table, readable, job) if run.plan.settings.save_logits else None,
    )


def _kept_logits(table: pa.Table, readable: np.ndarray, job: _Job) -> np.ndarray | None:
    """All logits of a condition without corruption in its benchmark's own label space, as `Scored` has them; None where several
    outputs make one class, or several classes may be right."""
    closed = next(projection for projection in job.projections if projection.name == CLOSED)
    if job.condition.name is not None or closed.members is not None or job.condition.benchmark.label_sets:
        return None
    flat = table["logits"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    found = flat.reshape(len(table), -1)[readable][:, np.maximum(closed.columns, 0)]
    found[:, closed.columns < 0] = -np.inf
    return found


# --- how the network runs ------------------------------------------------------------------------------------------


def _execution(
    plan: Plan, identity: ModelIdentity, load_once: Load, reporter: Reporter
) -> tuple[ExecutionConfig, Choice | None]:
    """How the network will run; with `auto`, what was chosen by trying it, now or at an earlier start."""
    settings = plan.settings
    chooses = AUTO in (settings.precision, settings.layout)
    if settings.executor == "ray":
        from harness.runtime.ray_executor import cluster_devices

        if chooses:
            message = "--precision auto and --layout auto time one machine's ways to run, and a cluster may have several kinds."
            raise UsageError(message, remedy="Name the precision and the layout for --executor ray.")
        kind, _ = cluster_devices(settings.device, reporter.note)
        return fixed_config(settings, convolutional=identity.convolutional, device=kind), None
    if not chooses:
        return fixed_config(settings, convolutional=identity.convolutional), None
    module = load_once().module
    allowed = candidates(settings, convolutional=identity.convolutional)
    device = torch.device(allowed[0].device)
    images_ahead = sum(condition.images or 0 for condition in plan.runnable)
    asked = [identity.weights, settings.precision, settings.layout, images_ahead >= _MANY, describe(device)]
    choice = remembered_choice(settings.home, asked)
    if choice is None:
        reporter.note("Timing ways to run the network, and comparing their answers")
        pixels, description = _probe(plan, identity)
        choice = choose(
            module.to(device),
            identity.preprocessing.normalise(to_device(pixels, device)),
            allowed,
            description=description,
            limit_s=settings.seconds,
            images_ahead=images_ahead,
        )
        if choice.skipped is None:
            remember_choice(settings.home, asked, choice)
    if choice.config not in allowed:  # a precision that was asked for is kept, however little it agrees with fp32
        choice = replace(choice, config=allowed[0])
    reporter.note(f"Chosen: {choice.config.label}{f' ({choice.skipped})' if choice.skipped else ''}")
    return choice.config, choice


def _probe(plan: Plan, identity: ModelIdentity) -> tuple[torch.Tensor, str]:
    """The first images of the run, or sample images where none of them can be read; and what they are."""
    condition = plan.runnable[0]
    pixels = Images(condition.opened, identity.preprocessing).pixels(generated_cell(condition, plan.settings))
    batch = decode_batch(pixels, range(min(AGREEMENT_IMAGES, len(condition.samples))))
    if batch.readable.any():
        return batch.pixels, f"the first {len(batch.pixels)} images of {condition.title}"
    images = sample_images(plan.settings.home / "data")
    batch = decode_batch(images.decoded(identity.preprocessing), range(len(images.encoded)))
    return batch.pixels, images.description
