"""Executing a plan: predictions, then evidence, then a ledger, each step resumable.

A condition that can't run, or fails, becomes pending evidence with its reason; the others go on. Repeating the same
command does only what is not stored yet.
"""

from __future__ import annotations

import functools
import urllib.error
import urllib.request
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from harness.benchmarking.efficiency import accuracies_per_gmac
from harness.data.catalog import CLEAN_CROPS, described
from harness.errors import ExitCode, HarnessError, MissingInputError, UsageError
from harness.evaluation.attacking import attack
from harness.evaluation.examining import examine, is_examined
from harness.evaluation.image_studies import study_images
from harness.evaluation.plan import Condition, Confirm, Plan, make_plan
from harness.evaluation.provenance import describe_model, environment, public_text
from harness.evaluation.scoring import pending, score
from harness.evaluation.slice_requests import request_of
from harness.evaluation.subgroups import check_join, slices_of_run
from harness.evaluation.suites import Suite
from harness.evaluation.until import all_or_nothing, check_target, predict_until, sampled_benchmarks
from harness.evidence import Evidence, EvidenceClass, EvidenceKey, Ledger, Source
from harness.facts.loader import decided_lineage
from harness.metrics.registry import unit_of
from harness.models.loading import LoadedModel, ModelState, find_model, load
from harness.models.specs import ModelSpec
from harness.progress import Reporter
from harness.settings import Settings
from harness.store.ledgers import ledger_path

if TYPE_CHECKING:
    from harness.evaluation.predicting import Predicted

_REACH_SECONDS = 5.0
_CORRUPTION_HEADLINES = (".mean-error", ".mce", ".relative-mce")
"""Scores over all cells; the normalised ones are defined for ImageNet-C's corruptions, not for ImageNet-C-bar's."""


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
    check_target(suite, settings.until)
    spec = model if isinstance(model, ModelSpec) else model.spec
    published = _published(suite, spec)
    places = [suite.own[e.name].path if e.name in suite.own else settings.data.get(e.name) for e in suite.benchmarks]
    if spec.checkpoint.kind in ("hub", "torchvision") or any(not place or place.startswith("hf:") for place in places):
        settings = _offline_if_unreachable(settings, reporter)
    request = request_of(suite, settings.slices, settings.by)
    found = find_model(model, settings, fetch=True) if isinstance(model, ModelSpec) else model

    @functools.cache
    def load_once() -> LoadedModel:
        reporter.note(f"Loading {found.spec.title}")
        return load(found, settings)

    state = found
    if state.identity is None and state.runnable and suite.takes_classes_from_model:
        state = replace(state, identity=load_once().identity)
    plan = make_plan(state, suite, settings, reporter, fetch=lambda question: settings.yes or confirm(question))
    unusable = [c.missing for c in plan.conditions if c.benchmark.is_own and c.missing is not None]
    if len(unusable) == len(plan.conditions) > 0 and not isinstance(unusable[0], MissingInputError):
        raise unusable[0]  # one's own data has a fault, and there is nothing else to say of the model
    _report_missing(plan, reporter)
    plan = all_or_nothing(plan)
    request = request.with_few_classes(condition.benchmark for condition in plan.conditions)
    check_join(plan, request)
    identity = state.identity
    if identity is None and state.runnable and (plan.runnable or suite.measurements):
        identity = load_once().identity
    predicted: Predicted | None = None
    sampled: list[Evidence] = []
    if identity is not None and plan.runnable and sampled_benchmarks(plan):
        predicted, sampled = predict_until(plan, identity, load_once, reporter)
    elif suite.measurements or (identity is not None and plan.runnable):
        from harness.evaluation.predicting import predict_conditions  # loads torch

        predicted = predict_conditions(plan, identity, load_once, reporter)
    if predicted is not None:
        plan = predicted.plan
    scored, failed = (predicted.scored, predicted.failed) if predicted is not None else ({}, {})
    if identity is not None:
        scored = study_images((attack, examine), plan, identity, load_once, reporter, scored, failed)
    whole = {c.title: scored[c.title] for c in plan.conditions if c.title in scored and not c.is_sample}
    evidence = score(whole, suite.metrics, plan.scored) + sampled
    evidence += _beside(evidence, _pending(plan, scored, failed))
    labelled = {title: found for title, found in whole.items() if not found.benchmark.outliers}
    evidence += slices_of_run(plan, request, labelled, evidence, reporter)
    if predicted is not None:
        if suite.measurements:
            from harness.benchmarking.measure import measure

            measured = measure(
                suite.measurements,
                state,
                plan.settings,
                reporter,
                plan.provenance.command(),
                load=load_once,
                run=predicted.energy,
                lineage=_decided_lineage(settings.home, state.spec.name),
            )
            evidence += _beside(predicted.choice, measured)
        evidence += predicted.choice
        evidence += predicted.energy_evidence(idle=all(item.key != "energy.idle-power" for item in evidence))
    evidence += published
    order = {entry.name: index for index, entry in enumerate(suite.benchmarks)}
    evidence.sort(key=lambda item: order.get(item.name.benchmark, len(order)))
    ledger = Ledger(
        model=describe_model(state.spec, identity),
        environment=environment(),
        evidence=evidence,
        benchmarks=described(condition.benchmark for condition in plan.conditions),
    )
    ledger.add(accuracies_per_gmac(ledger))
    return RunResult(ledger, plan, failed)


def _published(suite: Suite, model: ModelSpec) -> list[Evidence]:
    """What a suite's file says that others have published for this model."""
    repository = getattr(model.checkpoint, "repo", None)
    told: dict[str, Evidence] = {}
    for value in suite.published:
        if value.model in (model.reference, model.name, repository):
            if value.key in told:
                message = f"The suite {suite.name} has two published values of {value.key} for {value.model}."
                raise UsageError(message, remedy="Keep one of them.")
            told[value.key] = Evidence(
                key=f"documented.{value.key}",
                class_=EvidenceClass.DOCUMENTED,
                value=value.value,
                unit=unit_of(EvidenceKey.parse(value.key).metric),
                source=Source(title=value.title, url=value.url, place=value.place),
            )
    return list(told.values())


def _pending(plan: Plan, scored: Container[str], failed: Mapping[str, HarnessError]) -> list[Evidence]:
    """Pending evidence of a run; for a benchmark with corruptions of which nothing ran, one entry a headline score
    instead of one a cell.

    Args:
        scored: titles of the conditions that have predictions.
        failed: errors of those that were tried and failed.
    """
    provenance, waiting = plan.provenance, list[Evidence]()
    reasons: dict[str, str] = {}
    for name, group in groupby(plan.conditions, key=lambda condition: condition.benchmark.name):
        conditions = list(group)
        absent = [condition for condition in conditions if condition.title not in scored]
        if not absent and name not in failed:
            continue
        first = (absent or conditions)[0]
        benchmark, why = first.benchmark, _why(first, plan, failed)
        command = provenance.command(also=first.images_benchmark.name if first.missing else None)
        if absent:
            reasons[name] = why
        if benchmark.corruptions is not None and 0 < len(absent) < len(conditions):
            for condition in absent:
                of_cell = _why(condition, plan, failed)
                waiting += pending(benchmark, [f"/{condition.name}.top1"], of_cell, command, provenance.variant)
        waiting += pending(benchmark, _ends(plan, conditions, bool(absent)), why, command, provenance.variant)
    for benchmark in plan.scored:
        if benchmark.scored_from in reasons:
            command = provenance.command(also=benchmark.scored_from)
            waiting += pending(benchmark, (".top1",), reasons[benchmark.scored_from], command, provenance.variant)
    return waiting


def _ends(plan: Plan, conditions: Sequence[Condition], is_absent: bool) -> Sequence[str]:
    """Ends of the keys of what a benchmark lacks: all of it, or only what is asked of its images beside their predictions."""
    benchmark, suite = conditions[0].benchmark, plan.suite
    examined = [".attribution"] * ("attribution" in suite.metrics and is_examined(conditions[0]))
    if not is_absent:
        return [*_under_attack(suite), *examined]
    if benchmark.outliers:
        return [".auroc:msp", ".fpr95:msp"]
    if benchmark.corruptions is None:
        cues = {".shape-bias": benchmark.texture_in_name, ".background-gap": benchmark.background_gap_to}
        return [
            *([".top1"] if benchmark.is_own or benchmark.label_map is not None else [".top1", ".top5"]),
            *_under_attack(suite),
            *examined,
            *(end for end, what in cues.items() if what is not None and "cues" in suite.metrics),
        ]
    if all(condition.name == CLEAN_CROPS for condition in conditions):  # beside official files
        return [f"/{CLEAN_CROPS}.top1"]
    return _CORRUPTION_HEADLINES[: None if benchmark.corruptions.extra else 1]


def _under_attack(suite: Suite) -> list[str]:
    """Ends of the keys of a suite's accuracies under attack."""
    if (attacks := suite.attacks) is None:
        return []
    return [f"/{norm}/{size:g}.robust-accuracy" for norm in attacks.epsilons for size in attacks.sizes(norm)]


def _why(condition: Condition, plan: Plan, failed: Mapping[str, HarnessError]) -> str:
    """Why a condition has no number: all that is missing, without paths of this machine."""
    errors = (failed.get(condition.title), condition.missing, plan.model.missing)
    text = " ".join(dict.fromkeys(error.message for error in errors if error is not None))
    place = condition.location.path if condition.location is not None else None
    if place is not None and place.is_absolute():  # it may hold spaces, at which a path in a text ends
        text = text.replace(f"{place.parent}/", "…/")
    return public_text(text)


def _beside(had: Sequence[Evidence], found: Sequence[Evidence]) -> list[Evidence]:
    """What was found of keys that are not had already."""
    keys = {item.key for item in had}
    return [item for item in found if item.key not in keys]


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
    except (OSError, ValueError):
        reporter.note(f"{constants.ENDPOINT} can't be reached; going on with what is on this machine.")
        return replace(settings, offline=True)
    return settings


def _report_missing(plan: Plan, reporter: Reporter) -> None:
    """Say once what is missing and how to get it, and what is odd about what is here."""
    for note in dict.fromkeys(note for condition in plan.conditions for note in condition.notes):
        reporter.note(f"Note: {note}")
    for message, error in {str(e): e for e in (plan.model.missing, *(c.missing for c in plan.conditions)) if e}.items():
        reporter.note(f"{'Missing' if isinstance(error, MissingInputError) else 'Not usable'}: {message}")


def _decided_lineage(home: Path, model_name: str) -> str | None:
    """The checkpoint that `harness identify` found a model's weights to be; None where that was not decided."""
    path = ledger_path(home, model_name)
    return decided_lineage(Ledger.load(path)) if path.exists() else None
