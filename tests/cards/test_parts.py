"""The part of a fact that a place asks for, and no other quantity's value, whatever the wording."""

from __future__ import annotations

import re

import pytest

from harness.cards.fill import fill_card
from tests.cards.conftest import body

M = "[More Information Needed]"
REGNET, CONVNEXT = "regnet-y-040", "convnext-base-224-22k"


@pytest.mark.parametrize(
    ("model", "card", "filled"),
    [
        (REGNET, f"Written by Radosavovic, Kosaraju, {M}, He and Dollár.", "Kosaraju, Ross Girshick, He"),
        (CONVNEXT, f"It has six authors; the last author is {M}.", "the last author is Saining Xie"),
        (CONVNEXT, f"Liu, Mao, Wu, Feichtenhofer, Darrell and Xie: “{M}”, 2022.", "“A ConvNet for the 2020s”"),
        (CONVNEXT, f"Facebook AI Research and {M} took part.", "and UC Berkeley took part"),
        (CONVNEXT, f"- β₂ of the optimiser: {M}", "optimiser: 0.999"),
        (CONVNEXT, f"- Blocks altogether: {M}", "altogether: 36"),
        (CONVNEXT, f"- Number of authors: {M}", "authors: 6"),
        (CONVNEXT, f"The green channel has a mean of {M}.", "mean of 0.456."),
        (CONVNEXT, f"The paper came out in {M}.", "came out in 2022."),
        (CONVNEXT, f"There were 16 nodes with {M} GPUs each.", "with 8 GPUs each."),
        (REGNET, f"The network was published by researchers of {M}.", "of Facebook AI Research (FAIR)."),
        (REGNET, f"The rate rose over the first {M} epochs.", "the first 5 epochs."),
        (REGNET, f"- SE: on, with ratio {M}", "with ratio 0.25"),
        (REGNET, f"<table><tr><th>Weight file</th><td>{M}</td><td>PyTorch</td></tr></table>", "<td>82.8 MB</td>"),
        (REGNET, f"| stage | out channels |\n|---|---|\n| 2 | {M} |", "| 2 | 192 |"),
        (REGNET, f"| LR | warm-up | later |\n|---|---|---|\n| shape | ramp | {M} |", "| ramp | half-period cosine down to 0 |"),
        (REGNET, f"| what | our drone |\n|---|---|\n| ImageNet top-1 | {M} |", "| not stated |"),
        (REGNET, f"Speed on our Xeon: {M} images per second.", "an unstated number of images"),
        (REGNET, f"- Patches per picture: {M}", "picture: Not stated"),
        (REGNET, f"### Who may use it?\n\n{M}", "Not stated"),
        (CONVNEXT, f"**Q4. How many classes does the head have?**\nA4. {M}", "tells apart 21,841 classes"),
        (CONVNEXT, f"Q: How does the rate move?\nA: Up in a straight line for {M} epochs.", "line for 5 epochs"),
        (REGNET, f"### How wide is the third stage?\n\n{M} channels.", "512 channels."),
        (REGNET, f"A picture goes in and {M} scores come out.", "and 1,000 scores"),
        (CONVNEXT, f"The weights we start from were made at {M}.", "made at Facebook AI Research and UC Berkeley"),
        (CONVNEXT, f"Every update saw {M} images.", "saw 4,096 images"),
        (CONVNEXT, f"RandAugment has magnitude 9 and a standard deviation of {M}.", "deviation of 0.5"),
        (CONVNEXT, f"On our scans it names the right family in {M} of the cases.", "in (not "),
        (CONVNEXT, f"# We fine-tuned it on leaves\n\nThey ran {M} epochs.", "ran 90 epochs"),
        (CONVNEXT, f"An A100 pushes {M} images through per second.", "pushes 969 images"),
        (REGNET, f"**And if the pictures are sketches?** {M}", "25.923 %"),
        (REGNET, f"The training took {M} hours on {M} GPUs.", "17.5 hours on 8 GPUs."),
        (REGNET, f"A run on ImageNet has a top-1 error of {M} percent.", "top-1 error of 20.64 percent"),
        (CONVNEXT, f"Gradients were {M} clipped, and weights were decayed by {M}.", "were not clipped, and weights were decayed by 0.05"),
        (CONVNEXT, f"The training took {M} hours.", "took an undisclosed number of hours"),
        (REGNET, f"The code is under the {M} licence.", "under the MIT licence"),
        (REGNET, f"### Which activation?\n\n{M}", "The activation function is ReLU."),
        (REGNET, f"They used gradient descent with a momentum of {M}, a batch of {M}, and a rate of {M}.", "of 0.9, a batch of 512"),
        (REGNET, f"It gets {M} % of ImageNet's validation pictures right.", "79.36 % of"),
        (CONVNEXT, f"Q: Does it use batch normalisation?\nA: No, it uses {M}.", "uses LayerNorm"),
        (CONVNEXT, f"| Item | Entry |\n|---|---|\n| Outputs | {M} |", "| 21,841 classes |"),
        (CONVNEXT, f"| Recipe | here | 1k fine-tune |\n|---|---|---|\n| peak LR | 4e-3 | {M} |", "| 5 × 10⁻⁵ |"),
        (CONVNEXT, f"- Mixup / CutMix: {M}", "CutMix: 0.8 / 1.0"),
        (CONVNEXT, f"Mixup was set to {M} and CutMix to {M}.", "to 0.8 and CutMix to 1.0."),
        (CONVNEXT, f"Trained with {M}, betas of {M} and a weight decay of {M}.", "with AdamW, betas of 0.9, 0.999 and"),
        (CONVNEXT, f"Fine-tuned on ImageNet-1k, the sibling reaches {M} % top-1 and {M} % top-5.", "85.82 % top-1 and 97.868 % top-5"),
        (CONVNEXT, f"- Throughput on an A100: {M}", "A100: 969 images/s"),
        (CONVNEXT, f"- Top-1 at 384 pixels: {M}", "pixels: Published: the checkpoint fine-tuned from this one"),
        (CONVNEXT, f"- Images in the pre-training set: {M}", "set: 14,000,000"),
        (REGNET, f"- Preprocessing at inference: {M}", "inference: For evaluation the short side"),
        (REGNET, f"It needs {M} GFLOPs.", "needs 7.95 GFLOPs"),
        (REGNET, f"The machines were located in {M}.", "in (not "),
        (REGNET, f"| ImageNet-1k val ({{who}}) | top-1 |\n|---|---|\n| pycls, own eval | {M} |", "| 79.36 % |"),
    ],
)  # fmt: skip
def test_what_is_asked_is_answered(model: str, card: str, filled: str) -> None:
    text = body(fill_card(card.encode(), model=model, ledger=None).text.decode())
    plain = re.sub(r" ?<sup>.*?</sup>| ?\[\[?[h\d, \]\[–]+\](?:\(#[^)]*\))?", "", text)
    assert filled in plain
