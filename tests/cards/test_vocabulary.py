"""One table of properties: whatever the facts files hold can be asked for, in more words than one."""

from __future__ import annotations

import re

import pytest

from harness.cards.fill import fill_card
from harness.cards.vocabulary import Property, vocabulary
from harness.facts.loader import facts_for
from tests.cards.conftest import body

M = "[More Information Needed]"
REGNET, CONVNEXT = "regnet-y-040", "convnext-base-224-22k"
NOT_ASKED = r"training\.recipe|coco\.(swin-b|mask-rcnn|ap-detail)|evaluation\.corruptions|identity|provenance|usage|estimated|comparison|imagenet|citation|evaluation\.(datasets|corruption-error|accuracy-table|during-training)|model\.codebase|architecture\.activation-study|limits\.task"
"""What stands in answers to other questions, or corrects statements, and no card leaves open by itself."""


def keys(about: Property) -> set[str]:
    listed = about.items.values() if isinstance(about.items, dict) else about.items
    return {*about.keys, *about.evidence, *about.absent, *listed, *about.values, *about.metrics}


@pytest.mark.parametrize("model", [REGNET, CONVNEXT])
def test_every_fact_has_a_property_with_names(model: str) -> None:
    facts = facts_for(model)
    assert facts is not None
    told = {key.removeprefix("documented.") for about in vocabulary().properties for key in keys(about)}
    subjects = {fact.evidence.name.subject for fact in facts.facts}
    assert {s for s in subjects if s not in told and not re.match(NOT_ASKED, s)} == set()


def cells(model: str, row: str, columns: str = "Answer") -> list[str]:
    """What the cells of a table's only row become, without marks."""
    heads = columns.split(" | ")
    card = (
        f"# A card\n\n| what | {columns} |\n|{'---|' * (len(heads) + 1)}\n| {row} | {' | '.join([M] * len(heads))} |\n"
    )
    lines = body(fill_card(card.encode(), model=model, ledger=None).text.decode()).splitlines()
    (line,) = [line for line in lines if line.startswith(f"| {row}")]
    return [cell.strip() for cell in line.strip("|").split("|")[1:]]


@pytest.mark.parametrize(
    ("model", "row", "value"),
    [
        (REGNET, "Who invented it?", "Piotr Dollár"),
        (REGNET, "In which conference paper?", "CVPR 2020"),
        (REGNET, "How many weights?", "20,646,656"),
        (REGNET, "Multiply-adds for one 224 px picture", "3,973,301,344"),
        (REGNET, "Widths of the four stages", "128, 192, 512, 1,088"),
        (REGNET, "Channels per group", "64"),
        (REGNET, "Graphics cards used", "8 NVIDIA Tesla V100"),
        (REGNET, "Wall-clock for one run", "17.5 hours"),
        (REGNET, "Electricity bill", "not disclosed"),
        (REGNET, "Size of the file in MB", "82.8"),
        (REGNET, "Colour channel order", "RGB"),
        (REGNET, "Normalisation layers", "BatchNorm"),
        (CONVNEXT, "Kernel size", "7 × 7"),
        (CONVNEXT, "Weight averaging", "not used"),
        (CONVNEXT, "How many nodes?", "16"),
        (CONVNEXT, "AdamW betas", "0.9, 0.999"),
        (CONVNEXT, "Number of outputs", "21,841"),
        (CONVNEXT, "Colour of the logo", "not stated"),
    ],
)
def test_a_row_is_answered_in_other_words(model: str, row: str, value: str) -> None:
    (cell,) = cells(model, row)
    assert value in cell


def test_a_column_tells_the_stage_of_a_list() -> None:
    assert cells(CONVNEXT, "Blocks", "Stage 1 | Stage 3 | Last stage") == ["3", "27", "3"]
    assert cells(CONVNEXT, "Channels", "Stage 2 | Stage 4") == ["256", "1,024"]


def test_a_column_tells_the_checkpoint() -> None:
    columns = "22k stage (this file) | 1k fine-tuning at 224"
    assert cells(CONVNEXT, "epochs", columns) == ["90", "30"]
    assert cells(CONVNEXT, "learning rate", columns) == ["4 × 10⁻³", "5 × 10⁻⁵"]
    assert cells(CONVNEXT, "drop path", columns) == ["0.1", "0.2"]


def test_what_is_missing_of_the_model_itself_is_not_its_name() -> None:
    assert cells(CONVNEXT, "convnext-base-224-22k", "ImageNet-22k top-1") == ["not measured on ImageNet-22k"]


def test_values_of_other_columns_head_nothing() -> None:
    card = (
        "| Knob | 1k fine-tuning at 224 | 22k stage | third |\n|---|---|---|---|\n"
        f"| epochs | 30 | {M} | |\n| optimizer | AdamW | {M} | |\n\n"
        f"| | Stage 1 | Stage 2 | Stage 3 |\n|---|---|---|---|\n| Blocks | 3 | 3 | {M} |\n| Channels | 128 | {M} | 512 |\n"
    )
    text = body(fill_card(card.encode(), model=CONVNEXT, ledger=None).text.decode())
    assert "| epochs | 30 | 90 |" in text
    assert "| Blocks | 3 | 3 | 27 |" in text
    assert "| Channels | 128 | 256 | 512 |" in text


def test_an_error_is_no_accuracy_and_the_source_is_asked() -> None:
    columns = "Error, top-1 (%) | Error, top-5 (%) | ImageNet-C mCE"
    assert cells(REGNET, "pycls model zoo", columns) == ["20.64", "5.336", "not published on ImageNet-C"]


@pytest.mark.parametrize(
    ("model", "sentence", "filled"),
    [
        (REGNET, f"It saw batches of {M} pictures for {M} epochs.", "It saw batches of 512 pictures for 100 epochs."),
        (REGNET, f"The step size peaked at {M} and the L2 term was {M}.", "peaked at 0.4 and the L2 term was 5 × 10⁻⁵."),
        (REGNET, f"The 8 GF sibling scores {M} on the same test.", "The 8 GF sibling scores (not stated) on"),
        (CONVNEXT, f"The paper appeared at {M}; the group comes from {M}.", "appeared at CVPR 2022; the group comes from F"),
        (CONVNEXT, f"Its blocks use kernels of size {M} and the nonlinearity {M}.", "7 × 7 and the nonlinearity GELU"),
        (CONVNEXT, f"The head emits {M} logits.", "The head emits 21,841 logits."),
        (CONVNEXT, f"The detector attains box AP {M} on COCO.", "attains box AP 54 on COCO."),
        (CONVNEXT, f"Inference on V100 (224 px): {M} images per second.", "(224 px): 292.1 images per second."),
        (CONVNEXT, f"**File:** pytorch_model.bin, {M} MB", "**File:** pytorch_model.bin, 439.8 MB"),
        (CONVNEXT, f"* What does it see?\n  * edge length in pixels: {M}\n  * resize filter: {M}", "filter: bicubic"),
        (CONVNEXT, f"Which machines? {M}.", "128 GPUs, 16 machines with 8 each"),
        ("somebody/else", f"All photos come from {M}.", "All photos come from an unstated source."),
        ("somebody/else", f"It is small. The tiles were flown by {M}.", "It is small. By whom the tiles were flown is not stated."),
        ("somebody/else", f"Warm-up lasted {M} epochs.", "The warm-up is not stated in the card."),
        ("somebody/else", f"It is small. On the test split I get {M}.", "The result on the test split is not stated."),
        ("somebody/else", f"Hardware: one card in my desktop, {M}.", "in my desktop (no more is stated)."),
        ("somebody/else", f"It took {M} GPU hours.", "The GPU hours are not stated in the card."),
        (REGNET, f"The specific checkpoint size of RegNetY-040 is {M}.", "The checkpoint of RegNetY-040 takes 82.8 MB in"),
        (REGNET, f"For the GPU type, the answer is {M}.", "Training ran on NVIDIA Tesla V100"),
        (CONVNEXT, f"Who paid? {M}.", "No funding source is named"),
        (REGNET, f"**Group width:** {M}", "Group width:** 64"),
        (REGNET, f"The bottleneck ratio is {M}, so no block squeezes before the grouped convolution.", "ratio is 1, so"),
        (REGNET, f"It costs about {M} billion multiply-adds at 224 pixels.", "costs about 3.97 billion multiply-adds"),
        (REGNET, f"One run takes {M} hours according to the paper.", "takes 16.8 hours according"),
        (REGNET, f"As for the gases that it caused, the authors' own account is {M}.", "account is not stated"),
        (REGNET, f"On an RTX 3090 it reaches {M} images a second at 224 pixels in AMP.", "reaches 2844.62 images"),
        (CONVNEXT, f"**Optimizer:** {M} with betas 0.9 and 0.999", "AdamW with betas"),
        (CONVNEXT, f"All of it ran on {M} nodes under {M}.", "ran on 16 nodes under"),
        (CONVNEXT, f"Labels were smoothed by 0.1, layers were dropped at a rate of {M}.", "at a rate of 0.1."),
        (CONVNEXT, f"The class defaults normalize with mean {M}, unlike the saved ones.", "mean (not stated), unlike"),
        (CONVNEXT, f"The cameras have no {M} and the training pictures were taken by day.", "no (not stated) and"),
        ("somebody/else", f"There were 9 of the {M} boxes.", "of the unstated number of boxes."),
    ],
)  # fmt: skip
def test_a_gap_in_a_sentence_is_answered_from_its_words(model: str, sentence: str, filled: str) -> None:
    text = body(fill_card(sentence.encode(), model=model, ledger=None).text.decode())
    assert filled in re.sub(r"\s+", " ", text)


FAQ = f"""# Your questions

### Who made it?

Not us! The network was created by {M}.

### Is there a paper?

It is called {M}, and on arXiv look for number {M}.

### Where does the original code live?

{M}

### Who paid for it?

{M}

### Is it heavy?

It has 20.6 million parameters, and the biggest thing you'll download weighs about {M}.

### How much work is one picture?

A 224-pixel picture costs {M} multiply-adds.

### Ablations over the number of heads

{M}

Batch normalisation uses ε = {M} and momentum {M}.
"""
SHEET = f"""# Data sheet

| Item | Symbol | Value |
|---|---|---|
| Conv activations | A | {M} |
| Blocks, total | D | {M} |
| Drop block | q | {M} |

| Stage | Blocks | Width |
|---|---|---|
| stem | — | {M} |
| s3 | {M} | {M} |

- Decay law: {M}
- Cloud: {M}
"""


def test_plain_words_tell_what_is_asked_and_no_answer_is_another_questions() -> None:
    faq, sheet = (fill_card(card.encode(), model=REGNET, ledger=None).text.decode() for card in (FAQ, SHEET))
    for said in (
        "created by Ilija Radosavovic",
        "It is called Designing Network Design Spaces",
        "look for number 2003.13678",
        "The code is at <https://github.com/facebookresearch/pycls>",
        "No funding source is named",
        "weighs about 82.8 MB",
        "costs 3,973,301,344 multiply-adds",
        "heads\n\nNot stated",
        "ε = 10⁻⁵ and momentum 0.1.",
    ):
        assert said in re.sub(r" ?<sup>.*?</sup>| ?\[[\d, ]+\](?:\(#[^)]*\))?", "", body(faq)), said
    rows = [line for line in body(sheet).splitlines() if line.startswith("| ")]
    assert [row.split("|")[-2].strip() for row in rows[1:4]] == ["12,287,200", "22", "not stated"]
    assert rows[5:] == ["| stem | — | 32 |", "| s3 | 12 | 512 |"]
    assert "Decay law: Half-period cosine" in body(sheet)
    assert "Cloud: No cloud provider is named" in body(sheet)


def test_cells_of_html_tables_have_heads_too() -> None:
    card = (
        "<table>\n<tr><th></th><th>Stage 1</th><th>Stage 2</th></tr>\n"
        f"<tr><th>Depth</th><td>{M}</td><td>{M}</td></tr>\n"
        f"<tr><th>Width (raw)</th><td>96</td><td>{M}</td></tr>\n"
        f"<tr><th>Slope</th><td>w<sub>a</sub></td><td>{M}</td></tr>\n</table>\n"
    )
    text = body(fill_card(card.encode(), model=REGNET, ledger=None).text.decode())
    assert re.findall(r"<td>(.*?)</td>", text)[:4] == ["2", "6", "96", "216"]
    assert "squeeze" not in text.lower()


def test_a_scheduler_under_the_machines_is_no_learning_rate_schedule() -> None:
    card = f"## Where it ran\n\n| | |\n|---|---|\n| scheduler | {M} |\n"
    assert "cosine" not in fill_card(card.encode(), model=CONVNEXT, ledger=None).text.decode()
