"""Fixtures for the card tests: the two source cards, ledgers of different fullness."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.evidence import Evidence, EvidenceClass, Fingerprints, Interval, Ledger

REFERENCES = "**Sources of the answers**"


def body(text: str) -> str:
    """A filled card without its references and the marks that lead to them."""
    before, found, _ = text.partition(f"\n{REFERENCES}")
    return re.sub(r" ?\[h\d+\]| ?\[(?:\[h\d+\][–, ]*)+\]", "", before if found else text)


SOURCE_MODELS = ("regnet-y-040", "convnext-base-224-22k")


@pytest.fixture(scope="session", params=SOURCE_MODELS)
def source_card(request: pytest.FixtureRequest, source_cards: Path) -> tuple[str, bytes]:
    """A source card beside the checkout: model name and bytes."""
    return request.param, (source_cards / f"{request.param}.md").read_bytes()


def measured(key: str, value: float, n: int = 50_000, full: int = 50_000, unit: str = "%") -> Evidence:
    """Measured evidence with an interval of ±0.4."""
    return Evidence(
        key=key,
        class_=EvidenceClass.MEASURED,
        value=value,
        unit=unit,
        interval=Interval(low=value - 0.4, high=value + 0.4, method="made up"),
        n=n,
        N=full,
        protocol={"resize": 256},
        fingerprints=Fingerprints(weights="ab" * 32),
    )


def full_ledger() -> Ledger:
    """A ledger with a value for everything that the suites measure; the values are made up and easily told apart."""
    items = [
        measured("imagenet-val.top1", 71.11),
        measured("imagenet-val.top5", 91.12),
        measured("imagenet-real.top1", 81.13, n=46_837, full=46_837),
        measured("imagenetv2-matched-frequency.top1", 61.14, n=10_000, full=10_000),
        measured("imagenet-a.top1", 11.15, n=7_500, full=7_500),
        measured("imagenet-r.top1", 41.16, n=30_000, full=30_000),
        measured("imagenet-sketch.top1", 31.17, n=50_889, full=50_889),
        measured("imagenet-c-generated.mce", 66.18, unit="%"),
        measured("imagenet-c-bar-generated.mean-error", 51.19),
        measured("imagenet-c-generated/gaussian_noise.ce", 70.2),
        measured("imagenet-c-generated/fog.ce", 50.2),
        measured("imagenet-val@imagenet-x/pose.top1", 77.3, n=5_000, full=5_000),
        measured("imagenet-val@imagenet-x/texture.top1", 55.3, n=2_000, full=2_000),
        measured("imagenet-val@imagenet-x.top1:difference", 22.0),
        measured("compute.throughput", 321.4, n=50, full=50, unit="images/s"),
        measured("compute.latency-p50", 12.4, n=50, full=50, unit="ms"),
        Evidence(key="compute.parameters", class_=EvidenceClass.DERIVED, value=20_646_656, unit="parameters"),
        Evidence(key="compute.macs", class_=EvidenceClass.DERIVED, value=4_000_000_000, unit="MACs"),
        Evidence(key="compute.flops", class_=EvidenceClass.DERIVED, value=8_000_000_000, unit="FLOPs"),
        Evidence(key="compute.checkpoint-bytes", class_=EvidenceClass.DERIVED, value=82_900_000, unit="B"),
        Evidence(
            key="carbon.training",
            class_=EvidenceClass.ESTIMATED,
            value=25.0,
            unit="kg CO2e",
            interval=Interval(low=12.0, high=33.0, method="bounds"),
            reason="from the documented GPU-hours",
        ),
    ]
    return Ledger(model={"name": "a model"}, evidence=items)


def partial_ledger() -> Ledger:
    """A ledger after one run on a part of the validation set; the rest is pending."""
    return Ledger(
        model={"name": "a model"},
        evidence=[
            measured("imagenet-val.top1", 71.11, n=20),
            Evidence(
                key="imagenet-a.top1",
                class_=EvidenceClass.PENDING,
                reason="the images of ImageNet-A are not here",
                command="harness run --suite robustness",
            ),
        ],
    )


LEDGERS = {"none": None, "empty": Ledger(model={"name": "a model"}), "partial": partial_ledger(), "full": full_ledger()}
