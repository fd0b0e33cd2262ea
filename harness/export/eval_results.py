"""Scores as the Hub's evaluation results: `.eval_results/BENCHMARK.yaml` for a model's repository.

Which data set and which of its tasks a benchmark is on the Hub only its owners know, so both are named by the user.
"""

from __future__ import annotations

from collections.abc import Sequence

import yaml

from harness.cards.metadata import is_publishable
from harness.data.catalog import get_benchmark
from harness.errors import MissingInputError, UsageError
from harness.evidence import show_interval
from harness.export.sources import Files, Source, Task

_EXAMPLE = "--task imagenet-val=ILSVRC/imagenet-1k:TASK, with TASK as the data set's eval.yaml names it"


def parse_tasks(options: Sequence[str]) -> dict[str, Task]:
    """`BENCHMARK=DATASET:TASK` options as a mapping. Raises HarnessError for one that is none, or an unknown benchmark."""
    found = {}
    for option in options:
        benchmark, _, place = option.partition("=")
        dataset, _, task = place.rpartition(":")
        if not (benchmark and task and dataset.count("/") == 1):
            raise UsageError(f"--task {option} is not BENCHMARK=ORG/DATASET:TASK.", remedy=f"Example: {_EXAMPLE}.")
        found[get_benchmark(benchmark).name] = Task(dataset, task)
    return found


def export(source: Source) -> Files:
    """One file a benchmark that a task is named for, with its top-1 in percent.

    Raises:
        UsageError: no task is named.
        MissingInputError: the benchmark's top-1 was not measured here on all of its images.
    """
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    if not source.tasks:
        raise UsageError("Nobody said which data sets on the Hub the results belong to.", remedy=f"Give {_EXAMPLE}.")
    for benchmark, place in source.tasks.items():
        item = source.ledger.get(f"{benchmark}.top1")
        if item is None or not is_publishable(item):
            how = "that was measured on all of its images"
            remedy = "Run it without --limit; results on a part are not the benchmark's score."
            if item is not None and "imported" in (item.protocol or {}):
                how = "that harness itself measured"
                remedy = "Run the model: predictions from elsewhere say nothing of who made them."
            raise MissingInputError(f"The ledger of {source.name} has no top-1 of {benchmark} {how}.", remedy=remedy)
        entry = EvalResultEntry(
            dataset_id=place.dataset,
            task_id=place.task,
            value=round(item.number, 3),
            date=item.created,
            notes=f"top-1 accuracy in percent, 95 % interval {show_interval(item)}, n = {item.n:,}",
        )
        text = yaml.safe_dump(eval_result_entries_to_yaml([entry]), sort_keys=False, allow_unicode=True, width=1000)
        yield f".eval_results/{benchmark}.yaml", text.encode()
