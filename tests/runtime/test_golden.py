"""What a GPU gave, kept: EfficientNet-Lite0 on 1,300 validation images, run once on an H100 with `--device cuda`."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.evidence import EvidenceClass, Ledger

ROOT = Path(__file__).parents[2]
GOLDEN = Ledger.load(Path(__file__).parent / "golden" / "efficientnet-lite0-h100.json")
ON_A_CPU = Ledger.load(ROOT / "cards" / "efficientnet-lite0.evidence.json")


def test_the_gpu_gives_the_processors_values() -> None:
    """Accuracies count right answers, so they are equal; the rest differs as float32 sums in another order do."""
    compared = 0
    for item in GOLDEN:
        other = ON_A_CPU.get(item.key)
        if item.class_ is not EvidenceClass.MEASURED or other is None or not item.key.startswith("imagenet-"):
            continue
        assert (item.n, item.fingerprints.weights, item.fingerprints.data) == (
            other.n,
            other.fingerprints.weights,
            other.fingerprints.data,
        )
        exact = item.name.metric in ("top1", "top5")
        assert item.value == (other.value if exact else pytest.approx(other.value, rel=1e-5)), item.key
        compared += 1
    assert compared >= 7


def test_its_energy_was_read_off_the_gpu() -> None:
    energy = GOLDEN.get("energy.this-run")
    assert 0 < energy.interval.low < energy.number < energy.interval.high
    assert (energy.protocol or {})["hardware"]["gpu"] == "NVIDIA H100 80GB HBM3"
