"""What transformers' Trainer and timm's training script leave beside the weights: results of each part of the data, what a log of
the training shows, and tables of emissions."""

from __future__ import annotations

import csv
import functools
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from harness.evidence import EvidenceClass
from harness.facts.collecting import FactSource, words
from harness.facts.fields import fields_of
from harness.facts.schedule import shown_schedule
from harness.files import shipped_folder
from harness.parsing.yaml import read_yaml

_LARGE = 1e12
"""What a number is below."""
_MOST_ROWS = 1000
"""Evaluations during training, or rows of a table, that are read."""
_DERIVED: dict[str, Any] = {"class_": EvidenceClass.DERIVED}


class Measure(NamedTuple):
    """What a field of results holds: `test_macro_f1`."""

    split: str
    """`evaluation`, `test` or `train`: what the Trainer calls the part of the data."""
    metric: str
    """As a key has it."""
    average: str
    """How classes are averaged; empty where the field doesn't say."""

    @property
    def subject(self) -> str:
        """As evidence has it."""
        return f"evaluation.{self.metric}"

    @property
    def place(self) -> tuple[bool, bool]:
        """Where it stands among others: accuracy first, the loss last."""
        return (self.metric != "accuracy", self.metric == "loss")

    @property
    def name(self) -> str:
        """What it is called in a sentence."""
        said = {"f1": "F1", "top5": "top-5 accuracy"}.get(self.metric, self.metric.replace("-", " "))
        return f"{self.average} {said}".lstrip()


@functools.cache
def _measures() -> dict[str, Any]:
    found: dict[str, Any] = read_yaml(shipped_folder("templates") / "model_files.yaml").data["results"]
    return found


def measure(field: str, split: str | None = None) -> Measure | None:
    """What a field of results holds; None where it is no result.

    Args:
        field: its name.
        split: part of the data that the file is named for, where its fields don't say it.

    >>> measure("test_f1_macro")
    Measure(split='test', metric='f1', average='macro')
    """
    table = _measures()
    prefix, _, rest = field.partition("_")
    if prefix not in table["splits"]:
        prefix, rest = split or "", field
    if prefix not in table["splits"] or re.fullmatch(table["beside"], rest):
        return None
    average = next((name for name in table["averages"] if name in rest.split("_")), "")
    bare = "_".join(part for part in rest.split("_") if part != average)
    metric = next((name for name, told in table["metrics"].items() if re.fullmatch(told, bare)), None)
    if metric is None and (split or not re.fullmatch("[a-z][a-z0-9_]{1,30}", bare)):
        return None  # of fields that say no part of the data, only metrics that are known are results
    return Measure(table["splits"][prefix], metric or bare.replace("_", "-"), average)


def read_training(source: FactSource, data: Mapping[str, Any]) -> None:
    """From what transformers' Trainer and other scripts write: epochs, time, results, and what a log shows."""
    named = re.match(r"(eval|validation|val|test|predict)_", source.name or "")
    evaluated = ["epoch"] if named else []  # of the weights that were evaluated, which may not be the last
    source.take(fields_of("training"), {name: value for name, value in data.items() if name not in evaluated})
    for part in ("train", "eval", "test", "predict"):
        _count_images(source, data, part)
    _read_results(source, data, named[1] if named else None)
    _read_log(source, data)


def _parts_of_data(data: Mapping[str, Any]) -> list[tuple[str, str, Mapping[str, Any]]]:
    """Fields that lie under the name of their part of the data, `splits: {val: {top1: 93.1}}`: place, part and fields. None where
    several things have such parts, which may be of other models."""
    splits = _measures()["splits"]
    inner = [(f"{name}.", held) for name, held in data.items() if isinstance(held, dict) and name not in splits]
    found: list[list[tuple[str, str, Mapping[str, Any]]]] = [
        [(f"{at}{name}", name, told) for name, told in held.items() if name in splits and isinstance(told, dict)]
        for at, held in (("", data), *inner)
    ]
    named = [parts for parts in found if parts]
    return named[0] if len(named) == 1 else []


def _read_results(source: FactSource, data: Mapping[str, Any], split: str | None) -> None:
    told: dict[str, list[str]] = {}
    found = [(name, measure(name, split), value) for name, value in data.items()]
    for at, part, fields in _parts_of_data(data):
        found += [(f"{at}.{name}", measure(name, part), value) for name, value in fields.items()]
        counts = [name for name in fields if re.fullmatch(_measures()["count"], name)]
        if len(counts) == 1:
            _add_count(source, fields[counts[0]], f"{at}.{counts[0]}", _measures()["splits"][part])
    known = [(name, what, value) for name, what, value in found if what and what.split != "train" and _is_number(value)]
    for name, what, value in sorted(known, key=lambda item: item[1].place):
        is_percentage = what.metric in ("accuracy", "top5") and value > 1
        unit = "%" if is_percentage else None
        source.add_result(what.subject, value, name, split=what.split, average=what.average, unit=unit)
        told.setdefault(what.split, []).append(f"{what.name} {value:.4g}{' %' if unit else ''}")
    for part, said in told.items():
        source.add_result("evaluation.results", f"{words(said)}, on the {part} set", f"{part} results", split=part)


def _read_log(source: FactSource, data: Mapping[str, Any]) -> None:
    """What only several fields of `trainer_state.json` say together, and the rows of its log."""
    history, last, epochs = data.get("log_history"), data.get("max_steps"), data.get("num_train_epochs")
    rows = _evaluations(history)
    if rows:
        source.add("documented.training.log", {"rows": rows}, "log_history")
    if isinstance(last, int) and isinstance(epochs, int) and epochs > 0 and last > 0 and last % epochs == 0:
        source.add(
            "documented.training.steps-per-epoch", last // epochs, "max_steps ÷ num_train_epochs", "steps", **_DERIVED
        )
    folder = re.search(r"checkpoint-(\d+)$", str(data.get("best_model_checkpoint")))
    best = next((row for row in rows if folder and row.get("step") == int(folder[1])), None)
    if best is not None:
        if "epoch" in best:
            place = "best_model_checkpoint, epoch of that step in log_history"
            source.add("documented.training.best-epoch", best["epoch"], place, **_DERIVED)
        same = [what for name, value in best.items() if value == data.get("best_metric") and (what := measure(name))]
        if len({what.name for what in same}) == 1:
            place = "best_metric, the field of that value in log_history"
            source.add("documented.training.selection-metric", same[0].name, place, **_DERIVED)
    rates = [
        (entry["step"], float(entry["learning_rate"]))
        for entry in (history if isinstance(history, list) else ())
        if isinstance(entry, dict)
        and isinstance(entry.get("step"), int)
        and isinstance(entry.get("learning_rate"), int | float)
        and 0 <= entry["learning_rate"] < _LARGE
    ]
    shown = shown_schedule(rates, last) if isinstance(last, int) else None
    if shown is None:
        return
    place = "learning_rate in log_history"
    source.add("documented.training.learning-rate-schedule", shown.words, place, **_DERIVED)
    if shown.peak is not None:
        is_seen = {} if shown.is_logged else _DERIVED
        where = place if shown.is_logged else f"{place}, extrapolated to the peak"
        source.add("documented.training.learning-rate", shown.peak, where, **is_seen)
    if shown.warmup is not None:
        source.add("documented.training.warmup", shown.warmup, place, "steps", **_DERIVED)


def _count_images(source: FactSource, data: Mapping[str, Any], part: str) -> None:
    """How many images a run went through: as it says, or by its time and speed, in training each of them once an epoch."""
    names = [f"{part}_samples_per_second", f"{part}_runtime", *(["epoch"] if part == "train" else [])]
    told = [value for name in names if isinstance(value := data.get(name), int | float) and 0 < value < _LARGE]
    count, place, how = data.get(f"{part}_samples"), f"{part}_samples", dict[str, Any]()
    if not isinstance(count, int) and len(told) == len(names):
        rate, seconds, *epochs = told
        counted = rate * seconds / (epochs or [1])[0]
        slack = 0.0006 * counted / rate  # the speed is written with three decimals
        if slack < 0.4 and abs(counted - round(counted)) <= slack + 0.02:
            count, place, how = round(counted), " × ".join(names).replace("× epoch", "÷ epoch"), _DERIVED
    _add_count(source, count, place, _measures()["splits"][part], **how)


def _add_count(source: FactSource, count: Any, place: str, split: str, **how: Any) -> None:
    if not isinstance(count, int) or not 0 < count < _LARGE:
        return
    if split == "train":
        source.add("documented.data.training-images", count, place, "images", **how)
    else:
        source.add_result("data.evaluation-images", count, place, split=split, unit="images", **how)


def _evaluations(history: Any) -> list[dict[str, float]]:
    """What was logged at each evaluation during training, with the training loss logged last before it."""
    rows, loss = dict[Any, dict[str, float]](), None
    for entry in history if isinstance(history, list) else ():
        logged = entry.items() if isinstance(entry, dict) else ()
        told = {name: value for name, value in logged if isinstance(value, int | float) and abs(value) < _LARGE}
        loss = told.get("loss", loss)
        if "step" in told and any(name.startswith("eval_") for name in told):
            rows.setdefault(told["step"], ({"loss": loss} if loss is not None else {}) | told)
    return list(rows.values())[:_MOST_ROWS]


# --- tables -------------------------------------------------------------------------------------------------------


def read_summary(source: FactSource, text: str, settings: Mapping[str, Any]) -> None:
    """From timm's `summary.csv`: the results of the epoch that its script keeps as the best one.

    Args:
        settings: of the run, which name the split and the metric that decides.
    """
    decides = f"eval_{settings.get('eval_metric') or 'top1'}"
    rows = [row for row in _rows(text) if isinstance(row.get("epoch"), int) and _is_number(row.get(decides))]
    if not rows:
        return
    best = (min if decides.endswith("loss") else max)(rows, key=lambda row: row[decides])
    split = str(settings.get("val_split") or "validation")
    split = _measures()["splits"].get(split, split)
    size = [settings["img_size"]] * 2 if settings.get("img_size") else settings.get("input_size")
    made = {"dataset": settings.get("dataset"), "input_size": size}
    where = f"row of epoch {best['epoch']}, the best by {decides}"
    source.add("documented.training.best-epoch", best["epoch"], f"{where}, counted from 0")
    told = []
    found = {name: what for name in best if (what := measure(name)) and what.split == "evaluation"}
    for name, what in sorted(found.items(), key=lambda item: item[1].place):
        if _is_number(best[name]):
            unit = "%" if what.metric in ("accuracy", "top5") else None
            value = round(best[name], 2) if unit else best[name]
            source.add_result(what.subject, value, f"{name}, {where}", split=split, unit=unit, protocol=made)
            told.append(f"{what.name} {best[name]:.4g}{' %' if unit else ''}")
    result = f"{words(told)}, on the {split} set"
    source.add_result("evaluation.results", result, where, split=split, protocol=made)


def read_emissions(source: FactSource, text: str, _: Mapping[str, Any]) -> None:
    """From codecarbon's `emissions.csv`: of one run its last row; of several runs only what all of them have in common."""
    rows = _rows(text)
    if not rows:
        return
    runs = {row.get("run_id") for row in rows}
    same = {
        name: value for name, value in rows[-1].items() if len(runs) == 1 or all(row.get(name) == value for row in rows)
    }
    if len(runs) > 1:
        source.leave_out(f"time and emissions of {len(runs)} runs, of which it doesn't say which made the weights")
    source.take(fields_of("emissions"), same)


def _rows(text: str) -> list[dict[str, Any]]:
    found: Iterator[dict[str, Any]] = csv.DictReader(text.splitlines()[: _MOST_ROWS + 1])
    return [{str(name): _value(told) for name, told in row.items() if isinstance(told, str) and told} for row in found]


def _value(text: str) -> int | float | str:
    if re.fullmatch(r"\d{1,15}", text):
        return int(text)
    return float(text) if re.fullmatch(r"-?\d*\.?\d+(?:[eE][+-]?\d{1,3})?", text) else text


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGE
