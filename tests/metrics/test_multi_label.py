"""ImageNet's multi-label accuracy: its authors' procedure written out, on labels in the form of their file."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import harness
from harness.data.annotations import multi_labels, validation_labels, with_labels
from harness.data.catalog import get_benchmark
from harness.errors import HarnessError
from harness.labels.spaces import label_space
from harness.metrics.accuracy import multi_label_accuracy
from harness.metrics.types import LabelSpacePredictions
from harness.settings import Settings

NAME = "imagenet-multilabel"


@pytest.fixture
def predicted() -> pd.DataFrame:
    """Answers to 3,000 validation images, of which about half are right."""
    known = pd.Series(dict(validation_labels())).iloc[:3000]
    random = np.random.default_rng(5)
    right = random.random(len(known)) < 0.5
    answers = np.where(right, known, random.integers(0, 1000, len(known)))
    return pd.DataFrame({"sample_id": known.index, "label": known.to_numpy(), "top1": answers})


@pytest.fixture
def labels(predicted: pd.DataFrame, tmp_path: Path) -> Path:
    """Experts' labels of every second image; one in seven of them is problematic, and one in five of the answers unclear."""
    synsets, annotations = label_space("imagenet-1k").classes, {}
    for position, row in enumerate(predicted.iloc[::2].itertuples()):
        said = {"correct": [synsets[row.label]], "wrong": [synsets[(row.label + 1) % 1000]]}
        annotations[row.sample_id] = said | ({"unclear": [synsets[row.top1]]} if position % 5 == 0 else {})
    annotations["a3f1.jpeg"] = {"correct": [synsets[0]]}  # of ImageNetV2
    problematic = {name: {"reason": "a drawing"} for name in [*annotations][::7]}
    file = tmp_path / "human_accuracy_v3.0.0.json"
    content = {"initial_annots": annotations, "problematic_images": problematic, "imagenet_m": [], "user_annots": {}}
    file.write_text(json.dumps(content))
    return file


def test_it_is_what_its_authors_compute(predicted: pd.DataFrame, labels: Path, tmp_path: Path, home: Path) -> None:
    data = json.loads(labels.read_text())
    answers = dict(zip(predicted["sample_id"], predicted["top1"], strict=True))
    counts, right = defaultdict[int, int](int), defaultdict[int, int](int)
    for name, said in data["initial_annots"].items():
        if name in data["problematic_images"] or name not in answers:
            continue
        class_ = validation_labels()[name]
        counts[class_] += 1
        answer = label_space("imagenet-1k").classes[answers[name]]
        right[class_] += answer in said.get("correct", []) or answer in said.get("unclear", [])
    expected = 100 * float(np.mean([right[class_] / n for class_, n in counts.items()]))

    predicted.to_csv(tmp_path / "predicted.csv", index=False)
    done = harness.score(
        tmp_path / "predicted.csv", benchmark="imagenet-val", name="theirs", data={NAME: str(labels.parent)}
    )
    found = done.ledger.measured(f"{NAME}.top1")
    assert found.number == pytest.approx(expected)
    assert found.n == found.N == sum(counts.values())
    assert found.interval.low < expected < found.interval.high
    without = harness.score(tmp_path / "predicted.csv", benchmark="imagenet-val", name="theirs")
    assert without.ledger.get(f"{NAME}.top1") is None


def test_the_interval_covers_the_truth() -> None:
    """Classes of 5 to 20 images whose true accuracies differ: 95 % of the intervals hold their mean, within what 400 tries show."""
    random, held = np.random.default_rng(2), 0
    n, truth = random.integers(5, 21, 200), random.beta(8, 2, 200)
    label = np.repeat(np.arange(200), n)
    for _ in range(400):
        right = random.random(len(label)) < truth[label]
        ranks = np.where(right, label, 999)[:, None].repeat(5, axis=1)
        found = multi_label_accuracy(
            LabelSpacePredictions(label.astype(np.int32), ranks), [(c,) for c in label.tolist()]
        )
        held += found.low <= 100 * truth.mean() <= found.high
    assert 0.92 <= held / 400 <= 0.98


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", "initial_annots"),
        ('{"initial_annots": {}, "problematic_images": {}}', "judges no image"),
        (
            '{"initial_annots": {"ILSVRC2012_val_00000001.JPEG": {"correct": ["n1"]}}, "problematic_images": {}}',
            "n1 is no class",
        ),
        ('{"initial_annots": {"ILSVRC2012_val_00000001.JPEG": {"correct": 3}}, "problematic_images": {}}', "correct"),
        ("[", "not valid JSON"),
    ],
)
def test_another_file_is_refused_before_anything_runs(content: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "labels.json"
    file.write_text(content)
    with pytest.raises(HarnessError, match=message):
        with_labels(get_benchmark(NAME), Settings(home=tmp_path, data={NAME: str(file)}))


def test_an_image_that_is_judged_and_has_no_right_class_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "labels.json"
    file.write_text(
        '{"initial_annots": {"ILSVRC2012_val_00000001.JPEG": {"wrong": ["n01440764"]}}, "problematic_images": {}}'
    )
    found = multi_labels(file)
    assert (found["ILSVRC2012_val_00000001.JPEG"], found["ILSVRC2012_val_00000002.JPEG"]) == ((-1,), ())


def test_without_the_file_it_is_pending_and_says_where_to_get_it(home: Path) -> None:
    planned = harness.plan("efficientnet-lite0", "relabelled", probe=False, offline=True)
    assert [benchmark.name for benchmark in planned.plan.scored] == ["imagenet-real", NAME]
    assert harness.datasets(NAME)[0]["where"] == "missing"
    assert "human_accuracy_v3.0.0.json" in harness.datasets(NAME)[0]["how to get"]
