"""The suite with attacks: evidence, repeated after a kill, compared on the same images, and what a user can get wrong."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import harness
from harness.data.annotations import VALIDATION_IMAGES, robustbench_images, validation_id
from harness.errors import HarnessError
from harness.evaluation.recheck import recheck
from harness.evaluation.suites import load_suite
from harness.evidence import show_interval, show_value
from harness.robustness import attacks, search
from tests.conftest import in_ledger
from tests.robustness.conftest import CLASSES, PREPROCESSING, SIDE, Steps

SUITE = """\
name: attacked
title: Attacked
description: Attacks on small images.
benchmarks: [{{name: insects, path: {folder}}}]
metrics: [accuracy, adversarial]
attacks: {{epsilons: {{linf: [1, 3, 9, 3]}}, steps: 8, minimum_norm_steps: 8, checked_images: 1}}
"""


@pytest.fixture
def suite(tmp_path: Path, folder: Path) -> Path:
    path = tmp_path / "attacked.yaml"
    path.write_text(SUITE.format(folder=folder), encoding="utf-8")
    return path


def evaluate(module: nn.Module, suite: Path, name: str = "linear", **options: Any) -> harness.Evaluation:
    options |= {"preprocessing": PREPROCESSING, "labels": CLASSES, "offline": True, "sanity_gate": False}
    return harness.evaluate(module, suite, name=name, **options)


def values(done: harness.Evaluation) -> dict[str, object]:
    """All that must come out alike when a run is repeated: times and energy need not."""
    about = [item for item in done.ledger if item.name.benchmark == "insects" and item.name.metric != "attack-time"]
    return {item.key: (item.value, item.n, item.interval) for item in about}


def test_evidence_says_what_was_done(home: Path, linear: nn.Module, suite: Path) -> None:
    done = evaluate(linear, suite, attack_images=8)
    clean, robust = in_ledger(done.ledger, "insects.top1"), in_ledger(done.ledger, "insects/linf/3.robust-accuracy")
    assert robust.n == clean.n == 8
    assert robust.number <= clean.number
    assert robust.interval.kind == "wilson"
    protocol = robust.protocol or {}
    assert protocol["attack"] == (
        "FMN of 8 steps, then APGD-CE, APGD-DLR towards 3 classes, PGD of 8 steps from 1 random start, seed 0"
    )
    assert (protocol["norm"], protocol["epsilon"], protocol["bound"]) == ("L∞", "3 of 255", "upper")
    assert "upper bound" in str(robust.reason)
    assert "--attack-images 8" in str(robust.command)
    rounded = in_ledger(done.ledger, "insects/linf/3.robust-accuracy:8-bit")
    assert robust.number <= rounded.number
    assert in_ledger(done.ledger, "insects.median-linf").unit == "/255"
    assert in_ledger(done.ledger, "insects.attack-time").number > 0


def test_every_value_is_computed_again_from_what_is_stored(home: Path, linear: nn.Module, suite: Path) -> None:
    done = evaluate(linear, suite)
    found = recheck(done.ledger, done.settings, lambda message: None)
    measured = [item.key for item in done.ledger if item.class_ is harness.EvidenceClass.MEASURED]
    assert set(found.same) == {key for key in measured if key.startswith("insects")}
    assert len([key for key in found.same if "robust-accuracy" in key]) == 2 * 3


def test_the_card_has_a_sentence_a_table_and_the_curve(home: Path, linear: nn.Module, suite: Path) -> None:
    done = evaluate(linear, suite)
    card = str(done.card())
    first = in_ledger(done.ledger, "insects/linf/1.robust-accuracy")
    assert "which attacks make from its own gradients, leave at most" in card.partition("## Training")[0]
    assert f"| L∞, 1 of 255 | {show_value(first)} ({show_interval(first)}) |" in card
    assert "an upper bound on\nrobust accuracy: an attack that fails" in card
    assert "no sign that gradients are masked" in card.lower()
    assert "(figures/insects-attacks.svg)" in card


def test_withheld_numbers_say_why_in_the_card(home: Path, linear: nn.Module, suite: Path) -> None:
    done = evaluate(Steps(linear), suite, name="steps")
    why = done.missing["insects/linf/3.robust-accuracy"]
    assert why.startswith("Withheld: ")
    assert why in str(done.card())
    assert done.exit_code is harness.ExitCode.INCOMPLETE


def test_a_killed_run_goes_on_at_its_image_and_ends_in_the_same_values(
    home: Path, linear: nn.Module, suite: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    real, seen = search.attack, list[str]()

    def attack(model: Any, pixels: Any, labels: Any, ids: list[str], *more: Any) -> Any:
        if len(seen) == 4:
            raise KeyboardInterrupt
        seen.extend(ids)
        return real(model, pixels, labels, ids, *more)

    monkeypatch.setattr(search, "attack", attack)
    with pytest.raises(KeyboardInterrupt):
        evaluate(linear, suite)
    (file,) = home.glob("attacks/*/*/*/images.jsonl")
    assert len(file.read_text().splitlines()) == 4
    # As if cut off while it was written, inside a character.
    file.write_bytes(file.read_bytes()[:-100] + "é".encode()[:1])
    first, seen = seen, []
    monkeypatch.setattr(search, "attack", real)
    again = evaluate(linear, suite)
    assert len(file.read_bytes().splitlines()) == 4 + 12 - 3
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "another"))
    assert values(again) == values(evaluate(linear, suite))
    assert len(first) == 4

    monkeypatch.setattr(search, "attack", lambda *_: pytest.fail("attacked although all images are stored"))
    assert values(evaluate(linear, suite)) == values(again)


def test_models_are_compared_on_the_images_attacked_for_both(home: Path, linear: nn.Module, suite: Path) -> None:
    evaluate(linear, suite)
    torch.manual_seed(8)
    other = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE * SIDE, len(CLASSES)))
    done = evaluate(other, suite, name="other", attack_images=9)
    compared = harness.compare(["linear", "other"])
    (found,) = [c for c in compared.comparisons if c.where == "insects/linf/3"]
    assert (found.n, found.whole) == (9, False)
    assert found.other_accuracy == pytest.approx(in_ledger(done.ledger, "insects/linf/3.robust-accuracy").number)
    assert compared.means == ()


class Detached(nn.Module):
    """A network that leaves PyTorch on the way."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.network(images).detach()


def test_what_can_t_be_attacked_is_pending_and_says_why(
    home: Path, linear: nn.Module, suite: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = evaluate(Detached(linear), suite, name="detached")
    assert in_ledger(done.ledger, "insects.top1").value is not None
    assert "has no gradients of its logits by its pixels" in done.missing["insects/linf/3.robust-accuracy"]
    assert done.exit_code is harness.ExitCode.FAILED
    attacks.foolbox.cache_clear()
    monkeypatch.setitem(sys.modules, "foolbox", None)
    without = evaluate(linear, suite)
    assert "foolbox, which is not installed" in without.missing["insects/linf/3.robust-accuracy"]
    assert "pip install 'harness-cards[adversarial]'" in str(without.failed["insects"])
    attacks.foolbox.cache_clear()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("linf: [1, 3, 9, 3]", "linf: [0, 1]", "greater than 0"),
        ("linf: [1, 3, 9, 3]", "linf: [256]", "less than or equal to 255"),
        ("linf: [1, 3, 9, 3]", "l1: [1]", "'linf' or 'l2'"),
        ("steps: 8, min", "steps: 8, attacks: [cw], min", "'apgd-ce', 'apgd-t' or 'pgd'"),
        ("steps: 8,", "step: 8,", "Did you mean steps?"),
        ("metrics: [accuracy, adversarial]", "metrics: [accuracy]", "belong together"),
        ("{name: insects, path: ", "imagenet-c, {name: insects, path: ", "attacks act on images as they are"),
    ],
)
def test_faults_in_a_suite_s_attacks_are_named(suite: Path, old: str, new: str, said: str) -> None:
    suite.write_text(suite.read_text().replace(old, new), encoding="utf-8")
    with pytest.raises(HarnessError) as caught:
        load_suite(str(suite))
    assert said in str(caught.value)


@pytest.mark.usefixtures("home")
def test_the_photographs_are_attacked_only_where_the_validation_set_is_not_here(
    tmp_path: Path, foolbox_images: Any
) -> None:
    # An image of RobustBench's list, and one before it in the order of the ids that is not in it.
    for number, wnid in ((15253, "n09468604"), (1, "n01751748")):
        file = tmp_path / "val" / wnid / validation_id(number)
        file.parent.mkdir(parents=True)
        file.write_bytes(foolbox_images[0].data)
    plan = partial(harness.plan, "efficientnet-lite0", "adversarial", offline=True, probe=False)
    (condition,) = plan(data={"imagenet-val": tmp_path / "val"}, attack_images=1).plan.conditions
    assert condition.title == "imagenet-val"
    assert condition.samples["sample_id"].tolist() == [validation_id(15253)]
    assert [c.title for c in plan().plan.conditions] == ["foolbox-imagenet-20"]


def test_robustbench_s_images_are_5000_of_the_validation_set() -> None:
    known = {validation_id(number) for number in range(1, VALIDATION_IMAGES + 1)}
    assert len(robustbench_images()) == 5000
    assert robustbench_images() < known
    # The first line of RobustBench's own list.
    assert "ILSVRC2012_val_00015253.JPEG" in robustbench_images()
