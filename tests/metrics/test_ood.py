"""Out-of-distribution detection against scikit-learn and the definitions, and the images without labels that it needs."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score, roc_curve

from harness.data.catalog import get_benchmark
from harness.data.local import open_dataset
from harness.data.locations import Location, locate
from harness.errors import HarnessError
from harness.evaluation.scoring import Scored, score
from harness.evidence import EvidenceClass
from harness.labels.projections import CLOSED
from harness.metrics.ood import detection
from harness.metrics.selective import scores
from harness.metrics.types import LabelSpacePredictions, MetricUnavailable
from tests.metrics.test_calibration import predictions_of


def drawn(n: int, sharpness: float, seed: int, *, label: int | None = None) -> LabelSpacePredictions:
    """Predictions of n images whose logits are rounded, so that scores tie."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(scale=sharpness, size=(n, 30)).round(1)
    labels = generator.integers(0, 30, n) if label is None else np.full(n, label)
    return predictions_of(logits, labels.astype(np.int32))


KNOWN, OTHERS = drawn(700, 3.0, 1), drawn(300, 2.4, 2, label=-1)


@pytest.mark.parametrize("name", ["msp", "max-logit", "margin", "energy"])
def test_it_equals_scikit_learn(name: str) -> None:
    is_known = np.repeat([1, 0], [700, 300])
    together = np.concatenate([scores(KNOWN)[name], scores(OTHERS)[name]])
    found = detection(KNOWN, OTHERS)
    assert found[f"auroc:{name}"].value == pytest.approx(100 * roc_auc_score(is_known, together))
    false, true, _ = roc_curve(is_known, together, drop_intermediate=False)
    assert found[f"fpr95:{name}"].value == pytest.approx(100 * false[np.argmax(true >= 0.95)])
    assert found[f"auroc:{name}"].n == 1000


def test_the_ends_of_the_scale() -> None:
    found = detection(drawn(50, 9.0, 3), drawn(50, 0.0, 4, label=-1))  # flat logits are never sure
    assert (found["auroc:msp"].value, found["fpr95:msp"].value) == (100.0, 0.0)
    same = detection(OTHERS, OTHERS)
    assert same["auroc:energy"].value == pytest.approx(50.0)
    with pytest.raises(MetricUnavailable):
        detection(KNOWN, OTHERS.take(np.zeros(300, bool)))


def test_the_interval_covers_the_truth(resamples: Callable[[int], None]) -> None:
    """AUROC of 60 against 60 normal scores one standard deviation apart is 0.760 = Φ(1/√2)."""
    held = 0
    resamples(200)
    for seed in range(60):
        generator = np.random.default_rng(seed)
        sides = []
        for mean, label in ((1.0, 0), (0.0, -1)):
            logits = np.zeros((60, 5))
            logits[:, 0] = 20 + generator.normal(mean, 1, 60)  # the largest logit is the score
            sides.append(predictions_of(logits, np.full(60, label, np.int32)))
        found = detection(*sides)["auroc:max-logit"]
        held += found.low <= 76.02 <= found.high
    assert held >= 51  # 95 % of 60 is 57, with a standard deviation of 1.7


def scored(name: str, predictions: LabelSpacePredictions) -> Scored:
    ids = [f"{name}{at}" for at in range(len(predictions))]
    return Scored(get_benchmark(name), None, ids, {CLOSED: predictions}, {}, None, "w", "d", {}, "harness run")


def test_a_suite_s_evidence() -> None:
    conditions = {name: scored(name, found) for name, found in (("imagenet-val", KNOWN), ("textures", OTHERS))}
    found = {item.key: item for item in score(conditions, ["accuracy", "calibration", "selective", "shift", "ood"], [])}
    assert found["textures.auroc:msp"].N == 55_160
    # Images of no class are neither right nor wrong.
    assert {item.name.metric for item in found.values() if item.name.benchmark == "textures"} == {"auroc", "fpr95"}
    del conditions["imagenet-val"]
    (alone,) = score(conditions, ["ood"], [])
    assert (alone.class_, alone.key) == (EvidenceClass.PENDING, "textures.auroc")


class TestImages:
    def test_a_folder_of_images_at_any_depth(self, tmp_path: Path) -> None:
        for name in ("dtd/images/banded/banded_0002.jpg", "dtd/images/dotted/dotted_0001.jpg"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (30, 20), "teal").save(tmp_path / name)
        benchmark = get_benchmark("textures")
        found = open_dataset(benchmark, Location("textures", "given", tmp_path), cache=tmp_path / "cache")
        assert sorted(found.samples["sample_id"]) == ["banded/banded_0002.jpg", "dotted/dotted_0001.jpg"]
        assert set(found.samples["label"]) == {-1}
        assert "A partial copy: 2 of 5,160 images." in found.notes
        assert not any("classes have no images" in note for note in found.notes)
        (tmp_path / "empty").mkdir()
        with pytest.raises(HarnessError, match="No images of textures"):
            open_dataset(benchmark, Location("textures", "given", tmp_path / "empty"), cache=tmp_path / "cache")

    def test_noise_is_generated_and_the_same_everywhere(self, tmp_path: Path) -> None:
        benchmark = get_benchmark("noise")
        found = open_dataset(benchmark, locate(benchmark, offline=True), cache=tmp_path / "cache")
        assert len(found) == 1000
        assert found.samples["sample_id"].str.partition("-")[0].value_counts().to_dict() == {
            "gaussian": 500,
            "uniform": 500,
        }
        assert found.samples["digest"].nunique() == 1000
        # Means of uniform noise and of a normal distribution about 127.5 cut off at both ends are 127.5.
        with Image.open(io.BytesIO(found.read(0))) as image:
            pixels = np.asarray(image, dtype=float)
        assert pixels.shape == (256, 256, 3)
        assert abs(pixels.mean() - 127.5) < 1
