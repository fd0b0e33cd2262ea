"""The benchmark catalog: what each data set is, how large, under which terms, and how a person gets it.

The entries live in `benchmarks.yaml`; a new benchmark is a new entry there. The schema is strict: an unknown key, a
missing reason or a label space that doesn't exist stops the program, since every later number rests on these facts.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from harness.errors import UsageError, unknown_name
from harness.labels.spaces import LABEL_SPACES

_CATALOG_FILE = Path(__file__).with_name("benchmarks.yaml")

SampleIdRule = Literal["ilsvrc", "stem", "synset/filename"]
"""How a published image name becomes a sample id.

`ilsvrc`: the `ILSVRC2012_val_########.JPEG` found in the name; `stem`: the file name without its suffix;
`synset/filename`: the class's synset and the file name.
"""


CLEAN_CROPS = "clean"
"""The condition of a generated benchmark that holds its crops without corruption."""


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Licence(_Entry):
    """The terms of the images (not of any code)."""

    name: str | None
    """SPDX identifier or the terms' own name; None where the authors state none."""
    read_at: str
    """Where that was read."""
    note: str | None = None
    """What a reader must know to not misread `name`."""


class HubSource(_Entry):
    """Where the benchmark is on the Hugging Face Hub, either as rows (image, label) or as one archive to unpack."""

    id: str
    """Repository of type data set, e.g. "ILSVRC/imagenet-1k"."""
    config: str | None = None
    split: str | None = None
    files: str | None = None
    """The split's Parquet files inside the repository (glob), so that no other split is downloaded."""
    archive: str | None = None
    """An archive in the repository that holds the publisher's folder; then there are no rows."""
    gated: bool
    """Whether the terms must be accepted on the Hub, and a token given, before anything can be read."""
    image: str = "image"
    """Column with the encoded image."""
    label: str | None = "label"
    """Column with the class; None for an archive, whose folders name the classes."""
    numbering: Literal["index", "synset", "folder"]
    """index: an integer position in the label space; synset: names that are synsets; folder: as in the archive."""
    read_at: str
    """Where that was read."""

    @model_validator(mode="after")
    def _one_form(self) -> HubSource:
        if (self.archive is None) == (self.split is None):
            raise ValueError("a Hub source has either a split (rows) or an archive")
        if (self.archive is not None) != (self.numbering == "folder"):
            raise ValueError("numbering 'folder' belongs to an archive, and only to it")
        return self


class PackageSource(_Entry):
    """Images that ship inside a Python package; its files are read, the package is never imported."""

    module: str
    requirement: str
    """What to give to pip, e.g. "foolbox==3.3.4"."""
    folder: str
    """Folder inside the package."""
    pattern: str
    """Regular expression of a whole file name, with the class index as group `label`."""


class Corruptions(_Entry):
    """The cells of a corruption benchmark."""

    scored: tuple[str, ...] = Field(min_length=1)
    """Corruptions that count for the mean corruption error."""
    extra: tuple[str, ...]
    """Corruptions that are reported apart."""
    severities: tuple[int, ...] = Field(min_length=1)

    @property
    def names(self) -> tuple[str, ...]:
        """All corruptions, the scored ones first."""
        return self.scored + self.extra


class Benchmark(_Entry):
    """A named data set with its published protocol."""

    name: str
    title: str
    size: int = Field(gt=0)
    """Published number of images; for corruptions, in each cell."""
    label_space: str
    homepage: str
    licence: Licence
    citation: str
    """BibTeX, or one line where the authors give none."""
    hub: HubSource | None = None
    hub_reason: str | None = None
    """Why `hub` is None."""
    package: PackageSource | None = None
    clean: bool
    """An unshifted set, on which the sanity gate may judge a model."""
    same_images_as: str | None = None
    """A benchmark with the same photographs, shown otherwise (corrupted) or labelled otherwise."""
    generated_from: str | None = None
    """A benchmark from whose images the corrupted ones are generated on the fly; then nothing is stored on disk."""
    scored_from: str | None = None
    """A benchmark whose stored predictions this one is scored from; then it has no images of its own to run."""
    sample_id: SampleIdRule
    label_sets: bool = False
    """Whether a sample may have several right classes, which its copy's table names; any of them is right."""
    corruptions: Corruptions | None = None
    get: str
    """A few sentences for a person: where from, which folder shape, size in GB."""
    input: Literal["image", "ready-224"]
    """ready-224: the images are already cropped to 224 x 224 and must not be resized again."""

    @model_validator(mode="after")
    def _consistent(self) -> Benchmark:
        if (self.hub is None) == (self.hub_reason is None):
            raise ValueError("give either `hub` or `hub_reason`")
        if self.label_space not in LABEL_SPACES:
            raise ValueError(f"label_space '{self.label_space}' is none of {', '.join(LABEL_SPACES)}")
        return self

    @property
    def conditions(self) -> tuple[str, ...]:
        """The cells `corruption/severity`, scored corruptions first; empty where the benchmark is one condition.

        Before generated cells stands `clean`: the same crops, uncorrupted.
        """
        if self.corruptions is None:
            return ()
        cells = (f"{name}/{severity}" for name in self.corruptions.names for severity in self.corruptions.severities)
        return (*cells,) if self.generated_from is None else (CLEAN_CROPS, *cells)


@cache
def benchmarks() -> dict[str, Benchmark]:
    """All benchmarks by name, in the order of the catalog.

    Raises pydantic.ValidationError, ValueError: the shipped catalog is damaged.
    """
    entries = yaml.safe_load(_CATALOG_FILE.read_text(encoding="utf-8"))
    known = {name: Benchmark(name=name, **entry) for name, entry in entries.items()}
    for benchmark in known.values():
        for other in (benchmark.same_images_as, benchmark.scored_from, benchmark.generated_from):
            if other is not None and other not in known:
                raise ValueError(f"{_CATALOG_FILE}: {benchmark.name} refers to '{other}', which is no benchmark")
    return known


def get_benchmark(name: str) -> Benchmark:
    """The benchmark called `name`. Raises HarnessError with the nearest names where there is none."""
    if name not in benchmarks():
        raise unknown_name("benchmark", name, benchmarks())
    return benchmarks()[name]


def parse_data_options(options: list[str]) -> dict[str, str]:
    """`BENCHMARK=PATH` options as a mapping.

    Raises HarnessError: an option without `=`, an unknown benchmark, or one that is given twice.
    """
    given: dict[str, str] = {}
    for option in options:
        name, equals, path = option.partition("=")
        if not equals or not name or not path:
            message = f"--data {option} is not BENCHMARK=PATH."
            raise UsageError(message, remedy="Example: --data imagenet-val=/data/imagenet/val")
        get_benchmark(name)
        if name in given:
            raise UsageError(f"--data {name} is given twice.", remedy="Give it once.")
        given[name] = path
    return given
