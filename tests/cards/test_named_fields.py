"""A field of the model's files is found by its name in words, in a cell, a label, a sentence or code, and no other field is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import harness
from tests.cards.conftest import body

M = "[More Information Needed]"
CONFIG = {
    "architectures": ["SwinForImageClassification"],
    "model_type": "swin",
    "window_size": 7,
    "depths": [2, 2, 6, 2],
    "num_heads": [2, 4, 8, 16],
    "drop_path_rate": 0.1,
    "attention_probs_dropout_prob": 0.0,
    "hidden_dropout_prob": 0.05,
    "classifier_dropout_prob": 0.2,
    "mlp_ratio": 4.0,
    "qkv_bias": True,
    "image_size": 224,
}


@pytest.fixture
def model(tmp_path: Path) -> str:
    (tmp_path / "swin").mkdir()
    (tmp_path / "swin" / "config.json").write_text(json.dumps(CONFIG))
    return str(tmp_path / "swin")


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ("Window size", "7 patches"),
        ("Depth of the four stages", "2, 2, 6, 2"),
        ("Heads in the last stage", "16"),
        ("Stochastic depth rate", "0.1"),
        ("MLP ratio", "4"),
        ("QKV bias", "yes"),
        ("Dropout before the classifier", "0.2"),
        ("Dropout", "not stated"),  # there are three
        ("Window size of the teacher", "not stated"),
        ("Head count of the teacher", "not stated"),
    ],
)
def test_a_cell_and_a_label_get_the_value(model: str, asked: str, answer: str) -> None:
    card = f"| Field | Content |\n|---|---|\n| {asked} | {M} |\n\n- **{asked}:** {M}\n"
    lines = body(harness.fill(card, model=model).text.decode()).splitlines()
    assert lines[2] == f"| {asked} | {answer} |"
    assert lines[4] == f"- **{asked}:** {answer[:1].upper()}{answer[1:]}"


def test_a_sentence_gets_bare_values_of_what_its_words_ask(model: str) -> None:
    card = f"The rate of stochastic depth was {M}; attention dropout was {M}, and warm-up lasted {M} epochs.\n"
    assert body(harness.fill(card, model=model).text.decode()) == (
        "The rate of stochastic depth was 0.1; attention dropout was 0, and warm-up lasted an unstated number of epochs.\n"
    )


def test_code_gets_the_value_as_code_has_it(model: str) -> None:
    card = f"```yaml\nimage_size: {M}\nqkv_bias: {M}\n```\n"
    assert harness.fill(card, model=model).text.decode() == "```yaml\nimage_size: 224\nqkv_bias: true\n```\n"


def test_no_path_of_this_machine_is_written(model: str, tmp_path: Path) -> None:
    (tmp_path / "card.md").write_text(f"- **Latency:** {M}\n- **Window size:** {M}\n")
    filled = harness.fill(tmp_path / "card.md", model=model, output=tmp_path / "filled.md")
    assert str(tmp_path) not in filled.text.decode()
    assert harness.verify(tmp_path / "filled.md").findings == []
