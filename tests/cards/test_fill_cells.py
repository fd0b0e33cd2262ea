"""A cell or label is answered only by evidence that says of itself all that its words ask."""

from __future__ import annotations

import re

import pytest

from harness.cards.fill import fill_card
from harness.evidence import Evidence, Ledger
from tests.cards.conftest import LEDGERS, body, measured

M = "[More Information Needed]"
CPU = {
    "precision": "fp32",
    "batch": 1,
    "input": "random pixels, 224 × 224",
    "hardware": {"device": "cpu", "cpu": "Xeon"},
}


def timed(key: str, value: float, unit: str) -> Evidence:
    return measured(key, value, unit=unit).model_copy(update={"protocol": CPU})


ON_CPU = Ledger(
    model={"name": "a model"},
    evidence=[timed("compute.latency-p50", 12.4, "ms"), timed("compute.throughput", 321.4, "images/s")],
)
FULL = LEDGERS["full"]


def cell(head: str, column: str, *, before: str = "", ledger: Ledger | None = ON_CPU) -> str:
    """What a table's only marker becomes."""
    card = f"# A card\n\n{before}\n\n| what | {column} |\n|---|---|\n| {head} | {M} |\n"
    text = fill_card(card.encode(), model="regnet-y-040", ledger=ledger).text.decode()
    (line,) = [line for line in body(text).splitlines() if line.startswith("| ") and not line.startswith("| what")]
    return re.fullmatch(r"\| .*? \| (.*) \|", line)[1]  # type: ignore[index]


@pytest.mark.parametrize(
    ("head", "column", "missing"),
    [
        ("INT8, Edge TPU", "Latency (ms)", "not measured on an Edge TPU"),
        ("INT8, CPU, top-1", "Value", "not measured in INT8"),
        ("INT8, CPU", "images/s", "not measured in INT8"),
        ("Latency, Raspberry Pi 4", "ms", "not measured on Raspberry Pi 4"),
        ("Latency at 384 × 384", "ms", "not measured at 384 × 384"),
        ("Throughput, batch 64", "Value", "not measured at batch 64"),
        ("CIFAR-10", "Top-1", "not measured on CIFAR-10"),
        ("Acme-Bench", "Top-1", "not stated"),
        ("Swin-B", "Top-1 on ImageNet", "not measured for Swin-B"),
        ("ImageNet-A", "Published by the authors", "not published on ImageNet-A"),
        ("ImageNet-R", "Top-1, measured by the authors", "not published on ImageNet-R"),
        ("Renditions and sketches", "Latency (ms)", "not measured yet"),
        ("Drop block", "Value", "not stated"),
        ("Latency, FP16, GPU", "ms", "not measured yet"),  # what a run can give
    ],
)
def test_what_is_missing_is_named(head: str, column: str, missing: str) -> None:
    assert cell(head, column) == missing
    assert len(missing.split()) <= 8


@pytest.mark.parametrize(
    ("head", "column", "value"),
    [
        ("FP32, CPU", "Latency (ms)", "12.40 ms"),
        ("FP32, CPU, batch 1", "images/s", "321.40 images/s"),
        ("Latency on a GPU", "ms", "69 ms for a batch of 64 images on one V100"),
        ("Throughput, V100", "Value", "1,156.7 images/s on a V100"),
        ("Learning rate", "Value", "0.4"),
        ("ImageNet", "Top-1, mean of five runs", "79.4 %"),  # that of the one run is 79.36 %
        ("ImageNet-ReaL, timm, 224 px", "Top-1", "84.95 %"),  # of a network for 224 pixels, where a result says no size
        ("Epochs", "Value", "100"),
    ],
)
def test_what_matches_answers(head: str, column: str, value: str) -> None:
    assert cell(head, column).startswith(value)


def test_a_row_of_two_labels_begins_anew_with_each() -> None:
    card = f"# A card\n\n| Setting | Value | Setting | Value |\n|---|---|---|---|\n| Optimizer | {M} | Epochs | {M} |\n"
    text = body(fill_card(card.encode(), model="regnet-y-040", ledger=None).text.decode())
    assert text.splitlines()[-1] == "| Optimizer | SGD with Nesterov momentum 0.9 | Epochs | 100 |"


def test_who_measured_is_told_apart() -> None:
    authors, timm, here = (cell("ImageNet", f"Top-1 ({who})", ledger=FULL) for who in ("authors", "timm", "measured"))
    assert authors.startswith("79.36 %")
    assert timm.startswith("79.246 %")
    assert here.startswith("71.11 %")
    assert "documented" not in here


def test_measured_and_published_both_stand() -> None:
    both = cell("ImageNet-R", "Top-1", ledger=FULL)
    assert "41.16 %" in both
    assert "38.837 %" in both


@pytest.mark.parametrize("before", ["## Results in INT8", "Table 1. Latency on an Edge TPU:"])
def test_a_heading_and_a_caption_ask_too(before: str) -> None:
    assert cell("Latency", "ms", before=before).startswith("not measured ")
    assert cell("Latency", "ms").startswith("12.40 ms")


def test_the_nearer_words_count() -> None:
    assert cell("ImageNet-R", "Top-1", before="## Results on CIFAR-10", ledger=FULL).startswith("41.16 %")


def test_a_label_asks_like_a_cell() -> None:
    card = f"- **Latency on an Edge TPU:** {M}\n- **Latency (CPU):** {M}\n"
    lines = fill_card(card.encode(), model="regnet-y-040", ledger=ON_CPU).text.decode().splitlines()
    assert lines[0] == "- **Latency on an Edge TPU:** Not measured on an Edge TPU"
    assert "12.40 ms" in lines[1]


@pytest.mark.parametrize(
    ("row", "value"),
    [
        (f"| Block | activation | {M} | |", "ReLU activations"),
        (f"| Test | mean | {M} | |", "0.485, 0.456, 0.406"),
        (f"| Inference | batch size | {M} | |", "not stated"),
        (f"| Teacher | parameters | {M} | |", "not stated"),
        (f"| Size | learnable weights | {M} | million |", "20.6"),
        (f"| Cost | multiply-adds | {M} | billion |", "3.97"),
    ],
)
def test_a_row_names_a_group_and_its_unit_beside_what_it_asks(row: str, value: str) -> None:
    card = f"| Group | Item | Value | Unit |\n|---|---|---|---|\n{row}\n"
    text = body(fill_card(card.encode(), model="regnet-y-040", ledger=None).text.decode())
    assert re.sub(r" \[+h.*?\]+", "", text.splitlines()[2].split(" | ")[2]) == value


@pytest.mark.parametrize(
    ("line", "filled"),
    [
        (f"| ImageNet-A top-1 | {M} % |", "| ImageNet-A top-1 | 9.027 % |"),
        (f"| Top-1 | {M} % |", "| Top-1 | 79.36 % |"),  # of several published values the checkpoint's own
        (f"| Parameters | {M} M |", "| Parameters | 20.6 M |"),
        (f"| Hidden gizmos | {M} cm |", "| Hidden gizmos | not stated |"),
        (f"\n- **ImageNetV2 top-1:** {M} %", "- **ImageNetV2 top-1:** 67.65 %"),
    ],
)
def test_a_unit_behind_the_marker_is_not_said_again(line: str, filled: str) -> None:
    card = f"| What | Value |\n|---|---|\n{line}\n"
    text = body(fill_card(card.encode(), model="regnet-y-040", ledger=None).text.decode())
    assert filled in re.sub(r" \[+h.*?\]+(\[h\d+\])?", "", text).splitlines()


@pytest.mark.parametrize(
    ("sentence", "filled"),
    [
        (f"In the paper, inference takes {M} ms.", "takes 68 ms"),
        (f"By the model zoo, inference takes {M} ms.", "takes 69 ms"),
        (f"On films from a third hospital, top-1 is {M}.", "top-1 is not stated"),
        (f"On a V100, 64 images take {M} ms.", "take 69 ms"),
    ],
)
def test_a_sentence_asks_by_whom_and_on_what(sentence: str, filled: str) -> None:
    text = body(fill_card(sentence.encode(), model="regnet-y-040", ledger=None).text.decode())
    assert filled in re.sub(r" \[+h.*?\]+(\[h\d+\])?", "", text)
