"""Executing a plan: predictions, then evidence, then a ledger and a card, each step resumable.

A condition that can't run, or fails, becomes pending evidence with its reason; the others go on. Repeating the same
command does only what is not stored yet.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
import re
import shlex
import urllib.error
import urllib.request
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from harness import __version__
from harness.benchmarking.efficiency import accuracies_per_gmac
from harness.data.catalog import CLEAN_CROPS
from harness.data.local import LocalDataset
from harness.errors import ExitCode, HarnessError, MissingInputError
from harness.evaluation.plan import (
    Condition,
    ModelState,
    Plan,
    chosen_samples,
    condition_projections,
    generated_cell,
    make_plan,
    open_condition,
    sample_keys,
    stored_under,
)
from harness.evaluation.sanity import check_against_chance
from harness.evaluation.scoring import Scored, pending, score
from harness.evaluation.slice_requests import request_of
from harness.evaluation.subgroups import check_join, slices_of_run, slices_options
from harness.evaluation.suites import Suite, suite_names
from harness.evidence import CODE, Evidence, EvidenceClass, Fingerprints, Ledger, benchmark_of
from harness.files import write_text
from harness.labels.projections import LabelSpaceProjection
from harness.models.loading import LoadedModel, ModelIdentity, load_model
from harness.models.sources.hub import FolderCheckpoint
from harness.models.specs import ModelSpec
from harness.progress import Reporter
from harness.runtime.decoding import GeneratedCell, Pixels, default_workers, direct, generated
from harness.runtime.rows import ShardRows
from harness.settings import AUTO, Settings
from harness.store.predictions import PredictionKey, PredictionStore, label_space_names, read_label_space

if TYPE_CHECKING:
    import torch

    from harness.benchmarking.energy_tracking import RunEnergy
    from harness.runtime.engine import Samples
    from harness.runtime.network import Network

_CORRUPTION_HEADLINES = (".mean-error", ".mce", ".relative-mce")
"""Scores over all cells; the normalised ones are defined for ImageNet-C's corruptions, not for ImageNet-C-bar's."""

_MANY_IMAGES = 10_000
"""A run of so many images may have another best way to run than a short one, since compiling takes a minute."""

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
        unusable = [c.missing for c in self.plan.conditions if c.missing is not None]
        if any(not isinstance(error, MissingInputError) for error in (*self.failed.values(), *unusable)):
            return ExitCode.FAILED
        if not any(item.class_.has_value for item in self.ledger):
            return ExitCode.MISSING
        # What no meter here can tell was not asked for, so it leaves nothing undone.
        asked = (item for item in self.ledger if not item.key.endswith(".this-run"))
        waiting = any(item.class_ is EvidenceClass.PENDING for item in asked)
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
    slices = request_of(suite, settings.slices, settings.by)
    settings = _offline_if_unreachable(settings, reporter)
    fetch_data = settings.yes
    plan = make_plan(spec, suite, settings, reporter, fetch_weights=True, fetch_data=fetch_data)
    waiting = [c for c in plan.conditions if c.to_fetch and c.missing is None and c.images is None]
    if waiting and plan.model.runnable:
        names = sorted({c.benchmark.name for c in waiting})
        if confirm(f"Download {', '.join(names)} from the Hub?"):
            fetch_data = True
            plan = make_plan(spec, suite, settings, reporter, fetch_weights=True, fetch_data=fetch_data)
    plan = _without_unfetched(plan)
    report_missing(plan, reporter)
    check_join(plan, slices, settings, reporter)
    runner = _Runner(plan, settings, reporter)
    chosen: list[Evidence] = []
    if AUTO in (settings.precision, settings.layout) and plan.runnable:
        settings, chosen = runner.choose_execution()
        plan = make_plan(spec, suite, settings, reporter, fetch_weights=True, fetch_data=fetch_data)
        plan = _without_unfetched(plan)
        runner = _Runner(plan, settings, reporter, loaded=runner.model())
    scored, failed = runner.all_conditions()
    evidence = score(scored, suite.metrics, plan.scored)
    have = {item.key for item in evidence}
    evidence += [item for item in _pending(plan, scored, failed, settings) if item.key not in have]
    evidence += slices_of_run(plan, slices, scored, evidence, settings, reporter)
    if suite.measurements:
        from harness.benchmarking.measure import measure

        command = run_command(plan, settings)
        energy = runner.energy()
        have = {item.key for item in chosen}
        measured = measure(
            suite.measurements,
            plan.model,
            settings,
            reporter,
            command,
            load=runner.model,
            run=energy,
            lineage=decided_lineage(settings.home, spec.name),
        )
        evidence += [item for item in measured if item.key not in have]
    evidence += chosen
    evidence += runner.energy_evidence({item.key for item in evidence})
    ledger = Ledger(
        model=describe_model(spec, runner.identity), environment=environment(), evidence=_in_suite_order(evidence, plan)
    )
    ledger.add(accuracies_per_gmac(ledger))
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
            what = "Missing" if isinstance(condition.missing, MissingInputError) else "Not usable"
            reporter.note(f"{what}: {condition.missing}")


@dataclass(frozen=True)
class _Job:
    """One condition at work."""

    condition: Condition
    copy: LocalDataset
    samples: pd.DataFrame
    specs: list[LabelSpaceProjection]
    key: PredictionKey
    todo: list[int]
    """Positions without a stored prediction, ascending."""


class _Runner:
    """Runs the conditions of one plan, loading the model only if a prediction is missing."""

    def __init__(
        self, plan: Plan, settings: Settings, reporter: Reporter, *, loaded: LoadedModel | None = None
    ) -> None:
        self._plan = plan
        self._settings = settings
        self._reporter = reporter
        self._store = PredictionStore(settings.home, reporter.note)
        self._prepared: Network | None = None
        self._loaded = loaded
        self._crops: tuple[LocalDataset, Callable[[GeneratedCell], Pixels]] | None = None
        self._samples: tuple[LocalDataset, Samples] | None = None
        self._energy: RunEnergy | None = None
        self._stored_before = 0
        self.identity: ModelIdentity | None = plan.model.identity

    def all_conditions(self) -> tuple[dict[str, Scored], dict[str, HarnessError]]:
        scored: dict[str, Scored] = {}
        failed: dict[str, HarnessError] = {}
        for _, group in groupby(self._plan.runnable, key=lambda condition: condition.benchmark.name):
            conditions = list(group)
            if conditions[0].benchmark.generated_from is None:
                batches = [[condition] for condition in conditions]
            else:
                batches = [conditions]
            for together in batches:
                try:
                    done, broken = self._conditions(together, self._known_identity())
                except _StopRunError as stop:
                    raise stop.error from stop
                scored |= done
                failed |= broken
        for title, error in failed.items():
            what = "Missing" if isinstance(error, MissingInputError) else "Failed"
            self._reporter.note(f"{what}: {title}: {error}")
        return scored, failed

    def _known_identity(self) -> ModelIdentity:
        if self.identity is None:
            try:
                self.identity = self.model().identity
            except HarnessError as error:
                raise _StopRunError(error) from error
        return self.identity

    def model(self) -> LoadedModel:
        """The model with its weights, loaded once."""
        if self._loaded is None:
            state: ModelState = self._plan.model
            assert state.files is not None
            self._reporter.note(f"Loading {state.spec.title}")
            self._loaded = load_model(
                state.spec,
                state.files,
                label_space=self._settings.labels,
                cache=self._settings.home / "identities",
            )
            self.identity = self._loaded.identity
        return self._loaded

    def choose_execution(self) -> tuple[Settings, list[Evidence]]:
        """What `auto` means here, tried on the first images of the plan's first condition and remembered.

        Raises:
            HarnessError: the checkpoint can't be used, or there is no such device.
        """
        import torch

        from harness.benchmarking.results import Provenance, execution_evidence
        from harness.runtime.choosing import candidates, choose
        from harness.runtime.hardware import describe
        from harness.store.choices import remember_choice, remembered_choice

        settings, loaded = self._settings, self.model()
        allowed = candidates(settings, convolutional=loaded.identity.convolutional)
        device = torch.device(allowed[0].device)
        hardware = describe(device)
        images_ahead = sum(c.images or 0 for c in self._plan.runnable)
        asked = [settings.precision, settings.layout, settings.compiled]
        made_for = [loaded.identity.weights, *asked, images_ahead >= _MANY_IMAGES, hardware]
        choice = remembered_choice(settings.home, made_for)
        if choice is None:
            self._reporter.note("Timing precisions and memory layouts, and comparing their answers")
            pixels, description = self._probe(loaded)
            choice = choose(
                loaded.module.to(device),
                loaded.identity.preprocessing.normalise(pixels.to(device)),
                allowed,
                description=description,
                limit_s=settings.measure_seconds,
                images_ahead=images_ahead,
            )
            if choice.skipped is None:
                remember_choice(settings.home, made_for, choice)
        config = choice.config
        self._reporter.note(f"Chosen: {config.label}" + (f" ({choice.skipped})" if choice.skipped else ""))
        provenance = Provenance(
            run_command(self._plan, settings),
            Fingerprints(weights=loaded.identity.weights, code=CODE),
            hardware,
            config,
        )
        settings = replace(settings, precision=config.precision, layout=config.memory_format, compiled=config.compiled)
        return settings, execution_evidence(choice, provenance)

    def _probe(self, loaded: LoadedModel) -> tuple[torch.Tensor, str]:
        """uint8 (N, 3, H, W) of images to compare answers on, and what they are."""
        from harness.runtime.batches import batches
        from harness.runtime.choosing import AGREEMENT_IMAGES
        from harness.runtime.sample_images import sample_images

        condition = self._plan.runnable[0]
        workers = self._settings.workers or default_workers()
        try:
            copy = open_condition(condition, self._settings, self._reporter)
            job = self._job(condition, copy, loaded.identity)
            first = range(min(AGREEMENT_IMAGES, len(job.samples)))
            (batch,) = batches([first], self._pixels(job), workers=workers)
        except HarnessError as error:  # the condition fails later, with the others going on
            self._reporter.note(f"Not for a probe: {condition.title}: {error.message}")
        else:
            if batch.readable.any():
                return batch.pixels, f"the first {len(batch.pixels)} images of {condition.title}"
        images = sample_images(self._settings.home / "data")
        pixels = images.decoded(loaded.identity.preprocessing)
        (batch,) = batches([range(len(images.encoded))], pixels, workers=workers)
        return batch.pixels, images.description

    def _network(self) -> Network:
        if self._prepared is None:
            from harness.runtime.execution import fixed_config
            from harness.runtime.network import Network

            loaded = self.model()
            config = fixed_config(self._settings, convolutional=loaded.identity.convolutional)
            self._prepared = Network.of(loaded, config)
        return self._prepared

    def energy(self) -> RunEnergy:
        """The meters of this run and their journal, opened once."""
        if self._energy is None:
            import torch

            from harness.benchmarking.energy_tracking import RunEnergy
            from harness.runtime.execution import resolve_device
            from harness.store.energy_journal import EnergyJournal

            self._energy = RunEnergy(
                EnergyJournal(self._journal()), torch.device(resolve_device(self._settings.device))
            )
        return self._energy

    def _journal(self) -> Path:
        """Where the joules of this very command with these weights are kept until it is done."""
        what = [
            run_command(self._plan, self._settings),
            self._plan.suite.model_dump(mode="json"),
            sorted(self._settings.data.items()),
            self.identity.weights if self.identity is not None else None,
        ]
        digest = hashlib.sha256(json.dumps(what).encode()).hexdigest()[:16]
        return self._settings.home / "energy" / f"{self._plan.suite.name}-{self._plan.model.spec.name}-{digest}.json"

    def energy_evidence(self, have: set[str]) -> list[Evidence]:
        """What the forward passes of this run took; nothing where there were none.

        Args:
            have: keys that the ledger has already.
        """
        if self._energy is None and not self._journal().is_file():
            return []
        from harness.benchmarking.results import Provenance
        from harness.runtime.hardware import describe

        energy = self.energy()
        weights = self.identity.weights if self.identity is not None else None
        provenance = Provenance(
            run_command(self._plan, self._settings),
            Fingerprints(weights=weights, code=CODE),
            describe(energy.device),
            self._prepared.config if self._prepared is not None else None,
        )
        predicting = (
            "decoding, corruptions where they are generated, preprocessing, forward passes and storing the predictions"
        )
        work = [predicting] if self._plan.runnable else []
        work += ["all timed calls of the measurements and their warm-up"] if self._plan.suite.measurements else []
        found = energy.evidence(
            provenance,
            self._settings.region,
            includes="; ".join(work),
            stored_before=self._stored_before,
            idle="energy.idle-power" not in have,
        )
        energy.close()
        return found

    def _conditions(
        self, conditions: list[Condition], identity: ModelIdentity
    ) -> tuple[dict[str, Scored], dict[str, HarnessError]]:
        """Run conditions that read the same images: range by range, every condition on each, so images decode once."""
        failed: dict[str, HarnessError] = {}
        try:
            copy = open_condition(conditions[0], self._settings, self._reporter)
        except HarnessError as error:
            return {}, {condition.title: error for condition in conditions}
        jobs = [self._job(condition, copy, identity) for condition in conditions]
        count, step = len(jobs[0].samples), self._settings.whole_shard
        ranges = [(0, step), (step, count)] if len(jobs) == 1 else [(at, at + step) for at in range(0, count, step)]
        title = jobs[0].condition.title if len(jobs) == 1 else f"{conditions[0].benchmark.name} × {len(jobs)}"
        stored = sum(count - len(job.todo) for job in jobs)
        self._stored_before += stored
        with self._reporter.progress(title, count * len(jobs), done=stored) as advance, self._metered():
            for start, stop in ranges:
                for job in jobs:
                    if job.condition.title in failed:
                        continue
                    try:
                        self._predict(job, start, stop, advance)
                    except HarnessError as error:
                        failed[job.condition.title] = error
                    if start == 0 and job.condition.benchmark.clean and self._settings.sanity_gate:
                        self._gate(job, step)
        scored = {}
        data = copy.fingerprint(count)
        for job in jobs:
            try:
                if job.condition.title not in failed:
                    scored[job.condition.title] = self._scored(job, identity, data)
            except HarnessError as error:
                failed[job.condition.title] = error
        return scored, failed

    def _job(self, condition: Condition, copy: LocalDataset, identity: ModelIdentity) -> _Job:
        samples = chosen_samples(condition, copy, self._settings)
        specs = condition_projections(condition, identity)
        key, stored = stored_under(self._store, identity, condition, specs, self._settings)
        todo = [position for position, name in enumerate(sample_keys(samples)) if name not in stored]
        return _Job(condition, copy, samples, specs, key, todo)

    def _predict(self, job: _Job, start: int, stop: int, advance: Callable[[int], None]) -> None:
        """Predict what is missing of a range of positions."""
        todo = job.todo[bisect_left(job.todo, start) : bisect_left(job.todo, stop)]
        if not todo:
            return
        from harness.runtime.engine import predict

        network = self._network()
        config = network.config
        made_on = environment() | {"device": config.device, "layout": config.memory_format}
        if config.compiled:
            made_on["compiled"] = True
        energy = self.energy()

        def write(rows: ShardRows) -> None:
            self._store.write(job.key, rows, made_on)
            energy.stored(sum(error is None for error in rows.error))

        def finished(images: int) -> None:
            energy.tick()
            advance(images)

        energy.begin()
        predict(
            network,
            job.specs,
            self._rows(job.copy),
            todo,
            self._pixels(job),
            write=write,
            shard_size=self._settings.whole_shard,
            keep_logits=self._settings.keep_logits,
            progress=finished,
        )

    @contextmanager
    def _metered(self) -> Iterator[None]:
        """Whatever ends the forward passes that begin in here, the meters are read."""
        try:
            yield
        finally:
            if self._energy is not None:
                self._energy.end()

    def _rows(self, copy: LocalDataset) -> Samples:
        """The copy's samples as the engine reads them; made once for all cells and ranges of the same images."""
        from harness.runtime.engine import Samples

        if self._samples is None or self._samples[0] is not copy:
            frame = copy.samples
            rows = Samples(frame["sample_id"].tolist(), frame["digest"].tolist(), frame["label"].to_numpy())
            self._samples = copy, rows
        return self._samples[1]

    def _pixels(self, job: _Job) -> Pixels:
        preprocessing = self.model().identity.preprocessing
        cell = generated_cell(job.condition, self._settings)
        if cell is None:
            return direct(job.copy, preprocessing)
        if self._crops is None or self._crops[0] is not job.copy:
            self._crops = job.copy, generated(job.copy, preprocessing)
        return self._crops[1](cell)

    def _gate(self, job: _Job, first: int) -> None:
        table = self._store.select(job.key, job.samples.iloc[:first])
        if table is None:
            return
        spec = job.specs[0]
        readable = np.array([error is None for error in table["error"].to_pylist()])
        readout = read_label_space(table, spec.name).take(readable)
        try:
            check_against_chance(readout, int((spec.columns >= 0).sum()), job.condition.title)
        except HarnessError as error:
            raise _StopRunError(error) from error

    def _scored(self, job: _Job, identity: ModelIdentity, data: str) -> Scored:
        condition, count = job.condition, len(job.samples)
        table = self._store.select(job.key, job.samples)
        if table is None:
            raise HarnessError(
                f"Some predictions of {condition.title} went missing while the run was reading them.",
                remedy="Repeat the command: it computes only what is missing.",
            )
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
            predictions={name: read_label_space(table, name).take(readable) for name in label_space_names(table)},
            projections={spec.name: spec for spec in job.specs},
            outputs=identity.output_labels(),
            weights=identity.weights,
            data=data,
            protocol=readable_protocol(identity, job.key, self._store.made_on(job.key), job.copy),
            command=run_command(self._plan, self._settings),
            unreadable=unreadable,
            variant="+".join(filter(None, (protocol_variant(self._settings), _cell_variant(job)))),
            table=job.copy.table,
        )


def _cell_variant(job: _Job) -> str:
    """Generated images without the JPEG step, or with another seed, are another protocol."""
    cell = job.key.protocol.get("generated")
    if cell is None:
        return ""
    without = ["no-jpeg"] if cell["jpeg_quality"] is None else []
    return "+".join([*without, *([f"seed-{cell['seed']}"] if cell["seed"] else [])])


_GENERATED = (
    "short side 256 bilinear, centre crop 224×224, corruption, JPEG quality {jpeg}, mean {mean}, std {std}, Pillow"
)


class _StopRunError(Exception):
    """Carries an error that must end the whole run, not only one condition."""

    def __init__(self, error: HarnessError) -> None:
        super().__init__(error.message)
        self.error = error


def readable_protocol(
    identity: ModelIdentity, key: PredictionKey, made_on: dict[str, Any], copy: LocalDataset
) -> dict[str, Any]:
    """What decides a number, in words a reader of the ledger understands."""
    generated_as = key.protocol.get("generated")
    if generated_as is not None:
        how = _GENERATED.format(jpeg=generated_as["jpeg_quality"] or "none", **identity.preprocessing.model_dump())
    elif copy.benchmark.input == "ready-224":
        how = "as published, no second resize"
    else:
        how = identity.preprocessing.describe()
    return {
        "preprocessing": how,
        **({"generated": generated_as} if generated_as is not None else {}),
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


def run_command(plan: Plan, settings: Settings, *, also: str | None = None) -> str:
    """The command that makes this evidence (again). Local paths stay on this machine: `DIR` stands for them.

    Args:
        also: a benchmark whose data must be given too, since it is missing here.
    """
    suite = plan.suite.name if plan.suite.name in suite_names() else f"{plan.suite.name}.yaml"
    parts = [f"harness run --suite {suite} --model {public_reference(plan.model.spec)}"]
    used = [name for name in settings.data if any(c.images_benchmark.name == name for c in plan.conditions)]
    if also is not None and also not in used:
        used.append(also)
    parts += [f"--data {name}=DIR" for name in used]
    if settings.limit is not None:
        parts.append(f"--limit {settings.limit}")
    if settings.corruption_images is not None:
        parts.append(f"--corruption-images {settings.corruption_images}")
    if not settings.corruption_jpeg:
        parts.append("--no-corruption-jpeg")
    if settings.corruption_seed:
        parts.append(f"--corruption-seed {settings.corruption_seed}")
    parts += [slices_options(settings).strip()] if settings.slices is not None or settings.by else []
    if settings.precision != "fp32":
        parts.append(f"--precision {settings.precision}")
    if settings.labels is not None:
        parts.append(f"--labels {settings.labels}")
    if plan.suite.measurements:
        parts += [f"--input-size {width}x{height}" for width, height in settings.input_sizes]
        if settings.region is not None:
            parts.append(f"--region {shlex.quote(settings.region)}")
        if settings.measure_seconds != Settings.measure_seconds:
            parts.append(f"--seconds {settings.measure_seconds:g}")
    return " ".join(parts)


def _pending(
    plan: Plan, scored: dict[str, Scored], failed: dict[str, HarnessError], settings: Settings
) -> list[Evidence]:
    """What the suite asks for and has no number, each with its own reason and the command that would measure it; for a
    benchmark with corruptions of which nothing ran, one entry a headline score instead of one a cell."""
    waiting: list[Evidence] = []
    reasons: dict[str, str] = {}
    variant = protocol_variant(settings)
    for name, group in groupby(plan.conditions, key=lambda condition: condition.benchmark.name):
        conditions = list(group)
        absent = [condition for condition in conditions if condition.title not in scored]
        if not absent:
            continue
        benchmark = conditions[0].benchmark
        command = run_command(plan, settings, also=conditions[0].images_benchmark.name if absent[0].missing else None)
        whys = [_why(condition, plan, failed) for condition in absent]
        reasons[name] = whys[0]
        if benchmark.corruptions is None:
            waiting += pending(benchmark, (".top1", ".top5"), whys[0], command, variant)
            continue
        if len(absent) < len(conditions):
            for condition, why in zip(absent, whys, strict=True):
                waiting += pending(benchmark, [f"/{condition.name}.top1"], why, command, variant)
        if all(condition.name == CLEAN_CROPS for condition in conditions):  # beside official files
            waiting += pending(benchmark, [f"/{CLEAN_CROPS}.top1"], whys[0], command, variant)
            continue
        headlines = _CORRUPTION_HEADLINES[: None if benchmark.corruptions.extra else 1]
        waiting += pending(benchmark, headlines, whys[0], command, variant)
    for benchmark in plan.scored:
        if benchmark.scored_from in reasons:
            command = run_command(plan, settings, also=benchmark.scored_from)
            waiting += pending(benchmark, (".top1",), reasons[benchmark.scored_from], command, variant)
    return waiting


def _why(condition: Condition, plan: Plan, failed: dict[str, HarnessError]) -> str:
    """Why a condition has no number: all that is missing, without paths of this machine."""
    errors = (failed.get(condition.title), condition.missing, plan.model.missing)
    return public_text(" ".join(error.message for error in errors if error is not None))


_LOCAL_PATH = re.compile(r"(?<![\w:/.~])~?/(?:[^/\s:;,'\"()]+/)+([^/\s:;,'\"()]*)")


def public_text(message: str) -> str:
    """A message for the ledger and the card: of a path on this machine only the last part stays."""
    return _LOCAL_PATH.sub(lambda match: f"…/{match[1]}", message)


def protocol_variant(settings: Settings) -> str:
    """What tells this run's evidence from that of the default protocol; empty for the default."""
    parts = [settings.precision] if settings.precision not in ("fp32", AUTO) else []
    return "+".join(parts)


def _in_suite_order(evidence: list[Evidence], plan: Plan) -> list[Evidence]:
    """The suite's benchmarks in its own order, what each metric group found below it in the order it was found."""
    order = {entry.name: index for index, entry in enumerate(plan.suite.benchmarks)}
    return sorted(evidence, key=lambda item: order.get(benchmark_of(item.key), len(order)))


# --- what a run leaves behind --------------------------------------------------------------------------------------


def stored_ledger_path(home: Path, model_name: str) -> Path:
    """Where the store keeps all the evidence of a model."""
    return home / "ledgers" / model_name / "evidence.json"


def decided_lineage(home: Path, model_name: str) -> str | None:
    """The checkpoint that `harness identify` found a model's weights to be; None where that was not decided."""
    from harness.facts import LINEAGE_KEY

    path = stored_ledger_path(home, model_name)
    found = Ledger.load(path).get(LINEAGE_KEY) if path.exists() else None
    decided = found is not None and found.class_ in (EvidenceClass.MEASURED, EvidenceClass.DERIVED)
    return str(found.value) if found is not None and decided else None


def merge_into_store(home: Path, ledger: Ledger) -> Path:
    """Add a run's evidence to the model's ledger in the store; safe for several processes at once.

    Evidence of other weights under the same name waits in a file of its own and comes back with its weights.
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
            base: Ledger | None = old
            if before is not None and now is not None and before != now:
                old.save(_of_weights(path, before))
                earlier = _of_weights(path, now)
                base = Ledger.load(earlier) if earlier.exists() else None
            if base is not None:
                model = ledger.model if now is not None else base.model
                merged = Ledger(model=model, environment=ledger.environment, evidence=list(base.evidence))
                merged.add(ledger.evidence)
                merged.add(accuracies_per_gmac(merged))
        merged.save(path)
    return path


def _of_weights(path: Path, weights: str) -> Path:
    """Where the evidence of one set of weights waits while another one goes by the same name."""
    return path.with_name(f"evidence-{hashlib.sha256(weights.encode()).hexdigest()[:16]}.json")


def record_run(home: Path, result: RunResult, output: Path | None) -> Path:
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
        "output": str(output.resolve()) if output is not None else "",
    }
    path = home / "runs" / f"{now.strftime('%Y%m%dT%H%M%S%f')}-{plan.suite.name}-{plan.model.spec.name}.json"
    write_text(path, json.dumps(record, indent=2) + "\n")
    return path
