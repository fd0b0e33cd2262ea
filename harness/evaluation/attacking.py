"""Attacks on the images of a plan: which images, what is stored already, and what the rest gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from harness.data.annotations import robustbench_images
from harness.errors import HarnessError, UsageError
from harness.evaluation.plan import Condition, Plan, condition_projections, generated_cell, sample_keys
from harness.evaluation.scoring import Attacked, Scored
from harness.models.loading import LoadedModel, ModelIdentity
from harness.progress import Reporter
from harness.robustness.options import AttackOptions
from harness.store.attacks import AttackedImage, AttackStore

_VERSION = 1
"""Of the attacks: another one finds other perturbations."""


def attack_conditions(
    plan: Plan,
    identity: ModelIdentity,
    load_once: Callable[[], LoadedModel],
    reporter: Reporter,
    scored: Mapping[str, Scored],
    failed: dict[str, HarnessError],
) -> dict[str, Scored]:
    """The scored conditions with what attacks found; a condition that can't be attacked is added to `failed`."""
    from harness.robustness.attacks import foolbox

    options, found = plan.suite.attacks, dict(scored)
    assert options is not None
    for condition in plan.runnable:
        if condition.title not in scored:
            continue
        try:
            foolbox()
            found[condition.title] = replace(
                scored[condition.title], attacked=_attacked(plan, options, condition, identity, load_once, reporter)
            )
        except HarnessError as error:
            failed[condition.title] = error
            reporter.note(f"Failed: attacks on {condition.title}: {error}")
    return found


def _attacked(
    plan: Plan,
    options: AttackOptions,
    condition: Condition,
    identity: ModelIdentity,
    load_once: Callable[[], LoadedModel],
    reporter: Reporter,
) -> Attacked:
    import torch

    from harness.robustness.search import attack
    from harness.runtime.batches import decode_batch
    from harness.runtime.decoding import Images
    from harness.runtime.execution import fixed_config
    from harness.runtime.gradients import differentiable

    if condition.benchmark.label_sets:
        raise UsageError(f"{condition.benchmark.name} has images with several right classes, which attacks don't know.")
    projection = condition_projections(condition, identity)[0]
    config = fixed_config(plan.settings, convolutional=identity.convolutional)
    protocol = {
        "version": _VERSION,
        "options": options.model_dump(mode="json", exclude={"images"}),
        "preprocessing": identity.preprocessing.model_dump(mode="json"),
        "input": condition.benchmark.input,
        "projection": projection.fingerprint,
        "execution": config.protocol() | {"precision": "fp32"},
    }
    store = AttackStore.of(plan.settings.home, identity.weights, condition.benchmark.name, protocol)
    samples = list(sample_keys(condition.samples))
    checked = set(samples[: options.checked_images])
    done = store.read()

    def is_done(sample: tuple[str, str, int]) -> bool:
        return sample in done and (done[sample].is_checked or sample not in checked)

    todo = [at for at, sample in enumerate(samples) if not is_done(sample)]
    if todo:
        images = Images(condition.opened, identity.preprocessing).pixels(generated_cell(condition, plan.settings))
        # One by one a CPU is as fast, and a kill loses one image.
        size = 1 if config.device_type == "cpu" else config.batch_size
        with (
            differentiable(load_once(), projection, config) as model,
            reporter.progress(f"Attacks on {condition.title}", len(samples), done=len(samples) - len(todo)) as advance,
        ):
            for first in range(0, len(todo), size):
                batch = decode_batch(images, todo[first : first + size])
                readable = [at for at, is_readable in zip(batch.positions, batch.readable, strict=True) if is_readable]
                if not readable:
                    continue
                labels = [int(projection.label_map[samples[at][2]]) for at in readable]
                present = [label if projection.columns[label] >= 0 else -1 for label in labels]
                ids, more = [samples[at][0] for at in readable], [samples[at] in checked for at in readable]
                results = attack(model, torch.as_tensor(batch.pixels), present, ids, options, more)
                finished = [
                    AttackedImage(*samples[at], answer, is_checked, outcomes)
                    for at, is_checked, (answer, outcomes) in zip(readable, more, results, strict=True)
                ]
                store.add(finished)
                done |= {image.sample: image for image in finished}
                advance(len(batch.positions))
    return Attacked(options, store.digest, [done[sample] for sample in samples if sample in done], _which(condition))


def _which(condition: Condition) -> str:
    ids = condition.samples["sample_id"].tolist()
    listed = sum(sample_id in robustbench_images() for sample_id in ids)
    order = "the first of the class-balanced, seeded order"
    if listed == len(ids):
        return f"{order} that are among RobustBench's 5,000"
    return order if not listed else f"{listed:,} of RobustBench's 5,000, then {order}"
