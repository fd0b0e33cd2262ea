"""A store with models of known answers: some imported, some as if harness had run them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import Result

from harness.data.catalog import get_benchmark
from harness.evaluation.scoring import Scored, score
from harness.evidence import Evidence, EvidenceClass, Interval, Ledger
from harness.export.predictions import score_file
from harness.labels.projections import CLOSED
from harness.metrics.types import LabelSpacePredictions
from harness.progress import Reporter
from harness.runtime.rows import ShardRows
from harness.settings import Settings
from harness.store.ledgers import merge_into_store
from harness.store.predictions import PredictionKey, PredictionStore

CLASSES = 1000
Call = Callable[..., Result]
V2 = "imagenetv2-matched-frequency"
IMAGES = {
    "ILSVRC2012_val_00000001.JPEG": (65, "n01751748"),
    "ILSVRC2012_val_00000293.JPEG": (0, "n01440764"),
    "ILSVRC2012_val_00002138.JPEG": (0, "n01440764"),
}
"""Label and synset of the images in the folder `images`, as published."""
PROTOCOL = {"precision": "fp32", "decoder": "Pillow", "input": "image", "preprocessing": {"crop": 224}}


def answers(labels: np.ndarray, correct: np.ndarray) -> np.ndarray:
    """int32 (n, 5) ranked classes whose best one is right exactly where `correct` says."""
    best = np.where(correct, labels, (labels + 1) % CLASSES)
    return np.stack([(best + step) % CLASSES for step in range(5)], axis=1).astype(np.int32)


def predictions_of(labels: np.ndarray, correct: np.ndarray, seed: int) -> LabelSpacePredictions:
    """Predictions with logits: the best class leads by a random margin, the others share what is left."""
    ranked = answers(labels, correct)
    generator = np.random.default_rng(seed)
    logits = np.zeros((len(labels), CLASSES))
    margin = generator.uniform(6, 12, len(labels))
    for rank in range(5):
        logits[np.arange(len(labels)), ranked[:, rank]] = margin - rank
    z = logits.astype(np.float32)
    return LabelSpacePredictions(
        label=labels.astype(np.int32),
        top5=ranked,
        top5_logit=np.take_along_axis(z, ranked, axis=1),
        target_logit=z[np.arange(len(labels)), labels],
        logsumexp=np.log(np.exp(logits).sum(axis=1)).astype(np.float32),
        logsumexp2=np.log(np.exp(2 * logits).sum(axis=1)).astype(np.float32),
    )


def measured(key: str, value: float, *, n: int = 50_000, unit: str = "%") -> Evidence:
    """Measured on n of 50,000 images, give or take 0.4."""
    return Evidence(
        key=key,
        class_=EvidenceClass.MEASURED,
        value=value,
        unit=unit,
        interval=Interval(low=value - 0.4, high=value + 0.4, method="Wilson"),
        n=n,
        N=50_000,
        protocol={"precision": "fp32", "preprocessing": "as stated"},
        command="harness run --suite imagenet --model m",
    )


def ledger_of(name: str, *evidence: Evidence, **model: Any) -> Ledger:
    return Ledger(
        model={"name": name, "reference": name, "title": name, "weights": None} | model, evidence=list(evidence)
    )


@dataclass(frozen=True)
class Store:
    """Fills a store with models."""

    home: Path
    scratch: Path

    @property
    def settings(self) -> Settings:
        return Settings(home=self.home, data_home=None, offline=True)

    def knows(self, name: str, *evidence: Evidence) -> None:
        """A model with this evidence, and no predictions."""
        merge_into_store(self.home, ledger_of(name, *evidence))

    def imports(
        self,
        name: str,
        correct: np.ndarray,
        *,
        benchmark: str = V2,
        labels: np.ndarray | None = None,
        ids: list[str] | None = None,
    ) -> None:
        """A model whose predictions come from a file, by default on samples s00000, s00001, …"""
        labels = np.arange(len(correct)) % CLASSES if labels is None else labels
        frame = pd.DataFrame({"sample_id": ids or sample_ids(len(correct)), "label": labels})
        frame["top"] = list(answers(labels, correct))
        path = self.scratch / f"{name}-{benchmark}.parquet"
        frame.to_parquet(path)
        merge_into_store(self.home, score_file(path, benchmark, name, "top", self.settings, Reporter()))

    def ran(
        self,
        name: str,
        correct: np.ndarray,
        *,
        benchmark: str = V2,
        protocol: Mapping[str, Any] | None = None,
        bytes_of: str = "one copy",
        title: str | None = None,
        condition: str | None = None,
        metrics: tuple[str, ...] = ("accuracy", "calibration"),
        variant: str = "",
    ) -> None:
        """A model as if `harness run` had run it, with logits."""
        labels, ids = np.arange(len(correct)) % CLASSES, sample_ids(len(correct))
        predictions = predictions_of(labels, correct, seed=len(name))
        digests = [hashlib.sha256(f"{bytes_of} {i}".encode()).hexdigest() for i in ids]
        weights = hashlib.sha256(name.encode()).hexdigest()
        key = PredictionKey(weights, benchmark, condition or "clean", {**PROTOCOL, **(protocol or {})})
        rows = ShardRows(ids, digests, predictions.label, [None] * len(ids), {CLOSED: predictions})
        PredictionStore(self.home, lambda message: None).write(key, rows, {})
        scored = Scored(
            benchmark=get_benchmark(benchmark),
            condition=condition,
            sample_ids=ids,
            predictions={CLOSED: predictions},
            projections={},
            outputs=None,
            weights=weights,
            data=hashlib.sha256("".join(digests).encode()).hexdigest(),
            protocol={"predictions": key.digest[:16], "precision": key.protocol["precision"]},
            command=f"harness run --suite robustness --model {name}",
            variant=variant,
        )
        evidence = score({scored.prefix: scored}, list(metrics), [])
        model = {"name": name, "reference": name, "title": title or name, "weights": weights}
        merge_into_store(self.home, Ledger(model=model, evidence=evidence))


def sample_ids(count: int) -> list[str]:
    return [f"s{number:05d}" for number in range(count)]


@pytest.fixture
def store(home: Path, tmp_path: Path) -> Store:
    """An empty store to fill."""
    return Store(home, tmp_path)


def right(n: int, share: float, seed: int = 0) -> np.ndarray:
    """Which of n samples a model gets right."""
    return np.random.default_rng(seed).random(n) < share


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder with three images of a gated benchmark, imagenet-val."""
    folder = tmp_path / "val"
    folder.mkdir()
    for position, name in enumerate(IMAGES):
        Image.new("RGB", (200, 100), (90 * position, 60, 30)).save(folder / name)
    rows = "".join(f"{name},{label},{synset}\n" for name, (label, synset) in IMAGES.items())
    (folder / "labels.csv").write_text("file_name,label,wnid\n" + rows)
    return folder
