"""Suites: YAML files that name benchmarks and metrics, and measurements of what the model costs. Strict: an unknown key
or name is an error with its line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from harness.data.catalog import Benchmark, OwnBenchmark, benchmarks, get_benchmark, own_benchmark
from harness.data.slicings import check_reference
from harness.errors import HarnessError, UsageError, nearest, require_known, unknown_name
from harness.evidence import EvidenceKey
from harness.examination.options import METHODS, ExaminationOptions
from harness.files import FILE_NAME, shipped_folder
from harness.labels.label_maps import LabelMap
from harness.metrics.multiplicity import Correction
from harness.metrics.registry import METRIC_GROUPS
from harness.metrics.slices import MIN_UNITS
from harness.parsing.files import MalformedError, read_text
from harness.parsing.yaml import Yaml, parse_yaml
from harness.robustness.options import AttackOptions

MEASUREMENTS = {
    "complexity": "parameters, multiply-adds, activations and checkpoint bytes, from the architecture",
    "architecture": "depth, stage widths and what else the configuration shows",
    "preprocessing": "from image to input, as the checkpoint or the registry states it",
    "execution": "how the network is run here, and whether that gives the answers of plain fp32",
    "latency": "milliseconds an image at batch 1: median, 95th and 99th percentile",
    "throughput": "images a second at the best batch size",
    "decoding": "latency and throughput with JPEG decoding and preprocessing",
    "memory": "peak memory of a forward pass at batch 1",
    "energy": "joules for 1,000 images, images per joule, idle power",
    "carbon": "grams of CO2e for 1,000 images",
    "training": "kWh and kg of CO2e of the model's training, estimated from documented facts where there are enough",
}
"""What a suite can ask of the model itself, without any data set."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SuiteBenchmark(_Strict):
    """One benchmark of a suite, as a name or with a selection of its conditions."""

    name: str
    corruptions: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """Corruptions to run, None for all."""
    severities: Annotated[tuple[int, ...], Field(min_length=1)] | None = None
    """Severities to run, None for all."""
    fallback: str | None = None
    """Benchmark to run instead, with the same selection, where nothing of this one is here."""

    def conditions(self, benchmark: Benchmark) -> tuple[str | None, ...]:
        """The benchmark's conditions that this suite runs; (None,) where it has none."""
        if benchmark.corruptions is None:
            return (None,)
        names = self.corruptions or benchmark.corruptions.names
        severities = self.severities or benchmark.corruptions.severities
        cells = tuple(f"{name}/{severity}" for name in names for severity in severities)
        return tuple(c for c in benchmark.conditions if "/" not in c) + cells


class SliceOptions(_Strict):
    """How slices are compared."""

    conditions: Literal["clean", "shifted", "cells"] = "clean"
    """What is sliced: unshifted sets and those made for it; also shifted sets and each corruption benchmark over all its
    cells; also every cell by itself."""
    correction: Correction = "holm"
    """For many comparisons at once: of the chance of any false finding, or of the share of false ones among the findings."""
    smallest_group: Annotated[int, Field(ge=2)] = MIN_UNITS
    """Images below which a group is shown as too small."""


class PublishedValue(_Strict):
    """A number that somebody has published for a model."""

    key: Annotated[str, AfterValidator(lambda key: str(EvidenceKey.parse(key)))]
    """Of the evidence that it is to be compared with, such as `beans.top1`."""
    value: float
    """In the metric's unit, such as percent."""
    model: str
    """As given to `--model`, or the model's id on the Hub."""
    title: str
    """Who says so."""
    url: str | None = None
    place: str | None = None
    """Where on that page: a line, a table."""


class Suite(_Strict):
    """What a run does."""

    name: Annotated[str, Field(pattern=f"^{FILE_NAME}$")]
    """Letters, digits, '.', '_', '+' and '-': it becomes the name of files."""
    title: str
    description: str
    benchmarks: tuple[SuiteBenchmark, ...] = ()
    metrics: tuple[str, ...] = ()
    """Names in `METRIC_GROUPS`."""
    measurements: tuple[str, ...] = ()
    """Names in `MEASUREMENTS`; a suite has benchmarks or measurements or both."""
    attacks: AttackOptions | None = None
    """Attacks on its images, which are then as many as `images` or `--attack-images` say; for the metrics `adversarial`."""
    slicings: tuple[Annotated[tuple[str, ...], Field(min_length=1)], ...] = ()
    """Ways to sort samples into groups, each a name of the slicing catalog (`wordnet`, or one group as `wordnet/n02084071`),
    or several of which all pairs of groups are formed."""
    slice_options: SliceOptions = SliceOptions()
    slices: Path | None = None
    """Slices of one's own, as `--slices` takes them: a table, relative to the suite's file."""
    label_maps: dict[str, LabelMap] = {}
    """How a model's outputs are read in other classes, for data of one's own to name."""
    examination: ExaminationOptions = ExaminationOptions()
    """How attributions are made, where `metrics` asks for them."""
    published: tuple[PublishedValue, ...] = ()
    """What others have published on these benchmarks."""
    own: dict[str, Benchmark] = {}
    """Data of one's own among the benchmarks, by name: the entries that say where it is."""
    is_of_data: bool = False
    """Whether nobody named a suite: it is made of the data that is given."""

    def benchmark(self, name: str) -> Benchmark:
        """One of its benchmarks, of the catalog or one's own. Raises HarnessError for another name."""
        return self.own[name] if name in self.own else get_benchmark(name)

    @property
    def takes_classes_from_model(self) -> bool:
        """Whether some of its data has the classes of the model, whatever model that is."""
        return any(self.benchmark(entry.name).classes_from is not None for entry in self.benchmarks)


def suite_for(name_or_path: str | Path | None, data: Mapping[str, str]) -> Suite:
    """The suite of a run: the one that is named, or what the data alone makes.

    Args:
        data: place by name, as given with --data.

    Raises:
        HarnessError: as `load_suite`; data that the suite has no benchmark for, or neither of the two.
    """
    if name_or_path is None:
        return _suite_of(data)
    suite = load_suite(name_or_path)
    known = benchmarks() | suite.own
    for name, path in data.items():
        if name not in known:
            error = unknown_name("benchmark", name, known)
            alone = f"For data of your own leave --suite out: --data {path}, or describe it in a suite file."
            raise UsageError(error.message, remedy=f"{error.remedy} {alone}")
    return suite


def _suite_of(data: Mapping[str, str]) -> Suite:
    """What a run without a suite does: accuracy and calibration on the data sets that are given, each a benchmark of the
    catalog or data of one's own with the classes of the model.

    Args:
        data: place by name.

    Raises:
        UsageError: none is given.
    """
    if not data:
        raise UsageError(
            "Neither a suite nor data is given.", remedy="Name a suite with --suite, or your data with --data DIR."
        )
    own = {
        name: OwnBenchmark(path=path, title=_title_of(name, path)).benchmark(name, Path())
        for name, path in data.items()
        if name not in benchmarks()
    }
    return Suite(
        name="+".join(data),
        title=", ".join(own[name].title if name in own else name for name in data),
        description="Accuracy and calibration on one's own data.",
        benchmarks=tuple(SuiteBenchmark(name=name) for name in data),
        metrics=("accuracy", "calibration", *(["confusion"] if own else [])),
        own=own,
        is_of_data=True,
    )


def _title_of(name: str, path: str) -> str:
    """What data is called for people: the folder that gave it its name, as it is spelt."""
    unnamed = own_benchmark(path)
    return unnamed.title if unnamed.name == name else name


def suite_names() -> list[str]:
    """The suites that ship with this installation."""
    return sorted(path.stem for path in shipped_folder("eval_suites").glob("*.yaml"))


def load_suite(name_or_path: str | Path) -> Suite:
    """Load a shipped suite by its name or a user's by its path.

    Raises:
        HarnessError: no such suite; or a fault in the file, named by line with the nearest known name.
    """
    path = Path(name_or_path).expanduser()
    if not (path.suffix in (".yaml", ".yml") or path.is_file()):
        require_known("suite", str(name_or_path), suite_names(), where="or give the path of a YAML file")
        path = shipped_folder("eval_suites") / f"{name_or_path}.yaml"
    return parse_suite(read_text(path), path)


def parse_suite(text: str, path: Path) -> Suite:
    """Parse a suite file's text; `path` is for messages. Raises HarnessError naming the line."""
    try:
        tree = parse_yaml(text)
    except MalformedError as error:
        raise _fault(path, error.line, error.why, None) from error
    data = tree.data
    if not isinstance(data, dict):
        raise _fault(path, 1, "it is not a mapping", "A suite has: " + ", ".join(Suite.model_fields))
    own: dict[str, Benchmark] = {}
    try:
        maps = TypeAdapter(dict[str, LabelMap]).validate_python(data.get("label_maps", {}))
    except ValidationError as error:
        raise _invalid(error, ("label_maps",), tree, path) from error
    if isinstance(data.get("benchmarks"), list):
        data["benchmarks"] = [{"name": e} if isinstance(e, str) else e for e in data["benchmarks"]]
        for index, entry in enumerate(data["benchmarks"]):
            if isinstance(entry, dict) and "path" in entry and isinstance(entry.get("name"), str):
                data["benchmarks"][index] = {"name": entry.pop("name")}
                own |= _own(data["benchmarks"][index]["name"], entry, ("benchmarks", index), tree, path, maps)
    if isinstance(data.get("slicings"), list):
        data["slicings"] = [[e] if isinstance(e, str) else e for e in data["slicings"]]
    try:
        suite = Suite.model_validate(
            {name: value for name, value in data.items() if name not in _NOT_IN_FILES} | {"own": own}
        )
    except ValidationError as error:
        raise _invalid(error, (), tree, path) from error
    if suite.slices is not None:
        suite = suite.model_copy(update={"slices": path.parent / suite.slices})
    _check_names(suite, tree, path)
    return suite


_NOT_IN_FILES = frozenset({"own", "is_of_data"})
_RECORDS: dict[str, tuple[type[BaseModel], ...]] = {
    "benchmarks": (SuiteBenchmark, OwnBenchmark),
    "label_maps": (LabelMap,),
    "slice_options": (SliceOptions,),
    "examination": (ExaminationOptions,),
    "published": (PublishedValue,),
    "attacks": (AttackOptions,),
}
"""What the records below a suite's keys may hold."""


def _own(
    name: str, fields: dict[str, Any], loc: tuple[int | str, ...], tree: Yaml, path: Path, maps: Mapping[str, LabelMap]
) -> dict[str, Benchmark]:
    try:
        return {name: OwnBenchmark.model_validate(fields).benchmark(name, path.parent, maps)}
    except ValidationError as error:
        raise _invalid(error, loc, tree, path) from error
    except HarnessError as error:
        raise _fault(path, tree.line(loc), error.message.rstrip("."), error.remedy) from error


def _invalid(error: ValidationError, above: tuple[int | str, ...], tree: Yaml, path: Path) -> HarnessError:
    """What is wrong with the part of a file at `above`. A misspelt key also leaves the right one missing; the misspelling is
    what to name."""
    first = min(error.errors(), key=lambda fault: fault["type"] != "extra_forbidden")
    loc = (*above, *first["loc"])
    hint = None
    if first["type"] == "extra_forbidden":
        records = _RECORDS.get(str(loc[0]), (Suite,)) if len(loc) > 1 else (Suite,)
        fields = [name for record in records for name in record.model_fields if name not in _NOT_IN_FILES]
        close = nearest(str(loc[-1]), fields)
        hint = f"Did you mean {close[0]}?" if close else f"Known keys: {', '.join(fields)}."
    return _fault(path, tree.line(loc), f"{'.'.join(map(str, loc))}: {first['msg']}", hint)


def _check_names(suite: Suite, tree: Yaml, path: Path) -> None:
    def fault(loc: tuple[int | str, ...], why: str, hint: str | None = None) -> HarnessError:
        return _fault(path, tree.line(loc), why, hint)

    def check(kind: str, name: str, known: Iterable[str], *loc: int | str) -> None:
        if name not in (names := list(known)):
            error = unknown_name(kind, name, names)
            raise fault(loc, error.message.rstrip("."), error.remedy)

    if not suite.benchmarks and not suite.measurements:
        raise fault(("benchmarks",), "benchmarks: needs at least 1 item where there are no measurements")
    if suite.benchmarks and not suite.metrics:
        why = "metrics: needs at least 1 item where there are benchmarks"
        raise fault(("metrics",), why, f"Known: {', '.join(METRIC_GROUPS)}.")
    for index, metric in enumerate(suite.metrics):
        check("metric", metric, METRIC_GROUPS, "metrics", index)
    for index, method in enumerate(suite.examination.methods):
        check("attribution method", method, METHODS, "examination", "methods", index)
    for index, measurement in enumerate(suite.measurements):
        check("measurement", measurement, MEASUREMENTS, "measurements", index)
    if ("adversarial" in suite.metrics) != (suite.attacks is not None):
        raise fault(("metrics",), "metrics: `adversarial` and `attacks:` belong together", "Give both, or neither.")
    for index, references in enumerate(suite.slicings):
        for reference in references:
            try:
                check_reference(reference)
            except HarnessError as error:
                raise fault(("slicings", index), error.message.rstrip("."), error.remedy) from error
    for index, entry in enumerate(suite.benchmarks):
        loc = ("benchmarks", index)
        if entry.name in (earlier.name for earlier in suite.benchmarks[:index]):
            raise fault(loc, f"{entry.name} is listed twice", "List it once, with all that is wanted of it.")
        if entry.name in suite.own:
            continue
        check("benchmark", entry.name, benchmarks(), *loc)
        if entry.fallback is not None:
            check("benchmark", entry.fallback, benchmarks(), *loc, "fallback")
        axes = benchmarks()[entry.name].corruptions
        if suite.attacks is not None and axes is not None:
            raise fault(loc, f"{entry.name} has corruptions, and attacks act on images as they are", "Leave it out.")
        if axes is None:
            if entry.corruptions or entry.severities:
                raise fault(loc, f"{entry.name} has no corruptions or severities", "Leave them out.")
            continue
        for corruption in entry.corruptions or ():
            check(f"corruption of {entry.name}", corruption, axes.names, *loc, "corruptions")
        if unknown := [severity for severity in entry.severities or () if severity not in axes.severities]:
            known = f"Severities: {', '.join(map(str, axes.severities))}."
            raise fault((*loc, "severities"), f"{entry.name} has no severity {unknown[0]}", known)


def _fault(path: Path, line: int | None, why: str, hint: str | None) -> HarnessError:
    where = f"{path}, line {line}" if line else str(path)
    return UsageError(f"The suite {where}: {why}.", remedy=hint)
