"""The benchmark catalog: what each data set is, how large, under which terms, and how a person gets it.

The entries live in `benchmarks.yaml`; a new benchmark is a new entry there. The schema is strict: an unknown key, a
missing reason or a label space that doesn't exist stops the program, since every later number rests on these facts.
"""

from __future__ import annotations

import importlib.metadata
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from harness.errors import UsageError, require_known
from harness.evidence import Ledger
from harness.labels.label_maps import LabelMap, label_map
from harness.labels.outputs import OutputLabels
from harness.labels.spaces import LABEL_SPACES, OWN, LabelSpace, folded, installed_folder, label_space
from harness.parsing.json import shaped
from harness.parsing.yaml import read_yaml
from harness.settings import catalog_folder

_CATALOG_FILE = Path(__file__).with_name("benchmarks.yaml")

SampleIdRule = Literal["ilsvrc", "stem", "synset/filename", "file", "path"]
"""How a published image name becomes a sample id.

`ilsvrc`: the `ILSVRC2012_val_########.JPEG` found in the name; `stem`: the file name without its suffix;
`synset/filename`: the class's synset and the file name; `file`: where the image lies in the copy; `path`: the same, for data of one's own.
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
    shows: str | None = None
    """What its images are, for a reader who has not heard of it."""
    size: int = Field(ge=0)
    """Published number of images; for corruptions, in each cell. Of data of one's own, as many as the copy has: 0 before it
    has been opened."""
    scored: int | None = None
    """How many of them count, where labels leave some out."""
    label_space: str
    classes: tuple[str, ...] | None = None
    """The classes in order, where the label space has no known list: synsets or names."""
    classes_from: Literal["model"] | None = None
    """`model` before the model is known whose classes these are."""
    label_map: LabelMap | None = None
    """How the outputs of a model with other classes are read; in a file a shipped map by its name, or a record."""
    other_classes: bool = False
    """Whether its copies also have folders of classes that are not scored."""
    class_in_name: str | None = None
    """For images whose names say their class: a regular expression of a file name, with the group `class`. Other groups are
    annotations."""
    texture_in_name: str | None = None
    """For images whose shape and texture show different classes: a regular expression of the sample id, with the classes as
    groups `shape` and `texture`."""
    background_gap_to: str | None = None
    """A benchmark with the same foregrounds before other backgrounds, with whose accuracy this one's is compared."""
    path: str | None = None
    """Where the copy of data of one's own is: a folder, a file or `hf:OWNER/NAME`; or where the file of labels is."""
    split: str | None = None
    """The split of it on the Hub, where it has several."""
    homepage: str
    licence: Licence
    citation: str
    """BibTeX, or one line where the authors give none."""
    hub: HubSource | None = None
    hub_reason: str | None = None
    """Why `hub` is None."""
    package: PackageSource | None = None
    clean: bool = False
    """An unshifted set, on which the sanity gate may judge a model."""
    same_images_as: str | None = None
    """A benchmark with the same photographs, shown otherwise (corrupted) or labelled otherwise."""
    generated_from: str | None = None
    """A benchmark from whose images the corrupted ones are generated on the fly; then nothing is stored on disk."""
    scored_from: str | None = None
    """A benchmark whose stored predictions this one is scored from; then it has no images of its own to run."""
    labels_file: str | None = None
    """The file with the labels that it is scored by, as its authors name it; None where a package ships them."""
    sample_id: SampleIdRule
    outliers: bool = False
    """Whether its images show none of the classes, and a model is to notice that; they have no labels then."""
    is_noise: bool = False
    """Whether its images are noise that is generated when they are read."""
    label_sets: bool = False
    """Whether a sample may have several right classes, which its copy's table names; any of them is right."""
    corruptions: Corruptions | None = None
    get: str
    """A few sentences for a person: where from, which folder shape, size in GB."""
    input: Literal["image", "ready-224", "bordered-2"] = "image"
    """ready-224: the images are already cropped to 224 x 224 and must not be resized again; bordered-2: a border of two pixels
    is no part of them."""

    @model_validator(mode="before")
    @classmethod
    def _takes_classes_from_its_map(cls, fields: Any) -> Any:
        if isinstance(fields, dict) and isinstance(fields.get("label_map"), str):
            fields = fields | {"label_map": label_map(fields["label_map"])}
            fields.setdefault("classes", tuple(fields["label_map"].classes))
        return fields

    @model_validator(mode="after")
    def _consistent(self) -> Benchmark:
        if (self.hub is None) == (self.hub_reason is None):
            raise ValueError("give either `hub` or `hub_reason`")
        if self.label_space not in LABEL_SPACES and not self.classes and not self.classes_from:
            raise ValueError(f"label_space '{self.label_space}' is none of {', '.join(LABEL_SPACES)}")
        if not self.size and not self.is_own:
            raise ValueError("size is 0: say how many images were published")
        twice = [name for name, count in Counter(map(folded, self.classes or ())).items() if count > 1]
        if twice:
            raise ValueError(f"the class '{twice[0]}' comes twice")
        return self

    @property
    def is_own(self) -> bool:
        """Whether it is data of one's own, of which nobody has published how many images or classes there are."""
        return self.sample_id == "path"

    @property
    def not_to_be_shown(self) -> str | None:
        """Why its images are not for cards and reports, as the end of a sentence; None where their licence is open."""
        if self.hub is not None and self.hub.gated:
            return "is gated"
        return "has no stated licence" if self.licence.name is None else None

    @property
    def space(self) -> LabelSpace:
        """Its classes. Those of a model have to be known first, see `with_classes_of`."""
        if self.classes is not None:
            return LabelSpace(self.label_space, self.classes, numbered=self.label_space == self.name)
        return label_space(self.label_space)

    def with_classes_of(self, labels: OutputLabels) -> Benchmark:
        """The same with the classes of a model, where it takes them from there."""
        if self.classes_from is None:
            return self
        space = labels.label_space()
        classes = None if space.name in LABEL_SPACES else space.classes
        return self.model_copy(update={"label_space": space.name, "classes": classes, "classes_from": None})

    @property
    def conditions(self) -> tuple[str, ...]:
        """The cells `corruption/severity`, scored corruptions first; empty where the benchmark is one condition.

        Before generated cells stands `clean`: the same crops, uncorrupted.
        """
        if self.corruptions is None:
            return ()
        cells = (f"{name}/{severity}" for name in self.corruptions.names for severity in self.corruptions.severities)
        return (*cells,) if self.generated_from is None else (CLEAN_CROPS, *cells)


class OwnBenchmark(_Entry):
    """Data of one's own, as a catalog file or a suite describes it."""

    path: str
    """A folder or file, relative to the file that says so; or `hf:OWNER/NAME[@REVISION]`."""
    split: str | None = None
    """On the Hub, or in a folder of Parquet files: the split to read. None for validation, or the only one."""
    title: str | None = None
    classes: tuple[str, ...] | None = Field(None, min_length=2)
    """The classes in the order of their indices, by name or by synset."""
    classes_from: Literal["model", "imagenet-1k", "imagenet-22k"] = "model"
    """Whose classes they are where `classes` doesn't name them."""
    label_map: LabelMap | str | None = None
    """How the outputs of a model with other classes are read: a map by its name, shipped or of the same file, or `rule` and
    `classes`."""
    clean: bool = True
    """An unshifted set, on which the sanity gate may judge a model."""
    licence: str | None = None
    homepage: str = ""
    citation: str = ""

    def benchmark(self, name: str, folder: Path, maps: Mapping[str, LabelMap] | None = None) -> Benchmark:
        """The benchmark of this name; `folder` is what a relative path starts from, `maps` are label maps of one's own.

        Raises UsageError: a name that is no key, or that of a benchmark that harness knows.
        """
        if not _NAME.fullmatch(name):
            remedy = "Use small letters, digits, '-', '_' and '.', and start with a letter or digit."
            raise UsageError(f"'{name}' can't be the name of a benchmark.", remedy=remedy)
        if name in shipped():
            remedy = f"Choose another name; for a copy of that benchmark: --suite SUITE --data {name}={self.path}"
            raise UsageError(f"{name} is a benchmark of the catalog, not the name of other data.", remedy=remedy)
        is_local = not self.path.startswith("hf:")
        through = label_map(self.label_map, maps) if isinstance(self.label_map, str) else self.label_map
        classes = tuple(through.classes) if through is not None else self.classes
        takes_model = classes is None and self.classes_from == "model"
        return Benchmark(
            name=name,
            title=self.title or name,
            size=0,
            label_space=name if classes else OWN if takes_model else self.classes_from,
            classes=classes,
            label_map=through,
            classes_from="model" if takes_model else None,
            path=str(folder / Path(self.path).expanduser()) if is_local else self.path,
            split=self.split,
            homepage=self.homepage,
            licence=Licence(name=self.licence, read_at="as its owner says"),
            citation=self.citation,
            hub_reason="data of one's own",
            clean=self.clean,
            sample_id="path",
            get=f"It is data of one's own: --data {name}=DIR says where.",
        )


def own_benchmark(place: str | Path) -> Benchmark:
    """Data of one's own that is only a place: a folder, a file or `hf:OWNER/NAME`, named after it."""
    text = str(place)
    parts = Path(text.removeprefix("hf:").partition("@")[0] if text.startswith("hf:") else Path(text).resolve()).parts
    # Whose validation set it is says the folder above.
    count = 2 if len(parts) > 2 and parts[-1].lower() in _GENERIC else 1
    name = re.sub(r"[^a-z0-9._-]+", "-", "-".join(parts[-count:]).removesuffix(".parquet").lower()).strip("-._")
    return OwnBenchmark(path=text, title="/".join(parts[-count:])).benchmark(name or "data", Path())


_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_GENERIC = frozenset({"validation", "valid", "val", "test", "train", "eval", "images", "data", "holdout"})
"""Names of folders that say nothing of what is in them."""


@cache
def shipped() -> dict[str, Benchmark]:
    """The benchmarks of harness itself by name, in the order of the catalog.

    Raises pydantic.ValidationError, ValueError: the shipped catalog is damaged.
    """
    entries = read_yaml(_CATALOG_FILE).data
    known = {name: Benchmark(name=name, **entry) for name, entry in entries.items()}
    for benchmark in known.values():
        others = (
            benchmark.same_images_as,
            benchmark.scored_from,
            benchmark.generated_from,
            benchmark.background_gap_to,
        )
        for other in others:
            if other is not None and other not in known:
                raise ValueError(f"{_CATALOG_FILE}: {benchmark.name} refers to '{other}', which is no benchmark")
    return known


@cache
def _added(folders: tuple[Path, ...]) -> dict[str, Benchmark]:
    """The benchmarks of the YAML files in some folders, each `benchmarks: {NAME: {path: ..., ...}}`.

    Raises UsageError: a fault in a file, or a name that comes twice.
    """
    known: dict[str, Benchmark] = {}
    for file in (file for folder in folders for file in sorted(folder.glob("*.yaml"))):
        try:
            added = _CatalogFile.model_validate(read_yaml(file).data)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the file as a whole"
            remedy = "Expected: benchmarks: {NAME: {path: FOLDER, classes: [...]}}."
            raise UsageError(f"The catalog {file}: {where}: {first['msg']}.", remedy=remedy) from error
        for name, entry in added.benchmarks.items():
            if name in known:
                remedy = "Give one of them another name."
                raise UsageError(f"The catalog {file} describes {name} a second time.", remedy=remedy)
            known[name] = entry.benchmark(name, file.parent, added.label_maps)
    return known


def _catalog_folders() -> tuple[Path, ...]:
    """Where more benchmarks are described: HARNESS_CATALOG, and packages with the entry point `harness.benchmarks`, whose files
    are read and whose code is not run.

    Raises UsageError: HARNESS_CATALOG is no folder.
    """
    folders = []
    if (given := catalog_folder()) is not None:
        if not given.is_dir():
            raise UsageError(
                f"HARNESS_CATALOG={given} is no folder.", remedy="Name a folder with catalog files (*.yaml)."
            )
        folders.append(given)
    return (*folders, *_package_folders())


@cache
def _package_folders() -> tuple[Path, ...]:
    points = importlib.metadata.entry_points(group=ENTRY_POINTS)
    packages = sorted({point.value.partition(":")[0] for point in points})
    return tuple(folder for package in packages if (folder := installed_folder(package)) is not None)


ENTRY_POINTS = "harness.benchmarks"
"""Group of entry points whose values name packages with catalog files in their folder."""


class _CatalogFile(_Entry):
    benchmarks: dict[str, OwnBenchmark]
    label_maps: dict[str, LabelMap] = {}


def benchmarks(*ledgers: Ledger) -> dict[str, Benchmark]:
    """All benchmarks by name, in the order of the catalog; then the data of somebody's own that catalog files and ledgers
    describe.

    Raises UsageError: a fault in a catalog file.
    """
    own = {name: record for ledger in ledgers for name, record in ledger.benchmarks.items()}
    return (
        shipped()
        | _added(_catalog_folders())
        | {name: shaped(record, Benchmark, f"the ledger's benchmark {name}") for name, record in own.items()}
    )


def described(own: Iterable[Benchmark]) -> dict[str, dict[str, Any]]:
    """Data of one's own as a ledger describes it: all but where it is on this machine."""
    return {
        benchmark.name: benchmark.model_dump(mode="json", exclude={"path"}, exclude_defaults=True)
        for benchmark in own
        if benchmark.is_own
    }


def get_benchmark(name: str, *ledgers: Ledger) -> Benchmark:
    """The benchmark called `name`, of the catalog or of one of the ledgers. Raises HarnessError with the nearest names."""
    known = benchmarks(*ledgers)
    require_known("benchmark", name, known)
    return known[name]


def parse_data_options(options: Sequence[str]) -> dict[str, str]:
    """`BENCHMARK=PATH` options as a mapping; a PATH alone is data of one's own, named after it.

    Raises HarnessError: a name that is given twice.
    """
    given: dict[str, str] = {}
    for option in options:
        name, equals, path = option.partition("=")
        is_place = option not in shipped() if not equals else "/" in name
        if is_place and option:
            name, path = own_benchmark(option).name, option
        if not name or not path:
            message = f"--data {option} is not BENCHMARK=PATH."
            raise UsageError(message, remedy="Example: --data imagenet-val=/data/imagenet/val")
        if name in given:
            raise UsageError(f"--data {name} is given twice.", remedy="Give it once.")
        given[name] = path
    return given
