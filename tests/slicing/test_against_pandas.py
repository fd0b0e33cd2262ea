"""Slices of real predictions equal a plain pandas group-by of real annotations, read here by another way."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from harness.data.catalog import get_benchmark
from harness.data.groupings import Subjects, grouping
from harness.data.slicings import slicings
from harness.evaluation.run import RunResult
from harness.evaluation.scoring import Scored
from harness.evidence import Evidence, EvidenceClass
from harness.labels.spaces import label_space
from tests.slicing.conftest import slices_of

FACTORS = slicings()["imagenet-x"].names
MODELS = ("alexnet", "resnet50", "nasnetalarge")


def classes_below(superclass: str) -> np.ndarray:
    """Whether each of the 1,000 classes has the superclass above it: bool (1000,), from below upwards."""
    file = files("harness.labels") / "data" / "wordnet-3.0-hypernyms.tsv.gz"
    rows = gzip.decompress(file.read_bytes()).decode().splitlines()
    parents = {synset: above.split() for synset, _, above in (row.split("\t") for row in rows)}

    def is_below(synset: str) -> bool:
        return synset == superclass or any(map(is_below, parents[synset]))

    return np.array([is_below(synset) for synset in label_space("imagenet-1k").classes])


def check(found: dict[str, Evidence], key: str, right: pd.Series) -> None:
    item = found[key]
    if item.class_ is EvidenceClass.MEASURED:
        assert item.value == pytest.approx(100 * right.mean(), abs=1e-9), key
    assert item.n == len(right), key


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_published_models_by_factor_label_count_and_superclass(
    published: pd.DataFrame, scored_as: Callable[[str], Scored], annotations: Callable[[str], pd.DataFrame], model: str
) -> None:
    found = slices_of(scored_as(model), "imagenet-x", "real", "wordnet")
    right = pd.Series(published[model].str[0].to_numpy() == published["label"].to_numpy(), index=published["sample_id"])

    joined = annotations("multi").join(right.rename("right"))
    for factor in FACTORS:
        check(found, f"imagenet-val@imagenet-x/{factor}.top1", joined.loc[joined[factor] == 1, "right"])
    accuracies = [joined.loc[joined[factor] == 1, "right"].mean() for factor in FACTORS]
    spread = found["imagenet-val@imagenet-x.top1:difference"]
    assert spread.value == pytest.approx(100 * (max(accuracies) - min(accuracies)))
    assert found["imagenet-val@imagenet-x.top1:ratio"].value == pytest.approx(min(accuracies) / max(accuracies))

    sets = json.loads((files("timm.data") / "_info" / "imagenet_real_labels.json").read_text())
    count = pd.Series({f"ILSVRC2012_val_{i:08d}.JPEG": len(labels) for i, labels in enumerate(sets, start=1)})
    check(found, "imagenet-val@real/one-label.top1", right[count[count == 1].index])
    check(found, "imagenet-val@real/several-labels.top1", right[count[count > 1].index])

    for superclass in ("n02084071", "n01503061", "n04524313", "n03800933"):
        below = classes_below(superclass)[published["label"]]
        check(found, f"imagenet-val@wordnet/{superclass}.top1", right[below])


@pytest.mark.slow
def test_every_class_of_a_published_model(published: pd.DataFrame, scored_as: Callable[[str], Scored]) -> None:
    found = slices_of(scored_as("resnet50"), "class")
    right = published["resnet50"].str[0] == published["label"]
    for label, share in right.groupby(published["label"]).mean().items():
        item = found[f"imagenet-val@class/{label_space('imagenet-1k').classes[int(str(label))]}.top1"]
        assert item.value == pytest.approx(100 * share)
        assert (item.n, item.N) == (50, 50)


@pytest.mark.parametrize(("synset", "classes"), [("n02084071", 118), ("n01503061", 59), ("n04524313", 67)])
def test_superclasses_have_the_classes_that_wordnet_puts_below_them(
    published: pd.DataFrame, synset: str, classes: int
) -> None:
    """Dog 118, bird 59, vehicle 67 of the 1,000 classes, with 50 images each."""
    subjects = Subjects(get_benchmark("imagenet-val"), published["sample_id"].tolist(), published["label"].to_numpy())
    for reference in ("wordnet", f"wordnet/{synset}"):
        frame = grouping(reference, subjects).frame
        assert frame[synset].sum() == 50 * classes
        assert published["label"][frame[synset].to_numpy()].nunique() == classes


def test_metaclasses_are_those_of_the_package(published: pd.DataFrame) -> None:
    """The seventeen sizes, counted in imagenet_1k_classes_to_100_metaclasses.csv: e.g. device 124, dog 118, snake 17 classes;
    food stands there twice, for 22 and 16."""
    subjects = Subjects(get_benchmark("imagenet-val"), published["sample_id"].tolist(), published["label"].to_numpy())
    classes = grouping("imagenet-x-metaclass", subjects).frame.sum() / 50
    assert len(classes) == 17
    assert classes.sum() == 1000
    assert classes[["device", "dog", "commodity", "bird", "food", "snake"]].tolist() == [124, 118, 60, 59, 38, 17]


def test_lite0_on_the_validation_images_by_every_factor(
    validation_run: tuple[Path, RunResult, dict[str, str]],
    annotations: Callable[[str], pd.DataFrame],
    shared_data: Path,
) -> None:
    home, result, _ = validation_run
    rows = pd.concat([pd.read_parquet(path) for path in (home / "predictions").rglob("*.parquet")])
    right = pd.Series((rows["closed.top5"].str[0] == rows["label"]).to_numpy(), index=rows["sample_id"])
    assert len(right) == 1300
    found = {item.key: item for item in result.ledger}
    for slicing, which in (("imagenet-x", "multi"), ("imagenet-x-top", "top")):
        joined = annotations(which).join(right.rename("right"), how="inner")
        assert len(joined) == 1182, "1,278 of the 1,300 have a row, 96 of them are prototypes"
        for factor in FACTORS:
            check(found, f"imagenet-val@{slicing}/{factor}.top1", joined.loc[joined[factor] == 1, "right"])
    difference = found["imagenet-val@imagenet-x.top1:difference"]
    assert (difference.n, difference.N) == (1182, 46110)


@pytest.mark.slow
def test_crossed_slicings_equal_pandas(
    published: pd.DataFrame, scored_as: Callable[[str], Scored], annotations: Callable[[str], pd.DataFrame]
) -> None:
    found = slices_of(scored_as("resnet50"), ("imagenet-x/pose", "wordnet"))
    table = annotations("multi").join(published.set_index("sample_id")[["label", "resnet50"]])
    right = table["resnet50"].str[0] == table["label"]
    for superclass in slicings()["wordnet"].synsets:
        below = classes_below(superclass)[table["label"]]
        check(found, f"imagenet-val@imagenet-x+wordnet/pose+{superclass}.top1", right[below & (table["pose"] == 1)])
