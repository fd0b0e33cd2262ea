"""A hostile set of label faults: each is refused, or reported by name, before anybody reads a number.

A fault is a folder of data, a model, or both, with one thing wrong; a run of it must say what that is. What is right says
nothing of the kind (the last test).
"""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets
import pytest

import harness
from harness.data.catalog import OwnBenchmark
from harness.data.local import open_dataset
from harness.data.locations import locate
from harness.errors import HarnessError
from harness.labels.spaces import label_space, lemmas
from tests.own.conftest import CLASSES, Crop, OwnModel, in_folders
from tests.own.test_own_data import as_labels_csv, as_shards, images

LEAF, RUST, HEALTHY = CLASSES


@dataclass
class Scene:
    """What a fault is made from; a run of it as it is has no fault."""

    crops: list[Crop]
    root: Path
    config: dict[str, Any] = field(default_factory=dict)
    """Changes of the model's config.json."""
    options: dict[str, Any] = field(default_factory=dict)

    def folders(self, **names: str) -> Path:
        """Class folders, some under another name."""
        return in_folders(self.crops, self.root / "data", names)

    def renamed(self, names: Iterable[str]) -> Path:
        """Class folders under these names, in the order of the classes."""
        return self.folders(**dict(zip(CLASSES, names, strict=True)))

    def named(self, *names: str, keys: tuple[int, ...] = (0, 1, 2)) -> Path:
        """The model calls its outputs so; the data is right."""
        id2label = {str(key): name for key, name in zip(keys, names, strict=True)}
        self.config = {"id2label": id2label, "label2id": {name: int(key) for key, name in id2label.items()}}
        return self.folders()

    def table(self, *lines: str, name: str = "labels.csv") -> Path:
        """images/ (or for the Hub's table the images beside it) with a table of these lines."""
        root = self.root / "data"
        images(self.crops, root / "images" if name == "labels.csv" else root)
        (root / name).write_text("\n".join(lines) + "\n")
        return root

    def csv(self, *columns: str, change: Callable[[int, Crop], tuple[str, ...]]) -> Path:
        return self.table(",".join(columns), *(",".join(change(i, crop)) for i, crop in enumerate(self.crops)))

    def indices(self, more: int = 0) -> Path:
        """A table with the model's indices, all too high by so much."""
        return self.csv("file_name", "label", change=lambda i, c: (c.name, str(self.index(c) + more)))

    def parquet(self, names: list[str] | None, labels: list[int | None]) -> Path:
        kind = datasets.ClassLabel(names=names) if names else datasets.Value("int64")
        rows = {"image": [{"bytes": c.data, "path": c.name} for c in self.crops], "label": labels}
        features = datasets.Features({"image": datasets.Image(), "label": kind})
        (self.root / "data").mkdir()
        datasets.Dataset.from_dict(rows, features=features).to_parquet(self.root / "data" / "validation.parquet")
        return self.root / "data"

    def tar(self, change: Callable[[str, bytes], bytes | None]) -> Path:
        """WebDataset shards with other labels; None leaves one out."""
        source = as_shards(self.crops, self.root / "right") / "val-000000.tar"
        (self.root / "data").mkdir()
        with tarfile.open(source) as old, tarfile.open(self.root / "data" / "val-000000.tar", "w") as new:
            for member in old:
                content = old.extractfile(member)
                data = content.read()
                if member.name.endswith(".cls"):
                    changed = change(member.name, data)
                    if changed is None:
                        continue
                    data = changed
                member.size = len(data)
                new.addfile(member, io.BytesIO(data))
        return self.root / "data"

    def suite(self, classes: str, data: Path | None = None) -> None:
        """Run through a suite file that lists the classes."""
        place = data or self.folders()
        (self.root / "mine.yaml").write_text(
            f"{{name: mine, title: Mine, description: Mine., benchmarks: [{{name: beans, path: {place}, classes: {classes}}}], "
            "metrics: [accuracy]}"
        )
        self.options["suite"] = self.root / "mine.yaml"

    def index(self, crop: Crop) -> int:
        return CLASSES.index(crop.class_)


def also(data: Path, file: str, content: bytes | str) -> Path:
    (data / file).parent.mkdir(parents=True, exist_ok=True)
    (data / file).write_bytes(content.encode() if isinstance(content, str) else content)
    return data


def without(scene: Scene, class_: str) -> Path:
    return in_folders([crop for crop in scene.crops if crop.class_ != class_], scene.root / "data")


def options(scene: Scene, data: Path, **given: Any) -> Path:
    scene.options |= given
    return data


ORDER = f"[{LEAF}, {RUST}, {HEALTHY}]"

FAULTS: dict[str, tuple[Callable[[Scene], Path | None], str]] = {
    # The model's names.
    "placeholders": (lambda s: s.named("LABEL_0", "LABEL_1", "LABEL_2"), "no name but a placeholder such as 'LABEL_0'"),
    "keys from 1": (lambda s: s.named(*CLASSES, keys=(1, 2, 3)), "keys of id2label must count from 0"),
    "a hole in the keys": (lambda s: s.named(*CLASSES, keys=(0, 1, 3)), r"id2label skips \[2\]"),
    "a name too many": (
        lambda s: s.named(*CLASSES, "blight", keys=(0, 1, 2, 3)),
        "have another shape.*name every output",
    ),
    "a name too few": (lambda s: s.named(LEAF, RUST, keys=(0, 1)), "have another shape"),
    "a name twice": (lambda s: s.named(LEAF, HEALTHY, HEALTHY), "outputs 1 and 2 are both called 'healthy'"),
    "a name in two spellings": (
        lambda s: s.named(LEAF, "Leaf-B", "leaf b"),
        "outputs 1 and 2 are both called 'leaf b'",
    ),
    "no name": (lambda s: s.named(LEAF, RUST, " "), "1 of the 3 outputs have no name"),
    "other classes": (
        lambda s: s.named("cat", "dog", "horse"),
        f"{LEAF}, {RUST}, {HEALTHY} are no classes of the model.*cat, dog, horse",
    ),
    "one other class": (lambda s: s.named(LEAF, RUST, "blight"), "healthy is no class of the model"),
    "names in turn": (lambda s: s.named(RUST, HEALTHY, LEAF), "in turn for another class .*seem to be exchanged"),
    "two names exchanged": (lambda s: s.named(RUST, LEAF, HEALTHY), f"'{LEAF}' for '{RUST}'.*seem to be exchanged"),
    "label2id against id2label": (
        lambda s: (s.named(*CLASSES), s.config.update(label2id={LEAF: 0, RUST: 2, HEALTHY: 1}))[0],
        "label2id says that output 2 is 'bean_rust', id2label that it is 'healthy'",
    ),
    "too few --labels": (lambda s: options(s, s.folders(), labels=[LEAF, RUST]), "3 outputs, but 2 labels are given"),
    "a --labels twice": (lambda s: options(s, s.folders(), labels=[LEAF, RUST, LEAF]), "0 and 2 are both called"),
    "--labels exchanged": (lambda s: options(s, s.folders(), labels=[RUST, LEAF, HEALTHY]), "seem to be exchanged"),
    "--labels of another head": (
        lambda s: options(s, s.folders(), labels="imagenet-1k"),
        "imagenet-1k has 1,000 classes",
    ),
    # Folders.
    "numbered folders": (lambda s: s.renamed("012"), "the classes are only numbered"),
    "numbers from 1": (lambda s: s.renamed("123"), "the classes are only numbered"),
    "numbers beyond the list": (lambda s: s.suite(ORDER, s.renamed("123")), "seem to count from 1"),
    "numbers of another order": (lambda s: s.suite(ORDER, s.renamed("102")), "seem to be exchanged"),
    "folders exchanged": (lambda s: s.renamed((RUST, LEAF, HEALTHY)), "seem to be exchanged"),
    "a class that the model lacks": (
        lambda s: also(s.folders(), "blight/a.jpg", s.crops[0].data),
        "blight is no class of the model",
    ),
    "a misspelt folder": (lambda s: s.folders(healthy="helthy"), "helthy is no class of the model"),
    "two folders of a class": (
        lambda s: also(s.folders(), "Bean Rust/a.jpg", s.crops[0].data),
        "Bean Rust and bean_rust both stand for the class",
    ),
    "a class without a folder": (lambda s: without(s, HEALTHY), "1 of 3 classes have no images: healthy"),
    "an empty class": (
        lambda s: (without(s, HEALTHY), (s.root / "data" / HEALTHY).mkdir())[0],
        "have no images: healthy",
    ),
    "synset folders": (
        lambda s: s.renamed(("n01440764", "n01443537", "n01484850")),
        "n01440764 is not one of the 3 classes of the model",
    ),
    "splits": (
        lambda s: (
            (in_folders(s.crops, s.root / "data" / "train"), in_folders(s.crops, s.root / "data" / "validation"))[
                0
            ].parent
        ),
        "holds the splits train, validation",
    ),
    "images without folders": (lambda s: images(s.crops, s.root / "data"), "no labels are known for them"),
    "a file that is no image": (
        lambda s: also(s.folders(), f"{LEAF}/notes.txt", "x"),
        "1 files and folders were ignored, e.g. .*notes.txt",
    ),
    "text in a .jpg": (
        lambda s: also(s.folders(), f"{LEAF}/a.jpg", "no image"),
        "1 of 25 images can't be read, first .*a.jpg",
    ),
    "an empty folder": (lambda s: also(s.root, "data/.keep", "") / "data", "the folder is empty"),
    # Tables.
    "a row of another class": (
        lambda s: s.csv("file_name", "name", change=lambda i, c: (c.name, "blight" if i == 5 else c.class_)),
        "row 7, name: blight is not one of the 3 classes",
    ),
    "a row without a class": (
        lambda s: s.csv("file_name", "name", change=lambda i, c: (c.name, "" if i == 5 else c.class_)),
        "row 7: .* has no label",
    ),
    "bare indices": (lambda s: s.indices(), "only numbered"),
    "indices from 1": (lambda s: s.suite(ORDER, s.indices(1)), "seem to count from 1"),
    "an index below 0": (lambda s: s.suite(ORDER, s.indices(-1)), "label -1 is outside 0 to 2"),
    "every index one too high": (
        lambda s: s.suite(
            ORDER, s.csv("file_name", "label", "name", change=lambda i, c: (c.name, str(s.index(c) + 1), c.class_))
        ),
        "labels count from 1",
    ),
    "a name against a class": (
        lambda s: s.csv("file_name", "class", "name", change=lambda i, c: (c.name, c.class_, HEALTHY)),
        "two classes",
    ),
    "an image twice": (
        lambda s: s.csv("file_name", "name", change=lambda i, c: (s.crops[0].name, c.class_)),
        "comes a second time",
    ),
    "a name that leads elsewhere": (
        lambda s: s.csv("file_name", "name", change=lambda i, c: (f"../{c.name}", c.class_)),
        "not a plain file name",
    ),
    "an image without a row": (
        lambda s: (as_labels_csv(s.crops[1:], s.root / "data"), also(s.root / "data", "images/a.jpg", s.crops[0].data))[
            0
        ],
        "1 images without a row in labels.csv were ignored, e.g. a.jpg",
    ),
    "a row without an image": (
        lambda s: (as_labels_csv(s.crops, s.root / "data"), (s.root / "data" / "images" / s.crops[3].name).unlink())[0],
        "names 1 more images that are not in this copy: angular_leaf_spot_3.jpg",
    ),
    "no column with a class": (
        lambda s: s.csv("file_name", "field", change=lambda i, c: (c.name, "3")),
        "no column that says what",
    ),
    "no column with a file": (
        lambda s: s.csv("photo", "name", change=lambda i, c: (c.name, c.class_)),
        "lacks the column file_name",
    ),
    "a damaged metadata.jsonl": (
        lambda s: s.table('{"file_name": "a.jpg", ', name="metadata.jsonl"),
        "Give a JSON object a line",
    ),
    "metadata without a file": (
        lambda s: s.table('{"label": "healthy"}', name="metadata.jsonl"),
        "line 1 has no file_name",
    ),
    # Parquet and WebDataset.
    "a ClassLabel too many": (
        lambda s: s.parquet([*CLASSES, "blight"], [s.index(c) for c in s.crops]),
        "blight is no class of the model",
    ),
    "ClassLabels exchanged": (
        lambda s: s.parquet([RUST, LEAF, HEALTHY], [s.index(c) for c in s.crops]),
        "seem to be exchanged",
    ),
    "numbers in Parquet": (lambda s: s.parquet(None, [s.index(c) for c in s.crops]), "only numbered"),
    "a row without a label": (
        lambda s: s.parquet(list(CLASSES), [None, *(s.index(c) for c in s.crops[1:])]),
        "row 1, .*None is no class",
    ),
    "a shard without a label": (
        lambda s: s.tar(lambda name, data: None if name.startswith("healthy_3") else data),
        "healthy_3.jpg has no label",
    ),
    "another class in a shard": (
        lambda s: s.tar(lambda name, data: b"blight"),
        "'blight' is neither a class index nor a class of the model",
    ),
    "numbers in a shard": (lambda s: s.tar(lambda name, data: b"1"), "only numbered"),
    # Suite files.
    "a listed class twice": (
        lambda s: s.suite(f"[{LEAF}, {RUST}, {HEALTHY}, Healthy]"),
        "the class 'healthy' comes twice",
    ),
    "a listed class that the model lacks": (
        lambda s: s.suite(f"[{LEAF}, {RUST}, {HEALTHY}, blight]"),
        "1 classes that the model has no output for: blight",
    ),
    "a class that is not listed": (lambda s: s.suite(f"[{LEAF}, {RUST}]"), "healthy is no class of beans"),
    "one listed class": (lambda s: s.suite(f"[{LEAF}]"), "at least 2 items"),
}


def said(scene: Scene, data: Path | None, model: Path) -> str:
    """All that a run says of its data, the error that ends it first."""
    given = scene.options if data is None else {"data": {"beans": data}} | scene.options
    try:
        done = harness.evaluate(model, offline=True, **given)
    except HarnessError as error:
        return str(error)
    whys = [str(c.missing) for c in done.plan.conditions if c.missing] + [str(error) for error in done.failed.values()]
    return "\n".join([*whys, *(note for condition in done.plan.conditions for note in condition.notes)])


@pytest.mark.parametrize("fault", FAULTS)
def test_it_is_refused_or_reported_by_name(fault: str, crops: list[Crop], own_model: OwnModel, tmp_path: Path) -> None:
    make, expected = FAULTS[fault]
    scene = Scene(crops, tmp_path / "scene")
    scene.root.mkdir()
    data = make(scene)
    text = said(scene, data, own_model(**scene.config))
    assert re.search(expected, text, re.DOTALL), text


def test_what_is_right_says_nothing(crops: list[Crop], own_model: OwnModel, tmp_path: Path) -> None:
    scene = Scene(crops, tmp_path)
    assert said(scene, scene.folders(), own_model()) == ""
    scene.root = tmp_path / "otherwise"
    assert said(scene, scene.folders(healthy="HEALTHY", bean_rust="bean rust"), own_model()) == ""


def test_crane_is_two_classes(foolbox_images: list[Any], tmp_path: Path) -> None:
    """The bird and the machine: resolved by synset, refused by name."""
    space = label_space("imagenet-1k")
    cranes = [synset for synset in space.classes if lemmas()[synset] == "crane"]
    assert len(space.find("crane")) == len(cranes) == 2
    for folder, refused in (("crane", True), (cranes[0], False)):
        photograph = tmp_path / folder / folder / "a.jpg"
        photograph.parent.mkdir(parents=True)
        photograph.write_bytes(foolbox_images[0].data)
        own = OwnBenchmark(path=str(tmp_path / folder), classes_from="imagenet-1k").benchmark("birds", tmp_path)
        if refused:
            with pytest.raises(HarnessError, match=f"{cranes[0]} and {cranes[1]} are both called 'crane'") as caught:
                open_dataset(own, locate(own), cache=tmp_path / "cache")
            assert "by its synset" in str(caught.value)
        else:
            assert open_dataset(own, locate(own), cache=tmp_path / "cache").samples["label"].tolist() == [
                space.index(folder)
            ]
