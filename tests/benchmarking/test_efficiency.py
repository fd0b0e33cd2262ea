"""Cost beside accuracy, and timm's table, from ledgers."""

from __future__ import annotations

import csv
import io
import subprocess

import pytest

from harness.benchmarking.efficiency import accuracies_per_gmac, throughput_of
from harness.evidence import Evidence, EvidenceClass, Interval, Ledger
from harness.export.timm import speed_table


def top1(key: str = "imagenet-val.top1", value: float = 80.0) -> Evidence:
    return Evidence(
        key=key,
        class_=EvidenceClass.MEASURED,
        value=value,
        unit="%",
        interval=Interval(low=value - 0.4, high=value + 0.4, method="Wilson"),
        n=50_000,
        protocol={"projection": "identity"},
    )


def derived(name: str, value: int) -> Evidence:
    return Evidence(
        key=f"compute.{name}", class_=EvidenceClass.DERIVED, value=value, protocol={"input_size": [3, 192, 224]}
    )


def speed(key: str, value: float) -> Evidence:
    return Evidence(
        key=key, class_=EvidenceClass.MEASURED, value=value, n=80, reason="too few calls", protocol={"batch": 8}
    )


COUNTS = [derived("macs", 4_000_000_000), derived("activations", 12_287_200), derived("parameters", 20_646_656)]


def ledger(*evidence: Evidence, name: str = "tiny") -> Ledger:
    return Ledger(model={"name": name}, evidence=list(evidence))


def test_points_for_a_billion_multiply_adds() -> None:
    (found,) = accuracies_per_gmac(ledger(top1(), *COUNTS))
    assert (found.key, found.value, found.unit) == ("imagenet-val.top1-per-gmac", 20.0, "% per GMAC")
    assert (found.interval.low, found.interval.high) == pytest.approx((19.9, 20.1))
    assert found.protocol == {"projection": "identity", "macs": 4_000_000_000}
    assert (found.n, found.class_) == (50_000, EvidenceClass.MEASURED)


def test_only_whole_benchmarks_count_and_a_variant_keeps_its_name() -> None:
    items = [
        top1("imagenet-val.top1:bf16"),
        top1("imagenet-c/fog/3.top1"),
        top1("imagenet-val@wordnet/n02084071.top1"),
        Evidence(key="imagenet-a.top1", class_=EvidenceClass.PENDING, reason="not here"),
        *COUNTS,
    ]
    assert [item.key for item in accuracies_per_gmac(ledger(*items))] == ["imagenet-val.top1-per-gmac:bf16"]


def test_without_multiply_adds_there_is_no_ratio() -> None:
    assert accuracies_per_gmac(ledger(top1())) == []
    waiting = Evidence(key="compute.macs", class_=EvidenceClass.PENDING, reason="not here")
    assert accuracies_per_gmac(ledger(top1(), waiting)) == []


def test_timms_table_has_its_columns_and_the_fastest_first() -> None:
    speeds = {"slow": 2.0, "fast": 32.0}
    ledgers = [ledger(speed("compute.throughput", value), *COUNTS, name=name) for name, value in speeds.items()]
    ((file, text),) = speed_table(ledgers).items()
    assert file == "benchmark-infer.csv"
    assert text.splitlines()[0] == (
        "model,infer_samples_per_sec,infer_step_time,infer_batch_size,infer_img_size,infer_gmacs,infer_macts,param_count"
    )
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["model"] for row in rows] == ["fast", "slow"]
    assert rows[0] == {
        "model": "fast",
        "infer_samples_per_sec": "32.0",
        "infer_step_time": "250.0",  # 8 images at 32 images/s
        "infer_batch_size": "8",
        "infer_img_size": "224",
        "infer_gmacs": "4.0",
        "infer_macts": "12.29",
        "param_count": "20.65",
    }


def test_the_table_takes_the_forward_pass_in_fp32_where_it_has_it() -> None:
    decoded, half, full = (
        speed("compute.throughput:with-decoding", 3.0),
        speed("compute.throughput:bf16", 9.0),
        speed("compute.throughput", 5.0),
    )
    assert throughput_of(ledger(decoded)) is None
    assert throughput_of(ledger(decoded, half)) == half
    assert throughput_of(ledger(decoded, half, full)) == full


def test_a_row_with_a_hole_is_no_row() -> None:
    assert speed_table([ledger(*COUNTS), ledger(speed("compute.throughput", 2.0), *COUNTS[:2])]) == {}


def test_torch_is_not_needed(python: str) -> None:
    code = "import sys, harness.export.timm; assert 'torch' not in sys.modules"
    subprocess.run([python, "-c", code], check=True)
