"""What a Trainer's folder says answers what its card asks: an epoch's row with that epoch's values, and each question with its own
kind of answer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import harness
from tests.cards.conftest import body

M = "[More Information Needed]"
FRONT = "---\nbase_model: somebody/base\ndatasets:\n- leaves\n---\n\n"
CONFIG = {
    "architectures": ["ViTForImageClassification"],
    "model_type": "vit",
    "id2label": {"0": "oak", "1": "elm", "2": "ash"},
    "transformers_version": "4.41.2",
    "patch_size": 8,
}
PROCESSOR = {"size": {"height": 32, "width": 32}, "resample": 2, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
STATE = {
    "epoch": 2.0,
    "global_step": 130,
    "train_batch_size": 16,
    "best_model_checkpoint": "out/checkpoint-65",
    "log_history": [
        {"epoch": 0.9, "step": 60, "loss": 0.5},
        {"epoch": 1.0, "step": 65, "eval_loss": 0.25, "eval_accuracy": 0.9},
        {"epoch": 2.0, "step": 130, "eval_loss": 0.375, "eval_accuracy": 0.875},
        {"epoch": 2.0, "step": 130, "eval_loss": 0.25, "eval_accuracy": 0.9},  # of the best checkpoint, once more
        "damaged",
    ],
}
RESULTS = {"eval_loss": 0.25, "eval_accuracy": 0.9, "eval_samples": 133, "train_samples": 1034, "train_runtime": 180.0}


@pytest.fixture
def model(tmp_path: Path) -> str:
    folder = tmp_path / "leaves"
    folder.mkdir()
    files = {"config": CONFIG, "preprocessor_config": PROCESSOR, "trainer_state": STATE, "all_results": RESULTS}
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return str(folder)


def filled(card: str, model: str) -> str:
    return body(harness.fill(FRONT + card, model=model).text.decode()).partition("---\n\n")[2].strip()


def test_a_row_of_an_epoch_has_what_was_logged_then(model: str) -> None:
    card = (
        "| Training Loss | Epoch | Step | Validation Loss | Accuracy |\n|---|---|---|---|---|\n"
        f"| {M} | 1.0 | {M} | {M} | 0.9 |\n| 0.5 | 2.0 | 130 | 0.375 | {M} |\n| 0.5 | 3.0 | 195 | {M} | {M} |"
    )
    assert filled(card, model).splitlines()[2:] == [
        "| 0.5000 | 1.0 | 65 | 0.2500 | 0.9 |",
        "| 0.5 | 2.0 | 130 | 0.375 | 0.8750 |",
        "| 0.5 | 3.0 | 195 | not stated | not stated |",
    ]
    assert harness.fill(FRONT + card, model=model).report["contradictions"] == []  # no row tells of the whole training


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        (f"After epoch 2 the validation loss was {M}.", "loss was 0.3750."),
        (f"After epoch 4 the accuracy was {M}.", "accuracy was not stated."),
        (f"The best checkpoint is the one of step {M}.", "step 65."),
        (f"- Loss: {M}", "Loss: 0.25"),
        (f"- Loss function: {M}", "function: Not stated"),
        (f"- train_batch_size: {M}", "size: 16"),
        (f"Trained on {M} images, evaluated on {M} images.", "on 1,034 images, evaluated on 133 images."),
        (f"- Number of training images: {M}", "images: 1,034"),
        (f"Training ran for {M} steps.", "for 130 steps."),
        (f"Training took {M} minutes.", "took 3 minutes."),
        (f"It is a fine-tuned version of {M} on the {M} dataset.", "of somebody/base on the leaves dataset."),
        (f"- Classes: {M}", "Classes: oak, elm, ash"),
        (f"- Number of classes: {M}", "classes: 3"),
        (f"It knows {M} classes.", "knows 3 classes."),
        (f"- Transformers: {M}", "Transformers: 4.41.2"),
        (f"### Framework versions\n\n- Datasets {M}", "- Datasets (not stated)"),
        (f"The servers stood in {M}.", "in (not stated)."),
        (f"It attends inside windows of {M} patches a side.", "windows of an unstated number of patches"),
        (f"The learning rate rose to {M} during the first tenth of the steps.", "rose to (not stated) during"),
        (f"| | Value |\n|---|---|\n| Output size | {M} |", "| 3 classes |"),
        (f"- Eval batch size: {M}", "size: Not"),
        (f"- Channels per stage: {M}", "stage: Not"),
        (f"- Bottleneck ratio: {M}", "ratio: Not stated"),
        (f"- Embedding size: {M}", "size: Not stated"),
        (f"The transforms keep {M} of the image at the training size.", "keep (not stated) of the image"),
        (f"Trained with the {M} optimizer.", "with the unspecified optimizer."),
        (f"## Training\n\nIt was trained with AdamW.\n\n## In short\n\nOptimizer: {M}", "Optimizer: AdamW"),
        (
            f"## Training\n\nThe base model was trained with AdamW.\n\n## In short\n\nOptimizer: {M}",
            "Optimizer: Not stated",
        ),
        (f"The head takes a tensor of shape (batch, {M}).", "shape (batch, (not stated))."),
        (f"- Fine-tuned from: {M}", "from: [somebody/base](https://huggingface.co/somebody/base)"),
        (f"It tells {M} apart.", "tells oak, elm, ash apart."),
    ],
)
def test_each_question_gets_its_own_kind_of_answer(model: str, asked: str, answer: str) -> None:
    assert answer in filled(asked, model)


def test_code_uses_what_the_folder_has(model: str) -> None:
    card = f"# How to use\n\n{M}\n"
    has_all = filled(card, model)
    assert 'AutoImageProcessor.from_pretrained("<user>/leaves")  # put the account for <user>' in has_all
    assert 'from_pretrained("my-lab/leaves")' in filled(f"See huggingface.co/my-lab/leaves.\n\n{card}", model)
    repository = "- **Repository:** https://huggingface.co/my-lab/leaves-v2"
    assert 'from_pretrained("my-lab/leaves-v2")' in filled(f"{repository}\n\n{card}", model)
    (Path(model) / "preprocessor_config.json").unlink()
    (Path(model) / "config.json").write_text(json.dumps(CONFIG | {"torch_dtype": "float16"}))
    has_less = filled(card, model)
    assert "Processor" not in has_less
    assert ").float().eval()" in has_less


def test_a_result_of_another_split_is_no_claim_about_the_evaluation(model: str) -> None:
    card = "| Part | Loss |\n|---|---|\n| Validation | 0.25 |\n| Test | 0.3 |\n"
    claims = harness.claims(FRONT + card, model=model)
    assert {(claim.text, claim.verdict.value) for claim in claims if "loss" in claim.about} == {("0.25", "supported")}


def test_the_words_that_the_trainer_leaves_are_markers(model: str) -> None:
    card = (
        "# leaves\n\nThis model is a fine-tuned version of somebody/base.\n\n## Model description\n\nMore information needed\n\n"
        "## Intended uses & limitations\n\nMore information needed\n\n"
        "## Training and evaluation data\n\nMore information needed\n\nIf more information is needed, ask.\n"
    )
    text = filled(card, model)
    assert "needed\n\n" not in text
    assert text.endswith("If more information is needed, ask.")
    for told in (
        "- It is a Vision Transformer for image classification",
        "of 3 classes a score",
        "- The training data is `leaves`",
    ):
        assert told in text


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        (f"Accuracy on the pages for checking: {M} for the best epoch", "checking: (not stated) for the best epoch"),
        (f"A ViT (kept in {M} pieces) with its ({M} classes) head.", "its (3 classes) head"),
        (f"It knows these kinds of tree: {M}", "tree: oak, elm, ash"),
        (f"Leaf shape classes: {M}", "classes: oak, elm, ash"),
        (f"transformers {M}, rest whatever pip gave me", "transformers 4.41.2, rest"),
    ],
)
def test_a_short_card_asks_in_its_own_words(model: str, asked: str, answer: str) -> None:
    assert answer in filled(asked, model)
