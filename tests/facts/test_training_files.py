"""What training scripts leave beside the weights answers what it is of: each result its part of the data, each rate its step."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest

import harness
from harness.evidence import EvidenceClass
from harness.facts.schedule import shown_schedule
from tests.facts.test_reading import CONFIG, read, written

M = "[More Information Needed]"
RESULTS = {
    "eval_accuracy": 0.93181, "eval_macro_f1": 0.88846, "eval_runtime": 21.9,
    "test_accuracy": 0.92447, "test_macro_f1": 0.8791, "test_loss": 0.23177,
}  # fmt: skip


def filled(card: str, folder: Path) -> str:
    told = harness.fill(f"# A model\n\n{card}\n", model=str(folder)).text.decode()
    return re.sub(r" ?\[h\d+(?:, h\d+)*\]", "", told).partition("**Sources")[0].removeprefix("# A model\n\n").strip()


def rates(shape: str, peak: float, warmup: int, last: int, every: int) -> list[tuple[int, float]]:
    """The rates that transformers' `get_scheduler` makes, as its Trainer logs them."""
    steps = range(every, last + 1, every)
    done = {step: (step - warmup) / (last - warmup) for step in steps}
    left = {
        step: 1 - part if shape == "linear" else 0.5 * (1 + math.cos(math.pi * part)) for step, part in done.items()
    }
    return [(step, peak * (step / warmup if step < warmup else left[step])) for step in steps]


@pytest.mark.parametrize(
    ("logged", "peak", "warmup", "is_logged"),
    [
        (rates("cosine", 3e-4, 200, 4200, 100), 3e-4, 200, True),
        (rates("cosine", 2e-4, 90, 3000, 50), 2e-4, 90, False),  # the peak lies between two logged steps
        (rates("linear", 1e-4, 0, 1208, 50), 1e-4, None, False),  # a line that begins at a round number
        (rates("linear", 1.2345678e-4, 0, 1208, 50), None, None, False),  # or at any: it may have been warmed up
    ],
)
def test_a_schedule_is_told_by_the_logged_rates(
    logged: list[tuple[int, float]], peak: float | None, warmup: int | None, is_logged: bool
) -> None:
    shown = shown_schedule(logged, {100: 4200, 50: 3000 if warmup else 1208}[logged[0][0]])
    assert shown is not None
    assert (shown.peak, shown.warmup, shown.is_logged) == (peak, warmup, is_logged)


def test_rates_that_follow_no_one_curve_show_no_schedule() -> None:
    steps = rates("cosine", 3e-4, 0, 1000, 50)
    assert shown_schedule([*steps[:10], (550, 1e-4), *steps[11:]], 1000) is None
    assert shown_schedule(steps[:2], 1000) is None


def test_each_result_answers_for_its_own_part_of_the_data(tmp_path: Path) -> None:
    folder = written(tmp_path, config=CONFIG, all_results=RESULTS)
    card = f"| Part | Accuracy | Macro F1 | Weighted F1 |\n|-|-|-|-|\n| Validation | {M} | {M} | {M} |\n| Test | {M} | {M} | {M} |"
    card += f"\n\nOn pictures from a third hospital, the accuracy is {M}."
    rows = filled(card, folder).split("\n")
    assert rows[2].startswith("| Validation | 0.9318 | 0.8885 | not stated")
    assert rows[3].startswith("| Test | 0.9245 | 0.8791 | not stated")
    assert rows[-1].endswith("the accuracy is not stated.")
    (folder / "all_results.json").write_text(json.dumps({"eval_accuracy": 0.93181}))
    assert filled(f"Test accuracy: {M}", folder) == "Test accuracy: Not stated"
    assert filled(f"Validation accuracy: {M}", folder) == "Validation accuracy: 0.9318"


def test_a_trainers_state_tells_its_best_epoch_and_steps(tmp_path: Path) -> None:
    logged = [
        {"step": step, "epoch": step / 168, "learning_rate": rate}
        for step, rate in rates("cosine", 3e-4, 200, 4200, 100)
    ]
    logged += [{"step": 3528, "epoch": 21.0, "eval_macro_f1": 0.88846, "eval_accuracy": 0.93}]
    state = {
        "best_metric": 0.88846, "best_model_checkpoint": "/scratch/run/checkpoint-3528", "global_step": 4200,
        "max_steps": 4200, "num_train_epochs": 25, "train_batch_size": 64, "log_history": logged,
    }  # fmt: skip
    folder = written(tmp_path, config=CONFIG, trainer_state=state)
    card = (
        f"The learning rate rose linearly over {M} steps to its peak of {M} and then followed {M}. Each device batch held {M} "
        f"pictures, and one epoch took {M} optimiser steps. We kept the checkpoint that was best on the validation part, which by "
        f"{M} was that of epoch {M}."
    )
    assert filled(card, folder) == (
        "The learning rate rose linearly over 200 steps to its peak of 0.0003 and then followed cosine decay to 0 at the last step. "
        "Each device batch held 64 pictures, and one epoch took 168 optimiser steps. We kept the checkpoint that was best on the "
        "validation part, which by macro F1 was that of epoch 21."
    )
    items, _ = read(folder)
    assert items["documented.training.warmup"].class_ is EvidenceClass.DERIVED
    assert items["documented.training.learning-rate"].class_ is EvidenceClass.DOCUMENTED


def test_timms_settings_are_told_as_far_as_they_are_on(tmp_path: Path) -> None:
    folder = written(tmp_path, config=CONFIG)
    on = (
        "aa: rand-m7-mstd0.5-inc1\nscale: [0.35, 1.0]\nhflip: 0.5\nvflip: 0.0\nreprob: 0.25\nremode: pixel\nmixup: 0.0\n"
        "model_ema: true\nmodel_ema_decay: 0.9998\nopt: adamw\nmomentum: 0.9\ndataset: hfds/somebody/street-food\nval_split: test\n"
    )
    (folder / "args.yaml").write_text(on)
    (folder / "summary.csv").write_text(
        "epoch,train_loss,eval_loss,eval_top1,eval_top5,lr\n0,2.3,1.9,38.2,77.8,1e-4\n1,1.1,0.5,87.98,97.8,1e-5\n2,1.0,0.6,87.5,98.1,1e-6\n"
    )
    items, _ = read(folder)
    told = items["documented.training.augmentation"].value
    assert (
        told
        == "RandAugment (rand-m7-mstd0.5-inc1), random crops of 0.35–1 of the area, horizontal flips (probability 0.5) and random erasing (probability 0.25)"
    )
    assert items["documented.training.ema"].value == "yes (decay 0.9998)"
    assert items["documented.data.training"].value == "somebody/street-food"
    assert items["documented.training.best-epoch"].value == 1  # 87.98 is the highest, and rows are counted from 0
    card = f"- Momentum: {M}\n- EMA decay: {M}\n- Top-1 on the test set: {M}\n- Top-1 on the validation set: {M}"
    assert filled(card, folder).split("\n") == [
        "- Momentum: Not stated",  # AdamW has none
        "- EMA decay: Yes (decay 0.9998)",
        "- Top-1 on the test set: 87.98 %",
        "- Top-1 on the validation set: Not stated",
    ]
    (folder / "args.yaml").write_text(on.replace("model_ema: true", "model_ema: false\nno_aug: true"))
    items, _ = read(folder)
    assert items["documented.training.ema"].value == "none"
    assert items["documented.training.augmentation"].value == "random erasing (probability 0.25)"


def test_a_result_holds_at_its_size_and_a_batch_is_that_of_all_cards(tmp_path: Path) -> None:
    record = {"input_size": [3, 192, 192], "test_input_size": [3, 224, 224], "std": [0.2, 0.2, 0.2]}
    folder = written(tmp_path, config={"architecture": "resnet26t", "num_classes": 9, "pretrained_cfg": record})
    (folder / "args.yaml").write_text(
        "batch_size: 96\ngrad_accum_steps: 4\nimg_size: 192\nlr: null\nlr_base: 0.25\nlr_base_size: 256\nopt: lamb\n"
    )
    (folder / "summary.csv").write_text("epoch,eval_top1,eval_top5\n0,61.5,90.25\n1,74.25,95.5\n2,74.0,95.75\n")
    table = f"| model | img_size | top1 |\n|-|-|-|\n| resnet26t.lamb_ft_food101 | 192 | {M} |\n| resnet26t.lamb_ft_food101 | 224 | {M} |"
    rest = (
        f"\n\nIt was picked by top-1 and comes from epoch {M}. The standard deviation of top-1 over three seeds is {M}. It took {M} "
        f"GPU hours. Each optimiser step took {M} images.\n\n- Images per update (all cards): {M}\n- Base learning rate: {M}\n- Optimizer: {M}"
    )
    cards = "Its name is hf-hub:me/resnet26t.lamb_ft_food101.\n\nWe trained on three RTX 3090 cards with DDP.\n\n"
    told = harness.fill(f"{cards}{table}{rest}", model=str(folder), fix_claims=True).text.decode()
    told = re.sub(r" ?\[h\d+(?:, h\d+)*\]", "", told).partition("**Sources")[0]
    assert "food101 | 192 | 74.25 % |" in told
    assert "food101 | 224 | not stated |" in told  # nor is the size of its row put right
    assert (
        told.partition("\n\nIt was")[2].strip()
        == (
            "picked by top-1 and comes from epoch 1. The standard deviation of top-1 over three seeds is not stated. The GPU "
            "hours are not stated in the card or the model's files. Each optimiser step took 1,152 images.\n\n"  # 96 × 4 × 3
            "- Images per update (all cards): 1,152 (96 per process × 4 for gradient accumulation × 3 GPUs)\n"
            "- Base learning rate: 0.25 per 256 images\n- Optimizer: LAMB"
        )
    )
    assert filled(f"Global batch size: {M}", folder) == "Global batch size: Not stated as a whole"


HEAD = "run_id,duration,emissions,energy_consumed,country_name,region,cloud_provider,python_version,gpu_count,gpu_model,on_cloud\n"
RUN = "5b1e,6987.41,0.21529,0.46121,Netherlands,utrecht,,3.10.13,1,1 x NVIDIA RTX A5000,N\n"


def test_emissions_are_those_of_one_run(tmp_path: Path) -> None:
    folder = written(tmp_path, config=CONFIG)
    (folder / "emissions.csv").write_text(HEAD + RUN)
    card = (
        f"## Compute\n\nThe run used {M} for {M} hours, on premises in {M}. Measured emissions were {M} kg CO2eq for {M} kWh.\n\n"
        f"- Cloud provider: {M}"
    )
    assert filled(card, folder) == (
        "## Compute\n\nThe run used 1 x NVIDIA RTX A5000 for 1.9409 hours, on premises in Netherlands (Utrecht). Measured emissions were "
        "0.2153 kg CO2eq for 0.4612 kWh.\n\n- Cloud provider: Not stated"
    )
    (folder / "emissions.csv").write_text(HEAD + RUN + RUN.replace("5b1e", "77aa").replace("0.21529", "0.5"))
    items, notes = read(folder)
    assert "carbon.training" not in items
    assert items["documented.training.gpu-model"].value == "NVIDIA RTX A5000"  # the same in both
    assert "2 runs" in notes[-1]


def test_a_citation_file_is_cited_as_its_authors_ask(tmp_path: Path) -> None:
    folder = written(tmp_path, config=CONFIG)
    (folder / "CITATION.cff").write_text(
        'cff-version: 1.2.0\ntype: software\ntitle: "Leaf sorter"\nauthors:\n- {family-names: "de Graaf", given-names: "Marijke", email: m@example.org}\n'
        '- {name: "Leaf Group"}\nversion: 1.0\ndate-released: 2024-05-21\nlicense: MIT\n'
    )
    items, _ = read(folder)
    assert items["documented.citation.bibtex"].value.split("\n") == [
        "@misc{degraaf2024leaf,",
        "  author = {de Graaf, Marijke and {Leaf Group}},",
        "  title = {{Leaf sorter}},",
        "  version = {1.0},",
        "  year = {2024},",
        "}",
    ]
    apa = "de Graaf, M., & Leaf Group. (2024). Leaf sorter (Version 1.0) [Computer software]"
    assert items["documented.citation.apa"].value == apa
    assert items["documented.model.contact"].value == "m@example.org"
    assert "documented.model.title" not in items  # which is a paper's
    assert filled(f"The weights are released under {M}.", folder) == "The weights are released under `MIT`."


def test_what_holds_in_training_and_in_tests_is_told_for_both(tmp_path: Path) -> None:
    pretrained = {
        "input_size": [3, 224, 224],
        "crop_pct": 0.875,
        "test_crop_pct": 0.95,
        "mean": [0.5] * 3,
        "std": [0.5] * 3,
        "interpolation": "bicubic",
    }
    folder = written(
        tmp_path,
        config={
            "architecture": "convnextv2_atto",
            "num_classes": 12,
            "num_features": 320,
            "pretrained_cfg": pretrained,
        },
    )
    card = (
        f"```python\nmodel = timm.create_model('hf_hub:somebody/food', pretrained=True)\n```\n\n| Setting | Value |\n|-|-|\n"
        f"| Crop pct (train size / test size) | {M} |\n\n### Image Embeddings\n\n{M}"
    )
    text = filled(card, folder)
    assert "| 0.875 / 0.95 |" in text
    assert 'create_model("hf-hub:somebody/food", pretrained=True, num_classes=0)' in text
    assert "# (1, 320)" in text


def test_pinned_versions_are_those_of_their_packages(tmp_path: Path) -> None:
    folder = written(tmp_path, config=CONFIG)
    (folder / "requirements.txt").write_text("torch==2.4.1\naccelerate>=0.34\nnumpy==2.0\n")
    assert read(folder)[0]["documented.training.software"].value == "PyTorch 2.4.1"
    assert filled(f"It was trained with torch {M} and accelerate {M}.", folder) == (
        "It was trained with torch 2.4.1 and accelerate (not stated)."
    )
    (folder / "args.yaml").write_text("batch_size: 64\ngrad_accum_steps: 4\n")
    assert filled(f"Batch size: {M}\n\nEffective batch size: {M}", folder).split("\n\n") == [
        "Batch size: 64 images",
        "Effective batch size: Not stated as a whole",
    ]


def test_a_model_is_not_taken_for_a_letter_of_other_words(tmp_path: Path) -> None:
    """Of a folder that is called by one letter: what its words ask is told by whole words."""
    folder = tmp_path / "g"
    folder.mkdir()
    written(
        folder,
        config=CONFIG,
        eval_results={"eval_accuracy": 0.97, "eval_samples": 500, "epoch": 5.0, "eval_loss": 0.09},
    )
    card = (
        f"| Metric | Value |\n|-|-|\n| Accuracy | {M} |\n| Accuracy on night images | {M} |\n\n"
        f"Its accuracy on the {M} validation photos is {M}, its loss {M}. The last epoch's accuracy was {M}.\n\nPlease cite as\n\n{M}"
    )
    (folder / "CITATION.cff").write_text("title: Weld check\nauthors:\n- {name: Welders}\n")
    text = filled(card, folder)
    assert "| Accuracy | 0.97 |\n| Accuracy on night images | not stated |" in text
    assert "on the 500 validation photos is 0.97, its loss 0.09. The last epoch's accuracy was not stated." in text
    assert "title = {{Weld check}}" in text


def test_results_nested_by_split_are_read_like_flat_ones(tmp_path: Path) -> None:
    parts = {
        "val": {"n": 7655, "top1": 94.98, "top5": 99.62, "loss": 0.196133},
        "test": {"n": 7661, "top1": 94.31, "top5": 99.58, "loss": 0.2104},
    }
    evaluated = {"checkpoint": "model_best.pth.tar", "epoch": 28, "splits": parts, "test_macro_f1": 0.943}
    folder = written(tmp_path, config=CONFIG, eval_results=evaluated)
    (folder / "args.yaml").write_text("epochs: 30\nseed: 1312\namp: true\namp_dtype: bfloat16\n")
    labels = ["Number of epochs", "Random seed", "Mixed precision", "Photos, validation", "Number of photos, test"]
    card = "| Requirement | Value |\n|-|-|\n" + "".join(f"| {label} | {M} |\n" for label in labels)
    card += f"\n| Split | Top-1 (%) | Loss |\n|-|-|-|\n| Validation | {M} | {M} |\n| Test | {M} | {M} |"
    rows = [
        row.strip("| ").split(" | ")[1:] for row in filled(card, folder).split("\n") if re.search(r"\d\d|mixed", row)
    ]
    assert rows == [
        ["30"], ["1312"], ["mixed precision (bfloat16)"], ["7,655"], ["7,661"],
        ["94.98", "0.1961"], ["94.31", "0.2104"],
    ]  # fmt: skip
    (folder / "args.yaml").unlink()
    assert filled(f"Number of epochs: {M}", folder) == "Number of epochs: Not stated"  # the 28th was evaluated
    (folder / "eval_results.json").write_text(json.dumps({"ours": parts, "baseline": parts}))
    assert "documented.evaluation.loss" not in read(folder)[0]  # of which of them?


def test_what_several_files_state_of_one_question_is_told_as_a_whole(tmp_path: Path) -> None:
    record = {
        "input_size": [3, 256, 256], "interpolation": "bicubic", "crop_pct": 0.95, "crop_mode": "border",
        "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5],
    }  # fmt: skip
    folder = written(tmp_path, config={"architecture": "efficientnet_b0", "num_classes": 14, "pretrained_cfg": record})
    (folder / "args.yaml").write_text(
        "drop: 0.2\ndrop_path: 0.0\nsmoothing: 0.05\nreprob: 0.1\nclip_grad: 1.0\nmixup: 0.0\naa: null\ncolor_jitter: 0.3\n"
    )
    (folder / "requirements.txt").write_text("torch==2.3.1\nnumpy>=1.26\npyyaml==6.0.1\n")
    (folder / "LICENSE").write_text(
        "Other use needs an agreement with Somebody GmbH (model-licensing@somebody.example)."
    )
    labels = ["Interpolation and crop", "Regularisation", "Required software", "Contact for licensing"]
    card = "| Item | Value |\n|-|-|\n" + "".join(f"| {label} | {M} |\n" for label in labels)
    rows = [row.strip("| ").partition(" | ")[2] for row in filled(card, folder).split("\n")[2:]]
    assert rows == [
        "interpolation: bicubic; cropping: crop fraction 0.95 (crop mode border)",
        "label smoothing 0.05, dropout 0.2, gradient clipping 1 and random erasing 0.1",
        "torch 2.3.1 and pyyaml 6.0.1",
        "model-licensing@somebody.example",
    ]
    items, _ = read(folder)
    assert items["documented.data.resolution"].source.place == "config.json, input_size"
    assert "colour jitter" in items["documented.training.augmentation"].value
    (folder / "args.yaml").write_text("aa: rand-m9-mstd0.5\ncolor_jitter: 0.3\n")
    assert (
        "colour jitter" not in read(folder)[0]["documented.training.augmentation"].value
    )  # which timm leaves out then
    (folder / "LICENSE").write_text("Copyright (c) 2024 A. Somebody <somebody@somebody.example>")
    assert "documented.license.contact" not in read(folder)[0]


def test_planned_epochs_are_not_put_right_where_training_stopped_early(tmp_path: Path) -> None:
    folder = written(tmp_path, config=CONFIG, train_results={"epoch": 9.0, "train_runtime": 1184.2})
    kept = (
        "This model is a fine-tuned version of [facebook/deit-tiny](https://huggingface.co/facebook/deit-tiny).\n\n"
        "### Training hyperparameters\n\nThe following hyperparameters were used during training:\n- num_epochs: 12\n"
    )
    asked = f"Training epochs: {M}\n\nMost of its errors lie between {M}.\n"
    told = harness.fill(f"{kept}\n{asked}", model=str(folder), fix_claims=True).text.decode()
    assert told.startswith(kept)
    assert "Training epochs: 9 " in told
    assert "lie between (not stated" in told
