"""What a card's own sentences and front matter state answers what its tables leave open, where nothing else is known of the model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import harness
from tests.cards.conftest import body

M = "[More Information Needed]"
FRONT = """---
license: cc-by-nc-4.0
co2_eq_emissions: {emissions: 240, hardware_used: 2 x A40, geographical_location: "Turku, Finland"}
model-index:
- name: ice
  results:
  - task: {type: image-classification}
    dataset: {name: Ice, type: lab/ice, split: test}
    metrics:
    - {type: accuracy, value: 0.912}
    - {type: f1, value: 0.887, name: weighted F1}
---

"""
PROSE = (
    "# Ice on lakes\n\nThe teacher had batches of 256 images. This network was fine-tuned for 12 epochs on the workstation (one RTX 4080) with "
    "7,412 patches for training, which two people had labelled (Cohen's kappa 0.83). The patches come from lakes near Kuopio, Finland, and were "
    "photographed by three limnologists at 12x magnification between March and May 2023; 900 of them were for validation and 700 for the test. It "
    "tells what kind of surface a patch shows. We began with random weights. In all, 93.5 % of the patches are put right. The camera is a Sony RX0 "
    "with a polariser; the rate was divided by ten after 8 epochs, and the two people agreed in 88 % of the cases.\n\n"
)


@pytest.fixture
def model(tmp_path: Path) -> str:
    config = {
        "architectures": ["ViTForImageClassification"],
        "model_type": "vit",
        "id2label": {"0": "ice", "1": "water"},
        "num_channels": 3,
        "classifier_dropout_prob": 0.1,
        "hidden_act": "gelu",
    }
    processor = {
        "crop_size": {"height": 160, "width": 160},
        "do_flip_channel_order": True,
        "image_mean": [0.4, 0.5, 0.6],
        "size": {"shortest_edge": 184},
    }
    for name, content in (("config", config), ("preprocessor_config", processor)):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    return str(tmp_path)


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ("patches for training", "7,412"),
        ("patches for testing", "700"),
        ("patches for calibration", "not stated"),
        ("Model date", "not stated"),
        ("Rate divided by ten after", "not stated"),
        ("Dropout before the last layer", "0.1"),
        ("Photographed when and where?", "March and May 2023, Kuopio, Finland"),
        ("Patches (train / validation / test)", "7,412 / 900 / 700"),
        ("Validation images", "900"),
        ("Magnification", "12x"),
        ("Camera", "a Sony RX0"),
        ("Agreement of the two people", "88 %"),
        ("Annotators", "two people"),
        ("How many people had labelled the patches?", "two"),
        ("Photographed", "March and May 2023"),
        ("Countries", "Kuopio, Finland"),
        ("Photographed by", "three limnologists"),
        ("Kinds of surface", "ice, water"),
        ("Kinds of camera", "not stated"),
        ("Pretrained on", "nothing (random weights)"),
        ("Colour channels", "3"),
        ("batch size", "not stated"),  # only the teacher's
        ("agreement of the two people (kappa)", "0.83"),
        ("Fine-tuning epochs", "12"),
        ("GPU", "2 x A40"),  # front matter before prose
        ("Channel order", "BGR"),
        ("Commercial use allowed?", "no (`cc-by-nc-4.0`)"),
        ("Test accuracy", "0.912"),
    ],
)
def test_a_cell_gets_what_the_card_states(model: str, asked: str, answer: str) -> None:
    card = f"{FRONT}{PROSE}| | |\n|---|---|\n| {asked} | {M} |\n"
    text = body(harness.fill(card, model=model).text.decode())
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {asked}")]
    assert line == f"| {asked} | {answer} |"


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        (
            f"It was done on {M} in {M} and emitted {M} grams of CO2.",
            "on 2 x A40 in Turku, Finland and emitted 240 grams of CO2.",
        ),
        (
            f"It sorts a patch into {M}, with a mean of {M} and a standard deviation of (0.2, 0.3, 0.3).",
            "into ice, water, with a mean of (0.4, 0.5, 0.6) and",
        ),
        (
            f"A head with {M} classes ({M}). They are two kinds: {M}.",
            "with 2 classes (ice, water). They are two kinds: ice, water",
        ),
        (f"- CO2: {M} g", "0.24 kg CO2e"),
        (f"In all, {M} % of the lakes are found.", "In all, an unstated share of the lakes are found."),
        (
            f"Training ran on {M} for years. Write to {M}.",
            "ran on 2 x A40 for years. Write to an address that is not stated.",
        ),
        (f"It has a head for {M} wet things and uses {M} activations.", "for 2 wet things and uses GELU activations."),
        (f"It may be used at depths of at most {M} metres.", "at most an unstated number of metres."),
    ],
)
def test_an_answer_fits_its_sentence(model: str, asked: str, answer: str) -> None:
    assert answer in body(harness.fill(f"{FRONT}{PROSE}{asked}\n", model=model).text.decode())


def test_whose_machine_it_ran_on_is_told_where_its_kind_is_not(model: str) -> None:
    card = f"# Ice\n\n## Training\n\n- **Hardware Type:** {M}\n- **Cloud Provider:** none, our own workstation\n"
    assert "- **Hardware Type:** Our own workstation" in body(harness.fill(card.encode(), model=model).text.decode())
